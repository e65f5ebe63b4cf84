//! What of a plan is done already and what would change: every action checked against the host, read-only.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::action::packages::forecast::{Forecast, forecast};
use crate::action::{Action, Cx, Verdict};
use crate::engine::undo::Blobs;
use crate::error::{Failure, Outcome};
use crate::host::Host;
use crate::plan::Plan;
use crate::secret::Secrets;

pub use render::{render, summary};

mod render;

/// Every action's id with what its check found, in the order of the plan.
pub type Verdicts = Vec<(String, Outcome<Verdict>)>;

/// How many checks wait for commands at once; they mostly wait, so more than there are processors.
const AT_ONCE: usize = 8;

/// What the plan's package transaction would bring now; none when the plan has no packages, or all are there.
pub fn packages(host: &dyn Host, plan: &Plan) -> Option<Outcome<Forecast>> {
    let packages = plan.actions.iter().find_map(|planned| match &planned.action {
        Action::Packages(packages) => Some(packages),
        _ => None,
    })?;
    let forecast = forecast(host, &packages.names, packages.recommends);
    (!forecast.as_ref().is_ok_and(|forecast| forecast.packages.is_empty())).then_some(forecast)
}

/// Checks every action against the host, several at once. Changes nothing.
pub fn preview(host: &dyn Host, plan: &Plan, secrets: &Secrets) -> Verdicts {
    let next = AtomicUsize::new(0);
    let found: Mutex<BTreeMap<usize, Outcome<Verdict>>> = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(plan.actions.len()) {
            scope.spawn(|| {
                let blobs = Blobs::new("/nonexistent");
                let cx = Cx {
                    host,
                    secrets,
                    blobs: &blobs,
                    log: Path::new("/dev/null"),
                    changed: &|_| false,
                    way_back: &|_| Vec::new(),
                    progress: &|_| {},
                };
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(planned) = plan.actions.get(at) else { break };
                    let verdict = planned.action.act().check(&cx);
                    if let Ok(mut found) = found.lock() {
                        found.insert(at, verdict);
                    }
                }
            });
        }
    });
    let mut found = found.into_inner().unwrap_or_default();
    plan.actions
        .iter()
        .enumerate()
        .map(|(at, planned)| {
            let verdict = found
                .remove(&at)
                .unwrap_or_else(|| Err(Failure::new(format!("check {}", planned.id), "the check did not end")));
            (planned.id.clone(), verdict)
        })
        .collect()
}
