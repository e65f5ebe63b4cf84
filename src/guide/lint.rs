//! Everything about a guide that can be found wrong without a host.
//!
//! What is checked: ids are unique; every expression and template compiles and uses only names that exist at
//! that point; templates and actions that are referred to exist; fields belong to their kind; commands can be
//! checked and rolled back; choices, defaults and texts are complete; and no secret can reach a place where
//! someone sees it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::error::Problem;
use crate::facts::probe::installed;
use crate::guide::expression::{Expressions, is_template};
use crate::guide::{ActionSpec, Guide, Notice, OTHER, Question, QuestionKind, Rule, Stage, schema};
use crate::suggest::nearest;

use form::Form;
use names::Names;

mod care;
pub mod form;
mod kinds;
mod names;

/// Names that expressions use for something else.
const RESERVED: &[&str] =
    &["facts", "release", "locals", "owner", "value", "item", "index", "packages", "version", "guide", "on_failure"];

/// Where the placeholder of a secret may be: in files that only their owner reads, or in what is passed through stdin,
/// the environment or a socket. Anything else is argv, a log or a screen.
const SECRET_PLACES: &[(&str, &[&str])] = &[
    ("file", &["content", "template"]),
    ("edit", &["set.value", "lines"]),
    ("database", &["password"]),
    ("rabbitmq", &["password"]),
    ("command", &["env", "stdin"]),
    ("http", &["body", "headers"]),
    ("queue_roundtrip", &["headers"]),
    ("database_roundtrip", &["password"]),
    ("tcp", &["password"]),
];

/// Finds what is wrong with a guide.
pub fn lint(guide: &Guide) -> Vec<Problem> {
    let mut linter =
        Linter { expressions: Expressions::new(guide), names: Names::new(&guide.releases), problems: Vec::new() };
    linter.guide(guide);
    linter.problems
}

struct Linter {
    expressions: Expressions,
    names: Names,
    problems: Vec<Problem>,
}

impl Linter {
    fn guide(&mut self, guide: &Guide) {
        for (what, text) in [("title", &guide.title), ("summary", &guide.summary)] {
            self.require(what, !text.trim().is_empty(), "is missing");
        }
        self.require("stages", !guide.stages.is_empty(), "a guide without stages does nothing");
        for name in guide.releases.values().flat_map(|values| values.keys()).collect::<BTreeSet<_>>() {
            let known = guide.releases.get(OTHER).is_some_and(|values| values.contains_key(name));
            self.require(
                &format!("releases.{OTHER}"),
                known,
                &format!("has no `{name}`, for releases not in the table"),
            );
        }
        for (index, rule) in guide.requires.iter().enumerate() {
            self.rule(&format!("requires[{index}]"), rule, &[]);
        }
        self.unique("stages", guide.stages.iter().map(|stage| stage.id.as_str()));
        // What is asked is evaluated in order: an expression sees only what was asked before.
        for stage in &guide.stages {
            self.asked(stage);
        }
        for stage in &guide.stages {
            let rules = stage.rules.iter().enumerate().map(|(index, rule)| (format!("rules[{index}]"), &rule.field));
            let notices =
                stage.notices.iter().enumerate().map(|(index, notice)| (format!("notices[{index}]"), &notice.field));
            for (at, about) in rules.chain(notices).filter_map(|(at, about)| Some((at, about.as_deref()?))) {
                self.about(&format!("{}.{at}", stage.id), about);
            }
        }
        // Everything below is evaluated when all answers are known.
        let ids: BTreeSet<String> = guide
            .stages
            .iter()
            .flat_map(|stage| stage.actions.iter().map(move |action| format!("{}.{}", stage.id, action.id)))
            .chain(["packages".to_owned()])
            .collect();
        for stage in &guide.stages {
            self.done(stage, &ids);
        }
        self.care(guide);
    }

