//! What of a plan is done already and what would change: every action checked against the host, read-only.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::action::carry::CARRY;
use crate::action::{Action, Context, Verdict};
use crate::error::{Failure, Outcome};
use crate::host::Host;
use crate::plan::Plan;
use crate::secret::{FILL_IN, Secrets};
use crate::system::packages::forecast::{Forecast, forecast};
use crate::undo::Blobs;

pub use render::{render, summary};

mod render;

/// Every action's id with what its check found, in the order of the plan.
pub type Verdicts = Vec<(String, Outcome<Verdict>)>;

/// How many checks wait for commands at once; they mostly wait, so more than there are processors.
const AT_ONCE: usize = 8;

/// What the plan's package transaction would install now; none when the plan has no packages, or all are installed.
pub fn packages(host: &dyn Host, plan: &Plan) -> Option<Outcome<Forecast>> {
    let packages = plan.actions.iter().find_map(|planned| match &planned.action {
        Action::Packages(packages) => Some(packages),
        _ => None,
    })?;
    let forecast = forecast(host, &packages.names, packages.recommends);
    (!forecast.as_ref().is_ok_and(|forecast| forecast.packages.is_empty())).then_some(forecast)
}

/// Whether to run the check commands of a guide's `command` actions. Their effects are unknown, so a preview that
/// promises to change nothing does not run them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuideChecks {
    /// They are run.
    Run,
    /// They are not.
    Leave,
}

/// Checks every action against the host, several at once. Changes nothing, as far as the guide's own questions change
/// nothing.
pub fn preview(host: &dyn Host, plan: &Plan, secrets: &Secrets, checks: GuideChecks) -> Verdicts {
    let next = AtomicUsize::new(0);
    let found: Mutex<BTreeMap<usize, Outcome<Verdict>>> = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(plan.actions.len()) {
            scope.spawn(|| {
                let blobs = Blobs::new("/nonexistent");
                let cx = Context {
                    host,
                    secrets,
                    blobs: &blobs,
                    log: Path::new("/dev/null"),
                    changed: &|_| false,
                    carry: CARRY,
                    undo_records_of: &|_| Vec::new(),
                    progress: &|_| {},
                };
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(planned) = plan.actions.get(at) else { break };
                    let verdict = match &planned.action {
                        Action::Command(command) if checks == GuideChecks::Leave => command.question(),
                        action => action.act().check(&cx),
                    };
                    // What contains a secret that has no value yet cannot be in place.
                    let verdict = match verdict {
                        Err(failure) if failure.what == FILL_IN => Ok(Verdict::change(&planned.describe)),
                        verdict => verdict,
                    };
                    if let Ok(mut found) = found.lock() {
                        found.insert(at, verdict);
                    }
                }
            });
        }
    });
    let mut found = found.into_inner().unwrap_or_default();
    plan.actions
        .iter()
        .enumerate()
        .map(|(at, planned)| {
            let verdict = found
                .remove(&at)
                .unwrap_or_else(|| Err(Failure::new(format!("check {}", planned.id), "the check did not end")));
            (planned.id.clone(), verdict)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::host::fake::{FakeHost, output};
    use crate::plan::Planned;

    fn plan() -> Plan {
        let command = |n: u32| {
            let action: Action = serde_json::from_value(serde_json::json!({"command": {
                "describe": format!("load schema {n}"), "run": ["load"], "check": ["loaded", n.to_string()],
                "irreversible": "it stays", "user": "www-data",
            }}))
            .unwrap();
            Planned {
                id: format!("a.{n}"),
                stage: "a".into(),
                reason: String::new(),
                describe: action.act().describe(),
                reversible: action.act().reversible(),
                skip_reason: None,
                action,
            }
        };
        Plan { actions: vec![command(1), command(2)], ..Plan::new("t", "T") }
    }

    #[test]
    fn what_has_no_password_yet_would_change() {
        let host = FakeHost::debian("bookworm");
        let mut plan = plan();
        plan.actions[0].action = serde_json::from_value(serde_json::json!({"rabbitmq": {
            "user": "shop", "vhost": "shop", "password": crate::secret::mark("broker.password"),
        }}))
        .unwrap();
        let verdict = |secrets: &Secrets| preview(&host, &plan, secrets, GuideChecks::Leave)[0].1.clone();
        assert!(matches!(verdict(&Secrets::default()), Ok(Verdict::WouldChange(_))));
        let mut secrets = Secrets::default();
        secrets.insert("broker.password", crate::secret::Secret::new("x"));
        assert!(matches!(verdict(&secrets), Ok(Verdict::WouldChange(_))));
    }

    #[test]
    fn whoever_only_looks_runs_no_command_of_the_guide() {
        let host = FakeHost::new();
        host.on(&["loaded", "1"], |host, _| {
            host.put_file("/etc/touched", "", 0o644);
            output(0, "", "")
        });
        let plan = plan();
        let looked = preview(&host, &plan, &Secrets::default(), GuideChecks::Leave);
        assert!(host.commands().is_empty() && host.text("/etc/touched").is_none());
        let told = Verdict::NotAsked("not checked: --run-checks runs `loaded 1` as www-data".into());
        assert_eq!(looked[0].1, Ok(told));
        let asked = preview(&host, &plan, &Secrets::default(), GuideChecks::Run);
        assert_eq!(asked[0].1, Ok(Verdict::Unchanged));
        assert!(host.text("/etc/touched").is_some());
        let head = |verdicts: &Verdicts| render(&plan, verdicts, None, 80, false).lines().nth(1).unwrap().to_owned();
        assert_eq!(head(&looked), "2 actions: 0 changes (+), 2 checked during the run (?)");
        assert_eq!(head(&asked), "2 actions: 0 changes (+), 2 unchanged (=)");
    }
}
