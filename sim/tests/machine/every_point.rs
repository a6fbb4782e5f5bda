//! One commit, killed at every point of its life in both ways, and restarted: no point is special.

use std::rc::Rc;

use crate::common::{at_point, then_hang};
use millstream::host::CoreMain;
use millstream_sim::disk::CrashKind;
use millstream_sim::faults::{Cruelty, FaultPlan};
use millstream_sim::world::{World, WorldConfig};
use millstream_storage::disk::{Disk, OpenMode};

async fn replace(disk: &Rc<dyn Disk>, bytes: &[u8]) -> std::io::Result<()> {
    let file = disk.open("job/tmp".as_ref(), OpenMode::Create).await?;
    file.write_at(0, bytes.to_vec().into()).await?;
    file.sync().await?;
    disk.rename("job/tmp".as_ref(), "job/manifest".as_ref()).await?;
    disk.sync_dir("job".as_ref()).await
}

fn commit() -> CoreMain {
    then_hang(|disk| async move { replace(&disk, &[2; 3000]).await.expect("no faults are on") })
}

#[test]
fn a_commit_is_whole_or_absent_wherever_it_is_cut() {
    let (mut old, mut new) = (0, 0);
    for kind in [CrashKind::Process, CrashKind::PowerLoss] {
        for cruelty in [Cruelty::Ordered, Cruelty::Arbitrary, Cruelty::Garbage] {
            for (point, seed) in (0..40).flat_map(|point| (0..20).map(move |seed| (point, seed))) {
                let plan = FaultPlan { cruelty, ..FaultPlan::none() };
                let mut world = World::new(seed, WorldConfig { plan, ..WorldConfig::default() });
                world.disk().install("job/manifest", vec![1; 1000]).expect("a new disk is empty");
                world.set_crash(at_point(point, kind));
                world.run(vec![commit()]);
                let left = world.disk().read("job/manifest").expect("one of the two");
                assert!(
                    left == [1; 1000] || left == [2; 3000],
                    "{kind:?} {cruelty:?} at {point}, seed {seed}"
                );
                *(if left.len() == 1000 { &mut old } else { &mut new }) += 1;
            }
        }
    }
    assert!(old > 500 && new > 500, "old {old}, new {new}");
}
