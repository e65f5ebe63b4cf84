//! Text for lines of a terminal: free of control codes, measured, shortened, wrapped.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// `text` without escape sequences and control characters: what a tool printed must not steer our terminal.
pub fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => skip_sequence(&mut chars),
            '\t' | '\n' | '\r' => out.push(' '),
            // Marks that reverse the direction of writing can make one path look like another.
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

/// Skips the rest of an escape sequence (ECMA-48): CSI up to its final byte, strings up to BEL or ST.
fn skip_sequence(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match chars.next() {
        Some('[') => {
            chars.find(|c| ('@'..='~').contains(c));
        }
        Some(']' | 'P' | '^' | '_' | 'X') => {
            while let Some(c) = chars.next() {
                if c == '\u{7}' || c == '\u{1b}' && chars.next_if_eq(&'\\').is_some() {
                    break;
                }
            }
        }
        Some('(' | ')' | '#' | '%' | ' ') => {
            chars.next();
        }
        _ => {}
    }
}

/// `text` in ASCII, for a locale that cannot show more: the common signs by their likes, the rest as `?`.
pub fn ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c.is_ascii() => out.push(c),
            '…' => out.push_str("..."),
            '–' | '—' | '−' | '‑' => out.push('-'),
            '‘' | '’' => out.push('\''),
            '“' | '”' | '„' | '«' | '»' => out.push('"'),
            '→' => out.push_str("->"),
            '×' => out.push('x'),
            '·' | '•' => out.push('*'),
            '⟦' => out.push('['),
            '⟧' => out.push(']'),
            '\u{a0}' | '\u{202f}' => out.push(' '),
            _ => out.push('?'),
        }
    }
    out
}

/// How many columns `text` takes.
pub fn width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// `text` in at most `columns` columns; `ellipsis` stands for what was cut off.
pub fn shorten(text: &str, columns: usize, ellipsis: &str) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let room = columns.saturating_sub(width(ellipsis));
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > room {
            break;
        }
        out.push(c);
    }
    format!("{}{ellipsis}", out.trim_end())
}

/// `text` in lines of at most `columns` columns, broken at blanks. A longer word (a path, an address) stays
/// whole, so that it can be copied.
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && width(&line) + 1 + width(word) > columns {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}

/// `text` followed by blanks up to `columns` columns.
pub fn pad(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escape_sequences_and_control_characters_go() {
        assert_eq!(clean("\u{1b}[31mred\u{1b}[0m\u{7} text\r\n"), "red text  ");
        assert_eq!(clean("\u{1b}]0;title\u{7}after"), "after");
        assert_eq!(clean("\u{1b}]8;;http://x\u{1b}\\link"), "link");
        assert_eq!(clean("\u{1b}(Bplain"), "plain");
        assert_eq!(clean("a\u{202e}b"), "ab");
        assert_eq!(clean("\u{1b}"), "");
    }

    #[test]
    fn signs_have_ascii_likes() {
        assert_eq!(ascii("a — b … ⟦secret:x⟧ é"), "a - b ... [secret:x] ?");
    }

    #[test]
    fn shortening_counts_columns_not_characters() {
        assert_eq!(shorten("nginx", 5, "…"), "nginx");
        assert_eq!(shorten("nginx-common", 6, "…"), "nginx…");
        assert_eq!(shorten("日本語", 5, "…"), "日本…");
        assert_eq!(shorten("nginx-common", 6, "..."), "ngi...");
    }

    #[test]
    fn a_word_that_is_too_long_stays_whole() {
        assert_eq!(wrap("see /var/lib/bringup/runs now", 10), ["see", "/var/lib/bringup/runs", "now"]);
        assert_eq!(wrap("", 10), [""]);
    }

    proptest! {
        #[test]
        fn nothing_that_is_cleaned_can_steer_a_terminal(text in any::<String>()) {
            prop_assert!(!clean(&text).chars().any(char::is_control));
            prop_assert!(ascii(&clean(&text)).is_ascii());
        }

        #[test]
        fn nothing_that_is_shortened_is_wider_than_asked(text in "\\PC*", columns in 1usize..50) {
            prop_assert!(width(&shorten(&clean(&text), columns, "…")) <= columns);
        }

        #[test]
        fn wrapping_loses_no_word(text in "[a-z ]{0,200}", columns in 1usize..50) {
            let lines = wrap(&text, columns);
            let words: Vec<&str> = text.split_whitespace().collect();
            let joined = lines.join(" ");
            prop_assert_eq!(joined.split_whitespace().collect::<Vec<_>>(), words);
            prop_assert!(lines.iter().all(|line| width(line) <= columns || !line.contains(' ')));
        }
    }
}
