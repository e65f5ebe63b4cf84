//! What is painted is read by a terminal (the crate vt100) that has never seen our code.

use proptest::prelude::*;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

use super::*;
use crate::ui::style::Look;
use crate::ui::terminal::grid::Glyph;

const LOOK: Look = Look { width: 20, unicode: true, colour: true };

/// A screen as it is read: signs with their looks, and the cursor.
#[derive(Debug, PartialEq)]
struct Seen {
    rows: Vec<Vec<(String, String)>>,
    cursor: Option<Position>,
}

fn seen(terminal: &vt100::Parser) -> Seen {
    let screen = terminal.screen();
    let (height, width) = screen.size();
    let rows = (0..height)
        .map(|y| {
            (0..width)
                .map(|x| {
                    let cell = screen.cell(y, x).unwrap();
                    if cell.is_wide_continuation() {
                        return (String::new(), String::new());
                    }
                    let sign = if cell.has_contents() { cell.contents() } else { " " };
                    (sign.to_owned(), look_of(cell, sign))
                })
                .collect()
        })
        .collect();
    let (y, x) = screen.cursor_position();
    Seen { rows, cursor: (!screen.hide_cursor()).then_some(Position { x, y }) }
}

/// The look as far as it can be seen.
fn look_of(cell: &vt100::Cell, sign: &str) -> String {
    if sign == " " && !cell.underline() && !cell.inverse() {
        return format!("{:?}", cell.bgcolor());
    }
    let attributes = (cell.underline(), cell.inverse());
    let more = (cell.bold(), cell.dim(), cell.italic());
    let more = if sign == " " { (false, false, false) } else { more };
    format!("{:?} {:?} {attributes:?} {more:?}", cell.fgcolor(), cell.bgcolor())
}

/// What a terminal shows that is cleared and painted sign by sign, each with its whole look.
fn expected(buffer: &Buffer, cursor: Option<Position>) -> Seen {
    let mut terminal = vt100::Parser::new(buffer.area.height, buffer.area.width, 0);
    for (y, row) in Grid::of(buffer, LOOK).rows.iter().enumerate() {
        for (x, cell) in row.iter().enumerate() {
            let mut bytes = format!("\x1b[0m\x1b[{};{}H", y + 1, x + 1).into_bytes();
            crate::ui::terminal::attr::Attr::PLAIN.change(cell.attr, &mut bytes);
            match &cell.glyph {
                Glyph::Char(c) => bytes.extend_from_slice(c.to_string().as_bytes()),
                Glyph::Cluster(text) => bytes.extend_from_slice(text.as_bytes()),
                Glyph::Covered => continue,
            }
            terminal.process(&bytes);
        }
    }
    let cursor = cursor.map_or("\x1b[?25l".to_owned(), |at| format!("\x1b[{};{}H", at.y + 1, at.x + 1));
    terminal.process(cursor.as_bytes());
    seen(&terminal)
}

fn lines(lines: &[&str]) -> Buffer {
    Buffer::with_lines(lines.iter().copied())
}

struct Screen {
    painter: Painter,
    terminal: vt100::Parser,
}

impl Screen {
    fn new(buffer: &Buffer) -> Self {
        let mut terminal = vt100::Parser::new(buffer.area.height, buffer.area.width, 0);
        // Nothing is known about what stood there.
        terminal.process(b"\x1b[?25l\x1b[45;7mrubbish\r\nof another\x1b[3;4H");
        Self { painter: Painter::new(), terminal }
    }

    /// Paints a frame, checks what is seen, and gives the bytes.
    fn show(&mut self, buffer: &Buffer, cursor: Option<Position>) -> String {
        let bytes = self.painter.paint(Grid::of(buffer, LOOK), cursor);
        self.terminal.process(&bytes);
        assert_eq!(seen(&self.terminal), expected(buffer, cursor), "{:?}", String::from_utf8_lossy(&bytes));
        assert!(
            self.painter.paint(Grid::of(buffer, LOOK), cursor).is_empty(),
            "what stands there is not painted again"
        );
        String::from_utf8(bytes).unwrap()
    }
}

#[test]
fn a_typed_letter_is_one_byte() {
    let mut field = Buffer::empty(Rect::new(0, 0, 20, 3));
    let mut screen = Screen::new(&field);
    let style = Style::new().fg(Color::Cyan);
    field.set_string(2, 1, "ab", style);
    screen.show(&field, Some(Position { x: 4, y: 1 }));
    field.set_string(4, 1, "c", style);
    assert_eq!(screen.show(&field, Some(Position { x: 5, y: 1 })), "c");
    field.set_string(4, 1, " ", Style::reset());
    assert_eq!(screen.show(&field, Some(Position { x: 4, y: 1 })), "\x08 \x08");
}

#[test]
fn the_end_of_a_line_is_erased() {
    let mut screen = Screen::new(&lines(&["                    "]));
    screen.show(&lines(&["a long line of text "]), None);
    assert_eq!(screen.show(&lines(&["a long              "]), None), "\x1b[8G\x1b[K");
}

