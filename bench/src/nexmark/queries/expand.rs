//! q20: bids with all that is known of their auction.

use millstream::prelude::*;
use millstream::stream::chain::Chain;

use crate::nexmark::event::{Auction, Bid, Event, KeptBid};
use crate::nexmark::input::Events;
use crate::nexmark::table::{Fields, Row};

/// Every bid on a thing of category 10, with its auction.
pub fn q20(events: Events) -> Stream<Expanded, impl Chain<Out = Expanded>> {
    events
        .flat_map(|event| match event {
            Event::Auction(auction) => {
                Some(Sale::Auction { id: auction.id, auction: (auction.category == 10).then_some(auction) })
            }
            Event::Bid(bid) => Some(Sale::Bid(bid)),
            Event::Person(_) => None,
        })
        .key_by(|sale| match sale {
            Sale::Auction { id, .. } => *id,
            Sale::Bid(bid) => bid.auction,
        })
        .process("expand", Expand)
}

/// An auction, nothing of it if its category is another; or a bid.
enum Sale {
    Auction { id: i64, auction: Option<Box<Auction>> },
    Bid(Bid),
}

struct Known {
    /// Which auctions are known, and whether they are wanted: the bids of others need not wait.
    is_wanted: Value<bool>,
    /// Those that are.
    auction: Value<Auction>,
    /// The bids that came before their auction.
    waiting: List<KeptBid>,
}

#[derive(Clone)]
struct Expand;

impl Process for Expand {
    type Key = i64;
    type In = Sale;
    type Out = Expanded;
    type State = Known;

    fn declare(&self, state: &mut Declare) -> Known {
        let (is_wanted, auction) = (state.value("is wanted"), state.value("auction"));
        Known { is_wanted, auction, waiting: state.list("waiting") }
    }

    fn on_record(&mut self, sale: Sale, known: &Known, cx: &mut Context<'_, Self>) {
        match sale {
            Sale::Auction { auction, .. } => {
                known.is_wanted.set(cx, &auction.is_some());
                if let Some(auction) = auction {
                    known.auction.set(cx, &auction);
                    for bid in known.waiting.load(cx) {
                        cx.emit(Expanded { bid: bid.into(), auction: (*auction).clone() });
                    }
                }
                known.waiting.clear(cx);
            }
            Sale::Bid(bid) => match known.is_wanted.load(cx) {
                None => known.waiting.push(cx, &KeptBid::from(&bid)),
                Some(false) => {}
                Some(true) => {
                    let auction = known.auction.load(cx).expect("an auction that is wanted is kept");
                    cx.emit(Expanded { bid, auction });
                }
            },
        }
    }
}

/// A row of q20.
pub struct Expanded {
    bid: Bid,
    auction: Auction,
}

impl Row for Expanded {
    const COLUMNS: &'static str = "auction:BIGINT,bidder:BIGINT,price:BIGINT,channel:STRING,url:STRING,dateTime:TIMESTAMP(3) *ROWTIME*,extra:STRING,itemName:STRING,description:STRING,initialBid:BIGINT,reserve:BIGINT,dateTime0:TIMESTAMP(3) *ROWTIME*,expires:TIMESTAMP(3),seller:BIGINT,category:BIGINT,extra0:STRING";

    fn write(&self, fields: &mut Fields) {
        let Expanded { bid, auction: a } = self;
        fields.int(bid.auction).int(bid.bidder).int(bid.price).text(bid.channel()).text(bid.url());
        fields.int(bid.at).text(bid.extra());
        fields.text(a.item()).text(a.description()).int(a.initial_bid).int(a.reserve);
        fields.int(a.at).int(a.expires).int(a.seller).int(a.category).text(a.extra());
    }
}
