//! Runs as layers on the server.
//!
//! Rolling back a run while later ones are in place keeps what they use; the disk is compared with its state before the
//! run only when the last of them is rolled back.

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

/// Position of a run among the others: later runs are higher.
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
    /// What later runs than `lowest` that are in place use, except those in `but`.
    pub fn all(host: &dyn Host, all: &[Run], lowest: &Height, but: &[String]) -> Outcome<Vec<Self>> {
        let stays = |run: &&Run| run.state != RunStatus::RolledBack && !but.contains(&run.dir.id);
        all.iter()
            .filter(stays)
            .filter(|run| height(&run.journal) > *lowest)
            .map(|run| {
                let id = &run.dir.id;
                if matches!(run.state, RunStatus::Unfinished | RunStatus::RollbackUnfinished) {
                    let why = format!("the later run {id} was interrupted, and may still use parts of it");
                    let hint = "`bringup resume` continues it, `bringup rollback` rolls it back; then try this again";
                    return Err(Failure::new("roll back a run before later ones", why).hint(hint));
                }
                let plan = run.dir.plan(host).map_err(|failure| {
                    failure
                        .hint(format!("without it, bringup cannot tell what run {id} uses: roll that run back first"))
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::engine::journal::Record;
    use crate::engine::runs;
    use crate::error::Exit;
    use crate::host::fake::FakeHost;
    use crate::plan::Plan;

    fn begun(host: &FakeHost, guide: &str) -> (RunDir, Journal) {
        RunDir::create(host, &Plan::new(guide, "")).unwrap()
    }

    fn finished(host: &FakeHost, guide: &str) -> (RunDir, Journal) {
        let (dir, mut journal) = begun(host, guide);
        journal.write(host, Record::Finished { exit: Exit::Done, data: std::collections::BTreeMap::new() }).unwrap();
        (dir, journal)
    }

    fn above(host: &FakeHost, lowest: &Journal, but: &[String]) -> Outcome<Vec<String>> {
        let found = Above::all(host, &runs::all(host, None).unwrap(), &height(lowest), but)?;
        Ok(Above::than(&found, &height(lowest)).into_iter().map(|used| used.run.clone()).collect())
    }

    #[test]
    fn above_a_run_lie_the_later_ones_that_stand_and_are_not_rolled_back_with_it() {
        let host = FakeHost::new();
        let (first, second, third) = (finished(&host, "a"), finished(&host, "b"), finished(&host, "c"));
        let mut back = finished(&host, "d");
        back.1.write(&host, Record::RolledBack { stage: None, kept: 0, waits: Vec::new() }).unwrap();
        let ids = [&first, &second, &third].map(|run| run.0.id.clone());
        assert_eq!(above(&host, &first.1, &[]).unwrap(), &ids[1..]);
        assert_eq!(above(&host, &first.1, &ids[1..2]).unwrap(), &ids[2..]);
        assert_eq!(above(&host, &second.1, &[]).unwrap(), &ids[2..]);
        assert_eq!(above(&host, &third.1, &[]).unwrap(), [""; 0]);
        // Above the lowest, each layer only has what is above itself.
        let all = Above::all(&host, &runs::all(&host, None).unwrap(), &height(&first.1), &[]).unwrap();
        assert_eq!(all.len(), 2);
        assert_eq!(Above::than(&all, &height(&second.1)).iter().map(|used| &used.run).collect::<Vec<_>>(), [&ids[2]]);
    }

    #[test]
    fn a_later_run_that_was_interrupted_may_use_anything() {
        let host = FakeHost::new();
        let (before, first, later) = (begun(&host, "z"), finished(&host, "a"), begun(&host, "b"));
        let failure = above(&host, &first.1, &[]).unwrap_err();
        assert!(failure.why.contains(&later.0.id), "{failure}");
        // A run that is rolled back with it, or is below it, uses nothing of it.
        assert_eq!(above(&host, &first.1, std::slice::from_ref(&later.0.id)).unwrap(), [""; 0]);
        assert!(height(&before.1) < height(&first.1));
    }
}
