//! `status`, `history`, `verify`, `attach`, `stop`, `resume`, `rollback`: everything about runs that were.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use signal_hook::consts::SIGINT;
use signal_hook::flag;

use crate::answers::OnFailure;
use crate::cli::{Output, decide, wizard};
use crate::engine::decision::{self, Waiting};
use crate::engine::health::{self, Installed, verify};
use crate::engine::rollback::shared::words;
use crate::engine::rollback::{self, Options};
use crate::engine::runs::{self, Run, RunDir, RunStatus, Settings};
use crate::engine::{data, detach};
use crate::error::{Exit, Failure, Outcome};
use crate::host::Host;
use crate::plan::Plan;
use crate::plan::tally::number;
use crate::proof;
use crate::state_dir;
use crate::ui::estimate::Expected;
use crate::ui::follow::{Followed, follow as follow_events};
use crate::ui::health::{Health, page};
use crate::ui::{ask, report, stdio, tty_caps};
use crate::visible;

/// What `rollback` was asked to roll back.
pub(super) struct RollbackScope {
    pub run: Option<String>,
    pub all: bool,
    pub yes: bool,
    pub options: Options,
}

/// Shows what is applied on this server, and its health.
pub(super) fn status(host: &dyn Host, output: Output) -> Exit {
    with_runs(host, |runs| {
        let standing: Vec<&Run> = runs::standing(runs).collect();
        let waiting_runs: Vec<&Run> = runs.iter().filter(|run| run.waits()).collect();
        let installed = health::installed(host, runs);
        let health = look(host, runs, &installed);
        if output.json {
            let of = |run: &&Run| installed.iter().position(|it| it.run == run.dir.id);
            let records = standing.iter().chain(&waiting_runs).map(|run| {
                let mut record = record(host, run);
                if let Some(at) = of(run) {
                    let findings: Vec<_> = health.of(Some(at)).chain(health.of(None)).collect();
                    record["health"] = json!(findings);
                    record["address"] = json!(installed[at].application.address);
                }
                record
            });
            stdio::json(&format!("{:#}\n", json!(records.collect::<Vec<_>>())));
            return Ok(Exit::Done);
        }
        if standing.is_empty() {
            stdio::print("No change of bringup's is in place on this server.\n");
        } else {
            stdio::print(&format!("{}\n", page(tty_caps::look(host), &installed, &health, true)));
        }
        for run in standing {
            stdio::print(&line(run));
            if let Some(waiting) = waiting(host, run) {
                stdio::print(&format!("  {}\n", visible::line(&ask::standing(&waiting))));
            }
            for step in run.journal.skipped() {
                stdio::print(&format!("  skipped: {}\n", visible::line(step)));
            }
        }
        for run in waiting_runs {
            stdio::print(&line(run));
            let left: Vec<_> = run.journal.deferred().flat_map(|entry| entry.undo.clone()).collect();
            if !left.is_empty() {
                stdio::print(&format!("  still used by others: {}\n", words(&left)));
            }
        }
        Ok(Exit::Done)
    })
}

/// The health of what is applied. While a run works, the result would be out of date at once.
pub(super) fn look(host: &dyn Host, all: &[Run], installed: &[Installed]) -> Health {
    let found = Mutex::new(Health::default());
    if !installed.is_empty() && !all.iter().any(|run| run.state == RunStatus::Running) {
        health::look(host, all, installed, &|at, finding| {
            if let Ok(mut found) = found.lock() {
                found.learn(at, finding);
            }
        });
    }
    found.into_inner().unwrap_or_default()
}

/// Lists all runs.
pub(super) fn history(host: &dyn Host, output: Output) -> Exit {
    with_runs(host, |runs| {
        if output.json {
            stdio::json(&format!("{:#}\n", json!(runs.iter().map(|run| record(host, run)).collect::<Vec<_>>())));
            return Ok(Exit::Done);
        }
        if runs.is_empty() {
            stdio::print("bringup has not changed anything on this server yet.\n");
        }
        for run in runs {
            stdio::print(&line(run));
        }
        Ok(Exit::Done)
    })
}

