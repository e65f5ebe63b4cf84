//! How the run ended: what stands, what was proven, what was taken back, and what to do next.

use ratatui::text::Span;

use crate::engine::runs::RunDir;
use crate::engine::secret_store;
use crate::error::Exit;
use crate::plan::ResultLine;
use crate::ui::run_state::{Phase, RunState, StepState};
use crate::ui::wizard::app::SURE;
use crate::ui::wizard::desk::{Desk, Place};
use crate::ui::wizard::doc::{Stop, Writer};
use crate::ui::wizard::job::Job;
use crate::ui::wizard::keys::{Act, Offer, offer};
use crate::ui::wizard::page::Step;
use crate::ui::wizard::page::parts::{failure, field, fields, headline, short};
use crate::ui::wizard::page::run::sign;
use crate::ui::wizard::sheet::{Entry, Line, Menu, Pager, Sheet, Target};
use crate::ui::wizard::task::Task;
use crate::ui::wizard::theme::{Role, Sign};
use crate::ui::wizard::watch::{Face, Watch};
use crate::ui::{lines, text};

/// Columns for the names of secrets, at least.
const LABEL: usize = 14;
/// Of what may be many, so many are shown.
const SOME: usize = 6;
/// What the names of result lines begin with among the page's stops.
const RESULT: &str = "result: ";
/// What a secret looks like while it is not shown.
const HIDDEN: usize = 8;

/// Writes the page; `asked` says that the answers were given here.
pub fn write(watch: &Watch, face: Face, asked: bool, writer: &mut Writer<'_>) {
    if let Some(trouble) = &watch.trouble {
        writer.note(Role::Bad, Sign::Bad, 0, &trouble.to_string());
        if let Some(hint) = &trouble.hint {
            writer.prose(Role::Dim, 2, hint);
        }
        writer.blank();
    }
    match (face, &watch.running.phase) {
        (Face::Refused, _) => refused(watch, writer),
        (Face::NothingToDo, _) => nothing_to_do(watch, writer),
        (Face::Lost, _) => lost(watch, writer),
        (_, Phase::Ended(Exit::Done)) if watch.running.title.is_empty() => taken_back(watch, writer),
        (_, Phase::Ended(Exit::Done)) => done(watch, writer),
        (_, Phase::Ended(exit)) => failed(watch, *exit, writer),
        _ => {}
    }
    writer.blank();
    for (name, says) in buttons(watch, face, asked) {
        writer.button(name, says);
    }
}

/// What can be pressed at the end of the page.
fn buttons(watch: &Watch, face: Face, asked: bool) -> Vec<(&'static str, &'static str)> {
    let exit = watch.exit();
    let mut buttons = vec![match face {
        Face::Refused | Face::NothingToDo if asked => ("answers", "Back to the review"),
        Face::Refused => ("answers", "Back to the start"),
        _ => ("leave", "Leave"),
    }];
    if asked && exit == Some(Exit::RolledBack) {
        buttons.insert(0, ("answers", "Change the answers and retry"));
    }
    let unfinished = face == Face::Lost || exit == Some(Exit::Incomplete);
    if unfinished && !watch.running.rolling_back {
        buttons.insert(0, ("resume", "Go on with the run"));
    }
    if unfinished {
        buttons.insert(buttons.len() - 1, ("back", "Roll back everything"));
    }
    buttons
}

/// The acts it accepts.
pub fn offers(watch: &Watch, face: Face, focus: Option<&Stop>) -> Vec<Offer> {
    let mut offers = Vec::new();
    match focus {
        Some(Stop::Step(name)) if watch.secrets().contains(&name.as_str()) => {
            let shown = watch.revealed.as_ref().is_some_and(|(revealed, _)| revealed == name);
            offers.push(offer(Act::Reveal, if shown { "hide" } else { "show" }));
            offers.push(offer(Act::Enter, ""));
        }
        Some(Stop::Button(_)) => offers.push(offer(Act::Enter, "choose")),
        Some(Stop::Step(id)) if whole(watch, id).is_some() => offers.push(offer(Act::Enter, "show")),
        _ => offers.push(offer(Act::Enter, "next")),
    }
    if !watch.running.failures.is_empty() {
        offers.push(offer(Act::Log, "log"));
    }
    if can_go_back(watch) {
        offers.push(offer(Act::RollBack, "roll back"));
    }
    if matches!(face, Face::Refused | Face::NothingToDo) {
        offers.push(offer(Act::Back, "back"));
    }
    offers.push(offer(Act::Quit, "leave"));
    offers
}

