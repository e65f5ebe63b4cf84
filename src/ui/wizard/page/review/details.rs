//! One action in full: why, its diff or its packages, and whether it can be taken back.

use crate::action::{Action, Reversible, Verdict};
use crate::error::Outcome;
use crate::human_bytes::human;
use crate::plan::Planned;
use crate::secret::legible;
use crate::system::packages::forecast::{Arrival, Forecast};
use crate::ui::text;
use crate::ui::wizard::model::review::Review;
use crate::ui::wizard::overlay::Line;
use crate::ui::wizard::theme::Role;

/// What it does. The check often says the same with a detail more: who will own it, which packages are missing.
pub fn headline<'a>(review: &'a Review, at: usize, planned: &'a Planned) -> &'a str {
    match review.verdict(at) {
        Some(Ok(Verdict::WouldChange(change))) if change.summary.starts_with(&planned.describe) => &change.summary,
        _ => &planned.describe,
    }
}

/// Everything there is to say about the action at this place.
pub fn lines(review: &Review, at: usize) -> Vec<Line> {
    let Some(planned) = review.plan().and_then(|plan| plan.actions.get(at)) else { return Vec::new() };
    let mut lines = vec![
        Line::Prose(Role::Heading, headline(review, at, planned).to_owned()),
        Line::Prose(Role::Value, planned.reason.clone()),
    ];
    match &planned.reversible {
        Reversible::Yes => {}
        Reversible::WithData => {
            lines.push(Line::Prose(Role::Dim, "Rolling it back saves the data to a file first.".to_owned()));
        }
        Reversible::No(why) => lines.push(Line::Prose(Role::Warning, format!("This cannot be rolled back: {why}"))),
    }
    match review.verdict(at) {
        None => lines.push(Line::Prose(Role::Dim, "Being compared with this server.".to_owned())),
        Some(Err(failure)) => lines.push(Line::Prose(Role::Warning, format!("Cannot tell yet: {}", failure.why))),
        Some(Ok(Verdict::Unchanged)) => lines.push(Line::Prose(Role::Good, "Already in place.".to_owned())),
        Some(Ok(Verdict::NotAsked(_))) => {
            let told = "A command of the guide checks this when the run starts.";
            lines.push(Line::Prose(Role::Dim, told.to_owned()));
        }
        Some(Ok(Verdict::WouldChange(change))) => {
            lines.push(Line::Blank);
            match &change.diff {
                Some(diff) => lines.extend(Line::diff(&legible(diff))),
                None if change.summary.starts_with(&planned.describe) => {}
                None => lines.push(Line::Prose(Role::Value, change.summary.clone())),
            }
        }
    }
    if let (Action::Packages(_), Some(forecast)) = (&planned.action, review.packages()) {
        packages(forecast, &mut lines);
    }
    lines
}

fn packages(forecast: &Outcome<Forecast>, lines: &mut Vec<Line>) {
    let forecast = match forecast {
        Ok(forecast) => forecast,
        Err(failure) => {
            lines.push(Line::Prose(Role::Warning, failure.to_string()));
            lines.extend(failure.hint.iter().map(|hint| Line::Prose(Role::Dim, hint.clone())));
            return;
        }
    };
    lines.push(Line::Prose(Role::Value, format!("{forecast}.")));
    let (asked, needed): (Vec<&Arrival>, Vec<&Arrival>) = forecast.packages.iter().partition(|package| package.asked);
    for (title, group) in [("Requested", asked), ("Their dependencies", needed)] {
        if group.is_empty() {
            continue;
        }
        lines.extend([Line::Blank, Line::Exact(Role::Heading, title.to_owned())]);
        lines.extend(table(&group));
    }
}

/// Name, version and size below each other.
fn table(packages: &[&Arrival]) -> impl Iterator<Item = Line> {
    let longest = |of: fn(&Arrival) -> &str| packages.iter().map(|package| text::width(of(package))).max().unwrap_or(0);
    let (names, versions) = (longest(|package| &package.name), longest(|package| &package.version));
    packages.iter().map(move |package| {
        let size = if package.download == 0 { "fetched".to_owned() } else { human(package.download) };
        let replaces = package.replaces.as_ref().map(|old| format!("  instead of {old}")).unwrap_or_default();
        let row = format!("{:<names$}  {:<versions$}  {size:>7}{replaces}", package.name, package.version);
        Line::Exact(Role::Value, row)
    })
}
