//! A guide: one product's way to production, as data. `docs/guides.md` describes the format for authors.
//!
//! [`load`] reads YAML into these types, [`lint`] finds what cannot work, [`expression`] evaluates `when:`
//! and templates. A guide never changes once loaded, and knows nothing of this server.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use care::Care;

pub mod care;
pub mod expression;
pub mod lint;
pub mod load;
pub mod map_cells;
mod place;
mod renamed;
pub mod schema;

/// One product's way to production.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Guide {
    /// Its name on the command line and in answers files.
    pub id: String,
    /// Its name for people.
    pub title: String,
    /// What the host will be afterwards, in one or two sentences.
    pub summary: String,
    /// The stages in order.
    pub stages: Vec<Stage>,
    /// Conditions that the host must meet, checked before the first question.
    pub requires: Vec<Rule>,
    /// What differs from release to release: codename -> name -> value; `other` is every release's own unless it has
    /// another. Expressions see it as `release.<name>`.
    pub releases: Releases,
    /// The templates and other files it may refer to, by their relative path.
    #[serde(skip)]
    pub assets: BTreeMap<String, Vec<u8>>,
    /// The directory it was read from; none for a shipped one.
    #[serde(skip)]
    pub dir: Option<PathBuf>,
}

/// What differs from release to release: codename (or [`OTHER`]) -> name -> value.
pub type Releases = BTreeMap<String, BTreeMap<String, Value>>;

/// The entry of [`Releases`] for every release without a value of its own.
pub const OTHER: &str = "other";

/// `guide.yaml`, as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuideFile {
    /// Format version; 1.
    pub version: u32,
    /// The guide's id.
    pub guide: String,
    /// Its title.
    pub title: String,
    /// What the host will be afterwards.
    pub summary: String,
    /// Its place among the guides that are offered: smaller ones first, then by id.
    #[serde(default = "anywhere")]
    pub order: u32,
    /// The stage files in order, relative to the guide's directory or to `screens/common` (`common/tls.yaml`).
    pub stages: Vec<String>,
    /// Conditions on the host.
    #[serde(default)]
    pub requires: Vec<Rule>,
}

/// The place of a guide that asks for none.
pub(crate) const fn anywhere() -> u32 {
    100
}

/// One screen, the actions it switches on and the proofs that it worked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Its section in the answers file and its name in expressions.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Why it matters and how to choose, in a few plain lines.
    pub why: String,
    /// When the whole stage applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// What is asked.
    #[serde(default)]
    pub questions: Vec<Question>,
    /// Named values computed from facts and answers, in order; later stages and templates see them as
    /// `locals.<name>`.
    #[serde(default)]
    pub locals: Vec<Local>,
    /// What the firewall lets in for this stage; `locals.public` has that of all stages so far. `[]` says that it is
    /// nothing, for a guide that opens no port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exposes: Option<Vec<Exposed>>,
    /// What a backup of the application holds, as `locals.backup`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<Backup>,
    /// Rules over several answers or over the host; what they refuse is refused before anything is changed.
    #[serde(default)]
    pub rules: Vec<Rule>,
    /// What is good to know about these answers, and refuses nothing.
    #[serde(default)]
    pub notices: Vec<Notice>,
    /// Packages; those of all stages become one transaction.
    #[serde(default)]
    pub packages: Vec<PackageSpec>,
    /// Actions, in order.
    #[serde(default)]
    pub actions: Vec<ActionSpec>,
    /// Proofs, in order.
    #[serde(default)]
    pub proofs: Vec<ProofSpec>,
    /// Lines for the final page: what is where.
    #[serde(default)]
    pub outputs: Vec<OutputSpec>,
    /// How the application is looked after once it is in place; one stage of a guide says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub care: Option<Care>,
}

