//! guide + facts + answers -> plan. Pure: no host, no clock, no randomness, so the same input gives the same bytes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::action::packages::Packages;
use crate::action::service::Service;
use crate::action::{Action, Reversible};
use crate::answers::Resolved;
use crate::error::Problem;
use crate::facts::{Application, Deployed, Facts};
use crate::guide::expression::{Context, Expressions, drop_absent};
use crate::guide::{self, ActionSpec, Guide, Phase, ProofSpec, Question, QuestionKind, Stage, map_cells};
use crate::plan::care::Care;
use crate::plan::{Answered, OutputLine, Plan, Planned, PlannedProof, PlannedStage, SecretForm};
use crate::proof::Proof;

/// The id of the one package transaction, and of the stage it forms.
pub const PACKAGES: &str = "packages";

/// Resolves a guide for a host and its answers. All that is wrong is found in one pass.
pub fn build(guide: &Guide, facts: &Facts, resolved: &Resolved) -> Result<Plan, Vec<Problem>> {
    let mut builder = Builder {
        guide,
        expressions: Expressions::new(guide),
        context: context(guide, facts, resolved),
        deployed: deployed(guide, facts, resolved),
        problems: Vec::new(),
    };
    let mut plan = builder.plan(resolved);
    plan.beside = plan.others(facts);
    if builder.problems.is_empty() { Ok(plan) } else { Err(builder.problems) }
}

/// Every name of the guide, so that what is not asked is null instead of unknown.
fn context(guide: &Guide, facts: &Facts, resolved: &Resolved) -> Context {
    let mut context = Context::of(guide, facts);
    for stage in &guide.stages {
        let answers = resolved.values.get(&stage.id);
        for question in &stage.questions {
            let value = answers.and_then(|answers| answers.get(&question.id)).unwrap_or(&Value::Null);
            context.set_answer(&stage.id, &question.id, value);
        }
        for local in &stage.locals {
            context.set_local(&local.name, resolved.locals.get(&local.name).unwrap_or(&Value::Null));
        }
    }
    // What sections of stages make.
    for (name, value) in &resolved.locals {
        context.set_local(name, value);
    }
    context
}

/// The branches of this application that were deployed.
fn deployed(guide: &Guide, facts: &Facts, resolved: &Resolved) -> Vec<Deployed> {
    let (stage, question) = Application::NAME.split_once('.').unwrap_or_default();
    let name = resolved.values.get(stage).and_then(|answers| answers.get(question)).and_then(Value::as_str);
    let own =
        Application { guide: guide.id.clone(), name: name.unwrap_or_default().to_owned(), ..Application::default() };
    facts.applications.iter().filter(|known| known.is_same(&own)).flat_map(|known| known.deployed.clone()).collect()
}

/// The forms of the secrets that are asked for.
fn secret_patterns(guide: &Guide, resolved: &Resolved) -> BTreeMap<String, SecretForm> {
    let questions = guide.stages.iter().flat_map(|stage| stage.questions.iter().map(move |question| (stage, question)));
    let of = |question: &Question, path: &str| {
        let words = question.pattern_hint.clone().unwrap_or_default();
        let Question { min, max, .. } = *question;
        let is_free = question.pattern.is_none() && min.is_none() && max.is_none();
        let form = SecretForm { pattern: question.pattern.clone().unwrap_or_default(), words, min, max };
        (!is_free).then(|| (path.to_owned(), form))
    };
    let forms = questions.flat_map(|(stage, question)| {
        let path = format!("{}.{}", stage.id, question.id);
        if question.kind == QuestionKind::Map {
            let paths = resolved.secrets.keys().filter(|secret| secret.starts_with(&format!("{path}.")));
            return paths.filter_map(|path| of(map_cells::secret(), path)).collect::<Vec<_>>();
        }
        of(question, &path).into_iter().collect()
    });
    forms.filter(|(path, _)| resolved.secrets.contains_key(path)).collect()
}

struct Builder<'a> {
    guide: &'a Guide,
    expressions: Expressions,
    context: Context,
    deployed: Vec<Deployed>,
    problems: Vec<Problem>,
}

