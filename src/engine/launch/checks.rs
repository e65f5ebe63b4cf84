//! Checks before the first change: no other run works, nothing conflicts, and what the guide requires exists.

use std::collections::{BTreeMap, BTreeSet};

use super::running;
use crate::action::database::running as engines;
use crate::action::{Action, Verdict};
use crate::answers::SecretSource;
use crate::engine::runs::{self, Run, RunStatus};
use crate::engine::{detach, ownership, secret_store};
use crate::error::{Failure, Outcome, Problem};
use crate::facts::probe;
use crate::host::Host;
use crate::plan::Plan;
use crate::plan::preview::{GuideChecks, Verdicts, packages, preview};
use crate::proof;
use crate::secret::Secrets;
use crate::system::packages::apt::{self, Lists};
use crate::system::packages::forecast::Forecast;

/// The result of the checks before the first change.
#[derive(Debug)]
pub enum Checked {
    /// Every action is unchanged. `proven` is false where a proof of the run in place had failed.
    NothingToDo {
        /// Whether the proofs passed when they were last tried.
        proven: bool,
    },
    /// The run can start.
    Go(Ready),
}

/// What a start needs besides the checked plan.
#[derive(Debug)]
pub struct Ready {
    /// The values of the plan's secrets.
    pub secrets: Secrets,
    /// The runs that the check has seen: with any further one, the checked state is out of date.
    pub(super) seen: BTreeSet<String>,
}

/// Checks everything that can be known before anything is changed. `sources` says where each secret comes from
/// ([`Resolved::secrets`]). Changes nothing.
pub fn check(host: &dyn Host, plan: &Plan, sources: &BTreeMap<String, SecretSource>) -> Result<Checked, Vec<Problem>> {
    check_rotating(host, plan, sources, &BTreeSet::new())
}

/// As [`check`], with new values for these generated secrets.
pub(super) fn check_rotating(
    host: &dyn Host,
    plan: &Plan,
    sources: &BTreeMap<String, SecretSource>,
    rotate: &BTreeSet<String>,
) -> Result<Checked, Vec<Problem>> {
    if host.euid() != 0 {
        let hint = "run it again with sudo; `bringup plan` needs no root";
        return Err(vec![Problem::new("changing this server needs root", hint)]);
    }
    let running = detach::running(host);
    let all = runs::all(host, running.as_deref()).map_err(|e| vec![Problem::new(e.to_string(), "")])?;
    if let Some(problem) = stopping(running.as_deref(), &all) {
        return Err(vec![problem]);
    }
    let mut kept = secret_store::load(host, &plan.application());
    for name in rotate {
        kept.remove(name);
    }
    let secrets = secret_store::gather(host, &kept, sources, &plan.secret_patterns)?;
    let verdicts = preview(host, plan, &secrets, GuideChecks::Run);
    let refused = refused(host, plan, &all, &verdicts, packages(host, plan).as_ref(), None, running::Tests::All);
    if !refused.is_empty() {
        return Err(refused);
    }
    beforehand(host, plan, &secrets)?;
    if verdicts.iter().any(|(_, verdict)| !matches!(verdict, Ok(Verdict::Unchanged))) {
        return Ok(Checked::Go(Ready { secrets, seen: all.into_iter().map(|run| run.dir.id).collect() }));
    }
    let unproven = |run: &Run| run.state == RunStatus::ProofFailed && run.is_of(host, &plan.application());
    Ok(Checked::NothingToDo { proven: !runs::standing(&all).any(unproven) })
}

/// Everything that prevents carrying out a plan on this host, from the results of checking its actions and packages.
/// `waiting` is the run that continues with the plan, if any. Changes nothing.
pub fn refused(
    host: &dyn Host,
    plan: &Plan,
    runs: &[Run],
    verdicts: &Verdicts,
    packages: Option<&Outcome<Forecast>>,
    waiting: Option<&str>,
    tests: running::Tests,
) -> Vec<Problem> {
    let arrivals = packages.and_then(|forecast| forecast.as_ref().ok()).map(Forecast::names).unwrap_or_default();
    let obstacles = obstacles(host, plan, verdicts, packages);
    let owned = ownership::problems(host, plan, runs, verdicts, &arrivals, waiting);
    // A check that fails because a thing is not ours would report the same twice.
    let told = |id: &str| owned.iter().chain(&obstacles).any(|problem| problem.path == id);
    // Without root some things cannot be read; that alone refuses nothing.
    let unseen = |failure: &Failure| host.euid() != 0 && failure.why.to_lowercase().contains("permission denied");
    let failed = verdicts.iter().filter_map(|(id, verdict)| Some((id, verdict.as_ref().err()?)));
    let failed =
        failed.filter(|(id, failure)| !told(id) && !unseen(failure)).map(|(id, failure)| Problem::in_step(id, failure));
    let mut problems: Vec<Problem> = failed.collect();
    problems.extend(obstacles);
    problems.extend(owned);
    problems.extend(running::broken_servers(host, plan, verdicts, tests));
    problems
}

