//! A stage: why it matters, its questions, and what is wrong with their answers.

use serde_json::{Value, json};

use crate::guide::{QuestionKind, Stage};
use crate::ui::wizard::desk::Desk;
use crate::ui::wizard::doc::{Doc, Stop, Writer};
use crate::ui::wizard::keys::{Act, Offer, offer};
use crate::ui::wizard::page::{Page, Step, field};
use crate::ui::wizard::sheet::Sheet;
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
}

impl Page for StagePage<'_> {
    fn write(&self, desk: &Desk, mut writer: Writer<'_>) -> Doc {
        let (Some(interview), Some(stage)) = (&desk.interview, self.stage(desk)) else { return writer.done() };
        writer.prose(Role::Value, 0, &stage.why);
        for asked in interview.fields(self.id) {
            writer.blank();
            field::write(desk, interview, &asked, &mut writer);
        }
        for problem in interview.stage_problems(self.id) {
            writer.blank();
            writer.note(Role::Bad, Sign::Bad, 0, &format!("{} ({})", problem.message, problem.hint));
        }
        for warning in interview.warnings(self.id) {
            writer.blank();
            writer.note(Role::Warning, Sign::Warning, 0, warning);
        }
        writer.blank();
        let next = desk.beside(&crate::ui::wizard::desk::Place::Stage(self.id.to_owned()), true);
        let says = next.map_or_else(|| "Continue".to_owned(), |next| format!("Continue to {}", desk.title(&next)));
        writer.button("continue", &says);
        writer.done()
    }

    fn offers(&self, desk: &Desk, focus: Option<&Stop>) -> Vec<Offer> {
        let question = focus.and_then(Stop::path).and_then(|path| desk.interview.as_ref()?.question(path));
        let mut offers = Vec::new();
        match (focus, question.map(|question| question.kind)) {
            (Some(Stop::Choice(..)), _) => {
                offers.extend([offer(Act::Enter, "choose"), offer(Act::Pick, ""), offer(Act::Help, "help")]);
            }
            (_, Some(QuestionKind::Bool)) => {
                offers.extend([offer(Act::Pick, "yes/no"), offer(Act::Enter, "next"), offer(Act::Help, "help")]);
            }
            (_, Some(QuestionKind::Secret)) => offers.extend([
                offer(Act::Enter, "next"),
                offer(Act::Generate, "generate"),
                offer(Act::Reveal, if desk.revealed { "hide" } else { "show" }),
                offer(Act::Help, "help"),
            ]),
            (_, Some(_)) => {
                offers.extend([offer(Act::Enter, "next"), offer(Act::Help, "help"), offer(Act::Default, "default")]);
            }
            (_, None) => offers.extend([offer(Act::Enter, "continue"), offer(Act::Help, "")]),
        }
        offers.push(offer(Act::Back, "back"));
        offers
    }

    fn act(&self, act: Act, focus: Option<&Stop>, desk: &mut Desk) -> Step {
        let Some(interview) = &mut desk.interview else { return Step::Back };
        match (act, focus) {
            (Act::Back, _) => Step::Back,
            (Act::Help, focus) => {
                let Some(stage) = interview.guide().stages.iter().find(|stage| stage.id == self.id) else {
                    return Step::Stay;
                };
                let question = focus.and_then(Stop::path).and_then(|path| interview.question(path));
                Step::Open(Box::new(Sheet::help(stage, question)))
            }
            (Act::Enter | Act::Pick, Some(Stop::Choice(path, value))) => {
                interview.answer(path, Some(Value::String(value.clone())));
                if act == Act::Enter { Step::Next } else { Step::Stay }
            }
            (Act::Pick, Some(Stop::Field(path))) => {
                let yes = interview.text(path) == "true";
                interview.answer(path, Some(Value::Bool(!yes)));
                Step::Stay
            }
            (Act::Enter, Some(Stop::Field(_))) => Step::Next,
            (Act::Enter, Some(Stop::Button(_))) => Step::Forward,
            (Act::Default, Some(Stop::Field(path))) => {
                interview.answer(path, None);
                desk.editor = None;
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
