//! The decisions about a failed run, as text.

use std::fmt::Write as _;

use crate::engine::decision::{Choice, Decision, Waiting};
use crate::ui::style::Look;
use crate::ui::{messages, text};

/// The column where the meaning of a command begins.
const MEANING: usize = 34;

/// The choices that can be made in one word, each with its meaning. Other answers need questions to be asked again,
/// which only the wizard and line mode can do.
pub fn options(waiting: &Waiting) -> Vec<(Decision, String)> {
    let option = |choice: &Choice| {
        Some(match choice {
            Choice::Retry if waiting.retry_from == waiting.step => (Decision::Retry, "retry".to_owned()),
            Choice::Retry => (Decision::Retry, format!("retry, starting with {}", waiting.retry_from)),
            Choice::Skip => {
                let skip = waiting.skip.as_ref()?;
                (Decision::Skip, format!("skip {}: {}", skip.step, skip.reason))
            }
            Choice::RollbackStage => {
                (Decision::RollbackStage, format!("roll back the stage {}, then ask again", waiting.stage))
            }
            Choice::Rollback => (Decision::Rollback, format!("roll back everything ({})", changes(waiting.changed))),
            Choice::Pause => {
                (Decision::Pause, "pause: leave everything as it is; `bringup resume` continues".to_owned())
            }
            Choice::Replan => return None,
        })
    };
    waiting.choices.iter().filter_map(option).collect()
}

/// A question that is open, for a list of runs.
pub fn standing(waiting: &Waiting) -> String {
    let since = jiff::Timestamp::from_second(waiting.since.sec).unwrap_or_default();
    let since = since.strftime("%Y-%m-%d %H:%M:%S UTC");
    format!("{}, since {since}; `bringup attach` asks", messages::waiting(waiting))
}

/// How to decide where no terminal can ask.
pub fn how_to(look: Look, waiting: &Waiting) -> String {
    let mut page = "The run waits for a decision, from any terminal:\n".to_owned();
    for (decision, meaning) in options(waiting) {
        let command = format!("  bringup decide {}", decision.choice().name());
        let room = look.width.saturating_sub(MEANING).max(20);
        for (n, line) in text::wrap(&look.text(&meaning), room).into_iter().enumerate() {
            let label = if n == 0 { command.as_str() } else { "" };
            let _ = writeln!(page, "{label:MEANING$}{line}");
        }
    }
    page
}

fn changes(count: usize) -> String {
    match count {
        0 => "nothing was changed".to_owned(),
        1 => "1 change".to_owned(),
        n => format!("{n} changes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::run_state::recorded::waiting;

    #[test]
    fn every_choice_says_what_it_does() {
        insta::assert_snapshot!(how_to(Look::PLAIN, &waiting(3)), @r"
        The run waits for a decision, from any terminal:
          bringup decide retry            retry
          bringup decide skip             skip database.role: the role can be made by
                                          hand later
          bringup decide rollback-stage   roll back the stage database, then ask again
          bringup decide rollback         roll back everything (3 changes)
          bringup decide pause            pause: leave everything as it is; `bringup
                                          resume` continues
        ");
    }

    #[test]
    fn an_open_question_says_about_what_and_since_when() {
        let expected = "waiting for a decision about database.role; 3 changes in place, since 2026-11-21 09:30:15 UTC; \
                        `bringup attach` asks";
        assert_eq!(standing(&waiting(3)), expected);
    }

    #[test]
    fn only_what_is_offered_is_named() {
        let mut waiting = waiting(3);
        waiting.choices = vec![Choice::Retry, Choice::Replan, Choice::Pause];
        waiting.retry_from = "database.engine".to_owned();
        let options = options(&waiting);
        let names: Vec<&str> = options.iter().map(|(decision, _)| decision.choice().name()).collect();
        assert_eq!(names, ["retry", "pause"]);
        assert_eq!(options[0].1, "retry, starting with database.engine");
    }
}
