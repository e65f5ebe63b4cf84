//! Taking a run back: its undo records in reverse, then the disk as it was.
//!
//! The records bring back what actions changed; [`reconcile`] brings back what packages and their scripts
//! changed without a record. What somebody else changed in between stays, and is reported.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::action::{Progress, service};
use crate::engine::deadman;
use crate::engine::event::What;
use crate::engine::journal::{Entry, Journal, Record};
use crate::engine::manifest::{Contents, Manifest};
use crate::engine::runs::RunDir;
use crate::engine::undo::{Undo, UndoCx, Undone, carry};
use crate::error::{Failure, Outcome};
use crate::host::Host;

pub mod accounts;
pub mod reconcile;

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
    let post = Manifest::load(host, dir, "post")?;
    let cur = if whole && base.is_some() { Some(current(host, dir, post.as_ref(), base.as_ref())?) } else { None };

    let mut report = Report::default();
    let mut touched = Vec::new();
    let entries: Vec<Entry> = journal.entries().iter().filter(|entry| concerns(entry, options)).cloned().collect();
    for entry in entries.iter().rev() {
        touched.extend(entry.undo.iter().filter(|undo| matches!(undo, Undo::Service { .. })).cloned());
        let errors =
            carry_out(host, dir, journal, entry, post.as_ref().map(|(post, _)| post), options, &mut report, emit);
        if errors.is_empty() {
            journal.write(host, Record::Undone { action: entry.action.clone() })?;
        }
        report.errors.extend(errors);
    }

    let told = report.errors.len();
    if let (Some((base, base_contents)), Some((cur, cur_contents)), true) = (&base, &cur, report.errors.is_empty()) {
        let (post_manifest, post_contents) = post.as_ref().map_or((cur, cur_contents), |(m, c)| (m, c));
        let states = reconcile::States {
            base,
            post: post_manifest,
            cur,
            contents: [base_contents, post_contents, cur_contents],
        };
        let outcome = reconcile::reconcile(host, &states)?;
        for (what, why) in outcome.kept {
            // A record may have reported the same path already, in better words.
            if !report.kept.iter().any(|(known, _)| *known == what) {
                emit(What::Kept { what: what.clone(), why: why.clone() });
                report.kept.push((what, why));
            }
        }
        report.errors.extend(outcome.errors);
    }

    settle(host, dir, &touched, &mut report);
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

#[expect(clippy::too_many_arguments, reason = "the parts of one rollback, used in one place")]
fn carry_out(
    host: &dyn Host,
    dir: &RunDir,
    journal: &Journal,
    entry: &Entry,
    post: Option<&Manifest>,
    options: &Options,
    report: &mut Report,
    emit: &(dyn Fn(What) + Sync),
) -> Vec<Failure> {
    let blobs = dir.blobs();
    let log = dir.log(&format!("undo.{}", entry.action));
    let dumps = dir.file("dumps");
    let progress = |progress| emit(What::ActionProgress { action: entry.action.clone(), progress });
    let cx = UndoCx {
        host,
        blobs: &blobs,
        log: &log,
        progress: &progress,
        dumps: &dumps,
        drop_data: options.drop_data,
        wrote: &entry.wrote,
        data: journal.data.get(&entry.action).map(String::as_str),
        post,
    };
    let mut errors = Vec::new();
    for undo in carry::in_order(&entry.undo) {
        match undo.carry_out(&cx) {
            Ok(Undone::Done(describe)) => emit(What::Undone { action: entry.action.clone(), describe }),
            Ok(Undone::Nothing) => {}
            Ok(Undone::Kept { what, why }) => {
                // Directories that still hold something are looked at again when the disk is reconciled.
                let later = options.stage.is_none() && matches!(undo, Undo::RemoveDir { .. } | Undo::RemoveTree { .. });
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
        dumps: &dumps,
        drop_data: false,
        wrote: &nothing,
        data: None,
        post: None,
    };
    for undo in touched {
        if let Undo::Service { manager, name, existed, was_active, was_enabled } = undo
            && let Err(failure) = service::settle(&cx, manager, name, *existed, *was_active, *was_enabled)
        {
            report.errors.push(failure);
        }
    }
}
