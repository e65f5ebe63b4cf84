//! The question that a failed run asks, and the answer it gets.
//!
//! Both are files in the run's directory, so that it can be answered from any terminal at any time: the run writes
//! `waiting.json` and polls for `decision.json`. There is no timeout.

use serde::{Deserialize, Serialize};

use crate::engine::runs::RunDir;
use crate::error::{Failure, Outcome};
use crate::host::{Host, Stamp};
use crate::plan::Plan;

/// Exists in the run's directory while the run waits.
const QUESTION: &str = "waiting.json";
/// Written with the decision, removed by the run.
const ANSWER: &str = "decision.json";

/// What can be done about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// The same step again; after its stage was rolled back, the stage from its first action.
    Retry,
    /// Continue without the step, where the guide allows it.
    Skip,
    /// Continue with other answers.
    Replan,
    /// Roll back what the run changed in the step's stage, then ask again.
    RollbackStage,
    /// Roll back everything.
    Rollback,
    /// Leave everything as it is and end; `bringup resume` continues. On disk it has its name of the first releases.
    #[serde(rename = "stop", alias = "pause")]
    Pause,
}

impl Choice {
    /// Its name in `bringup decide`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Skip => "skip",
            Self::Replan => "replan",
            Self::RollbackStage => "rollback-stage",
            Self::Rollback => "rollback",
            Self::Pause => "pause",
        }
    }
}

/// What a failed run waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Numbers the run's questions: an answer to an earlier one is not accepted for this one.
    pub number: usize,
    /// The step that failed.
    pub step: String,
    /// The id of its stage; empty when the step is not in the plan.
    pub stage: String,
    /// What can be decided.
    pub choices: Vec<Choice>,
    /// The step with which [`Choice::Retry`] starts.
    pub retry_from: String,
    /// The step that [`Choice::Skip`] skips, where it is among the choices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip: Option<Skippable>,
    /// Number of the run's changes in place.
    pub changed: usize,
    /// Since when the run waits.
    pub since: Stamp,
}

/// A step that may be skipped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skippable {
    /// The step.
    pub step: String,
    /// Why that is safe, in the guide's words.
    #[serde(rename = "because")]
    pub reason: String,
}

/// A decision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// See [`Choice::Retry`].
    Retry,
    /// See [`Choice::Skip`].
    Skip,
    /// See [`Choice::Replan`].
    Replan(Box<Replan>),
    /// See [`Choice::RollbackStage`].
    RollbackStage,
    /// See [`Choice::Rollback`].
    Rollback,
    /// See [`Choice::Pause`].
    #[serde(rename = "stop", alias = "pause")]
    Pause,
}

/// The plan made from other answers. Holds no secret: the plan has placeholders, the answers have references.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Replan {
    /// The new plan.
    pub plan: Plan,
    /// The new answers file.
    pub answers: String,
}

impl Decision {
    /// The choice it makes.
    pub const fn choice(&self) -> Choice {
        match self {
            Self::Retry => Choice::Retry,
            Self::Skip => Choice::Skip,
            Self::Replan(_) => Choice::Replan,
            Self::RollbackStage => Choice::RollbackStage,
            Self::Rollback => Choice::Rollback,
            Self::Pause => Choice::Pause,
        }
    }
}

/// A decision with the question it answers.
#[derive(Serialize, Deserialize)]
struct Answer {
    number: usize,
    decision: Decision,
}

/// What the run waits for; none when it does not wait. After a crash the question stays until the run is resumed, so it
/// counts only while the run's process lives.
pub fn waiting(host: &dyn Host, dir: &RunDir) -> Outcome<Option<Waiting>> {
    let path = dir.file(QUESTION);
    let what = || format!("read {}", path.display());
    if host.stat(&path).map_err(|e| Failure::new(what(), e))?.is_none() {
        return Ok(None);
    }
    match host.read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|e| Failure::new(what(), e)),
        // It was answered between the two looks.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Failure::new(what(), e)),
    }
}

/// Hands a decision to the run. `number` is the question that was shown ([`Waiting::number`]): an error when the run no
/// longer asks it, or does not offer that choice.
pub fn send(host: &dyn Host, dir: &RunDir, number: usize, decision: &Decision) -> Outcome<()> {
    expect(host, dir, number, decision.choice())?;
    let answer = Answer { number, decision: decision.clone() };
    let bytes = serde_json::to_vec(&answer).map_err(|e| Failure::new("write the decision", e))?;
    dir.write(host, ANSWER, &bytes)
}

