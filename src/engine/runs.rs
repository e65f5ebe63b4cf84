//! The directory of runs, `/var/lib/bringup/runs/<id>/`, and the status of each.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::answers::OnFailure;
use crate::engine::journal::{Header, Journal, SCHEMA};
use crate::error::{Exit, Failure, Outcome};
use crate::facts::Application;
use crate::facts::probe::{APPLICATIONS, BROUGHT, STANDING};
use crate::host::{Host, Kind, Meta, Stamp};
use crate::plan::Plan;
use crate::state_dir;
use crate::state_dir::STATE_DIR;
use crate::undo::{Blobs, Undo};

/// The events of a run.
pub const EVENTS: &str = "events.jsonl";
/// The events of its rollback, when it is a process of its own.
pub const ROLLBACK_EVENTS: &str = "rollback.jsonl";
/// Holds the name of the latest process's events file.
const FOLLOWED: &str = "followed";

/// The files of one run.
#[derive(Clone, Debug)]
pub struct RunDir {
    /// Its id: the time it was created (UTC) and its guide.
    pub id: String,
    /// Its directory.
    pub path: PathBuf,
}

/// The status of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Its process is working.
    Running,
    /// It neither finished nor was rolled back, and no process works on it.
    Unfinished,
    /// A rollback began and did not end, and no process works on it.
    RollbackUnfinished,
    /// It is in place.
    Done,
    /// Its changes are in place, but a proof failed.
    ProofFailed,
    /// It was rolled back.
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
    pub state: RunStatus,
}

impl Run {
    /// Whether it is rolled back except for what later runs use, which are still in place.
    pub fn waits(&self) -> bool {
        self.state == RunStatus::RolledBack && !self.journal.waits.is_empty()
    }

    /// Whether it belongs to this application. A run whose plan cannot be read may, when its guide matches.
    pub fn is_of(&self, host: &dyn Host, application: &Application) -> bool {
        self.journal.header.guide == application.guide
            && self.dir.plan(host).map_or(true, |plan| plan.application().is_same(application))
    }
}

impl RunDir {
    /// The run with this id.
    pub fn of(id: &str) -> Self {
        Self { id: id.to_owned(), path: Path::new(STATE_DIR).join("runs").join(id) }
    }

    /// Creates the directory of a new run, with its plan and an empty journal.
    pub fn create(host: &dyn Host, plan: &Plan) -> Outcome<(Self, Journal)> {
        let dir = Self::prepare(host, plan)?;
        let journal = dir.begin(host)?;
        Ok((dir, journal))
    }

    /// Creates the directory of a new run, with its plan. It counts as a run once its process begins:
    /// [`RunDir::begin`].
    pub fn prepare(host: &dyn Host, plan: &Plan) -> Outcome<Self> {
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
                let failure = state_dir::failure(host, format!("make {}", path.display()), &e);
                if failure.hint.is_some() { failure } else { failure.hint("changing this server needs root: use sudo") }
            })?;
        }
        let bytes = serde_json::to_vec_pretty(plan).map_err(|e| Failure::new("write the plan", e))?;
        dir.write(host, "plan.json", &bytes)?;
        Ok(dir)
    }

    /// The run's journal, started now when no process has worked on the run before. A start that was killed before this
    /// leaves a directory, but no run that would have to be resumed.
    pub fn begin(&self, host: &dyn Host) -> Outcome<Journal> {
        let path = self.file("journal.jsonl");
        if has_begun(host, self)? {
            return Journal::open(host, &path);
        }
        let plan = self.plan(host)?;
        let header = Header {
            schema: SCHEMA,
            run: self.id.clone(),
            guide: plan.guide.clone(),
            plan: plan.hash(),
            program: env!("CARGO_PKG_VERSION").to_owned(),
            at: host.now(),
        };
        Journal::create(host, &path, header)
    }

    /// The path of a file of the run.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file of the run, 0600, durably.
    pub fn write(&self, host: &dyn Host, name: &str, content: &[u8]) -> Outcome<()> {
        state_dir::write(host, &self.file(name), content)
    }

    /// Removes what was kept for the rollback, once the run is rolled back: before-images and kept contents hold
    /// passwords and keys. Dumps of users' data, the plan, the answers, the logs and the journal stay.
    pub fn forget_images(&self, host: &dyn Host) -> Outcome<()> {
        let failed = |path: &Path, e| Failure::new(format!("remove {}", path.display()), e);
        let blobs = self.file("blobs");
        host.remove_tree(&blobs).map_err(|e| failed(&blobs, e))?;
        for name in ["base.pack", "post.pack", "look.pack", "cur.pack", "environment", "decision.json"] {
            let path = self.file(name);
            if host.stat(&path).map_err(|e| failed(&path, e))?.is_some() {
                host.remove(&path).map_err(|e| failed(&path, e))?;
            }
        }
        Ok(())
    }

    /// The run's before-images.
    pub fn blobs(&self) -> Blobs {
        Blobs::new(self.path.join("blobs"))
    }

    /// The log file for the whole output of a step.
    pub fn log(&self, step: &str) -> PathBuf {
        self.path.join("log").join(format!("{}.log", step.replace('/', "_")))
    }

    /// The events of the latest process of the run.
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

