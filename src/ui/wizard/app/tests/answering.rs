//! Answering the questions of a stage.

use serde_json::json;

use super::stage::{at, facts, open};
use super::*;
use crate::answers::fixture::tiny;
use crate::guide::load;

const SIZE: (u16, u16) = (80, 24);

fn webapp() -> App {
    at(load::load("webapp").unwrap(), SIZE, true, &[])
}

fn stand(app: &mut App, path: &str) {
    let (stage, _) = path.split_once('.').unwrap();
    open(app, stage);
    let stop = app.doc.stops.iter().map(|(stop, _)| stop.clone()).find(|stop| stop.path() == Some(path)).unwrap();
    app.follow(Transition::Go(Route::Stage(stage.to_owned()), Some(stop)));
    app.settle();
}

fn write(app: &mut App, text: &str) {
    for c in text.chars() {
        app.key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE));
    }
}

fn code(app: &mut App, code: KeyCode) {
    app.key(KeyEvent::new(code, KeyModifiers::NONE));
}

fn control(app: &mut App, c: char) {
    app.key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL));
}

fn value(app: &App, path: &str) -> String {
    app.model.interview.as_ref().unwrap().text(path)
}

/// The row of the pointer on the screen.
fn pointer(app: &App) -> usize {
    app.focused_line().unwrap() - app.view().scroll
}

#[test]
fn enter_alone_leads_through_all_defaults() {
    let mut app = webapp();
    let mut presses = 0;
    while app.route != Route::Review {
        code(&mut app, KeyCode::Enter);
        presses += 1;
        assert!(presses < 50, "{}", screen(&app));
    }
    let interview = app.model.interview.as_ref().unwrap();
    assert_eq!((interview.gaps(), interview.given().values.len()), (vec![], 0));
}

#[test]
fn what_is_typed_is_judged_under_it_and_nothing_else_moves() {
    let mut app = webapp();
    stand(&mut app, "web.https_port");
    let before = screen(&app);
    write(&mut app, "0");
    let refused = screen(&app);
    assert!(refused.contains("✗ is out of range; allowed: 1 to 65535"), "{refused}");
    assert!(!refused.contains("to mend"), "it is being typed:\n{refused}");
    let changed = before.lines().zip(refused.lines()).filter(|(before, after)| before != after).count();
    assert!(changed <= 5, "the answer, its origin, its note, the rail and the keys:\n{refused}");
    code(&mut app, KeyCode::Backspace);
    assert_eq!(screen(&app), before, "an empty field is its default");
    write(&mut app, "0");
    code(&mut app, KeyCode::Tab);
    assert!(screen(&app).contains("✗ 1 to mend: Which port for https? 0 is out of range"), "{}", screen(&app));
}

#[test]
fn what_nobody_answered_yet_is_no_mistake() {
    let mut app = at(tiny(), SIZE, true, &[]);
    assert!(!screen(&app).contains('✗'), "{}", screen(&app));
    assert!(screen(&app).contains("1 to answer: Under which name?"), "{}", screen(&app));
    write(&mut app, "x y");
    assert!(screen(&app).contains('✗'), "{}", screen(&app));
    control(&mut app, 'u');
    assert!(!screen(&app).contains('✗'), "{}", screen(&app));
}

#[test]
fn questions_that_come_are_said_and_do_not_move_the_pointer() {
    let mut app = webapp();
    open(&mut app, "database");
    code(&mut app, KeyCode::Down);
    let row = pointer(&app);
    code(&mut app, KeyCode::Char(' '));
    assert_eq!((value(&app, "database.engine").as_str(), pointer(&app)), ("postgresql", row));
    assert!(screen(&app).contains("3 more questions"), "{}", screen(&app));
    assert!(screen(&app).contains("new, default"), "{}", screen(&app));
    code(&mut app, KeyCode::Up);
    code(&mut app, KeyCode::Char(' '));
    assert!(screen(&app).contains("3 questions fewer"), "{}", screen(&app));
    assert_eq!(value(&app, "database.engine"), "sqlite");
}

#[test]
fn a_choice_that_is_not_on_offer_says_why_and_cannot_be_taken() {
    let mut without = facts();
    without.init = "tini".to_owned();
    let mut app = webapp();
    app.tell(Msg::Facts(Box::new(without)));
    open(&mut app, "services");
    assert!(screen(&app).contains("not on offer here: built in"), "{}", screen(&app));
    code(&mut app, KeyCode::Up);
    code(&mut app, KeyCode::Enter);
    assert!(app.overlay.is_some());
    assert_eq!(value(&app, "services.manager"), "supervisor");
}

#[test]
fn a_typed_secret_is_seen_on_demand_only_and_a_generated_one_never() {
    let mut app = webapp();
    stand(&mut app, "application.proof_token");
    assert!(screen(&app).contains("32 random characters, made when the run starts"));
    assert!(!screen(&app).contains("^G") && !screen(&app).contains("^R"), "{}", screen(&app));
    write(&mut app, "hunter2");
    assert!(screen(&app).contains("•••••••") && !screen(&app).contains("hunter2"), "{}", screen(&app));
    control(&mut app, 'r');
    assert!(screen(&app).contains("hunter2"), "{}", screen(&app));
    code(&mut app, KeyCode::Tab);
    assert!(screen(&app).contains("typed, not shown"), "{}", screen(&app));
    code(&mut app, KeyCode::BackTab);
    assert!(!screen(&app).contains("hunter2"), "{}", screen(&app));
    control(&mut app, 'g');
    assert!(screen(&app).contains("32 random characters"), "{}", screen(&app));
    write(&mut app, "file:/root/token");
    assert!(screen(&app).contains("file:/root/token"), "where it lies is no secret:\n{}", screen(&app));
}

