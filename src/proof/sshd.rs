//! `sshd`: the SSH server answers where the plan says and nowhere else, and refuses who comes without a key where only
//! keys are taken. Its fields are those of the action.

use std::time::Duration;

use crate::action::sshd::Sshd;
use crate::error::{Failure, Outcome};
use crate::proof::{Context, Prove};

impl Prove for Sshd {
    fn describe(&self) -> String {
        let how = if self.keys_only { ", with keys only" } else { "" };
        format!("SSH is reached on port {}{how}", self.port)
    }

    fn prove(&self, cx: &Context<'_>) -> Outcome<String> {
        if cx.host.euid() != 0 {
            return Err(Failure::new("look at SSH", "only root sees its configuration").hint("run it with sudo"));
        }
        Self::prove(self, cx.host)
    }

    /// The action has waited for it.
    fn retry_for(&self) -> Duration {
        Duration::from_secs(5)
    }
}
