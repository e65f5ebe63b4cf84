//! Services of systemd.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{ServiceState, ServiceStep, Work};
use crate::error::{Failure, Outcome};
use crate::host::{Command, Host, Output};

/// What is asked of `systemctl show`, in one go.
const PROPERTIES: &str = "LoadState,ActiveState,SubState,UnitFileState,NeedDaemonReload,NRestarts,MainPID,Type,\
    Result,FragmentPath,DropInPaths,TasksCurrent,ControlGroup,CanReload,Triggers";
/// Above systemd's own limit for a start (90 s) and `MariaDB`'s (15 min is only for recovery).
const JOB_TIMEOUT: Duration = Duration::from_mins(5);
/// Above what a guide gives a job of the application.
const LONGEST_JOB: Duration = Duration::from_hours(24);
/// How long a service may take to become stable after its start job is done.
const STAND_TIMEOUT: Duration = Duration::from_mins(1);
/// systemd calls a `simple` service started when it has forked; one that dies of its configuration does so
/// within this time.
const CALM_SIMPLE: Duration = Duration::from_millis(500);
/// Services that report readiness have got further when their start job is done.
const CALM_READY: Duration = Duration::from_millis(200);
/// Units without a process that could die: they are up when systemd says so (systemd.unit(5)).
const NO_PROCESS: &[&str] = &[".socket", ".timer", ".path", ".target"];
/// A service that still uses the CPU is not stable: gunicorn reports that it is ready before its workers have loaded
/// the application, and on a slow server they may die of it seconds later. After this long it counts as stable all the
/// same.
const BUSY: Duration = Duration::from_secs(5);

/// Number of a service's last log lines that are shown, on any screen.
const FEW_LINES: usize = 8;

/// What systemd knows of a unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unit {
    load: String,
    active: String,
    sub: String,
    file: String,
    kind: String,
    result: String,
    fragment: String,
    drop_ins: String,
    stale: bool,
    restarts: u32,
    main_pid: u32,
    tasks: u64,
    control_group: String,
    reloads: bool,
    triggers: String,
}

impl Unit {
    fn read(host: &dyn Host, name: &str) -> Outcome<Self> {
        let what = || format!("query systemd about {name}");
        let output = host
            .run(&Command::new(["systemctl", "show", "--property", PROPERTIES, "--", name]))
            .map_err(|e| Failure::new(what(), e))?;
        if !output.ok() {
            return Err(Failure::new(what(), reason(&output))
                .tail(output.tail(5))
                .hint("where PID 1 is not systemd, services are managed by `sysv` or `supervisor`"));
        }
        Ok(Self::parse(&output.text()))
    }

    fn parse(text: &str) -> Self {
        let mut unit = Self::default();
        for (key, value) in text.lines().filter_map(|line| line.split_once('=')) {
            match key {
                "LoadState" => value.clone_into(&mut unit.load),
                "ActiveState" => value.clone_into(&mut unit.active),
                "SubState" => value.clone_into(&mut unit.sub),
                "UnitFileState" => value.clone_into(&mut unit.file),
                "Type" => value.clone_into(&mut unit.kind),
                "Result" => value.clone_into(&mut unit.result),
                "FragmentPath" => value.clone_into(&mut unit.fragment),
                "DropInPaths" => value.clone_into(&mut unit.drop_ins),
                "CanReload" => unit.reloads = value == "yes",
                "Triggers" => value.clone_into(&mut unit.triggers),
                "NeedDaemonReload" => unit.stale = value == "yes",
                "NRestarts" => unit.restarts = value.parse().unwrap_or(0),
                "MainPID" => unit.main_pid = value.parse().unwrap_or(0),
                "ControlGroup" => value.clone_into(&mut unit.control_group),
                // "[not set]" where it does not run.
                "TasksCurrent" => unit.tasks = value.parse().unwrap_or(0),
                _ => {}
            }
        }
        unit
    }

    /// Whether there is a drop-in that systemd has not read. It only looks in directories that existed at its last
    /// reload, and calls a unit up to date whose first drop-in was added since.
    fn lacks_drop_in(&self, host: &dyn Host, name: &str) -> bool {
        let known: Vec<&str> = self.drop_ins.split_whitespace().collect();
        let dir = format!("/etc/systemd/system/{name}.d");
        host.list(Path::new(&dir)).is_ok_and(|entries| {
            entries
                .iter()
                .filter_map(|entry| entry.file_name()?.to_str())
                .filter(|file| Path::new(file).extension().is_some_and(|e| e == "conf"))
                .any(|file| !known.contains(&format!("{dir}/{file}").as_str()))
        })
    }

