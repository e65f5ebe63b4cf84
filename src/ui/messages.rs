//! The sentences that bars, plain lines and pages have in common.

use crate::engine::decision::{Choice, Waiting};
use std::time::Duration;

use crate::engine::event::Ended;
use crate::error::{Exit, Failure};
use crate::plan::tally::number;
use crate::proof::not_tried;
use crate::ui::run_state::{Phase, RunState};
use crate::ui::style::{Look, MARK, Paint};
use crate::ui::text;

/// Below this width ids are left out, so that the description has room.
pub const NARROW: usize = 60;
/// The last lines of a tool's output that are shown; all of it is in the log.
const TAIL: usize = 10;

/// `0.3 s`, `2 min 05 s`; empty for a negligible time.
pub fn duration(millis: u64) -> String {
    match millis {
        0..50 => String::new(),
        50..60_000 => format!("{}.{} s", (millis + 50) / 1000, (millis + 50) % 1000 / 100),
        _ => format!("{} min {:02} s", millis / 60_000, millis % 60_000 / 1000),
    }
}

/// An estimate of the time left: `about 40 s left`.
pub fn left(left: Duration) -> String {
    format!("{} left", about(left))
}

/// An estimate of a time: `about 40 s`. Coarser the more it is, so that it does not pretend.
pub fn about(time: Duration) -> String {
    match time.as_secs() {
        0..8 => "a few seconds".to_owned(),
        seconds @ 8..58 => format!("about {} s", (seconds + 2) / 5 * 5),
        seconds @ 58..3_570 => format!("about {} min", (seconds + 30) / 60),
        seconds => format!("about {}.{} h", (seconds + 180) / 3_600, (seconds + 180) % 3_600 / 360),
    }
}

/// A finished action: `  ✓ database.role  create the role webapp  0.3 s`.
pub fn ended(look: Look, id: (&str, usize), describe: &str, ended: Ended, millis: u64) -> String {
    let (sign, how) = match ended {
        Ended::Changed => (look.tick(), duration(millis)),
        Ended::Unchanged => (look.same().to_owned(), "unchanged".to_owned()),
        Ended::Failed => (look.cross(), "failed".to_owned()),
    };
    step(look, &sign, id, describe, &how)
}

/// One line for a step: sign, id, what it does, how it went. The description is what gives way.
pub fn step(look: Look, sign: &str, (id, id_width): (&str, usize), describe: &str, how: &str) -> String {
    let id = look.text(id);
    let id = if look.width < NARROW { String::new() } else { format!("{}  ", text::pad(&id, id_width)) };
    let how = if how.is_empty() { String::new() } else { format!("  {how}") };
    let room = look.width.saturating_sub(4 + text::width(&id) + text::width(&how));
    let describe = look.shorten(&look.text(describe), room);
    format!("  {sign} {id}{describe}{}", look.paint(Paint::Dim, &how))
}

/// A proof that succeeded, with its evidence, or that could not be tried.
pub fn proven(look: Look, describe: &str, evidence: &str) -> Vec<String> {
    if let Some(why) = not_tried(evidence) {
        return hanging(look, MARK, &format!("not tried: {describe} {} {why}", look.dash()));
    }
    hanging(look, &look.tick(), &format!("verified: {describe} {} {evidence}", look.dash()))
}

/// A proof that did not.
pub fn unproven(look: Look, describe: &str, failure: &Failure) -> Vec<String> {
    hanging(look, &look.cross(), &format!("not verified: {describe} {} {}", look.dash(), failure.why))
}

/// A failed run that asks what to do.
pub fn waiting(waiting: &Waiting) -> String {
    format!("waiting for a decision about {}; {}", waiting.step, in_place(waiting.changed))
}

/// What was decided.
pub const fn decided(choice: Choice) -> &'static str {
    match choice {
        Choice::Retry => "decided: retry",
        Choice::Skip => "decided: skip the step",
        Choice::Replan => "decided: continue with other answers",
        Choice::RollbackStage => "decided: roll back the stage",
        Choice::Rollback => "decided: roll back everything",
        Choice::Pause => "decided: pause and leave everything as it is",
    }
}

