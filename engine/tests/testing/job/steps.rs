//! What is handed to the sources goes through every kind of step.

use millstream::join::Inner;
use millstream::prelude::*;
use millstream::testing::JobKit;

type Sale = (Timestamp, String, i64);

fn sale(at: Timestamp, shop: &str, cents: i64) -> Sale {
    (at, shop.to_owned(), cents)
}

/// Revenue per shop and hour, of sales that come up to five minutes out of order.
fn revenue() -> Job {
    let job = Job::new("revenue");
    let hourly = job
        .source("sales", files::<Sale>(["never read"]))
        .event_time(|sale| sale.0, Watermarks::bounded(minutes(5)))
        .key_by(|sale| sale.1.clone())
        .window(Tumbling::of(hours(1)))
        .reduce("hourly", |sum, sale| sum.2 += sale.2);
    hourly.late().sink("late", ndjson_dir("never written"));
    hourly.map(|w| (w.key, w.window.start, w.value.2)).sink("revenue", ndjson_dir("never written"));
    job
}

const HOUR: i64 = 3_600_000;
const MINUTE: i64 = 60_000;

#[test]
fn windows_fire_by_the_jobs_own_watermarks_and_late_records_go_aside() -> Result<()> {
    let kit = JobKit::new(revenue)?;
    let sales = kit.input("sales");
    sales.push_all([
        sale(10 * MINUTE, "bakery", 300),
        sale(50 * MINUTE, "bakery", 200),
        sale(55 * MINUTE, "kiosk", 70),
    ])?;
    sales.push(sale(HOUR + 5 * MINUTE, "bakery", 10))?;
    assert_eq!(kit.watermark("sales"), HOUR - 1);
    assert_eq!(kit.watermark("hourly"), HOUR - 1);
    let mut rows = kit.output::<(String, i64, i64)>("revenue").take();
    rows.sort();
    assert_eq!(rows, [("bakery".to_owned(), 0, 500), ("kiosk".to_owned(), 0, 70)]);

    kit.input("sales").push(sale(59 * MINUTE, "kiosk", 1))?;
    assert_eq!(kit.output::<Sale>("late").take(), [sale(59 * MINUTE, "kiosk", 1)]);
    assert_eq!(kit.metrics().sum(|shard| &shard.late), 1);
    assert!(kit.output::<(String, i64, i64)>("revenue").take().is_empty());

    let report = kit.end()?;
    assert_eq!((report.records_in, report.records_out, kit.is_finished()), (5, 4, true));
    assert_eq!(kit.output::<(String, i64, i64)>("revenue").take(), [("bakery".to_owned(), HOUR, 10)]);
    Ok(())
}

#[test]
fn a_watermark_by_hand_fires_what_the_records_alone_would_not() -> Result<()> {
    let kit = JobKit::new(revenue)?;
    kit.input("sales").push(sale(10 * MINUTE, "kiosk", 3))?;
    kit.input::<Sale>("sales").watermark(HOUR - 2)?;
    assert!(kit.output::<(String, i64, i64)>("revenue").take().is_empty());
    kit.input::<Sale>("sales").watermark(HOUR - 1)?;
    let rows = kit.output::<(String, i64, i64)>("revenue").take_with_times();
    assert_eq!(rows, [(HOUR - 1, ("kiosk".to_owned(), 0, 3))]);
    kit.input::<Sale>("sales").watermark(MINUTE)?;
    assert_eq!(kit.watermark("sales"), HOUR - 1, "it does not regress");
    kit.input("sales").push(sale(HOUR + 4 * MINUTE, "kiosk", 3))?;
    assert_eq!(kit.watermark("sales"), HOUR - 1, "nor by what the strategy makes of a record");
    Ok(())
}

/// Two inputs that meet in a window.
fn joined() -> Job {
    let job = Job::new("joined");
    let left = job.source("left", from_vec(Vec::<(i64, char)>::new()));
    let right = job.source("right", from_vec(Vec::<(i64, u32)>::new()));
    let left = left.event_time(|l| l.0, Watermarks::monotonous());
    let right = right.event_time(|r| r.0, Watermarks::monotonous().idle_after(secs(30)));
    left.key_by(|l| l.0 % 2)
        .window_join("met", right.key_by(|r| r.0 % 2), Tumbling::of(millis(10)), Inner)
        .map(|pair| (pair.value.0.1, pair.value.1.1))
        .sink("pairs", discard());
    job
}

#[test]
fn a_join_waits_for_the_input_that_is_behind_until_that_is_idle() -> Result<()> {
    let kit = JobKit::new(joined)?;
    let (left, right) = (kit.input::<(i64, char)>("left"), kit.input::<(i64, u32)>("right"));
    let pairs = kit.output::<(char, u32)>("pairs");
    left.push_all([(1, 'a'), (2, 'b'), (15, 'c')])?;
    right.push_all([(3, 30), (4, 40)])?;
    assert!(pairs.take().is_empty(), "the right one is at 3");
    right.idle()?;
    assert_eq!(pairs.take(), [('a', 30), ('b', 40)]);

    right.push((15, 50))?;
    left.push((25, 'd'))?;
    assert!(pairs.take().is_empty(), "it is back");
    kit.advance_clock(secs(29))?;
    assert!(pairs.take().is_empty());
    kit.advance_clock(secs(1))?;
    assert_eq!(pairs.take(), [('c', 50)], "silent for as long as the job allows");
    Ok(())
}

#[test]
fn several_cores_do_the_same_each_time() -> Result<()> {
    let run = || -> Result<Vec<(String, i64, i64)>> {
        let kit = JobKit::with(Config::new().cores(3).batch_size(4), revenue)?;
        for n in 0..200 {
            let shop = ["bakery", "kiosk", "smithy", "mill", "inn"][n as usize % 5];
            kit.input("sales").push(sale(n * 7 * MINUTE, shop, n))?;
        }
        kit.end()?;
        Ok(kit.output("revenue").take())
    };
    let (one, other) = (run()?, run()?);
    assert_eq!(one, other);
    let mut sum = 0;
    one.iter().for_each(|row| sum += row.2);
    assert_eq!(sum, (0..200).sum::<i64>());
    Ok(())
}
