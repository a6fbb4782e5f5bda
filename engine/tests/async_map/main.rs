//! Asynchronous requests in whole jobs.

mod failing;
mod order;
mod restored;
