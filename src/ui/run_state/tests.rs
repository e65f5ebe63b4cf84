#![allow(clippy::unwrap_used)]

use super::StepState::{Done, Unchanged};
use super::recorded::{at, decided, failure, gone_wrong, recorded, started, waiting};
use super::*;

fn after(events: &[Event]) -> RunState {
    let mut running = RunState::default();
    for event in events {
        running.take_in(event);
    }
    running
}

fn counted(state: &RunState) -> (usize, usize) {
    let Count { over, all, .. } = state.count();
    (over, all)
}

fn states(running: &RunState) -> Vec<StepState> {
    running.steps.iter().map(|step| step.state).collect()
}

#[test]
fn a_run_that_goes_well_is_told_step_by_step() {
    let events = recorded();
    let running = after(&events[..4]);
    assert_eq!(running.current().unwrap().id, "packages");
    assert_eq!(running.meter.share, Some(0.615));
    assert_eq!(running.count(), Count { over: 0, all: 3, unit: "actions" });
    assert!(running.works());
    let running = after(&events);
    assert_eq!(states(&running), [Done, Unchanged, Done, Done, Done]);
    assert_eq!(running.phase, Phase::Ended(Exit::Done));
    assert!(!running.works() && running.steps[4].evidence.as_deref() == Some("written and read in PostgreSQL 15.8"));
    let groups = running.groups();
    assert_eq!(
        groups.iter().map(|group| group.id).collect::<Vec<_>>(),
        ["packages", "application", "database", PROOFS]
    );
    assert_eq!((groups[0].millis(), groups[3].over(), groups[1].state()), (23_140, 2, Unchanged));
}

#[test]
fn the_way_back_is_counted_by_changes_and_keeps_its_own_failures_apart() {
    let events = gone_wrong();
    let mut running = after(&events[..13]);
    assert_eq!((running.phase.clone(), counted(&running)), (Phase::Back, (1, 3)));
    running
        .take_in(&at(EventKind::Failed { step: "packages".to_owned(), failure: Failure::new("purge nginx", "busy") }));
    assert_eq!(running.failure().unwrap().0, "database.role");
    assert_eq!(running.other_failures().count(), 1);
    let running = after(&events);
    assert_eq!(states(&running)[..3], [StepState::Undone; 3]);
    assert_eq!(states(&running)[3..], [StepState::Pending; 2]);
    assert_eq!((running.kept.len(), running.dumped.len()), (1, 1));
}

#[test]
fn a_rollback_asked_for_later_tells_its_steps_as_they_come() {
    let running = after(&gone_wrong()[8..]);
    assert!(running.title.is_empty() && running.rolling_back);
    let ids: Vec<&str> = running.steps.iter().map(|step| step.id.as_str()).collect();
    assert_eq!(ids, ["database.role", "application.user", "packages"]);
}

#[test]
fn what_nobody_told_the_end_of_is_pending_again_when_the_run_goes_on() {
    let mut running = after(&recorded()[..3]);
    running.take_in(&at(started()));
    assert_eq!(states(&running), [StepState::Pending; 5]);
    assert_eq!(running.meter, Meter::default());
}

#[test]
fn five_thousand_lines_and_more_stay_bounded() {
    let mut running = after(&recorded()[..2]);
    for n in 0..20_000 {
        let progress = Progress::Output(format!("line {n} {}", "x".repeat(2_000)));
        running.take_in(&at(EventKind::ActionProgress { action: "packages".to_owned(), progress }));
    }
    assert_eq!(running.output.len(), 5_000);
    assert_eq!(running.output.all().map(|line| line.text.len()).max(), Some(500));
}

#[test]
fn what_waits_for_somebody_is_told_with_the_time_left_until_it_goes_on() {
    let mut running = after(&recorded()[..2]);
    for left in [60, 59] {
        let note = "log in by SSH once more".to_owned();
        let progress = Progress::Deadline { at: Stamp { sec: 1, nsec: 0 }, left, note };
        running.take_in(&at(EventKind::ActionProgress { action: "packages".to_owned(), progress }));
    }
    assert_eq!((running.meter.waits, running.meter.says.as_str()), (true, "59 s left: log in by SSH once more"));
    assert_eq!(running.output.len(), 1, "said once among what the step said");
    let progress = Progress::Note("enable the service".to_owned());
    running.take_in(&at(EventKind::ActionProgress { action: "packages".to_owned(), progress }));
    assert!(!running.meter.waits);
}

#[test]
fn steps_are_counted_once_and_the_way_back_anew() {
    let mut state = RunState::default();
    let events = gone_wrong();
    for event in &events[..8] {
        state.take_in(event);
    }
    assert_eq!((counted(&state), state.rolling_back), ((3, 3), false));
    for event in &events[8..] {
        state.take_in(event);
    }
    assert_eq!((counted(&state), state.rolling_back), ((3, 3), true));
}