/// The same for a preview, perhaps without root: ownership cannot be determined then, and is left out. A run that works
/// or was interrupted is the only problem reported: everything in place may be its.
pub fn foreseen(
    host: &dyn Host,
    plan: &Plan,
    verdicts: &Verdicts,
    packages: Option<&Outcome<Forecast>>,
) -> Vec<Problem> {
    let at_work = detach::running(host);
    match runs::all(host, at_work.as_deref()) {
        Ok(runs) => match stopping(at_work.as_deref(), &runs) {
            Some(problem) => vec![problem],
            None => refused(host, plan, &runs, verdicts, packages, None, running::Tests::Own),
        },
        Err(_) if probe::nothing_stands(host) => {
            refused(host, plan, &[], verdicts, packages, None, running::Tests::Own)
        }
        Err(_) => obstacles(host, plan, verdicts, packages),
    }
}

/// What would fail a run although each of its actions could begin: packages that apt cannot or may not install, sources
/// that cannot be fetched, engines that do not let the administrator in.
fn obstacles(host: &dyn Host, plan: &Plan, verdicts: &Verdicts, packages: Option<&Outcome<Forecast>>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut asked = Vec::new();
    for (planned, (id, verdict)) in plan.actions.iter().zip(verdicts) {
        if !matches!(verdict, Ok(Verdict::WouldChange(_))) {
            continue;
        }
        let failure = match &planned.action {
            Action::Packages(_) => match packages {
                Some(Ok(forecast)) => forecast.obstacle(host),
                // A run fetches package lists that are missing or old, and then knows more.
                Some(Err(_)) if apt::lists(host) == Lists::Missing => None,
                Some(Err(failure)) => Some(failure.clone()),
                None => None,
            },
            Action::Source(source) => source.obstacle(host),
            Action::Database(database) if host.euid() == 0 && !asked.contains(&database.engine) => {
                asked.push(database.engine);
                engines::shut_out(host, database.engine, &database.cluster)
            }
            _ => None,
        };
        problems.extend(failure.map(|failure| Problem::in_step(id, &failure)));
    }
    problems
}

/// The run that works or was interrupted.
pub(super) fn stopping(running: Option<&str>, all: &[Run]) -> Option<Problem> {
    at_work(running).or_else(|| runs::standing(all).find_map(in_the_way))
}

/// Why a run in place prevents another one from starting, if it does.
pub(super) fn in_the_way(run: &Run) -> Option<Problem> {
    let id = &run.dir.id;
    match run.state {
        RunStatus::Running => at_work(Some(id)),
        RunStatus::Unfinished | RunStatus::RollbackUnfinished => {
            let hint = "`bringup resume` continues it, `bringup rollback` rolls it back";
            Some(Problem::new(format!("run {id} was interrupted"), hint))
        }
        RunStatus::Done | RunStatus::ProofFailed | RunStatus::RolledBack => None,
    }
}

/// The problem that a run works, whether its journal has begun or not.
fn at_work(running: Option<&str>) -> Option<Problem> {
    let id = running?;
    Some(Problem::new(format!("run {id} is in progress"), "`bringup attach` shows it"))
}

/// What must be true before anything is changed: remote engines answer, and the software that the guide requires exists
/// and works.
pub(super) fn beforehand(host: &dyn Host, plan: &Plan, secrets: &Secrets) -> Result<(), Vec<Problem>> {
    let cx = proof::Context { host, secrets };
    let mut problems = Vec::new();
    for planned in &plan.proofs {
        let prover = planned.proof.prover();
        if prover.preflight()
            && let Err(mut failure) = prover.prove(&cx)
        {
            // There is no room for all of a program's output, and its last words are the reason.
            if let Some(last) = failure.tail.last() {
                failure.why = format!("{}: {last}", failure.why);
            }
            problems.push(Problem::in_step(&planned.id, &failure));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}
