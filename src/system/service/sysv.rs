//! Services of `/etc/init.d`, where PID 1 is not systemd.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{ServiceState, ServiceStep, Work};
use crate::error::{Failure, Outcome};
use crate::host::{Command, Host, Kind};

/// A first start may have to set a data directory up.
const TIMEOUT: Duration = Duration::from_mins(5);
/// Scripts that start daemons in the background return before these are ready.
const STAND_TIMEOUT: Duration = Duration::from_secs(15);
/// A daemon that dies of its configuration does so within this time.
const CALM: Duration = Duration::from_millis(300);

/// What its script knows of `name`.
pub fn state(host: &dyn Host, name: &str) -> Outcome<ServiceState> {
    let script = script(name);
    let there =
        host.stat(&script).map_err(|e| Failure::new(format!("look for the init script of {name}"), e))?.is_some();
    if !there {
        return Ok(ServiceState::unknown(format!("there is no {}", script.display())));
    }
    // The script itself and not service(8), which is a shell script in front of it.
    let output = host
        .run(&Command::new([script.display().to_string(), "status".to_owned()]))
        .map_err(|e| Failure::new(format!("query the state of {name}"), e))?;
    Ok(ServiceState {
        known: true,
        // LSB: 0 runs, 1 and 2 dead with leftovers, 3 does not run.
        active: output.ok(),
        at_rest: !output.ok(),
        enabled: is_enabled(host, name),
        masked: false,
        reloads: reloads(host, name),
        pids: pid(host, name).into_iter().collect(),
        detail: format!("status {}", output.status),
    })
}

/// Carries out one step.
pub fn perform(work: &Work<'_>, name: &str, step: ServiceStep) -> Outcome<()> {
    match step {
        ServiceStep::Enable => {
            // `defaults` makes the links where there are none, `enable` turns K links into S links.
            run(work, name, step, &["update-rc.d", name, "defaults"])?;
            run(work, name, step, &["update-rc.d", name, "enable"])
        }
        ServiceStep::Disable => run(work, name, step, &["update-rc.d", name, "disable"]),
        ServiceStep::Stop => run(work, name, step, &["service", name, "stop"]),
        ServiceStep::Start | ServiceStep::Restart | ServiceStep::Reload => {
            // A script that knows no reload would refuse the word.
            let step =
                if step == ServiceStep::Reload && !reloads(work.host, name) { ServiceStep::Restart } else { step };
            let offset = work.host.read(work.log).map_or(0, |log| log.len());
            start(work, name, step)
                .and_then(|()| wait_until_stable(work, name, step))
                .map_err(|failure| failure.tail(written_since(work, offset)))
        }
    }
}

fn start(work: &Work<'_>, name: &str, step: ServiceStep) -> Outcome<()> {
    // A daemon may keep its script's stdout and stderr for life. A file does it no harm; a pipe of ours
    // would break when we end.
    let log = work.log.display().to_string();
    let into_log = ["sh", "-c", "exec \"$@\" >>\"$0\" 2>&1", &log, "service", name, step.verb()];
    run(work, name, step, &into_log)
}

/// Waits until its script says that it runs, and still says so a moment later.
fn wait_until_stable(work: &Work<'_>, name: &str, step: ServiceStep) -> Outcome<()> {
    let pause = Duration::from_millis(100);
    let (mut waited, mut calm) = (Duration::ZERO, Duration::ZERO);
    let mut was_up = false;
    loop {
        if state(work.host, name)?.active {
            was_up = true;
            if calm >= CALM {
                return Ok(());
            }
            calm += pause;
        } else if was_up || waited >= STAND_TIMEOUT {
            let why = if was_up { "it died after its start" } else { "it did not start" };
            return Err(Failure::new(format!("{} {name}", step.verb()), why)
                .hint(format!("see its own log below /var/log, and `service {name} status`")));
        }
        work.host.sleep(pause);
        waited += pause;
    }
}

