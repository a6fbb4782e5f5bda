//! An object store outside the simulated machines: it survives every crash, and its requests fail at every moment.
//!
//! | fault | what happens | what still holds |
//! |---|---|---|
//! | request lost | it has no effect, and the client hears of an error | nothing has changed |
//! | answer lost | it has its effect, and the client hears of an error | it was done once |
//! | request late | the client hears of an error, or dies; the effect comes at any later time | it is done once, under its condition then |
//! | refused | a request has no effect, and the client hears that it would have none at another time either | nothing has changed |
//! | slow | a request takes up to a second | it is answered |
//!
//! Puts of links may fail, and take long, more often than other requests: all else hangs on what becomes of them. What was
//! stored is seen by every later request, lists included; those come in short pages.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millstream::checkpoint::remote::link::Link;
use millstream::checkpoint::remote::{Objects, Page, Put, Refusal, Remote, Stored};
use millstream::host::{Host, LocalFuture};

use crate::outside;
use crate::random::{Chance, Random};

/// A late request comes after so many others, at the latest.
const LATEST: u64 = 60;

/// A store. Clones are the same.
///
/// ```
/// use millstream_sim::objects::Shelf;
/// use millstream_sim::random::Streams;
///
/// let shelf = Shelf::new(Streams::new(1).stream("objects"), std::time::Duration::from_millis(3));
/// shelf.calm();
/// assert!(shelf.links().is_empty() && shelf.broken().is_none());
/// ```
#[derive(Clone)]
pub struct Shelf {
    store: Arc<Mutex<Store>>,
    /// The longest that half of a request usually takes.
    longest: Duration,
    part_bytes: u64,
    /// That the put of a link takes long, if that is as it is for whoever has this clone.
    links_slow: Option<Chance>,
}

struct Store {
    random: Random,
    /// That a request or its answer is lost or late; that the put of a link or its answer is.
    fails: Chance,
    links_fail: Chance,
    /// That a request is refused for good.
    refuses: Chance,
    /// That a request takes long.
    slow: Chance,
    objects: BTreeMap<String, Vec<u8>>,
    /// Sent, and not served yet.
    flying: BTreeMap<u64, Request>,
    /// The same, of clients that do not wait any more; with the requests that go before them.
    late: Vec<(u64, Request)>,
    next: u64,
    /// The numbers of links that were put, and of those that were put again where one was left behind.
    put: BTreeSet<u64>,
    again: BTreeSet<u64>,
    broken: Option<String>,
}

#[derive(Clone)]
enum Request {
    Put(String, Vec<u8>, Put),
    Delete(String),
    Look,
}

impl Request {
    fn puts_link(&self) -> bool {
        matches!(self, Request::Put(name, ..) if seq_of(name).is_some())
    }
}

fn passing(what: &str) -> Refusal {
    outside::tell(|| format!("object store: {what}"));
    Refusal::Passing(format!("{what} (injected)"))
}

impl Store {
    fn put(&mut self, name: &str, bytes: Vec<u8>, how: Put) -> Stored {
        if how == Put::IfAbsent && self.objects.contains_key(name) {
            return Stored::Before;
        }
        self.objects.insert(name.to_owned(), bytes);
        if let Some(seq) = seq_of(name) {
            if !self.put.insert(seq) {
                self.again.insert(seq);
            } else if seq > 1 && !self.put.contains(&(seq - 1)) {
                let what = format!("{name} is put, and no link was before it");
                self.broken.get_or_insert(what);
            }
        }
        Stored::Now
    }

    /// Whether a client gets a connection.
    fn connect(&mut self) -> Result<(), Refusal> {
        match self.random.chance(self.fails) {
            true => Err(passing("there is no way to it")),
            false => Ok(()),
        }
    }

    fn serve(&mut self, request: Request) -> Stored {
        match request {
            Request::Put(name, bytes, how) => return self.put(&name, bytes, how),
            Request::Delete(name) => drop(self.objects.remove(&name)),
            Request::Look => {}
        }
        Stored::Now
    }

