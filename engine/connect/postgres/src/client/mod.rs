//! The client of a real server: which server, who one is there, and sessions on threads of their own.

mod link;
mod refusal;
mod serve;

use std::path::PathBuf;
use std::rc::Rc;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use millstream::host::{Host, LocalFuture};
use millstream::port::Port;
use millstream::table::Change;
use postgres::Config;
use postgres::config::Host as Address;

use crate::row::Row;
use crate::session::{Connect, Marker, Refusal, Session, Step};
use crate::sink::PostgresSink;
use crate::target::Target;
use serve::{Ask, serve};

/// A server and a database, by a connection string or URL as libpq has them: `host=… port=… dbname=… user=…`, a
/// directory for `host` being that of a socket.
///
/// The password does not belong there, but into [a file](Server::password_file) or [the environment](Server::password_env).
///
/// ```
/// use millstream_postgres::{Server, postgres};
/// let server: Server = postgres("host=/run/postgresql dbname=shop user=app");
/// ```
pub fn postgres(address: &str) -> Server {
    Server { address: address.to_owned(), password: Password::None }
}

/// A server. Made by [`postgres()`]; it cannot be printed, as it may know a password.
///
/// ```
/// use millstream_postgres::{Column, Row, Type, Values, postgres};
/// use millstream_postgres::session::Connect;
///
/// struct Total(i64, i64);
/// impl Row for Total {
///     const COLUMNS: &'static [Column] = &[Column::new("key", Type::Int8), Column::new("sum", Type::Int8)];
///     fn put(&self, row: &mut Values<'_>) {
///         row.put(&self.0).put(&self.1);
///     }
/// }
/// let server = postgres("postgresql://app@db.internal:5433/shop").password_env("SHOP_PASSWORD");
/// assert_eq!(server.describe(), "PostgreSQL at db.internal:5433, database shop");
/// let log = server.clone().append::<Total>("log");
/// let totals = server.clone().upsert::<Total>("totals", &["key"]);
/// let changing = server.changes::<Total>("current", &["key"]);
/// ```
#[derive(Clone)]
pub struct Server {
    address: String,
    password: Password,
}

/// Where a password is, if one is needed.
#[derive(Clone)]
enum Password {
    None,
    File(PathBuf),
    Env(String),
}

impl Server {
    /// The password is the first line of this file, which is read whenever a session is opened.
    ///
    /// ```
    /// # use millstream_postgres::postgres;
    /// let server = postgres("host=db.internal user=app").password_file("/run/secrets/shop");
    /// ```
    pub fn password_file(mut self, path: impl Into<PathBuf>) -> Server {
        self.password = Password::File(path.into());
        self
    }

    /// The password is in this variable of the environment.
    ///
    /// ```
    /// # use millstream_postgres::postgres;
    /// let server = postgres("host=db.internal user=app").password_env("PGPASSWORD");
    /// ```
    pub fn password_env(mut self, variable: &str) -> Server {
        self.password = Password::Env(variable.to_owned());
        self
    }

    /// Each record becomes a row of a table: see [`PostgresSink::append`].
    pub fn append<T: Row + 'static>(self, table: &str) -> PostgresSink<T> {
        PostgresSink::append(self, table)
    }

    /// The last record of each key becomes the row of that key: see [`PostgresSink::upsert`].
    pub fn upsert<T: Row + 'static>(self, table: &str, key: &[&str]) -> PostgresSink<T> {
        PostgresSink::upsert(self, table, key)
    }

    /// The table of a changelog: see [`PostgresSink::changes`].
    pub fn changes<T: Row + 'static>(self, table: &str, key: &[&str]) -> PostgresSink<Change<T>> {
        PostgresSink::changes(self, table, key)
    }

    /// How the client is to connect, without anybody's password.
    fn config(&self) -> Result<Config, Refusal> {
        let parsed = Config::from_str(&self.address);
        let mut config = parsed.map_err(|error| {
            Refusal::Refused(format!("the address of the server cannot be read: {}", refusal::told(&error)))
        })?;
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(Duration::from_secs(10));
        }
        // A server that has gone without a word is to be noticed within a minute.
        config.keepalives_idle(Duration::from_secs(20));
        config.keepalives_interval(Duration::from_secs(10));
        config.keepalives_retries(3);
        // The same while something is on its way to it.
        config.tcp_user_timeout(Duration::from_secs(50));
        Ok(config)
    }
}

impl Password {
    /// Adds it to what a session is opened with.
    fn add(&self, config: &mut Config) -> Result<(), Refusal> {
        let secret = match self {
            Password::None => return Ok(()),
            Password::File(path) => std::fs::read_to_string(path)
                .map_err(|error| format!("the password file {}: {error}", path.display())),
            Password::Env(variable) => std::env::var(variable)
                .map_err(|error| format!("the password in the variable {variable}: {error}")),
        };
        let secret = secret.map_err(Refusal::Refused)?;
        config.password(secret.lines().next().unwrap_or_default());
        Ok(())
    }
}

impl Connect for Server {
    fn describe(&self) -> String {
        let Ok(config) = self.config() else {
            return "PostgreSQL at an address that cannot be read".to_owned();
        };
        let ports = config.get_ports();
        let host = |(at, host): (usize, &Address)| match host {
            Address::Unix(path) => path.display().to_string(),
            Address::Tcp(name) => {
                let port = ports.get(at).or(ports.first()).copied().unwrap_or(5432);
                format!("{name}:{port}")
            }
        };
        let hosts: Vec<String> = config.get_hosts().iter().enumerate().map(host).collect();
        let database = config.get_dbname().or(config.get_user()).unwrap_or("of the user");
        format!("PostgreSQL at {}, database {database}", hosts.join(", "))
    }

    fn connect(
        &self,
        _: &Rc<dyn Host>,
        target: &Arc<Target>,
    ) -> LocalFuture<Result<Box<dyn Session>, Refusal>> {
        let (server, target) = (self.clone(), target.clone());
        Box::pin(async move {
            let config = server.config()?;
            let opened = Port::open("postgres", move |inbox| serve(&inbox, config, &server.password, target));
            let port = opened.map_err(|error| Refusal::Lost(format!("no thread for a session: {error}")))?;
            asked(&port, Ask::Connect).await?;
            Ok(Box::new(Remote { port }) as Box<dyn Session>)
        })
    }
}

/// What a session answers.
type Told = Result<Vec<Marker>, Refusal>;

/// A session on its thread. The thread ends, and the connection with it, when this is dropped.
struct Remote {
    port: Port<Ask, Told>,
}

impl Session for Remote {
    fn step(&self, step: Step) -> LocalFuture<Told> {
        let port = self.port.clone();
        Box::pin(async move { asked(&port, Ask::Step(step)).await })
    }
}

async fn asked(port: &Port<Ask, Told>, ask: Ask) -> Told {
    let answer = port.ask(ask).await;
    answer.unwrap_or_else(|_| Err(Refusal::Lost("the session has ended".to_owned())))
}
