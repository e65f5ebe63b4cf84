//! Who owns the things that a plan would create or overwrite: files, directories, links, users, groups, units,
//! databases, roles, broker accounts, site names, ports.
//!
//! One rule for all of them: what exists and is not ours is refused before anything changes. Ours is what a record of a
//! run in place names, what a package installed by such a run contains, and a file that already has exactly the content
//! to be written. An action that is meant to find something there says so ([`File::may_exist`]), and the answers may
//! hand a thing over by name ([`Plan::take_over`]) where a rollback can restore it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::action::{Action, Verdict, database, rabbitmq};
use crate::engine::runs::{self, Run};
use crate::error::Problem;
use crate::host::{Host, Kind};
use crate::plan::Plan;
use crate::plan::preview::Verdicts;
use crate::system::accounts::Names;
use crate::system::packages::status::Database;
use crate::system::service::Manager;
use crate::undo::Undo;

use services::is_unit;

mod services;

/// Debian assigns these ids statically (`base-passwd`, policy 9.2.2).
const FIRST_DYNAMIC: u32 = 100;

/// The rule, over a whole plan. `runs` are all runs of this host, `verdicts` the results of checking the plan's
/// actions, `arrivals` the packages that the plan's transaction installs, and `waiting` the run that continues with
/// this plan, if any. Returns problems with the id of the action concerned, in the order of the plan. Changes nothing.
pub fn problems(
    host: &dyn Host,
    plan: &Plan,
    runs: &[Run],
    verdicts: &Verdicts,
    arrivals: &BTreeSet<String>,
    waiting: Option<&str>,
) -> Vec<Problem> {
    let mut look = Look::new(host, plan, runs, arrivals, waiting);
    for (planned, (_, verdict)) in plan.actions.iter().zip(verdicts) {
        look.action(&planned.id, &planned.action, matches!(verdict, Ok(Verdict::Unchanged)));
    }
    look.ports();
    look.problems
}

/// A run in place.
struct Standing<'a> {
    run: &'a Run,
    plan: Option<Plan>,
    /// Whether it is of the application that the plan is for.
    same: bool,
}

impl Standing<'_> {
    fn records(&self) -> impl Iterator<Item = &Undo> {
        self.run.journal.entries().iter().filter(|entry| !entry.undone).flat_map(|entry| &entry.undo)
    }

    /// Its application, for a message.
    fn owner(&self) -> String {
        let name = self.plan.as_ref().map(|plan| plan.application().name).unwrap_or_default();
        if name.is_empty() {
            format!("run {}", self.run.dir.id)
        } else {
            format!("the application {name} (run {})", self.run.dir.id)
        }
    }
}

/// The owner of a thing that exists.
enum Owner {
    Ours,
    /// Another application of ours, by its name for a message.
    Beside(String),
    Foreign,
}

struct Look<'a> {
    host: &'a dyn Host,
    plan: &'a Plan,
    standing: Vec<Standing<'a>>,
    arrivals: &'a BTreeSet<String>,
    /// What the answers handed over, for this plan or for a run in place.
    handed: BTreeSet<String>,
    /// Files of packages that our runs have installed.
    brought: Option<BTreeSet<PathBuf>>,
    problems: Vec<Problem>,
}

/// A thing that is not ours, for the message.
struct Thing<'t> {
    /// `unit:shop.service`, `user:shop`, or a path: the name to hand it over by.
    key: &'t str,
    /// "the unit shop.service".
    what: &'t str,
    /// Further details for the message; empty when there are none.
    detail: &'t str,
    /// Whether a rollback can restore it, so that it may be handed over.
    restorable: bool,
}

impl<'a> Look<'a> {
    fn new(
        host: &'a dyn Host,
        plan: &'a Plan,
        runs: &'a [Run],
        arrivals: &'a BTreeSet<String>,
        waiting: Option<&str>,
    ) -> Self {
        let own = plan.application();
        let standing: Vec<Standing<'_>> = runs::standing(runs)
            .map(|run| {
                let plan = run.dir.plan(host).ok();
                let same = waiting == Some(run.dir.id.as_str())
                    || plan.as_ref().is_some_and(|plan| plan.application().is_same(&own));
                Standing { run, plan, same }
            })
            .collect();
        let former = standing.iter().filter(|standing| standing.same).filter_map(|standing| standing.plan.as_ref());
        let handed = former.chain([plan]).flat_map(|plan| plan.take_over.iter().cloned()).collect();
        Self { host, plan, standing, arrivals, handed, brought: None, problems: Vec::new() }
    }

