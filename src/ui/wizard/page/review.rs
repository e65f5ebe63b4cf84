//! The plan before anything is changed: what is in the way, what it comes to in short, every action, and the start.

use ratatui::text::Span;

use crate::action::{Action, Reversible};
use crate::human_bytes::human;
use crate::plan::{Plan, Planned};
use crate::ui::text;
use crate::ui::wizard::keys::{Act, KeyHint, key_hint};
use crate::ui::wizard::model::Change;
use crate::ui::wizard::model::review::{Effect, Obstacle, Review, Reviewed};
use crate::ui::wizard::overlay::{Line, Overlay, Pager};
use crate::ui::wizard::page::{Page, Transition};
use crate::ui::wizard::theme::{Role, Sign};
use crate::ui::wizard::view::{Focus, View, ViewBuilder};

mod details;
mod short;

/// The list of what is in the way.
const OBSTACLES: &str = "obstacles";
/// The list of actions.
const ACTIONS: &str = "actions";
/// The buttons.
const START: &str = "start";
const SAVE: &str = "save";
const BACK: &str = "back";
/// On pages this wide each action has its reason beside it.
const WIDE: usize = 84;

/// The page before the run.
pub struct ReviewPage<'m>(pub Reviewed<'m>);

impl Page for ReviewPage<'_> {
    fn write(&self, mut writer: ViewBuilder<'_>) -> View {
        let obstacles = self.0.obstacles();
        in_the_way(&obstacles, &mut writer);
        if let Some(plan) = self.0.review.plan() {
            short::write(self.0, plan, obstacles.is_empty(), &mut writer);
            actions(self.0.review, plan, &mut writer);
            proofs(plan, &mut writer);
        } else {
            writer.prose(Role::Dim, 0, "The plan is shown once every question is answered.");
        }
        writer.blank();
        buttons(self.0, obstacles.len(), &mut writer);
        writer.done()
    }

    fn aside(&self, focus: Option<&Focus>, mut writer: ViewBuilder<'_>) -> Option<View> {
        let Some(Focus::Line(ACTIONS, at)) = focus else { return None };
        Line::write_all(&details::lines(self.0.review, *at), &mut writer);
        Some(writer.done())
    }

    fn key_hints(&self, focus: Option<&Focus>) -> Vec<KeyHint> {
        let enter = match focus {
            Some(Focus::Line(OBSTACLES, at)) if self.0.obstacles().get(*at).is_some_and(|it| it.to.is_some()) => {
                "go there"
            }
            Some(Focus::Line(OBSTACLES, _)) => "",
            Some(Focus::Line(ACTIONS, at)) => match self.0.review.plan().and_then(|plan| folded(plan, *at)) {
                Some(stage) if self.0.review.unfolded.contains(stage) => "fold",
                Some(_) => "open",
                None => "show",
            },
            Some(Focus::Line(..)) => "show",
            Some(Focus::Button(START)) => "start",
            _ => "choose",
        };
        let mut key_hints = vec![key_hint(Act::Enter, enter)];
        if matches!(focus, Some(Focus::Line(..))) {
            key_hints.push(key_hint(Act::Next, "on"));
        }
        key_hints.extend([key_hint(Act::Save, "save"), key_hint(Act::Back, "back")]);
        if !self.0.review.is_looking() {
            key_hints.push(key_hint(Act::Retry, "check again"));
        }
        key_hints
    }

    fn act(&self, act: Act, focus: Option<&Focus>) -> Transition {
        match (act, focus) {
            (Act::Enter, Some(Focus::Line(OBSTACLES, at))) => {
                let to = self.0.obstacles().into_iter().nth(*at).and_then(|obstacle| obstacle.to);
                to.map_or(Transition::Stay, |(place, stop)| Transition::Go(place, stop))
            }
            (Act::Enter, Some(Focus::Line(ACTIONS, at))) => {
                let Some(plan) = self.0.review.plan() else { return Transition::Stay };
                if let Some(stage) = folded(plan, *at).map(str::to_owned) {
                    return Transition::change(Change::Unfold(stage));
                }
                let Some(planned) = plan.actions.get(*at) else { return Transition::Stay };
                let pager = Pager::new(planned.id.clone(), details::lines(self.0.review, *at));
                Transition::Open(Box::new(Overlay::Pager(pager)))
            }
            (Act::Enter, Some(Focus::Button(START))) if self.0.can_start() => Transition::Start,
            (Act::Enter, Some(Focus::Button(SAVE))) | (Act::Save, _) => Transition::AskToSave,
            (Act::Enter, Some(Focus::Button(BACK))) | (Act::Back, _) => Transition::Back,
            (Act::Retry, _) => Transition::change(Change::LookAgain),
            _ => Transition::Stay,
        }
    }
}

