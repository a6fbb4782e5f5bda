use millstream::prelude::*;

fn main() {
    let job = Job::new("words");
    job.source("words", from_vec(vec!["a", "b"])).map(|word| word.len()).late();
}
