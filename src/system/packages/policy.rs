//! `policy-rc.d`: keeps packages' scripts from starting services while a transaction runs.
//!
//! invoke-rc.d(8) and deb-systemd-invoke ask `/usr/sbin/policy-rc.d` before they act on a service; 101 means
//! "forbidden". Ours stands there only during a transaction. It carries a comment by which a later run knows
//! it after a crash, and a policy that was there before waits beside it.

use std::io;
use std::path::Path;

use crate::error::{Failure, Outcome};
use crate::host::{Host, Kind, Meta};

const PATH: &str = "/usr/sbin/policy-rc.d";
const SAVED: &str = "/usr/sbin/policy-rc.d.before-bringup";
const COMMENT: &str = "# Put here by bringup while it changes packages; a leftover goes away with its next run.";

/// What maintainer scripts may do to services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Nothing: for installing. A service is started when it is configured, not before.
    Nothing,
    /// Stop them: for purging, or daemons would outlive their packages.
    StopOnly,
}

/// Runs `work` while `policy` is in force; afterwards the former state is restored, even if `work` failed.
pub fn hold<T>(host: &dyn Host, policy: Policy, work: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    put(host, policy).map_err(|e| failed(&e))?;
    let outcome = work();
    let cleaned = clean(host);
    let value = outcome?;
    cleaned?;
    Ok(value)
}

/// Whether an interrupted transaction of ours has left its policy behind.
pub fn is_left(host: &dyn Host) -> Outcome<bool> {
    let saved = || host.stat(Path::new(SAVED)).map(|stat| stat.is_some());
    Ok(is_ours(host).map_err(|e| failed(&e))? || saved().map_err(|e| failed(&e))?)
}

/// Takes our policy away, and restores what was there before it.
pub fn clean(host: &dyn Host) -> Outcome<()> {
    restore(host).map_err(|e| failed(&e))
}

fn put(host: &dyn Host, policy: Policy) -> io::Result<()> {
    restore(host)?;
    copy(host, Path::new(PATH), Path::new(SAVED))?;
    let rule = match policy {
        Policy::Nothing => "exit 101",
        Policy::StopOnly => "case \"$2\" in *stop) exit 0 ;; esac\nexit 101",
    };
    // A link is not followed: the write replaces it, and it is kept in SAVED.
    host.write(Path::new(PATH), format!("#!/bin/sh\n{COMMENT}\n{rule}\n").as_bytes(), Meta::root(0o755))
}

fn restore(host: &dyn Host) -> io::Result<()> {
    let (path, saved) = (Path::new(PATH), Path::new(SAVED));
    if is_ours(host)? {
        if host.stat(saved)?.is_some() {
            copy(host, saved, path)?;
        } else {
            host.remove(path)?;
        }
    }
    host.remove(saved)
}

/// Copies a file or a link with its owner, mode and time; nothing where nothing is.
fn copy(host: &dyn Host, from: &Path, to: &Path) -> io::Result<()> {
    let Some(stat) = host.stat(from)? else {
        return Ok(());
    };
    if stat.kind == Kind::Symlink {
        host.make_symlink(to, &host.read_link(from)?)?;
    } else {
        host.write(to, &host.read(from)?, stat.meta)?;
    }
    host.set_mtime(to, stat.mtime)
}

fn is_ours(host: &dyn Host) -> io::Result<bool> {
    let path = Path::new(PATH);
    match host.stat(path)? {
        Some(stat) if stat.kind == Kind::File => {
            Ok(String::from_utf8_lossy(&host.read(path)?).lines().any(|line| line == COMMENT))
        }
        _ => Ok(false),
    }
}

fn failed(error: &io::Error) -> Failure {
    Failure::new("keep packages from starting services", format!("{PATH}: {error}"))
}
