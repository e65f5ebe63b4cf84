//! The console: text is written to it, one line at a time is read.

use std::io::{self, BufRead};
use std::time::Duration;

use crossterm::event;
use inquire::InquireError;
use inquire::ui::{RenderConfig, Styled};
use rustix::io::Errno;
use rustix::termios::{LocalModes, OptionalActions, QueueSelector, Termios, tcflush, tcgetattr, tcsetattr};

use crate::host::Host;
use crate::ui::{stdio, tty_caps};

/// The prompt of every answer.
pub const PROMPT: &str = ">";

/// Asks to leave.
const LEAVE: &str = "!";

/// Says something and listens.
pub trait Talk {
    /// Shows text, line breaks included.
    fn tell(&mut self, text: &str);

    /// Reads a line. Where the terminal supports it, the refused input `before` can be recalled for editing.
    fn line(&mut self, before: &str) -> Result<String, Gone>;

    /// Reads a line that is not shown.
    fn secret(&mut self) -> Result<String, Gone>;

    /// Discards what was typed before the present question was shown.
    fn forget_typed_ahead(&mut self) {}
}

/// Nobody answers any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// Ctrl-C.
    Interrupted,
    /// The input has ended.
    Ended,
}

/// Whoever sits at this terminal: with lines that can be edited where it can do more than lines, and with bare
/// lines, free of control codes, where it cannot or where `plain` asks for them.
pub fn at_terminal(host: &dyn Host, plain: bool) -> Box<dyn Talk> {
    if plain || !tty_caps::edits(host) { Box::new(Bare) } else { Box::new(Edited) }
}

/// Lines as the terminal itself hands them over.
struct Bare;

impl Talk for Bare {
    fn tell(&mut self, text: &str) {
        stdio::error(text);
    }

    fn line(&mut self, _before: &str) -> Result<String, Gone> {
        stdio::error(&format!("{PROMPT} "));
        read(&mut io::stdin().lock())
    }

    fn secret(&mut self) -> Result<String, Gone> {
        stdio::error(&format!("{PROMPT} "));
        let shown = hide();
        let read = read(&mut io::stdin().lock());
        if let Ok(shown) = shown {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &shown);
        }
        read
    }

    fn forget_typed_ahead(&mut self) {
        let _ = tcflush(io::stdin(), QueueSelector::IFlush);
    }
}

/// Has the terminal show nothing of what is typed but the line break; the modes it had.
fn hide() -> Result<Termios, Errno> {
    let shown = tcgetattr(io::stdin())?;
    let mut hidden = shown.clone();
    hidden.local_modes -= LocalModes::ECHO;
    hidden.local_modes |= LocalModes::ECHONL;
    tcsetattr(io::stdin(), OptionalActions::Now, &hidden)?;
    Ok(shown)
}

/// One line without its end. Invalid UTF-8 becomes the replacement character, which no question accepts except as text.
fn read(from: &mut dyn BufRead) -> Result<String, Gone> {
    let mut line = Vec::new();
    match from.read_until(b'\n', &mut line) {
        Ok(0) | Err(_) => Err(Gone::Ended),
        Ok(_) => Ok(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned()),
    }
}

/// Lines with a cursor that moves in them.
struct Edited;

impl Edited {
    fn looks() -> RenderConfig<'static> {
        let prompt = Styled::new(PROMPT);
        let looks = RenderConfig::empty().with_prompt_prefix(prompt).with_answered_prompt_prefix(prompt);
        looks.with_canceled_prompt_indicator(Styled::new(LEAVE))
    }
}

impl Talk for Edited {
    fn tell(&mut self, text: &str) {
        stdio::error(text);
    }

    fn line(&mut self, before: &str) -> Result<String, Gone> {
        heard(stdio::ask_line(before, Self::looks()))
    }

    fn secret(&mut self) -> Result<String, Gone> {
        heard(stdio::ask_secret(Self::looks()))
    }

    fn forget_typed_ahead(&mut self) {
        let _ = tcflush(io::stdin(), QueueSelector::IFlush);
        // Keys that were already read; at most those of one read.
        for _ in 0..1024 {
            if !matches!(event::poll(Duration::ZERO), Ok(true)) || event::read().is_err() {
                break;
            }
        }
    }
}

/// Escape asks to leave.
fn heard(said: Result<String, InquireError>) -> Result<String, Gone> {
    match said {
        Ok(line) => Ok(line),
        Err(InquireError::OperationCanceled) => Ok(LEAVE.to_owned()),
        Err(InquireError::OperationInterrupted) => Err(Gone::Interrupted),
        Err(_) => Err(Gone::Ended),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_where_the_line_ends_and_the_input_where_nothing_is_left() {
        let mut input: &[u8] = b"first\r\n\nl\xe4st";
        assert_eq!(read(&mut input), Ok("first".to_owned()));
        assert_eq!(read(&mut input), Ok(String::new()));
        assert_eq!(read(&mut input), Ok("l\u{fffd}st".to_owned()));
        assert_eq!(read(&mut input), Err(Gone::Ended));
    }
}
