//! Text to read: help, a diff, a list, a log. It scrolls, and can be searched.

use unicode_segmentation::UnicodeSegmentation;

use crate::ui::text;
use crate::ui::wizard::keys::{Act, KeyHint, key_hint};
use crate::ui::wizard::overlay::search::Search;
use crate::ui::wizard::page::Transition;
use crate::ui::wizard::theme::{Role, Sign};
use crate::ui::wizard::view::{View, ViewBuilder};

/// A piece of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// Paragraphs: broken where they have to be, with air between them.
    Prose(Role, String),
    /// One line, whose blanks mean something. What is too long goes on in the next.
    Exact(Role, String),
    /// Air.
    Blank,
}

impl Line {
    /// The lines of a unified diff, each with its role.
    pub fn diff(text: &str) -> impl Iterator<Item = Self> {
        text.lines().map(|line| {
            let role = match line.as_bytes() {
                [b'+', b'+', b'+', ..] | [b'-', b'-', b'-', ..] | [b'@', ..] => Role::Dim,
                [b'+', ..] => Role::Added,
                [b'-', ..] => Role::Removed,
                _ => Role::Value,
            };
            Self::Exact(role, line.to_owned())
        })
    }

    /// Writes lines one after the other.
    pub fn write_all(lines: &[Self], writer: &mut ViewBuilder<'_>) {
        for line in lines {
            match line {
                Self::Prose(role, text) => {
                    writer.blank();
                    writer.prose(*role, 0, text);
                }
                Self::Exact(role, text) => exact(*role, text, writer),
                Self::Blank => writer.blank(),
            }
        }
    }
}

/// As many lines as it takes; each but the first begins with a sign that it belongs to the one above.
fn exact(role: Role, line: &str, writer: &mut ViewBuilder<'_>) {
    // A tab would be a blank otherwise, and a Makefile is not to be told from its broken copy.
    let line = writer.clean(&line.replace('\t', "    "));
    let sign = writer.sign(Role::Dim, Sign::Ellipsis);
    let width = writer.width().max(4);
    let mut rest = line.as_str();
    let mut first = true;
    loop {
        let room = if first { width } else { width - sign.width() };
        let mut used = 0;
        let fits = rest.grapheme_indices(true).find(|(_, grapheme)| {
            used += text::width(grapheme);
            used > room
        });
        let (here, more) = rest.split_at(fits.map_or(rest.len(), |(at, _)| at));
        let piece = writer.span(role, here);
        writer.line(if first { vec![piece] } else { vec![sign.clone(), piece] });
        first = false;
        if more.is_empty() || here.is_empty() {
            return;
        }
        rest = more;
    }
}

/// A text over a page.
#[derive(Debug)]
pub struct Pager {
    /// Its head.
    pub title: String,
    lines: Vec<Line>,
    /// What is looked for in it.
    pub search: Search,
}

impl Pager {
    /// A text from its beginning.
    pub fn new(title: impl Into<String>, lines: Vec<Line>) -> Self {
        Self { title: title.into(), lines, search: Search::default() }
    }

    /// A step's log, line for line.
    pub fn log(step: &str, text: &str) -> Self {
        let lines = text.lines().map(|line| Line::Exact(Role::Value, text::of_tool(line))).collect();
        Self::new(format!("Log of {step}"), lines)
    }

    pub(super) fn is_wide(&self) -> bool {
        self.lines.iter().any(|line| matches!(line, Line::Exact(..)))
    }

    pub(super) fn write(&self, mut writer: ViewBuilder<'_>) -> View {
        Line::write_all(&self.lines, &mut writer);
        let found = writer.theme().style(Role::Found);
        let mut doc = writer.done();
        if self.search.is_on() {
            doc.lines = doc.lines.into_iter().map(|line| self.search.mark(line, found)).collect();
        }
        doc
    }

    pub(super) fn key_hints(&self) -> Vec<KeyHint> {
        if self.search.is_typing() {
            return vec![key_hint(Act::Enter, "search"), key_hint(Act::Back, "cancel")];
        }
        let mut key_hints =
            vec![key_hint(Act::Back, "close"), key_hint(Act::Enter, ""), key_hint(Act::Search, "search")];
        if self.search.is_on() {
            key_hints.extend([key_hint(Act::SearchNext, "next"), key_hint(Act::SearchPrevious, "previous")]);
        }
        key_hints
    }

    pub(super) fn act(&mut self, act: Act, doc: &View, top: usize) -> Transition {
        let found = match act {
            Act::Back if self.search.is_typing() => {
                self.search.cancel();
                None
            }
            Act::Enter if self.search.is_typing() => self.search.take(&doc.lines, top),
            Act::Search => {
                self.search.begin();
                None
            }
            Act::SearchNext => self.search.step(true, &doc.lines, top),
            Act::SearchPrevious => self.search.step(false, &doc.lines, top),
            Act::Enter | Act::Back => return Transition::Close,
            _ => None,
        };
        found.map_or(Transition::Stay, Transition::Show)
    }
}
