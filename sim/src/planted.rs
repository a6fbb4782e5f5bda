//! The bugs that are planted in the engine and the store, and where each should show.

/// A bug of a real class, behind the feature `planted`.
#[derive(Clone, Copy, Debug)]
pub struct Bug {
    /// What it is called in the code.
    pub name: &'static str,
    /// What is wrong.
    pub about: &'static str,
    /// The scenario that is to find it.
    pub scenario: &'static str,
}

/// All of them: those of the broker are in the simulator's own client, and in the broker.
pub const BUGS: &[Bug] = &[
    bug("no_manifest_sync", "the manifest is renamed unsynced", "windows"),
    bug("no_manifest_dir_sync", "the manifest's name is not made durable", "windows"),
    bug("restored_name_trusted", "the name of the restored manifest is taken for durable", "windows"),
    bug("no_delta_sync", "state is not synced before the manifest that names it", "process"),
    bug("no_data_dir_sync", "the names of state files are not made durable", "process"),
    bug("sync_again", "a failed sync is repeated", "process"),
    bug("no_checksum", "the checksums of state are not compared", "beyond"),
    bug("late_off_by_one", "a record is late a millisecond too late", "windows"),
    bug("fired_forgotten", "restored windows fire again", "windows"),
    bug("late_firing_swallowed", "what comes within the lateness is not put out at once", "windows"),
    bug("ended_without_checkpoint", "a job ends before its last checkpoint", "windows"),
    bug("timers_dropped_at_end", "timers that wait for the end of the input do not fire", "triggers"),
    bug("watermark_after_merge", "the watermark of a source does not wait for its slower splits", "union"),
    bug("watermark_before_timers", "a watermark goes ahead of what it fires", "stacked"),
    bug("equal_timers_kept", "a timer that is set twice fires twice", "alarms"),
    bug("slice_dropped_early", "a slice is dropped with the first of its windows", "slices"),
    bug("late_by_first_window", "a record is late once the first of its windows is over", "slices"),
    bug("session_late_before_merging", "a late record is refused by a session that is open", "sessions"),
    bug("merged_away_kept", "a session that became part of another goes on by itself, too", "sessions"),
    bug("sessions_not_queued", "restored sessions do not end", "sessions"),
    bug("purge_forgotten", "a trigger purges, and the records stay", "triggers"),
    bug("timer_of_one_pane", "of several windows that wait for the same time one is told", "triggers"),
    bug("window_clock_not_restored", "a window of the clock comes again after a restore", "clock"),
    bug("snapshot_while_firing", "a snapshot is taken in the middle of a window of the clock", "clock"),
    bug("ahead_forgotten", "windows fire again that had fired on a core ahead of the others", "idle"),
    bug("watermark_regresses", "the watermark is not restored", "windows"),
    bug("no_alignment", "a channel is read on past its barrier", "rescale"),
    bug("overtaken_dropped", "what a barrier has overtaken is not in the checkpoint", "unaligned"),
    bug("overtaken_forgotten", "what was overtaken is not worked on after a restore", "unaligned"),
    bug(
        "overtaken_never_settled",
        "what was overtaken takes room in its ring after it was worked on",
        "unaligned",
    ),
    bug("overtaken_unowned", "every core works on what was overtaken, whosever it is", "unaligned"),
    bug("barrier_before_end", "a core without splits says nothing before its first barrier", "windows"),
    bug(
        "barrier_overtakes_end",
        "the end of a step of requests goes behind a barrier that came later",
        "async",
    ),
    bug(
        "lease_given_back_early",
        "a job's lease is given back while some of its cores still write",
        "windows",
    ),
    bug("batch_lost_at_barrier", "records before a barrier are lost when the ring is full", "windows"),
    bug("commit_before_manifest", "sinks commit before the manifest is durable", "windows"),
    bug("no_commit_at_recovery", "the restored checkpoint's output is not committed again", "windows"),
    bug("aborted_epoch_forgotten", "the output of an aborted checkpoint is left out of the next", "files"),
    bug("full_disk_skips", "what a full disk refused is not written again", "files"),
    bug("footer_not_awaited", "a file is committed before its footer is durable", "outputs"),
    bug("partition_forgotten", "one of several files is left out of a pre-commit", "outputs"),
    bug("rolled_at_once", "a file that is full is committed before its checkpoint", "outputs"),
    bug("not_cut", "what came after the checkpoint stays in a restored file", "outputs"),
    bug("position_of_next_epoch", "the positions are those of a later record", "windows"),
    bug("finished_source_forgotten", "a source that has ended is left out of later checkpoints", "union"),
    bug("new_file_passed_over", "a file that came after the restored checkpoint is not read", "files"),
    bug("aborted_number_reused", "the number of an aborted checkpoint is given again", "windows"),
    bug("parent_forgotten", "a manifest does not name the checkpoint before it", "windows"),
    bug("first_refusal_ends", "a job ends with the first checkpoint that fails", "windows"),
    bug("timers_not_restored", "timers are left out of the checkpoint", "process"),
    bug("narrow_forgotten", "it is forgotten which cores had a step's keys", "narrow"),
    bug("restarts_from_older", "a job is started again from the checkpoint before the last", "restarts"),
    bug("recovers_once", "sinks are not brought in order when a job is started again", "restarts"),
    bug(
        "rescales_before_commit",
        "a job goes on with other cores before its output is committed",
        "restarts",
    ),
    bug("group_off_by_one", "keys are restored on the core of the next key group", "rescale"),
    bug("retire_names_newest", "files that an older checkpoint names are removed", "process"),
    bug("seal_line_stays", "sealed records are updated in place", "windows"),
    bug("failed_flush_forgotten", "state whose write failed is in no later checkpoint", "process"),
    bug("tombstones_ignored", "removed keys come back", "process"),
    bug("compaction_drops_live", "compaction leaves live records behind", "process"),
    bug("spill_not_named", "a file that was written ahead is left out of the manifest", "larger"),
    bug("spill_retired", "files that were written ahead are removed with old checkpoints", "larger"),
    bug("spill_not_frozen", "records change while they are written ahead", "larger"),
    bug("failed_spill_forgotten", "state that could not be written ahead is in no later file", "larger"),
    bug("expired_after_restore", "what has expired is returned after a restore", "kinds"),
    bug("clock_not_restored", "the time by which state expires runs backwards after a restore", "kinds"),
    bug("read_not_repeated", "a job ends if it has no descriptors to read state with", "larger"),
    bug("spill_not_patient", "a full disk is not waited for where memory must be given up", "larger"),
    bug("split_loses_bucket", "the entries of a map's new bucket are lost when one is split", "kinds"),
    bug("sealed_parts_change", "sealed chunks, buckets and nodes are changed where they lie", "kinds"),
    bug("named_parts_not_asked", "of a collection that was evicted only the head is asked for", "crowded"),
    bug("evicted_taken_for_present", "a key whose state was in memory is not asked for again", "crowded"),
    bug("dead_spill_named", "a file is named that was dead before it was written ahead to its end", "store"),
    bug("index_without_tombstones", "the index of a file takes removals for records", "store"),
    bug("index_seed_not_kept", "indexes are compared that have different seeds", "store"),
    bug("pending_is_idle", "a split that has nothing for a moment counts as idle", "union"),
    bug("paused_is_idle", "a split that waits for its group counts as idle", "aligned"),
    bug("timer_fires_early", "a timer fires before the clock has reached it", "alarms"),
    bug("processing_timers_forgotten", "restored timers that wait for the clock do not fire", "alarms"),
    bug("fired_timer_stays", "timers that have fired fire again after a restore", "alarms"),
    bug("seeks_in_compressed", "a position in a compressed file is taken for one in the file", "formats"),
    bug("header_forgotten", "a record is taken for the header row after a restore", "formats"),
    bug("side_lost_at_barrier", "records of side outputs before a barrier are lost", "connected"),
    bug("broadcast_not_restored", "broadcast state is left out of a restore", "connected"),
    bug(
        "in_flight_forgotten",
        "records whose requests are in flight are left out of the checkpoint",
        "async",
    ),
    bug(
        "watermark_overtakes_requests",
        "a watermark leaves before the results of the records before it",
        "async",
    ),
    bug("watermark_in_batch", "a watermark is told before the end of a batch", "batch"),
    bug("interval_cleaned_early", "an interval join forgets records that can still be met", "joins"),
    bug("newest_version_dropped", "a temporal join drops the version that is in force", "joins"),
    bug("match_count_lost", "an outer join counts only the first row that a row meets", "joins"),
    bug("top_tie_to_the_last", "of equal rows the one that came last is ranked first", "joins"),
    bug("time_of_the_last", "a pair has the time of the row that came last", "joins"),
    bug("window_join_cleaned_early", "a window join forgets what windows need that still wait", "joins"),
    bug("list_not_dealt", "every core is given the lists of all", "cores"),
    bug("union_not_to_all", "a core sees of a list that all see its own part", "cores"),
    bug("migration_skipped", "state of another type is taken for its own", "versions"),
    bug("migrated_again", "state is upgraded that was upgraded before", "versions"),
    bug("level_forgotten", "a key's watermark falls when its core was ahead of the others", "levels"),
    bug("prepare_not_awaited", "a topic's output is in a checkpoint before it is durable", "topics"),
    bug("savepoint_of_new_files", "a savepoint names files that it has no copy of", "savepoints"),
    bug("savepoint_not_synced", "the files of a savepoint are not synced", "savepoints"),
    bug("copied_files_retired", "files are removed while a savepoint is made of them", "savepoints"),
    bug("stop_ends_windows", "the watermark goes to its end at a stop with a savepoint", "savepoints"),
    bug(
        "checkpoint_while_draining",
        "what a drain has fired is in a checkpoint before its end",
        "savepoints",
    ),
    bug("cancelled_is_finished", "a job that is cancelled says that it is done", "savepoints"),
    bug("pause_from_trigger", "the pause between checkpoints counts from a trigger", "savepoints"),
    bug("marker_outside_transaction", "rows of a database are committed before their marker", "postgres"),
    bug("marker_not_looked_at", "what a database may have committed is committed again", "postgres"),
    bug("piece_not_awaited", "a database's rows are in a checkpoint before they are durable", "postgres"),
    bug("piece_removed_early", "a database's rows are removed before they are committed", "postgres"),
    bug("broker_marker_apart", "records reach a topic in another transaction than their marker", "broker"),
    bug(
        "broker_init_skipped",
        "a start looks at a topic's markers before old producers are fenced",
        "broker",
    ),
    bug("broker_marker_read_uncommitted", "the marker of an aborted transaction counts", "broker"),
    bug("broker_stable_offset_ignored", "a marker behind an open transaction is taken for missing", "broker"),
    bug("broker_unknown_is_done", "a commit whose answer was lost is taken for done", "broker"),
    bug("broker_instance_reused", "an instance of a producer has more than one transaction", "broker"),
    bug("broker_sequence_not_checked", "a broker appends a batch that it has", "broker"),
    bug("broker_source_reads_uncommitted", "a job reads what was aborted", "broker"),
    bug("broker_position_of_fetch", "a position is where was fetched, not where was read", "broker"),
    bug("commit_before_chain", "sinks commit before the checkpoint is in the object store", "remote"),
    bug("link_replaces", "a link of the chain is put in the place of another's", "remote"),
    bug("chain_not_claimed", "a start leaves the chain to the run before it", "remote"),
    bug("unknown_link_lost", "a link that may have been put is taken for one that was not", "remote"),
    bug("later_links_ignored", "a link that comes too late is taken for the last", "remote"),
    bug("shared_object_removed", "objects are removed that an older retained checkpoint names", "remote"),
    bug(
        "local_file_trusted",
        "a local file of the right name and length is taken for the right one",
        "remote",
    ),
    bug("generation_not_compared", "a database is written to by a run after which another began", "failover"),
    bug(
        "broker_generation_not_compared",
        "a topic is written to by a run after which another began",
        "failover",
    ),
    bug("lease_not_taken", "a job starts without the lease of its directory", "frozen"),
    bug("link_of_another_taken", "the link of another run is taken for its own", "zombies"),
    bug("broker_fencing_ignored", "a broker takes what an instance sends that was fenced", "zombies"),
    bug("replay_reads_past", "a replay reads a record too many", "windows"),
    bug("replay_forgets_end", "a replay does not tell a split's end", "windows"),
    bug("replay_commits", "the sinks of a replay commit", "windows"),
    bug("decision_not_synced", "a topic's commit is acknowledged before it is durable", "topic"),
    bug("past_stable_offset", "a reader of committed records sees open transactions", "topic"),
    bug("torn_tail_accepted", "the checksums of a topic's batches are not compared", "topic"),
    bug("no_segment_dir_sync", "the name of a topic's new segment is not made durable", "topic"),
];

