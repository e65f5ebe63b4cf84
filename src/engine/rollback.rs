//! Taking a run back: its undo records in reverse, then the disk as it was.
//!
//! The records bring back what actions changed; [`reconcile`] brings back what packages and their scripts
//! changed without a record. What somebody else changed in between stays, and is reported.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Serialize;

use crate::engine::deadman;
use crate::engine::event::What;
use crate::engine::journal::{Entry, Journal, Record};
use crate::engine::manifest::{Contents, Manifest};
use crate::engine::runs::RunDir;
use crate::engine::undo::{Undo, UndoCx, Undone};
use crate::error::{Failure, Outcome};
use crate::host::Host;

pub mod accounts;
pub mod reconcile;
mod services;
mod stage;

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

    let base = Manifest::load(host, dir, "base")?;
    // The last look of a run that did not end after it counts for nothing.
    let post = if journal.finished.is_some() { Manifest::load(host, dir, "post")? } else { None };
    let cur = if whole && base.is_some() { Some(current(host, dir, post.as_ref(), base.as_ref())?) } else { None };

    let mut report = Report::default();
    let way = Way { host, dir, post: post.as_ref().map(|(post, _)| post), options, one_by_one: false, emit };
    let entries: Vec<Entry> = journal.entries().iter().filter(|entry| concerns(entry, options)).cloned().collect();
    way.walk(journal, &entries, &mut report)?;

    let told = report.errors.len();
    if let (Some(base), Some(cur), true) = (&base, &cur, report.errors.is_empty()) {
        reconcile_disk(host, base, post.as_ref().unwrap_or(cur), cur, &mut report, emit)?;
    }

    if let (Some(_), true) = (&options.stage, report.errors.is_empty()) {
        stage::note(host, dir, post, &entries)?;
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
    let base = if everything { Manifest::load(host, dir, "base")? } else { None };
    let mut contents = Contents::new();
    let cur = match &base {
        Some((base, _)) => Some((Manifest::take(host, Some(base), &mut contents)?, contents)),
        None => None,
    };

    let mut report = Report::default();
    let way = Way { host, dir, post: None, options: &Options::default(), one_by_one: true, emit };
    way.walk(journal, &entries, &mut report)?;
    if let (Some(base), Some(cur), true) = (&base, &cur, report.errors.is_empty()) {
        reconcile_disk(host, base, cur, cur, &mut report, emit)?;
    }
    services::settle(host, dir, journal, services::Of::Actions(actions), &mut report, emit);
    Ok(report)
}

/// Brings the disk to what it was before the run, but for what others changed since its end.
fn reconcile_disk(
    host: &dyn Host,
    base: &(Manifest, Contents),
    post: &(Manifest, Contents),
    cur: &(Manifest, Contents),
    report: &mut Report,
    emit: &(dyn Fn(What) + Sync),
) -> Outcome<()> {
    let contents = [&base.1, &post.1, &cur.1];
    let states = reconcile::States { base: &base.0, post: &post.0, cur: &cur.0, contents };
    let outcome = reconcile::reconcile(host, &states)?;
    for (what, why) in outcome.kept {
        // A record may have reported the same path already, in better words.
        if !report.kept.iter().any(|(known, _)| *known == what) {
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
    post: Option<&(Manifest, Contents)>,
    base: Option<&(Manifest, Contents)>,
) -> Outcome<(Manifest, Contents)> {
    if let Some(known) = Manifest::load(host, dir, "cur")? {
        return Ok(known);
    }
    let mut contents = Contents::new();
    let manifest = Manifest::take(host, post.or(base).map(|(manifest, _)| manifest), &mut contents)?;
    manifest.save(host, dir, "cur", &contents)?;
    Ok((manifest, contents))
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
    emit: &'a (dyn Fn(What) + Sync),
}

impl Way<'_> {
    /// Takes these actions back, the last first.
    fn walk(&self, journal: &mut Journal, entries: &[Entry], report: &mut Report) -> Outcome<()> {
        for entry in entries.iter().rev() {
            let errors = self.carry_out(journal, entry, report);
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
        let Self { options, emit, .. } = *self;
        let mut errors = Vec::new();
        // The last record first: what lies in a directory goes before the directory.
        for undo in entry.undo.iter().rev() {
            match self.with(journal, entry, |cx| undo.carry_out(cx)) {
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
