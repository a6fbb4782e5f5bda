//! What a type's name says of its shape: for the types of the language and of its library that everybody uses. Of any
//! other name nothing is guessed.

/// Types inside types, at most: a name comes from a file.
const DEPTH: usize = 32;

/// The shape of a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Bool,
    Char,
    /// So many bytes, with a sign or without.
    Integer(usize, bool),
    /// As an integer of four bytes in an archive, and no key.
    Size(bool),
    /// So many bytes.
    Float(usize),
    String,
    Option(Box<Shape>),
    Vec(Box<Shape>),
    Array(Box<Shape>, usize),
    Tuple(Vec<Shape>),
}

/// How types are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names {
    /// With their paths.
    Full,
    /// Without: `String` may be anybody's then, only the language's own types are told.
    Plain,
}

impl Shape {
    /// The shape of the type with this name, if it is one of those that are known.
    pub(super) fn of(name: &str, names: Names) -> Option<Shape> {
        let mut rest = name;
        let shape = parse(&mut rest, names, DEPTH)?;
        rest.is_empty().then_some(shape)
    }

    /// Bytes of its archive, without what that points to; `None` if they cannot be counted.
    pub(super) fn archived_size(&self) -> Option<usize> {
        match self {
            Shape::Bool => Some(1),
            Shape::Char | Shape::Size(_) => Some(4),
            Shape::Integer(bytes, _) | Shape::Float(bytes) => Some(*bytes),
            Shape::String | Shape::Vec(_) => Some(8),
            Shape::Option(of) => of.archived_size()?.checked_add(1),
            Shape::Array(of, n) => of.archived_size()?.checked_mul(*n),
            Shape::Tuple(of) => of.iter().try_fold(0_usize, |sum, of| sum.checked_add(of.archived_size()?)),
        }
    }
}

fn parse(rest: &mut &str, names: Names, depth: usize) -> Option<Shape> {
    let depth = depth.checked_sub(1)?;
    if let Some(inner) = rest.strip_prefix('(') {
        *rest = inner;
        return parse_tuple(rest, names, depth);
    }
    if let Some(inner) = rest.strip_prefix('[') {
        *rest = inner;
        let of = parse(rest, names, depth)?;
        *rest = rest.strip_prefix("; ")?;
        let n = word(rest).parse().ok()?;
        *rest = rest.strip_prefix(']')?;
        return sized(of).map(|of| Shape::Array(of, n));
    }
    let name = word(rest);
    if let Some(of) = primitive(name) {
        return Some(of);
    }
    if names == Names::Plain {
        return None;
    }
    match name {
        "alloc::string::String" => Some(Shape::String),
        "core::option::Option" => {
            let of = parse_parameter(rest, names, depth)?;
            Some(Shape::Option(Box::new(of)))
        }
        "alloc::vec::Vec" => sized(parse_parameter(rest, names, depth)?).map(Shape::Vec),
        _ => None,
    }
}

/// Of types without size there would be any number in no bytes at all.
fn sized(of: Shape) -> Option<Box<Shape>> {
    (of.archived_size()? > 0).then(|| Box::new(of))
}

fn parse_tuple(rest: &mut &str, names: Names, depth: usize) -> Option<Shape> {
    let mut of = Vec::new();
    loop {
        if let Some(after) = rest.strip_prefix(')') {
            *rest = after;
            return Some(Shape::Tuple(of));
        }
        of.push(parse(rest, names, depth)?);
        *rest = rest.strip_prefix(", ").or(rest.strip_prefix(',')).unwrap_or(rest);
    }
}

fn parse_parameter(rest: &mut &str, names: Names, depth: usize) -> Option<Shape> {
    *rest = rest.strip_prefix('<')?;
    let of = parse(rest, names, depth)?;
    *rest = rest.strip_prefix('>')?;
    Some(of)
}

/// Takes a path or a number from the front.
fn word<'a>(rest: &mut &'a str) -> &'a str {
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').unwrap_or(rest.len());
    let (word, after) = rest.split_at(end);
    *rest = after;
    word
}

fn primitive(name: &str) -> Option<Shape> {
    Some(match name {
        "bool" => Shape::Bool,
        "char" => Shape::Char,
        "u8" => Shape::Integer(1, false),
        "u16" => Shape::Integer(2, false),
        "u32" => Shape::Integer(4, false),
        "u64" => Shape::Integer(8, false),
        "u128" => Shape::Integer(16, false),
        "i8" => Shape::Integer(1, true),
        "i16" => Shape::Integer(2, true),
        "i32" => Shape::Integer(4, true),
        "i64" => Shape::Integer(8, true),
        "i128" => Shape::Integer(16, true),
        "usize" => Shape::Size(false),
        "isize" => Shape::Size(true),
        "f32" => Shape::Float(4),
        "f64" => Shape::Float(8),
        _ => return None,
    })
}
