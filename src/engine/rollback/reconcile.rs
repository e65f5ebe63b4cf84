//! The disk as it was: every path that the run is known to have changed is restored.
//!
//! Applied to every such path, and to everything in directories that the run made; the first row that matches decides.
//!
//! | # | the path | becomes |
//! |---|---|---|
//! | 1 | a file of a package that somebody else installed since | stays |
//! | 2 | the package manager's records, and the package set is not ours alone | stays |
//! | 3 | an account file | without our lines |
//! | 4 | a log: new, and in the run's windows, in a directory that it brought, or there at its end and nobody else's | goes |
//! | 4a | any other log | stays |
//! | 5 | below a directory of running state that the run brought, and nobody else's | goes, with all that has become of it |
//! | 6 | of a certificate that the run brought and certbot renews | goes |
//! | 7 | ours, and as we left it | what was before, even where somebody else had made that between two steps of ours |
//! | 7a | the same, but its content was not kept, it came after the run, and it went with a directory that a record made | stays gone |
//! | 7b | a directory that the run brought, and that is there again after a purge | goes when nothing is left in it, else it is reported with what is |
//! | 8 | ours, and already what was before | stays |
//! | 9 | ours, and changed since: the package manager's | stays |
//! | 10 | ours, and changed since | stays, and is reported |
//! | 11 | below a source or an environment of ours, as it was at the run's end, and nobody else's | goes |
//! | 12 | a directory that a record made | goes when nothing is left in it, else it is reported with what is |
//! | 13 | everything else | stays |

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::engine::rollback::accounts;
use crate::engine::window::whose::{FETCHED, PEOPLES, is_package_state, lives};
use crate::engine::window::{Closed, Owned, RunChange, StepChange, dpkg, same};
use crate::error::{Failure, Outcome};
use crate::host::{Host, Kind, Meta};
use crate::undo::manifest::{Contents, FileEntry, Manifest, is_log};

/// Where certbot keeps certificates. It renews them by itself: one that the run had issued is removed with all its
/// renewals.
const RENEWED: &str = "/etc/letsencrypt";
/// Directories there that belong to no single certificate: copies of keys and requests, which certbot before 2.3 writes
/// and never reads, and accounts.
const SHARED: &[&str] = &["keys", "csr", "accounts"];

/// What is known of the disk.
pub struct States<'a> {
    /// Before the first change.
    pub baseline: &'a Manifest,
    /// At the run's end, or at its failure; none when it was killed.
    pub look: Option<&'a Manifest>,
    /// What the run is known to have changed.
    pub owned: &'a Owned,
    /// Directories that records of the run made.
    pub made: &'a BTreeSet<PathBuf>,
    /// Those of them that hold a source tree or an environment, which are removed as a whole.
    pub trees: &'a BTreeSet<PathBuf>,
    /// What records left in place and reported: nothing below is touched.
    pub kept: &'a BTreeSet<PathBuf>,
    /// Other paths that records name: the records have decided about them.
    pub recorded: &'a BTreeSet<PathBuf>,
    /// Paths that other runs of ours changed: these are not reported.
    pub quiet: &'a BTreeSet<PathBuf>,
    /// The latest snapshot, for the hashes of files that have not changed since.
    pub known: &'a Manifest,
    /// A content by its hash.
    pub content: &'a dyn Fn(&str) -> Option<Vec<u8>>,
}

/// The outcome.
#[derive(Debug, Default)]
pub struct Outcomes {
    /// Left in place, and why.
    pub kept: Vec<(String, String)>,
    /// Could not be restored.
    pub errors: Vec<Failure>,
}

/// What a path is to become.
#[derive(Debug, PartialEq, Eq)]
enum Want<'a> {
    /// As it is now.
    AsIs,
    /// As it is now, because others changed it since.
    Changed,
    /// Removed.
    Gone,
    /// Restored to this entry.
    This(&'a FileEntry),
    /// The account file without our lines.
    Merged,
}

