//! The view of a page: lines, the stops among them, and the cursor's place.

use std::ops::Range;

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::ui::text;
use crate::ui::wizard::theme::{Role, Sign, Theme};

/// Something on a page that the pointer can be on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Focus {
    /// A question that is typed or toggled, by its path.
    Field(String),
    /// One choice of a question: its path and the choice's value.
    Choice(String, String),
    /// A line of the page's list, by its place.
    Item(usize),
    /// A step of the run by its id, or another line with a name.
    Step(String),
    /// A stage of the run, by its id.
    Stage(String),
    /// A line of one of several lists: which, and its place there.
    Line(&'static str, usize),
    /// Something to press, by its name.
    Button(&'static str),
}

impl Focus {
    /// The question that it belongs to.
    pub fn path(&self) -> Option<&str> {
        match self {
            Self::Field(path) | Self::Choice(path, _) => Some(path),
            Self::Item(_) | Self::Step(_) | Self::Stage(_) | Self::Line(..) | Self::Button(_) => None,
        }
    }

    /// Whether one key press moves past both: choices of one question, lines of one list.
    pub fn beside(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Line(list, _), Self::Line(others, _)) => list == others,
            _ => self == other || self.path().is_some_and(|path| other.path() == Some(path)),
        }
    }
}

/// A page's text, built for each frame and cut to the screen when it is drawn.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// The lines.
    pub lines: Vec<Line<'static>>,
    /// What can be stopped at, in order, with its lines.
    pub stops: Vec<(Focus, Range<usize>)>,
    /// Line and column of the cursor: where text is typed, else in the line that the pointer is on.
    pub cursor: Option<(usize, u16)>,
}

/// Writes a [`View`] for a given width. All text passes through here, so that nothing in it can steer the terminal
/// and everything fits.
pub struct ViewBuilder<'a> {
    theme: &'a Theme,
    width: usize,
    height: usize,
    focus: Option<&'a Focus>,
    doc: View,
}

impl<'a> ViewBuilder<'a> {
    /// An empty page, `width` columns wide, with the pointer at `focus`.
    pub fn new(theme: &'a Theme, width: u16, focus: Option<&'a Focus>) -> Self {
        Self { theme, width: usize::from(width), height: usize::MAX, focus, doc: View::default() }
    }

    /// For a screen that shows so many lines at once.
    #[must_use]
    pub fn tall(mut self, height: u16) -> Self {
        self.height = usize::from(height);
        self
    }

    /// An empty page for the same screen.
    #[must_use]
    pub fn again(&self) -> Self {
        Self { theme: self.theme, width: self.width, height: self.height, focus: self.focus, doc: View::default() }
    }

    /// The page.
    pub fn done(self) -> View {
        self.doc
    }

