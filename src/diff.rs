//! Unified diffs for previews: no secret is ever shown, neither one that we know nor one that stood there
//! before.

use std::path::Path;

use similar::TextDiff;

use crate::secret::{OPEN, Secrets};
use crate::visible;

/// Contents beyond this many bytes are summarized: nobody reads such a diff, and computing it takes long.
const READABLE: usize = 256 * 1024;

/// The diff from the file at `path` (`None`: no file) to `new`, which holds placeholders instead of secrets. `None`
/// when there is no textual difference.
pub fn unified(path: &Path, old: Option<&[u8]>, new: &str, secrets: &Secrets) -> Option<String> {
    let before = old.unwrap_or_default();
    let Some(text) = readable(before).filter(|_| new.len() <= READABLE && !new.contains('\0')) else {
        return Some(format!("(not shown: {} bytes become {} bytes)\n", before.len(), new.len()));
    };
    let shown = mask(&secrets.conceal(text), new);
    if shown == new && old.is_some() {
        return None;
    }
    let name = visible::line(&path.display().to_string());
    let from = if old.is_some() { name.as_str() } else { "/dev/null" };
    let diff = TextDiff::from_lines(shown.as_str(), new);
    Some(diff.unified_diff().context_radius(3).header(from, &name).to_string())
}

fn readable(content: &[u8]) -> Option<&str> {
    if content.len() > READABLE || content.contains(&0) {
        return None;
    }
    std::str::from_utf8(content).ok()
}

/// Hides the old text where the new content has a secret: an earlier password is one too, although we do not know it.
fn mask(present: &str, new: &str) -> String {
    let prefixes: Vec<&str> =
        new.lines().filter_map(|line| line.split_once(OPEN)).map(|(before, _)| before.trim_start()).collect();
    if prefixes.is_empty() {
        return present.to_owned();
    }
    let known: std::collections::HashSet<&str> = new.split_inclusive('\n').collect();
    present
        .split_inclusive('\n')
        .map(|line| {
            let holds = |prefix: &&str| line.trim_start().starts_with(*prefix);
            match prefixes.iter().find(|prefix| holds(prefix)) {
                Some(prefix) if !known.contains(line) => {
                    let indent = &line[..line.len() - line.trim_start().len()];
                    let end = if line.ends_with('\n') { "\n" } else { "" };
                    format!("{indent}{prefix}⟦an earlier value⟧{end}")
                }
                _ => line.to_owned(),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::{Secret, mark};

    fn secrets() -> Secrets {
        let mut secrets = Secrets::default();
        secrets.insert("db.password", Secret::new("correct-horse"));
        secrets
    }

    #[test]
    fn a_new_file_is_compared_with_dev_null() {
        let diff = unified(Path::new("/etc/x"), None, "a\nb\n", &secrets());
        assert_eq!(diff.as_deref(), Some("--- /dev/null\n+++ /etc/x\n@@ -0,0 +1,2 @@\n+a\n+b\n"));
    }

    #[test]
    fn neither_the_present_nor_an_earlier_secret_is_shown() {
        let new = format!("user = web\npassword = {}\nport = 2\n", mark("db.password"));
        let known =
            unified(Path::new("/x"), Some(b"user = web\npassword = correct-horse\nport = 1\n"), &new, &secrets());
        let known = known.unwrap_or_default();
        assert!(!known.contains("correct-horse"), "{known}");
        assert!(known.contains("-port = 1\n+port = 2"), "{known}");
        let earlier = unified(Path::new("/x"), Some(b"user = web\npassword = tr0ub4dor\nport = 2\n"), &new, &secrets());
        let earlier = earlier.unwrap_or_default();
        assert!(!earlier.contains("tr0ub4dor"), "{earlier}");
        assert!(earlier.contains("-password = ⟦an earlier value⟧"), "{earlier}");
    }

    #[test]
    fn a_file_that_is_one_bare_secret_is_not_shown_either() {
        let diff = unified(Path::new("/x"), Some(b"tr0ub4dor\n"), &format!("{}\n", mark("db.password")), &secrets());
        assert!(!diff.unwrap_or_default().contains("tr0ub4dor"));
    }

    #[test]
    fn binary_and_huge_contents_are_summarised() {
        let binary = unified(Path::new("/x"), Some(&[0, 1, 2]), "text\n", &secrets());
        assert_eq!(binary.as_deref(), Some("(not shown: 3 bytes become 5 bytes)\n"));
        let huge = "x\n".repeat(READABLE);
        assert!(unified(Path::new("/x"), None, &huge, &secrets()).unwrap_or_default().starts_with("(not shown"));
    }

    #[test]
    fn the_same_text_has_no_diff() {
        assert_eq!(
            unified(Path::new("/x"), Some(b"a correct-horse\n"), &format!("a {}\n", mark("db.password")), &secrets()),
            None
        );
    }
}
