//! What has happened, told by the events of a run or of a rollback.

use std::path::Path;

use crate::engine::decision::Choice;
use crate::engine::event::{self, Event, What};
use crate::error::Failure;
use crate::host::Host;
use crate::progress::Progress;
use crate::proof::not_tried;
use crate::ui::track::Track;

/// The parts of a run's story that its last page tells.
#[derive(Debug, Default)]
pub struct Story {
    /// The guide's title; none when the events are those of a rollback.
    pub title: Option<String>,
    /// Each proof that succeeded, with its evidence.
    pub proofs: Vec<(String, String)>,
    /// Each proof that could not be tried, and why.
    pub not_tried: Vec<(String, String)>,
    /// Each step that was left out, with the guide's leave.
    pub skipped: Vec<(String, String)>,
    /// What did not go as it should although the run went on.
    pub warnings: Vec<String>,
    /// The first failure, with its step; after a decision to go on, the first since.
    pub failure: Option<(String, Failure)>,
    /// Failures after the first.
    pub others: Vec<Failure>,
    /// A rollback began.
    pub back: bool,
    /// Changes that the rollback set out to undo.
    pub undone: usize,
    /// What was left in place, and why.
    pub kept: Vec<(String, String)>,
    /// What was saved before it was dropped, and where.
    pub dumped: Vec<(String, String)>,
}

impl Story {
    /// Reads the events in a file. What cannot be read is not told.
    pub fn read(host: &dyn Host, events: &Path) -> Self {
        Self::of(event::read(host, events))
    }

    /// Takes events in.
    pub fn of(events: impl IntoIterator<Item = Event>) -> Self {
        let mut story = Self::default();
        let mut track = Track::default();
        for event in events {
            track.take_in(&event);
            match event.what {
                What::RunStarted { guide, .. } => {
                    story.title = Some(guide);
                    story.back = false;
                    story.proofs.clear();
                    story.not_tried.clear();
                    story.skipped.clear();
                    story.warnings.clear();
                }
                // A stage that was taken back is no rollback of the run.
                What::Waiting(_) => story.back = false,
                // What failed before is mended, or another failure will be told.
                What::Decided { choice: Choice::Retry | Choice::Skip | Choice::Replan } => {
                    story.failure = None;
                    story.others.clear();
                    story.kept.clear();
                    story.back = false;
                }
                What::ActionProgress { progress: Progress::Warning(text), .. } if !story.warnings.contains(&text) => {
                    story.warnings.push(text);
                }
                What::Skipped { step, because } => {
                    let describe = track.describe(&step).to_owned();
                    story.skipped.retain(|(known, _)| *known != describe);
                    story.skipped.push((describe, because));
                }
                What::ProofEnded { proof, evidence: Some(evidence), failure: None, .. } => {
                    // One that is tried again is told once.
                    let describe = track.describe(&proof).to_owned();
                    story.proofs.retain(|(known, _)| *known != describe);
                    story.not_tried.retain(|(known, _)| *known != describe);
                    match not_tried(&evidence) {
                        Some(why) => story.not_tried.push((describe, why.to_owned())),
                        None => story.proofs.push((describe, evidence)),
                    }
                }
                What::Failed { step, failure } if story.failure.is_none() => {
                    story.failure = Some((step, failure));
                }
                What::Failed { failure, .. } => story.others.push(failure),
                What::RollbackStarted { records, .. } => {
                    story.back = true;
                    story.undone = records;
                }
                What::Kept { what, why } => story.kept.push((what, why)),
                What::Dumped { what, file } => story.dumped.push((what, file)),
                _ => {}
            }
        }
        story
    }

    /// Whether the events are those of a rollback that somebody asked for.
    pub fn is_rollback(&self) -> bool {
        self.back && self.title.is_none()
    }
}
