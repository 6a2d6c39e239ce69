// SPDX-License-Identifier: GPL-2.0-only

//! The books of the loaded module: the engine, and what is kept behind locks beside it.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use kernel::new_mutex;
use kernel::prelude::*;
use kernel::sync::Arc;
use kernel::sync::Mutex;
use mutex_core::abi::*;
use mutex_core::config::Config;
use mutex_core::connection::Connection;
use mutex_core::engine::Engine;
use mutex_core::fd::FdSums;
use mutex_core::ledger::Ledger;
use mutex_core::ledger::Readers;
use mutex_core::ledger::Settled;
use mutex_core::ledger::Sweeper;
use mutex_core::snapshot::Cursor;
use mutex_core::snapshot::Moment;
use mutex_core::wire::Wire;

use crate::sys::host;
use crate::sys::memory::KernelMemory;
use crate::sys::memory::Zeroed;
use crate::sys::percpu::PerCpu;

/// Readers that may be in the middle of their copy at once; each keeps a sum for every fd.
const READERS_MAX: usize = 64;

/// Records that are settled before the shelf's lock is let go.
const SETTLED_AT_ONCE: usize = 64;

/// The books.
///
/// Locks, in the order in which they are taken: `sweeper`, then `shelf`. The packet path takes
/// neither.
#[pin_data]
pub(crate) struct Books {
    engine: KBox<Engine<KernelMemory>>,
    boot_id: [u8; 16],
    /// What a mapping of the records begins with: a page.
    live_header: Zeroed<AtomicU64>,
    #[pin]
    sweeper: Mutex<Sweeper>,
    #[pin]
    shelf: Mutex<Shelf>,
}

/// What closed connections moved, and who has to be told when that changes.
pub(crate) struct Shelf {
    pub(crate) ledger: Ledger,
    readers: ReaderList,
}

/// A reader's place in the records.
pub(crate) type BookCursor = Cursor<Zeroed<FdSums>>;

struct ReaderList {
    readers: KVec<(u64, BookCursor)>,
    last_id: u64,
}

impl Readers for ReaderList {
    fn settled(&mut self, settled: &Settled) {
        for (_, cursor) in &mut self.readers {
            cursor.settled(settled);
        }
    }

    fn fd_gone(&mut self, fd: u32) {
        for (_, cursor) in &mut self.readers {
            cursor.fd_gone(fd);
        }
    }
}

impl Books {
    /// Opens the books on that engine.
    pub(crate) fn new(engine: KBox<Engine<KernelMemory>>) -> Result<Arc<Self>> {
        let live_header = live_header(&engine)?;
        let boot_id = host::boot_id()?;
        Arc::pin_init(
            pin_init!(Books {
                engine,
                live_header,
                boot_id,
                sweeper <- new_mutex!(Sweeper::default(), "mutex_sweeper"),
                shelf <- new_mutex!(
                    Shelf {
                        ledger: Ledger::default(),
                        readers: ReaderList { readers: KVec::new(), last_id: 0 },
                    },
                    "mutex_shelf"
                ),
            }),
            GFP_KERNEL,
        )
    }

    /// Everything that is counted.
    #[inline]
    pub(crate) fn engine(&self) -> &Engine<KernelMemory> {
        &self.engine
    }

    /// The CPUs' own parts.
    #[inline]
    pub(crate) fn cpus(&self) -> &PerCpu {
        self.engine.cpus()
    }

    /// The kernel's boot id.
    pub(crate) fn boot_id(&self) -> [u8; 16] {
        self.boot_id
    }

    /// What a mapping of the records begins with, before the records themselves.
    pub(crate) fn live_header(&self) -> &Zeroed<AtomicU64> {
        &self.live_header
    }

    /// Looks into the shelf.
    pub(crate) fn with_shelf<R>(&self, look: impl FnOnce(&mut Shelf) -> R) -> R {
        look(&mut self.shelf.lock())
    }

    /// Changes the configuration, one caller at a time.
    pub(crate) fn change_config<R>(&self, change: impl FnOnce(&Config) -> R) -> R {
        #[cfg(mutex_seeded)]
        let _in_the_wrong_order = self.shelf.lock();
        let _one_at_a_time = self.sweeper.lock();
        change(self.engine.config())
    }

