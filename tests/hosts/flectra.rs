//! Flectra from its upstream source, all the way and back.
//!
//! `BRINGUP_TEST_FLECTRA` names a repository that has the branch 2.0, or a directory with a checkout of it; without it
//! the tests that install say "skipped". `BRINGUP_TEST_WHEELS` may name a directory of wheels for pip, which saves it
//! the compiling; what is missing there comes from the package index.

use std::path::{Path, PathBuf};

use crate::host::{Ended, Host, Init, moved, open_from_outside};
use crate::pair::install;

const PIP_CERT: &str = "PIP_CERT=/etc/ssl/certs/ca-certificates.crt";
const ROLLBACK: [&str; 6] = ["bringup", "rollback", "--all", "--yes", "--plain", "--drop-data"];

/// Where upstream's source is on this machine; nothing, with a word about it, where it is not.
fn upstream() -> Option<PathBuf> {
    let Some(path) = std::env::var_os("BRINGUP_TEST_FLECTRA").map(PathBuf::from) else {
        println!("skipped: BRINGUP_TEST_FLECTRA names no repository or checkout of Flectra 2.0");
        return None;
    };
    Some(path)
}

/// A machine with the source on it, and the section of the answers that names it.
fn machine_with(source: &Path) -> (Host, String) {
    let host = Host::start_with("bullseye", Init::Systemd, &["--disk"]);
    host.push(source, "/srv/flectra");
    if let Some(wheels) = std::env::var_os("BRINGUP_TEST_WHEELS") {
        host.push(Path::new(&wheels), "/srv/wheels");
    }
    let is_repository = source.join("HEAD").exists() || source.join(".git").exists();
    let from = if is_repository { "git" } else { "directory" };
    (host, format!("source: {{from: {from}, location: /srv/flectra}}\n"))
}

fn bringup(host: &Host, answers: &str) -> Ended {
    host.bringup_env(&[PIP_CERT, "PIP_FIND_LINKS=/srv/wheels"], answers)
}

fn answers(source: &str, more: &str) -> String {
    format!(
        "version: 1\nguide: flectra\n{source}tenancy: {{login: operator@example.org}}\nweb: {{host: erp.example.test}}\n{more}"
    )
}

/// Main processes of services, which are others after a restart.
fn pids(host: &Host, services: &[&str]) -> Vec<String> {
    let pid = |name: &&str| host.exec(&["systemctl", "show", "-p", "MainPID", "--value", name]).expect(0).stdout;
    services.iter().map(pid).collect()
}

/// Whether this machine, which is another one, gets through to a port.
fn reachable(host: &Host, port: u16) -> bool {
    !open_from_outside(host, &[port]).is_empty()
}

#[test]
#[ignore = "needs root, test hosts and upstream's source: tests/run"]
fn flectra_from_source_to_login_and_back() {
    let Some(source) = upstream() else { return };
    let (host, source) = machine_with(&source);
    let before = host.manifest("before");
    let two = answers(&source, "workers: {web: 2}\n");
    bringup(&host, &two).expect(0);
    host.exec(&["bringup", "verify"]).expect(0);
    let again = bringup(&host, &two).expect(0);
    assert!(again.both().contains("othing to do"), "a second run changed something:\n{}", again.both());

    // One answer after the other is changed; each moves what must move, and nothing else.
    let others = pids(&host, &["nginx.service", "postgresql@13-main.service"]);
    let change = |answers: &str, expected: &[&str]| {
        let told = bringup(&host, answers).expect(0).both();
        assert_eq!(moved(&told), expected, "{told}");
    };
    let three = two.replace("{web: 2}", "{web: 3}");
    change(&three, &["restart flectra.service"]);
    let with_password = format!("{three}database: {{auth: password}}\n");
    change(&with_password, &["restart flectra.service"]);
    host.write("/root/password", "another-Password_1.x\n");
    let another = with_password.replace("auth: password", "auth: password, password: {file: /root/password}");
    change(&another, &["restart flectra.service"]);
    let renamed = another.replace("erp.example.test", "shop.example.test");
    change(&renamed, &["reload nginx.service"]);
    host.sh(
        "openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=own -addext subjectAltName=DNS:shop.example.test \
         -extensions usr_cert -keyout /root/own.key -out /root/own.pem 2>/dev/null && \
         chmod 0600 /root/own.key",
    )
    .expect(0);
    let pem = "certificate: /root/own.pem, key: /root/own.key, authority: /root/own.pem";
    let own = format!("{renamed}tls: {{mode: provided, {pem}, hsts: false}}\n");
    change(&own, &["reload nginx.service"]);
    assert_eq!(pids(&host, &["nginx.service", "postgresql@13-main.service"]), others, "something else was restarted");
    let again = bringup(&host, &own).expect(0);
    assert!(again.both().contains("othing to do"), "{}", again.both());

    for (port, open) in [(443, true), (80, true), (5432, false), (7072, false), (7073, false)] {
        assert_eq!(reachable(&host, port), open, "{port}");
    }
    host.cut();
    host.boot();
    host.exec(&["bringup", "verify"]).expect(0);
    host.exec(&ROLLBACK).expect(0);
    host.sh("rm /root/password /root/own.pem /root/own.key").expect(0);
    host.sh("test -s $(ls /var/lib/bringup/runs/*/dumps/postgresql-flectra.sql | head -1)").expect(0);
    host.assert_identical(&before);
}

