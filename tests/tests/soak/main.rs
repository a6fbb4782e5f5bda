//! Topics in; windows and a join; topics, PostgreSQL and files of every kind out. Killed at any moment and started again,
//! in other ways each time, and so is who feeds it: in the end every row is there once, in its order, whoever reads it.
//!
//! `KILLS=500 KILL_SEED=7 cargo test --release -p millstream-tests --test soak -- --ignored --nocapture` kills more often,
//! at other moments.

mod check;
mod round;

use std::panic::catch_unwind;
use std::time::Instant;

use millstream_tests::postgres::Server;
use millstream_tests::random::number;
use millstream_tests::shop::expected::{compare, expected};
use round::{Feeding, Phases, Round};

/// Rounds until there were enough kills, with an input that is there beforehand and one that is appended meanwhile.
fn soak(kills: u64, orders: u64) {
    let (server, seed, began) = (Server::shared(), number("KILL_SEED", 1), Instant::now());
    let (mut all, mut rows) = (Phases::default(), 0);
    for n in 0.. {
        if all.kills() >= kills {
            break;
        }
        let feeding = [Feeding::Beside, Feeding::Beforehand, Feeding::Beside][n as usize % 3];
        let round = Round::new(server.as_deref(), seed.wrapping_add(n), orders, feeding);
        let phases = round.kill_until_done(kills - all.kills());
        rows += check::check(&round);
        all.add(&phases);
        let (done, rate) = (all.kills(), all.kills() as f64 / began.elapsed().as_secs_f64());
        println!("round {n}, fed {feeding:?}: {phases}; exact. {done} of {kills} kills, {rate:.1} a second");
    }
    println!("in all {all}: {rows} rows in {:.0?}, each there once", began.elapsed());
}

#[test]
fn a_row_that_is_missing_doubled_changed_or_out_of_order_is_seen() {
    let must = expected(1, 1_000).settled;
    compare(&must, &must, "the same");
    let spoilt = |spoil: fn(&mut Vec<String>)| {
        let mut rows = must.clone();
        spoil(&mut rows);
        catch_unwind(|| compare(&rows, &must, "spoilt")).is_err()
    };
    assert!(spoilt(|rows| drop(rows.remove(3))));
    assert!(spoilt(|rows| rows.push(rows[3].clone())));
    assert!(spoilt(|rows| rows[3] = rows[3].replacen("\"paid\":", "\"paid\":1", 1)));
    assert!(spoilt(|rows| rows.reverse()));
}

#[test]
fn every_row_is_there_once_after_kills_at_any_moment() {
    soak(number("KILLS", 8), 8_000);
}

#[test]
#[ignore = "takes minutes: `--ignored`, with KILLS=500 or more"]
fn every_row_is_there_once_after_very_many_kills_at_any_moment() {
    soak(number("KILLS", 500), 60_000);
}
