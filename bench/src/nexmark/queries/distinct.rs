//! q15, q16: how many bids, bidders and auctions there are per day, in all and per rank of price.
//!
//! Bidders and auctions are told apart on all cores: a first step remembers for each which ranks it was seen with in
//! its group, a second adds up per group what was new. Mere counts are handed on a few at a time, at the latest when a
//! second of event time is over.

use compact_str::CompactString;
use millstream::key::{Key, KeyBuf};
use millstream::prelude::*;
use millstream::stream::chain::Chain;

use super::plain::bids;
use super::ranks::{RANKS, rank};
use crate::nexmark::calendar::{Day, Minute};
use crate::nexmark::event::Bid;
use crate::nexmark::input::Events;
use crate::nexmark::table::{Fields, Row};

/// Per day.
pub fn q15(events: Events) -> Stream<PerDay, impl Chain<Out = PerDay>> {
    totals(events, |bid| Day::of(bid.at).0).map(|(day, totals)| PerDay { day: Day(day), totals })
}

/// Per channel and day.
pub fn q16(events: Events) -> Stream<PerChannel, impl Chain<Out = PerChannel>> {
    totals(events, |bid| (Channel(bid.channel().into()), Day::of(bid.at).0))
        .map(|((channel, day), totals)| PerChannel { channel: channel.0, day: Day(day), totals })
}

fn totals<G>(
    events: Events,
    group: impl Fn(&Bid) -> G + Clone + Send + 'static,
) -> Stream<(G, Totals), impl Chain<Out = (G, Totals)>>
where
    G: Key,
{
    bids(events)
        .flat_map(move |bid| {
            let seen =
                |who| Seen { group: group(&bid), who, rank: rank(bid.price), minute: Minute::of(bid.at) };
            [seen(Who::Bidder(bid.bidder)), seen(Who::Auction(bid.auction))]
        })
        .key_by(|seen| (seen.group.clone(), seen.who))
        .process("tell apart", TellApart::<G>::default())
        .key_by(|news| news.group.clone())
        .process("add up", AddUp::<G>::default())
}

/// A channel's name: most are short enough to need no allocation.
#[derive(Clone, PartialEq, Eq)]
pub struct Channel(CompactString);

impl Key for Channel {
    fn write(&self, out: &mut KeyBuf) {
        (self.0.len() as u32).write(out);
        out.extend_from_slice(self.0.as_bytes());
    }

    fn read(input: &mut &[u8]) -> Option<Channel> {
        let len = u32::read(input)? as usize;
        let (name, rest) = input.split_at_checked(len)?;
        *input = rest;
        CompactString::from_utf8(name).ok().map(Channel)
    }
}

/// Somebody or something that is counted once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Bidder(i64),
    Auction(i64),
}

impl Key for Who {
    fn write(&self, out: &mut KeyBuf) {
        match self {
            Who::Bidder(id) => (0_u8, *id).write(out),
            Who::Auction(id) => (1_u8, *id).write(out),
        }
    }

    fn read(input: &mut &[u8]) -> Option<Who> {
        match <(u8, i64)>::read(input)? {
            (0, id) => Some(Who::Bidder(id)),
            (1, id) => Some(Who::Auction(id)),
            _ => None,
        }
    }
}

/// A bidder or an auction was seen with a price.
struct Seen<G> {
    group: G,
    who: Who,
    rank: usize,
    minute: Minute,
}

/// How many in all, and of each rank.
type Counts = [i64; RANKS + 1];

/// What is new in a group.
struct News<G> {
    group: G,
    /// Bids that were not handed on before.
    bids: [u32; RANKS],
    /// For a bidder, and for an auction, that was not counted before: a bit for all, and one for each rank.
    bidders: u8,
    auctions: u8,
    minute: Minute,
}

/// What there is of a group.
#[derive(Clone, Copy, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Totals {
    bids: Counts,
    bidders: Counts,
    auctions: Counts,
    /// The latest minute of the day.
    minute: i64,
}

impl Totals {
    fn add<G>(&mut self, news: &News<G>) {
        for (rank, &bids) in news.bids.iter().enumerate() {
            self.bids[0] += i64::from(bids);
            self.bids[rank + 1] += i64::from(bids);
        }
        for at in 0..=RANKS {
            self.bidders[at] += i64::from(news.bidders >> at & 1);
            self.auctions[at] += i64::from(news.auctions >> at & 1);
        }
        self.minute = self.minute.max(news.minute.0.into());
    }

    fn write(&self, fields: &mut Fields) {
        for count in [self.bids, self.bidders, self.auctions].as_flattened() {
            fields.int(*count);
        }
    }
}

/// What is known of a bidder or an auction in a group.
#[derive(Clone, Copy, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct Known {
    /// Bids that were not handed on yet.
    bids: [u32; RANKS],
    /// The latest minute of the day.
    minute: u16,
    /// What was counted: a bit for all, and one for each rank.
    counted: u16,
}

impl Known {
    /// Counts a bid of a rank; returns what of it is counted for the first time.
    fn count(&mut self, rank: usize) -> u8 {
        let bits = 1 | 2 << rank;
        let first = bits & !self.counted;
        self.counted |= bits;
        first as u8
    }

