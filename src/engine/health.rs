//! What is applied on this server, and its health: one source for the wizard's first page, line mode and `bringup
//! status`.
//!
//! Checking changes nothing and takes no lock. What cannot be determined is reported as unknown, never as fine.

use std::collections::BTreeSet;
use std::sync::mpsc;
use std::time::Duration;

use serde::Serialize;

use crate::engine::runs::{self, Run, RunStatus};
use crate::facts::Application;
use crate::host::{Host, Stamp};
use crate::plan::{OutputLine, Plan, Planned, PlannedProof};

mod checks;
pub mod verify;

/// Timeout after which a finding is reported as unknown. What it waits for has shorter timeouts of its own.
const LIMIT: Duration = Duration::from_secs(20);

/// An application that is applied here.
#[derive(Clone, Debug)]
pub struct Installed {
    /// The application.
    pub application: Application,
    /// Its guide's title.
    pub title: String,
    /// Its newest run that is in place.
    pub run: String,
    /// The state of that run.
    pub state: RunStatus,
    /// When it began.
    pub at: Stamp,
    /// Number of changes in place of all its runs, each action once.
    pub changes: usize,
    /// Its newest run that ended; none where no run did.
    pub ended: Option<String>,
    /// The plan of that run, else of its newest; none where it cannot be read.
    pub plan: Option<Plan>,
    /// The commit of its sources that is in place, where they are a repository's.
    pub commit: Option<String>,
    /// Stages that were rolled back separately.
    pub gone: BTreeSet<String>,
}

impl Installed {
    /// Its name: the one in its answers, else its guide's id.
    pub fn name(&self) -> &str {
        if self.application.name.is_empty() { &self.application.guide } else { &self.application.name }
    }

    /// What is installed: the origin of the sources, and the version that was requested.
    pub fn version(&self) -> String {
        self.actions().find_map(|planned| checks::version(&planned.action, self.commit.as_deref())).unwrap_or_default()
    }

    /// The guide's outputs.
    pub fn outputs(&self) -> &[OutputLine] {
        self.plan.as_ref().map(|plan| plan.outputs.as_slice()).unwrap_or_default()
    }

    /// The systemd units that it runs.
    pub fn units(&self) -> Vec<String> {
        self.actions().filter_map(|planned| checks::unit(&planned.action)).collect()
    }

    /// Its actions whose stages are in place.
    fn actions(&self) -> impl Iterator<Item = &Planned> {
        self.plan.iter().flat_map(|plan| &plan.actions).filter(|planned| !self.gone.contains(&planned.stage))
    }

    /// Its proofs whose stages are in place.
    fn proofs(&self) -> impl Iterator<Item = &PlannedProof> {
        self.plan.iter().flat_map(|plan| &plan.proofs).filter(|planned| !self.gone.contains(&planned.stage))
    }
}

/// Every application that is in place, the newest first.
pub fn installed(host: &dyn Host, all: &[Run]) -> Vec<Installed> {
    let mut found: Vec<Installed> = Vec::new();
    let mut actions: Vec<BTreeSet<String>> = Vec::new();
    for run in runs::standing(all).rev() {
        let mut plan = run.dir.plan(host).ok();
        let nameless = Application { guide: run.journal.header.guide.clone(), ..Application::default() };
        let application = plan.as_ref().map_or(nameless, Plan::application);
        if let Some(plan) = &mut plan {
            plan.outputs = outputs(host, plan);
        }
        let ended = matches!(run.state, RunStatus::Done | RunStatus::ProofFailed);
        let own = run.journal.entries().iter().filter(|entry| !entry.undone && entry.used_by.is_empty());
        let own = own.map(|entry| entry.action.clone());
        if let Some(at) = found.iter().position(|known| known.application.is_same(&application)) {
            actions[at].extend(own);
            let known = &mut found[at];
            if ended && known.ended.is_none() {
                (known.ended, known.plan) = (Some(run.dir.id.clone()), plan);
            }
            continue;
        }
        actions.push(own.collect());
        found.push(Installed {
            title: plan.as_ref().map_or_else(|| application.guide.clone(), |plan| plan.title.clone()),
            run: run.dir.id.clone(),
            state: run.state,
            at: run.journal.header.at,
            changes: 0,
            ended: ended.then(|| run.dir.id.clone()),
            commit: None,
            gone: runs::stages_gone(host, all, &application),
            application,
            plan,
        });
    }
    for (installed, actions) in found.iter_mut().zip(actions) {
        installed.changes = actions.len();
        let commit = installed.actions().find_map(|planned| checks::commit(host, &planned.action));
        installed.commit = commit;
    }
    found
}

