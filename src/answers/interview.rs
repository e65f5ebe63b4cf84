//! A guide's questions, answered in any order: which are asked, each answer so far and its origin, and what is missing.
//! The wizard and line mode are both built on it.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use serde_json::{Value, json};

use crate::answers::file::typed;
use crate::answers::interview::cell::{Cell, answer_of, rows_in};
use crate::answers::resolve::map::{self, path_of};
use crate::answers::resolve::{UNANSWERED, is_empty, requirements, survey_with};
use crate::answers::{Given, Origin, Resolved, SecretSource};
use crate::error::Problem;
use crate::facts::{Application, Facts};
use crate::guide::expression::Expressions;
use crate::guide::{Choice, Guide, Question, QuestionKind, Stage, map_cells};
use crate::secret;

mod cell;

const NAME: &str = Application::NAME;

/// One guide, this server, and the answers so far.
#[derive(Clone, Debug)]
pub struct Interview {
    guide: Guide,
    expressions: Arc<Expressions>,
    facts: Facts,
    given: Given,
    resolved: Resolved,
    problems: Vec<Problem>,
    unmet: Vec<Problem>,
    /// The rows of maps that nobody answered yet.
    defaults: BTreeMap<String, Value>,
    /// What may be offered again, and for which application that was last decided.
    earlier: Vec<Earlier>,
    offered: Option<String>,
}

/// What an application was set up with by a run before.
#[derive(Clone, Debug)]
pub struct Earlier {
    /// The run.
    pub run: String,
    /// Its answers, with the origin [`Origin::PreviousRun`].
    pub given: Given,
}

impl Earlier {
    /// The name of the application; empty where the guide asks for none.
    pub fn application(&self) -> &str {
        self.given.values.get(NAME).and_then(|(name, _)| name.as_str()).unwrap_or_default()
    }
}

/// A question that is asked now, or a cell of a table.
#[derive(Clone, Debug)]
pub struct Field<'a> {
    /// `database.engine`; of a cell `stage.question[0].column`.
    pub path: String,
    /// The question.
    pub question: &'a Question,
    /// The answer so far: none while it is missing or refused. A secret is its placeholder.
    pub value: Option<&'a Value>,
    /// Where the answer came from.
    pub origin: Option<Origin>,
    /// What is wrong with it, or that it is missing.
    pub problem: Option<&'a Problem>,
}

/// Something that keeps the run from being started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The stage to go to; none when it is the host that does not do.
    pub stage: Option<String>,
    /// The question there.
    pub question: Option<String>,
    /// What is wrong or missing.
    pub message: String,
    /// What to do.
    pub hint: String,
}

impl Gap {
    /// A problem, with the stage and the question that its path names.
    pub fn of(problem: &Problem) -> Self {
        let path = answer_of(&problem.path);
        let (stage, question) = path.split_once('.').unwrap_or((path, ""));
        Self {
            stage: (!stage.is_empty()).then(|| stage.to_owned()),
            question: (!question.is_empty()).then(|| question.to_owned()),
            message: problem.message.clone(),
            hint: problem.hint.clone(),
        }
    }
}

/// The state of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It does not apply, with the answers so far.
    NotAsked,
    /// Everything is answered.
    Complete,
    /// So many answers are missing or refused.
    Missing(usize),
}

impl Interview {
    /// Starts with known answers (of an earlier run, of a file, of flags).
    pub fn new(guide: Guide, facts: Facts, given: Given) -> Self {
        let unmet = requirements(&guide, &facts);
        let expressions = Arc::new(Expressions::new(&guide));
        let (resolved, problems, defaults) = (Resolved::default(), Vec::new(), BTreeMap::new());
        let (earlier, offered) = (Vec::new(), None);
        let mut interview =
            Self { guide, expressions, facts, given, resolved, problems, unmet, defaults, earlier, offered };
        interview.look_again();
        interview
    }

    /// Offers the answers of earlier runs: those of the application that is named so far, or else the first ones. An
    /// application with another name begins with none of them, since its port, database and host name are its own.
    #[must_use]
    pub fn offering(mut self, earlier: Vec<Earlier>) -> Self {
        if let Some(first) = earlier.first()
            && !self.given.values.contains_key(NAME)
            && let Some(name) = first.given.values.get(NAME)
        {
            self.given.values.insert(NAME.to_owned(), name.clone());
        }
        self.earlier = earlier;
        self.look_again();
        self.offer();
        self
    }

