use millstream::prelude::*;

fn main() {
    let job = Job::new("words");
    job.source("words", from_vec(vec!["a", "b"])).window(Tumbling::of(secs(1)));
}
