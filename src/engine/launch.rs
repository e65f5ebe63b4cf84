//! From a plan to a run: the checks before the first change, and the start of the executing process.
//!
//! The command line and the wizard start runs through here, so that both refuse the same.

use std::collections::BTreeSet;

use crate::action::{Action, Verdict, acme};
use crate::answers::{OnFailure, Resolved, file};
use crate::engine::decision::{self, Decision, Replan};
use crate::engine::runs::{self, Run, RunDir, Settings};
use crate::engine::secret_store;
use crate::engine::{detach, ownership};
use crate::error::{Failure, Outcome, Problem};
use crate::guide::Guide;
use crate::host::Host;
use crate::plan::Plan;
use crate::plan::preview::{GuideChecks, preview};
use crate::secret::Secrets;

pub use checks::{Checked, Ready, check, foreseen, refused};
use checks::{beforehand, in_the_way, stopping};

mod checks;
pub mod request;
pub mod running;

/// Creates the run's directory and starts the executing process. `ready` is the result of [`check`].
fn start(
    host: &dyn Host,
    guide: &Guide,
    resolved: &Resolved,
    plan: &Plan,
    on_failure: OnFailure,
    ready: &Ready,
) -> Outcome<RunDir> {
    let kept = secret_store::load(host, &plan.application());
    let mut plan = plan.clone();
    let stays = |name: &String| kept.get(name) == ready.secrets.get(name);
    let sources = resolved.secrets.clone().into_iter().filter(|(name, _)| stays(name)).collect();
    let notes = secret_store::notes(&kept, &sources);
    plan.warnings.extend(notes.into_iter().filter(|note| !plan.warnings.contains(note)).collect::<Vec<_>>());
    let recorded = file::write(guide, resolved, on_failure)?;
    let settings = Settings { on_failure, guide: guide.dir.clone() };
    begin(host, &plan, &ready.seen, recorded.as_bytes(), &settings, Some(&ready.secrets))
}

/// The lock comes first, the directory second: of concurrent starts one makes a run, and the others report it.
fn begin(
    host: &dyn Host,
    plan: &Plan,
    seen: &BTreeSet<String>,
    answers: &[u8],
    settings: &Settings,
    secrets: Option<&Secrets>,
) -> Outcome<RunDir> {
    let _starting = detach::lock_start(host)?;
    let running = detach::running(host);
    let all = runs::all(host, running.as_deref())?;
    let refused = |problem: Problem| Failure::new("start", problem.message).hint(problem.hint);
    if let Some(problem) = stopping(running.as_deref(), &all) {
        return Err(refused(problem));
    }
    if let Some(run) = all.iter().find(|run| !seen.contains(&run.dir.id)) {
        let why = format!("run {} was started meanwhile, so this plan is out of date", run.dir.id);
        return Err(Failure::new("start", why).hint("`bringup history` shows how it ended; then start again"));
    }
    runs::clear_unbegun(host)?;
    // Left by a rollback that was killed at its very end.
    runs::forget_images(host, &all)?;
    let dir = RunDir::prepare(host, plan)?;
    dir.write(host, "answers.yaml", answers)?;
    dir.keep_settings(host, settings)?;
    if let Some(secrets) = secrets {
        let of = plan.application();
        secret_store::set_aside(host, &dir, &of, &secret_store::load(host, &of))?;
        secret_store::save(host, &of, secrets)?;
    }
    detach::keep_program(host, &dir)?;
    detach::start(host, &dir, &[])?;
    detach::await_begun(host, &dir);
    Ok(dir)
}

/// The result of requesting a certificate again.
#[derive(Debug)]
pub enum Again {
    /// It exists.
    NothingToDo,
    /// This run requests it.
    Started(RunDir),
}

/// Whether a plan has a certificate issued.
pub fn asks_an_authority(plan: &Plan) -> bool {
    plan.actions.iter().any(|planned| matches!(planned.action, Action::Acme(_)))
}

