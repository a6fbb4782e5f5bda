//! Wherever a job is killed, the tables end up as if nothing had happened: every row once. It is the server that counts,
//! asked by `psql`. At random moments it is the soak that kills.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread::{scope, sleep};
use std::time::Duration;

use millstream_tests::postgres::{Database, Server};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

/// Numbers of one run.
const RECORDS: u32 = 20_000;

/// The tables, without anything that would refuse a row that comes twice; and, computed by the server itself, what is to
/// be in them.
fn tables(server: &Server, records: u32) -> Database<'_> {
    server.database(&format!(
        "CREATE TABLE totals (key int4, start timestamptz, count int8, sum int8);
         CREATE TABLE latest (key int4 PRIMARY KEY, count int8, sum int8);
         CREATE TABLE numbers AS SELECT n::int8 FROM generate_series(0, {records} - 1) AS n;
         CREATE VIEW expected_totals AS
             SELECT (n % 17)::int4 AS key, to_timestamp(n * 10 / 1000) AS start, count(*) AS count, sum(n)::int8 AS sum
             FROM numbers GROUP BY 1, 2;
         CREATE VIEW expected_latest AS
             SELECT (n % 17)::int4 AS key, count(*) AS count, sum(n)::int8 AS sum FROM numbers GROUP BY 1"
    ))
}

/// Whether the tables hold what is expected, each row as often.
fn check(database: &Database<'_>, after: &str) {
    for table in ["totals", "latest"] {
        let differing = database.psql(&format!(
            "SELECT count(*) FROM ((TABLE {table} EXCEPT ALL TABLE expected_{table}) UNION ALL
             (TABLE expected_{table} EXCEPT ALL TABLE {table})) AS differing"
        ));
        let counts = database.psql(&format!(
            "SELECT (SELECT count(*) FROM {table}), (SELECT count(DISTINCT {table}) FROM {table}),
             (SELECT count(*) FROM expected_{table})"
        ));
        assert_eq!(differing, "0", "{table} after {after}: rows, different rows, expected rows: {counts}");
    }
    assert_eq!(database.psql("SELECT count(*) FROM pg_prepared_xacts"), "0", "nothing is left behind");
}

fn command(database: &Database<'_>, checkpoints: &Path, records: u32, cores: u64) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_postgres_job"));
    command.arg(database.address()).arg(checkpoints).args([records.to_string(), cores.to_string()]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// Runs it to its end.
fn finish(mut command: Command) {
    let output = command.output().expect("the job can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Runs it until it kills itself at a point, which it must come to.
fn die_at(mut command: Command, point: &str) {
    let output = command.env("DIE_AT", point).env("SLOW", "2000").output().expect("the job can be started");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), None, "it did not come to {point}: {said}");
}

/// Where jobs die, one run after the other, before one comes to its end.
const DEATHS: &[&[&str]] = &[
    &["pre-commit:before:1"],
    &["pre-commit:before:5"],
    &["pre-commit:after:1"],
    &["pre-commit:after:6"],
    &["commit:before:1"],
    &["commit:before:5"],
    &["Lock:after:2"],
    &["Rows:sent:2"],
    &["Rows:after:1"],
    &["Apply:sent:1"],
    &["Apply:after:2"],
    &["Mark:after:3"],
    &["Commit:before:4"],
    &["Commit:sent:3"],
    &["Commit:sent:4"],
    &["Commit:after:4"],
    &["commit:after:1"],
    &["commit:after:4"],
    // In the first recovery of all, and in one that has something to commit.
    &["TakeOver:after:1", "Mark:after:1", "Commit:sent:1", "Commit:after:1"],
    &["commit:before:3", "recovery:before:1", "TakeOver:sent:1", "Mark:after:2", "recovery:after:1"],
    &["Rows:after:2", "Commit:sent:2", "Commit:after:2", "Rows:after:1", "recovery:after:2"],
    &["commit:before:1", "Commit:after:1", "Lock:after:1", "Mark:sent:2", "commit:before:1"],
    &["Commit:after:3", "Commit:after:2", "Commit:after:1", "TakeOver:sent:2"],
];

/// One story: the deaths, and the run that comes to its end. Each run has another number of cores than the one before.
fn story(server: &Server, deaths: &[&str], number: usize) {
    let database = tables(server, RECORDS);
    let dir = tempfile::tempdir().expect("a temporary directory");
    let cores = |run: usize| 1 + ((number + run) % 3) as u64;
    for (run, point) in deaths.iter().enumerate() {
        die_at(command(&database, dir.path(), RECORDS, cores(run)), point);
    }
    finish(command(&database, dir.path(), RECORDS, cores(deaths.len())));
    check(&database, &format!("{deaths:?}"));
    finish(command(&database, dir.path(), RECORDS, 2));
    check(&database, &format!("{deaths:?}, and a start after the end"));
}

#[test]
fn every_row_is_there_once_wherever_the_job_was_killed() {
    let Some(server) = Server::shared() else { return };
    let stories = Mutex::new(DEATHS.iter().enumerate());
    scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let next = stories.lock().expect("nobody panics with it").next();
                    let Some((number, deaths)) = next else { return };
                    story(&server, deaths, number);
                }
            });
        }
    });
}

