//! The full-screen terminal alone, under the demo.

use libtest_mimic::Trial;
use rustix::process::Signal;

use crate::session::{CTRL_C, CTRL_Z, DOWN, ESC, Session, UP, untouched};
use crate::trial;

macro_rules! trials {
    ($($name:ident),* $(,)?) => {
        vec![$(trial(concat!("terminal::", stringify!($name)), $name)),*]
    };
}

pub fn tests() -> Vec<Trial> {
    trials![
        leaving_gives_the_terminal_back,
        a_terminal_from_outside_of_the_pid_namespace_is_given_back,
        signals_give_the_terminal_back,
        signals_in_a_row_are_one,
        a_panic_gives_the_terminal_back,
        a_line_that_goes_away_ends_the_program,
        a_line_that_goes_away_without_a_signal_ends_the_program,
        a_line_that_goes_away_in_the_middle_of_a_sequence_ends_the_program,
        ctrl_z_suspends_and_fg_continues,
        a_signal_suspends_and_continues,
        a_program_that_was_stopped_unasked_paints_anew,
        a_suspended_program_can_be_terminated,
        ctrl_z_stops_nothing_where_nobody_could_continue,
        a_shell_gets_the_terminal_and_gives_it_back,
        an_interrupted_child_does_not_end_the_program,
        a_suspended_child_suspends_the_program,
        a_signal_that_came_while_a_child_had_the_terminal_is_told,
        another_size_is_painted_anew,
        a_size_that_changed_while_a_child_had_the_terminal_is_told,
        a_terminal_without_a_size_is_refused,
        a_pipe_is_refused,
        a_paste_is_one_input,
        a_paste_that_arrives_in_pieces_is_one_input,
        split_sequences_are_whole_keys,
        rubbish_is_survived,
        a_flood_of_keys_is_worked_off,
        unread_keys_do_not_reach_the_shell,
        a_terminal_that_takes_nothing_can_be_left,
        threads_and_timeouts_wake,
        nothing_is_written_and_no_time_used_while_idle,
        few_bytes_are_written,
    ]
}

fn start(size: (u16, u16)) -> Session {
    Session::start(&std::env::current_exe().unwrap(), &["demo"], &[], size)
}

/// The demo, painted.
fn demo() -> Session {
    let mut session = start((80, 24));
    session.wait_for("F3 shell");
    session.settle();
    session
}

#[track_caller]
fn assert_restored(session: &mut Session) {
    assert_eq!(session.modes(), untouched(), "{}", session.screen());
}

/// How many rows show the name of a product.
fn marked(session: &Session) -> Vec<u16> {
    (2..10).filter(|row| session.cell(1, *row).unwrap().contents() == "▸").collect()
}

#[track_caller]
fn wait_for_mark(session: &mut Session, row: u16) {
    session.wait_until(&format!("the mark in row {row}"), |session| marked(session) == [row]);
}

/// Whether the program uses no CPU time while it waits. (Somebody may have to schedule it once.)
#[track_caller]
fn assert_idle(session: &mut Session) {
    session.settle();
    let before = session.ticks().unwrap();
    for _ in 0..5 {
        session.settle();
    }
    let used = session.ticks().unwrap() - before;
    assert!(used <= 1, "used {used} ticks while idle");
}

fn leaving_gives_the_terminal_back() {
    let mut session = demo();
    let modes = session.modes();
    assert!(modes.alternate_screen && modes.bracketed_paste, "{modes:?}");
    session.keys(CTRL_C);
    assert_eq!(session.exit_status(), 0);
    assert!(session.screen().starts_with("the demo says good-bye"), "{}", session.screen());
    assert_restored(&mut session);
}

/// As with nsenter and some containers: the kernel names groups and sessions from outside by 0.
fn a_terminal_from_outside_of_the_pid_namespace_is_given_back() {
    let namespace = ["--pid", "--fork", "--kill-child"];
    if !std::process::Command::new("unshare").args(namespace).arg("true").status().is_ok_and(|status| status.success())
    {
        return;
    }
    let program = std::env::current_exe().unwrap();
    let args: Vec<&str> = namespace.into_iter().chain([program.to_str().unwrap(), "demo"]).collect();
    let mut session = Session::start("/usr/bin/unshare".as_ref(), &args, &[], (80, 24));
    session.wait_for("F3 shell");
    session.settle();
    session.keys(CTRL_C);
    assert_eq!(session.exit_status(), 0);
    assert_restored(&mut session);
}

fn signals_give_the_terminal_back() {
    for (signal, status) in [(Signal::TERM, 143), (Signal::INT, 130), (Signal::HUP, 129), (Signal::QUIT, 143)] {
        let mut session = demo();
        session.signal(signal);
        assert_eq!(session.exit_status(), status, "{signal:?}");
        assert_restored(&mut session);
    }
}

