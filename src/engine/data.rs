//! The data that runs hold: whether it is still as they left it.
//!
//! A rollback takes data away without asking only when nobody wrote any since. Rows that bringup's own proofs
//! write do not count: whoever proves notes the data anew afterwards.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::engine::journal::{Journal, Record};
use crate::engine::rollback::{Options, concerns};
use crate::engine::runs::Run;
use crate::error::Outcome;
use crate::host::Host;

/// Fingerprints of the data of every action that still stands, by action.
pub fn fingerprints(host: &dyn Host, journal: &Journal) -> BTreeMap<String, String> {
    let mut data = BTreeMap::new();
    for entry in journal.entries().iter().filter(|entry| !entry.undone) {
        for undo in &entry.undo {
            // Without a fingerprint a rollback takes the data for changed: it asks, and dumps first.
            if let Ok(Some(fingerprint)) = undo.data(host) {
                data.insert(entry.action.clone(), fingerprint);
            }
        }
    }
    data
}

/// The data that a rollback would lose: it changed since the end of the run. Changes nothing.
pub fn at_risk(host: &dyn Host, journal: &Journal, options: &Options) -> Outcome<Vec<String>> {
    let mut at_risk = Vec::new();
    // A run that never ended has no fingerprints: its data came from itself, and is dumped all the same.
    if options.drop_data || journal.finished.is_none() {
        return Ok(at_risk);
    }
    for entry in journal.entries().iter().filter(|entry| concerns(entry, options)) {
        let at_end = journal.data.get(&entry.action);
        for undo in &entry.undo {
            let Some(name) = undo.data_name() else { continue };
            if undo.data(host)?.is_some_and(|now| Some(&now) != at_end) {
                at_risk.push(name);
            }
        }
    }
    Ok(at_risk)
}

/// Finished runs whose data is as they left it, to be given to [`note_again`] after own rows were written.
pub fn untouched<'a>(host: &dyn Host, runs: impl Iterator<Item = &'a Run>) -> Vec<&'a Run> {
    runs.filter(|run| run.journal.finished.is_some() && settled(host, &run.journal) == run.journal.data).collect()
}

/// Fingerprints as soon as every engine that held data answers: after a boot some still start.
fn settled(host: &dyn Host, journal: &Journal) -> BTreeMap<String, String> {
    let mut data = fingerprints(host, journal);
    for _ in 0..20 {
        if journal.data.keys().all(|action| data.contains_key(action)) {
            break;
        }
        host.sleep(Duration::from_millis(500));
        data = fingerprints(host, journal);
    }
    data
}

/// Notes the present data of these runs as the one they left.
pub fn note_again(host: &dyn Host, runs: &[&Run]) -> Outcome<()> {
    for run in runs {
        let data = fingerprints(host, &run.journal);
        if data != run.journal.data {
            run.journal.clone().write(host, Record::Data { data })?;
        }
    }
    Ok(())
}
