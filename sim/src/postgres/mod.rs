//! A database server outside the simulated machine, behind the same port as the real one: it survives every crash, and
//! its connections break at every moment.
//!
//! | fault | what happens | what still holds |
//! |---|---|---|
//! | connection lost | a request was not sent, is on its way, or was served and the answer lost: the client cannot tell | the server serves what had arrived, or not, and ends the transaction, some time later; until then it keeps its locks |
//! | process killed | the same, for all of its connections | the same |
//! | server restarted | open transactions are gone, and connections are refused for a while | what was committed |

mod server;
mod tuples;

use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millstream::host::{Host, LocalFuture};
use millstream_postgres::Target;
use millstream_postgres::session::{Connect, Marker, Refusal, Session, Step};

use crate::random::Random;
use server::Server;
pub use tuples::Tuple;

/// A database server. Clones are the same.
///
/// ```
/// use millstream_sim::postgres::Database;
/// use millstream_sim::random::Streams;
///
/// let database = Database::new(Streams::new(1).stream("postgres"), std::time::Duration::from_millis(3));
/// database.calm();
/// assert!(database.table("public.rows").is_empty() && database.broken().is_none());
/// ```
#[derive(Clone)]
pub struct Database {
    server: Arc<Mutex<Server>>,
    /// The longest that half of a request takes.
    longest: Duration,
}

impl Database {
    /// An empty one, that takes up to twice `longest` for a request.
    pub fn new(random: Random, longest: Duration) -> Database {
        Database { server: Arc::new(Mutex::new(Server::new(random))), longest }
    }

    /// From now on nothing goes wrong.
    pub fn calm(&self) {
        self.server().calm();
    }

    /// Lets everything happen that is still on its way.
    pub fn settle(&self) {
        self.server().settle();
    }

    /// The rows that are committed of a sink: in the order of their commits, or of their keys.
    pub fn table(&self, sink: &str) -> Vec<Tuple> {
        self.server().table(sink)
    }

    /// What it was asked that makes no sense.
    pub fn broken(&self) -> Option<String> {
        self.server().broken()
    }

    fn server(&self) -> MutexGuard<'_, Server> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn delay(&self, host: &dyn Host) -> LocalFuture<()> {
        let longest = self.longest.as_nanos() as u64;
        host.sleep(Duration::from_nanos(host.random() % longest.max(1)))
    }
}

impl Connect for Database {
    fn describe(&self) -> String {
        "a simulated server".to_owned()
    }

    fn connect(
        &self,
        host: &Rc<dyn Host>,
        target: &Arc<Target>,
    ) -> LocalFuture<Result<Box<dyn Session>, Refusal>> {
        let (database, host, target) = (self.clone(), host.clone(), target.clone());
        Box::pin(async move {
            database.delay(&*host).await;
            let connection = database.server().connect(&target)?;
            Ok(Box::new(Connection { database, host, connection }) as Box<dyn Session>)
        })
    }
}

struct Connection {
    database: Database,
    host: Rc<dyn Host>,
    connection: u64,
}

impl Session for Connection {
    fn step(&self, step: Step) -> LocalFuture<Result<Vec<Marker>, Refusal>> {
        let Connection { database, host, connection } = self;
        let (database, host, connection) = (database.clone(), host.clone(), *connection);
        Box::pin(async move {
            database.server().send(connection, step)?;
            loop {
                database.delay(&*host).await;
                let served = database.server().serve(connection);
                // Not yet, while another has the lock.
                if let Some(told) = served {
                    database.delay(&*host).await;
                    return told;
                }
            }
        })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.database.server().hang_up(self.connection);
    }
}
