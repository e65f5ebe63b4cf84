//! Verifies the proofs of an application again, and keeps the result.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::checks::minute;
use super::{Finding, Installed, Level};
use crate::engine::event::{self, EventKind};
use crate::engine::runs::{EVENTS, Run, RunDir};
use crate::engine::secret_store;
use crate::engine::{data, runs};
use crate::error::Outcome;
use crate::host::{Host, Stamp};
use crate::plan::PlannedProof;
use crate::proof::lanes::{self, Patience};
use crate::proof::{self, Proof, not_tried};
use crate::system::boot;

/// The result of the last verification outside a run, in the directory of the run.
const VERIFIED: &str = "verified.json";

/// For how long proofs are tried that fail at first, all of them together.
const RUNNING: Duration = Duration::from_secs(5);
/// The same on a server that was booted a moment ago, whose services need time to come up.
const STARTING: Duration = Duration::from_secs(30);
/// How long after its boot a server counts as starting, in seconds.
const BOOT: i64 = 180;

/// The result of a verification.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// When it began, in seconds since the epoch.
    pub at: i64,
    /// Number of proofs that passed.
    pub passed: usize,
    /// Number of proofs that could not be tried.
    pub untried: usize,
    /// Number of proofs that failed.
    pub failed: Vec<String>,
}

impl Verified {
    fn count(&mut self, describe: &str, result: &Outcome<String>) {
        match result {
            Ok(evidence) if not_tried(evidence).is_some() => self.untried += 1,
            Ok(_) => self.passed += 1,
            Err(_) => self.failed.push(describe.to_owned()),
        }
    }
}

/// Verifies every proof of these applications; each result is reported with the index of its application. Rows that the
/// proofs write do not count as data of users.
pub fn verify(
    host: &dyn Host,
    all: &[Run],
    installed: &[Installed],
    tell: &dyn Fn(usize, &PlannedProof, &Outcome<String>),
) -> Outcome<()> {
    let untouched = data::untouched(host, runs::standing(all));
    let start = host.now();
    let patience = Patience::Shared(start, if is_starting(host) { STARTING } else { RUNNING });
    for (at, it) in installed.iter().enumerate() {
        let Some(ended) = &it.ended else { continue };
        let secrets = secret_store::load(host, &it.application);
        let cx = proof::Context { host, secrets: &secrets };
        let mut verified = Verified { at: start.sec, ..Verified::default() };
        let planned: Vec<&PlannedProof> = it.proofs().collect();
        let proofs: Vec<&Proof> = planned.iter().map(|planned| &planned.proof).collect();
        lanes::prove_all(&cx, &proofs, patience, |result_of| {
            for (index, planned) in planned.iter().enumerate() {
                let (result, _) = result_of(index);
                verified.count(&planned.describe, &result);
                tell(at, planned, &result);
            }
        });
        if let Ok(bytes) = serde_json::to_vec(&verified) {
            RunDir::of(ended).write(host, VERIFIED, &bytes)?;
        }
    }
    data::note_again(host, &untouched)
}

fn is_starting(host: &dyn Host) -> bool {
    boot::seconds_since(host).is_none_or(|up| up < BOOT)
}

/// The last result of an application's proofs: from the end of its run, or from a later verification.
pub fn last(host: &dyn Host, it: &Installed) -> Finding {
    let title = "Proofs";
    let Some(dir) = it.ended.as_deref().map(RunDir::of) else {
        return Finding::unknown(title, "no run came to its end", "bringup resume");
    };
    let kept = host.read_at_most(&dir.file(VERIFIED), 1 << 20).ok();
    let kept: Option<Verified> = kept.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let Some(last) = kept.or_else(|| of_run(host, &dir)) else {
        return Finding::unknown(title, "the run recorded no proof", "bringup verify");
    };
    let all = last.passed + last.untried + last.failed.len();
    if all == 0 {
        return Finding::unknown(title, "its guide has none", "");
    }
    let when = minute(last.at);
    let untried = if last.untried == 0 { String::new() } else { format!(", {} not tried", last.untried) };
    let found = format!("{} of {all} passed{untried}, on {when}", last.passed);
    match last.failed.first() {
        None => Finding::good(title, found),
        Some(first) => {
            let more =
                if last.failed.len() > 1 { format!(", and {} more", last.failed.len() - 1) } else { String::new() };
            Finding::new(title, Level::Problem, format!("{found}; failed: {first}{more}"), "bringup verify")
        }
    }
}

/// The result according to the events of a run.
fn of_run(host: &dyn Host, dir: &RunDir) -> Option<Verified> {
    let (mut verified, mut at) = (Verified::default(), None::<Stamp>);
    let mut known = std::collections::BTreeMap::new();
    for event in event::read(host, &dir.file(EVENTS)) {
        match event.what {
            EventKind::RunStarted { proofs, .. } => {
                known = proofs.into_iter().map(|step| (step.id, step.describe)).collect();
                verified = Verified::default();
            }
            EventKind::ProofEnded { proof, evidence, failure, .. } => {
                let describe = known.get(&proof).cloned().unwrap_or(proof);
                verified.count(&describe, &failure.map_or(Ok(evidence.unwrap_or_default()), Err));
                at = Some(event.at);
            }
            _ => {}
        }
    }
    verified.at = at?.sec;
    Some(verified)
}
