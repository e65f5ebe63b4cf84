//! What an answers file may hold, for editors (JSON Schema, draft 2020-12) and for people (a commented sample).

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::answers::file::{FREE, VERSION};
use crate::answers::resolve::{GENERATED, allowed, nothing};
use crate::guide::{Guide, Question, QuestionKind, Stage};
use crate::yaml;

/// The JSON Schema of the guide's answers files.
///
/// It knows types, ranges and names; conditions between answers are only in the descriptions.
pub fn schema(guide: &Guide) -> Value {
    let mut properties = Map::new();
    properties.insert("version".to_owned(), json!({"const": VERSION, "description": "Version of the format."}));
    properties.insert("guide".to_owned(), json!({"const": guide.id, "description": guide.title}));
    properties.insert(
        "on_failure".to_owned(),
        json!({"enum": ["rollback", "pause"], "default": "rollback",
            "description": "What an unattended run does when it fails."}),
    );
    properties.insert(
        "take_over".to_owned(),
        json!({"type": "array", "items": {"type": "string"}, "default": [],
            "description": "Existing things that bringup did not create and may take over: absolute paths, unit:NAME, \
                user:NAME, group:NAME, database:NAME, role:NAME, vhost:NAME, broker-user:NAME."}),
    );
    let mut required = vec!["version".to_owned(), "guide".to_owned()];
    for stage in guide.stages.iter().filter(|stage| !stage.questions.is_empty()) {
        properties.insert(stage.id.clone(), section(stage));
        if stage.when.is_none() && stage.questions.iter().any(is_required) {
            required.push(stage.id.clone());
        }
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": format!("Answers for: {}", guide.title),
        "description": guide.summary.trim(),
        "type": "object",
        "properties": properties,
        "patternProperties": {format!("^{FREE}"): {"description": "Your own notes and anchors."}},
        "required": required,
        "additionalProperties": false,
    })
}

/// A sample answers file: every question with its help, its allowed values and its default; required answers are left
/// open, the others are commented out.
pub fn sample(guide: &Guide) -> String {
    let mut out = String::new();
    comment(&mut out, "", &format!("Answers for: {}", guide.title));
    comment(&mut out, "", &guide.summary);
    comment(&mut out, "", "Lines that begin with `# name:` show the defaults; remove the `#` to change one.");
    let _ = writeln!(out, "version: {VERSION}\nguide: {}\n", inline(&json!(guide.id)));
    comment(&mut out, "", "What an unattended run does when it fails: rollback or pause.");
    let _ = writeln!(out, "# on_failure: rollback");
    comment(
        &mut out,
        "",
        "Existing things that bringup did not create and may take over, such as [\"unit:shop.service\"].",
    );
    let _ = writeln!(out, "# take_over: []");
    for stage in guide.stages.iter().filter(|stage| !stage.questions.is_empty()) {
        out.push('\n');
        comment(&mut out, "", &stage.title);
        comment(&mut out, "", &stage.why);
        if let Some(when) = &stage.when {
            comment(&mut out, "", &format!("Only when: {when}"));
        }
        let _ = writeln!(out, "{}:", stage.id);
        for question in &stage.questions {
            sample_question(&mut out, stage, question);
        }
    }
    out
}

/// Whether every file must answer it.
fn is_required(question: &Question) -> bool {
    question.default.is_none() && !question.optional && question.when.is_none()
}

