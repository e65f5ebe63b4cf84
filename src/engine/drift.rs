//! Drift: files and links that runs wrote and that were changed outside bringup since.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::action::carry;
use crate::engine::runs::{self, Run};
use crate::error::Failure;
use crate::facts::Application;
use crate::host::Host;

/// A file or link that differs from what the latest run wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    /// The file's path.
    pub path: PathBuf,
    /// The run that wrote it.
    pub run: String,
    /// How it differs.
    pub how: How,
}

/// How a file differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// Its content was changed.
    Changed,
    /// It was removed.
    Removed,
    /// It cannot be read, and why.
    Unknown(String),
}

impl Drift {
    /// "/etc/nginx/nginx.conf was changed outside bringup".
    pub fn words(&self) -> String {
        let path = self.path.display();
        match &self.how {
            How::Changed => format!("{path} was changed outside bringup"),
            How::Removed => format!("{path} was removed outside bringup"),
            How::Unknown(why) => format!("cannot tell about {path}: {why}"),
        }
    }
}

/// Checks every file that the runs of an application wrote, against the newest run of any application: what a later run
/// changed is not drift. Returns how many there are, and those that differ, by path. Changes nothing.
pub fn drift(host: &dyn Host, all: &[Run], application: &Application) -> (usize, Vec<Drift>) {
    let mut wrote: BTreeMap<&Path, (&str, &str)> = BTreeMap::new();
    let mut own: Vec<&Path> = Vec::new();
    for run in runs::standing(all) {
        let is_own = run.is_of(host, application);
        for entry in run.journal.entries().iter().filter(|entry| !entry.undone) {
            for (path, hash) in &entry.written_hashes {
                wrote.insert(path, (hash, &run.dir.id));
                if is_own {
                    own.push(path);
                }
            }
        }
    }
    own.sort_unstable();
    own.dedup();
    let differs = own.iter().filter_map(|path| {
        let (hash, run) = wrote.get(path)?;
        let how = match carry::written(host, path) {
            Ok(Some(now)) if now == *hash => return None,
            Ok(Some(_)) => How::Changed,
            Ok(None) => How::Removed,
            Err(Failure { why, .. }) => How::Unknown(why),
        };
        Some(Drift { path: path.to_path_buf(), run: (*run).to_owned(), how })
    });
    (own.len(), differs.collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::path::PathBuf;

    use super::*;
    use crate::engine::journal::Record;
    use crate::engine::runs::RunDir;
    use crate::host::fake::FakeHost;
    use crate::plan::Plan;

    /// A run that wrote these files with their present content.
    fn wrote(host: &FakeHost, guide: &str, paths: &[&str]) -> String {
        let (dir, mut journal) = RunDir::create(host, &Plan::new(guide, "")).unwrap();
        for path in paths {
            let path = PathBuf::from(path);
            let action = format!("web.{}", path.display());
            journal.write(host, Record::Begin { action: action.clone(), stage: "web".into(), undo: vec![] }).unwrap();
            let hash = carry::written(host, &path).unwrap().unwrap();
            journal.write(host, Record::End { action, written_hashes: [(path, hash)].into() }).unwrap();
        }
        dir.id
    }

    #[test]
    fn what_differs_from_what_was_written_last_is_told_with_its_run() {
        let host = FakeHost::new();
        for path in ["/etc/same", "/etc/other", "/etc/gone"] {
            host.put_file(path, "ours", 0o644);
        }
        let shop = wrote(&host, "shop", &["/etc/same", "/etc/other", "/etc/gone"]);
        let of = |guide: &str| {
            let (files, drift) =
                super::drift(&host, &runs::all(&host, None).unwrap(), &Plan::new(guide, "").application());
            (files, drift.iter().map(Drift::words).collect::<Vec<_>>())
        };
        assert_eq!(of("shop"), (3, vec![]));
        host.put_file("/etc/other", "theirs", 0o644);
        host.remove(Path::new("/etc/gone")).unwrap();
        assert_eq!(of("shop").1, ["/etc/gone was removed outside bringup", "/etc/other was changed outside bringup"]);
        assert_eq!(of("nobody"), (0, vec![]));
        let all = runs::all(&host, None).unwrap();
        assert_eq!(super::drift(&host, &all, &Plan::new("shop", "").application()).1[0].run, shop);
        // A run of another application wrote it since: that is not drift.
        wrote(&host, "wiki", &["/etc/other"]);
        assert_eq!(of("shop").1, ["/etc/gone was removed outside bringup"]);
    }
}
