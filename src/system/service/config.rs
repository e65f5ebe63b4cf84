//! Whether the configuration that lies on disk would let a server start again, asked without touching the server.
//!
//! A server goes on with what it has read, however broken its files are by now. Whoever restarts it then ends it, and
//! everything that it served. So the files are tested before a run begins, before a service takes them up, and
//! before a rollback brings one back: by the command that the guide names, or else by what the server itself offers.
//! What is tested is the whole configuration, of whomever.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::Failure;
use crate::host::{Command, Host, Output};
use crate::system::service::Manager;

mod place;
mod servers;

pub use place::paths;

/// No test takes longer, unless the server is at its end; and then it says nothing about the configuration.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Lines of a test's output that are reported.
const LINES: usize = 20;

/// What a test says is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// What tests it, for someone who wants to do that by hand.
    pub by: String,
    /// The file, with its line where that is known.
    pub place: Option<String>,
    /// The decisive line of the server's message.
    pub words: String,
    /// All it said.
    pub lines: Vec<String>,
}

impl Broken {
    /// From the output of a test.
    fn new(by: &str, output: &Output) -> Self {
        let text = [output.stderr.as_slice(), &output.stdout].map(String::from_utf8_lossy).join("\n");
        let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.trim().is_empty()).collect();
        let (place, words) = place::find(&lines);
        let words = words.unwrap_or_else(|| format!("`{by}` ended with status {}", output.status));
        let lines = lines[lines.len().saturating_sub(LINES)..].iter().map(|line| (*line).to_owned()).collect();
        Self { by: by.to_owned(), place, words, lines }
    }

    /// `/etc/nginx/conf.d/shop.conf:2: unknown directive "foo"`.
    pub fn told(&self) -> String {
        match &self.place {
            Some(place) if !self.words.starts_with(place.as_str()) => format!("{place}: {}", self.words),
            _ => self.words.clone(),
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        let what = match &self.place {
            Some(place) => format!("correct {place}, or move that file away"),
            None => "correct it".to_owned(),
        };
        format!("{what}; `{}` tests it", self.by)
    }

    /// As the reason why something was not done.
    pub fn failure(&self, what: impl Into<String>, why: &str) -> Failure {
        Failure::new(what, format!("{why}: {}", self.told())).tail(self.lines.clone()).hint(self.hint())
    }
}

/// What is wrong with the configuration of a service, when something is. `declared` is the test that the guide
/// names; without one the server's own is made, if its program is there. A test that cannot be made says nothing.
pub fn broken(
    host: &dyn Host,
    manager: Manager,
    service: &str,
    declared: &[String],
    log: Option<&Path>,
) -> Option<Broken> {
    match declared.first() {
        Some(program) if installed(host, program) => by_command(host, declared, log),
        Some(_) => None,
        None => own(host, manager, service),
    }
}

/// The same, by tests that belong to this program alone: they only look.
pub fn own(host: &dyn Host, manager: Manager, service: &str) -> Option<Broken> {
    servers::Server::of(manager, service)?.broken(host, service)
}

/// Every server of this server whose configuration is broken, by name.
pub fn broken_servers(host: &dyn Host) -> Vec<(&'static str, Broken)> {
    let tested = std::thread::scope(|scope| {
        let test = |name: &'static str| scope.spawn(move || (name, own(host, Manager::Systemd, name)));
        let tests: Vec<_> = servers::NAMES.into_iter().map(test).collect();
        tests.into_iter().filter_map(|test| test.join().ok()).collect::<Vec<_>>()
    });
    tested.into_iter().filter_map(|(name, broken)| Some((name, broken?))).collect()
}

fn by_command(host: &dyn Host, argv: &[String], log: Option<&Path>) -> Option<Broken> {
    let command = Command::new(argv.iter().cloned()).timeout(TIMEOUT);
    let output = host.run(&Command { log: log.map(Path::to_owned), ..command }).ok()?;
    // A test that timed out, or could not be executed, has tested nothing.
    (!output.ok() && !matches!(output.status, 124 | 126 | 127)).then(|| Broken::new(&argv.join(" "), &output))
}

/// Directories of server programs.
const DIRS: [&str; 6] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin", "/usr/local/bin"];

/// Whether a program is there: one that is not has no configuration to be broken.
fn installed(host: &dyn Host, program: &str) -> bool {
    let there = |path: PathBuf| matches!(host.stat(&path), Ok(Some(_)));
    if program.starts_with('/') {
        return there(PathBuf::from(program));
    }
    DIRS.iter().any(|dir| there(Path::new(dir).join(program)))
}

#[cfg(test)]
mod tests;
