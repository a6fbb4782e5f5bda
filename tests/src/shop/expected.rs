//! What must come out, the straightforward way: one loop over the records, in order, and nothing of the engine.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value as Json;

use super::{ORDERS_BOUND, Order, Payment, Settled, WINDOW, order, payment, payments};

/// Rows as lines of JSON, in the order in which they come out for a shop.
pub struct Expected {
    /// The results.
    pub settled: Vec<String>,
    /// The orders that came too late.
    pub late: Vec<String>,
    /// What was appended.
    pub orders: Vec<String>,
    /// The same.
    pub payments: Vec<String>,
}

/// A record as a line of JSON.
///
/// # Panics
/// If it cannot be one.
pub fn line(record: &impl Serialize) -> String {
    serde_json::to_string(record).expect("a record is plain data")
}

/// Computes it.
pub fn expected(seed: u64, count: u64) -> Expected {
    let orders: Vec<Order> = (0..count).map(|id| order(seed, id)).collect();
    let paid: Vec<Payment> = (0..payments(count)).map(|id| payment(seed, id)).collect();
    let (totals, late) = totals(&orders);
    Expected {
        settled: settled(&totals, &paid).iter().map(line).collect(),
        late: late.into_iter().map(line).collect(),
        orders: orders.iter().map(line).collect(),
        payments: paid.iter().map(line).collect(),
    }
}

/// The start of a window, and the shop.
type Place = (i64, i32);

fn place(at: i64, shop: i32) -> Place {
    (at.div_euclid(WINDOW) * WINDOW, shop)
}

/// Number and sum of the orders of each window; and those that came when their window was over.
fn totals(orders: &[Order]) -> (BTreeMap<Place, (i64, i64)>, Vec<&Order>) {
    let (mut totals, mut late, mut watermark) = (BTreeMap::new(), Vec::new(), i64::MIN);
    for order in orders {
        let place = place(order.at, order.shop);
        if place.0 + WINDOW - 1 <= watermark {
            late.push(order);
        } else {
            let (count, sum) = totals.entry(place).or_insert((0, 0));
            *count += 1;
            *sum += order.cents;
        }
        watermark = watermark.max(order.at - ORDERS_BOUND - 1);
    }
    (totals, late)
}

/// Each payment with the orders of its window, window by window, and in a window by time.
fn settled(totals: &BTreeMap<Place, (i64, i64)>, paid: &[Payment]) -> Vec<Settled> {
    let mut met: BTreeMap<Place, Vec<&Payment>> = totals.keys().map(|place| (*place, Vec::new())).collect();
    for payment in paid {
        met.entry(place(payment.at, payment.shop)).or_default().push(payment);
    }
    let mut rows = Vec::new();
    for ((start, shop), mut payments) in met {
        let total = totals.get(&(start, shop));
        let (orders, cents) = (total.map(|total| total.0), total.map(|total| total.1));
        let row = |payment: Option<&Payment>| Settled {
            shop,
            start,
            orders,
            cents,
            payment: payment.map(|payment| payment.id),
            paid: payment.map(|payment| payment.paid),
        };
        payments.sort_by_key(|payment| payment.at);
        rows.extend(payments.iter().map(|payment| row(Some(payment))));
        rows.extend(payments.is_empty().then(|| row(None)));
    }
    rows
}

/// The last result of each shop, by shop.
pub fn latest(settled: &[String]) -> Vec<String> {
    by_shop(settled).into_values().filter_map(|rows| rows.last().map(|row| (*row).to_owned())).collect()
}

/// Panics if the rows are not those, or not in the order that is promised: that of each shop.
///
/// # Panics
/// Then.
pub fn compare(found: &[String], expected: &[String], about: &str) {
    let (in_shops, to_be) = (by_shop(found), by_shop(expected));
    for shop in to_be.keys().chain(in_shops.keys()) {
        let (found, expected) = (in_shops.get(shop), to_be.get(shop));
        let (found, expected) =
            (found.map_or(&[][..], Vec::as_slice), expected.map_or(&[][..], Vec::as_slice));
        let wrong = (0..found.len().max(expected.len())).find(|at| found.get(*at) != expected.get(*at));
        if let Some(at) = wrong {
            let (is, should_be) = (found.get(at), expected.get(at));
            let (have, need) = (found.len(), expected.len());
            panic!("{about}: row {at} of shop {shop} is {is:?}, not {should_be:?}; {have} rows, not {need}");
        }
    }
    assert_eq!(found.len(), expected.len(), "{about}: rows");
}

/// Panics if the rows are not those, in this order.
///
/// # Panics
/// Then.
pub fn compare_all(found: &[String], expected: &[String], about: &str) {
    compare(found, expected, about);
    let wrong = found.iter().zip(expected).position(|(found, expected)| found != expected);
    assert_eq!(wrong, None, "{about}: the first row that is not in its place");
}

fn by_shop(rows: &[String]) -> BTreeMap<i64, Vec<&str>> {
    let mut shops: BTreeMap<i64, Vec<&str>> = BTreeMap::new();
    for row in rows {
        let json: Json = serde_json::from_str(row).unwrap_or_else(|error| panic!("{row:?}: {error}"));
        let shop = json["shop"].as_i64().unwrap_or_else(|| panic!("{row:?} has no shop"));
        shops.entry(shop).or_default().push(row);
    }
    shops
}