    /// The run whose answers are offered again.
    pub fn previous_run(&self) -> Option<&str> {
        self.offered.as_deref().and_then(|name| self.earlier_of(name)).map(|earlier| earlier.run.as_str())
    }

    fn earlier_of(&self, application: &str) -> Option<&Earlier> {
        self.earlier.iter().find(|earlier| earlier.application() == application)
    }

    /// Puts the earlier answers of the application that is named now in the place of another one's.
    fn offer(&mut self) {
        if self.earlier.is_empty() {
            return;
        }
        let (stage, question) = NAME.split_once('.').unwrap_or_default();
        let name = self.resolved.values.get(stage).and_then(|answers| answers.get(question));
        let name = name.and_then(Value::as_str).unwrap_or_default().to_owned();
        // A name that is refused says nothing of whose the answers are.
        if self.offered.as_deref() == Some(&name) || (name.is_empty() && self.question(NAME).is_some()) {
            return;
        }
        self.given.values.retain(|path, (_, origin)| path == NAME || *origin != Origin::PreviousRun);
        let Given { values, on_failure, take_over: _ } =
            self.earlier_of(&name).map(|earlier| earlier.given.clone()).unwrap_or_default();
        self.given.on_failure = on_failure;
        for (path, answer) in values {
            self.given.values.entry(path).or_insert(answer);
        }
        self.offered = Some(name);
        self.look_again();
    }

    /// The guide.
    pub fn guide(&self) -> &Guide {
        &self.guide
    }

    /// The server.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// What was given, before defaults.
    pub fn given(&self) -> &Given {
        &self.given
    }

    /// Every answer that is known.
    pub fn resolved(&self) -> &Resolved {
        &self.resolved
    }

    /// Probes the server again, with the same answers.
    pub fn found(&mut self, facts: Facts) {
        self.facts = facts;
        self.unmet = requirements(&self.guide, &self.facts);
        self.look_again();
    }

    /// Answers a question; `None` takes the answer away, so that the default holds. Refused values are kept and
    /// reported as the field's problem.
    ///
    /// A cell of a table is answered likewise, by its path `stage.question[0].column`, and a row is taken away as
    /// `stage.question[0]`.
    pub fn answer(&mut self, path: &str, value: Option<Value>) {
        let (path, value) = match Cell::parse(path) {
            Some(cell) => {
                let rows = cell.put(rows_in(self.standing_value(cell.table)), value);
                let required = self.question(cell.table).is_some_and(|question| !question.optional);
                (cell.table, (!(rows.is_empty() && required)).then(|| json!(rows)))
            }
            None => (path, value),
        };
        match value {
            Some(value) => {
                self.given.values.insert(path.to_owned(), (value, Origin::Typed));
            }
            None => {
                self.given.values.remove(path);
            }
        }
        self.look_again();
        self.offer();
        self.drop_pointless();
    }

    /// Answers a question with text as it was typed. Empty text takes the default, where there is one.
    pub fn type_in(&mut self, path: &str, text: &str) {
        let Some(question) = self.question(path) else { return };
        let value = if text.is_empty() && !question.optional { None } else { Some(typed(question, text)) };
        self.answer(path, value);
    }

    /// What would be wrong with this text as the answer; nothing is changed.
    pub fn refusal(&self, path: &str, text: &str) -> Option<Problem> {
        let mut other = self.clone();
        other.type_in(path, text);
        other.problems.into_iter().find(|problem| about(problem, path))
    }

    /// The state of a stage.
    pub fn standing(&self, stage: &str) -> Standing {
        match self.problems.iter().filter(|problem| stage_of(&problem.path) == stage).count() {
            0 if self.resolved.stages.iter().any(|applies| applies == stage) => Standing::Complete,
            0 => Standing::NotAsked,
            missing => Standing::Missing(missing),
        }
    }

    /// The stages with a screen: those that apply, or may still, in order.
    pub fn stages(&self) -> Vec<&Stage> {
        self.guide.stages.iter().filter(|stage| self.standing(&stage.id) != Standing::NotAsked).collect()
    }

