//! `command`: a program that checks something by itself and says what it found.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Failure, Outcome};
use crate::host::Command;
use crate::proof::{Cx, Prove};

/// Lines of output that a failure shows.
const TAIL: usize = 20;

/// A program that checks something by itself and says what it found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checked {
    /// What is proven, as a statement: "the newest backup can be restored".
    pub describe: String,
    /// Program and arguments; no shell, no secrets. It exits 0 when it is so; its last line is the evidence.
    pub run: Vec<String>,
    /// Stands somewhere in what it says; anything will do when empty.
    #[serde(default)]
    pub contains: String,
    /// Seconds after which it is killed.
    #[serde(default = "ten_minutes")]
    pub timeout: u64,
    /// Seconds for which it is tried again, for what needs time to become so.
    #[serde(default)]
    pub patience: u64,
    /// Whether this is tried before anything is changed; a failure then refuses the plan (exit 1).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub before: bool,
    /// What to do when it is not so.
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

    fn prove(&self, cx: &Cx<'_>) -> Outcome<String> {
        let what = || format!("see that {}", self.describe);
        let advised = |failure: Failure| if self.hint.is_empty() { failure } else { failure.hint(&self.hint) };
        let Some(program) = self.run.first() else {
            return Err(Failure::new(what(), "the guide names no program").hint("correct the guide: `run` is needed"));
        };
        let command = Command::new(self.run.iter().cloned()).timeout(Duration::from_secs(self.timeout));
        let output =
            cx.host.run(&command).map_err(|e| advised(Failure::new(what(), format!("`{program}` cannot run: {e}"))))?;
        if !output.ok() {
            // Beforehand nobody sees the lines, so the last one stands in the reason.
            let said = output.tail(1).pop().map_or_else(String::new, |line| format!(": {}", line.trim()));
            let why = format!("`{program}` ended with status {}{said}", output.status);
            return Err(advised(Failure::new(what(), why).tail(output.tail(TAIL))));
        }
        let said = output.text();
        if !said.contains(&self.contains) {
            let why = format!("`{program}` does not say \"{}\"", self.contains);
            return Err(advised(Failure::new(what(), why).tail(output.tail(TAIL))));
        }
        let evidence = said.lines().rfind(|line| self.contains.is_empty() || line.contains(&self.contains));
        Ok(evidence.map_or_else(|| format!("`{program}` is content"), |line| line.trim().to_owned()))
    }

    /// Most do not wait for a service to come up, and may be long at work: once is enough for them.
    fn patience(&self) -> Duration {
        Duration::from_secs(self.patience)
    }

    fn before(&self) -> bool {
        self.before
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::host::fake::{FakeHost, output};
    use crate::secret::Secrets;

    fn prove(status: i32, says: &'static str, contains: &str) -> Outcome<String> {
        let host = FakeHost::new();
        host.on(&["app-backup", "test"], move |_, _| output(status, says, "cannot open it\n"));
        let proof = Checked {
            describe: "the backup can be restored".to_owned(),
            run: ["app-backup", "test"].map(str::to_owned).to_vec(),
            contains: contains.to_owned(),
            timeout: 10,
            patience: 0,
            before: false,
            hint: "look at its log".to_owned(),
        };
        proof.prove(&Cx { host: &host, secrets: &Secrets::default() })
    }

    #[test]
    fn the_evidence_is_what_the_program_said_last() {
        assert_eq!(prove(0, "reading\n3 tables restored\n", "").unwrap(), "3 tables restored");
        assert_eq!(prove(0, "enabled \"1\"\nother\n", "\"1\"").unwrap(), "enabled \"1\"");
        assert_eq!(prove(0, "", "").unwrap(), "`app-backup` is content");
    }

    #[test]
    fn another_status_or_other_words_are_no_proof() {
        let failure = prove(1, "", "").unwrap_err();
        assert_eq!(failure.why, "`app-backup` ended with status 1: cannot open it");
        assert_eq!(failure.tail, ["cannot open it"]);
        assert_eq!(failure.hint.as_deref(), Some("look at its log"));
        assert_eq!(prove(0, "enabled \"0\"\n", "\"1\"").unwrap_err().why, "`app-backup` does not say \"\"1\"\"");
    }
}
