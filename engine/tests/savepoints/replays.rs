//! Replays of what follows a checkpoint.

use std::future::poll_fn;
use std::io::{self, Write};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use millstream::async_map::AsyncOptions;
use millstream::prelude::*;
use millstream::replay::{Replay, ReplayEnd, ReplayReport};
use millstream::topic::{BatchBuilder, TopicWriter};
use millstream_storage::disk::{StdDisk, block_on};

use super::Place;

/// Where a replay shows its rows.
#[derive(Clone, Default)]
struct Shown(Arc<Mutex<Vec<u8>>>);

impl Write for Shown {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody panics with it").extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shown {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("nobody panics with it").clone()).expect("it is text")
    }
}

/// A savepoint of a job of this name that has read nothing of what it reads now.
fn begun(place: &Place, name: &str) -> impl Fn() -> Replay {
    let job = Job::new(name);
    job.source("before", generator(u64::MAX, |n| n)).sink("nowhere", discard());
    let running = job.start(place.config(1, "before")).expect("it starts");
    let saved = running.stop_with_savepoint(place.path("begun")).wait().expect("it can be saved");
    running.wait().expect("it was stopped");
    move || Replay::from(&saved.path, saved.epoch)
}

fn replayed(job: Job, replay: Replay) -> (ReplayReport, String) {
    let shown = Shown::default();
    let config = Config::new().allow_removed("before").allow_removed("nowhere");
    let report = job.replay(config, replay.writer(shown.clone())).expect("it can be replayed");
    (report, shown.text())
}

#[test]
fn a_job_is_replayed_while_it_runs_up_to_what_is_committed() {
    let place = Place::new();
    place.append(0..200);
    let running = place.run_until(200, "out", place.config(2, "state"));
    let saved = running.savepoint(place.path("saved")).wait().expect("it can be saved");
    place.append(200..500);
    // Somebody writes on, and has not committed.
    let mut writer = block_on(TopicWriter::open(Rc::new(StdDisk), &place.path("in"))).expect("nobody writes");
    let producer = writer.fence("somebody", 1).expect("it is the only one");
    let open = writer.begin(&producer).expect("it is the only one");
    let mut batch = BatchBuilder::new();
    batch.push(999, None, b"999", &[]);
    writer.append_in(open, 0, batch.finish()).expect("it fits");
    block_on(writer.flush()).expect("the disk works");

    let (report, shown) = replayed(place.job("out", true), Replay::from(place.path("saved"), saved.epoch));
    assert_eq!(report.ended, ReplayEnd::Exhausted);
    assert_eq!(report.read["numbers"]["partition-00000"].records, 300);
    assert_eq!(report.last.as_deref(), Some("numbers:partition-00000@499"));
    // The second hundred was open, the fifth still is.
    assert_eq!(report.rows["rows"], 9);
    let first = shown.lines().next().expect("there are rows");
    assert!(first.contains(r#""read":"numbers:partition-00000@200","row":[100,"#), "{first}");
    let until = Replay::from(place.path("saved"), saved.epoch).until("numbers:partition-00000@300");
    let (report, _) = replayed(place.job("out", true), until);
    assert_eq!((report.ended, report.read["numbers"]["partition-00000"].records), (ReplayEnd::Reached, 101));
    let twice = Replay::from(place.path("saved"), saved.epoch).until("numbers@300").until("numbers@400");
    let refused = place.job("out", true).replay(Config::new(), twice).expect_err("which one?").to_string();
    assert!(refused.contains("it is to end at the record at 300 as well"), "{refused}");
    assert!(!running.is_over());
    drop(writer);
    running.cancel();
    running.wait().expect("it was cancelled");
}

#[test]
fn a_record_that_cannot_be_decoded_is_named_so_that_it_can_be_replayed() {
    let place = Place::new();
    let input = place.path("numbers.ndjson");
    let text: String =
        (0..50).map(|n| if n == 40 { "forty\n".to_owned() } else { format!("{n}\n") }).collect();
    std::fs::write(&input, &text).expect("the disk works");
    let job = || {
        let job = Job::new("numbers");
        job.source("numbers", files::<u64>([&input])).sink("out", stdout_ndjson());
        job
    };
    let begun = begun(&place, "numbers");
    let at = text.find("forty").expect("it is there");
    let until = format!("{}@{at}", input.display());
    let (report, _) = replayed(job(), begun().until(&until));
    let failure = report.failure.expect("it fails as the job does");
    assert!(failure.contains(&format!("line 41 (byte {at}) cannot be decoded")), "{failure}");
    assert_eq!(report.last, Some(format!("numbers:{until}")));
    let before = format!("{}@{}", input.display(), at - 1);
    let (report, shown) = replayed(job(), begun().until(&before));
    assert_eq!((report.failure, report.ended), (None, ReplayEnd::Reached));
    assert_eq!(shown.lines().count(), 40);
}

/// Reminds of what came, a second of the clock later.
#[derive(Clone)]
struct Remind;

impl Process for Remind {
    type Key = u64;
    type In = u64;
    type Out = u64;
    type State = ();
    fn declare(&self, _: &mut Declare) {}
    fn on_record(&mut self, _: u64, (): &(), cx: &mut Context<'_, Self>) {
        cx.processing_timer_at(cx.processing_time() + 1_000);
    }
    fn on_processing_timer(&mut self, _: Timestamp, (): &(), cx: &mut Context<'_, Self>) {
        cx.emit(*cx.key());
    }
}

#[test]
fn the_clock_moves_with_the_records_and_answers_are_waited_for() {
    let place = Place::new();
    place.append(0..10);
    let job = || {
        let job = Job::new("reminders");
        let numbers = job.source("numbers", topic::<u64>(place.path("in")));
        // Somebody in another thread answers.
        let ask = |n: u64, _| {
            let asked = Arc::new(Mutex::new(false));
            let mut answer = Some((std::time::Duration::from_millis(1), asked.clone()));
            poll_fn(move |cx| {
                if let Some((after, asked)) = answer.take() {
                    let waker = cx.waker().clone();
                    std::thread::spawn(move || {
                        std::thread::sleep(after);
                        *asked.lock().expect("nobody panics with it") = true;
                        waker.wake();
                    });
                }
                let answered = *asked.lock().expect("nobody panics with it");
                if answered { Poll::Ready(Ok::<_, io::Error>(n)) } else { Poll::Pending }
            })
        };
        let asked = numbers.async_map("ask", AsyncOptions::ordered(), ask);
        asked.key_by(|n| *n).process("remind", Remind).sink("out", stdout_ndjson());
        job
    };
    let begun = begun(&place, "reminders");
    let still = replayed(job(), begun()).0;
    assert_eq!((still.rows["out"], still.ended), (0, ReplayEnd::Finished));
    let paced = || replayed(job(), begun().pace(millis(250)));
    let (report, shown) = paced();
    assert_eq!(report.rows["out"], 7);
    let first = shown.lines().next().expect("a row");
    assert!(first.contains(r#""read":"numbers:partition-00000@3","row":0"#), "{first}");
    assert_eq!(paced(), (report, shown), "it is the same each time");
}
