//! The fields that an action or a proof kind has, learnt from its type: serde tells them when it asks for the
//! struct, so there is no second list to keep.

use std::fmt;

use serde::Deserialize;
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error, IntoDeserializer, VariantAccess, Visitor};

/// The fields of the variant `kind` of the enum `T`; empty when there is no such variant.
pub fn of<'de, T: Deserialize<'de>>(kind: &'static str) -> &'static [&'static str] {
    match T::deserialize(Probe { kind }) {
        Ok(_) => &[],
        Err(Fields(fields)) => fields,
    }
}

struct Probe {
    kind: &'static str,
}

/// What was asked for, handed out as the error that ends the probing.
#[derive(Debug)]
struct Fields(&'static [&'static str]);

impl fmt::Display for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl std::error::Error for Fields {}

impl Error for Fields {
    fn custom<M: fmt::Display>(_message: M) -> Self {
        Self(&[])
    }
}

impl<'de> Deserializer<'de> for Probe {
    type Error = Fields;

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Fields> {
        Err(Fields(&[]))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Fields> {
        Err(Fields(fields))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fields> {
        visitor.visit_enum(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map identifier ignored_any
    }
}

impl<'de> EnumAccess<'de> for Probe {
    type Error = Fields;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Fields> {
        let name: StrDeserializer<'_, Fields> = self.kind.into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> VariantAccess<'de> for Probe {
    type Error = Fields;

    fn unit_variant(self) -> Result<(), Fields> {
        Err(Fields(&[]))
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Fields> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _length: usize, _visitor: V) -> Result<V::Value, Fields> {
        Err(Fields(&[]))
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], _visitor: V) -> Result<V::Value, Fields> {
        Err(Fields(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::Action;
    use crate::proof::Proof;

    #[test]
    fn every_kind_tells_its_fields() {
        for kind in Action::KINDS {
            assert!(!of::<Action>(kind).is_empty(), "{kind}");
        }
        for kind in Proof::KINDS {
            assert!(!of::<Proof>(kind).is_empty(), "{kind}");
        }
        assert!(of::<Action>("symlink").contains(&"target"));
    }

    #[test]
    fn what_is_no_kind_has_no_fields() {
        assert!(of::<Action>("symlnk").is_empty());
    }
}
