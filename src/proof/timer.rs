//! `timer`: what a timer starts works, worked lately, and will be started again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Failure, Outcome};
use crate::host::{Command, Host, Kind};
use crate::proof::{Context, NOT_TRIED, Prove};
use crate::system::boot;

/// What a timer starts works, worked lately, and will be started again.
///
/// That a timer is active says nothing of what it starts: the last result does. Where there is none since the server
/// was booted, `start` asks for one now, in the unit that the timer starts, with its environment and its sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timer {
    /// The job, as a statement: "backups are made every night".
    pub describe: String,
    /// The timer's unit, `app-backup.timer`; empty where systemd does not run, and `newest` decides.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unit: String,
    /// Whether its service is started now, where its last result is unknown.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub start: bool,
    /// Maximum age of the last run, in hours.
    pub max_age: u64,
    /// The file that each run leaves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<Newest>,
    /// Seconds that one run may take.
    #[serde(default = "hour")]
    pub timeout: u64,
}

/// The newest of some files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Newest {
    /// Their directory.
    pub directory: PathBuf,
    /// How their names begin.
    pub prefix: String,
    /// How their names end.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub suffix: String,
}

const fn hour() -> u64 {
    3600
}

/// What was missed while the server was off is made up for within so many seconds after it was booted.
const SETTLED: i64 = 7200;
/// Lines of the journal that a failure shows.
const TAIL: &str = "10";

impl Prove for Timer {
    fn describe(&self) -> String {
        self.describe.clone()
    }

    fn prove(&self, cx: &Context<'_>) -> Outcome<String> {
        if self.unit.is_empty() {
            return self.by_file(cx.host);
        }
        let timer = self.timer(cx.host)?;
        let service = timer.text("Unit").to_owned();
        let last = self.last(cx.host, &service, &timer)?;
        let next = timer.next();
        Ok(if next.is_empty() { last } else { format!("{last}; next on {next}") })
    }

    /// A run takes long, and a second one would find no more than the first.
    fn retry_for(&self) -> Duration {
        Duration::ZERO
    }
}

impl Timer {
    fn failure(&self, why: impl std::fmt::Display) -> Failure {
        Failure::new(format!("verify that {}", self.describe), why.to_string())
    }

    /// The timer itself, which must be active, start at boot, and have a next time.
    fn timer(&self, host: &dyn Host) -> Outcome<Unit> {
        let name = &self.unit;
        let timer = self.ask(host, name)?;
        let enable = format!("systemctl enable --now {name}");
        match (timer.text("LoadState"), timer.text("ActiveState")) {
            ("loaded", "active") => {}
            ("loaded", state) => return Err(self.failure(format!("{name} is {state}")).hint(enable)),
            ("masked", _) => {
                return Err(self.failure(format!("{name} is masked")).hint(format!("systemctl unmask {name}")));
            }
            (state, _) => return Err(self.failure(format!("{name} is {state}")).hint("see `systemctl list-timers`")),
        }
        if !matches!(timer.text("UnitFileState"), "enabled" | "static" | "generated") {
            return Err(self.failure(format!("{name} is active, but not after a reboot")).hint(enable));
        }
        if timer.text("SubState") != "running" && !timer.has_next() {
            return Err(self
                .failure(format!("{name} is active, but never elapses"))
                .hint("see `systemctl list-timers`"));
        }
        Ok(timer)
    }

    /// How the last run of `service` went.
    fn last(&self, host: &dyn Host, service: &str, timer: &Unit) -> Outcome<String> {
        let mut state = self.settled(host, service)?;
        if !state.has_run() {
            if let Some(newest) = self.newest.as_ref().and_then(|newest| newest.find(host)) {
                self.recent(host, newest.1, &format!("the newest is {}", newest.0))?;
                return Ok(format!("the newest is {}, of {}", newest.0, minute(newest.1)));
            }
            if !self.start {
                return self.not_yet(host, service, timer);
            }
            let command = Command::new(["systemctl", "start", service]).timeout(Duration::from_secs(self.timeout));
            host.run(&command).map_err(|e| self.failure(format!("{service} was started: {e}")))?;
            state = self.settled(host, service)?;
        }
        let ended = state.time("ExecMainExitTimestamp");
        let when = ended.map(|at| format!(" on {}", minute(at))).unwrap_or_default();
        if state.text("Result") != "success" || state.text("ActiveState") == "failed" {
            let command =
                Command::new(["journalctl", "--no-pager", "--quiet", "--output=cat", "-n", TAIL, "-u", service]);
            let tail = host.run(&command).map(|output| output.tail(10)).unwrap_or_default();
            let why = format!("the last run of {service}{when} failed: {}", state.text("Result"));
            return Err(self
                .failure(why)
                .tail(tail)
                .hint(format!("see `journalctl -u {service}`, then try it with `systemctl start {service}`")));
        }
        if !state.has_run() {
            return self.not_yet(host, service, timer);
        }
        let latest = [ended, timer.time("LastTriggerUSec")].into_iter().flatten().max();
        if let Some(latest) = latest {
            self.recent(host, latest, &format!("the last run of {service} was on {}", minute(latest)))?;
        }
        Ok(format!("{service} ended{when} with success"))
    }

