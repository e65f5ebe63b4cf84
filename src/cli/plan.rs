//! `plan`: what would be done, and what of it is done already. Changes nothing.

use std::path::Path;

use serde_json::json;

use crate::action::Verdict;
use crate::cli::{Inputs, Output, answers, plan_inputs};
use crate::engine::launch;
use crate::engine::secret_store;
use crate::error::Exit;
use crate::facts::probe::probe;
use crate::host::Host;
use crate::plan::preview::{GuideChecks, packages, preview, render};
use crate::ui::{stdio, tty_caps};

/// Shows the plan.
pub(super) fn show(host: &dyn Host, given: &Inputs, facts: Option<&Path>, checks: GuideChecks, output: Output) -> Exit {
    let elsewhere = facts.is_some();
    let facts = match facts.map(|path| plan_inputs::facts_from(host, path)) {
        Some(Err(problems)) => return answers::refuse(&problems, output),
        Some(Ok(facts)) => facts,
        None => probe(host),
    };
    let mut made = match plan_inputs::make(host, given, &facts) {
        Ok(made) => made,
        Err(problems) => return answers::refuse(&problems, output),
    };
    made.note_kept_secrets(host);
    let mut secrets = secret_store::load(host, &made.plan.application());
    for (name, value) in secret_store::rotated(host, &made.resolved.secrets, &made.rotate).iter() {
        secrets.insert(name, value.clone());
    }
    let (verdicts, packages) = std::thread::scope(|scope| {
        let packages = scope.spawn(|| packages(host, &made.plan));
        (preview(host, &made.plan, &secrets, checks), packages.join().unwrap_or_default())
    });
    // Facts of another machine say nothing of whose the things there are.
    let problems =
        if elsewhere { Vec::new() } else { launch::foreseen(host, &made.plan, &verdicts, packages.as_ref()) };
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
            json!({ "hash": hash, "plan": made.plan, "host": states, "packages": packages, "problems": problems });
        stdio::json(&format!("{shown:#}\n"));
    } else {
        stdio::print(&render(&made.plan, &verdicts, packages.as_ref(), tty_caps::width(host), tty_caps::colour(host)));
    }
    if !problems.is_empty() {
        if !output.json {
            stdio::error("\nA run would be refused:\n");
            for problem in &problems {
                stdio::error(&format!("error: {problem}\n"));
            }
        }
        return Exit::Rejected;
    }
    let pending = verdicts.iter().any(|(_, verdict)| !matches!(verdict, Ok(Verdict::Unchanged | Verdict::NotAsked(_))));
    if pending { Exit::ChangesPending } else { Exit::Done }
}
