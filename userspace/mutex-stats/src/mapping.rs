// SPDX-License-Identifier: MIT OR Apache-2.0

//! The live records: a mapping of `/proc/mutex/snapshot`, in which nothing is copied but the record
//! that one looks at.

use std::sync::atomic::Ordering;
use std::sync::atomic::fence;

use mutex_core::abi::MUTEX_CONNECTION_FORWARDED;
use mutex_core::abi::MUTEX_LIVE_MAGIC;
use mutex_core::abi::MUTEX_VERSION;
use mutex_core::abi::mutex_live_connection;
use mutex_core::abi::mutex_live_flow;
use mutex_core::abi::mutex_live_header;
use mutex_core::wire::Wire;

use crate::Connection;
use crate::Error;
use crate::File;
use crate::Proc;
use crate::Traffic;
use crate::memory::Memory;

/// The live records of the connections, as the kernel is writing them. Only in the first network
/// namespace, and only for who may read `snapshot`.
///
/// What has ended, fds, alerts and everything that adds up is not here: that is in an image. The
/// mapping outlives the module, and then stays as it was.
#[derive(Debug)]
pub struct Mapping {
    memory: Memory,
    header: mutex_live_header,
}

/// A connection of a [`Mapping`], with itself consistent in each direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveConnection(mutex_live_connection);

/// How often a record is tried again that somebody writes to meanwhile.
const TRIES: u32 = 1000;

/// Where the fields stand that say whether a copy is consistent.
const GENERATION: usize = std::mem::offset_of!(mutex_live_connection, generation);
const FLOWS: [usize; 2] = [
    std::mem::offset_of!(mutex_live_connection, received),
    std::mem::offset_of!(mutex_live_connection, sent),
];
const SEQUENCE: usize = std::mem::offset_of!(mutex_live_flow, sequence);

impl Mapping {
    /// Maps the records.
    ///
    /// # Errors
    ///
    /// Those of [`Proc::open`]; [`Error::File`] where the kernel maps nothing, as in another network
    /// namespace; [`Error::NotAnImage`] and [`Error::Version`] for what is mapped.
    pub fn open(proc: &Proc) -> Result<Self, Error> {
        let file = proc.open(File::Snapshot)?;
        let failed = |source| Error::File { path: proc.path(File::Snapshot), source };
        let first = Memory::map(&file, mutex_live_header::SIZE).map_err(failed)?;
        let header = mutex_live_header::take(&first.copy::<5>(0).ok_or(Error::NotAnImage)?).0;
        if header.magic != MUTEX_LIVE_MAGIC {
            return Err(Error::NotAnImage);
        }
        if header.version != MUTEX_VERSION {
            return Err(Error::Version { found: header.version, known: MUTEX_VERSION });
        }
        // All sizes are believed only as far as the mapping goes: no look into it goes beyond.
        let bytes = usize::try_from(header.bytes).map_err(|_| Error::NotAnImage)?;
        let memory = Memory::map(&file, bytes).map_err(failed)?;
        Ok(Mapping { memory, header })
    }

    /// How many records there are, in use or not.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.header.records
    }

    /// A record's connection, `None` if it has none, or another one while it was being copied.
    #[must_use]
    pub fn record(&self, number: u64) -> Option<LiveConnection> {
        const WORDS: usize = mutex_live_connection::SIZE / 8;
        const FLOW_WORDS: usize = mutex_live_flow::SIZE / 8;

        let distance = number.checked_mul(self.header.record_size.into())?;
        let start = usize::try_from(self.header.first_record.checked_add(distance)?).ok()?;
        let _end = start.checked_add(mutex_live_connection::SIZE)?;
        let generation = self.memory.load(start + GENERATION)?;
        if generation % 2 == 0 {
            return None;
        }
        let mut bytes = self.memory.copy::<WORDS>(start)?;
        for flow in FLOWS {
            let sequence = || self.memory.load(start + flow + SEQUENCE);
            let mut tries = 0..TRIES;
            let copy = loop {
                let before = sequence()?;
                let copy = self.memory.copy::<FLOW_WORDS>(start + flow)?;
                fence(Ordering::Acquire);
                if before % 2 == 0 && sequence()? == before {
                    break copy;
                }
                // Somebody writes without a pause, or has stopped in the middle of it.
                tries.next()?;
                std::hint::spin_loop();
            };
            bytes.get_mut(flow..flow + copy.len())?.copy_from_slice(&copy);
        }
        fence(Ordering::Acquire);
        let is_same = self.memory.load(start + GENERATION)? == generation;
        is_same.then(|| LiveConnection(mutex_live_connection::take(&bytes).0))
    }

    /// All connections, in the order of the records.
    pub fn connections(&self) -> impl Iterator<Item = LiveConnection> + '_ {
        (0..self.records()).filter_map(|number| self.record(number))
    }
}

