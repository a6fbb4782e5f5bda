//! State that belongs to cores, not to keys: lists that are dealt out anew on other cores, lists that all of them see,
//! and broadcast state, the same everywhere.
//!
//! It is for little: positions, settings, rules. It is kept in memory, and each checkpoint's manifest has all of it.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::rc::Rc;

use millstream_storage::planted;
use serde_json::{Map as Object, Value as Json};

use crate::checkpoint::manifest::Part;
use crate::error::{Error, ErrorKind, Result};
use crate::key::Key;
use crate::operator::process::{CoreScope, Scope};
use crate::state::codec::{self, StateValue};
use crate::state::handle::Handle;
use crate::state::schema::StateSchema;
use crate::state::spec::{Spec, settings};

/// One state of one core.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Held {
    /// This core's own elements, or a broadcast state's values, by key.
    own: Vec<Vec<u8>>,
    map: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The elements that all cores had when the job was restored.
    all: Vec<Vec<u8>>,
}

/// The states of one core.
#[derive(Default)]
pub struct OperatorStates {
    held: Vec<Held>,
    specs: Vec<Rc<Spec>>,
}

/// A list of `T` on each core, of whatever the core wants to remember. On another number of cores the elements of all are
/// dealt out in turn. Declared by [`Declare::operator_list`](crate::process::Declare::operator_list).
///
/// ```
/// use millstream::prelude::*;
/// use millstream::state::OperatorList;
///
/// /// Passes on records in pairs, whatever their keys.
/// #[derive(Clone)]
/// struct Pairs;
/// impl Process for Pairs {
///     type Key = u64;
///     type In = u64;
///     type Out = Vec<u64>;
///     type State = OperatorList<u64>;
///     fn declare(&self, state: &mut Declare) -> OperatorList<u64> {
///         state.operator_list("waiting")
///     }
///     fn on_record(&mut self, n: u64, waiting: &OperatorList<u64>, cx: &mut Context<'_, Self>) {
///         waiting.push(cx, &n);
///         if waiting.len(cx) == 2 {
///             let pair = waiting.load(cx);
///             waiting.clear(cx);
///             cx.emit(pair);
///         }
///     }
/// }
/// let job = Job::new("doc");
/// let (sink, pairs) = collect();
/// job.source("numbers", from_vec(vec![1, 2, 3])).key_by(|n| *n).process("pairs", Pairs).sink("out", sink);
/// job.run(Config::new().cores(1))?;
/// assert_eq!(pairs.take(), [[1, 2]]);
/// # Ok::<(), millstream::Error>(())
/// ```
pub struct OperatorList<T> {
    pub(crate) at: Handle,
    of: PhantomData<fn() -> T>,
}

settings!(impl[T: StateValue] OperatorList<T>, of T);

impl<T: StateValue> OperatorList<T> {
    pub(crate) fn new(at: Handle) -> OperatorList<T> {
        OperatorList { at, of: PhantomData }
    }

    /// The elements of this core.
    pub fn iter<'a, S: Scope>(&self, cx: &'a S) -> impl Iterator<Item = &'a T::Archived> + use<'a, S, T> {
        cx.operator().held[self.at.slot].own.iter().map(|bytes| codec::view::<T>(bytes))
    }

    /// A copy of the elements of this core.
    pub fn load(&self, cx: &impl Scope) -> Vec<T> {
        self.iter(cx).map(T::thaw).collect()
    }

    /// How many there are on this core.
    pub fn len(&self, cx: &impl Scope) -> usize {
        cx.operator().held[self.at.slot].own.len()
    }

    /// Whether this core has none.
    pub fn is_empty(&self, cx: &impl Scope) -> bool {
        self.len(cx) == 0
    }

    /// Appends to this core's elements.
    pub fn push(&self, cx: &mut impl Scope, element: &T) {
        cx.operator_mut().held[self.at.slot].own.push(archive(element));
    }

    /// Removes this core's elements.
    pub fn clear(&self, cx: &mut impl Scope) {
        cx.operator_mut().held[self.at.slot].own.clear();
    }
}

/// A list of `T` on each core, as [`OperatorList`]; and what all cores had in it when the job was restored, which each of
/// them can see. Declared by [`Declare::union_list`](crate::process::Declare::union_list).
///
/// Each core can say which it is, and see which others there were:
/// ```
/// # use millstream::prelude::*;
/// use millstream::state::{OperatorList, UnionList};
///
/// fn enlist<P: Process>(name: &String, names: &UnionList<String>, cx: &mut Context<'_, P>) -> usize {
///     if names.own().is_empty(cx) {
///         names.own().push(cx, name);
///     }
///     names.restored(cx).filter(|other| *other != name).count()
/// }
///
/// fn longest<P: Process>(names: &OperatorList<String>, cx: &Context<'_, P>) -> usize {
///     names.iter(cx).map(|name| name.len()).max().unwrap_or(0)
/// }
/// ```
pub struct UnionList<T> {
    pub(crate) at: Handle,
    own: OperatorList<T>,
}

