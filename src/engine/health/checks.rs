//! The checks of each application, and of the server. They only read.

use std::path::Path;
use std::time::Duration;

use super::{Finding, Installed, Level};
use crate::action::Action;
use crate::action::source::{From, short};
use crate::engine::drift::{self, Drift, How};
use crate::engine::runs::Run;
use crate::host::{Command, Host};
use crate::human_bytes;
use crate::proof::Proof;
use crate::system::packages::apt::{self, Lists};
use crate::system::packages::simulation::Simulation;
use crate::system::service::{Manager, systemd};
use crate::system::x509::validity::validity;

/// Seconds of a day.
const DAY: i64 = 86_400;
/// A certificate should be renewed this many days before its end: certbot does it 30 days before.
const RENEWED: i64 = 21;
/// Timeout for apt: a small server needs some seconds to build its cache.
const APT: Duration = Duration::from_secs(15);
/// At most this many items of a list are named.
const NAMED: usize = 3;

/// The origin of the sources that this action installs. `commit`: what is in place of a repository.
pub(super) fn version(action: &Action, commit: Option<&str>) -> Option<String> {
    let Action::Source(source) = action else { return None };
    let location = crate::visible::line(&source.location);
    let commit = commit.filter(|commit| *commit != source.reference);
    Some(match (source.from, source.reference.as_str(), commit.map(short)) {
        (From::Push, reference, None) => format!("{reference} (nothing has been pushed yet)"),
        (From::Push, reference, Some(commit)) => format!("{reference} ({commit})"),
        (From::Asset, ..) => format!("{location}, as shipped with bringup {}", env!("CARGO_PKG_VERSION")),
        (_, "", None) => location,
        (_, "", Some(commit)) => format!("{commit} of {location}"),
        (_, reference, None) => format!("{reference} of {location}"),
        (_, reference, Some(commit)) => format!("{reference} ({commit}) of {location}"),
    })
}

/// The commit of a repository's sources that is in place, or the digest of an image.
pub(super) fn commit(host: &dyn Host, action: &Action) -> Option<String> {
    match action {
        Action::Source(source) if matches!(source.from, From::Git | From::Image) => source.resolved(host),
        Action::Source(source) if !source.commit.is_empty() => source.resolved(host),
        _ => None,
    }
}

/// The systemd unit that this action runs; timers have no check of their own.
pub(super) fn unit(action: &Action) -> Option<String> {
    let Action::Service(service) = action else { return None };
    let is_unit = service.running && service.manager == Manager::Systemd && service.name.ends_with(".service");
    is_unit.then(|| service.name.clone())
}

/// Checks that its services run.
pub(super) fn services(host: &dyn Host, it: &Installed) -> Option<Finding> {
    let services = it.actions().filter_map(|planned| match &planned.action {
        Action::Service(service) if service.running => Some(service),
        _ => None,
    });
    let (mut down, mut untold, mut all) = (Vec::new(), Vec::new(), 0);
    for service in services {
        all += 1;
        match service.manager.state(host, &service.name) {
            Ok(state) if state.active => {}
            Ok(state) => down.push(format!("{} ({})", service.name, state.detail)),
            Err(failure) => untold.push(format!("{} ({})", service.name, failure.why)),
        }
    }
    let title = "Services";
    if all == 0 {
        return None;
    }
    Some(if !down.is_empty() {
        let fix = format!("systemctl status {}", down[0].split(' ').next().unwrap_or_default());
        Finding::new(title, Level::Problem, format!("not running: {}", down.join(", ")), fix)
    } else if !untold.is_empty() {
        Finding::unknown(title, untold.join(", "), "")
    } else {
        Finding::good(title, format!("{all} of {all} run{}", memory(host, it)))
    })
}

/// "; memory: web 120 MB", of those services that the guide calls the application's.
pub(super) fn memory(host: &dyn Host, it: &Installed) -> String {
    let services = it.plan.iter().filter_map(|plan| plan.care.as_ref()).flat_map(|care| &care.services);
    let used = services.filter(|service| service.manager == Manager::Systemd).filter_map(|service| {
        let bytes = systemd::memory(host, &service.unit)?;
        Some(format!("{} {}", service.name, human_bytes::human(bytes)))
    });
    let used: Vec<String> = used.collect();
    if used.is_empty() { String::new() } else { format!("; memory: {}", used.join(", ")) }
}

/// The certificate that its plan puts in place.
pub(super) fn certificate_of(host: &dyn Host, it: &Installed) -> Option<Finding> {
    it.actions().find_map(|planned| certificate(host, &planned.action)).map(|(_, finding)| finding)
}

/// The path of this action's certificate and its real kind, whatever was planned; none for another action.
pub(super) fn certificate<'a>(host: &dyn Host, action: &'a Action) -> Option<(&'a Path, Finding)> {
    let (path, acme) = match action {
        Action::Certificate(certificate) => (&certificate.certificate, false),
        Action::Acme(acme) => (&acme.certificate, true),
        _ => return None,
    };
    Some((path, judged(host, path, acme)))
}

