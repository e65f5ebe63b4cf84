//! How the run ended: what stands, what was proven, what was taken back, and what to do next.

use ratatui::text::Span;

use crate::engine::runs::RunDir;
use crate::engine::secret_store;
use crate::error::Exit;
use crate::plan::OutputLine;
use crate::ui::run_state::{Phase, RunState, StepState};
use crate::ui::wizard::app::SURE;
use crate::ui::wizard::cmd::Cmd;
use crate::ui::wizard::keys::{Act, KeyHint, key_hint};
use crate::ui::wizard::model::{Model, Route};
use crate::ui::wizard::overlay::{Entry, Line, Menu, Overlay, Pager, Target};
use crate::ui::wizard::page::Transition;
use crate::ui::wizard::page::parts::{failure, field, fields, headline, short};
use crate::ui::wizard::page::run::sign;
use crate::ui::wizard::run_cmd::RunCmd;
use crate::ui::wizard::run_view::{Face, RunView};
use crate::ui::wizard::theme::{Role, Sign};
use crate::ui::wizard::view::{Focus, ViewBuilder};
use crate::ui::{messages, text};

/// Columns for the names of secrets, at least.
const LABEL: usize = 14;
/// Of what may be many, so many are shown.
const SOME: usize = 6;
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
        buttons.insert(0, ("resume", "Go on with the run"));
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
        Some(Focus::Step(id)) if whole(run_view, id).is_some() => key_hints.push(key_hint(Act::Enter, "show")),
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

/// The whole of a line that was cut: its name and its text.
fn whole(run_view: &RunView, id: &str) -> Option<(String, String)> {
    if let Some(label) = id.strip_prefix(RESULT) {
        let line = run_view.plan.as_ref()?.outputs.iter().find(|line| line.label == label)?;
        return Some((line.label.clone(), line.value.clone()));
    }
    let step = run_view.running.steps.iter().find(|step| step.id == id)?;
    let evidence = step.evidence.as_deref().unwrap_or_default();
    Some((step.id.clone(), format!("{}\n\n{evidence}", step.describe)))
}

/// Whether changes stand that can be taken back from here.
fn can_go_back(run_view: &RunView) -> bool {
    let stands = matches!(run_view.exit(), Some(Exit::Done | Exit::ProofFailed | Exit::Incomplete));
    stands && run_view.run.is_some() && !run_view.running.title.is_empty()
}

/// Carries one out.
pub fn act(act: Act, focus: Option<&Focus>, model: &mut Model) -> Transition {
    let Some(run_view) = &mut model.run_view else { return Transition::Back };
    let run = run_view.run.clone().unwrap_or_default();
    let sure = focus == Some(&Focus::Button(SURE));
    match (act, focus) {
        (Act::Quit, _) | (Act::Enter, Some(Focus::Button("leave"))) => {
            return Transition::Leave(run_view.exit().unwrap_or(Exit::Interrupted));
        }
        (Act::Back, _) if !matches!(run_view.face(), Face::Refused | Face::NothingToDo) => {}
        (Act::Back, _) | (Act::Enter, Some(Focus::Button("answers"))) => {
            model.run_view = None;
            model.look_again();
            let place = if model.interview.is_some() { Route::Review } else { Route::Welcome };
            return Transition::Go(place, None);
        }
        (Act::Enter, Some(Focus::Button("resume"))) => {
            model.cmds.push(Cmd::Run(RunCmd::Again { run, back: false }));
        }
        (Act::RollBack, _) if sure => model.cmds.push(Cmd::Run(RunCmd::Again { run, back: true })),
        (Act::RollBack, _) | (Act::Enter, Some(Focus::Button("back"))) => {
            return Transition::Open(Box::new(Overlay::Menu(Menu {
                title: "Roll back everything?".to_owned(),
                text: "Every change of this run is undone, and the server is as it was before. What somebody else \
                       changed since is kept."
                    .to_owned(),
                entries: vec![
                    Entry::new("Leave it as it is", Target::Here),
                    Entry::new("Roll back everything", Target::Sure(Act::RollBack)),
                ],
            })));
        }
        (Act::Reveal | Act::Enter, Some(Focus::Step(name))) if run_view.secrets().contains(&name.as_str()) => {
            if run_view.revealed.take().is_none_or(|(revealed, _)| revealed != *name)
                && let Some(plan) = &run_view.plan
            {
                model.cmds.push(Cmd::Run(RunCmd::Secret { of: plan.application(), name: name.clone() }));
            }
        }
        (Act::Enter, Some(Focus::Step(id))) => {
            if let Some((title, text)) = whole(run_view, id) {
                let lines = vec![Line::Prose(Role::Value, text)];
                return Transition::Open(Box::new(Overlay::Pager(Pager::new(title, lines))));
            }
            return Transition::Next;
        }
        (Act::Enter, _) => return Transition::Next,
        _ => {}
    }
    Transition::Stay
}

// --- the ends -----------------------------------------------------------------

