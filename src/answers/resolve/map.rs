//! Maps: names with values, each a text or a reference to a secret.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::reference::{Literals, source};
use super::refusal::{Refusal, kind_of};
use super::{UNANSWERED, value};
use crate::answers::SecretSource;
use crate::guide::{Question, map_cells};
use crate::secret;
use crate::visible;
use crate::yaml::quoted;

const FORM: &str = "write names with values: {NAME: \"text\", OTHER: {file: /path}}";
/// Values are handed to processes, whose kernel takes no more of one, in bytes.
const LONGEST: usize = 100_000;
/// How names of secrets end: their values are not written in plain text.
const SECRETS: [&str; 5] = ["PASSWORD", "PASSWD", "SECRET", "SECRET_KEY", "TOKEN"];

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// A text that everybody may see.
    Text(String),
    /// A secret.
    Secret(SecretSource),
}

/// Every entry by its name; or what is wrong with each. `value` is a mapping, or rows of [`rows`].
pub(crate) fn entries(
    question: &Question,
    value: &Value,
    literals: Literals,
) -> Result<BTreeMap<String, Entry>, Vec<Refusal>> {
    let whole = |message: String, hint: String| Err(vec![Refusal::new(message, hint)]);
    let mut kept = BTreeMap::new();
    let mut refused = Vec::new();
    match value {
        Value::Object(given) => {
            for (name, value) in given {
                let entry = name_of(question, name).and_then(|()| entry(question, name, value, literals));
                let within = format!("[{name}]");
                match entry {
                    Ok(entry) => drop(kept.insert(name.clone(), entry)),
                    Err(refusal) => refused.push(Refusal { within, ..refusal }),
                }
            }
        }
        Value::Array(given) => {
            for (index, cells) in given.iter().enumerate() {
                let cells = cells.as_object().cloned().unwrap_or_default();
                match row(question, &cells, &kept) {
                    Ok((name, entry)) => drop(kept.insert(name, entry)),
                    Err((cell, refusal)) => {
                        refused.push(Refusal { within: format!("[{index}].{cell}"), ..refusal });
                    }
                }
            }
        }
        other => {
            return whole(format!("{} is given where names with values are expected", kind_of(other)), FORM.into());
        }
    }
    let count = i64::try_from(kept.len()).unwrap_or(i64::MAX);
    if refused.is_empty() && question.max.is_some_and(|max| count > max) {
        return whole(format!("has too many entries: {count}"), format!("allowed: {}", value::allowed(question)));
    }
    if refused.is_empty() && (question.min.is_some_and(|min| count < min) || (kept.is_empty() && !question.optional)) {
        return whole(format!("has too few entries: {count}"), format!("allowed: {}", value::allowed(question)));
    }
    if refused.is_empty() { Ok(kept) } else { Err(refused) }
}

/// A row that is typed: a name with a value or a secret. What is wrong stands at a cell.
fn row(
    question: &Question,
    cells: &Map<String, Value>,
    before: &BTreeMap<String, Entry>,
) -> Result<(String, Entry), (&'static str, Refusal)> {
    let given = |cell: &str| cells.get(cell).filter(|value| !value::is_empty(value));
    let Some(name) = given(map_cells::NAME).and_then(Value::as_str) else {
        return Err((map_cells::NAME, Refusal::new(UNANSWERED, "a name such as DEBUG")));
    };
    name_of(question, name).map_err(|refusal| (map_cells::NAME, refusal))?;
    if before.contains_key(name) {
        return Err((map_cells::NAME, Refusal::new(format!("{} is given twice", quoted(name)), "keep one of them")));
    }
    let entry = match (given(map_cells::VALUE), given(map_cells::SECRET)) {
        (Some(_), Some(_)) => {
            return Err((map_cells::SECRET, Refusal::new("has a value, too", "keep the value or the secret")));
        }
        (value, None) => entry(question, name, value.unwrap_or(&json!("")), Literals::Allowed),
        (None, Some(secret)) => secret_of(secret, Literals::Allowed),
    };
    let cell = if given(map_cells::SECRET).is_some() { map_cells::SECRET } else { map_cells::VALUE };
    Ok((name.to_owned(), entry.map_err(|refusal| (cell, refusal))?))
}

