//! The overlays that every page can open.

use crate::engine::runs::RunStatus;
use crate::error::{Exit, Problem};
use crate::plan::tally::number;
use crate::ui::wizard::model::server_status::Earlier;
use crate::ui::wizard::model::{Readiness, Route};
use crate::ui::wizard::overlay::{Entry, Line, Menu, Overlay, Pager, Target};
use crate::ui::wizard::page::{Attend, help};
use crate::ui::wizard::theme::{Role, Theme};

impl Overlay {
    /// Every page with how it stands, to jump to; and the way out.
    pub fn go_to(contents: Vec<(Route, String, Readiness)>) -> Self {
        let mut entries: Vec<Entry> = contents.into_iter().map(page).collect();
        entries.push(Entry::new("Leave", Target::Leave));
        Self::Menu(Menu { title: "Pages".to_owned(), text: String::new(), entries })
    }

    /// What can be done about a run that stands on this machine; `last` says that none was made after it.
    pub fn earlier(earlier: &Earlier, last: bool) -> Self {
        let Earlier { run, state, changes, .. } = earlier;
        let to = |says: &str, attend| Entry::new(says, Target::Attend(run.clone(), attend));
        let mut entries = match state {
            RunStatus::Running => vec![to("Watch it", Attend::Look)],
            RunStatus::Unfinished => vec![to("Resume it", Attend::Resume), to("Show it", Attend::Look)],
            RunStatus::RollbackUnfinished => vec![to("Continue the rollback", Attend::RollBack)],
            RunStatus::Done | RunStatus::ProofFailed | RunStatus::RolledBack => vec![to("Show it", Attend::Look)],
        };
        let changes = number(*changes, "change");
        let mut text = format!("Run {run} {}, with {changes} on this server.", earlier.words());
        match state {
            RunStatus::Running | RunStatus::RollbackUnfinished => {}
            _ if last => {
                text.push_str(" Rolling it back restores the server to its state before the run.");
                entries.push(to("Roll it back", Attend::RollBack));
            }
            _ => text.push_str(" Later runs have to be rolled back before it."),
        }
        entries.push(Entry::new("Close", Target::Here));
        Self::Menu(Menu { title: "Earlier run".to_owned(), text, entries })
    }

    /// What an answers file gives and is not taken.
    pub fn not_taken(problems: &[Problem]) -> Self {
        let mut lines = vec![Line::Prose(Role::Value, "These lines of the answers file were ignored:".to_owned())];
        lines.extend(problems.iter().map(|problem| Line::Prose(Role::Value, problem.to_string())));
        Self::Pager(Pager::new("Answers file", lines))
    }

    /// Every key and what it does.
    pub fn keys(theme: &Theme) -> Self {
        Self::Pager(Pager::new("Keys", help::keys(theme)))
    }

    /// Whether to leave, with so many answers that are kept nowhere else; `asked` says that there are questions.
    pub fn quit(unsaved: usize, asked: bool) -> Self {
        let mut entries = vec![Entry::new("Stay", Target::Here)];
        let lost = match unsaved {
            0 => String::new(),
            1 => " Your answer is lost unless you save it.".to_owned(),
            n => format!(" Your {n} answers are lost unless you save them."),
        };
        let text = format!("Nothing was changed on this server.{lost}");
        if asked {
            entries.push(Entry::new("Save the answers and leave", Target::Save));
        }
        entries.push(Entry::new("Leave", Target::Out(Exit::Interrupted)));
        Self::Menu(Menu { title: "Leave bringup?".to_owned(), text, entries })
    }
}

fn page((place, says, readiness): (Route, String, Readiness)) -> Entry {
    let note = match readiness {
        Readiness::Missing(1) if matches!(place, Route::Stage(_)) => "1 answer to fix".to_owned(),
        Readiness::Missing(n) if matches!(place, Route::Stage(_)) => format!("{n} answers to fix"),
        Readiness::Missing(1) => "1 problem".to_owned(),
        Readiness::Missing(n) => format!("{n} problems"),
        Readiness::Unanswered(1) => "1 answer missing".to_owned(),
        Readiness::Unanswered(n) => format!("{n} answers missing"),
        Readiness::Ready | Readiness::Open => String::new(),
    };
    Entry { sign: Some(readiness.sign()), says, note, target: Target::Page(place) }
}
