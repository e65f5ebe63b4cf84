//! Who is in the way on the network: on the web's ports, and at the firewall.

use super::{Finding, ok, warning};
use crate::facts::{Facts, Listener};
use crate::host::Host;

/// The web's own ports.
const WEB: [u16; 2] = [80, 443];

pub(crate) fn ports(_: &dyn Host, facts: &Facts) -> Finding {
    let mut taken: Vec<(u16, &str)> = Vec::new();
    for Listener { port, process, .. } in facts.listening.iter().filter(|listener| WEB.contains(&listener.port)) {
        if !taken.iter().any(|(other, _)| other == port) {
            taken.push((*port, process));
        }
    }
    if taken.is_empty() {
        return ok("80 and 443 are free");
    }
    let who = |process: &str| if process.is_empty() { "a program that only root can see" } else { process }.to_owned();
    let found: Vec<String> = taken.iter().map(|(port, process)| format!("{port} by {}", who(process))).collect();
    let found = format!("taken: {}", found.join(", "));
    if !facts.applied.is_empty() {
        return ok(format!("{found} ({} is in place here)", facts.applied.join(", ")));
    }
    let mut programs: Vec<String> = taken.iter().map(|(_, process)| who(process)).collect();
    programs.dedup();
    warning(found, format!("stop {}, or choose other ports", programs.join(" and ")))
}

pub(crate) fn firewall(_: &dyn Host, facts: &Facts) -> Finding {
    match facts.firewall.as_str() {
        "" | "none" => ok("no manager is active"),
        // The stage of the firewall hands its rules to them.
        manager @ ("ufw" | "firewalld") => ok(format!("{manager} is active; bringup opens there what the plan says")),
        "nftables" => warning(
            "rules of nftables are loaded at boot",
            "see that they let in what is to be reached: `nft list ruleset`",
        ),
        other => {
            warning(format!("rules of {other} are loaded"), "see that they let in what is to be reached: `iptables -S`")
        }
    }
}
