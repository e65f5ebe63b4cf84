//! What is written to the terminal: where the cursor stands and how letters look is known at every byte, so the
//! shortest way to the next difference can be taken.
//!
//! Only sequences that every terminal of the last thirty years understands: CR, LF, BS, RI, CUU, CUD, CUF, CUB,
//! CUP, CHA, VPA, EL, ED, SGR and DECSTBM (the Linux console, xterm, screen, tmux and others).

use std::ops::Range;

use crate::ui::terminal::attr::Attr;
use crate::ui::terminal::grid::{Cell, Glyph};

/// The cursor's position. After the last column, or after a character of uncertain width, the column is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct At {
    pub row: u16,
    pub column: Option<u16>,
}

#[derive(Clone, Debug)]
pub(super) struct Pen {
    /// What has been written.
    pub out: Vec<u8>,
    /// The cursor's position; `None` when unknown.
    pub at: Option<At>,
    /// How the next letter looks.
    pub attr: Attr,
    /// Columns of the screen.
    pub width: u16,
}

impl Pen {
    /// A pen on a terminal about which nothing is known.
    pub const fn new(width: u16) -> Self {
        Self { out: Vec::new(), at: None, attr: Attr::PLAIN, width }
    }

    /// Moves the cursor to `column` of `row` in the fewest bytes. `cells` is that row's content: up to `column` it can
    /// be written again where that is shorter than a sequence.
    pub fn go(&mut self, column: u16, row: u16, cells: &[Cell]) {
        if self.at == Some(At { row, column: Some(column) }) {
            return;
        }
        let mut best = absolute(column, row);
        if let Some(at) = self.at {
            // From the left edge, after a CR, or from the cursor's position.
            let mut starts = vec![(b"\r".as_slice(), 0)];
            if let Some(known) = at.column {
                starts.push((b"", known));
            }
            let down = vertical(at.row, row);
            for (prefix, from) in starts {
                let mut way = prefix.to_vec();
                way.extend_from_slice(&down);
                way.extend_from_slice(&self.along(from, column, cells));
                if way.len() < best.len() {
                    best = way;
                }
            }
            let mut way = down;
            way.extend_from_slice(&sequence(column + 1, b'G'));
            if at.column.is_some() && way.len() < best.len() {
                best = way;
            }
        }
        self.out.extend_from_slice(&best);
        self.at = Some(At { row, column: Some(column) });
    }

    /// Writes the cells `columns` of `row`, whose cells are `cells`.
    pub fn write(&mut self, columns: Range<u16>, row: u16, cells: &[Cell]) {
        for column in columns.clone() {
            let cell = &cells[usize::from(column)];
            if cell.glyph == Glyph::Covered {
                continue;
            }
            self.go(column, row, cells);
            if cell.is_blank() {
                if self.attr.on_blank() != cell.attr {
                    // The next letter's look will do for the blanks before it, if they look the same.
                    let rest = &cells[usize::from(column)..usize::from(columns.end)];
                    let next = rest.iter().find(|next| !next.is_blank() && next.glyph != Glyph::Covered);
                    let next = next.map(|next| next.attr).filter(|next| next.on_blank() == cell.attr);
                    self.look(next.unwrap_or(cell.attr));
                }
            } else {
                self.look(cell.attr);
            }
            push(&cell.glyph, &mut self.out);
            self.advance(cell);
        }
    }

    /// Erases from the cursor to the end of the line.
    pub fn erase_line(&mut self) {
        self.look_blank();
        self.out.extend_from_slice(b"\x1b[K");
    }

    /// Erases from the cursor to the end of the screen.
    pub fn erase_below(&mut self) {
        self.look_blank();
        self.out.extend_from_slice(b"\x1b[J");
    }

    /// Clears the screen, whatever is on it.
    pub fn clear(&mut self) {
        self.out.extend_from_slice(b"\x1b[m\x1b[H\x1b[2J");
        self.attr = Attr::PLAIN;
        self.at = Some(At { row: 0, column: Some(0) });
    }

    /// Moves the rows `top..=bottom` up by `rows` (down when negative). The rows that come in are blank.
    pub fn scroll(&mut self, top: u16, bottom: u16, rows: i32) {
        self.look_blank();
        self.out.extend_from_slice(format!("\x1b[{};{}r", top + 1, bottom + 1).as_bytes());
        // Setting the margins has moved the cursor to the first column of the first row.
        let (edge, step) = if rows > 0 { (bottom, b"\n".as_slice()) } else { (top, b"\x1bM".as_slice()) };
        self.out.extend_from_slice(&absolute(0, edge));
        for _ in 0..rows.unsigned_abs() {
            self.out.extend_from_slice(step);
        }
        self.out.extend_from_slice(b"\x1b[r");
        self.at = Some(At { row: 0, column: Some(0) });
    }

    /// Blanks that are made by erasing and scrolling have the colours of the pen.
    fn look_blank(&mut self) {
        if self.attr.on_blank() != Attr::PLAIN {
            self.look(Attr::PLAIN);
        }
    }

    fn look(&mut self, attr: Attr) {
        self.attr.change(attr, &mut self.out);
        self.attr = attr;
    }

    fn advance(&mut self, cell: &Cell) {
        let Some(at) = self.at.as_mut() else {
            return;
        };
        let certain = matches!(cell.glyph, Glyph::Char(_));
        at.column = at.column.map(|column| column + cell.width).filter(|column| certain && *column < self.width);
    }

