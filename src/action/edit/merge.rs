//! Removes our change from a file that others have changed since: a three-way merge by lines.
//!
//! The common ancestor is the file as we left it; one side restores the state before us, the other has the changes of
//! others. Where both touch the same lines, theirs stay.

use std::ops::Range;

use similar::{Algorithm, DiffOp, capture_diff_slices};

/// The result of a merge.
#[derive(Debug, PartialEq, Eq)]
pub struct Merged {
    /// The content.
    pub content: Vec<u8>,
    /// Line numbers in the merged content where others had changed our own lines.
    pub conflicts: Vec<usize>,
}

/// A change of some of the ancestor's lines.
#[derive(Clone, Debug)]
struct Hunk<'a> {
    /// Which lines of the ancestor; empty for an insertion before `start`.
    old: Range<usize>,
    /// What they become.
    new: &'a [&'a [u8]],
}

impl Hunk<'_> {
    /// Whether both change the same lines, or one inserts in the middle of what the other replaces.
    fn clashes(&self, other: &Self) -> bool {
        let inside = |at: usize, range: &Range<usize>| range.start < at && at < range.end;
        match (self.old.is_empty(), other.old.is_empty()) {
            (false, false) => self.old.start < other.old.end && other.old.start < self.old.end,
            (true, false) => inside(self.old.start, &other.old),
            (false, true) => inside(other.old.start, &self.old),
            (true, true) => false,
        }
    }
}

/// `present` without the change from `before` to `ours`.
pub fn take_out(ours: &[u8], before: &[u8], present: &[u8]) -> Merged {
    let (ours, before, present) = (lines(ours), lines(before), lines(present));
    let back = hunks(&ours, &before);
    let theirs = hunks(&ours, &present);

    let mut clashing = vec![false; theirs.len()];
    let mut chosen: Vec<Hunk<'_>> = Vec::new();
    for hunk in back {
        let touched: Vec<usize> = (0..theirs.len()).filter(|at| hunk.clashes(&theirs[*at])).collect();
        // Where others have removed our lines already, nothing is left to remove.
        let removed = |at: &usize| {
            let their = &theirs[*at];
            their.new.is_empty() && their.old.start <= hunk.old.start && hunk.old.end <= their.old.end
        };
        if touched.is_empty() {
            chosen.push(hunk);
        } else if !(hunk.new.is_empty() && touched.iter().all(removed)) {
            let same = |at: &usize| theirs[*at].old == hunk.old && theirs[*at].new == hunk.new;
            for at in touched.iter().filter(|at| !same(at)) {
                clashing[*at] = true;
            }
        }
    }
    let back_count = chosen.len();
    chosen.extend(theirs);

    // Ours before theirs at the same line; an insertion before the replacement of the line it precedes.
    let mut order: Vec<usize> = (0..chosen.len()).collect();
    order.sort_by_key(|at| (chosen[*at].old.start, chosen[*at].old.end, *at));

    let mut merged: Vec<&[u8]> = Vec::new();
    let mut conflicts = Vec::new();
    let mut next = 0;
    for at in order {
        let hunk = &chosen[at];
        merged.extend(&ours[next.min(hunk.old.start)..hunk.old.start]);
        if at >= back_count && clashing[at - back_count] {
            conflicts.push(merged.len() + 1);
        }
        merged.extend(hunk.new);
        next = next.max(hunk.old.end);
    }
    merged.extend(&ours[next..]);
    Merged { content: join(&merged), conflicts }
}

/// Joins lines; one that had no line break, since it was the last, gets one when it is not the last any more.
fn join(lines: &[&[u8]]) -> Vec<u8> {
    let mut content = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        content.extend_from_slice(line);
        if at + 1 < lines.len() && !line.ends_with(b"\n") {
            content.push(b'\n');
        }
    }
    content
}

fn lines(content: &[u8]) -> Vec<&[u8]> {
    content.split_inclusive(|byte| *byte == b'\n').collect()
}