/// A typed field.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// Its key in the answers file.
    pub id: String,
    /// The question, one line.
    pub ask: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: QuestionKind,
    /// The choices of a `choice`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<Choice>,
    /// The default: a literal or a template over facts and earlier answers. None means that it must be
    /// answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// What replaces the default where this server shows it: the first of them whose condition is true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub detect: Vec<Detect>,
    /// Whether `auto` is a legal answer (it then means the default).
    #[serde(default)]
    pub auto: bool,
    /// Smallest integer allowed (or shortest text, in characters; or fewest entries or rows).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<i64>,
    /// Largest integer allowed (or longest text, in characters; or most entries or rows).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<i64>,
    /// A regular expression that the whole text must match, described by `pattern_hint`. For a secret it replaces the
    /// default characters: the program that reads the secret must accept them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// What `pattern` allows, for messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern_hint: Option<String>,
    /// A regular expression that the whole of each value of a `map` must match, described by `value_hint`. Such values
    /// are texts that everybody may see, and no secrets; whole numbers count as texts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_pattern: Option<String>,
    /// What `value_pattern` allows, for messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_hint: Option<String>,
    /// The schemes that a `url` may have; `https` and `http` where none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schemes: Vec<String>,
    /// Whether an absolute path of this server is a `url`, too (and `user@host:path`, with the scheme `ssh`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub or_path: bool,
    /// The columns of a `table`: questions without conditions and rules of their own, whose defaults are literals.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<Question>,
    /// Names that a `map` must not have; one that ends with `*` stands for all that begin so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reserved: Vec<String>,
    /// The question of the same stage, before this `map`, whose answer names a file with further entries: a `path`. All
    /// of its values are secrets. An entry of the answer wins over one of the file, and that over a default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entries_from: Option<String>,
    /// What is open besides `ports`: an expression that gives a list such as `locals.public.ports`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beside: Option<String>,
    /// When a `free_port` may be taken: an expression over `value` and `owner`, the program that listens there (empty
    /// where its name is not known).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_taken: Option<String>,
    /// What to do where a `free_port` is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_hint: Option<String>,
    /// Whether an empty text is an answer.
    #[serde(default)]
    pub optional: bool,
    /// When it is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// What it means, for `?`.
    #[serde(default)]
    pub help: String,
    /// Further conditions on the answer.
    #[serde(default)]
    pub rules: Vec<Rule>,
}

/// The types an answer can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuestionKind {
    /// One of `choices`.
    Choice,
    /// Text on one line.
    Text,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Bool,
    /// A TCP port, 1 to 65535.
    Port,
    /// A fully qualified host name (RFC 1123), lower case, without scheme or port.
    Hostname,
    /// A list of host names, each once.
    Hostnames,
    /// An e-mail address.
    Email,
    /// An absolute path without `..`.
    Path,
    /// A secret, given by reference: `{file: …}`, `{env: …}` or `{generate: 32}`. Letters, digits, `-`, `_`
    /// and `.` only, because it travels through URLs and configuration files, unless it has a `pattern`.
    Secret,
    /// A list of texts; whole numbers count as such.
    List,
    /// A URL without a password, with one of `schemes`; with `or_path` also an absolute path.
    Url,
    /// A list of ports to open: `8443`, `60000-61000/udp`, `5671 from 10.1.0.0/16`; none of SSH's, and none twice.
    Ports,
    /// A list of networks or addresses that this server can have visitors from.
    Networks,
    /// A TCP port on which nothing listens yet.
    FreePort,
    /// A regular expression.
    Regex,
    /// A list of rows, each a mapping with the keys that `columns` says.
    Table,
    /// Names with values, such as `{DEBUG: "0", SECRET_KEY: {generate: 50}}`: each a text or a reference to a secret.
    /// `pattern` is for the names, `value_pattern` for values that are no secrets.
    Map,
}

impl Question {
    /// A question without further conditions.
    pub fn new(id: &str, ask: &str, kind: QuestionKind) -> Self {
        Self {
            id: id.to_owned(),
            ask: ask.to_owned(),
            kind,
            choices: Vec::new(),
            default: None,
            detect: Vec::new(),
            auto: false,
            min: None,
            max: None,
            pattern: None,
            pattern_hint: None,
            value_pattern: None,
            value_hint: None,
            schemes: Vec::new(),
            or_path: false,
            columns: Vec::new(),
            reserved: Vec::new(),
            entries_from: None,
            beside: None,
            allow_taken: None,
            taken_hint: None,
            optional: false,
            when: None,
            help: String::new(),
            rules: Vec::new(),
        }
    }

    /// Whether an answer can hold secrets.
    pub const fn holds_secrets(&self) -> bool {
        match self.kind {
            QuestionKind::Secret => true,
            QuestionKind::Map => self.value_pattern.is_none(),
            _ => false,
        }
    }

    /// The cells of its rows: a table's own, or a map's name, value and (where its values may be secrets) secret.
    pub fn row(&self) -> &[Self] {
        match self.kind {
            QuestionKind::Map => map_cells::row(self.value_pattern.is_none()),
            _ => &self.columns,
        }
    }
}

impl QuestionKind {
    /// Whether an answer is a list.
    pub const fn is_list(self) -> bool {
        matches!(self, Self::List | Self::Hostnames | Self::Ports | Self::Networks)
    }

    /// Whether an answer is typed row by row.
    pub const fn has_rows(self) -> bool {
        matches!(self, Self::Table | Self::Map)
    }

