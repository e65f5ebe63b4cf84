//! `APT::Status-Fd`: how far a transaction is.
//!
//! Lines are `dlstatus:<file>:<percent>:<text>` while files come, `pmstatus:<package>:<percent>:<text>` while
//! dpkg works, and `pmerror:<package>:<percent>:<text>` when it fails (apt's README.progress-reporting).

use std::collections::HashSet;

use crate::progress::{Amount, Progress, Unit};

/// Share of the whole that downloading gets.
pub const DOWNLOAD_SHARE: f32 = 40.0;
/// What apt's percentage of a download counts besides bytes: a fifth of it are files (`pkgAcquireStatus::Pulse`,
/// the same in Debian 11, 12 and 13).
const FILES_SHARE: f32 = 20.0;

/// Follows a transaction.
#[derive(Debug, Default)]
pub struct Follower {
    /// Bytes that apt says it has to fetch.
    to_fetch: Option<u64>,
    /// Packages that it installs or upgrades, and those that it removes.
    arriving: u64,
    leaving: u64,
    /// Their number was reported.
    announced: bool,
    unpacked: HashSet<String>,
    configured: HashSet<String>,
    removed: HashSet<String>,
    /// The first error that dpkg reported.
    pub error: Option<String>,
    last: Option<(u32, String)>,
}

/// What a line of apt means.
#[derive(Debug, PartialEq)]
pub enum Line {
    /// Progress that is worth telling.
    Progress(Progress),
    /// A status line without news.
    Quiet,
    /// Not a status line: output for the log.
    Output,
}

impl Follower {
    /// Takes a line of apt's output or of its status stream.
    pub fn line(&mut self, line: &str) -> Line {
        let Some((kind, rest)) = line.split_once(':') else {
            return self.output(line);
        };
        let (percent, note, amount) = match kind {
            "dlstatus" => {
                let Some((percent, text)) = percent(rest) else {
                    return Line::Quiet;
                };
                let amount = if !self.announced && self.arriving > 0 {
                    self.announced = true;
                    Some(Amount { done: 0, total: self.arriving, unit: Unit::Packages })
                } else {
                    let done = |total| fetched(percent, text, total);
                    self.to_fetch.map(|total| Amount { done: done(total), total, unit: Unit::Bytes })
                };
                (percent * DOWNLOAD_SHARE / 100.0, "fetching".to_owned(), amount)
            }
            "pmstatus" => {
                let Some((percent, text)) = percent(rest) else {
                    return Line::Quiet;
                };
                let package = rest.split(':').next().unwrap_or_default();
                let DpkgStep::Told(amount) = self.step(package, text) else {
                    return Line::Quiet;
                };
                (DOWNLOAD_SHARE + percent * (100.0 - DOWNLOAD_SHARE) / 100.0, tidy(text), amount)
            }
            "pmerror" => {
                if let Some((_, text)) = percent(rest) {
                    let package = rest.split(':').next().unwrap_or_default();
                    let package = package.rsplit('/').next().unwrap_or(package);
                    self.error.get_or_insert_with(|| format!("{package}: {text}"));
                }
                return Line::Quiet;
            }
            "pmconffile" | "media-change" => return Line::Quiet,
            _ => return self.output(line),
        };
        let progress = Progress::Percent { percent: percent.clamp(0.0, 100.0), note, amount };
        // A tenth of a percent is more than any bar can show.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1000")]
        let now = ((percent.clamp(0.0, 100.0) * 10.0) as u32, progress.text().into_owned());
        if self.last.as_ref() == Some(&now) {
            return Line::Quiet;
        }
        self.last = Some(now);
        Line::Progress(progress)
    }

    /// Counts a step of dpkg in.
    fn step(&mut self, package: &str, text: &str) -> DpkgStep {
        let Some((verb, _)) = text.split_once(' ') else { return DpkgStep::Quiet };
        let set = match verb {
            // Reported when it is unpacked, configured, or removed.
            "Installing" => &mut self.unpacked,
            "Installed" => &mut self.configured,
            "Removed" => &mut self.removed,
            "Completely" if text.starts_with("Completely removed") => &mut self.removed,
            "Unpacking" => return DpkgStep::told(self.unpacked.len(), self.arriving),
            "Configuring" => return DpkgStep::told(self.configured.len(), self.arriving),
            "Removing" | "Completely" => return DpkgStep::told(self.removed.len(), self.leaving),
            "Preparing" | "Running" if !text.contains("trigger") => return DpkgStep::Quiet,
            _ => return DpkgStep::Told(None),
        };
        set.insert(package.to_owned());
        DpkgStep::Quiet
    }

