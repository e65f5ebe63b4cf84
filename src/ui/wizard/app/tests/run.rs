//! The run's page: every state of it as a picture, and what its keys do.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use super::*;
use crate::answers::interview::Interview;
use crate::answers::{Given, Origin};
use crate::engine::decision::{self, Choice, Decision, Skippable, Waiting};
use crate::engine::event::{Event, EventKind};
use crate::engine::runs::RunDir;
use crate::engine::secret_store;
use crate::error::{Failure, Problem};
use crate::guide::load;
use crate::host::{Host, Stamp};
use crate::plan::{Answered, Plan};
use crate::progress::Progress;
use crate::secret::{Secret, Secrets, mark};
use crate::ui::estimate::Expected;
use crate::ui::follow::Followed;
use crate::ui::run_state::recorded::{at, gone_wrong, recorded};
use crate::ui::wizard::run_cmd::{RunCmd, RunMsg};

mod pictures;

const RUN: &str = "20261121-093015-webapp";
const SECRET: &str = "application.proof_token";
const ALL: [Choice; 6] =
    [Choice::Retry, Choice::Skip, Choice::Replan, Choice::RollbackStage, Choice::Rollback, Choice::Pause];

/// A wizard attached to a run of which nothing was told yet.
pub(super) fn attached(size: (u16, u16), unicode: bool) -> App {
    let look = Look { width: usize::from(size.0), unicode, colour: false };
    let mut app = App::attached(Model::new(look, true, Vec::new()), RUN, size);
    assert!(matches!(app.cmds()[..], [Cmd::Run(RunCmd::Follow { .. })]));
    tell(&mut app, RunMsg::Plan(Box::new(plan()), Expected::default()));
    app
}

fn tell(app: &mut App, msg: RunMsg) {
    app.tell(Msg::Run(msg));
}

pub(super) fn told(size: (u16, u16), events: &[Event]) -> App {
    let mut app = attached(size, true);
    tell(&mut app, RunMsg::Events(events.to_vec()));
    app
}

fn plan() -> Plan {
    let plan = include_bytes!("../../../../../tests/fixtures/runs/quickstart.plan.json");
    serde_json::from_slice(plan).unwrap()
}

