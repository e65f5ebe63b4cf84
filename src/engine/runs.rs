//! The directory of runs, `/var/lib/bringup/runs/<id>/`, and what state each is in.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::answers::OnFailure;
use crate::engine::journal::{Header, Journal, SCHEMA};
use crate::engine::undo::{Blobs, Undo};
use crate::error::{Exit, Failure, Outcome};
use crate::facts::probe::{BROUGHT, STANDING};
use crate::host::{Host, Meta, Stamp};
use crate::plan::Plan;

/// Where bringup keeps what it must remember.
pub const STATE_DIR: &str = "/var/lib/bringup";

/// The events of a run.
pub const EVENTS: &str = "events.jsonl";
/// The events of its rollback, when it is a process of its own.
pub const ROLLBACK_EVENTS: &str = "rollback.jsonl";
/// Names the file of the process that was started last.
const FOLLOWED: &str = "followed";

/// The files of one run.
#[derive(Clone, Debug)]
pub struct RunDir {
    /// Its id: the time it was made (UTC) and its guide.
    pub id: String,
    /// Its directory.
    pub path: PathBuf,
}

/// What has become of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Its process works on it.
    Running,
    /// It neither finished nor was rolled back, and nothing works on it.
    Unfinished,
    /// A rollback began and did not end, and nothing works on it.
    RollbackUnfinished,
    /// It stands.
    Done,
    /// Its changes stand, but a proof failed.
    ProofFailed,
    /// It was taken back.
    RolledBack,
}

/// A run and its state.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its files.
    pub dir: RunDir,
    /// Its journal.
    pub journal: Journal,
    /// Its state.
    pub state: State,
}

impl Run {
    /// Whether it is rolled back but for what later runs use, which are still in place.
    pub fn waits(&self) -> bool {
        self.state == State::RolledBack && !self.journal.waits.is_empty()
    }
}

impl RunDir {
    /// The run with this id.
    pub fn of(id: &str) -> Self {
        Self { id: id.to_owned(), path: Path::new(STATE_DIR).join("runs").join(id) }
    }

    /// Makes the directory of a new run, with its plan and an empty journal.
    pub fn create(host: &dyn Host, plan: &Plan) -> Outcome<(Self, Journal)> {
        let at = host.now();
        let stem = format!("{}-{}", compact(at), plan.guide);
        let mut id = stem.clone();
        let mut n = 1;
        while host.stat(&Self::of(&id).path).map_err(|e| Failure::new("look for earlier runs", e))?.is_some() {
            n += 1;
            id = format!("{stem}-{n}");
        }
        let dir = Self::of(&id);
        for (path, mode) in [
            (PathBuf::from(STATE_DIR), 0o755),
            (Path::new(STATE_DIR).join("runs"), 0o700),
            (dir.path.clone(), 0o700),
            (dir.path.join("blobs"), 0o700),
            (dir.path.join("log"), 0o700),
            (dir.path.join("dumps"), 0o700),
        ] {
            host.make_dir(&path, Meta::root(mode)).map_err(|e| {
                Failure::new(format!("make {}", path.display()), e).hint("changing the host needs root: use sudo")
            })?;
        }
        let bytes = serde_json::to_vec_pretty(plan).map_err(|e| Failure::new("write the plan", e))?;
        dir.write(host, "plan.json", &bytes)?;
        let header = Header {
            schema: SCHEMA,
            run: id,
            guide: plan.guide.clone(),
            plan: plan.hash(),
            program: env!("CARGO_PKG_VERSION").to_owned(),
            at,
        };
        let journal = Journal::create(host, &dir.file("journal.jsonl"), header)?;
        Ok((dir, journal))
    }

    /// A file of the run.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file of the run, 0600, durably.
    pub fn write(&self, host: &dyn Host, name: &str, content: &[u8]) -> Outcome<()> {
        let path = self.file(name);
        host.write(&path, content, Meta::root(0o600)).map_err(|e| Failure::new(format!("write {}", path.display()), e))
    }

    /// The run's before-images.
    pub fn blobs(&self) -> Blobs {
        Blobs::new(self.path.join("blobs"))
    }

    /// The whole output of a step goes here.
    pub fn log(&self, step: &str) -> PathBuf {
        self.path.join("log").join(format!("{}.log", step.replace('/', "_")))
    }

    /// The events of the process that last worked on it.
    pub fn events(&self, host: &dyn Host) -> PathBuf {
        let name = host.read_at_most(&self.file(FOLLOWED), 64).unwrap_or_default();
        self.file(if name == ROLLBACK_EVENTS.as_bytes() { ROLLBACK_EVENTS } else { EVENTS })
    }

