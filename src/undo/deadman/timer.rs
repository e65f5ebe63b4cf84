//! The timers of the switch, held by PID 1; processes of their own where systemd does not run.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::GuardedChange;
use crate::error::{Failure, Outcome};
use crate::host::{Command, Host, Kind};
use crate::undo::Blobs;

/// The transient timer and its service are called so.
pub(super) const UNIT: &str = "bringup-deadman";
/// The timer that is started before the change is made, and its time beyond that of the other: making the change
/// takes seconds where the manager is slow.
pub(super) const EARLY_UNIT: &str = "bringup-deadman-early";
pub(super) const EARLY: u64 = 120;

/// Starts one that goes off after so many seconds.
pub(super) fn start(host: &dyn Host, guard: &GuardedChange<'_>, unit: &str, seconds: u64) -> Outcome<()> {
    let what = || format!("start the timer that would put {} back", guard.what);
    let program = program(host, guard.blobs);
    let mut argv: Vec<String> = Vec::new();
    if host.stat(Path::new("/run/systemd/system")).ok().flatten().is_some() {
        argv.extend(["systemd-run", "--quiet", "--collect", "--timer-property=AccuracySec=100ms"].map(str::to_owned));
        argv.push(format!("--unit={unit}"));
        argv.push(format!("--on-active={seconds}"));
        argv.push(format!("--description=bringup puts {} back unless it is confirmed", guard.what));
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

/// Stops the timers, but not what they started: it may be us. Where they are not systemd's, their processes see by
/// themselves that they are not needed any more.
pub(super) fn stop(host: &dyn Host) {
    if host.stat(Path::new("/run/systemd/system")).ok().flatten().is_none() {
        return;
    }
    let timers = [EARLY_UNIT, UNIT].map(|unit| format!("{unit}.timer"));
    // Of one that is not there nothing needs to be stopped.
    let _ = host.run(&Command::new(["systemctl", "stop", "--"].into_iter().chain(timers.iter().map(String::as_str))));
}

/// Stops the timers, and has systemd forget how they ended.
pub(super) fn forget(host: &dyn Host) {
    stop(host);
    if host.stat(Path::new("/run/systemd/system")).ok().flatten().is_none() {
        return;
    }
    let units = [EARLY_UNIT, UNIT].map(|unit| [format!("{unit}.timer"), format!("{unit}.service")]);
    let all = units.iter().flatten().map(String::as_str);
    let _ = host.run(&Command::new(["systemctl", "reset-failed", "--"].into_iter().chain(all)));
}

/// The copy of this program that lies with the run and that nobody replaces; this one itself where there is none, or
/// where it cannot be started, since the file system is mounted so.
fn program(host: &dyn Host, blobs: &Blobs) -> String {
    let copy = blobs.dir().with_file_name("bringup").display().to_string();
    let there = host.stat(Path::new(&copy)).ok().flatten().is_some_and(|stat| stat.kind == Kind::File);
    if there && host.run(&Command::new([copy.as_str(), "--version"])).is_ok_and(|output| output.ok()) {
        return copy;
    }
    let this = host.read_link(Path::new("/proc/self/exe")).unwrap_or_else(|_| PathBuf::from("bringup"));
    this.display().to_string()
}
