//! From what was given to every answer of a guide: conditions, defaults, locals, rules; all problems at once.
//!
//! What depends on a refused answer is neither asked nor judged, so one mistake is told once and not ten times
//! over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use crate::answers::file::AnswersFile;
use crate::answers::{Given, Origin, Resolved, SecretSource};
use crate::error::Problem;
use crate::facts::Facts;
use crate::guide::expression::{Context, Expressions};
use crate::guide::{Guide, Question, QuestionKind, Stage};
use crate::secret;
use crate::visible;

mod entries_from;
mod hostname;
pub(crate) mod map;
mod on_host;
mod reference;
mod refusal;
mod rules;
mod sections;
mod table;
mod url;
mod value;

pub(crate) use reference::GENERATED;
pub use reference::Literals;
pub use refusal::Refusal;
pub use value::{allowed, check as check_value};
pub(crate) use value::{is_empty, nothing};

/// How the message about a question without an answer begins: those that are shown differently are told by it.
pub const UNANSWERED: &str = "must be answered";

/// Every answer, complete and valid; or everything that is wrong.
///
/// `place` tells where an answer from a file stands (`file:line:column`), or where it would, for one that is
/// missing; without a file it returns an empty text.
pub fn resolve(
    guide: &Guide,
    facts: &Facts,
    given: &Given,
    place: &dyn Fn(&str) -> String,
) -> Result<Resolved, Vec<Problem>> {
    let (resolved, problems) = survey(guide, facts, given, place);
    if problems.is_empty() { Ok(resolved) } else { Err(problems) }
}

/// As [`resolve`], for an answers file with flags over it: the file's own problems and those of the answers in
/// one list, in the order of the file.
pub fn resolve_file(guide: &Guide, facts: &Facts, file: &AnswersFile, flags: &Given) -> Result<Resolved, Vec<Problem>> {
    let mut given = file.given.clone();
    given.values.extend(flags.values.clone());
    given.take_over.extend(flags.take_over.iter().cloned());
    let refused = file.refused.iter().filter(|path| !flags.values.contains_key(*path)).cloned().collect();
    let expressions = Arc::new(Expressions::new(guide));
    let (resolved, found) = Walk::new(expressions, guide, facts, &given, &|path| file.place_of(path), refused).run();
    if file.problems.is_empty() && found.is_empty() {
        return Ok(resolved);
    }
    let mut problems = file.problems.clone();
    problems.extend(found);
    problems.sort_by_key(|problem| position(&problem.place));
    Err(problems)
}

/// What can be said so far: the answers that are known, and everything that is wrong or missing. An answer
/// that is not asked is null; one that is not known yet is absent. For a wizard that asks one after another.
pub fn survey(guide: &Guide, facts: &Facts, given: &Given, place: &dyn Fn(&str) -> String) -> (Resolved, Vec<Problem>) {
    survey_with(&Arc::new(Expressions::new(guide)), guide, facts, given, place)
}

/// As [`survey`], for one who does so again and again and keeps the expressions.
pub(crate) fn survey_with(
    expressions: &Arc<Expressions>,
    guide: &Guide,
    facts: &Facts,
    given: &Given,
    place: &dyn Fn(&str) -> String,
) -> (Resolved, Vec<Problem>) {
    Walk::new(Arc::clone(expressions), guide, facts, given, place, BTreeSet::new()).run()
}

/// What the host lacks for this guide, reported before the first question.
pub fn requirements(guide: &Guide, facts: &Facts) -> Vec<Problem> {
    let given = Given::default();
    let mut walk =
        Walk::new(Arc::new(Expressions::new(guide)), guide, facts, &given, &|_| String::new(), BTreeSet::new());
    let context = walk.context.clone();
    for rule in &guide.requires {
        walk.rule(rule, "", &context);
    }
    walk.problems
}

/// The source of a secret's value, or why the answer is no reference to one.
pub fn secret_source(question: &Question, value: &Value, literals: Literals) -> Result<SecretSource, Refusal> {
    reference::source(question, value, literals)
}

