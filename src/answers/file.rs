//! Answers files: reading with every problem and its place, and recording what a run was made of.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::answers::resolve::map::entries;
use crate::answers::resolve::{Literals, Refusal, check_value, is_empty, secret_source};
use crate::answers::{Given, OnFailure, Origin};
use crate::error::Problem;
use crate::guide::{Guide, Question, QuestionKind, Stage};
use crate::suggest::did_you_mean;
use crate::visible;
use crate::yaml::{self, Content, Document, Key, MAX_PROBLEMS, Node, quoted};

mod set;
mod write;

pub use set::parse_set;
pub(crate) use set::typed;
pub use write::{variable, write};

/// The version of the format.
pub const VERSION: i64 = 1;
/// Keys that begin so are the author's own: anchors, notes.
pub const FREE: &str = "x-";
/// The keys at the top that are no stages.
const HEAD: [&str; 4] = ["version", "guide", "on_failure", "take_over"];

/// What can be handed over, in words.
pub const TAKE_OVER: &str = "write an absolute path, or one of unit:, user:, group:, database:, role:, vhost: and \
    broker-user: with a name, as shown when the run was refused";

/// Whether a text can be the name of something to take over.
pub fn may_take_over(name: &str) -> bool {
    const KINDS: [&str; 7] = ["unit", "user", "group", "database", "role", "vhost", "broker-user"];
    let named = |(kind, name): (&str, &str)| KINDS.contains(&kind) && !name.is_empty();
    name.starts_with('/') || name.split_once(':').is_some_and(named)
}

/// The content of a file, and its problems.
#[derive(Clone, Debug)]
pub struct AnswersFile {
    /// The answers that have the right type.
    pub given: Given,
    /// Everything that is wrong, in the order of the file.
    pub problems: Vec<Problem>,
    /// The answers (`stage.question`) that are there but were refused.
    pub refused: BTreeSet<String>,
    document: Document,
}

impl AnswersFile {
    /// Where an answer (`web.host`, `web.names[2]`), or else its section, or else the file begins:
    /// `file:line:column`.
    pub fn place_of(&self, path: &str) -> String {
        let at = path.find('[').unwrap_or(path.len());
        let (path, within) = path.split_at(at);
        let (stage, question) = path.split_once('.').unwrap_or((path, ""));
        let Some((section, questions)) = self.document.root().get(stage) else {
            return self.document.start();
        };
        let Some((key, node)) = questions.get(question) else {
            return self.document.place(section.at);
        };
        self.document.place(place_within(key, node, within))
    }
}

/// Reads a file that must be right: its answers, or all its problems.
pub fn read(name: &str, bytes: &[u8], guide: &Guide, literals: Literals) -> Result<AnswersFile, Vec<Problem>> {
    let file = read_leniently(name, bytes, guide, literals)?;
    if file.problems.is_empty() { Ok(file) } else { Err(file.problems) }
}

/// Reads a file and keeps what is valid, so that problems between answers can be reported together with these; see
/// [`crate::answers::resolve::resolve_file`]. An error means that nothing can be read.
pub fn read_leniently(
    name: &str,
    bytes: &[u8],
    guide: &Guide,
    literals: Literals,
) -> Result<AnswersFile, Vec<Problem>> {
    let document = sections(name, bytes)?;
    let mut reader = Reader { guide, literals, given: Given::default(), refused: BTreeSet::new(), found: Vec::new() };
    reader.file(document.root());
    let Reader { given, refused, found, .. } = reader;
    let problems = told(&document, found);
    Ok(AnswersFile { given, problems, refused, document })
}

/// The guide that a file is for.
pub fn peek_guide(name: &str, bytes: &[u8]) -> Result<String, Vec<Problem>> {
    let document = sections(name, bytes)?;
    let problem = |place: String, message: &str| {
        let hint = "write `guide: NAME`; `bringup guides` lists the names".to_owned();
        vec![Problem { place, path: "guide".to_owned(), message: message.to_owned(), hint }]
    };
    match document.root().get("guide") {
        Some((_, Node { content: Content::Str(guide), .. })) => Ok(guide.clone()),
        Some((key, node)) => Err(problem(document.place(place_of_value(key, node)), "is not the name of a guide")),
        None => Err(problem(document.start(), "is missing")),
    }
}

