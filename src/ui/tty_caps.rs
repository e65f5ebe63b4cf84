//! What the terminal can do, and the one question that needs no dialogue.

use std::io::{self, BufRead, IsTerminal};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::host::Host;
use crate::ui::estimate::Expected;
use crate::ui::json::Json;
use crate::ui::plain::Plain;
use crate::ui::progress::Bars;
use crate::ui::style::Look;
use crate::ui::{Renderer, stdio};

/// Where no terminal says its width.
const USUAL: usize = 80;
/// Where no terminal says its height.
const USUAL_ROWS: usize = 24;

/// Whether lines of the terminal on stderr can be redrawn, so that something moves on it.
fn redraws(host: &dyn Host, plain: bool) -> bool {
    !plain && stdio::stderr_is_terminal() && moves(host) && stderr_width().is_some()
}

/// The renderer for this terminal: bars where lines can be redrawn, plain lines elsewhere. `expected` is asked where
/// the time left can be shown.
pub fn renderer(host: &dyn Host, json: bool, plain: bool, expected: impl FnOnce() -> Expected) -> Box<dyn Renderer> {
    if json {
        return Box::new(Json::new(stdio::json));
    }
    if redraws(host, plain) {
        let width = || stderr_width().unwrap_or(USUAL);
        Box::new(Bars::on_stderr(look_of(host, width(), stdio::stderr_is_terminal()), width, expected()))
    } else {
        Box::new(Plain::new(look(host), stdio::print))
    }
}

/// The looks of stdout.
pub fn look(host: &dyn Host) -> Look {
    look_of(host, width(host), stdio::stdout_is_terminal())
}

/// The columns of stdout.
pub fn width(_: &dyn Host) -> usize {
    stdout_width().unwrap_or(USUAL)
}

/// Whether stdout is to be coloured.
pub fn colour(host: &dyn Host) -> bool {
    look(host).colour
}

/// The looks of stderr, where questions are asked.
pub fn asking_look(host: &dyn Host) -> Look {
    look_of(host, stderr_width().unwrap_or(USUAL), stdio::stderr_is_terminal())
}

/// The lines that stderr shows at once.
pub fn rows(_: &dyn Host) -> usize {
    columns(stdio::stderr_size().map(|size| size.ws_row)).unwrap_or(USUAL_ROWS)
}

/// Whether lines can be edited: the terminal understands more than lines, and knows its width.
pub fn edits(host: &dyn Host) -> bool {
    moves(host) && stderr_width().is_some()
}

/// Whether a person is there to be asked.
pub fn interactive(_: &dyn Host) -> bool {
    io::stdin().is_terminal() && stdio::stderr_is_terminal()
}

/// Asks a question; anything but yes is no. A plain line where the terminal understands nothing else.
pub fn confirm(host: &dyn Host, question: &str) -> bool {
    if moves(host) {
        return stdio::ask_yes(question).unwrap_or(false);
    }
    stdio::error(&format!("{question} [y/N] "));
    read_yes(&mut io::stdin().lock())
}

/// Asks for one of several; none when nothing was chosen. A list to move in, or numbered lines where the terminal
/// supports nothing else or lines are wanted. `reading` is true while a line is read, which is interrupted only by a
/// signal that ends the program.
pub fn choose(host: &dyn Host, question: &str, options: &[String], plain: bool, reading: &AtomicBool) -> Option<usize> {
    let look = look_of(host, stderr_width().unwrap_or(USUAL), stdio::stderr_is_terminal());
    if !redraws(host, plain) {
        reading.store(true, Ordering::Relaxed);
        let chosen = choose_numbered(look, question, options, &mut io::stdin().lock(), &mut stdio::error);
        reading.store(false, Ordering::Relaxed);
        return chosen;
    }
    // Lines that are broken by the terminal would be counted wrong when the list is drawn again.
    let room = look.width.saturating_sub(4);
    let options: Vec<String> = options.iter().map(|option| look.shorten(&look.text(option), room)).collect();
    stdio::ask_which(question, &options, "Up and Down move, Enter chooses, Escape leaves the run waiting").ok()
}

fn choose_numbered(
    look: Look,
    question: &str,
    options: &[String],
    from: &mut dyn BufRead,
    write: &mut dyn FnMut(&str),
) -> Option<usize> {
    write(&format!("{}\n", look.text(question)));
    for (n, option) in options.iter().enumerate() {
        write(&format!("  {}  {}\n", n + 1, look.text(option)));
    }
    loop {
        write(&format!("Number (1 to {}), or Enter to leave the run waiting: ", options.len()));
        let mut answer = String::new();
        let read = from.read_line(&mut answer).ok()?;
        if read == 0 || answer.trim().is_empty() {
            return None;
        }
        let chosen = answer.trim().parse::<usize>().ok().and_then(|n| n.checked_sub(1));
        match chosen.filter(|chosen| *chosen < options.len()) {
            Some(chosen) => return Some(chosen),
            None => write(&format!("\"{}\" is not one of the choices.\n", look.text(answer.trim()))),
        }
    }
}

fn read_yes(from: &mut dyn BufRead) -> bool {
    let mut answer = String::new();
    let read = from.read_line(&mut answer);
    read.is_ok() && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}

fn look_of(host: &dyn Host, width: usize, terminal: bool) -> Look {
    Look { width, unicode: unicode(host), colour: terminal && moves(host) && unset(host, "NO_COLOR") }
}

/// Whether the terminal understands more than lines.
pub(super) fn moves(host: &dyn Host) -> bool {
    !unset(host, "TERM") && host.env("TERM").as_deref() != Some("dumb")
}

