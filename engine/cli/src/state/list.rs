//! The states in a checkpoint.

use std::io::Write;

use millstream::checkpoint::read::states;

use super::Checkpoint;
use crate::checkpoint::Outcome;
use crate::text::Table;

/// Prints step, name and kind of each.
pub fn run(checkpoint: &Checkpoint, output: &mut dyn Write) -> Outcome {
    let (_, manifest) = checkpoint.open()?;
    let mut table = Table::new(&["STEP", "STATE", "WHAT"]);
    for state in states(&manifest) {
        table.row([state.step, state.state, state.what]);
    }
    table.print(output)?;
    Ok(())
}