/// A document with a mapping at its top.
fn sections(name: &str, bytes: &[u8]) -> Result<Document, Vec<Problem>> {
    let document = yaml::parse(name, bytes)?;
    let message = match document.root().content {
        Content::Map(_) => return Ok(document),
        Content::Null => "the file is empty",
        Content::Seq(_) => "sections are expected, and this is a list",
        _ => "sections are expected, and this is a single value",
    };
    let hint = "write `version: 1`, `guide: NAME` and a section for each stage; `bringup answers init NAME` prints one";
    Err(vec![Problem {
        place: document.place(document.root().at),
        path: String::new(),
        message: message.to_owned(),
        hint: hint.to_owned(),
    }])
}

/// A problem whose place is not looked up yet.
struct Finding {
    at: u32,
    path: String,
    message: String,
    hint: String,
    /// The key that was there first, when it is given twice.
    first: Option<u32>,
}

/// In the order of the file, with places; beyond a limit they are only counted.
fn told(document: &Document, mut found: Vec<Finding>) -> Vec<Problem> {
    found.sort_by_key(|finding| finding.at);
    let more = found.len().saturating_sub(MAX_PROBLEMS);
    let mut problems: Vec<_> = found
        .into_iter()
        .take(MAX_PROBLEMS)
        .map(|finding| {
            let first = finding.first.map(|first| format!("the first one is at {}; ", document.place(first)));
            Problem {
                place: document.place(finding.at),
                path: finding.path,
                message: finding.message,
                hint: first.unwrap_or_default() + &finding.hint,
            }
        })
        .collect();
    if more > 0 {
        problems.push(Problem {
            place: document.start(),
            path: String::new(),
            message: format!("{more} more problems are not shown"),
            hint: "correct these first".to_owned(),
        });
    }
    problems
}

/// The value, where it explains the problem better than its key.
fn place_of_value(key: &Key, node: &Node) -> u32 {
    match node.content {
        // Nothing to point at; a block begins on the next line, at something that is right.
        Content::Null | Content::Seq(_) | Content::Map(_) => key.at,
        _ => node.at,
    }
}

/// Where a part of a value stands, such as `[1]` of a list, `[1].name` of a table or `[NAME]` of a map; of a cell that is
/// missing, its row.
fn place_within(key: &Key, node: &Node, within: &str) -> u32 {
    let name = within.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if let Some((key, value)) = name.and_then(|name| node.get(name)) {
        return place_of_value(key, value);
    }
    let entry = within.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let entry = entry.and_then(|(index, rest)| Some((index.parse::<usize>().ok()?, rest)));
    match (&node.content, entry) {
        (Content::Seq(items), Some((index, rest))) => match items.get(index) {
            Some(item) => cell_within(item, rest),
            None => key.at,
        },
        _ => place_of_value(key, node),
    }
}

fn cell_within(row: &Node, within: &str) -> u32 {
    let Some(cell) = within.strip_prefix('.') else { return row.at };
    let (column, rest) = cell.split_at(cell.find('[').unwrap_or(cell.len()));
    row.get(column).map_or(row.at, |(key, node)| place_within(key, node, rest))
}

struct Reader<'a> {
    guide: &'a Guide,
    literals: Literals,
    given: Given,
    refused: BTreeSet<String>,
    found: Vec<Finding>,
}

