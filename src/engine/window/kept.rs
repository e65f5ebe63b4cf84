//! A run's windows on disk, and the changes of the run that they add up to.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::footprint::Footprint;
use crate::engine::rollback::accounts;
use crate::engine::runs::RunDir;
use crate::error::{Failure, Outcome};
use crate::host::{Host, Kind, Meta, Stamp, Writer};
use crate::undo::manifest::FileEntry;

/// The subdirectory of a run's directory.
const DIR: &str = "windows";

/// A path that a step changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepChange {
    /// The path.
    pub path: PathBuf,
    /// What was there before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<FileEntry>,
    /// What was there afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<FileEntry>,
}

/// A window as stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Window {
    pub(super) step: Footprint,
    /// When it was closed.
    #[serde(default)]
    pub(super) at: Stamp,
    /// What changed between the previous window and this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) drift: Vec<StepChange>,
    /// Changes that are ours.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) ours: Vec<StepChange>,
    /// Changes that are not, and the reason for each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) theirs: Vec<(StepChange, String)>,
    /// Lines of account files that are ours.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) lines: Vec<accounts::AccountLine>,
}

/// A path that a run is known to have changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunChange {
    /// What to restore: the state before the run, or what others made of it between two steps.
    pub before: Option<FileEntry>,
    /// What the run, or its rollback, left.
    pub after: Option<FileEntry>,
    /// Whether `before` is another's version.
    pub disturbed: bool,
    /// Whether it was a directory when the run left it.
    pub was_dir: bool,
    /// Whether an earlier run that was rolled back meanwhile changed it last: that one restores it.
    pub of_earlier: bool,
}

/// What a run is known to have changed.
#[derive(Clone, Debug, Default)]
pub struct Owned {
    /// Paths, each with its state before the run and after it.
    pub paths: BTreeMap<PathBuf, RunChange>,
    /// Lines of account files.
    pub lines: Vec<accounts::AccountLine>,
    /// Paths that changed during a step and are not ours, and the reason for each.
    pub theirs: BTreeMap<PathBuf, String>,
}

