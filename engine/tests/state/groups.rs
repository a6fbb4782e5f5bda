//! Rule 18: the number of key groups belongs to a checkpoint.

use millstream::prelude::*;

use crate::interrupted::{Place, run_with};

/// Numbers the records of a key.
#[derive(Clone)]
struct Number;

impl Process for Number {
    type Key = u64;
    type In = u64;
    type Out = (u64, u64);
    type State = Value<u64>;

    fn declare(&self, state: &mut Declare) -> Value<u64> {
        state.value("number")
    }

    fn on_record(&mut self, n: u64, number: &Value<u64>, cx: &mut Context<'_, Self>) {
        let number = number.update(cx, |number| {
            *number += 1;
            *number
        });
        cx.emit((n, number));
    }
}

#[test]
fn rule_18_the_number_of_key_groups_is_in_the_checkpoint_and_another_one_is_refused() {
    let place = Place::new();
    run_with(&place, Config::new().cores(1).max_parallelism(8), Number).expect("a new job");
    let error = run_with(&place, Config::new().cores(1).max_parallelism(16), Number).expect_err("it differs");
    assert_eq!(error.kind(), ErrorKind::Restore, "{error}");
    let cure = "it was written with max_parallelism 8, the job now has 16; set it to 8";
    assert!(error.to_string().contains(cure), "{error}");
    run_with(&place, Config::new().cores(2).max_parallelism(8), Number).expect("the cores may be others");
}

#[test]
fn rule_18_the_default_number_of_key_groups_is_kept_too() {
    let place = Place::new();
    run_with(&place, Config::new().cores(1), Number).expect("a new job");
    let error = run_with(&place, Config::new().cores(1).max_parallelism(64), Number).expect_err("it differs");
    assert!(error.to_string().contains("it was written with max_parallelism 128"), "{error}");
    // Few cores have the same default.
    let records = run_with(&place, Config::new().cores(3), Number).expect("it goes on");
    assert!(records.iter().all(|(n, number)| *number == n / 10 + 1), "with all that was kept of each key");
}
