// SPDX-License-Identifier: MIT OR Apache-2.0

//! The newest of what several threads bring. `tests/models` tries it in every order.

use std::sync::Arc;
use std::sync::PoisonError;

use crate::sync::Mutex;

/// Keeps the newest that was brought, by its number.
#[derive(Debug)]
pub(crate) struct Latest<T>(Mutex<Option<(u64, Arc<T>)>>);

impl<T> Default for Latest<T> {
    fn default() -> Self {
        Latest(Mutex::new(None))
    }
}

impl<T> Latest<T> {
    /// Brings one; an older one than there is stays out.
    pub(crate) fn put(&self, number: u64, value: Arc<T>) {
        let mut newest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if newest.as_ref().is_none_or(|(other, _)| *other < number) {
            *newest = Some((number, value));
        }
    }

    /// The newest.
    pub(crate) fn get(&self) -> Option<Arc<T>> {
        let newest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        newest.as_ref().map(|(_, value)| value.clone())
    }
}
