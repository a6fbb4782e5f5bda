//! Windows, rule by rule: what they put out, against figures by hand and against the reference interpreter.

mod cumulative;
mod days;
mod described;
mod general;
mod restored;
mod session;
mod sliding;
mod support;
mod tumbling;
mod watermarks;
