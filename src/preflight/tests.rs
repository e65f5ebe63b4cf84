#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc;

use super::*;
use crate::facts::probe::probe;
use crate::host::fake::{FakeHost, output};
use crate::host::{Address, Meta, Stamp};

/// The addresses of the mirror.
const MIRROR: [&str; 2] = ["192.0.2.80:80", "[2001:db8::80]:80"];

/// A fresh Debian that can reach its mirror and keeps its clock.
fn fit() -> FakeHost {
    let host = FakeHost::new();
    host.on(&["getent", "ahosts", "--", "deb.debian.org"], |_, _| {
        output(0, "2001:db8::80 STREAM\n192.0.2.80 STREAM\n192.0.2.80 DGRAM\n", "")
    });
    for address in MIRROR {
        host.answer(Address::Tcp(address.parse().unwrap()), |_| Vec::new());
    }
    host.on(&["timedatectl", "show"], |_, _| output(0, "NTP=yes\nCanNTP=yes\nNTPSynchronized=yes\n", ""));
    host.put_file("/etc/resolv.conf", "nameserver 192.0.2.1\n", 0o644);
    host
}

fn all(host: &FakeHost) -> Vec<Check> {
    run(host, &probe(host), &|_| {})
}

fn check(host: &FakeHost, id: &str) -> (CheckStatus, String, String) {
    let check = all(host).into_iter().find(|check| check.id == id).unwrap();
    assert_eq!(check.state == CheckStatus::Ok, check.fix.is_empty(), "{check:?}");
    (check.state, check.found, check.fix)
}

/// A check that is not well; gives what was found and what to do.
#[track_caller]
fn ails(host: &FakeHost, id: &str, wanted: CheckStatus) -> (String, String) {
    let (state, found, fix) = check(host, id);
    assert_eq!(state, wanted, "{found} -> {fix}");
    (found, fix)
}

#[track_caller]
fn well(host: &FakeHost, id: &str) -> String {
    let (state, found, fix) = check(host, id);
    assert_eq!(state, CheckStatus::Ok, "{found} -> {fix}");
    found
}

