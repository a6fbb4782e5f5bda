//! Keys as a person writes them, encoded by the shape of their type.

use serde_json::Value as Json;

use super::decode::BYTE;
use super::shape::Shape;
use crate::key::{Key, KeyBuf};

/// The encoding of a key that is written as text: numbers, `true` and `false` as in JSON, text and bytes as they are,
/// tuples (and bytes, if they begin so) as arrays of JSON. What begins with `hex:` is the encoding itself, whatever the
/// type is. `None` if it is no key of the type.
pub(super) fn key(shape: Option<&Shape>, text: &str) -> Option<Vec<u8>> {
    if let Some(digits) = text.strip_prefix("hex:") {
        return crate::state::operator::unhex(digits);
    }
    let shape = shape?;
    let array = || serde_json::from_str::<Json>(text).ok().filter(Json::is_array);
    let json = match shape {
        Shape::Tuple(_) => array()?,
        Shape::Vec(_) | Shape::Array(..) => array().unwrap_or_else(|| text.into()),
        Shape::Bool => text.parse::<bool>().ok()?.into(),
        _ => text.into(),
    };
    let mut out = KeyBuf::new();
    write(shape, &json, &mut out)?;
    Some(out.to_vec())
}

fn write(shape: &Shape, json: &Json, out: &mut KeyBuf) -> Option<()> {
    match shape {
        Shape::Bool => json.as_bool()?.write(out),
        Shape::Char => {
            let mut chars = json.as_str()?.chars();
            chars.next().filter(|_| chars.next().is_none())?.write(out);
        }
        Shape::Integer(len, signed) => integer(*len, *signed, json, out)?,
        Shape::String => json.as_str()?.to_owned().write(out),
        Shape::Vec(of) if **of == BYTE => bytes(json)?.write(out),
        Shape::Array(of, n) if **of == BYTE => {
            out.extend_from_slice(&bytes(json).filter(|bytes| bytes.len() == *n)?);
        }
        Shape::Tuple(of) => {
            let fields = json.as_array().filter(|fields| fields.len() == of.len())?;
            of.iter().zip(fields).try_for_each(|(of, field)| write(of, field, out))?;
        }
        _ => return None,
    }
    Some(())
}

/// A number, or its digits.
fn integer(len: usize, signed: bool, json: &Json, out: &mut KeyBuf) -> Option<()> {
    let digits = json.as_str().map_or_else(|| json.to_string(), str::to_owned);
    let wide = match signed {
        true => digits.parse::<i128>().ok()?.to_le_bytes(),
        false => digits.parse::<u128>().ok()?.to_le_bytes(),
    };
    let (head, rest) = wide.split_at(len);
    let filler = if signed && head.last()? & 0x80 != 0 { 0xFF } else { 0 };
    rest.iter().all(|byte| *byte == filler).then(|| out.extend_from_slice(head))
}

/// Numbers, or a text's bytes.
fn bytes(json: &Json) -> Option<Vec<u8>> {
    if let Some(text) = json.as_str() {
        return Some(text.as_bytes().to_vec());
    }
    json.as_array()?.iter().map(|byte| u8::try_from(byte.as_u64()?).ok()).collect()
}
