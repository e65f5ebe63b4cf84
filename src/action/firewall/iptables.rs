//! iptables, where a guide asks for it because its product adds rules of its own: two chains of ours, one at the start
//! that accepts, and one at the end that drops. Chains of others that a guide names are evaluated in between.
//!
//! A script with all rules loads them, now and at boot: an own chain is replaced in one transaction.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Backend, boot};
use crate::action::contract::Context;
use crate::diff;
use crate::error::{Failure, Outcome};
use crate::host::{Command, Host, Output};
use crate::system::firewall::opening::{Network, Opening, Protocol};
use crate::system::firewall::{managers, ruleset};
use crate::system::service::Manager;
use crate::undo::{Blobs, Undo};

/// What loads and unloads the rules.
const SCRIPT: &str = "/etc/bringup/firewall-iptables";
const PATIENCE: Duration = Duration::from_mins(1);

/// The tables that iptables creates in the kernel on its first change where it filters through nftables.
const TABLES: [&str; 2] = ["ip filter", "ip6 filter"];

/// What both families let in, in the words of `iptables -S`.
const BOTH: &[&str] = &[
    "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    "-m conntrack --ctstate INVALID -j DROP",
    "-i lo -j ACCEPT",
];
/// IPv4: ping, unreachable, time exceeded, parameter problem, replies of DHCP servers, and libvirt's guests.
const FOUR: &[&str] = &[
    "-p icmp -m icmp --icmp-type 8 -j ACCEPT",
    "-p icmp -m icmp --icmp-type 3 -j ACCEPT",
    "-p icmp -m icmp --icmp-type 11 -j ACCEPT",
    "-p icmp -m icmp --icmp-type 12 -j ACCEPT",
    "-p udp -m udp --sport 67 --dport 68 -j ACCEPT",
    "-i virbr+ -p udp -m udp --dport 53 -j ACCEPT",
    "-i virbr+ -p tcp -m tcp --dport 53 -j ACCEPT",
    "-i virbr+ -p udp -m udp --dport 67 -j ACCEPT",
];
/// IPv6: RFC 4890, section 4.4.
const SIX: &[&str] = &[
    "-p ipv6-icmp -m icmp6 --icmpv6-type 128 -j ACCEPT",
    "-p ipv6-icmp -m icmp6 --icmpv6-type 1 -j ACCEPT",
    "-p ipv6-icmp -m icmp6 --icmpv6-type 2 -j ACCEPT",
    "-p ipv6-icmp -m icmp6 --icmpv6-type 3 -j ACCEPT",
    "-p ipv6-icmp -m icmp6 --icmpv6-type 4 -j ACCEPT",
    "-p ipv6-icmp -m icmp6 --icmpv6-type 134 -j ACCEPT",
    "-p ipv6-icmp -m icmp6 --icmpv6-type 135 -j ACCEPT",
    "-p ipv6-icmp -m icmp6 --icmpv6-type 136 -j ACCEPT",
    "-p ipv6-icmp -m icmp6 --icmpv6-type 130 -j ACCEPT",
    "-s fe80::/10 -p udp -m udp --sport 547 --dport 546 -j ACCEPT",
];

/// Our chains, for one application's openings.
pub(super) struct Iptables<'a> {
    pub(super) name: &'a str,
    pub(super) at_boot: Manager,
    /// Chains of others, IPv4.
    pub(super) chains: &'a [String],
}

