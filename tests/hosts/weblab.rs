//! WebLab-Deusto from its upstream sources, both ways: installed, proven, run again, changed, rebooted, taken back.
//!
//! `BRINGUP_TEST_WEBLAB` names a checkout of the upstream repository on this machine; without one these tests say
//! `skipped:`. A package index must be within reach.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::acme::Authority;
use crate::host::{Host, Init, moved, open_from_outside};
use crate::pair::install as packages;

/// Where pip finds the authorities of this machine: Python 2.7 does not look at the system's.
const AUTHORITIES: &str = "PIP_CERT=/etc/ssl/certs/ca-certificates.crt";

/// A checkout of the upstream repository; nothing, with a word about it, where none is named.
fn checkout() -> Option<PathBuf> {
    let Some(checkout) = std::env::var_os("BRINGUP_TEST_WEBLAB").map(PathBuf::from) else {
        println!("skipped: BRINGUP_TEST_WEBLAB names no checkout of WebLab-Deusto");
        return None;
    };
    Some(checkout)
}

/// A host with the sources in `/root/weblab.tar.gz`; none without a checkout.
fn host(init: Init) -> Option<Host> {
    let checkout = checkout()?;
    let host = Host::start("bullseye", init);
    give(&host, &checkout);
    Some(host)
}

/// Puts the sources into `/root/weblab.tar.gz`.
fn give(host: &Host, checkout: &Path) {
    let archive = host.scratch().join("weblab.tar.gz");
    let packed = Command::new("tar")
        .args(["--create", "--gzip", "--exclude=.git", "--file"])
        .arg(&archive)
        .args([Path::new("--directory"), checkout, Path::new(".")])
        .status();
    assert!(packed.is_ok_and(|status| status.success()), "{} cannot be packed", checkout.display());
    host.push(&archive, "/root/weblab.tar.gz");
}

/// Puts the sources into the repository `/srv/weblab.git`: two commits, and the second has one module more.
fn repository(host: &Host, checkout: &Path) -> [String; 2] {
    let tree = host.scratch().join("tree");
    let script = "set -e; mkdir $1; cd $1; tar -C $2 --exclude=.git -c . | tar -x; git init -q; git add -A -f
        commit() { git -c user.name=test -c user.email=test@example.org commit -q -m test; git rev-parse HEAD; }
        commit; echo 'ADDED = True' > server/src/weblab/added.py; git add -f server/src/weblab/added.py; commit";
    let made = Command::new("sh").args(["-c", script, "sh"]).args([&tree, checkout]).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    host.push(&tree.join(".git"), "/srv/weblab.git");
    let told = String::from_utf8(made.stdout).unwrap();
    let commits: Vec<String> = told.lines().map(str::to_owned).collect();
    commits.try_into().unwrap()
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
    let named = password.replace("weblab.example.org", "lab.example.org");
    let moves = install(&host, &named);
    assert_eq!(moved(&moves), ["restart weblab.service", "reload apache2.service"], "{moves}");
    host.sh(
        "openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=own -addext subjectAltName=DNS:lab.example.org \
         -extensions usr_cert -keyout /root/own.key -out /root/own.pem 2>/dev/null && \
         chmod 0600 /root/own.key",
    )
    .expect(0);
    let own = named.replace(
        "mode: self_signed",
        "mode: provided\n  certificate: /root/own.pem\n  key: /root/own.key\n  authority: /root/own.pem\n  hsts: false",
    );
    assert_ne!(own, named);
    let moves = install(&host, &own);
    assert_eq!(moved(&moves), ["reload apache2.service"], "{moves}");
    nothing_left_to_do(&host, &own);
    host.sh("rm /root/password /root/own.pem /root/own.key").expect(0);
    taken_back(&host, &before);
    let dumped = host.sh("ls /var/lib/bringup/runs/*/dumps/").expect(0).both();
    assert!(dumped.contains("mariadb-WebLab.sql"), "its database was not saved: {dumped}");
}

/// The repository's own way: a commit is fetched, and another one is the change of one answer.
#[test]
#[ignore = "needs root, test hosts and BRINGUP_TEST_WEBLAB: tests/run"]
fn a_commit_of_a_repository_is_installed_and_another_one_later() {
    let Some(checkout) = checkout() else { return };
    let host = Host::start("bullseye", Init::Systemd);
    let [first, second] = repository(&host, &checkout);
    let before = host.manifest("before");
    let file = answers("weblab-board.yaml", &[("source: archive", "source: git"), ("supervisor", "systemd")])
        .replace("/root/weblab.tar.gz\n", &format!("file:///srv/weblab.git\n  reference: {first}\n"));
    install(&host, &file);
    nothing_left_to_do(&host, &file);
    let added = "test -e /opt/weblab/venv/lib/python2.7/site-packages/weblab/added.py";
    host.sh(added).expect(1);
    let newer = file.replace(&first, &second);
    let moves = install(&host, &newer);
    assert_eq!(moved(&moves), ["restart weblab.service"], "{moves}");
    host.sh(added).expect(0);
    nothing_left_to_do(&host, &newer);
    taken_back(&host, &before);
}

