//! Units of packages that are purged: stopped together before it, or found afterwards without a unit file.
//!
//! Most packages stop theirs on removal, one after the other; some do not, such as Debian's unattended-upgrades, which a
//! boot in the middle of a run has started. One that failed to start is still listed as failed after its removal, and one
//! that ran once as active; sockets go on listening.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::short;
use crate::host::{Command, Host};
use crate::system::boot;

/// As long as systemd waits for a service to end before it kills it (`DefaultTimeoutStopSec`, 90 s), and more.
const STOP: Duration = Duration::from_mins(2);

/// The services of systemd, and what starts them, that run, are about to or have failed, with a unit file
/// (`loaded`) or without one any more (`not-found`).
pub(crate) fn known(host: &dyn Host, load: &str) -> BTreeSet<String> {
    if !boot::is_systemd(host) {
        return BTreeSet::new();
    }
    let argv = [
        "systemctl",
        "list-units",
        "--plain",
        "--no-legend",
        "--full",
        "--type=service,socket,timer,path,target",
        "--state=active,activating,reloading,deactivating,failed",
    ];
    let output = host.run(&Command::new(argv).timeout(Duration::from_secs(30)));
    let text = output.map_or_else(|_| String::new(), |output| output.text());
    let unit = |line: &str| {
        let mut words = line.split_whitespace();
        let name = words.next()?;
        (words.next()? == load).then(|| name.to_owned())
    };
    text.lines().filter_map(unit).collect()
}

/// Stops the units that `packages` have brought, all at once, also the instances of their templates. Where one cannot be
/// stopped, its package's script says so.
pub(crate) fn stop_those_of(host: &dyn Host, packages: &[&str]) {
    let units = known(host, "loaded");
    if units.is_empty() {
        return;
    }
    let argv = ["systemctl", "show", "-p", "Id,FragmentPath,SourcePath", "--"];
    let argv = argv.into_iter().chain(units.iter().map(String::as_str));
    let Ok(output) = host.run(&Command::new(argv).timeout(Duration::from_secs(30))) else { return };
    let files = files_of(host, packages);
    let text = output.text();
    let theirs: Vec<&str> = text
        .split("\n\n")
        .filter_map(|unit| {
            let of: BTreeMap<&str, &str> = unit.lines().filter_map(|line| line.split_once('=')).collect();
            // A script of init has a unit that systemd has generated.
            let from = ["FragmentPath", "SourcePath"].iter().filter_map(|key| of.get(key));
            from.map(|path| merged(Path::new(path))).any(|path| files.contains(&path)).then(|| of.get("Id").copied())?
        })
        .collect();
    if !theirs.is_empty() {
        let argv = ["systemctl", "stop", "--"].into_iter().chain(theirs);
        drop(host.run(&Command::new(argv).timeout(STOP)));
    }
}

/// Has systemd, where it runs, read its units.
pub(crate) fn reload(host: &dyn Host) {
    if boot::is_systemd(host) {
        // As in maintainer scripts, no reason to fail.
        drop(host.run(&Command::new(["systemctl", "daemon-reload"]).timeout(STOP)));
    }
}

/// What dpkg lists of these packages.
fn files_of(host: &dyn Host, packages: &[&str]) -> BTreeSet<PathBuf> {
    let lines = |list: String| -> Vec<PathBuf> { list.lines().map(|line| merged(Path::new(line))).collect() };
    info(host, packages, "list").flat_map(lines).collect()
}

/// Whether a script that removes one of these packages tells systemctl more than to read its units: rsyslog's stops
/// `syslog.socket`, which is a unit of another package.
pub(crate) fn scripts_use_systemctl(host: &dyn Host, packages: &[&str]) -> bool {
    let says = |line: &str| {
        let line = line.trim_start();
        !line.starts_with('#') && line.contains("systemctl") && !line.contains("daemon-reload")
    };
    ["prerm", "postrm"].iter().any(|kind| info(host, packages, kind).any(|script| script.lines().any(says)))
}

