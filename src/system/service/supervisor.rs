//! Programs of supervisor, over the XML-RPC interface that supervisord offers on its socket.
//!
//! `supervisorctl` speaks the same interface, but takes 150 ms of Python for each word.

use std::io;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use self::rpc::Supervisord;
use super::{ServiceState, ServiceStep, Work};
use crate::error::{Failure, Outcome};
use crate::host::Host;

mod rpc;
mod xml;

/// Programs may take `startsecs` to count as started, and `startretries` times as long to be given up.
const START_TIMEOUT: Duration = Duration::from_mins(1);
/// supervisor kills a program `stopwaitsecs` after it was asked to stop.
const STOP_TIMEOUT: Duration = Duration::from_mins(1);
/// Where supervisor's interface is described: <http://supervisord.org/api.html>. The fault for a name that it
/// does not know.
const BAD_NAME: i64 = 10;

/// A process as supervisor sees it.
#[derive(Clone, Debug)]
struct Process {
    name: String,
    state: String,
    pid: u32,
    error: String,
    logs: [String; 2],
}

/// What supervisord knows of the program or group `name`. That it does not run is a state, not a failure.
pub fn state(host: &dyn Host, name: &str) -> Outcome<ServiceState> {
    let processes = match Supervisord::find(host).and_then(|daemon| processes(&daemon, name)) {
        Ok(processes) => processes,
        Err(rpc::Error::Unreachable(why)) => {
            return Ok(ServiceState::unknown(format!("supervisord does not answer: {why}")));
        }
        Err(error) => return Err(failure("ask supervisord", name, error)),
    };
    let states: Vec<&str> = processes.iter().map(|process| process.state.as_str()).collect();
    Ok(ServiceState {
        known: !processes.is_empty(),
        active: !processes.is_empty() && states.iter().all(|state| matches!(*state, "RUNNING" | "STARTING")),
        at_rest: states.iter().all(|state| matches!(*state, "STOPPED" | "EXITED" | "FATAL")),
        // Programs in its configuration start with supervisord.
        enabled: !processes.is_empty(),
        masked: false,
        reloads: false,
        pids: processes.iter().map(|process| process.pid).filter(|pid| *pid > 0).collect(),
        detail: if states.is_empty() { "no such program".to_owned() } else { states.join(", ") },
    })
}

/// Has supervisord read its configuration again, as far as it concerns `name`. A program that is new or has
/// changed is started by this; then true.
pub fn refresh(work: &Work<'_>, name: &str) -> Outcome<bool> {
    let what = "have supervisord load the configuration of";
    let daemon = reach(work, what, name)?;
    let group = group(name);
    let news = News::of(&daemon).map_err(|e| failure(what, name, e))?;
    if news.changed.iter().any(|changed| changed == group) {
        take_out(work, &daemon, name)?;
        add(work, &daemon, name)?;
    } else if news.added.iter().any(|added| added == group) {
        add(work, &daemon, name)?;
    } else {
        return Ok(false);
    }
    Ok(true)
}

/// After its configuration file was removed or restored: makes supervisord read it again.
pub fn forget_removed(work: &Work<'_>, name: &str) -> Outcome<()> {
    let what = "unload";
    let daemon = match Supervisord::find(work.host) {
        Ok(daemon) => daemon,
        // It does not run any more, or is not even installed: then it runs no program of ours either.
        Err(rpc::Error::Unreachable(_)) => return Ok(()),
        Err(error) => return Err(failure(what, name, error)),
    };
    let group = group(name);
    let news = match News::of(&daemon) {
        Ok(news) => news,
        Err(rpc::Error::Unreachable(_)) => return Ok(()),
        Err(error) => return Err(failure(what, name, error)),
    };
    if news.removed.iter().any(|removed| removed == group) {
        take_out(work, &daemon, name)?;
    } else if news.changed.iter().any(|changed| changed == group) {
        take_out(work, &daemon, name)?;
        add(work, &daemon, name)?;
    }
    Ok(())
}

