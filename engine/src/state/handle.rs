//! What all handles consist of, and how they reach a state of the current key.

use std::rc::Rc;

use rkyv::util::AlignedVec;

use crate::operator::process::{Context, Process};
use crate::state::backend::{At, Backend};
use crate::state::codec::{self, StateValue};
use crate::state::spec::Spec;

/// A declared state, by its place among the others.
pub(crate) struct Handle {
    pub(crate) slot: usize,
    pub(crate) spec: Rc<Spec>,
}

impl Handle {
    /// The current key's state.
    #[inline]
    pub(crate) fn of<'a, P: Process>(&self, cx: &Context<'a, P>) -> At<'a> {
        At { slot: self.slot, hash: cx.hash, key: cx.key_bytes }
    }

    pub(crate) fn clear<P: Process>(&self, cx: &mut Context<'_, P>) {
        cx.backend.clear(self.of(cx));
    }
}

impl<P: Process> Context<'_, P> {
    /// Calls `f` with the archive of a value.
    pub(crate) fn with_archive<T: StateValue, R>(
        &mut self,
        value: &T,
        f: impl FnOnce(&mut dyn Backend, &AlignedVec) -> R,
    ) -> R {
        let mut scratch = std::mem::take(self.scratch);
        codec::encode(value, &mut scratch);
        let result = f(self.backend, &scratch);
        *self.scratch = scratch;
        result
    }
}

/// Changes a flat value where it lies.
#[inline]
pub(crate) fn change_flat<T: StateValue, R>(place: &mut [u8], change: impl FnOnce(&mut T) -> R) -> R {
    let mut value = codec::decode::<T>(place);
    let result = change(&mut value);
    codec::write_flat(&value, place);
    result
}