fn signals_in_a_row_are_one() {
    let mut session = demo();
    for signal in [Signal::TERM, Signal::HUP, Signal::INT, Signal::TERM] {
        session.signal(signal);
    }
    session.exit_status();
    assert_restored(&mut session);
}

fn a_panic_gives_the_terminal_back() {
    let mut session = demo();
    session.keys("\x1bOQ");
    assert_eq!(session.exit_status(), 5);
    assert!(session.screen().contains("as asked for"), "{}", session.screen());
    assert_restored(&mut session);
}

/// The line goes away; the program ends, and does nothing else.
#[track_caller]
fn hang_up(session: &mut Session) {
    session.settle();
    let before = session.ticks().unwrap();
    session.hang_up();
    session.wait_until_gone();
    // What lost its parent stays a zombie of ours, with its figures.
    if let Some(after) = session.ticks() {
        assert!(after - before <= 2, "used {} ticks after the end of its terminal", after - before);
    }
}

fn a_line_that_goes_away_ends_the_program() {
    let mut session = demo();
    session.keys(DOWN);
    hang_up(&mut session);
}

fn a_line_that_goes_away_without_a_signal_ends_the_program() {
    // In a session of its own, of which this terminal is not the controlling one.
    let program = std::env::current_exe().unwrap();
    let mut session = Session::start("/usr/bin/setsid".as_ref(), &[program.to_str().unwrap(), "demo"], &[], (80, 24));
    session.wait_for("F3 shell");
    session.keys(DOWN);
    wait_for_mark(&mut session, 3);
    hang_up(&mut session);
}

fn a_line_that_goes_away_in_the_middle_of_a_sequence_ends_the_program() {
    for beginning in [&b"\x1b[1;"[..], b"\x1b[200~half a paste", b"\xe6\x97", b"\x1b"] {
        let mut session = demo();
        session.bytes(beginning);
        hang_up(&mut session);
    }
}

/// An interactive shell with the demo in the foreground.
fn demo_in_a_shell() -> Session {
    let mut session = Session::interactive(&[], (80, 24));
    let program = std::env::current_exe().unwrap();
    session.keys(&format!("{} demo\r", program.display()));
    session.wait_for("F3 shell");
    session.find_program();
    session
}

/// A shell loses what is typed before it reads, which is a moment after its prompt.
fn wait_for_prompt(session: &mut Session) {
    session.wait_until("the prompt", |session| session.screen().trim_end().ends_with('$'));
    session.settle();
}

fn ctrl_z_suspends_and_fg_continues() {
    let mut session = Session::interactive(&[], (80, 24));
    let before = session.modes();
    let program = std::env::current_exe().unwrap();
    session.keys(&format!("{} demo\r", program.display()));
    session.wait_for("F3 shell");
    session.find_program();
    session.keys(DOWN);
    wait_for_mark(&mut session, 3);
    for _ in 0..2 {
        session.keys(CTRL_Z);
        session.wait_for("Stopped");
        wait_for_prompt(&mut session);
        assert_eq!(session.modes(), before);
        assert_eq!(session.state(), "T");
        session.keys("fg\r");
        session.wait_for("continued");
        wait_for_mark(&mut session, 3);
        assert!(session.modes().alternate_screen);
    }
    session.keys(CTRL_C);
    session.wait_for("good-bye");
    assert_eq!(session.modes(), before);
}

fn a_signal_suspends_and_continues() {
    let mut session = demo_in_a_shell();
    session.signal(Signal::TSTP);
    session.wait_for("Stopped");
    assert!(!session.modes().alternate_screen);
    // In the background there is no screen for it.
    session.keys("bg\r");
    session.settle();
    assert!(!session.modes().alternate_screen);
    session.keys("fg\r");
    session.wait_for("continued");
    session.keys(DOWN);
    wait_for_mark(&mut session, 3);
}

fn a_program_that_was_stopped_unasked_paints_anew() {
    let mut session = demo_in_a_shell();
    session.signal(Signal::STOP);
    session.wait_for("Stopped");
    session.keys("fg\r");
    session.wait_for("continued");
    session.keys(DOWN);
    wait_for_mark(&mut session, 3);
    assert!(!session.screen().contains("Stopped"), "{}", session.screen());
    session.keys(CTRL_C);
    session.wait_for("good-bye");
}

fn a_suspended_program_can_be_terminated() {
    let mut session = demo_in_a_shell();
    session.keys(CTRL_Z);
    session.wait_for("Stopped");
    let before = session.modes();
    session.keys("kill %1\r");
    session.wait_until_gone();
    session.keys("echo shell $((40 + 2))\r");
    session.wait_for("shell 42");
    assert_eq!(session.modes(), before);
}

