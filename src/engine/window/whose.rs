//! Attribution of changes: a change is ours only if it is known to be ours.
//!
//! Applied to every path that changed in a window; the first row that matches decides.
//!
//! | # | the path | whose |
//! |---|---|---|
//! | 1 | below where programs keep their state, was there before, no setting | nobody's: it lives |
//! | 2 | a file of a package that somebody else installed meanwhile | theirs |
//! | 3 | a file that a process of ours, or a service of ours, wrote last | ours |
//! | 4 | a file that another process, or another's service, wrote last | theirs |
//! | 5 | changed after our last sign of life, and no package step | theirs |
//! | 6 | the package manager's own records, and files that it has not given their names yet | ours in a package step, else theirs |
//! | 7 | a log that is new | ours |
//! | 8 | a link that starts a service at boot | ours if the service is |
//! | 9 | in the list of a package of ours; a setting also has its delivered content | ours, else theirs |
//! | 10 | known to be ours from an earlier step, and not written after our last sign of life | ours |
//! | 11 | below `/usr` (without `/usr/local`), in a package step | ours: nobody else writes there |
//! | 12 | made of what packages bring: alternatives, certificates' links, caches; also what a trigger renames to keep it | ours, but for commands |
//! | 13 | named in a script of a package of ours, or gone in a package step with a directory that is | ours |
//! | 14 | a link to what a package of ours has | ours in a package step |
//! | 15 | new below a new directory of ours; a file whose writer nobody told is also running state, or of an account of ours | ours |
//! | 16 | in a command's step, also one with packages of its own, or of its name; not a file whose writer should have been told | ours |
//! | 17 | everything else | theirs |
//!
//! A new directory follows what is in it where it says nothing itself: it is theirs when all of it is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use super::dpkg::{Transaction, md5_hex};
use super::{Footprint, StepChange};
use crate::host::{Kind, Stamp, Writer};
use crate::undo::manifest::{Contents, is_kept, is_log};

/// Where programs keep their state at runtime.
const STATE: &[&str] = &["/var/lib", "/var/cache", "/var/log", "/var/spool"];
/// Below that, but administrators' own files.
pub const PEOPLES: &[&str] = &["/var/spool/cron"];
/// Below [`STATE`], but new entries there came with our packages.
pub const FETCHED: &str = "/var/cache/apt/archives";

/// The package manager's own records: restored as a whole, or left alone when others changed the package set.
const PACKAGE_STATE: &[&str] = &[
    "/var/lib/dpkg",
    "/var/lib/apt",
    "/var/lib/ucf",
    "/var/cache/debconf",
    "/var/lib/systemd/deb-systemd-helper-enabled",
    "/var/lib/systemd/deb-systemd-helper-masked",
    "/var/lib/systemd/deb-systemd-user-helper-enabled",
];

/// What package triggers generate from all packages together.
const MADE_BY_TRIGGERS: &[&str] = &[
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/ssl/certs",
    "/etc/rc0.d",
    "/etc/rc1.d",
    "/etc/rc2.d",
    "/etc/rc3.d",
    "/etc/rc4.d",
    "/etc/rc5.d",
    "/etc/rc6.d",
    "/etc/rcS.d",
    "/etc/init.d/.depend.boot",
    "/etc/init.d/.depend.start",
    "/etc/init.d/.depend.stop",
    "/etc/mailcap",
    "/etc/shells",
    "/var/lib/systemd",
    "/var/lib/python",
    "/var/lib/pam",
    "/var/lib/emacsen-common",
    "/var/lib/xml-core",
    "/var/lib/sgml-base",
    "/var/lib/alternatives",
    "/var/cache/ldconfig",
    "/var/cache/man",
    "/var/cache/fontconfig",
];

/// The author of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The run's.
    Ours,
    /// Others', and the reason.
    Theirs(&'static str),
    /// A running program's state: it keeps changing.
    Lives,
}

