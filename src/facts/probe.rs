//! Finds out what this server is, by reading files: no name is looked up, and nothing is started but what tells
//! the ports of SSH.
//!
//! What cannot be read is left empty, never an error: a guide's rules say what it cannot do without.

pub(crate) mod addresses;
pub mod admins;
mod cgroup;
pub(crate) mod connection;
mod cpus;
pub mod engines;
pub mod firewall;
pub mod installed;
mod listening;
mod memory;
pub mod ssh;
mod virtualization;

use std::collections::BTreeMap;
use std::path::Path;

pub use listening::{Holder, holders};

use super::{Application, Disk, Facts, Files, Os, Sshd};
use crate::host::{Host, Kind};

/// Mount points that may have a file system of their own.
const MOUNT_POINTS: &[&str] = &[
    "/",
    "/boot",
    "/home",
    "/opt",
    "/srv",
    "/tmp",
    "/usr",
    "/var",
    "/var/cache",
    "/var/cache/apt",
    "/var/cache/apt/archives",
    "/var/lib",
    "/var/lib/apt",
];

/// The engine's list of guides in place: a JSON list of their ids, world-readable.
pub const STANDING: &str = "/var/lib/bringup/standing.json";

/// Where it notes which packages they have installed: a JSON list of names, world-readable.
pub const BROUGHT: &str = "/var/lib/bringup/brought.json";

/// Where it notes which applications these are: a JSON list, world-readable.
pub const APPLICATIONS: &str = "/var/lib/bringup/applications.json";

/// Looks at the server.
pub fn probe(host: &dyn Host) -> Facts {
    let limits = cgroup::Limits::find(host);
    let packages = installed::Packages::read(host);
    let root = host.euid() == 0;
    let hostname = hostname(host);
    let listening = listening::find(host, root);
    let ssh = connection::find(host);
    Facts {
        os: os(host),
        arch: packages.arch.clone().unwrap_or_else(|| own_arch().to_owned()),
        fqdn: fqdn(host, &hostname),
        hostname: hostname.split('.').next().unwrap_or_default().to_owned(),
        cpus: cpus::find(host, &limits),
        memory: memory::find(host, &limits),
        disks: disks(host),
        init: init(host),
        container: container(host),
        root,
        sshd: Sshd { admins: admins::find(host, &ssh::key_files(host)), ..ssh::find(host, &listening, ssh.as_ref()) },
        addresses: addresses::find(host),
        name_servers: addresses::name_servers(host),
        listening,
        firewall: firewall::find(host).to_owned(),
        netfilter: firewall::netfilter(host),
        installed: packages.versions,
        ssh,
        postgresql: engines::postgresql(host),
        mariadb: engines::mariadb(host),
        redis: engines::redis(host),
        rabbitmq: engines::rabbitmq(host),
        virtualization: virtualization::find(host),
        ipv6: !text(host, "/proc/net/if_inet6").trim().is_empty(),
        applied: noted(host, STANDING),
        installed_by_us: noted(host, BROUGHT),
        applications: applications(host),
        files: Files::of(host),
    }
}

/// What systemd detected at boot, the environment of the container's process 1, and the file by which Docker marks its
/// containers.
fn container(host: &dyn Host) -> String {
    let environment = text(host, "/proc/1/environ");
    let told = environment.split('\0').find_map(|line| line.strip_prefix("container="));
    let found = text(host, "/run/systemd/container");
    match (found.trim(), told) {
        ("", None | Some("")) if exists(host, "/.dockerenv") => "docker".to_owned(),
        ("", told) => told.unwrap_or_default().to_owned(),
        (found, _) => found.to_owned(),
    }
}

/// The engine's record of the runs in place.
fn noted(host: &dyn Host, path: &str) -> Vec<String> {
    serde_json::from_str(&text(host, path)).unwrap_or_default()
}