    /// The questions that a stage asks now, in order.
    pub fn fields(&self, stage: &str) -> Vec<Field<'_>> {
        let Some(stage) = self.guide.stages.iter().find(|candidate| candidate.id == stage) else { return Vec::new() };
        let mut fields = Vec::new();
        for question in &stage.questions {
            let path = format!("{}.{}", stage.id, question.id);
            let value = self.resolved.values.get(&stage.id).and_then(|answers| answers.get(&question.id));
            let origin = self.resolved.origins.get(&path).copied();
            let problem = self.problems.iter().find(|problem| about(problem, &path));
            // An answer without origin was not asked for; no answer and no problem: its default hangs on an answer
            // that is to be fixed, or whether it is asked at all does.
            let asked = question.when.is_none() && self.resolved.stages.contains(&stage.id);
            if origin.is_some() || problem.is_some() || asked {
                fields.push(Field { path, question, value: value.filter(|_| origin.is_some()), origin, problem });
            }
        }
        fields
    }

    /// A question that is asked now, or a cell of a table, by its path.
    pub fn field(&self, path: &str) -> Option<Field<'_>> {
        match Cell::parse(path) {
            Some(cell) => self.rows(cell.table).into_iter().flatten().find(|field| field.path == path),
            None => self.fields(stage_of(path)).into_iter().find(|field| field.path == path),
        }
    }

    /// The cells of a table, row by row. A table that must be answered has at least one row, to be filled in.
    pub fn rows(&self, table: &str) -> Vec<Vec<Field<'_>>> {
        let Some(question) = self.question(table).filter(|question| question.kind.has_rows()) else {
            return Vec::new();
        };
        let origin = self.given.values.get(table).map(|(_, origin)| *origin);
        let given = self.standing_value(table).as_array();
        let count = given.map_or(0, Vec::len).max(usize::from(!question.optional));
        let row = |at: usize| given.and_then(|rows| rows.get(at));
        (0..count)
            .map(|at| question.row().iter().map(|column| self.cell(table, at, column, row(at), origin)).collect())
            .collect()
    }

    fn cell<'a>(
        &'a self,
        table: &str,
        row: usize,
        column: &'a Question,
        cells: Option<&'a Value>,
        origin: Option<Origin>,
    ) -> Field<'a> {
        static OPEN: Value = Value::Null;
        static HIDDEN: LazyLock<Value> = LazyLock::new(|| json!("a secret"));
        let path = format!("{table}[{row}].{}", column.id);
        let given = cells.and_then(|cells| cells.get(&column.id));
        let value = given.or(column.default.as_ref());
        // A row that is not begun is missing as a whole.
        let whole = || self.problems.iter().find(|problem| problem.path == table);
        let problem = match cells {
            Some(_) => self.problems.iter().find(|problem| about(problem, &path)),
            None if value.is_none() && !column.optional => whole(),
            None => None,
        };
        let value = if problem.is_some() { None } else { value.or(Some(&OPEN)) };
        let is_secret = column.kind == QuestionKind::Secret && value.is_some_and(|value| !is_empty(value));
        let value = if is_secret { Some(&*HIDDEN) } else { value };
        let origin = if given.is_some() { origin } else { Some(Origin::Default) };
        Field { path, question: column, value, origin, problem }
    }

    /// What was given to a question, or else the answer that holds; null for none.
    fn standing_value(&self, path: &str) -> &Value {
        static NONE: Value = Value::Null;
        let (stage, id) = path.split_once('.').unwrap_or((path, ""));
        let given = self.given.values.get(path).map(|(value, _)| value);
        given.or_else(|| self.defaults.get(path)).or_else(|| self.resolved.values.get(stage)?.get(id)).unwrap_or(&NONE)
    }

    /// The choices of a question with whether each is available here.
    pub fn offers<'a>(&self, question: &'a Question) -> Vec<(&'a Choice, bool)> {
        if question.choices.iter().all(|choice| choice.when.is_none()) {
            return question.choices.iter().map(|choice| (choice, true)).collect();
        }
        let context = self.resolved.context(&self.guide, &self.facts);
        let offered = |choice: &Choice| {
            choice.when.as_deref().is_none_or(|when| self.expressions.truth(when, &context).unwrap_or(false))
        };
        question.choices.iter().map(|choice| (choice, offered(choice))).collect()
    }

    /// The problem of a whole stage: a rule that no single answer breaks.
    pub fn stage_problems(&self, stage: &str) -> Vec<&Problem> {
        self.problems.iter().filter(|problem| problem.path == stage).collect()
    }

    /// Whether a problem is only a missing answer; nothing was refused.
    pub fn is_open(&self, problem: &Problem) -> bool {
        !self.is_given(&problem.path) && problem.message.starts_with(UNANSWERED)
    }

    /// Whether a question or a cell was answered, or a row is there, so that there is something to take away.
    pub fn is_given(&self, path: &str) -> bool {
        match Cell::parse(path) {
            Some(Cell { table, row, column: Some(column) }) => {
                let given = self.given.values.get(table).and_then(|(rows, _)| rows.get(row)?.get(column));
                given.is_some_and(|value| !value.is_null())
            }
            Some(Cell { table, row, column: None }) => self.standing_value(table).get(row).is_some(),
            None => self.given.values.contains_key(path),
        }
    }

    /// Whether something in a stage was refused, rather than not answered yet.
    pub fn refuses(&self, stage: &str) -> bool {
        self.problems.iter().any(|problem| stage_of(&problem.path) == stage && !self.is_open(problem))
    }

    /// What on this server shows the default that is taken.
    pub fn reason(&self, path: &str) -> Option<&str> {
        self.resolved.reasons.get(path).map(String::as_str)
    }

    /// The default of a question, as text, and the names that it is computed from.
    pub fn default_of(&self, path: &str) -> Option<(String, Vec<String>)> {
        let question = self.question(path)?;
        let default = question.default.as_ref()?;
        if Cell::parse(path).is_some() {
            return Some((text_of(default), Vec::new()));
        }
        let names = default.as_str().and_then(|template| self.expressions.names_in_template(template).ok());
        let mut other = self.clone();
        other.answer(path, None);
        let (stage, id) = path.split_once('.')?;
        let value = other.resolved.values.get(stage)?.get(id).filter(|_| question.kind != QuestionKind::Secret);
        Some((value.map(text_of).unwrap_or_default(), names.unwrap_or_default().into_iter().collect()))
    }

    /// What to know about a stage's answers, although nothing is refused.
    pub fn warnings(&self, stage: &str) -> Vec<&str> {
        let within = |warning: &&String| stage_of(warning.split(':').next().unwrap_or_default()) == stage;
        self.resolved.warnings.iter().filter(within).map(String::as_str).collect()
    }

    /// Everything that keeps the run from being started, in the order of the screens.
    pub fn gaps(&self) -> Vec<Gap> {
        let of_host = self.unmet.iter().map(|problem| Gap {
            stage: None,
            question: None,
            message: problem.message.clone(),
            hint: problem.hint.clone(),
        });
        of_host.chain(self.problems.iter().map(Gap::of)).collect()
    }

    /// A question by its path; of a cell, its column.
    pub fn question(&self, path: &str) -> Option<&Question> {
        if let Some(cell) = Cell::parse(path) {
            let table = self.question(cell.table)?;
            return table.row().iter().find(|column| Some(column.id.as_str()) == cell.column);
        }
        let (stage, question) = path.split_once('.')?;
        let stage = self.guide.stages.iter().find(|candidate| candidate.id == stage)?;
        stage.questions.iter().find(|candidate| candidate.id == question)
    }

    /// The text to begin editing with: what was typed, though it be refused, else the answer that holds.
    pub fn text(&self, path: &str) -> String {
        let Some(question) = self.question(path) else { return String::new() };
        if question.kind == QuestionKind::Map {
            let name = |row: &Value| row.get(map_cells::NAME).map(text_of).unwrap_or_default();
            let rows = self.standing_value(path).as_array();
            return rows.map(|rows| rows.iter().map(name).collect::<Vec<_>>().join(", ")).unwrap_or_default();
        }
        if question.kind == QuestionKind::Secret {
            let given = match Cell::parse(path) {
                Some(cell) => self.cell_value(&cell),
                None => self.given.values.get(path).map(|(value, _)| value),
            };
            return match given {
                Some(Value::String(literal)) => literal.clone(),
                Some(Value::Object(source)) => match source.iter().next() {
                    Some((kind, Value::String(place))) => format!("{kind}:{place}"),
                    _ => String::new(),
                },
                _ => String::new(),
            };
        }
        let Some(cell) = Cell::parse(path) else { return text_of(self.standing_value(path)) };
        self.cell_value(&cell).or(question.default.as_ref()).map(text_of).unwrap_or_default()
    }

    /// The source of a secret.
    pub fn secret(&self, path: &str) -> Option<&SecretSource> {
        let Some(cell) = Cell::parse(path) else { return self.resolved.secrets.get(path) };
        let name = self.standing_value(cell.table).get(cell.row)?.get(map_cells::NAME)?.as_str()?;
        self.resolved.secrets.get(&path_of(cell.table, name)).filter(|_| cell.column == Some(map_cells::SECRET))
    }

    /// What stands in a cell.
    fn cell_value(&self, cell: &Cell<'_>) -> Option<&Value> {
        self.standing_value(cell.table).get(cell.row)?.get(cell.column?)
    }

    /// Drops the answers of a file or of flags to questions that are not asked; what was to be said of each.
    /// An answer that a later one made pointless is no mistake of the file any more.
    pub fn drop_pointless(&mut self) -> Vec<Problem> {
        let asked = |path: &str| {
            let (stage, question) = path.split_once('.').unwrap_or((path, ""));
            let value = self.resolved.values.get(stage).and_then(|answers| answers.get(question));
            value.is_none() || self.resolved.origins.contains_key(path)
        };
        let pointless: Vec<String> = self
            .given
            .values
            .iter()
            .filter(|(path, (_, origin))| matches!(origin, Origin::File | Origin::Flag) && !asked(path))
            .map(|(path, _)| path.clone())
            .collect();
        if pointless.is_empty() {
            return Vec::new();
        }
        let said = self.problems.iter().filter(|problem| pointless.contains(&problem.path)).cloned().collect();
        for path in pointless {
            self.given.values.remove(&path);
        }
        self.look_again();
        said
    }

    fn look_again(&mut self) {
        let questions = |stage: &Stage| {
            let maps = stage.questions.iter().filter(|question| question.kind == QuestionKind::Map);
            maps.map(|question| format!("{}.{}", stage.id, question.id)).collect::<Vec<_>>()
        };
        let maps: Vec<String> = self.guide.stages.iter().flat_map(questions).collect();
        for path in &maps {
            if let Some((value, _)) = self.given.values.get_mut(path)
                && let Value::Object(entries) = value
            {
                *value = map::rows(entries);
            }
        }
        self.survey_again();
        self.defaults.clear();
        for path in maps {
            let Some((stage, id)) = path.split_once('.') else { continue };
            let value = self.resolved.values.get(stage).and_then(|answers| answers.get(id));
            let Some(Value::Object(entries)) = value else { continue };
            let sources = entries.iter().filter_map(|(name, text)| {
                let source = self.resolved.secrets.get(&path_of(&path, name));
                // Those of a file are no rows.
                let is_elsewhere = source.is_none() && text_of(text).contains(secret::OPEN);
                (!is_elsewhere).then(|| (name.clone(), source.map_or_else(|| text.clone(), |source| json!(source))))
            });
            let rows = map::rows(&sources.collect());
            self.defaults.insert(path, rows);
        }
    }

    fn survey_again(&mut self) {
        let (guide, facts, given) = (&self.guide, &self.facts, &self.given);
        (self.resolved, self.problems) = survey_with(&self.expressions, guide, facts, given, &|_| String::new());
    }
}

/// A value as one would type it.
pub fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let between = if items.iter().any(Value::is_object) { "; " } else { ", " };
            items.iter().map(in_row).collect::<Vec<_>>().join(between)
        }
        Value::Object(entries) => {
            let entry = |(name, value): (&String, &Value)| match text_of(value) {
                text if text.contains(secret::OPEN) => format!("{name} (secret)"),
                text => format!("{name}={text}"),
            };
            entries.iter().map(entry).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

/// An entry of a list, or a row of a table.
fn in_row(value: &Value) -> String {
    let Value::Object(cells) = value else { return text_of(value) };
    let cells = cells.values().map(text_of).filter(|text| !text.is_empty());
    cells.collect::<Vec<_>>().join(", ")
}

/// Whether a problem concerns this answer, or an entry or a cell of it.
fn about(problem: &Problem, path: &str) -> bool {
    answer_of(&problem.path) == path || problem.path.split('[').next() == Some(path)
}

fn stage_of(path: &str) -> &str {
    path.split(['.', '[']).next().unwrap_or(path)
}

#[cfg(test)]
mod tests;
