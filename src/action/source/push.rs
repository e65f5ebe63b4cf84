//! Sources that were pushed to this server with git.
//!
//! Root runs no git in a repository that others write to: what receives a push hands over an archive of the commit, which
//! is kept in a directory of root's.

use std::path::{Path, PathBuf};

use super::{From, Named, Source, archive, git};
use crate::action::contract::{Act, Context};
use crate::error::{Failure, Outcome};
use crate::host::Host;
use crate::system::paths;

/// The file with the newest commit.
const HEAD: &str = "head";
/// More of it is never read, in bytes.
const LONGEST: u64 = 100;

const HINT: &str = "push it again; after a rollback, another commit (`git commit --allow-empty`)";

fn archive_of(source: &Source) -> PathBuf {
    Path::new(&source.location).join(format!("{}.tar", source.commit))
}

/// The commit that was pushed last.
pub(super) fn look_up(source: &Source, host: &dyn Host) -> Outcome<Named> {
    let head = Path::new(&source.location).join(HEAD);
    let what = || format!("look up what was pushed to {}", source.reference);
    if paths::stat(host, &head)?.is_none() {
        return Err(Failure::new(what(), "nothing has been pushed yet").hint("`bringup status` shows where to push to"));
    }
    let text = host.read_at_most(&head, LONGEST).map_err(|e| Failure::new(what(), e))?;
    let text = String::from_utf8_lossy(&text);
    match text.trim() {
        commit if git::is_commit(commit) => Ok(Named::Branch(commit.to_owned())),
        _ => Err(Failure::new(what(), format!("{} has no commit", head.display())).hint("push again")),
    }
}

/// Unpacks the archive of the commit into `dir`, and returns the commit.
pub(super) fn unpack(source: &Source, cx: &Context<'_>, dir: &Path) -> Outcome<String> {
    let location = archive_of(source).to_string_lossy().into_owned();
    // Another file there would choose what runs.
    paths::only_root_changes(cx.host, Path::new(&location))?;
    let packed = Source { from: From::Archive, location, keep_top: true, ..source.clone() };
    archive::unpack(&packed, cx, dir).map_err(|failure| Failure { what: source.describe(), ..failure })?;
    Ok(source.commit.clone())
}

/// Why it cannot be unpacked: only the newest archives are kept.
pub(super) fn obstacle(source: &Source, host: &dyn Host) -> Option<Failure> {
    if source.commit.is_empty() || host.euid() != 0 || source.resolved(host).is_some() {
        return None;
    }
    let is_there = paths::stat(host, &archive_of(source)).is_ok_and(|stat| stat.is_some());
    let is_filled = || source.is_filled(host).unwrap_or_default();
    (!is_there && !is_filled())
        .then(|| Failure::new(source.describe(), "what was pushed is no longer kept on this server").hint(HINT))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::action::testing::Bench;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
    const RECEIVED: &str = "/var/lib/shop-push/received";

    fn pushed(commit: &str) -> Source {
        let files = if commit.is_empty() { serde_json::json!({"index.html": "soon"}) } else { serde_json::json!({}) };
        serde_json::from_value(serde_json::json!({
            "path": "/opt/shop/app", "from": "push", "location": RECEIVED, "reference": "main", "commit": commit,
            "placeholder": "waiting", "files": files,
        }))
        .unwrap()
    }

    #[test]
    fn a_placeholder_is_in_place_until_an_archive_is_unpacked_whole() {
        let bench = Bench::new();
        bench.round_trip(&pushed(""));
        let waiting = bench.make(&pushed(""));
        assert_eq!(bench.host.text("/opt/shop/app/index.html").unwrap(), "soon");
        // A single top directory is the developer's, not a packer's.
        bench.host.put_archive(format!("{RECEIVED}/{COMMIT}.tar"), &[("shop/app.py", "1\n")]);
        let deployed = bench.make(&pushed(COMMIT));
        assert_eq!(bench.host.text("/opt/shop/app/shop/app.py").unwrap(), "1\n");
        assert_eq!(pushed(COMMIT).resolved(&bench.host).unwrap(), COMMIT);
        bench.take_back(&deployed);
        assert_eq!(bench.host.text("/opt/shop/app/index.html").unwrap(), "soon");
        bench.take_back(&waiting);
    }

    #[test]
    fn the_newest_commit_is_what_a_file_of_roots_names() {
        let bench = Bench::new();
        let told = |bench: &Bench| pushed("").look_up(&bench.host, "main");
        assert!(told(&bench).unwrap_err().why.contains("nothing has been pushed yet"));
        bench.host.put_file(format!("{RECEIVED}/head"), "../../x\n", 0o600);
        assert!(told(&bench).unwrap_err().why.contains("has no commit"));
        bench.host.put_file(format!("{RECEIVED}/head"), format!("{COMMIT}\n"), 0o600);
        assert_eq!(told(&bench), Ok(Named::Branch(COMMIT.to_owned())));
        assert!(bench.check(&pushed("../x")).unwrap_err().why.contains("40 hexadecimal digits"));
    }

    #[test]
    fn one_that_is_no_longer_kept_is_refused_unless_it_was_unpacked() {
        let bench = Bench::new();
        assert_eq!(pushed("").obstacle(&bench.host), None);
        assert!(pushed(COMMIT).obstacle(&bench.host).unwrap().why.contains("no longer kept"));
        bench.host.put_archive(format!("{RECEIVED}/{COMMIT}.tar"), &[("app.py", "1\n")]);
        assert_eq!(pushed(COMMIT).obstacle(&bench.host), None);
        bench.make(&pushed(COMMIT));
        bench.host.take_away(format!("{RECEIVED}/{COMMIT}.tar"));
        assert_eq!(pushed(COMMIT).obstacle(&bench.host), None);
    }
}
