//! Ravada from its upstream source, all the way and back.
//!
//! `BRINGUP_TEST_RAVADA` names a repository with the tag v2.4.6 (any that can be cloned, bare or not); without it the
//! tests that install print `skipped:`.

use std::path::{Path, PathBuf};

use crate::crashes::killed_and_resumed;
use crate::host::{Ended, Host, Init, moved, nothing_left_to_do, open_from_outside};
use crate::pair::install as packages;

const ROLLBACK: [&str; 6] = ["bringup", "rollback", "--all", "--yes", "--plain", "--drop-data"];

/// Opens port 5900 to a viewer and closes it to everybody else, by upstream's own code, as for a machine's display.
const OPEN_DISPLAY: &str = r"
use strict; use warnings; use Ravada;
my ($viewer, $here) = @ARGV;
my $vm = Ravada->new()->search_vm('KVM') or die 'no KVM';
$vm->create_iptables_chain('RAVADA');
for my $rule ([$viewer, 'ACCEPT'], ['0.0.0.0/0', 'DROP']) {
    $vm->iptables_unique(A => 'RAVADA', m => 'tcp', p => 'tcp', s => $rule->[0], d => $here, dport => 5900, j => $rule->[1]);
}
";

/// Where upstream's repository is on this machine; nothing, with a word about it, where it is not.
fn upstream() -> Option<PathBuf> {
    let Some(path) = std::env::var_os("BRINGUP_TEST_RAVADA").map(PathBuf::from) else {
        println!("skipped: BRINGUP_TEST_RAVADA names no repository of Ravada");
        return None;
    };
    Some(path)
}

/// A server with the repository on it.
fn server(release: &str, source: &Path) -> Host {
    let host = Host::start_with(release, Init::Systemd, &["--disk"]);
    host.push(source, "/srv/ravada");
    host
}

/// A shipped answers file with the repository of this host, and some of its lines replaced.
fn answers(way: &str, changes: &[(&str, &str)]) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/answers").join(way);
    let mut text = std::fs::read_to_string(file).unwrap();
    for (from, to) in [("source:\n", "source:\n  location: /srv/ravada\n")].iter().chain(changes) {
        assert!(text.contains(from), "{way} has no {from:?}");
        text = text.replace(from, to);
    }
    text
}

/// Whether one host gets through to a port of another.
fn reaches(from: &Host, to: &Host, port: u16) -> bool {
    let there = to.address();
    from.sh(&format!("timeout 3 bash -c '</dev/tcp/{there}/{port}' 2>/dev/null")).status == 0
}

/// Something that listens on 5900 and 5901, as QEMU does for displays.
fn listen(host: &Host) {
    let script = "use IO::Socket::INET; $SIG{CHLD} = 'IGNORE'; my $l = IO::Socket::INET->new(LocalPort => shift, \
                  Listen => 9, ReuseAddr => 1) or die; while (my $c = $l->accept) { close $c }";
    for port in ["5900", "5901"] {
        host.exec(&["systemd-run", "-q", &format!("--unit=display-{port}"), "perl", "-e", script, port]).expect(0);
    }
    host.sh("for i in $(seq 50); do ss -ltn | grep -q :5901 && break; sleep 0.1; done").expect(0);
}

/// The administrator reaches every display, the viewer the one that Ravada opened, a stranger none, the server itself
/// all.
#[track_caller]
fn displays(server: &Host, admin: &Host, viewer: &Host) {
    listen(server);
    server.write("/root/open.pl", OPEN_DISPLAY);
    let (seen_from, here) = (viewer.address(), server.address());
    server.exec(&["perl", "/root/open.pl", &seen_from, &here]).expect(0);
    server.sh("rm /root/open.pl").expect(0);
    let seen = |host: &Host| [5900, 5901].map(|port| reaches(host, server, port));
    assert_eq!(seen(admin), [true, true], "the administrator");
    assert_eq!(seen(viewer), [true, false], "the viewer");
    assert_eq!(open_from_outside(server, &[5900, 5901]), [0_u16; 0], "a stranger");
    assert_eq!(seen(server), [true, true], "the server itself");
    server.sh("systemctl stop display-5900 display-5901").expect(0);
    server.exec(&["bringup", "verify", "--plain"]).expect(0);
}

