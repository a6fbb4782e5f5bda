//! Queries on bids one by one: projections and filters.

use std::ops::Range;

use millstream::prelude::*;
use millstream::stream::chain::Chain;

use super::places::places;
use crate::nexmark::calendar::{Day, Minute, hour};
use crate::nexmark::event::{Bid, Event};
use crate::nexmark::input::Events;
use crate::nexmark::table::{Fields, Row};

/// The bids alone.
pub(super) fn bids(events: Events) -> Stream<Bid, impl Chain<In = Event, Out = Bid>> {
    events.flat_map(Event::bid)
}

/// Every bid as it is.
pub fn q0(events: Events) -> Stream<Passed, impl Chain<Out = Passed>> {
    bids(events).map(Passed)
}

/// A bid of q0.
pub struct Passed(Bid);

impl Row for Passed {
    const COLUMNS: &'static str =
        "auction:BIGINT,bidder:BIGINT,price:BIGINT,dateTime:TIMESTAMP(3) *ROWTIME*,extra:STRING";

    fn write(&self, fields: &mut Fields) {
        let Passed(bid) = self;
        fields.int(bid.auction).int(bid.bidder).int(bid.price).int(bid.at).text(bid.extra());
    }
}

/// Every bid with its price in another currency.
pub fn q1(events: Events) -> Stream<Converted, impl Chain<Out = Converted>> {
    bids(events).map(|bid| Converted { thousandths: in_euro(bid.price), bid })
}

/// A price of so many dollars, in thousandths of a euro.
fn in_euro(dollars: i64) -> i128 {
    i128::from(dollars) * 908
}

/// A bid of q1.
pub struct Converted {
    bid: Bid,
    thousandths: i128,
}

impl Row for Converted {
    const COLUMNS: &'static str =
        "auction:BIGINT,bidder:BIGINT,price:DECIMAL(23, 3),dateTime:TIMESTAMP(3) *ROWTIME*,extra:STRING";

    fn write(&self, fields: &mut Fields) {
        let Converted { bid, thousandths } = self;
        fields.int(bid.auction).int(bid.bidder).thousandths(*thousandths).int(bid.at).text(bid.extra());
    }
}

/// The bids on some auctions.
pub fn q2(events: Events) -> Stream<Picked, impl Chain<Out = Picked>> {
    bids(events)
        .filter(|bid| bid.auction % 123 == 0)
        .map(|bid| Picked { auction: bid.auction, price: bid.price })
}

/// A bid of q2.
pub struct Picked {
    auction: i64,
    price: i64,
}

impl Row for Picked {
    const COLUMNS: &'static str = "auction:BIGINT,price:BIGINT";

    fn write(&self, fields: &mut Fields) {
        fields.int(self.auction).int(self.price);
    }
}

/// Every bid with the day and the minute by which a lake of files would be partitioned.
pub fn q10(events: Events) -> Stream<Partitioned, impl Chain<Out = Partitioned>> {
    bids(events).map(|bid| Partitioned { day: Day::of(bid.at), minute: Minute::of(bid.at), bid })
}

/// A bid of q10.
pub struct Partitioned {
    bid: Bid,
    day: Day,
    minute: Minute,
}

impl Row for Partitioned {
    const COLUMNS: &'static str = "auction:BIGINT,bidder:BIGINT,price:BIGINT,dateTime:TIMESTAMP(3) *ROWTIME*,extra:STRING,EXPR$5:STRING,EXPR$6:STRING";

    fn write(&self, fields: &mut Fields) {
        let Partitioned { bid, day, minute } = self;
        fields.int(bid.auction).int(bid.bidder).int(bid.price).int(bid.at).text(bid.extra());
        fields.display(day).display(minute);
    }
}

/// The bids in a range of prices, with the time of day and how often a letter occurs.
pub fn q14(events: Events) -> Stream<Judged, impl Chain<Out = Judged>> {
    bids(events)
        .filter(|bid| (1_000_000_001..50_000_000_000).contains(&in_euro(bid.price)))
        .map(|bid| Judged { time: time_of_day(bid.at), letters: count_char(bid.extra(), b'c'), bid })
}

fn time_of_day(at: Timestamp) -> &'static str {
    match hour(at) {
        8..=18 => "dayTime",
        ..=6 | 20.. => "nightTime",
        _ => "otherTime",
    }
}

