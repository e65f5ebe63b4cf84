//! Answering the questions of a stage.

use serde_json::json;

use super::stage::{at, facts, open};
use super::*;
use crate::answers::SecretSource;
use crate::answers::fixture::{map, table, tiny};
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

/// Nothing is pressed for a while.
fn pause(app: &mut App) {
    assert!(app.pause().is_some(), "nothing is waited for");
    app.paused(crate::host::Stamp { sec: 1_795_253_460, nsec: 0 });
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
    assert!(!refused.contains("to fix"), "it is being typed:\n{refused}");
    let row = pointer(&app) + 3;
    let text = |screen: &str, row: usize| screen.lines().nth(row).map(|line| line.chars().skip(21).collect::<String>());
    for above in 1..row - 1 {
        assert_eq!(text(&before, above), text(&refused, above), "row {above}\n{refused}");
    }
    assert!(text(&refused, row + 1).is_some_and(|line| line.contains("✗ is out of range")), "{refused}");
    assert_eq!(text(&refused, row + 2).map(|line| line.trim_matches([' ', '"']).is_empty()), Some(true), "{refused}");
    code(&mut app, KeyCode::Backspace);
    assert_eq!(screen(&app), before, "an empty field is its default");
    write(&mut app, "0");
    code(&mut app, KeyCode::Tab);
    assert!(screen(&app).contains("✗ 1 to fix: Which port for https? 0 is out of range"), "{}", screen(&app));
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
    assert!(screen(&app).contains("4 more questions"), "{}", screen(&app));
    assert!(screen(&app).contains("new, default"), "{}", screen(&app));
    code(&mut app, KeyCode::Up);
    code(&mut app, KeyCode::Char(' '));
    assert!(screen(&app).contains("4 fewer questions"), "{}", screen(&app));
    assert_eq!(value(&app, "database.engine"), "sqlite");
}

#[test]
fn a_choice_that_is_not_on_offer_says_why_and_cannot_be_taken() {
    let mut without = facts();
    without.init = "tini".to_owned();
    let mut app = webapp();
    app.tell(Msg::Facts(Box::new(without)));
    open(&mut app, "services");
    assert!(screen(&app).contains("not available here: built in"), "{}", screen(&app));
    code(&mut app, KeyCode::Up);
    code(&mut app, KeyCode::Enter);
    assert!(app.overlay.is_some());
    assert_eq!(value(&app, "services.manager"), "supervisor");
}

#[test]
fn a_typed_secret_is_seen_on_demand_only_and_a_generated_one_never() {
    let mut app = webapp();
    stand(&mut app, "application.proof_token");
    assert!(screen(&app).contains("32 random characters, generated when the run starts"));
    assert!(!screen(&app).contains("^Y") && !screen(&app).contains("^R"), "{}", screen(&app));
    write(&mut app, "hunter2");
    assert!(screen(&app).contains("•••••••") && !screen(&app).contains("hunter2"), "{}", screen(&app));
    control(&mut app, 'r');
    assert!(screen(&app).contains("hunter2"), "{}", screen(&app));
    code(&mut app, KeyCode::Tab);
    assert!(screen(&app).contains("typed, not shown"), "{}", screen(&app));
    code(&mut app, KeyCode::BackTab);
    assert!(!screen(&app).contains("hunter2"), "{}", screen(&app));
    control(&mut app, 'y');
    assert!(screen(&app).contains("32 random characters"), "{}", screen(&app));
    write(&mut app, "file:/root/token");
    assert!(screen(&app).contains("file:/root/token"), "where it lies is no secret:\n{}", screen(&app));
}

#[test]
fn help_and_the_list_of_pages_have_the_same_keys_in_a_field_and_beside_it() {
    let mut app = webapp();
    for path in ["application.name", "application.source", "web.http_port", "application.proof_token"] {
        stand(&mut app, path);
        let before = value(&app, path);
        let bottom = screen(&app).lines().nth_back(0).unwrap_or_default().to_owned();
        assert!(bottom.contains("^G help  ^T pages  ^C leave"), "{path}: {bottom}");
        control(&mut app, 'g');
        assert_eq!(app.overlay.as_ref().map(|(overlay, _)| overlay.title()), Some("Help"), "{path}");
        code(&mut app, KeyCode::Esc);
        control(&mut app, 't');
        assert_eq!(app.overlay.as_ref().map(|(overlay, _)| overlay.title()), Some("Pages"), "{path}");
        code(&mut app, KeyCode::Esc);
        assert_eq!(value(&app, path), before);
    }
}

