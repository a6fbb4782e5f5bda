use millstream::prelude::*;

fn main() {
    let job = Job::new("readings");
    job.source("readings", from_vec(vec![20.5, 21.0])).key_by(|reading| *reading);
}

//~ error[E0277]: `{float}` cannot be a key
//~ = note: keys are integers, `bool`, `char`, `[u8; N]`, `String`, `Vec<u8>` and tuples of them
//~ = note: for a type of your own implement `millstream::key::Key`: write its fields, read them in the same order