/// Proves again what the last run of each installation promised.
pub(super) fn verify(host: &dyn Host, output: Output) -> Exit {
    with_runs(host, |runs| {
        let installed = health::installed(host, runs);
        // What is rolled back is not there to be proven.
        let mut untried = Vec::new();
        let mut stages = BTreeSet::new();
        for (it, plan) in
            installed.iter().filter(|it| it.ended.is_some()).filter_map(|it| Some((it, it.plan.as_ref()?)))
        {
            stages.extend(it.gone.iter().map(|stage| title(plan, stage)));
            let gone = plan.proofs.iter().filter(|planned| it.gone.contains(&planned.stage));
            untried.extend(gone.map(|planned| (planned.id.clone(), planned.describe.clone(), planned.stage.clone())));
        }
        let results = RefCell::new(Vec::new());
        verify::verify(host, runs, &installed, &|_, planned, result| {
            if !output.json {
                stdio::print(&report::proof_line(host, &planned.describe, result));
            }
            results.borrow_mut().push((planned.id.clone(), planned.describe.clone(), result.clone()));
        })?;
        let results = results.into_inner();
        let failed = results.iter().filter(|(_, _, result)| result.is_err()).count();
        if output.json {
            let tried = results.iter().map(|(id, describe, result)| {
                json!({
                    "proof": id, "describe": describe, "evidence": result.as_ref().ok(),
                    "failure": result.as_ref().err(), "outcome": outcome(result),
                })
            });
            let untried = untried.iter().map(|(id, describe, stage)| {
                json!({ "proof": id, "describe": describe, "not_verified": format!("stage {stage} is rolled back") })
            });
            let list: Vec<_> = tried.chain(untried).collect();
            stdio::json(&format!("{:#}\n", json!(list)));
        } else if results.is_empty() && stages.is_empty() {
            stdio::print("Nothing to verify: no finished run is in place on this server.\n");
        } else {
            let not_tried = results.iter().filter(|(_, _, result)| outcome(result) == "not_tried").count();
            let not_tried = if not_tried == 0 { String::new() } else { format!(", {not_tried} not tried") };
            let passed = results.iter().filter(|(_, _, result)| outcome(result) == "passed").count();
            stdio::print(&format!("{passed} passed, {failed} failed{not_tried}.\n"));
            stdio::print(&report::not_verified(
                &stages,
                &untried.iter().map(|(_, what, _)| what.as_str()).collect::<Vec<_>>(),
            ));
        }
        Ok(if failed == 0 { Exit::Done } else { Exit::ProofFailed })
    })
}

/// How a proof ended, as programs read it.
fn outcome(result: &Outcome<String>) -> &'static str {
    match result {
        Ok(evidence) if proof::not_tried(evidence).is_some() => "not_tried",
        Ok(_) => "passed",
        Err(_) => "failed",
    }
}

/// Follows the run that works now.
pub(super) fn attach(host: &dyn Host, output: Output) -> Exit {
    let id = match at_work(host) {
        Ok(id) => id,
        Err(why) => {
            stdio::error(why);
            return Exit::Rejected;
        }
    };
    if !output.plain
        && !output.json
        && tty_caps::interactive(host)
        && let Some(exit) = wizard::attach(host, &id)
    {
        return exit;
    }
    follow(host, &RunDir::of(&id), output)
}

/// Asks the active run to roll back everything.
pub(super) fn abort(host: &dyn Host) -> Exit {
    let id = match at_work(host) {
        Ok(id) => id,
        Err(why) => {
            stdio::error(why);
            return Exit::Rejected;
        }
    };
    match detach::ask_to_stop(host, &RunDir::of(&id)) {
        Ok(()) => {
            stdio::print(&format!(
                "Run {id} ends after its current step and rolls everything back; `bringup attach` shows it.\n"
            ));
            Exit::Done
        }
        Err(failure) => internal(&failure),
    }
}

/// Goes on with an interrupted run.
pub(super) fn resume(host: &dyn Host, yes: bool, on_failure: Option<OnFailure>, output: Output) -> Exit {
    detach::await_killed(host);
    with_runs(host, |runs| {
        let interrupted =
            runs.iter().find(|run| matches!(run.state, RunStatus::Unfinished | RunStatus::RollbackUnfinished));
        let Some(run) = interrupted else {
            stdio::print("There is nothing to resume.\n");
            return Ok(Exit::Done);
        };
        if run.state == RunStatus::RollbackUnfinished {
            stdio::error(&format!(
                "The rollback of run {} was interrupted: `bringup rollback` continues it.\n",
                run.dir.id
            ));
            return Ok(Exit::Rejected);
        }
        if !yes && tty_caps::interactive(host) && !tty_caps::confirm(host, &format!("Resume run {}?", run.dir.id)) {
            return Ok(Exit::Rejected);
        }
        if let Some(on_failure) = on_failure {
            let settings = run.dir.settings(host)?;
            run.dir.keep_settings(host, &Settings { on_failure, ..settings })?;
        }
        detach::keep_program(host, &run.dir)?;
        detach::start(host, &run.dir, &[])?;
        Ok(follow(host, &run.dir, output))
    })
}