    /// What waits in `group`; it does no longer.
    fn take<G>(&mut self, group: G) -> News<G> {
        let (bids, minute) = (std::mem::take(&mut self.bids), Minute(self.minute));
        News { group, bids, bidders: 0, auctions: 0, minute }
    }
}

/// Bids that may wait.
const WAITING: u32 = 64;

struct TellApart<G>(std::marker::PhantomData<fn() -> G>);

impl<G> Default for TellApart<G> {
    fn default() -> Self {
        TellApart(std::marker::PhantomData)
    }
}

impl<G> Clone for TellApart<G> {
    fn clone(&self) -> Self {
        TellApart::default()
    }
}

impl<G: Key> Process for TellApart<G> {
    type Key = (G, Who);
    type In = Seen<G>;
    type Out = News<G>;
    type State = Value<Known>;

    fn declare(&self, state: &mut Declare) -> Value<Known> {
        state.value("known")
    }

    fn on_record(&mut self, seen: Seen<G>, known: &Value<Known>, cx: &mut Context<'_, Self>) {
        let Seen { group, who, rank, minute } = seen;
        if let Who::Auction(_) = who {
            let auctions = known.update(cx, |known| known.count(rank));
            if auctions > 0 {
                cx.emit(News { group, bids: [0; RANKS], bidders: 0, auctions, minute });
            }
            return;
        }
        let (news, waiting) = known.update(cx, |known| {
            let bidders = known.count(rank);
            known.bids[rank] += 1;
            known.minute = known.minute.max(minute.0);
            let waiting = known.bids.iter().sum::<u32>();
            let now = bidders > 0 || waiting >= WAITING;
            (now.then(|| News { bidders, ..known.take(group) }), waiting)
        });
        match news {
            Some(news) => cx.emit(news),
            None if waiting == 1 => cx.timer_at(cx.time() - cx.time().rem_euclid(1_000) + 999),
            None => {}
        }
    }

    fn on_timer(&mut self, _: Timestamp, known: &Value<Known>, cx: &mut Context<'_, Self>) {
        let group = cx.key().0.clone();
        let news = known.update(cx, |known| known.take(group));
        if news.bids != [0; RANKS] {
            cx.emit(news);
        }
    }
}

struct AddUp<G>(std::marker::PhantomData<fn() -> G>);

impl<G> Default for AddUp<G> {
    fn default() -> Self {
        AddUp(std::marker::PhantomData)
    }
}

impl<G> Clone for AddUp<G> {
    fn clone(&self) -> Self {
        AddUp::default()
    }
}

impl<G: Key> Process for AddUp<G> {
    type Key = G;
    type In = News<G>;
    type Out = (G, Totals);
    type State = Value<Totals>;

    fn declare(&self, state: &mut Declare) -> Value<Totals> {
        state.value("totals")
    }

    fn on_record(&mut self, news: News<G>, totals: &Value<Totals>, cx: &mut Context<'_, Self>) {
        let now = totals.update(cx, |totals| {
            totals.add(&news);
            *totals
        });
        cx.emit((news.group, now));
    }
}

/// A row of q15; it replaces the one before it.
pub struct PerDay {
    day: Day,
    totals: Totals,
}

impl Row for PerDay {
    const COLUMNS: &'static str = "day:STRING,total_bids:BIGINT NOT NULL,rank1_bids:BIGINT NOT NULL,rank2_bids:BIGINT NOT NULL,rank3_bids:BIGINT NOT NULL,total_bidders:BIGINT NOT NULL,rank1_bidders:BIGINT NOT NULL,rank2_bidders:BIGINT NOT NULL,rank3_bidders:BIGINT NOT NULL,total_auctions:BIGINT NOT NULL,rank1_auctions:BIGINT NOT NULL,rank2_auctions:BIGINT NOT NULL,rank3_auctions:BIGINT NOT NULL";
    const KEY: &'static [usize] = &[0];

    fn write(&self, fields: &mut Fields) {
        fields.display(self.day);
        self.totals.write(fields);
    }
}

/// A row of q16; it replaces the one before it.
pub struct PerChannel {
    channel: CompactString,
    day: Day,
    totals: Totals,
}

impl Row for PerChannel {
    const COLUMNS: &'static str = "channel:STRING,day:STRING,minute:STRING,total_bids:BIGINT NOT NULL,rank1_bids:BIGINT NOT NULL,rank2_bids:BIGINT NOT NULL,rank3_bids:BIGINT NOT NULL,total_bidders:BIGINT NOT NULL,rank1_bidders:BIGINT NOT NULL,rank2_bidders:BIGINT NOT NULL,rank3_bidders:BIGINT NOT NULL,total_auctions:BIGINT NOT NULL,rank1_auctions:BIGINT NOT NULL,rank2_auctions:BIGINT NOT NULL,rank3_auctions:BIGINT NOT NULL";
    const KEY: &'static [usize] = &[0, 1];

    fn write(&self, fields: &mut Fields) {
        fields.text(&self.channel).display(self.day).display(Minute(self.totals.minute as u16));
        self.totals.write(fields);
    }
}
