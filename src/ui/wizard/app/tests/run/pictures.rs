//! Pictures of the run's page, to be looked at when they change.

use super::*;

/// The usual size and the smallest; larger ones are pictured of one state, [`in_the_middle`].
const SIZES: [(u16, u16); 2] = [(80, 24), (40, 12)];

fn pictures(name: &str, make: impl Fn((u16, u16)) -> App) {
    pictures_at(&SIZES, name, make);
}

fn pictures_at(sizes: &[(u16, u16)], name: &str, make: impl Fn((u16, u16)) -> App) {
    for &size in sizes {
        insta::assert_snapshot!(format!("run_{name}_{}x{}", size.0, size.1), screen(&make(size)));
    }
}

/// A number of events after the first one that begins this step.
fn until(step: &str, more: usize) -> Vec<Event> {
    let events = quickstart();
    let begins = |event: &Event| match &event.what {
        EventKind::ActionStarted { action } => action == step,
        EventKind::ProofStarted { proof } => proof == step,
        _ => false,
    };
    let at = events.iter().position(begins).unwrap();
    events[..=at + more].to_vec()
}

#[test]
fn at_work_on_packages() {
    pictures("packages", |size| told(size, &until("packages", 16)));
}

#[test]
fn in_the_middle() {
    let sizes = [(80, 24), (120, 40), (160, 40), (40, 12)];
    pictures_at(&sizes, "middle", |size| told(size, &until("services.app", 2)));
}

#[test]
fn waiting_for_a_decision() {
    pictures("failure", |size| told(size, &stuck()));
}

#[test]
fn a_stage_taken_back() {
    pictures("stage_back", |size| {
        let mut events = stuck();
        events.push(at(EventKind::Decided { choice: Choice::RollbackStage }));
        events.extend(gone_wrong()[8..11].to_vec());
        events.push(waiting(12, &[Choice::Retry, Choice::Replan, Choice::Rollback, Choice::Pause]));
        told(size, &events)
    });
}

#[test]
fn on_the_way_back() {
    pictures("back", |size| told(size, &gone_wrong()[..13]));
}

#[test]
fn taken_back() {
    pictures("rolled_back", |size| told(size, &gone_wrong()));
}

#[test]
fn done() {
    pictures("done", |size| told(size, &quickstart()));
}

#[test]
fn done_with_its_proofs() {
    let mut app = told((80, 24), &quickstart());
    app.views.entry(Route::Run).or_default().focus = Some(Focus::Stage("proofs".to_owned()));
    keys(&mut app, "Enter");
    insta::assert_snapshot!("run_proofs_80x24", screen(&app));
}

#[test]
fn credentials_shown() {
    let mut app = told((80, 24), &quickstart());
    app.model.run_view.as_mut().unwrap().folds.insert("details".to_owned(), true);
    app.views.entry(Route::Run).or_default().focus = Some(Focus::Step(SECRET.to_owned()));
    tell(&mut app, RunMsg::Secret(SECRET.to_owned(), Secret::new("RXk2vdpPcWhkAtL7cQvbEB8CCR3sGQEo")));
    insta::assert_snapshot!("run_credentials_80x24", screen(&app));
}

#[test]
fn leaving_it_running() {
    let mut app = told((80, 24), &until("packages", 16));
    keys(&mut app, "d");
    insta::assert_snapshot!("run_detach_80x24", screen(&app));
}

#[test]
fn what_was_changed_so_far() {
    let mut app = told((80, 24), &stuck());
    app.views.entry(Route::Run).or_default().focus = Some(Focus::Step("changes".to_owned()));
    keys(&mut app, "Enter");
    insta::assert_snapshot!("run_changes_80x24", screen(&app));
}

#[test]
fn gone_before_its_end() {
    let mut app = told((80, 24), &until("services.app", 2));
    tell(&mut app, RunMsg::Followed(Followed::Died));
    insta::assert_snapshot!("run_lost_80x24", screen(&app));
}

#[test]
fn in_ascii() {
    let mut app = attached((80, 24), false);
    tell(&mut app, RunMsg::Events(until("services.app", 2)));
    insta::assert_snapshot!("run_middle_80x24_ascii", screen(&app));
}
