//! What this is, and whether the machine is fit: every check as its result comes in, before anything is asked.

use ratatui::text::Span;

use crate::engine::runs::State as RunState;
use crate::preflight::State;
use crate::ui::text;
use crate::ui::wizard::desk::Desk;
use crate::ui::wizard::doc::{Doc, Stop, Writer};
use crate::ui::wizard::keys::{Act, Offer, offer};
use crate::ui::wizard::machine::Line;
use crate::ui::wizard::page::{Page, Step};
use crate::ui::wizard::sheet::Sheet;
use crate::ui::wizard::theme::{Role, Sign};

/// The list of runs.
const RUNS: &str = "runs";
/// Narrower than this, what was found stands below the check's title.
const NARROW: usize = 50;
/// The longest title of a check, and the blanks around it.
const TITLES: usize = 19;

/// The first page.
pub struct Welcome;

impl Page for Welcome {
    fn write(&self, desk: &Desk, mut writer: Writer<'_>) -> Doc {
        writer.prose(
            Role::Value,
            0,
            "bringup takes this server to production, and back. It shows every change before it makes it; until you \
             say yes, nothing is changed.",
        );
        writer.blank();
        if !desk.root {
            writer.note(
                Role::Warning,
                Sign::Warning,
                0,
                "You are not root. You can plan, and save the answers; only `sudo bringup` can start.",
            );
        }
        runs(desk, &mut writer);
        sum(desk, &mut writer);
        writer.button("continue", "Choose a product");
        writer.blank();
        for line in desk.machine.lines() {
            check(line, &mut writer);
        }
        writer.done()
    }

    fn offers(&self, desk: &Desk, focus: Option<&Stop>) -> Vec<Offer> {
        let mut offers = match focus {
            Some(Stop::Line(..)) => vec![offer(Act::Enter, "choose"), offer(Act::Next, "go on")],
            _ => vec![offer(Act::Enter, "go on")],
        };
        if desk.machine.pending() == 0 {
            offers.push(offer(Act::Retry, "check again"));
        }
        offers
    }

    fn act(&self, act: Act, focus: Option<&Stop>, desk: &mut Desk) -> Step {
        match (act, focus) {
            (Act::Enter, Some(Stop::Line(_, at))) => {
                let runs = &desk.machine.runs;
                let Some(run) = runs.get(*at) else { return Step::Stay };
                Step::Open(Box::new(Sheet::earlier(run, at + 1 == runs.len())))
            }
            (Act::Enter, _) => Step::Forward,
            (Act::Retry, _) => {
                desk.look_again();
                Step::Stay
            }
            _ => Step::Stay,
        }
    }
}

/// The runs that stand, each with a line to choose what to do about it.
fn runs(desk: &Desk, writer: &mut Writer<'_>) {
    for (at, earlier) in desk.machine.runs.iter().enumerate() {
        let stop = Stop::Line(RUNS, at);
        let from = writer.row();
        let (role, sign) = match earlier.state {
            RunState::Done | RunState::RolledBack => (Role::Good, Sign::Good),
            RunState::Running => (Role::Value, Sign::Working),
            _ => (Role::Warning, Sign::Warning),
        };
        let name = if writer.at(&stop) { Role::Focus } else { Role::Value };
        let says = format!("{} {}", earlier.run, earlier.words());
        let pieces = vec![writer.sign(role, sign), Span::raw(" "), writer.span(name, &says)];
        writer.stop_line(&stop, pieces, None);
        writer.stop(stop, from);
    }
    if !desk.machine.runs.is_empty() {
        writer.blank();
    }
}

/// How the checks came out, in a line.
fn sum(desk: &Desk, writer: &mut Writer<'_>) {
    let machine = &desk.machine;
    let some = |n: usize, one: &str| if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") };
    let (problems, warnings) = (machine.count(State::Problem), machine.count(State::Warning));
    let mut bad = Vec::new();
    if problems > 0 {
        bad.push(some(problems, "problem"));
    }
    if warnings > 0 {
        bad.push(some(warnings, "warning"));
    }
    let bad = bad.join(" and ");
    let pending = machine.pending();
    let (role, sign, says) = match (pending, bad.as_str()) {
        (0, "") => (Role::Good, Sign::Good, "This server is fit.".to_owned()),
        (0, bad) if problems > 0 => (Role::Bad, Sign::Bad, format!("{bad}: see below. You can go on, but not start.")),
        (0, bad) => (Role::Warning, Sign::Warning, format!("{bad}: see below. You can go on.")),
        (_, "") => (Role::Dim, Sign::Working, format!("Looking at this server: {} to go.", some(pending, "check"))),
        (_, bad) => (Role::Dim, Sign::Working, format!("Looking at this server: {bad} so far.")),
    };
    writer.note(role, sign, 0, &says);
}

fn check(line: Line<'_>, writer: &mut Writer<'_>) {
    let (role, sign) = match line.check.map(|check| check.state) {
        None => (Role::Dim, Sign::Pending),
        Some(State::Ok) => (Role::Good, Sign::Good),
        Some(State::Warning) => (Role::Warning, Sign::Warning),
        Some(State::Problem) => (Role::Bad, Sign::Bad),
    };
    let head = vec![writer.sign(role, sign), Span::raw(" ")];
    let narrow = writer.width() < NARROW;
    let indent = if narrow { 2 } else { TITLES };
    let room = writer.width().saturating_sub(indent).max(8);
    let found = line.check.map(|check| text::wrap(&writer.clean(&check.found), room)).unwrap_or_default();
    let mut found = found.into_iter();
    let title = writer.span(Role::Value, &text::pad(line.title, TITLES - 2));
    let first = if narrow { None } else { found.next() };
    let value = Span::raw(first.unwrap_or_default());
    writer.line(head.into_iter().chain([title, value]).collect());
    for more in found {
        writer.line(vec![Span::raw(" ".repeat(indent)), Span::raw(more)]);
    }
    let Some(fix) = line.check.map(|check| &check.fix).filter(|fix| !fix.is_empty()) else { return };
    writer.note(Role::Heading, Sign::Right, indent, fix);
}
