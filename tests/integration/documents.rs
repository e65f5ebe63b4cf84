//! What the pages say about the tree and the program is so: links, paths, functions, commands, options, exit codes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Every page of the tree, by its path.
fn pages() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut pending = vec![root()];
    while let Some(dir) = pending.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                pending.push(path);
            } else if path.extension().is_some_and(|ending| ending == "md") {
                let relative = path.strip_prefix(root()).unwrap().display().to_string();
                found.insert(relative.clone(), text(&relative));
            }
        }
    }
    found
}

/// A page without its blocks of code, and those.
fn without_blocks(page: &str) -> (String, String) {
    let (mut prose, mut blocks, mut inside) = (String::new(), String::new(), false);
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
        } else {
            let target = if inside { &mut blocks } else { &mut prose };
            target.push_str(line);
            target.push('\n');
        }
    }
    (prose, blocks)
}

/// The texts between backquotes.
fn spans(prose: &str) -> Vec<&str> {
    prose.split('`').skip(1).step_by(2).collect()
}

/// The targets of links and pictures.
fn targets(prose: &str) -> Vec<&str> {
    prose.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect()
}

/// The anchors of a page's headings, as GitHub makes them.
fn anchors(page: &str) -> BTreeSet<String> {
    let (prose, _) = without_blocks(page);
    let heading = |line: &str| {
        let title = line.strip_prefix('#')?.trim_start_matches('#').strip_prefix(' ')?;
        let kept =
            title.to_lowercase().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>();
        Some(kept.replace(' ', "-"))
    };
    prose.lines().filter_map(heading).collect()
}

/// Whether a path of the tree exists; `*` stands for any part of its last name.
fn exists(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    match name.split_once('*') {
        None => path.exists(),
        Some((before, after)) => {
            std::fs::read_dir(path.parent().unwrap()).into_iter().flatten().flatten().any(|entry| {
                let name = entry.file_name().to_string_lossy().into_owned();
                name.starts_with(before) && name.ends_with(after)
            })
        }
    }
}

#[test]
fn the_first_page_is_short() {
    let lines = text("README.md").lines().count();
    assert!(lines <= 150, "README.md has {lines} lines");
}

