//! The engine's events: one JSON line each, in `events.jsonl` of the run's directory.
//!
//! The wizard, the progress bars, `attach` and `--json` all read the same stream, live or later.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::engine::decision::{Choice, Waiting};
use crate::error::{Exit, Failure};
use crate::host::{Host, Stamp};
use crate::progress::Progress;

/// An event with its time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: Stamp,
    /// The event.
    #[serde(flatten)]
    pub what: EventKind,
}

/// An entry of the list of steps that a run announces at its start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepInfo {
    /// The action's or proof's id, such as `database.role`.
    pub id: String,
    /// The title of its stage.
    pub stage: String,
    /// What it does.
    pub describe: String,
}

/// The outcome of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// The host was changed.
    Changed,
    /// Nothing had to change.
    #[serde(rename = "already_so")]
    Unchanged,
    /// It failed.
    Failed,
}

/// The kinds of events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum EventKind {
    /// A run starts or resumes.
    RunStarted { run: String, guide: String, resumed: bool, actions: Vec<StepInfo>, proofs: Vec<StepInfo> },
    /// An action begins.
    ActionStarted { action: String },
    /// Progress of an action.
    ActionProgress { action: String, progress: Progress },
    /// An action has ended.
    ActionEnded { action: String, ended: Ended, millis: u64 },
    /// A proof begins.
    ProofStarted { proof: String },
    /// A proof has ended: the evidence, or why it failed.
    ProofEnded { proof: String, evidence: Option<String>, failure: Option<Failure>, millis: u64 },
    /// The first error, reported before anything is rolled back.
    Failed { step: String, failure: Failure },
    /// After a failure the run waits for a decision.
    Waiting(Waiting),
    /// A decision was made, and the run continues.
    Decided { choice: Choice },
    /// An action or a proof is skipped by decision; with the guide's reason why that is allowed.
    Skipped {
        step: String,
        #[serde(rename = "because")]
        reason: String,
    },
    /// A rollback starts.
    RollbackStarted { run: String, records: usize },
    /// One record was carried out.
    Undone { action: String, describe: String },
    /// Something was left in place, and why.
    Kept { what: String, why: String },
    /// Data was dumped to a file before it was dropped.
    Dumped { what: String, file: String },
    /// A note for the reader.
    Note { text: String },
    /// The end. `exit` is what the command will return.
    RunEnded { exit: Exit, changed: usize },
}

/// The events in a file. Lines that cannot be read, or are from a newer version, are left out.
pub fn read(host: &dyn Host, path: &Path) -> Vec<Event> {
    let bytes = host.read(path).unwrap_or_default();
    bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::progress::{Amount, Unit};

    fn progress(body: &str) -> Progress {
        let line =
            format!(r#"{{"at":{{"sec":1,"nsec":0}},"event":"action_progress","action":"packages","progress":{body}}}"#);
        let event: Event = serde_json::from_str(&line).unwrap();
        assert_eq!(serde_json::to_string(&event).unwrap(), line);
        let EventKind::ActionProgress { progress, .. } = event.what else { panic!("{line}") };
        progress
    }

    #[test]
    fn progress_of_earlier_versions_reads_as_before_and_figures_are_an_addition() {
        let note = || "unpacking nginx".to_owned();
        assert_eq!(
            progress(r#"{"percent":{"percent":61.5,"note":"unpacking nginx"}}"#),
            Progress::Percent { percent: 61.5, note: note(), amount: None }
        );
        assert_eq!(
            progress(
                r#"{"percent":{"percent":61.5,"note":"unpacking nginx","amount":{"done":5,"total":14,"unit":"packages"}}}"#
            ),
            Progress::Percent {
                percent: 61.5,
                note: note(),
                amount: Some(Amount { done: 5, total: 14, unit: Unit::Packages })
            }
        );
    }
}
