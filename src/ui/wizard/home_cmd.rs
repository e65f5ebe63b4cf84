//! What is done outside for the first page: looking at the applications that are applied here.

use crate::engine::detach;
use crate::engine::health::{self, Finding, Installed, Level, verify};
use crate::engine::runs;
use crate::host::{Command, Host};
use crate::ui::wizard::cmd::Msg;

/// Lines of the applications' journal that are shown.
const LINES: &str = "300";

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
