//! A run that fails asks, and every answer has its stated effect.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use bringup::answers::OnFailure;
use bringup::engine::decision::{self, Choice, Decision, Replan, Waiting};
use bringup::engine::event::{Ended, EventKind};
use bringup::engine::journal::Journal;
use bringup::engine::replan::recover;
use bringup::engine::run::{RunContext, Stop, execute};
use bringup::engine::runs::RunDir;
use bringup::engine::secret_store;
use bringup::error::Exit;
use bringup::host::Host;
use bringup::host::fake::{Cut, FakeHost};
use bringup::plan::{Application, Plan, PlannedProof};
use serde_json::{Value, json};

use super::{assert_same, back, fresh, newest, plan_of, planned, secrets, seen};

/// Something between the stages rests on something in each other stage.
fn shop(change: impl FnOnce(&mut Vec<(&'static str, Value)>)) -> Plan {
    let mut actions = vec![
        ("packages", json!({"packages": {"names": ["nginx", "postgresql"]}})),
        ("base.user", json!({"user": {"name": "shop", "home": "/var/lib/shop"}})),
        (
            "base.data",
            json!({"directory": {"path": "/var/lib/shop", "mode": "0750", "owner": "shop", "group": "shop", "user_data": true}}),
        ),
        (
            "base.conf",
            json!({"file": {"path": "/etc/shop/deep/shop.conf", "content": "pw = ⟦secret:db.password⟧\n", "mode": "0640", "group": "shop"}}),
        ),
        ("db.engine", json!({"service": {"manager": "systemd", "name": "postgresql.service"}})),
        ("db.database", json!({"database": {"engine": "postgresql", "name": "shop", "role": "shop"}})),
        ("web.site", json!({"file": {"path": "/etc/nginx/sites-available/shop", "content": "listen 80;\n"}})),
        (
            "web.edit",
            json!({"edit": {"path": "/etc/nginx/nginx.conf", "set": [{"key": "worker_processes", "value": "4;", "separator": " "}]}}),
        ),
        (
            "web.link",
            json!({"symlink": {"path": "/etc/nginx/sites-enabled/shop", "target": "../sites-available/shop"}}),
        ),
        ("web.default", json!({"remove": {"path": "/etc/nginx/sites-enabled/default"}})),
        (
            "web.nginx",
            json!({"service": {"manager": "systemd", "name": "nginx.service", "restart_after": ["web.site", "web.edit"], "test": ["nginx-test"]}}),
        ),
    ];
    change(&mut actions);
    plan_of(actions.into_iter().map(|(id, body)| planned(id, body)).collect())
}

fn as_it_was(_: &mut Vec<(&'static str, Value)>) {}

/// Sets one field of one action.
fn set(actions: &mut [(&'static str, Value)], id: &str, field: &str, value: Value) {
    let (_, body) = actions.iter_mut().find(|(known, _)| *known == id).unwrap();
    body.as_object_mut().unwrap().values_mut().next().unwrap()[field] = value;
}

/// Other packages, no database, another site: something gone, something changed, something new.
fn other_shop() -> Plan {
    shop(|actions| {
        actions.retain(|(id, _)| !id.starts_with("db."));
        set(actions, "packages", "names", json!(["nginx", "redis-server"]));
        set(actions, "base.conf", "content", json!("queue = redis\n"));
        set(actions, "base.conf", "mode", json!("0600"));
        set(actions, "web.site", "content", json!("listen 8080;\n"));
        set(actions, "web.edit", "set", json!([{"key": "user", "value": "shop;", "separator": " "}]));
        actions.insert(4, ("queue.conf", json!({"file": {"path": "/etc/shop/deep/queue.conf", "content": "1\n"}})));
    })
}

/// More packages, another site and one file more: nothing has to be taken back.
fn more_shop() -> Plan {
    shop(|actions| {
        set(actions, "packages", "names", json!(["htop", "nginx", "postgresql"]));
        set(actions, "web.site", "content", json!("listen 8080;\n"));
        set(actions, "web.nginx", "restart_after", json!(["web.site"]));
        actions.push(("after.motd", json!({"file": {"path": "/etc/motd", "content": "shop\n"}})));
    })
}

/// A machine where nginx refuses its configuration until [`repair`].
fn broken() -> FakeHost {
    let host = fresh();
    host.on(&["nginx-test"], |host, _| {
        let good = host.text("/repaired").is_some()
            || host.text("/etc/nginx/sites-available/shop").is_some_and(|site| site.contains("8080"));
        bringup::host::fake::output(i32::from(!good), "", "nginx: the configuration is bad")
    });
    secret_store::save(&host, &application(), &secrets()).unwrap();
    host
}

fn repair(host: &FakeHost) {
    host.put_file("/repaired", "", 0o644);
}

fn application() -> Application {
    Application { guide: "shop".to_owned(), ..Application::default() }
}

/// What an undisturbed run of this plan makes of the machine, and what it was before.
fn undisturbed(plan: &Plan) -> super::Snapshot {
    let host = broken();
    repair(&host);
    assert_eq!(attended(&host, plan, &|_, _| panic!("nothing fails")).0, Exit::Done);
    host.take_away("/repaired");
    seen(&host)
}

type Answerer<'a> = &'a (dyn Fn(&FakeHost, &Waiting) -> Option<Decision> + Sync);

/// Starts a run, or goes on with the one that is there, as its process does; `answer` is somebody who decides
/// as soon as asked, or turns the machine off. The events, too.
fn attended(host: &FakeHost, plan: &Plan, answer: Answerer<'_>) -> (Exit, Vec<EventKind>) {
    let (dir, mut journal) = match newest(host) {
        Some((dir, Ok(journal))) => (dir, journal),
        _ => match RunDir::create(host, plan) {
            Ok(made) => made,
            Err(_) => return (Exit::Incomplete, Vec::new()),
        },
    };
    let Ok(plan) = recover(host, &dir, &journal).and_then(|()| dir.plan(host)) else {
        return (Exit::Incomplete, Vec::new());
    };
    let kept = secret_store::load(host, &application());
    let events = Mutex::new(Vec::new());
    let off = AtomicUsize::new(0);
    let emit = |what: EventKind| {
        if let EventKind::Waiting(waiting) = &what {
            match answer(host, waiting) {
                Some(decision) => drop(decision::send(host, &dir, waiting.number, &decision)),
                None => drop(off.fetch_add(1, Ordering::Relaxed)),
            }
        }
        events.lock().unwrap().push(what);
    };
    // A process that was killed does not wait for ever.
    let stop = || (off.load(Ordering::Relaxed) > 0 || host.is_killed()).then_some(Stop::Pause);
    let context = RunContext {
        host,
        dir: &dir,
        plan: &plan,
        secrets: &kept,
        on_failure: OnFailure::Ask,
        emit: &emit,
        stop: &stop,
    };
    let exit = execute(&context, &mut journal);
    (exit, events.into_inner().unwrap())
}

fn journal(host: &FakeHost) -> (RunDir, Journal) {
    let (dir, journal) = newest(host).unwrap();
    (dir, journal.unwrap())
}

fn questions(events: &[EventKind]) -> Vec<&Waiting> {
    events.iter().filter_map(|what| if let EventKind::Waiting(waiting) = what { Some(waiting) } else { None }).collect()
}

fn started(events: &[EventKind]) -> Vec<&str> {
    events
        .iter()
        .filter_map(|what| if let EventKind::ActionStarted { action } = what { Some(action.as_str()) } else { None })
        .collect()
}

fn replan(plan: Plan) -> Decision {
    Decision::Replan(Box::new(Replan { plan, answers: "version: 1\n".to_owned() }))
}

/// Decides like this, one after the other.
fn in_turn(decisions: Vec<Decision>) -> impl Fn(&FakeHost, &Waiting) -> Option<Decision> + Sync {
    let at = AtomicUsize::new(0);
    move |_, _| decisions.get(at.fetch_add(1, Ordering::Relaxed)).cloned()
}

#[test]
fn tried_again_only_the_failed_step_is_repeated() {
    let plan = shop(as_it_was);
    let host = broken();
    let (exit, events) = attended(&host, &plan, &|host, waiting| {
        assert_eq!((waiting.step.as_str(), waiting.stage.as_str(), waiting.changed), ("web.nginx", "web", 11));
        assert_eq!(waiting.retry_from, "web.nginx");
        repair(host);
        Some(Decision::Retry)
    });
    assert_eq!(exit, Exit::Done);
    let at = events.iter().position(|what| matches!(what, EventKind::Waiting(_))).unwrap();
    assert!(
        matches!(&events[at - 1], EventKind::Failed { step, failure } if step == "web.nginx" && failure.log.is_some())
    );
    assert_eq!(events[at + 1], EventKind::Decided { choice: Choice::Retry });
    assert_eq!(started(&events[at..]), ["web.nginx"]);
    host.take_away("/repaired");
    assert_same("after the retry", &seen(&host), &undisturbed(&plan));
    back(&host).unwrap();
    assert_same("after the rollback", &seen(&host), &seen(&broken()));
}

#[test]
fn what_fails_again_is_asked_about_again() {
    let host = broken();
    let decisions = vec![Decision::Retry, Decision::Retry, Decision::Rollback];
    let (exit, events) = attended(&host, &shop(as_it_was), &in_turn(decisions));
    assert_eq!(exit, Exit::RolledBack);
    let numbers: Vec<usize> = questions(&events).iter().map(|waiting| waiting.number).collect();
    assert!(numbers.len() == 3 && numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    assert_same("after the rollback", &seen(&host), &seen(&broken()));
}

#[test]
fn a_stopped_run_goes_on_where_it_stopped() {
    let plan = shop(as_it_was);
    let host = broken();
    assert_eq!(attended(&host, &plan, &in_turn(vec![Decision::Pause])).0, Exit::Incomplete);
    let (dir, _) = journal(&host);
    assert_eq!(decision::waiting(&host, &dir), Ok(None));
    repair(&host);
    assert_eq!(attended(&host, &plan, &in_turn(Vec::new())).0, Exit::Done);
    host.take_away("/repaired");
    assert_same("after going on", &seen(&host), &undisturbed(&plan));
}

/// The shop with a proof of a port that nobody serves.
fn with_proof(skip_reason: Option<&str>) -> Plan {
    let mut plan = shop(as_it_was);
    let proof = json!({"ports": {"ports": [{"port": 9, "name": "discard", "on": "any"}]}});
    plan.proofs.push(PlannedProof {
        id: "web.discard".to_owned(),
        stage: "web".to_owned(),
        describe: "something discards".to_owned(),
        skip_reason: skip_reason.map(str::to_owned),
        proof: serde_json::from_value(proof).unwrap(),
    });
    plan
}

#[test]
fn what_the_guide_allows_to_skip_is_skipped_and_stays_so() {
    let host = broken();
    repair(&host);
    let (exit, events) = attended(&host, &with_proof(Some("nobody misses it")), &|_, waiting| {
        assert_eq!(waiting.skip.as_ref().unwrap().reason, "nobody misses it");
        Some(Decision::Skip)
    });
    assert_eq!(exit, Exit::Done);
    let skipped = EventKind::Skipped { step: "web.discard".to_owned(), reason: "nobody misses it".to_owned() };
    assert!(events.contains(&skipped), "{events:?}");
    assert_eq!(journal(&host).1.skipped().collect::<Vec<_>>(), ["web.discard"]);
    let (exit, again) = attended(&host, &shop(as_it_was), &in_turn(Vec::new()));
    assert!(exit == Exit::Done && again.contains(&skipped), "{again:?}");
}

#[test]
fn an_action_that_is_skipped_half_done_is_taken_back_with_the_rest() {
    let mut plan = shop(as_it_was);
    plan.actions.last_mut().unwrap().skip_reason = Some("somebody else starts it".to_owned());
    let host = broken();
    assert_eq!(attended(&host, &plan, &in_turn(vec![Decision::Skip])).0, Exit::Done);
    assert!(!host.is_running("nginx.service"));
    back(&host).unwrap();
    assert_same("after the rollback", &seen(&host), &seen(&broken()));
}

#[test]
fn what_may_not_be_skipped_is_not() {
    let host = broken();
    repair(&host);
    let asked = AtomicUsize::new(0);
    let (exit, events) = attended(&host, &with_proof(None), &|host, waiting| {
        asked.fetch_add(1, Ordering::Relaxed);
        assert!(waiting.skip.is_none() && !waiting.choices.contains(&Choice::Skip));
        let (dir, _) = journal(host);
        let refused = decision::send(host, &dir, waiting.number, &Decision::Skip).unwrap_err();
        assert!(refused.why.contains("does not allow it"), "{refused}");
        // Not even when somebody writes it by hand.
        let by_hand = format!("{{\"number\":{},\"decision\":\"skip\"}}", waiting.number);
        host.put_file(dir.file("decision.json"), by_hand, 0o600);
        None
    });
    assert_eq!((exit, asked.into_inner()), (Exit::Incomplete, 1));
    assert!(!events.iter().any(|what| matches!(what, EventKind::Decided { .. })), "{events:?}");
}

#[test]
fn a_stage_that_was_taken_back_begins_again_from_its_first_action() {
    let plan = shop(as_it_was);
    let host = broken();
    let (exit, events) = attended(&host, &plan, &|host, waiting| {
        if waiting.choices.contains(&Choice::RollbackStage) {
            assert!(host.text("/etc/nginx/sites-available/shop").is_some());
            return Some(Decision::RollbackStage);
        }
        // The stage is gone, the others stand.
        assert_eq!((waiting.changed, waiting.retry_from.as_str()), (6, "web.site"));
        assert_eq!(waiting.choices, [Choice::Retry, Choice::Replan, Choice::Rollback, Choice::Pause]);
        assert!(host.text("/etc/nginx/sites-available/shop").is_none());
        assert!(host.text("/etc/nginx/sites-enabled/default").is_some());
        assert!(host.has_database("postgresql", "shop"));
        repair(host);
        Some(Decision::Retry)
    });
    assert_eq!(exit, Exit::Done);
    let again = events.iter().rposition(|what| matches!(what, EventKind::Waiting(_))).unwrap();
    assert_eq!(started(&events[again..]), ["web.site", "web.edit", "web.link", "web.default", "web.nginx"]);
    assert!(journal(&host).1.stages_rolled_back.is_empty());
    host.take_away("/repaired");
    assert_same("after the stage was made again", &seen(&host), &undisturbed(&plan));
    back(&host).unwrap();
    assert_same("after the rollback", &seen(&host), &seen(&broken()));
}

#[test]
fn other_answers_end_like_a_fresh_run_of_them_and_lead_back_to_the_beginning() {
    let renamed = shop(|actions| {
        set(actions, "base.user", "name", json!("store"));
        set(actions, "base.data", "owner", json!("store"));
        set(actions, "base.data", "group", json!("store"));
        set(actions, "base.conf", "group", json!("store"));
        set(actions, "db.database", "role", json!("store"));
        set(actions, "web.site", "content", json!("listen 8080;\n"));
    });
    for (name, new) in [("other shop", other_shop()), ("renamed", renamed), ("more", more_shop())] {
        let host = broken();
        let (exit, events) = attended(&host, &shop(as_it_was), &in_turn(vec![replan(new.clone())]));
        assert_eq!(exit, Exit::Done, "{name}");
        assert_same(name, &seen(&host), &undisturbed(&new));
        let starts: Vec<bool> = events
            .iter()
            .filter_map(|what| if let EventKind::RunStarted { resumed, .. } = what { Some(*resumed) } else { None })
            .collect();
        assert_eq!(starts, [false, true], "{name}");
        let (dir, journal) = journal(&host);
        assert_eq!((dir.plan(&host).unwrap().hash(), &journal.plan), (new.hash(), &new.hash()), "{name}");
        assert_eq!(host.text(dir.file("answers.yaml")).as_deref(), Some("version: 1\n"), "{name}");
        assert_eq!(host.unknown_commands(), Vec::<String>::new());
        back(&host).unwrap();
        assert_same(name, &seen(&host), &seen(&broken()));
    }
}

#[test]
fn only_what_rests_on_a_changed_action_is_made_again() {
    let new = shop(|actions| set(actions, "web.site", "content", json!("listen 8080;\n")));
    let host = broken();
    let (_, events) = attended(&host, &shop(as_it_was), &in_turn(vec![replan(new)]));
    let at = events.iter().position(|what| matches!(what, EventKind::Waiting(_))).unwrap();
    let changed: Vec<&str> = events[at..]
        .iter()
        .filter_map(|what| match what {
            EventKind::ActionEnded { action, ended: Ended::Changed, .. } => Some(action.as_str()),
            _ => None,
        })
        .collect();
    // Whatever stood already counts as changed in this run; nothing was taken back.
    assert!(changed.contains(&"web.site") && changed.contains(&"web.nginx"), "{changed:?}");
    assert!(!events.iter().any(|what| matches!(what, EventKind::Undone { .. })), "{events:?}");
    assert_eq!(host.starts("postgresql.service"), 1);
}

#[test]
fn other_answers_can_fail_too_and_be_given_again() {
    let failing = shop(|actions| set(actions, "base.conf", "content", json!("failing\n")));
    let host = broken();
    let decisions = vec![replan(failing), Decision::Retry, replan(other_shop())];
    let (exit, events) = attended(&host, &shop(as_it_was), &in_turn(decisions));
    assert_eq!((exit, questions(&events).len()), (Exit::Done, 3));
    assert_same("after the third plan", &seen(&host), &undisturbed(&other_shop()));
    back(&host).unwrap();
    assert_same("after the rollback", &seen(&host), &seen(&broken()));
}

#[test]
fn answers_for_another_guide_are_refused_and_it_asks_again() {
    let mut foreign = other_shop();
    foreign.guide = "garden".to_owned();
    let host = broken();
    let (exit, events) = attended(&host, &shop(as_it_was), &in_turn(vec![replan(foreign), Decision::Rollback]));
    assert_eq!((exit, questions(&events).len()), (Exit::RolledBack, 2));
    let told = |what: &EventKind| matches!(what, EventKind::Failed { failure, .. } if failure.why.contains("garden"));
    assert!(events.iter().any(told), "{events:?}");
    assert_same("after the rollback", &seen(&host), &seen(&broken()));
}

#[test]
fn whoever_stops_a_run_that_waits_gets_everything_back() {
    let plan = shop(as_it_was);
    let host = broken();
    let (dir, mut journal) = RunDir::create(&host, &plan).unwrap();
    let kept = secrets();
    let waits = Mutex::new(false);
    let emit = |what: EventKind| *waits.lock().unwrap() |= matches!(what, EventKind::Waiting(_));
    let stop = || waits.lock().unwrap().then_some(Stop::Abort);
    let on_failure = OnFailure::Ask;
    let context =
        RunContext { host: &host, dir: &dir, plan: &plan, secrets: &kept, on_failure, emit: &emit, stop: &stop };
    assert_eq!(execute(&context, &mut journal), Exit::RolledBack);
    assert_same("after the stop", &seen(&host), &seen(&broken()));
}

#[test]
fn a_question_that_finds_no_room_is_asked_when_there_is_some() {
    let host = broken();
    let (dir, mut journal) = RunDir::create(&host, &shop(as_it_was)).unwrap();
    let (plan, kept) = (shop(as_it_was), secrets());
    let asked = AtomicUsize::new(0);
    let emit = |what: EventKind| match what {
        // The next changes are the journal's record of the failure and the question.
        EventKind::Failed { .. } => host.fail_after(2),
        EventKind::Waiting(waiting) => {
            asked.fetch_add(1, Ordering::Relaxed);
            decision::send(&host, &dir, waiting.number, &Decision::Pause).unwrap();
        }
        _ => {}
    };
    let (on_failure, stop) = (OnFailure::Ask, || None);
    let context =
        RunContext { host: &host, dir: &dir, plan: &plan, secrets: &kept, on_failure, emit: &emit, stop: &stop };
    assert_eq!(execute(&context, &mut journal), Exit::Incomplete);
    assert_eq!(asked.into_inner(), 1);
}

#[test]
fn killed_while_it_waits_a_run_tries_the_failed_step_again() {
    let plan = shop(as_it_was);
    let host = broken();
    let (exit, _) = attended(&host, &plan, &|host, waiting| {
        // Somebody decides in the last moment; nobody will have heard of it.
        let (dir, _) = journal(host);
        decision::send(host, &dir, waiting.number, &Decision::Rollback).unwrap();
        host.kill_after(1, Cut::Before);
        let _ = host.write("/nowhere".as_ref(), b"", bringup::host::Meta::root(0o600));
        None
    });
    assert_eq!((exit, host.is_killed()), (Exit::Incomplete, true));
    host.revive();
    repair(&host);
    let (exit, events) = attended(&host, &plan, &in_turn(Vec::new()));
    assert_eq!((exit, questions(&events).len()), (Exit::Done, 0));
    host.take_away("/repaired");
    assert_same("after going on", &seen(&host), &undisturbed(&plan));
}

#[test]
fn whatever_change_fails_after_other_answers_trying_again_ends_like_a_fresh_run() {
    let (new, before) = (other_shop(), seen(&broken()));
    let (end, mut asked_again) = (undisturbed(&new), 0);
    // The first change is the decision itself.
    for n in 2..140 {
        let host = broken();
        let asked = AtomicUsize::new(0);
        let (exit, _) = attended(&host, &shop(as_it_was), &|host, waiting| {
            // What failed on the way between two plans is no step of either.
            assert!(waiting.step != "bringup" || !waiting.choices.contains(&Choice::RollbackStage));
            let decision = if journal(host).1.plan == new.hash() { Decision::Retry } else { replan(new.clone()) };
            if asked.fetch_add(1, Ordering::Relaxed) == 0 {
                host.fail_after(n);
            }
            Some(decision)
        });
        assert_eq!(exit, Exit::Done, "failure at change {n}");
        asked_again += usize::from(asked.into_inner() > 1);
        assert_same(&format!("failure at change {n}"), &seen(&host), &end);
        back(&host).unwrap_or_else(|e| panic!("failure at change {n}: {e}"));
        assert_same(&format!("rolled back after a failure at change {n}"), &seen(&host), &before);
    }
    assert!(asked_again > 60, "only {asked_again} failures were asked about");
}

#[test]
fn killed_at_any_change_after_other_answers_a_resumed_run_ends_like_a_fresh_one_and_leads_back() {
    let before = seen(&broken());
    for (new, least) in [(other_shop(), 100), (more_shop(), 15)] {
        let end = undisturbed(&new);
        let whole = {
            let host = broken();
            let from = Mutex::new(0);
            let (exit, _) = attended(&host, &shop(as_it_was), &|host, _| {
                *from.lock().unwrap() = host.changes();
                Some(replan(new.clone()))
            });
            assert_eq!(exit, Exit::Done);
            host.changes() - from.into_inner().unwrap()
        };
        let (mut old_plan, mut new_plan) = (0, 0);
        // The first change is the decision itself.
        for n in 2..=whole {
            let cut = [Cut::Before, Cut::Halfway, Cut::After][usize::try_from(n).unwrap() % 3];
            let killed = || {
                let host = broken();
                attended(&host, &shop(as_it_was), &|host, _| {
                    host.kill_after(n, cut);
                    Some(replan(new.clone()))
                });
                host.revive();
                host
            };
            let host = killed();
            back(&host).unwrap_or_else(|e| panic!("killed at change {n}, {cut:?}: {e}"));
            assert_same(&format!("rolled back after a kill at change {n}, {cut:?}"), &seen(&host), &before);

            let host = killed();
            let (exit, events) = attended(&host, &new, &in_turn(vec![replan(new.clone())]));
            assert_eq!(exit, Exit::Done, "resumed after a kill at change {n}, {cut:?}");
            // Before the change of plans was written down the old one fails again; after it, nothing fails.
            *(if questions(&events).is_empty() { &mut new_plan } else { &mut old_plan }) += 1;
            assert_same(&format!("resumed after a kill at change {n}, {cut:?}"), &seen(&host), &end);
            let (dir, journal) = journal(&host);
            assert_eq!((dir.plan(&host).unwrap(), journal.plan), (new.clone(), new.hash()), "{n} {cut:?}");
            back(&host).unwrap_or_else(|e| panic!("resumed after a kill at change {n}, {cut:?}: {e}"));
            assert_same(&format!("rolled back after all, {n}, {cut:?}"), &seen(&host), &before);
        }
        assert!(old_plan > 3 && new_plan > least, "{old_plan} kills before the change of plans, {new_plan} after it");
    }
}
