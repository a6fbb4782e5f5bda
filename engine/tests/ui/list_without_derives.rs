use millstream::prelude::*;

struct Visit {
    page: String,
}

fn declare(state: &mut Declare) -> List<Visit> {
    state.list("visits")
}

fn main() {}

//~ error[E0277]: `Visit` cannot be kept as state
//~ = note: add `#[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]` to `Visit` and to the types of its fields
