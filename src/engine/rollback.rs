//! Rolling back a run: its undo records in reverse, then the rest of the disk.
//!
//! The records restore what actions changed; [`reconcile`] restores what packages and their scripts changed without a
//! record. Changes that others made in between stay, and are reported.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::action::carry::{CARRY, carry_out};
use crate::action::service::PriorState;
use crate::engine::event::EventKind;
use crate::engine::journal::{Journal, JournalEntry, Record};
use crate::engine::old_releases;
use crate::engine::rollback::layers::{Above, height};
use crate::engine::rollback::shared::{Split, Used};
use crate::engine::runs::{self, Run, RunDir};
use crate::engine::window::{self, Owned, Tracker};
use crate::error::{Failure, Outcome};
use crate::host::Host;
use crate::system::packages::listed;
use crate::system::packages::status::Database;
use crate::undo::deadman;
use crate::undo::manifest::Manifest;
use crate::undo::{Undo, UndoContext, Undone};

pub mod accounts;
mod layers;
pub mod reconcile;
mod services;
pub mod shared;
mod stir;

pub use layers::Layer;

/// Options of a rollback.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Only this stage.
    pub stage: Option<String>,
    /// Data that changed since the run may be dropped, after it was dumped.
    pub drop_data: bool,
}

/// The result of a rollback.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What was left in place, and why.
    pub kept: Vec<(String, String)>,
    /// What could not be carried out.
    pub errors: Vec<Failure>,
}

/// Rolls back a run (or one stage of it). An error means that it could not begin; failures on the way are in the
/// report, and calling it again continues.
pub fn roll_back(
    host: &dyn Host,
    dir: &RunDir,
    journal: &mut Journal,
    options: &Options,
    emit: &(dyn Fn(EventKind) + Sync),
) -> Outcome<Report> {
    together(host, &mut [Layer { dir, journal }], options, emit)
}

