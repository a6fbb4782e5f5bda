//! Thousands of things in a lane, drawn as fewer: those that lie so close that nobody could tell them apart become one.

/// Wider than any drawing.
const WIDEST: f64 = 4096.0;

/// Something from one moment to another, in pixels and nanoseconds.
#[derive(Clone, Debug)]
pub(super) struct Span<T> {
    pub(super) x: [f64; 2],
    pub(super) at: [u64; 2],
    /// How many things it stands for.
    pub(super) count: usize,
    pub(super) of: T,
}

/// Joins what is not further from its predecessor in the same lane than `within` pixels. `join` says whether two go
/// together, and makes them one.
pub(super) fn joined<T: Clone>(
    lane: &[Span<T>],
    within: f64,
    join: impl Fn(&mut T, &T) -> bool,
) -> Vec<Span<T>> {
    let mut spans: Vec<Span<T>> = Vec::new();
    for next in lane {
        if let Some(last) = spans.last_mut()
            && next.x[0] - last.x[1] <= within
            && join(&mut last.of, &next.of)
        {
            last.x[1] = last.x[1].max(next.x[1]);
            last.at[1] = last.at[1].max(next.at[1]);
            last.count += next.count;
        } else {
            spans.push(next.clone());
        }
    }
    spans
}

/// The least distance from which on no more than `most` are left, tried by doubling from `least`.
pub(super) fn within_budget<T>(
    most: usize,
    least: f64,
    made: impl Fn(f64) -> Vec<T>,
    len: impl Fn(&T) -> usize,
) -> Vec<T> {
    let mut within = least;
    loop {
        let lanes = made(within);
        if within > WIDEST || lanes.iter().map(&len).sum::<usize>() <= most {
            return lanes;
        }
        within *= 2.0;
    }
}

/// Gives each span, sorted by its beginning, the first row that is free; if all `most` rows are taken, the one that will be
/// free first. Returns the rows.
pub(super) fn rows<T>(spans: Vec<Span<T>>, most: usize, apart: f64) -> Vec<Vec<Span<T>>> {
    let mut rows: Vec<Vec<Span<T>>> = Vec::new();
    let mut free: Vec<f64> = Vec::new();
    for span in spans {
        let row = free.iter().position(|free| *free + apart <= span.x[0]);
        let row = row.unwrap_or_else(|| {
            if rows.len() < most {
                rows.push(Vec::new());
                free.push(0.0);
                rows.len() - 1
            } else {
                (0..most).min_by(|a, b| free[*a].total_cmp(&free[*b])).unwrap_or(0)
            }
        });
        free[row] = free[row].max(span.x[1]);
        rows[row].push(span);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(from: f64, to: f64) -> Span<()> {
        Span { x: [from, to], at: [from as u64, to as u64], count: 1, of: () }
    }

    #[test]
    fn neighbours_are_joined_until_the_budget_holds() {
        let lane: Vec<_> = (0..100).map(|n| span(f64::from(n), f64::from(n) + 0.1)).collect();
        let join = |within| vec![joined(&lane, within, |(), ()| true)];
        assert_eq!(join(0.5)[0].len(), 100);
        let few = within_budget(10, 0.5, join, Vec::len);
        assert_eq!((few[0].len(), few[0][0].count), (1, 100));
    }

    #[test]
    fn what_overlaps_is_in_rows_of_its_own() {
        let spans = vec![span(0.0, 10.0), span(1.0, 2.0), span(3.0, 4.0), span(5.0, 20.0), span(6.0, 7.0)];
        let rows = rows(spans, 3, 0.5);
        assert_eq!(rows.iter().map(Vec::len).collect::<Vec<_>>(), [1, 3, 1]);
    }
}
