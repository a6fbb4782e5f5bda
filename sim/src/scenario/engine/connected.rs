//! Two streams and a broadcast one in process functions, with side outputs and partitioners between.

use millstream::job::Job;
use millstream::prelude::{Context, Declare, Either, Map, OutputTag, Process, Side, Timestamp, Value};
use millstream::process::{BroadcastProcess, CoreContext};
use millstream::reference::Inputs;
use millstream::source::watermarks::Watermarks;
use millstream::state::BroadcastState;
use millstream::time::millis;

use super::data::{Event, Row, events, feed, outside};
use super::expected::Expected;
use super::windows::sound;
use super::{Finding, Work};
use crate::collected::Collected;
use crate::disk::DiskView;
use crate::feed::Feed;
use crate::trace::mix;
use crate::world::World;

/// A broadcast record: the times of what is emitted are raised by the last value of their key.
type Rule = Event;

const MET: OutputTag<Row<u64>> = OutputTag::new("met");

/// Sums the left and the right records of a key; which of them came first does not matter. Pairs of equal values go
/// aside.
#[derive(Clone)]
struct Meet;

struct Met {
    sums: Value<(u64, u64)>,
    left: Map<u64, u64>,
    right: Map<u64, u64>,
    met: Side<Row<u64>>,
}

impl Process for Meet {
    type Key = u64;
    type In = Either<Event, Event>;
    type Out = Row<[u64; 2]>;
    type State = Met;

    fn declare(&self, state: &mut Declare) -> Met {
        Met {
            sums: state.value("sums"),
            left: state.map("left"),
            right: state.map("right"),
            met: state.side(MET),
        }
    }

    fn on_record(&mut self, record: Self::In, state: &Met, cx: &mut Context<'_, Self>) {
        let (mut left, mut right) = state.sums.load(cx).unwrap_or_default();
        let (event, own, other) = match record {
            Either::Left(event) => {
                left += mix(event.id, 1) >> 32;
                (event, &state.left, &state.right)
            }
            Either::Right(event) => {
                right += mix(event.id, 2) >> 32;
                (event, &state.right, &state.left)
            }
        };
        state.sums.set(cx, &(left, right));
        let count = own.get(cx, &event.value).map_or(0, |count| count.to_native()) + 1;
        own.put(cx, &event.value, &count);
        let met = other.get(cx, &event.value).map_or(0, |count| count.to_native());
        for _ in 0..met {
            cx.emit_to(&state.met, Row { key: event.key, start: 0, value: event.value });
        }
        cx.timer_at(i64::MAX - 1);
    }

    fn on_timer(&mut self, _: Timestamp, state: &Met, cx: &mut Context<'_, Self>) {
        let (left, right) = state.sums.load(cx).unwrap_or_default();
        let key = *cx.key();
        cx.emit(Row { key, start: 0, value: [left, right] });
    }
}

/// Tells at the end of a key all rules that there are, in one number.
#[derive(Clone)]
struct Obey;

impl Process for Obey {
    type Key = u64;
    type In = Row<[u64; 2]>;
    type Out = Row<u64>;
    type State = BroadcastState<u64, u64>;

    fn declare(&self, state: &mut Declare) -> BroadcastState<u64, u64> {
        state.broadcast("rules")
    }

    fn on_record(&mut self, _: Row<[u64; 2]>, _: &BroadcastState<u64, u64>, cx: &mut Context<'_, Self>) {
        cx.timer_at(i64::MAX);
    }

    fn on_timer(&mut self, _: Timestamp, rules: &BroadcastState<u64, u64>, cx: &mut Context<'_, Self>) {
        let all = rules.iter(cx).fold(1, |all, (key, id)| mix(all, mix(key, id.to_native())));
        let key = *cx.key();
        cx.emit(Row { key, start: 0, value: all });
    }
}

impl BroadcastProcess for Obey {
    type Broadcast = Rule;

    fn on_broadcast(&mut self, rule: Rule, rules: &BroadcastState<u64, u64>, cx: &mut CoreContext<'_, Self>) {
        match rule.value % 5 {
            0 => _ = rules.remove(cx, &rule.key),
            _ => rules.put(cx, &rule.key, &rule.id),
        }
    }
}

pub(super) struct Connected {
    disorder: u64,
    feeds: [Feed<Event>; 3],
    sums: Collected<Row<[u64; 2]>>,
    met: Collected<Row<u64>>,
    obeyed: Collected<Row<u64>>,
    expected_sums: Expected<Row<[u64; 2]>>,
    expected_met: Expected<Row<u64>>,
    expected_obeyed: Expected<Row<u64>>,
}

impl Connected {
    pub(super) fn new(world: &World) -> Connected {
        let mut random = world.streams().stream("workload");
        let disorder = random.magnitude(200);
        let mut inputs = Inputs::new();
        let mut feed_of = |name: &str, first: u64| {
            let mut events = events(&mut random, disorder);
            events.iter_mut().for_each(|event| event.id += first);
            let records = events.clone();
            inputs = std::mem::take(&mut inputs).with(name, move || vec![records.clone()]);
            feed(&mut random, vec![events])
        };
        let feeds = [feed_of("left", 0), feed_of("right", 1 << 32), feed_of("rules", 1 << 33)];
        let mut work = Connected {
            disorder,
            feeds,
            sums: Collected::new(outside(&mut random)),
            met: Collected::new(outside(&mut random)),
            obeyed: Collected::new(outside(&mut random)),
            expected_sums: Expected::new("sums", Row::name, Vec::new()),
            expected_met: Expected::new("met", pair, Vec::new()),
            expected_obeyed: Expected::new("obeyed", Row::name, Vec::new()),
        };
        let job = work.job();
        work.expected_sums = Expected::new("sums", Row::name, job.expected("sums", &inputs));
        work.expected_met = Expected::new("met", pair, job.expected("met", &inputs));
        work.expected_obeyed = Expected::new("obeyed", Row::name, job.expected("obeyed", &inputs));
        work
    }
}

/// Which of the pairs of a key comes first is open.
fn pair(row: &Row<u64>) -> String {
    format!("{} of {}", row.value, row.key)
}

impl Work for Connected {
    fn job(&self) -> Job {
        let job = Job::new("connected");
        let marks = Watermarks::bounded(millis(self.disorder));
        let [left, right, rules] = &self.feeds;
        let source = |name: &str, feed: &Feed<Event>| {
            job.source(name, feed.clone()).event_time(|event: &Event| event.time, marks)
        };
        let left = source("left", left).rebalance("dealt out");
        let right = source("right", right).shuffle("anywhere");
        let rules = source("rules", rules).broadcast("rules for all");
        let met =
            left.key_by(|event| event.key).connect(right.key_by(|event| event.key)).process("meet", Meet);
        met.side(MET).rescale("fewer", 2).sink("met", self.met.clone());
        let sums = met.stage("sums so far");
        sums.clone().sink("sums", self.sums.clone());
        let obeyed = sums.key_by(|row| row.key).connect_broadcast(rules).process("obey", Obey);
        obeyed.partition("by key", |row, cores| row.key as usize % cores).sink("obeyed", self.obeyed.clone());
        job
    }

    fn check(&self, _: &DiskView, done: bool) -> Result<(), Finding> {
        sound(&self.sums)?;
        sound(&self.met)?;
        sound(&self.obeyed)?;
        self.expected_sums.check(self.sums.committed(), done)?;
        self.expected_met.check(self.met.committed(), done)?;
        self.expected_obeyed.check(self.obeyed.committed(), done)
    }
}
