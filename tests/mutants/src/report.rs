//! What is known of the mutants, by module, and those that nothing noticed.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use crate::list::Mutant;
use crate::plant::Planted;
use crate::run::{Fate, Verdict, verdicts};

#[derive(Default)]
struct Row {
    killed: usize,
    timed_out: usize,
    survived: usize,
    not_met: usize,
}

impl Row {
    fn add(&mut self, fate: Fate) {
        *match fate {
            Fate::Killed => &mut self.killed,
            Fate::TimedOut => &mut self.timed_out,
            Fate::Survived => &mut self.survived,
            Fate::NotMet => &mut self.not_met,
        } += 1;
    }

    fn all(&self) -> usize {
        self.killed + self.timed_out + self.survived + self.not_met
    }

    fn print(&self, name: &str) {
        let (dead, all) = (self.killed + self.timed_out, self.all());
        let share = 100.0 * dead as f64 / all.max(1) as f64;
        println!(
            "| {name} | {all} | {} | {} | {} | {} | {share:.1} % |",
            self.killed, self.timed_out, self.survived, self.not_met
        );
    }
}

/// Prints the table, and the survivors; and which units fail without a mutant, and so could not notice one.
pub fn print(mutants: &[Mutant], planted: &Planted, failing: &[String], output: &Path) -> io::Result<()> {
    let verdicts = verdicts(output)?;
    let of = |mutant: &&Mutant| verdicts.get(&mutant.name);
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    let mut all = Row::default();
    for (mutant, verdict) in mutants.iter().filter_map(|mutant| Some((mutant, of(&mutant)?))) {
        rows.entry(module(&mutant.file)).or_default().add(verdict.fate);
        all.add(verdict.fate);
    }
    println!(
        "{} mutants; {} do not build, {} cannot be switched; run: {}",
        mutants.len(),
        planted.refused,
        planted.left_out,
        rows.values().map(Row::all).sum::<usize>()
    );
    println!("left out, as they fail without a mutant: {}\n", failing.join(", "));
    println!(
        "| module | mutants | killed | timed out | survived | not met | noticed |\n|---|---|---|---|---|---|---|"
    );
    rows.iter().for_each(|(name, row)| row.print(name));
    all.print("all");
    println!();
    let mut alive: Vec<&Verdict> = mutants.iter().filter_map(|mutant| of(&mutant)).collect();
    alive.retain(|verdict| matches!(verdict.fate, Fate::Survived | Fate::NotMet));
    alive.sort_by(|one, other| one.mutant.cmp(&other.mutant));
    alive.iter().for_each(|verdict| println!("{:?}: {}", verdict.fate, verdict.mutant));
    Ok(())
}

/// Of `engine/src/operator/window/x.rs` the first three folders after the package.
fn module(file: &str) -> String {
    let parts: Vec<&str> = file.trim_end_matches(".rs").split('/').collect();
    let deep = if file.starts_with("engine/src/operator") { 4 } else { 3 };
    parts[..deep.min(parts.len())].join("/")
}
