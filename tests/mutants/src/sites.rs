//! Where in a file its mutants are: the expressions that they change.

use std::ops::Range;

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use crate::list::Mutant;

/// A place in a file, in bytes, and the mutants that change it.
#[derive(Clone, Debug)]
pub struct Site {
    pub at: Range<usize>,
    pub what: What,
    pub mutants: Vec<(usize, String)>,
}

#[derive(Clone, Debug)]
pub enum What {
    /// The inside of a function's braces: it returns at once.
    Body,
    /// Both operands, and the operator between them.
    Binary { left: Range<usize>, right: Range<usize> },
    /// What follows the operator.
    Unary { of: Range<usize> },
    /// A guard: it is true, or false.
    Guard,
    /// A pattern without a guard, behind which one is put; or, as the whole of it, the guard that there is.
    Arm { guard: bool },
}

/// The sites of a file; mutants that cannot be switched are left out.
pub fn sites(text: &str, mutants: &[(usize, Mutant)]) -> syn::Result<Vec<Site>> {
    let file = syn::parse_file(text)?;
    let starts = line_starts(text);
    let byte = |place: crate::list::Place| {
        let line = starts[place.line - 1];
        text[line..].char_indices().nth(place.column - 1).map_or(text.len(), |(at, _)| line + at)
    };
    let wanted = mutants.iter().filter(|(_, mutant)| !is_opaque(mutant)).map(|(id, mutant)| Wanted {
        id: *id,
        from: byte(mutant.span.start),
        to: byte(mutant.span.end),
        genre: mutant.genre.clone(),
        replacement: mutant.replacement.clone(),
    });
    let mut found = Finder { wanted: wanted.collect(), sites: Vec::new() };
    found.bodies();
    found.visit_file(&file);
    Ok(found.sites)
}

/// What a function returns of which only the traits are known: another value has another type, and only one can be there.
fn is_opaque(mutant: &Mutant) -> bool {
    let of = mutant.function.as_ref().map_or("", |function| &function.return_type);
    mutant.genre == "FnValue" && of.contains("impl ")
}

struct Wanted {
    id: usize,
    from: usize,
    to: usize,
    genre: String,
    replacement: String,
}

struct Finder {
    wanted: Vec<Wanted>,
    sites: Vec<Site>,
}

impl Finder {
    fn bodies(&mut self) {
        let (bodies, others): (Vec<_>, _) =
            std::mem::take(&mut self.wanted).into_iter().partition(|wanted| wanted.genre == "FnValue");
        self.wanted = others;
        for Wanted { id, from, to, replacement, .. } in bodies {
            self.put(from..to, What::Body, vec![(id, replacement)]);
        }
    }

    fn put(&mut self, at: Range<usize>, what: What, mutants: Vec<(usize, String)>) {
        match self.sites.iter_mut().find(|site| site.at == at && same(&site.what, &what)) {
            Some(site) => site.mutants.extend(mutants),
            None if mutants.is_empty() => {}
            None => self.sites.push(Site { at, what, mutants }),
        }
    }

    fn of(&self, genre: &str, from: usize) -> Vec<(usize, String)> {
        let here = self.wanted.iter().filter(|wanted| wanted.genre == genre && wanted.from == from);
        here.map(|wanted| (wanted.id, wanted.replacement.clone())).collect()
    }
}

fn same(one: &What, other: &What) -> bool {
    std::mem::discriminant(one) == std::mem::discriminant(other)
}

impl<'ast> Visit<'ast> for Finder {
    fn visit_expr_binary(&mut self, it: &'ast syn::ExprBinary) {
        let mutants = self.of("BinaryOperator", it.op.span().byte_range().start);
        // A chain of conditions with a `let` is no expression that could stand in an `if` of its own.
        if !(holds_let(&it.left) || holds_let(&it.right)) {
            let what = What::Binary { left: range(&it.left), right: range(&it.right) };
            self.put(range(it), what, mutants);
        }
        visit::visit_expr_binary(self, it);
    }

    fn visit_expr_unary(&mut self, it: &'ast syn::ExprUnary) {
        let mutants = self.of("UnaryOperator", it.op.span().byte_range().start);
        self.put(range(it), What::Unary { of: range(&it.expr) }, mutants);
        visit::visit_expr_unary(self, it);
    }

    fn visit_arm(&mut self, it: &'ast syn::Arm) {
        let guard = it.guard.as_ref().map(|(_, guard)| range(guard.as_ref()));
        if let Some(guard) = guard.clone() {
            let mutants = self.of("MatchArmGuard", guard.start);
            self.put(guard, What::Guard, mutants);
        }
        let mutants = self.of("MatchArm", range(it).start);
        let at = guard.clone().unwrap_or_else(|| range(&it.pat));
        self.put(at, What::Arm { guard: guard.is_some() }, mutants);
        visit::visit_arm(self, it);
    }
}

fn holds_let(expression: &syn::Expr) -> bool {
    match expression {
        syn::Expr::Let(_) => true,
        syn::Expr::Binary(binary) => holds_let(&binary.left) || holds_let(&binary.right),
        _ => false,
    }
}

fn range(of: &impl Spanned) -> Range<usize> {
    of.span().byte_range()
}

fn line_starts(text: &str) -> Vec<usize> {
    std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect()
}
