//! `python_env`: makes a Python virtual environment and installs requirements into it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, ErrorKind};
use std::iter;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::action::command_runner::CommandRunner;
use crate::action::contract::{Act, Brings, Context, Verdict};
use crate::action::release::Release;
use crate::error::{Failure, Outcome};
use crate::hash::sha256_hex;
use crate::host::{Command, Host, Kind};
use crate::progress::Progress;
use crate::system::paths;
use crate::system::python_project::Format;
use crate::undo::Undo;

mod pip;
mod runner;

/// Makes a Python virtual environment and installs requirements into it.
///
/// The path becomes a link to `<path>.releases/<key>`, and turns to a new environment when the requirements or
/// the interpreter's version change; the environment that runs is never changed in place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PythonEnv {
    /// Path of the environment; must not exist before, and must be below directories that only root can change.
    pub path: PathBuf,
    /// The interpreter.
    #[serde(default = "python3")]
    pub interpreter: PathBuf,
    /// A requirements file to install; none when empty. A `uv.lock`, `poetry.lock` or `Pipfile.lock` gives exactly the
    /// versions in it, each checked by its hashes; of a `pyproject.toml` or `Pipfile` the dependencies are installed.
    #[serde(default)]
    pub requirements: String,
    /// Files beside it that take its place where it is missing: the first that is there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<String>,
    /// Whether the requirements file may be missing: the environment is then made without it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub if_present: bool,
    /// Further requirements, as pip takes them. One that is an absolute path is a directory or an archive; where it
    /// is a link, as those that `source` makes, another target is another package.
    #[serde(default)]
    pub packages: Vec<String>,
    /// The command that creates the environment, such as `[/usr/bin/virtualenv]`, for an interpreter that has no module
    /// `venv` (before Python 3.3); the interpreter's own `venv` when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub virtualenv: Vec<String>,
    /// With `virtualenv`: the versions of its seed packages, by name (`pip`, `setuptools`, `wheel`), fetched from the
    /// package index; its bundled ones when empty. An old interpreter needs the last ones that support it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub seeds: BTreeMap<String, String>,
    /// Whether the distribution's Python packages are visible in it.
    #[serde(default)]
    pub system_packages: bool,
    /// User without rights who installs the packages: one may run what it brings (`setup.py`). It has no other purpose,
    /// all its processes are ended afterwards, and the result is root's. It gets root's settings of pip with the
    /// passwords in them. What the requirements name relative to themselves is installed from a copy, without a link to
    /// it (`--editable`). Root when empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub user: String,
}

fn python3() -> PathBuf {
    PathBuf::from("/usr/bin/python3")
}

/// An address where nothing listens.
const NOWHERE: &str = "http://127.0.0.1:9";
/// Where pip's configuration names an index that may do without TLS.
const INDEXES: [&str; 3] = ["PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS"];
const SETTINGS: [&str; 4] =
    ["/etc/pip.conf", "/etc/xdg/pip/pip.conf", "/root/.config/pip/pip.conf", "/root/.pip/pip.conf"];
/// Longer requirements files are not read, in bytes.
const LONGEST: u64 = 1 << 20;
/// The file of a project, which may be beside its lock file.
const PROJECT: &str = "pyproject.toml";

/// Timeout of pip: a package without a wheel is compiled.
const PATIENCE: Duration = Duration::from_hours(1);

impl Act for PythonEnv {
    fn describe(&self) -> String {
        let what = if self.installs() { " with its packages" } else { "" };
        format!("create the Python environment {}{what}", self.path.display())
    }

    fn check(&self, cx: &Context<'_>) -> Outcome<Verdict> {
        self.validate(cx.host)?;
        match self.release(cx.host)? {
            Some(release) => release.verdict(cx.host, self.describe(), "one"),
            None => Ok(Verdict::change(self.describe())),
        }
    }

    fn prepare(&self, cx: &Context<'_>) -> Outcome<Vec<Undo>> {
        self.validate(cx.host)?;
        let release = self.required_release(cx.host)?;
        let mut records = release.prepare(cx)?;
        if !self.user.is_empty() {
            records.push(Undo::RemoveTree { path: release.ground() });
        }
        Ok(records)
    }

