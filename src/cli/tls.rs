//! `bringup tls retry`: asks again for a certificate that an authority did not issue.

use crate::cli::runs::{follow, with_runs};
use crate::cli::{Output, answers};
use crate::engine::launch::{self, Again};
use crate::engine::runs::{self, RunStatus};
use crate::error::Exit;
use crate::host::Host;
use crate::ui::stdio;

/// Asks again, as a run of its own: it fails and is taken back when there is still no certificate.
pub(super) fn retry(host: &dyn Host, output: Output) -> Exit {
    with_runs(host, |all| {
        let asks = |run: &&runs::Run| {
            let is_over = !matches!(run.state, RunStatus::Running);
            is_over && run.dir.plan(host).is_ok_and(|plan| launch::asks_an_authority(&plan))
        };
        let Some(run) = runs::standing(all).rev().find(asks) else {
            stdio::error(
                "No run that stands asks an authority for a certificate: there is nothing to retry.\n\
                 To have one issued, answer tls.mode with acme.\n",
            );
            return Ok(Exit::Rejected);
        };
        match launch::again(host, all, run) {
            Ok(Again::NothingToDo) => {
                stdio::print(
                    "Nothing to do: the certificate is there. `bringup verify` proves that it can be renewed.\n",
                );
                Ok(Exit::Done)
            }
            Ok(Again::Started(dir)) => Ok(follow(host, &dir, output)),
            Err(problems) => Ok(answers::refuse(&problems, output)),
        }
    })
}
