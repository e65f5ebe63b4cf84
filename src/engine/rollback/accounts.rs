//! Merging the account files: our users out, everybody else's in.

use std::collections::BTreeMap;
use std::path::Path;

/// The files that are merged line by line, by the key before the first colon.
const FILES: &[&str] = &["/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow", "/etc/subuid", "/etc/subgid"];

/// Whether `path` is merged by key.
pub fn is_merged(path: &Path) -> bool {
    FILES.iter().any(|file| path == Path::new(file))
}

/// `cur` without what the run brought: lines whose key only `post` has are dropped, lines that only the run
/// changed go back to `base`, everything else stays as it is, in its order.
pub fn merge(base: &[u8], post: &[u8], cur: &[u8]) -> Vec<u8> {
    let (base_text, post_text, cur_text) = (text(base), text(post), text(cur));
    let (base_lines, post_lines) = (by_key(&base_text), by_key(&post_text));
    let mut out = String::with_capacity(cur.len());
    for line in cur_text.lines() {
        let key = key(line);
        let kept = match (base_lines.get(key), post_lines.get(key)) {
            (None, Some(ours)) if *ours == line => continue,
            (Some(before), Some(ours)) if *ours == line => before,
            _ => line,
        };
        out.push_str(kept);
        out.push('\n');
    }
    // What the run removed comes back.
    for line in base_text.lines() {
        if !post_lines.contains_key(key(line)) && !cur_text.lines().any(|cur| self::key(cur) == key(line)) {
            out.push_str(line);
            out.push('\n');
        }
    }
    out.into_bytes()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn key(line: &str) -> &str {
    line.split(':').next().unwrap_or(line)
}

fn by_key(text: &str) -> BTreeMap<&str, &str> {
    text.lines().map(|line| (key(line), line)).collect()
}

#[cfg(test)]
mod tests {
    use super::merge;

    #[test]
    fn our_user_goes_and_the_administrators_stays() {
        let base = b"root:x:0\nwww:x:33\n";
        let post = b"root:x:0\nwww:x:33:webapp\nwebapp:x:998\n";
        let cur = b"root:x:0\nwww:x:33:webapp\nwebapp:x:998\nalice:x:1000\n";
        assert_eq!(merge(base, post, cur), b"root:x:0\nwww:x:33\nalice:x:1000\n");
    }

    #[test]
    fn a_line_that_somebody_changed_after_us_is_left_alone() {
        assert_eq!(merge(b"a:1\n", b"a:2\n", b"a:3\n"), b"a:3\n");
        assert_eq!(merge(b"", b"ours:1\n", b"ours:changed\n"), b"ours:changed\n");
    }

    #[test]
    fn a_line_that_the_run_removed_comes_back() {
        assert_eq!(merge(b"a:1\nb:1\n", b"a:1\n", b"a:1\nc:1\n"), b"a:1\nc:1\nb:1\n");
    }
}
