//! What is applied on this server and how well it is, as lines: for `bringup status` and line mode. The wizard's first
//! page says the same.

use crate::engine::health::{Finding, Installed, Level, SERVER, TITLES};
use crate::engine::runs::RunStatus;
use crate::plan::tally::number;
use crate::ui::style::{Look, Paint};
use crate::ui::text;

/// The column where values begin.
const LABEL: usize = 14;

/// The status of a run, in a few words.
pub const fn state(state: RunStatus) -> &'static str {
    match state {
        RunStatus::Running => "is running now",
        RunStatus::Unfinished => "was interrupted",
        RunStatus::RollbackUnfinished => "was interrupted during its rollback",
        RunStatus::ProofFailed => "in place, but a proof failed",
        RunStatus::Done | RunStatus::RolledBack => "in place",
    }
}

/// Its newest run and what is in place of all.
pub fn last_run(it: &Installed) -> String {
    format!("{}, {}, {}", it.run, state(it.state), number(it.changes, "change"))
}

/// What was found, in the order of [`TITLES`].
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// Each with the place of its application; none for the server.
    findings: Vec<(Option<usize>, Finding)>,
}

impl Health {
    /// A finding has come; it takes the place of an earlier one of its title.
    pub fn learn(&mut self, at: Option<usize>, finding: Finding) {
        self.findings.retain(|(other, known)| (*other, known.title) != (at, finding.title));
        self.findings.push((at, finding));
        let order = |finding: &Finding| TITLES.iter().chain(&SERVER).position(|title| *title == finding.title);
        self.findings.sort_by_key(|(at, finding)| (*at, order(finding)));
    }

    /// Those about an application; of the server for none.
    pub fn of(&self, at: Option<usize>) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |(other, _)| *other == at).map(|(_, finding)| finding)
    }
}

/// Every application with what was found, then the server; `details` says where everything is.
pub fn page(look: Look, installed: &[Installed], health: &Health, details: bool) -> String {
    let mut page = Page { look, lines: Vec::new() };
    for (at, it) in installed.iter().enumerate() {
        page.head(&format!("{}: {}", it.name(), it.title));
        page.field(" ", "Address", &it.application.address);
        for finding in health.of(Some(at)) {
            page.finding(finding);
        }
        page.field(" ", "Version", &it.version());
        page.field(" ", "Last run", &last_run(it));
        if details {
            for line in it.outputs().iter().filter(|line| line.value != it.application.address) {
                page.field(" ", &line.label, &line.value);
            }
        }
        page.lines.push(String::new());
    }
    page.head("This server");
    for finding in health.of(None) {
        page.finding(finding);
    }
    page.lines.join("\n") + "\n"
}

struct Page {
    look: Look,
    lines: Vec<String>,
}

impl Page {
    fn head(&mut self, text: &str) {
        for line in text::wrap(&self.look.text(text), self.look.width) {
            self.lines.push(self.look.paint(Paint::Bold, &line));
        }
    }

    fn finding(&mut self, finding: &Finding) {
        let sign = match finding.level {
            Level::Good => self.look.tick(),
            Level::Warning => "!".to_owned(),
            Level::Problem => self.look.cross(),
            Level::Unknown => "?".to_owned(),
        };
        let fix = if finding.fix.is_empty() { String::new() } else { format!(" ({})", finding.fix) };
        self.field(&sign, finding.title, &format!("{}{fix}", finding.found));
    }

    fn field(&mut self, sign: &str, label: &str, value: &str) {
        if value.is_empty() {
            return;
        }
        let label = text::pad(&self.look.text(label), LABEL);
        let room = self.look.width.saturating_sub(4 + LABEL).max(10);
        for (at, line) in text::wrap(&self.look.text(value), room).into_iter().enumerate() {
            let lead = if at == 0 { format!("  {sign} {label}") } else { " ".repeat(4 + LABEL) };
            self.lines.push(format!("{lead}{line}"));
        }
    }
}
