//! What is known of the server besides its facts: the checks, the runs in place, what guides lack here.

use std::collections::BTreeMap;

use crate::engine::detach;
use crate::engine::runs::{self, RunStatus};
use crate::host::Host;
use crate::preflight::{self, Check, checks};
use crate::ui::fit::Fit;

/// A run in place on this server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Earlier {
    /// Its id.
    pub run: String,
    /// Its guide's id.
    pub guide: String,
    /// What has become of it.
    pub state: RunStatus,
    /// Number of its changes in place.
    pub changes: usize,
}

impl Earlier {
    /// Every run in place, oldest first; none without permission to read them. A check reports what cannot be read.
    pub fn all(host: &dyn Host) -> Vec<Self> {
        let all = runs::all(host, detach::running(host).as_deref()).unwrap_or_default();
        runs::standing(&all)
            .map(|run| Self {
                run: run.dir.id.clone(),
                guide: run.journal.header.guide.clone(),
                state: run.state,
                changes: run.journal.standing(),
            })
            .collect()
    }

    /// Its status, in a few words.
    pub const fn words(&self) -> &'static str {
        match self.state {
            RunStatus::Running => "is running now",
            RunStatus::Unfinished => "was interrupted",
            RunStatus::RollbackUnfinished => "was interrupted during its rollback",
            RunStatus::ProofFailed => "in place, but a proof failed",
            RunStatus::Done | RunStatus::RolledBack => "in place",
        }
    }
}

/// What is known of the server so far.
#[derive(Debug, Default)]
pub struct ServerStatus {
    /// The checks that are done, in any order.
    checks: Vec<Check>,
    /// The runs in place, oldest first.
    pub runs: Vec<Earlier>,
    /// How every guide fits it, by the guide's id; none before that is known.
    pub fits: BTreeMap<String, Fit>,
    /// The guide that was chosen while the server was being probed, or that is being read.
    pub wanted: Option<String>,
    /// Whose answers are wanted then: an application's, by its run.
    pub wanted_run: Option<String>,
    /// Why the last one could not be opened.
    pub refused: Option<String>,
}

/// A check, done or not.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// Its title.
    pub title: &'static str,
    /// What it came to.
    pub check: Option<&'a Check>,
}

impl ServerStatus {
    /// A check is done.
    pub fn learn(&mut self, check: Check) {
        self.checks.retain(|known| known.id != check.id);
        self.checks.push(check);
    }

    /// Everything is to be checked again.
    pub fn forget(&mut self) {
        self.checks.clear();
    }

    /// The guide could not be read.
    pub fn not_opened(&mut self, why: String) {
        self.wanted = None;
        self.refused = Some(why);
    }

    /// Every check: what is not well first, the rest in its order.
    pub fn lines(&self) -> Vec<Line<'_>> {
        let known = |id: &str| self.checks.iter().find(|check| check.id == id);
        let mut lines: Vec<Line<'_>> = checks().map(|(id, title)| Line { title, check: known(id) }).collect();
        lines.sort_by_key(|line| std::cmp::Reverse(line.check.map_or(preflight::CheckStatus::Ok, |check| check.state)));
        lines
    }

    /// How many checks came to this.
    pub fn count(&self, state: preflight::CheckStatus) -> usize {
        self.checks.iter().filter(|check| check.state == state).count()
    }

    /// How many checks are still at work.
    pub fn pending(&self) -> usize {
        checks().count().saturating_sub(self.checks.len())
    }

    /// What would make a run fail.
    pub fn problems(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| check.state == preflight::CheckStatus::Problem)
    }
}