impl<'a> Reader<'a> {
    fn file(&mut self, root: &Node) {
        let Content::Map(entries) = &root.content else {
            return;
        };
        let entries = self.without_repetitions("", entries);
        for (name, what) in [("version", format!("write `version: {VERSION}`")), ("guide", self.guide_hint())] {
            if !entries.iter().any(|(key, _)| key.text == name) {
                self.find(root.at, name, "is missing", what);
            }
        }
        for (key, node) in entries {
            match key.text.as_str() {
                "version" => self.version(key, node),
                "guide" => self.guide_name(key, node),
                "on_failure" => self.on_failure(key, node),
                "take_over" => self.take_over(key, node),
                free if free.starts_with(FREE) => {}
                name => match self.guide.stages.iter().find(|stage| stage.id == name) {
                    Some(stage) => self.section(stage, key, node),
                    None => self.unknown_section(key),
                },
            }
        }
    }

    fn version(&mut self, key: &Key, node: &Node) {
        if node.content != Content::Int(VERSION) {
            let hint = format!("write `version: {VERSION}`");
            self.find(place_of_value(key, node), "version", "is not a supported version", hint);
        }
    }

    fn guide_name(&mut self, key: &Key, node: &Node) {
        let message = match &node.content {
            Content::Str(name) if *name == self.guide.id => return,
            Content::Str(name) => format!("{} is a different guide", quoted(name)),
            _ => "is not the name of a guide".to_owned(),
        };
        let hint = self.guide_hint();
        self.find(place_of_value(key, node), "guide", message, hint);
    }

    fn guide_hint(&self) -> String {
        format!("write `guide: {}`", self.guide.id)
    }

    fn on_failure(&mut self, key: &Key, node: &Node) {
        self.given.on_failure = match &node.content {
            Content::Str(what) if what == "rollback" => OnFailure::Rollback,
            // `stop` is its name of the first releases.
            Content::Str(what) if what == "pause" || what == "stop" => OnFailure::Pause,
            _ => {
                return self.find(place_of_value(key, node), "on_failure", "is not known", "allowed: rollback, pause");
            }
        };
    }

    fn take_over(&mut self, key: &Key, node: &Node) {
        let Content::Seq(items) = &node.content else {
            let hint = "write a list such as [/etc/shop, \"unit:shop.service\", \"user:shop\"]";
            return self.find(place_of_value(key, node), "take_over", "is not a list", hint);
        };
        for item in items {
            match &item.content {
                Content::Str(name) if may_take_over(name) => self.given.take_over.push(name.clone()),
                _ => self.find(item.at, "take_over", "is not a name that can be taken over", TAKE_OVER),
            }
        }
    }

    fn unknown_section(&mut self, key: &Key) {
        if self.odd_key("", key) {
            return;
        }
        let known = self.guide.stages.iter().map(|stage| stage.id.as_str()).chain(HEAD);
        let near = did_you_mean(&key.text, known.clone());
        let hint = match self.stages_asking(&key.text).as_slice() {
            [] => format!("known: {}{near}", known.collect::<Vec<_>>().join(", ")),
            stages => format!("it is a question; move it to the section {}", stages.join(" or ")),
        };
        self.find(key.at, "", format!("{} is not a section of the guide {}", key.shown(), self.guide.id), hint);
    }

    fn section(&mut self, stage: &Stage, key: &Key, node: &Node) {
        let entries = match &node.content {
            Content::Map(entries) => self.without_repetitions(&stage.id, entries),
            // All its lines are comments: every default.
            Content::Null => return,
            _ => {
                let hint = format!("write the answers below it, indented: `{}:`", stage.id);
                return self.find(place_of_value(key, node), &stage.id, "is not a section", hint);
            }
        };
        for (key, node) in entries {
            match stage.questions.iter().find(|question| question.id == key.text) {
                Some(question) => self.answer(stage, question, key, node),
                None => self.unknown_question(stage, key),
            }
        }
    }

    fn unknown_question(&mut self, stage: &Stage, key: &Key) {
        if self.odd_key(&stage.id, key) {
            return;
        }
        let known = || stage.questions.iter().map(|question| question.id.as_str());
        let others = self.stages_asking(&key.text);
        let hint = if !others.is_empty() {
            format!("it belongs in the section {}", others.join(" or "))
        } else if stage.questions.is_empty() {
            "this section has no questions; remove it".to_owned()
        } else {
            format!("known: {}{}", known().collect::<Vec<_>>().join(", "), did_you_mean(&key.text, known()))
        };
        self.find(key.at, &stage.id, format!("{} is not a question of this section", key.shown()), hint);
    }

