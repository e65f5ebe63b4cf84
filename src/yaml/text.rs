//! What can be refused before any parsing: size, encoding, characters that no text file holds.

use crate::error::Problem;
use crate::yaml::MAX_BYTES;

/// Most opening brackets, those in texts counted too.
const MAX_BRACKETS: usize = 10_000;
/// Most lines that begin with `%`.
const MAX_DIRECTIVES: usize = 16;

/// The text of a file, without its byte order mark, or why it is none.
pub(super) fn check<'a>(name: &str, bytes: &'a [u8]) -> Result<&'a str, Problem> {
    let refuse = |(line, column): (usize, usize), message: String, hint: &str| {
        Err(Problem { place: format!("{name}:{line}:{column}"), path: String::new(), message, hint: hint.to_owned() })
    };
    if bytes.len() > MAX_BYTES {
        let message = format!("the file is too large: {} bytes, at most {MAX_BYTES} are read", bytes.len());
        return refuse((1, 1), message, "check that this is the right file");
    }
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        let message = "the file is UTF-16, not UTF-8".to_owned();
        return refuse((1, 1), message, "save it as UTF-8: iconv -f UTF-16 -t UTF-8 FILE > NEW");
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let (good, rest) = bytes.split_at(error.valid_up_to());
            let good = String::from_utf8_lossy(good);
            let message = format!("byte 0x{:02x} is not UTF-8", rest.first().copied().unwrap_or(0));
            let hint = "save the file as UTF-8; if it is Latin-1: iconv -f ISO-8859-1 -t UTF-8 FILE > NEW";
            return refuse(end_of(&good), message, hint);
        }
    };
    if let Some((at, bad)) = text.char_indices().find(|(_, c)| !is_text(*c)) {
        if bad == '\0' {
            let message = "a NUL byte: this is not a text file".to_owned();
            return refuse(end_of(&text[..at]), message, "check that this is the right file");
        }
        if bad == '\u{feff}' {
            let message = "a byte order mark (U+FEFF) in the middle of the file".to_owned();
            return refuse(end_of(&text[..at]), message, "files were joined here; remove it, although it is invisible");
        }
        let message = format!("the control character U+{:04X} is not allowed", u32::from(bad));
        return refuse(end_of(&text[..at]), message, "remove it, or write it as an escape between double quotes");
    }
    // Each of these costs the parser time that grows with how many there are before: 100,000 brackets would
    // take seconds.
    if let Some((at, _)) = text.match_indices(['[', '{']).nth(MAX_BRACKETS) {
        let message = format!("too many brackets: at most {MAX_BRACKETS} of [ and {{ are read");
        return refuse(end_of(&text[..at]), message, "write lists and sections as lines, indented with spaces");
    }
    let mut directives = text.lines().enumerate().filter(|(_, line)| line.starts_with('%'));
    if let Some((line, _)) = directives.nth(MAX_DIRECTIVES) {
        let message = format!("too many directives: at most {MAX_DIRECTIVES} lines may begin with %");
        return refuse((line + 1, 1), message, "remove them; none is needed");
    }
    Ok(text)
}

/// The characters of YAML 1.2, section 5.1 (`c-printable`); a byte order mark only at the very beginning.
fn is_text(c: char) -> bool {
    match c {
        '\t' | '\n' | '\r' | '\u{85}' => true,
        '\u{feff}' | '\u{fffe}' | '\u{ffff}' => false,
        _ => !c.is_control(),
    }
}

/// Whether a character can appear between double quotes only as an escape: YAML takes it for a line break, or refuses
/// it.
pub(super) fn needs_escape(c: char) -> bool {
    !is_text(c) || matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// The line and the column just behind `text`, counted from 1. LF, CRLF and CR end a line.
fn end_of(text: &str) -> (usize, usize) {
    let (mut line, mut column) = (1, 1);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let ends = c == '\n' || (c == '\r' && chars.peek() != Some(&'\n'));
        if ends {
            line += 1;
            column = 1;
        } else {
            column += 1;
        }
    }
    (line, column)
}
