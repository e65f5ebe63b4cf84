//! After the last question: what will be done, what is missing, and what now.

use std::path::{Path, PathBuf};

use crate::answers::SecretSource;
use crate::answers::file;
use crate::answers::interview::{Gap, Standing};
use crate::engine::launch;
use crate::engine::secret_store;
use crate::error::{Exit, Outcome, Problem};
use crate::host::Host;
use crate::plan::Plan;
use crate::plan::build::build;
use crate::plan::preview::{self, GuideChecks, Verdicts, preview};
use crate::plan::tally::Effect;
use crate::state_dir::STATE_DIR;
use crate::system::packages::forecast::Forecast;
use crate::ui::estimate::{Outlook, Past};
use crate::ui::prompts::voice::{Heard, Pick};
use crate::ui::prompts::{Decision, Dialogue, Way};

/// A plan compared with the server.
struct Seen {
    plan: Plan,
    verdicts: Verdicts,
    packages: Option<Outcome<Forecast>>,
    /// What others changed since, and how long it is likely to take.
    past: Vec<(&'static str, String)>,
    /// Why a run would be refused.
    refused: Vec<Problem>,
}

/// What earlier runs mean for a plan, as the wizard words it.
fn past(
    host: &dyn Host,
    plan: &Plan,
    verdicts: &Verdicts,
    packages: Option<&Outcome<Forecast>>,
) -> Vec<(&'static str, String)> {
    let past = Past::read(host, plan);
    let mut told = Vec::new();
    told.extend(past.since(host.euid() == 0).map(|since| ("since", since)));
    let effect = |at: usize| Effect::of(verdicts.get(at).map(|(_, verdict)| verdict));
    if (0..plan.actions.len()).any(|at| effect(at) != Effect::Unchanged) {
        let packages = packages.and_then(|packages| packages.as_ref().ok());
        told.push(("takes", Outlook::of(plan, &past.expected, effect, packages).words()));
    }
    told
}

/// What can be done from here.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Complete,
    Start,
    Again,
    Change,
    Show,
    Save,
    Leave,
}

impl Dialogue<'_, '_> {
    /// Says what will be done or what is missing, and asks what now.
    pub fn review(&mut self) -> Result<Decision, Exit> {
        loop {
            self.here.clear();
            self.voice.heading("Review");
            let decision = match self.look() {
                Ok(seen) => {
                    self.summarize(&seen);
                    self.tell_problems("A run would be refused:", &seen.refused);
                    self.decide(Some(&seen), &[])?
                }
                Err(gaps) => {
                    self.tell_gaps(&gaps);
                    self.decide(None, &gaps)?
                }
            };
            if let Some(decision) = decision {
                return Ok(decision);
            }
        }
    }

    /// Asks what now, until there is a decision or the answers may have changed.
    fn decide(&mut self, seen: Option<&Seen>, gaps: &[Gap]) -> Result<Option<Decision>, Exit> {
        loop {
            match (self.what_now(gaps, seen.is_none_or(|seen| seen.refused.is_empty()))?, seen) {
                (Next::Start, Some(seen)) => {
                    let written = self.means.save.clone().map_or(Ok(()), |path| self.write(&path));
                    match written {
                        Ok(()) => return Ok(Some(Decision::Start(Box::new(seen.plan.clone())))),
                        Err(why) => self.voice.refusal(&why, ""),
                    }
                }
                (Next::Show, Some(seen)) => {
                    let look = self.voice.look;
                    let packages = seen.packages.as_ref();
                    let text = preview::render(&seen.plan, &seen.verdicts, packages, look.width, look.colour);
                    self.page(&text)?;
                }
                (Next::Start | Next::Show, None) => {}
                (Next::Complete, _) => {
                    self.complete(gaps)?;
                    return Ok(None);
                }
                (Next::Change, _) => {
                    self.change()?;
                    return Ok(None);
                }
                (Next::Again, _) => return Ok(None),
                (Next::Save, _) => {
                    if let Some(path) = self.save()? {
                        return Ok(Some(Decision::Saved(path)));
                    }
                }
                (Next::Leave, _) => {
                    self.voice.line("Nothing was changed.");
                    return Err(Exit::Rejected);
                }
            }
        }
    }

