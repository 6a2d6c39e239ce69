// SPDX-License-Identifier: MIT OR Apache-2.0

//! What happens, as it happens: the stream of `/proc/mutex/events`.

use std::fs;
use std::io;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use mutex_core::abi::MUTEX_EVENT_ALERT;
use mutex_core::abi::MUTEX_EVENT_END;
use mutex_core::abi::MUTEX_EVENT_PACKET;
use mutex_core::abi::MUTEX_EVENT_START;
use mutex_core::abi::MUTEX_EVENTS_MAGIC;
use mutex_core::abi::MUTEX_VERSION;
use mutex_core::abi::mutex_event;
use mutex_core::abi::mutex_events_header;
use mutex_core::names::event_kind_name;
use mutex_core::wire::Wire;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;
use rustix::event::poll;
use rustix::fs::OFlags;

use crate::Alert;
use crate::Connection;
use crate::Error;
use crate::File;
use crate::Filter;
use crate::Packet;
use crate::Proc;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Counts from 1 what this monitor was to get: what is missing was lost.
    pub sequence: u64,
    /// How many of this monitor's events were lost up to this one.
    pub lost: u64,
    /// When, in nanoseconds of Unix time.
    pub time_ns: u64,
    /// What.
    pub happening: Happening,
}

/// What has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// A connection began; the record is that of its first packet.
    Start(Box<Connection>),
    /// A connection is over; the record has its final counters.
    End(Box<Connection>),
    /// A threshold was crossed.
    Alert(Box<Alert>),
    /// A packet passed.
    Packet(Box<Packet>),
    /// A kind of a later version.
    Unknown(u32),
}

impl Happening {
    /// The kind's name, as a filter has it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        event_kind_name(match self {
            Happening::Start(_) => MUTEX_EVENT_START,
            Happening::End(_) => MUTEX_EVENT_END,
            Happening::Alert(_) => MUTEX_EVENT_ALERT,
            Happening::Packet(_) => MUTEX_EVENT_PACKET,
            Happening::Unknown(kind) => *kind,
        })
    }
}

/// Takes events out of bytes, however these are cut into pieces.
#[derive(Debug, Default)]
pub struct Decoder {
    bytes: Vec<u8>,
    /// Bytes that have been taken.
    taken: usize,
    has_begun: bool,
}

/// The largest event that is believed, in bytes.
const MAX_EVENT: usize = 64 << 10;

