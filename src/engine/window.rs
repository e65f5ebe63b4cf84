//! Windows: what a step did to paths that none of its records names, such as a package transaction or a command.
//!
//! The disk is scanned when the step begins and when it ends. What differs and is not known to be another's ([`whose`])
//! is the run's, with its former state. Windows are numbered files in the run's directory; one that a crash left open
//! is closed by the resumed run, more strictly. Rollbacks use windows, too, so that a rollback never takes its own
//! half-done work for another's.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::engine::rollback::accounts;
use crate::engine::runs::RunDir;
use crate::error::{Failure, Outcome};
use crate::host::{Host, Kind, Meta, Stamp, Watch, Writer};
use crate::undo::manifest::{Contents, FileEntry, Manifest, ManifestScope, is_kept};

pub mod dpkg;
mod footprint;
mod kept;
pub mod whose;

use dpkg::Transaction;
pub use footprint::{Footprint, Nature};
use kept::{Kept, Window};
pub use kept::{Owned, RunChange, StepChange, are_kept, same, with_relatives};
use whose::{Case, Whose};

/// Makes the windows of one process.
pub struct Tracker<'a> {
    host: &'a dyn Host,
    dir: &'a RunDir,
    watch: Box<dyn Watch>,
    /// The latest scan of the disk.
    known: Manifest,
    /// What triggers made that another name in its directory had at the scan before the latest.
    renamed: BTreeSet<PathBuf>,
    /// When the latest full scan was.
    seen: Option<Stamp>,
    /// Contents that the scans have read.
    contents: Contents,
    /// Those that the manifest `baseline` keeps.
    in_base: BTreeSet<String>,
    next: usize,
    owned: Owned,
    /// Files that others were known to have written before a crash.
    others: BTreeMap<u64, Writer>,
    /// Whether the run has a first manifest.
    based: bool,
    /// The last sign of life of the process before this one.
    died: Stamp,
}

/// A window that is open.
pub struct Open {
    kept: Window,
    scope: ManifestScope,
    number: usize,
    /// What dpkg knew when a transaction began.
    dpkg: Option<(dpkg::PriorVersions, Transaction)>,
}

/// How long a scan counts as current, in milliseconds.
const FRESH: u128 = 100;

impl<'a> Tracker<'a> {
    /// Continues where the run's windows end, and closes one that a crash left open. `baseline` is the manifest before
    /// the run.
    pub fn new(host: &'a dyn Host, dir: &'a RunDir, baseline: Option<(Manifest, Contents)>) -> Outcome<Self> {
        let based = baseline.is_some();
        let (known, contents) = baseline.unwrap_or_default();
        let in_base = contents.keys().cloned().collect();
        let alive = dir.file("alive");
        let died = host.stat(&alive).ok().flatten().map(|stat| stat.mtime).unwrap_or_default();
        let others = kept::others(host, &alive);
        let mut tracker = Self {
            host,
            dir,
            watch: host.watch(&alive),
            known,
            renamed: BTreeSet::new(),
            seen: None,
            contents,
            in_base,
            next: 0,
            owned: Owned::default(),
            others,
            based,
            died,
        };
        let mut left_open = Vec::new();
        for Kept { number, path, open } in kept::list(host, dir)? {
            tracker.next = tracker.next.max(number + 1);
            let window = kept::read(host, &path);
            if open {
                left_open.push((number, path, window));
                continue;
            }
            let window = window?;
            let theirs = window.theirs.iter().map(|(change, _)| change);
            for change in window.drift.iter().chain(theirs).chain(&window.ours) {
                know(&mut tracker.known, change);
            }
            tracker.owned.add(&window);
        }
        for (number, path, window) in left_open {
            match window {
                Ok(window) => tracker.close_left_open(number, window)?,
                // Truncated: the step it belongs to never began.
                Err(_) => host.remove(&path).map_err(|e| Failure::new(format!("remove {}", path.display()), e))?,
            }
        }
        Ok(tracker)
    }