    /// The plan, checked against the server; or all missing answers.
    fn look(&mut self) -> Result<Seen, Vec<Gap>> {
        let gaps = self.interview.gaps();
        if !gaps.is_empty() {
            return Err(gaps);
        }
        let told = |problems: Vec<Problem>| problems.iter().map(Gap::of).collect::<Vec<_>>();
        let (guide, resolved) = (self.interview.guide(), self.interview.resolved());
        let plan = build(guide, self.interview.facts(), resolved).map_err(told)?;
        let known = secret_store::load(self.host, &plan.application());
        let secrets = match secret_store::gather(self.host, &known, &resolved.secrets, &plan.secret_patterns) {
            Ok(secrets) => secrets,
            // Whoever only plans need not have the secrets.
            Err(_) if !self.means.start => known.clone(),
            Err(problems) => return Err(told(problems)),
        };
        let mut plan = plan;
        plan.warnings.extend(secret_store::notes(&known, &resolved.secrets));
        self.voice.blank();
        self.voice.line("Comparing the plan with this server ...");
        let verdicts = preview(self.host, &plan, &secrets, GuideChecks::Leave);
        let packages = preview::packages(self.host, &plan);
        let refused = launch::foreseen(self.host, &plan, &verdicts, packages.as_ref());
        let past = past(self.host, &plan, &verdicts, packages.as_ref());
        Ok(Seen { plan, verdicts, packages, past, refused })
    }

    fn summarize(&mut self, seen: &Seen) {
        self.voice.blank();
        let look = self.voice.look;
        let summary = preview::summary(&seen.plan, &seen.verdicts, seen.packages.as_ref(), look.width, look.colour);
        for line in summary.lines() {
            self.voice.line(line);
        }
        for (label, text) in &seen.past {
            self.voice.hanging(&format!("  {label:<15}"), text);
        }
        if self.means.start {
            self.voice.blank();
            let run = format!("TIME-{}", seen.plan.guide);
            let recorded = Path::new(STATE_DIR).join("runs").join(run).join("answers.yaml");
            let also = self.means.save.as_ref().map(|path| format!(" and {}", path.display())).unwrap_or_default();
            self.voice.hanging("  Answers  ", &format!("{}{also} (for root only)", recorded.display()));
            self.voice.hanging("  Replay   ", "sudo bringup --answers FILE, here or on another server");
        }
        self.tell_typed_secrets();
    }

    /// Typed secrets are in no file, so a replay needs them from elsewhere.
    fn tell_typed_secrets(&mut self) {
        let secrets = &self.interview.resolved().secrets;
        let typed = secrets.iter().filter(|(_, source)| matches!(source, SecretSource::Literal(_)));
        let variables: Vec<String> = typed.map(|(path, _)| file::variable(path)).collect();
        if !variables.is_empty() {
            let which = variables.join(", ");
            self.voice.hanging("  Secrets  ", &format!("those you typed are not recorded; to replay, set {which}"));
        }
    }

    fn tell_gaps(&mut self, gaps: &[Gap]) {
        self.voice.blank();
        self.voice.line("Missing answers:");
        for gap in gaps {
            let about = match (&gap.stage, &gap.question) {
                (Some(stage), Some(question)) => format!("{stage}.{question}: "),
                (Some(stage), None) => format!("{stage}: "),
                (None, _) => String::new(),
            };
            self.voice.refusal(&format!("{about}{}", gap.message), &gap.hint);
        }
    }

    fn what_now(&mut self, gaps: &[Gap], ready: bool) -> Result<Next, Exit> {
        let mut items = Vec::new();
        if gaps.iter().any(|gap| gap.stage.is_some()) {
            items.push((Next::Complete, "answer what is missing"));
        }
        if gaps.is_empty() && self.means.start {
            items.push(if ready {
                (Next::Start, "start: make these changes now")
            } else {
                (Next::Again, "check again")
            });
        }
        let save = (Next::Save, "save the answers to a file and leave");
        if !self.means.start {
            items.push(save);
        }
        items.push((Next::Change, "change a stage"));
        if gaps.is_empty() {
            items.push((Next::Show, "show every change with its diff"));
        }
        if self.means.start {
            items.push(save);
        }
        items.push((Next::Leave, "leave"));
        let texts: Vec<String> = items.iter().map(|(_, text)| (*text).to_owned()).collect();
        loop {
            // A line typed too early must not start anything: it was typed before the plan was shown.
            self.voice.forget_typed_ahead();
            self.voice.blank();
            self.voice.line("What now?");
            match self.voice.choose(&texts, None)? {
                Pick::Item(at) => return Ok(items[at].0),
                Pick::Back => return Ok(Next::Change),
                Pick::Leave => self.leave()?,
            }
        }
    }