/// What is odd in a text, or in the first such entry of a list.
fn odd_in(value: &Value) -> Option<visible::Odd> {
    match value {
        Value::String(text) => visible::odd(text),
        Value::Array(items) => items.iter().find_map(odd_in),
        Value::Object(cells) => cells.values().find_map(odd_in),
        _ => None,
    }
}

/// Line and column of a place; problems outside the file come first.
fn position(place: &str) -> (usize, usize) {
    let mut numbers = place.rsplitn(3, ':').map(|number| number.parse().unwrap_or(0));
    let column = numbers.next().unwrap_or(0);
    (numbers.next().unwrap_or(0), column)
}

struct Walk<'a> {
    guide: &'a Guide,
    facts: &'a Facts,
    given: &'a Given,
    place: &'a dyn Fn(&str) -> String,
    expressions: Arc<Expressions>,
    context: Context,
    resolved: Resolved,
    problems: Vec<Problem>,
    /// Answers (`stage.question`) refused when the file was read.
    refused: BTreeSet<String>,
    /// Answers and locals (`locals.name`) without a value, because they or what they depend on was refused.
    unknown: BTreeSet<String>,
}

impl<'a> Walk<'a> {
    fn new(
        expressions: Arc<Expressions>,
        guide: &'a Guide,
        facts: &'a Facts,
        given: &'a Given,
        place: &'a dyn Fn(&str) -> String,
        refused: BTreeSet<String>,
    ) -> Self {
        Self {
            guide,
            facts,
            given,
            place,
            expressions,
            context: Context::of(guide, facts),
            resolved: Resolved { take_over: given.take_over.clone(), ..Resolved::default() },
            problems: Vec::new(),
            refused,
            unknown: BTreeSet::new(),
        }
    }

    fn run(mut self) -> (Resolved, Vec<Problem>) {
        for stage in &self.guide.stages {
            self.stage(stage);
        }
        self.strangers();
        (self.resolved, self.problems)
    }

    fn stage(&mut self, stage: &Stage) {
        let applies = self.condition(stage.when.as_deref(), &stage.id);
        for question in &stage.questions {
            let path = format!("{}.{}", stage.id, question.id);
            match applies {
                Some(true) => self.question(stage, question, &path),
                Some(false) => {
                    let why = format!("the stage {} does not apply", stage.id);
                    self.not_asked(stage, question, &path, &why, stage.when.as_deref());
                }
                None => self.undecided(question, path),
            }
        }
        if applies == Some(false) {
            for local in &stage.locals {
                self.local_does_not_apply(&local.name);
            }
            self.sections_do_not_apply(stage);
            return;
        }
        if applies == Some(true) {
            self.resolved.stages.push(stage.id.clone());
        }
        for local in &stage.locals {
            self.local(&local.name, local.when.as_deref(), &local.value, applies.is_some());
        }
        self.sections(stage, applies.is_some());
        if applies == Some(true) {
            let context = self.context.clone();
            for rule in &stage.rules {
                self.rule(rule, &stage.id, &context);
            }
            for notice in &stage.notices {
                self.notice(notice, &stage.id);
            }
        }
    }

    fn question(&mut self, stage: &Stage, question: &Question, path: &str) {
        match self.condition(question.when.as_deref(), path) {
            Some(true) => {}
            Some(false) => {
                return self.not_asked(stage, question, path, "it is not asked", question.when.as_deref());
            }
            None => return self.undecided(question, path.to_owned()),
        }
        if self.refused.contains(path) {
            self.unknown.insert(path.to_owned());
            return;
        }
        let given = self.given.values.get(path);
        let given = given.filter(|(value, _)| !(question.auto && value == "auto"));
        // Null from the wizard or a previous run is no answer; written down, it is one.
        let given = given.filter(|(value, origin)| !value.is_null() || matches!(origin, Origin::Flag | Origin::File));
        let answered = match given {
            None => self.default(question, path),
            Some((value, origin)) if question.optional && value::is_empty(value) => {
                Some((value::nothing(question), *origin))
            }
            Some((Value::Null, _)) => {
                let hint = if question.default.is_some() {
                    "write a value, or remove the line to use the default".to_owned()
                } else {
                    asked(question)
                };
                self.refuse(path, "has no value", hint);
                None
            }
            Some((value, origin)) => self.accept(question, path, value, *origin),
        };
        match answered {
            Some((value, origin)) => match self.with_file(stage, question, path, value, origin) {
                Some(value) => self.set(stage, question, value, Some(origin)),
                None => drop(self.unknown.insert(path.to_owned())),
            },
            None => drop(self.unknown.insert(path.to_owned())),
        }
    }

