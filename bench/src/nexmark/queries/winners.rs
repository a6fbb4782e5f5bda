//! q4, q6, q9: the bids that win auctions.

use millstream::prelude::*;
use millstream::stream::chain::Chain;

use crate::nexmark::event::{Auction, Bid, Event, KeptBid};
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
enum Sale {
    Auction(Box<Auction>),
    Bid(Bid),
}

/// An auction, its best bid so far, and the bids that came before it.
struct Hall {
    /// What every bid is compared with.
    open: Value<Open>,
    /// The rest, which only winners are shown with.
    auction: Value<Auction>,
    waiting: List<KeptBid>,
}

/// When bids on an auction count, and the price and the time of the best so far.
#[derive(Clone, Copy, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct Open {
    from: i64,
    to: i64,
    price: i64,
    at: i64,
}

impl Open {
    /// No bid is worse than the first `price` and `at`.
    fn new(from: Timestamp, to: Timestamp) -> Open {
        Open { from, to, price: i64::MIN, at: i64::MAX }
    }

    /// Takes a bid with this price at this time for the best if it is better.
    fn take(&mut self, price: i64, at: Timestamp) -> bool {
        let counts = (self.from..=self.to).contains(&at);
        let better = counts && (price > self.price || (price == self.price && at < self.at));
        if better {
            (self.price, self.at) = (price, at);
        }
        better
    }

    /// Whether the auction is known: of others this is only made to be looked for.
    fn is_known(&self) -> bool {
        (self.from, self.to) != UNKNOWN
    }
}

/// When an auction is open of which only bids are known: at no time.
const UNKNOWN: (Timestamp, Timestamp) = (i64::MAX, i64::MIN);

#[derive(Clone)]
struct Winners;

impl Process for Winners {
    type Key = i64;
    type In = Sale;
    type Out = Winner;
    type State = Hall;

    fn declare(&self, state: &mut Declare) -> Hall {
        Hall { open: state.value("open"), auction: state.value("auction"), waiting: state.list("waiting") }
    }

    fn on_record(&mut self, sale: Sale, hall: &Hall, cx: &mut Context<'_, Self>) {
        match sale {
            Sale::Auction(auction) => {
                let mut open = Open::new(auction.at, auction.expires);
                let waiting = hall.waiting.load(cx).into_iter();
                let winner = waiting.filter(|bid| open.take(bid.price, bid.at)).last();
                hall.waiting.clear(cx);
                hall.open.set(cx, &open);
                hall.auction.set(cx, &auction);
                if let Some(bid) = winner {
                    cx.emit(Winner { auction: *auction, bid: bid.into() });
                }
            }
            Sale::Bid(bid) => {
                let (from, to) = UNKNOWN;
                let (is_known, wins) = hall.open.update_or(
                    cx,
                    || Open::new(from, to),
                    |open| (open.is_known(), open.take(bid.price, bid.at)),
                );
                if wins {
                    let auction = hall.auction.load(cx).expect("an auction that is known is kept");
                    cx.emit(Winner { auction, bid });
                } else if !is_known {
                    hall.waiting.push(cx, &KeptBid::from(&bid));
                }
            }
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
