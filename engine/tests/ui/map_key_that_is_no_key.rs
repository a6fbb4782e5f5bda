use millstream::prelude::*;

fn declare(state: &mut Declare) -> Map<f64, u64> {
    state.map("by price")
}

fn main() {}
