//! `remove`: removes files or links, such as a default site.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::action::contract::{Act, Brings, Context, Verdict};
use crate::error::{Failure, Outcome};
use crate::host::Kind;
use crate::system::paths;
use crate::undo::Undo;

/// Removes files or links, such as a default site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remove {
    /// The path to remove.
    pub path: PathBuf,
    /// More paths to remove.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<PathBuf>,
}

impl Act for Remove {
    fn describe(&self) -> String {
        let first = format!("remove {}", self.path.display());
        match self.also.len() {
            0 => first,
            more => format!("{first} and {more} more"),
        }
    }

    fn check(&self, cx: &Context<'_>) -> Outcome<Verdict> {
        let there: Vec<String> = self.there(cx)?.iter().map(|path| path.display().to_string()).collect();
        if there.is_empty() {
            return Ok(Verdict::Unchanged);
        }
        Ok(Verdict::change(format!("remove {}", there.join(", "))))
    }

    fn prepare(&self, cx: &Context<'_>) -> Outcome<Vec<Undo>> {
        self.there(cx)?.into_iter().map(|path| cx.blobs.before(cx.host, path)).collect()
    }

    fn apply(&self, cx: &Context<'_>) -> Outcome<()> {
        for path in self.there(cx)? {
            cx.host.remove(path).map_err(|e| Failure::new(format!("remove {}", path.display()), e))?;
        }
        Ok(())
    }

    fn brings(&self) -> Brings {
        Brings { paths: self.paths().cloned().collect(), ..Brings::default() }
    }
}

impl Remove {
    fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        std::iter::once(&self.path).chain(&self.also)
    }

    /// Those that exist.
    fn there(&self, cx: &Context<'_>) -> Outcome<Vec<&PathBuf>> {
        self.paths()
            .filter_map(|path| Self::is_there(cx, path).map(|there| there.then_some(path)).transpose())
            .collect()
    }

    /// Whether there is a file or a link to remove.
    fn is_there(cx: &Context<'_>, path: &Path) -> Outcome<bool> {
        paths::missing_parents(cx.host, path)?;
        match paths::stat(cx.host, path)?.map(|stat| stat.kind) {
            None => Ok(false),
            Some(Kind::File | Kind::Symlink) => Ok(true),
            Some(Kind::Dir | Kind::Other) => Err(Failure::new(
                format!("remove {}", path.display()),
                "it is a directory or a device, not a file or a link",
            )
            .hint("only files and links can be restored exactly; remove it by hand")),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::action::testing::Bench;
    use crate::host::Host as _;

    #[test]
    fn a_file_and_a_link_go_and_come_back() {
        let bench = Bench::new();
        bench.host.put_file("/etc/a", "theirs", 0o640);
        bench.host.make_symlink("/etc/b".as_ref(), "a".as_ref()).unwrap();
        for path in ["/etc/a", "/etc/b"] {
            bench.round_trip(&Remove { path: path.into(), also: Vec::new() });
        }
        bench.make(&Remove { path: "/etc/a".into(), also: Vec::new() });
        assert!(bench.host.text("/etc/a").is_none());
    }

    #[test]
    fn several_files_go_and_come_back_as_far_as_they_are_there() {
        let bench = Bench::new();
        bench.host.put_file("/etc/b", "theirs", 0o640);
        bench.host.put_file("/etc/c", "theirs", 0o644);
        let all = Remove { path: "/etc/a".into(), also: vec!["/etc/b".into(), "/etc/c".into()] };
        bench.round_trip(&all);
        bench.make(&all);
        assert!(bench.host.text("/etc/b").is_none() && bench.host.text("/etc/c").is_none());
    }

    #[test]
    fn what_is_not_there_needs_no_way_back() {
        let bench = Bench::new();
        let act = Remove { path: "/etc/nothing".into(), also: Vec::new() };
        assert_eq!(bench.check(&act), Ok(Verdict::Unchanged));
        assert!(bench.make(&act).records.is_empty());
    }

    #[test]
    fn a_directory_is_refused() {
        assert!(Bench::new().check(&Remove { path: "/etc".into(), also: Vec::new() }).is_err());
    }
}
