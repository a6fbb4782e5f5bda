use millstream::prelude::*;

fn declare(state: &mut Declare) -> Value<u64> {
    state.value("count").version(2).upgrades::<String>(1)
}

fn main() {}

//~ error[E0277]: `u64` cannot be made from `String`
//~ = note: implement `Migrate<String>` for `u64`
