//! What can be done from welcome to review, and what comes of it.

use std::path::Path;

use super::review::{fit, on, reviewing};
use super::*;
use crate::action::{Change, Verdict};
use crate::answers::Origin;
use crate::engine::journal::Record;
use crate::engine::runs::RunDir;
use crate::host::Host as _;
use crate::plan::Plan;
use crate::plan::build::build;

const SIZE: (u16, u16) = (80, 24);

fn type_text(app: &mut App, text: &str) {
    for c in text.chars() {
        app.key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE));
    }
}

fn control(app: &mut App, c: char) {
    app.key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL));
}

/// The plan of the wizard's answers now.
fn plan(app: &App) -> Plan {
    let interview = app.model.interview.as_ref().unwrap();
    build(interview.guide(), interview.facts(), interview.resolved()).unwrap()
}

#[test]
fn a_start_is_blocked_by_what_is_missing_which_leads_to_its_question() {
    let host = fit();
    let mut app = reviewing(&host, SIZE, &[("web.https_port", "0"), ("database.engine", "oracle")]);
    assert!(!screen(&app).contains("[ Start ]"), "{}", screen(&app));
    app.follow(Transition::Go(Route::Review, Some(Focus::Button("start"))));
    press_on(&mut app, &host, "Enter");
    assert_ne!(app.route, Route::Run, "a button that is not there cannot be pressed");
    // In the order of the screens: the choice of a database, then the port.
    app.follow(Transition::Go(Route::Review, Some(Focus::Line("obstacles", 0))));
    press_on(&mut app, &host, "Enter");
    assert_eq!(app.view().focus, Some(Focus::Choice("database.engine".to_owned(), "sqlite".to_owned())));
    press_on(&mut app, &host, "Enter");
    app.follow(Transition::Go(Route::Review, None));
    press_on(&mut app, &host, "Enter");
    assert_eq!(app.view().focus, Some(Focus::Field("web.https_port".to_owned())));
    control(&mut app, 'd');
    app.follow(Transition::Go(Route::Review, None));
    app.settle();
    settle_on(&mut app, &host);
    press_on(&mut app, &host, "Tab");
    assert_eq!(app.view().focus, Some(Focus::Button("start")), "{}", screen(&app));
    app.key(KeyEvent::new(KeyCode::Enter, KeyModifiers::NONE));
    assert_eq!(app.route, Route::Run);
    assert!(matches!(app.cmds().as_slice(), [Cmd::Run(_)]));
}

#[test]
fn a_machine_that_is_not_fit_blocks_the_start_until_it_was_mended_and_checked_again() {
    let host = fit();
    host.put_file("/etc/resolv.conf", "", 0o644);
    host.on(&["getent", "ahosts", "--", "deb.debian.org"], |_, _| crate::host::fake::output(2, "", ""));
    let mut app = reviewing(&host, SIZE, &[]);
    assert!(screen(&app).contains("1 problem prevents the start:"), "{}", screen(&app));
    press_on(&mut app, &host, "Enter");
    assert_eq!(app.route, Route::Welcome);
    app.follow(Transition::Go(Route::Review, None));
    press_on(&mut app, &fit(), "r");
    assert!(screen(&app).contains("Ready: "), "{}", screen(&app));
}

#[test]
fn whoever_is_not_root_can_save_but_not_start() {
    let host = fit().as_user(1000);
    let look = Look { width: 80, unicode: true, colour: false };
    let mut app = App::new(Model::new(look, false, load::list()), SIZE);
    settle_on(&mut app, &host);
    press_on(&mut app, &host, "Enter Enter");
    app.follow(Transition::Go(Route::Review, None));
    app.settle();
    settle_on(&mut app, &host);
    assert!(screen(&app).contains("Only root can change this server"), "{}", screen(&app));
    assert!(!app.doc.stops.iter().any(|(stop, _)| *stop == Focus::Button("start")));
    press_on(&mut app, &host, "s");
    control(&mut app, 'u');
    type_text(&mut app, "/tmp/mine.yaml");
    assert_eq!(press_on(&mut app, &host, "Enter"), Leave::No);
    assert!(screen(&app).contains("/tmp/mine.yaml cannot be written"), "{}", screen(&app));
    // The machine in memory lets ordinary users write nothing.
    let host = fit();
    assert_eq!(press_on(&mut app, &host, "Enter"), Leave::Yes(Exit::Done));
    assert!(host.text("/tmp/mine.yaml").unwrap().contains("guide: webapp"));
}

#[test]
fn enter_alone_never_starts_anything() {
    let host = fit();
    let mut app = reviewing(&host, SIZE, &[]);
    for _ in 0..20 {
        press_on(&mut app, &host, "Enter");
        assert_eq!(app.route, Route::Review);
    }
}

