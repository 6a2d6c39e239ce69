// SPDX-License-Identifier: GPL-2.0-only

//! Files in /proc/mutex.

use core::fmt;
use core::marker::PhantomData;
use core::pin::Pin;

use kernel::error::to_result;
use kernel::prelude::*;
use kernel::sync::Arc;
use kernel::uaccess::UserPtr;
use kernel::uaccess::UserSlice;
use kernel::uaccess::UserSliceReader;
use kernel::uaccess::UserSliceWriter;
use mutex_core::config::WRITE_MAX;

use super::bindings;
use super::host;
use super::memory::Zeroed;

/// A file of text, made item by item.
pub(crate) trait TextFile: Sized + Send {
    /// What all files are made from.
    type Context: Send + Sync;
    /// Its name in /proc/mutex.
    const NAME: &'static CStr;
    /// Its mode.
    const MODE: u16;

    /// Opened by the current process.
    fn open(context: Arc<Self::Context>) -> Result<Self>;

    /// The first item at or after `position`, if there is one.
    fn seek(&mut self, position: u64) -> Option<u64>;

    /// Prints an item; nothing if it is gone. May be asked twice for the same one.
    fn show(&mut self, position: u64, out: &mut Line<'_>) -> fmt::Result;

    /// Bytes of text that a read gathers at once, where that is many: several of the largest items.
    const ROOM: u64 = 0;

    /// Whether [`TextFile::write`] is for anything.
    const WRITABLE: bool = false;

    /// Takes what a process that may administer the network has written, at most [`WRITE_MAX`].
    fn write(_context: &Self::Context, _bytes: &[u8]) -> Result {
        Err(EINVAL)
    }
}

/// A file of bytes, read from start to end, by several threads at once if they like.
pub(crate) trait StreamFile: Sized + Send + Sync {
    /// What all files are made from.
    type Context: Send + Sync;
    /// Its name in /proc/mutex.
    const NAME: &'static CStr;
    /// Its mode.
    const MODE: u16;

    /// Opened by the current process.
    fn open(context: Arc<Self::Context>) -> Result<Pin<KBox<Self>>>;

    /// Writes what comes next for userspace and says how many bytes; 0 at the end. `EAGAIN` if more
    /// will come later, where the file [`WAITS`](StreamFile::WAITS).
    fn read(&self, out: &mut UserSliceWriter) -> Result<usize>;

    /// Whether a reader can wait for more.
    const WAITS: bool = false;

    /// Whether there is something to read, where the file waits. After that has changed somebody
    /// calls [`wake`].
    fn is_ready(&self) -> bool {
        true
    }

    /// Whether [`StreamFile::write`] is for anything.
    const WRITABLE: bool = false;

    /// Takes what a process that may administer the network writes, and says how many bytes.
    fn write(&self, _bytes: &mut UserSliceReader) -> Result<usize> {
        Err(EINVAL)
    }

    /// Whether [`StreamFile::map`] is for anything.
    const MAPPABLE: bool = false;

    /// The parts of memory that a mapping shows, one after the other.
    fn map(&self, _part: u32) -> Option<Mapped> {
        None
    }
}

/// Whole pages of a table that a mapping may show.
pub(crate) struct Mapped {
    memory: *const c_void,
    bytes: u64,
}

impl Mapped {
    /// All of a table, which must hold nothing that userspace may not see.
    pub(crate) fn new<T>(table: &Zeroed<T>) -> Self {
        let (memory, bytes) = table.memory();
        Mapped { memory, bytes }
    }
}

/// Wakes who waits for a file to have more. May be called anywhere.
pub(crate) fn wake() {
    // SAFETY: May be called anywhere.
    unsafe { bindings::mutex_files_wake() };
}

/// Where an item's text goes. If that is more than there is room for, the item is asked for again.
///
/// # Invariants
///
/// `length` is at most `size`, and `room` may be written for `size` bytes as long as `seq` is not used
/// otherwise; `seq` is valid.
pub(crate) struct Line<'a> {
    seq: *mut bindings::seq_file,
    room: *mut u8,
    size: usize,
    length: usize,
    overflowed: bool,
    _seq: PhantomData<&'a mut bindings::seq_file>,
}

