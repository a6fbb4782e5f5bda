//! Compares what is committed with what the reference puts out: per key, in order.

use std::collections::BTreeMap;
use std::fmt::Debug;

use crate::scenario::Finding;

/// The rule of what a sink gets.
pub(crate) const COMMITTED: &str = "what is committed is what the reference puts out";

/// What a sink must get.
pub(crate) struct Expected<T> {
    sink: String,
    key: Box<dyn Fn(&T) -> String>,
    by_key: BTreeMap<String, Vec<T>>,
}

impl<T: PartialEq + Debug> Expected<T> {
    pub(crate) fn new(
        sink: impl Into<String>,
        key: impl Fn(&T) -> String + 'static,
        records: Vec<T>,
    ) -> Expected<T> {
        let by_key = split(records, &key);
        Expected { sink: sink.into(), key: Box::new(key), by_key }
    }

    /// Whether this is, key by key, a beginning of what is expected, and all of it if `done`.
    pub(crate) fn check(&self, committed: Vec<T>, done: bool) -> Result<(), Finding> {
        let got = split(committed, &*self.key);
        for (key, got) in &got {
            let want = self.by_key.get(key).map_or(&[][..], Vec::as_slice);
            let same = got.iter().zip(want).take_while(|(got, want)| got == want).count();
            if same < got.len() {
                let (seen, want) = (&got[same], want.get(same));
                return Err(
                    self.finding(format!("record {same} of key {key} is {seen:?}, expected {want:?}"))
                );
            }
        }
        let missing = |(key, want): &(&String, &Vec<T>)| got.get(*key).map_or(0, Vec::len) < want.len();
        match self.by_key.iter().find(missing).filter(|_| done) {
            None => Ok(()),
            Some((key, want)) => {
                let got = got.get(key).map_or(0, Vec::len);
                let what = format!(
                    "key {key} has {got} records at the end, expected {}: {:?} is missing",
                    want.len(),
                    want[got]
                );
                Err(self.finding(what))
            }
        }
    }

    fn finding(&self, seen: String) -> Finding {
        Finding::new(COMMITTED, format!("sink `{}`: {seen}", self.sink))
    }
}

fn split<T>(records: Vec<T>, key: impl Fn(&T) -> String) -> BTreeMap<String, Vec<T>> {
    let mut by_key: BTreeMap<String, Vec<T>> = BTreeMap::new();
    for record in records {
        by_key.entry(key(&record)).or_default().push(record);
    }
    by_key
}