/// Rolls back runs in one pass, the latest first. What later runs in place use stays, and what earlier rollbacks had
/// left for the sake of these runs is removed, too: see [`shared`].
pub fn together(
    host: &dyn Host,
    chosen: &mut [Layer<'_>],
    options: &Options,
    emit: &(dyn Fn(EventKind) + Sync),
) -> Outcome<Report> {
    let all = runs::all(host, None)?;
    let ids: Vec<String> = chosen.iter().map(|layer| layer.dir.id.clone()).collect();
    ahead(host, &all, &ids, options)?;
    // Runs with deferred records. A single stage frees nothing: its run is still in place.
    let mut waiting: Vec<Run> = all.iter().filter(|run| !ids.contains(&run.dir.id)).cloned().collect();
    waiting.retain(|run| options.stage.is_none() && (run.waits() || run.journal.deferred().next().is_some()));
    let mut layers: Vec<Part<'_>> = chosen.iter_mut().map(|layer| Part::of(layer.dir, layer.journal, true)).collect();
    layers.extend(waiting.iter_mut().map(|run| Part::of(&run.dir, &mut run.journal, false)));
    layers.sort_by_key(|part| Reverse(height(part.journal)));
    let Some(lowest) = layers.last().map(|part| height(part.journal)) else { return Ok(Report::default()) };
    let above = Above::all(host, &all, &lowest, &ids)?;

    // Every run that nothing uses any more is begun together, so that a crash leaves none that is never completed.
    let whole = options.stage.is_none();
    let last = |part: &Part<'_>| Above::than(&above, &height(part.journal)).is_empty();
    let begins = |part: &Part<'_>| part.chosen || (part.journal.rolled_back.is_some() && last(part));
    let records = |part: &Part<'_>| part.journal.entries().iter().filter(|entry| concerns(entry, options)).count();
    let run = ids.first().cloned().unwrap_or_default();
    emit(EventKind::RollbackStarted { run, records: layers.iter().filter(|part| begins(part)).map(records).sum() });
    deadman::revert_now(host, CARRY);
    for part in &mut layers {
        if begins(part) {
            part.journal.write(host, Record::RollbackBegin { stage: options.stage.clone() })?;
            part.begun = true;
        }
    }

    let pass = Pass { host, all: &all, options, emit };
    let mut total = Report::default();
    for part in &mut layers {
        let users = Above::than(&above, &height(part.journal));
        let report = pass.take_off(part, &users)?;
        total.kept.extend(report.kept.iter().cloned());
        total.errors.extend(report.errors.iter().cloned());
        part.report = report;
        // Removing an upper layer may need what is below it.
        if !total.errors.is_empty() {
            break;
        }
        part.done = true;
    }

    let told = total.errors.len();
    let of = options.stage.as_deref().map_or(services::Of::Run, services::Of::Stage);
    for at in 0..layers.len() {
        // The state of a service before the first of them counts.
        let below: BTreeSet<(String, String)> =
            layers[at + 1..].iter().filter(|part| part.begun).flat_map(|part| services(part.journal)).collect();
        let part = &mut layers[at];
        if part.begun {
            services::restore(host, part.dir, part.journal, (of, &below), &mut total, emit);
        }
    }
    for part in layers.iter().filter(|part| part.done) {
        let users = Above::than(&above, &height(part.journal));
        total.errors.extend(stir::services(host, part.dir, &part.carried, &users));
    }
    for failure in &total.errors[told..] {
        emit(EventKind::Failed { step: "rollback".to_owned(), failure: failure.clone() });
    }
    let settled = total.errors.len() == told;
    for part in layers.iter_mut().filter(|part| part.begun) {
        if settled && part.done {
            let waits = if whole { names(&Above::than(&above, &height(part.journal))) } else { Vec::new() };
            let kept = part.report.kept.len();
            part.journal.write(host, Record::RolledBack { stage: options.stage.clone(), kept, waits })?;
        }
        let report = if part.chosen { &total } else { &part.report };
        let bytes = serde_json::to_vec_pretty(report).map_err(|e| Failure::new("write the report", e))?;
        part.dir.write(host, "rollback.json", &bytes)?;
    }
    Ok(total)
}

/// The services whose prior state is in records of a run.
fn services(journal: &Journal) -> impl Iterator<Item = (String, String)> {
    let records = journal.entries().iter().flat_map(|entry| &entry.undo);
    records.filter_map(PriorState::of).map(|prior| (prior.manager.to_owned(), prior.name.to_owned()))
}

/// What rolling back these runs together would carry out of each run, including those with deferred records. Changes
/// nothing; what would keep it from beginning is an error here, too.
pub fn ahead<'r>(
    host: &dyn Host,
    all: &'r [Run],
    ids: &[String],
    options: &Options,
) -> Outcome<Vec<(&'r Journal, Vec<JournalEntry>)>> {
    let chosen = |run: &Run| ids.contains(&run.dir.id);
    let waiting = |run: &Run| options.stage.is_none() && (run.waits() || run.journal.deferred().next().is_some());
    let runs: Vec<&Run> = all.iter().filter(|run| chosen(run) || waiting(run)).collect();
    let Some(lowest) = runs.iter().map(|run| height(&run.journal)).min() else { return Ok(Vec::new()) };
    let above = Above::all(host, all, &lowest, ids)?;
    let mut parts = Vec::new();
    for run in runs {
        let users = Above::than(&above, &height(&run.journal));
        let packages = installed(host, &users)?;
        let entries = run.journal.entries().iter().filter(|entry| concerns(entry, options));
        let entries = entries.filter(|entry| chosen(run) || !entry.used_by.is_empty()).map(|entry| {
            let mut entry = entry.clone();
            entry.undo = shared::split(&entry.undo, &users, &packages).now;
            entry
        });
        parts.push((&run.journal, entries.collect()));
    }
    old_releases::refuse_missing(host, &parts)?;
    Ok(parts)
}

/// A run in a pass.
struct Part<'a> {
    dir: &'a RunDir,
    journal: &'a mut Journal,
    /// It was requested; otherwise it was rolled back before, and has deferred records.
    chosen: bool,
    /// The journal says that its rollback has begun.
    begun: bool,
    /// It was rolled back as far as possible, without an error.
    done: bool,
    /// Actions whose records were carried out, all or some.
    carried: BTreeSet<String>,
    report: Report,
}

impl<'a> Part<'a> {
    fn of(dir: &'a RunDir, journal: &'a mut Journal, chosen: bool) -> Self {
        let (carried, report) = (BTreeSet::new(), Report::default());
        Self { dir, journal, chosen, begun: false, done: false, carried, report }
    }
}

/// The context of a pass.
struct Pass<'a> {
    host: &'a dyn Host,
    all: &'a [Run],
    options: &'a Options,
    emit: &'a (dyn Fn(EventKind) + Sync),
}

