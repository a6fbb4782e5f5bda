//! Stores of checkpoints that answer late, wrongly or not at all.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use millstream::ErrorKind;
use millstream::checkpoint::remote::link::Link;
use millstream::checkpoint::remote::{Memory, Objects, Page, Put, Refusal, Remote, Stored};
use millstream::host::{Host, LocalFuture};
use millstream::prelude::*;
use millstream_storage::disk::block_on;

use super::remote::{refusal, save, until_checkpoint};
use super::{Place, Row, hundreds};

/// What a store does with a request, besides what it was asked.
enum Oddity {
    Nothing,
    /// It says that there is an object of that name.
    SaysBefore,
    /// It puts the object in the place of the one that is there.
    Replaces,
    /// It never answers.
    Silent,
    Fails(&'static str),
}

/// A request, without what is put.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    Put,
    Get,
    List,
}

type Oddities = dyn Fn(Asked, &str) -> Oddity + Send + Sync;

/// A shelf that is odd at times.
#[derive(Clone)]
struct Odd {
    shelf: Memory,
    oddity: Arc<Oddities>,
}

impl Odd {
    fn new(shelf: &Memory, oddity: impl Fn(Asked, &str) -> Oddity + Send + Sync + 'static) -> Odd {
        Odd { shelf: shelf.clone(), oddity: Arc::new(oddity) }
    }
}

impl fmt::Debug for Odd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Odd")
    }
}

impl Remote for Odd {
    fn describe(&self) -> String {
        self.shelf.describe()
    }
    fn part_bytes(&self) -> u64 {
        self.shelf.part_bytes()
    }
    fn connect(&self, _: &Rc<dyn Host>) -> LocalFuture<Result<Rc<dyn Objects>, Refusal>> {
        let objects = self.clone();
        Box::pin(async { Ok(Rc::new(objects) as Rc<dyn Objects>) })
    }
}

/// Nothing else than this, if the store does not do what it is asked.
fn odd<T: 'static>(oddity: &Oddity) -> Option<LocalFuture<Result<T, Refusal>>> {
    match *oddity {
        Oddity::Silent => Some(Box::pin(std::future::pending())),
        Oddity::Fails(why) => Some(Box::pin(async { Err(Refusal::Passing(why.to_owned())) })),
        _ => None,
    }
}

impl Objects for Odd {
    fn put(&self, name: &str, bytes: Vec<u8>, how: Put) -> LocalFuture<Result<Stored, Refusal>> {
        let oddity = (self.oddity)(Asked::Put, name);
        match oddity {
            Oddity::SaysBefore => Box::pin(async { Ok(Stored::Before) }),
            Oddity::Replaces => self.shelf.put(name, bytes, Put::Replace),
            _ => odd(&oddity).unwrap_or_else(|| self.shelf.put(name, bytes, how)),
        }
    }
    fn get(&self, name: &str) -> LocalFuture<Result<Option<Vec<u8>>, Refusal>> {
        odd(&(self.oddity)(Asked::Get, name)).unwrap_or_else(|| self.shelf.get(name))
    }
    fn list(&self, prefix: &str, after: &str) -> LocalFuture<Result<Page, Refusal>> {
        odd(&(self.oddity)(Asked::List, prefix)).unwrap_or_else(|| self.shelf.list(prefix, after))
    }
    fn delete(&self, name: &str) -> LocalFuture<Result<(), Refusal>> {
        self.shelf.delete(name)
    }
}

fn is_link(name: &str) -> bool {
    name.starts_with("chain/")
}

/// Counts down. True until it was asked so often.
fn first(left: &AtomicU64) -> bool {
    left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok()
}

#[test]
fn a_store_that_replaces_what_is_there_is_refused() {
    let place = Place::new();
    place.append(0..100);
    let remote = Odd::new(&Memory::new("a careless shelf"), |_, _| Oddity::Replaces);
    let text = refusal(&place, place.config(1, "here").checkpoints_to(remote));
    assert!(text.contains("put only where there is none"), "{text}");
}

