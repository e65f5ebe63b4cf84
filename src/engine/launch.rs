//! From a plan to a run: what must be right before the first change, and the process that then makes it.
//!
//! The command line and the wizard start runs through here, so that both refuse the same.

use std::collections::BTreeMap;

use crate::action::Verdict;
use crate::answers::{OnFailure, Resolved, SecretSource, file};
use crate::engine::decision::{self, Decision, Replan};
use crate::engine::detach;
use crate::engine::runs::{self, Run, RunDir, Settings, State};
use crate::error::{Failure, Outcome, Problem};
use crate::guide::Guide;
use crate::host::Host;
use crate::plan::Plan;
use crate::plan::preview::preview;
use crate::proof::{self, Proof};
use crate::secret::{Secrets, store};

/// What the checks before the first change came to.
#[derive(Debug)]
pub enum Checked {
    /// Every action is already so. `proven` is false where a proof of the run that stands had failed.
    NothingToDo {
        /// Whether the proofs succeeded when they were last tried.
        proven: bool,
    },
    /// The run can start, with the values of these secrets.
    Go(Secrets),
}

/// Everything that can be known before anything is changed. `sources` says how each secret is to be had
/// ([`Resolved::secrets`]). Changes nothing.
pub fn check(host: &dyn Host, plan: &Plan, sources: &BTreeMap<String, SecretSource>) -> Result<Checked, Vec<Problem>> {
    if host.euid() != 0 {
        let hint = "run it again with sudo; `bringup plan` needs no root";
        return Err(vec![Problem::new("changing this host needs root", hint)]);
    }
    let running = detach::running(host);
    let all = runs::all(host, running.as_deref()).map_err(|e| vec![Problem::new(e.to_string(), "")])?;
    if let Some(problem) = runs::standing(&all).find_map(in_the_way) {
        return Err(vec![problem]);
    }
    let secrets = store::gather(host, &store::load(host, &plan.guide), sources)?;
    remote(host, plan, &secrets)?;
    let verdicts = preview(host, plan, &secrets);
    let failed = verdicts.iter().filter_map(|(id, verdict)| Some(Problem::in_step(id, verdict.as_ref().err()?)));
    let problems: Vec<Problem> = failed.collect();
    if !problems.is_empty() {
        return Err(problems);
    }
    if verdicts.iter().any(|(_, verdict)| !matches!(verdict, Ok(Verdict::AlreadySo))) {
        return Ok(Checked::Go(secrets));
    }
    let unproven = |run: &Run| run.journal.header.guide == plan.guide && run.state == State::ProofFailed;
    Ok(Checked::NothingToDo { proven: !runs::standing(&all).any(unproven) })
}

/// Why a run that stands keeps another one from starting, when it does.
fn in_the_way(run: &Run) -> Option<Problem> {
    let id = &run.dir.id;
    match run.state {
        State::Running => Some(Problem::new(format!("run {id} is working on this host"), "`bringup attach` shows it")),
        State::Unfinished | State::RollbackUnfinished => {
            let hint = "`bringup resume` goes on, `bringup rollback` takes it back";
            Some(Problem::new(format!("run {id} was interrupted"), hint))
        }
        State::Done | State::ProofFailed | State::RolledBack => None,
    }
}

/// Remote engines must answer before anything is changed.
fn remote(host: &dyn Host, plan: &Plan, secrets: &Secrets) -> Result<(), Vec<Problem>> {
    let cx = proof::Cx { host, secrets };
    let mut problems = Vec::new();
    for planned in &plan.proofs {
        if let Proof::Tcp(tcp) = &planned.proof
            && tcp.before
            && let Err(failure) = proof::Prove::prove(tcp, &cx)
        {
            problems.push(Problem::in_step(&planned.id, &failure));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// Makes the run's directory with everything in it, and starts the process that works. `secrets` are those that
/// [`check`] gathered.
pub fn start(
    host: &dyn Host,
    guide: &Guide,
    resolved: &Resolved,
    plan: &Plan,
    on_failure: OnFailure,
    secrets: &Secrets,
) -> Outcome<RunDir> {
    let (dir, _) = RunDir::create(host, plan)?;
    let recorded = file::write(guide, resolved, on_failure)?;
    dir.write(host, "answers.yaml", recorded.as_bytes())?;
    dir.keep_settings(host, Settings { on_failure })?;
    store::save(host, &plan.guide, secrets)?;
    detach::keep_program(host, &dir)?;
    detach::start(host, &dir, &[])?;
    Ok(dir)
}

/// Hands other answers to a run that waits for a decision. `number` is the question that was shown
/// ([`Waiting::number`](decision::Waiting::number)). Facts that were found before the run give the plan that a fresh
/// run would have: those of now tell of the run's own work.
pub fn replan(
    host: &dyn Host,
    dir: &RunDir,
    number: usize,
    guide: &Guide,
    resolved: &Resolved,
    plan: &Plan,
) -> Result<(), Vec<Problem>> {
    let refuse = |failure: &Failure| vec![Problem::in_step("", failure)];
    let kept = store::load(host, &plan.guide);
    let secrets = store::gather(host, &kept, &resolved.secrets)?;
    remote(host, plan, &secrets)?;
    let answers = file::write(guide, resolved, OnFailure::Ask).map_err(|e| refuse(&e))?;
    let decision = Decision::Replan(Box::new(Replan { plan: plan.clone(), answers }));
    decision::expect(host, dir, number, decision.choice()).map_err(|e| refuse(&e))?;
    // The run may still decide otherwise, and then needs those of its present plan.
    let mut all = kept;
    for (name, value) in secrets.iter() {
        all.insert(name, value.clone());
    }
    store::save(host, &plan.guide, &all).map_err(|e| refuse(&e))?;
    decision::send(host, dir, number, &decision).map_err(|e| refuse(&e))
}
