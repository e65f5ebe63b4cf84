//! What only a terminal shows of the wizard's fields and colours.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bringup::host::real::RealHost;
use bringup::ui::prompts::at_terminal;
use libtest_mimic::Trial;

use crate::session::{Answers, CTRL_C, ENTER, Session};
use crate::trial;

const FIT: &str = "All preflight checks passed.";
const PRODUCT: &str = "Product  2/";
const FIELD: &str = "What is the application called?";
const LIGHT: &str = "rgb:ffff/ffff/ffff";
const DARK: &str = "rgb:0000/2b2b/3636";
/// Green of the sign of a check that passed: on light, on dark, and where nothing is known.
const ON_LIGHT: vt100::Color = vt100::Color::Idx(22);
const ON_DARK: vt100::Color = vt100::Color::Idx(114);
const UNKNOWN: vt100::Color = vt100::Color::Idx(2);

macro_rules! trials {
    ($($name:ident),* $(,)?) => {
        vec![$(trial(concat!("fields::", stringify!($name)), $name)),*]
    };
}

pub fn tests() -> Vec<Trial> {
    trials![
        the_theme_follows_the_background,
        a_late_answer_is_followed_and_is_no_key,
        an_answer_on_its_way_does_not_reach_the_shell,
        a_terminal_that_does_not_know_its_background_is_not_waited_for,
        nothing_is_asked_of_terminals_that_would_show_it,
        the_first_key_replaces_a_field_and_the_field_is_underlined,
        the_sizing_page_draws_when_typing_pauses,
        ctrl_c_twice_leaves_and_help_is_the_same_key_in_a_field,
        a_line_begins_empty_and_tab_brings_back_what_was_refused,
    ]
}

/// The program under test: a line is read after another one was refused.
pub fn line() -> ExitCode {
    let mut talk = at_terminal(&RealHost::new(), false);
    talk.tell("How much memory?\n");
    match talk.line("32") {
        Ok(line) => println!("the answer is {line}."),
        Err(gone) => println!("{gone:?}"),
    }
    ExitCode::SUCCESS
}

fn a_line_begins_empty_and_tab_brings_back_what_was_refused() {
    for (keys, answer) in [("64\r", "64"), ("\t\x7f6\r", "36"), ("6\t4\r", "64")] {
        let mut session = Session::start(&program(), &["line"], &[], (80, 24));
        session.wait_for("Tab brings back 32");
        session.settle();
        session.keys(keys);
        session.wait_for(&format!("the answer is {answer}."));
    }
}

fn program() -> PathBuf {
    std::env::current_exe().unwrap()
}

fn on(background: Option<&'static str>, delay: Duration) -> Session {
    Session::answering(&program(), &["wizard", "fresh"], &[], (80, 24), Answers::on(background, delay))
}

/// The colour of the first sign of a check that passed.
fn green(session: &Session) -> Option<vt100::Color> {
    let cells = (0..24).flat_map(|row| (0..80).map(move |column| (column, row)));
    let mut cells = cells.filter_map(|(column, row)| session.cell(column, row));
    cells.find(|cell| cell.contents() == "✓").map(vt100::Cell::fgcolor)
}

fn the_theme_follows_the_background() {
    for (background, colour) in [(Some(LIGHT), ON_LIGHT), (Some(DARK), ON_DARK), (None, UNKNOWN)] {
        let mut session = on(background, Duration::ZERO);
        session.wait_for(FIT);
        session.settle();
        assert_eq!(green(&session), Some(colour), "{background:?}\n{}", session.screen());
        assert_eq!(session.asked(), 1);
    }
}

fn a_late_answer_is_followed_and_is_no_key() {
    let mut session = on(Some(LIGHT), Duration::from_millis(700));
    session.wait_for(FIT);
    assert_eq!(green(&session), Some(UNKNOWN), "the first frame does not wait for it");
    session.keys(ENTER);
    session.wait_for(PRODUCT);
    session.keys(ENTER);
    session.wait_for(FIELD);
    session.keys("shop");
    session.wait_until("the other colours", |session| green(session) == Some(ON_LIGHT));
    session.wait_for("│     shop");
}