/// As some stores answer while another request for the same object is under way.
#[test]
fn a_conflict_over_a_link_that_is_not_there_ends_no_run() {
    let (place, shelf) = (Place::new(), Memory::new("a shelf"));
    place.append(0..500);
    // Of the link that takes the chain over, and of that of a checkpoint.
    let left = [AtomicU64::new(2), AtomicU64::new(2)];
    let remote = Odd::new(&shelf, move |asked, name| match asked {
        Asked::Put if name == Link::name(1) && first(&left[0]) => Oddity::SaysBefore,
        Asked::Put if name == Link::name(2) && first(&left[1]) => Oddity::SaysBefore,
        _ => Oddity::Nothing,
    });
    until_checkpoint(&place, place.config(1, "here").checkpoints_to(remote));
    place.job("out", false).run(place.config(1, "there").checkpoints_to(shelf)).expect("nothing is wrong");
    assert_eq!(place.rows::<Row>("out"), hundreds(0..500));
}

#[test]
fn a_job_whose_store_does_not_answer_says_so_and_can_be_cancelled_while_it_starts() {
    let place = Place::new();
    place.append(0..100);
    let remote = Odd::new(&Memory::new("a shelf"), |asked, _| match asked {
        Asked::List => Oddity::Fails("the door is closed"),
        _ => Oddity::Nothing,
    });
    let running = place.job("out", true).start(place.config(2, "here").checkpoints_to(remote));
    let running = running.expect("it starts");
    let trouble = loop {
        match running.control().last_trouble() {
            Some(trouble) => break trouble,
            None => assert!(!running.is_over(), "{:?}", running.control().outcome()),
        }
    };
    assert!(trouble.contains("a shelf") && trouble.contains("the door is closed"), "{trouble}");
    running.cancel();
    let report = running.wait().expect("it was cancelled");
    assert!(report.cancelled, "{report:?}");
}

/// Behind what is fetched, the chain goes on, and then what is fetched is removed.
#[test]
fn a_start_that_is_overtaken_while_it_fetches_is_fenced_and_calls_nothing_damaged() {
    let (place, shelf) = (Place::new(), Memory::new("a shelf"));
    place.append(0..1_000);
    until_checkpoint(&place, place.config(1, "here").checkpoints_to(shelf.clone()));
    let store = shelf.clone();
    let remote = Odd::new(&shelf, move |asked, name| {
        if asked == Asked::Get && !is_link(name) {
            overtake(&store);
            block_on(store.delete(name)).expect("it is there");
        }
        Oddity::Nothing
    });
    let ended = place.job("out", false).run(place.config(1, "there").checkpoints_to(remote));
    let error = ended.expect_err("it was overtaken");
    assert_eq!(error.kind(), ErrorKind::Fenced, "{error}");
}

/// Puts something behind the last link.
fn overtake(shelf: &Memory) {
    let names = shelf.names();
    let last = names.iter().rfind(|name| is_link(name)).expect("there are some");
    let seq: u64 = last["chain/".len()..].parse().expect("a number");
    let link = b"of another run".to_vec();
    let stored = block_on(shelf.put(&Link::name(seq + 1), link, Put::IfAbsent));
    assert_eq!(stored, Ok(Stored::Now));
}

/// A checkpoint of which nobody knows whether its link was put was never complete.
#[test]
fn what_was_prepared_for_a_chain_without_checkpoints_does_not_keep_a_savepoint_out() {
    let (place, shelf) = (Place::new(), Memory::new("a shelf"));
    save(&place);
    let asked = Arc::new(AtomicU64::new(0));
    let count = asked.clone();
    let remote = Odd::new(&shelf, move |asked, name| match asked {
        Asked::Put if name == Link::name(2) => {
            count.fetch_add(1, SeqCst);
            Oddity::Silent
        }
        _ => Oddity::Nothing,
    });
    let running = place.job("other", true).start(place.config(2, "there").checkpoints_to(remote));
    let running = running.expect("it starts");
    while asked.load(SeqCst) == 0 {
        assert!(!running.is_over(), "{:?}", running.control().outcome());
        std::thread::yield_now();
    }
    running.cancel();
    running.wait().expect("it was cancelled");
    assert!(place.path("there").join("manifest-0000000001").exists(), "it was prepared");
    let config = place.config(2, "there").checkpoints_to(shelf).from_savepoint(place.path("saved"));
    assert!(until_checkpoint(&place, config).is_some(), "it goes on from the savepoint");
}