/// Makes every path what it is to be. Safe to call again.
pub fn reconcile(host: &dyn Host, states: &States<'_>) -> Outcome<Outcomes> {
    let mut contents = Contents::new();
    let now = Manifest::take(host, Some(states.known), &mut contents)?;
    let guard = Guard::new(host, states, &now);
    let mut outcomes = Outcomes::default();

    let paths: BTreeSet<&PathBuf> = states.owned.paths.keys().chain(now.entries.keys()).collect();
    let (mut gone, mut back) = (Vec::new(), Vec::new());
    for path in paths {
        let here = now.entries.get(path);
        match guard.want(states, path, here) {
            Want::Gone if here.is_some() => gone.push(path),
            Want::AsIs | Want::Gone => {}
            Want::Changed => {
                // Backups of the account files follow their originals by themselves.
                if !accounts::is_backup(path) {
                    let why =
                        if here.is_some() { "it was changed since the run" } else { "it was removed since the run" };
                    outcomes.kept.push((path.display().to_string(), why.to_owned()));
                }
            }
            Want::This(entry) => {
                restore(host, states, path, entry, here, &mut outcomes);
                back.extend((!states.baseline.entries.contains_key(path)).then_some(path.as_path()));
            }
            Want::Merged => merge(host, states, path, here, &mut outcomes)?,
        }
    }
    let mut full = remove(host, &gone, &now, &mut outcomes);
    // A purge removed these along with a directory that the run made.
    full.extend(back.into_iter().filter_map(|path| outermost_new(host, states, path)));
    report_full(host, &full, &mut outcomes);
    times(host, states);
    report_others(host, states, &now, &guard, &mut outcomes);
    Ok(outcomes)
}

/// Restores `path`, and reports it where that is another's version.
fn restore(
    host: &dyn Host,
    states: &States<'_>,
    path: &Path,
    entry: &FileEntry,
    here: Option<&FileEntry>,
    outcomes: &mut Outcomes,
) {
    let disturbed = states.owned.paths.get(path).is_some_and(|left| left.disturbed);
    if !here.is_some_and(|here| here.same(entry)) {
        let dirs = states.known.entries.iter().map(|(path, entry)| (path.as_path(), entry.meta)).collect();
        match make(host, &dirs, states.content, path, entry, here) {
            Ok(true) => {}
            Ok(false) if disturbed && lives(path) => return,
            // 7a: a service of ours wrote it after the run; the record of the directory around it removed it.
            Ok(false) if !disturbed && !states.baseline.entries.contains_key(path) && below(states.made, path) => {
                return;
            }
            Ok(false) if disturbed => {
                let why = "it was changed since the run, and was removed with what the run installed".to_owned();
                outcomes.kept.push((path.display().to_string(), why));
                return;
            }
            Ok(false) => {
                let why = format!(
                    "its former content was not kept; find its package with `dpkg -S {}` and reinstall it",
                    path.display()
                );
                outcomes.kept.push((path.display().to_string(), why));
                return;
            }
            Err(failure) => {
                outcomes.errors.push(failure);
                return;
            }
        }
    }
    let told = !is_package_state(path) && !lives(path) && !accounts::is_backup(path) && !states.quiet.contains(path);
    if disturbed && told {
        outcomes.kept.push((path.display().to_string(), "it was changed since the run".to_owned()));
    }
}

/// Removes our lines from an account file; restores its times where it is then as before.
fn merge(
    host: &dyn Host,
    states: &States<'_>,
    path: &Path,
    here: Option<&FileEntry>,
    outcomes: &mut Outcomes,
) -> Outcome<()> {
    let Some(here) = here else { return Ok(()) };
    let failed = |e| Failure::new(format!("remove bringup's lines from {}", path.display()), e);
    let now = host.read(path).map_err(failed)?;
    let lines: Vec<_> = states.owned.lines.iter().filter(|line| line.file == path).collect();
    let merged = accounts::without(&now, &lines);
    let left = states.owned.paths.get(path);
    // A mode other than the one we left was set by others, whatever is in the file.
    let settings_are_ours = left.and_then(|left| left.after.as_ref()).is_none_or(|after| after.meta == here.meta);
    if let Some(before) = left.and_then(|left| left.before.as_ref())
        && settings_are_ours
        && before.hash.as_deref() == Some(&crate::hash::sha256_hex(&merged))
    {
        restore(host, &States { owned: &Owned::default(), ..*states }, path, before, Some(here), outcomes);
    } else if merged != now {
        // Read again now: its mode may have changed since the scan.
        let meta = host.stat(path).map_err(failed)?.map_or(here.meta, |stat| stat.meta);
        host.write(path, &merged, meta).map_err(failed)?;
    }
    Ok(())
}

