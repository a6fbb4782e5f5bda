//! Where a replay ends: at a position of one split, or of several.

use std::collections::{BTreeMap, BTreeSet};

use millstream_storage::planted;
use serde_json::Value as Json;

use crate::checkpoint::manifest::Manifest;
use crate::error::{Error, ErrorKind, Result};

/// So many splits are named in a message.
const NAMED: usize = 20;

/// Names of splits, by source.
pub(super) type Splits = BTreeMap<String, BTreeSet<String>>;

/// What was asked for, before the splits are known.
#[derive(Clone, Debug)]
pub(super) enum Until {
    /// As it stands on a command line.
    Text(String),
    At {
        source: String,
        split: String,
        target: Target,
    },
}

/// Where a split is to be read to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Target {
    /// Up to the record at this offset, and with it.
    Through(u64),
    /// Up to a position as checkpoints keep it; and to the end of the split, if that had been seen.
    Position { at: Json, ended: bool },
}

/// A split of a source.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name<'a> {
    pub source: &'a str,
    pub split: &'a str,
}

/// How far a position is, if it is a number, or has one that is called `offset` or `taken`.
pub(super) fn offset_of(position: &Json) -> Option<u64> {
    position.as_u64().or_else(|| ["offset", "taken"].iter().find_map(|name| position.get(*name)?.as_u64()))
}

/// A place in the input, in the form in which a replay takes it: the offset of a record, if that is known by the position
/// before it, or else the position behind it.
pub(super) fn place(name: Name<'_>, before: &Json, after: &Json) -> String {
    let Name { source, split } = name;
    match offset_of(before) {
        Some(offset) => format!("{source}:{split}@{offset}"),
        None => format!("{source}:{split}@{after}"),
    }
}

impl Target {
    /// Whether a split that is here has been read far enough.
    pub(super) fn is_reached(&self, at: &Json, split_ended: bool) -> bool {
        match self {
            Target::Through(offset) if planted!(replay_reads_past) => {
                offset_of(at).is_some_and(|at| at > offset + 1)
            }
            Target::Through(offset) => offset_of(at).is_some_and(|at| at > *offset),
            Target::Position { at: wanted, ended } => {
                let told = split_ended || !ended || planted!(replay_forgets_end);
                self.has_passed(wanted, at) && told
            }
        }
    }

    fn has_passed(&self, wanted: &Json, at: &Json) -> bool {
        match (offset_of(wanted), offset_of(at)) {
            (Some(wanted), Some(at)) if planted!(replay_reads_past) => at > wanted,
            (Some(wanted), Some(at)) => at >= wanted,
            _ => wanted == at,
        }
    }

    /// Whether nothing is left to be read but the split's end.
    pub(super) fn is_at_end(&self, at: &Json) -> bool {
        matches!(self, Target::Position { at: wanted, ended: true } if self.has_passed(wanted, at))
    }

    /// Whether a split that is here cannot come there any more.
    pub(super) fn is_behind(&self, at: &Json) -> bool {
        match self {
            Target::Through(offset) => offset_of(at).is_some_and(|at| at > *offset),
            Target::Position { at: wanted, .. } => match (offset_of(wanted), offset_of(at)) {
                (Some(wanted), Some(at)) => at > wanted,
                _ => false,
            },
        }
    }

    fn parse(text: &str) -> Option<Target> {
        if let Ok(offset) = text.parse() {
            return Some(Target::Through(offset));
        }
        let at: Json =
            serde_json::from_str(text).ok().filter(|at: &Json| at.is_object() || at.is_string())?;
        let ended = at.get("ended").and_then(Json::as_bool).unwrap_or(false);
        Some(Target::Position { at, ended })
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Target::Through(offset) => write!(f, "the record at {offset}"),
            Target::Position { at, ended: false } => write!(f, "position {at}"),
            Target::Position { at, ended: true } => write!(f, "its end at position {at}"),
        }
    }
}

