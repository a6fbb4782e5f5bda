//! Side outputs carry their records and watermarks on, whatever else is emitted.

use millstream::prelude::*;

const ODD: OutputTag<u64> = OutputTag::new("odd");
const NAMES: OutputTag<String> = OutputTag::new("names");

#[derive(Clone)]
struct Sort;

struct Outputs {
    odd: Side<u64>,
    names: Side<String>,
}

impl Process for Sort {
    type Key = u64;
    type In = u64;
    type Out = u64;
    type State = Outputs;

    fn declare(&self, state: &mut Declare) -> Outputs {
        Outputs { odd: state.side(ODD), names: state.side(NAMES) }
    }

    fn on_record(&mut self, n: u64, to: &Outputs, cx: &mut Context<'_, Self>) {
        match n % 2 {
            0 => cx.emit(n),
            _ => cx.emit_to(&to.odd, n),
        }
        cx.timer_at(cx.time() + 1);
    }

    fn on_timer(&mut self, at: Timestamp, to: &Outputs, cx: &mut Context<'_, Self>) {
        cx.emit_to(&to.names, format!("{} at {at}", cx.key()));
    }
}

/// Runs the job; `windowed` sums the odd numbers by windows of ten, which takes watermarks on the side.
fn run(cores: usize, batch: usize) -> (Vec<u64>, Vec<u64>, Vec<String>) {
    let job = Job::new("sort");
    let ((main, even), (aside, sums), (third, names)) = (collect(), collect(), collect());
    let numbers = job
        .source("numbers", from_vec((0..1_000_u64).collect()))
        .event_time(|n| *n as i64, Watermarks::monotonous());
    let sorted = numbers.key_by(|n| n % 7).process("sort", Sort);
    sorted
        .side(ODD)
        .key_by(|_| 0_u8)
        .window(Tumbling::of(millis(10)))
        .reduce("sums", |sum, n| *sum += n)
        .map(|sum| sum.value)
        .sink("sums of windows", aside);
    sorted.side(NAMES).sink("names", third);
    sorted.sink("even", main);
    job.run(Config::new().cores(cores).batch_size(batch)).expect("the job ends well");
    let (mut even, mut sums, mut names) = (even.take(), sums.take(), names.take());
    even.sort_unstable();
    sums.sort_unstable();
    names.sort_unstable();
    (even, sums, names)
}

#[test]
fn what_is_put_aside_comes_out_beside_the_results_with_its_watermarks() {
    for (cores, batch) in [(1, 1), (1, 1024), (2, 7), (4, 64)] {
        let (even, sums, names) = run(cores, batch);
        assert_eq!(even, (0..1_000).step_by(2).collect::<Vec<_>>());
        let sum = |window: u64| (0..10).map(|i| window * 10 + i).filter(|n| n % 2 == 1).sum::<u64>();
        assert_eq!(sums, (0..100).map(sum).collect::<Vec<_>>());
        assert_eq!(names.len(), 1_000);
        assert!(names.contains(&"6 at 14".to_owned()));
    }
}

#[test]
fn a_side_output_that_nobody_takes_is_dropped() {
    let job = Job::new("sort");
    let (main, even) = collect();
    job.source("numbers", from_vec(vec![1, 2])).key_by(|n| *n).process("sort", Sort).sink("even", main);
    job.run(Config::new().cores(1)).expect("the job ends well");
    assert_eq!(even.take(), [2]);
}

#[test]
#[should_panic(expected = "step `sort` has not declared a side output `even` of u64")]
fn a_side_output_that_was_not_declared_is_refused_by_name() {
    let job = Job::new("sort");
    let sorted = job.source("numbers", from_vec(vec![1])).key_by(|n| *n).process("sort", Sort);
    let _ = sorted.side(OutputTag::<u64>::new("even"));
}

#[test]
#[should_panic(expected = "step `sort` has not declared a side output `odd` of char")]
fn a_side_output_of_another_type_is_refused() {
    let job = Job::new("sort");
    let sorted = job.source("numbers", from_vec(vec![1])).key_by(|n| *n).process("sort", Sort);
    let _ = sorted.side(OutputTag::<char>::new("odd"));
}

#[test]
#[should_panic(expected = "two side outputs are named `odd`")]
fn two_side_outputs_of_one_name_are_refused() {
    let mut declare = Declare::default();
    let _ = declare.side(ODD);
    let _ = declare.side(OutputTag::<char>::new("odd"));
}