/// How a run or its rollback ended that did not end with everything applied.
pub fn outcome(state: &RunState, exit: Exit) -> &'static str {
    match exit {
        Exit::RolledBack if state.kept.is_empty() => "Rolled back. The server is as it was before.",
        Exit::RolledBack => "Rolled back, except for what had to stay:",
        Exit::ProofFailed => "Applied, but a proof failed. The changes are in place.",
        Exit::Incomplete if state.rolling_back => "Rollback incomplete. Some changes are still in place.",
        Exit::Incomplete => "Paused. Changes made so far are kept.",
        _ => "The run failed. Changes made so far are kept.",
    }
}

/// What a run came to that ended well: "19 changes, 1 unchanged; 8 of 8 proofs passed".
pub fn came_to(state: &RunState) -> String {
    let (tally, passed) = (state.tally(), state.proven().count());
    let untried = state.untried().count();
    let untried = if untried == 0 { String::new() } else { format!(", {untried} not tried") };
    let all = state.steps.iter().filter(|step| step.is_proof()).count();
    let proofs = if all == 0 { String::new() } else { format!("; {passed} of {all} proofs passed{untried}") };
    format!("{tally}{proofs}")
}

/// What can be done after that: labels and commands.
pub fn commands_after(state: &RunState, exit: Exit) -> &'static [(&'static str, &'static str)] {
    match exit {
        Exit::RolledBack => &[("Try again", "run the same command; no cleanup is needed")],
        Exit::ProofFailed => &[("Verify again", "bringup verify"), ("Roll back", "bringup rollback")],
        Exit::Incomplete if state.rolling_back => &[("Continue", "bringup rollback")],
        _ => &[("Resume", "bringup resume"), ("Roll back", "bringup rollback")],
    }
}

/// A requested rollback has succeeded.
pub fn rolled_back(changes: usize) -> String {
    match changes {
        0 => "Nothing to roll back.".to_owned(),
        1 => "Rolled back: 1 change.".to_owned(),
        n => format!("Rolled back: {n} changes."),
    }
}

/// The last line of a run or a rollback, where no page follows.
pub fn run_ended(state: &RunState) -> String {
    match state.phase {
        Phase::Ended(Exit::RolledBack) => "rollback ended".to_owned(),
        Phase::Ended(Exit::Done) if state.is_rollback() => "rollback ended".to_owned(),
        Phase::Ended(_) if state.rolling_back => "rollback ended, incomplete".to_owned(),
        _ => format!("run ended, {}", in_place(state.changed)),
    }
}

/// "3 changes in place".
pub fn in_place(count: usize) -> String {
    if count == 0 { "nothing was changed".to_owned() } else { format!("{} in place", changes(count)) }
}

/// "1 change", "3 changes".
pub fn changes(count: usize) -> String {
    number(count, "change")
}

/// A step that was left out.
pub fn skipped(look: Look, describe: &str, reason: &str) -> Vec<String> {
    hanging(look, MARK, &format!("skipped: {describe} {} {reason}", look.dash()))
}

/// Something left in place.
pub fn kept(look: Look, what: &str, why: &str) -> Vec<String> {
    hanging(look, MARK, &kept_sentence(look, what, why))
}

/// Data saved before it was dropped.
pub fn dumped(look: Look, what: &str, file: &str) -> Vec<String> {
    hanging(look, MARK, &dumped_sentence(what, file))
}

/// That something was left in place, as one line.
pub fn kept_sentence(look: Look, what: &str, why: &str) -> String {
    format!("kept: {what} {} {why}", look.dash())
}

/// Where data was saved, as one line.
pub fn dumped_sentence(what: &str, file: &str) -> String {
    format!("saved: {what} is in {file}")
}

/// Why it failed, with the last lines of output, the log and what to do.
pub fn failure(look: Look, failure: &Failure) -> Vec<String> {
    failure_with(look, failure, TAIL)
}

/// The same with at most `most` lines of output.
pub fn failure_with(look: Look, failure: &Failure, most: usize) -> Vec<String> {
    let mut lines = hanging(look, &look.cross(), &format!("could not {}:", failure.what));
    let room = look.width.saturating_sub(4);
    lines.extend(indented(look, &failure.why));
    let shown = &failure.tail[failure.tail.len().saturating_sub(most)..];
    // A tool's only line is often the cause itself.
    let news: Vec<&String> = shown.iter().filter(|line| !failure.why.contains(line.trim())).collect();
    if !news.is_empty() {
        lines.push(String::new());
        lines.extend(news.iter().map(|line| {
            let line = look.shorten(look.text(&text::of_tool(line)).trim_end(), room.saturating_sub(2));
            look.paint(Paint::Dim, &format!("    | {line}"))
        }));
    }
    if failure.log.is_some() || failure.hint.is_some() {
        lines.push(String::new());
    }
    if let Some(log) = &failure.log {
        lines.extend(indented(look, &format!("Log: {log}")));
    }
    if let Some(hint) = &failure.hint {
        lines.extend(indented(look, &format!("What to do: {hint}")));
    }
    lines
}

