//! Taking a run back: its undo records in reverse, then the disk as it was.
//!
//! The records bring back what actions changed; [`reconcile`] brings back what packages and their scripts
//! changed without a record. What somebody else changed in between stays, and is reported.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::action::Progress;
use crate::action::packages::listed;
use crate::action::packages::status::Database;
use crate::action::service::{self, Former};
use crate::engine::deadman;
use crate::engine::event::What;
use crate::engine::journal::{Entry, Journal, Record};
use crate::engine::manifest::{Contents, Manifest};
use crate::engine::rollback::layers::{Above, height};
use crate::engine::rollback::shared::{Split, Used};
use crate::engine::runs::{self, Run, RunDir, State};
use crate::engine::undo::{Undo, UndoCx, Undone};
use crate::error::{Failure, Outcome};
use crate::host::{Host, Kind};

pub mod accounts;
mod layers;
pub mod reconcile;
pub mod shared;
mod stir;

pub use layers::Layer;

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
    together(host, &mut [Layer { dir, journal }], options, emit)
}

/// Takes runs back in one pass, the latest first. What later runs use that are in place stays, and what runs that were
/// rolled back before have left for the sake of these goes, too: see [`shared`].
pub fn together(
    host: &dyn Host,
    chosen: &mut [Layer<'_>],
    options: &Options,
    emit: &(dyn Fn(What) + Sync),
) -> Outcome<Report> {
    let all = runs::all(host, None)?;
    let ids: Vec<String> = chosen.iter().map(|layer| layer.dir.id.clone()).collect();
    // Runs that wait for others. One stage frees nothing: its run still stands.
    let mut waiting: Vec<Run> = all.iter().filter(|run| !ids.contains(&run.dir.id)).cloned().collect();
    waiting.retain(|run| options.stage.is_none() && (run.waits() || run.journal.deferred().next().is_some()));
    let mut layers: Vec<Part<'_>> = chosen.iter_mut().map(|layer| Part::of(layer.dir, layer.journal, true)).collect();
    layers.extend(waiting.iter_mut().map(|run| Part::of(&run.dir, &mut run.journal, false)));
    layers.sort_by_key(|part| Reverse(height(part.journal)));
    let Some(lowest) = layers.last().map(|part| height(part.journal)) else { return Ok(Report::default()) };
    let above = Above::all(host, &all, &lowest, &ids)?;

    // Whatever is the last of its kind now is begun together: a crash leaves nothing that nobody goes on with.
    let whole = options.stage.is_none();
    let last = |part: &Part<'_>| Above::than(&above, &height(part.journal)).is_empty();
    let begins = |part: &Part<'_>| part.chosen || (part.journal.rolled_back.is_some() && last(part));
    let records = |part: &Part<'_>| part.journal.entries().iter().filter(|entry| concerns(entry, options)).count();
    let run = ids.first().cloned().unwrap_or_default();
    emit(What::RollbackStarted { run, records: layers.iter().filter(|part| begins(part)).map(records).sum() });
    deadman::put_back_now(host);
    for part in &mut layers {
        if begins(part) {
            part.journal.write(host, Record::RollbackBegin { stage: options.stage.clone() })?;
            part.begun = true;
        }
    }

    // Only where several runs meet, somebody will ask what each of them did to the disk.
    let meets = |run: &&Run| run.state != State::RolledBack || run.waits() || ids.contains(&run.dir.id);
    let several = all.iter().filter(meets).count() > 1;
    let pass = Pass { host, all: &all, options, several, emit };
    let mut total = Report::default();
    let mut touched = Vec::new();
    for part in &mut layers {
        let users = Above::than(&above, &height(part.journal));
        let report = pass.take_off(part, &users, &mut touched)?;
        total.kept.extend(report.kept.iter().cloned());
        total.errors.extend(report.errors.iter().cloned());
        part.report = report;
        // What lies deeper may be what the upper layer needs to be taken off.
        if !total.errors.is_empty() {
            break;
        }
        part.done = true;
    }

    let told = total.errors.len();
    if let Some(lead) = layers.first() {
        settle(host, lead.dir, &former(touched), &mut total);
    }
    for part in layers.iter().filter(|part| part.done) {
        let users = Above::than(&above, &height(part.journal));
        total.errors.extend(stir::services(host, part.dir, &part.carried, &users));
    }
    for failure in &total.errors[told..] {
        emit(What::Failed { step: "rollback".to_owned(), failure: failure.clone() });
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

/// What rolling these runs back together would carry out of each run, those included that wait for them. Changes
/// nothing; what keeps it from beginning is an error here, too.
pub fn ahead<'r>(
    host: &dyn Host,
    all: &'r [Run],
    ids: &[String],
    options: &Options,
) -> Outcome<Vec<(&'r Journal, Vec<Entry>)>> {
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
    Ok(parts)
}

/// A layer on its way.
struct Part<'a> {
    dir: &'a RunDir,
    journal: &'a mut Journal,
    /// It was asked for; else it was rolled back before, and waits for others.
    chosen: bool,
    /// Its rollback is written down as begun.
    begun: bool,
    /// It is off, as far as it can be, without an error.
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

/// What one pass works with.
struct Pass<'a> {
    host: &'a dyn Host,
    all: &'a [Run],
    options: &'a Options,
    several: bool,
    emit: &'a (dyn Fn(What) + Sync),
}

impl Pass<'_> {
    /// Takes one layer off, but for what `users` use.
    fn take_off(&self, part: &mut Part<'_>, users: &[&Used], touched: &mut Vec<Undo>) -> Outcome<Report> {
        let Self { host, options, emit, .. } = *self;
        let mut report = Report::default();
        let mut entries: Vec<Entry> =
            part.journal.entries().iter().filter(|entry| concerns(entry, options)).cloned().collect();
        if !part.begun {
            // It waits on, but for what nobody uses any more.
            let installed = installed(host, users)?;
            let frees = |entry: &Entry| shared::split(&entry.undo, users, &installed).later != entry.undo;
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
        let base = Manifest::load(host, part.dir, "base")?;
        // The last look of a run that did not end after it counts for nothing.
        let post = if part.journal.finished.is_some() { Manifest::load(host, part.dir, "post")? } else { None };
        let cur = match &base {
            Some(base) if whole => {
                let name = layers::manifest(part.journal, "cur");
                Some(current(host, part.dir, &name, post.as_ref(), Some(base))?)
            }
            _ => None,
        };
        let later = whole && users.is_empty();
        let seen = post.as_ref().map(|(post, _)| post);
        let way = Way { host, dir: part.dir, post: seen, options, one_by_one: false, later, users, emit };
        let walked = way.walk(part.journal, &entries, &mut report)?;
        touched.extend(walked.touched);
        part.carried = walked.carried;
        let told = report.errors.len();
        report.errors.extend(stir::firewalls(host, &walked.deferred));
        if !walked.deferred.is_empty() {
            let what = shared::words(&walked.deferred);
            let why = format!("still used by run {}; it is rolled back with the last of them", listed(walked.used_by));
            emit(What::Kept { what: what.clone(), why: why.clone() });
            report.kept.push((what, why));
        }
        if let (Some(base), Some(cur), true, true) = (&base, &cur, later, report.errors.is_empty()) {
            let known = post.as_ref().unwrap_or(cur);
            if self.several {
                let story = layers::story(host, self.all, (part.dir, part.journal), [&base.0, &known.0, &cur.0])?;
                let post = (story.post, known.1.clone());
                reconcile_disk(host, base, &post, cur, &story.quiet, &mut report, emit)?;
                let states = [&base.0, &known.0, &cur.0];
                for path in layers::leftovers(host, self.all, (part.dir, part.journal), states)? {
                    report.errors.extend(remove_leftover(host, &path).err());
                }
            } else {
                reconcile_disk(host, base, known, cur, &BTreeSet::new(), &mut report, emit)?;
            }
        }
        for failure in &report.errors[told..] {
            emit(What::Failed { step: "rollback".to_owned(), failure: failure.clone() });
        }
        if let (Some(cur), true) = (&cur, self.several) {
            let left = Manifest::take(host, Some(&cur.0), &mut Contents::new())?;
            left.save(host, part.dir, &layers::manifest(part.journal, "left"), &Contents::new())?;
        }
        Ok(report)
    }
}

/// Removes what nobody else has touched; a directory only when it is empty.
fn remove_leftover(host: &dyn Host, path: &Path) -> Outcome<()> {
    let failed = |e| Failure::new(format!("remove {}", path.display()), e);
    match host.stat(path).map_err(failed)?.map(|stat| stat.kind) {
        Some(Kind::Dir) if host.list(path).map_err(failed)?.is_empty() => host.remove_dir(path).map_err(failed),
        Some(Kind::File | Kind::Symlink) => host.remove(path).map_err(failed),
        _ => Ok(()),
    }
}

/// What is installed now; nothing where nobody uses any of it.
fn installed(host: &dyn Host, users: &[&Used]) -> Outcome<Database> {
    if users.is_empty() { Ok(Database::default()) } else { Database::read(host) }
}

fn names(users: &[&Used]) -> Vec<String> {
    users.iter().map(|user| user.run.clone()).collect()
}

/// How each service was before the first of these records.
fn former(touched: Vec<Undo>) -> Vec<Undo> {
    let key = |undo: &Undo| Former::of(undo).map(|former| (former.manager.to_owned(), former.name.to_owned()));
    let mut seen = BTreeSet::new();
    let mut first: Vec<Undo> = touched.into_iter().rev().filter(|undo| seen.insert(key(undo))).collect();
    first.reverse();
    first
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
    let base = if everything { Manifest::load(host, dir, "base")? } else { None };
    let mut contents = Contents::new();
    let cur = match &base {
        Some((base, _)) => Some((Manifest::take(host, Some(base), &mut contents)?, contents)),
        None => None,
    };

    let mut report = Report::default();
    // Nothing is later than a run that works.
    let options = Options::default();
    let way = Way { host, dir, post: None, options: &options, one_by_one: true, later: true, users: &[], emit };
    let walked = way.walk(journal, &entries, &mut report)?;
    if let (Some(base), Some(cur), true) = (&base, &cur, report.errors.is_empty()) {
        reconcile_disk(host, base, cur, cur, &BTreeSet::new(), &mut report, emit)?;
    }
    settle(host, dir, &walked.touched, &mut report);
    Ok(report)
}

/// Brings the disk to what it was before the run, but for what others changed since its end. Of `quiet` paths that
/// stay nobody need be told.
fn reconcile_disk(
    host: &dyn Host,
    base: &(Manifest, Contents),
    post: &(Manifest, Contents),
    cur: &(Manifest, Contents),
    quiet: &BTreeSet<PathBuf>,
    report: &mut Report,
    emit: &(dyn Fn(What) + Sync),
) -> Outcome<()> {
    let contents = [&base.1, &post.1, &cur.1];
    let states = reconcile::States { base: &base.0, post: &post.0, cur: &cur.0, contents };
    let outcome = reconcile::reconcile(host, &states)?;
    for (what, why) in outcome.kept {
        // A record may have reported the same path already, in better words.
        let told = report.kept.iter().any(|(known, _)| *known == what);
        if !told && !quiet.contains(Path::new(&what)) {
            emit(What::Kept { what: what.clone(), why: why.clone() });
            report.kept.push((what, why));
        }
    }
    report.errors.extend(outcome.errors);
    Ok(())
}

/// Whether an entry is still to be taken back under these options.
pub(super) fn concerns(entry: &Entry, options: &Options) -> bool {
    !entry.undone && options.stage.as_ref().is_none_or(|stage| *stage == entry.stage)
}

/// The disk when the rollback begins. Kept in the run's directory, because a rollback that goes on after a
/// crash must not take its own half-done work for somebody else's.
fn current(
    host: &dyn Host,
    dir: &RunDir,
    name: &str,
    post: Option<&(Manifest, Contents)>,
    base: Option<&(Manifest, Contents)>,
) -> Outcome<(Manifest, Contents)> {
    if let Some(known) = Manifest::load(host, dir, name)? {
        return Ok(known);
    }
    let mut contents = Contents::new();
    let manifest = Manifest::take(host, post.or(base).map(|(manifest, _)| manifest), &mut contents)?;
    manifest.save(host, dir, name, &contents)?;
    Ok((manifest, contents))
}

/// What taking actions back came to.
#[derive(Default)]
struct Walked {
    /// The records of services on the way.
    touched: Vec<Undo>,
    /// Actions of which anything was carried out.
    carried: BTreeSet<String>,
    /// What is left for others.
    deferred: Vec<Undo>,
    /// For whom.
    used_by: BTreeSet<String>,
}

/// What taking actions back works with.
struct Way<'a> {
    host: &'a dyn Host,
    dir: &'a RunDir,
    post: Option<&'a Manifest>,
    options: &'a Options,
    /// Stop at the first action that cannot be taken back. What is left can then be tried again: without those
    /// that began before it, it could not.
    one_by_one: bool,
    /// The disk is reconciled afterwards.
    later: bool,
    /// Later runs that stay in place: what they use is left.
    users: &'a [&'a Used],
    emit: &'a (dyn Fn(What) + Sync),
}

