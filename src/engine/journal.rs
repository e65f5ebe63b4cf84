//! The write-ahead log of a run: one JSON line a record, synced before the change it announces.
//!
//! The first line names the schema. A line that a power cut truncated is not JSON and is skipped: what it announced was
//! never begun. A record of an unknown kind is an error, because it may hold undo records.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Exit, Failure, Outcome};
use crate::host::{Host, Stamp};
use crate::state_dir;
use crate::undo::Undo;

/// The schema that this program writes.
pub const SCHEMA: u32 = 1;

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Version of the journal's format.
    pub schema: u32,
    /// The run's id.
    pub run: String,
    /// The guide's id.
    pub guide: String,
    /// The plan's hash.
    pub plan: String,
    /// Version of the program that wrote it.
    pub program: String,
    /// When the run was made.
    pub at: Stamp,
}

/// A record, one per further line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    /// An action is about to change the host; these records undo it.
    Begin {
        /// The action.
        action: String,
        /// Its stage.
        stage: String,
        /// Its undo records; the last is carried out first. Of an action that has begun before in this run: what
        /// restores the state between the two.
        undo: Vec<Undo>,
    },
    /// The action has ended.
    End {
        /// The action.
        action: String,
        /// SHA-256 of the files named in its undo records, as it left them.
        #[serde(rename = "wrote", default)]
        written_hashes: BTreeMap<PathBuf, String>,
    },
    /// The action failed midway.
    Halted {
        /// The action.
        action: String,
        /// SHA-256 of the files named in its undo records, as it left them.
        #[serde(rename = "wrote", default)]
        written_hashes: BTreeMap<PathBuf, String>,
    },
    /// The action or proof failed.
    Failed {
        /// The action or proof.
        step: String,
        /// The error.
        failure: Failure,
    },
    /// It was decided to skip this action or proof.
    Skipped {
        /// The action or proof.
        step: String,
        /// Its stage.
        stage: String,
    },
    /// Other answers were given: from here on the run works on another plan.
    Replanned {
        /// The new plan's hash.
        plan: String,
        /// Actions to be rolled back before anything else is done.
        back: BTreeSet<String>,
        /// Actions to be applied again, over what they did under the old plan.
        again: BTreeSet<String>,
    },
    /// What an earlier plan left, and the present one does not have, is rolled back.
    Cleared,
    /// All actions and proofs are done.
    Finished {
        /// The exit code of the command.
        exit: Exit,
        /// Fingerprints of the data that actions with databases hold, by action.
        #[serde(default)]
        data: BTreeMap<String, String>,
    },
    /// Present fingerprints of data that only bringup itself changed since the end of the run: its proofs write rows.
    Data {
        /// Fingerprints, by action.
        data: BTreeMap<String, String>,
    },
    /// A rollback starts.
    RollbackBegin {
        /// The stage, where only one is rolled back.
        #[serde(default)]
        stage: Option<String>,
    },
    /// An action's records were carried out.
    Undone {
        /// The action.
        action: String,
    },
    /// The service of this action has its prior state again, after its records were carried out.
    Settled {
        /// The action.
        action: String,
    },
    /// An action's records were carried out except these, because other runs use what they would remove.
    Deferred {
        /// The action.
        action: String,
        /// The remaining records, in their order.
        undo: Vec<Undo>,
        /// The runs that use it.
        used_by: Vec<String>,
    },
    /// The run, or the stage, is rolled back.
    RolledBack {
        /// The stage, where only one was rolled back.
        #[serde(default)]
        stage: Option<String>,
        /// Number of things that were left in place and reported.
        kept: usize,
        /// Later runs that are still in place: what they use is rolled back with the last of them, and the disk is
        /// compared then.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        waits: Vec<String>,
    },
}

