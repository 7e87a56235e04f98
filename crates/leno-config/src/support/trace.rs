//! Which fields a struct has, found by deserializing it from nothing and noting what it asks for.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

/// Paths of all fields of `T` that are no objects themselves, such as `spec.http[].route[].weight`.
pub(super) fn fields_of<T: DeserializeOwned>() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    // A struct whose leaves refuse the made-up values would end the trace early; the tests see to it that none does.
    let _ = T::deserialize(Tracer { path: String::new(), found: &mut found });
    found
}

struct Tracer<'f> {
    path: String,
    found: &'f mut BTreeSet<String>,
}

#[derive(Debug)]
struct Stopped(String);

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Stopped {}

impl serde::de::Error for Stopped {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

impl Tracer<'_> {
    fn leaf(&mut self) {
        self.found.insert(self.path.clone());
    }
}

macro_rules! leaf {
    ($($method:ident => $visit:ident($value:expr);)*) => {$(
        fn $method<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Stopped> {
            self.leaf();
            visitor.$visit($value)
        }
    )*};
}

impl<'de> Deserializer<'de> for Tracer<'_> {
    type Error = Stopped;

    leaf! {
        deserialize_any => visit_i64(1);
        deserialize_bool => visit_bool(true);
        deserialize_i64 => visit_i64(1);
        deserialize_i32 => visit_i32(1);
        deserialize_u16 => visit_u16(1);
        deserialize_u32 => visit_u32(1);
        deserialize_u64 => visit_u64(1);
        deserialize_f64 => visit_f64(1.0);
        // An address is text and text may be an address.
        deserialize_str => visit_str("127.0.0.1");
        deserialize_string => visit_str("127.0.0.1");
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stopped> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Stopped> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stopped> {
        visitor.visit_seq(One { tracer: Some(Tracer { path: format!("{}[]", self.path), found: self.found }) })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stopped> {
        visitor.visit_map(Fields { path: self.path, keys: vec!["*"].into_iter(), key: "", found: self.found })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stopped> {
        // An alias (the proto spelling) is the same field.
        let mut keys: Vec<&'static str> = Vec::new();
        for field in fields {
            if !field.contains('_') {
                keys.push(field);
            }
        }
        visitor.visit_map(Fields { path: self.path, keys: keys.into_iter(), key: "", found: self.found })
    }

    forward_to_deserialize_any! {
        i8 i16 i128 u8 u128 f32 char bytes byte_buf unit unit_struct tuple tuple_struct enum identifier ignored_any
    }
}

struct One<'f> {
    tracer: Option<Tracer<'f>>,
}

impl<'de> SeqAccess<'de> for One<'_> {
    type Error = Stopped;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Stopped> {
        self.tracer.take().map(|tracer| seed.deserialize(tracer)).transpose()
    }
}

struct Fields<'f> {
    path: String,
    keys: std::vec::IntoIter<&'static str>,
    key: &'static str,
    found: &'f mut BTreeSet<String>,
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Stopped;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Stopped> {
        let Some(key) = self.keys.next() else { return Ok(None) };
        self.key = key;
        seed.deserialize(serde::de::value::StrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Stopped> {
        let path = if self.path.is_empty() { self.key.to_owned() } else { format!("{}.{}", self.path, self.key) };
        seed.deserialize(Tracer { path, found: self.found })
    }
}
