//! Installs requirements with pip, as root or as a user without rights.

use std::path::{Path, PathBuf};

use super::runner::Runner;
use super::{PROJECT, PythonEnv, python};
use crate::action::command_runner::{CommandRunner, end_processes_of};
use crate::action::contract::Context;
use crate::action::release::clear;
use crate::error::{Failure, Outcome};
use crate::host::Meta;
use crate::progress::Progress;
use crate::system::python_project::{self, Format, Python, Requirements};
use crate::system::{accounts, paths};

/// Longer lock files are refused, in bytes.
const LONGEST_PROJECT: u64 = 16 << 20;

/// In an environment from another file than pip's own: what pip got.
pub(super) const RESOLVED: &str = "bringup-requirements.txt";
/// And the versions, which hold for the further packages, too.
const PINS: &str = "bringup-constraints.txt";

/// What pip is asked for once.
struct Request {
    /// A requirements file; none when empty.
    file: String,
    options: Vec<String>,
    packages: Vec<String>,
}

impl PythonEnv {
    /// Installs what is asked for into the environment in `dir`, which is root's afterwards. A user works in `ground`,
    /// which is empty before and afterwards.
    pub(super) fn install(&self, cx: &Context<'_>, dir: &Path, ground: &Path) -> Outcome<()> {
        // All of root's work in the directory comes before it is the user's.
        let requests = self.requests(cx, dir)?;
        let mut runner = Runner::new(&self.user, ground);
        if self.user.is_empty() {
            return requests.iter().try_for_each(|request| self.pip(cx, dir, request, &runner));
        }
        let what = || format!("install the packages of {}", self.path.display());
        let settle = |meta| cx.host.settle_tree(dir, meta).map_err(|e| Failure::new(what(), e));
        let owner = accounts::require_meta(cx.host, "0755", &self.user, &self.user)?;
        runner.set_up(cx, Meta { mode: 0o700, ..owner })?;
        settle(owner)?;
        let installed = requests.iter().try_for_each(|request| self.pip(cx, dir, request, &runner));
        end_processes_of(cx, &self.user, &what())?;
        settle(Meta::root(0o755))?;
        clear(cx, ground)?;
        installed
    }

    /// What pip is asked for, one after the other.
    fn requests(&self, cx: &Context<'_>, dir: &Path) -> Outcome<Vec<Request>> {
        let further = |file: &str, options: &[&str]| Request {
            file: file.to_owned(),
            options: options.iter().map(|option| (*option).to_owned()).collect(),
            packages: self.packages.clone(),
        };
        let Some(format) = Format::of(Path::new(&self.requirements)) else {
            return Ok(vec![further(&self.requirements, &[])]);
        };
        let requirements = self.resolve(cx, dir, format)?;
        let write = |name: &str, lines: &[String]| {
            let path = dir.join(name);
            // The address of an index may have a password.
            let written = cx.host.write(&path, (lines.join("\n") + "\n").as_bytes(), Meta::root(0o600));
            written.map_err(|e| Failure::new(format!("write {}", path.display()), e))?;
            Ok(path.to_string_lossy().into_owned())
        };
        let file = if requirements.lines.is_empty() { String::new() } else { write(RESOLVED, &requirements.lines)? };
        if !requirements.locked {
            return Ok(vec![further(&file, &[])]);
        }
        let locked = Request { packages: Vec::new(), ..further(&file, &["--no-deps", "--require-hashes"]) };
        let pins = write(PINS, &requirements.pins)?;
        Ok(vec![locked, further("", &["--constraint", &pins])])
    }

