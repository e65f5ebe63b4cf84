//! The state of a run, folded from its events: every step with its state, its output, the open question, and the
//! outcome.
//!
//! The only place that folds the event stream. Bars, plain lines, the wizard and the last page all draw this, so that
//! they cannot disagree; for a running run and for one that ended long ago.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::engine::decision::{Choice, Waiting};
use crate::engine::event::{Ended, Event, EventKind, StepInfo};
use crate::error::{Exit, Failure};
use crate::host::Stamp;
use crate::plan::Plan;
use crate::plan::tally::Tally;
use crate::progress::Progress;
use crate::proof::not_tried;
use crate::ui::estimate::{Estimate, Expected};
use crate::ui::{messages, text};

mod output;
#[cfg(test)]
pub(crate) mod recorded;

pub use output::{Kind, Output, Said};

/// The group of the proofs, among the stages.
pub const PROOFS: &str = "proofs";
/// The output during the rollback.
pub const BACK: &str = "the way back";
/// What a rollback counts.
const UNDONE: &str = "changes rolled back";
/// What the engine calls itself where no step is meant.
const NO_STEP: [&str; 2] = ["bringup", "rollback"];

/// The state of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepState {
    /// Its turn has not come.
    Pending,
    /// It is being worked on.
    Working,
    /// It changed something, or was proven.
    Done,
    /// There was nothing to change.
    Unchanged,
    /// It failed.
    Failed,
    /// It was skipped by decision.
    Skipped,
    /// It was rolled back.
    Undone,
}

/// A step of a run.
#[derive(Clone, Debug)]
pub struct Work {
    /// `database.role`.
    pub id: String,
    /// The id of its stage; [`PROOFS`] for a proof.
    pub stage: String,
    /// What it does, or what it proves.
    pub describe: String,
    /// Its state.
    pub state: StepState,
    /// Its duration in milliseconds; 0 until it ended.
    pub millis: u64,
    /// When it began, while it works.
    pub since: Option<Stamp>,
    /// What a proof found; of a step that was left out, why it may be.
    pub evidence: Option<String>,
}

impl Work {
    fn pending(id: &str, stage: &str, describe: &str) -> Self {
        Self {
            id: id.to_owned(),
            stage: stage.to_owned(),
            describe: describe.to_owned(),
            state: StepState::Pending,
            millis: 0,
            since: None,
            evidence: None,
        }
    }

    /// Whether it is a proof that succeeded.
    pub fn is_proven(&self) -> bool {
        self.is_proof() && self.state == StepState::Done && self.not_tried().is_none()
    }

    /// Why it could not be tried, when it is a proof that could not.
    pub fn not_tried(&self) -> Option<&str> {
        self.evidence.as_deref().filter(|_| self.is_proof()).and_then(not_tried)
    }

    /// Whether it is a proof.
    pub fn is_proof(&self) -> bool {
        self.stage == PROOFS
    }
}

/// Steps that belong together.
#[derive(Clone, Debug)]
pub struct Group<'a> {
    /// The stage's id, or [`PROOFS`].
    pub id: &'a str,
    /// Its steps, in order.
    pub steps: Vec<&'a Work>,
}

impl Group<'_> {
    /// The state of the group as a whole.
    pub fn state(&self) -> StepState {
        let any = |state| self.steps.iter().any(|step| step.state == state);
        let all = |state| self.steps.iter().all(|step| step.state == state);
        let left = any(StepState::Pending);
        if any(StepState::Working) {
            StepState::Working
        } else if any(StepState::Failed) {
            StepState::Failed
        } else if any(StepState::Undone) && !left {
            StepState::Undone
        } else if left {
            StepState::Pending
        } else if all(StepState::Unchanged) {
            StepState::Unchanged
        } else {
            StepState::Done
        }
    }

    /// How many of its steps are over.
    pub fn over(&self) -> usize {
        self.steps.iter().filter(|step| !matches!(step.state, StepState::Pending | StepState::Working)).count()
    }

    /// The total duration of its steps, in milliseconds.
    pub fn millis(&self) -> u64 {
        self.steps.iter().map(|step| step.millis).sum()
    }
}

/// How far a run is: so many of all, of what `unit` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// Those that are over.
    pub over: usize,
    /// All that were announced.
    pub all: usize,
    /// What they are, in the plural.
    pub unit: &'static str,
}

/// How far the step at work is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Meter {
    /// From 0 to 1, where it is known.
    pub share: Option<f32>,
    /// What is being done.
    pub says: String,
    /// That says how much is done, in bytes or packages.
    pub figures: bool,
    /// It waits for a person to do this.
    pub waits: bool,
}

