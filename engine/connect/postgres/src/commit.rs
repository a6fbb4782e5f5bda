//! The protocol: how pieces become rows exactly once, and how a run takes over from the one before.

use std::future::{Future, poll_fn};
use std::path::PathBuf;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use millstream::host::Host;
use millstream::{Error, ErrorKind, Result};
use millstream_storage::planted;

use crate::piece::{Piece, PieceReader};
use crate::recover::lost;
use crate::session::{Connect, Marker, Refusal, Session, Step};
use crate::target::Target;

/// How long to wait before something is tried again.
const PAUSE: Duration = Duration::from_millis(100);

/// Why an attempt came to nothing.
enum Trouble {
    /// The server did not do it.
    Server(Refusal),
    /// It makes no sense to ask the server.
    Here(Error),
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Trouble {
        Trouble::Server(refusal)
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Trouble {
        Trouble::Here(error)
    }
}

/// A line to the server: a session, and another when that is lost.
pub(crate) struct Line {
    pub(crate) connect: Arc<dyn Connect>,
    pub(crate) target: Arc<Target>,
    pub(crate) host: Rc<dyn Host>,
    /// Where the pieces are.
    pub(crate) dir: PathBuf,
    /// How long a server that cannot be reached is tried.
    pub(crate) patience: Duration,
    pub(crate) session: Option<Rc<dyn Session>>,
}

impl Line {
    /// Lets the pieces of a shard become rows that have not become rows yet: all of them, and the marker with them.
    ///
    /// # Errors
    /// If another run has taken over, the table has less than this one knows to be committed, the server refuses a row or
    /// cannot be reached, or a piece cannot be read.
    pub(crate) async fn commit(
        &mut self,
        shard: u32,
        (generation, committed): (u64, u64),
        pieces: &[Piece],
    ) -> Result<()> {
        let what = format!("commit what shard {shard} has put out");
        self.persist(&what, async |line| line.try_commit(shard, (generation, committed), pieces).await).await
    }

    /// Makes this run the only one that may write, and tells its generation and what is in the table of each shard.
    ///
    /// # Errors
    /// If the table is not what it must be, `refuse` has something against what it holds, or the server cannot be
    /// reached.
    pub(crate) async fn take_over(
        &mut self,
        shards: usize,
        durable: bool,
        refuse: impl Fn(&[Marker]) -> Result<()>,
    ) -> Result<Vec<Marker>> {
        let attempt = async |line: &mut Line| line.try_take_over(shards, durable, &refuse).await;
        self.persist("take over the sink", attempt).await
    }

    async fn try_commit(
        &mut self,
        shard: u32,
        (generation, committed): (u64, u64),
        pieces: &[Piece],
    ) -> Result<(), Trouble> {
        let session = self.session().await?;
        let markers = session.step(Step::Lock(shard)).await?;
        let is_own = |marker: &&Marker| marker.generation == generation || planted!(generation_not_compared);
        let marker = markers.first().filter(is_own);
        let marker = *marker.ok_or_else(|| self.fenced(generation, markers.first()))?;
        if marker.epoch < committed {
            return Err(lost(&self.target.sink, shard, committed, marker.epoch).into());
        }
        // Others may have ended here, when the answer to their commit, or to ours, was lost.
        let is_new = |piece: &&Piece| piece.epoch > marker.epoch || planted!(marker_not_looked_at);
        let new: Vec<&Piece> = pieces.iter().filter(is_new).collect();
        let Some(last) = new.last() else {
            session.step(Step::Commit).await?;
            return Ok(());
        };
        if let Some(other) = new.iter().find(|piece| piece.shape != self.target.shape()) {
            return Err(self.reshaped(other).into());
        }
        for piece in &new {
            self.send(&*session, piece).await?;
        }
        session.step(Step::Apply).await?;
        if planted!(marker_outside_transaction) {
            session.step(Step::Commit).await?;
            session.step(Step::Lock(shard)).await?;
        }
        session.step(Step::Mark(vec![Marker { epoch: last.epoch, ..marker }])).await?;
        session.step(Step::Commit).await?;
        Ok(())
    }

    /// Sends the rows of a piece. The next are read while some are on their way.
    async fn send(&self, session: &dyn Session, piece: &Piece) -> Result<(), Trouble> {
        let mut reader = PieceReader::open(&*self.host.disk(), &self.dir, piece).await?;
        let mut rows = reader.next().await?;
        while let Some(tuples) = rows {
            let (sent, read) = both(session.step(Step::Rows(tuples)), reader.next()).await;
            sent?;
            rows = read?;
        }
        Ok(())
    }

