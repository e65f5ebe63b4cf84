//! `bringup --answers f`: everything is checked, then a detached process does it and we follow.

use crate::answers::OnFailure;
use crate::cli::{Inputs, Output, answers, plan_inputs, runs};
use crate::engine::event::{Event, EventKind};
use crate::engine::launch::request::{Launched, Request};
use crate::error::Exit;
use crate::facts::probe::probe;
use crate::host::Host;
use crate::plan::Plan;
use crate::ui::json::Json;
use crate::ui::{Renderer as _, report, stdio};

/// Starts a run; nothing is asked before it. `on_failure` wins over the answers file.
pub(super) fn start(host: &dyn Host, given: &Inputs, on_failure: Option<OnFailure>, output: Output) -> Exit {
    let facts = probe(host);
    let mut made = match plan_inputs::make(host, given, &facts) {
        Ok(made) => made,
        Err(problems) => return answers::refuse(&problems, output),
    };
    made.on_failure = on_failure.unwrap_or(made.on_failure);
    made.note_kept_secrets(host);
    match made.launch(host) {
        Ok(launched) => follow(host, &made, launched, output),
        Err(problems) => answers::refuse(&problems, output),
    }
}

/// Follows what was started to its end.
pub(super) fn follow(host: &dyn Host, made: &Request, launched: Launched, output: Output) -> Exit {
    match launched {
        // Nothing to change is not enough where a proof had failed.
        Launched::NothingToDo { proven: false } => runs::verify(host, output),
        Launched::NothingToDo { proven: true } => {
            nothing_to_do(host, &made.plan, output);
            Exit::Done
        }
        Launched::Started(dir) => runs::follow(host, &dir, output),
    }
}

/// A program that reads the lines of a run reads here how it ended, too.
fn nothing_to_do(host: &dyn Host, plan: &Plan, output: Output) {
    let mut json = Json::new(stdio::json);
    let mut tell = |what| json.event(&Event { at: host.now(), what });
    for warning in &plan.warnings {
        if output.json {
            tell(EventKind::Note { text: warning.clone() });
        } else {
            stdio::print(&format!("warning: {warning}\n"));
        }
    }
    if output.json {
        tell(EventKind::RunEnded { exit: Exit::Done, changed: 0 });
    } else {
        stdio::print(&report::nothing_to_do(plan));
    }
}
