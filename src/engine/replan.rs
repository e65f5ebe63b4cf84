//! A run that is given other answers: which actions stay, which are applied again, and which are rolled back.
//!
//! The journal is a stack: whatever began after an action may depend on it. So the run goes back to just before the
//! first action that the new plan does not have, and continues from there.

use std::collections::BTreeSet;

use crate::action::Action;
use crate::engine::decision::Replan;
use crate::engine::event::EventKind;
use crate::engine::journal::{Journal, Record};
use crate::engine::rollback;
use crate::engine::runs::RunDir;
use crate::error::{Failure, Outcome};
use crate::host::Host;
use crate::plan::Plan;

/// The file of the plan, and of its successor while they are exchanged.
const FILES: [(&str, &str); 2] = [("plan.json", "plan.before.json"), ("answers.yaml", "answers.before.yaml")];

/// What to do with the actions in place when `new` replaces `old`.
struct Difference {
    /// To be rolled back.
    back: BTreeSet<String>,
    /// To be applied again over what they did.
    again: BTreeSet<String>,
}

impl Difference {
    fn between(old: &Plan, new: &Plan, journal: &Journal) -> Self {
        // What the old plan still has to do about its own predecessor remains to be done.
        let mut again = journal.to_apply_again().clone();
        let mut back = BTreeSet::new();
        for entry in journal.entries().iter().filter(|entry| !entry.undone) {
            let id = &entry.action;
            let stays = match (action(old, id), action(new, id)) {
                (Some(old), Some(new)) if old == new => true,
                (Some(old), Some(new)) if new.supersedes(old) => {
                    again.insert(id.clone());
                    true
                }
                _ => false,
            };
            if !stays || !back.is_empty() || journal.to_take_back().contains(id) {
                back.insert(id.clone());
            }
        }
        again.retain(|id| !back.contains(id));
        Self { back, again }
    }
}

fn action<'a>(plan: &'a Plan, id: &str) -> Option<&'a Action> {
    plan.actions.iter().find(|planned| planned.id == id).map(|planned| &planned.action)
}

/// Replaces the run's plan. The journal's record decides: a crash before it leaves the old plan, a crash after it the
/// new one.
pub(super) fn adopt(host: &dyn Host, dir: &RunDir, journal: &mut Journal, old: &Plan, new: &Replan) -> Outcome<()> {
    let what = "continue with other answers";
    if new.plan.guide != old.guide {
        let why = format!("they are answers for {}, but this run is one of {}", new.plan.guide, old.guide);
        return Err(Failure::new(what, why));
    }
    let Difference { back, again } = Difference::between(old, &new.plan, journal);
    for (name, copy) in FILES {
        let path = dir.file(name);
        if host.stat(&path).map_err(|e| Failure::new(what, e))?.is_some() {
            dir.write(host, copy, &host.read(&path).map_err(|e| Failure::new(what, e))?)?;
        }
    }
    let plan = serde_json::to_vec_pretty(&new.plan).map_err(|e| Failure::new(what, e))?;
    let written = dir
        .write(host, "plan.json", &plan)
        .and_then(|()| dir.write(host, "answers.yaml", new.answers.as_bytes()))
        .and_then(|()| journal.write(host, Record::Replanned { plan: new.plan.hash(), back, again }));
    if written.is_err() {
        // If this fails too, the next start of the run does it.
        let _ = recover(host, dir, journal);
    }
    written
}

/// Brings the run's files in line with its journal after a crash between the two.
pub fn recover(host: &dyn Host, dir: &RunDir, journal: &Journal) -> Outcome<()> {
    let is_the_plan = |name: &str| dir.plan_in(host, name).is_ok_and(|plan| plan.hash() == journal.plan);
    if is_the_plan(FILES[0].0) || !is_the_plan(FILES[0].1) {
        return Ok(());
    }
    for (name, copy) in FILES {
        let copy = dir.file(copy);
        let failed = |e| Failure::new(format!("restore {name}"), e);
        if host.stat(&copy).map_err(failed)?.is_some() {
            dir.write(host, name, &host.read(&copy).map_err(failed)?)?;
        }
    }
    Ok(())
}

/// Rolls back what the present plan does not have.
pub(super) fn clear_away(
    host: &dyn Host,
    dir: &RunDir,
    journal: &mut Journal,
    emit: &(dyn Fn(EventKind) + Sync),
) -> Outcome<()> {
    if !journal.is_clearing() {
        return Ok(());
    }
    let back = journal.to_take_back().clone();
    let report = rollback::take_back(host, dir, journal, &back, emit)?;
    match report.errors.first() {
        None => journal.write(host, Record::Cleared),
        Some(first) => {
            let what = "roll back what the other answers no longer ask for";
            Err(Failure::new(what, first).tail(first.tail.clone()))
        }
    }
}
