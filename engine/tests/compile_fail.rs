//! What the compiler says about jobs that are not right. `TRYBUILD=overwrite` accepts new messages.

use std::process::Command;

/// The compiler whose words are pinned: another one may put the same mistake differently.
const COMPILER: &str = "rustc 1.95.";

#[test]
fn mistakes_in_a_job_are_told_in_its_own_words() {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let version = Command::new(rustc).arg("--version").output().expect("the compiler that built this test");
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    if !version.starts_with(COMPILER) {
        return eprintln!("skipped: the messages are those of {COMPILER}x, this is {version}");
    }
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
