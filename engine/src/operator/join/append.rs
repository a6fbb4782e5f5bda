//! The inner join of two streams to which records are only ever added.

use std::iter::repeat_n;
use std::marker::PhantomData;

use millstream_storage::planted;

use crate::key::Key;
use crate::operator::process::{Context, Declare, Process};
use crate::state::Timeline;
use crate::state::codec::StateValue;
use crate::stream::Either;
use crate::time::Timestamp;

/// Keeps every record of both sides by time, and pairs each new one with all that are there of the other. A pair has the
/// greater time of the two, so that it is the same whichever comes first.
#[derive(Clone)]
pub(crate) struct AppendJoin<K, L, R> {
    /// What a record has met: kept for its memory only.
    lefts: Vec<(Timestamp, L)>,
    rights: Vec<(Timestamp, R)>,
    of: PhantomData<K>,
}

impl<K, L, R> AppendJoin<K, L, R> {
    pub(crate) fn new() -> Self {
        AppendJoin { lefts: Vec::new(), rights: Vec::new(), of: PhantomData }
    }
}

pub(crate) struct Sides<L, R> {
    left: Timeline<L>,
    right: Timeline<R>,
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
    type State = Sides<L, R>;

    fn declare(&self, state: &mut Declare) -> Sides<L, R> {
        Sides { left: state.timeline("left"), right: state.timeline("right") }
    }

    fn on_record(&mut self, record: Either<L, R>, state: &Sides<L, R>, cx: &mut Context<'_, Self>) {
        let at = cx.time();
        let time = |other: Timestamp| if planted!(time_of_the_last) { at } else { at.max(other) };
        match record {
            Either::Left(left) => {
                state.left.insert(cx, at, &left);
                self.rights.extend(state.right.range(cx, ..).map(|(at, right)| (at, R::thaw(right))));
                let rights = self.rights.drain(..);
                for (left, (other, right)) in repeat_n(left, rights.len()).zip(rights) {
                    cx.out.push(time(other), (left, right));
                }
            }
            Either::Right(right) => {
                state.right.insert(cx, at, &right);
                self.lefts.extend(state.left.range(cx, ..).map(|(at, left)| (at, L::thaw(left))));
                let lefts = self.lefts.drain(..);
                for (right, (other, left)) in repeat_n(right, lefts.len()).zip(lefts) {
                    cx.out.push(time(other), (left, right));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
