//! The write-ahead log of a run: one JSON line a record, synced before the change it announces.
//!
//! The first line names the schema. A line that a power cut tore is not JSON and is passed over: what it
//! announced was never begun. A record of an unknown kind is an error, because a way back might stand in it.

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
    /// Version of the journal's form.
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

/// Every other line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    /// An action is about to change the host; these records lead back.
    Begin {
        /// The action.
        action: String,
        /// Its stage.
        stage: String,
        /// How to get back; the last is carried out first. Of an action that has begun before in this run: what
        /// leads back to the state between both.
        undo: Vec<Undo>,
    },
    /// The action has ended.
    End {
        /// The action.
        action: String,
        /// SHA-256 of the files named in its undo records, as they stand now.
        #[serde(rename = "wrote", default)]
        written_hashes: BTreeMap<PathBuf, String>,
    },
    /// The action failed half-way.
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
        /// Why.
        failure: Failure,
    },
    /// Somebody decided to go on without this action or proof.
    Skipped {
        /// The action or proof.
        step: String,
        /// Its stage.
        stage: String,
    },
    /// Somebody gave other answers: from here on the run works on another plan.
    Replanned {
        /// The new plan's hash.
        plan: String,
        /// Actions to be taken back before anything else is done.
        back: BTreeSet<String>,
        /// Actions to be applied again, over what they did under the old plan.
        again: BTreeSet<String>,
    },
    /// What an earlier plan left, and the present one has no room for, is taken back.
    Cleared,
    /// All actions and proofs are done.
    Finished {
        /// How the command ended.
        exit: Exit,
        /// Fingerprints of the data that actions with databases hold, by action.
        #[serde(default)]
        data: BTreeMap<String, String>,
    },
    /// Data that only bringup itself changed since the end of the run: its proofs write rows, too.
    Data {
        /// Fingerprints, by action.
        data: BTreeMap<String, String>,
    },
    /// Reverting begins.
    RollbackBegin {
        /// One stage only.
        #[serde(default)]
        stage: Option<String>,
    },
    /// An action's records were carried out.
    Undone {
        /// The action.
        action: String,
    },
    /// After its records were carried out, the service of this action is as it was.
    Settled {
        /// The action.
        action: String,
    },
    /// An action's records were carried out but for these, because other runs use what they would take away.
    Deferred {
        /// The action.
        action: String,
        /// What is left of its records, in their order.
        undo: Vec<Undo>,
        /// The runs that use it.
        used_by: Vec<String>,
    },
    /// The run, or the stage, is reverted.
    RolledBack {
        /// One stage only.
        #[serde(default)]
        stage: Option<String>,
        /// How many things were left in place and reported.
        kept: usize,
        /// Later runs that are still in place: what they use is rolled back with the last of them, and the disk is
        /// compared then.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        waits: Vec<String>,
    },
}

/// An action as its journal knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a record of its own")]
pub struct JournalEntry {
    /// Its id.
    pub action: String,
    /// Its stage.
    pub stage: String,
    /// How to get back, the last first. From its first begin in this run: a later one would record our own
    /// half-made state, and adds only what the first could not know.
    pub undo: Vec<Undo>,
    /// Whether it ended.
    pub ended: bool,
    /// The files it wrote, by SHA-256.
    pub written_hashes: BTreeMap<PathBuf, String>,
    /// Whether its records were carried out.
    pub undone: bool,
    /// Whether its service, if it is one, is as it was since then.
    pub settled: bool,
    /// Whether it began more than once since it was last undone.
    pub begun_again: bool,
    /// The runs for whose sake its records are deferred; none when they are not.
    pub used_by: Vec<String>,
    /// The line of its last end, to tell what changed after it.
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
    /// The hash of the plan that the run works on: the one it began with, unless somebody gave other answers.
    pub plan: String,
    /// How the run ended, when it did.
    pub finished: Option<Exit>,
    /// The first failure, when there was one.
    pub failed: Option<(String, Failure)>,
    /// Fingerprints of data at the end of the run, by action.
    pub data: BTreeMap<String, String>,
    /// A rollback of the whole run has begun.
    pub rollback_begun: bool,
    /// The whole run is rolled back; with how many things kept.
    pub rolled_back: Option<usize>,
    /// The later runs that a rolled back run waits for with the rest.
    pub waits: Vec<String>,
    /// How often the whole run was rolled back: once, and again when what it waited for was gone.
    pub rollbacks: usize,
    /// Stages that were rolled back by themselves.
    pub stages_rolled_back: BTreeSet<String>,
    /// Actions and proofs that somebody decided to go without, each with its stage.
    skipped: BTreeMap<String, String>,
    /// Actions that a new plan has no room for, and that still stand.
    back: BTreeSet<String>,
    /// Taking them back has not come to its end.
    clearing: bool,
    /// Actions that a new plan has in another form, and that still stand in their old one.
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
            // Not JSON at all: torn by a crash, so what it announced never happened.
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