/// A guide's output with present values in the place of planned ones: an authority may not have issued the certificate.
pub fn outputs(host: &dyn Host, plan: &Plan) -> Vec<OutputLine> {
    let mut outputs = plan.outputs.clone();
    for planned in &plan.actions {
        let Some((path, finding)) = checks::certificate(host, &planned.action) else { continue };
        let path = path.display().to_string();
        for line in outputs.iter_mut().filter(|line| line.value.split(' ').next() == Some(&path)) {
            line.value = format!("{path}: {}", finding.found);
        }
    }
    outputs
}

/// The level of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// As it should be.
    Good,
    /// Needs attention.
    Warning,
    /// It is broken.
    Problem,
    /// Cannot be determined.
    Unknown,
}

/// A finding about one aspect of an application, or of the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The aspect: one of [`TITLES`].
    pub title: &'static str,
    /// Its level.
    pub level: Level,
    /// The finding, in one line.
    pub found: String,
    /// What to do; empty where nothing is to be done.
    pub fix: String,
}

/// The aspects of each application, in order; those that do not apply are left out.
pub const TITLES: [&str; 5] = ["Proofs", "Services", "Certificate", "Backup", "Drift"];
/// The aspects of the server.
pub const SERVER: [&str; 1] = ["Updates"];

impl Finding {
    fn new(title: &'static str, level: Level, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { title, level, found: found.into(), fix: fix.into() }
    }

    fn good(title: &'static str, found: impl Into<String>) -> Self {
        Self::new(title, Level::Good, found, "")
    }

    fn unknown(title: &'static str, why: impl std::fmt::Display, fix: impl Into<String>) -> Self {
        Self::new(title, Level::Unknown, format!("Cannot tell: {why}"), fix)
    }
}

/// A check of an application; none where it does not apply.
type Check = fn(&dyn Host, &[Run], &Installed) -> Option<Finding>;

const CHECKS: [Check; 5] = [
    |host, _, it| Some(verify::last(host, it)),
    |host, _, it| checks::services(host, it),
    |host, _, it| checks::certificate_of(host, it),
    |host, _, it| checks::backup(host, it),
    |host, all, it| Some(checks::drift(host, all, it)),
];

/// Runs all checks in parallel. Each finding is passed to `tell` as soon as it is known, with the index of its
/// application; none for the server.
pub fn look(host: &dyn Host, all: &[Run], installed: &[Installed], tell: &(dyn Fn(Option<usize>, Finding) + Sync)) {
    look_within(host, all, installed, tell, LIMIT);
}

fn look_within(
    host: &dyn Host,
    all: &[Run],
    installed: &[Installed],
    tell: &(dyn Fn(Option<usize>, Finding) + Sync),
    limit: Duration,
) {
    std::thread::scope(|scope| {
        let (sender, findings) = mpsc::channel();
        let mut missing = Vec::new();
        for (at, it) in installed.iter().enumerate() {
            for (check, title) in CHECKS.into_iter().zip(TITLES) {
                let sender = sender.clone();
                missing.push((Some(at), title));
                // The receiver has stopped listening: the finding came too late.
                scope.spawn(move || drop(sender.send((Some(at), title, check(host, all, it)))));
            }
        }
        missing.push((None, SERVER[0]));
        scope.spawn(move || drop(sender.send((None, SERVER[0], Some(checks::updates(host))))));
        let start = host.now();
        while let Ok((at, title, finding)) = findings.recv_timeout(limit.saturating_sub(host.now().since(start))) {
            missing.retain(|other| *other != (at, title));
            if let Some(finding) = finding {
                tell(at, finding);
            }
        }
        for (at, title) in missing {
            tell(at, Finding::unknown(title, format!("no answer after {} s", limit.as_secs()), ""));
        }
    });
}

#[cfg(test)]
mod tests;
