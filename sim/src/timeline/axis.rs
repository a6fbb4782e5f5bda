//! The axis of a process: virtual time is uneven, seconds of nothing and then a thousand steps in a millisecond, so half of
//! the width is shared out by how much happens and the other half by the logarithm of the time in which nothing does.

/// Of the width, what long gaps may have together, and what one of them may have.
const GAPS: f64 = 0.42;
const GAP: f64 = 0.06;
/// A gap is long if it is so many times as long as the usual one.
const LONG: u64 = 12;

/// How closely an axis is drawn.
#[derive(Clone, Copy)]
pub(super) struct Detail {
    /// About so many points between which the axis is even.
    pub(super) knots: usize,
    /// Gaps that are narrower than this are not shown as gaps, in pixels.
    pub(super) seen: f64,
}

/// Where a moment lies.
pub(super) struct Axis {
    /// Nanoseconds and pixels, both rising.
    knots: Vec<(u64, f64)>,
    /// Long gaps that are wide enough to be seen, from the first to the second knot.
    pub(super) gaps: Vec<[(u64, f64); 2]>,
    pub(super) width: f64,
}

/// A moment with a round number.
pub(super) struct Tick {
    pub(super) x: f64,
    /// Nanoseconds since the beginning of the axis.
    pub(super) after: u64,
}

impl Axis {
    /// The axis of these moments, which rise and are all different.
    pub(super) fn new(moments: &[u64], width: f64, detail: Detail) -> Axis {
        let first = moments.first().copied().unwrap_or_default();
        if moments.len() < 2 {
            return Axis { knots: vec![(first, 0.0), (first + 1, width)], gaps: Vec::new(), width };
        }
        let gaps: Vec<u64> = moments.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let shares = shares(&gaps);
        let even = (1.0 - shares.iter().sum::<f64>()) / gaps.len() as f64;
        let every = gaps.len().div_ceil(detail.knots);
        let (mut knots, mut long, mut x) = (vec![(first, 0.0)], Vec::new(), 0.0);
        for (at, share) in shares.iter().enumerate() {
            let (from, begin) = (moments[at], x);
            x += (share + even) * width;
            let is_seen = share * width >= detail.seen;
            if is_seen {
                long.push([(from, begin), (moments[at + 1], x)]);
            }
            if is_seen && knots.last().is_some_and(|last| last.0 < from) {
                knots.push((from, begin));
            }
            if is_seen || at % every == every - 1 || at + 1 == gaps.len() {
                knots.push((moments[at + 1], x));
            }
        }
        Axis { knots, gaps: long, width }
    }

    /// Where a moment lies, in pixels.
    pub(super) fn x(&self, at: u64) -> f64 {
        let after = self.knots.partition_point(|knot| knot.0 <= at);
        if after == 0 {
            return 0.0;
        }
        let (t0, x0) = self.knots[after - 1];
        match self.knots.get(after) {
            None => self.width,
            Some((t1, x1)) => x0 + (x1 - x0) * (at - t0) as f64 / (t1 - t0) as f64,
        }
    }

    /// The moment at some pixels.
    pub(super) fn moment(&self, x: f64) -> u64 {
        let after = self.knots.partition_point(|knot| knot.1 <= x).clamp(1, self.knots.len() - 1);
        let ((t0, x0), (t1, x1)) = (self.knots[after - 1], self.knots[after]);
        let part = ((x - x0) / (x1 - x0).max(1e-9)).clamp(0.0, 1.0);
        t0 + ((t1 - t0) as f64 * part) as u64
    }

    /// Moments with round numbers, about `apart` pixels from each other.
    pub(super) fn ticks(&self, apart: f64) -> Vec<Tick> {
        let begin = self.knots[0].0;
        let mut ticks: Vec<Tick> = vec![Tick { x: 0.0, after: 0 }];
        let mut x = apart;
        while x < self.width - apart / 3.0 {
            let [low, high] = [x - apart / 4.0, x + apart / 4.0].map(|x| self.moment(x) - begin);
            let after = roundest(low, high);
            let tick = Tick { x: self.x(begin + after), after };
            if ticks.last().is_none_or(|last| last.after < after && last.x + apart / 2.0 < tick.x) {
                ticks.push(tick);
            }
            x += apart;
        }
        ticks
    }

    /// The knots as the page's script reads them: nanoseconds since the beginning, and pixels.
    pub(super) fn knots(&self) -> String {
        let begin = self.knots[0].0;
        let knots = self.knots.iter().map(|(t, x)| format!("{},{}", t - begin, super::text::at(*x)));
        knots.collect::<Vec<_>>().join(" ")
    }
}

/// What each gap takes of the width beyond its even share.
fn shares(gaps: &[u64]) -> Vec<f64> {
    let mut sorted = gaps.to_vec();
    sorted.sort_unstable();
    let usual = sorted[(sorted.len() - 1) / 2].max(1);
    let weigh = |gap: &u64| (*gap as f64 / (usual * LONG) as f64).log2().max(0.0);
    let weights: Vec<f64> = gaps.iter().map(weigh).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| if sum > 0.0 { (GAPS * weight / sum).min(GAP) } else { 0.0 }).collect()
}

/// The number with the fewest digits that is not out of a range.
fn roundest(low: u64, high: u64) -> u64 {
    let mut step = 10_u64.pow(high.max(1).ilog10());
    loop {
        for part in [step, step / 2, step / 5].into_iter().filter(|part| *part > 0) {
            let multiple = high / part * part;
            if multiple >= low {
                return multiple;
            }
        }
        step /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_numbers_are_found() {
        assert_eq!([roundest(97, 123), roundest(41, 58), roundest(1_234, 1_235)], [100, 50, 1_235]);
        assert_eq!([roundest(0, 0), roundest(7, 7)], [0, 7]);
    }

    #[test]
    fn moments_are_in_order_and_steps_have_room_beside_a_long_gap() {
        let mut moments: Vec<u64> = (0..1000).map(|n| n * 2_000).collect();
        moments.extend((0..1000).map(|n| 5_000_000_000 + n * 2_000));
        let axis = Axis::new(&moments, 1000.0, Detail { knots: 500, seen: 5.0 });
        let xs: Vec<f64> = moments.iter().map(|at| axis.x(*at)).collect();
        assert!(xs.windows(2).all(|pair| pair[0] < pair[1]), "{xs:?}");
        assert!(xs[999] > 400.0 && xs[1000] < 600.0, "{} {}", xs[999], xs[1000]);
        assert_eq!(axis.gaps.len(), 1);
        assert!(moments.iter().all(|at| axis.moment(axis.x(*at)).abs_diff(*at) < 1_000));
        let ticks = axis.ticks(100.0);
        assert!(ticks.len() > 5 && ticks.windows(2).all(|pair| pair[0].after < pair[1].after));
    }
}
