//! `bringup --answers f`: everything is checked, then a detached process does it and we follow.

use crate::action::Verdict;
use crate::answers::file;
use crate::cli::inputs::{self, Made};
use crate::cli::{Inputs, Output, answers, past};
use crate::engine::detach;
use crate::engine::runs::{self, RunDir, Settings, State};
use crate::error::{Exit, Outcome, Problem};
use crate::facts::probe::probe;
use crate::host::Host;
use crate::plan::Plan;
use crate::plan::preview::preview;
use crate::proof::{self, Proof};
use crate::secret::{Secrets, store};
use crate::ui::{out, report};

/// Starts a run, unattended.
pub(super) fn start(host: &dyn Host, given: &Inputs, output: Output) -> Exit {
    let facts = probe(host);
    let made = match inputs::make(host, given, &facts) {
        Ok(made) => made,
        Err(problems) => return answers::refuse(&problems, output),
    };
    if host.euid() != 0 {
        let problem =
            inputs::problem("changing this host needs root", "run it again with sudo; `bringup plan` needs no root");
        return answers::refuse(&[problem], output);
    }
    begin(host, &made, output).unwrap_or_else(|problems| answers::refuse(&problems, output))
}

/// Does what was planned and follows it to its end. The problems are those that keep it from beginning.
pub(super) fn begin(host: &dyn Host, made: &Made, output: Output) -> Result<Exit, Vec<Problem>> {
    match checked(host, made)? {
        // Nothing to change is not enough where a proof had failed.
        Checked::NothingToDo { proven: false } => Ok(past::verify(host, output)),
        Checked::NothingToDo { proven: true } => {
            out::print(&report::nothing_to_do(&made.plan));
            Ok(Exit::Done)
        }
        Checked::Go(secrets) => match launch(host, made, &secrets) {
            Ok(dir) => Ok(past::follow(host, &dir, output)),
            Err(failure) => {
                out::error(&format!("error: {failure}\n"));
                Ok(Exit::Rejected)
            }
        },
    }
}

/// What the checks before the first change came to.
enum Checked {
    NothingToDo { proven: bool },
    Go(Secrets),
}

/// Everything that can be known before anything is changed.
fn checked(host: &dyn Host, made: &Made) -> Result<Checked, Vec<Problem>> {
    let refuse = |message: String, hint: &str| vec![inputs::problem(&message, hint)];
    let running = detach::running(host);
    let all = runs::all(host, running.as_deref()).map_err(|failure| refuse(failure.to_string(), ""))?;
    for run in runs::standing(&all) {
        match run.state {
            State::Running => {
                return Err(refuse(format!("run {} is working on this host", run.dir.id), "`bringup attach` shows it"));
            }
            State::Unfinished | State::RollbackUnfinished => {
                return Err(refuse(
                    format!("run {} was interrupted", run.dir.id),
                    "`bringup resume` goes on, `bringup rollback` takes it back",
                ));
            }
            State::Done | State::ProofFailed | State::RolledBack => {}
        }
    }
    let kept = store::load(host, &made.plan.guide);
    let secrets = store::gather(host, &kept, &made.resolved.secrets)?;
    remote(host, &made.plan, &secrets)?;
    let verdicts = preview(host, &made.plan, &secrets);
    let mut problems = Vec::new();
    for (id, verdict) in &verdicts {
        if let Err(failure) = verdict {
            problems.push(Problem {
                place: String::new(),
                path: id.clone(),
                message: failure.to_string(),
                hint: failure.hint.clone().unwrap_or_default(),
            });
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    if verdicts.iter().all(|(_, verdict)| matches!(verdict, Ok(Verdict::AlreadySo))) {
        let guide = &made.plan.guide;
        let proven =
            !runs::standing(&all).any(|run| run.journal.header.guide == *guide && run.state == State::ProofFailed);
        return Ok(Checked::NothingToDo { proven });
    }
    Ok(Checked::Go(secrets))
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
            problems.push(Problem {
                place: String::new(),
                path: planned.id.clone(),
                message: failure.to_string(),
                hint: failure.hint.unwrap_or_default(),
            });
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// Makes the run's directory with everything in it, and starts the process.
fn launch(host: &dyn Host, made: &Made, secrets: &Secrets) -> Outcome<RunDir> {
    let (dir, _) = RunDir::create(host, &made.plan)?;
    let recorded = file::write(&made.guide, &made.resolved, made.on_failure)?;
    dir.write(host, "answers.yaml", recorded.as_bytes())?;
    dir.keep_settings(host, Settings { on_failure: made.on_failure })?;
    store::save(host, &made.plan.guide, secrets)?;
    detach::keep_program(host, &dir)?;
    detach::start(host, &dir, &[])?;
    Ok(dir)
}
