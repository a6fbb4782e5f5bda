//! Feeds the target `index`.
#![no_main]

#[path = "../targets/mod.rs"]
#[expect(dead_code, unused_imports, reason = "each fuzzer runs one of the targets")]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::index(data));
