//! The plan in short: how much it changes, what comes with it, who can reach it, what stays for good.

use crate::action::firewall::Firewall;
use crate::answers::interview::Interview;
use crate::facts::Application;
use crate::plan::Plan;
use crate::proof::ports::Exposure;
use crate::state_dir::STATE_DIR;
use crate::ui::text;
use crate::ui::wizard::model::review::{Review, Reviewed};
use crate::ui::wizard::overlay::typed_secrets;
use crate::ui::wizard::theme::{Role, Sign};
use crate::ui::wizard::view::ViewBuilder;

/// Where values begin.
const VALUES: usize = 9;

/// Writes it. `ready`: nothing is in the way.
pub fn write(reviewed: Reviewed<'_>, plan: &Plan, ready: bool, writer: &mut ViewBuilder<'_>) {
    let review = reviewed.review;
    headline(review, plan, ready, writer);
    if let Some(since) = review.past().and_then(|past| past.since(reviewed.root)) {
        entry("Since", &since, writer);
    }
    if let Some(outlook) = review.outlook() {
        entry("Takes", &outlook.words(), writer);
    }
    let brings = plan.brings();
    entry("Packages", &packages(review), writer);
    let ports = |scope| {
        let ports = plan.ports().into_iter().filter(|port| port.on == scope);
        ports.map(|port| format!("{} {}", port.port, port.name)).collect::<Vec<_>>().join("; ")
    };
    let open = ports(Exposure::Any);
    entry(
        "Open",
        &if open.is_empty() { "no port to the outside".to_owned() } else { format!("to everybody: {open}") },
        writer,
    );
    let local = ports(Exposure::Loopback);
    if !local.is_empty() {
        entry("", &format!("to this server only: {local}"), writer);
    }
    let firewall = plan.firewall().map_or_else(|| "not set up".to_owned(), Firewall::summary);
    entry("Firewall", &firewall, writer);
    entry("Users", &brings.users.join(", "), writer);
    let services: Vec<&str> =
        brings.services.iter().map(|name| name.split_once(':').map_or(name.as_str(), |(_, name)| name)).collect();
    entry("Services", &services.join(", "), writer);
    let beside: Vec<String> = plan.beside.iter().map(Application::words).collect();
    entry("Beside", &beside.iter().map(|other| format!("{other} (stays)")).collect::<Vec<_>>().join("; "), writer);
    undo(review, writer);
    let run = reviewed.waiting.and_then(|run_view| run_view.run.clone());
    let run = run.unwrap_or_else(|| format!("…-{}", plan.guide));
    entry("Answers", &format!("{STATE_DIR}/runs/{run}/answers.yaml (root)"), writer);
    entry("Replay", &replay(reviewed.interview), writer);
    for warning in &plan.warnings {
        let about = warning.split_once(": ").map_or(warning.as_str(), |(_, says)| says);
        writer.note(Role::Warning, Sign::Warning, 0, about);
    }
}

fn headline(review: &Review, plan: &Plan, ready: bool, writer: &mut ViewBuilder<'_>) {
    let tally = review.tally();
    let total = tally.total();
    if review.is_looking() {
        let says = format!("Comparing {} actions with this server.", plan.actions.len());
        writer.note(Role::Dim, Sign::Working, 0, &says);
    } else if review.is_idle() {
        let says = format!("Nothing to change: {tally} ({total}). `bringup verify` runs the proofs again.");
        writer.note(Role::Good, Sign::Good, 0, &says);
    } else if ready {
        let says = format!("Ready: {tally} ({total}). Press Tab for Start.");
        writer.note(Role::Good, Sign::Good, 0, &says);
    } else {
        writer.prose(Role::Value, 0, &format!("The plan: {tally} ({total})."));
    }
}

fn packages(review: &Review) -> String {
    match review.packages() {
        Some(Ok(forecast)) => forecast.to_string(),
        Some(Err(failure)) => match &failure.hint {
            Some(hint) => format!("{failure}; {hint}"),
            None => failure.to_string(),
        },
        None if review.is_forecast() => "none to install".to_owned(),
        None => "asking apt …".to_owned(),
    }
}

fn undo(review: &Review, writer: &mut ViewBuilder<'_>) {
    let for_good = review.for_good();
    if for_good.is_empty() {
        entry("Undo", "all of it, with `bringup rollback`", writer);
    } else {
        let what: Vec<&str> = for_good.iter().map(|planned| planned.describe.as_str()).collect();
        entry("Undo", &format!("not: {}; the rest with `bringup rollback`", what.join(", ")), writer);
    }
}

/// The command that does the same again.
fn replay(interview: Option<&Interview>) -> String {
    let secrets = interview.map(typed_secrets).unwrap_or_default();
    if secrets.is_empty() {
        return "sudo bringup --answers FILE".to_owned();
    }
    let keep = secrets.join(",");
    format!("sudo --preserve-env={keep} bringup --answers FILE, with typed passwords in these variables")
}

/// A label with its value beside it, in as many lines as it takes; nothing without a value.
fn entry(label: &str, value: &str, writer: &mut ViewBuilder<'_>) {
    if value.is_empty() {
        return;
    }
    let mut label = text::pad(label, VALUES);
    for line in text::wrap(&writer.clean(value), writer.width().saturating_sub(VALUES).max(8)) {
        let (head, rest) = (writer.span(Role::Dim, &label), writer.span(Role::Value, &line));
        writer.line(vec![head, rest]);
        label = " ".repeat(VALUES);
    }
}
