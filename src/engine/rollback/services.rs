//! Services after a rollback: what ran before and was touched by the run restarts or reloads with the restored files;
//! after a partial rollback, running services reload what is left of the run.

use std::collections::{BTreeMap, BTreeSet};

use crate::action::Action;
use crate::action::service::restore::take_up;
use crate::action::service::{self, PriorState};
use crate::engine::event::EventKind;
use crate::engine::journal::{Journal, JournalEntry, Record};
use crate::engine::rollback::Report;
use crate::engine::runs::RunDir;
use crate::error::{Failure, Outcome};
use crate::host::Host;
use crate::progress::Progress;
use crate::undo::{UndoContext, Undone};

/// What was rolled back.
#[derive(Clone, Copy)]
pub(super) enum Of<'a> {
    /// The whole run.
    Run,
    /// One stage of it.
    Stage(&'a str),
    /// Some actions, of a run that continues.
    Actions(&'a BTreeSet<String>),
}

impl Of<'_> {
    fn holds(self, entry: &JournalEntry) -> bool {
        match self {
            Self::Run => true,
            Self::Stage(stage) => entry.stage == stage,
            Self::Actions(actions) => actions.contains(&entry.action),
        }
    }
}

/// Brings services in line with the restored files. What an earlier attempt failed to do is tried again. The services
/// in `elsewhere`, by manager and name, are left to the record of another run that is rolled back with this one.
pub(super) fn restore(
    host: &dyn Host,
    dir: &RunDir,
    journal: &mut Journal,
    (of, elsewhere): (Of<'_>, &BTreeSet<(String, String)>),
    report: &mut Report,
    emit: &(dyn Fn(EventKind) + Sync),
) {
    let entries: Vec<JournalEntry> = journal.entries().iter().rev().cloned().collect();
    let rolled_back: Vec<&str> =
        entries.iter().filter(|entry| entry.undone && of.holds(entry)).map(|entry| entry.action.as_str()).collect();
    let mut settled = Vec::new();
    let mut lists = Lists { dir, host, known: None };
    // Services that others use keep running unchanged.
    for entry in entries.iter().filter(|entry| entry.used_by.is_empty()) {
        for record in &entry.undo {
            let Some(prior) = PriorState::of(record) else { continue };
            if of.holds(entry) {
                if elsewhere.contains(&(prior.manager.to_owned(), prior.name.to_owned())) {
                    continue;
                }
                // What a continuing run could not roll back is left for the next attempt.
                if entry.settled || (!entry.undone && matches!(of, Of::Actions(_))) {
                    continue;
                }
                let came = with(host, dir, |cx| service::restore_service(cx, exact(prior, entry)));
                if came.is_ok() {
                    settled.push(entry.action.clone());
                }
                tell(&entry.action, came, report, emit);
            } else if !entry.undone && (prior.was_active || matches!(of, Of::Stage(_))) {
                // A continuing run restarts what it has started by itself.
                let (restart, reload) = lists.of(&entry.action, prior);
                let any = |ids: &[String]| ids.iter().any(|id| rolled_back.contains(&id.as_str()));
                if any(&restart) || any(&reload) {
                    let taken = with(host, dir, |cx| take_up(cx, prior, any(&restart)));
                    tell(&entry.action, taken, report, emit);
                }
            }
        }
    }
    // The end of a whole rollback reports the same for all of them.
    if matches!(of, Of::Run) && report.errors.is_empty() {
        return;
    }
    for action in settled {
        if let Err(failure) = journal.write(host, Record::Settled { action }) {
            report.errors.push(failure);
        }
    }
}

/// An action that was begun twice may have done more than its record says.
fn exact<'a>(prior: PriorState<'a>, entry: &JournalEntry) -> PriorState<'a> {
    if entry.begun_again { PriorState { steps: &[], ..prior } } else { prior }
}

