//! What was damaged or lost in the store is refused by its name, and a whole copy in the directory is enough.

use millstream::checkpoint::remote::Put;
use millstream::prelude::*;
use tempfile::tempdir;

use crate::job::{config, counts};
use crate::objects::with;
use crate::server::Server;

#[test]
fn a_damaged_object_is_refused_by_name() {
    let Some(server) = Server::shared() else { return };
    let place = server.place(&server.bucket());
    let (here, there) = (tempdir().expect("a directory"), tempdir().expect("a directory"));
    let run = |dir: &std::path::Path| counts(1_000, discard()).run(config(dir, place.clone()));
    run(here.path()).expect("nothing is wrong");
    let damaged = with(place.clone(), |objects| {
        Box::pin(async move {
            let name = objects.list("files/", "").await?.names.pop().expect("the job has state");
            let mut bytes = objects.get(&name).await?.expect("it was listed");
            bytes[100] ^= 1;
            objects.put(&name, bytes, Put::Replace).await?;
            Ok(name)
        })
    });
    let refused = run(there.path()).expect_err("it is damaged");
    assert_eq!(refused.kind(), ErrorKind::Restore);
    assert!(refused.to_string().contains(&format!("{damaged}: is damaged")), "{refused}");
    assert!(run(here.path()).expect("the directory has what is damaged there").already_finished);

    let name = damaged.clone();
    with(place.clone(), |objects| Box::pin(async move { objects.delete(&name).await }));
    let refused = run(there.path()).expect_err("it is missing");
    assert!(refused.to_string().contains(&format!("{damaged}: is missing")), "{refused}");
}

#[test]
fn a_bucket_that_is_not_there_is_refused_by_name() {
    let Some(server) = Server::shared() else { return };
    let dir = tempdir().expect("a directory");
    let place = server.place("s3://nobodys/jobs");
    let refused = counts(10, discard()).run(config(dir.path(), place)).expect_err("there is none");
    assert!(refused.to_string().contains("s3://nobodys/jobs"), "{refused}");
    assert!(!refused.to_string().contains("secret"), "{refused}");
}