impl Pass<'_> {
    /// Rolls back one layer, except for what `users` use.
    fn take_off(&self, part: &mut Part<'_>, users: &[&Used]) -> Outcome<Report> {
        let Self { host, options, emit, .. } = *self;
        let mut report = Report::default();
        let mut entries: Vec<JournalEntry> =
            part.journal.entries().iter().filter(|entry| concerns(entry, options)).cloned().collect();
        if !part.begun {
            // It stays deferred, except for what nobody uses any more.
            let installed = installed(host, users)?;
            let frees = |entry: &JournalEntry| shared::split(&entry.undo, users, &installed).later != entry.undo;
            entries.retain(|entry| !entry.used_by.is_empty() && frees(entry));
            if entries.is_empty() {
                return Ok(report);
            }
            if part.journal.rolled_back.is_some() {
                part.journal.write(host, Record::RollbackBegin { stage: None })?;
                part.begun = true;
            }
        }
        let whole = options.stage.is_none() && part.begun;
        let later = whole && users.is_empty();
        let mut scene = Scene::new(host, part.dir, part.journal)?;
        let way = RollbackContext { host, dir: part.dir, options, one_by_one: false, later, users, emit };
        let walked = way.walk(&mut scene, part.journal, &entries, &mut report)?;
        part.carried = walked.carried;
        let told = report.errors.len();
        report.errors.extend(stir::firewalls(host, &walked.deferred));
        if !walked.deferred.is_empty() {
            let what = shared::words(&walked.deferred);
            let why = format!("still used by run {}; it is rolled back with the last of them", listed(walked.used_by));
            emit(EventKind::Kept { what: what.clone(), why: why.clone() });
            report.kept.push((what, why));
        }
        if later && report.errors.is_empty() {
            reconcile_disk(&mut scene, (part.dir, part.journal, self.all), &mut report, emit)?;
        }
        for failure in &report.errors[told..] {
            emit(EventKind::Failed { step: "rollback".to_owned(), failure: failure.clone() });
        }
        Ok(report)
    }
}

/// The packages installed now; none where no run uses any.
fn installed(host: &dyn Host, users: &[&Used]) -> Outcome<Database> {
    if users.is_empty() { Ok(Database::default()) } else { Database::read(host) }
}

fn names(users: &[&Used]) -> Vec<String> {
    users.iter().map(|user| user.run.clone()).collect()
}

/// Rolls back some actions of a run that continues, the last first. When nothing else is in place, the disk is restored
/// to its state before the run.
pub fn take_back(
    host: &dyn Host,
    dir: &RunDir,
    journal: &mut Journal,
    actions: &BTreeSet<String>,
    emit: &(dyn Fn(EventKind) + Sync),
) -> Outcome<Report> {
    let standing = journal.entries().iter().filter(|entry| !entry.undone);
    let entries: Vec<JournalEntry> = standing.filter(|entry| actions.contains(&entry.action)).cloned().collect();
    emit(EventKind::RollbackStarted { run: dir.id.clone(), records: entries.len() });

    let everything = entries.len() == journal.standing();
    let mut scene = Scene::new(host, dir, journal)?;
    let mut report = Report::default();
    // No run is later than the one that works.
    let options = Options::default();
    let way = RollbackContext { host, dir, options: &options, one_by_one: true, later: true, users: &[], emit };
    way.walk(&mut scene, journal, &entries, &mut report)?;
    if everything && report.errors.is_empty() {
        let all = runs::all(host, Some(&dir.id))?;
        reconcile_disk(&mut scene, (dir, journal, &all), &mut report, emit)?;
    }
    services::restore(host, dir, journal, (services::Of::Actions(actions), &BTreeSet::new()), &mut report, emit);
    Ok(report)
}

