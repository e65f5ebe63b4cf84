//! The process that outlives the terminal: a transient systemd unit, or a session of its own without systemd. The
//! process that started it only follows its events.

use std::path::Path;
use std::time::Duration;

use crate::engine::journal::KILL_SWITCH;
use crate::engine::runs::{self, RunDir};
use crate::error::{Failure, Outcome};
use crate::host::{Command, Host, Meta};
use crate::state_dir::STATE_DIR;
use crate::system::boot;

/// Variables that the executing process needs as we have them: proxies, authorities, indexes of packages.
const PASSED_ON: &[&str] = &[
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "PIP_CERT",
    "PIP_INDEX_URL",
    "PIP_FIND_LINKS",
    "REQUESTS_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "NODE_EXTRA_CA_CERTS",
    "npm_config_registry",
];

/// How long the rest of a run's dead process gets to end by itself: systemd has asked it to.
const GRACE: Duration = Duration::from_secs(10);
/// How long it gets after that.
const KILLED: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(200);
/// Those, and the kill switch in a test build.
fn passed_on() -> impl Iterator<Item = &'static str> {
    PASSED_ON.iter().copied().chain(KILL_SWITCH)
}

/// Copies this program beside the run, so that the run can be rolled back even after an upgrade or removal of ours.
pub fn keep_program(host: &dyn Host, dir: &RunDir) -> Outcome<()> {
    let copy = dir.file("bringup");
    let what = || format!("keep a copy of this program in {}", copy.display());
    if host.stat(&copy).map_err(|e| Failure::new(what(), e))?.is_some() {
        return Ok(());
    }
    host.copy(Path::new("/proc/self/exe"), &copy, Meta::root(0o700)).map_err(|e| Failure::new(what(), e))
}

/// Starts `bringup execute <run> <arguments>` in a process of its own. Its events go to a new file; those of earlier
/// processes are kept, and a rollback's are separate from the run's.
pub fn start(host: &dyn Host, dir: &RunDir, arguments: &[String]) -> Outcome<()> {
    let what = || "start the run in a process of its own".to_owned();
    let rollback = arguments.iter().any(|argument| argument == "--rollback");
    runs::begin_events(host, dir, if rollback { runs::ROLLBACK_EVENTS } else { runs::EVENTS })?;
    let program = program(host, dir);
    let systemd = boot::is_systemd(host);
    let mut argv: Vec<String> = Vec::new();
    if systemd {
        argv.extend(
            [
                "systemd-run",
                "--quiet",
                "--no-block",
                "--collect",
                "--property=TimeoutStopSec=300",
                "--property=OOMScoreAdjust=-500",
            ]
            .map(str::to_owned),
        );
        argv.push(format!("--unit={}", unit(&dir.id)));
        argv.push(format!("--description=bringup run {}", dir.id));
        end_leftovers(host, &dir.id)?;
        // A failed or finished unit of an earlier attempt would block the name.
        let reset = Command::new(["systemctl", "reset-failed", &unit(&dir.id)]);
        let _ = host.run(&reset);
        // In a file, because a proxy's address may hold a password and argv is public.
        dir.write(host, "environment", environment(host).as_bytes())?;
        argv.push(format!("--property=EnvironmentFile={}", dir.file("environment").display()));
    } else {
        argv.extend(["setsid", "--fork"].map(str::to_owned));
    }
    argv.extend([program, "execute".to_owned(), dir.id.clone()]);
    argv.extend(arguments.iter().cloned());
    let mut command = Command::new(argv).timeout(Duration::from_secs(30)).log(dir.log("process"));
    for name in passed_on() {
        if let Some(value) = host.env(name) {
            command = command.env(name, value);
        }
    }
    let output = host.run(&command).map_err(|e| Failure::new(what(), e))?;
    if output.ok() {
        return Ok(());
    }
    Err(Failure::new(what(), format!("{} ended with status {}", command.argv[0], output.status)).tail(output.tail(5)))
}

