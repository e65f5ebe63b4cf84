//! The names that expressions can use.

use std::collections::BTreeMap;

use minijinja::value::Serde;
use serde_json::Value;

use crate::facts::Facts;
use crate::guide::expression::functions;
use crate::guide::{Guide, OTHER};

/// `facts`, `release`, `locals`, one name per stage, and extras such as `item`. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Context {
    names: BTreeMap<String, minijinja::Value>,
    answers: BTreeMap<String, BTreeMap<String, minijinja::Value>>,
    locals: BTreeMap<String, minijinja::Value>,
}

impl Context {
    /// Facts only: what is known before the first question.
    pub fn new(facts: &Facts) -> Self {
        let mut context = Self::default();
        context.names.insert("facts".to_owned(), Serde(facts).into());
        let files = functions::Looker(facts.files.clone());
        context.names.insert(functions::FILES.to_owned(), minijinja::Value::from_object(files));
        context.names.insert("locals".to_owned(), context.locals.clone().into());
        context
    }

    /// Facts, and what the guide's tables say of this release.
    pub fn of(guide: &Guide, facts: &Facts) -> Self {
        let mut context = Self::new(facts);
        let mut release: BTreeMap<&str, minijinja::Value> = BTreeMap::new();
        for line in [OTHER, &facts.os.codename] {
            let values = guide.releases.get(line).into_iter().flatten();
            release.extend(values.map(|(name, value)| (name.as_str(), Serde(value).into())));
        }
        context.names.insert("release".to_owned(), release.into());
        context
    }

    /// Adds or replaces the answer `<stage>.<question>`; null when it is not asked.
    pub fn set_answer(&mut self, stage: &str, question: &str, value: &Value) {
        let answers = self.answers.entry(stage.to_owned()).or_default();
        answers.insert(question.to_owned(), Serde(value).into());
        self.names.insert(stage.to_owned(), answers.clone().into());
    }

    /// Adds or replaces `locals.<name>`.
    pub fn set_local(&mut self, name: &str, value: &Value) {
        self.locals.insert(name.to_owned(), Serde(value).into());
        self.names.insert("locals".to_owned(), self.locals.clone().into());
    }

    /// These names and one more (`value`, `item`, `index`).
    #[must_use]
    pub fn with(&self, name: &str, value: &Value) -> Self {
        let mut context = self.clone();
        context.names.insert(name.to_owned(), Serde(value).into());
        context
    }

    pub(super) fn root(&self) -> minijinja::Value {
        self.names.clone().into()
    }
}
