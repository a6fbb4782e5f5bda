//! Where a seccomp filter denies io_uring, `auto` falls back to threads and `uring` says why it cannot run.
//!
//! A filter cannot be taken back, so each case runs in a process of its own: this binary, started again.

use std::process::Command;

use millstream::host::{Cores, Denied, HostError, RuntimeConfig, RuntimeKind};

const CASE: &str = "MILLSTREAM_DENIED_CASE";

// Runs a test of this file in a child process, where `CASE` is set.
fn in_child(test: &str) {
    let exe = std::env::current_exe().expect("the path of this binary");
    let output = Command::new(exe).args(["--exact", test, "--nocapture"]).env(CASE, "1").output();
    let output = output.expect("the child runs");
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("1 passed"), "{text}");
}

fn is_child() -> bool {
    std::env::var_os(CASE).is_some()
}

// Starts one core that does next to nothing.
fn launch(kind: RuntimeKind) -> Result<Cores, HostError> {
    let config = RuntimeConfig { kind, spin: None, pin: false };
    millstream::host::launch(&config, vec![Box::new(|host| Box::pin(async move { host.yield_now().await }))])
}

// Refuses io_uring_setup with EPERM, as container runtimes do.
fn deny_io_uring() {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const JUMP_IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let step = |code, k, jt, jf| libc::sock_filter { code, jt, jf, k };
    let mut filter = [
        // Offset 0 of seccomp_data is the number of the system call.
        step(LOAD, 0, 0, 0),
        step(JUMP_IF_EQUAL, libc::SYS_io_uring_setup as u32, 0, 1),
        step(RETURN, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32, 0, 0),
        step(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: both calls take plain numbers, and the program, which outlives the call.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program), 0);
    }
}

#[test]
fn auto_falls_back_to_threads_behind_a_seccomp_filter() {
    if !is_child() {
        return in_child("auto_falls_back_to_threads_behind_a_seccomp_filter");
    }
    deny_io_uring();
    let cores = launch(RuntimeKind::Auto).expect("the threads start");
    assert_eq!(cores.kind(), RuntimeKind::Threads);
    assert_eq!(cores.fallback(), Some(&Denied::Seccomp { call: "setup", errno: "EPERM" }));
    cores.join().expect("the core ends well");
}

#[test]
fn uring_says_what_denies_it_behind_a_seccomp_filter() {
    if !is_child() {
        return in_child("uring_says_what_denies_it_behind_a_seccomp_filter");
    }
    deny_io_uring();
    let error = launch(RuntimeKind::Uring).err().expect("a denial");
    assert!(matches!(error, HostError::Denied(Denied::Seccomp { .. })));
    assert!(error.to_string().contains("Cure: allow io_uring_setup"), "{error}");
}

#[test]
fn auto_falls_back_to_threads_where_little_memory_may_be_locked() {
    if !is_child() {
        return in_child("auto_falls_back_to_threads_where_little_memory_may_be_locked");
    }
    let limit = libc::rlimit { rlim_cur: 64 << 10, rlim_max: 64 << 10 };
    // SAFETY: the call reads the structure and nothing else.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &limit) }, 0);
    let cores = launch(RuntimeKind::Auto).expect("the threads start");
    assert!(matches!(cores.fallback(), Some(Denied::Memlock { limit: 65536, .. })), "{:?}", cores.fallback());
    cores.join().expect("the core ends well");
}