#[test]
fn help_tells_every_key() {
    let mut app = webapp();
    let mut seen = String::new();
    control(&mut app, 'g');
    for _ in 0..8 {
        seen.push_str(&screen(&app));
        code(&mut app, KeyCode::PageDown);
    }
    for (_, rows) in keys::table(&app.model.theme) {
        for (_, does) in rows {
            assert!(seen.contains(does), "{does}\n{seen}");
        }
    }
}

#[test]
fn a_key_that_does_nothing_says_so_and_changes_nothing() {
    let mut app = webapp();
    open(&mut app, "database");
    let before = screen(&app);
    for (key, name) in [('g', "g"), ('?', "?"), ('q', "q"), ('é', "é")] {
        write(&mut app, &key.to_string());
        assert!(screen(&app).contains(&format!("{name} does nothing here")), "{}", screen(&app));
        assert!(app.overlay.is_none());
    }
    code(&mut app, KeyCode::F(9));
    assert!(screen(&app).contains("F9 does nothing here"), "{}", screen(&app));
    control(&mut app, 'k');
    assert!(screen(&app).contains("^K does nothing here"), "{}", screen(&app));
    code(&mut app, KeyCode::Tab);
    code(&mut app, KeyCode::BackTab);
    assert_eq!(screen(&app), before, "it is gone with the next key");
    app.paste("pasted");
    assert!(screen(&app).contains("There is no field here to paste into"), "{}", screen(&app));
}

#[test]
fn a_field_for_a_number_takes_digits_only() {
    let mut app = webapp();
    for path in ["web.http_port", "workers.users"] {
        stand(&mut app, path);
        let before = value(&app, path);
        for text in ["g", "?", "x", ".", " "] {
            write(&mut app, text);
            assert!(screen(&app).contains("Only digits can be typed here"), "{path} {text}: {}", screen(&app));
            assert_eq!(value(&app, path), before, "{path} {text}");
        }
        app.paste("80 80");
        assert_eq!(value(&app, path), before);
        app.paste("8080\n");
        app.read_typed();
        assert_eq!(value(&app, path), "8080");
    }
}

/// The answers of a run before, as the wizard offers them.
fn with_last_run() -> App {
    use crate::answers::interview::Earlier;
    use crate::answers::{Given, Origin};
    let values =
        [("application.name", json!("shop")), ("workers.worker_mib", json!(320)), ("web.http_port", json!(8080))];
    let given = values.into_iter().map(|(path, value)| (path.to_owned(), (value, Origin::PreviousRun))).collect();
    let earlier = Earlier { run: "r1".to_owned(), given: Given { values: given, ..Given::default() } };
    let mut app = webapp();
    let interview = app.model.interview.take().unwrap();
    app.model.interview = Some(interview.offering(vec![earlier]));
    app.model.editor = None;
    app.settle();
    app
}

#[test]
fn the_first_key_replaces_whatever_stands_there() {
    for (path, text) in [("workers.worker_mib", "640"), ("web.http_port", "90"), ("application.name", "other")] {
        for mut app in [webapp(), with_last_run()] {
            stand(&mut app, path);
            assert!(!value(&app, path).is_empty());
            write(&mut app, text);
            code(&mut app, KeyCode::Tab);
            assert_eq!(value(&app, path), text);
            // What was typed a moment ago is no other thing.
            code(&mut app, KeyCode::BackTab);
            write(&mut app, text);
            app.read_typed();
            assert_eq!(value(&app, path), text);
        }
    }
}

#[test]
fn an_arrow_or_an_end_edits_what_stands_there() {
    for (key, edited) in [
        (KeyCode::Left, "80870"),
        (KeyCode::Right, "80807"),
        (KeyCode::End, "80807"),
        (KeyCode::Home, "78080"),
        (KeyCode::Backspace, "8087"),
    ] {
        let mut app = with_last_run();
        stand(&mut app, "web.http_port");
        code(&mut app, key);
        write(&mut app, "7");
        let (_, editor) = app.model.editor.as_ref().unwrap();
        assert_eq!(editor.text(), edited, "{key:?}");
    }
}

#[test]
fn what_lies_over_a_field_for_a_while_does_not_end_its_editing() {
    let mut app = webapp();
    stand(&mut app, "application.name");
    write(&mut app, "sh");
    control(&mut app, 'g');
    code(&mut app, KeyCode::Esc);
    write(&mut app, "op");
    assert_eq!(value(&app, "application.name"), "shop");
}

