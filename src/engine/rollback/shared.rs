//! What several runs use stays until the last of them is rolled back.
//!
//! Runs lie on the server in layers, in the order in which they started. A run may use what earlier ones made, whether
//! or not a record says so; it cannot use what came later. A record is therefore carried out unless a *later* run that
//! is still in place uses what it would remove. What a run uses is in its plan: what its actions add, who owns it, what
//! its files name.
//!
//! | record | stays when a later run |
//! |---|---|
//! | packages | names them, or has what depends on them; the others of the transaction are purged |
//! | file, link, directory, tree | brings or names this path or one below it |
//! | user, membership | has the user, owns files as it, runs something as it; puts it into the group |
//! | service | has an action for it |
//! | database | has the same database; of a shared role only the role stays |
//! | broker's user and virtual host, certificate of an authority | has the same |
//! | firewall | has set it up, too; what only this run let in is closed, where that is in a file of its own |
//! | SSH | has set it up, too: all of it stays |
//! | command | has the same one, or one of its words is such a path, user or service |

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::action::{Action, release};
use crate::engine::journal::Journal;
use crate::plan::Plan;
use crate::system::packages::listed;
use crate::system::packages::status::Database;
use crate::undo::Undo;

/// What a run uses of the server.
#[derive(Clone, Debug, Default)]
pub struct Used {
    /// The run.
    pub run: String,
    packages: BTreeSet<String>,
    /// Users and groups.
    accounts: BTreeSet<String>,
    memberships: BTreeSet<(String, String)>,
    /// `manager:name`.
    services: BTreeSet<String>,
    /// With every directory above them.
    paths: BTreeSet<PathBuf>,
    firewall: bool,
    sshd: bool,
    /// Databases, as engine and name.
    databases: BTreeSet<(String, String)>,
    /// Engine and name.
    roles: BTreeSet<(String, String)>,
    broker_users: BTreeSet<String>,
    vhosts: BTreeSet<String>,
    certificates: BTreeSet<String>,
    /// Undo commands that its own actions declare.
    commands: BTreeSet<Vec<String>>,
}

impl Used {
    /// What the run with this plan and this journal uses.
    pub fn of(run: &str, plan: &Plan, journal: &Journal) -> Self {
        let mut used = Self { run: run.to_owned(), ..Self::default() };
        for planned in &plan.actions {
            let brings = planned.action.act().brings();
            used.packages.extend(brings.packages);
            used.accounts.extend(brings.users);
            used.services.extend(brings.services);
            for path in &brings.paths {
                used.path(path);
            }
            used.kind(&planned.action);
            if let Ok(body) = serde_json::to_value(&planned.action) {
                used.named(&body, "");
            }
        }
        // What an earlier plan of the run left counts, too.
        for undo in journal.entries().iter().filter(|entry| !entry.undone).flat_map(|entry| &entry.undo) {
            if let Some(path) = path_of(undo) {
                used.path(path);
            }
        }
        used
    }

    fn kind(&mut self, action: &Action) {
        match action {
            Action::User(user) => {
                self.memberships.extend(user.groups.iter().map(|group| (user.name.clone(), group.clone())));
            }
            Action::Firewall(_) => self.firewall = true,
            Action::Sshd(_) => self.sshd = true,
            Action::Database(database) => {
                let engine = database.engine.id().to_owned();
                self.roles.insert((engine.clone(), database.role.clone()));
                self.databases.insert((engine, database.name.clone()));
            }
            Action::Rabbitmq(broker) => {
                self.broker_users.insert(broker.user.clone());
                self.vhosts.insert(broker.vhost.clone());
            }
            Action::Acme(acme) => drop(self.certificates.insert(acme.name.clone())),
            Action::Command(command) if !command.undo.is_empty() => drop(self.commands.insert(command.undo.clone())),
            _ => {}
        }
    }

