//! What the wizard has others do, and what they report: nothing here waits on the host while a key is handled.

use crate::answers::{Given, interview::Interview};
use crate::facts::Facts;
use crate::facts::probe::probe;
use crate::guide::load;
use crate::host::Host;

/// Work on the host, done beside the wizard.
#[derive(Clone, Debug)]
pub enum Job {
    /// Look at the machine.
    Probe,
    /// Read a guide and open its questions.
    Open {
        /// The guide's id.
        guide: String,
        /// The machine.
        facts: Box<Facts>,
    },
}

/// What came of it.
#[derive(Debug)]
pub enum Message {
    /// The machine.
    Facts(Box<Facts>),
    /// The questions of the chosen guide.
    Opened(Box<Interview>),
    /// The guide cannot be read.
    NotOpened(String),
}

impl Job {
    /// Does the work; every result is told as it is known.
    pub fn work(self, host: &dyn Host, tell: &(dyn Fn(Message) + Sync)) {
        match self {
            Self::Probe => tell(Message::Facts(Box::new(probe(host)))),
            Self::Open { guide, facts } => match load::load(&guide) {
                Ok(guide) => tell(Message::Opened(Box::new(Interview::new(guide, *facts, Given::default())))),
                Err(problems) => {
                    let words: Vec<String> = problems.iter().map(ToString::to_string).collect();
                    tell(Message::NotOpened(words.join("; ")));
                }
            },
        }
    }
}
