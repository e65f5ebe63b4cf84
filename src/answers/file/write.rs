//! The answers file that a run leaves: replaying it gives the same plan.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::answers::file::VERSION;
use crate::answers::resolve::map::path_of;
use crate::answers::{OnFailure, Resolved, SecretSource};
use crate::error::Outcome;
use crate::guide::{Guide, QuestionKind};
use crate::secret::OPEN;
use crate::yaml;

/// The file for these answers, with where each came from. Secrets stay references; one that was typed is
/// recorded as a variable of the environment, because a recorded file must not hold it.
pub fn write(guide: &Guide, resolved: &Resolved, on_failure: OnFailure) -> Outcome<String> {
    let mut out = String::new();
    let title = guide.title.replace(['\n', '\r'], " ");
    let failure = match on_failure {
        // A replay is unattended: nobody can answer questions.
        OnFailure::Rollback | OnFailure::Ask => "rollback",
        OnFailure::Pause => "pause",
    };
    let _ = writeln!(out, "# {title}: the answers of a run. Replay: bringup --answers THIS-FILE");
    let _ = writeln!(out, "version: {VERSION}\nguide: {}\non_failure: {failure}", yaml::inline(&json!(guide.id))?);
    if !resolved.take_over.is_empty() {
        let _ = writeln!(out, "take_over: {}", yaml::inline(&json!(resolved.take_over))?);
    }
    for stage in guide.stages.iter().filter(|stage| resolved.stages.contains(&stage.id)) {
        let mut lines = Vec::new();
        for question in &stage.questions {
            let path = format!("{}.{}", stage.id, question.id);
            let value = resolved.values.get(&stage.id).and_then(|answers| answers.get(&question.id));
            // What was not asked has no origin.
            let (Some(value), Some(origin)) = (value, resolved.origins.get(&path)) else {
                continue;
            };
            let mut typed = false;
            let mut secret = |path: &str| {
                resolved.secrets.get(path).map(|source| match source {
                    SecretSource::Literal(_) => {
                        typed = true;
                        json!({"env": variable(path)})
                    }
                    source => serde_json::to_value(source).unwrap_or(Value::Null),
                })
            };
            let value = match value {
                Value::Object(entries) if question.kind == QuestionKind::Map => {
                    let entry = |(name, text): (&String, &Value)| {
                        (name.clone(), secret(&path_of(&path, name)).unwrap_or_else(|| text.clone()))
                    };
                    // Those of a file stay there.
                    let is_own = |(_, value): &(String, Value)| !value.as_str().unwrap_or_default().contains(OPEN);
                    Value::Object(entries.iter().map(entry).filter(is_own).collect())
                }
                value => secret(&path).unwrap_or_else(|| value.clone()),
            };
            let note = if typed { "; not recorded: set this variable to replay" } else { "" };
            let comment = format!("# {}{note}", origin.words());
            lines.push((format!("  {}: {}", question.id, yaml::inline(&value)?), comment));
        }
        if lines.is_empty() {
            continue;
        }
        let _ = writeln!(out, "\n{}:", stage.id);
        // Comments in one column, unless a line is long.
        let width = lines.iter().map(|(line, _)| line.chars().count()).filter(|width| *width <= 48).max().unwrap_or(0);
        for (line, comment) in lines {
            let _ = writeln!(out, "{line:width$}  {comment}");
        }
    }
    Ok(out)
}

/// The variable that holds a typed secret: `BRINGUP_DATABASE_PASSWORD` for `database.password`.
pub fn variable(path: &str) -> String {
    let name: String =
        path.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    format!("BRINGUP_{name}")
}
