//! The reference pages and the JSON Schema of guides say what the types say.
//!
//! `REFERENCE=write cargo test --test integration reference` writes them anew.

mod pages;
mod schema;
mod source;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use bringup::action::Action;
use bringup::facts::Facts;
use bringup::proof::Proof;
use bringup::yaml;
use serde_json::{Value, json};
use source::{Form, Source};

const FORMAT: &[(&str, &str)] = &[
    ("guide.yaml", "guide::GuideFile"),
    ("A stage", "guide::Stage"),
    ("questions", "guide::Question"),
    ("rules and requires", "guide::Rule"),
    ("locals", "guide::Local"),
    ("notices", "guide::Notice"),
    ("exposes", "guide::Exposed"),
    ("backup", "guide::Backup"),
    ("backup.database", "guide::BackupDatabase"),
    ("packages", "guide::PackageSpec"),
    ("actions", "guide::ActionSpec"),
    ("proofs", "guide::ProofSpec"),
    ("outputs", "guide::OutputSpec"),
    ("care", "guide::care::Care"),
    ("care.services", "guide::care::CareService"),
    ("care.shell", "guide::care::CareShell"),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// What the reference consists of, by its place.
fn reference() -> Vec<(&'static str, String)> {
    let mut source = Source::default();
    let templates = "Each text may be a template, and a value of another type may be a template that gives it.";
    let link = "[How a guide is written](../guides.md)";
    vec![
        (
            "docs/reference/format.md",
            pages::types(
                &mut source,
                "Files of a guide: every key",
                &format!(
                    "{link} explains how the keys work together; `bringup guide schema` prints the same for editors."
                ),
                FORMAT,
            ),
        ),
        (
            "docs/reference/actions.md",
            pages::kinds(
                &mut source,
                "Actions: every kind and field",
                &format!(
                    "{templates} {link} shows them at work. A stage's `packages` become the one action of the kind `packages`."
                ),
                "action::Action",
                &["packages"],
            ),
        ),
        (
            "docs/reference/proofs.md",
            pages::kinds(
                &mut source,
                "Proofs: every kind and field",
                &format!("{templates} {link} shows them at work."),
                "proof::Proof",
                &[],
            ),
        ),
        (
            "docs/reference/facts.md",
            pages::types(
                &mut source,
                "Facts: every name and type",
                "What expressions see as `facts.NAME`. `bringup facts --json` shows those of a server.",
                &[("facts", "facts::Facts")],
            )
            .replace(" when left out |", " when unknown |"),
        ),
        ("docs/reference/guide.schema.json", format!("{:#}\n", schema::schema(&mut source))),
    ]
}

#[test]
fn the_reference_says_what_the_code_says() {
    let write = std::env::var_os("REFERENCE").is_some_and(|value| value == "write");
    for (path, wanted) in reference() {
        let file = root().join(path);
        if write {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, &wanted).unwrap();
        }
        let present = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(
            present == wanted,
            "{path} is not what the code says: REFERENCE=write cargo test --test integration reference"
        );
    }
}

/// What serde itself knows: the reader of the source has left nothing out.
#[test]
fn no_kind_and_no_fact_is_left_out() {
    let mut source = Source::default();
    for (of, known) in [("action::Action", Action::KINDS), ("proof::Proof", Proof::KINDS)] {
        let Form::Kinds(kinds) = source.shape(of).form else { panic!("{of}") };
        let read: BTreeSet<&str> = kinds.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(read, known.iter().copied().collect::<BTreeSet<_>>());
    }
    let facts = serde_json::to_value(Facts::default()).unwrap();
    let Form::Fields(fields) = source.shape("facts::Facts").form else { panic!("no fields") };
    let read: BTreeSet<&str> = fields.iter().map(|field| field.name.as_str()).collect();
    assert_eq!(read, facts.as_object().unwrap().keys().map(String::as_str).collect::<BTreeSet<_>>());
}

fn yaml_files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(yaml_files(&path));
        } else if path.extension().is_some_and(|ending| ending == "yaml") {
            found.push(path);
        }
    }
    found
}

#[test]
fn every_shipped_guide_fits_the_schema() {
    let schema = schema::schema(&mut Source::default());
    let files = [yaml_files(&root().join("screens")), yaml_files(&root().join("assets/skeleton"))].concat();
    assert!(files.len() > 20, "{files:?}");
    // A table of releases is neither a guide nor a stage.
    for file in files.iter().filter(|file| !file.ends_with("releases.yaml")) {
        let text = std::fs::read(file).unwrap();
        let value = yaml::parse("f", &text).unwrap().root().to_json();
        let wrong = misfits(&schema, &schema, &value, "");
        assert!(wrong.is_empty(), "{}: {wrong:#?}", file.display());
    }
}

