//! Filters for the formats that guides write. Each leaves placeholders of secrets alone: the characters of a secret
//! (letters, digits, `-`, `_`, `.`) are not special in any of these formats; `shell_quote` has any other quoted when it is
//! filled in.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use minijinja::{Environment, Error, ErrorKind, Value};

use crate::secret::{CLOSE, OPEN, QUOTED, shell_quote};

/// Makes the filters known.
pub fn add(environment: &mut Environment<'static>) {
    environment.add_filter("octal", octal);
    environment.add_filter("shell_quote", |text: String| around_marks(&text, shell_quote, QUOTED));
    environment.add_filter("ini_escape", |text: String| around_marks(&text, ini_escape, ""));
    environment.add_filter("regex_escape", |text: String| around_marks(&text, regex_escape, ""));
    environment.add_filter("systemd_escape", |text: String| around_marks(&text, systemd_escape, ""));
    environment.add_filter("url_quote", |text: String| around_marks(&text, url_quote, ""));
    environment.add_test("secret", |text: &str| text.contains(OPEN));
    environment.add_filter("json", json);
    environment.add_filter("hostname", |text: String| hostname(&text));
    environment.add_filter("matches", |text: String, pattern: String| matches(&text, &pattern));
    environment.add_filter("regex_fill", |pattern: String, texts: Value| {
        let failed = |e: serde_json::Error| Error::new(ErrorKind::InvalidOperation, format!("regex_fill: {e}"));
        let texts = serde_json::from_value(serde_json::to_value(&texts).map_err(failed)?).map_err(failed)?;
        Ok::<_, Error>(regex_fill(&pattern, &texts))
    });
    environment.add_filter("first_label", |host: String| first_label(&host));
    environment.add_filter("part", |text: String, at: String, index: isize| part(&text, &at, index));
    environment.add_filter("find", find);
    environment.add_filter("wrap", |texts: Vec<String>, before: String, after: String| {
        texts.iter().map(|text| format!("{before}{text}{after}")).collect::<Vec<_>>()
    });
    environment.add_filter("clamp", |number: i64, least: i64, most: i64| number.min(most).max(least));
}

/// `416 | octal` is `0640`.
fn octal(mode: u32) -> Result<String, Error> {
    if mode > 0o7777 {
        return Err(Error::new(ErrorKind::InvalidOperation, "octal: permission bits are at most 07777"));
    }
    Ok(format!("{mode:04o}"))
}

/// A value in an INI file in which `%` begins an interpolation, such as supervisor's.
fn ini_escape(text: &str) -> String {
    text.replace('%', "%%").replace('\n', " ")
}

/// A text that a regular expression matches literally.
pub(super) fn regex_escape(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, c| {
        if r"\.+*?()|[]{}^$#&-~/".contains(c) {
            out.push('\\');
        }
        out.push(c);
        out
    })
}

/// A value in a unit file, in which `%` begins a specifier and `$` a variable.
fn systemd_escape(text: &str) -> String {
    text.replace('%', "%%").replace('$', "$$")
}

/// Whether a regular expression is found in a text (anywhere, unless it says `^` or `$`). One that is none is found
/// nowhere.
fn matches(text: &str, pattern: &str) -> bool {
    regex_lite::Regex::new(pattern).is_ok_and(|regex| regex.is_match(text))
}

/// `'^%d$' | regex_fill({'%d': 'a.b'})` is `^a\.b$`: what stands for a text, in the order of the names, becomes a
/// pattern that matches it literally.
fn regex_fill(pattern: &str, texts: &BTreeMap<String, String>) -> String {
    texts.iter().fold(pattern.to_owned(), |filled, (name, text)| filled.replace(name, &regex_escape(text)))
}

/// The first label of a host name; of `www.example.org` it is `example`.
fn first_label(host: &str) -> String {
    host.strip_prefix("www.").unwrap_or(host).split('.').next().unwrap_or_default().to_owned()
}

/// `'15/main' | part('/', 0)` is `15`; a negative number counts from the end.
fn part(text: &str, at: &str, index: isize) -> Result<String, Error> {
    let parts: Vec<&str> = text.split(at).collect();
    let from_end = parts.len().checked_add_signed(index).filter(|_| index < 0);
    let found = from_end.or_else(|| usize::try_from(index).ok()).and_then(|index| parts.get(index));
    found
        .map(|part| (*part).to_owned())
        .ok_or_else(|| Error::new(ErrorKind::InvalidOperation, format!("part: there are only {} parts", parts.len())))
}

/// `facts.postgresql | find('id', '15/main')`: the first entry with this value; none where there is none.
#[expect(clippy::needless_pass_by_value, reason = "what minijinja calls")]
fn find(entries: Vec<Value>, name: &str, value: Value) -> Result<Value, Error> {
    for entry in entries {
        if entry.get_attr(name)? == value {
            return Ok(entry);
        }
    }
    Ok(Value::from(()))
}

