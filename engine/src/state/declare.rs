//! Declaring state, and bringing a restored checkpoint in line with what is declared.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use millstream_storage::collection::{self, Owner, list, map, timeline};
use millstream_storage::expiry::{Life, UNTIL};
use millstream_storage::store::{Store, TableId};
use rkyv::util::AlignedVec;

use crate::aggregate::Aggregate;
use crate::checkpoint::manifest::Schema;
use crate::error::{Error, ErrorKind, Result};
use crate::key::Key;
use crate::operator::process::{OutputTag, Side, side::DeclaredSide};
use crate::stage::OpenContext;
use crate::state::backend::state_id;
use crate::state::check::check_collections;
use crate::state::codec::StateValue;
use crate::state::handle::Handle;
use crate::state::log::layout;
use crate::state::operator::{BroadcastState, OperatorList, UnionList};
use crate::state::restore::check_table;
use crate::state::schema::StateSchema;
use crate::state::spec::{Kind, Spec, Upgrade};
use crate::state::{Aggregating, List, Map, Reducing, Timeline, Value};

/// Collects the states of a process function.
///
/// Each has a name of its own, by which it is found in a checkpoint: names are for ever. A checkpoint with a state that
/// is no longer declared is refused, unless it is [given up](Declare::give_up); one without a state that is declared
/// leaves that empty.
///
/// ```
/// # use millstream::prelude::*;
/// struct Seen { first: Value<i64>, last: Value<i64> }
///
/// #[derive(Clone)]
/// struct Span;
/// impl Process for Span {
///     type Key = char;
///     type In = (char, i64);
///     type Out = (char, i64);
///     type State = Seen;
///     fn declare(&self, state: &mut Declare) -> Seen {
///         Seen { first: state.value("first"), last: state.value("last") }
///     }
///     fn on_record(&mut self, (key, at): (char, i64), seen: &Seen, cx: &mut Context<'_, Self>) {
///         let first = seen.first.load(cx).unwrap_or(at);
///         seen.first.set(cx, &first);
///         seen.last.set(cx, &at);
///         cx.emit((key, at - first));
///     }
/// }
/// # let job = Job::new("doc");
/// # let (sink, spans) = collect();
/// # let events = job.source("events", from_vec(vec![('a', 5), ('a', 9)]));
/// # events.key_by(|event| event.0).process("span", Span).sink("spans", sink);
/// # job.run(Config::new().cores(1))?;
/// # assert_eq!(spans.take(), [('a', 0), ('a', 4)]);
/// # Ok::<(), millstream::Error>(())
/// ```
///
/// All kinds of state:
/// ```
/// # use millstream::prelude::*;
/// use millstream::state::{BroadcastState, OperatorList, UnionList};
/// # #[derive(Clone)]
/// # struct Count;
/// # impl Aggregate for Count {
/// #     type In = u64;
/// #     type Acc = u64;
/// #     type Out = u64;
/// #     fn add(&self, count: &mut u64, _: &u64) { *count += 1; }
/// #     fn finish(&self, count: &u64) -> u64 { *count }
/// # }
///
/// struct States {
///     last: Value<u64>,
///     recent: List<String>,
///     seen: Map<String, u64>,
///     largest: Reducing<u64>,
///     count: Aggregating<Count>,
///     prices: Timeline<i64>,
///     waiting: OperatorList<u64>,
///     members: UnionList<String>,
///     rules: BroadcastState<String, u64>,
/// }
///
/// fn declare(state: &mut Declare) -> States {
///     state.give_up("a state of an older version");
///     States {
///         last: state.value("last"),
///         recent: state.list("recent").ttl(minutes(5)),
///         seen: state.map("seen").ttl(Ttl::after(hours(1)).on_create()),
///         largest: state.reducing("largest", |largest: &mut u64, n| *largest = *n.max(largest)),
///         count: state.aggregating("count", Count),
///         prices: state.timeline("prices"),
///         waiting: state.operator_list("waiting"),
///         members: state.union_list("members"),
///         rules: state.broadcast("rules"),
///     }
/// }
/// # declare(&mut Declare::default());
/// ```
#[derive(Default)]
pub struct Declare {
    names: BTreeMap<u32, String>,
    keyed: Vec<Rc<Spec>>,
    operator: Vec<Rc<Spec>>,
    given_up: BTreeSet<String>,
    sides: Vec<Rc<dyn DeclaredSide>>,
}