    /// The service that already runs without this socket. systemd starts no socket beside it, and both are started
    /// together by a restart of the service, which requires the socket by now.
    fn holder(&self, host: &dyn Host, name: &str) -> Option<String> {
        let socket = Path::new(name).extension().is_some_and(|kind| kind == "socket");
        let running = |service: &&str| Unit::read(host, service).is_ok_and(|unit| unit.active == "active");
        self.triggers.split_whitespace().filter(|_| socket).find(running).map(str::to_owned)
    }

    /// Whether one of its processes runs, would run if a CPU were free, or waits for a disk; see proc(5).
    fn computes(&self, host: &dyn Host) -> bool {
        let read =
            |path: String| String::from_utf8(host.read(Path::new(&path)).unwrap_or_default()).unwrap_or_default();
        if self.control_group.is_empty() {
            return false;
        }
        read(format!("/sys/fs/cgroup{}/cgroup.procs", self.control_group)).lines().any(|pid| {
            // The name before it may hold spaces and brackets.
            let stat = read(format!("/proc/{pid}/stat"));
            stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['R', 'D']))
        })
    }

    fn state(&self) -> ServiceState {
        ServiceState {
            known: self.load == "loaded",
            // A unit that is being started again and again is not up, and one that is being stopped neither.
            active: matches!(self.active.as_str(), "active" | "reloading")
                || (self.active == "activating" && self.sub != "auto-restart"),
            at_rest: matches!(self.active.as_str(), "inactive" | "failed"),
            // What has no [Install] section starts when something asks for it; there is nothing to enable.
            // A generator that makes links at every boot, as PostgreSQL's for its clusters, counts as enabling.
            enabled: matches!(
                self.file.as_str(),
                "enabled" | "enabled-runtime" | "static" | "indirect" | "alias" | "linked" | "transient"
            ) || (self.file == "generated" && self.load == "loaded"),
            masked: self.load == "masked",
            reloads: self.reloads,
            pids: (self.main_pid > 0).then_some(self.main_pid).into_iter().collect(),
            detail: format!("{}, {} ({})", self.load, self.active, self.sub),
        }
    }
}

/// The memory that a unit uses, in bytes; none where systemd does not account for it.
pub fn memory(host: &dyn Host, name: &str) -> Option<u64> {
    let show = ["systemctl", "show", "--property=MemoryCurrent", "--", name];
    let output = host.run(&Command::new(show)).ok().filter(crate::host::Output::ok)?;
    // "[not set]", or the largest number in older versions.
    let bytes = output.text().lines().find_map(|line| line.strip_prefix("MemoryCurrent=")?.parse().ok());
    bytes.filter(|bytes| *bytes != u64::MAX)
}

/// What systemd knows of `name`.
pub fn state(host: &dyn Host, name: &str) -> Outcome<ServiceState> {
    let mut unit = Unit::read(host, name)?;
    // systemd caches the links from when it was first asked; they may have changed since without its knowledge. What
    // starts at boot is what is on disk.
    if matches!(unit.file.as_str(), "enabled" | "disabled")
        && let Ok(output) = host.run(&Command::new(["systemctl", "is-enabled", "--", name]))
    {
        match output.text().lines().next() {
            Some(file @ ("enabled" | "disabled")) => file.clone_into(&mut unit.file),
            Some("masked" | "masked-runtime") => "masked".clone_into(&mut unit.load),
            _ => {}
        }
    }
    Ok(unit.state())
}

/// Reads the unit files again if systemd has an old view of `name`.
pub fn refresh(work: &Work<'_>, name: &str) -> Outcome<()> {
    let unit = Unit::read(work.host, name)?;
    // A file that now comes before the one that was loaded is not counted as NeedDaemonReload.
    let own = format!("/etc/systemd/system/{name}");
    let shadowed = unit.fragment != own && matches!(work.host.stat(Path::new(&own)), Ok(Some(_)));
    // A timer or a socket starts another unit, as systemd has that in mind.
    let mut triggered = unit.triggers.split_whitespace().filter_map(|name| Unit::read(work.host, name).ok());
    let stale = unit.stale || triggered.any(|unit| unit.stale);
    if !stale && unit.load == "loaded" && !shadowed && !unit.lacks_drop_in(work.host, name) {
        return Ok(());
    }
    systemctl(work, &["daemon-reload"], "reload systemd's unit files")
}