    /// What the run is known to have changed so far.
    pub const fn owned(&self) -> &Owned {
        &self.owned
    }

    /// The last sign of life of the process before this one.
    pub const fn died(&self) -> Stamp {
        self.died
    }

    /// The latest scan of the disk.
    pub const fn known(&self) -> &Manifest {
        &self.known
    }

    /// Opens a window; none for a step whose records are complete.
    pub fn open(&mut self, step: Footprint) -> Outcome<Option<Open>> {
        let fresh = self.seen.take().is_some_and(|at| self.host.now().since(at).as_millis() <= FRESH);
        let Some(scope) = step.nature.scope().filter(|_| self.based) else { return Ok(None) };
        let drift = if fresh { Vec::new() } else { self.look(scope)? };
        self.keep_contents(drift.iter().filter(|change| is_followed(&change.path)), false)?;
        let (drift, theirs) = self.told(drift);
        if step.nature.has_packages() {
            self.keep_neighbors()?;
        }
        let dpkg = if step.nature.has_packages() {
            let before = dpkg::PriorVersions::read(self.host)?;
            let there = Transaction::read(self.host, &before, &step.packages)?;
            Some((before, there))
        } else {
            None
        };
        let number = self.next;
        self.next += 1;
        let kept = Window { step, drift, theirs, ..Window::default() };
        kept::write(self.host, self.dir, number, true, &kept)?;
        Ok(Some(Open { kept, scope, number, dpkg }))
    }

    /// Keeps what others have put into directories of the run: a purge would remove it.
    fn keep_neighbors(&self) -> Outcome<()> {
        let blobs = self.dir.blobs();
        let brought = |path: &Path| {
            path.ancestors().skip(1).any(|above| self.owned.paths.get(above).is_some_and(|left| left.before.is_none()))
        };
        let is_one = |path: &Path, entry: &FileEntry| {
            entry.kind == Kind::File && is_kept(path) && !self.owned.paths.contains_key(path) && brought(path)
        };
        for (_, entry) in self.known.entries.iter().filter(|(path, entry)| is_one(path, entry)) {
            if let Some(content) = entry.hash.as_ref().and_then(|hash| self.contents.get(hash)) {
                blobs.put(self.host, content)?;
            }
        }
        Ok(())
    }

    /// Reads what changed since the run began again: a rollback may have to restore it.
    pub fn read_changed(&mut self, baseline: &Manifest) -> Outcome<()> {
        Manifest::take(self.host, Some(baseline), &mut self.contents).map(drop)
    }

    /// Scans the disk when nothing is left to do, or nothing can be done: later changes are then told apart from
    /// earlier ones.
    pub fn last_look(&mut self) -> Outcome<&Manifest> {
        if self.based {
            let drift = self.look(ManifestScope::Disk)?;
            self.keep_contents(drift.iter().filter(|change| is_followed(&change.path)), false)?;
            let (drift, theirs) = self.told(drift);
            let step = Footprint { action: "bringup".to_owned(), ..Footprint::default() };
            let window = Window { step, drift, theirs, ..Window::default() };
            let number = self.next;
            self.next += 1;
            kept::write(self.host, self.dir, number, false, &window)?;
            self.owned.add(&window);
        }
        Ok(&self.known)
    }

    /// The changes between two windows that others are known to have made.
    fn told(&mut self, drift: Vec<StepChange>) -> (Vec<StepChange>, Vec<(StepChange, String)>) {
        let writers = self.watch.writers().unwrap_or_default();
        let (theirs, drift): (Vec<_>, Vec<_>) = drift.into_iter().partition(|change| {
            change.after.as_ref().is_some_and(|after| {
                after.kind == Kind::File
                    && writers.get(&after.ino).or(self.others.get(&after.ino)) == Some(&Writer::Other)
            })
        });
        (drift, theirs.into_iter().map(|change| (change, whose::WROTE.to_owned())).collect())
    }

