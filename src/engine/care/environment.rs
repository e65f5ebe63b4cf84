//! The settings of an application: those of the last run, and a run with others.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{Record, plan, warn_of_gone};
use crate::answers::resolve::map::{is_for_secrets, path_of};
use crate::answers::{Given, Origin, SecretSource};
use crate::engine::health::Installed;
use crate::engine::launch::request::Request;
use crate::error::Problem;
use crate::facts::probe::probe;
use crate::host::Host;
use crate::plan::care::Care;
use crate::secret;
use crate::yaml;

/// A setting as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// Its name.
    pub name: String,
    /// Its value; none of a secret.
    pub value: Option<String>,
    /// Whether it is a secret.
    pub secret: bool,
    /// The file that it is from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

/// A change of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A text that everybody may see.
    Text(String, String),
    /// A secret.
    Secret(String, SecretSource),
    /// It goes.
    Unset(String),
}

/// What is to become of a setting, as written on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Assignment {
    /// This.
    Given(Change),
    /// A secret that is not on the command line.
    Asked(String),
}

/// `NAME=VALUE`, `NAME={file: /path}` and the other references to a secret, or `NAME` alone.
pub fn parse(text: &str) -> Assignment {
    let Some((name, value)) = text.split_once('=') else { return Assignment::Asked(text.to_owned()) };
    let reference = value.starts_with('{').then(|| yaml::parse("", value.as_bytes()).ok()).flatten();
    let reference = reference.map(|document| document.root().to_json()).filter(|value| {
        let keys: Vec<&String> = value.as_object().into_iter().flat_map(Map::keys).collect();
        matches!(keys.as_slice(), [key] if ["file", "env", "generate"].contains(&key.as_str()))
    });
    match reference.and_then(|reference| serde_json::from_value(reference).ok()) {
        Some(source) => Assignment::Given(Change::Secret(name.to_owned(), source)),
        None => Assignment::Given(Change::Text(name.to_owned(), value.to_owned())),
    }
}

/// The settings of the last run, by name.
pub fn settings(it: &Installed, care: &Care) -> Result<Vec<Setting>, Problem> {
    let path = path(it, care)?;
    let plan = plan(it)?;
    let answered = plan.answers.iter().find(|answered| answered.path == path);
    let Some(Value::Object(entries)) = answered.map(|answered| &answered.value) else {
        return Err(without(it));
    };
    let setting = |(name, value): (&String, &Value)| {
        let text = value.as_str().unwrap_or_default();
        let secret = text.contains(secret::OPEN);
        // The placeholder names the answer with the file, where it is from one.
        let of = text.strip_prefix(secret::OPEN).and_then(|text| text.strip_suffix(secret::CLOSE));
        let of = of.and_then(|text| text.strip_suffix(name.as_str())?.strip_suffix('.')).filter(|of| *of != path);
        let file = of.and_then(|of| plan.answers.iter().find(|answered| answered.path == of));
        let file = file.and_then(|answered| answered.value.as_str()).map(str::to_owned);
        Setting { name: name.clone(), value: (!secret).then(|| text.to_owned()), secret, file }
    };
    Ok(entries.iter().map(setting).collect())
}

/// A run with these changes of the settings.
pub fn changed(host: &dyn Host, it: &Installed, care: &Care, changes: &[Change]) -> Result<Request, Vec<Problem>> {
    let path = path(it, care).map_err(|problem| vec![problem])?;
    let known = settings(it, care).map_err(|problem| vec![problem])?;
    let record = Record::read(host, it)?;
    let Some((Value::Object(entries), _)) = record.answers.given.values.get(path) else {
        return Err(vec![without(it)]);
    };
    let mut entries = entries.clone();
    let mut problems = Vec::new();
    let mut rotate = Vec::new();
    for change in changes {
        match change {
            Change::Text(name, value) => {
                // One of a file counts as a secret only there.
                let is_secret = known.iter().any(|known| known.secret && known.file.is_none() && known.name == *name);
                if is_secret || is_for_secrets(name) {
                    problems.push(on_the_command_line(path, name));
                }
                entries.insert(name.clone(), value.as_str().into());
            }
            Change::Secret(name, source) => {
                if matches!(source, SecretSource::Generate(_)) {
                    rotate.push(path_of(path, name));
                }
                entries.insert(name.clone(), json!(source));
            }
            Change::Unset(name) => {
                if entries.remove(name).is_none() {
                    let file = known.iter().find(|known| known.name == *name).and_then(|known| known.file.as_ref());
                    problems.push(file.map_or_else(|| unknown(it, name, &known), |file| in_file(name, file)));
                }
            }
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut changed = Given::default();
    changed.values.insert(path.to_owned(), (Value::Object(entries), Origin::Typed));
    let mut request = record.request(&probe(host), &changed)?;
    request.rotate.extend(rotate);
    warn_of_gone(&mut request, it);
    Ok(request)
}

fn path<'a>(it: &Installed, care: &'a Care) -> Result<&'a str, Problem> {
    care.environment.as_deref().ok_or_else(|| without(it))
}

fn without(it: &Installed) -> Problem {
    Problem::new(format!("{} has no settings of your own", it.name()), "its guide, or what it runs, takes none")
}

fn unknown(it: &Installed, name: &str, known: &[Setting]) -> Problem {
    let names: Vec<&str> = known.iter().map(|setting| setting.name.as_str()).collect();
    let hint = if names.is_empty() { "there is none".to_owned() } else { format!("settings: {}", names.join(", ")) };
    Problem::new(format!("{} has no setting {name}", it.name()), hint)
}

fn in_file(name: &str, file: &str) -> Problem {
    let hint = format!("remove it there, then `bringup deploy`; `bringup env set {name}=` gives it another value");
    Problem::new(format!("{name} is in the file {file}"), hint)
}

/// Every user of the server can read the command lines of processes, and shells keep theirs.
fn on_the_command_line(path: &str, name: &str) -> Problem {
    let hint = format!(
        "`bringup env set {name}` asks for it, or reads a line of its standard input; `{name}={{file: /root/x}}` and \
         `{name}={{generate: 50}}` name one"
    );
    let message = "is a secret, and everybody could read it in the command line".to_owned();
    Problem { place: String::new(), path: format!("{path}[{name}]"), message, hint }
}
