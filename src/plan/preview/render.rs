//! The text of `bringup plan`: for people, at the width of their terminal.

use std::fmt::Write as _;

use crate::action::firewall::Firewall;
use crate::action::{Reversible, Verdict};
use crate::error::Outcome;
use crate::facts::Application;
use crate::plan::preview::Verdicts;
use crate::plan::tally::{Tally, number};
use crate::plan::{Plan, Planned};
use crate::proof::ports::Exposure;
use crate::secret::legible;
use crate::system::packages::forecast::Forecast;
use crate::visible::{self, Style};

/// Narrower than this, lines are broken too often to be read.
const NARROWEST: usize = 40;
/// Wider than this, lines are too long to be read.
const WIDEST: usize = 110;
/// The column where the summary's values begin.
const VALUES: usize = 17;

/// Per stage every action with its reason and its diff, then the summary. Colors only repeat what the signs say.
pub fn render(
    plan: &Plan,
    verdicts: &Verdicts,
    packages: Option<&Outcome<Forecast>>,
    width: usize,
    colour: bool,
) -> String {
    let mut page = Page::new(width, colour);
    page.heading(plan, verdicts);
    for stage in &plan.stages {
        let here: Vec<_> = plan
            .actions
            .iter()
            .zip(verdicts)
            .filter(|(planned, _)| planned.stage == stage.id)
            .map(|(planned, (_, verdict))| (planned, verdict))
            .collect();
        if !here.is_empty() {
            page.stage(&stage.title, &here);
        }
    }
    page.summary(plan, packages);
    page.text
}

/// The same without the actions: how many there are, and the summary.
pub fn summary(
    plan: &Plan,
    verdicts: &Verdicts,
    packages: Option<&Outcome<Forecast>>,
    width: usize,
    colour: bool,
) -> String {
    let mut page = Page::new(width, colour);
    page.heading(plan, verdicts);
    page.summary(plan, packages);
    page.text
}

struct Page {
    text: String,
    width: usize,
    paint: Paint,
}

impl Page {
    fn new(width: usize, colour: bool) -> Self {
        Self { text: String::new(), width: width.clamp(NARROWEST, WIDEST), paint: Paint { colour } }
    }

    fn heading(&mut self, plan: &Plan, verdicts: &Verdicts) {
        let tally = Tally::expected(plan, verdicts.iter().map(|(_, verdict)| verdict));
        self.line(&self.paint.bold(&visible::line(&plan.title)));
        let mut told = format!("{}: {} (+)", tally.total(), number(tally.changes, "change"));
        if tally.unchanged > 0 {
            let _ = write!(told, ", {} unchanged (=)", tally.unchanged);
        }
        if tally.untold > 0 {
            let _ = write!(told, ", {} checked during the run (?)", tally.untold);
        }
        self.paragraph(0, &told, Paint::dim);
    }

    /// What changes comes first, each with its reason; what is unchanged follows in one entry.
    fn stage(&mut self, title: &str, actions: &[(&Planned, &Outcome<Verdict>)]) {
        self.line("");
        self.line(&self.paint.bold(&visible::line(title)));
        let is_unchanged = |verdict: &Outcome<Verdict>| matches!(verdict, Ok(Verdict::Unchanged));
        for (planned, verdict) in actions.iter().filter(|(_, verdict)| !is_unchanged(verdict)) {
            self.action(planned, verdict);
        }
        let unchanged: Vec<&str> = actions
            .iter()
            .filter(|(_, verdict)| is_unchanged(verdict))
            .map(|(planned, _)| planned.describe.as_str())
            .collect();
        if !unchanged.is_empty() {
            let told = format!("{} unchanged: {}", unchanged.len(), unchanged.join("; "));
            for (n, line) in wrap(&told, self.width - 4).iter().enumerate() {
                let mark = if n == 0 { '=' } else { ' ' };
                let line = self.paint.dim(line);
                self.line(&format!("  {mark} {line}"));
            }
        }
    }

