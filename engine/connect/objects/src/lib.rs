//! Checkpoints in an object store: S3 and what speaks its protocol, Google Cloud Storage, Azure, or a shared directory.
//!
//! ```no_run
//! use millstream::prelude::*;
//! use millstream_objects::objects;
//!
//! let job = Job::new("squares");
//! job.source("numbers", generator(1_000_000, |n| n * n)).sink("nowhere", discard());
//! let config = Config::new().checkpoints("/var/lib/squares").checkpoints_to(objects("s3://shop/squares"));
//! job.run(config)?;
//! # Ok::<(), millstream::Error>(())
//! ```
//!
//! A checkpoint is complete, and output committed, once it is in the store. A job whose machine is lost goes on from there
//! on another one. [`millstream::checkpoint::remote`] tells what is stored, and how it is that of two that run the same
//! job only one goes on.
//!
//! | URL | store | credentials, besides those of the machine |
//! |---|---|---|
//! | `s3://bucket/path` | Amazon S3, MinIO, Ceph, Cloudflare R2 … | `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT` … |
//! | `gs://bucket/path` | Google Cloud Storage | `GOOGLE_APPLICATION_CREDENTIALS` … |
//! | `az://container/path` | Azure Blob Storage | `AZURE_STORAGE_ACCOUNT_NAME`, `AZURE_STORAGE_ACCOUNT_KEY` … |
//! | `file:///path` | a directory that several machines share | |
//!
//! Variables and [options](Place::option) are those of the crate [`object_store`]. Secrets belong into the environment; they
//! are never part of a message.
//!
//! # What the store must be able to do
//! Store an object only where there is none (`If-None-Match: *`), and list what was stored just now. All of the above do;
//! of servers with the protocol of S3 those of the last years. What the store says to a start shows whether it does: the
//! place of a server that ignores the condition is refused.
//!
//! # Where it runs
//! The clients run on a runtime of their own, on threads that are no core's. They use TLS by [`rustls`] with `ring`, which
//! becomes the process's default unless it has another.

mod client;
mod place;
mod serve;

pub use place::{Place, objects};
