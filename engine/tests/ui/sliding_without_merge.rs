use millstream::prelude::*;

#[derive(Clone)]
struct Count;
impl Aggregate for Count {
    type In = u64;
    type Acc = u64;
    type Out = u64;
    fn add(&self, count: &mut u64, _: &u64) {
        *count += 1;
    }
    fn finish(&self, count: &u64) -> u64 {
        *count
    }
}

fn main() {
    let job = Job::new("ui");
    let numbers = job.source("numbers", from_vec(vec![1_u64])).key_by(|n| *n);
    numbers.window(Sliding::of(secs(10), secs(2))).aggregate("count", Count);
}

//~ error[E0277]: `Count` cannot merge its accumulators
//~ = note: sliding, cumulative and session windows merge accumulators: implement `Merge` beside `Aggregate`; tumbling windows do not
