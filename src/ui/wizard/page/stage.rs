//! A stage: why it matters, its questions, and what is wrong with their answers.

use serde_json::{Value, json};

use crate::answers::interview::Interview;
use crate::guide::{QuestionKind, Stage};
use crate::ui::wizard::keys::{Act, KeyHint, key_hint};
use crate::ui::wizard::model::{Model, Route};
use crate::ui::wizard::page::field::{self, Form};
use crate::ui::wizard::page::{Page, Status, Transition, help, sizing, step, why};
use crate::ui::wizard::theme::{Role, Sign};
use crate::ui::wizard::view::{Focus, View, ViewBuilder};

/// Characters of a generated secret: 190 bits.
const GENERATED: u32 = 32;

/// The page of a stage.
pub struct StagePage<'a> {
    /// The stage's id.
    pub id: &'a str,
}

impl StagePage<'_> {
    fn stage<'d>(&self, model: &'d Model) -> Option<&'d Stage> {
        model.interview.as_ref()?.guide().stages.iter().find(|stage| stage.id == self.id)
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
    fn write(&self, model: &Model, mut writer: ViewBuilder<'_>) -> View {
        let (Some(interview), Some(stage)) = (&model.interview, self.stage(model)) else { return writer.done() };
        let sized = sizing::of(interview, self.id);
        let locals = sized.as_ref().or_else(|| model.visit.last_sizing());
        // The drawing has to be seen together with the numbers.
        match locals {
            None => why::write(&stage.why, writer.height().saturating_mul(2) / 5, &mut writer),
            Some(_) if writer.height() >= 16 => why::write(&stage.why, writer.height() / 8, &mut writer),
            Some(_) => {}
        }
        let warnings = self.warnings(interview);
        for problem in interview.stage_problems(self.id) {
            writer.note(Role::Bad, Sign::Bad, 0, &field::in_words(problem));
        }
        for (_, warning) in warnings.iter().filter(|(path, _)| path.is_none()) {
            writer.note(Role::Warning, Sign::Warning, 0, warning);
        }
        writer.blank();
        let form = if locals.is_some() { Form::Row } else { Form::Lines };
        for asked in interview.fields(self.id) {
            let about: Vec<&str> = warnings
                .iter()
                .filter(|(path, _)| *path == Some(asked.path.as_str()))
                .map(|(_, words)| *words)
                .collect();
            field::write(model, interview, &asked, form, &about, &mut writer);
        }
        if let Some(locals) = locals {
            writer.blank();
            sizing::draw(locals, sized.is_none(), &mut writer);
        }
        writer.blank();
        let next = model.beside(&Route::Stage(self.id.to_owned()), true);
        let says = next.map_or_else(|| "Continue".to_owned(), |next| format!("Continue to {}", model.title(&next)));
        writer.button("continue", &says);
        writer.done()
    }

    fn aside(&self, model: &Model, focus: Option<&Focus>, mut writer: ViewBuilder<'_>) -> Option<View> {
        let interview = model.interview.as_ref()?;
        let question = interview.question(focus?.path()?)?;
        for (role, text) in help::about(interview, question) {
            writer.blank();
            writer.prose(role, 0, &text);
        }
        Some(writer.done())
    }

    fn status(&self, model: &Model, focus: Option<&Focus>) -> Option<Status> {
        let interview = model.interview.as_ref()?;
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
                text: format!("{} to mend: {first}", refused.len()),
            });
        }
        let mut words = Vec::from_iter(model.visit.notice());
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

    fn key_hints(&self, model: &Model, focus: Option<&Focus>) -> Vec<KeyHint> {
        let Some(interview) = &model.interview else { return Vec::new() };
        let path = focus.and_then(Focus::path);
        let question = path.and_then(|path| interview.question(path));
        let kind = question.map(|question| question.kind);
        let given = path.is_some_and(|path| interview.given().values.contains_key(path));
        let has_default = question.is_some_and(|question| question.default.is_some());
        let default = given.then(|| key_hint(Act::Default, if has_default { "default" } else { "clear" }));
        let help = key_hint(Act::Help, "help");
        let mut key_hints = Vec::new();
        match (focus, kind) {
            (Some(Focus::Choice(..)), _) => {
                key_hints.extend([key_hint(Act::Enter, "choose"), key_hint(Act::Pick, ""), help]);
                key_hints.extend(default);
            }
            (_, Some(QuestionKind::Bool)) => {
                key_hints.extend([key_hint(Act::Pick, "yes/no"), key_hint(Act::Enter, "next"), help]);
                key_hints.extend(default);
            }
            (_, Some(QuestionKind::Secret)) => {
                let typed = model.editor.as_ref().is_some_and(|(_, editor)| !editor.text().is_empty());
                let made = path.is_some_and(|path| is_generated(interview, path));
                key_hints.push(key_hint(Act::Enter, "next"));
                key_hints.extend((typed || !made).then(|| key_hint(Act::Generate, "generate")));
                key_hints.extend(typed.then(|| key_hint(Act::Reveal, if model.revealed { "hide" } else { "show" })));
                key_hints.push(help);
                key_hints.extend(default);
            }
            (_, Some(QuestionKind::Integer)) => {
                key_hints.extend([
                    key_hint(Act::Enter, "next"),
                    key_hint(Act::Less, "less"),
                    key_hint(Act::More, "more"),
                    help,
                ]);
                key_hints.extend(default);
            }
            (_, Some(_)) => {
                key_hints.extend([key_hint(Act::Enter, "next"), help]);
                key_hints.extend(default);
            }
            (_, None) => key_hints.extend([key_hint(Act::Enter, "continue"), help]),
        }
        key_hints.push(key_hint(Act::Back, "back"));
        key_hints
    }

    fn act(&self, act: Act, focus: Option<&Focus>, model: &mut Model) -> Transition {
        let Some(interview) = &mut model.interview else { return Transition::Back };
        let path = focus.and_then(Focus::path);
        match (act, focus) {
            (Act::Back, _) => Transition::Back,
            (Act::Help, _) => self.help(interview, path),
            (Act::Enter | Act::Pick, Some(Focus::Choice(path, value))) => {
                let key_hints = interview.question(path).map(|question| interview.offers(question)).unwrap_or_default();
                if key_hints.iter().any(|(choice, offered)| choice.value == *value && !offered) {
                    return self.help(interview, Some(path));
                }
                // A default that is taken stays one.
                if interview.text(path) != *value {
                    interview.answer(path, Some(Value::String(value.clone())));
                }
                if act == Act::Enter { Transition::Next } else { Transition::Stay }
            }
            (Act::Pick, Some(Focus::Field(path))) => {
                let yes = interview.text(path) == "true";
                interview.answer(path, Some(Value::Bool(!yes)));
                Transition::Stay
            }
            (Act::Enter, Some(Focus::Field(_))) => Transition::Next,
            (Act::Enter, Some(Focus::Button(_))) => Transition::Forward,
            (Act::Less | Act::More, Some(Focus::Field(path))) => {
                if let Some(question) = interview.question(path)
                    && let Some(number) = step::from(&interview.text(path), question, act == Act::More)
                {
                    interview.answer(path, Some(json!(number)));
                    model.editor = None;
                }
                Transition::Stay
            }
            (Act::Default, _) => {
                if let Some(path) = path {
                    interview.answer(path, None);
                    model.editor = None;
                }
                Transition::Stay
            }
            (Act::Generate, Some(Focus::Field(path))) => {
                interview.answer(path, Some(json!({"generate": GENERATED})));
                model.editor = None;
                Transition::Stay
            }
            (Act::Reveal, _) => {
                model.revealed = !model.revealed;
                Transition::Stay
            }
            _ => Transition::Stay,
        }
    }
}

impl StagePage<'_> {
    fn help(&self, interview: &Interview, path: Option<&str>) -> Transition {
        let Some(stage) = interview.guide().stages.iter().find(|stage| stage.id == self.id) else {
            return Transition::Stay;
        };
        let question = path.and_then(|path| interview.question(path));
        Transition::Open(Box::new(help::overlay(interview, stage, question)))
    }
}

fn is_generated(interview: &Interview, path: &str) -> bool {
    matches!(interview.secret(path), Some(crate::answers::SecretSource::Generate(_)))
}
