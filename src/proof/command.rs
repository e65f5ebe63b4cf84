//! `command`: runs a program that checks something and prints what it found.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Failure, Outcome};
use crate::host::Command;
use crate::proof::{Context, Prove};

/// Lines of output that a failure shows.
const TAIL: usize = 20;

/// Runs a program that checks something and prints what it found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checked {
    /// What is proven, as a statement: "the newest backup can be restored".
    pub describe: String,
    /// Program and arguments; no shell, no secrets. Exit status 0 means passed; its last line is the evidence.
    pub run: Vec<String>,
    /// Text that its output must contain; not checked when empty.
    #[serde(default)]
    pub contains: String,
    /// User to run as; root when empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// Environment; may contain placeholders.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Whether it also runs before anything changes; a failure then refuses the plan (exit 1).
    #[serde(rename = "before", alias = "preflight", default, skip_serializing_if = "std::ops::Not::not")]
    pub preflight: bool,
    /// Seconds after which it is killed.
    #[serde(default = "ten_minutes")]
    pub timeout: u64,
    /// Seconds for which it is retried, for what needs time.
    #[serde(rename = "patience", alias = "retry_for", default)]
    pub retry_for: u64,
    /// What to do when it fails.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hint: String,
}

const fn ten_minutes() -> u64 {
    600
}

impl Prove for Checked {
    fn describe(&self) -> String {
        self.describe.clone()
    }

    fn prove(&self, cx: &Context<'_>) -> Outcome<String> {
        let what = || format!("verify that {}", self.describe);
        let advised = |failure: Failure| if self.hint.is_empty() { failure } else { failure.hint(&self.hint) };
        let Some(program) = self.run.first() else {
            return Err(Failure::new(what(), "the guide names no program").hint("correct the guide: `run` is needed"));
        };
        let mut command = Command::new(self.run.iter().cloned()).timeout(Duration::from_secs(self.timeout));
        for (name, value) in &self.env {
            command = command.env(name, cx.secrets.reveal(value)?);
        }
        if !self.user.is_empty() {
            command = command.user(&self.user);
        }
        let output =
            cx.host.run(&command).map_err(|e| advised(Failure::new(what(), format!("`{program}` cannot run: {e}"))))?;
        let tail = || -> Vec<String> { output.tail(TAIL).iter().map(|line| cx.secrets.conceal(line)).collect() };
        if !output.ok() {
            let why = format!("`{program}` ended with status {}", output.status);
            // All that it said is the reason.
            let failure = match tail().as_slice() {
                [only] => Failure::new(what(), format!("{why}: {only}")),
                several => Failure::new(what(), why).tail(several.to_vec()),
            };
            return Err(advised(failure));
        }
        let said = output.text();
        if !said.contains(&self.contains) {
            let why = format!("`{program}` does not print \"{}\"", self.contains);
            return Err(advised(Failure::new(what(), why).tail(tail())));
        }
        let evidence = said.lines().rfind(|line| self.contains.is_empty() || line.contains(&self.contains));
        Ok(evidence.map_or_else(|| format!("`{program}` succeeded"), |line| cx.secrets.conceal(line.trim())))
    }

    fn preflight(&self) -> bool {
        self.preflight
    }

    /// Most do not wait for a service to come up, and may be long at work: once is enough for them.
    fn retry_for(&self) -> Duration {
        Duration::from_secs(self.retry_for)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::host::fake::{FakeHost, output};
    use crate::secret::{Secret, Secrets, mark};

    fn prove(status: i32, says: &'static str, contains: &str) -> Outcome<String> {
        let host = FakeHost::new();
        host.on(&["app-backup", "test"], move |_, _| output(status, says, "cannot open it\n"));
        let proof = Checked {
            describe: "the backup can be restored".to_owned(),
            run: ["app-backup", "test"].map(str::to_owned).to_vec(),
            contains: contains.to_owned(),
            user: String::new(),
            env: BTreeMap::new(),
            preflight: false,
            timeout: 10,
            retry_for: 0,
            hint: "look at its log".to_owned(),
        };
        proof.prove(&Context { host: &host, secrets: &Secrets::default() })
    }

    #[test]
    fn a_secret_reaches_the_program_by_its_environment_and_no_message() {
        let host = FakeHost::new();
        host.on(&["app-login"], |_, command| {
            let status = i32::from(command.user.as_deref() != Some("www-data"));
            output(status, &format!("logged in with {}\n", command.env[0].1), "")
        });
        let mut secrets = Secrets::default();
        secrets.insert("app.password", Secret::new("correct-horse"));
        let proof: Checked = serde_json::from_value(serde_json::json!({
            "describe": "one can log in", "run": ["app-login"], "user": "www-data",
            "env": {"PASSWORD": mark("app.password")},
        }))
        .unwrap();
        let evidence = proof.prove(&Context { host: &host, secrets: &secrets }).unwrap();
        assert_eq!(evidence, format!("logged in with {}", mark("app.password")));
        let nobody = Checked { user: String::new(), ..proof };
        let failure = nobody.prove(&Context { host: &host, secrets: &secrets }).unwrap_err();
        assert!(!format!("{failure:?}").contains("correct-horse"), "{failure:?}");
    }

    #[test]
    fn the_evidence_is_what_the_program_said_last() {
        assert_eq!(prove(0, "reading\n3 tables restored\n", "").unwrap(), "3 tables restored");
        assert_eq!(prove(0, "enabled \"1\"\nother\n", "\"1\"").unwrap(), "enabled \"1\"");
        assert_eq!(prove(0, "", "").unwrap(), "`app-backup` succeeded");
    }

    #[test]
    fn another_status_or_other_words_are_no_proof() {
        let failure = prove(1, "", "").unwrap_err();
        assert_eq!(failure.why, "`app-backup` ended with status 1: cannot open it");
        assert_eq!(failure.tail, [""; 0]);
        assert_eq!(failure.hint.as_deref(), Some("look at its log"));
        assert_eq!(prove(0, "enabled \"0\"\n", "\"1\"").unwrap_err().why, "`app-backup` does not print \"\"1\"\"");
    }
}
