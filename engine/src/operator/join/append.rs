//! The inner join of two streams to which records are only ever added.

use std::iter::repeat_n;
use std::marker::PhantomData;

use crate::key::Key;
use crate::operator::process::{Context, Declare, Process};
use crate::state::List;
use crate::state::codec::StateValue;
use crate::stream::Either;

/// Keeps every record of both sides, and pairs each new one with all that are there of the other.
#[derive(Clone)]
pub(crate) struct AppendJoin<K, L, R> {
    /// What a record has met: kept for its memory only.
    lefts: Vec<L>,
    rights: Vec<R>,
    of: PhantomData<K>,
}

impl<K, L, R> AppendJoin<K, L, R> {
    pub(crate) fn new() -> Self {
        AppendJoin { lefts: Vec::new(), rights: Vec::new(), of: PhantomData }
    }
}

pub(crate) struct Lists<L, R> {
    left: List<L>,
    right: List<R>,
}

impl<K, L, R> Process for AppendJoin<K, L, R>
where
    K: Key,
    L: StateValue + Clone + Send,
    R: StateValue + Clone + Send,
{
    type Key = K;
    type In = Either<L, R>;
    type Out = (L, R);
    type State = Lists<L, R>;

    fn declare(&self, state: &mut Declare) -> Lists<L, R> {
        Lists { left: state.list("left"), right: state.list("right") }
    }

    fn on_record(&mut self, record: Either<L, R>, state: &Lists<L, R>, cx: &mut Context<'_, Self>) {
        match record {
            Either::Left(left) => {
                state.left.push(cx, &left);
                self.rights.extend(state.right.iter(cx).map(R::thaw));
                let rights = self.rights.drain(..);
                for pair in repeat_n(left, rights.len()).zip(rights) {
                    cx.emit(pair);
                }
            }
            Either::Right(right) => {
                state.right.push(cx, &right);
                self.lefts.extend(state.left.iter(cx).map(L::thaw));
                let lefts = self.lefts.drain(..);
                for (right, left) in repeat_n(right, lefts.len()).zip(lefts) {
                    cx.emit((left, right));
                }
            }
        }
    }
}
