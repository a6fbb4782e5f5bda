//! Events made from their number alone, with the proportions of the standard generator.
//!
//! Event `n` belongs to epoch `n / 50`, and is a person, one of three auctions or one of 46 bids. All its numbers are
//! drawn from a stream of its own: SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014)
//! begun from the seed and `n`. So any event can be made on any core, and again after a restart.

use std::fmt::Write;
use std::sync::Arc;

use super::event::{Auction, Bid, Event, Person};
use super::texts::Texts;

/// Events of an epoch: the first is a person, the next three are auctions, the others bids.
const EPOCH: u64 = 50;
const AUCTIONS: u64 = 3;

/// The first person and the first auction.
const FIRST: i64 = 1_000;
/// Bidders are numbered further on.
const FIRST_BIDDER: i64 = 2_000;
/// Every so many there is a hot one.
const HOT: i64 = 100;
/// Auctions that are open at a time, and how far ahead of them bids are made.
const OPEN: i64 = 100;
const AHEAD: i64 = 10;
/// People who bid and sell at a time.
const ACTIVE: i64 = 1_000;

/// When event 0 happened.
const BASE: i64 = 1_700_000_000_000;

const CHANNELS: usize = 10_000;
const HOT_CHANNELS: [&str; 4] = ["Google", "Facebook", "Baidu", "Apple"];

const FIRST_NAMES: [&str; 11] =
    ["Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate", "Julie", "Sarah", "Deiter", "Walter"];
const LAST_NAMES: [&str; 9] =
    ["Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton", "Smith", "Jones", "Noris"];
const CITIES: [&str; 10] = [
    "Phoenix",
    "Los Angeles",
    "San Francisco",
    "Boise",
    "Portland",
    "Bend",
    "Redmond",
    "Seattle",
    "Kent",
    "Cheyenne",
];
const STATES: [&str; 6] = ["AZ", "CA", "ID", "OR", "WA", "WY"];

/// Makes events. Cheap to clone.
#[derive(Clone)]
pub struct Generate {
    seed: u64,
    /// Events per second of event time.
    rate: u64,
    channels: Arc<[Channel]>,
}

/// A channel and its page, one behind the other.
struct Channel {
    text: Box<str>,
    name: u32,
}

impl Generate {
    /// A generator of `rate` events per second of event time.
    pub fn new(seed: u64, rate: u64) -> Generate {
        let mut draw = Draw::of(seed, u64::MAX);
        let hot = HOT_CHANNELS.map(|name| Channel::new(name, &page(&mut draw)));
        let other = (0..CHANNELS as u32).map(|number| {
            let mut url = page(&mut draw);
            if draw.below(10) > 0 {
                write!(url, "&channel_id={}", number.reverse_bits() & 0x7fff_ffff)
                    .expect("a string takes all");
            }
            Channel::new(&format!("channel-{number}"), &url)
        });
        Generate { seed, rate, channels: hot.into_iter().chain(other).collect() }
    }

    /// Event number `n`.
    #[inline]
    pub fn event(&self, n: u64) -> Event {
        let draw = Draw::of(self.seed, n);
        match n % EPOCH {
            0 => Event::Person(Box::new(self.person(n, draw))),
            1..=AUCTIONS => Event::Auction(Box::new(self.auction(n, draw))),
            _ => Event::Bid(self.bid(n, draw)),
        }
    }

    fn at(&self, n: u64) -> i64 {
        BASE + (n * 1_000 / self.rate) as i64
    }

    #[inline]
    fn bid(&self, n: u64, mut draw: Draw) -> Bid {
        let (auctions, people) = (last_auction(n), last_person(n));
        let auction = match draw.below(2) {
            0 => {
                let first = (auctions - OPEN).max(0);
                first + draw.below((auctions - first + 1 + AHEAD) as u64) as i64
            }
            _ => auctions / HOT * HOT,
        };
        let bidder = match draw.below(4) {
            0 => active_person(people, &mut draw),
            _ => people / HOT * HOT + 1,
        };
        let price = draw.price();
        let channel = match draw.below(2) {
            0 => HOT_CHANNELS.len() as u64 + draw.below(CHANNELS as u64),
            _ => draw.below(HOT_CHANNELS.len() as u64),
        };
        let Channel { text, name } = &self.channels[channel as usize];
        // As long as makes 100 bytes of the record, with its four numbers.
        let mut letters = [0; 128];
        let extra = draw.about(100 - 32);
        draw.letters(&mut letters[..extra.next_multiple_of(8)]);
        let mut all = String::with_capacity(text.len() + extra);
        all.push_str(text);
        all.push_str(ascii(&letters[..extra]));
        let texts = Texts::joined(all.into_boxed_str(), [*name, text.len() as u32]);
        Bid { auction: FIRST + auction, bidder: FIRST_BIDDER + bidder, price, at: self.at(n), texts }
    }

    fn auction(&self, n: u64, mut draw: Draw) -> Auction {
        let people = last_person(n);
        let seller = match draw.below(4) {
            0 => active_person(people, &mut draw),
            _ => people / HOT * HOT,
        };
        let (at, initial_bid) = (self.at(n), draw.price());
        // The time in which as many auctions are opened as are open at a time.
        let span = self.at(n + OPEN as u64 * EPOCH / AUCTIONS) - at;
        let (item, description) = (draw.words(20), draw.words(100));
        let extra = draw.about(500_usize.saturating_sub(8 * 6 + item.len() + description.len()));
        let mut letters = [0; 640];
        draw.letters(&mut letters[..extra.next_multiple_of(8)]);
        Auction {
            id: FIRST + last_auction(n),
            initial_bid,
            reserve: initial_bid + draw.price(),
            at,
            expires: at + 1 + draw.below((2 * span).max(1) as u64) as i64,
            seller: FIRST + seller,
            category: 10 + draw.below(5) as i64,
            texts: Texts::of(&[&item, &description, ascii(&letters[..extra])]),
        }
    }