impl Builder<'_> {
    fn plan(&mut self, resolved: &Resolved) -> Plan {
        let guide = self.guide;
        let applying: Vec<&Stage> = guide.stages.iter().filter(|stage| resolved.stages.contains(&stage.id)).collect();
        let mut stages = Vec::new();
        let mut actions = Vec::new();
        let mut last = Vec::new();
        let mut proofs = Vec::new();
        let mut outputs = Vec::new();
        if let Some(packages) = self.packages(&applying) {
            stages.push(PlannedStage { id: PACKAGES.to_owned(), title: "Packages".to_owned() });
            actions.push(packages);
        }
        for stage in applying {
            stages.push(PlannedStage { id: stage.id.clone(), title: stage.title.clone() });
            for spec in &stage.actions {
                let planned = self.action(stage, spec);
                match spec.phase {
                    Phase::Stage => actions.extend(planned),
                    Phase::Final => last.extend(planned),
                }
            }
            for spec in &stage.proofs {
                let id = format!("{}.{}", stage.id, spec.id);
                for (id, inner) in self.repeated(id, spec.for_each.as_deref()) {
                    if self.applies(&id, spec.when.as_deref(), inner.as_ref()) {
                        proofs.extend(self.proof(stage, &id, spec, inner.as_ref()));
                    }
                }
            }
            for spec in &stage.outputs {
                let id = format!("{}.outputs", stage.id);
                if self.applies(&id, spec.when.as_deref(), None) {
                    let value = self.text(&id, &spec.value, None);
                    outputs.push(OutputLine { label: spec.label.clone(), value });
                }
            }
        }
        actions.append(&mut last);
        name_what_is_planned(&mut actions);
        self.cover(&actions);
        let care = self.guide.stages.iter().find(|stage| stage.care.is_some() && resolved.stages.contains(&stage.id));
        let care = care.and_then(|stage| self.care(&format!("{}.care", stage.id), stage.care.as_ref()?));
        Plan {
            care,
            stages,
            answers: answered(guide, resolved),
            actions,
            proofs,
            outputs,
            warnings: resolved.warnings.clone(),
            secret_patterns: secret_patterns(guide, resolved),
            take_over: resolved.take_over.clone(),
            ..Plan::new(&guide.id, &guide.title)
        }
    }

    /// What takes a command's changes away is in the plan, too.
    fn cover(&mut self, actions: &[Planned]) {
        for planned in actions {
            let Action::Command(command) = &planned.action else { continue };
            let name = &command.covered_by;
            let is_it = |other: &Planned| other.id == *name || other.id.starts_with(&format!("{name}["));
            if !name.is_empty() && !actions.iter().any(is_it) {
                self.wrong(&planned.id, format!("`covered_by` names {name}, which is not in this plan"));
            }
        }
    }

    /// All packages of all stages: one transaction, since each further one costs seconds.
    fn packages(&mut self, stages: &[&Stage]) -> Option<Planned> {
        let mut names = BTreeSet::new();
        let mut reasons = Vec::new();
        for stage in stages {
            let at = format!("{}.packages", stage.id);
            for spec in &stage.packages {
                if !self.applies(&at, spec.when.as_deref(), None) {
                    continue;
                }
                for name in &spec.install {
                    // An entry that is a list (`{{ application.packages }}`) is replaced by all of its names.
                    match self.expressions.render(name, &self.context) {
                        Ok(Value::Array(more)) => {
                            names.extend(more.iter().filter_map(Value::as_str).map(str::to_owned));
                        }
                        Ok(Value::String(name)) => drop(names.insert(name)),
                        Ok(other) => self.wrong(&at, format!("{other} is not a package")),
                        Err(why) => self.wrong(&at, why),
                    }
                }
                let reason = self.text(&at, &spec.reason, None);
                if !reasons.contains(&reason) {
                    reasons.push(reason);
                }
            }
        }
        names.remove("");
        if names.is_empty() {
            return None;
        }
        let action = Action::Packages(Packages { names: names.into_iter().collect(), recommends: false });
        Some(planned(PACKAGES.to_owned(), PACKAGES, &reasons.join("; "), action))
    }

    fn action(&mut self, stage: &Stage, spec: &ActionSpec) -> Vec<Planned> {
        let id = format!("{}.{}", stage.id, spec.id);
        self.repeated(id, spec.for_each.as_deref())
            .into_iter()
            .filter_map(|(id, inner)| self.one_action(stage, spec, id, inner.as_ref()))
            .collect()
    }

    /// The ids of an entry, each with the context of its repetition.
    fn repeated(&mut self, id: String, each: Option<&str>) -> Vec<(String, Option<Context>)> {
        let Some(each) = each else { return vec![(id, None)] };
        let why = match self.expressions.eval(each, &self.context) {
            Ok(Value::Array(items)) => {
                let with = |(index, item)| self.context.with("item", item).with("index", &json!(index));
                let items = items.iter().enumerate();
                return items.map(|item| (format!("{id}[{}]", item.0), Some(with(item)))).collect();
            }
            Ok(other) => format!("`for_each` must give a list, and gives {other}"),
            Err(why) => why,
        };
        self.wrong(&id, why);
        Vec::new()
    }

    fn one_action(&mut self, stage: &Stage, spec: &ActionSpec, id: String, inner: Option<&Context>) -> Option<Planned> {
        if !self.applies(&id, spec.when.as_deref(), inner) {
            return None;
        }
        let reason = self.text(&id, &spec.reason, inner);
        let (kind, fields) = spec.body.iter().next()?;
        let mut fields = self.fields(&id, fields, inner)?;
        match kind.as_str() {
            "file" => self.file(&id, &mut fields, inner)?,
            "source" => self.source(&id, &mut fields)?,
            _ => {}
        }
        let action: Action = self.typed(&id, kind, fields)?;
        let skip_reason = self.skip_reason(&id, spec.skip_reason.as_deref(), inner);
        Some(Planned { skip_reason, ..planned(id, &stage.id, &reason, action) })
    }

    fn skip_reason(&mut self, id: &str, why: Option<&str>, inner: Option<&Context>) -> Option<String> {
        why.map(|why| self.text(id, why, inner).trim().to_owned())
    }

    /// Puts the text of a `template` in as the `content`.
    fn file(&mut self, id: &str, fields: &mut Map<String, Value>, inner: Option<&Context>) -> Option<()> {
        if let Some(Value::String(name)) = fields.remove("template") {
            let context = inner.unwrap_or(&self.context);
            match self.expressions.render_asset(&name, context) {
                Ok(text) => fields.insert("content".to_owned(), Value::String(text)),
                Err(why) => {
                    self.wrong(id, why);
                    return None;
                }
            };
        }
        // A text that is one single expression keeps its type; a file's content is text all the same.
        if let Some(content) = fields.get_mut("content")
            && (content.is_number() || content.is_boolean())
        {
            *content = Value::String(content.to_string());
        }
        Some(())
    }

    /// Puts the files of an asset in, so that the plan holds all that will be written, and the commit of a branch, or
    /// the digest of an image's tag, that was deployed.
    fn source(&mut self, id: &str, fields: &mut Map<String, Value>) -> Option<()> {
        let field = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
        if ["git", "image", "push"].contains(&field("from")) {
            let is_it =
                |known: &&Deployed| known.location == field("location") && known.reference == field("reference");
            if let Some(commit) = self.deployed.iter().find(is_it).map(|known| known.commit.clone()) {
                fields.insert("commit".to_owned(), commit.into());
            }
        }
        let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
        let location = match text("from") {
            "asset" => text("location"),
            "push" if text("commit").is_empty() => text("placeholder"),
            _ => return Some(()),
        };
        let location = location.to_owned();
        let mut files = Map::new();
        for (name, bytes) in &self.guide.assets {
            let Some(name) = name.strip_prefix(&format!("{location}/")) else {
                continue;
            };
            let Ok(text) = String::from_utf8(bytes.clone()) else {
                self.wrong(id, format!("the asset {location}/{name} is not UTF-8 text"));
                return None;
            };
            files.insert(name.to_owned(), Value::String(text));
        }
        if files.is_empty() {
            self.wrong(id, format!("the guide has no assets below {location}/"));
            return None;
        }
        fields.insert("files".to_owned(), Value::Object(files));
        Some(())
    }

    fn proof(&mut self, stage: &Stage, id: &str, spec: &ProofSpec, inner: Option<&Context>) -> Option<PlannedProof> {
        let (kind, fields) = spec.body.iter().next()?;
        let fields = self.fields(id, fields, inner)?;
        let proof: Proof = self.typed(id, kind, fields)?;
        let describe = proof.prover().describe();
        let skip_reason = self.skip_reason(id, spec.skip_reason.as_deref(), inner);
        Some(PlannedProof { id: id.to_owned(), stage: stage.id.clone(), describe, skip_reason, proof })
    }

    fn care(&mut self, at: &str, spec: &guide::care::Care) -> Option<Care> {
        let mut services = Vec::new();
        for service in &spec.services {
            let written = serde_json::to_value(service).unwrap_or_default();
            for (at, inner) in self.repeated(at.to_owned(), service.for_each.as_deref()) {
                if self.applies(&at, service.when.as_deref(), inner.as_ref()) {
                    services.extend(self.fields(&at, &written, inner.as_ref()).map(Value::Object));
                }
            }
        }
        let shell = spec.shell.as_ref().and_then(|shell| {
            let written = serde_json::to_value(shell).unwrap_or_default();
            self.fields(at, &written, None)
        });
        let guide::care::Care { code, reference, environment, .. } = spec;
        let care = json!({
            "code": code, "reference": reference, "environment": environment, "services": services, "shell": shell,
        });
        serde_json::from_value(care).map_err(|why| self.wrong(at, format!("`care` is wrong: {why}"))).ok()
    }

    fn fields(&mut self, id: &str, fields: &Value, inner: Option<&Context>) -> Option<Map<String, Value>> {
        match self.expressions.render_leaves(fields, inner.unwrap_or(&self.context)) {
            Ok(Value::Object(mut fields)) => {
                // What is not asked is none; a field that got none is as if it were not written.
                fields.retain(|_, value| !value.is_null());
                for value in fields.values_mut() {
                    drop_absent(value);
                }
                Some(fields)
            }
            Ok(_) => {
                self.wrong(id, "it needs its fields".to_owned());
                None
            }
            Err(why) => {
                self.wrong(id, why);
                None
            }
        }
    }

    fn typed<T: serde::de::DeserializeOwned>(&mut self, id: &str, kind: &str, fields: Map<String, Value>) -> Option<T> {
        let mut body = Map::new();
        body.insert(kind.to_owned(), Value::Object(fields));
        match serde_json::from_value(Value::Object(body)) {
            Ok(typed) => Some(typed),
            Err(why) => {
                self.wrong(id, format!("`{kind}` is wrong: {why}"));
                None
            }
        }
    }

    fn applies(&mut self, id: &str, when: Option<&str>, inner: Option<&Context>) -> bool {
        let Some(when) = when else { return true };
        self.expressions.truth(when, inner.unwrap_or(&self.context)).unwrap_or_else(|why| {
            self.wrong(id, why);
            false
        })
    }

    fn text(&mut self, id: &str, template: &str, inner: Option<&Context>) -> String {
        self.expressions.render_text(template, inner.unwrap_or(&self.context)).unwrap_or_else(|why| {
            self.wrong(id, why);
            String::new()
        })
    }

    fn wrong(&mut self, id: &str, message: String) {
        let hint = format!("this is a bug in the guide {}, not in the answers", self.guide.id);
        self.problems.push(Problem { place: String::new(), path: id.to_owned(), message, hint });
    }
}

