//! nftables: a table of our own, `inet bringup`, for IPv4 and IPv6 at once. Tables of others are not touched and stay
//! in force: what any table drops is dropped.
//!
//! The shared rules (`input`) are in one file, the openings of each application in a file of its own.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{Backend, boot};
use crate::action::contract::Context;
use crate::diff;
use crate::error::{Failure, Outcome};
use crate::host::{Host, Output};
use crate::system::firewall::knock::Knock;
use crate::system::firewall::managers;
use crate::system::firewall::nft::{feed, nft};
use crate::system::firewall::opening::Opening;
use crate::system::firewall::ruleset::{self, Table};
use crate::system::service::Manager;
use crate::undo::{Blobs, Undo};

/// The rules that everybody shares, in order. `nft` lists them in the same words, on Debian 11 to 13.
///
/// Types of `ICMPv6` after RFC 4890, section 4.4; without them IPv6 does not work at all. Replies of DHCP servers belong
/// to no connection that the kernel knows. The last ones are for the name and address servers that libvirt and LXC
/// run on this server for their guests.
const INPUT: &[&str] = &[
    "ct state established,related accept",
    "ct state invalid drop",
    "iifname \"lo\" accept",
    "icmp type echo-request accept",
    "icmp type destination-unreachable accept",
    "icmp type time-exceeded accept",
    "icmp type parameter-problem accept",
    "icmpv6 type echo-request accept",
    "icmpv6 type destination-unreachable accept",
    "icmpv6 type packet-too-big accept",
    "icmpv6 type time-exceeded accept",
    "icmpv6 type parameter-problem accept",
    "icmpv6 type nd-router-advert accept",
    "icmpv6 type nd-neighbor-solicit accept",
    "icmpv6 type nd-neighbor-advert accept",
    "icmpv6 type mld-listener-query accept",
    "udp sport 67 udp dport 68 accept",
    "ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept",
    "iifname \"virbr*\" udp dport 53 accept",
    "iifname \"virbr*\" tcp dport 53 accept",
    "iifname \"virbr*\" udp dport 67 accept",
    "iifname \"lxcbr*\" udp dport 53 accept",
    "iifname \"lxcbr*\" tcp dport 53 accept",
    "iifname \"lxcbr*\" udp dport 67 accept",
    "jump open",
];

/// Our table, for one application's openings.
pub(super) struct Nftables<'a> {
    /// The application.
    pub(super) name: &'a str,
    /// What loads the rules at boot.
    pub(super) at_boot: Manager,
    /// Further rules for SSH.
    pub(super) knock: Option<Knock<'a>>,
}

impl Nftables<'_> {
    fn chain(&self) -> String {
        format!("open_{}", self.name)
    }

    fn fragment(&self) -> PathBuf {
        Path::new(FRAGMENTS).join(format!("{}.nft", self.name))
    }

    /// The file with this application's openings.
    fn own_rules(&self, openings: &BTreeSet<Opening>) -> String {
        let mut text = format!("# What {} lets in; written by bringup.\n", self.name);
        text += &self.knock.as_ref().map_or_else(String::new, Knock::sets);
        text += "table inet bringup {\n";
        text += &chain(&self.chain(), openings.iter().map(|opening| rule(*opening)));
        if let Some(knock) = &self.knock {
            text += &chain(&knock.chain(), knock.rules());
        }
        text += &chain("open", self.reached());
        text + "}\n"
    }

    /// The jumps in the shared chain. Ports to knock on come after the open ones: a connection to an open port is no
    /// knock.
    fn reached(&self) -> Vec<String> {
        let chains = [Some(self.chain()), self.knock.as_ref().map(Knock::chain)];
        chains.iter().flatten().map(|chain| format!("jump {chain}")).collect()
    }

    /// Everything to be loaded: our part as given, those of other applications from their files.
    fn whole(&self, host: &dyn Host, openings: &BTreeSet<Opening>) -> Outcome<String> {
        Ok(with_fragments(host, Some(&self.fragment()))? + &self.own_rules(openings))
    }

    fn boot(&self) -> boot::AtBoot {
        let stop = "/usr/sbin/nft delete table inet bringup";
        boot::AtBoot::new(
            self.at_boot,
            &format!("/usr/sbin/nft -f {BASE}"),
            stop,
            "/usr/sbin/nft list table inet bringup",
        )
    }

    /// The files to write: path, content.
    fn files(&self, openings: &BTreeSet<Opening>) -> Vec<boot::Text> {
        // Only root may read the ports to knock on.
        let mode = if self.knock.is_some() { "0600" } else { "0644" };
        let mut files = vec![
            boot::Text { path: self.fragment(), content: self.own_rules(openings), mode },
            boot::Text { path: BASE.into(), content: base_file(), mode: "0755" },
        ];
        files.push(self.boot().file());
        files
    }
}

