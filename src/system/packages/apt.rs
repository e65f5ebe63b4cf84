//! Running apt and dpkg: never asking, waiting for locks, telling how far they are.

use std::path::Path;
use std::time::Duration;

use super::simulation::Simulation;
use super::status_fd::{Follower, Line};
use super::{lock, policy, units};
use crate::error::{Failure, Outcome};
use crate::host::{Command, Host, Stat};
use crate::progress::Progress;
use crate::progress::throttled;
use crate::system::boot;

/// Where apt keeps what `apt-get update` fetched.
const LISTS: &str = "/var/lib/apt/lists";
/// The lists are fetched again when they are older than this, in seconds: as often as apt's own daily timer
/// does it, so that known holes are not installed.
const LISTS_AGE: i64 = 24 * 60 * 60;
/// A slow mirror and a slow disk fit into this; a maintainer script that waits for ever does not.
const TIMEOUT: Duration = Duration::from_hours(1);
/// Lines of output shown with a failure.
const TAIL: usize = 20;
/// Written to the log before the first change, so that a later look knows the transaction for ours.
pub const MARK: &str = "# bringup: package transaction";

/// For apt and dpkg, and what their hooks look at. Not `UCF_FORCE_CONFFOLD`: ucf(1) would keep what nobody has changed, such
/// as Perl's list of SAX parsers, which each of them updates; changes of the administrator it keeps, because it cannot ask.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("DEBIAN_FRONTEND", "noninteractive"),
    ("DEBCONF_NONINTERACTIVE_SEEN", "true"),
    ("NEEDRESTART_SUSPEND", "1"),
    ("NEEDRESTART_MODE", "l"),
    ("APT_LISTCHANGES_FRONTEND", "none"),
    ("APT_LISTBUGS_FRONTEND", "none"),
];

/// Keeps systemctl from talking to systemd: each of a dozen maintainer scripts has systemd read all units again, and
/// [`Apt::offline`] has it do so once ("Environment", systemd's `docs/ENVIRONMENT.md`; since 233). Scripts that purge
/// cannot stop services then: [`Apt::purging`] has stopped them.
const OFFLINE: (&str, &str) = ("SYSTEMD_OFFLINE", "1");
/// The program of PID 1.
const SYSTEMD: &str = "/lib/systemd/systemd";

/// Gives apt a descriptor of its own for its status lines, which we receive on stderr. It cannot be stderr itself: apt
/// closes the status descriptor for dpkg, and a dpkg without stderr fails at the first warning, or worse, writes it
/// into whatever file got its number.
const WITH_STATUS: &[&str] = &["sh", "-c", "exec \"$@\" 9>&2", "apt-get"];

/// For commands that change packages.
const CHANGING: &[&str] = &[
    "-y",
    "-o",
    "APT::Status-Fd=9",
    "-o",
    "Dpkg::Use-Pty=0",
    "-o",
    "DPkg::Lock::Timeout=900",
    "-o",
    "Dpkg::Options::=--force-confdef",
    "-o",
    "Dpkg::Options::=--force-confold",
    "-o",
    "APT::Get::AutomaticRemove=false",
    "-o",
    "Acquire::Retries=3",
];

/// The package tools of this server.
pub struct Apt<'a> {
    /// The server.
    pub host: &'a dyn Host,
    /// Takes the whole output.
    pub log: &'a Path,
    /// Tells how far it is.
    pub progress: &'a (dyn Fn(Progress) + Sync),
}

