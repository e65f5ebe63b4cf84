//! What this is, and whether the machine is fit: every check as its result comes in, before anything is asked.

use ratatui::text::Span;

use crate::engine::runs::RunStatus;
use crate::preflight::CheckStatus;
use crate::ui::text;
use crate::ui::wizard::keys::{Act, KeyHint, key_hint};
use crate::ui::wizard::model::Change;
use crate::ui::wizard::model::server_status::{Earlier, Line, ServerStatus};
use crate::ui::wizard::overlay::Overlay;
use crate::ui::wizard::page::{Page, Transition};
use crate::ui::wizard::theme::{Role, Sign};
use crate::ui::wizard::view::{Focus, View, ViewBuilder};

/// The list of runs.
const RUNS: &str = "runs";
/// Narrower than this, what was found stands below the check's title.
const NARROW: usize = 50;
/// The longest title of a check, and the blanks around it.
const TITLES: usize = 19;

/// The first page.
pub struct Welcome<'m> {
    /// What is known of the server.
    pub server: &'m ServerStatus,
    /// Whether we may change it.
    pub root: bool,
}

impl Page for Welcome<'_> {
    fn write(&self, writer: ViewBuilder<'_>) -> View {
        view(self.server, self.root, writer)
    }

    fn key_hints(&self, focus: Option<&Focus>) -> Vec<KeyHint> {
        let mut key_hints = match focus {
            Some(Focus::Line(..)) => vec![key_hint(Act::Enter, "choose"), key_hint(Act::Next, "continue")],
            _ => vec![key_hint(Act::Enter, "continue")],
        };
        if self.server.pending() == 0 {
            key_hints.push(key_hint(Act::Retry, "check again"));
        }
        key_hints
    }

    fn act(&self, act: Act, focus: Option<&Focus>) -> Transition {
        match (act, focus) {
            (Act::Enter, Some(Focus::Line(_, at))) => {
                let runs = &self.server.runs;
                let Some(run) = runs.get(*at) else { return Transition::Stay };
                Transition::Open(Box::new(Overlay::earlier(run, at + 1 == runs.len())))
            }
            (Act::Enter, _) => Transition::Forward,
            (Act::Retry, _) => Transition::change(Change::LookAgain),
            _ => Transition::Stay,
        }
    }
}

/// What is known of the server, and whether it may be changed.
fn view(server: &ServerStatus, root: bool, mut writer: ViewBuilder<'_>) -> View {
    writer.prose(
        Role::Value,
        0,
        "bringup sets this server up for production, and can roll everything back. It shows every change before it \
         makes it; nothing is changed until you press Start.",
    );
    writer.blank();
    if !root {
        writer.note(
            Role::Warning,
            Sign::Warning,
            0,
            "You are not root. You can plan and save the answers; only `sudo bringup` can start.",
        );
    }
    runs(&server.runs, &mut writer);
    sum(server, &mut writer);
    writer.button("continue", "Choose a product");
    writer.blank();
    for line in server.lines() {
        check(line, &mut writer);
    }
    writer.done()
}

/// The runs that stand, each with a line to choose what to do about it.
fn runs(runs: &[Earlier], writer: &mut ViewBuilder<'_>) {
    for (at, earlier) in runs.iter().enumerate() {
        let stop = Focus::Line(RUNS, at);
        let from = writer.row();
        let (role, sign) = match earlier.state {
            RunStatus::Done | RunStatus::RolledBack => (Role::Good, Sign::Good),
            RunStatus::Running => (Role::Value, Sign::Working),
            _ => (Role::Warning, Sign::Warning),
        };
        let name = if writer.at(&stop) { Role::Focus } else { Role::Value };
        let says = format!("{} {}", earlier.run, earlier.words());
        let pieces = vec![writer.sign(role, sign), Span::raw(" "), writer.span(name, &says)];
        writer.stop_line(&stop, pieces, None);
        writer.stop(stop, from);
    }
    if !runs.is_empty() {
        writer.blank();
    }
}

/// How the checks came out, in a line.
fn sum(server: &ServerStatus, writer: &mut ViewBuilder<'_>) {
    let some = |n: usize, one: &str| if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") };
    let (problems, warnings) = (server.count(CheckStatus::Problem), server.count(CheckStatus::Warning));
    let mut bad = Vec::new();
    if problems > 0 {
        bad.push(some(problems, "problem"));
    }
    if warnings > 0 {
        bad.push(some(warnings, "warning"));
    }
    let bad = bad.join(" and ");
    let pending = server.pending();
    let (role, sign, says) = match (pending, bad.as_str()) {
        (0, "") => (Role::Good, Sign::Good, "All preflight checks passed.".to_owned()),
        (0, bad) if problems > 0 => {
            (Role::Bad, Sign::Bad, format!("{bad}: see below. You can continue, but not start."))
        }
        (0, bad) => (Role::Warning, Sign::Warning, format!("{bad}: see below. You can continue.")),
        (_, "") => (Role::Dim, Sign::Working, format!("Checking this server: {} left.", some(pending, "check"))),
        (_, bad) => (Role::Dim, Sign::Working, format!("Checking this server: {bad} so far.")),
    };
    writer.note(role, sign, 0, &says);
}

fn check(line: Line<'_>, writer: &mut ViewBuilder<'_>) {
    let (role, sign) = match line.check.map(|check| check.state) {
        None => (Role::Dim, Sign::Pending),
        Some(CheckStatus::Ok) => (Role::Good, Sign::Good),
        Some(CheckStatus::Warning) => (Role::Warning, Sign::Warning),
        Some(CheckStatus::Problem) => (Role::Bad, Sign::Bad),
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
