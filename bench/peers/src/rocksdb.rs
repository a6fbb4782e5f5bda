//! RocksDB, in the three ways that it is used for state.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use millstream_bench::report::Outcome;
use millstream_bench::store::engine::{Engine, Scanned, Setup, State, composite, key_bytes, number};
use rocksdb::checkpoint::Checkpoint;
use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, DB, DBCompressionType, DataBlockIndexType, IteratorMode,
    MergeOperands, Options, ReadOptions, SliceTransform, WriteBatch, WriteOptions,
};

use crate::batch::{Runs, updated};

/// Keys of a read or write of many.
const TOGETHER: usize = 1024;
/// The column family that there always is.
const FAMILY: &str = "default";

/// How a value is updated.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Update {
    /// By one get and one put each, as Flink does.
    GetThenPut,
    /// By gets and puts of many keys at once, sorted.
    Batch,
    /// By a merge operator, without reading.
    Merge,
}

struct Rocks {
    db: DB,
    cache: Cache,
    write: WriteOptions,
    setup: Setup,
    update: Update,
    snapshots: usize,
    runs: Runs,
    value: Vec<u8>,
}

/// Opens the database. The ways to update differ for values only, and snapshots are the same in all.
pub(crate) fn open(setup: &Setup, update: Update) -> Outcome<Option<Box<dyn Engine>>> {
    if update != Update::GetThenPut && !matches!(setup.state, State::Values | State::LargeValues) {
        return Ok(None);
    }
    let cache = Cache::new_lru_cache(setup.budget as usize / 2);
    let options = options(setup, &cache);
    // The family is named, so that there is a handle for reads of many keys.
    let db = DB::open_cf_with_opts(&options, setup.dir.join("db"), [(FAMILY, options.clone())])?;
    let mut write = WriteOptions::default();
    write.disable_wal(true);
    let (runs, value) = Default::default();
    let setup = setup.clone();
    Ok(Some(Box::new(Rocks { db, cache, write, setup, update, snapshots: 0, runs, value })))
}

/// Half of the budget for blocks, half for write buffers.
fn options(setup: &Setup, cache: &Cache) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_bloom_filter(10.0, false);
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    table.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
    table.set_format_version(5);
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_block_based_table_factory(&table);
    options.set_compression_type(DBCompressionType::None);
    options.set_write_buffer_size((setup.budget / 8).clamp(4 << 20, 256 << 20) as usize);
    options.set_max_write_buffer_number(4);
    options.set_memtable_whole_key_filtering(true);
    options.set_memtable_prefix_bloom_ratio(0.1);
    options.set_level_compaction_dynamic_level_bytes(true);
    options.set_max_background_jobs(2);
    options.set_allow_concurrent_memtable_write(false);
    options.set_max_open_files(-1);
    if setup.state == State::LargeValues {
        // Else an index or filter of megabytes would be read for a key: in pieces they stay in the cache.
        table.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
        table.set_partition_filters(true);
        table.set_metadata_block_size(4096);
        table.set_pin_top_level_index_and_filter(true);
        options.set_block_based_table_factory(&table);
        // Else the kernel's page cache would be memory beyond the budget.
        options.set_use_direct_reads(true);
        options.set_use_direct_io_for_flush_and_compaction(true);
    }
    match setup.state {
        State::Values | State::LargeValues | State::Snapshots => {
            options.set_merge_operator_associative("add", sum)
        }
        State::Lists => options.set_merge_operator_associative("append", concatenate),
        State::Maps => options.set_prefix_extractor(SliceTransform::create_fixed_prefix(8)),
    }
    options
}

/// Adds the counts and sums of all operands.
fn sum(_: &[u8], old: Option<&[u8]>, operands: &MergeOperands) -> Option<Vec<u8>> {
    let mut operands = operands.iter();
    let mut value = match old {
        Some(old) => old.to_vec(),
        None => operands.next()?.to_vec(),
    };
    for operand in operands {
        for at in [0, 8] {
            let total = number(&value[at..]).wrapping_add(number(&operand[at..]));
            value[at..at + 8].copy_from_slice(&total.to_le_bytes());
        }
    }
    Some(value)
}

/// Appends all operands.
fn concatenate(_: &[u8], old: Option<&[u8]>, operands: &MergeOperands) -> Option<Vec<u8>> {
    let mut list = old.unwrap_or_default().to_vec();
    operands.iter().for_each(|operand| list.extend_from_slice(operand));
    Some(list)
}

impl Rocks {
    fn get_then_put(&mut self, keys: &[u64]) -> Outcome<()> {
        for &key in keys {
            let old = self.db.get_pinned(key_bytes(key))?;
            updated(&mut self.value, old.as_deref(), self.setup.value_len, key, 1);
            self.db.put_opt(key_bytes(key), &self.value, &self.write)?;
        }
        Ok(())
    }

