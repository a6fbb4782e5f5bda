//! q12: windows of the clock.

use millstream::prelude::*;
use millstream::stream::chain::Chain;

use super::plain::bids;
use super::sessions::SessionRow;
use crate::nexmark::input::Events;

/// The length of a window, in milliseconds.
const LENGTH: i64 = 10_000;

/// How many bids each bidder made while the clock went through each window. The windows that are open when the input
/// ends are dropped, as all timers of the clock are.
pub fn q12(events: Events) -> Stream<SessionRow, impl Chain<Out = SessionRow>> {
    bids(events).map(|bid| bid.bidder).key_by(|bidder| *bidder).process("clock windows", ClockWindows)
}

#[derive(Clone, Copy, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct Open {
    end: i64,
    bids: i64,
}

#[derive(Clone)]
struct ClockWindows;

impl ClockWindows {
    fn emit(Open { end, bids }: Open, cx: &mut Context<'_, Self>) {
        cx.emit(SessionRow { bidder: *cx.key(), bids, start: end - LENGTH, end });
    }
}

impl Process for ClockWindows {
    type Key = i64;
    type In = i64;
    type Out = SessionRow;
    type State = Value<Open>;

    fn declare(&self, state: &mut Declare) -> Value<Open> {
        state.value("open")
    }

    fn on_record(&mut self, _: i64, open: &Value<Open>, cx: &mut Context<'_, Self>) {
        let now = cx.processing_time();
        let before = open.update(cx, |open| {
            // A clock that was set back adds to the window that is open.
            if now < open.end {
                open.bids += 1;
                return None;
            }
            let end = now - now.rem_euclid(LENGTH) + LENGTH;
            Some((std::mem::replace(open, Open { end, bids: 1 }), end))
        });
        if let Some((before, end)) = before {
            if before.bids > 0 {
                ClockWindows::emit(before, cx);
            }
            cx.processing_timer_at(end);
        }
    }

    fn on_processing_timer(&mut self, at: Timestamp, open: &Value<Open>, cx: &mut Context<'_, Self>) {
        if let Some(over) = open.load(cx).filter(|open| open.end <= at) {
            open.clear(cx);
            ClockWindows::emit(over, cx);
        }
    }
}
