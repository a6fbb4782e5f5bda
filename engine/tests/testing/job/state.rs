//! Looking into the state of a job.

use millstream::checkpoint::read::Windows;
use millstream::prelude::*;
use millstream::testing::JobKit;

/// Counts pages per visitor, and tells a minute after the first how many there were.
#[derive(Clone)]
struct Pages;

struct Seen {
    pages: Map<u16, u64>,
    first: Value<i64>,
}

impl Process for Pages {
    type Key = String;
    type In = (i64, &'static str, u16);
    type Out = (String, usize);
    type State = Seen;

    fn declare(&self, state: &mut Declare) -> Seen {
        Seen { pages: state.map("pages"), first: state.value("first") }
    }

    fn on_record(&mut self, (at, _, page): Self::In, state: &Seen, cx: &mut Context<'_, Self>) {
        if state.first.load(cx).is_none() {
            state.first.set(cx, &at);
            cx.timer_at(at + 60_000);
        }
        let n = state.pages.load(cx, &page).unwrap_or(0);
        state.pages.put(cx, &page, &(n + 1));
    }

    fn on_timer(&mut self, _: Timestamp, state: &Seen, cx: &mut Context<'_, Self>) {
        let n = state.pages.iter(cx).count();
        cx.emit((cx.key().clone(), n));
        state.pages.clear(cx);
    }
}

fn pages() -> Job {
    let job = Job::new("pages");
    let clicks = job
        .source("clicks", from_vec(Vec::<(i64, &str, u16)>::new()))
        .event_time(|click| click.0, Watermarks::monotonous());
    clicks.clone().key_by(|click| click.1.to_owned()).process("pages", Pages).sink("visits", discard());
    clicks
        .map(|click| click.0)
        .key_by(|_| 7_u64)
        .window(Tumbling::of(secs(10)))
        .reduce("latest", |latest, at| *latest = *at)
        .map(|w| w.value)
        .sink("latest times", discard());
    job
}

#[test]
fn states_timers_and_windows_can_be_read_at_any_time() -> Result<()> {
    for cores in [1, 3] {
        let kit = JobKit::with(Config::new().cores(cores), pages)?;
        let clicks = kit.input::<(i64, &str, u16)>("clicks");
        clicks.push_all([(1_000, "Ada", 1), (2_000, "Ada", 2), (3_000, "Ada", 1)])?;
        clicks.push((4_000, "Grace", 3))?;
        let ada = "Ada".to_owned();
        assert_eq!(kit.state_of::<String, Value<i64>>("pages", "first", &ada)?, [1_000]);
        let mut of_ada = kit.state_of::<String, Map<u16, u64>>("pages", "pages", &ada)?;
        of_ada.sort();
        assert_eq!(of_ada, [(1, 2), (2, 1)]);
        assert_eq!(kit.timers("pages")?, [(61_000, ada.clone()), (64_000, "Grace".to_owned())]);
        assert_eq!(
            kit.state_of::<u64, Windows<Option<i64>>>("latest", "windows", &7)?,
            [(10_000, Some(4_000))]
        );

        clicks.watermark(62_000)?;
        assert_eq!(kit.output::<(String, usize)>("visits").take(), [(ada.clone(), 2_usize)]);
        assert_eq!(kit.output::<i64>("latest times").take(), [4_000]);
        let all = kit.state::<String, Map<u16, u64>>("pages", "pages")?;
        assert_eq!(all.len(), 1, "Ada's is gone");
        assert_eq!((all[0].key.as_str(), all[0].item, all[0].expires), ("Grace", (3, 1), None));
        kit.end()?;
        assert!(kit.timers::<String>("pages")?.is_empty(), "after the end, too");
    }
    Ok(())
}

#[test]
fn a_state_that_is_not_there_or_of_another_type_is_refused() -> Result<()> {
    let kit = JobKit::new(pages)?;
    let missing = kit.state::<String, Value<i64>>("pages", "last").expect_err("there is no such state");
    assert!(missing.to_string().contains("last"), "{missing}");
    let other = kit.state::<String, Value<u8>>("pages", "first").expect_err("it is of another type");
    assert_eq!(other.kind(), ErrorKind::Restore);
    kit.input::<(i64, &str, u16)>("clicks").push((1_000, "Ada", 1))?;
    Ok(())
}