/// Reads the unit files again if those of `name` were put back. `NeedDaemonReload` speaks of newer files alone, and what
/// is restored has its former time.
pub fn refresh_restored(work: &Work<'_>, name: &str) -> Outcome<()> {
    let own = Path::new("/etc/systemd/system").join(name);
    let drop_ins = work.host.list(&own.with_file_name(format!("{name}.d"))).unwrap_or_default();
    let written = |path: &Path| work.host.stat(path).ok().flatten().map(|stat| stat.ctime.sec);
    let newest = drop_ins.iter().map(PathBuf::as_path).chain([own.as_path()]).filter_map(written).max();
    match (newest, units_loaded(work.host)) {
        (Some(newest), Some(loaded)) if newest >= loaded => {
            systemctl(work, &["daemon-reload"], "reload systemd's unit files")
        }
        _ => refresh(work, name),
    }
}

/// When systemd last read all unit files, in Unix seconds.
fn units_loaded(host: &dyn Host) -> Option<i64> {
    let show = Command::new(["systemctl", "show", "--property", "UnitsLoadTimestamp", "--value"]).env("TZ", "UTC");
    let text = host.run(&show).ok()?.text();
    let (_, time) = text.trim().split_once(' ')?;
    let time = jiff::civil::DateTime::strptime("%Y-%m-%d %H:%M:%S UTC", time).ok()?;
    Some(time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second())
}

/// Takes a unit that failed out of systemd's list of failures.
pub fn forget_failure(work: &Work<'_>, name: &str) {
    // It fails where the unit is not loaded, and then there is nothing to forget.
    let _ = work.host.run(&Command::new(["systemctl", "reset-failed", "--", name]));
}

/// Carries out one step.
pub fn perform(work: &Work<'_>, name: &str, step: ServiceStep) -> Outcome<()> {
    let what = format!("{} {name}", step.verb());
    match step {
        // The links on disk are what counts at boot; systemd need not reload for them now, unless it has cached them
        // and would keep reporting the old state.
        ServiceStep::Enable => {
            systemctl(work, &["--no-reload", "enable", "--", name], &what)?;
            let seen = Unit::read(work.host, name)?;
            if seen.load == "loaded" && seen.file == "disabled" {
                systemctl(work, &["daemon-reload"], "reload systemd's unit files")?;
            }
            Ok(())
        }
        ServiceStep::Disable => systemctl(work, &["--no-reload", "disable", "--", name], &what),
        ServiceStep::Start | ServiceStep::Restart => {
            let since = work.host.now().sec;
            // After too many failures systemd refuses to start a unit until they are forgotten.
            let unit = Unit::read(work.host, name)?;
            if unit.active == "failed" {
                forget_failure(work, name);
            }
            let holder = unit.holder(work.host, name).filter(|_| step == ServiceStep::Start);
            let argv = holder.as_ref().map_or([step.verb(), "--", name], |service| ["restart", "--", service]);
            systemctl(work, &argv, &what)
                .and_then(|()| wait_until_stable(work, name, &what))
                .map_err(|failure| with_journal(work, name, since, failure))
        }
        ServiceStep::Reload => {
            let since = work.host.now().sec;
            systemctl(work, &["reload-or-restart", "--", name], &what)
                .and_then(|()| wait_until_stable(work, name, &what))
                .map_err(|failure| with_journal(work, name, since, failure))
        }
        ServiceStep::Stop => {
            systemctl(work, &["stop", "--", name], &what)?;
            // Units with KillMode=process leave children behind, which would hold ports and files.
            if Unit::read(work.host, name)?.tasks > 0 {
                systemctl(work, &["kill", "--signal=SIGKILL", "--", name], &what)?;
            }
            Ok(())
        }
    }
}

/// Runs a service that ends by itself (`Type=oneshot`), or waits for the end of its run in progress.
pub fn run_job(work: &Work<'_>, name: &str) -> Outcome<()> {
    let what = format!("run {name}");
    let since = work.host.now().sec;
    let done = systemctl_within(work, &["start", "--", name], &what, LONGEST_JOB);
    done.map_err(|failure| with_journal(work, name, since, failure))
}

