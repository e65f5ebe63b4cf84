//! A screen as SVG: what a terminal of that size would show.

use std::fmt::Write as _;

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};

/// Size of a cell in pixels, for a font of 14.
const CELL: (f32, f32) = (8.4, 18.0);
/// Air around the screen.
const MARGIN: f32 = 12.0;
/// Foreground and background of the picture's terminal.
const INK: &str = "#d6d9de";
const PAPER: &str = "#16181c";

/// The screen in `buffer`, with the cursor where it stands.
pub fn svg(title: &str, buffer: &Buffer, cursor: Option<(u16, u16)>) -> String {
    let (columns, rows) = (buffer.area.width, buffer.area.height);
    let width = f32::from(columns) * CELL.0 + 2.0 * MARGIN;
    let height = f32::from(rows) * CELL.1 + 2.0 * MARGIN;
    let mut out = String::new();
    let _ = writeln!(
        out,
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0}" height="{height:.0}" viewBox="0 0 {width:.0} {height:.0}" role="img" aria-label="{}">"#,
        escape(title)
    );
    let _ = writeln!(out, r#"<rect width="100%" height="100%" rx="8" fill="{PAPER}"/>"#);
    let _ = writeln!(
        out,
        r#"<g font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="14" xml:space="preserve" fill="{INK}">"#
    );
    for y in 0..rows {
        let mut x = 0;
        while x < columns {
            let from = x;
            let look = look(&buffer[(x, y)]);
            let mut text = String::new();
            while x < columns && self::look(&buffer[(x, y)]) == look {
                let symbol = buffer[(x, y)].symbol();
                text.push_str(symbol);
                x += u16::try_from(unicode_width::UnicodeWidthStr::width(symbol).max(1)).unwrap_or(1);
            }
            run(&mut out, (from, x, y), &text, look);
        }
    }
    if let Some((x, y)) = cursor {
        let (left, top) = (MARGIN + f32::from(x) * CELL.0, MARGIN + f32::from(y) * CELL.1);
        let _ = writeln!(
            out,
            r#"<rect x="{left:.1}" y="{top:.1}" width="{:.1}" height="{:.1}" fill="{INK}" opacity="0.5"/>"#,
            CELL.0, CELL.1
        );
    }
    out.push_str("</g>\n</svg>\n");
    out
}

/// Cells of one look, side by side.
fn run(out: &mut String, (from, to, row): (u16, u16, u16), text: &str, (ink, paper, modifier): Look) {
    let (left, top) = (MARGIN + f32::from(from) * CELL.0, MARGIN + f32::from(row) * CELL.1);
    let width = f32::from(to - from) * CELL.0;
    if let Some(paper) = paper {
        let _ = writeln!(
            out,
            r#"<rect x="{left:.1}" y="{top:.1}" width="{width:.1}" height="{:.1}" fill="{paper}"/>"#,
            CELL.1
        );
    }
    if modifier.contains(Modifier::UNDERLINED) {
        let line = top + CELL.1 - 2.5;
        let _ = writeln!(out, r#"<rect x="{left:.1}" y="{line:.1}" width="{width:.1}" height="1" fill="{ink}"/>"#);
    }
    if text.trim().is_empty() {
        return;
    }
    let mut style = String::new();
    if ink != INK {
        let _ = write!(style, r#" fill="{ink}""#);
    }
    if modifier.contains(Modifier::BOLD) {
        style.push_str(r#" font-weight="bold""#);
    }
    if modifier.contains(Modifier::DIM) {
        style.push_str(r#" opacity="0.65""#);
    }
    let base = top + 13.5;
    // Blanks at the left are a matter of the place, so that no viewer can swallow them.
    let blanks = text.len() - text.trim_start_matches(' ').len();
    let left = left + f32::from(u16::try_from(blanks).unwrap_or(0)) * CELL.0;
    let text = text.trim_matches(' ');
    let columns = u16::try_from(unicode_width::UnicodeWidthStr::width(text)).unwrap_or(1);
    let length = f32::from(columns) * CELL.0;
    let _ =
        writeln!(out, r#"<text x="{left:.1}" y="{base:.1}" textLength="{length:.1}"{style}>{}</text>"#, escape(text));
}

type Look = (&'static str, Option<&'static str>, Modifier);

fn look(cell: &Cell) -> Look {
    let ink = colour(cell.fg).unwrap_or(INK);
    let paper = colour(cell.bg);
    let shown = cell.modifier & (Modifier::BOLD | Modifier::DIM | Modifier::UNDERLINED);
    if cell.modifier.contains(Modifier::REVERSED) {
        (paper.unwrap_or(PAPER), Some(ink), shown)
    } else {
        (ink, paper, shown)
    }
}

/// The sixteen colours, as common terminals show them on black.
fn colour(colour: Color) -> Option<&'static str> {
    Some(match colour {
        Color::Black => "#2e3436",
        Color::Red | Color::LightRed => "#f2777a",
        Color::Green | Color::LightGreen => "#8fc379",
        Color::Yellow | Color::LightYellow => "#e5c07b",
        Color::Blue | Color::LightBlue => "#6cb0f5",
        Color::Magenta | Color::LightMagenta => "#cc99cc",
        Color::Cyan | Color::LightCyan => "#66cccc",
        Color::Gray => "#b6bac2",
        Color::DarkGray => "#7d828b",
        Color::White => "#ffffff",
        _ => return None,
    })
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