/// The rules that everybody shares, loaded at boot with all others.
const BASE: &str = "/etc/bringup/firewall.nft";
/// One file for each application.
const FRAGMENTS: &str = "/etc/bringup/firewall.d";

impl Backend for Nftables<'_> {
    fn shown(&self) -> &'static str {
        "nftables"
    }

    fn refuse(&self, host: &dyn Host, _openings: &BTreeSet<Opening>) -> Outcome<()> {
        managers::refuse_any(host, "open ports with nftables")?;
        let others = ruleset::others_that_drop(host)?;
        if others.is_empty() {
            return Ok(());
        }
        Err(Failure::new(
            "open ports with nftables",
            format!(
                "other rules on this server drop incoming traffic that bringup's rules allow: {}",
                others.join(", ")
            ),
        )
        .hint("remove those rules, or open the ports in them by hand and set `firewall.manage: false`"))
    }

    fn in_force(&self, host: &dyn Host, _wanted: &BTreeSet<Opening>) -> Outcome<Option<BTreeSet<Opening>>> {
        let Some(table) = ruleset::table(host)? else { return Ok(None) };
        Ok(self.openings(&table))
    }

    fn survives(&self, host: &dyn Host, openings: &BTreeSet<Opening>) -> Outcome<bool> {
        boot::stand(host, &self.files(openings)).and_then(|stand| Ok(stand && self.boot().is_enabled(host)?))
    }

    fn diff(&self, cx: &Context<'_>, openings: &BTreeSet<Opening>) -> Option<String> {
        let path = self.fragment();
        let old = cx.host.read(&path).ok();
        diff::unified(&path, old.as_deref(), &self.own_rules(openings), cx.secrets)
    }

    fn snapshot(&self, host: &dyn Host, blobs: &Blobs) -> Outcome<Undo> {
        let listed = list(host)?;
        let loaded = if listed.ok() { Some(blobs.put(host, &listed.stdout)?) } else { None };
        Ok(Undo::Firewall {
            manager: "nftables".to_owned(),
            name: self.name.to_owned(),
            loaded,
            files: Vec::new(),
            made: Vec::new(),
            tables: Vec::new(),
        })
    }

    fn records(&self, cx: &Context<'_>) -> Outcome<Vec<Undo>> {
        let rules = self.snapshot(cx.host, cx.blobs)?;
        self.boot().records(cx, &self.files(&BTreeSet::new()), rules)
    }

    fn load(&self, cx: &Context<'_>, openings: &BTreeSet<Opening>) -> Outcome<()> {
        let text = self.whole(cx.host, openings)?;
        feed(cx.host, "load the rules", &text)
    }

    fn keep(&self, cx: &Context<'_>, openings: &BTreeSet<Opening>) -> Outcome<()> {
        self.boot().keep(cx, &self.files(openings))
    }

    fn paths(&self) -> Vec<PathBuf> {
        self.files(&BTreeSet::new()).into_iter().map(|file| file.path).collect()
    }
}

impl Nftables<'_> {
    /// Our openings in force; `None` when the table is incomplete.
    fn openings(&self, table: &Table) -> Option<BTreeSet<Opening>> {
        let input = table.get("input")?;
        let ours = table.get(&self.chain())?;
        let open = table.get("open")?;
        let reached = self.reached().iter().all(|jump| open.rules.contains(jump));
        if input.hook.as_deref() != Some("filter input 0 drop") || input.rules != INPUT || !reached {
            return None;
        }
        let knock = table.get(&format!("knock_{}", self.name)).map(|chain| &chain.rules);
        if knock != self.knock.as_ref().map(Knock::rules).as_ref() {
            return None;
        }
        ours.rules.iter().map(|rule| opening(rule)).collect()
    }
}

/// Restores our table: `before` as `nft list` printed it, or removed.
pub(super) fn restore(host: &dyn Host, before: Option<&[u8]>) -> Outcome<bool> {
    let present = list(host)?;
    match before {
        None if present.ok() => feed(host, "remove our rules", "delete table inet bringup\n").map(|()| true),
        Some(before) if !present.ok() || present.stdout != before => {
            let text = format!("{REPLACE}{}", String::from_utf8_lossy(before));
            feed(host, "restore the former rules", &text).map(|()| true)
        }
        _ => Ok(false),
    }
}

