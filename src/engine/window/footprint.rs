//! What is known of a step in advance: from its plan, or from the records that undo it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::action::Action;
use crate::engine::journal::Journal;
use crate::undo::Undo;
use crate::undo::manifest::ManifestScope;

/// What is known of a step from its plan or its records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Footprint {
    /// The action, or the action that is rolled back.
    pub action: String,
    /// How much it may touch.
    pub nature: Nature,
    /// Accounts and services that it makes, and words of its command.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Packages that it was to install or purge, as `name:arch`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<String>,
    /// Files that its records name: the records decide about these.
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
    /// Nothing: its records are complete.
    #[default]
    Recorded,
    /// Accounts, links that start services, directories of services.
    Settings,
    /// Anything that maintainer scripts touch.
    Packages,
    /// Anything.
    Program,
    /// A program, and the packages that only it needs.
    ProgramWithPackages,
}

impl Nature {
    pub(super) const fn scope(self) -> Option<ManifestScope> {
        match self {
            Self::Recorded => None,
            Self::Settings => Some(ManifestScope::Settings),
            Self::Packages | Self::Program | Self::ProgramWithPackages => Some(ManifestScope::Disk),
        }
    }

    /// Whether maintainer scripts run.
    pub(super) const fn has_packages(self) -> bool {
        matches!(self, Self::Packages | Self::ProgramWithPackages)
    }

    /// Whether a program runs that may touch anything.
    pub(super) const fn has_program(self) -> bool {
        matches!(self, Self::Program | Self::ProgramWithPackages)
    }
}

