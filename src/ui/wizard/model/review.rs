//! The plan made from the answers, and what is known of it: what it would change here, and which packages it would
//! install. Made again whenever the answers change.

use std::collections::BTreeSet;

use crate::action::{Reversible, Verdict};
use crate::answers::Resolved;
use crate::answers::interview::{Gap, Interview};
use crate::error::{Failure, Outcome, Problem};
use crate::facts::Facts;
use crate::plan::build::build;
use crate::plan::preview::Verdicts;
pub use crate::plan::tally::Effect;
use crate::plan::tally::Tally;
use crate::plan::{Plan, Planned};
use crate::system::packages::forecast::Forecast;
use crate::ui::estimate::{Outlook, Past};
use crate::ui::wizard::cmd::Cmd;
use crate::ui::wizard::model::run_view::RunView;
use crate::ui::wizard::model::server_status::ServerStatus;
use crate::ui::wizard::model::{Route, questions, title_of};
use crate::ui::wizard::view::Focus;

/// The review of one set of answers.
#[derive(Debug, Default)]
pub struct Review {
    /// Somebody looked at it.
    begun: bool,
    made: Option<Made>,
    /// Stages whose unchanged actions are listed.
    pub unfolded: BTreeSet<String>,
}

/// A plan and what is known of it.
#[derive(Debug)]
struct Made {
    from: (Resolved, Facts),
    plan: Result<Plan, Vec<Problem>>,
    hash: String,
    verdicts: Option<Verdicts>,
    /// Secrets that are not available.
    missing: Vec<Problem>,
    #[expect(clippy::option_option, reason = "not known yet, or known: none is needed")]
    forecast: Option<Option<Outcome<Forecast>>>,
    /// What earlier runs mean for it, once that was read.
    past: Option<Past>,
}

/// Something in the way of a start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// What is wrong or missing.
    pub says: String,
    /// What to do.
    pub hint: String,
    /// Where to do it.
    pub to: Option<(Route, Option<Focus>)>,
}

impl Review {
    /// Makes the plan again when the answers or the server changed; returns what has to be looked up then.
    pub fn look_at(&mut self, interview: &Interview) -> Option<Cmd> {
        self.begun = true;
        if interview.gaps().iter().any(|gap| gap.stage.is_some()) {
            self.made = None;
            return None;
        }
        let (resolved, facts) = (interview.resolved(), interview.facts());
        if self.made.as_ref().is_some_and(|made| made.from.0 == *resolved && made.from.1 == *facts) {
            return None;
        }
        let plan = build(interview.guide(), facts, resolved);
        let hash = plan.as_ref().map(Plan::hash).unwrap_or_default();
        let cmd = plan
            .as_ref()
            .ok()
            .map(|plan| Cmd::Preview { plan: Box::new(plan.clone()), secrets: resolved.secrets.clone() });
        let from = (resolved.clone(), facts.clone());
        self.made = Some(Made { from, plan, hash, verdicts: None, missing: Vec::new(), forecast: None, past: None });
        cmd
    }

    /// Everything is to be compared again.
    pub fn forget(&mut self) {
        self.made = None;
    }

    /// What each action would change; of another plan than the present one it means nothing.
    pub fn compared(&mut self, hash: &str, verdicts: Verdicts, missing: Vec<Problem>) {
        if let Some(made) = self.made.as_mut().filter(|made| made.hash == hash) {
            made.verdicts = Some(verdicts);
            made.missing = missing;
        }
    }

    /// Sets the packages that it would install.
    pub fn forecast(&mut self, hash: &str, forecast: Option<Outcome<Forecast>>) {
        if let Some(made) = self.made.as_mut().filter(|made| made.hash == hash) {
            made.forecast = Some(forecast);
        }
    }

    /// Sets what earlier runs mean for it.
    pub fn remembered(&mut self, hash: &str, past: Past) {
        if let Some(made) = self.made.as_mut().filter(|made| made.hash == hash) {
            made.past = Some(past);
        }
    }

