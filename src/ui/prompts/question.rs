//! One question: how it is put, and what is made of the line that answers it.

use serde_json::Value;

use crate::answers::interview::{Interview, text_of};
use crate::answers::resolve::allowed;
use crate::answers::{Origin, SecretSource};
use crate::error::{Exit, Problem};
use crate::guide::{Choice, Question, QuestionKind};
use crate::ui::prompts::voice::{Heard, Voice, number};
use crate::ui::style::MARK;

mod table;

/// What came of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is answered.
    On,
    /// The question before, please.
    Back,
    /// Enough.
    Leave,
}

/// Asks until there is an answer that does, or something else is wanted.
pub fn ask(voice: &mut Voice<'_>, interview: &mut Interview, path: &str) -> Result<Step, Exit> {
    let Some(question) = interview.question(path).cloned() else { return Ok(Step::On) };
    if question.kind.has_rows() {
        return table::ask(voice, interview, &question, path);
    }
    put(voice, interview, &question, path);
    let standing = |interview: &Interview| interview.field(path).is_some_and(|field| field.problem.is_none());
    let mut typed_before = if standing(interview) { String::new() } else { interview.text(path) };
    loop {
        let heard = match question.kind {
            QuestionKind::Secret => voice.hear_secret()?,
            _ => voice.hear(&typed_before)?,
        };
        match heard {
            Heard::Back => return Ok(Step::Back),
            Heard::Leave => return Ok(Step::Leave),
            Heard::Help => help(voice, interview, &question, path),
            Heard::Enter if standing(interview) => return Ok(Step::On),
            Heard::Enter => told(voice, interview, &question, path),
            Heard::Text(line) => {
                let text = meant(&question, &line);
                match refused(interview, path, &text) {
                    None => {
                        let before = interview.previous_run().map(str::to_owned);
                        interview.type_in(path, &text);
                        tell_offered(voice, interview, before.as_deref());
                        return Ok(Step::On);
                    }
                    Some((message, hint)) => {
                        voice.refusal(&message, &hint);
                        typed_before = line;
                    }
                }
            }
        }
    }
}

/// That another application was named, and what its questions begin with.
fn tell_offered(voice: &mut Voice<'_>, interview: &Interview, before: Option<&str>) {
    match interview.previous_run() {
        now if now == before => {}
        Some(run) => voice.prose(2, &format!("The answers of run {run} are the defaults.")),
        None => voice.prose(2, "This is another application: its questions start with the defaults."),
    }
}

/// The question with its choices, what is wrong with the answer so far, and what Enter takes.
fn put(voice: &mut Voice<'_>, interview: &Interview, question: &Question, path: &str) {
    voice.blank();
    voice.hanging("", &question.ask);
    match question.kind {
        QuestionKind::Choice => choices(voice, interview, question, path),
        QuestionKind::Bool => voice.line("  yes or no"),
        QuestionKind::Secret => {
            voice.hanging("  ", "what you type is not shown; file:/path or env:NAME take it from there");
        }
        kind if kind.is_list() => voice.line("  with commas between them"),
        _ => {}
    }
    told(voice, interview, question, path);
}

/// Every choice with its number; a star marks the current answer.
fn choices(voice: &mut Voice<'_>, interview: &Interview, question: &Question, path: &str) {
    let standing = interview.field(path).and_then(|field| field.value).map(text_of);
    let offers = interview.offers(question);
    for (n, (choice, offered)) in offers.iter().enumerate() {
        let mut lead = number(n, offers.len());
        if standing.as_ref() == Some(&choice.value) {
            lead.replace_range(0..1, "*");
        }
        voice.hanging(&lead, &described(choice, *offered));
    }
}

fn described(choice: &Choice, offered: bool) -> String {
    let note = choice.note.trim();
    let note = if note.is_empty() { String::new() } else { format!(" - {note}") };
    let offered = if offered { "" } else { " (not available here)" };
    format!("{}{offered}{note}", choice.label)
}

/// What Enter takes and where that comes from, or why it takes nothing.
fn told(voice: &mut Voice<'_>, interview: &Interview, question: &Question, path: &str) {
    let Some(field) = interview.field(path) else { return };
    if let Some(problem) = field.problem {
        let (message, hint) = words(question, problem);
        // Of a row that is not begun the whole table is missing.
        let hint =
            if problem.path == path || !path.contains('[') { hint } else { format!("Allowed: {}", allowed(question)) };
        return voice.refusal(&message, &hint);
    }
    let value = match interview.secret(path).filter(|_| question.kind == QuestionKind::Secret) {
        Some(source) => kept(source),
        None => shown(question, field.value),
    };
    let origin = field.origin.unwrap_or(Origin::Default).words();
    let origin = interview.reason(path).map_or_else(|| origin.to_owned(), |reason| format!("{origin}: {reason}"));
    voice.enter(&format!("{value} ({origin})"));
}

