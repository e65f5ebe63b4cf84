//! `directory`: makes a directory (and the missing ones above it).

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::action::contract::{Act, Brings, Context, Reversible, Verdict};
use crate::error::{Failure, Outcome};
use crate::host::{Kind, Stat};
use crate::system::{accounts, paths};
use crate::undo::{self, Undo};

/// Creates a directory (and its missing parents).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Directory {
    /// The directory's path.
    pub path: PathBuf,
    /// Permission bits in octal.
    #[serde(default = "default_mode")]
    pub mode: String,
    /// Owner's name.
    #[serde(default = "root")]
    pub owner: String,
    /// Group's name.
    #[serde(default = "root")]
    pub group: String,
    /// Whether the product keeps its users' data in it: archived before it is removed, and removed only with
    /// `--drop-data`.
    #[serde(rename = "data", alias = "user_data", default)]
    pub user_data: bool,
    /// Whether a directory of another owner may exist there, with what is in it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub may_exist: bool,
}

fn default_mode() -> String {
    "0755".to_owned()
}

fn root() -> String {
    "root".to_owned()
}

impl Act for Directory {
    fn describe(&self) -> String {
        format!("create the directory {}", self.path.display())
    }

    fn check(&self, cx: &Context<'_>) -> Outcome<Verdict> {
        paths::missing_parents(cx.host, &self.path)?;
        let meta = accounts::meta(cx.host, &self.mode, &self.owner, &self.group)?;
        let path = self.path.display();
        let Self { mode, owner, group, .. } = self;
        Ok(match self.stat(cx)? {
            None => Verdict::change(format!("create the directory {path} ({owner}:{group}, mode {mode})")),
            Some(stat) if meta == Some(stat.meta) => Verdict::Unchanged,
            Some(_) => Verdict::change(format!("set {path} to {owner}:{group}, mode {mode}")),
        })
    }

    fn prepare(&self, cx: &Context<'_>) -> Outcome<Vec<Undo>> {
        let path = self.path.clone();
        if self.stat(cx)?.is_some() {
            return Ok(vec![cx.blobs.before(cx.host, &path)?]);
        }
        let mut records = undo::parent_records(cx.host, &path)?;
        records.push(if self.user_data { Undo::RemoveData { path } } else { Undo::RemoveDir { path } });
        Ok(records)
    }

    fn apply(&self, cx: &Context<'_>) -> Outcome<()> {
        let meta = accounts::require_meta(cx.host, &self.mode, &self.owner, &self.group)?;
        match self.stat(cx)? {
            None => {
                paths::make_parents(cx.host, &self.path)?;
                paths::make_dir(cx.host, &self.path, meta)
            }
            Some(stat) if stat.meta == meta => Ok(()),
            Some(_) => cx
                .host
                .set_meta(&self.path, meta)
                .map_err(|e| Failure::new(format!("change the owner or mode of {}", self.path.display()), e)),
        }
    }

    fn reversible(&self) -> Reversible {
        if self.user_data { Reversible::WithData } else { Reversible::Yes }
    }

    fn brings(&self) -> Brings {
        Brings { paths: vec![self.path.clone()], ..Brings::default() }
    }
}

impl Directory {
    /// What is at the path, if it is a directory. A link to one is refused: its owner and mode are not ours to change,
    /// and it could be pointed elsewhere later.
    fn stat(&self, cx: &Context<'_>) -> Outcome<Option<Stat>> {
        let stat = paths::stat(cx.host, &self.path)?;
        let what = format!("create the directory {}", self.path.display());
        match stat.map(|stat| stat.kind) {
            None | Some(Kind::Dir) => Ok(stat),
            Some(Kind::Symlink) => {
                Err(Failure::new(what, "a symbolic link is already there").hint("name the directory that it points to"))
            }
            Some(Kind::File | Kind::Other) => {
                Err(Failure::new(what, "something else is already there").hint("move it away, or choose another path"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::action::testing::{Bench, kept};

    fn directory(path: &str) -> Directory {
        serde_json::from_value(serde_json::json!({"path": path, "mode": "0750", "group": "www-data"})).unwrap()
    }

    #[test]
    fn a_new_directory_comes_and_goes_with_those_above_it() {
        Bench::new().round_trip(&directory("/srv/app/var/log"));
    }

    #[test]
    fn a_directory_that_was_there_gets_its_owner_and_mode_back() {
        Bench::new().round_trip(&directory("/srv"));
    }

    #[test]
    fn a_directory_that_somebody_filled_stays() {
        let bench = Bench::new();
        let done = bench.make(&directory("/srv/app"));
        bench.host.put_file("/srv/app/theirs", "x", 0o644);
        assert_eq!(kept(bench.take_back(&done)).len(), 1);
        assert!(bench.host.text("/srv/app/theirs").is_some());
    }

    #[test]
    fn a_directory_of_data_is_recorded_as_such() {
        let bench = Bench::new();
        let act = Directory { user_data: true, ..directory("/srv/data") };
        let path = PathBuf::from("/srv/data");
        assert_eq!(bench.make(&act).records, [Undo::RemoveData { path }]);
        assert_eq!(act.reversible(), Reversible::WithData);
    }

    #[test]
    fn a_file_or_a_link_in_the_way_is_refused() {
        let bench = Bench::new();
        crate::host::Host::make_symlink(&bench.host, "/srv/link".as_ref(), "/etc".as_ref()).unwrap();
        assert!(bench.check(&directory("/etc/passwd")).is_err());
        assert!(bench.check(&directory("/srv/link")).is_err());
    }
}