    fn person(&self, n: u64, mut draw: Draw) -> Person {
        let name = format!("{} {}", draw.one_of(&FIRST_NAMES), draw.one_of(&LAST_NAMES));
        let email = format!("{}@{}.com", draw.words(7), draw.words(5));
        let [a, b, c, d] = std::array::from_fn(|_| draw.below(10_000));
        let card = format!("{a:04} {b:04} {c:04} {d:04}");
        let (city, state) = (draw.one_of(&CITIES), draw.one_of(&STATES));
        let extra =
            draw.about(200_usize.saturating_sub(8 + name.len() + email.len() + card.len() + city.len() + 2));
        let mut letters = [0; 256];
        draw.letters(&mut letters[..extra.next_multiple_of(8)]);
        let texts = Texts::of(&[&name, &email, &card, city, state, ascii(&letters[..extra])]);
        Person { id: FIRST + last_person(n), at: self.at(n), texts }
    }
}

impl Channel {
    fn new(name: &str, url: &str) -> Channel {
        Channel { text: format!("{name}{url}").into(), name: name.len() as u32 }
    }
}

/// A page of the auction house.
fn page(draw: &mut Draw) -> String {
    let [a, b, c] = std::array::from_fn(|_| draw.words(5).replace(' ', "_"));
    format!("https://www.nexmark.com/{a}/{b}/{c}/item.htm?query=1")
}

/// Letters as text.
fn ascii(letters: &[u8]) -> &str {
    std::str::from_utf8(letters).expect("letters are ASCII")
}

/// The last person that there is at event `n`, from 0.
fn last_person(n: u64) -> i64 {
    (n / EPOCH) as i64
}

/// The last auction that there is at event `n`, from 0.
fn last_auction(n: u64) -> i64 {
    let (epoch, rest) = ((n / EPOCH) as i64, (n % EPOCH) as i64);
    match rest as u64 {
        // Before the first auction bids are made on it all the same.
        0 => (3 * (epoch - 1) + 2).max(0),
        1..=AUCTIONS => 3 * epoch + rest - 1,
        _ => 3 * epoch + 2,
    }
}

/// One of the people who are active, or is about to be there.
fn active_person(last: i64, draw: &mut Draw) -> i64 {
    let people = last + 1;
    let active = people.min(ACTIVE);
    people - active + draw.below((active + AHEAD) as u64) as i64
}

/// The random numbers of an event.
struct Draw(u64);

impl Draw {
    #[inline]
    fn of(seed: u64, n: u64) -> Draw {
        // Apart by more than an event ever draws.
        Draw(mix(seed ^ n.wrapping_mul(0xD1B5_4A32_D192_ED03)))
    }

    #[inline]
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// From 0 to `n − 1`.
    #[inline]
    fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u64
    }

    fn one_of(&mut self, names: &[&'static str]) -> &'static str {
        names[self.below(names.len() as u64) as usize]
    }

    /// From 100 to 100,000,000, its logarithm evenly spread.
    #[inline]
    fn price(&mut self) -> i64 {
        let u = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        ((u * 6.0 * std::f64::consts::LOG2_10).exp2() * 100.0).round() as i64
    }

    /// A length within a fifth of `n`.
    #[inline]
    fn about(&mut self, n: usize) -> usize {
        let fifth = (n as f64 * 0.2).round() as usize;
        n - fifth + self.below(2 * fifth.max(1) as u64) as usize
    }

    /// Fills `to`, of a length that is a multiple of eight, with letters, eight from each number: up to 25 steps from
    /// `a`, all up or all down.
    #[inline]
    fn letters(&mut self, to: &mut [u8]) {
        let (eights, _) = to.as_chunks_mut::<8>();
        for eight in eights {
            let drawn = self.next();
            let up = drawn & 1 == 1;
            *eight = drawn.to_le_bytes().map(|byte| {
                let step = ((u16::from(byte) * 26) >> 8) as u8;
                if up { b'a' + step } else { b'a' - step }
            });
        }
    }

    /// Three letters or more, below `max`, with spaces in between.
    fn words(&mut self, max: u64) -> String {
        let len = 3 + self.below(max - 3);
        let mut text = String::with_capacity(len as usize);
        for _ in 0..len.div_ceil(8) {
            // 16 bits make a letter; another number says where spaces are.
            let (letters, spaces) = ([self.next(), self.next()], self.next());
            for at in 0..(len as usize - text.len()).min(8) {
                let letter = ((letters[at / 4] >> (at % 4 * 16) & 0xffff) * 26) >> 16;
                let is_space = ((spaces >> (at * 8) & 0xff) * 13) >> 8 == 0;
                text.push(if is_space { ' ' } else { char::from(b'a' + letter as u8) });
            }
        }
        text.trim().to_owned()
    }
}

/// SplitMix64's finaliser.
#[inline]
fn mix(n: u64) -> u64 {
    let mut z = n;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
