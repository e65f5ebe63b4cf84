//! The tree of a file, with its duplicate keys, in order, each key and value numbered.
//!
//! The library tells positions only with errors. So every key and value gets the number of its visit, and to
//! find the place of number n the file is read again by the same code, which this time raises an error there.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::yaml::{MAX_DEPTH, MAX_NODES, MAX_TEXT};

/// A value of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Its number, for [`crate::yaml::Document::place`].
    pub at: u32,
    /// What it is.
    pub content: Content,
}

/// What a value can be.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Content {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(String),
    Seq(Vec<Node>),
    /// In the order of the file, duplicates included.
    Map(Vec<(Key, Node)>),
}

/// A key of a mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its number, for [`crate::yaml::Document::place`].
    pub at: u32,
    /// The key as it is written, also where it looks like a number.
    pub text: String,
}

impl Key {
    /// The key for a message: quoted, shortened, control characters escaped.
    pub fn shown(&self) -> String {
        crate::yaml::syntax::quoted(&self.text)
    }
}

impl Node {
    /// The first value of a key, if this is a mapping that has it.
    pub fn get(&self, name: &str) -> Option<(&Key, &Self)> {
        match &self.content {
            Content::Map(entries) => entries.iter().find(|(key, _)| key.text == name).map(|(key, node)| (key, node)),
            _ => None,
        }
    }

    /// The value without positions; of duplicate keys the first counts.
    pub fn to_json(&self) -> Value {
        match &self.content {
            Content::Null => Value::Null,
            Content::Bool(value) => Value::Bool(*value),
            Content::Int(value) => Value::from(*value),
            Content::Float(value) => Value::from(*value),
            Content::Str(value) => Value::String(value.clone()),
            Content::Seq(items) => items.iter().map(Self::to_json).collect(),
            Content::Map(entries) => {
                let mut map = serde_json::Map::new();
                for (key, node) in entries {
                    map.entry(key.text.clone()).or_insert_with(|| node.to_json());
                }
                Value::Object(map)
            }
        }
    }

    /// Every duplicate key of a mapping: the first occurrence, and the repetition.
    pub fn duplicates(&self) -> Vec<(&Key, &Key)> {
        let mut found = Vec::new();
        self.find_duplicates(&mut found);
        found
    }

    fn find_duplicates<'a>(&'a self, found: &mut Vec<(&'a Key, &'a Key)>) {
        match &self.content {
            Content::Seq(items) => {
                for item in items {
                    item.find_duplicates(found);
                }
            }
            Content::Map(entries) => {
                let mut seen = BTreeMap::new();
                for (key, node) in entries {
                    let first = *seen.entry(key.text.as_str()).or_insert(key);
                    if first.at != key.at {
                        found.push((first, key));
                    }
                    node.find_duplicates(found);
                }
            }
            _ => {}
        }
    }
}

/// Why no tree came out.
#[derive(Debug)]
pub(super) struct Stop {
    /// Line and column, counted from 1.
    pub(super) position: (usize, usize),
    pub(super) cause: Cause,
}

/// The kinds of [`Stop`].
#[derive(Debug)]
pub(super) enum Cause {
    /// The library's own message; it never repeats the file.
    Syntax(String),
    TooDeep,
    TooMany,
    TooLong,
    Tag,
    HugeNumber,
    KeyIsNoText,
    SecondDocument,
    /// Asked for, to learn the position.
    Wanted,
}

/// The tree of a text that holds at most one document.
pub(super) fn build(text: &str) -> Result<Node, Stop> {
    let mut documents = serde_yaml::Deserializer::from_str(text);
    let root = match documents.next() {
        Some(first) => read(first, None).map_err(|stop| locate(text, stop))?,
        None => Node { at: 1, content: Content::Null },
    };
    let Some(second) = documents.next() else {
        return Ok(root);
    };
    // Stopping at its first value tells where it is, unless it is no YAML at all.
    Err(match read(second, Some(1)) {
        Err(Half { position, cause: Cause::Syntax(why), .. }) => {
            Stop { position: position.unwrap_or((1, 1)), cause: Cause::Syntax(why) }
        }
        Err(Half { position, .. }) => Stop { position: position.unwrap_or((1, 1)), cause: Cause::SecondDocument },
        Ok(_) => Stop { position: (1, 1), cause: Cause::SecondDocument },
    })
}

/// The place of the key or value with this number.
pub(super) fn position(text: &str, at: u32) -> Option<(usize, usize)> {
    let first = serde_yaml::Deserializer::from_str(text).next()?;
    read(first, Some(at)).err()?.position
}