    fn action(&mut self, id: &str, action: &Action, identical: bool) {
        match action {
            Action::File(file) => {
                self.unit_file(id, &file.path, identical || file.may_exist);
                if !identical && !file.may_exist {
                    self.path(id, &file.path);
                }
            }
            Action::Symlink(link) if !identical && !link.may_exist => self.path(id, &link.path),
            Action::Directory(dir) if !dir.may_exist => self.directory(id, &dir.path, dir.user_data, identical),
            Action::Source(source) if !identical => self.path(id, &source.path),
            Action::PythonEnv(env) if !identical => self.path(id, &env.path),
            Action::Build(build) if !identical => self.path(id, &build.path),
            Action::Certificate(certificate) if !identical => {
                for path in [&certificate.certificate, &certificate.key] {
                    self.path(id, path);
                }
            }
            Action::Acme(acme) if !identical => self.acme(id, &acme.name),
            Action::User(user) => self.user(id, &user.name),
            Action::Database(wanted) => self.database(id, wanted),
            Action::Rabbitmq(wanted) => self.broker(id, &wanted.user, &wanted.vhost),
            Action::Service(service) => self.service(id, service),
            _ => {}
        }
    }

    /// The owner of a thing that a record can name. Another application's things are not this one's.
    fn owner(&self, alone: bool, names: &dyn Fn(&Undo) -> bool) -> Owner {
        let mut owner = Owner::Foreign;
        for standing in self.standing.iter().rev().filter(|standing| standing.records().any(names)) {
            if standing.same || !alone {
                return Owner::Ours;
            }
            owner = Owner::Beside(standing.owner());
        }
        owner
    }

    /// Refuses a thing that exists, unless it is ours or was handed over.
    fn exists(&mut self, id: &str, thing: &Thing<'_>, owner: Owner) {
        let Thing { key, what, detail, restorable } = *thing;
        let (message, restorable) = match owner {
            Owner::Ours => return,
            Owner::Beside(whose) => (format!("{what} belongs to {whose}"), false),
            Owner::Foreign if restorable && self.handed.contains(key) => return,
            Owner::Foreign => {
                let detail = if detail.is_empty() { String::new() } else { format!(" ({detail})") };
                (format!("{what} already exists{detail}, and no run of bringup created it"), restorable)
            }
        };
        let other = self.answer_behind(key);
        let other = other.map_or_else(|| "choose another name".to_owned(), |path| format!("choose another {path}"));
        let hint = if restorable {
            format!("{other}, or take it over with --take-over {key}; a rollback restores it as it is now")
        } else {
            other
        };
        // Several actions may name the same thing.
        if !self.problems.iter().any(|known| known.message == message) {
            self.problems.push(Problem { path: id.to_owned(), ..Problem::new(message, hint) });
        }
    }

    /// The question whose answer named the thing, where it can be determined.
    fn answer_behind(&self, key: &str) -> Option<&'a str> {
        let name = key.rsplit([':', '/']).next().unwrap_or(key);
        let parts: Vec<&str> = key.split([':', '/']).filter(|part| !part.is_empty()).collect();
        let begins = |value: &str| {
            name.strip_prefix(value).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-', '_']))
        };
        let mut found: Vec<(&str, &'a str)> = Vec::new();
        for answered in &self.plan.answers {
            let Some(value) = answered.value.as_str().filter(|value| value.len() > 1) else { continue };
            if begins(value) || parts.contains(&value) {
                found.push((value, answered.path.as_str()));
            }
        }
        found.into_iter().rev().max_by_key(|(value, _)| value.len()).map(|(_, path)| path)
    }

    fn path(&mut self, id: &str, path: &Path) {
        self.path_of(id, path, is_unit(path).is_some());
    }

