//! Which states a checkpoint holds, and what it says of each.

use millstream_storage::snapshot::{Layout, StoreSnapshot};

use super::shape::{Names, Shape};
use crate::checkpoint::manifest::{Manifest, StepManifest};
use crate::error::{Error, ErrorKind, Result};
use crate::operator::window::accumulators::ACCUMULATORS;
use crate::state::backend::state_id;
use crate::state::schema::{FORMAT, TYPES};
use crate::state::timers::Domain;

/// What the accumulators of a window are called among the states of its step.
pub(crate) const WINDOWS: &str = "windows";
/// What timers are called among the states of their step.
pub(crate) const EVENT_TIMERS: &str = "event-time timers";
pub(crate) const PROCESSING_TIMERS: &str = "processing-time timers";

/// A state in a checkpoint.
///
/// ```
/// # use millstream::prelude::*;
/// # use millstream_storage::disk::{StdDisk, block_on};
/// use millstream::checkpoint::inspect::Checkpoints;
/// use millstream::checkpoint::read::{StateName, states};
/// # #[derive(Clone)]
/// # struct Count;
/// # impl Process for Count {
/// #     type Key = char;
/// #     type In = char;
/// #     type Out = u64;
/// #     type State = Value<u64>;
/// #     fn declare(&self, state: &mut Declare) -> Value<u64> {
/// #         state.value("seen")
/// #     }
/// #     fn on_record(&mut self, _: char, seen: &Value<u64>, cx: &mut Context<'_, Self>) {
/// #         seen.update(cx, |n| *n += 1);
/// #     }
/// # }
/// # let dir = tempfile::tempdir()?;
/// # let job = Job::new("doc");
/// # let letters = job.source("letters", from_vec(vec!['a', 'b', 'a']));
/// # letters.key_by(|c| *c).process("count", Count).sink("nowhere", discard());
/// # job.run(Config::new().cores(1).checkpoints(dir.path()).checkpoint_at_end_only())?;
///
/// let checkpoints = Checkpoints::at(std::rc::Rc::new(StdDisk), dir.path());
/// let manifest = block_on(checkpoints.manifest(1))?;
/// let StateName { step, state, what } = &states(&manifest)[0];
/// assert_eq!((step.as_str(), state.as_str()), ("count", "seen"));
/// assert_eq!(what, "value of u64/8 flat, version 1, without a TTL");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateName {
    /// The step.
    pub step: String,
    /// The state's name in it.
    pub state: String,
    /// What the checkpoint says of it.
    pub what: String,
}

/// The states of a checkpoint by step and name: those that were declared, the accumulators of windows, and timers that
/// are set.
pub fn states(manifest: &Manifest) -> Vec<StateName> {
    let of = |(step, is): (&String, &StepManifest)| {
        let name = |(state, what)| StateName { step: step.clone(), state, what };
        names(is).into_iter().map(name).collect::<Vec<_>>()
    };
    manifest.steps.iter().flat_map(of).collect()
}

/// The states of a step, each with what it is.
fn names(step: &StepManifest) -> Vec<(String, String)> {
    let declared = step.schema.states.iter().map(|(name, of)| (name.clone(), of.to_string()));
    let mut names: Vec<_> = declared.collect();
    if step.schema.kind == "window" {
        let of = |name| step.schema.detail.get(name).map_or("?", String::as_str);
        names.push((WINDOWS.to_owned(), format!("accumulators of {}, {}", of("accumulator"), of("windows"))));
    }
    for (name, domain) in [(EVENT_TIMERS, Domain::Event), (PROCESSING_TIMERS, Domain::Processing)] {
        if parts(step, domain.state()).any(|part| !part.tables.is_empty()) {
            names.push((name.to_owned(), "times and keys".to_owned()));
        }
    }
    names
}

/// The snapshots of a step's stores, with the tables of one state only.
fn parts(step: &StepManifest, state: u32) -> impl Iterator<Item = StoreSnapshot> {
    let stores = step.parts.iter().filter_map(|part| part.store.clone());
    stores.map(move |mut store| {
        store.tables.retain(|table| table.state == state);
        store
    })
}

/// What kind of state it is, by how it lies in the checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Values, reducing and aggregating states.
    Value,
    List,
    Map,
    Timeline,
    Windows,
    Timers,
    /// Lists of the cores, in the manifest.
    CoreList,
    /// Broadcast state, in the manifest.
    Broadcast,
}

/// A state to be read.
pub struct Target {
    pub step: String,
    pub state: String,
    pub kind: Kind,
    pub expires: bool,
    /// What ended at this time had expired when the checkpoint was taken.
    pub clock: i64,
    /// The stores that hold it.
    pub parts: Vec<StoreSnapshot>,
    /// The full name of the step's key type.
    pub key: Type,
    /// Of a map's keys.
    pub entry: Type,
    /// Of what is kept.
    pub value: Type,
    /// As the checkpoint describes it: the kind, the type, the type of a map's keys.
    pub described: (String, String, Option<String>),
}

/// A type by its name, and its shape if that is known.
#[derive(Clone, Debug, Default)]
pub struct Type {
    pub name: String,
    pub(super) shape: Option<Shape>,
}

impl Type {
    fn named(name: &str, names: Names) -> Type {
        Type { name: name.to_owned(), shape: Shape::of(name, names) }
    }
}