/// What the run is doing as a whole.
#[derive(Clone, Debug, PartialEq)]
pub enum Phase {
    /// Nothing was heard of it yet.
    Silent,
    /// Step after step.
    Forward,
    /// Taking back.
    Back,
    /// After a failure it waits for a decision.
    Waiting(Box<Waiting>),
    /// It ended; this is what its command returns.
    Ended(Exit),
}

/// A run, folded from its events.
#[derive(Clone, Debug)]
pub struct RunState {
    /// The guide's title; empty for a rollback that was requested later.
    pub title: String,
    /// Its steps: actions in order, then proofs.
    pub steps: Vec<Work>,
    /// What it does.
    pub phase: Phase,
    /// How far the step at work is.
    pub meter: Meter,
    /// Every failure with its step, and whether it occurred during the rollback.
    pub failures: Vec<(String, Failure, bool)>,
    /// What did not go as it should although the run went on.
    pub warnings: Vec<String>,
    /// What was left in place, and why.
    pub kept: Vec<(String, String)>,
    /// What was saved before it was dropped, and where.
    pub dumped: Vec<(String, String)>,
    /// Number of changes that the rollback is to undo.
    pub records: usize,
    /// The run as a whole is being rolled back, or was when it ended. A stage that was rolled back before the next
    /// question does not count.
    pub rolling_back: bool,
    /// Changes that are in place at its end.
    pub changed: usize,
    /// What steps said.
    pub output: Output,
    noted: String,
    estimate: Estimate,
    undone: BTreeSet<String>,
    /// So many of the steps were announced when the run began; others have come up since.
    announced: usize,
    current: Option<usize>,
    began: Option<Stamp>,
    latest: Option<Stamp>,
}

impl Default for RunState {
    fn default() -> Self {
        Self {
            title: String::new(),
            steps: Vec::new(),
            phase: Phase::Silent,
            meter: Meter::default(),
            failures: Vec::new(),
            warnings: Vec::new(),
            kept: Vec::new(),
            dumped: Vec::new(),
            records: 0,
            rolling_back: false,
            changed: 0,
            output: Output::default(),
            noted: String::new(),
            estimate: Estimate::default(),
            undone: BTreeSet::new(),
            announced: 0,
            current: None,
            began: None,
            latest: None,
        }
    }
}

impl RunState {
    /// Takes an event in.
    pub fn take_in(&mut self, event: &Event) {
        self.began.get_or_insert(event.at);
        self.latest = Some(event.at);
        self.estimate.take_in(event);
        match &event.what {
            EventKind::RunStarted { guide, actions, proofs, .. } => self.start(guide, actions, proofs),
            EventKind::ActionStarted { action } => self.begin(action, event.at),
            EventKind::ProofStarted { proof } => {
                let at = self.proof(proof);
                self.begin_at(at, event.at);
            }
            EventKind::ActionProgress { action, progress } => self.go_on(action, progress, event.at),
            EventKind::ActionEnded { action, ended, millis } => {
                let state = match ended {
                    Ended::Changed => StepState::Done,
                    Ended::Unchanged => StepState::Unchanged,
                    Ended::Failed => StepState::Failed,
                };
                self.end(action, state, *millis);
            }
            EventKind::ProofEnded { proof, evidence, failure, millis } => {
                let at = self.proof(proof);
                self.end(proof, if failure.is_some() { StepState::Failed } else { StepState::Done }, *millis);
                self.output.push(proof, Kind::Output, evidence.as_deref().unwrap_or_default());
                self.steps[at].evidence.clone_from(evidence);
            }
            EventKind::Failed { step, failure } => self.fail(step, failure),
            EventKind::Waiting(waiting) => {
                self.pause();
                self.phase = Phase::Waiting(Box::new(waiting.clone()));
                // It was a stage that was rolled back, not the run.
                self.rolling_back = false;
            }
            EventKind::Decided { choice } => {
                self.phase = Phase::Forward;
                messages::decided(*choice).clone_into(&mut self.meter.says);
                if matches!(choice, Choice::Retry | Choice::Skip | Choice::Replan) {
                    // What failed is tried again, or skipped.
                    self.rolling_back = false;
                    self.failures.clear();
                    self.kept.clear();
                }
            }
            EventKind::Skipped { step, reason } => {
                self.end(step, StepState::Skipped, 0);
                self.output.push(step, Kind::Note, reason);
                let at = self.step(step);
                self.steps[at].evidence = Some(reason.clone());
            }
            EventKind::RollbackStarted { records, .. } => {
                self.phase = Phase::Back;
                self.rolling_back = true;
                self.records = *records;
                self.undone.clear();
                self.pause();
            }
            EventKind::Undone { action, describe } => {
                let at = self.step(action);
                self.steps[at].state = StepState::Undone;
                self.output.push(BACK, Kind::Undone, describe);
                self.undone.insert(action.clone());
                self.current = Some(at);
                self.meter = Meter { says: describe.clone(), ..Meter::default() };
            }
            EventKind::Kept { what, why } => {
                self.tell(Kind::Kept, &format!("{what}: {why}"));
                self.kept.push((what.clone(), why.clone()));
            }
            EventKind::Dumped { what, file } => {
                self.tell(Kind::Saved, &format!("{what} is in {file}"));
                self.dumped.push((what.clone(), file.clone()));
            }
            EventKind::Note { text } => self.tell(Kind::Note, text),
            EventKind::RunEnded { exit, changed } => {
                if *exit == Exit::RolledBack {
                    self.all_undone();
                }
                self.phase = Phase::Ended(*exit);
                self.changed = *changed;
                self.pause();
            }
        }
    }

