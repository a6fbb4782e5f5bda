//! What users write to test jobs of theirs: good jobs pass, bad ones are found and found again, and tests that cannot be
//! judged say why.

mod closer;
mod explored;
mod failing;
mod found;
mod idle;
mod jobs;
mod oracles;
mod passing;
mod refused;
