//! Control tests of the simulated disk: each thing it may take is taken for some seed, and nothing else ever is.

use std::io;

use crate::common::{at_point, main_of, then_hang, write};
use millstream_sim::coverage::{Fault, Site};
use millstream_sim::disk::CrashKind::{self, PowerLoss, Process};
use millstream_sim::faults::{Cruelty, FaultPlan, Spells};
use millstream_sim::random::Chance;
use millstream_sim::world::{RunEnd, World, WorldConfig};
use millstream_storage::disk::{OpenMode, SECTOR};

const CRUELTIES: [Cruelty; 3] = [Cruelty::Ordered, Cruelty::Arbitrary, Cruelty::Garbage];
const LATE: u64 = 200;

/// A world where a power loss takes what `cruelty` allows.
fn cruel(seed: u64, cruelty: Cruelty) -> World {
    World::new(
        seed,
        WorldConfig { plan: FaultPlan { cruelty, ..FaultPlan::none() }, ..WorldConfig::default() },
    )
}

/// How many of `seeds` worlds show something after a process that did `body` and then hung was killed late.
fn count(
    seeds: u64,
    cruelty: Cruelty,
    kind: CrashKind,
    main: fn() -> millstream::host::CoreMain,
    shows: impl Fn(&World) -> bool,
) -> u64 {
    let seen = |seed| {
        let mut world = cruel(seed, cruelty);
        world.set_crash(at_point(LATE, kind));
        assert_eq!(world.run(vec![main()]), RunEnd::Crashed(kind));
        u64::from(shows(&world))
    };
    (0..seeds).map(seen).sum()
}

fn unsynced() -> millstream::host::CoreMain {
    then_hang(|disk| async move {
        write(&disk, "a", b"some bytes").await;
        disk.sync_dir("".as_ref()).await.expect("no faults are on");
    })
}

#[test]
fn an_unsynced_file_loses_its_bytes_for_some_seed() {
    for cruelty in CRUELTIES {
        let lost = count(100, cruelty, PowerLoss, unsynced, |world| {
            world.disk().read("a").expect("synced name") != b"some bytes"
        });
        assert!((20..100).contains(&lost), "{lost} of 100, {cruelty:?}");
    }
}

#[test]
fn a_process_crash_takes_nothing_that_was_written() {
    let lost = count(100, Cruelty::Arbitrary, Process, unsynced, |world| {
        world.disk().read("a").expect("the cache survives") != b"some bytes"
    });
    assert_eq!(lost, 0);
}

#[test]
fn what_a_process_crash_left_in_the_cache_a_later_power_loss_takes() {
    let mut lost = 0;
    for seed in 0..100 {
        let mut world = cruel(seed, Cruelty::Arbitrary);
        world.set_crash(at_point(LATE, Process));
        world.run(vec![unsynced()]);
        world.cut_power();
        lost += u32::from(world.disk().read("a").expect("synced name") != b"some bytes");
    }
    assert!(lost > 20, "{lost} of 100");
}

#[test]
fn a_name_that_was_not_synced_is_lost_for_some_seed_and_its_content_with_it() {
    let main = || {
        then_hang(|disk| async move {
            write(&disk, "a", b"x").await.sync().await.expect("no faults are on");
        })
    };
    for cruelty in CRUELTIES {
        let lost = count(100, cruelty, PowerLoss, main, |world| world.disk().read("a").is_err());
        assert!((20..90).contains(&lost), "{lost} of 100, {cruelty:?}");
    }
}

fn rename_over() -> millstream::host::CoreMain {
    then_hang(|disk| async move {
        for (name, bytes) in [("a", b"old"), ("b", b"new")] {
            write(&disk, name, bytes).await.sync().await.expect("no faults are on");
        }
        disk.sync_dir("".as_ref()).await.expect("no faults are on");
        disk.rename("b".as_ref(), "a".as_ref()).await.expect("both exist");
    })
}

#[test]
fn a_rename_without_a_directory_sync_is_lost_for_some_seed_and_never_both_files() {
    for cruelty in CRUELTIES {
        let old = count(200, cruelty, PowerLoss, rename_over, |world| {
            let a = world.disk().read("a").expect("one of the two");
            assert!(a == b"old" || a == b"new");
            a == b"old"
        });
        assert!((40..180).contains(&old), "{old} of 200, {cruelty:?}");
    }
    let both = count(500, Cruelty::Arbitrary, PowerLoss, rename_over, |world| {
        let disk = world.disk();
        disk.read("a").is_ok_and(|a| a == b"new") && disk.read("b").is_ok()
    });
    assert!(both > 0, "a cruel disk may keep both names");
}

