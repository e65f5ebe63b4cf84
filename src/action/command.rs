//! `command`: runs a command of the guide's. Must say how to see that it is done, and how to undo it or why not.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::action::command_runner::CommandRunner;
use crate::action::contract::{Act, Context, Reversible, Verdict};
use crate::action::tools::Tools;
use crate::error::{Failure, Outcome};
use crate::host::{Command, outside};
use crate::progress::Progress;
use crate::secret::OPEN;
use crate::undo::Undo;

/// Runs a command of the guide's. Must say how to see that it is done, and how to undo it or why not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawCommand {
    /// What it does, as a phrase: "load the schema".
    pub describe: String,
    /// Program and arguments; no shell, no secrets.
    pub run: Vec<String>,
    /// Exits 0 when nothing is left to do.
    pub check: Vec<String>,
    /// Undoes it.
    #[serde(default)]
    pub undo: Vec<String>,
    /// Why it cannot be rolled back (instead of `undo`).
    #[serde(default)]
    pub irreversible: String,
    /// The action whose rollback removes what this changes (instead of `undo`): `database.database` for rows in it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub covered_by: String,
    /// Packages that only it needs: installed before it, and purged after it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<String>,
    /// User to run as; root when empty.
    #[serde(default)]
    pub user: String,
    /// Where.
    #[serde(default = "slash")]
    pub cwd: PathBuf,
    /// Environment; may contain placeholders.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Its standard input; may contain placeholders.
    #[serde(default)]
    pub stdin: String,
    /// Seconds after which it is killed.
    #[serde(default = "ten_minutes")]
    pub timeout: u64,
}

fn slash() -> PathBuf {
    PathBuf::from("/")
}

const fn ten_minutes() -> u64 {
    600
}

impl Act for RawCommand {
    fn describe(&self) -> String {
        self.describe.clone()
    }

    fn check(&self, cx: &Context<'_>) -> Outcome<Verdict> {
        self.validate()?;
        let will_change = || Ok(Verdict::change(self.describe.clone()));
        // A secret that is not generated yet cannot have been used.
        let Ok(command) = self.command(cx, &self.check) else {
            return will_change();
        };
        // A check that cannot be started depends on earlier actions: its program, or its user, does not exist yet.
        match cx.host.run(&command) {
            Ok(output) if output.ok() => Ok(Verdict::Unchanged),
            Ok(_) | Err(_) => will_change(),
        }
    }

    fn prepare(&self, cx: &Context<'_>) -> Outcome<Vec<Undo>> {
        let mut records = if self.tools.is_empty() { Vec::new() } else { self.toolbox().records(cx)? };
        records.extend(self.own_record());
        Ok(records)
    }

    fn apply(&self, cx: &Context<'_>) -> Outcome<()> {
        self.validate()?;
        let withheld = outside::withheld(cx.host);
        if !withheld.is_empty() && !["", "root"].contains(&self.user.as_str()) {
            let why = format!(
                "the password in {} is not passed to a command that runs as {}",
                withheld.join(" and "),
                self.user
            );
            (cx.progress)(Progress::Warning(why));
        }
        let run = || CommandRunner::new(self.command(cx, &self.run)?).run(cx, &self.describe).map(drop);
        if self.tools.is_empty() { run() } else { self.toolbox().with(cx, run) }
    }

    fn reversible(&self) -> Reversible {
        if !self.undo.is_empty() || !self.covered_by.is_empty() {
            Reversible::Yes
        } else if self.irreversible.is_empty() {
            Reversible::No("the guide does not say how to undo it".to_owned())
        } else {
            Reversible::No(self.irreversible.clone())
        }
    }
}

