//! The JSON Schema of the files of a guide, made from the types by `tests/integration/reference.rs`, and what does not fit it.
//!
//! The reader of YAML knows the form of a stage; what stands in an action or a proof is typed only when its templates are
//! evaluated, with answers. The schema tells before which fields there are, which must be written, and what they hold.

use std::sync::OnceLock;

use serde_json::{Map, Value};

use crate::guide::renamed::nearest;

/// The schema as it is printed: draft 2020-12, for `guide.yaml` and for stages.
pub const TEXT: &str = include_str!("../../docs/reference/guide.schema.json");

/// What has a kind.
#[derive(Clone, Copy, Debug)]
pub(super) enum Of {
    Action,
    Proof,
}

/// Something that does not fit: the path below the kind, what is wrong, and what would fit.
#[derive(Debug)]
pub(super) struct Misfit {
    pub path: String,
    pub message: String,
    pub hint: String,
}

/// What is wrong with the fields of an action or a proof of this kind; nothing for a kind that there is not.
pub(super) fn misfits(of: Of, kind: &str, fields: &Value) -> Vec<Misfit> {
    let spec = match of {
        Of::Action => "ActionSpec",
        Of::Proof => "ProofSpec",
    };
    let mut found = Vec::new();
    if let Some(form) = schema()["$defs"][spec]["properties"].get(kind) {
        walk(form, fields, kind, &mut found);
    }
    found
}

fn schema() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(|| serde_json::from_str(TEXT).unwrap_or_default())
}

fn walk(form: &Value, value: &Value, path: &str, found: &mut Vec<Misfit>) {
    // A field that is none is as if it were not written, and what a template gives is known later.
    if value.is_null() || value.as_str().is_some_and(|text| text.contains("{{") || text.contains("{%")) {
        return;
    }
    let form = resolve(form, value);
    let misfit = |message: String, hint: String| Misfit { path: path.to_owned(), message, hint };
    if let Some(words) = form["enum"].as_array() {
        let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
        if !value.as_str().is_some_and(|word| words.contains(&word)) {
            let near = value.as_str().and_then(|word| nearest(word, words.iter().copied()));
            let hint =
                near.map_or_else(|| format!("allowed: {}", words.join(", ")), |near| format!("did you mean {near}?"));
            found.push(misfit(format!("{value} is not allowed"), hint));
        }
        return;
    }
    if form.get("type").is_some() && !is(form, value) {
        let wanted = form["type"].as_str().unwrap_or("text or a number");
        found.push(misfit(format!("{} stands where {} must", name(value), named(wanted)), String::new()));
        return;
    }
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(&form["items"], item, &format!("{path}[{index}]"), found);
            }
        }
        Value::Object(fields) => object(form, fields, path, found),
        _ => {}
    }
}

fn object(form: &Value, fields: &Map<String, Value>, path: &str, found: &mut Vec<Misfit>) {
    let Some(known) = form["properties"].as_object() else {
        // A map with keys of the author's.
        for (key, value) in fields {
            walk(&form["additionalProperties"], value, &format!("{path}.{key}"), found);
        }
        return;
    };
    let names = || known.keys().map(String::as_str);
    let mut misspelt = Vec::new();
    for (field, value) in fields {
        if let Some(form) = known.get(field) {
            walk(form, value, &format!("{path}.{field}"), found);
            continue;
        }
        let near = nearest(field, names());
        misspelt.extend(near);
        let hint = near.map_or_else(
            || format!("fields are: {}", names().collect::<Vec<_>>().join(", ")),
            |near| format!("did you mean {near}?"),
        );
        let message = format!("`{path}` has no field `{field}`");
        found.push(Misfit { path: format!("{path}.{field}"), message, hint });
    }
    // A misspelt field is missing, too: that is one problem, not two.
    let required = form["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    for field in required.filter(|field| !fields.contains_key(*field) && !misspelt.contains(field)) {
        found.push(Misfit { path: path.to_owned(), message: format!("`{path}` needs `{field}`"), hint: String::new() });
    }
}

