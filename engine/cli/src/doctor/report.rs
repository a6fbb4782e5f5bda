//! The findings as text for people.

use std::io::{self, Write};

use super::Findings;
use super::directory::Directory;
use super::machine::{Cpu, Limits, Memory};
use crate::text::size;

/// Prints everything, the verdict last.
pub fn print(findings: &Findings, output: &mut dyn Write) -> io::Result<()> {
    let machine = &findings.machine;
    section(output, "kernel", &[Some(machine.kernel.clone())])?;
    section(output, "cpu", &cpu(&machine.cpu))?;
    section(output, "memory", &memory(&machine.memory))?;
    section(output, "limits", &limits(&machine.limits))?;
    let source = machine.clock.source.as_deref().unwrap_or("unknown source");
    section(output, "clock", &[Some(format!("{source}, {:.0} ns a reading", machine.clock.read_nanos))])?;
    section(output, "io_uring", &uring(findings))?;
    section(output, "disk", &disk(&findings.directory))?;
    section(output, "costs", &costs(findings))?;
    writeln!(output)?;
    writeln!(output, "verdict    {}", verdict(findings))?;
    for hint in hints(findings) {
        writeln!(output, "hint       {hint}")?;
    }
    Ok(())
}

// A name and the lines beside it; lines that are unknown are left out.
fn section(output: &mut dyn Write, name: &str, lines: &[Option<String>]) -> io::Result<()> {
    for (index, line) in lines.iter().flatten().enumerate() {
        writeln!(output, "{:<10} {line}", if index == 0 { name } else { "" })?;
    }
    Ok(())
}

fn cpu(cpu: &Cpu) -> Vec<Option<String>> {
    let model = cpu.model.as_deref().unwrap_or("unknown model");
    let online = cpu.online.as_deref().unwrap_or("unknown");
    let siblings = match cpu.smt_siblings.as_slice() {
        [] => "none".to_owned(),
        groups => groups.join(" "),
    };
    vec![
        Some(model.to_owned()),
        Some(format!("{} allowed: {} (online: {online})", cpu.allowed.len(), ranges(&cpu.allowed))),
        Some(format!("SMT siblings: {siblings}")),
        (!cpu.numa_nodes.is_empty()).then(|| format!("NUMA nodes: {}", cpu.numa_nodes.join(", "))),
        (!cpu.caches.is_empty()).then(|| format!("caches: {}", cpu.caches.join(", "))),
        cpu.governor.as_ref().map(|governor| format!("frequency governor: {governor}")),
        cpu.quota.map(|quota| format!("control group quota: {quota:.2} CPUs")),
    ]
}

fn memory(memory: &Memory) -> Vec<Option<String>> {
    let known = |bytes: Option<u64>| bytes.map_or("unknown".to_owned(), size);
    let thp = memory.transparent_huge_pages.as_deref().unwrap_or("not supported");
    vec![
        Some(format!(
            "{} total, {} available, {} swap",
            known(memory.total),
            known(memory.available),
            known(memory.swap)
        )),
        memory.cgroup_limit.map(|limit| format!("control group limit: {}", size(limit))),
        Some(format!(
            "transparent huge pages: {thp}; reserved huge pages: {}",
            memory.huge_pages.map_or("unknown".to_owned(), |pages| pages.to_string())
        )),
    ]
}

fn limits(limits: &Limits) -> Vec<Option<String>> {
    let memlock = limits.memlock.map_or("unlimited".to_owned(), size);
    let exempt = if limits.memlock_exempt { " (exempt: CAP_IPC_LOCK)" } else { "" };
    let files = limits.open_files.map_or("unlimited".to_owned(), |files| files.to_string());
    vec![Some(format!("locked memory: {memlock}{exempt}; open files: {files}"))]
}

