//! WebLab-Deusto from its upstream sources, both ways: installed, proven, run again, changed, rebooted, taken back.
//!
//! `BRINGUP_TEST_WEBLAB` names a checkout of the upstream repository on this machine; without one these tests say
//! `skipped:`. A package index must be within reach.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::host::{Host, Init};

/// Where pip finds the authorities of this machine: Python 2.7 does not look at the system's.
const AUTHORITIES: &str = "PIP_CERT=/etc/ssl/certs/ca-certificates.crt";

/// A host with the sources in `/root/weblab.tar.gz`; none without a checkout.
fn host(init: Init) -> Option<Host> {
    let Some(checkout) = std::env::var_os("BRINGUP_TEST_WEBLAB") else {
        println!("skipped: BRINGUP_TEST_WEBLAB names no checkout of WebLab-Deusto");
        return None;
    };
    let host = Host::start("bullseye", init);
    let archive = host.scratch().join("weblab.tar.gz");
    let packed = Command::new("tar")
        .args(["--create", "--gzip", "--exclude=.git", "--file"])
        .arg(&archive)
        .args([Path::new("--directory"), Path::new(&checkout), Path::new(".")])
        .status();
    assert!(packed.is_ok_and(|status| status.success()), "{} cannot be packed", checkout.display());
    host.push(&archive, "/root/weblab.tar.gz");
    Some(host)
}

/// A shipped answers file with the sources of this host, and some of its lines replaced.
fn answers(way: &str, changes: &[(&str, &str)]) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/answers").join(way);
    let mut text = std::fs::read_to_string(file).unwrap();
    let source = "application:\n  source: archive\n  location: /root/weblab.tar.gz\n";
    for (from, to) in [("application:\n", source)].iter().chain(changes) {
        assert!(text.contains(from), "{way} has no {from:?}");
        text = text.replace(from, to);
    }
    text
}

#[track_caller]
fn install(host: &Host, answers: &str) -> String {
    host.bringup_env(&[AUTHORITIES], answers).expect(0).both()
}

#[track_caller]
fn verified(host: &Host) {
    host.exec(&["bringup", "verify", "--plain"]).expect(0);
}

/// Which of these ports another machine reaches.
fn open_from_outside(host: &Host, ports: &[u16]) -> Vec<u16> {
    let address = host.ip();
    let reached = |port: &u16| {
        let to: SocketAddr = format!("{address}:{port}").parse().unwrap();
        TcpStream::connect_timeout(&to, Duration::from_secs(2)).is_ok()
    };
    ports.iter().copied().filter(reached).collect()
}

/// What restarts or reloads in a run, in its order.
fn moved(told: &str) -> Vec<&str> {
    let moves = told.lines().filter_map(|line| line.split_once(": ").map(|(_, what)| what));
    moves.filter(|what| what.starts_with("restart ") || what.starts_with("reload ")).collect()
}

#[track_caller]
fn nothing_left_to_do(host: &Host, answers: &str) {
    let again = install(host, answers);
    assert!(again.contains("othing to do"), "a second run changed something:\n{again}");
}

#[track_caller]
fn taken_back(host: &Host, before: &Path) {
    host.exec(&["bringup", "rollback", "--all", "--yes", "--drop-data", "--plain"]).expect(0);
    host.assert_identical(before);
}

fn small_board(init: Init) {
    let Some(host) = host(init) else { return };
    let before = host.manifest("before");
    let file = answers("weblab-board.yaml", &[]);
    install(&host, &file);
    nothing_left_to_do(&host, &file);
    assert_eq!(open_from_outside(&host, &[22, 80, 443, 3306, 6379, 9001, 10000, 10001, 10002]), [80, 443]);
    if init == Init::Systemd {
        host.reboot();
        verified(&host);
    }
    // Another name: the site, the certificate, the settings, and nothing is made anew.
    let moves = install(&host, &file.replace("weblab.example.org", "lab.example.org"));
    let apache = if init == Init::Systemd { "reload apache2.service" } else { "reload apache2" };
    assert_eq!(moved(&moves), ["restart weblab", apache], "{moves}");
    taken_back(&host, &before);
    let dumped = host.sh("ls /var/lib/bringup/runs/*/dumps/").expect(0).both();
    assert!(dumped.contains("var-lib-weblab-main-db.tar"), "its data was not saved: {dumped}");
}

