//! How the run ended: what stands, what was proven, what was taken back, and what to do next.

use ratatui::text::Span;

use crate::engine::runs::RunDir;
use crate::engine::secret_store;
use crate::error::Exit;
use crate::plan::OutputLine;
use crate::ui::outputs::{Outputs, is_address};
use crate::ui::run_state::{PROOFS, Phase, RunState, StepState};
use crate::ui::wizard::app::SURE;
use crate::ui::wizard::cmd::Cmd;
use crate::ui::wizard::keys::{Act, KeyHint, key_hint};
use crate::ui::wizard::model::run_view::{Face, RunView};
use crate::ui::wizard::model::{Change, Route};
use crate::ui::wizard::overlay::{Entry, Menu, Overlay, Target};
use crate::ui::wizard::page::Transition;
use crate::ui::wizard::page::parts::{failure, field, fields, headline};
use crate::ui::wizard::page::run::sign;
use crate::ui::wizard::run_cmd::RunCmd;
use crate::ui::wizard::theme::{Role, Sign};
use crate::ui::wizard::view::{Focus, ViewBuilder};
use crate::ui::{messages, text};

/// Columns for the names of secrets, at least.
const LABEL: usize = 14;
/// Of what may be many, so many are shown.
const SOME: usize = 6;
/// Parts of the page that are folded.
const DETAILS: &str = "details";
/// What the names of result lines begin with among the page's stops.
const RESULT: &str = "result: ";
/// What a secret looks like while it is not shown.
const HIDDEN: usize = 8;

/// Writes the page; `asked` says that the answers were given here.
pub fn write(run_view: &RunView, face: Face, asked: bool, writer: &mut ViewBuilder<'_>) {
    if let Some(trouble) = &run_view.trouble {
        writer.note(Role::Bad, Sign::Bad, 0, &trouble.to_string());
        if let Some(hint) = &trouble.hint {
            writer.prose(Role::Dim, 2, hint);
        }
        writer.blank();
    }
    match (face, &run_view.running.phase) {
        (Face::Refused, _) => refused(run_view, writer),
        (Face::NothingToDo, _) => nothing_to_do(run_view, writer),
        (Face::Lost, _) => lost(run_view, writer),
        (_, Phase::Ended(Exit::Done)) if run_view.running.title.is_empty() => taken_back(run_view, writer),
        (_, Phase::Ended(Exit::Done)) => done(run_view, writer),
        (_, Phase::Ended(exit)) => failed(run_view, *exit, writer),
        _ => {}
    }
    writer.blank();
    for (name, says) in buttons(run_view, face, asked) {
        writer.button(name, says);
    }
}

/// What can be pressed at the end of the page.
fn buttons(run_view: &RunView, face: Face, asked: bool) -> Vec<(&'static str, &'static str)> {
    let exit = run_view.exit();
    let mut buttons = vec![match face {
        Face::Refused | Face::NothingToDo if asked => ("answers", "Back to the review"),
        Face::Refused => ("answers", "Back to the start"),
        _ => ("leave", "Leave"),
    }];
    if asked && exit == Some(Exit::RolledBack) {
        buttons.insert(0, ("answers", "Change the answers and retry"));
    }
    let unfinished = face == Face::Lost || exit == Some(Exit::Incomplete);
    if unfinished && !run_view.running.rolling_back {
        buttons.insert(0, ("resume", "Resume the run"));
    }
    if unfinished {
        buttons.insert(buttons.len() - 1, ("back", "Roll back everything"));
    }
    buttons
}

/// The acts it accepts.
pub fn key_hints(run_view: &RunView, face: Face, focus: Option<&Focus>) -> Vec<KeyHint> {
    let mut key_hints = Vec::new();
    match focus {
        Some(Focus::Step(name)) if run_view.secrets().contains(&name.as_str()) => {
            let shown = run_view.revealed.as_ref().is_some_and(|(revealed, _)| revealed == name);
            key_hints.push(key_hint(Act::Reveal, if shown { "hide" } else { "show" }));
            key_hints.push(key_hint(Act::Enter, ""));
        }
        Some(Focus::Button(_)) => key_hints.push(key_hint(Act::Enter, "choose")),
        Some(Focus::Stage(fold)) => {
            key_hints.push(key_hint(Act::Enter, if is_open(run_view, fold) { "fold" } else { "open" }));
        }
        _ => key_hints.push(key_hint(Act::Enter, "next")),
    }
    if !run_view.running.failures.is_empty() {
        key_hints.push(key_hint(Act::Log, "log"));
    }
    if can_go_back(run_view) {
        key_hints.push(key_hint(Act::RollBack, "roll back"));
    }
    if matches!(face, Face::Refused | Face::NothingToDo) {
        key_hints.push(key_hint(Act::Back, "back"));
    }
    key_hints.push(key_hint(Act::Quit, "leave"));
    key_hints
}

