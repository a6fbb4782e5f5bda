//! The generator: any event can be made alone, and the proportions are those of the standard one.

use millstream_bench::nexmark::event::Event;
use millstream_bench::nexmark::generate::Generate;

const EVENTS: u64 = 100_000;

#[test]
fn an_event_depends_on_its_number_and_the_seed_alone() {
    let (one, same, other) = (Generate::new(7, 500), Generate::new(7, 500), Generate::new(8, 500));
    let backwards: Vec<_> = (0..1_000).rev().map(|n| same.event(n)).collect();
    assert!((0..1_000).map(|n| one.event(n)).eq(backwards.into_iter().rev()));
    assert!((0..1_000).any(|n| one.event(n) != other.event(n)));
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