impl Line<'_> {
    /// # Safety
    ///
    /// `seq` is valid, and not used otherwise, as long as this lives.
    unsafe fn new(seq: *mut bindings::seq_file) -> Self {
        let mut size = 0;
        // SAFETY: `seq` is valid by the contract of this function, and `size` may be written.
        let room = unsafe { bindings::mutex_seq_room(seq, &mut size) };
        // INVARIANT: So much room there is.
        Line {
            seq,
            room: room.cast(),
            size: size as usize,
            length: 0,
            overflowed: false,
            _seq: PhantomData,
        }
    }

    /// Whether it was more than there is room for, so that no more needs to be written.
    pub(crate) fn overflowed(&self) -> bool {
        self.overflowed
    }
}

impl fmt::Write for Line<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if text.len() > self.size - self.length {
            self.overflowed = true;
            return Ok(());
        }
        // SAFETY: By the type's invariant so many bytes may be written there; what is only just
        // being written is nowhere in `text`.
        unsafe {
            core::ptr::copy_nonoverlapping(text.as_ptr(), self.room.add(self.length), text.len())
        };
        // INVARIANT: It is at most `size`, as was found above.
        self.length += text.len();
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        let written = if self.overflowed { -1 } else { self.length as i32 };
        // SAFETY: `seq` is valid by the type's invariant, and so many bytes of its room were written.
        unsafe { bindings::mutex_seq_written(self.seq, written) };
    }
}

/// /proc/mutex with its files; it goes when this is dropped.
///
/// # Invariants
///
/// The kernel knows the entries of `_files`, which stay where they are, and their contexts point to
/// what `context` keeps alive.
pub(crate) struct Directory<C> {
    _files: KVec<bindings::mutex_file>,
    _context: Arc<C>,
}

// SAFETY: The entries are not looked at from Rust, and `C` is shared by threads as it is.
unsafe impl<C: Send + Sync> Send for Directory<C> {}
// SAFETY: As above.
unsafe impl<C: Send + Sync> Sync for Directory<C> {}

/// The files of a directory to be.
pub(crate) struct Files<C> {
    files: KVec<bindings::mutex_file>,
    context: Arc<C>,
}

impl<C: Send + Sync> Files<C> {
    /// None yet.
    pub(crate) fn new(context: Arc<C>) -> Self {
        Files { files: KVec::new(), context }
    }

    /// Adds a file of text.
    pub(crate) fn text<F: TextFile<Context = C>>(self) -> Result<Self> {
        self.add(F::NAME, F::MODE, &TextCalls::<F>::CALLS, core::ptr::null())
    }

    /// Adds a file of bytes.
    pub(crate) fn stream<F: StreamFile<Context = C>>(self) -> Result<Self> {
        self.add(F::NAME, F::MODE, core::ptr::null(), &StreamCalls::<F>::CALLS)
    }

    fn add(
        mut self,
        name: &'static CStr,
        mode: u16,
        text: *const bindings::mutex_text_calls,
        stream: *const bindings::mutex_stream_calls,
    ) -> Result<Self> {
        let context = Arc::as_ptr(&self.context) as *mut c_void;
        let file =
            bindings::mutex_file { name: name.as_char_ptr().cast(), mode, text, stream, context };
        self.files.push(file, GFP_KERNEL)?;
        Ok(self)
    }

    /// Makes the directory. There is one such value at a time.
    pub(crate) fn create(self) -> Result<Directory<C>> {
        // SAFETY: The entries stay where they are until the directory is gone, because the value
        // that is made owns them, unchanged, and removes it first.
        to_result(unsafe {
            bindings::mutex_files_create(self.files.as_ptr(), self.files.len() as u32)
        })?;
        // INVARIANT: Every entry was added with a context that points into `context`.
        Ok(Directory { _files: self.files, _context: self.context })
    }
}

