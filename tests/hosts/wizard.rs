//! The wizard over SSH, as an administrator has it: from the first key to production, on a line that breaks.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::host::{Host, Init};
use crate::session::{CTRL_C, ENTER, Session, TAB, untouched};

/// For what needs downloads, installs and proofs.
const INSTALL: Duration = Duration::from_mins(10);

/// Ends the server's side of every line.
const KILL_SSH_SESSIONS: &str = r"
    for process in /proc/[0-9]*; do
        case $(tr '\0' ' ' <$process/cmdline 2>/dev/null) in
            sshd:*@pts/*) kill -KILL ${process#/proc/} ;;
        esac
    done
";

/// A host that is reached over SSH, with a key that nobody else has.
struct Remote {
    host: Host,
    address: String,
    key: PathBuf,
}

impl Remote {
    fn start() -> Self {
        let host = Host::start("bookworm", Init::Systemd);
        host.sh("DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends openssh-server").expect(0);
        let key = host.scratch().join("key");
        let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status();
        assert!(made.unwrap().success());
        let public = std::fs::read_to_string(key.with_extension("pub")).unwrap();
        host.sh("install -d -m 0700 /root/.ssh").expect(0);
        host.write("/root/.ssh/authorized_keys", &public);
        let remote = Self { address: host.address(), host, key };
        // What a first login leaves behind is none of bringup's.
        assert_eq!(remote.ssh("true").exit_status(), 0);
        remote
    }

    /// A line to the host, with `command` at its other end.
    fn ssh(&self, command: &str) -> Session {
        let key = self.key.display().to_string();
        let known = format!("UserKnownHostsFile={}", self.key.with_extension("known").display());
        let to = format!("root@{}", self.address);
        let mut args = vec!["-tt", "-F", "/dev/null", "-i", &key];
        for option in [&known, "StrictHostKeyChecking=accept-new", "BatchMode=yes", "SendEnv=LANG", "LogLevel=ERROR"] {
            args.extend(["-o", option]);
        }
        args.extend([&to, command]);
        let mut session = Session::start(Path::new("ssh"), &args, &[], (100, 30));
        session.be_patient(Duration::from_mins(1));
        session
    }
}

/// Presses a key and waits until it has shown.
fn press(session: &mut Session, key: &str) {
    session.settle();
    let before = session.screen();
    session.keys(key);
    session.wait_until(&format!("{key:?} to show"), |session| session.screen() != before);
    session.settle();
}

/// Goes on until the page with this title.
fn on_to(session: &mut Session, title: &str) {
    let there = |session: &Session| session.screen().lines().next().unwrap_or_default().contains(title);
    for _ in 0..20 {
        if there(session) {
            return;
        }
        press(session, ENTER);
    }
    panic!("there is no way to {title}\n{}", session.screen());
}

/// Moves the pointer to a line of the page.
fn point_at(session: &mut Session, text: &str) {
    let pointed = |line: &str| line.rsplit('│').next().is_some_and(|page| page.contains('▸') && page.contains(text));
    for _ in 0..20 {
        if session.screen().lines().any(pointed) {
            return;
        }
        press(session, TAB);
    }
    panic!("the pointer does not come to {text:?}\n{}", session.screen());
}

/// Types an answer in the place of what is suggested.
fn answer(session: &mut Session, question: &str, text: &str) {
    point_at(session, question);
    session.keys(text);
    session.wait_for(text);
}

/// From the first page to the first question.
fn begin(session: &mut Session) {
    session.wait_for("[ Choose a product ]");
    let looked = ["All preflight checks passed.", "You can continue."];
    session.wait_until("the checks", |session| looked.iter().any(|says| session.screen().contains(says)));
    press(session, ENTER);
    session.wait_for("What shall this server become?");
    session.keys(ENTER);
    session.wait_for("What is the application called?");
}

/// From the first question to the button that starts.
fn review(session: &mut Session) {
    answer(session, "What is the application called?", "shop");
    on_to(session, "Database");
    on_to(session, "Job queue");
    on_to(session, "Workers");
    answer(session, "How many people", "12");
    on_to(session, "Web server");
    answer(session, "Which host name", "shop.example.test");
    on_to(session, "Certificate");
    on_to(session, "Services");
    on_to(session, "Review");
    // What comes in while the pointer is moved would be taken for its move.
    session.wait_until("the plan", |session| {
        let screen = session.screen();
        screen.contains("Ready:") && screen.contains("on disk")
    });
    point_at(session, "[ Start ]");
}

/// What bringup's processes in the host were started as.
fn processes(host: &Host) -> String {
    host.sh("for pid in $(pidof bringup); do tr '\\0' ' ' </proc/$pid/cmdline; echo; done").stdout
}

/// Waits for what is seen in the host.
#[track_caller]
fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < INSTALL, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Whoever looked is gone with the line; the run is not.
#[track_caller]
fn assert_goes_on(host: &Host) {
    wait_until("what followed the run to end with its line", || {
        let processes = processes(host);
        assert!(processes.contains("bringup execute "), "the run ended: {processes:?}");
        processes.lines().count() == 1
    });
}

/// What a command in the host says in JSON.
fn json(host: &Host, argv: &[&str]) -> Value {
    serde_json::from_str(&host.exec(argv).stdout).unwrap()
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn the_wizard_leads_to_production_over_lines_that_are_cut_and_its_answers_replay() {
    let remote = Remote::start();
    let host = &remote.host;
    let before = host.manifest("before");

    let mut line = remote.ssh("bringup");
    begin(&mut line);
    review(&mut line);
    line.keys(ENTER);
    line.be_patient(INSTALL);
    line.wait_for("Output of packages");
    line.signal(Signal::KILL);
    assert_goes_on(host);

    // The server's side of a line can be lost as well.
    let mut line = remote.ssh("bringup attach");
    line.wait_for("Running");
    host.sh(KILL_SSH_SESSIONS).expect(0);
    assert_eq!(line.exit_status(), 255);
    assert_goes_on(host);
    let lines = host.journal_lines();
    wait_until("the run to get on", || host.journal_lines() > lines);

    let mut line = remote.ssh("bringup attach");
    line.be_patient(INSTALL);
    line.wait_for("is in production");
    assert!(line.screen().contains("https://shop.example.test/"), "{}", line.screen());
    line.keys(CTRL_C);
    assert_eq!(line.exit_status(), 0);
    let said = line.screen();
    assert!(said.contains("Roll back     bringup rollback"), "the last words stay on the terminal:\n{said}");
    assert_eq!(line.modes(), untouched());

    let run = json(host, &["bringup", "status", "--json"]);
    host.sh("cp /var/lib/bringup/runs/*/answers.yaml /root/replay.yaml").expect(0);
    let replay = host.sh("cat /root/replay.yaml").stdout;
    assert!(replay.contains("name: shop") && replay.contains("users: 12"), "{replay}");
    let plan = json(host, &["bringup", "plan", "--json", "--answers", "/root/replay.yaml"]);
    assert!(run[0]["plan"].is_string(), "{run}");
    assert_eq!(plan["hash"], run[0]["plan"]);
    host.sh("rm /root/replay.yaml").expect(0);

    host.exec(&["bringup", "rollback", "--yes", "--plain"]).expect(0);
    host.assert_identical(&before);
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn a_line_that_is_cut_before_the_start_leaves_nothing_behind() {
    let remote = Remote::start();
    let host = &remote.host;
    let before = host.manifest("before");
    let gone = || wait_until("the wizard to end with its line", || processes(host).is_empty());

    // On the first page, while the server is looked at.
    let line = remote.ssh("bringup");
    wait_until("the wizard", || !processes(host).is_empty());
    line.signal(Signal::KILL);
    gone();

    // In the middle of a word.
    let mut line = remote.ssh("bringup");
    begin(&mut line);
    answer(&mut line, "What is the application called?", "sho");
    line.signal(Signal::KILL);
    gone();

    // On the last page, before it is said to begin.
    let mut line = remote.ssh("bringup");
    begin(&mut line);
    review(&mut line);
    host.sh(KILL_SSH_SESSIONS).expect(0);
    gone();
    host.sh("test ! -e /var/lib/bringup").expect(0);
    host.assert_identical(&before);

    // The next one begins from the beginning.
    let mut line = remote.ssh("bringup");
    begin(&mut line);
    line.wait_for("webapp");
    assert!(!line.screen().contains("shop"), "{}", line.screen());
}