fn planned(id: String, stage: &str, reason: &str, action: Action) -> Planned {
    let act = action.act();
    let (describe, reversible): (String, Reversible) = (act.describe(), act.reversible());
    let (stage, reason) = (stage.to_owned(), reason.trim().to_owned());
    Planned { id, stage, reason, describe, reversible, skip_reason: None, action }
}

/// `restart_after: [web.module]` means every repetition of it that is in the plan, and nothing that is not.
fn name_what_is_planned(actions: &mut [Planned]) {
    let ids: Vec<String> = actions.iter().map(|action| action.id.clone()).collect();
    let expand = |names: &mut Vec<String>| {
        *names = names
            .iter()
            .flat_map(|name| {
                let repeated = format!("{name}[");
                ids.iter().filter(move |id| *id == name || id.starts_with(&repeated)).cloned()
            })
            .collect();
    };
    for planned in actions.iter_mut() {
        match &mut planned.action {
            Action::Service(Service { restart_after, reload_after, .. }) => {
                expand(restart_after);
                expand(reload_after);
            }
            Action::Trial(trial) => expand(&mut trial.after),
            _ => {}
        }
    }
}

fn answered(guide: &Guide, resolved: &Resolved) -> Vec<Answered> {
    let asked = guide
        .stages
        .iter()
        .flat_map(|stage| stage.questions.iter().map(move |question| (stage.id.clone(), question.id.clone())));
    asked
        .filter_map(|(stage, question)| {
            let value = resolved.values.get(&stage)?.get(&question)?.clone();
            let path = format!("{stage}.{question}");
            let origin = *resolved.origins.get(&path)?;
            (!value.is_null()).then_some(Answered { path, value, origin })
        })
        .collect()
}

#[cfg(test)]
mod tests;