/// Waits until `name` is up and stays so for a moment.
fn wait_until_stable(work: &Work<'_>, name: &str, what: &str) -> Outcome<()> {
    let pause = Duration::from_millis(50);
    let mut waited = Duration::ZERO;
    let mut calm = Duration::ZERO;
    let mut busy = Duration::ZERO;
    let mut restarts = None;
    let mut up: Option<u32> = None;
    loop {
        let unit = Unit::read(work.host, name)?;
        if *restarts.get_or_insert(unit.restarts) != unit.restarts {
            return Err(died(&unit, what));
        }
        let needed = match unit.kind.as_str() {
            "simple" | "exec" | "idle" => CALM_SIMPLE,
            _ => CALM_READY,
        };
        match unit.active.as_str() {
            "active" | "reloading" => {
                if *up.get_or_insert(unit.main_pid) != unit.main_pid {
                    return Err(died(&unit, what));
                }
                if calm >= needed || unit.kind == "oneshot" || NO_PROCESS.iter().any(|kind| name.ends_with(kind)) {
                    return Ok(());
                }
                if busy < BUSY && unit.computes(work.host) {
                    busy += pause;
                } else {
                    calm += pause;
                }
            }
            "activating" if unit.sub != "auto-restart" => {}
            "inactive" if unit.kind == "oneshot" && unit.result == "success" => return Ok(()),
            "deactivating" => {}
            _ => return Err(died(&unit, what)),
        }
        if waited >= STAND_TIMEOUT {
            return Err(Failure::new(
                what,
                format!("it is still {} ({}) after {} seconds", unit.active, unit.sub, STAND_TIMEOUT.as_secs()),
            ));
        }
        work.host.sleep(pause);
        waited += pause;
    }
}

fn died(unit: &Unit, what: &str) -> Failure {
    let why = if unit.restarts > 0 || unit.sub == "auto-restart" {
        "it keeps dying after its start, and systemd keeps restarting it".to_owned()
    } else {
        format!("it does not stay up: {} ({}), result {}", unit.active, unit.sub, unit.result)
    };
    Failure::new(what, why)
}

/// Why a unit is no good although its start succeeded: it died since, perhaps again and again.
pub fn crash_failure(host: &dyn Host, name: &str) -> Option<Failure> {
    let unit = Unit::read(host, name).ok()?;
    let state = unit.state();
    if state.active && unit.restarts == 0 {
        return None;
    }
    let why = match unit.restarts {
        0 => format!("it is no longer running: {}", state.detail),
        times => format!("it died and was restarted {times} times: {}", state.detail),
    };
    Some(
        Failure::new(format!("keep {name} running"), why)
            .tail(last_words(host, name, None))
            .hint(format!("`journalctl -u {name}` shows its full log")),
    )
}

/// Adds what the service itself said.
fn with_journal(work: &Work<'_>, name: &str, since: i64, failure: Failure) -> Failure {
    let lines = last_words(work.host, name, Some(since));
    let failure = if lines.is_empty() { failure } else { failure.tail(lines) };
    failure.hint(format!("`journalctl -u {name}` shows its log, `systemctl status {name}` its state"))
}

/// What a service said before it died last, since a time of day in Unix seconds when one is given.
pub fn last_words(host: &dyn Host, name: &str, since: Option<i64>) -> Vec<String> {
    // The journal takes in what services say a moment after they said it.
    let _ = host.run(&Command::new(["journalctl", "--sync"]));
    let argv = ["journalctl", "--no-pager", "--quiet", "-n", "200", "-o", "cat"].map(str::to_owned);
    let since = since.map(|time| format!("--since=@{time}"));
    let command = Command::new(argv.into_iter().chain(since).chain([format!("--unit={name}")]));
    let lines = host.run(&command).map(|output| output.tail(200)).unwrap_or_default();
    before_the_last_death(name, lines)
}