/// Takes runs back, newest first, in one pass.
pub(super) fn rollback(host: &dyn Host, scope: &RollbackScope, output: Output) -> Exit {
    detach::await_killed(host);
    with_runs(host, |runs| {
        let chosen = match choose(host, runs, scope) {
            Ok(chosen) => chosen,
            Err(message) => {
                stdio::error(&format!("error: {message}\n"));
                return Ok(Exit::Rejected);
            }
        };
        let Some(first) = chosen.first() else {
            stdio::print("Nothing to roll back.\n");
            return Ok(Exit::Done);
        };
        let ids: Vec<String> = chosen.iter().map(|run| run.dir.id.clone()).collect();
        let ahead = match rollback::ahead(host, runs, &ids, &scope.options) {
            Ok(ahead) => ahead,
            Err(failure) => {
                told(&failure);
                return Ok(Exit::Rejected);
            }
        };
        let at_risk = data::at_risk(host, &ahead, &scope.options)?;
        if !at_risk.is_empty() {
            stdio::error(&report::data_at_risk(&at_risk));
            return Ok(Exit::Rejected);
        }
        if !scope.yes && !tty_caps::interactive(host) {
            stdio::error("error: there is no terminal to confirm on; add --yes.\n");
            return Ok(Exit::Usage);
        }
        if !output.json && (!scope.yes || chosen.len() > 1) {
            if chosen.len() > 1 {
                stdio::print(&format!("These {} runs will be rolled back, the latest first:\n", chosen.len()));
            }
            for run in &chosen {
                stdio::print(&line(run));
            }
        }
        if !scope.yes && !tty_caps::confirm(host, "Roll this back?") {
            return Ok(Exit::Rejected);
        }
        let mut arguments = vec!["--rollback".to_owned()];
        for id in &ids[1..] {
            arguments.extend(["--with".to_owned(), id.clone()]);
        }
        if let Some(stage) = &scope.options.stage {
            arguments.extend(["--stage".to_owned(), stage.clone()]);
        }
        if scope.options.drop_data {
            arguments.push("--drop-data".to_owned());
        }
        for run in &chosen {
            detach::keep_program(host, &run.dir)?;
        }
        detach::start(host, &first.dir, &arguments)?;
        Ok(follow(host, &first.dir, output))
    })
}

/// Which runs a rollback concerns, newest first.
fn choose<'a>(host: &dyn Host, runs: &'a [Run], scope: &RollbackScope) -> Result<Vec<&'a Run>, String> {
    if let Some(run) = runs.iter().find(|run| run.state == RunStatus::Running) {
        return Err(format!("run {} is in progress; `bringup abort` ends it and rolls it back", run.dir.id));
    }
    let standing: Vec<&Run> = runs::standing(runs).collect();
    let from = match &scope.run {
        None => None,
        Some(id) => match standing.iter().position(|run| run.dir.id == *id) {
            Some(at) => Some(at),
            None => return Err(not_in_place(runs, id)),
        },
    };
    if let Some(stage) = &scope.options.stage {
        let has = |run: &&&Run| run.journal.entries().iter().any(|entry| entry.stage == *stage && !entry.undone);
        let with: Vec<&Run> = standing[from.unwrap_or(0)..].iter().rev().filter(has).copied().collect();
        // Another installation's stage of that name is another stage.
        let of = from.map(|at| standing[at]).or(with.first().copied());
        let with = of.map_or_else(Vec::new, |of| same_installation(host, with, of));
        if with.is_empty() {
            let mut known: Vec<&str> = standing
                .iter()
                .flat_map(|run| run.journal.entries())
                .filter(|entry| !entry.undone)
                .map(|entry| entry.stage.as_str())
                .collect();
            known.sort_unstable();
            known.dedup();
            return Err(format!(
                "no change of a stage \"{stage}\" is in place; stages with changes: {}",
                known.join(", ")
            ));
        }
        return Ok(with);
    }
    if scope.all {
        // Runs whose deferred records nothing uses any more are rolled back along; alone where no other run is left.
        let all: Vec<&Run> = standing.into_iter().rev().collect();
        return Ok(if all.is_empty() { runs.iter().rev().filter(|run| run.waits()).collect() } else { all });
    }
    if let Some(at) = from {
        let later = standing[at..].iter().rev().copied().collect();
        return Ok(same_installation(host, later, standing[at]));
    }
    // What was cut short comes to its end first, all that went in one pass.
    let cut: Vec<&Run> =
        standing.iter().rev().copied().filter(|run| run.state == RunStatus::RollbackUnfinished).collect();
    Ok(if cut.is_empty() { standing.last().copied().into_iter().collect() } else { cut })
}

