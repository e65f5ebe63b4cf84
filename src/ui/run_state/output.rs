//! What steps said while they worked, as much of it as memory should hold. All of it is in the logs.

use std::collections::VecDeque;

/// Lines kept of all steps together; the oldest go first.
const LINES: usize = 5_000;
/// Characters kept of a line.
const LONGEST: usize = 500;

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A tool said it.
    Output,
    /// The engine said it.
    Note,
    /// A change was rolled back.
    Undone,
    /// Something was left in place.
    Kept,
    /// Something was saved before it was dropped.
    Saved,
    /// Something failed.
    Failed,
}

/// A line of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Its number, counted over all steps from 0.
    pub number: usize,
    /// What it is.
    pub kind: Kind,
    /// The text.
    pub text: String,
    step: String,
}

/// The lines of all steps, the oldest first.
#[derive(Clone, Debug, Default)]
pub struct Output {
    lines: VecDeque<Said>,
    next: usize,
}

impl Output {
    /// Adds a line of a step. Empty ones say nothing.
    pub fn push(&mut self, step: &str, kind: Kind, text: &str) {
        if text.trim().is_empty() {
            return;
        }
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        // A tool that overwrites its line writes the latest text after the last carriage return.
        let text = text.trim_end().rsplit('\r').next().unwrap_or(text);
        let text = text.chars().take(LONGEST).collect();
        self.lines.push_back(Said { number: self.next, kind, text, step: step.to_owned() });
        self.next += 1;
    }

    /// The lines of a step, the oldest first.
    pub fn of<'a>(&'a self, step: &'a str) -> impl DoubleEndedIterator<Item = &'a Said> {
        self.lines.iter().filter(move |line| line.step == step)
    }

    /// The lines of all steps, the oldest first.
    pub fn all(&self) -> impl DoubleEndedIterator<Item = &Said> {
        self.lines.iter()
    }

    /// How many lines are kept.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_lines_go_and_long_ones_are_cut() {
        let mut output = Output::default();
        for n in 0..LINES + 10 {
            output.push(if n % 2 == 0 { "even" } else { "odd" }, Kind::Output, &format!("line {n}"));
        }
        output.push("odd", Kind::Output, &"x".repeat(LONGEST * 10));
        assert_eq!(output.len(), LINES);
        assert_eq!(output.of("even").next().map(|line| line.number), Some(12));
        assert_eq!(output.of("odd").next_back().map(|line| line.text.len()), Some(LONGEST));
    }

    #[test]
    fn a_line_that_a_tool_overwrote_is_kept_as_it_was_last_seen() {
        let mut output = Output::default();
        output.push("a", Kind::Output, " 10 %\r 20 %\r100 %\n");
        output.push("a", Kind::Output, "  \n");
        assert_eq!(output.of("a").map(|line| line.text.as_str()).collect::<Vec<_>>(), ["100 %"]);
    }
}