    /// Folds all of these.
    pub fn of<'a>(events: impl IntoIterator<Item = &'a Event>) -> Self {
        let mut state = Self::default();
        events.into_iter().for_each(|event| state.take_in(event));
        state
    }

    /// With what is known of the steps' times before the run.
    pub fn expecting(expected: Expected) -> Self {
        Self { estimate: Estimate::new(expected), ..Self::default() }
    }

    /// Sets how long its steps are likely to take; to be called before its events.
    pub fn expect(&mut self, expected: Expected) {
        self.estimate = Estimate::new(expected);
    }

    /// Sets the steps from a plan before the run announces them: those of a rollback.
    pub fn describe(&mut self, plan: &Plan) {
        for step in &mut self.steps {
            if let Some(planned) = plan.actions.iter().find(|planned| planned.id == step.id) {
                step.stage.clone_from(&planned.stage);
                step.describe.clone_from(&planned.describe);
            }
        }
    }

    fn start(&mut self, guide: &str, actions: &[StepInfo], proofs: &[StepInfo]) {
        guide.clone_into(&mut self.title);
        self.phase = Phase::Forward;
        self.rolling_back = false;
        self.failures.clear();
        self.warnings.clear();
        let actions = actions.iter().map(|step| Work::pending(&step.id, &step.stage, &step.describe));
        let proofs = proofs.iter().map(|step| Work::pending(&step.id, PROOFS, &step.describe));
        self.steps = actions.chain(proofs).collect();
        self.announced = self.steps.len();
        self.pause();
    }

    fn begin(&mut self, id: &str, at: Stamp) {
        let step = self.step(id);
        self.begin_at(step, at);
    }

    fn begin_at(&mut self, step: usize, at: Stamp) {
        self.phase = Phase::Forward;
        self.pause();
        self.steps[step].state = StepState::Working;
        self.steps[step].since = Some(at);
        self.current = Some(step);
    }

    fn go_on(&mut self, id: &str, progress: &Progress, at: Stamp) {
        let step = self.step(id);
        if self.current != Some(step) {
            self.pause();
            self.current = Some(step);
        }
        if self.steps[step].since.is_none() {
            self.steps[step].since = Some(at);
            self.steps[step].state = StepState::Working;
        }
        let id = if self.phase == Phase::Back { BACK } else { id };
        let says = text::of_tool(&progress.text());
        match progress {
            Progress::Percent { percent, note, amount } => {
                self.note(id, note);
                let share = Some((*percent / 100.0).clamp(0.0, 1.0));
                self.meter = Meter { share, says, figures: amount.is_some(), waits: false };
            }
            Progress::Note(note) => {
                self.note(id, note);
                (self.meter.says, self.meter.waits) = (says, false);
            }
            Progress::Deadline { note, .. } => {
                self.note(id, note);
                self.meter = Meter { says, waits: true, ..Meter::default() };
            }
            Progress::Warning(text) => {
                self.note(id, text);
                if !self.warnings.contains(text) {
                    self.warnings.push(text.clone());
                }
            }
            Progress::Output(line) => self.output.push(id, Kind::Output, line),
        }
    }

    /// What a step does, once for as long as it does that.
    fn note(&mut self, id: &str, note: &str) {
        if self.noted != note {
            self.output.push(id, Kind::Note, note);
            note.clone_into(&mut self.noted);
        }
    }

    fn end(&mut self, id: &str, state: StepState, millis: u64) {
        let at = self.step(id);
        let step = &mut self.steps[at];
        (step.state, step.millis, step.since) = (state, millis, None);
        self.current = Some(at);
        self.meter = Meter::default();
    }

    fn fail(&mut self, id: &str, failure: &Failure) {
        let back = self.phase == Phase::Back;
        if !NO_STEP.contains(&id) {
            let at = self.step(id);
            let step = &mut self.steps[at];
            (step.state, step.since) = (StepState::Failed, None);
            self.current = Some(at);
        }
        self.tell(Kind::Failed, &failure.to_string());
        self.failures.push((id.to_owned(), failure.clone(), back));
    }

    /// Whatever stood does not any more, though not every step had something of its own to undo.
    fn all_undone(&mut self) {
        for step in self.steps.iter_mut().filter(|step| step.stage != PROOFS) {
            if matches!(step.state, StepState::Done | StepState::Working) {
                step.state = StepState::Undone;
            }
        }
    }

    /// Nothing is at work for the moment.
    fn pause(&mut self) {
        for step in self.steps.iter_mut().filter(|step| step.state == StepState::Working) {
            step.state = StepState::Pending;
            step.since = None;
        }
        self.meter = Meter::default();
    }

    /// Adds output of the current step, or of the rollback.
    fn tell(&mut self, kind: Kind, text: &str) {
        let id = match &self.phase {
            Phase::Back => BACK.to_owned(),
            _ => self.current().map(|step| step.id.clone()).unwrap_or_default(),
        };
        self.output.push(&id, kind, text);
    }

    /// The place of a step; one that was not announced is added.
    fn step(&mut self, id: &str) -> usize {
        if let Some(at) = self.steps.iter().position(|step| step.id == id) {
            return at;
        }
        self.steps.push(Work::pending(id, id.split('.').next().unwrap_or(id), id));
        self.steps.len() - 1
    }

    /// The place of a proof.
    fn proof(&mut self, id: &str) -> usize {
        let at = self.step(id);
        if at >= self.announced {
            PROOFS.clone_into(&mut self.steps[at].stage);
        }
        at
    }

    // --- what it comes to -----------------------------------------------------

    /// The steps by their stages, in order; proofs are the last group.
    pub fn groups(&self) -> Vec<Group<'_>> {
        let mut groups: Vec<Group<'_>> = Vec::new();
        for step in &self.steps {
            match groups.iter_mut().find(|group| group.id == step.stage) {
                Some(group) => group.steps.push(step),
                None => groups.push(Group { id: &step.stage, steps: vec![step] }),
            }
        }
        groups
    }

    /// The step that is worked on, or was worked on last.
    pub fn current(&self) -> Option<&Work> {
        self.steps.get(self.current?)
    }

    /// Whether something is worked on at this moment.
    pub fn works(&self) -> bool {
        matches!(self.phase, Phase::Forward | Phase::Back | Phase::Silent)
    }

    /// What is being counted: changes that are rolled back, else actions and, when all of these are over, proofs.
    pub fn count(&self) -> Count {
        if self.rolling_back || self.phase == Phase::Back {
            let over = self.undone.len().min(self.records);
            return Count { over, all: self.records, unit: UNDONE };
        }
        let (over, all) = self.over(|step| !step.is_proof());
        let proofs = self.proofs();
        let failed = self.steps.iter().any(|step| !step.is_proof() && step.state == StepState::Failed);
        let begun = self.steps.iter().any(|step| step.is_proof() && step.state != StepState::Pending);
        if over == all && begun && !failed {
            return Count { over: proofs.0, all: proofs.1, unit: "proofs" };
        }
        Count { over, all, unit: "actions" }
    }

    /// How many proofs are over, and of how many.
    pub fn proofs(&self) -> (usize, usize) {
        self.over(Work::is_proof)
    }

    /// Of the announced steps of a kind, how many are over, and how many there are.
    fn over(&self, kind: impl Fn(&Work) -> bool) -> (usize, usize) {
        let open = |step: &&&Work| matches!(step.state, StepState::Pending | StepState::Working | StepState::Undone);
        let steps: Vec<&Work> = self.steps[..self.announced].iter().filter(|step| kind(step)).collect();
        (steps.len() - steps.iter().filter(open).count(), steps.len())
    }

    /// What the run came to, once it ended: the changes are those in place, as its journal counts them.
    pub fn tally(&self) -> Tally {
        let (_, actions) = self.over(|step| !step.is_proof());
        let skipped = self.skipped().filter(|step| !step.is_proof()).count();
        let unchanged = actions.saturating_sub(self.changed + skipped);
        Tally { actions, changes: self.changed, unchanged, untold: 0, proofs: self.proofs().1 }
    }

    /// What a step does; its id when it was not announced.
    pub fn describe_of<'a>(&'a self, id: &'a str) -> &'a str {
        self.steps.iter().find(|step| step.id == id).map_or(id, |step| &step.describe)
    }

    /// `[3/20] `, `[proof 2/8] `: the place of a step among its like; empty for one that was not announced.
    pub fn place(&self, id: &str) -> String {
        let announced = &self.steps[..self.announced];
        let Some(step) = announced.iter().find(|step| step.id == id) else { return String::new() };
        let like: Vec<&Work> = announced.iter().filter(|other| other.is_proof() == step.is_proof()).collect();
        let at = like.iter().position(|other| other.id == id).unwrap_or_default() + 1;
        let kind = if step.is_proof() { "proof " } else { "" };
        format!("[{kind}{at}/{}] ", like.len())
    }

    /// The width of a column for the ids, within reason.
    pub fn id_width(&self) -> usize {
        let announced = &self.steps[..self.announced];
        announced.iter().map(|step| step.id.len()).filter(|len| *len <= 24).max().unwrap_or(0)
    }

    /// Proofs that succeeded.
    pub fn proven(&self) -> impl Iterator<Item = &Work> {
        self.steps.iter().filter(|step| step.is_proven())
    }

    /// Proofs that could not be tried.
    pub fn untried(&self) -> impl Iterator<Item = &Work> {
        self.steps.iter().filter(|step| step.not_tried().is_some())
    }

    /// Steps that were skipped by decision.
    pub fn skipped(&self) -> impl Iterator<Item = &Work> {
        self.steps.iter().filter(|step| step.state == StepState::Skipped)
    }

    /// Whether the events are those of a requested rollback, not of a run.
    pub fn is_rollback(&self) -> bool {
        self.rolling_back && self.title.is_empty()
    }

    /// The time that it will still take at `now`; none where that would be a guess.
    pub fn left(&self, now: Option<Stamp>) -> Option<Duration> {
        now.max(self.latest).and_then(|now| self.estimate.left(now))
    }

    /// How far the whole is, from 0 to 1: by time where the time left is known, else by the steps that are over and
    /// the known part of the one at work.
    pub fn share(&self, now: Option<Stamp>) -> f32 {
        if let Some(left) = self.left(now) {
            let worked: u64 = self.steps.iter().map(|step| step.millis).sum();
            let worked = Duration::from_millis(worked) + self.step_elapsed(now);
            return worked.as_secs_f32() / (worked + left).as_secs_f32().max(0.001);
        }
        let Count { over, all, unit } = self.count();
        let (over, all) = if unit == UNDONE { (over, all) } else { self.over(|_| true) };
        if all == 0 {
            return 0.0;
        }
        let part = self.meter.share.unwrap_or(0.0);
        #[expect(clippy::cast_precision_loss, reason = "a share for a bar of a few dozen columns")]
        let share = (over as f32 + part) / all as f32;
        share.min(1.0)
    }

    /// The failure that matters: the first on the way forward since the last decision, or the first of a rollback
    /// without one.
    pub fn failure(&self) -> Option<&(String, Failure, bool)> {
        self.failures.iter().find(|(_, _, back)| !back).or_else(|| self.failures.first())
    }

    /// The failures besides that one.
    pub fn other_failures(&self) -> impl Iterator<Item = &Failure> {
        let first = self.failure().map(std::ptr::from_ref);
        self.failures.iter().filter(move |one| Some(std::ptr::from_ref(*one)) != first).map(|(_, failure, _)| failure)
    }

    /// How long it has been at work at `now`; until its last word once it ended.
    pub fn elapsed(&self, now: Option<Stamp>) -> Duration {
        let until = if self.works() { now.max(self.latest) } else { self.latest };
        match (self.began, until) {
            (Some(began), Some(until)) => until.since(began),
            _ => Duration::ZERO,
        }
    }

    /// How long the step at work has been so at `now`.
    pub fn step_elapsed(&self, now: Option<Stamp>) -> Duration {
        match (self.current().and_then(|step| step.since), now.max(self.latest)) {
            (Some(since_then), Some(now)) => now.since(since_then),
            _ => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests;
