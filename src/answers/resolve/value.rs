//! One value against its question: type, range, pattern, form. What depends on other answers is not looked at.

use serde_json::Value;

use crate::answers::resolve::hostname;
use crate::answers::resolve::refusal::{Refusal, kind_of, shown};
use crate::answers::resolve::{Literals, map, table, url};
use crate::guide::{Question, QuestionKind};
use crate::secret;
use crate::suggest::did_you_mean;
use crate::system::firewall::opening::{Allow, Network};
use crate::visible;
use crate::yaml::quoted;

/// How ports to open are written.
pub(super) const PORTS: &str = "write \"8443\", \"60000-61000/udp\" or \"5671 from 10.1.0.0/16\"";

/// How networks are written.
pub(super) const NETWORKS: &str = "write networks such as 192.0.2.0/24, or single addresses";

/// The value as it is kept, or why it is refused: once, but for each cell of a table. A secret is not a value; see
/// [`super::secret_source`].
pub fn check(question: &Question, value: &Value) -> Result<Value, Vec<Refusal>> {
    if question.kind == QuestionKind::Table && !(question.optional && is_empty(value)) {
        return table::check_rows(question, value);
    }
    if question.kind == QuestionKind::Map && !(question.optional && is_empty(value)) {
        return map::entries(question, value, Literals::Allowed).map(|_| value.clone());
    }
    judge(question, value).map_err(|refusal| {
        let entry = refusal.within.trim_matches(['[', ']']).parse::<usize>();
        let culprit = match (value, entry) {
            (Value::Array(items), Ok(entry)) => items.get(entry),
            _ => Some(value),
        };
        vec![refusal.because_of(culprit.and_then(Value::as_str).unwrap_or_default())]
    })
}

fn judge(question: &Question, value: &Value) -> Result<Value, Refusal> {
    if question.optional && is_empty(value) {
        return Ok(nothing(question));
    }
    match question.kind {
        QuestionKind::Choice => choice(question, value),
        QuestionKind::Integer => integer(value, question.min, question.max),
        QuestionKind::Port | QuestionKind::FreePort => {
            let (min, max) = (question.min.unwrap_or(1).max(1), question.max.unwrap_or(65535).min(65535));
            integer(value, Some(min), Some(max))
        }
        QuestionKind::Bool => boolean(value),
        QuestionKind::List | QuestionKind::Hostnames | QuestionKind::Ports | QuestionKind::Networks => {
            list(question, value)
        }
        QuestionKind::Secret | QuestionKind::Table | QuestionKind::Map => Ok(value.clone()),
        QuestionKind::Text
        | QuestionKind::Hostname
        | QuestionKind::Email
        | QuestionKind::Path
        | QuestionKind::Url
        | QuestionKind::Regex => {
            let Value::String(text) = value else {
                return Err(not_text(value));
            };
            one_line(text)?;
            match question.kind {
                QuestionKind::Hostname => hostname::check(text)?,
                QuestionKind::Email => email(text)?,
                QuestionKind::Path => path(text)?,
                QuestionKind::Url => url::check(question, text)?,
                QuestionKind::Regex => regex(question, text)?,
                _ => {}
            }
            length(text, question.min, question.max)?;
            pattern(question, text)?;
            Ok(value.clone())
        }
    }
}

