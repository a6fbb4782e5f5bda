//! Keys of cores that were ahead of the others in a restored checkpoint.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;

use millstream_storage::disk::block_on;
use millstream_storage::hash::stable_hash;
use serde_json::{Value as Json, json};

use super::{Opened, ProcessOperator};
use crate::checkpoint::manifest::{Part, Schema, StepManifest};
use crate::key::Key;
use crate::key_group::{Placement, Placements};
use crate::operator::process::{Context, Declare, Process};
use crate::operator::sides::Sides;
use crate::operator::stage::restored_progress;
use crate::operator::{Operator, Output};
use crate::record::Batch;
use crate::stage::OpenContext;
use crate::state::restore::open_state;
use crate::testing::host::StillHost;
use crate::time::Timestamp;

const STEP: &str = "step";
const GROUPS: u32 = 8;

/// Tells the watermark that it sees.
#[derive(Clone)]
struct Tell;

impl Process for Tell {
    type Key = u64;
    type In = u64;
    type Out = Timestamp;
    type State = ();

    fn declare(&self, _: &mut Declare) {}

    fn on_record(&mut self, _: u64, (): &(), cx: &mut Context<'_, Self>) {
        let watermark = cx.watermark();
        cx.emit(watermark);
    }
}

type Teller = ProcessOperator<Tell, fn(&u64) -> u64>;

/// A core of a job that goes on from a checkpoint whose cores had come so far.
fn open((shard, shards): (usize, usize), cores: Vec<(Timestamp, Json)>) -> Teller {
    let part = |(shard, (watermark, operator)): (usize, (Timestamp, Json))| Part {
        shard,
        meta: json!({ "watermark": watermark, "finished": false, "operator": operator }),
        store: None,
        prepared: None,
        overtaken: None,
    };
    let parts: Vec<Part> = cores.into_iter().enumerate().map(part).collect();
    let steps = BTreeMap::from([(
        STEP.to_owned(),
        StepManifest { schema: Schema::new("process", &[]), cores: None, parts },
    )]);
    let cx = OpenContext {
        host: Rc::new(StillHost { core: shard, now: 0 }),
        wake: Waker::noop().clone(),
        shard,
        shards,
        placements: Placements::everywhere(GROUPS, shards),
        restored: Arc::new(steps),
        restored_epoch: Some(1),
        first_epoch: 2,
        directory: None,
        memory: None,
        run_id: 1,
        generation: 0,
        agreements: Arc::default(),
    };
    let (watermark, _) = restored_progress(cx.parts(STEP), cx.own_part(STEP));
    let (backend, states) = block_on(open_state(&cx, STEP, &Declare::default())).expect("there is no state");
    let opened = Opened::new(&cx, STEP, watermark);
    ProcessOperator::new(Tell, (), |n| *n, backend, states, opened)
}

fn output() -> Output<Timestamp> {
    Output { main: Batch::default(), sides: Sides::default(), late: 0, limit: 100 }
}

/// The watermark that a record of this key sees.
fn seen(operator: &mut Teller, key: u64) -> Timestamp {
    let mut out = output();
    let hash = key.encoded(stable_hash);
    operator.on_record(0, hash, key, &mut out).expect("nothing fails");
    out.main.records[0]
}

fn rise(operator: &mut Teller, watermark: Timestamp) {
    operator.on_watermark(watermark, &mut output()).expect("nothing fails");
}

/// A key that this core of so many owned.
fn key_of(core: usize, cores: usize) -> u64 {
    let owner = |key: &u64| Placement::new(GROUPS, cores).owner(key.encoded(stable_hash));
    (0..).find(|key| owner(key) == core).expect("every core owns keys")
}

fn nothing() -> Json {
    json!({})
}

#[test]
fn rule_01_keys_whose_core_was_ahead_stay_there_on_other_cores() {
    let (ahead, behind) = (key_of(0, 2), key_of(1, 2));
    for shards in [1, 3] {
        let all = 0..shards;
        let mut cores: Vec<Teller> =
            all.map(|shard| open((shard, shards), vec![(100, nothing()), (50, nothing())])).collect();
        let of = |key: u64| Placement::new(GROUPS, shards).owner(key.encoded(stable_hash));
        assert_eq!(seen(&mut cores[of(ahead)], ahead), 100, "{shards} cores");
        assert_eq!(seen(&mut cores[of(behind)], behind), 50, "all go on from the earliest");
        cores.iter_mut().for_each(|core| rise(core, 60));
        assert_eq!((seen(&mut cores[of(ahead)], ahead), seen(&mut cores[of(behind)], behind)), (100, 60));
        cores.iter_mut().for_each(|core| rise(core, 101));
        assert_eq!((seen(&mut cores[of(ahead)], ahead), seen(&mut cores[of(behind)], behind)), (101, 101));
    }
}

#[test]
fn rule_01_the_next_checkpoint_knows_of_them_until_the_others_have_come_as_far() {
    let ahead = key_of(0, 2);
    let mut one = open((0, 1), vec![(100, nothing()), (50, nothing())]);
    rise(&mut one, 60);
    let mut next = open((0, 1), vec![(60, one.meta())]);
    assert_eq!(seen(&mut next, ahead), 100);
    let other = Placement::new(GROUPS, 4).owner(ahead.encoded(stable_hash));
    assert_eq!(seen(&mut open((other, 4), vec![(60, one.meta())]), ahead), 100);
    rise(&mut next, 100);
    assert_eq!(next.meta()["ahead"], Json::Null, "all are as far");
}

#[test]
fn on_as_many_cores_each_goes_on_from_its_own() {
    let parts = || vec![(100, nothing()), (50, nothing())];
    assert_eq!(seen(&mut open((0, 2), parts()), key_of(0, 2)), 100);
    assert_eq!(seen(&mut open((1, 2), parts()), key_of(1, 2)), 50);
}