    /// Ends what there is of network namespaces that are gone, whose numbers are sorted. The next sweep
    /// collects it.
    pub(crate) fn end_netns(&self, netns: &[u32]) {
        self.sweeper.lock().end_netns(&self.engine, || self.cpus().pin(), host::now(), netns);
    }

    /// Collects what is over, and says whether records are still scarce. Looks at so many records for
    /// idle ones.
    pub(crate) fn sweep(&self, records: u32) -> bool {
        let engine = &self.engine;
        let pin = || self.cpus().pin();
        let mut sweeper = self.sweeper.lock();
        let now = host::now();
        let mut limbo = sweeper.collect(engine, pin, now, records);
        if !limbo.is_empty() {
            // Every packet that still found one of those records has been counted after this.
            host::grace_period();
        }
        while !limbo.is_empty() {
            let shelf = &mut *self.shelf.lock();
            for _ in 0..SETTLED_AT_ONCE {
                if !shelf.ledger.settle(engine, &mut limbo, &mut shelf.readers, now) {
                    break;
                }
            }
        }
        while sweeper.expire_fds(engine, pin, now, &mut self.shelf.lock().readers) {}
        engine.is_short_of_records()
    }
}

fn live_header(engine: &Engine<KernelMemory>) -> Result<Zeroed<AtomicU64>> {
    let records = engine.connections().records();
    let page_size = host::page_size();
    let bytes = page_size + size_of_val(records).next_multiple_of(page_size);
    let header = mutex_live_header {
        magic: MUTEX_LIVE_MAGIC,
        version: MUTEX_VERSION,
        record_size: size_of::<Connection>() as u32,
        first_record: page_size as u64,
        records: records.len() as u64,
        bytes: bytes as u64,
    };
    let mut wire = [0; mutex_live_header::SIZE];
    header.put(&mut wire);
    let page = Zeroed::<AtomicU64>::new(page_size / size_of::<u64>())?;
    for (word, bytes) in page.iter().zip(wire.chunks_exact(size_of::<u64>())) {
        word.store(u64::take(bytes).0, Relaxed);
    }
    Ok(page)
}

impl Shelf {
    /// The ledger and the cursor of a reader, together.
    pub(crate) fn reader(&mut self, id: u64) -> Option<(&Ledger, &mut BookCursor)> {
        let (_, cursor) = self.readers.readers.iter_mut().find(|(other, _)| *other == id)?;
        Some((&self.ledger, cursor))
    }

    fn add_reader(&mut self, cursor: BookCursor) -> Result<u64> {
        let list = &mut self.readers;
        if list.readers.len() >= READERS_MAX {
            return Err(EBUSY);
        }
        list.last_id += 1;
        list.readers.push((list.last_id, cursor), GFP_KERNEL)?;
        Ok(list.last_id)
    }

    fn remove_reader(&mut self, id: u64) {
        self.readers.readers.retain(|(other, _)| *other != id);
    }
}

/// A reader in the middle of its copy; it is told of what is settled until this is dropped.
pub(crate) struct Reader {
    books: Arc<Books>,
    id: u64,
}

impl Reader {
    /// A reader that begins at `moment`, of `netns` only if that is given.
    pub(crate) fn new(books: Arc<Books>, netns: Option<u32>, moment: Moment) -> Result<Self> {
        let sums = Zeroed::new(books.engine.fds().arena().ever_used_end() as usize)?;
        let cursor = Cursor::new(sums, netns, moment);
        let id = books.with_shelf(|shelf| shelf.add_reader(cursor))?;
        Ok(Reader { books, id })
    }

    /// The books it reads.
    pub(crate) fn books(&self) -> &Books {
        &self.books
    }

    /// Reads on, behind the shelf's lock.
    pub(crate) fn with_cursor<R>(
        &self,
        read: impl FnOnce(&Ledger, &mut BookCursor) -> R,
    ) -> Result<R> {
        self.books.with_shelf(|shelf| {
            let (ledger, cursor) = shelf.reader(self.id).ok_or(EBADF)?;
            Ok(read(ledger, cursor))
        })
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.books.with_shelf(|shelf| shelf.remove_reader(self.id));
    }
}
