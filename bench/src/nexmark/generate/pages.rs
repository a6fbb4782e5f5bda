//! The channels through which bids are made, and their pages.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

use super::draw::Draw;
use super::line::Line;
use crate::nexmark::texts::Page;

/// Channels that half of the bids come through: they are the first of [`pages`].
pub(super) const HOT: [&str; 4] = ["Google", "Facebook", "Baidu", "Apple"];
/// Other channels.
pub(super) const OTHER: u32 = 10_000;

/// The pages of all channels. They are made once per seed, and then stay, so that bids can refer to them.
pub(super) fn pages(seed: u64) -> &'static [Page] {
    static MADE: Mutex<BTreeMap<u64, &'static [Page]>> = Mutex::new(BTreeMap::new());
    // A panic while pages were made has not touched the map.
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    made.entry(seed).or_insert_with(|| Vec::leak(make(seed)))
}

fn make(seed: u64) -> Vec<Page> {
    let mut draw = Draw::of(seed, u64::MAX);
    let hot = HOT.map(|name| Page::new(name, &url(&mut draw)));
    let other = (0..OTHER).map(|number| {
        let mut url = url(&mut draw);
        if draw.below(10) > 0 {
            write!(url, "&channel_id={}", number.reverse_bits() & 0x7fff_ffff).expect("a string takes all");
        }
        Page::new(&format!("channel-{number}"), &url)
    });
    hot.into_iter().chain(other).collect()
}

/// A page of the auction house.
fn url(draw: &mut Draw) -> String {
    let [a, b, c] = std::array::from_fn(|_| {
        let mut words = Line::<8>::new();
        draw.words(5, &mut words);
        words.text().replace(' ', "_")
    });
    format!("https://www.nexmark.com/{a}/{b}/{c}/item.htm?query=1")
}
