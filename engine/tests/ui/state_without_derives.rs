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

//~ error[E0277]: `Visits` cannot be kept as state
//~ = note: add `#[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]` to `Visits` and to the types of its fields
