// SPDX-License-Identifier: GPL-2.0-only

//! A few places that readers look into without a lock.

use core::ptr::null_mut;
use core::sync::atomic::AtomicPtr;
use core::sync::atomic::AtomicUsize;
use core::sync::atomic::Ordering::AcqRel;
use core::sync::atomic::Ordering::Acquire;
use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::Ordering::Release;

use kernel::sync::Arc;

use super::bindings;
use super::host;

/// `N` places, each empty or with a shared value.
///
/// # Invariants
///
/// A pointer in a place comes from `Arc::into_raw` and stands for one reference, which is dropped
/// only after the pointer has left its place and a grace period has passed.
pub(crate) struct Places<T, const N: usize> {
    places: [AtomicPtr<T>; N],
    taken: AtomicUsize,
}

impl<T: Send + Sync, const N: usize> Places<T, N> {
    /// All empty.
    pub(crate) fn new() -> Self {
        // INVARIANT: There is no pointer.
        Places { places: [const { AtomicPtr::new(null_mut()) }; N], taken: AtomicUsize::new(0) }
    }

    /// Whether every place is empty.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.taken.load(Relaxed) == 0
    }

    /// How many places are not.
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Relaxed)
    }

    /// Puts a value into an empty place, and says into which.
    pub(crate) fn insert(&self, value: Arc<T>) -> Option<usize> {
        let pointer = Arc::into_raw(value).cast_mut();
        // INVARIANT: The pointer is from `Arc::into_raw`, and its reference is the place's.
        let free = self
            .places
            .iter()
            .position(|place| place.compare_exchange(null_mut(), pointer, AcqRel, Relaxed).is_ok());
        if free.is_some() {
            self.taken.fetch_add(1, Release);
        } else {
            // SAFETY: From `Arc::into_raw` above, and in no place.
            drop(unsafe { Arc::from_raw(pointer) });
        }
        free
    }

    /// Puts another value into a place that is not empty, whose owner the caller is. May sleep.
    pub(crate) fn replace(&self, place: usize, value: Arc<T>) {
        self.exchange(place, Arc::into_raw(value).cast_mut());
    }

    /// Empties a place, whose owner the caller is. May sleep.
    pub(crate) fn remove(&self, place: usize) {
        self.taken.fetch_sub(1, Release);
        self.exchange(place, null_mut());
    }

    fn exchange(&self, place: usize, pointer: *mut T) {
        let Some(place) = self.places.get(place) else {
            return;
        };
        // INVARIANT: `pointer` is null or from `Arc::into_raw`.
        let old = place.swap(pointer, AcqRel);
        host::grace_period();
        // A leak.
        if cfg!(mutex_seeded) && !pointer.is_null() {
            return;
        }
        if !old.is_null() {
            // SAFETY: By the type's invariant this is the place's reference. Readers that found the
            // pointer have left their read side.
            drop(unsafe { Arc::from_raw(old) });
        }
    }

    /// Shows every value. May be called anywhere.
    pub(crate) fn for_each(&self, mut show: impl FnMut(&T)) {
        // SAFETY: Pairs with the unlock below; nothing in between sleeps or unwinds.
        unsafe { bindings::mutex_read_lock() };
        for place in &self.places {
            let pointer = place.load(Acquire);
            if !pointer.is_null() {
                // SAFETY: By the type's invariant the value lives until a grace period after the
                // pointer left its place, and this is inside a read side that began before.
                show(unsafe { &*pointer });
            }
        }
        // SAFETY: Pairs with the lock above.
        unsafe { bindings::mutex_read_unlock() };
    }

    /// One more owner of each value in turn; process context.
    pub(crate) fn get(&self, place: usize) -> Option<Arc<T>> {
        let place = self.places.get(place)?;
        // SAFETY: Pairs with the unlock below; nothing in between sleeps or unwinds.
        unsafe { bindings::mutex_read_lock() };
        // Sleeps where nobody may.
        #[cfg(mutex_seeded)]
        drop(kernel::alloc::KBox::new(0u8, kernel::alloc::flags::GFP_KERNEL));
        let pointer = place.load(Acquire);
        let value = (!pointer.is_null()).then(|| {
            // SAFETY: As in `for_each`, so the value lives, and the place's own reference is not
            // given away.
            let theirs = core::mem::ManuallyDrop::new(unsafe { Arc::from_raw(pointer) });
            Arc::clone(&theirs)
        });
        // SAFETY: Pairs with the lock above.
        unsafe { bindings::mutex_read_unlock() };
        value
    }
}

impl<T, const N: usize> Drop for Places<T, N> {
    fn drop(&mut self) {
        for place in &mut self.places {
            let pointer = *place.get_mut();
            if !pointer.is_null() {
                // SAFETY: By the type's invariant; nobody borrows the places any more.
                drop(unsafe { Arc::from_raw(pointer) });
            }
        }
    }
}