/// What is allowed, in a few words: for missing answers, samples and schemas.
pub fn allowed(question: &Question) -> String {
    let range = |min: Option<i64>, max: Option<i64>, unit: &str| match (min, max) {
        (Some(min), Some(max)) => format!("{min} to {max}{unit}"),
        (Some(min), None) => format!("at least {min}{unit}"),
        (None, Some(max)) => format!("at most {max}{unit}"),
        (None, None) => String::new(),
    };
    let (kind, range) = match question.kind {
        QuestionKind::Choice => {
            return question.choices.iter().map(|choice| choice.value.as_str()).collect::<Vec<_>>().join(", ");
        }
        QuestionKind::Bool => return "true or false".to_owned(),
        QuestionKind::Secret => return "{file: /path}, {env: NAME} or {generate: 32}".to_owned(),
        QuestionKind::Integer => ("a whole number", range(question.min, question.max, "")),
        QuestionKind::Port | QuestionKind::FreePort => {
            ("a port", range(Some(question.min.unwrap_or(1)), Some(question.max.unwrap_or(65535)), ""))
        }
        QuestionKind::Hostname => ("a host name such as app.example.org", String::new()),
        QuestionKind::Email => ("an e-mail address", String::new()),
        QuestionKind::Path => ("an absolute path", String::new()),
        QuestionKind::Text => ("text", range(question.min, question.max, " characters")),
        QuestionKind::List => ("a list of texts", range(question.min, question.max, " entries")),
        QuestionKind::Hostnames => ("a list of host names", range(question.min, question.max, " entries")),
        QuestionKind::Ports => ("a list of ports", range(question.min, question.max, " entries")),
        QuestionKind::Networks => ("a list of networks", range(question.min, question.max, " entries")),
        QuestionKind::Table => ("a table", range(question.min, question.max, " rows")),
        QuestionKind::Map if question.value_pattern.is_some() => {
            ("names with values", range(question.min, question.max, " entries"))
        }
        QuestionKind::Map => {
            ("names with values, each a text or a secret", range(question.min, question.max, " entries"))
        }
        QuestionKind::Url if question.or_path => ("a URL or an absolute path", String::new()),
        QuestionKind::Url => ("a URL", String::new()),
        QuestionKind::Regex => ("a regular expression", String::new()),
    };
    let mut words = vec![kind.to_owned()];
    let hints = [&question.pattern_hint, &question.value_hint].map(|hint| hint.clone().unwrap_or_default());
    words.extend([range].into_iter().chain(hints).filter(|w| !w.is_empty()));
    words.join(", ")
}

/// Whether a value says nothing: null, `""`, `[]`, `{}`.
pub(crate) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
        _ => false,
    }
}

/// The value of an optional question that is left open: empty text where it is text, else null.
pub(crate) fn nothing(question: &Question) -> Value {
    match question.kind {
        QuestionKind::Text
        | QuestionKind::Hostname
        | QuestionKind::Email
        | QuestionKind::Path
        | QuestionKind::Url
        | QuestionKind::Regex => "".into(),
        QuestionKind::List
        | QuestionKind::Hostnames
        | QuestionKind::Ports
        | QuestionKind::Networks
        | QuestionKind::Table => Value::Array(Vec::new()),
        QuestionKind::Map => Value::Object(serde_json::Map::new()),
        QuestionKind::Choice
        | QuestionKind::Integer
        | QuestionKind::Bool
        | QuestionKind::Port
        | QuestionKind::FreePort
        | QuestionKind::Secret => Value::Null,
    }
}

fn choice(question: &Question, value: &Value) -> Result<Value, Refusal> {
    let text = match value {
        Value::String(text) => text.clone(),
        // `version: 15` is a number to YAML; no choice can be confused with another by this.
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        other => {
            return Err(Refusal::new(
                format!("{} is given where a choice is expected", kind_of(other)),
                allowed_are(question),
            ));
        }
    };
    let names = || question.choices.iter().map(|choice| choice.value.as_str());
    if names().any(|name| name == text) {
        return Ok(Value::String(text));
    }
    let hint = format!("{}{}", allowed_are(question), did_you_mean(&text, names()));
    Err(Refusal::new(format!("{} is not one of the choices", quoted(&text)), hint))
}

fn allowed_are(question: &Question) -> String {
    format!("allowed: {}", allowed(question))
}

fn integer(value: &Value, min: Option<i64>, max: Option<i64>) -> Result<Value, Refusal> {
    let range = match (min, max) {
        (Some(min), Some(max)) => format!("allowed: {min} to {max}"),
        (Some(min), None) => format!("allowed: {min} or more"),
        (None, Some(max)) => format!("allowed: {max} or less"),
        (None, None) => "allowed: a whole number".to_owned(),
    };
    let Some(number) = value.as_i64() else {
        let message = match value {
            Value::Number(_) => format!("{value} is not a whole number"),
            Value::String(text) if text.parse::<i64>().is_ok_and(|number| number.to_string() == *text) => {
                return Err(Refusal::new("is text, where a whole number is expected", "remove the quotes"));
            }
            Value::String(text) if text.parse::<i64>().is_ok() => {
                let number = text.parse::<i64>().unwrap_or_default();
                let message = format!("{} is not written as a whole number", shown(value));
                return Err(Refusal::new(message, format!("write {number}, without zeros or a + before it")));
            }
            Value::String(_) => format!("{} is not a whole number", shown(value)),
            other => format!("{} is given where a whole number is expected", kind_of(other)),
        };
        return Err(Refusal::new(message, range));
    };
    if min.is_some_and(|min| number < min) || max.is_some_and(|max| number > max) {
        return Err(Refusal::new(format!("{number} is out of range"), range));
    }
    Ok(value.clone())
}

