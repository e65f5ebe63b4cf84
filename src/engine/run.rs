//! Executing a plan: journal first, act second, prove last.
//!
//! The same function starts a run and resumes one: whatever is already so is passed over, whatever was begun
//! is made again (actions are idempotent), and the first record of how to get back is kept.

use std::time::Duration;

use ask::ask;
use step::Step;

use crate::action::carry::CARRY;
use crate::action::{Action, service};
use crate::answers::OnFailure;
use crate::engine::event::{self, What};
use crate::engine::journal::{Journal, Record};
use crate::engine::rollback::{self, Options};
use crate::engine::runs::RunDir;
use crate::engine::secret_store;
use crate::engine::window::Tracker;
use crate::engine::{data, decision, replan};
use crate::error::{Exit, Failure, Outcome};
use crate::host::Host;
use crate::plan::Plan;
use crate::secret::Secrets;
use crate::undo::deadman;
use crate::undo::manifest::{Contents, Manifest};

mod ask;
mod step;

/// Everything that one execution works with.
pub struct Job<'a> {
    /// The machine.
    pub host: &'a dyn Host,
    /// The run's files.
    pub dir: &'a RunDir,
    /// What to do.
    pub plan: &'a Plan,
    /// Values for the marks in the plan.
    pub secrets: &'a Secrets,
    /// What to do when a step fails.
    pub on_failure: OnFailure,
    /// Where events go.
    pub emit: &'a (dyn Fn(What) + Sync),
    /// Whether somebody asked the run to stop; looked at between two steps, and while it waits.
    pub stop: &'a (dyn Fn() -> Option<Stop> + Sync),
}

/// How a run can be asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// At the next edge, to be resumed later: the machine shuts down.
    Pause,
    /// At the next edge, and take everything back.
    Cancel,
}

/// Works through the plan from wherever the journal says it is, or through another one that somebody puts in its
/// place on the way.
pub fn execute(job: &Job<'_>, journal: &mut Journal) -> Exit {
    // What was asked before a crash is asked again when it comes to it.
    decision::close(job.host, job.dir);
    // And a change that a crash left unconfirmed is taken back before anything is looked at.
    deadman::put_back_now(job.host, CARRY);
    let mut other: Option<(Plan, Secrets)> = None;
    let exit = loop {
        let job = match &other {
            Some((plan, secrets)) => Job { plan, secrets, ..*job },
            None => Job { ..*job },
        };
        match through(&job, journal, other.is_some()) {
            End::Exit(exit) => break exit,
            End::Replanned(plan) => {
                let secrets = secret_store::load(job.host, &plan.application());
                other = Some((*plan, secrets));
            }
        }
    };
    (job.emit)(What::RunEnded { exit, changed: journal.standing() });
    exit
}

/// How working on one plan ended.
enum End {
    Exit(Exit),
    /// Go on with this plan.
    Replanned(Box<Plan>),
}

/// What follows a failure.
enum Next {
    Exit(Exit),
    /// Go on with the step at this place.
    From(usize),
    Replanned(Box<Plan>),
}

/// The step that could not be done.
struct Trouble {
    step: String,
    failure: Box<Failure>,
    cause: Cause,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Cause {
    Action,
    Proof,
    Cancelled,
}

impl Trouble {
    fn in_step(step: &str) -> impl FnOnce(Failure) -> Self + '_ {
        move |failure| Self { step: step.to_owned(), failure: Box::new(failure), cause: Cause::Action }
    }
}

/// Works through one plan until it ends or another takes its place.
fn through(job: &Job<'_>, journal: &mut Journal, replanned: bool) -> End {
    let resumed = replanned || !journal.entries().is_empty();
    let steps = Step::all(job.plan);
    let mut announced = false;
    let mut at = 0;
    loop {
        let begun = begin(job, journal, resumed, &mut announced).map_err(Trouble::in_step("bringup"));
        let done = begun.and_then(|mut tracker| {
            let worked = work(job, journal, &mut tracker, &steps, &mut at);
            if worked.is_err() {
                look(job, &mut tracker);
            }
            worked
        });
        let trouble = match done {
            Ok(exit) => return End::Exit(exit),
            Err(trouble) => trouble,
        };
        match give_up(job, journal, &steps, at, trouble) {
            Next::Exit(exit) => return End::Exit(exit),
            Next::From(next) => at = next,
            Next::Replanned(plan) => return End::Replanned(plan),
        }
    }
}

/// What comes before the first step.
fn begin<'a>(job: &Job<'a>, journal: &mut Journal, resumed: bool, announced: &mut bool) -> Outcome<Tracker<'a>> {
    replan::clear_away(job.host, job.dir, journal, job.emit)?;
    if !*announced {
        announce(job, resumed);
        *announced = true;
    }
    track(job)
}

/// Notes how the disk looks at a failure, so that what others do from here on is told from the run's own work.
fn look(job: &Job<'_>, tracker: &mut Tracker<'_>) {
    // Without it a rollback keeps more than it must.
    let _ = tracker.last_look().and_then(|look| look.save(job.host, &job.dir.path, "look", &Contents::new()));
}

fn announce(job: &Job<'_>, resumed: bool) {
    let step = |id: &str, stage: &str, describe: &str| event::Step {
        id: id.to_owned(),
        stage: stage.to_owned(),
        describe: describe.to_owned(),
    };
    (job.emit)(What::RunStarted {
        run: job.dir.id.clone(),
        guide: job.plan.title.clone(),
        resumed,
        actions: job.plan.actions.iter().map(|a| step(&a.id, &a.stage, &a.describe)).collect(),
        proofs: job.plan.proofs.iter().map(|p| step(&p.id, &p.stage, &p.describe)).collect(),
    });
    for warning in &job.plan.warnings {
        (job.emit)(What::Note { text: warning.clone() });
    }
}