/// Wrapped and indented below a sign.
pub fn indented(look: Look, text: &str) -> Vec<String> {
    let lines = text::wrap(&look.text(text), look.width.saturating_sub(4));
    lines.into_iter().map(|line| format!("    {line}")).collect()
}

/// `  ✓ text`, wrapped, with further lines below the text.
pub fn hanging(look: Look, sign: &str, text: &str) -> Vec<String> {
    let mut lines = indented(look, text);
    if let Some(first) = lines.first_mut() {
        *first = format!("  {sign} {}", first.trim_start());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::run_state::recorded::failure as example;

    const WIDE: Look = Look { width: 80, unicode: true, colour: false };
    const NARROW: Look = Look { width: 40, unicode: false, colour: false };

    #[test]
    fn durations_read_like_durations() {
        let all = [0, 49, 50, 260, 23_140, 59_940, 60_000, 125_400].map(duration);
        assert_eq!(all, ["", "", "0.1 s", "0.3 s", "23.1 s", "59.9 s", "1 min 00 s", "2 min 05 s"]);
    }

    #[test]
    fn the_time_left_is_told_coarsely() {
        let all = [0, 7, 8, 42, 57, 58, 89, 90, 3_569, 3_570, 9_000].map(|s| left(Duration::from_secs(s)));
        assert_eq!(
            all,
            [
                "a few seconds left",
                "a few seconds left",
                "about 10 s left",
                "about 40 s left",
                "about 55 s left",
                "about 1 min left",
                "about 1 min left",
                "about 2 min left",
                "about 59 min left",
                "about 1.0 h left",
                "about 2.5 h left"
            ]
        );
    }

    #[test]
    fn a_finished_action_is_one_line_at_any_width() {
        let line = ended(WIDE, ("database.role", 16), "create the role webapp", Ended::Changed, 310);
        assert_eq!(line, "  ✓ database.role     create the role webapp  0.3 s");
        let long = "create the role and the database webapp in PostgreSQL on this host";
        for width in [20, 40, 59, 60, 80, 200] {
            for unicode in [true, false] {
                let look = Look { width, unicode, colour: false };
                let line = ended(look, ("database.role", 16), long, Ended::Unchanged, 0);
                assert!(text::width(&line) <= width, "{width}: {line}");
                assert!(line.ends_with("unchanged"), "{line}");
            }
        }
    }

    #[test]
    fn colour_changes_no_letter() {
        let colour = Look { colour: true, ..WIDE };
        let painted = ended(colour, ("a.b", 3), "make it", Ended::Failed, 100);
        assert!(crate::visible::styled(&painted).contains("\u{1b}[31m"));
        let plain: String = painted.chars().filter(|c| !crate::visible::unseen(*c)).collect();
        assert_eq!(plain, ended(WIDE, ("a.b", 3), "make it", Ended::Failed, 100));
    }

    #[test]
    fn a_failure_says_what_why_the_last_lines_the_log_and_what_to_do() {
        insta::assert_snapshot!(failure(WIDE, &example()).join("\n"), @r"
        ✗ could not create the role and the database webapp:
          psql ended with status 2: connection to server on socket failed

          | psql: error: connection to server on socket
          |  Is the server running locally and accepting connections on that socket?

          Log: /var/lib/bringup/runs/20261121-093015-webapp/log/database.role.log
          What to do: systemctl status postgresql says why the engine does not run
        ");
        insta::assert_snapshot!(failure(NARROW, &example()).join("\n"), @r"
        x could not create the role and the
          database webapp:
          psql ended with status 2: connection
          to server on socket failed

          | psql: error: connection to serv...
          |  Is the server running locally...

          Log:
          /var/lib/bringup/runs/20261121-093015-webapp/log/database.role.log
          What to do: systemctl status
          postgresql says why the engine does
          not run
        ");
    }

    #[test]
    fn a_cause_is_not_said_twice() {
        let failure = Failure::new("start it", "no such file").tail(vec!["no such file".to_owned()]);
        assert_eq!(super::failure(WIDE, &failure), ["  ✗ could not start it:", "    no such file"]);
    }
}
