#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use serde_json::json;

use super::checks::check_rotating;
use super::*;
use crate::answers::{Origin, SecretSource};
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
    assert!(notes[0].starts_with("a.key: the existing secret is kept") && notes.len() == 1, "{notes:?}");
    assert!(notes[0].ends_with("--rotate a.key replaces it"), "{notes:?}");
    // Rotated, everything that holds it changes.
    let names = BTreeSet::from(["a.key".to_owned()]);
    let Ok(Checked::Go(new)) = check_rotating(&host, &plan, &resolved.secrets, &names) else { panic!("it changes") };
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
    assert!(told(check(&host, &plan, &resolved.secrets)).contains("is in progress"));
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
        assert_eq!(lost.why, format!("run {} is in progress", dir.id));
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
    assert!(refused[0].message.contains("is not waiting"), "{refused:?}");
    assert!(secret_store::load(&host, &plan.application()).get("a.key").is_none(), "what nobody asked for is not kept");

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
    assert!(new.answers.contains("on_failure: rollback") && new.answers.contains("BRINGUP_A_KEY"), "{}", new.answers);
    let kept = secret_store::load(&host, &plan.application());
    assert_eq!(kept.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["a.key", "b.old"]);
}
