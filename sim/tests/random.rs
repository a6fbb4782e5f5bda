//! The random streams: pinned, because every seed ever reported must stay the same run.

use millstream_sim::random::{Chance, Streams};

#[test]
fn the_numbers_of_a_seed_never_change() {
    let mut stream = Streams::new(42).stream("disk");
    assert_eq!([stream.next(), stream.next()], [15_599_220_436_424_775_886, 8_127_580_678_580_921_919]);
    assert_eq!([stream.below(1000), stream.magnitude(1 << 40), stream.range(5, 9)], [479, 791, 5]);
}

#[test]
fn helpers_stay_in_their_ranges_and_reach_their_ends() {
    let mut random = Streams::new(1).stream("test");
    let mut seen = [false; 7];
    for _ in 0..1000 {
        seen[random.range(3, 9) as usize - 3] = true;
        assert!((1..=1000).contains(&random.magnitude(1000)));
        assert_eq!(random.magnitude(1), 1);
        assert!(random.chance(Chance::ALWAYS) && !random.chance(Chance::NEVER));
    }
    assert_eq!(seen, [true; 7]);
    let half = (0..10_000).filter(|_| random.chance(Chance::of(1, 2))).count();
    assert!((4500..5500).contains(&half), "{half}");
}

#[test]
fn small_magnitudes_are_as_likely_as_large_ones() {
    let mut random = Streams::new(1).stream("test");
    let small = (0..10_000).filter(|_| random.magnitude(1 << 20) < 1 << 10).count();
    assert!((4200..5300).contains(&small), "{small}");
}

#[test]
fn shuffling_keeps_every_item() {
    let mut items: Vec<u32> = (0..100).collect();
    Streams::new(1).stream("test").shuffle(&mut items);
    assert!(!items.is_sorted());
    items.sort_unstable();
    assert_eq!(items, (0..100).collect::<Vec<_>>());
}
