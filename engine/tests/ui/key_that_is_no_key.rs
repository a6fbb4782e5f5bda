use millstream::prelude::*;

fn main() {
    let job = Job::new("readings");
    job.source("readings", from_vec(vec![20.5, 21.0])).key_by(|reading| *reading);
}
