//! One question on a stage's page.

use ratatui::style::Modifier;
use ratatui::text::Span;

use crate::answers::interview::{Field, Interview, text_of};
use crate::answers::{Origin, SecretSource};
use crate::guide::QuestionKind;
use crate::ui::wizard::desk::Desk;
use crate::ui::wizard::doc::{Stop, Writer};
use crate::ui::wizard::theme::{Role, Sign};

/// Writes a question with its answer, where that came from, and what is wrong with it.
pub fn write(desk: &Desk, interview: &Interview, field: &Field<'_>, writer: &mut Writer<'_>) {
    match field.question.kind {
        QuestionKind::Choice => choice(interview, field, writer),
        QuestionKind::Bool => toggle(field, writer),
        _ => text(desk, interview, field, writer),
    }
    if let Some(problem) = field.problem {
        let hint = if problem.hint.is_empty() { String::new() } else { format!(". {}", problem.hint) };
        writer.note(Role::Bad, Sign::Bad, 2, &format!("{}{hint}", problem.message));
    }
}

/// Where an answer came from, in a word or two; what was typed needs none.
fn origin(field: &Field<'_>) -> &'static str {
    match field.origin {
        Some(Origin::Default) => "default",
        Some(Origin::Detected) => "computed here",
        Some(Origin::PreviousRun) => "last run",
        Some(Origin::File) => "from the file",
        Some(Origin::Flag) => "from --set",
        Some(Origin::Typed) | None => "",
    }
}

fn choice(interview: &Interview, field: &Field<'_>, writer: &mut Writer<'_>) {
    let from = writer.row();
    let ask = writer.span(Role::Heading, &field.question.ask);
    let origin = writer.span(Role::Dim, origin(field));
    writer.stop_line(&Stop::Button(""), vec![ask], Some(origin));
    let chosen = field.value.map(text_of).unwrap_or_default();
    let labels = field.question.choices.iter().map(|choice| crate::ui::text::width(&choice.label)).max().unwrap_or(0);
    for (at, (choice, offered)) in interview.offers(field.question).into_iter().enumerate() {
        let stop = Stop::Choice(field.path.clone(), choice.value.clone());
        let from = if at == 0 { from } else { writer.row() };
        let sign = if choice.value == chosen { Sign::Chosen } else { Sign::Open };
        let role = match (writer.at(&stop), offered) {
            (true, _) => Role::Focus,
            (false, true) => Role::Value,
            (false, false) => Role::Dim,
        };
        let label = crate::ui::text::pad(&writer.clean(&choice.label), labels);
        let pieces = vec![
            writer.sign(Role::Value, sign),
            Span::raw(" "),
            writer.span(role, &label),
            Span::raw("  "),
            writer.span(Role::Dim, &choice.note),
        ];
        writer.stop_line(&stop, pieces, None);
        writer.stop(stop, from);
    }
}

fn toggle(field: &Field<'_>, writer: &mut Writer<'_>) {
    let stop = Stop::Field(field.path.clone());
    let from = writer.row();
    let yes = field.value.is_some_and(|value| *value == serde_json::Value::Bool(true));
    let role = if writer.at(&stop) { Role::Focus } else { Role::Heading };
    let pieces = vec![
        writer.sign(Role::Value, if yes { Sign::Yes } else { Sign::No }),
        Span::raw(" "),
        writer.span(role, &field.question.ask),
    ];
    let origin = writer.span(Role::Dim, origin(field));
    writer.stop_line(&stop, pieces, Some(origin));
    writer.stop(stop, from);
}

fn text(desk: &Desk, interview: &Interview, field: &Field<'_>, writer: &mut Writer<'_>) {
    let stop = Stop::Field(field.path.clone());
    let from = writer.row();
    let role = if writer.at(&stop) { Role::Focus } else { Role::Heading };
    let ask = writer.span(role, &field.question.ask);
    let origin = writer.span(Role::Dim, origin(field));
    writer.stop_line(&stop, vec![ask], Some(origin));
    let secret = field.question.kind == QuestionKind::Secret;
    let room = writer.width().saturating_sub(4).min(60);
    let underlined = writer.theme().style(Role::Value).add_modifier(Modifier::UNDERLINED);
    let editor = desk.editor.as_ref().filter(|(path, _)| *path == field.path && writer.at(&stop));
    if let Some((_, editor)) = editor {
        let mask = (secret && !desk.revealed).then(|| writer.theme().sign(Sign::Secret));
        let (shown, at) = editor.window(room, mask);
        let shown = crate::ui::text::pad(&writer.clean(&shown), room);
        writer.line(vec![Span::raw("    "), Span::styled(shown, underlined)]);
        writer.cursor(4 + at);
        if editor.text().is_empty() {
            writer.stop(stop, from);
            empty(interview, field, writer);
            return;
        }
    } else {
        let shown = if secret { secret_in_words(interview, field) } else { field_text(interview, field) };
        let shown = crate::ui::text::shorten(&writer.clean(&shown), room, writer.theme().sign(Sign::Ellipsis));
        let role = if field.origin == Some(Origin::Typed) { Role::Value } else { Role::Dim };
        let value = writer.span(role, if shown.is_empty() { "-" } else { &shown });
        writer.line(vec![Span::raw("    "), value]);
    }
    writer.stop(stop, from);
}

/// What an empty field means.
fn empty(interview: &Interview, field: &Field<'_>, writer: &mut Writer<'_>) {
    let words = match (field.question.kind, field.value) {
        (QuestionKind::Secret, Some(_)) => format!("empty: {}", secret_in_words(interview, field)),
        (_, Some(value)) if !text_of(value).is_empty() => format!("empty: {}", text_of(value)),
        _ if field.question.optional => "empty: none".to_owned(),
        _ => return,
    };
    let words = writer.span(Role::Dim, &words);
    writer.line(vec![Span::raw("    "), words]);
}

fn field_text(interview: &Interview, field: &Field<'_>) -> String {
    field.value.map_or_else(|| interview.text(&field.path), text_of)
}

/// A secret is never shown: how it is to be had is.
fn secret_in_words(interview: &Interview, field: &Field<'_>) -> String {
    match interview.secret(&field.path) {
        Some(SecretSource::Generate(length)) => format!("{length} random characters, made when the run starts"),
        Some(SecretSource::File(path)) => format!("from the file {path}"),
        Some(SecretSource::Env(name)) => format!("from the variable {name}"),
        Some(SecretSource::Literal(_)) => "typed, not shown".to_owned(),
        None => String::new(),
    }
}
