//! CPUs, memory, limits and clocks, as the kernel tells of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Instant;

use millstream::host::cpus;
use millstream::host::probe::memlock;
use rustix::process::{Resource, getrlimit};
use rustix::system::uname;
use serde::Serialize;

/// The machine without its disks.
#[derive(Serialize)]
pub struct Machine {
    pub kernel: String,
    pub cpu: Cpu,
    pub memory: Memory,
    pub limits: Limits,
    pub clock: Clock,
}

/// The processors.
#[derive(Serialize)]
pub struct Cpu {
    pub model: Option<String>,
    pub online: Option<String>,
    /// The CPUs that this process may use.
    pub allowed: Vec<usize>,
    /// Groups of allowed CPUs that share one physical core.
    pub smt_siblings: Vec<String>,
    pub numa_nodes: Vec<String>,
    /// The caches that the first allowed CPU sees.
    pub caches: Vec<String>,
    pub governor: Option<String>,
    /// The quota of the control group, in CPUs.
    pub quota: Option<f64>,
}

/// The main memory, in bytes.
#[derive(Serialize)]
pub struct Memory {
    pub total: Option<u64>,
    pub available: Option<u64>,
    pub cgroup_limit: Option<u64>,
    pub swap: Option<u64>,
    pub transparent_huge_pages: Option<String>,
    pub huge_pages: Option<u64>,
}

/// What the process may use; none is no limit.
#[derive(Serialize)]
pub struct Limits {
    pub memlock: Option<u64>,
    pub memlock_exempt: bool,
    pub open_files: Option<u64>,
}

/// The clock behind every `now`.
#[derive(Serialize)]
pub struct Clock {
    pub source: Option<String>,
    pub read_nanos: f64,
}

impl Machine {
    /// Looks at this machine.
    pub fn look() -> Machine {
        let memlock = memlock();
        Machine {
            kernel: format!(
                "{} {}",
                uname().sysname().to_string_lossy(),
                uname().release().to_string_lossy()
            ),
            cpu: Cpu::look(),
            memory: Memory::look(),
            limits: Limits {
                memlock: memlock.limit,
                memlock_exempt: memlock.exempt,
                open_files: getrlimit(Resource::Nofile).current,
            },
            clock: Clock {
                source: read("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
                read_nanos: clock_cost(),
            },
        }
    }
}

impl Cpu {
    fn look() -> Cpu {
        let allowed = cpus::allowed().unwrap_or_default();
        let of = |cpu: usize, file: &str| read(format!("/sys/devices/system/cpu/cpu{cpu}/{file}"));
        let first = allowed.first().copied().unwrap_or_default();
        let siblings: BTreeSet<String> =
            allowed.iter().filter_map(|cpu| of(*cpu, "topology/thread_siblings_list")).collect();
        Cpu {
            model: model(),
            online: read("/sys/devices/system/cpu/online"),
            smt_siblings: siblings.into_iter().filter(|list| list.contains([',', '-'])).collect(),
            numa_nodes: numa_nodes(),
            caches: (0..8).map_while(|index| cache(first, index)).collect(),
            governor: of(first, "cpufreq/scaling_governor"),
            quota: quota(),
            allowed,
        }
    }
}

impl Memory {
    fn look() -> Memory {
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let field = |name: &str| -> Option<u64> {
            let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            line.split_whitespace().next()?.parse().ok()
        };
        let kib = |name| field(name).map(|kib| kib * 1024);
        let modes = read("/sys/kernel/mm/transparent_hugepage/enabled");
        Memory {
            total: kib("MemTotal"),
            available: kib("MemAvailable"),
            cgroup_limit: cgroup("memory.max").and_then(|text| text.parse().ok()),
            swap: kib("SwapTotal"),
            transparent_huge_pages: modes.and_then(|modes| {
                let chosen = modes.split_once('[')?.1.split_once(']')?.0;
                Some(chosen.to_owned())
            }),
            huge_pages: field("HugePages_Total"),
        }
    }
}

fn model() -> Option<String> {
    let info = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn cache(cpu: usize, index: usize) -> Option<String> {
    let of = |file| read(format!("/sys/devices/system/cpu/cpu{cpu}/cache/index{index}/{file}"));
    let kind = match of("type")?.as_str() {
        "Data" => "d",
        "Instruction" => "i",
        _ => "",
    };
    Some(format!("L{}{kind} {}", of("level")?, of("size")?))
}

fn numa_nodes() -> Vec<String> {
    let of =
        |node| Some(format!("{node}: {}", read(format!("/sys/devices/system/node/node{node}/cpulist"))?));
    (0..64).map_while(of).collect()
}

// cpu.max holds "quota period" in microseconds, or "max period".
fn quota() -> Option<f64> {
    let text = cgroup("cpu.max")?;
    let (quota, period) = text.split_once(' ')?;
    Some(quota.parse::<f64>().ok()? / period.parse::<f64>().ok()?)
}

// A file of this process's control group (version 2).
fn cgroup(file: &str) -> Option<String> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    read(Path::new("/sys/fs/cgroup").join(path).join(file))
}

fn read(path: impl AsRef<Path>) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

// Nanoseconds of one reading: the least of some rounds.
fn clock_cost() -> f64 {
    const READS: u32 = 10_000;
    let round = || {
        let start = Instant::now();
        (0..READS).for_each(|_| {
            std::hint::black_box(Instant::now());
        });
        start.elapsed().as_nanos() as f64 / f64::from(READS)
    };
    (0..5).map(|_| round()).fold(f64::INFINITY, f64::min)
}
