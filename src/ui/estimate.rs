//! How long a run will still take: shown only where measurements of this run or of earlier ones on this host support
//! it, otherwise not at all.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::engine::decision::Choice;
use crate::engine::event::{Ended, Event, EventKind};
use crate::host::Stamp;
use crate::progress::{Amount, Progress, Unit};
use crate::system::packages::status_fd::DOWNLOAD_SHARE;

pub use expected::Expected;
pub use outlook::Outlook;
pub use past::Past;

mod expected;
mod outlook;
mod past;

/// The pace of a run is its time over the expected time, with this much expected time added to both: a few quick steps
/// say little. In milliseconds.
const PRIOR: f64 = 3_000.0;
/// No host is so much faster or slower than what was expected: then the expectation is of no use.
const PACES: (f64, f64) = (0.25, 4.0);
/// Typical times are believed when so much expected time was confirmed by this run, in milliseconds.
const CONFIRMED: f64 = 3_000.0;
/// A step that takes this many times what was expected, and [`GRACE`] on top, is not understood.
const OVERTIME: f64 = 2.0;
/// In milliseconds.
const GRACE: f64 = 2_000.0;
/// A download's speed is known after this long, in milliseconds.
const SPEED: f64 = 700.0;

/// While dpkg works: which part of its time has passed after which part of its steps. Unpacking is quick, and the
/// slowest scripts, those of databases, come late (means of the six runs of [`expected`]).
const CURVE: &[(f64, f64)] = &[(0.0, 0.0), (0.5, 0.33), (0.8, 0.48), (0.9, 0.65), (1.0, 1.0)];
/// After the last step the run looks at the whole disk: 0.5 to 1.0 s in the same runs, in milliseconds.
const FINISH: f64 = 800.0;

/// Follows a run and estimates.
#[derive(Clone, Debug, Default)]
pub struct Estimate {
    expected: Expected,
    /// The steps, in order.
    steps: Vec<String>,
    done: BTreeSet<String>,
    work: Option<Work>,
    /// It rolls back, waits for a decision, or has ended.
    halted: bool,
    /// Of steps that have ended: the time expected, and the time taken, in milliseconds.
    confirmed: (f64, f64),
}

/// The step at work.
#[derive(Clone, Debug)]
struct Work {
    step: String,
    since: Stamp,
    /// The time of the latest event.
    latest: Stamp,
    /// Packages of the transaction.
    packages: Option<u64>,
    download: Option<Download>,
    install: Option<Install>,
}

/// Bytes that come.
#[derive(Clone, Copy, Debug)]
struct Download {
    since: Stamp,
    /// There when it was first told.
    first: u64,
    latest: Stamp,
    done: u64,
    total: u64,
}

/// dpkg at work.
#[derive(Clone, Copy, Debug)]
struct Install {
    since: Stamp,
    latest: Stamp,
    /// Which part of its time has passed, 0 to 1.
    share: f64,
}

/// Time still to pass, and how much of what is known comes from measuring, in milliseconds.
#[derive(Clone, Copy, Debug, Default)]
struct Left {
    millis: f64,
    /// What of it was measured on this host.
    measured: f64,
    /// Expected time that this run has confirmed.
    confirmed: f64,
}

impl Estimate {
    /// With what is known before the run.
    pub fn new(expected: Expected) -> Self {
        Self { expected, ..Self::default() }
    }

    /// Takes an event in.
    pub fn take_in(&mut self, event: &Event) {
        match &event.what {
            EventKind::RunStarted { actions, proofs, .. } => {
                self.steps = actions.iter().chain(proofs).map(|step| step.id.clone()).collect();
                self.done.clear();
                self.confirmed = (0.0, 0.0);
                self.work = None;
                self.halted = false;
            }
            EventKind::ActionStarted { action: step } | EventKind::ProofStarted { proof: step } => {
                self.work = Some(Work::new(step.clone(), event.at));
            }
            EventKind::ActionProgress { action, progress } => {
                if let Some(work) = self.work.as_mut().filter(|work| work.step == *action) {
                    work.go_on(event.at, progress);
                }
            }
            EventKind::ActionEnded { action, ended, millis } => self.end(action, *ended == Ended::Changed, *millis),
            EventKind::ProofEnded { proof, failure, millis, .. } => self.end(proof, failure.is_none(), *millis),
            EventKind::Skipped { step, .. } => {
                self.done.insert(step.clone());
            }
            EventKind::Undone { action, .. } => {
                self.done.remove(action);
            }
            EventKind::RollbackStarted { .. }
            | EventKind::Failed { .. }
            | EventKind::Waiting(_)
            | EventKind::RunEnded { .. } => {
                self.halted = true;
                self.work = None;
            }
            EventKind::Decided { choice } => self.halted = !matches!(choice, Choice::Retry | Choice::Skip),
            EventKind::Kept { .. } | EventKind::Dumped { .. } | EventKind::Note { .. } => {}
        }
    }

