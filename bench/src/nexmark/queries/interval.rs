//! x5: an interval join.

use millstream::prelude::*;
use millstream::stream::chain::Chain;

use crate::nexmark::event::Event;
use crate::nexmark::input::Events;
use crate::nexmark::table::{Fields, Row};

/// How long after its auction a bid counts, in milliseconds.
const WITHIN: i64 = 1_000;

/// The bids on auctions of category 10 within their first second.
pub fn x5(events: Events) -> Stream<EarlyBid, impl Chain<Out = EarlyBid>> {
    events
        .flat_map(|event| match event {
            Event::Auction(auction) if auction.category == 10 => {
                Some(Side::Auction { id: auction.id, at: auction.at })
            }
            Event::Bid(bid) => Some(Side::Bid {
                auction: bid.auction,
                at: bid.at,
                offer: Offer { bidder: bid.bidder, price: bid.price },
            }),
            _ => None,
        })
        .key_by(|side| match side {
            Side::Auction { id, .. } => *id,
            Side::Bid { auction, .. } => *auction,
        })
        .process("early bids", EarlyBids)
}

enum Side {
    Auction { id: i64, at: Timestamp },
    Bid { auction: i64, at: Timestamp, offer: Offer },
}

#[derive(Clone, Copy, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct Offer {
    bidder: i64,
    price: i64,
}

/// What may still find its counterpart.
struct Sides {
    auctions: Timeline<()>,
    bids: Timeline<Offer>,
}

#[derive(Clone)]
struct EarlyBids;

impl Process for EarlyBids {
    type Key = i64;
    type In = Side;
    type Out = EarlyBid;
    type State = Sides;

    fn declare(&self, state: &mut Declare) -> Sides {
        Sides { auctions: state.timeline("auctions"), bids: state.timeline("bids") }
    }

    fn on_record(&mut self, side: Side, sides: &Sides, cx: &mut Context<'_, Self>) {
        let id = *cx.key();
        if cx.time() < cx.watermark() {
            return;
        }
        match side {
            Side::Auction { at, .. } => {
                sides.auctions.insert(cx, at, &());
                cx.timer_at(at + WITHIN);
                let bids = sides.bids.range(cx, at..=at + WITHIN);
                let early = |(bid_at, offer): (Timestamp, &ArchivedOffer)| {
                    let (bidder, price) = (offer.bidder.to_native(), offer.price.to_native());
                    EarlyBid { id, bidder, price, at, bid_at }
                };
                let early: Vec<_> = bids.map(early).collect();
                early.into_iter().for_each(|bid| cx.emit(bid));
            }
            Side::Bid { at: bid_at, offer: Offer { bidder, price }, .. } => {
                sides.bids.insert(cx, bid_at, &Offer { bidder, price });
                cx.timer_at(bid_at);
                let auctions: Vec<_> =
                    sides.auctions.range(cx, bid_at - WITHIN..=bid_at).map(|(at, ())| at).collect();
                auctions.into_iter().for_each(|at| cx.emit(EarlyBid { id, bidder, price, at, bid_at }));
            }
        }
    }

    fn on_timer(&mut self, at: Timestamp, sides: &Sides, cx: &mut Context<'_, Self>) {
        sides.bids.remove(cx, ..at);
        sides.auctions.remove(cx, ..=at - WITHIN);
    }
}

/// A row of x5.
pub struct EarlyBid {
    id: i64,
    bidder: i64,
    price: i64,
    at: Timestamp,
    bid_at: Timestamp,
}

impl Row for EarlyBid {
    const COLUMNS: &'static str =
        "id:BIGINT,bidder:BIGINT,price:BIGINT,a_ts:TIMESTAMP(3) *ROWTIME*,b_ts:TIMESTAMP(3) *ROWTIME*";

    fn write(&self, fields: &mut Fields) {
        fields.int(self.id).int(self.bidder).int(self.price).int(self.at).int(self.bid_at);
    }
}
