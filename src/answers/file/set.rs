//! `--set stage.question=value`.

use serde_json::{Value, json};

use crate::answers::file::accepted;
use crate::answers::resolve::{Literals, Refusal};
use crate::error::Problem;
use crate::guide::{Guide, Question, QuestionKind};
use crate::suggest::did_you_mean;
use crate::yaml::{self, quoted};

/// The path and the value of `stage.question=value`, for [`crate::answers::Given`] with the origin flag.
///
/// Text is taken as it is; the entries of a list are separated by commas; a table or a map is YAML on one line; a secret is
/// `file:/path`, `env:NAME` or `generate:32`. The message of an error never repeats what stands behind the `=`, unless the question is
/// known and no secret.
pub fn parse_set(guide: &Guide, text: &str, literals: Literals) -> Result<(String, Value), Problem> {
    let problem = |path: &str, message: String, hint: String| Problem {
        place: "--set".to_owned(),
        path: path.to_owned(),
        message,
        hint,
    };
    let form = || "write --set SECTION.QUESTION=VALUE".to_owned();
    let Some((path, value)) = text.split_once('=') else {
        return Err(problem("", "it has no =".to_owned(), form()));
    };
    let path = path.trim();
    let Some(question) = find(guide, path) else {
        let known = paths(guide);
        let hint = form() + &did_you_mean(path, known.iter().map(String::as_str));
        return Err(problem("", format!("{} is not a question of the guide {}", quoted(path), guide.id), hint));
    };
    accepted(question, &typed(question, value), literals).map(|value| (path.to_owned(), value)).map_err(|refusals| {
        let first = refusals.into_iter().next().unwrap_or_else(|| Refusal::new("is refused", ""));
        problem(&format!("{path}{}", first.within), first.message, first.hint)
    })
}

fn find<'g>(guide: &'g Guide, path: &str) -> Option<&'g Question> {
    let (stage, question) = path.split_once('.')?;
    let stage = guide.stages.iter().find(|candidate| candidate.id == stage)?;
    stage.questions.iter().find(|candidate| candidate.id == question)
}

fn paths(guide: &Guide) -> Vec<String> {
    let paths = |stage: &crate::guide::Stage| {
        let id = stage.id.clone();
        stage.questions.iter().map(move |question| format!("{id}.{}", question.id)).collect::<Vec<_>>()
    };
    guide.stages.iter().flat_map(paths).collect()
}

/// The text as a value of the question's type; what does not fit stays text, and is refused as such.
pub(crate) fn typed(question: &Question, text: &str) -> Value {
    if question.auto && text == "auto" {
        return text.into();
    }
    match question.kind {
        kind if kind.is_number() => text.parse::<i64>().map_or_else(|_| text.into(), Value::from),
        QuestionKind::Bool => text.parse::<bool>().map_or_else(|_| text.into(), Value::from),
        kind if kind.is_list() => text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).collect(),
        kind if kind.has_rows() => {
            yaml::parse("", text.as_bytes()).map_or_else(|_| text.into(), |rows| rows.root().to_json())
        }
        QuestionKind::Secret => match text.split_once(':') {
            Some(("file", path)) => json!({"file": path}),
            Some(("env", name)) => json!({"env": name}),
            Some(("generate", length)) => match length.parse::<u32>() {
                Ok(length) => json!({"generate": length}),
                Err(_) => json!({"generate": null}),
            },
            _ => text.into(),
        },
        _ => text.into(),
    }
}
