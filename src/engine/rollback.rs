//! Taking a run back: its undo records in reverse, then the disk as it was.
//!
//! The records bring back what actions changed; [`reconcile`] brings back what packages and their scripts
//! changed without a record. What somebody else changed in between stays, and is reported.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::engine::deadman;
use crate::engine::event::What;
use crate::engine::journal::{Entry, Journal, Record};
use crate::engine::manifest::Manifest;
use crate::engine::runs::RunDir;
use crate::engine::undo::{Undo, UndoCx, Undone};
use crate::engine::window::{self, Owned, Tracker};
use crate::error::{Failure, Outcome};
use crate::host::Host;

pub mod accounts;
pub mod reconcile;
mod services;

/// What to take back, and what may go with it.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Only this stage.
    pub stage: Option<String>,
    /// Data that changed since the run may be dropped, after it was dumped.
    pub drop_data: bool,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What was left in place, and why.
    pub kept: Vec<(String, String)>,
    /// What could not be carried out.
    pub errors: Vec<Failure>,
}

/// Takes a run (or one stage of it) back. An error means that it could not even begin; what went wrong on the
/// way is in the report, and calling again goes on.
pub fn roll_back(
    host: &dyn Host,
    dir: &RunDir,
    journal: &mut Journal,
    options: &Options,
    emit: &(dyn Fn(What) + Sync),
) -> Outcome<Report> {
    let whole = options.stage.is_none();
    let records = journal.entries().iter().filter(|entry| concerns(entry, options)).count();
    emit(What::RollbackStarted { run: dir.id.clone(), records });
    deadman::put_back_now(host);
    journal.write(host, Record::RollbackBegin { stage: options.stage.clone() })?;

    let mut scene = Scene::new(host, dir, journal)?;
    let mut report = Report::default();
    let way = Way { host, dir, options, one_by_one: false, emit };
    let entries: Vec<Entry> = journal.entries().iter().filter(|entry| concerns(entry, options)).cloned().collect();
    way.walk(&mut scene, journal, &entries, &mut report)?;

    let told = report.errors.len();
    if whole && report.errors.is_empty() {
        reconcile_disk(&mut scene, journal, &mut report, emit)?;
    }

    let of = options.stage.as_deref().map_or(services::Of::Run, services::Of::Stage);
    services::settle(host, dir, journal, of, &mut report, emit);
    for failure in &report.errors[told..] {
        emit(What::Failed { step: "rollback".to_owned(), failure: failure.clone() });
    }
    if report.errors.is_empty() {
        journal.write(host, Record::RolledBack { stage: options.stage.clone(), kept: report.kept.len() })?;
    }
    let bytes = serde_json::to_vec_pretty(&report).map_err(|e| Failure::new("write the report", e))?;
    dir.write(host, "rollback.json", &bytes)?;
    Ok(report)
}

/// Takes some actions of a run back that goes on afterwards, the last first. When nothing else stands, the disk
/// becomes what it was before the run.
pub fn take_back(
    host: &dyn Host,
    dir: &RunDir,
    journal: &mut Journal,
    actions: &BTreeSet<String>,
    emit: &(dyn Fn(What) + Sync),
) -> Outcome<Report> {
    let standing = journal.entries().iter().filter(|entry| !entry.undone);
    let entries: Vec<Entry> = standing.filter(|entry| actions.contains(&entry.action)).cloned().collect();
    emit(What::RollbackStarted { run: dir.id.clone(), records: entries.len() });

    let everything = entries.len() == journal.standing();
    let mut scene = Scene::new(host, dir, journal)?;
    let mut report = Report::default();
    let way = Way { host, dir, options: &Options::default(), one_by_one: true, emit };
    way.walk(&mut scene, journal, &entries, &mut report)?;
    if everything && report.errors.is_empty() {
        reconcile_disk(&mut scene, journal, &mut report, emit)?;
    }
    services::settle(host, dir, journal, services::Of::Actions(actions), &mut report, emit);
    Ok(report)
}

