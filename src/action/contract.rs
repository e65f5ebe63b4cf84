//! The contract of every kind of action: the verbs, their context, and their results.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::Outcome;
use crate::host::Host;
use crate::progress::Progress;
use crate::secret::Secrets;
use crate::undo::{Blobs, Carry, Undo};

/// What an action works with.
pub struct Context<'a> {
    /// The server.
    pub host: &'a dyn Host,
    /// Values for the placeholders in the plan.
    pub secrets: &'a Secrets,
    /// Where before-images are kept.
    pub blobs: &'a Blobs,
    /// The log file for the whole output of the action's commands.
    pub log: &'a Path,
    /// Whether the action with this id has changed something in this run.
    pub changed: &'a (dyn Fn(&str) -> bool + Sync),
    /// The undo records of what the actions with these ids changed in this run, in the order in which they are carried
    /// out.
    pub undo_records_of: &'a (dyn Fn(&[String]) -> Vec<Undo> + Sync),
    /// How records are carried out.
    pub carry: Carry,
    /// Reports progress.
    pub progress: &'a (dyn Fn(Progress) + Sync),
}

/// What `check` found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing to do, and nothing to undo.
    #[serde(rename = "already_so")]
    Unchanged,
    /// Applying will change something.
    #[serde(rename = "will_change")]
    WouldChange(Change),
    /// Not checked, in words: the check is a command of the guide's, and a preview runs none.
    NotAsked(String),
}

/// What applying would change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// One line, such as "create /etc/nginx/sites-available/webapp".
    pub summary: String,
    /// Unified diff of a file, with placeholders for secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
}

impl Verdict {
    /// A change described by one line.
    pub fn change(summary: impl Into<String>) -> Self {
        Self::WouldChange(Change { summary: summary.into(), diff: None })
    }
}

/// Whether the change can be rolled back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reversible {
    /// Fully.
    Yes,
    /// Fully, but data created since is dumped first and dropped only on request.
    WithData,
    /// Not at all, and why.
    No(String),
}

/// The three verbs of an action.
pub trait Act {
    /// What it does, as an imperative phrase with its object: "create the user webapp".
    fn describe(&self) -> String;
    /// Whether the host is already as it should be. Reads only; needs no root where the host allows it.
    fn check(&self, cx: &Context<'_>) -> Outcome<Verdict>;
    /// The records that undo the change. Changes nothing on the host; keeps before-images in [`Context::blobs`].
    fn prepare(&self, cx: &Context<'_>) -> Outcome<Vec<Undo>>;
    /// Further records for applying it over an earlier form of itself. Mostly none: the first records restore the same
    /// state.
    fn update_undo(&self, _cx: &Context<'_>) -> Outcome<Vec<Undo>> {
        Ok(Vec::new())
    }
    /// Applies the change. Safe to call again after it was interrupted anywhere.
    fn apply(&self, cx: &Context<'_>) -> Outcome<()>;
    /// Ids of actions whose change it may have rolled back when it fails: a retry starts with the first of them.
    fn may_revert(&self) -> Vec<&str> {
        Vec::new()
    }
    /// Whether it can be undone.
    fn reversible(&self) -> Reversible {
        Reversible::Yes
    }
    /// Users, ports, services and packages it adds, for the plan's summary.
    fn brings(&self) -> Brings {
        Brings::default()
    }
}

/// What an action adds to the host besides files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brings {
    /// Packages asked for by name.
    pub packages: Vec<String>,
    /// System users.
    pub users: Vec<String>,
    /// Services, as `manager:name`.
    pub services: Vec<String>,
    /// Files, links and directories written.
    pub paths: Vec<PathBuf>,
}
