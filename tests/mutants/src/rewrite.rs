//! A file with all its mutants in it, each behind a switch.

use std::fmt::Write;
use std::ops::Range;

use crate::sites::{Site, What};

/// Where in the new text mutants are, from the outermost in.
pub type Regions = Vec<Region>;

/// A part of the new text in which an error is to be blamed on mutants.
pub struct Region {
    pub at: Range<usize>,
    pub mutants: Vec<usize>,
    /// It is the guard of an arm, which the match around it may need to be without.
    pub is_guard: bool,
}

/// The text in which each mutant is switched on by its number; and where what is.
pub fn rewrite(text: &str, sites: &[Site]) -> (String, Regions) {
    let mut sites: Vec<&Site> = sites.iter().collect();
    // The outer first; of two of the same extent the one that only puts something around.
    sites.sort_by_key(|site| (site.at.start, std::cmp::Reverse(site.at.end), rank(&site.what)));
    let mut out = Writer { text, out: String::new(), regions: Vec::new() };
    out.range(0..text.len(), &sites);
    (out.out, out.regions)
}

fn rank(what: &What) -> u8 {
    match what {
        What::Arm { .. } => 0,
        What::Guard | What::Body => 1,
        What::Binary { .. } | What::Unary { .. } => 2,
    }
}

struct Writer<'a> {
    text: &'a str,
    out: String,
    regions: Regions,
}

impl Writer<'_> {
    /// What is between two bytes, with those of the sites that are in it.
    fn range(&mut self, range: Range<usize>, sites: &[&Site]) {
        let (mut at, mut next) = (range.start, 0);
        while let Some(site) = sites.get(next) {
            next += 1;
            if site.at.start < at || site.at.end > range.end {
                continue;
            }
            self.out.push_str(&self.text[at..site.at.start]);
            let within = sites[next..].iter().take_while(|inner| inner.at.start < site.at.end).count();
            self.site(site, &sites[next..next + within]);
            (at, next) = (site.at.end, next + within);
        }
        self.out.push_str(&self.text[at..range.end]);
    }

    fn site(&mut self, site: &Site, within: &[&Site]) {
        let begin = self.out.len();
        let place = self.regions.len();
        let is_guard = matches!(site.what, What::Guard | What::Arm { .. });
        let mutants = site.mutants.iter().map(|(id, _)| *id).collect();
        self.regions.push(Region { at: 0..0, mutants, is_guard });
        let text = self.text;
        match &site.what {
            What::Body => {
                for (id, value) in &site.mutants {
                    self.branch(*id, |out| write!(out, "if {} {{ return {value}; }} ", on(*id)));
                }
                // What follows is as it was.
                self.regions[place].at = begin..self.out.len();
                self.range(site.at.clone(), within);
                return;
            }
            What::Binary { left, right } => {
                self.out.push('(');
                for (id, op) in &site.mutants {
                    let (left, right) = (&text[left.clone()], &text[right.clone()]);
                    self.branch(*id, |out| write!(out, "if {} {{ {left} {op} {right} }} else ", on(*id)));
                }
                self.block(site, within);
            }
            What::Unary { of } => {
                self.out.push('(');
                for (id, _) in &site.mutants {
                    let of = &text[of.clone()];
                    self.branch(*id, |out| write!(out, "if {} {{ {of} }} else ", on(*id)));
                }
                self.block(site, within);
            }
            What::Guard => {
                for (id, value) in &site.mutants {
                    let (not, op) = if value == "true" { ("", "||") } else { ("!", "&&") };
                    self.branch(*id, |out| write!(out, "{not}{} {op} (", on(*id)));
                }
                self.range(site.at.clone(), within);
                self.out.push_str(&")".repeat(site.mutants.len()));
            }
            What::Arm { guard: true } => {
                let id = site.mutants[0].0;
                self.branch(id, |out| write!(out, "!{} && (", on(id)));
                self.range(site.at.clone(), within);
                self.out.push(')');
            }
            What::Arm { guard: false } => {
                let id = site.mutants[0].0;
                self.range(site.at.clone(), within);
                self.branch(id, |out| write!(out, " if !{}", on(id)));
            }
        }
        self.regions[place].at = begin..self.out.len();
    }

    /// What there is without a mutant.
    fn block(&mut self, site: &Site, within: &[&Site]) {
        self.out.push_str("{ ");
        self.range(site.at.clone(), within);
        self.out.push_str(" })");
    }

    fn branch(&mut self, id: usize, write: impl FnOnce(&mut String) -> std::fmt::Result) {
        let begin = self.out.len();
        write(&mut self.out).expect("a string takes all");
        self.regions.push(Region { at: begin..self.out.len(), mutants: vec![id], is_guard: false });
    }
}

