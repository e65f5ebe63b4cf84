//! `packages`: installs Debian packages in one transaction, and purges exactly those again.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::action::contract::{Act, Brings, Context, Verdict};
use crate::error::{Failure, Outcome};
use crate::host::{Host, Kind};
use crate::progress::Progress;
use crate::system::packages::apt::Apt;
use crate::system::packages::simulation::Simulation;
use crate::system::packages::status::Database;
use crate::system::packages::{REPAIR, counted, listed, policy, short, units};
use crate::undo::{Undo, UndoContext, Undone};

/// Installs Debian packages in one transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Packages {
    /// Package names, sorted.
    pub names: Vec<String>,
    /// Whether recommended packages come along.
    #[serde(default)]
    pub recommends: bool,
}

impl Act for Packages {
    fn describe(&self) -> String {
        format!("install {}", listed(&self.names))
    }

    fn check(&self, cx: &Context<'_>) -> Outcome<Verdict> {
        self.validate()?;
        let database = Database::read(cx.host)?;
        let missing = database.missing(&self.names);
        if policy::is_left(cx.host)? {
            return Ok(Verdict::change("finish an interrupted package transaction"));
        }
        if missing.is_empty() {
            return Ok(Verdict::Unchanged);
        }
        refuse_broken(cx, &database)?;
        Ok(Verdict::change(format!("install {}", listed(&missing))))
    }

    fn prepare(&self, cx: &Context<'_>) -> Outcome<Vec<Undo>> {
        self.validate()?;
        let database = Database::read(cx.host)?;
        refuse_broken(cx, &database)?;
        let missing = database.missing(&self.names);
        Ok(vec![record(cx, &database, &missing, self.recommends)?])
    }

    /// The first transaction does not know packages that are requested later.
    fn update_undo(&self, cx: &Context<'_>) -> Outcome<Vec<Undo>> {
        if Database::read(cx.host)?.missing(&self.names).is_empty() { Ok(Vec::new()) } else { self.prepare(cx) }
    }

    fn apply(&self, cx: &Context<'_>) -> Outcome<()> {
        self.validate()?;
        let apt = apt(cx);
        // An apt that outlived its killed parent still needs the policy: wait for it first.
        apt.wait()?;
        let interrupted = policy::is_left(cx.host)?;
        let mut database = Database::read(cx.host)?;
        if database.unfinished() && (interrupted || apt.has_begun()) {
            apt.mend()?;
            database = Database::read(cx.host)?;
        }
        policy::clean(cx.host)?;
        let missing = database.missing(&self.names);
        if missing.is_empty() {
            return Ok(());
        }
        apt.install(&missing, self.recommends)?;
        let database = Database::read(cx.host)?;
        match database.missing(&self.names).as_slice() {
            [] => Ok(()),
            absent => Err(Failure::new(
                format!("install {}", listed(&missing)),
                format!("apt reports success, but {} is not installed", listed(absent)),
            )
            .hint("see `dpkg --audit`")),
        }
    }

    fn brings(&self) -> Brings {
        Brings { packages: self.names.clone(), ..Brings::default() }
    }
}

impl Packages {
    /// apt would take other words for a file, an option, a version or, with a `-` at the end, a package to remove.
    fn validate(&self) -> Outcome<()> {
        let Some(odd) = self.names.iter().find(|name| !is_name(name)) else { return Ok(()) };
        Err(Failure::new(self.describe(), format!("{odd:?} is not the name of a package"))
            .hint("such as python3-django: lower case letters, digits and + - . ; `apt-cache search` finds it"))
    }
}

/// Whether it is a package's name (Debian Policy 5.6.1), or one with its architecture.
fn is_name(text: &str) -> bool {
    let (name, architecture) = text.split_once(':').unwrap_or((text, "any"));
    let plain = |text: &str, also: &[u8]| {
        text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || also.contains(&b))
    };
    name.len() > 1
        && !name.starts_with(['+', '-', '.'])
        && plain(name, b"+-.")
        && !name.ends_with('-')
        && !architecture.is_empty()
        && plain(architecture, b"-")
}

/// The record of a transaction that installs `what`, names or files, which must not remove anything.
pub(super) fn record(cx: &Context<'_>, database: &Database, what: &[&str], recommends: bool) -> Outcome<Undo> {
    let simulation =
        if what.is_empty() { Simulation::default() } else { apt(cx).simulate_install(what, recommends)? };
    if !simulation.removes.is_empty() {
        return Err(Failure::new(
            format!("install {}", listed(what)),
            format!("apt would remove {}, which is installed", listed(&simulation.removes)),
        )
        .hint("remove it yourself if nothing needs it any longer, then run this again"));
    }
    for (name, old, new) in &simulation.upgrades {
        (cx.progress)(Progress::Note(format!(
            "{name} changes from {old} to {new} because a new package needs it; this is not rolled back"
        )));
    }
    Ok(Undo::Packages { before: database.installed(), planned: simulation.planned() })
}

/// Where others keep data that goes with a package: `package directory`.
static PURGED_DATA: LazyLock<Vec<(&str, &str)>> = LazyLock::new(|| {
    let lines = include_str!("../../assets/purged-data").lines();
    lines.filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(' ')).collect()
});

