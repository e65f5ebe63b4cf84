//! The run: what it does, what it asks, and what came of it.

use ratatui::text::Span;

use crate::error::Exit;
use crate::ui::run_state::{Group, Phase, StepState, Work};
use crate::ui::wizard::app::SURE;
use crate::ui::wizard::desk::{Desk, Place};
use crate::ui::wizard::doc::{Doc, Stop, Writer};
use crate::ui::wizard::job::Job;
use crate::ui::wizard::keys::{Act, Offer, offer};
use crate::ui::wizard::layout::Panes;
use crate::ui::wizard::page::{Page, Step, failure, result};
use crate::ui::wizard::sheet::{Entry, Menu, Search, Sheet, Target};
use crate::ui::wizard::task::Task;
use crate::ui::wizard::theme::{Role, Sign};
use crate::ui::wizard::watch::{Face, Watch};
use crate::ui::{lines, text};

/// Columns of a bar, at most.
const BAR: usize = 30;

/// The page of the run.
pub struct RunPage;

impl Page for RunPage {
    fn write(&self, desk: &Desk, mut writer: Writer<'_>) -> Doc {
        let Some(watch) = &desk.watch else { return writer.done() };
        match watch.face() {
            Face::Checking => {
                writer.note(Role::Value, Sign::Working, 0, "Checking everything once more. Nothing is changed yet.");
            }
            Face::Live => steps(watch, &mut writer),
            Face::Waiting => {
                if let Some(waiting) = watch.waiting() {
                    failure::write(watch, waiting, &mut writer);
                }
            }
            face => result::write(watch, face, desk.interview.is_some(), &mut writer),
        }
        writer.done()
    }

    fn panes(&self, desk: &Desk) -> Panes {
        let live = desk.watch.as_ref().is_some_and(|watch| watch.face() == Face::Live);
        Panes { whole: true, top: live, pane: live }
    }

    fn top(&self, desk: &Desk, mut writer: Writer<'_>) -> Option<Doc> {
        let watch = desk.watch.as_ref()?;
        if watch.face() != Face::Live {
            return None;
        }
        whole(watch, &mut writer);
        present(watch, &mut writer);
        Some(writer.done())
    }

    fn pane(&self, desk: &Desk, focus: Option<&Stop>, writer: Writer<'_>, rows: usize) -> Option<Doc> {
        let watch = desk.watch.as_ref()?;
        let shown = watch.shown(focus);
        Some(watch.pane.write(&watch.running.output, &shown, rows, writer))
    }

    fn scrolls(&self, act: Act, focus: Option<&Stop>, desk: &mut Desk, rows: usize) -> bool {
        let Some(watch) = &mut desk.watch else { return false };
        if watch.face() != Face::Live {
            return false;
        }
        let shown = watch.shown(focus);
        let Watch { pane, running, .. } = watch.as_mut();
        match act {
            Act::Enter if pane.search.is_typing() => pane.find(act, &running.output, &shown, rows),
            Act::SearchNext | Act::SearchPrevious => pane.find(act, &running.output, &shown, rows),
            _ => return pane.moves(act, &running.output, &shown, rows),
        }
        true
    }