/// Carries out one step.
pub fn perform(work: &Work<'_>, name: &str, step: ServiceStep) -> Outcome<()> {
    let daemon = reach(work, step.verb(), name)?;
    match step {
        // A program's configuration file decides, and that is another action's.
        ServiceStep::Enable | ServiceStep::Disable => Ok(()),
        ServiceStep::Stop => stop(work, &daemon, name),
        ServiceStep::Start => start(work, &daemon, name),
        // supervisor has no notion of reloading a program.
        ServiceStep::Restart | ServiceStep::Reload => {
            stop(work, &daemon, name)?;
            start(work, &daemon, name)
        }
    }
}

fn start(work: &Work<'_>, daemon: &Supervisord<'_>, name: &str) -> Outcome<()> {
    call_for(daemon, name, "start", "startProcess", "startProcessGroup", "RUNNING")?;
    wait_until_stable(work, daemon, name)
}

fn stop(work: &Work<'_>, daemon: &Supervisord<'_>, name: &str) -> Outcome<()> {
    call_for(daemon, name, "stop", "stopProcess", "stopProcessGroup", "STOPPED")?;
    let pause = Duration::from_millis(50);
    let mut waited = Duration::ZERO;
    loop {
        let processes = processes(daemon, name).map_err(|e| failure("stop", name, e))?;
        if processes.iter().all(|process| process.pid == 0) {
            return Ok(());
        }
        if waited >= STOP_TIMEOUT {
            return Err(Failure::new(format!("stop {name}"), "its processes do not exit")
                .hint("`supervisorctl status` shows them, and their log says why"));
        }
        work.host.sleep(pause);
        waited += pause;
    }
}

fn add(work: &Work<'_>, daemon: &Supervisord<'_>, name: &str) -> Outcome<()> {
    daemon.call("addProcessGroup", &json!([group(name)])).map_err(|e| failure("add", name, e))?;
    // With autostart=false nothing starts by itself.
    start(work, daemon, name)
}

fn take_out(work: &Work<'_>, daemon: &Supervisord<'_>, name: &str) -> Outcome<()> {
    stop(work, daemon, group(name))?;
    daemon.call("removeProcessGroup", &json!([group(name)])).map(drop).map_err(|e| failure("remove", name, e))
}

/// Starts or stops those processes of `name` that are not in the state `wanted` yet; each without waiting.
fn call_for(daemon: &Supervisord<'_>, name: &str, verb: &str, one: &str, all: &str, wanted: &str) -> Outcome<()> {
    let (method, target) = match name.split_once(':') {
        Some((_, process)) if process != "*" => (one, name),
        _ => (all, group(name)),
    };
    match daemon.call(method, &json!([target, false])) {
        Ok(_) => Ok(()),
        // 60 ALREADY_STARTED and 70 NOT_RUNNING: it is as we want it.
        Err(rpc::Error::Fault(60, _)) if wanted == "RUNNING" => Ok(()),
        Err(rpc::Error::Fault(70, _)) if wanted == "STOPPED" => Ok(()),
        Err(error) => Err(failure(verb, name, error)),
    }
}

/// Waits until every process of `name` counts as running.
fn wait_until_stable(work: &Work<'_>, daemon: &Supervisord<'_>, name: &str) -> Outcome<()> {
    let pause = Duration::from_millis(50);
    let mut waited = Duration::ZERO;
    loop {
        let processes = processes(daemon, name).map_err(|e| failure("start", name, e))?;
        if !processes.is_empty() && processes.iter().all(|process| process.state == "RUNNING") {
            return Ok(());
        }
        let dead = processes.iter().find(|process| matches!(process.state.as_str(), "FATAL" | "EXITED" | "UNKNOWN"));
        let late = (waited >= START_TIMEOUT).then(|| processes.first()).flatten();
        if let Some(process) = dead.or(late) {
            return Err(fell(work.host, name, process));
        }
        if processes.is_empty() {
            return Err(Failure::new(format!("start {name}"), "supervisord does not know that program")
                .hint("is its file in /etc/supervisor/conf.d, with a name that ends in .conf?"));
        }
        work.host.sleep(pause);
        waited += pause;
    }
}

