//! Proofs: functional checks of the result. "active" proves nothing; a page, a row, a job does.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::Outcome;
use crate::host::Host;
use crate::secret::Secrets;

pub mod command;
pub mod database_roundtrip;
mod firewall;
pub mod http;
pub mod lanes;
pub mod ports;
pub mod private;
pub mod queue_roundtrip;
pub mod renewal;
pub mod resolves;
pub mod service;
mod sshd;
pub mod tcp;
pub mod timer;
pub mod upload;

/// How the evidence of a proof begins that neither passed nor failed, since what it is about could not be tried.
pub const NOT_TRIED: &str = "not tried: ";

/// What could not be tried, and why; none where the evidence is of something that was.
pub fn not_tried(evidence: &str) -> Option<&str> {
    evidence.strip_prefix(NOT_TRIED)
}

/// What a proof works with.
pub struct Context<'a> {
    /// The server.
    pub host: &'a dyn Host,
    /// Values for the placeholders in the plan.
    pub secrets: &'a Secrets,
}

/// The one verb of a proof.
pub trait Prove {
    /// What is proven, as a statement: "the page answers over TLS".
    fn describe(&self) -> String;
    /// Tries once. The evidence is one line that a reader can believe: "200, 1,204 bytes, certificate valid
    /// for app.example.org until 2027-11-21". Where it begins with [`NOT_TRIED`], nothing was proven.
    fn prove(&self, cx: &Context<'_>) -> Outcome<String>;
    /// How long to keep trying, since services need time to come up.
    fn retry_for(&self) -> Duration {
        Duration::from_secs(30)
    }
    /// Whether it depends on no other proof, and can be tried at the same time as any.
    fn independent(&self) -> bool {
        false
    }
    /// Whether it is also tried before anything is changed.
    fn preflight(&self) -> bool {
        false
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
    #[serde(rename = "job", alias = "queue_roundtrip")]
    QueueRoundtrip(queue_roundtrip::QueueRoundtrip),
    #[serde(rename = "listens", alias = "ports")]
    Ports(ports::Ports),
    Private(private::Private),
    Renewal(renewal::Renewal),
    Resolves(resolves::Resolves),
    #[serde(rename = "row", alias = "database_roundtrip")]
    DatabaseRoundtrip(database_roundtrip::DatabaseRoundtrip),
    Service(service::Running),
    Sshd(crate::action::sshd::Sshd),
    Tcp(tcp::Tcp),
    Timer(timer::Timer),
    Upload(upload::Upload),
}

impl Proof {
    /// The kinds' names as a guide writes them.
    pub const KINDS: &'static [&'static str] = &[
        "command",
        "database_roundtrip",
        "firewall",
        "http",
        "ports",
        "private",
        "queue_roundtrip",
        "renewal",
        "resolves",
        "service",
        "sshd",
        "tcp",
        "timer",
        "upload",
    ];

    /// The verb of whichever kind it is.
    pub fn prover(&self) -> &dyn Prove {
        match self {
            Self::Command(p) => p,
            Self::Firewall(p) => p,
            Self::Http(p) => p,
            Self::QueueRoundtrip(p) => p,
            Self::Ports(p) => p,
            Self::Private(p) => p,
            Self::Renewal(p) => p,
            Self::Resolves(p) => p,
            Self::DatabaseRoundtrip(p) => p,
            Self::Service(p) => p,
            Self::Sshd(p) => p,
            Self::Tcp(p) => p,
            Self::Timer(p) => p,
            Self::Upload(p) => p,
        }
    }
}
