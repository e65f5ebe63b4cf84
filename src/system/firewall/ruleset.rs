//! The kernel's loaded rules, from `nft -j`, in the syntax of `nft list`. The JSON is the same on Debian 11, 12 and 13,
//! while the text is not.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use super::nft::{feed, nft};
use crate::error::{Failure, Outcome};
use crate::host::{Command, Host};

/// A chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Chain {
    /// `filter input 0 drop`: type, hook, priority and policy of a base chain.
    pub(crate) hook: Option<String>,
    /// Its rules.
    pub(crate) rules: Vec<String>,
}

/// The chains of a table.
pub(crate) type Table = BTreeMap<String, Chain>;

/// Our table; `None` when it is not loaded.
pub(crate) fn table(host: &dyn Host) -> Outcome<Option<Table>> {
    let output = nft(host, &["-j", "list", "table", "inet", "bringup"], None)?;
    if !output.ok() {
        return Ok(None);
    }
    let tables = read(&output.stdout)?;
    Ok(tables.into_iter().find(|(name, _)| name == "inet bringup").map(|(_, table)| table))
}

/// The loaded tables, by family and name; none where `nft` is not installed.
pub(crate) fn tables(host: &dyn Host) -> Outcome<BTreeSet<String>> {
    let output = nft(host, &["-j", "list", "ruleset"], None)?;
    if !output.ok() {
        return Ok(BTreeSet::new());
    }
    Ok(read(&output.stdout)?.into_keys().collect())
}

/// Removes those of these tables that do nothing: no rules, and chains that only the kernel calls and that let
/// everything pass.
pub(crate) fn drop_empty(host: &dyn Host, tables: &[String]) -> Outcome<()> {
    let output = nft(host, &["-j", "list", "ruleset"], None)?;
    if !output.ok() {
        return Ok(());
    }
    let idle =
        |chain: &Chain| chain.rules.is_empty() && chain.hook.as_ref().is_some_and(|hook| hook.ends_with(" accept"));
    for (name, chains) in read(&output.stdout)? {
        if tables.contains(&name) && chains.values().all(idle) {
            feed(host, "remove the leftovers of iptables", &format!("delete table {name}\n"))?;
        }
    }
    Ok(())
}

/// Every table, by family and name.
fn read(json: &[u8]) -> Outcome<BTreeMap<String, Table>> {
    let what = "read what nft has loaded";
    let listed: Value = serde_json::from_slice(json).map_err(|e| Failure::new(what, e))?;
    let items =
        listed.get("nftables").and_then(Value::as_array).ok_or_else(|| Failure::new(what, "it is not a list"))?;
    let mut tables: BTreeMap<String, Table> = BTreeMap::new();
    for (kind, item) in items.iter().filter_map(Value::as_object).flatten() {
        let text = |key: &str| item.get(key).and_then(Value::as_str).unwrap_or_default();
        match kind.as_str() {
            "table" => drop(tables.entry(format!("{} {}", text("family"), text("name"))).or_default()),
            "chain" => {
                let hook = item.get("hook").map(|_| {
                    let priority = item.get("prio").map_or_else(String::new, Value::to_string);
                    format!("{} {} {priority} {}", text("type"), text("hook"), text("policy"))
                });
                let table = tables.entry(format!("{} {}", text("family"), text("table"))).or_default();
                table.entry(text("name").to_owned()).or_default().hook = hook;
            }
            "rule" => {
                let table = tables.entry(format!("{} {}", text("family"), text("table"))).or_default();
                let expressions = item.get("expr").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
                let words: Vec<String> = expressions.iter().map(word).collect();
                table.entry(text("chain").to_owned()).or_default().rules.push(words.join(" "));
            }
            _ => {}
        }
    }
    Ok(tables)
}

/// One expression of a rule; what we never write is shown as it comes.
fn word(expression: &Value) -> String {
    if let Some(found) = expression.get("match").and_then(comparison) {
        return found;
    }
    if let Some(target) = expression.get("jump").and_then(|jump| jump.get("target")).and_then(Value::as_str) {
        return format!("jump {target}");
    }
    if let Some(found) = expression.get("set").and_then(counting) {
        return found;
    }
    match expression.as_object().and_then(|object| object.keys().next()).map(String::as_str) {
        Some(verdict @ ("accept" | "drop" | "reject" | "return")) => verdict.to_owned(),
        _ => expression.to_string(),
    }
}

fn comparison(found: &Value) -> Option<String> {
    let (left, right) = (found.get("left")?, found.get("right")?);
    if !matches!(found.get("op")?.as_str()?, "==" | "in") {
        return None;
    }
    if let Some(payload) = left.get("payload") {
        let (protocol, field) = (payload.get("protocol")?.as_str()?, payload.get("field")?.as_str()?);
        return Some(format!("{protocol} {field} {}", plain(right)?));
    }
    if let Some(key) = left.get("meta").and_then(|meta| meta.get("key")?.as_str()) {
        return Some(format!("{key} \"{}\"", plain(right)?));
    }
    let key = left.get("ct")?.get("key")?.as_str()?;
    Some(format!("ct {key} {}", plain(right)?))
}

