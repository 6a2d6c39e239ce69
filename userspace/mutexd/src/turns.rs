// SPDX-License-Identifier: MIT OR Apache-2.0

//! Work that only so many do at the same time: others wait, and give up when their time is over.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;

use crate::own::Own;

/// So many turns at the same time. Its clones share them.
#[derive(Clone)]
pub struct Turns {
    free: Arc<Semaphore>,
    own: Arc<Own>,
}

/// Counts somebody while they wait, also if they give up.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Turns {
    pub fn new(most: usize, own: &Arc<Own>) -> Self {
        Turns { free: Arc::new(Semaphore::new(most)), own: own.clone() }
    }

    /// Waits for a turn, which is over when it is dropped.
    pub async fn take(self) -> Option<OwnedSemaphorePermit> {
        self.own.waiting.fetch_add(1, Relaxed);
        let _waiting = Waiting(&self.own.waiting);
        // It is never closed.
        self.free.acquire_owned().await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_waits_is_counted_until_it_is_their_turn_or_they_give_up() {
        let own = Arc::new(Own::default());
        let turns = Turns::new(1, &own);
        let first = turns.clone().take().await;
        assert_eq!(own.waiting.load(Relaxed), 0);
        let mut second = Box::pin(turns.clone().take());
        assert!(look(&mut second).is_none());
        let mut third = Box::pin(turns.take());
        assert!(look(&mut third).is_none());
        assert_eq!(own.waiting.load(Relaxed), 2);
        drop(third);
        assert_eq!(own.waiting.load(Relaxed), 1);
        drop(first);
        assert!(second.await.is_some());
        assert_eq!(own.waiting.load(Relaxed), 0);
    }

    /// What it gives if it is looked at once.
    fn look<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match std::pin::Pin::new(future).poll(&mut context) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        }
    }
}
