//! Executing a plan: journal first, act second, prove last.
//!
//! The same function starts a run and resumes one: whatever is already so is passed over, whatever was begun
//! is made again (actions are idempotent), and the first record of how to get back is kept.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::action::{Action, Cx, Progress, Verdict, service};
use crate::answers::OnFailure;
use crate::engine::data;
use crate::engine::event::{Ended, Step, What};
use crate::engine::journal::{Journal, Record};
use crate::engine::manifest::{Contents, Manifest};
use crate::engine::rollback::{self, Options};
use crate::engine::runs::RunDir;
use crate::engine::undo::{Undo, carry};
use crate::error::{Exit, Failure, Outcome};
use crate::host::{Host, Stamp};
use crate::plan::{Plan, Planned, PlannedProof};
use crate::proof;
use crate::secret::Secrets;

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
    /// Whether somebody asked the run to stop; looked at between actions.
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

/// Works through the plan from wherever the journal says it is.
pub fn execute(job: &Job<'_>, journal: &mut Journal) -> Exit {
    let resumed = !journal.entries().is_empty();
    (job.emit)(What::RunStarted {
        run: job.dir.id.clone(),
        guide: job.plan.title.clone(),
        resumed,
        actions: job.plan.actions.iter().map(|a| step(&a.id, &a.stage, &a.describe)).collect(),
        proofs: job.plan.proofs.iter().map(|p| step(&p.id, &p.stage, &p.describe)).collect(),
    });
    let exit = match work(job, journal) {
        Ok(exit) => exit,
        Err(Trouble { step, failure, proof }) => give_up(job, journal, step, *failure, proof),
    };
    (job.emit)(What::RunEnded { exit, changed: journal.standing() });
    exit
}

/// The step that ended the run early.
struct Trouble {
    step: String,
    failure: Box<Failure>,
    proof: bool,
}

impl Trouble {
    fn in_step(step: &str) -> impl FnOnce(Failure) -> Self + '_ {
        move |failure| Self { step: step.to_owned(), failure: Box::new(failure), proof: false }
    }
}

fn work(job: &Job<'_>, journal: &mut Journal) -> Result<Exit, Trouble> {
    let engine = Trouble::in_step("bringup");
    base_manifest(job).map_err(engine)?;
    for planned in &job.plan.actions {
        match (job.stop)() {
            Some(Stop::Pause) => {
                (job.emit)(What::Note { text: "stopped between two steps; `bringup resume` goes on".to_owned() });
                return Ok(Exit::Incomplete);
            }
            Some(Stop::Cancel) => {
                return Err(Trouble::in_step(&planned.id)(Failure::new("go on", "somebody asked to stop")));
            }
            None => {}
        }
        act(job, journal, planned).map_err(Trouble::in_step(&planned.id))?;
    }
    for proof in &job.plan.proofs {
        prove(job, proof).map_err(|failure| Trouble {
            step: proof.id.clone(),
            failure: Box::new(failure),
            proof: true,
        })?;
    }
    finish(job, journal, Exit::Done).map_err(Trouble::in_step("bringup"))?;
    Ok(Exit::Done)
}

/// Looks at the disk before the first change, once a run.
fn base_manifest(job: &Job<'_>) -> Outcome<()> {
    let done = job.dir.file("base.manifest");
    if job.host.stat(&done).map_err(|e| Failure::new("look at the run", e))?.is_some() {
        return Ok(());
    }
    let mut contents = Contents::new();
    let manifest = Manifest::take(job.host, None, &mut contents)?;
    manifest.save(job.host, job.dir, "base", &contents)
}

fn act(job: &Job<'_>, journal: &mut Journal, planned: &Planned) -> Outcome<()> {
    let start = job.host.now();
    (job.emit)(What::ActionStarted { action: planned.id.clone() });
    let ended = make_so(job, journal, planned);
    let how = match &ended {
        Ok(changed) if *changed => Ended::Changed,
        Ok(_) => Ended::AlreadySo,
        Err(_) => Ended::Failed,
    };
    (job.emit)(What::ActionEnded { action: planned.id.clone(), ended: how, millis: millis(start, job.host.now()) });
    ended.map(|_| ())
}

/// Makes the host as the action wants it; tells whether it had to change anything in this run.
fn make_so(job: &Job<'_>, journal: &mut Journal, planned: &Planned) -> Outcome<bool> {
    let blobs = job.dir.blobs();
    let log = job.dir.log(&planned.id);
    let progress = |progress: Progress| {
        let progress = conceal_progress(job.secrets, progress);
        (job.emit)(What::ActionProgress { action: planned.id.clone(), progress });
    };
    let seen = journal.clone();
    let changed = |other: &str| seen.changed_since(&planned.id, other);
    let cx =
        Cx { host: job.host, secrets: job.secrets, blobs: &blobs, log: &log, changed: &changed, progress: &progress };
    let act = planned.action.act();

    let begun = journal.entry(&planned.id).is_some_and(|entry| !entry.undone);
    let unfinished = journal.entry(&planned.id).is_some_and(|entry| !entry.undone && !entry.ended);
    let verdict = act.check(&cx)?;
    if verdict == Verdict::AlreadySo && !unfinished {
        return Ok(begun);
    }
    if !begun || !unfinished {
        // A second begin of an action that ended keeps the first way back: see `Journal::write`.
        let undo = if begun { Vec::new() } else { act.prepare(&cx)? };
        let record = Record::Begin { action: planned.id.clone(), stage: planned.stage.clone(), undo };
        journal.write(job.host, record)?;
    }
    // What a crash interrupted is made again even if it looks finished: looks are not proof.
    act.apply(&cx)?;
    let undo = journal.entry(&planned.id).map(|entry| entry.undo.clone()).unwrap_or_default();
    let record = Record::End { action: planned.id.clone(), wrote: wrote(job.host, &undo)? };
    journal.write(job.host, record)?;
    Ok(true)
}

