//! Writing a file past the page cache through each runtime's disk, beside plain writes of one thread.

use std::fs::OpenOptions;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Instant;

use millstream::host::{CoreMain, RuntimeConfig, RuntimeKind, launch};
use millstream_storage::disk::{OpenMode, SECTOR, SharedBytes};

use crate::report::{Cell, Outcome, Report, Spread};

#[derive(clap::Args)]
pub struct Args {
    /// The directory whose disk is measured.
    #[arg(long, default_value = ".")]
    disk: PathBuf,
    /// MiB of each file.
    #[arg(long, default_value_t = 1024)]
    mib: usize,
    /// KiB of each write; several are measured in turn.
    #[arg(long, value_delimiter = ',', default_value = "1024,256,16")]
    pieces: Vec<usize>,
    /// Writes under way at once; several are measured in turn.
    #[arg(long, value_delimiter = ',', default_value = "1,4,16")]
    depths: Vec<usize>,
    /// Runs of each, in turns with the others. The median is reported.
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

/// What one run writes.
#[derive(Clone)]
struct Work {
    path: PathBuf,
    bytes: SharedBytes,
    total: usize,
    piece: usize,
}

pub fn run(args: &Args) -> Outcome<Report> {
    let columns = ["piece, KiB", "depth", "way", "GB/s", "range", "of plain", "CPU s per GB"];
    let mut report = Report::new(format!("direct-write: {} MiB and a sync", args.mib), &columns);
    for &kib in &args.pieces {
        for &depth in &args.depths {
            measure(args, kib, depth, &mut report)?;
        }
    }
    report.note("plain: pwrite and fdatasync of one thread on an O_DIRECT file, one write after the other.");
    Ok(report)
}

fn measure(args: &Args, kib: usize, depth: usize, report: &mut Report) -> Outcome<()> {
    let path = args.disk.join(format!(".millstream-direct-{}", std::process::id()));
    let piece = kib << 10;
    let work = Work { path, bytes: aligned(16 << 20), total: (args.mib << 20) / piece * piece, piece };
    let ways =
        [("plain", None), ("uring", Some(RuntimeKind::Uring)), ("threads", Some(RuntimeKind::Threads))];
    let mut figures: [(Vec<f64>, Vec<f64>); 3] = Default::default();
    for run in 1..=args.runs {
        for ((name, kind), (speeds, costs)) in ways.iter().zip(&mut figures) {
            eprint!("\r{kib} KiB, {depth} at once, {name}: run {run} of {}   ", args.runs);
            let (cpu, start) = (cpu_seconds(), Instant::now());
            match kind {
                None => plain(&work)?,
                Some(kind) => through(*kind, &work, depth)?,
            }
            let total = work.total as f64 / 1e9;
            speeds.push(total / start.elapsed().as_secs_f64());
            costs.push((cpu_seconds() - cpu) / total);
            std::fs::remove_file(&work.path)?;
        }
    }
    eprintln!();
    let plain = Spread::of(figures[0].0.clone()).median;
    for ((name, _), (speeds, costs)) in ways.iter().zip(figures) {
        let speed = Spread::of(speeds);
        report.row(vec![
            Cell::count(kib as u64),
            Cell::count(depth as u64),
            Cell::text(*name),
            Cell::number(speed.median, 2),
            speed.range(),
            Cell::number(speed.median / plain, 2),
            Cell::number(Spread::of(costs).median, 3),
        ]);
    }
    Ok(())
}

fn plain(work: &Work) -> Outcome<()> {
    let direct = i32::try_from(rustix::fs::OFlags::DIRECT.bits())?;
    let file = OpenOptions::new().write(true).create_new(true).custom_flags(direct).open(&work.path)?;
    for offset in (0..work.total).step_by(work.piece) {
        file.write_all_at(&work.piece(offset), offset as u64)?;
    }
    Ok(file.sync_data()?)
}

fn through(kind: RuntimeKind, work: &Work, depth: usize) -> Outcome<()> {
    let (outcome, written) = mpsc::channel();
    let work = work.clone();
    let main: CoreMain = Box::new(move |host| {
        Box::pin(async move {
            let disk = host.disk();
            // Nobody waits for the outcome once the core has panicked.
            let _ = outcome.send(write(&*disk, &work, depth).await);
        })
    });
    launch(&RuntimeConfig { kind, spin: None, pin: true }, vec![main])?.join()?;
    Ok(written.recv()??)
}

async fn write(disk: &dyn millstream_storage::disk::Disk, work: &Work, depth: usize) -> std::io::Result<()> {
    let file = disk.open(&work.path, OpenMode::CreateDirect).await?;
    let mut under_way = std::collections::VecDeque::with_capacity(depth);
    for offset in (0..work.total).step_by(work.piece) {
        if under_way.len() == depth {
            under_way.pop_front().expect("the depth is not zero").await?;
        }
        under_way.push_back(file.write_at(offset as u64, work.piece(offset)));
    }
    for write in under_way {
        write.await?;
    }
    file.sync().await
}

impl Work {
    fn piece(&self, offset: usize) -> SharedBytes {
        let start = offset % self.bytes.len();
        self.bytes.slice(start..start + self.piece)
    }
}

fn aligned(len: usize) -> SharedBytes {
    let memory = Arc::new(vec![7_u8; len + SECTOR]);
    let skip = memory.as_ptr().align_offset(SECTOR);
    // SAFETY: the vector is not changed any more, and does not move with its owner.
    unsafe { SharedBytes::new(memory.clone(), memory.as_ptr().add(skip), len) }
}

/// CPU time that all threads of this process have used, the kernel's workers for it included.
fn cpu_seconds() -> f64 {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    used.tv_sec as f64 + used.tv_nsec as f64 / 1e9
}