#[test]
fn after_a_decision_it_goes_forward_again() {
    let mut state = RunState::default();
    let mut seen = Vec::new();
    for event in decided() {
        state.take_in(&event);
        if matches!(event.what, EventKind::Undone { .. } | EventKind::Decided { .. } | EventKind::Skipped { .. }) {
            seen.push((counted(&state), state.rolling_back));
        }
    }
    let [forward, back] = [((2, 3), false), ((1, 1), true)];
    assert_eq!(seen, [((3, 3), false), back, back, forward, ((3, 3), false), ((3, 3), false)]);
    assert_eq!(counted(&state), (2, 2));
}

#[test]
fn a_step_is_known_by_its_description_and_place() {
    let mut state = RunState::default();
    state.take_in(&at(started()));
    assert_eq!(state.describe_of("application.user"), "create the system user webapp");
    assert_eq!(state.place("tls.page"), "[proof 1/2] ");
    assert_eq!((state.describe_of("rollback"), state.place("rollback").as_str()), ("rollback", ""));
    assert_eq!(state.id_width(), "application.user".len());
}

/// What somebody may decide after a failure without ending the run, and what the engine tells then.
fn decides(choice: Choice, number: usize) -> Vec<EventKind> {
    let step = "database.role".to_owned();
    let fails = || EventKind::Failed { step: step.clone(), failure: failure() };
    let mut told = vec![EventKind::Decided { choice }];
    match choice {
        Choice::RollbackStage => {
            told.push(EventKind::RollbackStarted { run: "20261121-093015-webapp".to_owned(), records: 1 });
            told.push(EventKind::Undone { action: step, describe: "dropped the role webapp".to_owned() });
        }
        Choice::Replan => told.extend([started(), fails()]),
        _ => told.push(fails()),
    }
    told.push(EventKind::Waiting(waiting(number)));
    told
}

/// How it ends: what is told last, whether a rollback of the run is left incomplete, and the exit.
fn ends() -> Vec<(Vec<EventKind>, bool, Exit)> {
    let decided = |choice| EventKind::Decided { choice };
    let back = || EventKind::RollbackStarted { run: "20261121-093015-webapp".to_owned(), records: 3 };
    let undone = || EventKind::Undone { action: "packages".to_owned(), describe: "purged 12 packages".to_owned() };
    let stuck =
        || EventKind::Failed { step: "packages".to_owned(), failure: Failure::new("purge nginx", "dpkg is locked") };
    let ended = |exit| EventKind::RunEnded { exit, changed: 2 };
    vec![
        (vec![decided(Choice::Pause), ended(Exit::Incomplete)], false, Exit::Incomplete),
        (vec![decided(Choice::Rollback), back(), undone(), ended(Exit::RolledBack)], true, Exit::RolledBack),
        (vec![decided(Choice::Rollback), back(), stuck(), ended(Exit::Incomplete)], true, Exit::Incomplete),
    ]
}

/// Every order of up to three decisions before the last one.
fn orders() -> Vec<Vec<Choice>> {
    let choices = [Choice::Retry, Choice::Skip, Choice::Replan, Choice::RollbackStage];
    let mut all = vec![Vec::new()];
    let mut last = all.clone();
    for _ in 0..3 {
        let longer = |order: &Vec<Choice>| choices.map(|choice| [order.clone(), vec![choice]].concat()).to_vec();
        last = last.iter().flat_map(longer).collect();
        all.extend(last.clone());
    }
    all
}

#[test]
fn in_whatever_order_it_is_decided_every_renderer_tells_the_same_end() {
    let dir = crate::engine::runs::RunDir::of("20261121-093015-webapp");
    for order in orders() {
        for (end, back, exit) in ends() {
            let mut events = gone_wrong()[..8].to_vec();
            events.push(at(EventKind::Waiting(waiting(1))));
            for (number, choice) in order.iter().enumerate() {
                events.extend(decides(*choice, number + 2).into_iter().map(at));
            }
            events.extend(end.into_iter().map(at));
            let state = RunState::of(&events);
            assert_eq!(state.rolling_back, back, "{order:?}");
            let failure = state.failure().map(|(_, failure, _)| failure.what.clone());
            assert_eq!(failure.as_deref(), Some("create the role and the database webapp"), "{order:?}");
            let page = crate::ui::report::failed(crate::ui::Look::PLAIN, &dir, &state, exit);
            assert!(page.contains(messages::outcome(&state, exit)), "{order:?}: {page}");
            assert_eq!(page.contains("bringup resume"), exit == Exit::Incomplete && !back, "{order:?}: {page}");
            let expected = match exit {
                Exit::RolledBack => "rollback ended",
                _ if back => "rollback ended, incomplete",
                _ => "run ended, 2 changes in place",
            };
            assert_eq!(messages::run_ended(&state), expected, "{order:?}");
        }
    }
}

#[test]
fn a_run_counts_actions_and_its_result_the_changes_of_its_journal() {
    let events = recorded();
    let state = RunState::of(&events);
    assert_eq!(state.tally().to_string(), "2 changes, 1 unchanged");
    assert_eq!(state.tally().total(), "3 actions, 2 proofs");
    let unit = |events: &[Event]| RunState::of(events).count().unit;
    assert_eq!((unit(&events[..4]), unit(&events[..11])), ("actions", "proofs"));
    let place = |id: &str| state.place(id);
    assert_eq!((place("packages"), place("database.row")), ("[1/3] ".to_owned(), "[proof 2/2] ".to_owned()));
}