/// Restores files that were not the run's and that a purge removed along with a directory of the run.
pub fn put_back(host: &dyn Host, closed: &Closed, content: &dyn Fn(&str) -> Option<Vec<u8>>) -> Outcomes {
    let mut outcomes = Outcomes::default();
    let dirs: BTreeMap<&Path, Meta> = closed.dirs.iter().map(|(path, meta)| (path.as_path(), *meta)).collect();
    for StepChange { path, before, .. } in &closed.taken {
        let Some(before) = before else { continue };
        match make(host, &dirs, content, path, before, None) {
            Ok(true) => {}
            Ok(false) => {
                let why = "a removed package took it along, and its content was not kept".to_owned();
                outcomes.kept.push((path.display().to_string(), why));
            }
            Err(failure) => outcomes.errors.push(failure),
        }
    }
    outcomes
}

/// Reports what others changed while the run worked, and what therefore stays.
fn report_others(host: &dyn Host, states: &States<'_>, now: &Manifest, guard: &Guard, outcomes: &mut Outcomes) {
    let at_end = states.look.unwrap_or(now);
    let mut last: Option<&Path> = None;
    for (path, entry) in &at_end.entries {
        let before = states.baseline.entries.get(path);
        let told = states.owned.paths.contains_key(path) || states.recorded.contains(path) || below(states.kept, path);
        let silent = is_package_state(path)
            || (lives(path) && !PEOPLES.iter().any(|dir| path.starts_with(dir)))
            || accounts::is_merged(path)
            || accounts::is_backup(path)
            || guard.foreign.contains(path)
            || states.quiet.contains(path);
        if told || silent || same(before, Some(entry)) || last.is_some_and(|above| path.starts_with(above)) {
            continue;
        }
        // What vanished meanwhile, or is as it was, needs no report.
        if host.stat(path).ok().flatten().is_none() || same(before, now.entries.get(path)) {
            continue;
        }
        let why = states.owned.theirs.get(path).map_or("another process changed it during the run", String::as_str);
        let known = outcomes.kept.iter().any(|(known, _)| Path::new(known) == path);
        if !known {
            outcomes.kept.push((path.display().to_string(), why.to_owned()));
        }
        last = (entry.kind == Kind::Dir && before.is_none()).then_some(path);
    }
}

fn below(dirs: &BTreeSet<PathBuf>, path: &Path) -> bool {
    path.ancestors().any(|above| dirs.contains(above))
}

/// What must not be touched: files of packages that others installed, and the package database with them.
struct Guard {
    /// Files of packages that are installed although `baseline` does not know them.
    foreign: BTreeSet<PathBuf>,
    /// Whether others changed the package set, too.
    packages_changed: bool,
}

impl Guard {
    fn new(host: &dyn Host, states: &States<'_>, now: &Manifest) -> Self {
        let status = Path::new(dpkg::STATUS);
        let content = |manifest: &Manifest| (states.content)(manifest.entries.get(status)?.hash.as_ref()?);
        let before = dpkg::versions(&content(states.baseline).unwrap_or_default());
        let here = now.entries.get(status);
        let after = here.map(|_| dpkg::versions(&host.read(status).unwrap_or_default())).unwrap_or_default();
        let mut foreign = BTreeSet::new();
        for name in after.keys().filter(|name| !before.contains_key(*name)) {
            foreign.extend(dpkg::listed(host, name));
        }
        let disturbed =
            states.owned.paths.get(status).is_some_and(|left| left.disturbed || !same(left.after.as_ref(), here));
        let packages_changed = disturbed || !foreign.is_empty();
        Self { foreign, packages_changed }
    }

    fn want<'a>(&self, states: &States<'a>, path: &Path, here: Option<&FileEntry>) -> Want<'a> {
        let new = !states.baseline.entries.contains_key(path);
        let left = states.owned.paths.get(path);
        let theirs = states.owned.theirs.contains_key(path);
        // 1
        if self.foreign.contains(path) || below(states.kept, path) {
            return Want::AsIs;
        }
        // 2
        if is_package_state(path) && self.packages_changed {
            return Want::AsIs;
        }
        // 3
        if accounts::is_merged(path) {
            return if left.is_some() { Want::Merged } else { Want::AsIs };
        }
        // 4
        let brought = new && states.brought(path);
        let at_end = || states.look.is_some_and(|look| look.entries.contains_key(path));
        if is_log(path) {
            let ours = new && !theirs && (brought || left.is_some_and(|left| left.before.is_none()) || at_end());
            return if ours { Want::Gone } else { Want::AsIs };
        }
        // 5
        let peoples = PEOPLES.iter().any(|dir| path.starts_with(dir) && path != Path::new(dir));
        if brought && lives(path) && !theirs && !peoples {
            return Want::Gone;
        }
        // 6
        if new && states.renewed(path) {
            return Want::Gone;
        }
        // 7 to 10
        if let Some(left) = left {
            return Self::want_of_ours(left, path, here);
        }
        // 11
        let as_at_end = || here.is_some() && same(states.look.and_then(|look| look.entries.get(path)), here);
        if new && !theirs && below(states.trees, path) && as_at_end() {
            return Want::Gone;
        }
        // 12
        if new && states.made.contains(path) {
            return Want::Gone;
        }
        // 13
        Want::AsIs
    }

    fn want_of_ours<'a>(left: &'a RunChange, path: &Path, here: Option<&FileEntry>) -> Want<'a> {
        // 7b
        if left.before.is_none() && left.was_dir && here.is_some_and(|here| here.kind == Kind::Dir) && !left.of_earlier
        {
            return Want::Gone;
        }
        if same(left.after.as_ref(), here) && !left.of_earlier {
            return left.before.as_ref().map_or(Want::Gone, Want::This);
        }
        let as_before = left.of_earlier || same(left.before.as_ref(), here);
        if as_before || is_package_state(path) || path.starts_with(FETCHED) { Want::AsIs } else { Want::Changed }
    }
}

