//! The run: what it does, what it asks, and what came of it.

use ratatui::text::Span;

use crate::answers::interview::Interview;
use crate::error::Exit;
use crate::plan::tally::number;
use crate::ui::run_state::{Count, Group, PROOFS, Phase, StepState, Work};
use crate::ui::wizard::app::SURE;
use crate::ui::wizard::cmd::Cmd;
use crate::ui::wizard::keys::{Act, KeyHint, key_hint};
use crate::ui::wizard::layout::Panes;
use crate::ui::wizard::model::run_view::{Face, RunView};
use crate::ui::wizard::model::{Change, Route};
use crate::ui::wizard::overlay::{Entry, Menu, Overlay, Target};
use crate::ui::wizard::page::{Page, Transition, failure, result};
use crate::ui::wizard::run_cmd::RunCmd;
use crate::ui::wizard::theme::{Role, Sign};
use crate::ui::wizard::view::{Focus, View, ViewBuilder};
use crate::ui::{messages, text};

/// Columns of a bar, at most.
const BAR: usize = 30;

/// The page of the run.
pub struct RunPage<'m> {
    /// The run that is followed.
    pub run_view: Option<&'m RunView>,
    /// The answers, where they were given here.
    pub interview: Option<&'m Interview>,
}

impl Page for RunPage<'_> {
    fn write(&self, mut writer: ViewBuilder<'_>) -> View {
        let Some(run_view) = self.run_view else { return writer.done() };
        match run_view.face() {
            Face::Checking => {
                writer.note(
                    Role::Value,
                    Sign::Working,
                    0,
                    "Checking the server once more. Nothing has been changed yet.",
                );
            }
            Face::Live => steps(run_view, &mut writer),
            Face::Waiting => {
                if let Some(waiting) = run_view.waiting() {
                    failure::write(run_view, waiting, &mut writer);
                }
            }
            face => result::write(run_view, face, self.interview.is_some(), &mut writer),
        }
        writer.done()
    }

    fn panes(&self) -> Panes {
        let live = self.run_view.is_some_and(|run_view| run_view.face() == Face::Live);
        Panes { whole: true, top: live, pane: live }
    }

    fn top(&self, mut writer: ViewBuilder<'_>) -> Option<View> {
        let run_view = self.run_view?;
        if run_view.face() != Face::Live {
            return None;
        }
        whole(run_view, &mut writer);
        present(run_view, &mut writer);
        Some(writer.done())
    }

    fn pane(&self, focus: Option<&Focus>, writer: ViewBuilder<'_>, rows: usize) -> Option<View> {
        let run_view = self.run_view?;
        let shown = run_view.shown(focus);
        Some(run_view.pane.write(&run_view.running.output, &shown, rows, writer))
    }

    fn key_hints(&self, focus: Option<&Focus>) -> Vec<KeyHint> {
        let Some(run_view) = self.run_view else {
            return vec![key_hint(Act::Back, "back"), key_hint(Act::Quit, "leave")];
        };
        if run_view.pane.search.is_typing() {
            return vec![key_hint(Act::Enter, "search"), key_hint(Act::Back, "cancel")];
        }
        match run_view.face() {
            Face::Checking => vec![key_hint(Act::Quit, "leave")],
            Face::Live => {
                let mut key_hints = Vec::new();
                if let Some(stage) = stage_of(run_view, focus) {
                    let open = run_view.open(stage);
                    key_hints.push(key_hint(Act::Enter, if open { "fold" } else { "open" }));
                    key_hints.push(key_hint(Act::Pick, ""));
                }
                key_hints.push(key_hint(Act::Search, "search"));
                if run_view.pane.search.is_on() {
                    key_hints.extend([key_hint(Act::SearchNext, "next"), key_hint(Act::SearchPrevious, "previous")]);
                }
                key_hints.extend([key_hint(Act::Log, "log"), key_hint(Act::Detach, "detach")]);
                if !run_view.stopping && run_view.running.phase != Phase::Back {
                    key_hints.push(key_hint(Act::Abort, "abort"));
                }
                key_hints.push(key_hint(Act::Quit, ""));
                key_hints
            }
            Face::Waiting => {
                run_view.waiting().map(|waiting| failure::key_hints(run_view, waiting, focus)).unwrap_or_default()
            }
            face => result::key_hints(run_view, face, focus),
        }
    }

    fn act(&self, act: Act, focus: Option<&Focus>) -> Transition {
        let sure = focus == Some(&Focus::Button(SURE));
        let Some(run_view) = self.run_view else { return Transition::Back };
        match act {
            Act::Back if run_view.pane.search.is_typing() => Transition::change(Change::Search(false)),
            Act::Search => Transition::change(Change::Search(true)),
            Act::Log => log(run_view, focus),
            Act::Abort if sure && run_view.waiting().is_none() => Transition::change(Change::Abort),
            Act::Abort if run_view.waiting().is_none() => Transition::Open(Box::new(abort())),
            Act::Detach | Act::Quit if run_view.exit().is_none() => Transition::Open(Box::new(detach(run_view))),
            Act::Enter | Act::Pick if run_view.face() == Face::Live => {
                stage_of(run_view, focus).map_or(Transition::Stay, |stage| fold(run_view, stage))
            }
            act => match run_view.waiting() {
                Some(waiting) => failure::act(act, focus, waiting, run_view, self.interview),
                None => result::act(act, focus, run_view, self.interview.is_some()),
            },
        }
    }
}