impl Iptables<'_> {
    fn boot(&self) -> boot::AtBoot {
        let does = |verb: &str| format!("{SCRIPT} {verb}");
        boot::AtBoot::new(self.at_boot, &does("start"), &does("stop"), &does("status"))
    }

    fn files(&self, openings: &BTreeSet<Opening>) -> Vec<boot::Text> {
        let script = boot::Text { path: SCRIPT.into(), content: self.script(openings), mode: "0755" };
        vec![script, self.boot().file()]
    }

    fn script(&self, openings: &BTreeSet<Opening>) -> String {
        let line = |rule: &String| format!("-A BRINGUP {rule}\n");
        let part = |ipv6| rules(openings, ipv6).iter().map(line).collect::<Vec<_>>().concat();
        let (four, six) = (part(false), part(true));
        let (name, chains) = (self.name, self.chains.join(" "));
        format!(
            r#"#!/bin/sh
# What {name} lets in; written by bringup. Everything else that comes in is dropped.
set -u
chains="{chains}"

rules4() {{
cat <<'RULES'
{four}RULES
}}

rules6() {{
cat <<'RULES'
{six}RULES
}}

# load PROGRAM RULES CHAINS: ours first, then the chains of others, then the end, in one transaction. Debian 11's
# iptables prints the rule that -C asks for.
load() {{
    {{
        printf '*filter\n:BRINGUP - [0:0]\n:BRINGUP-END - [0:0]\n'
        $2
        echo '-A BRINGUP-END -j DROP'
        $1 -w -C INPUT -j BRINGUP >/dev/null 2>&1 || echo '-I INPUT -j BRINGUP'
        for chain in $3; do
            $1 -w -n -L "$chain" >/dev/null 2>&1 || echo ":$chain - [0:0]"
            $1 -w -C INPUT -j "$chain" >/dev/null 2>&1 || echo "-A INPUT -j $chain"
        done
        $1 -w -C INPUT -j BRINGUP-END >/dev/null 2>&1 || echo '-A INPUT -j BRINGUP-END'
        echo COMMIT
    }} | $1-restore -w --noflush
}}

# unload PROGRAM: only ours; what is asked in between stays.
unload() {{
    for chain in BRINGUP BRINGUP-END; do
        while $1 -w -D INPUT -j $chain >/dev/null 2>&1; do :; done
        $1 -w -F $chain 2>/dev/null && $1 -w -X $chain
    done
    return 0
}}

is_loaded() {{
    $1 -w -C INPUT -j BRINGUP >/dev/null 2>&1 && $1 -w -C INPUT -j BRINGUP-END >/dev/null 2>&1
}}

six=no
if grep -q . /proc/net/if_inet6 2>/dev/null; then six=yes; fi
case "${{1-}}" in
start) load iptables rules4 "$chains" && if [ $six = yes ]; then load ip6tables rules6 ''; fi ;;
stop) unload iptables; if [ $six = yes ]; then unload ip6tables; fi ;;
status) is_loaded iptables || exit 3 ;;
*) echo "usage: $0 start|stop|status" >&2; exit 2 ;;
esac
"#
        )
    }
}

/// The rules of our chain for one family.
fn rules(openings: &BTreeSet<Opening>, ipv6: bool) -> Vec<String> {
    let own = openings.iter().filter_map(|opening| rule(*opening, ipv6));
    let fixed = BOTH.iter().chain(if ipv6 { SIX } else { FOUR }).map(|rule| (*rule).to_owned());
    fixed.chain(own).collect()
}

/// A rule in the words of `iptables -S`; `None` when it is one of the other family.
fn rule(opening: Opening, ipv6: bool) -> Option<String> {
    let source = match opening.source {
        None => String::new(),
        Some(source) if source.is_ipv6() != ipv6 => return None,
        Some(source) if source.is_host() => format!("-s {source}/{} ", if ipv6 { 128 } else { 32 }),
        Some(source) => format!("-s {source} "),
    };
    let (protocol, ports) = (opening.protocol.name(), opening.ports.with(':'));
    Some(format!("{source}-p {protocol} -m {protocol} --dport {ports} -j ACCEPT"))
}

/// What a rule opens, and for which family; `None` when it is none of that kind.
fn opening(rule: &str) -> Option<Opening> {
    let words: Vec<&str> = rule.split(' ').collect();
    let (source, rest) = match words.as_slice() {
        ["-s", source, rest @ ..] => (Some(source.parse::<Network>().ok()?), rest),
        rest => (None, rest),
    };
    let ["-p", protocol, "-m", _, "--dport", ports, "-j", "ACCEPT"] = rest else { return None };
    let protocol = [Protocol::Tcp, Protocol::Udp].into_iter().find(|known| known.name() == *protocol)?;
    Some(Opening { protocol, ports: ports.replace(':', "-").parse().ok()?, source })
}

