//! What a port promises when the other end is late, has gone, or panics.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::task::{Context, Poll, Wake, Waker};

use millstream_storage::disk::block_on;

use super::{Gone, Inbox, Port};

#[derive(Default)]
struct Counted(AtomicUsize);

impl Wake for Counted {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn an_answer_wakes_the_last_who_asked_for_it_once() {
    let (allow, allowed) = mpsc::channel();
    let port = Port::open("slow", move |inbox| {
        while let Some((n, reply)) = inbox.next() {
            let n: u32 = n;
            let () = allowed.recv().expect("it is allowed in the end");
            reply.give(n + 1);
        }
    });
    let port = port.expect("a thread can be started");
    let [first, second] = [(), ()].map(|()| Arc::<Counted>::default());
    let mut answer = Box::pin(port.ask(1));
    for waker in [&first, &second] {
        let polled = answer.as_mut().poll(&mut Context::from_waker(&Waker::from(waker.clone())));
        assert_eq!(polled, Poll::Pending);
    }
    allow.send(()).expect("it is waited for");
    while second.0.load(Ordering::SeqCst) == 0 {
        std::thread::yield_now();
    }
    assert_eq!(block_on(answer), Ok(2));
    assert_eq!([&first, &second].map(|counted| counted.0.load(Ordering::SeqCst)), [0, 1]);
}

#[test]
fn requests_are_served_in_their_order_and_also_when_nobody_waits() {
    let (told, heard) = mpsc::channel();
    let port = Port::open("order", move |inbox| {
        while let Some((n, reply)) = inbox.next() {
            told.send(n).expect("it is listened to");
            reply.give(());
        }
    });
    let port = port.expect("a thread can be started");
    let other = port.clone();
    for n in 0..10 {
        drop(if n % 2 == 0 { port.ask(n) } else { other.ask(n) });
    }
    drop((port, other));
    // It ends when the thread has: all ports are dropped.
    assert_eq!(heard.iter().collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
}

#[test]
fn a_thread_that_panics_leaves_nobody_waiting() {
    let port = Port::open("panics", |inbox: Inbox<bool, ()>| {
        while let Some((ends, reply)) = inbox.next() {
            assert!(!ends, "on purpose");
            reply.give(());
        }
    });
    let port = port.expect("a thread can be started");
    assert_eq!(block_on(port.ask(false)), Ok(()));
    let answers = [port.ask(true), port.ask(false)];
    for answer in answers {
        assert_eq!(block_on(answer), Err(Gone));
    }
    assert_eq!(block_on(port.ask(false)), Err(Gone));
}