/// Those of the installation that `of` belongs to: its runs build on each other, and none on those of others.
fn same_installation<'a>(host: &dyn Host, runs: Vec<&'a Run>, of: &Run) -> Vec<&'a Run> {
    // Without its plan a run counts by its guide.
    let installation = |run: &Run| run.dir.plan(host).ok().map(|plan| plan.application());
    let own = installation(of);
    let same = |run: &&Run| {
        let guide = run.journal.header.guide == of.journal.header.guide;
        guide && own.as_ref().is_none_or(|own| installation(run).is_none_or(|other| own.is_same(&other)))
    };
    runs.into_iter().filter(same).collect()
}

fn not_in_place(runs: &[Run], id: &str) -> String {
    let known: Vec<&str> = runs::standing(runs).map(|run| run.dir.id.as_str()).collect();
    let waits = runs.iter().find(|run| run.dir.id == id && run.waits());
    match waits {
        Some(run) => {
            let users = run.journal.waits.join(", ");
            format!("run {id} is rolled back; the rest of it is removed with the last run that uses it: {users}")
        }
        None => format!("no run {id} is in place; runs in place: {}", known.join(", ")),
    }
}

/// The message on leaving a run that works.
const GOES_ON: &str = "\nThe run continues in the background. `bringup attach` shows it again,\n`bringup abort` ends \
    it after its current step and rolls everything back.\n";

/// Prints again, after a full screen was closed, how a run ended, or that it continues.
pub(super) fn said(host: &dyn Host, dir: &RunDir, ended: Option<Exit>) {
    match ended {
        Some(exit) => {
            await_end(host, dir);
            report::after(host, dir, exit);
        }
        None => stdio::error(GOES_ON),
    }
}

/// Waits for a run's last lines of bookkeeping, at most five seconds, so that the next command does not find it locked.
fn await_end(host: &dyn Host, dir: &RunDir) {
    for _ in 0..250 {
        if detach::running(host).as_deref() != Some(dir.id.as_str()) {
            return;
        }
        host.sleep(Duration::from_millis(20));
    }
}

/// Follows a run to its end and says how it ended.
pub(super) fn follow(host: &dyn Host, dir: &RunDir, output: Output) -> Exit {
    // Ctrl-C ends the following, never the run: a slipped finger must not undo half an hour.
    let (interrupted, reading) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    // A line that is being read hears of nothing else: there Ctrl-C ends the program, as ever.
    let leaving = flag::register_conditional_default(SIGINT, Arc::clone(&reading));
    let watching = flag::register(SIGINT, Arc::clone(&interrupted));
    let mut renderer = tty_caps::renderer(host, output.json, output.plain, || Expected::read(host, dir));
    let alive = || detach::running(host).as_deref() == Some(dir.id.as_str());
    let events = dir.events(host);
    let stopped = || interrupted.load(Ordering::Relaxed);
    let mut ask = |waiting: &Waiting| decide::ask(host, dir, waiting, output, &reading);
    let followed = follow_events(host, &events, renderer.as_mut(), &alive, &stopped, &mut ask);
    for id in [leaving, watching].into_iter().flatten() {
        signal_hook::low_level::unregister(id);
    }
    match followed {
        Followed::Ended(exit) => {
            await_end(host, dir);
            if !output.json {
                report::after(host, dir, exit);
            }
            exit
        }
        Followed::Left if decision::waiting(host, dir).is_ok_and(|waiting| waiting.is_some()) => {
            stdio::error(
                "\nThe run waits for a decision: `bringup attach` asks again, `bringup decide` answers,\n`bringup \
                 abort` rolls everything back.\n",
            );
            Exit::Interrupted
        }
        Followed::Left => {
            stdio::error(GOES_ON);
            Exit::Interrupted
        }
        Followed::Died => {
            let why = state_dir::trouble(host).map_or(String::new(), |why| format!(": {why}. Fix that first"));
            stdio::error(&format!(
                "The process of run {} died before the run finished{why}.\n`bringup resume` continues, `bringup \
                 rollback` rolls everything back.\n",
                dir.id
            ));
            Exit::Incomplete
        }
    }
}

