//! The timers of the switch: held by PID 1, or processes of their own without systemd.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::GuardedChange;
use crate::error::{Failure, Outcome};
use crate::host::{Command, Host, Kind};
use crate::system::boot;
use crate::undo::Blobs;

/// Name of the transient timer and its service.
pub(super) const UNIT: &str = "bringup-deadman";
/// The timer that is started before the change is made, and its extra seconds: making the change takes seconds where
/// the manager is slow.
pub(super) const EARLY_UNIT: &str = "bringup-deadman-early";
pub(super) const EARLY: u64 = 120;

/// Starts a timer that fires after so many seconds.
pub(super) fn start(host: &dyn Host, guard: &GuardedChange<'_>, unit: &str, seconds: u64) -> Outcome<()> {
    let what = || format!("start the timer that would revert {}", guard.what);
    let program = program(host, guard.blobs);
    let mut argv: Vec<String> = Vec::new();
    if boot::is_systemd(host) {
        argv.extend(["systemd-run", "--quiet", "--collect", "--timer-property=AccuracySec=100ms"].map(str::to_owned));
        argv.push(format!("--unit={unit}"));
        argv.push(format!("--on-active={seconds}"));
        argv.push(format!("--description=bringup reverts {} unless it is confirmed", guard.what));
        argv.extend([program, "deadman".to_owned()]);
    } else {
        argv.extend(["setsid", "--fork"].map(str::to_owned));
        argv.extend([program, "deadman".to_owned(), format!("--wait={seconds}")]);
    }
    let command = Command::new(argv).timeout(Duration::from_secs(30)).log(guard.log);
    let output = host.run(&command).map_err(|e| Failure::new(what(), e))?;
    if output.ok() {
        return Ok(());
    }
    Err(Failure::new(what(), format!("{} ended with status {}", command.argv[0], output.status)).tail(output.tail(5)))
}

/// Stops the timers, but not the service they started: it may be us. Timer processes notice by themselves that they are
/// no longer needed.
pub(super) fn stop(host: &dyn Host) {
    if !boot::is_systemd(host) {
        return;
    }
    let timers = [EARLY_UNIT, UNIT].map(|unit| format!("{unit}.timer"));
    // Stopping a timer that does not exist is no error.
    let _ = host.run(&Command::new(["systemctl", "stop", "--"].into_iter().chain(timers.iter().map(String::as_str))));
}

/// Stops the timers and clears their failed state in systemd.
pub(super) fn forget(host: &dyn Host) {
    stop(host);
    if !boot::is_systemd(host) {
        return;
    }
    let units = [EARLY_UNIT, UNIT].map(|unit| [format!("{unit}.timer"), format!("{unit}.service")]);
    let all = units.iter().flatten().map(String::as_str);
    let _ = host.run(&Command::new(["systemctl", "reset-failed", "--"].into_iter().chain(all)));
}

/// The run's own copy of this program, which no upgrade replaces; the running one where there is no copy, or where it
/// is on a `noexec` file system.
fn program(host: &dyn Host, blobs: &Blobs) -> String {
    let copy = blobs.dir().with_file_name("bringup").display().to_string();
    let there = host.stat(Path::new(&copy)).ok().flatten().is_some_and(|stat| stat.kind == Kind::File);
    if there && host.run(&Command::new([copy.as_str(), "--version"])).is_ok_and(|output| output.ok()) {
        return copy;
    }
    let this = host.read_link(Path::new("/proc/self/exe")).unwrap_or_else(|_| PathBuf::from("bringup"));
    this.display().to_string()
}
