use millstream::prelude::*;

fn declare(state: &mut Declare) -> Value<u64> {
    state.value("count").version(2).upgrades::<String>(1)
}

fn main() {}
