//! q5: the auctions that most bids were made on.

use millstream::prelude::*;
use millstream::stream::chain::Chain;

use super::plain::bids;
use crate::nexmark::input::Events;
use crate::nexmark::table::{Fields, Row};

/// The length of a window, in milliseconds.
const LENGTH: i64 = 10_000;
/// How far apart windows begin.
const SLIDE: i64 = 2_000;

/// The auctions with most bids in each window of ten seconds; one begins every two.
///
/// Three steps: bids are counted per auction and slide; of some auctions each, those remain that may have most; these
/// are compared.
pub fn q5(events: Events) -> Stream<HotAuction, impl Chain<Out = HotAuction>> {
    bids(events)
        .map(|bid| (bid.auction, bid.at))
        .key_by(|bid| bid.0)
        .process("bids per window", BidsPerWindow)
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

#[derive(Clone)]
struct BidsPerWindow;

impl Process for BidsPerWindow {
    type Key = i64;
    type In = (i64, Timestamp);
    type Out = Count;
    /// Bids by the start of the slide that they are in.
    type State = Map<i64, i64>;

    fn declare(&self, state: &mut Declare) -> Map<i64, i64> {
        state.map("slides")
    }

    fn on_record(&mut self, (_, at): (i64, Timestamp), slides: &Map<i64, i64>, cx: &mut Context<'_, Self>) {
        let slide = at - at.rem_euclid(SLIDE);
        // It counts in the windows that are still open.
        if slide + LENGTH - 1 <= cx.watermark() {
            return;
        }
        let is_new = slides.update(cx, &slide, |bids| {
            *bids += 1;
            *bids == 1
        });
        if is_new {
            let open = |end: &i64| end - 1 > cx.watermark();
            let first = (1..=LENGTH / SLIDE).map(|n| slide + n * SLIDE).find(open);
            cx.timer_at(first.expect("the last one is open") - 1);
        }
    }

    fn on_timer(&mut self, at: Timestamp, slides: &Map<i64, i64>, cx: &mut Context<'_, Self>) {
        let end = at + 1;
        let mut within = (1..=LENGTH / SLIDE).map(|n| end - n * SLIDE);
        let bids = within.clone().filter_map(|slide| slides.load(cx, &slide)).sum();
        if bids > 0 {
            cx.emit(Count { auction: *cx.key(), end, bids });
        }
        slides.remove(cx, &(end - LENGTH));
        if within.any(|slide| slides.contains(cx, &slide)) {
            cx.timer_at(at + SLIDE);
        }
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
