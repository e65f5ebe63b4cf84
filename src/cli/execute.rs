//! The process that works: started detached, it holds the lock, changes the host and writes events.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::engine::data;
use crate::engine::detach::{self, Lock};
use crate::engine::event::{Event, EventKind};
use crate::engine::journal::Journal;
use crate::engine::replan;
use crate::engine::rollback::{self, Layer, Options};
use crate::engine::run::{self, RunContext, Stop};
use crate::engine::runs::{self, RunDir};
use crate::engine::secret_store;
use crate::error::{Exit, Failure, Outcome};
use crate::host::Host;
use crate::state_dir;

/// Carries out the plan of a run, or rolls it back, and others with it.
pub(super) fn execute(host: &dyn Host, id: &str, rollback: Option<(&Options, &[String])>) -> Exit {
    let dir = RunDir::of(id);
    let events = dir.file(if rollback.is_some() { runs::ROLLBACK_EVENTS } else { runs::EVENTS });
    let emit = |what: EventKind| {
        let event = Event { at: host.now(), what };
        if let Ok(mut line) = serde_json::to_vec(&event) {
            line.push(b'\n');
            // Anyone who follows misses a line; the run itself does not depend on it.
            let _ = host.append_lazily(&events, &line);
        }
    };
    match work(host, &dir, rollback, &emit) {
        Ok(exit) => exit,
        Err(failure) => {
            // On a full disk there is else no room to say so.
            state_dir::release(host);
            emit(EventKind::Failed { step: "bringup".to_owned(), failure });
            emit(EventKind::RunEnded { exit: Exit::Incomplete, changed: 0 });
            Exit::Incomplete
        }
    }
}

fn work(
    host: &dyn Host,
    dir: &RunDir,
    rollback: Option<(&Options, &[String])>,
    emit: &(dyn Fn(EventKind) + Sync),
) -> Outcome<Exit> {
    let _lock = lock(host, &dir.id)?;
    // It has been read, and may hold a proxy's password.
    let _ = host.remove(&dir.file("environment"));
    let pause = signals().map_err(|e| Failure::new("listen for signals", e))?;
    state_dir::reserve(host);
    let mut journal = dir.begin(host)?;
    runs::note_standing(host, Some(&dir.id))?;
    let exit = match rollback {
        Some((options, with)) => take_back(host, dir, &mut journal, with, options, emit),
        None => go_on(host, dir, &mut journal, &pause, emit),
    };
    runs::note_standing(host, None)?;
    exit
}

fn go_on(
    host: &dyn Host,
    dir: &RunDir,
    journal: &mut Journal,
    pause: &AtomicBool,
    emit: &(dyn Fn(EventKind) + Sync),
) -> Outcome<Exit> {
    replan::recover(host, dir, journal)?;
    let plan = dir.plan(host)?;
    let secrets = secret_store::adopt(host, &plan.application())?;
    let cancel = dir.file("cancel");
    let stop = || {
        if pause.load(Ordering::Relaxed) {
            return Some(Stop::Pause);
        }
        host.stat(&cancel).ok().flatten().map(|_| Stop::Abort)
    };
    let settings = dir.settings(host)?;
    let context =
        RunContext { host, dir, plan: &plan, secrets: &secrets, on_failure: settings.on_failure, emit, stop: &stop };
    let all = runs::all(host, Some(&dir.id))?;
    let untouched = data::untouched(host, runs::standing(&all));
    let exit = run::execute(&context, journal);
    data::note_again(host, &untouched)?;
    if exit == Exit::RolledBack && journal.rolled_back.is_some() {
        forget_secrets(host, dir, journal)?;
    } else if matches!(exit, Exit::Done | Exit::ProofFailed) {
        // Other answers may have given the application another name.
        secret_store::forget_unused(host, &plan.guide, &runs::all(host, Some(&dir.id))?)?;
    }
    Ok(exit)
}

fn take_back(
    host: &dyn Host,
    dir: &RunDir,
    journal: &mut Journal,
    with: &[String],
    options: &Options,
    emit: &(dyn Fn(EventKind) + Sync),
) -> Outcome<Exit> {
    let open = |id: &String| -> Outcome<(RunDir, Journal)> {
        let dir = RunDir::of(id);
        let journal = Journal::open(host, &dir.file("journal.jsonl"))?;
        Ok((dir, journal))
    };
    let mut others = with.iter().map(open).collect::<Outcome<Vec<_>>>()?;
    let mut layers = vec![Layer { dir, journal }];
    layers.extend(others.iter_mut().map(|(dir, journal)| Layer { dir, journal }));
    let report = rollback::together(host, &mut layers, options, emit)?;
    if report.errors.is_empty() && options.stage.is_none() {
        for layer in &layers {
            forget_secrets(host, layer.dir, layer.journal)?;
        }
    }
    let exit = if report.errors.is_empty() { Exit::Done } else { Exit::Incomplete };
    emit(EventKind::RunEnded { exit, changed: 0 });
    Ok(exit)
}

/// Secrets and before-images of a run that is rolled back would only serve a thief. A run with deferred records keeps
/// what the rest of its rollback needs.
fn forget_secrets(host: &dyn Host, dir: &RunDir, journal: &Journal) -> Outcome<()> {
    let all = runs::all(host, None)?;
    if runs::standing(&all).next().is_none() {
        state_dir::release(host);
    }
    secret_store::give_back(host, dir, &journal.header.guide, &all)?;
    runs::forget_images(host, &all)
}

/// An earlier version that looks whether a run works holds the lock for a moment: try for a second.
fn lock(host: &dyn Host, id: &str) -> Outcome<Lock> {
    for _ in 0..20 {
        if let Some(lock) = detach::lock(host, id)? {
            return Ok(lock);
        }
        host.sleep(Duration::from_millis(50));
    }
    let other = detach::running(host).unwrap_or_default();
    Err(Failure::new("start", format!("run {other} is in progress")).hint("bringup attach shows it"))
}

/// INT, TERM and HUP only ask for a pause between two actions; a lost terminal must not stop a run.
fn signals() -> io::Result<Arc<AtomicBool>> {
    let pause = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&pause))?;
    }
    signal_hook::flag::register(signal_hook::consts::SIGHUP, Arc::new(AtomicBool::new(false)))?;
    Ok(pause)
}