    fn batch(&mut self, keys: &[u64]) -> Outcome<()> {
        let runs: Vec<(u64, usize)> = self.runs.of(keys).collect();
        for runs in runs.chunks(TOGETHER) {
            let keys: Vec<_> = runs.iter().map(|run| key_bytes(run.0)).collect();
            let family = self.db.cf_handle(FAMILY).ok_or("the column family is not open")?;
            let old = self.db.batched_multi_get_cf(family, &keys, true);
            let mut batch = WriteBatch::default();
            for ((&(key, times), bytes), old) in runs.iter().zip(&keys).zip(old) {
                updated(&mut self.value, old?.as_deref(), self.setup.value_len, key, times);
                batch.put(bytes, &self.value);
            }
            self.db.write_opt(batch, &self.write)?;
        }
        Ok(())
    }

    fn merge(&mut self, keys: &[u64]) -> Outcome<()> {
        for keys in keys.chunks(TOGETHER) {
            let mut batch = WriteBatch::default();
            for &key in keys {
                updated(&mut self.value, None, self.setup.value_len, key, 1);
                batch.merge(key_bytes(key), &self.value);
            }
            self.db.write_opt(batch, &self.write)?;
        }
        Ok(())
    }

    fn iterate_map(&self, key: u64, scanned: &mut Scanned) -> Outcome<()> {
        let mut read = ReadOptions::default();
        read.set_prefix_same_as_start(true);
        read.set_iterate_upper_bound(composite(key + 1, 0));
        let mut iterator = self.db.raw_iterator_opt(read);
        iterator.seek(composite(key, 0));
        while let Some(value) = iterator.value() {
            scanned.see(number(value));
            iterator.next();
        }
        Ok(iterator.status()?)
    }
}

impl Engine for Rocks {
    fn update(&mut self, keys: &[u64]) -> Outcome<()> {
        match self.update {
            Update::GetThenPut => self.get_then_put(keys),
            Update::Batch => self.batch(keys),
            Update::Merge => self.merge(keys),
        }
    }

    fn read(&mut self, keys: &[u64]) -> Outcome<u64> {
        let mut sum = 0;
        for &key in keys {
            sum += self.db.get_pinned(key_bytes(key))?.map_or(0, |value| number(&value));
        }
        Ok(sum)
    }

    fn scan(&mut self) -> Outcome<Scanned> {
        let mut scanned = Scanned::default();
        let mut read = ReadOptions::default();
        read.set_readahead_size(2 << 20);
        for entry in self.db.iterator_opt(IteratorMode::Start, read) {
            scanned.see(number(&entry?.1));
        }
        Ok(scanned)
    }

    fn accounted_bytes(&self) -> Option<u64> {
        let stats = rocksdb::perf::get_memory_usage_stats(Some(&[&self.db]), Some(&[&self.cache])).ok()?;
        Some(stats.mem_table_total + stats.mem_table_readers_total + stats.cache_total)
    }

    /// A checkpoint, as Flink takes it: it writes out the write buffer, and links files.
    fn snapshot(&mut self) -> Outcome<Option<Duration>> {
        self.snapshots += 1;
        let path: PathBuf = self.setup.dir.join(format!("checkpoint-{}", self.snapshots));
        let start = Instant::now();
        Checkpoint::new(&self.db)?.create_checkpoint(&path)?;
        let pause = start.elapsed();
        std::fs::remove_dir_all(path)?;
        Ok(Some(pause))
    }

    fn append(&mut self, keys: &[u64], from: u64) -> Outcome<()> {
        for (chunk, keys) in keys.chunks(TOGETHER).enumerate() {
            let mut batch = WriteBatch::default();
            for (&key, number) in keys.iter().zip(from + (chunk * TOGETHER) as u64..) {
                if self.setup.state == State::Lists {
                    batch.merge(key_bytes(key), number.to_le_bytes());
                } else {
                    batch.put(composite(key, number), number.to_le_bytes());
                }
            }
            self.db.write_opt(batch, &self.write)?;
        }
        Ok(())
    }

    fn iterate(&mut self, keys: &[u64]) -> Outcome<Scanned> {
        let mut scanned = Scanned::default();
        for &key in keys {
            if self.setup.state == State::Maps {
                self.iterate_map(key, &mut scanned)?;
            } else if let Some(list) = self.db.get_pinned(key_bytes(key))? {
                list.chunks_exact(8).for_each(|element| scanned.see(number(element)));
            }
        }
        Ok(scanned)
    }
}
