//! What the machine allows, measured in the same run as what is quoted against it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use millstream_bench::raw_disk::RawFile;

use crate::bare;
use crate::report::{Cell, Outcome, Report};

#[derive(clap::Args)]
pub struct Args {
    /// The directory whose disk is measured.
    #[arg(long, default_value = ".")]
    disk: PathBuf,
    /// MiB written to and read from the disk.
    #[arg(long, default_value_t = 1024)]
    disk_mib: usize,
    /// Updates of each bare loop.
    #[arg(long, default_value_t = 50_000_000)]
    events: u64,
}

pub fn run(args: &Args) -> Outcome<Report> {
    let mut report = Report::new("limits of this machine, one core unless said", &["what", "figure", "unit"]);
    let mut row = |what: &str, value: f64, decimals: usize, unit: &str| {
        eprintln!("{what}");
        report.row(vec![Cell::text(what), Cell::number(value, decimals), Cell::text(unit)]);
    };
    row("memory copy", memory_copy(), 1, "GB/s");
    for (what, kib) in [("in L2", 512), ("in L3", 16 << 10), ("in memory", 1 << 20)] {
        row(&format!("dependent random read {what}"), random_read(kib << 10), 1, "ns");
    }
    row("line from core to core and back", core_round_trip()?, 0, "ns");
    row("clock read", clock_read(), 1, "ns");
    let (write, read, sync) = disk(args)?;
    row("sequential write past the page cache", write, 2, "GB/s");
    row("sequential read past the page cache", read, 2, "GB/s");
    row("file sync after 4 KiB", sync, 0, "µs");
    row("event generator alone", bare::generator(args.events, 1_000_000) / 1e6, 0, "million/s");
    for keys in [1_000, 1_000_000, 10_000_000] {
        let text = format!("{keys} keys");
        row(&format!("hash map update, {text}"), bare::hash_map(args.events, keys) / 1e6, 1, "million/s");
        row(&format!("prefetched update, {text}"), bare::prefetched(args.events, keys) / 1e6, 1, "million/s");
    }
    Ok(report)
}

fn memory_copy() -> f64 {
    let (source, mut target) = (vec![1_u8; 256 << 20], vec![0_u8; 256 << 20]);
    target.copy_from_slice(&source);
    let start = Instant::now();
    for _ in 0..8 {
        target.copy_from_slice(std::hint::black_box(&source));
        std::hint::black_box(&target);
    }
    8.0 * source.len() as f64 / start.elapsed().as_secs_f64() / 1e9
}

/// Nanoseconds per step of a random cycle through `bytes`.
fn random_read(bytes: usize) -> f64 {
    let n = bytes / 64;
    let mut next: Vec<[u64; 8]> = (0..n as u64).map(|i| [i; 8]).collect();
    // Sattolo's algorithm: one cycle through all of it.
    for i in (1..n).rev() {
        let j = (crate::events::Event::new(i as u64, i as u64).key) as usize;
        let (a, b) = (next[i][0], next[j][0]);
        (next[i][0], next[j][0]) = (b, a);
    }
    let steps = 5_000_000;
    let mut at = 0;
    let start = Instant::now();
    for _ in 0..steps {
        at = next[at][0] as usize;
    }
    std::hint::black_box(at);
    start.elapsed().as_nanos() as f64 / f64::from(steps)
}

fn core_round_trip() -> Outcome<f64> {
    const ROUNDS: u64 = 500_000;
    if std::thread::available_parallelism()?.get() < 2 {
        return Ok(f64::NAN);
    }
    #[repr(align(128))]
    struct Line(AtomicU64);
    let (there, back) = (Line(AtomicU64::new(0)), Line(AtomicU64::new(0)));
    let start = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 1..=ROUNDS {
                while there.0.load(Ordering::Acquire) != round {
                    std::hint::spin_loop();
                }
                back.0.store(round, Ordering::Release);
            }
        });
        for round in 1..=ROUNDS {
            there.0.store(round, Ordering::Release);
            while back.0.load(Ordering::Acquire) != round {
                std::hint::spin_loop();
            }
        }
    });
    Ok(start.elapsed().as_nanos() as f64 / ROUNDS as f64)
}

fn clock_read() -> f64 {
    let start = Instant::now();
    for _ in 0..1_000_000 {
        std::hint::black_box(Instant::now());
    }
    start.elapsed().as_nanos() as f64 / 1e6
}

/// Gigabytes per second written and read past the page cache, and microseconds of a small sync.
fn disk(args: &Args) -> Outcome<(f64, f64, f64)> {
    let path = args.disk.join(format!(".millstream-limits-{}", std::process::id()));
    let mut file = RawFile::create(&path)?;
    Ok((file.write((args.disk_mib << 20) as u64)?, file.read()?, file.sync(20)?))
}