settings!(impl[T: StateValue] UnionList<T>, of T);

impl<T: StateValue> UnionList<T> {
    pub(crate) fn new(at: Handle) -> UnionList<T> {
        let own = OperatorList::new(Handle { slot: at.slot, spec: at.spec.clone() });
        UnionList { at, own }
    }

    /// This core's own elements, to be changed: they are part of the next checkpoint.
    pub fn own(&self) -> &OperatorList<T> {
        &self.own
    }

    /// What all cores had when the job was restored, in the order of the cores; nothing at a first start.
    pub fn restored<'a, S: Scope>(&self, cx: &'a S) -> impl Iterator<Item = &'a T::Archived> + use<'a, S, T> {
        cx.operator().held[self.at.slot].all.iter().map(|bytes| codec::view::<T>(bytes))
    }
}

/// A map that is the same on every core, of rules or settings. It can be written to only where all cores see the same
/// thing in the same order: by what is broadcast ([`BroadcastProcess`](crate::process::BroadcastProcess)), and when a job
/// begins. Copies that differ in a checkpoint are refused. Elsewhere it can only be read:
/// ```compile_fail,E0277
/// # use millstream::prelude::*;
/// # use millstream::state::BroadcastState;
/// fn own_rule<P: Process>(rules: &BroadcastState<u8, u8>, cx: &mut Context<'_, P>) {
///     rules.put(cx, &1, &2); // a record with a key is seen by one core alone
/// }
/// ```
/// Declared by [`Declare::broadcast`](crate::process::Declare::broadcast).
///
/// ```
/// # use millstream::prelude::*;
/// use millstream::process::CoreScope;
/// use millstream::state::BroadcastState;
///
/// /// A rule, or the end of one.
/// fn obey(
///     name: String,
///     limit: Option<u64>,
///     rules: &BroadcastState<String, u64>,
///     cx: &mut impl CoreScope,
/// ) {
///     match limit {
///         Some(limit) => rules.put(cx, &name, &limit),
///         None => _ = rules.remove(cx, &name),
///     }
/// }
///
/// fn is_allowed<P: Process>(
///     name: &String,
///     n: u64,
///     rules: &BroadcastState<String, u64>,
///     cx: &Context<'_, P>,
/// ) -> bool {
///     let total: u64 = rules.iter(cx).map(|(_, limit)| limit.to_native()).sum();
///     rules.get(cx, name).is_none_or(|limit| n <= limit.to_native()) && n <= total
/// }
/// ```
pub struct BroadcastState<K, V> {
    pub(crate) at: Handle,
    of: PhantomData<fn() -> (K, V)>,
}

settings!(impl[K: Key, V: StateValue] BroadcastState<K, V>, of V);

impl<K: Key, V: StateValue> BroadcastState<K, V> {
    pub(crate) fn new(at: Handle) -> BroadcastState<K, V> {
        BroadcastState { at, of: PhantomData }
    }

    /// The value of `key`.
    pub fn get<'a>(&self, cx: &'a impl Scope, key: &K) -> Option<&'a V::Archived> {
        let map = &cx.operator().held[self.at.slot].map;
        key.encoded(|key| map.get(key)).map(|bytes| codec::view::<V>(bytes))
    }

    /// Sets the value of `key`: the same on every core.
    pub fn put(&self, cx: &mut impl CoreScope, key: &K, value: &V) {
        cx.operator_mut().held[self.at.slot].map.insert(key.encoded(<[u8]>::to_vec), archive(value));
    }

    /// Removes `key`: the same on every core. Returns whether it had a value.
    pub fn remove(&self, cx: &mut impl CoreScope, key: &K) -> bool {
        let map = &mut cx.operator_mut().held[self.at.slot].map;
        key.encoded(|key| map.remove(key)).is_some()
    }

    /// The entries, by ascending encoding of their keys.
    pub fn iter<'a, S: Scope>(
        &self,
        cx: &'a S,
    ) -> impl Iterator<Item = (K, &'a V::Archived)> + use<'a, S, K, V> {
        let key = |bytes: &[u8]| K::decode(bytes).expect("it was encoded from a key, or checked on restore");
        let map = &cx.operator().held[self.at.slot].map;
        map.iter().map(move |(bytes, value)| (key(bytes), codec::view::<V>(value)))
    }
}

fn archive<T: StateValue>(value: &T) -> Vec<u8> {
    let mut bytes = rkyv::util::AlignedVec::new();
    codec::encode(value, &mut bytes);
    bytes.to_vec()
}

