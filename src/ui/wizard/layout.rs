//! The layout of the screen, for every size from 40x12 (and below, as far as possible) to wide ones.

use ratatui::layout::Rect;

/// Narrower screens have no rail: the head names the page, and a key lists all.
const RAIL_FROM: u16 = 72;
/// The rail's columns, its rule not counted.
const RAIL: u16 = 18;
/// Lines of text are not longer than this: longer ones are hard to read.
const MAIN_MOST: u16 = 100;
/// Wider screens show help beside the page.
const ASIDE_FROM: u16 = 130;

/// The parts of the screen. A part without room has no area.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// The first line: what this is.
    pub head: Rect,
    /// Under it, above the page: what the page has to say at once. Only where there is a line for it.
    pub status: Rect,
    /// The list of pages, at the left.
    pub rail: Rect,
    /// The page.
    pub main: Rect,
    /// Help beside it.
    pub aside: Rect,
    /// Lines above the page that do not scroll with it.
    pub top: Rect,
    /// A pane below or beside the page that scrolls by itself.
    pub pane: Rect,
    /// The last line: the keys.
    pub foot: Rect,
}

/// What a page wants of the screen beyond its own text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Panes {
    /// The list of pages is hidden: no other page can be reached.
    pub whole: bool,
    /// Lines that do not scroll.
    pub top: bool,
    /// A pane that scrolls by itself.
    pub pane: bool,
}

/// The parts of a screen of this size for a page with `panes`.
pub fn with_panes(width: u16, height: u16, panes: Panes) -> Layout {
    let parts = layout(width, height);
    if !panes.whole || height < 4 {
        return parts;
    }
    let body = Rect { x: 0, width, y: parts.head.bottom(), height: parts.foot.y - parts.head.bottom() };
    let air = u16::from(height >= 20);
    let body = Rect { y: body.y + air, height: body.height - air, ..body };
    let rows = if panes.top { (if height >= 16 { 3 } else { 2 }).min(body.height) } else { 0 };
    let top = Rect { height: rows, ..body };
    let rest = Rect { y: body.y + rows, height: body.height - rows, ..body };
    let none = Rect { width: 0, height: 0, ..rest };
    let (main, pane) = if !panes.pane || rest.height < 5 {
        (rest, none)
    } else if width >= ASIDE_FROM {
        let main = Rect { width: (width - 3) / 2, ..rest };
        (main, Rect { x: main.right() + 3, width: width - main.width - 3, ..rest })
    } else {
        let rows = (rest.height * 2 / 5).max(3);
        let main = Rect { height: rest.height - rows, ..rest };
        (main, Rect { y: main.bottom(), height: rows, ..rest })
    };
    let main = Rect { width: main.width.min(MAIN_MOST), ..main };
    Layout { head: parts.head, foot: parts.foot, top, main, pane, ..Layout::default() }
}

impl Layout {
    /// The same with the page from edge to edge.
    #[must_use]
    pub fn without_sides(self, width: u16) -> Self {
        let none = Rect { width: 0, ..self.rail };
        Self { rail: none, main: Rect { x: 0, width, ..self.main }, aside: none, ..self }
    }
}

/// The parts of a screen of this size.
pub fn layout(width: u16, height: u16) -> Layout {
    let line = |y: u16| Rect { x: 0, y, width, height: u16::from(y < height) };
    if height < 4 {
        return Layout { main: Rect { x: 0, y: 0, width, height }, ..Layout::default() };
    }
    // One line of air below the head where there is room for it.
    let top = if height >= 20 { 2 } else { 1 };
    let body = Rect { x: 0, y: top, width, height: height - top - 1 };
    let rail = if width >= RAIL_FROM { Rect { width: RAIL, ..body } } else { Rect { width: 0, ..body } };
    // The rule and a blank at its sides.
    let left = if rail.width > 0 { rail.width + 3 } else { 0 };
    let room = width - left;
    let main = Rect { x: left, width: room.min(MAIN_MOST), ..body };
    let aside = if width >= ASIDE_FROM {
        let main = main.width.min((room - 3) * 3 / 5);
        Rect { x: left + main + 3, width: (room - main - 3).min(MAIN_MOST), ..body }
    } else {
        Rect { width: 0, ..body }
    };
    let main = if aside.width > 0 { Rect { width: aside.x - 3 - left, ..main } } else { main };
    let status = Rect { y: 1, height: u16::from(top > 1), ..main };
    Layout { head: line(0), status, rail, main, aside, foot: line(height - 1), ..Layout::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_lie_on_the_screen_and_not_on_each_other() {
        for width in 0..260 {
            for height in 0..60 {
                let screen = Rect { x: 0, y: 0, width, height };
                let run = with_panes(width, height, Panes { whole: true, top: true, pane: true });
                for parts in [layout(width, height), run] {
                    let Layout { head, status, rail, main, aside, top, pane, foot } = parts;
                    let parts = [head, status, rail, main, aside, top, pane, foot].into_iter().filter(|r| r.area() > 0);
                    let parts: Vec<Rect> = parts.collect();
                    for (at, part) in parts.iter().enumerate() {
                        assert_eq!(part.intersection(screen), *part, "{width}x{height}");
                        assert!(parts[at + 1..].iter().all(|other| part.intersection(*other).area() == 0));
                    }
                }
            }
        }
    }

    #[test]
    fn the_usual_terminal_has_a_rail_and_room_for_the_page() {
        let usual = layout(80, 24);
        assert_eq!((usual.rail.width, usual.main.width, usual.main.height), (18, 59, 21));
        assert_eq!(layout(40, 12).main, Rect { x: 0, y: 1, width: 40, height: 10 });
        assert!(layout(200, 50).aside.width >= 60);
    }
}
