//! Whatever happens to the wizard, on whichever page: one test for each page and event.

use std::collections::BTreeMap;
use std::time::Instant;

use libtest_mimic::Trial;
use rustix::process::Signal;

use crate::session::{CTRL_C, ENTER, Modes, Session, untouched};

const HELP: &str = "\x07";
const PAGES_KEY: &str = "\x14";
/// A tick of the CPU clock, in milliseconds.
const TICK: u128 = 10;

/// What there is to wait for, and the keys that are pressed then.
type Step = (&'static str, &'static str);

/// A page, or a sheet over one.
#[derive(Clone, Copy)]
struct Page {
    name: &'static str,
    /// What the wizard is started as, see [`crate::machine`].
    wizard: &'static str,
    way: &'static [&'static [Step]],
    /// Stands on the page when all of it is there, at 80x24.
    shows: &'static str,
    /// Nothing on it changes by itself.
    still: bool,
}

const FIT: &str = "All preflight checks passed.";
const PRODUCT: &str = "Fits this server";
const FIELD: &str = "What is the application called?";
const SHEET: &str = "Esc close";
/// The plan was compared with the machine; apt, which is asked beside it, has answered.
const READY: &str = "Ready:";
const FORECAST: &str = "on disk";

const TO_FIELD: &[Step] = &[(FIT, ENTER), (PRODUCT, ENTER)];
/// Over the list of pages, which ends with the review and the way out.
const TO_REVIEW: &[Step] = &[(FIELD, PAGES_KEY), (SHEET, "\x1b[F\x1b[A\r"), (READY, "")];

/// From the first action of the plan to the one that writes nginx's site.
const TO_SITE: &str = "\x1b[B\x1b[B\x1b[B\x1b[B\x1b[B\x1b[B\x1b[B\r";

const PAGES: [Page; 13] = [
    page("welcome", "fresh", &[], FIT),
    page("product", "fresh", &[&[(FIT, ENTER)]], PRODUCT),
    page("field", "fresh", &[TO_FIELD], FIELD),
    page("help", "fresh", &[TO_FIELD, &[(FIELD, HELP)]], SHEET),
    page("pages", "fresh", &[TO_FIELD, &[(FIELD, PAGES_KEY)]], SHEET),
    page("leaving", "fresh", &[TO_FIELD, &[(FIELD, CTRL_C)]], SHEET),
    page("choice", "fresh", &[TO_FIELD, &[(FIELD, PAGES_KEY), (SHEET, "\x1b[B\r")]], "Which database engine?"),
    page("sizing", "fresh", &[TO_FIELD, &[(FIELD, PAGES_KEY), (SHEET, "\x1b[B\x1b[B\x1b[B\r")]], "to run"),
    page("review", "fresh", &[TO_FIELD, TO_REVIEW], FORECAST),
    page("diff", "fresh", &[TO_FIELD, TO_REVIEW, &[(FORECAST, TO_SITE)]], "+++ /etc/nginx/sites-available/webapp"),
    Page { still: false, ..page("running", "works", &[], "do the work") },
    page("failure", "fails", &[], "Retry"),
    page("result", "succeeds", &[], "https://shop.example.test/"),
];

const fn page(name: &'static str, wizard: &'static str, way: &'static [&'static [Step]], shows: &'static str) -> Page {
    Page { name, wizard, way, shows, still: true }
}