    /// Appends a record durably, then counts it in.
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

    /// One action, when it has begun.
    pub fn entry(&self, action: &str) -> Option<&JournalEntry> {
        self.entries.iter().find(|entry| entry.action == action)
    }

    /// Whether `other` changed something in this run that `action` has not taken notice of by ending since.
    pub fn changed_since(&self, action: &str, other: &str) -> bool {
        let own = self.entry(action).map_or(0, |entry| entry.ended_at);
        self.entry(other).is_some_and(|entry| !entry.undone && (!entry.ended || entry.ended_at > own))
    }

    /// What leads back from what these actions have changed, in the order in which it is to be carried out.
    pub fn undo_records_of(&self, actions: &[String]) -> Vec<Undo> {
        let standing = self.entries.iter().rev().filter(|entry| !entry.undone && actions.contains(&entry.action));
        standing.flat_map(|entry| entry.undo.iter().rev().cloned()).collect()
    }

    /// The number of its lines.
    pub fn lines(&self) -> usize {
        self.lines
    }

    /// Actions and proofs that somebody decided to go without.
    pub fn skipped(&self) -> impl Iterator<Item = &str> {
        self.skipped.keys().map(String::as_str)
    }

    /// Whether somebody decided to go without this action or proof.
    pub fn is_skipped(&self, step: &str) -> bool {
        self.skipped.contains_key(step)
    }

    /// Actions that stand, and that the present plan has no room for: to be taken back.
    pub fn to_take_back(&self) -> &BTreeSet<String> {
        &self.back
    }

    /// Whether what an earlier plan left has still to be taken back, or to be tidied up after.
    pub fn is_clearing(&self) -> bool {
        self.clearing
    }

    /// Actions that stand in a form that is not the present plan's: to be applied again.
    pub fn to_apply_again(&self) -> &BTreeSet<String> {
        &self.again
    }

    /// How many actions changed something and still stand.
    pub fn standing(&self) -> usize {
        self.entries.iter().filter(|entry| !entry.undone && entry.used_by.is_empty()).count()
    }

    /// The actions whose records are deferred because other runs use what they would take away.
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
                    // What it wrote before is about to be written over.
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
                // Of a run that waited: it is not rolled back again before this has come to its end, too.
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
            // At once or not at all: a run whose first line is torn could be read by nobody.
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

/// Whether this build has the hook of tests: the one that is shipped has not.
const KILL_HOOK: bool = cfg!(any(debug_assertions, feature = "kill-hook"));

/// The variable that the hook looks at, to be handed to the process that works; none in the build that is shipped.
pub const KILL_SWITCH: Option<&str> = if KILL_HOOK { Some("BRINGUP_KILL") } else { None };

/// Where a test wants this process to die: `BRINGUP_KILL=before:7` or `after:7`, a line of the journal. The
/// boundaries of the journal are where a crash could hurt, so each of them is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Crash {
    /// The change is made, its record is not.
    Before,
    /// The record is made, what it announces is not.
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
