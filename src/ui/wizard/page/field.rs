//! One question on a stage's page: what is asked, the answer, where that came from, what is wrong with it.
//!
//! Little changes when the pointer moves or a character is typed: no line comes or goes for that, but for the note
//! under an answer that is refused. A blank line parts it from the next question.

use ratatui::text::Span;

use crate::answers::interview::{Field, Interview, text_of};
use crate::answers::resolve::UNANSWERED;
use crate::answers::{Origin, SecretSource};
use crate::error::Problem;
use crate::guide::{Question, QuestionKind};
use crate::ui::text;
use crate::ui::wizard::editor::Editor;
use crate::ui::wizard::model::visit::Visit;
use crate::ui::wizard::page::help;
use crate::ui::wizard::theme::{Role, Sign};
use crate::ui::wizard::view::{Focus, ViewBuilder};
use crate::yaml::quoted;

/// Where answers and notes begin.
const INDENT: usize = 4;
/// Columns of a number.
const NUMBER: usize = 7;
/// Columns of a text, unless a longer one stands there.
const TEXT: usize = 40;
/// Columns in which a choice's note can be read beside it.
const NOTE: usize = 24;

/// How a question is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The answer under the question.
    Lines,
    /// A number in front of its question, for pages of figures.
    Row,
    /// A cell of a table: the answer behind its question, which has so many columns.
    Cell(usize),
}

/// What questions are drawn from.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// The answers so far.
    pub interview: &'a Interview,
    /// Which questions are new.
    pub visit: &'a Visit,
    /// The text under the cursor, and the question it answers.
    pub editor: Option<&'a (String, Editor)>,
    /// Whether the secret under the cursor is shown.
    pub revealed: bool,
}

/// Writes a question, with `warnings` about its answer.
pub fn write(asked: Asked<'_>, field: &Field<'_>, form: Form, warnings: &[&str], to: &mut ViewBuilder<'_>) {
    let number = field.question.kind.is_number();
    let row = form == Form::Row && number;
    match field.question.kind {
        QuestionKind::Choice => choice(asked, field, to),
        QuestionKind::Bool => toggle(asked, field, to),
        kind if kind.has_rows() => rows(asked, field, to),
        _ if row => local(asked, field, to),
        _ => match form {
            Form::Cell(ask) => cell(asked, field, ask, to),
            Form::Lines | Form::Row => typed(asked, field, to),
        },
    }
    let is_cell = matches!(form, Form::Cell(_));
    let indent = match form {
        Form::Cell(ask) => ask + 6,
        Form::Row if row => NUMBER + INDENT,
        Form::Lines | Form::Row => INDENT,
    };
    let mut noted = false;
    if let Some(problem) = field.problem {
        noted = true;
        if field.question.kind.has_rows() && problem.path != field.path {
            // It stands at its cell.
            noted = false;
        } else if !asked.interview.is_open(problem) {
            // The answer itself stands above.
            let words = in_words(problem);
            // A cell stands in its row.
            let row = words.split_once([':', ',']).filter(|_| is_cell && words.starts_with("row "));
            let words = row.map_or(words.as_str(), |(_, rest)| rest.trim_start());
            let answer = asked.interview.text(&field.path);
            let short = [quoted(&answer), answer].into_iter().find_map(|answer| {
                words.strip_prefix(&answer).and_then(|rest| rest.strip_prefix(' ')).filter(|_| !answer.is_empty())
            });
            to.note(Role::Bad, Sign::Bad, indent - 2, short.unwrap_or(words));
        } else if let Some((_, why)) = problem.message.split_once(", because ") {
            to.note(Role::Dim, Sign::Pending, indent - 2, why);
        } else if row || matches!(field.question.kind, QuestionKind::Choice | QuestionKind::Bool) {
            to.note(Role::Dim, Sign::Pending, indent - 2, UNANSWERED);
        } else {
            noted = false;
        }
    }
    for warning in warnings {
        noted = true;
        to.note(Role::Warning, Sign::Warning, indent - 2, warning);
    }
    if noted {
        to.extend_stop();
    }
    if !is_cell && (noted || !row) {
        to.blank();
    }
}

/// A problem in one sentence. It says which row of a table and which entry of a list.
pub fn in_words(problem: &Problem) -> String {
    let mut place = Vec::new();
    let mut parts = problem.path.split('[').skip(1).peekable();
    while let Some(part) = parts.next() {
        let (at, cell) = part.split_once(']').unwrap_or((part, ""));
        let what = if cell.is_empty() && parts.peek().is_none() { "entry" } else { "row" };
        place.extend(at.parse::<usize>().map(|at| format!("{what} {}", at + 1)));
    }
    let place = if place.is_empty() { String::new() } else { format!("{}: ", place.join(", ")) };
    let hint = if problem.hint.is_empty() { String::new() } else { format!("; {}", problem.hint) };
    format!("{place}{}{hint}", problem.message)
}

