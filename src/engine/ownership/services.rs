//! Who owns the units, programs, sites and ports that a plan would use.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{Look, Owner, Standing, Thing, leads_to, there};
use crate::action::Action;
use crate::action::service::Service;
use crate::error::Problem;
use crate::facts::probe;
use crate::plan::Plan;
use crate::proof::ports::Exposure;
use crate::system::service::Manager;

/// The directory of an administrator's units, and of ours.
const UNITS: &str = "/etc/systemd/system";
/// Further unit directories of systemd; a unit in [`UNITS`] would override one there.
const OTHER_UNITS: &[&str] = &[
    "/run/systemd/system",
    "/run/systemd/transient",
    "/run/systemd/generator.early",
    "/run/systemd/generator",
    "/run/systemd/generator.late",
    "/usr/local/lib/systemd/system",
    "/lib/systemd/system",
    "/usr/lib/systemd/system",
];
/// A unit of one of these types starts the service of the same name.
const STARTERS: &[&str] = &["socket", "timer", "path"];
/// Supervisor's program directories.
const PROGRAMS: &str = "/etc/supervisor/conf.d";
/// Init scripts.
const SCRIPTS: &str = "/etc/init.d";

impl Look<'_> {
    /// Whether anything besides its file makes a unit's name another's. `meant` is a file that may override one.
    pub(super) fn unit_file(&mut self, id: &str, path: &Path, meant: bool) {
        let Some(unit) = is_unit(path) else { return };
        let unit = unit.to_owned();
        let key = format!("unit:{unit}");
        let what = format!("the unit {unit}");
        let (stem, kind) = unit.rsplit_once('.').unwrap_or((&unit, ""));
        let ours = matches!(self.owner(true, &|record| leads_to(record, path)), Owner::Ours);
        if !meant {
            let script = Path::new(SCRIPTS).join(stem);
            let elsewhere = OTHER_UNITS.iter().map(|dir| Path::new(dir).join(&unit));
            let elsewhere = elsewhere.chain((kind == "service").then_some(script));
            for other in elsewhere.collect::<Vec<_>>() {
                if !there(self.host, &other) || (ours && other.starts_with("/run")) {
                    continue;
                }
                let transient = other.starts_with("/run/systemd/transient");
                let detail = format!(
                    "{}, {}",
                    other.display(),
                    if transient { "while it is running" } else { "which bringup's would replace" }
                );
                self.exists(id, &Thing { key: &key, what: &what, detail: &detail, restorable: false }, Owner::Foreign);
                break;
            }
        }
        if kind != "service" {
            return;
        }
        if !ours {
            self.reserved(id, &key, &what, stem);
        }
        let dirs: Vec<&str> = [UNITS].into_iter().chain(OTHER_UNITS.iter().copied()).collect();
        for starter in STARTERS.iter().map(|kind| format!("{stem}.{kind}")) {
            let planned = self.plan.actions.iter().any(|planned| match &planned.action {
                Action::File(file) => is_unit(&file.path) == Some(starter.as_str()),
                _ => false,
            });
            let found = dirs.iter().map(|dir| Path::new(dir).join(&starter)).find(|path| there(self.host, path));
            if let Some(found) = found.filter(|_| !planned) {
                let owner = self.owner(true, &|record| leads_to(record, &found));
                let what = format!("the unit {starter}");
                let detail = format!("{}, which would start {unit}", found.display());
                self.exists(id, &Thing { key: &key, what: &what, detail: &detail, restorable: false }, owner);
            }
        }
        for dir in dirs.iter().map(|dir| Path::new(dir).join(format!("{unit}.d"))) {
            for name in self.host.list(&dir).unwrap_or_default() {
                let part = dir.join(name);
                if part.extension().is_none_or(|extension| extension != "conf") {
                    continue;
                }
                let planned = self.plan.actions.iter().any(|planned| match &planned.action {
                    Action::File(file) => file.path == part,
                    _ => false,
                });
                let owner = self.owner(false, &|record| leads_to(record, &part));
                if !planned {
                    let what = format!("the part {} of the unit {unit}", part.display());
                    self.exists(id, &Thing { key: &key, what: &what, detail: "", restorable: false }, owner);
                }
            }
        }
    }

    pub(super) fn service(&mut self, id: &str, service: &Service) {
        if service.manager == Manager::Supervisor && service.running {
            self.program(id, service.name.split(':').next().unwrap_or_default());
        }
        let Some(sites) = &service.sites else { return };
        let ports: BTreeSet<u16> =
            self.plan.ports().iter().filter(|port| port.on == Exposure::Any).map(|port| port.port).collect();
        for (name, port) in sites.claimed(self.host, &ports) {
            let theirs = |standing: &&Standing<'_>| standing.plan.as_ref().is_some_and(|plan| serves(plan, &name));
            let owners: Vec<&Standing<'_>> = self.standing.iter().filter(theirs).collect();
            let owner = match owners.as_slice() {
                found if found.iter().any(|standing| standing.same) => continue,
                [first, ..] => Owner::Beside(first.owner()),
                [] => Owner::Foreign,
            };
            let what = format!("the site {name} on port {port} of the web server");
            self.exists(id, &Thing { key: &name, what: &what, detail: "", restorable: false }, owner);
        }
    }

    /// A supervisor program of this name in another file than the plan's.
    fn program(&mut self, id: &str, name: &str) {
        let header = format!("[program:{name}]");
        let mut files: Vec<PathBuf> = self.host.list(Path::new(PROGRAMS)).unwrap_or_default();
        files = files.into_iter().map(|file| Path::new(PROGRAMS).join(file)).collect();
        files.push(PathBuf::from("/etc/supervisor/supervisord.conf"));
        for file in files {
            let planned = self.plan.actions.iter().any(|planned| match &planned.action {
                Action::File(ours) => ours.path == file,
                _ => false,
            });
            let text = if planned { Vec::new() } else { self.host.read_at_most(&file, 1 << 20).unwrap_or_default() };
            if !String::from_utf8_lossy(&text).lines().any(|line| line.trim() == header) {
                continue;
            }
            let owner = self.owner(true, &|record| leads_to(record, &file));
            let key = format!("program:{name}");
            let what = format!("supervisor's program {name}");
            let detail = file.display().to_string();
            self.exists(id, &Thing { key: &key, what: &what, detail: &detail, restorable: false }, owner);
        }
    }

    /// Ports that the plan will listen on and others listen on now.
    pub(super) fn ports(&mut self) {
        let mut listeners = None;
        let services: Vec<&str> = self
            .plan
            .actions
            .iter()
            .filter_map(|planned| match &planned.action {
                Action::Service(service) => Some(service.name.as_str()),
                _ => None,
            })
            .collect();
        for expected in self.plan.ports() {
            let port = expected.port;
            let ours = |standing: &&Standing<'_>| {
                standing.same && standing.plan.as_ref().is_some_and(|plan| plan.ports().iter().any(|p| p.port == port))
            };
            let of_ssh = self.plan.actions.iter().any(|planned| match &planned.action {
                Action::Sshd(sshd) => sshd.port == port,
                _ => false,
            });
            if expected.on == Exposure::Closed || of_ssh || self.standing.iter().any(|standing| ours(&standing)) {
                continue;
            }
            let listeners = listeners.get_or_insert_with(|| probe::holders(self.host));
            let meets = |address: std::net::IpAddr| {
                expected.on == Exposure::Any || address.is_loopback() || address.is_unspecified()
            };
            let taken = listeners.iter().find(|holder| {
                holder.at.port() == port
                    && meets(holder.at.ip())
                    && !services.iter().any(|service| holder.is_of(service))
            });
            let Some(holder) = taken else { continue };
            let whose = if holder.unit.is_empty() { &holder.process } else { &holder.unit };
            let whose = if whose.is_empty() { "another program" } else { whose };
            let beside = self.standing.iter().find(|standing| {
                !standing.same && standing.plan.as_ref().is_some_and(|plan| plan.ports().iter().any(|p| p.port == port))
            });
            let message = match beside {
                Some(standing) => format!("port {port} belongs to {}", standing.owner()),
                None => format!("port {port} is taken by {whose}"),
            };
            let answers = self.plan.answers.iter();
            let behind =
                answers.filter(|answered| answered.value.as_u64() == Some(u64::from(port))).map(|a| &a.path).next();
            let other = behind.map_or_else(String::new, |path| format!("choose another {path}, or "));
            let hint = format!("{other}stop what listens there");
            let path = behind.cloned().unwrap_or_default();
            if !self.problems.iter().any(|known| known.message == message) {
                self.problems.push(Problem { path, ..Problem::new(message, hint) });
            }
        }
    }
}

/// Whether a plan serves a site of this name.
fn serves(plan: &Plan, name: &str) -> bool {
    plan.actions.iter().any(|planned| match &planned.action {
        Action::Service(Service { sites: Some(sites), .. }) => sites.is_own(name),
        _ => false,
    })
}

/// The unit that a file defines.
pub(super) fn is_unit(path: &Path) -> Option<&str> {
    let kinds = ["service", "socket", "timer", "path", "mount", "automount", "swap", "target", "slice"];
    let of_unit = path.extension().and_then(|extension| extension.to_str()).is_some_and(|kind| kinds.contains(&kind));
    (of_unit && path.parent() == Some(Path::new(UNITS))).then(|| path.file_name()?.to_str()).flatten()
}
