//! Against plain code over a vector, for queries of which Flink's result is not there.

use std::collections::BTreeMap;

use millstream_bench::nexmark::event::{Auction, Bid, Event};
use millstream_bench::nexmark::queries::Query;

use crate::{Order, assert_same, events, table};

fn bids(order: Order) -> Vec<Bid> {
    events(order).into_iter().filter_map(Event::bid).collect()
}

fn auctions(order: Order) -> BTreeMap<i64, Auction> {
    let auction = |event| match event {
        Event::Auction(auction) => Some((auction.id, *auction)),
        _ => None,
    };
    events(order).into_iter().filter_map(auction).collect()
}

/// A field as CSV has it. No text of the file needs quotes but those that are empty.
fn csv(text: &str) -> &str {
    if text.is_empty() { "\"\"" } else { text }
}

fn check(query: Query, order: Order, mut rows: Vec<String>) {
    rows.sort();
    let expected = format!("{}\n{}\n", query.columns(), rows.join("\n"));
    assert_same(&format!("{query:?}, {order:?}"), &table(query, order, 2, 1024), &expected);
}

/// The columns of q18 and q19.
fn whole(b: &Bid) -> String {
    let (channel, url, extra) = (csv(b.channel()), csv(b.url()), csv(b.extra()));
    format!("{},{},{},{channel},{url},{},{extra}", b.auction, b.bidder, b.price, b.at)
}

#[test]
fn bids_one_by_one_are_projected_and_filtered() {
    let order = Order::ByTime;
    let of = |row: &dyn Fn(&Bid) -> Option<String>| bids(order).iter().filter_map(row).collect();
    let q0 = |b: &Bid| Some(format!("{},{},{},{},{}", b.auction, b.bidder, b.price, b.at, csv(b.extra())));
    check(Query::Q0, order, of(&q0));
    let euro = |b: &Bid| format!("{}.{:03}", b.price * 908 / 1000, b.price * 908 % 1000);
    let q1 = |b: &Bid| Some(format!("{},{},{},{},{}", b.auction, b.bidder, euro(b), b.at, csv(b.extra())));
    check(Query::Q1, order, of(&q1));
    // All of the file is in the hour from 22:13:20 UTC.
    let minute = |b: &Bid| 13 + (20 + (b.at - 1_700_000_000_000) / 1000) / 60;
    let q10 = |b: &Bid| q0(b).map(|row| format!("{row},2023-11-14,22:{}", minute(b)));
    check(Query::Q10, order, of(&q10));
    let q14 = |b: &Bid| {
        let (row, euro) = (format!("{},{},{}", b.auction, b.bidder, euro(b)), b.price as f64 * 0.908);
        let letters = b.extra().matches('c').count();
        (euro > 1e6 && euro < 5e7).then(|| format!("{row},nightTime,{},{},{letters}", b.at, csv(b.extra())))
    };
    check(Query::Q14, order, of(&q14));
    let q22 = |b: &Bid| {
        let dirs: Vec<_> = b.url().split('/').skip(3).take(3).collect();
        Some(format!("{},{},{},{},{}", b.auction, b.bidder, b.price, b.channel(), dirs.join(",")))
    };
    check(Query::Q22, order, of(&q22));
}

/// The winning bid of each auction.
fn winners(order: Order) -> Vec<(Auction, Bid)> {
    let mut best: BTreeMap<i64, Bid> = BTreeMap::new();
    let auctions = auctions(order);
    for bid in bids(order) {
        let Some(auction) = auctions.get(&bid.auction) else { continue };
        let better =
            best.get(&bid.auction).is_none_or(|other| (-bid.price, bid.at) < (-other.price, other.at));
        if better && bid.at >= auction.at && bid.at <= auction.expires {
            best.insert(bid.auction, bid);
        }
    }
    best.into_iter().map(|(id, bid)| (auctions[&id].clone(), bid)).collect()
}

#[test]
fn auctions_have_their_winners_and_sellers_the_mean_of_their_last_ten() {
    for order in [Order::ByTime, Order::Late] {
        let q9 = winners(order).into_iter().map(|(a, b)| {
            let auction = format!(
                "{},{},{},{},{}",
                a.id,
                csv(a.item()),
                csv(a.description()),
                a.initial_bid,
                a.reserve
            );
            let auction =
                format!("{auction},{},{},{},{},{}", a.at, a.expires, a.seller, a.category, csv(a.extra()));
            format!("{auction},{},{},{},{},{}", b.auction, b.bidder, b.price, b.at, csv(b.extra()))
        });
        check(Query::Q9, order, q9.collect());
        let mut sales: BTreeMap<i64, Vec<(i64, i64, i64)>> = BTreeMap::new();
        for (auction, bid) in winners(order) {
            sales.entry(auction.seller).or_default().push((auction.expires, auction.id, bid.price));
        }
        let q6 = sales.into_iter().map(|(seller, mut sales)| {
            sales.sort();
            let last = &sales[sales.len().saturating_sub(10)..];
            format!("{seller},{}", last.iter().map(|sale| sale.2).sum::<i64>() / last.len() as i64)
        });
        check(Query::Q6, order, q6.collect());
    }
}

