use millstream::prelude::*;

struct Visit {
    page: String,
}

fn declare(state: &mut Declare) -> List<Visit> {
    state.list("visits")
}

fn main() {}