/// Starts a run with only the certificate actions of an earlier run's plan, which fails without a certificate; all
/// proofs are verified. `all` are the runs of this host.
pub fn again(host: &dyn Host, all: &[Run], earlier: &Run) -> Result<Again, Vec<Problem>> {
    if let Some(problem) = runs::standing(all).find_map(in_the_way) {
        return Err(vec![problem]);
    }
    let refuse = |failure: &Failure| vec![Problem::in_step("", failure)];
    let plan = only_certificates(earlier.dir.plan(host).map_err(|e| refuse(&e))?);
    let secrets = secret_store::load(host, &plan.application());
    let verdicts = preview(host, &plan, &secrets, GuideChecks::Run);
    let failed = verdicts.iter().filter_map(|(id, verdict)| Some(Problem::in_step(id, verdict.as_ref().err()?)));
    let mut problems: Vec<Problem> = failed.collect();
    problems.extend(running::broken_servers(host, &plan, &verdicts, running::Tests::All));
    if !problems.is_empty() {
        return Err(problems);
    }
    if verdicts.iter().all(|(_, verdict)| matches!(verdict, Ok(Verdict::Unchanged))) {
        return Ok(Again::NothingToDo);
    }
    let started = || {
        let answers = earlier.dir.file("answers.yaml");
        let recorded = host.read(&answers).map_err(|e| Failure::new(format!("read {}", answers.display()), e))?;
        let guide = earlier.dir.settings(host)?.guide;
        let seen = all.iter().map(|run| run.dir.id.clone()).collect();
        let settings = Settings { on_failure: OnFailure::Rollback, guide };
        begin(host, &plan, &seen, &recorded, &settings, None)
    };
    started().map(Again::Started).map_err(|e: Failure| refuse(&e))
}

/// The plan without its other actions, and without permission to continue with a self-signed certificate.
fn only_certificates(mut plan: Plan) -> Plan {
    plan.actions.retain_mut(|planned| match &mut planned.action {
        Action::Acme(acme) => {
            acme.on_failure = acme::OnFailure::Fail;
            true
        }
        _ => false,
    });
    plan
}

/// Hands other answers to a run that waits for a decision. `number` is the question that was shown
/// ([`Waiting::number`](decision::Waiting::number)). Facts from before the run give the plan that a fresh run would
/// have: present facts include the run's own work.
pub fn replan(
    host: &dyn Host,
    dir: &RunDir,
    number: usize,
    guide: &Guide,
    resolved: &Resolved,
    plan: &Plan,
) -> Result<(), Vec<Problem>> {
    let refuse = |failure: &Failure| vec![Problem::in_step("", failure)];
    let kept = secret_store::load(host, &plan.application());
    let secrets = secret_store::gather(host, &kept, &resolved.secrets, &plan.secret_patterns)?;
    let verdicts = preview(host, plan, &secrets, GuideChecks::Run);
    let runs = runs::all(host, Some(&dir.id)).map_err(|e| refuse(&e))?;
    let owned = ownership::problems(host, plan, &runs, &verdicts, &BTreeSet::new(), Some(&dir.id));
    if !owned.is_empty() {
        return Err(owned);
    }
    beforehand(host, plan, &secrets)?;
    let answers = file::write(guide, resolved, OnFailure::Ask).map_err(|e| refuse(&e))?;
    let decision = Decision::Replan(Box::new(Replan { plan: plan.clone(), answers }));
    decision::expect(host, dir, number, decision.choice()).map_err(|e| refuse(&e))?;
    // The run may still decide otherwise, and then needs the secrets of its present plan.
    let of = plan.application();
    if !dir.plan(host).is_ok_and(|present| present.application().is_same(&of)) {
        secret_store::set_aside(host, dir, &of, &kept).map_err(|e| refuse(&e))?;
    }
    let mut all = kept;
    for (name, value) in secrets.iter() {
        all.insert(name, value.clone());
    }
    secret_store::save_for_run(host, &of, &all).map_err(|e| refuse(&e))?;
    decision::send(host, dir, number, &decision).map_err(|e| refuse(&e))
}

#[cfg(test)]
mod tests;