fn fell(host: &dyn Host, name: &str, process: &Process) -> Failure {
    let why = if process.error.is_empty() {
        format!("{} is {} in supervisord", process.name, process.state)
    } else {
        format!("{} is {}: {}", process.name, process.state, process.error)
    };
    let tail = process.logs.iter().filter(|log| !log.is_empty()).find_map(|log| {
        let content = host.read(Path::new(log)).ok()?;
        let text = String::from_utf8_lossy(&content).into_owned();
        let lines: Vec<String> = text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect();
        (!lines.is_empty()).then(|| lines[lines.len().saturating_sub(20)..].to_vec())
    });
    Failure::new(format!("start {name}"), why)
        .tail(tail.unwrap_or_default())
        .hint(format!("`supervisorctl tail {}` shows its log", process.name))
}

fn processes(daemon: &Supervisord<'_>, name: &str) -> Result<Vec<Process>, rpc::Error> {
    let all = daemon.call("getAllProcessInfo", &json!([]))?;
    let text = |info: &Value, key: &str| info[key].as_str().unwrap_or_default().to_owned();
    let single = name.split_once(':').map(|(_, process)| process).filter(|process| *process != "*");
    Ok(all
        .as_array()
        .into_iter()
        .flatten()
        .filter(|info| info["group"] == group(name) && single.is_none_or(|single| info["name"] == single))
        .map(|info| Process {
            name: format!("{}:{}", text(info, "group"), text(info, "name")),
            state: text(info, "statename"),
            pid: info["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()).unwrap_or(0),
            error: text(info, "spawnerr"),
            logs: [text(info, "stderr_logfile"), text(info, "stdout_logfile")],
        })
        .collect())
}

/// How the configuration on disk differs from what supervisord has loaded: names of groups.
#[derive(Debug, Default)]
struct News {
    added: Vec<String>,
    changed: Vec<String>,
    removed: Vec<String>,
}

impl News {
    /// Reads the configuration without acting on it.
    fn of(daemon: &Supervisord<'_>) -> Result<Self, rpc::Error> {
        let reply = daemon.call("reloadConfig", &json!([]))?;
        let names = |index: usize| -> Vec<String> {
            let list = reply[0][index].as_array().into_iter().flatten();
            list.filter_map(|name| name.as_str().map(str::to_owned)).collect()
        };
        Ok(Self { added: names(0), changed: names(1), removed: names(2) })
    }
}

fn reach<'a>(work: &Work<'a>, verb: &str, name: &str) -> Outcome<Supervisord<'a>> {
    Supervisord::find(work.host).map_err(|e| failure(verb, name, e))
}

/// The group that holds `webapp`, `webapp:*` or `webapp:webapp_00`.
fn group(name: &str) -> &str {
    name.split_once(':').map_or(name, |(group, _)| group)
}

fn failure(verb: &str, name: &str, error: rpc::Error) -> Failure {
    let what = format!("{verb} {name}");
    match error {
        rpc::Error::Unreachable(why) => Failure::new(what, format!("supervisord does not answer: {why}"))
            .hint("start it: `systemctl start supervisor` or `service supervisor start`"),
        rpc::Error::Refused(why) => Failure::new(what, format!("supervisord refuses: {why}"))
            .hint("see [unix_http_server] in /etc/supervisor/supervisord.conf"),
        rpc::Error::Fault(BAD_NAME, _) => Failure::new(what, "supervisord does not know that program")
            .hint("is its file in /etc/supervisor/conf.d, with a name that ends in .conf?"),
        rpc::Error::Fault(_, why) => {
            Failure::new(what, why).hint("see `supervisorctl status` and /var/log/supervisor/supervisord.log")
        }
    }
}

/// An answer that does not follow the protocol.
fn malformed(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_owned())
}
