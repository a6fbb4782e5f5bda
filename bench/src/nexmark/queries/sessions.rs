//! q11: sessions of bidders.

use millstream::prelude::*;
use millstream::stream::chain::Chain;

use super::plain::bids;
use crate::nexmark::input::Events;
use crate::nexmark::table::{Fields, Row};

/// A session ends when its bidder is silent for so long, in milliseconds.
const GAP: i64 = 10_000;

/// How many bids each bidder made in each session.
pub fn q11(events: Events) -> Stream<SessionRow, impl Chain<Out = SessionRow>> {
    bids(events).map(|bid| (bid.bidder, bid.at)).key_by(|bid| bid.0).process("sessions", Sessions)
}

/// From the first bid to a gap behind the last.
#[derive(Clone, Copy, Debug, PartialEq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct Session {
    start: i64,
    /// Exclusive.
    end: i64,
    bids: i64,
}

impl Session {
    /// Whether they are one: it is enough that they touch.
    fn touches(&self, other: &Session) -> bool {
        self.start <= other.end && other.start <= self.end
    }

    fn merge(&mut self, other: &Session) {
        self.start = self.start.min(other.start);
        self.end = self.end.max(other.end);
        self.bids += other.bids;
    }

    /// Whether the watermark has passed it.
    fn is_over(&self, watermark: Timestamp) -> bool {
        self.end - 1 <= watermark
    }
}

/// The open sessions of a bidder: mostly one, which is changed where it lies; what disorder keeps apart from it is
/// in a list.
struct Open {
    latest: Value<Latest>,
    others: List<Session>,
}

#[derive(Clone, Copy, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct Latest {
    session: Session,
    /// How many others are open.
    others: u64,
}

#[derive(Clone)]
struct Sessions;

impl Sessions {
    /// All open sessions, with a new one merged into those that it touches, unless it is late.
    fn open(session: Session, mut sessions: Vec<Session>, watermark: Timestamp) -> Vec<Session> {
        let mut merged = session;
        // A session that grows may touch the next.
        while let Some(at) = sessions.iter().position(|other| other.touches(&merged)) {
            merged.merge(&sessions.swap_remove(at));
        }
        if !merged.is_over(watermark) {
            sessions.push(merged);
        }
        sessions
    }

    fn load(open: &Open, cx: &Context<'_, Self>) -> Vec<Session> {
        let Some(latest) = open.latest.load(cx) else { return Vec::new() };
        let mut sessions = vec![latest.session];
        if latest.others > 0 {
            sessions.extend(open.others.load(cx));
        }
        sessions
    }

    /// Keeps these sessions, and sees to it that each is looked at when it may be over.
    fn keep(mut sessions: Vec<Session>, open: &Open, cx: &mut Context<'_, Self>) {
        sessions.sort_unstable_by_key(|session| session.start);
        sessions.iter().for_each(|session| cx.timer_at(session.end - 1));
        let had = open.latest.load(cx).map_or(0, |latest| latest.others);
        let latest = sessions.pop();
        match latest {
            Some(session) => open.latest.set(cx, &Latest { session, others: sessions.len() as u64 }),
            None => open.latest.clear(cx),
        }
        if had > 0 || !sessions.is_empty() {
            open.others.replace(cx, &sessions);
        }
    }
}

impl Process for Sessions {
    type Key = i64;
    type In = (i64, Timestamp);
    type Out = SessionRow;
    type State = Open;

    fn declare(&self, state: &mut Declare) -> Open {
        Open { latest: state.value("latest"), others: state.list("others") }
    }

    fn on_record(&mut self, (_, at): (i64, Timestamp), open: &Open, cx: &mut Context<'_, Self>) {
        let session = Session { start: at, end: at + GAP, bids: 1 };
        let grown = open.latest.get(cx).is_some_and(|latest| latest.others.to_native() == 0).then(|| {
            // The timer of before stays: when it comes, it is set anew.
            open.latest.update_or(
                cx,
                || Latest { session, others: 0 },
                |latest| {
                    let touches = latest.session.touches(&session);
                    if touches {
                        latest.session.merge(&session);
                    }
                    touches
                },
            )
        });
        if grown != Some(true) {
            let sessions = Sessions::open(session, Sessions::load(open, cx), cx.watermark());
            Sessions::keep(sessions, open, cx);
        }
    }

    fn on_timer(&mut self, _: Timestamp, open: &Open, cx: &mut Context<'_, Self>) {
        let watermark = cx.watermark();
        let (over, still): (Vec<_>, Vec<_>) =
            Sessions::load(open, cx).into_iter().partition(|session| session.is_over(watermark));
        for Session { start, end, bids } in over {
            cx.emit(SessionRow { bidder: *cx.key(), bids, start, end });
        }
        Sessions::keep(still, open, cx);
    }
}

/// A row of q11 and q12.
pub struct SessionRow {
    pub(super) bidder: i64,
    pub(super) bids: i64,
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
}

impl Row for SessionRow {
    const COLUMNS: &'static str = "bidder:BIGINT,bid_count:BIGINT NOT NULL,starttime:TIMESTAMP(3) NOT NULL,endtime:TIMESTAMP(3) NOT NULL";

    fn write(&self, fields: &mut Fields) {
        fields.int(self.bidder).int(self.bids).int(self.start).int(self.end);
    }
}