/// Creates a new file for the events of a process. An earlier process's file is kept under a number.
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

/// Removes what runs kept for their rollback, once they are rolled back entirely. Their recorded changes stay as long
/// as another run may have to be told apart from them.
pub fn forget_images(host: &dyn Host, all: &[Run]) -> Outcome<()> {
    let gone = |run: &&Run| run.state == RunStatus::RolledBack && !run.waits();
    let last = all.iter().all(|run| gone(&run));
    for run in all.iter().filter(gone) {
        run.dir.forget_images(host)?;
        if last {
            let windows = run.dir.file("windows");
            host.remove_tree(&windows).map_err(|e| Failure::new(format!("remove {}", windows.display()), e))?;
        }
    }
    Ok(())
}

/// Every run on this host, oldest first. `running` is the id of the run whose process holds the lock.
pub fn all(host: &dyn Host, running: Option<&str>) -> Outcome<Vec<Run>> {
    let root = Path::new(STATE_DIR).join("runs");
    if host.stat(&root).map_err(|e| Failure::new("look for runs", e))?.is_none() {
        return Ok(Vec::new());
    }
    let names = host
        .list(&root)
        .map_err(|e| Failure::new(format!("list {}", root.display()), e).hint("only root can read runs: use sudo"))?;
    let mut runs = Vec::new();
    for name in names {
        let id = name.file_name().unwrap_or(name.as_os_str()).to_string_lossy().into_owned();
        let dir = RunDir::of(&id);
        let journal = dir.file("journal.jsonl");
        // A directory without a journal was made just before a crash: it changed nothing.
        if !has_begun(host, &dir)? {
            continue;
        }
        let journal = Journal::open(host, &journal)?;
        let state = state(&journal, running == Some(id.as_str()));
        // A process may roll back other runs along with its own.
        let state =
            if state == RunStatus::RollbackUnfinished && running.is_some() { RunStatus::Running } else { state };
        runs.push(Run { dir, journal, state });
    }
    // Runs of the same second are sorted by the names of their guides.
    runs.sort_by_key(|run| run.journal.header.at);
    Ok(runs)
}

/// Limit for the first line of a journal, in bytes.
const FIRST_LINE: u64 = 64 << 10;

/// Whether a process has begun to work on it: the first line of its journal is complete. Earlier versions could be
/// killed while they wrote it, before changing anything.
pub fn has_begun(host: &dyn Host, dir: &RunDir) -> Outcome<bool> {
    let journal = dir.file("journal.jsonl");
    let failed = |e| Failure::new("look at a run", e);
    if host.stat(&journal).map_err(failed)?.is_none() {
        return Ok(false);
    }
    Ok(host.read_start(&journal, FIRST_LINE).map_err(failed)?.contains(&b'\n'))
}

/// How long a directory may wait for its process.
const AWAITED: Duration = Duration::from_hours(1);

