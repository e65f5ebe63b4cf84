//! What bringup itself did here before, and whether it is at work.

use super::{Finding, ok, problem, warning};
use crate::engine::detach;
use crate::engine::runs::{self, RunStatus};
use crate::error::Failure;
use crate::facts::Facts;
use crate::host::Host;

pub(crate) fn runs(host: &dyn Host, facts: &Facts) -> Finding {
    if !facts.root {
        return ok(match facts.applied.as_slice() {
            [] => "no run is in place; only root can see runs that were interrupted".to_owned(),
            guides => format!("{} is in place; only root can see its runs", guides.join(", ")),
        });
    }
    let running = detach::running(host);
    if let Some(id) = &running {
        return problem(format!("run {id} is working now"), "`bringup attach` shows it, `bringup abort` rolls it back");
    }
    let all = match runs::all(host, None) {
        Ok(all) => all,
        Err(Failure { why, .. }) => {
            return warning(format!("the records of earlier runs cannot be read: {why}"), "see /var/lib/bringup/runs");
        }
    };
    let standing: Vec<_> = runs::standing(&all).collect();
    for run in &standing {
        let id = &run.dir.id;
        match run.state {
            RunStatus::Unfinished => {
                return problem(
                    format!("run {id} was interrupted"),
                    "`bringup resume` goes on, `bringup rollback` rolls it back",
                );
            }
            RunStatus::RollbackUnfinished => {
                return problem(format!("the rollback of run {id} was interrupted"), "`bringup rollback` goes on");
            }
            RunStatus::Running | RunStatus::Done | RunStatus::ProofFailed | RunStatus::RolledBack => {}
        }
    }
    if let Some(run) = standing.iter().find(|run| run.state == RunStatus::ProofFailed) {
        return warning(
            format!("run {} is in place, but a proof of it failed", run.dir.id),
            "`bringup verify` tries it again, `bringup rollback` rolls it back",
        );
    }
    let ids: Vec<&str> = standing.iter().map(|run| run.dir.id.as_str()).collect();
    ok(if ids.is_empty() { "no run is in place".to_owned() } else { format!("in place: {}", ids.join(", ")) })
}