impl Target {
    /// Finds a state by its name, and by that of its step if several have one so named.
    pub(super) fn find(manifest: &Manifest, step: Option<&str>, state: &str) -> Result<Target> {
        let refuse = |what: String| Err(Error::new(ErrorKind::Restore, what));
        let all = states(manifest);
        let found: Vec<_> =
            all.iter().filter(|is| is.state == state && step.is_none_or(|step| step == is.step)).collect();
        match &found[..] {
            [one] => Target::of(manifest, one),
            [] if all.is_empty() => refuse(format!("checkpoint {} holds no state", manifest.epoch)),
            [] => {
                let of_step = step.map_or(String::new(), |step| format!("step `{step}` with "));
                let list: Vec<_> =
                    all.iter().map(|is| format!("  {}: {} ({})", is.step, is.state, is.what)).collect();
                let (epoch, list) = (manifest.epoch, list.join("\n"));
                refuse(format!(
                    "checkpoint {epoch} holds no {of_step}state `{state}`; by steps, it holds\n{list}"
                ))
            }
            _ => {
                let steps: Vec<_> = found.iter().map(|is| format!("`{}`", is.step)).collect();
                refuse(format!("the steps {} all have a state `{state}`: name one of them", steps.join(", ")))
            }
        }
    }

    fn of(manifest: &Manifest, name: &StateName) -> Result<Target> {
        let step = &manifest.steps[&name.step];
        let (declared, types) = (step.schema.states.get(&name.state), step.schema.types.get(&name.state));
        let full = types.filter(|types| types.format == TYPES);
        if let Some(schema) = declared.filter(|schema| schema.format != FORMAT) {
            let message =
                format!("state `{}` is of a form that this version does not know [{schema}]", name.state);
            return Err(Error::new(ErrorKind::Restore, message));
        }
        let (kind, id) = match (declared, name.state.as_str()) {
            (Some(schema), _) => (kind(&schema.kind, name)?, state_id(&name.state)),
            (None, WINDOWS) => (Kind::Windows, ACCUMULATORS),
            (None, EVENT_TIMERS) => (Kind::Timers, Domain::Event.state()),
            (None, _) => (Kind::Timers, Domain::Processing.state()),
        };
        let detail = |name: &str| step.schema.detail.get(name).cloned();
        let plain = declared.map(|schema| schema.of.clone()).or(detail("accumulator")).unwrap_or_default();
        let clocks = step.parts.iter().filter_map(|part| part.meta["operator"]["clock"].as_i64());
        let target = Target {
            step: name.step.clone(),
            state: name.state.clone(),
            kind,
            expires: declared.is_some_and(|schema| schema.expires),
            clock: clocks.max().unwrap_or(i64::MIN),
            parts: parts(step, id).collect(),
            key: Type::named(&detail("key").unwrap_or_default(), Names::Full),
            entry: match (full, declared.and_then(|schema| schema.key.as_deref())) {
                (Some(types), _) => Type::named(types.key.as_deref().unwrap_or_default(), Names::Full),
                (None, plain) => Type::named(plain.unwrap_or_default(), Names::Plain),
            },
            value: value_type(full.map(|types| types.of.as_str()), &plain),
            described: match declared {
                Some(schema) => (schema.kind.clone(), plain, schema.key.clone()),
                None => (name.state.clone(), plain, None),
            },
        };
        target.check_layouts()?;
        Ok(target)
    }

    /// How the records of its tables are laid out.
    fn layout(&self) -> Layout {
        Layout { parts: matches!(self.kind, Kind::List | Kind::Map | Kind::Timeline), expires: self.expires }
    }

    fn check_layouts(&self) -> Result<()> {
        let tables = self.parts.iter().flat_map(|part| &part.tables);
        if tables.into_iter().all(|table| table.layout == self.layout()) {
            return Ok(());
        }
        let message = format!(
            "{}: its table is not laid out as its description says; the checkpoint was tampered with",
            self.called()
        );
        Err(Error::new(ErrorKind::Restore, message))
    }

    /// For messages.
    pub(super) fn called(&self) -> String {
        format!("state `{}` of step `{}`", self.state, self.step)
    }
}

fn kind(called: &str, name: &StateName) -> Result<Kind> {
    Ok(match called {
        "value" | "reducing" | "aggregating" => Kind::Value,
        "list" => Kind::List,
        "map" => Kind::Map,
        "timeline" => Kind::Timeline,
        "operator list" | "union list" => Kind::CoreList,
        "broadcast" => Kind::Broadcast,
        other => {
            let message = format!("state `{}` is a {other}, which this version does not know", name.state);
            return Err(Error::new(ErrorKind::Restore, message));
        }
    })
}

/// The type of what is kept, by its full name or else by its fingerprint; its shape is known only if the size of its
/// archive is the one that was saved.
fn value_type(full: Option<&str>, fingerprint: &str) -> Type {
    let (plain, size) = fingerprint.rsplit_once('/').unwrap_or((fingerprint, ""));
    let mut of = match full {
        Some(name) => Type::named(name, Names::Full),
        None => Type::named(plain, Names::Plain),
    };
    let saved: Option<usize> = size.strip_suffix(" flat").unwrap_or(size).parse().ok();
    of.shape = of.shape.filter(|shape| shape.archived_size() == saved && saved.is_some());
    of
}
