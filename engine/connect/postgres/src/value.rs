//! Values as the server's binary format has them.

use serde::Serialize;

/// Milliseconds from the epoch that clocks count from, 1970, to the server's, 2000.
const EPOCH_2000: i64 = 946_684_800_000;
/// What a `timestamptz` can hold, in milliseconds since 1970: from 4714-11-24 BC until 294277 AD.
const FIRST_MILLIS: i64 = -210_866_803_200_000;
const END_MILLIS: i64 = 9_224_318_016_000_000;

/// The type of a column.
///
/// ```
/// use millstream_postgres::Type;
/// assert_eq!(Type::Int8.to_string(), "int8");
/// assert!(Type::Text.fits(1043), "varchar");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Type {
    /// `boolean`: [`bool`].
    Bool,
    /// `smallint`: [`i16`].
    Int2,
    /// `integer`: [`i32`].
    Int4,
    /// `bigint`: [`i64`].
    Int8,
    /// `real`: [`f32`].
    Float4,
    /// `double precision`: [`f64`].
    Float8,
    /// `text`, `varchar` or `char`: [`str`].
    Text,
    /// `bytea`: `[u8]`.
    Bytea,
    /// `timestamptz`, or `timestamp`, which then holds UTC: [`Millis`].
    Timestamptz,
    /// `jsonb`: [`Json`].
    Jsonb,
    /// `uuid`: [`Uuid`].
    Uuid,
}

impl Type {
    /// Whether the server's type of this number has the same binary format.
    pub fn fits(self, oid: u32) -> bool {
        let oids: &[u32] = match self {
            Type::Bool => &[16],
            Type::Int2 => &[21],
            Type::Int4 => &[23],
            Type::Int8 => &[20],
            Type::Float4 => &[700],
            Type::Float8 => &[701],
            Type::Text => &[25, 1042, 1043],
            Type::Bytea => &[17],
            Type::Timestamptz => &[1184, 1114],
            Type::Jsonb => &[3802],
            Type::Uuid => &[2950],
        };
        oids.contains(&oid)
    }
}

impl std::fmt::Display for Type {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Type::Bool => "bool",
            Type::Int2 => "int2",
            Type::Int4 => "int4",
            Type::Int8 => "int8",
            Type::Float4 => "float4",
            Type::Float8 => "float8",
            Type::Text => "text",
            Type::Bytea => "bytea",
            Type::Timestamptz => "timestamptz",
            Type::Jsonb => "jsonb",
            Type::Uuid => "uuid",
        })
    }
}

/// What a column can be given. A type of one's own goes by one of these:
///
/// ```
/// use millstream_postgres::{Type, Value};
///
/// struct Cents(i64);
/// impl Value for Cents {
///     const TYPE: Type = Type::Int8;
///     fn encode(&self, out: &mut Vec<u8>) -> Result<(), String> {
///         self.0.encode(out)
///     }
/// }
/// let mut bytes = Vec::new();
/// Cents(258).encode(&mut bytes)?;
/// assert_eq!(bytes, [0, 0, 0, 0, 0, 0, 1, 2]);
/// assert!(!Cents(258).is_null() && None::<i32>.is_null());
/// # Ok::<(), String>(())
/// ```
pub trait Value {
    /// The column's type.
    const TYPE: Type;

    /// Whether it is NULL: it is not encoded then.
    fn is_null(&self) -> bool {
        false
    }

    /// Appends the bytes that the server's binary format has for it.
    ///
    /// # Errors
    /// If the server has no such value; says why, without the value.
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), String>;
}

macro_rules! numbers {
    ($($number:ty => $kind:ident,)*) => {$(
        impl Value for $number {
            const TYPE: Type = Type::$kind;

            fn encode(&self, out: &mut Vec<u8>) -> Result<(), String> {
                out.extend_from_slice(&self.to_be_bytes());
                Ok(())
            }
        }
    )*};
}

numbers! { i16 => Int2, i32 => Int4, i64 => Int8, f32 => Float4, f64 => Float8, }

impl Value for bool {
    const TYPE: Type = Type::Bool;

    fn encode(&self, out: &mut Vec<u8>) -> Result<(), String> {
        out.push(u8::from(*self));
        Ok(())
    }
}

impl Value for str {
    const TYPE: Type = Type::Text;