#[test]
fn other_answers_are_compared_anew_and_late_news_of_the_old_plan_is_dropped() {
    let host = fit();
    let mut app = reviewing(&host, SIZE, &[]);
    let old = plan(&app).hash();
    assert!(app.model.review.is_compared());
    app.follow(Transition::Go(Route::Welcome, None));
    app.follow(Transition::Go(Route::Review, None));
    app.settle();
    assert!(app.cmds().is_empty(), "nothing has changed");
    app.follow(Transition::Go(Route::Stage("web".to_owned()), Some(Focus::Field("web.https_port".to_owned()))));
    app.settle();
    type_text(&mut app, "8443");
    app.follow(Transition::Go(Route::Review, None));
    app.settle();
    let cmds = app.cmds();
    let [Cmd::Preview { plan: new, .. }] = cmds.as_slice() else { panic!("{cmds:?}") };
    assert_ne!(new.hash(), old);
    app.tell(Msg::Compared(old, vec![], vec![]));
    assert!(app.model.review.is_looking(), "{}", screen(&app));
    assert!(!app.doc.stops.iter().any(|(stop, _)| *stop == Focus::Button("start")));
}

#[test]
fn a_file_that_is_there_stays_and_another_name_is_taken() {
    let host = fit();
    host.put_file("/root/answers.yaml", "mine", 0o600);
    let mut app = reviewing(&host, SIZE, &[("application.proof_token", "hunter22hunter22")]);
    press_on(&mut app, &host, "s");
    control(&mut app, 'u');
    type_text(&mut app, "/root/answers.yaml");
    assert_eq!(press_on(&mut app, &host, "Enter"), Leave::No);
    assert!(screen(&app).contains("/root/answers.yaml exists already"), "{}", screen(&app));
    press_on(&mut app, &host, "Backspace");
    type_text(&mut app, "2");
    assert_eq!(press_on(&mut app, &host, "Enter"), Leave::Yes(Exit::Done));
    assert_eq!(host.text("/root/answers.yaml").as_deref(), Some("mine"));
    let saved = host.text("/root/answers.yam2").unwrap();
    assert!(saved.contains("proof_token: {env: BRINGUP_APPLICATION_PROOF_TOKEN}"), "{saved}");
    assert!(!saved.contains("hunter22") && !app.last_words().contains("hunter22"));
    assert_eq!(host.stat(Path::new("/root/answers.yam2")).unwrap().unwrap().meta.mode, 0o600);
    insta::assert_snapshot!(app.last_words(), @r"
    The answers are in /root/answers.yam2. Nothing was changed.
    Set BRINGUP_APPLICATION_PROOF_TOKEN first: passwords that you typed are not in it.
    Continue with:  sudo --preserve-env=BRINGUP_APPLICATION_PROOF_TOKEN bringup --answers /root/answers.yam2
    ");
}

#[test]
fn answers_with_gaps_can_be_saved_and_asked_on() {
    let host = fit();
    host.set_env("HOME", "/root");
    let mut app = reviewing(&host, SIZE, &[("web.https_port", "0")]);
    control(&mut app, 'c');
    press_on(&mut app, &host, "Down Enter");
    control(&mut app, 'u');
    assert_eq!(press_on(&mut app, &host, "Enter"), Leave::No);
    assert!(screen(&app).contains("type a name"), "{}", screen(&app));
    type_text(&mut app, "~/it's.yaml");
    assert_eq!(press_on(&mut app, &host, "Enter"), Leave::Yes(Exit::Done));
    assert!(host.text("/root/it's.yaml").is_some());
    insta::assert_snapshot!(app.last_words(), @r"
    The answers are in /root/it's.yaml. Nothing was changed.
    Continue with:  sudo bringup --answers '/root/it'\''s.yaml' --ask
    ");
}

#[test]
fn escape_closes_one_thing_after_the_other() {
    let host = fit();
    let mut app = reviewing(&host, SIZE, &[]);
    press_on(&mut app, &host, "Enter / n g i n x Enter");
    assert!(screen(&app).contains("1 of 3"), "{}", screen(&app));
    press_on(&mut app, &host, "/ x");
    assert!(app.typing());
    press_on(&mut app, &host, "Esc");
    assert!(app.overlay.is_some() && !app.typing());
    press_on(&mut app, &host, "n");
    assert!(screen(&app).contains("2 of 3"), "what was found before is still looked for:\n{}", screen(&app));
    press_on(&mut app, &host, "Esc");
    assert!(app.overlay.is_none() && app.route == Route::Review);
}

#[test]
fn a_product_chosen_too_early_opens_when_the_machine_is_known_and_not_when_one_went_on() {
    let host = fit();
    let look = Look { width: 80, unicode: true, colour: false };
    let mut app = App::new(Model::new(look, true, load::list()), SIZE);
    app.key(KeyEvent::new(KeyCode::Enter, KeyModifiers::NONE));
    app.key(KeyEvent::new(KeyCode::Enter, KeyModifiers::NONE));
    assert!(screen(&app).contains("still checking this server"), "{}", screen(&app));
    settle_on(&mut app, &host);
    assert_eq!(app.route, Route::Stage("application".to_owned()));
    let interview = app.model.interview.clone().unwrap();
    app.follow(Transition::Go(Route::Welcome, None));
    app.tell(Msg::Opened(Box::new(interview)));
    assert_eq!(app.route, Route::Welcome);
}

#[test]
fn an_earlier_run_gives_the_answers_to_begin_with() {
    let host = fit();
    let plan = plan(&reviewing(&host, SIZE, &[]));
    let (dir, mut journal) = RunDir::create(&host, &plan).unwrap();
    let answers = "version: 1\nguide: webapp\napplication: {name: shop}\n";
    dir.write(&host, "answers.yaml", answers.as_bytes()).unwrap();
    journal.write(&host, Record::Finished { exit: Exit::Done, data: BTreeMap::new() }).unwrap();
    let mut app = on(&host, SIZE);
    press_on(&mut app, &host, "Enter Enter");
    let interview = app.model.interview.as_ref().unwrap();
    assert_eq!(interview.given().values["application.name"].1, Origin::PreviousRun);
    assert!(screen(&app).contains("shop"), "{}", screen(&app));
}

#[test]
fn moving_in_the_list_of_actions_changes_two_lines() {
    let mut app = reviewing(&fit(), SIZE, &[]);
    // The first brings the list into sight.
    app.key(KeyEvent::new(KeyCode::Down, KeyModifiers::NONE));
    let before = screen(&app);
    app.key(KeyEvent::new(KeyCode::Down, KeyModifiers::NONE));
    let after = screen(&app);
    let changed = before.lines().zip(after.lines()).filter(|(before, after)| before != after).count();
    assert_eq!(changed, 2, "{after}");
}

/// Everything is as it should be, but for the actions at these places.
fn mostly_unchanged(app: &mut App, changed: &[&str]) {
    let plan = app.model.review.plan().unwrap();
    let change = || Change { summary: String::new(), diff: None };
    let verdict = |id: &str| if changed.contains(&id) { Verdict::WouldChange(change()) } else { Verdict::Unchanged };
    let verdicts = plan.actions.iter().map(|planned| (planned.id.clone(), Ok(verdict(&planned.id)))).collect();
    let hash = plan.hash();
    app.tell(Msg::Forecast(hash.clone(), None));
    app.tell(Msg::Compared(hash, verdicts, vec![]));
}

#[test]
fn what_changes_stands_first_and_the_rest_is_a_line_for_each_stage() {
    let mut app = reviewing(&fit(), (80, 60), &[]);
    mostly_unchanged(&mut app, &["web.nginx_site", "services.env"]);
    let page = screen(&app);
    let actions = app.model.review.plan().unwrap().actions.len();
    assert!(page.contains(&format!("2 changes, {} unchanged", actions - 2)), "{page}");
    let row =
        |what: &str| page.lines().position(|line| line.contains(what)).unwrap_or_else(|| panic!("{what}: {page}"));
    assert!(row("write /etc/nginx/sites-available/webapp") < row("write /etc/webapp/env"));
    assert!(row("write /etc/webapp/env") < row("= Application: 5 unchanged"));
    assert!(page.contains("= 2 unchanged: "), "the rest of the stage that changes something:\n{page}");
    assert!(!page.contains("create the directory /etc/webapp"), "{page}");
    let lines = page.lines().filter(|line| line.contains(" unchanged")).count();
    assert!(lines <= app.model.review.plan().unwrap().stages.len() + 1, "{page}");
    // The first thing to point at is the first change; a fold opens and closes.
    assert_eq!(app.view().focus, Some(Focus::Line("actions", 7)));
    for _ in 0..5 {
        press_on(&mut app, &fit(), "Down");
    }
    press_on(&mut app, &fit(), "Enter");
    assert!(screen(&app).contains("create the directory /etc/webapp"), "{}", screen(&app));
    press_on(&mut app, &fit(), "Enter");
    assert_eq!(screen(&app).matches("create the directory /etc/webapp").count(), 0);
}

#[test]
fn what_others_changed_since_is_said_before_anything_starts() {
    let host = fit();
    host.put_file("/etc/webapp/env", "ours", 0o640);
    let mut plan = Plan::new("webapp", "");
    plan.answers.push(crate::plan::Answered {
        path: "application.name".into(),
        value: "webapp".into(),
        origin: Origin::File,
    });
    let (_, mut journal) = RunDir::create(&host, &plan).unwrap();
    let begin = Record::Begin { action: "services.env".into(), stage: "services".into(), undo: Vec::new() };
    journal.write(&host, begin).unwrap();
    let hash = crate::action::carry::written(&host, Path::new("/etc/webapp/env")).unwrap().unwrap();
    let wrote = [("/etc/webapp/env".into(), hash)].into();
    journal.write(&host, Record::End { action: "services.env".into(), written_hashes: wrote }).unwrap();
    journal.write(&host, Record::Finished { exit: Exit::Done, data: BTreeMap::new() }).unwrap();
    let since = "/etc/webapp/env was changed outside bringup since";
    assert!(!screen(&reviewing(&host, (120, 40), &[])).contains(since));
    host.put_file("/etc/webapp/env", "theirs", 0o640);
    let page = screen(&reviewing(&host, (120, 40), &[]));
    assert!(page.contains(since), "{page}");
}