/// Reason for a change being another's: the kernel reported the writer.
pub const WROTE: &str = "another process wrote it during the run";
/// Reason for a change being another's: dpkg's records.
pub const PACKAGE: &str = "it belongs to a package that another administrator installed";
const LATER: &str = "it was changed after the run died";
const UNKNOWN: &str = "it was changed during the run, and nothing shows that the run changed it";

/// What is known of a window.
pub struct Case<'a> {
    /// The step.
    pub step: &'a Footprint,
    /// The last writer of each file; none where the kernel does not report it.
    pub writers: Option<&'a BTreeMap<u64, Writer>>,
    /// Files that others were known to have written before a crash.
    pub others: &'a BTreeMap<u64, Writer>,
    /// Its packages.
    pub transaction: Option<&'a Transaction>,
    /// The last sign of life, where a crash interrupted the step.
    pub crashed: Option<Stamp>,
    /// Paths that earlier steps are known to have changed.
    pub owned: &'a dyn Fn(&Path) -> bool,
    /// What triggers make that another name in the same directory had before the step.
    pub renamed: &'a BTreeSet<PathBuf>,
    /// User and group ids that the run added.
    pub accounts: &'a BTreeSet<u32>,
    /// Contents of settings by their hash.
    pub contents: &'a Contents,
}

/// Whether what is at `path` changes without packages and actions.
pub fn lives(path: &Path) -> bool {
    lies_below(STATE, path)
}

/// Whether package triggers generate what is at `path`.
pub fn is_made_by_triggers(path: &Path) -> bool {
    MADE_BY_TRIGGERS.iter().any(|made| path.starts_with(made))
}

/// Whether `path` belongs to the package manager's records.
pub fn is_package_state(path: &Path) -> bool {
    PACKAGE_STATE.iter().any(|prefix| path.starts_with(prefix))
}

/// Whether dpkg has unpacked this file but not yet renamed it into place (dpkg(1)): its package's list may be missing,
/// too.
fn is_unnamed(path: &Path) -> bool {
    path.extension().is_some_and(|kind| kind == "dpkg-new" || kind == "dpkg-tmp")
}

fn lies_below(roots: &[&str], path: &Path) -> bool {
    roots.iter().any(|root| path.starts_with(root) && path != Path::new(root))
}

/// The author of each of these changes, in their order (sorted by path).
pub fn sort(case: &Case<'_>, changes: &[StepChange]) -> Vec<Whose> {
    let mut new_dirs: BTreeSet<&Path> = BTreeSet::new();
    let mut verdicts: Vec<(Whose, bool)> = Vec::with_capacity(changes.len());
    for change in changes {
        let verdict = one(case, change, &new_dirs);
        if verdict.0 == Whose::Ours && is_new_dir(change) {
            new_dirs.insert(&change.path);
        }
        verdicts.push(verdict);
    }
    follow_contents(changes, verdicts)
}

fn is_new_dir(change: &StepChange) -> bool {
    change.before.is_none() && change.after.as_ref().is_some_and(|after| after.kind == Kind::Dir)
}

/// New directories without evidence of their own follow their content.
fn follow_contents(changes: &[StepChange], mut verdicts: Vec<(Whose, bool)>) -> Vec<Whose> {
    let mut holds: BTreeMap<PathBuf, (bool, bool)> = BTreeMap::new();
    for at in (0..changes.len()).rev() {
        let path = &changes[at].path;
        if is_new_dir(&changes[at])
            && !verdicts[at].1
            && let Some((ours, theirs)) = holds.get(path)
        {
            verdicts[at].0 = match (ours, theirs) {
                (true, _) => Whose::Ours,
                (false, true) => Whose::Theirs(WROTE),
                (false, false) => verdicts[at].0.clone(),
            };
        }
        if let Some(parent) = path.parent() {
            let held = holds.entry(parent.to_owned()).or_default();
            held.0 |= verdicts[at].0 == Whose::Ours;
            held.1 |= matches!(verdicts[at].0, Whose::Theirs(_));
        }
    }
    verdicts.into_iter().map(|(whose, _)| whose).collect()
}

