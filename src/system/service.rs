//! Services, and who manages them: systemd, `/etc/init.d` scripts, supervisor.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::Outcome;
use crate::host::Host;

pub mod config;
pub mod supervisor;
pub mod systemd;
pub mod sysv;

/// Who manages a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Manager {
    /// systemd.
    Systemd,
    /// `/etc/init.d` scripts, where PID 1 is not systemd.
    Sysv,
    /// supervisor.
    Supervisor,
}

/// What a manager knows of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "a service can be any mixture of these")]
pub struct ServiceState {
    /// Whether the manager knows it.
    pub known: bool,
    /// Whether it runs, or is being started.
    pub active: bool,
    /// Whether nothing of it runs, nor will be started again by its manager. A service that dies after each
    /// start is neither active nor at rest.
    pub at_rest: bool,
    /// Whether it starts at boot.
    pub enabled: bool,
    /// Whether someone has forbidden to start it.
    pub masked: bool,
    /// Whether it can read its configuration again while it runs.
    pub reloads: bool,
    /// Its main processes.
    pub pids: Vec<u32>,
    /// The state as its manager names it.
    pub detail: String,
}

impl ServiceState {
    /// Of a service that its manager does not know.
    pub(crate) fn unknown(detail: String) -> Self {
        Self {
            known: false,
            active: false,
            at_rest: true,
            enabled: false,
            masked: false,
            reloads: false,
            pids: Vec::new(),
            detail,
        }
    }
}

/// One change to a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceStep {
    /// Start it at boot from now on.
    Enable,
    /// Start it, and wait until it is stable.
    Start,
    /// Stop and start it, and wait until it is stable.
    Restart,
    /// Have it read its configuration again.
    Reload,
    /// Stop it, all its processes.
    Stop,
    /// Do not start it at boot any more.
    Disable,
}

impl ServiceStep {
    /// As an imperative.
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Enable => "enable",
            Self::Start => "start",
            Self::Restart => "restart",
            Self::Reload => "reload",
            Self::Stop => "stop",
            Self::Disable => "disable",
        }
    }

    /// Whether the service reads its configuration in this step.
    pub(crate) const fn takes_configuration(self) -> bool {
        matches!(self, Self::Start | Self::Restart | Self::Reload)
    }
}

/// What changing a service works with.
pub struct Work<'a> {
    /// The server.
    pub host: &'a dyn Host,
    /// Takes the output of commands.
    pub log: &'a Path,
}

impl Manager {
    /// Its name in undo records and for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Systemd => "systemd",
            Self::Sysv => "sysv",
            Self::Supervisor => "supervisor",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::Systemd, Self::Sysv, Self::Supervisor].into_iter().find(|manager| manager.name() == name)
    }

    /// What it knows of `service`.
    pub fn state(self, host: &dyn Host, service: &str) -> Outcome<ServiceState> {
        match self {
            Self::Systemd => systemd::state(host, service),
            Self::Sysv => sysv::state(host, service),
            Self::Supervisor => supervisor::state(host, service),
        }
    }

    /// Reloads definitions that changed on disk. True when that has restarted `service`.
    pub(crate) fn refresh(self, work: &Work<'_>, service: &str) -> Outcome<bool> {
        match self {
            Self::Systemd => systemd::refresh(work, service).map(|()| false),
            Self::Sysv => Ok(false),
            Self::Supervisor => supervisor::refresh(work, service),
        }
    }

    /// The command that stops `service`.
    pub(crate) fn stop(self, service: &str) -> Vec<String> {
        let argv = match self {
            Self::Systemd => ["systemctl", "stop", service],
            Self::Sysv => ["service", service, "stop"],
            Self::Supervisor => ["supervisorctl", "stop", service],
        };
        argv.map(str::to_owned).to_vec()
    }

    pub(crate) fn perform(self, work: &Work<'_>, service: &str, step: ServiceStep) -> Outcome<()> {
        match self {
            Self::Systemd => systemd::perform(work, service, step),
            Self::Sysv => sysv::perform(work, service, step),
            Self::Supervisor => supervisor::perform(work, service, step),
        }
    }
}
