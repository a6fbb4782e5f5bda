//! q17: statistics per auction and day.

use millstream::prelude::*;
use millstream::stream::chain::Chain;

use super::latest::pair;
use super::plain::bids;
use super::ranks::{RANKS, rank};
use crate::nexmark::calendar::Day;
use crate::nexmark::input::Events;
use crate::nexmark::table::{Fields, Row};

/// How many bids of each rank, and their least, greatest, mean and summed price, per auction and day.
pub fn q17(events: Events) -> Stream<Statistics, impl Chain<Out = Statistics>> {
    bids(events)
        .map(|bid| Offer { auction: bid.auction, day: Day::of(bid.at).0, price: bid.price })
        .key_by(|offer| pair(offer.auction, offer.day.into()))
        .process("statistics", Describe)
}

/// What is needed of a bid.
#[derive(Clone, Copy)]
pub struct Offer {
    auction: i64,
    day: i32,
    price: i64,
}

#[derive(Clone, Copy, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct Prices {
    counts: [i64; RANKS],
    min: i64,
    max: i64,
    sum: i64,
}

#[derive(Clone)]
struct Describe;

impl Process for Describe {
    type Key = u128;
    type In = Offer;
    type Out = Statistics;
    type State = Value<Prices>;

    fn declare(&self, state: &mut Declare) -> Value<Prices> {
        state.value("prices")
    }

    fn on_record(&mut self, offer: Offer, prices: &Value<Prices>, cx: &mut Context<'_, Self>) {
        let price = offer.price;
        let first = || Prices { min: price, max: price, ..Prices::default() };
        let prices = prices.update_or(cx, first, |prices| {
            prices.counts[rank(price)] += 1;
            prices.min = prices.min.min(price);
            prices.max = prices.max.max(price);
            prices.sum = prices.sum.wrapping_add(price);
            *prices
        });
        cx.emit(Statistics { auction: offer.auction, day: Day(offer.day), prices });
    }
}

/// A row of q17; it replaces the one before it.
pub struct Statistics {
    auction: i64,
    day: Day,
    prices: Prices,
}

impl Row for Statistics {
    const COLUMNS: &'static str = "auction:BIGINT,day:STRING,total_bids:BIGINT NOT NULL,rank1_bids:BIGINT NOT NULL,rank2_bids:BIGINT NOT NULL,rank3_bids:BIGINT NOT NULL,min_price:BIGINT,max_price:BIGINT,avg_price:BIGINT,sum_price:BIGINT";
    const KEY: &'static [usize] = &[0, 1];

    fn write(&self, fields: &mut Fields) {
        let Prices { counts, min, max, sum } = self.prices;
        let total = counts.iter().sum::<i64>();
        fields.int(self.auction).display(self.day).int(total);
        counts.iter().for_each(|count| {
            fields.int(*count);
        });
        fields.int(min).int(max).int(sum / total).int(sum);
    }
}
