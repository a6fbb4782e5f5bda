//! Jobs that are run as a batch: how their steps know, and how those put off what they would put out over and over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::operator::process::{Context, Declare, Process};
use crate::state::Value;
use crate::time::{MAX_TIME, Timestamp};

/// Whether a job is run as a batch: it is built before that is known, and laid out on cores after.
#[derive(Clone, Default)]
pub(crate) struct Mode(Arc<AtomicBool>);

impl Mode {
    pub(crate) fn set(&self, batch: bool) {
        self.0.store(batch, Ordering::Relaxed);
    }

    pub(crate) fn is_batch(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// What a keyed step needs to put out its last result only.
    pub(crate) fn declare(&self, state: &mut Declare) -> Last {
        Last(self.is_batch().then(|| state.value("time of the last record")))
    }
}

/// When the result of a key is due: with every record, or, in a batch, at the end.
pub(crate) struct Last(Option<Value<Timestamp>>);

impl Last {
    /// In a batch, has [`Process::on_timer`] called for this key at the end, and says so. What comes behind the last
    /// watermark is not put off: nothing would call for it any more.
    pub(crate) fn put_off<P: Process>(&self, cx: &mut Context<'_, P>) -> bool {
        let Some(last) = self.0.as_ref().filter(|_| cx.watermark() < MAX_TIME) else { return false };
        let time = cx.time();
        match last.load(cx) {
            Some(before) if before >= time => {}
            Some(_) => last.set(cx, &time),
            None => {
                last.set(cx, &time);
                cx.timer_at(MAX_TIME);
            }
        }
        true
    }

    /// At the end: what is emitted from now on has the time of the key's latest record, not that of the end.
    pub(crate) fn recall<P: Process>(&self, cx: &mut Context<'_, P>) {
        if let Some(time) = self.0.as_ref().and_then(|last| last.take(cx)) {
            cx.time = time;
        }
    }
}