#[test]
fn the_schema_refuses_what_the_loader_refuses() {
    let schema = schema::schema(&mut Source::default());
    let stage = |action: Value| json!({"id": "a", "title": "A", "why": "b", "actions": [action]});
    let good = stage(json!({"id": "x", "reason": "b", "symlink": {"path": "/a", "target": "/b"}}));
    assert_eq!(misfits(&schema, &schema, &good, ""), [""; 0]);
    for bad in [
        stage(json!({"id": "x", "reason": "b"})),
        stage(json!({"id": "x", "reason": "b", "symlnk": {"path": "/a"}})),
        stage(json!({"id": "x", "reason": "b", "symlink": {"path": "/a"}})),
        stage(json!({"id": "x", "reason": "b", "symlink": {"path": "/a", "target": 3}})),
        stage(json!({"id": "x", "reason": "b", "symlink": {"path": "/a", "target": "/b"}, "remove": {"path": "/a"}})),
        stage(json!({"id": "x", "reason": "b", "file": {"path": "/a"}})),
        stage(json!({"id": "x", "reason": "b", "service": {"manager": "upstart", "name": "a"}})),
        json!({"version": 1, "guide": "t", "title": "T", "summary": "S", "stages": [], "colour": "red"}),
    ] {
        assert!(!misfits(&schema, &schema, &bad, "").is_empty(), "{bad}");
    }
}

/// Where a value does not fit a schema: the part of JSON Schema that ours uses.
fn misfits(root: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for (key, wanted) in schema.as_object().unwrap() {
        match key.as_str() {
            "$schema" | "title" | "description" | "$defs" | "then" | "else" => {}
            "$ref" => {
                let name = wanted.as_str().unwrap().strip_prefix("#/$defs/").unwrap();
                wrong.extend(misfits(root, &root["$defs"][name], value, at));
            }
            "if" => {
                let branch = if misfits(root, wanted, value, at).is_empty() { "then" } else { "else" };
                wrong.extend(misfits(root, &schema[branch], value, at));
            }
            "anyOf" | "oneOf" => {
                let fits =
                    wanted.as_array().unwrap().iter().filter(|one| misfits(root, one, value, at).is_empty()).count();
                if fits == 0 || key == "oneOf" && fits != 1 {
                    wrong.push(format!("{at}: fits {fits} of {key}"));
                }
            }
            "enum" => {
                if !wanted.as_array().unwrap().contains(value) {
                    wrong.push(format!("{at}: {value} is none of {wanted}"));
                }
            }
            "type" => {
                let is = match value {
                    Value::Null => "null",
                    Value::Bool(_) => "boolean",
                    Value::Number(_) => "integer",
                    Value::String(_) => "string",
                    Value::Array(_) => "array",
                    Value::Object(_) => "object",
                };
                if !(wanted == is || wanted.as_array().is_some_and(|types| types.contains(&json!(is)))) {
                    wrong.push(format!("{at}: {is} instead of {wanted}"));
                }
            }
            "pattern" => {
                let template = value.as_str().is_some_and(|text| text.contains("{{") || text.contains("{%"));
                if !template {
                    wrong.push(format!("{at}: no template"));
                }
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    wrong.extend(misfits(root, wanted, item, &format!("{at}[{index}]")));
                }
            }
            "required" => {
                let missing =
                    |name: &&Value| value.as_object().is_some_and(|map| !map.contains_key(name.as_str().unwrap()));
                wrong.extend(
                    wanted.as_array().unwrap().iter().filter(missing).map(|name| format!("{at}: without {name}")),
                );
            }
            "properties" => {
                for (name, inner) in value.as_object().into_iter().flatten() {
                    if let Some(schema) = wanted.get(name) {
                        wrong.extend(misfits(root, schema, inner, &format!("{at}.{name}")));
                    }
                }
            }
            "additionalProperties" => {
                for (name, inner) in value.as_object().into_iter().flatten() {
                    if schema.get("properties").is_some_and(|known| known.get(name).is_some()) {
                        continue;
                    }
                    if wanted == false {
                        wrong.push(format!("{at}: unknown {name}"));
                    } else {
                        wrong.extend(misfits(root, wanted, inner, &format!("{at}.{name}")));
                    }
                }
            }
            other => panic!("a keyword that this test does not know: {other}"),
        }
    }
    wrong
}