#[test]
fn a_fit_host_passes_every_check_and_nothing_is_changed() {
    let host = fit();
    host.forget_calls();
    let found = all(&host);
    let shown: Vec<String> = found.iter().map(|check| format!("{}: {}", check.title, check.found)).collect();
    assert!(found.iter().all(|check| check.state == CheckStatus::Ok), "{found:#?}");
    insta::assert_snapshot!(shown.join("\n"), @r"
    Distribution: Debian GNU/Linux 12 (bookworm), amd64
    User: root
    Connection: not over SSH
    Earlier runs: no run is in place
    Init system: systemd
    Processors: 2 processors
    Memory: 2048 MiB
    Swap: none, and none needed
    Disk: / 21.5 of 42.9 GB free, /tmp 21.5 of 42.9 GB free
    Inodes: / 2000000 free
    Clock: 2026-01-01 00:00 UTC, synchronised
    Host name: host (host.example.test) leads here (127.0.1.1)
    Packages: 4 installed, all in order
    Package locks: free
    Held packages: none
    Package sources: bookworm (lists not fetched yet; a run does it)
    Mirrors: deb.debian.org answers
    Web ports: 80 and 443 are free
    Firewall: no manager is active
    Reboot: not wanted
    ");
    let changes: Vec<_> = host.calls().into_iter().filter(|call| call.changes).collect();
    assert!(changes.is_empty(), "{changes:?}");
}

#[test]
fn every_check_is_told_once_and_the_list_is_in_order() {
    let host = fit();
    let told = Mutex::new(Vec::new());
    let list = run(&host, &probe(&host), &|check| told.lock().unwrap().push(check.id));
    let ids: Vec<&str> = list.iter().map(|check| check.id).collect();
    assert_eq!(ids, checks().map(|(id, _)| id).collect::<Vec<_>>());
    let mut told = told.into_inner().unwrap();
    told.sort_unstable();
    let mut ids = ids;
    ids.sort_unstable();
    assert_eq!(told, ids);
}

#[test]
fn a_check_that_hangs_is_told_as_unknown_and_holds_up_no_other() {
    let host = fit();
    let (free, freed) = mpsc::channel::<()>();
    let freed = Mutex::new(freed);
    host.on(&["timedatectl"], move |_, _| {
        // Until the check was told as late.
        let _ = freed.lock().unwrap().recv();
        output(0, "NTPSynchronized=yes\n", "")
    });
    let free = Mutex::new(Some(free));
    let list = run_within(
        &host,
        &probe(&host),
        &|check| {
            if check.id == "clock" {
                free.lock().unwrap().take();
            }
        },
        Duration::from_millis(300),
    );
    let clock = list.iter().find(|check| check.id == "clock").unwrap();
    assert_eq!((clock.state, clock.found.as_str()), (CheckStatus::Warning, "not known after 0 s"));
    assert_eq!(list.len(), checks().count());
}

#[test]
fn releases_that_were_never_tried_or_get_no_updates_are_told() {
    let host = fit();
    assert_eq!(well(&host, "release"), "Debian GNU/Linux 12 (bookworm), amd64");
    host.put_file("/etc/os-release", "ID=ubuntu\nVERSION_CODENAME=noble\nPRETTY_NAME=\"Ubuntu 24.04\"\n", 0o644);
    assert!(ails(&host, "release", CheckStatus::Warning).1.contains("Debian 11, 12 and 13"));
    host.take_away("/var/lib/dpkg");
    assert!(ails(&host, "release", CheckStatus::Problem).0.contains("without dpkg"));

    let old = FakeHost::debian("bullseye");
    assert_eq!(check(&old, "release").0, CheckStatus::Ok, "on the first of January 2026");
    old.sleep(Duration::from_hours(250 * 24));
    assert!(ails(&old, "release", CheckStatus::Warning).0.contains("security updates have ended"));
}

#[test]
fn an_ordinary_user_learns_what_needs_root() {
    let host = fit();
    host.occupy("apache2", "0.0.0.0:80".parse().unwrap());
    let host = host.as_user(1000);
    assert!(ails(&host, "user", CheckStatus::Warning).1.contains("sudo"));
    assert!(well(&host, "runs").contains("only root"));
    assert_eq!(ails(&host, "ports", CheckStatus::Warning).0, "taken: 80 by a program that only root can see");
}

#[test]
fn the_connection_is_named_with_what_it_runs_in() {
    let host = fit();
    assert_eq!(well(&host, "connection"), "not over SSH");
    host.set_env("SSH_CONNECTION", "192.0.2.7 51000 192.0.2.1 22");
    host.set_env("TMUX", "/tmp/tmux-0/default,1,0");
    let found = well(&host, "connection");
    assert!(found.contains("192.0.2.7 to port 22") && found.ends_with("(inside tmux)"), "{found}");
}

#[test]
fn no_systemd_means_other_service_managers() {
    let host = fit().without_systemd();
    let (found, fix) = ails(&host, "init", CheckStatus::Warning);
    assert!(found.starts_with("sh, not") && fix.contains("supervisor"), "{found} {fix}");
}

#[test]
fn limits_are_told_where_they_count() {
    let host = fit();
    assert_eq!((well(&host, "cpus"), well(&host, "memory")), ("2 processors".to_owned(), "2048 MiB".to_owned()));
    host.put_file("/sys/fs/cgroup/init.scope/cpu.max", "150000 100000\n", 0o444);
    host.put_file("/sys/fs/cgroup/init.scope/memory.max", "402653184\n", 0o444);
    assert_eq!(well(&host, "cpus"), "1 usable: cgroup quota of 1.5");
    assert_eq!(ails(&host, "memory", CheckStatus::Warning).0, "384 MiB of 2048 (cgroup limit)");
    assert_eq!(well(&host, "swap"), "none of its own");
    host.put_file("/sys/fs/cgroup/init.scope/memory.max", "134217728\n", 0o444);
    assert!(ails(&host, "memory", CheckStatus::Problem).1.contains("256 MiB"));
    host.put_file("/proc/meminfo", "", 0o444);
    assert!(ails(&host, "memory", CheckStatus::Warning).0.contains("not known"));
}

#[test]
fn a_small_machine_wants_swap() {
    let host = fit();
    host.put_file("/proc/meminfo", "MemTotal: 1048576 kB\nSwapTotal: 0 kB\n", 0o444);
    assert!(ails(&host, "swap", CheckStatus::Warning).1.contains("mkswap"));
    host.put_file("/proc/meminfo", "MemTotal: 1048576 kB\nSwapTotal: 524288 kB\n", 0o444);
    assert_eq!(well(&host, "swap"), "512 MiB");
}

#[test]
fn a_full_disk_of_its_own_for_archives_is_told() {
    let host = fit();
    let mut facts = probe(&host);
    let small = crate::facts::Disk { free_mib: 20, total_mib: 64 };
    facts.disks.insert("/var/cache/apt".to_owned(), small);
    let checks = run(&host, &facts, &|_| {});
    let disk = checks.iter().find(|check| check.id == "disk").unwrap();
    assert_eq!(disk.state, CheckStatus::Problem);
    assert!(disk.found.contains("/var/cache/apt has 21.0 MB free"), "{}", disk.found);
}

#[test]
fn a_disk_can_be_full_of_bytes_or_inodes_or_not_writable() {
    let host = fit();
    assert!(well(&host, "disk").starts_with("/ 21.5 of 42.9 GB free"));
    assert_eq!(well(&host, "inodes"), "/ 2000000 free");
    host.set_disk(1 << 30, 40 << 30);
    assert_eq!(ails(&host, "disk", CheckStatus::Warning).0, "/ has 1.1 GB free");
    host.set_disk(100 << 20, 40 << 30);
    assert!(ails(&host, "disk", CheckStatus::Problem).1.contains("apt-get clean"));
    host.set_inodes(50_000, 1_000_000);
    assert_eq!(ails(&host, "inodes", CheckStatus::Warning).0, "/ has 50000 free");
    host.set_inodes(12, 1_000_000);
    assert!(ails(&host, "inodes", CheckStatus::Problem).1.contains("du --inodes"));
    host.set_inodes(0, 0);
    assert_eq!(well(&host, "inodes"), "not limited");
    host.put_file("/proc/self/mountinfo", "1 0 8:1 / / ro,relatime - ext4 /dev/sda1 rw\n", 0o444);
    assert_eq!(ails(&host, "disk", CheckStatus::Problem).0, "/ cannot be written: mounted read-only");
}

#[test]
fn a_clock_that_is_wrong_or_left_alone_is_told() {
    let host = fit();
    assert_eq!(well(&host, "clock"), "2026-01-01 00:00 UTC, synchronised");
    for (told, fix) in [
        ("NTPSynchronized=no\nCanNTP=no\n", "apt-get install"),
        ("NTPSynchronized=no\nCanNTP=yes\nNTP=no\n", "set-ntp true"),
        ("NTPSynchronized=no\nCanNTP=yes\nNTP=yes\n", "UDP port 123"),
    ] {
        host.on(&["timedatectl", "show"], move |_, _| output(0, told, ""));
        assert!(ails(&host, "clock", CheckStatus::Warning).1.contains(fix), "{told}");
    }
    host.on(&["timedatectl", "show"], |_, _| output(1, "", "Failed to connect to bus"));
    assert!(well(&host, "clock").contains("nothing here tells"));
    host.put_file("/run/systemd/container", "lxc\n", 0o444);
    assert!(well(&host, "clock").contains("container's host"));
    let future = Stamp { sec: host.now().sec + 40 * 86_400, nsec: 0 };
    host.set_mtime(Path::new("/var/lib/dpkg/status"), future).unwrap();
    assert!(ails(&host, "clock", CheckStatus::Problem).0.contains("packages were changed on 2026-02"));
    host.sleep(Duration::from_hours(30 * 366 * 24));
    assert!(ails(&host, "clock", CheckStatus::Problem).0.ends_with("cannot be"));
}

#[test]
fn a_name_has_to_lead_here() {
    let host = fit();
    assert_eq!(well(&host, "name"), "host (host.example.test) leads here (127.0.1.1)");
    host.put_file("/etc/hosts", "198.51.100.9 host.example.test host\n", 0o644);
    let trie = "Local:\n  +-- 192.0.2.0/24 2 0 2\n     |-- 192.0.2.1\n        /32 host LOCAL\n     |-- 192.0.2.255\n        /32 link BROADCAST\n";
    host.put_file("/proc/net/fib_trie", trie, 0o444);
    let (found, fix) = ails(&host, "name", CheckStatus::Warning);
    assert!(found.contains("198.51.100.9, which is not this host"), "{found}");
    assert!(fix.contains("`127.0.1.1 host.example.test host`"), "{fix}");
    host.put_file("/etc/hosts", "192.0.2.1 host\n", 0o644);
    assert_eq!(well(&host, "name"), "host leads here (192.0.2.1)");
    host.put_file("/etc/hosts", "", 0o644);
    assert!(ails(&host, "name", CheckStatus::Warning).0.contains("leads to no address"));
    host.put_file("/proc/sys/kernel/hostname", "localhost\n", 0o444);
    assert!(ails(&host, "name", CheckStatus::Warning).1.contains("set-hostname"));
}

#[test]
fn a_package_database_that_is_not_in_order_is_told_with_names() {
    let host = fit();
    assert_eq!(well(&host, "dpkg"), "4 installed, all in order");
    let status = host.text("/var/lib/dpkg/status").unwrap();
    let stanza = |name: &str, status: &str| format!("Package: {name}\nStatus: {status}\nArchitecture: all\n\n");
    let with = |more: String| host.put_file("/var/lib/dpkg/status", format!("{status}{more}"), 0o644);

    with(stanza("waiting", "install ok triggers-pending"));
    assert!(ails(&host, "dpkg", CheckStatus::Warning).1.contains("--pending"));
    with(stanza("half", "install ok half-configured"));
    let (found, fix) = ails(&host, "dpkg", CheckStatus::Problem);
    assert!(found.ends_with(": half") && fix.contains("dpkg --configure -a"), "{found} {fix}");
    host.put_file("/usr/sbin/policy-rc.d.before-bringup", "", 0o755);
    assert!(ails(&host, "dpkg", CheckStatus::Problem).1.contains("bringup resume"));

    with(stanza("kept", "hold ok installed"));
    let (found, fix) = ails(&host, "held", CheckStatus::Warning);
    assert!(found.ends_with(": kept") && fix.contains("apt-mark unhold kept"), "{found} {fix}");
    host.put_file("/var/lib/dpkg/updates/0001", "", 0o644);
    assert_eq!(check(&host, "dpkg").1, "dpkg was interrupted, in a run of bringup");
    host.put_file("/var/lib/dpkg/status", "", 0o644);
    assert!(ails(&host, "dpkg", CheckStatus::Problem).1.contains("status-old"));
    assert_eq!(well(&host, "held"), "none");
}

#[test]
fn whoever_changes_packages_now_is_named() {
    let host = fit();
    assert_eq!(well(&host, "locks"), "free");
    host.put_file("/var/lib/dpkg/lock-frontend", "", 0o640);
    let inode = host.stat(Path::new("/var/lib/dpkg/lock-frontend")).unwrap().unwrap().ino;
    host.put_file("/proc/locks", format!("1: POSIX  ADVISORY  WRITE 77 fe:01:{inode} 0 EOF\n"), 0o444);
    host.put_file("/proc/77/comm", "unattended-upgr\n", 0o444);
    assert!(ails(&host, "locks", CheckStatus::Warning).0.starts_with("unattended-upgr (process 77)"));
}

#[test]
fn a_line_that_apt_cannot_read_is_told() {
    let host = fit();
    let error = "E: Malformed entry 1 in list file /etc/apt/sources.list.d/x.list (Suite)\nE: The list of sources \
                 could not be read.\n";
    host.on(&["apt-get", "indextargets"], move |_, _| output(100, "", error));
    let (found, fix) = ails(&host, "sources", CheckStatus::Problem);
    assert_eq!(found, "Malformed entry 1 in list file /etc/apt/sources.list.d/x.list (Suite)");
    assert!(fix.contains("correct that line"), "{fix}");
}

#[test]
fn package_sources_have_to_be_there_and_of_this_release() {
    let host = fit();
    assert_eq!(well(&host, "sources"), "bookworm (lists not fetched yet; a run does it)");
    host.put_file("/etc/apt/sources.list", "deb http://deb.debian.org/debian trixie main\n", 0o644);
    assert!(ails(&host, "sources", CheckStatus::Warning).0.contains("not this release"));
    host.put_file("/etc/apt/sources.list", "deb cdrom:[Debian 12]/ bookworm main\n", 0o644);
    assert_eq!(ails(&host, "sources", CheckStatus::Problem).0, "only a CD-ROM");
    assert!(ails(&host, "mirror", CheckStatus::Warning).0.contains("not tried"));
    host.take_away("/etc/apt/sources.list");
    assert!(ails(&host, "sources", CheckStatus::Problem).1.contains("/debian bookworm main"));
    let stanza = "Types: deb\nURIs: file:///srv/mirror\nSuites: bookworm\nComponents: main\n";
    host.put_file("/etc/apt/sources.list.d/local.sources", stanza, 0o644);
    assert!(well(&host, "sources").starts_with("bookworm"));
    assert!(ails(&host, "mirror", CheckStatus::Problem).0.contains("/srv/mirror is not there"));
    host.make_dir(Path::new("/srv/mirror"), Meta::root(0o755)).unwrap();
    assert_eq!(well(&host, "mirror"), "/srv/mirror is there");
}

#[test]
fn a_mirror_has_to_resolve_and_to_answer() {
    let host = fit();
    assert_eq!(well(&host, "mirror"), "deb.debian.org answers");
    host.on(&["getent", "ahosts", "--", "deb.debian.org"], |_, _| output(2, "", ""));
    let (found, fix) = ails(&host, "mirror", CheckStatus::Problem);
    assert!(found.contains("leads to no address") && fix.contains("getent ahosts"), "{found} {fix}");
    host.take_away("/etc/resolv.conf");
    assert!(ails(&host, "mirror", CheckStatus::Problem).1.starts_with("/etc/resolv.conf names no server"));

    let host = fit();
    host.on(&["getent", "ahosts", "--", "deb.debian.org"], |_, _| output(0, "2001:db8::80 STREAM\n", ""));
    assert_eq!(well(&host, "mirror"), "deb.debian.org answers, over IPv6 only");
    host.on(&["getent", "ahosts", "--", "deb.debian.org"], |_, _| output(0, "2001:db8::81 STREAM\n", ""));
    let (found, fix) = ails(&host, "mirror", CheckStatus::Problem);
    assert!(found.contains("IPv6 addresses only") && fix.contains("port 80"), "{found} {fix}");
    // One address that does not answer is no matter where another does.
    host.on(&["getent", "ahosts", "--", "deb.debian.org"], |_, _| output(0, "2001:db8::81 S\n192.0.2.80 S\n", ""));
    assert_eq!(well(&host, "mirror"), "deb.debian.org answers");

    host.put_file("/etc/apt/sources.list.d/theirs.list", "deb https://packages.example.org/x bookworm stable\n", 0o644);
    let (found, _) = ails(&host, "mirror", CheckStatus::Warning);
    assert_eq!(found, "packages.example.org leads to no address");
}

#[test]
fn behind_a_proxy_only_the_proxy_has_to_answer_and_its_password_stays_unsaid() {
    let host = fit();
    host.on(&["getent", "ahosts", "--", "deb.debian.org"], |_, _| output(2, "", ""));
    host.on(&["getent", "ahosts", "--", "cache"], |_, _| output(0, "192.0.2.31 STREAM\n", ""));
    host.set_env("http_proxy", "http://me:hush@cache:3142");
    let (found, fix) = ails(&host, "mirror", CheckStatus::Problem);
    assert!(found.starts_with("the proxy cache:3142 does not answer"), "{found}");
    assert!(fix.contains("http_proxy") && !format!("{found}{fix}").contains("hush"), "{found} {fix}");
    host.answer(Address::Tcp("192.0.2.31:3142".parse().unwrap()), |_| Vec::new());
    assert_eq!(well(&host, "mirror"), "the proxy cache:3142 answers");
}

#[test]
fn who_listens_on_the_web_s_ports_is_named_unless_it_is_ours() {
    let host = fit();
    assert_eq!(well(&host, "ports"), "80 and 443 are free");
    host.occupy("apache2", "0.0.0.0:80".parse().unwrap());
    host.occupy("apache2", "[::]:80".parse().unwrap());
    host.occupy("haproxy", "0.0.0.0:443".parse().unwrap());
    let (found, fix) = ails(&host, "ports", CheckStatus::Warning);
    assert_eq!(
        (found.as_str(), fix.as_str()),
        ("taken: 80 by apache2, 443 by haproxy", "stop apache2 and haproxy, or choose other ports")
    );
    host.put_file(crate::facts::probe::STANDING, r#"["webapp"]"#, 0o644);
    assert!(well(&host, "ports").ends_with("(webapp is in place here)"));
}

#[test]
fn rules_of_others_are_told_with_their_command_and_a_manager_is_used() {
    let host = fit();
    host.put_file("/etc/iptables/rules.v4", "", 0o640);
    assert!(ails(&host, "firewall", CheckStatus::Warning).1.contains("iptables -S"));
    host.put_file("/etc/systemd/system/sysinit.target.wants/nftables.service", "", 0o644);
    assert!(ails(&host, "firewall", CheckStatus::Warning).1.contains("nft list"));
    host.put_file("/etc/ufw/ufw.conf", "ENABLED=yes\n", 0o644);
    assert!(well(&host, "firewall").starts_with("ufw is active"));
    host.put_file("/run/firewalld/x", "", 0o644);
    host.put_file("/proc/77/comm", "firewalld\n", 0o444);
    assert!(well(&host, "firewall").starts_with("firewalld is active"));
}

#[test]
fn a_reboot_that_is_due_is_told_with_its_cause() {
    let host = fit();
    host.put_file("/proc/sys/kernel/osrelease", "6.1.0-18-amd64\n", 0o444);
    host.put_file("/lib/modules/6.1.0-18-amd64/modules.dep", "", 0o644);
    assert_eq!(well(&host, "reboot"), "not wanted");
    host.take_away("/lib/modules/6.1.0-18-amd64");
    host.put_file("/lib/modules/6.1.0-21-amd64/modules.dep", "", 0o644);
    assert!(ails(&host, "reboot", CheckStatus::Warning).0.contains("6.1.0-18-amd64 are gone"));
    host.put_file("/run/reboot-required", "", 0o644);
    host.put_file("/run/reboot-required.pkgs", "linux-image-amd64\nlinux-image-amd64\n", 0o644);
    assert_eq!(ails(&host, "reboot", CheckStatus::Warning).0, "wanted by linux-image-amd64");
}

#[test]
fn a_guide_s_requirements_are_checks_too() {
    let unmet = Problem {
        place: String::new(),
        path: String::new(),
        message: "too little memory".to_owned(),
        hint: "give it more".to_owned(),
    };
    let [check] = &required(&[unmet])[..] else { panic!() };
    assert_eq!((check.id, check.state, check.fix.as_str()), ("guide", CheckStatus::Problem, "give it more"));
    assert_eq!(required(&[]).first().unwrap().state, CheckStatus::Ok);
}