/// What a whole run told, on a fresh Debian.
pub(super) fn quickstart() -> Vec<Event> {
    let lines = include_str!("../../../../../tests/fixtures/runs/quickstart.events.jsonl").lines();
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn waiting(number: usize, choices: &[Choice]) -> Event {
    let skip = Skippable { step: "database.role".to_owned(), reason: "the application works without it".to_owned() };
    at(EventKind::Waiting(Waiting {
        number,
        step: "database.role".to_owned(),
        stage: "database".to_owned(),
        choices: choices.to_vec(),
        retry_from: "database.role".to_owned(),
        skip: choices.contains(&Choice::Skip).then_some(skip),
        changed: 2,
        since: Stamp::default(),
    }))
}

/// The events of a run that failed and waits.
pub(super) fn stuck() -> Vec<Event> {
    let mut events = gone_wrong()[..8].to_vec();
    events.push(waiting(7, &ALL));
    events
}

/// Presses keys; the commands that came of them are not done.
fn keys(app: &mut App, keys: &str) -> Vec<Cmd> {
    let mut cmds = Vec::new();
    for key in keys.split_whitespace() {
        let (code, modifiers) = match key {
            "Enter" => (KeyCode::Enter, KeyModifiers::NONE),
            "Esc" => (KeyCode::Esc, KeyModifiers::NONE),
            "Down" => (KeyCode::Down, KeyModifiers::NONE),
            "Up" => (KeyCode::Up, KeyModifiers::NONE),
            "PgUp" => (KeyCode::PageUp, KeyModifiers::NONE),
            "PgDn" => (KeyCode::PageDown, KeyModifiers::NONE),
            "Home" => (KeyCode::Home, KeyModifiers::NONE),
            "End" => (KeyCode::End, KeyModifiers::NONE),
            "^R" => (KeyCode::Char('r'), KeyModifiers::CONTROL),
            "^C" => (KeyCode::Char('c'), KeyModifiers::CONTROL),
            other => (KeyCode::Char(other.chars().next().unwrap()), KeyModifiers::NONE),
        };
        app.key(KeyEvent::new(code, modifiers));
        cmds.extend(app.cmds());
    }
    cmds
}

fn focus(app: &App) -> Option<Focus> {
    app.views.get(&Route::Run).and_then(|view| view.focus.clone())
}

fn leave(app: &mut App, code: KeyCode) -> Leave {
    app.key(KeyEvent::new(code, KeyModifiers::NONE))
}

// --- the run ------------------------------------------------------------------

#[test]
fn the_pointer_goes_with_the_work_until_it_is_moved() {
    let events = recorded();
    let mut app = told((80, 24), &events[..2]);
    assert_eq!(focus(&app), Some(Focus::Step("packages".to_owned())));
    tell(&mut app, RunMsg::Events(events[2..7].to_vec()));
    assert_eq!(focus(&app), Some(Focus::Step("application.user".to_owned())));
    keys(&mut app, "Up Up");
    let moved = focus(&app);
    tell(&mut app, RunMsg::Events(events[7..10].to_vec()));
    assert_eq!(focus(&app), moved);
    keys(&mut app, "Down Down Down");
    assert_eq!(focus(&app), Some(Focus::Step("database.role".to_owned())));
    tell(&mut app, RunMsg::Events(events[10..11].to_vec()));
    assert_eq!(focus(&app), Some(Focus::Step("tls.page".to_owned())));
}

#[test]
fn stages_fold_and_unfold() {
    let mut app = told((80, 24), &quickstart()[..50]);
    keys(&mut app, "Home");
    let at = focus(&app);
    assert!(matches!(at, Some(Focus::Step(_))), "{at:?}");
    keys(&mut app, "Enter");
    assert!(matches!(focus(&app), Some(Focus::Stage(_))));
    let folded = screen(&app);
    keys(&mut app, "Enter");
    assert!(screen(&app).lines().filter(|line| line.contains("    ")).count() >= folded.lines().count() - 10);
    assert_ne!(screen(&app), folded);
}

#[test]
fn the_output_stays_where_it_was_scrolled_to_and_follows_again_at_its_end() {
    let line = |n: usize| {
        let progress = Progress::Output(format!("line {n}."));
        at(EventKind::ActionProgress { action: "packages".to_owned(), progress })
    };
    let mut app = told((80, 24), &recorded()[..2]);
    tell(&mut app, RunMsg::Events((0..100).map(line).collect()));
    assert!(screen(&app).contains("line 99."));
    keys(&mut app, "PgUp");
    let shown = |app: &App, text: &str| screen(app).contains(text);
    assert!(shown(&app, "line 94.") && !shown(&app, "line 99."));
    tell(&mut app, RunMsg::Events((100..200).map(line).collect()));
    assert!(shown(&app, "line 94.") && shown(&app, "105 more"), "{}", screen(&app));
    keys(&mut app, "Home");
    assert!(shown(&app, "line 0."));
    keys(&mut app, "End");
    assert!(shown(&app, "line 199."));
    tell(&mut app, RunMsg::Events((200..201).map(line).collect()));
    assert!(shown(&app, "line 200."));
}

#[test]
fn the_output_is_searched_and_letters_are_text_while_it_is_typed() {
    let line = |n: usize| {
        let progress = Progress::Output(format!("line {n} {}", if n % 40 == 7 { "Error: disk" } else { "fine" }));
        at(EventKind::ActionProgress { action: "packages".to_owned(), progress })
    };
    let mut app = told((80, 24), &recorded()[..2]);
    tell(&mut app, RunMsg::Events((0..200).map(line).collect()));
    let cmds = keys(&mut app, "/ e r r o r x l d");
    assert!(cmds.is_empty() && app.overlay.is_none());
    keys(&mut app, "Esc / e r r o r Enter");
    // From what is seen on, and around the end.
    assert!(screen(&app).contains("line 7 Error") && screen(&app).contains("1 of 5"), "{}", screen(&app));
    keys(&mut app, "n");
    assert!(screen(&app).contains("line 47 Error"));
    keys(&mut app, "N N");
    assert!(screen(&app).contains("line 167 Error"));
    keys(&mut app, "/ q q Enter");
    assert!(screen(&app).contains("\"qq\" not found"));
}

#[test]
fn a_still_screen_needs_no_clock() {
    let ticks = |events: &[Event]| told((80, 24), events).ticks();
    assert!(ticks(&recorded()[..3]));
    assert!(ticks(&gone_wrong()[..12]));
    assert!(!ticks(&recorded()));
    assert!(!ticks(&stuck()));
    let mut app = told((80, 24), &recorded()[..3]);
    tell(&mut app, RunMsg::Time(Stamp { sec: 1_795_253_415 + 75, nsec: 0 }));
    assert!(screen(&app).contains("1 min 15 s"));
}

#[test]
fn detaching_leaves_it_running_and_a_closed_sheet_stays() {
    let mut app = told((80, 24), &recorded()[..3]);
    keys(&mut app, "d");
    assert!(screen(&app).contains("bringup attach"));
    keys(&mut app, "Esc");
    assert!(app.overlay.is_none());
    keys(&mut app, "^C");
    assert_eq!(leave(&mut app, KeyCode::Enter), Leave::Yes(Exit::Done));
    assert_eq!(app.run(), Some((RUN, None)));
}

#[test]
fn ctrl_c_twice_leaves_a_run_running_from_wherever_it_is() {
    let ctrl_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    for way in ["", "/ x", "x", "l"] {
        let mut app = told((80, 24), &recorded()[..3]);
        keys(&mut app, way);
        assert_eq!(app.key(ctrl_c), Leave::No, "{way}");
        assert!(screen(&app).contains("Leave it running"), "{way}\n{}", screen(&app));
        assert_eq!(app.key(ctrl_c), Leave::Yes(Exit::Done), "{way}");
        assert!(app.cmds().iter().all(|cmd| !matches!(cmd, Cmd::Run(RunCmd::Abort { .. }))));
    }
}

#[test]
fn stopping_asks_first_and_is_asked_for_once() {
    let mut app = told((80, 24), &recorded()[..3]);
    assert!(keys(&mut app, "x Enter").is_empty());
    let cmds = keys(&mut app, "x Down Enter x x");
    assert!(matches!(&cmds[..], [Cmd::Run(RunCmd::Abort { run })] if run == RUN), "{cmds:?}");
    assert!(screen(&app).contains("stops after this step"));
}

#[test]
fn a_question_that_the_run_overtook_is_not_answered() {
    // "Stop and take everything back" must not become "stop here" because the run failed meanwhile.
    let mut app = told((80, 24), &gone_wrong()[..6]);
    keys(&mut app, "x Down");
    tell(&mut app, RunMsg::Events(stuck()[6..].to_vec()));
    assert!(app.overlay.is_none());
    assert!(decisions(&keys(&mut app, "Enter")).is_empty());
    // What is typed ends with the pane it is typed for.
    let mut app = told((80, 24), &gone_wrong()[..6]);
    keys(&mut app, "/ r");
    tell(&mut app, RunMsg::Events(stuck()[6..].to_vec()));
    assert_eq!(decisions(&keys(&mut app, "r")), [(7, Choice::Retry)]);
}

#[test]
fn a_whole_log_is_read_by_a_job_and_shown() {
    let mut app = told((80, 24), &recorded()[..3]);
    let cmds = keys(&mut app, "l");
    assert!(matches!(&cmds[..], [Cmd::Run(RunCmd::Log { step, .. })] if step == "packages"));
    let text = (0..200).map(|n| format!("Setting up package{n} ...")).collect::<Vec<_>>().join("\n");
    tell(&mut app, RunMsg::Log { title: "packages".to_owned(), text });
    assert!(screen(&app).contains("Setting up package0 ..."));
    keys(&mut app, "/ g e 1 5 0 Enter");
    assert!(screen(&app).contains("Setting up package150 ..."));
    keys(&mut app, "Esc");
    assert!(screen(&app).contains("Output of packages"));
}

// --- the failure ----------------------------------------------------------------

fn decisions(cmds: &[Cmd]) -> Vec<(usize, Choice)> {
    let decision = |cmd: &Cmd| match cmd {
        Cmd::Run(RunCmd::Decide { run, number, decision }) if run == RUN => Some((*number, decision.choice())),
        _ => None,
    };
    cmds.iter().filter_map(decision).collect()
}

#[test]
fn a_decision_is_sent_once_with_the_number_of_its_question() {
    let mut app = told((80, 24), &stuck());
    let cmds = keys(&mut app, "r r k B Down Enter Enter");
    assert_eq!(decisions(&cmds), [(7, Choice::Retry)]);
    assert!(screen(&app).contains("decided: retry"));
}

#[test]
fn what_takes_something_away_is_asked_for_first() {
    for (key, choice) in [("b", Choice::RollbackStage), ("B", Choice::Rollback), ("p", Choice::Pause)] {
        let mut app = told((80, 24), &stuck());
        assert_eq!(decisions(&keys(&mut app, &format!("{key} Esc {key} Enter"))), []);
        assert_eq!(decisions(&keys(&mut app, &format!("{key} Down Enter"))), [(7, choice)]);
    }
}

#[test]
fn only_what_the_failure_allows_is_offered() {
    let mut events = gone_wrong()[..8].to_vec();
    events.push(waiting(7, &[Choice::Retry, Choice::Rollback, Choice::Pause]));
    let mut app = told((200, 24), &events);
    assert_eq!(keys(&mut app, "k c b").len(), 0);
    let shown = screen(&app);
    assert!(app.overlay.is_none() && !shown.contains("skip") && !shown.contains("Change an answer"), "{shown}");
    assert!(shown.contains("r retry") && shown.contains("B roll back"));
}

#[test]
fn a_decision_that_was_refused_can_be_taken_again() {
    let mut app = told((80, 24), &stuck());
    keys(&mut app, "r");
    tell(&mut app, RunMsg::Trouble(Failure::new("decide \"retry\"", "the disk is full")));
    assert!(screen(&app).contains("the disk is full"));
    assert_eq!(decisions(&keys(&mut app, "r")), [(7, Choice::Retry)]);
}

#[test]
fn when_somebody_else_decided_this_page_follows() {
    let mut app = told((80, 24), &stuck());
    tell(&mut app, RunMsg::Events(vec![at(EventKind::Decided { choice: Choice::Retry })]));
    assert!(screen(&app).contains("decided: retry"), "{}", screen(&app));
    assert!(decisions(&keys(&mut app, "r")).is_empty());
    tell(&mut app, RunMsg::Events(vec![at(EventKind::ActionStarted { action: "database.role".to_owned() })]));
    assert_eq!(focus(&app), Some(Focus::Step("database.role".to_owned())));
    assert!(screen(&app).contains("Running"));
}

#[test]
fn after_a_stage_was_taken_back_the_run_asks_anew() {
    let mut events = stuck();
    events.push(at(EventKind::Decided { choice: Choice::RollbackStage }));
    events.extend(gone_wrong()[8..11].to_vec());
    events.push(waiting(12, &[Choice::Retry, Choice::Replan, Choice::Rollback, Choice::Pause]));
    let mut app = told((80, 24), &events);
    assert!(screen(&app).contains("Could not create the role"), "{}", screen(&app));
    assert_eq!(decisions(&keys(&mut app, "r")), [(12, Choice::Retry)]);
}

#[test]
fn an_answer_is_changed_on_its_stage_and_the_start_goes_on_with_it() {
    let mut app = told((80, 24), &stuck());
    let cmds = keys(&mut app, "c");
    assert!(matches!(&cmds[..], [Cmd::Run(RunCmd::Reopen { run })] if run == RUN), "{cmds:?}");
    let facts = crate::facts::probe::probe(&FakeHost::new());
    let mut given = Given::default();
    given.values.insert("application.name".to_owned(), ("shop".into(), Origin::PreviousRun));
    let interview = Interview::new(load::load("webapp").unwrap(), facts, given);
    tell(&mut app, RunMsg::Reopened(Box::new(interview)));
    assert_eq!(app.route, Route::Stage("database".to_owned()));
    // Leaving now would leave the run waiting, and says so.
    keys(&mut app, "F2");
    app.overlay = None;
    app.follow(Transition::Start);
    app.resize(80, 24);
    let cmds = app.cmds();
    assert!(
        matches!(&cmds[..], [Cmd::Run(RunCmd::Replan { number: 7, with, .. })]
        if with.resolved.values["application"]["name"] == "shop"),
        "{cmds:?}"
    );
    assert_eq!(app.route, Route::Run);
    assert!(screen(&app).contains("decided: continue with other answers"), "{}", screen(&app));
}

#[test]
fn a_shell_is_opened_and_the_page_is_still_there() {
    let mut app = told((80, 24), &stuck());
    let Leave::Shell(note) = leave(&mut app, KeyCode::Char('!')) else { panic!("no shell") };
    assert!(note.contains("could not create the role") && note.contains("exit"), "{note}");
    assert!(screen(&app).contains("Retry"));
}

// --- the end --------------------------------------------------------------------

#[test]
fn the_wizard_ends_as_the_run_did() {
    for (events, exit) in [(recorded(), Exit::Done), (gone_wrong(), Exit::RolledBack)] {
        let mut app = told((80, 24), &events);
        let ctrl_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(app.key(ctrl_c), Leave::Yes(exit));
        assert_eq!(app.run(), Some((RUN, Some(exit))));
    }
}

#[test]
fn a_secret_is_shown_only_when_asked_for_and_hidden_again() {
    let mut app = told((80, 60), &quickstart());
    assert!(!screen(&app).contains("••••••••"), "a token of the proofs is nothing that one needs now");
    app.model.run_view.as_mut().unwrap().folds.insert("details".to_owned(), true);
    app.resize(80, 60);
    app.views.entry(Route::Run).or_default().focus = Some(Focus::Step(SECRET.to_owned()));
    app.resize(80, 60);
    let cmds = keys(&mut app, "^R");
    assert!(
        matches!(&cmds[..], [Cmd::Run(RunCmd::Secret { of, name })] if *of == plan().application() && name == SECRET)
    );
    tell(&mut app, RunMsg::Secret(SECRET.to_owned(), Secret::new("hunter22")));
    assert!(screen(&app).contains("hunter22"));
    assert!(keys(&mut app, "^R").is_empty());
    assert!(!screen(&app).contains("hunter22"));
}

#[test]
fn a_run_whose_process_is_gone_can_go_on_or_go_back() {
    let mut app = told((80, 24), &recorded()[..7]);
    tell(&mut app, RunMsg::Followed(Followed::Died));
    assert!(screen(&app).contains("bringup resume") && screen(&app).contains("Resume the run"));
    app.views.entry(Route::Run).or_default().focus = Some(Focus::Button("resume"));
    let cmds = keys(&mut app, "Enter");
    assert!(matches!(&cmds[..], [Cmd::Run(RunCmd::Again { back: false, .. })]));
    tell(&mut app, RunMsg::Started(RUN.to_owned()));
    assert!(matches!(app.cmds()[..], [Cmd::Run(RunCmd::Follow { .. })]));
    assert!(screen(&app).contains("waiting for the run's process"), "{}", screen(&app));
}

#[test]
fn what_keeps_it_from_starting_is_said_and_leads_back() {
    let mut app = wizard((80, 24));
    press(&mut app, "Enter Enter");
    app.follow(Transition::Start);
    assert!(matches!(app.cmds()[..], [Cmd::Run(RunCmd::Launch(_))]));
    app.resize(80, 24);
    assert!(screen(&app).contains("Nothing has been changed yet"));
    let problem = Problem::new("changing this server needs root", "run it again with sudo");
    tell(&mut app, RunMsg::Refused(vec![problem]));
    assert!(screen(&app).contains("changing this server needs root"));
    keys(&mut app, "Esc");
    assert_eq!(app.route, Route::Review);
    assert!(app.model.run_view.is_none());
}

// --- its commands -------------------------------------------------------------------

fn work(host: &FakeHost, task: RunCmd) -> Vec<RunMsg> {
    let told = Mutex::new(Vec::new());
    task.work(host, &|msg| told.lock().unwrap().push(msg));
    told.into_inner().unwrap()
}

#[test]
fn a_run_is_followed_in_few_reports_until_its_end_or_until_nobody_looks() {
    let host = FakeHost::new();
    let text: String = recorded().iter().map(|event| serde_json::to_string(event).unwrap() + "\n").collect();
    host.put_file(RunDir::of(RUN).file("events.jsonl"), text, 0o600);
    let follow = |leave| RunCmd::Follow { run: RUN.to_owned(), leave: Arc::new(AtomicBool::new(leave)) };
    let msg = work(&host, follow(false));
    let [RunMsg::Events(events), RunMsg::Followed(Followed::Ended(Exit::Done))] = &msg[..] else { panic!("{msg:?}") };
    assert_eq!(*events, recorded());

    let host = FakeHost::new();
    host.put_file(RunDir::of(RUN).file("plan.json"), serde_json::to_vec(&plan()).unwrap(), 0o600);
    let mut events = recorded()[..4].to_vec();
    events.extend(recorded());
    let text: String = events.iter().map(|event| serde_json::to_string(event).unwrap() + "\n").collect();
    host.put_file(RunDir::of(RUN).file("events.jsonl"), text, 0o600);
    let msg = work(&host, follow(false));
    // One that begins again does so on another plan, which is told before its events.
    let [head @ .., RunMsg::Outputs(outputs), RunMsg::Followed(_)] = &msg[..] else { panic!("{msg:?}") };
    let [RunMsg::Plan(..), RunMsg::Events(first), RunMsg::Plan(..), RunMsg::Events(_)] = head else {
        panic!("{msg:?}")
    };
    assert_eq!(outputs.len(), plan().outputs.len(), "what its guide shows, as it came to be");
    assert_eq!(first.len(), 4);

    let host = FakeHost::new();
    let msg = work(&host, follow(true));
    assert!(matches!(msg[..], [RunMsg::Followed(Followed::Left)]), "{msg:?}");
}

#[test]
fn a_decision_reaches_the_run_that_waits_and_no_other() {
    let host = FakeHost::new();
    let dir = RunDir::of(RUN);
    let EventKind::Waiting(question) = waiting(7, &ALL).what else { panic!() };
    host.put_file(dir.file("waiting.json"), serde_json::to_vec(&question).unwrap(), 0o600);
    let decide = |number| RunCmd::Decide { run: RUN.to_owned(), number, decision: Decision::Retry };
    assert!(matches!(work(&host, decide(6))[..], [RunMsg::Trouble(_)]));
    assert!(work(&host, decide(7)).is_empty());
    assert!(host.text(dir.file("decision.json")).unwrap().contains("retry"));
    assert_eq!(decision::waiting(&host, &dir), Ok(Some(question)));
}

#[test]
fn of_a_long_log_the_end_is_read_from_a_whole_line_on() {
    let host = FakeHost::new();
    let path = RunDir::of(RUN).log("packages");
    let log = |host: &FakeHost| work(host, RunCmd::Log { run: RUN.to_owned(), step: "packages".to_owned() });
    assert!(matches!(&log(&host)[..], [RunMsg::Trouble(failure)] if failure.why.contains("no log")));
    let line = format!("{}\n", "x".repeat(99));
    host.put_file(&path, line.repeat(20_000), 0o600);
    let msg = log(&host);
    let [RunMsg::Log { text, .. }] = &msg[..] else { panic!("{msg:?}") };
    assert!(text.starts_with("(the last megabyte of ") && text.len() < 1_100_000);
    assert!(text.lines().skip(1).all(|line| line.len() == 99));
}

#[test]
fn a_secret_is_read_from_where_it_is_kept() {
    let host = FakeHost::new();
    let mut secrets = Secrets::default();
    secrets.insert(SECRET, Secret::new("hunter22"));
    secret_store::save(&host, &plan().application(), &secrets).unwrap();
    let read = |name: &str| work(&host, RunCmd::Secret { of: plan().application(), name: name.to_owned() });
    assert!(matches!(&read(SECRET)[..], [RunMsg::Secret(_, secret)] if secret.expose() == "hunter22"));
    assert!(matches!(read("database.password")[..], [RunMsg::Trouble(_)]));
    assert!(!format!("{:?}", read(SECRET)).contains("hunter22"));
    let answer = Answered { path: SECRET.to_owned(), value: mark(SECRET).into(), origin: Origin::Default };
    assert!(plan().answers.contains(&answer));
    assert!(host.stat(&secret_store::path(&plan().application())).unwrap().is_some());
}

/// What one needs at once stands on the first screen, whole; the rest is a key away, and nothing is said twice.
#[test]
fn a_result_shows_what_one_needs_now_and_keeps_the_rest_behind_a_key() {
    let mut app = told((80, 24), &quickstart());
    let page = screen(&app);
    for needed in ["https://app.example.org/", "secrets/webapp.json", "bringup rollback", "8 of 8 proofs passed"] {
        assert!(page.contains(needed), "{needed}: {page}");
    }
    assert!(!page.contains('…') && !page.contains("more"), "all of it is seen, and nothing is cut:\n{page}");
    assert!(!page.contains("journalctl"), "{page}");
    for fold in ["details", "proofs"] {
        app.views.entry(Route::Run).or_default().focus = Some(Focus::Stage(fold.to_owned()));
        keys(&mut app, "Enter");
    }
    app.resize(80, 100);
    let page = screen(&app);
    assert!(page.contains("journalctl -u webapp") && page.contains("sudo bringup --answers"), "{page}");
    assert!(!page.contains('…'), "{page}");
    let once = "redirects to HTTPS";
    assert!(page.matches(once).count() <= 1, "{page}");
}
