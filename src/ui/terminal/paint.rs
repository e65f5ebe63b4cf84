//! The difference between what the terminal shows and what it shall show, in as few bytes as possible.

use ratatui::layout::Position;

use crate::ui::terminal::grid::{Cell, Grid};
use crate::ui::terminal::pen::Pen;
use crate::ui::terminal::scroll;

/// So many blanks are as long as erasing to the end of the line.
const ERASE: usize = 3;
/// No other way is worth a look when the difference is this short, in bytes.
const SHORT: usize = 64;

/// What the terminal shows, as far as we know.
#[derive(Debug)]
pub(in crate::ui) struct Painter {
    pen: Pen,
    /// `None` when the screen has to be painted completely.
    shown: Option<Grid>,
    cursor_visible: bool,
}

impl Painter {
    /// Of a terminal about which nothing is known but that its cursor is hidden.
    pub const fn new() -> Self {
        Self { pen: Pen::new(0), shown: None, cursor_visible: false }
    }

    /// The bytes that make the terminal show `wanted`, with the cursor at `cursor` or without one. Empty when it
    /// does so already.
    pub fn paint(&mut self, wanted: Grid, cursor: Option<Position>) -> Vec<u8> {
        if cursor.is_none() && self.cursor_visible {
            self.pen.out.extend_from_slice(b"\x1b[?25l");
            self.cursor_visible = false;
        }
        let same_size = |shown: &Grid| (shown.width, shown.height) == (wanted.width, wanted.height);
        let shown = if let Some(shown) = self.shown.take().filter(same_size) {
            shown
        } else {
            self.pen.width = wanted.width;
            self.pen.clear();
            Grid::blank(wanted.width, wanted.height)
        };
        self.pen = shortest(&self.pen, &shown, &wanted);
        let inside = |at: &Position| at.x < wanted.width && at.y < wanted.height;
        if let Some(at) = cursor.filter(inside) {
            self.pen.go(at.x, at.y, &wanted.rows[usize::from(at.y)]);
            if !self.cursor_visible {
                self.pen.out.extend_from_slice(b"\x1b[?25h");
                self.cursor_visible = true;
            }
        }
        self.shown = Some(wanted);
        std::mem::take(&mut self.pen.out)
    }
}

/// The shortest update: change the present content (moving whole rows where that helps), or clear the screen first.
fn shortest(pen: &Pen, shown: &Grid, wanted: &Grid) -> Pen {
    let mut best = pen.clone();
    difference(&mut best, shown, wanted);
    if best.out.len() <= SHORT {
        return best;
    }
    let mut attempt = |from: &Grid, prepare: &dyn Fn(&mut Pen)| {
        let mut pen = pen.clone();
        prepare(&mut pen);
        difference(&mut pen, from, wanted);
        if pen.out.len() < best.out.len() {
            best = pen;
        }
    };
    if let Some(shift) = scroll::find(shown, wanted) {
        let mut moved = shown.clone();
        shift.apply(&mut moved);
        attempt(&moved, &|pen| pen.scroll(shift.top, shift.bottom, shift.rows));
    }
    attempt(&Grid::blank(wanted.width, wanted.height), &Pen::clear);
    best
}

/// Writes what differs, row by row.
fn difference(pen: &mut Pen, shown: &Grid, wanted: &Grid) {
    // The rows at the bottom that shall be blank and are not, if erasing them at once pays.
    let empty = |row: &Vec<Cell>| row.iter().all(|cell| *cell == Cell::BLANK);
    let end = wanted.rows.iter().rposition(|row| !empty(row)).map_or(0, |last| last + 1);
    let leftover = shown.rows[end..].iter().filter(|row| !empty(row)).count();
    let rows = if leftover > 1 { end } else { wanted.rows.len() };
    for (y, (shown, wanted)) in (0..).zip(shown.rows.iter().zip(&wanted.rows)).take(rows) {
        difference_of_row(pen, y, shown, wanted);
    }
    if leftover > 1 {
        pen.go(0, u16::try_from(end).unwrap_or(u16::MAX), &wanted.rows[end]);
        pen.erase_below();
    }
}

fn difference_of_row(pen: &mut Pen, y: u16, shown: &[Cell], wanted: &[Cell]) {
    let differs = |x: &usize| shown[*x] != wanted[*x];
    let Some(last) = (0..wanted.len()).rev().find(differs) else {
        return;
    };
    let tail = wanted.iter().rposition(|cell| *cell != Cell::BLANK).map_or(0, |last| last + 1);
    let erased = (tail..wanted.len()).find(differs).filter(|first| last + 1 - first > ERASE);
    let end = erased.unwrap_or(last + 1);
    let mut x = 0;
    while let Some(start) = (x..end).find(differs) {
        let stop = (start..end).find(|x| !differs(x)).unwrap_or(end);
        pen.write(column(start)..column(stop), y, wanted);
        x = stop;
    }
    if let Some(first) = erased {
        pen.go(column(first), y, wanted);
        pen.erase_line();
    }
}

fn column(x: usize) -> u16 {
    u16::try_from(x).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests;
