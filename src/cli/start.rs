//! `bringup --answers f`: everything is checked, then a detached process does it and we follow.

use crate::cli::inputs::{self, Made};
use crate::cli::{Inputs, Output, answers, past};
use crate::engine::launch::{self, Checked};
use crate::error::Exit;
use crate::facts::probe::probe;
use crate::host::Host;
use crate::ui::{out, report};

/// Starts a run, unattended.
pub(super) fn start(host: &dyn Host, given: &Inputs, output: Output) -> Exit {
    let facts = probe(host);
    let made = match inputs::make(host, given, &facts) {
        Ok(made) => made,
        Err(problems) => return answers::refuse(&problems, output),
    };
    match launch::check(host, &made.plan, &made.resolved.secrets) {
        Ok(checked) => begin(host, &made, checked, output),
        Err(problems) => answers::refuse(&problems, output),
    }
}

/// Does what was planned and checked, and follows it to its end.
pub(super) fn begin(host: &dyn Host, made: &Made, checked: Checked, output: Output) -> Exit {
    match checked {
        // Nothing to change is not enough where a proof had failed.
        Checked::NothingToDo { proven: false } => past::verify(host, output),
        Checked::NothingToDo { proven: true } => {
            out::print(&report::nothing_to_do(&made.plan));
            Exit::Done
        }
        Checked::Go(secrets) => {
            match launch::start(host, &made.guide, &made.resolved, &made.plan, made.on_failure, &secrets) {
                Ok(dir) => past::follow(host, &dir, output),
                Err(failure) => {
                    out::error(&format!("error: {failure}\n"));
                    Exit::Rejected
                }
            }
        }
    }
}
