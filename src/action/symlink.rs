//! `symlink`: makes a symbolic link.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::action::contract::{Act, Brings, Context, Verdict};
use crate::error::{Failure, Outcome};
use crate::host::Kind;
use crate::system::paths;
use crate::undo::{self, Undo};

/// Creates a symbolic link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Symlink {
    /// The link's path.
    pub path: PathBuf,
    /// What it points to.
    pub target: PathBuf,
    /// Another target to accept: where a later action points it.
    #[serde(rename = "or", alias = "accept_target", default, skip_serializing_if = "Option::is_none")]
    pub accept_target: Option<PathBuf>,
    /// Whether something that bringup did not create may exist there: it is replaced, and a rollback restores it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub may_exist: bool,
}

impl Act for Symlink {
    fn describe(&self) -> String {
        format!("link {} to {}", self.path.display(), self.target.display())
    }

    fn check(&self, cx: &Context<'_>) -> Outcome<Verdict> {
        paths::missing_parents(cx.host, &self.path)?;
        let (path, target) = (self.path.display(), self.target.display());
        Ok(match self.standing(cx)? {
            Standing::Nothing => Verdict::change(format!("link {path} to {target}")),
            Standing::Link(present) if self.is_content_with(&present) => Verdict::Unchanged,
            Standing::Link(present) => {
                Verdict::change(format!("change the link {path} from {} to {target}", present.display()))
            }
            Standing::File => Verdict::change(format!("replace the file {path} by a link to {target}")),
        })
    }

    fn prepare(&self, cx: &Context<'_>) -> Outcome<Vec<Undo>> {
        self.standing(cx)?;
        let mut records = undo::parent_records(cx.host, &self.path)?;
        records.push(cx.blobs.before(cx.host, &self.path)?);
        Ok(records)
    }

    fn apply(&self, cx: &Context<'_>) -> Outcome<()> {
        self.standing(cx)?;
        paths::make_parents(cx.host, &self.path)?;
        cx.host.make_symlink(&self.path, &self.target).map_err(|e| Failure::new(self.describe(), e))
    }

    fn brings(&self) -> Brings {
        Brings { paths: vec![self.path.clone()], ..Brings::default() }
    }
}

/// What is at the link's path.
enum Standing {
    Nothing,
    Link(PathBuf),
    File,
}

impl Symlink {
    fn is_content_with(&self, present: &Path) -> bool {
        present == self.target || self.accept_target.as_deref() == Some(present)
    }

    fn standing(&self, cx: &Context<'_>) -> Outcome<Standing> {
        Ok(match paths::stat(cx.host, &self.path)?.map(|stat| stat.kind) {
            None => Standing::Nothing,
            Some(Kind::File) => Standing::File,
            Some(Kind::Symlink) => Standing::Link(paths::read_link(cx.host, &self.path)?),
            Some(Kind::Dir | Kind::Other) => {
                return Err(Failure::new(self.describe(), "a directory or a device is already there")
                    .hint("move it away, or choose another path"));
            }
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::action::testing::Bench;
    use crate::host::Host as _;

    fn link(path: &str, target: &str) -> Symlink {
        Symlink { path: path.into(), target: target.into(), accept_target: None, may_exist: false }
    }

    #[test]
    fn a_link_comes_and_goes() {
        Bench::new().round_trip(&link("/etc/nginx/sites-enabled/app", "../sites-available/app"));
    }

    #[test]
    fn a_link_that_led_elsewhere_and_a_file_come_back() {
        let bench = Bench::new();
        bench.host.make_symlink("/etc/a".as_ref(), "old".as_ref()).unwrap();
        assert_eq!(bench.summary(&link("/etc/a", "new")), "change the link /etc/a from old to new");
        bench.round_trip(&link("/etc/a", "new"));
        bench.host.put_file("/etc/b", "theirs", 0o600);
        bench.round_trip(&link("/etc/b", "new"));
    }

    #[test]
    fn a_link_that_a_later_action_turned_stays() {
        let bench = Bench::new();
        let act = Symlink { accept_target: Some("later".into()), ..link("/etc/a", "first") };
        bench.host.make_symlink("/etc/a".as_ref(), "later".as_ref()).unwrap();
        assert_eq!(bench.check(&act), Ok(Verdict::Unchanged));
        bench.host.make_symlink("/etc/a".as_ref(), "elsewhere".as_ref()).unwrap();
        assert_eq!(bench.summary(&act), "change the link /etc/a from elsewhere to first");
    }

    #[test]
    fn a_directory_in_the_way_is_refused() {
        assert!(Bench::new().check(&link("/etc/default", "x")).is_err());
    }
}
