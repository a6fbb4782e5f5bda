//! q18: the last bid of each bidder on each auction.

use millstream::prelude::*;
use millstream::stream::chain::Chain;

use super::plain::bids;
use crate::nexmark::event::Bid;
use crate::nexmark::input::Events;
use crate::nexmark::table::{Fields, Row};

/// The last bid per bidder and auction, by time; of those at the same time, the one that arrived last.
pub fn q18(events: Events) -> Stream<Latest, impl Chain<Out = Latest>> {
    bids(events).key_by(|bid| pair(bid.bidder, bid.auction)).process("latest", KeepLatest).map(Latest)
}

/// Two numbers as one: such a key is encoded without a buffer.
pub(super) fn pair(a: i64, b: i64) -> u128 {
    u128::from(a as u64) << 64 | u128::from(b as u64)
}

#[derive(Clone)]
struct KeepLatest;

impl Process for KeepLatest {
    type Key = u128;
    type In = Bid;
    type Out = Bid;
    type State = Value<Timestamp>;

    fn declare(&self, state: &mut Declare) -> Value<Timestamp> {
        state.value("latest at")
    }

    fn on_record(&mut self, bid: Bid, latest_at: &Value<Timestamp>, cx: &mut Context<'_, Self>) {
        let at = bid.at;
        let is_latest = latest_at.update_or(
            cx,
            || at,
            |latest| {
                let is_latest = at >= *latest;
                *latest = at.max(*latest);
                is_latest
            },
        );
        if is_latest {
            cx.emit(bid);
        }
    }
}

/// A row of q18; it replaces the one before it.
pub struct Latest(Bid);

impl Row for Latest {
    const COLUMNS: &'static str = "auction:BIGINT,bidder:BIGINT,price:BIGINT,channel:STRING,url:STRING,dateTime:TIMESTAMP(3) *ROWTIME*,extra:STRING";
    const KEY: &'static [usize] = &[0, 1];

    fn write(&self, fields: &mut Fields) {
        let Latest(bid) = self;
        fields.int(bid.auction).int(bid.bidder).int(bid.price).text(bid.channel()).text(bid.url());
        fields.int(bid.at).text(bid.extra());
    }
}