/// Whether the terminal may be asked for its background: one that answers, or ignores what it does not know. GNU screen
/// and old terminals show the question as text; where no colour is wanted the answer is of no use.
pub fn tells_background(host: &dyn Host) -> bool {
    let term = host.env("TERM").unwrap_or_default();
    let family = term.split('-').next().unwrap_or_default();
    let known = [
        "xterm",
        "rxvt",
        "tmux",
        "alacritty",
        "foot",
        "kitty",
        "konsole",
        "gnome",
        "vte",
        "st",
        "ghostty",
        "wezterm",
        "contour",
        "mlterm",
        "iterm2",
    ];
    known.contains(&family) && unset(host, "STY") && unset(host, "NO_COLOR")
}

/// Whether the locale is UTF-8 (the first variable that is set decides, see locale(7)) and the terminal has
/// the signs: the fonts of the Linux console do not.
fn unicode(host: &dyn Host) -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find(|name| !unset(host, name));
    let locale = locale.and_then(|name| host.env(name)).unwrap_or_default().to_lowercase();
    (locale.contains("utf-8") || locale.contains("utf8")) && host.env("TERM").as_deref() != Some("linux")
}

fn unset(host: &dyn Host, name: &str) -> bool {
    host.env(name).is_none_or(|value| value.is_empty())
}

fn stdout_width() -> Option<usize> {
    columns(stdio::stdout_size().map(|size| size.ws_col))
}

fn stderr_width() -> Option<usize> {
    columns(stdio::stderr_size().map(|size| size.ws_col))
}

/// A serial line says that it has no columns (and no lines) at all.
fn columns(said: Option<u16>) -> Option<usize> {
    said.filter(|columns| *columns > 0).map(usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeHost;

    fn host(variables: &[(&str, &str)]) -> FakeHost {
        let host = FakeHost::new();
        for name in ["TERM", "LC_ALL", "LC_CTYPE", "LANG", "NO_COLOR", "STY"] {
            host.set_env(name, "");
        }
        for (name, value) in variables {
            host.set_env(name, value);
        }
        host
    }

    #[test]
    fn the_first_variable_of_the_locale_that_is_set_decides() {
        let xterm = ("TERM", "xterm");
        assert!(unicode(&host(&[xterm, ("LANG", "en_US.UTF-8")])));
        assert!(unicode(&host(&[xterm, ("LANG", "C"), ("LC_CTYPE", "C.utf8")])));
        assert!(!unicode(&host(&[xterm, ("LANG", "C.UTF-8"), ("LC_ALL", "POSIX")])));
        assert!(!unicode(&host(&[xterm])));
        assert!(!unicode(&host(&[("TERM", "linux"), ("LANG", "C.UTF-8")])));
    }

    #[test]
    fn colour_needs_a_terminal_that_understands_it_and_a_reader_who_wants_it() {
        let colour = |variables: &[(&str, &str)], terminal| look_of(&host(variables), 80, terminal).colour;
        assert!(colour(&[("TERM", "xterm")], true));
        assert!(!colour(&[("TERM", "xterm")], false));
        assert!(!colour(&[("TERM", "xterm"), ("NO_COLOR", "1")], true));
        assert!(!colour(&[("TERM", "dumb")], true));
        assert!(!colour(&[], true));
    }

    #[test]
    fn only_terminals_that_answer_are_asked_for_their_background() {
        let asked = |variables: &[(&str, &str)]| tells_background(&host(variables));
        for term in ["xterm", "xterm-256color", "xterm-kitty", "tmux-256color", "rxvt-unicode-256color", "foot"] {
            assert!(asked(&[("TERM", term)]), "{term}");
        }
        for term in
            ["", "dumb", "linux", "screen", "screen-256color", "screen.xterm-256color", "vt100", "vt220", "ansi"]
        {
            assert!(!asked(&[("TERM", term)]), "{term}");
        }
        assert!(!asked(&[("TERM", "xterm"), ("STY", "1.pts-0.host")]));
        assert!(!asked(&[("TERM", "xterm"), ("NO_COLOR", "1")]));
    }

    #[test]
    fn only_yes_is_yes() {
        for (answer, yes) in
            [("y\n", true), ("YES\n", true), (" yes \n", true), ("\n", false), ("", false), ("yep\n", false)]
        {
            assert_eq!(read_yes(&mut answer.as_bytes()), yes, "{answer:?}");
        }
    }

    #[test]
    fn numbered_lines_are_asked_until_one_is_chosen() {
        let options = ["try again".to_owned(), "stop".to_owned()];
        let ask = |typed: &str| {
            let mut shown = String::new();
            let mut write = |text: &str| shown.push_str(text);
            let chosen = choose_numbered(Look::PLAIN, "What now?", &options, &mut typed.as_bytes(), &mut write);
            (chosen, shown)
        };
        let (chosen, shown) = ask("3\nstop\n 2 \n");
        assert_eq!(chosen, Some(1));
        assert!(shown.starts_with("What now?\n  1  try again\n  2  stop\nNumber (1 to 2)"), "{shown}");
        assert_eq!(shown.matches("is not one of the choices").count(), 2, "{shown}");
        for leaves in ["", "\n", "0\n"] {
            assert_eq!(ask(leaves).0, None, "{leaves:?}");
        }
    }

    #[test]
    fn a_terminal_without_columns_has_no_width() {
        assert_eq!([columns(None), columns(Some(0)), columns(Some(40))], [None, None, Some(40)]);
    }
}
