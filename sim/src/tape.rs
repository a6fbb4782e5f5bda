//! What was drawn in a run, stream by stream: written down, changed, and played again.
//!
//! A run is made of its draws alone. So whatever can be left out of a failing run (a fault, a record, a turn of the
//! schedule) can be left out by taking draws away, and nothing has to know what they stood for.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A draw: 64 bits, or nothing if it is calm.
pub type Draw = Option<u64>;

/// The draws of a run, stream by stream. Behind its end a stream is calm, and so is one that is not here.
///
/// As text it is a line for each stream, with what is not calm in it:
///
/// ```
/// use millstream_sim::tape::Tape;
///
/// let tape: Tape = "faults 3:18446744073709551615\nworkload 0:7 12:9".parse()?;
/// assert_eq!(tape.decisions(), 3);
/// assert_eq!(tape.to_string(), "faults 3:18446744073709551615\nworkload 0:7 12:9\n");
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tape {
    pub(crate) streams: BTreeMap<String, Arc<Vec<Draw>>>,
}

impl Tape {
    /// The draws that are not calm: what makes this run another than the calmest.
    pub fn decisions(&self) -> usize {
        self.streams.values().map(|draws| decisions(draws)).sum()
    }

    /// The same, stream by stream.
    pub fn by_stream(&self) -> impl Iterator<Item = (&str, usize)> {
        self.streams.iter().map(|(name, draws)| (name.as_str(), decisions(draws)))
    }

    /// With another stream in the place of one.
    pub(crate) fn with(&self, name: &str, draws: Vec<Draw>) -> Tape {
        let mut tape = self.clone();
        tape.streams.insert(name.to_owned(), Arc::new(draws));
        tape
    }
}

/// A name as one word: what is no plain character is written as its bytes, `%20`.
pub(crate) fn escaped(name: &str) -> String {
    let mut word = String::new();
    for byte in name.bytes() {
        match byte.is_ascii_graphic() && byte != b'%' {
            true => word.push(char::from(byte)),
            false => word += &format!("%{byte:02x}"),
        }
    }
    word
}

pub(crate) fn unescaped(word: &str) -> Result<String, String> {
    let wrong = || format!("`{word}` is not the name of a stream");
    let mut pieces = word.split('%');
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let (byte, rest) = piece.split_at_checked(2).ok_or_else(wrong)?;
        bytes.push(u8::from_str_radix(byte, 16).map_err(|_| wrong())?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

fn decisions(draws: &[Draw]) -> usize {
    draws.iter().flatten().count()
}

impl fmt::Display for Tape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, draws) in self.streams.iter().filter(|(_, draws)| decisions(draws) > 0) {
            write!(f, "{}", escaped(name))?;
            for (at, bits) in draws.iter().enumerate().filter_map(|(at, draw)| Some((at, (*draw)?))) {
                write!(f, " {at}:{bits}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// No stream is longer: what says so was not written by a run.
const LONGEST: usize = 1 << 24;

impl FromStr for Tape {
    type Err = String;

    fn from_str(text: &str) -> Result<Tape, String> {
        let mut tape = Tape::default();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let mut words = line.split_whitespace();
            let name = unescaped(words.next().unwrap_or_default())?;
            let mut draws = Vec::new();
            for word in words {
                let draw =
                    word.split_once(':').and_then(|(at, bits)| Some((at.parse().ok()?, bits.parse().ok()?)));
                let (at, bits): (usize, u64) = draw
                    .filter(|(at, _)| (draws.len()..LONGEST).contains(at))
                    .ok_or_else(|| format!("`{word}` of stream `{name}` is not a place, rising, and what was drawn there: 12:345"))?;
                draws.resize(at, None);
                draws.push(Some(bits));
            }
            tape.streams.insert(name, Arc::new(draws));
        }
        Ok(tape)
    }
}

/// Where the streams of a run are written to, or played from.
#[derive(Clone, Debug)]
pub(crate) enum Deck {
    Writes(Recorder),
    Plays(Tape),
}

/// Writes down what is drawn.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorder(Arc<Mutex<BTreeMap<String, Written>>>);

type Written = Arc<Mutex<Vec<u64>>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Recorder {
    /// What was drawn until now.
    pub(crate) fn tape(&self) -> Tape {
        let taken = |draws: &Written| Arc::new(lock(draws).iter().copied().map(Some).collect());
        Tape { streams: lock(&self.0).iter().map(|(name, draws)| (name.clone(), taken(draws))).collect() }
    }
}

impl Deck {
    /// At the beginning of a stream.
    pub(crate) fn head(&self, name: &str) -> Head {
        let draws = match self {
            Deck::Writes(recorder) => {
                Draws::Written(lock(&recorder.0).entry(name.to_owned()).or_default().clone())
            }
            Deck::Plays(tape) => Draws::Played(tape.streams.get(name).cloned().unwrap_or_default()),
        };
        Head { deck: self.clone(), name: name.to_owned(), draws, at: 0, calm: 0, children: 0 }
    }
}

/// So many calm draws in a row are a loop that waits for another one, such as one that draws until two numbers differ.
const ENDLESS: usize = 20_000_000;

/// Where a stream is.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    deck: Deck,
    name: String,
    draws: Draws,
    at: usize,
    /// Calm draws in a row, behind the end of what is played.
    calm: usize,
    /// The streams that were split off.
    children: usize,
}

#[derive(Clone, Debug)]
enum Draws {
    Written(Written),
    Played(Arc<Vec<Draw>>),
}

impl Head {
    /// The next draw; `fresh` makes one.
    pub(crate) fn draw(&mut self, fresh: impl FnOnce() -> u64) -> Draw {
        let at = self.at;
        self.at += 1;
        match &self.draws {
            Draws::Played(draws) => {
                let draw = draws.get(at).copied().flatten();
                self.calm = if draw.is_some() { 0 } else { self.calm + 1 };
                assert!(
                    self.calm < ENDLESS,
                    "stream `{}`: a loop draws until something else comes",
                    self.name
                );
                draw
            }
            Draws::Written(draws) => {
                let (bits, mut draws) = (fresh(), lock(draws));
                // A stream that is begun twice is the same twice.
                if at == draws.len() {
                    draws.push(bits);
                }
                Some(bits)
            }
        }
    }

    /// The stream that is split off next.
    pub(crate) fn split(&mut self) -> Head {
        self.children += 1;
        self.deck.head(&format!("{}/{}", self.name, self.children))
    }
}
