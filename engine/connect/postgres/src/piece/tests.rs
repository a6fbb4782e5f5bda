//! What is read from a piece is what was written, or nothing.

use std::fs;

use millstream_storage::disk::{StdDisk, block_on};

use super::{HEAD, Piece, PieceReader, directory, file_name, is_file_name, seal};

const FILE: &str = "0000000001-0000000000-002.rows";

/// A piece of these frames, in a directory.
fn write(dir: &std::path::Path, frames: &[&[u8]]) -> Piece {
    let mut bytes = Vec::new();
    for tuples in frames {
        let mut frame = [&[0; HEAD][..], tuples].concat();
        seal(&mut frame, FILE, bytes.len() as u64);
        bytes.extend(frame);
    }
    fs::write(dir.join(FILE), &bytes).expect("it can be written");
    Piece { epoch: 3, file: FILE.to_owned(), bytes: bytes.len() as u64, records: 9, shape: 1 }
}

fn read(dir: &std::path::Path, piece: &Piece) -> Result<Vec<Vec<u8>>, String> {
    let read = async {
        let mut reader = PieceReader::open(&StdDisk, dir, piece).await?;
        let mut frames = Vec::new();
        while let Some(frame) = reader.next().await? {
            frames.push(frame);
        }
        Ok(frames)
    };
    block_on(read).map_err(|error: millstream::Error| error.to_string())
}

#[test]
fn frames_come_back_as_they_were_written() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let piece = write(dir.path(), &[b"one", b"", b"three and more"]);
    assert_eq!(read(dir.path(), &piece), Ok(vec![b"one".to_vec(), Vec::new(), b"three and more".to_vec()]));
}

#[test]
fn no_damaged_byte_becomes_a_row() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let piece = write(dir.path(), &[b"one", b"two"]);
    let path = dir.path().join(FILE);
    let bytes = fs::read(&path).expect("it was written");
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        fs::write(&path, damaged).expect("it can be written");
        let said = read(dir.path(), &piece).expect_err("it is damaged");
        assert!(said.contains("is damaged") && said.contains(FILE), "byte {at}: {said}");
    }
    // Frames that are whole, but not where they belong.
    let (one, two) = bytes.split_at(bytes.len() / 2);
    fs::write(&path, [two, one].concat()).expect("it can be written");
    assert!(read(dir.path(), &piece).expect_err("they were exchanged").contains("the frame at 0"));
}

#[test]
fn pieces_that_are_missing_or_cut_say_what_is_lost() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let piece = write(dir.path(), &[b"one", b"two"]);
    fs::write(dir.path().join(FILE), b"short").expect("it can be written");
    let said = read(dir.path(), &piece).expect_err("it is cut");
    assert!(said.contains("has 5 bytes, but the checkpoint says 22"), "{said}");
    fs::remove_file(dir.path().join(FILE)).expect("it is there");
    let said = read(dir.path(), &piece).expect_err("it is missing");
    assert!(said.contains("is missing; it holds 9 records of epoch 3"), "{said}");
}

#[test]
fn names_are_told_from_others() {
    assert_eq!(file_name(1, 0, 2), FILE);
    assert!(is_file_name(FILE));
    for other in
        ["../0000000001-0000000000-002.rows", "1-2-3.row", "1-2.rows", "1-2-3-4.rows", "1--3.rows", ""]
    {
        assert!(!is_file_name(other), "{other}");
    }
}

#[test]
fn directories_of_sinks_are_apart_and_below_their_parent() {
    let parent = std::path::Path::new("/spool");
    let names = ["a/b", "a-b", "../a", "a b", "", &"long".repeat(100)];
    let mut all: Vec<_> = names.iter().map(|name| directory(parent, name)).collect();
    assert!(all.iter().all(|dir| dir.parent() == Some(parent)), "{all:?}");
    assert!(all.iter().all(|dir| dir.file_name().is_some_and(|name| name.len() < 100)), "{all:?}");
    all.sort();
    all.dedup();
    assert_eq!(all.len(), names.len());
}
