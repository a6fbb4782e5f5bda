//! The bytes of a topic, pinned: what an older version wrote must stay readable.

use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use millstream_storage::disk::{StdDisk, block_on};
use millstream_storage::topic::{BatchBuilder, Isolation, TopicConfig, TopicError, TopicReader, TopicWriter};

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/topic-1");

/// A batch with keys, headers and times on both sides of 0, transactions of every fate, and two segments.
async fn write_fixture(dir: &Path) -> Result<(), TopicError> {
    let config = TopicConfig::new(0x0123_4567_89AB_CDEF).partitions(2).segment_bytes(300);
    let mut writer = TopicWriter::open_or_create(Rc::new(StdDisk), dir, config).await?;
    let mut batch = BatchBuilder::new();
    batch.push(-5, Some(b"JFK"), b"early", &[("trace", b"af01"), ("empty", b"")]);
    batch.push(1_700_000_000_000, None, b"late", &[]);
    batch.push(0, Some(b""), &[0xFF; 200], &[]);
    writer.append(0, batch.finish())?;
    let producer = writer.fence("golden", 3)?;
    let mut begun = Vec::new();
    for value in [&b"committed"[..], b"aborted", b"prepared"] {
        let transaction = writer.begin(&producer)?;
        let mut batch = BatchBuilder::new();
        batch.push(7, None, value, &[]);
        writer.append_in(transaction, 1, batch.finish())?;
        begun.push(transaction);
    }
    writer.flush().await?;
    writer.commit(begun[0])?;
    writer.abort(begun[1])?;
    writer.prepare(begun[2], 12)?;
    let mut batch = BatchBuilder::new();
    batch.push(8, None, b"in a second segment", &[]);
    writer.append(0, batch.finish())?;
    writer.close().await
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("a directory").path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else if !path.ends_with("lease") {
            files.push(path);
        }
    }
    files.sort();
    files
}

#[test]
fn a_topic_is_written_byte_by_byte_as_it_always_was() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    block_on(write_fixture(dir.path())).expect("the disk works");
    let written = files(dir.path());
    let name = |path: &PathBuf, of: &Path| path.strip_prefix(of).expect("below it").to_owned();
    let names: Vec<_> = written.iter().map(|path| name(path, dir.path())).collect();
    let were: Vec<_> = files(FIXTURE.as_ref()).iter().map(|path| name(path, FIXTURE.as_ref())).collect();
    assert_eq!(names, were);
    for name in names {
        let (is, was) = (fs::read(dir.path().join(&name)), fs::read(Path::new(FIXTURE).join(&name)));
        let same = is.expect("just written") == was.expect("a fixture");
        assert!(same, "{} changed: that is a new format", name.display());
    }
}

#[test]
fn an_old_topic_is_read() {
    let seen = block_on(async {
        let mut reader = TopicReader::open(Rc::new(StdDisk), FIXTURE.as_ref(), Isolation::Committed)
            .await
            .expect("a topic");
        let mut seen = Vec::new();
        for partition in 0..2 {
            let mut cursor = reader.seek(partition, 0).await.expect("in range");
            while let Some(records) = reader.next(&mut cursor).await.expect("not damaged") {
                for record in &records {
                    let key = record.key.map(<[u8]>::to_vec);
                    let headers = record.headers.map(|(name, _)| name).collect::<Vec<_>>().join(",");
                    seen.push((record.offset, record.timestamp, key, record.value.to_vec(), headers));
                }
            }
        }
        seen
    });
    let of = |offset, time, key: Option<&[u8]>, value: &[u8], headers: &str| {
        (offset, time, key.map(<[u8]>::to_vec), value.to_vec(), headers.to_owned())
    };
    let expected = [
        of(0, -5, Some(b"JFK"), b"early", "trace,empty"),
        of(1, 1_700_000_000_000, None, b"late", ""),
        of(2, 0, Some(b""), &[0xFF; 200], ""),
        of(3, 8, None, b"in a second segment", ""),
        // The aborted one is passed over; the prepared one is not there yet.
        of(0, 7, None, b"committed", ""),
    ];
    assert_eq!(seen, expected);
}
