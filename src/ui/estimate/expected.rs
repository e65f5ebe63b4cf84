//! What is known of a run's steps before it begins.

use std::collections::{BTreeMap, HashMap};
use std::mem::{Discriminant, discriminant};
use std::path::Path;

use super::{float, milliseconds};
use crate::action::Action;
use crate::action::source::From;
use crate::engine::event::{self, Ended, Event, EventKind};
use crate::engine::runs::RunDir;
use crate::host::{Host, Stamp};
use crate::plan::Plan;
use crate::progress::{Progress, Unit};
use crate::state_dir::STATE_DIR;
use crate::system::packages::status_fd::DOWNLOAD_SHARE;

/// Earlier runs that are looked at, the latest first.
const RUNS: usize = 5;

/// Unpacking and configuring a package, in milliseconds: 290 to 560 in six runs of the guide `webapp` (21 to 101
/// packages, on test hosts with Debian 11, 12 and 13, two busy processors).
const PACKAGE: f64 = 450.0;
/// A proof, in milliseconds: 3 to 80 on average, by kind, in the same runs.
const PROOF: f64 = 50.0;
/// Bytes that are fetched in a millisecond where nothing was fetched before: half of a line of 100 Mbit/s. Not measured.
const RATE: f64 = 6_250.0;

/// How long something is likely to take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Likely {
    /// In milliseconds.
    pub(super) millis: f64,
    /// It was measured on this host; else it is typical.
    pub(super) measured: bool,
}

/// How long the steps of a run are likely to take: as long as the same ones took on this host, else as those of their
/// kind did, else a typical time. Kinds that depend on the network have no typical time.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    steps: BTreeMap<String, Likely>,
    per_package: Option<Likely>,
    /// Bytes fetched in a millisecond.
    rate: Option<f64>,
}

impl Expected {
    /// From the plan, and from the plans and events of earlier runs on this host, the latest first.
    pub fn of(plan: &Plan, earlier: &[(Plan, Vec<Event>)]) -> Self {
        let measured = Measured::from(earlier);
        let mut expected = Self { steps: BTreeMap::new(), per_package: measured.per_package(), rate: measured.rate() };
        for planned in &plan.actions {
            let known = measured.action(&planned.id, &planned.action);
            let typical = || typical(&planned.action).map(|millis| Likely { millis, measured: false });
            if let Some(likely) = known.or_else(typical) {
                expected.steps.insert(planned.id.clone(), likely);
            }
        }
        for planned in &plan.proofs {
            let typical = Likely { millis: PROOF, measured: false };
            expected.steps.insert(planned.id.clone(), measured.proof(&planned.id).unwrap_or(typical));
        }
        expected
    }

    /// For a run on this host. What cannot be read is not known.
    pub fn read(host: &dyn Host, dir: &RunDir) -> Self {
        dir.plan(host).map_or_else(|_| Self::default(), |plan| Self::before(host, &plan, Some(&dir.id)))
    }

    /// For a plan that no run has begun yet; `run` is not taken for an earlier one.
    pub fn before(host: &dyn Host, plan: &Plan, run: Option<&str>) -> Self {
        let names = host.list(&Path::new(STATE_DIR).join("runs")).unwrap_or_default();
        let others = names.iter().rev().filter_map(|name| name.to_str()).filter(|id| Some(*id) != run);
        let earlier: Vec<_> = others
            .take(RUNS)
            .filter_map(|id| {
                let dir = RunDir::of(id);
                Some((dir.plan(host).ok()?, event::read(host, &dir.file("events.jsonl"))))
            })
            .collect();
        Self::of(plan, &earlier)
    }

    pub(super) fn step(&self, id: &str) -> Option<Likely> {
        self.steps.get(id).copied()
    }

    /// Bytes fetched in a millisecond, and whether that was measured here.
    pub(super) fn rate(&self) -> (f64, bool) {
        self.rate.map_or((RATE, false), |rate| (rate, true))
    }

    pub(super) fn per_package(&self) -> Likely {
        self.per_package.unwrap_or(Likely { millis: PACKAGE, measured: false })
    }
}

