//! What the first page knows of the applications that are applied here: their names at once, the rest as it is found.

use crate::engine::detach;
use crate::engine::health::{self, Finding, Installed, Level, verify};
use crate::engine::runs;
use crate::error::Outcome;
use crate::facts::Application;
use crate::host::{Command, Host};
use crate::ui::health::Health;
use crate::ui::wizard::cmd::Msg;

/// Lines of the applications' journal that are shown.
const LINES: &str = "300";

/// The applications of this server.
#[derive(Debug, Default)]
pub struct Home {
    /// From the world-readable record; shown until more is known.
    pub noted: Vec<Application>,
    /// From their runs; none before these were read.
    pub installed: Option<Vec<Installed>>,
    /// Why they cannot be read.
    pub trouble: Option<String>,
    /// How well they are.
    pub health: Health,
    /// All findings were reported.
    pub done: bool,
}

impl Home {
    /// For applications of which only names and addresses are known; none without any.
    pub fn of(mut noted: Vec<Application>) -> Option<Self> {
        // The newest first, as in their runs.
        noted.reverse();
        (!noted.is_empty()).then(|| Self { noted, ..Self::default() })
    }

    /// The applications with all that is known of each.
    pub fn applications(&self) -> Vec<(&Application, Option<&Installed>)> {
        match &self.installed {
            Some(installed) => installed.iter().map(|it| (&it.application, Some(it))).collect(),
            None => self.noted.iter().map(|application| (application, None)).collect(),
        }
    }

    /// Whether nothing more is awaited.
    pub fn is_looked_at(&self) -> bool {
        self.done
    }

    /// The runs were read, or why not.
    pub fn found(&mut self, installed: Outcome<Vec<Installed>>) {
        match installed {
            Ok(installed) => self.installed = Some(installed),
            Err(failure) => self.trouble = Some(failure.why),
        }
    }
}

/// Reads the runs, then checks everything; each finding is reported as it is known.
pub fn look(host: &dyn Host, tell: &(dyn Fn(Msg) + Sync)) {
    let running = detach::running(host);
    let all = match runs::all(host, running.as_deref()) {
        Ok(all) => all,
        Err(failure) => {
            tell(Msg::Home(Err(failure)));
            return tell(Msg::Looked);
        }
    };
    let installed = health::installed(host, &all);
    tell(Msg::Home(Ok(installed.clone())));
    // While a run works, any finding would be out of date at once.
    if running.is_none() {
        health::look(host, &all, &installed, &|at, finding| tell(Msg::Health(at, finding)));
    }
    tell(Msg::Looked);
}

/// Tries the proofs of the application at this place again.
pub fn verify(host: &dyn Host, at: usize, it: &Installed, tell: &(dyn Fn(Msg) + Sync)) {
    let title = health::TITLES[0];
    let say = |level, found: String| tell(Msg::Health(Some(at), Finding { title, level, found, fix: String::new() }));
    let tried = std::cell::Cell::new(0);
    say(Level::Unknown, "being tried".to_owned());
    let verified = runs::all(host, detach::running(host).as_deref()).and_then(|all| {
        verify::verify(host, &all, std::slice::from_ref(it), &|_, planned, _| {
            tried.set(tried.get() + 1);
            say(Level::Unknown, format!("{} tried; the last: {}", tried.get(), planned.describe));
        })
    });
    match verified {
        Ok(()) => tell(Msg::Health(Some(at), verify::last(host, it))),
        Err(failure) => say(Level::Unknown, format!("Cannot tell: {}", failure.why)),
    }
}

/// The end of what the services of an application wrote to the journal.
pub fn logs(host: &dyn Host, it: &Installed) -> String {
    let units = it.units();
    let argv = ["journalctl", "--no-pager", "-o", "short-iso", "-n", LINES].into_iter().map(str::to_owned);
    let argv = argv.chain(units.iter().flat_map(|unit| ["-u".to_owned(), unit.clone()]));
    if units.is_empty() {
        return "No logs here: none of its services is a systemd unit; see its files under /var/log.".to_owned();
    }
    match host.run(&Command::new(argv).timeout(std::time::Duration::from_secs(10))) {
        Ok(output) if output.status == 0 => String::from_utf8_lossy(&output.stdout).into_owned(),
        Ok(output) => format!("Cannot tell: {}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => format!("Cannot tell: {error}"),
    }
}
