//! Text for lines of a terminal: free of control codes, measured, shortened, wrapped.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::visible;

/// `text` as one line that steers no terminal: see [`visible::line`].
pub fn clean(text: &str) -> String {
    visible::line(text)
}

/// What a tool printed, without the colours it meant for a terminal. Everything else it tried is shown by `clean`.
pub fn of_tool(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("\u{1b}[") {
        let (before, sequence) = rest.split_at(at);
        out.push_str(before);
        let parameters = &sequence[2..];
        let end = parameters.find(|c: char| !matches!(c, '0'..='9' | ';' | ':')).unwrap_or(parameters.len());
        rest = if let Some(b'm' | b'K') = parameters.as_bytes().get(end) {
            &parameters[end + 1..]
        } else {
            out.push('\u{1b}');
            &sequence[1..]
        };
    }
    out.push_str(rest);
    out.trim_end_matches('\r').to_owned()
}

/// Pasted text as an answer: line breaks become blanks, and invisible characters are left out.
pub fn typed(text: &str) -> String {
    let breaks = |c| if matches!(c, '\t' | '\n' | '\r') { ' ' } else { c };
    of_tool(text).chars().map(breaks).filter(|c| !visible::unseen(*c)).collect()
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

/// `text` in at most `columns` columns; `ellipsis` replaces what was cut off.
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
    fn a_tools_colours_go_and_everything_else_it_tried_is_shown() {
        let shown = |text: &str| clean(&of_tool(text));
        assert_eq!(shown("\u{1b}[1;31mred\u{1b}[0m\u{1b}[K text\r"), "red text");
        assert_eq!(shown("\u{1b}[2Jgone\u{7}"), "\\u{1b}[2Jgone\\u{7}");
        assert_eq!(shown("\u{1b}[\u{1b}[31"), "\\u{1b}[\\u{1b}[31");
        assert_eq!(shown("\u{1b}[3é"), "\\u{1b}[3é");
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