/// `update @set { ip saddr }`: who sent the packet comes into a set, or leaves it.
fn counting(found: &Value) -> Option<String> {
    let payload = found.get("elem")?.get("payload")?;
    let (protocol, field) = (payload.get("protocol")?.as_str()?, payload.get("field")?.as_str()?);
    Some(format!("{} {} {{ {protocol} {field} }}", found.get("op")?.as_str()?, found.get("set")?.as_str()?))
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Array(items) => Some(items.iter().map(plain).collect::<Option<Vec<_>>>()?.join(",")),
        Value::Object(_) => {
            if let Some(prefix) = value.get("prefix") {
                return Some(format!("{}/{}", prefix.get("addr")?.as_str()?, prefix.get("len")?.as_u64()?));
            }
            let range = value.get("range")?.as_array()?;
            Some(range.iter().map(plain).collect::<Option<Vec<_>>>()?.join("-"))
        }
        _ => None,
    }
}

/// Rules of others that drop all incoming traffic that they do not allow themselves: our opening a port would have no
/// effect. Rules for single ports or addresses, as fail2ban's, do not matter here.
pub(crate) fn others_that_drop(host: &dyn Host) -> Outcome<Vec<String>> {
    let output = nft(host, &["-j", "list", "ruleset"], None)?;
    let mut found = Vec::new();
    if output.ok() {
        for (table, chains) in read(&output.stdout)? {
            if table == "inet bringup" || table.starts_with("bridge") || table.starts_with("arp") {
                continue;
            }
            for (name, chain) in chains {
                let hook = chain.hook.unwrap_or_default();
                let words: Vec<&str> = hook.split(' ').collect();
                let drops = words.get(1) == Some(&"input")
                    && (words.last() == Some(&"drop") || chain.rules.iter().any(|rule| is_final(rule)));
                if drops {
                    found.push(format!("chain {name} of the table {table}"));
                }
            }
        }
    }
    found.extend(legacy(host));
    Ok(found)
}

/// A rule without a condition that lets nothing pass.
fn is_final(rule: &str) -> bool {
    rule.split(' ').all(|word| {
        word == "drop" || word.contains("\"counter\"") || word.contains("\"log\"") || word.contains("\"reject\"")
    }) && !rule.is_empty()
}

/// Rules of the kind that `nft` does not see, from before nftables.
fn legacy(host: &dyn Host) -> Vec<String> {
    let mut found = Vec::new();
    for (names, program) in
        [("/proc/net/ip_tables_names", "iptables-legacy"), ("/proc/net/ip6_tables_names", "ip6tables-legacy")]
    {
        let tables = host.read(Path::new(names)).unwrap_or_default();
        if !String::from_utf8_lossy(&tables).lines().any(|table| table == "filter") {
            continue;
        }
        let Ok(output) = host.run(&Command::new([program, "-S", "INPUT"])) else { continue };
        let drops =
            |line: &str| matches!(line, "-P INPUT DROP" | "-A INPUT -j DROP") || line.starts_with("-A INPUT -j REJECT");
        if output.text().lines().any(drops) {
            found.push(format!("the chain INPUT of {program}"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// From nft 0.9.8 (Debian 11), shortened; 1.0.6 and 1.1.3 have the same in another order.
    const LISTED: &str = r#"{"nftables": [{"metainfo": {"version": "0.9.8", "json_schema_version": 1}},
        {"table": {"family": "inet", "name": "bringup", "handle": 2}},
        {"chain": {"family": "inet", "table": "bringup", "name": "input", "handle": 2, "type": "filter",
            "hook": "input", "prio": 0, "policy": "drop"}},
        {"rule": {"family": "inet", "table": "bringup", "chain": "input", "handle": 3, "expr": [
            {"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": ["established", "related"]}},
            {"accept": null}]}},
        {"rule": {"family": "inet", "table": "bringup", "chain": "input", "handle": 5, "expr": [
            {"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "lo"}}, {"accept": null}]}},
        {"rule": {"family": "inet", "table": "bringup", "chain": "input", "handle": 12, "expr": [
            {"match": {"op": "==", "left": {"payload": {"protocol": "ip6", "field": "saddr"}},
                "right": {"prefix": {"addr": "fe80::", "len": 10}}}},
            {"match": {"op": "==", "left": {"payload": {"protocol": "udp", "field": "dport"}},
                "right": {"range": [60000, 61000]}}}, {"accept": null}]}},
        {"rule": {"family": "inet", "table": "bringup", "chain": "input", "handle": 13, "expr": [
            {"match": {"op": "!=", "left": {"meta": {"key": "iifname"}}, "right": "lo"}}, {"jump": {"target": "x"}}]}}
    ]}"#;

    #[test]
    fn rules_are_told_in_the_words_in_which_we_write_them() {
        let table = read(LISTED.as_bytes()).unwrap().remove("inet bringup").unwrap();
        let input = &table["input"];
        assert_eq!(input.hook.as_deref(), Some("filter input 0 drop"));
        assert_eq!(
            input.rules[..3],
            [
                "ct state established,related accept",
                "iifname \"lo\" accept",
                "ip6 saddr fe80::/10 udp dport 60000-61000 accept",
            ]
        );
        assert!(input.rules[3].starts_with('{'), "a shape of others is not taken for ours: {}", input.rules[3]);
    }

    #[test]
    fn only_rules_that_drop_everything_stand_in_the_way() {
        for (rule, drops) in [
            ("drop", true),
            ("{\"counter\":{\"bytes\":0,\"packets\":0}} drop", true),
            ("{\"reject\":{\"type\":\"icmpx\"}}", true),
            ("ip saddr 192.0.2.7 drop", false),
            ("tcp dport 22 {\"reject\":null}", false),
            ("accept", false),
            ("", false),
        ] {
            assert_eq!(is_final(rule), drops, "{rule}");
        }
    }
}