    /// Null. An answer to a question that is not asked would have no effect: in a file it is an error, since its author
    /// expects one. Answers left from an earlier run or from an earlier page of the wizard are dropped; so is null,
    /// which is the question's value anyway.
    fn not_asked(&mut self, stage: &Stage, question: &Question, path: &str, why: &str, when: Option<&str>) {
        if let Some((value, Origin::Flag | Origin::File)) = self.given.values.get(path)
            && *value != Value::Null
        {
            let condition = when.unwrap_or_default();
            self.refuse(path, format!("has no effect: {why}"), format!("remove it; it is asked when {condition}"));
        }
        self.set(stage, question, Value::Null, None);
    }

    /// Whether it is asked is unknown: what can be judged is judged.
    fn undecided(&mut self, question: &Question, path: String) {
        if let Some((value, Origin::Flag | Origin::File)) = self.given.values.get(&path)
            && !(value.is_null() || self.refused.contains(&path) || (question.auto && value == "auto"))
            && let Err(refusals) = value::check(question, value)
        {
            self.refuse_values(&path, refusals);
        }
        self.unknown.insert(path);
    }

    fn default(&mut self, question: &Question, path: &str) -> Option<(Value, Origin)> {
        let Some(default) = &question.default else {
            if question.optional {
                return Some((value::nothing(question), Origin::Default));
            }
            self.refuse(path, UNANSWERED, asked(question));
            return None;
        };
        if let Some((value, reason)) = self.detected(question, path) {
            let accepted = self.accept(question, path, &value, Origin::Detected);
            self.resolved.reasons.extend(accepted.is_some().then(|| (path.to_owned(), reason)));
            return accepted;
        }
        let names = self.names_in(default);
        if self.is_unknown(&names) {
            return None;
        }
        let rendered = match self.expressions.render_leaves(default, &self.context) {
            Ok(rendered) => rendered,
            Err(error) => {
                self.defect(path, "the default cannot be computed", &error);
                return None;
            }
        };
        if value::is_empty(&rendered) {
            if question.optional {
                return Some((value::nothing(question), Origin::Default));
            }
            self.refuse(path, UNANSWERED, asked(question));
            return None;
        }
        let detected = names
            .iter()
            .any(|name| ["facts", "release", "locals"].contains(&name.split('.').next().unwrap_or_default()));
        let origin = if detected { Origin::Detected } else { Origin::Default };
        let before = self.problems.len();
        let accepted = self.accept(question, path, &rendered, origin);
        for problem in &mut self.problems[before..] {
            problem.message = format!("{UNANSWERED}, because the default is not valid: {}", problem.message);
        }
        accepted
    }

    /// The first default that this server shows, and what shows it. Where what it depends on is not answered yet, or
    /// refused, the usual default is as good as any.
    fn detected(&mut self, question: &Question, path: &str) -> Option<(Value, String)> {
        for detect in &question.detect {
            let context = self.context.clone();
            if !self.truth(&detect.when, path, &context)? {
                continue;
            }
            let found = self.expressions.eval(&detect.when, &context).unwrap_or_default();
            return match self.expressions.render_text(&detect.reason, &context.with("found", &found)) {
                Ok(reason) => Some((detect.value.clone(), reason)),
                Err(error) => {
                    self.defect(path, "the reason of the default cannot be computed", &error);
                    None
                }
            };
        }
        None
    }

