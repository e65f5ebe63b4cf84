//! A guided tour: the detours that people most likely take, each in a real pseudo-terminal, with its screens kept as
//! pictures in `tests/pty/tour`. `TOUR=write cargo test --test pty tour` records them again.

use std::path::Path;

use libtest_mimic::Trial;

use crate::session::{DOWN, ENTER, ESC, Session};
use crate::trial;

const F2: &str = "\x1bOQ";
const CLEAR: &str = "\x15";
const FIT: &str = "All preflight checks passed.";
const PRODUCT: &str = "What shall this server become?";
const NAME: &str = "What is the application called?";
const HOST: &str = "Which host name will visitors";
const MENU: &str = "Esc close";
const READY: &str = "Ready:";

macro_rules! trials {
    ($($name:ident),* $(,)?) => {
        vec![$(trial(concat!("tour::", stringify!($name)), $name)),*]
    };
}

pub fn tests() -> Vec<Trial> {
    trials![
        a_wrong_host_name_is_said_at_once_and_corrected,
        a_port_that_is_taken_leads_back_to_its_question,
        from_the_review_one_goes_back_and_forth,
        another_product_keeps_the_answers_of_the_first,
        a_pasted_certificate_is_no_path_and_starts_nothing,
        a_small_window_and_a_large_one_show_the_same_page,
        a_run_that_is_left_goes_on,
        after_a_failure_an_answer_can_be_changed,
        after_a_failure_a_stage_can_be_rolled_back,
        the_result_opens_its_details_by_a_key,
    ]
}

fn start(wizard: &str) -> Session {
    Session::start(&std::env::current_exe().unwrap(), &["wizard", wizard], &[], (80, 24))
}

/// Waits for a text, then presses keys.
fn walk(session: &mut Session, steps: &[(&str, &str)]) {
    for (shown, keys) in steps {
        session.wait_for(shown);
        session.settle();
        session.keys(keys);
    }
}

/// A fresh wizard at the first question of the first guide.
fn at_first_question(wizard: &str) -> Session {
    let mut session = start(wizard);
    let checked = if wizard == "busy" { "1 warning: see below" } else { FIT };
    walk(&mut session, &[(checked, ENTER), (PRODUCT, ENTER), (NAME, "")]);
    session
}

/// By the list of pages to the page that so many lines stand below the one shown.
fn below(session: &mut Session, lines: usize, shown: &str) {
    session.settle();
    session.keys(F2);
    session.wait_for(MENU);
    session.keys(&format!("{}{ENTER}", DOWN.repeat(lines)));
    session.wait_for(shown);
    session.settle();
}

/// To the review: the list of pages ends with it and the way out.
fn to_review(session: &mut Session, shown: &str) {
    session.settle();
    session.keys(F2);
    session.wait_for(MENU);
    session.keys("\x1b[F\x1b[A\r");
    session.wait_for(shown);
    session.settle();
}

/// Waits until the screen is the picture of this name, or keeps it.
#[track_caller]
fn picture(session: &mut Session, name: &str) {
    session.settle();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pty/tour").join(format!("{name}.txt"));
    if std::env::var_os("TOUR").is_some() {
        // What is found out beside may change the page once more.
        std::thread::sleep(std::time::Duration::from_secs(2));
        session.settle();
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, now(session)).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    session.wait_until(&format!("the picture {}", path.display()), |session| now(session) == kept);
}

/// The screen, without what differs from run to run.
fn now(session: &Session) -> String {
    let screen: Vec<String> = session.screen().lines().map(|line| plain(line.trim_end())).collect();
    screen.join("\n").trim_end().to_owned() + "\n"
}

/// Without the time of a run in its name.
fn plain(line: &str) -> String {
    let Some(at) = line.find("runs/20") else { return line.to_owned() };
    let (head, rest) = line.split_at(at + 5);
    let end = rest.char_indices().position(|(at, _)| at == 15).unwrap_or(rest.len());
    format!("{head}YYYYMMDD-HHMMSS{}", &rest[end..])
}

fn a_wrong_host_name_is_said_at_once_and_corrected() {
    let mut session = at_first_question("fresh");
    below(&mut session, 4, HOST);
    session.keys(&DOWN.repeat(2));
    session.wait_for("▸ Which host name will visitors");
    session.keys(CLEAR);
    session.keys("shop_example");
    session.wait_for("shop_example");
    picture(&mut session, "host-name-wrong");
    session.keys(CLEAR);
    session.keys("shop.example.org");
    session.wait_for("shop.example.org");
    picture(&mut session, "host-name-right");
}

