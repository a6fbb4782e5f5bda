//! Drives a whole job by hand.
//!
//! ```
//! use millstream::prelude::*;
//! use millstream::testing::JobKit;
//!
//! /// Passes on a reading if the key is silent for a minute of the clock behind it.
//! #[derive(Clone)]
//! struct LastWord;
//! impl Process for LastWord {
//!     type Key = char;
//!     type In = (char, i64);
//!     type Out = (char, i64);
//!     type State = Value<i64>;
//!     fn declare(&self, state: &mut Declare) -> Value<i64> {
//!         state.value("last")
//!     }
//!     fn on_record(&mut self, (_, n): (char, i64), last: &Value<i64>, cx: &mut Context<'_, Self>) {
//!         last.set(cx, &n);
//!         cx.processing_timer_at(cx.processing_time() + 60_000);
//!     }
//!     fn on_processing_timer(&mut self, _: Timestamp, last: &Value<i64>, cx: &mut Context<'_, Self>) {
//!         if let Some(n) = last.take(cx) {
//!             cx.emit((*cx.key(), n));
//!         }
//!     }
//! }
//!
//! let kit = JobKit::new(|| {
//!     let job = Job::new("doc");
//!     let readings = job.source("readings", from_vec(Vec::<(char, i64)>::new()));
//!     let readings = readings.event_time(|reading| reading.1, Watermarks::monotonous());
//!     readings.key_by(|reading| reading.0).process("last word", LastWord).sink("out", discard());
//!     job
//! })?;
//! kit.input("readings").push_all([('a', 5_i64), ('b', 7)])?;
//! assert_eq!(kit.watermark("readings"), 6);
//! assert_eq!(kit.state_of::<char, Value<i64>>("last word", "last", &'b')?, [7]);
//! assert_eq!(kit.processing_timers("last word")?, [(60_000, 'a'), (60_000, 'b')]);
//!
//! kit.restart(2)?;
//! kit.advance_clock(minutes(1))?;
//! assert_eq!(kit.output::<(char, i64)>("out").take().len(), 2);
//! assert_eq!(kit.end()?.records_in, 0, "since the restart");
//! assert!(kit.is_finished());
//! # Ok::<(), Error>(())
//! ```

mod captured;
pub(crate) mod disk;
mod ends;
mod feed;
mod hands;
mod kit;
mod look;
pub(crate) mod world;

pub use ends::{Input, Output};
pub(crate) use hands::Hands;
pub use kit::JobKit;
