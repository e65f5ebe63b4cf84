//! Executing a plan: journal first, act second, verify last.
//!
//! The same function starts and resumes a run: what is unchanged is skipped, what was begun is applied again (actions
//! are idempotent), and the first undo records are kept.

use std::time::Duration;

use ask::ask;
use step::PlanStep;

use crate::action::carry::CARRY;
use crate::action::{Action, service};
use crate::answers::OnFailure;
use crate::engine::event::{self, EventKind};
use crate::engine::journal::{Journal, Record};
use crate::engine::rollback::{self, Options};
use crate::engine::runs::RunDir;
use crate::engine::secret_store;
use crate::engine::window::Tracker;
use crate::engine::{data, decision, old_releases, replan};
use crate::error::{Exit, Failure, Outcome};
use crate::host::Host;
use crate::plan::{Plan, PlannedProof};
use crate::proof::lanes::{self, Patience};
use crate::proof::{self, Proof};
use crate::secret::Secrets;
use crate::undo::deadman;
use crate::undo::manifest::{Contents, Manifest};

mod ask;
mod step;

/// The context of an execution.
pub struct RunContext<'a> {
    /// The server.
    pub host: &'a dyn Host,
    /// The run's files.
    pub dir: &'a RunDir,
    /// What to do.
    pub plan: &'a Plan,
    /// Values for the placeholders in the plan.
    pub secrets: &'a Secrets,
    /// What to do when a step fails.
    pub on_failure: OnFailure,
    /// Where events go.
    pub emit: &'a (dyn Fn(EventKind) + Sync),
    /// Whether the run was asked to stop; checked between two steps, and while it waits.
    pub stop: &'a (dyn Fn() -> Option<Stop> + Sync),
}

/// How a run can be asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// After the current step, to be resumed later: the server shuts down.
    Pause,
    /// After the current step, and roll back everything.
    Abort,
}

/// Carries out the plan from where the journal ends, or another plan that replaces it on the way.
pub fn execute(run: &RunContext<'_>, journal: &mut Journal) -> Exit {
    // A question from before a crash is asked again when the step fails again.
    decision::close(run.host, run.dir);
    // A change that a crash left unconfirmed is reverted before the disk is scanned.
    deadman::revert_now(run.host, CARRY);
    let mut other: Option<(Plan, Secrets)> = None;
    let exit = loop {
        let run = match &other {
            Some((plan, secrets)) => RunContext { plan, secrets, ..*run },
            None => RunContext { ..*run },
        };
        match run_plan(&run, journal, other.is_some()) {
            RunEnd::Exit(exit) => break exit,
            RunEnd::Replanned(plan) => {
                let secrets = secret_store::load(run.host, &plan.application());
                other = Some((*plan, secrets));
            }
        }
    };
    (run.emit)(EventKind::RunEnded { exit, changed: journal.standing() });
    exit
}

/// How working on one plan ended.
enum RunEnd {
    Exit(Exit),
    /// Continue with this plan.
    Replanned(Box<Plan>),
}

/// What follows a failure.
enum NextMove {
    Exit(Exit),
    /// Continue with the step at this index.
    From(usize),
    Replanned(Box<Plan>),
}

/// The step that failed.
struct StepError {
    step: String,
    failure: Box<Failure>,
    cause: Cause,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Cause {
    Action,
    Proof,
    Aborted,
}

impl StepError {
    fn in_step(step: &str) -> impl FnOnce(Failure) -> Self + '_ {
        move |failure| Self { step: step.to_owned(), failure: Box::new(failure), cause: Cause::Action }
    }
}

/// Carries out one plan until it ends or another replaces it.
fn run_plan(run: &RunContext<'_>, journal: &mut Journal, replanned: bool) -> RunEnd {
    let resumed = replanned || !journal.entries().is_empty();
    let steps = PlanStep::all(run.plan);
    let mut announced = false;
    let mut at = 0;
    loop {
        let begun = begin(run, journal, resumed, &mut announced).map_err(StepError::in_step("bringup"));
        let done = begun.and_then(|mut tracker| {
            let worked = run_steps(run, journal, &mut tracker, &steps, &mut at);
            if worked.is_err() {
                look(run, &mut tracker);
            }
            worked
        });
        let error = match done {
            Ok(exit) => return RunEnd::Exit(exit),
            Err(error) => error,
        };
        match handle_failure(run, journal, &steps, at, error) {
            NextMove::Exit(exit) => return RunEnd::Exit(exit),
            NextMove::From(next) => at = next,
            NextMove::Replanned(plan) => return RunEnd::Replanned(plan),
        }
    }
}

/// The work before the first step.
fn begin<'a>(run: &RunContext<'a>, journal: &mut Journal, resumed: bool, announced: &mut bool) -> Outcome<Tracker<'a>> {
    replan::clear_away(run.host, run.dir, journal, run.emit)?;
    if !*announced {
        announce(run, resumed);
        *announced = true;
        if !resumed {
            // What a crash at the end of the former run left is no part of this one.
            old_releases::remove(run.host, &run.dir.id, run.plan, run.emit);
        }
    }
    track(run)
}

