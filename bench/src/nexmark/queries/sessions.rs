//! q11: sessions of bidders.

use millstream::prelude::*;
use millstream::stream::chain::Chain;

use super::hot::CountBids;
use super::plain::bids;
use crate::nexmark::input::Events;
use crate::nexmark::table::{Fields, Row};

/// How many bids each bidder made in each session; it is over when the bidder is silent for ten seconds.
pub fn q11(events: Events) -> Stream<SessionRow, impl Chain<Out = SessionRow>> {
    bids(events)
        .map(|bid| bid.bidder)
        .key_by(|bidder| *bidder)
        .window(Session::with_gap(secs(10)))
        .aggregate("sessions", CountBids)
        .map(|session| SessionRow {
            bidder: session.key,
            bids: session.value,
            start: session.window.start,
            end: session.window.end,
        })
}

/// A row of q11 and q12.
pub struct SessionRow {
    pub(super) bidder: i64,
    pub(super) bids: i64,
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
}

impl Row for SessionRow {
    const COLUMNS: &'static str = "bidder:BIGINT,bid_count:BIGINT NOT NULL,starttime:TIMESTAMP(3) NOT NULL,endtime:TIMESTAMP(3) NOT NULL";

    fn write(&self, fields: &mut Fields) {
        fields.int(self.bidder).int(self.bids).int(self.start).int(self.end);
    }
}