impl Decoder {
    /// Adds what has been read.
    pub fn add(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next event, `None` if more bytes are needed for it.
    ///
    /// # Errors
    ///
    /// [`Error::Events`], and [`Error::Version`].
    pub fn next_event(&mut self) -> Result<Option<Event>, Error> {
        if !self.has_begun && !self.begin()? {
            return Ok(None);
        }
        let bytes = self.bytes.get(self.taken..).unwrap_or_default();
        if bytes.len() < mutex_event::SIZE {
            return Ok(None);
        }
        let (head, _) = mutex_event::take(bytes);
        let size = head.size as usize;
        if size < mutex_event::SIZE || size % 8 != 0 || size > MAX_EVENT {
            return Err(Error::Events("an event has an impossible size"));
        }
        let Some(record) = bytes.get(mutex_event::SIZE..size) else { return Ok(None) };
        self.taken += size;
        let happening = match head.kind {
            MUTEX_EVENT_START => Happening::Start(Box::new(Connection::take(record).0)),
            MUTEX_EVENT_END => Happening::End(Box::new(Connection::take(record).0)),
            MUTEX_EVENT_ALERT => Happening::Alert(Box::new(Alert::take(record).0)),
            MUTEX_EVENT_PACKET => Happening::Packet(Box::new(Packet::take(record).0)),
            kind => Happening::Unknown(kind),
        };
        let mutex_event { sequence, lost, time_ns, .. } = head;
        Ok(Some(Event { sequence, lost, time_ns, happening }))
    }

    /// Takes the header; whether all of it is there.
    fn begin(&mut self) -> Result<bool, Error> {
        let bytes = self.bytes.get(self.taken..).unwrap_or_default();
        if bytes.len() < mutex_events_header::SIZE {
            return Ok(false);
        }
        let (header, _) = mutex_events_header::take(bytes);
        if header.magic != MUTEX_EVENTS_MAGIC {
            return Err(Error::Events("it begins with something else"));
        }
        if header.version != MUTEX_VERSION {
            return Err(Error::Version { found: header.version, known: MUTEX_VERSION });
        }
        let size = header.header_size as usize;
        if !(mutex_events_header::SIZE..=MAX_EVENT).contains(&size) {
            return Err(Error::Events("its header has an impossible size"));
        }
        if bytes.len() < size {
            return Ok(false);
        }
        self.taken += size;
        self.has_begun = true;
        Ok(true)
    }
}

/// A monitor: an open `/proc/mutex/events` with a filter of its own. It gets what happens from its
/// opening on and is gone when this is dropped.
#[derive(Debug)]
pub struct Events {
    file: fs::File,
    proc: Proc,
    decoder: Decoder,
    buffer: Vec<u8>,
}

/// To wait for events together with something else: it is readable when there are some.
impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Events {
    /// Bytes that are read at a time.
    const BUFFER: usize = 64 << 10;

    /// Opens a monitor with this filter. An empty one gives all starts, ends and alerts.
    ///
    /// # Errors
    ///
    /// Those of [`Proc::open`]; with a filter those of [`Proc::write`].
    pub fn open(proc: &Proc, filter: &Filter) -> Result<Self, Error> {
        let file = if filter.is_empty() {
            proc.open(File::Events)?
        } else {
            let file = proc.open_to_write(File::Events)?;
            proc.write_to(&file, File::Events, &filter.to_string())?;
            file
        };
        let failed = |error: rustix::io::Errno| Error::File {
            path: proc.path(File::Events),
            source: error.into(),
        };
        let flags = rustix::fs::fcntl_getfl(&file).map_err(failed)?;
        rustix::fs::fcntl_setfl(&file, flags | OFlags::NONBLOCK).map_err(failed)?;
        let (decoder, buffer) = (Decoder::default(), vec![0; Self::BUFFER]);
        Ok(Events { file, proc: proc.clone(), decoder, buffer })
    }

    /// The next event. Waits for it, not longer than `timeout` if there is one; `None` if there was
    /// none until then, or where the stream has an end (that of the kernel has none).
    ///
    /// # Errors
    ///
    /// [`Error::Unloaded`] when the module goes, [`Error::File`], those of [`Decoder::next_event`].
    pub fn next_event(&mut self, timeout: Option<Duration>) -> Result<Option<Event>, Error> {
        loop {
            if let Some(event) = self.decoder.next_event()? {
                return Ok(Some(event));
            }
            match self.file.read(&mut self.buffer) {
                Ok(0) if self.proc.folder().exists() => return Ok(None),
                Ok(0) => return Err(Error::Unloaded),
                Ok(count) => self.decoder.add(self.buffer.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if !self.wait(timeout)? {
                        return Ok(None);
                    }
                }
                Err(source) => return Err(self.failure(source)),
            }
        }
    }

    /// Waits until there is something to read, or for as long as that; whether there is.
    fn wait(&self, timeout: Option<Duration>) -> Result<bool, Error> {
        let timeout = timeout.map(|timeout| Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        });
        let mut files = [PollFd::new(&self.file, PollFlags::IN)];
        match poll(&mut files, timeout.as_ref()) {
            Ok(ready) => Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => Ok(true),
            Err(error) => Err(self.failure(error.into())),
        }
    }

    fn failure(&self, source: io::Error) -> Error {
        self.proc.reading(File::Events, source)
    }
}