    fn action(&mut self, planned: &Planned, verdict: &Outcome<Verdict>) {
        let mark = match verdict {
            Ok(Verdict::WouldChange(_)) => '+',
            Ok(Verdict::Unchanged) => '=',
            Err(_) | Ok(Verdict::NotAsked(_)) => '?',
        };
        let headline = match verdict {
            // The check often says the same with a detail more: who will own it, which packages are missing.
            Ok(Verdict::WouldChange(change)) if change.summary.starts_with(&planned.describe) => &change.summary,
            _ => &planned.describe,
        };
        let paint = self.paint;
        for (n, line) in wrap(headline, self.width - 4).iter().enumerate() {
            let mark = if n == 0 { mark } else { ' ' };
            self.line(&format!("  {} {line}", paint.mark(mark)));
        }
        self.paragraph(6, &planned.reason, Paint::dim);
        if let Reversible::No(why) = &planned.reversible {
            self.paragraph(6, &format!("cannot be rolled back: {why}"), Paint::warn);
        }
        match verdict {
            Ok(Verdict::Unchanged) => {}
            Err(failure) => self.paragraph(6, &format!("checked during the run: {}", failure.why), Paint::dim),
            Ok(Verdict::NotAsked(why)) => self.paragraph(6, why, Paint::dim),
            Ok(Verdict::WouldChange(change)) => match &change.diff {
                Some(diff) => self.diff(diff),
                None if says_more(&change.summary, &planned.describe) => {
                    self.paragraph(6, &change.summary, Paint::dim);
                }
                None => {}
            },
        }
    }

    /// The diff as it is: breaking its lines would make it another file.
    fn diff(&mut self, diff: &str) {
        for line in diff.split_terminator('\n') {
            let shown = self.paint.diff(&visible::lines(&legible(line)));
            self.line(&format!("      {shown}"));
        }
    }

    fn summary(&mut self, plan: &Plan, packages: Option<&Outcome<Forecast>>) {
        let brings = plan.brings();
        let join = |list: Vec<String>| vec![list.join(", ")];
        self.line("");
        self.line(&self.paint.bold("In short"));
        self.entry("packages", &join(brings.packages));
        self.entry("to install", &packages.map(to_install).into_iter().collect::<Vec<_>>());
        self.entry("users", &join(brings.users));
        self.entry("services", &join(brings.services));
        self.entry("ports", &ports(plan));
        self.entry("firewall", &firewall(plan));
        self.entry("kept", &plan.beside.iter().map(Application::words).collect::<Vec<_>>());
        self.entry("proofs", &plan.proofs.iter().map(|planned| planned.describe.clone()).collect::<Vec<_>>());
        self.entry("rollback", &undoing(plan));
        self.entry("notes", &plan.warnings);
        self.entry("plan", &[plan.hash()]);
    }

    /// A label with its values below each other; nothing at all without a value.
    fn entry(&mut self, label: &str, values: &[String]) {
        let mut label = label;
        for value in values.iter().filter(|value| !value.is_empty()) {
            for (n, line) in wrap(value, self.width - VALUES - 2).iter().enumerate() {
                let hanging = if n == 0 { "" } else { "  " };
                self.line(&format!("  {label:<indent$}{hanging}{line}", indent = VALUES - 2));
                label = "";
            }
        }
    }

    fn paragraph(&mut self, indent: usize, text: &str, paint: fn(Paint, &str) -> String) {
        for line in wrap(text, self.width - indent) {
            let painted = paint(self.paint, &line);
            self.line(&format!("{:indent$}{painted}", ""));
        }
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }
}

/// Whether the check's summary says more than the description.
fn says_more(summary: &str, describe: &str) -> bool {
    !summary.is_empty() && !summary.starts_with(describe) && summary != describe
}

/// How much the packages are, or why that is not known.
fn to_install(packages: &Outcome<Forecast>) -> String {
    match packages {
        Ok(forecast) => forecast.to_string(),
        Err(failure) => {
            let hint = failure.hint.as_deref().map(|hint| format!(" ({hint})")).unwrap_or_default();
            format!("not known: {}{hint}", failure.why)
        }
    }
}

/// The ports of the plan and who can reach them, one a line.
fn ports(plan: &Plan) -> Vec<String> {
    plan.ports()
        .into_iter()
        .filter_map(|port| {
            let who = match port.on {
                Exposure::Any => "open to everybody",
                Exposure::Loopback => "this server only",
                Exposure::Closed => return None,
            };
            Some(format!("{:<5} {who}: {}", port.port, port.name))
        })
        .collect()
}

/// What the firewall makes of them.
fn firewall(plan: &Plan) -> Vec<String> {
    plan.firewall().map(Firewall::summary).into_iter().collect()
}

