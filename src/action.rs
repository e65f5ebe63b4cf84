//! Actions: the smallest reversible changes.
//!
//! An action knows three things: whether the host is already as it wants (`check`), how to make it so
//! (`apply`), and which undo records lead back (`prepare`, called before the first change and written to the
//! journal). All three may be called any number of times. The unit of reversion is the unit of action.
//!
//! Each kind lives in a file of its own. Kinds are general: nothing here knows a product.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::bytes;
use crate::engine::undo::{Blobs, Undo};
use crate::error::Outcome;
use crate::host::{Host, Stamp};
use crate::secret::Secrets;

pub mod absent;
pub mod acme;
#[cfg(test)]
mod bench;
pub mod certificate;
mod child;
pub mod command;
pub mod database;
pub(crate) mod diff;
pub mod directory;
pub mod edit;
pub mod file;
pub mod firewall;
pub(crate) mod names;
mod pace;
pub mod packages;
mod place;
pub mod python_env;
pub mod rabbitmq;
mod release;
pub mod service;
pub mod source;
pub mod sshd;
pub mod symlink;
mod tree;
pub mod user;

/// What an action works with.
pub struct Cx<'a> {
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
    pub way_back: &'a (dyn Fn(&[String]) -> Vec<Undo> + Sync),
    /// Tells how far the action is.
    pub progress: &'a (dyn Fn(Progress) + Sync),
}

/// How far an action is; sent while it works.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// A step with a known size: 0 to 100 percent, with what is being done.
    Percent {
        /// 0 to 100.
        percent: f32,
        /// What is being done, such as "unpacking nginx-common".
        note: String,
        /// How much of what is done in this part of the step, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        amount: Option<Amount>,
    },
    /// A step of unknown size.
    Note(String),
    /// A line of output.
    Output(String),
    /// Something waits for a person, and will be taken back without them.
    Deadline {
        /// When.
        at: Stamp,
        /// Seconds until then, when this was told.
        left: u64,
        /// What the person must do.
        note: String,
    },
    /// What did not go as it should although the step goes on; the last page tells it again.
    Warning(String),
}

impl Progress {
    /// What is being done, with its figures: "fetching 12.4 of 38.2 MB", "5 of 14, unpacking nginx-common",
    /// "93 s left: log in by SSH once more".
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Percent { note, amount: Some(amount), .. } => match amount.unit {
                Unit::Bytes => format!("{note} {}", bytes::part(amount.done, amount.total)).into(),
                // Figures first: a narrow line loses its end.
                Unit::Packages => format!("{} of {}, {note}", amount.done, amount.total).into(),
            },
            Self::Percent { note, amount: None, .. } | Self::Note(note) | Self::Output(note) | Self::Warning(note) => {
                note.into()
            }
            Self::Deadline { left, note, .. } => format!("{left} s left: {note}").into(),
        }
    }
}

/// How much is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// So many are done.
    pub done: u64,
    /// Of so many.
    pub total: u64,
    /// Of what.
    pub unit: Unit,
}

/// What an amount counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Bytes that are downloaded.
    Bytes,
    /// Packages that are unpacked, configured or removed.
    Packages,
}

/// What `check` found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The host is already so; nothing will be done, and nothing will be undone.
    AlreadySo,
    /// Applying will change something.
    WillChange(Change),
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
        Self::WillChange(Change { summary: summary.into(), diff: None })
    }
}

/// Whether the host can be taken back.
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
    fn check(&self, cx: &Cx<'_>) -> Outcome<Verdict>;
    /// The records that lead back from the change to the present state. Changes nothing on the host; keeps
    /// before-images in [`Cx::blobs`].
    fn prepare(&self, cx: &Cx<'_>) -> Outcome<Vec<Undo>>;
    /// What leads back from applying it over an earlier form of itself, besides what the earlier one recorded.
    /// Mostly nothing: the first way back leads to the same place.
    fn prepare_again(&self, _cx: &Cx<'_>) -> Outcome<Vec<Undo>> {
        Ok(Vec::new())
    }
    /// Makes the host so. Safe to call again after it was interrupted anywhere.
    fn apply(&self, cx: &Cx<'_>) -> Outcome<()>;
    /// Ids of actions whose change it may have taken back when it fails: a retry begins with the first of them.
    fn takes_back(&self) -> Vec<&str> {
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

/// Every kind of action, in the form it has in a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Action {
    Packages(packages::Packages),
    File(file::File),
    Edit(edit::Edit),
    Directory(directory::Directory),
    Symlink(symlink::Symlink),
    Absent(absent::Absent),
    User(user::User),
    Source(source::Source),
    PythonEnv(python_env::PythonEnv),
    Service(service::Service),
    Database(database::Database),
    Rabbitmq(rabbitmq::Rabbitmq),
    Certificate(certificate::Certificate),
    Firewall(firewall::Firewall),
    Acme(acme::Acme),
    Sshd(sshd::Sshd),
    Command(command::RawCommand),
}

impl Action {
    /// The kinds' names as a guide writes them.
    pub const KINDS: &'static [&'static str] = &[
        "packages",
        "file",
        "edit",
        "directory",
        "symlink",
        "absent",
        "user",
        "source",
        "python_env",
        "service",
        "database",
        "rabbitmq",
        "certificate",
        "firewall",
        "acme",
        "sshd",
        "command",
    ];

    /// Whether it can be applied over `earlier`, so that the host is then as if `earlier` had never been, and the
    /// way back that `earlier` recorded still leads back. Else `earlier` has to be taken back first: edits would
    /// add up, trees would lie side by side, a user would stay in his groups, and nobody knows what a command did.
    pub fn takes_over(&self, earlier: &Self) -> bool {
        match (self, earlier) {
            // A purge leaves accounts and data behind: only the way back of everything takes those, too.
            (Self::Packages(new), Self::Packages(old)) => old.names.iter().all(|name| new.names.contains(name)),
            (Self::File(new), Self::File(old)) => new.path == old.path,
            (Self::Directory(new), Self::Directory(old)) => new.path == old.path && new.data == old.data,
            (Self::Symlink(new), Self::Symlink(old)) => new.path == old.path,
            (Self::Certificate(new), Self::Certificate(old)) => {
                new.certificate == old.certificate && new.key == old.key
            }
            (Self::Service(new), Self::Service(old)) => new.manager == old.manager && new.name == old.name,
            _ => false,
        }
    }

    /// The verbs of whichever kind it is.
    pub fn act(&self) -> &dyn Act {
        match self {
            Self::Packages(a) => a,
            Self::File(a) => a,
            Self::Edit(a) => a,
            Self::Directory(a) => a,
            Self::Symlink(a) => a,
            Self::Absent(a) => a,
            Self::User(a) => a,
            Self::Source(a) => a,
            Self::PythonEnv(a) => a,
            Self::Service(a) => a,
            Self::Database(a) => a,
            Self::Rabbitmq(a) => a,
            Self::Certificate(a) => a,
            Self::Firewall(a) => a,
            Self::Acme(a) => a,
            Self::Sshd(a) => a,
            Self::Command(a) => a,
        }
    }
}
