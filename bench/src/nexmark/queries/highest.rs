//! q7: the highest bids of each window.

use millstream::prelude::*;
use millstream::stream::chain::Chain;

use super::plain::bids;
use crate::nexmark::event::{Bid, KeptBid};
use crate::nexmark::input::Events;
use crate::nexmark::table::{Fields, Row};

/// The length of a window, in milliseconds.
const LENGTH: i64 = 10_000;

/// The bids with the highest price of a window of ten seconds that were made within it, or at its very end. A bid that
/// is too late to change the highest price may still have it.
///
/// Two steps: of some bids each, those remain that may be among the highest; these are compared.
pub fn q7(events: Events) -> Stream<Highest, impl Chain<Out = Highest>> {
    bids(events)
        .key_by(|bid| (bid.price & 63) as u8)
        .process("highest of some", HighestOfSome)
        .key_by(|candidate| candidate.start)
        .process("highest of all", HighestOfAll)
        .map(Highest)
}

/// A bid that may be among the highest of the window that begins at `start`.
struct Candidate {
    start: Timestamp,
    bid: Bid,
    /// Whether it counts in the window, not only beside it.
    counts: bool,
}

/// The highest prices of two windows.
#[derive(Clone, Copy, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct Recent {
    starts: [i64; 2],
    highest: [i64; 2],
}

impl Recent {
    /// The highest price that is known of a window.
    fn highest(&self, start: Timestamp) -> i64 {
        let at = self.starts.iter().position(|known| *known == start);
        at.map_or(i64::MIN, |at| self.highest[at])
    }

    /// Notes a price of a window, if it is not older than both.
    fn raise(&mut self, start: Timestamp, price: i64) {
        let older = usize::from(self.starts[1] < self.starts[0]);
        if let Some(at) = self.starts.iter().position(|known| *known == start) {
            self.highest[at] = self.highest[at].max(price);
        } else if start > self.starts[older] {
            (self.starts[older], self.highest[older]) = (start, price);
        }
    }
}

#[derive(Clone)]
struct HighestOfSome;

impl Process for HighestOfSome {
    type Key = u8;
    type In = Bid;
    type Out = Candidate;
    type State = Value<Recent>;

    fn declare(&self, state: &mut Declare) -> Value<Recent> {
        state.value("recent")
    }

    fn on_record(&mut self, bid: Bid, recent: &Value<Recent>, cx: &mut Context<'_, Self>) {
        let start = bid.at - bid.at.rem_euclid(LENGTH);
        let counts = start + LENGTH - 1 > cx.watermark();
        let (is_highest, was_highest) = recent.update(cx, |recent| {
            let is_highest = bid.price >= recent.highest(start);
            // The last moment of a window is the first one of the next.
            let was_highest = bid.at == start && bid.price >= recent.highest(start - LENGTH);
            if counts && is_highest {
                recent.raise(start, bid.price);
            }
            (is_highest, was_highest)
        });
        if was_highest {
            cx.emit(Candidate { start: start - LENGTH, bid: bid.clone(), counts: false });
        }
        if is_highest {
            cx.emit(Candidate { start, bid, counts });
        }
    }
}

/// A window: its highest price, whether it is final, and the bids that may have it.
struct InWindow {
    highest: Value<i64>,
    is_over: Value<bool>,
    bids: List<KeptBid>,
}

#[derive(Clone)]
struct HighestOfAll;

impl Process for HighestOfAll {
    type Key = Timestamp;
    type In = Candidate;
    type Out = Bid;
    type State = InWindow;

    fn declare(&self, state: &mut Declare) -> InWindow {
        let (highest, is_over) = (state.value("highest"), state.value("is over"));
        InWindow { highest, is_over, bids: state.list("bids") }
    }

    fn on_record(&mut self, candidate: Candidate, window: &InWindow, cx: &mut Context<'_, Self>) {
        let Candidate { start, bid, counts } = candidate;
        let highest = window.highest.load(cx);
        if window.is_over.load(cx) == Some(true) {
            if highest == Some(bid.price) {
                cx.emit(bid);
            }
            return;
        }
        if highest.is_some_and(|highest| bid.price < highest) {
            return;
        }
        if counts && highest != Some(bid.price) {
            window.highest.set(cx, &bid.price);
            let mut bids = window.bids.load(cx);
            bids.retain(|other| other.price >= bid.price);
            window.bids.replace(cx, &bids);
        }
        window.bids.push(cx, &KeptBid::from(&bid));
        cx.timer_at(start + LENGTH - 1);
    }

    fn on_timer(&mut self, _: Timestamp, window: &InWindow, cx: &mut Context<'_, Self>) {
        let bids = window.bids.load(cx);
        window.bids.clear(cx);
        let Some(highest) = window.highest.load(cx) else { return };
        window.is_over.set(cx, &true);
        bids.into_iter().filter(|bid| bid.price == highest).for_each(|bid| cx.emit(bid.into()));
    }
}

/// A row of q7.
pub struct Highest(Bid);

impl Row for Highest {
    const COLUMNS: &'static str =
        "auction:BIGINT,price:BIGINT,bidder:BIGINT,dateTime:TIMESTAMP(3) *ROWTIME*,extra:STRING";

    fn write(&self, fields: &mut Fields) {
        let Highest(bid) = self;
        fields.int(bid.auction).int(bid.price).int(bid.bidder).int(bid.at).text(bid.extra());
    }
}
