//! Keys: what a stream is partitioned by.
//!
//! A key has one canonical encoding. Its hash places the key on a core and in a key group, and the encoding is
//! stored with the state, so both are on-disk formats: golden tests pin them.

use smallvec::SmallVec;

/// Where a key is encoded: on the stack unless it is long.
///
/// ```
/// use millstream::key::{Key, KeyBuf};
///
/// let mut out = KeyBuf::new();
/// ("JFK".to_owned(), 7_u16).write(&mut out);
/// assert_eq!(out[..], *b"\x03\0\0\0JFK\x07\0");
/// ```
pub type KeyBuf = SmallVec<[u8; 64]>;

/// A type that streams can be keyed by.
///
/// Integers, `bool`, `char`, byte arrays, strings, byte vectors, and tuples of them are keys. For a type of your
/// own, write its fields one after the other and read them in the same order:
///
/// ```
/// use millstream::key::{Key, KeyBuf};
///
/// #[derive(Clone, PartialEq, Eq, Debug)]
/// struct Route { origin: [u8; 3], dest: [u8; 3] }
///
/// impl Key for Route {
///     fn write(&self, out: &mut KeyBuf) {
///         self.origin.write(out);
///         self.dest.write(out);
///     }
///     fn read(input: &mut &[u8]) -> Option<Route> {
///         Some(Route { origin: Key::read(input)?, dest: Key::read(input)? })
///     }
/// }
///
/// let route = Route { origin: *b"JFK", dest: *b"LAX" };
/// let bytes = route.encoded(|bytes| bytes.to_vec());
/// assert_eq!(Key::decode(&bytes), Some(route));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a key",
    label = "not a key",
    note = "keys are integers, `bool`, `char`, `[u8; N]`, `String`, `Vec<u8>` and tuples of them",
    note = "for a type of your own implement `millstream::key::Key`: write its fields, read them in the same order"
)]
pub trait Key: Clone + Eq + Send + 'static {
    /// Appends the canonical encoding: equal keys give equal bytes, different keys different ones, and no
    /// encoding is the beginning of another.
    fn write(&self, out: &mut KeyBuf);

    /// Reads one key from the front of `input`, or `None` if it does not hold one.
    fn read(input: &mut &[u8]) -> Option<Self>;

    /// Calls `f` with the encoding.
    #[inline]
    fn encoded<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R
    where
        Self: Sized,
    {
        let mut buf = KeyBuf::new();
        self.write(&mut buf);
        f(&buf)
    }

    /// The key that `bytes` encode, or `None` if they are not exactly one.
    #[inline]
    fn decode(mut bytes: &[u8]) -> Option<Self> {
        let key = Self::read(&mut bytes)?;
        bytes.is_empty().then_some(key)
    }

    /// Whether `bytes`, which come from a checkpoint, are exactly one key: asked once, before they are ever decoded.
    #[doc(hidden)]
    fn is_valid(bytes: &[u8]) -> bool {
        Self::decode(bytes).is_some()
    }
}

macro_rules! integer_keys {
    ($($t:ty),*) => {$(
        impl Key for $t {
            #[inline]
            fn write(&self, out: &mut KeyBuf) {
                out.extend_from_slice(&self.to_le_bytes());
            }
            #[inline]
            fn read(input: &mut &[u8]) -> Option<Self> {
                let (head, rest) = input.split_first_chunk()?;
                *input = rest;
                Some(<$t>::from_le_bytes(*head))
            }
            #[inline]
            fn encoded<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R {
                f(&self.to_le_bytes())
            }
        }
    )*};
}
integer_keys!(u8, u16, u32, u64, u128, i8, i16, i32, i64, i128);

impl Key for bool {
    fn write(&self, out: &mut KeyBuf) {
        u8::from(*self).write(out);
    }
    fn read(input: &mut &[u8]) -> Option<bool> {
        match u8::read(input)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

/// The one key of what is not partitioned.
impl Key for () {
    fn write(&self, _: &mut KeyBuf) {}
    fn read(_: &mut &[u8]) -> Option<()> {
        Some(())
    }
}

impl Key for char {
    fn write(&self, out: &mut KeyBuf) {
        u32::from(*self).write(out);
    }
    fn read(input: &mut &[u8]) -> Option<char> {
        char::from_u32(u32::read(input)?)
    }
}

impl<const N: usize> Key for [u8; N] {
    fn write(&self, out: &mut KeyBuf) {
        out.extend_from_slice(self);
    }
    fn read(input: &mut &[u8]) -> Option<[u8; N]> {
        let (head, rest) = input.split_first_chunk()?;
        *input = rest;
        Some(*head)
    }
    #[inline]
    fn encoded<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R {
        f(self)
    }
}

impl Key for Vec<u8> {
    fn write(&self, out: &mut KeyBuf) {
        write_bytes(self, out);
    }
    fn read(input: &mut &[u8]) -> Option<Vec<u8>> {
        read_bytes(input).map(<[u8]>::to_vec)
    }
}

impl Key for String {
    fn write(&self, out: &mut KeyBuf) {
        write_bytes(self.as_bytes(), out);
    }
    fn read(input: &mut &[u8]) -> Option<String> {
        std::str::from_utf8(read_bytes(input)?).ok().map(str::to_owned)
    }
}

/// Length first, so that no encoding is the beginning of another.
fn write_bytes(bytes: &[u8], out: &mut KeyBuf) {
    u32::try_from(bytes.len()).expect("keys are shorter than 4 GiB").write(out);
    out.extend_from_slice(bytes);
}

fn read_bytes<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = u32::read(input)? as usize;
    let (head, rest) = input.split_at_checked(len)?;
    *input = rest;
    Some(head)
}

macro_rules! tuple_keys {
    ($($name:ident)*) => {
        impl<$($name: Key),*> Key for ($($name,)*) {
            #[expect(non_snake_case, reason = "the type parameters' names serve as the variables'")]
            fn write(&self, out: &mut KeyBuf) {
                let ($($name,)*) = self;
                $($name.write(out);)*
            }
            fn read(input: &mut &[u8]) -> Option<Self> {
                Some(($($name::read(input)?,)*))
            }
        }
    };
}
tuple_keys!(A B);
tuple_keys!(A B C);
tuple_keys!(A B C D);
