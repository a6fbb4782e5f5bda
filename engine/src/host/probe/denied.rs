//! From the facts to a verdict.

use super::facts::{Attempt, Facts, Seccomp, Support};

/// glommio refuses to start below this limit of locked memory, in bytes.
pub const MEMLOCK_NEEDED: u64 = 512 * 1024;

/// The first kernel with every operation that the engine needs.
const KERNEL_NEEDED: (u32, u32) = (5, 8);

/// What denies io_uring. The text says how to cure it.
///
/// ```
/// use millstream::host::probe::{Denied, MEMLOCK_NEEDED};
///
/// let denied = Denied::Memlock { limit: 64 << 10, needed: MEMLOCK_NEEDED };
/// assert!(denied.to_string().contains("`ulimit -l unlimited`"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The kernel is too old, or was built without io_uring.
    #[error(
        "the kernel ({release}) has no complete io_uring{}. Cure: run Linux 5.8 or newer, built with CONFIG_IO_URING",
        list(missing)
    )]
    Kernel {
        /// Its release, as `uname -r` prints it.
        release: String,
        /// The operations it lacks; empty if it lacks io_uring altogether.
        missing: Vec<&'static str>,
    },
    /// The administrator has turned io_uring off.
    #[error("{}", sysctl_text(*.value))]
    Sysctl {
        /// `kernel.io_uring_disabled`: 1 for processes without privilege, 2 for all.
        value: u8,
    },
    /// A seccomp filter, as container runtimes install it, refuses the system calls.
    #[error(
        "a seccomp filter refuses io_uring_{call} ({errno}), as container runtimes do by default. Cure: allow \
         io_uring_setup, io_uring_enter and io_uring_register in the container's seccomp profile (Docker: \
         --security-opt seccomp=profile.json; Kubernetes: securityContext.seccompProfile)"
    )]
    Seccomp {
        /// The system call: `setup`, `register` or `enter`.
        call: &'static str,
        /// The name of the error that the filter answers with.
        errno: &'static str,
    },
    /// Too little memory may be locked.
    #[error(
        "too little memory may be locked: the limit is {} KiB and {} KiB are needed. Cure: raise it with \
         `ulimit -l unlimited`, LimitMEMLOCK=infinity (systemd) or --ulimit memlock=-1 (Docker)",
        limit / 1024, needed / 1024
    )]
    Memlock {
        /// The soft limit, in bytes.
        limit: u64,
        /// What is needed, in bytes.
        needed: u64,
    },
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

fn list(missing: &[&str]) -> String {
    if missing.is_empty() { String::new() } else { format!(": it lacks {}", missing.join(", ")) }
}

fn sysctl_text(value: u8) -> String {
    let (whom, cure) = match value {
        1 => (
            "processes without privilege",
            "`sysctl kernel.io_uring_disabled=0`, or put the user into the group of kernel.io_uring_group",
        ),
        _ => ("every process", "`sysctl kernel.io_uring_disabled=0`"),
    };
    format!(
        "the administrator turned io_uring off for {whom} (kernel.io_uring_disabled = {value}). Cure: {cure}"
    )
}

/// The verdict on some facts: what io_uring offers here, or what denies it.
///
/// ```
/// use millstream::host::probe::{Attempt, Denied, Facts, Support, diagnose};
///
/// let mut facts = Facts::gather();
/// facts.memlock.limit = None;
/// facts.attempt = Attempt::Worked(Support { missing: vec!["accept"], ..Support::default() });
/// assert!(matches!(diagnose(&facts), Err(Denied::Kernel { missing, .. }) if missing == ["accept"]));
/// ```
///
/// # Errors
/// The cause, with its cure.
pub fn diagnose(facts: &Facts) -> Result<Support, Denied> {
    let support = match &facts.attempt {
        Attempt::Worked(support) => support,
        Attempt::Failed { call, errno } => return Err(refused(facts, call, *errno)),
    };
    if !support.missing.is_empty() {
        return Err(Denied::Kernel { release: facts.release.clone(), missing: support.missing.clone() });
    }
    match facts.memlock.limit {
        Some(limit) if limit < MEMLOCK_NEEDED => Err(Denied::Memlock { limit, needed: MEMLOCK_NEEDED }),
        _ => Ok(support.clone()),
    }
}

/// What a system call's error means beside the facts.
pub(super) fn refused(facts: &Facts, call: &'static str, errno: i32) -> Denied {
    let filtered = facts.seccomp == Seccomp::Filter;
    let old = facts.kernel().is_some_and(|version| version < KERNEL_NEEDED);
    match errno {
        libc::EPERM | libc::EACCES => match facts.sysctl {
            Some(value @ 1..) => Denied::Sysctl { value },
            _ if filtered => Denied::Seccomp { call, errno: errno_name(errno) },
            _ => Denied::Other(format!(
                "io_uring_{call} is not permitted ({}), though neither kernel.io_uring_disabled nor a seccomp filter \
                 forbids it. Cure: look for a security module's rule, e.g. `ausearch -m avc` under SELinux",
                errno_name(errno)
            )),
        },
        libc::ENOSYS if filtered && !old => Denied::Seccomp { call, errno: errno_name(errno) },
        libc::ENOSYS => Denied::Kernel { release: facts.release.clone(), missing: Vec::new() },
        libc::EINVAL if old => Denied::Kernel { release: facts.release.clone(), missing: Vec::new() },
        libc::ENOMEM => match facts.memlock.limit {
            Some(limit) if !facts.memlock.exempt => Denied::Memlock { limit, needed: MEMLOCK_NEEDED },
            _ => Denied::Other(format!(
                "io_uring_{call} found no memory. Cure: give the machine or its cgroup more"
            )),
        },
        libc::EMFILE | libc::ENFILE => Denied::Other(format!(
            "io_uring_{call} got no file descriptor. Cure: raise the limit of open files (`ulimit -n`)"
        )),
        other => {
            Denied::Other(format!("io_uring_{call} failed: {}", std::io::Error::from_raw_os_error(other)))
        }
    }
}

fn errno_name(errno: i32) -> &'static str {
    match errno {
        libc::EPERM => "EPERM",
        libc::EACCES => "EACCES",
        libc::ENOSYS => "ENOSYS",
        _ => "an error",
    }
}
