//! q4: what things of each category sell for.

use millstream::prelude::*;
use millstream::stream::chain::Chain;

use crate::nexmark::event::Event;
use crate::nexmark::input::Events;
use crate::nexmark::table::{Fields, Row};

/// For each category the mean of the highest bids on its auctions.
pub fn q4(events: Events) -> Stream<CategoryMean, impl Chain<Out = CategoryMean>> {
    events
        .flat_map(|event| match event {
            Event::Auction(auction) => {
                let (category, at, expires) = (auction.category, auction.at, auction.expires);
                Some(Sale::Auction { id: auction.id, lot: Lot { category, at, expires, highest: NO_BID } })
            }
            Event::Bid(bid) => {
                Some(Sale::Bid { auction: bid.auction, offer: Offer { price: bid.price, at: bid.at } })
            }
            Event::Person(_) => None,
        })
        .key_by(|sale| match sale {
            Sale::Auction { id, .. } => *id,
            Sale::Bid { auction, .. } => *auction,
        })
        .process("highest bids", HighestBids)
        .key_by(|change| change.category)
        .process("means", Means)
}

/// What decides an auction.
enum Sale {
    Auction { id: i64, lot: Lot },
    Bid { auction: i64, offer: Offer },
}

/// An auction and its highest bid.
#[derive(Clone, Copy, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct Lot {
    category: i64,
    at: i64,
    expires: i64,
    highest: i64,
}

/// Less than any price.
const NO_BID: i64 = i64::MIN;

/// Of an auction of which only bids are known: it is open at no time.
const NO_LOT: Lot = Lot { category: 0, at: i64::MAX, expires: i64::MIN, highest: NO_BID };

#[derive(Clone, Copy, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct Offer {
    price: i64,
    at: i64,
}

impl Lot {
    fn is_known(&self) -> bool {
        (self.at, self.expires) != (NO_LOT.at, NO_LOT.expires)
    }

    /// By what an offer changes the sum and the count of its category.
    fn take(&mut self, offer: Offer) -> Option<Change> {
        if !(self.at..=self.expires).contains(&offer.at) || offer.price <= self.highest {
            return None;
        }
        let before = std::mem::replace(&mut self.highest, offer.price);
        let (was, count) = if before == NO_BID { (0, 1) } else { (before, 0) };
        Some(Change { category: self.category, sum: offer.price.wrapping_sub(was), count })
    }
}

struct Change {
    category: i64,
    sum: i64,
    count: i64,
}

struct Lots {
    lot: Value<Lot>,
    /// The bids that came before their auction.
    waiting: List<Offer>,
}

#[derive(Clone)]
struct HighestBids;

impl Process for HighestBids {
    type Key = i64;
    type In = Sale;
    type Out = Change;
    type State = Lots;

    fn declare(&self, state: &mut Declare) -> Lots {
        Lots { lot: state.value("lot"), waiting: state.list("waiting") }
    }

    fn on_record(&mut self, sale: Sale, lots: &Lots, cx: &mut Context<'_, Self>) {
        match sale {
            Sale::Auction { mut lot, .. } => {
                for offer in lots.waiting.load(cx) {
                    if let Some(change) = lot.take(offer) {
                        cx.emit(change);
                    }
                }
                lots.waiting.clear(cx);
                lots.lot.set(cx, &lot);
            }
            Sale::Bid { offer, .. } => {
                let taken = lots.lot.update_or(
                    cx,
                    || NO_LOT,
                    |lot| if lot.is_known() { Ok(lot.take(offer)) } else { Err(offer) },
                );
                match taken {
                    Ok(change) => change.into_iter().for_each(|change| cx.emit(change)),
                    Err(offer) => lots.waiting.push(cx, &offer),
                }
            }
        }
    }
}

#[derive(Clone, Copy, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct Mean {
    sum: i64,
    count: i64,
}

#[derive(Clone)]
struct Means;

impl Process for Means {
    type Key = i64;
    type In = Change;
    type Out = CategoryMean;
    type State = Value<Mean>;

    fn declare(&self, state: &mut Declare) -> Value<Mean> {
        state.value("mean")
    }

    fn on_record(&mut self, change: Change, mean: &Value<Mean>, cx: &mut Context<'_, Self>) {
        let mean = mean.update(cx, |mean| {
            mean.sum = mean.sum.wrapping_add(change.sum);
            mean.count += change.count;
            mean.sum / mean.count
        });
        cx.emit(CategoryMean { category: change.category, mean });
    }
}

/// A row of q4; it replaces the one before it.
pub struct CategoryMean {
    category: i64,
    mean: i64,
}

impl Row for CategoryMean {
    const COLUMNS: &'static str = "category:BIGINT,EXPR$1:BIGINT";
    const KEY: &'static [usize] = &[0];

    fn write(&self, fields: &mut Fields) {
        fields.int(self.category).int(self.mean);
    }
}
