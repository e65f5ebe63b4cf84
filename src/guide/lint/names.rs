//! The names that an expression may use at some point of a guide, and which of them are secrets.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::facts::Facts;
use crate::guide::Releases;
use crate::guide::renamed::nearest;

/// What is known at a point of a guide.
#[derive(Clone, Debug)]
pub struct Names {
    facts: Value,
    answers: BTreeMap<String, BTreeSet<String>>,
    release: BTreeSet<String>,
    locals: BTreeSet<String>,
    secrets: BTreeSet<String>,
}

impl Names {
    /// Facts and the tables of releases only.
    pub fn new(releases: &Releases) -> Self {
        Self {
            facts: serde_json::to_value(Facts::default()).unwrap_or_default(),
            answers: BTreeMap::new(),
            release: releases.values().flat_map(|values| values.keys().cloned()).collect(),
            locals: BTreeSet::new(),
            secrets: BTreeSet::new(),
        }
    }

    /// From here on the answer exists.
    pub fn add_answer(&mut self, stage: &str, question: &str, secret: bool) {
        self.answers.entry(stage.to_owned()).or_default().insert(question.to_owned());
        if secret {
            self.secrets.insert(format!("{stage}.{question}"));
        }
    }

    /// From here on the local exists; `secret` when it is made from a secret.
    pub fn add_local(&mut self, name: &str, secret: bool) {
        self.locals.insert(name.to_owned());
        if secret {
            self.secrets.insert(format!("locals.{name}"));
        }
    }

    /// Whether there is such a question.
    pub fn has_answer(&self, path: &str) -> bool {
        path.split_once('.').is_some_and(|(stage, question)| {
            self.answers.get(stage).is_some_and(|questions| questions.contains(question))
        })
    }

    /// All questions, as `stage.question`.
    pub fn answers(&self) -> impl Iterator<Item = String> {
        self.answers.iter().flat_map(|(stage, all)| all.iter().map(move |question| format!("{stage}.{question}")))
    }

    /// What is wrong with a dotted name; none when it exists.
    pub fn wrong(&self, name: &str, extras: &[&str]) -> Option<String> {
        let mut parts = name.split('.');
        let first = parts.next().unwrap_or_default();
        let second = parts.next();
        if extras.contains(&first) {
            return None;
        }
        if first == "facts" {
            return self.wrong_fact(name);
        }
        let known: Vec<&str> = if first == "release" {
            self.release.iter().map(String::as_str).collect()
        } else if first == "locals" {
            self.locals.iter().map(String::as_str).collect()
        } else if let Some(questions) = self.answers.get(first) {
            questions.iter().map(String::as_str).collect()
        } else {
            let stages = self.answers.keys().map(String::as_str);
            return Some(near(name, first, stages.chain(["facts", "release", "locals"])));
        };
        match second {
            Some(second) if !known.contains(&second) => Some(near(name, second, known)),
            _ => None,
        }
    }

    /// Whether a name holds a secret, or contains one (a whole stage).
    pub fn is_secret(&self, name: &str) -> bool {
        let inside = |outer: &str, inner: &str| {
            inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.secrets.iter().any(|secret| inside(secret, name) || inside(name, secret))
    }

    fn wrong_fact(&self, name: &str) -> Option<String> {
        let mut here = &self.facts;
        for part in name.split('.').skip(1) {
            // Tables with open keys (installed packages, disks), lists and what may be missing end the check.
            let entries = here.as_object().filter(|entries| !entries.is_empty())?;
            match entries.get(part) {
                Some(found) => here = found,
                None => return Some(near(name, part, entries.keys().map(String::as_str))),
            }
        }
        None
    }
}

fn near<'a>(name: &str, part: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(part, known).map_or_else(
        || format!("`{name}` does not exist here"),
        |near| format!("`{name}` does not exist here; did you mean `{near}`?"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let mut names = Names::new(&[("other".to_owned(), [("nginx".to_owned(), Value::Null)].into())].into());
        names.add_answer("database", "engine", false);
        names.add_answer("database", "password", true);
        names.add_local("url", true);
        names
    }

    #[test]
    fn what_exists_is_accepted_and_what_does_not_is_told_with_the_nearest() {
        for good in [
            "database.engine",
            "facts.os.codename",
            "facts.installed.nginx",
            "facts.ssh.port",
            "locals.url",
            "release.nginx",
            "item",
        ] {
            assert_eq!(names().wrong(good, &["item"]), None, "{good}");
        }
        for (bad, hint) in [
            ("database.engin", "did you mean `engine`"),
            ("facts.os.codenam", "did you mean `codename`"),
            ("databse.engine", "did you mean `database`"),
            ("item", "does not exist here"),
            ("release.ngin", "did you mean `nginx`"),
        ] {
            let wrong = names().wrong(bad, &[]).unwrap_or_default();
            assert!(wrong.contains(hint), "{bad}: {wrong}");
        }
    }

    #[test]
    fn a_stage_that_holds_a_secret_is_itself_one() {
        assert!(names().is_secret("database.password"));
        assert!(names().is_secret("database"));
        assert!(names().is_secret("locals.url"));
        assert!(!names().is_secret("database.engine"));
        assert!(!names().is_secret("database.password2"));
    }
}
