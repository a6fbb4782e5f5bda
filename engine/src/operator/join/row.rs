//! Rows as keys of maps: a bag of rows is a map from each to how often it is there.

use rkyv::util::AlignedVec;

use crate::error::{Error, ErrorKind};
use crate::key::{Key, KeyBuf};
use crate::operator::process::{Context, Process};
use crate::state::codec::{self, StateValue};

/// A row by its archive. Rows are equal if their archives are.
#[derive(Clone)]
pub(crate) struct RowKey<T>(pub T);

impl<T: StateValue> RowKey<T> {
    fn archive(&self) -> AlignedVec {
        let mut bytes = AlignedVec::new();
        codec::encode(&self.0, &mut bytes);
        bytes
    }
}

impl<T: StateValue> PartialEq for RowKey<T> {
    fn eq(&self, other: &RowKey<T>) -> bool {
        self.archive()[..] == other.archive()[..]
    }
}

impl<T: StateValue> Eq for RowKey<T> {}

impl<T: StateValue + Clone + Send> Key for RowKey<T> {
    fn write(&self, out: &mut KeyBuf) {
        let bytes = self.archive();
        u32::try_from(bytes.len()).expect("rows are shorter than 4 GiB").write(out);
        out.extend_from_slice(&bytes);
    }

    /// Only of what `write` wrote, or what was found valid.
    fn read(input: &mut &[u8]) -> Option<RowKey<T>> {
        archived(input).map(|row| RowKey(codec::decode(row)))
    }

    fn is_valid(mut bytes: &[u8]) -> bool {
        archived(&mut bytes).is_some_and(|row| bytes.is_empty() && codec::check::<T>(row).is_ok())
    }
}

/// The archive at the front of an encoding.
fn archived<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = u32::read(input)? as usize;
    let (row, rest) = input.split_at_checked(len)?;
    *input = rest;
    Some(row)
}

/// Ends the job: its input is no changelog.
pub(crate) fn unknown_row<P: Process>(cx: &mut Context<'_, P>) {
    let message = "a row is taken back that is not there; is the input a changelog, and partitioned so that the changes \
                   of a row stay in order?";
    cx.note(Err(Error::new(ErrorKind::User, message)));
}
