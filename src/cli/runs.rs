//! `verify`, `attach`, `abort`, `resume`: commands about runs, and following one.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use signal_hook::consts::SIGINT;
use signal_hook::flag;

use crate::answers::OnFailure;
use crate::cli::{Output, decide, wizard};
use crate::engine::decision::{self, Waiting};
use crate::engine::detach;
use crate::engine::health::{self, verify};
use crate::engine::runs::{self, Run, RunDir, RunStatus, Settings};
use crate::error::{Exit, Failure, Outcome};
use crate::host::Host;
use crate::plan::Plan;
use crate::proof;
use crate::state_dir;
use crate::ui::estimate::Expected;
use crate::ui::follow::{Followed, follow as follow_events};
use crate::ui::{report, stdio, tty_caps};

/// Proves again what the last run of each installation promised.
pub(super) fn verify(host: &dyn Host, output: Output) -> Exit {
    with_runs(host, |runs| {
        let installed = health::installed(host, runs);
        // What is rolled back is not there to be proven.
        let mut untried = Vec::new();
        let mut stages = BTreeSet::new();
        for (it, plan) in
            installed.iter().filter(|it| it.ended.is_some()).filter_map(|it| Some((it, it.plan.as_ref()?)))
        {
            stages.extend(it.gone.iter().map(|stage| title(plan, stage)));
            let gone = plan.proofs.iter().filter(|planned| it.gone.contains(&planned.stage));
            untried.extend(gone.map(|planned| (planned.id.clone(), planned.describe.clone(), planned.stage.clone())));
        }
        let results = RefCell::new(Vec::new());
        verify::verify(host, runs, &installed, &|_, planned, result| {
            if !output.json {
                stdio::print(&report::proof_line(host, &planned.describe, result));
            }
            results.borrow_mut().push((planned.id.clone(), planned.describe.clone(), result.clone()));
        })?;
        let results = results.into_inner();
        let failed = results.iter().filter(|(_, _, result)| result.is_err()).count();
        if output.json {
            let tried = results.iter().map(|(id, describe, result)| {
                json!({
                    "proof": id, "describe": describe, "evidence": result.as_ref().ok(),
                    "failure": result.as_ref().err(), "outcome": outcome(result),
                })
            });
            let untried = untried.iter().map(|(id, describe, stage)| {
                json!({ "proof": id, "describe": describe, "not_verified": format!("stage {stage} is rolled back") })
            });
            let list: Vec<_> = tried.chain(untried).collect();
            stdio::json(&format!("{:#}\n", json!(list)));
        } else if results.is_empty() && stages.is_empty() {
            stdio::print("Nothing to verify: no finished run is in place on this server.\n");
        } else {
            let not_tried = results.iter().filter(|(_, _, result)| outcome(result) == "not_tried").count();
            let not_tried = if not_tried == 0 { String::new() } else { format!(", {not_tried} not tried") };
            let passed = results.iter().filter(|(_, _, result)| outcome(result) == "passed").count();
            stdio::print(&format!("{passed} passed, {failed} failed{not_tried}.\n"));
            stdio::print(&report::not_verified(
                &stages,
                &untried.iter().map(|(_, what, _)| what.as_str()).collect::<Vec<_>>(),
            ));
        }
        Ok(if failed == 0 { Exit::Done } else { Exit::ProofFailed })
    })
}

/// How a proof ended, as programs read it.
fn outcome(result: &Outcome<String>) -> &'static str {
    match result {
        Ok(evidence) if proof::not_tried(evidence).is_some() => "not_tried",
        Ok(_) => "passed",
        Err(_) => "failed",
    }
}

/// Follows the run that works now.
pub(super) fn attach(host: &dyn Host, output: Output) -> Exit {
    let id = match at_work(host) {
        Ok(id) => id,
        Err(why) => {
            stdio::error(why);
            return Exit::Rejected;
        }
    };
    if !output.plain
        && !output.json
        && tty_caps::interactive(host)
        && let Some(exit) = wizard::attach(host, &id)
    {
        return exit;
    }
    follow(host, &RunDir::of(&id), output)
}

/// Asks the active run to roll back everything.
pub(super) fn abort(host: &dyn Host) -> Exit {
    let id = match at_work(host) {
        Ok(id) => id,
        Err(why) => {
            stdio::error(why);
            return Exit::Rejected;
        }
    };
    match detach::ask_to_stop(host, &RunDir::of(&id)) {
        Ok(()) => {
            stdio::print(&format!(
                "Run {id} ends after its current step and rolls everything back; `bringup attach` shows it.\n"
            ));
            Exit::Done
        }
        Err(failure) => internal(&failure),
    }
}

/// Goes on with an interrupted run.
pub(super) fn resume(host: &dyn Host, yes: bool, on_failure: Option<OnFailure>, output: Output) -> Exit {
    detach::await_killed(host);
    with_runs(host, |runs| {
        let interrupted =
            runs.iter().find(|run| matches!(run.state, RunStatus::Unfinished | RunStatus::RollbackUnfinished));
        let Some(run) = interrupted else {
            stdio::print("There is nothing to resume.\n");
            return Ok(Exit::Done);
        };
        if run.state == RunStatus::RollbackUnfinished {
            stdio::error(&format!(
                "The rollback of run {} was interrupted: `bringup rollback` continues it.\n",
                run.dir.id
            ));
            return Ok(Exit::Rejected);
        }
        if !yes && tty_caps::interactive(host) && !tty_caps::confirm(host, &format!("Resume run {}?", run.dir.id)) {
            return Ok(Exit::Rejected);
        }
        if let Some(on_failure) = on_failure {
            let settings = run.dir.settings(host)?;
            run.dir.keep_settings(host, &Settings { on_failure, ..settings })?;
        }
        detach::keep_program(host, &run.dir)?;
        detach::start(host, &run.dir, &[])?;
        Ok(follow(host, &run.dir, output))
    })
}

