#![allow(clippy::unwrap_used)]

use super::State::{AlreadySo, Done};
use super::*;
use crate::ui::track::tests::{at, gone_wrong, recorded, started};

fn after(events: &[Event]) -> Running {
    let mut running = Running::default();
    for event in events {
        running.take_in(event.clone());
    }
    running
}

fn states(running: &Running) -> Vec<State> {
    running.steps.iter().map(|step| step.state).collect()
}

#[test]
fn a_run_that_goes_well_is_told_step_by_step() {
    let events = recorded();
    let running = after(&events[..4]);
    assert_eq!(running.current().unwrap().id, "packages");
    assert_eq!(running.meter.share, Some(0.615));
    assert_eq!((running.count(), running.works()), ((0, 5), true));
    let running = after(&events);
    assert_eq!(states(&running), [Done, AlreadySo, Done, Done, Done]);
    assert_eq!(running.phase, Phase::Ended(Exit::Done));
    assert!(!running.works() && running.steps[4].evidence.as_deref() == Some("written and read in PostgreSQL 15.8"));
    let groups = running.groups();
    assert_eq!(
        groups.iter().map(|group| group.id).collect::<Vec<_>>(),
        ["packages", "application", "database", PROOFS]
    );
    assert_eq!((groups[0].millis(), groups[3].over(), groups[1].state()), (23_140, 2, AlreadySo));
}

#[test]
fn the_way_back_is_counted_by_changes_and_keeps_its_own_failures_apart() {
    let events = gone_wrong();
    let mut running = after(&events[..13]);
    assert_eq!((running.phase.clone(), running.count()), (Phase::Back, (1, 3)));
    running.take_in(at(What::Failed { step: "packages".to_owned(), failure: Failure::new("purge nginx", "busy") }));
    assert_eq!(running.failure().unwrap().0, "database.role");
    assert_eq!(running.back_failures().count(), 1);
    let running = after(&events);
    assert_eq!(states(&running)[..3], [State::Undone; 3]);
    assert_eq!(states(&running)[3..], [State::Pending; 2]);
    assert_eq!((running.kept.len(), running.dumped.len()), (1, 1));
}

#[test]
fn a_rollback_asked_for_later_tells_its_steps_as_they_come() {
    let running = after(&gone_wrong()[8..]);
    assert!(running.title.is_empty() && running.went_back);
    let ids: Vec<&str> = running.steps.iter().map(|step| step.id.as_str()).collect();
    assert_eq!(ids, ["database.role", "application.user", "packages"]);
}

#[test]
fn what_nobody_told_the_end_of_is_pending_again_when_the_run_goes_on() {
    let mut running = after(&recorded()[..3]);
    running.take_in(at(started()));
    assert_eq!(states(&running), [State::Pending; 5]);
    assert_eq!(running.meter, Meter::default());
}

#[test]
fn five_thousand_lines_and_more_stay_bounded() {
    let mut running = after(&recorded()[..2]);
    for n in 0..20_000 {
        let progress = Progress::Output(format!("line {n} {}", "x".repeat(2_000)));
        running.take_in(at(What::ActionProgress { action: "packages".to_owned(), progress }));
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
        running.take_in(at(What::ActionProgress { action: "packages".to_owned(), progress }));
    }
    assert_eq!((running.meter.waits, running.meter.says.as_str()), (true, "59 s left: log in by SSH once more"));
    assert_eq!(running.output.len(), 1, "said once among what the step said");
    let progress = Progress::Note("enable the service".to_owned());
    running.take_in(at(What::ActionProgress { action: "packages".to_owned(), progress }));
    assert!(!running.meter.waits);
}
