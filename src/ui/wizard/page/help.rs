//! Help for a question and its stage.

use crate::answers::interview::Interview;
use crate::answers::resolve::allowed;
use crate::guide::{Question, QuestionKind, Stage};
use crate::ui::text;
use crate::ui::wizard::keys;
use crate::ui::wizard::overlay::{Line, Overlay, Pager};
use crate::ui::wizard::theme::{Role, Theme};

/// What a question means, what may be answered, where its default comes from; then why the stage matters, and the keys.
pub fn overlay(interview: &Interview, stage: &Stage, path: Option<&str>, theme: &Theme) -> Overlay {
    let mut parts = Vec::new();
    if let Some((path, question)) = path.and_then(|path| Some((path, interview.question(path)?))) {
        parts.extend(about(interview, question));
        if let Some((value, names)) = interview.default_of(path) {
            let value = if value.is_empty() { String::new() } else { format!(": {value}") };
            let reason = interview.reason(path).map(|reason| format!(" ({reason})"));
            let from = if names.is_empty() { String::new() } else { format!(" (from {})", names.join(", ")) };
            let from = reason.unwrap_or(from);
            if !(value.is_empty() && from.is_empty()) {
                parts.push((Role::Dim, format!("Default{value}{from}")));
            }
        }
        parts.push((Role::Dim, format!("In an answers file: {path}")));
    }
    parts.push((Role::Heading, stage.title.clone()));
    parts.push((Role::Value, stage.why.clone()));
    let mut lines: Vec<Line> = parts.into_iter().map(|(role, text)| Line::Prose(role, text)).collect();
    lines.extend(keys(theme));
    Overlay::Pager(Pager::new("Help", lines))
}

/// Every key and what it does.
pub fn keys(theme: &Theme) -> Vec<Line> {
    let table = keys::table(theme);
    let columns = table.iter().flat_map(|(_, rows)| rows).map(|(keys, _)| text::width(keys)).max().unwrap_or(0) + 2;
    let mut lines = Vec::new();
    for (heading, rows) in table {
        lines.push(Line::Prose(Role::Heading, heading));
        let row =
            |(keys, does): (String, &str)| Line::Exact(Role::Value, format!("{}{does}", text::pad(&keys, columns)));
        lines.extend(rows.into_iter().map(row));
    }
    lines
}

/// What a question means and what may be answered.
pub fn about(interview: &Interview, question: &Question) -> Vec<(Role, String)> {
    let mut parts = vec![(Role::Heading, question.ask.clone())];
    if !question.help.is_empty() {
        parts.push((Role::Value, question.help.clone()));
    }
    if question.kind == QuestionKind::Choice {
        for (choice, offered) in interview.offers(question) {
            let here = if offered { "" } else { "not available here: " };
            let colon = if choice.note.is_empty() { "" } else { ": " };
            parts.push((Role::Value, format!("{} ({}){colon}{here}{}", choice.label, choice.value, choice.note)));
        }
    } else {
        parts.push((Role::Dim, format!("Allowed: {}", in_words(question))));
    }
    parts
}

/// What may be answered, as a person types it here.
pub fn in_words(question: &Question) -> String {
    match question.kind {
        QuestionKind::Secret => {
            "letters, digits, -, _ and . only; or file:/path, or env:NAME for a variable of the environment".to_owned()
        }
        QuestionKind::Bool => "yes or no".to_owned(),
        kind if kind.is_list() => format!("{}, separated by commas", allowed(question)),
        _ => allowed(question),
    }
}