    /// A key that is none for a reason that cannot be seen, or that only another version of YAML has.
    fn odd_key(&mut self, path: &str, key: &Key) -> bool {
        if key.text == "<<" {
            let hint = "write the answers out; an alias such as *name can replace one value only";
            self.find(key.at, path, "merge keys (<<) are not supported", hint);
        } else if let Some(odd) = visible::odd(&key.text) {
            self.find(key.at, path, format!("the name {} contains {odd}", key.shown()), odd.hint);
        } else {
            return false;
        }
        true
    }

    fn answer(&mut self, stage: &Stage, question: &Question, key: &Key, node: &Node) {
        let path = format!("{}.{}", stage.id, question.id);
        if let Some((first, again)) = node.duplicates().first() {
            if question.holds_secrets() {
                // The value may be the secret itself.
                self.find(again.at, &path, "a key is given twice", "keep one of them");
            } else {
                self.repeated(&path, first, again);
            }
            self.refused.insert(path);
            return;
        }
        match accepted(question, &node.to_json(), self.literals) {
            Ok(value) => {
                self.given.values.insert(path, (value, Origin::File));
            }
            Err(refusals) => {
                for refusal in refusals {
                    let at = place_within(key, node, &refusal.within);
                    self.find(at, &format!("{path}{}", refusal.within), refusal.message, refusal.hint);
                }
                self.refused.insert(path);
            }
        }
    }

    /// The stages that ask a question of this name.
    fn stages_asking(&self, name: &str) -> Vec<&'a str> {
        let asks = |stage: &&Stage| stage.questions.iter().any(|question| question.id == name);
        self.guide.stages.iter().filter(asks).map(|stage| stage.id.as_str()).collect()
    }

    /// The entries by their first keys; each repetition is a problem.
    fn without_repetitions<'n>(&mut self, path: &str, entries: &'n [(Key, Node)]) -> Vec<(&'n Key, &'n Node)> {
        let mut seen = BTreeMap::new();
        let mut kept = Vec::new();
        for (key, node) in entries {
            let first = *seen.entry(key.text.as_str()).or_insert(key);
            if first.at == key.at {
                kept.push((key, node));
            } else {
                self.repeated(path, first, key);
            }
        }
        kept
    }

    fn repeated(&mut self, path: &str, first: &Key, again: &Key) {
        self.found.push(Finding {
            at: again.at,
            path: path.to_owned(),
            message: format!("{} is given twice", again.shown()),
            hint: "keep one of them".to_owned(),
            first: Some(first.at),
        });
    }

    fn find(&mut self, at: u32, path: &str, message: impl Into<String>, hint: impl Into<String>) {
        let finding = Finding { at, path: path.to_owned(), message: message.into(), hint: hint.into(), first: None };
        self.found.push(finding);
    }
}

/// A value as [`Given`] holds it. Null and `auto` are judged with the other answers.
fn accepted(question: &Question, value: &Value, literals: Literals) -> Result<Value, Vec<Refusal>> {
    if value.is_null() || (question.auto && value == "auto") {
        return Ok(value.clone());
    }
    if question.kind == QuestionKind::Secret && !(question.optional && is_empty(value)) {
        let source = secret_source(question, value, literals).map_err(|refusal| vec![refusal])?;
        return Ok(serde_json::to_value(source).unwrap_or_default());
    }
    if question.kind == QuestionKind::Map && !(question.optional && is_empty(value)) {
        // Rows are for those who type; only the mapping says where an entry stands.
        let given = if value.is_array() { &Value::Bool(true) } else { value };
        return entries(question, given, literals).map(|_| value.clone());
    }
    check_value(question, value)
}

#[cfg(test)]
mod tests;
