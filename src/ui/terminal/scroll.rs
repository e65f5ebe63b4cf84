//! Rows that only moved: a log that grew by a line, a list that scrolled. Moving them on the terminal costs some
//! twenty bytes, painting them again the whole pane.

use std::collections::HashMap;

use crate::ui::terminal::grid::{Cell, Grid};

/// Rows `top..=bottom` move up by `rows` (down when negative).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shift {
    pub top: u16,
    pub bottom: u16,
    pub rows: i32,
}

/// Fewer rows that could be kept are not worth a look.
const WORTH: usize = 3;

/// The shift that keeps most rows, if one does. Whether it pays is for the caller to see.
pub(super) fn find(shown: &Grid, wanted: &Grid) -> Option<Shift> {
    // Rows that are equal have equal numbers; blank ones have 0.
    let mut numbers = HashMap::from([(vec![Cell::BLANK; usize::from(wanted.width)], 0)]);
    let mut number = |row: &Vec<Cell>| {
        let next = numbers.len();
        *numbers.entry(row.clone()).or_insert(next)
    };
    let shown: Vec<usize> = shown.rows.iter().map(&mut number).collect();
    let wanted: Vec<usize> = wanted.rows.iter().map(&mut number).collect();
    let height = wanted.len();
    let mut best: Option<(usize, Shift)> = None;
    for (by, up) in (1..height).flat_map(|by| [(by, true), (by, false)]) {
        let mut start = 0;
        while start + by < height {
            let (mut end, mut kept) = (start, 0);
            while end + by < height {
                let (from, to) = if up { (end + by, end) } else { (end, end + by) };
                if wanted[to] != shown[from] {
                    break;
                }
                // Rows that are in place already gain nothing, blank ones hardly anything.
                kept += usize::from(shown[to] != wanted[to] && wanted[to] != 0);
                end += 1;
            }
            if kept >= WORTH && best.is_none_or(|(most, _)| kept > most) {
                best = shift(start, end - 1 + by, by, up).map(|shift| (kept, shift));
            }
            start = end.max(start + 1);
        }
    }
    best.map(|(_, shift)| shift)
}

fn shift(top: usize, bottom: usize, rows: usize, up: bool) -> Option<Shift> {
    let rows = i32::try_from(rows).ok()?;
    Some(Shift {
        top: u16::try_from(top).ok()?,
        bottom: u16::try_from(bottom).ok()?,
        rows: if up { rows } else { -rows },
    })
}

impl Shift {
    /// Does to `grid` what the terminal does to its screen.
    pub fn apply(self, grid: &mut Grid) {
        let rows = &mut grid.rows[usize::from(self.top)..=usize::from(self.bottom)];
        let by = usize::try_from(self.rows.unsigned_abs()).unwrap_or(0).min(rows.len());
        let keep = rows.len() - by;
        let blank = if self.rows > 0 {
            rows.rotate_left(by);
            &mut rows[keep..]
        } else {
            rows.rotate_right(by);
            &mut rows[..by]
        };
        for row in blank {
            row.fill(Cell::BLANK);
        }
    }
}