fn ctrl_z_stops_nothing_where_nobody_could_continue() {
    // The shell of this session has no job control, as the one of `ssh HOST bringup`.
    let mut session = demo();
    session.keys(CTRL_Z);
    session.wait_for("continued");
    assert_ne!(session.state(), "T");
    session.keys(DOWN);
    wait_for_mark(&mut session, 3);
}

fn a_shell_gets_the_terminal_and_gives_it_back() {
    let mut session = demo();
    session.keys("abc");
    session.keys("\x1bOR");
    session.wait_for("in the shell");
    assert_restored(&mut session);
    session.keys("7\r");
    session.wait_for("shell: Some(7)");
    session.wait_for("abc");
    session.keys("d");
    session.wait_for("abcd");
    session.keys(CTRL_C);
    session.exit_status();
    assert_restored(&mut session);
}

fn an_interrupted_child_does_not_end_the_program() {
    let mut session = demo();
    session.keys("\x1bOR");
    session.wait_for("in the shell");
    session.keys(CTRL_C);
    session.wait_for("shell: None");
    session.keys(DOWN);
    wait_for_mark(&mut session, 3);
}

fn a_suspended_child_suspends_the_program() {
    let mut session = demo_in_a_shell();
    session.keys("\x1bOR");
    session.wait_for("in the shell");
    session.keys(CTRL_Z);
    session.wait_for("Stopped");
    wait_for_prompt(&mut session);
    session.keys("fg\r");
    // Only then the terminal is the child's: before, the shell above reads what is typed.
    session.wait_until("the program to go on", |session| session.state() != "T");
    session.keys("7\r");
    session.wait_for("shell: Some(7)");
    session.keys(DOWN);
    wait_for_mark(&mut session, 3);
}

fn a_signal_that_came_while_a_child_had_the_terminal_is_told() {
    let mut session = demo();
    session.keys("\x1bOR");
    session.wait_for("in the shell");
    session.signal(Signal::TERM);
    session.settle();
    assert!(session.alive(), "it waits for its child");
    session.keys("7\r");
    assert_eq!(session.exit_status(), 143);
    assert_restored(&mut session);
}

fn another_size_is_painted_anew() {
    let mut session = demo();
    for (columns, rows) in [(300, 100), (1, 1), (40, 12), (80, 1), (2, 50), (80, 24)] {
        session.settle();
        session.resize(columns, rows);
        // The size is shown in the first row, from column 60.
        session.settle();
        if columns >= 70 {
            session.wait_for(&format!("{columns}x{rows}"));
        }
        assert!(session.alive());
    }
    session.wait_for("F3 shell");
    session.keys(DOWN);
    wait_for_mark(&mut session, 3);
    // A burst of sizes, as from a window that is dragged.
    for columns in 60..120 {
        session.resize(columns, 24);
    }
    session.wait_for("119x24");
    session.keys(CTRL_C);
    session.exit_status();
    assert_restored(&mut session);
}

fn a_size_that_changed_while_a_child_had_the_terminal_is_told() {
    let mut session = demo();
    session.keys("\x1bOR");
    session.wait_for("in the shell");
    session.resize(100, 30);
    session.keys("7\r");
    session.wait_for("100x30");
    session.wait_for("shell: Some(7)");
}

fn a_terminal_without_a_size_is_refused() {
    let mut session = start((0, 0));
    assert_eq!(session.exit_status(), 2);
    assert!(session.screen().starts_with("no full screen"), "{}", session.screen());
}

fn a_pipe_is_refused() {
    let program = std::env::current_exe().unwrap();
    let script = format!("{} demo | cat; exit 2", program.display());
    let mut session = Session::start("/bin/sh".as_ref(), &["-c", &script], &[], (80, 24));
    assert_eq!(session.exit_status(), 2);
    assert!(session.screen().contains("no full screen: no terminal"), "{}", session.screen());
    assert_restored(&mut session);
}

fn a_paste_is_one_input() {
    let mut session = demo();
    let text = "ten letters\n".repeat(1000);
    session.paste(&text);
    session.wait_for(&format!("pasted {} bytes", text.len()));
    session.wait_for("1000 lines");
    session.keys("x");
    session.wait_for("Name  x");
}

fn a_paste_that_arrives_in_pieces_is_one_input() {
    let mut session = demo();
    for piece in ["\x1b[200~rm -rf", " /\r", "\x1b", "[2", "01~"] {
        session.keys(piece);
        session.settle();
    }
    session.wait_for("pasted 9 bytes");
    session.wait_for("1 lines");
}