/// Restores the disk to its state before the run, except for what is not known to be the run's. `all` are the runs of
/// this server: their changes do not count as those of others.
fn reconcile_disk(
    scene: &mut Scene<'_>,
    (dir, journal, all): (&RunDir, &Journal, &[Run]),
    report: &mut Report,
    emit: &(dyn Fn(EventKind) + Sync),
) -> Outcome<()> {
    let Some(baseline) = &scene.baseline else { return Ok(()) };
    let Traces { made, trees, recorded } = Traces::of(journal);
    let kept = report.kept.iter().map(|(path, _)| PathBuf::from(path)).filter(|path| made.contains(path)).collect();
    let own = height(journal);
    let others: Vec<&Run> = all.iter().filter(|run| run.dir.id != dir.id).collect();
    let relatives: Vec<(&RunDir, bool)> = others.iter().map(|run| (&run.dir, height(&run.journal) < own)).collect();
    let (owned, mut quiet) = window::with_relatives(scene.host, dir, &relatives)?;
    for run in &others {
        let traces = Traces::of(&run.journal);
        quiet.extend(traces.recorded);
    }
    let states = reconcile::States {
        baseline,
        look: scene.look.as_ref(),
        owned: &owned,
        made: &made,
        trees: &trees,
        kept: &kept,
        recorded: &recorded,
        quiet: &quiet,
        known: scene.tracker.known(),
        content: &|hash| scene.tracker.content(hash),
    };
    let outcome = reconcile::reconcile(scene.host, &states)?;
    scene.tracker.note_reconciled()?;
    tell(outcome, report, emit);
    Ok(())
}

/// Adds the outcome to the report.
fn tell(outcome: reconcile::Outcomes, report: &mut Report, emit: &(dyn Fn(EventKind) + Sync)) {
    for (what, why) in outcome.kept {
        // A record may already have reported the same path, more precisely.
        if !report.kept.iter().any(|(known, _)| *known == what) {
            emit(EventKind::Kept { what: what.clone(), why: why.clone() });
            report.kept.push((what, why));
        }
    }
    report.errors.extend(outcome.errors);
}

/// The paths that records of a run name.
struct Traces {
    /// Directories that it created.
    made: BTreeSet<PathBuf>,
    /// Trees that are removed as a whole.
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
    /// Before the run; none when it was killed before the first scan.
    baseline: Option<Manifest>,
    /// At the run's end, or at its failure; none when it was killed.
    look: Option<Manifest>,
    /// What the run left, from its windows and its last scan, without the changes of others; none for a run of an old
    /// version that did not end, of which nothing is known.
    left: Option<Manifest>,
    tracker: Tracker<'a>,
}

impl<'a> Scene<'a> {
    fn new(host: &'a dyn Host, dir: &'a RunDir, journal: &Journal) -> Outcome<Self> {
        let baseline = Manifest::load(host, &dir.path, "base")?;
        let known = baseline.as_ref().map(|(baseline, _)| baseline.clone());
        let has_windows = window::are_kept(host, dir)?;
        let mut tracker = Tracker::new(host, dir, baseline)?;
        // The last scan is void in a run that did not end after it.
        let post = if journal.finished.is_some() { Manifest::load(host, &dir.path, "post")? } else { None };
        let look = match post {
            Some((post, contents)) => {
                tracker.learn(contents);
                Some(post)
            }
            None => Manifest::load(host, &dir.path, "look")?.map(|(look, _)| look),
        };
        let left_unknown = !has_windows && look.is_none();
        if known.is_some() && !has_windows {
            let undo: Vec<Undo> = journal.entries().iter().flat_map(|entry| entry.undo.iter().cloned()).collect();
            tracker.assume(look.as_ref(), window::Footprint::back("run", &undo))?;
        }
        if let Some(baseline) = &known {
            tracker.read_changed(baseline)?;
        }
        let left = (!left_unknown).then(|| left(look.as_ref(), tracker.owned()));
        Ok(Self { host, baseline: known, look, left, tracker })
    }
}

/// What a run left: its last scan, with newer windows on top.
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

/// Whether an entry is still to be rolled back under these options.
pub(super) fn concerns(entry: &JournalEntry, options: &Options) -> bool {
    !entry.undone && options.stage.as_ref().is_none_or(|stage| *stage == entry.stage)
}

/// The result of rolling back actions.
#[derive(Default)]
struct Walked {
    /// Actions of which at least one record was carried out.
    carried: BTreeSet<String>,
    /// Records that stay for other runs.
    deferred: Vec<Undo>,
    /// Those runs.
    used_by: BTreeSet<String>,
}

/// The context of rolling back actions.
struct RollbackContext<'a> {
    host: &'a dyn Host,
    dir: &'a RunDir,
    options: &'a Options,
    /// Stop at the first action that cannot be rolled back. The rest can then be tried again, which needs the actions
    /// that began before it.
    one_by_one: bool,
    /// Whether the disk is reconciled afterwards.
    later: bool,
    /// Later runs that stay in place: what they use is kept.
    users: &'a [&'a Used],
    emit: &'a (dyn Fn(EventKind) + Sync),
}

