use millstream::prelude::*;

fn main() {
    let job = Job::new("words");
    job.source("words", from_vec(vec!["a", "b"])).map(|word| word.len()).late();
}

//~ error[E0599]: no method named `late` found for struct `Stream<usize
//~ the method was found for
