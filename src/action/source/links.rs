//! Where the symbolic links of a tree lead.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// Links that are followed for one path, as in `path_resolution(7)`.
const MOST: usize = 40;

/// The first link that does not stay in the tree, as a path in it: one that is absolute, or that leaves the tree on its
/// way. One whose end is missing stays, since nobody else can make that end. `links` has the target of each link.
pub(super) fn first_outside(links: &BTreeMap<&Path, &Path>) -> Option<PathBuf> {
    links.keys().find(|link| !stays(links, link)).map(|link| link.to_path_buf())
}

/// Whether a path stays in the tree, followed as the kernel follows it.
fn stays(links: &BTreeMap<&Path, &Path>, path: &Path) -> bool {
    // What is still to be walked, the last part first, and where we are.
    let mut ahead: Vec<Component<'_>> = path.components().rev().collect();
    let mut here = PathBuf::new();
    let mut followed = 0;
    while let Some(part) = ahead.pop() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                if !here.pop() {
                    return false;
                }
            }
            Component::RootDir | Component::Prefix(_) => return false,
            Component::Normal(name) => {
                here.push(name);
                if let Some(target) = links.get(here.as_path()) {
                    followed += 1;
                    if followed > MOST {
                        return false;
                    }
                    here.pop();
                    ahead.extend(target.components().rev());
                }
            }
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outside(links: &[(&str, &str)]) -> Option<PathBuf> {
        let links = links.iter().map(|(link, target)| (Path::new(*link), Path::new(*target))).collect();
        first_outside(&links)
    }

    #[test]
    fn links_that_stay_inside_are_fine_even_without_an_end() {
        assert_eq!(outside(&[]), None);
        assert_eq!(outside(&[("node_modules/.bin/x", "../x/cli.js"), ("current", "."), ("a/b/c", "../../a")]), None);
        assert_eq!(outside(&[("deep/missing", "../nothing/../here")]), None);
    }

    #[test]
    fn links_that_leave_are_found_on_whatever_way() {
        assert_eq!(outside(&[("a", "/etc/shadow")]), Some("a".into()));
        assert_eq!(outside(&[("a/b", "../../x")]), Some("a/b".into()));
        assert_eq!(outside(&[("b/c", "../..")]), Some("b/c".into()));
        // By its text it is the top, but `q` takes no step down.
        assert_eq!(outside(&[("p", "q/q/../.."), ("q", ".")]), Some("p".into()));
        // Through another link, and out and in again.
        assert_eq!(outside(&[("top", "."), ("z", "top/../app/secret")]), Some("z".into()));
        assert_eq!(outside(&[("d/up", ".."), ("e", "d/up/..")]), Some("e".into()));
        assert_eq!(outside(&[("round", "round")]), Some("round".into()));
    }
}
