use millstream::prelude::*;

fn declare(state: &mut Declare) -> Timeline<u64> {
    state.timeline("prices").ttl(hours(1))
}

fn main() {}

//~ error[E0599]: no method named `ttl` found for struct `millstream::state::Timeline<T>`
