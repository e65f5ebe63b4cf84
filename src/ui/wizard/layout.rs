//! Where things stand on the screen, for every size from 40x12 (and below, as far as it goes) to wide ones.

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
    /// The list of pages, at the left.
    pub rail: Rect,
    /// The page.
    pub main: Rect,
    /// Help beside it.
    pub aside: Rect,
    /// The last line: the keys.
    pub foot: Rect,
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
    Layout { head: line(0), rail, main, aside, foot: line(height - 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_lie_on_the_screen_and_not_on_each_other() {
        for width in 0..260 {
            for height in 0..60 {
                let screen = Rect { x: 0, y: 0, width, height };
                let Layout { head, rail, main, aside, foot } = layout(width, height);
                let parts: Vec<Rect> = [head, rail, main, aside, foot].into_iter().filter(|r| r.area() > 0).collect();
                for (at, part) in parts.iter().enumerate() {
                    assert_eq!(part.intersection(screen), *part, "{width}x{height}");
                    assert!(parts[at + 1..].iter().all(|other| part.intersection(*other).area() == 0));
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