    /// What earlier runs mean for it; none before that was read.
    pub fn past(&self) -> Option<&Past> {
        self.made.as_ref()?.past.as_ref()
    }

    /// How long it is likely to take; none before all of that is known.
    pub fn outlook(&self) -> Option<Outlook> {
        let (plan, past) = (self.plan()?, self.past()?);
        let known = self.is_compared() && self.is_forecast() && !self.is_idle();
        let packages = self.packages().and_then(|packages| packages.as_ref().ok());
        known.then(|| Outlook::of(plan, &past.expected, |at| self.effect(at), packages))
    }

    /// Whether it was looked at.
    pub fn is_begun(&self) -> bool {
        self.begun
    }

    /// The plan, when the answers come to one.
    pub fn plan(&self) -> Option<&Plan> {
        self.made.as_ref()?.plan.as_ref().ok()
    }

    /// Whether the server is still being compared with it.
    pub fn is_looking(&self) -> bool {
        self.made.as_ref().is_some_and(|made| made.plan.is_ok() && made.verdicts.is_none())
    }

    /// Whether it was compared with the server.
    pub fn is_compared(&self) -> bool {
        self.made.as_ref().is_some_and(|made| made.verdicts.is_some())
    }

    /// Whether it is known which packages come.
    pub fn is_forecast(&self) -> bool {
        self.made.as_ref().is_some_and(|made| made.forecast.is_some())
    }

    /// What the check of the action at this place found.
    pub fn verdict(&self, at: usize) -> Option<&Outcome<Verdict>> {
        self.made.as_ref()?.verdicts.as_ref()?.get(at).map(|(_, verdict)| verdict)
    }

    /// What the packages will be: none while that is looked for, or where there are none.
    pub fn packages(&self) -> Option<&Outcome<Forecast>> {
        self.made.as_ref()?.forecast.as_ref()?.as_ref()
    }

    /// What the action at this place would do.
    pub fn effect(&self, at: usize) -> Effect {
        Effect::of(self.verdict(at))
    }

    /// What it comes to; nothing before it was compared with the server.
    pub fn tally(&self) -> Tally {
        let Some((plan, made)) = self.plan().zip(self.made.as_ref()) else { return Tally::default() };
        Tally::expected(plan, made.verdicts.iter().flatten().map(|(_, verdict)| verdict))
    }

    /// Whether everything is as the answers want it.
    pub fn is_idle(&self) -> bool {
        let tally = self.tally();
        self.is_compared() && tally.unchanged == tally.actions
    }

    /// The places of a stage's actions: those that change something, in the order of the run, and the unchanged ones.
    pub fn of_stage(&self, stage: &str) -> (Vec<usize>, Vec<usize>) {
        let actions = self.plan().map(|plan| plan.actions.as_slice()).unwrap_or_default();
        let here = actions.iter().enumerate().filter(|(_, planned)| planned.stage == stage).map(|(at, _)| at);
        here.partition(|at| self.effect(*at) != Effect::Unchanged)
    }

    /// The actions that cannot be rolled back.
    pub fn for_good(&self) -> Vec<&Planned> {
        let actions = self.plan().map(|plan| plan.actions.as_slice()).unwrap_or_default();
        let lost = actions.iter().enumerate().filter(|(at, planned)| {
            matches!(planned.reversible, Reversible::No(_)) && self.effect(*at) != Effect::Unchanged
        });
        lost.map(|(_, planned)| planned).collect()
    }
}

/// A review with all that decides whether it can be started.
#[derive(Clone, Copy)]
pub struct Reviewed<'a> {
    /// The plan, and what is known of it.
    pub review: &'a Review,
    /// The answers it is made from.
    pub interview: Option<&'a Interview>,
    /// The checks of this server.
    pub server: &'a ServerStatus,
    /// Whether we may change it.
    pub root: bool,
    /// The run that waits for a decision, if one does: then other answers are a way for it to go on.
    pub waiting: Option<&'a RunView>,
}

