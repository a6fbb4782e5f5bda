//! Whoever looks up an item of the libraries finds it in use.

use std::collections::{BTreeMap, BTreeSet};

use super::{assert_none, sources};

/// The crates that others depend on, as the folders of their sources.
const LIBRARIES: [&str; 4] =
    ["engine/src/", "engine/connect/postgres/src/", "engine/ring/src/", "storage/src/"];

const KINDS: [&str; 6] = ["struct", "enum", "trait", "type", "const", "static"];

/// **The rule.** An item is *public* if it is declared
/// - `pub`, at the top of a module that is `pub` up to the root of its crate, or where a `pub use` names the item or
///   the module; or
/// - `pub`, in an `impl` of a public type; or in a public trait, unless the documentation hides it.
///
/// A public item is *shown* if its name stands in an example in the docs of its own file, of the file that declares
/// its type or trait, or of the module one up. What counts of an example is the code that a reader sees: no comments,
/// no hidden lines, and nothing that is not to compile (`compile_fail`, `ignore`, `text`). The name of a member counts
/// as `.name` and `Type::name`, or after its keyword, as an implementation of its trait has it: `fn name`.
///
/// Not seen: variants, fields and macros; and two types in one file whose members share a name pass for each other.
#[test]
fn every_public_item_is_shown_in_an_example() {
    let sources = sources();
    let mut found = Vec::new();
    for folder in LIBRARIES {
        let library = Library::of(folder, &sources);
        let examples: BTreeMap<_, _> =
            library.files.iter().map(|(file, text)| (*file, examples(text))).collect();
        let public = library.public();
        assert!(public.len() > 20, "the items of {folder} are found");
        for (file, home, item) in public {
            if ![file, home, library.parent(file)].iter().any(|file| item.is_in(&examples[file])) {
                found.push(format!("{folder}{file}:{}: {} is in no example", item.line, item.path()));
            }
        }
    }
    assert_none(&found);
}

/// A crate's files by their paths in `src`, and what their `pub use` name.
struct Library<'a> {
    files: BTreeMap<&'a str, &'a str>,
    used: BTreeSet<&'a str>,
}

impl<'a> Library<'a> {
    fn of(folder: &str, sources: &'a [(String, String)]) -> Library<'a> {
        let inside = |(name, text): &'a (String, String)| Some((name.strip_prefix(folder)?, text.as_str()));
        let files: BTreeMap<_, _> = sources.iter().filter_map(inside).collect();
        let uses = files.values().flat_map(|text| text.split("pub use ").skip(1));
        let ends = uses.filter_map(|rest| rest.split(';').next()?.rsplit("::").next());
        let used = ends.flat_map(|names| names.split(['{', '}', ',']).map(str::trim)).collect();
        Library { files, used }
    }

    /// The public items, each with its file and the file of its type or trait.
    fn public(&self) -> Vec<(&'a str, &'a str, Item<'a>)> {
        let items =
            self.files.iter().flat_map(|(file, text)| items(text).into_iter().map(|item| (*file, item)));
        let (mut top, members): (Vec<_>, Vec<_>) = items.partition(|(_, item)| item.owner.is_none());
        top.retain(|(file, item)| self.used.contains(item.name) || self.is_open(file));
        let homes: BTreeMap<_, _> = top.iter().map(|(file, item)| (item.name, *file)).collect();
        let members =
            members.into_iter().filter_map(|(file, item)| Some((file, *homes.get(item.owner?)?, item)));
        top.into_iter().map(|(file, item)| (file, file, item)).chain(members).collect()
    }

    /// The file of the module one up.
    fn parent(&self, file: &str) -> &'a str {
        let module = file.strip_suffix("/mod.rs").unwrap_or(file);
        let above = module.rsplit_once('/').map_or("lib", |(above, _)| above);
        let file = |end| self.files.get_key_value(format!("{above}{end}").as_str()).map(|(file, _)| *file);
        file(".rs").or(file("/mod.rs")).expect("a module lies in another")
    }