/// An action as recorded in the journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a record of its own")]
pub struct JournalEntry {
    /// Its id.
    pub action: String,
    /// Its stage.
    pub stage: String,
    /// Its undo records, the last to be carried out first. They are from its first begin in this run: later ones would
    /// record our own half-made state, and add only what the first could not know.
    pub undo: Vec<Undo>,
    /// Whether it ended.
    pub ended: bool,
    /// The files it wrote, by SHA-256.
    pub written_hashes: BTreeMap<PathBuf, String>,
    /// Whether its records were carried out.
    pub undone: bool,
    /// Whether its service, if it is one, has its prior state again.
    pub settled: bool,
    /// Whether it began more than once since it was last rolled back.
    pub begun_again: bool,
    /// The runs because of which its records are deferred; none when they are not.
    pub used_by: Vec<String>,
    /// The line number of its last end, to tell which changes came after it.
    ended_at: usize,
}

/// A journal, open for reading and appending.
#[derive(Clone, Debug)]
pub struct Journal {
    path: PathBuf,
    /// The first line.
    pub header: Header,
    entries: Vec<JournalEntry>,
    lines: usize,
    torn: bool,
    /// The hash of the plan that the run works on: the first one, unless other answers were given.
    pub plan: String,
    /// The exit code of the run, once it ended.
    pub finished: Option<Exit>,
    /// The first failure, if any.
    pub failed: Option<(String, Failure)>,
    /// Fingerprints of data at the end of the run, by action.
    pub data: BTreeMap<String, String>,
    /// Whether a rollback of the whole run has begun.
    pub rollback_begun: bool,
    /// Set when the whole run is rolled back: number of things kept.
    pub rolled_back: Option<usize>,
    /// Later runs that the rest of a rolled back run is deferred to.
    pub waits: Vec<String>,
    /// How often the whole run was rolled back: once, and again when the runs it was deferred to were rolled back.
    pub rollbacks: usize,
    /// Stages that were rolled back separately.
    pub stages_rolled_back: BTreeSet<String>,
    /// Actions and proofs that were skipped by decision, each with its stage.
    skipped: BTreeMap<String, String>,
    /// Actions in place that the present plan does not have.
    back: BTreeSet<String>,
    /// Whether rolling them back has not finished.
    clearing: bool,
    /// Actions in place in the form of an earlier plan.
    again: BTreeSet<String>,
}

impl Journal {
    /// Starts the journal of a new run.
    pub fn create(host: &dyn Host, path: &Path, header: Header) -> Outcome<Self> {
        let mut journal = Self::empty(path, header);
        let line = serde_json::to_vec(&journal.header).map_err(|e| journal.failure("write", e))?;
        journal.append_line(host, line)?;
        Ok(journal)
    }

    /// Reads the journal of an earlier run.
    pub fn open(host: &dyn Host, path: &Path) -> Outcome<Self> {
        let what = || format!("read the journal {}", path.display());
        let bytes = host.read(path).map_err(|e| Failure::new(what(), e))?;
        let torn = bytes.last().is_some_and(|last| *last != b'\n');
        let mut lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let first = lines.next().ok_or_else(|| Failure::new(what(), "it is empty"))?;
        let header: Header = serde_json::from_slice(first).map_err(|e| Failure::new(what(), e))?;
        if header.schema > SCHEMA {
            return Err(Failure::new(
                what(),
                format!("its schema {} is newer than this program's {SCHEMA}", header.schema),
            )
            .hint(format!("use the program that wrote it: {}", path.with_file_name("bringup").display())));
        }
        let mut journal = Self { lines: 1, torn, ..Self::empty(path, header) };
        for line in lines {
            journal.lines += 1;
            // Not JSON: truncated by a crash, so what it announced never happened.
            if serde_json::from_slice::<serde_json::Value>(line).is_err() {
                continue;
            }
            let record = serde_json::from_slice(line).map_err(|e| {
                Failure::new(what(), format!("line {}: {e}", journal.lines)).hint(format!(
                    "it was written by bringup {}; use its copy {}",
                    journal.header.program,
                    path.with_file_name("bringup").display()
                ))
            })?;
            journal.take_in(record);
        }
        Ok(journal)
    }

