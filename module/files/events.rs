// SPDX-License-Identifier: GPL-2.0-only

//! /proc/mutex/events: what happens, as it happens; see `include/mutex.h`. Each open file is a monitor
//! with a filter of its own, which writing sets.

use core::pin::Pin;

use kernel::new_mutex;
use kernel::prelude::*;
use kernel::sync::Arc;
use kernel::sync::Mutex;
use kernel::uaccess::UserSliceReader;
use kernel::uaccess::UserSliceWriter;
use mutex_core::abi::*;
use mutex_core::filter::Filter;
use mutex_core::monitor::Taken;
use mutex_core::monitor::EVENT_MAX;
use mutex_core::wire::Wire;

use super::refused;
use crate::books::Books;
use crate::sys::host;
use crate::sys::netfilter::PacketWatch;
use crate::sys::proc::StreamFile;
use crate::watch::Opener;
use crate::watch::Watcher;

/// Bytes of a filter, at the most.
const FILTER_MAX: usize = 2048;

/// A monitor that is open.
#[pin_data]
pub(super) struct Events {
    place: Place,
    #[pin]
    state: Mutex<State>,
}

/// A monitor's place among those that watch; it leaves when this is dropped.
struct Place {
    books: Arc<Books>,
    number: usize,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.books.engine().system().remove(self.number);
    }
}

struct State {
    watcher: Arc<Watcher>,
    /// While packets are wanted.
    packets: Option<PacketWatch>,
    has_begun: bool,
    /// An event that was taken and not handed over yet, and its bytes; none if that is 0.
    event: [u8; EVENT_MAX],
    waiting: usize,
}

impl StreamFile for Events {
    type Context = Books;
    const NAME: &'static CStr = c"events";
    const MODE: u16 = 0o640;
    const WAITS: bool = true;
    const WRITABLE: bool = true;

    fn open(books: Arc<Books>) -> Result<Pin<KBox<Self>>> {
        let (netns, is_first) = host::reader_netns();
        let watchers = books.engine().system();
        let opener = Opener {
            id: watchers.next_id(),
            process: host::current(),
            netns,
            confined: !is_first,
            opened_ns: host::moment().unix,
        };
        let slots = books.engine().config().events_buffer();
        let watcher = Arc::new(Watcher::new(opener, slots)?, GFP_KERNEL)?;
        let number = watchers.add(watcher.clone())?;
        let place = Place { books, number };
        let state =
            State { watcher, packets: None, has_begun: false, event: [0; EVENT_MAX], waiting: 0 };
        KBox::pin_init(
            pin_init!(Events { place, state <- new_mutex!(state, "mutex_events") }),
            GFP_KERNEL,
        )
    }

    fn read(&self, out: &mut UserSliceWriter) -> Result<usize> {
        let state = &mut *self.state.lock();
        let mut written = 0;
        if !state.has_begun {
            let mut header = [0; mutex_events_header::SIZE];
            if out.len() < header.len() {
                return Err(EINVAL);
            }
            self.header().put(&mut header);
            out.write_slice(&header)?;
            state.has_begun = true;
            written = header.len();
        }
        loop {
            let result = state.hand_over(out);
            match result {
                Ok(length) => written += length,
                // What was handed over before has left the queue.
                Err(_) if written != 0 => return Ok(written),
                Err(error) => return Err(error),
            }
        }
    }

    fn is_ready(&self) -> bool {
        let state = self.state.lock();
        !state.has_begun || state.waiting != 0 || !state.watcher.monitor.is_empty()
    }

    fn write(&self, bytes: &mut UserSliceReader) -> Result<usize> {
        let length = bytes.len();
        if length > FILTER_MAX {
            return Err(refused(format_args!("events: a filter has at most {FILTER_MAX} bytes")));
        }
        let mut text = KVec::new();
        text.resize(length, 0, GFP_KERNEL)?;
        bytes.read_slice(&mut text)?;
        let text = core::str::from_utf8(&text)
            .map_err(|_| refused(format_args!("events: the filter is not UTF-8")))?;
        let filter =
            Filter::parse(text).map_err(|error| refused(format_args!("events: {error}")))?;
        let state = &mut *self.state.lock();
        let packets = filter.wants_packets();
        let watcher = Arc::new(state.watcher.renewed(filter)?, GFP_KERNEL)?;
        if packets && state.packets.is_none() {
            state.packets = Some(PacketWatch::new());
        }
        self.place.books.engine().system().replace(self.place.number, watcher.clone());
        state.watcher = watcher;
        if !packets {
            state.packets = None;
        }
        Ok(length)
    }
}

impl State {
    /// Writes the next event for userspace, and says how many bytes.
    fn hand_over(&mut self, out: &mut UserSliceWriter) -> Result<usize> {
        if self.waiting == 0 {
            let room = out.len().min(self.event.len());
            match self.watcher.monitor.take(self.event.get_mut(..room).ok_or(EINVAL)?) {
                Taken::Event(length) => self.waiting = length,
                Taken::Nothing => return Err(EAGAIN),
                Taken::TooSmall(_) => return Err(EINVAL),
            }
        }
        let length = self.waiting;
        if length > out.len() {
            return Err(EINVAL);
        }
        out.write_slice(self.event.get(..length).ok_or(EINVAL)?)?;
        self.waiting = 0;
        Ok(length)
    }
}

impl Events {
    fn header(&self) -> mutex_events_header {
        let books = &self.place.books;
        mutex_events_header {
            magic: MUTEX_EVENTS_MAGIC,
            version: MUTEX_VERSION,
            header_size: mutex_events_header::SIZE as u32,
            loaded_ns: books.engine().loaded_at().wrapping_add(host::moment().offset()),
            boot_id: books.boot_id(),
        }
    }
}
