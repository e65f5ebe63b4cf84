//! Restoring a service: no more is done to it than the run did, and nothing that would end it for good.

use std::path::Path;

use crate::error::{Failure, Outcome};
use crate::host::Host;
use crate::system::service::{Manager, ServiceState, ServiceStep, Work, config, supervisor, systemd};
use crate::undo::{Undo, UndoContext, Undone};

/// The prior state of a service according to its undo record.
#[derive(Clone, Copy, Debug)]
pub struct PriorState<'a> {
    /// Its manager's name.
    pub manager: &'a str,
    /// Its own.
    pub name: &'a str,
    /// Whether its manager knew it.
    pub existed: bool,
    /// Whether it ran.
    pub was_active: bool,
    /// Whether it started at boot.
    pub was_enabled: bool,
    /// What was done to it; empty where that is unknown.
    pub steps: &'a [String],
    /// The guide's own test of its configuration.
    pub test: &'a [String],
    /// Actions whose change needs a restart.
    pub restart_after: &'a [String],
    /// Actions whose change needs a reload.
    pub reload_after: &'a [String],
}

impl<'a> PriorState<'a> {
    /// What the record of a service says; none for other records.
    pub fn of(record: &'a Undo) -> Option<Self> {
        match record {
            Undo::Service {
                manager,
                name,
                existed,
                was_active,
                was_enabled,
                steps,
                test,
                restart_after,
                reload_after,
            } => Some(Self {
                manager,
                name,
                existed: *existed,
                was_active: *was_active,
                was_enabled: *was_enabled,
                steps,
                test,
                restart_after,
                reload_after,
            }),
            _ => None,
        }
    }

    fn at_work<'w>(self, cx: &'w UndoContext<'_>) -> Outcome<(Manager, Work<'w>)> {
        Ok((known(self.manager)?, Work { host: cx.host, log: cx.log }))
    }

    /// Whether the run may have done this to it.
    fn did(self, step: ServiceStep) -> bool {
        self.steps.is_empty() || self.steps.iter().any(|known| known == step.verb())
    }

    /// How it loads its former configuration while it runs: no more than the run did.
    fn step_back(self, state: &ServiceState) -> Option<ServiceStep> {
        // If it was started again after the run stopped it, it has read its configuration.
        if self.did(ServiceStep::Restart) || self.did(ServiceStep::Start) {
            Some(ServiceStep::Restart)
        } else if self.did(ServiceStep::Reload) {
            Some(if state.reloads { ServiceStep::Reload } else { ServiceStep::Restart })
        } else {
            None
        }
    }

    fn broken(self, host: &dyn Host, manager: Manager, log: &Path) -> Option<config::Broken> {
        config::broken(host, manager, self.name, self.test, Some(log))
    }
}

/// Stops and disables what did not run or start at boot before. What ran before keeps running until
/// [`restore_service`].
pub fn undo(cx: &UndoContext<'_>, prior: PriorState<'_>) -> Outcome<Undone> {
    let (manager, work) = prior.at_work(cx)?;
    let name = prior.name;
    let state = manager.state(cx.host, name)?;
    let mut done = Vec::new();
    if state.known && !state.at_rest && !prior.was_active && prior.did(ServiceStep::Start) {
        manager.perform(&work, name, ServiceStep::Stop)?;
        done.push("stopped");
    }
    // Supervisor starts a program as long as its file exists, which is another record's.
    let by_command = manager != Manager::Supervisor;
    let enabled_by_us = (!prior.was_enabled && prior.did(ServiceStep::Enable)) || !prior.existed;
    if by_command && state.known && state.enabled && enabled_by_us {
        manager.perform(&work, name, ServiceStep::Disable)?;
        done.push("disabled");
    }
    Ok(if done.is_empty() { Undone::Nothing } else { Undone::Done(format!("{} {name}", done.join(" and "))) })
}

