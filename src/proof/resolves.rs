//! `resolves`: names that lead to this server.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Failure, Outcome};
use crate::facts::probe::addresses;
use crate::host::Host;
use crate::proof::{Context, Prove};
use crate::system::net::wire;

/// Names that lead to this server.
///
/// The system's resolver is asked: `/etc/hosts` and the name servers. Every address of a name counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resolves {
    /// The names. `*.example.org` stands for every name below it: a random one is tried.
    pub names: Vec<String>,
    /// The addresses that they may have; this server's own when empty.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// Whether it also runs before anything changes; a failure then refuses the plan (exit 1).
    #[serde(default)]
    pub preflight: bool,
    /// What to do when it fails.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hint: String,
}

impl Prove for Resolves {
    fn describe(&self) -> String {
        format!("{} resolve to this server", self.names.join(" and "))
    }

    fn prove(&self, cx: &Context<'_>) -> Outcome<String> {
        let wanted = if self.addresses.is_empty() { addresses::find(cx.host) } else { self.addresses.clone() };
        let wanted: Vec<IpAddr> = wanted.iter().filter_map(|address| address.parse().ok()).collect();
        let mut evidence = Vec::new();
        for pattern in &self.names {
            let name = filled(cx.host, pattern)?;
            let found = wire::resolve(cx.host, &name).map_err(|failure| self.advised(failure))?;
            // Where the kernel does not say which addresses are ours, none is foreign.
            if let Some(foreign) = found.iter().find(|found| !wanted.is_empty() && !wanted.contains(found)) {
                let wanted: Vec<String> = wanted.iter().filter(|ip| !ip.is_loopback()).map(IpAddr::to_string).collect();
                let why = format!("its address is {foreign}, and not {}", wanted.join(" or "));
                return Err(self.advised(Failure::new(format!("find this server under the name {name}"), why)));
            }
            let found: Vec<String> = found.iter().map(IpAddr::to_string).collect();
            evidence.push(format!("{name}: {}", found.join(", ")));
        }
        Ok(evidence.join("; "))
    }

    fn preflight(&self) -> bool {
        self.preflight
    }

    /// The answer of a name server does not change within seconds.
    fn retry_for(&self) -> Duration {
        Duration::ZERO
    }

    fn independent(&self) -> bool {
        true
    }
}

impl Resolves {
    fn advised(&self, failure: Failure) -> Failure {
        if self.hint.is_empty() { failure } else { failure.hint(&self.hint) }
    }
}

/// The name itself, or a random one that a wildcard covers.
fn filled(host: &dyn Host, pattern: &str) -> Outcome<String> {
    let Some(parent) = pattern.strip_prefix("*.") else { return Ok(pattern.to_owned()) };
    let mut bytes = [0; 8];
    host.random(&mut bytes).map_err(|e| Failure::new("make up a name", e))?;
    Ok(format!("bringup-{:016x}.{parent}", u64::from_be_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::host::fake::{FakeHost, output};
    use crate::secret::Secrets;

    /// A DNS with one name, and one for all below it.
    fn host(name: &'static str, below: &'static str) -> FakeHost {
        let host = FakeHost::new();
        let tree = "     |-- 192.0.2.7\n        /32 host LOCAL\n     |-- 127.0.0.1\n        /32 host LOCAL\n";
        host.put_file("/proc/net/fib_trie", tree, 0o444);
        host.on(&["getent", "ahosts"], move |_, command| {
            let asked = command.argv.last().unwrap();
            let random = asked.strip_prefix("bringup-").and_then(|rest| rest.strip_suffix(".uap.example.org"));
            let address = match (asked.as_str(), random) {
                ("uap.example.org", _) => name,
                (_, Some(label)) if label.len() == 16 => below,
                _ => "",
            };
            let line = if address.is_empty() { String::new() } else { format!("{address}  STREAM {asked}\n") };
            output(if address.is_empty() { 2 } else { 0 }, &line, "")
        });
        host
    }

    fn prove(host: &FakeHost, addresses: &[&str]) -> Outcome<String> {
        let proof = Resolves {
            names: ["uap.example.org", "*.uap.example.org"].map(str::to_owned).into(),
            addresses: addresses.iter().map(|address| (*address).to_owned()).collect(),
            preflight: true,
            hint: "make both records".to_owned(),
        };
        proof.prove(&Context { host, secrets: &Secrets::default() })
    }

    #[test]
    fn a_name_and_every_name_below_it_lead_here() {
        let evidence = prove(&host("192.0.2.7", "192.0.2.7"), &[]).unwrap();
        assert!(evidence.starts_with("uap.example.org: 192.0.2.7; bringup-"), "{evidence}");
        prove(&host("127.0.0.1", "192.0.2.7"), &[]).unwrap();
        prove(&host("198.51.100.9", "198.51.100.9"), &["198.51.100.9"]).unwrap();
    }

    #[test]
    fn a_missing_record_and_one_of_another_server_are_told() {
        let failure = prove(&host("192.0.2.7", ""), &[]).unwrap_err();
        assert!(
            failure.what.contains("resolve the name bringup-") && failure.why.contains("no address"),
            "{failure:?}"
        );
        assert_eq!(failure.hint.as_deref(), Some("make both records"));
        let failure = prove(&host("198.51.100.9", "192.0.2.7"), &[]).unwrap_err();
        assert_eq!(failure.why, "its address is 198.51.100.9, and not 192.0.2.7");
        assert!(prove(&host("192.0.2.7", "192.0.2.7"), &["198.51.100.9"]).is_err());
    }
}
