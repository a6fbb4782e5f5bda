//! Events made from their number alone, with the proportions of the standard generator.
//!
//! Event `n` belongs to epoch `n / 50`, and is a person, one of three auctions or one of 46 bids. All its numbers are
//! drawn from a stream of its own, which is begun from the seed and `n`. So any event can be made on any core, and again
//! after a restart.

mod draw;
mod exp;
mod line;
mod pages;

use draw::{Draw, scale};
use line::Line;

use super::event::{Auction, Bid, Event, Person};
use super::texts::{BidTexts, EXTRA, Page, Texts};

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
    pages: &'static [Page],
    /// Whether the processor multiplies several 64-bit numbers at once.
    is_wide: bool,
}

impl Generate {
    /// A generator of `rate` events per second of event time. What all generators of a seed share stays in memory.
    pub fn new(seed: u64, rate: u64) -> Generate {
        Generate { seed, rate, pages: pages::pages(seed), is_wide: has_wide_registers() }
    }

    /// The same, without registers that not every processor has.
    pub fn narrow(self) -> Generate {
        Generate { is_wide: false, ..self }
    }

    /// Event number `n`.
    #[inline]
    pub fn event(&self, n: u64) -> Event {
        #[cfg(target_arch = "x86_64")]
        if self.is_wide {
            // SAFETY: the processor has what the function needs; `new` has asked it.
            return unsafe { self.event_by_wide_registers(n) };
        }
        self.make(n)
    }

    /// As [`Generate::make`], made of several numbers at a time by a processor that can.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    fn event_by_wide_registers(&self, n: u64) -> Event {
        self.make(n)
    }

    #[inline(always)]
    fn make(&self, n: u64) -> Event {
        let draw = Draw::of(self.seed, n);
        match n % EPOCH {
            0 => Event::Person(Box::new(self.person(n, draw))),
            1..=AUCTIONS => Event::Auction(Box::new(self.auction(n, draw))),
            _ => Event::Bid(self.bid(n, draw)),
        }
    }

    #[inline(always)]
    fn at(&self, n: u64) -> i64 {
        BASE + (n * 1_000 / self.rate) as i64
    }

    #[inline(always)]
    fn bid(&self, n: u64, mut draw: Draw) -> Bid {
        // Behind the auctions of its epoch.
        let people = last_person(n);
        let auctions = AUCTIONS as i64 * people + AUCTIONS as i64 - 1;
        let is_hot = draw.below(2) == 1;
        let first = (auctions - OPEN).max(0);
        let other = first + scale(draw.next_if(!is_hot), (auctions - first + 1 + AHEAD) as u64) as i64;
        let auction = select(is_hot, auctions / HOT * HOT, other);
        let bidder = some_person(people, people / HOT * HOT + 1, &mut draw);
        let price = draw.price();
        let is_hot = draw.below(2) == 1;
        let drawn = draw.next();
        let hot = scale(drawn, pages::HOT.len() as u64);
        let other = pages::HOT.len() as u64 + scale(drawn, u64::from(pages::OTHER));
        let page = &self.pages[select(is_hot, hot as i64, other as i64) as usize];
        // As long as makes 100 bytes of the record, with its four numbers.
        let extra = draw.about(100 - 32);
        // Letters that are not needed cost less than finding out that they are not.
        let mut letters = [0; EXTRA.next_multiple_of(8)];
        draw.letters(&mut letters);
        let texts = BidTexts::made(page, &letters, extra);
        Bid { auction: FIRST + auction, bidder: FIRST_BIDDER + bidder, price, at: self.at(n), texts }
    }

    #[inline(always)]
    fn auction(&self, n: u64, mut draw: Draw) -> Auction {
        let people = last_person(n);
        let seller = some_person(people, people / HOT * HOT, &mut draw);
        let (at, initial_bid) = (self.at(n), draw.price());
        // The time in which as many auctions are opened as are open at a time.
        let span = self.at(n + OPEN as u64 * EPOCH / AUCTIONS) - at;
        let mut line = Line::<768>::new();
        draw.words(20, &mut line);
        let item = line.len();
        draw.words(100, &mut line);
        let description = line.len();
        let extra = draw.about(500 - 8 * 6 - description);
        draw.letters(line.rest(extra.next_multiple_of(8)));
        line.take(extra);
        Auction {
            id: FIRST + last_auction(n),
            initial_bid,
            reserve: initial_bid + draw.price(),
            at,
            expires: at + 1 + draw.below((2 * span).max(1) as u64) as i64,
            seller: FIRST + seller,
            category: 10 + draw.below(5) as i64,
            texts: Texts::joined(line.text(), [item, description]),
        }
    }

    #[inline(always)]
    fn person(&self, n: u64, mut draw: Draw) -> Person {
        let mut line = Line::<320>::new();
        line.push(draw.one_of(&FIRST_NAMES));
        line.push(" ");
        line.push(draw.one_of(&LAST_NAMES));
        let name = line.len();
        draw.words(7, &mut line);
        line.push("@");
        draw.words(5, &mut line);
        line.push(".com");
        let email = line.len();
        line.push_four_digits(draw.below(10_000));
        for _ in 1..4 {
            line.push(" ");
            line.push_four_digits(draw.below(10_000));
        }
        let card = line.len();
        let (city, state) = (draw.one_of(&CITIES), draw.one_of(&STATES));
        line.push(city);
        line.push(state);
        // Its other field is a number of 8 bytes.
        let extra = draw.about(200 - 8 - line.len());
        let city = card + city.len();
        let state = line.len();
        draw.letters(line.rest(extra.next_multiple_of(8)));
        line.take(extra);
        let texts = Texts::joined(line.text(), [name, email, card, city, state]);
        Person { id: FIRST + last_person(n), at: self.at(n), texts }
    }
}

/// Whether the processor multiplies several 64-bit numbers at once.
fn has_wide_registers() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// One of two numbers, without a branch: half of the choices would be guessed wrongly.
#[inline(always)]
fn select(is_first: bool, first: i64, second: i64) -> i64 {
    second ^ ((first ^ second) & i64::from(is_first).wrapping_neg())
}

/// The last person that there is at event `n`, from 0.
#[inline(always)]
fn last_person(n: u64) -> i64 {
    (n / EPOCH) as i64
}

/// The last auction that there is at event `n`, which is an auction, from 0.
#[inline(always)]
fn last_auction(n: u64) -> i64 {
    AUCTIONS as i64 * (n / EPOCH) as i64 + (n % EPOCH) as i64 - 1
}

/// With ¾ the `hot` person, else one of those who are active, or are about to be there.
#[inline(always)]
fn some_person(last: i64, hot: i64, draw: &mut Draw) -> i64 {
    let is_hot = draw.below(4) != 0;
    let people = last + 1;
    let active = people.min(ACTIVE);
    let other = people - active + scale(draw.next_if(!is_hot), (active + AHEAD) as u64) as i64;
    select(is_hot, hot, other)
}
