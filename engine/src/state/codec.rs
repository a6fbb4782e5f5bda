//! Values as bytes: rkyv archives, read and updated where they lie.

use rkyv::api::high::{HighDeserializer, HighSerializer, HighValidator};
use rkyv::bytecheck::CheckBytes;
use rkyv::rancor;
use rkyv::seal::Seal;
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
///
/// # Safety
/// It is implemented for every such type, and not to be implemented by hand: `FLAT` promises that a value has no
/// padding and is its own archive.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be kept as state",
    label = "state must be an rkyv archive",
    note = "add `#[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]` to `{Self}` and to the types of its fields"
)]
// No supertraits: the compiler would name those in its messages instead of this trait.
pub unsafe trait StateValue: Sized + 'static {
    /// How it lies in the store.
    type Archived;

    /// Whether the archive is the value's own bytes, so that it can be written with a copy.
    #[doc(hidden)]
    const FLAT: bool;

    /// The archive at the end of `bytes`.
    ///
    /// # Safety
    /// `encode` or `write_flat` wrote them, or `check` has found them good.
    #[doc(hidden)]
    unsafe fn view(bytes: &[u8]) -> &Self::Archived;

    /// As `view`, to be changed without moving anything in it.
    ///
    /// # Safety
    /// As `view`.
    #[doc(hidden)]
    unsafe fn view_mut(bytes: &mut [u8]) -> Seal<'_, Self::Archived>;

    /// The value of an archive.
    #[doc(hidden)]
    fn thaw(archived: &Self::Archived) -> Self;

    /// Replaces what is in `scratch` by the value's archive.
    #[doc(hidden)]
    fn encode(&self, scratch: &mut AlignedVec);

    /// Checks bytes that come from outside.
    #[doc(hidden)]
    fn check(bytes: &[u8]) -> Result<(), rancor::Error>;
}

// SAFETY: `FLAT` repeats what rkyv promises with COPY_OPTIMIZATION.
#[diagnostic::do_not_recommend]
unsafe impl<T> StateValue for T
where
    T: Archive + for<'a> Serialize<HighSerializer<AlignedVec, ArenaHandle<'a>, rancor::Error>> + 'static,
    T::Archived: Deserialize<T, HighDeserializer<rancor::Error>>
        + for<'a> CheckBytes<HighValidator<'a, rancor::Error>>,
{
    type Archived = <T as Archive>::Archived;

    const FLAT: bool = T::COPY_OPTIMIZATION.is_enabled() && size_of::<T>() == size_of::<T::Archived>();

    #[inline]
    unsafe fn view(bytes: &[u8]) -> &Self::Archived {
        // SAFETY: the caller vouches for the bytes; the format needs no alignment.
        unsafe { rkyv::access_unchecked::<<T as Archive>::Archived>(bytes) }
    }

    #[inline]
    unsafe fn view_mut(bytes: &mut [u8]) -> Seal<'_, Self::Archived> {
        // SAFETY: as in `view`; the seal lets nothing be moved.
        unsafe { rkyv::access_unchecked_mut::<<T as Archive>::Archived>(bytes) }
    }

    #[inline]
    fn thaw(archived: &Self::Archived) -> T {
        let value = rkyv::deserialize::<T, rancor::Error>(archived);
        value.expect("state consists of plain values, whose deserialisation cannot fail")
    }

    fn encode(&self, scratch: &mut AlignedVec) {
        scratch.clear();
        let taken = std::mem::take(scratch);
        let written = rkyv::api::high::to_bytes_in::<_, rancor::Error>(self, taken);
        *scratch = written.expect("writing to memory cannot fail");
    }

    fn check(bytes: &[u8]) -> Result<(), rancor::Error> {
        rkyv::access::<<T as Archive>::Archived, rancor::Error>(bytes).map(|_| ())
    }
}

/// Whether a value's archive is its own bytes, so that it can be written with a copy.
pub(crate) const fn is_flat<T: StateValue>() -> bool {
    T::FLAT
}

/// The archive of a value, at the end of `bytes`, where a store keeps it.
#[inline]
pub(crate) fn view<T: StateValue>(bytes: &[u8]) -> &T::Archived {
    // SAFETY: the bytes were archived from a `T` by `write_flat` or `encode` in this process, or were checked by
    // `check` when they were restored.
    unsafe { T::view(bytes) }
}

/// As [`view`], to be changed where it lies.
#[inline]
pub(crate) fn view_mut<T: StateValue>(bytes: &mut [u8]) -> Seal<'_, T::Archived> {
    // SAFETY: as in `view`.
    unsafe { T::view_mut(bytes) }
}

/// The value of an archive.
#[inline]
pub(crate) fn decode<T: StateValue>(bytes: &[u8]) -> T {
    T::thaw(view::<T>(bytes))
}

/// Writes a flat value over `bytes`, which are as long as it is.
#[inline]
pub(crate) fn write_flat<T: StateValue>(value: &T, bytes: &mut [u8]) {
    assert!(is_flat::<T>() && bytes.len() == size_of::<T>(), "a flat value fills its place");
    // SAFETY: rkyv promises with COPY_OPTIMIZATION that the bytes of `T` are those of its archive, without
    // padding; both places are `size_of::<T>()` long and do not overlap.
    unsafe {
        let source = std::ptr::from_ref(value).cast::<u8>();
        std::ptr::copy_nonoverlapping(source, bytes.as_mut_ptr(), size_of::<T>());
    }
}

/// Archives a value into `scratch`, replacing what was there.
#[inline]
pub(crate) fn encode<T: StateValue>(value: &T, scratch: &mut AlignedVec) {
    if is_flat::<T>() {
        scratch.resize(size_of::<T>(), 0);
        return write_flat(value, scratch);
    }
    value.encode(scratch);
}

/// Checks restored bytes before anything else looks at them.
///
/// # Errors
/// If they are not an archive of a `T`.
pub(crate) fn check<T: StateValue>(bytes: &[u8]) -> Result<()> {
    T::check(bytes).map_err(|error| {
        let message = format!("a restored value is not a `{}`: {error}", std::any::type_name::<T>());
        Error::new(ErrorKind::Restore, message)
    })?;
    if is_flat::<T>() && bytes.len() != size_of::<T>() {
        let (name, is, must) = (std::any::type_name::<T>(), bytes.len(), size_of::<T>());
        let message = format!("a restored value has {is} bytes, but a `{name}` has {must}");
        return Err(Error::new(ErrorKind::Restore, message));
    }
    Ok(())
}
