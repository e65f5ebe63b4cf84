//! A test host: a thin wrapper of `tests/hosts/machine`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A running Debian machine, destroyed when dropped.
pub struct Host {
    name: String,
    scratch: PathBuf,
    started: Instant,
}

/// Whether large matrices are asked for: `tests/run --long`. Says so where not.
pub fn is_long() -> bool {
    let long = every(2) == 1;
    if !long {
        println!("skipped: long");
    }
    long
}

/// Of many cases alike: all of them with `tests/run --long`, else one of `n`.
pub fn every(n: usize) -> usize {
    if std::env::var_os("BRINGUP_TEST_LONG").is_some() { 1 } else { n }
}

/// A second run with the same answers changes nothing.
#[track_caller]
pub fn nothing_left_to_do(host: &Host, answers: &str) {
    let again = host.bringup(answers).expect(0).both();
    assert!(again.contains("othing to do"), "a second run changed something:\n{again}");
}

/// Which of these ports this machine, which is another one, reaches.
pub fn open_from_outside(host: &Host, ports: &[u16]) -> Vec<u16> {
    let address = host.address();
    let reached = |port: &u16| {
        let to: SocketAddr = format!("{address}:{port}").parse().unwrap();
        TcpStream::connect_timeout(&to, Duration::from_secs(2)).is_ok()
    };
    ports.iter().copied().filter(reached).collect()
}

/// Runs the guide that a test has put there: [`Host::write_guide`], [`crate::pair::Pair`].
pub const RUN: &str = "bringup --plain --guide /root/guide --answers /root/answers.yaml";

/// A guide of one stage, for a test.
const GUIDE: &str = "\
version: 1
guide: site
title: A site
summary: For a test.
stages: [01-web.yaml]
";
const STAGE: &str = "\
id: web
title: Web
why: For a test.
questions:
  - {id: asked, ask: Shall it?, type: bool, default: true, help: For a test.}
";

/// How the machine's PID 1 is chosen.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Init {
    Systemd,
    None,
}

