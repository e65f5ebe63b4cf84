//! The dead-man switch: a change that could cut the administrator off comes back by itself unless somebody shows
//! that the line still stands. So does one that could break the sites of others, unless they answer as before.
//!
//! Before the change, the way back is written down and handed to PID 1 as a timer (a process of its own where
//! systemd does not run), so that it is gone neither with the SSH session nor with the run. A session that is open
//! already survives rules that shut SSH out, so only a connection made after the change proves anything.
//!
//! What happens when is decided under a lock: the change is not made any more when the time is up, and it is not
//! taken back any more when it is confirmed.

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

/// How often a confirmation is looked for by whoever waits for it: a connection that does nothing but `true` is there
/// for a fifth of a second.
const WATCH: Duration = Duration::from_millis(50);
/// How often a timer that is a process sees whether it is still needed.
const POLL: Duration = Duration::from_millis(250);
/// A timer that has not gone off so long after its time never will: then we do it ourselves.
const LATE: Duration = Duration::from_secs(15);
/// How often putting a thing back is tried: another program may hold the firewall's lock for a moment.
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

/// A way in over SSH: nothing but a login on it keeps a change of SSH itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SshEndpoint {
    /// The TCP port.
    pub port: u16,
    /// Addresses of this host; none: all of them.
    pub addresses: Vec<IpAddr>,
}

impl SshEndpoint {
    fn leads(&self, to: SocketAddr) -> bool {
        to.port() == self.port && (self.addresses.is_empty() || self.addresses.contains(&to.ip()))
    }
}

/// A change under a switch.
#[derive(Clone, Debug)]
pub struct GuardedChange<'a> {
    /// What is changed, for messages: "the firewall".
    pub what: &'a str,
    /// What to do when nobody confirmed it.
    pub hint: &'a str,
    /// What keeps the change.
    pub confirm: Confirm,
    /// Seconds after which it comes back.
    pub seconds: u64,
    /// The way in on which somebody must log in; none: any, and who was logged in before need only connect.
    pub endpoint: Option<SshEndpoint>,
    /// TCP ports on which somebody must knock before, in order, where that is so.
    pub knock: &'a [u16],
    /// The way back.
    pub restore: Vec<Undo>,
    /// Where its before-images lie.
    pub blobs: &'a Blobs,
    /// Takes the output of commands.
    pub log: &'a Path,
    /// How the way back is carried out.
    pub carry: Carry,
}

/// Makes `change` so that it comes back by itself, waits until it is confirmed, and leaves it in force.
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
        // Whatever reached us before this moment proves nothing.
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

/// Writes the way back down and starts the timer. Nothing is changed yet.
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
                return Err(Failure::new(format!("keep {}", armed.what), "its confirmation was called off"));
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

/// Whether somebody has come in since the change: from where an administrator was logged in, or logged in from
/// elsewhere. On a public address anybody can knock, so a mere connection from elsewhere is no proof.
fn is_reached(host: &dyn Host, pending: &Pending) -> bool {
    ssh::connections_but(host, &pending.ports, &pending.known)
        .iter()
        .filter(|connection| connection.established && !connection.peer.ip().is_loopback())
        .any(|connection| match &pending.endpoint {
            Some(endpoint) => connection.logged_in && endpoint.leads(connection.local),
            None => connection.logged_in || pending.peers.contains(&connection.peer.ip()),
        })
}

/// `bringup confirm`: keeps the change whose time runs.
pub fn confirm(host: &dyn Host) -> Outcome<String> {
    let what = "confirm a change";
    under_lock(host, |pending| {
        if pending.state == GuardState::Expired {
            return Err(missed(pending));
        }
        if still_armed(host, pending).is_err() {
            return Err(Failure::new(what, "none waits for it").hint("`bringup attach` shows the run that works now"));
        }
        if pending.confirm == Confirm::NewConnection {
            let Some(ends) = ssh::own(host) else {
                return Err(Failure::new(what, "this is no SSH session, and proves nothing about one")
                    .hint("log in by SSH, that is enough; the answer `confirm: local` lets the console confirm"));
            };
            if pending.endpoint.as_ref().is_some_and(|endpoint| !endpoint.leads(ends.0)) {
                let ports: Vec<String> = pending.ports.iter().map(ToString::to_string).collect();
                return Err(Failure::new(
                    what,
                    "this session came in the old way, and proves nothing about the new one",
                )
                .hint(format!("log in on port {}, that is enough", ports.join(" or "))));
            }
            if pending.known.contains(&ends) {
                return Err(Failure::new(
                    what,
                    "this session is older than the change, and would survive even rules that shut SSH out",
                )
                .hint("open a new SSH connection, that is enough"));
            }
        }
        pending.state = GuardState::Confirmed;
        Ok(pending.what.clone())
    })
}

/// What the timer does: puts everything back unless it was confirmed. Sleeps for `wait` seconds before, where the
/// timer is no other's.
pub fn expire(host: &dyn Host, wait: u64, carry: Carry) -> Outcome<()> {
    let since = load(host)?.map(|pending| pending.since);
    // A change that was made later has timers of its own.
    let mine = |pending: &Pending| pending.state == GuardState::Armed && Some(pending.since) == since;
    // Counted in pauses, since somebody may set the clock meanwhile.
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

/// Tells with a change that failed what of it could not be put back.
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
        Confirm::Local => format!("nobody confirmed it by `bringup confirm` within {seconds} s"),
        Confirm::NewConnection => format!("nobody confirmed it by a new SSH connection within {seconds} s"),
        Confirm::None => "making it took too long".to_owned(),
    };
    let failure = match pending.errors.first() {
        None => Failure::new(format!("keep {what}"), format!("{missed}; it is again as it was before")),
        Some(error) => {
            Failure::new(format!("keep {what}"), format!("{missed}, and not all of it could be reverted: {error}"))
        }
    };
    failure.hint(&pending.hint)
}

/// The change stays: the timer is stopped.
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

/// Puts back what a switch of this boot still guards, without waiting for its timer. To be called before the state
/// to come back to is remembered, and before a run is taken back: the run that armed it may be dead.
pub fn revert_now(host: &dyn Host, carry: Carry) {
    if load(host).is_ok_and(|pending| pending.is_some_and(|pending| still_armed(host, &pending).is_ok())) {
        // Should it fail, the timer remains.
        if expire(host, 0, carry).is_ok() {
            timer::forget(host);
        }
    }
}

/// Whether a change of `what` was begun since the last boot, and was not put back: a run that died may have left it
/// half made.
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
    // As after a rollback: services take up the files that are back.
    let services = pending.restore.iter().filter_map(|record| persist(host, || (carry.restore_service)(record, &cx)));
    pending.errors = records.chain(services).collect();
    pending.state = GuardState::Expired;
    let line = format!("{}: not confirmed, reverted\n", pending.what);
    // A log that cannot be written must not stop anything.
    let _ = host.append_lazily(&pending.log, line.as_bytes());
}

/// Tries a thing some times; its last failure when all were in vain.
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
    Err(Failure::new(format!("change {}", pending.what), "the time to confirm it was over before it was made"))
}

fn known(host: &dyn Host, ports: &[u16]) -> Vec<(SocketAddr, SocketAddr)> {
    ssh::connections(host, ports).iter().map(|connection| (connection.local, connection.peer)).collect()
}

#[cfg(test)]
mod tests;