/// The log of the step whose output is shown.
fn log(run_view: &RunView, focus: Option<&Focus>) -> Transition {
    let (running, shown) = (&run_view.running, run_view.shown(focus));
    let step = running.steps.iter().find(|step| step.id == shown).or(running.current());
    let step = step.map(|step| step.id.clone()).unwrap_or_default();
    Transition::Do(Box::new(Cmd::Run(RunCmd::Log { run: run_view.run.clone().unwrap_or_default(), step })))
}

/// Opens or closes a stage.
fn fold(run_view: &RunView, stage: &str) -> Transition {
    let open = !run_view.open(stage);
    // The step under the pointer went: its stage is what is left of it.
    let gone = Transition::Go(Route::Run, Some(Focus::Stage(stage.to_owned())));
    let then = if open { Transition::Stay } else { gone };
    Transition::Change(Change::Fold(stage.to_owned(), open), Box::new(then))
}

/// The stage under the pointer, or that of the step under it.
fn stage_of<'a>(run_view: &'a RunView, focus: Option<&'a Focus>) -> Option<&'a str> {
    match focus? {
        Focus::Stage(id) => Some(id),
        Focus::Step(id) => run_view.running.steps.iter().find(|step| step.id == *id).map(|step| step.stage.as_str()),
        _ => None,
    }
}

fn abort() -> Overlay {
    Overlay::Menu(Menu {
        title: "Abort and roll back everything?".to_owned(),
        text: "The current step is finished first. Then every change is undone, and the server is as it was \
               before."
            .to_owned(),
        entries: vec![
            Entry::new("Continue", Target::Here),
            Entry::new("Abort and roll back", Target::Sure(Act::Abort)),
        ],
    })
}

/// Leaving while the run works leaves it working.
fn detach(run_view: &RunView) -> Overlay {
    let title = if run_view.waiting().is_some() { "Leave it waiting?" } else { "Leave it running?" };
    let text = if run_view.waiting().is_some() {
        "It waits for a decision for as long as it takes. Changes made so far are kept.\n\n\
         `sudo bringup attach` shows it again, from any terminal; `sudo bringup decide` answers it.\n\n\
         `sudo bringup abort` rolls everything back."
    } else if run_view.run.is_some() {
        "It continues on its own, even if this terminal is closed or its connection is lost.\n\n\
         `sudo bringup attach` shows it again, from any terminal.\n\n\
         `sudo bringup abort` ends it and rolls everything back."
    } else {
        "Nothing has been changed yet. If the checks pass in the meantime, the run starts; `bringup attach` shows it."
    };
    Overlay::Menu(Menu {
        title: title.to_owned(),
        text: text.to_owned(),
        entries: vec![
            Entry::new(title.trim_end_matches('?'), Target::Out(Exit::Done)),
            Entry::new("Stay", Target::Here),
        ],
    })
}

// --- what stands above ------------------------------------------------------

/// The whole: how far, and how long.
fn whole(run_view: &RunView, writer: &mut ViewBuilder<'_>) {
    let running = &run_view.running;
    let Count { over, all, unit } = running.count();
    let mut pieces = bar(Role::Good, running.share(run_view.now), writer);
    let unit = if writer.width() < 60 { "" } else { unit };
    pieces.push(writer.span(Role::Value, format!("  {over} of {all} {unit}").trim_end()));
    let mut time = seconds(running.elapsed(run_view.now).as_secs());
    if let Some(left) = running.left(run_view.now).filter(|_| writer.width() >= 60) {
        time = format!("{time}, {}", messages::left(left));
    }
    if run_view.stopping && running.phase != Phase::Back {
        "stops after this step".clone_into(&mut time);
    }
    spread(pieces, &time, writer);
}

/// The step at work: how far, what it does.
fn present(run_view: &RunView, writer: &mut ViewBuilder<'_>) {
    if let Some(trouble) = &run_view.trouble {
        writer.note(Role::Bad, Sign::Bad, 0, &trouble.to_string());
        return;
    }
    let running = &run_view.running;
    let Some(step) = running.current() else {
        let says = match running.phase {
            Phase::Silent => "waiting for the run's process",
            Phase::Back => "reading the server's current state",
            _ => "recording the server's state before the first change",
        };
        let piece = writer.span(Role::Dim, says);
        writer.line(vec![piece]);
        return;
    };
    if running.meter.waits {
        writer.note(Role::Warning, Sign::Warning, 0, &running.meter.says);
        return;
    }
    let waited = running.step_elapsed(run_view.now).as_secs();
    let waited = if waited < 2 { String::new() } else { seconds(waited) };
    let mut pieces = Vec::new();
    let says = match running.meter.share {
        Some(share) if running.meter.figures => {
            pieces = bar(Role::Value, share, writer);
            format!("  {}", running.meter.says)
        }
        Some(share) => {
            pieces = bar(Role::Value, share, writer);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 100")]
            let percent = (share * 100.0) as u8;
            format!("  {percent} %  {}", running.meter.says)
        }
        None if running.phase == Phase::Back => format!("{} {}", writer.theme().sign(Sign::Left), running.meter.says),
        None if running.meter.says.is_empty() => step.describe.clone(),
        None => running.meter.says.clone(),
    };
    let used: usize = pieces.iter().map(Span::width).sum::<usize>() + text::width(&waited) + 2;
    let says =
        text::shorten(&writer.clean(&says), writer.width().saturating_sub(used), writer.theme().sign(Sign::Ellipsis));
    pieces.push(writer.span(Role::Value, &says));
    spread(pieces, &waited, writer);
}

