//! Every cause of a denial is told from the others, and comes with its cure.

use super::*;

fn healthy() -> Facts {
    Facts {
        release: "6.8.0-31-generic".to_owned(),
        sysctl: Some(0),
        seccomp: Seccomp::Off,
        memlock: Memlock { limit: Some(8 << 20), exempt: false },
        attempt: Attempt::Worked(Support::default()),
    }
}

fn failed(errno: i32) -> Facts {
    Facts { attempt: Attempt::Failed { call: "setup", errno }, ..healthy() }
}

fn text(facts: &Facts) -> String {
    diagnose(facts).expect_err("a denial").to_string()
}

#[test]
fn a_working_ring_is_no_denial() {
    assert_eq!(diagnose(&healthy()), Ok(Support::default()));
}

#[test]
fn a_switch_of_the_administrator_is_named_with_its_value() {
    let facts = Facts { sysctl: Some(2), seccomp: Seccomp::Filter, ..failed(libc::EPERM) };
    assert_eq!(diagnose(&facts), Err(Denied::Sysctl { value: 2 }));
    assert!(text(&facts).contains("sysctl kernel.io_uring_disabled=0"));
    let group = Facts { sysctl: Some(1), ..failed(libc::EPERM) };
    assert!(text(&group).contains("kernel.io_uring_group"));
}

#[test]
fn a_seccomp_filter_is_named_whichever_error_it_answers_with() {
    for errno in [libc::EPERM, libc::EACCES, libc::ENOSYS] {
        let facts = Facts { seccomp: Seccomp::Filter, ..failed(errno) };
        assert!(matches!(diagnose(&facts), Err(Denied::Seccomp { call: "setup", .. })), "errno {errno}");
        assert!(text(&facts).contains("seccomp profile"));
    }
}

#[test]
fn an_old_kernel_is_named_even_behind_a_filter() {
    let facts = Facts { release: "4.19.0".to_owned(), seccomp: Seccomp::Filter, ..failed(libc::ENOSYS) };
    assert!(matches!(diagnose(&facts), Err(Denied::Kernel { .. })));
    assert!(text(&facts).contains("4.19.0"));
}

#[test]
fn a_kernel_that_lacks_operations_is_refused_and_they_are_listed() {
    let support = Support { missing: vec!["statx", "openat"], ..Support::default() };
    let facts = Facts { release: "5.4.0".to_owned(), attempt: Attempt::Worked(support), ..healthy() };
    assert!(text(&facts).contains("lacks statx, openat"));
}

#[test]
fn little_locked_memory_is_refused_before_glommio_refuses_it() {
    let memlock = Memlock { limit: Some(64 << 10), exempt: true };
    let facts = Facts { memlock, ..healthy() };
    assert_eq!(diagnose(&facts), Err(Denied::Memlock { limit: 64 << 10, needed: MEMLOCK_NEEDED }));
    assert!(text(&facts).contains("64 KiB"));
}

#[test]
fn no_memory_for_a_ring_is_the_limit_unless_the_process_is_exempt() {
    assert!(matches!(diagnose(&failed(libc::ENOMEM)), Err(Denied::Memlock { .. })));
    let exempt = Facts { memlock: Memlock { limit: Some(8 << 20), exempt: true }, ..failed(libc::ENOMEM) };
    assert!(matches!(diagnose(&exempt), Err(Denied::Other(_))));
}

#[test]
fn an_unexplained_refusal_names_the_call() {
    assert!(text(&failed(libc::EPERM)).contains("io_uring_setup is not permitted"));
    assert!(text(&failed(libc::EMFILE)).contains("ulimit -n"));
}

#[test]
fn a_release_is_read_with_or_without_a_suffix() {
    let version = |release: &str| Facts { release: release.to_owned(), ..healthy() }.kernel();
    assert_eq!(version("6.18.44-fc-v669"), Some((6, 18)));
    assert_eq!(version("5.8"), Some((5, 8)));
    assert_eq!(version("strange"), None);
}