    fn output(&mut self, line: &str) -> Line {
        // "Need to get 12.3 MB/45.6 MB of archives." when a part is there already.
        if let Some(rest) = line.strip_prefix("Need to get ")
            && let Some((size, _)) = rest.split_once(" of archives")
        {
            self.to_fetch = bytes(size.split('/').next().unwrap_or(size));
        }
        // "1 upgraded, 33 newly installed, 0 to remove and 2 not upgraded."
        if line.contains(" newly installed, ") {
            let count = |what: &str| {
                let mut parts = line.split([',', '.']).flat_map(|part| part.split(" and "));
                parts.find_map(|part| part.trim().strip_suffix(what)?.trim().parse::<u64>().ok()).unwrap_or(0)
            };
            let arriving = [" upgraded", " newly installed", " reinstalled", " downgraded"];
            self.arriving = arriving.into_iter().map(count).sum();
            self.leaving = count(" to remove");
        }
        Line::Output
    }
}

/// A step of dpkg: each is announced before it begins, and reported again when it has ended.
enum DpkgStep {
    /// Of no use to a reader.
    Quiet,
    /// It begins; how many are done before it, where that is known.
    Told(Option<Amount>),
}

impl DpkgStep {
    fn told(done: usize, total: u64) -> Self {
        let done = u64::try_from(done).unwrap_or(u64::MAX).min(total);
        Self::Told((total > 0).then_some(Amount { done, total, unit: Unit::Packages }))
    }
}

/// The bytes that are there, of `Retrieving file 3 of 33` and apt's percentage, in which whole files count too.
fn fetched(percent: f32, text: &str, total: u64) -> u64 {
    let place = text.strip_prefix("Retrieving file ").and_then(|rest| {
        let (at, rest) = rest.split_once(" of ")?;
        let count = rest.split(' ').next()?.parse::<f32>().ok().filter(|count| *count > 0.0)?;
        Some((at.parse::<f32>().ok()?, count))
    });
    let share = match place {
        Some((at, count)) => (percent - FILES_SHARE * (at - 1.0) / count) / (100.0 - FILES_SHARE),
        None => percent / 100.0,
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "0 to 1")]
    let done = (f64::from(share.clamp(0.0, 1.0)) * total as f64) as u64;
    done.min(total)
}

