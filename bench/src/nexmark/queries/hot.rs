//! q5: the auctions that most bids were made on.

use millstream::prelude::*;
use millstream::stream::chain::Chain;

use super::plain::bids;
use crate::nexmark::input::Events;
use crate::nexmark::table::{Fields, Row};

/// The auctions with most bids in each window of ten seconds; one begins every two.
///
/// Three steps: bids are counted per auction; of some auctions each, those remain that may have most; these are
/// compared.
pub fn q5(events: Events) -> Stream<HotAuction, impl Chain<Out = HotAuction>> {
    bids(events)
        .map(|bid| bid.auction)
        .key_by(|auction| *auction)
        .window(Sliding::of(secs(10), secs(2)))
        .aggregate("bids per window", CountBids)
        .map(|count| Count { auction: count.key, end: count.window.end, bids: count.value })
        .key_by(|count| (count.end, (count.auction & 63) as u8))
        .process("leaders of some", Leaders)
        .key_by(|count| count.end)
        .process("leaders of all", LeadersOfAll)
}

/// The bids on an auction in the window that ends at `end`.
struct Count {
    auction: i64,
    end: Timestamp,
    bids: i64,
}

/// Counts bids.
#[derive(Clone)]
pub(super) struct CountBids;

impl Aggregate for CountBids {
    type In = i64;
    type Acc = i64;
    type Out = i64;

    fn add(&self, bids: &mut i64, _: &i64) {
        *bids += 1;
    }

    fn finish(&self, bids: &i64) -> i64 {
        *bids
    }
}

impl Merge for CountBids {
    fn merge(&self, into: &mut i64, from: &i64) {
        *into += from;
    }
}

#[derive(Clone)]
struct Leaders;

impl Process for Leaders {
    type Key = (Timestamp, u8);
    type In = Count;
    type Out = Count;
    /// The most bids so far.
    type State = Value<i64>;

    fn declare(&self, state: &mut Declare) -> Value<i64> {
        state.value("most")
    }

    fn on_record(&mut self, count: Count, most: &Value<i64>, cx: &mut Context<'_, Self>) {
        let before = most.update(cx, |most| std::mem::replace(most, count.bids.max(*most)));
        if before == 0 {
            cx.timer_at(count.end - 1);
        }
        if count.bids >= before {
            cx.emit(count);
        }
    }

    fn on_timer(&mut self, _: Timestamp, most: &Value<i64>, cx: &mut Context<'_, Self>) {
        most.clear(cx);
    }
}

struct Best {
    most: Value<i64>,
    auctions: List<i64>,
}

#[derive(Clone)]
struct LeadersOfAll;

impl Process for LeadersOfAll {
    type Key = Timestamp;
    type In = Count;
    type Out = HotAuction;
    type State = Best;

    fn declare(&self, state: &mut Declare) -> Best {
        Best { most: state.value("most"), auctions: state.list("auctions") }
    }

    fn on_record(&mut self, count: Count, best: &Best, cx: &mut Context<'_, Self>) {
        let before = best.most.update(cx, |most| std::mem::replace(most, count.bids.max(*most)));
        if count.bids > before {
            best.auctions.clear(cx);
            cx.timer_at(count.end - 1);
        }
        if count.bids >= before {
            best.auctions.push(cx, &count.auction);
        }
    }

    fn on_timer(&mut self, _: Timestamp, best: &Best, cx: &mut Context<'_, Self>) {
        let Some(bids) = best.most.take(cx) else { return };
        for auction in best.auctions.load(cx) {
            cx.emit(HotAuction { auction, bids });
        }
        best.auctions.clear(cx);
    }
}

/// A row of q5.
pub struct HotAuction {
    auction: i64,
    bids: i64,
}

impl Row for HotAuction {
    const COLUMNS: &'static str = "auction:BIGINT,num:BIGINT NOT NULL";

    fn write(&self, fields: &mut Fields) {
        fields.int(self.auction).int(self.bids);
    }
}
