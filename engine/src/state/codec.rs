//! Values as bytes: rkyv archives, read and updated where they lie.

use rkyv::api::high::{HighDeserializer, HighSerializer, HighValidator};
use rkyv::bytecheck::CheckBytes;
use rkyv::rancor;
use rkyv::ser::allocator::ArenaHandle;
use rkyv::util::AlignedVec;
use rkyv::{Archive, Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};

/// A type that can be kept as state: any type with rkyv's three derives.
///
/// ```
/// use millstream::state::StateValue;
///
/// #[derive(Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
/// struct Count { records: u64, bytes: u64 }
///
/// fn is_state<T: StateValue>() {}
/// is_state::<Count>();
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be kept as state",
    label = "state must be an rkyv archive",
    note = "add `#[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]` to `{Self}` and to the types of its fields"
)]
pub trait StateValue: StateBounds {}

/// What [`StateValue`] stands for.
#[doc(hidden)]
pub trait StateBounds:
    Archive<Archived: Deserialize<Self, HighDeserializer<rancor::Error>> + Checked>
    + for<'a> Serialize<HighSerializer<AlignedVec, ArenaHandle<'a>, rancor::Error>>
    + Sized
    + 'static
{
}

/// An archived type whose bytes can be checked.
#[doc(hidden)]
pub trait Checked: rkyv::Portable + for<'a> CheckBytes<HighValidator<'a, rancor::Error>> {}

impl<A> Checked for A where A: rkyv::Portable + for<'a> CheckBytes<HighValidator<'a, rancor::Error>> {}

impl<T> StateBounds for T where
    T: Archive<Archived: Deserialize<T, HighDeserializer<rancor::Error>> + Checked>
        + for<'a> Serialize<HighSerializer<AlignedVec, ArenaHandle<'a>, rancor::Error>>
        + 'static
{
}

#[diagnostic::do_not_recommend]
impl<T: StateBounds> StateValue for T {}

/// Whether a value's archive is its own bytes, so that it can be written with a copy.
pub(crate) const fn is_flat<T: Archive>() -> bool {
    T::COPY_OPTIMIZATION.is_enabled() && size_of::<T>() == size_of::<T::Archived>()
}

/// The archive of a value, at the end of `bytes`, where a store keeps it.
#[inline]
pub(crate) fn view<T: StateValue>(bytes: &[u8]) -> &T::Archived {
    // SAFETY: the bytes were archived from a `T` by `write` or `encode` in this process, or were checked by
    // `check` when they were restored; the format needs no alignment.
    unsafe { rkyv::access_unchecked::<T::Archived>(bytes) }
}

/// The value of an archive.
#[inline]
pub(crate) fn decode<T: StateValue>(bytes: &[u8]) -> T {
    let value = rkyv::deserialize::<T, rancor::Error>(view::<T>(bytes));
    value.expect("state consists of plain values, whose deserialisation cannot fail")
}

/// Writes a flat value over `bytes`, which are as long as it is.
#[inline]
pub(crate) fn write_flat<T: Archive>(value: &T, bytes: &mut [u8]) {
    assert!(is_flat::<T>() && bytes.len() == size_of::<T>(), "a flat value fills its place");
    // SAFETY: rkyv promises with COPY_OPTIMIZATION that the bytes of `T` are those of its archive, without
    // padding; both places are `size_of::<T>()` long and do not overlap.
    unsafe {
        let source = std::ptr::from_ref(value).cast::<u8>();
        std::ptr::copy_nonoverlapping(source, bytes.as_mut_ptr(), size_of::<T>());
    }
}

/// Archives a value into `scratch`, replacing what was there.
pub(crate) fn encode<T: StateValue>(value: &T, scratch: &mut AlignedVec) {
    scratch.clear();
    let taken = std::mem::take(scratch);
    let written = rkyv::api::high::to_bytes_in::<_, rancor::Error>(value, taken);
    *scratch = written.expect("writing to memory cannot fail");
}

/// Checks restored bytes before anything else looks at them.
///
/// # Errors
/// If they are not an archive of a `T`.
pub(crate) fn check<T: StateValue>(bytes: &[u8]) -> Result<()> {
    match rkyv::access::<T::Archived, rancor::Error>(bytes) {
        Ok(_) => Ok(()),
        Err(error) => {
            let message = format!("a restored value is not a `{}`: {error}", std::any::type_name::<T>());
            Err(Error::new(ErrorKind::Restore, message))
        }
    }
}

/// What is compared on restore: the type's name and the size of its archive.
pub(crate) fn fingerprint<T: StateValue>() -> String {
    format!("{}/{}", std::any::type_name::<T>(), size_of::<T::Archived>())
}