/// A [`Stop`] that may lack its position.
struct Half {
    position: Option<(usize, usize)>,
    /// The number of the last key or value seen.
    last: u32,
    cause: Cause,
}

/// Some errors of the library have no position; then that of the last thing read is the nearest.
fn locate(text: &str, half: Half) -> Stop {
    let nearest = || position(text, half.last);
    Stop { position: half.position.or_else(nearest).unwrap_or((1, 1)), cause: half.cause }
}

fn read(document: serde_yaml::Deserializer<'_>, wanted: Option<u32>) -> Result<Node, Half> {
    let reader = Reader { last: Cell::new(0), text: Cell::new(0), wanted, refused: RefCell::new(None) };
    let result = NodeSeed { reader: &reader, depth: 0 }.deserialize(document);
    result.map_err(|error| Half {
        position: error.location().map(|location| (location.line(), location.column())),
        last: reader.last.get(),
        cause: reader.refused.take().unwrap_or_else(|| Cause::Syntax(error.to_string())),
    })
}

/// One reading of a file.
struct Reader {
    last: Cell<u32>,
    /// Bytes of keys and values so far.
    text: Cell<usize>,
    wanted: Option<u32>,
    refused: RefCell<Option<Cause>>,
}

impl Reader {
    /// Counts a key or a value.
    fn visit<E: Error>(&self) -> Result<u32, E> {
        let at = self.last.get() + 1;
        self.last.set(at);
        if self.wanted == Some(at) {
            return Err(self.refuse(Cause::Wanted));
        }
        if at > MAX_NODES {
            return Err(self.refuse(Cause::TooMany));
        }
        Ok(at)
    }

    /// Counts the bytes of a key or a value: an alias to a long text costs four of the file.
    fn text<E: Error>(&self, text: &str) -> Result<(), E> {
        self.text.set(self.text.get() + text.len());
        if self.text.get() > MAX_TEXT { Err(self.refuse(Cause::TooLong)) } else { Ok(()) }
    }

    fn refuse<E: Error>(&self, cause: Cause) -> E {
        self.refused.replace(Some(cause));
        E::custom("refused")
    }
}

#[derive(Clone, Copy)]
struct NodeSeed<'r> {
    reader: &'r Reader,
    depth: u32,
}

impl NodeSeed<'_> {
    fn node<E: Error>(self, content: Content) -> Result<Node, E> {
        Ok(Node { at: self.reader.visit()?, content })
    }

    fn deeper<E: Error>(self) -> Result<Self, E> {
        if self.depth >= MAX_DEPTH {
            return Err(self.reader.refuse(Cause::TooDeep));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for NodeSeed<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for NodeSeed<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Node, E> {
        self.node(Content::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Node, E> {
        self.node(Content::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Node, E> {
        self.node(Content::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Node, E> {
        self.node(Content::Int(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Node, E> {
        match i64::try_from(value) {
            Ok(value) => self.visit_i64(value),
            Err(_) => Err(self.reader.refuse(Cause::HugeNumber)),
        }
    }

    fn visit_i128<E: Error>(self, _value: i128) -> Result<Node, E> {
        Err(self.reader.refuse(Cause::HugeNumber))
    }

    fn visit_u128<E: Error>(self, _value: u128) -> Result<Node, E> {
        Err(self.reader.refuse(Cause::HugeNumber))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Node, E> {
        self.node(Content::Float(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Node, E> {
        self.reader.text(value)?;
        self.node(Content::Str(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let at = self.reader.visit()?;
        let inner = self.deeper()?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(inner)? {
            items.push(item);
        }
        Ok(Node { at, content: Content::Seq(items) })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let at = self.reader.visit()?;
        let inner = self.deeper()?;
        let mut entries = Vec::new();
        while let Some(key) = map.next_key_seed(KeySeed(self.reader))? {
            entries.push((key, map.next_value_seed(inner)?));
        }
        Ok(Node { at, content: Content::Map(entries) })
    }

    /// A tag such as `!include`.
    fn visit_enum<A: EnumAccess<'de>>(self, _data: A) -> Result<Node, A::Error> {
        Err(self.reader.refuse(Cause::Tag))
    }
}

struct KeySeed<'r>(&'r Reader);

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        // Asked for as text, a key such as `on` or `8080` stays what is written. The library itself refuses a
        // list or a mapping here; this is then the reason.
        self.0.refused.replace(Some(Cause::KeyIsNoText));
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed<'_> {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Key, E> {
        self.0.refused.replace(None);
        self.0.text(value)?;
        Ok(Key { at: self.0.visit()?, text: value.to_owned() })
    }
}
