use millstream::prelude::*;

#[derive(Clone, Default)]
struct Visits {
    count: u64,
}

#[derive(Clone)]
struct CountVisits;

impl Process for CountVisits {
    type Key = String;
    type In = String;
    type Out = u64;
    type State = Value<Visits>;
    fn declare(&self, state: &mut Declare) -> Value<Visits> {
        state.value("visits")
    }
    fn on_record(&mut self, _: String, visits: &Value<Visits>, cx: &mut Context<'_, Self>) {
        let count = visits.update(cx, |visits| {
            visits.count += 1;
            visits.count
        });
        cx.emit(count);
    }
}

fn main() {}

//~ error[E0277]: `Visits` cannot be kept as state
//~ = note: add `#[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]` to `Visits` and to the types of its fields
