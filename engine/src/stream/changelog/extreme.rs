//! The least or the greatest of values that come and go.

use crate::key::Key;
use crate::operator::join::row::unknown_row;
use crate::operator::process::{Context, Declare, Process};
use crate::state::{Map, StateValue};

/// The state of [`min`](crate::table::min) and [`max`](crate::table::max): the different values as a binary heap, and
/// where in it each of them is. So any of them can go, at a cost that grows with the logarithm of how many there are.
pub struct Extreme<V> {
    /// The value at place `i` is no worse than those at `2i + 1` and `2i + 2`: the best is at place 0.
    heap: Map<u64, V>,
    held: Map<V, Held>,
}

/// How many rows have a value, and its place in the heap.
#[derive(Clone, Copy, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct Held {
    times: u64,
    place: u64,
}

impl<V: Key + Ord + StateValue> Extreme<V> {
    pub(super) fn new(name: &str, state: &mut Declare) -> Extreme<V> {
        Extreme { heap: state.map(&format!("{name} heap")), held: state.map(&format!("{name} held")) }
    }

    /// A value comes, or goes: then it must be there.
    pub(super) fn change<P: Process>(
        &self,
        value: V,
        weight: i64,
        better: impl Fn(&V, &V) -> bool,
        cx: &mut Context<'_, P>,
    ) {
        let held = self.held.load(cx, &value);
        let before = held.map_or(0, |held| held.times);
        let Some(times) = before.checked_add_signed(weight) else { return unknown_row(cx) };
        match held {
            Some(held) if times > 0 => self.held.put(cx, &value, &Held { times, ..held }),
            Some(held) => self.take_out(&value, held.place, better, cx),
            None => {
                let place = self.heap.len(cx);
                self.held.put(cx, &value, &Held { times, place });
                let place = self.raise(place, &value, &better, cx);
                self.settle(place, &value, cx);
            }
        }
    }

    /// The best value; none if there is none.
    pub(super) fn best<P: Process>(&self, cx: &Context<'_, P>) -> Option<V> {
        self.heap.load(cx, &0)
    }

    pub(super) fn clear<P: Process>(&self, cx: &mut Context<'_, P>) {
        self.heap.clear(cx);
        self.held.clear(cx);
    }

    /// The last value of the heap fills the place of one that goes.
    fn take_out<P: Process>(
        &self,
        value: &V,
        place: u64,
        better: impl Fn(&V, &V) -> bool,
        cx: &mut Context<'_, P>,
    ) {
        self.held.remove(cx, value);
        let len = self.heap.len(cx) - 1;
        let last = self.heap.take(cx, &len).expect("as many places as values");
        if place == len {
            return;
        }
        let mut place = self.raise(place, &last, &better, cx);
        place = self.lower(place, &last, len, &better, cx);
        self.settle(place, &last, cx);
    }

    /// Moves the values above a place down that are worse than one that is to be there. Returns the place for it.
    fn raise<P: Process>(
        &self,
        mut place: u64,
        value: &V,
        better: &impl Fn(&V, &V) -> bool,
        cx: &mut Context<'_, P>,
    ) -> u64 {
        while place > 0 {
            let above = (place - 1) / 2;
            let other = self.at(above, cx);
            if !better(value, &other) {
                break;
            }
            self.settle(place, &other, cx);
            place = above;
        }
        place
    }

    /// As [`Extreme::raise`], of the values below it that are better; there are `len` places.
    fn lower<P: Process>(
        &self,
        mut place: u64,
        value: &V,
        len: u64,
        better: &impl Fn(&V, &V) -> bool,
        cx: &mut Context<'_, P>,
    ) -> u64 {
        while 2 * place + 1 < len {
            let mut below = 2 * place + 1;
            let mut other = self.at(below, cx);
            if below + 1 < len {
                let right = self.at(below + 1, cx);
                if better(&right, &other) {
                    (below, other) = (below + 1, right);
                }
            }
            if !better(&other, value) {
                break;
            }
            self.settle(place, &other, cx);
            place = below;
        }
        place
    }

    fn at<P: Process>(&self, place: u64, cx: &Context<'_, P>) -> V {
        self.heap.load(cx, &place).expect("places below the length are taken")
    }

    /// Puts a value that is held at a place.
    fn settle<P: Process>(&self, place: u64, value: &V, cx: &mut Context<'_, P>) {
        self.heap.put(cx, &place, value);
        self.held.update(cx, value, |held| held.place = place);
    }
}
