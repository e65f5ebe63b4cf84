//! Text on its way to a person. What could steer a terminal, or make one text look like another, is shown by its
//! number (`\u{1b}`); nothing is left out, so that two different names never look the same.
//!
//! Text from outside (names of processes and files, what tools and servers say, guides, answers) may hold anything.
//! [`line`] and [`lines`] are for pages that measure what they lay out; [`styled`] is what the doors to a terminal
//! ([`crate::ui::stdio`]) do to everything, whatever was done before. Styles travel inside of text as signs that text
//! from outside cannot bring along, and become sequences at the door only.

use std::fmt::Write as _;

/// How a piece of text looks on a terminal. No meaning is in a style alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Succeeded, added.
    Good,
    /// Failed, removed.
    Bad,
    /// Worth a look.
    Warning,
    /// A place in a file.
    Place,
    /// Details.
    Dim,
    /// Headings.
    Bold,
    /// A change.
    Change,
    /// Something unknown.
    Unknown,
}

/// Each style with its SGR parameters, in the order of their signs.
const STYLES: [(Style, &str); 8] = [
    (Style::Good, "32"),
    (Style::Bad, "31"),
    (Style::Warning, "33"),
    (Style::Place, "36"),
    (Style::Dim, "2"),
    (Style::Bold, "1"),
    (Style::Change, "1;32"),
    (Style::Unknown, "1;33"),
];
/// The sign of the first style; the others follow. Unassigned and ignorable for ever, so every measure is 0 columns.
const FIRST: u32 = 0xe0f00;
/// The sign of a style's end.
const END: char = '\u{e0f7f}';

impl Style {
    /// `text` in this style.
    pub fn paint(self, text: &str) -> String {
        let at = STYLES.iter().position(|(style, _)| *style == self).unwrap_or(0);
        let sign = char::from_u32(FIRST).and_then(|first| (first..END).nth(at)).unwrap_or(END);
        format!("{sign}{text}{END}")
    }
}

/// One line: line breaks and tabs are blanks, everything else that cannot be seen is shown.
pub fn line(text: &str) -> String {
    show(text, |c, out| {
        let blank = matches!(c, '\n' | '\t');
        if blank {
            out.push(' ');
        }
        blank
    })
}

/// Any number of lines: line breaks and tabs stay, everything else that cannot be seen is shown.
pub fn lines(text: &str) -> String {
    show(text, |c, out| {
        let stays = matches!(c, '\n' | '\t');
        if stays {
            out.push(c);
        }
        stays
    })
}

/// What a terminal gets: [`lines`], with our own styles as sequences (SGR, ECMA-48).
pub fn styled(text: &str) -> String {
    show(text, |c, out| {
        if matches!(c, '\n' | '\t') {
            out.push(c);
        } else if c == END {
            out.push_str("\u{1b}[0m");
        } else if let Some((_, code)) = u32::from(c).checked_sub(FIRST).and_then(|at| STYLES.get(at as usize)) {
            let _ = write!(out, "\u{1b}[{code}m");
        } else {
            return false;
        }
        true
    })
}

/// JSON text in which invisible characters are escaped: the same value to a program, and harmless to a terminal.
/// (Control characters below U+0020 are escaped anyway.)
pub fn json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\n' || !unseen(c) && !joins(c) {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out
}

/// `own` writes the characters that it handles itself, and returns whether it has.
fn show(text: &str, own: impl Fn(char, &mut String) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    let mut before = ' ';
    while let Some(c) = chars.next() {
        let line_ends = c == '\r' && chars.peek() == Some(&'\n');
        // Signs of one script are joined; between others a joiner only makes two names of one.
        let joined = joins(c) && before >= BEYOND && (!ZERO_WIDTH.contains(&c) || chars.peek() >= Some(&BEYOND));
        let shown = unseen(c) || joins(c) && !joined;
        if !line_ends && !own(c, &mut out) {
            if shown {
                let _ = write!(out, "{}", c.escape_unicode());
            } else {
                out.push(c);
            }
        }
        before = c;
    }
    out
}

/// Above it are the scripts and signs that need joiners; Latin, Greek, Cyrillic and Hebrew are below.
const BEYOND: char = '\u{600}';
/// The joiner and the non-joiner.
const ZERO_WIDTH: [char; 2] = ['\u{200c}', '\u{200d}'];

/// What is invisible and still right in the middle of some scripts and signs.
pub fn joins(c: char) -> bool {
    ZERO_WIDTH.contains(&c) || ('\u{fe00}'..='\u{fe0f}').contains(&c)
}

/// What steers a terminal, changes the direction of writing, or is there and cannot be seen.
pub fn unseen(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// A character that looks like another one or like none, as word processors and web pages insert them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Odd {
    /// Its place, in characters from 0.
    pub at: usize,
    character: char,
    name: &'static str,
    /// What to do about it.
    pub hint: &'static str,
}

impl std::fmt::Display for Odd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (U+{:04X})", self.name, u32::from(self.character))
    }
}

