//! Whose the things are that a plan would create or overwrite: a file, a directory, a link, a user, a group, a unit, a
//! database, a role, a broker's account, a site's name, a port.
//!
//! One rule for all of them: what exists and is not ours is refused before anything changes. Ours is what a record of
//! a run whose changes stand names, what a package brought that such a run installed, and a file that is already
//! exactly as it would be written. An action that is meant to find something there says so ([`File::may_exist`]), and
//! a person may hand a thing over by name ([`Plan::take_over`]) where a rollback can restore it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::action::service::Service;
use crate::action::{Action, Verdict, database, rabbitmq};
use crate::engine::runs::{self, Run};
use crate::error::Problem;
use crate::facts::probe;
use crate::host::{Host, Kind};
use crate::plan::Plan;
use crate::plan::preview::Verdicts;
use crate::proof::ports::Exposure;
use crate::system::accounts::Names;
use crate::system::packages::status::Database;
use crate::system::service::Manager;
use crate::undo::Undo;

/// Where an administrator's units lie, and ours.
const UNITS: &str = "/etc/systemd/system";
/// Where systemd finds units besides; one of ours in [`UNITS`] would take the place of one there.
const OTHER_UNITS: &[&str] = &[
    "/run/systemd/system",
    "/run/systemd/transient",
    "/run/systemd/generator.early",
    "/run/systemd/generator",
    "/run/systemd/generator.late",
    "/usr/local/lib/systemd/system",
    "/lib/systemd/system",
    "/usr/lib/systemd/system",
];
/// A unit of one of these kinds starts the service that is called like it.
const STARTERS: &[&str] = &["socket", "timer", "path"];
/// Where supervisor finds programs.
const PROGRAMS: &str = "/etc/supervisor/conf.d";
/// Init scripts.
const SCRIPTS: &str = "/etc/init.d";
/// Debian gives these ids itself (`base-passwd`, policy 9.2.2).
const FIRST_DYNAMIC: u32 = 100;

/// The rule, over a whole plan. `runs` are all runs of this host, `verdicts` what checking the plan's actions found,
/// `arrivals` the packages that the plan's transaction brings, and `waiting` the run that takes this plan over, when
/// one does. Problems with the id of the action that each concerns, in the order of the plan. Changes nothing.
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

/// A run whose changes stand.
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

    /// Whose it is, for a message.
    fn owner(&self) -> String {
        let name = self.plan.as_ref().map(|plan| plan.application().name).unwrap_or_default();
        if name.is_empty() {
            format!("run {}", self.run.dir.id)
        } else {
            format!("the application {name} (run {})", self.run.dir.id)
        }
    }
}

/// Who owns a thing that exists.
enum Owner {
    Ours,
    /// Another application of ours: its name for a message.
    Beside(String),
    Foreign,
}

struct Look<'a> {
    host: &'a dyn Host,
    plan: &'a Plan,
    standing: Vec<Standing<'a>>,
    arrivals: &'a BTreeSet<String>,
    /// What a person has handed over, for this plan or for a run that stands.
    handed: BTreeSet<String>,
    /// Files of packages that runs of ours have installed.
    brought: Option<BTreeSet<PathBuf>>,
    problems: Vec<Problem>,
}