#[test]
fn every_link_leads_somewhere() {
    let pages = pages();
    let mut wrong = Vec::new();
    let mut links = 0;
    for (name, page) in &pages {
        for target in targets(&without_blocks(page).0) {
            if target.contains("://") {
                continue;
            }
            links += 1;
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file = if path.is_empty() { PathBuf::from(name) } else { Path::new(name).parent().unwrap().join(path) };
            let whole = root().join(&file);
            if !whole.exists() {
                wrong.push(format!("{name}: {target}"));
            } else if !anchor.is_empty() && !anchors(&std::fs::read_to_string(&whole).unwrap()).contains(anchor) {
                wrong.push(format!("{name}: {target}: no such heading"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(links > 60, "only {links} links were seen");
}

#[test]
fn every_path_of_the_tree_that_a_page_names_exists() {
    const TOPS: [&str; 5] = ["src/", "tests/", "docs/", "screens/", "assets/"];
    // A guide of one's own has these, too; `<guide>` stands for any.
    const OTHERS: [&str; 1] = ["assets/<guide>/"];
    let mut wrong = Vec::new();
    let mut paths = 0;
    for (name, page) in pages() {
        for span in spans(&without_blocks(&page).0) {
            if !TOPS.iter().any(|top| span.starts_with(top)) || span.contains(' ') || OTHERS.contains(&span) {
                continue;
            }
            paths += 1;
            if !exists(&root().join(span)) {
                wrong.push(format!("{name}: {span}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(paths > 50, "only {paths} paths were seen");
}

#[test]
fn every_page_is_reached_from_the_first() {
    let pages = pages();
    let mut reached = BTreeSet::from(["README.md".to_owned()]);
    let mut pending = vec!["README.md".to_owned()];
    while let Some(name) = pending.pop() {
        for target in targets(&without_blocks(&pages[&name]).0) {
            let path = Path::new(&name).parent().unwrap().join(target.split('#').next().unwrap());
            let mut parts: Vec<String> = Vec::new();
            for part in path.iter().map(|part| part.to_string_lossy().into_owned()) {
                if part == ".." { drop(parts.pop()) } else { parts.push(part) }
            }
            let path = parts.join("/");
            if pages.contains_key(&path) && reached.insert(path.clone()) {
                pending.push(path);
            }
        }
    }
    let lost: Vec<_> = pages.keys().filter(|name| name.starts_with("docs/") && !reached.contains(*name)).collect();
    assert!(lost.is_empty(), "no link leads to {lost:?}");
}

/// "`src/x.rs`: `name`": the places that the architecture's walks name.
fn stops(page: &str) -> Vec<(String, String)> {
    let flat = page.replace('\n', " ");
    let flat = flat.split_whitespace().collect::<Vec<_>>().join(" ");
    let pieces: Vec<&str> = flat.split('`').collect();
    let mut found = Vec::new();
    for window in pieces.windows(3) {
        if window[0].starts_with("src/") && window[1] == ": " {
            found.push((window[0].to_owned(), window[2].to_owned()));
        }
    }
    found
}

#[test]
fn every_function_that_the_architecture_names_is_there() {
    let page = text("docs/architecture.md");
    let stops = stops(&page);
    assert!(stops.len() > 25, "{stops:?}");
    let mut wrong = Vec::new();
    for (file, name) in stops {
        let code = text(&file);
        let defined = ["fn ", "struct ", "enum "].iter().any(|kind| {
            code.split(&format!("{kind}{name}"))
                .skip(1)
                .any(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
        });
        if !defined {
            wrong.push(format!("{file}: {name}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_walks_are_short() {
    let page = text("docs/architecture.md");
    for heading in ["## From an answer to a changed file", "## From a failure to the screen"] {
        let walk = page.split(heading).nth(1).unwrap().split("\n## ").next().unwrap();
        let stops =
            walk.lines().filter(|line| line.split_once(". ").is_some_and(|(n, _)| n.parse::<u8>().is_ok())).count();
        assert!((5..=12).contains(&stops), "{heading}: {stops} stops");
    }
}

fn bringup(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_bringup")).args(arguments).output().unwrap();
    assert!(output.status.success(), "bringup {arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The commands that a page of help lists.
fn commands(help: &str) -> BTreeSet<String> {
    let listed = help.split("Commands:\n").nth(1).unwrap_or_default().split("\n\n").next().unwrap_or_default();
    let name = |line: &str| line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')).map(str::to_owned);
    let names = listed.lines().filter_map(name).filter_map(|line| line.split_whitespace().next().map(str::to_owned));
    names.filter(|name| name != "help").collect()
}

#[test]
fn the_pages_name_the_commands_that_there_are() {
    let top = bringup(&["--help"]);
    let verbs = commands(&top);
    assert!(verbs.len() > 15, "{verbs:?}");
    let mut known: BTreeSet<String> = verbs.clone();
    for verb in &verbs {
        known.extend(commands(&bringup(&[verb, "--help"])).iter().map(|inner| format!("{verb} {inner}")));
    }
    let reference = text("docs/commands.md");
    for command in &known {
        let nested = known.iter().any(|other| other.starts_with(&format!("{command} ")));
        assert!(nested || reference.contains(&format!("| `bringup {command}")), "docs/commands.md lacks {command}");
    }
    // Started by bringup itself, and not for people.
    known.extend(["execute".to_owned()]);
    for (name, page) in pages() {
        let (prose, blocks) = without_blocks(&page);
        let lines: Vec<String> = spans(&prose).into_iter().chain(blocks.lines()).map(str::to_owned).collect();
        for line in lines {
            let line = line.trim().trim_start_matches("sudo ");
            let Some(rest) = line.strip_prefix("bringup ") else { continue };
            let word = rest.split_whitespace().next().unwrap_or_default();
            let is_word = !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c == '-');
            assert!(!is_word || word.starts_with('-') || known.contains(word), "{name}: {line}");
            let second = rest.split_whitespace().nth(1).unwrap_or_default();
            let nested = known.iter().any(|other| other.starts_with(&format!("{word} ")));
            let is_word = second.chars().all(|c| c.is_ascii_lowercase()) && !second.is_empty();
            assert!(!nested || !is_word || known.contains(&format!("{word} {second}")), "{name}: {line}");
        }
    }
}

#[test]
fn the_options_that_are_described_are_those_that_there_are() {
    let mut helps = bringup(&["--help"]);
    for verb in commands(&helps.clone()) {
        helps.push_str(&bringup(&[&verb, "--help"]));
    }
    let known: BTreeSet<&str> = helps
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
        .filter(|word| word.starts_with("--") && word.len() > 2)
        .collect();
    let page = text("docs/commands.md");
    let described: BTreeSet<&str> = page
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
        .filter(|word| word.starts_with("--") && !word.trim_matches('-').is_empty())
        .collect();
    let unknown: Vec<_> = described.difference(&known).collect();
    assert!(unknown.is_empty(), "there is no {unknown:?}");
    let top = bringup(&["--help"]);
    let own = top.split("Options:").nth(1).unwrap();
    for option in own.split_whitespace().filter(|word| word.starts_with("--")) {
        let option = option.trim_end_matches(|c: char| !c.is_ascii_lowercase());
        assert!(["--help", "--version"].contains(&option) || described.contains(option), "{option} is not described");
    }
}

#[test]
fn every_exit_code_is_described() {
    let code = text("src/error.rs");
    let body = code.split("const fn code(self)").nth(1).unwrap().split("\n    }\n").next().unwrap();
    let codes: BTreeSet<u8> =
        body.split("=> ").skip(1).filter_map(|rest| rest.split(',').next()?.trim().parse().ok()).collect();
    assert!(codes.len() > 8, "{codes:?}");
    let page = text("docs/exit-codes.md");
    let rows = page.lines().filter(|line| line.starts_with("| "));
    let told: BTreeSet<u8> = rows
        .flat_map(|row| row.split('|').nth(1).unwrap_or_default().split(',').map(str::trim).collect::<Vec<_>>())
        .filter_map(|number| number.parse().ok())
        .collect();
    assert_eq!(told, codes);
}

#[test]
fn the_guide_that_the_reader_types_is_the_one_that_guide_new_writes() {
    let page = text("docs/guides.md");
    let mut lines = 0;
    for file in ["guide.yaml", "10-site.yaml"] {
        let skeleton = text(&format!("assets/skeleton/{file}"));
        assert!(page.contains(&format!("```yaml\n{skeleton}```")), "docs/guides.md shows another {file}");
        lines += skeleton.lines().count();
    }
    assert!(lines <= 45, "{lines} lines");
}
