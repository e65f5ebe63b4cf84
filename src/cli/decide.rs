//! Decisions about a waiting run: asked at the terminal that follows it, or given with `bringup decide`.

use std::sync::atomic::AtomicBool;

use serde_json::json;

use crate::cli::{Output, answers};
use crate::engine::decision::{self, Decision, Waiting};
use crate::engine::detach;
use crate::engine::runs::RunDir;
use crate::error::{Exit, Failure, Problem};
use crate::host::Host;
use crate::ui::follow::Asked;
use crate::ui::{ask, stdio, tty_caps};

/// Asks at the terminal; `reading` as in [`tty_caps::choose`].
pub(super) fn ask(host: &dyn Host, dir: &RunDir, waiting: &Waiting, output: Output, reading: &AtomicBool) -> Asked {
    let is_open = || decision::waiting(host, dir).ok().flatten().is_some_and(|open| open.number == waiting.number);
    // A program reads the question for itself; what someone else has answered is no question.
    if output.json || !is_open() {
        return Asked::GoOn;
    }
    if !tty_caps::interactive(host) {
        stdio::error(&ask::how_to(tty_caps::look(host), waiting));
        return Asked::GoOn;
    }
    let options = ask::options(waiting);
    let labels: Vec<String> = options.iter().map(|(_, label)| label.clone()).collect();
    loop {
        let chosen = tty_caps::choose(host, "What next?", &labels, output.plain, reading);
        let Some((decision, _)) = chosen.and_then(|chosen| options.get(chosen)) else {
            return Asked::Left;
        };
        match decision::send(host, dir, waiting.number, decision) {
            Ok(()) => return Asked::GoOn,
            Err(failure) => {
                tell(&failure);
                if !is_open() {
                    return Asked::GoOn;
                }
            }
        }
    }
}

/// Decides for the run that waits.
pub(super) fn decide(host: &dyn Host, decision: &Decision, output: Output) -> Exit {
    let refuse = |problem: Problem| answers::refuse(&[problem], output);
    if host.euid() != 0 {
        return refuse(Problem::new("only root can decide about a run", "run it again with sudo"));
    }
    let Some(id) = detach::running(host) else {
        let hint = "`bringup status` shows what is in place, `bringup resume` continues an interrupted run";
        return refuse(Problem::new("no run is in progress, so none waits for a decision", hint));
    };
    let dir = RunDir::of(&id);
    let waiting = match decision::waiting(host, &dir) {
        Ok(Some(waiting)) => waiting,
        Ok(None) => {
            let message = format!("run {id} is in progress and does not wait for a decision");
            return refuse(Problem::new(message, "`bringup attach` shows its progress"));
        }
        Err(failure) => return refuse(Problem::in_step("", &failure)),
    };
    if let Err(failure) = decision::send(host, &dir, waiting.number, decision) {
        return refuse(Problem::in_step("", &failure));
    }
    let name = decision.choice().name();
    if output.json {
        stdio::json(&format!("{}\n", json!({ "ok": true, "run": id, "step": waiting.step, "decision": name })));
    } else {
        stdio::print(&format!("Decided about {}: {name}. `bringup attach` shows the run.\n", waiting.step));
    }
    Exit::Done
}

fn tell(failure: &Failure) {
    stdio::error(&format!("error: {failure}\n"));
    if let Some(hint) = &failure.hint {
        stdio::error(&format!("hint: {hint}\n"));
    }
}
