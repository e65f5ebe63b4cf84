//! Lock files: which of their packages this Python gets.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::Deserialize;

use super::{Pinned, Python, Refused, Requirements, normalized, parse, refused, unchecked, unlocked, version};

#[derive(Deserialize)]
struct Uv {
    version: u32,
    #[serde(default, rename = "requires-python")]
    python: String,
    #[serde(default, rename = "package")]
    packages: Vec<UvPackage>,
}

#[derive(Deserialize)]
struct UvPackage {
    name: String,
    #[serde(default)]
    version: String,
    source: BTreeMap<String, toml::Value>,
    #[serde(default)]
    dependencies: Vec<UvDependency>,
    #[serde(default, rename = "optional-dependencies")]
    optional: BTreeMap<String, Vec<UvDependency>>,
    sdist: Option<UvFile>,
    #[serde(default)]
    wheels: Vec<UvFile>,
}

#[derive(Deserialize)]
struct UvFile {
    hash: Option<String>,
}

#[derive(Deserialize)]
struct UvDependency {
    name: String,
    version: Option<String>,
    source: Option<BTreeMap<String, toml::Value>>,
    #[serde(default)]
    extra: Vec<String>,
    #[serde(default)]
    marker: String,
}

impl UvPackage {
    fn from(&self, kind: &str) -> Option<&str> {
        self.source.get(kind)?.as_str()
    }

    /// The project itself, whose code runs from its directory.
    fn is_project(&self) -> bool {
        ["virtual", "editable", "directory"].into_iter().any(|kind| self.from(kind) == Some("."))
    }
}

/// What `uv export --no-dev --no-emit-project` exports, for one Python: what the project depends on, and so on.
pub fn of_uv(text: &str, python: &Python) -> Result<Requirements, Refused> {
    let lock: Uv = parse(text, "uv.lock")?;
    if lock.version != 1 {
        return refused(
            format!("uv.lock has the version {}, and only version 1 is known here", lock.version),
            "export a requirements file with `uv export`, and name it",
        );
    }
    python.must_meet(&lock.python, std::slice::from_ref(&lock.python))?;
    let Some(project) = lock.packages.iter().position(UvPackage::is_project) else {
        return refused(
            "uv.lock has no project, only members of a workspace",
            "export a requirements file with `uv export --package NAME`, and name it",
        );
    };
    let mut pinned = Pinned::default();
    let mut todo: VecDeque<(usize, Option<&str>)> = VecDeque::from([(project, None)]);
    let mut seen = BTreeSet::new();
    while let Some((at, extra)) = todo.pop_front() {
        if !seen.insert((at, extra)) {
            continue;
        }
        let package = &lock.packages[at];
        let needs = match extra {
            None => Some(&package.dependencies),
            // An extra may be empty.
            Some(extra) => package.optional.get(extra),
        };
        for need in needs.into_iter().flatten() {
            if !python.meets(&need.marker)? {
                continue;
            }
            let is_it = |package: &&UvPackage| {
                package.name == need.name
                    && need.version.as_ref().is_none_or(|version| *version == package.version)
                    && need.source.as_ref().is_none_or(|source| *source == package.source)
            };
            let mut found = lock.packages.iter().enumerate().filter(|(_, package)| is_it(package));
            let (Some((to, _)), None) = (found.next(), found.next()) else {
                return refused(
                    format!("which {} {} needs is not clear", need.name, package.name),
                    "make the file anew with `uv lock`",
                );
            };
            todo.push_back((to, None));
            todo.extend(need.extra.iter().map(|extra| (to, Some(extra.as_str()))));
        }
        if package.is_project() || extra.is_some() {
            continue;
        }
        let url = package.from("url");
        match (package.from("registry"), url) {
            (Some(index), _) => pinned.index(index)?,
            (None, Some(_)) => {}
            (None, None) if package.source.contains_key("git") => return unchecked(&package.name, "a git repository"),
            (None, None) => return unchecked(&package.name, "a directory or a file"),
        }
        let files = package.wheels.iter().chain(&package.sdist).filter_map(|file| file.hash.clone());
        pinned.add(&package.name, &package.version, url, files)?;
    }
    Ok(pinned.done())
}

#[derive(Deserialize)]
struct Poetry {
    #[serde(default, rename = "package")]
    packages: Vec<PoetryPackage>,
    metadata: PoetryMetadata,
}

