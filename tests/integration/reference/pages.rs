//! The reference pages: a table for each type.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::source::{Field, Form, Shape, Source, Value};

const HEAD: &str = "<!-- Generated from the source: REFERENCE=write cargo test --test integration reference -->\n";

/// A page of kinds: actions or proofs.
pub fn kinds(source: &mut Source, title: &str, intro: &str, of: &str, leave_out: &[&str]) -> String {
    let mut out = format!("# {title}\n\n{HEAD}\n{intro}\n");
    let Form::Kinds(kinds) = source.shape(of).form else { panic!("{of} has no kinds") };
    let kinds: Vec<_> = kinds.into_iter().filter(|(name, _)| !leave_out.contains(&name.as_str())).collect();
    let list: Vec<String> = kinds.iter().map(|(name, _)| format!("[`{name}`](#{name})")).collect();
    let _ = writeln!(out, "\n{}", list.join(" · "));
    for (name, value) in &kinds {
        let Value::Named(path) = value else { panic!("{name} holds no type of its own") };
        // A proof of what an action made has the fields of the action.
        if of.starts_with("proof") && path.starts_with("action::") {
            let docs = source.module_docs(&format!("proof::{name}"));
            let docs = docs.replacen(&format!("`{name}`: "), "", 1);
            let _ = writeln!(out, "\n## {name}\n\n{docs} See [`{name}`](actions.md#{name}).");
            continue;
        }
        let mut shape = source.shape(path);
        extend(name, &mut shape);
        let _ = writeln!(out, "\n## {name}\n\n{}", shape.docs);
        let mut told = BTreeSet::from([path.clone()]);
        table(source, &mut out, &shape, &mut told);
    }
    out
}

/// A page of types that belong together.
pub fn types(source: &mut Source, title: &str, intro: &str, of: &[(&str, &str)]) -> String {
    let mut out = format!("# {title}\n\n{HEAD}\n{intro}\n");
    let mut told: BTreeSet<String> = of.iter().map(|(_, path)| (*path).to_owned()).collect();
    for (name, path) in of {
        let shape = source.shape(path);
        let _ = writeln!(out, "\n## {name}\n\n{}", shape.docs);
        table(source, &mut out, &shape, &mut told);
    }
    out
}

/// What the planner adds to what a guide may write, and what it fills in itself.
pub fn extend(kind: &str, shape: &mut Shape) {
    let Form::Fields(fields) = &mut shape.form else { return };
    fields.retain(|field| !field.docs.contains("Filled in by the planner"));
    if kind == "file" {
        let at = fields.iter().position(|field| field.name == "content").unwrap();
        fields[at].default = Some("—".to_owned());
        "The whole content. Either this or `template`.".clone_into(&mut fields[at].docs);
        let docs = "A template below `assets/` of the guide, or a shared one. Either this or `content`.".to_owned();
        let field = Field { name: "template".to_owned(), docs, value: Value::Text, default: Some("—".to_owned()) };
        fields.insert(at + 1, field);
    }
}

fn table(source: &mut Source, out: &mut String, shape: &Shape, told: &mut BTreeSet<String>) {
    let mut more = Vec::new();
    match &shape.form {
        Form::Fields(fields) => {
            let _ = writeln!(out, "\n| field | type | when left out | meaning |\n| --- | --- | --- | --- |");
            for field in fields {
                let words = words(&field.value, &mut more);
                let default = field.default.clone().unwrap_or_else(|| "must be written".to_owned());
                let _ = writeln!(out, "| `{}` | {words} | {default} | {} |", field.name, cell(&field.docs));
            }
        }
        Form::Words(list) => {
            let _ = writeln!(out, "\n| word | meaning |\n| --- | --- |");
            for (word, docs) in list {
                let _ = writeln!(out, "| `{word}` | {} |", cell(docs));
            }
        }
        Form::Kinds(_) | Form::Custom => {}
    }
    for path in more {
        if told.insert(path.clone()) {
            let shape = source.shape(&path);
            let _ = writeln!(out, "\n**{}** {}", name_of(&path), shape.docs);
            table(source, out, &shape, told);
        }
    }
}

fn words(value: &Value, more: &mut Vec<String>) -> String {
    match value {
        Value::Text => "text".to_owned(),
        Value::Path => "path".to_owned(),
        Value::Bool => "`true` or `false`".to_owned(),
        Value::Number => "number".to_owned(),
        Value::Address => "IP address".to_owned(),
        Value::Anything => "anything".to_owned(),
        Value::List(inner) => format!("list of {}", words(inner, more)),
        Value::Map(inner) => format!("map of {}", words(inner, more)),
        Value::Option(inner) => words(inner, more),
        Value::Named(path) => {
            more.push(path.clone());
            name_of(path)
        }
    }
}

fn name_of(path: &str) -> String {
    path.rsplit("::").next().unwrap_or(path).to_owned()
}

/// Text in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace("\n\n", "<br>")
}