    /// The time that the run will still take; none where that would be a guess.
    pub fn left(&self, now: Stamp) -> Option<Duration> {
        if self.halted || self.steps.is_empty() {
            return None;
        }
        let pace = self.pace();
        let mut left = match &self.work {
            Some(work) => work.left(now, &self.expected, pace)?,
            None => Left::default(),
        };
        left.confirmed += self.confirmed.0;
        let at_work = self.work.as_ref().map(|work| work.step.as_str());
        for step in self.steps.iter().filter(|step| !self.done.contains(*step) && at_work != Some(step.as_str())) {
            let likely = self.expected.step(step)?;
            left.millis += likely.millis * pace;
            left.measured += if likely.measured { likely.millis * pace } else { 0.0 };
        }
        left.millis += FINISH;
        let believed = left.confirmed >= CONFIRMED || left.measured * 2.0 >= left.millis;
        believed.then(|| Duration::from_secs_f64(left.millis / 1_000.0))
    }

    /// How much slower than expected this run is.
    fn pace(&self) -> f64 {
        let (expected, taken) = self.confirmed;
        ((taken + PRIOR) / (expected + PRIOR)).clamp(PACES.0, PACES.1)
    }

    fn end(&mut self, step: &str, changed: bool, millis: u64) {
        let work = self.work.take().filter(|work| work.step == step);
        self.done.insert(step.to_owned());
        if !changed {
            return;
        }
        // Of a package transaction only dpkg's part was expected.
        let installed = work.as_ref().and_then(|work| {
            let install = work.install?;
            Some((work.install_time(&self.expected)?, milliseconds(install.since, work.latest)))
        });
        let plain = || Some((self.expected.step(step)?.millis, float(millis)));
        if let Some((expected, taken)) = installed.or_else(plain) {
            self.confirmed.0 += expected;
            self.confirmed.1 += taken;
        }
    }
}

impl Work {
    fn new(step: String, since: Stamp) -> Self {
        Self { step, since, latest: since, packages: None, download: None, install: None }
    }

    fn go_on(&mut self, at: Stamp, progress: &Progress) {
        self.latest = at;
        let Progress::Percent { percent, amount: Some(Amount { done, total, unit }), .. } = progress else { return };
        match unit {
            Unit::Bytes => {
                let download = self.download.get_or_insert(Download {
                    since: at,
                    first: *done,
                    latest: at,
                    done: *done,
                    total: *total,
                });
                (download.latest, download.done, download.total) = (at, *done, *total);
            }
            Unit::Packages => {
                self.packages = Some(*total);
                let steps = f64::from((percent - DOWNLOAD_SHARE) / (100.0 - DOWNLOAD_SHARE)).clamp(0.0, 1.0);
                if steps > 0.0 {
                    let install = self.install.get_or_insert(Install { since: at, latest: at, share: 0.0 });
                    (install.latest, install.share) = (at, share(steps));
                }
            }
        }
    }

    /// How long dpkg needs for all of it, by what was known before.
    fn install_time(&self, expected: &Expected) -> Option<f64> {
        Some(expected.per_package().millis * float(self.packages.filter(|count| *count > 0)?))
    }

    fn left(&self, now: Stamp, expected: &Expected, pace: f64) -> Option<Left> {
        let passed = milliseconds(self.since, now);
        if let Some(install) = self.install {
            let whole = self.install_time(expected)? * pace;
            // What was seen counts for the part that has passed, what was expected for the rest.
            let taken = milliseconds(install.since, install.latest);
            let rest = 1.0 - install.share;
            let at_latest = rest * (taken + rest * whole);
            let since = milliseconds(install.latest, now);
            if since > OVERTIME * at_latest + GRACE {
                return None;
            }
            let millis = (at_latest - since).max(0.0);
            let measured = if expected.per_package().measured { millis } else { millis * install.share };
            return Some(Left { millis, measured, confirmed: install.share * whole });
        }
        if let Some(download) = self.download {
            let went_on = milliseconds(download.since, download.latest);
            let came = float(download.done.saturating_sub(download.first));
            if went_on >= SPEED && came > 0.0 {
                let rest = float(download.total.saturating_sub(download.done)) * went_on / came;
                let rest = (rest - milliseconds(download.latest, now)).max(0.0);
                let install = self.install_time(expected)? * pace;
                return Some(Left { millis: rest + install, measured: rest, confirmed: 0.0 });
            }
        }
        let likely = expected.step(&self.step)?;
        let whole = likely.millis * pace;
        if passed > OVERTIME * whole + GRACE {
            return None;
        }
        let millis = (whole - passed).max(0.0);
        Some(Left { millis, measured: if likely.measured { millis } else { 0.0 }, confirmed: 0.0 })
    }
}

/// The part of dpkg's time that has passed when it has made this part of its steps.
fn share(steps: f64) -> f64 {
    let between = |pair: &[(f64, f64)]| {
        let [(from, passed), (to, then)] = *pair else { return None };
        (steps <= to).then(|| passed + (steps - from) / (to - from) * (then - passed))
    };
    CURVE.windows(2).find_map(between).unwrap_or(1.0)
}

fn milliseconds(start: Stamp, end: Stamp) -> f64 {
    end.since(start).as_secs_f64() * 1_000.0
}

#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
pub(in crate::ui) mod tests;
