//! `bringup --answers f`: everything is checked, then a detached process does it and we follow.

use crate::cli::inputs;
use crate::cli::{Inputs, Output, answers, past, wizard};
use crate::engine::launch::{self, Checked};
use crate::error::Exit;
use crate::facts::probe::probe;
use crate::host::Host;
use crate::ui::{out, report};

/// Starts a run, unattended.
pub(super) fn start(host: &dyn Host, given: &Inputs, output: Output) -> Exit {
    if given.answers.is_none() {
        if !output.plain
            && !output.json
            && let Some(exit) = wizard::open(host)
        {
            return exit;
        }
        out::error(
            "error: nothing to do without answers.\n\
             Make an answers file with `bringup answers new webapp > answers.yaml`, look at it,\n\
             and run `sudo bringup --answers answers.yaml`. `bringup --help` shows the rest.\n",
        );
        return Exit::Usage;
    }
    let facts = probe(host);
    let made = match inputs::make(host, given, &facts) {
        Ok(made) => made,
        Err(problems) => return answers::refuse(&problems, output),
    };
    match launch::check(host, &made.plan, &made.resolved.secrets) {
        // Nothing to change is not enough where a proof had failed.
        Ok(Checked::NothingToDo { proven: false }) => past::verify(host, output),
        Ok(Checked::NothingToDo { proven: true }) => {
            out::print(&report::nothing_to_do(&made.plan));
            Exit::Done
        }
        Ok(Checked::Go(secrets)) => {
            match launch::start(host, &made.guide, &made.resolved, &made.plan, made.on_failure, &secrets) {
                Ok(dir) => past::follow(host, &dir, output),
                Err(failure) => {
                    out::error(&format!("error: {failure}\n"));
                    Exit::Rejected
                }
            }
        }
        Err(problems) => answers::refuse(&problems, output),
    }
}