/// Whether changes stand that can be taken back from here.
fn can_go_back(run_view: &RunView) -> bool {
    let stands = matches!(run_view.exit(), Some(Exit::Done | Exit::ProofFailed | Exit::Incomplete));
    stands && run_view.run.is_some() && !run_view.running.title.is_empty()
}

/// What is to follow from one; `asked` says that the answers were given here.
pub fn act(act: Act, focus: Option<&Focus>, run_view: &RunView, asked: bool) -> Transition {
    let again = |back| {
        let run = run_view.run.clone().unwrap_or_default();
        Transition::Do(Box::new(Cmd::Run(RunCmd::Again { run, back })))
    };
    let sure = focus == Some(&Focus::Button(SURE));
    match (act, focus) {
        (Act::Quit, _) | (Act::Enter, Some(Focus::Button("leave"))) => {
            return Transition::Leave(run_view.exit().unwrap_or(Exit::Interrupted));
        }
        (Act::Back, _) if !matches!(run_view.face(), Face::Refused | Face::NothingToDo) => {}
        (Act::Back, _) | (Act::Enter, Some(Focus::Button("answers"))) => {
            let place = if asked { Route::Review } else { Route::Welcome };
            return Transition::Change(Change::LeaveRun, Box::new(Transition::Go(place, None)));
        }
        (Act::Enter, Some(Focus::Button("resume"))) => return again(false),
        (Act::RollBack, _) if sure => return again(true),
        (Act::RollBack, _) | (Act::Enter, Some(Focus::Button("back"))) => {
            return Transition::Open(Box::new(Overlay::Menu(Menu {
                title: "Roll back everything?".to_owned(),
                text: "Every change of this run is undone, and the server is as it was before. Changes made by \
                       others since then are kept."
                    .to_owned(),
                entries: vec![
                    Entry::new("Leave it as it is", Target::Here),
                    Entry::new("Roll back everything", Target::Sure(Act::RollBack)),
                ],
            })));
        }
        (Act::Reveal | Act::Enter, Some(Focus::Step(name))) if run_view.secrets().contains(&name.as_str()) => {
            let shown = run_view.revealed.as_ref().is_some_and(|(revealed, _)| revealed == name);
            return Transition::change(Change::Secret((!shown).then(|| name.clone())));
        }
        (Act::Enter, Some(Focus::Stage(fold))) => {
            return Transition::change(Change::Fold(fold.clone(), !is_open(run_view, fold)));
        }
        (Act::Enter, _) => return Transition::Next,
        _ => {}
    }
    Transition::Stay
}

// --- the ends -----------------------------------------------------------------

fn done(run_view: &RunView, writer: &mut ViewBuilder<'_>) {
    let running = &run_view.running;
    headline(Role::Good, Sign::Good, &format!("{} is in production.", running.title), writer);
    writer.prose(Role::Dim, 4, &messages::came_to(running));
    for text in &running.warnings {
        writer.note(Role::Warning, Sign::Warning, 2, text);
    }
    skipped(running, writer);
    for step in running.untried() {
        let why = step.not_tried().unwrap_or_default();
        writer.note(Role::Warning, Sign::Warning, 2, &format!("not tried: {}: {why}", step.describe));
    }
    writer.blank();
    let outputs = outputs(run_view);
    fields_of(&outputs.needed, writer);
    credentials(run_view, writer);
    fields(&[("Roll back", "bringup rollback".to_owned())], writer);
    writer.blank();
    if fold(run_view, DETAILS, "Details", &labels(&outputs.others), writer) {
        fields_of(&outputs.others, writer);
        secrets(run_view, run_view.secrets().into_iter().filter(|name| !is_needed(run_view, name)), writer);
        next(run_view, &[("Verify again", "bringup verify")], writer);
    }
    let (passed, all) = (running.proven().count(), running.proofs().1);
    if all > 0 && fold(run_view, PROOFS, "Proofs", &format!("{passed} of {all} passed"), writer) {
        proofs(running, writer);
    }
}

/// Whether somebody opened this part of the page.
fn is_open(run_view: &RunView, fold: &str) -> bool {
    run_view.folds.get(fold).copied().unwrap_or(false)
}

