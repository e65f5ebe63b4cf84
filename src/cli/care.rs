//! `deploy`, `env`, `logs`, `restart` and `shell`: looking after an application that is in place.

use std::time::Duration;

use serde_json::json;

use crate::answers::{OnFailure, SecretSource};
use crate::cli::runs::{told, with_runs};
use crate::cli::{Output, answers, apply};
use crate::engine::care::environment::{self, Assignment, Change, Setting};
use crate::engine::care::logs::Logs;
use crate::engine::care::{self, deploy, shell};
use crate::engine::detach;
use crate::engine::health::{self, Installed};
use crate::engine::launch::request::Request;
use crate::engine::runs::RunDir;
use crate::error::{Exit, Failure, Outcome, Problem};
use crate::host::Host;
use crate::plan::care::{Care, Service};
use crate::system::accounts::Names;
use crate::system::paths;
use crate::system::service::{ServiceStep, Work, systemd};
use crate::ui::prompts;
use crate::ui::prompts::Gone;
use crate::ui::{stdio, tty_caps};

/// How often new lines of the logs are looked for.
const POLL: Duration = Duration::from_millis(500);

/// Which application, and which of its services.
pub(super) struct Of<'a> {
    pub name: Option<&'a str>,
    pub service: Option<&'a str>,
}

/// Finds the application and what its guide says about it; needs root.
fn of(
    host: &dyn Host,
    name: Option<&str>,
    output: Output,
    then: impl FnOnce(&Installed, &Care) -> Result<Exit, Vec<Problem>>,
) -> Exit {
    with_runs(host, |runs| {
        let installed = health::installed(host, runs);
        let found = care::choose(&installed, name).map_err(|problem| vec![problem]);
        let done = found.and_then(|it| then(it, &care::care(host, it)?));
        Ok(done.unwrap_or_else(|problems| answers::refuse(&problems, output)))
    })
}

/// As [`of`], for what changes something: no run may work meanwhile.
fn of_idle(
    host: &dyn Host,
    name: Option<&str>,
    output: Output,
    then: impl FnOnce(&Installed, &Care) -> Result<Exit, Vec<Problem>>,
) -> Exit {
    of(host, name, output, |it, care| {
        idle(host)?;
        then(it, care)
    })
}

fn idle(host: &dyn Host) -> Result<(), Vec<Problem>> {
    match detach::running_or_starting(host) {
        Some(id) => {
            let hint = "`bringup attach` shows it; then try again";
            Err(vec![Problem::new(format!("run {id} is in progress"), hint)])
        }
        None => Ok(()),
    }
}

/// Brings the next release.
pub(super) fn deploy(
    host: &dyn Host,
    reference: Option<&str>,
    name: Option<&str>,
    on_failure: Option<OnFailure>,
    output: Output,
) -> Exit {
    of_idle(host, name, output, |it, care| {
        let next = deploy::next(host, it, care, reference)?;
        if !output.json {
            stdio::print(&format!("{}\n", next.told));
        }
        start(host, next.request, on_failure, output)
    })
}

/// Starts the run, and follows it.
fn start(
    host: &dyn Host,
    mut request: Request,
    on_failure: Option<OnFailure>,
    output: Output,
) -> Result<Exit, Vec<Problem>> {
    request.on_failure = on_failure.unwrap_or(request.on_failure);
    request.note_kept_secrets(host);
    let launched = request.launch(host)?;
    Ok(apply::follow(host, &request, launched, output))
}

/// Lists the settings; a secret's value is never shown.
pub(super) fn list(host: &dyn Host, name: Option<&str>, output: Output) -> Exit {
    of(host, name, output, |it, care| {
        let settings = environment::settings(it, care).map_err(|problem| vec![problem])?;
        if output.json {
            stdio::json(&format!("{:#}\n", json!(settings)));
            return Ok(Exit::Done);
        }
        if settings.is_empty() {
            stdio::print(&format!("{} has no settings yet; `bringup env set NAME=VALUE` adds one.\n", it.name()));
        }
        for Setting { name, value, file, .. } in settings {
            let masked = || file.map_or_else(|| "***** (secret)".to_owned(), |file| format!("***** (in {file})"));
            let value = value.unwrap_or_else(masked);
            stdio::print(&format!("{name}={value}\n"));
        }
        Ok(Exit::Done)
    })
}

/// Sets some settings, in a run.
pub(super) fn set(host: &dyn Host, assignments: &[String], name: Option<&str>, output: Output) -> Exit {
    of_idle(host, name, output, |it, care| {
        let mut changes = Vec::new();
        for text in assignments {
            changes.push(match environment::parse(text) {
                Assignment::Given(change) => change,
                Assignment::Asked(name) => match asked(host, &name, output) {
                    Ok(value) => Change::Secret(name, SecretSource::Literal(value)),
                    Err(Gone::Interrupted) => return Ok(Exit::Interrupted),
                    Err(Gone::Ended) => {
                        let hint = "type it at a terminal, or write one line for each secret to standard input";
                        return Err(vec![Problem::new(format!("no value was given for {name}"), hint)]);
                    }
                },
            });
        }
        start(host, environment::changed(host, it, care, &changes)?, None, output)
    })
}

/// A line that is not shown, typed or from standard input.
fn asked(host: &dyn Host, name: &str, output: Output) -> Result<String, Gone> {
    let typed = tty_caps::interactive(host);
    let mut talk = prompts::at_terminal(host, output.plain || !typed);
    if typed {
        talk.tell(&format!("Value of {name} (it is not shown):\n"));
    }
    talk.secret()
}