impl Footprint {
    /// What is known of an action before it is applied; `undo` are its records.
    pub fn of(action: &Action, id: &str, undo: &[Undo]) -> Self {
        let nature = match action {
            Action::Packages(_) | Action::Deb(_) => Nature::Packages,
            Action::Command(command) if !command.tools.is_empty() => Nature::ProgramWithPackages,
            Action::Build(build) if !build.tools.is_empty() => Nature::ProgramWithPackages,
            Action::Command(_) | Action::Acme(_) | Action::PythonEnv(_) | Action::Source(_) | Action::Build(_) => {
                Nature::Program
            }
            Action::User(_)
            | Action::Trial(_)
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

    /// Excludes the files that records of any action of the run name, which a step may restore on its way: the records
    /// decide about those. What maintainer scripts did to them is known from windows alone.
    #[must_use]
    pub fn besides(mut self, journal: &Journal) -> Self {
        if !self.nature.has_packages() {
            let records = journal.entries().iter().flat_map(|entry| &entry.undo);
            self.recorded.extend(records.filter_map(Undo::path).map(Path::to_owned));
        }
        self
    }

    /// What is known of rolling back an action with these records.
    pub fn back(id: &str, undo: &[Undo]) -> Self {
        let nature = undo.iter().map(|record| match record {
            Undo::Packages { .. } | Undo::Tools { .. } => Nature::Packages,
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
        let nature = nature.fold(Nature::Recorded, Nature::and);
        Self { action: id.to_owned(), nature, back: true, ..Self::names(undo) }
    }

    /// Accounts, services and packages in these records.
    fn names(undo: &[Undo]) -> Self {
        let mut step = Self::default();
        for record in undo {
            step.recorded.extend(record.path().map(Path::to_owned));
            match record {
                Undo::Firewall { files, .. } => step.recorded.extend(files.iter().map(|(path, _)| path.clone())),
                Undo::Packages { before, planned } | Undo::Tools { before, planned, .. } => {
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
    /// That of a step that does both.
    const fn and(self, other: Self) -> Self {
        let packages = self.has_packages() || other.has_packages();
        let program = self.has_program() || other.has_program();
        match (packages, program) {
            (true, true) => Self::ProgramWithPackages,
            (true, false) => Self::Packages,
            (false, true) => Self::Program,
            (false, false) if matches!((self, other), (Self::Recorded, Self::Recorded)) => Self::Recorded,
            (false, false) => Self::Settings,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value, json};

    use super::*;
    use crate::engine::journal::Record;
    use crate::engine::runs::RunDir;
    use crate::host::fake::FakeHost;
    use crate::plan::Plan;

    fn records(bodies: &[Value]) -> Vec<Undo> {
        bodies.iter().map(|body| serde_json::from_value(body.clone()).unwrap()).collect()
    }

    fn bodies() -> [Value; 7] {
        [
            json!({"op": "remove", "path": "/etc/x"}),
            json!({"op": "user", "name": "shop", "with_group": true}),
            json!({"op": "service", "manager": "systemd", "name": "shop.service", "existed": false, "was_active": false, "was_enabled": false}),
            json!({"op": "membership", "user": "clerk", "group": "adm"}),
            json!({"op": "firewall", "manager": "ufw", "name": "x", "files": [["/etc/ufw/user.rules", null]]}),
            json!({"op": "command", "argv": ["certbot", "--name=blog.example.org"], "user": "", "cwd": "/", "describe": "d"}),
            json!({"op": "packages", "before": ["a:all"], "planned": [["a:all", "1"], ["b:amd64", "1"]]}),
        ]
    }

    #[test]
    fn a_step_back_knows_the_names_packages_and_files_of_its_records() {
        let step = Footprint::back("web.x", &records(&bodies()));
        assert_eq!(step.names, ["shop", "shop.service", "clerk", "certbot", "--name", "blog.example.org"]);
        assert_eq!(step.packages, ["b:amd64"]);
        let recorded: Vec<_> = step.recorded.iter().map(|path| path.display().to_string()).collect();
        assert_eq!(recorded, ["/etc/ufw/user.rules", "/etc/x"]);
        assert_eq!((step.action.as_str(), step.nature, step.back), ("web.x", Nature::ProgramWithPackages, true));
    }

    #[test]
    fn a_step_back_may_touch_as_much_as_the_strongest_of_its_records() {
        let [file, user, service, membership, firewall, command, packages] = bodies();
        let nature = |bodies: &[&Value]| {
            let bodies: Vec<Value> = bodies.iter().map(|body| (*body).clone()).collect();
            Footprint::back("x", &records(&bodies)).nature
        };
        assert_eq!(nature(&[]), Nature::Recorded);
        assert_eq!(nature(&[&file]), Nature::Recorded);
        for settings in [&user, &service, &membership, &firewall] {
            assert_eq!(nature(&[settings]), Nature::Settings);
            assert_eq!((nature(&[settings, &file]), nature(&[&file, settings])), (Nature::Settings, Nature::Settings));
            assert_eq!(nature(&[settings, &command, &file]), Nature::Program);
        }
        assert_eq!(
            (nature(&[&command, &packages]), nature(&[&packages, &command])),
            (Nature::ProgramWithPackages, Nature::ProgramWithPackages)
        );
        assert_eq!(nature(&[&packages, &user]), Nature::Packages);
        let scopes = [Nature::Recorded, Nature::Settings, Nature::Program, Nature::Packages].map(Nature::scope);
        assert_eq!(scopes, [None, Some(ManifestScope::Settings), Some(ManifestScope::Disk), Some(ManifestScope::Disk)]);
    }

    #[test]
    fn files_that_records_of_any_action_name_are_left_to_these_but_for_what_packages_do() {
        let host = FakeHost::new();
        let (_, mut journal) = RunDir::create(&host, &Plan::new("shop", "")).unwrap();
        let undo = records(&[json!({"op": "remove", "path": "/etc/other"})]);
        journal.write(&host, Record::Begin { action: "a.b".into(), stage: "a".into(), undo }).unwrap();
        let recorded = |nature| Footprint { nature, ..Footprint::default() }.besides(&journal).recorded;
        let other = BTreeSet::from([PathBuf::from("/etc/other")]);
        for nature in [Nature::Recorded, Nature::Settings, Nature::Program] {
            assert_eq!(recorded(nature), other);
        }
        assert_eq!(recorded(Nature::Packages), BTreeSet::new());
    }
}
