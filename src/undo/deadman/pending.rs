//! The record of a guarded change on disk, and the lock that decides what happens to it.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Confirm, SshEndpoint};
use crate::error::{Failure, Outcome};
use crate::host::{Host, Meta, Stamp};
use crate::state_dir::STATE_DIR;
use crate::undo::Undo;

/// Making or reverting the change holds the lock for seconds; the timer waits longer than either can take.
const HELD: Duration = Duration::from_mins(1);
pub(super) const HELD_LONG: Duration = Duration::from_mins(15);

/// The state of the switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum GuardState {
    /// Armed: waiting for a confirmation.
    Armed,
    /// Confirmed.
    Confirmed,
    /// The time was up, and the change was reverted.
    #[serde(rename = "fired")]
    Expired,
    /// Its timer could not be started, and nothing was changed.
    Off,
}

/// What is written down before the change.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Pending {
    pub(super) state: GuardState,
    /// What is changed, for messages: "the firewall".
    pub(super) what: String,
    /// What to do when nobody confirmed it.
    pub(super) hint: String,
    /// A reboot ends the guard: unconfirmed rules are not on the disk.
    pub(super) boot: String,
    /// When this was first written; identifies the change.
    pub(super) since: Stamp,
    /// When the change is reverted.
    pub(super) deadline: Stamp,
    pub(super) seconds: u64,
    pub(super) confirm: Confirm,
    /// TCP ports of SSH.
    pub(super) ports: Vec<u16>,
    /// The endpoint on which somebody must log in; with none, any login counts, and so does a connection from where an
    /// administrator was logged in.
    #[serde(rename = "way", default)]
    pub(super) endpoint: Option<SshEndpoint>,
    /// TCP ports to knock on first, in order.
    #[serde(default)]
    pub(super) knock: Vec<u16>,
    /// Addresses from which administrators were logged in: a new connection from one counts by itself.
    pub(super) peers: Vec<IpAddr>,
    /// Connections that existed before the change: our end and the other.
    pub(super) known: Vec<(SocketAddr, SocketAddr)>,
    /// The records that revert it.
    pub(super) restore: Vec<Undo>,
    /// The directory of its before-images.
    pub(super) blobs: PathBuf,
    /// The log file for the output of commands.
    pub(super) log: PathBuf,
    /// What could not be reverted.
    #[serde(default)]
    pub(super) errors: Vec<Failure>,
}

/// The kernel's boot id.
pub(super) fn boot(host: &dyn Host) -> String {
    let id = host.read(Path::new("/proc/sys/kernel/random/boot_id")).unwrap_or_default();
    String::from_utf8_lossy(&id).trim().to_owned()
}

fn file() -> PathBuf {
    Path::new(STATE_DIR).join("deadman.json")
}

pub(super) fn load(host: &dyn Host) -> Outcome<Option<Pending>> {
    let failed = |e: &dyn std::fmt::Display| Failure::new(format!("read {}", file().display()), e);
    if host.stat(&file()).map_err(|e| failed(&e))?.is_none() {
        return Ok(None);
    }
    let bytes = host.read(&file()).map_err(|e| failed(&e))?;
    serde_json::from_slice(&bytes).map(Some).map_err(|e| failed(&e))
}

pub(super) fn save(host: &dyn Host, pending: &Pending) -> Outcome<()> {
    let failed = |e: &dyn std::fmt::Display| Failure::new(format!("write {}", file().display()), e);
    let bytes = serde_json::to_vec_pretty(pending).map_err(|e| failed(&e))?;
    host.write(&file(), &bytes, Meta::root(0o600)).map_err(|e| failed(&e))
}

pub(super) fn end(host: &dyn Host, state: GuardState) -> Outcome<()> {
    under_lock(host, |pending| {
        pending.state = state;
        Ok(())
    })
}

/// Runs `works` on the record under the lock; what it changes is written, also when it fails.
pub(super) fn under_lock<T>(host: &dyn Host, works: impl FnOnce(&mut Pending) -> Outcome<T>) -> Outcome<T> {
    under_lock_within(host, HELD, works)
}

/// As [`under_lock`], with a timeout.
pub(super) fn under_lock_within<T>(
    host: &dyn Host,
    patience: Duration,
    works: impl FnOnce(&mut Pending) -> Outcome<T>,
) -> Outcome<T> {
    let path = Path::new(STATE_DIR).join("deadman.lock");
    let what = || format!("lock {}", path.display());
    let mut guard = None;
    let pause = Duration::from_millis(50);
    for _ in 0..patience.as_millis() / pause.as_millis() {
        guard = host.lock(&path).map_err(|e| Failure::new(what(), e))?;
        if guard.is_some() {
            break;
        }
        host.sleep(pause);
    }
    if guard.is_none() {
        return Err(Failure::new(what(), "another process holds it"));
    }
    let Some(mut pending) = load(host)? else {
        return Err(Failure::new("find a change that waits for its confirmation", "there is none"));
    };
    let done = works(&mut pending);
    save(host, &pending)?;
    done
}