    /// The shortest way along a row.
    fn along(&self, from: u16, to: u16, cells: &[Cell]) -> Vec<u8> {
        if from == to {
            return Vec::new();
        }
        if from > to {
            let back = usize::from(from - to);
            let by = sequence(from - to, b'D');
            return if back <= by.len() { vec![8; back] } else { by };
        }
        let by = sequence(to - from, b'C');
        match self.again(&cells[usize::from(from)..usize::from(to)]) {
            Some(again) if again.len() <= by.len() => again,
            _ => by,
        }
    }

    /// The bytes of `cells`, when the pen has their look already and their width is certain.
    fn again(&self, cells: &[Cell]) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        if cells.first().is_some_and(|first| first.glyph == Glyph::Covered) {
            return None;
        }
        for cell in cells {
            let attr = if cell.is_blank() { self.attr.on_blank() } else { self.attr };
            match cell.glyph {
                Glyph::Covered => continue,
                Glyph::Char(_) if attr == cell.attr => push(&cell.glyph, &mut bytes),
                _ => return None,
            }
            if bytes.len() > 8 {
                return None;
            }
        }
        Some(bytes)
    }
}

fn push(glyph: &Glyph, out: &mut Vec<u8>) {
    match glyph {
        Glyph::Char(c) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        Glyph::Cluster(text) => out.extend_from_slice(text.as_bytes()),
        Glyph::Covered => {}
    }
}

/// CUP; a parameter of 1 is left out.
fn absolute(column: u16, row: u16) -> Vec<u8> {
    match (row, column) {
        (0, 0) => "\x1b[H".to_owned(),
        (_, 0) => format!("\x1b[{}H", row + 1),
        (0, _) => format!("\x1b[;{}H", column + 1),
        _ => format!("\x1b[{};{}H", row + 1, column + 1),
    }
    .into_bytes()
}

/// The shortest way from one row to another, in the same column.
fn vertical(from: u16, to: u16) -> Vec<u8> {
    let (distance, step, by) = match to.cmp(&from) {
        std::cmp::Ordering::Equal => return Vec::new(),
        // Never at the last row: there is a row below to go to.
        std::cmp::Ordering::Greater => (to - from, b"\n".as_slice(), b'B'),
        std::cmp::Ordering::Less => (from - to, b"\x1bM".as_slice(), b'A'),
    };
    let steps = step.repeat(usize::from(distance));
    let ways = [steps, sequence(distance, by), sequence(to + 1, b'd')];
    ways.into_iter().min_by_key(Vec::len).unwrap_or_default()
}

/// A control sequence with one parameter; 1 is left out.
fn sequence(parameter: u16, end: u8) -> Vec<u8> {
    let mut bytes = b"\x1b[".to_vec();
    if parameter != 1 {
        bytes.extend_from_slice(parameter.to_string().as_bytes());
    }
    bytes.push(end);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pen(row: u16, column: Option<u16>) -> Pen {
        Pen { at: Some(At { row, column }), ..Pen::new(80) }
    }

    fn go(mut pen: Pen, column: u16, row: u16) -> String {
        let mut cells = vec![Cell::BLANK; 80];
        cells[1] = Cell { glyph: Glyph::Char('─'), ..Cell::BLANK };
        pen.go(column, row, &cells);
        assert_eq!(pen.at, Some(At { row, column: Some(column) }));
        String::from_utf8(pen.out).unwrap()
    }

    #[test]
    fn the_shortest_way_is_taken() {
        assert_eq!(go(pen(3, Some(9)), 9, 3), "");
        assert_eq!(go(pen(3, Some(9)), 0, 3), "\r");
        assert_eq!(go(pen(3, Some(9)), 8, 3), "\x08");
        assert_eq!(go(pen(3, Some(9)), 11, 3), "  ");
        assert_eq!(go(pen(3, Some(9)), 20, 3), "\x1b[11C");
        assert_eq!(go(pen(3, Some(70)), 60, 3), "\x1b[10D");
        assert_eq!(go(pen(3, Some(9)), 9, 4), "\n");
        assert_eq!(go(pen(3, Some(9)), 0, 5), "\r\n\n");
        assert_eq!(go(pen(3, Some(9)), 9, 2), "\x1bM");
        assert_eq!(go(pen(20, Some(9)), 9, 3), "\x1b[4d");
        assert_eq!(go(pen(3, Some(9)), 0, 0), "\x1b[H");
        assert_eq!(go(pen(3, Some(9)), 60, 0), "\x1b[;61H");
        assert_eq!(go(pen(3, Some(9)), 60, 20), "\x1b[21;61H");
    }

    #[test]
    fn an_unknown_column_is_left_by_the_left_edge() {
        assert_eq!(go(pen(3, None), 0, 4), "\r\n");
        assert_eq!(go(pen(3, None), 30, 3), "\r\x1b[30C");
        assert_eq!(go(Pen::new(80), 0, 0), "\x1b[H");
    }

    #[test]
    fn blanks_take_the_look_of_the_next_letter() {
        use ratatui::style::Modifier;
        let bold = Attr { modifier: Modifier::BOLD, ..Attr::PLAIN };
        let mut pen = pen(0, Some(0));
        pen.attr = Attr { modifier: Modifier::REVERSED, ..Attr::PLAIN };
        pen.write(0..2, 0, &[Cell::BLANK, Cell { glyph: Glyph::Char('x'), attr: bold, width: 1 }]);
        assert_eq!(pen.out, b"\x1b[;1m x");
    }

    #[test]
    fn the_last_column_leaves_the_column_unknown() {
        let mut pen = pen(0, Some(79));
        pen.write(79..80, 0, &vec![Cell::BLANK; 80]);
        assert_eq!(pen.at, Some(At { row: 0, column: None }));
    }
}