fn in_the_way(obstacles: &[Obstacle], writer: &mut ViewBuilder<'_>) {
    let says = match obstacles.len() {
        0 => return,
        1 => "1 problem prevents the start:".to_owned(),
        n => format!("{n} problems prevent the start:"),
    };
    writer.prose(Role::Heading, 0, &says);
    for (at, obstacle) in obstacles.iter().enumerate() {
        let stop = Focus::Line(OBSTACLES, at);
        let from = writer.row();
        let role = if writer.at(&stop) { Role::Focus } else { Role::Value };
        let mut lines = text::wrap(&writer.clean(&obstacle.says), writer.width().saturating_sub(4).max(8)).into_iter();
        let first = writer.span(role, &lines.next().unwrap_or_default());
        writer.stop_line(&stop, vec![writer.sign(Role::Bad, Sign::Bad), Span::raw(" "), first], None);
        for line in lines {
            let piece = writer.span(role, &line);
            writer.line(vec![Span::raw("    "), piece]);
        }
        if !obstacle.hint.is_empty() {
            writer.prose(Role::Dim, 4, &obstacle.hint);
        }
        writer.stop(stop, from);
    }
    writer.blank();
}

/// Stages with changes first, then those in which everything is as it should be, each in one line.
fn actions(review: &Review, plan: &Plan, writer: &mut ViewBuilder<'_>) {
    let mut idle = Vec::new();
    for (number, stage) in plan.stages.iter().enumerate() {
        let (changes, unchanged) = review.of_stage(&stage.id);
        if changes.is_empty() {
            if !unchanged.is_empty() {
                idle.push((number, stage, unchanged));
            }
            continue;
        }
        writer.blank();
        let title = writer.span(Role::Heading, &stage.title);
        writer.line(vec![title]);
        for at in changes {
            action(review, at, &plan.actions[at], writer);
        }
        if !unchanged.is_empty() {
            fold(review, plan, (number, &stage.id), None, &unchanged, writer);
        }
    }
    if !idle.is_empty() {
        writer.blank();
        let title = writer.span(Role::Heading, "Unchanged");
        writer.line(vec![title]);
    }
    for (number, stage, unchanged) in idle {
        fold(review, plan, (number, &stage.id), Some(&stage.title), &unchanged, writer);
    }
}

/// The stage whose unchanged actions are folded at this place of the list: they stand behind the actions.
fn folded(plan: &Plan, at: usize) -> Option<&str> {
    let number = at.checked_sub(plan.actions.len())?;
    plan.stages.get(number).map(|stage| stage.id.as_str())
}

/// Unchanged actions of a stage: a line, or each of them where somebody wants to see them.
fn fold(
    review: &Review,
    plan: &Plan,
    (number, stage): (usize, &str),
    title: Option<&str>,
    unchanged: &[usize],
    writer: &mut ViewBuilder<'_>,
) {
    let stop = Focus::Line(ACTIONS, plan.actions.len() + number);
    let from = writer.row();
    let open = review.unfolded.contains(stage);
    let count = format!("{} unchanged", unchanged.len());
    let (head, rest) = if let Some(title) = title {
        (title.to_owned(), format!(": {count}"))
    } else {
        let all: Vec<&str> = unchanged.iter().map(|at| plan.actions[*at].describe.as_str()).collect();
        let room = writer.width().saturating_sub(4 + text::width(&count));
        let ellipsis = writer.theme().sign(Sign::Ellipsis);
        let names = text::shorten(&writer.clean(&format!(": {}", all.join("; "))), room, ellipsis);
        (count, if open { String::new() } else { names })
    };
    let head = writer.span(if writer.at(&stop) { Role::Focus } else { Role::Dim }, &head);
    let pieces = vec![writer.sign(Role::Dim, Sign::Same), Span::raw(" "), head, writer.span(Role::Dim, &rest)];
    writer.stop_line(&stop, pieces, None);
    writer.stop(stop, from);
    if open {
        for at in unchanged {
            action(review, *at, &plan.actions[*at], writer);
        }
    }
}