fn an_answer_on_its_way_does_not_reach_the_shell() {
    let mut session = on(Some(LIGHT), Duration::from_millis(500));
    session.wait_until("the first frame", |session| session.screen().contains("bringup"));
    session.keys(CTRL_C);
    session.wait_for("Leave bringup?");
    session.keys(CTRL_C);
    assert_eq!(session.exit_status(), 130);
    std::thread::sleep(Duration::from_millis(600));
    session.settle();
    // What a terminal answers to nobody is echoed, and would be a command.
    assert!(!session.screen().contains("11;rgb") && !session.screen().contains("[?62"), "{}", session.screen());
}

fn a_terminal_that_does_not_know_its_background_is_not_waited_for() {
    let mut session = on(None, Duration::ZERO);
    session.wait_for(FIT);
    let start = Instant::now();
    session.keys(CTRL_C);
    session.wait_for("Leave bringup?");
    session.keys(CTRL_C);
    assert_eq!(session.exit_status(), 130);
    assert!(start.elapsed() < Duration::from_millis(900), "{:?}", start.elapsed());
}

fn nothing_is_asked_of_terminals_that_would_show_it() {
    for env in [
        &[("TERM", "screen-256color")][..],
        &[("TERM", "linux")],
        &[("TERM", "vt220")],
        &[("TERM", "xterm"), ("STY", "1.pts-0.host")],
        &[("TERM", "xterm"), ("NO_COLOR", "1")],
    ] {
        let answers = Answers::on(Some(LIGHT), Duration::ZERO);
        let mut session = Session::answering(&program(), &["wizard", "fresh"], env, (80, 24), answers);
        session.wait_for(FIT);
        assert_eq!(session.asked(), 0, "{env:?}");
    }
}

/// At the first field of the first guide.
fn at_field() -> Session {
    let mut session = on(None, Duration::ZERO);
    session.wait_for(FIT);
    session.keys(ENTER);
    session.wait_for(PRODUCT);
    session.keys(ENTER);
    session.wait_for(FIELD);
    session.settle();
    session
}

fn the_first_key_replaces_a_field_and_the_field_is_underlined() {
    let mut session = at_field();
    let (row, column) = session.cursor();
    let underlined = (0..80).filter(|column| session.cell(*column, row).is_some_and(vt100::Cell::underline)).count();
    assert_eq!(underlined, 40, "{}", session.screen());
    let line = |session: &Session| {
        let line = session.screen().lines().nth(usize::from(row)).unwrap_or_default().to_owned();
        line.split('│').nth(1).map(|field| field.trim().to_owned()).unwrap_or_default()
    };
    session.keys("g?");
    session.wait_until("what was typed alone", |session| line(session) == "g?");
    session.keys("\x1b[D\x1b[Ds");
    session.wait_until("what was edited", |session| line(session) == "sg?");
    assert!(session.cursor().1 < column, "{:?}", session.cursor());
}

fn the_sizing_page_draws_when_typing_pauses() {
    let mut session = at_field();
    session.keys("\x14");
    session.wait_for("Esc close");
    session.keys("\x1b[B\x1b[B\x1b[B\r");
    session.wait_for("20 users /");
    session.settle();
    session.bytes_since();
    session.keys("4");
    session
        .wait_until("the digit", |session| session.screen().lines().any(|line| line.contains("  4  How many people")));
    assert!(session.bytes_already() <= 60);
    session.keys("0");
    session.wait_for("40 users /");
    // Nothing is done any more, however long it waits.
    session.bytes_since();
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(session.bytes_since(), 0);
}

fn ctrl_c_twice_leaves_and_help_is_the_same_key_in_a_field() {
    let mut session = at_field();
    session.keys("\x07");
    session.wait_for("It becomes the system user");
    session.keys(CTRL_C);
    session.wait_for("Leave bringup?");
    session.keys(CTRL_C);
    assert_eq!(session.exit_status(), 130);
}