/// Called when files and packages are restored: its manager reads its definition again, and a service that ran before
/// runs with its former configuration. One that this run did not touch is not touched, and one that would not start
/// again keeps running with its loaded configuration.
pub fn restore_service(cx: &UndoContext<'_>, prior: PriorState<'_>) -> Outcome<Undone> {
    let (manager, work) = prior.at_work(cx)?;
    let name = prior.name;
    refresh(&work, manager, name)?;
    let state = manager.state(cx.host, name)?;
    if !prior.existed || !(prior.was_active || prior.was_enabled) {
        return Ok(Undone::Nothing);
    }
    // A package of the run installed and enabled it, and removed it again. And supervisor starts a program as soon as
    // its file exists: it may have run before its action began, and is removed with the file.
    if !state.known && (!prior.was_active || manager == Manager::Supervisor) {
        return Ok(Undone::Nothing);
    }
    if !state.known {
        return Ok(Undone::Kept {
            what: format!("{name} is not running"),
            why: format!("it existed before, but {} no longer knows it", manager.name()),
        });
    }
    if prior.was_enabled && !state.enabled && prior.did(ServiceStep::Disable) {
        manager.perform(&work, name, ServiceStep::Enable)?;
    }
    if !prior.was_active {
        return Ok(Undone::Nothing);
    }
    let step = if state.active { prior.step_back(&state) } else { Some(ServiceStep::Start) };
    step.map_or(Ok(Undone::Nothing), |step| carry(&work, manager, prior, &state, step))
}

/// After a part of its configuration was rolled back: a running service loads what is left. `restart` says whether a
/// reload is not enough. A failure here does not fail the rollback, but is reported.
pub fn take_up(cx: &UndoContext<'_>, prior: PriorState<'_>, restart: bool) -> Outcome<Undone> {
    let (manager, work) = prior.at_work(cx)?;
    let name = prior.name;
    refresh(&work, manager, name)?;
    let state = manager.state(cx.host, name)?;
    if !state.known || !state.active {
        return Ok(Undone::Nothing);
    }
    let step = if restart || !state.reloads { ServiceStep::Restart } else { ServiceStep::Reload };
    carry(&work, manager, prior, &state, step).or_else(|failure| {
        let what = match manager.state(cx.host, name) {
            Ok(state) if state.active => format!("{name} has not loaded its former configuration"),
            _ => format!("{name} is down"),
        };
        let hint = failure.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        Ok(Undone::Kept { what, why: format!("{failure}{hint}") })
    })
}

fn refresh(work: &Work<'_>, manager: Manager, name: &str) -> Outcome<()> {
    match manager {
        Manager::Systemd => {
            systemd::refresh_restored(work, name)?;
            systemd::forget_failure(work, name);
        }
        Manager::Supervisor => supervisor::forget_removed(work, name)?,
        Manager::Sysv => {}
    }
    Ok(())
}

/// Reloads or restarts it, unless it could not start again with the present configuration.
fn carry(
    work: &Work<'_>,
    manager: Manager,
    prior: PriorState<'_>,
    state: &ServiceState,
    step: ServiceStep,
) -> Outcome<Undone> {
    let name = prior.name;
    let former_configuration = if step == ServiceStep::Start {
        format!("start {name} again")
    } else {
        format!("reload {name} with its former configuration")
    };
    if let Some(broken) = prior.broken(work.host, manager, work.log) {
        let why = if state.active {
            "its configuration on disk is broken, so it was not reloaded and keeps running with the one it has read"
        } else {
            "it is down, and its configuration on disk is broken"
        };
        let failure = broken.failure(former_configuration, why);
        return Err(failure.hint(format!("{}; then run `bringup rollback` again", broken.hint())));
    }
    manager.perform(work, name, step).map_err(|failure| {
        // A reload that fails leaves most servers as they were.
        let down = manager.state(work.host, name).is_ok_and(|state| !state.active);
        let why = format!("{}{}: {}", if down { "it is down; " } else { "" }, failure.what, failure.why);
        Failure { what: former_configuration, why, ..failure }
    })?;
    let done = match step {
        ServiceStep::Start => "started",
        ServiceStep::Reload => "reloaded",
        _ => "restarted",
    };
    Ok(Undone::Done(format!("{done} {name} with its former configuration")))
}

fn known(manager: &str) -> Outcome<Manager> {
    Manager::from_name(manager).ok_or_else(|| {
        Failure::new("restore a service", format!("unknown service manager: {manager}"))
            .hint("the journal was written by a newer bringup: use the binary kept with the run")
    })
}
