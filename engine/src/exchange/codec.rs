//! Records as bytes, on edges whose records may become part of a checkpoint.

use std::marker::PhantomData;
use std::sync::Arc;

use rkyv::util::AlignedVec;

use crate::error::{Error, ErrorKind, Result};
use crate::state::StateValue;
use crate::state::codec;
use crate::state::schema::fingerprint;
use crate::stream::Either;

/// Turns records into bytes and back.
pub(crate) trait Codec<T>: Send + Sync {
    /// The type, as state is told from other state.
    fn of(&self) -> String;
    /// Replaces what is in `scratch` by the record.
    fn encode(&self, record: &T, scratch: &mut AlignedVec);
    /// # Errors
    /// If the bytes are not such a record.
    fn decode(&self, bytes: &[u8]) -> Result<T>;
}

/// A codec that all cores use.
pub(crate) type SharedCodec<T> = Arc<dyn Codec<T>>;

/// As state is kept.
struct Archives<T>(PhantomData<fn() -> T>);

/// The codec of a type that can be kept as state.
pub(crate) fn archives<T: StateValue>() -> SharedCodec<T> {
    Arc::new(Archives(PhantomData))
}

impl<T: StateValue> Codec<T> for Archives<T> {
    fn of(&self) -> String {
        fingerprint::<T>()
    }

    fn encode(&self, record: &T, scratch: &mut AlignedVec) {
        codec::encode(record, scratch);
    }

    fn decode(&self, bytes: &[u8]) -> Result<T> {
        codec::check::<T>(bytes)?;
        Ok(codec::decode(bytes))
    }
}

/// Of a step with two inputs: the side is the last byte.
struct Sides<L, R> {
    left: Option<SharedCodec<L>>,
    right: Option<SharedCodec<R>>,
}

/// The codecs of the two edges of a step with two inputs, each there if its side's is.
pub(crate) fn sides<L: 'static, R: 'static>(
    left: Option<SharedCodec<L>>,
    right: Option<SharedCodec<R>>,
) -> [Option<SharedCodec<Either<L, R>>>; 2] {
    let there = [left.is_some(), right.is_some()];
    let both: SharedCodec<Either<L, R>> = Arc::new(Sides { left, right });
    there.map(|there| there.then(|| both.clone()))
}

const LEFT: u8 = 0;
const RIGHT: u8 = 1;

impl<L, R> Codec<Either<L, R>> for Sides<L, R> {
    fn of(&self) -> String {
        let left = self.left.as_ref().map_or("nothing".to_owned(), |codec| codec.of());
        let right = self.right.as_ref().map_or("nothing".to_owned(), |codec| codec.of());
        format!("{left} or {right}")
    }

    fn encode(&self, record: &Either<L, R>, scratch: &mut AlignedVec) {
        const OVERTAKEN: &str = "only what comes along an edge with a codec is overtaken";
        let side = match record {
            Either::Left(record) => {
                self.left.as_ref().expect(OVERTAKEN).encode(record, scratch);
                LEFT
            }
            Either::Right(record) => {
                self.right.as_ref().expect(OVERTAKEN).encode(record, scratch);
                RIGHT
            }
        };
        scratch.push(side);
    }

    fn decode(&self, bytes: &[u8]) -> Result<Either<L, R>> {
        match (bytes.split_last(), &self.left, &self.right) {
            (Some((&LEFT, bytes)), Some(left), _) => left.decode(bytes).map(Either::Left),
            (Some((&RIGHT, bytes)), _, Some(right)) => right.decode(bytes).map(Either::Right),
            _ => Err(Error::new(ErrorKind::Restore, format!("a record is not {}", self.of()))),
        }
    }
}
