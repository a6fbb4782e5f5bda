//! What a power loss may and may not take from a file.

use super::*;
use crate::random::Streams;

fn random(seed: u64) -> Random {
    Streams::new(seed).stream("content")
}

const CRUELTIES: [Cruelty; 3] = [Cruelty::Ordered, Cruelty::Arbitrary, Cruelty::Garbage];

/// The contents that power losses leave, over many seeds.
fn losses(content: &Content, cruelty: Cruelty) -> Vec<Vec<u8>> {
    let lose = |seed| {
        let mut content = content.clone();
        content.power_loss(cruelty, &mut random(seed));
        assert!(content.is_durable());
        content.bytes().to_vec()
    };
    (0..500).map(lose).collect()
}

#[test]
fn synced_bytes_survive_every_power_loss() {
    let mut content = Content::default();
    content.write(0, &[1; 5000], false);
    content.write(700, &[2; 3000], true);
    let mark = content.sync_begin();
    content.sync_end(mark);
    for cruelty in CRUELTIES {
        assert!(losses(&content, cruelty).iter().all(|bytes| bytes == content.bytes()));
    }
}

#[test]
fn unsynced_bytes_are_lost_kept_torn_and_reordered() {
    let mut content = Content::durable(vec![0; 4 * ATOMIC]);
    content.write(0, &[1; 4 * ATOMIC], false);
    for cruelty in CRUELTIES {
        let left = losses(&content, cruelty);
        assert!(
            left.iter().all(|bytes| bytes
                .chunks(ATOMIC)
                .all(|sector| sector == [0; ATOMIC] || sector == [1; ATOMIC]))
        );
        assert!(left.contains(&vec![0; 4 * ATOMIC]), "all lost");
        assert!(left.contains(&vec![1; 4 * ATOMIC]), "all kept");
        assert!(
            left.iter().any(|bytes| bytes[0] == 0 && bytes[3 * ATOMIC] == 1),
            "the end without the start"
        );
    }
}

#[test]
fn a_later_write_to_a_sector_may_be_lost_without_the_earlier_one() {
    let mut content = Content::durable(vec![0; ATOMIC]);
    content.write(0, &[1; ATOMIC], false);
    content.write(0, &[2; ATOMIC], true);
    let left = losses(&content, Cruelty::Arbitrary);
    for value in 0..=2 {
        assert!(left.contains(&vec![value; ATOMIC]), "{value}");
    }
}

#[test]
fn with_ordered_data_what_a_file_grew_by_is_a_prefix() {
    let mut content = Content::durable(vec![1; 100]);
    content.write(100, &[1; 5000], false);
    content.write(5100, &[1; 300], false);
    let left = losses(&content, Cruelty::Ordered);
    assert!(left.iter().all(|bytes| bytes.len() >= 100 && bytes[..bytes.len().min(100)] == [1; 100]));
    let whole =
        |bytes: &Vec<u8>| bytes[..bytes.len() / ATOMIC * ATOMIC].iter().skip(ATOMIC).all(|&byte| byte == 1);
    assert!(left.iter().all(whole));
    assert!(left.iter().any(|bytes| bytes.len() == 100) && left.iter().any(|bytes| bytes.len() == 5400));
}

#[test]
fn a_sync_does_not_cover_writes_that_come_after_it_began() {
    let mut content = Content::default();
    content.write(0, &[1; ATOMIC], false);
    let mark = content.sync_begin();
    content.write(ATOMIC, &[2; ATOMIC], false);
    content.sync_end(mark);
    let left = losses(&content, Cruelty::Arbitrary);
    assert!(left.iter().all(|bytes| bytes.len() >= ATOMIC && bytes[..ATOMIC] == [1; ATOMIC]));
    assert!(left.iter().any(|bytes| bytes.len() == ATOMIC));
}

#[test]
fn after_a_failed_sync_no_later_sync_saves_the_data() {
    for evict in [false, true] {
        let mut lost = 0;
        for seed in 0..200 {
            let mut random = random(seed);
            let mut content = Content::default();
            content.write(0, &[1; 4 * ATOMIC], false);
            let mark = content.sync_begin();
            content.sync_failed(mark, evict.then_some(&mut random));
            assert_eq!(content.bytes().len(), 4 * ATOMIC, "a running system knows the length");
            let again = content.sync_begin();
            content.sync_end(again);
            content.power_loss(Cruelty::Arbitrary, &mut random);
            lost += u32::from(content.bytes() != [1; 4 * ATOMIC]);
        }
        assert!(lost > 50, "lost in {lost} of 200, evict: {evict}");
    }
}

#[test]
fn what_is_written_and_synced_after_a_failed_sync_survives() {
    for seed in 0..200 {
        let mut content = Content::default();
        content.write(0, &[1; 2 * ATOMIC], false);
        let failed = content.sync_begin();
        content.sync_failed(failed, None);
        content.write(0, &[2; 2 * ATOMIC], false);
        content.write(2 * ATOMIC, &[3; ATOMIC], false);
        let mark = content.sync_begin();
        content.sync_end(mark);
        content.power_loss(Cruelty::Arbitrary, &mut random(seed));
        assert_eq!(content.bytes()[..2 * ATOMIC], [2; 2 * ATOMIC], "seed {seed}");
        assert_eq!(content.bytes()[2 * ATOMIC..], [3; ATOMIC], "seed {seed}");
    }
}

#[test]
fn garbage_appears_only_where_the_file_had_grown() {
    let mut content = Content::durable(vec![0; ATOMIC]);
    content.write(0, &[1; 2 * ATOMIC], false);
    let left = losses(&content, Cruelty::Garbage);
    assert!(left.iter().all(|bytes| bytes[..ATOMIC] == [0; ATOMIC] || bytes[..ATOMIC] == [1; ATOMIC]));
    assert!(
        left.iter().any(|bytes| bytes.len() == 2 * ATOMIC && bytes[ATOMIC..].iter().any(|&byte| byte > 1))
    );
}

#[test]
fn many_unsynced_overwrites_stay_bounded() {
    let mut content = Content::default();
    for value in 0..1000_u64 {
        content.write(0, &[value as u8; ATOMIC], true);
    }
    assert!(content.layers.len() <= LAYERS);
    assert!(
        losses(&content, Cruelty::Arbitrary).iter().all(|bytes| bytes.windows(2).all(|two| two[0] == two[1]))
    );
}