    /// Goes to what is missing, one after another.
    fn complete(&mut self, gaps: &[Gap]) -> Result<(), Exit> {
        let mut gaps = gaps.to_vec();
        let mut asked = Vec::new();
        while let Some((stage, question)) = gaps.iter().find_map(|gap| Some((gap.stage.clone()?, gap.question.clone())))
        {
            let first = question.map(|question| format!("{stage}.{question}"));
            if asked.contains(&(stage.clone(), first.clone())) {
                return Ok(());
            }
            asked.push((stage.clone(), first.clone()));
            if self.walk(Some(&stage), first)? == Way::Back {
                return Ok(());
            }
            gaps = self.interview.gaps();
        }
        Ok(())
    }

    /// Lets a stage be chosen and asks its questions again.
    fn change(&mut self) -> Result<(), Exit> {
        let stages: Vec<(String, String)> = self
            .interview
            .stages()
            .iter()
            .map(|stage| {
                let missing = match self.interview.standing(&stage.id) {
                    Standing::Missing(missing) => format!(" ({missing} missing)"),
                    Standing::Complete | Standing::NotAsked => String::new(),
                };
                (stage.id.clone(), format!("{}{missing}", stage.title))
            })
            .collect();
        self.voice.blank();
        self.voice.line("Which one?");
        let titles: Vec<String> = stages.iter().map(|(_, title)| title.clone()).collect();
        match self.voice.choose(&titles, None)? {
            Pick::Item(at) => self.walk(Some(&stages[at].0), None).map(|_| ()),
            Pick::Back => Ok(()),
            Pick::Leave => self.leave(),
        }
    }

    /// A long text, a screen at a time.
    fn page(&mut self, text: &str) -> Result<(), Exit> {
        let lines: Vec<&str> = text.lines().collect();
        let size = self.voice.rows.saturating_sub(3).max(5);
        let mut shown = 0;
        let mut all = false;
        while shown < lines.len() {
            let until = if all { lines.len() } else { (shown + size).min(lines.len()) };
            for line in &lines[shown..until] {
                self.voice.line(line);
            }
            shown = until;
            if shown < lines.len() {
                let more = lines.len() - shown;
                self.voice.line(&format!("{more} more lines: Enter shows the next, a all of them, < none."));
                match self.voice.hear("")? {
                    Heard::Back | Heard::Leave => return Ok(()),
                    Heard::Text(text) if text == "a" => all = true,
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Saves the answers where the person wants; none when it was not wanted after all.
    pub(super) fn save(&mut self) -> Result<Option<PathBuf>, Exit> {
        let offered = match &self.means.save {
            Some(path) => path.clone(),
            None => PathBuf::from(format!("{}-answers.yaml", self.interview.guide().id)),
        };
        self.voice.blank();
        self.voice.line("Save to which file? It must not exist yet.");
        self.voice.enter(&offered.display().to_string());
        loop {
            let path = match self.voice.hear("")? {
                Heard::Enter => offered.clone(),
                Heard::Text(text) => PathBuf::from(text),
                Heard::Back | Heard::Leave => return Ok(None),
                Heard::Help => {
                    self.voice.prose(2, "A path; only you can read the file. < goes back.");
                    continue;
                }
            };
            match self.write(&path) {
                Ok(()) => {
                    self.tell_saved(&path);
                    return Ok(Some(path));
                }
                Err(why) => self.voice.refusal(&why, "choose another name, or < to go back"),
            }
        }
    }

    fn tell_saved(&mut self, path: &Path) {
        let path = path.display();
        self.voice.blank();
        self.voice.prose(0, &format!("The answers are in {path}. Nothing else was changed."));
        let command = if self.interview.gaps().is_empty() {
            format!("sudo bringup --answers {path}")
        } else {
            format!("sudo bringup --answers {path} --ask")
        };
        self.voice.hanging("  Continue with  ", &command);
        self.tell_typed_secrets();
    }

    /// Writes the answers to a file that only its owner can read: a new one, or the one written a moment ago.
    fn write(&mut self, path: &Path) -> Result<(), String> {
        let interview = &self.interview;
        let text = file::write(interview.guide(), interview.resolved(), interview.given().on_failure)
            .map_err(|failure| failure.to_string())?;
        let why = |e: std::io::Error| format!("{} cannot be written: {e}", path.display());
        if self.host.stat(path).map_err(why)?.is_some() {
            if self.written.as_deref() != Some(path) {
                return Err(format!("{} exists already", path.display()));
            }
            self.host.remove(path).map_err(why)?;
        }
        self.host.append(path, text.as_bytes()).map_err(why)?;
        self.written = Some(path.to_owned());
        Ok(())
    }
}