    fn asked(&mut self, stage: &Stage) {
        let at = stage.id.clone();
        self.id(&at, &stage.id);
        self.require(&at, !RESERVED.contains(&stage.id.as_str()), "this name is taken by the format; choose another");
        self.require(&at, !stage.title.trim().is_empty(), "a stage needs a title");
        self.require(&at, !stage.why.trim().is_empty(), "a stage needs `why`, the reason it matters");
        self.plain(&at, &[("title", &stage.title), ("why", &stage.why)]);
        self.expression(&format!("{at}.when"), stage.when.as_deref(), &[]);
        self.unique(&format!("{at}.questions"), stage.questions.iter().map(|question| question.id.as_str()));
        for question in &stage.questions {
            self.question(stage, question);
            if let Some(from) = &question.entries_from {
                let before = stage.questions.iter().take_while(|other| other.id != question.id);
                let is_file =
                    |other: &Question| other.id == *from && other.kind == QuestionKind::Path && other.optional;
                let known = before.into_iter().any(is_file) && question.value_pattern.is_none();
                let why = "`entries_from` names an optional `path` before it in the same stage, and the values may be secrets";
                self.require(&format!("{at}.{}", question.id), known, why);
            }
            // Its own rules judge `value`: the answer is one only when they have passed.
            for (index, rule) in question.rules.iter().enumerate() {
                self.rule(&format!("{at}.{}.rules[{index}]", question.id), rule, &["value"]);
            }
            self.names.add_answer(&stage.id, &question.id, question.holds_secrets());
        }
        self.unique(&format!("{at}.locals"), stage.locals.iter().map(|local| local.name.as_str()));
        for local in &stage.locals {
            let at = format!("{at}.locals.{}", local.name);
            self.id(&at, &local.name);
            self.expression(&at, local.when.as_deref(), &[]);
            let used = self.expression(&at, Some(&local.value), &[]);
            let secret = used.iter().any(|name| self.names.is_secret(name));
            self.names.add_local(&local.name, secret);
        }
        self.sections(stage);
        for (index, rule) in stage.rules.iter().enumerate() {
            self.rule(&format!("{at}.rules[{index}]"), rule, &[]);
        }
        for (index, notice) in stage.notices.iter().enumerate() {
            self.notice(&format!("{at}.notices[{index}]"), notice);
        }
    }

    fn sections(&mut self, stage: &Stage) {
        for (index, exposed) in stage.exposes.iter().flatten().enumerate() {
            let at = format!("{}.exposes[{index}]", stage.id);
            self.expression(&at, exposed.when.as_deref(), &[]);
            self.section(&at, exposed, &[]);
        }
        if stage.exposes.is_some() {
            self.names.add_local("public", false);
        }
        let Some(backup) = &stage.backup else { return };
        let at = format!("{}.backup", stage.id);
        self.require(&at, !backup.directories.is_empty(), "a backup has `directories`");
        self.section(&at, backup, &[]);
        if let Some(database) = &backup.database {
            self.expression(&at, database.when.as_deref(), &[]);
            self.section(&at, database, &[]);
        }
        self.names.add_local("backup", false);
    }

    fn section(&mut self, at: &str, section: &impl serde::Serialize, extras: &[&str]) {
        let used = self.template_leaves(at, &serde_json::to_value(section).unwrap_or_default(), extras);
        self.no_secret(at, &used);
    }

    fn notice(&mut self, at: &str, notice: &Notice) {
        self.expression(at, notice.for_each.as_deref(), &[]);
        let extras: &[&str] = if notice.for_each.is_some() { &["item"] } else { &[] };
        self.expression(at, notice.when.as_deref(), extras);
        self.require(at, !notice.say.trim().is_empty(), "`say` is missing");
        for text in [&notice.say, &notice.hint] {
            let used = self.template(at, text, extras);
            self.no_secret(at, &used);
        }
    }

    fn question(&mut self, stage: &Stage, question: &Question) {
        let at = format!("{}.{}", stage.id, question.id);
        self.require(&at, !question.help.trim().is_empty(), "`help` is missing: say what the answer means");
        self.expression(&at, question.when.as_deref(), &[]);
        self.require(&at, !question.auto || question.default.is_some(), "`auto` means the default, but there is none");
        self.expression(&format!("{at}.beside"), question.beside.as_deref(), &[]);
        self.expression(&format!("{at}.allow_taken"), question.allow_taken.as_deref(), &["value", "owner"]);
        self.typed(&at, question);
        if question.kind != QuestionKind::Table {
            return self.require(&at, question.columns.is_empty(), "only a `table` has `columns`");
        }
        self.require(&at, !question.columns.is_empty(), "a `table` needs `columns`");
        let at = format!("{at}.columns");
        self.unique(&at, question.columns.iter().map(|column| column.id.as_str()));
        for column in &question.columns {
            self.column(&format!("{at}.{}", column.id), column);
        }
    }

