//! How text may look: how wide, with which signs, in colour or not.

use crate::ui::text;
pub(super) use crate::visible::Style as Paint;

/// The looks that a terminal (or a file) allows. No meaning is in colour alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Columns.
    pub width: usize,
    /// More than ASCII can be shown.
    pub unicode: bool,
    /// Colours are wanted.
    pub colour: bool,
}

/// The sign of something left in place, or worth a look.
pub(super) const MARK: &str = "!";

impl Look {
    /// What everything can show: 80 columns of ASCII.
    pub const PLAIN: Self = Self { width: 80, unicode: false, colour: false };

    /// `text` as this look can show it, without control codes.
    pub(super) fn text(self, text: &str) -> String {
        let text = text::clean(text);
        if self.unicode { text } else { text::ascii(&text) }
    }

    /// `text` in at most `columns` columns.
    pub(super) fn shorten(self, text: &str, columns: usize) -> String {
        text::shorten(text, columns, if self.unicode { "…" } else { "..." })
    }

    /// `text` in colour, when colours are wanted. For whole pieces that are measured before.
    pub(super) fn paint(self, paint: Paint, text: &str) -> String {
        if self.colour { paint.paint(text) } else { text.to_owned() }
    }

    /// The sign of success. The ASCII signs are as wide as the others.
    pub(super) fn tick(self) -> String {
        self.paint(Paint::Good, if self.unicode { "✓" } else { "+" })
    }

    /// The sign of failure.
    pub(super) fn cross(self) -> String {
        self.paint(Paint::Bad, if self.unicode { "✗" } else { "x" })
    }

    /// The sign of something that was so before.
    pub(super) fn same(self) -> &'static str {
        if self.unicode { "·" } else { "=" }
    }

    /// The sign of a rolled back change.
    pub(super) fn back(self) -> &'static str {
        if self.unicode { "↩" } else { "<" }
    }

    /// Between a statement and its evidence.
    pub(super) fn dash(self) -> &'static str {
        if self.unicode { "—" } else { "-" }
    }
}