    fn search<'d>(&self, desk: &'d Desk) -> Option<&'d Search> {
        desk.watch.as_ref().map(|watch| &watch.pane.search)
    }

    fn offers(&self, desk: &Desk, focus: Option<&Stop>) -> Vec<Offer> {
        let Some(watch) = &desk.watch else { return vec![offer(Act::Back, "back"), offer(Act::Quit, "leave")] };
        if watch.pane.search.is_typing() {
            return vec![offer(Act::Enter, "search"), offer(Act::Back, "cancel")];
        }
        match watch.face() {
            Face::Checking => vec![offer(Act::Quit, "leave")],
            Face::Live => {
                let mut offers = Vec::new();
                if let Some(stage) = stage_of(watch, focus) {
                    let open = watch.open(stage);
                    offers.push(offer(Act::Enter, if open { "fold" } else { "open" }));
                    offers.push(offer(Act::Pick, ""));
                }
                offers.push(offer(Act::Search, "search"));
                if watch.pane.search.is_on() {
                    offers.extend([offer(Act::SearchNext, "next"), offer(Act::SearchPrevious, "previous")]);
                }
                offers.extend([offer(Act::Log, "log"), offer(Act::Detach, "detach")]);
                if !watch.stopping && watch.running.phase != Phase::Back {
                    offers.push(offer(Act::Abort, "abort"));
                }
                offers.push(offer(Act::Quit, ""));
                offers
            }
            Face::Waiting => watch.waiting().map(|waiting| failure::offers(watch, waiting, focus)).unwrap_or_default(),
            face => result::offers(watch, face, focus),
        }
    }

    fn act(&self, act: Act, focus: Option<&Stop>, desk: &mut Desk) -> Step {
        let sure = focus == Some(&Stop::Button(SURE));
        let Some(watch) = &mut desk.watch else { return Step::Back };
        watch.trouble = None;
        let (shown, run) = (watch.shown(focus), watch.run.clone().unwrap_or_default());
        let Watch { pane, running, .. } = watch.as_mut();
        match act {
            Act::Back if pane.search.is_typing() => pane.search.cancel(),
            Act::Search => pane.search.begin(),
            Act::Log => {
                let step = running.steps.iter().find(|step| step.id == shown);
                let step = step.or(running.current()).map(|step| step.id.clone()).unwrap_or_default();
                desk.jobs.push(Job::Run(Task::Log { run, step }));
            }
            Act::Abort if sure && watch.waiting().is_none() => {
                watch.stopping = true;
                desk.jobs.push(Job::Run(Task::Stop { run }));
            }
            Act::Abort if watch.waiting().is_none() => return Step::Open(Box::new(abort())),
            Act::Detach | Act::Quit if watch.exit().is_none() => return Step::Open(Box::new(detach(watch))),
            Act::Enter | Act::Pick if watch.face() == Face::Live => {
                if let Some(stage) = stage_of(watch, focus).map(str::to_owned) {
                    let open = !watch.open(&stage);
                    let stop = (!open).then(|| Stop::Stage(stage.clone()));
                    watch.folds.insert(stage, open);
                    // The step under the pointer went: its stage is what is left of it.
                    return stop.map_or(Step::Stay, |stop| Step::Go(Place::Run, Some(stop)));
                }
            }
            act => {
                return match watch.waiting().cloned() {
                    Some(waiting) => failure::act(act, focus, &waiting, desk),
                    None => result::act(act, focus, desk),
                };
            }
        }
        Step::Stay
    }
}

/// The stage under the pointer, or that of the step under it.
fn stage_of<'a>(watch: &'a Watch, focus: Option<&'a Stop>) -> Option<&'a str> {
    match focus? {
        Stop::Stage(id) => Some(id),
        Stop::Step(id) => watch.running.steps.iter().find(|step| step.id == *id).map(|step| step.stage.as_str()),
        _ => None,
    }
}

fn abort() -> Sheet {
    Sheet::Menu(Menu {
        title: "Abort and roll back everything?".to_owned(),
        text: "The step that works now is finished first. Then every change is undone, and the server is as it was \
               before."
            .to_owned(),
        entries: vec![Entry::new("Go on", Target::Here), Entry::new("Abort and roll back", Target::Sure(Act::Abort))],
    })
}

