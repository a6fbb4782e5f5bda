//! Two that run one job, and what is uploaded.

use std::thread::sleep;
use std::time::Duration;

use millstream::prelude::*;
use millstream::{JobControl, JobHandle};
use tempfile::tempdir;

use crate::job::{config, counts};
use crate::objects::links;
use crate::server::Server;

fn checkpoints(control: &JobControl) -> u64 {
    control.metrics().job().checkpoints.get()
}

fn until_checkpoint(running: &JobHandle, number: u64) {
    let history = || running.metrics().checkpoint_history();
    while checkpoints(&running.control()) < number {
        assert!(!running.is_over(), "{:?}", running.control().outcome());
        assert!(history().iter().all(|of| of.is_complete()), "{:?}", history());
        sleep(Duration::from_millis(5));
    }
}

#[test]
fn of_two_writers_the_later_one_goes_on() {
    let Some(server) = Server::shared() else { return };
    let place = server.place(&server.bucket());
    let (here, there) = (tempdir().expect("a directory"), tempdir().expect("a directory"));
    let first = counts(u64::MAX, discard()).start(config(here.path(), place.clone())).expect("it starts");
    until_checkpoint(&first, 1);
    let second = counts(u64::MAX, discard()).start(config(there.path(), place.clone())).expect("it starts");
    let fenced = first.wait().expect_err("its chain was taken over");
    assert_eq!(fenced.kind(), ErrorKind::Fenced, "{fenced}");
    assert!(fenced.to_string().contains("s3://bucket-"), "{fenced}");
    until_checkpoint(&second, 2);
    second.cancel();
    second.wait().expect("it was cancelled");
    let links = links(&place);
    assert!(links.is_sorted_by(|one, next| one.seq + 1 == next.seq), "{links:?}");
}

#[test]
fn only_new_files_are_uploaded() {
    let Some(server) = Server::shared() else { return };
    let place = server.place(&server.bucket());
    let dir = tempdir().expect("a directory");
    let running = counts(u64::MAX, discard()).start(config(dir.path(), place.clone())).expect("it starts");
    until_checkpoint(&running, 4);
    running.cancel();
    let control = running.control();
    running.wait().expect("it was cancelled");
    let history = control.metrics().checkpoint_history();
    let complete: Vec<_> = history.iter().filter(|of| of.is_complete()).collect();
    assert!(complete.len() >= 4);
    for of in &complete {
        assert_eq!(of.uploaded_bytes, of.new_bytes(), "checkpoint {}", of.epoch);
        assert!(of.upload > std::time::Duration::ZERO && of.upload <= of.duration);
    }
    let uploaded: u64 = complete.iter().map(|of| of.uploaded_bytes).sum();
    assert!(control.metrics().job().uploaded_bytes.get() >= uploaded);
    let links = links(&place);
    let [.., before, last] = &links[..] else { panic!("two are retained") };
    let [before, last] = [before, last].map(|link| &link.checkpoint.as_ref().expect("it has one").files);
    assert!(last.iter().any(|(path, file)| before.get(path) == Some(file)), "{before:?} and {last:?}");
}