fn boolean(value: &Value) -> Result<Value, Refusal> {
    match value {
        Value::Bool(_) => Ok(value.clone()),
        Value::String(text) => {
            let hint = match text.to_ascii_lowercase().as_str() {
                "true" | "false" if ["true", "True", "TRUE", "false", "False", "FALSE"].contains(&text.as_str()) => {
                    "remove the quotes"
                }
                "true" | "yes" | "on" | "y" => "write true",
                "false" | "no" | "off" | "n" => "write false",
                _ => "allowed: true or false",
            };
            Err(Refusal::new(format!("{} is neither true nor false", quoted(text)), hint))
        }
        other => Err(Refusal::new(
            format!("{} is given where true or false is expected", kind_of(other)),
            "allowed: true or false",
        )),
    }
}

fn list(question: &Question, value: &Value) -> Result<Value, Refusal> {
    let Value::Array(items) = value else {
        let hint = "write a list: [first, second]";
        return Err(Refusal::new(format!("{} is given where a list is expected", kind_of(value)), hint));
    };
    if items.is_empty() {
        return Err(Refusal::new("must not be empty", "write at least one entry: [first]"));
    }
    let texts: Vec<Value> = items.iter().map(as_text).collect();
    for (index, item) in texts.iter().enumerate() {
        let checked = match item {
            Value::String(text) if text.is_empty() => {
                Err(Refusal::new("must not be empty", "write the entry, or remove it"))
            }
            Value::String(text) => {
                one_line(text).and_then(|()| entry(question.kind, text)).and_then(|()| pattern(question, text))
            }
            other => Err(not_text(other)),
        };
        let within = format!("[{index}]");
        checked.map_err(|refusal| Refusal { within: within.clone(), ..refusal })?;
        if question.kind == QuestionKind::Hostnames && texts[..index].contains(item) {
            return Err(Refusal { within, ..Refusal::new(format!("{item} is given twice"), "keep one of them") });
        }
    }
    let count = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let few = question.min.is_some_and(|min| count < min);
    if few || question.max.is_some_and(|max| count > max) {
        let message = format!("has too {} entries: {count}", if few { "few" } else { "many" });
        return Err(Refusal::new(message, allowed_are(question)));
    }
    Ok(Value::Array(texts))
}

fn entry(kind: QuestionKind, text: &str) -> Result<(), Refusal> {
    match kind {
        QuestionKind::Hostnames => hostname::check(text),
        QuestionKind::Ports => text.parse::<Allow>().map(drop).map_err(|why| Refusal::new(why, PORTS)),
        QuestionKind::Networks => text.parse::<Network>().map(drop).map_err(|why| Refusal::new(why, NETWORKS)),
        _ => Ok(()),
    }
}

/// An entry as it is kept. Ports are written without quotes. Of a whole number nothing is lost when it is read; `1.10` would become `1.1`.
fn as_text(value: &Value) -> Value {
    match value {
        // Blanks around an entry mean nothing here, but would in later comparisons.
        Value::String(text) => Value::String(text.trim().to_owned()),
        _ => value.as_u64().map_or_else(|| value.clone(), |number| Value::String(number.to_string())),
    }
}

fn not_text(value: &Value) -> Refusal {
    let hint = match value {
        Value::Bool(_) | Value::Number(_) => "put it between quotes",
        _ => "write one value on one line",
    };
    Refusal::new(format!("{} is given where text is expected", kind_of(value)), hint)
}

fn one_line(text: &str) -> Result<(), Refusal> {
    if text.is_empty() {
        return Err(Refusal::new("must not be empty", "write a value"));
    }
    if text.contains(['\n', '\r']) {
        return Err(Refusal::new("has more than one line", "write it on one line"));
    }
    if let Some(bad) = text.chars().find(|c| c.is_control()) {
        let message = format!("contains the control character U+{:04X}", u32::from(bad));
        return Err(Refusal::new(message, "remove it"));
    }
    if let Some(bad) = text.chars().find(|c| visible::unseen(*c)) {
        let message = format!("contains the invisible character U+{:04X}", u32::from(bad));
        return Err(Refusal::new(message, "remove it"));
    }
    // Such a text would be replaced by the secret that it names, wherever the answer is written.
    if text.contains(secret::OPEN) {
        return Err(Refusal::new("contains the placeholder of a secret", format!("remove {}", secret::OPEN)));
    }
    Ok(())
}