/// Brings the disk to what it was before the run, but for what is not known to be the run's.
fn reconcile_disk(
    scene: &mut Scene<'_>,
    journal: &Journal,
    report: &mut Report,
    emit: &(dyn Fn(What) + Sync),
) -> Outcome<()> {
    let Some(base) = &scene.base else { return Ok(()) };
    let Traces { made, trees, recorded } = Traces::of(journal);
    let kept = report.kept.iter().map(|(path, _)| PathBuf::from(path)).filter(|path| made.contains(path)).collect();
    let states = reconcile::States {
        base,
        look: scene.look.as_ref(),
        owned: scene.tracker.owned(),
        made: &made,
        trees: &trees,
        kept: &kept,
        recorded: &recorded,
        known: scene.tracker.known(),
        content: &|hash| scene.tracker.content(hash),
    };
    let outcome = reconcile::reconcile(scene.host, &states)?;
    tell(outcome, report, emit);
    Ok(())
}

/// Adds what came of it to the report.
fn tell(outcome: reconcile::Outcomes, report: &mut Report, emit: &(dyn Fn(What) + Sync)) {
    for (what, why) in outcome.kept {
        // A record may have reported the same path already, in better words.
        if !report.kept.iter().any(|(known, _)| *known == what) {
            emit(What::Kept { what: what.clone(), why: why.clone() });
            report.kept.push((what, why));
        }
    }
    report.errors.extend(outcome.errors);
}

/// The paths that records of a run name.
struct Traces {
    /// Directories that it made.
    made: BTreeSet<PathBuf>,
    /// Those that came as a whole.
    trees: BTreeSet<PathBuf>,
    /// Files and links.
    recorded: BTreeSet<PathBuf>,
}

impl Traces {
    fn of(journal: &Journal) -> Self {
        let mut traces = Self { made: BTreeSet::new(), trees: BTreeSet::new(), recorded: BTreeSet::new() };
        for undo in journal.entries().iter().flat_map(|entry| &entry.undo) {
            match undo {
                Undo::RemoveTree { path } => {
                    traces.made.insert(path.clone());
                    traces.trees.insert(path.clone());
                }
                Undo::RemoveDir { path } | Undo::RemoveData { path } => {
                    traces.made.insert(path.clone());
                }
                Undo::Firewall { files, .. } => traces.recorded.extend(files.iter().map(|(path, _)| path.clone())),
                _ => traces.recorded.extend(undo.path().map(Path::to_owned)),
            }
        }
        traces.recorded.extend(traces.made.iter().cloned());
        traces
    }
}

/// What is known of the disk while actions are rolled back.
struct Scene<'a> {
    host: &'a dyn Host,
    /// Before the run; none when it was killed before it could look.
    base: Option<Manifest>,
    /// At the run's end, or when it failed; none when it was killed.
    look: Option<Manifest>,
    /// What the run left, by its windows and its last look, without what is known to be somebody else's; none for a
    /// run of an old program that did not end, of which nothing is known.
    left: Option<Manifest>,
    tracker: Tracker<'a>,
}

impl<'a> Scene<'a> {
    fn new(host: &'a dyn Host, dir: &'a RunDir, journal: &Journal) -> Outcome<Self> {
        let base = Manifest::load(host, dir, "base")?;
        let known = base.as_ref().map(|(base, _)| base.clone());
        let has_windows = window::are_kept(host, dir)?;
        let mut tracker = Tracker::new(host, dir, base)?;
        // The last look of a run that did not end after it counts for nothing.
        let post = if journal.finished.is_some() { Manifest::load(host, dir, "post")? } else { None };
        let look = match post {
            Some((post, contents)) => {
                tracker.learn(contents);
                Some(post)
            }
            None => Manifest::load(host, dir, "look")?.map(|(look, _)| look),
        };
        let left_unknown = !has_windows && look.is_none();
        if known.is_some() && !has_windows {
            let undo: Vec<Undo> = journal.entries().iter().flat_map(|entry| entry.undo.iter().cloned()).collect();
            tracker.assume(look.as_ref(), window::Step::back("run", &undo))?;
        }
        if let Some(base) = &known {
            tracker.read_changed(base)?;
        }
        let left = (!left_unknown).then(|| left(look.as_ref(), tracker.owned()));
        Ok(Self { host, base: known, look, left, tracker })
    }
}

