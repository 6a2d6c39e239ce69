// SPDX-License-Identifier: MIT OR Apache-2.0

//! Tells a thread that waits to end. `tests/models` tries it in every order.

use std::sync::PoisonError;
use std::time::Duration;

use crate::sync::Condvar;
use crate::sync::Mutex;

/// Is set once, and wakes who waits for it.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    is_set: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    /// Whoever waits returns, and so does who waits from now on.
    pub(crate) fn set(&self) {
        *self.is_set.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// Waits for it, at most for that long (it can return too soon); whether it is set.
    pub(crate) fn wait(&self, timeout: Duration) -> bool {
        // A look at the flag and the sleep are one step, under the lock that `set` takes.
        let is_set = self.is_set.lock().unwrap_or_else(PoisonError::into_inner);
        if *is_set {
            return true;
        }
        let waited = self.changed.wait_timeout(is_set, timeout);
        let (is_set, _) = waited.unwrap_or_else(PoisonError::into_inner);
        *is_set
    }
}