/// A board whose certificate comes from an authority: Apache shows what the authority wants to see.
#[test]
#[ignore = "needs root, test hosts and BRINGUP_TEST_WEBLAB: tests/run"]
fn a_board_has_its_certificate_from_an_authority() {
    let Some(checkout) = checkout() else { return };
    let Some(authority) = Authority::start() else { return };
    let host = authority.server("bullseye");
    give(&host, &checkout);
    authority.name("weblab.example.org", &host.address());
    let before = host.manifest("before");
    let file = answers("weblab-board.yaml", &[]);
    let tls = format!(
        "{file}tls:\n  mode: acme\n  terms: true\n  directory: https://{}:14000/dir\n  authority: /root/authority.pem\n",
        authority.address
    );
    install(&host, &file);
    let moves = install(&host, &tls);
    assert_eq!(moved(&moves), ["reload apache2.service"], "{moves}");
    let shown = "openssl s_client -connect 127.0.0.1:443 -servername weblab.example.org </dev/null 2>/dev/null | \
                 openssl x509 -noout -issuer";
    let issuer = host.sh(shown).expect(0).stdout;
    assert!(issuer.contains("Pebble"), "{issuer}");
    nothing_left_to_do(&host, &tls);
    host.reboot();
    verified(&host);
    taken_back(&host, &before);
}

#[test]
#[ignore = "needs root, test hosts and BRINGUP_TEST_WEBLAB: tests/run"]
fn mariadb_and_redis_may_be_on_another_server() {
    let Some(host) = host(Init::Systemd) else { return };
    let engines = Host::start("bookworm", Init::Systemd);
    packages(&engines, "mariadb-server redis-server");
    let (there, here) = (engines.address(), host.address());
    engines
        .sh(&format!(
            "set -e; umask 022; printf '[mariadbd]\\nbind-address = {there}\\n' > /etc/mysql/mariadb.conf.d/90-test.cnf
             systemctl disable -q --now mariadb.socket; systemctl restart mariadb
             mariadb -e \"CREATE DATABASE WebLab; CREATE USER weblab@'{here}' IDENTIFIED BY 'far-Away_1.x';
             GRANT ALL ON WebLab.* TO weblab@'{here}'\"
             printf 'bind {there}\\nrequirepass far-Away_2.x\\n' >> /etc/redis/redis.conf; systemctl restart redis-server"
        ))
        .expect(0);
    for (number, name) in ["database", "redis"].iter().enumerate() {
        host.write(&format!("/root/{name}"), &format!("far-Away_{}.x\n", number + 1));
    }
    let before = host.manifest("before");
    let file = answers(
        "weblab-server.yaml",
        &[
            ("  role: weblab\n  password: {generate: 32}", "  role: weblab\n  password: {file: /root/database}"),
            ("engine: mariadb\n", &format!("engine: mariadb\n  place: remote\n  host: {there}\n")),
            ("database: 0\n  password: {generate: 32}", "database: 0\n  password: {file: /root/redis}"),
            ("backend: redis\n", &format!("backend: redis\n  place: remote\n  host: {there}\n")),
        ],
    );
    let wrong = file.replace("{file: /root/database}", "{file: /root/redis}");
    let refused = host.bringup_env(&[AUTHORITIES], &wrong).expect(1).both();
    assert!(refused.contains("password"), "{refused}");
    host.assert_identical(&before);
    install(&host, &file);
    nothing_left_to_do(&host, &file);
    host.cut();
    host.boot();
    verified(&host);
    taken_back(&host, &before);
}

#[test]
#[ignore = "needs root, test hosts, BRINGUP_TEST_WEBLAB and BRINGUP_TEST_PYTHON27: tests/run"]
fn debian_12_runs_it_with_a_python_of_ones_own() {
    let Some(checkout) = checkout() else { return };
    let Some(python) = std::env::var_os("BRINGUP_TEST_PYTHON27").map(PathBuf::from) else {
        println!("skipped: BRINGUP_TEST_PYTHON27 names no Python 2.7 that was built for /opt/python2.7");
        return;
    };
    let host = Host::start("bookworm", Init::Systemd);
    give(&host, &checkout);
    host.push(&python, "/opt/python2.7");
    packages(&host, "libsqlite3-0 libssl3");
    let before = host.manifest("before");
    let own = "application:\n  interpreter: /opt/python2.7/bin/python2.7\n";
    let file = answers("weblab-server.yaml", &[]).replace("application:\n", own);
    install(&host, &file);
    nothing_left_to_do(&host, &file);
    host.cut();
    host.boot();
    verified(&host);
    taken_back(&host, &before);
}

#[test]
#[ignore = "needs root, test hosts and BRINGUP_TEST_WEBLAB: tests/run"]
fn a_server_goes_away_when_one_of_the_last_proofs_fails() {
    let Some(host) = host(Init::Systemd) else { return };
    // Read after ours, so that security updates do not install themselves, which is seen by a late proof.
    host.write("/etc/apt/apt.conf.d/99-never", "APT::Periodic::Unattended-Upgrade \"0\";\n");
    let before = host.manifest("before");
    let ended = host.bringup_env(&[AUTHORITIES], &answers("weblab-server.yaml", &[])).expect(3).both();
    assert!(ended.contains("apt installs security updates automatically"), "{ended}");
    host.sh("test -s $(ls /var/lib/bringup/runs/*/dumps/mariadb-WebLab.sql | head -1)").expect(0);
    host.assert_identical(&before);
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
    assert!(refused.contains("the MariaDB database WebLab already exists"), "{refused}");
    host.assert_identical(&before);
    // A database beside it is made and used; then the first one's name is answered.
    let other = answers("weblab-server.yaml", &[("name: WebLab\n", "name: Beside\n")]);
    install(&host, &other);
    // Even handed over it is not overwritten.
    let handed = [("version: 1\n", "version: 1\ntake_over: [\"database:WebLab\"]\n")];
    let failed = host.bringup_env(&[AUTHORITIES], &answers("weblab-server.yaml", &handed));
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