fn on(id: usize) -> String {
    format!("crate::mutants_here::on({id})")
}

/// What a crate's root gets: the switch. Which mutant is on is in the environment; and there, too, the file to which those are
/// added that a run comes by.
pub const SWITCH: &str = r#"
#[doc(hidden)]
pub mod mutants_here {
    use std::io::Write;
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicBool, Ordering};

    const MOST: usize = 1 << 16;
    static ON: LazyLock<usize> =
        LazyLock::new(|| std::env::var("MUTANT").ok().and_then(|id| id.parse().ok()).unwrap_or(usize::MAX));
    static MET: LazyLock<Option<std::fs::File>> = LazyLock::new(|| {
        let path = std::env::var_os("MUTANTS_MET")?;
        std::fs::OpenOptions::new().create(true).append(true).open(path).ok()
    });
    static KNOWN: [AtomicBool; MOST] = [const { AtomicBool::new(false) }; MOST];

    pub fn on(id: usize) -> bool {
        if let Some(mut file) = MET.as_ref()
            && !KNOWN[id].load(Ordering::Relaxed)
            && !KNOWN[id].swap(true, Ordering::Relaxed)
        {
            file.write_all(format!("{id}\n").as_bytes()).unwrap();
        }
        *ON == id
    }
}
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::list::{Mutant, Place, Span};
    use crate::sites::sites;

    /// A mutant of what `text` has at the first `of` behind `behind`.
    fn mutant(text: &str, behind: &str, of: &str, genre: &str, replacement: &str) -> Mutant {
        let from = text.find(behind).expect("it is there") + behind.len();
        let at = from + text[from..].find(of).expect("it is there");
        let place = |at: usize| {
            let line = text[..at].matches('\n').count() + 1;
            Place { line, column: at - text[..at].rfind('\n').map_or(0, |at| at + 1) + 1 }
        };
        let span = Span { start: place(at), end: place(at + of.len()) };
        let (genre, replacement) = (genre.to_owned(), replacement.to_owned());
        Mutant { name: String::new(), file: String::new(), genre, replacement, span, function: None }
    }

    #[test]
    fn mutants_within_mutants_are_switched_each_by_itself() {
        let text = "fn f(a: u32, b: u32) -> bool {\n    !(a + b == 2)\n}\n\
                    fn g(a: u32) -> u32 {\n    match a {\n        0 if a < 1 => 7,\n        _ => 8,\n    }\n}\n";
        let all = [
            mutant(text, "bool {\n    ", "!(a + b == 2)", "FnValue", "true"),
            mutant(text, "bool {\n    ", "!", "UnaryOperator", ""),
            mutant(text, "a ", "+", "BinaryOperator", "-"),
            mutant(text, "a ", "+", "BinaryOperator", "*"),
            mutant(text, "b ", "==", "BinaryOperator", "!="),
            mutant(text, "0 if ", "a < 1", "MatchArmGuard", "true"),
            mutant(text, "match a {\n        ", "0 if a < 1 => 7,", "MatchArm", ""),
            mutant(text, "if a ", "<", "BinaryOperator", ">"),
        ];
        let numbered: Vec<(usize, Mutant)> = all.into_iter().enumerate().collect();
        let (new, regions) = rewrite(text, &sites(text, &numbered).expect("it is Rust"));
        syn::parse_file(&new).expect("it still is");
        for id in 0..numbered.len() {
            assert!(new.contains(&on(id)), "mutant {id} is not in {new}");
            assert!(
                regions
                    .iter()
                    .any(|region| region.mutants == [id] && new[region.at.clone()].contains(&on(id)))
            );
        }
        assert_eq!(new.matches("a - b").count(), 1, "a mutant is there once: {new}");
    }
}
