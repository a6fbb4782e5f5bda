//! The generator: any event can be made alone, and the proportions are those of the standard one.

use std::fmt::Write;

use millstream_bench::nexmark::event::Event;
use millstream_bench::nexmark::generate::Generate;
use millstream_storage::hash::stable_hash;

const EVENTS: u64 = 100_000;

#[test]
fn an_event_depends_on_its_number_and_the_seed_alone() {
    let (one, same, other) = (Generate::new(7, 500), Generate::new(7, 500), Generate::new(8, 500));
    let backwards: Vec<_> = (0..1_000).rev().map(|n| same.event(n)).collect();
    assert!((0..1_000).map(|n| one.event(n)).eq(backwards.into_iter().rev()));
    assert!((0..1_000).any(|n| one.event(n) != other.event(n)));
}

/// Every field of an event.
fn write(event: &Event, out: &mut String) {
    match event {
        Event::Person(p) => {
            let texts: Vec<_> = (0..6).map(|i| p.texts.get(i)).collect();
            writeln!(out, "p{},{},{}", p.id, p.at, texts.join(","))
        }
        Event::Auction(a) => {
            write!(out, "a{},{},{},{},{}", a.id, a.initial_bid, a.reserve, a.at, a.expires)
                .expect("a string takes all");
            let texts = [a.item(), a.description(), a.extra()].join(",");
            writeln!(out, ",{},{},{texts}", a.seller, a.category)
        }
        Event::Bid(b) => {
            let texts = [b.channel(), b.url(), b.extra()].join(",");
            writeln!(out, "b{},{},{},{},{texts}", b.auction, b.bidder, b.price, b.at)
        }
    }
    .expect("a string takes all");
}

/// Measurements of different commits are of the same events, whatever registers made them.
#[test]
fn the_events_of_a_seed_never_change() {
    let generate = Generate::new(42, 500);
    for events in [generate.clone(), generate.narrow()] {
        let mut all = String::new();
        for n in (0..20_000).chain(1_000_000_000..1_000_001_000) {
            write(&events.event(n), &mut all);
        }
        assert_eq!((all.len(), stable_hash(all.as_bytes())), (4_098_665, 0x24cb_d4b5_5cc4_1f46));
    }
}

#[test]
fn events_have_the_proportions_and_the_times_of_the_standard_generator() {
    let generate = Generate::new(42, 500);
    let (mut persons, mut auctions, mut bids, mut bytes) = (0, 0, 0, 0);
    for n in 0..EVENTS {
        let event = generate.event(n);
        assert_eq!(event.at(), 1_700_000_000_000 + n as i64 * 2);
        match event {
            Event::Person(person) => {
                assert_eq!(person.id, 1_000 + persons);
                persons += 1;
            }
            Event::Auction(auction) => {
                assert_eq!(auction.id, 1_000 + auctions);
                assert!(auction.expires > auction.at && (10..15).contains(&auction.category));
                assert!(auction.reserve > auction.initial_bid && auction.seller <= 1_000 + persons + 10);
                auctions += 1;
            }
            Event::Bid(bid) => {
                assert!((1_000..=1_000 + auctions + 10).contains(&bid.auction), "auction {}", bid.auction);
                assert!((2_000..=2_000 + persons + 10).contains(&bid.bidder), "bidder {}", bid.bidder);
                assert!((100..=100_000_000).contains(&bid.price) && bid.url().starts_with("https://"));
                bytes += 32 + bid.extra().len();
                bids += 1;
            }
        }
    }
    assert_eq!((persons, auctions, bids), (2_000, 6_000, 92_000));
    assert!((97..103).contains(&(bytes / bids)), "{} bytes a bid", bytes / bids);
}

#[test]
fn half_of_the_bids_are_on_hot_auctions_and_through_hot_channels() {
    let generate = Generate::new(42, 500);
    let bids: Vec<_> = (0..EVENTS).filter_map(|n| generate.event(n).bid()).collect();
    let share = |is: &dyn Fn(&_) -> bool| bids.iter().filter(|bid| is(bid)).count() * 100 / bids.len();
    assert!((49..54).contains(&share(&|bid| bid.auction % 100 == 0)), "hot auctions");
    assert!((74..79).contains(&share(&|bid| bid.bidder % 100 == 1)), "hot bidders");
    assert!((49..52).contains(&share(&|bid| !bid.channel().starts_with("channel-"))), "hot channels");
    assert!((32..35).contains(&share(&|bid| bid.price < 10_000)), "a third of the range of the logarithm");
    assert!((94..97).contains(&share(&|bid| {
        bid.url().contains("&channel_id=") || !bid.channel().starts_with("channel-")
    })));
}
