//! How many bytes a terminal is sent, and how long a first frame takes: the wizard beside whiptail and dialog doing
//! the nearest thing, a menu of eight and a text field, at 80x24. It prints and judges nothing; the budgets are
//! tests (tests/pty). Called by tests/bench/wizard.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::exit,
    clippy::cast_precision_loss,
    missing_docs
)]

use std::process::ExitCode;
use std::time::{Duration, Instant};

#[path = "../pty/session.rs"]
mod session;

use session::{DOWN, Session, UP};

/// Starts that a time is the median of.
const STARTS: usize = 31;
const IDLE: Duration = Duration::from_secs(1);

/// A program on a screen that something is measured of.
struct Screen {
    argv: Vec<String>,
    /// Stands at the end of the first frame.
    first: &'static str,
    /// Keys from there to the screen that is measured.
    keys: &'static str,
    /// Stands on that screen.
    ready: &'static str,
}

/// Nearest thing to nearest thing: what comes up first, a list, a field.
struct Contender {
    name: &'static str,
    opening: Screen,
    menu: Screen,
    field: Screen,
}

const ENTER: &str = "\r";
const ENTRIES: [(&str, &str); 8] = [
    ("demo", "small, shipped with this program"),
    ("directory", "copied; later changes need another run"),
    ("tar", "a file here or a URL"),
    ("git", "a branch, a tag or a commit"),
    ("wsgi", "a Python application behind gunicorn"),
    ("command", "anything that listens on a port"),
    ("static", "files only"),
    ("none", "decide later"),
];

fn contenders() -> [Contender; 3] {
    let screen = |args: &[&str], first, keys, ready| {
        let argv = [&[env!("CARGO_BIN_EXE_bringup")], args].concat().iter().map(ToString::to_string).collect();
        Screen { argv, first, keys, ready }
    };
    let guide = ["--guide", "webapp"];
    let bringup = Contender {
        name: "bringup",
        opening: screen(&[], "leave", "", "leave"),
        menu: screen(&guide, "leave", ENTER, "(•) The demonstration"),
        field: screen(&guide, "leave", "", "What is the application called?"),
    };
    [bringup, boxes("whiptail"), boxes("dialog")]
}

/// whiptail and dialog take the same arguments.
fn boxes(name: &'static str) -> Contender {
    let screen = |args: &[&str]| {
        let argv = [&[name, "--title", "bringup"], args].concat().iter().map(ToString::to_string).collect();
        Screen { argv, first: "Cancel", keys: "", ready: "Cancel" }
    };
    let mut menu = vec!["--menu", "Where does the application come from?", "20", "76", "8"];
    menu.extend(ENTRIES.iter().flat_map(|(entry, says)| [*entry, *says]));
    let field = ["--inputbox", "What is the application called?", "10", "76"];
    Contender { name, opening: screen(&menu), menu: screen(&menu), field: screen(&field) }
}

/// Bytes of single keys.
#[derive(Clone, Copy)]
struct Bytes {
    least: usize,
    median: usize,
    most: usize,
}

struct Figures {
    first_bytes: usize,
    first_ms: f64,
    moved: Bytes,
    typed: Bytes,
    idle: usize,
}

fn main() -> ExitCode {
    let contenders = contenders();
    let mut times = vec![Vec::new(); contenders.len()];
    for _ in 0..STARTS {
        // In turn, so that a busy moment meets all.
        for (contender, times) in contenders.iter().zip(&mut times) {
            times.push(start(&contender.opening).1);
        }
    }
    let figures: Vec<Figures> =
        contenders.iter().zip(&mut times).map(|(contender, times)| measure(contender, times)).collect();
    print(&contenders, &figures);
    ExitCode::SUCCESS
}

/// Starts a program; its session, with the first frame painted and not counted yet, and the milliseconds from its
/// exec to that frame. What it learns of the machine later, and paints then, is no part of it.
fn start(screen: &Screen) -> (Session, f64) {
    // The shell that becomes the program waits for us, so that neither it nor the terminal is measured.
    let mut argv = vec!["-c", r#"echo ready; read -r _; exec "$@""#, "sh"];
    argv.extend(screen.argv.iter().map(String::as_str));
    let mut session = Session::start("/bin/sh".as_ref(), &argv, &[], (80, 24));
    session.wait_for("ready");
    session.echo(false);
    session.bytes_since();
    let start = Instant::now();
    session.keys("\n");
    session.wait_for(screen.first);
    let taken = session.written_at() - start;
    (session, taken.as_secs_f64() * 1000.0)
}

fn measure(contender: &Contender, times: &mut [f64]) -> Figures {
    times.sort_unstable_by(f64::total_cmp);
    let (mut session, _) = start(&contender.opening);
    let first_bytes = session.bytes_already();
    let (mut session, _) = start(&contender.menu);
    reach(&mut session, &contender.menu);
    let keys = [DOWN, DOWN, UP, UP].repeat(4);
    let moved = keys.iter().map(|key| count(&mut session, key)).collect();
    std::thread::sleep(IDLE);
    let idle = session.bytes_since();
    let (mut session, _) = start(&contender.field);
    reach(&mut session, &contender.field);
    let typed = "my-server-in-town".chars().map(|letter| count(&mut session, &letter.to_string())).collect();
    Figures { first_bytes, first_ms: times[times.len() / 2], moved: bytes(moved), typed: bytes(typed), idle }
}

fn reach(session: &mut Session, screen: &Screen) {
    session.keys(screen.keys);
    session.wait_for(screen.ready);
    // The wizard looks at the machine beside it, and shows what it finds.
    std::thread::sleep(IDLE);
    session.bytes_since();
}

fn count(session: &mut Session, key: &str) -> usize {
    session.keys(key);
    session.bytes_since()
}

fn bytes(mut counts: Vec<usize>) -> Bytes {
    counts.sort_unstable();
    Bytes { least: counts[0], median: counts[counts.len() / 2], most: counts[counts.len() - 1] }
}

fn print(contenders: &[Contender], figures: &[Figures]) {
    let row = |title: &str, value: &dyn Fn(&Figures) -> f64, show: &dyn Fn(&Figures) -> String| {
        print!("{title:<34}");
        for figures in figures {
            print!("{:>16}", show(figures));
        }
        for other in &figures[1..] {
            let (ours, theirs) = (value(&figures[0]), value(other));
            print!("{:>13}", if theirs == 0.0 { "-".to_owned() } else { format!("{:.2} x", ours / theirs) });
        }
        println!();
    };
    print!("{:<34}", "80x24");
    for contender in contenders {
        print!("{:>16}", contender.name);
    }
    for other in &contenders[1..] {
        print!("{:>13}", format!("to {}", other.name));
    }
    println!();
    let range = |bytes: Bytes| format!("{} ({}-{})", bytes.median, bytes.least, bytes.most);
    row("first frame, bytes", &|f| f.first_bytes as f64, &|f| f.first_bytes.to_string());
    row("first frame, ms from exec", &|f| f.first_ms, &|f| format!("{:.1}", f.first_ms));
    row("one row down or up, bytes", &|f| f.moved.median as f64, &|f| range(f.moved));
    row("a typed letter, bytes", &|f| f.typed.median as f64, &|f| range(f.typed));
    row("idle for a second, bytes", &|f| f.idle as f64, &|f| f.idle.to_string());
}
