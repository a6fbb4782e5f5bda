//! The thread of a session: takes steps as they come, and ends at the first that fails.

use std::sync::Arc;

use millstream::port::{Inbox, Reply};
use postgres::Config;

use super::link::Link;
use super::{Password, Told};
use crate::session::{Refusal, Step};
use crate::target::Target;

/// What the thread is asked.
pub(super) enum Ask {
    /// Whether there is a connection.
    Connect,
    /// A step.
    Step(Step),
}

/// What comes next.
type Next = Option<(Ask, Reply<Told>)>;

/// Serves until nobody asks any more, or a step fails. Then the connection is closed, and what was not committed undone.
pub(super) fn serve(inbox: &Inbox<Ask, Told>, mut config: Config, password: &Password, target: Arc<Target>) {
    let Some((_, reply)) = inbox.next() else { return };
    let linked = password.add(&mut config).and_then(|()| Link::connect(config, target));
    let mut link = match linked {
        Ok(link) => link,
        Err(refusal) => return reply.give(Err(refusal)),
    };
    reply.give(Ok(Vec::new()));
    let mut next = inbox.next();
    while let Some((ask, reply)) = next {
        next = match ask {
            Ask::Connect => answered(Ok(Vec::new()), reply, inbox),
            Ask::Step(Step::Rows(rows)) => copied(&mut link, rows, reply, inbox),
            Ask::Step(step) => answered(link.take(step), reply, inbox),
        };
    }
}

/// Gives an answer, and waits for what is next; nothing, if it was a refusal.
fn answered(told: Told, reply: Reply<Told>, inbox: &Inbox<Ask, Told>) -> Next {
    let is_well = told.is_ok();
    reply.give(told);
    if is_well { inbox.next() } else { None }
}

/// Takes rows for as long as there are some, and lets them become rows of the table.
fn copied(link: &mut Link, rows: Vec<u8>, reply: Reply<Told>, inbox: &Inbox<Ask, Told>) -> Next {
    let mut rows = Some(rows);
    // Of the step that is being taken.
    let mut waiting = Some(reply);
    let copied = link.copy(|| {
        if let Some(rows) = rows.take() {
            return Ok(Some(rows));
        }
        if let Some(reply) = waiting.take() {
            reply.give(Ok(Vec::new()));
        }
        let Some((ask, reply)) = inbox.next() else {
            return Err(Refusal::Lost("nobody sends the rest".to_owned()));
        };
        waiting = Some(reply);
        match ask {
            Ask::Step(Step::Rows(rows)) => Ok(Some(rows)),
            Ask::Step(Step::Apply) => Ok(None),
            Ask::Step(_) | Ask::Connect => Err(Refusal::Refused("rows were sent and not applied".to_owned())),
        }
    });
    let reply = waiting?;
    answered(copied.map(|()| Vec::new()), reply, inbox)
}
