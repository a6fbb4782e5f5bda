//! What can be known about io_uring on this machine.

use std::fmt;
use std::fs;
use std::io;

use io_uring::{IoUring, Parameters, Probe, opcode};
use rustix::process::{Resource, getrlimit};
use rustix::system::uname;

/// Everything that [`diagnose`](super::diagnose) looks at.
///
/// ```
/// use millstream::host::probe::Facts;
///
/// let facts = Facts::gather();
/// assert!(facts.kernel() > Some((4, 0)), "{} on {}", facts.seccomp, facts.release);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The kernel's release, as `uname -r` prints it.
    pub release: String,
    /// `kernel.io_uring_disabled`; `None` before Linux 6.6, where there is no such switch.
    pub sysctl: Option<u8>,
    /// Whether system calls are filtered.
    pub seccomp: Seccomp,
    /// How much memory may be locked.
    pub memlock: Memlock,
    /// What happened when it was tried.
    pub attempt: Attempt,
}

/// The seccomp mode of this thread.
///
/// ```
/// use millstream::host::probe::{Facts, Seccomp};
///
/// let here: Seccomp = Facts::gather().seccomp;
/// assert!(["off", "filter", "unknown"].contains(&here.to_string().as_str()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seccomp {
    /// No system call is refused.
    Off,
    /// A filter decides.
    Filter,
    /// Unknown: `/proc` is not readable.
    Unknown,
}

impl fmt::Display for Seccomp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Seccomp::Off => "off",
            Seccomp::Filter => "filter",
            Seccomp::Unknown => "unknown",
        })
    }
}

/// The limit of locked memory.
///
/// ```
/// use millstream::host::probe::{Memlock, memlock};
///
/// let here: Memlock = memlock();
/// assert!(here.limit.is_none_or(|bytes| bytes > 0 || here.exempt));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memlock {
    /// The soft limit in bytes; `None` if unlimited.
    pub limit: Option<u64>,
    /// Whether the process is exempt from it (CAP_IPC_LOCK). glommio looks at the limit all the same.
    pub exempt: bool,
}

/// The outcome of trying io_uring.
///
/// ```
/// use millstream::host::probe::{Attempt, Facts, Support};
///
/// match Facts::gather().attempt {
///     Attempt::Worked(Support { operations, .. }) => assert!(operations > 0),
///     Attempt::Failed { call, errno } => assert!(errno > 0, "io_uring_{call} said so"),
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// A ring was made, probed, and did nothing on demand.
    Worked(Support),
    /// A system call failed.
    Failed {
        /// `setup`, `register` or `enter`.
        call: &'static str,
        /// Its error number.
        errno: i32,
    },
}

/// What io_uring offers here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Support {
    /// Features of the ring, by the kernel's names in lower case.
    pub features: Vec<&'static str>,
    /// How many operations the kernel knows.
    pub operations: usize,
    /// Operations that the engine needs and the kernel lacks.
    pub missing: Vec<&'static str>,
}

impl Facts {
    /// Looks at this machine, and tries.
    pub fn gather() -> Facts {
        Facts {
            release: uname().release().to_string_lossy().into_owned(),
            sysctl: fs::read_to_string("/proc/sys/kernel/io_uring_disabled")
                .ok()
                .and_then(|text| text.trim().parse().ok()),
            seccomp: seccomp(),
            memlock: memlock(),
            attempt: attempt().unwrap_or_else(|(call, error)| Attempt::Failed {
                call,
                errno: error.raw_os_error().unwrap_or(libc::EIO),
            }),
        }
    }

    /// Major and minor version of the kernel.
    pub fn kernel(&self) -> Option<(u32, u32)> {
        let mut numbers = self.release.split(|letter: char| !letter.is_ascii_digit());
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    }
}

fn seccomp() -> Seccomp {
    match status_field("Seccomp:").as_deref() {
        Some("0") => Seccomp::Off,
        Some(_) => Seccomp::Filter,
        None => Seccomp::Unknown,
    }
}