/// What is typical of a kind, in milliseconds: the means of the runs of [`PACKAGE`], of 6 to 46 actions a kind.
fn typical(action: &Action) -> Option<f64> {
    match action {
        Action::File(_) | Action::Directory(_) | Action::Symlink(_) | Action::Remove(_) | Action::Edit(_) => Some(5.0),
        Action::User(_) | Action::Certificate(_) => Some(10.0),
        Action::Source(source) if matches!(source.from, From::Asset | From::Directory) => Some(10.0),
        Action::Database(_) => Some(300.0),
        // Without the wait for a confirmation: 0.32 s with nftables on trixie; others unmeasured.
        Action::Firewall(_) => Some(350.0),
        // Without that time, too; not measured.
        Action::Sshd(_) => Some(500.0),
        Action::Service(_) => Some(1_500.0),
        Action::Rabbitmq(_) => Some(2_400.0),
        _ => None,
    }
}

/// The times of earlier runs.
#[derive(Default)]
struct Measured<'a> {
    /// The latest time of each step, and for an action what it was.
    steps: HashMap<&'a str, (f64, Option<&'a Action>)>,
    /// Number and sum of the times of each kind of action.
    kinds: HashMap<Discriminant<Action>, (f64, f64)>,
    /// Packages installed, and the time of dpkg.
    packages: (f64, f64),
    /// Bytes fetched, and the time for that.
    fetched: (f64, f64),
}

impl<'a> Measured<'a> {
    fn from(earlier: &'a [(Plan, Vec<Event>)]) -> Self {
        let mut measured = Self::default();
        for (plan, events) in earlier {
            measured.run(plan, events);
        }
        measured
    }

    fn run(&mut self, plan: &'a Plan, events: &'a [Event]) {
        let mut installing: Option<(Stamp, u64)> = None;
        let mut fetching: Option<(Stamp, u64)> = None;
        for event in events {
            match &event.what {
                EventKind::ActionStarted { .. } => (installing, fetching) = (None, None),
                EventKind::ActionProgress { progress: Progress::Percent { amount: Some(amount), .. }, .. }
                    if amount.unit == Unit::Bytes =>
                {
                    let (since, first) = *fetching.get_or_insert((event.at, amount.done));
                    if amount.done > first && amount.done >= amount.total {
                        self.fetched.0 += float(amount.done - first);
                        self.fetched.1 += milliseconds(since, event.at);
                        fetching = None;
                    }
                }
                EventKind::ActionProgress {
                    progress: Progress::Percent { percent, amount: Some(amount), .. }, ..
                } if amount.unit == Unit::Packages && *percent > DOWNLOAD_SHARE => {
                    installing.get_or_insert((event.at, amount.total));
                }
                EventKind::ActionEnded { action: id, ended: Ended::Changed, millis } => {
                    let action = plan.actions.iter().find(|planned| planned.id == *id).map(|planned| &planned.action);
                    self.steps.entry(id).or_insert((float(*millis), action));
                    if let Some(action) = action {
                        let (count, sum) = self.kinds.entry(discriminant(action)).or_default();
                        (*count, *sum) = (*count + 1.0, *sum + float(*millis));
                    }
                    if let Some((since, count)) = installing.take() {
                        self.packages.0 += float(count);
                        self.packages.1 += milliseconds(since, event.at);
                    }
                }
                EventKind::ProofEnded { proof, failure: None, millis, .. } => {
                    self.steps.entry(proof).or_insert((float(*millis), None));
                }
                // Times of a rollback say nothing about a run.
                EventKind::RollbackStarted { .. } => return,
                _ => {}
            }
        }
    }

    fn proof(&self, id: &str) -> Option<Likely> {
        self.steps.get(id).map(|(millis, _)| Likely { millis: *millis, measured: true })
    }

    fn action(&self, id: &str, action: &Action) -> Option<Likely> {
        let is_local = typical(action).is_some();
        let same = |other: &&Action| {
            // How long packages, sources and commands take depends on what they are.
            if is_local { discriminant(*other) == discriminant(action) } else { *other == action }
        };
        if let Some((millis, _)) = self.steps.get(id).filter(|(_, other)| other.as_ref().is_some_and(same)) {
            return Some(Likely { millis: *millis, measured: true });
        }
        let (count, sum) = self.kinds.get(&discriminant(action)).filter(|_| is_local)?;
        Some(Likely { millis: sum / count, measured: true })
    }

    fn rate(&self) -> Option<f64> {
        let (bytes, millis) = self.fetched;
        (millis > 0.0).then(|| bytes / millis)
    }

    fn per_package(&self) -> Option<Likely> {
        let (count, millis) = self.packages;
        (count > 0.0).then(|| Likely { millis: millis / count, measured: true })
    }
}
