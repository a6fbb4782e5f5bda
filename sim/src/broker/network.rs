//! The way to the broker and back.

use std::rc::Rc;
use std::time::Duration;

use millstream::host::{Host, LocalFuture};

use super::cluster::{Cluster, Served};
use super::requests::{Answer, ErrorCode, Port, Refusal, Request};
use super::{Broker, Outside};
use crate::faults::{Spell, Spells};
use crate::outside;
use crate::random::{Chance, Random};

/// A request comes as much later, at most.
const LATEST: Duration = Duration::from_secs(30);
/// Between two requests the broker's clock goes on by no more than this: a process has a clock of its own, and what one shows
/// after another says nothing of what lies between them.
const LONGEST_STEP: Duration = Duration::from_secs(120);

/// What goes wrong on the way.
pub(super) struct Network {
    random: Random,
    /// That a request or its answer is lost or late.
    fails: Chance,
    /// That a request comes once more.
    repeats: Chance,
    down: Spell,
    /// What the clock of the process showed last.
    seen: Duration,
}

fn lost(why: &str) -> Refusal {
    outside::tell(|| format!("broker: {why}"));
    Refusal::Lost(format!("{why} (injected)"))
}

impl Network {
    pub(super) fn new(mut random: Random) -> Network {
        let fails = *random.pick(&[Chance::NEVER, Chance::of(1, 100), Chance::of(1, 15), Chance::of(1, 4)]);
        let repeats = *random.pick(&[Chance::NEVER, Chance::of(1, 100), Chance::of(1, 8)]);
        let spells = random.one_in(3).then(|| Spells {
            gap: Duration::from_micros(10_000 + random.magnitude(20_000_000)),
            length: Duration::from_micros(random.magnitude(5_000_000)),
        });
        Network { random, fails, repeats, down: Spell::new(spells), seen: Duration::ZERO }
    }

    pub(super) fn calm(&mut self) {
        (self.fails, self.repeats) = (Chance::NEVER, Chance::NEVER);
        self.down.stop();
    }

    /// Lets the broker's clock go on with that of a process.
    fn tick(&mut self, cluster: &mut Cluster, clock: Duration) {
        let step = clock.checked_sub(self.seen).unwrap_or_default().min(LONGEST_STEP);
        self.seen = clock;
        cluster.advance(cluster.now() + step);
    }

    /// Nobody waits for a request any more: it comes late, or never.
    fn leave(&mut self, cluster: &mut Cluster, request: Request) {
        if self.random.below(4) > 0 {
            let after = Duration::from_nanos(self.random.magnitude(LATEST.as_nanos() as u64));
            cluster.delay(request, after);
        }
    }

    /// A request arrives, or does not.
    fn arrive(&mut self, cluster: &mut Cluster, request: &Request) -> Result<Served, Refusal> {
        if self.down.is_on(cluster.now().as_nanos() as u64, &mut self.random) {
            return Err(self.unavailable(cluster, request));
        }
        if self.random.chance(self.fails) {
            match self.random.below(3) {
                0 => return Err(lost("the connection was refused")),
                1 => {
                    self.leave(cluster, request.clone());
                    return Err(lost("no answer"));
                }
                _ => {
                    cluster.serve(request);
                    return Err(lost("the answer did not come"));
                }
            }
        }
        let served = cluster.serve(request);
        if self.random.chance(self.repeats) {
            self.leave(cluster, request.clone());
        }
        Ok(served)
    }

    /// What a client hears of a broker that is not there.
    fn unavailable(&mut self, cluster: &mut Cluster, request: &Request) -> Refusal {
        use ErrorCode::*;
        if self.random.one_in(3) {
            self.leave(cluster, request.clone());
            return lost("no answer");
        }
        let by_leader = [NotLeaderOrFollower, RequestTimedOut];
        let by_coordinator = [CoordinatorNotAvailable, CoordinatorLoadInProgress, NotCoordinator];
        let asks_leader = matches!(
            request,
            Request::Produce { .. }
                | Request::Fetch { .. }
                | Request::ListOffsets { .. }
                | Request::Metadata { .. }
        );
        let codes = if asks_leader { &by_leader[..] } else { &by_coordinator[..] };
        Refusal::Error(*self.random.pick(codes))
    }
}

/// A request on its way. If its client goes away, it goes on alone.
struct Flying {
    broker: Broker,
    request: Option<Request>,
}

impl Drop for Flying {
    fn drop(&mut self) {
        if let Some(request) = self.request.take() {
            let Outside { cluster, network } = &mut *self.broker.outside();
            network.leave(cluster, request);
        }
    }
}

impl Broker {
    /// Waits for half of what a request takes.
    fn delay(&self, host: &dyn Host) -> LocalFuture<()> {
        let longest = self.longest.as_nanos() as u64;
        host.sleep(Duration::from_nanos(host.random() % longest.max(1)))
    }

    /// What is said to whoever waits for a group.
    fn look(&self, host: &dyn Host, waiting: Served) -> Served {
        let Outside { cluster, network } = &mut *self.outside();
        network.tick(cluster, host.monotonic() + outside::lag());
        cluster.look(waiting)
    }
}

impl Port for Broker {
    fn describe(&self) -> String {
        "a simulated broker".to_owned()
    }

    fn call(&self, host: &Rc<dyn Host>, request: Request) -> LocalFuture<Result<Answer, Refusal>> {
        let (broker, host) = (self.clone(), host.clone());
        Box::pin(async move {
            let mut flying = Flying { broker: broker.clone(), request: Some(request) };
            broker.delay(&*host).await;
            let request = flying.request.take().expect("it is on its way");
            let mut served = {
                let Outside { cluster, network } = &mut *broker.outside();
                network.tick(cluster, host.monotonic() + outside::lag());
                network.arrive(cluster, &request)?
            };
            loop {
                broker.delay(&*host).await;
                if let Served::Now(answer) = served {
                    return answer.map_err(Refusal::Error);
                }
                served = broker.look(&*host, served);
            }
        })
    }
}
