//! How a character looks, and the shortest sequence (SGR, ECMA-48 8.3.117) from one look to another.

use std::fmt::Write as _;

use ratatui::style::{Color, Modifier};

/// Colours and attributes of a cell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Attr {
    pub fg: Color,
    pub bg: Color,
    pub modifier: Modifier,
}

/// Each attribute with the parameters that switch it on and off. Bold and dim go off together.
const MODIFIERS: [(Modifier, u8, u8); 9] = [
    (Modifier::BOLD, 1, 22),
    (Modifier::DIM, 2, 22),
    (Modifier::ITALIC, 3, 23),
    (Modifier::UNDERLINED, 4, 24),
    (Modifier::SLOW_BLINK, 5, 25),
    (Modifier::RAPID_BLINK, 6, 25),
    (Modifier::REVERSED, 7, 27),
    (Modifier::HIDDEN, 8, 28),
    (Modifier::CROSSED_OUT, 9, 29),
];

/// What can be seen of a blank.
const ON_BLANK: Modifier = Modifier::UNDERLINED.union(Modifier::REVERSED).union(Modifier::CROSSED_OUT);

impl Attr {
    /// The look of a cleared screen.
    pub const PLAIN: Self = Self { fg: Color::Reset, bg: Color::Reset, modifier: Modifier::empty() };

    /// What of this look can be seen on a blank: mostly the background.
    pub fn on_blank(self) -> Self {
        let modifier = self.modifier & ON_BLANK;
        Self { fg: if modifier.is_empty() { Color::Reset } else { self.fg }, bg: self.bg, modifier }
    }

    /// Adds to `out` the shortest sequence that changes `self` to `to`; nothing when they are the same.
    pub fn change(self, to: Self, out: &mut Vec<u8>) {
        if self == to {
            return;
        }
        let fresh = parameters(Self::PLAIN, to);
        // An empty parameter is 0, which resets everything.
        let fresh = if fresh.is_empty() { fresh } else { format!(";{fresh}") };
        let step = parameters(self, to);
        let shorter = if step.len() <= fresh.len() && !step.is_empty() { step } else { fresh };
        out.extend_from_slice(b"\x1b[");
        out.extend_from_slice(shorter.as_bytes());
        out.push(b'm');
    }
}

/// The parameters that change `from` to `to`, one after the other.
fn parameters(from: Attr, to: Attr) -> String {
    let mut list = String::new();
    let mut add = |parameter: std::fmt::Arguments<'_>| {
        if !list.is_empty() {
            list.push(';');
        }
        let _ = list.write_fmt(parameter);
    };
    let mut standing = from.modifier;
    for (modifier, _, off) in MODIFIERS {
        if standing.contains(modifier) && !to.modifier.contains(modifier) {
            add(format_args!("{off}"));
            for (other, _, other_off) in MODIFIERS {
                if other_off == off {
                    standing.remove(other);
                }
            }
        }
    }
    for (modifier, on, _) in MODIFIERS {
        if to.modifier.contains(modifier) && !standing.contains(modifier) {
            add(format_args!("{on}"));
        }
    }
    if from.fg != to.fg {
        colour(to.fg, 30, &mut add);
    }
    if from.bg != to.bg {
        colour(to.bg, 40, &mut add);
    }
    list
}

/// Adds the parameter of a colour; `base` is 30 for the foreground and 40 for the background.
fn colour(colour: Color, base: u8, add: &mut dyn FnMut(std::fmt::Arguments<'_>)) {
    let plain = match colour {
        Color::Reset => 9,
        Color::Black => 0,
        Color::Red => 1,
        Color::Green => 2,
        Color::Yellow => 3,
        Color::Blue => 4,
        Color::Magenta => 5,
        Color::Cyan => 6,
        Color::Gray => 7,
        Color::DarkGray => 60,
        Color::LightRed => 61,
        Color::LightGreen => 62,
        Color::LightYellow => 63,
        Color::LightBlue => 64,
        Color::LightMagenta => 65,
        Color::LightCyan => 66,
        Color::White => 67,
        Color::Indexed(index) => return add(format_args!("{};5;{index}", base + 8)),
        Color::Rgb(red, green, blue) => return add(format_args!("{};2;{red};{green};{blue}", base + 8)),
    };
    add(format_args!("{}", base + plain));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(from: Attr, to: Attr) -> String {
        let mut out = Vec::new();
        from.change(to, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn attr(fg: Color, bg: Color, modifier: Modifier) -> Attr {
        Attr { fg, bg, modifier }
    }

    #[test]
    fn only_what_changes_is_sent() {
        let plain = Attr::PLAIN;
        let bold = attr(Color::Reset, Color::Reset, Modifier::BOLD);
        let red = attr(Color::Red, Color::Reset, Modifier::BOLD);
        assert_eq!(change(plain, plain), "");
        assert_eq!(change(plain, bold), "\x1b[1m");
        assert_eq!(change(bold, red), "\x1b[31m");
        assert_eq!(change(red, bold), "\x1b[39m");
        assert_eq!(change(red, plain), "\x1b[m");
    }

    #[test]
    fn a_reset_first_is_used_where_it_is_shorter() {
        let many = attr(Color::LightRed, Color::Blue, Modifier::BOLD | Modifier::UNDERLINED);
        assert_eq!(change(many, attr(Color::Reset, Color::Reset, Modifier::REVERSED)), "\x1b[;7m");
        assert_eq!(change(many, attr(Color::LightRed, Color::Blue, Modifier::BOLD)), "\x1b[24m");
    }

    #[test]
    fn bold_and_dim_share_their_end() {
        let dim = attr(Color::White, Color::Black, Modifier::DIM | Modifier::ITALIC);
        let bold = attr(Color::White, Color::Black, Modifier::BOLD | Modifier::ITALIC);
        assert_eq!(change(dim, bold), "\x1b[22;1m");
        let both = attr(Color::White, Color::Black, Modifier::BOLD | Modifier::DIM | Modifier::ITALIC);
        assert_eq!(change(both, bold), "\x1b[22;1m");
    }

    #[test]
    fn colours_beyond_sixteen_have_their_own_form() {
        assert_eq!(
            change(Attr::PLAIN, attr(Color::Indexed(200), Color::Rgb(1, 2, 3), Modifier::empty())),
            "\x1b[38;5;200;48;2;1;2;3m"
        );
    }
}