/// Does the steps from `at` on; `at` is the one that failed when one does.
fn work(
    job: &Job<'_>,
    journal: &mut Journal,
    tracker: &mut Tracker<'_>,
    steps: &[Step<'_>],
    at: &mut usize,
) -> Result<Exit, Trouble> {
    while let Some(step) = steps.get(*at) {
        let trouble = |failure, cause| Trouble { step: step.id().to_owned(), failure: Box::new(failure), cause };
        match (job.stop)() {
            Some(Stop::Pause) => return Ok(stopped(job)),
            Some(Stop::Cancel) => {
                return Err(trouble(Failure::new("go on", "somebody asked to stop"), Cause::Cancelled));
            }
            None => {}
        }
        if journal.is_skipped(step.id()) {
            let reason = step.skip_reason().unwrap_or_default().to_owned();
            (job.emit)(What::Skipped { step: step.id().to_owned(), reason });
        } else {
            let cause = if matches!(step, Step::Proof(_)) { Cause::Proof } else { Cause::Action };
            step.perform(job, journal, tracker).map_err(|failure| trouble(failure, cause))?;
        }
        *at += 1;
    }
    finish(job, journal, tracker, Exit::Done).map_err(Trouble::in_step("bringup"))?;
    Ok(Exit::Done)
}

/// Ends between two steps, to be resumed.
fn stopped(job: &Job<'_>) -> Exit {
    (job.emit)(What::Note { text: "stopped between two steps; `bringup resume` goes on".to_owned() });
    Exit::Incomplete
}

/// Looks at the disk before the first change, once a run, and goes on with its windows.
fn track<'a>(job: &Job<'a>) -> Outcome<Tracker<'a>> {
    if let Some(base) = Manifest::load(job.host, &job.dir.path, "base")? {
        return Tracker::new(job.host, job.dir, Some(base));
    }
    let mut contents = Contents::new();
    let manifest = Manifest::take(job.host, None, &mut contents)?;
    manifest.save(job.host, &job.dir.path, "base", &contents)?;
    let tracker = Tracker::new(job.host, job.dir, Some((manifest, contents)))?;
    tracker.begin()?;
    Ok(tracker)
}

/// Records what stands now, so that a rollback months later can tell ours from theirs.
fn finish(job: &Job<'_>, journal: &mut Journal, tracker: &mut Tracker<'_>, exit: Exit) -> Outcome<()> {
    let data = data::fingerprints(job.host, journal);
    tracker.last_look()?.save(job.host, &job.dir.path, "post", &Contents::new())?;
    journal.write(job.host, Record::Finished { exit, data })
}

/// The first error is told and recorded before anything is undone, so that nothing hides it.
fn give_up(job: &Job<'_>, journal: &mut Journal, steps: &[Step<'_>], at: usize, trouble: Trouble) -> Next {
    let Trouble { step, failure, cause } = trouble;
    let (step, failure) = if cause == Cause::Proof { culprit(job, step, *failure) } else { (step, *failure) };
    let mut failure = conceal(job.secrets, failure);
    let log = job.dir.log(&step);
    if failure.log.is_none() && job.host.stat(&log).ok().flatten().is_some() {
        failure.log = Some(log.display().to_string());
    }
    (job.emit)(What::Failed { step: step.clone(), failure: failure.clone() });
    if let Err(write) = journal.write(job.host, Record::Failed { step: step.clone(), failure }) {
        // A full disk must not keep us from going back.
        (job.emit)(What::Note { text: write.to_string() });
    }
    match (cause, job.on_failure) {
        (Cause::Cancelled, _) | (_, OnFailure::Rollback) => Next::Exit(back(job, journal)),
        (_, OnFailure::Ask) => ask(job, journal, steps, at, &step),
        (Cause::Proof, OnFailure::Pause) => {
            match track(job).and_then(|mut it| finish(job, journal, &mut it, Exit::ProofFailed)) {
                Ok(()) => Next::Exit(Exit::ProofFailed),
                Err(_) => Next::Exit(Exit::Incomplete),
            }
        }
        (Cause::Action, OnFailure::Pause) => Next::Exit(Exit::Incomplete),
    }
}

/// Takes everything back.
fn back(job: &Job<'_>, journal: &mut Journal) -> Exit {
    match rollback::roll_back(job.host, job.dir, journal, &Options::default(), job.emit) {
        Ok(report) if report.errors.is_empty() => Exit::RolledBack,
        Ok(_) => Exit::Incomplete,
        Err(failure) => {
            (job.emit)(What::Failed { step: "rollback".to_owned(), failure });
            Exit::Incomplete
        }
    }
}

/// A proof fails far from its cause when a service died after its start: then the service's own words come first.
fn culprit(job: &Job<'_>, step: String, failure: Failure) -> (String, Failure) {
    // A program that cannot start may take a moment to give up.
    for _ in 0..8 {
        for planned in &job.plan.actions {
            if let Action::Service(service) = &planned.action
                && let Some(mut cause) = service::ailing(job.host, service)
            {
                cause.why = format!("{}. Therefore: {failure}", cause.why);
                return (planned.id.clone(), cause);
            }
        }
        job.host.sleep(Duration::from_millis(500));
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
