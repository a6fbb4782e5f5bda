//! Jobs that are started again in their process: when they fail, and when they are to have other cores.

mod gated;
mod places;
mod rescale;
mod restarts;
