//! A screen full of characters in the form in which two of them are compared.

use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::ui::style::Look;
use crate::ui::terminal::attr::Attr;
use crate::ui::text;
use crate::visible;

/// The content of one column.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Glyph {
    /// One character, one or two columns wide.
    Char(char),
    /// Several characters that make one sign. Terminals differ about how wide such a sign is.
    Cluster(Box<str>),
    /// The second half of the sign to the left.
    Covered,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Cell {
    pub glyph: Glyph,
    pub attr: Attr,
    /// Columns; 0 when covered.
    pub width: u16,
}

impl Cell {
    pub const BLANK: Self = Self { glyph: Glyph::Char(' '), attr: Attr::PLAIN, width: 1 };

    const COVERED: Self = Self { glyph: Glyph::Covered, attr: Attr::PLAIN, width: 0 };

    pub fn is_blank(&self) -> bool {
        self.glyph == Glyph::Char(' ')
    }

    /// A blank is a blank, whatever its foreground color.
    fn new(glyph: Glyph, attr: Attr, width: u16) -> Self {
        let attr = if glyph == Glyph::Char(' ') { attr.on_blank() } else { attr };
        Self { glyph, attr, width }
    }
}

/// Rows of cells. No sign crosses the right edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ui) struct Grid {
    pub width: u16,
    pub height: u16,
    pub(super) rows: Vec<Vec<Cell>>,
}

impl Grid {
    /// A cleared screen.
    pub fn blank(width: u16, height: u16) -> Self {
        Self { width, height, rows: vec![vec![Cell::BLANK; usize::from(width)]; usize::from(height)] }
    }

    /// What `buffer` shows in this look.
    pub fn of(buffer: &Buffer, look: Look) -> Self {
        let (width, height) = (buffer.area.width, buffer.area.height);
        let mut rows = Vec::with_capacity(usize::from(height));
        for cells in buffer.content.chunks(usize::from(width).max(1)) {
            let mut row = Vec::with_capacity(cells.len());
            while row.len() < cells.len() {
                let cell = &cells[row.len()];
                let attr = attr(cell, look);
                let (glyph, columns) = glyph(cell.symbol(), look);
                if row.len() + columns > cells.len() {
                    row.push(Cell::new(Glyph::Char(' '), attr, 1));
                    continue;
                }
                row.push(Cell::new(glyph, attr, u16::try_from(columns).unwrap_or(1)));
                row.extend(std::iter::repeat_n(Cell::COVERED, columns - 1));
            }
            rows.push(row);
        }
        Self { width, height, rows }
    }
}

fn attr(cell: &ratatui::buffer::Cell, look: Look) -> Attr {
    let (fg, bg) = if look.colour { (cell.fg, cell.bg) } else { (Color::Reset, Color::Reset) };
    // Hidden is no secret: a terminal may show it, and a copy takes it along.
    Attr { fg, bg, modifier: cell.modifier - Modifier::HIDDEN }
}

/// The sign of a cell and its columns. Nothing in it can steer the terminal.
fn glyph(symbol: &str, look: Look) -> (Glyph, usize) {
    let mut chars = symbol.chars();
    let (Some(first), rest) = (chars.next(), chars.as_str()) else {
        return (Glyph::Char(' '), 1);
    };
    if rest.is_empty() && (' '..='~').contains(&first) {
        return (Glyph::Char(first), 1);
    }
    let columns = UnicodeWidthStr::width(symbol);
    if !visible::is_shown_as_it_is(symbol) {
        return (Glyph::Char(if look.unicode { '\u{fffd}' } else { '?' }), 1);
    }
    if columns == 0 {
        return (Glyph::Char(' '), 1);
    }
    if !look.unicode {
        let likes = text::ascii(symbol);
        return (Glyph::Char(likes.chars().next().unwrap_or('?')), 1);
    }
    if rest.is_empty() {
        return (Glyph::Char(first), first.width().unwrap_or(1).max(1));
    }
    (Glyph::Cluster(symbol.into()), columns)
}

#[cfg(test)]
mod tests {
    use ratatui::layout::Rect;
    use ratatui::style::Style;

    use super::*;

    const LOOK: Look = Look { width: 10, unicode: true, colour: true };

    fn row(text: &str, style: Style, look: Look) -> Vec<Cell> {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 6, 1));
        buffer.set_string(0, 0, text, style);
        Grid::of(&buffer, look).rows.remove(0)
    }

    fn glyphs(row: &[Cell]) -> Vec<Glyph> {
        row.iter().map(|cell| cell.glyph.clone()).collect()
    }

    #[test]
    fn wide_signs_cover_the_next_column() {
        let row = row("日a", Style::new(), LOOK);
        assert_eq!(glyphs(&row[..3]), [Glyph::Char('日'), Glyph::Covered, Glyph::Char('a')]);
    }

    #[test]
    fn a_sign_that_does_not_fit_is_left_out() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 2, 1));
        buffer.cell_mut((1, 0)).unwrap().set_symbol("日");
        assert_eq!(glyphs(&Grid::of(&buffer, LOOK).rows[0]), [Glyph::Char(' '), Glyph::Char(' ')]);
    }

    #[test]
    fn a_combined_sign_stays_together() {
        let row = row("e\u{301}x", Style::new(), LOOK);
        assert_eq!(glyphs(&row[..2]), [Glyph::Cluster("e\u{301}".into()), Glyph::Char('x')]);
    }

    #[test]
    fn nothing_in_a_cell_steers_the_terminal() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 3, 1));
        buffer.cell_mut((0, 0)).unwrap().set_symbol("\u{1b}[2J");
        buffer.cell_mut((1, 0)).unwrap().set_symbol("\u{7}");
        buffer.cell_mut((2, 0)).unwrap().set_symbol("\u{9b}");
        for (look, sign) in [(LOOK, '\u{fffd}'), (Look { unicode: false, ..LOOK }, '?')] {
            assert_eq!(
                glyphs(&Grid::of(&buffer, look).rows[0]),
                [const { Glyph::Char(' ') }; 3].map(|_| Glyph::Char(sign))
            );
        }
        for hostile in visible::HOSTILE {
            let mut buffer = Buffer::empty(Rect::new(0, 0, 1, 1));
            buffer.cell_mut((0, 0)).unwrap().set_symbol(hostile);
            assert_eq!(glyphs(&Grid::of(&buffer, LOOK).rows[0]), [Glyph::Char('\u{fffd}')], "{hostile:?}");
        }
    }

    #[test]
    fn without_colours_the_attributes_stay() {
        let style = Style::new().fg(Color::Red).bg(Color::Blue).add_modifier(Modifier::BOLD);
        let cell = &row("x", style, Look { colour: false, ..LOOK })[0];
        assert_eq!(cell.attr, Attr { modifier: Modifier::BOLD, ..Attr::PLAIN });
    }

    #[test]
    fn without_unicode_everything_is_ascii() {
        let row = row("é…日─", Style::new(), Look { unicode: false, ..LOOK });
        assert!(row.iter().all(|cell| matches!(cell.glyph, Glyph::Char(c) if c.is_ascii())), "{row:?}");
    }

    #[test]
    fn the_colour_of_no_letter_is_no_difference() {
        let blank = row(" ", Style::new().fg(Color::Red).add_modifier(Modifier::BOLD), LOOK);
        assert_eq!(blank[0], Cell::BLANK);
        let marked = row(" ", Style::new().bg(Color::Red), LOOK);
        assert_ne!(marked[0], Cell::BLANK);
    }
}
