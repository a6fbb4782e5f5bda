//! The server: moto's, which keeps everything in its memory.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;

use millstream_objects::Place;

/// Runs until its standard input is closed, which the end of this process does, whatever it is.
const UNTIL_CLOSED: &str = r#""$0" -H 127.0.0.1 -p 0 & read -r _; kill $!"#;

/// A running server. It ends when this is dropped.
pub struct Server {
    process: Child,
    pub address: String,
    buckets: Mutex<u32>,
}

impl Server {
    /// The server that the tests share; `None`, which is said on standard error, if there is none on this machine.
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

    fn start() -> Option<Server> {
        let Some(program) = program() else {
            // Not by `eprintln`, which a test keeps to itself when all is well.
            let said = b"SKIPPED: there is no S3 server on this machine; tests/objects/install fetches one\n";
            std::io::stderr().write_all(said).expect("standard error can be written");
            return None;
        };
        let mut command = Command::new("sh");
        command.arg("-c").arg(UNTIL_CLOSED).arg(program);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = command.spawn().expect("a shell can be started");
        let mut lines = BufReader::new(process.stderr.take().expect("it was asked for")).lines();
        let address = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let (_, address) = line.split_once("Running on http://")?;
            Some(address.trim().to_owned())
        });
        // It tells of each request, and must not wait for a reader.
        thread::spawn(move || lines.for_each(drop));
        let address = address.expect("the server says where it is");
        Some(Server { process, address, buckets: Mutex::new(0) })
    }

    /// A new bucket's URL.
    pub fn bucket(&self) -> String {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        *buckets += 1;
        let name = format!("bucket-{buckets}");
        let mut stream = TcpStream::connect(&self.address).expect("the server listens");
        let request = format!(
            "PUT /{name} HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            self.address
        );
        stream.write_all(request.as_bytes()).expect("the server takes requests");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the server answers");
        assert!(answer.contains(" 200 "), "{answer}");
        format!("s3://{name}/jobs/counts")
    }

    /// What a client needs to reach it, as variables of the environment.
    pub fn variables(&self) -> [(&'static str, String); 5] {
        [
            ("AWS_ENDPOINT", format!("http://{}", self.address)),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "somebody".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
        ]
    }

    pub fn place(&self, url: &str) -> Place {
        let place = millstream_objects::objects(url);
        self.variables().iter().fold(place, |place, (key, value)| place.option(&key.to_lowercase(), value))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        // Whatever it ends with: nothing is asked of it any more.
        let _ = self.process.wait();
    }
}

fn program() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("MILLSTREAM_MOTO") {
        return Some(named.into());
    }
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../target");
    let folders = std::fs::read_dir(target).ok()?.map_while(Result::ok).map(|entry| entry.path());
    let is_whole = |folder: &PathBuf| {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.starts_with("moto-") && folder.join("complete").exists()
    };
    folders.filter(is_whole).max().map(|folder| folder.join("bin/moto_server"))
}
