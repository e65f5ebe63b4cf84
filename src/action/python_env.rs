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
use crate::host::{Command, Host, Kind, Meta};
use crate::progress::Progress;
use crate::system::python_project::{self, Format, Python, Requirements};
use crate::system::{accounts, paths};
use crate::undo::Undo;

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
    /// User without rights who installs the packages, for requirements of which others decide: a package may run what it
    /// brings (`setup.py`). It has no other purpose, all its processes are ended afterwards, and the result is root's. Root
    /// when empty.
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
/// Longer lock files are refused, in bytes.
const LONGEST_PROJECT: u64 = 16 << 20;
/// The file of a project, which may be beside its lock file.
const PROJECT: &str = "pyproject.toml";

/// In an environment from another file than pip's own: what pip got.
const RESOLVED: &str = "bringup-requirements.txt";
/// And the versions, which hold for the further packages, too.
const PINS: &str = "bringup-constraints.txt";

/// What pip is asked for once.
struct Request {
    /// A requirements file; none when empty.
    file: String,
    options: Vec<String>,
    packages: Vec<String>,
}

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
        self.required_release(cx.host)?.prepare(cx)
    }

    fn apply(&self, cx: &Context<'_>) -> Outcome<()> {
        self.validate(cx.host)?;
        let requirements = match self.file(cx.host) {
            Ok(Some(file)) => file.to_string_lossy().into_owned(),
            Ok(None) if self.if_present => String::new(),
            _ => self.requirements.clone(),
        };
        let act = Self { requirements, ..self.clone() };
        self.required_release(cx.host)?.install(cx, |dir| {
            act.make(cx, dir)?;
            if act.installs() {
                act.install(cx, dir)?;
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

    fn install(&self, cx: &Context<'_>, dir: &Path) -> Outcome<()> {
        // All of root's work in the directory comes before it is the user's.
        let requests = self.requests(cx, dir)?;
        let install = || requests.iter().try_for_each(|request| self.pip(cx, dir, request));
        if self.user.is_empty() {
            return install();
        }
        let what = || format!("install the packages of {}", self.path.display());
        let settle = |meta| cx.host.settle_tree(dir, meta).map_err(|e| Failure::new(what(), e));
        settle(accounts::require_meta(cx.host, "0755", &self.user, &self.user)?)?;
        let installed = install();
        // What it has left running could change the result, which is root's from here on.
        let rest = Command::new(["sh", "-c", "kill -KILL -1 2>/dev/null; :"]).user(&self.user);
        CommandRunner::new(rest).run(cx, &what())?;
        settle(Meta::root(0o755))?;
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
        let asked = python(["-E", "-s", "-c", Python::PROBE].into_iter().fold(vec![interpreter], |mut argv, word| {
            argv.push(word.to_owned());
            argv
        }));
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

    fn pip(&self, cx: &Context<'_>, dir: &Path, request: &Request) -> Outcome<()> {
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
            argv.extend(["--requirement".to_owned(), requirements.clone()]);
            // Relative paths in the file are meant relative to it.
            cwd = Path::new(&self.requirements).parent().map_or(cwd, Path::to_owned);
        }
        argv.extend(packages.iter().cloned());
        let mut pip = self.over_tls(cx.host, requirements, python(argv)).cwd(cwd);
        if !self.user.is_empty() {
            let home = dir.to_string_lossy().into_owned();
            pip = pip.user(&self.user).env("HOME", home);
        }
        CommandRunner::new(pip)
            .telling(&progress)
            .hint(
                "pip needs a package index that it can reach over TLS (PIP_INDEX_URL, https_proxy) and, without wheels, \
                 a compiler",
            )
            .run(cx, &format!("install the packages of {}", self.path.display()))
            .map(|_| ())
            .map_err(|failure| if failure.tail.iter().any(|line| is_another_file(line)) {
                Failure {
                    why: format!("the package index has another file than {} names, and nothing was installed", self.requirements),
                    hint: Some("the lock file was edited or the file was exchanged: find out which before you lock anew".to_owned()),
                    ..failure
                }
            } else {
                failure
            })
    }
}

/// Whether pip says in this line that what it fetched has another hash; the headline may be far above.
fn is_another_file(line: &str) -> bool {
    line.contains("DO NOT MATCH THE HASHES") || line.trim_start().starts_with("Got   ")
}

/// What pip is doing: which package it fetches or compiles, as far as it says so.
fn progress(line: &str) -> Progress {
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

/// A Python that creates world-readable files.
fn python(argv: Vec<String>) -> Command {
    let mut command = Command::new(argv).timeout(PATIENCE);
    command.umask = Some(0o022);
    command
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::action::testing::{Bench, kept};

    fn env() -> PythonEnv {
        serde_json::from_value(serde_json::json!({"path": "/srv/app/venv", "system_packages": true})).unwrap()
    }

    fn bench() -> Bench {
        let bench = Bench::new();
        bench.host.put_file("/usr/bin/python3.11", "", 0o755);
        bench.host.take_away("/usr/bin/python3");
        bench.host.make_symlink("/usr/bin/python3".as_ref(), "python3.11".as_ref()).unwrap();
        bench
    }

    fn commands(bench: &Bench) -> String {
        bench.host.commands().iter().map(|command| command.argv.join(" ") + "\n").collect()
    }

    #[test]
    fn pip_tells_which_package_it_fetches_and_compiles() {
        let note = |text: &str| Progress::Note(text.to_owned());
        for (line, told) in [
            ("Collecting lxml==4.6.3 (from -r requirements.txt (line 12))", note("fetching lxml")),
            ("  Building wheel for psycopg2 (setup.py): started", note("compiling psycopg2")),
            ("    Running setup.py install for gevent: started", note("compiling gevent")),
            ("Installing collected packages: pytz, Babel, lxml", note("installing 3 packages")),
        ] {
            assert_eq!(progress(line), told);
        }
        let ended = "  Building wheel for psycopg2 (setup.py): finished with status 'done'";
        assert_eq!(progress(ended), Progress::Output(ended.to_owned()));
    }

    #[test]
    fn an_environment_without_packages_needs_no_pip_and_comes_and_goes() {
        let bench = bench();
        bench.round_trip(&env());
        assert!(commands(&bench).contains("-m venv --system-site-packages --without-pip /srv/app/venv.releases/"));
        assert!(!commands(&bench).contains("pip install"));
    }

    #[test]
    fn packages_are_installed_and_a_changed_file_of_them_makes_a_new_environment() {
        let bench = bench();
        bench.host.put_file("/srv/code/requirements.txt", "flask\n", 0o644);
        let act = PythonEnv {
            requirements: "/srv/code/requirements.txt".to_owned(),
            packages: vec!["uwsgi".to_owned()],
            ..env()
        };
        let first = bench.make(&act);
        assert!(commands(&bench).contains("--requirement /srv/code/requirements.txt uwsgi"), "{}", commands(&bench));
        assert_eq!(bench.check(&act), Ok(Verdict::Unchanged));
        let was = bench.host.read_link("/srv/app/venv".as_ref()).unwrap();
        bench.host.put_file("/srv/code/requirements.txt", "flask==3\n", 0o644);
        assert!(bench.summary(&act).contains("replacing the existing one"));
        let second = bench.make(&act);
        assert!(kept(bench.take_back(&second)).is_empty());
        assert_eq!(bench.host.read_link("/srv/app/venv".as_ref()).unwrap(), was);
        assert!(kept(bench.take_back(&first)).is_empty());
        assert!(bench.host.stat("/srv/app".as_ref()).unwrap().is_none());
    }

    #[test]
    fn a_user_without_rights_installs_them_and_the_result_is_roots() {
        let bench = bench();
        let text = bench.host.text("/etc/passwd").unwrap();
        bench.host.put_file("/etc/passwd", format!("{text}builder:x:997:997::/nonexistent:/usr/sbin/nologin\n"), 0o644);
        let text = bench.host.text("/etc/group").unwrap();
        bench.host.put_file("/etc/group", format!("{text}builder:x:997:\n"), 0o644);
        let act = PythonEnv { packages: vec!["flask".to_owned()], user: "builder".to_owned(), ..env() };
        bench.make(&act);
        let dir = bench.with(|cx| act.required_release(cx.host)).unwrap().dir();
        assert_eq!(bench.host.stat(&dir).unwrap().unwrap().meta, Meta::root(0o755));
        let by: Vec<(String, Option<String>)> =
            bench.host.commands().into_iter().map(|command| (command.argv.join(" "), command.user)).collect();
        let user_of = |what: &str| by.iter().rfind(|(argv, _)| argv.contains(what)).unwrap().1.clone();
        assert_eq!(user_of("pip install"), Some("builder".to_owned()));
        assert_eq!(user_of("kill -KILL -1"), Some("builder".to_owned()));
        assert_eq!(user_of("-m venv"), None);
    }

    #[test]
    fn another_version_of_python_makes_a_new_environment() {
        let bench = bench();
        bench.make(&env());
        bench.host.make_symlink("/usr/bin/python3".as_ref(), "python3.13".as_ref()).unwrap();
        assert_ne!(bench.check(&env()), Ok(Verdict::Unchanged));
    }

    #[test]
    fn an_interpreter_that_somebody_else_can_exchange_is_not_run_by_root() {
        let bench = bench();
        let theirs = |path: &str| PythonEnv { interpreter: path.into(), ..env() };
        bench.host.put_file("/home/me/python", "elf", 0o755);
        bench.host.make_dir("/home/me".as_ref(), Meta::root(0o755)).unwrap();
        bench.host.set_meta("/home/me".as_ref(), Meta { mode: 0o755, uid: 1000, gid: 1000 }).unwrap();
        bench.host.make_symlink("/usr/local/python".as_ref(), "../../home/me/python".as_ref()).unwrap();
        bench.host.put_file("/opt/python", "elf", 0o777);
        bench.host.make_symlink("/opt/round".as_ref(), "round".as_ref()).unwrap();
        for (path, why) in [
            ("/home/me/python", "can change /home/me"),
            ("/usr/local/python", "can change /home/me"),
            ("/opt/python", "can change /opt/python"),
            ("/opt/round", "in a circle"),
        ] {
            let failure = bench.check(&theirs(path)).unwrap_err();
            assert!(failure.why.contains(why), "{path}: {failure:?}");
        }
    }

    #[test]
    fn an_old_interpreter_gets_its_environment_from_virtualenv_with_versions_that_know_it() {
        let bench = bench();
        bench.host.put_file("/opt/python2.7", "", 0o755);
        let act = PythonEnv {
            interpreter: "/opt/python2.7".into(),
            virtualenv: vec!["/usr/bin/virtualenv".to_owned()],
            seeds: [("pip".to_owned(), "20.3.4".to_owned())].into(),
            packages: vec!["flask<2".to_owned()],
            ..env()
        };
        bench.host.on(&["/usr/bin/virtualenv"], |_, _| crate::host::fake::output(0, "", ""));
        bench.round_trip(&act);
        let said = commands(&bench);
        assert!(
            said.contains("/usr/bin/virtualenv --quiet --python /opt/python2.7 --app-data /srv/app/venv.releases/")
        );
        assert!(said.contains("--system-site-packages --download --pip 20.3.4 /srv/app/venv.releases/"), "{said}");
        assert!(!said.contains("-m venv"));
        let stray = PythonEnv { virtualenv: Vec::new(), ..act };
        assert!(bench.check(&stray).unwrap_err().hint.unwrap().contains("belong to `virtualenv`"));
    }

    #[test]
    fn a_package_that_is_a_link_is_another_one_when_it_leads_elsewhere() {
        let bench = bench();
        let act = PythonEnv { packages: vec!["/srv/code".to_owned()], ..env() };
        assert_ne!(bench.check(&act), Ok(Verdict::Unchanged), "the sources are yet to come");
        assert!(bench.try_to_make(&act).err().unwrap().why.contains("its package /srv/code"));
        bench.host.make_symlink("/srv/code".as_ref(), "code.releases/1".as_ref()).unwrap();
        bench.make(&act);
        assert_eq!(bench.check(&act), Ok(Verdict::Unchanged));
        bench.host.make_symlink("/srv/code".as_ref(), "code.releases/2".as_ref()).unwrap();
        assert!(bench.summary(&act).contains("replacing the existing one"));
    }

    #[test]
    fn what_is_yet_to_come_is_a_change_to_come() {
        let bench = Bench::new();
        bench.host.take_away("/usr/bin/python3");
        assert_eq!(bench.summary(&env()), "create the Python environment /srv/app/venv");
        assert!(bench.try_to_make(&env()).err().unwrap().hint.unwrap().contains("python3-venv"));
    }

    #[test]
    fn a_failing_pip_leaves_nothing_that_looks_finished() {
        let bench = bench();
        let act = PythonEnv { packages: vec!["nonsense".to_owned()], ..env() };
        let fail = |_: &crate::host::fake::FakeHost, _: &Command| {
            crate::host::fake::output(1, "", "ERROR: No matching distribution")
        };
        let pip = bench.with(|cx| act.required_release(cx.host)).unwrap().dir().join("bin/python");
        bench.host.on(&[&pip.to_string_lossy()], fail);
        let failure = bench.try_to_make(&act).err().unwrap();
        assert_eq!(failure.tail, ["ERROR: No matching distribution"]);
        assert_ne!(bench.check(&act), Ok(Verdict::Unchanged));
        assert!(bench.host.stat("/srv/app/venv".as_ref()).unwrap().is_none());
    }

    /// Which variables pip gets.
    fn environment(bench: &Bench, act: &PythonEnv) -> Vec<(String, String)> {
        bench.make(act);
        let commands = bench.host.commands();
        let pip = commands.iter().rfind(|command| command.argv.iter().any(|word| word == "pip")).unwrap();
        pip.env.clone()
    }

    #[test]
    fn pip_reaches_nothing_by_plain_http_unless_it_is_told_so() {
        let has =
            |env: &[(String, String)], name: &str, value: &str| env.contains(&(name.to_owned(), value.to_owned()));
        let act = PythonEnv { packages: vec!["flask".to_owned()], ..env() };
        let closed = environment(&bench(), &act);
        assert!(has(&closed, "http_proxy", NOWHERE) && has(&closed, "no_proxy", ""), "{closed:?}");
        // Behind a proxy the exceptions from it hold on.
        let proxied = bench();
        proxied.host.set_env("https_proxy", "http://proxy.example.org:3128");
        let closed = environment(&proxied, &act);
        assert!(has(&closed, "http_proxy", NOWHERE), "{closed:?}");
        assert!(!closed.iter().any(|(name, _)| name.to_lowercase() == "no_proxy"), "{closed:?}");
        // Anyone who names an index without TLS has it so.
        let told = bench();
        told.host.set_env("PIP_INDEX_URL", "http://index.example.org/simple");
        let configured = bench();
        configured.host.put_file("/etc/pip.conf", "[global]\nindex-url = http://index.example.org/simple\n", 0o644);
        let written = bench();
        written.host.put_file("/srv/requirements.txt", "--find-links http://files.example.org/\nflask\n", 0o644);
        let of_file = PythonEnv { requirements: "/srv/requirements.txt".to_owned(), ..act.clone() };
        for (bench, act) in [(told, &act), (configured, &act), (written, &of_file)] {
            let open = environment(&bench, act);
            assert!(!open.iter().any(|(name, _)| name == "http_proxy"), "{open:?}");
        }
        // virtualenv fetches what it begins with by pip, too.
        let old = PythonEnv {
            virtualenv: vec!["/usr/bin/virtualenv".to_owned()],
            seeds: [("pip".to_owned(), "20.3.4".to_owned())].into(),
            ..env()
        };
        let bench = bench();
        bench.host.on(&["/usr/bin/virtualenv"], |_, _| crate::host::fake::output(0, "", ""));
        bench.make(&old);
        let commands = bench.host.commands();
        let made = commands.iter().find(|command| command.argv[0] == "/usr/bin/virtualenv").unwrap();
        assert!(has(&made.env, "http_proxy", NOWHERE));
    }

    const LOCKED: &str = r#"{"_meta": {}, "default": {"flask": {"version": "==3.0.3", "hashes": ["sha256:00"]}}}"#;

    /// What pip is asked, in the order in which it is.
    fn asked_of_pip(bench: &Bench) -> Vec<String> {
        let commands = bench.host.commands();
        let pip = commands.iter().filter(|command| command.argv.iter().any(|word| word == "pip"));
        pip.map(|command| command.argv.join(" ").split(" --no-cache-dir ").nth(1).unwrap().to_owned()).collect()
    }

    #[test]
    fn a_lock_file_is_installed_with_its_hashes_and_nothing_else() {
        let bench = bench();
        bench.host.put_file("/srv/code/Pipfile.lock", LOCKED, 0o644);
        let act = PythonEnv {
            requirements: "/srv/code/requirements.txt".to_owned(),
            alternatives: vec!["uv.lock".to_owned(), "Pipfile.lock".to_owned()],
            packages: vec!["gunicorn".to_owned()],
            ..env()
        };
        let dir = bench.with(|cx| act.required_release(cx.host)).unwrap().dir();
        let version = r#"{"python_full_version": "3.11.2"}"#;
        bench.host.on(&[&dir.join("bin/python").to_string_lossy(), "-E"], move |_, _| {
            crate::host::fake::output(0, version, "")
        });
        bench.make(&act);
        let shown = dir.display();
        let expected = [
            format!("--no-deps --require-hashes --requirement {shown}/bringup-requirements.txt"),
            format!("--constraint {shown}/bringup-constraints.txt gunicorn"),
        ];
        assert_eq!(asked_of_pip(&bench), expected);
        let written = bench.host.read(&dir.join(RESOLVED)).unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), "flask==3.0.3 --hash=sha256:00\n");
        assert_eq!(bench.check(&act), Ok(Verdict::Unchanged));
        // A requirements file goes before, and is another environment.
        bench.host.put_file("/srv/code/requirements.txt", "flask\n", 0o644);
        assert_ne!(bench.check(&act), Ok(Verdict::Unchanged));
        bench.make(&act);
        assert_eq!(asked_of_pip(&bench).last().unwrap(), "--requirement /srv/code/requirements.txt gunicorn");
    }

    #[test]
    fn a_package_with_another_hash_is_told_from_a_missing_index() {
        let bench = bench();
        bench.host.put_file("/srv/code/Pipfile.lock", LOCKED, 0o644);
        let act = PythonEnv { requirements: "/srv/code/Pipfile.lock".to_owned(), ..env() };
        let dir = bench.with(|cx| act.required_release(cx.host)).unwrap().dir();
        let program = dir.join("bin/python").to_string_lossy().into_owned();
        bench.host.on(&[&program, "-E"], |_, _| crate::host::fake::output(0, "{}", ""));
        bench.host.on(&[&program, "-m"], |_, _| {
            crate::host::fake::output(
                1,
                "",
                "    flask==3.0.3 from https://x:\n        Expected sha256 00\n             Got        11\n",
            )
        });
        let failure = bench.try_to_make(&act).err().unwrap();
        assert!(failure.why.contains("another file than /srv/code/Pipfile.lock names"), "{failure:?}");
        assert!(bench.host.stat("/srv/app/venv".as_ref()).unwrap().is_none());
    }

    #[test]
    fn an_option_among_the_packages_is_refused() {
        let act = PythonEnv { packages: vec!["--index-url=http://x".to_owned()], ..env() };
        assert!(bench().check(&act).unwrap_err().hint.unwrap().contains("requirements file"));
    }
}