/// The form behind references, and of several the first whose type the value has.
fn resolve<'a>(form: &'a Value, value: &Value) -> &'a Value {
    if let Some(name) = form["$ref"].as_str().and_then(|name| name.strip_prefix("#/$defs/")) {
        return resolve(&schema()["$defs"][name], value);
    }
    let Some(forms) = form["anyOf"].as_array() else { return form };
    let template = |form: &&Value| form["$ref"] != "#/$defs/template";
    let forms: Vec<&Value> = forms.iter().filter(template).map(|form| resolve(form, value)).collect();
    forms.iter().copied().find(|form| is(form, value)).or(forms.first().copied()).unwrap_or(form)
}

fn is(form: &Value, value: &Value) -> bool {
    let of = |wanted: &str| match value {
        Value::Bool(_) => wanted == "boolean",
        Value::Number(_) => wanted == "integer",
        Value::String(_) => wanted == "string",
        Value::Array(_) => wanted == "array",
        Value::Object(_) => wanted == "object",
        Value::Null => true,
    };
    match &form["type"] {
        Value::String(wanted) => of(wanted),
        Value::Array(all) => all.iter().filter_map(Value::as_str).any(of),
        _ => false,
    }
}

/// What a value is, for people.
fn name(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

/// What a type of JSON is called here.
fn named(wanted: &str) -> &str {
    match wanted {
        "boolean" => "true or false",
        "integer" => "a number",
        "string" => "text",
        "array" => "a list",
        "object" => "a mapping",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::Action;
    use crate::proof::Proof;
    use serde_json::json;

    fn told(of: Of, kind: &str, fields: &Value) -> Vec<String> {
        misfits(of, kind, fields)
            .into_iter()
            .map(|one| format!("{}: {} ({})", one.path, one.message, one.hint))
            .collect()
    }

    #[test]
    fn every_kind_is_known() {
        // Packages are a list of their stage, and no kind that somebody writes.
        for kind in Action::KINDS.iter().filter(|kind| **kind != "packages") {
            assert!(!told(Of::Action, kind, &json!({"no_such_field": 1})).is_empty(), "{kind}");
        }
        for kind in Proof::KINDS {
            assert!(!told(Of::Proof, kind, &json!({"no_such_field": 1})).is_empty(), "{kind}");
        }
        assert!(told(Of::Action, "symlnk", &json!({"no_such_field": 1})).is_empty());
    }

    #[test]
    fn what_is_written_must_have_the_type_of_its_field() {
        let service =
            json!({"manager": "sistemd", "name": 3, "running": "{{ x }}", "sites": {"sever": "nginx"}, "test": null});
        assert_eq!(
            told(Of::Action, "service", &service),
            [
                "service.manager: \"sistemd\" is not allowed (did you mean systemd?)",
                "service.name: a number stands where text must ()",
                "service.sites.sever: `service.sites` has no field `sever` (did you mean server?)",
            ]
        );
        let firewall =
            json!({"manager": "ufw", "name": "x", "allow": ["443", {"port": 80}, {"prot": 1}, 7], "knock": "{{ k }}"});
        assert_eq!(
            told(Of::Action, "firewall", &firewall),
            [
                "firewall.allow[2].prot: `firewall.allow[2]` has no field `prot` (did you mean port?)",
                "firewall.allow[3]: a number stands where a mapping must ()",
            ]
        );
    }

    #[test]
    fn keys_of_a_map_are_the_authors() {
        let command =
            json!({"describe": "d", "run": ["x"], "check": ["y"], "undo": ["z"], "env": {"KEY": "v", "N": 3}});
        assert_eq!(told(Of::Action, "command", &command), ["command.env.N: a number stands where text must ()"]);
    }
}
