//! Line mode: the questions of a guide one after another, from top to bottom, with nothing drawn over. For
//! terminals that can do no more, and for everybody who prefers lines: screen readers, slow lines, scripts of
//! expect.
//!
//! [`welcome`] says what was found and [`choose_guide`] what can be set up here; a [`Dialogue`] asks, shows the
//! plan and ends in a [`Decision`]. What is asked and whether an answer does is [`Interview`]'s to say; how the
//! person is reached is [`talk`]'s.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::answers::interview::Interview;
use crate::error::{Exit, Problem};
use crate::host::Host;
use crate::plan::Plan;
use crate::ui::prompts::question::Step;
use crate::ui::prompts::voice::Pick;

mod question;
mod review;
mod welcome;

pub mod modes;
pub mod talk;
pub mod voice;

pub use talk::{Gone, Talk, at_terminal};
pub use voice::Voice;
pub use welcome::{choose_guide, welcome};

/// The outcome of a dialogue that was not left.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Carry out this plan, made from the interview's answers.
    Start(Box<Plan>),
    /// The answers are saved in this file; nothing is started.
    Saved(PathBuf),
    /// Another guide, please.
    Back,
}

/// What the person may do in the end.
#[derive(Clone, Debug, Default)]
pub struct Means {
    /// Whether a run can be started: this process is root's.
    pub start: bool,
    /// Whether another guide can be chosen instead.
    pub back: bool,
    /// The file that was named for the answers.
    pub save: Option<PathBuf>,
}

/// The questions of one guide, asked and answered.
pub struct Dialogue<'a, 'v> {
    host: &'a dyn Host,
    voice: &'a mut Voice<'v>,
    /// The answers so far.
    pub interview: Interview,
    means: Means,
    /// The file that the answers were written to.
    written: Option<PathBuf>,
    /// Stages whose introduction was shown.
    introduced: BTreeSet<String>,
    /// The stage whose heading was printed last.
    here: String,
}

/// How far a walk through questions came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// To the last question.
    Through,
    /// Back before the first one.
    Back,
}

impl<'a, 'v> Dialogue<'a, 'v> {
    /// Begins with what the interview knows.
    pub fn new(host: &'a dyn Host, voice: &'a mut Voice<'v>, interview: Interview, means: Means) -> Self {
        Self { host, voice, interview, means, written: None, introduced: BTreeSet::new(), here: String::new() }
    }

    /// Says what is not taken over from where the answers came from.
    pub fn tell_problems(&mut self, heading: &str, problems: &[Problem]) {
        if problems.is_empty() {
            return;
        }
        self.voice.blank();
        self.voice.prose(0, heading);
        for problem in problems {
            let hint = if problem.hint.is_empty() { String::new() } else { format!(" ({})", problem.hint) };
            let about = Problem { hint: String::new(), ..problem.clone() };
            self.voice.refusal(&format!("{about}{hint}"), "");
        }
    }

    /// Asks everything from the first question on, says what came of it and asks what now. An error is how the
    /// program ends without a decision; the person knows why.
    pub fn run(&mut self) -> Result<Decision, Exit> {
        self.introduce();
        match self.walk(None, None)? {
            Way::Through => self.review(),
            Way::Back => Ok(Decision::Back),
        }
    }

    /// The guide, and its problems here.
    fn introduce(&mut self) {
        let guide = self.interview.guide();
        let (title, summary) = (guide.title.clone(), guide.summary.clone());
        self.voice.heading(&title);
        self.voice.prose(2, &summary);
        let unmet: Vec<_> = self.interview.gaps().into_iter().filter(|gap| gap.stage.is_none()).collect();
        if !unmet.is_empty() {
            self.voice.blank();
            for gap in unmet {
                self.voice.refusal(&gap.message, &gap.hint);
            }
            self.voice.prose(0, "The run cannot start here, but you can give and save the answers.");
        }
    }

    /// Asks question after question: those of one stage or of all, from `first` or the beginning.
    fn walk(&mut self, only: Option<&str>, first: Option<String>) -> Result<Way, Exit> {
        let mut at = match first {
            Some(path) => Some(path),
            None => self.following(None, only),
        };
        while let Some(path) = at.take() {
            self.enter(stage_of(&path));
            at = match question::ask(self.voice, &mut self.interview, &path)? {
                Step::On => self.after(&path, only),
                Step::Back => match self.before(&path, only) {
                    Some(before) => Some(before),
                    None if only.is_some() || self.means.back => return Ok(Way::Back),
                    None => {
                        self.voice.refusal("this is the first question", "! leaves");
                        Some(path)
                    }
                },
                Step::Leave => {
                    self.leave()?;
                    Some(path)
                }
            };
        }
        Ok(Way::Through)
    }

