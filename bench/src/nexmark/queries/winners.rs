//! q4, q6, q9: the bids that win auctions.

use millstream::prelude::*;
use millstream::stream::chain::Chain;

use crate::nexmark::event::{Auction, Bid, Event};
use crate::nexmark::input::Events;
use crate::nexmark::table::{Fields, Row};

/// For each auction its winning bid: the highest, and of those the earliest.
pub fn q9(events: Events) -> Stream<Winner, impl Chain<Out = Winner>> {
    events
        .flat_map(|event| match event {
            Event::Auction(auction) => Some(Sale::Auction(auction)),
            Event::Bid(bid) => Some(Sale::Bid(bid)),
            Event::Person(_) => None,
        })
        .key_by(|sale| match sale {
            Sale::Auction(auction) => auction.id,
            Sale::Bid(bid) => bid.auction,
        })
        .process("winners", Winners)
}

/// What decides an auction.
#[expect(clippy::large_enum_variant, reason = "nearly all are bids")]
enum Sale {
    Auction(Box<Auction>),
    Bid(Bid),
}

/// An auction, its best bid so far, and the bids that came before it.
struct Hall {
    auction: Value<Auction>,
    best: Value<Best>,
    waiting: List<Bid>,
}

#[derive(Clone, Copy, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct Best {
    price: i64,
    at: i64,
}

impl Best {
    /// Takes the place of the bid before it if it is better.
    fn yields_to(&mut self, bid: &Bid) -> bool {
        let better = bid.price > self.price || (bid.price == self.price && bid.at < self.at);
        if better {
            *self = Best { price: bid.price, at: bid.at };
        }
        better
    }
}

/// No bid is worse.
const NO_BID: Best = Best { price: i64::MIN, at: i64::MAX };

#[derive(Clone)]
struct Winners;

impl Process for Winners {
    type Key = i64;
    type In = Sale;
    type Out = Winner;
    type State = Hall;

    fn declare(&self, state: &mut Declare) -> Hall {
        Hall { auction: state.value("auction"), best: state.value("best"), waiting: state.list("waiting") }
    }

    fn on_record(&mut self, sale: Sale, hall: &Hall, cx: &mut Context<'_, Self>) {
        match sale {
            Sale::Auction(auction) => {
                let mut best = NO_BID;
                let waiting = hall.waiting.load(cx).into_iter();
                let better =
                    |bid: &Bid| (auction.at..=auction.expires).contains(&bid.at) && best.yields_to(bid);
                let winner = waiting.filter(better).last();
                hall.waiting.clear(cx);
                hall.auction.set(cx, &auction);
                if let Some(bid) = winner {
                    hall.best.set(cx, &best);
                    cx.emit(Winner { auction: *auction, bid });
                }
            }
            Sale::Bid(bid) => match hall.auction.get(cx) {
                None => hall.waiting.push(cx, &bid),
                Some(auction) => {
                    let open = auction.at.to_native()..=auction.expires.to_native();
                    let counts = open.contains(&bid.at);
                    if counts && hall.best.update_or(cx, || NO_BID, |best| best.yields_to(&bid)) {
                        let auction = hall.auction.load(cx).expect("it was just read");
                        cx.emit(Winner { auction, bid });
                    }
                }
            },
        }
    }
}

/// A row of q9; it replaces the one before it.
pub struct Winner {
    auction: Auction,
    bid: Bid,
}

impl Row for Winner {
    const COLUMNS: &'static str = "id:BIGINT,itemName:STRING,description:STRING,initialBid:BIGINT,reserve:BIGINT,dateTime:TIMESTAMP(3) *ROWTIME*,expires:TIMESTAMP(3),seller:BIGINT,category:BIGINT,extra:STRING,auction:BIGINT,bidder:BIGINT,price:BIGINT,bid_dateTime:TIMESTAMP(3) *ROWTIME*,bid_extra:STRING";
    const KEY: &'static [usize] = &[0];

    fn write(&self, fields: &mut Fields) {
        let Winner { auction: a, bid } = self;
        fields.int(a.id).text(a.item()).text(a.description()).int(a.initial_bid).int(a.reserve);
        fields.int(a.at).int(a.expires).int(a.seller).int(a.category).text(a.extra());
        fields.int(bid.auction).int(bid.bidder).int(bid.price).int(bid.at).text(bid.extra());
    }
}

/// For each seller the mean of the final prices of its ten auctions that closed last.
pub fn q6(events: Events) -> Stream<SellerMean, impl Chain<Out = SellerMean>> {
    q9(events)
        .map(|Winner { auction, bid }| Closed {
            seller: auction.seller,
            sale: Sold { expires: auction.expires, auction: auction.id, price: bid.price },
        })
        .key_by(|closed| closed.seller)
        .process("last ten", LastTen)
}

/// A sale of a seller.
struct Closed {
    seller: i64,
    sale: Sold,
}

/// Sales are ordered by when they closed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct Sold {
    expires: i64,
    auction: i64,
    price: i64,
}

#[derive(Clone)]
struct LastTen;

impl Process for LastTen {
    type Key = i64;
    type In = Closed;
    type Out = SellerMean;
    /// The sales that closed last, in order.
    type State = Value<Vec<Sold>>;

    fn declare(&self, state: &mut Declare) -> Value<Vec<Sold>> {
        state.value("last ten")
    }

    fn on_record(&mut self, closed: Closed, last: &Value<Vec<Sold>>, cx: &mut Context<'_, Self>) {
        let mean = last.update(cx, |last| {
            // A better bid replaces the one that had won before.
            last.retain(|sale| sale.auction != closed.sale.auction);
            let place = last.partition_point(|sale| *sale < closed.sale);
            last.insert(place, closed.sale);
            if last.len() > 10 {
                last.remove(0);
            }
            last.iter().map(|sale| i128::from(sale.price)).sum::<i128>() / last.len() as i128
        });
        let mean = i64::try_from(mean).expect("a mean lies between the numbers");
        cx.emit(SellerMean { seller: closed.seller, mean });
    }
}

/// A row of q6; it replaces the one before it.
pub struct SellerMean {
    seller: i64,
    mean: i64,
}

impl Row for SellerMean {
    const COLUMNS: &'static str = "seller:BIGINT,EXPR$1:BIGINT";
    const KEY: &'static [usize] = &[0];

    fn write(&self, fields: &mut Fields) {
        fields.int(self.seller).int(self.mean);
    }
}
