//! What earlier runs on this server mean for a plan.

use super::Expected;
use crate::engine::drift::{Drift, drift};
use crate::engine::runs;
use crate::host::Host;
use crate::plan::Plan;

/// What earlier runs mean for a plan.
#[derive(Clone, Debug, Default)]
pub struct Past {
    /// How long its steps are likely to take.
    pub expected: Expected,
    /// Files of this application that were changed outside bringup since the runs wrote them.
    pub drift: Vec<Drift>,
    /// Why that is unknown.
    pub untold: Option<String>,
}

impl Past {
    /// Reads it. Changes nothing.
    pub fn read(host: &dyn Host, plan: &Plan) -> Self {
        let expected = Expected::before(host, plan, None);
        match runs::all(host, None) {
            Ok(all) => Self { expected, drift: drift(host, &all, &plan.application()).1, untold: None },
            Err(failure) => Self { expected, drift: Vec::new(), untold: Some(failure.why) },
        }
    }

    /// What others changed since the last run, as a sentence; none where that is nothing. Only root can see it.
    pub fn since(&self, root: bool) -> Option<String> {
        if let Some(why) = self.untold.as_ref().filter(|_| root) {
            return Some(format!("Cannot tell what others changed since the last run: {why}"));
        }
        let words: Vec<String> = self.drift.iter().map(Drift::words).collect();
        (!words.is_empty()).then(|| format!("{} since the last run", words.join("; ")))
    }
}