    /// The next question. At the end of a stage its warnings are shown, and a question whose answer is no longer valid
    /// is asked again.
    fn after(&mut self, path: &str, only: Option<&str>) -> Option<String> {
        let stage = stage_of(path);
        let fields = self.interview.fields(stage);
        let at = fields.iter().position(|field| field.path == path);
        if let Some(next) = fields.get(at.map_or(0, |at| at + 1)) {
            return Some(next.path.clone());
        }
        if let Some(again) = fields.iter().find(|field| field.problem.is_some()) {
            return Some(again.path.clone());
        }
        self.close(stage);
        if only.is_some() { None } else { self.following(Some(stage), None) }
    }

    /// The first question of the stages after `stage` (of all for none); stages without one are announced.
    fn following(&mut self, stage: Option<&str>, only: Option<&str>) -> Option<String> {
        let stages: Vec<String> = self.interview.stages().iter().map(|stage| stage.id.clone()).collect();
        let from = stage.and_then(|stage| stages.iter().position(|id| id == stage)).map_or(0, |at| at + 1);
        for id in stages.iter().skip(from).filter(|id| only.is_none_or(|only| only == *id)) {
            if let Some(field) = self.interview.fields(id).first() {
                return Some(field.path.clone());
            }
            self.enter(id);
            self.close(id);
        }
        None
    }

    /// The question before this one.
    fn before(&self, path: &str, only: Option<&str>) -> Option<String> {
        let stages = self.interview.stages();
        let stages = stages.iter().filter(|stage| only.is_none_or(|only| only == stage.id));
        let paths: Vec<String> =
            stages.flat_map(|stage| self.interview.fields(&stage.id)).map(|field| field.path).collect();
        let at = paths.iter().position(|candidate| candidate == path)?;
        paths.get(at.checked_sub(1)?).cloned()
    }

    /// The heading of a stage, and the first time why it matters.
    fn enter(&mut self, stage: &str) {
        if self.here == stage {
            return;
        }
        stage.clone_into(&mut self.here);
        let stages = self.interview.stages();
        let Some(at) = stages.iter().position(|candidate| candidate.id == stage) else { return };
        let (place, title, why) = (at + 1, stages[at].title.clone(), stages[at].why.clone());
        let of = stages.len();
        self.voice.heading(&format!("{title} ({place} of {of})"));
        if self.introduced.insert(stage.to_owned()) {
            self.voice.blank();
            self.voice.prose(2, &why);
        }
    }

    /// What there is to know at the end of a stage.
    fn close(&mut self, stage: &str) {
        let warnings: Vec<String> = self.interview.warnings(stage).into_iter().map(str::to_owned).collect();
        let problems: Vec<Problem> = self.interview.stage_problems(stage).into_iter().cloned().collect();
        let reckoned = self.reckoned(stage);
        if warnings.is_empty() && problems.is_empty() && reckoned.is_empty() {
            return;
        }
        self.voice.blank();
        for line in reckoned {
            self.voice.hanging("  = ", &line);
        }
        for warning in warnings {
            question::warning(self.voice, &warning);
        }
        for problem in problems {
            self.voice.refusal(&problem.message, &problem.hint);
        }
    }

    /// The arithmetic behind a stage's locals.
    fn reckoned(&self, stage: &str) -> Vec<String> {
        let stage = self.interview.guide().stages.iter().find(|candidate| candidate.id == stage);
        let locals = stage.map(|stage| stage.locals.as_slice()).unwrap_or_default().iter();
        let values = locals.filter_map(|local| self.interview.resolved().locals.get(&local.name));
        let lines = values.filter_map(|value| value.get("arithmetic")?.as_array()).flatten();
        lines.filter_map(|line| line.as_str().map(str::to_owned)).collect()
    }

    /// Somebody wants to leave; returns when it was not meant so.
    fn leave(&mut self) -> Result<(), Exit> {
        self.voice.blank();
        self.voice.line("Leave bringup? Nothing was changed on this server.");
        let items = ["stay", "save the answers and leave", "leave"].map(str::to_owned);
        match self.voice.choose(&items, Some(0))? {
            Pick::Item(1) => match self.save()? {
                Some(_) => Err(Exit::Done),
                None => Ok(()),
            },
            Pick::Item(2) | Pick::Leave => Err(Exit::Rejected),
            Pick::Item(_) | Pick::Back => Ok(()),
        }
    }
}

fn stage_of(path: &str) -> &str {
    path.split('.').next().unwrap_or(path)
}