    /// Marks the run as one with windows.
    pub fn begin(&self) -> Outcome<()> {
        kept::begin(self.host, self.dir)
    }

    /// Attributes all differences between the start of a run and `post`, its end, to the run: a run without windows has
    /// no better evidence. For one that did not end, dpkg's records must do.
    pub fn assume(&mut self, post: Option<&Manifest>, step: Footprint) -> Outcome<()> {
        self.begin()?;
        let number = self.next;
        self.next += 1;
        let Some(post) = post else {
            let window = Window { step: Footprint { nature: Nature::Packages, ..step }, ..Window::default() };
            return self.close_left_open(number, window);
        };
        let mut changes = Vec::new();
        let paths: BTreeSet<&PathBuf> = self.known.entries.keys().chain(post.entries.keys()).collect();
        for path in paths {
            let (before, after) = (self.known.entries.get(path), post.entries.get(path));
            let living = whose::lives(path) && before.is_some() && !is_kept(path);
            if !same(before, after) && !living {
                changes.push(StepChange { path: path.clone(), before: before.cloned(), after: after.cloned() });
            }
        }
        let mut lines = Vec::new();
        for change in changes.iter().filter(|change| accounts::is_merged(&change.path)) {
            let content =
                |entry: &Option<FileEntry>| entry.as_ref().and_then(|entry| self.content(entry.hash.as_ref()?));
            if let (Some(before), Some(after)) = (content(&change.before), content(&change.after)) {
                lines.extend(accounts::changed(&change.path, &before, &after));
            }
        }
        for change in &changes {
            know(&mut self.known, change);
        }
        let window = Window { step, ours: changes, lines, ..Window::default() };
        kept::write(self.host, self.dir, number, false, &window)?;
        self.owned.add(&window);
        Ok(())
    }

    /// Records what restoring the disk has changed, so that a later rollback of another run knows whose it was.
    pub fn note_reconciled(&mut self) -> Outcome<()> {
        if !self.based {
            return Ok(());
        }
        let (ours, drift) =
            self.look(ManifestScope::Disk)?.into_iter().partition(|change| self.owned.paths.contains_key(&change.path));
        let step = Footprint { action: "bringup".to_owned(), back: true, ..Footprint::default() };
        let window = Window { step, drift, ours, ..Window::default() };
        self.keep_contents(window.ours.iter().chain(&window.drift).filter(|change| is_followed(&change.path)), false)?;
        let number = self.next;
        self.next += 1;
        kept::write(self.host, self.dir, number, false, &window)?;
        self.owned.add(&window);
        Ok(())
    }

    /// Adds contents that another manifest of the run keeps.
    pub fn learn(&mut self, contents: Contents) {
        self.contents.extend(contents);
    }

    /// Scans the disk; returns what changed since the last scan.
    fn look(&mut self, scope: ManifestScope) -> Outcome<Vec<StepChange>> {
        let now = Manifest::take_in(self.host, scope, Some(&self.known), &mut self.contents)?;
        let mut changes = Vec::new();
        for (path, entry) in &now.entries {
            let before = self.known.entries.get(path);
            if !same(before, Some(entry)) {
                changes.push(StepChange { path: path.clone(), before: before.cloned(), after: Some(entry.clone()) });
            }
        }
        for (path, entry) in self.known.entries.iter().filter(|(path, _)| scope.holds(path)) {
            if !now.entries.contains_key(path) {
                changes.push(StepChange { path: path.clone(), before: Some(entry.clone()), after: None });
            }
        }
        changes.sort_by(|a, b| a.path.cmp(&b.path));
        // Not from the changes: a name that has a new file with the same content has not changed.
        let renamed =
            changes.iter().filter(|change| whose::is_made_by_triggers(&change.path) && self.is_renamed(change));
        self.renamed = renamed.map(|change| change.path.clone()).collect();
        if scope == ManifestScope::Disk {
            self.known = now;
        } else {
            for change in &changes {
                know(&mut self.known, change);
            }
            // Entries whose times alone changed.
            self.known.entries.extend(now.entries);
        }
        Ok(changes)
    }

