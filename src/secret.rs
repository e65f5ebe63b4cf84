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

/// Ends the name in a placeholder whose value is written as one word for a shell.
pub(crate) const QUOTED: &str = "|shell_quote";

/// The placeholder for the secret's value as one word for a POSIX shell.
pub fn quoted_mark(name: &str) -> String {
    mark(&format!("{name}{QUOTED}"))
}

/// One word for a POSIX shell.
pub fn shell_quote(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./_-".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// Text with its placeholders in readable form: `«secret: database.password»`.
pub fn legible(text: &str) -> String {
    text.replace(OPEN, "«secret: ").replace(&format!("{QUOTED}{CLOSE}"), "»").replace(CLOSE, "»")
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
pub struct Secrets {
    now: BTreeMap<String, Secret>,
    /// Those of before, which are still hidden: present files hold them.
    former: BTreeMap<String, Secret>,
}

impl Secrets {
    /// Adds or replaces one.
    pub fn insert(&mut self, name: impl Into<String>, value: Secret) {
        self.now.insert(name.into(), value);
    }

    /// Adds those of before that have another value now, or none: they are hidden, and never revealed.
    pub fn hide_former(&mut self, before: &Self) {
        let stays = |(name, value): &(&str, &Secret)| self.get(name) != Some(value);
        let former: Vec<_> =
            before.iter().filter(stays).map(|(name, value)| (name.to_owned(), value.clone())).collect();
        self.former.extend(former);
    }

    /// Takes one away.
    pub fn remove(&mut self, name: &str) {
        self.now.remove(name);
    }

    /// One by name.
    pub fn get(&self, name: &str) -> Option<&Secret> {
        self.now.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Secret)> {
        self.now.iter().map(|(name, value)| (name.as_str(), value))
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
            let (name, quoted) = match after[..end].strip_suffix(QUOTED) {
                Some(name) => (name, true),
                None => (&after[..end], false),
            };
            let value = self.get(name).ok_or_else(|| Failure::new(FILL_IN, format!("no value is known for {name}")))?;
            if quoted {
                out.push_str(&shell_quote(value.expose()));
            } else {
                out.push_str(value.expose());
            }
            rest = &after[end + CLOSE.len()..];
        }
        out.push_str(rest);
        Ok(out)
    }

    /// Replaces every known value in `text` by its placeholder, for output of tools that may have echoed it.
    pub fn conceal(&self, text: &str) -> String {
        let mut out = text.to_owned();
        let former = self.former.iter().map(|(name, value)| (name.as_str(), value));
        for (name, value) in self.iter().chain(former).filter(|(_, value)| value.expose().len() >= 6) {
            let quoted = shell_quote(value.expose());
            if quoted != value.expose() && out.contains(&quoted) {
                out = out.replace(&quoted, &quoted_mark(name));
            }
            if out.contains(value.expose()) {
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

    #[test]
    fn a_secret_is_quoted_for_a_shell_when_it_is_filled_in_and_hidden_in_that_form_too() {
        let mut secrets = Secrets::default();
        secrets.insert("env.A", Secret::new("it's $5 #1"));
        secrets.insert("env.B", Secret::new("plain-one"));
        let text = format!("A={}\nB={}\n", quoted_mark("env.A"), quoted_mark("env.B"));
        let file = "A='it'\\''s $5 #1'\nB=plain-one\n";
        assert_eq!(secrets.reveal(&text).as_deref(), Ok(file));
        assert!(!secrets.conceal(file).contains("$5") && !secrets.conceal(file).contains("plain-one"));
        assert_eq!(legible(&quoted_mark("env.A")), "«secret: env.A»");
    }

    #[test]
    fn a_secret_of_before_is_hidden_and_never_filled_in() {
        let (mut before, mut secrets) = (Secrets::default(), Secrets::default());
        before.insert("db.pw", Secret::new("hunter22"));
        before.insert("db.key", Secret::new("the same"));
        secrets.insert("db.key", Secret::new("the same"));
        secrets.hide_former(&before);
        assert_eq!(secrets.conceal("pw=hunter22"), "pw=⟦secret:db.pw⟧");
        assert!(secrets.reveal("⟦secret:db.pw⟧").is_err() && secrets.iter().count() == 1);
    }
}
