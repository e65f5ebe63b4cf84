//! The data that runs hold, and whether it changed since their end.
//!
//! A rollback removes data without asking only when nobody has written any since. Rows written by bringup's own proofs
//! do not count: after verifying, the fingerprints are recorded anew.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::action::carry::data::{served, served_fingerprint};
use crate::action::database::DatabaseServer;
use crate::engine::journal::{Journal, JournalEntry, Record};
use crate::engine::rollback::Options;
use crate::engine::runs::Run;
use crate::error::Outcome;
use crate::host::Host;
use crate::undo::Undo;

/// Fingerprints of the data of every action in place, by action.
pub fn fingerprints(host: &dyn Host, journal: &Journal) -> BTreeMap<String, String> {
    let mut data = BTreeMap::new();
    for entry in journal.entries().iter().filter(|entry| !entry.undone) {
        for undo in &entry.undo {
            // Without a fingerprint a rollback treats the data as changed: it asks, and dumps first.
            if let Ok(Some(fingerprint)) = undo.data(host) {
                data.insert(entry.action.clone(), fingerprint);
            }
        }
    }
    data
}

/// The data that a rollback would lose: it changed since the end of its run. `parts` is what would be carried out of
/// each run. Changes nothing.
pub fn at_risk(host: &dyn Host, parts: &[(&Journal, Vec<JournalEntry>)], options: &Options) -> Outcome<Vec<String>> {
    let mut at_risk = Vec::new();
    if options.drop_data {
        return Ok(at_risk);
    }
    // These are checked separately; the packages of their engine are no further reason.
    let going: BTreeSet<DatabaseName<'_>> = parts.iter().flat_map(|(_, entries)| entries).flat_map(databases).collect();
    for (journal, entries) in parts {
        // A run that never ended has no fingerprints: its data is its own, and is dumped all the same.
        if journal.finished.is_none() {
            continue;
        }
        let own: BTreeSet<DatabaseName<'_>> = journal.entries().iter().flat_map(databases).collect();
        for entry in entries {
            let at_end = journal.data.get(&entry.action);
            for undo in &entry.undo {
                if let Undo::Packages { planned, .. } = undo {
                    at_risk.extend(foreign_databases(host, planned, (&going, &own), at_end));
                } else if let Some(name) = undo.data_name()
                    && undo.data(host)?.is_some_and(|now| Some(&now) != at_end)
                {
                    at_risk.push(name);
                }
            }
        }
    }
    Ok(at_risk)
}

/// An engine's id and the name of a database in it.
type DatabaseName<'a> = (&'a str, &'a str);

/// The databases of others that would be lost with these packages, where they differ from those at the run's end.
/// `going` are checked separately, `own` are the run's, which may have been dropped by now.
fn foreign_databases(
    host: &dyn Host,
    planned: &[(String, String)],
    (going, own): (&BTreeSet<DatabaseName<'_>>, &BTreeSet<DatabaseName<'_>>),
    at_end: Option<&String>,
) -> Vec<String> {
    let all = served(host, planned);
    let others: Vec<&(DatabaseServer, String)> =
        all.iter().filter(|(server, name)| !going.contains(&(server.engine().id(), name.as_str()))).collect();
    let mut then: Vec<(DatabaseServer, String)> = others.iter().copied().cloned().collect();
    let servers: BTreeSet<&DatabaseServer> = all.iter().map(|(server, _)| server).collect();
    then.extend(servers.into_iter().flat_map(|server| {
        let mine = own.iter().filter(move |(id, _)| *id == server.engine().id());
        mine.map(move |(_, name)| (server.clone(), (*name).to_owned()))
    }));
    then.sort_unstable();
    then.dedup();
    let as_then = |databases: &[_]| served_fingerprint(databases).as_ref() == at_end;
    if as_then(&all) || as_then(&then) {
        return Vec::new();
    }
    let told = |(server, name): &(DatabaseServer, String)| {
        format!("the {} database {name}, which this run did not make", server.engine().title())
    };
    others.into_iter().map(told).collect()
}

/// The databases that an action made: engine and name.
fn databases(entry: &JournalEntry) -> impl Iterator<Item = DatabaseName<'_>> {
    entry.undo.iter().filter_map(|undo| match undo {
        Undo::Database { engine, name, database_existed: false, .. } => Some((engine.as_str(), name.as_str())),
        _ => None,
    })
}

/// Finished runs whose data is unchanged, to be given to [`note_again`] after own rows were written.
pub fn untouched<'a>(host: &dyn Host, runs: impl Iterator<Item = &'a Run>) -> Vec<&'a Run> {
    runs.filter(|run| run.journal.finished.is_some() && settled(host, &run.journal) == run.journal.data).collect()
}

/// Fingerprints as soon as every engine that held data answers: after a boot some are still starting.
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

/// Records the present data of these runs as the data they left.
pub fn note_again(host: &dyn Host, runs: &[&Run]) -> Outcome<()> {
    for run in runs {
        let data = fingerprints(host, &run.journal);
        if data != run.journal.data {
            run.journal.clone().write(host, Record::Data { data })?;
        }
    }
    Ok(())
}
