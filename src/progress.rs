//! How far something is: what a worker reports to its watchers.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::host::Stamp;
use crate::human_bytes;

pub use throttle::throttled;

mod throttle;

/// How far an action is; sent while it works.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// A step with a known size: 0 to 100 percent, with what is being done.
    Percent {
        /// 0 to 100.
        percent: f32,
        /// What is being done, such as "unpacking nginx-common".
        note: String,
        /// How much of what is done in this part of the step, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        amount: Option<Amount>,
    },
    /// A step of unknown size.
    Note(String),
    /// A line of output.
    Output(String),
    /// Something waits for a person, and will be reverted without them.
    Deadline {
        /// When.
        at: Stamp,
        /// Seconds left at the time of this report.
        left: u64,
        /// What the person must do.
        note: String,
    },
    /// A warning although the step continues; the last page repeats it.
    Warning(String),
}

impl Progress {
    /// What is being done, with its figures: "fetching 12.4 of 38.2 MB", "5 of 14, unpacking nginx-common",
    /// "93 s left: log in by SSH once more".
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Percent { note, amount: Some(amount), .. } => match amount.unit {
                Unit::Bytes => format!("{note} {}", human_bytes::part(amount.done, amount.total)).into(),
                // Figures first: a narrow line loses its end.
                Unit::Packages => format!("{} of {}, {note}", amount.done, amount.total).into(),
            },
            Self::Percent { note, amount: None, .. } | Self::Note(note) | Self::Output(note) | Self::Warning(note) => {
                note.into()
            }
            Self::Deadline { left, note, .. } => format!("{left} s left: {note}").into(),
        }
    }
}

/// How much is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// So many are done.
    pub done: u64,
    /// Of so many.
    pub total: u64,
    /// Of what.
    pub unit: Unit,
}

/// What an amount counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Bytes that are downloaded.
    Bytes,
    /// Packages that are unpacked, configured or removed.
    Packages,
}