#[test]
fn name_operations_survive_in_any_order_on_a_cruel_disk_and_as_a_prefix_on_an_ordered_one() {
    let main = || {
        then_hang(|disk| async move {
            for name in ["1", "2", "3"] {
                write(&disk, name, b"").await;
            }
        })
    };
    let gap = |world: &World| {
        let there: Vec<_> = ["1", "2", "3"].map(|name| world.disk().read(name).is_ok()).to_vec();
        there.windows(2).any(|two| !two[0] && two[1])
    };
    assert!(count(200, Cruelty::Arbitrary, PowerLoss, main, gap) > 20);
    assert_eq!(count(200, Cruelty::Ordered, PowerLoss, main, gap), 0);
}

#[test]
fn what_was_synced_with_its_name_is_never_lost() {
    let main = || {
        then_hang(|disk| async move {
            disk.create_dir_all("d/e".as_ref()).await.expect("a new disk is empty");
            let file = write(&disk, "d/e/tmp", &[7; 3000]).await;
            file.sync().await.expect("no faults are on");
            disk.rename("d/e/tmp".as_ref(), "d/e/a".as_ref()).await.expect("it exists");
            disk.sync_dir("d/e".as_ref()).await.expect("no faults are on");
            write(&disk, "d/e/noise", &[8; 3000]).await;
        })
    };
    for cruelty in CRUELTIES {
        let kept = count(1000, cruelty, PowerLoss, main, |world| {
            world.disk().read("d/e/a").is_ok_and(|a| a == [7; 3000])
        });
        assert_eq!(kept, 1000, "{cruelty:?}");
    }
}

#[test]
fn a_forgiving_disk_makes_the_control_tests_see_no_loss() {
    for seed in 0..200 {
        let plan = FaultPlan { cruelty: Cruelty::Garbage, ..FaultPlan::none() };
        let mut world = World::new(seed, WorldConfig { plan, forgiving: true, ..WorldConfig::default() });
        world.set_crash(at_point(LATE, PowerLoss));
        world.run(vec![unsynced()]);
        assert_eq!(world.disk().read("a").expect("it forgives"), b"some bytes");
        let coverage = world.disk().coverage();
        assert_eq!(coverage.total(Fault::LostWrite) + coverage.total(Fault::LostName), 0);
    }
}

#[test]
fn a_write_in_flight_at_a_crash_is_done_not_done_or_torn() {
    let (mut done, mut undone, mut torn) = (0, 0, 0);
    for seed in 0..500 {
        let mut world = cruel(seed, Cruelty::Ordered);
        world.disk().install("a", vec![0; 4096]).expect("a new disk is empty");
        let end = world.run(vec![main_of(|host| async move {
            let file = host.disk().open("b".as_ref(), OpenMode::Create).await.expect("the name is free");
            let mut write = file.write_at(0, vec![1; 4096].into());
            std::future::poll_fn(|cx| {
                // Issued, and left in flight when the process ends.
                assert!(write.as_mut().poll(cx).is_pending());
                std::task::Poll::Ready(())
            })
            .await;
        })]);
        assert_eq!(end, RunEnd::Finished);
        match world.disk().read("b").expect("the cache survives").len() {
            0 => undone += 1,
            4096 => done += 1,
            _ => torn += 1,
        }
    }
    assert!(done > 50 && undone > 50 && torn > 50, "done {done}, undone {undone}, torn {torn}");
}

#[test]
fn operations_in_flight_together_overtake_each_other() {
    let mut order = std::collections::BTreeSet::new();
    for seed in 0..100 {
        let mut world = World::new(seed, WorldConfig::default());
        world.run(vec![main_of(|host| async move {
            let disk = host.disk();
            let file = disk.open("a".as_ref(), OpenMode::Create).await.expect("the name is free");
            let (mut one, mut two) = (file.write_at(0, vec![1].into()), file.write_at(0, vec![2].into()));
            std::future::poll_fn(|cx| {
                let (one, two) = (one.as_mut().poll(cx), two.as_mut().poll(cx));
                assert!(one.is_pending() && two.is_pending());
                std::task::Poll::Ready(())
            })
            .await;
            one.await.expect("no faults are on");
            two.await.expect("no faults are on");
        })]);
        order.insert(world.disk().read("a").expect("written"));
    }
    assert_eq!(order.len(), 2);
}