    fn apply(&self, cx: &Context<'_>) -> Outcome<()> {
        self.validate(cx.host)?;
        let requirements = match self.file(cx.host) {
            Ok(Some(file)) => file.to_string_lossy().into_owned(),
            Ok(None) if self.if_present => String::new(),
            _ => self.requirements.clone(),
        };
        let act = Self { requirements, ..self.clone() };
        let release = self.required_release(cx.host)?;
        release.install(cx, |dir| {
            act.make(cx, dir)?;
            if act.installs() {
                act.install(cx, dir, &release.ground())?;
            }
            Ok(format!("{} packages asked for", act.packages.len()))
        })
    }

    fn brings(&self) -> Brings {
        Brings { paths: vec![self.path.clone()], ..Brings::default() }
    }
}

impl PythonEnv {
    fn installs(&self) -> bool {
        !self.requirements.is_empty() || !self.packages.is_empty()
    }

    fn validate(&self, host: &dyn Host) -> Outcome<()> {
        // Root runs it, and what it installs.
        paths::only_root_changes_program(host, &self.interpreter)?;
        if self.user == "root" {
            return Err(Failure::new(self.describe(), "root is no user without rights")
                .hint("leave `user` empty, or make a user that has no other purpose"));
        }
        if let Some(odd) = self.packages.iter().find(|package| package.starts_with('-') || package.trim().is_empty()) {
            return Err(Failure::new(self.describe(), format!("{odd:?} is not a requirement"))
                .hint("options of pip belong in a requirements file"));
        }
        let known = |name: &str| ["pip", "setuptools", "wheel"].contains(&name);
        if let Some(odd) = self.seeds.keys().find(|name| self.virtualenv.is_empty() || !known(name)) {
            return Err(Failure::new(self.describe(), format!("virtualenv does not install {odd} itself"))
                .hint("`seeds` are versions of pip, setuptools and wheel, and belong to `virtualenv`"));
        }
        Ok(())
    }

    /// The file with its requirements, if there is one.
    fn file(&self, host: &dyn Host) -> io::Result<Option<PathBuf>> {
        let named = Path::new(&self.requirements);
        if self.requirements.is_empty() {
            return Ok(None);
        }
        for file in iter::once(named.to_owned()).chain(self.alternatives.iter().map(|name| named.with_file_name(name)))
        {
            if host.stat(&file)?.is_some() {
                return Ok(Some(file));
            }
        }
        Ok(None)
    }

