//! q13: bids beside a bounded table that every core has.

use std::sync::Arc;

use compact_str::{CompactString, ToCompactString};
use millstream::prelude::*;
use millstream::stream::chain::Chain;

use super::plain::bids;
use crate::nexmark::input::Events;
use crate::nexmark::table::{Fields, Row};

/// Entries of the table.
const ENTRIES: i64 = 10_000;

/// Every bid with the value that the side table has for its auction.
pub fn q13(events: Events) -> Stream<Enriched, impl Chain<Out = Enriched>> {
    let table: Arc<[CompactString]> = (0..ENTRIES).map(|key| key.to_compact_string()).collect();
    bids(events).flat_map(move |bid| {
        let key = usize::try_from(bid.auction % ENTRIES).ok()?;
        let value = table.get(key)?.clone();
        Some(Enriched { auction: bid.auction, bidder: bid.bidder, price: bid.price, at: bid.at, value })
    })
}

/// A bid of q13.
pub struct Enriched {
    auction: i64,
    bidder: i64,
    price: i64,
    at: Timestamp,
    value: CompactString,
}

impl Row for Enriched {
    const COLUMNS: &'static str =
        "auction:BIGINT,bidder:BIGINT,price:BIGINT,dateTime:TIMESTAMP(3) *ROWTIME*,value:STRING";

    fn write(&self, fields: &mut Fields) {
        fields.int(self.auction).int(self.bidder).int(self.price).int(self.at).text(&self.value);
    }
}