fn hunks<'a>(old: &[&[u8]], new: &'a [&'a [u8]]) -> Vec<Hunk<'a>> {
    capture_diff_slices(Algorithm::Myers, old, new)
        .into_iter()
        .filter(|op| !matches!(op, DiffOp::Equal { .. }))
        .map(|op| Hunk { old: op.old_range(), new: &new[op.new_range()] })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn merged(ours: &str, before: &str, present: &str) -> (String, Vec<usize>) {
        let merged = take_out(ours.as_bytes(), before.as_bytes(), present.as_bytes());
        (String::from_utf8_lossy(&merged.content).into_owned(), merged.conflicts)
    }

    #[test]
    fn an_untouched_file_goes_back_whole() {
        assert_eq!(merged("a\nX\nb\n", "a\nb\n", "a\nX\nb\n"), ("a\nb\n".to_owned(), vec![]));
        assert_eq!(merged("X", "", "X"), (String::new(), vec![]));
    }

    #[test]
    fn lines_of_others_next_to_ours_stay() {
        assert_eq!(merged("a\nX\nb\n", "a\nb\n", "a\nN\nX\nM\nb\n"), ("a\nN\nM\nb\n".to_owned(), vec![]));
        assert_eq!(merged("a\nX\n", "a\nold\n", "q\nX\nr\n"), ("q\nold\nr\n".to_owned(), vec![]));
    }

    #[test]
    fn our_line_that_others_changed_stays_and_is_told() {
        assert_eq!(merged("a\nX\nb\n", "a\nold\nb\n", "a\nX2\nb\n"), ("a\nX2\nb\n".to_owned(), vec![2]));
        assert_eq!(merged("a\nX\nb\n", "a\nb\n", "a\nX2\nb\n"), ("a\nX2\nb\n".to_owned(), vec![2]));
    }

    #[test]
    fn our_line_that_others_removed_or_put_back_is_no_conflict() {
        assert_eq!(merged("a\nX\nb\n", "a\nb\n", "a\nb\nc\n"), ("a\nb\nc\n".to_owned(), vec![]));
        assert_eq!(merged("a\nX\nb\n", "a\nold\nb\n", "a\nold\nb\nc\n"), ("a\nold\nb\nc\n".to_owned(), vec![]));
    }

    #[test]
    fn a_last_line_without_a_break_is_not_glued_to_what_others_appended() {
        assert_eq!(merged("a\nX\n", "a", "a\nX\nc\n"), ("a\nc\n".to_owned(), vec![]));
    }

    /// What others do to a line of the original file.
    #[derive(Clone, Debug)]
    enum Foreign {
        Keep,
        Delete,
        Replace,
        Follow,
    }

    fn foreign() -> impl Strategy<Value = Foreign> {
        prop_oneof![5 => Just(Foreign::Keep), 1 => Just(Foreign::Delete), 1 => Just(Foreign::Replace), 1 => Just(Foreign::Follow)]
    }

    proptest! {
        /// Each line of the file is ours (inserted before it, or replacing it) or theirs to change; afterwards
        /// every change of theirs is there, and none of ours.
        #[test]
        fn changes_of_others_stay_and_ours_go(plan in prop::collection::vec((0..6u8, foreign()), 1..40)) {
            let (mut before, mut ours, mut present, mut expected) = (String::new(), String::new(), String::new(), String::new());
            for (at, (our, their)) in plan.into_iter().enumerate() {
                let line = format!("line {at}\n");
                before.push_str(&line);
                if our == 0 {
                    let replaced = format!("our {at}\n");
                    ours.push_str(&replaced);
                    present.push_str(&replaced);
                    expected.push_str(&line);
                    continue;
                }
                if our == 1 {
                    let inserted = format!("our {at}\n");
                    ours.push_str(&inserted);
                    present.push_str(&inserted);
                }
                ours.push_str(&line);
                let theirs = match their {
                    Foreign::Keep => line,
                    Foreign::Delete => String::new(),
                    Foreign::Replace => format!("their {at}\n"),
                    Foreign::Follow => format!("{line}their {at}\n"),
                };
                present.push_str(&theirs);
                expected.push_str(&theirs);
            }
            prop_assert_eq!(merged(&ours, &before, &present), (expected, vec![]));
        }

        /// Whatever the contents, a file that nobody else touched is restored byte for byte.
        #[test]
        fn any_file_goes_back_to_what_it_was(before in "[ab\n]{0,30}", ours in "[ab\n]{0,30}") {
            prop_assert_eq!(merged(&ours, &before, &ours), (before, vec![]));
        }
    }
}