    /// The plan of the run.
    pub fn plan(&self, host: &dyn Host) -> Outcome<Plan> {
        self.plan_in(host, "plan.json")
    }

    /// The plan in one of the run's files.
    pub(super) fn plan_in(&self, host: &dyn Host, name: &str) -> Outcome<Plan> {
        let path = self.file(name);
        let what = || format!("read the plan {}", path.display());
        let bytes = host.read(&path).map_err(|e| Failure::new(what(), e))?;
        serde_json::from_slice(&bytes).map_err(|e| Failure::new(what(), e))
    }
}

/// Makes a fresh file for the events of a process. What an earlier one wrote there is kept under a number.
pub fn begin_events(host: &dyn Host, dir: &RunDir, name: &str) -> Outcome<()> {
    let what = |e| Failure::new(format!("keep {}", dir.file(name).display()), e);
    if host.stat(&dir.file(name)).map_err(what)?.is_some_and(|stat| stat.size > 0) {
        let stem = name.strip_suffix(".jsonl").unwrap_or(name);
        let mut number = 1;
        while host.stat(&dir.file(&format!("{stem}-{number}.jsonl"))).map_err(what)?.is_some() {
            number += 1;
        }
        dir.write(host, &format!("{stem}-{number}.jsonl"), &host.read(&dir.file(name)).map_err(what)?)?;
    }
    dir.write(host, name, b"")?;
    dir.write(host, FOLLOWED, name.as_bytes())
}

/// Every run on this host, oldest first. `running` is the id of the run whose process holds the lock.
pub fn all(host: &dyn Host, running: Option<&str>) -> Outcome<Vec<Run>> {
    let root = Path::new(STATE_DIR).join("runs");
    if host.stat(&root).map_err(|e| Failure::new("look for runs", e))?.is_none() {
        return Ok(Vec::new());
    }
    let names = host.list(&root).map_err(|e| {
        Failure::new(format!("list {}", root.display()), e).hint("runs can be read by root only: use sudo")
    })?;
    let mut runs = Vec::new();
    for name in names {
        let id = name.file_name().unwrap_or(name.as_os_str()).to_string_lossy().into_owned();
        let dir = RunDir::of(&id);
        let journal = dir.file("journal.jsonl");
        // A directory without a journal was made a moment before a crash: nothing was changed by it.
        if host.stat(&journal).map_err(|e| Failure::new("look at a run", e))?.is_none_or(|stat| stat.size == 0) {
            continue;
        }
        let journal = Journal::open(host, &journal)?;
        let state = state(&journal, running == Some(id.as_str()));
        // The process that works on one run rolls others back with it.
        let state = if state == State::RollbackUnfinished && running.is_some() { State::Running } else { state };
        runs.push(Run { dir, journal, state });
    }
    // Runs of one second are listed by the names of their guides.
    runs.sort_by_key(|run| run.journal.header.at);
    Ok(runs)
}

/// The runs whose changes are on the host now, oldest first.
pub fn standing(runs: &[Run]) -> impl DoubleEndedIterator<Item = &Run> {
    runs.iter().filter(|run| !matches!(run.state, State::RolledBack))
}

/// Notes which guides stand and which packages they brought, where anybody may read it: planning as an ordinary user
/// must know whose ports and services are already ours.
pub fn note_standing(host: &dyn Host, running: Option<&str>) -> Outcome<()> {
    let runs = all(host, running)?;
    let guides = standing(&runs).map(|run| run.journal.header.guide.as_str()).collect();
    // What a run brought that is rolled back stays ours as long as others use it.
    let here = runs.iter().filter(|run| run.state != State::RolledBack || run.waits());
    let brought = here.flat_map(|run| run.journal.entries()).filter(|entry| !entry.undone);
    let brought = brought.flat_map(|entry| &entry.undo).flat_map(installed).collect();
    note(host, STANDING, &guides)?;
    note(host, BROUGHT, &brought)
}

/// The names of the packages that a transaction was to add.
fn installed(record: &Undo) -> Vec<&str> {
    let Undo::Packages { before, planned } = record else { return Vec::new() };
    let added = planned.iter().map(|(package, _)| package).filter(|package| !before.contains(package));
    added.map(|package| package.split(':').next().unwrap_or_default()).collect()
}

fn note(host: &dyn Host, path: &str, names: &BTreeSet<&str>) -> Outcome<()> {
    let bytes = serde_json::to_vec(names).map_err(|e| Failure::new("note what stands", e))?;
    host.write(Path::new(path), &bytes, Meta::root(0o644)).map_err(|e| Failure::new(format!("write {path}"), e))
}