const NEEDS_ROOT: &str = "error: only root can read the records of runs; run it again with sudo.\n";

/// The run that works now, or why we cannot name one: others than root see no run at all.
fn at_work(host: &dyn Host) -> Result<String, &'static str> {
    if host.euid() != 0 {
        return Err(NEEDS_ROOT);
    }
    detach::running_or_starting(host)
        .ok_or("Nothing is running. `bringup status` shows what is in place, `bringup history` every run.\n")
}

pub(super) fn with_runs(host: &dyn Host, then: impl FnOnce(&[Run]) -> Outcome<Exit>) -> Exit {
    if host.euid() != 0 {
        stdio::error(NEEDS_ROOT);
        return Exit::Rejected;
    }
    let running = detach::running(host);
    match runs::all(host, running.as_deref()).and_then(|runs| then(&runs)) {
        Ok(exit) => exit,
        Err(failure) => internal(&failure),
    }
}

/// What people know a stage by.
fn title(plan: &Plan, stage: &str) -> String {
    plan.stages.iter().find(|known| known.id == stage).map_or_else(|| stage.to_owned(), |known| known.title.clone())
}

fn internal(failure: &Failure) -> Exit {
    told(failure);
    Exit::Internal
}

fn told(failure: &Failure) {
    stdio::error(&format!("error: {failure}\n"));
    if let Some(hint) = &failure.hint {
        stdio::error(&format!("hint: {hint}\n"));
    }
}

fn line(run: &Run) -> String {
    let state = match run.state {
        RunStatus::Running => "running",
        RunStatus::Unfinished => "interrupted: resume or rollback",
        RunStatus::RollbackUnfinished => "rollback interrupted: rollback",
        RunStatus::Done => "done",
        RunStatus::ProofFailed => "done, but a proof failed",
        RunStatus::RolledBack if run.waits() => "rolled back, except what others use",
        RunStatus::RolledBack => "rolled back",
    };
    let (id, guide) = (visible::line(&run.dir.id), visible::line(&run.journal.header.guide));
    format!("{id:<32} {guide:<14} {:>11}  {state}\n", number(run.journal.standing(), "change"))
}

/// What a run waits for, when its process lives and waits.
fn waiting(host: &dyn Host, run: &Run) -> Option<Waiting> {
    (run.state == RunStatus::Running).then(|| decision::waiting(host, &run.dir).ok().flatten()).flatten()
}