/// Removes some settings, in a run.
pub(super) fn unset(host: &dyn Host, names: &[String], name: Option<&str>, output: Output) -> Exit {
    of_idle(host, name, output, |it, care| {
        let changes: Vec<Change> = names.iter().cloned().map(Change::Unset).collect();
        start(host, environment::changed(host, it, care, &changes)?, None, output)
    })
}

/// Shows what its services logged, and with `follow` what they log from now on.
pub(super) fn logs(host: &dyn Host, of_what: &Of<'_>, follow: bool, count: usize, output: Output) -> Exit {
    of(host, of_what.name, output, |it, care| {
        let services = services(it, care, of_what)?;
        show(host, &services, follow, count, output).map_err(|failure| vec![Problem::in_step("", &failure)])
    })
}

fn show(host: &dyn Host, services: &[Service], follow: bool, count: usize, output: Output) -> Outcome<Exit> {
    let mut logs = Logs::of(services)?;
    let mut lines = logs.last(host, count)?;
    loop {
        let text = lines.iter().fold(String::new(), |text, line| {
            if output.json { text + &json!({ "line": line }).to_string() + "\n" } else { text + line + "\n" }
        });
        // A reader that went away (`| head`) wants no more.
        let read = text.is_empty() || if output.json { stdio::is_read_json(&text) } else { stdio::is_read(&text) };
        if !follow || !read {
            return Ok(Exit::Done);
        }
        host.sleep(POLL);
        lines = logs.news(host)?;
    }
}

fn services(it: &Installed, care: &Care, of: &Of<'_>) -> Result<Vec<Service>, Vec<Problem>> {
    care::services(it, care, of.service).map_err(|problem| vec![problem])
}

/// Restarts its services, one after another; a job only where it is named.
pub(super) fn restart(host: &dyn Host, of_what: &Of<'_>, output: Output) -> Exit {
    of_idle(host, of_what.name, output, |it, care| {
        let services = care::to_restart(it, care, of_what.service).map_err(|problem| vec![problem])?;
        restart_all(host, it, &services, output).map_err(|failure| vec![Problem::in_step("", &failure)])
    })
}

fn restart_all(host: &dyn Host, it: &Installed, services: &[Service], output: Output) -> Outcome<Exit> {
    // A run that would start meanwhile waits; a job may take hours, and does not mind one.
    let restarts = services.iter().any(|service| !service.job);
    let _starting = restarts.then(|| detach::lock_start(host)).transpose()?;
    if let Some(id) = detach::running(host) {
        return Err(Failure::new("restart", format!("run {id} is in progress")).hint("`bringup attach` shows it"));
    }
    let log = RunDir::of(&it.run).log("restart");
    let work = Work { host, log: &log };
    let mut failed = None;
    let mut done = Vec::new();
    for service in services {
        let (restarted, done_with_it) = if service.job {
            if !output.json {
                stdio::print(&format!("{} ({}) is run; Ctrl-C leaves it at work.\n", service.name, service.unit));
            }
            (systemd::run_job(&work, &service.unit), "was run, and ended with success")
        } else {
            (service.manager.perform(&work, &service.unit, ServiceStep::Restart), "is restarted and runs")
        };
        let failure = restarted.err();
        if !output.json {
            match &failure {
                None => stdio::print(&format!("{} ({}) {done_with_it}.\n", service.name, service.unit)),
                Some(failure) => told(failure),
            }
        }
        done.push(json!({ "service": service.name, "unit": service.unit, "failure": failure }));
        failed = failed.or(failure);
    }
    if output.json {
        stdio::json(&format!("{:#}\n", json!(done)));
    }
    if failed.is_none() {
        return Ok(Exit::Done);
    }
    if !output.json {
        stdio::error(&format!("`bringup logs {}` shows what it logged.\n", it.name()));
    }
    Ok(Exit::Incomplete)
}

/// Opens a shell as the application's user, or runs a command as it would run itself.
pub(super) fn shell(host: &dyn Host, name: Option<&str>, command: &[String], output: Output) -> Exit {
    of(host, name, output, |it, care| {
        let without = || {
            let message = format!("{} has no user of its own for a shell", it.name());
            vec![Problem::new(message, "its guide says nothing about one in its section `care`")]
        };
        let shell = care.shell.as_ref().ok_or_else(without)?;
        let typed = tty_caps::interactive(host);
        if command.is_empty() && !typed {
            stdio::error("error: there is no terminal for a shell; name a command: `bringup shell -- COMMAND`.\n");
            return Ok(Exit::Usage);
        }
        let opened = open(host, shell, command, typed);
        opened.map_err(|failure| vec![Problem::in_step("", &failure)])
    })
}

fn open(host: &dyn Host, shell: &crate::plan::care::Shell, command: &[String], typed: bool) -> Outcome<Exit> {
    let what = || format!("open a shell as {}", shell.user);
    let names = Names::read(host)?;
    let account = names.account(&shell.user);
    let account = account.ok_or_else(|| Failure::new(what(), "there is no such user any more"))?;
    // It would be an administrator's shell with an environment that others write.
    if account.uid == 0 {
        return Err(Failure::new(what(), "it is the administrator").hint("a guide names a user without rights"));
    }
    let command = match &shell.opened_by {
        Some(program) => {
            paths::only_root_changes(host, program)?;
            shell::in_container(host, program, command)
        }
        None => shell::command(host, shell, account, command, typed),
    };
    let status = host.hand_over(&command).map_err(|e| Failure::new(what(), e))?;
    Ok(Exit::Command(u8::try_from(status).unwrap_or(1)))
}