    fn path_of(&mut self, id: &str, path: &Path, alone: bool) {
        let Ok(Some(stat)) = self.host.stat(path) else { return };
        let owner = self.owner(alone, &|record| leads_to(record, path));
        if matches!(owner, Owner::Foreign) && self.is_brought(path) {
            return;
        }
        let shown = path.display().to_string();
        if let Some(unit) = is_unit(path) {
            let key = format!("unit:{unit}");
            // By its path, too: that is what readers of the plan see.
            if self.handed.contains(&shown) {
                self.handed.insert(key.clone());
            }
            let runs = Manager::Systemd.state(self.host, unit).is_ok_and(|state| state.active);
            let detail = format!("{shown}{}", if runs { ", and it is running" } else { "" });
            let what = format!("the unit {unit}");
            self.exists(id, &Thing { key: &key, what: &what, detail: &detail, restorable: true }, owner);
            return;
        }
        let restorable = matches!(stat.kind, Kind::File | Kind::Symlink);
        self.exists(id, &Thing { key: &shown, what: &shown, detail: "", restorable }, owner);
    }

    /// A directory that holds files of others, or belongs to another application. An empty one with the right owner and
    /// mode is harmless.
    fn directory(&mut self, id: &str, path: &Path, data: bool, identical: bool) {
        let Ok(Some(stat)) = self.host.stat(path) else { return };
        if stat.kind != Kind::Dir {
            // Checking the action has already refused it.
            return;
        }
        // A disk mounted for the purpose has a `lost+found`.
        let names = self.host.list(path).unwrap_or_default();
        let holds = names.iter().filter(|name| !name.ends_with("lost+found")).count();
        if identical && holds == 0 {
            return;
        }
        let owner = self.owner(data, &|record| leads_to(record, path));
        if matches!(owner, Owner::Foreign) && self.is_brought(path) {
            return;
        }
        let detail = match holds {
            0 => String::new(),
            1 => "one entry in it".to_owned(),
            n => format!("{n} entries in it"),
        };
        // Data of an application among the data of others could not be told apart afterwards.
        let key = path.display().to_string();
        let what = format!("the directory {key}");
        self.exists(id, &Thing { key: &key, what: &what, detail: &detail, restorable: !data || holds == 0 }, owner);
    }

    /// The name of a package: its own unit, user and directories use it, now or after its next upgrade.
    fn reserved(&mut self, id: &str, key: &str, what: &str, name: &str) {
        let database = Database::read(self.host).unwrap_or_default();
        let installed = database.installed().iter().any(|full| full.split(':').next() == Some(name));
        if !installed && !self.arrivals.contains(name) {
            return;
        }
        let message = format!("{what} would have the name of the Debian package {name}");
        let hint =
            self.answer_behind(key).map_or_else(|| "choose another name".to_owned(), |p| format!("choose another {p}"));
        if !self.problems.iter().any(|known| known.message == message) {
            self.problems.push(Problem { path: id.to_owned(), ..Problem::new(message, hint) });
        }
    }

    fn user(&mut self, id: &str, name: &str) {
        let names = Names::read(self.host).unwrap_or_default();
        let made = |record: &Undo| match record {
            Undo::User { name: made, .. } => made == name,
            Undo::Membership { user, .. } => user == name,
            _ => false,
        };
        let key = format!("user:{name}");
        if let Some(account) = names.account(name) {
            let what = format!("the user {name}");
            let system = account.uid < FIRST_DYNAMIC;
            let detail = format!("id {}{}", account.uid, if system { ", of the system" } else { "" });
            let owner = self.owner(true, &made);
            self.exists(id, &Thing { key: &key, what: &what, detail: &detail, restorable: !system }, owner);
        } else {
            self.reserved(id, &key, &format!("the user {name}"), name);
            if let Some(group) = names.group(name) {
                let key = format!("group:{name}");
                let what = format!("the group {name}");
                let members = match group.members.as_slice() {
                    [] => String::new(),
                    members => format!(", with {}", members.join(", ")),
                };
                let detail = format!("id {}{members}", group.gid);
                let restorable = group.gid >= FIRST_DYNAMIC;
                self.exists(id, &Thing { key: &key, what: &what, detail: &detail, restorable }, Owner::Foreign);
            }
        }
    }

