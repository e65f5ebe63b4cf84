//! The system itself: release, user, connection, first process, processors, memory, and whether it waits for a
//! reboot.

use std::path::Path;

use super::{Finding, ok, problem, warning};
use crate::facts::Facts;
use crate::facts::probe::{connection, exists, text};
use crate::host::Host;
use crate::system::packages::listed;

/// The releases that bringup is tested on, with the end of their long-term support in seconds since the epoch
/// (wiki.debian.org/LTS: 31 August 2026, 30 June 2028, 30 June 2030).
const RELEASES: &[(&str, i64)] = &[("bullseye", 1_788_220_800), ("bookworm", 1_846_022_400), ("trixie", 1_909_094_400)];

/// Memory in MiB that Debian needs and recommends for a server (its installation guide, section 3.4).
const NEEDED_MIB: u64 = 256;
const RECOMMENDED_MIB: u64 = 512;
/// Below this much memory in MiB a server without swap is likely to run into its end: a package's scripts and a
/// database need some hundreds for a moment.
const SWAPLESS_MIB: u64 = 2048;

pub(crate) fn release(host: &dyn Host, facts: &Facts) -> Finding {
    let name = if facts.os.name.is_empty() { "an unknown system" } else { &facts.os.name };
    let found = format!("{name}, {}", facts.arch);
    if !exists(host, "/var/lib/dpkg") {
        return problem(format!("{found}, without dpkg"), "use a server with Debian 11, 12 or 13");
    }
    let known = RELEASES.iter().find(|(codename, _)| *codename == facts.os.codename);
    match known.filter(|_| facts.os.id == "debian") {
        None => warning(found, "bringup is tested on Debian 11, 12 and 13: look at the plan with care"),
        Some((_, end)) if host.now().sec >= *end => warning(
            format!("{found}: its security updates have ended"),
            "upgrade to a newer Debian first: holes found from now on stay open",
        ),
        Some(_) => ok(found),
    }
}

pub(crate) fn user(host: &dyn Host, facts: &Facts) -> Finding {
    if facts.root {
        return ok("root");
    }
    let found = format!("an ordinary user (id {})", host.euid());
    warning(found, "enough for planning; changing this server needs root: use sudo")
}

/// Whichever way someone came, a lost connection ends nothing.
pub(crate) fn connection(host: &dyn Host, facts: &Facts) -> Finding {
    let way = facts.ssh.as_ref().map_or_else(
        || "not over SSH".to_owned(),
        |ssh| format!("over SSH from {} to port {}; a run continues without it", ssh.client, ssh.port),
    );
    let inside = [("TMUX", "tmux"), ("STY", "screen")]
        .into_iter()
        .find(|(variable, _)| connection::inherited(host, variable).is_some_and(|value| !value.is_empty()));
    ok(inside.map_or_else(|| way.clone(), |(_, program)| format!("{way} (inside {program})")))
}

pub(crate) fn init(_: &dyn Host, facts: &Facts) -> Finding {
    match facts.init.as_str() {
        "systemd" => ok("systemd"),
        "none" => warning(
            "none that works here (chroot or container)",
            "start services through supervisor or their scripts; starting them at boot is left to the container's host",
        ),
        other => warning(
            format!("{other}, not systemd"),
            format!("start services through supervisor or their scripts; starting them at boot is left to {other}"),
        ),
    }
}

pub(crate) fn cpus(_: &dyn Host, facts: &Facts) -> Finding {
    let cpus = &facts.cpus;
    let limited = cpus.usable < cpus.threads;
    ok(if limited { format!("{} usable: {}", cpus.usable, cpus.source) } else { cpus.source.clone() })
}

pub(crate) fn memory(_: &dyn Host, facts: &Facts) -> Finding {
    let memory = &facts.memory;
    if memory.usable_mib == 0 {
        return warning("not known: /proc/meminfo cannot be read", "mount /proc");
    }
    let limited = memory.usable_mib < memory.total_mib;
    let of = if limited { format!(" of {} ({})", memory.total_mib, memory.source) } else { String::new() };
    let found = format!("{} MiB{of}", memory.usable_mib);
    if memory.usable_mib < NEEDED_MIB {
        return problem(found, format!("Debian itself needs {NEEDED_MIB} MiB: give the server more"));
    }
    if memory.usable_mib < RECOMMENDED_MIB {
        return warning(found, format!("give the server at least {RECOMMENDED_MIB} MiB, better twice as much"));
    }
    ok(found)
}

pub(crate) fn swap(_: &dyn Host, facts: &Facts) -> Finding {
    let memory = &facts.memory;
    if memory.swap_mib > 0 {
        return ok(format!("{} MiB", memory.swap_mib));
    }
    // A container cannot have swap of its own.
    let own = memory.usable_mib == memory.total_mib;
    if own && (1..SWAPLESS_MIB).contains(&memory.usable_mib) {
        return warning(
            "none: when memory runs short, the kernel kills a process",
            "fallocate -l 1G /swapfile && chmod 600 /swapfile && mkswap /swapfile && swapon /swapfile, and a line \
             `/swapfile none swap sw 0 0` in /etc/fstab",
        );
    }
    ok(if own { "none, none needed" } else { "none of its own" })
}

pub(crate) fn reboot(host: &dyn Host, _: &Facts) -> Finding {
    let fix = "reboot first (`systemctl reboot`), then start here again";
    if exists(host, "/run/reboot-required") {
        let by = text(host, "/run/reboot-required.pkgs");
        let mut packages: Vec<&str> = by.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        packages.dedup();
        let by = if packages.is_empty() { String::new() } else { format!(" by {}", listed(packages)) };
        return warning(format!("needed{by}"), fix);
    }
    // An update of the kernel's package has taken the modules of the running one: no firewall rule can be loaded.
    let kernel = text(host, "/proc/sys/kernel/osrelease").trim().to_owned();
    let others = host.list(Path::new("/lib/modules")).unwrap_or_default();
    if !kernel.is_empty() && !others.is_empty() && !others.iter().any(|name| name.as_os_str() == kernel.as_str()) {
        return warning(format!("needed: the modules of the running kernel {kernel} are gone"), fix);
    }
    ok("not needed")
}
