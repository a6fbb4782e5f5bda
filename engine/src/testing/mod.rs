//! Tests of one's own functions, without running a job's cores: records, watermarks and the clock are fed by hand.
//!
//! A [`TestKit`] drives one process function. What runs is the shipped operator on its shipped state: timers, side
//! outputs, state with a TTL, states of cores and broadcast state do what they do in a job.
//!
//! # Records, watermarks and the clock
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
//! # What it does not show
//! The kit calls the operator as its stage does, without the stage: nothing is exchanged between cores, there is no
//! back-pressure, and state is never evicted. What a job as a whole does, [`Job::run`](crate::Job::run) shows, with
//! [`from_vec`](crate::source::from_vec) and [`collect`](crate::sink::collect) at its ends; what it should do,
//! [`Job::expected`](crate::Job::expected).

pub(crate) mod host;
mod process;
mod restart;

pub use process::TestKit;