impl Backend for Iptables<'_> {
    fn shown(&self) -> &'static str {
        "iptables"
    }

    fn refuse(&self, host: &dyn Host, _openings: &BTreeSet<Opening>) -> Outcome<()> {
        let what = "open ports with iptables";
        managers::refuse_any(host, what)?;
        let script = host.read(Path::new(SCRIPT)).unwrap_or_default();
        let whose = format!("# What {} lets in;", self.name);
        if !script.is_empty() && !String::from_utf8_lossy(&script).contains(&whose) {
            return Err(Failure::new(what, format!("{SCRIPT} holds rules that are not this guide's"))
                .hint("only one guide on a server can have its rules in iptables; roll the other one back, or use nftables for this one"));
        }
        Ok(())
    }

    fn in_force(&self, host: &dyn Host, wanted: &BTreeSet<Opening>) -> Outcome<Option<BTreeSet<Opening>>> {
        let mut families = vec![("iptables", false)];
        families.extend(super::has_ipv6(host).then_some(("ip6tables", true)));
        let mut present = BTreeSet::new();
        let mut everywhere: Option<BTreeSet<Opening>> = None;
        for (program, ipv6) in families {
            let Some(ours) = self.loaded(host, program, ipv6)? else { return Ok(None) };
            let (some, all): (BTreeSet<Opening>, _) = ours.into_iter().partition(|opening| opening.source.is_some());
            present.extend(some);
            everywhere =
                Some(everywhere.map_or_else(|| all.clone(), |before| before.intersection(&all).copied().collect()));
        }
        present.extend(everywhere.unwrap_or_default());
        // A host without IPv6 has no rules for it, and needs none.
        if !super::has_ipv6(host) {
            present.extend(wanted.iter().filter(|opening| opening.source.is_some_and(Network::is_ipv6)));
        }
        Ok(Some(present))
    }

    fn survives(&self, host: &dyn Host, openings: &BTreeSet<Opening>) -> Outcome<bool> {
        boot::stand(host, &self.files(openings)).and_then(|stand| Ok(stand && self.boot().is_enabled(host)?))
    }

    fn diff(&self, cx: &Context<'_>, openings: &BTreeSet<Opening>) -> Option<String> {
        let old = cx.host.read(Path::new(SCRIPT)).ok();
        diff::unified(Path::new(SCRIPT), old.as_deref(), &self.script(openings), cx.secrets)
    }

    fn snapshot(&self, host: &dyn Host, blobs: &Blobs) -> Outcome<Undo> {
        let is_loaded = ask(host, "iptables", &["-C", "INPUT", "-j", "BRINGUP"])?.ok();
        let script = host.read(Path::new(SCRIPT)).ok().filter(|_| is_loaded);
        let loaded = script.map(|script| blobs.put(host, &script)).transpose()?;
        let input = ask(host, "iptables", &["-S", "INPUT"])?.text();
        let is_asked = |chain: &&String| input.lines().any(|rule| rule == format!("-A INPUT -j {chain}"));
        let made = self.chains.iter().filter(|chain| !is_asked(chain)).cloned().collect();
        let (manager, name) = ("iptables".to_owned(), self.name.to_owned());
        let there = ruleset::tables(host)?;
        let tables = TABLES.iter().filter(|table| !there.contains(**table)).map(|table| (*table).to_owned()).collect();
        Ok(Undo::Firewall { manager, name, loaded, files: Vec::new(), made, tables })
    }

    fn records(&self, cx: &Context<'_>) -> Outcome<Vec<Undo>> {
        let rules = self.snapshot(cx.host, cx.blobs)?;
        self.boot().records(cx, &self.files(&BTreeSet::new()), rules)
    }

    fn load(&self, cx: &Context<'_>, openings: &BTreeSet<Opening>) -> Outcome<()> {
        script(cx.host, &self.script(openings), "start")
    }

    fn keep(&self, cx: &Context<'_>, openings: &BTreeSet<Opening>) -> Outcome<()> {
        self.boot().keep(cx, &self.files(openings))
    }

    fn paths(&self) -> Vec<PathBuf> {
        self.files(&BTreeSet::new()).into_iter().map(|file| file.path).collect()
    }
}

impl Iptables<'_> {
    /// Whether a rule may be evaluated before ours: a jump to a chain of others, as libvirt puts one first whenever
    /// one of its networks starts; but not to one that is to be evaluated after ours.
    fn may_precede(&self, rule: &str) -> bool {
        const VERDICTS: [&str; 5] = ["ACCEPT", "DROP", "REJECT", "QUEUE", "RETURN"];
        let target = rule.strip_prefix("-j ").filter(|target| !target.contains(' '));
        target.is_some_and(|target| !VERDICTS.contains(&target) && !self.chains.iter().any(|chain| chain == target))
    }

    /// What our chain allows; `None` when it is incomplete, or not evaluated first and last.
    fn loaded(&self, host: &dyn Host, program: &str, ipv6: bool) -> Outcome<Option<BTreeSet<Opening>>> {
        let list = |chain: &str| -> Outcome<Option<Vec<String>>> {
            let output = ask(host, program, &["-S", chain])?;
            let prefix = format!("-A {chain} ");
            let rules =
                || output.text().lines().filter_map(|line| line.strip_prefix(&prefix)).map(str::to_owned).collect();
            Ok(output.ok().then(rules))
        };
        let (Some(input), Some(ours), Some(end)) = (list("INPUT")?, list("BRINGUP")?, list("BRINGUP-END")?) else {
            return Ok(None);
        };
        let at = input.iter().position(|rule| rule == "-j BRINGUP");
        let is_first = at.is_some_and(|at| input[..at].iter().all(|rule| self.may_precede(rule)));
        let is_last = input.last().is_some_and(|rule| rule == "-j BRINGUP-END");
        let asked = ipv6 || self.chains.iter().all(|chain| input.contains(&format!("-j {chain}")));
        let fixed = rules(&BTreeSet::new(), ipv6);
        if !is_first || !is_last || !asked || end != ["-j DROP"] || ours.get(..fixed.len()) != Some(fixed.as_slice()) {
            return Ok(None);
        }
        Ok(ours[fixed.len()..].iter().map(|rule| opening(rule)).collect())
    }
}