impl Owned {
    pub(super) fn add(&mut self, window: &Window) {
        for change in &window.ours {
            let StepChange { path, before, after } = change.clone();
            if let Some(left) = self.paths.get_mut(&path) {
                // Others changed it between two steps of ours: their version is restored.
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

/// Whether both are the same entry.
pub fn same(a: Option<&FileEntry>, b: Option<&FileEntry>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => a.same(b),
        _ => false,
    }
}

/// The file with the inodes that others had written up to the last sign of life of the previous process.
pub(super) fn others(host: &dyn Host, alive: &Path) -> BTreeMap<u64, Writer> {
    let text = host.read(alive).unwrap_or_default();
    let inodes =
        String::from_utf8_lossy(&text).split_whitespace().filter_map(|ino| ino.parse().ok()).collect::<Vec<_>>();
    inodes.into_iter().map(|ino| (ino, Writer::Other)).collect()
}

/// What a run is known to have changed when other runs of ours worked on the same disk: what those did between its
/// steps is ours, too. `relatives` are those runs, each with whether it began before this one. Also returns the paths
/// that they changed.
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

/// Whether windows were recorded for a run: earlier versions recorded none.
pub fn are_kept(host: &dyn Host, dir: &RunDir) -> Outcome<bool> {
    let dir = dir.file(DIR);
    Ok(host.stat(&dir).map_err(|e| Failure::new(format!("look at {}", dir.display()), e))?.is_some())
}

/// The file of a window.
pub(super) struct Kept {
    pub(super) number: usize,
    pub(super) path: PathBuf,
    /// The suffix of a window that was not closed.
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
    // A window that was closed although a crash left its open file counts as closed.
    let closed: BTreeSet<usize> = found.iter().filter(|window| !window.open).map(|window| window.number).collect();
    found.retain(|window| !window.open || !closed.contains(&window.number));
    found.sort_by_key(|window| window.number);
    Ok(found)
}

/// Marks the run as one with windows.
pub(super) fn begin(host: &dyn Host, dir: &RunDir) -> Outcome<()> {
    let dir = dir.file(DIR);
    host.make_dir(&dir, Meta::root(0o700)).map_err(|e| Failure::new(format!("make {}", dir.display()), e))
}

fn name(number: usize, open: bool) -> String {
    format!("{DIR}/{number:04}.{}", if open { "open" } else { "json" })
}

/// Stores a window as it is now.
pub(super) fn write(host: &dyn Host, dir: &RunDir, number: usize, open: bool, window: &Window) -> Outcome<()> {
    let window = Window { at: host.now(), ..window.clone() };
    begin(host, dir)?;
    let bytes = serde_json::to_vec(&window).map_err(|e| Failure::new("keep what a step changed", e))?;
    dir.write(host, &name(number, open), &bytes)
}

/// Removes the open file of a window that is closed.
pub(super) fn remove_open(host: &dyn Host, dir: &RunDir, number: usize) -> Outcome<()> {
    let open = dir.file(&name(number, true));
    host.remove(&open).map_err(|e| Failure::new(format!("remove {}", open.display()), e))
}

pub(super) fn read(host: &dyn Host, path: &Path) -> Outcome<Window> {
    let what = || format!("read {}", path.display());
    let bytes = host.read(path).map_err(|e| Failure::new(what(), e))?;
    serde_json::from_slice(&bytes).map_err(|e| Failure::new(what(), e))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::unnecessary_wraps)]

    use super::*;
    use crate::host::fake::FakeHost;
    use crate::plan::Plan;

    fn entry(kind: Kind, size: u64) -> FileEntry {
        let at = Stamp::default();
        FileEntry {
            kind,
            meta: Meta::root(0o644),
            size,
            mtime: at,
            ctime: at,
            ino: size,
            mounted: false,
            hash: None,
            target: None,
            xattrs: Vec::new(),
        }
    }

    fn file(size: u64) -> Option<FileEntry> {
        Some(entry(Kind::File, size))
    }

    fn window(back: bool, before: Option<FileEntry>, after: Option<FileEntry>) -> Window {
        let step = Footprint { back, ..Footprint::default() };
        Window { step, ours: vec![StepChange { path: "/x".into(), before, after }], ..Window::default() }
    }

    fn added(windows: &[Window]) -> RunChange {
        let mut owned = Owned::default();
        for window in windows {
            owned.add(window);
        }
        owned.paths.remove(Path::new("/x")).unwrap()
    }

    #[test]
    fn of_several_steps_the_first_before_and_the_last_after_count() {
        let left = added(&[window(false, file(1), file(2)), window(false, file(2), file(3))]);
        assert_eq!((left.before, left.after, left.disturbed, left.was_dir), (file(1), file(3), false, false));
        let new = added(&[window(false, None, file(2)), window(false, file(2), None)]);
        assert_eq!((new.before, new.after, new.disturbed), (None, None, false));
        // Others changed it between two steps of ours: their version is restored.
        let left =
            added(&[window(false, file(1), file(2)), window(false, file(7), file(3)), window(false, file(3), file(4))]);
        assert_eq!((left.before, left.after, left.disturbed), (file(7), file(4), true));
        let removed = added(&[window(false, file(1), file(2)), window(false, None, file(3))]);
        assert_eq!((removed.before, removed.disturbed), (None, true));
    }

    #[test]
    fn what_was_once_a_directory_of_ours_is_remembered_as_such() {
        let dir = || Some(entry(Kind::Dir, 1));
        assert!(added(&[window(false, None, dir())]).was_dir);
        assert!(added(&[window(false, None, dir()), window(true, dir(), None)]).was_dir);
        assert!(added(&[window(false, None, file(1)), window(false, file(1), dir())]).was_dir);
        assert!(!added(&[window(false, dir(), None)]).was_dir);
    }

    #[test]
    fn what_is_ours_now_is_not_theirs_any_more_and_the_other_way_round() {
        let theirs = |window: Window| Window {
            theirs: vec![(window.ours[0].clone(), "why".to_owned())],
            ours: Vec::new(),
            ..window
        };
        let mut owned = Owned::default();
        owned.add(&theirs(window(false, None, file(1))));
        assert_eq!(owned.theirs[Path::new("/x")], "why");
        owned.add(&window(false, file(1), file(2)));
        assert!(owned.theirs.is_empty() && owned.paths.contains_key(Path::new("/x")));
        owned.add(&theirs(window(false, file(2), file(3))));
        assert!(owned.theirs.contains_key(Path::new("/x")));
    }

    #[test]
    fn windows_are_read_in_their_order_and_one_that_was_closed_is_not_open() {
        let host = FakeHost::new();
        let dir = RunDir::create(&host, &Plan::new("shop", "")).unwrap().0;
        assert!(!are_kept(&host, &dir).unwrap() && list(&host, &dir).unwrap().is_empty());
        let kept = window(false, None, file(1));
        for (number, open) in [(10, false), (2, true), (2, false), (3, true)] {
            write(&host, &dir, number, open, &kept).unwrap();
        }
        for stranger in ["readme.txt", "x.json", "4.json.tmp"] {
            host.put_file(dir.file(DIR).join(stranger), "", 0o600);
        }
        let found: Vec<_> = list(&host, &dir).unwrap().iter().map(|it| (it.number, it.open)).collect();
        assert_eq!(found, [(2, false), (3, true), (10, false)]);
        assert!(are_kept(&host, &dir).unwrap());
        let first = read(&host, &list(&host, &dir).unwrap()[0].path).unwrap();
        assert_eq!((first.ours, first.step), (kept.ours, kept.step));
        assert!(first.at > Stamp::default(), "when it was closed");
        remove_open(&host, &dir, 3).unwrap();
        assert_eq!(list(&host, &dir).unwrap().len(), 2);
    }

    /// Other runs of ours: what they did between this run's steps is ours, too.
    #[test]
    fn what_other_runs_of_ours_did_in_between_disturbs_nothing() {
        let host = FakeHost::new();
        let dir = || RunDir::create(&host, &Plan::new("shop", "")).unwrap().0;
        let (own, earlier, later) = (dir(), dir(), dir());
        let owned = |relatives: &[(&RunDir, bool)]| {
            let (owned, theirs) = with_relatives(&host, &own, relatives).unwrap();
            (owned.paths.get(Path::new("/x")).cloned(), theirs.contains(Path::new("/x")))
        };
        write(&host, &own, 0, false, &window(false, file(1), file(2))).unwrap();
        write(&host, &later, 0, false, &window(false, file(2), file(3))).unwrap();
        write(&host, &own, 1, false, &window(false, file(3), file(4))).unwrap();
        // An open window says nothing yet.
        write(&host, &own, 2, true, &window(false, file(4), file(9))).unwrap();
        let alone = owned(&[]);
        assert!(alone.0.unwrap().disturbed && !alone.1);
        let (left, theirs) = owned(&[(&later, false)]);
        let left = left.unwrap();
        assert_eq!(
            (left.before.clone(), left.after.clone(), left.disturbed, left.of_earlier),
            (file(1), file(4), false, false)
        );
        assert!(theirs);
        // The rollback of an earlier run that changed it last restores it, and only that one does.
        for (back, is_earlier) in [(true, false), (false, true), (true, true)] {
            let last = if is_earlier { &earlier } else { &later };
            write(&host, last, 9, false, &window(back, file(4), file(5))).unwrap();
            let left = owned(&[(&earlier, true), (&later, false)]).0.unwrap();
            assert_eq!((left.after.clone(), left.of_earlier), (file(5), back && is_earlier));
            host.remove(&last.file(&name(9, false))).unwrap();
        }
    }
}