#[test]
fn a_failed_sync_loses_data_and_a_second_one_is_a_violation() {
    let mut lost = 0;
    for seed in 0..200 {
        let plan =
            FaultPlan { sync_error: Chance::of(1, 2), cruelty: Cruelty::Arbitrary, ..FaultPlan::none() };
        let mut world = World::new(seed, WorldConfig { plan, ..WorldConfig::default() });
        world.disk().install("dir/keep", "").expect("a new disk is empty");
        world.set_crash(at_point(LATE, PowerLoss));
        world.run(vec![then_hang(|disk| async move {
            let file = write(&disk, "dir/a", b"some bytes").await;
            while file.sync().await.is_err() {}
            while disk.sync_dir("dir".as_ref()).await.is_err() {}
        })]);
        let failed = world.disk().coverage().total(Fault::SyncError) > 0;
        let violated = !world.disk().violations().is_empty();
        let bytes = world.disk().read("dir/a").expect("its name was synced");
        assert!(failed || bytes == b"some bytes");
        assert!(failed || !violated);
        lost += u32::from(violated && bytes != b"some bytes");
    }
    assert!(lost > 20, "{lost} of 200");
}

#[test]
fn a_lock_has_one_holder_until_it_is_dropped_or_its_process_is_killed() {
    let mut world = World::new(1, WorldConfig::default());
    let lock_twice = || {
        then_hang(|disk| async move {
            let first = disk.lock("lease".as_ref()).await.expect("nobody holds it");
            let Err(refused) = disk.lock("lease".as_ref()).await else { panic!("two holders") };
            assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
            drop(first);
            std::mem::forget(disk.lock("lease".as_ref()).await.expect("the first was dropped"));
        })
    };
    for _ in 0..3 {
        world.set_crash(at_point(LATE, Process));
        assert_eq!(world.run(vec![lock_twice()]), RunEnd::Crashed(Process));
    }
}

#[test]
fn destructors_of_a_killed_process_leave_no_trace_on_the_disk() {
    /// Tries to remove a file when it is dropped.
    struct Cleanup(std::rc::Rc<dyn millstream_storage::disk::Disk>);
    impl Drop for Cleanup {
        fn drop(&mut self) {
            drop(self.0.remove("a".as_ref()));
        }
    }
    for seed in 0..20 {
        let mut world = World::new(seed, WorldConfig::default());
        world.set_crash(at_point(LATE, Process));
        world.run(vec![then_hang(|disk| async move {
            write(&disk, "a", b"x").await;
            std::mem::forget(disk.clone());
            let cleanup = Cleanup(disk);
            std::future::pending::<()>().await;
            drop(cleanup);
        })]);
        world.run(vec![main_of(|host| async move { host.yield_now().await })]);
        assert!(world.disk().read("a").is_ok());
    }
}

#[test]
fn open_files_are_counted_until_they_are_dropped() {
    let mut world = World::new(1, WorldConfig::default());
    for _ in 0..2 {
        world.run(vec![main_of(|host| async move {
            let disk = host.disk();
            let mut open = Vec::new();
            for at in 0..6 {
                let path = format!("{at}-{:?}", host.monotonic());
                open.push(write(&disk, &path, b"").await);
                if open.len() == 3 {
                    open.clear();
                }
            }
        })]);
    }
    assert_eq!(world.disk().most_open_files(), 3);
}

