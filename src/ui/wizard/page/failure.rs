//! A failed run that waits: what was tried, why it failed, what has changed so far, and what can be done about it.

use crate::answers::interview::Interview;
use crate::engine::decision::{Choice, Decision, Waiting};
use crate::ui::messages;
use crate::ui::run_state::{RunState, StepState, Work};
use crate::ui::text;
use crate::ui::wizard::app::SURE;
use crate::ui::wizard::keys::{Act, KeyHint, key_hint};
use crate::ui::wizard::model::run_view::RunView;
use crate::ui::wizard::model::{Change, Route, questions};
use crate::ui::wizard::overlay::{Entry, Line, Menu, Overlay, Pager, Target};
use crate::ui::wizard::page::{Transition, parts};
use crate::ui::wizard::theme::{Role, Sign};
use crate::ui::wizard::view::{Focus, ViewBuilder};

/// Of the tool's last lines, so many stand here; the log has all of them.
const TAIL: usize = 4;
/// Columns for the names of the choices.
const CHOICE: usize = 24;

/// What can be chosen, each with its key and its name on the page. The last two are no decisions: the run waits on.
const CHOICES: [(Act, Option<Choice>, &str); 7] = [
    (Act::Retry, Some(Choice::Retry), "Retry"),
    (Act::Change, Some(Choice::Replan), "Change an answer"),
    (Act::Skip, Some(Choice::Skip), "Skip this step"),
    (Act::RollBackStage, Some(Choice::RollbackStage), "Roll back this stage"),
    (Act::RollBack, Some(Choice::Rollback), "Roll back everything"),
    (Act::Shell, None, "Open a shell"),
    (Act::Pause, Some(Choice::Pause), "Pause"),
];

/// Writes the page.
pub fn write(run_view: &RunView, waiting: &Waiting, writer: &mut ViewBuilder<'_>) {
    if let Some((step, failure, _)) = run_view.running.failure() {
        parts::failure(step, failure, TAIL, writer);
    }
    for failure in run_view.running.other_failures() {
        writer.note(Role::Bad, Sign::Bad, 2, &failure.to_string());
    }
    changes(&run_view.running, waiting, writer);
    if let Some(trouble) = &run_view.trouble {
        writer.blank();
        writer.note(Role::Bad, Sign::Bad, 2, &trouble.to_string());
        if let Some(hint) = &trouble.hint {
            writer.prose(Role::Dim, 4, hint);
        }
    }
    writer.blank();
    if let Some(choice) = run_view.decided {
        writer.note(Role::Value, Sign::Working, 2, messages::decided(choice));
        return;
    }
    for (act, _, name) in offered(waiting) {
        let stop = Focus::Step(name.to_owned());
        let from = writer.row();
        let role = if writer.at(&stop) { Role::Focus } else { Role::Heading };
        let about = about(run_view, waiting, act);
        let columns = if writer.width() < 60 { 0 } else { CHOICE };
        let mut pieces = vec![writer.span(role, &text::pad(name, columns))];
        if columns > 0 {
            pieces.push(writer.span(Role::Dim, &about));
        }
        writer.stop_line(&stop, pieces, None);
        if columns == 0 {
            writer.prose(Role::Dim, 4, &about);
        }
        writer.stop(stop, from);
    }
}

/// The choices that this failure has.
fn offered(waiting: &Waiting) -> impl Iterator<Item = (Act, Option<Choice>, &'static str)> {
    CHOICES.into_iter().filter(|(_, choice, _)| choice.is_none_or(|choice| waiting.choices.contains(&choice)))
}

/// What a choice means here.
fn about(run_view: &RunView, waiting: &Waiting, act: Act) -> String {
    match act {
        Act::Retry if waiting.retry_from == waiting.step => "this step again, then the rest".to_owned(),
        Act::Retry => format!("from {} on", waiting.retry_from),
        Act::Change => "all others are kept; only what differs is redone".to_owned(),
        Act::Skip => waiting.skip.as_ref().map(|skip| skip.reason.clone()).unwrap_or_default(),
        Act::RollBackStage => format!("{}, then ask again", run_view.title_of(&waiting.stage)),
        Act::RollBack => "the server will be as it was before".to_owned(),
        Act::Shell => "look around; the run waits; `exit` returns here".to_owned(),
        Act::Pause => "leave everything as it is; `bringup resume` continues".to_owned(),
        _ => String::new(),
    }
}

/// How much stands, and where.
fn changes(running: &RunState, waiting: &Waiting, writer: &mut ViewBuilder<'_>) {
    let says = messages::in_place(waiting.changed);
    let list = if changed(running).next().is_some() { " (Enter lists them)" } else { "" };
    parts::field("changes", "So far", Role::Value, &format!("{says}{list}"), writer);
}

