//! The first page where something is applied: each application with its address, how well it is, and what can be done.

use ratatui::text::Span;

use crate::engine::health::{Finding, Installed, Level, SERVER, TITLES};
use crate::engine::runs::RunStatus;
use crate::facts::Application;
use crate::plan::tally::number;
use crate::ui::health::last_run;
use crate::ui::text;
use crate::ui::wizard::cmd::Cmd;
use crate::ui::wizard::keys::{Act, KeyHint, key_hint};
use crate::ui::wizard::layout::Panes;
use crate::ui::wizard::model::home::Home;
use crate::ui::wizard::model::{Change, Route};
use crate::ui::wizard::overlay::{Entry, Line, Menu, Overlay, Pager, Target};
use crate::ui::wizard::page::{Attend, Page, Transition, Wanted};
use crate::ui::wizard::theme::{Role, Sign};
use crate::ui::wizard::view::{Focus, View, ViewBuilder};

/// The list of applications.
const APPLICATIONS: &str = "applications";
/// The button for one more.
const ADD: &str = "add";
/// The column where values begin.
const LABEL: usize = 14;

/// The page.
pub struct HomePage<'m> {
    /// The applications, where there are any.
    pub home: Option<&'m Home>,
    /// Whether all of them can be read.
    pub root: bool,
}

impl Page for HomePage<'_> {
    fn write(&self, mut writer: ViewBuilder<'_>) -> View {
        let Some(home) = self.home else { return writer.done() };
        if let Some(why) = &home.trouble {
            let sudo = if self.root { "" } else { "; `sudo bringup` can" };
            let says = format!("Cannot read the state of the applications: {why}{sudo}");
            writer.note(Role::Warning, Sign::Untold, 0, &says);
            writer.blank();
        }
        for (at, (application, it)) in home.applications().into_iter().enumerate() {
            one(home, at, application, it, &mut writer);
            writer.blank();
        }
        let title = writer.span(Role::Heading, "  This server");
        writer.line(vec![title]);
        findings(home, None, &SERVER, &mut writer);
        writer.blank();
        writer.button(ADD, "Add another application");
        writer.done()
    }

    fn panes(&self) -> Panes {
        Panes { whole: true, ..Panes::default() }
    }

    fn key_hints(&self, _: Option<&Focus>) -> Vec<KeyHint> {
        vec![key_hint(Act::Enter, "choose"), key_hint(Act::Retry, "check again")]
    }

    fn act(&self, act: Act, focus: Option<&Focus>) -> Transition {
        match (act, focus) {
            (Act::Enter, Some(Focus::Line(_, at))) => match self.home.and_then(|home| home.installed_at(*at)) {
                Some(it) => Transition::Open(Box::new(menu(it, *at))),
                None => Transition::Stay,
            },
            (Act::Enter, _) => Transition::Go(Route::Product, None),
            (Act::Retry, _) => Transition::change(Change::LookAgain),
            _ => Transition::Stay,
        }
    }
}

fn one(home: &Home, at: usize, application: &Application, it: Option<&Installed>, writer: &mut ViewBuilder<'_>) {
    let stop = Focus::Line(APPLICATIONS, at);
    let from = writer.row();
    let name = if application.name.is_empty() { &application.guide } else { &application.name };
    let role = if writer.at(&stop) { Role::Focus } else { Role::Heading };
    let mut pieces = vec![writer.span(role, name)];
    pieces.extend(it.map(|it| writer.span(Role::Value, &format!("  {}", it.title))));
    writer.stop_line(&stop, pieces, None);
    row(None, "Address", &application.address, writer);
    if let Some(it) = it {
        row(None, "Version", &it.version(), writer);
    }
    if home.trouble.is_none() {
        findings(
            home,
            Some(at),
            if it.is_some_and(|it| it.state == RunStatus::Running) { &[] } else { &TITLES },
            writer,
        );
    }
    if let Some(it) = it {
        row(None, "Last run", &last_run(it), writer);
    }
    writer.stop(stop, from);
}

