//! `answers validate|schema|init`, `guides`, `facts`: what needs no root and changes nothing.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::answers::schema;
use crate::cli::{Inputs, Output, plan_inputs};
use crate::engine::launch;
use crate::engine::secret_store;
use crate::error::{Exit, Problem};
use crate::facts::probe::probe;
use crate::facts::{Facts, Sshd};
use crate::guide::load;
use crate::host::Host;
use crate::plan::preview;
use crate::ui::stdio;
use crate::visible;

/// Checks an answers file against its guide and this server's facts.
pub(super) fn check(host: &dyn Host, file: PathBuf, mut inputs: Inputs, output: Output) -> Exit {
    inputs.answers = Some(file);
    match plan_inputs::make(host, &inputs, &probe(host)) {
        Ok(mut made) => {
            made.note_kept_secrets(host);
            let secrets = secret_store::load(host, &made.plan.application());
            let verdicts = preview::preview(host, &made.plan, &secrets, preview::GuideChecks::Leave);
            let packages = preview::packages(host, &made.plan);
            let problems = launch::foreseen(host, &made.plan, &verdicts, packages.as_ref());
            if !problems.is_empty() {
                return refuse(&problems, output);
            }
            if output.json {
                stdio::json(&format!("{}\n", json!({ "ok": true, "problems": [], "warnings": made.plan.warnings })));
            } else {
                for warning in &made.plan.warnings {
                    stdio::print(&format!("warning: {}\n", visible::line(warning)));
                }
                stdio::print(&format!(
                    "The answers are complete and valid: {} actions, {} proofs.\n",
                    made.plan.actions.len(),
                    made.plan.proofs.len()
                ));
            }
            Exit::Done
        }
        Err(problems) => refuse(&problems, output),
    }
}

/// Prints the JSON Schema of a guide's answers file.
pub(super) fn schema(host: &dyn Host, guide: &Path) -> Exit {
    match plan_inputs::shipped_or_own(host, guide) {
        Ok(guide) => {
            stdio::json(&format!("{:#}\n", schema::schema(&guide)));
            Exit::Done
        }
        Err(problems) => refuse(&problems, Output::default()),
    }
}

/// Prints a commented answers file.
pub(super) fn sample(host: &dyn Host, guide: &Path) -> Exit {
    match plan_inputs::shipped_or_own(host, guide) {
        Ok(guide) => {
            stdio::print(&schema::sample(&guide));
            Exit::Done
        }
        Err(problems) => refuse(&problems, Output::default()),
    }
}

/// Lists the guides.
pub(super) fn guides(output: Output) -> Exit {
    let guides = load::list();
    if output.json {
        let list: Vec<_> = guides.iter().map(|guide| json!({ "guide": guide.id, "title": guide.title })).collect();
        stdio::json(&format!("{:#}\n", json!(list)));
    } else {
        for guide in guides {
            stdio::print(&format!("{:<16} {}\n", visible::line(&guide.id), visible::line(&guide.title)));
        }
    }
    Exit::Done
}

/// Shows what was found on this server.
pub(super) fn facts(host: &dyn Host, output: Output) -> Exit {
    let facts = probe(host);
    if output.json {
        stdio::json(&format!("{:#}\n", json!(facts)));
        return Exit::Done;
    }
    stdio::print(&page(facts));
    Exit::Done
}

/// The findings, one a line. Names of processes and hosts are untrusted.
fn page(facts: Facts) -> String {
    let disks =
        facts.disks.iter().map(|(mount, disk)| format!("{mount} {} MiB free", disk.free_mib)).collect::<Vec<_>>();
    let ports = facts.listening.iter().map(|l| format!("{}:{} {}", l.address, l.port, l.process)).collect::<Vec<_>>();
    let ssh = facts
        .ssh
        .as_ref()
        .map_or_else(|| "not over SSH".to_owned(), |ssh| format!("from {} on port {}", ssh.client, ssh.port));
    let filter = firewall(&facts);
    let mut page = String::new();
    for (label, value) in [
        ("system", format!("{} ({})", facts.os.name, facts.arch)),
        ("name", facts.fqdn),
        ("processors", format!("{} usable ({})", facts.cpus.usable, facts.cpus.source)),
        ("memory", format!("{} MiB usable ({})", facts.memory.usable_mib, facts.memory.source)),
        ("disks", disks.join(", ")),
        ("init", facts.init),
        ("connected", ssh),
        ("SSH", ssh_server(&facts.sshd)),
        ("firewall", filter),
        ("listening", ports.join(", ")),
    ] {
        let _ = writeln!(page, "{label:<11} {}", visible::line(&value));
    }
    page
}

fn ssh_server(sshd: &Sshd) -> String {
    if sshd.ports.is_empty() {
        return "no server".to_owned();
    }
    let ports: Vec<String> = sshd.ports.iter().map(ToString::to_string).collect();
    let who = if sshd.peers.is_empty() { "unknown".to_owned() } else { sshd.peers.join(", ") };
    format!("port {}, logged in from: {who}", ports.join(", "))
}

fn firewall(facts: &Facts) -> String {
    let filter = match (facts.netfilter.allowed, facts.netfilter.nft) {
        (false, _) => "cannot be changed here (no CAP_NET_ADMIN)",
        (true, true) => "nft is installed",
        (true, false) => "nft is not installed",
    };
    format!("{}; {filter}", facts.firewall)
}

/// Says everything that is wrong.
pub(super) fn refuse(problems: &[Problem], output: Output) -> Exit {
    if output.json {
        stdio::json(&format!("{}\n", json!({ "ok": false, "problems": problems })));
        return Exit::Rejected;
    }
    for problem in problems {
        stdio::error(&format!("error: {problem}\n"));
    }
    let n = problems.len();
    stdio::error(&format!("{n} {}; nothing was changed.\n", if n == 1 { "problem" } else { "problems" }));
    Exit::Rejected
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Listener;
    use crate::host::fake::FakeHost;

    #[test]
    fn a_process_cannot_steer_the_terminal_by_its_name() {
        let mut facts = probe(&FakeHost::new());
        facts
            .listening
            .push(Listener { process: "\u{1b}]0;pwned\u{7}\nfirewall    none".to_owned(), ..Listener::default() });
        let page = page(facts);
        assert!(page.contains("\\u{1b}]0;pwned\\u{7} firewall    none\n"), "{page}");
        assert!(visible::is_harmless(&page) && page.lines().count() == 10, "{page}");
    }
}
