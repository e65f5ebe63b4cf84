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
        stdio::error("error: changing the host needs root: run it again with sudo.\n");
        return Exit::Rejected;
    }
    // Nobody would make it last: it is taken back whatever is said now.
    let confirmed = match detach::running(host) {
        Some(_) => deadman::confirm(host),
        None => Err(Failure::new("confirm a change", "no run is working on this host")
            .hint("what a run that died had changed is reverted by itself; `bringup resume` goes on")),
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

/// Takes back what nobody confirmed.
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
