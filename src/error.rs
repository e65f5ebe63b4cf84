//! What can go wrong, in words for the person who has to deal with it, and the exit codes.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How the program ends. The numbers are an interface: scripts rely on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// 0: done, or nothing to do.
    Done,
    /// 1: the answers or the host were rejected; nothing was touched.
    Rejected,
    /// 2: the command line makes no sense.
    Usage,
    /// 3: the run failed, and everything was rolled back.
    RolledBack,
    /// 4: the run failed and some changes are in place; the message says how to continue.
    Incomplete,
    /// 5: a defect of bringup itself.
    Internal,
    /// 6: the changes were made but a proof failed.
    ProofFailed,
    /// 7: `bringup plan` found changes to make.
    ChangesPending,
    /// 130: interrupted by SIGINT; a run that had begun continues on its own.
    Interrupted,
    /// 129: hung up; a run that had begun continues on its own.
    HungUp,
    /// 143: terminated; a run that had begun continues on its own.
    Terminated,
    /// The status of a command that `bringup shell` ran.
    Command(u8),
}

impl Exit {
    /// The number handed to the shell.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Rejected => 1,
            Self::Usage => 2,
            Self::RolledBack => 3,
            Self::Incomplete => 4,
            Self::Internal => 5,
            Self::ProofFailed => 6,
            Self::ChangesPending => 7,
            Self::HungUp => 129,
            Self::Interrupted => 130,
            Self::Terminated => 143,
            Self::Command(status) => status,
        }
    }
}

/// Why an action, a proof or a reading of the host did not succeed.
///
/// `what` is the attempt ("install 12 packages"), `why` the cause in the tool's own words, `tail` the last
/// lines of its output, `log` the file with all of it, `hint` a command or a step that helps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(default)]
pub struct Failure {
    /// What was attempted, as a phrase that follows "could not".
    pub what: String,
    /// The cause.
    pub why: String,
    /// The last lines of the output, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tail: Vec<String>,
    /// The file that holds the whole output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Failure {
    /// A failure with its attempt and its cause.
    pub fn new(what: impl Into<String>, why: impl fmt::Display) -> Self {
        Self { what: what.into(), why: why.to_string(), ..Self::default() }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same once everything was rolled back: the unit that a hint names may be removed, its journal is not.
    #[must_use]
    pub fn rolled_back(mut self) -> Self {
        let name = |before: &str| -> Option<String> {
            let (_, rest) = self.hint.as_deref()?.split_once(before)?;
            Some(rest.split(|c: char| c.is_whitespace() || "`,;)".contains(c)).next().unwrap_or_default().to_owned())
        };
        if let Some(unit) = name("systemctl status ") {
            self.hint = Some(format!("`journalctl -u {unit}` shows its log"));
        } else if name("`service ").is_some() {
            self.hint = None;
        }
        self
    }

    /// Adds the last lines of the output.
    #[must_use]
    pub fn tail(mut self, lines: Vec<String>) -> Self {
        self.tail = lines;
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "could not {}: {}", self.what, self.why)
    }
}

/// The result of anything that works on the host.
pub type Outcome<T> = Result<T, Failure>;

/// One thing that is wrong with the answers, the guide or the host, found before anything is changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Where: `file:line:column`, or empty when the problem is not in a file.
    pub place: String,
    /// The path of the answer, such as `database.engine`; empty when it concerns the whole.
    pub path: String,
    /// What is wrong. Never contains the value of a secret.
    pub message: String,
    /// What is allowed, or what to do.
    pub hint: String,
}

impl Problem {
    /// A problem of the whole, at no place in a file.
    pub fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { place: String::new(), path: String::new(), message: message.into(), hint: hint.into() }
    }

    /// What failed when the step `path` was tried before anything is changed.
    pub fn in_step(path: &str, failure: &Failure) -> Self {
        let hint = failure.hint.clone().unwrap_or_default();
        Self { path: path.to_owned(), ..Self::new(failure.to_string(), hint) }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        write!(f, "{}", self.message)?;
        if !self.hint.is_empty() {
            write!(f, " ({})", self.hint)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_rollback_no_hint_names_a_unit_that_is_gone() {
        let hint = |hint: &str| Failure::new("start it", "it died").hint(hint).rolled_back().hint;
        let journal = Some("`journalctl -u webapp.service` shows its log".to_owned());
        for alive in [
            "`journalctl -u webapp.service` shows its log, `systemctl status webapp.service` its state",
            "see `systemctl status webapp.service` and `journalctl -u webapp.service`",
            "systemctl status webapp.service",
        ] {
            assert_eq!(hint(alive), journal);
        }
        assert_eq!(hint("see its own log below /var/log, and `service webapp status`"), None);
        assert_eq!(hint("make room: `apt-get clean`"), Some("make room: `apt-get clean`".to_owned()));
    }
}
