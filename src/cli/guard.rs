//! `confirm`, and the hidden `deadman` of the timer: the two ends of a change that could cut the administrator off.

use crate::action::carry::CARRY;
use crate::engine::detach;
use crate::error::{Exit, Failure};
use crate::host::Host;
use crate::ui::stdio;
use crate::undo::deadman;

/// Keeps the change that waits for it.
pub(super) fn confirm(host: &dyn Host) -> Exit {
    if host.euid() != 0 {
        stdio::error("error: changing this server needs root: run it again with sudo.\n");
        return Exit::Rejected;
    }
    // The run that died cannot keep it: it is reverted in any case.
    let confirmed = match detach::running(host) {
        Some(_) => deadman::confirm(host),
        None => Err(Failure::new("confirm a change", "no run is in progress")
            .hint("guarded changes of a run that died are reverted automatically; `bringup resume` continues the run")),
    };
    match confirmed {
        Ok(what) => {
            stdio::print(&format!("Confirmed: {what} stays as it is now.\n"));
            Exit::Done
        }
        Err(failure) => {
            told(&failure);
            Exit::Rejected
        }
    }
}

/// Reverts an unconfirmed change.
pub(super) fn deadman(host: &dyn Host, wait: u64) -> Exit {
    match deadman::expire(host, wait, CARRY) {
        Ok(()) => Exit::Done,
        Err(failure) => {
            told(&failure);
            Exit::Internal
        }
    }
}

fn told(failure: &Failure) {
    stdio::error(&format!("error: {failure}\n"));
    if let Some(hint) = &failure.hint {
        stdio::error(&format!("hint: {hint}\n"));
    }
}