/// The author of one change, and whether that is certain whatever is below it.
fn one(case: &Case<'_>, change: &StepChange, new_dirs: &BTreeSet<&Path>) -> (Whose, bool) {
    let path = &change.path;
    let packages = case.step.nature.has_packages();
    let new = change.before.is_none();
    let file = change.after.as_ref().is_some_and(|after| after.kind == Kind::File);
    let content_changed = file && changed_content(change);
    let ours = (Whose::Ours, true);
    let theirs = |why| (Whose::Theirs(why), true);
    let listed = case.transaction.is_some_and(|it| it.lists(path));

    // 1
    let fetched = path.starts_with(FETCHED);
    if lives(path)
        && !is_kept(path)
        && !fetched
        && !(new && (listed || is_top(change) || is_log(path) || below(new_dirs, path)))
    {
        return (Whose::Lives, true);
    }
    // 2
    if case.transaction.is_some_and(|it| it.is_of_others(path)) {
        return theirs(PACKAGE);
    }
    // 3, 4
    match writer(case, change).filter(|_| content_changed) {
        Some(Writer::Ours) => return ours,
        Some(Writer::Unit(unit)) if is_service_of_ours(case, unit) => return ours,
        Some(Writer::Other | Writer::Unit(_)) => return theirs(WROTE),
        Some(Writer::Unknown) | None => {}
    }
    // 5
    let later =
        case.crashed.is_some_and(|alive| change.after.as_ref().is_some_and(|after| after.ctime.sec > alive.sec + 1));
    if later && !packages {
        return theirs(LATER);
    }
    // 6
    if is_package_state(path) || (packages && is_unnamed(path)) {
        return if packages { ours } else { theirs(UNKNOWN) };
    }
    // 7
    if new && is_log(path) && !later {
        return ours;
    }
    // 8
    if let Some(service) = starts_service(change) {
        let ours_too = is_service_of_ours(case, &service) || leads_to_ours(case, change);
        return if ours_too { ours } else { theirs(UNKNOWN) };
    }
    // 9
    if listed {
        let delivered = case.transaction.and_then(|it| it.delivered(path));
        let hash = change.after.as_ref().and_then(|after| after.hash.as_ref());
        let content = hash.and_then(|hash| case.contents.get(hash));
        return match (delivered, content) {
            (Some(delivered), Some(content)) if md5_hex(content) != delivered => theirs(UNKNOWN),
            _ => ours,
        };
    }
    // 10
    if (case.owned)(path) && !(later && content_changed) {
        return ours;
    }
    // Where the kernel reports writers, it would have reported this one: the file was moved here.
    let untold = content_changed && case.writers.is_some() && writer(case, change).is_none();
    // 11
    if packages && path.starts_with("/usr") && !path.starts_with("/usr/local") && !untold {
        return ours;
    }
    // 12
    // update-catalog(8) keeps the former catalog by renaming it, which nobody reports as written.
    if (packages || !case.step.nature.has_program())
        && is_made_by_triggers(path)
        && (!untold || packages && case.renamed.contains(path))
    {
        return ours;
    }
    if packages && fetched {
        return ours;
    }
    // 13
    // A purge removes a directory with what others have put there.
    let swept = packages && change.after.is_none() && case.transaction.is_some_and(|it| it.sweeps(path));
    if case.transaction.is_some_and(|it| it.mentions(path)) && !untold || swept {
        return ours;
    }
    // 14
    if packages && leads_to_ours(case, change) {
        return ours;
    }
    // 15
    let by_an_account_of_ours = || {
        change
            .after
            .as_ref()
            .is_some_and(|it| case.accounts.contains(&it.meta.uid) || case.accounts.contains(&it.meta.gid))
    };
    let unknown_writer = content_changed && writer(case, change).is_none();
    let state = lives(path) && !PEOPLES.iter().any(|dir| path.starts_with(dir));
    if new && below(new_dirs, path) && !untold && !later && (!unknown_writer || state || by_an_account_of_ours()) {
        return (Whose::Ours, false);
    }
    // 16
    let named = || path.file_name().is_some_and(|name| case.step.names.iter().any(|known| name == known.as_str()));
    if !untold && (case.step.nature.has_program() || !packages && named()) {
        return (Whose::Ours, false);
    }
    // 17
    (Whose::Theirs(UNKNOWN), false)
}

