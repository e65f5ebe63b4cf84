//! Releases that are kept, and what becomes of the others.
//!
//! Every `deploy` leaves a tree of the sources, the environment or the static files. At the end of a run that succeeded
//! all but the newest [`KEPT`] of each path are removed, counted from the one in place back through those that a
//! rollback of one run after the other would lead to. A rollback that needs a removed one is refused before it changes
//! anything; one that goes back to the beginning needs none.
//!
//! A tree is removed only if a record of a run says that it made it, and if nobody else has changed anything in it.
//! A crash leaves at worst a tree without its stamp, which the next run removes before its first scan of the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::action::Action;
use crate::action::release::{self, KEPT};
use crate::engine::event::EventKind;
use crate::engine::journal::{Journal, JournalEntry};
use crate::engine::runs::{self, Run};
use crate::error::{Failure, Outcome};
use crate::host::{Host, Kind};
use crate::plan::Plan;
use crate::system::packages::listed;
use crate::system::paths;
use crate::undo::Undo;
use crate::undo::manifest::Manifest;

/// Removes the old releases of a plan: after its run has ended, and before one begins, for what a crash left then. It is
/// no part of a run: what cannot be removed is reported, and tried again by the next run.
pub fn remove(host: &dyn Host, run: &str, plan: &Plan, emit: &(dyn Fn(EventKind) + Sync)) {
    let note = |text: String| emit(EventKind::Note { text });
    let all = match runs::all(host, Some(run)) {
        Ok(all) => all,
        Err(failure) => return note(failure.to_string()),
    };
    let mut looks = BTreeMap::new();
    for path in plan.actions.iter().filter_map(|planned| released(&planned.action)) {
        match remove_of(host, &all, path, &mut looks) {
            Ok(removal) => removal.told(path).into_iter().for_each(note),
            Err(failure) => note(failure.to_string()),
        }
    }
}

/// The path of an action that makes releases.
fn released(action: &Action) -> Option<&Path> {
    match action {
        Action::Source(source) => Some(&source.path),
        Action::PythonEnv(env) => Some(&env.path),
        Action::Build(build) => Some(&build.path),
        _ => None,
    }
}

/// What became of the old releases of a path.
#[derive(Debug, Default)]
struct Removal {
    removed: Vec<PathBuf>,
    /// Trees that stay, each with a path in it that is somebody else's.
    foreign: Vec<(PathBuf, PathBuf)>,
}

impl Removal {
    fn told(&self, path: &Path) -> Vec<String> {
        let mut told = Vec::new();
        if !self.removed.is_empty() {
            let names = self.removed.iter().filter_map(|tree| tree.file_name());
            let names = listed(names.map(|name| name.to_string_lossy().into_owned()));
            let trees = release::trees_of(path);
            told.push(format!("removed old releases in {}: {names} (the last {KEPT} are kept)", trees.display()));
        }
        for (tree, theirs) in &self.foreign {
            let (tree, theirs) = (tree.display(), theirs.display());
            told.push(format!("the old release {tree} stays: {theirs} was added or changed outside bringup"));
        }
        told
    }
}

/// The disk at the ends of runs, by their ids; none where that is not known.
type Looks = BTreeMap<String, Option<Manifest>>;

fn remove_of(host: &dyn Host, all: &[Run], path: &Path, looks: &mut Looks) -> Outcome<Removal> {
    let mut removal = Removal::default();
    let is_link = paths::stat(host, path)?.is_some_and(|stat| stat.kind == Kind::Symlink);
    let Some(current) = is_link.then(|| paths::read_link(host, path)).transpose()? else { return Ok(removal) };
    // Somebody has exchanged the link: what is in use is not known.
    let Some(current) = release::tree_of(path, &current) else { return Ok(removal) };
    let kept = kept(all, path, current);
    let trees = release::trees_of(path);
    let names = host.list(&trees).map_err(|e| Failure::new(format!("list {}", trees.display()), e))?;
    for tree in names.iter().filter_map(|name| Some(trees.join(name.file_name()?))) {
        if kept.contains(&tree) {
            continue;
        }
        let makes = |undo: &Undo| matches!(undo, Undo::RemoveTree { path } if *path == tree);
        let made = |run: &&Run| in_place(&run.journal).flat_map(|entry| &entry.undo).any(makes);
        let Some(maker) = all.iter().rev().find(made) else { continue };
        if !looks.contains_key(&maker.dir.id) {
            let look = Manifest::load(host, &maker.dir.path, "post")?.map(|(look, _)| look);
            looks.insert(maker.dir.id.clone(), look);
        }
        let Some(Some(look)) = looks.get(&maker.dir.id) else { continue };
        match release::remove(host, &tree, look)? {
            None => removal.removed.push(tree),
            Some(theirs) => removal.foreign.push((tree, theirs)),
        }
    }
    Ok(removal)
}