/// The last 20 lines of a service's life that has ended: what comes after belongs to its next start, and is cut
/// off in the middle. systemd's own lines are left out, unless there is nothing else. Of many lines only those that
/// begin at the margin are kept: in the tracebacks of Python, Java and Node these say what happened, the indented
/// ones where.
fn before_the_last_death(name: &str, mut lines: Vec<String>) -> Vec<String> {
    let of_systemd = |line: &String| line.starts_with(name) || line.contains(&format!(" {name} - "));
    if let Some(death) = lines.iter().rposition(|line| of_systemd(line) && line.contains("process exited")) {
        lines.truncate(death + 1);
    }
    if !lines.iter().all(of_systemd) {
        lines.retain(|line| !of_systemd(line));
    }
    if lines.len() > FEW_LINES && !lines.iter().all(|line| indented(line)) {
        lines.retain(|line| !indented(line));
    }
    lines.split_off(lines.len().saturating_sub(20))
}

fn indented(line: &str) -> bool {
    line.starts_with([' ', '\t'])
}

fn systemctl(work: &Work<'_>, arguments: &[&str], what: &str) -> Outcome<()> {
    systemctl_within(work, arguments, what, JOB_TIMEOUT)
}

fn systemctl_within(work: &Work<'_>, arguments: &[&str], what: &str, timeout: Duration) -> Outcome<()> {
    let argv = std::iter::once("systemctl").chain(arguments.iter().copied());
    let command = Command::new(argv).timeout(timeout).log(work.log);
    let output = work.host.run(&command).map_err(|e| Failure::new(what, e))?;
    if output.ok() { Ok(()) } else { Err(Failure::new(what, reason(&output)).tail(output.tail(20))) }
}