    fn empty(path: &Path, header: Header) -> Self {
        Self {
            path: path.to_owned(),
            plan: header.plan.clone(),
            header,
            entries: Vec::new(),
            lines: 0,
            torn: false,
            finished: None,
            failed: None,
            data: BTreeMap::new(),
            rollback_begun: false,
            rolled_back: None,
            waits: Vec::new(),
            rollbacks: 0,
            stages_rolled_back: BTreeSet::new(),
            skipped: BTreeMap::new(),
            back: BTreeSet::new(),
            clearing: false,
            again: BTreeSet::new(),
        }
    }

    /// Appends a record durably, then updates the state from it.
    pub fn write(&mut self, host: &dyn Host, record: Record) -> Outcome<()> {
        let line = serde_json::to_vec(&record).map_err(|e| self.failure("write", e))?;
        self.append_line(host, line)?;
        self.take_in(record);
        Ok(())
    }

    /// The actions that have begun in this run, in order.
    pub fn entries(&self) -> &[JournalEntry] {
        &self.entries
    }

    /// One action, if it has begun.
    pub fn entry(&self, action: &str) -> Option<&JournalEntry> {
        self.entries.iter().find(|entry| entry.action == action)
    }

    /// Whether `other` changed something in this run since `action` last ended.
    pub fn changed_since(&self, action: &str, other: &str) -> bool {
        let own = self.entry(action).map_or(0, |entry| entry.ended_at);
        self.entry(other).is_some_and(|entry| !entry.undone && (!entry.ended || entry.ended_at > own))
    }

    /// The undo records of what these actions have changed, in the order in which they are carried out.
    pub fn undo_records_of(&self, actions: &[String]) -> Vec<Undo> {
        let standing = self.entries.iter().rev().filter(|entry| !entry.undone && actions.contains(&entry.action));
        standing.flat_map(|entry| entry.undo.iter().rev().cloned()).collect()
    }

    /// The number of its lines.
    pub fn lines(&self) -> usize {
        self.lines
    }

    /// Actions and proofs that were skipped by decision.
    pub fn skipped(&self) -> impl Iterator<Item = &str> {
        self.skipped.keys().map(String::as_str)
    }

    /// Whether this action or proof was skipped by decision.
    pub fn is_skipped(&self, step: &str) -> bool {
        self.skipped.contains_key(step)
    }

    /// Actions in place that the present plan does not have: to be rolled back.
    pub fn to_take_back(&self) -> &BTreeSet<String> {
        &self.back
    }

    /// Whether the rest of an earlier plan has still to be rolled back or cleaned up.
    pub fn is_clearing(&self) -> bool {
        self.clearing
    }

    /// Actions in place in a form other than the present plan's: to be applied again.
    pub fn to_apply_again(&self) -> &BTreeSet<String> {
        &self.again
    }

    /// Number of actions that changed something and are in place.
    pub fn standing(&self) -> usize {
        self.entries.iter().filter(|entry| !entry.undone && entry.used_by.is_empty()).count()
    }

    /// The actions whose records are deferred because other runs use what they would remove.
    pub fn deferred(&self) -> impl Iterator<Item = &JournalEntry> {
        self.entries.iter().filter(|entry| !entry.undone && !entry.used_by.is_empty())
    }

