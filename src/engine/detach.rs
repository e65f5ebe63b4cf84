//! The process that outlives the terminal: a transient systemd unit where systemd runs, a session of its own
//! elsewhere. The one that started it only follows its events.

use std::path::Path;
use std::time::Duration;

use crate::engine::runs::{self, RunDir, STATE_DIR};
use crate::error::{Failure, Outcome};
use crate::host::{Command, Host, Meta};

/// Variables that the executing process needs as we have them: proxies, authorities, indexes of packages, and the tests' kill switch.
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
    "BRINGUP_KILL",
];

/// Puts a copy of this program beside the run, so that the run can be taken back whatever happens to ours.
pub fn keep_program(host: &dyn Host, dir: &RunDir) -> Outcome<()> {
    let copy = dir.file("bringup");
    let what = || format!("keep a copy of this program in {}", copy.display());
    if host.stat(&copy).map_err(|e| Failure::new(what(), e))?.is_some() {
        return Ok(());
    }
    let program = host.read(Path::new("/proc/self/exe")).map_err(|e| Failure::new(what(), e))?;
    host.write(&copy, &program, Meta::root(0o700)).map_err(|e| Failure::new(what(), e))
}

/// Starts `bringup execute <run> <arguments>` in a process of its own. Its events go to a fresh file; those of earlier
/// processes are kept, a rollback's beside the run's own.
pub fn start(host: &dyn Host, dir: &RunDir, arguments: &[String]) -> Outcome<()> {
    let what = || "start the run in a process of its own".to_owned();
    let rollback = arguments.iter().any(|argument| argument == "--rollback");
    runs::begin_events(host, dir, if rollback { runs::ROLLBACK_EVENTS } else { runs::EVENTS })?;
    let program = program(host, dir);
    let systemd = host.stat(Path::new("/run/systemd/system")).ok().flatten().is_some();
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
        // A refused or finished unit of an earlier try must not stand in the way.
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
    for name in PASSED_ON {
        if let Some(value) = host.env(name) {
            command = command.env(*name, value);
        }
    }
    let output = host.run(&command).map_err(|e| Failure::new(what(), e))?;
    if output.ok() {
        return Ok(());
    }
    Err(Failure::new(what(), format!("{} ended with status {}", command.argv[0], output.status)).tail(output.tail(5)))
}

/// This very program where it still lies, since it may know better than the one that began the run; else the
/// copy beside the run.
fn program(host: &dyn Host, dir: &RunDir) -> String {
    host.read_link(Path::new("/proc/self/exe"))
        .ok()
        .filter(|path| host.stat(path).ok().flatten().is_some())
        .unwrap_or_else(|| dir.file("bringup"))
        .display()
        .to_string()
}

/// Our environment's part that the run needs, as systemd reads it.
fn environment(host: &dyn Host) -> String {
    let quoted = |value: String| value.replace('\\', "\\\\").replace('"', "\\\"").replace(['\n', '\r'], " ");
    PASSED_ON.iter().filter_map(|name| host.env(name).map(|value| format!("{name}=\"{}\"\n", quoted(value)))).collect()
}

/// Asks the run's process to stop after its present step and to take everything back.
pub fn ask_to_stop(host: &dyn Host, dir: &RunDir) -> Outcome<()> {
    host.write(&dir.file("cancel"), b"", Meta::root(0o600)).map_err(|e| Failure::new("ask the run to stop", e))
}

/// The name of a run's transient unit.
pub fn unit(id: &str) -> String {
    format!("bringup-{id}.service")
}

/// Held by the process that changes the host: one run at a time.
pub struct Lock(#[expect(dead_code, reason = "held for its drop")] Box<dyn Send>);

/// Takes the lock for a run; `None` when another process works.
pub fn lock(host: &dyn Host, id: &str) -> Outcome<Option<Lock>> {
    let path = Path::new(STATE_DIR).join("lock");
    let what = || format!("lock {}", path.display());
    let Some(guard) = host.lock(&path).map_err(|e| Failure::new(what(), e))? else { return Ok(None) };
    let note = Path::new(STATE_DIR).join("running");
    host.write(&note, id.as_bytes(), Meta::root(0o644)).map_err(|e| Failure::new(what(), e))?;
    Ok(Some(Lock(guard)))
}

/// The id of the run whose process holds the lock now.
pub fn running(host: &dyn Host) -> Option<String> {
    let path = Path::new(STATE_DIR).join("lock");
    host.stat(&path).ok().flatten()?;
    match host.lock(&path) {
        Ok(Some(_)) | Err(_) => None,
        Ok(None) => {
            host.read(&Path::new(STATE_DIR).join("running")).ok().map(|id| String::from_utf8_lossy(&id).into_owned())
        }
    }
}
