//! Secrets: given by reference. No message here repeats anything that was given.

use std::ops::RangeInclusive;

use serde_json::Value;

use crate::answers::SecretSource;
use crate::answers::resolve::refusal::Refusal;
use crate::guide::Question;
use crate::secret;

/// How long a generated secret may be, in characters. 16 of 64 kinds are 96 bits.
pub(crate) const GENERATED: RangeInclusive<i64> = 16..=128;

const HOW: &str = "write {file: /path}, {env: NAME} or {generate: 32}";

/// Whether a secret may be given literally.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Literals {
    /// Refused, with how to do it instead.
    Refused,
    /// Accepted: `--allow-literal-secrets`, or typed at a terminal.
    Allowed,
}

/// The source that a value refers to.
pub(super) fn source(question: &Question, value: &Value, literals: Literals) -> Result<SecretSource, Refusal> {
    let source = match value {
        Value::Object(entries) if entries.len() == 1 => serde_json::from_value(value.clone()).ok(),
        Value::String(text) => Some(SecretSource::Literal(text.clone())),
        Value::Bool(_) | Value::Number(_) if literals == Literals::Allowed => {
            return Err(Refusal::new("must be text", "put it between quotes"));
        }
        Value::Bool(_) | Value::Number(_) => Some(SecretSource::Literal(String::new())),
        _ => None,
    };
    let generates = matches!(value, Value::Object(entries) if entries.contains_key("generate"));
    match source {
        Some(SecretSource::Literal(_)) if literals == Literals::Refused => Err(Refusal::new(
            "a secret must not be written here in plain text",
            format!("{HOW}; --allow-literal-secrets accepts it"),
        )),
        Some(SecretSource::Literal(text)) => literal(question, text),
        Some(SecretSource::File(path)) if !path.starts_with('/') => {
            Err(Refusal::new("the path of a secret's file must be absolute", "write {file: /root/secrets/name}"))
        }
        Some(SecretSource::Env(name)) if !is_variable(&name) => {
            Err(Refusal::new("that is not a variable name", "write {env: NAME}, of letters, digits and _"))
        }
        Some(SecretSource::Generate(length)) if !GENERATED.contains(&i64::from(length)) => Err(length_refused()),
        None if generates => Err(length_refused()),
        Some(source) => Ok(source),
        None => Err(Refusal::new("that is not a reference to a secret", HOW)),
    }
}

fn literal(question: &Question, text: String) -> Result<SecretSource, Refusal> {
    let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    let shortest = question.min.unwrap_or(1).max(1);
    let longest = question.max.unwrap_or(i64::MAX);
    if length < shortest || length > longest {
        let hint = match question.max {
            Some(longest) => format!("{shortest} to {longest} characters"),
            None => format!("at least {shortest} characters"),
        };
        return Err(Refusal::new("the length of the secret is not allowed", hint));
    }
    match &question.pattern {
        Some(pattern) if !secret::has_form(&text, pattern) => Err(Refusal::new(
            "the secret does not have the required form",
            question.pattern_hint.clone().unwrap_or_default(),
        )),
        None if !secret::is_plain(&text) => Err(Refusal::new(
            "the secret contains characters that are not safe in URLs and configuration files",
            "use letters, digits, -, _ and . only",
        )),
        _ => Ok(SecretSource::Literal(text)),
    }
}

fn length_refused() -> Refusal {
    let hint = format!("write {{generate: N}} with N from {} to {}", GENERATED.start(), GENERATED.end());
    Refusal::new("a secret of that length cannot be generated", hint)
}

fn is_variable(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn told(more: &str, value: &Value, literals: Literals) -> Result<SecretSource, String> {
        let text = format!("{{id: x, ask: Which?, type: secret{more}}}");
        let question: Question = crate::yaml::from_slice("question.yaml", text.as_bytes()).unwrap();
        source(&question, value, literals).map_err(|refusal| format!("{} ({})", refusal.message, refusal.hint))
    }

    #[test]
    fn a_secret_is_one_reference_of_a_known_kind() {
        let taken = |value: &Value| told("", value, Literals::Refused);
        assert_eq!(taken(&json!({"file": "/root/x"})), Ok(SecretSource::File("/root/x".to_owned())));
        for length in [16, 128] {
            assert_eq!(taken(&json!({"generate": length})), Ok(SecretSource::Generate(length)));
        }
        for name in ["A", "_a1", "DB_PASSWORD"] {
            assert_eq!(taken(&json!({"env": name})), Ok(SecretSource::Env(name.to_owned())));
        }
        for (value, why) in [
            (json!({"file": "x"}), "must be absolute"),
            (json!({"env": ""}), "not a variable name"),
            (json!({"env": "1A"}), "not a variable name"),
            (json!({"env": "A-B"}), "not a variable name"),
            (json!({"generate": 15}), "from 16 to 128"),
            (json!({"generate": 129}), "from 16 to 128"),
            (json!({"generate": "x"}), "from 16 to 128"),
            (json!({"file": "/x", "env": "A"}), "not a reference to a secret"),
            (json!({}), "not a reference to a secret"),
            (json!({"store": "x"}), "not a reference to a secret"),
            (json!(["a"]), "not a reference to a secret"),
            (json!("hunter2"), "must not be written here in plain text"),
            (json!(1), "must not be written here in plain text"),
        ] {
            let told = taken(&value).unwrap_err();
            assert!(told.contains(why) && !told.contains("hunter"), "{value}: {told}");
        }
        assert!(told("", &json!(1), Literals::Allowed).unwrap_err().contains("between quotes"));
    }

    #[test]
    fn a_literal_secret_has_the_length_and_the_form_that_its_question_asks_for() {
        let taken = |more: &str, text: &str| told(more, &json!(text), Literals::Allowed);
        for (more, text) in [
            ("", "a"),
            (", min: 2, max: 3", "ab"),
            (", min: 2, max: 3", "abc"),
            (", pattern: '[a-z+]+'", "a+b"),
            (", pattern: '[a-z+]+', min: 2", "a+"),
        ] {
            assert_eq!(taken(more, text), Ok(SecretSource::Literal(text.to_owned())), "{more}");
        }
        for (more, text, why) in [
            ("", "", "at least 1 characters"),
            ("", "a+b", "letters, digits"),
            (", min: 2, max: 3", "a", "2 to 3 characters"),
            (", min: 2, max: 3", "abcd", "2 to 3 characters"),
            (", pattern: '[a-z+]+', pattern_hint: small ones", "ABC", "does not have the required form (small ones)"),
        ] {
            let told = taken(more, text).unwrap_err();
            assert!(told.contains(why) && (text.len() < 3 || !told.contains(text)), "{more}: {told}");
        }
    }
}
