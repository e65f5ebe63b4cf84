//! A requested run, from its answers to the executing process: one path for the command line, the wizard and line mode.

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
    /// Generated secrets to be replaced by a new value.
    pub rotate: BTreeSet<String>,
    /// Whether a secret whose variable or file is gone keeps its value, as for the answers of an earlier run.
    pub keeps_secrets: bool,
}

/// The result.
#[derive(Debug)]
pub enum Launched {
    /// Every action is unchanged. `proven` is false where a proof of the run in place had failed.
    NothingToDo {
        /// Whether the proofs passed when they were last tried.
        proven: bool,
    },
    /// Its process runs.
    Started(RunDir),
}

impl Request {
    /// Makes the plan of these answers.
    pub fn new(guide: Guide, facts: &Facts, resolved: Resolved, on_failure: OnFailure) -> Result<Self, Vec<Problem>> {
        let plan = build(&guide, facts, &resolved)?;
        Ok(Self { guide, resolved, plan, on_failure, rotate: BTreeSet::new(), keeps_secrets: false })
    }

    /// Marks in the plan which secrets keep a value that the answers do not ask for.
    pub fn note_kept_secrets(&mut self, host: &dyn Host) {
        let mut kept = secret_store::load(host, &self.plan.application());
        for name in &self.rotate {
            kept.remove(name);
        }
        self.plan.warnings.extend(secret_store::notes(&kept, &self.resolved.secrets));
    }

    /// Checks everything that can be known before the first change, and starts the executing process.
    pub fn launch(&self, host: &dyn Host) -> Result<Launched, Vec<Problem>> {
        let mut sources = self.resolved.secrets.clone();
        if self.keeps_secrets {
            secret_store::keep_unavailable(host, &self.plan.application(), &mut sources);
        }
        match check_rotating(host, &self.plan, &sources, &self.rotate)? {
            Checked::NothingToDo { proven } => Ok(Launched::NothingToDo { proven }),
            Checked::Go(ready) => start(host, &self.guide, &self.resolved, &self.plan, self.on_failure, &ready)
                .map(Launched::Started)
                .map_err(|failure| vec![Problem::in_step("", &failure)]),
        }
    }
}