/// `acme`: it should be an authority's, renewed by certbot.
fn judged(host: &dyn Host, path: &Path, acme: bool) -> Finding {
    let title = "Certificate";
    let found = match host.read_at_most(path, 1 << 20) {
        Ok(pem) => validity(&pem),
        Err(error) => return Finding::unknown(title, format!("{}: {error}", path.display()), ""),
    };
    let Some(found) = found else {
        return Finding::unknown(title, format!("no certificate in {}", path.display()), "");
    };
    let days = (found.until - host.now().sec).div_euclid(DAY);
    let who = match (found.self_signed, found.issuer.as_str()) {
        (true, _) => "self-signed: browsers warn until they trust it".to_owned(),
        (false, "") => "issued by an authority".to_owned(),
        (false, issuer) => format!("issued by {issuer}"),
    };
    let until = format!("{who}; valid until {}", day(found.until));
    let retry = "bringup tls retry";
    match (days, acme, found.self_signed) {
        (..0, true, _) => Finding::new(title, Level::Problem, format!("{who}; expired on {}", day(found.until)), retry),
        (..0, ..) => Finding::new(title, Level::Problem, format!("{who}; expired on {}", day(found.until)), "bringup"),
        (_, true, true) => Finding::new(title, Level::Warning, format!("{until}; the authority issued none"), retry),
        (..RENEWED, true, _) => {
            let late = format!("{until}, in {days} days; certbot should have renewed it");
            Finding::new(title, Level::Warning, late, "certbot renew --dry-run")
        }
        (..RENEWED, false, _) => Finding::new(title, Level::Warning, format!("{until}, in {days} days"), "bringup"),
        (_, true, _) => Finding::good(title, format!("{until}; renewed by certbot.timer")),
        _ => Finding::good(title, until),
    }
}

/// Checks the age of the newest file that a timer writes.
pub(super) fn backup(host: &dyn Host, it: &Installed) -> Option<Finding> {
    let timer = it.proofs().find_map(|planned| match &planned.proof {
        Proof::Timer(timer) if timer.newest.is_some() => Some(timer),
        _ => None,
    })?;
    let newest = timer.newest.as_ref()?;
    let (title, place) = ("Backup", newest.directory.display());
    if let Err(error) = host.list(&newest.directory) {
        return Some(Finding::unknown(title, format!("{place}: {error}"), ""));
    }
    let Some((name, at)) = newest.find(host) else {
        return Some(Finding::new(title, Level::Problem, format!("there is none in {place}"), "bringup verify"));
    };
    let hours = (host.now().sec - at).max(0) / 3_600;
    let age = match hours {
        0 => "less than 1 h old".to_owned(),
        ..48 => format!("{hours} h old"),
        _ => format!("{} days old", hours / 24),
    };
    let found = format!("{age}: {place}/{name}");
    let is_late = hours > i64::try_from(timer.max_age).unwrap_or(i64::MAX);
    Some(match is_late {
        true if timer.unit.is_empty() => Finding::new(title, Level::Problem, found, "bringup verify"),
        true => Finding::new(title, Level::Problem, found, format!("systemctl status {}", timer.unit)),
        false => Finding::good(title, found),
    })
}

/// Checks for changes made outside bringup.
pub(super) fn drift(host: &dyn Host, all: &[Run], it: &Installed) -> Finding {
    let title = "Drift";
    let (files, drift) = drift::drift(host, all, &it.application);
    if files == 0 {
        return Finding::unknown(title, "its runs recorded no file", "");
    }
    if drift.is_empty() {
        return Finding::good(title, format!("none: {files} files are as they were written"));
    }
    let mut words: Vec<String> = drift.iter().take(NAMED).map(Drift::words).collect();
    if drift.len() > NAMED {
        words.push(format!("and {} more", drift.len() - NAMED));
    }
    let words = words.join("; ");
    if drift.iter().all(|one| matches!(one.how, How::Unknown(_))) {
        return Finding::unknown(title, words, "");
    }
    Finding::new(title, Level::Warning, words, "bringup shows it in the review")
}

/// Packages with a newer version, according to the server's present package lists.
pub(super) fn updates(host: &dyn Host) -> Finding {
    let title = "Updates";
    match apt::lists(host) {
        Lists::Missing => return Finding::unknown(title, "the package lists were never fetched", "apt-get update"),
        Lists::Old => return Finding::unknown(title, "the package lists are older than a day", "apt-get update"),
        Lists::Fresh => {}
    }
    // Neither a lock nor a cache file: the check only reads.
    let quiet = ["-o", "Debug::NoLocking=1", "-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache="];
    let argv = ["apt-get", "--simulate"].into_iter().chain(quiet).chain(["upgrade"]);
    let output = match host.run(&Command::new(argv).timeout(APT)) {
        Ok(output) if output.status == 0 => output,
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let why = said.lines().next().unwrap_or("apt-get failed").to_owned();
            return Finding::unknown(title, why, "apt-get check");
        }
        Err(error) => return Finding::unknown(title, format!("apt-get: {error}"), ""),
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let all = Simulation::parse(&text).upgrades.len();
    let security = text.lines().filter(|line| line.starts_with("Inst ") && line.contains("ecurity")).count();
    let reboot = host.stat(Path::new("/run/reboot-required")).ok().flatten().is_some();
    match (all, security, reboot) {
        (_, 1.., _) => {
            let found = format!("{security} security updates are not installed, {all} updates in all");
            Finding::new(title, Level::Warning, found, "apt-get upgrade")
        }
        (_, 0, true) => {
            Finding::new(title, Level::Warning, "installed updates take effect after a reboot", "systemctl reboot")
        }
        (0, ..) => Finding::good(title, "none are waiting"),
        (all, ..) => Finding::good(title, format!("{all} are waiting, none of them for security")),
    }
}

/// `2027-11-21`.
pub(super) fn day(at: i64) -> String {
    jiff::Timestamp::from_second(at).map_or_else(|_| at.to_string(), |at| at.strftime("%Y-%m-%d").to_string())
}

/// `2026-11-21 09:31 UTC`.
pub(super) fn minute(at: i64) -> String {
    jiff::Timestamp::from_second(at).map_or_else(|_| at.to_string(), |at| at.strftime("%Y-%m-%d %H:%M UTC").to_string())
}
