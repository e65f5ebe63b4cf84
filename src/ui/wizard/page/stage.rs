//! A stage: why it matters, its questions, and what is wrong with their answers.

use serde_json::{Value, json};

use crate::answers::interview::Interview;
use crate::guide::{QuestionKind, Stage};
use crate::ui::wizard::desk::{Desk, Place};
use crate::ui::wizard::doc::{Doc, Stop, Writer};
use crate::ui::wizard::keys::{Act, Offer, offer};
use crate::ui::wizard::page::field::{self, Form};
use crate::ui::wizard::page::{Page, Status, Step, help, sizing, step, why};
use crate::ui::wizard::theme::{Role, Sign};

/// Characters of a generated secret: 190 bits.
const GENERATED: u32 = 32;

/// The page of a stage.
pub struct StagePage<'a> {
    /// The stage's id.
    pub id: &'a str,
}

impl StagePage<'_> {
    fn stage<'d>(&self, desk: &'d Desk) -> Option<&'d Stage> {
        desk.interview.as_ref()?.guide().stages.iter().find(|stage| stage.id == self.id)
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
    fn write(&self, desk: &Desk, mut writer: Writer<'_>) -> Doc {
        let (Some(interview), Some(stage)) = (&desk.interview, self.stage(desk)) else { return writer.done() };
        let sized = sizing::of(interview, self.id);
        let figures = sized.as_ref().or_else(|| desk.visit.last_sizing());
        // The drawing has to be seen together with the numbers.
        match figures {
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
        let form = if figures.is_some() { Form::Row } else { Form::Lines };
        for asked in interview.fields(self.id) {
            let about: Vec<&str> = warnings
                .iter()
                .filter(|(path, _)| *path == Some(asked.path.as_str()))
                .map(|(_, words)| *words)
                .collect();
            field::write(desk, interview, &asked, form, &about, &mut writer);
        }
        if let Some(figures) = figures {
            writer.blank();
            sizing::draw(figures, sized.is_none(), &mut writer);
        }
        writer.blank();
        let next = desk.beside(&Place::Stage(self.id.to_owned()), true);
        let says = next.map_or_else(|| "Continue".to_owned(), |next| format!("Continue to {}", desk.title(&next)));
        writer.button("continue", &says);
        writer.done()
    }

    fn aside(&self, desk: &Desk, focus: Option<&Stop>, mut writer: Writer<'_>) -> Option<Doc> {
        let interview = desk.interview.as_ref()?;
        let question = interview.question(focus?.path()?)?;
        for (role, text) in help::about(interview, question) {
            writer.blank();
            writer.prose(role, 0, &text);
        }
        Some(writer.done())
    }

    fn status(&self, desk: &Desk, focus: Option<&Stop>) -> Option<Status> {
        let interview = desk.interview.as_ref()?;
        let here = focus.and_then(Stop::path);
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
        let mut words = Vec::from_iter(desk.visit.notice());
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

    fn offers(&self, desk: &Desk, focus: Option<&Stop>) -> Vec<Offer> {
        let Some(interview) = &desk.interview else { return Vec::new() };
        let path = focus.and_then(Stop::path);
        let question = path.and_then(|path| interview.question(path));
        let kind = question.map(|question| question.kind);
        let given = path.is_some_and(|path| interview.given().values.contains_key(path));
        let has_default = question.is_some_and(|question| question.default.is_some());
        let default = given.then(|| offer(Act::Default, if has_default { "default" } else { "clear" }));
        let help = offer(Act::Help, "help");
        let mut offers = Vec::new();
        match (focus, kind) {
            (Some(Stop::Choice(..)), _) => {
                offers.extend([offer(Act::Enter, "choose"), offer(Act::Pick, ""), help]);
                offers.extend(default);
            }
            (_, Some(QuestionKind::Bool)) => {
                offers.extend([offer(Act::Pick, "yes/no"), offer(Act::Enter, "next"), help]);
                offers.extend(default);
            }
            (_, Some(QuestionKind::Secret)) => {
                let typed = desk.editor.as_ref().is_some_and(|(_, editor)| !editor.text().is_empty());
                let made = path.is_some_and(|path| is_generated(interview, path));
                offers.push(offer(Act::Enter, "next"));
                offers.extend((typed || !made).then(|| offer(Act::Generate, "generate")));
                offers.extend(typed.then(|| offer(Act::Reveal, if desk.revealed { "hide" } else { "show" })));
                offers.push(help);
                offers.extend(default);
            }
            (_, Some(QuestionKind::Integer)) => {
                offers.extend([offer(Act::Enter, "next"), offer(Act::Less, "less"), offer(Act::More, "more"), help]);
                offers.extend(default);
            }
            (_, Some(_)) => {
                offers.extend([offer(Act::Enter, "next"), help]);
                offers.extend(default);
            }
            (_, None) => offers.extend([offer(Act::Enter, "continue"), help]),
        }
        offers.push(offer(Act::Back, "back"));
        offers
    }

    fn act(&self, act: Act, focus: Option<&Stop>, desk: &mut Desk) -> Step {
        let Some(interview) = &mut desk.interview else { return Step::Back };
        let path = focus.and_then(Stop::path);
        match (act, focus) {
            (Act::Back, _) => Step::Back,
            (Act::Help, _) => self.help(interview, path),
            (Act::Enter | Act::Pick, Some(Stop::Choice(path, value))) => {
                let offers = interview.question(path).map(|question| interview.offers(question)).unwrap_or_default();
                if offers.iter().any(|(choice, offered)| choice.value == *value && !offered) {
                    return self.help(interview, Some(path));
                }
                // A default that is taken stays one.
                if interview.text(path) != *value {
                    interview.answer(path, Some(Value::String(value.clone())));
                }
                if act == Act::Enter { Step::Next } else { Step::Stay }
            }
            (Act::Pick, Some(Stop::Field(path))) => {
                let yes = interview.text(path) == "true";
                interview.answer(path, Some(Value::Bool(!yes)));
                Step::Stay
            }
            (Act::Enter, Some(Stop::Field(_))) => Step::Next,
            (Act::Enter, Some(Stop::Button(_))) => Step::Forward,
            (Act::Less | Act::More, Some(Stop::Field(path))) => {
                if let Some(question) = interview.question(path)
                    && let Some(number) = step::from(&interview.text(path), question, act == Act::More)
                {
                    interview.answer(path, Some(json!(number)));
                    desk.editor = None;
                }
                Step::Stay
            }
            (Act::Default, _) => {
                if let Some(path) = path {
                    interview.answer(path, None);
                    desk.editor = None;
                }
                Step::Stay
            }
            (Act::Generate, Some(Stop::Field(path))) => {
                interview.answer(path, Some(json!({"generate": GENERATED})));
                desk.editor = None;
                Step::Stay
            }
            (Act::Reveal, _) => {
                desk.revealed = !desk.revealed;
                Step::Stay
            }
            _ => Step::Stay,
        }
    }
}

impl StagePage<'_> {
    fn help(&self, interview: &Interview, path: Option<&str>) -> Step {
        let Some(stage) = interview.guide().stages.iter().find(|stage| stage.id == self.id) else { return Step::Stay };
        let question = path.and_then(|path| interview.question(path));
        Step::Open(Box::new(help::sheet(interview, stage, question)))
    }
}

fn is_generated(interview: &Interview, path: &str) -> bool {
    matches!(interview.secret(path), Some(crate::answers::SecretSource::Generate(_)))
}