/// Removes directories left by starts that were killed.
pub fn clear_unbegun(host: &dyn Host) -> Outcome<()> {
    let root = Path::new(STATE_DIR).join("runs");
    let failed = |e| Failure::new("look for earlier runs", e);
    if host.stat(&root).map_err(failed)?.is_none() {
        return Ok(());
    }
    for name in host.list(&root).map_err(failed)? {
        let dir = RunDir::of(&name.to_string_lossy());
        let made = host.stat(&dir.path).map_err(failed)?.filter(|stat| stat.kind == Kind::Dir);
        let is_old = made.is_some_and(|stat| host.now().since(stat.mtime) > AWAITED);
        if is_old && !has_begun(host, &dir)? {
            host.remove_tree(&dir.path).map_err(|e| Failure::new(format!("remove {}", dir.path.display()), e))?;
        }
    }
    Ok(())
}

/// The runs in place, oldest first.
pub fn standing(runs: &[Run]) -> impl DoubleEndedIterator<Item = &Run> {
    runs.iter().filter(|run| !matches!(run.state, RunStatus::RolledBack))
}

/// The stages of an application that were rolled back separately, and that no later run has applied again.
pub fn stages_gone(host: &dyn Host, runs: &[Run], application: &Application) -> BTreeSet<String> {
    let mut gone = BTreeSet::new();
    for run in standing(runs).filter(|run| run.is_of(host, application)) {
        for entry in run.journal.entries().iter().filter(|entry| !entry.undone) {
            gone.remove(&entry.stage);
        }
        gone.extend(run.journal.stages_rolled_back.iter().cloned());
    }
    gone
}

/// Records which guides are in place and which packages they installed, in a world-readable file: planning as an
/// ordinary user must know which ports and services are already ours.
pub fn note_standing(host: &dyn Host, running: Option<&str>) -> Outcome<()> {
    let runs = all(host, running)?;
    let guides: BTreeSet<&str> = standing(&runs).map(|run| run.journal.header.guide.as_str()).collect();
    // What a rolled back run installed stays ours as long as other runs use it.
    let here = runs.iter().filter(|run| run.state != RunStatus::RolledBack || run.waits());
    let brought = here.flat_map(|run| run.journal.entries()).filter(|entry| !entry.undone);
    let brought: BTreeSet<&str> = brought.flat_map(|entry| &entry.undo).flat_map(installed).collect();
    note(host, STANDING, &guides)?;
    note(host, BROUGHT, &brought)?;
    note(host, APPLICATIONS, &applications(host, &runs))
}

/// Each application in place, once, with its newest run.
fn applications(host: &dyn Host, runs: &[Run]) -> Vec<Application> {
    let mut found: Vec<Application> = Vec::new();
    for run in standing(runs) {
        let nameless = Application { guide: run.journal.header.guide.clone(), ..Application::default() };
        let mut application = run.dir.plan(host).map_or(nameless, |plan| plan.application());
        let undo = run.journal.entries().iter().filter(|entry| !entry.undone).flat_map(|entry| &entry.undo);
        let mut by_it: BTreeSet<String> = undo.flat_map(installed).map(str::to_owned).collect();
        for before in found.iter().filter(|known| known.is_same(&application)) {
            by_it.extend(before.installed.iter().flatten().cloned());
        }
        application.installed = Some(by_it.into_iter().collect());
        found.retain(|known| !known.is_same(&application));
        found.push(application);
    }
    found
}

/// The names of the packages that a transaction was to add.
pub(super) fn installed(record: &Undo) -> Vec<&str> {
    let Undo::Packages { before, planned } = record else { return Vec::new() };
    let added = planned.iter().map(|(package, _)| package).filter(|package| !before.contains(package));
    added.map(|package| package.split(':').next().unwrap_or_default()).collect()
}

fn note(host: &dyn Host, path: &str, names: &impl Serialize) -> Outcome<()> {
    let bytes = serde_json::to_vec(names).map_err(|e| Failure::new("record what is in place", e))?;
    host.write(Path::new(path), &bytes, Meta::root(0o644)).map_err(|e| Failure::new(format!("write {path}"), e))
}