impl Apt<'_> {
    /// Waits until no other program changes packages.
    pub fn wait(&self) -> Outcome<()> {
        lock::wait(self.host, self.progress)
    }

    /// Fetches the package lists. Old ones are good enough when the mirrors cannot be reached.
    pub fn update(&self) -> Outcome<()> {
        self.wait()?;
        (self.progress)(Progress::Note("fetching the package lists".to_owned()));
        // Translated descriptions are half of the download, and nobody reads them here; existing ones stay.
        let argv = ["apt-get", "update", "-o", "Acquire::Languages=none", "-o", "APT::Get::List-Cleanup=false"];
        let transcript = self.run(&argv, "fetch the package lists")?;
        if transcript.status != 0 && lists(self.host) == Lists::Missing {
            return Err(transcript.failure("fetch the package lists"));
        }
        Ok(())
    }

    /// What installing `names` would do. Changes nothing but the package lists, which are fetched when they
    /// are missing or old, or know nothing of a package.
    pub fn simulate_install(&self, names: &[&str], recommends: bool) -> Outcome<Simulation> {
        let mut fetched = false;
        if lists(self.host) != Lists::Fresh {
            self.update()?;
            fetched = true;
        }
        let argv = simulation(names, recommends);
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        loop {
            let transcript = self.run(&argv, "work out what to install")?;
            if transcript.status == 0 {
                return Ok(Simulation::parse(&transcript.stdout));
            }
            if fetched || !transcript.lists_are_stale() {
                return Err(transcript.failure("work out what to install"));
            }
            self.update()?;
            fetched = true;
        }
    }

    /// What purging `names` would do.
    pub fn simulate_purge(&self, names: &[&str]) -> Outcome<Simulation> {
        let mut argv = vec!["apt-get", "--simulate", "purge"];
        argv.extend(names);
        let transcript = self.run(&argv, "work out what to purge")?;
        if transcript.status == 0 {
            Ok(Simulation::parse(&transcript.stdout))
        } else {
            Err(transcript.failure("work out what to purge"))
        }
    }

    /// Installs `names` without starting their services.
    pub fn install(&self, names: &[&str], recommends: bool) -> Outcome<()> {
        let what =
            if let [name] = names { format!("install {name}") } else { format!("install {} packages", names.len()) };
        let mut argv = WITH_STATUS.to_vec();
        argv.extend(["apt-get", "install", recommend(recommends)]);
        argv.extend(CHANGING);
        argv.extend(names);
        self.mark();
        self.offline(|| {
            let mut transcript = self.run_with(&argv, &what, &[OFFLINE])?;
            if transcript.status != 0 && transcript.lists_are_stale() {
                self.update()?;
                transcript = self.run_with(&argv, &what, &[OFFLINE])?;
            }
            transcript.expect_success(&what)
        })
    }

    /// Purges exactly `names`. Their services stop, and none starts.
    pub fn purge(&self, names: &[&str]) -> Outcome<()> {
        let what = format!("purge {} packages", names.len());
        let mut argv = WITH_STATUS.to_vec();
        argv.extend(["apt-get", "purge"]);
        argv.extend(CHANGING);
        argv.extend(names);
        self.purging(names, &argv, &what)
    }

    /// Purges exactly `names` with dpkg alone, which needs no dependency to be in order.
    pub fn purge_by_force(&self, names: &[&str]) -> Outcome<()> {
        let what = format!("purge {} packages", names.len());
        let mut argv = vec!["dpkg", "--purge", "--force-depends", "--force-remove-reinstreq"];
        argv.extend(names);
        self.purging(names, &argv, &what)
    }

    /// Stops what `names` run, all together, and purges them with `argv`, whose scripts then have nothing to tell systemd,
    /// but for some.
    fn purging(&self, names: &[&str], argv: &[&str], what: &str) -> Outcome<()> {
        units::stop_those_of(self.host, names);
        let offline = (!units::scripts_use_systemctl(self.host, names)).then_some(OFFLINE);
        policy::hold(self.host, policy::Policy::StopOnly, || {
            let transcript = self.run_with(argv, what, offline.as_slice());
            // While the policy stands: who finds that left knows that systemd may not have read its units.
            units::reload(self.host);
            transcript?.expect_success(what)
        })
    }

    /// Brings an interrupted transaction to an end.
    pub fn mend(&self) -> Outcome<()> {
        self.wait()?;
        self.mark();
        (self.progress)(Progress::Note("finishing an interrupted package transaction".to_owned()));
        let what = "finish an interrupted package transaction";
        self.offline(|| {
            // What it cannot configure for want of a dependency, apt fetches next.
            self.run_with(&["dpkg", "--configure", "-a", "--force-confdef", "--force-confold"], what, &[OFFLINE])?;
            let mut argv = WITH_STATUS.to_vec();
            argv.extend(["apt-get", "--fix-broken", "install", recommend(false)]);
            argv.extend(CHANGING);
            self.run_with(&argv, what, &[OFFLINE])?.expect_success(what)
        })
    }

    /// Changes packages while their scripts start no service and systemd reads no units, which it does once at the end.
    fn offline(&self, change: impl FnOnce() -> Outcome<()>) -> Outcome<()> {
        let program = || self.host.stat(Path::new(SYSTEMD)).ok().flatten().map(|stat| stat.ino);
        let before = program();
        let changed = policy::hold(self.host, policy::Policy::Nothing, change);
        if boot::is_systemd(self.host) {
            let verb = if program() == before { "daemon-reload" } else { "daemon-reexec" };
            // As in the scripts, no reason to fail: who starts a service has it read where it must be.
            drop(self.run(&["systemctl", verb], "have systemd read its units"));
        }
        changed
    }

    /// Whether a transaction of ours has begun with this log.
    pub fn has_begun(&self) -> bool {
        self.host.read(self.log).is_ok_and(|log| String::from_utf8_lossy(&log).lines().any(|line| line == MARK))
    }

    fn mark(&self) {
        self.note_down(MARK);
    }

    fn run(&self, argv: &[&str], what: &str) -> Outcome<Transcript> {
        self.run_with(argv, what, &[])
    }

    fn run_with(&self, argv: &[&str], what: &str, besides: &[(&str, &str)]) -> Outcome<Transcript> {
        let mut command = Command::new(argv.iter().copied()).timeout(TIMEOUT);
        for (name, value) in ENVIRONMENT.iter().chain(besides) {
            command = command.env(*name, *value);
        }
        let plain = argv.strip_prefix(WITH_STATUS).unwrap_or(argv);
        self.note_down(&format!("$ {}", plain.join(" ")));
        let mut follower = Follower::default();
        let mut lines = Vec::new();
        let output = throttled(self.host, self.progress, |tell| {
            self.host.run_with(&command, &mut |_, line| match follower.line(line) {
                Line::Progress(progress) => tell(progress),
                Line::Quiet => {}
                Line::Output => {
                    self.note_down(line);
                    lines.push(line.to_owned());
                }
            })
        });
        let output = output.map_err(|e| Failure::new(what, format!("{}: {e}", plain.first().unwrap_or(&""))))?;
        Ok(Transcript {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            lines,
            error: follower.error,
            log: self.log.display().to_string(),
        })
    }

    /// The log is only for readers: when it cannot be written, the work continues.
    fn note_down(&self, line: &str) {
        let _ = self.host.append_lazily(self.log, format!("{line}\n").as_bytes());
    }
}

