//! saltant from its upstream source, all the way and back.
//!
//! `BRINGUP_TEST_SALTANT` names a repository (or a directory with a checkout) that has the commit of the guide's default;
//! without it the tests that install say "skipped". The Python packages come from the package index.

use std::path::{Path, PathBuf};

use crate::acme::{Authority, NAME, from_the_authority, renew_in_time};
use crate::crashes::killed_and_resumed;
use crate::host::{Ended, Host, Init, moved, open_from_outside};
use crate::logs::{RECEIVER, arrives};
use crate::pair::install;

const PIP_CERT: &str = "PIP_CERT=/etc/ssl/certs/ca-certificates.crt";
const ROLLBACK: [&str; 6] = ["bringup", "rollback", "--all", "--yes", "--plain", "--drop-data"];
const SERVICES: [&str; 4] =
    ["saltant.service", "saltant-reports.service", "saltant-worker.service", "saltant-flower.service"];
/// Rules that an unattended run can keep.
const FIREWALL: &str = "firewall: {manage: true, confirm: none}\n";

/// Where upstream's source is on this machine; nothing, with a word about it, where it is not.
fn upstream() -> Option<PathBuf> {
    let Some(path) = std::env::var_os("BRINGUP_TEST_SALTANT").map(PathBuf::from) else {
        println!("skipped: BRINGUP_TEST_SALTANT names no repository or checkout of saltant");
        return None;
    };
    Some(path)
}

/// A host with the source on it, and the section of the answers that names it.
fn host_with(source: &Path) -> (Host, String) {
    let host = Host::start_with("bookworm", Init::Systemd, &["--disk"]);
    host.push(source, "/srv/saltant");
    let is_repository = source.join("HEAD").exists() || source.join(".git").exists();
    let from = if is_repository { "git" } else { "directory" };
    (host, format!("source: {{from: {from}, location: /srv/saltant}}\n"))
}

fn bringup(host: &Host, answers: &str) -> Ended {
    host.bringup_env(&[PIP_CERT], answers)
}

fn answers(source: &str, more: &str) -> String {
    format!(
        "version: 1\nguide: saltant\n{source}project: {{login: operator}}\nweb: {{host: jobs.example.test}}\n\
         {FIREWALL}{more}"
    )
}