fn state(journal: &Journal, running: bool) -> RunStatus {
    match (running, journal.rolled_back, journal.rollback_begun, journal.finished) {
        (_, Some(_), _, _) => RunStatus::RolledBack,
        (true, ..) => RunStatus::Running,
        (false, None, true, _) => RunStatus::RollbackUnfinished,
        (false, None, false, Some(Exit::Done)) => RunStatus::Done,
        (false, None, false, Some(Exit::ProofFailed)) => RunStatus::ProofFailed,
        (false, None, false, _) => RunStatus::Unfinished,
    }
}

/// `20261121-093015`, UTC.
fn compact(at: Stamp) -> String {
    jiff::Timestamp::from_second(at.sec)
        .map_or_else(|_| at.sec.to_string(), |t| t.strftime("%Y%m%d-%H%M%S").to_string())
}

/// The settings of a run, kept beside its plan.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// What to do when a step fails.
    pub on_failure: OnFailure,
    /// The directory of the guide; none for a shipped one.
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
    fn a_stage_that_was_rolled_back_is_gone_until_a_later_run_applies_it_again() {
        let host = FakeHost::new();
        let of = |guide| Plan::new(guide, "").application();
        let gone = || stages_gone(&host, &all(&host, None).unwrap(), &of("shop")).into_iter().collect::<Vec<_>>();
        let begin = |journal: &mut Journal, stage: &str| {
            let (action, stage) = (format!("{stage}.a"), stage.to_owned());
            journal.write(&host, Record::Begin { action, stage, undo: Vec::new() }).unwrap();
        };
        let (_, mut first) = RunDir::create(&host, &Plan::new("shop", "Shop")).unwrap();
        begin(&mut first, "web");
        begin(&mut first, "base");
        assert_eq!(gone(), [""; 0]);
        first.write(&host, Record::Undone { action: "web.a".to_owned() }).unwrap();
        first.write(&host, Record::RolledBack { stage: Some("web".to_owned()), kept: 0, waits: Vec::new() }).unwrap();
        assert_eq!(gone(), ["web"]);
        // Another application of the guide is another matter.
        let mut blog = Plan::new("shop", "Shop");
        let (path, value) = (Application::NAME.to_owned(), "blog".into());
        blog.answers.push(crate::plan::Answered { path, value, origin: crate::answers::Origin::Typed });
        let (_, mut beside) = RunDir::create(&host, &blog).unwrap();
        begin(&mut beside, "web");
        assert_eq!(gone(), ["web"]);
        assert_eq!(stages_gone(&host, &all(&host, None).unwrap(), &blog.application()).len(), 0);
        let (_, mut second) = RunDir::create(&host, &Plan::new("shop", "Shop")).unwrap();
        assert_eq!(gone(), ["web"]);
        begin(&mut second, "web");
        assert_eq!(gone(), [""; 0]);
        assert_eq!(stages_gone(&host, &all(&host, None).unwrap(), &of("other")).len(), 0);
    }

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
        // One that said nothing leaves nothing.
        process(EVENTS, "");
        process(EVENTS, "again\n");
        process(ROLLBACK_EVENTS, "first\n");
        process(ROLLBACK_EVENTS, "second\n");
        let said = |name: &str| host.text(dir.file(name)).unwrap();
        let events = ["events-1.jsonl", "events-2.jsonl", "events.jsonl"];
        assert_eq!(events.map(said), ["run\n", "resumed\n", "again\n"]);
        assert_eq!(host.text(dir.file("events-3.jsonl")), None);
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
        assert_eq!(state(&host), (RunStatus::RollbackUnfinished, false));
        journal.write(&host, back(vec!["later".into()])).unwrap();
        assert_eq!(state(&host), (RunStatus::RolledBack, true));
        journal.write(&host, Record::RollbackBegin { stage: None }).unwrap();
        assert_eq!(state(&host), (RunStatus::RollbackUnfinished, false));
        journal.write(&host, back(Vec::new())).unwrap();
        assert_eq!(state(&host), (RunStatus::RolledBack, false));
    }

    fn packages(name: &str) -> Undo {
        let planned = ["there:all".to_owned(), format!("{name}:amd64")].map(|name| (name, "1".to_owned())).to_vec();
        Undo::Packages { before: vec!["there:all".to_owned()], planned }
    }

    fn installing(host: &FakeHost, guide: &str) -> (RunDir, Journal) {
        let (dir, mut journal) = RunDir::create(host, &Plan::new(guide, "")).unwrap();
        let (action, stage) = ("base.packages".to_owned(), "base".to_owned());
        journal.write(host, Record::Begin { action, stage, undo: vec![packages(guide)] }).unwrap();
        (dir, journal)
    }

    /// Before-images hold passwords, and the windows of a run are needed by others to be told apart.
    #[test]
    fn the_images_of_a_run_go_with_its_rollback_and_the_windows_with_the_last_one() {
        let host = FakeHost::new();
        let mut runs = ["shop", "blog", "wiki"].map(|guide| installing(&host, guide));
        for (dir, _) in &runs {
            host.put_file(dir.file("blobs/secret"), "secret", 0o600);
            host.put_file(dir.file("windows/0001.json"), "{}", 0o600);
        }
        let mut left = |back: usize, waits: &[&str]| {
            let waits = waits.iter().map(|id| (*id).to_owned()).collect();
            runs[back].1.write(&host, Record::RolledBack { stage: None, kept: 0, waits }).unwrap();
            forget_images(&host, &all(&host, None).unwrap()).unwrap();
            let has = |name: &str| runs.iter().map(|(dir, _)| usize::from(host.text(dir.file(name)).is_some())).sum();
            (has("blobs/secret"), has("windows/0001.json"))
        };
        let nothing_more: (usize, usize) = (0, 0);
        assert_eq!(left(0, &[]), (2, 3));
        assert_eq!(left(1, &["wiki"]), (2, 3), "it waits for another run");
        assert_eq!(left(2, &[]), (1, 3));
        assert_eq!(left(1, &[]), nothing_more);
    }

    #[test]
    fn what_stands_is_noted_with_the_packages_it_brought_and_those_that_others_still_use() {
        let host = FakeHost::new();
        let noted = || {
            note_standing(&host, None).unwrap();
            let read = |path: &str| -> Vec<String> { serde_json::from_str(&host.text(path).unwrap()).unwrap() };
            let applications: Vec<Application> = serde_json::from_str(&host.text(APPLICATIONS).unwrap()).unwrap();
            for application in &applications {
                let by_it = application.installed.as_deref().unwrap();
                assert!(by_it.iter().all(|package| *package == application.guide), "{by_it:?}");
            }
            let guides: Vec<String> = applications.into_iter().map(|application| application.guide).collect();
            let standing = read(STANDING);
            assert_eq!(standing.iter().collect::<BTreeSet<_>>(), guides.iter().collect::<BTreeSet<_>>());
            (standing, read(BROUGHT))
        };
        let of = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let back = |waits: &[&str]| Record::RolledBack { stage: None, kept: 0, waits: of(waits) };
        let mut shop = installing(&host, "shop");
        let mut blog = installing(&host, "blog");
        assert_eq!(noted(), (of(&["blog", "shop"]), of(&["blog", "shop"])));
        shop.1.write(&host, back(&["blog"])).unwrap();
        assert_eq!(noted(), (of(&["blog"]), of(&["blog", "shop"])), "the other one uses them");
        blog.1.write(&host, Record::Undone { action: "base.packages".to_owned() }).unwrap();
        assert_eq!(applications(&host, &all(&host, None).unwrap())[0].installed.as_deref(), Some(&[][..]));
        assert_eq!(noted(), (of(&["blog"]), of(&["shop"])), "it is purged");
        for run in [&mut blog, &mut shop] {
            run.1.write(&host, back(&[])).unwrap();
        }
        assert_eq!(noted(), (of(&[]), of(&[])));
    }

    #[test]
    fn an_application_whose_plan_cannot_be_read_stands_under_its_guide() {
        let host = FakeHost::new();
        let (dir, _) = RunDir::create(&host, &Plan::new("shop", "")).unwrap();
        dir.write(&host, "plan.json", b"{").unwrap();
        let found = applications(&host, &all(&host, None).unwrap());
        let nameless = Application { guide: "shop".to_owned(), installed: Some(Vec::new()), ..Application::default() };
        assert_eq!(found, [nameless]);
    }
}
