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
use crate::proof;
use crate::secret::Secrets;
use crate::undo::Undo;

/// What a plan has to do, one after the other.
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

    /// Why it may be left out, when it may.
    pub fn skip_reason(self) -> Option<&'a str> {
        match self {
            Self::Action(action) => action.skip_reason.as_deref(),
            Self::Proof(proof) => proof.skip_reason.as_deref(),
        }
    }

    /// Ids of actions whose change it may have taken back when it failed.
    pub fn may_revert(self) -> Vec<&'a str> {
        match self {
            Self::Action(action) => action.action.act().may_revert(),
            Self::Proof(_) => Vec::new(),
        }
    }

    pub fn perform(self, run: &RunContext<'_>, journal: &mut Journal, tracker: &mut Tracker<'_>) -> Outcome<()> {
        match self {
            Self::Action(action) => act(run, journal, tracker, action),
            Self::Proof(proof) => prove(run, proof),
        }
    }
}

fn act(run: &RunContext<'_>, journal: &mut Journal, tracker: &mut Tracker<'_>, planned: &Planned) -> Outcome<()> {
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

/// Makes the host as the action wants it; tells whether it had to change anything in this run.
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

    // What is left of one that was rolled back for the sake of other runs leads nowhere back from a new change.
    let stands = journal.entry(&planned.id).filter(|entry| !entry.undone && entry.used_by.is_empty());
    let begun = stands.is_some();
    let unfinished = stands.is_some_and(|entry| !entry.ended);
    // It stands in the form of an earlier plan: to be begun again, and made whatever the check says.
    let again = journal.to_apply_again().contains(&planned.id);
    let verdict = act.check(&cx)?;
    if verdict == Verdict::Unchanged && !unfinished {
        return Ok(begun);
    }
    if !begun || !unfinished || again {
        // A second begin of an action that ended keeps the first way back: see `Journal::write`.
        let undo = if begun { act.update_undo(&cx)? } else { act.prepare(&cx)? };
        let record = Record::Begin { action: planned.id.clone(), stage: planned.stage.clone(), undo };
        journal.write(run.host, record)?;
    }
    let undo = journal.entry(&planned.id).map(|entry| entry.undo.clone()).unwrap_or_default();
    let window = tracker.open(window::Footprint::of(&planned.action, &planned.id, &undo).besides(journal))?;
    // What a crash interrupted is made again even if it looks finished: looks are not proof.
    let applied = act.apply(&cx);
    let closed = window.map_or(Ok(()), |window| tracker.close(window).map(drop));
    let action = planned.id.clone();
    if let Err(failure) = applied {
        // What it left half done is known all the same, or a rollback could not tell it from what others do now.
        let _ = written_hashes(run.host, &undo)
            .and_then(|written_hashes| journal.write(run.host, Record::Halted { action, written_hashes }));
        return Err(failure);
    }
    closed?;
    journal.write(run.host, Record::End { action, written_hashes: written_hashes(run.host, &undo)? })?;
    Ok(true)
}

/// What stands now at the paths that an action writes, so that later changes by others are seen.
fn written_hashes(host: &dyn Host, undo: &[Undo]) -> Outcome<BTreeMap<PathBuf, String>> {
    let mut out = BTreeMap::new();
    for path in undo.iter().filter_map(Undo::path) {
        if let Some(fingerprint) = carry::written(host, path)? {
            out.insert(path.to_owned(), fingerprint);
        }
    }
    Ok(out)
}

fn prove(run: &RunContext<'_>, planned: &PlannedProof) -> Outcome<()> {
    let start = run.host.now();
    (run.emit)(EventKind::ProofStarted { proof: planned.id.clone() });
    let result = planned
        .proof
        .prove(&proof::Context { host: run.host, secrets: run.secrets })
        .map_err(|f| conceal(run.secrets, f));
    (run.emit)(EventKind::ProofEnded {
        proof: planned.id.clone(),
        evidence: result.as_ref().ok().map(|evidence| run.secrets.conceal(evidence)),
        failure: result.as_ref().err().cloned(),
        millis: millis(start, run.host.now()),
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
