//! `plan`: what would be done, and what of it is done already. Changes nothing.

use std::path::Path;

use serde_json::json;

use crate::action::Verdict;
use crate::cli::{Inputs, Output, answers, inputs};
use crate::engine::launch::running::{Tests, broken_servers};
use crate::error::Exit;
use crate::facts::probe::probe;
use crate::host::Host;
use crate::plan::preview::{packages, preview, render};
use crate::secret::store;
use crate::ui::{out, term};

/// Shows the plan.
pub(super) fn show(host: &dyn Host, given: &Inputs, facts: Option<&Path>, output: Output) -> Exit {
    let facts = match facts.map(|path| inputs::facts_from(host, path)) {
        Some(Err(problems)) => return answers::refuse(&problems, output),
        Some(Ok(facts)) => facts,
        None => probe(host),
    };
    let mut made = match inputs::make(host, given, &facts) {
        Ok(made) => made,
        Err(problems) => return answers::refuse(&problems, output),
    };
    made.note_kept_secrets(host);
    let mut secrets = store::load(host, &made.plan.guide);
    for (name, value) in store::rotated(host, &made.resolved.secrets, &made.rotate).iter() {
        secrets.insert(name, value.clone());
    }
    let (verdicts, packages) = std::thread::scope(|scope| {
        let packages = scope.spawn(|| packages(host, &made.plan));
        (preview(host, &made.plan, &secrets), packages.join().unwrap_or_default())
    });
    let refused = broken_servers(host, &made.plan, &verdicts, Tests::Own);
    if output.json {
        let states: Vec<_> = verdicts
            .iter()
            .map(|(id, verdict)| match verdict {
                Ok(verdict) => json!({ "action": id, "verdict": verdict }),
                Err(failure) => json!({ "action": id, "failure": failure }),
            })
            .collect();
        let packages = packages.map(|forecast| match forecast {
            Ok(forecast) => json!(forecast),
            Err(failure) => json!({ "failure": failure }),
        });
        let hash = made.plan.hash();
        let shown =
            json!({ "hash": hash, "plan": made.plan, "host": states, "packages": packages, "refused": refused });
        out::json(&format!("{shown:#}\n"));
    } else {
        out::print(&render(&made.plan, &verdicts, packages.as_ref(), term::width(host), term::colour(host)));
        if !refused.is_empty() {
            out::error("\nA run of this plan would be refused now:\n");
            answers::refuse(&refused, output);
        }
    }
    let pending = verdicts.iter().any(|(_, verdict)| !matches!(verdict, Ok(Verdict::AlreadySo)));
    if pending { Exit::ChangesPending } else { Exit::Done }
}