/// Where an answer came from, in a word or two; what was typed needs none.
fn origin(asked: Asked<'_>, field: &Field<'_>) -> String {
    let from = match field.origin {
        Some(Origin::Default) => "default",
        Some(Origin::Detected) if asked.interview.reason(&field.path).is_some() => {
            asked.interview.reason(&field.path).unwrap_or_default()
        }
        Some(Origin::Detected) if is_computed(field.question) => "computed",
        Some(Origin::Detected) => "detected",
        Some(Origin::PreviousRun) => "last run",
        Some(Origin::File) => "from the file",
        Some(Origin::Flag) => "from --set",
        Some(Origin::Typed) | None => "",
    };
    match (asked.visit.is_new(&field.path), from) {
        (true, "") => "new".to_owned(),
        (true, from) => format!("new, {from}"),
        (false, from) => from.to_owned(),
    }
}

/// Whether the default is reckoned, not just found.
fn is_computed(question: &Question) -> bool {
    let template = question.default.as_ref().map(ToString::to_string).unwrap_or_default();
    template.contains("size_workers(") || template.contains("locals.") || template.contains(" * ")
}

fn choice(asked: Asked<'_>, field: &Field<'_>, to: &mut ViewBuilder<'_>) {
    let from = to.row();
    heading(asked, field, None, to);
    let chosen = field.value.map(text_of).unwrap_or_default();
    let choices = asked.interview.offers(field.question);
    let labels = choices.iter().map(|(choice, _)| text::width(&to.clean(&choice.label))).max().unwrap_or(0);
    let notes: Vec<String> = choices
        .iter()
        .map(|(choice, offered)| match (offered, choice.note.is_empty()) {
            (true, _) => choice.note.clone(),
            (false, true) => "not available here".to_owned(),
            (false, false) => format!("not available here: {}", choice.note),
        })
        .collect();
    let room = to.width().saturating_sub(6 + labels + 2);
    let longest = notes.iter().map(|note| text::width(note)).max().unwrap_or(0);
    // Beside the labels where that reads well, else under them; the same for all, so that they can be compared.
    let beside = longest <= room || room >= NOTE && longest <= 2 * room - 8;
    for (at, ((choice, offered), note)) in choices.into_iter().zip(notes).enumerate() {
        let stop = Focus::Choice(field.path.clone(), choice.value.clone());
        let from = if at == 0 { from } else { to.row() };
        let sign = if choice.value == chosen { Sign::Chosen } else { Sign::Open };
        let label = to.span(if offered { Role::Value } else { Role::Dim }, &choice.label);
        let sign = to.sign(if to.at(&stop) { Role::Focus } else { Role::Value }, sign);
        let mut pieces = vec![sign, Span::raw(" "), label];
        let mut lines = text::wrap(&to.clean(&note), if beside { room } else { to.width().saturating_sub(6).max(8) });
        lines.retain(|line| !line.is_empty());
        let mut lines = lines.into_iter();
        if beside && let Some(first) = lines.next() {
            let used: usize = pieces.iter().map(Span::width).sum();
            pieces.push(Span::raw(" ".repeat(4 + labels + 2 - used)));
            pieces.push(to.span(Role::Dim, &first));
        }
        to.stop_line(&stop, pieces, None);
        let indent = if beside { 6 + labels + 2 } else { 6 };
        for line in lines {
            let line = to.span(Role::Dim, &line);
            to.line(vec![Span::raw(" ".repeat(indent)), line]);
        }
        to.stop(stop, from);
    }
}

fn toggle(asked: Asked<'_>, field: &Field<'_>, to: &mut ViewBuilder<'_>) {
    let stop = Focus::Field(field.path.clone());
    let from = to.row();
    let yes = field.value.is_some_and(|value| *value == serde_json::Value::Bool(true));
    let role = if to.at(&stop) { Role::Focus } else { Role::Value };
    let sign = to.sign(role, if yes { Sign::Yes } else { Sign::No });
    let sign = Span::styled(format!("{} ", sign.content), sign.style);
    let hang = 2 + sign.width();
    let mut asks = text::wrap(&to.clean(&field.question.ask), to.width().saturating_sub(hang).max(8)).into_iter();
    let ask = to.span(Role::Heading, &asks.next().unwrap_or_default());
    let origin = to.span(Role::Dim, &origin(asked, field));
    to.stop_line(&stop, vec![sign, ask], Some(origin));
    for ask in asks {
        let ask = to.span(Role::Heading, &ask);
        to.line(vec![Span::raw(" ".repeat(hang)), ask]);
    }
    to.stop(stop, from);
}

