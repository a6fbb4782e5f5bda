//! A job with a bug that no test without crashes sees, how the simulator finds it, and the job that holds.
//!
//! Receipts are numbered per shop. The first version keeps the last numbers in a field of its function: that works on any
//! number of cores, and for as long as the process lives. The second version keeps them in state.
//!
//! `cargo run -p millstream-sim --example receipts` shows the finding, and that the second version has none.

use std::collections::BTreeMap;

use millstream::prelude::*;
use millstream::sink::Sink;
use millstream::source::Source;
use millstream_sim::prelude::*;

/// Shop, number.
type Receipt = (String, u64);

/// A function that numbers the sales of a shop.
trait Numbering: Process<Key = String, In = String, Out = Receipt> + Default {}

/// **Wrong**: the numbers are not part of a checkpoint. After a crash they begin anew.
#[derive(Clone, Default)]
struct InAField {
    last: BTreeMap<String, u64>,
}

impl Process for InAField {
    type Key = String;
    type In = String;
    type Out = Receipt;
    type State = ();

    fn declare(&self, _: &mut Declare) {}

    fn on_record(&mut self, shop: String, (): &(), cx: &mut Context<'_, Self>) {
        let last = self.last.entry(shop.clone()).or_default();
        *last += 1;
        cx.emit((shop, *last));
    }
}

impl Numbering for InAField {}

/// The numbers are keyed state: a checkpoint has them, and they move with their key when the number of cores changes.
#[derive(Clone, Default)]
struct InState;

impl Process for InState {
    type Key = String;
    type In = String;
    type Out = Receipt;
    type State = Value<u64>;

    fn declare(&self, state: &mut Declare) -> Value<u64> {
        state.value("last")
    }

    fn on_record(&mut self, shop: String, last: &Value<u64>, cx: &mut Context<'_, Self>) {
        let number = last.load(cx).unwrap_or(0) + 1;
        last.set(cx, &number);
        cx.emit((shop, number));
    }
}

impl Numbering for InState {}

/// The job, with either of them.
fn receipts<N: Numbering>(sales: impl Source<String>, out: impl Sink<Receipt>) -> Job {
    let job = Job::new("receipts");
    job.source("sales", sales)
        .key_by(|shop| shop.clone())
        .process("number", N::default())
        .sink("receipts", out);
    job
}

fn simulated<N: Numbering>(sim: &mut Simulation<'_>) {
    let shop = |random: &mut Random| random.pick(&["baker", "grocer", "smith"]).to_string();
    let sales = sim.feed("sales", |random| (0..300).map(|_| shop(random)).collect());
    let sales = sales.splits(2, |shop| shop.clone());
    let out = sim.sink("receipts", |receipt: &Receipt| receipt.0.clone());
    sim.run(|| receipts::<N>(sales.clone(), out.clone()));
}

fn main() {
    let check_of_env = Check::from_env().unwrap_or_else(|wrong| panic!("{wrong}"));
    match check_of_env.find("receipts, numbered in a field", simulated::<InAField>) {
        Some(found) => println!("{found}"),
        None => println!("nothing was found: it must have been a kind seed"),
    }
    check("receipts, numbered in state", simulated::<InState>);
}

#[cfg(test)]
mod tests {
    use millstream::testing::JobKit;

    use super::*;

    #[test]
    fn a_test_without_crashes_sees_no_difference() {
        fn numbered<N: Numbering>() -> Vec<Receipt> {
            let kit =
                JobKit::new(|| receipts::<N>(from_vec(Vec::new()), discard())).expect("it is well formed");
            kit.input::<String>("sales")
                .push_all(["baker", "smith", "baker"].map(str::to_owned))
                .expect("it works");
            kit.output::<Receipt>("receipts").take()
        }
        assert_eq!(numbered::<InAField>(), numbered::<InState>());
    }

    #[test]
    fn numbers_in_a_field_are_found_lost() {
        let found =
            Check::new().find("receipts, numbered in a field", simulated::<InAField>).expect("it is wrong");
        assert_eq!(found.finding().rule, "what is committed is what the reference puts out");
    }

    #[test]
    fn numbers_in_state_are_not() {
        check("receipts, numbered in state", simulated::<InState>);
    }
}
