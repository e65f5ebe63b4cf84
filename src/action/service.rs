//! `service`: makes a service run now and at boot, and restarts it when what it depends on has changed.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::action::contract::{Act, Brings, Context, Verdict};
use crate::error::{Failure, Outcome};
use crate::host::{Command, Host};
use crate::progress::Progress;
use crate::system::service::{Manager, ServiceState, ServiceStep, Work, config, systemd};
use crate::undo::Undo;

pub use restore::{PriorState, restore_service, undo};

pub mod restore;
pub mod sites;

/// Makes a service run now and at boot, and restarts it when what it depends on has changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// The service manager.
    pub manager: Manager,
    /// Unit (`nginx.service`), init script (`nginx`) or supervisor program (`webapp`; `webapp:*` for a group).
    pub name: String,
    /// Whether it runs; false stops and disables it.
    #[serde(default = "yes")]
    pub running: bool,
    /// Ids of actions (`stage.action`) after whose change it is restarted.
    #[serde(default)]
    pub restart_after: Vec<String>,
    /// Ids of actions after whose change a reload is enough.
    #[serde(default)]
    pub reload_after: Vec<String>,
    /// A command that must succeed before it is (re)started or reloaded, such as `nginx -t`.
    #[serde(default)]
    pub test: Vec<String>,
    /// A web server's sites: while it runs, new configuration is loaded as a guarded change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sites: Option<sites::Sites>,
}

const fn yes() -> bool {
    true
}

impl Service {
    /// The commands to run, given its state and which actions have changed something.
    fn steps(&self, state: &ServiceState, changed: &dyn Fn(&str) -> bool) -> Vec<ServiceStep> {
        let any = |ids: &[String]| ids.iter().any(|id| changed(id));
        let mut steps = Vec::new();
        if self.running {
            if !state.enabled {
                steps.push(ServiceStep::Enable);
            }
            if !state.active {
                steps.push(ServiceStep::Start);
            } else if any(&self.restart_after) {
                steps.push(ServiceStep::Restart);
            } else if any(&self.reload_after) {
                steps.push(ServiceStep::Reload);
            }
        } else {
            if !state.at_rest {
                steps.push(ServiceStep::Stop);
            }
            if state.known && state.enabled {
                steps.push(ServiceStep::Disable);
            }
        }
        steps
    }

    /// The record that undoes these commands and restores this state.
    fn record(&self, state: &ServiceState, steps: &[ServiceStep]) -> Undo {
        Undo::Service {
            manager: self.manager.name().to_owned(),
            name: self.name.clone(),
            existed: state.known,
            was_active: state.active,
            was_enabled: state.enabled,
            steps: steps.iter().map(|step| step.verb().to_owned()).collect(),
            test: self.test.clone(),
            restart_after: self.restart_after.clone(),
            reload_after: self.reload_after.clone(),
        }
    }

    /// The records that restore the former configuration: the files that this run has changed for it, then the service.
    /// All of them, also those that it has loaded before: half a configuration is none.
    fn restore(&self, cx: &Context<'_>, state: &ServiceState, steps: &[ServiceStep]) -> Vec<Undo> {
        let ids: Vec<String> = self.restart_after.iter().chain(&self.reload_after).cloned().collect();
        let files = (cx.undo_records_of)(&ids).into_iter().filter(|record| record.path().is_some());
        files.chain([self.record(state, steps)]).collect()
    }

    /// Whether this run has replaced another's definition that was handed over.
    fn definition_was_anothers(&self, cx: &Context<'_>) -> bool {
        let ids: Vec<String> = self.restart_after.iter().chain(&self.reload_after).cloned().collect();
        let file = match self.manager {
            Manager::Systemd => Path::new("/etc/systemd/system").join(&self.name),
            Manager::Sysv => Path::new("/etc/init.d").join(&self.name),
            Manager::Supervisor => {
                let program = self.name.split(':').next().unwrap_or_default();
                Path::new("/etc/supervisor/conf.d").join(format!("{program}.conf"))
            }
        };
        (cx.undo_records_of)(&ids).iter().any(|record| matches!(record, Undo::Restore { path, .. } if *path == file))
    }

    fn refuse_masked(&self, state: &ServiceState) -> Outcome<()> {
        if self.running && state.masked {
            return Err(Failure::new(format!("start {}", self.name), "it is masked, so it cannot be started")
                .hint(format!("find out why; `systemctl unmask {}` unmasks it", self.name)));
        }
        Ok(())
    }

    fn refuse_unknown(&self, state: &ServiceState) -> Outcome<()> {
        if state.known {
            return Ok(());
        }
        let why = format!("{} does not know it ({})", self.manager.name(), state.detail);
        Err(Failure::new(format!("start {}", self.name), why)
            .hint("is its package installed, and its unit, script or program file in place?"))
    }

