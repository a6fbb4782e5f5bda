//! A file with all its mutants in it, each behind a switch.

use std::fmt::Write;
use std::ops::Range;

use crate::sites::{Site, What};

/// Where in the new text the mutants of a site are, from the outermost in.
pub type Regions = Vec<(Range<usize>, Vec<usize>)>;

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
        self.regions.push((0..0, site.mutants.iter().map(|(id, _)| *id).collect()));
        let text = self.text;
        match &site.what {
            What::Body => {
                for (id, value) in &site.mutants {
                    self.branch(*id, |out| write!(out, "if {} {{ return {value}; }} ", on(*id)));
                }
                self.range(site.at.clone(), within);
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
        self.regions[place].0 = begin..self.out.len();
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
        self.regions.push((begin..self.out.len(), vec![id]));
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
