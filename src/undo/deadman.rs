//! The dead-man switch: a change that could cut the administrator off is reverted unless a new connection confirms it.
//! So is a change that could break other sites, unless they answer as before.
//!
//! Before the change, its undo records are written down and handed to PID 1 as a timer (a process of its own without
//! systemd), so that it survives the end of the SSH session and of the run. An open session survives rules that shut
//! SSH out, so only a connection made after the change counts.
//!
//! A lock decides races: the change is not made once its time is up, and not reverted once it is confirmed.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Failure, Outcome};
use crate::facts::probe::ssh;
use crate::host::{Host, Stamp};
use crate::progress::Progress;
use crate::undo::{Blobs, Carry, Undo, UndoContext};

use pending::{GuardState, HELD_LONG, Pending, boot, end, load, save, under_lock, under_lock_within};
use timer::EARLY;

mod pending;
mod timer;

/// How often we look for a confirmation: a connection that only runs `true` lasts a fifth of a second.
const WATCH: Duration = Duration::from_millis(50);
/// How often a timer process checks whether it is still needed.
const POLL: Duration = Duration::from_millis(250);
/// A timer that is late by this much will never fire; then we revert ourselves.
const LATE: Duration = Duration::from_secs(15);
/// How often a revert is tried: another program may hold the firewall's lock for a moment.
const TRIES: u32 = 5;

/// What shows that the administrator was not cut off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confirm {
    /// An SSH connection that is newer than the change, or `bringup confirm` typed in one.
    #[default]
    NewConnection,
    /// `bringup confirm`, typed anywhere, such as at the console.
    Local,
    /// Nothing: the change is kept as soon as it is made and found in force.
    None,
}

/// An SSH endpoint: only a login on it confirms a change of SSH itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SshEndpoint {
    /// The TCP port.
    pub port: u16,
    /// Addresses of this server; empty for all of them.
    pub addresses: Vec<IpAddr>,
}

impl SshEndpoint {
    fn leads(&self, to: SocketAddr) -> bool {
        to.port() == self.port && (self.addresses.is_empty() || self.addresses.contains(&to.ip()))
    }
}

/// A change guarded by the switch.
#[derive(Clone, Debug)]
pub struct GuardedChange<'a> {
    /// What is changed, for messages: "the firewall".
    pub what: &'a str,
    /// What to do when nobody confirmed it.
    pub hint: &'a str,
    /// What keeps the change.
    pub confirm: Confirm,
    /// Seconds until it is reverted.
    pub seconds: u64,
    /// The endpoint on which somebody must log in; with none, any login counts, and so does a connection from where an
    /// administrator was logged in.
    pub endpoint: Option<SshEndpoint>,
    /// TCP ports to knock on first, in order; empty without port knocking.
    pub knock: &'a [u16],
    /// The records that revert it.
    pub restore: Vec<Undo>,
    /// The directory of its before-images.
    pub blobs: &'a Blobs,
    /// The log file for the output of commands.
    pub log: &'a Path,
    /// How records are carried out.
    pub carry: Carry,
}

/// Makes `change` under the switch and waits until it is confirmed.
pub fn guarded(
    host: &dyn Host,
    guard: &GuardedChange<'_>,
    progress: &(dyn Fn(Progress) + Sync),
    change: &mut dyn FnMut() -> Outcome<()>,
) -> Outcome<()> {
    arm(host, guard)?;
    let changed = under_lock(host, |pending| {
        still_armed(host, pending)?;
        change()?;
        if guard.confirm != Confirm::None {
            timer::start(host, guard, timer::UNIT, guard.seconds)?;
        }
        // Connections from before this moment confirm nothing.
        pending.known = known(host, &pending.ports);
        pending.deadline = after(host, guard.seconds);
        Ok(pending.clone())
    });
    let armed = match changed {
        Ok(armed) => armed,
        Err(failure) => {
            revert_now(host, guard.carry);
            return Err(with_what_remains(host, failure));
        }
    };
    match guard.confirm {
        Confirm::None => keep(host),
        Confirm::NewConnection | Confirm::Local => wait(host, &armed, progress, guard.carry),
    }
}

/// Writes the undo records down and starts the timer. Nothing is changed yet.
fn arm(host: &dyn Host, guard: &GuardedChange<'_>) -> Outcome<()> {
    let sshd = ssh::now(host);
    let pending = Pending {
        state: GuardState::Armed,
        what: guard.what.to_owned(),
        hint: guard.hint.to_owned(),
        boot: boot(host),
        since: host.now(),
        deadline: after(host, guard.seconds + EARLY),
        seconds: guard.seconds,
        confirm: guard.confirm,
        known: known(host, &sshd.ports),
        peers: sshd.peers.iter().filter_map(|peer| peer.parse().ok()).collect(),
        ports: guard.endpoint.as_ref().map_or(sshd.ports, |endpoint| vec![endpoint.port]),
        endpoint: guard.endpoint.clone(),
        knock: guard.knock.to_owned(),
        restore: guard.restore.clone(),
        blobs: guard.blobs.dir().to_owned(),
        log: guard.log.to_owned(),
        errors: Vec::new(),
    };
    save(host, &pending)?;
    timer::forget(host);
    if let Err(failure) = timer::start(host, guard, timer::EARLY_UNIT, guard.seconds + EARLY) {
        end(host, GuardState::Off)?;
        return Err(failure);
    }
    Ok(())
}