#[test]
fn bids_on_things_of_category_10_have_their_auction() {
    for order in [Order::ByTime, Order::Late] {
        let auctions = auctions(order);
        let rows = bids(order).into_iter().filter_map(|b| {
            let a = auctions.get(&b.auction).filter(|a| a.category == 10)?;
            let auction =
                format!("{},{},{},{}", csv(a.item()), csv(a.description()), a.initial_bid, a.reserve);
            let auction =
                format!("{auction},{},{},{},{},{}", a.at, a.expires, a.seller, a.category, csv(a.extra()));
            Some(format!("{},{auction}", whole(&b)))
        });
        check(Query::Q20, order, rows.collect());
    }
}

#[test]
fn the_last_and_the_highest_bids_remain() {
    for order in [Order::ByTime, Order::Late] {
        let (mut last, mut ranked) = (BTreeMap::new(), BTreeMap::<i64, Vec<Bid>>::new());
        for bid in bids(order) {
            let slot = last.entry((bid.bidder, bid.auction)).or_insert_with(|| bid.clone());
            if bid.at >= slot.at {
                *slot = bid.clone();
            }
            ranked.entry(bid.auction).or_default().push(bid);
        }
        check(Query::Q18, order, last.values().map(whole).collect());
        let top = ranked.into_values().flat_map(|mut bids| {
            // A stable sort leaves the first to arrive in front.
            bids.sort_by_key(|bid| -bid.price);
            bids.into_iter().take(10).enumerate().map(|(at, bid)| format!("{},{}", whole(&bid), at + 1))
        });
        check(Query::Q19, order, top.collect());
    }
}

/// Bids, bidders and auctions by rank.
type Sets = [[std::collections::BTreeSet<i64>; 4]; 3];

#[test]
fn channels_have_their_counts_and_distinct_counts() {
    let mut channels: BTreeMap<String, (i64, Sets)> = BTreeMap::new();
    for (number, bid) in bids(Order::Late).into_iter().enumerate() {
        let (latest, sets) = channels.entry(bid.channel().to_owned()).or_default();
        *latest = bid.at.max(*latest);
        let rank = [10_000, 1_000_000].iter().filter(|bound| bid.price >= **bound).count();
        for (set, of) in sets.iter_mut().zip([number as i64, bid.bidder, bid.auction]) {
            set[0].insert(of);
            set[rank + 1].insert(of);
        }
    }
    let rows = channels.into_iter().map(|(channel, (latest, sets))| {
        let counts: Vec<_> = sets.iter().flatten().map(|set| set.len().to_string()).collect();
        let minute = latest / 60_000 % 60;
        format!("{channel},2023-11-14,22:{minute:02},{}", counts.join(","))
    });
    check(Query::Q16, Order::Late, rows.collect());
}

/// q7 with nothing but loops: the watermark decides which bids make the highest price of a window.
fn highest(order: Order) -> Vec<String> {
    let (mut watermark, mut highest) = (i64::MIN, BTreeMap::<i64, i64>::new());
    for event in events(order) {
        if let Event::Bid(bid) = &event {
            let end = bid.at - bid.at % 10_000 + 10_000;
            if end - 1 > watermark {
                let highest = highest.entry(end).or_insert(bid.price);
                *highest = bid.price.max(*highest);
            }
        }
        watermark = watermark.max(event.at() - 4_000);
    }
    let within = |bid: &Bid| {
        let of = highest.iter().filter(|(end, _)| (**end - 10_000..=**end).contains(&bid.at));
        of.filter(|(_, highest)| **highest == bid.price).count()
    };
    let row = |b: &Bid| format!("{},{},{},{},{}", b.auction, b.price, b.bidder, b.at, csv(b.extra()));
    bids(order).iter().flat_map(|bid| vec![row(bid); within(bid)]).collect()
}

#[test]
fn the_highest_bids_of_a_window_are_found_with_late_ones_among_them() {
    for order in [Order::ByTime, Order::Late] {
        check(Query::Q7, order, highest(order));
    }
}