#[test]
fn a_question_mark_asks_where_it_cannot_be_an_answer() {
    let mut app = webapp();
    stand(&mut app, "web.http_port");
    write(&mut app, "?");
    assert!(app.overlay.is_some());
    code(&mut app, KeyCode::Esc);
    stand(&mut app, "application.name");
    write(&mut app, "?");
    assert!(app.overlay.is_none());
    assert_eq!(value(&app, "application.name"), "?");
    code(&mut app, KeyCode::F(1));
    let help = screen(&app);
    assert!(help.contains("It becomes the system user") && help.contains("application.name"), "{help}");
}

#[test]
fn entries_of_a_list_are_judged_one_by_one_and_can_be_pasted_as_lines() {
    let mut app = at(tiny(), SIZE, true, &[("web.host", "app.example.org")]);
    stand(&mut app, "web.aliases");
    app.paste("a.example.org\nb example\n");
    assert_eq!(value(&app, "web.aliases"), "a.example.org, b example");
    assert!(screen(&app).contains("✗ entry 2: 'b example' is not allowed"), "{}", screen(&app));
}

#[test]
fn wide_and_long_values_stay_on_their_line() {
    let mut app = at(tiny(), SIZE, true, &[("web.host", "app.example.org")]);
    stand(&mut app, "web.banner");
    app.paste("日本語のバナー");
    assert!(screen(&app).contains("日本語のバナー"), "{}", screen(&app));
    app.paste(&"long ".repeat(30));
    assert!(screen(&app).contains("…"), "{}", screen(&app));
    assert_eq!(value(&app, "web.banner").chars().count(), 157);
}

#[test]
fn numbers_move_by_keys_and_the_drawing_follows_and_warns() {
    let mut app = webapp();
    stand(&mut app, "workers.users");
    assert!(screen(&app).contains("20 users / 6 per worker = 4 wanted"));
    code(&mut app, KeyCode::Right);
    write(&mut app, "+");
    assert_eq!(value(&app, "workers.users"), "30");
    assert!(screen(&app).contains("30 users / 6 per worker = 5 wanted"), "{}", screen(&app));
    stand(&mut app, "workers.worker_mib");
    write(&mut app, "900");
    stand(&mut app, "workers.web");
    assert!(!screen(&app).contains("it would swap"), "{}", screen(&app));
    let mut presses = 0;
    while !screen(&app).contains("it would swap") {
        code(&mut app, KeyCode::Right);
        presses += 1;
        assert!(presses < 20, "{}", screen(&app));
    }
    assert_eq!(app.model.interview.as_ref().unwrap().resolved().locals["sizing"]["chosen"], json!(5));
    control(&mut app, 'd');
    assert_eq!(value(&app, "workers.web"), "4");
}

#[test]
fn pages_turn_with_the_pointer_and_everything_can_be_read() {
    let mut app = at(load::load("webapp").unwrap(), (40, 12), true, &[]);
    open(&mut app, "web");
    let mut seen = screen(&app);
    for _ in 0..10 {
        code(&mut app, KeyCode::PageDown);
        seen.push_str(&screen(&app));
    }
    for words in ["The web server is the only part", "Under which host name", "443", "[ Continue to Certificate ]"] {
        assert!(seen.contains(words), "{words}\n{seen}");
    }
    assert_eq!(app.view().focus, Some(Focus::Button("continue")));
    code(&mut app, KeyCode::Home);
    assert!(screen(&app).contains("The web server is the only part"), "{}", screen(&app));
}

#[test]
fn the_drawing_stays_while_a_number_is_refused() {
    let mut app = webapp();
    stand(&mut app, "workers.worker_mib");
    write(&mut app, "4");
    assert!(screen(&app).contains("no Python process is that small"), "{}", screen(&app));
    assert!(screen(&app).contains("Memory, 4,096 MiB  (before this change)"), "{}", screen(&app));
}

#[test]
fn on_a_small_screen_every_question_can_be_seen_under_the_pointer() {
    let opened = [("application.source", "git"), ("database.engine", "mariadb"), ("database.place", "remote")];
    let mut app = at(load::load("webapp").unwrap(), (40, 12), true, &opened);
    while let Route::Stage(stage) = app.route.clone() {
        for at in 0..app.doc.stops.len() {
            let (stop, lines) = app.doc.stops[at].clone();
            app.follow(Transition::Go(app.route.clone(), Some(stop.clone())));
            app.settle();
            let lines = app.doc.stops.get(at).map_or(lines, |(_, lines)| lines.clone());
            let (top, height) = (app.view().scroll, usize::from(app.layout().main.height));
            let seen =
                (top..top + height).contains(&lines.start) && (lines.end <= top + height || lines.len() > height);
            assert!(seen, "{stop:?}\n{}", screen(&app));
        }
        let next = app.model.beside(&Route::Stage(stage), true).unwrap();
        app.follow(Transition::Go(next, None));
        app.settle();
    }
}
