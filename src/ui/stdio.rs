//! The doors to stdout and stderr: nothing else writes there (clippy.toml forbids it), and whatever passes is made
//! harmless here, see [`visible`]. The wizard has a door of its own: every cell of its screen passes through
//! [`crate::ui::terminal`]'s grid. A reader that went away (`| head`) ends nothing.
#![allow(clippy::disallowed_methods, reason = "these are the doors")]

use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;

use indicatif::{ProgressDrawTarget, TermLike};
use inquire::autocompletion::Autocomplete;
use inquire::ui::RenderConfig;
use inquire::{Confirm, CustomUserError, InquireError, Password, PasswordDisplayMode, Select, Text};
use rustix::termios::{Winsize, tcgetwinsize};

use crate::visible;

/// Writes to stdout.
pub fn print(text: &str) {
    write(&mut io::stdout().lock(), &visible::styled(text));
}

/// As [`print`]; whether someone still reads it.
pub fn is_read(text: &str) -> bool {
    written(&mut io::stdout().lock(), &visible::styled(text))
}

/// As [`json`]; whether someone still reads it.
pub fn is_read_json(text: &str) -> bool {
    written(&mut io::stdout().lock(), &visible::json(text))
}

/// Writes to stderr.
pub fn error(text: &str) {
    write(&mut io::stderr().lock(), &visible::styled(text));
}

/// Writes JSON to stdout: dangerous characters are escaped in JSON's notation, so programs read the same values.
pub fn json(text: &str) {
    write(&mut io::stdout().lock(), &visible::json(text));
}

/// Sequences that a line-editing terminal gets besides text (xterm's modes 2004 and 25).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Pasted text is marked as such.
    EditingGoesOn,
    /// Pasted text is no longer marked, the cursor is shown.
    EditingEnds,
}

/// Switches the terminal on stderr.
pub fn mode(mode: Mode) {
    write(
        &mut io::stderr().lock(),
        match mode {
            Mode::EditingGoesOn => "\u{1b}[?2004h",
            Mode::EditingEnds => "\u{1b}[?2004l\u{1b}[?25h",
        },
    );
}

/// Nobody is left to be told, and the run does not depend on being watched.
fn write(to: &mut dyn Write, text: &str) {
    let _ = written(to, text);
}

fn written(to: &mut dyn Write, text: &str) -> bool {
    to.write_all(text.as_bytes()).and_then(|()| to.flush()).is_ok()
}

/// Whether stdout is a terminal.
pub fn stdout_is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Whether stderr is a terminal.
pub fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Columns and rows of the terminal on stdout.
pub fn stdout_size() -> Option<Winsize> {
    tcgetwinsize(io::stdout()).ok()
}

/// Columns and rows of the terminal on stderr.
pub fn stderr_size() -> Option<Winsize> {
    tcgetwinsize(io::stderr()).ok()
}

/// Where bars are drawn: the terminal on stderr, at most so often a second.
pub fn bars(hz: u8) -> ProgressDrawTarget {
    ProgressDrawTarget::term_like_with_hz(Box::new(Lines::default()), hz)
}

/// Lines that are drawn over. A drawing is written at once.
#[derive(Debug, Default)]
struct Lines(Mutex<String>);

impl Lines {
    fn push(&self, text: &str) -> io::Result<()> {
        self.0.lock().map_err(|_| io::ErrorKind::Other)?.push_str(text);
        Ok(())
    }

    /// `CSI count end`; nothing for no step.
    fn step(&self, count: usize, end: char) -> io::Result<()> {
        if count == 0 { Ok(()) } else { self.push(&format!("\u{1b}[{count}{end}")) }
    }
}

impl TermLike for Lines {
    fn width(&self) -> u16 {
        stderr_size().map(|size| size.ws_col).filter(|columns| *columns > 0).unwrap_or(80)
    }

    fn height(&self) -> u16 {
        stderr_size().map(|size| size.ws_row).filter(|rows| *rows > 0).unwrap_or(24)
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.step(n, 'A')
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.step(n, 'B')
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.step(n, 'C')
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.step(n, 'D')
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.push(&format!("{}\n", visible::styled(text)))
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.push(&visible::styled(text))
    }

    fn clear_line(&self) -> io::Result<()> {
        self.push("\r\u{1b}[2K")
    }

    fn flush(&self) -> io::Result<()> {
        let drawing = std::mem::take(&mut *self.0.lock().map_err(|_| io::ErrorKind::Other)?);
        write(&mut io::stderr().lock(), &drawing);
        Ok(())
    }
}

/// Asks with a line that can be edited: yes or no.
pub fn ask_yes(question: &str) -> Result<bool, InquireError> {
    Confirm::new(&visible::line(question)).with_default(false).prompt()
}

/// Asks with a list to move in.
pub fn ask_which(question: &str, options: &[String], help: &str) -> Result<usize, InquireError> {
    let options = options.iter().map(|option| visible::line(option)).collect();
    let (question, help) = (visible::line(question), visible::line(help));
    let select = Select::new(&question, options).without_filtering().with_help_message(&help);
    select.raw_prompt().map(|chosen| chosen.index)
}

/// Asks for a line. What is typed is the answer; `before`, which was refused, comes back with Tab to be edited, unless
/// it holds what cannot be shown.
pub fn ask_line(before: &str, looks: RenderConfig<'_>) -> Result<String, InquireError> {
    let text = Text::new("").with_render_config(looks);
    if before.is_empty() || visible::line(before) != before {
        return text.prompt();
    }
    let help = format!("Tab brings back {before}");
    text.with_autocomplete(Before(before.to_owned())).with_help_message(&help).prompt()
}

/// What was typed before, for an empty line.
#[derive(Clone, Debug)]
struct Before(String);

impl Autocomplete for Before {
    fn get_suggestions(&mut self, _: &str) -> Result<Vec<String>, CustomUserError> {
        Ok(Vec::new())
    }

    fn get_completion(&mut self, typed: &str, _: Option<String>) -> Result<Option<String>, CustomUserError> {
        Ok(typed.is_empty().then(|| self.0.clone()))
    }
}

/// Asks for a line that is not shown.
pub fn ask_secret(looks: RenderConfig<'_>) -> Result<String, InquireError> {
    let password = Password::new("").without_confirmation().with_display_mode(PasswordDisplayMode::Masked);
    password.with_formatter(&|_| "*****".to_owned()).with_render_config(looks).prompt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::visible::{HOSTILE, Style, is_harmless};

    struct Gone;

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }

    #[test]
    fn a_reader_that_went_away_is_no_panic() {
        write(&mut Gone, "text");
        let mut here = Vec::new();
        write(&mut here, "text");
        assert_eq!(here, b"text");
    }

    #[test]
    fn bars_are_drawn_with_our_own_sequences_only() {
        let lines = Lines::default();
        lines.write_str(&Style::Bold.paint("head")).unwrap();
        lines.move_cursor_up(2).unwrap();
        lines.move_cursor_left(0).unwrap();
        assert_eq!(*lines.0.lock().unwrap(), "\u{1b}[1mhead\u{1b}[0m\u{1b}[2A");
        for hostile in HOSTILE {
            let lines = Lines::default();
            lines.write_line(hostile).unwrap();
            let drawn = lines.0.lock().unwrap().replace("\u{1b}[32m", "").replace("\u{1b}[0m", "");
            assert!(is_harmless(&drawn), "{drawn:?}");
        }
    }
}
