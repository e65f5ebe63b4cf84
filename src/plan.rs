//! The plan: guide + facts + answers, resolved. Pure data; the same input gives the same bytes and hash.
//!
//! A plan holds no secret (marks stand for them) and nothing of the host's present state: what would change
//! is found by checking each action against the host, see [`preview`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use care::Care;

use crate::action::firewall::Firewall;
use crate::action::source::Source;
use crate::action::{Action, Brings, Reversible};
pub use crate::facts::Application;
use crate::facts::{Deployed, Facts};
use crate::hash::sha256_hex;
use crate::proof::Proof;
use crate::proof::ports::{Expected, Exposure};

pub mod build;
pub mod care;
pub mod preview;
pub mod tally;

/// The version of a plan's form that this program writes.
const SCHEMA: u32 = 1;

/// Everything that will be done, in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Version of this form; 1.
    pub schema: u32,
    /// The guide's id.
    pub guide: String,
    /// The guide's title.
    pub title: String,
    /// The stages that have anything in this plan, in order; the package transaction forms one of its own.
    pub stages: Vec<PlannedStage>,
    /// The answers it was made from, with where each came from.
    pub answers: Vec<Answered>,
    /// The actions.
    pub actions: Vec<Planned>,
    /// The proofs.
    pub proofs: Vec<PlannedProof>,
    /// Lines for the final page.
    #[serde(rename = "results")]
    pub outputs: Vec<OutputLine>,
    /// Things to know that refuse nothing.
    pub warnings: Vec<String>,
    /// Secrets (`stage.question`) with other characters than the usual, and their form.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secret_patterns: BTreeMap<String, SecretForm>,
    /// What is there already, is not ours, and may all the same be taken over: paths, `unit:NAME`, `user:NAME`, …
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub take_over: Vec<String>,
    /// Applications of other runs that stay as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<Application>,
    /// How the application is looked after; none where the guide does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub care: Option<Care>,
}

/// The form of a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretForm {
    /// The regular expression that it must match; the usual characters when empty.
    pub pattern: String,
    /// The same as text.
    pub words: String,
    /// The least number of characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<i64>,
    /// The greatest number of characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<i64>,
}

impl SecretForm {
    /// What is allowed, when a secret of so many characters is too short or too long.
    pub fn length_refused(&self, characters: usize) -> Option<String> {
        let length = i64::try_from(characters).unwrap_or(i64::MAX);
        let (min, max) = (self.min.unwrap_or(1), self.max.unwrap_or(i64::MAX));
        (length < min || length > max).then(|| match self.max {
            Some(max) => format!("use {min} to {max} characters"),
            None => format!("use at least {min} characters"),
        })
    }
}

impl Plan {
    /// One in which nothing is to be done.
    pub fn new(guide: &str, title: &str) -> Self {
        Self {
            schema: SCHEMA,
            guide: guide.to_owned(),
            title: title.to_owned(),
            stages: Vec::new(),
            answers: Vec::new(),
            actions: Vec::new(),
            proofs: Vec::new(),
            outputs: Vec::new(),
            warnings: Vec::new(),
            secret_patterns: BTreeMap::new(),
            take_over: Vec::new(),
            beside: Vec::new(),
            care: None,
        }
    }
}

/// A stage in a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedStage {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
}

/// An answer in a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answered {
    /// `database.engine`.
    pub path: String,
    /// Its value; a placeholder for a secret.
    pub value: Value,
    /// Where it came from.
    pub origin: crate::answers::Origin,
}

/// An action in a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// `stage.action`, or `stage.action[3]` for a repeated one.
    pub id: String,
    /// Its stage's id.
    pub stage: String,
    /// Why.
    #[serde(rename = "because")]
    pub reason: String,
    /// What it does, as a phrase.
    pub describe: String,
    /// Whether it can be undone.
    pub reversible: Reversible,
    /// Why the run may continue without it when it fails; none where it may not.
    #[serde(rename = "skippable", default, skip_serializing_if = "Option::is_none")]
    pub skip_reason: Option<String>,
    /// The action itself.
    #[serde(flatten)]
    pub action: Action,
}