fn there_and_back(release: &str) {
    let Some(source) = upstream() else { return };
    let server = server(release, &source);
    let (admin, viewer) = (Host::start("bookworm", Init::Systemd), Host::start("bookworm", Init::Systemd));
    let before = server.manifest("before");
    let file = answers("ravada.yaml", &[("administrators: []", &format!("administrators: [{}]", admin.address()))]);
    let told = server.bringup(&file).expect(0).both();
    assert!(told.contains("no KVM") || server.sh("test -e /dev/kvm").status == 0, "{told}");
    nothing_left_to_do(&server, &file);
    // The tools of the build are gone.
    let tools = server.sh("dpkg-query -W -f '${Package} ${db:Status-Status}\\n' make perl-doc unzip").stdout;
    assert!(!tools.contains(" installed"), "{tools}");
    assert_eq!(open_from_outside(&server, &[22, 80, 443, 3306, 8081]), [80, 443]);
    displays(&server, &admin, &viewer);

    server.cut();
    server.boot();
    server.exec(&["bringup", "verify", "--plain"]).expect(0);
    assert_eq!(open_from_outside(&server, &[22, 80, 443, 3306, 8081]), [80, 443]);
    displays(&server, &admin, &viewer);
    nothing_left_to_do(&server, &file);

    // One answer after the other is changed; each moves what must move, and nothing else.
    let change = |file: &str, expected: &[&str]| {
        let told = server.bringup(file).expect(0).both();
        assert_eq!(moved(&told), expected, "{told}");
    };
    let message = file.replace("login_message: Virtual desktops", "login_message: Desktops of the school");
    change(&message, &["restart rvd_front.service"]);
    let secrets = || server.sh("cat /etc/ravada/secrets").expect(0).stdout;
    let former = secrets();
    let rotated = message.replace("ravada:\n  login", "ravada:\n  rotate: true\n  login");
    let pid = || server.exec(&["systemctl", "show", "-p", "MainPID", "--value", "rvd_front"]).expect(0).stdout;
    let front = pid();
    change(&rotated, &[]);
    assert_ne!(pid(), front, "the front end reads its secrets when it starts");
    let now = secrets();
    assert!(now.ends_with(&former) && now.lines().count() == 3, "the former secrets still count, behind a new one");
    nothing_left_to_do(&server, &rotated);
    let renamed = rotated.replace("desktops.example.org", "vdi.example.org");
    change(&renamed, &["reload apache2.service"]);

    let told = server.exec(&ROLLBACK).expect(0).both();
    assert!(!told.contains("kept:"), "{told}");
    server.sh("test -s $(ls /var/lib/bringup/runs/*/dumps/mariadb-ravada.sql | head -1)").expect(0);
    server.assert_identical(&before);
}

#[test]
#[ignore = "needs root, test hosts and BRINGUP_TEST_RAVADA: tests/run"]
fn ravada_from_source_to_login_and_back_on_bookworm() {
    there_and_back("bookworm");
}

#[test]
#[ignore = "needs root, test hosts and BRINGUP_TEST_RAVADA: tests/run"]
fn ravada_from_source_to_login_and_back_on_trixie() {
    there_and_back("trixie");
}

#[test]
#[ignore = "needs root, test hosts and BRINGUP_TEST_RAVADA: tests/run"]
fn ravada_killed_at_twenty_boundaries() {
    let Some(source) = upstream() else { return };
    let server = server("bookworm", &source);
    killed_and_resumed(&server, &[], &answers("ravada.yaml", &[]), &ROLLBACK);
}

/// In the order in which packets are asked, whoever is in charge of the rest.
fn beside(manager: &str, setup: &str, reload: &str) {
    let Some(source) = upstream() else { return };
    let server = server("bookworm", &source);
    let (admin, viewer) = (Host::start("bookworm", Init::Systemd), Host::start("bookworm", Init::Systemd));
    packages(&server, manager);
    server.sh(setup).expect(0);
    // As after a boot with it in charge.
    server.cut();
    server.boot();
    let before = server.manifest("before");
    let file = answers("ravada.yaml", &[("administrators: []", &format!("administrators: [{}]", admin.address()))]);
    server.bringup(&file).expect(0);
    nothing_left_to_do(&server, &file);
    server.sh("grep -q XML::LibXML::SAX /etc/perl/XML/SAX/ParserDetails.ini").expect(0);
    displays(&server, &admin, &viewer);
    // Somebody else reloads it: a display that was open closes, and no other opens.
    server.sh(reload).expect(0);
    displays(&server, &admin, &viewer);
    server.cut();
    server.boot();
    server.exec(&["bringup", "verify", "--plain"]).expect(0);
    displays(&server, &admin, &viewer);
    assert_eq!(open_from_outside(&server, &[80, 443, 3306, 8081]), [80, 443]);
    server.exec(&ROLLBACK).expect(0);
    server.assert_identical(&before);
}

#[test]
#[ignore = "needs root, test hosts and BRINGUP_TEST_RAVADA: tests/run"]
fn ravada_keeps_its_displays_closed_beside_ufw() {
    beside("ufw", "ufw allow 22/tcp && ufw --force enable", "ufw reload");
}

#[test]
#[ignore = "needs root, test hosts and BRINGUP_TEST_RAVADA: tests/run"]
fn ravada_keeps_its_displays_closed_beside_firewalld() {
    // firewalld needs /etc/protocols, which every server has.
    beside("firewalld netbase", "systemctl enable firewalld", "firewall-cmd --reload");
}

fn failing(host: &Host, answers: &str, because: &str) -> Ended {
    let ended = host.bringup(answers);
    assert_eq!(ended.status, 3, "{}", ended.both());
    assert!(ended.words().contains(because), "{}", ended.both());
    ended
}