    fn database(&mut self, id: &str, wanted: &database::Database) {
        // Another check reports an engine that does not answer.
        let Ok((there, role)) = database::exist(self.host, wanted) else { return };
        let engine = wanted.engine;
        let named = |record: &Undo, of_role: bool| match record {
            Undo::Database { engine: theirs, name, role, .. } if theirs == engine.id() => {
                if of_role {
                    *role == wanted.role
                } else {
                    *name == wanted.name
                }
            }
            _ => false,
        };
        for (exists, of_role, kind, name) in
            [(there, false, "database", &wanted.name), (role, true, "role", &wanted.role)]
        {
            if exists {
                let key = format!("{kind}:{name}");
                let what = format!("the {} {kind} {name}", engine.title());
                let owner = self.owner(true, &|record| named(record, of_role));
                self.exists(id, &Thing { key: &key, what: &what, detail: "", restorable: true }, owner);
            }
        }
    }

    fn broker(&mut self, id: &str, user: &str, vhost: &str) {
        let Ok((user_there, vhost_there)) = rabbitmq::exist(self.host, user, vhost) else { return };
        let named = |record: &Undo, of_user: bool| match record {
            Undo::Rabbitmq { user: its, vhost: home, .. } => {
                if of_user {
                    its == user
                } else {
                    home == vhost
                }
            }
            _ => false,
        };
        for (exists, of_user, kind, words, name) in
            [(user_there, true, "broker-user", "user", user), (vhost_there, false, "vhost", "virtual host", vhost)]
        {
            if exists {
                let key = format!("{kind}:{name}");
                let what = format!("the broker's {words} {name}");
                let owner = self.owner(true, &|record| named(record, of_user));
                self.exists(id, &Thing { key: &key, what: &what, detail: "", restorable: true }, owner);
            }
        }
    }

    /// A certificate that certbot already keeps under this name.
    fn acme(&mut self, id: &str, name: &str) {
        let settings = Path::new("/etc/letsencrypt/renewal").join(format!("{name}.conf"));
        if !there(self.host, &settings) {
            return;
        }
        let owner = self.owner(false, &|record| match record {
            Undo::AcmeCertificate { name: made } => made == name,
            _ => leads_to(record, &settings),
        });
        let key = settings.display().to_string();
        let what = format!("certbot's certificate {name}");
        self.exists(id, &Thing { key: &key, what: &what, detail: &key, restorable: true }, owner);
    }

    /// Whether a path belongs to a package that one of our runs has installed.
    fn is_brought(&mut self, path: &Path) -> bool {
        let (host, standing) = (self.host, &self.standing);
        self.brought.get_or_insert_with(|| files_of_packages(host, standing)).contains(path)
    }
}

/// The files that dpkg lists for packages that our runs have installed.
fn files_of_packages(host: &dyn Host, standing: &[Standing<'_>]) -> BTreeSet<PathBuf> {
    let brought: BTreeSet<&str> =
        standing.iter().flat_map(Standing::records).flat_map(|record| runs::installed(record)).collect();
    let info = Path::new("/var/lib/dpkg/info");
    if brought.is_empty() {
        return BTreeSet::new();
    }
    let lists = host.list(info).unwrap_or_default().into_iter().filter(|file| {
        let name = file.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".list"));
        name.is_some_and(|name| brought.contains(name.split(':').next().unwrap_or_default()))
    });
    let mut files = BTreeSet::new();
    for list in lists.collect::<Vec<_>>() {
        let text = host.read_at_most(&info.join(list), 16 << 20).unwrap_or_default();
        files.extend(String::from_utf8_lossy(&text).lines().map(PathBuf::from));
    }
    files
}

/// Whether a record says that its run made or replaced `path`. Editing a file does not make it ours.
fn leads_to(record: &Undo, path: &Path) -> bool {
    match record {
        Undo::Restore { path: known, .. } | Undo::Remove { path: known } | Undo::RemoveDir { path: known } => {
            known == path
        }
        Undo::RemoveTree { path: known } | Undo::RemoveData { path: known } => path.starts_with(known),
        _ => false,
    }
}

fn there(host: &dyn Host, path: &Path) -> bool {
    host.stat(path).is_ok_and(|stat| stat.is_some())
}

#[cfg(test)]
mod tests;
