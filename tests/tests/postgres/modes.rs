//! What becomes of records: rows, the last row of a key, the rows of a changelog; of every type, and of any names.

use millstream::prelude::*;
use millstream_postgres::{Column, Json, Millis, PostgresSink, Row, Type, Uuid, Values, postgres};
use millstream_tests::postgres::{Database, Server};

/// Runs it once, with checkpoints at its end only.
fn run(job: Job) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    job.run(Config::new().cores(2).checkpoints(dir.path()).checkpoint_at_end_only()).expect("the job runs");
}

/// A row of every type, with values that SQL would stumble over if it ever saw them.
struct Everything(u64);

const TEXT: &str = "'); DROP TABLE \"every\"\"thing\"; -- \\.\n\t\u{1F40E}";

impl Row for Everything {
    const COLUMNS: &'static [Column] = &[
        Column::new("id", Type::Int8),
        Column::new("bool", Type::Bool),
        Column::new("int2", Type::Int2),
        Column::new("select", Type::Int4),
        Column::new("float4", Type::Float4),
        Column::new("float8", Type::Float8),
        Column::new("tex\"t", Type::Text),
        Column::new("bytes", Type::Bytea),
        Column::new("time", Type::Timestamptz),
        Column::new("local time", Type::Timestamptz),
        Column::new("json", Type::Jsonb),
        Column::new("uuid", Type::Uuid),
        Column::new("nothing", Type::Text),
    ];

    fn put(&self, row: &mut Values<'_>) {
        row.put(&(self.0 as i64)).put(&true).put(&-2_i16).put(&i32::MIN).put(&1.5_f32).put(&f64::MIN);
        row.put(TEXT).put(&vec![0_u8, 255]).put(&Millis(-1)).put(&Millis(i64::MAX));
        row.put(&Json(["a\\u0000", "é"])).put(&Uuid([0x11; 16])).put(&None::<String>);
    }
}

#[test]
fn values_of_every_type_arrive_as_they_were() {
    let Some(server) = Server::shared() else { return };
    let database = server.database(
        r#"CREATE SCHEMA "a.b"; CREATE TABLE "a.b"."every""thing" (
            "generated" text DEFAULT 'default', id int8, "bool" bool, "int2" int2, "select" int4, "float4" float4,
            "float8" float8, "tex""t" varchar(100), bytes bytea, time timestamptz, "local time" timestamp, json jsonb,
            uuid uuid, nothing text)"#,
    );
    let job = Job::new("everything");
    let sink = PostgresSink::append(postgres(&database.address()), "every\"thing").schema("a.b");
    job.source("records", generator(3, Everything)).sink("everything", sink);
    run(job);
    let text = TEXT.replace('\'', "''");
    let same = database.psql(&format!(
        r#"SET timezone = 'UTC'; SELECT count(*), count(DISTINCT id) FROM "a.b"."every""thing" WHERE "generated" = 'default'
            AND "bool" AND "int2" = -2 AND "select" = -2147483648 AND "float4" = 1.5
            AND "float8" = '-1.7976931348623157e308' AND "tex""t" = '{text}' AND bytes = '\x00ff'
            AND time = '1969-12-31 23:59:59.999+00' AND "local time" = 'infinity' AND json ->> 0 = 'a\u0000'
            AND json ->> 1 = 'é' AND uuid = '11111111-1111-1111-1111-111111111111' AND nothing IS NULL"#
    ));
    assert_eq!(same, "3|3");
}

/// A key of two columns and a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Score(&'static str, i32, i64);

impl Row for Score {
    const COLUMNS: &'static [Column] = &[
        Column::new("name", Type::Text),
        Column::new("round", Type::Int4),
        Column::new("points", Type::Int8),
    ];

    fn put(&self, row: &mut Values<'_>) {
        row.put(self.0).put(&self.1).put(&self.2);
    }
}

const SCORES: &str = "CREATE TABLE scores (round int4, points int8, name text, PRIMARY KEY (name, round))";

fn scores(database: &Database<'_>) -> String {
    database.psql("SELECT name, round, points FROM scores ORDER BY name, round")
}

#[test]
fn the_last_record_of_a_key_is_its_row() {
    let Some(server) = Server::shared() else { return };
    let database = server.database(SCORES);
    database.psql("INSERT INTO scores VALUES (1, 99, 'a'), (9, 7, 'z')");
    let job = Job::new("scores");
    let records =
        vec![Score("a", 1, 1), Score("b", 1, 2), Score("a", 2, 3), Score("a", 1, 4), Score("b", 1, 5)];
    let sink = postgres(&database.address()).upsert("scores", &["round", "name"]);
    job.source("records", from_vec(records)).sink("scores", sink);
    run(job);
    assert_eq!(scores(&database), "a|1|4\na|2|3\nb|1|5\nz|9|7");
}

