//! What can be known of a step before it is carried out: from its plan, or from the records that take it back.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::action::Action;
use crate::engine::journal::Journal;
use crate::undo::Undo;
use crate::undo::manifest::ManifestScope;

/// What can be known of a step from its plan or its records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Footprint {
    /// The action, or the action that is rolled back.
    pub action: String,
    /// What it is.
    pub nature: Nature,
    /// Accounts and services that it makes, and words of its command.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Packages that it was to install or purge, as `name:arch`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<String>,
    /// Files that its records name: those decide.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub recorded: BTreeSet<PathBuf>,
    /// Whether it rolls something back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub back: bool,
}

/// How much a step may touch besides what its records name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Nature {
    /// Nothing: its records say it all.
    #[default]
    Recorded,
    /// Accounts, links that start services, directories of services.
    Settings,
    /// Whatever the scripts of packages touch.
    Packages,
    /// Anything.
    Program,
}

impl Nature {
    pub(super) const fn scope(self) -> Option<ManifestScope> {
        match self {
            Self::Recorded => None,
            Self::Settings => Some(ManifestScope::Settings),
            Self::Packages | Self::Program => Some(ManifestScope::Disk),
        }
    }
}

impl Footprint {
    /// What is known of an action before it is carried out; `undo` are its records.
    pub fn of(action: &Action, id: &str, undo: &[Undo]) -> Self {
        let nature = match action {
            Action::Packages(_) => Nature::Packages,
            Action::Command(_) | Action::Acme(_) | Action::PythonEnv(_) | Action::Source(_) => Nature::Program,
            Action::User(_)
            | Action::Service(_)
            | Action::Database(_)
            | Action::Rabbitmq(_)
            | Action::Firewall(_)
            | Action::Sshd(_)
            | Action::Certificate(_) => Nature::Settings,
            Action::File(_) | Action::Edit(_) | Action::Directory(_) | Action::Symlink(_) | Action::Remove(_) => {
                Nature::Recorded
            }
        };
        let mut step = Self { action: id.to_owned(), nature, ..Self::names(undo) };
        if let Action::User(user) = action {
            step.names.push(user.name.clone());
        }
        step
    }

    /// Leaves the files alone that records of any action of the run name, which a step may put back on its way: those
    /// records decide. What the scripts of packages did to them is known by windows alone.
    #[must_use]
    pub fn besides(mut self, journal: &Journal) -> Self {
        if self.nature != Nature::Packages {
            let records = journal.entries().iter().flat_map(|entry| &entry.undo);
            self.recorded.extend(records.filter_map(Undo::path).map(Path::to_owned));
        }
        self
    }

    /// What is known of rolling an action back by these records.
    pub fn back(id: &str, undo: &[Undo]) -> Self {
        let nature = undo.iter().map(|record| match record {
            Undo::Packages { .. } => Nature::Packages,
            Undo::Command { .. } | Undo::AcmeCertificate { .. } => Nature::Program,
            Undo::User { .. }
            | Undo::Membership { .. }
            | Undo::Service { .. }
            | Undo::Database { .. }
            | Undo::Rabbitmq { .. }
            | Undo::Firewall { .. }
            | Undo::Sshd { .. } => Nature::Settings,
            Undo::Restore { .. }
            | Undo::Remove { .. }
            | Undo::RemoveDir { .. }
            | Undo::RemoveTree { .. }
            | Undo::RemoveData { .. }
            | Undo::Unedit { .. }
            | Undo::Stays { .. } => Nature::Recorded,
        });
        let strongest = |a: Nature, b: Nature| if a.rank() >= b.rank() { a } else { b };
        let nature = nature.fold(Nature::Recorded, strongest);
        Self { action: id.to_owned(), nature, back: true, ..Self::names(undo) }
    }

    /// Accounts, services and packages in these records.
    fn names(undo: &[Undo]) -> Self {
        let mut step = Self::default();
        for record in undo {
            step.recorded.extend(record.path().map(Path::to_owned));
            match record {
                Undo::Firewall { files, .. } => step.recorded.extend(files.iter().map(|(path, _)| path.clone())),
                Undo::Packages { before, planned } => {
                    let new = planned.iter().map(|(name, _)| name).filter(|name| !before.contains(name));
                    step.packages.extend(new.cloned());
                }
                Undo::User { name, .. } | Undo::Service { name, .. } => step.names.push(name.clone()),
                Undo::Membership { user, .. } => step.names.push(user.clone()),
                Undo::Command { argv, .. } => {
                    let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@');
                    let words = argv.iter().flat_map(|word| word.split(|c| !is_of_name(c)));
                    step.names.extend(words.filter(|word| !word.is_empty()).map(str::to_owned));
                }
                _ => {}
            }
        }
        step
    }
}

impl Nature {
    const fn rank(self) -> u8 {
        match self {
            Self::Recorded => 0,
            Self::Settings => 1,
            Self::Program => 2,
            Self::Packages => 3,
        }
    }
}