    fn encode(&self, out: &mut Vec<u8>) -> Result<(), String> {
        if self.as_bytes().contains(&0) {
            return Err("a text with a NUL character, which the server does not take".to_owned());
        }
        out.extend_from_slice(self.as_bytes());
        Ok(())
    }
}

impl Value for String {
    const TYPE: Type = Type::Text;

    fn encode(&self, out: &mut Vec<u8>) -> Result<(), String> {
        self.as_str().encode(out)
    }
}

impl Value for [u8] {
    const TYPE: Type = Type::Bytea;

    fn encode(&self, out: &mut Vec<u8>) -> Result<(), String> {
        out.extend_from_slice(self);
        Ok(())
    }
}

impl Value for Vec<u8> {
    const TYPE: Type = Type::Bytea;

    fn encode(&self, out: &mut Vec<u8>) -> Result<(), String> {
        self.as_slice().encode(out)
    }
}

impl<V: Value + ?Sized> Value for &V {
    const TYPE: Type = V::TYPE;

    fn is_null(&self) -> bool {
        (**self).is_null()
    }

    fn encode(&self, out: &mut Vec<u8>) -> Result<(), String> {
        (**self).encode(out)
    }
}

impl<V: Value> Value for Option<V> {
    const TYPE: Type = V::TYPE;

    fn is_null(&self) -> bool {
        self.as_ref().is_none_or(Value::is_null)
    }

    fn encode(&self, out: &mut Vec<u8>) -> Result<(), String> {
        self.as_ref().map_or(Ok(()), |value| value.encode(out))
    }
}

/// A point in time, in milliseconds since 1970, as the engine has them. The first and the last of all are the server's
/// `-infinity` and `infinity`.
///
/// ```
/// use millstream_postgres::{Millis, Value};
/// let mut bytes = Vec::new();
/// Millis(946_684_800_001).encode(&mut bytes)?;
/// assert_eq!(bytes, 1000_i64.to_be_bytes(), "microseconds since 2000");
/// assert!(Millis(i64::MAX - 1).encode(&mut bytes).is_err());
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub i64);

impl Value for Millis {
    const TYPE: Type = Type::Timestamptz;

    fn encode(&self, out: &mut Vec<u8>) -> Result<(), String> {
        let micros = match self.0 {
            i64::MIN | i64::MAX => self.0,
            millis if (FIRST_MILLIS..END_MILLIS).contains(&millis) => (millis - EPOCH_2000) * 1000,
            millis => return Err(format!("a time of {millis} ms, beyond what the server can tell")),
        };
        micros.encode(out)
    }
}

/// Anything that serde knows, as `jsonb`.
///
/// ```
/// use millstream_postgres::{Json, Value};
/// let mut bytes = Vec::new();
/// Json([1, 2]).encode(&mut bytes)?;
/// assert_eq!(bytes, b"\x01[1,2]", "of the first version");
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Json<T>(pub T);

impl<T: Serialize> Value for Json<T> {
    const TYPE: Type = Type::Jsonb;

    fn encode(&self, out: &mut Vec<u8>) -> Result<(), String> {
        out.push(1);
        let from = out.len();
        serde_json::to_writer(&mut *out, &self.0).map_err(|error| format!("no JSON: {error}"))?;
        // The server refuses the one character that its texts cannot have, and with it the whole transaction.
        match has_nul(&out[from..]) {
            true => Err("JSON with a NUL character, which the server does not take".to_owned()),
            false => Ok(()),
        }
    }
}

/// Whether a text in JSON names the character NUL: `\u0000` that is not itself behind a backslash.
fn has_nul(json: &[u8]) -> bool {
    let mut at = 0;
    while let Some(found) = json[at..].iter().position(|&byte| byte == b'\\') {
        at += found + 1;
        if json[at..].starts_with(b"u0000") {
            return true;
        }
        // What a backslash is before is no beginning of another escape.
        at += 1;
    }
    false
}

/// The sixteen bytes of a UUID.
///
/// ```
/// use millstream_postgres::{Uuid, Value};
/// let mut bytes = Vec::new();
/// Uuid([7; 16]).encode(&mut bytes)?;
/// assert_eq!(bytes, [7; 16]);
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid(pub [u8; 16]);

impl Value for Uuid {
    const TYPE: Type = Type::Uuid;

    fn encode(&self, out: &mut Vec<u8>) -> Result<(), String> {
        self.0.as_slice().encode(out)
    }
}
