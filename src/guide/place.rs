//! Where in the files of a guide stands what a problem is about.
//!
//! The linter names a thing by its path, `site.actions.page.file.mode`; here the path is followed through the files to
//! a line and a column, as far as it leads.

use crate::error::Problem;
use crate::yaml::{self, Content, Document, Node};

/// The keys by which an entry of a list is named.
const NAMES: [&str; 4] = ["id", "name", "value", "label"];

/// Gives every problem without a place the one that its path leads to.
///
/// `files` are those of the guide by the names that people see, `guide.yaml` first.
pub(super) fn place(problems: &mut [Problem], files: &[(String, Vec<u8>)]) {
    let documents: Vec<Document> = files.iter().filter_map(|(name, bytes)| yaml::parse(name, bytes).ok()).collect();
    for problem in problems.iter_mut().filter(|problem| problem.place.is_empty()) {
        let stage = documents.iter().skip(1).find_map(|document| {
            let (_, id) = document.root().get("id")?;
            let Content::Str(id) = &id.content else { return None };
            Some((document, after(&problem.path, id)?))
        });
        let (document, rest) = match (stage, documents.first()) {
            (Some(found), _) => found,
            (None, Some(guide)) => (guide, problem.path.as_str()),
            (None, None) => continue,
        };
        problem.place = match follow(document.root(), rest) {
            Some(at) => document.place(at),
            None => document.start(),
        };
    }
}

/// The last key or entry on the way that a path describes; none when it does not even begin here.
fn follow(node: &Node, path: &str) -> Option<u32> {
    let (at, next, rest) = match &node.content {
        Content::Map(entries) => {
            let found = entries.iter().find_map(|(key, value)| Some((key.at, value, after(path, &key.text)?)));
            // A question is named by its stage and itself alone.
            found.or_else(|| {
                let (_, questions) = node.get("questions")?;
                let at = follow(questions, path)?;
                Some((at, questions, path))
            })?
        }
        Content::Seq(items) => match path.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((index, rest)) => {
                let item = items.get(index.parse::<usize>().ok()?)?;
                (item.at, item, rest.trim_start_matches('.'))
            }
            None => items.iter().find_map(|item| Some((item.at, item, named(item, path)?)))?,
        },
        _ => return None,
    };
    Some(follow(next, rest).unwrap_or(at))
}

/// What follows of a path behind the name of this entry.
fn named<'a>(item: &Node, path: &'a str) -> Option<&'a str> {
    NAMES.iter().find_map(|key| match item.get(key) {
        Some((_, Node { content: Content::Str(name), .. })) => after(path, name),
        _ => None,
    })
}

/// What follows behind a name, when the path begins with it.
fn after<'a>(path: &'a str, name: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(name)?;
    match rest.chars().next() {
        None | Some('[') => Some(rest),
        Some('.' | ' ') => Some(&rest[1..]),
        Some(_) => None,
    }
}