type Event = (&'static str, fn(Page));

const EVENTS: [Event; 6] = [
    ("interrupted", |page| ended(page, Signal::INT, 130)),
    ("terminated", |page| ended(page, Signal::TERM, 143)),
    ("hung_up", |page| ended(page, Signal::HUP, 129)),
    ("without_a_line", without_a_line),
    ("suspended", suspended),
    ("resized", resized),
];

pub fn tests() -> Vec<Trial> {
    let all = PAGES.into_iter().flat_map(|page| EVENTS.map(|event| (page, event)));
    all.map(|(page, (event, happens))| {
        Trial::test(format!("pages::{}_{event}", page.name), move || {
            happens(page);
            Ok(())
        })
    })
    .collect()
}

fn program() -> String {
    std::env::current_exe().unwrap().display().to_string()
}

/// The wizard on a page.
fn at(page: Page) -> Session {
    let mut session = Session::start(program().as_ref(), &["wizard", page.wizard], &[], (80, 24));
    reach(&mut session, page);
    session
}

fn reach(session: &mut Session, page: Page) {
    for (shown, keys) in page.way.iter().copied().flatten() {
        session.wait_for(shown);
        session.keys(keys);
    }
    session.wait_for(page.shows);
    session.settle();
}

/// What is read on the screen: blanks at the ends of lines may have been written, or not.
fn text(session: &Session) -> String {
    session.screen().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn assert_restored(session: &mut Session) {
    assert_eq!(session.modes(), untouched(), "{}", session.screen());
}

/// How often a program that was busy is looked at again: on a loaded machine it may still be drawing.
const LOOKS: u32 = 10;

/// Waits, with next to no CPU time used meanwhile: somebody may have a clock to draw, or a run to look at.
#[track_caller]
fn assert_idle(session: &mut Session) {
    session.settle();
    let mut seen = String::new();
    for _ in 0..LOOKS {
        let (start, before) = (Instant::now(), session.ticks().unwrap());
        for _ in 0..5 {
            session.settle();
        }
        let used = session.ticks().unwrap() - before;
        let passed = start.elapsed().as_millis();
        if u128::from(used) * TICK <= passed / 5 {
            return;
        }
        seen = format!("used {used} ticks in {passed} ms");
    }
    panic!("{seen}, and so {LOOKS} times\n{}", session.screen());
}

fn ended(page: Page, signal: Signal, status: i32) {
    let mut session = at(page);
    session.signal(signal);
    assert_eq!(session.exit_status(), status);
    assert!(!session.alive());
    assert_restored(&mut session);
}

fn without_a_line(page: Page) {
    let mut session = at(page);
    let before = session.ticks().unwrap();
    session.hang_up();
    session.wait_until_gone();
    // What lost its parent stays a zombie of ours, with its figures.
    if let Some(after) = session.ticks() {
        assert!(after - before <= 5, "used {} ticks after the end of its terminal", after - before);
    }
}

/// The modes while the wizard is shown: how the last thing looked that was drawn depends on the way to it.
fn modes(session: &mut Session) -> Modes {
    Modes { attributes: String::new(), ..session.modes() }
}

fn suspended(page: Page) {
    let mut session = Session::interactive(&[], (80, 24));
    let before = session.modes();
    session.keys(&format!("{} wizard {}\r", program(), page.wizard));
    session.wait_until("the wizard", |session| session.modes().alternate_screen);
    session.find_program();
    reach(&mut session, page);
    let shown = modes(&mut session);
    session.signal(Signal::TSTP);
    session.wait_for("Stopped");
    session.wait_until("the modes of the shell", |session| session.modes() == before);
    assert_eq!(session.state(), "T");
    // Nobody tells it that the terminal has another size now.
    session.resize(100, 30);
    session.keys("fg\r");
    session.wait_for(page.shows);
    let keys = |line: &str| line.contains("Enter") || line.contains("Esc");
    session.wait_until("the keys in the last line", |session| session.screen().lines().nth(29).is_some_and(keys));
    assert_eq!(modes(&mut session), shown);
    assert!(!session.screen().contains("Stopped"), "{}", session.screen());
    assert_idle(&mut session);
    session.signal(Signal::TERM);
    session.wait_until_gone();
    session.wait_until("the modes of the shell", |session| session.modes() == before);
}

fn resized(page: Page) {
    let mut session = at(page);
    let before = modes(&mut session);
    let mut seen = BTreeMap::from([((80, 24), text(&session))]);
    for size in [(1, 1), (300, 100), (80, 24), (300, 100), (1, 1), (80, 24)] {
        session.resize(size.0, size.1);
        if size != (1, 1) {
            session.wait_for(page.shows);
        }
        assert_idle(&mut session);
        // It is the same however it came to this size, and whatever was there.
        let screen = text(&session);
        let before = seen.entry(size).or_insert_with(|| screen.clone());
        assert!(!page.still || *before == screen, "{before}\n--- and after {size:?}\n{screen}");
    }
    assert_eq!(modes(&mut session), before);
    session.signal(Signal::TERM);
    assert_eq!(session.exit_status(), 143);
    assert_restored(&mut session);
}