    fn accept(&mut self, question: &Question, path: &str, given: &Value, origin: Origin) -> Option<(Value, Origin)> {
        let value = if question.kind == QuestionKind::Secret {
            // Who reads the file or the typing decides about literals; here they are taken.
            match reference::source(question, given, Literals::Allowed) {
                Ok(source) => {
                    self.resolved.secrets.insert(path.to_owned(), source);
                    Value::String(secret::mark(path))
                }
                Err(refusal) => {
                    self.refuse_values(path, vec![refusal]);
                    return None;
                }
            }
        } else if question.kind == QuestionKind::Map {
            match map::entries(question, given, Literals::Allowed) {
                Ok(entries) => self.entries(path, entries),
                Err(refusals) => {
                    self.refuse_values(path, refusals);
                    return None;
                }
            }
        } else {
            match value::check(question, given) {
                Ok(value) => value,
                Err(refusals) => {
                    self.refuse_values(path, refusals);
                    return None;
                }
            }
        };
        if question.kind == QuestionKind::Choice && !self.is_on_offer(question, path, &value) {
            return None;
        }
        let context = self.context.with("value", &value);
        let before = self.problems.len();
        self.on_host(question, path, &value);
        for rule in &question.rules {
            self.rule(rule, path, &context);
        }
        if let Some(odd) = odd_in(&value) {
            for problem in &mut self.problems[before..] {
                problem.message = format!("{}; it contains {odd}", problem.message);
                odd.hint.clone_into(&mut problem.hint);
            }
        }
        (self.problems.len() == before).then_some((value, origin))
    }

    /// A map with placeholders for its secrets.
    fn entries(&mut self, path: &str, entries: BTreeMap<String, map::Entry>) -> Value {
        let entries = entries.into_iter().map(|(name, entry)| match entry {
            map::Entry::Text(text) => (name, Value::String(text)),
            map::Entry::Secret(source) => {
                let path = map::path_of(path, &name);
                let mark = secret::mark(&path);
                self.resolved.secrets.insert(path, source);
                (name, Value::String(mark))
            }
        });
        Value::Object(entries.collect())
    }

    fn is_on_offer(&mut self, question: &Question, path: &str, value: &Value) -> bool {
        let mut offered = Vec::new();
        let mut refused = None;
        for choice in &question.choices {
            let chosen = *value == choice.value;
            match self.condition(choice.when.as_deref(), path) {
                Some(true) => offered.push(choice.value.as_str()),
                Some(false) if chosen => refused = Some(choice),
                None if chosen => return false,
                _ => {}
            }
        }
        let Some(choice) = refused else { return true };
        let why = if choice.note.is_empty() { "not available here" } else { choice.note.trim_end() };
        let hint = format!("choose one of: {}", offered.join(", "));
        self.refuse(path, format!("'{}' is not available: {why}", choice.value), hint);
        false
    }

    fn local(&mut self, name: &str, when: Option<&str>, expression: &str, known: bool) {
        let path = format!("locals.{name}");
        if !known {
            self.unknown.insert(path);
            return;
        }
        let value = match self.condition(when, &path) {
            Some(true) => self.evaluate(expression, &path),
            Some(false) => return self.local_does_not_apply(name),
            None => None,
        };
        match value {
            Some(value) => self.set_local(name, value),
            None => {
                self.unknown.insert(path);
            }
        }
    }

    fn evaluate(&mut self, expression: &str, path: &str) -> Option<Value> {
        let names = self.expressions.names_in_expression(expression).unwrap_or_default();
        if self.is_unknown(&names) {
            return None;
        }
        match self.expressions.eval(expression, &self.context) {
            Ok(value) => Some(value),
            Err(error) => {
                // The guide should have refused the answer; anyone who gave it can still give another.
                let given = |name: &&String| {
                    let given = self.given.values.get(*name);
                    given.is_some_and(|(_, origin)| matches!(origin, Origin::Flag | Origin::File | Origin::Typed))
                };
                match names.iter().find(given).cloned() {
                    Some(answer) => {
                        let message = format!("{path} cannot be computed from it: {error}");
                        self.refuse(&answer, message, "write it differently; the guide should have refused this value");
                    }
                    None => self.defect(path, "it cannot be computed", &error),
                }
                None
            }
        }
    }