    /// A cell is judged alone, before any expression can see it.
    fn column(&mut self, at: &str, column: &Question) {
        self.typed(at, column);
        let alone = !(column.kind.has_rows() || column.holds_secrets());
        self.require(at, alone, "a column is neither a `table`, a `map` nor a `secret`");
        let literal = column.default.as_ref().is_none_or(|default| default.as_str().is_none_or(|it| !is_template(it)));
        self.require(at, literal, "the default of a column is a literal");
        for (field, written) in [
            ("when", column.when.is_some() || column.choices.iter().any(|choice| choice.when.is_some())),
            ("auto", column.auto),
            ("detect", !column.detect.is_empty()),
            ("rules", !column.rules.is_empty()),
            ("columns", !column.columns.is_empty()),
            ("beside", column.beside.is_some()),
            ("allow_taken", column.allow_taken.is_some()),
        ] {
            self.require(at, !written, &format!("a column has no `{field}`; write a rule for the table"));
        }
    }

    /// What a question and a column have alike.
    fn typed(&mut self, at: &str, question: &Question) {
        let at = at.to_owned();
        self.id(&at, &question.id);
        self.require(&at, !question.ask.trim().is_empty(), "`ask` is missing");
        self.plain(&at, &[("ask", &question.ask), ("help", &question.help)]);
        let bounded = question.min.zip(question.max).is_none_or(|(min, max)| min <= max);
        self.require(&at, bounded, "`min` is larger than `max`");
        let told = question.pattern.is_none() || question.pattern_hint.is_some();
        self.require(&at, told, "a `pattern` needs a `pattern_hint` in words");
        let told = question.value_pattern.is_some() == question.value_hint.is_some();
        self.require(&at, told, "a `value_pattern` needs a `value_hint` in words");
        self.require(&at, question.detect.is_empty() || question.default.is_some(), "`detect` needs a `default`");
        for (index, detect) in question.detect.iter().enumerate() {
            let at = format!("{at}.detect[{index}]");
            self.expression(&at, Some(&detect.when), &[]);
            self.require(&at, !detect.reason.trim().is_empty(), "`reason` is missing");
            let used = self.template(&at, &detect.reason, &["found"]);
            self.no_secret(&at, &used);
            let offered = question.kind != QuestionKind::Choice
                || question.choices.iter().any(|choice| detect.value == choice.value.as_str());
            self.require(&at, offered, "its value is none of the choices");
        }
        if let Some(default) = &question.default {
            let used = self.template_leaves(&format!("{at}.default"), default, &[]);
            self.no_secret(&format!("{at}.default"), &used);
        }
        for (field, written, kind) in [
            ("schemes", !question.schemes.is_empty(), QuestionKind::Url),
            ("or_path", question.or_path, QuestionKind::Url),
            ("entries_from", question.entries_from.is_some(), QuestionKind::Map),
            ("reserved", !question.reserved.is_empty(), QuestionKind::Map),
            ("value_pattern", question.value_pattern.is_some(), QuestionKind::Map),
            ("beside", question.beside.is_some(), QuestionKind::Ports),
            ("allow_taken", question.allow_taken.is_some(), QuestionKind::FreePort),
            ("taken_hint", question.taken_hint.is_some(), QuestionKind::FreePort),
        ] {
            self.require(&at, !written || question.kind == kind, &format!("questions of its type have no `{field}`"));
        }
        if question.kind != QuestionKind::Choice {
            return self.require(&at, question.choices.is_empty(), "only a `choice` has `choices`");
        }
        self.require(&at, !question.choices.is_empty(), "a `choice` needs `choices`");
        self.unique(&format!("{at}.choices"), question.choices.iter().map(|choice| choice.value.as_str()));
        for choice in &question.choices {
            let at = format!("{at}.choices.{}", choice.value);
            self.expression(&at, choice.when.as_deref(), &[]);
            self.plain(&at, &[("label", &choice.label), ("note", &choice.note)]);
            let told = choice.when.is_none() || !choice.note.is_empty();
            self.require(&at, told, "a choice that is not always available needs a `note` saying why");
        }
        if let Some(Value::String(default)) = &question.default
            && !is_template(default)
            && !question.choices.iter().any(|choice| choice.value == *default)
        {
            self.tell(&at, format!("its default `{default}` is none of its choices"), String::new());
        }
    }

    /// Texts that are shown as they are written.
    fn plain(&mut self, at: &str, texts: &[(&str, &str)]) {
        for (field, text) in texts {
            let told = format!("`{field}` is shown as it is written, and not a template");
            self.require(at, !is_template(text), &told);
        }
    }

    fn rule(&mut self, at: &str, rule: &Rule, extras: &[&str]) {
        self.expression(at, rule.when.as_deref(), extras);
        self.expression(at, Some(&rule.that), extras);
        self.require(at, !rule.message.trim().is_empty(), "a rule says what is wrong in `message`");
        let used = self.template(&format!("{at}.message"), &rule.message, extras);
        // The `value` of a secret question is its placeholder, which is of no use in a text either.
        self.no_secret(&format!("{at}.message"), &used);
    }