/// Records the disk at a failure, so that later changes by others are told apart from the run's.
fn look(run: &RunContext<'_>, tracker: &mut Tracker<'_>) {
    // Without it a rollback keeps more than necessary.
    let _ = tracker.last_look().and_then(|look| look.save(run.host, &run.dir.path, "look", &Contents::new()));
}

fn announce(run: &RunContext<'_>, resumed: bool) {
    let step = |id: &str, stage: &str, describe: &str| event::StepInfo {
        id: id.to_owned(),
        stage: stage.to_owned(),
        describe: describe.to_owned(),
    };
    (run.emit)(EventKind::RunStarted {
        run: run.dir.id.clone(),
        guide: run.plan.title.clone(),
        resumed,
        actions: run.plan.actions.iter().map(|a| step(&a.id, &a.stage, &a.describe)).collect(),
        proofs: run.plan.proofs.iter().map(|p| step(&p.id, &p.stage, &p.describe)).collect(),
    });
    for warning in &run.plan.warnings {
        (run.emit)(EventKind::Note { text: warning.clone() });
    }
}

/// Carries out the steps from `at` on; on failure `at` is the failed one.
fn run_steps(
    run: &RunContext<'_>,
    journal: &mut Journal,
    tracker: &mut Tracker<'_>,
    steps: &[PlanStep<'_>],
    at: &mut usize,
) -> Result<Exit, StepError> {
    while let Some(PlanStep::Action(action)) = steps.get(*at) {
        if stop_between(run, &action.id)? {
            return Ok(paused(run));
        }
        if !skip(run, journal, steps[*at]) {
            step::act(run, journal, tracker, action).map_err(StepError::in_step(&action.id))?;
        }
        *at += 1;
    }
    if !run_proofs(run, journal, steps, at)? {
        return Ok(paused(run));
    }
    finish(run, journal, tracker, Exit::Done).map_err(StepError::in_step("bringup"))?;
    old_releases::remove(run.host, &run.dir.id, run.plan, run.emit);
    Ok(Exit::Done)
}

/// Tries the proofs from `at` on, side by side, and reports them in their order; false where a pause was requested.
fn run_proofs(
    run: &RunContext<'_>,
    journal: &Journal,
    steps: &[PlanStep<'_>],
    at: &mut usize,
) -> Result<bool, StepError> {
    let to_try: Vec<&PlannedProof> = steps[*at..]
        .iter()
        .filter_map(|step| match step {
            PlanStep::Proof(proof) if !journal.is_skipped(&proof.id) => Some(*proof),
            _ => None,
        })
        .collect();
    let proofs: Vec<&Proof> = to_try.iter().map(|planned| &planned.proof).collect();
    let cx = proof::Context { host: run.host, secrets: run.secrets };
    lanes::prove_all(&cx, &proofs, Patience::Each, |result_of| {
        let mut to_try = to_try.iter().enumerate();
        while let Some(step) = steps.get(*at) {
            if stop_between(run, step.id())? {
                return Ok(false);
            }
            if !skip(run, journal, *step)
                && let Some((index, proof)) = to_try.next()
            {
                let failed = |failure| StepError { cause: Cause::Proof, ..StepError::in_step(&proof.id)(failure) };
                step::prove(run, proof, || result_of(index)).map_err(failed)?;
            }
            *at += 1;
        }
        Ok(true)
    })
}

/// Whether the run is to be paused before this step; an abort is an error.
fn stop_between(run: &RunContext<'_>, step: &str) -> Result<bool, StepError> {
    match (run.stop)() {
        Some(Stop::Pause) => Ok(true),
        Some(Stop::Abort) => {
            let aborted = StepError::in_step(step)(Failure::new("go on", "an abort was requested"));
            Err(StepError { cause: Cause::Aborted, ..aborted })
        }
        None => Ok(false),
    }
}

/// Reports a step that is skipped by decision; false for any other.
fn skip(run: &RunContext<'_>, journal: &Journal, step: PlanStep<'_>) -> bool {
    let skipped = journal.is_skipped(step.id());
    if skipped {
        let reason = step.skip_reason().unwrap_or_default().to_owned();
        (run.emit)(EventKind::Skipped { step: step.id().to_owned(), reason });
    }
    skipped
}

/// Ends between two steps, to be resumed.
fn paused(run: &RunContext<'_>) -> Exit {
    (run.emit)(EventKind::Note { text: "paused between two steps; `bringup resume` continues".to_owned() });
    Exit::Incomplete
}

/// Scans the disk before the first change, once a run, and continues its windows.
fn track<'a>(run: &RunContext<'a>) -> Outcome<Tracker<'a>> {
    if let Some(baseline) = Manifest::load(run.host, &run.dir.path, "base")? {
        return Tracker::new(run.host, run.dir, Some(baseline));
    }
    let mut contents = Contents::new();
    let manifest = Manifest::take(run.host, None, &mut contents)?;
    manifest.save(run.host, &run.dir.path, "base", &contents)?;
    let tracker = Tracker::new(run.host, run.dir, Some((manifest, contents)))?;
    tracker.begin()?;
    Ok(tracker)
}