#[derive(Deserialize)]
struct PoetryMetadata {
    #[serde(default, rename = "python-versions")]
    python: String,
    /// Of each package, before Poetry 1.3.
    #[serde(default)]
    files: BTreeMap<String, Vec<PoetryFile>>,
}

#[derive(Deserialize)]
struct PoetryPackage {
    name: String,
    version: String,
    #[serde(default)]
    optional: bool,
    /// From Poetry 2.0 on.
    groups: Option<Vec<String>>,
    markers: Option<PoetryMarkers>,
    #[serde(default)]
    files: Vec<PoetryFile>,
    #[serde(default)]
    dependencies: BTreeMap<String, PoetryNeeds>,
    #[serde(default)]
    extras: BTreeMap<String, Vec<String>>,
    source: Option<PoetrySource>,
}

/// For all groups, or for each.
#[derive(Deserialize)]
#[serde(untagged)]
enum PoetryMarkers {
    All(String),
    Each(BTreeMap<String, String>),
}

#[derive(Deserialize)]
struct PoetryFile {
    hash: String,
}

#[derive(Deserialize)]
struct PoetrySource {
    #[serde(rename = "type")]
    kind: String,
    url: String,
}

/// What a package or a project of Poetry's needs of another one.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
pub enum PoetryNeeds {
    /// Its versions.
    Version(String),
    /// With more.
    One(PoetryNeed),
    /// Several, with a condition each.
    Several(Vec<PoetryNeed>),
}

/// With conditions.
#[derive(Clone, Default, Deserialize)]
pub struct PoetryNeed {
    /// Its versions.
    #[serde(default)]
    pub version: String,
    /// A condition.
    #[serde(default)]
    pub markers: String,
    /// Versions of Python.
    #[serde(default)]
    pub python: String,
    /// Whether only an extra needs it.
    #[serde(default)]
    pub optional: bool,
    /// Its extras.
    #[serde(default)]
    pub extras: Vec<String>,
    /// Where it comes from, such as `git` and `path`.
    #[serde(flatten)]
    pub more: BTreeMap<String, toml::Value>,
}

impl PoetryNeeds {
    /// Each of them.
    pub fn each(&self) -> Vec<PoetryNeed> {
        match self {
            Self::Version(version) => vec![PoetryNeed { version: version.clone(), ..PoetryNeed::default() }],
            Self::One(need) => vec![need.clone()],
            Self::Several(needs) => needs.clone(),
        }
    }
}

impl PoetryNeed {
    /// Whether this Python needs it.
    pub fn applies(&self, python: &Python) -> Result<bool, Refused> {
        let versions = version::of_poetry(&self.python).unwrap_or_default();
        let met = |clauses: &String| version::meets(python.version(), clauses) == Some(true);
        Ok((self.python.is_empty() || versions.iter().any(met)) && python.meets(&self.markers)?)
    }
}

/// What `poetry export` exports, for one Python.
pub fn of_poetry(text: &str, project: Option<&str>, python: &Python) -> Result<Requirements, Refused> {
    let lock: Poetry = parse(text, "poetry.lock")?;
    if let Some(alternatives) = version::of_poetry(&lock.metadata.python) {
        python.must_meet(&lock.metadata.python, &alternatives)?;
    }
    let chosen = if lock.packages.iter().all(|package| package.groups.is_some()) {
        let mut chosen = Vec::new();
        for package in &lock.packages {
            let main = package.groups.iter().flatten().any(|group| group == "main");
            let marker = match &package.markers {
                None => "",
                Some(PoetryMarkers::All(marker)) => marker,
                Some(PoetryMarkers::Each(markers)) => markers.get("main").map_or("", String::as_str),
            };
            if main && !package.optional && python.meets(marker)? {
                chosen.push(package);
            }
        }
        chosen
    } else {
        of_poetry_1(&lock, project, python)?
    };
    let mut pinned = Pinned::default();
    for package in chosen {
        let mut url = None;
        match package.source.as_ref().map(|source| (source.kind.as_str(), source.url.as_str())) {
            None => {}
            Some(("legacy", index)) => pinned.index(index)?,
            Some(("url", file)) => url = Some(file),
            Some(("git", _)) => return unchecked(&package.name, "a git repository"),
            Some(_) => return unchecked(&package.name, "a directory or a file"),
        }
        let former = lock.metadata.files.get(&package.name).into_iter().flatten();
        let hashes = package.files.iter().chain(former).map(|file| file.hash.clone());
        pinned.add(&package.name, &package.version, url, hashes)?;
    }
    Ok(pinned.done())
}

