//! Entries of a map that stand in a file, which another answer names.

use std::path::Path;

use serde_json::Value;

use super::{Walk, map};
use crate::answers::{Origin, SecretSource};
use crate::guide::{Question, Stage};
use crate::secret;
use crate::system::env_file;

impl Walk<'_> {
    /// A map with what is in the file of its question, as secrets; none where the file is refused. What was answered wins
    /// over the file, and the file over a default.
    pub(super) fn with_file(
        &mut self,
        stage: &Stage,
        question: &Question,
        path: &str,
        value: Value,
        origin: Origin,
    ) -> Option<Value> {
        let Some(from) = &question.entries_from else { return Some(value) };
        let source = format!("{}.{from}", stage.id);
        if self.unknown.contains(&source) {
            return None;
        }
        let answers = self.resolved.values.get(&stage.id);
        let file = answers.and_then(|answers| answers.get(from)).and_then(Value::as_str).unwrap_or_default().to_owned();
        let Value::Object(mut entries) = value else { return Some(value) };
        if file.is_empty() {
            return Some(Value::Object(entries));
        }
        for name in self.names_of_file(question, &source, &file)? {
            let is_default = matches!(origin, Origin::Default | Origin::Detected);
            if entries.contains_key(&name) && !is_default {
                continue;
            }
            self.resolved.secrets.remove(&map::path_of(path, &name));
            let kept = map::path_of(&source, &name);
            entries.insert(name.clone(), Value::String(secret::mark(&kept)));
            self.resolved.secrets.insert(kept, SecretSource::Entry { file: file.clone(), name });
        }
        if question.max.is_some_and(|max| i64::try_from(entries.len()).unwrap_or(i64::MAX) > max) {
            let message = format!("has too many entries together with {file}: {}", entries.len());
            self.refuse(path, message, format!("allowed: {}", super::allowed(question)));
            return None;
        }
        Some(Value::Object(entries))
    }

    /// The names in a file; none where something in it is refused.
    fn names_of_file(&mut self, question: &Question, source: &str, file: &str) -> Option<Vec<String>> {
        let facts = self.facts;
        let former = || facts.files.former.get(source).cloned();
        // Facts of another server, or of before.
        let Some(host) = facts.files.host() else { return Some(former().unwrap_or_default()) };
        let read = match env_file::read(host, Path::new(file)) {
            Ok(Some(read)) => read,
            Ok(None) => {
                let Some(names) = former() else {
                    self.refuse(source, format!("there is no file {file}"), "check the path, or leave it out");
                    return None;
                };
                self.resolved.warnings.push(format!("{source}: {file} is gone; its former values are kept"));
                return Some(names);
            }
            Err(refused) => {
                self.refuse(source, refused.message, refused.hint);
                return None;
            }
        };
        let before = self.problems.len();
        for (name, (line, _)) in &read.entries {
            if let Err(refusal) = map::name_of(question, name) {
                self.refuse(source, format!("{file}, line {line}: {}", refusal.message), refusal.hint);
            }
        }
        if self.problems.len() > before {
            return None;
        }
        if read.exposed {
            let told = format!("{source}: other users of this server can read {file}: chmod 600 {file}");
            self.resolved.warnings.push(told);
        }
        Some(read.entries.into_keys().collect())
    }
}