/// dpkg's files of this kind for these packages. One that is there in several architectures has them under its full name.
fn info<'a>(host: &'a dyn Host, packages: &[&'a str], kind: &'a str) -> impl Iterator<Item = String> + 'a {
    let names: BTreeSet<&str> = packages.iter().flat_map(|name| [*name, short(name)]).collect();
    names.into_iter().filter_map(move |name| {
        let bytes = host.read(Path::new(&format!("/var/lib/dpkg/info/{name}.{kind}"))).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    })
}

/// `/usr/lib/x` for `/lib/x`, which is the same since directories were merged.
fn merged(path: &Path) -> PathBuf {
    path.strip_prefix("/lib").map_or_else(|_| path.to_owned(), |rest| Path::new("/usr/lib").join(rest))
}

/// Stops those of `before` (what was known before a purge) that have lost their unit file, and has them forgotten.
pub(crate) fn stop(host: &dyn Host, before: &BTreeSet<String>) {
    if before.is_empty() {
        return;
    }
    // One that cannot be stopped ends with the next boot: no reason to fail.
    let systemctl = |words: &[&str]| {
        let argv = ["systemctl"].iter().chain(words).copied();
        drop(host.run(&Command::new(argv).timeout(STOP)));
    };
    for unit in known(host, "not-found").intersection(before) {
        systemctl(&["stop", "--", unit]);
        systemctl(&["reset-failed", "--", unit]);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::host::fake::FakeHost;

    #[test]
    fn the_services_of_packages_are_stopped_and_no_others() {
        let host = FakeHost::debian("bookworm");
        for name in ["gone", "kept"] {
            host.put_file(format!("/usr/lib/systemd/system/{name}.service"), "[Service]\nExecStart=/bin/true\n", 0o644);
            host.put_file(
                format!("/var/lib/dpkg/info/{name}.list"),
                format!("/lib/systemd/system/{name}.service\n"),
                0o644,
            );
            host.run(&Command::new(["systemctl", "daemon-reload"])).unwrap();
            host.run(&Command::new(["systemctl", "start", &format!("{name}.service")])).unwrap();
        }
        assert!(!scripts_use_systemctl(&host, &["gone:amd64", "kept"]));
        let script = "#!/bin/sh\nsystemctl --system daemon-reload || true\n# systemctl stop x\n";
        host.put_file("/var/lib/dpkg/info/gone.postrm", script, 0o755);
        assert!(!scripts_use_systemctl(&host, &["gone:amd64"]));
        host.put_file("/var/lib/dpkg/info/gone.prerm", "\tsystemctl stop syslog.socket || true\n", 0o755);
        assert!(scripts_use_systemctl(&host, &["gone:amd64"]) && !scripts_use_systemctl(&host, &["kept"]));
        stop_those_of(&host, &["gone:amd64"]);
        let left = known(&host, "loaded");
        assert!(left.contains("kept.service") && !left.contains("gone.service"), "{left:?}");
    }

    #[test]
    fn a_service_without_its_package_is_stopped_and_others_go_on() {
        let host = FakeHost::debian("bookworm");
        let systemctl = |words: &[&str]| host.run(&Command::new([&["systemctl"], words].concat())).unwrap().status;
        for name in ["lost", "kept", "stray"] {
            host.put_file(format!("/etc/systemd/system/{name}.service"), "[Service]\nExecStart=/bin/true\n", 0o644);
            systemctl(&["daemon-reload"]);
            assert_eq!(systemctl(&["start", &format!("{name}.service")]), 0, "{name}");
        }
        // It was an orphan before.
        host.take_away("/etc/systemd/system/stray.service");
        let before = known(&host, "loaded");
        assert!(
            before.contains("lost.service") && before.contains("kept.service") && !before.contains("stray.service")
        );
        host.take_away("/etc/systemd/system/lost.service");
        reload(&host);
        stop(&host, &before);
        assert_eq!(systemctl(&["is-active", "kept.service"]), 0);
        let left = known(&host, "not-found");
        assert!(left.contains("stray.service") && !left.contains("lost.service"), "{left:?}");
    }
}