/// What is told of a thing that is not ours.
struct Thing<'t> {
    /// `unit:shop.service`, `user:shop`, or a path: how it is handed over.
    key: &'t str,
    /// "the unit shop.service".
    what: &'t str,
    /// What else is to be known of it, for the message; empty when nothing is.
    detail: &'t str,
    /// Whether a rollback can restore it, so that it can be handed over.
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

    /// Whose something is that a record can name. What belongs to one application alone is not its neighbour's.
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
                (format!("{what} is there already{detail}, and no run of bringup made it"), restorable)
            }
        };
        let other = self.answer_behind(key);
        let other = other.map_or_else(|| "choose another name".to_owned(), |path| format!("answer another {path}"));
        let hint = if restorable {
            format!("{other}, or take it over with --take-over {key}; a rollback restores it as it is now")
        } else {
            other
        };
        // Several actions may want the same thing.
        if !self.problems.iter().any(|known| known.message == message) {
            self.problems.push(Problem { path: id.to_owned(), ..Problem::new(message, hint) });
        }
    }

    /// The question whose answer gave a thing its name, as far as that can be told.
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
            // By its path, too: that is what whoever reads the plan sees.
            if self.handed.contains(&shown) {
                self.handed.insert(key.clone());
            }
            let runs = Manager::Systemd.state(self.host, unit).is_ok_and(|state| state.active);
            let detail = format!("{shown}{}", if runs { ", and it runs" } else { "" });
            let what = format!("the unit {unit}");
            self.exists(id, &Thing { key: &key, what: &what, detail: &detail, restorable: true }, owner);
            return;
        }
        let restorable = matches!(stat.kind, Kind::File | Kind::Symlink);
        self.exists(id, &Thing { key: &shown, what: &shown, detail: "", restorable }, owner);
    }

    /// A directory in which others keep something, or that is another's. One that is as it would be made and holds
    /// nothing harms nobody.
    fn directory(&mut self, id: &str, path: &Path, data: bool, identical: bool) {
        let Ok(Some(stat)) = self.host.stat(path) else { return };
        if stat.kind != Kind::Dir {
            // Checking the action has refused it.
            return;
        }
        // A disk of its own, mounted for what is to come, has a `lost+found`.
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
        // Of what an application keeps among the data of somebody else nobody could tell afterwards whose it is.
        let key = path.display().to_string();
        let what = format!("the directory {key}");
        self.exists(id, &Thing { key: &key, what: &what, detail: &detail, restorable: !data || holds == 0 }, owner);
    }

    /// What besides its file keeps a unit's name from being ours. `meant` is a file that may take another's place.
    fn unit_file(&mut self, id: &str, path: &Path, meant: bool) {
        let Some(unit) = is_unit(path) else { return };
        let unit = unit.to_owned();
        let key = format!("unit:{unit}");
        let what = format!("the unit {unit}");
        let (stem, kind) = unit.rsplit_once('.').unwrap_or((&unit, ""));
        let ours = matches!(self.owner(true, &|record| leads_to(record, path)), Owner::Ours);
        if !meant {
            let script = Path::new(SCRIPTS).join(stem);
            let elsewhere = OTHER_UNITS.iter().map(|dir| Path::new(dir).join(&unit));
            let elsewhere = elsewhere.chain((kind == "service").then_some(script));
            for other in elsewhere.collect::<Vec<_>>() {
                if !there(self.host, &other) || (ours && other.starts_with("/run")) {
                    continue;
                }
                let transient = other.starts_with("/run/systemd/transient");
                let detail = format!(
                    "{}, {}",
                    other.display(),
                    if transient { "while it runs" } else { "which ours would replace" }
                );
                self.exists(id, &Thing { key: &key, what: &what, detail: &detail, restorable: false }, Owner::Foreign);
                break;
            }
        }
        if kind != "service" {
            return;
        }
        if !ours {
            self.reserved(id, &key, &what, stem);
        }
        let dirs: Vec<&str> = [UNITS].into_iter().chain(OTHER_UNITS.iter().copied()).collect();
        for starter in STARTERS.iter().map(|kind| format!("{stem}.{kind}")) {
            let planned = self.plan.actions.iter().any(|planned| match &planned.action {
                Action::File(file) => is_unit(&file.path) == Some(starter.as_str()),
                _ => false,
            });
            let found = dirs.iter().map(|dir| Path::new(dir).join(&starter)).find(|path| there(self.host, path));
            if let Some(found) = found.filter(|_| !planned) {
                let owner = self.owner(true, &|record| leads_to(record, &found));
                let what = format!("the unit {starter}");
                let detail = format!("{}, which would start {unit}", found.display());
                self.exists(id, &Thing { key: &key, what: &what, detail: &detail, restorable: false }, owner);
            }
        }
        for dir in dirs.iter().map(|dir| Path::new(dir).join(format!("{unit}.d"))) {
            for name in self.host.list(&dir).unwrap_or_default() {
                let part = dir.join(name);
                if part.extension().is_none_or(|extension| extension != "conf") {
                    continue;
                }
                let planned = self.plan.actions.iter().any(|planned| match &planned.action {
                    Action::File(file) => file.path == part,
                    _ => false,
                });
                let owner = self.owner(false, &|record| leads_to(record, &part));
                if !planned {
                    let what = format!("the part {} of the unit {unit}", part.display());
                    self.exists(id, &Thing { key: &key, what: &what, detail: "", restorable: false }, owner);
                }
            }
        }
    }

    /// The name of a package: its own unit, user and directories have it, now or from the next upgrade on.
    fn reserved(&mut self, id: &str, key: &str, what: &str, name: &str) {
        let database = Database::read(self.host).unwrap_or_default();
        let installed = database.installed().iter().any(|full| full.split(':').next() == Some(name));
        if !installed && !self.arrivals.contains(name) {
            return;
        }
        let message = format!("{what} would have the name of the Debian package {name}");
        let hint =
            self.answer_behind(key).map_or_else(|| "choose another name".to_owned(), |p| format!("answer another {p}"));
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
        // An engine that does not answer is another check's.
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

    /// A certificate that certbot keeps under the name already.
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

    fn service(&mut self, id: &str, service: &Service) {
        if service.manager == Manager::Supervisor && service.running {
            self.program(id, service.name.split(':').next().unwrap_or_default());
        }
        let Some(sites) = &service.sites else { return };
        let ports: BTreeSet<u16> =
            self.plan.ports().iter().filter(|port| port.on == Exposure::Any).map(|port| port.port).collect();
        for (name, port) in sites.claimed(self.host, &ports) {
            let theirs = |standing: &&Standing<'_>| standing.plan.as_ref().is_some_and(|plan| serves(plan, &name));
            let owners: Vec<&Standing<'_>> = self.standing.iter().filter(theirs).collect();
            let owner = match owners.as_slice() {
                found if found.iter().any(|standing| standing.same) => continue,
                [first, ..] => Owner::Beside(first.owner()),
                [] => Owner::Foreign,
            };
            let what = format!("the site {name} on port {port} of the web server");
            self.exists(id, &Thing { key: &name, what: &what, detail: "", restorable: false }, owner);
        }
    }

    /// A program of supervisor's in another file than that of the plan.
    fn program(&mut self, id: &str, name: &str) {
        let header = format!("[program:{name}]");
        let mut files: Vec<PathBuf> = self.host.list(Path::new(PROGRAMS)).unwrap_or_default();
        files = files.into_iter().map(|file| Path::new(PROGRAMS).join(file)).collect();
        files.push(PathBuf::from("/etc/supervisor/supervisord.conf"));
        for file in files {
            let planned = self.plan.actions.iter().any(|planned| match &planned.action {
                Action::File(ours) => ours.path == file,
                _ => false,
            });
            let text = if planned { Vec::new() } else { self.host.read_at_most(&file, 1 << 20).unwrap_or_default() };
            if !String::from_utf8_lossy(&text).lines().any(|line| line.trim() == header) {
                continue;
            }
            let owner = self.owner(true, &|record| leads_to(record, &file));
            let key = format!("program:{name}");
            let what = format!("supervisor's program {name}");
            let detail = file.display().to_string();
            self.exists(id, &Thing { key: &key, what: &what, detail: &detail, restorable: false }, owner);
        }
    }

    /// Ports on which the plan will listen and on which somebody else does now.
    fn ports(&mut self) {
        let mut listeners = None;
        let services: Vec<&str> = self
            .plan
            .actions
            .iter()
            .filter_map(|planned| match &planned.action {
                Action::Service(service) => Some(service.name.as_str()),
                _ => None,
            })
            .collect();
        for expected in self.plan.ports() {
            let port = expected.port;
            let ours = |standing: &&Standing<'_>| {
                standing.same && standing.plan.as_ref().is_some_and(|plan| plan.ports().iter().any(|p| p.port == port))
            };
            let of_ssh = self.plan.actions.iter().any(|planned| match &planned.action {
                Action::Sshd(sshd) => sshd.port == port,
                _ => false,
            });
            if expected.on == Exposure::Closed || of_ssh || self.standing.iter().any(|standing| ours(&standing)) {
                continue;
            }
            let listeners = listeners.get_or_insert_with(|| probe::holders(self.host));
            let meets = |address: std::net::IpAddr| {
                expected.on == Exposure::Any || address.is_loopback() || address.is_unspecified()
            };
            let taken = listeners.iter().find(|holder| {
                holder.at.port() == port
                    && meets(holder.at.ip())
                    && !services.iter().any(|service| holder.is_of(service))
            });
            let Some(holder) = taken else { continue };
            let whose = if holder.unit.is_empty() { &holder.process } else { &holder.unit };
            let whose = if whose.is_empty() { "another program" } else { whose };
            let beside = self.standing.iter().find(|standing| {
                !standing.same && standing.plan.as_ref().is_some_and(|plan| plan.ports().iter().any(|p| p.port == port))
            });
            let message = match beside {
                Some(standing) => format!("port {port} belongs to {}", standing.owner()),
                None => format!("port {port} is taken by {whose}"),
            };
            let answers = self.plan.answers.iter();
            let behind =
                answers.filter(|answered| answered.value.as_u64() == Some(u64::from(port))).map(|a| &a.path).next();
            let other = behind.map_or_else(String::new, |path| format!("answer another {path}, or "));
            let hint = format!("{other}stop what listens there");
            let path = behind.cloned().unwrap_or_default();
            if !self.problems.iter().any(|known| known.message == message) {
                self.problems.push(Problem { path, ..Problem::new(message, hint) });
            }
        }
    }

    /// Whether a package that a run of ours has installed owns a path.
    fn is_brought(&mut self, path: &Path) -> bool {
        let (host, standing) = (self.host, &self.standing);
        self.brought.get_or_insert_with(|| files_of_packages(host, standing)).contains(path)
    }
}

