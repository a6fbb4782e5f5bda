//! An edge between two stages: its rings, made before the cores start and handed out to them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use millstream_ring::{Bell, Consumer, Producer, ring};

use crate::exchange::codec::SharedCodec;
use crate::record::Batch;

/// What the rings of all edges have in common.
#[derive(Clone)]
pub(crate) struct Mesh {
    /// The bell of each core.
    pub bells: Arc<[Arc<Bell>]>,
    /// Batches that fit in one ring.
    pub depth: usize,
    /// Records in a batch.
    pub batch_size: usize,
}

impl Mesh {
    pub(crate) fn cores(&self) -> usize {
        self.bells.len()
    }
}

/// The sending end of one ring, and the way back for emptied batches.
pub(crate) struct Sender<T> {
    pub full: Producer<Box<Batch<T>>>,
    pub empty: Consumer<Box<Batch<T>>>,
    /// Wakes the receiving core, if it is another one.
    pub bell: Option<Arc<Bell>>,
    /// How much of what was overtaken the receiver still has, if barriers may overtake.
    pub aside: Option<Arc<Aside>>,
}

/// The receiving end of one ring.
pub(crate) struct Receiver<T> {
    pub full: Consumer<Box<Batch<T>>>,
    pub empty: Producer<Box<Batch<T>>>,
    /// Wakes the sending core when there is room again, if it is another one.
    pub bell: Option<Arc<Bell>>,
    /// Writes what waits here into a checkpoint, if barriers may overtake it.
    pub codec: Option<SharedCodec<T>>,
    /// How much of what was overtaken it still has, for the sender.
    pub aside: Option<Arc<Aside>>,
}

/// How many batches that a barrier has overtaken a receiver still has aside. They count as in the ring, or each checkpoint
/// would let as many more be on their way.
#[derive(Debug, Default)]
pub(crate) struct Aside(AtomicUsize);

impl Aside {
    pub(crate) fn set(&self, batches: usize) {
        self.0.store(batches, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Who sends to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// Each core to itself.
    Forward,
    /// Each core to all.
    AllToAll,
}

struct Rings<T> {
    /// The bells of the mesh that they are of: a job that is laid out again has others.
    of: Arc<[Arc<Bell>]>,
    /// By sending core, then by receiving core.
    senders: Vec<Option<Vec<Sender<T>>>>,
    /// By receiving core, then by sending core.
    receivers: Vec<Option<Vec<Receiver<T>>>>,
}

/// An edge of the graph. Both ends hold it while the plan is made; each takes its own. Each time that the job is laid out it has
/// rings of its own.
pub(crate) struct Edge<T> {
    pattern: Pattern,
    /// The step that it leads to, once that is made.
    target: OnceLock<String>,
    /// Of the records, if barriers may overtake them.
    codec: Option<SharedCodec<T>>,
    rings: Mutex<Option<Rings<T>>>,
}

impl<T> Edge<T> {
    pub(crate) fn new(pattern: Pattern) -> Arc<Edge<T>> {
        Edge::with_codec(pattern, None)
    }

    /// An edge on which barriers may overtake records, if there is a codec.
    pub(crate) fn with_codec(pattern: Pattern, codec: Option<SharedCodec<T>>) -> Arc<Edge<T>> {
        Arc::new(Edge { pattern, target: OnceLock::new(), codec, rings: Mutex::new(None) })
    }

    /// Tells which step it leads to.
    pub(crate) fn lead_to(&self, step: &str) {
        self.target.set(step.to_owned()).expect("an edge leads to one step");
    }

    /// The step that it leads to; nothing if that has no cores of its own choice.
    pub(crate) fn target(&self) -> &str {
        self.target.get().map_or("", String::as_str)
    }

    /// The sending ends of `core`, by receiving core.
    pub(crate) fn take_senders(&self, mesh: &Mesh, core: usize) -> Vec<Sender<T>> {
        self.of(&mut self.rings(), mesh).senders[core]
            .take()
            .expect("each core takes its end of an edge once")
    }

    /// The receiving ends of `core`, by sending core.
    pub(crate) fn take_receivers(&self, mesh: &Mesh, core: usize) -> Vec<Receiver<T>> {
        self.of(&mut self.rings(), mesh).receivers[core]
            .take()
            .expect("each core takes its end of an edge once")
    }

    fn rings(&self) -> MutexGuard<'_, Option<Rings<T>>> {
        self.rings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The rings of this mesh, made if there are none yet.
    fn of<'a>(&self, rings: &'a mut Option<Rings<T>>, mesh: &Mesh) -> &'a mut Rings<T> {
        if rings.as_ref().is_some_and(|rings| !Arc::ptr_eq(&rings.of, &mesh.bells)) {
            *rings = None;
        }
        rings.get_or_insert_with(|| Rings::new(self.pattern, self.codec.as_ref(), mesh))
    }
}

impl<T> Rings<T> {
    fn new(pattern: Pattern, codec: Option<&SharedCodec<T>>, mesh: &Mesh) -> Rings<T> {
        let cores = mesh.cores();
        let mut senders: Vec<Vec<Sender<T>>> = (0..cores).map(|_| Vec::new()).collect();
        let mut receivers: Vec<Vec<Receiver<T>>> = (0..cores).map(|_| Vec::new()).collect();
        for (from, to) in pairs(pattern, cores) {
            let (full_in, full_out) = ring(mesh.depth);
            let (empty_in, empty_out) = ring(mesh.depth);
            let other = |core: usize| (from != to).then(|| mesh.bells[core].clone());
            let aside = codec.map(|_| Arc::<Aside>::default());
            senders[from].push(Sender {
                full: full_in,
                empty: empty_out,
                bell: other(to),
                aside: aside.clone(),
            });
            receivers[to].push(Receiver {
                full: full_out,
                empty: empty_in,
                bell: other(from),
                codec: codec.cloned(),
                aside,
            });
        }
        Rings {
            of: mesh.bells.clone(),
            senders: senders.into_iter().map(Some).collect(),
            receivers: receivers.into_iter().map(Some).collect(),
        }
    }
}

/// The (sending, receiving) cores, ascending.
fn pairs(pattern: Pattern, cores: usize) -> Vec<(usize, usize)> {
    match pattern {
        Pattern::Forward => (0..cores).map(|core| (core, core)).collect(),
        Pattern::AllToAll => (0..cores).flat_map(|from| (0..cores).map(move |to| (from, to))).collect(),
    }
}
