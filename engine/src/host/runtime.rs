//! Which host runs the cores, and what can go wrong with it.

use std::fmt;
use std::io;
use std::str::FromStr;
use std::time::Duration;

use super::probe::Denied;

/// Which host runs the cores.
///
/// ```
/// use millstream::host::RuntimeKind;
///
/// assert_eq!("threads".parse(), Ok(RuntimeKind::Threads));
/// assert_eq!(RuntimeKind::default().to_string(), "auto");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RuntimeKind {
    /// io_uring where the machine allows it, else threads.
    #[default]
    Auto,
    /// io_uring, or nothing.
    Uring,
    /// Plain threads.
    Threads,
}

impl fmt::Display for RuntimeKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            RuntimeKind::Auto => "auto",
            RuntimeKind::Uring => "uring",
            RuntimeKind::Threads => "threads",
        })
    }
}

/// The name of no runtime.
///
/// ```
/// use millstream::host::{RuntimeKind, UnknownRuntime};
///
/// let error: UnknownRuntime = "tokio".parse::<RuntimeKind>().unwrap_err();
/// assert_eq!(error.to_string(), "there is no runtime `tokio`; choose auto, uring or threads");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no runtime `{0}`; choose auto, uring or threads")]
pub struct UnknownRuntime(pub String);

impl FromStr for RuntimeKind {
    type Err = UnknownRuntime;

    fn from_str(name: &str) -> Result<RuntimeKind, UnknownRuntime> {
        match name {
            "auto" => Ok(RuntimeKind::Auto),
            "uring" => Ok(RuntimeKind::Uring),
            "threads" => Ok(RuntimeKind::Threads),
            other => Err(UnknownRuntime(other.to_owned())),
        }
    }
}

/// How the cores are run.
///
/// ```
/// use millstream::host::{RuntimeConfig, RuntimeKind, launch};
///
/// let unpinned = RuntimeConfig { kind: RuntimeKind::Threads, pin: false, ..RuntimeConfig::default() };
/// assert_eq!(launch(&unpinned, vec![Box::new(|_| Box::pin(async {}))])?.kind(), RuntimeKind::Threads);
/// # Ok::<(), millstream::host::HostError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeConfig {
    /// Which host.
    pub kind: RuntimeKind,
    /// How long an idle core stays awake before it parks: microseconds of latency bought with a busy CPU. On
    /// io_uring only pinned cores spin.
    pub spin: Option<Duration>,
    /// Whether each core is kept on a CPU of its own. With more cores than CPUs the kernel places them all.
    pub pin: bool,
}

impl Default for RuntimeConfig {
    /// Pinned, not spinning, on io_uring where it is allowed.
    fn default() -> RuntimeConfig {
        RuntimeConfig { kind: RuntimeKind::Auto, spin: None, pin: true }
    }
}

/// Why the cores did not start, or did not end well.
///
/// ```
/// use millstream::host::{CoreMain, HostError, RuntimeConfig, launch};
///
/// let main: CoreMain = Box::new(|_| Box::pin(async { panic!("no luck today") }));
/// let error = launch(&RuntimeConfig::default(), vec![main])?.join().unwrap_err();
/// assert!(matches!(error, HostError::Panicked { core: 0, .. }));
/// assert_eq!(error.to_string(), "core 0 panicked: no luck today");
/// # Ok::<(), HostError>(())
/// ```
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// io_uring was demanded and is not to be had.
    #[error("the uring runtime cannot run here: {0}")]
    Denied(#[from] Denied),
    /// A core could not be set up.
    #[error("core {core} could not start: {source}")]
    Start {
        /// The core's index.
        core: usize,
        /// What the operating system said.
        source: io::Error,
    },
    /// A task on a core panicked. The other cores were stopped.
    #[error("core {core} panicked: {message}")]
    Panicked {
        /// The core's index.
        core: usize,
        /// What it said.
        message: String,
    },
}
