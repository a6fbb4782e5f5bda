//! x1, x2: tumbling windows of ten seconds.

use millstream::prelude::*;
use millstream::stream::chain::Chain;

use super::plain::bids;
use crate::nexmark::input::Events;
use crate::nexmark::table::{Fields, Row};

/// What the prices of some bids add up to.
#[derive(Clone, Copy, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Prices {
    count: i64,
    total: i64,
    min: i64,
    max: i64,
}

#[derive(Clone)]
struct SumUp;

impl Aggregate for SumUp {
    /// The key and a price.
    type In = (i64, i64);
    type Acc = Prices;
    type Out = Prices;

    fn add(&self, prices: &mut Prices, (_, price): &(i64, i64)) {
        let first = prices.count == 0;
        prices.min = if first { *price } else { prices.min.min(*price) };
        prices.max = if first { *price } else { prices.max.max(*price) };
        prices.count += 1;
        prices.total = prices.total.wrapping_add(*price);
    }

    fn finish(&self, prices: &Prices) -> Prices {
        *prices
    }
}

/// Count, sum, least, greatest and mean price per auction and window.
pub fn x1(events: Events) -> Stream<AuctionWindow, impl Chain<Out = AuctionWindow>> {
    bids(events)
        .map(|bid| (bid.auction, bid.price))
        .key_by(|bid| bid.0)
        .window(Tumbling::of(secs(10)))
        .aggregate("prices", SumUp)
        .map(|sum| AuctionWindow { auction: sum.key, window: sum.window, prices: sum.value })
}

/// A row of x1.
pub struct AuctionWindow {
    auction: i64,
    window: Window,
    prices: Prices,
}

impl Row for AuctionWindow {
    const COLUMNS: &'static str = "auction:BIGINT,window_start:TIMESTAMP(3) NOT NULL,window_end:TIMESTAMP(3) NOT NULL,num:BIGINT NOT NULL,total:BIGINT,minp:BIGINT,maxp:BIGINT,avgp:BIGINT";

    fn write(&self, fields: &mut Fields) {
        let Prices { count, total, min, max } = self.prices;
        fields.int(self.auction).int(self.window.start).int(self.window.end);
        fields.int(count).int(total).int(min).int(max).int(total / count);
    }
}

/// Count, distinct bidders and sum of prices per window: first per bidder, then of them all.
pub fn x2(events: Events) -> Stream<WholeWindow, impl Chain<Out = WholeWindow>> {
    bids(events)
        .map(|bid| (bid.bidder, bid.price))
        .key_by(|bid| bid.0)
        .window(Tumbling::of(secs(10)))
        .aggregate("per bidder", SumUp)
        .map(|sum| Bidders { count: sum.value.count, bidders: 1, total: sum.value.total })
        .key_by(|_| 0_u8)
        .window(Tumbling::of(secs(10)))
        .aggregate("all bidders", Unite)
        .map(|sum| WholeWindow { window: sum.window, of: sum.value })
}

/// Some bids: how many, by how many bidders, and the sum of their prices.
#[derive(Clone, Copy, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Bidders {
    count: i64,
    bidders: i64,
    total: i64,
}

#[derive(Clone)]
struct Unite;

impl Aggregate for Unite {
    type In = Bidders;
    type Acc = Bidders;
    type Out = Bidders;

    fn add(&self, all: &mut Bidders, some: &Bidders) {
        all.count += some.count;
        all.bidders += some.bidders;
        all.total = all.total.wrapping_add(some.total);
    }

    fn finish(&self, all: &Bidders) -> Bidders {
        *all
    }
}

/// A row of x2.
pub struct WholeWindow {
    window: Window,
    of: Bidders,
}

impl Row for WholeWindow {
    const COLUMNS: &'static str = "window_start:TIMESTAMP(3) NOT NULL,window_end:TIMESTAMP(3) NOT NULL,num:BIGINT NOT NULL,bidders:BIGINT NOT NULL,total:BIGINT";

    fn write(&self, fields: &mut Fields) {
        let Bidders { count, bidders, total } = self.of;
        fields.int(self.window.start).int(self.window.end).int(count).int(bidders).int(total);
    }
}