#[test]
#[ignore = "needs root, test hosts and BRINGUP_TEST_WEBLAB: tests/run"]
fn a_small_board_keeps_all_in_sqlite_under_supervisor() {
    small_board(Init::Systemd);
}

#[test]
#[ignore = "needs root, test hosts and BRINGUP_TEST_WEBLAB: tests/run"]
fn a_small_board_needs_no_systemd() {
    small_board(Init::None);
}

#[test]
#[ignore = "needs root, test hosts and BRINGUP_TEST_WEBLAB: tests/run"]
fn a_server_has_mariadb_and_redis_under_systemd() {
    let Some(host) = host(Init::Systemd) else { return };
    let before = host.manifest("before");
    let file = answers("weblab-server.yaml", &[]);
    install(&host, &file);
    nothing_left_to_do(&host, &file);
    assert_eq!(open_from_outside(&host, &[22, 80, 443, 3306, 6379, 10000, 10001, 10002, 10003, 10004]), [80, 443]);
    // Redis forgets the queues; without a restart of the cores every reservation would fail from now on.
    host.sh("systemctl restart redis-server").expect(0);
    verified(&host);
    host.cut();
    host.boot();
    verified(&host);
    let three = file.replace("cores: 2", "cores: 3");
    let moves = install(&host, &three);
    assert_eq!(moved(&moves), ["restart weblab.service", "reload apache2.service"], "{moves}");
    // In a file: on a command line the proof of the passwords would find it.
    host.write("/root/password", "another-Password_1.x\n");
    let password =
        three.replace("role: weblab\n  password: {generate: 32}", "role: weblab\n  password: {file: /root/password}");
    assert_ne!(password, three);
    let moves = install(&host, &password);
    assert_eq!(moved(&moves), ["restart weblab.service"], "{moves}");
    nothing_left_to_do(&host, &password);
    host.sh("rm /root/password").expect(0);
    taken_back(&host, &before);
    let dumped = host.sh("ls /var/lib/bringup/runs/*/dumps/").expect(0).both();
    assert!(dumped.contains("mariadb-WebLab.sql"), "its database was not saved: {dumped}");
}

/// `weblab-admin create` would drop these tables. A run is refused before it changes anything; and the program that makes
/// the data refuses by itself.
#[test]
#[ignore = "needs root, test hosts and BRINGUP_TEST_WEBLAB: tests/run"]
fn a_database_that_holds_something_is_never_overwritten() {
    let Some(host) = host(Init::Systemd) else { return };
    host.sh("apt-get install -y --no-install-recommends mariadb-server >/dev/null 2>&1").expect(0);
    host.sh(
        "mysql -e 'create database WebLab; create table WebLab.User (precious int); insert into WebLab.User values (7)'",
    )
    .expect(0);
    let before = host.manifest("before");
    let refused = host.bringup_env(&[AUTHORITIES], &answers("weblab-server.yaml", &[])).expect(1).both();
    assert!(refused.contains("it is left alone"), "{refused}");
    host.assert_identical(&before);
    // A database beside it is made and used; then the first one's name is answered.
    let other = answers("weblab-server.yaml", &[("name: WebLab\n", "name: Beside\n")]);
    install(&host, &other);
    let failed = host.bringup_env(&[AUTHORITIES], &answers("weblab-server.yaml", &[]));
    assert_ne!(failed.status, 0);
    assert!(failed.both().contains("it is left alone"), "{}", failed.both());
    host.exec(&["bringup", "rollback", "--all", "--yes", "--drop-data", "--plain"]).expect(0);
    let kept = host.sh("mysql -BN -e 'select precious from WebLab.User'").expect(0);
    assert_eq!(kept.stdout.trim(), "7");
    // An engine of somebody else's writes to its own files all the time.
    let difference = host.difference(&before);
    let others: Vec<&str> = difference.lines().filter(|line| !line.contains("/var/lib/mysql/")).collect();
    assert!(others.is_empty(), "the host is not as it was:\n{}", others.join("\n"));
}
