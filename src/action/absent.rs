//! `absent`: removes a file or a link, such as a default site.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::action::{Act, Brings, Cx, Verdict, place};
use crate::engine::undo::Undo;
use crate::error::{Failure, Outcome};
use crate::host::Kind;

/// Removes a file or a link, such as a default site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Absent {
    /// What must not be there.
    pub path: PathBuf,
}

impl Act for Absent {
    fn describe(&self) -> String {
        format!("remove {}", self.path.display())
    }

    fn check(&self, cx: &Cx<'_>) -> Outcome<Verdict> {
        Ok(if self.is_there(cx)? { Verdict::change(self.describe()) } else { Verdict::AlreadySo })
    }

    fn prepare(&self, cx: &Cx<'_>) -> Outcome<Vec<Undo>> {
        Ok(if self.is_there(cx)? { vec![cx.blobs.before(cx.host, &self.path)?] } else { Vec::new() })
    }

    fn apply(&self, cx: &Cx<'_>) -> Outcome<()> {
        if self.is_there(cx)? {
            cx.host.remove(&self.path).map_err(|e| Failure::new(self.describe(), e))?;
        }
        Ok(())
    }

    fn brings(&self) -> Brings {
        Brings { paths: vec![self.path.clone()], ..Brings::default() }
    }
}

impl Absent {
    /// Whether there is a file or a link to remove.
    fn is_there(&self, cx: &Cx<'_>) -> Outcome<bool> {
        place::missing_parents(cx.host, &self.path)?;
        match place::stat(cx.host, &self.path)?.map(|stat| stat.kind) {
            None => Ok(false),
            Some(Kind::File | Kind::Symlink) => Ok(true),
            Some(Kind::Dir | Kind::Other) => {
                Err(Failure::new(self.describe(), "it is a directory or a device, not a file or a link")
                    .hint("only files and links can be put back exactly; remove it by hand"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::action::bench::Bench;
    use crate::host::Host as _;

    #[test]
    fn a_file_and_a_link_go_and_come_back() {
        let bench = Bench::new();
        bench.host.put_file("/etc/a", "theirs", 0o640);
        bench.host.make_symlink("/etc/b".as_ref(), "a".as_ref()).unwrap();
        for path in ["/etc/a", "/etc/b"] {
            bench.round_trip(&Absent { path: path.into() });
        }
        bench.make(&Absent { path: "/etc/a".into() });
        assert!(bench.host.text("/etc/a").is_none());
    }

    #[test]
    fn what_is_not_there_needs_no_way_back() {
        let bench = Bench::new();
        let act = Absent { path: "/etc/nothing".into() };
        assert_eq!(bench.check(&act), Ok(Verdict::AlreadySo));
        assert!(bench.make(&act).records.is_empty());
    }

    #[test]
    fn a_directory_is_refused() {
        assert!(Bench::new().check(&Absent { path: "/etc".into() }).is_err());
    }
}
