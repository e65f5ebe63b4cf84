//! What is applied on this server, and how well it is: one source for the wizard's first page, line mode and
//! `bringup status`.
//!
//! Looking changes nothing and takes no lock. What cannot be told is told as such, never as fine.

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

/// A finding that has not come after this long is told as unknown. What it waits for has shorter limits of its own.
const LIMIT: Duration = Duration::from_secs(20);

/// An application that is applied here.
#[derive(Clone, Debug)]
pub struct Installed {
    /// Which one.
    pub application: Application,
    /// Its guide's title.
    pub title: String,
    /// Its newest run that is in place.
    pub run: String,
    /// What has become of that.
    pub state: RunStatus,
    /// When it began.
    pub at: Stamp,
    /// Changes that are in place, of all its runs: each action once.
    pub changes: usize,
    /// Its newest run that came to its end; none where no run did.
    pub ended: Option<String>,
    /// The plan of that, else of its newest run; none where it cannot be read.
    pub plan: Option<Plan>,
    /// Stages that were rolled back by themselves.
    pub gone: BTreeSet<String>,
}

impl Installed {
    /// What it is called: the name that its answers give it, else its guide's id.
    pub fn name(&self) -> &str {
        if self.application.name.is_empty() { &self.application.guide } else { &self.application.name }
    }

    /// What is installed: where the sources are from, and which version of them was asked for.
    pub fn version(&self) -> String {
        self.actions().find_map(|planned| checks::version(&planned.action)).unwrap_or_default()
    }

    /// What its guide shows at the end.
    pub fn outputs(&self) -> &[OutputLine] {
        self.plan.as_ref().map(|plan| plan.outputs.as_slice()).unwrap_or_default()
    }

    /// The units of systemd that it runs.
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
            gone: runs::stages_gone(host, all, &application),
            application,
            plan,
        });
    }
    for (installed, actions) in found.iter_mut().zip(actions) {
        installed.changes = actions.len();
    }
    found
}

/// What a guide shows at the end, with what is known now in the place of what was planned: an authority may not have
/// issued the certificate.
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

/// How well something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// As it should be.
    Good,
    /// Somebody should look at it.
    Warning,
    /// It is broken.
    Problem,
    /// It cannot be told.
    Unknown,
}

/// What was found about one side of an application, or of the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is about: one of [`TITLES`].
    pub title: &'static str,
    /// How well that is.
    pub level: Level,
    /// In one line.
    pub found: String,
    /// What to do; empty where there is nothing to do.
    pub fix: String,
}

/// What is looked at for each application, in order; what it has no part in is left out.
pub const TITLES: [&str; 5] = ["Proofs", "Services", "Certificate", "Backup", "Drift"];
/// What is looked at for the server.
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

/// A check of an application; none where it has no part in that.
type Check = fn(&dyn Host, &[Run], &Installed) -> Option<Finding>;

const CHECKS: [Check; 5] = [
    |host, _, it| Some(verify::last(host, it)),
    |host, _, it| checks::services(host, it),
    |host, _, it| checks::certificate_of(host, it),
    |host, _, it| checks::backup(host, it),
    |host, all, it| Some(checks::drift(host, all, it)),
];

/// Looks at all of it side by side. Each finding is handed to `tell` as soon as it is known, with the place of its
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
                // Nobody listens any more to one that comes too late.
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