    /// Whether another name in the same directory had this file.
    fn is_renamed(&self, change: &StepChange) -> bool {
        let (Some(dir), Some(after)) = (change.path.parent(), &change.after) else { return false };
        let within = self.known.entries.range(dir.to_owned()..).take_while(|(path, _)| path.starts_with(dir));
        let mut others = within.filter(|(path, _)| **path != change.path && path.parent() == Some(dir));
        others.any(|(_, entry)| entry.ino == after.ino && entry.kind == after.kind)
    }

    /// Closes a window: its changes are attributed to us or others, and stored durably.
    pub fn close(&mut self, open: Open) -> Outcome<Closed> {
        let Open { kept, scope, number, dpkg } = open;
        let changes = self.look(scope)?;
        let writers = self.watch.writers();
        let transaction = match dpkg {
            Some((before, there)) => {
                let mut transaction = Transaction::read(self.host, &before, &kept.step.packages)?;
                transaction.join(there);
                Some(transaction)
            }
            None => None,
        };
        let case = Judged { writers: writers.as_ref(), transaction: transaction.as_ref(), crashed: None };
        let closed = self.sort(number, kept, changes, &case)?;
        self.seen = (scope == ManifestScope::Disk).then(|| self.host.now());
        Ok(closed)
    }

    /// Closes a window that a crash left open.
    fn close_left_open(&mut self, number: usize, window: Window) -> Outcome<()> {
        for change in window.drift.iter().chain(window.theirs.iter().map(|(change, _)| change)) {
            know(&mut self.known, change);
        }
        let Some(scope) = window.step.nature.scope() else { return Ok(()) };
        let status = self.known.entries.get(Path::new(dpkg::STATUS)).cloned();
        let changes = self.look(scope)?;
        let mut crashed = self.died;
        let mut transaction = None;
        if window.step.nature.has_packages() {
            let before = status.and_then(|entry| self.content(entry.hash.as_ref()?)).unwrap_or_default();
            transaction = Some(Transaction::read(self.host, &dpkg::PriorVersions::of(&before), &window.step.packages)?);
            // dpkg may have continued without us for a while.
            let last = changes.iter().find(|change| change.path == Path::new(dpkg::STATUS));
            crashed = crashed.max(last.and_then(|change| Some(change.after.as_ref()?.ctime)).unwrap_or_default());
        }
        let case = Judged { writers: None, transaction: transaction.as_ref(), crashed: Some(crashed) };
        self.sort(number, window, changes, &case).map(drop)
    }

    /// A content by its hash, where it was kept.
    pub fn content(&self, hash: &str) -> Option<Vec<u8>> {
        self.contents.get(hash).cloned().or_else(|| self.dir.blobs().get(self.host, hash).ok())
    }

