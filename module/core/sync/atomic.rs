// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0

//! The model's atomics, which can leave out one order that the code asks for.
//!
//! A model that finds nothing proves little unless it would find something. So its tests run it once
//! more for each place that orders memory, without that order, and expect it to fail.

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::panic::Location;

use loom::sync::atomic::AtomicBool;
pub use loom::sync::atomic::Ordering;

use Ordering::AcqRel;
use Ordering::Acquire;
use Ordering::Relaxed;
use Ordering::Release;

/// A place in the code that asks for an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Where the operation stands.
    pub at: &'static Location<'static>,
    /// What it asks for there; one that asks for both is two places.
    pub what: Half,
}

/// What an operation can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Half {
    /// What follows stays behind it.
    Acquire,
    /// What precedes stays before it.
    Release,
    /// A fence of either kind.
    Fence,
}

std::thread_local! {
    static LEFT_OUT: Cell<Option<Place>> = const { Cell::new(None) };
    static SEEN: RefCell<BTreeSet<Place>> = const { RefCell::new(BTreeSet::new()) };
}

/// Leaves out what that place asks for in everything that this thread models from now on.
pub fn leave_out(place: Option<Place>) {
    LEFT_OUT.set(place);
}

/// The places that this thread's models came by.
pub fn seen() -> BTreeSet<Place> {
    SEEN.take()
}

/// Whether the place is there.
fn asks(at: &'static Location<'static>, what: Half) -> bool {
    let place = Place { at, what };
    SEEN.with_borrow_mut(|seen| seen.insert(place));
    LEFT_OUT.get() != Some(place)
}

#[track_caller]
fn weakened(order: Ordering) -> Ordering {
    let at = Location::caller();
    let acquires = matches!(order, Acquire | AcqRel) && asks(at, Half::Acquire);
    let releases = matches!(order, Release | AcqRel) && asks(at, Half::Release);
    match (acquires, releases) {
        (true, true) => AcqRel,
        (true, false) => Acquire,
        (false, true) => Release,
        (false, false) => Relaxed,
    }
}

/// As [`core::sync::atomic::fence`].
#[track_caller]
pub fn fence(order: Ordering) {
    if asks(Location::caller(), Half::Fence) {
        loom::sync::atomic::fence(order);
    }
}

macro_rules! atomic {
    ($name:ident, $word:ty) => {
        /// As [`core::sync::atomic`] has it.
        ///
        /// loom remembers the last access to a word only. If that was a thread's own load, then it does not
        /// see that the store which follows could have come before what others had loaded until then. So each
        /// access begins with a store that nobody loads, which makes any two of them a race.
        #[derive(Debug, Default)]
        pub struct $name {
            turn: AtomicBool,
            word: loom::sync::atomic::$name,
        }

        #[expect(missing_docs, reason = "core::sync::atomic documents them")]
        impl $name {
            pub fn new(value: $word) -> Self {
                $name { turn: AtomicBool::default(), word: loom::sync::atomic::$name::new(value) }
            }

            fn turn(&self) -> &loom::sync::atomic::$name {
                self.turn.store(true, Relaxed);
                &self.word
            }

            #[track_caller]
            pub fn load(&self, order: Ordering) -> $word {
                self.turn().load(weakened(order))
            }

            #[track_caller]
            pub fn store(&self, value: $word, order: Ordering) {
                self.turn().store(value, weakened(order));
            }

            #[track_caller]
            pub fn swap(&self, value: $word, order: Ordering) -> $word {
                self.turn().swap(value, weakened(order))
            }

            #[track_caller]
            pub fn compare_exchange(
                &self,
                current: $word,
                new: $word,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$word, $word> {
                self.turn().compare_exchange(current, new, weakened(success), weakened(failure))
            }

            #[track_caller]
            pub fn compare_exchange_weak(
                &self,
                current: $word,
                new: $word,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$word, $word> {
                self.compare_exchange(current, new, success, failure)
            }

            #[track_caller]
            pub fn fetch_update(
                &self,
                set: Ordering,
                fetch: Ordering,
                update: impl FnMut($word) -> Option<$word>,
            ) -> Result<$word, $word> {
                self.turn().fetch_update(weakened(set), weakened(fetch), update)
            }

            #[track_caller]
            pub fn fetch_add(&self, value: $word, order: Ordering) -> $word {
                self.turn().fetch_add(value, weakened(order))
            }

            #[track_caller]
            pub fn fetch_sub(&self, value: $word, order: Ordering) -> $word {
                self.turn().fetch_sub(value, weakened(order))
            }

            #[track_caller]
            pub fn fetch_and(&self, value: $word, order: Ordering) -> $word {
                self.turn().fetch_and(value, weakened(order))
            }

            #[track_caller]
            pub fn fetch_or(&self, value: $word, order: Ordering) -> $word {
                self.turn().fetch_or(value, weakened(order))
            }

            #[track_caller]
            pub fn fetch_max(&self, value: $word, order: Ordering) -> $word {
                self.turn().fetch_max(value, weakened(order))
            }

            #[track_caller]
            pub fn fetch_min(&self, value: $word, order: Ordering) -> $word {
                self.turn().fetch_min(value, weakened(order))
            }
        }
    };
}

atomic!(AtomicU16, u16);
atomic!(AtomicU32, u32);
atomic!(AtomicU64, u64);