/// A value as JSON in ASCII, which is also a literal of Python, JavaScript and YAML where it is a text, a number or a list
/// of those.
#[allow(clippy::needless_pass_by_value)] // what minijinja calls
fn json(value: Value) -> Result<String, Error> {
    let text =
        serde_json::to_string(&value).map_err(|e| Error::new(ErrorKind::InvalidOperation, format!("json: {e}")))?;
    Ok(text.chars().fold(String::new(), |mut out, c| {
        if c.is_ascii() || OPEN.contains(c) || CLOSE.contains(c) {
            out.push(c);
        } else {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
        out
    }))
}

/// One part of a URL, percent-encoded.
fn url_quote(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// A fully qualified host name made from this server's host name: `Web_1` becomes `web-1.internal` (`.internal` is the
/// top-level domain that ICANN reserves for private use).
fn hostname(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let labels: Vec<String> = lower
        .split('.')
        .map(|label| {
            let clean: String = label.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
            clean.trim_matches('-').chars().take(63).collect::<String>().trim_end_matches('-').to_owned()
        })
        .filter(|label| !label.is_empty())
        .collect();
    let last_is_number = labels.last().is_some_and(|label| label.bytes().all(|b| b.is_ascii_digit()));
    let name = match labels.len() {
        0 => "server.internal".to_owned(),
        1 => format!("{}.internal", labels[0]),
        _ if last_is_number => format!("{}.internal", labels.join(".")),
        _ => labels.join("."),
    };
    if name.len() > 253 { "server.internal".to_owned() } else { name }
}

/// Applies `escape` to the text between placeholders, whose names get `suffix`.
fn around_marks(text: &str, escape: fn(&str) -> String, suffix: &str) -> String {
    if !text.contains(OPEN) {
        return escape(text);
    }
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(OPEN) {
        let close = rest[start..].find(CLOSE).map_or(rest.len(), |at| start + at);
        let end = (close + CLOSE.len()).min(rest.len());
        if start > 0 {
            out.push_str(&escape(&rest[..start]));
        }
        out.push_str(&rest[start..close]);
        out.push_str(suffix);
        out.push_str(&rest[close..end]);
        rest = &rest[end..];
    }
    if !rest.is_empty() {
        out.push_str(&escape(rest));
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::secret::mark;

    #[test]
    fn octal_writes_permission_bits_and_refuses_more() {
        assert_eq!(octal(0o640).unwrap(), "0640");
        assert_eq!(octal(0o4755).unwrap(), "4755");
        assert!(octal(0o10000).is_err());
    }

    #[test]
    fn a_shell_reads_back_exactly_what_was_quoted() {
        assert_eq!(shell_quote("/opt/app/bin"), "/opt/app/bin");
        assert_eq!(shell_quote(""), "''");
        assert_eq!(shell_quote("it's"), r"'it'\''s'");
        assert_eq!(shell_quote("a b; rm -rf /"), "'a b; rm -rf /'");
        assert_eq!(shell_quote("postgresql:///a?host=/run"), "'postgresql:///a?host=/run'");
    }

    #[test]
    fn marks_stay_whole_whatever_stands_around_them() {
        let text = format!("redis://:{}@127.0.0.1/0?x=50%", mark("queue.password"));
        assert_eq!(
            around_marks(&text, ini_escape, ""),
            format!("redis://:{}@127.0.0.1/0?x=50%%", mark("queue.password"))
        );
        assert_eq!(
            around_marks(&text, shell_quote, ""),
            format!("redis://:{}'@127.0.0.1/0?x=50%'", mark("queue.password"))
        );
        assert_eq!(around_marks("⟦secret:open", shell_quote, ""), "⟦secret:open");
    }

    #[test]
    fn json_is_a_literal_in_ascii() {
        let json = |value: minijinja::Value| json(value).unwrap();
        assert_eq!(
            json(minijinja::Value::from("a \"quoted\" \\ caf\u{e9} \u{1f600}")),
            r#""a \"quoted\" \\ caf\u00e9 \ud83d\ude00""#
        );
        assert_eq!(json(minijinja::Value::from(vec![10000, 10001])), "[10000,10001]");
        assert_eq!(json(minijinja::Value::from(mark("db.password"))), format!("\"{}\"", mark("db.password")));
    }

    #[test]
    fn unit_files_and_urls_are_escaped_by_their_own_rules() {
        assert_eq!(systemd_escape("100% of $HOME"), "100%% of $$HOME");
        assert_eq!(url_quote("de/mo @"), "de%2Fmo%20%40");
        assert_eq!(regex_escape("a.b"), r"a\.b");
    }

    #[test]
    fn a_regular_expression_is_tried_and_a_wrong_one_matches_nothing() {
        assert!(matches("acme_test", "^acme") && !matches("acme_test", "^acme$") && !matches("acme", "("));
        let texts = [("%d".to_owned(), "a.b".to_owned()), ("%h".to_owned(), "a.b.org".to_owned())].into();
        assert_eq!(regex_fill("^%h|%d$", &texts), r"^a\.b\.org|a\.b$");
    }

    #[test]
    fn texts_are_taken_apart_and_entries_found() {
        assert_eq!(part("15/main", "/", 0).unwrap(), "15");
        assert_eq!(part("logs.example.org:6514", ":", -1).unwrap(), "6514");
        assert!(part("main", "/", 1).is_err() && part("main", "/", -2).is_err());
        assert_eq!(first_label("www.acme.example.org"), "acme");
        assert_eq!(first_label("localhost"), "localhost");
        let entries = || vec![Value::from(minijinja::value::Serde(serde_json::json!({"id": "15/main", "port": 5433})))];
        assert_eq!(find(entries(), "id", "15/main".into()).unwrap().get_attr("port").unwrap(), Value::from(5433));
        assert!(find(entries(), "id", "17/main".into()).unwrap().is_none());
    }

    #[test]
    fn any_name_a_machine_may_have_becomes_a_valid_one() {
        for (from, to) in [
            ("web.example.org", "web.example.org"),
            ("Web_1", "web-1.internal"),
            ("", "server.internal"),
            ("localhost", "localhost.internal"),
            ("10.0.0.7", "10.0.0.7.internal"),
            ("-x-.example.org.", "x.example.org"),
            ("(none)", "none.internal"),
        ] {
            assert_eq!(hostname(from), to, "{from}");
        }
    }
}