/// The applications in place. Older records listed only guides, without application names.
pub fn applications(host: &dyn Host) -> Vec<Application> {
    if exists(host, APPLICATIONS) {
        return serde_json::from_str(&text(host, APPLICATIONS)).unwrap_or_default();
    }
    let nameless = |guide| Application { guide, ..Application::default() };
    noted(host, STANDING).into_iter().map(nameless).collect()
}

/// Whether no run of ours is in place, according to the world-readable record.
pub fn nothing_stands(host: &dyn Host) -> bool {
    noted(host, STANDING).is_empty()
}

/// The text of a file; empty when it cannot be read.
pub(crate) fn text(host: &dyn Host, path: impl AsRef<Path>) -> String {
    String::from_utf8_lossy(&host.read(path.as_ref()).unwrap_or_default()).into_owned()
}

pub(crate) fn exists(host: &dyn Host, path: impl AsRef<Path>) -> bool {
    host.stat(path.as_ref()).is_ok_and(|stat| stat.is_some())
}

/// `os-release(5)`.
fn os(host: &dyn Host) -> Os {
    let mut release = text(host, "/etc/os-release");
    if release.is_empty() {
        release = text(host, "/usr/lib/os-release");
    }
    let field = |name: &str| {
        let value = release.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        value.unwrap_or_default().trim().trim_matches(['"', '\'']).to_owned()
    };
    Os {
        id: field("ID"),
        codename: field("VERSION_CODENAME"),
        version: field("VERSION_ID"),
        name: field("PRETTY_NAME"),
    }
}

/// What this program was built for, where dpkg does not say.
fn own_arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "i386",
        "powerpc64" => "ppc64el",
        other => other,
    }
}

fn hostname(host: &dyn Host) -> String {
    let running = text(host, "/proc/sys/kernel/hostname").trim().to_owned();
    if running.is_empty() { text(host, "/etc/hostname").trim().to_owned() } else { running }
}

/// What `hostname -f` would say, as far as `/etc/hosts` knows: asking a name server may take seconds.
fn fqdn(host: &dyn Host, hostname: &str) -> String {
    if hostname.contains('.') {
        return hostname.to_owned();
    }
    let hosts = text(host, "/etc/hosts");
    let lines = hosts.lines().map(|line| line.split('#').next().unwrap_or_default());
    let names = lines.map(|line| line.split_whitespace().skip(1).collect::<Vec<_>>());
    let full = names.filter(|names| names.contains(&hostname)).find_map(|names| {
        let is_full = |name: &&&str| name.strip_prefix(hostname).is_some_and(|rest| rest.starts_with('.'));
        names.iter().find(is_full).map(|name| (*name).to_owned())
    });
    full.unwrap_or_else(|| hostname.to_owned())
}

fn disks(host: &dyn Host) -> BTreeMap<String, Disk> {
    let device = |path: &str| {
        let stat = host.stat(Path::new(path)).ok().flatten()?;
        (stat.kind == Kind::Dir).then_some(stat.dev)
    };
    // One of its own is on another device than its parent directory.
    let parent = |path: &str| Path::new(path).parent().and_then(|parent| device(parent.to_str()?));
    let separate =
        MOUNT_POINTS.iter().filter(|path| **path == "/" || device(path).is_some_and(|dev| Some(dev) != parent(path)));
    let found = separate.filter_map(|path| {
        let (free, total) = host.disk(Path::new(path)).ok()?;
        Some(((*path).to_owned(), Disk { free_mib: free >> 20, total_mib: total >> 20 }))
    });
    found.collect()
}