/// The role and its empty database exist on the other server, as the stage tells its administrator to make them.
#[test]
#[ignore = "needs root, test hosts and upstream's source: tests/run"]
fn flectra_with_its_database_on_another_server() {
    let Some(source) = upstream() else { return };
    let engine = Host::start("bookworm", Init::Systemd);
    let (host, source) = machine_with(&source);
    install(&engine, "postgresql");
    let (there, here) = (engine.address(), host.address());
    engine
        .sh(&format!(
            "cd / && umask 022 && printf \"listen_addresses = '{there}'\\npassword_encryption = 'scram-sha-256'\\n\" \
             > /etc/postgresql/15/main/conf.d/flectra.conf && \
             echo 'hostssl erp flectra {here}/32 scram-sha-256' >> /etc/postgresql/15/main/pg_hba.conf && \
             systemctl restart postgresql && runuser -u postgres -- psql -qc \
             \"CREATE ROLE flectra LOGIN NOSUPERUSER PASSWORD 'far-Away_1.x'\" -c \
             \"CREATE DATABASE erp OWNER flectra ENCODING 'UTF8' TEMPLATE template0\""
        ))
        .expect(0);
    host.write("/root/password", "wrong\n");
    let before = host.manifest("before");
    let answers = answers(
        &source,
        &format!("database: {{place: remote, host: {there}, name: erp, password: {{file: /root/password}}}}\n"),
    );
    let refused = bringup(&host, &answers).expect(1).both();
    assert!(refused.contains("password"), "{refused}");
    host.assert_identical(&before);

    host.write("/root/password", "far-Away_1.x\n");
    let before = host.manifest("before");
    // Flectra asks the database postgres which ones there are: said before anything is changed, and not when it is filled.
    let refused = bringup(&host, &answers).expect(1).both();
    assert!(refused.contains("postgres"), "{refused}");
    host.assert_identical(&before);
    engine
        .sh("sed -i 's/^hostssl erp /hostssl erp,postgres /' /etc/postgresql/15/main/pg_hba.conf && systemctl reload postgresql")
        .expect(0);
    bringup(&host, &answers).expect(0);
    let again = bringup(&host, &answers).expect(0);
    assert!(again.both().contains("othing to do"), "{}", again.both());
    let encrypted =
        "SELECT count(*) > 0 FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE ssl AND datname = 'erp'";
    let seen = engine.sh(&format!("cd / && runuser -u postgres -- psql -XAtqc \"{encrypted}\"")).expect(0);
    assert_eq!(seen.stdout.trim(), "t", "Flectra talks to its database in clear text");
    host.cut();
    host.boot();
    host.exec(&["bringup", "verify"]).expect(0);
    let told = host.exec(&ROLLBACK).both();
    assert!(told.contains("stay in the database on the other server"), "{told}");
    host.assert_identical(&before);
}

#[test]
#[ignore = "needs root, test hosts and upstream's source: tests/run"]
fn flectra_with_a_password_goes_away_when_one_of_the_last_proofs_fails() {
    let Some(source) = upstream() else { return };
    let (host, source) = machine_with(&source);
    // Read after ours, so that security updates do not install themselves, which is seen by a late proof.
    host.write("/etc/apt/apt.conf.d/99-never", "APT::Periodic::Unattended-Upgrade \"0\";\n");
    let before = host.manifest("before");
    let ended = bringup(&host, &answers(&source, "database: {auth: password}\n"));
    assert_eq!(ended.status, 3, "{}", ended.both());
    assert!(ended.both().contains("apt installs security updates automatically"), "{}", ended.both());
    host.sh("test -s $(ls /var/lib/bringup/runs/*/dumps/postgresql-flectra.sql | head -1)").expect(0);
    host.assert_identical(&before);
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn flectra_is_refused_where_no_python_can_run_it_and_nothing_is_touched() {
    let host = Host::start("bookworm", Init::Systemd);
    host.sh(
        "apt-get install -y -q python3-venv python3-dev && mkdir -p /opt/new && cp /usr/bin/python3.11 /opt/new/python",
    )
    .expect(0);
    let before = host.manifest("before");
    let none = host.bringup(&answers("", "")).expect(1).both();
    assert!(none.contains("source.python"), "{none}");
    let system = host.bringup(&answers("source: {python: /usr/bin/python3}\n", "")).expect(1).both();
    assert!(system.contains("use Debian 11 (bullseye)"), "{system}");
    let new = host.bringup(&answers("source: {python: /opt/new/python}\n", "")).expect(1).both();
    assert!(new.contains("it is Python 3.11, and Flectra 2.0 needs 3.7 to 3.9"), "{new}");
    let missing = host.bringup(&answers("source: {python: /opt/nothing/python}\n", "")).expect(1).both();
    assert!(missing.contains("/opt/nothing/python"), "{missing}");
    host.assert_identical(&before);
}
