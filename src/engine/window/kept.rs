//! What is kept of a run's windows on the disk, and what they say of the run together.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::footprint::Footprint;
use crate::engine::rollback::accounts;
use crate::engine::runs::RunDir;
use crate::error::{Failure, Outcome};
use crate::host::{Host, Kind, Meta, Stamp, Writer};
use crate::undo::manifest::FileEntry;

/// Below a run's directory.
const DIR: &str = "windows";

/// A path that a step changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepChange {
    /// Where.
    pub path: PathBuf,
    /// What was there before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<FileEntry>,
    /// What was there afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<FileEntry>,
}

/// One window, as it is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Window {
    pub(super) step: Footprint,
    /// When it was closed.
    #[serde(default)]
    pub(super) at: Stamp,
    /// What others, or steps without a window, had changed since the window before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) drift: Vec<StepChange>,
    /// What is ours.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) ours: Vec<StepChange>,
    /// What is not, and how that is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) theirs: Vec<(StepChange, String)>,
    /// Lines of account files that are ours.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) lines: Vec<accounts::AccountLine>,
}

/// A path that a run is known to have changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunChange {
    /// What has to come back: what was there before the run, or what somebody else made of it between two steps.
    pub before: Option<FileEntry>,
    /// What the run, or its rollback, left.
    pub after: Option<FileEntry>,
    /// Whether `before` is somebody else's.
    pub disturbed: bool,
    /// Whether it was a directory when the run left it.
    pub was_dir: bool,
    /// Whether an earlier run, rolled back meanwhile, changed it last: that one brings it back.
    pub of_earlier: bool,
}

/// What a run is known to have changed.
#[derive(Clone, Debug, Default)]
pub struct Owned {
    /// Paths, with what was there before the run and what it left.
    pub paths: BTreeMap<PathBuf, RunChange>,
    /// Lines of account files.
    pub lines: Vec<accounts::AccountLine>,
    /// Paths that were changed while a step worked and are not ours, each with how that is known.
    pub theirs: BTreeMap<PathBuf, String>,
}

impl Owned {
    pub(super) fn add(&mut self, window: &Window) {
        for change in &window.ours {
            let StepChange { path, before, after } = change.clone();
            if let Some(left) = self.paths.get_mut(&path) {
                // Somebody changed it between two steps of ours: theirs is what has to come back.
                if !same(left.after.as_ref(), before.as_ref()) {
                    left.before = before;
                    left.disturbed = true;
                }
                left.was_dir |= is_dir(after.as_ref());
                left.of_earlier &= window.step.back;
                left.after = after;
            } else {
                let was_dir = is_dir(after.as_ref());
                self.paths.insert(path.clone(), RunChange { before, after, was_dir, ..RunChange::default() });
            }
            self.theirs.remove(&path);
        }
        for (change, why) in &window.theirs {
            self.theirs.insert(change.path.clone(), why.clone());
        }
        accounts::add(&mut self.lines, &window.lines);
    }
}

fn is_dir(entry: Option<&FileEntry>) -> bool {
    entry.is_some_and(|entry| entry.kind == Kind::Dir)
}

/// Whether both are the same thing.
pub fn same(a: Option<&FileEntry>, b: Option<&FileEntry>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => a.same(b),
        _ => false,
    }
}

/// Files that others had written when the process before this one last gave a sign of life: their inodes stand there.
pub(super) fn others(host: &dyn Host, alive: &Path) -> BTreeMap<u64, Writer> {
    let text = host.read(alive).unwrap_or_default();
    let inodes =
        String::from_utf8_lossy(&text).split_whitespace().filter_map(|ino| ino.parse().ok()).collect::<Vec<_>>();
    inodes.into_iter().map(|ino| (ino, Writer::Other)).collect()
}