#[test]
fn the_rows_of_a_changelog_come_change_and_go() {
    let Some(server) = Server::shared() else { return };
    let database = server.database(SCORES);
    database.psql("INSERT INTO scores VALUES (7, 7, 'gone'), (8, 8, 'back')");
    let job = Job::new("changes");
    let changes = vec![
        Change::insert(Score("a", 1, 1)),
        Change::insert(Score("b", 1, 1)),
        Change::update_before(Score("a", 1, 1)),
        Change::update_after(Score("a", 1, 2)),
        Change::delete(Score("gone", 7, 7)),
        Change::delete(Score("b", 1, 1)),
        Change::delete(Score("back", 8, 8)),
        Change::insert(Score("back", 8, 9)),
        // The key changes, too.
        Change::insert(Score("c", 1, 1)),
        Change::update_before(Score("c", 1, 1)),
        Change::update_after(Score("c", 2, 1)),
    ];
    let sink = postgres(&database.address()).changes("scores", &["name", "round"]);
    job.source("records", from_vec(changes)).sink("scores", sink);
    run(job);
    assert_eq!(scores(&database), "a|1|2\nback|8|9\nc|2|1");
}

/// What a job without checkpoints has written stays when it is run again.
#[test]
fn a_job_without_checkpoints_appends_with_each_run() {
    let Some(server) = Server::shared() else { return };
    let database = server.database("CREATE TABLE scores (round int4, points int8, name text)");
    let dir = tempfile::tempdir().expect("a temporary directory");
    for round in 1..=2 {
        let job = Job::new("again");
        let sink = postgres(&database.address()).append("scores").spool(dir.path());
        job.source("records", generator(10_000, |n| Score("a", 1, n as i64))).sink("scores", sink);
        job.run(Config::new().cores(2)).expect("the job runs");
        let counts = database.psql("SELECT count(*), count(DISTINCT points) FROM scores");
        assert_eq!(counts, format!("{}|10000", round * 10_000));
    }
}

#[test]
fn a_password_comes_from_a_file_or_the_environment() {
    let Some(server) = Server::shared() else { return };
    let database = server.database(
        "CREATE TABLE scores (round int4, points int8, name text);
         DO $$ BEGIN CREATE ROLE careful LOGIN PASSWORD 'pa''ss word'; EXCEPTION WHEN duplicate_object THEN END $$;
         GRANT ALL ON SCHEMA public TO careful; GRANT ALL ON scores TO careful",
    );
    let address = database.address().replace("user=postgres", "user=careful");
    let dir = tempfile::tempdir().expect("a temporary directory");
    let run = |server: millstream_postgres::Server| {
        let job = Job::new("secret");
        job.source("records", from_vec(vec![Score("a", 1, 1)]))
            .sink("scores", server.append("scores").spool(dir.path()));
        job.run(Config::new().cores(1))
    };
    let file = dir.path().join("password");
    std::fs::write(&file, "pa'ss word\n").expect("it can be written");
    run(postgres(&address).password_file(&file)).expect("the password is right");
    assert_eq!(database.psql("SELECT count(*) FROM scores"), "1");
    std::fs::write(&file, "another").expect("it can be written");
    let refused = run(postgres(&address).password_file(&file)).expect_err("it is not");
    let refused = refused.to_string();
    assert!(refused.contains("password authentication failed") && !refused.contains("another"), "{refused}");
    let missing =
        run(postgres(&address).password_env("NO_SUCH_VARIABLE")).expect_err("there is none").to_string();
    assert!(missing.contains("NO_SUCH_VARIABLE"), "{missing}");
}

/// Not a test of anything but speed: `cargo test --release -p millstream-tests --test postgres speed -- --ignored --nocapture`.
#[test]
#[ignore = "measures"]
fn speed() {
    const RECORDS: u64 = 3_000_000;
    let Some(server) = Server::start() else { return };
    let database = server.database(
        "CREATE TABLE appended (name text, round int4, points int8);
         CREATE TABLE latest (name text, round int4, points int8, PRIMARY KEY (name, round));
         CREATE TABLE hot (name text, round int4, points int8, PRIMARY KEY (name, round))",
    );
    let server = || postgres(&database.address());
    let all = |n: u64| Score("somebody", n as i32, n as i64);
    let few = |n: u64| Score("somebody", (n % 10_000) as i32, n as i64);
    let measure = |table: &str, records: u64, make: fn(u64) -> Score, sink: PostgresSink<Score>| {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let job = Job::new("speed");
        job.source("records", generator(records, make)).sink(table, sink);
        let report = job.run(Config::new().cores(2).checkpoints(dir.path())).expect("the job runs");
        let rate = records as f64 / report.elapsed.as_secs_f64();
        println!("{table}: {records} records in {:.1?}: {rate:.0} records/s", report.elapsed);
        println!("{} rows", database.psql(&format!("SELECT count(*) FROM {table}")));
    };
    measure("appended", RECORDS, all, server().append("appended"));
    measure("latest", RECORDS / 3, all, server().upsert("latest", &["name", "round"]));
    measure("hot", RECORDS, few, server().upsert("hot", &["name", "round"]));
}
