//! A real PostgreSQL server of a test's own, in a temporary directory, reached by a socket in there.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Pid, Signal, getuid, kill_process};
use tempfile::TempDir;

use crate::flights::repository;

/// Who runs the server if the test is root's, as which it refuses to run: nobody.
const NOBODY: u32 = 65_534;

/// A running server. It ends when this is dropped.
pub struct Server {
    dir: TempDir,
    programs: PathBuf,
    process: Mutex<Option<Child>>,
    databases: Mutex<u32>,
}

impl Server {
    /// The server that the tests of this process share; `None`, which is said on standard error, if this machine has none.
    ///
    /// # Panics
    /// If there is one, and it cannot be started; or if `MILLSTREAM_POSTGRES` says where one is, and it is not there.
    pub fn shared() -> Option<Arc<Server>> {
        static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = shared.upgrade() {
            return Some(server);
        }
        let server = Arc::new(Server::start()?);
        *shared = Arc::downgrade(&server);
        Some(server)
    }

    /// A server of one test alone. See [`Server::shared`].
    ///
    /// # Panics
    /// As that does.
    pub fn start() -> Option<Server> {
        let Some(programs) = programs() else {
            // Not by `eprintln`, which a test keeps to itself when all is well.
            let said = b"SKIPPED: there is no PostgreSQL server on this machine; tests/postgres/install fetches one\n";
            std::io::stderr().write_all(said).expect("standard error can be written");
            return None;
        };
        let dir = tempfile::Builder::new().prefix("pg").tempdir().expect("a temporary directory");
        give_away(dir.path());
        let server = Server { dir, programs, process: Mutex::new(None), databases: Mutex::new(0) };
        let data = server.data();
        let mut initdb = server.command("initdb");
        initdb
            .args(["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync", "-D"])
            .arg(&data);
        let made = initdb.output().expect("initdb can be started");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        // One user has to say its password.
        let rules = fs::read_to_string(data.join("pg_hba.conf")).expect("it was made");
        let rules = format!("local all careful scram-sha-256\n{rules}");
        fs::write(data.join("pg_hba.conf"), rules).expect("it can be written");
        server.restart();
        Some(server)
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// One of the server's programs, as the user who owns the data.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(self.dir.path()).stdin(Stdio::null());
        if getuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    /// Starts it, and waits until it answers.
    ///
    /// # Panics
    /// If it does not.
    pub fn restart(&self) {
        let log = File::options().create(true).append(true).open(self.dir.path().join("log"));
        let log = log.expect("a log can be written");
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data()).arg("-k").arg(self.dir.path());
        // It is killed, and its machine is not: nothing need be synced.
        for setting in ["listen_addresses=", "fsync=off", "unix_socket_permissions=0777", "max_wal_size=4GB"]
        {
            command.args(["-c", setting]);
        }
        let started = command.stdout(Stdio::null()).stderr(log).spawn().expect("the server can be started");
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = Some(started);
        for _ in 0..600 {
            if postgres::Client::connect(&self.address("postgres"), postgres::NoTls).is_ok() {
                return;
            }
            sleep(Duration::from_millis(50));
        }
        let log = fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        panic!("the server does not answer: {log}");
    }

    /// Ends it without a word to anybody, and to all of its processes.
    pub fn stop(&self) {
        let process = self.process.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut process) = process else { return };
        // The main process tells the others at once; after SIGKILL they would hold on until they noticed.
        let pid = Pid::from_raw(i32::try_from(process.id()).expect("a pid")).expect("a pid is not 0");
        // Whoever has ended already has.
        let _ = kill_process(pid, Signal::QUIT);
        let _ = process.wait();
    }

    /// How to reach a database as the superuser.
    pub fn address(&self, database: &str) -> String {
        format!("host={} user=postgres dbname={database}", self.dir.path().display())
    }

    /// A new database, in which these statements are run.
    ///
    /// # Panics
    /// If they fail.
    pub fn database(&self, statements: &str) -> Database<'_> {
        let mut databases = self.databases.lock().unwrap_or_else(PoisonError::into_inner);
        *databases += 1;
        let name = format!("test_{databases}");
        drop(databases);
        self.psql("postgres", &format!("CREATE DATABASE {name}"));
        let database = Database { server: self, name };
        database.psql(statements);
        database
    }

    /// What `psql` prints: rows as lines, fields apart by `|`. Where there is none, the bare client is asked.
    fn psql(&self, database: &str, statements: &str) -> String {
        if !self.programs.join("psql").exists() {
            return by_client(&self.address(database), statements);
        }
        let mut psql = self.command("psql");
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h"]).arg(self.dir.path());
        psql.args(["-U", "postgres", "-d", database, "-c", statements]);
        let said = psql.output().expect("psql can be started");
        assert!(said.status.success(), "{statements}: {}", String::from_utf8_lossy(&said.stderr));
        String::from_utf8(said.stdout).expect("psql prints text").trim_end().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A database of a test's own.
pub struct Database<'a> {
    server: &'a Server,
    name: String,
}

impl Database<'_> {
    /// How to reach it.
    pub fn address(&self) -> String {
        self.server.address(&self.name)
    }

    /// Runs statements by `psql`, and returns what it prints.
    ///
    /// # Panics
    /// If they fail.
    pub fn psql(&self, statements: &str) -> String {
        self.server.psql(&self.name, statements)
    }
}

fn by_client(address: &str, statements: &str) -> String {
    let mut client = postgres::Client::connect(address, postgres::NoTls).expect("the server answers");
    let messages = client.simple_query(statements).unwrap_or_else(|error| panic!("{statements}: {error}"));
    let row = |message: &postgres::SimpleQueryMessage| match message {
        postgres::SimpleQueryMessage::Row(row) => {
            let fields: Vec<&str> = (0..row.len()).map(|at| row.get(at).unwrap_or_default()).collect();
            Some(fields.join("|"))
        }
        _ => None,
    };
    messages.iter().filter_map(row).collect::<Vec<_>>().join("\n")
}

/// The user who runs the server owns what is in a directory, if the test is root's.
fn give_away(dir: &Path) {
    if getuid().is_root() {
        chown(dir, Some(NOBODY), Some(NOBODY)).expect("root may give away a directory");
    }
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).expect("an own directory can be opened");
}

/// Where the server's programs are: the places that tests/postgres/install looks at.
fn programs() -> Option<PathBuf> {
    let is_there = |dir: &PathBuf| dir.join("initdb").exists() && dir.join("postgres").exists();
    if let Some(dir) = std::env::var_os("MILLSTREAM_POSTGRES").map(PathBuf::from) {
        assert!(is_there(&dir), "MILLSTREAM_POSTGRES={}: no server is there", dir.display());
        return Some(dir);
    }
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut installed: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    installed.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let others = [repository().join("target/postgres/bin")].into_iter().chain(std::env::split_paths(&path));
    installed.into_iter().rev().chain(others).find(is_there)
}