/// `systemd` where it works as PID 1 (its own test: `sd_booted(3)`), else what PID 1 is called.
fn init(host: &dyn Host) -> String {
    let first = text(host, "/proc/1/comm").trim().to_owned();
    let is_systemd = matches!(first.as_str(), "systemd" | "init") && exists(host, "/run/systemd/system");
    match first.as_str() {
        _ if is_systemd => "systemd".to_owned(),
        // It runs, but not for us: a changed root, or a container that shares the process table.
        "systemd" | "" => "none".to_owned(),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeHost;

    #[test]
    fn a_fresh_debian_is_recognised() {
        let facts = probe(&FakeHost::new());
        assert_eq!(
            (facts.os.id.as_str(), facts.os.codename.as_str(), facts.os.version.as_str()),
            ("debian", "bookworm", "12")
        );
        assert_eq!(facts.os.name, "Debian GNU/Linux 12 (bookworm)");
        assert_eq!((facts.arch.as_str(), facts.init.as_str(), facts.firewall.as_str()), ("amd64", "systemd", "none"));
        assert_eq!((facts.hostname.as_str(), facts.fqdn.as_str()), ("host", "host.example.test"));
        assert_eq!((facts.cpus.usable, facts.memory.usable_mib), (2, 2048));
        assert_eq!(facts.disks.keys().collect::<Vec<_>>(), ["/", "/tmp"]);
        assert_eq!(facts.disks["/"], Disk { free_mib: 20 << 10, total_mib: 40 << 10 });
        assert!(facts.root && facts.listening.is_empty() && facts.ssh.is_none() && facts.applied.is_empty());
    }

    #[test]
    fn a_host_without_systemd_says_what_its_first_process_is() {
        let host = FakeHost::new().without_systemd();
        assert_eq!(probe(&host).init, "sh");
        host.put_file("/proc/1/comm", "systemd\n", 0o444);
        assert_eq!(probe(&host).init, "none");
    }

    #[test]
    fn nothing_that_is_missing_is_an_error() {
        let host = FakeHost::new();
        for path in ["/etc", "/proc", "/sys", "/var/lib"] {
            host.take_away(path);
        }
        let facts = probe(&host);
        assert_eq!((facts.cpus.usable, facts.memory.usable_mib, facts.init.as_str()), (1, 0, "none"));
        assert!(facts.fqdn.is_empty() && facts.installed.is_empty());
    }

    #[test]
    fn the_probe_only_reads() {
        let host = FakeHost::new();
        probe(&host);
        let calls = host.calls();
        let beyond: Vec<_> =
            calls.iter().filter(|call| call.changes || call.method == "run" || call.method == "connect").collect();
        assert!(beyond.is_empty(), "{beyond:?}");
    }

    #[test]
    fn standing_guides_are_read_and_rubbish_is_none() {
        let host = FakeHost::new();
        host.put_file(STANDING, r#"["webapp", "other"]"#, 0o644);
        host.put_file(BROUGHT, r#"["nginx"]"#, 0o644);
        assert_eq!(probe(&host).applied, ["webapp", "other"]);
        assert_eq!(probe(&host).installed_by_us, ["nginx"]);
        let named =
            |host: &FakeHost| -> Vec<String> { probe(host).applications.iter().map(Application::words).collect() };
        assert_eq!(named(&host), ["webapp", "other"], "an earlier version noted guides alone");
        let shop = r#"[{"guide": "webapp", "name": "shop", "address": "https://shop.example.org/"}]"#;
        host.put_file(APPLICATIONS, shop, 0o644);
        assert_eq!(named(&host), ["shop, https://shop.example.org/"]);
        host.put_file(STANDING, "torn", 0o644);
        assert!(probe(&host).applied.is_empty());
    }

    #[test]
    fn the_full_name_comes_from_the_line_of_the_short_one() {
        let host = FakeHost::new();
        host.put_file(
            "/etc/hosts",
            "10.0.0.1 hosting.example.org hosting\n127.0.1.1 host host.example.org # mine\n",
            0o644,
        );
        assert_eq!(fqdn(&host, "host"), "host.example.org");
        assert_eq!(fqdn(&host, "other"), "other");
        assert_eq!(fqdn(&host, "a.b.c"), "a.b.c");
    }
}
