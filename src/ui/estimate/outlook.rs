//! How long a run is likely to take, shown before it starts: from earlier runs on this server, from the sizes of the
//! packages, and else from typical times. Steps without any of these are named, not guessed.

use std::time::Duration;

use super::{FINISH, expected::Expected, float};
use crate::action::Action;
use crate::plan::Plan;
use crate::plan::tally::Effect;
use crate::system::packages::forecast::Forecast;
use crate::ui::messages;

/// Of the steps that nothing is known of, so many are named.
const NAMED: usize = 2;

/// How long a run is likely to take.
#[derive(Clone, Debug, PartialEq)]
pub struct Outlook {
    /// The steps of which something is known.
    about: Duration,
    /// Half of that or more was measured on this server.
    measured: bool,
    /// What the other steps do.
    unknown: Vec<String>,
}

impl Outlook {
    /// For the actions of a plan that change something, or may. `packages` is what apt would install.
    pub fn of(plan: &Plan, expected: &Expected, effect: impl Fn(usize) -> Effect, packages: Option<&Forecast>) -> Self {
        let (mut millis, mut measured, mut unknown) = (FINISH, 0.0, Vec::new());
        let mut add = |time: f64, is_measured: bool| {
            millis += time;
            measured += if is_measured { time } else { 0.0 };
        };
        for (at, planned) in plan.actions.iter().enumerate() {
            match (effect(at), &planned.action, packages) {
                (Effect::Unchanged, ..) => {}
                (_, Action::Packages(_), Some(forecast)) => {
                    let (each, rate) = (expected.per_package(), expected.rate());
                    add(each.millis * float(forecast.packages.len() as u64), each.measured);
                    add(float(forecast.download) / rate.0, rate.1);
                }
                _ => match expected.step(&planned.id) {
                    Some(likely) => add(likely.millis, likely.measured),
                    None => unknown.push(planned.describe.clone()),
                },
            }
        }
        for proof in &plan.proofs {
            if let Some(likely) = expected.step(&proof.id) {
                add(likely.millis, likely.measured);
            }
        }
        Self { about: Duration::from_secs_f64(millis / 1_000.0), measured: measured * 2.0 >= millis, unknown }
    }

    /// "about 2 min, as measured on this server".
    pub fn words(&self) -> String {
        let about = messages::about(self.about);
        let from = if self.measured { "as measured on this server" } else { "based on typical times" };
        let mut words = format!("{about}, {from}");
        if !self.unknown.is_empty() {
            let named: Vec<&str> = self.unknown.iter().take(NAMED).map(String::as_str).collect();
            words = format!("{words}; longer for steps that never ran here: {}", named.join("; "));
            let more = self.unknown.len().saturating_sub(NAMED);
            if more > 0 {
                words = format!("{words}; and {more} more");
            }
        }
        words
    }
}