/// What a run is known to have changed when other runs of ours worked on the same disk: what they did between its
/// steps is nobody else's. `relatives` are those, and whether each began before it. Also the paths that they changed.
pub fn with_relatives(
    host: &dyn Host,
    dir: &RunDir,
    relatives: &[(&RunDir, bool)],
) -> Outcome<(Owned, BTreeSet<PathBuf>)> {
    // None: its own.
    let mut all: Vec<(Option<bool>, Window)> = Vec::new();
    for (of, earlier) in relatives.iter().map(|(dir, earlier)| (*dir, Some(*earlier))).chain([(dir, None)]) {
        for window in list(host, of)?.into_iter().filter(|window| !window.open) {
            all.push((earlier, read(host, &window.path)?));
        }
    }
    all.sort_by_key(|(_, window)| window.at);
    let (mut owned, mut theirs) = (Owned::default(), BTreeSet::new());
    for (relative, window) in &all {
        let Some(earlier) = relative else {
            owned.add(window);
            continue;
        };
        for change in &window.ours {
            theirs.insert(change.path.clone());
            let Some(left) = owned.paths.get_mut(&change.path) else { continue };
            if same(left.after.as_ref(), change.before.as_ref()) {
                left.after.clone_from(&change.after);
                left.of_earlier |= *earlier && window.step.back;
            }
        }
    }
    Ok((owned, theirs))
}

/// Whether windows were kept for a run: programs before them kept none.
pub fn are_kept(host: &dyn Host, dir: &RunDir) -> Outcome<bool> {
    let dir = dir.file(DIR);
    Ok(host.stat(&dir).map_err(|e| Failure::new(format!("look at {}", dir.display()), e))?.is_some())
}

/// The file of a window.
pub(super) struct Kept {
    pub(super) number: usize,
    pub(super) path: PathBuf,
    /// It was not closed.
    pub(super) open: bool,
}

/// The files of a run's windows, by number.
pub(super) fn list(host: &dyn Host, dir: &RunDir) -> Outcome<Vec<Kept>> {
    let dir = dir.file(DIR);
    let failed = |e| Failure::new(format!("look at {}", dir.display()), e);
    if host.stat(&dir).map_err(failed)?.is_none() {
        return Ok(Vec::new());
    }
    let file = |name: &PathBuf| {
        let number = name.file_stem()?.to_str()?.parse().ok()?;
        let open = name.extension()? == "open";
        (open || name.extension()? == "json").then(|| Kept { number, path: dir.join(name), open })
    };
    let mut found: Vec<Kept> = host.list(&dir).map_err(failed)?.iter().filter_map(file).collect();
    // One that was closed, and whose open file a crash left, is closed.
    let closed: BTreeSet<usize> = found.iter().filter(|window| !window.open).map(|window| window.number).collect();
    found.retain(|window| !window.open || !closed.contains(&window.number));
    found.sort_by_key(|window| window.number);
    Ok(found)
}

/// Notes that windows are kept for this run.
pub(super) fn begin(host: &dyn Host, dir: &RunDir) -> Outcome<()> {
    let dir = dir.file(DIR);
    host.make_dir(&dir, Meta::root(0o700)).map_err(|e| Failure::new(format!("make {}", dir.display()), e))
}

fn name(number: usize, open: bool) -> String {
    format!("{DIR}/{number:04}.{}", if open { "open" } else { "json" })
}

/// Keeps a window as it is now.
pub(super) fn write(host: &dyn Host, dir: &RunDir, number: usize, open: bool, window: &Window) -> Outcome<()> {
    let window = Window { at: host.now(), ..window.clone() };
    begin(host, dir)?;
    let bytes = serde_json::to_vec(&window).map_err(|e| Failure::new("keep what a step changed", e))?;
    dir.write(host, &name(number, open), &bytes)
}

/// Forgets that a window was open: it is closed.
pub(super) fn remove_open(host: &dyn Host, dir: &RunDir, number: usize) -> Outcome<()> {
    let open = dir.file(&name(number, true));
    host.remove(&open).map_err(|e| Failure::new(format!("remove {}", open.display()), e))
}

pub(super) fn read(host: &dyn Host, path: &Path) -> Outcome<Window> {
    let what = || format!("read {}", path.display());
    let bytes = host.read(path).map_err(|e| Failure::new(what(), e))?;
    serde_json::from_slice(&bytes).map_err(|e| Failure::new(what(), e))
}
