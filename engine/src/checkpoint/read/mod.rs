//! Reading the state in a checkpoint, without the job that wrote it: typed, by [`StateReader`], or as JSON, by
//! [`JsonReader`]. Every file is verified before anything of it is given out, and is read from its beginning to its end;
//! in memory there is as much at a time as the reader is allowed, and at least what one key has. What had expired when
//! the checkpoint was taken is left out.
//!
//! ```
//! use std::rc::Rc;
//! use millstream::checkpoint::inspect::Checkpoints;
//! use millstream::prelude::*;
//! use millstream_storage::disk::{StdDisk, block_on};
//!
//! #[derive(Clone)]
//! struct Count;
//! impl Process for Count {
//!     type Key = char;
//!     type In = char;
//!     type Out = ();
//!     type State = Value<u64>;
//!     fn declare(&self, state: &mut Declare) -> Value<u64> {
//!         state.value("seen")
//!     }
//!     fn on_record(&mut self, _: char, seen: &Value<u64>, cx: &mut Context<'_, Self>) {
//!         seen.update(cx, |n| *n += 1);
//!     }
//! }
//!
//! let dir = tempfile::tempdir()?;
//! let job = Job::new("doc");
//! job.source("letters", from_vec(vec!['a', 'a'])).key_by(|c| *c).process("count", Count).sink("out", discard());
//! job.run(Config::new().cores(1).checkpoints(dir.path()).checkpoint_at_end_only())?;
//!
//! let checkpoints = Checkpoints::at(Rc::new(StdDisk), dir.path());
//! let manifest = block_on(checkpoints.manifest(1))?;
//! let mut typed = checkpoints.state::<char, Value<u64>>(&manifest, "count", "seen")?;
//! let entry = block_on(typed.next())?.expect("a letter was seen");
//! assert_eq!((entry.key, entry.item), ('a', 2));
//!
//! let mut json = checkpoints.json(&manifest, None, "seen")?;
//! let entry = block_on(json.next())?.expect("a letter was seen");
//! assert_eq!(serde_json::to_string(&entry)?, r#"{"key":"a","value":2}"#);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod decode;
mod encode;
mod json;
mod rows;
mod shape;
mod slices;
pub(crate) mod target;
mod typed;

#[cfg(test)]
mod tests;

use super::inspect::Checkpoints;
use super::manifest::Manifest;
use crate::error::{Error, ErrorKind, Result};
use crate::key::Key;

pub use json::{JsonEntry, JsonReader};
pub use target::{StateName, states};
pub use typed::{Kept, StateEntry, StateReader, Timers, Windows};

use rows::Rows;
use slices::Slices;
use target::{Kind, Target};

impl Checkpoints {
    /// Opens a state of a step with the types that the job gives it: its key, and the handle that it declares, as in
    /// `checkpoints.state::<String, Map<u16, Visits>>(&manifest, "count", "visits")`; [`StateReader`] shows all.
    ///
    /// # Errors
    /// If the checkpoint holds no such state, or one of other types.
    pub fn state<K: Key, S: Kept>(
        &self,
        manifest: &Manifest,
        step: &str,
        state: &str,
    ) -> Result<StateReader<K, S>> {
        StateReader::new(self.rows(manifest, Some(step), state)?)
    }

    /// Opens a state to be read as JSON. Its step need be named only if several have a state of that name.
    ///
    /// # Errors
    /// If the checkpoint holds no such state, or several; the error names those that there are.
    pub fn json(&self, manifest: &Manifest, step: Option<&str>, state: &str) -> Result<JsonReader> {
        Ok(JsonReader::new(self.rows(manifest, step, state)?))
    }

    fn rows(&self, manifest: &Manifest, step: Option<&str>, state: &str) -> Result<Rows> {
        let target = Target::find(manifest, step, state)?;
        let step = &manifest.steps[&target.step];
        Rows::new(target, Slices::new(self.disk(), self.data_path()), step)
    }
}

impl Rows {
    /// Reads one key only.
    fn only(&mut self, key: Vec<u8>) -> Result<()> {
        if matches!(self.target.kind, Kind::CoreList | Kind::Broadcast) {
            let message = format!("{} belongs to cores, not to keys", self.target.called());
            return Err(Error::new(ErrorKind::Config, message));
        }
        self.slices.set_only(key);
        Ok(())
    }
}