fn after(host: &dyn Host, seconds: u64) -> Stamp {
    let now = host.now();
    Stamp { sec: now.sec.saturating_add(i64::try_from(seconds).unwrap_or(i64::MAX)), ..now }
}

/// Waits for the confirmation; an error when the time is up first.
fn wait(host: &dyn Host, armed: &Pending, progress: &(dyn Fn(Progress) + Sync), carry: Carry) -> Outcome<()> {
    let note = if armed.confirm == Confirm::Local {
        format!("run `bringup confirm` to keep {}", armed.what)
    } else {
        let list = |ports: &[u16], word: &str| ports.iter().map(u16::to_string).collect::<Vec<_>>().join(word);
        let addresses: Vec<String> = armed
            .endpoint
            .iter()
            .flat_map(|endpoint| &endpoint.addresses)
            .map(|address| format!("{address}, "))
            .collect();
        let knock = match armed.knock.as_slice() {
            [] => String::new(),
            row => format!("knock on {}, then ", list(row, ", ")),
        };
        let (addresses, ports) = (addresses.concat(), list(&armed.ports, " or "));
        format!("{knock}log in by SSH once more ({addresses}port {ports}) to keep {}", armed.what)
    };
    let mut told = None;
    loop {
        match load(host)?.map(|pending| (pending.state, pending)) {
            Some((GuardState::Armed, pending)) => {
                if pending.confirm == Confirm::NewConnection && is_reached(host, &pending) {
                    return keep(host);
                }
            }
            Some((GuardState::Confirmed, _)) => return keep(host),
            Some((GuardState::Expired, pending)) => return Err(missed(&pending)),
            Some((GuardState::Off, _)) | None => {
                return Err(Failure::new(format!("keep {}", armed.what), "its confirmation was canceled"));
            }
        }
        let left = armed.deadline.sec.saturating_sub(host.now().sec);
        if left < -i64::try_from(LATE.as_secs()).unwrap_or(0) {
            revert_now(host, carry);
            continue;
        }
        let left = u64::try_from(left).unwrap_or(0);
        if told != Some(left) {
            told = Some(left);
            progress(Progress::Deadline { at: armed.deadline, left, note: note.clone() });
        }
        host.sleep(WATCH);
    }
}

/// Whether a new session confirms the change: a connection from where an administrator was logged in, or a login from
/// elsewhere. On a public address anyone can connect, so a connection alone proves nothing.
fn is_reached(host: &dyn Host, pending: &Pending) -> bool {
    ssh::connections_but(host, &pending.ports, &pending.known)
        .iter()
        .filter(|connection| connection.established && !connection.peer.ip().is_loopback())
        .any(|connection| match &pending.endpoint {
            Some(endpoint) => connection.logged_in && endpoint.leads(connection.local),
            None => connection.logged_in || pending.peers.contains(&connection.peer.ip()),
        })
}

/// `bringup confirm`: keeps the pending change.
pub fn confirm(host: &dyn Host) -> Outcome<String> {
    let what = "confirm a change";
    under_lock(host, |pending| {
        if pending.state == GuardState::Expired {
            return Err(missed(pending));
        }
        if still_armed(host, pending).is_err() {
            return Err(Failure::new(what, "no change waits for it").hint("`bringup attach` shows the run in progress"));
        }
        if pending.confirm == Confirm::NewConnection {
            let Some(ends) = ssh::own(host) else {
                return Err(Failure::new(what, "this is not an SSH session, so it cannot confirm the change")
                    .hint("log in by SSH to confirm; `confirm: local` lets the console confirm"));
            };
            if pending.endpoint.as_ref().is_some_and(|endpoint| !endpoint.leads(ends.0)) {
                let ports: Vec<String> = pending.ports.iter().map(ToString::to_string).collect();
                return Err(Failure::new(
                    what,
                    "this session came in by the old port, so it cannot confirm the new one",
                )
                .hint(format!("log in on port {} to confirm", ports.join(" or "))));
            }
            if pending.known.contains(&ends) {
                return Err(Failure::new(
                    what,
                    "this session is older than the change, and would survive even rules that block SSH",
                )
                .hint("open a new SSH connection to confirm"));
            }
        }
        pending.state = GuardState::Confirmed;
        Ok(pending.what.clone())
    })
}

