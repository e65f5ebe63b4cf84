//! Services that stay because others use them read their configuration again when a part of it was rolled back.

use std::collections::BTreeSet;

use crate::action::carry::CARRY;
use crate::action::service::Service;
use crate::action::{Act, Action, Context, firewall};
use crate::engine::rollback::shared::Used;
use crate::engine::runs::RunDir;
use crate::error::Failure;
use crate::host::Host;
use crate::secret::Secrets;
use crate::undo::Undo;

/// Closes what only this run had opened in a firewall that stays for others.
pub fn firewalls(host: &dyn Host, deferred: &[Undo]) -> Vec<Failure> {
    let managers: BTreeSet<&str> = deferred
        .iter()
        .filter_map(|undo| match undo {
            Undo::Firewall { manager, .. } => Some(manager.as_str()),
            _ => None,
        })
        .collect();
    managers.into_iter().filter_map(|manager| firewall::close(host, manager).err()).collect()
}

/// Restarts or reloads, as the run's plan says, the services whose records were left for `users`, where actions of this
/// run that they depend on were rolled back (`carried`). Tests their configuration first.
pub fn services(host: &dyn Host, dir: &RunDir, carried: &BTreeSet<String>, users: &[&Used]) -> Vec<Failure> {
    if users.is_empty() || carried.is_empty() {
        return Vec::new();
    }
    // Without its plan, the service reads the rest at its next start.
    let Ok(plan) = dir.plan(host) else { return Vec::new() };
    let mut failures = Vec::new();
    for planned in &plan.actions {
        let Action::Service(service) = &planned.action else { continue };
        let name = format!("{}:{}", service.manager.name(), service.name);
        // A service that an administrator stopped stays stopped.
        let runs = service.manager.state(host, &service.name).is_ok_and(|state| state.active);
        if !runs || !users.iter().any(|user| user.has(&name)) {
            continue;
        }
        // Sites of others are not ours to check here: nothing of ours could be rolled back to repair them any more.
        let service = Service { sites: None, ..service.clone() };
        let cx = Context {
            host,
            secrets: &Secrets::default(),
            blobs: &dir.blobs(),
            log: &dir.log("settle"),
            changed: &|action| carried.contains(action),
            carry: CARRY,
            undo_records_of: &|_| Vec::new(),
            progress: &|_| {},
        };
        failures.extend(service.apply(&cx).err());
    }
    failures
}
