//! From a plan to a run: what must be right before the first change, and the process that then makes it.
//!
//! The command line and the wizard start runs through here, so that both refuse the same.

use std::collections::{BTreeMap, BTreeSet};

use crate::action::database::running as engines;
use crate::action::{Action, Verdict, acme};
use crate::answers::{OnFailure, Resolved, SecretSource, file};
use crate::engine::decision::{self, Decision, Replan};
use crate::engine::runs::{self, Run, RunDir, RunStatus, Settings};
use crate::engine::secret_store;
use crate::engine::{detach, ownership};
use crate::error::{Failure, Outcome, Problem};
use crate::facts::probe;
use crate::guide::Guide;
use crate::host::Host;
use crate::plan::Plan;
use crate::plan::preview::{GuideChecks, Verdicts, packages, preview};
use crate::proof;
use crate::secret::Secrets;
use crate::system::packages::apt::{self, Lists};
use crate::system::packages::forecast::Forecast;

pub mod request;
pub mod running;

/// What the checks before the first change came to.
#[derive(Debug)]
pub enum Checked {
    /// Every action is already so. `proven` is false where a proof of the run that stands had failed.
    NothingToDo {
        /// Whether the proofs succeeded when they were last tried.
        proven: bool,
    },
    /// The run can start.
    Go(Ready),
}

/// What a start needs besides the plan that was checked.
#[derive(Debug)]
pub struct Ready {
    /// The values of the plan's secrets.
    pub secrets: Secrets,
    /// The runs that the check has seen: with any further one, the host is no longer the one that was checked.
    seen: BTreeSet<String>,
}

/// Everything that can be known before anything is changed. `sources` says how each secret is to be had
/// ([`Resolved::secrets`]). Changes nothing.
pub fn check(host: &dyn Host, plan: &Plan, sources: &BTreeMap<String, SecretSource>) -> Result<Checked, Vec<Problem>> {
    check_rotating(host, plan, sources, &BTreeSet::new())
}

/// As [`check`], with new values for these generated secrets.
fn check_rotating(
    host: &dyn Host,
    plan: &Plan,
    sources: &BTreeMap<String, SecretSource>,
    rotate: &BTreeSet<String>,
) -> Result<Checked, Vec<Problem>> {
    if host.euid() != 0 {
        let hint = "run it again with sudo; `bringup plan` needs no root";
        return Err(vec![Problem::new("changing this host needs root", hint)]);
    }
    let running = detach::running(host);
    let all = runs::all(host, running.as_deref()).map_err(|e| vec![Problem::new(e.to_string(), "")])?;
    if let Some(problem) = stopping(running.as_deref(), &all) {
        return Err(vec![problem]);
    }
    let mut kept = secret_store::load(host, &plan.application());
    for name in rotate {
        kept.remove(name);
    }
    let secrets = secret_store::gather(host, &kept, sources, &plan.secret_patterns)?;
    let verdicts = preview(host, plan, &secrets, GuideChecks::Run);
    let refused = refused(host, plan, &all, &verdicts, packages(host, plan).as_ref(), None, running::Tests::All);
    if !refused.is_empty() {
        return Err(refused);
    }
    beforehand(host, plan, &secrets)?;
    if verdicts.iter().any(|(_, verdict)| !matches!(verdict, Ok(Verdict::Unchanged))) {
        return Ok(Checked::Go(Ready { secrets, seen: all.into_iter().map(|run| run.dir.id).collect() }));
    }
    let unproven = |run: &Run| run.state == RunStatus::ProofFailed && run.is_of(host, &plan.application());
    Ok(Checked::NothingToDo { proven: !runs::standing(&all).any(unproven) })
}

