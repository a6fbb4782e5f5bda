use millstream::prelude::*;

fn declare(state: &mut Declare) -> Timeline<u64> {
    state.timeline("prices").ttl(hours(1))
}

fn main() {}
