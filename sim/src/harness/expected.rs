//! Compares what is committed with what the reference puts out: per key, in order.

use std::collections::BTreeMap;
use std::fmt::Debug;

use crate::scenario::Finding;

/// What a sink must get.
pub(crate) struct Expected<T> {
    sink: &'static str,
    key: fn(&T) -> String,
    by_key: BTreeMap<String, Vec<T>>,
}

impl<T: PartialEq + Debug> Expected<T> {
    pub(crate) fn new(sink: &'static str, key: fn(&T) -> String, records: Vec<T>) -> Expected<T> {
        Expected { sink, key, by_key: split(records, key) }
    }

    /// Whether this is, key by key, a beginning of what is expected, and all of it if `done`.
    pub(crate) fn check(&self, committed: Vec<T>, done: bool) -> Result<(), Finding> {
        let got = split(committed, self.key);
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
        Finding::new(
            "what is committed is what the reference puts out",
            format!("sink `{}`: {seen}", self.sink),
        )
    }
}

fn split<T>(records: Vec<T>, key: fn(&T) -> String) -> BTreeMap<String, Vec<T>> {
    let mut by_key: BTreeMap<String, Vec<T>> = BTreeMap::new();
    for record in records {
        by_key.entry(key(&record)).or_default().push(record);
    }
    by_key
}
