#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;
use crate::engine::event::StepInfo;
use crate::plan::Plan;

/// A run on a test host: its plan and its events.
fn recorded(plan: &str, events: &str) -> (Plan, Vec<Event>) {
    (serde_json::from_str(plan).unwrap(), events.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

pub(in crate::ui) fn recordings() -> [(Plan, Vec<Event>); 2] {
    [
        recorded(
            include_str!("../../../tests/fixtures/runs/bookworm-quickstart/plan.json"),
            include_str!("../../../tests/fixtures/runs/bookworm-quickstart/events.jsonl"),
        ),
        recorded(
            include_str!("../../../tests/fixtures/runs/bookworm-mariadb-rabbitmq/plan.json"),
            include_str!("../../../tests/fixtures/runs/bookworm-mariadb-rabbitmq/events.jsonl"),
        ),
    ]
}

/// What was told at each event over what came, and the part of the events at which anything was told, while more
/// than `horizon` seconds were left.
fn judged(run: &(Plan, Vec<Event>), earlier: &[(Plan, Vec<Event>)], horizon: f64) -> (Vec<f64>, f64) {
    let (plan, events) = run;
    let end = events.last().unwrap().at;
    let mut estimate = Estimate::new(Expected::of(plan, earlier));
    let (mut ratios, mut asked) = (Vec::new(), 0.0);
    for event in events {
        estimate.take_in(event);
        let came = end.since(event.at).as_secs_f64();
        if came > horizon {
            asked += 1.0;
            ratios.extend(estimate.left(event.at).map(|told| told.as_secs_f64() / came));
        }
    }
    let told = float(ratios.len() as u64) / asked;
    (ratios, told)
}

#[test]
fn what_is_told_on_a_new_host_is_never_off_by_more_than_half_or_twice() {
    for run in recordings() {
        let (ratios, told) = judged(&run, &[], 5.0);
        assert!(ratios.iter().all(|ratio| (0.45..2.1).contains(ratio)), "{ratios:.2?}");
        assert!(told > 0.2, "{told}");
    }
}

#[test]
fn what_is_told_where_the_same_was_done_before_is_close() {
    for run in recordings() {
        let earlier = [run.clone()];
        let (ratios, told) = judged(&run, &earlier, 5.0);
        assert!(ratios.iter().all(|ratio| (0.8..1.4).contains(ratio)), "{ratios:.2?}");
        assert!(told > 0.6, "{told}");
    }
}

#[test]
fn an_earlier_run_of_something_else_helps_too() {
    let [small, large] = recordings();
    let (ratios, _) = judged(&large, &[small], 5.0);
    // A broker's start takes ten times as long as that of a web server.
    assert!(ratios.iter().all(|ratio| (0.35..2.1).contains(ratio)), "{ratios:.2?}");
}

/// A plan of these actions.
fn plan(actions: &[(&str, serde_json::Value)]) -> Plan {
    let mut plan = json!({
        "schema": 1, "guide": "t", "title": "T", "stages": [], "answers": [], "proofs": [], "results": [],
        "warnings": [], "actions": []
    });
    for (id, body) in actions {
        let mut action = json!({"id": id, "stage": "t", "because": "", "describe": "", "reversible": "yes"});
        action.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        plan["actions"].as_array_mut().unwrap().push(action);
    }
    serde_json::from_value(plan).unwrap()
}

fn service(id: &str) -> (&str, serde_json::Value) {
    (id, json!({"service": {"manager": "systemd", "name": id}}))
}

/// A run of these actions that goes on by hand.
struct Run {
    estimate: Estimate,
    now: Stamp,
}

impl Run {
    fn of(plan: &Plan, earlier: &[(Plan, Vec<Event>)]) -> Self {
        let mut run = Self { estimate: Estimate::new(Expected::of(plan, earlier)), now: Stamp { sec: 1_000, nsec: 0 } };
        run.tell(started(plan));
        run
    }

    fn tell(&mut self, what: EventKind) {
        self.estimate.take_in(&Event { at: self.now, what });
    }

    fn wait(&mut self, seconds: i64) {
        self.now.sec += seconds;
    }

    fn begin(&mut self, id: &str) {
        self.tell(EventKind::ActionStarted { action: id.to_owned() });
    }

    /// An action that takes so many seconds.
    fn act(&mut self, id: &str, seconds: i64) {
        self.begin(id);
        self.wait(seconds);
        self.tell(ended(id, Ended::Changed, seconds));
    }

    fn left(&self) -> Option<u64> {
        self.estimate.left(self.now).map(|left| left.as_secs())
    }
}

fn started(plan: &Plan) -> EventKind {
    let step = |id: &String| StepInfo { id: id.clone(), stage: String::new(), describe: String::new() };
    EventKind::RunStarted {
        run: "r".to_owned(),
        guide: "t".to_owned(),
        resumed: false,
        actions: plan.actions.iter().map(|planned| step(&planned.id)).collect(),
        proofs: Vec::new(),
    }
}

fn ended(id: &str, ended: Ended, seconds: i64) -> EventKind {
    EventKind::ActionEnded { action: id.to_owned(), ended, millis: u64::try_from(seconds * 1_000).unwrap() }
}

#[test]
fn nothing_is_told_before_this_run_has_confirmed_what_is_typical() {
    let mut run = Run::of(&plan(&["a", "b", "c", "d", "e"].map(service)), &[]);
    run.act("a", 1);
    assert_eq!(run.left(), None);
    run.act("b", 2);
    // Three services of 1.5 s, and the finish.
    assert_eq!(run.left(), Some(5));
}

#[test]
fn a_slow_host_is_believed_to_stay_slow() {
    let mut run = Run::of(&plan(&["a", "b", "c", "d", "e", "f"].map(service)), &[]);
    for id in ["a", "b", "c"] {
        run.act(id, 6);
    }
    // 18 s instead of 4.5: 4.5 s more are likely to be 12, not 18: three steps may be a whim.
    assert_eq!(run.left(), Some(13));
}

#[test]
fn what_was_so_already_tells_nothing_of_the_pace() {
    let mut run = Run::of(&plan(&["a", "b", "c", "d"].map(service)), &[]);
    for id in ["a", "b", "c"] {
        run.begin(id);
        run.tell(ended(id, Ended::Unchanged, 0));
    }
    assert_eq!(run.left(), None);
}

#[test]
fn a_step_that_depends_on_the_network_makes_the_rest_unknown_unless_it_was_made_here_before() {
    let clone = || {
        let from = json!({"source": {"path": "/opt/x", "from": "git", "location": "https://example.org/x"}});
        plan(&[service("a"), service("b"), ("clone", from)])
    };
    let mut run = Run::of(&clone(), &[]);
    run.act("a", 2);
    run.act("b", 2);
    assert_eq!(run.left(), None);

    let plan = clone();
    let at = |sec, what| Event { at: Stamp { sec, nsec: 0 }, what };
    let before = vec![at(0, started(&plan)), at(40, ended("clone", Ended::Changed, 40))];
    let mut run = Run::of(&plan, &[(plan.clone(), before)]);
    assert_eq!(run.left(), Some(43));
    run.begin("clone");
    run.wait(10);
    assert_eq!(run.left(), Some(33));
    // Long after it should have ended, nobody knows.
    run.wait(90);
    assert_eq!(run.left(), None);
}

#[test]
fn what_was_measured_on_the_way_back_is_no_measure() {
    let plan = plan(&[service("a"), service("b")]);
    let at = |sec, what| Event { at: Stamp { sec, nsec: 0 }, what };
    let before = vec![
        at(0, started(&plan)),
        at(9, ended("a", Ended::Changed, 9)),
        at(10, EventKind::RollbackStarted { run: "r".to_owned(), records: 1 }),
        at(99, ended("b", Ended::Changed, 99)),
    ];
    let expected = Expected::of(&plan, &[(plan.clone(), before)]);
    assert!((expected.step("a").unwrap().millis - 9_000.0).abs() < 0.1);
    // Of its kind, nine seconds were measured.
    let b = expected.step("b").unwrap();
    assert!(b.measured && (b.millis - 9_000.0).abs() < 0.1, "{b:?}");
}

#[test]
fn nothing_is_told_while_a_run_waits_goes_back_or_has_ended() {
    let (plan, events) = recordings()[0].clone();
    let earlier = [(plan.clone(), events.clone())];
    let mut run = Run::of(&plan, &earlier);
    assert!(run.left().is_some());
    run.tell(EventKind::Failed { step: "packages".to_owned(), failure: crate::error::Failure::new("x", "y") });
    assert_eq!(run.left(), None);
    run.tell(EventKind::Decided { choice: Choice::Retry });
    assert!(run.left().is_some());
    run.tell(EventKind::RollbackStarted { run: "r".to_owned(), records: 3 });
    assert_eq!(run.left(), None);
    run.tell(EventKind::Decided { choice: Choice::Rollback });
    assert_eq!(run.left(), None);
}

#[test]
fn a_download_tells_by_its_speed_and_the_packages_by_their_number() {
    let packages = json!({"packages": {"names": ["nginx"]}});
    let mut run = Run::of(&plan(&[("packages", packages)]), &[]);
    let progress = |percent, done, total, unit| EventKind::ActionProgress {
        action: "packages".to_owned(),
        progress: Progress::Percent { percent, note: String::new(), amount: Some(Amount { done, total, unit }) },
    };
    run.begin("packages");
    run.wait(3);
    run.tell(progress(0.0, 0, 20, Unit::Packages));
    run.tell(progress(0.0, 0, 60_000_000, Unit::Bytes));
    assert_eq!(run.left(), None);
    run.wait(10);
    run.tell(progress(13.0, 20_000_000, 60_000_000, Unit::Bytes));
    // 20 s for the rest of the download, 9 s for twenty packages.
    assert_eq!(run.left(), Some(29));
    run.wait(20);
    run.tell(progress(40.2, 0, 20, Unit::Packages));
    run.wait(5);
    // 60 % of dpkg's steps are 38 % of its time.
    run.tell(progress(76.0, 2, 20, Unit::Packages));
    assert!((7..12).contains(&run.left().unwrap()), "{:?}", run.left());
}