fn done(run_view: &RunView, writer: &mut ViewBuilder<'_>) {
    headline(Role::Good, Sign::Good, &format!("{} is in production.", run_view.running.title), writer);
    let proven = run_view.running.proven().count();
    if proven > 0 {
        let things = if proven == 1 { "1 thing was".to_owned() } else { format!("{proven} things were") };
        let untried = run_view.running.untried().count();
        let untried = if untried == 0 { String::new() } else { format!(", {untried} not tried") };
        writer.prose(Role::Dim, 4, &format!("{things} proven{untried}, see below"));
    }
    for text in &run_view.running.warnings {
        writer.note(Role::Warning, Sign::Warning, 2, text);
    }
    skipped(&run_view.running, writer);
    results(run_view, writer);
    credentials(run_view, writer);
    next(run_view, &[("Verify again", "bringup verify"), ("Roll back", "bringup rollback")], writer);
    proofs(&run_view.running, writer);
}

fn nothing_to_do(run_view: &RunView, writer: &mut ViewBuilder<'_>) {
    let title = run_view.plan.as_ref().map_or("Everything", |plan| &plan.title);
    headline(Role::Good, Sign::Good, &format!("{title} is already as the answers say. Nothing was changed."), writer);
    if run_view.idle == Some(false) {
        writer.note(Role::Warning, Sign::Warning, 0, "A proof had failed the last time: `bringup verify` tries again.");
    }
    results(run_view, writer);
    writer.blank();
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
    headline(Role::Bad, Sign::Bad, "It was not started, and nothing was changed:", writer);
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
    let says = "The run's process is gone before its end: it was killed, or the server restarted. Nothing is lost: what \
                it did is written down.";
    headline(Role::Bad, Sign::Bad, says, writer);
    if let Some(step) = run_view.running.current() {
        writer.prose(Role::Dim, 4, &format!("It was last at: {}", step.describe));
    }
    next(run_view, messages::commands_after(&run_view.running, Exit::Incomplete), writer);
}

// --- their parts ----------------------------------------------------------------

/// What stands where, addresses first.
fn results(run_view: &RunView, writer: &mut ViewBuilder<'_>) {
    let Some(plan) = run_view.plan.as_ref().filter(|plan| !plan.outputs.is_empty()) else { return };
    writer.blank();
    let is_address = |line: &&OutputLine| line.value.starts_with("https://") || line.value.starts_with("http://");
    for line in plan.outputs.iter().filter(is_address) {
        field(&format!("{RESULT}{}", line.label), &line.label, Role::Heading, &line.value, writer);
    }
    for line in plan.outputs.iter().filter(|line| !is_address(line)) {
        short(&format!("{RESULT}{}", line.label), &line.label, &line.value, writer);
    }
}

fn proofs(running: &RunState, writer: &mut ViewBuilder<'_>) {
    let failed = running.steps.iter().filter(|step| step.is_proof() && step.state == StepState::Failed);
    let (proven, failed): (Vec<_>, Vec<_>) = (running.proven().collect(), failed.collect());
    if proven.is_empty() && failed.is_empty() {
        return;
    }
    writer.blank();
    let head = writer.span(Role::Heading, if failed.is_empty() { "Proven" } else { "Tried" });
    writer.line(vec![Span::raw("  "), head]);
    for step in failed.into_iter().chain(running.untried()).chain(proven) {
        let stop = Focus::Step(step.id.clone());
        let from = writer.row();
        let role = if writer.at(&stop) { Role::Focus } else { Role::Value };
        let (sign_role, sign) =
            if step.not_tried().is_some() { (Role::Warning, Sign::Warning) } else { sign(step.state) };
        let says = text::shorten(
            &writer.clean(&step.describe),
            writer.width().saturating_sub(4),
            writer.theme().sign(Sign::Ellipsis),
        );
        let pieces = vec![writer.sign(sign_role, sign), Span::raw(" "), writer.span(role, &says)];
        writer.stop_line(&stop, pieces, None);
        if let Some(evidence) = &step.evidence {
            let piece = writer.span(Role::Dim, evidence);
            writer.line(vec![Span::raw("    "), piece]);
        }
        writer.stop(stop, from);
    }
}

/// What somebody decided to go on without.
fn skipped(running: &RunState, writer: &mut ViewBuilder<'_>) {
    for step in running.skipped() {
        let reason = step.evidence.as_deref().unwrap_or_default();
        writer.note(Role::Warning, Sign::Warning, 2, &format!("left out: {}: {reason}", step.describe));
    }
}

fn credentials(run_view: &RunView, writer: &mut ViewBuilder<'_>) {
    let names = run_view.secrets();
    if names.is_empty() {
        return;
    }
    writer.blank();
    let head = writer.span(Role::Heading, "Passwords");
    writer.line(vec![Span::raw("  "), head]);
    let file = run_view
        .plan
        .as_ref()
        .map(|plan| secret_store::path(&plan.application()).display().to_string())
        .unwrap_or_default();
    writer.prose(Role::Dim, 4, &format!("kept for root only in {file}"));
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
