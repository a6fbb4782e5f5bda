//! Several operations of one task at once.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

/// An operation that is one of several.
pub(super) type Part<'a, E> = Pin<Box<dyn Future<Output = Result<(), E>> + 'a>>;

/// Waits for all, and then returns the first error in their order: nothing is under way any more.
pub(super) async fn all<E>(mut futures: Vec<Part<'_, E>>) -> Result<(), E> {
    let mut results: Vec<Option<Result<(), E>>> = futures.iter().map(|_| None).collect();
    poll_fn(|cx| {
        for (future, result) in futures.iter_mut().zip(&mut results).filter(|(_, result)| result.is_none()) {
            if let Poll::Ready(done) = future.as_mut().poll(cx) {
                *result = Some(done);
            }
        }
        if results.iter().any(Option::is_none) { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    results.into_iter().flatten().collect()
}
