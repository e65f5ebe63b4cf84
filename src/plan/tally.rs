//! What a plan or a run comes to, counted once for every screen: actions, of which those that change the server are
//! changes, and proofs.

use std::fmt;

use crate::action::Verdict;
use crate::error::Outcome;
use crate::plan::Plan;

/// What one action does to this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It is being looked at.
    Unknown,
    /// Something comes that is not there.
    New,
    /// Something that is there becomes another.
    Changed,
    /// Nothing.
    Unchanged,
    /// Only the run can determine it.
    Untold,
}

impl Effect {
    /// By what the action's check came to; none while it is made.
    pub fn of(verdict: Option<&Outcome<Verdict>>) -> Self {
        match verdict {
            None => Self::Unknown,
            Some(Err(_) | Ok(Verdict::NotAsked(_))) => Self::Untold,
            Some(Ok(Verdict::Unchanged)) => Self::Unchanged,
            Some(Ok(Verdict::WouldChange(change))) => match &change.diff {
                Some(diff) if !diff.starts_with("--- /dev/null") => Self::Changed,
                _ => Self::New,
            },
        }
    }
}

/// How many there are of each. Before the run they are expected, after it they are what was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// All actions.
    pub actions: usize,
    /// Those that change the server.
    pub changes: usize,
    /// Those that find it as it should be.
    pub unchanged: usize,
    /// Those that only the run can determine.
    pub untold: usize,
    /// All proofs.
    pub proofs: usize,
}

impl Tally {
    /// Of a plan that was compared with the server.
    pub fn expected<'a>(plan: &Plan, verdicts: impl IntoIterator<Item = &'a Outcome<Verdict>>) -> Self {
        let mut tally = Self { actions: plan.actions.len(), proofs: plan.proofs.len(), ..Self::default() };
        for verdict in verdicts {
            match Effect::of(Some(verdict)) {
                Effect::New | Effect::Changed => tally.changes += 1,
                Effect::Unchanged => tally.unchanged += 1,
                Effect::Unknown | Effect::Untold => tally.untold += 1,
            }
        }
        tally
    }

    /// "20 actions, 8 proofs".
    pub fn total(self) -> String {
        let actions = number(self.actions, "action");
        if self.proofs == 0 { actions } else { format!("{actions}, {}", number(self.proofs, "proof")) }
    }
}

/// "31 changes, 1 unchanged, 1 checked during the run".
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&number(self.changes, "change"))?;
        if self.unchanged > 0 {
            write!(f, ", {} unchanged", self.unchanged)?;
        }
        if self.untold > 0 {
            write!(f, ", {} checked during the run", self.untold)?;
        }
        Ok(())
    }
}

/// "1 change", "3 changes".
pub fn number(count: usize, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}