impl LiveConnection {
    /// Counts from 1 since the module was loaded, never used again.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.0.id
    }

    /// What it has sent.
    #[must_use]
    pub fn sent(&self) -> Traffic {
        self.0.sent.traffic
    }

    /// What it has received.
    #[must_use]
    pub fn received(&self) -> Traffic {
        self.0.received.traffic
    }

    /// As a record of an image: what a mapping does not show (the fd, flags but `forwarded`, latency
    /// and all other quality) is 0. `offset_ns` is what is to be added to a time since boot to make
    /// it one of Unix: `time_ns - boottime_ns` of an image's header.
    #[must_use]
    pub fn to_connection(&self, offset_ns: u64) -> Connection {
        let live = &self.0;
        let last_seen = live.sent.last_seen_ns.max(live.received.last_seen_ns);
        Connection {
            id: live.id,
            cgroup: live.cgroup,
            first_seen_ns: live.first_seen_ns.wrapping_add(offset_ns),
            last_seen_ns: last_seen.wrapping_add(offset_ns),
            local_address: live.local_address,
            remote_address: live.remote_address,
            local_port: live.local_port,
            remote_port: live.remote_port,
            netns: live.netns,
            scope: live.scope,
            uid: live.uid,
            in_interface: live.received.interface,
            out_interface: live.sent.interface,
            family: live.family,
            protocol: live.protocol,
            // The rest of the word is internal.
            state: live.state.to_le_bytes()[0],
            flags: if live.forwarded == 0 { 0 } else { MUTEX_CONNECTION_FORWARDED },
            sent: live.sent.traffic,
            received: live.received.traffic,
            ..Connection::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const FIRST: usize = 4096;

    fn live(id: u64, generation: u32, sequence: u32) -> mutex_live_connection {
        let flow = |bytes| mutex_live_flow {
            sequence,
            interface: 2,
            last_seen_ns: 500 + bytes,
            traffic: Traffic { packets: 1, buffers: 1, bytes, payload: bytes - 28 },
            ..mutex_live_flow::default()
        };
        mutex_live_connection {
            id,
            generation,
            protocol: 17,
            family: 4,
            state: 0xabcd_ef11,
            forwarded: 1,
            sent: flow(100),
            received: flow(200),
            ..mutex_live_connection::default()
        }
    }

    /// A folder whose `snapshot` can be mapped, and shows these records.
    fn folder(header: &mutex_live_header, records: &[mutex_live_connection]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("there is room");
        let mut bytes = vec![0; FIRST + records.len() * mutex_live_connection::SIZE];
        let _ = header.put(&mut bytes).expect("there is room");
        for (record, room) in
            records.iter().zip(bytes[FIRST..].chunks_mut(mutex_live_connection::SIZE))
        {
            let _ = record.put(room).expect("there is room");
        }
        fs::write(folder.path().join("snapshot"), bytes).expect("there is room");
        folder
    }

    fn header(records: usize) -> mutex_live_header {
        mutex_live_header {
            magic: MUTEX_LIVE_MAGIC,
            version: MUTEX_VERSION,
            record_size: 256,
            first_record: FIRST as u64,
            records: records as u64,
            bytes: (FIRST + records * mutex_live_connection::SIZE) as u64,
        }
    }

    #[test]
    fn records_in_use_are_shown_and_those_in_the_middle_of_a_change_are_not() {
        let records = [live(1, 1, 2), live(2, 2, 2), live(3, 7, 4), live(4, 1, 5)];
        let folder = folder(&header(4), &records);
        let mapping = Mapping::open(&Proc::new(folder.path())).expect("it can be mapped");
        let ids: Vec<u64> = mapping.connections().map(|live| live.id()).collect();
        assert_eq!(ids, [1, 3]);
        let connection = mapping.record(0).expect("it is in use").to_connection(1_000);
        assert_eq!((connection.id, connection.state, connection.flags), (1, 17, 1));
        assert_eq!((connection.sent.bytes, connection.received.payload), (100, 172));
        assert_eq!((connection.first_seen_ns, connection.last_seen_ns), (1_000, 1_700));
        assert_eq!(mapping.record(4), None);
        assert_eq!(mapping.record(u64::MAX), None);
    }

    #[test]
    fn what_is_mapped_is_not_believed_beyond_its_end() {
        let open = |header: &mutex_live_header| {
            let folder = folder(header, &[live(1, 1, 2)]);
            Mapping::open(&Proc::new(folder.path()))
        };
        let far = mutex_live_header { first_record: u64::MAX - 5, records: 9, ..header(1) };
        assert_eq!(open(&far).expect("it can be mapped").connections().count(), 0);
        let odd = mutex_live_header { first_record: 4099, ..header(1) };
        assert_eq!(open(&odd).expect("it can be mapped").connections().count(), 0);
        let wrong = mutex_live_header { magic: 5, ..header(1) };
        assert!(matches!(open(&wrong), Err(Error::NotAnImage)));
        let later = mutex_live_header { version: 2, ..header(1) };
        assert!(matches!(open(&later), Err(Error::Version { found: 2, .. })));
        let huge = mutex_live_header { bytes: u64::MAX, ..header(1) };
        assert!(open(&huge).is_err());
        let empty = tempfile::tempdir().expect("there is room");
        fs::write(empty.path().join("snapshot"), "").expect("there is room");
        assert!(Mapping::open(&Proc::new(empty.path())).is_err());
    }
}
