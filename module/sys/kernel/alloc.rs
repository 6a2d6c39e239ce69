// SPDX-License-Identifier: GPL-2.0-only

//! Memory of the kernel: boxes and vectors whose growth can fail. Process context.

use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ops::Deref;
use core::ops::DerefMut;
use core::pin::Pin;
use core::ptr::NonNull;

use crate::error::Result;
use crate::ffi;
use crate::init::PinInit;

/// There is no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllocError;

/// How to allocate.
#[derive(Clone, Copy)]
pub struct Flags(());

/// The flags that the module uses.
pub mod flags {
    use super::Flags;

    /// In process context, where sleeping is allowed.
    pub const GFP_KERNEL: Flags = Flags(());
}

/// Memory for a `T`, not initialised; dangling if its size is 0.
pub(crate) fn allocate<T>() -> Result<NonNull<T>, AllocError> {
    array(1)
}

fn array<T>(length: usize) -> Result<NonNull<T>, AllocError> {
    let bytes = length.checked_mul(size_of::<T>()).ok_or(AllocError)?;
    if bytes == 0 {
        return Ok(NonNull::dangling());
    }
    // SAFETY: Takes any size, and an alignment of a type is a power of two.
    let memory = unsafe { ffi::mutex_runtime_allocate(bytes as u64, align_of::<T>() as u64) };
    NonNull::new(memory.cast()).ok_or(AllocError)
}

/// # Safety
///
/// `memory` is from [`array`] for `length` elements, and this is its last use.
unsafe fn release<T>(memory: NonNull<T>, length: usize) {
    if length * size_of::<T>() != 0 {
        // SAFETY: By the contract of this function; it was allocated, as it is not empty.
        unsafe { ffi::mutex_runtime_free(memory.as_ptr().cast()) };
    }
}

/// # Safety
///
/// `memory` is from [`allocate`], and this is its last use.
pub(crate) unsafe fn free<T>(memory: NonNull<T>) {
    // SAFETY: By the contract of this function.
    unsafe { release(memory, 1) };
}

/// A value with memory of its own.
///
/// # Invariants
///
/// `value` is from [`allocate`], owned by this, and initialised.
pub struct KBox<T> {
    value: NonNull<T>,
    _owns: PhantomData<T>,
}

// SAFETY: A box owns its value, so it may go where that may.
unsafe impl<T: Send> Send for KBox<T> {}
// SAFETY: A shared box gives a shared value only.
unsafe impl<T: Sync> Sync for KBox<T> {}

impl<T> KBox<T> {
    /// A box with that value.
    pub fn new(value: T, _flags: Flags) -> Result<Self, AllocError> {
        let memory = allocate::<T>()?;
        // SAFETY: Allocated for a `T`.
        unsafe { memory.write(value) };
        // INVARIANT: Just allocated and written.
        Ok(KBox { value: memory, _owns: PhantomData })
    }

    /// A box with what `init` makes.
    pub fn pin_init(init: impl PinInit<T>, flags: Flags) -> Result<Pin<Self>> {
        let made = KBox::new(init.make()?, flags)?;
        // SAFETY: The value is only reached through the box, and moving a box does not move it.
        Ok(unsafe { Pin::new_unchecked(made) })
    }

    /// The value's place, which is the caller's to give back by [`KBox::from_raw`].
    pub fn into_raw(this: Self) -> *mut T {
        ManuallyDrop::new(this).value.as_ptr()
    }

    /// The box again.
    ///
    /// # Safety
    ///
    /// `raw` is from [`KBox::into_raw`], and nobody uses it any more.
    pub unsafe fn from_raw(raw: *mut T) -> Self {
        // SAFETY: What `into_raw` gives is not null.
        // INVARIANT: `into_raw` gave it away, and it is owned again.
        KBox { value: unsafe { NonNull::new_unchecked(raw) }, _owns: PhantomData }
    }
}

impl<T> Deref for KBox<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: By the type's invariant.
        unsafe { self.value.as_ref() }
    }
}

impl<T> DerefMut for KBox<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: By the type's invariant, and the box is borrowed exclusively.
        unsafe { self.value.as_mut() }
    }
}

impl<T> Drop for KBox<T> {
    fn drop(&mut self) {
        // SAFETY: By the type's invariant, and nobody borrows the value any more.
        unsafe {
            self.value.drop_in_place();
            free(self.value);
        }
    }
}

