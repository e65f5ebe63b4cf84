//! `firewall`: the rules that are loaded are the plan's, and they will be again after a reboot. What reaches the
//! host from outside no host can prove by itself: `bringup probe` does that from another machine.
//!
//! Its fields are those of the action.

use std::time::Duration;

use crate::action::firewall::Firewall;
use crate::error::{Failure, Outcome};
use crate::proof::{Context, Prove};

impl Prove for Firewall {
    fn describe(&self) -> String {
        "the firewall lets in what is planned".to_owned()
    }

    fn prove(&self, cx: &Context<'_>) -> Outcome<String> {
        if cx.host.euid() != 0 {
            return Err(Failure::new("look at the firewall", "only root sees its rules").hint("run it with sudo"));
        }
        Self::prove(self, cx.host)
    }

    /// Rules do not come up by themselves.
    fn retry_for(&self) -> Duration {
        Duration::ZERO
    }
}
