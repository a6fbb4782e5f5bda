//! A directory is listed while somebody else works in it.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use millstream_storage::disk::{Disk, StdDisk, block_on};

#[test]
fn what_is_removed_while_a_directory_is_listed_is_left_out() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    fs::write(dir.path().join("stays"), b"here").expect("a file");
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let names = (0..50).map(|n| dir.path().join(format!("{n}")));
                names.clone().for_each(|name| fs::write(name, b"").expect("a file"));
                names.for_each(|name| fs::remove_file(name).expect("it was just written"));
            }
        });
        let listed = (0..2_000).try_for_each(|_| {
            let entries = block_on(StdDisk.list(dir.path()))?;
            let stays = entries.iter().any(|entry| entry.name == "stays" && entry.len == 4);
            stays.then_some(()).ok_or_else(|| std::io::Error::other(format!("it was left out: {entries:?}")))
        });
        // Before anything panics: the other one goes on until then.
        over.store(true, Ordering::Relaxed);
        listed.expect("what stays is listed");
    });
}