    fn sort(
        &mut self,
        number: usize,
        mut window: Window,
        changes: Vec<StepChange>,
        judged: &Judged<'_>,
    ) -> Outcome<Closed> {
        window.lines = self.lines(&window.step, &changes, judged.transaction);
        let owned = |path: &Path| self.owned.paths.contains_key(path);
        let accounts = accounts::numbers(window.lines.iter().chain(&self.owned.lines));
        let case = Case {
            accounts: &accounts,
            step: &window.step,
            writers: judged.writers,
            others: &self.others,
            transaction: judged.transaction,
            crashed: judged.crashed,
            owned: &owned,
            renamed: &self.renamed,
            contents: &self.contents,
        };
        let verdicts = whose::sort(&case, &changes);
        for (change, whose) in changes.into_iter().zip(verdicts) {
            match whose {
                _ if window.step.recorded.contains(&change.path) => window.drift.push(change),
                // Merged line by line above; the file as a whole stays here for its times.
                _ if accounts::is_merged(&change.path) => window.ours.push(change),
                // The tools' backup files follow what they have changed.
                _ if accounts::is_backup(&change.path) => {
                    if !window.lines.is_empty() {
                        window.ours.push(change);
                    }
                }
                Whose::Ours => window.ours.push(change),
                Whose::Theirs(why) => window.theirs.push((change, why.to_owned())),
                Whose::Lives => {}
            }
        }
        // The content of what is to be restored must be kept.
        self.keep_contents(window.ours.iter(), true)?;
        kept::write(self.host, self.dir, number, false, &window)?;
        kept::remove_open(self.host, self.dir, number)?;
        let brought = |path: &Path| {
            path.ancestors().skip(1).any(|above| self.owned.paths.get(above).is_some_and(|left| left.before.is_none()))
        };
        let closed = Closed {
            taken: window
                .theirs
                .iter()
                .map(|(change, _)| change)
                .filter(|change| change.before.is_some() && change.after.is_none() && brought(&change.path))
                .cloned()
                .collect(),
            dirs: window
                .ours
                .iter()
                .filter_map(|change| Some((change.path.clone(), change.before.as_ref()?.meta)))
                .collect(),
        };
        self.owned.add(&window);
        Ok(closed)
    }

    /// The changes to account files that are ours.
    fn lines(
        &self,
        step: &Footprint,
        changes: &[StepChange],
        transaction: Option<&Transaction>,
    ) -> Vec<accounts::AccountLine> {
        let is_ours = |key: &str| {
            step.names.iter().any(|name| name == key) || transaction.is_some_and(|it| it.mentions_word(key))
        };
        let mut lines = Vec::new();
        for change in changes.iter().filter(|change| accounts::is_merged(&change.path)) {
            let content = |entry: &Option<FileEntry>| match entry {
                Some(entry) => entry.hash.as_ref().and_then(|hash| self.content(hash)),
                None => Some(Vec::new()),
            };
            if let (Some(before), Some(after)) = (content(&change.before), content(&change.after)) {
                lines.extend(accounts::changed(&change.path, &before, &after));
            }
        }
        lines.into_iter().filter_map(|line| line.ours(&is_ours)).collect()
    }

    /// Keeps contents that later comparisons or a rollback need: former ones, and those of watched files.
    fn keep_contents<'c>(&self, changes: impl Iterator<Item = &'c StepChange>, former: bool) -> Outcome<()> {
        let blobs = self.dir.blobs();
        for change in changes {
            let before = change.before.as_ref().filter(|_| former);
            let after = change.after.as_ref().filter(|_| is_followed(&change.path));
            for hash in before.into_iter().chain(after).filter_map(|entry| entry.hash.as_ref()) {
                if let Some(content) = self.contents.get(hash).filter(|_| !self.in_base.contains(hash)) {
                    blobs.put(self.host, content)?;
                }
            }
        }
        Ok(())
    }
}

/// The result of a window.
#[derive(Clone, Debug, Default)]
pub struct Closed {
    /// Files in directories of the run that were not the run's and that a purge removed.
    pub taken: Vec<StepChange>,
    /// Former permissions of the run's own files.
    pub dirs: BTreeMap<PathBuf, Meta>,
}

/// What the changes of a window are attributed by.
struct Judged<'a> {
    writers: Option<&'a BTreeMap<u64, Writer>>,
    transaction: Option<&'a Transaction>,
    crashed: Option<Stamp>,
}

/// Files whose content must be known after every step.
fn is_followed(path: &Path) -> bool {
    accounts::is_merged(path) || path == Path::new(dpkg::STATUS)
}

fn know(known: &mut Manifest, change: &StepChange) {
    match &change.after {
        Some(entry) => known.entries.insert(change.path.clone(), entry.clone()),
        None => known.entries.remove(&change.path),
    };
}

#[cfg(test)]
mod tests;
