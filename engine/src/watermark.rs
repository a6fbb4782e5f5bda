//! Merging watermarks: the minimum over active inputs, monotone, with idleness.

use crate::time::{MAX_TIME, MIN_TIME, Timestamp};

/// What a change of one input did to the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Merged {
    /// Nothing that anybody downstream needs to know.
    Same,
    /// The output watermark rose to this.
    Advanced(Timestamp),
    /// All inputs are idle now; the watermark rose first if there is one.
    Idle(Option<Timestamp>),
    /// The first input is active again.
    Active,
}

#[derive(Clone, Copy, Debug)]
struct Input {
    watermark: Timestamp,
    idle: bool,
    /// Counts in the minimum. A reactivated input counts again only once it has reached the output.
    aligned: bool,
}

/// The merged watermark of several inputs: the splits of a source, or the channels of a stage.
#[derive(Clone, Debug)]
pub(crate) struct WatermarkMerge {
    inputs: Vec<Input>,
    output: Timestamp,
    idle: bool,
}

impl WatermarkMerge {
    /// `n` active inputs without a watermark, and an output that never falls below `restored`.
    pub(crate) fn new(n: usize, restored: Timestamp) -> WatermarkMerge {
        let input = Input { watermark: MIN_TIME, idle: false, aligned: true };
        WatermarkMerge { inputs: vec![input; n], output: restored, idle: false }
    }

    /// The output watermark.
    pub(crate) fn output(&self) -> Timestamp {
        self.output
    }

    /// Input `i` has reached watermark `t`; a regression is ignored. [`MAX_TIME`] ends the input.
    #[inline]
    pub(crate) fn advance(&mut self, i: usize, t: Timestamp) -> Merged {
        let input = &mut self.inputs[i];
        if t <= input.watermark {
            return Merged::Same;
        }
        input.watermark = t;
        input.aligned |= t >= self.output;
        self.merge()
    }

    /// Input `i` is idle.
    pub(crate) fn set_idle(&mut self, i: usize) -> Merged {
        if std::mem::replace(&mut self.inputs[i].idle, true) { Merged::Same } else { self.merge() }
    }

    /// Input `i` is active again.
    pub(crate) fn set_active(&mut self, i: usize) -> Merged {
        let input = &mut self.inputs[i];
        if !std::mem::replace(&mut input.idle, false) {
            return Merged::Same;
        }
        input.aligned = input.watermark >= self.output;
        if std::mem::replace(&mut self.idle, false) { Merged::Active } else { Merged::Same }
    }

    /// Whether input `i` is idle.
    pub(crate) fn is_idle(&self, i: usize) -> bool {
        self.inputs[i].idle
    }

    /// An input that has ended leaves the minimum, like an idle one, until all have ended.
    #[inline]
    fn merge(&mut self) -> Merged {
        let (mut lowest, mut any_active, mut highest, mut any_left) = (MAX_TIME, false, MIN_TIME, false);
        for input in &self.inputs {
            let left = input.watermark != MAX_TIME;
            any_left |= left;
            if left && !input.idle {
                any_active = true;
                if input.aligned {
                    lowest = lowest.min(input.watermark);
                }
            } else if left {
                highest = highest.max(input.watermark);
            }
        }
        match (any_left, any_active) {
            (false, _) => self.raise(MAX_TIME).map_or(Merged::Same, Merged::Advanced),
            (true, true) if lowest == MAX_TIME => Merged::Same,
            (true, true) => self.raise(lowest).map_or(Merged::Same, Merged::Advanced),
            (true, false) if self.idle => Merged::Same,
            (true, false) => {
                self.idle = true;
                Merged::Idle(self.raise(highest))
            }
        }
    }

    #[inline]
    fn raise(&mut self, t: Timestamp) -> Option<Timestamp> {
        (t > self.output).then(|| {
            self.output = t;
            t
        })
    }
}

#[cfg(test)]
mod tests;