fn action(review: &Review, at: usize, planned: &Planned, writer: &mut ViewBuilder<'_>) {
    let stop = Focus::Line(ACTIONS, at);
    let from = writer.row();
    let effect = review.effect(at);
    let (role, sign) = match effect {
        Effect::Unknown => (Role::Dim, Sign::Pending),
        Effect::New => (Role::Good, Sign::New),
        Effect::Changed => (Role::Warning, Sign::Changed),
        Effect::Unchanged => (Role::Dim, Sign::Same),
        Effect::Untold => (Role::Dim, Sign::Untold),
    };
    let says = if effect == Effect::Unchanged { Role::Dim } else { Role::Value };
    let wide = writer.width() >= WIDE;
    let room = if wide { (writer.width() - 4) / 2 } else { writer.width().saturating_sub(4) };
    let right = right(review, planned, effect, writer);
    let kept = if wide { 0 } else { right.as_ref().map_or(0, |right| right.width() + 2) };
    let headline = writer.clean(details::headline(review, at, planned));
    let shown = text::shorten(&headline, room.saturating_sub(kept), writer.theme().sign(Sign::Ellipsis));
    // Only the first word is shown to be pointed at: over a slow line, a whole one would be felt.
    let (verb, object) = shown.split_at(shown.find(' ').unwrap_or(shown.len()));
    let verb = writer.span(if writer.at(&stop) { Role::Focus } else { says }, verb);
    let mut pieces = vec![writer.sign(role, sign), Span::raw(" "), verb, writer.span(says, object)];
    if wide {
        let reason = writer.clean(&planned.reason);
        let rest = (writer.width() - 4 - room).saturating_sub(2 + right.as_ref().map_or(0, |right| right.width() + 2));
        let reason = text::shorten(&reason, rest, writer.theme().sign(Sign::Ellipsis));
        pieces.push(Span::raw(" ".repeat(room - text::width(&shown) + 2)));
        pieces.push(writer.span(Role::Dim, &reason));
    }
    writer.stop_line(&stop, pieces, right);
    writer.stop(stop, from);
}

/// At the right end: what there is to download, or that it is for good.
fn right(review: &Review, planned: &Planned, effect: Effect, writer: &ViewBuilder<'_>) -> Option<Span<'static>> {
    match (&planned.action, &planned.reversible) {
        (Action::Packages(_), _) => {
            let forecast = review.packages()?.as_ref().ok()?;
            Some(writer.span(Role::Dim, &human(forecast.download)))
        }
        (_, Reversible::No(_)) if effect != Effect::Unchanged => Some(writer.span(Role::Warning, "for good")),
        _ => None,
    }
}

fn proofs(plan: &Plan, writer: &mut ViewBuilder<'_>) {
    if plan.proofs.is_empty() {
        return;
    }
    writer.blank();
    let title = writer.span(Role::Heading, "Then it is verified that");
    writer.line(vec![title]);
    for proof in &plan.proofs {
        writer.note(Role::Value, Sign::Bullet, 2, &proof.describe);
    }
}

fn buttons(reviewed: Reviewed<'_>, obstacles: usize, writer: &mut ViewBuilder<'_>) {
    if obstacles > 0 {
        let says = if obstacles == 1 { "one problem" } else { "some problems" };
        writer.note(Role::Dim, Sign::Bad, 0, &format!("Cannot start yet: {says}, see the top of this page."));
    } else if !reviewed.review.is_compared() {
        writer.note(Role::Dim, Sign::Working, 0, "You can start once the plan has been compared with this server.");
    } else if reviewed.can_start() {
        start(reviewed, writer);
    }
    writer.button(SAVE, "Save the answers and leave");
    writer.button(BACK, "Back");
}

/// The button, with what happens then.
fn start(reviewed: Reviewed<'_>, writer: &mut ViewBuilder<'_>) {
    let stop = Focus::Button(START);
    let from = writer.row();
    let role = if writer.at(&stop) { Role::Focus } else { Role::Value };
    let (label, says) = if reviewed.waits() {
        let says = "The run continues with them. What they no longer ask for is rolled back.";
        ("[ Continue with these answers ]", says.to_owned())
    } else {
        let all = reviewed.review.for_good().is_empty();
        let undo = if all { "`bringup rollback` undoes them" } else { "most can be undone" };
        ("[ Start ]", format!("Changes begin at once. Closing the terminal does not stop them; {undo}."))
    };
    let label = writer.span(role, label);
    writer.stop_line(&stop, vec![label], None);
    writer.prose(Role::Dim, 4, &says);
    writer.stop(stop, from);
}
