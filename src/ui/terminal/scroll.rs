//! Rows that only moved: a log that grew by a line, a list that scrolled. Moving them on the terminal costs some
//! twenty bytes, painting them again the whole pane.

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
    let height = wanted.rows.len();
    let mut best: Option<(usize, Shift)> = None;
    for rows in 1..height {
        for up in [true, false] {
            let from = |y: usize| if up { y + rows } else { y };
            let to = |y: usize| if up { y } else { y + rows };
            let mut y = 0;
            while y + rows < height {
                let start = y;
                let mut kept = 0;
                while y + rows < height && wanted.rows[to(y)] == shown.rows[from(y)] {
                    // Rows that stand there already gain nothing, blank ones hardly.
                    let gain = shown.rows[to(y)] != wanted.rows[to(y)] && !empty(&wanted.rows[to(y)]);
                    kept += usize::from(gain);
                    y += 1;
                }
                if kept >= WORTH && best.is_none_or(|(most, _)| kept > most) {
                    best = shift(start, y - 1 + rows, rows, up).map(|shift| (kept, shift));
                }
                y = y.max(start + 1);
            }
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

fn empty(row: &[Cell]) -> bool {
    row.iter().all(|cell| *cell == Cell::BLANK)
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