/// Whether the question offers this choice.
pub(super) fn expect(host: &dyn Host, dir: &RunDir, number: usize, choice: Choice) -> Outcome<()> {
    let what = || format!("decide \"{}\"", choice.name());
    let question = waiting(host, dir)?.filter(|waiting| waiting.number == number);
    let Some(question) = question else {
        return Err(Failure::new(what(), format!("run {} is not waiting for it (any longer)", dir.id))
            .hint("`bringup attach` shows its progress"));
    };
    if question.choices.contains(&choice) {
        return Ok(());
    }
    // Other answers cannot be given in one word.
    let words = question.choices.iter().filter(|choice| **choice != Choice::Replan);
    let offered: Vec<&str> = words.map(|choice| choice.name()).collect();
    Err(Failure::new(what(), format!("{} does not allow it", question.step))
        .hint(format!("the choices are: {}", offered.join(", "))))
}

/// Writes the question to its file.
pub(super) fn ask(host: &dyn Host, dir: &RunDir, question: &Waiting) -> Outcome<()> {
    let bytes = serde_json::to_vec(question).map_err(|e| Failure::new("ask what to do", e))?;
    dir.write(host, QUESTION, &bytes)
}

/// The decision about this question, if any. Others are discarded.
pub(super) fn take(host: &dyn Host, dir: &RunDir, question: &Waiting) -> Option<Decision> {
    let path = dir.file(ANSWER);
    host.stat(&path).ok()??;
    let answer = host.read(&path).ok().and_then(|bytes| serde_json::from_slice::<Answer>(&bytes).ok());
    // One that cannot be removed is not used twice either: the next question has another number.
    let _ = host.remove(&path);
    let answer = answer.filter(|answer| answer.number == question.number)?;
    question.choices.contains(&answer.decision.choice()).then_some(answer.decision)
}

/// Removes what is left of an earlier question.
pub(super) fn close(host: &dyn Host, dir: &RunDir) {
    for name in [QUESTION, ANSWER] {
        // A question that stays is harmless: its answer is refused by its number.
        let _ = host.remove(&dir.file(name));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::host::fake::FakeHost;

    fn host() -> (FakeHost, RunDir) {
        let host = FakeHost::new();
        let dir = RunDir::of("20261121-093015-webapp");
        host.put_file(dir.file("log/.keep"), "", 0o600);
        (host, dir)
    }

    fn question(number: usize) -> Waiting {
        Waiting {
            number,
            step: "web.page".to_owned(),
            stage: "web".to_owned(),
            choices: vec![Choice::Retry, Choice::Replan, Choice::Rollback, Choice::Pause],
            retry_from: "web.page".to_owned(),
            skip: None,
            changed: 3,
            since: Stamp::default(),
        }
    }

    #[test]
    fn a_decision_is_taken_once() {
        let (host, dir) = host();
        ask(&host, &dir, &question(7)).unwrap();
        assert_eq!(waiting(&host, &dir), Ok(Some(question(7))));
        assert_eq!(take(&host, &dir, &question(7)), None);
        send(&host, &dir, 7, &Decision::Retry).unwrap();
        assert_eq!(take(&host, &dir, &question(7)), Some(Decision::Retry));
        assert_eq!(take(&host, &dir, &question(7)), None);
    }

    #[test]
    fn what_is_not_offered_or_not_asked_is_refused_with_the_way_out() {
        let (host, dir) = host();
        assert!(send(&host, &dir, 7, &Decision::Retry).unwrap_err().why.contains("is not waiting"));
        ask(&host, &dir, &question(7)).unwrap();
        let refused = send(&host, &dir, 7, &Decision::Skip).unwrap_err();
        assert_eq!(refused.to_string(), "could not decide \"skip\": web.page does not allow it");
        assert_eq!(refused.hint.as_deref(), Some("the choices are: retry, rollback, pause"));
        assert!(send(&host, &dir, 6, &Decision::Retry).is_err());
        close(&host, &dir);
        assert!(send(&host, &dir, 7, &Decision::Retry).is_err());
        assert_eq!(waiting(&host, &dir), Ok(None));
    }

    #[test]
    fn an_answer_to_another_question_or_of_another_kind_is_thrown_away() {
        let (host, dir) = host();
        for strange in [
            r#"{"number":6,"decision":"retry"}"#,
            r#"{"number":7,"decision":"skip"}"#,
            r#"{"number":7,"decision":"dance"}"#,
            "not json",
        ] {
            host.put_file(dir.file(ANSWER), strange, 0o600);
            assert_eq!(take(&host, &dir, &question(7)), None, "{strange}");
            assert_eq!(host.text(dir.file(ANSWER)), None, "{strange}");
        }
    }
}
