//! YAML in and out. The only module that knows the YAML library.
//!
//! [`parse`] keeps what a typed reader loses: the order of keys, duplicate keys, and where everything stands.
//! What a person wrote is never repeated by the errors made here, because it may be a secret.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Failure, Outcome, Problem};

mod syntax;
mod text;
mod tree;
mod write;

pub use syntax::quoted;
pub use tree::{Content, Key, Node};

/// Largest file that is read, in bytes. Real answers files and stages stay below 20 KiB.
pub const MAX_BYTES: usize = 256 * 1024;
/// Deepest nesting. Answers need 4 levels, guides about 8.
pub const MAX_DEPTH: u32 = 32;
/// Most keys and values together, aliases expanded.
pub const MAX_NODES: u32 = 20_000;

/// Most bytes of keys and values together, aliases expanded.
pub const MAX_TEXT: usize = 4 << 20;

/// Most problems that are reported at once: each costs reading the file again, and nobody reads more.
pub const MAX_PROBLEMS: usize = 50;

/// A parsed file that knows the place of each of its keys and values.
#[derive(Clone, Debug)]
pub struct Document {
    name: String,
    text: String,
    root: Node,
}

impl Document {
    /// The top of the tree. An empty file is [`Content::Null`].
    pub const fn root(&self) -> &Node {
        &self.root
    }

    /// Where a key or a value (its `at`) stands: `file:line:column`, both counted from 1, columns in characters.
    ///
    /// Reads the file again up to there, because the library tells positions only with errors: meant for the
    /// few places that a message names.
    pub fn place(&self, at: u32) -> String {
        let (line, column) = tree::position(&self.text, at).unwrap_or((1, 1));
        self.place_at(line, column)
    }

    /// The beginning of the file, for what concerns the whole.
    pub fn start(&self) -> String {
        self.place_at(1, 1)
    }

    fn place_at(&self, line: usize, column: usize) -> String {
        format!("{}:{line}:{column}", self.name)
    }
}

/// Reads an untrusted file: in bounded time and memory, every failure with its place.
pub fn parse(name: &str, bytes: &[u8]) -> Result<Document, Vec<Problem>> {
    let text = text::check(name, bytes).map_err(|problem| vec![problem])?;
    let root = tree::build(text).map_err(|stop| vec![syntax::problem(name, text, stop)])?;
    Ok(Document { name: name.to_owned(), text: text.to_owned(), root })
}

/// Reads a file into a type; the errors say where and why. For guides: they may repeat what the file says.
pub fn from_slice<T: DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T, Vec<Problem>> {
    let document = parse(name, bytes)?;
    let twice = document.root.duplicates();
    if !twice.is_empty() {
        let problem = |(first, again): &(&Key, &Key)| Problem {
            place: document.place(again.at),
            path: String::new(),
            message: format!("{} is given twice", again.shown()),
            hint: format!("the first one is at {}; keep one of them", document.place(first.at)),
        };
        return Err(twice.iter().take(MAX_PROBLEMS).map(problem).collect());
    }
    serde_yaml::from_str(&document.text).map_err(|error| vec![syntax::mistyped(&document, &error)])
}

/// Writes a value as YAML, with a line break at the end.
pub fn to_string<T: Serialize + ?Sized>(value: &T) -> Outcome<String> {
    serde_yaml::to_string(value).map_err(|error| Failure::new("write YAML", error))
}

/// Writes a value on one line, so that a comment can follow it: plain or quoted text, `[…]`, `{…}`.
pub fn inline(value: &serde_json::Value) -> Outcome<String> {
    write::inline(value)
}

#[cfg(test)]
mod tests;