/// Leaving while the run works leaves it working.
fn detach(watch: &Watch) -> Sheet {
    let title = if watch.waiting().is_some() { "Leave it waiting?" } else { "Leave it running?" };
    let text = if watch.waiting().is_some() {
        "It waits for a decision for as long as it takes. What was changed so far stays.\n\n\
         `sudo bringup attach` shows it again, from any terminal; `sudo bringup decide` answers it.\n\n\
         `sudo bringup abort` rolls everything back."
    } else if watch.run.is_some() {
        "It goes on by itself, also when this terminal is closed or its connection is lost.\n\n\
         `sudo bringup attach` shows it again, from any terminal.\n\n\
         `sudo bringup abort` ends it and rolls everything back."
    } else {
        "Nothing was changed yet. If the checks are passed meanwhile, it starts all the same: `bringup attach` shows it."
    };
    Sheet::Menu(Menu {
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
fn whole(watch: &Watch, writer: &mut Writer<'_>) {
    let running = &watch.running;
    let (over, all) = running.count();
    let mut pieces = bar(Role::Good, running.share(watch.now), writer);
    let unit = match running.phase {
        Phase::Back => "changes taken back",
        _ => "steps",
    };
    let unit = if writer.width() < 60 { "" } else { unit };
    pieces.push(writer.span(Role::Value, format!("  {over} of {all} {unit}").trim_end()));
    let mut time = seconds(running.elapsed(watch.now).as_secs());
    if let Some(left) = running.left(watch.now).filter(|_| writer.width() >= 60) {
        time = format!("{time}, {}", lines::left(left));
    }
    if watch.stopping && running.phase != Phase::Back {
        "stops after this step".clone_into(&mut time);
    }
    spread(pieces, &time, writer);
}

/// The step at work: how far, what it does.
fn present(watch: &Watch, writer: &mut Writer<'_>) {
    if let Some(trouble) = &watch.trouble {
        writer.note(Role::Bad, Sign::Bad, 0, &trouble.to_string());
        return;
    }
    let running = &watch.running;
    let Some(step) = running.current() else {
        let says = match running.phase {
            Phase::Silent => "waiting for its process",
            Phase::Back => "looking at the server as it is now",
            _ => "looking at the server before the first change",
        };
        let piece = writer.span(Role::Dim, says);
        writer.line(vec![piece]);
        return;
    };
    if running.meter.waits {
        writer.note(Role::Warning, Sign::Warning, 0, &running.meter.says);
        return;
    }
    let waited = running.step_elapsed(watch.now).as_secs();
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
fn spread(mut pieces: Vec<Span<'static>>, right: &str, writer: &mut Writer<'_>) {
    let used: usize = pieces.iter().map(Span::width).sum();
    let room = writer.width().min(100).saturating_sub(used + text::width(right));
    if room >= 2 {
        pieces.push(Span::raw(" ".repeat(room)));
        pieces.push(writer.span(Role::Dim, right));
    }
    writer.line(pieces);
}

fn bar(role: Role, share: f32, writer: &Writer<'_>) -> Vec<Span<'static>> {
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

fn steps(watch: &Watch, writer: &mut Writer<'_>) {
    for group in watch.running.groups() {
        stage(watch, &group, writer);
        if watch.open(group.id) {
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
        StepState::AlreadySo => (Role::Dim, Sign::Good),
        StepState::Failed => (Role::Bad, Sign::Bad),
        StepState::Skipped => (Role::Warning, Sign::Warning),
        StepState::Undone => (Role::Dim, Sign::Left),
    }
}

fn stage(watch: &Watch, group: &Group<'_>, writer: &mut Writer<'_>) {
    let (over, all) = (group.over(), group.steps.len());
    let alone = all == 1;
    let steps = |n: usize| if n == 1 { "1 step".to_owned() } else { format!("{n} steps") };
    let right = match group.state() {
        StepState::Pending if over == 0 => steps(all),
        StepState::Working if alone => String::new(),
        StepState::Pending | StepState::Working => format!("{over} of {all}"),
        StepState::Failed => "failed".to_owned(),
        StepState::Undone => "taken back".to_owned(),
        StepState::AlreadySo => "already so".to_owned(),
        StepState::Done | StepState::Skipped => lines::duration(group.millis()),
    };
    let stop = Stop::Stage(group.id.to_owned());
    entry(stop, group.state(), &watch.title_of(group.id), 0, Role::Heading, &right, writer);
}

fn line(step: &Work, writer: &mut Writer<'_>) {
    let right = match step.state {
        StepState::AlreadySo => "already so".to_owned(),
        StepState::Failed => "failed".to_owned(),
        StepState::Skipped => "left out".to_owned(),
        StepState::Undone => "taken back".to_owned(),
        StepState::Done => lines::duration(step.millis),
        StepState::Pending | StepState::Working => String::new(),
    };
    let role = if step.state == StepState::Pending { Role::Dim } else { Role::Value };
    entry(Stop::Step(step.id.clone()), step.state, &step.describe, 2, role, &right, writer);
}

fn entry(stop: Stop, state: StepState, says: &str, indent: usize, role: Role, right: &str, writer: &mut Writer<'_>) {
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
