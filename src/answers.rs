//! Answers: values, where each came from, and everything that is wrong with them, in one pass.
//!
//! [`file`] reads and writes answers files, [`resolve`] fills in defaults and checks every value against its
//! question, [`interview`] keeps them for anyone who asks one after another, [`schema`] makes the JSON Schema and the
//! commented sample from the same model.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::facts::Facts;
use crate::guide::Guide;
use crate::guide::expression::Context;

pub mod file;
#[cfg(test)]
pub(crate) mod fixture;
pub mod interview;
pub mod resolve;
pub mod schema;

/// Where an answer came from. The first of these wins when several give one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// `--set database.engine=sqlite` on the command line.
    Flag,
    /// The answers file.
    File,
    /// Typed in the wizard.
    Typed,
    /// A previous run on this server.
    PreviousRun,
    /// Found on this server (a default computed from facts).
    Detected,
    /// The guide's default.
    Default,
}

impl Origin {
    /// In a word or two, for people: "default", "from the previous run".
    pub const fn words(self) -> &'static str {
        match self {
            Self::Flag => "given with --set",
            Self::File => "given",
            Self::Typed => "typed",
            Self::PreviousRun => "from the previous run",
            Self::Detected => "detected",
            Self::Default => "default",
        }
    }
}

/// How a secret is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SecretSource {
    /// The first line of a file that only its owner can read.
    File(String),
    /// A variable of the environment.
    Env(String),
    /// Made here, this many characters long (16 to 128), once per host.
    Generate(u32),
    /// An entry of a file of environment variables. Written by nobody: the answer is the file.
    #[serde(skip)]
    Entry {
        /// The file.
        file: String,
        /// The variable.
        name: String,
    },
    /// Given in the clear; allowed only with `--allow-literal-secrets` or typed.
    Literal(String),
}

/// What a person (or a file) gave, before defaults.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// `stage.question` -> the value and where it came from. A secret is its reference
    /// (`{"generate": 32}`), never its value.
    pub values: BTreeMap<String, (Value, Origin)>,
    /// What to do when the run fails.
    pub on_failure: OnFailure,
    /// What is there already and may be taken over: paths, `unit:NAME`, `user:NAME`, `database:NAME`, …
    pub take_over: Vec<String>,
}

/// What a run does when it fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// Take everything back (exit 3).
    #[default]
    Rollback,
    /// Leave everything as it is and end (exit 4); `bringup resume` or `bringup rollback` continues. In a run's
    /// settings it has its name of the first releases.
    #[serde(rename = "stop", alias = "pause")]
    Pause,
    /// Wait for a decision. Not for answers files: those are for unattended runs.
    Ask,
}

/// Every answer of a guide, complete and valid.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resolved {
    /// stage -> question -> value; a question that is not asked (its `when` is false) is null. A secret is its
    /// placeholder.
    pub values: BTreeMap<String, BTreeMap<String, Value>>,
    /// `stage.question` -> where it came from.
    pub origins: BTreeMap<String, Origin>,
    /// `stage.question` -> what on this server shows the default that was detected.
    pub reasons: BTreeMap<String, String>,
    /// `stage.question` -> the source of its value.
    pub secrets: BTreeMap<String, SecretSource>,
    /// Figures computed on the way.
    pub locals: BTreeMap<String, Value>,
    /// Stages that apply, in order.
    pub stages: Vec<String>,
    /// Things to know that refuse nothing.
    pub warnings: Vec<String>,
    /// What is there already and may be taken over.
    pub take_over: Vec<String>,
}

impl Resolved {
    /// What expressions can use then: facts, every answer and every local.
    pub fn context(&self, guide: &Guide, facts: &Facts) -> Context {
        let mut context = Context::of(guide, facts);
        for (stage, answers) in &self.values {
            for (question, value) in answers {
                context.set_answer(stage, question, value);
            }
        }
        for (name, value) in &self.locals {
            context.set_local(name, value);
        }
        context
    }
}
