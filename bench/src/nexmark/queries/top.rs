//! q19: the highest bids on each auction.

use millstream::prelude::*;
use millstream::stream::chain::Chain;

use super::plain::bids;
use crate::nexmark::event::{Bid, KeptBid};
use crate::nexmark::input::Events;
use crate::nexmark::table::{Fields, Row};

/// How many bids have a rank.
const TOP: usize = 10;

/// The ten highest bids on each auction with their rank; of bids at the same price, the first to arrive.
pub fn q19(events: Events) -> Stream<Ranked, impl Chain<Out = Ranked>> {
    bids(events).key_by(|bid| bid.auction).process("top ten", TopTen)
}

/// The prices by rank, and in which place each bid is kept.
#[derive(Clone, Copy, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct Ranking {
    len: u64,
    prices: [i64; TOP],
    places: [u8; 16],
}

impl Ranking {
    /// The rank, from 0, and the place of a bid that enters: behind those at the same price.
    fn enter(&mut self, price: i64) -> Option<(usize, u8)> {
        let len = self.len as usize;
        let rank = self.prices[..len].partition_point(|other| *other >= price);
        if rank == TOP {
            return None;
        }
        let last = len.min(TOP - 1);
        let place = if len < TOP { len as u8 } else { self.places[last] };
        self.prices.copy_within(rank..last, rank + 1);
        self.places.copy_within(rank..last, rank + 1);
        (self.prices[rank], self.places[rank]) = (price, place);
        self.len = (last + 1) as u64;
        Some((rank, place))
    }
}

struct Best {
    ranking: Value<Ranking>,
    /// By place: values of their own, so that one is written without touching the others.
    bids: [Value<KeptBid>; TOP],
}

#[derive(Clone)]
struct TopTen;

impl Process for TopTen {
    type Key = i64;
    type In = Bid;
    type Out = Ranked;
    type State = Best;

    fn declare(&self, state: &mut Declare) -> Best {
        let bids = std::array::from_fn(|place| state.value(&format!("bid {place}")));
        Best { ranking: state.value("ranking"), bids }
    }

    fn on_record(&mut self, bid: Bid, best: &Best, cx: &mut Context<'_, Self>) {
        let (entered, ranking) = best.ranking.update(cx, |ranking| (ranking.enter(bid.price), *ranking));
        let Some((rank, place)) = entered else { return };
        let bid = KeptBid::from(&bid);
        best.bids[usize::from(place)].set(cx, &bid);
        cx.emit(Ranked { bid, rank: rank as i64 + 1 });
        // All behind it are one rank further down.
        for rank in rank + 1..ranking.len as usize {
            let place = usize::from(ranking.places[rank]);
            let bid = best.bids[place].load(cx).expect("a bid is in each place");
            cx.emit(Ranked { bid, rank: rank as i64 + 1 });
        }
    }
}

/// A row of q19; it replaces the one with its rank before it.
pub struct Ranked {
    bid: KeptBid,
    rank: i64,
}

impl Row for Ranked {
    const COLUMNS: &'static str = "auction:BIGINT,bidder:BIGINT,price:BIGINT,channel:STRING,url:STRING,dateTime:TIMESTAMP(3) *ROWTIME*,extra:STRING,rank_number:BIGINT NOT NULL";
    const KEY: &'static [usize] = &[0, 7];

    fn write(&self, fields: &mut Fields) {
        let Ranked { bid, rank } = self;
        let [channel, url, extra] = [0, 1, 2].map(|i| bid.texts.get(i));
        fields.int(bid.auction).int(bid.bidder).int(bid.price).text(channel).text(url);
        fields.int(bid.at).text(extra).int(*rank);
    }
}
