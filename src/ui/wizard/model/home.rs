//! What the first page knows of the applications that are applied here: their names at once, the rest as it is found.

use crate::engine::health::Installed;
use crate::error::Outcome;
use crate::facts::Application;
use crate::ui::health::Health;

/// The applications of this server.
#[derive(Debug, Default)]
pub struct Home {
    /// From the world-readable record; shown until more is known.
    pub noted: Vec<Application>,
    /// From their runs; none before these were read.
    pub installed: Option<Vec<Installed>>,
    /// Why they cannot be read.
    pub trouble: Option<String>,
    /// How well they are.
    pub health: Health,
    /// All findings were reported.
    pub done: bool,
}

impl Home {
    /// For applications of which only names and addresses are known; none without any.
    pub fn of(mut noted: Vec<Application>) -> Option<Self> {
        // The newest first, as in their runs.
        noted.reverse();
        (!noted.is_empty()).then(|| Self { noted, ..Self::default() })
    }

    /// The applications with all that is known of each.
    pub fn applications(&self) -> Vec<(&Application, Option<&Installed>)> {
        match &self.installed {
            Some(installed) => installed.iter().map(|it| (&it.application, Some(it))).collect(),
            None => self.noted.iter().map(|application| (application, None)).collect(),
        }
    }

    /// The application at this place, once its run was read.
    pub fn installed_at(&self, at: usize) -> Option<&Installed> {
        self.installed.as_ref()?.get(at)
    }

    /// Whether nothing more is awaited.
    pub fn is_looked_at(&self) -> bool {
        self.done
    }

    /// The runs were read, or why not.
    pub fn found(&mut self, installed: Outcome<Vec<Installed>>) {
        match installed {
            Ok(installed) => self.installed = Some(installed),
            Err(failure) => self.trouble = Some(failure.why),
        }
    }
}
