//! `nft`, for the syntax that the engine writes: tables with chains, rules of plain comparisons, sets that stay empty.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::programs::Program;
use super::{FakeHost, World};

/// What the kernel has loaded: tables by family and name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ruleset(pub(super) BTreeMap<String, BTreeMap<String, Chain>>);

/// A chain of a table, or a set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Chain {
    /// A set: its lines are what it is, not rules.
    is_set: bool,
    /// `type filter hook input priority 0; policy drop;`
    hook: Option<String>,
    rules: Vec<String>,
}

impl FakeHost {
    /// Loads rules in the syntax of `nft -f`, as another program would.
    pub fn load_rules(&self, text: &str) {
        let mut world = self.world();
        let mut ruleset = world.nft.clone();
        if feed(&world, &mut ruleset, text).is_ok() {
            world.nft = ruleset;
        }
    }

    /// The rules that are loaded, table after table.
    pub fn loaded_rules(&self) -> String {
        let world = self.world();
        world.nft.0.keys().map(|name| listed(&world.nft, name)).collect()
    }
}

impl World {
    /// A unit's or script's commands that load or remove rules: `ExecStart=/usr/sbin/nft -f FILE`.
    pub(super) fn nft_of_unit(&mut self, unit: &str, key: &str) {
        let Some(file) = self.unit_file(unit) else { return };
        let text = self.files.text(file);
        let commands: Vec<String> = text.lines().filter_map(|line| line.strip_prefix(key)).map(str::to_owned).collect();
        for command in commands {
            let command = command.trim_start_matches('-').to_owned();
            if let Some(arguments) = command.strip_prefix("/usr/sbin/nft ") {
                let words: Vec<String> = arguments.split(' ').map(str::to_owned).collect();
                let _ = self.nft_does(&words, "");
            }
        }
    }

    /// Carries out what changes something; the text to feed may come from stdin.
    fn nft_does(&mut self, words: &[String], stdin: &str) -> Result<(), String> {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let text = match words.as_slice() {
            [.., "-f", "-"] => stdin.to_owned(),
            [.., "-f", file] => {
                if !self.files.exists(file) {
                    return Err(format!("Error: Could not open file \"{file}\": No such file or directory"));
                }
                self.files.text(file)
            }
            rest => rest.join(" "),
        };
        // A transaction: all of it or nothing.
        let mut ruleset = self.nft.clone();
        feed(self, &mut ruleset, &text)?;
        if !words.contains(&"-c") {
            self.nft = ruleset;
        }
        Ok(())
    }
}

fn feed(world: &World, ruleset: &mut Ruleset, text: &str) -> Result<(), String> {
    let mut table = String::new();
    let mut chain = String::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["include", glob] => {
                let (dir, _) = glob.trim_matches('"').rsplit_once('/').unwrap_or(("", ""));
                for name in world.files.list(Path::new(dir)).unwrap_or_default() {
                    let part = world.files.text(PathBuf::from(dir).join(name));
                    feed(world, ruleset, &part)?;
                }
            }
            ["table", family, name] => drop(ruleset.0.entry(format!("{family} {name}")).or_default()),
            ["add", "set", family, table, name, "{", about @ .., "}"] => {
                let rules = about.join(" ").split("; ").map(|line| line.trim_end_matches(';').to_owned()).collect();
                let set = Chain { is_set: true, hook: None, rules };
                ruleset.0.entry(format!("{family} {table}")).or_default().insert((*name).to_owned(), set);
            }
            ["delete", "table", family, name] => {
                let gone = ruleset.0.remove(&format!("{family} {name}"));
                gone.ok_or("Error: Could not process rule: No such file or directory")?;
            }
            ["flush", "ruleset"] => ruleset.0.clear(),
            ["table", family, name, "{"] => {
                table = format!("{family} {name}");
                ruleset.0.entry(table.clone()).or_default();
            }
            [kind @ ("chain" | "set"), name, "{"] => {
                (*name).clone_into(&mut chain);
                let here = ruleset.0.entry(table.clone()).or_default().entry(chain.clone()).or_default();
                here.is_set = *kind == "set";
            }
            ["}"] if !chain.is_empty() => chain.clear(),
            ["}"] => table.clear(),
            ["type", _, "hook", ..] => {
                let here = ruleset.0.entry(table.clone()).or_default().entry(chain.clone()).or_default();
                here.hook = Some(line.to_owned());
            }
            _ if chain.is_empty() => return Err(format!("Error: syntax error, unexpected {line}")),
            _ => {
                let here = ruleset.0.entry(table.clone()).or_default().entry(chain.clone()).or_default();
                here.rules.push(line.to_owned());
            }
        }
    }
    Ok(())
}

fn listed(ruleset: &Ruleset, table: &str) -> String {
    let mut text = format!("table {table} {{\n");
    for (name, chain) in ruleset.0.get(table).into_iter().flatten() {
        let _ = writeln!(text, "\t{} {name} {{", if chain.is_set { "set" } else { "chain" });
        for line in chain.hook.iter().chain(&chain.rules) {
            let _ = writeln!(text, "\t\t{line}");
        }
        text.push_str("\t}\n");
    }
    text + "}\n"
}