impl<C> Drop for Directory<C> {
    fn drop(&mut self) {
        // SAFETY: Created when this was made.
        unsafe { bindings::mutex_files_remove() };
    }
}

/// One more owner of a context that the kernel passed.
///
/// # Safety
///
/// `context` points into a living `Arc<C>`.
unsafe fn share<C>(context: *mut c_void) -> Arc<C> {
    let context = context.cast_const().cast::<C>();
    // SAFETY: It points into an `Arc` that is not ours to give away, so it is not dropped here.
    let theirs = core::mem::ManuallyDrop::new(unsafe { Arc::from_raw(context) });
    Arc::clone(&theirs)
}

fn to_pointer<T>(result: Result<*mut T>) -> *mut c_void {
    match result {
        Ok(state) => state.cast(),
        Err(error) => error.to_ptr(),
    }
}

struct TextCalls<F>(PhantomData<F>);

impl<F: TextFile> TextCalls<F> {
    const CALLS: bindings::mutex_text_calls = bindings::mutex_text_calls {
        open: Some(Self::open),
        close: Some(Self::close),
        seek: Some(Self::seek),
        show: Some(Self::show),
        write: if F::WRITABLE { Some(Self::write) } else { None },
        room: F::ROOM,
    };

    /// # Safety
    ///
    /// Called for an opened file, with the context that its entry was added with and a buffer of
    /// userspace.
    unsafe extern "C" fn write(context: *mut c_void, user: *const c_void, length: u64) -> i64 {
        // SAFETY: The kernel passes the context that the entry was added with.
        let context = unsafe { share::<F::Context>(context) };
        let write = || -> Result {
            if !host::may_administer() {
                return Err(EPERM);
            }
            let length = length as usize;
            // Longer than any is so far that the file itself says what is wrong with it.
            let mut bytes = KVec::new();
            bytes.resize(length.min(WRITE_MAX + 1), 0, GFP_KERNEL)?;
            UserSlice::new(UserPtr::from_ptr(user.cast_mut()), bytes.len())
                .reader()
                .read_slice(&mut bytes)?;
            F::write(&context, &bytes)
        };
        match write() {
            Ok(()) => length as i64,
            Err(error) => error.to_errno().into(),
        }
    }

    /// # Safety
    ///
    /// Called for an opened file, with the context that its entry was added with.
    unsafe extern "C" fn open(context: *mut c_void) -> *mut c_void {
        // SAFETY: The kernel passes the context that the entry was added with.
        let context = unsafe { share::<F::Context>(context) };
        to_pointer(
            F::open(context).and_then(|file| Ok(KBox::into_raw(KBox::new(file, GFP_KERNEL)?))),
        )
    }

    /// # Safety
    ///
    /// Called for an opened file, with what `open` gave, for the last time.
    unsafe extern "C" fn close(state: *mut c_void) {
        // SAFETY: `state` comes from `open`, and this is the last call with it.
        drop(unsafe { KBox::from_raw(state.cast::<F>()) });
    }

    /// # Safety
    ///
    /// Called for an opened file, with what `open` gave.
    unsafe extern "C" fn seek(state: *mut c_void, position: u64) -> i64 {
        // SAFETY: `state` comes from `open`; seq_file's lock lets in one call at a time.
        let file = unsafe { &mut *state.cast::<F>() };
        file.seek(position).and_then(|found| found.try_into().ok()).unwrap_or(-1)
    }

    /// # Safety
    ///
    /// Called for an opened file, with what `open` gave.
    unsafe extern "C" fn show(
        state: *mut c_void,
        seq: *mut bindings::seq_file,
        position: u64,
    ) -> c_int {
        // SAFETY: `state` comes from `open`; seq_file's lock lets in one call at a time.
        let file = unsafe { &mut *state.cast::<F>() };
        // SAFETY: `seq` is valid during the call.
        let mut line = unsafe { Line::new(seq) };
        match file.show(position, &mut line) {
            Ok(()) => 0,
            Err(fmt::Error) => EIO.to_errno(),
        }
    }
}