fn help(voice: &mut Voice<'_>, interview: &Interview, question: &Question, path: &str) {
    voice.blank();
    if !question.help.trim().is_empty() {
        voice.prose(2, &question.help);
    }
    let allowed = match question.kind {
        QuestionKind::Choice => "the number of a choice, or its name".to_owned(),
        QuestionKind::Bool => "yes or no".to_owned(),
        QuestionKind::Secret => {
            let form = question.pattern_hint.as_deref().unwrap_or("letters, digits, -, _ and .");
            format!("{form}, or file:/path, env:NAME, generate:32")
        }
        _ => allowed(question),
    };
    let auto = if question.auto { ", or auto" } else { "" };
    let nothing = if question.optional && !allowed.ends_with("or nothing") { ", or nothing" } else { "" };
    voice.prose(2, &format!("Allowed: {allowed}{auto}{nothing}."));
    if question.optional {
        voice.prose(2, "A single - leaves it empty.");
    }
    voice.prose(
        2,
        "< goes back to the previous question, ! leaves. To answer with one of these characters, put \\ before it.",
    );
    told(voice, interview, question, path);
}

/// The text that the interview expects for what was typed here: numbers of choices, yes and no, - for nothing.
fn meant(question: &Question, line: &str) -> String {
    let same = |name: &str| name.eq_ignore_ascii_case(line);
    match question.kind {
        _ if question.optional && line == "-" => String::new(),
        QuestionKind::Choice => {
            let by_number = line.parse::<usize>().ok().and_then(|n| question.choices.get(n.checked_sub(1)?));
            let choice = by_number.or_else(|| question.choices.iter().find(|choice| same(&choice.value)));
            let choice = choice.or_else(|| question.choices.iter().find(|choice| same(&choice.label)));
            choice.map_or_else(|| line.to_owned(), |choice| choice.value.clone())
        }
        QuestionKind::Bool if same("yes") || same("y") => "true".to_owned(),
        QuestionKind::Bool if same("no") || same("n") => "false".to_owned(),
        _ => line.to_owned(),
    }
}

/// Why this text does not do.
fn refused(interview: &Interview, path: &str, text: &str) -> Option<(String, String)> {
    // What the terminal sent was no UTF-8; the sign for that would be taken as text.
    if text.contains(char::REPLACEMENT_CHARACTER) {
        return Some(("that is not UTF-8".to_owned(), "check the locale of your terminal".to_owned()));
    }
    let problem = interview.refusal(path, text)?;
    interview.question(path).map(|question| words(question, &problem))
}

/// A problem's message, without the question that was just read.
fn words(question: &Question, problem: &Problem) -> (String, String) {
    let hint = problem.hint.strip_prefix(&question.ask).unwrap_or(&problem.hint).trim();
    if question.kind == QuestionKind::Bool {
        return (problem.message.clone(), "yes or no".to_owned());
    }
    (problem.message.clone(), hint.to_owned())
}

/// An answer for people.
fn shown(question: &Question, value: Option<&Value>) -> String {
    let text = value.map(text_of).unwrap_or_default();
    match question.kind {
        _ if text.is_empty() => "nothing".to_owned(),
        QuestionKind::Choice => {
            let choice = question.choices.iter().find(|choice| choice.value == text);
            choice.map_or(text, |choice| choice.label.clone())
        }
        QuestionKind::Bool if text == "true" => "yes".to_owned(),
        QuestionKind::Bool => "no".to_owned(),
        _ => text,
    }
}

/// Where a secret comes from, for people.
fn kept(source: &SecretSource) -> String {
    match source {
        SecretSource::Generate(length) => format!("generated, {length} characters long"),
        SecretSource::File(path) => format!("the first line of {path}"),
        SecretSource::Env(name) => format!("the variable {name}"),
        SecretSource::Entry { file, name } => format!("{name} in {file}"),
        SecretSource::Literal(_) => "what you typed".to_owned(),
    }
}

/// What is to be known although nothing is refused, without the path that begins it.
pub fn warning(voice: &mut Voice<'_>, text: &str) {
    let text = match text.split_once(": ") {
        Some((path, rest)) if !path.contains(' ') && path.contains('.') => rest,
        _ => text,
    };
    voice.hanging(&format!("  {MARK} "), text);
}