/// Poetry 1 does not write which groups a package is of: those that the project needs, and so on.
fn of_poetry_1<'a>(
    lock: &'a Poetry,
    project: Option<&str>,
    python: &Python,
) -> Result<Vec<&'a PoetryPackage>, Refused> {
    let Some(project) = project else {
        return refused("there is no pyproject.toml beside poetry.lock", "add it, as Poetry 1 needs it");
    };
    let mut todo: VecDeque<(String, Vec<String>)> = VecDeque::new();
    for (name, needs) in unlocked::of_poetry_project(project)? {
        for need in needs.each() {
            if !need.optional && need.applies(python)? {
                todo.push_back((name.clone(), need.extras));
            }
        }
    }
    let mut chosen: BTreeMap<String, &PoetryPackage> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    while let Some((name, extras)) = todo.pop_front() {
        let name = normalized(&name);
        let mut found = lock.packages.iter().filter(|package| normalized(&package.name) == name);
        let (Some(package), None) = (found.next(), found.next()) else {
            return refused(
                format!("which version of {name} this Python gets is not clear"),
                "make the file anew with `poetry lock` of Poetry 2",
            );
        };
        chosen.insert(name.clone(), package);
        for extra in [None].into_iter().chain(extras.iter().map(Some)) {
            if !seen.insert((name.clone(), extra.cloned())) {
                continue;
            }
            // Written such as `httptools (>=0.5.0)`.
            let of_extra: BTreeSet<String> = extra
                .and_then(|extra| package.extras.get(extra))
                .into_iter()
                .flatten()
                .map(|need| normalized(need.split([' ', '[', ';', '(']).next().unwrap_or_default()))
                .collect();
            for (needed, needs) in &package.dependencies {
                for need in needs.each() {
                    let wanted = if need.optional { of_extra.contains(&normalized(needed)) } else { extra.is_none() };
                    // Its condition on the extra is met, where it was asked for.
                    let without = PoetryNeed {
                        markers: if need.optional { without_extra(&need.markers) } else { need.markers.clone() },
                        ..need.clone()
                    };
                    if wanted && without.applies(python)? {
                        todo.push_back((needed.clone(), need.extras));
                    }
                }
            }
        }
    }
    Ok(chosen.into_values().collect())
}

/// A condition without what it says about extras at its end.
fn without_extra(marker: &str) -> String {
    let end = marker.find(" and extra ==").or_else(|| marker.starts_with("extra ==").then_some(0));
    let kept = &marker[..end.unwrap_or(marker.len())];
    if kept.matches('(').count() == kept.matches(')').count() { kept.to_owned() } else { marker.to_owned() }
}

#[derive(Deserialize)]
struct PipfileLock {
    #[serde(rename = "_meta")]
    meta: PipfileMeta,
    #[serde(default)]
    default: BTreeMap<String, PipfilePackage>,
}

#[derive(Deserialize)]
struct PipfileMeta {
    #[serde(default)]
    requires: BTreeMap<String, String>,
    #[serde(default)]
    sources: Vec<PipfileSource>,
}

#[derive(Deserialize)]
struct PipfileSource {
    url: String,
}

#[derive(Deserialize)]
struct PipfilePackage {
    #[serde(default)]
    version: String,
    #[serde(default)]
    hashes: Vec<String>,
    #[serde(default)]
    markers: String,
    file: Option<String>,
    git: Option<String>,
}

/// What `pipenv sync` installs, for one Python.
pub fn of_pipfile(text: &str, python: &Python) -> Result<Requirements, Refused> {
    let lock: PipfileLock = serde_json::from_str(text)
        .or_else(|e| refused(format!("Pipfile.lock cannot be read: {e}"), "make it anew with `pipenv lock`"))?;
    unlocked::pipfile_python(&lock.meta.requires, python)?;
    let mut pinned = Pinned::default();
    for source in &lock.meta.sources {
        pinned.index(&source.url)?;
    }
    for (name, package) in &lock.default {
        if !python.meets(&package.markers)? {
            continue;
        }
        let file = package.file.as_deref().filter(|file| file.starts_with("https://"));
        match package.version.strip_prefix("==") {
            Some(version) if package.git.is_none() => {
                pinned.add(name, version, file, package.hashes.iter().cloned())?;
            }
            _ if package.git.is_some() => return unchecked(name, "a git repository"),
            _ => return unchecked(name, "a directory or a file"),
        }
    }
    Ok(pinned.done())
}
