//! Services that already run on this server must keep running: the configuration of every server that a plan restarts
//! or reloads is tested before anything is changed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::action::service::Service;
use crate::action::{Action, Verdict};
use crate::error::Problem;
use crate::host::Host;
use crate::plan::Plan;
use crate::plan::preview::Verdicts;
use crate::system::service::Manager;
use crate::system::service::config::{self, Broken};

/// Which configuration tests are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tests {
    /// Those that a guide names, else the server's own.
    All,
    /// Only those built into this program: they only read, whatever a guide says.
    Own,
}

/// A server that the plan would start, restart or reload.
struct Touched<'a> {
    id: &'a str,
    manager: Manager,
    name: &'a str,
    test: &'a [String],
}

/// The servers whose configuration on disk is broken, and that the plan would have read it.
pub fn broken_servers(host: &dyn Host, plan: &Plan, verdicts: &Verdicts, tests: Tests) -> Vec<Problem> {
    // The configuration names certificates and passwords that only root may read.
    if host.euid() != 0 {
        return Vec::new();
    }
    let changes: BTreeMap<&str, bool> =
        verdicts.iter().map(|(id, verdict)| (id.as_str(), !matches!(verdict, Ok(Verdict::Unchanged)))).collect();
    let touched = touched(plan, &|id| changes.get(id).copied().unwrap_or(false));
    let replaced = replaced(host, plan, &|id| changes.get(id).copied().unwrap_or(false));
    let tested = std::thread::scope(|scope| {
        let tests: Vec<_> = touched.iter().map(|server| scope.spawn(|| test(host, server, tests))).collect();
        tests.into_iter().map(|test| test.join().ok().flatten()).collect::<Vec<_>>()
    });
    let found = touched.iter().zip(tested).filter_map(|(server, broken)| Some((server, broken?)));
    // What the plan itself corrects may be broken now.
    let found = found.filter(|(_, broken)| {
        let place = broken.place.iter().map(|place| place.split(':').next().unwrap_or(place).to_owned());
        let mut named = place.chain(config::paths(&broken.words));
        !named.any(|path| replaced.contains(Path::new(&path)))
    });
    found.map(|(server, broken)| problem(host, server, &broken)).collect()
}

fn test(host: &dyn Host, server: &Touched<'_>, tests: Tests) -> Option<Broken> {
    match tests {
        Tests::All => config::broken(host, server.manager, server.name, server.test, None),
        Tests::Own => config::own(host, server.manager, server.name),
    }
}

fn problem(host: &dyn Host, server: &Touched<'_>, broken: &Broken) -> Problem {
    let name = server.name;
    let runs = server.manager.state(host, name).is_ok_and(|state| state.active);
    let what = if runs {
        format!("{name} is running, but could not start again: its configuration on disk is broken")
    } else {
        format!("{name} could not start: its configuration on disk is broken")
    };
    let hint = format!("{}; nothing was changed, and {name} was not touched", broken.hint());
    Problem { path: server.id.to_owned(), ..Problem::new(format!("{what}: {}", broken.told()), hint) }
}

/// Each server once, although several actions may reload it.
fn touched<'a>(plan: &'a Plan, changes: &dyn Fn(&str) -> bool) -> Vec<Touched<'a>> {
    let mut known = BTreeSet::new();
    let mut servers = Vec::new();
    for planned in &plan.actions {
        let id = planned.id.as_str();
        match &planned.action {
            Action::Service(service) if service.running && (changes(id) || follows(service, changes)) => {
                servers.push(Touched { id, manager: service.manager, name: &service.name, test: &service.test });
            }
            Action::Sshd(_) if changes(id) => {
                servers.push(Touched { id, manager: Manager::Systemd, name: "ssh.service", test: &[] });
            }
            Action::Acme(acme) if changes(id) => {
                let reloaded = acme.reload.iter();
                servers.extend(reloaded.map(|name| Touched { id, manager: Manager::Systemd, name, test: &[] }));
            }
            _ => {}
        }
    }
    // An action that names a test has more detail.
    servers.sort_by_key(|server| server.test.is_empty());
    servers.retain(|server| known.insert(server.name.trim_end_matches(".service")));
    servers
}

fn follows(service: &Service, changes: &dyn Fn(&str) -> bool) -> bool {
    service.restart_after.iter().chain(&service.reload_after).any(|id| changes(id))
}

/// Files that the plan writes or removes, with the targets of their links.
fn replaced(host: &dyn Host, plan: &Plan, changes: &dyn Fn(&str) -> bool) -> BTreeSet<PathBuf> {
    let written = plan.actions.iter().filter(|planned| changes(&planned.id)).flat_map(|planned| {
        let is_whole = matches!(
            &planned.action,
            Action::File(_) | Action::Symlink(_) | Action::Remove(_) | Action::Certificate(_) | Action::Acme(_)
        );
        if is_whole { planned.action.act().brings().paths } else { Vec::new() }
    });
    let mut paths: BTreeSet<PathBuf> = written.collect();
    // A site is named by the link in sites-enabled, and written in sites-available.
    let links = plan.actions.iter().filter_map(|planned| match &planned.action {
        Action::Symlink(link) => Some(&link.path),
        _ => None,
    });
    for link in links {
        let Ok(target) = host.read_link(link) else { continue };
        if paths.contains(&absolute(link, &target)) {
            paths.insert(link.clone());
        }
    }
    paths
}

/// The target of a link, with `..` resolved.
fn absolute(link: &Path, target: &Path) -> PathBuf {
    let mut path = link.parent().unwrap_or(Path::new("/")).to_owned();
    for part in target.components() {
        match part {
            std::path::Component::ParentDir => {
                path.pop();
            }
            std::path::Component::CurDir => {}
            part => path.push(part),
        }
    }
    path
}

#[cfg(test)]
mod tests;