/// What a run left: as it was last seen, newer windows over it.
fn left(look: Option<&Manifest>, owned: &Owned) -> Manifest {
    let mut left = look.cloned().unwrap_or_default();
    for (path, of_ours) in &owned.paths {
        if let (Some(after), false) = (&of_ours.after, left.entries.contains_key(path)) {
            left.entries.insert(path.clone(), after.clone());
        }
    }
    left.entries.retain(|path, _| !owned.theirs.contains_key(path));
    left
}

/// Whether an entry is still to be taken back under these options.
pub(super) fn concerns(entry: &Entry, options: &Options) -> bool {
    !entry.undone && options.stage.as_ref().is_none_or(|stage| *stage == entry.stage)
}

/// What taking actions back works with.
struct Way<'a> {
    host: &'a dyn Host,
    dir: &'a RunDir,
    options: &'a Options,
    /// Stop at the first action that cannot be taken back. What is left can then be tried again: without those
    /// that began before it, it could not.
    one_by_one: bool,
    emit: &'a (dyn Fn(What) + Sync),
}

impl Way<'_> {
    /// Takes these actions back, the last first.
    fn walk(
        &self,
        scene: &mut Scene<'_>,
        journal: &mut Journal,
        entries: &[Entry],
        report: &mut Report,
    ) -> Outcome<()> {
        for entry in entries.iter().rev() {
            // What rolling back changes is no more somebody else's than what the run did.
            let open = scene.tracker.open(window::Step::back(&entry.action, &entry.undo))?;
            let mut errors = self.carry_out(scene, journal, entry, report);
            if let Some(open) = open {
                let closed = scene.tracker.close(open)?;
                let outcome = reconcile::put_back(self.host, &closed, &|hash| scene.tracker.content(hash));
                errors.extend(outcome.errors.iter().cloned());
                tell(reconcile::Outcomes { errors: Vec::new(), ..outcome }, report, self.emit);
            }
            if errors.is_empty() {
                journal.write(self.host, Record::Undone { action: entry.action.clone() })?;
            }
            report.errors.extend(errors);
            if self.one_by_one && !report.errors.is_empty() {
                break;
            }
        }
        Ok(())
    }

    /// Hands out what the records of an entry are carried out with.
    fn with<T>(&self, scene: &Scene<'_>, journal: &Journal, entry: &Entry, does: impl FnOnce(&UndoCx<'_>) -> T) -> T {
        let emit = self.emit;
        let progress = |progress| emit(What::ActionProgress { action: entry.action.clone(), progress });
        let dumped = |what: &str, file: &Path| {
            emit(What::Dumped { what: what.to_owned(), file: file.display().to_string() });
        };
        does(&UndoCx {
            host: self.host,
            blobs: &self.dir.blobs(),
            log: &self.dir.log(&format!("undo.{}", entry.action)),
            progress: &progress,
            dumped: &dumped,
            dumps: &self.dir.file("dumps"),
            drop_data: self.options.drop_data,
            wrote: &entry.wrote,
            data: journal.data.get(&entry.action).map(String::as_str),
            post: scene.left.as_ref(),
            died: (!entry.ended && entry.wrote.is_empty()).then_some(scene.tracker.died()),
        })
    }

    fn carry_out(&self, scene: &Scene<'_>, journal: &Journal, entry: &Entry, report: &mut Report) -> Vec<Failure> {
        let Self { options, emit, .. } = *self;
        let mut errors = Vec::new();
        // The last record first: what lies in a directory goes before the directory.
        for undo in entry.undo.iter().rev() {
            match self.with(scene, journal, entry, |cx| undo.carry_out(cx)) {
                Ok(Undone::Done(describe)) => emit(What::Undone { action: entry.action.clone(), describe }),
                Ok(Undone::Nothing) => {}
                Ok(Undone::Kept { what, why }) => {
                    // Directories that still hold something are looked at again when the disk is reconciled.
                    let later =
                        options.stage.is_none() && matches!(undo, Undo::RemoveDir { .. } | Undo::RemoveTree { .. });
                    if !later {
                        emit(What::Kept { what: what.clone(), why: why.clone() });
                        report.kept.push((what, why));
                    }
                }
                // The rest is undone all the same: each error less is a step nearer.
                Err(failure) => {
                    emit(What::Failed { step: entry.action.clone(), failure: failure.clone() });
                    errors.push(failure);
                }
            }
        }
        errors
    }
}
