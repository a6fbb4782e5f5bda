//! A control of the simulator itself: a disk that keeps what was not synced would make every other scenario pass.

use millstream::host::CoreMain;
use millstream_storage::disk::OpenMode;

use super::{Finding, Scenario};
use crate::faults::{Cruelty, FaultPlan};
use crate::random::Streams;
use crate::world::{RunEnd, World, WorldConfig};

/// Files that are written and not synced: an honest disk keeps all of them once in more than 2³² seeds.
const FILES: usize = 64;

fn write_unsynced(file: usize) -> CoreMain {
    Box::new(move |host| {
        Box::pin(async move {
            let path = format!("delta-{file}");
            let opened = host.disk().open(path.as_ref(), OpenMode::Create).await.expect("every name is new");
            opened.write_at(0, vec![1; 1000].into()).await.expect("no faults are on");
        })
    })
}

fn run(world: &mut World) -> Result<(), Finding> {
    let rule = "of what was not synced, a power loss takes a part";
    let mut survived = 0;
    for file in 0..FILES {
        let end = world.run(vec![write_unsynced(file)]);
        if end != RunEnd::Finished {
            return Err(Finding::new(super::PROGRESS, end.to_string()));
        }
        world.cut_power();
        let left = world.disk().read(format!("delta-{file}"));
        survived += usize::from(left.is_ok_and(|bytes| bytes == [1; 1000]));
    }
    if survived == FILES { Err(Finding::new(rule, format!("all of {FILES} files survived"))) } else { Ok(()) }
}

fn honest(streams: &Streams) -> WorldConfig {
    let cruelty = *streams.stream("plan").pick(&[Cruelty::Ordered, Cruelty::Arbitrary, Cruelty::Garbage]);
    WorldConfig { plan: FaultPlan { cruelty, ..FaultPlan::none() }, ..WorldConfig::default() }
}

fn forgiving(streams: &Streams) -> WorldConfig {
    WorldConfig { forgiving: true, ..honest(streams) }
}

/// The control, and the faulty simulator that it must notice.
pub fn scenarios() -> Vec<Scenario> {
    let scenario = |name, about, planted, config| Scenario {
        name,
        about,
        planted,
        is_job: false,
        config,
        body: Box::new(|world, _| run(world)),
    };
    vec![
        scenario("control", "unsynced files are lost in part", false, honest as fn(&Streams) -> WorldConfig),
        scenario("control-forgiving-disk", "the simulated disk keeps unsynced bytes", true, forgiving),
    ]
}