    /// Accounts and paths that an action names, in the text of files, too.
    fn named(&mut self, value: &Value, key: &str) {
        match value {
            Value::String(text) => {
                if matches!(key, "owner" | "group" | "user" | "groups" | "key_group" | "role") {
                    self.accounts.insert(text.clone());
                }
                for path in paths_in(text) {
                    self.path(Path::new(path));
                }
            }
            Value::Array(list) => list.iter().for_each(|value| self.named(value, key)),
            Value::Object(fields) => fields.iter().for_each(|(key, value)| self.named(value, key)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn path(&mut self, path: &Path) {
        // `/` is always in use, and no run made it.
        for above in path.ancestors().filter(|above| above.parent().is_some()) {
            if !self.paths.insert(above.to_owned()) {
                break;
            }
        }
    }

    fn has_path(&self, path: &Path) -> bool {
        let is = |path: &Path| {
            self.paths.contains(path) || release::path_of(path).is_some_and(|of| self.paths.contains(&of))
        };
        is(path)
            || path.parent().is_some_and(|parent| release::path_of(parent).is_some_and(|of| self.paths.contains(&of)))
    }

    /// Whether it has an action for this service, `manager:name`.
    pub fn has(&self, service: &str) -> bool {
        self.services.contains(service)
    }

    /// Whether what this record would remove is in use. Packages and databases are checked one by one.
    fn uses(&self, undo: &Undo) -> bool {
        match undo {
            Undo::User { name, .. } => self.accounts.contains(name),
            Undo::Membership { user, group } => self.memberships.contains(&(user.clone(), group.clone())),
            Undo::Service { manager, name, .. } => self.has(&format!("{manager}:{name}")),
            Undo::Database { engine, name, .. } => self.databases.contains(&(engine.clone(), name.clone())),
            Undo::Rabbitmq { user, vhost, .. } => self.broker_users.contains(user) || self.vhosts.contains(vhost),
            Undo::Firewall { .. } => self.firewall,
            Undo::Sshd { .. } => self.sshd,
            Undo::AcmeCertificate { name } => self.certificates.contains(name),
            Undo::Command { argv, .. } => self.commands.contains(argv) || argv.iter().any(|word| self.knows(word)),
            Undo::Packages { .. } | Undo::Tools { .. } | Undo::Stays { .. } => false,
            Undo::Restore { path, .. }
            | Undo::Remove { path }
            | Undo::RemoveDir { path }
            | Undo::RemoveTree { path }
            | Undo::RemoveData { path }
            | Undo::Unedit { path, .. } => self.has_path(path),
        }
    }

    /// Whether a word of a command names something in use.
    fn knows(&self, word: &str) -> bool {
        let service = |name: &String| name.split_once(':').is_some_and(|(_, name)| name == word);
        self.accounts.contains(word)
            || self.services.iter().any(service)
            || (word.starts_with('/') && self.paths.contains(Path::new(word)))
    }
}

/// The records of an action, as far as they can be carried out now.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// To be carried out, in their order.
    pub now: Vec<Undo>,
    /// Kept until the last run that uses it is rolled back.
    pub later: Vec<Undo>,
    /// Who uses it.
    pub used_by: BTreeSet<String>,
}

/// Which of these records remove what `users` use. `packages` are those installed now.
pub fn split(records: &[Undo], users: &[&Used], packages: &Database) -> Split {
    let mut split = Split::default();
    // The SSH server reloads its files once all of them are restored; half of them is worse than none.
    let sshd = records.iter().any(|undo| matches!(undo, Undo::Sshd { .. }));
    // The unit that loads the rules at boot loads those of every run.
    let firewall = records.iter().any(|undo| matches!(undo, Undo::Firewall { .. }));
    let with_it = |user: &Used, undo: &Undo| {
        (sshd && user.sshd) || (firewall && user.firewall && matches!(undo, Undo::Service { .. }))
    };
    for undo in records {
        let by = |uses: &dyn Fn(&Used) -> bool| -> Vec<String> {
            users.iter().filter(|user| uses(user)).map(|user| user.run.clone()).collect()
        };
        let users_of = by(&|user| with_it(user, undo) || user.uses(undo));
        if !users_of.is_empty() {
            split.later.push(undo.clone());
            split.used_by.extend(users_of);
            continue;
        }
        match undo {
            Undo::Packages { before, planned } => split_packages(&mut split, before, planned, users, packages),
            Undo::Database { engine, name, role, database_existed, before, cluster, closed, .. } => {
                let users_of = by(&|user| user.roles.contains(&(engine.clone(), role.clone())));
                if users_of.is_empty() || role.is_empty() {
                    split.now.push(undo.clone());
                    continue;
                }
                // The role stays as it is; only the database belongs to this run.
                // What was closed to the role stays closed as long as the role exists.
                let of = |database_existed, role_existed, before, closed: &[_]| Undo::Database {
                    cluster: cluster.clone(),
                    closed: closed.to_vec(),
                    engine: engine.clone(),
                    name: name.clone(),
                    role: role.clone(),
                    database_existed,
                    role_existed,
                    before,
                };
                if !database_existed {
                    split.now.push(of(false, true, None, &[]));
                }
                if let Undo::Database { role_existed, .. } = undo {
                    split.later.push(of(true, *role_existed, before.clone(), closed));
                }
                split.used_by.extend(users_of);
            }
            _ => split.now.push(undo.clone()),
        }
    }
    split
}

fn split_packages(
    split: &mut Split,
    before: &[String],
    planned: &[(String, String)],
    users: &[&Used],
    packages: &Database,
) {
    let ours: BTreeSet<String> =
        planned.iter().map(|(name, _)| name).filter(|name| !before.contains(name)).cloned().collect();
    let asked: BTreeSet<&str> = users.iter().flat_map(|user| &user.packages).map(String::as_str).collect();
    let stay = if users.is_empty() { BTreeSet::new() } else { packages.needed(&ours, &asked) };
    let record = |keep: bool, more: &BTreeSet<String>| Undo::Packages {
        before: before.iter().chain(more).cloned().collect(),
        planned: planned.iter().filter(|(name, _)| stay.contains(name) == keep).cloned().collect(),
    };
    if stay.len() < ours.len() || stay.is_empty() {
        // For this record, packages that stay count as installed before.
        split.now.push(record(false, &stay));
    }
    if !stay.is_empty() {
        split.later.push(record(true, &BTreeSet::new()));
        let of = |user: &&&Used| {
            let asked = user.packages.iter().map(String::as_str).collect();
            !packages.needed(&ours, &asked).is_empty()
        };
        split.used_by.extend(users.iter().filter(of).map(|user| user.run.clone()));
    }
}

/// What these records would remove, in words.
pub fn words(records: &[Undo]) -> String {
    let mut packages = BTreeSet::new();
    let mut things = BTreeSet::new();
    let mut paths = BTreeSet::new();
    for undo in records {
        match undo {
            Undo::Packages { before, planned } => {
                let new = planned.iter().map(|(name, _)| name).filter(|name| !before.contains(name));
                packages.extend(new.filter_map(|name| name.split(':').next()));
            }
            Undo::User { name, .. } => drop(things.insert(format!("the user {name}"))),
            Undo::Membership { user, group } => drop(things.insert(format!("{user} in the group {group}"))),
            Undo::Service { name, .. } => drop(things.insert(name.clone())),
            Undo::Database { engine, name, role, database_existed, .. } => {
                let (kind, name) = if *database_existed { ("role", role) } else { ("database", name) };
                things.insert(format!("the {engine} {kind} {name}"));
            }
            Undo::Rabbitmq { user, .. } => drop(things.insert(format!("the broker's user {user}"))),
            Undo::Firewall { .. } => drop(things.insert("the firewall".to_owned())),
            Undo::Sshd { .. } => drop(things.insert("the settings of SSH".to_owned())),
            Undo::AcmeCertificate { name } => drop(things.insert(format!("the certificate {name}"))),
            Undo::Command { describe, .. } => drop(things.insert(format!("\"{describe}\""))),
            Undo::Stays { what, .. } => drop(things.insert(what.clone())),
            _ => paths.extend(path_of(undo).map(|path| path.display().to_string())),
        }
    }
    // Readers know programs by name; libraries come last.
    let (libraries, mut names): (Vec<&str>, Vec<&str>) = packages.into_iter().partition(|name| name.starts_with("lib"));
    names.extend(libraries);
    let packages = (!names.is_empty()).then(|| format!("the packages {}", listed(names)));
    let paths = (!paths.is_empty()).then(|| listed(paths));
    let things = (!things.is_empty()).then(|| listed(things));
    [packages, things, paths].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// The path that a record is about.
fn path_of(undo: &Undo) -> Option<&Path> {
    match undo {
        Undo::RemoveDir { path } | Undo::RemoveTree { path } | Undo::RemoveData { path } => Some(path),
        _ => undo.path(),
    }
}

/// The absolute paths in a text.
fn paths_in(text: &str) -> impl Iterator<Item = &str> {
    let is_part = |c: char| c.is_alphanumeric() || "/._-+@~".contains(c);
    text.split(move |c: char| !is_part(c)).filter_map(|word| {
        let word = word.trim_end_matches(['.', '/']);
        (word.starts_with('/') && !word.starts_with("//")).then_some(word)
    })
}

#[cfg(test)]
mod tests;