    /// Whether the module of a file can be named from outside.
    fn is_open(&self, file: &str) -> bool {
        let module = file.trim_end_matches("/mod.rs").trim_end_matches(".rs");
        let name = module.rsplit('/').next().unwrap_or(module);
        let above = self.parent(file);
        let is_pub = || self.files[above].contains(&format!("\npub mod {name};")) && self.is_open(above);
        module == "lib" || self.used.contains(name) || is_pub()
    }
}

/// A declaration, in the `impl` or trait of its owner.
struct Item<'a> {
    line: usize,
    keyword: &'a str,
    name: &'a str,
    owner: Option<&'a str>,
}

impl Item<'_> {
    fn path(&self) -> String {
        self.owner.map_or(String::new(), |owner| format!("{owner}::")) + self.name
    }

    fn is_in(&self, code: &str) -> bool {
        let member = [format!(".{}", self.name), format!("{} {}", self.keyword, self.name), self.path()];
        let forms = if self.owner.is_some() { &member[..] } else { &member[2..] };
        let in_word = |c: char| c.is_alphanumeric() || c == '_';
        let is_whole = |at: usize, form: &str| {
            let (before, after) = (&code[..at], &code[at + form.len()..]);
            !after.starts_with(in_word) && (form.starts_with('.') || !before.ends_with(in_word))
        };
        forms.iter().any(|form| code.match_indices(form.as_str()).any(|(at, form)| is_whole(at, form)))
    }
}

/// What a file declares, by the house's formatting: the top is not indented, a member by four spaces.
fn items(text: &str) -> Vec<Item<'_>> {
    let (mut found, mut owner, mut in_trait, mut hidden) = (Vec::new(), None, false, false);
    for (at, line) in text.lines().enumerate() {
        let member = line.strip_prefix("    ").filter(|_| owner.is_some());
        let public = member.unwrap_or(line).strip_prefix("pub ").or(member.filter(|_| in_trait));
        let declared = public.and_then(declaration);
        if let Some((keyword, name)) = declared.filter(|_| !hidden) {
            found.push(Item { line: at + 1, keyword, name, owner: owner.filter(|_| member.is_some()) });
        }
        match declared {
            Some(("trait", name)) => (owner, in_trait) = (Some(name), true),
            _ if line.starts_with("impl") => (owner, in_trait) = (implementor(line), false),
            _ if line == "}" => owner = None,
            _ => {}
        }
        hidden = line.contains("doc(hidden)");
    }
    found
}

/// The keyword and the name that a line declares, its `pub` cut off.
fn declaration(line: &str) -> Option<(&str, &str)> {
    let words: Vec<_> = line.split(|c: char| !c.is_alphanumeric() && c != '_').take(4).collect();
    let is_qualifier = |word: &&str| ["async", "const", "unsafe"].contains(word);
    let function =
        words.iter().position(|word| *word == "fn").filter(|at| words[..*at].iter().all(is_qualifier));
    let at = function.or(KINDS.contains(&words[0]).then_some(0))?;
    Some((words[at], words.get(at + 1)?))
}

/// The type of an `impl`, or its trait: the name after the parameters.
fn implementor(line: &str) -> Option<&str> {
    let line = line.strip_prefix("impl")?;
    let mut depth = 0;
    let (end, _) = line.char_indices().find(|&(at, c)| {
        depth += i32::from(c == '<') - i32::from(c == '>' && !line[..at].ends_with('-'));
        depth == 0
    })?;
    line[end + 1..].trim_start().split(|c: char| !c.is_alphanumeric() && c != '_').next()
}

/// The code that a reader of the documentation sees and the compiler takes.
fn examples(text: &str) -> String {
    let (mut code, mut fence) = (String::new(), None);
    for line in text.lines().map(str::trim_start) {
        let doc = line.strip_prefix("///").or(line.strip_prefix("//!"));
        let Some(doc) = doc.map(str::trim) else { continue };
        if let Some(info) = doc.strip_prefix("```") {
            let compiles = !["compile_fail", "ignore", "text"].iter().any(|word| info.contains(word));
            fence = fence.is_none().then_some(compiles);
        } else if fence == Some(true) && doc != "#" && !doc.starts_with("# ") {
            code.extend([doc.split("//").next().unwrap_or(doc), "\n"]);
        }
    }
    code
}
