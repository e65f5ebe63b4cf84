//! A stage: why it matters, its questions, and what is wrong with their answers.

use serde_json::{Value, json};

use crate::answers::interview::Interview;
use crate::guide::{QuestionKind, Stage};
use crate::ui::wizard::keys::{Act, KeyHint, key_hint};
use crate::ui::wizard::model::{Change, Route};
use crate::ui::wizard::page::field::{self, Asked, Form};
use crate::ui::wizard::page::{Page, Status, Transition, help, sizing, why};
use crate::ui::wizard::theme::{Role, Sign, Theme};
use crate::ui::wizard::view::{Focus, View, ViewBuilder};

/// Characters of a generated secret: 190 bits.
const GENERATED: u32 = 32;

/// The page of a stage.
pub struct StagePage<'a> {
    /// The stage's id.
    pub id: &'a str,
    /// The name of the page after it.
    pub next: Option<String>,
    /// Its questions are drawn from this; none before a guide was chosen.
    pub asked: Option<Asked<'a>>,
    /// For the list of keys.
    pub theme: &'a Theme,
}

impl StagePage<'_> {
    fn stage(&self) -> Option<&Stage> {
        self.asked?.interview.guide().stages.iter().find(|stage| stage.id == self.id)
    }

    /// The warnings of the stage: those about one answer with its path, and those about all.
    fn warnings<'d>(&self, interview: &'d Interview) -> Vec<(Option<&'d str>, &'d str)> {
        let is_path = |path: &str| path.strip_prefix(self.id).is_some_and(|rest| rest.starts_with('.'));
        interview
            .warnings(self.id)
            .into_iter()
            .map(|warning| match warning.split_once(": ") {
                Some((path, words)) if is_path(path) => (Some(path), words),
                Some((stage, words)) if stage == self.id => (None, words),
                _ => (None, warning),
            })
            .collect()
    }
}

impl Page for StagePage<'_> {
    fn write(&self, writer: ViewBuilder<'_>) -> View {
        let (Some(asked), Some(stage)) = (self.asked, self.stage()) else { return writer.done() };
        self.view(stage, asked, writer)
    }

    fn aside(&self, focus: Option<&Focus>, mut writer: ViewBuilder<'_>) -> Option<View> {
        let interview = self.asked?.interview;
        let question = interview.question(focus?.path()?)?;
        for (role, text) in help::about(interview, question) {
            writer.blank();
            writer.prose(role, 0, &text);
        }
        Some(writer.done())
    }

    fn status(&self, focus: Option<&Focus>) -> Option<Status> {
        let interview = self.asked?.interview;
        let here = focus.and_then(Focus::path);
        let mut refused = Vec::new();
        let mut open = Vec::new();
        for problem in interview.stage_problems(self.id) {
            refused.push(field::in_words(problem));
        }
        for field in interview.fields(self.id) {
            match field.problem {
                Some(problem) if interview.is_open(problem) => open.push(field.question.ask.clone()),
                // What is being typed is judged under it, and not shouted at.
                Some(_) if here == Some(&field.path) => {}
                Some(problem) => refused.push(format!("{} {}", field.question.ask, field::in_words(problem))),
                None => {}
            }
        }
        if let Some(first) = refused.first() {
            return Some(Status {
                role: Role::Bad,
                sign: Sign::Bad,
                text: format!("{} to fix: {first}", refused.len()),
            });
        }
        let mut words = Vec::from_iter(self.asked?.visit.notice());
        if let Some(first) = open.first() {
            words.push(format!("{} to answer: {first}", open.len()));
        }
        if !words.is_empty() {
            return Some(Status { role: Role::Value, sign: Sign::Pending, text: words.join(", ") });
        }
        let warnings = self.warnings(interview);
        let (_, first) = warnings.first()?;
        Some(Status { role: Role::Warning, sign: Sign::Warning, text: (*first).to_owned() })
    }

    fn key_hints(&self, focus: Option<&Focus>) -> Vec<KeyHint> {
        let Some(Asked { interview, editor, revealed, .. }) = self.asked else { return Vec::new() };
        let path = focus.and_then(Focus::path);
        let question = path.and_then(|path| interview.question(path));
        let kind = question.map(|question| question.kind);
        let given = path.is_some_and(|path| interview.is_given(path));
        let has_default = question.is_some_and(|question| question.default.is_some());
        let default = given.then(|| key_hint(Act::Default, if has_default { "default" } else { "clear" }));
        let mut key_hints = Vec::new();
        match (focus, kind) {
            (Some(Focus::Choice(..)), _) => {
                key_hints.extend([key_hint(Act::Enter, "choose"), key_hint(Act::Pick, "")]);
                key_hints.extend(default);
            }
            (_, Some(QuestionKind::Bool)) => {
                key_hints.extend([key_hint(Act::Enter, "next"), key_hint(Act::Pick, "yes/no")]);
                key_hints.extend(default);
            }
            (_, Some(QuestionKind::Secret)) => {
                let typed = editor.is_some_and(|(_, editor)| !editor.text().is_empty());
                let made = path.is_some_and(|path| is_generated(interview, path));
                key_hints.push(key_hint(Act::Enter, "next"));
                key_hints.extend((typed || !made).then(|| key_hint(Act::Generate, "generate")));
                key_hints.extend(typed.then(|| key_hint(Act::Reveal, if revealed { "hide" } else { "show" })));
                key_hints.extend(default);
            }
            (_, Some(QuestionKind::Integer)) => {
                key_hints.extend([
                    key_hint(Act::Enter, "next"),
                    key_hint(Act::Less, "less"),
                    key_hint(Act::More, "more"),
                ]);
                key_hints.extend(default);
            }
            (_, Some(kind)) if kind.has_rows() => {
                key_hints.extend([key_hint(Act::Enter, "next"), key_hint(Act::More, "add a row")]);
                key_hints.extend(default);
            }
            (_, Some(_)) => {
                key_hints.push(key_hint(Act::Enter, "next"));
                key_hints.extend(default);
            }
            (Some(Focus::Field(_)), None) => {
                key_hints.extend([key_hint(Act::Enter, "next"), key_hint(Act::Less, "remove this row")]);
            }
            (_, None) => key_hints.push(key_hint(Act::Enter, "continue")),
        }
        key_hints.push(key_hint(Act::Back, "back"));
        key_hints
    }

    fn act(&self, act: Act, focus: Option<&Focus>) -> Transition {
        let Some(Asked { interview, .. }) = self.asked else { return Transition::Back };
        let answer = |path: &str, value| Transition::change(Change::Answer(path.to_owned(), value));
        let path = focus.and_then(Focus::path);
        match (act, focus) {
            (Act::Back, _) => Transition::Back,
            (Act::Help, _) => self.help(interview, path),
            (Act::Enter | Act::Pick, Some(Focus::Choice(path, value))) => {
                let key_hints = interview.question(path).map(|question| interview.offers(question)).unwrap_or_default();
                if key_hints.iter().any(|(choice, offered)| choice.value == *value && !offered) {
                    return self.help(interview, Some(path));
                }
                let then = if act == Act::Enter { Transition::Next } else { Transition::Stay };
                // A default that is taken stays one.
                if interview.text(path) == *value {
                    return then;
                }
                let value = Value::String(value.clone());
                Transition::Change(Change::Answer(path.clone(), Some(value)), Box::new(then))
            }
            (Act::Pick, Some(Focus::Field(path))) => {
                let yes = interview.text(path) == "true";
                answer(path, Some(Value::Bool(!yes)))
            }
            (Act::More, Some(Focus::Field(path))) => self.add_row(interview, path),
            // The focus moves to the row that follows, or behind the last.
            (Act::Less, Some(Focus::Field(path))) => {
                let left = interview.question(path).is_none().then(|| answer(path, None));
                left.unwrap_or(Transition::Stay)
            }
            (Act::Enter, Some(Focus::Field(_))) => Transition::Next,
            (Act::Enter, Some(Focus::Button(_))) => Transition::Forward,
            (Act::Default, _) => path.map_or(Transition::Stay, |path| answer(path, None)),
            (Act::Generate, Some(Focus::Field(path))) => answer(path, Some(json!({"generate": GENERATED}))),
            (Act::Reveal, _) => Transition::change(Change::Reveal),
            _ => Transition::Stay,
        }
    }
}