    fn about(&mut self, at: &str, about: &str) {
        if !self.names.has_answer(about) {
            let hint = nearest(about, self.names.answers().collect::<Vec<_>>().iter().map(String::as_str))
                .map_or_else(String::new, |near| format!("did you mean {near}?"));
            self.tell(at, format!("this is about {about}, which is no question"), hint);
        }
    }

    fn done(&mut self, stage: &Stage, ids: &BTreeSet<String>) {
        for (index, packages) in stage.packages.iter().enumerate() {
            let at = format!("{}.packages[{index}]", stage.id);
            self.expression(&at, packages.when.as_deref(), &[]);
            self.require(&at, !packages.install.is_empty(), "a list of packages is empty");
            for text in packages.install.iter().chain([&packages.reason]) {
                let used = self.template(&at, text, &[]);
                self.no_secret(&at, &used);
            }
            self.require(&at, !packages.reason.trim().is_empty(), "`reason` is missing");
        }
        self.unique(&format!("{}.actions", stage.id), stage.actions.iter().map(|action| action.id.as_str()));
        for action in &stage.actions {
            self.action(stage, action, ids);
        }
        // An action and a proof share their ids' room: events and journal name both by them.
        let actions = stage.actions.iter().map(|action| action.id.as_str()).collect::<BTreeSet<_>>();
        let proofs = stage.proofs.iter().map(|proof| proof.id.as_str());
        self.unique(&format!("{}.proofs", stage.id), actions.into_iter().chain(proofs));
        for proof in &stage.proofs {
            let at = format!("{}.proofs.{}", stage.id, proof.id);
            self.id(&at, &proof.id);
            let extras = self.repeated(&at, proof.for_each.as_deref());
            self.expression(&at, proof.when.as_deref(), extras);
            self.skip_reason(&at, proof.skip_reason.as_deref(), extras);
            self.body(&at, schema::Of::Proof, &proof.body, extras);
        }
        for result in &stage.outputs {
            let at = format!("{}.outputs.{}", stage.id, result.label);
            self.expression(&at, result.when.as_deref(), &[]);
            let used = self.template(&at, &result.value, &[]);
            self.no_secret(&at, &used);
        }
    }