fn length(text: &str, min: Option<i64>, max: Option<i64>) -> Result<(), Refusal> {
    let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    if let Some(min) = min.filter(|min| length < *min) {
        return Err(Refusal::new("is too short", format!("at least {min} characters; it has {length}")));
    }
    if let Some(max) = max.filter(|max| length > *max) {
        return Err(Refusal::new("is too long", format!("at most {max} characters; it has {length}")));
    }
    Ok(())
}

fn pattern(question: &Question, text: &str) -> Result<(), Refusal> {
    let Some(pattern) = &question.pattern else {
        return Ok(());
    };
    let Ok(whole) = regex_lite::Regex::new(&format!("^(?:{pattern})$")) else {
        return Err(Refusal::new("the guide's pattern is not a regular expression", "this is a bug in the guide"));
    };
    if whole.is_match(text) {
        return Ok(());
    }
    let hint = question.pattern_hint.clone().unwrap_or_else(|| format!("it must match {pattern}"));
    Err(Refusal::new(format!("{} is not allowed", quoted(text)), hint))
}

fn regex(question: &Question, text: &str) -> Result<(), Refusal> {
    let Err(why) = regex_lite::Regex::new(text) else { return Ok(()) };
    let hint = question.pattern_hint.clone().unwrap_or_else(|| "correct it".to_owned());
    Err(Refusal::new(format!("{} is not a regular expression: {why}", quoted(text)), hint))
}

/// One local part of the usual characters (RFC 5322, section 3.2.3) at a fully qualified host name.
fn email(text: &str) -> Result<(), Refusal> {
    let refused = |what: &str| {
        Err(Refusal::new(format!("{} {what}", quoted(text)), "write an address such as admin@example.org"))
    };
    let Some((local, domain)) = text.rsplit_once('@') else {
        return refused("is not an e-mail address: it has no @");
    };
    if local.is_empty() || local.len() > 64 || text.len() > 254 {
        return refused("is not an e-mail address");
    }
    if local.contains('@') {
        return refused("has more than one @");
    }
    let usual = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
    if let Some(bad) = local.chars().find(|c| !usual(*c)) {
        return refused(&format!("contains {} before the @", quoted(&bad.to_string())));
    }
    if local.starts_with('.') || local.ends_with('.') || local.contains("..") {
        return refused("has one dot too many before the @");
    }
    hostname::check(&domain.to_ascii_lowercase())
        .map_err(|refusal| Refusal::new(format!("after the @, {}", refusal.message), refusal.hint))
}

