//! q3, q8: persons beside the auctions that they open.

use std::collections::BTreeSet;

use millstream::prelude::*;
use millstream::stream::chain::Chain;

use crate::nexmark::event::{Event, Person};
use crate::nexmark::input::Events;
use crate::nexmark::table::{Fields, Row};
use crate::nexmark::texts::Texts;

/// Who sells things of category 10 in three states.
pub fn q3(events: Events) -> Stream<LocalSeller, impl Chain<Out = LocalSeller>> {
    events
        .flat_map(|event| match event {
            Event::Person(person) if ["OR", "ID", "CA"].contains(&person.state()) => {
                Some(Local::Person(person))
            }
            Event::Auction(auction) if auction.category == 10 => {
                Some(Local::Auction { seller: auction.seller, id: auction.id })
            }
            _ => None,
        })
        .key_by(|local| match local {
            Local::Person(person) => person.id,
            Local::Auction { seller, .. } => *seller,
        })
        .process("local sellers", LocalSellers)
}

/// What q3 joins.
enum Local {
    Person(Box<Person>),
    Auction { seller: i64, id: i64 },
}

/// All persons and auctions of a key: each may still meet others.
struct Sides {
    /// Hardly ever more than one.
    persons: Value<Vec<Address>>,
    auctions: List<i64>,
}

/// Name, city and state.
type Address = Texts<2>;

#[derive(Clone)]
struct LocalSellers;

impl Process for LocalSellers {
    type Key = i64;
    type In = Local;
    type Out = LocalSeller;
    type State = Sides;

    fn declare(&self, state: &mut Declare) -> Sides {
        Sides { persons: state.value("persons"), auctions: state.list("auctions") }
    }

    fn on_record(&mut self, local: Local, sides: &Sides, cx: &mut Context<'_, Self>) {
        match local {
            Local::Person(person) => {
                let address = Address::of(&[person.name(), person.city(), person.state()]);
                sides.persons.update(cx, |persons| persons.push(address.clone()));
                for id in sides.auctions.load(cx) {
                    cx.emit(LocalSeller { address: address.clone(), id });
                }
            }
            Local::Auction { id, .. } => {
                sides.auctions.push(cx, &id);
                for address in sides.persons.load(cx).unwrap_or_default() {
                    cx.emit(LocalSeller { address, id });
                }
            }
        }
    }
}

/// A row of q3.
pub struct LocalSeller {
    address: Address,
    id: i64,
}

impl Row for LocalSeller {
    const COLUMNS: &'static str = "name:STRING,city:STRING,state:STRING,id:BIGINT";

    fn write(&self, fields: &mut Fields) {
        let [name, city, state] = [0, 1, 2].map(|i| self.address.get(i));
        fields.text(name).text(city).text(state).int(self.id);
    }
}

/// The length of q8's windows, in milliseconds.
const LENGTH: i64 = 10_000;

/// Who registered and opened an auction within the same window.
pub fn q8(events: Events) -> Stream<NewSeller, impl Chain<Out = NewSeller>> {
    events
        .flat_map(|event| match event {
            Event::Person(person) => Some(Active { id: person.id, at: person.at, person: Some(person) }),
            Event::Auction(auction) => Some(Active { id: auction.seller, at: auction.at, person: None }),
            Event::Bid(_) => None,
        })
        .key_by(|active| active.id)
        .process("new sellers", NewSellers)
}

/// A person who registered or, if it is not there, opened an auction.
struct Active {
    id: i64,
    at: Timestamp,
    person: Option<Box<Person>>,
}

/// What is known of a person in a window.
#[derive(Clone, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct Activity {
    names: BTreeSet<String>,
    sells: bool,
}

#[derive(Clone)]
struct NewSellers;

impl Process for NewSellers {
    type Key = i64;
    type In = Active;
    type Out = NewSeller;
    /// By the start of the window.
    type State = Map<i64, Activity>;

    fn declare(&self, state: &mut Declare) -> Map<i64, Activity> {
        state.map("windows")
    }

    fn on_record(&mut self, active: Active, windows: &Map<i64, Activity>, cx: &mut Context<'_, Self>) {
        let start = active.at - active.at.rem_euclid(LENGTH);
        let last = start + LENGTH - 1;
        if last <= cx.watermark() {
            return;
        }
        let known = windows.get(cx, &start);
        if known.is_some_and(|known| known.sells && active.person.is_none()) {
            return;
        }
        let is_new = known.is_none();
        windows.update(cx, &start, |activity| match active.person {
            Some(person) => drop(activity.names.insert(person.name().to_owned())),
            None => activity.sells = true,
        });
        if is_new {
            cx.timer_at(last);
        }
    }

    fn on_timer(&mut self, at: Timestamp, windows: &Map<i64, Activity>, cx: &mut Context<'_, Self>) {
        let start = at + 1 - LENGTH;
        let Some(Activity { names, sells: true }) = windows.take(cx, &start) else { return };
        for name in names {
            cx.emit(NewSeller { id: *cx.key(), name, start });
        }
    }
}

/// A row of q8.
pub struct NewSeller {
    id: i64,
    name: String,
    start: Timestamp,
}

impl Row for NewSeller {
    const COLUMNS: &'static str = "id:BIGINT,name:STRING,starttime:TIMESTAMP(3) NOT NULL";

    fn write(&self, fields: &mut Fields) {
        fields.int(self.id).text(&self.name).int(self.start);
    }
}
