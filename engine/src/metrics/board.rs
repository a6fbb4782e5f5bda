//! The watermarks of a core, for others to look at.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::stage::Stage;
use crate::time::{MIN_TIME, Timestamp};

/// How far a step is in event time, or a split of a source; see [`Metrics::watermarks`](super::Metrics::watermarks).
///
/// ```
/// use millstream::metrics::StepWatermark;
///
/// /// The split that holds a source back.
/// fn slowest<'a>(source: &str, of: &'a [StepWatermark]) -> Option<&'a str> {
///     let splits = of.iter().filter(|of| of.step == source && of.split.is_some());
///     splits.min_by_key(|of| of.watermark)?.split.as_deref()
/// }
/// assert_eq!(slowest("numbers", &[]), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StepWatermark {
    /// The step.
    pub step: String,
    /// The core.
    pub core: usize,
    /// The split, if this is about one and not about the step as a whole.
    pub split: Option<String>,
    /// Its watermark: [`MIN_TIME`](crate::time::MIN_TIME) before any, [`MAX_TIME`](crate::time::MAX_TIME) once it has
    /// ended.
    pub watermark: Timestamp,
}

#[derive(Debug)]
struct Gauge {
    step: String,
    split: Option<String>,
    watermark: AtomicI64,
}

/// Written by one core, read by anybody.
#[derive(Debug, Default)]
pub(crate) struct Board(OnceLock<Box<[Gauge]>>);

impl Board {
    /// Posts what these stages, always the same, say now.
    pub(crate) fn post(&self, stages: &[Box<dyn Stage>]) {
        let mut gauges = self.0.get_or_init(|| gauges(stages)).iter();
        for stage in stages {
            stage.watermarks(&mut |_, watermark| {
                let gauge = gauges.next().expect("a stage always says as much");
                gauge.watermark.store(watermark, Ordering::Relaxed);
            });
        }
    }

    /// What was posted last by the core of this number.
    pub(super) fn read(&self, core: usize) -> impl Iterator<Item = StepWatermark> {
        self.0.get().into_iter().flatten().map(move |Gauge { step, split, watermark }| StepWatermark {
            step: step.clone(),
            core,
            split: split.clone(),
            watermark: watermark.load(Ordering::Relaxed),
        })
    }
}

fn gauges(stages: &[Box<dyn Stage>]) -> Box<[Gauge]> {
    let mut gauges = Vec::new();
    for stage in stages {
        let step = stage.name();
        stage.watermarks(&mut |split, _| {
            let (step, split) = (step.to_owned(), split.map(str::to_owned));
            gauges.push(Gauge { step, split, watermark: AtomicI64::new(MIN_TIME) });
        });
    }
    gauges.into_boxed_slice()
}
