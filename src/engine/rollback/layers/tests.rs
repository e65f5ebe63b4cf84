#![allow(clippy::unwrap_used)]

use super::*;
use crate::engine::manifest::Contents;
use crate::host::fake::FakeHost;

/// A disk with these files, as a manifest. What has the same content is the same.
fn disk(files: &[(&str, &str)]) -> Manifest {
    let host = FakeHost::new();
    for (path, content) in files {
        host.put_file(path, content, 0o644);
    }
    let mut manifest = Manifest::take(&host, None, &mut Contents::new()).unwrap();
    manifest.entries.retain(|path, _| path.starts_with("/etc/x") || path == Path::new("/etc/passwd"));
    for (ino, entry) in manifest.entries.values_mut().enumerate() {
        // Nothing but the content tells them apart.
        (entry.ino, entry.ctime, entry.mtime) = (ino as u64, Stamp::default(), Stamp::default());
        entry.ctime.sec = entry.hash.as_deref().map_or(0, |hash| i64::from(hash.as_bytes()[0]));
    }
    manifest
}

fn deed(at: i64, height: i64, begin: &[(&str, &str)], end: &[(&str, &str)]) -> Deed {
    let stamp = |sec| Stamp { sec, nsec: 0 };
    Deed { height: (stamp(height), String::new()), begin: disk(begin), end: disk(end), at: stamp(at) }
}

type Files<'a> = &'a [(&'a str, &'a str)];

/// What a file of ours counts as, after our run left `post`, an upper run made `upper` of it, our rollback made `left`
/// of that, and it is `cur` now.
fn counts_as(post: Files<'_>, upper: Files<'_>, found: Files<'_>, left: Files<'_>, cur: Files<'_>) -> Option<String> {
    let run = deed(1, 1, &[], post);
    let other = deed(2, 2, post, upper);
    let back = deed(3, 1, found, left);
    let gone = deed(4, 2, left, cur);
    let (own, chain) = (vec![&run, &back], vec![&run, &other, &back, &gone]);
    let expected = expected_end(&own, &chain, &[], [&disk(post), &disk(cur)]);
    let hash = |manifest: &Manifest| manifest.entries.get(Path::new("/etc/x/f")).and_then(|entry| entry.hash.clone());
    let is = |files: Files<'_>| hash(&expected) == hash(&disk(files));
    let names = [("post", is(post)), ("cur", is(cur))];
    names.iter().find(|(_, is)| *is).map(|(name, _)| (*name).to_owned())
}

#[test]
fn a_path_counts_as_it_is_now_when_only_rollbacks_changed_it() {
    let file = |content: &'static str| [("/etc/x/f", content)];
    let (none, a, b, c): (Files<'_>, _, _, _) = (&[], file("a"), file("b"), file("c"));
    let table = [
        ("our first rollback removed it", counts_as(&a, &a, &a, none, none), "cur"),
        ("our first rollback changed it", counts_as(&a, &a, &a, &b, &b), "cur"),
        ("another run changed it, we in between, and it went back", counts_as(&a, &b, &b, &c, &a), "post"),
        ("another run and we changed it", counts_as(&a, &b, &b, &c, none), "cur"),
        ("somebody changed it after the upper run", counts_as(&a, &a, &b, &c, &c), "post"),
        ("our rollback left it alone, and it is as we left it", counts_as(&a, &a, &a, &a, &a), "post"),
        ("our rollback left it alone, and somebody changed it since", counts_as(&a, &a, &a, &a, &b), "post"),
    ];
    for (what, is, wanted) in table {
        assert_eq!(is.as_deref(), Some(wanted), "{what}");
    }
}

#[test]
fn accounts_are_always_merged() {
    let (a, b) = ([("/etc/passwd", "a:x\n")], [("/etc/passwd", "b:x\n")]);
    let run = deed(1, 1, &[], &a);
    let back = deed(2, 1, &a, &b);
    let expected = expected_end(&[&run, &back], &[&run, &back], &[], [&disk(&a), &disk(&b)]);
    let hash = |manifest: &Manifest| manifest.entries.get(Path::new("/etc/passwd")).unwrap().hash.clone();
    assert_eq!(hash(&expected), hash(&disk(&a)));
}

#[test]
fn parts_of_a_rollback_have_manifests_of_their_own() {
    assert_eq!([numbered("cur", 0), numbered("cur", 1), numbered("left", 2)], ["cur", "cur-2", "left-3"]);
}