/// Refuses to purge a package whose scripts would remove data of others with it.
fn refuse_others_data(host: &dyn Host, names: &BTreeSet<String>) -> Outcome<()> {
    for (package, dir) in PURGED_DATA.iter().filter(|(package, _)| names.iter().any(|name| short(name) == *package)) {
        let entries = match host.list(Path::new(dir)) {
            Err(e) if e.kind() == ErrorKind::NotFound => continue,
            listed => listed.map_err(|e| Failure::new(format!("look for data in {dir}"), e))?,
        };
        let is_dir = |path: &PathBuf| matches!(host.stat(path), Ok(Some(stat)) if stat.kind == Kind::Dir);
        if let Some(found) = entries.iter().map(|name| Path::new(dir).join(name)).find(is_dir) {
            let why = format!("the run did not create {}, which would be lost with it", found.display());
            return Err(Failure::new(format!("purge {package}"), why)
                .hint("save it elsewhere or remove it, then roll back again"));
        }
    }
    Ok(())
}

/// Purges the packages that our transaction added: those of `planned` that were not installed `before`, and what was
/// installed with them. What others need by now stays. May be called again after it was interrupted.
pub fn undo(cx: &UndoContext<'_>, before: &[String], planned: &[(String, String)]) -> Outcome<Undone> {
    let apt = Apt { host: cx.host, log: cx.log, progress: cx.progress };
    apt.wait()?;
    let interrupted = policy::is_left(cx.host)? || apt.has_begun();
    let mut database = Database::read(cx.host)?;
    let before: BTreeSet<&str> = before.iter().map(String::as_str).collect();
    let is_new = |name: &str| !before.contains(name);
    let ours: BTreeSet<String> = planned.iter().map(|(name, _)| name.clone()).filter(|name| is_new(name)).collect();
    let traces = |database: &Database| ours.iter().any(|name| database.has_traces(name));
    // An interrupted dpkg may have installed more than its status file says.
    if database.interrupted || (database.unfinished() && (interrupted || traces(&database))) {
        mend(&apt);
        database = Database::read(cx.host)?;
    }
    if !traces(&database) {
        if policy::is_left(cx.host)? {
            units::reload(cx.host);
        }
        policy::clean(cx.host)?;
        return Ok(Undone::Nothing);
    }
    let came_along = database.came_along(cx.host, &ours, &is_new);
    let wanted: BTreeSet<String> = ours.union(&came_along).filter(|name| database.has_traces(name)).cloned().collect();
    let (removable, kept) = database.removable(&wanted);
    refuse_others_data(cx.host, &removable)?;
    let names: Vec<&str> = removable.iter().map(String::as_str).collect();
    if !names.is_empty() {
        let services = units::known(cx.host, "loaded");
        purge(&apt, &names)?;
        units::stop(cx.host, &services);
        // An interrupted transaction may have left triggers pending for packages that stay.
        if Database::read(cx.host)?.unfinished() {
            mend(&apt);
        }
    }
    policy::clean(cx.host)?;
    let kept: Vec<_> = kept.into_iter().filter(|(name, _)| ours.contains(name)).collect();
    Ok(if kept.is_empty() {
        Undone::Done(format!("purged {}", counted(names.len())))
    } else {
        // Packages that stay may need each other; only dependents that are not ours count.
        let who: BTreeSet<&str> = kept.iter().filter(|(_, by)| !wanted.contains(by)).map(|(_, by)| short(by)).collect();
        let what: Vec<&str> = kept.iter().map(|(name, _)| short(name)).collect();
        Undone::Kept {
            what: format!("the packages {}", listed(&what)),
            why: format!("needed by {}; {} purged", listed(&who), counted(names.len())),
        }
    })
}

/// Repairs what can be repaired: where a script fails each time, a forced purge still works.
fn mend(apt: &Apt<'_>) {
    if let Err(failure) = apt.mend() {
        (apt.progress)(Progress::Note(format!("{failure}; continuing anyway")));
    }
}

/// Purges with apt, which finds the best order, or with dpkg where apt refuses.
fn purge(apt: &Apt<'_>, names: &[&str]) -> Outcome<()> {
    let exact = apt.simulate_purge(names).is_ok_and(|simulation| {
        let allowed: BTreeSet<&str> = names.iter().map(|name| short(name)).collect();
        simulation.installs.is_empty() && simulation.removes.iter().all(|name| allowed.contains(short(name)))
    });
    let first = if exact { apt.purge(names) } else { apt.purge_by_force(names) };
    let left = |database: &Database| -> Vec<String> {
        names.iter().filter(|name| database.has_traces(name)).map(|name| (*name).to_owned()).collect()
    };
    let remaining = left(&Database::read(apt.host)?);
    if remaining.is_empty() {
        return first;
    }
    let remaining: Vec<&str> = remaining.iter().map(String::as_str).collect();
    let second = apt.purge_by_force(&remaining);
    match left(&Database::read(apt.host)?).as_slice() {
        [] => Ok(()),
        stuck => Err(second.err().or(first.err()).unwrap_or_else(|| {
            Failure::new(format!("purge {}", listed(stuck)), "dpkg reports success, but they are still there")
        })),
    }
}

/// A host with broken packages is for its administrator to repair, who knows the cause; the rest of an interrupted
/// transaction of ours is different.
pub(super) fn refuse_broken(cx: &Context<'_>, database: &Database) -> Outcome<()> {
    let broken = database.broken();
    if (broken.is_empty() && !database.interrupted) || policy::is_left(cx.host)? || apt(cx).has_begun() {
        return Ok(());
    }
    let why = if broken.is_empty() {
        "dpkg was interrupted before".to_owned()
    } else {
        format!("the package database is inconsistent: {}", listed(&broken))
    };
    Err(Failure::new("install packages", why).hint(format!("repair it first: {REPAIR}")))
}

pub(super) fn apt<'a>(cx: &'a Context<'_>) -> Apt<'a> {
    Apt { host: cx.host, log: cx.log, progress: cx.progress }
}

#[cfg(test)]
mod tests;
