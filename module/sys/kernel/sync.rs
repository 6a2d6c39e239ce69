// SPDX-License-Identifier: GPL-2.0-only

//! Shared ownership, and a lock that sleeps.

use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::ffi::CStr;
use core::marker::PhantomData;
use core::mem::offset_of;
use core::mem::ManuallyDrop;
use core::ops::Deref;
use core::ops::DerefMut;
use core::ptr::NonNull;
use core::sync::atomic::fence;
use core::sync::atomic::AtomicUsize;
use core::sync::atomic::Ordering::Acquire;
use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::Ordering::Release;

use crate::alloc;
use crate::alloc::AllocError;
use crate::alloc::Flags;
use crate::error::code::ENOMEM;
use crate::error::Result;
use crate::ffi;
use crate::init::PinInit;
use crate::module::trap;

/// References that an [`Arc`] may have. Half the range, so that concurrent increments cannot wrap
/// before one of them is seen.
const REFERENCES_MAX: usize = usize::MAX / 2;

#[repr(C)]
struct Counted<T> {
    references: AtomicUsize,
    value: T,
}

/// A value that several own; the last one drops it.
///
/// # Invariants
///
/// `counted` is from `alloc::allocate` and initialised, and one of its references is this one's.
pub struct Arc<T> {
    counted: NonNull<Counted<T>>,
    _owns: PhantomData<Counted<T>>,
}

// SAFETY: Owners on several threads share the value, and the last one drops it wherever it is.
unsafe impl<T: Sync + Send> Send for Arc<T> {}
// SAFETY: As above: a shared owner can be cloned.
unsafe impl<T: Sync + Send> Sync for Arc<T> {}

impl<T> Arc<T> {
    /// The first owner of that value.
    pub fn new(value: T, _flags: Flags) -> Result<Self, AllocError> {
        let counted = alloc::allocate::<Counted<T>>()?;
        // SAFETY: Allocated for it.
        unsafe { counted.write(Counted { references: AtomicUsize::new(1), value }) };
        // INVARIANT: Just made, with one reference.
        Ok(Arc { counted, _owns: PhantomData })
    }

    /// The first owner of what `init` makes.
    pub fn pin_init(init: impl PinInit<T>, flags: Flags) -> Result<Self> {
        Ok(Arc::new(init.make()?, flags)?)
    }

    /// Where the value is.
    pub fn as_ptr(this: &Self) -> *const T {
        // SAFETY: By the type's invariant it is there.
        unsafe { &raw const (*this.counted.as_ptr()).value }
    }

    /// Where the value is; the reference is the caller's to give back by [`Arc::from_raw`].
    pub fn into_raw(this: Self) -> *const T {
        Arc::as_ptr(&ManuallyDrop::new(this))
    }

    /// The owner again.
    ///
    /// # Safety
    ///
    /// `raw` is from [`Arc::into_raw`], whose reference this becomes.
    pub unsafe fn from_raw(raw: *const T) -> Self {
        let counted = raw.cast_mut().wrapping_byte_sub(offset_of!(Counted<T>, value)).cast();
        // SAFETY: `into_raw` gives the place of a value that is there, so this is not null.
        // INVARIANT: It is of an owner that `into_raw` gave away.
        Arc { counted: unsafe { NonNull::new_unchecked(counted) }, _owns: PhantomData }
    }

    fn references(&self) -> &AtomicUsize {
        // SAFETY: By the type's invariant it is there.
        unsafe { &(*self.counted.as_ptr()).references }
    }
}

impl<T> Clone for Arc<T> {
    fn clone(&self) -> Self {
        // Relaxed, as in the standard library: the caller's own reference keeps the value alive.
        if self.references().fetch_add(1, Relaxed) > REFERENCES_MAX {
            trap();
        }
        // INVARIANT: It has the reference that was just counted.
        Arc { counted: self.counted, _owns: PhantomData }
    }
}

impl<T> Deref for Arc<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: By the type's invariant it is there.
        unsafe { &(*self.counted.as_ptr()).value }
    }
}

impl<T> Drop for Arc<T> {
    fn drop(&mut self) {
        if self.references().fetch_sub(1, Release) != 1 {
            return;
        }
        // Pairs with the releases of the other owners: all that they did is done before the drop.
        fence(Acquire);
        // SAFETY: By the type's invariant, and this was the last reference.
        unsafe {
            self.counted.drop_in_place();
            alloc::free(self.counted);
        }
    }
}

/// A value behind a lock that sleeps. Unlike in Rust-for-Linux the lock has memory of its own, so
/// its owner may move.
///
/// # Invariants
///
/// `lock` is from `mutex_runtime_lock_new`, and owned by this.
pub struct Mutex<T> {
    lock: NonNull<c_void>,
    value: UnsafeCell<T>,
}

// SAFETY: The lock may be used by any thread, and the value goes with it.
unsafe impl<T: Send> Send for Mutex<T> {}
// SAFETY: One thread at a time reaches the value.
unsafe impl<T: Send> Sync for Mutex<T> {}

impl<T> Mutex<T> {
    /// What makes a lock of that name, for [`new_mutex!`](crate::new_mutex).
    pub fn new(value: T, name: &'static CStr) -> impl PinInit<Self> {
        move || {
            // SAFETY: The name is static.
            let lock = unsafe { ffi::mutex_runtime_lock_new(name.as_ptr().cast()) };
            // INVARIANT: Just made.
            Ok(Mutex { lock: NonNull::new(lock).ok_or(ENOMEM)?, value: UnsafeCell::new(value) })
        }
    }

    /// Waits until nobody else has it. May sleep.
    pub fn lock(&self) -> Guard<'_, T> {
        // SAFETY: By the type's invariant.
        unsafe { ffi::mutex_runtime_lock(self.lock.as_ptr()) };
        // INVARIANT: Just locked.
        Guard { mutex: self, _here: PhantomData }
    }
}

impl<T> Drop for Mutex<T> {
    fn drop(&mut self) {
        // SAFETY: By the type's invariant; nobody borrows it, so it is not locked.
        unsafe { ffi::mutex_runtime_lock_free(self.lock.as_ptr()) };
    }
}

/// The lock is held until this is dropped.
///
/// # Invariants
///
/// This task holds the lock of `mutex`.
pub struct Guard<'a, T> {
    mutex: &'a Mutex<T>,
    /// The task that locked has to unlock.
    _here: PhantomData<*mut ()>,
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: By the type's invariant nobody else reaches the value.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: As above, and the guard is borrowed exclusively.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: By the type's invariant.
        unsafe { ffi::mutex_runtime_unlock(self.mutex.lock.as_ptr()) };
    }
}

/// What makes a [`Mutex`] of that value and name.
#[macro_export]
macro_rules! new_mutex {
    ($value:expr, $name:literal) => {
        $crate::sync::Mutex::new($value, {
            const NAME: &::core::ffi::CStr =
                match ::core::ffi::CStr::from_bytes_with_nul(concat!($name, "\0").as_bytes()) {
                    Ok(name) => name,
                    Err(_) => panic!("a name has no zero byte"),
                };
            NAME
        })
    };
}
