//! What is refused, and what is said about it.

use std::path::Path;
use std::time::Duration;

use millstream::prelude::*;
use millstream_postgres::{Column, PostgresSink, Row, Type, Values, postgres};
use millstream_tests::postgres::Server;

struct Reading(i64, Option<&'static str>);

impl Row for Reading {
    const COLUMNS: &'static [Column] = &[Column::new("id", Type::Int8), Column::new("place", Type::Text)];

    fn put(&self, row: &mut Values<'_>) {
        row.put(&self.0).put(&self.1);
    }
}

/// Writes a hundred readings.
fn run(sink: PostgresSink<Reading>, checkpoints: &Path) -> Result<Report> {
    loop {
        let job = Job::new("readings");
        let records = job.source("records", generator(100, |n| Reading(n as i64, Some("here"))));
        records.sink("readings", sink.clone());
        let ran = job.run(Config::new().cores(2).checkpoints(checkpoints).checkpoint_at_end_only());
        match &ran {
            // Until it is a program of its own, a child of another test holds what was open here: the lease of the job before.
            Err(busy) if busy.to_string().contains("another process runs this job") => {}
            _ => return ran,
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Why a sink is refused before anything is read.
#[track_caller]
fn assert_refused(said: Result<Report>, reasons: &[&str]) {
    let said = said.expect_err("it is refused").to_string();
    for reason in reasons {
        assert!(said.contains(reason), "no {reason:?} in: {said}");
    }
}

#[test]
fn tables_that_are_not_what_the_records_need_are_refused_by_name() {
    let Some(server) = Server::shared() else { return };
    let database = server.database(
        "CREATE TABLE narrow (id int8); CREATE TABLE other (id int4, place text);
         CREATE TABLE unkeyed (id int8, place text)",
    );
    let dir = tempfile::tempdir().expect("a temporary directory");
    let server = || postgres(&database.address());
    assert_refused(run(server().append("nowhere"), dir.path()), &["there is no table", "nowhere"]);
    assert_refused(run(server().append("narrow"), dir.path()), &["has no column `place`; it has id"]);
    assert_refused(run(server().append("other"), dir.path()), &["column `id`", "is integer", "is int8"]);
    let unkeyed = run(server().upsert("unkeyed", &["id"]), dir.path());
    assert_refused(unkeyed, &["no unique or exclusion constraint"]);
    let unnamed = run(server().upsert("unkeyed", &["room"]), dir.path());
    assert_refused(unnamed, &["the key's column `room` is not a column of the record"]);
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let sink = postgres("host=/nowhere user=app dbname=shop").append("readings").patience(millis(200));
    assert_refused(
        run(sink, dir.path()),
        &["/nowhere, database shop", "cannot be reached for 200ms", "nothing is lost"],
    );
    let sink = postgres("host=a password=hidden dbname").append("readings");
    let said = run(sink, dir.path()).expect_err("it cannot be read").to_string();
    assert!(said.contains("address of the server cannot be read") && !said.contains("hidden"), "{said}");
}

#[test]
fn rows_that_break_a_constraint_are_named_and_come_once_it_is_put_right() {
    let Some(server) = Server::shared() else { return };
    let database =
        server.database("CREATE TABLE readings (id int8 CONSTRAINT below_fifty CHECK (id < 50), place text)");
    let dir = tempfile::tempdir().expect("a temporary directory");
    let sink = || postgres(&database.address()).append("readings");
    for _ in 0..2 {
        let reasons = ["below_fifty", "Failing row contains (", "table public.readings"];
        assert_refused(run(sink(), dir.path()), &reasons);
        assert_eq!(database.psql("SELECT count(*) FROM readings WHERE id >= 50"), "0");
    }
    database.psql("ALTER TABLE readings DROP CONSTRAINT below_fifty");
    run(sink(), dir.path()).expect("nothing is refused any more");
    assert_eq!(database.psql("SELECT count(*), count(DISTINCT id) FROM readings"), "100|100");
}

#[test]
fn records_that_the_server_cannot_take_end_the_job_with_their_column() {
    let Some(server) = Server::shared() else { return };
    let database = server.database("CREATE TABLE readings (id int8 PRIMARY KEY, place text UNIQUE)");
    let dir = tempfile::tempdir().expect("a temporary directory");
    let run = |sink, record: fn(u64) -> Reading| {
        let job = Job::new("readings");
        job.source("records", generator(1, record)).sink("readings", sink);
        job.run(Config::new().cores(1).checkpoints(dir.path()))
    };
    let server = || postgres(&database.address());
    let nul = run(server().append("readings"), |_| Reading(1, Some("a\0b")));
    assert_refused(nul, &["sink `public.readings`", "column `place`", "NUL character"]);
    let null = run(server().upsert("readings", &["place"]).name("by place"), |_| Reading(1, None));
    assert_refused(null, &["column `place` is of the key, but was given NULL"]);
}

#[test]
fn output_that_would_be_written_again_is_refused() {
    let Some(server) = Server::shared() else { return };
    let database = server.database("CREATE TABLE readings (id int8, place text)");
    let [first, second] = [(), ()].map(|()| tempfile::tempdir().expect("a temporary directory"));
    let sink = || postgres(&database.address()).append("readings");
    run(sink(), first.path()).expect("the table is empty");
    let reasons = ["holds output of sink `public.readings` up to epoch 1", "no checkpoint is restored"];
    assert_refused(run(sink(), second.path()), &reasons);
    run(sink().name("another"), second.path()).expect("it is another sink");
    run(sink(), first.path()).expect("it has ended before");
    assert_eq!(database.psql("SELECT count(*), count(DISTINCT id) FROM readings"), "200|100");
}

#[test]
fn output_that_the_server_has_lost_is_missed() {
    let Some(server) = Server::shared() else { return };
    let database = server.database("CREATE TABLE readings (id int8, place text)");
    let dir = tempfile::tempdir().expect("a temporary directory");
    let sink = || postgres(&database.address()).append("readings");
    let job = || {
        let slowly = |n: u64| {
            if n.is_multiple_of(10) {
                std::thread::sleep(Duration::from_millis(1));
            }
            Reading(n as i64, Some("here"))
        };
        let job = Job::new("readings");
        job.source("records", generator(20_000, slowly)).sink("readings", sink());
        job
    };
    // A checkpoint goes on between steps only.
    let config = Config::new().cores(1).batch_size(20).step_budget(20);
    let config = config.checkpoints(dir.path()).checkpoint_every(millis(10));
    let report = job().run(config).expect("the job runs");
    assert!(report.checkpoints > 2, "{} checkpoints", report.checkpoints);
    // As a backup would put it back.
    database.psql("UPDATE millstream_commits SET epoch = 1");
    let config = Config::new().cores(1).checkpoints(dir.path());
    assert_refused(job().run(config), &["the server has lost output", "now epoch 1 is the last"]);
}
