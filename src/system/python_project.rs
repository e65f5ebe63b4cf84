//! What a Python project says it needs, as requirements for pip: `uv.lock`, `poetry.lock`, `Pipfile.lock`, `Pipfile` and
//! `pyproject.toml`.
//!
//! Their own tools are not run for it. That would be three further programs with some 60 packages from the index, in
//! versions that change every week, only to read a table of names, versions and hashes; the present ones do not run on
//! Debian 11's Python, and a file would mean what the tool of the day takes it to mean. What is read here is checked
//! by pip: of a lock file each package has its version and its hashes, and nothing else is installed (`--no-deps
//! --require-hashes`). What cannot be expressed so is refused by name.

mod lock;
#[cfg(test)]
mod tests;
mod unlocked;
mod version;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;

/// The kinds of files; any other one is a requirements file of pip's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `uv.lock`.
    Uv,
    /// `poetry.lock`.
    Poetry,
    /// `Pipfile.lock`.
    PipfileLock,
    /// `Pipfile`.
    Pipfile,
    /// `pyproject.toml`.
    Pyproject,
}

impl Format {
    /// By the name of a file.
    pub fn of(path: &Path) -> Option<Self> {
        Some(match path.file_name()?.to_str()? {
            "uv.lock" => Self::Uv,
            "poetry.lock" => Self::Poetry,
            "Pipfile.lock" => Self::PipfileLock,
            "Pipfile" => Self::Pipfile,
            "pyproject.toml" => Self::Pyproject,
            _ => return None,
        })
    }
}

/// What pip is to install.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requirements {
    /// Lines of a requirements file.
    pub lines: Vec<String>,
    /// Whether they are all there is, each with its version and hashes.
    pub locked: bool,
    /// Of a lock file: the versions, as constraints for what is installed beside it.
    pub pins: Vec<String>,
}

/// Why a file cannot be used, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What is wrong with it.
    pub why: String,
    /// What to do.
    pub hint: String,
}

fn refused<T>(why: impl Into<String>, hint: impl Into<String>) -> Result<T, Refused> {
    Err(Refused { why: why.into(), hint: hint.into() })
}

/// What conditions of packages ask: the values of the interpreter's variables.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct Python(BTreeMap<String, String>);

impl Python {
    /// A program that prints them as JSON.
    pub const PROBE: &str = "import json, os, platform, sys
full = platform.python_version()
print(json.dumps({
    'os_name': os.name, 'sys_platform': sys.platform, 'platform_machine': platform.machine(),
    'platform_python_implementation': platform.python_implementation(), 'platform_release': platform.release(),
    'platform_system': platform.system(), 'platform_version': platform.version(), 'python_full_version': full,
    'python_version': '.'.join(platform.python_version_tuple()[:2]), 'implementation_name': sys.implementation.name,
    'implementation_version': full, 'extra': '',
}))";

    fn meets(&self, marker: &str) -> Result<bool, Refused> {
        if marker.trim().is_empty() {
            return Ok(true);
        }
        version::is_met(marker, &self.0).or_else(|odd| {
            refused(format!("the condition `{marker}` cannot be read: {odd}"), "make the file anew with its tool")
        })
    }

    fn version(&self) -> &str {
        self.0.get("python_full_version").map_or("", String::as_str)
    }

    /// Refuses a project that is not for this Python; `alternatives` are clauses of which one must be met.
    fn must_meet(&self, written: &str, alternatives: &[String]) -> Result<(), Refused> {
        let mut known = false;
        for clauses in alternatives {
            match version::meets(self.version(), clauses) {
                Some(true) => return Ok(()),
                Some(false) => known = true,
                None => {}
            }
        }
        if !known {
            return Ok(());
        }
        refused(
            format!("the project is for Python {written}, and this is Python {}", self.version()),
            "name another interpreter, or have the project support this one",
        )
    }
}