/// The whole of a line that was cut: its name and its text.
fn whole(watch: &Watch, id: &str) -> Option<(String, String)> {
    if let Some(label) = id.strip_prefix(RESULT) {
        let line = watch.plan.as_ref()?.results.iter().find(|line| line.label == label)?;
        return Some((line.label.clone(), line.value.clone()));
    }
    let step = watch.running.steps.iter().find(|step| step.id == id)?;
    let evidence = step.evidence.as_deref().unwrap_or_default();
    Some((step.id.clone(), format!("{}\n\n{evidence}", step.describe)))
}

/// Whether changes stand that can be taken back from here.
fn can_go_back(watch: &Watch) -> bool {
    let stands = matches!(watch.exit(), Some(Exit::Done | Exit::ProofFailed | Exit::Incomplete));
    stands && watch.run.is_some() && !watch.running.title.is_empty()
}

/// Carries one out.
pub fn act(act: Act, focus: Option<&Stop>, desk: &mut Desk) -> Step {
    let Some(watch) = &mut desk.watch else { return Step::Back };
    let run = watch.run.clone().unwrap_or_default();
    let sure = focus == Some(&Stop::Button(SURE));
    match (act, focus) {
        (Act::Quit, _) | (Act::Enter, Some(Stop::Button("leave"))) => {
            return Step::Leave(watch.exit().unwrap_or(Exit::Interrupted));
        }
        (Act::Back, _) if !matches!(watch.face(), Face::Refused | Face::NothingToDo) => {}
        (Act::Back, _) | (Act::Enter, Some(Stop::Button("answers"))) => {
            desk.watch = None;
            desk.look_again();
            let place = if desk.interview.is_some() { Place::Review } else { Place::Welcome };
            return Step::Go(place, None);
        }
        (Act::Enter, Some(Stop::Button("resume"))) => {
            desk.jobs.push(Job::Run(Task::Again { run, back: false }));
        }
        (Act::RollBack, _) if sure => desk.jobs.push(Job::Run(Task::Again { run, back: true })),
        (Act::RollBack, _) | (Act::Enter, Some(Stop::Button("back"))) => {
            return Step::Open(Box::new(Sheet::Menu(Menu {
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
        (Act::Reveal | Act::Enter, Some(Stop::Step(name))) if watch.secrets().contains(&name.as_str()) => {
            if watch.revealed.take().is_none_or(|(revealed, _)| revealed != *name)
                && let Some(plan) = &watch.plan
            {
                desk.jobs.push(Job::Run(Task::Secret { of: plan.application(), name: name.clone() }));
            }
        }
        (Act::Enter, Some(Stop::Step(id))) => {
            if let Some((title, text)) = whole(watch, id) {
                let lines = vec![Line::Prose(Role::Value, text)];
                return Step::Open(Box::new(Sheet::Pager(Pager::new(title, lines))));
            }
            return Step::Next;
        }
        (Act::Enter, _) => return Step::Next,
        _ => {}
    }
    Step::Stay
}

// --- the ends -----------------------------------------------------------------

fn done(watch: &Watch, writer: &mut Writer<'_>) {
    headline(Role::Good, Sign::Good, &format!("{} is in production.", watch.running.title), writer);
    let proven = watch.running.proven().count();
    if proven > 0 {
        let things = if proven == 1 { "1 thing was".to_owned() } else { format!("{proven} things were") };
        let untried = watch.running.untried().count();
        let untried = if untried == 0 { String::new() } else { format!(", {untried} not tried") };
        writer.prose(Role::Dim, 4, &format!("{things} proven{untried}, see below"));
    }
    for text in &watch.running.warnings {
        writer.note(Role::Warning, Sign::Warning, 2, text);
    }
    skipped(&watch.running, writer);
    results(watch, writer);
    credentials(watch, writer);
    next(watch, &[("Verify again", "bringup verify"), ("Roll back", "bringup rollback")], writer);
    proofs(&watch.running, writer);
}

fn nothing_to_do(watch: &Watch, writer: &mut Writer<'_>) {
    let title = watch.plan.as_ref().map_or("Everything", |plan| &plan.title);
    headline(Role::Good, Sign::Good, &format!("{title} stands as the answers say. Nothing was changed."), writer);
    if watch.idle == Some(false) {
        writer.note(Role::Warning, Sign::Warning, 0, "A proof had failed the last time: `bringup verify` tries again.");
    }
    results(watch, writer);
    writer.blank();
    fields(&[("Verify again", "bringup verify".to_owned()), ("Roll back", "bringup rollback".to_owned())], writer);
}

fn taken_back(watch: &Watch, writer: &mut Writer<'_>) {
    let says = lines::rolled_back(watch.running.records);
    headline(Role::Good, Sign::Good, &says, writer);
    left(&watch.running, writer);
    next(watch, &[("What stands", "bringup status")], writer);
}

fn failed(watch: &Watch, exit: Exit, writer: &mut Writer<'_>) {
    let running = &watch.running;
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
    let says = lines::outcome(running, exit);
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
    next(watch, lines::commands_after(running, exit), writer);
}

fn refused(watch: &Watch, writer: &mut Writer<'_>) {
    headline(Role::Bad, Sign::Bad, "It was not started, and nothing was changed:", writer);
    for problem in &watch.refused {
        let path = if problem.path.is_empty() { String::new() } else { format!("{}: ", problem.path) };
        writer.blank();
        writer.prose(Role::Value, 4, &format!("{path}{}", problem.message));
        if !problem.hint.is_empty() {
            writer.prose(Role::Dim, 4, &problem.hint);
        }
    }
}

fn lost(watch: &Watch, writer: &mut Writer<'_>) {
    let says = "The run's process is gone before its end: it was killed, or the server restarted. Nothing is lost: what \
                it did is written down.";
    headline(Role::Bad, Sign::Bad, says, writer);
    if let Some(step) = watch.running.current() {
        writer.prose(Role::Dim, 4, &format!("It was last at: {}", step.describe));
    }
    next(watch, lines::commands_after(&watch.running, Exit::Incomplete), writer);
}

// --- their parts ----------------------------------------------------------------

/// What stands where, addresses first.
fn results(watch: &Watch, writer: &mut Writer<'_>) {
    let Some(plan) = watch.plan.as_ref().filter(|plan| !plan.results.is_empty()) else { return };
    writer.blank();
    let is_address = |line: &&ResultLine| line.value.starts_with("https://") || line.value.starts_with("http://");
    for line in plan.results.iter().filter(is_address) {
        field(&format!("{RESULT}{}", line.label), &line.label, Role::Heading, &line.value, writer);
    }
    for line in plan.results.iter().filter(|line| !is_address(line)) {
        short(&format!("{RESULT}{}", line.label), &line.label, &line.value, writer);
    }
}

fn proofs(running: &RunState, writer: &mut Writer<'_>) {
    let failed = running.steps.iter().filter(|step| step.is_proof() && step.state == StepState::Failed);
    let (proven, failed): (Vec<_>, Vec<_>) = (running.proven().collect(), failed.collect());
    if proven.is_empty() && failed.is_empty() {
        return;
    }
    writer.blank();
    let head = writer.span(Role::Heading, if failed.is_empty() { "Proven" } else { "Tried" });
    writer.line(vec![Span::raw("  "), head]);
    for step in failed.into_iter().chain(running.untried()).chain(proven) {
        let stop = Stop::Step(step.id.clone());
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
fn skipped(running: &RunState, writer: &mut Writer<'_>) {
    for step in running.skipped() {
        let because = step.evidence.as_deref().unwrap_or_default();
        writer.note(Role::Warning, Sign::Warning, 2, &format!("left out: {}: {because}", step.describe));
    }
}

fn credentials(watch: &Watch, writer: &mut Writer<'_>) {
    let names = watch.secrets();
    if names.is_empty() {
        return;
    }
    writer.blank();
    let head = writer.span(Role::Heading, "Passwords");
    writer.line(vec![Span::raw("  "), head]);
    let file = watch
        .plan
        .as_ref()
        .map(|plan| secret_store::path(&plan.application()).display().to_string())
        .unwrap_or_default();
    writer.prose(Role::Dim, 4, &format!("kept for root only in {file}"));
    for name in names {
        let shown = match &watch.revealed {
            Some((revealed, secret)) if revealed == name => secret.expose().to_owned(),
            _ => writer.theme().sign(Sign::Secret).repeat(HIDDEN),
        };
        let columns = text::width(name).max(LABEL) + 2;
        let stop = Stop::Step(name.to_owned());
        let from = writer.row();
        let role = if writer.at(&stop) { Role::Focus } else { Role::Value };
        let pieces =
            vec![Span::raw("  "), writer.span(role, &text::pad(name, columns)), writer.span(Role::Value, &shown)];
        writer.stop_line(&stop, pieces, None);
        writer.stop(stop, from);
    }
}

/// What a way back saved, and what it left in place.
fn left(running: &RunState, writer: &mut Writer<'_>) {
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
fn next(watch: &Watch, commands: &[(&str, &str)], writer: &mut Writer<'_>) {
    writer.blank();
    let mut all: Vec<(&str, String)> =
        commands.iter().map(|(label, command)| (*label, (*command).to_owned())).collect();
    if let Some(run) = &watch.run {
        let dir = RunDir::of(run);
        if !watch.running.title.is_empty() {
            all.push(("Replay", format!("sudo bringup --answers {}", dir.file("answers.yaml").display())));
        }
        all.push(("Logs", dir.file("log").display().to_string()));
    }
    fields(&all, writer);
}