    /// What the project's file says that this Python needs.
    fn resolve(&self, cx: &Context<'_>, dir: &Path, format: Format) -> Outcome<Requirements> {
        let file = Path::new(&self.requirements);
        let read = |path: &Path| {
            let bytes = cx.host.read_at_most(path, LONGEST_PROJECT);
            let text = bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            text.map_err(|e| Failure::new(format!("read {}", path.display()), e))
        };
        let interpreter = dir.join("bin/python").to_string_lossy().into_owned();
        let asked = python([&interpreter, "-E", "-s", "-c", Python::PROBE].map(str::to_owned).to_vec());
        let what = format!("ask {} for its version", self.interpreter.display());
        let told = CommandRunner::new(asked)
            .telling(&|_| Progress::Note("reading the requirements".to_owned()))
            .run(cx, &what)?;
        let about: Python = serde_json::from_slice(&told.stdout).map_err(|e| Failure::new(what, e))?;
        let project = file.with_file_name(PROJECT);
        let project = paths::is_file(cx.host, &project).then(|| read(&project)).transpose()?;
        python_project::read(format, &read(file)?, project.as_deref(), &about).map_err(|refused| {
            Failure::new(format!("install what {} says", file.display()), refused.why).hint(refused.hint)
        })
    }

    fn pip(&self, cx: &Context<'_>, dir: &Path, request: &Request, runner: &Runner<'_>) -> Outcome<()> {
        let Request { file: requirements, options, packages } = request;
        if requirements.is_empty() && packages.is_empty() {
            return Ok(());
        }
        let interpreter = dir.join("bin/python").to_string_lossy().into_owned();
        let mut argv: Vec<String> = [&interpreter, "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
            .map(str::to_owned)
            .to_vec();
        argv.extend(["--progress-bar", "off", "--no-cache-dir"].map(str::to_owned));
        argv.extend(options.iter().cloned());
        let mut cwd = PathBuf::from("/");
        if !requirements.is_empty() {
            let mut file = PathBuf::from(requirements);
            // Relative paths in the file are meant relative to it. Python looks for modules there, too.
            cwd = Path::new(&self.requirements).parent().map_or(cwd, Path::to_owned);
            if !runner.user.is_empty() && *requirements == self.requirements {
                file = runner.copied(cx, &file)?;
                cwd = file.parent().map_or(cwd, Path::to_owned);
            }
            argv.extend(["--requirement".to_owned(), file.to_string_lossy().into_owned()]);
        }
        argv.extend(packages.iter().cloned());
        let pip = self.over_tls(cx.host, requirements, runner.command(cx, python(argv))).cwd(cwd);
        CommandRunner::new(pip)
            .telling(&progress)
            .hint(
                "pip needs a package index that it can reach over TLS (PIP_INDEX_URL, https_proxy) and, without wheels, \
                 a compiler",
            )
            .run(cx, &format!("install the packages of {}", self.path.display()))
            .map(drop)
            .map_err(|failure| self.explain(failure))
    }

    /// A file with another hash is not what pip's hint is about.
    fn explain(&self, failure: Failure) -> Failure {
        if !failure.tail.iter().any(|line| has_another_hash(line)) {
            return failure;
        }
        let why =
            format!("the package index has another file than {} names, and nothing was installed", self.requirements);
        let hint = "the lock file was edited or the file was exchanged: find out which before you lock anew".to_owned();
        Failure { why, hint: Some(hint), ..failure }
    }
}

/// Whether pip says in this line that what it fetched has another hash; the headline may be far above.
fn has_another_hash(line: &str) -> bool {
    line.contains("DO NOT MATCH THE HASHES") || line.trim_start().starts_with("Got   ")
}

/// What pip is doing: which package it fetches or compiles, as far as it says so.
pub(super) fn progress(line: &str) -> Progress {
    const SAID: [(&str, &str); 4] = [
        ("Collecting ", "fetching"),
        ("Building wheel for ", "compiling"),
        ("Running setup.py install for ", "compiling"),
        ("Running setup.py bdist_wheel for ", "compiling"),
    ];
    let said = line.trim_start();
    if let Some(all) = said.strip_prefix("Installing collected packages: ") {
        return Progress::Note(format!("installing {} packages", all.split(", ").count()));
    }
    // pip reports twice that something has ended.
    let found = SAID.iter().find_map(|(prefix, doing)| Some((said.strip_prefix(prefix)?, doing)));
    match found.filter(|_| !said.contains(": finished")) {
        Some((rest, doing)) => {
            let name = rest.split([' ', ':', '<', '>', '=', '!', '~', ';', '(']).next().unwrap_or_default();
            Progress::Note(format!("{doing} {name}"))
        }
        None => Progress::Output(line.to_owned()),
    }
}