/// The JSON of `nft -j list`.
fn told(ruleset: &Ruleset, wanted: Option<&str>) -> Value {
    let mut items = vec![json!({ "metainfo": { "version": "1.0.6", "json_schema_version": 1 } })];
    for (table, chains) in ruleset.0.iter().filter(|(table, _)| wanted.is_none_or(|wanted| wanted == *table)) {
        let (family, table) = table.split_once(' ').unwrap_or_default();
        items.push(json!({ "table": { "family": family, "name": table, "handle": 1 } }));
        for (name, chain) in chains {
            let mut about = json!({ "family": family, "table": table, "name": name, "handle": 1 });
            if chain.is_set {
                items.push(json!({ "set": about }));
                continue;
            }
            if let Some(hook) = &chain.hook {
                let words: Vec<&str> = hook.split([' ', ';']).filter(|word| !word.is_empty()).collect();
                let after = |key: &str| words.iter().position(|word| *word == key).and_then(|at| words.get(at + 1));
                about["type"] = json!(after("type"));
                about["hook"] = json!(after("hook"));
                about["prio"] = json!(after("priority").and_then(|text| text.parse::<i64>().ok()).unwrap_or(0));
                about["policy"] = json!(after("policy").unwrap_or(&"accept"));
            }
            items.push(json!({ "chain": about }));
            for rule in &chain.rules {
                let expressions = expressions(rule);
                items.push(json!({ "rule": { "family": family, "table": table, "chain": name, "expr": expressions } }));
            }
        }
    }
    json!({ "nftables": items })
}

fn expressions(rule: &str) -> Vec<Value> {
    let words: Vec<&str> = rule.split(' ').collect();
    let mut found = Vec::new();
    let mut rest = words.as_slice();
    while !rest.is_empty() {
        let compare =
            |left: Value, right: &str| json!({ "match": { "op": "==", "left": left, "right": value(right) } });
        rest = match rest {
            ["jump", target, rest @ ..] => {
                found.push(json!({ "jump": { "target": target } }));
                rest
            }
            [verdict @ ("accept" | "drop" | "reject"), rest @ ..] => {
                let mut object = serde_json::Map::new();
                object.insert((*verdict).to_owned(), Value::Null);
                found.push(Value::Object(object));
                rest
            }
            ["iifname", name, rest @ ..] => {
                found.push(json!({ "match": { "op": "==", "left": { "meta": { "key": "iifname" } }, "right": name.trim_matches('"') } }));
                rest
            }
            [op @ ("update" | "delete"), set, "{", protocol, field, "}", rest @ ..] => {
                let payload = json!({ "payload": { "protocol": protocol, "field": field } });
                found.push(json!({ "set": { "op": op, "elem": payload, "set": set } }));
                rest
            }
            ["ct", key, right, rest @ ..] => {
                found.push(compare(json!({ "ct": { "key": key } }), right));
                rest
            }
            [protocol, field, right, rest @ ..] => {
                found.push(compare(json!({ "payload": { "protocol": protocol, "field": field } }), right));
                rest
            }
            _ => {
                found.push(json!({ "xt": null }));
                &[]
            }
        };
    }
    found
}

fn value(text: &str) -> Value {
    if text.contains(',') {
        return json!(text.split(',').collect::<Vec<_>>());
    }
    if let Some((address, length)) = text.split_once('/') {
        return json!({ "prefix": { "addr": address, "len": length.parse::<u32>().unwrap_or(0) } });
    }
    if let Some((from, to)) = text.split_once('-')
        && let (Ok(from), Ok(to)) = (from.parse::<u16>(), to.parse::<u16>())
    {
        return json!({ "range": [from, to] });
    }
    text.parse::<u16>().map_or_else(|_| json!(text), |number| json!(number))
}

/// `nft`.
pub(super) fn nft(program: &mut Program<'_>) -> i32 {
    let words: Vec<&str> = program.args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["-j", "list", "ruleset"] => {
            let told = told(&program.world.nft, None).to_string();
            program.say(told);
            0
        }
        [rest @ .., "list", "table", family, name] => {
            let table = format!("{family} {name}");
            if !program.world.nft.0.contains_key(&table) {
                return program.fail(1, "Error: No such file or directory");
            }
            let json = rest == ["-j"];
            let text = if json {
                told(&program.world.nft, Some(&table)).to_string()
            } else {
                listed(&program.world.nft, &table)
            };
            program.say(text.trim_end());
            0
        }
        // A transaction that was cut off has not happened.
        _ if program.is_cut => 1,
        _ => {
            let (args, stdin) = (program.args.clone(), program.stdin.clone());
            match program.world.nft_does(&args, &stdin) {
                Ok(()) => 0,
                Err(error) => program.fail(1, error),
            }
        }
    }
}