/// The files that dpkg lists for packages which runs of ours have installed.
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

/// Whether a plan serves a site of this name.
fn serves(plan: &Plan, name: &str) -> bool {
    plan.actions.iter().any(|planned| match &planned.action {
        Action::Service(Service { sites: Some(sites), .. }) => sites.is_own(name),
        _ => false,
    })
}

/// Whether a record says that what stands at `path` was made or replaced by its run. An edit makes nothing ours.
fn leads_to(record: &Undo, path: &Path) -> bool {
    match record {
        Undo::Restore { path: known, .. } | Undo::Remove { path: known } | Undo::RemoveDir { path: known } => {
            known == path
        }
        Undo::RemoveTree { path: known } | Undo::RemoveData { path: known } => path.starts_with(known),
        _ => false,
    }
}

/// The unit that a file defines.
fn is_unit(path: &Path) -> Option<&str> {
    let kinds = ["service", "socket", "timer", "path", "mount", "automount", "swap", "target", "slice"];
    let of_unit = path.extension().and_then(|extension| extension.to_str()).is_some_and(|kind| kinds.contains(&kind));
    (of_unit && path.parent() == Some(Path::new(UNITS))).then(|| path.file_name()?.to_str()).flatten()
}

fn there(host: &dyn Host, path: &Path) -> bool {
    host.stat(path).is_ok_and(|stat| stat.is_some())
}

#[cfg(test)]
mod tests;