/// The message on leaving a run that works.
const GOES_ON: &str = "\nThe run continues in the background. `bringup attach` shows it again,\n`bringup abort` ends \
    it after its current step and rolls everything back.\n";

/// Prints again, after a full screen was closed, how a run ended, or that it continues.
pub(super) fn said(host: &dyn Host, dir: &RunDir, ended: Option<Exit>) {
    match ended {
        Some(exit) => {
            await_end(host, dir);
            report::after(host, dir, exit);
        }
        None => stdio::error(GOES_ON),
    }
}

/// Waits for a run's last lines of bookkeeping, at most five seconds, so that the next command does not find it locked.
fn await_end(host: &dyn Host, dir: &RunDir) {
    for _ in 0..250 {
        if detach::running(host).as_deref() != Some(dir.id.as_str()) {
            return;
        }
        host.sleep(Duration::from_millis(20));
    }
}

/// Follows a run to its end and says how it ended.
pub(super) fn follow(host: &dyn Host, dir: &RunDir, output: Output) -> Exit {
    // Ctrl-C ends the following, never the run: a slipped finger must not undo half an hour.
    let (interrupted, reading) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    // A line that is being read hears of nothing else: there Ctrl-C ends the program, as ever.
    let leaving = flag::register_conditional_default(SIGINT, Arc::clone(&reading));
    let watching = flag::register(SIGINT, Arc::clone(&interrupted));
    let mut renderer = tty_caps::renderer(host, output.json, output.plain, || Expected::read(host, dir));
    let alive = || detach::running(host).as_deref() == Some(dir.id.as_str());
    let events = dir.events(host);
    let stopped = || interrupted.load(Ordering::Relaxed);
    let mut ask = |waiting: &Waiting| decide::ask(host, dir, waiting, output, &reading);
    let followed = follow_events(host, &events, renderer.as_mut(), &alive, &stopped, &mut ask);
    for id in [leaving, watching].into_iter().flatten() {
        signal_hook::low_level::unregister(id);
    }
    match followed {
        Followed::Ended(exit) => {
            await_end(host, dir);
            if !output.json {
                report::after(host, dir, exit);
            }
            exit
        }
        Followed::Left if decision::waiting(host, dir).is_ok_and(|waiting| waiting.is_some()) => {
            stdio::error(
                "\nThe run waits for a decision: `bringup attach` asks again, `bringup decide` answers,\n`bringup \
                 abort` rolls everything back.\n",
            );
            Exit::Interrupted
        }
        Followed::Left => {
            stdio::error(GOES_ON);
            Exit::Interrupted
        }
        Followed::Died => {
            let why = state_dir::trouble(host).map_or(String::new(), |why| format!(": {why}. Fix that first"));
            stdio::error(&format!(
                "The process of run {} died before the run finished{why}.\n`bringup resume` continues, `bringup \
                 rollback` rolls everything back.\n",
                dir.id
            ));
            Exit::Incomplete
        }
    }
}

const NEEDS_ROOT: &str = "error: only root can read the records of runs; run it again with sudo.\n";

/// The run that works now, or why we cannot name one: others than root see no run at all.
fn at_work(host: &dyn Host) -> Result<String, &'static str> {
    if host.euid() != 0 {
        return Err(NEEDS_ROOT);
    }
    detach::running_or_starting(host)
        .ok_or("Nothing is running. `bringup status` shows what is in place, `bringup history` every run.\n")
}

pub(super) fn with_runs(host: &dyn Host, then: impl FnOnce(&[Run]) -> Outcome<Exit>) -> Exit {
    if host.euid() != 0 {
        stdio::error(NEEDS_ROOT);
        return Exit::Rejected;
    }
    let running = detach::running(host);
    match runs::all(host, running.as_deref()).and_then(|runs| then(&runs)) {
        Ok(exit) => exit,
        Err(failure) => internal(&failure),
    }
}

/// What people know a stage by.
fn title(plan: &Plan, stage: &str) -> String {
    plan.stages.iter().find(|known| known.id == stage).map_or_else(|| stage.to_owned(), |known| known.title.clone())
}

fn internal(failure: &Failure) -> Exit {
    told(failure);
    Exit::Internal
}

pub(super) fn told(failure: &Failure) {
    stdio::error(&format!("error: {failure}\n"));
    if let Some(hint) = &failure.hint {
        stdio::error(&format!("hint: {hint}\n"));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::host::fake::FakeHost;

    #[test]
    fn another_user_is_told_that_it_takes_root_and_not_that_nothing_runs() {
        let host = FakeHost::new();
        host.make_dir(std::path::Path::new(crate::state_dir::STATE_DIR), crate::host::Meta::root(0o755)).unwrap();
        assert!(at_work(&host).unwrap_err().starts_with("Nothing is running"));
        let lock = detach::lock(&host, "20260101-000000-webapp").unwrap().unwrap();
        assert_eq!(at_work(&host).as_deref(), Ok("20260101-000000-webapp"));
        drop(lock);
        assert!(at_work(&host.as_user(1000)).unwrap_err().contains("only root"));
    }
}