/// Whether a link points to a file of a package of ours.
fn leads_to_ours(case: &Case<'_>, change: &StepChange) -> bool {
    let Some(target) = change.after.as_ref().and_then(|after| after.target.as_ref()) else { return false };
    let Some(dir) = change.path.parent() else { return false };
    let mut path = PathBuf::new();
    for part in dir.join(target).components() {
        match part {
            Component::ParentDir => {
                path.pop();
            }
            Component::CurDir => {}
            other => path.push(other),
        }
    }
    case.transaction.is_some_and(|it| it.lists(&path)) || (case.owned)(&path)
}

/// Whether a change made a new file, or changed its content.
fn changed_content(change: &StepChange) -> bool {
    match (&change.before, &change.after) {
        (Some(before), Some(after)) => {
            before.kind != after.kind
                || before.size != after.size
                || match (&before.hash, &after.hash) {
                    (Some(a), Some(b)) => a != b,
                    _ => before.mtime != after.mtime || before.ino != after.ino,
                }
        }
        (None, Some(_)) => true,
        (_, None) => false,
    }
}

fn writer<'a>(case: &'a Case<'_>, change: &StepChange) -> Option<&'a Writer> {
    let ino = change.after.as_ref()?.ino;
    case.writers.and_then(|writers| writers.get(&ino)).or_else(|| case.others.get(&ino))
}

/// A directory right below one where programs keep their state.
fn is_top(change: &StepChange) -> bool {
    STATE.iter().any(|root| change.path.parent() == Some(Path::new(root)))
        && change.after.as_ref().is_some_and(|after| after.kind == Kind::Dir)
}

fn below(dirs: &BTreeSet<&Path>, path: &Path) -> bool {
    path.ancestors().skip(1).any(|above| dirs.contains(above))
}

/// The service that a link starts at boot: `/etc/systemd/system/*.wants/NAME`, `/etc/rc2.d/S01NAME`.
fn starts_service(change: &StepChange) -> Option<String> {
    let entry = change.after.as_ref().or(change.before.as_ref())?;
    if entry.kind != Kind::Symlink {
        return None;
    }
    let name = change.path.file_name()?.to_str()?;
    let parent = change.path.parent()?;
    if parent.starts_with("/etc/systemd") {
        return Some(name.to_owned());
    }
    let run_level = parent.parent() == Some(Path::new("/etc")) && parent.to_string_lossy().starts_with("/etc/rc");
    (run_level && name.len() > 3).then(|| name[3..].to_owned())
}

/// A unit's name without its type: init scripts have none, and may contain a dot (`php8.2-fpm`).
fn stem(name: &str) -> &str {
    let kinds = [".service", ".socket", ".timer", ".path", ".target", ".mount"];
    kinds.iter().find_map(|kind| name.strip_suffix(kind)).unwrap_or(name)
}

fn is_service_of_ours(case: &Case<'_>, name: &str) -> bool {
    let stem = stem(name.split_once('@').map_or(name, |(stem, _)| stem));
    let named = |known: &String| known == name || self::stem(known) == stem;
    let template = name
        .split_once('@')
        .map(|(stem, rest)| format!("{stem}@.{}", rest.rsplit_once('.').map_or("service", |(_, kind)| kind)));
    let unit_files = [name.to_owned()]
        .into_iter()
        .chain(template)
        .flat_map(|file| ["/lib/systemd/system", "/usr/lib/systemd/system"].map(|dir| Path::new(dir).join(&file)));
    let script = Path::new("/etc/init.d").join(stem);
    case.step.names.iter().any(named)
        || case.transaction.is_some_and(|it| unit_files.clone().any(|file| it.lists(&file)) || it.lists(&script))
        || unit_files.clone().any(|file| (case.owned)(&file))
        || (case.owned)(&script)
        || (case.owned)(&Path::new("/etc/systemd/system").join(name))
}

#[cfg(test)]
mod tests;