    /// A running service is not told to load a configuration that it would not start with again. One that does not run
    /// yet reports errors itself, unless the guide names a test.
    fn try_configuration(&self, work: &Work<'_>, state: &ServiceState) -> Outcome<()> {
        let broken = if self.test.is_empty() {
            state.active.then(|| config::own(work.host, self.manager, &self.name)).flatten()
        } else {
            return self.try_declared(work);
        };
        let what = format!("(re)start {}: its configuration test", self.name);
        broken.map_or(Ok(()), |broken| Err(broken.failure(what, "its configuration on disk is broken")))
    }

    fn try_declared(&self, work: &Work<'_>) -> Outcome<()> {
        let what = format!("(re)start {}: its configuration test", self.name);
        let output = work
            .host
            .run(&Command::new(self.test.iter().cloned()).log(work.log))
            .map_err(|e| Failure::new(what.clone(), format!("{}: {e}", self.test.join(" "))))?;
        if output.ok() {
            return Ok(());
        }
        Err(Failure::new(what, format!("`{}` ended with status {}", self.test.join(" "), output.status))
            .tail(output.tail(20))
            .hint("the lines above name the file and the line to correct"))
    }
}

impl Act for Service {
    fn describe(&self) -> String {
        if self.running {
            format!("run {} now and at boot", self.name)
        } else {
            format!("stop {} and keep it from starting at boot", self.name)
        }
    }

    fn check(&self, cx: &Context<'_>) -> Outcome<Verdict> {
        let state = self.manager.state(cx.host, &self.name)?;
        self.refuse_masked(&state)?;
        let steps = self.steps(&state, cx.changed);
        if steps.is_empty() {
            return Ok(Verdict::Unchanged);
        }
        let verbs: Vec<&str> = steps.iter().map(|step| step.verb()).collect();
        Ok(Verdict::change(format!("{} {}", verbs.join(" and "), self.name)))
    }

    fn prepare(&self, cx: &Context<'_>) -> Outcome<Vec<Undo>> {
        let state = self.manager.state(cx.host, &self.name)?;
        let steps = self.steps(&state, cx.changed);
        // Before anything is recorded: a server that was never told to reload need not be told to restore.
        if state.active && steps.iter().any(|step| step.takes_configuration()) {
            self.try_configuration(&Work { host: cx.host, log: cx.log }, &state)?;
        }
        let mut records = vec![self.record(&state, &steps)];
        if state.active && self.definition_was_anothers(cx) {
            // Ours must be stopped before its user and its files are removed; `restore_service` then starts the former
            // one.
            records.push(Undo::Command {
                argv: self.manager.stop(&self.name),
                user: String::new(),
                cwd: PathBuf::from("/"),
                describe: format!("stop {} before its former definition is restored", self.name),
            });
        }
        Ok(records)
    }

    fn apply(&self, cx: &Context<'_>) -> Outcome<()> {
        let work = Work { host: cx.host, log: cx.log };
        let mut state = self.manager.state(cx.host, &self.name)?;
        let mut steps = self.steps(&state, cx.changed);
        if steps.iter().any(|step| step.takes_configuration()) {
            self.try_configuration(&work, &state)?;
        }
        if self.running && !steps.is_empty() {
            let anew = self.manager.refresh(&work, &self.name)?;
            if anew || !state.known {
                state = self.manager.state(cx.host, &self.name)?;
                steps = self.steps(&state, &|id| !anew && (cx.changed)(id));
            }
            self.refuse_unknown(&state)?;
        }
        let mut perform = || {
            steps.iter().try_for_each(|step| {
                (cx.progress)(Progress::Note(format!("{} {}", step.verb(), self.name)));
                self.manager.perform(&work, &self.name, *step)
            })
        };
        match &self.sites {
            Some(sites) if state.active && steps.iter().any(|step| step.takes_configuration()) => {
                sites.guard(cx, self.restore(cx, &state, &steps), &self.name, &mut perform)
            }
            _ => perform(),
        }
    }

    fn may_revert(&self) -> Vec<&str> {
        match &self.sites {
            Some(_) => self.restart_after.iter().chain(&self.reload_after).map(String::as_str).collect(),
            None => Vec::new(),
        }
    }

    fn brings(&self) -> Brings {
        let services = vec![format!("{}:{}", self.manager.name(), self.name)];
        Brings { services, ..Brings::default() }
    }
}

/// Why a started service does not do its work: it died, or is crash-looping.
pub fn crash_failure(host: &dyn Host, service: &Service) -> Option<Failure> {
    if !service.running {
        return None;
    }
    if service.manager == Manager::Systemd {
        return systemd::crash_failure(host, &service.name);
    }
    let state = service.manager.state(host, &service.name).ok()?;
    let what = format!("keep {} running", service.name);
    (!state.active).then(|| Failure::new(what, format!("it is not running: {}", state.detail)))
}

#[cfg(test)]
mod tests;