/// The end of a command inside a host.
pub struct Ended {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// Asserts the exit status, showing everything when it is another.
    #[track_caller]
    pub fn expect(self, status: i32) -> Self {
        assert_eq!(self.status, status, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    pub fn both(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// Both streams on one line: where their lines break is no matter of the test.
    pub fn words(&self) -> String {
        words(&self.both())
    }
}

static COUNT: AtomicU32 = AtomicU32::new(0);

impl Host {
    /// Starts a fresh machine with bringup on it.
    pub fn start(release: &str, init: Init) -> Self {
        Self::start_with(release, init, &[])
    }

    /// Starts a fresh machine with further options for `machine start`.
    pub fn start_with(release: &str, init: Init, options: &[&str]) -> Self {
        let started = Instant::now();
        let name = format!("t{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let scratch = std::env::temp_dir().join(format!("bringup-{name}"));
        std::fs::create_dir_all(&scratch).unwrap();
        let mut args = vec!["start", &name, release];
        if init == Init::None {
            args.extend(["--init", "none"]);
        }
        args.extend(options);
        let out = machine(&args, None);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let host = Self { name, scratch, started };
        host.push(&binary(), "/usr/local/bin/bringup");
        host.sh("chmod 0755 /usr/local/bin/bringup").expect(0);
        host
    }

    /// Adds how long this host lived, in seconds, and its test to the list that `tests/run` sums up.
    fn note_time(&self) {
        let Some(list) = std::env::var_os("BRINGUP_TEST_TIMES") else { return };
        let thread = std::thread::current();
        let line = format!("{} {}\n", self.started.elapsed().as_secs(), thread.name().unwrap_or("?"));
        // The list is only shown.
        let _ = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(list)
            .and_then(|mut list| list.write_all(line.as_bytes()));
    }

    /// Runs a command inside.
    pub fn exec(&self, argv: &[&str]) -> Ended {
        self.exec_env(&[], argv)
    }

    /// Runs a command inside with variables.
    pub fn exec_env(&self, env: &[&str], argv: &[&str]) -> Ended {
        let mut args = vec!["exec", &self.name];
        for pair in env {
            args.extend(["--env", pair]);
        }
        args.push("--");
        args.extend(argv);
        ended(&machine(&args, None))
    }

    /// Runs a shell script inside.
    pub fn sh(&self, script: &str) -> Ended {
        self.exec(&["sh", "-c", script])
    }

    /// Writes a text file inside.
    pub fn write(&self, path: &str, text: &str) {
        let script = format!("umask 077; cat > {path}");
        let out = machine(&["exec", &self.name, "--", "sh", "-c", &script], Some(text));
        assert!(out.status.success());
    }

    /// Puts a guide of one stage there, `web`, with these `actions:` and `proofs:`.
    pub fn write_guide(&self, actions: &str) {
        self.sh("mkdir -p -m 0700 /root/guide").expect(0);
        self.write("/root/guide/guide.yaml", GUIDE);
        self.write("/root/guide/01-web.yaml", &format!("{STAGE}{actions}"));
        self.write("/root/answers.yaml", "version: 1\nguide: site\n");
    }

    /// Copies a file in.
    pub fn push(&self, from: &Path, to: &str) {
        let out = machine(&["push", &self.name, &from.display().to_string(), to], None);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }

    /// Its address.
    pub fn address(&self) -> String {
        let out = machine(&["ip", &self.name], None);
        String::from_utf8(out.stdout).unwrap().trim().to_owned()
    }

    /// Copies a file out.
    pub fn pull(&self, from: &str, to: &Path) {
        let out = machine(&["pull", &self.name, from, &to.display().to_string()], None);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }

    /// A directory of this machine for files of the test; it goes with the host.
    pub fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// Lays out a release archive in `/tmp/release`: the program, its SHA-256, `install.sh` and the shipped answers.
    pub fn release_archive(&self) {
        let top = Path::new(env!("CARGO_MANIFEST_DIR"));
        self.sh("mkdir -p /tmp/release/assets").expect(0);
        self.push(&binary(), "/tmp/release/bringup");
        self.push(&top.join("install.sh"), "/tmp/release/install.sh");
        self.push(&top.join("assets/answers"), "/tmp/release/assets/answers");
        self.sh("cd /tmp/release && sha256sum bringup > bringup.sha256 && rm /usr/local/bin/bringup").expect(0);
    }

    /// Runs bringup with these answers, without a terminal.
    pub fn bringup(&self, answers: &str) -> Ended {
        self.bringup_env(&[], answers)
    }

    /// The same, with variables.
    pub fn bringup_env(&self, env: &[&str], answers: &str) -> Ended {
        self.write("/tmp/answers.yaml", answers);
        self.exec_env(env, &["bringup", "--plain", "--answers", "/tmp/answers.yaml"])
    }

    /// Pulls the plug: everything inside is killed at once.
    pub fn cut(&self) {
        assert!(machine(&["cut", &self.name], None).status.success());
    }

    /// Boots again from the same disk.
    pub fn boot(&self) {
        let out = machine(&["boot", &self.name], None);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }

    /// Reboots it cleanly.
    pub fn reboot(&self) {
        let out = machine(&["reboot", &self.name], None);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }

    /// Writes down everything that a rollback must bring back.
    pub fn manifest(&self, label: &str) -> PathBuf {
        let file = self.scratch.join(label);
        let out = machine(&["manifest", &self.name, &file.display().to_string()], None);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        file
    }

    /// Rolls back all runs; nobody else was at work, so nothing may be kept.
    #[track_caller]
    pub fn roll_back_all(&self) {
        let ended = self.exec(&["bringup", "rollback", "--all", "--yes", "--plain"]).expect(0);
        assert!(!ended.both().contains("kept:"), "a rollback leaves something:\n{}", ended.both());
    }

    /// Asserts that the host is as it was, but for the documented volatile paths.
    #[track_caller]
    pub fn assert_identical(&self, before: &Path) {
        let difference = self.difference(before);
        assert!(difference.is_empty(), "the host is not as it was:\n{difference}");
    }

    /// The same, but for what the test itself changed below these directories.
    #[track_caller]
    pub fn assert_identical_but(&self, before: &Path, own: &[&str]) {
        let difference = self.difference(before);
        let is_own = |line: &&str| own.iter().any(|dir| line.contains(&format!(" {dir}")));
        let left: Vec<&str> = difference.lines().filter(|line| !is_own(line)).collect();
        assert!(left.is_empty(), "the host is not as it was:\n{difference}");
    }

    /// What differs from an earlier manifest; empty when nothing does.
    pub fn difference(&self, before: &Path) -> String {
        // A unit that a timer of Debian's has just started is no leftover: it ends within seconds.
        for _ in 0..5 {
            let difference = self.difference_now(before);
            if difference.is_empty() || !difference.lines().all(|line| line.contains(" units: ")) {
                return difference;
            }
            std::thread::sleep(std::time::Duration::from_secs(2));
        }
        self.difference_now(before)
    }

    fn difference_now(&self, before: &Path) -> String {
        let after = self.manifest("now");
        let volatile = dir().join("volatile.txt");
        let args = [
            "diff",
            &before.display().to_string(),
            &after.display().to_string(),
            "--ignore",
            &volatile.display().to_string(),
        ];
        let out = machine(&args, None);
        let text = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        match out.status.code() {
            Some(0) => String::new(),
            _ => text,
        }
    }

    /// Every unit that was written here is shut in, as systemd judges it: 0 is a perfect sandbox, 10 none.
    pub fn assert_confined(&self) {
        let units =
            self.sh("find /etc/systemd/system -maxdepth 1 -type f -name '*.service' -printf '%f\\n'").expect(0).stdout;
        assert!(!units.is_empty(), "no unit was written");
        for unit in units.lines() {
            let told = self.sh(&format!("systemd-analyze security --no-pager {unit} | tail -n 1")).expect(0).stdout;
            let exposure = told.rsplit(": ").next().and_then(|rest| rest.split(' ').next()?.parse::<f64>().ok());
            assert!(exposure.is_some_and(|exposure| exposure <= 4.0), "{told}");
        }
    }

    /// The number of lines in the journal of the newest run.
    pub fn journal_lines(&self) -> usize {
        let out = self.sh("wc -l < $(ls -d /var/lib/bringup/runs/*/ | tail -1)journal.jsonl").expect(0);
        out.stdout.trim().parse().unwrap()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if std::thread::panicking() && std::env::var_os("BRINGUP_TEST_KEEP").is_some() {
            eprintln!("kept for inspection: {}", self.name);
            return;
        }
        machine(&["destroy", &self.name], None);
        let _ = std::fs::remove_dir_all(&self.scratch);
        self.note_time();
    }
}

/// A text on one line.
pub fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What restarts or reloads in a run, in its order.
pub fn moved(told: &str) -> Vec<&str> {
    let moves = told.lines().filter_map(|line| line.split_once(": ").map(|(_, what)| what));
    moves.filter(|what| what.starts_with("restart ") || what.starts_with("reload ")).collect()
}

/// An answers file for `webapp` from `stage.question: value` pairs.
pub fn answers(pairs: &[(&str, &str)]) -> String {
    let mut text = "version: 1\nguide: webapp\n".to_owned();
    let mut sections: Vec<&str> = pairs.iter().filter_map(|(path, _)| path.split('.').next()).collect();
    sections.sort_unstable();
    sections.dedup();
    for section in sections {
        text.push_str(section);
        text.push_str(":\n");
        for (path, value) in pairs {
            if let Some(key) = path.strip_prefix(section).and_then(|rest| rest.strip_prefix('.')) {
                let _ = writeln!(text, "  {key}: {value}");
            }
        }
    }
    text
}

/// Runs `tests/hosts/machine`.
pub fn machine(args: &[&str], stdin: Option<&str>) -> Output {
    let mut command = Command::new(dir().join("machine"));
    command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.stdin(if stdin.is_some() { Stdio::piped() } else { Stdio::null() });
    let mut child = command.spawn().unwrap();
    if let Some(text) = stdin {
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    }
    child.wait_with_output().unwrap()
}

fn ended(output: &Output) -> Ended {
    Ended {
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hosts")
}

/// The release binary; `tests/run` builds it and says where it is.
fn binary() -> PathBuf {
    PathBuf::from(std::env::var_os("BRINGUP_BIN").expect("BRINGUP_BIN names the binary to test"))
}

/// Once the bridge took the address of a port, and other hosts were cut off for 45 s when that port went.
#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn a_host_that_goes_leaves_the_network_of_the_others_alone() {
    let host = Host::start("bookworm", Init::None);
    let site = std::env::var("BRINGUP_TEST_SITE").unwrap_or_else(|_| "bringup".to_owned());
    let ip = |line: String| assert!(Command::new("ip").args(line.split(' ')).status().unwrap().success(), "{line}");
    // Bridges take the lowest address.
    ip(format!("link add {site}-low address 02:00:00:00:00:01 type veth peer name {site}-end"));
    ip(format!("link set {site}-low master {site}0 up"));
    let reach = "ping -c 1 -W 2 $(ip route show default | cut -d ' ' -f 3)";
    host.sh(&format!("ip neigh flush dev eth0; {reach}")).expect(0);
    ip(format!("link delete {site}-low"));
    host.sh(reach).expect(0);
}