fn record(host: &dyn Host, run: &Run) -> serde_json::Value {
    json!({
        "run": run.dir.id,
        "guide": run.journal.header.guide,
        "state": run.state,
        "plan": run.journal.plan,
        "at": run.journal.header.at.sec,
        "changes": run.journal.standing(),
        "stages_rolled_back": run.journal.stages_rolled_back,
        "skipped": run.journal.skipped().collect::<Vec<_>>(),
        "waiting": waiting(host, run),
        "used_by": run.journal.waits,
        "directory": run.dir.path,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;
    use crate::answers::Origin;
    use crate::engine::journal::{Journal, Record};
    use crate::host::fake::FakeHost;
    use crate::plan::{Answered, Plan};

    /// A finished run with a change in the stage `web`.
    fn ran(host: &FakeHost, guide: &str, name: &str) -> String {
        let mut plan = Plan::new(guide, "");
        plan.answers.push(Answered { path: "application.name".into(), value: json!(name), origin: Origin::File });
        let (dir, mut journal) = RunDir::create(host, &plan).unwrap();
        let begin = Record::Begin { action: "web.site".into(), stage: "web".into(), undo: Vec::new() };
        journal.write(host, begin).unwrap();
        journal.write(host, Record::Finished { exit: Exit::Done, data: [].into() }).unwrap();
        dir.id
    }

    /// Nobody can confirm here, and nobody was told that a run is working.
    #[test]
    fn rollback_lets_a_process_that_was_killed_end_and_refuses_beside_one_that_works() {
        let host = FakeHost::new();
        let id = ran(&host, "webapp", "shop");
        host.put_file("/var/lib/bringup/running", &id, 0o644);
        host.put_file("/var/lib/bringup/lock", "", 0o600);
        host.lock_elsewhere("/var/lib/bringup/lock", true);
        let asked = RollbackScope { yes: false, ..scope(None, None, false) };
        let output = Output { plain: true, json: false };
        assert_eq!(rollback(&host, &asked, output), Exit::Rejected);
        host.visit_after(20, |host| host.lock_elsewhere("/var/lib/bringup/lock", false));
        assert_eq!(rollback(&host, &asked, output), Exit::Usage);
    }

    fn chosen(host: &FakeHost, scope: &RollbackScope) -> Result<Vec<String>, String> {
        let runs = runs::all(host, None).unwrap();
        choose(host, &runs, scope).map(|runs| runs.iter().map(|run| run.dir.id.clone()).collect())
    }

    fn scope(run: Option<&str>, stage: Option<&str>, all: bool) -> RollbackScope {
        let options = Options { stage: stage.map(str::to_owned), ..Options::default() };
        RollbackScope { run: run.map(str::to_owned), all, yes: true, options }
    }

    #[test]
    fn only_the_runs_of_one_installation_are_a_stack() {
        let host = FakeHost::new();
        let shop = ran(&host, "webapp", "shop");
        let wiki = ran(&host, "webapp", "wiki");
        let again = ran(&host, "webapp", "shop");
        let other = ran(&host, "other", "shop");
        let of = |run: Option<&str>, stage, all| chosen(&host, &scope(run, stage, all)).unwrap();
        assert_eq!(of(None, None, false), [other.as_str()]);
        assert_eq!(of(Some(&shop), None, false), [again.as_str(), &shop]);
        assert_eq!(of(Some(&wiki), None, false), [wiki.as_str()]);
        assert_eq!(of(None, None, true), [other.as_str(), &again, &wiki, &shop]);
        assert_eq!(of(None, Some("web"), false), [other.as_str()], "a stage of one installation");
        assert_eq!(of(Some(&shop), Some("web"), false), [again.as_str(), &shop]);
        let unknown = chosen(&host, &scope(Some("nobody"), None, false)).unwrap_err();
        assert!(unknown.contains("no run nobody is in place") && unknown.contains(&wiki), "{unknown}");
    }

    #[test]
    fn a_rollback_that_was_cut_short_comes_first_and_one_that_waits_says_for_whom() {
        let host = FakeHost::new();
        let shop = ran(&host, "webapp", "shop");
        let wiki = ran(&host, "webapp", "wiki");
        let mut journal = Journal::open(&host, &RunDir::of(&shop).file("journal.jsonl")).unwrap();
        journal.write(&host, Record::RollbackBegin { stage: None }).unwrap();
        assert_eq!(chosen(&host, &scope(None, None, false)).unwrap(), [shop.as_str()]);
        let waits = vec![wiki.clone()];
        journal.write(&host, Record::RolledBack { stage: None, kept: 0, waits }).unwrap();
        assert_eq!(chosen(&host, &scope(None, None, false)).unwrap(), [wiki.as_str()]);
        let refused = chosen(&host, &scope(Some(&shop), None, false)).unwrap_err();
        assert!(refused.contains("is rolled back") && refused.contains(&wiki), "{refused}");
    }

    #[test]
    fn another_user_is_told_that_it_takes_root_and_not_that_nothing_runs() {
        let host = FakeHost::new();
        host.make_dir(std::path::Path::new(crate::state_dir::STATE_DIR), crate::host::Meta::root(0o755)).unwrap();
        assert!(at_work(&host).unwrap_err().starts_with("Nothing is running"));
        let lock = detach::lock(&host, "20260101-000000-webapp").unwrap().unwrap();
        assert_eq!(at_work(&host).as_deref(), Ok("20260101-000000-webapp"));
        drop(lock);
        assert!(at_work(&host.as_user(1000)).unwrap_err().contains("only root"));
    }
}