fn count_char(text: &str, letter: u8) -> i64 {
    text.bytes().filter(|&byte| byte == letter).count() as i64
}

/// A bid of q14.
pub struct Judged {
    bid: Bid,
    time: &'static str,
    letters: i64,
}

impl Row for Judged {
    const COLUMNS: &'static str = "auction:BIGINT,bidder:BIGINT,price:DECIMAL(23, 3),bidTimeType:VARCHAR(9) NOT NULL,dateTime:TIMESTAMP(3) *ROWTIME*,extra:STRING,c_counts:BIGINT NOT NULL";

    fn write(&self, fields: &mut Fields) {
        let Judged { bid, time, letters } = self;
        fields.int(bid.auction).int(bid.bidder).thousandths(in_euro(bid.price)).text(time);
        fields.int(bid.at).text(bid.extra()).int(*letters);
    }
}

/// The bids with a number for their channel, from its name or from the URL.
pub fn q21(events: Events) -> Stream<Channelled, impl Chain<Out = Channelled>> {
    bids(events).flat_map(|bid| {
        let id = match known_channel(bid.channel()) {
            Some(number) => ChannelId::Known(number),
            None => ChannelId::InUrl(channel_in(bid.url())?),
        };
        Some(Channelled { bid, id })
    })
}

fn known_channel(name: &str) -> Option<&'static str> {
    let known = [("apple", "0"), ("google", "1"), ("facebook", "2"), ("baidu", "3")];
    let (_, number) = known.iter().find(|(known, _)| name.eq_ignore_ascii_case(known))?;
    Some(number)
}

/// Where in `url` the channel's number is: behind the first `channel_id=` that opens it or follows a `&`.
fn channel_in(url: &str) -> Option<Range<usize>> {
    const MARK: &[u8] = b"channel_id=";
    let is_marked = |from: &usize| url.as_bytes()[*from..].starts_with(MARK);
    let mut parts = std::iter::once(0).chain(places(url, b'&').map(|at| at + 1));
    let start = parts.find(is_marked)? + MARK.len();
    // The next part begins behind another `&`.
    let end = parts.next().map_or(url.len(), |next| next - 1);
    Some(start..end)
}

/// A bid of q21.
pub struct Channelled {
    bid: Bid,
    id: ChannelId,
}

enum ChannelId {
    Known(&'static str),
    InUrl(Range<usize>),
}

impl Row for Channelled {
    const COLUMNS: &'static str =
        "auction:BIGINT,bidder:BIGINT,price:BIGINT,channel:STRING,channel_id:STRING";

    fn write(&self, fields: &mut Fields) {
        let Channelled { bid, id } = self;
        fields.int(bid.auction).int(bid.bidder).int(bid.price).text(bid.channel());
        fields.text(match id {
            ChannelId::Known(number) => number,
            ChannelId::InUrl(range) => &bid.url()[range.clone()],
        });
    }
}

/// The bids with the directories of their URL.
pub fn q22(events: Events) -> Stream<Located, impl Chain<Out = Located>> {
    bids(events).map(|bid| {
        let directories = directories(bid.url());
        Located { bid, directories }
    })
}

/// Where a part of a URL begins and ends.
type Part = (u32, u32);

/// The parts of `url` behind the third, fourth and fifth slash.
fn directories(url: &str) -> [Option<Part>; 3] {
    let mut slashes = places(url, b'/').map(|at| at as u32).skip(2);
    let mut before = slashes.next();
    std::array::from_fn(|_| {
        let start = before? + 1;
        before = slashes.next();
        Some((start, before.unwrap_or(url.len() as u32)))
    })
}

/// A bid of q22.
pub struct Located {
    bid: Bid,
    directories: [Option<Part>; 3],
}

impl Row for Located {
    const COLUMNS: &'static str =
        "auction:BIGINT,bidder:BIGINT,price:BIGINT,channel:STRING,dir1:STRING,dir2:STRING,dir3:STRING";

    fn write(&self, fields: &mut Fields) {
        let Located { bid, directories } = self;
        fields.int(bid.auction).int(bid.bidder).int(bid.price).text(bid.channel());
        for range in directories {
            fields.text_or_null(range.map(|(start, end)| &bid.url()[start as usize..end as usize]));
        }
    }
}
