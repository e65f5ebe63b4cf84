//! The JSON Schema (draft 2020-12) of the files of a guide, from the same types.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use super::pages::extend;
use super::source::{Field, Form, Source, Value};

/// The types that a schema refers to, each once.
struct Schema<'a> {
    source: &'a mut Source,
    definitions: BTreeMap<String, Json>,
}

/// The schema of `guide.yaml` and of a stage's file: `guide.yaml` is the one with the key `guide`.
pub fn schema(source: &mut Source) -> Json {
    let mut schema = Schema { source, definitions: BTreeMap::new() };
    for path in ["guide::GuideFile", "guide::Stage"] {
        schema.define(path, false);
    }
    for (spec, kinds, leave_out) in
        [("ActionSpec", "action::Action", &["packages"][..]), ("ProofSpec", "proof::Proof", &[])]
    {
        schema.spec(spec, kinds, leave_out);
    }
    schema.definitions.insert(
        "template".to_owned(),
        json!({"type": "string", "pattern": "\\{[{%]", "description": "A template, evaluated when the plan is made."}),
    );
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A file of a bringup guide",
        "description": "guide.yaml, or a stage.",
        "if": {"type": "object", "required": ["guide"]},
        "then": {"$ref": "#/$defs/GuideFile"},
        "else": {"$ref": "#/$defs/Stage"},
        "$defs": schema.definitions,
    })
}

impl Schema<'_> {
    /// Defines a type; a leaf of one that `renders` may be a template instead.
    fn define(&mut self, path: &str, renders: bool) -> Json {
        let name = if renders { path.replace("::", ".") } else { path.rsplit("::").next().unwrap().to_owned() };
        let reference = json!({"$ref": format!("#/$defs/{name}")});
        if self.definitions.contains_key(&name) {
            return reference;
        }
        self.definitions.insert(name.clone(), Json::Null);
        let shape = self.source.shape(path);
        let mut body = match &shape.form {
            Form::Fields(fields) => self.object(fields, renders),
            Form::Words(words) => json!({"enum": words.iter().map(|(word, _)| word).collect::<Vec<_>>()}),
            Form::Custom => json!({"type": ["string", "integer"]}),
            Form::Kinds(_) => panic!("{path} is no type of a field"),
        };
        // `firewall.allow` has a short form.
        if path.ends_with("::Allow") {
            body["required"] = json!(["port"]);
            body = json!({"anyOf": [body, {"type": "string"}]});
        }
        body["description"] = shape.docs.clone().into();
        self.definitions.insert(name, body);
        reference
    }

    /// An action or a proof: its common keys, and one that names its kind.
    fn spec(&mut self, spec: &str, kinds: &str, leave_out: &[&str]) {
        self.define(&format!("guide::{spec}"), false);
        let Form::Kinds(found) = self.source.shape(kinds).form else { panic!("{kinds} has no kinds") };
        let mut one_of = Vec::new();
        for (name, value) in found.into_iter().filter(|(name, _)| !leave_out.contains(&name.as_str())) {
            let Value::Named(path) = value else { panic!("{name} holds no type") };
            let mut shape = self.source.shape(&path);
            extend(&name, &mut shape);
            let Form::Fields(fields) = &shape.form else { panic!("{name} has no fields") };
            let mut body = self.object(fields, true);
            body["description"] = shape.docs.clone().into();
            if name == "file" {
                body["oneOf"] = json!([{"required": ["content"]}, {"required": ["template"]}]);
            }
            self.definitions.get_mut(spec).unwrap()["properties"][&name] = body;
            one_of.push(json!({"required": [name]}));
        }
        self.definitions.get_mut(spec).unwrap()["oneOf"] = json!(one_of);
    }

    fn object(&mut self, fields: &[Field], renders: bool) -> Json {
        let mut properties = Map::new();
        for field in fields {
            let mut form = self.value(&field.value, renders);
            form["description"] = field.docs.clone().into();
            properties.insert(field.name.clone(), form);
        }
        let required: Vec<_> =
            fields.iter().filter(|field| field.default.is_none()).map(|field| field.name.clone()).collect();
        json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
    }

    fn value(&mut self, value: &Value, renders: bool) -> Json {
        let form = match value {
            Value::Text | Value::Path | Value::Address => return json!({"type": "string"}),
            Value::Anything => return json!({}),
            Value::Bool => json!({"type": "boolean"}),
            Value::Number => json!({"type": "integer"}),
            Value::List(inner) => json!({"type": "array", "items": self.value(inner, renders)}),
            Value::Map(inner) => json!({"type": "object", "additionalProperties": self.value(inner, renders)}),
            Value::Option(inner) => return self.value(inner, renders),
            Value::Named(path) => self.define(path, renders),
        };
        if renders { json!({"anyOf": [form, {"$ref": "#/$defs/template"}]}) } else { form }
    }
}
