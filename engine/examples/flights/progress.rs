//! A line that says how it goes.

use std::io::{IsTerminal, Write, stderr};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use millstream::metrics::Metrics;
use millstream::prelude::*;

/// On a terminal the line is redrawn this often.
const REDRAW: Duration = Duration::from_millis(200);

/// Elsewhere a line is added this often.
const REPEAT: Duration = Duration::from_secs(5);

/// Waits for the job to end, and shows its progress on stderr.
pub fn watch(handle: JobHandle) -> Result<Report> {
    let metrics = handle.metrics().clone();
    let (over, ended) = channel::<()>();
    let shown = thread::spawn(move || show(&metrics, &ended));
    let report = handle.wait();
    drop(over);
    shown.join().expect("showing progress does not panic");
    report
}

/// Until the other end of the channel is dropped.
fn show(metrics: &Metrics, ended: &Receiver<()>) {
    let redrawn = stderr().is_terminal();
    let pause = if redrawn { REDRAW } else { REPEAT };
    let (mut since, mut before) = (Instant::now(), 0);
    loop {
        let more = ended.recv_timeout(pause) == Err(RecvTimeoutError::Timeout);
        let records = metrics.sum(|shard| &shard.records_in);
        let rate = (records - before) as f64 / since.elapsed().as_secs_f64();
        (since, before) = (Instant::now(), records);
        let text = line(metrics, records, rate);
        // Nobody may be reading.
        let (start, end) = if redrawn { ("\r\x1b[K", if more { "" } else { "\n" }) } else { ("", "\n") };
        let _ = write!(stderr(), "{start}{text}{end}");
        if !more {
            return;
        }
    }
}

fn line(metrics: &Metrics, records: u64, rate: f64) -> String {
    let (late, checkpoints) = (metrics.sum(|shard| &shard.late), metrics.job().checkpoints.get());
    format!("{records} records, {rate:.0} per second, {late} late, {checkpoints} checkpoints")
}