#[test]
fn the_rest_of_the_screen_is_erased_at_once() {
    let mut screen = Screen::new(&lines(&["", "", "", "    "]));
    screen.show(&lines(&["keep", "this", "go", "away"]), None);
    assert_eq!(screen.show(&lines(&["keep", "this", "", "    "]), None), "\r\x1bM\x1b[J");
}

#[test]
fn a_log_that_grows_is_scrolled() {
    let log = |from: usize| {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 40, 12));
        buffer.set_string(0, 0, "title", Style::new().add_modifier(Modifier::REVERSED));
        for y in 0..10 {
            buffer.set_string(0, 1 + y, format!("{} a line of the log", from + usize::from(y)), Style::new());
        }
        buffer.set_string(0, 11, "keys", Style::new());
        buffer
    };
    let mut screen = Screen::new(&log(100));
    screen.show(&log(100), None);
    let grown = screen.show(&log(101), None);
    assert!(grown.len() < 50, "{} bytes: {grown:?}", grown.len());
    let back = screen.show(&log(99), None);
    assert!(back.len() < 80, "{} bytes: {back:?}", back.len());
}

#[test]
fn another_screen_is_cleared_first_where_that_is_shorter() {
    let full = "x".repeat(20);
    let full = [full.as_str(); 6];
    let mut screen = Screen::new(&lines(&full));
    screen.show(&lines(&full), None);
    let mut next = Buffer::empty(Rect::new(0, 0, 20, 6));
    for y in 0..6 {
        next.set_string(9, y, "a", Style::new());
    }
    let bytes = screen.show(&next, None);
    assert!(bytes.contains("\x1b[2J"), "{bytes:?}");
}

#[test]
fn after_a_sign_of_uncertain_width_the_cursor_is_placed_anew() {
    let mut screen = Screen::new(&lines(&["          "]));
    let bytes = screen.show(&lines(&["e\u{301}x        "]), None);
    assert!(bytes.ends_with("\r\x1b[Cx"), "{bytes:?}");
}

#[test]
fn another_size_is_painted_anew() {
    let mut screen = Screen::new(&lines(&["one", "two"]));
    screen.show(&lines(&["one", "two"]), None);
    let larger = lines(&["one  ", "two  ", "three"]);
    screen.terminal.screen_mut().set_size(3, 5);
    assert!(screen.show(&larger, None).starts_with("\x1b[m\x1b[H\x1b[2J"));
}

fn styles() -> impl Strategy<Value = Style> {
    let colours = || prop::sample::select(vec![Color::Reset, Color::Red, Color::LightBlue, Color::Indexed(99)]);
    let modifiers = prop::sample::select(vec![
        Modifier::empty(),
        Modifier::BOLD,
        Modifier::DIM | Modifier::BOLD,
        Modifier::REVERSED,
        Modifier::UNDERLINED | Modifier::ITALIC,
    ]);
    (colours(), colours(), modifiers).prop_map(|(fg, bg, modifier)| Style::new().fg(fg).bg(bg).add_modifier(modifier))
}

/// Changes to a frame: pieces of text, and moved rows.
fn changes() -> impl Strategy<Value = Vec<(u16, u16, String, Style, i8)>> {
    let texts = prop_oneof![
        prop::sample::select(vec!["日本", "─", " ", "              ", "e\u{301}", "✓ done"]).prop_map(str::to_owned),
        "[a-c ]{1,12}",
    ];
    prop::collection::vec((0..20u16, 0..7u16, texts, styles(), -3..4i8), 0..8)
}

fn cursors() -> impl Strategy<Value = Option<Position>> {
    prop::option::of((0..20u16, 0..7u16).prop_map(|(x, y)| Position { x, y }))
}

proptest! {
    #[test]
    fn the_terminal_shows_every_frame_of_any_session(
        frames in prop::collection::vec((changes(), cursors()), 1..8)
    ) {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 20, 7));
        let mut screen = Screen::new(&buffer);
        for (changes, cursor) in frames {
            for (x, y, text, style, shift) in changes {
                if shift > 1 {
                    buffer.content.rotate_left(20 * usize::from(shift.unsigned_abs()));
                } else if shift < -1 {
                    buffer.content.rotate_right(20 * usize::from(shift.unsigned_abs()));
                }
                buffer.set_string(x, y, text, style);
            }
            screen.show(&buffer, cursor);
        }
    }

    #[test]
    fn a_change_is_never_longer_than_painting_it_all(changes in changes()) {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 20, 7));
        let mut painter = Painter::new();
        painter.paint(Grid::of(&buffer, LOOK), None);
        for (x, y, text, style, _) in changes {
            buffer.set_string(x, y, text, style);
        }
        let step = painter.paint(Grid::of(&buffer, LOOK), None).len();
        prop_assert!(step <= Painter::new().paint(Grid::of(&buffer, LOOK), None).len());
    }
}