fn typed(asked: Asked<'_>, field: &Field<'_>, to: &mut ViewBuilder<'_>) {
    let stop = Focus::Field(field.path.clone());
    let from = to.row();
    heading(asked, field, Some(&stop), to);
    let room = to.width().saturating_sub(INDENT).max(2);
    let usual = if field.question.kind.is_number() { NUMBER + 1 } else { TEXT };
    let columns = usual.max(text::width(&asked.interview.text(&field.path)) + 1).min(room);
    let shown = shown(asked, field, columns, room, to);
    let cursor = shown.cursor;
    let mut pieces = vec![Span::raw(" ".repeat(INDENT))];
    pieces.extend(shown.pieces(columns, false, to));
    to.line(pieces);
    if let Some(cursor) = cursor {
        to.cursor(INDENT + cursor);
    }
    to.stop(stop, from);
}

/// A number in front of its question.
fn local(asked: Asked<'_>, field: &Field<'_>, to: &mut ViewBuilder<'_>) {
    let stop = Focus::Field(field.path.clone());
    let from = to.row();
    let mut shown = shown(asked, field, NUMBER + 1, NUMBER, to);
    if text::width(&shown.text) > NUMBER {
        shown = Shown { text: "?".to_owned(), role: Role::Dim, ..shown };
    }
    let (width, cursor) = (text::width(&shown.text), shown.cursor);
    let origin = to.span(Role::Dim, &origin(asked, field));
    let hang = 2 + NUMBER + 2;
    let mut asks = text::wrap(&to.clean(&field.question.ask), to.width().saturating_sub(hang).max(8)).into_iter();
    let ask = to.span(Role::Heading, &asks.next().unwrap_or_default());
    let mut pieces = shown.pieces(NUMBER, true, to);
    pieces.extend([Span::raw("  "), ask]);
    to.stop_line(&stop, pieces, Some(origin));
    if let Some(cursor) = cursor {
        to.cursor(2 + NUMBER - width + cursor.min(width));
    }
    for ask in asks {
        let ask = to.span(Role::Heading, &ask);
        to.line(vec![Span::raw(" ".repeat(hang)), ask]);
    }
    to.stop(stop, from);
}

/// A cell: its question, which was shortened to `ask` columns, and the answer behind it.
fn cell(asked: Asked<'_>, field: &Field<'_>, ask: usize, to: &mut ViewBuilder<'_>) {
    let stop = Focus::Field(field.path.clone());
    let from = to.row();
    let before = INDENT + ask + 2;
    let room = to.width().saturating_sub(before).max(2);
    let usual = if field.question.kind.is_number() { NUMBER + 1 } else { TEXT };
    let columns = usual.max(text::width(&asked.interview.text(&field.path)) + 1).min(room);
    let shown = shown(asked, field, columns, room, to);
    let cursor = shown.cursor;
    let cut = to.theme().sign(Sign::Ellipsis);
    let label = text::pad(&text::shorten(&to.clean(&field.question.ask), ask, cut), ask);
    let role = if to.at(&stop) { Role::Focus } else { Role::Value };
    let mut pieces = vec![Span::raw(" ".repeat(INDENT - 2)), to.span(role, &label), Span::raw("  ")];
    pieces.extend(shown.pieces(columns, false, to));
    to.stop_line(&stop, pieces, None);
    if let Some(cursor) = cursor {
        to.cursor(before + cursor);
    }
    to.stop(stop, from);
}

/// A table: the question, its rows, each with a line of its own that can be taken away, and a line to add another.
fn rows(asked: Asked<'_>, field: &Field<'_>, to: &mut ViewBuilder<'_>) {
    heading(asked, field, None, to);
    let asks = field.question.row().iter().map(|column| text::width(&to.clean(&column.ask))).max().unwrap_or(0);
    let ask = asks.min(to.width() * 2 / 5);
    let rows = asked.interview.rows(&field.path);
    for (at, row) in rows.iter().enumerate() {
        let path = format!("{}[{at}]", field.path);
        let says = format!("Row {} of {}", at + 1, rows.len());
        // One that is only there to be filled in cannot be taken away.
        if asked.interview.is_given(&path) {
            line(&Focus::Field(path), &says, to);
        } else {
            let says = to.span(Role::Dim, &says);
            to.line(vec![Span::raw("  "), says]);
        }
        for cell in row {
            write(asked, cell, Form::Cell(ask), &[], to);
        }
        to.blank();
    }
    line(&Focus::Field(field.path.clone()), "+ another row", to);
}

/// A line that can be stopped at.
fn line(stop: &Focus, says: &str, to: &mut ViewBuilder<'_>) {
    let from = to.row();
    let role = if to.at(stop) { Role::Focus } else { Role::Dim };
    let says = to.span(role, says);
    to.stop_line(stop, vec![says], None);
    to.stop(stop.clone(), from);
}

