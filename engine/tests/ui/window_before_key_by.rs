use millstream::prelude::*;

fn main() {
    let job = Job::new("words");
    job.source("words", from_vec(vec!["a", "b"])).window(Tumbling::of(secs(1)));
}

//~ error[E0599]: no method named `window` found for struct `Stream<T, C>`