/// Reads a file. `project` is the `pyproject.toml` beside it, if there is one.
pub fn read(format: Format, text: &str, project: Option<&str>, python: &Python) -> Result<Requirements, Refused> {
    match format {
        Format::Uv => lock::of_uv(text, python),
        Format::Poetry => lock::of_poetry(text, project, python),
        Format::PipfileLock => lock::of_pipfile(text, python),
        Format::Pipfile => unlocked::of_pipfile(text, python),
        Format::Pyproject => unlocked::of_pyproject(text, python),
    }
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str, what: &str) -> Result<T, Refused> {
    toml::from_str(text).or_else(|e: toml::de::Error| {
        let line = e.span().map_or(1, |span| text.bytes().take(span.start).filter(|byte| *byte == b'\n').count() + 1);
        refused(
            format!("{what} cannot be read, line {line}: {}", e.message()),
            format!("correct {what}, or make it anew"),
        )
    })
}

/// A name of a package as the index compares them: in lower case, with `-` for runs of `-`, `_` and `.`.
fn normalized(name: &str) -> String {
    let parts: Vec<String> =
        name.split(['-', '_', '.']).filter(|part| !part.is_empty()).map(str::to_ascii_lowercase).collect();
    parts.join("-")
}

/// Where the public packages are: pip knows it, or an index in its place.
const PUBLIC: &str = "https://pypi.org/simple";

/// Packages of a lock file, as they are collected.
#[derive(Default)]
struct Pinned {
    /// By name: version, where it comes from if not from an index, hashes.
    packages: BTreeMap<String, (String, Option<String>, BTreeSet<String>)>,
    indexes: BTreeSet<String>,
}

impl Pinned {
    fn index(&mut self, url: &str) -> Result<(), Refused> {
        let url = url.trim_end_matches('/');
        if url == PUBLIC {
            return Ok(());
        }
        if !url.starts_with("https://") || url.contains(char::is_whitespace) {
            return refused(
                format!("the package index {url} is not reached over https"),
                "use an index with https, or name a requirements file",
            );
        }
        self.indexes.insert(url.to_owned());
        Ok(())
    }

    fn add(
        &mut self,
        name: &str,
        version: &str,
        url: Option<&str>,
        hashes: impl Iterator<Item = String>,
    ) -> Result<(), Refused> {
        let is_word = |text: &str, more: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
        };
        let odd_url = url.is_some_and(|url| !url.starts_with("https://") || url.contains(char::is_whitespace));
        if !is_word(name, "-_.") || !is_word(version, ".+!_-") || odd_url {
            return refused(format!("{name} {version} is not a package with a version"), "make the lock file anew");
        }
        let hashes: BTreeSet<String> = hashes.collect();
        let is_hash = |hash: &String| {
            hash.split_once(':')
                .is_some_and(|(kind, digits)| ["sha256", "sha384", "sha512"].contains(&kind) && is_word(digits, ""))
        };
        if hashes.is_empty() || !hashes.iter().all(is_hash) {
            return refused(
                format!("{name} has no SHA-256 hash, so what is fetched for it could not be checked"),
                "make the lock file anew, or name a requirements file",
            );
        }
        let key = normalized(name);
        if let Some((other, ..)) = self.packages.get(&key).filter(|(other, ..)| other != version) {
            return refused(
                format!("{name} is in it in two versions for this Python, {other} and {version}"),
                "make the lock file anew with the present version of its tool",
            );
        }
        self.packages.insert(key, (version.to_owned(), url.map(str::to_owned), hashes));
        Ok(())
    }

    fn done(self) -> Requirements {
        let mut lines: Vec<String> = self.indexes.iter().map(|index| format!("--extra-index-url {index}")).collect();
        let pins = self.packages.iter().map(|(name, (version, ..))| format!("{name}=={version}")).collect();
        for (name, (version, url, hashes)) in &self.packages {
            let what = url.as_ref().map_or_else(|| format!("{name}=={version}"), |url| format!("{name} @ {url}"));
            let hashes: Vec<String> = hashes.iter().map(|hash| format!(" --hash={hash}")).collect();
            lines.push(what + &hashes.concat());
        }
        Requirements { lines, locked: true, pins }
    }
}

/// A package that is no file of an index cannot be checked.
fn unchecked<T>(name: &str, from: &str) -> Result<T, Refused> {
    refused(
        format!("{name} comes from {from}, which has no hash"),
        "publish it in a package index, or name a requirements file",
    )
}