/// How much memory this process may lock.
pub fn memlock() -> Memlock {
    let capabilities = status_field("CapEff:").and_then(|hex| u64::from_str_radix(&hex, 16).ok());
    // linux/capability.h: CAP_IPC_LOCK is bit 14.
    let exempt = capabilities.is_some_and(|bits| bits >> 14 & 1 == 1);
    Memlock { limit: getrlimit(Resource::Memlock).current, exempt }
}

// The thread's own status: a seccomp filter belongs to a thread.
fn status_field(name: &str) -> Option<String> {
    let status = fs::read_to_string("/proc/thread-self/status").ok()?;
    Some(status.lines().find_map(|line| line.strip_prefix(name))?.trim().to_owned())
}

fn attempt() -> Result<Attempt, (&'static str, io::Error)> {
    let mut ring = IoUring::new(4).map_err(|error| ("setup", error))?;
    let mut probe = Probe::new();
    ring.submitter().register_probe(&mut probe).map_err(|error| ("register", error))?;
    nothing(&mut ring).map_err(|error| ("enter", error))?;
    let missing =
        NEEDED.iter().filter(|(_, code)| !probe.is_supported(*code)).map(|(name, _)| *name).collect();
    let operations = (0..=u8::MAX).filter(|code| probe.is_supported(*code)).count();
    Ok(Attempt::Worked(Support { features: features(ring.params()), operations, missing }))
}

// Submits a request that does nothing and waits for it.
fn nothing(ring: &mut IoUring) -> io::Result<()> {
    const MARK: u64 = 0x6d69_6c6c;
    let request = opcode::Nop::new().build().user_data(MARK);
    // SAFETY: the request refers to no memory.
    unsafe { ring.submission().push(&request) }.map_err(io::Error::other)?;
    ring.submit_and_wait(1)?;
    match ring.completion().next() {
        Some(completion) if completion.user_data() == MARK => Ok(()),
        _ => Err(io::Error::other("the ring lost a request")),
    }
}

fn features(parameters: &Parameters) -> Vec<&'static str> {
    let all = [
        (parameters.is_feature_single_mmap(), "single_mmap"),
        (parameters.is_feature_nodrop(), "nodrop"),
        (parameters.is_feature_submit_stable(), "submit_stable"),
        (parameters.is_feature_rw_cur_pos(), "rw_cur_pos"),
        (parameters.is_feature_fast_poll(), "fast_poll"),
        (parameters.is_feature_ext_arg(), "ext_arg"),
        (parameters.is_feature_native_workers(), "native_workers"),
        (parameters.is_feature_resource_tagging(), "rsrc_tags"),
        (parameters.is_feature_skip_cqe_on_success(), "cqe_skip"),
        (parameters.is_feature_linked_file(), "linked_file"),
        (parameters.is_feature_min_timeout(), "min_timeout"),
    ];
    all.into_iter().filter(|(present, _)| *present).map(|(_, name)| name).collect()
}

/// The operations that glommio checks for when it starts; it ends the process if one is missing.
const NEEDED: &[(&str, u8)] = &[
    ("nop", opcode::Nop::CODE),
    ("readv", opcode::Readv::CODE),
    ("writev", opcode::Writev::CODE),
    ("fsync", opcode::Fsync::CODE),
    ("read_fixed", opcode::ReadFixed::CODE),
    ("write_fixed", opcode::WriteFixed::CODE),
    ("poll_add", opcode::PollAdd::CODE),
    ("poll_remove", opcode::PollRemove::CODE),
    ("sendmsg", opcode::SendMsg::CODE),
    ("recvmsg", opcode::RecvMsg::CODE),
    ("timeout", opcode::Timeout::CODE),
    ("timeout_remove", opcode::TimeoutRemove::CODE),
    ("accept", opcode::Accept::CODE),
    ("link_timeout", opcode::LinkTimeout::CODE),
    ("connect", opcode::Connect::CODE),
    ("fallocate", opcode::Fallocate::CODE),
    ("openat", opcode::OpenAt::CODE),
    ("close", opcode::Close::CODE),
    ("statx", opcode::Statx::CODE),
    ("read", opcode::Read::CODE),
    ("write", opcode::Write::CODE),
    ("send", opcode::Send::CODE),
    ("recv", opcode::Recv::CODE),
];