fn state(journal: &Journal, running: bool) -> State {
    match (running, journal.rolled_back, journal.rollback_begun, journal.finished) {
        (_, Some(_), _, _) => State::RolledBack,
        (true, ..) => State::Running,
        (false, None, true, _) => State::RollbackUnfinished,
        (false, None, false, Some(Exit::Done)) => State::Done,
        (false, None, false, Some(Exit::ProofFailed)) => State::ProofFailed,
        (false, None, false, _) => State::Unfinished,
    }
}

/// `20261121-093015`, UTC.
fn compact(at: Stamp) -> String {
    jiff::Timestamp::from_second(at.sec)
        .map_or_else(|_| at.sec.to_string(), |t| t.strftime("%Y%m%d-%H%M%S").to_string())
}

/// How a run behaves, kept beside its plan.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// What to do when a step fails.
    pub on_failure: OnFailure,
    /// Where the guide lies; none for a shipped one.
    pub guide: Option<PathBuf>,
}

impl RunDir {
    /// The settings of the run.
    pub fn settings(&self, host: &dyn Host) -> Outcome<Settings> {
        let path = self.file("settings.json");
        let what = || format!("read {}", path.display());
        let bytes = host.read(&path).map_err(|e| Failure::new(what(), e))?;
        serde_json::from_slice(&bytes).map_err(|e| Failure::new(what(), e))
    }

    /// Keeps the settings of the run.
    pub fn keep_settings(&self, host: &dyn Host, settings: &Settings) -> Outcome<()> {
        let bytes = serde_json::to_vec(settings).map_err(|e| Failure::new("write the settings", e))?;
        self.write(host, "settings.json", &bytes)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::engine::journal::Record;
    use crate::host::fake::FakeHost;

    #[test]
    fn each_process_has_a_file_of_its_own_for_its_events_and_none_is_lost() {
        let host = FakeHost::new();
        let (dir, _) = RunDir::create(&host, &Plan::new("t", "")).unwrap();
        assert_eq!(dir.events(&host), dir.file("events.jsonl"), "before anything was started");
        let process = |name: &str, said: &str| {
            begin_events(&host, &dir, name).unwrap();
            assert_eq!(dir.events(&host), dir.file(name));
            assert_eq!(host.text(dir.file(name)).unwrap(), "");
            host.append_lazily(&dir.file(name), said.as_bytes()).unwrap();
        };
        process(EVENTS, "run\n");
        process(EVENTS, "resumed\n");
        process(ROLLBACK_EVENTS, "first\n");
        process(ROLLBACK_EVENTS, "second\n");
        let said = |name: &str| host.text(dir.file(name)).unwrap();
        assert_eq!([said("events-1.jsonl"), said("events.jsonl")], ["run\n", "resumed\n"]);
        assert_eq!([said("rollback-1.jsonl"), said("rollback.jsonl")], ["first\n", "second\n"]);
    }

    #[test]
    fn runs_of_one_second_stand_in_the_order_in_which_they_began() {
        let host = FakeHost::new();
        for guide in ["z", "a"] {
            RunDir::create(&host, &Plan::new(guide, "")).unwrap();
        }
        let guides: Vec<String> =
            all(&host, None).unwrap().into_iter().map(|run| run.journal.header.guide.clone()).collect();
        assert_eq!(guides, ["z", "a"]);
    }

    #[test]
    fn a_run_that_waits_for_others_is_rolled_back_until_it_is_begun_again() {
        let host = FakeHost::new();
        let (_, mut journal) = RunDir::create(&host, &Plan::new("t", "")).unwrap();
        let state = |host: &FakeHost| {
            let run = all(host, None).unwrap().remove(0);
            (run.state, run.waits())
        };
        let back = |waits: Vec<String>| Record::RolledBack { stage: None, kept: 0, waits };
        journal.write(&host, Record::RollbackBegin { stage: None }).unwrap();
        assert_eq!(state(&host), (State::RollbackUnfinished, false));
        journal.write(&host, back(vec!["later".into()])).unwrap();
        assert_eq!(state(&host), (State::RolledBack, true));
        journal.write(&host, Record::RollbackBegin { stage: None }).unwrap();
        assert_eq!(state(&host), (State::RollbackUnfinished, false));
        journal.write(&host, back(Vec::new())).unwrap();
        assert_eq!(state(&host), (State::RolledBack, false));
    }
}