impl Reviewed<'_> {
    /// Whether a run waits for these answers.
    pub fn waits(self) -> bool {
        self.waiting.is_some()
    }

    /// Nothing is in the way, and there is something to do.
    pub fn can_start(self) -> bool {
        self.review.is_compared() && (self.waits() || !self.review.is_idle()) && self.obstacles().is_empty()
    }

    /// Everything in the way of a start, in the order in which it is best dealt with.
    pub fn obstacles(self) -> Vec<Obstacle> {
        let Some(interview) = self.interview else { return Vec::new() };
        let mut found: Vec<Obstacle> = interview.gaps().iter().map(|gap| self.of_gap(gap)).collect();
        // The run that waits for these answers prevents nothing.
        let problems = self.server.problems().filter(|check| check.id != "runs" || !self.waits());
        found.extend(problems.map(|check| Obstacle {
            says: format!("{}: {}", check.title, check.found),
            hint: check.fix.clone(),
            to: Some((Route::Welcome, None)),
        }));
        if !self.root {
            found.push(Obstacle {
                says: "Only root can change this server".to_owned(),
                hint: "save the answers here, and start with sudo".to_owned(),
                to: None,
            });
        }
        let Some(made) = &self.review.made else { return found };
        let problems = made.plan.as_ref().err().into_iter().flatten();
        // Without root neither secrets nor every file can be read: that is no news.
        let missing = made.missing.iter().filter(|_| self.root);
        // Of earlier runs the checks of this server say the same.
        let said: Vec<String> = found.iter().map(|obstacle| obstacle.says.clone()).collect();
        let missing = missing.filter(|problem| !said.iter().any(|said| said.ends_with(&problem.message)));
        found.extend(problems.chain(missing).map(|problem| self.of_problem(problem)));
        if self.root && !self.waits() {
            let untold = made.verdicts.iter().flatten().filter_map(|(id, verdict)| Some((id, verdict.as_ref().err()?)));
            found.extend(untold.map(|(id, failure)| self.of_failure(id, failure)));
        }
        // Beside a run that waits nothing else of the plan's obstacles is looked for.
        if self.waits()
            && let Some(Some(Ok(forecast))) = &made.forecast
            && !forecast.removes.is_empty()
        {
            found.push(Obstacle {
                says: format!("apt would remove {}", forecast.removes.join(", ")),
                hint: "remove it yourself if nothing needs it any more, then check again".to_owned(),
                to: None,
            });
        }
        found
    }

    fn of_gap(self, gap: &Gap) -> Obstacle {
        let Some(stage) = &gap.stage else {
            return Obstacle { says: gap.message.clone(), hint: gap.hint.clone(), to: Some((Route::Product, None)) };
        };
        let path = gap.question.as_ref().map(|question| format!("{stage}.{question}"));
        let question = path.as_ref().and_then(|path| self.interview?.question(path));
        let ask = question.map(|question| question.ask.as_str()).unwrap_or_default();
        // Missing answers are shown with their questions anyway.
        let hint = gap.hint.strip_prefix(ask).unwrap_or(&gap.hint).trim_start();
        Obstacle {
            says: format!("{}: {ask} {}", title_of(self.interview, stage), gap.message).replace(":  ", ": "),
            hint: hint.to_owned(),
            to: questions(self.interview, stage).map(|place| (place, path.map(Focus::Field))),
        }
    }

    fn of_problem(self, problem: &Problem) -> Obstacle {
        let (stage, question) = problem.path.split_once('.').unwrap_or((&problem.path, ""));
        let gap = Gap {
            stage: (!stage.is_empty()).then(|| stage.to_owned()),
            question: (!question.is_empty()).then(|| question.to_owned()),
            message: problem.message.clone(),
            hint: problem.hint.clone(),
        };
        self.of_gap(&gap)
    }

    fn of_failure(self, action: &str, failure: &Failure) -> Obstacle {
        let stage = action.split('.').next().unwrap_or(action);
        Obstacle {
            says: failure.to_string(),
            hint: failure.hint.clone().unwrap_or_default(),
            to: questions(self.interview, stage).map(|place| (place, None)),
        }
    }
}