struct StreamCalls<F>(PhantomData<F>);

impl<F: StreamFile> StreamCalls<F> {
    const CALLS: bindings::mutex_stream_calls = bindings::mutex_stream_calls {
        open: Some(Self::open),
        close: Some(Self::close),
        read: Some(Self::read),
        ready: if F::WAITS { Some(Self::ready) } else { None },
        write: if F::WRITABLE { Some(Self::write) } else { None },
        map: if F::MAPPABLE { Some(Self::map) } else { None },
    };

    /// # Safety
    ///
    /// Called for an opened file, with what `open` gave.
    unsafe extern "C" fn ready(state: *mut c_void) -> bool {
        // SAFETY: `state` comes from `open` and is shared by all calls until `close`.
        unsafe { &*state.cast::<F>() }.is_ready()
    }

    /// # Safety
    ///
    /// Called for an opened file, with what `open` gave and a buffer of userspace.
    unsafe extern "C" fn write(state: *mut c_void, user: *const c_void, length: u64) -> i64 {
        // SAFETY: `state` comes from `open` and is shared by all calls until `close`.
        let file = unsafe { &*state.cast::<F>() };
        if !host::may_administer() {
            return EPERM.to_errno().into();
        }
        let user = UserPtr::from_ptr(user.cast_mut());
        match file.write(&mut UserSlice::new(user, length as usize).reader()) {
            Ok(bytes) => bytes as i64,
            Err(error) => error.to_errno().into(),
        }
    }

    /// # Safety
    ///
    /// Called for an opened file, with what `open` gave and two places to write to.
    unsafe extern "C" fn map(
        state: *mut c_void,
        part: u32,
        memory: *mut *const c_void,
        bytes: *mut u64,
    ) -> bool {
        // SAFETY: `state` comes from `open` and is shared by all calls until `close`.
        let file = unsafe { &*state.cast::<F>() };
        let Some(mapped) = file.map(part) else {
            return false;
        };
        // SAFETY: By the contract of this function.
        unsafe {
            *memory = mapped.memory;
            *bytes = mapped.bytes;
        }
        true
    }

    /// # Safety
    ///
    /// Called for an opened file, with the context that its entry was added with.
    unsafe extern "C" fn open(context: *mut c_void) -> *mut c_void {
        // SAFETY: The kernel passes the context that the entry was added with.
        let context = unsafe { share::<F::Context>(context) };
        to_pointer(F::open(context).map(|file| {
            // SAFETY: What it points to is not moved before `close` pins it again.
            KBox::into_raw(unsafe { Pin::into_inner_unchecked(file) })
        }))
    }

    /// # Safety
    ///
    /// Called for an opened file, with what `open` gave, for the last time.
    unsafe extern "C" fn close(state: *mut c_void) {
        // SAFETY: `state` comes from `open`, pinned there, and this is the last call with it.
        drop(unsafe { Pin::new_unchecked(KBox::from_raw(state.cast::<F>())) });
        // SAFETY: None, for it is gone: a use after it was freed.
        #[cfg(mutex_seeded)]
        unsafe {
            state.cast::<u8>().read_volatile()
        };
    }

    /// # Safety
    ///
    /// Called for an opened file, with what `open` gave.
    unsafe extern "C" fn read(state: *mut c_void, user: *mut c_void, length: u64) -> i64 {
        // SAFETY: `state` comes from `open` and is shared by all calls until `close`.
        let file = unsafe { &*state.cast::<F>() };
        let mut out = UserSlice::new(UserPtr::from_ptr(user), length as usize).writer();
        match file.read(&mut out) {
            Ok(bytes) => bytes as i64,
            Err(error) => error.to_errno().into(),
        }
    }
}