impl Way<'_> {
    /// Takes these actions back, the last first.
    fn walk(&self, journal: &mut Journal, entries: &[Entry], report: &mut Report) -> Outcome<Walked> {
        let mut walked = Walked::default();
        for entry in entries.iter().rev() {
            let Split { now, later, used_by } = if self.users.is_empty() {
                Split { now: entry.undo.clone(), ..Split::default() }
            } else {
                shared::split(&entry.undo, self.users, &installed(self.host, self.users)?)
            };
            walked.touched.extend(now.iter().filter(|undo| matches!(undo, Undo::Service { .. })).cloned());
            if !now.is_empty() {
                walked.carried.insert(entry.action.clone());
            }
            let mut entry = entry.clone();
            entry.undo = now;
            let errors = self.carry_out(journal, &entry, report);
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

    /// Hands out what the records of an entry are carried out with.
    fn with<T>(&self, journal: &Journal, entry: &Entry, does: impl FnOnce(&UndoCx<'_>) -> T) -> T {
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
            post: self.post,
        })
    }

    fn carry_out(&self, journal: &Journal, entry: &Entry, report: &mut Report) -> Vec<Failure> {
        let emit = self.emit;
        let mut errors = Vec::new();
        // The last record first: what lies in a directory goes before the directory.
        for undo in entry.undo.iter().rev() {
            match self.with(journal, entry, |cx| undo.carry_out(cx)) {
                Ok(Undone::Done(describe)) => emit(What::Undone { action: entry.action.clone(), describe }),
                Ok(Undone::Nothing) => {}
                Ok(Undone::Kept { what, why }) => {
                    // Directories that still hold something are looked at again when the disk is reconciled.
                    let later = self.later && matches!(undo, Undo::RemoveDir { .. } | Undo::RemoveTree { .. });
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

/// Services that ran before and still should are brought in line with the files that are back.
fn settle(host: &dyn Host, dir: &RunDir, touched: &[Undo], report: &mut Report) {
    let blobs = dir.blobs();
    let log = dir.log("settle");
    let dumps = dir.file("dumps");
    let nothing = BTreeMap::new();
    let quiet = |_: Progress| {};
    let cx = UndoCx {
        host,
        blobs: &blobs,
        log: &log,
        progress: &quiet,
        dumped: &|_, _| {},
        dumps: &dumps,
        drop_data: false,
        wrote: &nothing,
        data: None,
        post: None,
    };
    for undo in touched {
        if let Some(former) = Former::of(undo)
            && let Err(failure) = service::settle(&cx, former)
        {
            report.errors.push(failure);
        }
    }
}