impl StagePage<'_> {
    /// The page.
    fn view(&self, stage: &Stage, asked: Asked<'_>, mut writer: ViewBuilder<'_>) -> View {
        let interview = asked.interview;
        let sized = sizing::of(interview, self.id);
        let locals = sized.as_ref().or_else(|| asked.visit.last_sizing());
        // The drawing has to be seen together with the numbers.
        match locals {
            None => why::write(&stage.why, writer.height().saturating_mul(2) / 5, &mut writer),
            Some(_) if writer.height() >= 16 => why::write(&stage.why, writer.height() / 8, &mut writer),
            Some(_) => {}
        }
        let warnings = self.warnings(interview);
        writer.blank();
        let form = if locals.is_some() { Form::Row } else { Form::Lines };
        for field in interview.fields(self.id) {
            let about: Vec<&str> = warnings
                .iter()
                .filter(|(path, _)| *path == Some(field.path.as_str()))
                .map(|(_, words)| *words)
                .collect();
            field::write(asked, &field, form, &about, &mut writer);
        }
        if let Some(locals) = locals {
            writer.blank();
            sizing::draw(locals, sized.is_none(), &mut writer);
        }
        writer.blank();
        // What concerns no single answer; the line above the page says the first of it.
        for problem in interview.stage_problems(self.id) {
            writer.note(Role::Bad, Sign::Bad, 0, &field::in_words(problem));
        }
        for (_, warning) in warnings.iter().filter(|(path, _)| path.is_none()) {
            writer.note(Role::Warning, Sign::Warning, 0, warning);
        }
        writer.blank();
        let says = self.next.as_ref().map_or_else(|| "Continue".to_owned(), |next| format!("Continue to {next}"));
        writer.button("continue", &says);
        writer.done()
    }

    /// Another row at the end of a table, with the pointer on its first cell.
    fn add_row(&self, interview: &Interview, table: &str) -> Transition {
        let Some(question) = interview.question(table).filter(|question| question.kind.has_rows()) else {
            return Transition::Stay;
        };
        let row = format!("{table}[{}]", interview.rows(table).len());
        let first = question.row().first().map(|column| Focus::Field(format!("{row}.{}", column.id)));
        let go = Transition::Go(Route::Stage(self.id.to_owned()), first);
        Transition::Change(Change::Answer(row, Some(json!({}))), Box::new(go))
    }

    fn help(&self, interview: &Interview, path: Option<&str>) -> Transition {
        let Some(stage) = interview.guide().stages.iter().find(|stage| stage.id == self.id) else {
            return Transition::Stay;
        };
        Transition::Open(Box::new(help::overlay(interview, stage, path, self.theme)))
    }
}

fn is_generated(interview: &Interview, path: &str) -> bool {
    matches!(interview.secret(path), Some(crate::answers::SecretSource::Generate(_)))
}