/// Pieces at the left, a word at the right.
fn spread(mut pieces: Vec<Span<'static>>, right: &str, writer: &mut ViewBuilder<'_>) {
    let used: usize = pieces.iter().map(Span::width).sum();
    let room = writer.width().min(100).saturating_sub(used + text::width(right));
    if room >= 2 {
        pieces.push(Span::raw(" ".repeat(room)));
        pieces.push(writer.span(Role::Dim, right));
    }
    writer.line(pieces);
}

fn bar(role: Role, share: f32, writer: &ViewBuilder<'_>) -> Vec<Span<'static>> {
    let columns = (writer.width() / 3).min(BAR);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "columns of a bar"
    )]
    let full = ((share * columns as f32) as usize).min(columns);
    let theme = writer.theme();
    vec![
        writer.span(role, &theme.sign(Sign::Full).repeat(full)),
        writer.span(Role::Dim, &theme.sign(Sign::Empty).repeat(columns - full)),
    ]
}

/// `8 s`, `1 min 12 s`.
fn seconds(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        _ => format!("{} min {:02} s", seconds / 60, seconds % 60),
    }
}

// --- the steps ----------------------------------------------------------------

fn steps(run_view: &RunView, writer: &mut ViewBuilder<'_>) {
    for group in run_view.running.groups() {
        stage(run_view, &group, writer);
        if run_view.open(group.id) {
            for step in &group.steps {
                line(step, writer);
            }
        }
    }
}

/// The sign of a state.
pub fn sign(state: StepState) -> (Role, Sign) {
    match state {
        StepState::Pending => (Role::Dim, Sign::Pending),
        StepState::Working => (Role::Heading, Sign::Working),
        StepState::Done => (Role::Good, Sign::Good),
        StepState::Unchanged => (Role::Dim, Sign::Good),
        StepState::Failed => (Role::Bad, Sign::Bad),
        StepState::Skipped => (Role::Warning, Sign::Warning),
        StepState::Undone => (Role::Dim, Sign::Left),
    }
}

fn stage(run_view: &RunView, group: &Group<'_>, writer: &mut ViewBuilder<'_>) {
    let (over, all) = (group.over(), group.steps.len());
    let alone = all == 1;
    let steps = |n: usize| number(n, if group.id == PROOFS { "proof" } else { "action" });
    let right = match group.state() {
        StepState::Pending if over == 0 => steps(all),
        StepState::Working if alone => String::new(),
        StepState::Pending | StepState::Working => format!("{over} of {all}"),
        StepState::Failed => "failed".to_owned(),
        StepState::Undone => "rolled back".to_owned(),
        StepState::Unchanged => "unchanged".to_owned(),
        StepState::Done | StepState::Skipped => messages::duration(group.millis()),
    };
    let stop = Focus::Stage(group.id.to_owned());
    entry(stop, group.state(), &run_view.title_of(group.id), 0, Role::Heading, &right, writer);
}

fn line(step: &Work, writer: &mut ViewBuilder<'_>) {
    let right = match step.state {
        StepState::Unchanged => "unchanged".to_owned(),
        StepState::Failed => "failed".to_owned(),
        StepState::Skipped => "skipped".to_owned(),
        StepState::Undone => "rolled back".to_owned(),
        StepState::Done => messages::duration(step.millis),
        StepState::Pending | StepState::Working => String::new(),
    };
    let role = if step.state == StepState::Pending { Role::Dim } else { Role::Value };
    entry(Focus::Step(step.id.clone()), step.state, &step.describe, 2, role, &right, writer);
}

fn entry(
    stop: Focus,
    state: StepState,
    says: &str,
    indent: usize,
    role: Role,
    right: &str,
    writer: &mut ViewBuilder<'_>,
) {
    let from = writer.row();
    let (sign_role, sign) = sign(state);
    let role = if writer.at(&stop) { Role::Focus } else { role };
    let room = writer.width().saturating_sub(indent + 6 + text::width(right));
    let says = text::shorten(&writer.clean(says), room, writer.theme().sign(Sign::Ellipsis));
    let pieces =
        vec![Span::raw(" ".repeat(indent)), writer.sign(sign_role, sign), Span::raw(" "), writer.span(role, &says)];
    let right = (!right.is_empty()).then(|| writer.span(Role::Dim, right));
    writer.stop_line(&stop, pieces, right);
    writer.stop(stop, from);
}
