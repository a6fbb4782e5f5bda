//! Orders and payments of some shops, and what must come of them: the records of the soak.

pub mod expected;

use serde::{Deserialize, Serialize};

use crate::random::Random;

/// How many shops there are.
pub const SHOPS: u64 = 13;

/// The length of a window, in milliseconds, like all times here.
pub const WINDOW: i64 = 1_000;

/// How far behind the latest order one may come: one in forty comes later.
pub const ORDERS_BOUND: i64 = 500;

/// How far behind the latest payment one comes at most.
pub const PAYMENTS_BOUND: i64 = 900;

/// From one order to the next; there is a payment for every two of them.
const STEP: i64 = 10;

/// Times pass the epoch on their way.
const BEGIN: i64 = -20_000;

/// An order.
#[derive(
    Clone, Debug, PartialEq, Serialize, Deserialize, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize,
)]
pub struct Order {
    /// From 0, in the order in which they come.
    pub id: i64,
    /// The event time.
    pub at: i64,
    /// Where.
    pub shop: i32,
    /// How much.
    pub cents: i64,
}

/// A payment.
#[derive(
    Clone, Debug, PartialEq, Serialize, Deserialize, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize,
)]
pub struct Payment {
    /// From 0, in the order in which they come.
    pub id: i64,
    /// The event time.
    pub at: i64,
    /// To whom.
    pub shop: i32,
    /// How much.
    pub paid: i64,
}

/// A payment beside the sum of the shop's orders in its window; or the one without the other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settled {
    /// The shop.
    pub shop: i32,
    /// The beginning of the window.
    pub start: i64,
    /// How many orders there were.
    pub orders: Option<i64>,
    /// Their sum.
    pub cents: Option<i64>,
    /// The number of the payment.
    pub payment: Option<i64>,
    /// How much it was.
    pub paid: Option<i64>,
}

/// The numbers of a record, which depend on the seed and its place only.
fn draw(seed: u64, stream: u64, id: u64) -> Random {
    Random::new(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ (stream << 56) ^ id.wrapping_mul(0x9e37_79b9))
}

/// The order with a number. Some come so late that their window is gone.
pub fn order(seed: u64, id: u64) -> Order {
    let mut random = draw(seed, 1, id);
    let back = match random.below(40) {
        0 => 1_500 + random.below(6_000),
        _ => random.below(ORDERS_BOUND as u64 - 100),
    };
    Order {
        id: id as i64,
        at: BEGIN + id as i64 * STEP - back as i64,
        shop: random.below(SHOPS) as i32,
        cents: random.below(20_000) as i64 - 500,
    }
}

/// How many payments there are for so many orders.
pub fn payments(orders: u64) -> u64 {
    orders / 2
}

/// The payment with a number. None is late.
pub fn payment(seed: u64, id: u64) -> Payment {
    let mut random = draw(seed, 2, id);
    Payment {
        id: id as i64,
        at: BEGIN + id as i64 * STEP * 2 - random.below(PAYMENTS_BOUND as u64) as i64,
        shop: random.below(SHOPS) as i32,
        paid: random.below(20_000) as i64,
    }
}