    async fn try_take_over(
        &mut self,
        shards: usize,
        durable: bool,
        refuse: &impl Fn(&[Marker]) -> Result<()>,
    ) -> Result<Vec<Marker>, Trouble> {
        let session = self.session().await?;
        session.step(Step::Prepare).await?;
        let found = session.step(Step::TakeOver).await?;
        refuse(&found)?;
        let generation = 1 + found.iter().map(|marker| marker.generation).max().unwrap_or(0);
        let known = found.iter().map(|marker| marker.shard + 1).max().unwrap_or(0);
        let marker = |shard| {
            let before = found.iter().find(|marker| marker.shard == shard).filter(|_| durable);
            Marker { shard, generation, epoch: before.map_or(0, |marker| marker.epoch) }
        };
        // Of shards that are no more, too: they may still have something to commit, and must not be written by others.
        let markers: Vec<Marker> = (0..known.max(shards as u32)).map(marker).collect();
        session.step(Step::Mark(markers.clone())).await?;
        session.step(Step::Commit).await?;
        Ok(markers)
    }

    /// The session; a new one if there is none.
    async fn session(&mut self) -> Result<Rc<dyn Session>, Trouble> {
        if let Some(session) = &self.session {
            return Ok(session.clone());
        }
        let session: Rc<dyn Session> = self.connect.connect(&self.host, &self.target).await?.into();
        self.session = Some(session.clone());
        Ok(session)
    }

    /// Tries until it is done, or waiting does not help.
    async fn persist<T>(
        &mut self,
        what: &str,
        mut attempt: impl AsyncFnMut(&mut Line) -> Result<T, Trouble>,
    ) -> Result<T> {
        // Since when no attempt has reached the server.
        let mut lost = None;
        loop {
            let began = self.host.monotonic();
            let trouble = match attempt(self).await {
                Ok(done) => return Ok(done),
                Err(trouble) => trouble,
            };
            // Closed in mid-transaction: what it did is undone, if it was not committed.
            let had_session = self.session.take().is_some();
            match trouble {
                Trouble::Here(error) if error.kind() == ErrorKind::Exhausted => {}
                Trouble::Here(error) => return Err(error.at(self.place())),
                Trouble::Server(Refusal::Lost(_)) if self.is_patient(began, had_session, &mut lost) => {}
                Trouble::Server(refusal) => return Err(self.refused(what, refusal)),
            }
            self.host.sleep(PAUSE).await;
        }
    }

    /// Whether it is worth another attempt. One that had a session for long before the server was lost begins anew to wait.
    fn is_patient(&self, began: Duration, had_session: bool, lost: &mut Option<Duration>) -> bool {
        let now = self.host.monotonic();
        if had_session && now.saturating_sub(began) >= self.patience {
            *lost = None;
        }
        now.saturating_sub(*lost.get_or_insert(now)) < self.patience
    }

    fn refused(&self, what: &str, refusal: Refusal) -> Error {
        let place = self.place();
        let message = match refusal {
            Refusal::Refused(why) => format!("{place}: cannot {what}: {why}"),
            Refusal::Lost(why) => format!(
                "{place}: cannot {what}: the server cannot be reached for {:?}: {why}; nothing is lost: what was not \
                 committed will be when the job is started again",
                self.patience
            ),
        };
        Error::new(ErrorKind::Sink, message)
    }

    fn fenced(&self, generation: u64, marker: Option<&Marker>) -> Error {
        let now = marker.map_or("none".to_owned(), |marker| marker.generation.to_string());
        let message = format!(
            "another run of the job has taken over sink `{}`: this one is of generation {generation}, now it is {now}; \
             what this one has not committed, it may not commit any more",
            self.target.sink
        );
        // Started again, it would take the sink back.
        Error::new(ErrorKind::Restore, message)
    }

    fn reshaped(&self, piece: &Piece) -> Error {
        let message = format!(
            "{} records of epoch {} are not in the table yet, and were written with other columns or another key than \
             the sink has now: start the job as it was, let it commit, and change it then",
            piece.records, piece.epoch
        );
        Error::new(ErrorKind::Restore, message)
    }

    /// Where it happened.
    fn place(&self) -> String {
        let Target { schema, table, .. } = &*self.target;
        format!("table {schema}.{table} of {}", self.connect.describe())
    }
}

/// What two futures come to, which go on side by side.
async fn both<A, B>(a: impl Future<Output = A>, b: impl Future<Output = B>) -> (A, B) {
    let (mut a, mut b) = (pin!(a), pin!(b));
    let (mut of_a, mut of_b) = (None, None);
    poll_fn(|cx| {
        if of_a.is_none()
            && let Poll::Ready(done) = a.as_mut().poll(cx)
        {
            of_a = Some(done);
        }
        if of_b.is_none()
            && let Poll::Ready(done) = b.as_mut().poll(cx)
        {
            of_b = Some(done);
        }
        if of_a.is_some() && of_b.is_some() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    (of_a.expect("both are ready"), of_b.expect("both are ready"))
}