impl Declare {
    /// A [`Value`] per key.
    ///
    /// # Panics
    /// If the name is taken, or hashes like another: choose another name then. So do all of these.
    pub fn value<T: StateValue>(&mut self, name: &str) -> Value<T> {
        Value::new(self.declare(name, |id| Spec::new::<T>(name, id, Kind::Value, "value")))
    }

    /// A [`List`] per key.
    pub fn list<T: StateValue>(&mut self, name: &str) -> List<T> {
        List::new(self.declare(name, |id| Spec::new::<T>(name, id, Kind::List, "list")))
    }

    /// A [`Map`] per key.
    pub fn map<K: Key, V: StateValue>(&mut self, name: &str) -> Map<K, V> {
        Map::new(self.declare(name, |id| Spec::new::<V>(name, id, Kind::Map, "map").keyed::<K>()))
    }

    /// A value per key that `combine` changes by each one added; see [`Reducing`].
    pub fn reducing<T: StateValue>(
        &mut self,
        name: &str,
        combine: impl Fn(&mut T, &T) + 'static,
    ) -> Reducing<T> {
        Reducing::new(self.declare(name, |id| Spec::new::<T>(name, id, Kind::Value, "reducing")), combine)
    }

    /// An accumulator per key; see [`Aggregating`].
    pub fn aggregating<A: Aggregate>(&mut self, name: &str, aggregate: A) -> Aggregating<A> {
        let spec = |id| Spec::new::<A::Acc>(name, id, Kind::Value, "aggregating");
        Aggregating::new(self.declare(name, spec), aggregate)
    }

    /// A [`Timeline`] per key.
    pub fn timeline<T: StateValue>(&mut self, name: &str) -> Timeline<T> {
        Timeline::new(self.declare(name, |id| Spec::new::<T>(name, id, Kind::Timeline, "timeline")))
    }

    /// A list that belongs to a core, not to a key; see [`OperatorList`].
    pub fn operator_list<T: StateValue>(&mut self, name: &str) -> OperatorList<T> {
        OperatorList::new(
            self.declare_operator(name, |id| Spec::new::<T>(name, id, Kind::List, "operator list")),
        )
    }

    /// A list that belongs to a core, and that all cores see on restore; see [`UnionList`].
    pub fn union_list<T: StateValue>(&mut self, name: &str) -> UnionList<T> {
        UnionList::new(self.declare_operator(name, |id| Spec::new::<T>(name, id, Kind::List, "union list")))
    }

    /// A map that is the same on every core; see [`BroadcastState`].
    pub fn broadcast<K: Key, V: StateValue>(&mut self, name: &str) -> BroadcastState<K, V> {
        let spec = |id| Spec::new::<V>(name, id, Kind::Map, "broadcast").keyed::<K>();
        BroadcastState::new(self.declare_operator(name, spec))
    }

