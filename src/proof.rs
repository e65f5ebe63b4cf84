//! Proofs: functional checks of the result. "active" proves nothing; a page, a row, a job does.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::Outcome;
use crate::host::Host;
use crate::secret::Secrets;

pub mod client;
pub mod command;
mod firewall;
pub mod http;
pub mod job;
pub mod listens;
pub mod renewal;
pub mod row;
pub mod service;
pub mod tcp;
pub mod tls;
pub mod wire;

/// What a proof works with.
pub struct Cx<'a> {
    /// The machine.
    pub host: &'a dyn Host,
    /// Values for the marks in the plan.
    pub secrets: &'a Secrets,
}

/// The one verb of a proof.
pub trait Prove {
    /// What is proven, as a statement: "the page answers over TLS".
    fn describe(&self) -> String;
    /// Tries once. The evidence is one line that a reader can believe: "200, 1,204 bytes, certificate valid
    /// for app.example.org until 2027-11-21".
    fn prove(&self, cx: &Cx<'_>) -> Outcome<String>;
    /// Whether it is tried before anything is changed; a failure then refuses the plan (exit 1).
    fn before(&self) -> bool {
        false
    }

    /// How long to keep trying, since services need time to come up.
    fn patience(&self) -> Duration {
        Duration::from_secs(30)
    }
}

/// Every kind of proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Proof {
    Command(command::Checked),
    Firewall(crate::action::firewall::Firewall),
    Http(http::Http),
    Job(job::Job),
    Listens(listens::Listens),
    Renewal(renewal::Renewal),
    Row(row::Row),
    Service(service::Running),
    Tcp(tcp::Tcp),
}

impl Proof {
    /// The kinds' names as a guide writes them.
    pub const KINDS: &'static [&'static str] =
        &["command", "firewall", "http", "job", "listens", "renewal", "row", "service", "tcp"];

    /// The verb of whichever kind it is.
    pub fn prover(&self) -> &dyn Prove {
        match self {
            Self::Command(p) => p,
            Self::Firewall(p) => p,
            Self::Http(p) => p,
            Self::Job(p) => p,
            Self::Listens(p) => p,
            Self::Renewal(p) => p,
            Self::Row(p) => p,
            Self::Service(p) => p,
            Self::Tcp(p) => p,
        }
    }

    /// Tries until it succeeds or the patience ends; then the last failure.
    pub fn prove(&self, cx: &Cx<'_>) -> Outcome<String> {
        let prover = self.prover();
        let start = cx.host.now();
        let mut pause = Duration::from_millis(50);
        loop {
            let last = match prover.prove(cx) {
                Ok(evidence) => return Ok(evidence),
                Err(failure) => failure,
            };
            let waited = cx.host.now().sec.saturating_sub(start.sec);
            if u64::try_from(waited).unwrap_or(0) >= prover.patience().as_secs() {
                return Err(last);
            }
            cx.host.sleep(pause);
            pause = (pause * 2).min(Duration::from_secs(2));
        }
    }
}
