//! `status` and `history`: what is applied on this server, its health, and every run.

use std::sync::Mutex;

use serde_json::json;

use crate::cli::Output;
use crate::cli::runs::with_runs;
use crate::engine::decision::{self, Waiting};
use crate::engine::health::{self, Installed};
use crate::engine::old_releases;
use crate::engine::rollback::shared::words;
use crate::engine::runs::{self, Run, RunStatus};
use crate::error::Exit;
use crate::host::Host;
use crate::plan::tally::number;
use crate::ui::health::{Health, page};
use crate::ui::{ask, stdio, tty_caps};
use crate::visible;

/// Shows what is applied on this server, and its health.
pub(super) fn status(host: &dyn Host, output: Output) -> Exit {
    with_runs(host, |runs| {
        let standing: Vec<&Run> = runs::standing(runs).collect();
        let waiting_runs: Vec<&Run> = runs.iter().filter(|run| run.waits()).collect();
        let installed = health::installed(host, runs);
        let health = look(host, runs, &installed);
        if output.json {
            let of = |run: &&Run| installed.iter().position(|it| it.run == run.dir.id);
            let records = standing.iter().chain(&waiting_runs).map(|run| {
                let mut record = record(host, run);
                if let Some(at) = of(run) {
                    let findings: Vec<_> = health.of(Some(at)).chain(health.of(None)).collect();
                    record["health"] = json!(findings);
                    record["address"] = json!(installed[at].application.address);
                }
                record
            });
            stdio::json(&format!("{:#}\n", json!(records.collect::<Vec<_>>())));
            return Ok(Exit::Done);
        }
        if standing.is_empty() {
            stdio::print("No change of bringup's is in place on this server.\n");
        } else {
            stdio::print(&format!("{}\n", page(tty_caps::look(host), &installed, &health, true)));
        }
        for run in standing {
            stdio::print(&line(host, run));
            if let Some(waiting) = waiting(host, run) {
                stdio::print(&format!("  {}\n", visible::line(&ask::standing(&waiting))));
            }
            for step in run.journal.skipped() {
                stdio::print(&format!("  skipped: {}\n", visible::line(step)));
            }
        }
        for run in waiting_runs {
            stdio::print(&line(host, run));
            let left: Vec<_> = run.journal.deferred().flat_map(|entry| entry.undo.clone()).collect();
            if !left.is_empty() {
                stdio::print(&format!("  still used by others: {}\n", words(&left)));
            }
        }
        Ok(Exit::Done)
    })
}

/// The health of what is applied. While a run works, the result would be out of date at once.
pub(super) fn look(host: &dyn Host, all: &[Run], installed: &[Installed]) -> Health {
    let found = Mutex::new(Health::default());
    if !installed.is_empty() && !all.iter().any(|run| run.state == RunStatus::Running) {
        health::look(host, all, installed, &|at, finding| {
            if let Ok(mut found) = found.lock() {
                found.learn(at, finding);
            }
        });
    }
    found.into_inner().unwrap_or_default()
}

/// Lists all runs.
pub(super) fn history(host: &dyn Host, output: Output) -> Exit {
    with_runs(host, |runs| {
        if output.json {
            stdio::json(&format!("{:#}\n", json!(runs.iter().map(|run| record(host, run)).collect::<Vec<_>>())));
            return Ok(Exit::Done);
        }
        if runs.is_empty() {
            stdio::print("bringup has not changed anything on this server yet.\n");
        }
        for run in runs {
            stdio::print(&line(host, run));
        }
        Ok(Exit::Done)
    })
}

/// One line about a run.
pub(super) fn line(host: &dyn Host, run: &Run) -> String {
    let state = match run.state {
        RunStatus::Running => "running",
        RunStatus::Unfinished => "interrupted: resume or rollback",
        RunStatus::RollbackUnfinished => "rollback interrupted: rollback",
        RunStatus::Done => "done",
        RunStatus::ProofFailed => "done, but a proof failed",
        RunStatus::RolledBack if run.waits() => "rolled back, except what others use",
        RunStatus::RolledBack => "rolled back",
    };
    let (id, guide) = (visible::line(&run.dir.id), visible::line(&run.journal.header.guide));
    let gone = old_releases::missing_before(host, run).is_some();
    let gone = if gone { "; the release before it is no longer kept" } else { "" };
    format!("{id:<32} {guide:<14} {:>11}  {state}{gone}\n", number(run.journal.standing(), "change"))
}

/// What a run waits for, when its process lives and waits.
fn waiting(host: &dyn Host, run: &Run) -> Option<Waiting> {
    (run.state == RunStatus::Running).then(|| decision::waiting(host, &run.dir).ok().flatten()).flatten()
}

fn record(host: &dyn Host, run: &Run) -> serde_json::Value {
    json!({
        "run": run.dir.id,
        "guide": run.journal.header.guide,
        "state": run.state,
        "plan": run.journal.plan,
        "at": run.journal.header.at.sec,
        "changes": run.journal.standing(),
        "stages_rolled_back": run.journal.stages_rolled_back,
        "skipped": run.journal.skipped().collect::<Vec<_>>(),
        "waiting": waiting(host, run),
        "used_by": run.journal.waits,
        "missing_release": old_releases::missing_before(host, run),
        "directory": run.dir.path,
    })
}