    /// `None` when it depends on something unknown (already reported), or is a defect of the guide (reported now).
    fn condition(&mut self, when: Option<&str>, path: &str) -> Option<bool> {
        let Some(when) = when else { return Some(true) };
        let context = std::mem::take(&mut self.context);
        let truth = self.truth(when, path, &context);
        self.context = context;
        truth
    }

    fn truth(&mut self, expression: &str, path: &str, context: &Context) -> Option<bool> {
        let names = self.expressions.names_in_expression(expression).unwrap_or_default();
        if self.is_unknown(&names) {
            return None;
        }
        match self.expressions.truth(expression, context) {
            Ok(truth) => Some(truth),
            Err(error) => {
                self.defect(path, "a condition cannot be evaluated", &error);
                None
            }
        }
    }

    fn names_in(&self, template: &Value) -> BTreeSet<String> {
        match template {
            Value::String(text) => self.expressions.names_in_template(text).unwrap_or_default(),
            Value::Array(items) => items.iter().flat_map(|item| self.names_in(item)).collect(),
            Value::Object(entries) => entries.values().flat_map(|item| self.names_in(item)).collect(),
            _ => BTreeSet::new(),
        }
    }

    /// Whether one of these names has no value, or is a mapping (`database`) with a part that has none.
    fn is_unknown(&self, names: &BTreeSet<String>) -> bool {
        let within = |inner: &str, outer: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'));
        names.iter().any(|name| {
            self.unknown.iter().any(|unknown| unknown == name || within(name, unknown) || within(unknown, name))
        })
    }

    fn set(&mut self, stage: &Stage, question: &Question, value: Value, origin: Option<Origin>) {
        self.context.set_answer(&stage.id, &question.id, &value);
        if let Some(origin) = origin {
            self.resolved.origins.insert(format!("{}.{}", stage.id, question.id), origin);
        }
        self.resolved.values.entry(stage.id.clone()).or_default().insert(question.id.clone(), value);
    }

    fn set_local(&mut self, name: &str, value: Value) {
        self.context.set_local(name, &value);
        self.resolved.locals.insert(name.to_owned(), value);
    }

    /// It is what an earlier stage said, or else none: the name stays defined, so that others can refer to it.
    fn local_does_not_apply(&mut self, name: &str) {
        if !self.resolved.locals.contains_key(name) {
            self.set_local(name, Value::Null);
        }
    }

    /// Given answers to questions that the guide does not have.
    fn strangers(&mut self) {
        let known = |path: &str| {
            let (stage, question) = path.split_once('.').unwrap_or((path, ""));
            let stage = self.guide.stages.iter().find(|candidate| candidate.id == stage);
            stage.is_some_and(|stage| stage.questions.iter().any(|candidate| candidate.id == question))
        };
        let strangers: Vec<_> = self
            .given
            .values
            .iter()
            .filter(|(path, (_, origin))| matches!(origin, Origin::Flag | Origin::File) && !known(path))
            .map(|(path, _)| path.clone())
            .collect();
        for path in strangers {
            self.refuse(&path, format!("the guide {} has no such question", self.guide.id), "remove it");
        }
    }

    fn refuse_values(&mut self, path: &str, refusals: Vec<Refusal>) {
        for refusal in refusals {
            self.refuse(&format!("{path}{}", refusal.within), refusal.message, refusal.hint);
        }
    }

    fn defect(&mut self, path: &str, what: &str, error: &str) {
        self.refuse(path, format!("{what}: {error}"), "this is a bug in the guide");
    }

    fn refuse(&mut self, path: &str, message: impl Into<String>, hint: impl Into<String>) {
        let answer = path.split('[').next().unwrap_or(path);
        let place = match self.given.values.get(answer) {
            _ if path.is_empty() => String::new(),
            Some((_, Origin::Flag)) => "--set".to_owned(),
            Some((_, Origin::File)) | None => (self.place)(path),
            Some(_) => String::new(),
        };
        self.problems.push(Problem { place, path: path.to_owned(), message: message.into(), hint: hint.into() });
    }
}

/// What to write, for who has to.
fn asked(question: &Question) -> String {
    format!("{} Allowed: {}", question.ask, value::allowed(question))
}

#[cfg(test)]
mod tests;