/// A line that stands for a part of the page; whether that is to follow.
fn fold(run_view: &RunView, id: &str, says: &str, about: &str, writer: &mut ViewBuilder<'_>) -> bool {
    let stop = Focus::Stage(id.to_owned());
    let from = writer.row();
    let open = is_open(run_view, id);
    let sign = if open { Sign::Down } else { Sign::Right };
    let role = if writer.at(&stop) { Role::Focus } else { Role::Heading };
    let room = writer.width().saturating_sub(4 + LABEL);
    let lines = if open { vec![String::new()] } else { text::wrap(&writer.clean(about), room.max(8)) };
    for (at, line) in lines.iter().enumerate() {
        let line = writer.span(Role::Dim, line);
        if at == 0 {
            let pieces = vec![
                writer.sign(Role::Dim, sign),
                Span::raw(" "),
                writer.span(role, says),
                Span::raw(" ".repeat(LABEL.saturating_sub(2 + text::width(says)))),
                line,
            ];
            writer.stop_line(&stop, pieces, None);
        } else {
            writer.line(vec![Span::raw(" ".repeat(2 + LABEL)), line]);
        }
    }
    writer.stop(stop, from);
    open
}

/// "Data, Database, Settings".
fn labels(lines: &[&OutputLine]) -> String {
    lines.iter().map(|line| line.label.as_str()).collect::<Vec<_>>().join(", ")
}

fn nothing_to_do(run_view: &RunView, writer: &mut ViewBuilder<'_>) {
    let title = run_view.plan.as_ref().map_or("Everything", |plan| &plan.title);
    headline(Role::Good, Sign::Good, &format!("{title} already matches the answers. Nothing was changed."), writer);
    if run_view.idle == Some(false) {
        writer.note(
            Role::Warning,
            Sign::Warning,
            0,
            "A proof failed the last time: `bringup verify` runs the proofs again.",
        );
    }
    writer.blank();
    let outputs = outputs(run_view);
    fields_of(&outputs.needed, writer);
    fields_of(&outputs.others, writer);
    fields(&[("Verify again", "bringup verify".to_owned()), ("Roll back", "bringup rollback".to_owned())], writer);
}

fn taken_back(run_view: &RunView, writer: &mut ViewBuilder<'_>) {
    let says = messages::rolled_back(run_view.running.records);
    headline(Role::Good, Sign::Good, &says, writer);
    left(&run_view.running, writer);
    next(run_view, &[("In place", "bringup status")], writer);
}

fn failed(run_view: &RunView, exit: Exit, writer: &mut ViewBuilder<'_>) {
    let running = &run_view.running;
    if let Some((step, problem, _)) = running.failure() {
        let problem = problem.clone();
        let problem = if exit == Exit::RolledBack { problem.rolled_back() } else { problem };
        failure(step, &problem, 6, writer);
        writer.blank();
    }
    let (role, sign) = match exit {
        Exit::RolledBack => (Role::Good, Sign::Left),
        Exit::Incomplete if running.rolling_back => (Role::Bad, Sign::Bad),
        _ => (Role::Warning, Sign::Warning),
    };
    let says = messages::outcome(running, exit);
    if running.failure().is_some() {
        writer.note(role, sign, 2, says);
    } else {
        headline(role, sign, says, writer);
    }
    for problem in running.other_failures().take(SOME) {
        writer.note(Role::Bad, Sign::Bad, 2, &problem.to_string());
    }
    left(running, writer);
    if exit == Exit::ProofFailed {
        proofs(running, writer);
    }
    next(run_view, messages::commands_after(running, exit), writer);
}

fn refused(run_view: &RunView, writer: &mut ViewBuilder<'_>) {
    headline(Role::Bad, Sign::Bad, "The run was not started, and nothing was changed:", writer);
    for problem in &run_view.refused {
        let path = if problem.path.is_empty() { String::new() } else { format!("{}: ", problem.path) };
        writer.blank();
        writer.prose(Role::Value, 4, &format!("{path}{}", problem.message));
        if !problem.hint.is_empty() {
            writer.prose(Role::Dim, 4, &problem.hint);
        }
    }
}

fn lost(run_view: &RunView, writer: &mut ViewBuilder<'_>) {
    let says = "The run's process ended early: it was killed, or the server restarted. Nothing is lost: the \
                journal records what it did.";
    headline(Role::Bad, Sign::Bad, says, writer);
    if let Some(step) = run_view.running.current() {
        writer.prose(Role::Dim, 4, &format!("Last step: {}", step.describe));
    }
    next(run_view, messages::commands_after(&run_view.running, Exit::Incomplete), writer);
}

// --- their parts ----------------------------------------------------------------

/// What a guide shows at the end, by what one needs now and what can wait.
fn outputs(run_view: &RunView) -> Outputs<'_> {
    run_view.plan.as_ref().map(|plan| Outputs::of(plan)).unwrap_or_default()
}

fn fields_of(lines: &[&OutputLine], writer: &mut ViewBuilder<'_>) {
    for line in lines {
        let role = if is_address(&line.value) { Role::Heading } else { Role::Value };
        field(&format!("{RESULT}{}", line.label), &line.label, role, &line.value, writer);
    }
}