    /// Lets late requests come.
    fn go_on(&mut self, all: bool) {
        let (due, waiting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.late).into_iter().partition(|(left, _)| *left == 0 || all);
        self.late = waiting.into_iter().map(|(left, request)| (left - 1, request)).collect();
        for (_, request) in due {
            self.serve(request);
        }
    }

    fn send(&mut self, request: Request) -> u64 {
        self.go_on(false);
        self.next += 1;
        self.flying.insert(self.next, request);
        self.next
    }

    /// Serves a request, and tells what the client hears.
    fn answer(&mut self, id: u64) -> Result<Stored, Refusal> {
        if self.random.chance(self.refuses) {
            self.flying.remove(&id);
            outside::tell(|| "object store: a request is refused for good".to_owned());
            return Err(Refusal::Refused("this is not allowed (injected)".to_owned()));
        }
        let fails = if self.flying[&id].puts_link() { self.links_fail } else { self.fails };
        if self.random.chance(fails) {
            match self.random.below(3) {
                0 => {
                    self.flying.remove(&id);
                    return Err(passing("the connection was refused"));
                }
                1 => {
                    self.leave(id);
                    return Err(passing("no answer"));
                }
                _ => {}
            }
            let request = self.flying.remove(&id).expect("it was sent");
            self.serve(request);
            return Err(passing("the answer did not come"));
        }
        let request = self.flying.remove(&id).expect("it was sent");
        Ok(self.serve(request))
    }

    /// Nobody waits for a request any more: it comes late, or never.
    fn leave(&mut self, id: u64) {
        if let Some(request) = self.flying.remove(&id)
            && self.random.below(4) > 0
        {
            let after = self.random.magnitude(LATEST);
            self.late.push((after, request));
        }
    }
}

fn seq_of(name: &str) -> Option<u64> {
    name.strip_prefix("chain/")?.parse().ok()
}

impl Shelf {
    /// An empty one, that usually takes up to twice `longest` for a request.
    pub fn new(mut random: Random, longest: Duration) -> Shelf {
        let fails = *random.pick(&[Chance::NEVER, Chance::of(1, 40), Chance::of(1, 5)]);
        let links_fail = *random.pick(&[fails, Chance::of(1, 8), Chance::of(1, 3)]);
        let refuses = *random.pick(&[Chance::NEVER, Chance::NEVER, Chance::of(1, 1000), Chance::of(1, 100)]);
        let slow = *random.pick(&[Chance::NEVER, Chance::of(1, 30)]);
        let part_bytes = 512 << random.below(8);
        let store = Store {
            random,
            fails,
            links_fail,
            refuses,
            slow,
            objects: BTreeMap::new(),
            flying: BTreeMap::new(),
            late: Vec::new(),
            next: 0,
            put: BTreeSet::new(),
            again: BTreeSet::new(),
            broken: None,
        };
        Shelf { store: Arc::new(Mutex::new(store)), longest, part_bytes, links_slow: None }
    }

    /// The same, for a machine whose puts of links often take long.
    pub fn held_up(&self) -> Shelf {
        Shelf { links_slow: Some(Chance::of(1, 2)), ..self.clone() }
    }

    /// From now on nothing goes wrong. What is on its way arrives.
    pub fn calm(&self) {
        let mut store = self.store();
        (store.fails, store.links_fail) = (Chance::NEVER, Chance::NEVER);
        (store.refuses, store.slow) = (Chance::NEVER, Chance::NEVER);
        store.go_on(true);
    }

    /// The links that are there, by number; without those that were put where one was left behind.
    pub fn links(&self) -> Vec<Result<Link, String>> {
        let store = self.store();
        let is_link = |name: &str| seq_of(name).is_some_and(|seq| !store.again.contains(&seq));
        let links = store.objects.iter().filter(|(name, _)| is_link(name));
        links.map(|(_, object)| Link::from_object(object.clone())).collect()
    }