    /// A side output; see [`OutputTag`]. It is no state: a checkpoint knows nothing of it.
    ///
    /// # Panics
    /// If the step has another one of this name.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// const ODD: OutputTag<u64> = OutputTag::new("odd");
    ///
    /// struct Handles { sum: Value<u64>, odd: Side<u64> }
    ///
    /// fn declare(state: &mut Declare) -> Handles {
    ///     Handles { sum: state.value("sum"), odd: state.side(ODD) }
    /// }
    /// # let _ = declare;
    /// ```
    pub fn side<T: Send + 'static>(&mut self, tag: OutputTag<T>) -> Side<T> {
        let taken = self.sides.iter().any(|side| side.name() == tag.name());
        assert!(!taken, "two side outputs are named `{}`; give one of them another name", tag.name());
        self.sides.push(Rc::new(tag));
        Side::new(self.sides.len() - 1)
    }

    /// Lets a checkpoint hold a state that is no longer declared: it is dropped on restore.
    pub fn give_up(&mut self, name: &str) {
        self.given_up.insert(name.to_owned());
    }

    fn declare(&mut self, name: &str, spec: impl FnOnce(u32) -> Spec) -> Handle {
        let spec = Rc::new(spec(self.take_name(name)));
        self.keyed.push(spec.clone());
        Handle { slot: self.keyed.len() - 1, spec }
    }

    fn declare_operator(&mut self, name: &str, spec: impl FnOnce(u32) -> Spec) -> Handle {
        let spec = Rc::new(spec(self.take_name(name)));
        self.operator.push(spec.clone());
        Handle { slot: self.operator.len() - 1, spec }
    }

    fn take_name(&mut self, name: &str) -> u32 {
        let id = state_id(name);
        if let Some(other) = self.names.insert(id, name.to_owned()) {
            panic!("state `{name}` cannot be told from state `{other}`; give it another name");
        }
        id
    }

    /// The states of keys, by their places.
    pub(crate) fn keyed(&self) -> &[Rc<Spec>] {
        &self.keyed
    }

    /// The states of cores, by their places.
    pub(crate) fn operator(&self) -> &[Rc<Spec>] {
        &self.operator
    }

    /// The side outputs, by their places.
    pub(crate) fn sides(&self) -> &[Rc<dyn DeclaredSide>] {
        &self.sides
    }

    /// Adds what the states are to a step's description.
    pub(crate) fn describe(&self, schema: &mut Schema) {
        for spec in self.keyed.iter().chain(&self.operator) {
            schema.states.insert(spec.name.clone(), spec.schema());
            schema.types.insert(spec.name.clone(), spec.types().clone());
            schema.accepted.insert(spec.name.clone(), spec.accepted());
        }
        schema.given_up.clone_from(&self.given_up);
    }

    /// Whether a state of the restored checkpoint has to be upgraded.
    pub(crate) fn upgrades(&self, saved: &BTreeMap<String, StateSchema>) -> bool {
        let upgrade = |spec: &Rc<Spec>| saved.get(&spec.name).and_then(|saved| spec.upgrade_from(saved));
        self.keyed.iter().any(|spec| upgrade(spec).is_some())
    }

    /// Brings a restored store in line: drops what was given up, upgrades what was saved as an older type, and checks
    /// everything before anybody looks at it.
    ///
    /// # Errors
    /// If what is there is not what the checkpoint says.
    pub(crate) async fn adopt(
        &self,
        cx: &OpenContext,
        store: &mut Store,
        saved: &BTreeMap<String, StateSchema>,
    ) -> Result<()> {
        for name in &self.given_up {
            if let Some(table) = store.table(state_id(name), 0) {
                store.drop_table(table);
            }
        }
        for spec in &self.keyed {
            let Some(table) = store.table(spec.id, 0) else { continue };
            let upgrade = saved.get(&spec.name).and_then(|saved| spec.upgrade_from(saved));
            let adopted = adopt_table(cx, store, table, spec, upgrade.as_ref()).await;
            adopted.map_err(|error| error.at(format_args!("state `{}`", spec.name)))?;
        }
        Ok(())
    }
}

async fn adopt_table(
    cx: &OpenContext,
    store: &mut Store,
    table: TableId,
    spec: &Spec,
    upgrade: Option<&Upgrade>,
) -> Result<()> {
    if store.layout(table) != layout(spec) {
        let message = "its table is not laid out as its description says; the checkpoint was tampered with";
        return Err(Error::new(ErrorKind::Restore, message));
    }
    match (spec.kind, upgrade) {
        (Kind::Value, None) => check_values(cx, store, table, spec).await,
        (Kind::Value, Some(upgrade)) => upgrade_values(store, table, spec, upgrade),
        (_, None) => check_collections(cx, store, table, spec).await,
        (_, Some(upgrade)) => upgrade_collections(store, table, spec, upgrade),
    }
}