impl RawCommand {
    fn toolbox(&self) -> Tools<'_> {
        Tools::new(&self.tools, &self.describe)
    }

    /// The record that undoes what it does itself.
    fn own_record(&self) -> Option<Undo> {
        if !self.covered_by.is_empty() {
            return None;
        }
        if self.undo.is_empty() {
            // The host is as it was before; the report names what cannot be rolled back.
            let Reversible::No(why) = self.reversible() else { return None };
            return Some(Undo::Stays { what: self.describe.clone(), why });
        }
        Some(Undo::Command {
            argv: self.undo.clone(),
            user: self.user.clone(),
            cwd: self.cwd.clone(),
            describe: self.describe.clone(),
        })
    }

    /// The command of its check, for those who do not run it.
    pub fn question(&self) -> Outcome<Verdict> {
        self.validate()?;
        let user = if self.user.is_empty() { String::new() } else { format!(" as {}", self.user) };
        let command = self.check.join(" ");
        Ok(Verdict::NotAsked(format!("not checked: --run-checks runs `{command}`{user}")))
    }

    fn validate(&self) -> Outcome<()> {
        if self.run.is_empty() || self.check.is_empty() {
            return Err(Failure::new(&self.describe, "the guide has no command, or no check for it")
                .hint("correct the guide: `run` and `check` are needed"));
        }
        if [&self.run, &self.check, &self.undo].into_iter().flatten().any(|argument| argument.contains(OPEN)) {
            return Err(Failure::new(&self.describe, "its arguments contain a secret, which every user could read")
                .hint("correct the guide: pass it by `env` or `stdin`"));
        }
        Ok(())
    }

    /// A command with the action's user, environment and input, secrets filled in.
    fn command(&self, cx: &Context<'_>, argv: &[String]) -> Outcome<Command> {
        let mut command = Command::new(argv.iter().cloned()).cwd(&self.cwd).timeout(Duration::from_secs(self.timeout));
        for (name, value) in &self.env {
            command = command.env(name, cx.secrets.reveal(value)?);
        }
        if !self.stdin.is_empty() {
            command = command.stdin(cx.secrets.reveal(&self.stdin)?);
        }
        if !self.user.is_empty() {
            command = command.user(&self.user);
        }
        Ok(command)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::action::testing::Bench;
    use crate::host::Stdin;
    use crate::host::fake::output;
    use crate::secret::mark;

    fn command() -> RawCommand {
        serde_json::from_value(serde_json::json!({
            "describe": "load the schema",
            "run": ["load", "schema"], "check": ["load", "--check"], "undo": ["load", "--drop"],
            "user": "www-data", "cwd": "/srv",
            "env": {"PASSWORD": mark("db.password")}, "stdin": format!("{}\n", mark("db.password")),
        }))
        .unwrap()
    }

    fn bench(status: i32) -> Bench {
        let bench = Bench::new();
        bench.host.on(&["load", "--check"], |host, _| output(i32::from(host.text("/srv/schema").is_none()), "", ""));
        bench.host.on(&["load", "schema"], move |host, command| {
            host.put_file("/srv/schema", "", 0o644);
            let Stdin::Bytes(stdin) = &command.stdin else {
                return output(9, "", "no input");
            };
            output(status, "", &format!("got {} and {}", command.env[0].1, String::from_utf8_lossy(stdin)))
        });
        bench.host.on(&["load", "--drop"], |host, _| {
            host.take_away("/srv/schema");
            output(0, "", "")
        });
        bench
    }

    #[test]
    fn a_command_is_run_until_its_check_is_content_and_taken_back_by_its_undo() {
        bench(0).round_trip(&command());
    }

    #[test]
    fn secrets_reach_the_command_but_neither_log_nor_failure() {
        let bench = bench(3);
        let failure = bench.try_to_make(&command()).err().unwrap();
        assert_eq!(failure.why, "`load` ended with status 3");
        let told = format!("{failure:?} {:?}", bench.host.text("/var/lib/bringup/log"));
        assert!(told.contains("got ⟦secret:db.password⟧ and"), "{told}");
        assert!(!told.contains("correct-horse"), "{told}");
    }

    #[test]
    fn a_proxys_password_is_withheld_from_another_user_and_this_is_said() {
        let bench = bench(0);
        bench.host.set_env("http_proxy", "http://me:hush@cache:3142");
        let told = |act: &RawCommand| {
            let told = std::sync::Mutex::new(Vec::new());
            let tell = |progress| told.lock().unwrap().push(progress);
            bench.with(|cx| act.apply(&Context { progress: &tell, ..*cx })).unwrap();
            let warned = |progress: &Progress| matches!(progress, Progress::Warning(_));
            told.into_inner()
                .unwrap()
                .into_iter()
                .filter(warned)
                .map(|told| told.text().into_owned())
                .collect::<Vec<_>>()
        };
        let said = "the password in http_proxy is not passed to a command that runs as www-data";
        assert_eq!(told(&command()), [said]);
        assert_eq!(told(&RawCommand { user: String::new(), ..command() }), [""; 0]);
    }

    #[test]
    fn a_check_that_cannot_start_yet_is_a_change_to_come() {
        let bench = bench(0);
        bench.host.without_program("load");
        assert_eq!(bench.summary(&command()), "load the schema");
    }

    #[test]
    fn a_secret_in_an_argument_is_refused() {
        let act = RawCommand { run: vec!["load".to_owned(), mark("db.password")], ..command() };
        assert!(bench(0).check(&act).unwrap_err().hint.unwrap().contains("`env` or `stdin`"));
    }

    #[test]
    fn what_another_action_takes_away_needs_no_record() {
        let act = RawCommand { undo: Vec::new(), covered_by: "a.database".to_owned(), ..command() };
        assert_eq!(act.reversible(), Reversible::Yes);
        assert_eq!(bench(0).make(&act).records, []);
    }

    #[test]
    fn a_command_without_undo_says_why() {
        let act = RawCommand { undo: Vec::new(), irreversible: "mails were sent".to_owned(), ..command() };
        assert_eq!(act.reversible(), Reversible::No("mails were sent".to_owned()));
        let stays = Undo::Stays { what: act.describe.clone(), why: "mails were sent".to_owned() };
        assert_eq!(bench(0).make(&act).records, [stays]);
    }
}