/// The command that simulates installing `names`.
pub fn simulation(names: &[&str], recommends: bool) -> Vec<String> {
    let command = ["apt-get", "--simulate", "install", recommend(recommends)];
    command.iter().chain(names).map(|word| (*word).to_owned()).collect()
}

/// Whether there are package lists at all, and whether they are fresh.
pub fn lists(host: &dyn Host) -> Lists {
    let entries = host.list(Path::new(LISTS)).unwrap_or_default();
    if !entries.iter().any(|entry| entry.to_string_lossy().contains("_Packages")) {
        return Lists::Missing;
    }
    // A list's own time is the mirror's; the directories' times show when it was fetched.
    let fetched = [LISTS.to_owned(), format!("{LISTS}/partial")]
        .iter()
        .filter_map(|dir| host.stat(Path::new(dir)).ok().flatten())
        .map(|stat: Stat| stat.mtime.sec)
        .max();
    let age = fetched.map_or(i64::MAX, |fetched| host.now().sec.saturating_sub(fetched));
    if age > LISTS_AGE { Lists::Old } else { Lists::Fresh }
}

/// The state of the package lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lists {
    /// There are none.
    Missing,
    /// They are older than a day.
    Old,
    /// They are fresh.
    Fresh,
}

/// How apt or dpkg ended, and what they said.
struct Transcript {
    status: i32,
    stdout: String,
    /// Both streams, without status lines.
    lines: Vec<String>,
    /// What dpkg reported as the first error.
    error: Option<String>,
    log: String,
}

