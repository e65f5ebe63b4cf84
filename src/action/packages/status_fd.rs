//! `APT::Status-Fd`: how far a transaction is.
//!
//! Lines are `dlstatus:<file>:<percent>:<text>` while files come, `pmstatus:<package>:<percent>:<text>` while
//! dpkg works, and `pmerror:<package>:<percent>:<text>` when it fails (apt's README.progress-reporting).

use crate::action::Progress;

/// Share of the whole that downloading gets.
const DOWNLOAD_SHARE: f32 = 40.0;

/// Follows a transaction.
#[derive(Debug, Default)]
pub struct Follower {
    /// What apt says it has to fetch, such as `12.3 MB`.
    to_fetch: Option<String>,
    /// The first error that dpkg reported.
    pub error: Option<String>,
    last: Option<(u32, String)>,
}

/// What a line of apt means.
#[derive(Debug, PartialEq)]
pub enum Line {
    /// Progress that is worth telling.
    Progress(Progress),
    /// A status line that tells nothing new.
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
        let (share, note) = match kind {
            "dlstatus" => {
                let Some((percent, _)) = percent(rest) else {
                    return Line::Quiet;
                };
                let note = match &self.to_fetch {
                    Some(size) => format!("downloading {size}"),
                    None => "downloading".to_owned(),
                };
                (percent * DOWNLOAD_SHARE / 100.0, note)
            }
            "pmstatus" => {
                let Some((percent, text)) = percent(rest) else {
                    return Line::Quiet;
                };
                // Each step is announced and then told again.
                if text.starts_with("Preparing") {
                    return Line::Quiet;
                }
                (DOWNLOAD_SHARE + percent * (100.0 - DOWNLOAD_SHARE) / 100.0, tidy(text))
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
        // A tenth of a percent is more than any bar can show.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1000")]
        let now = ((share.clamp(0.0, 100.0) * 10.0) as u32, note.clone());
        if self.last.as_ref() == Some(&now) {
            return Line::Quiet;
        }
        self.last = Some(now);
        Line::Progress(Progress::Percent { percent: share.clamp(0.0, 100.0), note })
    }

    fn output(&mut self, line: &str) -> Line {
        // "Need to get 12.3 MB/45.6 MB of archives." when a part is there already.
        if let Some(rest) = line.strip_prefix("Need to get ")
            && let Some((size, _)) = rest.split_once(" of archives")
        {
            self.to_fetch = Some(size.split('/').next().unwrap_or(size).to_owned());
        }
        Line::Output
    }
}

/// `(percent, text)` of what follows the kind. The package may hold a colon itself (`libc6:i386`).
fn percent(rest: &str) -> Option<(f32, &str)> {
    let mut rest = rest;
    loop {
        let (field, after) = rest.split_once(':')?;
        if let Some((number, text)) = after.split_once(':')
            && let Ok(percent) = number.parse::<f32>()
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
            Line::Progress(Progress::Percent { percent, note }) => (percent, note),
            other => panic!("{line} gave {other:?}"),
        }
    }

    #[test]
    fn downloading_takes_the_first_forty_percent_and_dpkg_the_rest() {
        let mut follower = Follower::default();
        assert_eq!(follower.line("Need to get 12.3 MB/45.6 MB of archives."), Line::Output);
        let (percent, note) = progress(&mut follower, "dlstatus:3:50.0000:Retrieving file 3 of 6 (2s remaining)");
        assert!((percent - 20.0).abs() < 0.01);
        assert_eq!(note, "downloading 12.3 MB");
        let (percent, note) = progress(&mut follower, "pmstatus:nginx-common:50.0:Unpacking nginx-common (amd64)");
        assert!((percent - 70.0).abs() < 0.01);
        assert_eq!(note, "unpacking nginx-common");
        let (percent, _) = progress(&mut follower, "pmstatus:libc6:i386:100:Installed libc6 (i386)");
        assert!((percent - 100.0).abs() < 0.01);
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
        for line in ["dlstatus:", "pmstatus:a", "pmstatus:::", "pmstatus:a:b:c:d", "pmerror:"] {
            assert_eq!(follower.line(line), Line::Quiet, "{line}");
        }
        assert_eq!(follower.line("Setting up a: done"), Line::Output);
    }
}
