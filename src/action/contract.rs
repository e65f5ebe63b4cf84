//! What every kind of action fulfils: the three verbs, what they work with, and what they answer.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::Outcome;
use crate::host::Host;
use crate::progress::Progress;
use crate::secret::Secrets;
use crate::undo::{Blobs, Carry, Undo};

/// What an action works with.
pub struct Context<'a> {
    /// The machine.
    pub host: &'a dyn Host,
    /// Values for the marks in the plan.
    pub secrets: &'a Secrets,
    /// Where before-images are kept.
    pub blobs: &'a Blobs,
    /// A file for the whole output of the action's commands.
    pub log: &'a Path,
    /// Whether the action with this id has changed something in this run.
    pub changed: &'a (dyn Fn(&str) -> bool + Sync),
    /// What leads back from what the actions with these ids have changed in this run, in the order in which it is to
    /// be carried out.
    pub undo_records_of: &'a (dyn Fn(&[String]) -> Vec<Undo> + Sync),
    /// How records are carried out.
    pub carry: Carry,
    /// Tells how far the action is.
    pub progress: &'a (dyn Fn(Progress) + Sync),
}

/// What `check` found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The host is already so; nothing will be done, and nothing will be undone.
    #[serde(rename = "already_so")]
    Unchanged,
    /// Applying will change something.
    #[serde(rename = "will_change")]
    WouldChange(Change),
    /// Not asked: the question is a command of the guide's, and whoever only looks runs none of those. In words.
    NotAsked(String),
}

/// What applying would change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// One line, such as "create /etc/nginx/sites-available/webapp".
    pub summary: String,
    /// Unified diff of a file, secrets as marks.
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
    /// Is the host already so? Reads only; needs no root where the host allows it.
    fn check(&self, cx: &Context<'_>) -> Outcome<Verdict>;
    /// The records that lead back from the change to the present state. Changes nothing on the host; keeps
    /// before-images in [`Context::blobs`].
    fn prepare(&self, cx: &Context<'_>) -> Outcome<Vec<Undo>>;
    /// What leads back from applying it over an earlier form of itself, besides what the earlier one recorded.
    /// Mostly nothing: the first way back leads to the same place.
    fn update_undo(&self, _cx: &Context<'_>) -> Outcome<Vec<Undo>> {
        Ok(Vec::new())
    }
    /// Makes the host so. Safe to call again after it was interrupted anywhere.
    fn apply(&self, cx: &Context<'_>) -> Outcome<()>;
    /// Ids of actions whose change it may have taken back when it fails: a retry begins with the first of them.
    fn may_revert(&self) -> Vec<&str> {
        Vec::new()
    }
    /// Whether it can be undone.
    fn reversible(&self) -> Reversible {
        Reversible::Yes
    }
    /// Users, ports, services and packages it brings, for the plan's summary.
    fn brings(&self) -> Brings {
        Brings::default()
    }
}

/// What an action brings to the host besides files.
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