#[test]
fn the_seam_of_the_disk_is_kept() {
    let mut world = World::new(3, WorldConfig::default());
    world.disk().install("dir/a", "abc").expect("a new disk is empty");
    let end = world.run(vec![main_of(|host| async move {
        let disk = host.disk();
        let kind = |result: io::Result<()>| result.expect_err("must be refused").kind();
        let open = |path: &'static str, mode| {
            let disk = disk.clone();
            async move { disk.open(path.as_ref(), mode).await.map(|_| ()) }
        };
        assert_eq!(kind(open("nothing", OpenMode::Read).await), io::ErrorKind::NotFound);
        assert_eq!(kind(open("nowhere/b", OpenMode::Create).await), io::ErrorKind::NotFound);
        assert_eq!(kind(open("dir/a", OpenMode::Create).await), io::ErrorKind::AlreadyExists);
        assert_eq!(kind(open("dir", OpenMode::Read).await), io::ErrorKind::IsADirectory);
        assert_eq!(kind(disk.remove("nothing".as_ref()).await), io::ErrorKind::NotFound);
        assert_eq!(kind(disk.rename("nothing".as_ref(), "x".as_ref()).await), io::ErrorKind::NotFound);
        assert_eq!(kind(disk.sync_dir("nowhere".as_ref()).await), io::ErrorKind::NotFound);
        let direct = disk.open("dir/d".as_ref(), OpenMode::CreateDirect).await.expect("the name is free");
        assert_eq!(kind(direct.write_at(1, vec![0; SECTOR].into()).await), io::ErrorKind::InvalidInput);
        assert_eq!(kind(direct.write_at(0, vec![0; 1].into()).await), io::ErrorKind::InvalidInput);
        direct.write_at(SECTOR as u64, vec![0; SECTOR].into()).await.expect("whole sectors");
        let a = disk.open("dir/a".as_ref(), OpenMode::Read).await.expect("installed");
        assert_eq!(kind(a.write_at(0, vec![0].into()).await), io::ErrorKind::PermissionDenied);
        disk.remove("dir/a".as_ref()).await.expect("installed");
        assert_eq!(a.read_at(1, 100).await.expect("an open file outlives its name"), b"bc");
        assert_eq!(a.read_at(9, 100).await.expect("past the end there is nothing"), b"");
        let names: Vec<_> =
            disk.list("".as_ref()).await.expect("a root").into_iter().map(|e| (e.name, e.is_dir)).collect();
        assert_eq!(names, [("dir".to_owned(), true)]);
        assert_eq!(disk.list("dir".as_ref()).await.expect("exists")[0].len, 2 * SECTOR as u64);
    })]);
    assert_eq!(end, RunEnd::Finished);
}

#[test]
fn a_full_disk_and_missing_descriptors_pass() {
    let spells = Some(Spells {
        gap: std::time::Duration::from_millis(2),
        length: std::time::Duration::from_millis(20),
    });
    let plan = FaultPlan { no_space: spells, too_many_files: spells, ..FaultPlan::none() };
    let mut full = 0;
    let mut empty = 0;
    for seed in 0..20 {
        let mut world = World::new(seed, WorldConfig { plan: plan.clone(), ..WorldConfig::default() });
        let end = world.run(vec![main_of(|host| async move {
            let mut done = 0;
            while done < 50 {
                let path = format!("output-{done}");
                if let Ok(file) = host.disk().open(path.as_ref(), OpenMode::Create).await {
                    // A write that fails may have been done in part; what was asked for is not acknowledged.
                    while file.write_at(0, vec![1; 100].into()).await.is_err() {}
                    done += 1;
                }
            }
        })]);
        assert_eq!(end, RunEnd::Finished);
        full += world.disk().coverage().count(Fault::NoSpace, Site::Output);
        empty += world.disk().coverage().count(Fault::TooManyFiles, Site::Output);
    }
    assert!(full > 100 && empty > 100, "{full} {empty}");
}

#[test]
fn beyond_tolerance_stored_bytes_rot_go_bad_or_go_astray_but_never_those_of_inputs() {
    type Set = fn(&mut FaultPlan);
    let faults: [(Fault, Set); 3] = [
        (Fault::BitRot, |plan| plan.bit_rot = Chance::of(1, 2)),
        (Fault::LatentSector, |plan| plan.latent_sector = Chance::of(1, 2)),
        (Fault::Misdirected, |plan| plan.misdirected = Chance::of(1, 2)),
    ];
    for (fault, set) in faults {
        let mut plan = FaultPlan::none();
        assert!(!plan.is_beyond_tolerance());
        set(&mut plan);
        assert!(plan.is_beyond_tolerance());
        let mut harmed = 0;
        for seed in 0..50 {
            let mut world = World::new(seed, WorldConfig { plan: plan.clone(), ..WorldConfig::default() });
            world.disk().install("input", vec![5; 4096]).expect("a new disk is empty");
            world.run(vec![main_of(|host| async move {
                let disk = host.disk();
                let file = write(&disk, "output", &[6; 4096]).await;
                file.write_at(4096, vec![7; 4096].into()).await.expect("it does not know");
                drop(file.read_at(0, 8192).await);
                let input = disk.open("input".as_ref(), OpenMode::Read).await.expect("installed");
                assert_eq!(input.read_at(0, 4096).await.expect("spared"), [5; 4096]);
            })]);
            let right = [[6; 4096], [7; 4096]].concat();
            let coverage = world.disk().coverage();
            let hit = coverage.total(fault) > 0;
            let changed = world.disk().read("output").expect("written") != right;
            assert_eq!(changed, hit && fault != Fault::LatentSector, "{fault:?}, seed {seed}");
            assert_eq!(coverage.count(fault, Site::Input), 0);
            harmed += u32::from(hit);
        }
        assert!(harmed > 5, "{fault:?}: {harmed} of 50");
    }
}