/// `8901 kB`, `12.3 MB`.
fn bytes(size: &str) -> Option<u64> {
    let (figure, unit) = size.trim().split_once(' ')?;
    let figure: f64 = figure.replace(',', "").parse().ok().filter(|figure| *figure >= 0.0)?;
    let unit = match unit {
        "B" => 1.0,
        "kB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        _ => return None,
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    let bytes = (figure * unit).round() as u64;
    Some(bytes)
}

/// `(percent, text)` of what follows the kind. The package may hold a colon itself (`libc6:i386`).
fn percent(rest: &str) -> Option<(f32, &str)> {
    let mut rest = rest;
    loop {
        let (field, after) = rest.split_once(':')?;
        if let Some((number, text)) = after.split_once(':')
            && let Ok(percent) = number.parse::<f32>()
            && percent.is_finite()
        {
            return Some((percent, text));
        }
        if field.is_empty() && after.is_empty() {
            return None;
        }
        rest = after;
    }
}

/// "Unpacking nginx-common (amd64)" reads "unpacking nginx-common" in the middle of a line.
fn tidy(text: &str) -> String {
    let text = text.split(" (").next().unwrap_or(text);
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(follower: &mut Follower, line: &str) -> (f32, String) {
        match follower.line(line) {
            Line::Progress(progress) => {
                let Progress::Percent { percent, .. } = progress else { panic!("{line} gave {progress:?}") };
                (percent, progress.text().into_owned())
            }
            other => panic!("{line} gave {other:?}"),
        }
    }

    fn after(lines: &[&str]) -> Follower {
        let mut follower = Follower::default();
        for line in lines {
            assert!(!matches!(follower.line(line), Line::Progress(_)), "{line}");
        }
        follower
    }

    #[test]
    fn a_download_tells_its_bytes() {
        // As apt 2.6 reports it: two archives of 820,928 and 2,055,000 bytes of 10,040,000 in 33 files.
        let mut follower = after(&["Need to get 10.0 MB/45.6 MB of archives."]);
        let (percent, text) = progress(&mut follower, "dlstatus:1:0.0000:Retrieving file 1 of 33");
        assert!((percent, text.as_str()) == (0.0, "fetching 0.0 of 10.0 MB"), "{percent} {text}");
        let (percent, text) = progress(&mut follower, "dlstatus:2:7.1494:Retrieving file 2 of 33");
        assert!((percent - 2.86).abs() < 0.01);
        assert_eq!(text, "fetching 0.8 of 10.0 MB");
        let (_, text) = progress(&mut follower, "dlstatus:3:24.1325:Retrieving file 3 of 33 (2s remaining)");
        assert_eq!(text, "fetching 2.9 of 10.0 MB");
        let (percent, text) = progress(&mut follower, "dlstatus:33:100.0000:Retrieving file 33 of 33");
        assert!((percent - 40.0).abs() < 0.01);
        assert_eq!(text, "fetching 10.0 of 10.0 MB");
    }

    #[test]
    fn how_many_packages_come_is_told_before_their_bytes() {
        let mut follower = after(&[
            "0 upgraded, 33 newly installed, 0 to remove and 0 not upgraded.",
            "Need to get 10.0 MB of archives.",
        ]);
        let line = "dlstatus:1:0.0000:Retrieving file 1 of 33";
        assert_eq!(progress(&mut follower, line).1, "0 of 33, fetching");
        assert_eq!(progress(&mut follower, line).1, "fetching 0.0 of 10.0 MB");
    }

    #[test]
    fn a_download_of_unknown_size_tells_its_percentage() {
        let mut follower = Follower::default();
        assert_eq!(progress(&mut follower, "dlstatus:3:50.0000:Retrieving file 3 of 6").1, "fetching");
        assert_eq!(
            (bytes("8901 kB"), bytes("1,234 B"), bytes("x MB"), bytes("")),
            (Some(8_901_000), Some(1234), None, None)
        );
    }

    #[test]
    fn dpkg_tells_how_many_packages_are_done() {
        let mut follower = after(&[
            "1 upgraded, 2 newly installed, 0 to remove and 7 not upgraded.",
            "pmstatus:dpkg-exec:0.0000:Running dpkg",
            "pmstatus:nginx-common:0.0:Preparing nginx-common (amd64)",
        ]);
        let mut shown = Vec::new();
        for line in [
            "pmstatus:nginx-common:10.0:Unpacking nginx-common (amd64)",
            "pmstatus:nginx-common:15.0:Installing nginx-common (amd64)",
            "pmstatus:libc6:i386:20.0:Unpacking libc6 (i386)",
            "pmstatus:libc6:i386:25.0:Installing libc6 (i386)",
            "pmstatus:libc6:i386:40.0:Preparing to configure libc6 (i386)",
            "pmstatus:libc6:i386:50.0:Configuring libc6 (i386)",
            "pmstatus:libc6:i386:60.0:Installed libc6 (i386)",
            "pmstatus:nginx-common:100.0:Configuring nginx-common (amd64)",
            "pmstatus:man-db:100.0:Running post-installation trigger man-db",
        ] {
            if let Line::Progress(progress) = follower.line(line) {
                shown.push(progress.text().into_owned());
            }
        }
        assert_eq!(
            shown,
            [
                "0 of 3, unpacking nginx-common",
                "1 of 3, unpacking libc6",
                "0 of 3, configuring libc6",
                "1 of 3, configuring nginx-common",
                "running post-installation trigger man-db"
            ]
        );
    }

    #[test]
    fn a_purge_tells_how_many_are_gone() {
        // As apt 2.6 reports it.
        let mut follower = after(&["0 upgraded, 0 newly installed, 2 to remove and 0 not upgraded."]);
        assert_eq!(progress(&mut follower, "pmstatus:nginx:7.6:Removing nginx (amd64)").1, "0 of 2, removing nginx");
        let (_, text) = progress(&mut follower, "pmstatus:nginx:23.0:Completely removing nginx (amd64)");
        assert_eq!(text, "0 of 2, completely removing nginx");
        assert_eq!(follower.line("pmstatus:nginx:30.7:Completely removed nginx (amd64)"), Line::Quiet);
        let (percent, text) = progress(&mut follower, "pmstatus:redis:61.5:Removing redis (amd64)");
        assert_eq!(text, "1 of 2, removing redis");
        assert!((percent - 76.9).abs() < 0.01);
    }

    #[test]
    fn the_same_state_is_told_once() {
        let mut follower = Follower::default();
        let line = "pmstatus:a:10:Configuring a";
        assert!(matches!(follower.line(line), Line::Progress(_)));
        assert_eq!(follower.line(line), Line::Quiet);
    }

    #[test]
    fn the_first_error_is_kept() {
        let mut follower = Follower::default();
        follower.line("pmerror:/var/cache/apt/archives/a_1_all.deb:10:trying to overwrite '/bin/a'");
        follower.line("pmerror:b:20:dependency problems");
        assert_eq!(follower.error.as_deref(), Some("a_1_all.deb: trying to overwrite '/bin/a'"));
    }

    #[test]
    fn a_malformed_status_line_is_survived() {
        let mut follower = Follower::default();
        for line in ["dlstatus:", "pmstatus:a", "pmstatus:::", "pmstatus:a:b:c:d", "pmstatus:a:1:b", "pmerror:"] {
            assert_eq!(follower.line(line), Line::Quiet, "{line}");
        }
        for line in ["dlstatus:1:NaN:Retrieving file 0 of 0", "dlstatus:1:-5:Retrieving file x of y"] {
            follower.line("Need to get 1 B of archives.");
            follower.line(line);
        }
        assert_eq!(follower.line("Setting up a: done"), Line::Output);
    }
}