    /// The state of `service` once it is not at work, or as it is when that takes too long.
    fn settled(&self, host: &dyn Host, service: &str) -> Outcome<Unit> {
        let start = host.now();
        loop {
            let state = self.ask(host, service)?;
            if !matches!(state.text("ActiveState"), "activating" | "deactivating" | "reloading") {
                return Ok(state);
            }
            if !self.start || host.now().since(start).as_secs() >= self.timeout {
                return Ok(state);
            }
            host.sleep(Duration::from_secs(1));
        }
    }

    /// It has no result since the boot, and is not to be started.
    fn not_yet(&self, host: &dyn Host, service: &str, timer: &Unit) -> Outcome<String> {
        if let Some(last) = timer.time("LastTriggerUSec") {
            self.recent(host, last, &format!("{service} was last started on {}", minute(last)))?;
            return Ok(format!("{NOT_TRIED}{service}: it was last started on {}, before this boot", minute(last)));
        }
        if let Some(active) = timer.time("ActiveEnterTimestamp") {
            let why = format!("{service} has never been started, although its timer runs since {}", minute(active));
            self.recent(host, active, &why)?;
        }
        Ok(format!("{NOT_TRIED}{service}: it has not been started yet"))
    }

    /// Whether `at` is not too long ago. What a server missed while it was off needs a while.
    fn recent(&self, host: &dyn Host, at: i64, why: &str) -> Outcome<()> {
        let age = host.now().sec.saturating_sub(at);
        let limit = i64::try_from(self.max_age).unwrap_or(i64::MAX).saturating_mul(3600);
        if age <= limit || boot::seconds_since(host).is_some_and(|up| up < SETTLED) {
            return Ok(());
        }
        let why = format!("{why}, {} h ago; expected at most {} h", age / 3600, self.max_age);
        Err(self.failure(why).hint("see `systemctl list-timers`, or the log of cron where systemd does not run"))
    }

    /// Without systemd, only the files it writes show that it ran.
    fn by_file(&self, host: &dyn Host) -> Outcome<String> {
        let Some(newest) = &self.newest else {
            return Ok(format!("{NOT_TRIED}this server has no record of the last time"));
        };
        let Some((name, at)) = newest.find(host) else {
            let place = newest.directory.display();
            return Err(self.failure(format!("there is no {}*{} in {place}", newest.prefix, newest.suffix)));
        };
        self.recent(host, at, &format!("the newest is {name}, of {}", minute(at)))?;
        Ok(format!("the newest is {name}, of {}", minute(at)))
    }

    fn ask(&self, host: &dyn Host, unit: &str) -> Outcome<Unit> {
        // Times are printed in the caller's time zone.
        let command = Command::new(["systemctl", "show", unit]).env("TZ", "UTC");
        let output = host.run(&command).map_err(|e| self.failure(format!("`systemctl show {unit}`: {e}")))?;
        let pairs = output.text();
        let pairs = pairs.lines().filter_map(|line| line.split_once('='));
        Ok(Unit(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()))
    }
}

impl Newest {
    /// Its name and the time of its last change.
    pub fn find(&self, host: &dyn Host) -> Option<(String, i64)> {
        let names = host.list(&self.directory).unwrap_or_default();
        let files = names.iter().filter_map(|path| {
            let name = path.file_name()?.to_str()?;
            if !name.starts_with(&self.prefix) || !name.ends_with(&self.suffix) {
                return None;
            }
            let stat = host.stat(&self.directory.join(Path::new(name))).ok()??;
            (stat.kind == Kind::File).then(|| (stat.mtime.sec, name.to_owned()))
        });
        files.max().map(|(at, name)| (name, at))
    }
}

/// What `systemctl show` says about a unit.
struct Unit(BTreeMap<String, String>);

impl Unit {
    fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// A time such as `Sun 2026-11-29 02:31:07 UTC`, in seconds.
    fn time(&self, name: &str) -> Option<i64> {
        let (_, rest) = self.text(name).split_once(' ')?;
        let at = rest.strip_suffix(" UTC")?.split('.').next()?;
        let at: jiff::civil::DateTime = at.replacen(' ', "T", 1).parse().ok()?;
        Some(at.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second())
    }

    /// Whether it ended at least once since the boot.
    fn has_run(&self) -> bool {
        self.time("ExecMainExitTimestamp").is_some() || self.text("Result") != "success"
    }

    fn has_next(&self) -> bool {
        let monotonic = self.text("NextElapseUSecMonotonic");
        self.time("NextElapseUSecRealtime").is_some() || !matches!(monotonic, "" | "0" | "infinity")
    }

    fn next(&self) -> String {
        self.time("NextElapseUSecRealtime").map(minute).unwrap_or_default()
    }
}

/// `2026-11-29 02:31 UTC`.
fn minute(at: i64) -> String {
    jiff::Timestamp::from_second(at).map_or_else(|_| at.to_string(), |at| at.strftime("%Y-%m-%d %H:%M UTC").to_string())
}

#[cfg(test)]
mod tests;