/// What can be rolled back, and what cannot.
fn undoing(plan: &Plan) -> Vec<String> {
    let of = |wanted: fn(&Reversible) -> bool| {
        plan.actions.iter().filter(move |planned| wanted(&planned.reversible)).collect::<Vec<_>>()
    };
    let lost = of(|reversible| matches!(reversible, Reversible::No(_)));
    let mut told = if lost.is_empty() {
        vec!["`bringup rollback` can roll back all of it".to_owned()]
    } else {
        lost.iter().map(|planned| format!("cannot be rolled back: {}", planned.describe)).collect()
    };
    for planned in of(|reversible| matches!(reversible, Reversible::WithData)) {
        told.push(format!("data is saved first: {}", planned.describe));
    }
    told
}

/// Breaks text at spaces so that no line is longer than `width`, except for single long words.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let text = visible::line(text);
    let mut lines = vec![String::new()];
    // Runs of spaces stay inside of a line: they align columns.
    for word in text.trim().split(' ') {
        let last = lines.len() - 1;
        let length = lines[last].chars().count();
        if length > 0 && length + 1 + word.chars().count() > width.max(NARROWEST / 2) {
            lines.push(word.to_owned());
        } else {
            if length > 0 {
                lines[last].push(' ');
            }
            lines[last].push_str(word);
        }
    }
    lines.retain(|line| !line.trim().is_empty());
    lines
}

/// Emphasis, never the only bearer of a meaning.
#[derive(Clone, Copy)]
struct Paint {
    colour: bool,
}

impl Paint {
    fn with(self, style: Style, text: &str) -> String {
        if self.colour { style.paint(text) } else { text.to_owned() }
    }

    fn bold(self, text: &str) -> String {
        self.with(Style::Bold, text)
    }

    fn dim(self, text: &str) -> String {
        self.with(Style::Dim, text)
    }

    fn warn(self, text: &str) -> String {
        self.with(Style::Warning, text)
    }

    fn mark(self, mark: char) -> String {
        match mark {
            '+' => self.with(Style::Change, "+"),
            '?' => self.with(Style::Unknown, "?"),
            other => other.to_string(),
        }
    }