fn path(text: &str) -> Result<(), Refusal> {
    if text.starts_with('~') {
        return Err(Refusal::new(format!("{} is not absolute", quoted(text)), "write the home directory out"));
    }
    if !text.starts_with('/') {
        return Err(Refusal::new(format!("{} is not absolute", quoted(text)), "write a path that begins with /"));
    }
    if text.split('/').any(|part| part == "..") {
        return Err(Refusal::new(format!("{} contains ..", quoted(text)), "write the path without it"));
    }
    // PATH_MAX of Linux, the final NUL counted.
    if text.len() > 4095 {
        return Err(Refusal::new("is too long for a path", "at most 4095 bytes"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn told(kind: &str, value: &Value) -> Result<Value, String> {
        let text = format!("{{id: x, ask: Which?, type: {kind}}}");
        let question: Question = crate::yaml::from_slice("question.yaml", text.as_bytes()).unwrap();
        check(&question, value).map_err(|all| format!("{} ({})", all[0].message, all[0].hint))
    }

    fn refused(kind: &str, value: &Value, why: &str) {
        let told = told(kind, value).unwrap_err();
        assert!(told.contains(why), "{kind} {value}: {told}");
    }

    #[test]
    fn every_type_takes_its_own_values_and_tells_how_to_write_others() {
        for (kind, value) in [
            ("bool", json!(true)),
            ("integer, min: 1, max: 5", json!(1)),
            ("integer, min: 1, max: 5", json!(5)),
            ("port", json!(65535)),
            ("text, min: 2, max: 3", json!("äö")),
            ("text, min: 2, max: 3", json!("äöü")),
            ("url", json!("https://example.org/a")),
            ("regex", json!("a|b")),
            ("path", json!("/a")),
            ("path", json!(format!("/{}", "a".repeat(4094)))),
            ("list, min: 1, max: 2", json!(["a", "b"])),
            ("list, min: 2", json!(["a", "b"])),
            ("hostnames", json!(["a.b", "www.a.b"])),
        ] {
            assert_eq!(told(kind, &value), Ok(value.clone()), "{kind}");
        }
        // Blanks around an entry mean nothing, and numbers need no quotes.
        assert_eq!(told("list", &json!([" a ", 8443])), Ok(json!(["a", "8443"])));
        for (kind, value, why) in [
            ("bool", json!("True"), "remove the quotes"),
            ("bool", json!("tRue"), "write true"),
            ("bool", json!("on"), "write true"),
            ("bool", json!("No"), "write false"),
            ("bool", json!("fALSE"), "write false"),
            ("bool", json!("perhaps"), "allowed: true or false"),
            ("bool", json!(1), "a number is given where true or false is expected"),
            ("integer, min: 1, max: 5", json!(0), "out of range"),
            ("integer, min: 1, max: 5", json!(6), "out of range"),
            ("port", json!(0), "out of range"),
            ("text, min: 2, max: 3", json!("ä"), "at least 2 characters; it has 1"),
            ("text, min: 2, max: 3", json!("äöüä"), "at most 3 characters; it has 4"),
            ("text", json!(5), "put it between quotes"),
            ("text", json!("⟦secret:x⟧"), "the placeholder of a secret"),
            ("url", json!("no url"), "write"),
            ("regex", json!("("), "is not a regular expression"),
            ("path", json!("/a/../b"), "contains .."),
            ("list, max: 1", json!(["a", "b"]), "too many entries: 2"),
            ("hostnames", json!(["a.b", "c", "d.e"]), "'c' has no domain"),
            ("hostnames", json!(["a.b", "*.a.b"]), "is a wildcard"),
            ("hostnames", json!(["a.b", "c.d", "a.b"]), "\"a.b\" is given twice"),
            ("list, min: 2", json!(["a"]), "too few entries: 1"),
            ("list", json!([]), "must not be empty"),
            ("path", json!(format!("/{}", "a".repeat(4095))), "at most 4095 bytes"),
            ("list", json!(["a", " "]), "write the entry, or remove it"),
            ("list", json!([1.5]), "put it between quotes"),
        ] {
            refused(kind, &value, why);
        }
    }

    #[test]
    fn a_url_may_be_a_path_where_its_question_says_so() {
        let of = |more: &str| {
            let text = format!("{{id: x, ask: Which?, type: url{more}}}");
            allowed(&crate::yaml::from_slice("question.yaml", text.as_bytes()).unwrap())
        };
        assert_eq!((of("").as_str(), of(", or_path: true").as_str()), ("a URL", "a URL or an absolute path"));
    }

    #[test]
    fn an_address_is_at_most_as_long_as_mail_carries_it() {
        let host = |length: usize| format!("{}.example.org", vec!["a".repeat(60); 9].join(".").split_at(length).0);
        let longest = |local: usize, all: usize| format!("{}@{}", "x".repeat(local), host(all - local - 13));
        for (local, all) in [(1, 20), (64, 100), (64, 254)] {
            let address = longest(local, all);
            assert_eq!((told("email", &json!(address)), address.len()), (Ok(json!(address)), all));
        }
        for (local, all) in [(65, 100), (64, 255)] {
            refused("email", &json!(longest(local, all)), "is not an e-mail address");
        }
        for (bad, why) in [
            ("a@b@example.org", "more than one @"),
            (".a@example.org", "one dot too many"),
            ("a.@example.org", "one dot too many"),
            ("a..b@example.org", "one dot too many"),
            ("a b@example.org", "before the @"),
            ("@example.org", "is not an e-mail address"),
            ("example.org", "has no @"),
            ("a@example", "after the @"),
        ] {
            refused("email", &json!(bad), why);
        }
    }

    #[test]
    fn what_nobody_sees_is_told_of_the_entry_that_is_refused_and_of_no_other() {
        let kind = "list, pattern: '[a-z\u{a0}]+'";
        refused(kind, &json!(["ab", "c\u{2013}d"]), "'c\u{2013}d' contains a dash that is not a hyphen");
        let told = told(kind, &json!(["a\u{a0}b", "C"])).unwrap_err();
        assert!(told.starts_with("'C' is not allowed"), "{told}");
    }
}