fn a_port_that_is_taken_leads_back_to_its_question() {
    let mut session = at_first_question("busy");
    to_review(&mut session, "the start:");
    picture(&mut session, "port-taken-review");
    session.keys(ENTER);
    session.wait_for("Which port for http");
    picture(&mut session, "port-taken-question");
}

fn from_the_review_one_goes_back_and_forth() {
    let mut session = at_first_question("fresh");
    session.keys(CLEAR);
    session.keys("shop");
    to_review(&mut session, READY);
    session.keys(ESC);
    session.wait_for("Upkeep");
    session.settle();
    to_review(&mut session, "shop-backup");
    assert!(session.screen().contains(READY), "{}", session.screen());
}

fn another_product_keeps_the_answers_of_the_first() {
    let mut session = at_first_question("fresh");
    session.keys(CLEAR);
    session.keys("shop");
    session.wait_for("shop");
    session.keys(ESC);
    session.wait_for(PRODUCT);
    picture(&mut session, "products");
    session.keys(&format!("{DOWN}{ENTER}"));
    session.wait_for("Which repository, directory or archive?");
    session.settle();
    session.keys(ESC);
    walk(&mut session, &[("Product  2/14", "\x1b[A\x1b[A"), ("Product  2/14", ENTER), (NAME, "")]);
    session.wait_for("shop");
}

fn a_pasted_certificate_is_no_path_and_starts_nothing() {
    let mut session = at_first_question("fresh");
    session.paste("-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIUQ\n-----END CERTIFICATE-----\n");
    session.settle();
    assert!(session.screen().contains(NAME), "the page stays:\n{}", session.screen());
    picture(&mut session, "pasted-certificate");
    session.keys(CLEAR);
    session.keys("shop");
    session.wait_for("shop");
}

fn a_small_window_and_a_large_one_show_the_same_page() {
    let mut session = at_first_question("fresh");
    for (size, name) in [((60, 20), "small"), ((200, 50), "large"), ((80, 24), "usual")] {
        session.resize(size.0, size.1);
        session.wait_for(NAME);
        picture(&mut session, &format!("window-{name}"));
    }
}

fn a_run_that_is_left_goes_on() {
    let mut session = start("works");
    walk(&mut session, &[("do the work", "d"), ("Leave it running?", "")]);
    picture(&mut session, "detach");
    session.keys(ENTER);
    assert_eq!(session.exit_status(), 0, "whoever leaves a run that goes on has done nothing wrong");
}

fn after_a_failure_an_answer_can_be_changed() {
    let mut session = start("fails");
    walk(&mut session, &[("Change an answer", "")]);
    picture(&mut session, "failure");
    session.wait_until("the pointer on the choice", |session| {
        let on = session.screen().lines().any(|line| line.contains('▸') && line.contains("Change an answer"));
        if !on {
            session.keys(DOWN);
            session.settle();
        }
        on
    });
    // The run of this machine in memory is of no guide: that is said, and the choices stay.
    session.keys(ENTER);
    session.wait_for("could not read the answers of the run");
    assert!(session.screen().contains("Retry"), "{}", session.screen());
}

fn after_a_failure_a_stage_can_be_rolled_back() {
    let mut session = start("fails");
    walk(&mut session, &[("Roll back this stage", "")]);
    session.wait_until("the pointer on the stage", |session| {
        let on = session.screen().lines().any(|line| line.contains('▸') && line.contains("Roll back this stage"));
        if !on {
            session.keys(DOWN);
            session.settle();
        }
        on
    });
    session.keys(ENTER);
    walk(&mut session, &[("The changes of this stage are undone.", DOWN), ("▸ Roll back this stage", ENTER)]);
    session.wait_for("nothing was changed");
    picture(&mut session, "stage-rolled-back");
}

fn the_result_opens_its_details_by_a_key() {
    let mut session = start("succeeds");
    session.wait_for("https://shop.example.test/");
    picture(&mut session, "result");
    session.wait_until("the pointer on the details", |session| {
        let on = session.screen().lines().any(|line| line.contains('▸') && line.contains("Details"));
        if !on {
            session.keys(DOWN);
            session.settle();
        }
        on
    });
    session.keys(ENTER);
    session.wait_for("Replay");
    picture(&mut session, "result-details");
}
