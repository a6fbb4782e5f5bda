//! What the compiler says about jobs that are not right. `TRYBUILD=overwrite` accepts new messages.

#[test]
fn mistakes_in_a_job_are_told_in_its_own_words() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
