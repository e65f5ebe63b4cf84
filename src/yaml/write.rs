//! Values on one line.

use std::fmt::Write as _;

use serde_json::Value;

use crate::error::{Failure, Outcome};
use crate::yaml::{text, to_string};

pub(super) fn inline(value: &Value) -> Outcome<String> {
    let Value::String(text) = value else {
        return flow(value);
    };
    let plain = to_string(text)?;
    let plain = plain.trim_end_matches('\n');
    if plain.chars().any(text::needs_escape) { quoted(text) } else { Ok(plain.to_owned()) }
}

/// A value within brackets, where plain text may hold less.
fn flow(value: &Value) -> Outcome<String> {
    match value {
        Value::Array(items) => {
            let items = items.iter().map(flow).collect::<Outcome<Vec<_>>>()?;
            Ok(format!("[{}]", items.join(", ")))
        }
        Value::Object(entries) => {
            let entry = |(key, value): (&String, &Value)| Ok(format!("{}: {}", flow_text(key)?, flow(value)?));
            let entries = entries.iter().map(entry).collect::<Outcome<Vec<_>>>()?;
            Ok(format!("{{{}}}", entries.join(", ")))
        }
        Value::String(text) => flow_text(text),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
    }
}

fn flow_text(text: &str) -> Outcome<String> {
    let harmless = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    if text.chars().all(harmless) && to_string(text)?.trim_end() == text {
        return Ok(text.to_owned());
    }
    quoted(text)
}

/// Between double quotes: JSON's form, and escapes for the characters that only YAML minds.
fn quoted(text: &str) -> Outcome<String> {
    let json = serde_json::to_string(text).map_err(|error| Failure::new("write YAML", error))?;
    let mut line = String::with_capacity(json.len());
    for c in json.chars() {
        if text::needs_escape(c) {
            let _ = write!(line, "\\u{:04x}", u32::from(c));
        } else {
            line.push(c);
        }
    }
    Ok(line)
}
