//! Checkpoints in a server that speaks S3's protocol, started here.

mod job;
mod lost;
mod objects;
mod refused;
mod server;
mod writers;