impl Until {
    /// Which of the splits is meant, and how far.
    ///
    /// # Errors
    /// If it is none of them, or not one alone.
    pub(super) fn resolve(&self, splits: &[Name<'_>]) -> Result<(usize, Target)> {
        match self {
            Until::Text(text) => resolve_text(text, splits),
            Until::At { source, split, target } => {
                let found = splits.iter().position(|name| name.source == source && name.split == split);
                let found = found.ok_or_else(|| unknown(&format!("{source}:{split}"), splits))?;
                Ok((found, target.clone()))
            }
        }
    }
}

fn resolve_text(text: &str, splits: &[Name<'_>]) -> Result<(usize, Target)> {
    let only = |same: &dyn Fn(&Name<'_>) -> bool| splits.iter().filter(|name| same(name)).count() == 1;
    let mut found: Option<(usize, usize, Target)> = None;
    for (i, name) in splits.iter().enumerate() {
        let Name { source, split } = *name;
        let mut prefixes = vec![format!("{source}:{split}@")];
        prefixes.extend(only(&|other| other.source == source).then(|| format!("{source}@")));
        prefixes.extend(only(&|other| other.split == split).then(|| format!("{split}@")));
        prefixes.extend((splits.len() == 1).then(String::new));
        for prefix in prefixes {
            let target = text.strip_prefix(&prefix).and_then(Target::parse);
            let longest = found.as_ref().is_none_or(|(_, len, _)| prefix.len() > *len);
            if let Some(target) = target.filter(|_| longest) {
                found = Some((i, prefix.len(), target));
            }
        }
    }
    found.map(|(i, _, target)| (i, target)).ok_or_else(|| unknown(text, splits))
}

fn unknown(text: &str, splits: &[Name<'_>]) -> Error {
    let mut names: Vec<String> =
        splits.iter().take(NAMED).map(|name| format!("{}:{}", name.source, name.split)).collect();
    if splits.len() > NAMED {
        names.push(format!("and {} more", splits.len() - NAMED));
    }
    let message = format!(
        "the replay cannot end at `{text}`: write SOURCE:SPLIT@OFFSET, where OFFSET is that of a record, the last that is \
         read, or a position as `millstream checkpoint show` prints it; the splits are {}",
        names.join(", ")
    );
    Error::new(ErrorKind::Config, message)
}

/// The positions of a checkpoint.
pub(super) fn positions_of(manifest: &Manifest) -> Vec<Until> {
    let mut all = Vec::new();
    for (source, step) in &manifest.steps {
        for part in &step.parts {
            let ended = part.meta["ended"].as_array();
            let has_ended = |split: &str| ended.is_some_and(|ended| ended.iter().any(|of| of == split));
            for (split, at) in part.meta["positions"].as_object().into_iter().flatten() {
                let target = Target::Position { at: at.clone(), ended: has_ended(split) };
                all.push(Until::At { source: source.clone(), split: split.clone(), target });
            }
        }
    }
    all
}

/// The splits of each source among these.
pub(super) fn splits_of(untils: &[Until]) -> Splits {
    let mut splits = Splits::new();
    for until in untils {
        if let Until::At { source, split, .. } = until {
            splits.entry(source.clone()).or_default().insert(split.clone());
        }
    }
    splits
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Name, Target, place, resolve_text};

    const SPLITS: [Name<'_>; 3] = [
        Name { source: "orders", split: "partition-00000" },
        Name { source: "orders", split: "partition-00001" },
        Name { source: "rates", split: "in/a@b:c.ndjson" },
    ];

    #[test]
    fn an_end_is_found_by_as_much_of_its_name_as_tells_it_from_others() {
        let found = |text: &str| resolve_text(text, &SPLITS).map_err(|error| error.to_string());
        assert_eq!(found("orders:partition-00001@7"), Ok((1, Target::Through(7))));
        assert_eq!(found("partition-00000@7"), Ok((0, Target::Through(7))));
        assert_eq!(found("rates@7"), Ok((2, Target::Through(7))));
        let at = json!({ "offset": 9, "end": null });
        let position = Target::Position { at: at.clone(), ended: false };
        let place = format!("rates:in/a@b:c.ndjson@{at}");
        assert_eq!(found(&place), Ok((2, position)));
        assert_eq!(resolve_text("12", &SPLITS[2..]).expect("there is one split"), (0, Target::Through(12)));
        for wrong in ["12", "orders@7", "orders:partition-00002@7", "rates@soon", "rates@[1]"] {
            let said = found(wrong).expect_err(wrong);
            assert!(said.contains("orders:partition-00000, orders:partition-00001, rates:in/a@b"), "{said}");
        }
    }

    #[test]
    fn a_number_is_the_last_record_and_a_position_where_it_stops() {
        let through = Target::Through(7);
        assert!(!through.is_reached(&json!({ "offset": 7 }), false));
        assert!(through.is_reached(&json!({ "offset": 8 }), false) && through.is_behind(&json!(8)));
        let position = Target::Position { at: json!({ "taken": 7 }), ended: false };
        assert!(position.is_reached(&json!({ "taken": 7 }), false) && !position.is_behind(&json!(7)));
        let end = Target::Position { at: json!(7), ended: true };
        assert!(
            end.is_at_end(&json!(7)) && !end.is_reached(&json!(7), false) && end.is_reached(&json!(7), true)
        );
        let own = Target::Position { at: json!("b"), ended: false };
        assert!(own.is_reached(&json!("b"), false) && !own.is_reached(&json!("a"), false));
    }

    #[test]
    fn a_place_can_be_replayed_to() {
        let name = SPLITS[0];
        assert_eq!(place(name, &json!({ "offset": 4 }), &json!({ "offset": 9 })), "orders:partition-00000@4");
        assert_eq!(place(name, &json!("a"), &json!("b")), "orders:partition-00000@\"b\"");
    }
}
