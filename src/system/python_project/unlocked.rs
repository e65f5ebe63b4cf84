//! Projects without a lock file: pip finds the versions.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::lock::PoetryNeeds;
use super::{Python, Refused, Requirements, parse, refused, version};

#[derive(Default, Deserialize)]
struct Pyproject {
    project: Option<Project>,
    #[serde(default)]
    tool: Tools,
}

#[derive(Deserialize)]
struct Project {
    #[serde(default, rename = "requires-python")]
    python: String,
    #[serde(default)]
    dependencies: Vec<String>,
    #[serde(default)]
    dynamic: Vec<String>,
}

#[derive(Default, Deserialize)]
struct Tools {
    poetry: Option<PoetryTool>,
    #[serde(default)]
    uv: UvTool,
}

#[derive(Deserialize)]
struct PoetryTool {
    #[serde(default)]
    dependencies: BTreeMap<String, PoetryNeeds>,
}

#[derive(Default, Deserialize)]
struct UvTool {
    #[serde(default)]
    sources: BTreeMap<String, toml::Value>,
}

/// A line for pip: what begins with `-` would be an option.
fn line(text: &str) -> Result<String, Refused> {
    let text = text.trim();
    if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) || text.contains(|c: char| c.is_control()) {
        return refused(format!("{text:?} is not a requirement"), "write it as pip takes it, such as flask>=3");
    }
    Ok(text.to_owned())
}

/// The dependencies of `pyproject.toml`, of its table `project` or of Poetry's. Without either there are none: the file
/// may be there for a formatter only.
pub fn of_pyproject(text: &str, python: &Python) -> Result<Requirements, Refused> {
    let file: Pyproject = parse(text, "pyproject.toml")?;
    let mut lines = Vec::new();
    if let Some(project) = file.project {
        python.must_meet(&project.python, std::slice::from_ref(&project.python))?;
        if project.dynamic.iter().any(|name| name == "dependencies") {
            return refused(
                "its dependencies are dynamic: only its build knows them",
                "name the requirements file that it reads, or commit a lock file",
            );
        }
        if let Some(name) = file.tool.uv.sources.keys().next() {
            return refused(
                format!("uv alone knows where {name} comes from (tool.uv.sources)"),
                "commit uv.lock, or name a requirements file",
            );
        }
        for dependency in &project.dependencies {
            lines.push(line(dependency)?);
        }
    } else if let Some(poetry) = file.tool.poetry {
        lines = of_needs(&poetry.dependencies, python)?;
    }
    Ok(Requirements { lines, ..Requirements::default() })
}

/// What a project of Poetry's needs, by name, without Python itself.
pub fn of_poetry_project(text: &str) -> Result<BTreeMap<String, PoetryNeeds>, Refused> {
    let file: Pyproject = parse(text, "pyproject.toml")?;
    let mut needs = file.tool.poetry.map(|poetry| poetry.dependencies).unwrap_or_default();
    needs.retain(|name, _| !name.eq_ignore_ascii_case("python"));
    Ok(needs)
}

fn of_needs(needs: &BTreeMap<String, PoetryNeeds>, python: &Python) -> Result<Vec<String>, Refused> {
    let mut lines = Vec::new();
    for (name, needs) in needs {
        for need in needs.each() {
            let clear = |text: &str| {
                refused(
                    format!("`{text}` of {name} cannot be told to pip"),
                    "commit poetry.lock, or name a requirements file",
                )
            };
            let Some(alternatives) = version::of_poetry(&need.version) else { return clear(&need.version) };
            if name.eq_ignore_ascii_case("python") {
                python.must_meet(&need.version, &alternatives)?;
                continue;
            }
            if need.optional || !need.applies(python)? {
                continue;
            }
            if let Some(other) = need.more.keys().find(|key| !["allow-prereleases"].contains(&key.as_str())) {
                return clear(other);
            }
            let [clauses] = alternatives.as_slice() else { return clear(&need.version) };
            lines.push(line(&(with_extras(name, &need.extras) + clauses))?);
        }
    }
    Ok(lines)
}

fn with_extras(name: &str, extras: &[String]) -> String {
    if extras.is_empty() { name.to_owned() } else { format!("{name}[{}]", extras.join(",")) }
}

#[derive(Deserialize)]
struct Pipfile {
    #[serde(default)]
    source: Vec<PipfileSource>,
    #[serde(default)]
    packages: BTreeMap<String, PipfileNeed>,
    #[serde(default)]
    requires: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct PipfileSource {
    url: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum PipfileNeed {
    Version(String),
    More {
        #[serde(default)]
        version: String,
        #[serde(default)]
        extras: Vec<String>,
        #[serde(default)]
        markers: String,
        #[serde(flatten)]
        more: BTreeMap<String, toml::Value>,
    },
}

/// The packages of a `Pipfile`.
pub fn of_pipfile(text: &str, python: &Python) -> Result<Requirements, Refused> {
    let file: Pipfile = parse(text, "Pipfile")?;
    pipfile_python(&file.requires, python)?;
    let mut pinned = super::Pinned::default();
    for source in &file.source {
        pinned.index(&source.url)?;
    }
    let mut lines = pinned.done().lines;
    for (name, need) in &file.packages {
        let (version, extras, markers) = match need {
            PipfileNeed::Version(version) => (version, [].as_slice(), ""),
            PipfileNeed::More { version, extras, markers, more } => {
                if let Some(other) = more.keys().find(|key| *key != "index") {
                    return refused(
                        format!("`{other}` of {name} cannot be told to pip"),
                        "commit Pipfile.lock, or name a requirements file",
                    );
                }
                (version, extras.as_slice(), markers.as_str())
            }
        };
        if python.meets(markers)? {
            let version = if version == "*" { "" } else { version };
            lines.push(line(&(with_extras(name, extras) + version))?);
        }
    }
    Ok(Requirements { lines, ..Requirements::default() })
}

/// Refuses a `Pipfile` for another Python, as `pipenv install --deploy` does.
pub fn pipfile_python(requires: &BTreeMap<String, String>, python: &Python) -> Result<(), Refused> {
    for (name, beginning) in [("python_full_version", ""), ("python_version", ".*")] {
        if let Some(wanted) = requires.get(name).filter(|wanted| *wanted != "*") {
            python.must_meet(wanted, &[format!("=={wanted}{beginning}")])?;
        }
    }
    Ok(())
}