    /// The names that an entry has besides, where it is repeated.
    fn repeated(&mut self, at: &str, each: Option<&str>) -> &'static [&'static str] {
        self.expression(at, each, &[]);
        if each.is_some() { &["item", "index"] } else { &[] }
    }

    fn action(&mut self, stage: &Stage, action: &ActionSpec, ids: &BTreeSet<String>) {
        let at = format!("{}.actions.{}", stage.id, action.id);
        self.id(&at, &action.id);
        let extras = self.repeated(&at, action.for_each.as_deref());
        self.expression(&at, action.when.as_deref(), extras);
        self.require(&at, !action.reason.trim().is_empty(), "`reason` is missing");
        let used = self.template(&format!("{at}.reason"), &action.reason, extras);
        self.no_secret(&at, &used);
        self.skip_reason(&at, action.skip_reason.as_deref(), extras);
        self.body(&at, schema::Of::Action, &action.body, extras);
        for (kind, fields) in &action.body {
            match kind.as_str() {
                "file" => self.file(&at, fields, extras),
                "command" => self.command(&at, fields, ids),
                "service" => self.after(&at, fields, &["restart_after", "reload_after"], ids),
                "trial" => self.after(&at, fields, &["after"], ids),
                _ => {}
            }
        }
    }

    /// Leaving a step out is on offer only with a reason.
    fn skip_reason(&mut self, at: &str, why: Option<&str>, extras: &[&str]) {
        let Some(why) = why else { return };
        self.require(at, !why.trim().is_empty(), "`skip_reason` says why the run may go on without it");
        let used = self.template(&format!("{at}.skip_reason"), why, extras);
        self.no_secret(at, &used);
    }

    /// The fields fit their kind, their templates compile, and secrets are only where nobody sees them.
    fn body(&mut self, at: &str, of: schema::Of, body: &BTreeMap<String, Value>, extras: &[&str]) {
        for (kind, fields) in body {
            for misfit in schema::misfits(of, kind, fields) {
                self.tell(&format!("{at}.{}", misfit.path), misfit.message, misfit.hint);
            }
            for (field, value) in fields.as_object().into_iter().flatten() {
                self.leaves(at, kind, field, value, extras);
            }
        }
    }

    fn leaves(&mut self, at: &str, kind: &str, path: &str, value: &Value, extras: &[&str]) {
        match value {
            Value::String(text) => {
                let used = self.template(&format!("{at}.{kind}.{path}"), text, extras);
                let allowed = SECRET_PLACES.iter().any(|(known, places)| {
                    *known == kind
                        && places.iter().any(|place| path == *place || path.starts_with(&format!("{place}.")))
                });
                if !allowed {
                    self.no_secret(&format!("{at}.{kind}.{path}"), &used);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.leaves(at, kind, path, item, extras)),
            Value::Object(entries) => {
                entries.iter().for_each(|(key, item)| {
                    self.leaves(at, kind, &format!("{path}.{key}"), item, extras);
                });
            }
            _ => {}
        }
    }

    fn expression(&mut self, at: &str, expression: Option<&str>, extras: &[&str]) -> BTreeSet<String> {
        let Some(expression) = expression else {
            return BTreeSet::new();
        };
        self.form(at, expression);
        self.used(at, self.expressions.names_in_expression(expression), extras)
    }

    /// An expression is short, and looks for packages that someone looks for.
    fn form(&mut self, at: &str, expression: &str) {
        if Form::of(expression).chain > form::FILTERS {
            let hint = "compute it in a local, or use a function".to_owned();
            self.tell(at, format!("a chain of more than {} filters", form::FILTERS), hint);
        }
        for package in form::packages(expression) {
            if !installed::is_known(&package) {
                let hint = nearest(&package, installed::names().iter().copied()).map_or_else(
                    || format!("facts cover: {}", installed::names().join(", ")),
                    |near| format!("did you mean {near}?"),
                );
                self.tell(at, format!("facts do not cover the package {package}, so it never seems installed"), hint);
            }
        }
    }

    fn template(&mut self, at: &str, template: &str, extras: &[&str]) -> BTreeSet<String> {
        let (expressions, statements) = form::parts(template);
        for expression in expressions {
            self.form(at, expression);
        }
        if let Some(statement) = statements.first() {
            let hint = "use `when`, `for_each` or a local".to_owned();
            self.tell(at, format!("`{statement}`: statements are allowed in assets only"), hint);
        }
        self.used(at, self.expressions.names_in_template(template), extras)
    }

    fn template_leaves(&mut self, at: &str, value: &Value, extras: &[&str]) -> BTreeSet<String> {
        match value {
            Value::String(text) => self.template(at, text, extras),
            Value::Array(items) => items.iter().flat_map(|item| self.template_leaves(at, item, extras)).collect(),
            Value::Object(entries) => {
                entries.values().flat_map(|item| self.template_leaves(at, item, extras)).collect()
            }
            _ => BTreeSet::new(),
        }
    }

    fn used(&mut self, at: &str, names: Result<BTreeSet<String>, String>, extras: &[&str]) -> BTreeSet<String> {
        match names {
            Ok(names) => {
                self.exist(at, &names, extras);
                names
            }
            Err(why) => {
                self.tell(at, why, String::new());
                BTreeSet::new()
            }
        }
    }

    fn exist(&mut self, at: &str, names: &BTreeSet<String>, extras: &[&str]) {
        for name in names {
            if let Some(wrong) = self.names.wrong(name, extras) {
                self.tell(at, wrong, String::new());
            }
        }
    }

    fn no_secret(&mut self, at: &str, used: &BTreeSet<String>) {
        if let Some(secret) = used.iter().find(|name| self.names.is_secret(name)) {
            let hint = "write secrets to files, or pass them as a password, in `env` or in `stdin`".to_owned();
            self.tell(at, format!("the secret {secret} would be visible here"), hint);
        }
    }

    fn id(&mut self, at: &str, id: &str) {
        let mut characters = id.chars();
        let good = characters.next().is_some_and(|c| c.is_ascii_lowercase())
            && characters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        self.require(at, good, "an id is lower case letters, digits and `_`, and begins with a letter");
    }

    fn unique<'a>(&mut self, at: &str, ids: impl Iterator<Item = &'a str>) {
        let mut seen = BTreeSet::new();
        for id in ids {
            if !seen.insert(id) {
                self.tell(at, format!("`{id}` is defined twice"), String::new());
            }
        }
    }

    fn require(&mut self, at: &str, good: bool, otherwise: &str) {
        if !good {
            self.tell(at, otherwise.to_owned(), String::new());
        }
    }

    fn tell(&mut self, at: &str, message: String, hint: String) {
        self.problems.push(Problem { place: String::new(), path: at.to_owned(), message, hint });
    }
}

#[cfg(test)]
mod tests;