pub(super) fn name_of(question: &Question, name: &str) -> Result<(), Refusal> {
    let pattern = question.pattern.as_deref().unwrap_or("[A-Za-z_][A-Za-z0-9_]*");
    let whole = regex_lite::Regex::new(&format!("^(?:{pattern})$"));
    if name.len() > 255 || !whole.is_ok_and(|whole| whole.is_match(name)) {
        let hint = question.pattern_hint.as_deref().unwrap_or("letters, digits and _, beginning with no digit");
        return Err(Refusal::new(format!("{} is not a name here", quoted(name)), hint));
    }
    let is_reserved = |reserved: &String| match reserved.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == reserved,
    };
    if question.reserved.iter().any(is_reserved) {
        return Err(Refusal::new(format!("{} is set already, and not by you", quoted(name)), "remove it"));
    }
    Ok(())
}

fn entry(question: &Question, name: &str, value: &Value, literals: Literals) -> Result<Entry, Refusal> {
    if let Some(pattern) = &question.value_pattern {
        let hint = question.value_hint.as_deref().unwrap_or(pattern);
        return plain(value, pattern, hint).map(Entry::Text);
    }
    let text = match value {
        Value::String(text) => text,
        Value::Object(_) => return secret_of(value, literals),
        Value::Null => return Err(Refusal::new("has no value", "write \"\" for an empty one, or remove the line")),
        Value::Bool(_) | Value::Number(_) => {
            return Err(Refusal::new(
                format!("{} is given where text is expected", kind_of(value)),
                "put it between quotes",
            ));
        }
        Value::Array(_) => return Err(Refusal::new("a list is given where text is expected", FORM)),
    };
    if !text.is_empty() && is_for_secrets(name) {
        return secret_of(value, literals);
    }
    let odd = |c: &char| !"\n\t".contains(*c) && (c.is_control() || visible::unseen(*c));
    if let Some(bad) = text.chars().find(odd) {
        return Err(Refusal::new(format!("contains the character U+{:04X}", u32::from(bad)), "remove it"));
    }
    if text.contains(secret::OPEN) {
        return Err(Refusal::new("contains the placeholder of a secret", format!("remove {}", secret::OPEN)));
    }
    if text.len() > LONGEST {
        return Err(Refusal::new("is too long", format!("at most {LONGEST} bytes")));
    }
    Ok(Entry::Text(text.clone()))
}

/// Whether what has this name is always a secret.
pub(crate) fn is_for_secrets(name: &str) -> bool {
    SECRETS.iter().any(|end| name.to_ascii_uppercase().ends_with(end))
}

/// A text that is no secret.
fn plain(value: &Value, pattern: &str, hint: &str) -> Result<String, Refusal> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_u64() => number.to_string(),
        other => return Err(Refusal::new(format!("{} is given where text is expected", kind_of(other)), hint)),
    };
    let whole = regex_lite::Regex::new(&format!("^(?:{pattern})$"));
    if text.len() > LONGEST || !whole.is_ok_and(|whole| whole.is_match(&text)) {
        return Err(Refusal::new(format!("{} is not allowed", quoted(&text)), hint).because_of(&text));
    }
    Ok(text)
}

fn secret_of(value: &Value, literals: Literals) -> Result<Entry, Refusal> {
    source(map_cells::secret(), value, literals).map(Entry::Secret)
}

/// The path of an entry's secret.
pub(crate) fn path_of(question: &str, name: &str) -> String {
    format!("{question}.{name}")
}

