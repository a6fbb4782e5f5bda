//! Several streams of one type as one.

use std::marker::PhantomData;

use crate::error::Result;
use crate::exchange::cursor::Run;
use crate::operator::{Operator, Output, Progress};
use crate::time::Timestamp;

/// Passes records on: merging is the intake's work.
pub(crate) struct UnionOperator<T>(PhantomData<fn() -> T>);

impl<T> UnionOperator<T> {
    pub(crate) fn new() -> UnionOperator<T> {
        UnionOperator(PhantomData)
    }
}

impl<T: Send + 'static> Operator for UnionOperator<T> {
    type In = T;
    type Out = T;

    fn on_records(&mut self, mut run: Run<'_, T>, out: &mut Output<T>) -> Result<()> {
        while let Some((time, record)) = run.take() {
            out.main.push(time, record);
        }
        Ok(())
    }

    fn on_watermark(&mut self, _: Timestamp, _: &mut Output<T>) -> Result<Progress> {
        Ok(Progress::Done)
    }
}
