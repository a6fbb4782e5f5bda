//! Objects in the memory of this process: for tests, and for examples.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Objects, Page, Put, Refusal, Remote, Stored};
use crate::host::{Host, LocalFuture};

/// Objects that are gone with the process. Clones are the same place.
///
/// ```
/// use millstream::checkpoint::remote::Memory;
///
/// let remote = Memory::new("a shelf");
/// assert!(remote.clone().names().is_empty());
/// ```
#[derive(Clone, Debug)]
pub struct Memory {
    place: String,
    objects: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
}

impl Memory {
    /// An empty one.
    pub fn new(place: &str) -> Memory {
        Memory { place: place.to_owned(), objects: Arc::default() }
    }

    /// The names of all objects.
    pub fn names(&self) -> Vec<String> {
        self.objects().keys().cloned().collect()
    }

    fn objects(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Remote for Memory {
    fn describe(&self) -> String {
        self.place.clone()
    }

    fn part_bytes(&self) -> u64 {
        1 << 20
    }

    fn connect(&self, _: &Rc<dyn Host>) -> LocalFuture<Result<Rc<dyn Objects>, Refusal>> {
        let objects = self.clone();
        Box::pin(async { Ok(Rc::new(objects) as Rc<dyn Objects>) })
    }
}

impl Objects for Memory {
    fn put(&self, name: &str, bytes: Vec<u8>, how: Put) -> LocalFuture<Result<Stored, Refusal>> {
        let mut objects = self.objects();
        let stored = match how {
            Put::IfAbsent if objects.contains_key(name) => Stored::Before,
            Put::IfAbsent | Put::Replace => {
                objects.insert(name.to_owned(), bytes);
                Stored::Now
            }
        };
        Box::pin(async move { Ok(stored) })
    }

    fn get(&self, name: &str) -> LocalFuture<Result<Option<Vec<u8>>, Refusal>> {
        let found = self.objects().get(name).cloned();
        Box::pin(async { Ok(found) })
    }

    fn list(&self, prefix: &str, after: &str) -> LocalFuture<Result<Page, Refusal>> {
        let objects = self.objects();
        let of = |name: &&String| name.starts_with(prefix) && name.as_str() > after;
        let names = objects.keys().filter(of).cloned().collect();
        Box::pin(async { Ok(Page { names, more: false }) })
    }

    fn delete(&self, name: &str) -> LocalFuture<Result<(), Refusal>> {
        self.objects().remove(name);
        Box::pin(async { Ok(()) })
    }
}
