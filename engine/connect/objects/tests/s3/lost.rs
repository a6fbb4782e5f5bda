//! A machine is lost in the middle of the job: it goes on on another one, from the store alone.

use std::thread::sleep;
use std::time::Duration;

use tempfile::tempdir;

use crate::job::{check, process};
use crate::objects::links;
use crate::server::Server;

#[test]
fn a_job_goes_on_where_nothing_is_left_but_the_store() {
    let Some(server) = Server::shared() else { return };
    let (url, out) = (server.bucket(), tempdir().expect("a directory"));
    let place = server.place(&url);
    let mut known = 0;
    loop {
        let dir = tempdir().expect("a directory");
        let mut running = process(dir.path(), out.path(), &url, &server.variables());
        // Its first link is that of its start; the checkpoints after it are its own.
        let last = loop {
            let last = links(&place).last().map_or(0, |link| link.seq);
            let ended = running.try_wait().expect("it is a child");
            if let Some(status) = ended {
                assert!(status.success(), "{status}");
                check(out.path());
                assert!(known > 0, "it was killed at least once");
                return;
            }
            if last >= known + 2 && known < 4 {
                break last;
            }
            sleep(Duration::from_millis(10));
        };
        running.kill().expect("it can be killed");
        running.wait().expect("it is a child");
        known = last;
    }
}