/// The question in as many lines as it takes, and at the end of the first where the answer came from.
fn heading(asked: Asked<'_>, field: &Field<'_>, stop: Option<&Focus>, to: &mut ViewBuilder<'_>) {
    let origin = origin(asked, field);
    let room = to.width().saturating_sub(2).max(8);
    let mut asks = text::wrap(&to.clean(&field.question.ask), room).into_iter();
    let ask = to.span(Role::Heading, &asks.next().unwrap_or_default());
    let origin = to.span(Role::Dim, &origin);
    to.stop_line(stop.unwrap_or(&Focus::Button("")), vec![ask], Some(origin));
    for ask in asks {
        let ask = to.span(Role::Heading, &ask);
        to.line(vec![Span::raw("  "), ask]);
    }
}

/// An answer's text in a line.
struct Shown {
    text: String,
    role: Role,
    /// The cursor's column in it, where it is typed.
    cursor: Option<usize>,
}

impl Shown {
    /// The field with its text; what an empty one waits for may reach beyond it.
    fn pieces(&self, columns: usize, right: bool, to: &ViewBuilder<'_>) -> Vec<Span<'static>> {
        let at = self.text.char_indices().map(|(at, _)| at).chain([self.text.len()]);
        let cut = at.take_while(|at| text::width(&self.text[..*at]) <= columns).last().unwrap_or(0);
        let (inside, beyond) = self.text.split_at(cut);
        let mut pieces = to.field(self.role, inside, columns, right);
        if !beyond.is_empty() {
            pieces.push(to.span(self.role, beyond));
        }
        pieces
    }
}

/// The answer in a field of so many columns; words about it may be as wide as there is room.
fn shown(asked: Asked<'_>, field: &Field<'_>, columns: usize, room: usize, to: &ViewBuilder<'_>) -> Shown {
    let cut = to.theme().sign(Sign::Ellipsis);
    let stop = Focus::Field(field.path.clone());
    let editor = asked.editor.filter(|(path, _)| *path == field.path && to.at(&stop)).map(|(_, editor)| editor);
    let given = asked.interview.text(&field.path);
    let text = editor.map_or(given.as_str(), |editor| editor.text());
    if text.is_empty() {
        let words = text::shorten(&to.clean(&placeholder(asked.interview, field)), room.max(NOTE), cut);
        return Shown { text: words, role: Role::Placeholder, cursor: editor.map(|_| 0) };
    }
    let secret = field.question.kind == QuestionKind::Secret && !is_reference(text);
    let mask = (secret && !(editor.is_some() && asked.revealed)).then(|| to.theme().sign(Sign::Secret));
    let show = |grapheme: &str| mask.map_or_else(|| to.clean(grapheme), str::to_owned);
    let Some(editor) = editor else {
        let typed = matches!(field.origin, Some(Origin::Typed)) || field.problem.is_some();
        // Not even its length.
        let text = if secret { "typed, not shown".to_owned() } else { text::shorten(&to.clean(text), columns, cut) };
        return Shown { text, role: if typed { Role::Value } else { Role::Placeholder }, cursor: None };
    };
    let window = editor.window(columns, show, cut);
    let role = if editor.is_suggestion() { Role::Placeholder } else { Role::Value };
    Shown { text: window.text, role, cursor: Some(window.cursor) }
}

/// A secret that is somewhere else: where is not secret.
fn is_reference(text: &str) -> bool {
    ["file:", "env:", "generate:"].iter().any(|kind| text.starts_with(kind))
}

/// What an empty field means.
fn placeholder(interview: &Interview, field: &Field<'_>) -> String {
    let question = field.question;
    match (question.kind, field.value) {
        (QuestionKind::Secret, Some(_)) => match interview.secret(&field.path) {
            Some(SecretSource::Generate(length)) => {
                format!("{length} random characters, generated when the run starts")
            }
            Some(SecretSource::File(path)) => format!("from the file {path}"),
            Some(SecretSource::Env(name)) => format!("from the variable {name}"),
            Some(SecretSource::Entry { file, name }) => format!("{name} in the file {file}"),
            _ => "none".to_owned(),
        },
        (_, Some(value)) if !text_of(value).is_empty() => text_of(value),
        (_, Some(_)) => "none".to_owned(),
        (QuestionKind::Secret, None) if field.problem.is_some() => {
            format!("{UNANSWERED}: type it, or file:/path, or env:NAME")
        }
        (_, None) if field.problem.is_some() => {
            let allowed = question.pattern_hint.clone().unwrap_or_else(|| help::in_words(question));
            format!("{UNANSWERED}: {allowed}")
        }
        (_, None) => "depends on an answer above".to_owned(),
    }
}