fn uring(findings: &Findings) -> Vec<Option<String>> {
    let uring = &findings.io_uring;
    let sysctl = uring.sysctl.map_or("absent".to_owned(), |value| value.to_string());
    vec![
        Some(match &uring.denied {
            None => format!("allowed, {} operations", uring.operations),
            Some(denied) => format!("DENIED: {denied}"),
        }),
        uring.allowed.then(|| match &uring.direct_denied {
            None => {
                "direct I/O: a ring of each core's own, from the memory that the state lives in".to_owned()
            }
            Some(denied) => format!("direct I/O: helper threads: {denied}"),
        }),
        (!uring.features.is_empty()).then(|| uring.features.join(" ")),
        Some(format!("kernel.io_uring_disabled: {sysctl}; seccomp: {}", uring.seccomp)),
    ]
}

fn disk(directory: &Directory) -> Vec<Option<String>> {
    let unknown = || "unknown".to_owned();
    let direct = match &directory.direct_io {
        Ok(true) => "works".to_owned(),
        Ok(false) => "refused by the file system; writes go through the page cache".to_owned(),
        Err(error) => format!("unknown, no file can be written here: {error}"),
    };
    vec![
        Some(directory.path.display().to_string()),
        Some(format!(
            "{} on {} ({}), {} free",
            directory.file_system.clone().unwrap_or_else(unknown),
            directory.device.clone().unwrap_or_else(unknown),
            directory.options.clone().unwrap_or_else(unknown),
            directory.free.map_or_else(unknown, size)
        )),
        Some(format!("direct I/O: {direct}")),
        directory.sync_micros.map(|micros| format!("4 KiB write and fdatasync: {micros:.0} µs (median)")),
    ]
}

fn costs(findings: &Findings) -> Vec<Option<String>> {
    let costs = match &findings.costs {
        None => return Vec::new(),
        Some(Err(error)) => return vec![Some(format!("not measured: {error}"))],
        Some(Ok(costs)) => costs,
    };
    vec![Some(format!(
        "on {}: yield {:.0} ns, task {:.0} ns, wake of a parked core {:.0} µs (median)",
        costs.runtime, costs.yield_nanos, costs.spawn_nanos, costs.wake_micros
    ))]
}

fn verdict(findings: &Findings) -> String {
    let cores = findings.machine.cpu.allowed.len();
    let plural = if cores == 1 { "core" } else { "cores" };
    match &findings.io_uring.denied {
        None => format!("runtime `auto` chooses uring: glommio on io_uring, {cores} pinned {plural}"),
        Some(_) => {
            format!("runtime `auto` chooses threads: io_uring is denied (above), {cores} pinned {plural}")
        }
    }
}

fn hints(findings: &Findings) -> Vec<String> {
    let mut hints = Vec::new();
    let machine = &findings.machine;
    if !machine.cpu.smt_siblings.is_empty() {
        hints.push(
            "cores on SMT siblings share one physical core: allow one CPU of each group (taskset)".to_owned(),
        );
    }
    if machine.cpu.quota.is_some_and(|quota| quota < machine.cpu.allowed.len() as f64) {
        hints.push(
            "the control group's quota is below the number of CPUs: use fewer cores, or be throttled"
                .to_owned(),
        );
    }
    if machine
        .clock
        .source
        .as_deref()
        .is_some_and(|source| !matches!(source, "tsc" | "kvm-clock" | "arch_sys_counter"))
    {
        hints.push("this clock source is read by a system call: prefer tsc".to_owned());
    }
    if machine.limits.open_files.is_some_and(|files| files < 4096) {
        hints.push("few files may be open: raise `ulimit -n` to 4096 or more".to_owned());
    }
    if machine.cpu.governor.as_deref().is_some_and(|governor| governor != "performance") {
        hints.push(
            "the frequency governor saves power at the cost of latency: set it to performance".to_owned(),
        );
    }
    hints
}

// 0,1,2,5 as "0-2,5".
fn ranges(numbers: &[usize]) -> String {
    let mut groups: Vec<(usize, usize)> = Vec::new();
    for number in numbers {
        match groups.last_mut() {
            Some((_, end)) if *end + 1 == *number => *end = *number,
            _ => groups.push((*number, *number)),
        }
    }
    let texts = groups.iter().map(|(start, end)| match start == end {
        true => start.to_string(),
        false => format!("{start}-{end}"),
    });
    texts.collect::<Vec<_>>().join(",")
}
