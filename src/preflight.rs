//! Preflight: is this server fit to be changed? Every check only looks, says what it found, and where that is
//! not well, what to do.
//!
//! Products play no part: what a guide wants of the server are its own rules ([`required`]).

use std::sync::mpsc;
use std::time::Duration;

use serde::Serialize;

use crate::error::Problem;
use crate::facts::Facts;
use crate::host::Host;

mod clock;
mod mirror;
mod name;
mod network;
mod packages;
mod proxy;
mod runs;
mod sources;
mod space;
mod system;

/// Timeout after which a check is reported as unknown. What it waits for has shorter timeouts of its own.
const LIMIT: Duration = Duration::from_secs(5);
/// How long a command may take that only looks.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a check came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Which check: one of [`checks`], or `guide`.
    pub id: &'static str,
    /// Its title.
    pub title: &'static str,
    /// Its status.
    pub state: CheckStatus,
    /// What was found, in one line.
    pub found: String,
    /// What to do; empty when it is well.
    pub fix: String,
}

/// How well something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckStatus {
    /// As it should be.
    Ok,
    /// A run can go well, but someone should know this first.
    Warning,
    /// A run would fail.
    Problem,
}

/// State, what was found, and what to do.
struct Finding {
    state: CheckStatus,
    found: String,
    fix: String,
}

fn ok(found: impl Into<String>) -> Finding {
    Finding { state: CheckStatus::Ok, found: found.into(), fix: String::new() }
}

fn warning(found: impl Into<String>, fix: impl Into<String>) -> Finding {
    Finding { state: CheckStatus::Warning, found: found.into(), fix: fix.into() }
}

fn problem(found: impl Into<String>, fix: impl Into<String>) -> Finding {
    Finding { state: CheckStatus::Problem, found: found.into(), fix: fix.into() }
}

/// A check before it is made.
struct Planned {
    id: &'static str,
    title: &'static str,
    look: fn(&dyn Host, &Facts) -> Finding,
}

/// All of them, in the order in which they are shown.
const CHECKS: &[Planned] = &[
    Planned { id: "release", title: "Distribution", look: system::release },
    Planned { id: "user", title: "User", look: system::user },
    Planned { id: "connection", title: "Connection", look: system::connection },
    Planned { id: "runs", title: "Earlier runs", look: runs::runs },
    Planned { id: "init", title: "Init system", look: system::init },
    Planned { id: "cpus", title: "Processors", look: system::cpus },
    Planned { id: "memory", title: "Memory", look: system::memory },
    Planned { id: "swap", title: "Swap", look: system::swap },
    Planned { id: "disk", title: "Disk", look: space::disk },
    Planned { id: "inodes", title: "Inodes", look: space::inodes },
    Planned { id: "clock", title: "Clock", look: clock::clock },
    Planned { id: "name", title: "Host name", look: name::name },
    Planned { id: "dpkg", title: "Packages", look: packages::dpkg },
    Planned { id: "locks", title: "Package locks", look: packages::locks },
    Planned { id: "held", title: "Held packages", look: packages::held },
    Planned { id: "sources", title: "Package sources", look: sources::sources },
    Planned { id: "mirror", title: "Mirrors", look: mirror::mirror },
    Planned { id: "ports", title: "Web ports", look: network::ports },
    Planned { id: "firewall", title: "Firewall", look: network::firewall },
    Planned { id: "reboot", title: "Reboot", look: system::reboot },
];

/// Ids and titles of all checks, in the order of [`run`]'s result: to be shown while they are at work.
pub fn checks() -> impl Iterator<Item = (&'static str, &'static str)> {
    CHECKS.iter().map(|check| (check.id, check.title))
}

/// Runs all checks in parallel. Each result is passed to `tell` as soon as it is known; the return value is in the
/// order of [`checks`]. Needs no root, and reports what it could not see without it.
pub fn run(host: &dyn Host, facts: &Facts, tell: &(dyn Fn(Check) + Sync)) -> Vec<Check> {
    run_within(host, facts, tell, LIMIT)
}

fn run_within(host: &dyn Host, facts: &Facts, tell: &(dyn Fn(Check) + Sync), limit: Duration) -> Vec<Check> {
    let mut known: Vec<Option<Check>> = vec![None; CHECKS.len()];
    std::thread::scope(|scope| {
        let (sender, findings) = mpsc::channel();
        for (at, planned) in CHECKS.iter().enumerate() {
            let sender = sender.clone();
            scope.spawn(move || {
                // Nobody listens any more to one that comes too late.
                let _ = sender.send((at, (planned.look)(host, facts)));
            });
        }
        drop(sender);
        let mut take = |at: usize, finding: Finding| {
            let Planned { id, title, .. } = CHECKS[at];
            let Finding { state, found, fix } = finding;
            let check = Check { id, title, state, found, fix };
            tell(check.clone());
            known[at] = Some(check);
        };
        let mut missing: Vec<usize> = (0..CHECKS.len()).collect();
        let start = host.now();
        while let Ok((at, finding)) = findings.recv_timeout(limit.saturating_sub(host.now().since(start))) {
            missing.retain(|other| *other != at);
            take(at, finding);
        }
        for at in missing {
            let found = format!("not known after {} s", limit.as_secs());
            take(at, warning(found, "something it reads hangs: check `dmesg` and network file systems"));
        }
    });
    known.into_iter().flatten().collect()
}

/// What a guide requires of the host (`answers::resolve::requirements`), as checks.
pub fn required(unmet: &[Problem]) -> Vec<Check> {
    let check = |finding: Finding| {
        let Finding { state, found, fix } = finding;
        Check { id: "guide", title: "Guide", state, found, fix }
    };
    if unmet.is_empty() {
        return vec![check(ok("the server meets all requirements of the guide"))];
    }
    unmet.iter().map(|unmet| check(problem(&unmet.message, &unmet.hint))).collect()
}

#[cfg(test)]
mod tests;