    /// Whether an answer is a number.
    pub const fn is_number(self) -> bool {
        matches!(self, Self::Integer | Self::Port | Self::FreePort)
    }
}

/// A default that depends on what is found on this server.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Detect {
    /// The default then, a literal.
    pub value: Value,
    /// When: an expression, such as `files_of(application.location, 'package.json')`.
    pub when: String,
    /// What shows it, for people: a template that sees the value of `when` as `found`.
    pub reason: String,
}

/// One of the values of a `choice`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// The value in the answers file.
    pub value: String,
    /// Its name for people.
    pub label: String,
    /// The trade-off in a few words.
    #[serde(default)]
    pub note: String,
    /// When it is on offer; a value that is not on offer is refused with `note`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
}

/// A condition that must hold, with the message when it does not.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// When the rule applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// The expression that must be true.
    pub that: String,
    /// What is wrong when it is not; a template.
    pub message: String,
    /// What to do.
    #[serde(default)]
    pub hint: String,
    /// The answer it concerns (`web.host`), for the position in the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

/// Something to know that refuses nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notice {
    /// When it is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// An expression that yields a list; it is said for each, as `item`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_each: Option<String>,
    /// What is said; a template.
    pub say: String,
    /// What to do; a template.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hint: String,
    /// The answer it concerns (`web.host`); its stage where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

/// A named value computed from facts and answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Local {
    /// Its name: `locals.<name>`.
    pub name: String,
    /// The expression, such as `size_workers(cpus=facts.cpus.usable, users=workers.users)`.
    pub value: String,
    /// When it is computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
}

/// A port that others reach; text leaves are templates.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exposed {
    /// The port, or a range such as `5900-7000`.
    pub port: Value,
    /// What listens there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `tcp` or `udp`; TCP where it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// The networks that may; all where it is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sources: Option<Value>,
    /// When.
    #[serde(default, skip_serializing)]
    pub when: Option<String>,
}

/// What a backup holds; text leaves are templates, and an entry that gives none is left out.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backup {
    /// Directories, with their settings and data.
    pub directories: Vec<String>,
    /// What is left out below them; `*` matches anything.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// Directories that reading a database writes to (SQLite's locks).
    #[serde(default)]
    pub writable: Vec<String>,
    /// The database, where one is on this server.
    #[serde(default, skip_serializing)]
    pub database: Option<BackupDatabase>,
}

/// The database of a backup; text leaves are templates.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupDatabase {
    /// `sqlite`, `postgresql` or `mariadb`.
    pub engine: String,
    /// Its name; SQLite's file.
    pub name: String,
    /// The system user that it belongs to.
    pub user: String,
    /// The role that owns it.
    pub role: String,
    /// PostgreSQL's cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// The engine's port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<Value>,
    /// When it is on this server.
    #[serde(default, skip_serializing)]
    pub when: Option<String>,
}

/// Packages wanted under a condition.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackageSpec {
    /// Their names (templates).
    pub install: Vec<String>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Why.
    pub reason: String,
}

/// An action as written: common keys, and one key that names the kind.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ActionSpec {
    /// Its name within the stage.
    pub id: String,
    /// Why it is done; a template.
    pub reason: String,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// When, within a run, it is done.
    #[serde(default, skip_serializing_if = "Phase::is_stage")]
    pub phase: Phase,
    /// An expression that yields a list; the action is repeated with `item` set to each (and `index` from 0).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_each: Option<String>,
    /// Why the run may continue without it when it fails, a sentence; a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip_reason: Option<String>,
    /// The kind and its fields; text leaves are templates.
    #[serde(flatten)]
    pub body: BTreeMap<String, Value>,
}

/// When, within a run, an action is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// With the other actions of its stage.
    #[default]
    Stage,
    /// After the actions of all stages, for what needs them all at work.
    Final,
}

impl Phase {
    /// Whether it is done with its stage.
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    fn is_stage(&self) -> bool {
        *self == Self::Stage
    }
}

/// A proof as written: common keys, and one key that names the kind.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProofSpec {
    /// Its name within the stage.
    pub id: String,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// An expression that yields a list; the proof is repeated with `item` set to each (and `index` from 0).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_each: Option<String>,
    /// Why the run may continue without it when it fails, a sentence; a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip_reason: Option<String>,
    /// The kind and its fields; text leaves are templates.
    #[serde(flatten)]
    pub body: BTreeMap<String, Value>,
}

/// A line of the final page.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputSpec {
    /// What it is: "Address".
    pub label: String,
    /// The value; a template. Never a secret: name the file that holds it.
    pub value: String,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
}