/// Records the final state, so that a rollback months later can tell our changes from others'.
fn finish(run: &RunContext<'_>, journal: &mut Journal, tracker: &mut Tracker<'_>, exit: Exit) -> Outcome<()> {
    let data = data::fingerprints(run.host, journal);
    tracker.last_look()?.save(run.host, &run.dir.path, "post", &Contents::new())?;
    journal.write(run.host, Record::Finished { exit, data })
}

/// The first error is reported and recorded before anything is rolled back, so that nothing hides it.
fn handle_failure(
    run: &RunContext<'_>,
    journal: &mut Journal,
    steps: &[PlanStep<'_>],
    at: usize,
    error: StepError,
) -> NextMove {
    let StepError { step, failure, cause } = error;
    let (step, failure) = if cause == Cause::Proof { culprit(run, step, *failure) } else { (step, *failure) };
    let mut failure = conceal(run.secrets, failure);
    let log = run.dir.log(&step);
    if failure.log.is_none() && run.host.stat(&log).ok().flatten().is_some() {
        failure.log = Some(log.display().to_string());
    }
    (run.emit)(EventKind::Failed { step: step.clone(), failure: failure.clone() });
    if let Err(write) = journal.write(run.host, Record::Failed { step: step.clone(), failure }) {
        // A full disk must not keep us from rolling back.
        (run.emit)(EventKind::Note { text: write.to_string() });
    }
    match (cause, run.on_failure) {
        (Cause::Aborted, _) | (_, OnFailure::Rollback) => NextMove::Exit(roll_back_run(run, journal)),
        (_, OnFailure::Ask) => ask(run, journal, steps, at, &step),
        (Cause::Proof, OnFailure::Pause) => {
            match track(run).and_then(|mut it| finish(run, journal, &mut it, Exit::ProofFailed)) {
                Ok(()) => NextMove::Exit(Exit::ProofFailed),
                Err(_) => NextMove::Exit(Exit::Incomplete),
            }
        }
        (Cause::Action, OnFailure::Pause) => NextMove::Exit(Exit::Incomplete),
    }
}

/// Rolls back everything.
fn roll_back_run(run: &RunContext<'_>, journal: &mut Journal) -> Exit {
    match rollback::roll_back(run.host, run.dir, journal, &Options::default(), run.emit) {
        Ok(report) if report.errors.is_empty() => Exit::RolledBack,
        Ok(_) => Exit::Incomplete,
        Err(failure) => {
            (run.emit)(EventKind::Failed { step: "rollback".to_owned(), failure });
            Exit::Incomplete
        }
    }
}

/// A proof may fail because a service died after its start: then the service's own message is shown first.
fn culprit(run: &RunContext<'_>, step: String, failure: Failure) -> (String, Failure) {
    // A program that cannot start may take a moment to give up.
    for _ in 0..8 {
        for planned in &run.plan.actions {
            if let Action::Service(service) = &planned.action
                && let Some(mut cause) = service::crash_failure(run.host, service)
            {
                cause.why = format!("{}. As a result: {failure}", cause.why);
                return (planned.id.clone(), cause);
            }
        }
        run.host.sleep(Duration::from_millis(500));
    }
    (step, failure)
}

fn conceal(secrets: &Secrets, failure: Failure) -> Failure {
    Failure {
        what: secrets.conceal(&failure.what),
        why: secrets.conceal(&failure.why),
        tail: failure.tail.iter().map(|line| secrets.conceal(line)).collect(),
        log: failure.log,
        hint: failure.hint.map(|hint| secrets.conceal(&hint)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn no_part_of_a_failure_tells_a_secret() {
        let mut secrets = Secrets::default();
        secrets.insert("database.password", Secret::new("hunter22"));
        let mut failure = Failure::new("use hunter22", "hunter22 is wrong").hint("try another than hunter22");
        failure.tail = vec!["first".to_owned(), "PGPASSWORD=hunter22".to_owned()];
        failure.log = Some("/var/log/x".to_owned());
        let told = conceal(&secrets, failure);
        assert!(!format!("{told:?}").contains("hunter22"), "{told:?}");
        let mark = crate::secret::mark("database.password");
        assert_eq!(told.what, format!("use {mark}"));
        assert_eq!(told.why, format!("{mark} is wrong"));
        assert_eq!(told.tail, ["first".to_owned(), format!("PGPASSWORD={mark}")]);
        assert_eq!(told.hint, Some(format!("try another than {mark}")));
        assert_eq!(told.log.as_deref(), Some("/var/log/x"));
    }
}