/// What stands now at the paths that an action writes, so that later changes by others are seen.
fn wrote(host: &dyn Host, undo: &[Undo]) -> Outcome<BTreeMap<PathBuf, String>> {
    let mut out = BTreeMap::new();
    for path in undo.iter().filter_map(Undo::path) {
        if let Some(fingerprint) = carry::written(host, path)? {
            out.insert(path.to_owned(), fingerprint);
        }
    }
    Ok(out)
}

fn prove(job: &Job<'_>, planned: &PlannedProof) -> Outcome<()> {
    let start = job.host.now();
    (job.emit)(What::ProofStarted { proof: planned.id.clone() });
    let result =
        planned.proof.prove(&proof::Cx { host: job.host, secrets: job.secrets }).map_err(|f| conceal(job.secrets, f));
    (job.emit)(What::ProofEnded {
        proof: planned.id.clone(),
        evidence: result.as_ref().ok().map(|evidence| job.secrets.conceal(evidence)),
        failure: result.as_ref().err().cloned(),
        millis: millis(start, job.host.now()),
    });
    result.map(|_| ())
}

/// Records what stands now, so that a rollback months later can tell ours from theirs.
fn finish(job: &Job<'_>, journal: &mut Journal, exit: Exit) -> Outcome<()> {
    let data = data::fingerprints(job.host, journal);
    if let Some((base, _)) = Manifest::load(job.host, job.dir, "base")? {
        let mut contents = Contents::new();
        let post = Manifest::take(job.host, Some(&base), &mut contents)?;
        // What the run wrote itself, passwords too, need not lie here once more.
        rollback::reconcile::keep_needed(&post, &mut contents);
        post.save(job.host, job.dir, "post", &contents)?;
    }
    journal.write(job.host, Record::Finished { exit, data })
}

/// The first error is told and recorded before anything is undone, so that nothing hides it.
fn give_up(job: &Job<'_>, journal: &mut Journal, step: String, failure: Failure, proof: bool) -> Exit {
    let (step, failure) = if proof { culprit(job, step, failure) } else { (step, failure) };
    let mut failure = conceal(job.secrets, failure);
    let log = job.dir.log(&step);
    if failure.log.is_none() && job.host.stat(&log).ok().flatten().is_some() {
        failure.log = Some(log.display().to_string());
    }
    (job.emit)(What::Failed { step: step.clone(), failure: failure.clone() });
    if let Err(write) = journal.write(job.host, Record::Failed { step, failure }) {
        // A full disk must not keep us from going back.
        (job.emit)(What::Note { text: write.to_string() });
    }
    match job.on_failure {
        OnFailure::Stop if proof => match finish(job, journal, Exit::ProofFailed) {
            Ok(()) => Exit::ProofFailed,
            Err(_) => Exit::Incomplete,
        },
        OnFailure::Stop => Exit::Incomplete,
        OnFailure::Rollback => match rollback::roll_back(job.host, job.dir, journal, &Options::default(), job.emit) {
            Ok(report) if report.errors.is_empty() => Exit::RolledBack,
            Ok(_) => Exit::Incomplete,
            Err(failure) => {
                (job.emit)(What::Failed { step: "rollback".to_owned(), failure });
                Exit::Incomplete
            }
        },
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

fn step(id: &str, stage: &str, describe: &str) -> Step {
    Step { id: id.to_owned(), stage: stage.to_owned(), describe: describe.to_owned() }
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

fn conceal_progress(secrets: &Secrets, progress: Progress) -> Progress {
    match progress {
        Progress::Percent { percent, note } => Progress::Percent { percent, note: secrets.conceal(&note) },
        Progress::Note(note) => Progress::Note(secrets.conceal(&note)),
        Progress::Output(line) => Progress::Output(secrets.conceal(&line)),
        Progress::Deadline { at, left, note } => Progress::Deadline { at, left, note: secrets.conceal(&note) },
    }
}

fn millis(start: Stamp, end: Stamp) -> u64 {
    let of = |stamp: Stamp| Duration::new(u64::try_from(stamp.sec).unwrap_or(0), stamp.nsec.min(999_999_999));
    u64::try_from(of(end).saturating_sub(of(start)).as_millis()).unwrap_or(u64::MAX)
}