/// Everything that keeps a plan from being carried out on this host, by what checking its actions and its packages
/// found. `waiting` is the run that takes the plan over, when one does. Changes nothing.
pub fn refused(
    host: &dyn Host,
    plan: &Plan,
    runs: &[Run],
    verdicts: &Verdicts,
    packages: Option<&Outcome<Forecast>>,
    waiting: Option<&str>,
    tests: running::Tests,
) -> Vec<Problem> {
    let arrivals = packages.and_then(|forecast| forecast.as_ref().ok()).map(Forecast::names).unwrap_or_default();
    let obstacles = obstacles(host, plan, verdicts, packages);
    let owned = ownership::problems(host, plan, runs, verdicts, &arrivals, waiting);
    // A check that fails because of what is not ours says the same once more.
    let told = |id: &str| owned.iter().chain(&obstacles).any(|problem| problem.path == id);
    // Who is not root cannot look everywhere, and that refuses nothing.
    let unseen = |failure: &Failure| host.euid() != 0 && failure.why.to_lowercase().contains("permission denied");
    let failed = verdicts.iter().filter_map(|(id, verdict)| Some((id, verdict.as_ref().err()?)));
    let failed =
        failed.filter(|(id, failure)| !told(id) && !unseen(failure)).map(|(id, failure)| Problem::in_step(id, failure));
    let mut problems: Vec<Problem> = failed.collect();
    problems.extend(obstacles);
    problems.extend(owned);
    problems.extend(running::broken_servers(host, plan, verdicts, tests));
    problems
}

/// The same for those who only look, perhaps without root: then nobody can tell what is ours where anything is, and
/// whose the things are is left out. A run that works or was interrupted is all that is said: what lies there is its.
pub fn foreseen(
    host: &dyn Host,
    plan: &Plan,
    verdicts: &Verdicts,
    packages: Option<&Outcome<Forecast>>,
) -> Vec<Problem> {
    let at_work = detach::running(host);
    match runs::all(host, at_work.as_deref()) {
        Ok(runs) => match stopping(at_work.as_deref(), &runs) {
            Some(problem) => vec![problem],
            None => refused(host, plan, &runs, verdicts, packages, None, running::Tests::Own),
        },
        Err(_) if probe::nothing_stands(host) => {
            refused(host, plan, &[], verdicts, packages, None, running::Tests::Own)
        }
        Err(_) => obstacles(host, plan, verdicts, packages),
    }
}

/// What would end a run although each of its actions could begin: packages that apt cannot or may not install, sources
/// that cannot be had, engines that do not let the administrator in.
fn obstacles(host: &dyn Host, plan: &Plan, verdicts: &Verdicts, packages: Option<&Outcome<Forecast>>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut asked = Vec::new();
    for (planned, (id, verdict)) in plan.actions.iter().zip(verdicts) {
        if !matches!(verdict, Ok(Verdict::WouldChange(_))) {
            continue;
        }
        let failure = match &planned.action {
            Action::Packages(_) => match packages {
                Some(Ok(forecast)) => forecast.obstacle(host),
                // A run fetches the lists that are missing or old, and then knows more.
                Some(Err(_)) if apt::lists(host) == Lists::Missing => None,
                Some(Err(failure)) => Some(failure.clone()),
                None => None,
            },
            Action::Source(source) => source.obstacle(host),
            Action::Database(database) if host.euid() == 0 && !asked.contains(&database.engine) => {
                asked.push(database.engine);
                engines::shut_out(host, database.engine, &database.cluster)
            }
            _ => None,
        };
        problems.extend(failure.map(|failure| Problem::in_step(id, &failure)));
    }
    problems
}

/// The run that works, or was interrupted.
fn stopping(running: Option<&str>, all: &[Run]) -> Option<Problem> {
    at_work(running).or_else(|| runs::standing(all).find_map(in_the_way))
}

/// Why a run that stands keeps another one from starting, when it does.
fn in_the_way(run: &Run) -> Option<Problem> {
    let id = &run.dir.id;
    match run.state {
        RunStatus::Running => at_work(Some(id)),
        RunStatus::Unfinished | RunStatus::RollbackUnfinished => {
            let hint = "`bringup resume` goes on, `bringup rollback` rolls it back";
            Some(Problem::new(format!("run {id} was interrupted"), hint))
        }
        RunStatus::Done | RunStatus::ProofFailed | RunStatus::RolledBack => None,
    }
}

/// That a run works, whether its journal has begun or not.
fn at_work(running: Option<&str>) -> Option<Problem> {
    let id = running?;
    Some(Problem::new(format!("run {id} is working on this host"), "`bringup attach` shows it"))
}