    /// The columns there are.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The lines that are seen at once.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The looks.
    pub fn theme(&self) -> &'a Theme {
        self.theme
    }

    /// The next line's number.
    pub fn row(&self) -> usize {
        self.doc.lines.len()
    }

    /// Whether the pointer is on this.
    pub fn at(&self, stop: &Focus) -> bool {
        self.focus == Some(stop)
    }

    /// Text as it can be shown here, without control codes.
    pub fn clean(&self, text: &str) -> String {
        self.theme.text(text)
    }

    /// A piece of text.
    pub fn span(&self, role: Role, text: &str) -> Span<'static> {
        Span::styled(self.clean(text), self.theme.style(role))
    }

    /// A field of so many columns with this text in it, at its end for `right`.
    pub fn field(&self, role: Role, text: &str, columns: usize, right: bool) -> Vec<Span<'static>> {
        let style = self.theme.style(role).patch(self.theme.style(Role::Field));
        let rest = columns.saturating_sub(text::width(text));
        let rest = Span::styled(self.theme.sign(Sign::Blank).repeat(rest), self.theme.style(Role::Field));
        let text = Span::styled(text.to_owned(), style);
        if right { vec![rest, text] } else { vec![text, rest] }
    }

    /// A sign, in the style of a role.
    pub fn sign(&self, role: Role, sign: Sign) -> Span<'static> {
        Span::styled(self.theme.sign(sign).to_owned(), self.theme.style(role))
    }

    /// An empty line, unless the last one is.
    pub fn blank(&mut self) {
        if self.doc.lines.last().is_some_and(|line| line.width() > 0) {
            self.doc.lines.push(Line::default());
        }
    }

    /// A line of pieces; what is too long is cut.
    pub fn line(&mut self, pieces: Vec<Span<'static>>) {
        let line = self.fit(pieces);
        self.doc.lines.push(line);
    }

    /// Text in as many lines as it takes, each indented by so many columns. Empty lines part paragraphs; lines
    /// within a paragraph flow together.
    pub fn prose(&mut self, role: Role, indent: usize, text: &str) {
        let room = self.width.saturating_sub(indent).max(8);
        for (at, paragraph) in text.trim().split("\n\n").enumerate() {
            if at > 0 {
                self.blank();
            }
            for line in text::wrap(&self.clean(paragraph), room) {
                self.line(vec![Span::raw(" ".repeat(indent)), Span::styled(line, self.theme.style(role))]);
            }
        }
    }

    /// A sign with text that hangs beside it.
    pub fn note(&mut self, role: Role, sign: Sign, indent: usize, text: &str) {
        let sign = self.theme.sign(sign).to_owned();
        let hang = indent + text::width(&sign) + 1;
        let style = self.theme.style(role);
        for (at, line) in text::wrap(&self.clean(text), self.width.saturating_sub(hang).max(8)).into_iter().enumerate()
        {
            let lead = if at == 0 { format!("{}{sign} ", " ".repeat(indent)) } else { " ".repeat(hang) };
            self.line(vec![Span::styled(lead, style), Span::styled(line, if at == 0 { style } else { Style::new() })]);
        }
    }

    /// A line with a pointer's place in front of it, two columns wide, and something at its right end.
    pub fn stop_line(&mut self, stop: &Focus, pieces: Vec<Span<'static>>, right: Option<Span<'static>>) {
        let at = self.at(stop);
        if at {
            // Who reads the screen by its cursor finds the line there.
            self.doc.cursor = Some((self.doc.lines.len(), 2));
        }
        let pointer = if at { self.theme.sign(Sign::Pointer) } else { " " };
        let mut all = vec![Span::styled(format!("{pointer} "), self.theme.style(Role::Focus))];
        all.extend(pieces);
        if let Some(right) = right {
            let used: usize = all.iter().map(Span::width).sum();
            if used + 2 + right.width() <= self.width {
                all.push(Span::raw(" ".repeat(self.width - used - right.width())));
                all.push(right);
            }
        }
        self.line(all);
    }

    /// Everything written since line `from` belongs to this stop.
    pub fn stop(&mut self, stop: Focus, from: usize) {
        let to = self.doc.lines.len();
        self.doc.stops.push((stop, from..to));
    }

    /// What was written since the last stop belongs to it too.
    pub fn extend_stop(&mut self) {
        let to = self.doc.lines.len();
        if let Some((_, lines)) = self.doc.stops.last_mut() {
            lines.end = to;
        }
    }

    /// The cursor is in the last line, at this column.
    pub fn cursor(&mut self, column: usize) {
        let row = self.doc.lines.len().saturating_sub(1);
        self.doc.cursor = Some((row, u16::try_from(column).unwrap_or(u16::MAX)));
    }

    /// Something to press.
    pub fn button(&mut self, name: &'static str, says: &str) {
        let stop = Focus::Button(name);
        let from = self.row();
        let role = if self.at(&stop) { Role::Focus } else { Role::Value };
        let piece = self.span(role, &format!("[ {says} ]"));
        self.stop_line(&stop, vec![piece], None);
        self.stop(stop, from);
    }

    fn fit(&self, pieces: Vec<Span<'static>>) -> Line<'static> {
        let total: usize = pieces.iter().map(Span::width).sum();
        if total <= self.width {
            return Line::from(pieces);
        }
        let mut left = self.width;
        let mut fitted = Vec::new();
        for piece in pieces {
            let width = piece.width();
            if width <= left {
                left -= width;
                fitted.push(piece);
                continue;
            }
            if left == 0 {
                break;
            }
            let cut = text::shorten(&piece.content, left, self.theme.sign(Sign::Ellipsis));
            fitted.push(Span::styled(cut, piece.style));
            break;
        }
        Line::from(fitted)
    }
}