    /// The environment for its inputs; `None` when its requirements file does not exist yet or is not readable.
    fn release(&self, host: &dyn Host) -> Outcome<Option<Release<'_>>> {
        let read = |file: PathBuf| {
            let content = host.read(&file)?;
            // Poetry's lock file may need its project; and a file of the same content may be of another kind.
            Ok(match Format::of(&file) {
                None => sha256_hex(&content),
                Some(format) => {
                    let project = host.read(&file.with_file_name(PROJECT));
                    let project = project.map(|project| sha256_hex(&project)).unwrap_or_default();
                    format!("{format:?} {} {project}", sha256_hex(&content))
                }
            })
        };
        let requirements = match self.file(host).and_then(|file| file.map(read).transpose()) {
            Ok(Some(hash)) => hash,
            Ok(None) if self.if_present || self.requirements.is_empty() => String::new(),
            Ok(None) => return Ok(None),
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => return Ok(None),
            Err(e) => return Err(Failure::new(format!("read {}", self.requirements), e)),
        };
        // An environment belongs to one version of Python: /usr/bin/python3 is a link that names it.
        let interpreter = match paths::stat(host, &self.interpreter)?.map(|stat| stat.kind) {
            None => return Ok(None),
            Some(Kind::Symlink) => Some(paths::read_link(host, &self.interpreter)?),
            Some(_) => None,
        };
        let mut linked = Vec::new();
        for package in self.packages.iter().map(Path::new).filter(|package| package.is_absolute()) {
            match paths::stat(host, package)?.map(|stat| stat.kind) {
                None => return Ok(None),
                Some(Kind::Symlink) => linked.push(paths::read_link(host, package)?),
                Some(_) => {}
            }
        }
        // Environments that were created before links counted keep their keys.
        let made_from = (self, requirements, interpreter);
        if linked.is_empty() {
            return Ok(Some(Release::new(&self.path, &made_from)?));
        }
        Ok(Some(Release::new(&self.path, &(made_from, linked))?))
    }

    fn required_release(&self, host: &dyn Host) -> Outcome<Release<'_>> {
        self.release(host)?.ok_or_else(|| {
            let (interpreter, requirements) = (self.interpreter.display(), &self.requirements);
            let mut needs = if requirements.is_empty() {
                String::new()
            } else {
                format!(" or its requirements file {requirements}")
            };
            if let Some(package) = self.packages.iter().find(|package| package.starts_with('/')) {
                let _ = write!(needs, " or its package {package}");
            }
            Failure::new(self.describe(), format!("the interpreter {interpreter}{needs} does not exist"))
                .hint("install python3 and python3-venv, and check the path of the requirements file")
        })
    }

    /// pip follows redirects from https to http and has no option against it: plain http is sent to a proxy where
    /// nothing listens, unless pip's configuration names plain http.
    fn over_tls(&self, host: &dyn Host, requirements: &str, command: Command) -> Command {
        let told = INDEXES.iter().filter_map(|name| host.env(name));
        let files = SETTINGS.iter().map(Path::new).chain(Some(Path::new(requirements)));
        let files = files.filter_map(|path| host.read_at_most(path, LONGEST).ok());
        let written = files.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        if told.chain(written).chain(self.packages.iter().cloned()).any(|text| text.contains("http://")) {
            return command;
        }
        let command = command.env("http_proxy", NOWHERE);
        // Exceptions would be reached without the proxy. Where https has a proxy, they are needed.
        let proxies = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
        if proxies.iter().any(|name| host.env(name).is_some_and(|value| !value.is_empty())) {
            return command;
        }
        command.env("no_proxy", "").env("NO_PROXY", "")
    }

    fn make(&self, cx: &Context<'_>, dir: &Path) -> Outcome<()> {
        (cx.progress)(Progress::Note("creating the environment".to_owned()));
        if !self.virtualenv.is_empty() {
            return self.make_with_virtualenv(cx, dir);
        }
        let mut argv = vec![self.interpreter.to_string_lossy().into_owned(), "-m".to_owned(), "venv".to_owned()];
        if self.system_packages {
            argv.push("--system-site-packages".to_owned());
        }
        if !self.installs() {
            // Without pip it takes a tenth of the time, and pip is not needed.
            argv.push("--without-pip".to_owned());
        }
        argv.push(dir.to_string_lossy().into_owned());
        CommandRunner::new(python(argv))
            .hint("the package python3-venv must be installed")
            .run(cx, &self.describe())?;
        Ok(())
    }

    fn make_with_virtualenv(&self, cx: &Context<'_>, dir: &Path) -> Outcome<()> {
        let scratch = dir.join(".virtualenv");
        let path = |path: &Path| path.to_string_lossy().into_owned();
        let mut argv = self.virtualenv.clone();
        argv.extend(["--quiet", "--python"].map(str::to_owned));
        argv.extend([path(&self.interpreter), "--app-data".to_owned(), path(&scratch)]);
        if self.system_packages {
            argv.push("--system-site-packages".to_owned());
        }
        if !self.seeds.is_empty() {
            argv.push("--download".to_owned());
        }
        for (name, version) in &self.seeds {
            argv.extend([format!("--{name}"), version.clone()]);
        }
        argv.push(path(dir));
        // It writes a cache to its user's home, which is not ours to write to.
        CommandRunner::new(self.over_tls(cx.host, &self.requirements, python(argv)).env("HOME", path(&scratch)).env("XDG_DATA_HOME", path(&scratch)))
            .hint("virtualenv must be installed and support the interpreter; versions it does not bundle come from a package index")
            .run(cx, &self.describe())?;
        let clear = Command::new(["rm", "--recursive", "--force", "--", &path(&scratch)]);
        CommandRunner::new(clear).run(cx, &format!("remove virtualenv's cache in {}", dir.display()))?;
        Ok(())
    }
}

/// A Python that creates world-readable files.
fn python(argv: Vec<String>) -> Command {
    let mut command = Command::new(argv).timeout(PATIENCE);
    command.umask = Some(0o022);
    command
}

#[cfg(test)]
mod tests;