fn run(work: &Work<'_>, name: &str, step: ServiceStep, argv: &[&str]) -> Outcome<()> {
    let what = format!("{} {name}", step.verb());
    let command = Command::new(argv.iter().copied()).timeout(TIMEOUT).log(work.log).begins_daemon();
    let output = work.host.run(&command).map_err(|e| Failure::new(what.clone(), e))?;
    if output.ok() {
        return Ok(());
    }
    Err(Failure::new(what, format!("its script ended with status {}", output.status))
        .tail(output.tail(20))
        .hint(format!("see its own log below /var/log, and `service {name} status`")))
}

/// The last lines of what came to the log after its first `offset` bytes.
fn written_since(work: &Work<'_>, offset: usize) -> Vec<String> {
    let log = work.host.read(work.log).unwrap_or_default();
    let text = String::from_utf8_lossy(log.get(offset..).unwrap_or_default()).into_owned();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(20)..].iter().map(|line| (*line).to_owned()).collect()
}

/// Whether it starts in a multi-user runlevel: a link such as `/etc/rc2.d/S01nginx`.
fn is_enabled(host: &dyn Host, name: &str) -> bool {
    ["/etc/rc2.d", "/etc/rc3.d", "/etc/rc4.d", "/etc/rc5.d"].iter().any(|dir| {
        let links = host.list(Path::new(dir)).unwrap_or_default();
        links.iter().filter_map(|link| link.file_name()?.to_str()).any(|link| starts(link, name))
    })
}

/// Whether its script has `reload` as a pattern of its own: `reload|force-reload)`.
fn reloads(host: &dyn Host, name: &str) -> bool {
    let text = String::from_utf8_lossy(&host.read(&script(name)).unwrap_or_default()).into_owned();
    let patterns = text.lines().filter_map(|line| line.trim().split_once(')')).map(|(patterns, _)| patterns);
    patterns.flat_map(|patterns| patterns.split('|')).any(|word| word.trim_matches([' ', '(', '\'', '"']) == "reload")
}

fn starts(link: &str, name: &str) -> bool {
    link.strip_prefix('S').is_some_and(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()) == name)
}

/// Its main process, where it leaves a pid file below `/run` that bears its name or that its script mentions.
fn pid(host: &dyn Host, name: &str) -> Option<u32> {
    let run = Path::new("/run");
    let script = host.read(&script(name)).unwrap_or_default();
    let script = String::from_utf8_lossy(&script).into_owned();
    let is_its = |file: &str| {
        file.strip_suffix(".pid")
            .is_some_and(|stem| stem == name || stem.strip_suffix('d') == Some(name) || script.contains(file))
    };
    let below = |dir: &Path| -> Vec<PathBuf> {
        let entries = host.list(dir).unwrap_or_default();
        entries.iter().map(|entry| dir.join(entry)).collect()
    };
    let top = below(run);
    let deeper = top
        .iter()
        .filter(|path| matches!(host.stat(path), Ok(Some(stat)) if stat.kind == Kind::Dir))
        .flat_map(|dir| below(dir));
    top.iter()
        .cloned()
        .chain(deeper)
        .filter(|path| path.file_name().and_then(|file| file.to_str()).is_some_and(is_its))
        .filter_map(|path| host.read(&path).ok())
        .find_map(|content| String::from_utf8_lossy(&content).trim().parse().ok())
}

fn script(name: &str) -> PathBuf {
    Path::new("/etc/init.d").join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_that_knows_how_to_reload_says_so_in_a_pattern_of_its_own() {
        let host = crate::host::fake::FakeHost::new();
        let knows = |text: &str| {
            host.put_file("/etc/init.d/app", text, 0o755);
            reloads(&host, "app")
        };
        assert!(knows("case $1 in\n  reload|force-reload)\n    x ;;\n"));
        assert!(knows("case $1 in\n  'reload'|'force-reload')\n    x ;;\n"));
        assert!(!knows("case $1 in\n  restart|force-reload)\n    echo \"usage: start|reload\" ;;\n"));
    }

    #[test]
    fn only_a_start_link_of_exactly_this_script_counts() {
        assert!(starts("S01nginx", "nginx"));
        assert!(!starts("K01nginx", "nginx"));
        assert!(!starts("S01nginx-debug", "nginx"));
    }
}
