//! Tests of one's own functions and of whole jobs: records, watermarks and the clock are fed by hand.
//!
//! A [`JobKit`] drives a whole job, whatever its steps: windows, joins, tables, requests. A [`TestKit`] drives one process
//! function, and shows more of that. Both run in the thread of the test, without waiting for anything, and do the same each
//! time.
//!
//! # A whole job
//! The test takes the place of the sources and the sinks; all between them is the job's own, and what runs it is the shipped
//! engine. The job gives records their times and makes watermarks of them as it always does.
//! ```
//! use millstream::prelude::*;
//! use millstream::testing::JobKit;
//!
//! type Sale = (i64, String, u64);
//!
//! /// Revenue per shop and hour.
//! fn revenue(sales: &str, out: &str) -> Job {
//!     let job = Job::new("revenue");
//!     let hourly = job
//!         .source("sales", files::<Sale>([sales]))
//!         .event_time(|sale| sale.0, Watermarks::bounded(minutes(5)))
//!         .key_by(|sale| sale.1.clone())
//!         .window(Tumbling::of(hours(1)))
//!         .reduce("hourly", |sum, sale| sum.2 += sale.2);
//!     hourly.late().sink("late", ndjson_dir(format!("{out}/late")));
//!     hourly.map(|w| (w.key, w.value.2)).sink("revenue", ndjson_dir(format!("{out}/revenue")));
//!     job
//! }
//!
//! let sale = |minute: i64, cents| (minute * 60_000, "bakery".to_owned(), cents);
//! let kit = JobKit::new(|| revenue("sales.ndjson", "out"))?;
//! let sales = kit.input::<Sale>("sales");
//! let revenue = kit.output::<(String, u64)>("revenue");
//!
//! sales.push_all([sale(10, 300), sale(50, 200), sale(61, 40)])?;
//! assert!(revenue.take().is_empty(), "sales may come five minutes late");
//! sales.push(sale(65, 2))?;
//! assert_eq!(revenue.take(), [("bakery".to_owned(), 500)]);
//!
//! sales.push(sale(59, 1))?;
//! assert_eq!(kit.output::<Sale>("late").take().len(), 1);
//! sales.watermark(hours(2).as_millis() as i64)?;
//! assert_eq!(revenue.take(), [("bakery".to_owned(), 42)]);
//!
//! assert_eq!(kit.end()?.records_in, 5);
//! # Ok::<(), millstream::Error>(())
//! ```
//!
//! What has no sink in the job can be given one by the test, where that builds the job. The clock moves when the test moves
//! it; state, timers and watermarks can be looked at by the names of steps; and the job goes on from a checkpoint, on any
//! number of cores and in another version:
//! ```
//! use millstream::prelude::*;
//! use millstream::testing::JobKit;
//!
//! /// Counts the questions of each who asks, and reminds of them after a minute.
//! #[derive(Clone)]
//! struct Remind;
//! impl Process for Remind {
//!     type Key = char;
//!     type In = char;
//!     type Out = (char, u64);
//!     type State = Value<u64>;
//!     fn declare(&self, state: &mut Declare) -> Value<u64> {
//!         state.value("asked")
//!     }
//!     fn on_record(&mut self, _: char, asked: &Value<u64>, cx: &mut Context<'_, Self>) {
//!         asked.update(cx, |n| *n += 1);
//!         cx.processing_timer_at(cx.processing_time() + 60_000);
//!     }
//!     fn on_processing_timer(&mut self, _: Timestamp, asked: &Value<u64>, cx: &mut Context<'_, Self>) {
//!         let n = asked.load(cx).unwrap_or(0);
//!         cx.emit((*cx.key(), n));
//!     }
//! }
//!
//! fn reminders(questions: Stream<char>) -> Stream<(char, u64)> {
//!     questions.key_by(|c| *c).process("remind", Remind).stage("reminders")
//! }
//!
//! let kit = JobKit::new(|| {
//!     let job = Job::new("test");
//!     let questions = job.source("questions", from_vec(vec![])).stage("plain");
//!     reminders(questions).sink("reminders of", discard());
//!     job
//! })?;
//! kit.input("questions").push_all(['a', 'b', 'a'])?;
//! assert_eq!(kit.state_of::<char, Value<u64>>("remind", "asked", &'a')?, [2]);
//! assert_eq!(kit.processing_timers("remind")?[0], (60_000, 'a'));
//!
//! kit.advance_clock(secs(59))?;
//! kit.restart(3)?;
//! let reminders = kit.output::<(char, u64)>("reminders of");
//! assert!(reminders.take().is_empty());
//! kit.advance_clock(secs(1))?;
//! let mut reminders = reminders.take();
//! reminders.sort();
//! assert_eq!(reminders, [('a', 2), ('b', 1)]);
//! # Ok::<(), millstream::Error>(())
//! ```
//!
//! Requests of [`async_map`](crate::stream::Stream::async_map) wait by the test's clock if they sleep by
//! [`AsyncContext::sleep`](crate::async_map::AsyncContext::sleep), and otherwise for whoever wakes them: a test that has
//! answered one calls [`JobKit::settle`]. What the job fails with, the call returns that made it fail.
//!
//! # One function: records, watermarks and the clock
//! What runs is the shipped operator on its shipped state: timers, side outputs, state with a TTL, states of cores and
//! broadcast state do what they do in a job.
//!
//! ```
//! use millstream::prelude::*;
//! use millstream::testing::TestKit;
//!
//! /// Counts the clicks of a visit, which is over after a second without one.
//! #[derive(Clone)]
//! struct Visits;
//! impl Process for Visits {
//!     type Key = char;
//!     type In = (i64, char);
//!     type Out = (char, u64);
//!     type State = Value<(u64, i64)>;
//!     fn declare(&self, state: &mut Declare) -> Value<(u64, i64)> {
//!         state.value("clicks, and when the visit is over")
//!     }
//!     fn on_record(&mut self, _: (i64, char), visit: &Value<(u64, i64)>, cx: &mut Context<'_, Self>) {
//!         let (clicks, before) = visit.load(cx).unwrap_or_default();
//!         cx.delete_timer_at(before);
//!         let over = cx.time() + 1_000;
//!         visit.set(cx, &(clicks + 1, over));
//!         cx.timer_at(over);
//!     }
//!     fn on_timer(&mut self, _: Timestamp, visit: &Value<(u64, i64)>, cx: &mut Context<'_, Self>) {
//!         if let Some((clicks, _)) = visit.take(cx) {
//!             cx.emit((*cx.key(), clicks));
//!         }
//!     }
//! }
//!
//! let mut kit = TestKit::process(Visits, |click: &(i64, char)| click.1);
//! kit.record(0, (0, 'a'))?;
//! kit.record(900, (900, 'a'))?;
//! assert_eq!(kit.timers(&'a'), [1_900], "the first click's was taken back");
//! assert_eq!(kit.state_of(&'a', |visit, cx| visit.load(cx))?, Some((2, 1_900)));
//!
//! kit.watermark(1_899)?;
//! assert!(kit.take_output().is_empty());
//! kit.watermark(1_900)?;
//! assert_eq!(kit.take_output(), [('a', 2)]);
//! assert_eq!(kit.state_of(&'a', |visit, cx| visit.load(cx))?, None);
//! # Ok::<(), millstream::Error>(())
//! ```
//!
//! # Side outputs, and timers of the clock
//! ```
//! use millstream::prelude::*;
//! use millstream::testing::TestKit;
//!
//! const UNANSWERED: OutputTag<u64> = OutputTag::new("unanswered");
//!
//! /// Passes on answers, and puts aside what has none after a minute.
//! #[derive(Clone)]
//! struct Wait;
//! impl Process for Wait {
//!     type Key = u64;
//!     type In = (u64, bool);
//!     type Out = u64;
//!     type State = Side<u64>;
//!     fn declare(&self, state: &mut Declare) -> Side<u64> {
//!         state.side(UNANSWERED)
//!     }
//!     fn on_record(&mut self, (id, is_answer): (u64, bool), _: &Side<u64>, cx: &mut Context<'_, Self>) {
//!         match is_answer {
//!             true => cx.emit(id),
//!             false => cx.processing_timer_at(cx.processing_time() + 60_000),
//!         }
//!     }
//!     fn on_processing_timer(&mut self, _: Timestamp, side: &Side<u64>, cx: &mut Context<'_, Self>) {
//!         cx.emit_to(side, *cx.key());
//!     }
//! }
//!
//! let mut kit = TestKit::process(Wait, |line: &(u64, bool)| line.0);
//! kit.record(0, (7, false))?;
//! kit.advance_clock(secs(59))?;
//! assert_eq!(kit.processing_timers(&7), [60_000]);
//! kit.advance_clock(secs(1))?;
//! assert_eq!(kit.take_side(UNANSWERED), [7]);
//! # Ok::<(), millstream::Error>(())
//! ```
//!
//! # Through a checkpoint, onto other cores, into a new version
//! ```
//! use millstream::prelude::*;
//! use millstream::testing::TestKit;
//!
//! /// Numbers the records of a key, in steps.
//! #[derive(Clone)]
//! struct Number { step: u32 }
//! impl Process for Number {
//!     type Key = char;
//!     type In = char;
//!     type Out = (char, u32);
//!     type State = Value<u32>;
//!     fn declare(&self, state: &mut Declare) -> Value<u32> {
//!         state.value("last")
//!     }
//!     fn on_record(&mut self, c: char, last: &Value<u32>, cx: &mut Context<'_, Self>) {
//!         let n = last.update(cx, |n| { *n += self.step; *n });
//!         cx.emit((c, n));
//!     }
//! }
//!
//! let mut kit = TestKit::process(Number { step: 1 }, |c: &char| *c);
//! for c in ['a', 'b', 'a'] {
//!     kit.record(0, c)?;
//! }
//! kit.restart(3)?;
//! kit.record(0, 'a')?;
//! assert_eq!(kit.take_output(), [('a', 1), ('b', 1), ('a', 2), ('a', 3)]);
//!
//! let mut kit = kit.restart_as(Number { step: 10 }, |c: &char| *c, 2)?;
//! kit.record(0, 'b')?;
//! assert_eq!(kit.take_output(), [('b', 11)]);
//! # Ok::<(), millstream::Error>(())
//! ```
//!
//! # What they do not show
//! A [`TestKit`] calls the operator as its stage does, without the stage: nothing is exchanged between cores, there is no
//! back-pressure, and state is never evicted. A [`JobKit`] has all of that, but always in the same order: cores never run at
//! the same time, each source is one split, and the disk neither fails nor forgets. It shows output before a checkpoint
//! commits it, and has no crashes, only restarts behind a checkpoint. The simulator has the rest; and what a job should put
//! out says [`Job::expected`](crate::Job::expected).

pub(crate) mod host;
pub(crate) mod job;
mod process;
mod restart;
mod throttled;

pub(crate) use job::Hands;
pub use job::{Input, JobKit, Output};
pub use process::TestKit;
pub use throttled::Throttled;
