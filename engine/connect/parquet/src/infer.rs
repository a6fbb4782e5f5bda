//! Finds the columns of a type without a value of it: deserializes one from nothing, and listens to what is asked for.

use std::fmt::Display;

use parquet::basic::{ConvertedType, LogicalType, Repetition, Type as Physical};
use parquet::schema::types::Type;
use serde::de::value::StrDeserializer;
use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

/// The columns of a type.
///
/// # Errors
/// What is wrong with the type.
pub(crate) fn infer<T: for<'de> Deserialize<'de>>() -> Result<Vec<Type>, String> {
    let mut columns = Vec::new();
    match T::deserialize(Record(&mut columns)) {
        Ok(_) => Ok(columns),
        Err(Wrong(what)) => Err(what),
    }
}

/// What is wrong with a type.
#[derive(Debug)]
struct Wrong(String);

impl Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Wrong {}

impl de::Error for Wrong {
    fn custom<T: Display>(message: T) -> Wrong {
        Wrong(message.to_string())
    }
}

/// A record to be made of nothing.
struct Record<'a>(&'a mut Vec<Type>);

impl<'de> Deserializer<'de> for Record<'_> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Wrong> {
        Err(Wrong("it must be a struct with named fields; or declare the columns".to_owned()))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        visitor.visit_map(Fields { columns: self.0, names: fields.iter(), current: "" })
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

struct Fields<'a> {
    columns: &'a mut Vec<Type>,
    names: std::slice::Iter<'static, &'static str>,
    current: &'static str,
}

impl<'de> de::MapAccess<'de> for Fields<'_> {
    type Error = Wrong;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Wrong> {
        let Some(name) = self.names.next() else { return Ok(None) };
        self.current = name;
        let name: StrDeserializer<'_, Wrong> = name.into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Wrong> {
        let mut kind = Kind { of: None, optional: false };
        let name = self.current;
        let value = seed.deserialize(Value(&mut kind)).map_err(|Wrong(what)| {
            Wrong(format!("field {name}: {what}; declare the columns, if the field can be written as one"))
        })?;
        self.columns.push(kind.column(name).map_err(Wrong)?);
        Ok(value)
    }
}

/// The kind of a column: its type, and what it is taken for.
struct Kind {
    of: Option<(Physical, ConvertedType)>,
    optional: bool,
}

impl Kind {
    fn column(&self, name: &str) -> Result<Type, String> {
        let (physical, converted) = self.of.ok_or_else(|| format!("field {name}: asks for no value"))?;
        let repetition = if self.optional { Repetition::OPTIONAL } else { Repetition::REQUIRED };
        let column = Type::primitive_type_builder(name, physical).with_repetition(repetition);
        let column = match converted {
            ConvertedType::UTF8 => column.with_logical_type(Some(LogicalType::String)),
            _ => column.with_converted_type(converted),
        };
        column.build().map_err(|error| format!("field {name}: {error}"))
    }
}

/// A value to be made of nothing.
struct Value<'a>(&'a mut Kind);

macro_rules! note {
    ($($method:ident => $physical:ident, $converted:ident, $visit:ident($value:expr);)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
            self.0.of = Some((Physical::$physical, ConvertedType::$converted));
            visitor.$visit($value)
        })*
    };
}

impl<'de> Deserializer<'de> for Value<'_> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Wrong> {
        Err(Wrong("its type does not tell that it is a plain value".to_owned()))
    }

    note! {
        deserialize_bool => BOOLEAN, NONE, visit_bool(false);
        deserialize_i8 => INT32, INT_8, visit_i8(0);
        deserialize_i16 => INT32, INT_16, visit_i16(0);
        deserialize_i32 => INT32, INT_32, visit_i32(0);
        deserialize_i64 => INT64, INT_64, visit_i64(0);
        deserialize_u8 => INT32, UINT_8, visit_u8(0);
        deserialize_u16 => INT32, UINT_16, visit_u16(0);
        deserialize_u32 => INT32, UINT_32, visit_u32(0);
        deserialize_u64 => INT64, UINT_64, visit_u64(0);
        deserialize_f32 => FLOAT, NONE, visit_f32(0.0);
        deserialize_f64 => DOUBLE, NONE, visit_f64(0.0);
        deserialize_char => BYTE_ARRAY, UTF8, visit_char(' ');
        deserialize_str => BYTE_ARRAY, UTF8, visit_str("");
        deserialize_string => BYTE_ARRAY, UTF8, visit_str("");
        deserialize_bytes => BYTE_ARRAY, NONE, visit_bytes(&[]);
        deserialize_byte_buf => BYTE_ARRAY, NONE, visit_bytes(&[]);
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.0.optional = true;
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        let first = variants.first().ok_or_else(|| Wrong(format!("{name} has no values")))?;
        self.0.of = Some((Physical::BYTE_ARRAY, ConvertedType::UTF8));
        // One by its name alone: what asks for a value is told that there is none.
        visitor.visit_enum(IntoDeserializer::<Wrong>::into_deserializer(*first))
    }

    forward_to_deserialize_any! {
        i128 u128 unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}
