//! The weeks after: changed answers, an administrator who works on the host too, data that grew.

use crate::host::{Host, Init, answers};

fn base(more: &[(&str, &str)]) -> String {
    let mut pairs = vec![("web.host", "app.example.test")];
    pairs.extend(more);
    answers(&pairs)
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn changed_answers_change_only_what_differs_and_can_be_undone_by_themselves() {
    let host = Host::start("bookworm", Init::Systemd);
    let before = host.manifest("before");
    host.bringup(&base(&[("workers.web", "2")])).expect(0);
    let first = host.manifest("first");
    let second = host.bringup(&base(&[("workers.web", "3")])).expect(0);
    assert!(!second.both().contains("othing to do"));
    let status = host.exec(&["bringup", "status", "--json"]).expect(0).stdout;
    assert_eq!(status.matches("\"run\":").count(), 2, "{status}");
    host.exec(&["bringup", "rollback", "--yes", "--plain"]).expect(0);
    host.exec(&["bringup", "verify"]).expect(0);
    let difference = host.difference(&first);
    // The proofs of the second run and of `verify` wrote rows.
    let others: Vec<&str> = difference.lines().filter(|line| !line.contains(" /var/lib/webapp/")).collect();
    assert!(others.is_empty(), "{difference}");
    host.exec(&["bringup", "rollback", "--yes", "--plain"]).expect(0);
    host.assert_identical(&before);
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn what_an_administrator_changed_is_kept_and_reported() {
    let host = Host::start("bookworm", Init::Systemd);
    host.bringup(&base(&[("database.engine", "postgresql")])).expect(0);
    let site = host.sh("ls /etc/nginx/sites-available/*webapp*").expect(0).stdout.trim().to_owned();
    let script = format!(
        "useradd -m alice && echo 'net.ipv4.ip_forward=0' > /etc/sysctl.d/99-alice.conf && \
         apt-get install -y -q tree && echo '# by hand' >> {site} && echo alice > /etc/motd"
    );
    host.sh(&script).expect(0);
    // In what the run brought: a site of nginx's, and a database.
    host.sh("echo 'server { listen 8099; root /srv; }' > /etc/nginx/sites-available/alice && \
         ln -s ../sites-available/alice /etc/nginx/sites-enabled/alice && systemctl reload nginx && \
         runuser -u postgres -- createdb ledger")
        .expect(0);
    let refused = host.exec(&["bringup", "rollback", "--all", "--yes", "--plain"]).expect(1);
    assert!(refused.both().contains("the PostgreSQL database ledger"), "{}", refused.both());
    host.sh("runuser -u postgres -- dropdb ledger").expect(0);
    let ended = host.exec(&["bringup", "rollback", "--all", "--yes", "--plain"]).expect(0);
    host.sh("id alice && test -f /etc/sysctl.d/99-alice.conf && which tree && grep -q alice /etc/motd").expect(0);
    host.sh(&format!("grep -q 'by hand' {site} && test -L /etc/nginx/sites-enabled/alice")).expect(0);
    let told = ended.both().split_whitespace().collect::<Vec<_>>().join(" ");
    for name in [site.as_str(), "/etc/nginx — it is not empty", "sites-enabled/alice"] {
        assert!(told.contains(name), "{name} is not reported:\n{}", ended.both());
    }
    host.sh("! id webapp && ! id postgres && ! dpkg -l postgresql | grep -q ^ii && dpkg -l tree | grep -q ^ii")
        .expect(0);
}

fn grown(engine: &str, insert: &str) {
    let host = Host::start("bookworm", Init::Systemd);
    let before = host.manifest("before");
    host.bringup(&base(&[("database.engine", engine)])).expect(0);
    host.sh(insert).expect(0);
    let refused = host.exec(&["bringup", "rollback", "--all", "--yes", "--plain"]).expect(1);
    assert!(refused.both().contains("--drop-data"), "{}", refused.both());
    host.exec(&["bringup", "verify"]).expect(0);
    host.exec(&["bringup", "rollback", "--all", "--yes", "--drop-data", "--plain"]).expect(0);
    let dumps = "cat /var/lib/bringup/runs/*/dumps/*";
    let dump = host.sh(dumps).expect(0);
    assert!(dump.stdout.contains("precious"), "the row is not in the dump");
    host.assert_identical(&before);
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn a_postgresql_database_that_gained_rows_is_dumped_before_it_goes() {
    grown(
        "postgresql",
        "runuser -u webapp -- psql -d webapp -c \"create table t (x text); insert into t values ('precious')\"",
    );
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn a_mariadb_database_that_gained_rows_is_dumped_before_it_goes() {
    grown("mariadb", "mariadb webapp -e \"create table t (x text); insert into t values ('precious')\"");
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn a_sqlite_database_that_gained_rows_is_dumped_before_it_goes() {
    grown(
        "sqlite",
        "db=$(find /var/lib/webapp -name '*.db' | head -1) && \
         python3 -c \"import sqlite3,sys; d=sqlite3.connect(sys.argv[1]); d.execute('create table t (x text)'); \
         d.execute(\\\"insert into t values ('precious')\\\"); d.commit()\" $db",
    );
}

/// The README's first command, from a release archive, word for word but for `sudo`.
fn main_job(release: &str, init: Init) {
    let host = Host::start(release, init);
    host.release_archive();
    let done = host.sh("cd /tmp/release && ./install.sh --answers assets/answers/quickstart.yaml").expect(0);
    for said in ["in production", "https://", "/var/lib/bringup/secrets", "bringup rollback"] {
        assert!(done.both().contains(said), "the last page does not say {said}:\n{}", done.both());
    }
    host.sh("bringup verify").expect(0);
    let user = "useradd -m visitor && runuser -u visitor -- bringup plan --answers /tmp/release/assets/answers/quickstart.yaml";
    let plan = host.sh(user);
    assert!(plan.stdout.contains("gunicorn"), "an ordinary user cannot plan:\n{}", plan.both());
    host.sh("runuser -u visitor -- bringup --answers /tmp/release/assets/answers/quickstart.yaml").expect(1);
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn the_main_job_from_a_release_archive() {
    main_job("bookworm", Init::Systemd);
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn the_main_job_without_systemd() {
    main_job("trixie", Init::None);
}

/// A file that fills no disk and every memory, and a directory that is a link to root's own every other moment, by the
/// application's user while the run is rolled back.
#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn the_application_cannot_turn_its_rollback_against_root() {
    const EXCHANGE: &str = r"
import ctypes, os
libc = ctypes.CDLL(None)
os.chdir('/var/lib/webapp')
while os.path.isdir('/var/lib/webapp'):
    libc.syscall(316, -100, b'sub', -100, b'link', 2)
";
    let host = Host::start("bookworm", Init::Systemd);
    host.bringup(&base(&[])).expect(0);
    let script = "mkdir /srv/keep && for i in $(seq 200); do echo $i > /srv/keep/$i; done; cd /var/lib/webapp && \
                  setpriv --reuid webapp --regid webapp --clear-groups sh -c 'mkdir sub && truncate -s 1T huge && \
                  for i in $(seq 200); do echo x > sub/$i; done; ln -s /srv/keep link'";
    host.sh(script).expect(0);
    let kept = host.sh("stat -c '%n %a %u %Y' /srv/keep /srv/keep/*; cat /srv/keep/*").expect(0).stdout;
    host.write("/srv/exchange.py", EXCHANGE);
    host.sh("setpriv --reuid webapp --regid webapp --clear-groups python3 /srv/exchange.py >/dev/null 2>&1 &")
        .expect(0);
    host.exec(&["bringup", "rollback", "--all", "--yes", "--drop-data", "--plain"]).expect(0);
    let now = host.sh("stat -c '%n %a %u %Y' /srv/keep /srv/keep/*; cat /srv/keep/*").expect(0).stdout;
    assert_eq!(now, kept);
    host.sh("! test -e /var/lib/webapp && ! id webapp && ls /var/lib/bringup/runs/*/dumps/*.tar").expect(0);
    // What led back is of no use any more, and holds passwords.
    host.sh("! ls /var/lib/bringup/runs/*/*.pack && ! test -e /var/lib/bringup/runs/*/blobs").expect(0);
}

/// /opt and /var/lib on file systems of their own, as on many servers.
#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn file_systems_of_their_own_are_rolled_back_too() {
    let host = Host::start("bookworm", Init::Systemd);
    host.sh(
        "cp -a /var/lib /run/kept && mount -t tmpfs new /var/lib && cp -a /run/kept/. /var/lib && rm -r /run/kept && \
         mount -t tmpfs new /opt && chmod 755 /opt /var/lib && \
         until systemctl -q is-active opt.mount var-lib.mount; do sleep 0.1; done",
    )
    .expect(0);
    let before = host.manifest("before");
    host.bringup(&base(&[("database.engine", "postgresql")])).expect(0);
    host.sh("test -d /opt/webapp/app && test -d /var/lib/postgresql").expect(0);
    host.sh("echo theirs > /opt/theirs && mkdir /var/lib/theirs && echo theirs > /var/lib/theirs/note").expect(0);
    host.roll_back_all();
    host.sh("grep theirs /opt/theirs /var/lib/theirs/note && rm -r /opt/theirs /var/lib/theirs").expect(0);
    host.assert_identical(&before);
}
