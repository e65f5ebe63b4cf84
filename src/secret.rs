//! Values that must not be shown.
//!
//! A plan never holds a secret: it holds a mark (`⟦secret:database.password⟧`) where the value will stand, so
//! that plans, diffs and hashes can be printed and compared. [`Secrets::reveal`] puts the values in at the
//! last moment, in memory.

use std::collections::BTreeMap;
use std::fmt;

use crate::error::{Failure, Outcome};

/// Start of a placeholder.
pub const OPEN: &str = "⟦secret:";
/// End of a placeholder.
pub const CLOSE: &str = "⟧";
/// What fails when a placeholder has no value.
pub const FILL_IN: &str = "fill in a secret";

/// The placeholder of the secret `name` in a plan.
pub fn mark(name: &str) -> String {
    format!("{OPEN}{name}{CLOSE}")
}

/// Text with its placeholders in readable form: `«secret: database.password»`.
pub fn legible(text: &str) -> String {
    text.replace(OPEN, "«secret: ").replace(CLOSE, "»")
}

/// Whether a secret survives in URLs and configuration files: letters, digits, `-`, `_` and `.`.
pub fn is_plain(value: &str) -> bool {
    value.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

/// Whether a secret is one line of the form that its question asks for, a regular expression.
pub fn has_form(value: &str, pattern: &str) -> bool {
    let whole = regex_lite::Regex::new(&format!("^(?:{pattern})$"));
    whole.is_ok_and(|whole| whole.is_match(value)) && !value.contains(char::is_control) && !value.contains(OPEN)
}

/// A value that does not show itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself. Only for stdin of a child, a 0600 file or a socket.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The secrets of one guide on this server, by name (`database.password`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Secrets(BTreeMap<String, Secret>);

impl Secrets {
    /// Adds or replaces one.
    pub fn insert(&mut self, name: impl Into<String>, value: Secret) {
        self.0.insert(name.into(), value);
    }

    /// Takes one away.
    pub fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// One by name.
    pub fn get(&self, name: &str) -> Option<&Secret> {
        self.0.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Secret)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Replaces every placeholder in `text` by its value.
    pub fn reveal(&self, text: &str) -> Outcome<String> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find(OPEN) {
            out.push_str(&rest[..start]);
            let after = &rest[start + OPEN.len()..];
            let Some(end) = after.find(CLOSE) else {
                return Err(Failure::new(FILL_IN, "a placeholder is not closed"));
            };
            let name = &after[..end];
            let value = self.get(name).ok_or_else(|| Failure::new(FILL_IN, format!("no value is known for {name}")))?;
            out.push_str(value.expose());
            rest = &after[end + CLOSE.len()..];
        }
        out.push_str(rest);
        Ok(out)
    }

    /// Replaces every known value in `text` by its placeholder, for output of tools that may have echoed it.
    pub fn conceal(&self, text: &str) -> String {
        let mut out = text.to_owned();
        for (name, value) in self.iter() {
            if value.expose().len() >= 6 && out.contains(value.expose()) {
                out = out.replace(value.expose(), &mark(name));
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_plain_or_has_the_form_that_is_asked_for() {
        let base64 = "([A-Za-z0-9+/]{4})+([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?";
        assert!(is_plain("aB3-_.") && !is_plain("a+/="));
        assert!(has_form("+//7abc=", base64) && has_form("abcd", base64));
        for bad in ["", "abc", "abcd=", "abcd ef=", "abcd\nabcd", "ab#d"] {
            assert!(!has_form(bad, base64), "{bad}");
        }
        assert!(!has_form("a\nb", "(?s).*") && !has_form("⟦secret:x⟧", ".*"));
    }

    #[test]
    fn reveals_what_it_knows_and_refuses_what_it_does_not() {
        let mut secrets = Secrets::default();
        secrets.insert("db.pw", Secret::new("hunter22"));
        assert_eq!(secrets.reveal("a ⟦secret:db.pw⟧ b").as_deref(), Ok("a hunter22 b"));
        assert!(secrets.reveal("⟦secret:other⟧").is_err());
        assert!(secrets.reveal("⟦secret:open").is_err());
        assert_eq!(secrets.conceal("pw=hunter22"), "pw=⟦secret:db.pw⟧");
        assert!(!format!("{secrets:?}").contains("hunter22"));
    }
}
