//! Reading the state in a checkpoint, without the job that wrote it: typed, by [`StateReader`], or as JSON, by
//! [`JsonReader`]. Every file is verified before anything of it is given out, and is read from its beginning to its end;
//! in memory there is as much at a time as the reader is allowed, and at least what one key has. What had expired when
//! the checkpoint was taken is left out.

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
