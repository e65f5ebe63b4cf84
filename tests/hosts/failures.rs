//! A failure is reported first, with its last lines and its log; then everything is rolled back.

use crate::host::{Ended, Host, Init, answers};

fn base(more: &[(&str, &str)]) -> String {
    let mut pairs = vec![("web.host", "app.example.test")];
    pairs.extend(more);
    answers(&pairs)
}

/// A run that fails is rolled back, exits with 3, and says why before it says anything of the rollback.
fn fails(spoil: &str, file: &str, says: &str) -> Ended {
    let host = Host::start("bookworm", Init::Systemd);
    host.sh(spoil).expect(0);
    let before = host.manifest("before");
    let ended = host.bringup(file).expect(3);
    let text = ended.both();
    let lower = text.to_lowercase();
    let error = lower.find(&says.to_lowercase()).unwrap_or_else(|| panic!("\"{says}\" is not said:\n{text}"));
    let rollback = lower.find("roll").unwrap_or_else(|| panic!("no rollback is said:\n{text}"));
    assert!(error < rollback, "the first error must come first:\n{text}");
    assert!(text.contains("/var/lib/bringup/runs/"), "the log is not named:\n{text}");
    host.assert_identical(&before);
    ended
}

/// Something that is found before anything is changed: exit 1, and nothing is.
fn refused(spoil: &str, file: &str, says: &str) {
    let host = Host::start("bookworm", Init::Systemd);
    host.sh(spoil).expect(0);
    let before = host.manifest("before");
    let text = host.bringup(file).expect(1).both();
    assert!(text.contains(says), "\"{says}\" is not said:\n{text}");
    host.assert_identical(&before);
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn a_package_that_cannot_be_had() {
    // The index knows it, but nothing serves it.
    let spoil = "rm -f /var/cache/apt/archives/*.deb && \
                 printf 'Acquire::http::Proxy \"http://127.0.0.1:9\";\\nAcquire::https::Proxy \"http://127.0.0.1:9\";\\n\
                 Acquire::Retries \"0\";\\n' > /etc/apt/apt.conf.d/99broken";
    fails(spoil, &base(&[]), "package");
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn a_service_that_dies_after_its_start() {
    let spoil = "mkdir /root/app && echo 'raise RuntimeError(\"no luck today\")' > /root/app/app.py";
    let file = base(&[("application.source", "directory"), ("application.location", "/root/app")]);
    let ended = fails(spoil, &file, "webapp");
    assert!(ended.both().contains("no luck today"), "the service's own words are missing:\n{}", ended.both());
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn a_full_disk() {
    // systemd learns of a mount a moment later: the manifest before must show it too.
    let spoil = "mount -t tmpfs -o size=200k tmpfs /var/cache/apt/archives && mkdir /var/cache/apt/archives/partial && \
                 until systemctl -q is-active var-cache-apt-archives.mount; do sleep 0.2; done";
    refused(spoil, &base(&[]), "to download, but /var/cache/apt/archives has");
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn a_port_that_something_else_holds() {
    let spoil = "apt-get install -y -q --no-install-recommends python3-minimal >/dev/null && \
                 (setsid python3 -c 'import socket,time; s=socket.socket(); s.bind((\"0.0.0.0\",443)); s.listen(); time.sleep(9999)' \
                 >/dev/null 2>&1 &) ; sleep 1";
    refused(spoil, &base(&[]), "443");
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn a_certificate_for_another_name_or_with_another_key() {
    let spoil = "apt-get install -y -q --no-install-recommends openssl >/dev/null; cd /root && \
                 openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=other.example.test -addext \
                 subjectAltName=DNS:other.example.test -days 30 -keyout key.pem -out cert.pem 2>/dev/null && chmod 600 key.pem && \
                 openssl genrsa -out foreign.pem 2048 2>/dev/null && chmod 600 foreign.pem";
    let with_key = |key| base(&[("tls.mode", "provided"), ("tls.certificate", "/root/cert.pem"), ("tls.key", key)]);
    refused(spoil, &with_key("/root/key.pem"), "app.example.test");
    refused(spoil, &with_key("/root/foreign.pem"), "key");
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn a_remote_engine_that_does_not_answer() {
    let file = base(&[
        ("database.engine", "postgresql"),
        ("database.place", "remote"),
        ("database.host", "127.0.0.1"),
        ("database.password", "{env: PGPW}"),
    ]);
    let host = Host::start("bookworm", Init::Systemd);
    let before = host.manifest("before");
    let text = host.bringup_env(&["PGPW=does-not-matter-1"], &file).expect(1).both();
    assert!(text.contains("refused") && !text.contains("does-not-matter-1"), "{text}");
    host.assert_identical(&before);
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn exit_codes_are_as_documented() {
    let host = Host::start("bookworm", Init::Systemd);
    let before = host.manifest("before");
    host.exec(&["bringup", "--no-such-flag"]).expect(2);
    host.sh("bringup </dev/null").expect(2);
    host.bringup("version: 1\nguide: webapp\nweb:\n  hots: x\n").expect(1);
    host.sh("bringup plan --answers /nonexistent").expect(1);
    host.bringup_env(&[], "version: 1\nguide: webapp\n"); // answers are in place for the next line
    host.sh("bringup rollback --all").expect(2);
    // A proof that fails later.
    host.sh("systemctl stop nginx").expect(0);
    host.exec(&["bringup", "verify"]).expect(6);
    host.exec(&["bringup", "rollback", "--all", "--yes", "--plain"]).expect(0);
    host.exec(&["bringup", "plan", "--answers", "/tmp/answers.yaml"]).expect(7);
    host.assert_identical(&before);

    // A proof that fails with `on_failure: pause` leaves the changes, and says so.
    host.sh("mkdir /root/app && echo 'raise SystemExit(1)' > /root/app/app.py").expect(0);
    let before = host.manifest("with the application");
    let file = base(&[("application.source", "directory"), ("application.location", "/root/app")]);
    host.bringup(&file.replace("guide: webapp\n", "guide: webapp\non_failure: pause\n")).expect(6);
    host.bringup(&file).expect(6);
    host.exec(&["bringup", "rollback", "--yes", "--plain"]).expect(0);

    // A run that was killed stands in the way of the next one until it is resumed or taken back.
    host.bringup_env(&["BRINGUP_KILL=after:3"], &base(&[])).expect(4);
    host.bringup(&base(&[])).expect(1);
    host.exec(&["bringup", "rollback", "--yes", "--plain"]).expect(0);
    host.assert_identical(&before);
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn secrets_stand_only_where_they_belong() {
    let host = Host::start("bookworm", Init::Systemd);
    let file = base(&[
        ("database.engine", "mariadb"),
        ("database.auth", "password"),
        ("database.password", "{file: /root/canary}"),
        ("queue.backend", "redis"),
    ]);
    host.sh("umask 077; echo Canary-7f3a9c > /root/canary").expect(0);
    let watch = "(while :; do cat /proc/*/cmdline 2>/dev/null | tr '\\0' ' ' | grep -a -o 'Canary-7f3a9[c]' >> /tmp/seen; done) \
                 >/dev/null 2>&1 & echo $! > /tmp/watcher";
    host.sh(watch).expect(0);
    let ended = host.bringup(&file).expect(0);
    host.sh("kill $(cat /tmp/watcher)").expect(0);
    assert!(!ended.both().contains("Canary-7f3a9c"));
    assert_eq!(host.sh("test -s /tmp/seen").status, 1, "the password stood in a command line");
    let found = host.sh("grep -rl -a Canary-7f3a9c /etc /opt /usr /var /root 2>/dev/null; true").expect(0).stdout;
    let mut strangers: Vec<&str> = found
        .lines()
        .filter(|path| !["/root/canary", "/var/lib/bringup/secrets/webapp@webapp.json"].contains(path))
        .collect();
    // The application's own environment file, for it alone.
    strangers.retain(|path| {
        host.sh(&format!("stat -c %a {path} | grep -q '0$'")).status != 0 || path.contains("/var/lib/bringup/")
    });
    assert!(strangers.is_empty(), "the password stands in {strangers:?}");
    let events = host.sh("cat /var/lib/bringup/runs/*/events.jsonl /var/lib/bringup/runs/*/journal.jsonl /var/lib/bringup/runs/*/plan.json \
                          /var/lib/bringup/runs/*/log/*").expect(0).stdout;
    assert!(!events.contains("Canary-7f3a9c"));
}
