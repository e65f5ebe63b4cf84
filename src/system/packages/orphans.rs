//! Services that outlive their package. Most packages stop theirs on removal; some do not, such as Debian's
//! unattended-upgrades, which a boot in the middle of a run has started. One that failed to start is still listed as
//! failed after its removal, and one that ran once as active; sockets go on listening.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use crate::host::{Command, Host};

/// The services and sockets of systemd that are active or have failed, with a unit file (`loaded`) or without one any more (`not-found`).
pub(crate) fn known(host: &dyn Host, load: &str) -> BTreeSet<String> {
    if host.stat(Path::new("/run/systemd/system")).ok().flatten().is_none() {
        return BTreeSet::new();
    }
    let argv = [
        "systemctl",
        "list-units",
        "--plain",
        "--no-legend",
        "--full",
        "--type=service,socket",
        "--state=active,failed",
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

/// Stops those of `before` (what was known before a purge) that have lost their unit file, and has them forgotten.
pub(crate) fn stop(host: &dyn Host, before: &BTreeSet<String>) {
    if before.is_empty() {
        return;
    }
    // One that cannot be stopped ends with the next boot: no reason to fail.
    let systemctl = |words: &[&str]| {
        let argv = ["systemctl"].iter().chain(words).copied();
        drop(host.run(&Command::new(argv).timeout(Duration::from_mins(2))));
    };
    systemctl(&["daemon-reload"]);
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
        stop(&host, &before);
        assert_eq!(systemctl(&["is-active", "kept.service"]), 0);
        let left = known(&host, "not-found");
        assert!(left.contains("stray.service") && !left.contains("lost.service"), "{left:?}");
    }
}
