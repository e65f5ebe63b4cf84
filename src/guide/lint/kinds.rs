//! What kinds of actions need beyond known fields: content with its readers, an undo, existing actions.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Linter;
use crate::guide::expression::is_template;
use crate::suggest::nearest;

impl Linter {
    pub(super) fn file(&mut self, at: &str, fields: &Value, extras: &[&str]) {
        let text = |key: &str| fields.get(key).and_then(Value::as_str);
        let mut used = BTreeSet::new();
        match (text("content"), text("template")) {
            // What is wrong in it has been said with the other texts.
            (Some(content), None) => used = self.expressions.names_in_template(content).unwrap_or_default(),
            // A name that is itself a template is only known when the plan is built.
            (None, Some(name)) if is_template(name) => {}
            (None, Some(name)) => match self.expressions.names_in_asset(name) {
                Ok(names) => {
                    self.exist(&format!("{at} ({name})"), &names, extras);
                    used = names;
                }
                Err(why) => self.tell(at, why, String::new()),
            },
            _ => self.tell(at, "a `file` has either `content` or `template`".to_owned(), String::new()),
        }
        let mode = text("mode").unwrap_or("0644");
        let others_read = u32::from_str_radix(mode, 8).is_ok_and(|mode| mode & 0o004 != 0);
        if others_read && used.iter().any(|name| self.names.is_secret(name)) {
            let message = format!("it holds a secret, and mode {mode} lets every user on the server read it");
            self.tell(at, message, "use 0640 with a group, or 0600".to_owned());
        }
    }

    pub(super) fn command(&mut self, at: &str, fields: &Value, ids: &BTreeSet<String>) {
        let full = |key: &str| {
            fields.get(key).is_some_and(|value| match value {
                Value::Array(items) => !items.is_empty(),
                Value::String(text) => !text.trim().is_empty(),
                _ => false,
            })
        };
        for key in ["run", "check"].into_iter().filter(|key| fields.get(key).is_some()) {
            self.require(at, full(key), &format!("the `{key}` of a `command` is empty"));
        }
        let ways = ["undo", "irreversible", "covered_by"];
        self.require(
            at,
            ways.iter().filter(|way| full(way)).count() == 1,
            "a `command` has one of `undo`, `irreversible: <why>` and `covered_by: <action>`",
        );
        let idle = fields.get("undo").is_some_and(|undo| *undo == serde_json::json!(["true"]));
        self.require(at, !idle, "its `undo` does nothing; name the action whose rollback covers it in `covered_by`");
        if let Some(covering) = fields.get("covered_by").and_then(Value::as_str) {
            self.refer(at, "covered_by", covering, ids);
        }
    }

    /// An action is named that exists.
    fn refer(&mut self, at: &str, key: &str, name: &str, ids: &BTreeSet<String>) {
        if !is_template(name) && !ids.contains(name) {
            let hint = nearest(name, ids.iter().map(String::as_str))
                .map_or_else(String::new, |near| format!("did you mean {near}?"));
            self.tell(at, format!("`{key}` names {name}, which is not an action"), hint);
        }
    }

    /// Lists of actions name such that exist.
    pub(super) fn after(&mut self, at: &str, fields: &Value, keys: &[&str], ids: &BTreeSet<String>) {
        for key in keys {
            for name in fields.get(*key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
                self.refer(at, key, name, ids);
            }
        }
    }
}
