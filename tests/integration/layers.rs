//! "Nothing reaches back up" (`src/lib.rs`): the `use` lines and paths of every module, against the layers.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// From the top. What is in none of them is the ground.
const LAYERS: &[&[&str]] = &[
    &["cli"],
    &["ui", "preflight"],
    &["engine"],
    &["plan"],
    &["answers"],
    &["guide"],
    &["proof"],
    &["action"],
    &["undo"],
    &["system"],
    &["facts"],
];

/// How high a module lies; the ground is 0.
fn height(module: &str) -> usize {
    LAYERS.iter().position(|layer| layer.contains(&module)).map_or(0, |at| LAYERS.len() - at)
}

/// The files of `src` that are no tests, with the module at the top that each belongs to.
fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut pending = vec![root.clone()];
    let mut found = Vec::new();
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
                continue;
            }
            let relative = path.strip_prefix(&root).unwrap();
            let test = relative.iter().any(|part| ["tests", "tests.rs"].iter().any(|name| part == *name));
            let top = relative.iter().next().unwrap().to_string_lossy().trim_end_matches(".rs").to_owned();
            if !test && path.extension().is_some_and(|ending| ending == "rs") && top != "lib" && top != "main" {
                found.push((path.clone(), top));
            }
        }
    }
    found
}

/// Modules that are compiled for tests only, by their file.
fn only_for_tests(sources: &[(PathBuf, String)]) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for (path, _) in sources {
        let text = fs::read_to_string(path).unwrap();
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            let next =
                lines.peek().copied().unwrap_or_default().trim_start_matches("pub ").trim_start_matches("(crate) ");
            if let Some(name) = next.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';'))
                && line.trim() == "#[cfg(test)]"
            {
                found.insert(path.with_extension("").join(format!("{name}.rs")));
            }
        }
    }
    found
}

/// The modules at the top that the code before its tests names: `crate::NAME`, alone or in braces.
fn named(text: &str) -> BTreeSet<String> {
    let code = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let code: String =
        code.lines().map(|line| line.split("//").next().unwrap_or_default()).fold(String::new(), |mut all, line| {
            all.push_str(line);
            all.push(' ');
            all
        });
    let mut names = BTreeSet::new();
    for part in code.split("crate::").skip(1) {
        let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
        match part.strip_prefix('{') {
            Some(rest) => {
                names.extend(rest.split('}').next().unwrap_or_default().split(',').map(|name| word(name.trim())));
            }
            None => drop(names.insert(word(part))),
        }
    }
    names
}

#[test]
fn no_module_uses_what_lies_above_it() {
    let sources = sources();
    let tests = only_for_tests(&sources);
    let mut up: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (path, top) in sources.iter().filter(|(path, _)| !tests.contains(path)) {
        let text = fs::read_to_string(path).unwrap();
        for name in named(&text).into_iter().filter(|name| height(name) > height(top)) {
            up.entry(path.display().to_string()).or_default().push(name);
        }
    }
    assert!(up.is_empty(), "these use what lies above them: {up:#?}");
}

#[test]
fn every_layer_is_there_and_an_arrow_up_would_be_seen() {
    let tops: BTreeSet<String> = sources().into_iter().map(|(_, top)| top).collect();
    for name in LAYERS.iter().copied().flatten() {
        assert!(tops.contains(*name), "there is no module {name}");
    }
    let text =
        "use crate::{engine, facts};\nuse crate::ui::Look;\n// crate::cli\n#[cfg(test)]\nmod tests {\nuse crate::plan;";
    let seen: Vec<String> = named(text).into_iter().collect();
    assert_eq!(seen, ["engine", "facts", "ui"]);
    assert!(height("ui") > height("engine") && height("facts") > height("error") && height("error") == height("host"));
}
