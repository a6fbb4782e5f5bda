//! The file system behaves the same on every host.

mod host_support;

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use host_support::run;
use millstream::host::DiskError;
use millstream_storage::disk::{Buffer, DirEntry, Disk, OpenMode, SECTOR, SharedBytes};
use tempfile::TempDir;

// Under the build directory, which lies on a disk; the system's temporary directory may lie in memory.
fn directory() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory to test in")
}

async fn write(disk: &Rc<dyn Disk>, path: &Path, mode: OpenMode, bytes: Vec<u8>) {
    let file = disk.open(path, mode).await.unwrap();
    file.write_at(0, bytes.into()).await.unwrap();
    file.sync().await.unwrap();
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index / 7 % 251) as u8).collect()
}

// Bytes whose memory starts at an odd address.
fn unaligned(bytes: &[u8]) -> SharedBytes {
    let mut moved = vec![0; bytes.len() + 1];
    let skip = if (moved.as_ptr() as usize).is_multiple_of(2) { 1 } else { 0 };
    moved[skip..skip + bytes.len()].copy_from_slice(bytes);
    SharedBytes::from(moved).slice(skip..skip + bytes.len())
}

// Bytes whose memory starts at a multiple of a sector.
fn aligned(bytes: &[u8]) -> SharedBytes {
    let mut moved = vec![0; bytes.len() + SECTOR];
    let skip = moved.as_ptr().align_offset(SECTOR);
    moved[skip..skip + bytes.len()].copy_from_slice(bytes);
    SharedBytes::from(moved).slice(skip..skip + bytes.len())
}

