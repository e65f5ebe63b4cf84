//! One action or one proof.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{RunContext, conceal};
use crate::action::carry;
use crate::action::carry::CARRY;
use crate::action::{Context, Verdict};
use crate::engine::event::{Ended, EventKind};
use crate::engine::journal::{Journal, Record};
use crate::engine::window::{self, Tracker};
use crate::error::Outcome;
use crate::host::{Host, Stamp};
use crate::plan::{Plan, Planned, PlannedProof};
use crate::progress::Progress;
use crate::proof::lanes::Tried;
use crate::secret::Secrets;
use crate::undo::Undo;

/// The steps of a plan, in order.
#[derive(Clone, Copy)]
pub enum PlanStep<'a> {
    Action(&'a Planned),
    Proof(&'a PlannedProof),
}

impl<'a> PlanStep<'a> {
    /// First the actions, then the proofs.
    pub fn all(plan: &'a Plan) -> Vec<Self> {
        plan.actions.iter().map(Self::Action).chain(plan.proofs.iter().map(Self::Proof)).collect()
    }

    pub fn id(self) -> &'a str {
        match self {
            Self::Action(action) => &action.id,
            Self::Proof(proof) => &proof.id,
        }
    }

    /// The id of its stage.
    pub fn stage(self) -> &'a str {
        match self {
            Self::Action(action) => &action.stage,
            Self::Proof(proof) => &proof.stage,
        }
    }

    /// Why it may be skipped, when it may.
    pub fn skip_reason(self) -> Option<&'a str> {
        match self {
            Self::Action(action) => action.skip_reason.as_deref(),
            Self::Proof(proof) => proof.skip_reason.as_deref(),
        }
    }

    /// Ids of actions whose change it may have rolled back when it failed.
    pub fn may_revert(self) -> Vec<&'a str> {
        match self {
            Self::Action(action) => action.action.act().may_revert(),
            Self::Proof(_) => Vec::new(),
        }
    }
}

pub fn act(run: &RunContext<'_>, journal: &mut Journal, tracker: &mut Tracker<'_>, planned: &Planned) -> Outcome<()> {
    let start = run.host.now();
    (run.emit)(EventKind::ActionStarted { action: planned.id.clone() });
    let ended = make_so(run, journal, tracker, planned);
    let how = match &ended {
        Ok(changed) if *changed => Ended::Changed,
        Ok(_) => Ended::Unchanged,
        Err(_) => Ended::Failed,
    };
    (run.emit)(EventKind::ActionEnded {
        action: planned.id.clone(),
        ended: how,
        millis: millis(start, run.host.now()),
    });
    ended.map(|_| ())
}

/// Applies the action; returns whether it had to change anything in this run.
fn make_so(run: &RunContext<'_>, journal: &mut Journal, tracker: &mut Tracker<'_>, planned: &Planned) -> Outcome<bool> {
    let blobs = run.dir.blobs();
    let log = run.dir.log(&planned.id);
    let progress = |progress: Progress| {
        let progress = conceal_progress(run.secrets, progress);
        (run.emit)(EventKind::ActionProgress { action: planned.id.clone(), progress });
    };
    let seen = journal.clone();
    let changed = |other: &str| seen.changed_since(&planned.id, other);
    let undo_records_of = |actions: &[String]| seen.undo_records_of(actions);
    let cx = Context {
        host: run.host,
        secrets: run.secrets,
        blobs: &blobs,
        log: &log,
        changed: &changed,
        carry: CARRY,
        undo_records_of: &undo_records_of,
        progress: &progress,
    };
    let act = planned.action.act();

    // Records deferred by an earlier rollback cannot undo a new change.
    let stands = journal.entry(&planned.id).filter(|entry| !entry.undone && entry.used_by.is_empty());
    let begun = stands.is_some();
    let unfinished = stands.is_some_and(|entry| !entry.ended);
    // It is in place in the form of an earlier plan: begun again, and applied whatever the check says.
    let again = journal.to_apply_again().contains(&planned.id);
    let verdict = act.check(&cx)?;
    if verdict == Verdict::Unchanged && !unfinished {
        return Ok(begun);
    }
    if !begun || !unfinished || again {
        // A second begin of an action that ended keeps the first undo records: see `Journal::write`.
        let undo = if begun { act.update_undo(&cx)? } else { act.prepare(&cx)? };
        let record = Record::Begin { action: planned.id.clone(), stage: planned.stage.clone(), undo };
        journal.write(run.host, record)?;
    }
    let undo = journal.entry(&planned.id).map(|entry| entry.undo.clone()).unwrap_or_default();
    let window = tracker.open(window::Footprint::of(&planned.action, &planned.id, &undo).besides(journal))?;
    // An action that a crash interrupted is applied again even if its check passes.
    let applied = act.apply(&cx);
    let closed = window.map_or(Ok(()), |window| tracker.close(window).map(drop));
    let action = planned.id.clone();
    if let Err(failure) = applied {
        // Its half-done work is recorded all the same, or a rollback would take it for changes of others.
        let _ = written_hashes(run.host, &undo)
            .and_then(|written_hashes| journal.write(run.host, Record::Halted { action, written_hashes }));
        return Err(failure);
    }
    closed?;
    journal.write(run.host, Record::End { action, written_hashes: written_hashes(run.host, &undo)? })?;
    Ok(true)
}

