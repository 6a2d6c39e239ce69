// SPDX-License-Identifier: MIT OR Apache-2.0

//! The bounded queue between the schedule and the ping workers.

use std::collections::HashSet;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::PoisonError;

use tokio::sync::Notify;

use crate::PeerId;

/// Peers to ping, in their order, each once.
#[derive(Debug)]
pub(crate) struct Queue {
    capacity: usize,
    state: Mutex<State>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<PeerId>,
    /// Those that wait and those that are being pinged.
    pending: HashSet<PeerId>,
    counts: Counts,
}

/// What became of the checks that were due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Checks that were put into the queue.
    pub queued: u64,
    /// Checks that found the queue full.
    pub overflowed: u64,
    /// Checks that were due while the peer's last one had not been made yet.
    pub overdue: u64,
    /// Checks that wait for a worker now.
    pub waiting: usize,
    /// Checks that are being made now.
    pub running: usize,
}

impl Queue {
    pub(crate) fn new(capacity: usize) -> Self {
        Queue { capacity, state: Mutex::default(), filled: Notify::new() }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a check at the end, if there is room and the peer is not there already.
    pub(crate) fn push(&self, id: PeerId) {
        let mut state = self.state();
        if state.pending.contains(&id) {
            state.counts.overdue += 1;
        } else if state.waiting.len() >= self.capacity {
            state.counts.overflowed += 1;
        } else {
            state.counts.queued += 1;
            state.pending.insert(id.clone());
            state.waiting.push_back(id);
            drop(state);
            self.filled.notify_one();
        }
    }

    /// Waits for the next check; it runs until it is [`Queue::done`].
    pub(crate) async fn next(&self) -> PeerId {
        loop {
            let filled = self.filled.notified();
            {
                let mut state = self.state();
                if let Some(id) = state.waiting.pop_front() {
                    let more = !state.waiting.is_empty();
                    drop(state);
                    // A notification that nobody waited for stands for all that came with it.
                    if more {
                        self.filled.notify_one();
                    }
                    return id;
                }
            }
            filled.await;
        }
    }

    /// The check was made.
    pub(crate) fn done(&self, id: &PeerId) {
        self.state().pending.remove(id);
    }

    pub(crate) fn counts(&self) -> Counts {
        let state = self.state();
        let waiting = state.waiting.len();
        Counts { waiting, running: state.pending.len() - waiting, ..state.counts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PublicKey;

    fn id(number: u8) -> PeerId {
        PeerId { interface: "wg0".to_owned(), public_key: PublicKey([number; 32]) }
    }

    #[tokio::test]
    async fn what_finds_no_room_is_counted_and_nobody_waits_twice() {
        let queue = Queue::new(3);
        for number in [1, 2, 1, 3, 4, 5] {
            queue.push(id(number));
        }
        let counts = queue.counts();
        assert_eq!((counts.queued, counts.overflowed, counts.overdue), (3, 2, 1));
        assert_eq!(queue.next().await, id(1));
        queue.push(id(1));
        assert_eq!((queue.counts().overdue, queue.counts().running), (2, 1));
        queue.done(&id(1));
        queue.push(id(1));
        for number in [2, 3, 1] {
            assert_eq!(queue.next().await, id(number));
        }
        assert_eq!((queue.counts().waiting, queue.counts().running), (0, 3));
    }
}