/// Waits until nothing of an earlier process of this run is left. It may have been killed while a child worked, which
/// stays in the unit's cgroup: it would block the unit and keep changing the host beside us.
fn end_leftovers(host: &dyn Host, id: &str) -> Outcome<()> {
    let unit = unit(id);
    let what = || format!("wait for the end of {unit}, which an earlier process of this run left behind");
    let mut waited = Duration::ZERO;
    let mut killed = false;
    loop {
        let show = Command::new(["systemctl", "show", "--value", "--property=ActiveState", "--", &unit]);
        let output = host.run(&show).map_err(|e| Failure::new(what(), e))?;
        // systemd reports units that it does not know as inactive.
        let state = output.text();
        if !output.ok() || !matches!(state.as_str(), "active" | "activating" | "deactivating") {
            return Ok(());
        }
        if running(host).as_deref() == Some(id) {
            return Err(Failure::new("start the run in a process of its own", format!("run {id} is in progress"))
                .hint("`bringup attach` shows it"));
        }
        if waited >= GRACE && !killed {
            let kill = Command::new(["systemctl", "kill", "--signal=SIGKILL", "--", &unit]);
            let _ = host.run(&kill);
            killed = true;
        }
        if waited >= GRACE + KILLED {
            return Err(Failure::new(what(), format!("it is still {state} after {} s", waited.as_secs()))
                .hint(format!("`systemctl status {unit}` shows which processes are left")));
        }
        host.sleep(PAUSE);
        waited += PAUSE;
    }
}

/// The running program where its file still exists, since it may be newer than the one that started the run; else the
/// copy beside the run.
fn program(host: &dyn Host, dir: &RunDir) -> String {
    host.read_link(Path::new("/proc/self/exe"))
        .ok()
        .filter(|path| host.stat(path).ok().flatten().is_some())
        .unwrap_or_else(|| dir.file("bringup"))
        .display()
        .to_string()
}

/// The part of our environment that the run needs, as systemd reads it.
fn environment(host: &dyn Host) -> String {
    let quoted = |value: String| value.replace('\\', "\\\\").replace('"', "\\\"").replace(['\n', '\r'], " ");
    passed_on().filter_map(|name| host.env(name).map(|value| format!("{name}=\"{}\"\n", quoted(value)))).collect()
}

/// Asks the run's process to stop after its current step and to roll everything back.
pub fn ask_to_stop(host: &dyn Host, dir: &RunDir) -> Outcome<()> {
    host.write(&dir.file("cancel"), b"", Meta::root(0o600)).map_err(|e| Failure::new("ask the run to stop", e))
}

/// The name of a run's transient unit.
pub fn unit(id: &str) -> String {
    format!("bringup-{id}.service")
}

