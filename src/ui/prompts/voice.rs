//! Output of the dialogue: wrapped lines, numbered choices, and the few commands that are not answers.

use crate::error::Exit;
use crate::ui::prompts::talk::{Gone, Talk};
use crate::ui::style::{Look, MARK, Paint};
use crate::ui::text;

/// Lines longer than this are hard to read.
const WIDEST: usize = 100;
/// Narrower than this, there is no room for a word behind its label.
const NARROWEST: usize = 20;

/// Speaks at a width, and listens.
pub struct Voice<'a> {
    talk: &'a mut dyn Talk,
    /// How text may look.
    pub look: Look,
    /// Lines that are seen at once.
    pub rows: usize,
}

/// What was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Empty: the suggested answer is accepted.
    Enter,
    /// An answer.
    Text(String),
    /// `?`
    Help,
    /// `<` or `back`
    Back,
    /// `!` or `quit`
    Leave,
}

/// What was chosen from a numbered list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick {
    /// The item at this index.
    Item(usize),
    /// To go back.
    Back,
    /// To leave.
    Leave,
}

impl Heard {
    /// Parses a line. A backslash before a command makes it an answer.
    pub fn of(line: &str) -> Self {
        match line.trim() {
            "" => Self::Enter,
            "?" => Self::Help,
            "<" | "back" => Self::Back,
            "!" | "quit" => Self::Leave,
            text => {
                let escaped = text.strip_prefix('\\').filter(|rest| matches!(*rest, "?" | "<" | "back" | "!" | "quit"));
                Self::Text(escaped.unwrap_or(text).to_owned())
            }
        }
    }
}

impl<'a> Voice<'a> {
    /// Speaks to `talk`.
    pub fn new(talk: &'a mut dyn Talk, look: Look, rows: usize) -> Self {
        Self { talk, look: Look { width: look.width.clamp(NARROWEST, WIDEST), ..look }, rows }
    }

    /// A line as it is.
    pub fn line(&mut self, line: &str) {
        self.talk.tell(&format!("{}\n", line.trim_end()));
    }

    /// A blank line.
    pub fn blank(&mut self) {
        self.line("");
    }

    /// Something new begins.
    pub fn heading(&mut self, text: &str) {
        self.blank();
        for line in text::wrap(&self.look.text(text), self.look.width) {
            self.line(&self.look.paint(Paint::Bold, &line));
        }
    }

    /// Paragraphs, wrapped; blank lines between them stay.
    pub fn prose(&mut self, indent: usize, text: &str) {
        for (n, paragraph) in text.trim().split("\n\n").enumerate() {
            if n > 0 {
                self.blank();
            }
            self.hanging(&" ".repeat(indent), paragraph);
        }
    }

    /// A text behind its beginning, with further lines below the text.
    pub fn hanging(&mut self, lead: &str, text: &str) {
        let lead = self.look.text(lead);
        let indent = text::width(&lead);
        let room = self.look.width.saturating_sub(indent).max(NARROWEST / 2);
        for (n, line) in text::wrap(&self.look.text(text), room).iter().enumerate() {
            if n == 0 {
                self.line(&format!("{lead}{line}"));
            } else {
                self.line(&format!("{:indent$}{line}", ""));
            }
        }
    }

    /// Something that does not do, with what does.
    pub fn refusal(&mut self, message: &str, hint: &str) {
        let hint = if hint.is_empty() { String::new() } else { format!(" ({hint})") };
        self.hanging(&format!("  {MARK} "), &format!("{message}{hint}"));
    }

    /// What Enter takes.
    pub fn enter(&mut self, what: &str) {
        self.hanging("  [Enter] ", what);
    }

    /// Reads a line; the refused input `before` can be recalled.
    pub fn hear(&mut self, before: &str) -> Result<Heard, Exit> {
        let line = self.talk.line(before);
        self.understood(line)
    }

    /// Hears a line that is not shown.
    pub fn hear_secret(&mut self) -> Result<Heard, Exit> {
        let line = self.talk.secret();
        self.understood(line)
    }

    /// What was typed so far answers nothing that is said from here on.
    pub fn forget_typed_ahead(&mut self) {
        self.talk.forget_typed_ahead();
    }

    fn understood(&mut self, line: Result<String, Gone>) -> Result<Heard, Exit> {
        match line {
            Ok(line) => Ok(Heard::of(&line)),
            Err(gone) => {
                self.blank();
                self.line("Nothing was changed.");
                Err(if gone == Gone::Interrupted { Exit::Interrupted } else { Exit::Rejected })
            }
        }
    }

    /// One of several, by its number; Enter takes the default.
    pub fn choose(&mut self, items: &[String], default: Option<usize>) -> Result<Pick, Exit> {
        for (n, item) in items.iter().enumerate() {
            self.hanging(&number(n, items.len()), item);
        }
        if let Some(default) = default {
            self.enter(&(default + 1).to_string());
        }
        let allowed =
            if items.len() == 1 { "type 1".to_owned() } else { format!("type a number from 1 to {}", items.len()) };
        loop {
            let heard = self.hear("")?;
            let number = match (&heard, default) {
                (Heard::Back, _) => return Ok(Pick::Back),
                (Heard::Leave, _) => return Ok(Pick::Leave),
                (Heard::Enter, Some(default)) => return Ok(Pick::Item(default)),
                (Heard::Text(text), _) => text.parse::<usize>().ok().filter(|n| (1..=items.len()).contains(n)),
                _ => None,
            };
            match number {
                Some(number) => return Ok(Pick::Item(number - 1)),
                None => self.refusal(&allowed, ""),
            }
        }
    }
}

/// `   2  ` before the second of at most nine items.
pub fn number(index: usize, of: usize) -> String {
    format!("  {:>width$}  ", index + 1, width = of.to_string().len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backslash_makes_an_answer_of_a_word_that_is_none() {
        let text = |text: &str| Heard::Text(text.to_owned());
        assert_eq!(
            [" ", "?", "<", "back", "!", " quit "].map(Heard::of),
            [Heard::Enter, Heard::Help, Heard::Back, Heard::Back, Heard::Leave, Heard::Leave]
        );
        assert_eq!(
            ["\\back", "\\?", "\\d+", "backs"].map(Heard::of),
            [text("back"), text("?"), text("\\d+"), text("backs")]
        );
    }
}