/// A vector that grows only where its caller says how to allocate.
///
/// # Invariants
///
/// `first` is from [`array`] for `capacity` elements and owned by this; the first `length` of them,
/// at most `capacity`, are initialised.
pub struct KVec<T> {
    first: NonNull<T>,
    capacity: usize,
    length: usize,
    _owns: PhantomData<T>,
}

/// Here both kinds of vector may be in several pages that need not be adjacent (`kvmalloc()`).
pub type KVVec<T> = KVec<T>;

// SAFETY: A vector owns its elements, so it may go where they may.
unsafe impl<T: Send> Send for KVec<T> {}
// SAFETY: A shared vector gives shared elements only.
unsafe impl<T: Sync> Sync for KVec<T> {}

impl<T> KVec<T> {
    /// Empty, without memory.
    pub const fn new() -> Self {
        // INVARIANT: No element, so nothing is allocated.
        KVec { first: NonNull::dangling(), capacity: 0, length: 0, _owns: PhantomData }
    }

    fn reserve(&mut self, additional: usize) -> Result<(), AllocError> {
        let wanted = self.length.checked_add(additional).ok_or(AllocError)?;
        if wanted <= self.capacity {
            return Ok(());
        }
        let capacity = wanted.max(self.capacity.saturating_mul(2));
        let larger = array::<T>(capacity)?;
        // SAFETY: So many elements are initialised there, the new memory has room for them, and it
        // is apart. Their old places are given back without dropping them.
        unsafe {
            larger.copy_from_nonoverlapping(self.first, self.length);
            release(self.first, self.capacity);
        }
        // INVARIANT: The elements have moved there.
        (self.first, self.capacity) = (larger, capacity);
        Ok(())
    }

    /// Appends an element.
    pub fn push(&mut self, value: T, _flags: Flags) -> Result<(), AllocError> {
        self.reserve(1)?;
        // SAFETY: There is room for one more behind the last.
        unsafe { self.first.add(self.length).write(value) };
        // INVARIANT: It is initialised now.
        self.length += 1;
        Ok(())
    }

    /// Removes the elements that `keep` is false for.
    pub fn retain(&mut self, mut keep: impl FnMut(&mut T) -> bool) {
        let mut kept = 0;
        for i in 0..self.length {
            let Some(element) = self.get_mut(i) else { break };
            if keep(element) {
                self.swap(kept, i);
                kept += 1;
            }
        }
        self.truncate(kept);
    }

    fn truncate(&mut self, length: usize) {
        while self.length > length {
            // INVARIANT: The last element is no element any more.
            self.length -= 1;
            // SAFETY: It was initialised.
            unsafe { self.first.add(self.length).drop_in_place() };
        }
    }
}

impl<T: Clone> KVec<T> {
    /// Appends `n` elements that are equal to `value`.
    pub fn extend_with(&mut self, n: usize, value: T, flags: Flags) -> Result<(), AllocError> {
        self.reserve(n)?;
        for _ in 0..n {
            self.push(value.clone(), flags)?;
        }
        Ok(())
    }

    /// Makes it so long, by elements that are equal to `value` or by removing some.
    pub fn resize(&mut self, length: usize, value: T, flags: Flags) -> Result<(), AllocError> {
        match length.checked_sub(self.length) {
            Some(more) => self.extend_with(more, value, flags),
            None => {
                self.truncate(length);
                Ok(())
            }
        }
    }
}

impl<T> Deref for KVec<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: By the type's invariant.
        unsafe { core::slice::from_raw_parts(self.first.as_ptr(), self.length) }
    }
}

impl<T> DerefMut for KVec<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: By the type's invariant, and the vector is borrowed exclusively.
        unsafe { core::slice::from_raw_parts_mut(self.first.as_ptr(), self.length) }
    }
}

impl<'a, T> IntoIterator for &'a mut KVec<T> {
    type Item = &'a mut T;
    type IntoIter = core::slice::IterMut<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}

impl<T> Drop for KVec<T> {
    fn drop(&mut self) {
        self.truncate(0);
        // SAFETY: By the type's invariant, and no element is left.
        unsafe { release(self.first, self.capacity) };
    }
}