    fn take_in(&mut self, record: Record) {
        match record {
            Record::Begin { action, stage, undo } => {
                self.again.remove(&action);
                self.stages_rolled_back.remove(&stage);
                if let Some(entry) = self.entries.iter_mut().find(|entry| entry.action == action && !entry.undone) {
                    entry.ended = false;
                    entry.settled = false;
                    entry.begun_again = true;
                    entry.undo.extend(undo);
                    entry.used_by.clear();
                    // What it wrote before is about to be overwritten.
                    entry.written_hashes.clear();
                } else {
                    self.entries.retain(|entry| entry.action != action);
                    self.entries.push(JournalEntry { action, stage, undo, ..JournalEntry::default() });
                }
            }
            Record::End { action, written_hashes } => {
                let line = self.lines;
                if let Some(entry) = self.entries.iter_mut().find(|entry| entry.action == action) {
                    entry.ended = true;
                    entry.ended_at = line;
                    entry.written_hashes = written_hashes;
                }
            }
            Record::Halted { action, written_hashes } => {
                if let Some(entry) = self.entries.iter_mut().find(|entry| entry.action == action && !entry.undone) {
                    entry.written_hashes = written_hashes;
                }
            }
            Record::Failed { step, failure } => {
                self.failed.get_or_insert((step, failure));
            }
            Record::Skipped { step, stage } => {
                self.skipped.insert(step, stage);
            }
            Record::Replanned { plan, back, again } => {
                self.plan = plan;
                for entry in self.entries.iter_mut().filter(|entry| again.contains(&entry.action)) {
                    entry.ended = false;
                }
                self.clearing |= !back.is_empty();
                (self.back, self.again) = (back, again);
                // With other answers everything is tried again.
                self.skipped.clear();
            }
            Record::Cleared => self.clearing = false,
            Record::Finished { exit, data } => {
                self.finished = Some(exit);
                self.data = data;
            }
            Record::Data { data } => self.data = data,
            Record::RollbackBegin { stage: None } => {
                self.rollback_begun = true;
                // Of a run with deferred records: it is not rolled back again before this has finished, too.
                self.rolled_back = None;
            }
            Record::RollbackBegin { stage: Some(_) } => {}
            Record::Undone { action } => {
                self.back.remove(&action);
                self.again.remove(&action);
                if let Some(entry) = self.entries.iter_mut().find(|entry| entry.action == action) {
                    entry.undone = true;
                }
            }
            Record::Settled { action } => {
                if let Some(entry) = self.entries.iter_mut().find(|entry| entry.action == action) {
                    entry.settled = true;
                }
            }
            Record::Deferred { action, undo, used_by } => {
                if let Some(entry) = self.entries.iter_mut().find(|entry| entry.action == action) {
                    (entry.undo, entry.used_by) = (undo, used_by);
                }
            }
            Record::RolledBack { stage: None, kept, waits } => {
                self.rolled_back = Some(kept);
                self.waits = waits;
                self.rollbacks += 1;
            }
            Record::RolledBack { stage: Some(stage), .. } => {
                self.skipped.retain(|_, of| *of != stage);
                self.stages_rolled_back.insert(stage);
            }
        }
    }

    fn append_line(&mut self, host: &dyn Host, mut line: Vec<u8>) -> Outcome<()> {
        let crash = Crash::wanted(host, self.lines + 1);
        if crash == Some(Crash::Before) {
            host.die();
        }
        if self.torn {
            line.insert(0, b'\n');
            self.torn = false;
        }
        line.push(b'\n');
        if self.lines == 0 {
            // Atomically: nobody could read a run whose first line is truncated.
            state_dir::write(host, &self.path, &line)?;
        } else {
            state_dir::with_room(host, &|| host.append(&self.path, &line))
                .map_err(|e| state_dir::failure(host, format!("write the journal {}", self.path.display()), &e))?;
        }
        self.lines += 1;
        if crash == Some(Crash::After) {
            host.die();
        }
        Ok(())
    }

    fn failure(&self, verb: &str, why: impl std::fmt::Display) -> Failure {
        Failure::new(format!("{verb} the journal {}", self.path.display()), why)
    }
}

/// Whether this build has the test hook: the shipped one does not.
const KILL_HOOK: bool = cfg!(any(debug_assertions, feature = "kill-hook"));

/// The variable of the test hook, to be handed to the executing process; none in the shipped build.
pub const KILL_SWITCH: Option<&str> = if KILL_HOOK { Some("BRINGUP_KILL") } else { None };

/// Where a test wants this process to die: `BRINGUP_KILL=before:7` or `after:7`, a line of the journal. A crash can
/// only hurt at the journal's boundaries, so each of them is tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Crash {
    /// The change is made, its record is not written.
    Before,
    /// The record is written, the change it announces is not made.
    After,
}

impl Crash {
    fn wanted(host: &dyn Host, line: usize) -> Option<Self> {
        let wish = host.env(KILL_SWITCH?)?;
        let (when, at) = wish.split_once(':')?;
        let when = if when == "before" { Self::Before } else { Self::After };
        (at.parse() == Ok(line)).then_some(when)
    }
}