/// Held by the process that changes the host: one run at a time.
pub struct Lock(#[expect(dead_code, reason = "held for its drop")] Box<dyn Send>);

/// Takes the lock for a run; `None` when another process holds it.
pub fn lock(host: &dyn Host, id: &str) -> Outcome<Option<Lock>> {
    let path = Path::new(STATE_DIR).join("lock");
    let what = || format!("lock {}", path.display());
    let Some(guard) = host.lock(&path).map_err(|e| Failure::new(what(), e))? else { return Ok(None) };
    let note = Path::new(STATE_DIR).join("running");
    host.write(&note, id.as_bytes(), Meta::root(0o644)).map_err(|e| Failure::new(what(), e))?;
    Ok(Some(Lock(guard)))
}

/// Held from the last look for running processes until the new run's own process holds its lock, so that of several
/// concurrent starts one makes a run and the others see it.
pub fn lock_start(host: &dyn Host) -> Outcome<Lock> {
    let path = Path::new(STATE_DIR).join("starting");
    let what = || format!("lock {}", path.display());
    host.make_dir(Path::new(STATE_DIR), Meta::root(0o755))
        .map_err(|e| Failure::new(format!("make {STATE_DIR}"), e).hint("changing this server needs root: use sudo"))?;
    let polls = STARTING.as_millis() / POLL.as_millis();
    for _ in 0..polls {
        if let Some(guard) = host.lock(&path).map_err(|e| Failure::new(what(), e))? {
            return Ok(Lock(guard));
        }
        host.sleep(POLL);
    }
    Err(Failure::new("start", "another run is being started")
        .hint("`bringup status` shows whether it runs; then start again"))
}

/// Waits, with a timeout, until the run's own process has taken its lock.
pub fn await_begun(host: &dyn Host, dir: &RunDir) {
    let polls = BEGINNING.as_millis() / POLL.as_millis();
    for _ in 0..polls {
        let spoke = host.stat(&dir.file("events.jsonl")).ok().flatten().is_some_and(|stat| stat.size > 0);
        if spoke || runs::has_begun(host, dir).unwrap_or(true) {
            return;
        }
        host.sleep(POLL);
    }
}

/// Timeout for waiting for other starts.
const STARTING: Duration = Duration::from_mins(1);
/// Timeout for a process to begin, before the next start may look.
const BEGINNING: Duration = Duration::from_secs(5);
/// Timeout for a killed process to end on a busy server.
const DYING: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(50);

/// The id of the run whose process holds the lock.
pub fn running(host: &dyn Host) -> Option<String> {
    let dir = Path::new(STATE_DIR);
    if !host.is_locked(&dir.join("lock")).unwrap_or_default() {
        return None;
    }
    host.read(&dir.join("running")).ok().map(|id| String::from_utf8_lossy(&id).into_owned())
}

/// Waits for a process that was just killed to end: until then it holds its lock and would look alive.
pub fn await_killed(host: &dyn Host) {
    for _ in 0..DYING.as_millis() / POLL.as_millis() {
        if running(host).is_none() {
            return;
        }
        host.sleep(POLL);
    }
}

/// The id of the run whose process works or is about to: the terminal that started it may have been lost a moment ago.
pub fn running_or_starting(host: &dyn Host) -> Option<String> {
    let polls = BEGINNING.as_millis() / POLL.as_millis();
    for _ in 0..polls {
        if let Some(id) = running(host) {
            return Some(id);
        }
        if !is_starting(host) {
            return None;
        }
        host.sleep(POLL);
    }
    None
}

/// Whether a run was made just now that no process has begun yet.
fn is_starting(host: &dyn Host) -> bool {
    let names = host.list(&Path::new(STATE_DIR).join("runs")).unwrap_or_default();
    names.iter().map(|name| RunDir::of(&name.to_string_lossy())).any(|dir| {
        let made = host.stat(&dir.path).ok().flatten();
        let is_new = made.is_some_and(|stat| host.now().since(stat.mtime) < BEGINNING * 2);
        is_new && !runs::has_begun(host, &dir).unwrap_or(true)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::host::fake::{FakeHost, output};

    /// A run whose unit is in this state until it was asked so often, or was killed.
    fn leaves(state: &'static str, times: u32) -> (FakeHost, RunDir) {
        let host = FakeHost::new();
        let left = Arc::new(AtomicU32::new(times));
        let ended = left.clone();
        host.on(&["systemctl", "show", "--value", "--property=ActiveState"], move |_, _| {
            let before = left.load(Ordering::Relaxed);
            left.store(before.saturating_sub(1), Ordering::Relaxed);
            output(0, if before > 0 { state } else { "inactive" }, "")
        });
        host.on(&["systemctl", "kill"], move |_, _| {
            ended.store(0, Ordering::Relaxed);
            output(0, "", "")
        });
        let dir = RunDir::of("20260101-000000-shop");
        host.put_file(dir.log("other"), "", 0o600);
        (host, dir)
    }

    fn ran(host: &FakeHost, words: &[&str]) -> usize {
        host.commands().iter().filter(|command| command.argv.iter().zip(words).all(|(a, b)| a == b)).count()
    }

    #[test]
    fn what_a_killed_run_has_left_is_waited_for() {
        let (host, dir) = leaves("deactivating", 3);
        start(&host, &dir, &[]).unwrap();
        assert_eq!(ran(&host, &["systemctl", "show"]), 4);
        assert_eq!((ran(&host, &["systemctl", "kill"]), ran(&host, &["systemd-run"])), (0, 1));
    }

    #[test]
    fn what_does_not_end_by_itself_is_ended_before_anything_begins() {
        let (host, dir) = leaves("deactivating", u32::MAX);
        let begun = host.now();
        start(&host, &dir, &[]).unwrap();
        assert!(host.now().since(begun) >= GRACE);
        let commands = host.commands();
        let at = |word: &str| commands.iter().position(|command| command.argv.iter().any(|arg| arg == word)).unwrap();
        assert!(at("--signal=SIGKILL") < at("systemd-run"), "it begins only then");
    }

    #[test]
    fn who_looks_whether_a_run_works_is_not_taken_for_one() {
        let host = FakeHost::new();
        host.make_dir(Path::new(STATE_DIR), Meta::root(0o755)).unwrap();
        assert_eq!(running(&host), None);
        let lock = lock(&host, "20260101-000000-shop").unwrap().unwrap();
        let before = host.calls().len();
        assert_eq!(running(&host).as_deref(), Some("20260101-000000-shop"));
        drop(lock);
        assert_eq!(running(&host), None);
        let looked = host.calls().split_off(before);
        assert!(looked.iter().all(|call| call.method != "lock"), "{looked:?}");
    }

    #[test]
    fn a_run_that_works_is_not_ended() {
        let (host, dir) = leaves("active", u32::MAX);
        host.put_file("/var/lib/bringup/running", &dir.id, 0o644);
        host.put_file("/var/lib/bringup/lock", "", 0o600);
        host.lock_elsewhere("/var/lib/bringup/lock", true);
        let failure = start(&host, &dir, &[]).unwrap_err();
        assert!(failure.to_string().contains("is in progress"), "{failure}");
        assert_eq!((ran(&host, &["systemctl", "kill"]), ran(&host, &["systemd-run"])), (0, 0));
    }

    #[test]
    fn a_run_that_is_about_to_begin_is_waited_for_and_not_for_ever() {
        let host = FakeHost::new();
        let begun = host.now();
        assert_eq!(running_or_starting(&host), None);
        assert!(host.now().since(begun) < POLL, "nothing is about to begin");
        let dir = RunDir::prepare(&host, &crate::plan::Plan::new("shop", "")).unwrap();
        assert_eq!(running_or_starting(&host), None, "its process never came");
        assert!(host.now().since(begun) >= BEGINNING);
        host.put_file("/var/lib/bringup/running", &dir.id, 0o644);
        host.put_file("/var/lib/bringup/lock", "", 0o600);
        let next = RunDir::prepare(&host, &crate::plan::Plan::new("shop", "")).unwrap();
        assert_ne!(next.id, dir.id);
        host.visit_after(20, |host| host.lock_elsewhere("/var/lib/bringup/lock", true));
        assert_eq!(running_or_starting(&host), Some(dir.id));
    }

    #[test]
    fn a_process_that_was_killed_may_end_first() {
        let host = FakeHost::new();
        host.put_file("/var/lib/bringup/running", "20260101-000000-shop", 0o644);
        host.put_file("/var/lib/bringup/lock", "", 0o600);
        host.lock_elsewhere("/var/lib/bringup/lock", true);
        let begun = host.now();
        await_killed(&host);
        assert!(host.now().since(begun) >= DYING && running(&host).is_some(), "one that works is not waited for");
        host.visit_after(20, |host| host.lock_elsewhere("/var/lib/bringup/lock", false));
        let begun = host.now();
        await_killed(&host);
        assert!(host.now().since(begun) < DYING && running(&host).is_none());
    }
}