both_hosts! {
    fn what_was_written_is_read_back_in_parts_and_up_to_the_end(kind) {
        let place = directory();
        let path = place.path().join("file");
        run(kind, |host| async move {
            let disk = host.disk();
            let bytes = pattern(1_500_001);
            write(&disk, &path, OpenMode::Create, bytes.clone()).await;
            for mode in [OpenMode::Read, OpenMode::ReadDirect] {
                let file = disk.open(&path, mode).await.unwrap();
                assert_eq!(file.len().await.unwrap(), bytes.len() as u64);
                assert!(file.read_at(0, bytes.len()).await.unwrap() == bytes);
                assert_eq!(file.read_at(3, 10).await.unwrap(), bytes[3..13]);
                assert_eq!(file.read_at(4090, 20).await.unwrap(), bytes[4090..4110]);
                assert_eq!(file.read_at(1_500_000, 10).await.unwrap(), bytes[1_500_000..]);
                assert_eq!(file.read_at(9_999_999, 10).await.unwrap(), [0_u8; 0]);
                assert_eq!(file.read_at(5, 0).await.unwrap(), [0_u8; 0]);
            }
        });
    }

    fn many_direct_reads_are_under_way_at_once(kind) {
        let place = directory();
        let path = place.path().join("file");
        run(kind, |host| async move {
            let disk = host.disk();
            let bytes = pattern(4 << 20);
            write(&disk, &path, OpenMode::Create, bytes.clone()).await;
            let file = disk.open(&path, OpenMode::ReadDirect).await.unwrap();
            // More than the ring holds, some of them within sectors and across memory that is used again.
            let places = (0..1000).map(|index| (index * 4099 % (4 << 20), 1 + index * 37 % 20_000));
            let reads: Vec<_> = places.map(|(at, len)| (at, len, file.read_at(at as u64, len))).collect();
            for (at, len, read) in reads {
                let end = bytes.len().min(at + len);
                assert!(read.await.unwrap() == bytes[at..end], "{len} bytes at {at}");
            }
        });
    }

    fn whole_sectors_are_read_into_a_buffer_in_any_order_and_up_to_the_end(kind) {
        let place = directory();
        let path = place.path().join("file");
        run(kind, |host| async move {
            let disk = host.disk();
            let bytes = pattern(3 * 1024 * 1024 + 5);
            write(&disk, &path, OpenMode::Create, bytes.clone()).await;
            for mode in [OpenMode::Read, OpenMode::ReadDirect] {
                let file = disk.open(&path, mode).await.unwrap();
                assert_eq!(file.len().await.unwrap(), bytes.len() as u64);
                // Longer than one request to the kernel, and all three under way at once.
                let size = 1536 * 1024;
                let starts = [size, 0, 2 * size];
                let reads = starts.map(|start| file.read_into(start as u64, Buffer::new(size)));
                for (start, read) in starts.into_iter().zip(reads) {
                    let (buffer, read) = read.await.unwrap();
                    assert_eq!(read, size.min(bytes.len() - start));
                    assert!(buffer.as_slice()[..read] == bytes[start..start + read]);
                }
                let (_, read) = file.read_into(8 << 20, Buffer::new(SECTOR)).await.unwrap();
                assert_eq!(read, 0, "there is nothing behind the end");
            }
        });
    }

    fn direct_writes_take_memory_of_any_alignment(kind) {
        let place = directory();
        run(kind, |host| async move {
            let disk = host.disk();
            let bytes = pattern(5 * 1024 * 1024 + SECTOR);
            for (name, shared) in [("odd", unaligned(&bytes)), ("even", aligned(&bytes))] {
                let path = place.path().join(name);
                let file = disk.open(&path, OpenMode::CreateDirect).await.unwrap();
                let half = bytes.len() / SECTOR / 2 * SECTOR;
                // The second half first: offsets may come in any order.
                file.write_at(half as u64, shared.slice(half..bytes.len())).await.unwrap();
                file.write_at(0, shared.slice(0..half)).await.unwrap();
                file.sync().await.unwrap();
                assert_eq!(file.len().await.unwrap(), bytes.len() as u64);
                assert_eq!(file.read_at(4090, 20).await.unwrap(), bytes[4090..4110]);
                let end = bytes.len() - 3;
                assert_eq!(file.read_at(end as u64, 100).await.unwrap(), bytes[end..]);
                assert_eq!(file.read_at(bytes.len() as u64 + 5, 100).await.unwrap(), [0_u8; 0]);
                drop(file);
                assert!(std::fs::read(&path).unwrap() == bytes);
            }
        });
    }

    fn direct_writes_work_where_direct_io_does_not(kind) {
        // Memory-backed file systems take the other path.
        let Ok(place) = tempfile::tempdir_in("/dev/shm") else { return };
        let path = place.path().join("file");
        run(kind, |host| async move {
            let bytes = pattern(3 * SECTOR);
            write(&host.disk(), &path, OpenMode::CreateDirect, bytes.clone()).await;
            assert!(std::fs::read(&path).unwrap() == bytes);
        });
    }

    fn a_taken_name_is_not_created_again(kind) {
        let place = directory();
        let path = place.path().join("file");
        run(kind, |host| async move {
            let disk = host.disk();
            write(&disk, &path, OpenMode::Create, pattern(10)).await;
            for mode in [OpenMode::Create, OpenMode::CreateDirect] {
                let error = disk.open(&path, mode).await.err().expect("the name is taken");
                assert_eq!(error.kind(), ErrorKind::AlreadyExists);
            }
            assert_eq!(std::fs::read(&path).unwrap(), pattern(10));
        });
    }

    fn names_are_listed_renamed_and_removed(kind) {
        let place = directory();
        let root = place.path().to_owned();
        run(kind, |host| async move {
            let disk = host.disk();
            let deep = root.join("a/b/c");
            disk.create_dir_all(&deep).await.unwrap();
            disk.create_dir_all(&deep).await.unwrap();
            write(&disk, &root.join("a/new"), OpenMode::Create, pattern(3)).await;
            write(&disk, &root.join("a/old"), OpenMode::Create, pattern(9)).await;
            disk.rename(&root.join("a/new"), &root.join("a/old")).await.unwrap();
            disk.sync_dir(&root.join("a")).await.unwrap();
            let expected = [("b", 0, true), ("old", 3, false)]
                .map(|(name, len, is_dir)| DirEntry { name: name.to_owned(), len, is_dir });
            assert_eq!(disk.list(&root.join("a")).await.unwrap(), expected);
            disk.remove(&root.join("a/old")).await.unwrap();
            assert_eq!(disk.list(&deep).await.unwrap(), []);
            assert!(!root.join("a/old").exists());
        });
    }

    fn errors_name_the_operation_and_the_path_and_keep_their_kind(kind) {
        let place = directory();
        let path = place.path().join("missing");
        run(kind, |host| async move {
            let disk = host.disk();
            let errors = [
                ("open", disk.open(&path, OpenMode::Read).await.err()),
                ("open", disk.open(&path, OpenMode::ReadDirect).await.err()),
                ("rename to", disk.rename(&path, &path.with_extension("new")).await.err()),
                ("remove", disk.remove(&path).await.err()),
                ("sync directory", disk.sync_dir(&path).await.err()),
                ("list", disk.list(&path).await.err()),
                ("create", disk.open(&path.join("x"), OpenMode::CreateDirect).await.err()),
            ];
            for (operation, error) in errors {
                let error = error.unwrap_or_else(|| panic!("{operation} of a missing file succeeded"));
                assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
                assert!(error.to_string().starts_with(&format!("cannot {operation}")), "{error}");
                assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
                let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<DiskError>());
                assert_eq!(inner.expect("a disk error").source.raw_os_error(), Some(libc::ENOENT));
            }
        });
    }

    fn a_failed_write_says_where(kind) {
        let place = directory();
        let path = place.path().join("file");
        run(kind, |host| async move {
            let disk = host.disk();
            write(&disk, &path, OpenMode::Create, pattern(10)).await;
            let file = disk.open(&path, OpenMode::Read).await.unwrap();
            let error = file.write_at(7, pattern(5).into()).await.expect_err("it is open to read only");
            assert!(error.to_string().starts_with("cannot write 5 bytes at 7 of /"), "{error}");
        });
    }

    fn a_lock_has_one_holder_until_its_lease_is_dropped(kind) {
        let place = directory();
        let path = place.path().join("lock");
        run(kind, |host| async move {
            let disk = host.disk();
            let lease = disk.lock(&path).await.unwrap();
            assert_eq!(lease.path, path);
            let error = disk.lock(&path).await.err().expect("it is held");
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            assert!(error.to_string().contains("another process or job holds it"), "{error}");
            drop(lease);
            disk.lock(&path).await.unwrap();
        });
    }

    fn a_dropped_operation_still_runs_to_its_end(kind) {
        let place = directory();
        let path = place.path().join("file");
        let (bytes, own) = (pattern(8 << 20), path.clone());
        let expected = bytes.clone();
        run(kind, |host| async move {
            let file = host.disk().open(&own, OpenMode::CreateDirect).await.unwrap();
            // Dropped at once, together with the file, and the main ends.
            drop(file.write_at(0, bytes.into()));
        });
        assert!(std::fs::read(&path).unwrap() == expected);
    }

    fn more_direct_writes_than_a_ring_holds_may_be_under_way(kind) {
        let place = directory();
        let path = place.path().join("file");
        run(kind, |host| async move {
            let file = host.disk().open(&path, OpenMode::CreateDirect).await.unwrap();
            let piece = 4 * SECTOR;
            let bytes = aligned(&pattern(400 * piece));
            let write = |index: usize| {
                let start = index * piece;
                file.write_at(start as u64, bytes.slice(start..start + piece))
            };
            let under_way: Vec<_> = (0..400).rev().map(write).collect();
            for write in under_way {
                write.await.unwrap();
            }
            file.sync().await.unwrap();
            assert_eq!(file.len().await.unwrap(), bytes.len() as u64);
            assert!(std::fs::read(&path).unwrap() == *bytes);
            assert!(file.read_at(1, bytes.len()).await.unwrap() == bytes[1..]);
        });
    }

    fn a_direct_file_grows_on_after_and_during_a_sync(kind) {
        let place = directory();
        let path = place.path().join("file");
        run(kind, |host| async move {
            let file = host.disk().open(&path, OpenMode::CreateDirect).await.unwrap();
            let piece = 1 << 20;
            let bytes = aligned(&pattern(20 * piece));
            for index in 0..20 {
                let start = index * piece;
                let write = file.write_at(start as u64, bytes.slice(start..start + piece));
                // Both have started: neither may undo what the other does.
                let sync = file.sync();
                write.await.unwrap();
                sync.await.unwrap();
                assert_eq!(file.len().await.unwrap(), (start + piece) as u64);
            }
            file.sync().await.unwrap();
            assert!(std::fs::read(&path).unwrap() == *bytes);
        });
    }

    fn a_direct_file_keeps_no_room_behind_its_end(kind) {
        let place = directory();
        let path = place.path().join("file");
        let own = path.clone();
        run(kind, |host| async move {
            let file = host.disk().open(&own, OpenMode::CreateDirect).await.unwrap();
            file.write_at(0, pattern(3 << 20).into()).await.unwrap();
            // Never synced.
        });
        let metadata = std::fs::metadata(&path).unwrap();
        assert_eq!(metadata.len(), 3 << 20);
        assert!(metadata.blocks() * 512 <= 4 << 20, "{} blocks", metadata.blocks());
    }

    fn dropped_writes_keep_their_bytes_until_they_are_done(kind) {
        let place = directory();
        let path = place.path().join("file");
        let owner = Arc::new(pattern(16 << 20));
        // SAFETY: the vector is not changed while the bytes live, and the owner keeps it.
        let bytes = unsafe { SharedBytes::new(owner.clone(), owner.as_ptr(), owner.len()) };
        let own = path.clone();
        run(kind, |host| async move {
            let file = host.disk().open(&own, OpenMode::CreateDirect).await.unwrap();
            for start in (0..bytes.len()).step_by(64 << 10) {
                drop(file.write_at(start as u64, bytes.slice(start..start + (64 << 10))));
            }
        });
        assert_eq!(Arc::strong_count(&owner), 1);
        assert!(std::fs::read(&path).unwrap() == *owner);
    }

    fn a_refused_direct_write_leaves_the_file_as_it_was(kind) {
        let place = directory();
        let path = place.path().join("file");
        run(kind, |host| async move {
            let file = host.disk().open(&path, OpenMode::CreateDirect).await.unwrap();
            let beyond = i64::MAX as u64 / SECTOR as u64 * SECTOR as u64;
            let error = file.write_at(beyond, pattern(SECTOR).into()).await.expect_err("no file is as long");
            assert!(error.to_string().starts_with(&format!("cannot write 4096 bytes at {beyond} of /")), "{error}");
            assert_eq!(file.len().await.unwrap(), 0);
            file.write_at(0, pattern(SECTOR).into()).await.unwrap();
            file.write_at(0, Vec::new().into()).await.unwrap();
            file.sync().await.unwrap();
            assert!(std::fs::read(&path).unwrap() == pattern(SECTOR));
        });
    }

    fn dropped_files_are_closed(kind) {
        let place = directory();
        let path = place.path().join("file");
        let open_here = move |root: PathBuf| std::fs::read_dir("/proc/self/fd").unwrap()
            .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
            .filter(|target| target.starts_with(&root))
            .count();
        let root = place.path().to_owned();
        run(kind, |host| async move {
            for round in 0..50 {
                let path = path.with_extension(round.to_string());
                let mode = if round % 2 == 0 { OpenMode::Create } else { OpenMode::CreateDirect };
                host.disk().open(&path, mode).await.unwrap();
            }
        });
        assert_eq!(open_here(root), 0);
    }

    fn bytes_are_let_go_once_they_are_written(kind) {
        let place = directory();
        let path = place.path().join("file");
        run(kind, |host| async move {
            let owner = Arc::new(pattern(2 << 20));
            // SAFETY: the vector is not changed while the bytes live, and the owner keeps it.
            let bytes = unsafe { SharedBytes::new(owner.clone(), owner.as_ptr(), owner.len()) };
            let file = host.disk().open(&path, OpenMode::CreateDirect).await.unwrap();
            file.write_at(0, bytes).await.unwrap();
            host.yield_now().await;
            assert_eq!(Arc::strong_count(&owner), 1);
        });
    }

    fn files_of_two_cores_do_not_disturb_each_other(kind) {
        let place = directory();
        let mains = (0..2).map(|core| {
            let path = place.path().join(format!("core-{core}"));
            host_support::main(move |host| async move {
                let disk = host.disk();
                for round in 0..20 {
                    let path = path.with_extension(round.to_string());
                    write(&disk, &path, OpenMode::CreateDirect, vec![core; 64 * SECTOR]).await;
                    assert!(std::fs::read(&path).unwrap() == vec![core; 64 * SECTOR]);
                }
            })
        });
        millstream::host::launch(&host_support::config(kind), mains.collect()).unwrap().join().unwrap();
    }
}
