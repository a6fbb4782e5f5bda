//! Archives and keys as JSON, by the shape of their type. The bytes may be anybody's: nothing is read outside of them,
//! and no more is made of them than they have.

use serde_json::{Value as Json, json};

use super::shape::Shape;
use crate::state::operator::hex;

/// The value of an archive, which ends where `bytes` end; `None` if they are no archive of such a type.
pub(super) fn archive(shape: &Shape, bytes: &[u8]) -> Option<Json> {
    let root = bytes.len().checked_sub(shape.archived_size()?)?;
    Archive { bytes, left: bytes.len() }.read(shape, root)
}

/// The key that `bytes` encode; `None` if they are not exactly one of such a type.
pub(super) fn key(shape: &Shape, mut bytes: &[u8]) -> Option<Json> {
    let key = read_key(shape, &mut bytes)?;
    bytes.is_empty().then_some(key)
}

/// Bytes of a type that is not known.
pub(super) fn unknown(name: &str, bytes: &[u8]) -> Json {
    json!({ "type": name, "hex": hex(bytes) })
}

/// An integer. JSON's readers take those beyond 64 bits for floats: such are texts.
pub(super) fn integer(bytes: &[u8], signed: bool) -> Option<Json> {
    let mut wide = [if signed && bytes.last()? & 0x80 != 0 { 0xFF } else { 0 }; 16];
    wide.get_mut(..bytes.len())?.copy_from_slice(bytes);
    let (plain, with_sign) = (u128::from_le_bytes(wide), i128::from_le_bytes(wide));
    Some(match (signed, u64::try_from(plain), i64::try_from(with_sign)) {
        (false, Ok(n), _) => n.into(),
        (true, _, Ok(n)) => n.into(),
        (false, ..) => plain.to_string().into(),
        (true, ..) => with_sign.to_string().into(),
    })
}

/// A float. JSON has no infinities and no NaN: such are texts.
fn float(n: f64, text: impl ToString) -> Json {
    serde_json::Number::from_f64(n).map_or_else(|| text.to_string().into(), Json::Number)
}

fn boolean(byte: u8) -> Option<Json> {
    (byte < 2).then_some((byte == 1).into())
}

fn character(bytes: &[u8]) -> Option<Json> {
    let number = u32::from_le_bytes(bytes.try_into().ok()?);
    Some(char::from_u32(number)?.to_string().into())
}

struct Archive<'a> {
    bytes: &'a [u8],
    /// How many bytes may still be read. Each belongs to one value only, so those that are read more than once show
    /// that pointers were made up.
    left: usize,
}

impl<'a> Archive<'a> {
    fn take(&mut self, at: usize, len: usize) -> Option<&'a [u8]> {
        self.left = self.left.checked_sub(len)?;
        self.bytes.get(at..at.checked_add(len)?)
    }

    fn half(&mut self, at: usize) -> Option<[u8; 4]> {
        self.take(at, 4)?.try_into().ok()
    }

    fn read(&mut self, shape: &Shape, at: usize) -> Option<Json> {
        match shape {
            Shape::Bool => boolean(self.take(at, 1)?[0]),
            Shape::Char => character(self.take(at, 4)?),
            Shape::Integer(len, signed) => integer(self.take(at, *len)?, *signed),
            Shape::Size(signed) => integer(self.take(at, 4)?, *signed),
            Shape::Float(4) => {
                let n = f32::from_le_bytes(self.half(at)?);
                // By its shortest text, lest 0.1 become 0.10000000149011612.
                Some(float(n.to_string().parse().ok()?, n))
            }
            Shape::Float(len) => {
                let n = f64::from_le_bytes(self.take(at, *len)?.try_into().ok()?);
                Some(float(n, n))
            }
            Shape::String => self.string(at),
            Shape::Option(of) => match self.take(at, 1)?[0] {
                0 => Some(Json::Null),
                1 => self.read(of, at + 1),
                _ => None,
            },
            Shape::Vec(of) => {
                let (offset, len) =
                    (i32::from_le_bytes(self.half(at)?), u32::from_le_bytes(self.half(at + 4)?));
                match len {
                    0 => Some(Json::Array(Vec::new())),
                    _ => self.elements(of, at.checked_add_signed(offset as isize)?, len as usize),
                }
            }
            Shape::Array(of, n) => self.elements(of, at, *n),
            Shape::Tuple(of) => {
                let mut at = at;
                let mut fields = Vec::new();
                for of in of {
                    fields.push(self.read(of, at)?);
                    at += of.archived_size()?;
                }
                Some(fields.into())
            }
        }
    }

    fn elements(&mut self, of: &Shape, at: usize, n: usize) -> Option<Json> {
        let size = of.archived_size()?;
        if n.checked_mul(size)? > self.left {
            return None;
        }
        (0..n)
            .map(|i| self.read(of, at.checked_add(i * size)?))
            .collect::<Option<Vec<Json>>>()
            .map(Json::from)
    }

    /// Up to eight bytes lie in place, ended by `FF`; of others there are the length, whose first byte begins with the
    /// bits 10, and the offset.
    fn string(&mut self, at: usize) -> Option<Json> {
        let place: [u8; 8] = self.take(at, 8)?.try_into().ok()?;
        let text = if place[0] & 0xC0 == 0x80 {
            let [len, offset] = [0, 4].map(|i| u32::from_le_bytes(place[i..i + 4].try_into().expect("four")));
            let len = len & 0x3F | (len & !0xFF) >> 2;
            self.take(at.checked_add_signed(offset as i32 as isize)?, len as usize)?
        } else {
            let end = place.iter().position(|byte| *byte == 0xFF).unwrap_or(place.len());
            &place[..end]
        };
        std::str::from_utf8(text).ok().map(Json::from)
    }
}

fn read_key(shape: &Shape, rest: &mut &[u8]) -> Option<Json> {
    match shape {
        Shape::Bool => boolean(take(rest, 1)?[0]),
        Shape::Char => character(take(rest, 4)?),
        Shape::Integer(len, signed) => integer(take(rest, *len)?, *signed),
        Shape::String => std::str::from_utf8(with_length(rest)?).ok().map(Json::from),
        Shape::Vec(of) if **of == BYTE => Some(with_length(rest)?.into()),
        Shape::Array(of, n) if **of == BYTE => Some(take(rest, *n)?.into()),
        Shape::Tuple(of) if !of.is_empty() => {
            of.iter().map(|of| read_key(of, rest)).collect::<Option<Vec<Json>>>().map(Json::from)
        }
        _ => None,
    }
}

/// What byte strings are made of.
pub(super) const BYTE: Shape = Shape::Integer(1, false);

fn with_length<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = u32::from_le_bytes(take(rest, 4)?.try_into().ok()?);
    take(rest, len as usize)
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (head, after) = rest.split_at_checked(len)?;
    *rest = after;
    Some(head)
}