#[test]
#[ignore = "needs root, test hosts and upstream's source: tests/run"]
fn saltant_killed_at_twenty_boundaries() {
    let Some(source) = upstream() else { return };
    let (host, source) = host_with(&source);
    killed_and_resumed(&host, &[PIP_CERT], &answers(&source, "broker: {management: true}\n"), &ROLLBACK);
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

#[track_caller]
fn assert_again_unchanged(host: &Host, answers: &str) {
    let again = bringup(host, answers).expect(0);
    assert!(again.both().contains("othing to do"), "a second run changed something:\n{}", again.both());
}

#[test]
#[ignore = "needs root, test hosts and upstream's source: tests/run"]
fn saltant_from_source_to_a_finished_job_and_back() {
    let Some(source) = upstream() else { return };
    let (host, source) = host_with(&source);
    let before = host.manifest("before");
    let first = answers(&source, "broker: {management: true}\n");
    let told = bringup(&host, &first).expect(0).both();
    assert!(told.contains("jobs submitted at once"), "{told}");
    host.exec(&["bringup", "verify"]).expect(0);
    assert_again_unchanged(&host, &first);
    host.assert_confined();

    // A job reads neither the database nor what saltant knows.
    let shut = "runuser -u saltant-worker -- cat /etc/saltant/env || runuser -u saltant-worker -- psql -d saltant -c 'SELECT 1'";
    assert_ne!(host.sh(shut).status, 0, "the user that runs jobs reads saltant's settings or database");

    // One answer after the other is changed; each moves what must move, and nothing else.
    let others = ["nginx.service", "postgresql@15-main.service", "rabbitmq-server.service"];
    let kept = pids(&host, &others);
    let change = |answers: &str, expected: &[&str]| {
        let told = bringup(&host, answers).expect(0).both();
        assert_eq!(moved(&told), expected, "{told}");
    };
    let larger = first.replace("jobs.example.test}", "jobs.example.test, processes: 5}");
    change(&larger, &["restart saltant.service"]);
    let queues = format!("{larger}workers: {{queues: [default, long], jobs: 1}}\n");
    change(&queues, &["restart saltant-worker.service"]);
    host.write("/root/flower", "another-Password_1.x\n");
    let flower = queues.replace("processes: 5", "processes: 5, flower_password: {file: /root/flower}");
    change(&flower, &["restart saltant-flower.service"]);
    host.write("/root/logo.base64", LOGO);
    host.sh("base64 -d /root/logo.base64 > /root/logo.png").expect(0);
    let logo = flower.replace("login: operator", "login: operator, logo: /root/logo.png");
    change(&logo, &[]);
    assert_eq!(pids(&host, &others), kept, "something else was restarted");
    assert_again_unchanged(&host, &logo);

    for (port, open) in [
        (80, true),
        (443, true),
        (4369, false),
        (5432, false),
        (5555, false),
        (5671, false),
        (5672, false),
        (15672, false),
        (25672, false),
    ] {
        assert_eq!(reachable(&host, port), open, "{port}");
    }
    host.cut();
    host.boot();
    host.exec(&["bringup", "verify"]).expect(0);
    // The broker away and back: what needs it comes back by itself.
    for service in others.iter().chain(&SERVICES) {
        host.exec(&["systemctl", "restart", service]).expect(0);
    }
    host.exec(&["bringup", "verify"]).expect(0);
    host.exec(&ROLLBACK).expect(0);
    host.sh("test -s $(ls /var/lib/bringup/runs/*/dumps/postgresql-saltant.sql | head -1)").expect(0);
    host.sh("rm /root/flower /root/logo.base64 /root/logo.png").expect(0);
    host.assert_identical(&before);
}

/// A PNG of two by two pixels.
const LOGO: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAEElEQVR4nGP4z8AARAwQCgAf7gP9i18U1AAAAABJRU5ErkJggg==\n";

/// The role and its empty database exist on the other server, as the stage tells its administrator to make them.
#[test]
#[ignore = "needs root, test hosts and upstream's source: tests/run"]
fn saltant_with_its_database_on_another_server() {
    let Some(source) = upstream() else { return };
    let engine = Host::start("bookworm", Init::Systemd);
    let (host, source) = host_with(&source);
    install(&engine, "postgresql");
    let (there, here) = (engine.address(), host.address());
    engine
        .sh(&format!(
            "cd / && umask 022 && printf \"listen_addresses = '{there}'\\npassword_encryption = 'scram-sha-256'\\n\" \
             > /etc/postgresql/15/main/conf.d/saltant.conf && \
             echo 'hostssl jobs saltant {here}/32 scram-sha-256' >> /etc/postgresql/15/main/pg_hba.conf && \
             systemctl restart postgresql && runuser -u postgres -- psql -qc \
             \"CREATE ROLE saltant LOGIN NOSUPERUSER PASSWORD 'far-Away_1.x'\" -c \
             \"CREATE DATABASE jobs OWNER saltant ENCODING 'UTF8' TEMPLATE template0\""
        ))
        .expect(0);
    host.write("/root/password", "wrong\n");
    let before = host.manifest("before");
    let remote =
        format!("database: {{place: remote, host: {there}, name: jobs, password: {{file: /root/password}}}}\n");
    let answers = answers(&source, &remote);
    let refused = bringup(&host, &answers).expect(1).both();
    assert!(refused.contains("password"), "{refused}");
    host.assert_identical(&before);

    host.write("/root/password", "far-Away_1.x\n");
    let before = host.manifest("before");
    bringup(&host, &answers).expect(0);
    assert_again_unchanged(&host, &answers);
    let encrypted =
        "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE NOT ssl AND datname = 'jobs'";
    let seen = engine.sh(&format!("cd / && runuser -u postgres -- psql -XAtqc \"{encrypted}\"")).expect(0);
    assert_eq!(seen.stdout.trim(), "0", "saltant talks to its database in clear text");
    host.cut();
    host.boot();
    host.exec(&["bringup", "verify"]).expect(0);
    let told = host.exec(&ROLLBACK).both();
    assert!(told.contains("stay in the database on the other server"), "{told}");
    host.assert_identical(&before);
}

/// Where the main server's run leaves what a worker needs, and where its answers look for it.
const HANDED_OVER: &str = "/etc/saltant/workers";
const TAKEN: &str = "/root/saltant-workers";

/// Celery on the worker, as its user, with this bundle of authorities: whether it gets through to the broker.
fn reaches_the_broker(worker: &Host, authorities: &str) -> Ended {
    worker.sh(&format!(
        "cd /opt/saltant/worker && install -m 0644 {authorities} /tmp/authorities.pem && timeout 60 runuser -u saltant-worker -- \
         env REQUESTS_CA_BUNDLE=/tmp/authorities.pem /opt/saltant/venv/bin/python -B -c 'import saltant_worker; \
         saltant_worker.app.connection().ensure_connection(max_retries=1, interval_start=0)' 2>&1; \
         status=$?; rm -f /tmp/authorities.pem; exit $status"
    ))
}

#[test]
#[ignore = "needs root, test hosts and upstream's source: tests/run"]
fn saltant_with_a_worker_on_another_server() {
    let Some(source) = upstream() else { return };
    let (main, from) = host_with(&source);
    let worker = Host::start("bookworm", Init::Systemd);
    worker.push(&source, "/srv/saltant");
    let (before_main, before_worker) = (main.manifest("before"), worker.manifest("before"));
    let network = format!("broker: {{reach: network, plain: false, networks: [{}/32]}}\n", worker.address());
    let answers = answers(&from, &network);
    bringup(&main, &answers).expect(0);
    assert_again_unchanged(&main, &answers);

    let put = |name: &str| {
        let content = main.sh(&format!("cat {HANDED_OVER}/{name}")).expect(0).stdout;
        worker.write(&format!("{TAKEN}/{name}"), &content);
        content
    };
    worker.sh(&format!("mkdir -m 0700 {TAKEN}; echo {} jobs.example.test >> /etc/hosts", main.address())).expect(0);
    put("token");
    put("authority.pem");
    let here = format!("{}{FIREWALL}", put("answers.yaml"));
    // A wrong password, and no authority, are seen before anything is changed.
    worker.write(&format!("{TAKEN}/password"), "wrong\n");
    let refused = bringup(&worker, &here).expect(1).both();
    assert!(refused.contains("server.broker") || refused.contains("password"), "{refused}");
    put("password");
    let unknown = here.replace(&format!("  authority: {TAKEN}/authority.pem\n"), "");
    let refused = bringup(&worker, &unknown).expect(1).both();
    assert!(refused.contains("certificate"), "{refused}");

    let told = bringup(&worker, &here).expect(0).both();
    assert!(told.contains("jobs submitted to jobs.example.test"), "{told}");
    assert_again_unchanged(&worker, &here);
    worker.assert_confined();
    let seen = worker.sh(&format!("cat /proc/*/cmdline | tr '\\0' ' ' | grep -c -F -f {TAKEN}/password"));
    assert_eq!(seen.stdout.trim(), "0", "a command line shows the broker's password");
    reaches_the_broker(&worker, "/run/saltant-worker-trust/ca.pem").expect(0);
    let refused = reaches_the_broker(&worker, "/etc/ssl/certs/ca-certificates.crt");
    assert!(refused.status != 0 && refused.both().contains("certificate verify failed"), "{}", refused.both());

    // From the worker's address 5671 is open, from this machine's it is not; nothing else of the broker's is anywhere.
    let address = main.address();
    for (port, open) in [(5671, true), (5672, false), (15672, false), (25672, false), (4369, false), (5555, false)] {
        let tried = worker.sh(&format!("timeout 3 bash -c ': < /dev/tcp/{address}/{port}' 2>/dev/null && echo open"));
        assert_eq!(tried.stdout.contains("open"), open, "port {port}");
        assert!(!reachable(&main, port), "port {port} is open for everybody");
    }
    let spoken = |version: &str| {
        let client = "openssl s_client -connect jobs.example.test:5671 -cipher DEFAULT@SECLEVEL=0";
        worker.sh(&format!("{client} -{version} </dev/null 2>&1")).both().contains("Cipher is ECDHE")
    };
    assert!(spoken("tls1_2") && !spoken("tls1_1"), "TLS 1.2 is not spoken, or 1.1 is");

    for host in [&main, &worker] {
        host.cut();
        host.boot();
    }
    for host in [&main, &worker] {
        host.exec(&["bringup", "verify"]).expect(0);
    }
    worker.exec(&ROLLBACK).expect(0);
    worker.sh(&format!("rm -r {TAKEN}; sed -i '/jobs.example.test/d' /etc/hosts")).expect(0);
    worker.assert_identical(&before_worker);
    main.exec(&ROLLBACK).expect(0);
    main.assert_identical(&before_main);
}

/// What takes reports of errors on the authority's host, where its DNS leads Rollbar's name: it keeps what it is sent.
const ROLLBAR: &str = r#"set -e; cd /root/ca; apt-get install -qq -y --no-install-recommends python3 >/dev/null 2>&1
openssl req -newkey rsa:2048 -nodes -subj /CN=rollbar -keyout rollbar.key -out request.pem 2>/dev/null
echo subjectAltName=DNS:api.rollbar.com > names
openssl x509 -req -in request.pem -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 30 -extfile names -out rollbar.pem 2>/dev/null
cat > rollbar.py <<'END'
import http.server, ssl
class Take(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        report = self.rfile.read(int(self.headers["Content-Length"]))
        with open("/root/ca/reports", "ab") as kept:
            kept.write(self.headers.get("X-Rollbar-Access-Token", "").encode() + b" " + report + b"\n")
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"err": 0, "result": {}}')
server = http.server.HTTPServer(("", 443), Take)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/root/ca/rollbar.pem", "/root/ca/rollbar.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
END
systemd-run -q --unit=rollbar python3 /root/ca/rollbar.py"#;

#[test]
#[ignore = "needs root, test hosts and upstream's source: tests/run"]
fn saltant_with_an_authoritys_certificate_its_logs_elsewhere_and_its_errors_reported() {
    let Some(source) = upstream() else { return };
    let Some(authority) = Authority::start() else { return };
    let receiver = Host::start("bookworm", Init::Systemd);
    receiver.sh(RECEIVER).expect(0);
    authority.host.sh(ROLLBAR).expect(0);
    authority.await_port(443);
    let (host, source) = host_with(&source);
    authority.introduce(&host);
    authority.name(NAME, &host.address());
    authority.name("logs.example.test", &receiver.address());
    authority.name("api.rollbar.com", &authority.address);
    host.write("/root/logs.pem", &receiver.sh("cat /root/ca/ca.pem").expect(0).stdout);
    host.write("/root/rollbar", "0123456789abcdef0123456789abcdef\n");
    let before = host.manifest("before");

    let answers = answers(
        &source,
        &format!(
            "tls: {{mode: acme, terms: true, directory: 'https://{}:14000/dir', authority: /root/authority.pem}}\n\
             logs: {{remote: 'logs.example.test:6514', authority: /root/logs.pem}}\n",
            authority.address
        ),
    )
    .replace("login: operator", "login: operator, rollbar: true, rollbar_token: {file: /root/rollbar}")
    .replace("jobs.example.test", NAME);
    let told = bringup(&host, &answers).expect(0).both();
    assert!(told.contains("renewed, and served at once"), "{told}");
    from_the_authority(&host);
    assert_again_unchanged(&host, &answers);
    renew_in_time(&host);
    host.exec(&["bringup", "verify"]).expect(0);

    // What saltant's services write to the journal goes along.
    host.sh("logger -t saltant a-line-of-saltant").expect(0);
    arrives(&receiver, "a-line-of-saltant");
    host.exec(&["systemctl", "restart", "saltant-worker.service"]).expect(0);
    arrives(&receiver, "MainProcess. saltant@.* ready");

    // A request that fails is reported with the token, by the middleware that upstream has for it.
    host.sh("mkdir -p /run/systemd/system/saltant.service.d && printf '[Service]\\nEnvironment=REQUESTS_CA_BUNDLE=\
         /run/rollbar.pem\\n' > /run/systemd/system/saltant.service.d/trust.conf && systemctl daemon-reload")
        .expect(0);
    host.write("/run/rollbar.pem", &authority.host.sh("cat /root/ca/ca.pem").expect(0).stdout);
    host.sh("chmod 0644 /run/rollbar.pem").expect(0);
    let failing = format!(
        "systemctl restart saltant.service && systemctl stop postgresql@15-main.service && \
         (printf 'GET /api/ HTTP/1.1\\r\\nHost: {NAME}\\r\\nAuthorization: Token {}\\r\\nConnection: close\\r\\n\\r\\n'; sleep 5) | \
         openssl s_client -quiet -connect 127.0.0.1:443 -servername {NAME} 2>/dev/null | head -n 1",
        "a".repeat(32)
    );
    let page = host.sh(&failing).both();
    assert!(page.contains(" 500 "), "{page}");
    let reported =
        "for n in $(seq 60); do grep -aqs 0123456789abcdef /root/ca/reports && exit 0; sleep 0.5; done; exit 1";
    authority.host.sh(reported).expect(0);
    host.sh("rm -r /run/systemd/system/saltant.service.d && systemctl daemon-reload && systemctl start postgresql@15-main.service")
        .expect(0);
    host.exec(&["bringup", "verify"]).expect(0);
    host.exec(&ROLLBACK).expect(0);
    host.assert_identical(&before);
}

#[test]
#[ignore = "needs root, test hosts and upstream's source: tests/run"]
fn saltant_goes_away_when_an_early_or_one_of_the_last_steps_fails() {
    let Some(source) = upstream() else { return };
    let (host, source) = host_with(&source);
    let before = host.manifest("before");
    // There is no such commit, which is seen when packages are installed and the first directories are there.
    let early = answers(&source.replace("/srv/saltant}", "/srv/saltant, reference: no-such-branch}"), "");
    let ended = bringup(&host, &early);
    assert_eq!(ended.status, 3, "{}", ended.both());
    host.assert_identical(&before);

    // Read after ours, so that security updates do not install themselves, which is seen by a late proof.
    host.write("/etc/apt/apt.conf.d/99-never", "APT::Periodic::Unattended-Upgrade \"0\";\n");
    let before = host.manifest("before");
    let ended = bringup(&host, &answers(&source, "database: {auth: password}\n"));
    assert_eq!(ended.status, 3, "{}", ended.both());
    assert!(ended.both().contains("apt installs security updates automatically"), "{}", ended.both());
    host.sh("test -s $(ls /var/lib/bringup/runs/*/dumps/postgresql-saltant.sql | head -1)").expect(0);
    host.assert_identical(&before);
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn a_logo_that_is_not_square_is_refused_and_nothing_is_touched() {
    let host = Host::start("bookworm", Init::Systemd);
    host.write("/root/logo.base64", LOGO);
    // Its width becomes 3.
    host.sh(
        "base64 -d /root/logo.base64 > /root/logo.png && printf '\\003' | dd of=/root/logo.png bs=1 seek=19 conv=notrunc \
         2>/dev/null && printf text > /root/favicon.ico",
    )
    .expect(0);
    let before = host.manifest("before");
    let with = |project: &str| answers("", "").replace("login: operator", &format!("login: operator, {project}"));
    let refused = host.bringup(&with("logo: /root/logo.png")).expect(1).both();
    assert!(refused.contains("3 x 2 pixels"), "{refused}");
    let refused = host.bringup(&with("logo: /root/favicon.ico")).expect(1).both();
    assert!(refused.contains("it is no PNG"), "{refused}");
    let refused = host.bringup(&with("favicon: /root/favicon.ico")).expect(1).both();
    assert!(refused.contains("it is no ICO file"), "{refused}");
    let refused = host.bringup(&with("favicon: /root/nothing.ico")).expect(1).both();
    assert!(refused.contains("there is no file /root/nothing.ico"), "{refused}");
    host.assert_identical(&before);
}