fn tell(action: &str, came: Outcome<Undone>, report: &mut Report, emit: &(dyn Fn(EventKind) + Sync)) {
    match came {
        Ok(Undone::Done(describe)) => emit(EventKind::Undone { action: action.to_owned(), describe }),
        Ok(Undone::Nothing) => {}
        Ok(Undone::Kept { what, why }) => {
            emit(EventKind::Kept { what: what.clone(), why: why.clone() });
            report.kept.push((what, why));
        }
        Err(failure) => report.errors.push(failure),
    }
}

fn with<T>(host: &dyn Host, dir: &RunDir, does: impl FnOnce(&UndoContext<'_>) -> Outcome<T>) -> Outcome<T> {
    let (blobs, log, dumps) = (dir.blobs(), dir.log("settle"), dir.file("dumps"));
    let nothing = BTreeMap::new();
    let quiet = |_: Progress| {};
    let cx = UndoContext {
        host,
        blobs: &blobs,
        log: &log,
        progress: &quiet,
        dumped: &|_, _| {},
        dumps: &dumps,
        drop_data: false,
        written_hashes: &nothing,
        data: None,
        post: None,
        died: None,
    };
    // The log has the whole output; the failure names the log.
    does(&cx).map_err(|failure| Failure {
        log: failure.log.or_else(|| host.stat(&log).ok().flatten().map(|_| log.display().to_string())),
        ..failure
    })
}

/// After which actions a service reads its configuration again: from the record, or from the plan in runs of the first
/// releases.
struct Lists<'a> {
    dir: &'a RunDir,
    host: &'a dyn Host,
    known: Option<BTreeMap<String, After>>,
}

/// Actions whose change needs a restart, and those that need a reload.
type After = (Vec<String>, Vec<String>);

impl Lists<'_> {
    fn of(&mut self, action: &str, prior: PriorState<'_>) -> After {
        if !prior.steps.is_empty() {
            return (prior.restart_after.to_vec(), prior.reload_after.to_vec());
        }
        let (dir, host) = (self.dir, self.host);
        let read = || -> BTreeMap<_, _> {
            // A plan that this version cannot read says nothing.
            let actions = dir.plan(host).map(|plan| plan.actions).unwrap_or_default();
            let lists = actions.into_iter().filter_map(|planned| match planned.action {
                Action::Service(service) => Some((planned.id, (service.restart_after, service.reload_after))),
                _ => None,
            });
            lists.collect()
        };
        self.known.get_or_insert_with(read).get(action).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Mutex;

    use super::*;
    use crate::host::fake::FakeHost;
    use crate::plan::Plan;

    #[test]
    fn what_is_rolled_back_holds_its_own_actions_and_no_others() {
        let host = FakeHost::new();
        let (_, mut journal) = RunDir::create(&host, &Plan::new("shop", "")).unwrap();
        for (action, stage) in [("web.a", "web"), ("base.a", "base")] {
            let (action, stage) = (action.to_owned(), stage.to_owned());
            journal.write(&host, Record::Begin { action, stage, undo: Vec::new() }).unwrap();
        }
        let chosen = BTreeSet::from(["base.a".to_owned()]);
        let held = |of: Of<'_>| journal.entries().iter().map(|entry| of.holds(entry)).collect::<Vec<_>>();
        assert_eq!(held(Of::Run), [true, true]);
        assert_eq!(held(Of::Stage("web")), [true, false]);
        assert_eq!(held(Of::Actions(&chosen)), [false, true]);
    }

    #[test]
    fn what_came_of_a_service_is_told_and_reported() {
        let heard = Mutex::new(Vec::new());
        let mut report = Report::default();
        let (what, why) = ("web.service".to_owned(), "it was stopped since".to_owned());
        for came in [
            Ok(Undone::Done("restarted web.service".to_owned())),
            Ok(Undone::Nothing),
            Ok(Undone::Kept { what: what.clone(), why: why.clone() }),
            Err(Failure::new("restart it", "no")),
        ] {
            tell("web.a", came, &mut report, &|what| heard.lock().unwrap().push(what));
        }
        assert_eq!((report.kept, report.errors.len()), (vec![(what, why)], 1));
        let heard = heard.into_inner().unwrap();
        assert!(matches!(&heard[..], [EventKind::Undone { .. }, EventKind::Kept { .. }]), "{heard:?}");
    }
}
