//! The layers in which runs lie on the server.
//!
//! A run that is rolled back while later ones are in place leaves what they use, and the disk is compared with what
//! it was before it only when the last of them is gone.

use crate::engine::journal::Journal;
use crate::engine::rollback::shared::Used;
use crate::engine::runs::{Run, RunDir, RunStatus};
use crate::error::{Failure, Outcome};
use crate::host::{Host, Stamp};

/// A run to be rolled back.
pub struct Layer<'a> {
    /// Its files.
    pub dir: &'a RunDir,
    /// Its journal.
    pub journal: &'a mut Journal,
}

/// Where a run lies among the others: the later, the higher.
pub type Height = (Stamp, String);

/// The height of the run with this journal.
pub fn height(journal: &Journal) -> Height {
    (journal.header.at, journal.header.run.clone())
}

/// A run that stays in place, and what it uses.
pub struct Above {
    height: Height,
    /// What it uses.
    pub used: Used,
}

impl Above {
    /// What the runs use that are in place, later than `lowest`, and none of `but`.
    pub fn all(host: &dyn Host, all: &[Run], lowest: &Height, but: &[String]) -> Outcome<Vec<Self>> {
        let stays = |run: &&Run| run.state != RunStatus::RolledBack && !but.contains(&run.dir.id);
        all.iter()
            .filter(stays)
            .filter(|run| height(&run.journal) > *lowest)
            .map(|run| {
                let id = &run.dir.id;
                if matches!(run.state, RunStatus::Unfinished | RunStatus::RollbackUnfinished) {
                    let why = format!("the later run {id} was interrupted, and may still use any of it");
                    let hint =
                        "`bringup resume` goes on with it, `bringup rollback` rolls it back; then try this again";
                    return Err(Failure::new("roll back a run below others", why).hint(hint));
                }
                let plan = run.dir.plan(host).map_err(|failure| {
                    failure.hint(format!("what run {id} uses is not known without it: roll that one back first"))
                })?;
                Ok(Self { height: height(&run.journal), used: Used::of(&run.dir.id, &plan, &run.journal) })
            })
            .collect()
    }

    /// Those that are later than `height`.
    pub fn than<'a>(all: &'a [Self], height: &Height) -> Vec<&'a Used> {
        all.iter().filter(|above| above.height > *height).map(|above| &above.used).collect()
    }
}