fn reason(output: &Output) -> String {
    output.tail(20).into_iter().next().unwrap_or_else(|| format!("exit status {}", output.status))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::host::fake::FakeHost;

    fn unit(text: &str) -> ServiceState {
        Unit::parse(text).state()
    }

    #[test]
    fn a_service_is_calm_when_none_of_its_processes_has_anything_to_do() {
        let host = FakeHost::new();
        let unit = Unit::parse("ControlGroup=/system.slice/app.service\n");
        assert!(!unit.computes(&host), "nothing is known of it");
        host.put_file("/sys/fs/cgroup/system.slice/app.service/cgroup.procs", "7\n8\n", 0o444);
        host.put_file("/proc/7/stat", "7 (gunicorn) S 1 7 7\n", 0o444);
        host.put_file("/proc/8/stat", "8 (a) R (b) S 7 7 7\n", 0o444);
        assert!(!unit.computes(&host));
        host.put_file("/proc/8/stat", "8 (a) S (b) R 7 7 7\n", 0o444);
        assert!(unit.computes(&host));
        host.put_file("/sys/fs/cgroup/cgroup.procs", "8\n", 0o444);
        assert!(!Unit::default().computes(&host), "all of the machine is not the unit's");
    }

    #[test]
    fn what_a_service_said_before_it_died_is_kept_whole() {
        let said = |text: &str| before_the_last_death("app.service", text.lines().map(str::to_owned).collect());
        let journal = "Started app.service - An application.\nTraceback:\n  no luck\n\
                       app.service: Main process exited, code=exited, status=3\n\
                       app.service: Scheduled restart job, restart counter is at 1.\n\
                       Started app.service - An application.\nTraceback:\n";
        assert_eq!(said(journal), ["Traceback:", "  no luck"]);
        assert_eq!(said("listening\n"), ["listening"]);
        let silent = "app.service: Failed at step EXEC spawning /bin/no: No such file or directory\n\
                      app.service: Main process exited, code=exited, status=203/EXEC\n";
        assert_eq!(said(silent).len(), 2, "systemd alone knows why");
        let long = "x\n".repeat(50);
        assert_eq!(said(&long).len(), 20);
        let chained = format!("ValueError: no luck\n{}HaltServer: 3\n", "  File arbiter.py, line 3\n".repeat(30));
        assert_eq!(said(&chained), ["ValueError: no luck", "HaltServer: 3"]);
    }

    #[test]
    fn a_unit_that_is_started_again_and_again_is_not_active() {
        let state = unit("LoadState=loaded\nActiveState=activating\nSubState=auto-restart\nUnitFileState=enabled\n");
        assert!(state.known && state.enabled && !state.active && !state.at_rest);
        let state = unit("LoadState=loaded\nActiveState=activating\nSubState=start\nUnitFileState=disabled\n");
        assert!(state.active && !state.enabled);
    }

    #[test]
    fn an_unknown_unit_is_neither_active_nor_enabled() {
        let state = unit("LoadState=not-found\nActiveState=inactive\nSubState=dead\nUnitFileState=\nMainPID=0\n");
        assert_eq!(state.pids, [0; 0]);
        assert!(!state.known && !state.active && !state.enabled);
    }

    #[test]
    fn a_timer_whose_service_was_edited_has_systemd_read_it() {
        for (edited, reads) in [("yes", 1), ("no", 0)] {
            let host = FakeHost::new();
            host.on(&["systemctl", "show"], move |_, command| {
                let timer = command.argv.last().is_some_and(|unit| unit == "night.timer");
                let more = if timer { "no\nTriggers=night.service".to_owned() } else { edited.to_owned() };
                crate::host::fake::output(0, &format!("LoadState=loaded\nNeedDaemonReload={more}\n"), "")
            });
            refresh(&Work { host: &host, log: Path::new("/log") }, "night.timer").unwrap();
            let reloads =
                host.commands().iter().filter(|command| command.argv.ends_with(&["daemon-reload".to_owned()])).count();
            assert_eq!(reloads, reads);
        }
    }

    #[test]
    fn a_unit_file_that_was_restored_is_read_although_systemd_calls_it_up_to_date() {
        let host = FakeHost::new();
        host.put_file("/etc/systemd/system/shop.socket", "[Socket]\n", 0o644);
        let written = host.stat(Path::new("/etc/systemd/system/shop.socket")).unwrap().unwrap().ctime.sec;
        for (loaded, reads) in [(written + 5, 0), (written - 5, 1)] {
            host.forget_calls();
            host.on(&["systemctl", "show"], |_, _| {
                let told = "LoadState=loaded\nNeedDaemonReload=no\nFragmentPath=/etc/systemd/system/shop.socket\n";
                crate::host::fake::output(0, told, "")
            });
            let at = jiff::Timestamp::from_second(loaded).unwrap().strftime("%a %Y-%m-%d %H:%M:%S UTC\n").to_string();
            host.on(&["systemctl", "show", "--property", "UnitsLoadTimestamp"], move |_, command| {
                assert!(command.env.contains(&("TZ".to_owned(), "UTC".to_owned())), "the time is read as UTC");
                crate::host::fake::output(0, &at, "")
            });
            refresh_restored(&Work { host: &host, log: Path::new("/log") }, "shop.socket").unwrap();
            let reloads =
                host.commands().iter().filter(|command| command.argv.ends_with(&["daemon-reload".to_owned()])).count();
            assert_eq!(reloads, reads, "{loaded} {written}");
        }
    }

    #[test]
    fn a_socket_is_started_by_a_restart_of_the_service_that_runs_without_it() {
        for (service, told) in [("active", "restart -- shop.service"), ("inactive", "start -- shop.socket")] {
            let host = FakeHost::new();
            host.on(&["systemctl", "show"], move |_, command| {
                let socket = command.argv.last().is_some_and(|unit| unit == "shop.socket");
                // The socket is up after the first look at it.
                let state = if socket { "active\nTriggers=shop.service" } else { service };
                crate::host::fake::output(0, &format!("LoadState=loaded\nActiveState={state}\n"), "")
            });
            for step in ["start", "restart"] {
                host.on(&["systemctl", step], |_, _| crate::host::fake::output(0, "", ""));
            }
            let work = Work { host: &host, log: Path::new("/log") };
            perform(&work, "shop.socket", ServiceStep::Start).unwrap();
            let commands: Vec<String> = host.commands().iter().map(|command| command.argv.join(" ")).collect();
            assert!(commands.contains(&format!("systemctl {told}")), "{commands:?}");
        }
    }

    #[test]
    fn a_first_drop_in_is_noticed_although_systemd_calls_the_unit_up_to_date() {
        let host = FakeHost::new();
        let fresh = Unit::parse("LoadState=loaded\nNeedDaemonReload=no\nDropInPaths=\n");
        assert!(!fresh.lacks_drop_in(&host, "epmd.socket"));
        host.put_file("/etc/systemd/system/epmd.socket.d/loopback.conf", "[Socket]\n", 0o644);
        host.put_file("/etc/systemd/system/epmd.socket.d/notes.txt", "", 0o644);
        assert!(fresh.lacks_drop_in(&host, "epmd.socket"));
        let read = Unit::parse("DropInPaths=/etc/systemd/system/epmd.socket.d/loopback.conf\n");
        assert!(!read.lacks_drop_in(&host, "epmd.socket"));
    }
}