#[test]
fn leaving_asks_where_answers_would_be_lost_and_ctrl_c_twice_leaves() {
    let ctrl_c = |app: &mut App| app.key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL));
    let enter = |app: &mut App| app.key(KeyEvent::new(KeyCode::Enter, KeyModifiers::NONE));
    // From wherever it is: a field, a text over the page, a search in it, a question for a name.
    let ways: [&dyn Fn(&mut App); 4] = [
        &|app| stand(app, "application.name"),
        &|app| control(app, 'g'),
        &|app| {
            control(app, 'g');
            write(app, "/");
        },
        &|app| {
            control(app, 't');
        },
    ];
    for way in ways {
        let mut app = webapp();
        way(&mut app);
        assert_eq!(ctrl_c(&mut app), Leave::No);
        assert!(screen(&app).contains("Leave bringup?"), "{}", screen(&app));
        assert_eq!(ctrl_c(&mut app), Leave::Yes(Exit::Interrupted));
    }
    // The list of pages leaves at once where nothing is lost, and asks otherwise.
    let mut app = webapp();
    control(&mut app, 't');
    code(&mut app, KeyCode::End);
    assert_eq!(enter(&mut app), Leave::Yes(Exit::Interrupted));
    let mut app = webapp();
    stand(&mut app, "application.name");
    write(&mut app, "shop");
    control(&mut app, 't');
    code(&mut app, KeyCode::End);
    assert_eq!(enter(&mut app), Leave::No);
    assert!(screen(&app).contains("Your answer is lost"), "{}", screen(&app));
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
    write(&mut app, "++");
    assert!(screen(&app).contains("20 users / 6 per worker = 4 wanted"), "not while keys are pressed");
    pause(&mut app);
    assert_eq!(value(&app, "workers.users"), "30");
    assert!(screen(&app).contains("30 users / 6 per worker = 5 wanted"), "{}", screen(&app));
    stand(&mut app, "workers.worker_mib");
    write(&mut app, "900");
    stand(&mut app, "workers.web");
    assert!(!screen(&app).contains("the server would swap"), "{}", screen(&app));
    let mut presses = 0;
    while !screen(&app).contains("the server would swap") {
        write(&mut app, "+");
        pause(&mut app);
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
    for words in ["The web server is the only part", "Which host name", "443", "[ Continue to Certificate ]"] {
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
    pause(&mut app);
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

#[test]
fn a_table_is_typed_row_by_row() {
    let mut app = at(table(), SIZE, true, &[]);
    stand(&mut app, "clouds.list[0].host");
    write(&mut app, "a.example.org");
    code(&mut app, KeyCode::Enter);
    code(&mut app, KeyCode::Enter);
    write(&mut app, "north, south");
    code(&mut app, KeyCode::Enter);
    assert!(screen(&app).contains("add a row"), "{}", screen(&app));
    write(&mut app, "+b");
    let refused = screen(&app);
    assert!(refused.contains("Row 2 of 2") && refused.contains("✗"), "{refused}");
    insta::assert_snapshot!(refused);
    write(&mut app, ".example.org");
    assert_eq!(value(&app, "clouds.list"), "a.example.org, north, south; b.example.org");
    // Back to the first row, which goes.
    for _ in 0..4 {
        code(&mut app, KeyCode::Up);
    }
    code(&mut app, KeyCode::Up);
    assert!(screen(&app).contains("remove this row"), "{}", screen(&app));
    write(&mut app, "-");
    assert_eq!(value(&app, "clouds.list"), "b.example.org");
    assert_eq!(app.model.interview.as_ref().unwrap().gaps(), []);
}

#[test]
fn a_secret_of_a_map_is_typed_unseen() {
    let mut app = at(map(), SIZE, true, &[]);
    stand(&mut app, "app.env");
    write(&mut app, "+SMTP_PASSWORD");
    code(&mut app, KeyCode::Enter);
    code(&mut app, KeyCode::Enter);
    write(&mut app, "hunter22-hunter22");
    let typed = screen(&app);
    assert!(typed.contains("SMTP_PASSWORD") && !typed.contains("hunter22"), "{typed}");
    code(&mut app, KeyCode::Enter);
    assert!(!screen(&app).contains("hunter22"), "{}", screen(&app));
    let interview = app.model.interview.as_ref().unwrap();
    assert_eq!(interview.gaps(), []);
    let literal = SecretSource::Literal("hunter22-hunter22".to_owned());
    assert_eq!(interview.resolved().secrets.get("app.env.SMTP_PASSWORD"), Some(&literal));
    insta::assert_snapshot!(screen(&app));
}
