//! `preflight`: is this server fit to be changed? Looks only, needs no root.

use std::path::Path;

use serde_json::json;

use crate::answers::resolve::requirements;
use crate::cli::{Output, answers};
use crate::error::Exit;
use crate::facts::probe::probe;
use crate::guide::load;
use crate::host::Host;
use crate::preflight::{Check, CheckStatus, required, run};
use crate::system::service::config::{Broken, broken_servers};
use crate::ui::{preflight, stdio, tty_caps};

/// Runs every check, and those of a guide, shipped or in a directory.
pub(super) fn show(host: &dyn Host, guide: Option<&str>, dir: Option<&Path>, output: Output) -> Exit {
    let guide = match (guide, dir) {
        (Some(id), _) => load::load(id).map(Some),
        (None, Some(dir)) => load::load_dir(host, dir).map(Some),
        (None, None) => Ok(None),
    };
    let guide = match guide {
        Ok(guide) => guide,
        Err(problems) => return answers::refuse(&problems, output),
    };
    let facts = probe(host);
    let mut checks = run(host, &facts, &|_| {});
    checks.extend(servers(host));
    if let Some(guide) = guide {
        checks.extend(required(&requirements(&guide, &facts)));
    }
    let fit = checks.iter().all(|check| check.state != CheckStatus::Problem);
    if output.json {
        stdio::json(&format!("{:#}\n", json!({ "ok": fit, "checks": checks })));
    } else {
        stdio::print(&preflight::page(tty_caps::look(host), &checks));
    }
    if fit { Exit::Done } else { Exit::Rejected }
}

/// Servers that would not start again with their configuration on disk. A run that touches one of them is refused; only
/// root can read the configuration.
fn servers(host: &dyn Host) -> Vec<Check> {
    if host.euid() != 0 {
        return Vec::new();
    }
    let check = |(name, broken): (&str, Broken)| Check {
        id: "servers",
        title: "Servers",
        state: CheckStatus::Warning,
        found: format!("the configuration of {name} is broken: {}", broken.told()),
        fix: broken.hint(),
    };
    broken_servers(host).into_iter().map(check).collect()
}