/// The first such character of a text that was refused: it is probably why.
pub fn odd(text: &str) -> Option<Odd> {
    text.chars().enumerate().find_map(|(at, character)| {
        let (name, hint) = match character {
            '\u{a0}' | '\u{2007}' | '\u{202f}' => ("a no-break space", "type a plain space instead"),
            '\u{2000}'..='\u{200a}' | '\u{205f}' | '\u{3000}' => {
                ("a wide or narrow space", "type a plain space instead")
            }
            '“' | '”' | '„' | '‟' | '«' | '»' => ("a typographic quote", "type a plain \" instead"),
            '‘' | '’' | '‚' | '‛' => ("a typographic quote", "type a plain ' instead"),
            '‐' | '‑' | '‒' | '–' | '—' | '−' => ("a dash that is not a hyphen", "type a plain - instead"),
            '！'..='～' => ("a full-width character", "type the plain one instead"),
            '\u{feff}' => ("a byte order mark", "remove it; it is invisible"),
            c if !c.is_control() && (unseen(c) || joins(c)) => ("an invisible character", "remove it"),
            _ => return None,
        };
        Some(Odd { at, character, name, hint })
    })
}

/// Whether [`line`] has nothing to change.
pub fn is_shown_as_it_is(text: &str) -> bool {
    line(text) == text
}

/// Whether a terminal that is given this text does nothing but show it.
#[cfg(test)]
pub fn is_harmless(text: &str) -> bool {
    text.chars().all(|c| matches!(c, '\n' | '\t') || !unseen(c))
}

/// Hostile pieces of text, for the tests of everything that shows text.
#[cfg(test)]
pub const HOSTILE: [&str; 12] = [
    "\u{1b}]0;pwned\u{7}",
    "\u{1b}[2J\u{1b}[H",
    "\u{1b}[8mhidden",
    "\u{9b}31m",
    "\u{90}q\u{9c}",
    "safe\rover",
    "a\u{202e}gnp.exe",
    "\u{2066}x\u{2069}\u{200f}\u{61c}",
    "ad\u{200d}min\u{200b}\u{feff}",
    "\u{8}\u{8}\u{7f}\u{0}",
    "\u{2028}\u{2029}\u{85}",
    "\u{e0f00}bright\u{e0f7f}\u{e0041}",
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_cannot_be_seen_is_shown_by_its_number() {
        assert_eq!(line("\u{1b}]0;pwned\u{7}"), "\\u{1b}]0;pwned\\u{7}");
        assert_eq!(line("a\u{202e}b\u{200b}c"), "a\\u{202e}b\\u{200b}c");
        assert_eq!(line("one\r\ntwo\tthree\rfour"), "one two three\\u{d}four");
        assert_eq!(lines("one\r\n\ttwo\u{2028}"), "one\n\ttwo\\u{2028}");
    }

    #[test]
    fn what_looks_like_something_else_is_named() {
        let named = |text: &str| odd(text).map(|odd| (odd.at, odd.to_string()));
        assert_eq!(named("é\u{a0}x"), Some((1, "a no-break space (U+00A0)".to_owned())));
        assert_eq!(named("“x”"), Some((0, "a typographic quote (U+201C)".to_owned())));
        assert_eq!(named("a\u{feff}"), Some((1, "a byte order mark (U+FEFF)".to_owned())));
        assert_eq!(named("a\u{200b}"), Some((1, "an invisible character (U+200B)".to_owned())));
        assert_eq!(named("８０"), Some((0, "a full-width character (U+FF18)".to_owned())));
        assert_eq!(named("a - 'b' \"c\" é"), None);
    }

    #[test]
    fn joiners_stay_between_the_signs_that_need_them() {
        for right in ["👩\u{200d}💻", "می\u{200c}خواهم", "❤\u{fe0f}", "क्\u{200d}ष"] {
            assert_eq!(line(right), right);
        }
        assert_eq!(line("ad\u{200d}min"), "ad\\u{200d}min");
        assert_eq!(line("a\u{fe0f}"), "a\\u{fe0f}");
        assert_eq!(line("日\u{200d}"), "日\\u{200d}");
    }

    #[test]
    fn a_style_is_a_sequence_at_the_door_only_and_no_column_before() {
        let painted = Style::Bad.paint("x");
        assert_eq!(styled(&painted), "\u{1b}[31mx\u{1b}[0m");
        assert_eq!(unicode_width::UnicodeWidthStr::width(painted.as_str()), 1);
        assert!(STYLES.iter().all(|(style, code)| styled(&style.paint("")) == format!("\u{1b}[{code}m\u{1b}[0m")));
        // Text from outside that went through a page brings none along.
        assert_eq!(styled(&line(&painted)), "\\u{e0f01}x\\u{e0f7f}");
    }

    #[test]
    fn json_says_the_same_without_a_danger() {
        for text in HOSTILE {
            let written = json(&serde_json::to_string(text).unwrap());
            assert!(is_harmless(&written) && !written.contains('\u{200d}'), "{written:?}");
            assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
        }
    }

    proptest! {
        #[test]
        fn nothing_that_is_shown_steers_a_terminal(text in any::<String>(), at in 0usize..12) {
            let text = format!("{text}{}{text}", HOSTILE[at]);
            let (one, many) = (line(&text), lines(&text));
            prop_assert!(is_harmless(&one) && !one.contains(['\n', '\t']));
            prop_assert!(is_harmless(&many));
            // Nothing but our own sequences is behind the door.
            let mut rest = styled(&text);
            for (_, code) in STYLES {
                rest = rest.replace(&format!("\u{1b}[{code}m"), "");
            }
            rest = rest.replace("\u{1b}[0m", "");
            prop_assert!(is_harmless(&rest));
        }

        #[test]
        fn what_is_seen_stays_as_it_is(text in "[ -~äöü—…日]{0,40}") {
            prop_assert_eq!(line(&text), text.clone());
            prop_assert_eq!(styled(&text), text);
        }
    }
}