/// What the timer does: reverts the change unless it was confirmed. A timer process sleeps `wait` seconds first.
pub fn expire(host: &dyn Host, wait: u64, carry: Carry) -> Outcome<()> {
    let since = load(host)?.map(|pending| pending.since);
    // A change that was made later has timers of its own.
    let mine = |pending: &Pending| pending.state == GuardState::Armed && Some(pending.since) == since;
    // Counted in pauses, since the clock may be set meanwhile.
    for _ in 0..wait.saturating_mul(1000) / 250 {
        if !load(host)?.is_some_and(|pending| mine(&pending)) {
            return Ok(());
        }
        host.sleep(POLL);
    }
    let reverted = under_lock_within(host, HELD_LONG, |pending| {
        let armed = mine(pending) && still_armed(host, pending).is_ok();
        if armed {
            revert(host, pending, carry);
        }
        Ok(armed)
    })?;
    // The run that would stop the other timer may be dead.
    if reverted {
        timer::stop(host);
    }
    Ok(())
}

/// Adds to the failure of a change what of it could not be reverted.
fn with_what_remains(host: &dyn Host, failure: Failure) -> Failure {
    let pending = load(host).ok().flatten();
    match pending.as_ref().and_then(|pending| pending.errors.first()) {
        Some(error) => {
            Failure { why: format!("{}; and not all of it could be reverted: {error}", failure.why), ..failure }
        }
        None => failure,
    }
}

fn missed(pending: &Pending) -> Failure {
    let Pending { what, seconds, .. } = pending;
    let missed = match pending.confirm {
        Confirm::Local => format!("not confirmed by `bringup confirm` within {seconds} s"),
        Confirm::NewConnection => format!("not confirmed by a new SSH connection within {seconds} s"),
        Confirm::None => "applying it took too long".to_owned(),
    };
    let failure = match pending.errors.first() {
        None => Failure::new(format!("keep {what}"), format!("{missed}; the change was reverted")),
        Some(error) => {
            Failure::new(format!("keep {what}"), format!("{missed}, and not all of it could be reverted: {error}"))
        }
    };
    failure.hint(&pending.hint)
}

/// The change is kept: the timer is stopped.
fn keep(host: &dyn Host) -> Outcome<()> {
    under_lock(host, |pending| match pending.state {
        GuardState::Armed | GuardState::Confirmed => {
            pending.state = GuardState::Confirmed;
            Ok(())
        }
        GuardState::Expired | GuardState::Off => Err(missed(pending)),
    })?;
    timer::forget(host);
    Ok(())
}

/// Reverts what a switch of this boot still guards, without waiting for its timer. To be called before the prior state
/// is recorded, and before a rollback: the run that armed it may be dead.
pub fn revert_now(host: &dyn Host, carry: Carry) {
    if load(host).is_ok_and(|pending| pending.is_some_and(|pending| still_armed(host, &pending).is_ok())) {
        // Should it fail, the timer remains.
        if expire(host, 0, carry).is_ok() {
            timer::forget(host);
        }
    }
}

/// Whether a change of `what` was begun since the last boot and not reverted: a run that died may have left it half
/// made.
pub fn is_begun(host: &dyn Host, what: &str) -> bool {
    load(host).ok().flatten().is_some_and(|pending| {
        pending.what == what
            && pending.boot == boot(host)
            && matches!(pending.state, GuardState::Armed | GuardState::Confirmed)
    })
}

fn revert(host: &dyn Host, pending: &mut Pending, carry: Carry) {
    let blobs = Blobs::new(&pending.blobs);
    let cx = UndoContext::of_settings(host, &blobs, &pending.log);
    let records = pending.restore.iter().filter_map(|record| persist(host, || (carry.carry_out)(record, &cx)));
    // As after a rollback: services reload the restored files.
    let services = pending.restore.iter().filter_map(|record| persist(host, || (carry.restore_service)(record, &cx)));
    pending.errors = records.chain(services).collect();
    pending.state = GuardState::Expired;
    let line = format!("{}: not confirmed, reverted\n", pending.what);
    // A log that cannot be written must not stop anything.
    let _ = host.append_lazily(&pending.log, line.as_bytes());
}

/// Tries up to [`TRIES`] times; the last failure when all of them failed.
fn persist<T>(host: &dyn Host, does: impl Fn() -> Outcome<T>) -> Option<Failure> {
    let mut tries = 1;
    loop {
        match does() {
            Ok(_) => return None,
            Err(failure) if tries == TRIES => return Some(failure),
            Err(_) => tries += 1,
        }
        host.sleep(Duration::from_secs(1));
    }
}

fn still_armed(host: &dyn Host, pending: &Pending) -> Outcome<()> {
    if pending.state == GuardState::Armed && pending.boot == boot(host) {
        return Ok(());
    }
    Err(Failure::new(format!("change {}", pending.what), "the time to confirm it was up before it was applied"))
}

fn known(host: &dyn Host, ports: &[u16]) -> Vec<(SocketAddr, SocketAddr)> {
    ssh::connections(host, ports).iter().map(|connection| (connection.local, connection.peer)).collect()
}

#[cfg(test)]
mod tests;