impl Transcript {
    fn says(&self, text: &str) -> bool {
        self.lines.iter().any(|line| line.contains(text))
    }

    /// Whether fetching the lists again may help: they do not have a package, or have one that the mirror no longer
    /// has.
    fn lists_are_stale(&self) -> bool {
        const SIGNS: &[&str] = &[
            "Unable to locate package",
            "has no installation candidate",
            "couldn't be found",
            "404  Not Found",
            "Hash Sum mismatch",
            "File has unexpected size",
        ];
        SIGNS.iter().any(|sign| self.says(sign))
    }

    fn expect_success(&self, what: &str) -> Outcome<()> {
        if self.status == 0 { Ok(()) } else { Err(self.failure(what)) }
    }

    fn failure(&self, what: &str) -> Failure {
        let apt_says = self.lines.iter().find_map(|line| line.strip_prefix("E: "));
        let why = match (&self.error, apt_says) {
            (Some(error), _) => error.clone(),
            (None, Some(error)) => error.to_owned(),
            (None, None) if self.status == 124 => {
                format!("it was not done after {} minutes", TIMEOUT.as_secs() / 60)
            }
            (None, None) => format!("exit status {}", self.status),
        };
        let tail = self.lines[self.lines.len().saturating_sub(TAIL)..].to_vec();
        let mut failure = Failure::new(what, why).tail(tail).hint(self.hint());
        failure.log = Some(self.log.clone());
        failure
    }

    fn hint(&self) -> &'static str {
        const HINTS: &[(&str, &str)] = &[
            ("No space left on device", "make room: `df -h` shows which disk is full"),
            ("enough free space", "make room: `df -h` shows which disk is full"),
            ("Unable to locate package", "look for a missing archive in /etc/apt/sources.list and sources.list.d"),
            ("has no installation candidate", "look for a missing archive in /etc/apt/sources.list and sources.list.d"),
            ("Temporary failure resolving", "this server cannot resolve names: check /etc/resolv.conf and the network"),
            ("Could not resolve", "this server cannot resolve names: check /etc/resolv.conf and the network"),
            ("Unable to connect", "the mirror cannot be reached: check the network and /etc/apt/sources.list"),
            ("Could not connect", "the mirror cannot be reached: check the network and /etc/apt/sources.list"),
            (
                "Failed to fetch",
                "the mirror did not deliver: try again later, or use another one in /etc/apt/sources.list",
            ),
            ("Could not get lock", "another process is changing packages: let it finish, then try again"),
            ("is not signed", "the archive's signing key is missing or old: see `apt-get update`"),
            ("held broken packages", "a package is held or pinned: see `apt-mark showhold` and `apt-cache policy`"),
            ("Read-only file system", "the disk is read-only: `dmesg` shows why"),
        ];
        HINTS
            .iter()
            .find(|(sign, _)| self.says(sign))
            .map_or("the log has the full output of apt and dpkg", |(_, hint)| hint)
    }
}

const fn recommend(recommends: bool) -> &'static str {
    if recommends { "--install-recommends" } else { "--no-install-recommends" }
}
