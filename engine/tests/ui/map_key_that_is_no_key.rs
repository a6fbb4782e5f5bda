use millstream::prelude::*;

fn declare(state: &mut Declare) -> Map<f64, u64> {
    state.map("by price")
}

fn main() {}

//~ error[E0277]: `f64` cannot be a key
//~ = note: keys are integers, `bool`, `char`