/// A mapping as rows of cells, to be typed.
pub(crate) fn rows(entries: &Map<String, Value>) -> Value {
    let row = |(name, value): (&String, &Value)| {
        let cell = if value.is_object() { map_cells::SECRET } else { map_cells::VALUE };
        json!({map_cells::NAME: name, cell: value})
    };
    entries.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::guide::QuestionKind;

    fn told(more: &str, value: &Value, literals: Literals) -> Result<BTreeMap<String, Entry>, Vec<String>> {
        let text = format!("{{id: env, ask: 'Which?', type: map, reserved: [PATH, LD_*]{more}}}");
        let question: Question = crate::yaml::from_slice("question.yaml", text.as_bytes()).unwrap();
        let told = |one: &Refusal| format!("{}: {} ({})", one.within, one.message, one.hint);
        entries(&question, value, literals).map_err(|all| all.iter().map(told).collect())
    }

    fn text(text: &str) -> Entry {
        Entry::Text(text.to_owned())
    }

    #[test]
    fn a_value_is_a_text_or_a_secret() {
        let given = json!({"DEBUG": "0", "EMPTY": "", "LINES": "a\nb $x 'y' #z", "KEY": {"generate": 50}});
        let kept = told("", &given, Literals::Refused).unwrap();
        let wanted = [
            ("DEBUG", text("0")),
            ("EMPTY", text("")),
            ("KEY", Entry::Secret(SecretSource::Generate(50))),
            ("LINES", text("a\nb $x 'y' #z")),
        ];
        assert_eq!(kept, wanted.map(|(name, entry)| (name.to_owned(), entry)).into());
        assert_eq!(told(", optional: true", &json!({}), Literals::Refused), Ok(BTreeMap::new()));
    }

    #[test]
    fn every_entry_that_is_wrong_is_named_and_no_secret_is_shown() {
        let given = json!({
            "A B": "x", "1A": "x", "PATH": "x", "LD_PRELOAD": "x", "N": 1, "NONE": null, "LIST": [],
            "SMTP_PASSWORD": "hunter22", "BELL": "\u{7}", "FILE": {"file": "x"}, "MARK": "⟦secret:x⟧"
        });
        let refused = told("", &given, Literals::Refused).unwrap_err();
        let wanted = [
            "[1A]: '1A' is not a name here (letters",
            "[A B]: 'A B' is not a name here",
            "[BELL]: contains the character U+0007",
            "[FILE]: the path of a secret's file must be absolute",
            "[LD_PRELOAD]: 'LD_PRELOAD' is set already",
            "[LIST]: a list is given",
            "[MARK]: contains the placeholder",
            "[N]: a number is given where text is expected (put it between quotes)",
            "[NONE]: has no value",
            "[PATH]: 'PATH' is set already",
            "[SMTP_PASSWORD]: a secret must not be written here in plain text",
        ];
        assert_eq!(refused.len(), wanted.len(), "{refused:?}");
        for (one, start) in refused.iter().zip(wanted) {
            assert!(one.starts_with(start) && !one.contains("hunter"), "{one}");
        }
        let literal = told("", &json!({"SMTP_PASSWORD": "it's $5 #1"}), Literals::Allowed).unwrap();
        assert_eq!(literal["SMTP_PASSWORD"], Entry::Secret(SecretSource::Literal("it's $5 #1".to_owned())));
        assert!(told("", &json!("x"), Literals::Refused).unwrap_err()[0].contains("text is given where names"));
        assert!(told("", &json!({}), Literals::Refused).unwrap_err()[0].contains("too few entries: 0"));
        assert!(told(", max: 1", &json!({"A": "", "B": ""}), Literals::Refused).unwrap_err()[0].contains("too many"));
    }

    #[test]
    fn values_with_a_pattern_are_texts_and_no_secrets() {
        let ports = ", pattern: '/[a-zA-Z_]+', pattern_hint: paths, value_pattern: '[0-9]+', value_hint: 'a port'";
        // A name may end as those of secrets do.
        let kept = told(ports, &json!({"/TOKEN": 9000, "/b": "9001"}), Literals::Refused).unwrap();
        assert_eq!(kept, [("/TOKEN", text("9000")), ("/b", text("9001"))].map(|(n, v)| (n.to_owned(), v)).into());
        for (value, why) in [
            (json!("9000 "), "[/a]: '9000 ' is not allowed (a port)"),
            (json!("90\n00"), "is not allowed (a port)"),
            (json!({"generate": 32}), "a section is given where text is expected (a port)"),
            (json!(1.5), "a number is given where text is expected (a port)"),
            (json!(null), "expected (a port)"),
        ] {
            let refused = told(ports, &json!({"/a": value}), Literals::Allowed).unwrap_err();
            assert!(refused[0].contains(why), "{refused:?}");
        }
        let question = Question { value_pattern: Some(".".to_owned()), ..Question::new("x", "X?", QuestionKind::Map) };
        assert_eq!(question.row().iter().map(|cell| &*cell.id).collect::<Vec<_>>(), ["name", "value"]);
    }

    #[test]
    fn rows_that_are_typed_become_entries() {
        let given = json!({"DEBUG": "0", "KEY": {"generate": 50}});
        let rows = rows(given.as_object().unwrap());
        assert_eq!(rows, json!([{"name": "DEBUG", "value": "0"}, {"name": "KEY", "secret": {"generate": 50}}]));
        assert_eq!(told("", &rows, Literals::Allowed), told("", &given, Literals::Refused));
        let wrong = json!([{}, {"name": "A"}, {"name": "A"}, {"name": "B", "value": "x", "secret": "yyyyyy"}]);
        let refused = told("", &wrong, Literals::Allowed).unwrap_err();
        assert!(refused[0].starts_with("[0].name: must be answered"), "{refused:?}");
        assert!(refused[1].starts_with("[2].name: 'A' is given twice"), "{refused:?}");
        assert!(refused[2].starts_with("[3].secret: has a value, too"), "{refused:?}");
    }
}
