//! Why a value is refused, worded to follow its path.

use serde_json::Value;

use crate::visible;
use crate::yaml;

/// Why a value is refused. Never contains the value of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What is wrong: "'mysql' is not one of the choices".
    pub message: String,
    /// What is allowed, or what to do.
    pub hint: String,
    /// Which part of the answer it concerns: `[1]` is the second entry of a list, `[1].name` a cell of a table; the
    /// whole of it where it is empty.
    pub within: String,
}

impl Refusal {
    pub(crate) fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into(), within: String::new() }
    }

    /// The same, naming invisible characters in the refused text, such as a no-break space.
    pub(crate) fn because_of(self, text: &str) -> Self {
        match visible::odd(text) {
            Some(odd) if !self.message.contains("invisible") => {
                Self { message: format!("{} contains {odd}", yaml::quoted(text)), hint: odd.hint.to_owned(), ..self }
            }
            _ => self,
        }
    }
}

/// What a value is, for "a number is given".
pub(crate) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a section",
    }
}

/// A value for a message: quoted, shortened.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => yaml::quoted(text),
        other => other.to_string(),
    }
}
