//! Rule 20: what is broadcast reaches every core in the same order, and alone changes broadcast state.

use millstream::prelude::*;
use millstream::process::{BroadcastProcess, CoreContext};
use millstream::state::BroadcastState;

/// Tells at the end what it knows of the settings, once per key.
#[derive(Clone)]
struct Settings;

impl Process for Settings {
    type Key = u64;
    type In = u64;
    type Out = Vec<(u8, u64)>;
    type State = BroadcastState<u8, u64>;

    fn declare(&self, state: &mut Declare) -> BroadcastState<u8, u64> {
        state.broadcast("settings")
    }

    fn on_record(&mut self, _: u64, _: &BroadcastState<u8, u64>, cx: &mut Context<'_, Self>) {
        cx.timer_at(i64::MAX);
    }

    fn on_timer(&mut self, _: Timestamp, settings: &BroadcastState<u8, u64>, cx: &mut Context<'_, Self>) {
        let all = settings.iter(cx).map(|(name, value)| (name, value.to_native())).collect();
        cx.emit(all);
    }
}

impl BroadcastProcess for Settings {
    type Broadcast = (u8, u64);

    fn on_broadcast(
        &mut self,
        (name, value): (u8, u64),
        settings: &BroadcastState<u8, u64>,
        cx: &mut CoreContext<'_, Self>,
    ) {
        // The last one stays: which that is shows the order.
        match value % 10 {
            0 => _ = settings.remove(cx, &name),
            _ => settings.put(cx, &name, &value),
        }
    }
}

#[test]
fn rule_20_broadcast_state_is_the_same_on_every_core_whatever_sends_it() {
    for cores in [1, 2, 4] {
        let job = Job::new("settings");
        let (sink, out) = collect();
        // Of many splits, so that several cores send at once.
        let settings = job.source("settings", generator(10_000, |n| ((n % 50) as u8, n)));
        let numbers = job.source("numbers", generator(1_000, |n| n)).key_by(|n| *n);
        let settings = settings.broadcast("settings for all");
        numbers.connect_broadcast(settings).process("know", Settings).sink("out", sink);
        job.run(Config::new().cores(cores).batch_size(4).ring_depth(1)).expect("the job ends well");
        let known = out.take();
        assert_eq!(known.len(), 1_000);
        assert!(known.iter().all(|all| *all == known[0]), "the cores differ");
        assert!(!known[0].is_empty());
    }
}