#[test]
#[ignore = "needs root, test hosts and BRINGUP_TEST_RAVADA: tests/run"]
fn ravada_goes_away_when_the_build_or_one_of_the_last_proofs_fails() {
    let Some(source) = upstream() else { return };
    let server = server("bookworm", &source);
    // Early: the package cannot be built, while its tools are installed.
    server.sh("mkdir -p /usr/local/bin && printf '#!/bin/sh\\nexit 7\\n' > /usr/local/bin/make && chmod 755 /usr/local/bin/make").expect(0);
    let before = server.manifest("before");
    println!("{}", failing(&server, &answers("ravada.yaml", &[]), "build Ravada's package").both());
    server.assert_identical(&before);
    server.sh("rm /usr/local/bin/make").expect(0);
    // Late: security updates do not install themselves.
    server.write("/etc/apt/apt.conf.d/99-never", "APT::Periodic::Unattended-Upgrade \"0\";\n");
    let before = server.manifest("before");
    failing(&server, &answers("ravada.yaml", &[]), "apt installs security updates automatically");
    server.assert_identical(&before);
}

/// The role and its empty database exist on the other server, as the stage tells its administrator to make them.
#[test]
#[ignore = "needs root, test hosts and BRINGUP_TEST_RAVADA: tests/run"]
fn ravada_with_its_database_on_another_server() {
    let Some(source) = upstream() else { return };
    let engine = Host::start("bookworm", Init::Systemd);
    let server = server("bookworm", &source);
    packages(&engine, "mariadb-server");
    let (there, here) = (engine.address(), server.address());
    engine
        .sh(&format!(
            "printf '[mysqld]\\nbind-address = 0.0.0.0\\n' > /etc/mysql/mariadb.conf.d/90-open.cnf && \
             systemctl restart mariadb && mariadb -e \"CREATE DATABASE ravada; \
             CREATE USER 'rvd_user'@'{here}' IDENTIFIED BY 'far-Away_1.x'; GRANT ALL ON ravada.* TO 'rvd_user'@'{here}'\""
        ))
        .expect(0);
    let host = format!("host: {there}");
    let file = answers("ravada-remote-database.yaml", &[("host: db.example.org", &host)]);
    server.write("/root/ravada-database-password", "wrong\n");
    let before = server.manifest("before");
    let refused = server.bringup(&file).expect(1).both();
    assert!(refused.contains("password"), "{refused}");
    server.assert_identical(&before);

    server.write("/root/ravada-database-password", "far-Away_1.x\n");
    let before = server.manifest("before");
    server.bringup(&file).expect(0);
    nothing_left_to_do(&server, &file);
    let users = engine.sh("mariadb -BNe \"select name from ravada.users where is_admin = 1 and name = 'admin'\"");
    assert_eq!(users.stdout.trim(), "admin");
    server.cut();
    server.boot();
    server.exec(&["bringup", "verify", "--plain"]).expect(0);
    let told = server.exec(&ROLLBACK).both();
    println!("{told}");
    assert!(told.contains("stay in the database on the other server"), "{told}");
    server.assert_identical(&before);
}

/// Built by one server, installed by another that has neither the source nor the tools.
#[test]
#[ignore = "needs root, test hosts and BRINGUP_TEST_RAVADA: tests/run"]
fn ravada_from_a_package_that_the_user_has() {
    let Some(source) = upstream() else { return };
    let server = server("bookworm", &source);
    packages(&server, "git rsync make perl-doc libmojolicious-perl libipc-run3-perl");
    let deb = "ravada_release/ravada_2.4.6_debian-10_all.deb";
    server
        .sh("mkdir /root/build && cd /root/build && git clone -q --branch v2.4.6 /srv/ravada ravada && cd ravada && perl deb/debianize.pl")
        .expect(0);
    server
        .sh(&format!(
            "cp /root/build/{deb} /root/ravada.deb; cp /root/build/ravada/README.md /root/other.deb; rm -r /root/build"
        ))
        .expect(0);
    let sum = server.sh("sha256sum < /root/ravada.deb | cut -c -64").expect(0).stdout.trim().to_owned();
    let before = server.manifest("before");
    let with = |file: &str, sum: &str| {
        answers("ravada.yaml", &[("  reference: v2.4.6\n", &format!("  from: deb\n  file: {file}\n  sha256: {sum}\n"))])
            .replace("  location: /srv/ravada\n", "")
    };
    let wrong = server.bringup(&with("/root/ravada.deb", &"0".repeat(64))).expect(1).both();
    assert!(wrong.contains("its checksum is"), "{wrong}");
    let none = server.bringup(&with("/root/other.deb", "\"\"")).expect(1).both();
    assert!(none.contains("no Debian package"), "{none}");
    server.assert_identical(&before);
    let file = with("/root/ravada.deb", &sum);
    server.bringup(&file).expect(0);
    nothing_left_to_do(&server, &file);
    server.sh("mv /root/ravada.deb /root/moved.deb").expect(0);
    server.exec(&["bringup", "verify", "--plain"]).expect(0);
    server.sh("mv /root/moved.deb /root/ravada.deb").expect(0);
    server.exec(&ROLLBACK).expect(0);
    server.assert_identical(&before);
}
