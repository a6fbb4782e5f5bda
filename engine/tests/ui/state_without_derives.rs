use millstream::prelude::*;

#[derive(Clone, Default)]
struct Visits {
    count: u64,
}

#[derive(Clone)]
struct CountVisits;

impl Aggregate for CountVisits {
    type In = String;
    type Acc = Visits;
    type Out = u64;
    fn add(&self, visits: &mut Visits, _: &String) {
        visits.count += 1;
    }
    fn finish(&self, visits: &Visits) -> u64 {
        visits.count
    }
}

fn main() {}