/// The content of all files except one.
fn with_fragments(host: &dyn Host, but: Option<&Path>) -> Outcome<String> {
    let mut text = base();
    let dir = Path::new(FRAGMENTS);
    for name in host.list(dir).unwrap_or_default() {
        let path = dir.join(name);
        if Some(path.as_path()) != but && path.extension().is_some_and(|extension| extension == "nft") {
            let part = host.read(&path).map_err(|e| Failure::new(format!("read {}", path.display()), e))?;
            text.push_str(&String::from_utf8_lossy(&part));
        }
    }
    Ok(text)
}

/// Reloads our table from its files, after one application was removed.
pub(super) fn load_again(host: &dyn Host) -> Outcome<()> {
    feed(host, "load the rules", &with_fragments(host, None)?)
}

/// Our table, without the clients that have knocked meanwhile.
fn list(host: &dyn Host) -> Outcome<Output> {
    nft(host, &["-t", "list", "table", "inet", "bringup"], None)
}

/// Replaces the table in one transaction: the first line ensures that there is one to delete.
const REPLACE: &str = "table inet bringup\ndelete table inet bringup\n";

fn base() -> String {
    let rules = INPUT.iter().map(|rule| format!("\t\t{rule}\n")).collect::<Vec<_>>().concat();
    format!(
        "{REPLACE}table inet bringup {{\n\tchain open {{\n\t}}\n\tchain input {{\n\
         \t\ttype filter hook input priority 0; policy drop;\n{rules}\t}}\n}}\n"
    )
}

fn base_file() -> String {
    format!(
        "#!/usr/sbin/nft -f\n# Written by bringup: all incoming traffic is dropped, except what is allowed here and \
         in the files\n# of firewall.d. Loaded at boot by bringup-firewall.\n{}include \"{FRAGMENTS}/*.nft\"\n",
        base()
    )
}

/// A chain in the words of `nft list`.
fn chain(name: &str, rules: impl IntoIterator<Item = String>) -> String {
    let rules: Vec<String> = rules.into_iter().map(|rule| format!("\t\t{rule}\n")).collect();
    format!("\tchain {name} {{\n{}\t}}\n", rules.concat())
}

/// A rule in the words of `nft list`.
fn rule(opening: Opening) -> String {
    let source = opening.source.map_or_else(String::new, |source| {
        let family = if source.is_ipv6() { "ip6" } else { "ip" };
        format!("{family} saddr {source} ")
    });
    format!("{source}{} dport {} accept", opening.protocol.name(), opening.ports)
}

/// What a rule of ours opens; `None` when it is none of ours.
fn opening(rule: &str) -> Option<Opening> {
    use crate::system::firewall::opening::Protocol;
    let words: Vec<&str> = rule.split(' ').collect();
    let (source, rest) = match words.as_slice() {
        ["ip" | "ip6", "saddr", source, rest @ ..] => (Some(source.parse().ok()?), rest),
        rest => (None, rest),
    };
    let [protocol, "dport", ports, "accept"] = rest else { return None };
    let protocol = [Protocol::Tcp, Protocol::Udp].into_iter().find(|known| known.name() == *protocol)?;
    Some(Opening { protocol, ports: ports.parse().ok()?, source })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::system::firewall::opening::{Allow, openings};

    #[test]
    fn a_rule_is_read_back_as_it_was_written() {
        let allowed: Vec<Allow> =
            ["80", "60000-61000/udp", "22 from 10.0.0.0/8, 192.0.2.7, 2001:db8::/32, 2001:db9::1"]
                .map(|text| text.parse().unwrap())
                .into();
        let wanted = openings(&allowed);
        let rules: Vec<String> = wanted.iter().map(|opening| rule(*opening)).collect();
        assert!(rules.contains(&"ip6 saddr 2001:db9::1 tcp dport 22 accept".to_owned()), "{rules:?}");
        assert_eq!(rules.iter().map(|rule| opening(rule)).collect::<Option<BTreeSet<_>>>(), Some(wanted));
        for other in ["tcp dport 22 drop", "ct state new accept", "ip saddr x tcp dport 1 accept", "jump there"] {
            assert_eq!(opening(other), None, "{other}");
        }
    }
}
