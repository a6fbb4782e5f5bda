//! Somebody who asks for savepoints, stops and drains a job while it runs.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use millstream::JobControl;
use millstream::checkpoint::request::{PendingSavepoint, Savepoint};
use millstream::host::{Class, CoreMain, LocalFuture};

use crate::harness::is_injected;
use crate::random::Random;
use crate::scenario::Finding;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Save,
    Stop,
    Drain,
    Cancel,
}

/// What was asked for, and what became of it.
#[derive(Default)]
pub(super) struct Asked {
    pending: Vec<(String, PendingSavepoint)>,
    pub(super) draining: bool,
    pub(super) cancelled: bool,
}

/// What is to be asked of a process, and when.
pub(super) struct User {
    script: Vec<(Duration, Act, String)>,
    asked: Arc<Mutex<Asked>>,
}

impl User {
    /// Savepoints go to `saved-N`, where N counts on.
    pub(super) fn draw(random: &mut Random, cancels: &mut Random, calm: bool, names: &mut u32) -> User {
        let acts: &[Act] = match calm {
            true => &[Act::Save],
            false => &[Act::Save, Act::Save, Act::Save, Act::Stop, Act::Stop, Act::Stop, Act::Drain],
        };
        let count = random.below(4);
        let draw = |_| {
            let after = Duration::from_micros(random.magnitude(200_000));
            *names += 1;
            (after, *random.pick(acts), format!("saved-{names}"))
        };
        let mut script: Vec<_> = (0..count).map(draw).collect();
        if cancels.one_in(6) && !calm {
            let after = Duration::from_micros(cancels.magnitude(100_000));
            let place = cancels.index(script.len() + 1);
            script.insert(place, (after, Act::Cancel, String::new()));
        }
        User { script, asked: Arc::default() }
    }

    pub(super) fn asked(&self) -> Arc<Mutex<Asked>> {
        self.asked.clone()
    }

    /// Has the first core's main run beside what is asked.
    pub(super) fn beside(self, mains: &mut [CoreMain], control: JobControl) {
        let Some(first) = mains.first_mut() else { return };
        let main = std::mem::replace(first, Box::new(|_| Box::pin(async {})));
        *first = Box::new(move |host| {
            let (at, user) = (host.clone(), self);
            let ask = async move {
                for (after, act, path) in user.script {
                    at.sleep(after).await;
                    let mut asked = user.asked.lock().unwrap_or_else(PoisonError::into_inner);
                    match act {
                        Act::Save => asked.pending.push((path.clone(), control.savepoint(path))),
                        Act::Stop => asked.pending.push((path.clone(), control.stop_with_savepoint(path))),
                        Act::Drain => {
                            asked.draining = true;
                            control.drain();
                        }
                        Act::Cancel => {
                            asked.cancelled = true;
                            control.cancel();
                        }
                    }
                }
            };
            host.spawn(Class::Records, Box::pin(ask) as LocalFuture<()>);
            main(host)
        });
    }
}

impl Asked {
    /// The savepoints that were made. Those that were not have an excuse; of a process that came to its end, all were
    /// answered. The paths of all.
    pub(super) fn settle(
        &mut self,
        ended: bool,
        calm: bool,
    ) -> Result<(Vec<Savepoint>, Vec<String>), Finding> {
        let excuses = ["the job has ended before it", "is being drained"];
        let (mut made, mut paths) = (Vec::new(), Vec::new());
        for (path, pending) in &mut self.pending {
            paths.push(path.clone());
            match pending.try_take() {
                Some(Ok(savepoint)) => made.push(savepoint),
                Some(Err(error)) => {
                    let text = error.to_string();
                    let excused = excuses.iter().any(|excuse| text.contains(excuse));
                    if !excused && (calm || !is_injected(&text)) {
                        return Err(Finding::new("a savepoint fails by an injected fault only", text));
                    }
                }
                None if ended => {
                    let seen = format!("nothing was said of {path}");
                    return Err(Finding::new("whoever asks for a savepoint is answered", seen));
                }
                None => {}
            }
        }
        Ok((made, paths))
    }
}