    fn diff(self, line: &str) -> String {
        match line.as_bytes().first() {
            Some(b'+') => self.with(Style::Good, line),
            Some(b'-') => self.with(Style::Bad, line),
            Some(b'@') => self.with(Style::Place, line),
            _ => line.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::action::remove::Remove;
    use crate::action::{Action, Change};
    use crate::diff::unified;
    use crate::error::Failure;
    use crate::plan::{PlannedProof, PlannedStage};
    use crate::proof::Proof;
    use crate::proof::ports::{Expected, Ports};
    use crate::secret::{Secrets, mark};

    fn planned(id: &str, reversible: Reversible) -> Planned {
        Planned {
            id: format!("web.{id}"),
            stage: "web".to_owned(),
            reason: format!("the reason for {id}, which is long enough to need a second line on a terminal"),
            describe: format!("do {id}"),
            reversible,
            skip_reason: None,
            action: Action::Remove(Remove { path: "/x".into(), also: Vec::new() }),
        }
    }

    fn plan(actions: Vec<Planned>) -> Plan {
        let ports =
            [(5432, "PostgreSQL", Exposure::Loopback), (443, "nginx", Exposure::Any), (81, "old", Exposure::Closed)];
        let ports = ports.map(|(port, name, on)| Expected { port, name: name.to_owned(), on }).to_vec();
        Plan {
            stages: vec![PlannedStage { id: "web".to_owned(), title: "Web server".to_owned() }],
            actions,
            proofs: vec![PlannedProof {
                id: "web.listens".to_owned(),
                stage: "web".to_owned(),
                describe: "ports are where they should be".to_owned(),
                skip_reason: None,
                proof: Proof::Ports(Ports { ports }),
            }],
            warnings: vec!["mind the gap".to_owned()],
            ..Plan::new("t", "A title")
        }
    }

    fn change(summary: &str, diff: Option<String>) -> Verdict {
        Verdict::WouldChange(Change { summary: summary.to_owned(), diff })
    }

    fn page(colour: bool) -> String {
        let actions = vec![
            planned("one", Reversible::Yes),
            planned("two", Reversible::WithData),
            planned("three", Reversible::No("it is sent".to_owned())),
            planned("four", Reversible::Yes),
        ];
        let diff = format!("@@ -1 +1 @@\n-old\n+key={}", mark("a.key"));
        let found = [
            Ok(change("do one (root:root, mode 0644)", None)),
            Ok(Verdict::Unchanged),
            Ok(change("create /x", Some(diff))),
            Err(Failure::new("look", "the file is not there yet")),
        ];
        let verdicts = actions.iter().map(|planned| planned.id.clone()).zip(found).collect();
        let forecast = Forecast { download: 38_200_000, disk: 160_000_000, ..Forecast::default() };
        render(&plan(actions), &verdicts, Some(&Ok(forecast)), 60, colour)
    }

    #[test]
    fn a_page_tells_what_changes_why_and_what_is_left_open() {
        insta::assert_snapshot!(page(false), @r"
        A title
        4 actions, 1 proof: 2 changes (+), 1 unchanged (=), 1
        checked during the run (?)

        Web server
          + do one (root:root, mode 0644)
              the reason for one, which is long enough to need a
              second line on a terminal
          + do three
              the reason for three, which is long enough to need a
              second line on a terminal
              cannot be rolled back: it is sent
              @@ -1 +1 @@
              -old
              +key=«secret: a.key»
          ? do four
              the reason for four, which is long enough to need a
              second line on a terminal
              checked during the run: the file is not there yet
          = 1 unchanged: do two

        In short
          to install     no package, 38.2 MB to download, 160 MB
                           on disk
          ports          443   open to everybody: nginx
                         5432  this server only: PostgreSQL
          proofs         ports are where they should be
          rollback       cannot be rolled back: do three
                         data is saved first: do two
          notes          mind the gap
          plan           8b50c13bc7523cd4569753d3e0729c10c95b7bffea4bb2b8134cb6b3c9407eff
        ");
    }

    #[test]
    fn colours_only_repeat_what_the_text_says() {
        let coloured = page(true);
        let coloured = visible::styled(&coloured);
        assert!(coloured.contains("\u{1b}[32m+key="), "{coloured}");
        let plain: String = coloured
            .split('\u{1b}')
            .enumerate()
            .map(|(n, part)| if n == 0 { part } else { part.split_once('m').map_or("", |(_, text)| text) })
            .collect();
        assert_eq!(plain, page(false));
    }

    #[test]
    fn nothing_in_a_file_or_a_text_steers_the_terminal() {
        for hostile in visible::HOSTILE {
            let old = format!("{hostile}\nsame\r\n");
            let path = format!("/etc/{hostile}\n+forged");
            let diff =
                unified(Path::new(&path), Some(old.as_bytes()), &format!("new {hostile}\nsame\n"), &Secrets::default());
            let change = Change { summary: format!("write {hostile}"), diff };
            let mut plan = plan(vec![planned("one", Reversible::No(format!("it is {hostile}")))]);
            plan.title = format!("{hostile}\nforged");
            plan.stages[0].title = hostile.to_owned();
            plan.actions[0].describe = hostile.to_owned();
            plan.actions[0].reason = format!("because {hostile}");
            plan.warnings = vec![hostile.to_owned()];
            plan.proofs[0].describe = hostile.to_owned();
            for verdict in [Ok(Verdict::WouldChange(change.clone())), Err(Failure::new("tell", hostile))] {
                let text = render(&plan, &vec![("web.one".to_owned(), verdict)], None, 60, false);
                assert!(visible::is_harmless(&text), "{text:?}");
                assert!(!text.lines().any(|line| line.trim_start().starts_with("forged")), "{text}");
                assert!(!text.lines().any(|line| line.trim_start().starts_with("+forged")), "{text}");
            }
            let text = render(&plan, &vec![("web.one".to_owned(), Ok(Verdict::WouldChange(change)))], None, 60, true);
            let signs = hostile.contains('\u{e0f00}');
            assert!(
                signs || !visible::styled(&text).contains("{e0f"),
                "our own styles are not shown as text from outside"
            );
        }
    }

    #[test]
    fn no_line_but_a_diff_is_longer_than_the_terminal() {
        let text = page(false);
        for line in
            text.lines().filter(|line| !line.trim_start().starts_with(['+', '-', '@']) && !line.contains("plan "))
        {
            assert!(line.chars().count() <= 60, "{line}");
        }
    }

    #[test]
    fn packages_that_cannot_be_told_say_why_and_what_to_do() {
        let failure = Failure::new("tell", "there are no lists").hint("fetch them");
        let text = render(&plan(Vec::new()), &Vec::new(), Some(&Err(failure)), 80, false);
        assert!(text.contains("to install     not known: there are no lists (fetch them)"), "{text}");
    }

    #[test]
    fn words_are_kept_whole_and_columns_too() {
        assert_eq!(wrap("80    open to everybody", 80), ["80    open to everybody"]);
        assert_eq!(wrap("aaaa bbbb cccc dddd eeee ffff", 20), ["aaaa bbbb cccc dddd", "eeee ffff"]);
        assert_eq!(wrap("", 20), [""; 0]);
    }
}