/// Restores our chains: as the former script loads them, or removed. `made` are chains of others to which `INPUT` did
/// not jump before, `tables` those that did not exist.
pub(super) fn restore(host: &dyn Host, before: Option<&[u8]>, made: &[String], tables: &[String]) -> Outcome<bool> {
    let present = ask(host, "iptables", &["-S", "INPUT"])?.text();
    let is_asked = |chain: &str| present.lines().any(|rule| rule == format!("-A INPUT -j {chain}"));
    let ours = ["BRINGUP", "BRINGUP-END"].into_iter().chain(made.iter().map(String::as_str));
    if before.is_none() && !ours.into_iter().any(is_asked) {
        // The unit that loads them at boot may have unloaded them already.
        return ruleset::drop_empty(host, tables).map(|()| false);
    }
    let nobody = Iptables { name: "nobody", at_boot: Manager::Systemd, chains: &[] };
    script(host, &nobody.script(&BTreeSet::new()), "stop")?;
    for chain in made {
        // Without a jump there is nothing to remove, and a chain with rules is its owner's.
        let _ = ask(host, "iptables", &["-D", "INPUT", "-j", chain])?;
        let _ = ask(host, "iptables", &["-X", chain])?;
    }
    match before {
        Some(before) => script(host, &String::from_utf8_lossy(before), "start")?,
        None => ruleset::drop_empty(host, tables)?,
    }
    Ok(true)
}

/// Runs a script of ours without writing it to disk.
fn script(host: &dyn Host, text: &str, verb: &str) -> Outcome<()> {
    let what = || format!("{verb} the rules of iptables");
    let command = Command::new(["sh", "-s", "--", verb]).stdin(text).timeout(PATIENCE);
    let output = host.run(&command).map_err(|e| Failure::new(what(), e))?;
    if output.ok() {
        return Ok(());
    }
    Err(Failure::new(what(), format!("the script ended with status {}", output.status)).tail(output.tail(10)))
}

/// Asks iptables; without the program, nothing is loaded.
fn ask(host: &dyn Host, program: &str, arguments: &[&str]) -> Outcome<Output> {
    let command = Command::new([program, "-w"].iter().chain(arguments).copied()).timeout(PATIENCE);
    match host.run(&command) {
        Ok(output) => Ok(output),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            Ok(Output { status: 127, stdout: Vec::new(), stderr: Vec::new() })
        }
        Err(e) => Err(Failure::new(format!("list the rules of {program}"), e)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::system::firewall::opening::{Allow, openings};

    #[test]
    fn a_rule_is_read_back_as_it_was_written() {
        let allowed: Vec<Allow> =
            ["80", "5900-7000 from 10.0.0.0/8, 192.0.2.7, 2001:db8::1"].map(|text| text.parse().unwrap()).into();
        let wanted = openings(&allowed);
        let all = |ipv6| wanted.iter().filter_map(|opening| rule(*opening, ipv6)).collect::<Vec<_>>();
        assert!(all(false).contains(&"-s 192.0.2.7/32 -p tcp -m tcp --dport 5900:7000 -j ACCEPT".to_owned()));
        assert!(all(true).contains(&"-s 2001:db8::1/128 -p tcp -m tcp --dport 5900:7000 -j ACCEPT".to_owned()));
        let back: BTreeSet<Opening> = all(false).iter().chain(&all(true)).filter_map(|rule| opening(rule)).collect();
        assert_eq!(back, wanted);
        assert_eq!(opening("-i lo -j ACCEPT"), None);
    }

    #[test]
    fn a_chain_of_libvirt_may_come_first_and_nothing_that_decides() {
        let chains = ["THEIRS".to_owned()];
        let ours = Iptables { name: "x", at_boot: Manager::Systemd, chains: &chains };
        assert!(ours.may_precede("-j LIBVIRT_INP"));
        for rule in ["-j THEIRS", "-j DROP", "-p tcp -m tcp --dport 22 -j DROP", "-s 192.0.2.7/32 -j LIBVIRT_INP"] {
            assert!(!ours.may_precede(rule), "{rule}");
        }
    }
}
