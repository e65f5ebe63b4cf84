//! What a guide shows at the end, in the order in which a person wants it: what one needs at once, then the rest.

use crate::plan::{OutputLine, Plan};
use crate::secret::OPEN;

/// The outputs of a plan.
#[derive(Debug, Default)]
pub struct Outputs<'a> {
    /// Addresses, and what names a password.
    pub needed: Vec<&'a OutputLine>,
    /// Where everything is.
    pub others: Vec<&'a OutputLine>,
}

impl<'a> Outputs<'a> {
    /// Of a plan: addresses come first.
    pub fn of(plan: &'a Plan) -> Self {
        let secrets = secrets(plan);
        let names_one = |line: &OutputLine| secrets.iter().any(|secret| line.value.contains(secret));
        let (addresses, rest): (Vec<_>, Vec<_>) = plan.outputs.iter().partition(|line| is_address(&line.value));
        let (logins, others): (Vec<_>, Vec<_>) = rest.into_iter().partition(|line| names_one(line));
        Self { needed: addresses.into_iter().chain(logins).collect(), others }
    }
}

/// Whether this is an address that a browser takes.
pub fn is_address(value: &str) -> bool {
    value.starts_with("https://") || value.starts_with("http://")
}

/// The names of a plan's secrets.
pub fn secrets(plan: &Plan) -> Vec<&str> {
    let secret = |value: &serde_json::Value| value.as_str().is_some_and(|text| text.starts_with(OPEN));
    plan.answers.iter().filter(|answer| secret(&answer.value)).map(|answer| answer.path.as_str()).collect()
}