/// A value that expires has its end before it.
fn prefix(spec: &Spec) -> usize {
    if spec.ttl().is_some() { UNTIL } else { 0 }
}

async fn check_values(cx: &OpenContext, store: &mut Store, table: TableId, spec: &Spec) -> Result<()> {
    let (check, from) = (spec.check, prefix(spec));
    check_table(cx, store, table, move |_, value| check(value.get(from..).unwrap_or_default())).await
}

/// Steps through the table, so that never more than a part of it is there twice.
fn upgrade_values(store: &mut Store, table: TableId, spec: &Spec, upgrade: &Upgrade) -> Result<()> {
    const TOGETHER: usize = 1024;
    let (mut from, mut archive) = (Some(0), AlignedVec::new());
    while let Some(hash) = from {
        let mut batch: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        from = store
            .for_each_from(table, hash, TOGETHER, |key, value| batch.push((key.to_vec(), value.to_vec())));
        for (key, value) in batch {
            let (end, old) = value.split_at_checked(prefix(spec)).unwrap_or_default();
            (upgrade.run)(old, &mut archive)?;
            let new = [end, &archive].concat();
            let hash = millstream_storage::hash::stable_hash(&key);
            store.put(table, hash, &key, &new).map_err(too_large)?;
        }
    }
    Ok(())
}

/// All that a collection holds: keys or times, values, and until when they live.
type Contents = Vec<(Vec<u8>, Vec<u8>, i64)>;

/// Reads as long ago as there was time, when nothing had expired.
fn life(spec: &Spec, until: i64) -> Option<Life> {
    spec.ttl().map(|_| Life { now: i64::MIN, until })
}

fn contents(store: &Store, owner: &Owner, spec: &Spec) -> Contents {
    let life = life(spec, 0);
    match spec.kind {
        Kind::Value => Vec::new(),
        Kind::List => {
            list::iter(store, owner, life).map(|(v, until)| (Vec::new(), v.to_vec(), until)).collect()
        }
        Kind::Map => {
            map::iter(store, owner, life).map(|e| (e.key.to_vec(), e.value.to_vec(), e.until)).collect()
        }
        Kind::Timeline => {
            let all = timeline::range(store, owner, i64::MIN, i64::MAX);
            all.map(|entry| (entry.time.to_le_bytes().to_vec(), entry.value.to_vec(), 0)).collect()
        }
    }
}

fn upgrade_collections(store: &mut Store, table: TableId, spec: &Spec, upgrade: &Upgrade) -> Result<()> {
    let mut archive = AlignedVec::new();
    for key in collection::owners(store, table) {
        let owner = Owner::new(table, &key);
        let old = contents(store, &owner, spec);
        match spec.kind {
            Kind::Value => {}
            Kind::List => list::clear(store, &owner, life(spec, 0)),
            Kind::Map => map::clear(store, &owner, life(spec, 0)),
            Kind::Timeline => timeline::clear(store, &owner),
        }
        for (key, value, until) in old {
            if spec.kind == Kind::Map {
                (spec.check_key)(&key)?;
            }
            (upgrade.run)(&value, &mut archive)?;
            let life = life(spec, until);
            let written = match spec.kind {
                Kind::Value => Ok(()),
                Kind::List => list::push(store, &owner, &archive, life),
                Kind::Map => map::put(store, &owner, &key, &archive, life).map(|_| ()),
                Kind::Timeline => {
                    let time = key.try_into().map_or(0, i64::from_le_bytes);
                    timeline::insert(store, &owner, time, &archive)
                }
            };
            written.map_err(too_large)?;
        }
    }
    Ok(())
}

fn too_large(error: millstream_storage::store::TooLarge) -> Error {
    Error::new(ErrorKind::Restore, "an upgraded value does not fit the state store").caused_by(error)
}