/// A proof in a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedProof {
    /// `stage.proof`.
    pub id: String,
    /// Its stage's id.
    pub stage: String,
    /// What it proves, as a statement.
    pub describe: String,
    /// Why the run may continue without it when it fails; none where it may not.
    #[serde(rename = "skippable", default, skip_serializing_if = "Option::is_none")]
    pub skip_reason: Option<String>,
    /// The proof itself.
    #[serde(flatten)]
    pub proof: Proof,
}

/// A line of the final page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputLine {
    /// "Address".
    pub label: String,
    /// "<https://app.example.org/>".
    pub value: String,
}

impl Plan {
    /// The SHA-256 of what will be done and proven, in hexadecimal. Where an answer came from does not count,
    /// so a recorded run replays to the same hash.
    pub fn hash(&self) -> String {
        let done = (self.schema, &self.guide, &self.actions, &self.proofs);
        sha256_hex(&serde_json::to_vec(&done).unwrap_or_default())
    }

    /// Packages, users, services and paths of all actions, sorted, each once.
    pub fn brings(&self) -> Brings {
        let mut all = Brings::default();
        for planned in &self.actions {
            let Brings { packages, users, services, paths } = planned.action.act().brings();
            all.packages.extend(packages);
            all.users.extend(users);
            all.services.extend(services);
            all.paths.extend(paths);
        }
        for list in [&mut all.packages, &mut all.users, &mut all.services] {
            list.sort_unstable();
            list.dedup();
        }
        all.paths.sort_unstable();
        all.paths.dedup();
        all
    }

    /// Which installation it is about: its guide, and the name that the application has by its answers where the guide
    /// asks for one. Two applications of one guide are two installations.
    pub fn application(&self) -> Application {
        let named = self.answers.iter().find(|answered| answered.path == Application::NAME);
        let name = named.and_then(|answered| answered.value.as_str()).unwrap_or_default().to_owned();
        let address = self.outputs.iter().map(|line| line.value.as_str()).find(|value| value.starts_with("https://"));
        let address = address.and_then(|value| value.split_whitespace().next()).unwrap_or_default().to_owned();
        Application { guide: self.guide.clone(), name, address, installed: None, deployed: self.deployed() }
    }

    /// The branches whose commit it names.
    fn deployed(&self) -> Vec<Deployed> {
        let sources = self.actions.iter().filter_map(|planned| match &planned.action {
            Action::Source(source) if !source.commit.is_empty() => Some(source),
            _ => None,
        });
        let deployed = |source: &Source| Deployed {
            location: source.location.clone(),
            reference: source.reference.clone(),
            commit: source.commit.clone(),
        };
        sources.map(deployed).collect()
    }

    /// The applications of a host that this plan is not for.
    pub fn others(&self, facts: &Facts) -> Vec<Application> {
        let own = self.application();
        // One without a name may be this one, noted by an earlier version of the program.
        let other =
            |known: &&Application| known.guide != own.guide || !(known.name.is_empty() || known.name == own.name);
        let others = facts.applications.iter().filter(other).cloned();
        // Their next releases do not change this plan.
        others.map(|known| Application { deployed: Vec::new(), ..known }).collect()
    }

    /// The firewall that it sets up.
    pub fn firewall(&self) -> Option<&Firewall> {
        self.actions.iter().find_map(|planned| match &planned.action {
            Action::Firewall(firewall) => Some(firewall),
            _ => None,
        })
    }

    /// The ports that its proofs use: public ones first.
    pub fn ports(&self) -> Vec<&Expected> {
        let expected = self.proofs.iter().filter_map(|planned| match &planned.proof {
            Proof::Ports(expected) => Some(&expected.ports),
            _ => None,
        });
        let mut ports: Vec<_> = expected.flatten().collect();
        ports.sort_by_key(|port| (port.on != Exposure::Any, port.port));
        ports
    }
}
