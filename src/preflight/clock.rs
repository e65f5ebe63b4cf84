//! The clock: TLS, package signatures and certificates depend on it.

use std::path::Path;

use super::{Finding, PATIENCE, ok, problem, warning};
use crate::facts::Facts;
use crate::facts::probe::{exists, text};
use crate::host::{Command, Host};

/// bringup itself is younger than the first, and no certificate of today will be good at the second (2025 and 2046,
/// in seconds since the epoch).
const SANE: std::ops::Range<i64> = 1_735_689_600..2_398_377_600;
/// Files may be this many seconds younger than the present: time zones and small corrections.
const DAY: i64 = 86_400;

pub(crate) fn clock(host: &dyn Host, facts: &Facts) -> Finding {
    let now = host.now().sec;
    let found = format!("{} UTC", shown(now));
    let set = "set it: `timedatectl set-time 'YYYY-MM-DD hh:mm'`, or in a container on its host";
    if !SANE.contains(&now) {
        return problem(format!("{found} is impossible"), set);
    }
    let written = host.stat(Path::new("/var/lib/dpkg/status")).ok().flatten().map_or(0, |stat| stat.mtime.sec);
    if written > now + DAY {
        return problem(format!("{found}, but packages were changed on {}", shown(written)), set);
    }
    match kept(host, facts) {
        Some(Kept::Synchronised) => ok(format!("{found}, synchronized")),
        Some(Kept::Outside) => ok(format!("{found}, kept by the container's host")),
        Some(Kept::Unsynchronised { fix }) => warning(format!("{found}, not synchronized"), fix),
        None => ok(format!("{found}; cannot tell whether it is synchronized")),
    }
}

enum Kept {
    Synchronised,
    Unsynchronised { fix: &'static str },
    Outside,
}

/// Who keeps the clock in time, as far as `timedatectl` knows.
fn kept(host: &dyn Host, facts: &Facts) -> Option<Kept> {
    // systemd-timesyncd(8) makes it at the first success.
    if exists(host, "/run/systemd/timesync/synchronized") {
        return Some(Kept::Synchronised);
    }
    if !text(host, "/run/systemd/container").trim().is_empty() {
        return Some(Kept::Outside);
    }
    if facts.init != "systemd" {
        return None;
    }
    let ask = ["timedatectl", "show", "--property=NTPSynchronized", "--property=NTP", "--property=CanNTP"];
    let told = host.run(&Command::new(ask).timeout(PATIENCE)).ok()?.text();
    let is = |line: &str| told.lines().any(|other| other == line);
    let fix = match () {
        () if is("NTPSynchronized=yes") => return Some(Kept::Synchronised),
        () if !is("NTPSynchronized=no") => return None,
        () if is("CanNTP=no") => "apt-get install systemd-timesyncd",
        () if is("NTP=no") => "timedatectl set-ntp true",
        () => {
            "wait a minute; if it does not help, allow outgoing UDP to port 123, or name a time server in /etc/systemd/timesyncd.conf"
        }
    };
    Some(Kept::Unsynchronised { fix })
}

fn shown(at: i64) -> String {
    jiff::Timestamp::from_second(at).map_or_else(|_| at.to_string(), |at| at.strftime("%Y-%m-%d %H:%M").to_string())
}