    /// The length of an object, if there is one of that name.
    pub fn len_of(&self, name: &str) -> Option<u64> {
        self.store().objects.get(name).map(|bytes| bytes.len() as u64)
    }

    /// How many parts of files there are.
    pub fn parts(&self) -> usize {
        self.store().objects.keys().filter(|name| name.starts_with("files/")).count()
    }

    /// What it was asked that makes no sense.
    pub fn broken(&self) -> Option<String> {
        self.store().broken.clone()
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for half of what a request takes.
    fn delay(&self, host: &dyn Host, slow: Option<Chance>) -> LocalFuture<()> {
        let slow = {
            let mut store = self.store();
            let slow = slow.unwrap_or(store.slow);
            store.random.chance(slow)
        };
        let longest = if slow { Duration::from_millis(500) } else { self.longest };
        host.sleep(Duration::from_nanos(host.random() % (longest.as_nanos() as u64).max(1)))
    }
}

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shelf")
    }
}

impl Remote for Shelf {
    fn describe(&self) -> String {
        "a simulated store".to_owned()
    }

    fn part_bytes(&self) -> u64 {
        self.part_bytes
    }

    fn connect(&self, host: &Rc<dyn Host>) -> LocalFuture<Result<Rc<dyn Objects>, Refusal>> {
        let client = Client { shelf: self.clone(), host: host.clone() };
        Box::pin(async move {
            client.shelf.delay(&*client.host, None).await;
            client.shelf.store().connect()?;
            Ok(Rc::new(client) as Rc<dyn Objects>)
        })
    }
}

#[derive(Clone)]
struct Client {
    shelf: Shelf,
    host: Rc<dyn Host>,
}

/// A request that somebody waits for.
struct Flying {
    shelf: Shelf,
    id: u64,
}

impl Drop for Flying {
    fn drop(&mut self) {
        self.shelf.store().leave(self.id);
    }
}

impl Client {
    /// Sends a request, and waits for its answer; what the store has then is looked at by `see`.
    fn ask<T: 'static>(
        &self,
        request: Request,
        see: impl FnOnce(&Store, Stored) -> T + 'static,
    ) -> LocalFuture<Result<T, Refusal>> {
        let Client { shelf, host } = self.clone();
        Box::pin(async move {
            let slow = if request.puts_link() { shelf.links_slow } else { None };
            let flying = Flying { id: shelf.store().send(request), shelf: shelf.clone() };
            shelf.delay(&*host, slow).await;
            let seen = {
                let mut store = shelf.store();
                store.answer(flying.id).map(|stored| see(&store, stored))
            };
            shelf.delay(&*host, slow).await;
            seen
        })
    }
}

impl Objects for Client {
    fn put(&self, name: &str, bytes: Vec<u8>, how: Put) -> LocalFuture<Result<Stored, Refusal>> {
        self.ask(Request::Put(name.to_owned(), bytes, how), |_, stored| stored)
    }

    fn get(&self, name: &str) -> LocalFuture<Result<Option<Vec<u8>>, Refusal>> {
        let name = name.to_owned();
        self.ask(Request::Look, move |store, _| store.objects.get(&name).cloned())
    }

    fn list(&self, prefix: &str, after: &str) -> LocalFuture<Result<Page, Refusal>> {
        const MOST: usize = 3;
        let (prefix, after) = (prefix.to_owned(), after.to_owned());
        self.ask(Request::Look, move |store, _| {
            let of = |name: &&String| name.starts_with(&prefix) && **name > after;
            let mut names: Vec<String> = store.objects.keys().filter(of).take(MOST + 1).cloned().collect();
            let more = names.len() > MOST;
            names.truncate(MOST);
            Page { names, more }
        })
    }

    fn delete(&self, name: &str) -> LocalFuture<Result<(), Refusal>> {
        self.ask(Request::Delete(name.to_owned()), |_, _| ())
    }
}