impl States<'_> {
    /// Whether `path` belongs to a certificate that the run had issued and certbot renews.
    fn renewed(&self, path: &Path) -> bool {
        let Ok(below) = path.strip_prefix(RENEWED) else { return false };
        let shared = SHARED.iter().any(|name| below.starts_with(name));
        let depth = if shared { 1 } else { 2 };
        let top: PathBuf = Path::new(RENEWED).join(below.components().take(depth).collect::<PathBuf>());
        // Not by what was there before the step that removed it: renewals had changed that.
        let brought = self.owned.paths.contains_key(&top) && !self.baseline.entries.contains_key(&top);
        below.components().count() >= depth && brought
    }

    /// Whether `path` is in a directory of runtime state that the run made.
    fn brought(&self, path: &Path) -> bool {
        let is_new = |above: &Path| {
            let owned = self.owned.paths.get(above).is_some_and(|left| left.before.is_none() && left.was_dir);
            owned || self.made.contains(above)
        };
        lives(path) && path.ancestors().any(|above| lives(above) && is_new(above))
    }
}

/// Makes `path` what `entry` says; false when its content was not kept. `dirs` has the permissions of parent
/// directories that may be missing.
fn make(
    host: &dyn Host,
    dirs: &BTreeMap<&Path, Meta>,
    content: &dyn Fn(&str) -> Option<Vec<u8>>,
    path: &Path,
    entry: &FileEntry,
    here: Option<&FileEntry>,
) -> Outcome<bool> {
    let failed = |e| Failure::new(format!("restore {}", path.display()), e);
    let kept = entry.hash.as_deref().and_then(content);
    if entry.kind == Kind::File && kept.is_none() {
        let Some(here) = here.filter(|here| here.size == entry.size && here.mtime == entry.mtime) else {
            return Ok(false);
        };
        if here.meta != entry.meta {
            host.set_meta(path, entry.meta).map_err(failed)?;
        }
        return Ok(true);
    }
    parents(host, dirs, path).map_err(failed)?;
    if here.is_some_and(|here| here.kind != entry.kind) {
        match here.map(|here| here.kind) {
            Some(Kind::Dir) => host.remove_dir(path).map_err(failed)?,
            _ => host.remove(path).map_err(failed)?,
        }
    }
    match entry.kind {
        Kind::Dir => {
            host.make_dir(path, entry.meta).map_err(failed)?;
            host.set_meta(path, entry.meta).map_err(failed)?;
        }
        Kind::Symlink => {
            let Some(target) = entry.target.as_deref() else { return Ok(false) };
            host.make_symlink(path, target).map_err(failed)?;
            host.set_meta(path, entry.meta).map_err(failed)?;
        }
        Kind::File => {
            if here.is_none_or(|here| here.hash != entry.hash) {
                host.write(path, &kept.unwrap_or_default(), entry.meta).map_err(failed)?;
            }
            host.set_meta(path, entry.meta).map_err(failed)?;
            for (name, value) in &entry.xattrs {
                host.set_xattr(path, name, value).map_err(failed)?;
            }
            host.set_mtime(path, entry.mtime).map_err(failed)?;
        }
        Kind::Other => {}
    }
    Ok(true)
}

/// Recreates the parent directories of a path that stays although a purge removed them.
fn parents(host: &dyn Host, dirs: &BTreeMap<&Path, Meta>, path: &Path) -> std::io::Result<()> {
    let mut missing = Vec::new();
    for above in path.ancestors().skip(1) {
        if host.stat(above)?.is_some() {
            break;
        }
        missing.push(above);
    }
    for above in missing.into_iter().rev() {
        host.make_dir(above, dirs.get(above).copied().unwrap_or(Meta::root(0o755)))?;
    }
    Ok(())
}