impl RollbackContext<'_> {
    /// Rolls back these actions, the last first.
    fn walk(
        &self,
        scene: &mut Scene<'_>,
        journal: &mut Journal,
        entries: &[JournalEntry],
        report: &mut Report,
    ) -> Outcome<Walked> {
        let mut walked = Walked::default();
        for entry in entries.iter().rev() {
            let Split { now, later, used_by } = if self.users.is_empty() {
                Split { now: entry.undo.clone(), ..Split::default() }
            } else {
                shared::split(&entry.undo, self.users, &installed(self.host, self.users)?)
            };
            if !now.is_empty() {
                walked.carried.insert(entry.action.clone());
            }
            let mut entry = entry.clone();
            entry.undo = now;
            // Changes made by rolling back are ours, as those of the run are.
            let open = scene.tracker.open(window::Footprint::back(&entry.action, &entry.undo).besides(journal))?;
            let mut errors = self.carry_out(scene, journal, &entry, report);
            if let Some(open) = open {
                let closed = scene.tracker.close(open)?;
                let outcome = reconcile::put_back(self.host, &closed, &|hash| scene.tracker.content(hash));
                errors.extend(outcome.errors.iter().cloned());
                tell(reconcile::Outcomes { errors: Vec::new(), ..outcome }, report, self.emit);
            }
            if errors.is_empty() {
                let action = entry.action.clone();
                let record = if later.is_empty() {
                    Record::Undone { action }
                } else {
                    Record::Deferred { action, undo: later.clone(), used_by: used_by.iter().cloned().collect() }
                };
                journal.write(self.host, record)?;
            }
            walked.deferred.extend(later);
            walked.used_by.extend(used_by);
            report.errors.extend(errors);
            if self.one_by_one && !report.errors.is_empty() {
                break;
            }
        }
        Ok(walked)
    }

    /// The context for the records of an entry.
    fn with<T>(
        &self,
        scene: &Scene<'_>,
        journal: &Journal,
        entry: &JournalEntry,
        does: impl FnOnce(&UndoContext<'_>) -> T,
    ) -> T {
        let emit = self.emit;
        let progress = |progress| emit(EventKind::ActionProgress { action: entry.action.clone(), progress });
        let dumped = |what: &str, file: &Path| {
            emit(EventKind::Dumped { what: what.to_owned(), file: file.display().to_string() });
        };
        does(&UndoContext {
            host: self.host,
            blobs: &self.dir.blobs(),
            log: &self.dir.log(&format!("undo.{}", entry.action)),
            progress: &progress,
            dumped: &dumped,
            dumps: &self.dir.file("dumps"),
            drop_data: self.options.drop_data,
            written_hashes: &entry.written_hashes,
            data: journal.data.get(&entry.action).map(String::as_str),
            post: scene.left.as_ref(),
            died: (!entry.ended && entry.written_hashes.is_empty()).then_some(scene.tracker.died()),
        })
    }

    fn carry_out(
        &self,
        scene: &Scene<'_>,
        journal: &Journal,
        entry: &JournalEntry,
        report: &mut Report,
    ) -> Vec<Failure> {
        let emit = self.emit;
        let mut errors = Vec::new();
        // The last record first: the content of a directory is removed before the directory.
        for undo in entry.undo.iter().rev() {
            match self.with(scene, journal, entry, |cx| carry_out(undo, cx)) {
                Ok(Undone::Done(describe)) => emit(EventKind::Undone { action: entry.action.clone(), describe }),
                Ok(Undone::Nothing) => {}
                Ok(Undone::Kept { what, why }) => {
                    // Directories that are not empty are looked at again when the disk is reconciled.
                    let later = self.later && matches!(undo, Undo::RemoveDir { .. } | Undo::RemoveTree { .. });
                    if !later {
                        emit(EventKind::Kept { what: what.clone(), why: why.clone() });
                        report.kept.push((what, why));
                    }
                }
                // The other records are carried out all the same: the fewer are left, the better.
                Err(failure) => {
                    emit(EventKind::Failed { step: entry.action.clone(), failure: failure.clone() });
                    errors.push(failure);
                }
            }
        }
        errors
    }
}

#[cfg(test)]
mod tests;