fn split_sequences_are_whole_keys() {
    let mut session = demo();
    for (row, pieces) in (3..).zip([["\x1b[", "B"], ["\x1b", "[B"], ["\x1bO", "B"], ["\x1b[1;1", "B"]]) {
        // On a busy machine the pieces may come too far apart, now and then.
        let whole = (0..20).any(|_| {
            for piece in pieces {
                session.keys(piece);
            }
            session.settle();
            marked(&session) == [row]
        });
        assert!(whole, "{pieces:?}\n{}", session.screen());
    }
    session.keys(ESC);
    session.wait_for("escape");
    for byte in "日本".as_bytes() {
        session.bytes(&[*byte]);
        session.settle();
    }
    session.wait_for("日本");
}

fn rubbish_is_survived() {
    let mut session = demo();
    let mut number: u32 = 1;
    let rubbish: Vec<u8> = (0..20_000)
        .map(|_| {
            number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            u8::try_from(number >> 24).unwrap()
        })
        // Not the keys that the demo acts upon.
        .filter(|byte| ![3, 0x1a].contains(byte))
        .collect();
    for chunk in rubbish.chunks(997) {
        session.bytes(chunk);
    }
    // Out of whatever sequence or paste it is in.
    session.keys("\x1b[201~");
    session.settle();
    session.keys("\x1b\\");
    session.settle();
    session.keys("sane");
    session.wait_for("sane");
    session.keys(CTRL_C);
    session.exit_status();
    assert_restored(&mut session);
}

fn a_flood_of_keys_is_worked_off() {
    let mut session = demo();
    session.bytes_since();
    session.keys(&DOWN.repeat(8003));
    wait_for_mark(&mut session, 5);
    session.settle();
    assert_eq!(marked(&session), [5]);
    // One frame for all that was read at once: far fewer than one for each key.
    let bytes = session.bytes_since();
    assert!(bytes < 8003 * 4, "{bytes} bytes");
    assert_idle(&mut session);
}

fn unread_keys_do_not_reach_the_shell() {
    let mut session = demo();
    session.signal(Signal::STOP);
    // More than is read at once.
    session.keys(&format!("{}\nreboot\n", "x".repeat(4200)));
    session.signal(Signal::TERM);
    session.signal(Signal::CONT);
    assert_eq!(session.exit_status(), 143);
    // After the program, `cat` reads what is left.
    session.keys("done\r");
    session.wait_for("done\ndone");
    assert!(!session.screen().contains("reboot"), "{}", session.screen());
}

fn a_terminal_that_takes_nothing_can_be_left() {
    let mut session = demo();
    let before = untouched();
    session.read(false);
    // Whole frames pile up until the line takes no more.
    for number in 0..100 {
        session.resize(80 + number % 2, 24);
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    session.signal(Signal::TERM);
    session.wait_until_gone();
    session.read(true);
    assert_eq!(session.modes().termios, before.termios);
}

fn threads_and_timeouts_wake() {
    let mut session = demo();
    session.keys("\x1bOS");
    session.wait_for("woken");
    session.keys("\x1b[15~");
    session.wait_for("Timeout");
}

fn nothing_is_written_and_no_time_used_while_idle() {
    let mut session = demo();
    session.bytes_since();
    assert_idle(&mut session);
    assert_eq!(session.bytes_since(), 0);
    // A key that changes nothing writes nothing.
    session.keys("\x7f");
    assert_eq!(session.bytes_since(), 0);
}

fn few_bytes_are_written() {
    let mut session = demo();
    let first = session.bytes_since();
    assert!(first <= 4096, "first frame: {first} bytes");
    let mut moves = Vec::new();
    for (key, row) in [(DOWN, 3), (DOWN, 4), (DOWN, 5), (UP, 4), (DOWN, 5), (DOWN, 6), (DOWN, 7), (UP, 6), (UP, 5)] {
        session.keys(key);
        wait_for_mark(&mut session, row);
        moves.push(session.bytes_since());
    }
    moves.sort_unstable();
    assert!(moves[moves.len() / 2] <= 60, "moving in a list: {moves:?}");
    let mut typed = Vec::new();
    let mut text = "Name  ".to_owned();
    for letter in "my-server".chars() {
        session.keys(&letter.to_string());
        text.push(letter);
        session.wait_for(&text);
        typed.push(session.bytes_since());
    }
    typed.sort_unstable();
    assert!(typed[typed.len() / 2] <= 12, "typing: {typed:?}");
    assert!(typed[typed.len() - 1] <= 60, "typing: {typed:?}");
    session.keys("\x1b[6~");
    session.wait_for("package number 5 ");
    let scrolled = session.bytes_since();
    assert!(scrolled < 150, "a line more in the log: {scrolled} bytes");
}