fn in_place(journal: &Journal) -> impl DoubleEndedIterator<Item = &JournalEntry> {
    journal.entries().iter().filter(|entry| !entry.undone)
}

/// The trees of a path that stay: the newest ones, and those that undo commands of a run may work with.
fn kept(all: &[Run], path: &Path, current: PathBuf) -> BTreeSet<PathBuf> {
    let mut newest = vec![current.clone()];
    let mut needed = BTreeSet::new();
    let mut at = current;
    for run in all.iter().rev() {
        // When a run is rolled back, its commands find the release that it left.
        if in_place(&run.journal).flat_map(|entry| &entry.undo).any(|undo| works_beside(undo, path)) {
            needed.insert(at.clone());
        }
        for undo in in_place(&run.journal).rev().flat_map(|entry| entry.undo.iter().rev()) {
            if let Some((of, tree)) = leads_to(undo)
                && of == path
            {
                at = tree;
                if !newest.contains(&at) {
                    newest.push(at.clone());
                }
            }
        }
    }
    needed.extend(newest.into_iter().take(KEPT));
    needed
}

/// Whether it is a command that may use what is at `path`: one that names the directory around it.
fn works_beside(undo: &Undo, path: &Path) -> bool {
    let Undo::Command { argv, cwd, .. } = undo else { return false };
    let Some(home) = path.parent() else { return false };
    let home_name = home.to_string_lossy();
    cwd.starts_with(home) || argv.iter().any(|word| word.contains(&*home_name))
}

/// The path of a link that a record restores, and the release that the link then leads to.
fn leads_to(undo: &Undo) -> Option<(&Path, PathBuf)> {
    let Undo::Restore { path, image } = undo else { return None };
    Some((path, release::tree_of(path, image.target.as_deref()?)?))
}

/// The release that rolling back these runs would lead to and that is no longer kept. The runs are in their order, the
/// oldest first, each with what would be carried out.
pub fn missing<'j>(
    host: &dyn Host,
    runs: impl IntoIterator<Item = (&'j Journal, &'j [JournalEntry])>,
) -> Outcome<Option<PathBuf>> {
    let mut decided: BTreeSet<&Path> = BTreeSet::new();
    for (journal, entries) in runs {
        for undo in entries.iter().flat_map(|entry| &entry.undo) {
            // The first record about a path is carried out last.
            let Some(path) = undo.path().filter(|path| decided.insert(path)) else { continue };
            // Nothing was removed after a run that has not ended.
            let restored = leads_to(undo).filter(|(of, _)| *of == path && journal.finished.is_some());
            if let Some((_, tree)) = restored
                && !release::is_complete(host, &tree)?
            {
                return Ok(Some(tree));
            }
        }
    }
    Ok(None)
}

/// Refuses a rollback that needs a release which is no longer kept.
pub fn refuse_missing(host: &dyn Host, parts: &[(&Journal, Vec<JournalEntry>)]) -> Outcome<()> {
    let of = |from: usize| missing(host, parts[from..].iter().map(|(journal, entries)| (*journal, entries.as_slice())));
    let Some(tree) = of(0)? else { return Ok(()) };
    let mut hint = "`bringup rollback --all` removes everything; `bringup deploy` with its former version, or its \
                    former sources, makes it again as the next release"
        .to_owned();
    for (at, (journal, _)) in parts.iter().enumerate().skip(1) {
        if of(at)?.is_none() {
            hint = format!("`bringup rollback --run {}` goes back as far as possible; {hint}", journal.header.run);
            break;
        }
    }
    let run = parts.first().map_or("", |(journal, _)| journal.header.run.as_str());
    let why = format!(
        "it would lead back to the release {}, which is not there: only the last {KEPT} are kept",
        tree.display()
    );
    Err(Failure::new(format!("roll back run {run}"), why).hint(hint))
}

/// The release that a rollback of this run by itself would lead to, where it is no longer kept.
pub fn missing_before(host: &dyn Host, run: &Run) -> Option<PathBuf> {
    let entries: Vec<JournalEntry> = in_place(&run.journal).cloned().collect();
    missing(host, [(&run.journal, entries.as_slice())]).ok().flatten()
}
