//! The records of Nexmark: persons, auctions and bids of an auction house.

use millstream::prelude::*;
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;

use super::texts::{BidTexts, ShortTexts, Texts};

/// What happens in the auction house.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Somebody registers.
    Person(Box<Person>),
    /// Something is put up for auction.
    Auction(Box<Auction>),
    /// Somebody bids.
    Bid(Bid),
}

/// A person, who may bid and sell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Its number.
    pub id: i64,
    /// When it registered.
    pub at: Timestamp,
    /// Name, e-mail address, credit card, city, state, padding.
    pub texts: Texts<5>,
}

/// An auction.
#[derive(Clone, Debug, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Auction {
    /// Its number.
    pub id: i64,
    /// The first price that is asked.
    pub initial_bid: i64,
    /// The least price at which it is sold.
    pub reserve: i64,
    /// When it opened.
    pub at: Timestamp,
    /// The last moment at which a bid counts.
    pub expires: Timestamp,
    /// The person who sells.
    pub seller: i64,
    /// What kind of thing it is.
    pub category: i64,
    /// The thing, its description, padding.
    pub texts: Texts<2>,
}

/// A bid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bid {
    /// The auction that it is for.
    pub auction: i64,
    /// The person who bids.
    pub bidder: i64,
    /// The price offered.
    pub price: i64,
    /// When it was made.
    pub at: Timestamp,
    /// Channel, URL, padding.
    pub texts: BidTexts,
}

/// A bid as state keeps it.
#[derive(Clone, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct KeptBid {
    /// See [`Bid`].
    pub auction: i64,
    /// See [`Bid`].
    pub bidder: i64,
    /// See [`Bid`].
    pub price: i64,
    /// See [`Bid`].
    pub at: Timestamp,
    /// Channel, URL, padding.
    pub texts: ShortTexts,
}

impl From<&Bid> for KeptBid {
    #[inline]
    fn from(bid: &Bid) -> KeptBid {
        let Bid { auction, bidder, price, at, .. } = *bid;
        let texts = ShortTexts::of([bid.channel(), bid.url(), bid.extra()]);
        KeptBid { auction, bidder, price, at, texts }
    }
}

impl From<KeptBid> for Bid {
    #[inline]
    fn from(kept: KeptBid) -> Bid {
        let KeptBid { auction, bidder, price, at, texts } = kept;
        let texts = BidTexts::of([0, 1, 2].map(|i| texts.get(i)));
        Bid { auction, bidder, price, at, texts }
    }
}

impl Person {
    /// First and last name.
    pub fn name(&self) -> &str {
        self.texts.get(0)
    }

    /// Where the person lives.
    pub fn city(&self) -> &str {
        self.texts.get(3)
    }

    /// The state that the city is in, in two letters.
    pub fn state(&self) -> &str {
        self.texts.get(4)
    }
}

impl Auction {
    /// What is sold.
    pub fn item(&self) -> &str {
        self.texts.get(0)
    }

    /// A few words about it.
    pub fn description(&self) -> &str {
        self.texts.get(1)
    }

    /// Padding.
    pub fn extra(&self) -> &str {
        self.texts.get(2)
    }
}

impl Bid {
    /// Through which channel it came.
    pub fn channel(&self) -> &str {
        self.texts.channel()
    }

    /// The page that it was made on.
    pub fn url(&self) -> &str {
        self.texts.url()
    }

    /// Padding.
    pub fn extra(&self) -> &str {
        self.texts.extra()
    }
}

impl Event {
    /// When it happened.
    #[inline]
    pub fn at(&self) -> Timestamp {
        match self {
            Event::Person(person) => person.at,
            Event::Auction(auction) => auction.at,
            Event::Bid(bid) => bid.at,
        }
    }

    /// The bid, if it is one.
    #[inline]
    pub fn bid(self) -> Option<Bid> {
        match self {
            Event::Bid(bid) => Some(bid),
            _ => None,
        }
    }
}

/// An event as it is written in JSON, on one line: `type` says which of the fields count.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    date_time: Timestamp,
    #[serde(borrow)]
    extra: Cow<'a, str>,
    id: Option<i64>,
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    email_address: Option<Cow<'a, str>>,
    #[serde(borrow)]
    credit_card: Option<Cow<'a, str>>,
    #[serde(borrow)]
    city: Option<Cow<'a, str>>,
    #[serde(borrow)]
    state: Option<Cow<'a, str>>,
    #[serde(borrow)]
    item_name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    description: Option<Cow<'a, str>>,
    initial_bid: Option<i64>,
    reserve: Option<i64>,
    expires: Option<Timestamp>,
    seller: Option<i64>,
    category: Option<i64>,
    auction: Option<i64>,
    bidder: Option<i64>,
    price: Option<i64>,
    #[serde(borrow)]
    channel: Option<Cow<'a, str>>,
    #[serde(borrow)]
    url: Option<Cow<'a, str>>,
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Event, D::Error> {
        let line = Line::deserialize(from)?;
        let event = match &*line.kind {
            "person" => line.person().map(|person| Event::Person(Box::new(person))),
            "auction" => line.auction().map(|auction| Event::Auction(Box::new(auction))),
            "bid" => line.bid().map(Event::Bid),
            kind => Err(format!("`{kind}` is none of person, auction and bid")),
        };
        event.map_err(serde::de::Error::custom)
    }
}

/// A field that this kind of event must have.
fn field<T>(name: &str, value: Option<T>) -> Result<T, String> {
    value.ok_or_else(|| format!("the field `{name}` is missing"))
}

impl Line<'_> {
    fn person(&self) -> Result<Person, String> {
        let texts = Texts::of(&[
            field("name", self.name.as_deref())?,
            field("emailAddress", self.email_address.as_deref())?,
            field("creditCard", self.credit_card.as_deref())?,
            field("city", self.city.as_deref())?,
            field("state", self.state.as_deref())?,
            &self.extra,
        ]);
        Ok(Person { id: field("id", self.id)?, at: self.date_time, texts })
    }

    fn auction(&self) -> Result<Auction, String> {
        let texts = Texts::of(&[
            field("itemName", self.item_name.as_deref())?,
            field("description", self.description.as_deref())?,
            &self.extra,
        ]);
        Ok(Auction {
            id: field("id", self.id)?,
            initial_bid: field("initialBid", self.initial_bid)?,
            reserve: field("reserve", self.reserve)?,
            at: self.date_time,
            expires: field("expires", self.expires)?,
            seller: field("seller", self.seller)?,
            category: field("category", self.category)?,
            texts,
        })
    }

    fn bid(&self) -> Result<Bid, String> {
        let texts = BidTexts::of([
            field("channel", self.channel.as_deref())?,
            field("url", self.url.as_deref())?,
            &self.extra,
        ]);
        Ok(Bid {
            auction: field("auction", self.auction)?,
            bidder: field("bidder", self.bidder)?,
            price: field("price", self.price)?,
            at: self.date_time,
            texts,
        })
    }
}
