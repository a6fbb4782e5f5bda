//! What sources and sinks promise, on a disk that forgets what was not synced.

mod csv_files;
mod file_sink;
mod file_source;
mod memory;
mod restored_files;
mod rolled_crashes;
mod rolled_files;
mod support;
