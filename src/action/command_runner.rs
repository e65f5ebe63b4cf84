//! Commands that actions run: their output goes to the log and to the reader while they work, its last lines into the
//! failure, and secrets into neither.

use std::path::Path;

use crate::action::contract::Context;
use crate::error::{Failure, Outcome};
use crate::host::{Command, Host, Output};
use crate::progress::Progress;
use crate::secret::Secrets;
use crate::system::accounts;
use crate::undo::UndoContext;

/// Lines of output that a failure shows.
const TAIL: usize = 20;

/// Limit for logged and reported output of one command, so that a runaway program fills no disk.
const TOLD: usize = 32 << 20;

/// A command of an action.
pub struct CommandRunner<'a> {
    command: Command,
    tell: &'a dyn Fn(&str) -> Progress,
    hint: Option<&'a str>,
}

impl<'a> CommandRunner<'a> {
    /// A command whose output lines are reported as they are.
    pub fn new(command: Command) -> Self {
        Self { command, tell: &|line| Progress::Output(line.to_owned()), hint: None }
    }

    /// Sets another way to report a line.
    #[must_use]
    pub fn telling(mut self, tell: &'a dyn Fn(&str) -> Progress) -> Self {
        self.tell = tell;
        self
    }

    /// What to do when it fails.
    #[must_use]
    pub fn hint(mut self, hint: &'a str) -> Self {
        self.hint = Some(hint);
        self
    }

    /// Runs it until it ends; a status other than 0 is a failure.
    pub fn run(self, cx: &Context<'_>, what: &str) -> Outcome<Output> {
        run(cx.host, cx.log, cx.secrets, cx.progress, &self, what)
    }
}

/// Ends all processes of a user that has no other purpose: what it left running could change its result. Refused for
/// a user with root's ID, whose processes are the whole server's.
pub fn end_processes_of(cx: &Context<'_>, user: &str, what: &str) -> Outcome<()> {
    if accounts::require_meta(cx.host, "0700", user, user)?.uid == 0 {
        return Err(Failure::new(what, format!("{user} is root, and all processes of this server would be ended"))
            .hint("name a user without rights"));
    }
    let end = Command::new(["sh", "-c", "kill -KILL -1 2>/dev/null; :"]).user(user);
    CommandRunner::new(end).run(cx, what).map(drop)
}

/// Runs a command of an undo record.
pub fn run_undo(cx: &UndoContext<'_>, what: &str, command: &Command, hint: Option<&str>) -> Outcome<Output> {
    let child = CommandRunner { hint, ..CommandRunner::new(command.clone()) };
    run(cx.host, cx.log, &Secrets::default(), cx.progress, &child, what)
}

fn run(
    host: &dyn Host,
    log: &Path,
    secrets: &Secrets,
    progress: &(dyn Fn(Progress) + Sync),
    child: &CommandRunner<'_>,
    what: &str,
) -> Outcome<Output> {
    let mut tail = std::collections::VecDeque::with_capacity(TAIL);
    // We write the log, not the child, since a child may echo its input.
    let mut told = 0;
    let result = host.run_with(&child.command, &mut |_, line| {
        let line = secrets.conceal(line.trim_end());
        if told <= TOLD {
            told += line.len() + 1;
            let line = if told > TOLD { "[the rest is left out]" } else { &line };
            // A log that cannot be written must not fail the work; the failure still has the last lines.
            let _ = host.append_lazily(log, format!("{line}\n").as_bytes());
            progress((child.tell)(line));
        }
        if !line.is_empty() {
            if tail.len() == TAIL {
                tail.pop_front();
            }
            tail.push_back(line);
        }
    });
    let fail = |why: String| {
        let mut failure = Failure::new(what, why);
        failure.hint = child.hint.map(str::to_owned);
        failure
    };
    let program = child.command.argv.first().map_or("", String::as_str);
    let output = result.map_err(|e| fail(format!("`{program}` could not be started: {e}")))?;
    if output.ok() {
        return Ok(output);
    }
    let why = match output.status {
        124 => format!("`{program}` took longer than {} s and was stopped", child.command.timeout.as_secs()),
        status => format!("`{program}` ended with status {status}"),
    };
    let mut failure = fail(why).tail(tail.into());
    failure.log = Some(log.display().to_string());
    Err(failure)
}