/// Removes paths, deepest first, directories only when empty. Returns those that are not.
fn remove<'p>(host: &dyn Host, gone: &[&'p PathBuf], now: &Manifest, outcomes: &mut Outcomes) -> BTreeSet<&'p Path> {
    let mut full: BTreeSet<&Path> = BTreeSet::new();
    for path in gone.iter().rev() {
        let failed = |e| Failure::new(format!("remove {}", path.display()), e);
        let is_dir = now.entries.get(*path).is_some_and(|entry| entry.kind == Kind::Dir);
        if !is_dir {
            if let Err(e) = host.remove(path) {
                outcomes.errors.push(failed(e));
            }
            continue;
        }
        match host.list(path) {
            Ok(names) if names.is_empty() => {
                if let Err(e) = host.remove_dir(path) {
                    outcomes.errors.push(failed(e));
                }
            }
            Ok(_) => {
                full.insert(path);
            }
            Err(e) => outcomes.errors.push(failed(e)),
        }
    }
    full
}

/// The topmost directory above `path` that did not exist before the run and does now.
fn outermost_new<'p>(host: &dyn Host, states: &States<'_>, path: &'p Path) -> Option<&'p Path> {
    let above = path.ancestors().skip(1).take_while(|dir| !states.baseline.entries.contains_key(*dir));
    above.last().filter(|dir| host.stat(dir).ok().flatten().is_some())
}

/// Reports directories that stay because of their content, the outermost of nested ones only.
fn report_full(host: &dyn Host, full: &BTreeSet<&Path>, outcomes: &mut Outcomes) {
    for path in full {
        if !path.ancestors().skip(1).any(|above| full.contains(above)) {
            outcomes.kept.push((path.display().to_string(), held(host, path)));
        }
    }
}

/// Why a directory stays, with the first files below it.
fn held(host: &dyn Host, dir: &Path) -> String {
    const SHOWN: usize = 5;
    let mut found = Vec::new();
    files_below(host, dir, SHOWN + 1, &mut found);
    let names: Vec<String> = found
        .iter()
        .filter_map(|path| path.strip_prefix(dir).ok())
        .take(SHOWN)
        .map(|path| path.display().to_string())
        .collect();
    let more = if found.len() > SHOWN { " and more" } else { "" };
    format!("it is not empty: {}{more}", names.join(", "))
}

/// Files below `dir`, and directories with nothing in them, at most `most`.
fn files_below(host: &dyn Host, dir: &Path, most: usize, found: &mut Vec<PathBuf>) {
    for name in host.list(dir).unwrap_or_default() {
        if found.len() >= most {
            return;
        }
        let path = dir.join(name);
        let before = found.len();
        if host.stat(&path).ok().flatten().is_some_and(|stat| stat.kind == Kind::Dir) {
            files_below(host, &path, most, found);
        }
        if found.len() == before {
            found.push(path);
        }
    }
}

/// Restores the times of directories that have the same entries again.
fn times(host: &dyn Host, states: &States<'_>) {
    let touched = states.owned.paths.keys().chain(states.recorded).filter_map(|path| path.parent());
    let touched: BTreeSet<&Path> = touched.collect();
    for dir in touched.into_iter().rev() {
        let Some(baseline) = states.baseline.entries.get(dir).filter(|entry| entry.kind == Kind::Dir) else { continue };
        let Ok(Some(stat)) = host.stat(dir) else { continue };
        if stat.kind != Kind::Dir || stat.mtime == baseline.mtime {
            continue;
        }
        let below = states.baseline.entries.range(dir.to_owned()..).map(|(path, _)| path);
        let before = below.take_while(|path| path.starts_with(dir)).filter(|path| path.parent() == Some(dir));
        let before: BTreeSet<&std::ffi::OsStr> = before.filter_map(|path| path.file_name()).collect();
        let here = host.list(dir).unwrap_or_default();
        let volatile = |name: &PathBuf| crate::undo::manifest::is_volatile(&dir.join(name));
        let here: BTreeSet<&std::ffi::OsStr> =
            here.iter().filter(|name| !volatile(name)).filter_map(|name| name.file_name()).collect();
        if before == here {
            // Failing to set a time is harmless.
            let _ = host.set_mtime(dir, baseline.mtime);
        }
    }
}

#[cfg(test)]
mod tests;