/// Those that a scenario finds too seldom, and what is to find them.
pub const ELSEWHERE: &[(&str, &str)] = &[
    ("stale_fetch", "the test `what_comes_late_replaces_nothing_else` of storage/tests/seldom.rs"),
    ("tombstone_compacted_early", "the test `tombstones_outlive_what_they_hide` of storage/tests/seldom.rs"),
    ("expired_part_unburied", "the test `expired_parts_stay_away` of storage/tests/seldom.rs"),
    (
        "trimmed_passes_for_committed",
        "the test `what_was_aborted_is_not_read_after_it_was_trimmed_and_forgotten` of storage/tests/topic_retention.rs",
    ),
    ("index_trusted", "the test `an_index_that_is_taken_at_its_word_loses_keys` of storage/tests/lazy.rs"),
];

const fn bug(name: &'static str, about: &'static str, scenario: &'static str) -> Bug {
    Bug { name, about, scenario }
}

/// The one of a name, if it can be switched on.
///
/// # Errors
/// If there is none of that name, or the feature `planted` is off.
pub(crate) fn named(name: &str) -> Result<&'static str, String> {
    if !cfg!(feature = "planted") {
        return Err("bugs are planted by `--features planted` only".to_owned());
    }
    let found = BUGS.iter().find(|bug| bug.name == name).map(|bug| bug.name);
    found.ok_or_else(|| format!("no planted bug is called {name}"))
}

/// Switches one of them on for this thread.
///
/// # Panics
/// If there is one, and the feature `planted` is off.
pub fn set(bug: Option<&'static str>) {
    #[cfg(feature = "planted")]
    millstream_storage::planted::set(bug);
    #[cfg(not(feature = "planted"))]
    assert!(bug.is_none(), "bugs are planted by the feature `planted` only");
}
