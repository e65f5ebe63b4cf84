//! A run that somebody asks for, from its answers to the process that works: the one way for the command line, the
//! wizard and line mode.

use std::collections::BTreeSet;

use super::checks::check_rotating;
use super::{Checked, start};
use crate::answers::{OnFailure, Resolved};
use crate::engine::runs::RunDir;
use crate::engine::secret_store;
use crate::error::Problem;
use crate::facts::Facts;
use crate::guide::Guide;
use crate::host::Host;
use crate::plan::Plan;
use crate::plan::build::build;

/// Everything that a plan was made from, and the plan.
#[derive(Debug)]
pub struct Request {
    /// The guide.
    pub guide: Guide,
    /// Every answer.
    pub resolved: Resolved,
    /// The plan.
    pub plan: Plan,
    /// What to do when the run fails.
    pub on_failure: OnFailure,
    /// Generated secrets that shall have another value.
    pub rotate: BTreeSet<String>,
}

/// What came of it.
#[derive(Debug)]
pub enum Launched {
    /// Every action is already so. `proven` is false where a proof of the run that stands had failed.
    NothingToDo {
        /// Whether the proofs succeeded when they were last tried.
        proven: bool,
    },
    /// Its process works.
    Started(RunDir),
}

impl Request {
    /// Makes the plan of these answers.
    pub fn new(guide: Guide, facts: &Facts, resolved: Resolved, on_failure: OnFailure) -> Result<Self, Vec<Problem>> {
        let plan = build(&guide, facts, &resolved)?;
        Ok(Self { guide, resolved, plan, on_failure, rotate: BTreeSet::new() })
    }

    /// Says in the plan which secrets keep a value that the answers do not ask for.
    pub fn note_kept_secrets(&mut self, host: &dyn Host) {
        let mut kept = secret_store::load(host, &self.plan.application());
        for name in &self.rotate {
            kept.remove(name);
        }
        self.plan.warnings.extend(secret_store::notes(&kept, &self.resolved.secrets));
    }

    /// Checks everything that can be known before the first change, and starts the process that makes it.
    pub fn launch(&self, host: &dyn Host) -> Result<Launched, Vec<Problem>> {
        match check_rotating(host, &self.plan, &self.resolved.secrets, &self.rotate)? {
            Checked::NothingToDo { proven } => Ok(Launched::NothingToDo { proven }),
            Checked::Go(ready) => start(host, &self.guide, &self.resolved, &self.plan, self.on_failure, &ready)
                .map(Launched::Started)
                .map_err(|failure| vec![Problem::in_step("", &failure)]),
        }
    }
}