fn changed(running: &RunState) -> impl Iterator<Item = &Work> {
    running.steps.iter().filter(|step| step.state == StepState::Done && !step.is_proof())
}

/// What was changed so far, stage by stage.
fn list(run_view: &RunView) -> Overlay {
    let mut lines = Vec::new();
    let mut stage = "";
    for step in changed(&run_view.running) {
        if step.stage != stage {
            stage = &step.stage;
            lines.push(Line::Blank);
            lines.push(Line::Exact(Role::Heading, run_view.title_of(stage)));
        }
        lines.push(Line::Exact(Role::Value, format!("  {}", step.describe)));
    }
    Overlay::Pager(Pager::new("Changed so far", lines))
}

/// The acts it accepts.
pub fn key_hints(run_view: &RunView, waiting: &Waiting, focus: Option<&Focus>) -> Vec<KeyHint> {
    let says = match focus {
        Some(Focus::Step(name)) if name == "changes" => "list",
        Some(Focus::Step(name)) if CHOICES.iter().any(|(_, _, known)| known == name) => "choose",
        _ => "next",
    };
    let mut key_hints = vec![key_hint(Act::Enter, says)];
    if run_view.decided.is_none() {
        let short = |act: Act| match act {
            Act::Retry => "retry",
            Act::Change => "change",
            Act::Skip => "skip",
            Act::RollBackStage => "roll back stage",
            Act::RollBack => "roll back",
            Act::Shell => "shell",
            _ => "pause",
        };
        key_hints.extend(offered(waiting).map(|(act, _, _)| key_hint(act, short(act))));
    }
    key_hints.extend([key_hint(Act::Log, "log"), key_hint(Act::Detach, "detach"), key_hint(Act::Quit, "")]);
    key_hints
}

/// What is to follow from one.
pub fn act(
    act: Act,
    focus: Option<&Focus>,
    waiting: &Waiting,
    run_view: &RunView,
    interview: Option<&Interview>,
) -> Transition {
    let sure = focus == Some(&Focus::Button(SURE));
    let act = match (act, focus) {
        (Act::Enter, Some(Focus::Step(name))) if name == "changes" => {
            return if changed(&run_view.running).next().is_some() {
                Transition::Open(Box::new(list(run_view)))
            } else {
                Transition::Stay
            };
        }
        (Act::Enter, Some(Focus::Step(name))) => match CHOICES.iter().find(|(_, _, known)| known == name) {
            Some((act, _, _)) => *act,
            None => return Transition::Next,
        },
        (act, _) => act,
    };
    if run_view.decided.is_some() || !offered(waiting).any(|(known, _, _)| known == act) {
        return Transition::Stay;
    }
    let decision = match act {
        Act::Retry => Decision::Retry,
        Act::Skip => Decision::Skip,
        Act::RollBackStage if sure => Decision::RollbackStage,
        Act::RollBack if sure => Decision::Rollback,
        Act::Pause if sure => Decision::Pause,
        Act::RollBackStage | Act::RollBack | Act::Pause => {
            return Transition::Open(Box::new(ask(run_view, waiting, act)));
        }
        Act::Shell => return Transition::Shell,
        Act::Change => return change(waiting, run_view, interview),
        _ => return Transition::Stay,
    };
    Transition::change(Change::Decide(waiting.number, decision))
}

/// To the questions of the stage that failed, with the answers that the run has.
fn change(waiting: &Waiting, run_view: &RunView, interview: Option<&Interview>) -> Transition {
    let guide = run_view.plan.as_ref().map(|plan| plan.guide.as_str());
    let here = interview.filter(|interview| Some(interview.guide().id.as_str()) == guide);
    if here.is_none() {
        return Transition::change(Change::Reopen);
    }
    Transition::Go(questions(here, &waiting.stage).unwrap_or(Route::Review), None)
}

/// Asks before something goes.
fn ask(run_view: &RunView, waiting: &Waiting, act: Act) -> Overlay {
    let (title, text, says) = match act {
        Act::RollBackStage => (
            format!("Roll back the stage {}?", run_view.title_of(&waiting.stage)),
            "The changes of this stage are undone. Then the run asks again, and can apply the stage again.",
            "Roll back this stage",
        ),
        Act::RollBack => (
            "Roll back everything?".to_owned(),
            "Every change of this run is undone, and the server is as it was before.",
            "Roll back everything",
        ),
        _ => (
            "Pause?".to_owned(),
            "Changes made so far are kept, but the set-up is incomplete. `sudo bringup resume` continues, \
             `sudo bringup rollback` rolls them back.",
            "Pause",
        ),
    };
    Overlay::Menu(Menu {
        title,
        text: text.to_owned(),
        entries: vec![Entry::new("Back", Target::Here), Entry::new(says, Target::Sure(act))],
    })
}