/// What must be so before anything is changed: remote engines answer, and what the guide builds on is there and works.
fn beforehand(host: &dyn Host, plan: &Plan, secrets: &Secrets) -> Result<(), Vec<Problem>> {
    let cx = proof::Context { host, secrets };
    let mut problems = Vec::new();
    for planned in &plan.proofs {
        let prover = planned.proof.prover();
        if prover.preflight()
            && let Err(mut failure) = prover.prove(&cx)
        {
            // There is no room for all that a program said, and its last words are the reason.
            if let Some(last) = failure.tail.last() {
                failure.why = format!("{}: {last}", failure.why);
            }
            problems.push(Problem::in_step(&planned.id, &failure));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// Makes the run's directory with everything in it, and starts the process that works. `ready` is what [`check`] found.
fn start(
    host: &dyn Host,
    guide: &Guide,
    resolved: &Resolved,
    plan: &Plan,
    on_failure: OnFailure,
    ready: &Ready,
) -> Outcome<RunDir> {
    let kept = secret_store::load(host, &plan.application());
    let mut plan = plan.clone();
    let stays = |name: &String| kept.get(name) == ready.secrets.get(name);
    let sources = resolved.secrets.clone().into_iter().filter(|(name, _)| stays(name)).collect();
    let notes = secret_store::notes(&kept, &sources);
    plan.warnings.extend(notes.into_iter().filter(|note| !plan.warnings.contains(note)).collect::<Vec<_>>());
    let recorded = file::write(guide, resolved, on_failure)?;
    let settings = Settings { on_failure, guide: guide.dir.clone() };
    begin(host, &plan, &ready.seen, recorded.as_bytes(), &settings, Some(&ready.secrets))
}

/// Lock first, directory after: of starts at the same moment one makes a run, and the others say which.
fn begin(
    host: &dyn Host,
    plan: &Plan,
    seen: &BTreeSet<String>,
    answers: &[u8],
    settings: &Settings,
    secrets: Option<&Secrets>,
) -> Outcome<RunDir> {
    let _starting = detach::lock_start(host)?;
    let running = detach::running(host);
    let all = runs::all(host, running.as_deref())?;
    let refused = |problem: Problem| Failure::new("start", problem.message).hint(problem.hint);
    if let Some(problem) = stopping(running.as_deref(), &all) {
        return Err(refused(problem));
    }
    if let Some(run) = all.iter().find(|run| !seen.contains(&run.dir.id)) {
        let why = format!("run {} was started meanwhile, and this plan was made for the host before it", run.dir.id);
        return Err(Failure::new("start", why).hint("`bringup history` shows how it ended; then start again"));
    }
    runs::clear_unbegun(host)?;
    // Of a rollback that was killed at its very end.
    runs::forget_images(host, &all)?;
    let dir = RunDir::prepare(host, plan)?;
    dir.write(host, "answers.yaml", answers)?;
    dir.keep_settings(host, settings)?;
    if let Some(secrets) = secrets {
        let of = plan.application();
        secret_store::set_aside(host, &dir, &of, &secret_store::load(host, &of))?;
        secret_store::save(host, &of, secrets)?;
    }
    detach::keep_program(host, &dir)?;
    detach::start(host, &dir, &[])?;
    detach::await_begun(host, &dir);
    Ok(dir)
}

/// What asking again for a certificate came to.
#[derive(Debug)]
pub enum Again {
    /// It is there.
    NothingToDo,
    /// This run asks for it.
    Started(RunDir),
}

/// Whether a plan has a certificate issued.
pub fn asks_an_authority(plan: &Plan) -> bool {
    plan.actions.iter().any(|planned| matches!(planned.action, Action::Acme(_)))
}

/// Starts a run that does nothing of an earlier one's plan but ask for its certificates, and fails without them; the
/// proofs are all tried. `all` are the runs of this host.
pub fn again(host: &dyn Host, all: &[Run], earlier: &Run) -> Result<Again, Vec<Problem>> {
    if let Some(problem) = runs::standing(all).find_map(in_the_way) {
        return Err(vec![problem]);
    }
    let refuse = |failure: &Failure| vec![Problem::in_step("", failure)];
    let plan = only_certificates(earlier.dir.plan(host).map_err(|e| refuse(&e))?);
    let secrets = secret_store::load(host, &plan.application());
    let verdicts = preview(host, &plan, &secrets, GuideChecks::Run);
    let failed = verdicts.iter().filter_map(|(id, verdict)| Some(Problem::in_step(id, verdict.as_ref().err()?)));
    let mut problems: Vec<Problem> = failed.collect();
    problems.extend(running::broken_servers(host, &plan, &verdicts, running::Tests::All));
    if !problems.is_empty() {
        return Err(problems);
    }
    if verdicts.iter().all(|(_, verdict)| matches!(verdict, Ok(Verdict::Unchanged))) {
        return Ok(Again::NothingToDo);
    }
    let started = || {
        let answers = earlier.dir.file("answers.yaml");
        let recorded = host.read(&answers).map_err(|e| Failure::new(format!("read {}", answers.display()), e))?;
        let guide = earlier.dir.settings(host)?.guide;
        let seen = all.iter().map(|run| run.dir.id.clone()).collect();
        let settings = Settings { on_failure: OnFailure::Rollback, guide };
        begin(host, &plan, &seen, &recorded, &settings, None)
    };
    started().map(Again::Started).map_err(|e: Failure| refuse(&e))
}

/// The plan without its other actions, and without leave to go on self-signed.
fn only_certificates(mut plan: Plan) -> Plan {
    plan.actions.retain_mut(|planned| match &mut planned.action {
        Action::Acme(acme) => {
            acme.on_failure = acme::OnFailure::Fail;
            true
        }
        _ => false,
    });
    plan
}

/// Hands other answers to a run that waits for a decision. `number` is the question that was shown
/// ([`Waiting::number`](decision::Waiting::number)). Facts that were found before the run give the plan that a fresh
/// run would have: those of now tell of the run's own work.
pub fn replan(
    host: &dyn Host,
    dir: &RunDir,
    number: usize,
    guide: &Guide,
    resolved: &Resolved,
    plan: &Plan,
) -> Result<(), Vec<Problem>> {
    let refuse = |failure: &Failure| vec![Problem::in_step("", failure)];
    let kept = secret_store::load(host, &plan.application());
    let secrets = secret_store::gather(host, &kept, &resolved.secrets, &plan.secret_patterns)?;
    let verdicts = preview(host, plan, &secrets, GuideChecks::Run);
    let runs = runs::all(host, Some(&dir.id)).map_err(|e| refuse(&e))?;
    let owned = ownership::problems(host, plan, &runs, &verdicts, &BTreeSet::new(), Some(&dir.id));
    if !owned.is_empty() {
        return Err(owned);
    }
    beforehand(host, plan, &secrets)?;
    let answers = file::write(guide, resolved, OnFailure::Ask).map_err(|e| refuse(&e))?;
    let decision = Decision::Replan(Box::new(Replan { plan: plan.clone(), answers }));
    decision::expect(host, dir, number, decision.choice()).map_err(|e| refuse(&e))?;
    // The run may still decide otherwise, and then needs those of its present plan.
    let of = plan.application();
    if !dir.plan(host).is_ok_and(|present| present.application().is_same(&of)) {
        secret_store::set_aside(host, dir, &of, &kept).map_err(|e| refuse(&e))?;
    }
    let mut all = kept;
    for (name, value) in secrets.iter() {
        all.insert(name, value.clone());
    }
    secret_store::save_for_run(host, &of, &all).map_err(|e| refuse(&e))?;
    decision::send(host, dir, number, &decision).map_err(|e| refuse(&e))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;
    use crate::answers::Origin;
    use crate::engine::decision::{Choice, Waiting};
    use crate::engine::journal::Record;
    use crate::facts::Facts;
    use crate::host::Stamp;
    use crate::host::fake::{Cut, FakeHost, output};
    use crate::plan::Planned;
    use crate::plan::build::build;
    use crate::secret::{Secret, mark};

    const STAGE: &str = "id: a\ntitle: A\nwhy: because\nquestions:\n  - {id: key, ask: k?, type: secret, help: h}\n\
                         actions:\n  - {id: conf, reason: settings, file: {path: /etc/x, content: 'key={{ a.key }}', mode: '0600'}}\n";

    fn made() -> (Guide, Resolved, Plan) {
        let guide = Guide {
            id: "t".into(),
            title: "T".into(),
            summary: "S".into(),
            stages: vec![crate::yaml::from_slice("a.yaml", STAGE.as_bytes()).unwrap()],
            ..Guide::default()
        };
        let mut resolved = Resolved { stages: vec!["a".into()], ..Resolved::default() };
        resolved.values.insert("a".into(), [("key".to_owned(), json!(mark("a.key")))].into());
        resolved.origins.insert("a.key".into(), Origin::Typed);
        resolved.secrets.insert("a.key".into(), SecretSource::Literal("typed-by-hand".into()));
        let plan = build(&guide, &Facts::default(), &resolved).unwrap();
        (guide, resolved, plan)
    }

    fn told(problems: Result<Checked, Vec<Problem>>) -> String {
        problems.unwrap_err().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn asking_again_for_a_certificate_does_nothing_else_and_fails_without_it() {
        let (_, _, mut plan) = made();
        assert!(!asks_an_authority(&plan));
        let acme = json!({
            "name": "app.example.org", "directory": "https://ca.example.org/dir", "webroot": "/var/www/acme",
            "certificate": "/etc/ssl/a.pem", "key": "/etc/ssl/a.key", "reload": ["nginx.service"],
        });
        let first = plan.actions[0].clone();
        plan.actions.push(Planned {
            id: "tls.acme".into(),
            action: Action::Acme(serde_json::from_value(acme).unwrap()),
            ..first
        });
        assert!(asks_an_authority(&plan));
        let again = only_certificates(plan);
        let [Planned { action: Action::Acme(acme), .. }] = again.actions.as_slice() else { panic!("{again:?}") };
        assert_eq!(acme.on_failure, acme::OnFailure::Fail);
    }

    #[test]
    fn what_is_checked_before_a_run_changes_nothing() {
        let (_, resolved, plan) = made();
        let host = FakeHost::new();
        let Ok(Checked::Go(ready)) = check(&host, &plan, &resolved.secrets) else { panic!("it can start") };
        assert_eq!(ready.secrets.get("a.key").unwrap().expose(), "typed-by-hand");
        host.put_file("/etc/x", "key=typed-by-hand", 0o600);
        assert!(matches!(check(&host, &plan, &resolved.secrets), Ok(Checked::NothingToDo { proven: true })));
        assert!(host.calls().iter().all(|call| !call.changes));
    }

    #[test]
    fn a_generated_secret_stays_until_it_is_rotated_and_a_rollback_gives_it_back() {
        let (_, mut resolved, mut plan) = made();
        // The test has written it in the place of an earlier run.
        if let Action::File(file) = &mut plan.actions[0].action {
            file.may_exist = true;
        }
        resolved.secrets.insert("a.key".into(), SecretSource::Generate(60));
        let host = FakeHost::new();
        let mut by_hand = Secrets::default();
        by_hand.insert("a.key", Secret::new("by-hand"));
        secret_store::save(&host, &plan.application(), &by_hand).unwrap();
        host.put_file("/etc/x", "key=by-hand", 0o600);
        // What was given stays, and this is said.
        assert!(matches!(check(&host, &plan, &resolved.secrets), Ok(Checked::NothingToDo { proven: true })));
        let notes = secret_store::notes(&by_hand, &resolved.secrets);
        assert!(notes[0].starts_with("a.key: the secret from before stays") && notes.len() == 1, "{notes:?}");
        assert!(notes[0].ends_with("--rotate a.key replaces it"), "{notes:?}");
        // Rotated, everything that holds it changes.
        let names = BTreeSet::from(["a.key".to_owned()]);
        let Ok(Checked::Go(new)) = check_rotating(&host, &plan, &resolved.secrets, &names) else {
            panic!("it changes")
        };
        let new = new.secrets;
        assert_eq!(new.get("a.key").unwrap().expose().len(), 60);
        assert_eq!(secret_store::notes(&new, &resolved.secrets), Vec::<String>::new());
        // The run that does it knows the way back.
        RunDir::create(&host, &plan).unwrap();
        let (dir, mut journal) = RunDir::create(&host, &plan).unwrap();
        let of = plan.application();
        secret_store::set_aside(&host, &dir, &of, &by_hand).unwrap();
        secret_store::save(&host, &of, &new).unwrap();
        assert_eq!(secret_store::load(&host, &of), new);
        assert_eq!(host.stat(&dir.file("secrets-before.t.json")).unwrap().unwrap().meta.mode & 0o777, 0o600);
        journal.write(&host, Record::RolledBack { stage: None, kept: 0, waits: Vec::new() }).unwrap();
        let all = runs::all(&host, None).unwrap();
        secret_store::give_back(&host, &dir, "t", &all).unwrap();
        assert_eq!(secret_store::load(&host, &of), by_hand);
        assert!(host.stat(&dir.file("secrets-before.t.json")).unwrap().is_none());
        secret_store::give_back(&host, &dir, "t", &all).unwrap();
        assert_eq!(secret_store::load(&host, &of), by_hand, "once more changes nothing");
    }

    #[test]
    fn what_a_proof_finds_wrong_beforehand_refuses_the_plan() {
        let (_, resolved, mut plan) = made();
        let proof = |preflight: bool| {
            let proof = json!({
                "id": "a.version", "stage": "a", "describe": "it is new enough", "command":
                {"describe": "it is new enough", "run": ["newer"], "preflight": preflight, "hint": "get another"},
            });
            serde_json::from_value(proof).unwrap()
        };
        let host = FakeHost::new();
        host.on(&["newer"], |_, _| output(1, "", "looking\nit is 3.11\n"));
        plan.proofs.push(proof(false));
        assert!(matches!(check(&host, &plan, &resolved.secrets), Ok(Checked::Go(_))));
        plan.proofs.push(proof(true));
        let refused = told(check(&host, &plan, &resolved.secrets));
        assert!(refused.contains("it is new enough") && refused.contains("status 1: it is 3.11"), "{refused}");
        assert!(refused.contains("get another"), "{refused}");
    }

    #[test]
    fn a_run_that_was_interrupted_and_a_missing_right_stand_in_the_way() {
        let (_, resolved, plan) = made();
        let user = FakeHost::new().as_user(1000);
        assert!(told(check(&user, &plan, &resolved.secrets)).contains("needs root"));
        let host = FakeHost::new();
        let (dir, _) = RunDir::create(&host, &plan).unwrap();
        let refused = told(check(&host, &plan, &resolved.secrets));
        assert!(refused.contains(&format!("run {} was interrupted", dir.id)), "{refused}");
        host.put_file("/var/lib/bringup/running", &dir.id, 0o644);
        host.put_file("/var/lib/bringup/lock", "", 0o600);
        host.lock_elsewhere("/var/lib/bringup/lock", true);
        assert!(told(check(&host, &plan, &resolved.secrets)).contains("is working"));
    }

    fn ready(host: &FakeHost, resolved: &Resolved, plan: &Plan) -> Ready {
        let Ok(Checked::Go(ready)) = check(host, plan, &resolved.secrets) else { panic!("it can start") };
        ready
    }

    /// Where the run's process is started, it begins to work.
    fn begins(host: &FakeHost, working: bool) {
        host.on(&["systemd-run"], move |host, command| {
            let id = command.argv.last().unwrap();
            host.put_file("/var/lib/bringup/running", id, 0o644);
            host.put_file("/var/lib/bringup/lock", "", 0o600);
            host.lock_elsewhere("/var/lib/bringup/lock", working);
            host.put_file(format!("/var/lib/bringup/runs/{id}/events.jsonl"), "{}\n", 0o600);
            output(0, "", "")
        });
    }

    fn directories(host: &FakeHost) -> usize {
        host.list("/var/lib/bringup/runs".as_ref()).map_or(0, |names| names.len())
    }

    #[test]
    fn of_starts_at_once_one_makes_a_run_and_the_others_say_which() {
        let (guide, resolved, plan) = made();
        let host = FakeHost::new().in_real_time();
        host.put_file("/proc/self/exe", "program", 0o755);
        begins(&host, true);
        let all: Vec<Ready> = (0..50).map(|_| ready(&host, &resolved, &plan)).collect();
        let ended: Vec<Outcome<RunDir>> = std::thread::scope(|scope| {
            let start = |ready| {
                let (host, guide, resolved, plan) = (&host, &guide, &resolved, &plan);
                scope.spawn(move || start(host, guide, resolved, plan, OnFailure::Rollback, ready))
            };
            let started: Vec<_> = all.iter().map(start).collect();
            started.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert_eq!(directories(&host), 1);
        let [dir] = ended.iter().filter_map(|one| one.as_ref().ok()).collect::<Vec<_>>()[..] else { panic!() };
        for lost in ended.iter().filter_map(|one| one.as_ref().err()) {
            assert_eq!(lost.why, format!("run {} is working on this host", dir.id));
        }
        // It has ended before a slow start comes to its turn.
        host.lock_elsewhere("/var/lib/bringup/lock", false);
        let mut journal = dir.begin(&host).unwrap();
        let exit = crate::error::Exit::Done;
        journal.write(&host, Record::Finished { exit, data: BTreeMap::default() }).unwrap();
        let late = start(&host, &guide, &resolved, &plan, OnFailure::Rollback, &all[7]).unwrap_err();
        assert!(late.why.starts_with(&format!("run {} was started meanwhile", dir.id)), "{late}");
        assert_eq!(directories(&host), 1);
    }

    #[test]
    fn a_start_that_was_killed_before_its_process_began_leaves_no_run() {
        let (guide, resolved, plan) = made();
        for cut in 1..25 {
            let host = FakeHost::new();
            host.put_file("/proc/self/exe", "program", 0o755);
            begins(&host, true);
            let ready = ready(&host, &resolved, &plan);
            host.kill_after(cut, Cut::Before);
            let started = start(&host, &guide, &resolved, &plan, OnFailure::Rollback, &ready).is_ok();
            host.revive();
            assert!(started || runs::all(&host, None).unwrap().is_empty(), "killed at {cut}");
            if started {
                assert!(cut > 10);
                continue;
            }
            host.lock_elsewhere("/var/lib/bringup/lock", false);
            assert!(matches!(check(&host, &plan, &resolved.secrets), Ok(Checked::Go(_))), "killed at {cut}");
            // What is left of it goes with a later start.
            host.sleep(std::time::Duration::from_hours(2));
            start(&host, &guide, &resolved, &plan, OnFailure::Rollback, &ready).unwrap();
            assert_eq!(directories(&host), 1, "killed at {cut}");
        }
    }

    #[test]
    fn other_answers_reach_a_run_that_asks_with_the_secrets_of_both_plans() {
        let (guide, resolved, plan) = made();
        let host = FakeHost::new();
        let (dir, _) = RunDir::create(&host, &plan).unwrap();
        let mut before = Secrets::default();
        before.insert("b.old", Secret::new("old-secret"));
        secret_store::save(&host, &plan.application(), &before).unwrap();

        let refused = replan(&host, &dir, 7, &guide, &resolved, &plan).unwrap_err();
        assert!(refused[0].message.contains("does not wait"), "{refused:?}");
        assert!(
            secret_store::load(&host, &plan.application()).get("a.key").is_none(),
            "what nobody asked for is not kept"
        );

        let question = Waiting {
            number: 7,
            step: "a.conf".into(),
            stage: "a".into(),
            choices: vec![Choice::Replan],
            retry_from: "a.conf".into(),
            skip: None,
            changed: 0,
            since: Stamp::default(),
        };
        decision::ask(&host, &dir, &question).unwrap();
        replan(&host, &dir, 7, &guide, &resolved, &plan).unwrap();
        let written = host.text(dir.file("decision.json")).unwrap();
        assert!(!written.contains("typed-by-hand"), "{written}");
        let Some(Decision::Replan(new)) = decision::take(&host, &dir, &question) else { panic!("it was sent") };
        assert_eq!(new.plan, plan);
        assert!(
            new.answers.contains("on_failure: rollback") && new.answers.contains("BRINGUP_A_KEY"),
            "{}",
            new.answers
        );
        let kept = secret_store::load(&host, &plan.application());
        assert_eq!(kept.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["a.key", "b.old"]);
    }
}