impl OperatorStates {
    /// What is declared, empty.
    pub(crate) fn new(specs: &[Rc<Spec>]) -> OperatorStates {
        OperatorStates { held: vec![Held::default(); specs.len()], specs: specs.to_vec() }
    }

    /// What the manifest keeps of them, by name; nothing if none is declared.
    pub(crate) fn meta(&self) -> Option<Json> {
        let entries = self.specs.iter().zip(&self.held).map(|(spec, held)| {
            let list = held.own.iter().map(|bytes| Json::String(hex(bytes)));
            let map = held.map.iter().map(|(k, v)| Json::Array(vec![hex(k).into(), hex(v).into()]));
            (spec.name.clone(), list.chain(map).collect())
        });
        (!self.specs.is_empty()).then(|| Json::Object(entries.collect::<Object<String, Json>>()))
    }

    /// What a core has of the states that these parts hold: what it had on as many cores, or what it is dealt.
    ///
    /// # Errors
    /// If what is there cannot be read, or if a broadcast state is not the same in all parts.
    pub(crate) fn restore(
        specs: &[Rc<Spec>],
        parts: &[Part],
        saved: &BTreeMap<String, StateSchema>,
        place: Place,
    ) -> Result<OperatorStates> {
        let mut states = OperatorStates::new(specs);
        for (spec, held) in specs.iter().zip(&mut states.held) {
            let upgrade = saved.get(&spec.name).and_then(|saved| spec.upgrade_from(saved));
            let read = |part: &Part| read(&part.meta["operator"]["states"][&spec.name], spec);
            let copies =
                parts.iter().map(read).collect::<Result<Vec<Held>>>().map_err(|error| at(spec, error))?;
            *held = match spec.called {
                "broadcast" if planted!(broadcast_not_restored) => Held::default(),
                "broadcast" => same_everywhere(copies).map_err(|error| at(spec, error))?,
                "union list" => {
                    let seen = all(&copies);
                    let own = deal(copies, place);
                    Held { all: if planted!(union_not_to_all) { own.own.clone() } else { seen }, ..own }
                }
                _ => deal(copies, place),
            };
            for bytes in held.own.iter_mut().chain(&mut held.all).chain(held.map.values_mut()) {
                if let Some(upgrade) = &upgrade {
                    let mut archive = rkyv::util::AlignedVec::new();
                    (upgrade.run)(bytes, &mut archive).map_err(|error| at(spec, error))?;
                    *bytes = archive.to_vec();
                }
                (spec.check)(bytes).map_err(|error| at(spec, error))?;
            }
        }
        Ok(states)
    }
}

/// A core among those of a step.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub shard: usize,
    /// The cores that the step has records on: the first ones.
    pub cores: usize,
    /// How many these were in the restored checkpoint.
    pub before: usize,
}

fn at(spec: &Spec, error: Error) -> Error {
    error.at(format_args!("state `{}`", spec.name))
}

fn all(copies: &[Held]) -> Vec<Vec<u8>> {
    copies.iter().flat_map(|held| &held.own).cloned().collect()
}

/// A core's own list if the step is on as many cores as it was, or else every so-manieth element of all; nothing for a
/// core that the step has no records on.
fn deal(mut copies: Vec<Held>, Place { shard, cores, before }: Place) -> Held {
    let is_own = before == cores && copies.iter().skip(before).all(|held| held.own.is_empty());
    if shard >= cores {
        return Held::default();
    }
    if is_own && shard < copies.len() {
        return copies.swap_remove(shard);
    }
    let (first, every) = if planted!(list_not_dealt) { (0, 1) } else { (shard, cores) };
    let own = all(&copies).into_iter().skip(first).step_by(every).collect();
    Held { own, ..Held::default() }
}

fn same_everywhere(mut copies: Vec<Held>) -> Result<Held> {
    if let Some(other) = copies.iter().position(|copy| *copy != copies[0]) {
        let message = format!(
            "broadcast state was not the same on cores 0 and {other}; write to it the same on every core, whatever its records"
        );
        return Err(Error::new(ErrorKind::Restore, message));
    }
    Ok(if copies.is_empty() { Held::default() } else { copies.swap_remove(0) })
}

/// What one part holds of a state. A state that was not declared then is empty.
fn read(json: &Json, spec: &Spec) -> Result<Held> {
    let damaged = || Error::new(ErrorKind::Restore, "what the manifest holds of it cannot be read");
    let mut held = Held::default();
    for element in json.as_array().map(Vec::as_slice).unwrap_or_default() {
        match element {
            Json::String(text) => held.own.push(unhex(text).ok_or_else(damaged)?),
            pair => {
                let bytes = |i: usize| pair[i].as_str().and_then(unhex).ok_or_else(damaged);
                (spec.check_key)(&bytes(0)?)?;
                held.map.insert(bytes(0)?, bytes(1)?);
            }
        }
    }
    Ok(held)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests;