/// What was found. While nothing is known of a side that every application has, that is said.
fn findings(home: &Home, at: Option<usize>, titles: &[&'static str], writer: &mut ViewBuilder<'_>) {
    for title in titles {
        match home.health.of(at).find(|finding| finding.title == *title) {
            Some(finding) => row(Some(sign(finding)), title, &says(finding), writer),
            None if home.is_looked_at() => {}
            None => row(Some((Role::Dim, Sign::Working)), title, "looking", writer),
        }
    }
}

fn says(finding: &Finding) -> String {
    if finding.fix.is_empty() { finding.found.clone() } else { format!("{} ({})", finding.found, finding.fix) }
}

const fn sign(finding: &Finding) -> (Role, Sign) {
    match finding.level {
        Level::Good => (Role::Good, Sign::Good),
        Level::Warning => (Role::Warning, Sign::Warning),
        Level::Problem => (Role::Bad, Sign::Bad),
        Level::Unknown => (Role::Warning, Sign::Untold),
    }
}

/// A name and its value, whole; nothing without a value.
fn row(sign: Option<(Role, Sign)>, label: &str, value: &str, writer: &mut ViewBuilder<'_>) {
    let lead = sign.map_or_else(|| Span::raw(" "), |(role, sign)| writer.sign(role, sign));
    let room = writer.width().saturating_sub(4 + LABEL).max(8);
    let lines = if value.is_empty() { Vec::new() } else { text::wrap(&writer.clean(value), room) };
    for (at, line) in lines.into_iter().enumerate() {
        let value = writer.span(Role::Value, &line);
        if at == 0 {
            let label = writer.span(Role::Dim, &text::pad(label, LABEL));
            writer.line(vec![Span::raw("  "), lead.clone(), Span::raw(" "), label, value]);
        } else {
            writer.line(vec![Span::raw(" ".repeat(4 + LABEL)), value]);
        }
    }
}

/// What can be done about an application.
fn menu(it: &Installed, at: usize) -> Overlay {
    let to = |says: &str, attend| Entry::new(says, Target::Attend(it.run.clone(), attend));
    let mut entries = match it.state {
        RunStatus::Running => vec![to("Watch the run", Attend::Look)],
        RunStatus::Unfinished => vec![to("Resume the run", Attend::Resume), to("Show the run", Attend::Look)],
        RunStatus::RollbackUnfinished => vec![to("Continue the rollback", Attend::RollBack)],
        RunStatus::Done | RunStatus::ProofFailed | RunStatus::RolledBack => vec![
            Entry::new("Change its answers", Target::Answers(it.run.clone(), it.application.guide.clone())),
            Entry::new("Verify it", Target::Application(at, Wanted::Verify)),
        ],
    };
    entries.push(Entry::new("Show its logs", Target::Application(at, Wanted::Logs)));
    entries.push(Entry::new("Show its details", Target::Application(at, Wanted::Details)));
    if it.state != RunStatus::Running {
        entries.push(Entry::new("Roll back its last run", Target::Application(at, Wanted::RollBack)));
    }
    entries.push(Entry::new("Close", Target::Here));
    Overlay::Menu(Menu { title: it.name().to_owned(), text: String::new(), entries })
}

/// What follows when this is wanted of the application at a place.
pub fn application(at: usize, it: &Installed, wanted: Wanted) -> Transition {
    let of = Box::new(it.clone());
    match wanted {
        Wanted::Verify => Transition::Do(Box::new(Cmd::Verify { at, of })),
        Wanted::Logs => Transition::Do(Box::new(Cmd::Logs { of })),
        Wanted::Details => Transition::Open(Box::new(details(it))),
        Wanted::RollBack => Transition::Open(Box::new(roll_back(it))),
    }
}

/// Whether its newest run is to be rolled back.
fn roll_back(it: &Installed) -> Overlay {
    let text = format!(
        "Run {} will be rolled back, and {} will be as it was before that run. It has {} in place, including \
         those of earlier runs. Changes made by others since then are kept.",
        it.run,
        it.name(),
        number(it.changes, "change"),
    );
    Overlay::Menu(Menu {
        title: "Roll back the last run?".to_owned(),
        text,
        entries: vec![
            Entry::new("Leave it as it is", Target::Here),
            Entry::new("Roll it back", Target::Attend(it.run.clone(), Attend::RollBack)),
        ],
    })
}

/// What its guide shows at the end.
fn details(it: &Installed) -> Overlay {
    let mut lines: Vec<Line> = it
        .outputs()
        .iter()
        .flat_map(|line| {
            [Line::Exact(Role::Heading, line.label.clone()), Line::Exact(Role::Value, format!("  {}", line.value))]
        })
        .collect();
    if lines.is_empty() {
        lines.push(Line::Prose(Role::Value, "Cannot tell: the plan of its run cannot be read.".to_owned()));
    }
    Overlay::Pager(Pager::new(it.name().to_owned(), lines))
}