fn proofs(running: &RunState, writer: &mut ViewBuilder<'_>) {
    let failed = running.steps.iter().filter(|step| step.is_proof() && step.state == StepState::Failed);
    let (proven, failed): (Vec<_>, Vec<_>) = (running.proven().collect(), failed.collect());
    if proven.is_empty() && failed.is_empty() {
        return;
    }
    if !failed.is_empty() {
        writer.blank();
        let head = writer.span(Role::Heading, "Tried");
        writer.line(vec![Span::raw("  "), head]);
    }
    for step in failed.into_iter().chain(running.untried()).chain(proven) {
        let stop = Focus::Step(step.id.clone());
        let from = writer.row();
        let role = if writer.at(&stop) { Role::Focus } else { Role::Value };
        let (sign_role, sign) =
            if step.not_tried().is_some() { (Role::Warning, Sign::Warning) } else { sign(step.state) };
        let room = writer.width().saturating_sub(4).max(8);
        let mut lines = text::wrap(&writer.clean(&step.describe), room).into_iter();
        let first = writer.span(role, &lines.next().unwrap_or_default());
        writer.stop_line(&stop, vec![writer.sign(sign_role, sign), Span::raw(" "), first], None);
        for line in lines {
            let line = writer.span(Role::Value, &line);
            writer.line(vec![Span::raw("    "), line]);
        }
        if let Some(evidence) = &step.evidence {
            writer.prose(Role::Dim, 4, evidence);
        }
        writer.stop(stop, from);
    }
}

/// What somebody decided to go on without.
fn skipped(running: &RunState, writer: &mut ViewBuilder<'_>) {
    for step in running.skipped() {
        let reason = step.evidence.as_deref().unwrap_or_default();
        writer.note(Role::Warning, Sign::Warning, 2, &format!("skipped: {}: {reason}", step.describe));
    }
}

/// Whether what one needs now names this secret.
fn is_needed(run_view: &RunView, name: &str) -> bool {
    outputs(run_view).needed.iter().any(|line| line.value.contains(name))
}

/// Where the passwords are; those that one needs now can be shown.
fn credentials(run_view: &RunView, writer: &mut ViewBuilder<'_>) {
    let Some(plan) = run_view.plan.as_ref().filter(|_| !run_view.secrets().is_empty()) else { return };
    let file = secret_store::path(&plan.application()).display().to_string();
    fields(&[("Passwords", format!("{file} (for root only)"))], writer);
    secrets(run_view, run_view.secrets().into_iter().filter(|name| is_needed(run_view, name)), writer);
}

fn secrets<'a>(run_view: &RunView, names: impl Iterator<Item = &'a str>, writer: &mut ViewBuilder<'_>) {
    for name in names {
        let shown = match &run_view.revealed {
            Some((revealed, secret)) if revealed == name => secret.expose().to_owned(),
            _ => writer.theme().sign(Sign::Secret).repeat(HIDDEN),
        };
        let columns = text::width(name).max(LABEL) + 2;
        let stop = Focus::Step(name.to_owned());
        let from = writer.row();
        let role = if writer.at(&stop) { Role::Focus } else { Role::Value };
        let pieces =
            vec![Span::raw("  "), writer.span(role, &text::pad(name, columns)), writer.span(Role::Value, &shown)];
        writer.stop_line(&stop, pieces, None);
        writer.stop(stop, from);
    }
}

/// What a way back saved, and what it left in place.
fn left(running: &RunState, writer: &mut ViewBuilder<'_>) {
    for (what, file) in &running.dumped {
        writer.note(Role::Warning, Sign::Warning, 2, &format!("saved: {what} is in {file}"));
    }
    for (what, why) in running.kept.iter().take(SOME) {
        writer.note(Role::Warning, Sign::Warning, 2, &format!("kept: {what}: {why}"));
    }
    if running.kept.len() > SOME {
        writer.prose(Role::Dim, 4, &format!("and {} more, in the run's rollback.json", running.kept.len() - SOME));
    }
}

/// Commands, and where things are.
fn next(run_view: &RunView, commands: &[(&str, &str)], writer: &mut ViewBuilder<'_>) {
    writer.blank();
    let mut all: Vec<(&str, String)> =
        commands.iter().map(|(label, command)| (*label, (*command).to_owned())).collect();
    if let Some(run) = &run_view.run {
        let dir = RunDir::of(run);
        if !run_view.running.title.is_empty() {
            all.push(("Replay", format!("sudo bringup --answers {}", dir.file("answers.yaml").display())));
        }
        all.push(("Logs", dir.file("log").display().to_string()));
    }
    fields(&all, writer);
}
