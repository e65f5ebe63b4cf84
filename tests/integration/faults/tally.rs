//! How often a foreign change falls into a window, and what becomes of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bringup::engine::window::whose::{PACKAGE, WROTE};
use bringup::host::Host;
use bringup::host::fake::FakeHost;
use serde_json::Value;

/// Where a run's windows are kept.
fn windows(host: &FakeHost) -> Vec<PathBuf> {
    let list = |dir: PathBuf| -> Vec<PathBuf> {
        host.list(&dir).unwrap_or_default().iter().map(|name| dir.join(name)).collect()
    };
    list("/var/lib/bringup/runs".into()).into_iter().flat_map(|run| list(run.join("windows"))).collect()
}

/// The window that is open now, under the name that it has once it is closed.
pub fn open_window(host: &FakeHost) -> Option<PathBuf> {
    let open = windows(host).into_iter().rfind(|file| file.extension().is_some_and(|kind| kind == "open"))?;
    Some(open.with_extension("json"))
}

/// How a window tells whose a change of `path` was; none where it did not look there, or had looked already.
pub fn verdict(host: &FakeHost, window: &Path, path: &str) -> Option<&'static str> {
    let window: Value = serde_json::from_slice(&host.read(window).ok()?).unwrap();
    let list = |name: &str| window[name].as_array().cloned().unwrap_or_default();
    if let Some(pair) = list("theirs").iter().find(|pair| pair[0]["path"] == path) {
        return Some(match pair[1].as_str() {
            Some(WROTE) => "writer",
            Some(PACKAGE) => "dpkg",
            _ => "not shown",
        });
    }
    let is_ours = list("ours").iter().any(|change| change["path"] == path);
    // What is his in a file of accounts is told line by line.
    is_ours.then_some(if path == "/etc/passwd" { "line" } else { "ours" })
}

/// What is counted of one kind of change.
#[derive(Default)]
struct Row {
    made: usize,
    /// Of those in a window, how each was recognized.
    in_window: BTreeMap<&'static str, usize>,
    lost: usize,
}

/// Counts by kind of change.
#[derive(Default)]
pub struct Tally(BTreeMap<&'static str, Row>);

impl Tally {
    /// Counts one change: how it was told in a window, where it fell into one, and whether it was lost in the end.
    pub fn count(&mut self, kind: &'static str, verdict: Option<&'static str>, lost: bool) {
        for kind in [kind, "together"] {
            let row = self.0.entry(kind).or_default();
            row.made += 1;
            row.lost += usize::from(lost);
            if let Some(verdict) = verdict {
                *row.in_window.entry(verdict).or_default() += 1;
            }
        }
    }

    /// How many changes fell into a window.
    pub fn in_windows(&self) -> usize {
        self.0.get("together").map_or(0, |row| row.in_window.values().sum())
    }

    /// A line for each kind of change, the sum last.
    pub fn table(&self) -> String {
        const VERDICTS: [&str; 5] = ["writer", "dpkg", "line", "not shown", "ours"];
        let cells = |cells: &[String]| cells.iter().map(|cell| format!("{cell:>10}")).collect::<Vec<_>>().concat();
        let heads = VERDICTS.map(str::to_owned);
        let mut lines =
            vec![format!("{:24}{:>6}{:>15}{}{:>8}{:>6}", "", "made", "in a window", cells(&heads), "kept", "lost")];
        let (sum, kinds): (Vec<_>, Vec<_>) = self.0.iter().partition(|(kind, _)| **kind == "together");
        for (kind, row) in kinds.into_iter().chain(sum) {
            let Row { made, in_window, lost } = row;
            let inside: usize = in_window.values().sum();
            let share = 100.0 * f64::from(u32::try_from(inside).unwrap()) / f64::from(u32::try_from(*made).unwrap());
            let inside = format!("{inside} ({share:.1} %)");
            let by = cells(&VERDICTS.map(|verdict| in_window.get(verdict).copied().unwrap_or_default().to_string()));
            lines.push(format!("{kind:24}{made:>6}{inside:>15}{by}{:>8}{lost:>6}", made - lost));
        }
        lines.join("\n")
    }
}
