//! `rollback`: which runs it concerns, and the question before it.

use crate::cli::Output;
use crate::cli::runs::{follow, told, with_runs};
use crate::cli::status::line;
use crate::engine::rollback::{self, Options};
use crate::engine::runs::{self, Run, RunStatus};
use crate::engine::{data, detach};
use crate::error::Exit;
use crate::host::Host;
use crate::ui::{report, stdio, tty_caps};

/// What `rollback` was asked to roll back.
pub(super) struct RollbackScope {
    pub run: Option<String>,
    pub all: bool,
    pub yes: bool,
    pub options: Options,
}

/// Rolls runs back, the newest first, in one pass.
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
                stdio::print(&line(host, run));
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;
    use crate::answers::Origin;
    use crate::engine::journal::{Journal, Record};
    use crate::engine::runs::RunDir;
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
}