/// The present state of the paths that an action writes, so that later changes by others are detected.
fn written_hashes(host: &dyn Host, undo: &[Undo]) -> Outcome<BTreeMap<PathBuf, String>> {
    let mut out = BTreeMap::new();
    for path in undo.iter().filter_map(Undo::path) {
        if let Some(fingerprint) = carry::written(host, path)? {
            out.insert(path.to_owned(), fingerprint);
        }
    }
    Ok(out)
}

/// Reports a proof, whose result `result` waits for.
pub fn prove(run: &RunContext<'_>, planned: &PlannedProof, result: impl FnOnce() -> Tried) -> Outcome<()> {
    (run.emit)(EventKind::ProofStarted { proof: planned.id.clone() });
    let (result, millis) = result();
    let result = result.map_err(|f| conceal(run.secrets, f));
    (run.emit)(EventKind::ProofEnded {
        proof: planned.id.clone(),
        evidence: result.as_ref().ok().map(|evidence| run.secrets.conceal(evidence)),
        failure: result.as_ref().err().cloned(),
        millis,
    });
    result.map(|_| ())
}

fn conceal_progress(secrets: &Secrets, progress: Progress) -> Progress {
    match progress {
        Progress::Percent { percent, note, amount } => {
            Progress::Percent { percent, note: secrets.conceal(&note), amount }
        }
        Progress::Note(note) => Progress::Note(secrets.conceal(&note)),
        Progress::Warning(text) => Progress::Warning(secrets.conceal(&text)),
        Progress::Output(line) => Progress::Output(secrets.conceal(&line)),
        Progress::Deadline { at, left, note } => Progress::Deadline { at, left, note: secrets.conceal(&note) },
    }
}

fn millis(start: Stamp, end: Stamp) -> u64 {
    u64::try_from(end.since(start).as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;
    use crate::secret::Secret;

    #[test]
    fn actions_come_before_proofs_each_with_its_stage_and_why_it_may_be_left_out() {
        let action = |id: &str, skippable: Option<&str>| -> Planned {
            let body = json!({
                "id": id, "stage": "web", "because": "", "describe": "", "reversible": "yes", "skippable": skippable,
                "file": {"path": "/etc/x", "content": ""},
            });
            serde_json::from_value(body).unwrap()
        };
        let proof: PlannedProof = serde_json::from_value(json!({
            "id": "end.it", "stage": "end", "describe": "", "skippable": "it may be slow",
            "tcp": {"protocol": "redis", "host": "localhost", "port": 6379},
        }))
        .unwrap();
        let actions = vec![action("web.a", Some("nobody needs it")), action("web.b", None)];
        let plan = Plan { actions, proofs: vec![proof], ..Plan::new("shop", "") };
        let steps = PlanStep::all(&plan);
        let told: Vec<_> = steps.iter().map(|step| (step.id(), step.stage(), step.skip_reason())).collect();
        assert_eq!(
            told,
            [
                ("web.a", "web", Some("nobody needs it")),
                ("web.b", "web", None),
                ("end.it", "end", Some("it may be slow")),
            ]
        );
        assert!(steps.iter().all(|step| step.may_revert().is_empty()));
    }

    #[test]
    fn no_progress_tells_a_secret() {
        let mut secrets = Secrets::default();
        secrets.insert("x", Secret::new("hunter22"));
        let text = || "it is hunter22".to_owned();
        for progress in [
            Progress::Percent { percent: 1.0, note: text(), amount: None },
            Progress::Note(text()),
            Progress::Warning(text()),
            Progress::Output(text()),
            Progress::Deadline { at: Stamp::default(), left: 3, note: text() },
        ] {
            let told = conceal_progress(&secrets, progress.clone());
            assert_eq!(std::mem::discriminant(&told), std::mem::discriminant(&progress));
            let told = format!("{told:?}");
            assert!(!told.contains("hunter22") && told.contains("it is "), "{told}");
        }
    }
}
