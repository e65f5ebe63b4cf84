//! Messages for a file that cannot be parsed.

use crate::error::Problem;
use crate::visible;
use crate::yaml::tree::{Cause, Stop};
use crate::yaml::{Document, MAX_DEPTH, MAX_NODES, MAX_TEXT};

/// What is wrong, where, and what to do.
pub(super) fn problem(name: &str, text: &str, stop: Stop) -> Problem {
    let (mut line, mut column) = stop.position;
    let (message, hint) = match stop.cause {
        Cause::Syntax(why) => {
            if let Some(tab) = tab_in_indentation(text, line) {
                column = tab;
                ("a tab is used to indent".to_owned(), "indent with spaces, two for each level".to_owned())
            } else if let Some((near, odd)) = odd_near(text, line) {
                (line, column) = (near, odd.at + 1);
                (format!("this is not valid YAML here or in the next line: found {odd}"), odd.hint.to_owned())
            } else {
                let why = without_position(&why);
                (format!("this is not valid YAML: {why}"), advice(&why).to_owned())
            }
        }
        Cause::TooDeep => {
            (format!("nested too deeply: at most {MAX_DEPTH} levels are read"), "use fewer levels".to_owned())
        }
        Cause::TooMany => (
            format!("too many keys and values: at most {MAX_NODES} are read, aliases counted each time"),
            "remove what is not needed; write values out instead of aliases to aliases".to_owned(),
        ),
        Cause::TooLong => (
            format!("too long: at most {} MiB of keys and values are read, aliases counted each time", MAX_TEXT >> 20),
            "write values out instead of aliases to long texts".to_owned(),
        ),
        Cause::Tag => (
            "a tag (!…) is not allowed".to_owned(),
            "write the plain value, between quotes if it begins with !".to_owned(),
        ),
        Cause::HugeNumber => (
            "a number this large cannot be read".to_owned(),
            format!("use at most {}; if it is text, put it between quotes", i64::MAX),
        ),
        Cause::KeyIsNoText => (
            "a key must be text".to_owned(),
            "write `name: value`; a value that begins with { or [ goes between quotes".to_owned(),
        ),
        Cause::SecondDocument => (
            "a second document begins here; a file holds one".to_owned(),
            "remove the line `---`, or put what follows in a file of its own".to_owned(),
        ),
        Cause::Wanted => (String::new(), String::new()),
    };
    // The library counts a missing end as the line behind the last one; a person looks at the last line.
    let last = text.lines().count().max(1);
    if line > last {
        line = last;
        column = text.lines().last().map_or(1, |line| line.chars().count() + 1);
    }
    Problem { place: format!("{name}:{line}:{column}"), path: String::new(), message, hint }
}

/// What is wrong when the YAML is fine but not of the wanted form.
pub(super) fn mistyped(document: &Document, error: &serde_yaml::Error) -> Problem {
    let place = match error.location() {
        Some(location) => document.place_at(location.line(), location.column()),
        None => document.start(),
    };
    Problem { place, path: String::new(), message: without_position(&error.to_string()), hint: String::new() }
}

/// A text of the file for a message: quoted, shortened, control characters escaped.
pub fn quoted(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut out = String::from("'");
    for (count, c) in text.chars().enumerate() {
        if count == LONGEST {
            out.push('…');
            break;
        }
        if visible::unseen(c) || visible::joins(c) || c.is_whitespace() && c != ' ' {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out.push('\'');
    out
}

/// A character that YAML takes for a letter and a person for a space, a quote or a hyphen, in this line (counted from
/// 1) or in the one before. Comments may hold any.
fn odd_near(text: &str, line: usize) -> Option<(usize, visible::Odd)> {
    [line, line.saturating_sub(1)].into_iter().filter(|near| *near > 0).find_map(|near| {
        let content = text.lines().nth(near - 1)?;
        let content = if content.trim_start().starts_with('#') { "" } else { content };
        let content = content.split(" #").next().unwrap_or_default();
        visible::odd(content).map(|odd| (near, odd))
    })
}

fn tab_in_indentation(text: &str, line: usize) -> Option<usize> {
    let line = text.lines().nth(line.checked_sub(1)?)?;
    let indentation = line.len() - line.trim_start_matches([' ', '\t']).len();
    line[..indentation].find('\t').map(|tab| tab + 1)
}

/// The library's message without its first ` at line 3 column 5`, which the place says already.
fn without_position(why: &str) -> String {
    let Some(start) = why.find(" at line ") else {
        return why.to_owned();
    };
    let rest = &why[start + " at line ".len()..];
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    let rest = rest.strip_prefix(" column ").unwrap_or(rest);
    format!("{}{}", &why[..start], rest.trim_start_matches(|c: char| c.is_ascii_digit()))
}

/// What usually helps, by the library's message.
fn advice(why: &str) -> &'static str {
    const KNOWN: &[(&str, &str)] = &[
        ("unknown escape", "use single quotes, or write \\\\ for a backslash"),
        ("mapping values are not allowed", "put a value that contains `: ` between quotes, and check the indentation"),
        ("found character that cannot start", "put a value that begins with @, ` or % between quotes"),
        ("quoted scalar", "close the quote"),
        ("did not find expected ',' or", "close the bracket, and put commas between the entries"),
        ("could not find expected ':'", "write `name: value`, with a space after the colon"),
        ("did not find expected key", "check the indentation of this line and of the one before, and the quotes"),
        ("unknown anchor", "write the value out, or put it between quotes if it begins with *"),
    ];
    KNOWN
        .iter()
        .find(|(part, _)| why.contains(part))
        .map_or("check the indentation, the quotes and the colons of this line and of the one before", |(_, advice)| {
            advice
        })
}