fn section(stage: &Stage) -> Value {
    let properties: Map<_, _> =
        stage.questions.iter().map(|question| (question.id.clone(), property(question))).collect();
    let required: Vec<_> =
        stage.questions.iter().filter(|question| is_required(question)).map(|question| &question.id).collect();
    // A section whose lines are all comments is null to YAML.
    let kind = if required.is_empty() { json!(["object", "null"]) } else { json!("object") };
    let mut description = format!("{}\n\n{}", stage.title, stage.why.trim());
    if let Some(when) = &stage.when {
        let _ = write!(description, "\n\nOnly when: {when}");
    }
    json!({
        "type": kind,
        "description": description,
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn property(question: &Question) -> Value {
    let mut form = form(question);
    let mut others = Vec::new();
    if question.auto {
        others.push(json!({"const": "auto", "description": "The default."}));
    }
    if question.optional {
        let map = (question.kind == QuestionKind::Map).then(|| json!({}));
        let nothing: Vec<Value> = [Value::Null, json!(""), json!([])].into_iter().chain(map).collect();
        others.push(json!({"enum": nothing, "description": "None."}));
    }
    if !others.is_empty() {
        others.insert(0, form);
        form = json!({"anyOf": others});
    }
    form["description"] = description(question).into();
    if let Some(default) = question.default.as_ref().filter(|default| !is_template(default)) {
        form["default"] = default.clone();
    }
    form
}

/// The schema of the value itself.
fn form(question: &Question) -> Value {
    let mut form = match question.kind {
        QuestionKind::Choice => {
            let values: Vec<_> = question.choices.iter().map(|choice| &choice.value).collect();
            return json!({"enum": values});
        }
        QuestionKind::Bool => return json!({"type": "boolean"}),
        QuestionKind::Secret => return reference(),
        QuestionKind::Integer | QuestionKind::Port | QuestionKind::FreePort => {
            let port = question.kind != QuestionKind::Integer;
            let mut form = json!({"type": "integer"});
            if let Some(min) = question.min.or(port.then_some(1)) {
                form["minimum"] = min.into();
            }
            if let Some(max) = question.max.or(port.then_some(65535)) {
                form["maximum"] = max.into();
            }
            return form;
        }
        QuestionKind::List | QuestionKind::Hostnames | QuestionKind::Ports | QuestionKind::Networks => {
            let mut entry = json!({"type": ["string", "integer"], "minLength": 1, "minimum": 0});
            if let Some(pattern) = &question.pattern {
                entry["pattern"] = format!("^(?:{pattern})$").into();
            }
            let mut form = json!({"type": "array", "items": entry, "minItems": question.min.unwrap_or(1).max(1)});
            if let Some(max) = question.max {
                form["maxItems"] = max.into();
            }
            return form;
        }
        QuestionKind::Table => return table(question),
        QuestionKind::Map => return map(question),
        QuestionKind::Hostname => json!({"type": "string", "format": "hostname"}),
        QuestionKind::Email => json!({"type": "string", "format": "email"}),
        QuestionKind::Url if !question.or_path => json!({"type": "string", "format": "uri"}),
        QuestionKind::Regex => json!({"type": "string", "format": "regex"}),
        QuestionKind::Path | QuestionKind::Text | QuestionKind::Url => json!({"type": "string"}),
    };
    form["minLength"] = question.min.unwrap_or(1).max(1).into();
    if let Some(max) = question.max {
        form["maxLength"] = max.into();
    }
    if let Some(pattern) = &question.pattern {
        form["pattern"] = format!("^(?:{pattern})$").into();
    } else if question.kind == QuestionKind::Path {
        form["pattern"] = "^/".into();
    }
    form
}

fn table(question: &Question) -> Value {
    let columns: Map<_, _> = question.columns.iter().map(|column| (column.id.clone(), property(column))).collect();
    let required: Vec<_> = question.columns.iter().filter(|column| is_required(column)).map(|it| &it.id).collect();
    let row = json!({"type": "object", "properties": columns, "required": required, "additionalProperties": false});
    let mut form = json!({"type": "array", "items": row, "minItems": question.min.unwrap_or(1).max(1)});
    if let Some(max) = question.max {
        form["maxItems"] = max.into();
    }
    form
}

fn map(question: &Question) -> Value {
    let pattern = question.pattern.as_deref().unwrap_or("[A-Za-z_][A-Za-z0-9_]*");
    let mut form = json!({
        "type": "object",
        "propertyNames": {"pattern": format!("^(?:{pattern})$")},
        "additionalProperties": {"anyOf": [{"type": "string"}, reference()]},
    });
    if let Some(pattern) = &question.value_pattern {
        form["additionalProperties"] = json!({"type": ["string", "integer"], "pattern": format!("^(?:{pattern})$")});
    }
    if !question.reserved.is_empty() {
        let reserved = question.reserved.iter().map(|name| match name.strip_suffix('*') {
            Some(start) => format!("{start}.*"),
            None => name.clone(),
        });
        form["propertyNames"]["not"] = json!({"pattern": format!("^(?:{})$", reserved.collect::<Vec<_>>().join("|"))});
    }
    if let Some(min) = question.min.or((!question.optional).then_some(1)) {
        form["minProperties"] = min.into();
    }
    if let Some(max) = question.max {
        form["maxProperties"] = max.into();
    }
    form
}

fn reference() -> Value {
    let one = |name: &str, value: Value| json!({"type": "object", "properties": {name: value}, "required": [name], "additionalProperties": false});
    json!({"oneOf": [
        one("file", json!({"type": "string", "pattern": "^/", "description": "The first line of this file."})),
        one("env", json!({"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$",
            "description": "This environment variable."})),
        one("generate", json!({"type": "integer", "minimum": GENERATED.start(), "maximum": GENERATED.end(),
            "description": "Generated on the server, this many characters long."})),
    ]})
}

fn description(question: &Question) -> String {
    let mut parts = vec![question.ask.clone()];
    parts.push(question.help.trim().to_owned());
    for choice in &question.choices {
        parts.push(choice_line(&choice.value, &choice.label, &choice.note));
    }
    parts.extend(question.pattern_hint.clone());
    parts.extend(question.when.as_ref().map(|when| format!("Only when: {when}")));
    parts.retain(|part| !part.is_empty());
    parts.join("\n")
}

fn choice_line(value: &str, label: &str, note: &str) -> String {
    let note = note.trim();
    let words = [label, note].into_iter().filter(|words| !words.is_empty() && *words != value);
    let words = words.collect::<Vec<_>>().join("; ");
    if words.is_empty() { value.to_owned() } else { format!("{value}: {words}") }
}

fn sample_question(out: &mut String, stage: &Stage, question: &Question) {
    let indent = "  ";
    out.push('\n');
    comment(out, indent, &question.ask);
    comment(out, indent, &question.help);
    if question.choices.is_empty() {
        let auto = if question.auto { ", or auto" } else { "" };
        let allowed = allowed(question);
        // A pattern's own text may say so already.
        let open = question.optional && !allowed.ends_with("or nothing");
        let open = if open { ", or nothing" } else { "" };
        comment(out, indent, &format!("Allowed: {allowed}{auto}{open}"));
    } else {
        for choice in &question.choices {
            comment(out, indent, &format!("- {}", choice_line(&choice.value, &choice.label, &choice.note)));
        }
        if question.auto {
            comment(out, indent, "- auto: the default");
        }
    }
    for column in &question.columns {
        let default = column.default.as_ref().map(|default| format!(", {} where it is left out", inline(default)));
        let open = if column.optional { ", or nothing" } else { "" };
        let words = format!("- {}: {} {}{open}{}", column.id, column.ask, allowed(column), default.unwrap_or_default());
        comment(out, indent, &words);
    }
    if let Some(when) = &question.when {
        comment(out, indent, &format!("Only when: {when}"));
    }
    let (value, note) = match &question.default {
        None if question.optional => (inline(&nothing(question)), String::new()),
        None => (String::new(), "no default".to_owned()),
        // Computed on the host: `auto` and leaving it out mean the same.
        Some(default) if is_template(default) => {
            let shown = if question.auto { "auto".to_owned() } else { String::new() };
            (shown, format!("computed: {}", flat(default)))
        }
        Some(default) => (inline(default), String::new()),
    };
    let must = is_required(question) && stage.when.is_none();
    let mark = if must { "" } else { "# " };
    let note = match (must, note.is_empty()) {
        (true, _) => "  # must be answered".to_owned(),
        (false, true) => String::new(),
        (false, false) => format!("  # {note}"),
    };
    let value = if value.is_empty() { value } else { format!(" {value}") };
    let _ = writeln!(out, "{indent}{mark}{}:{value}{note}", question.id);
}

/// Lines of text as comments; nothing for no text.
fn comment(out: &mut String, indent: &str, text: &str) {
    for line in text.trim().lines() {
        let line: String = line.chars().filter(|c| *c == '\t' || !c.is_control()).collect();
        let _ = writeln!(out, "{}", format!("{indent}# {line}").trim_end());
    }
}

fn is_template(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains("{{") || text.contains("{%"),
        Value::Array(items) => items.iter().any(is_template),
        Value::Object(entries) => entries.values().any(is_template),
        _ => false,
    }
}

fn flat(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn inline(value: &Value) -> String {
    // Plain data can always be written; JSON is YAML too.
    yaml::inline(value).unwrap_or_else(|_| value.to_string())
}

#[cfg(test)]
mod tests;