/// A process that was thought dead, whose place another has taken with a copy of its checkpoints.
#[test]
fn a_process_that_wakes_up_may_not_commit_any_more() {
    let Some(server) = Server::shared() else { return };
    let database = tables(&server, RECORDS);
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (own, copy) = (dir.path().join("own"), dir.path().join("copy"));
    // In the middle of a commit, with rows sent and all locks held.
    let mut job = command(&database, &own, RECORDS, 2);
    let zombie =
        job.env("STOP_AT", "Apply:after:2").env("SLOW", "2000").spawn().expect("the job can be started");
    let pid = Pid::from_child(&zombie);
    waitpid(Some(pid), WaitOptions::UNTRACED).expect("an own child can be waited for");
    let copied = Command::new("cp").arg("-r").args([&own, &copy]).status().expect("cp can be started");
    assert!(copied.success());
    finish(command(&database, &copy, RECORDS, 1));
    check(&database, "the second has taken over");
    kill_process(pid, Signal::CONT).expect("an own child can go on");
    let output = zombie.wait_with_output().expect("an own child can be waited for");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("has taken over"), "{said}");
    check(&database, "the first has woken up");
}

/// A session that makes the table of commits, under the lock that the sink takes for that, and is not over before somebody
/// waits for it.
const MAKING: &str = "
    SELECT pg_advisory_xact_lock(7883951835738042981);
    CREATE TABLE millstream_commits (LIKE made_before INCLUDING ALL);
    DO $$ BEGIN LOOP
        PERFORM pg_sleep(0.01), pg_stat_clear_snapshot();
        EXIT WHEN EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock');
    END LOOP; END $$";

/// In spite of `IF NOT EXISTS` the second of two that make a table fails when the first is done.
#[test]
fn the_session_of_a_killed_process_may_still_make_the_table_of_commits() {
    let Some(server) = Server::shared() else { return };
    let database = tables(&server, RECORDS);
    let dir = tempfile::tempdir().expect("a temporary directory");
    finish(command(&database, &dir.path().join("once"), RECORDS, 1));
    database.psql("ALTER TABLE millstream_commits RENAME TO made_before; TRUNCATE totals, latest");
    scope(|scope| {
        let making = scope.spawn(|| database.psql(MAKING));
        let locks = "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database \
                     WHERE locktype = 'advisory' AND datname = current_database()";
        while database.psql(locks) == "0" {
            assert!(!making.is_finished(), "it waits for somebody who waits for it");
        }
        finish(command(&database, &dir.path().join("again"), RECORDS, 1));
    });
    check(&database, "a table made by another");
}

/// The server goes down and comes back: the job waits for it.
#[test]
fn a_server_that_is_restarted_is_waited_for() {
    let Some(server) = Server::start() else { return };
    let database = tables(&server, RECORDS);
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut job = command(&database, dir.path(), RECORDS * 2, 2);
    let mut child = job.env("SLOW", "200").spawn().expect("the job can be started");
    sleep(Duration::from_millis(100));
    for _ in 0..2 {
        server.stop();
        server.restart();
    }
    let status = child.wait().expect("an own child can be waited for");
    assert!(status.success());
    database.psql(&format!(
        "INSERT INTO numbers SELECT n FROM generate_series({RECORDS}, 2 * {RECORDS} - 1) AS n"
    ));
    check(&database, "restarts of the server");
}
