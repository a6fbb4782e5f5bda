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
        .key_by(|news| news.0.clone())
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

/// What there is of a group, or what is new.
#[derive(Clone, Copy, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Totals {
    bids: Counts,
    bidders: Counts,
    auctions: Counts,
    /// The latest minute of the day.
    minute: i64,
}

impl Totals {
    fn add(&mut self, other: &Totals) {
        let pairs = [
            (&mut self.bids, &other.bids),
            (&mut self.bidders, &other.bidders),
            (&mut self.auctions, &other.auctions),
        ];
        for (to, from) in pairs {
            to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
        }
        self.minute = self.minute.max(other.minute);
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
    /// The ranks that it was seen with, a bit each.
    ranks: u64,
    /// Bids that were not handed on yet.
    bids: Counts,
    minute: i64,
}

/// Bids that may wait.
const WAITING: i64 = 64;

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

impl<G: Key> TellApart<G> {
    /// What is new with `seen`, if it is to be handed on now, and whether something began to wait.
    fn note(known: &mut Known, seen: &Seen<G>) -> (Option<Totals>, bool) {
        let (ranks, bit) = (known.ranks, 1 << seen.rank);
        known.ranks |= bit;
        let mut first = Counts::default();
        first[0] = i64::from(ranks == 0);
        first[1 + seen.rank] = i64::from(ranks & bit == 0);
        let is_new = ranks & bit == 0;
        match seen.who {
            Who::Auction(_) => (is_new.then(|| Totals { auctions: first, ..Totals::default() }), false),
            Who::Bidder(_) => {
                known.bids[0] += 1;
                known.bids[1 + seen.rank] += 1;
                known.minute = known.minute.max(seen.minute.0.into());
                if !is_new && known.bids[0] < WAITING {
                    return (None, known.bids[0] == 1);
                }
                (Some(Totals { bidders: first, ..TellApart::<G>::waiting(known) }), false)
            }
        }
    }

    /// Takes what waits.
    fn waiting(known: &mut Known) -> Totals {
        Totals { bids: std::mem::take(&mut known.bids), minute: known.minute, ..Totals::default() }
    }
}

impl<G: Key> Process for TellApart<G> {
    type Key = (G, Who);
    type In = Seen<G>;
    type Out = (G, Totals);
    type State = Value<Known>;

    fn declare(&self, state: &mut Declare) -> Value<Known> {
        state.value("known")
    }

    fn on_record(&mut self, seen: Seen<G>, known: &Value<Known>, cx: &mut Context<'_, Self>) {
        let (news, waits) = known.update(cx, |known| TellApart::note(known, &seen));
        if waits {
            cx.timer_at(cx.time() - cx.time().rem_euclid(1_000) + 999);
        }
        if let Some(news) = news {
            cx.emit((seen.group, news));
        }
    }

    fn on_timer(&mut self, _: Timestamp, known: &Value<Known>, cx: &mut Context<'_, Self>) {
        let news = known.update(cx, TellApart::<G>::waiting);
        if news.bids[0] > 0 {
            cx.emit((cx.key().0.clone(), news));
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
    type In = (G, Totals);
    type Out = (G, Totals);
    type State = Value<Totals>;

    fn declare(&self, state: &mut Declare) -> Value<Totals> {
        state.value("totals")
    }

    fn on_record(&mut self, (group, news): (G, Totals), totals: &Value<Totals>, cx: &mut Context<'_, Self>) {
        let now = totals.update(cx, |totals| {
            totals.add(&news);
            *totals
        });
        cx.emit((group, now));
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
