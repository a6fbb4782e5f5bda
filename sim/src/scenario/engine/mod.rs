//! The shipped engine with jobs of every kind, killed and restarted under faults until they are done.

mod alarms;
mod aligned;
mod async_map;
mod batch;
mod beyond;
mod broker;
mod connected;
mod cores;
mod data;
mod failover;
mod files;
mod formats;
mod joins;
mod kinds;
mod larger;
mod levels;
mod outputs;
mod postgres;
mod process;
mod remote;
mod rescale;
mod rotten;
mod savepoints;
mod shelves;
mod supervised;
mod topics;
mod unaligned;
mod union;
mod versions;
mod windows;
mod windows_clock;
mod windows_merging;
mod windows_pool;
mod windows_stacked;
mod windows_triggers;

use super::{Body, Finding, Options, Scenario, restart_until_done};
use crate::harness::{
    Knobs, STATE, Tolerance, Work, checkpoints, endure, expected, is_behind, is_overtaken, judge, marks,
    replays, survivable, zombies,
};
use crate::world::World;

fn scenario(name: &'static str, about: &'static str, body: Body) -> Scenario {
    Scenario { name, about, planted: false, is_job: true, config: survivable, body }
}

/// The scenario of a kind of work, made from the streams of a seed.
fn of<W: Work + 'static>(
    name: &'static str,
    about: &'static str,
    make: impl Fn(&mut World) -> W + Send + Sync + 'static,
) -> Scenario {
    let body = move |world: &mut World, options: &Options| {
        let work = make(world);
        endure(world, options, &work, Tolerance::Faults)
    };
    scenario(name, about, Box::new(body))
}

/// Processes that stand still where there is one directory, and one disk: their successors are refused.
fn frozen() -> Scenario {
    let body = |world: &mut World, options: &Options| {
        let work: Box<dyn Work> = match world.streams().stream("frozen").below(4) {
            0 => Box::new(process::Keyed::new(world)),
            1 => Box::new(files::Files::new(world)),
            2 => Box::new(topics::Topics::new(world)),
            _ => Box::new(outputs::Outputs::new(world)),
        };
        endure(world, options, &*work, Tolerance::Faults)
    };
    let about = "processes that stand still and keep their leases";
    Scenario { config: zombies::often, ..scenario("frozen", about, Box::new(body)) }
}

/// Every scenario with the engine.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        of("windows", "a window with late records, of one split out of order", |world| {
            windows::Windows::new(world)
        }),
        of("slices", "windows that overlap, some larger than memory", |world| {
            windows_merging::Merging::slices(world)
        }),
        of("sessions", "sessions that grow and merge, some larger than memory", |world| {
            windows_merging::Merging::sessions(world)
        }),
        of("triggers", "windows with triggers and evictors, some larger than memory", |world| {
            windows_triggers::Triggers::new(world)
        }),
        of("stacked", "windows over the results of windows", |world| windows_stacked::Stacked::new(world)),
        of("clock", "windows of the clock", |world| windows_clock::Clock::new(world)),
        of("process", "state and timers per key", |world| process::Keyed::new(world)),
        of("union", "two sources of several splits that pause", |world| union::Union::new(world)),
        union::idle_scenario(),
        union::narrow_scenario(),
        levels::scenario(),
        of("aligned", "sources of uneven pace that wait for each other", |world| {
            aligned::Aligned::new(world)
        }),
        of("connected", "two streams and a broadcast one, side outputs and partitioners", |world| {
            connected::Connected::new(world)
        }),
        of("files", "from files through a window into files", |world| files::Files::new(world)),
        of("poison", "files with lines that cannot be decoded", |world| files::Files::poisoned(world)),
        of("formats", "from files of NDJSON and CSV, plain and compressed", |world| {
            files::Files::formatted(world)
        }),
        of("outputs", "into partitioned, rolled and long files, some with a footer", |world| {
            outputs::Outputs::new(world)
        }),
        of("alarms", "timers that wait for the clock, which jumps", |world| alarms::Alarms::new(world)),
        of("kinds", "all kinds of state, with a TTL and timers", |world| kinds::Kinds::new(world)),
        of("crowded", "all kinds of state, larger than memory", |world| kinds::Kinds::crowded(world)),
        of("rescale", "a window and a process, on another number of cores each time", |world| {
            rescale::Both::new(world)
        }),
        supervised::scenario_of_restarts(),
        of("narrow", "a window and a process, each on other cores each time", |world| {
            rescale::Both::narrow(world)
        }),
        of("unaligned", "barriers that overtake what waits", |world| unaligned::Unaligned::new(world)),
        of("larger", "a window and a process whose state is larger than memory", |world| {
            larger::Larger::new(world)
        }),
        of("joins", "joins of two streams, and the ready steps, out of order", |world| {
            joins::Joins::new(world)
        }),
        of("cores", "lists of cores, on another number of cores each time", |world| cores::Cores::new(world)),
        of("versions", "state that becomes another type in mid-life", |world| versions::Versions::new(world)),
        of("topics", "from a topic through a window into a topic", topics::Topics::new),
        savepoints::scenario(),
        of("postgres", "a window into the tables of a database whose connections break", |world| {
            postgres::Tables::new(world)
        }),
        of("broker", "from topic to topic of a broker that is late, twice, or not there", |world| {
            broker::Topics::new(world)
        }),
        remote::scenario(),
        remote::scenario_of_zombies(),
        failover::scenario(),
        frozen(),
        async_map::scenario(),
        of("batch", "final results alone, of input far out of order", |world| batch::Batch::new(world)),
        beyond::scenario(),
        rotten::scenario(),
    ]
}
