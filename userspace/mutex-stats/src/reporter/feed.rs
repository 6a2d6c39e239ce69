// SPDX-License-Identifier: MIT OR Apache-2.0

//! From the kernel to reporters.

use std::collections::HashSet;
use std::io;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;
use rustix::event::poll;

use crate::Block;
use crate::Error;
use crate::Event;
use crate::Events;
use crate::File;
use crate::Filter;
use crate::Filtered;
use crate::Header;
use crate::Part;
use crate::Proc;
use crate::Visitor;
use crate::reporter::Registry;
use crate::reporter::Selection;
use crate::reporter::registry::Registered;
use crate::reporter::tracker::Tracker;

/// What a step has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Progress {
    /// Events that were taken from the kernel.
    pub events: u64,
    /// Events that were lost before these, because they were not taken in time. Reporters have been
    /// told, too.
    pub lost: u64,
}

/// Takes packets, starts and ends of connections from the kernel, and calls the reporters of a
/// [`Registry`] that a [`Selection`] selects.
///
/// It has a monitor, an open `/proc/mutex/events`, only while at least one of them is registered. It
/// opens it with the first [`Feed::step`] after one is there, and closes it with the first one after
/// the last is gone; a step that is waiting is woken for that. Dropping a feed closes it, too. Several
/// feeds can share a registry, each on a thread of its own.
///
/// Metering begins when the monitor is open ([`Feed::is_open`]): what the kernel queued while it was
/// being opened is left out. Packets that belong to no connection (see `untracked` in
/// `/proc/mutex/stats`) are not told of.
#[derive(Debug)]
pub struct Feed {
    proc: Proc,
    filter: Filter,
    registry: Arc<Registry>,
    selection: Selection,
    waker: Arc<OwnedFd>,
    reporters: Vec<Registered>,
    /// What `reporters` are of.
    generation: Option<u64>,
    monitor: Option<Monitor>,
}

/// What there is while there is somebody to call.
#[derive(Debug)]
struct Monitor {
    events: Events,
    /// Taken while it was opened, and newer than that.
    first: Option<Event>,
    tracker: Tracker,
    /// Of events, in all.
    lost: u64,
    /// Whether ends may be among what was lost.
    is_doubtful: bool,
    looked: Option<Instant>,
    /// Connections that the kernel does not list, unless their ends are still on their way, and when
    /// that was so, in nanoseconds of Unix time.
    missing: Option<(Vec<u64>, u64)>,
}

/// How often connections are looked for whose end was lost.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Events that a step takes at the most, so that its caller can do something else.
const STEP: u64 = 4096;

/// Keys that a packet has as its connection's start and end have them.
const KEYS: [&str; 14] = [
    "protocol",
    "family",
    "address",
    "local",
    "remote",
    "port",
    "local_port",
    "remote_port",
    "netns",
    "connection",
    "sample",
    "uid",
    "cgroup",
    "fd",
];

/// Of these, keys that a connection may not have from its first packet on.
const LATE: [&str; 3] = ["uid", "cgroup", "fd"];

/// The kernel's filter: what is asked for, and packets besides.
fn filter(terms: &str) -> Result<Filter, Error> {
    // What is wrong with a filter as such is said first.
    Filter::parse(terms, Filtered::Events)?;
    for term in terms.split_whitespace() {
        let key = term.split(['=', '!', '<', '>']).next().unwrap_or_default();
        if !KEYS.contains(&key) {
            let keys = KEYS.join(", ");
            let sentence = format!("\"{key}\" is no key of metered packets; there are {keys}");
            return Err(Error::Filter(sentence));
        }
        if LATE.contains(&key) && term.contains("!=") {
            let sentence = format!(
                "\"{key}\" takes no \"!=\" of metered packets: {key} can be known later than the first of them"
            );
            return Err(Error::Filter(sentence));
        }
    }
    Filter::parse(&format!("kind=start,end,packet {terms}"), Filtered::Events)
}

fn unix_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

impl Feed {
    /// A feed of what fits `terms`, in the language of [`Filter`]; empty is everything. Keys are
    /// those that packets have as their connections have them: protocol, family, address, local,
    /// remote, port, `local_port`, `remote_port`, netns, connection, uid, cgroup, fd; and
    /// `sample=N`, with which reporters are told of every Nth packet only. Nothing is opened yet.
    ///
    /// # Errors
    ///
    /// [`Error::Filter`]; [`Error::Read`] if the system has no files left.
    pub fn new(
        proc: Proc,
        registry: &Arc<Registry>,
        selection: Selection,
        terms: &str,
    ) -> Result<Self, Error> {
        Ok(Feed {
            proc,
            filter: filter(terms)?,
            waker: registry.subscribe().map_err(Error::Read)?,
            registry: Arc::clone(registry),
            selection,
            reporters: Vec::new(),
            generation: None,
            monitor: None,
        })
    }

    /// Whether the kernel's monitor is open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.monitor.is_some()
    }

    /// Opens or closes the monitor if reporters have come or gone, and makes the calls that are due.
    /// Where there are none it waits until there are, until reporters come or go, until a signal comes,
    /// or for as long as `timeout`; for ever without one.
    ///
    /// # Errors
    ///
    /// Those of [`Events::open`], [`Events::next_event`] and, after a loss, of [`Proc::snapshot`].
    /// Calls that were due before have been made; the next step opens another monitor.
    pub fn step(&mut self, timeout: Option<Duration>) -> Result<Progress, Error> {
        let result = self.try_step(timeout);
        if result.is_err() {
            // The next step may find another module.
            self.monitor = None;
        }
        result
    }

    fn try_step(&mut self, timeout: Option<Duration>) -> Result<Progress, Error> {
        self.follow_registry()?;
        let progress = self.take()?;
        if progress != Progress::default() {
            return Ok(progress);
        }
        self.wait(timeout)?;
        self.follow_registry()?;
        self.take()
    }

    /// Looks who is to be called, and opens or closes the monitor accordingly.
    fn follow_registry(&mut self) -> Result<(), Error> {
        if self.generation != Some(self.registry.generation()) {
            let (reporters, generation) = self.registry.selected(&self.selection);
            (self.reporters, self.generation) = (reporters, Some(generation));
        }
        if self.reporters.is_empty() {
            self.monitor = None;
        } else if self.monitor.is_none() {
            self.monitor = Some(Monitor::open(&self.proc, &self.filter)?);
        }
        Ok(())
    }

    /// Makes calls for what is queued, and does not wait for more.
    fn take(&mut self) -> Result<Progress, Error> {
        let mut progress = Progress::default();
        while progress.events < STEP && self.generation == Some(self.registry.generation()) {
            let (Some(monitor), Some(now)) = (&mut self.monitor, self.generation) else { break };
            let Some(event) = monitor.next()? else {
                monitor.end_missing(&self.reporters);
                break;
            };
            progress.events += 1;
            progress.lost += monitor.follow_losses(&event, &self.reporters);
            monitor.tracker.take(&event.happening, &self.reporters, now);
            // Its end would have come before.
            if monitor.missing.as_ref().is_some_and(|(_, since)| event.time_ns > *since) {
                monitor.end_missing(&self.reporters);
            }
        }
        if let Some(monitor) = &mut self.monitor {
            monitor.look_for_missing(&self.proc)?;
        }
        Ok(progress)
    }

    /// Waits for events, for changes of the registry, or for as long as that.
    fn wait(&self, timeout: Option<Duration>) -> Result<(), Error> {
        let doubt = self.monitor.as_ref().and_then(Monitor::doubt);
        let timeout = timeout.into_iter().chain(doubt).min().map(|timeout| Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        });
        let mut files = vec![PollFd::new(&*self.waker, PollFlags::IN)];
        if let Some(monitor) = &self.monitor {
            files.push(PollFd::from_borrowed_fd(monitor.events.as_fd(), PollFlags::IN));
        }
        match poll(&mut files, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(self.proc.reading(File::Events, error.into())),
        }
        // It counts changes, which the registry tells better.
        let _ = rustix::io::read(&self.waker, &mut [0; 8]);
        Ok(())
    }
}

impl Monitor {
    fn open(proc: &Proc, filter: &Filter) -> Result<Self, Error> {
        let mut events = Events::open(proc, filter)?;
        // What came between opening the file and writing the filter fits another filter, and packets
        // were not watched yet. Since writing took a grace period, nothing like that comes any more.
        let begun = unix_now();
        let mut lost = 0;
        let first = loop {
            match events.next_event(Some(Duration::ZERO))? {
                Some(event) if event.time_ns > begun => break Some(event),
                Some(event) => lost = event.lost,
                None => break None,
            }
        };
        Ok(Monitor {
            events,
            first,
            tracker: Tracker::default(),
            lost,
            is_doubtful: false,
            looked: None,
            missing: None,
        })
    }

    fn next(&mut self) -> Result<Option<Event>, Error> {
        match self.first.take() {
            Some(event) => Ok(Some(event)),
            None => self.events.next_event(Some(Duration::ZERO)),
        }
    }

    /// How many were lost before this event; reporters are told.
    fn follow_losses(&mut self, event: &Event, reporters: &[Registered]) -> u64 {
        let lost = event.lost.saturating_sub(self.lost);
        if lost > 0 {
            self.lost = event.lost;
            self.is_doubtful = true;
            for registered in reporters {
                registered.reporter.on_lost(lost);
            }
        }
        lost
    }

    /// How long to wait until it is time to look for ends that were lost.
    fn doubt(&self) -> Option<Duration> {
        if self.missing.is_some() {
            return Some(Duration::ZERO);
        }
        let since = self.looked.map_or(LOOK_EVERY, |looked| looked.elapsed());
        self.is_doubtful.then(|| LOOK_EVERY.saturating_sub(since))
    }

    /// After a loss, finds connections that the kernel no longer lists.
    fn look_for_missing(&mut self, proc: &Proc) -> Result<(), Error> {
        if self.missing.is_some() || self.doubt() != Some(Duration::ZERO) {
            return Ok(());
        }
        self.is_doubtful = false;
        self.looked = Some(Instant::now());
        let mut listed = Listed::default();
        proc.snapshot()?.visit(&mut listed)?;
        let missing = self.tracker.missing(&listed.connections);
        if !missing.is_empty() {
            // The clock of events goes on with the kernel's tick.
            let since = unix_now().saturating_add(1_000_000_000);
            self.missing = Some((missing, since));
        }
        Ok(())
    }

    /// Ends those whose ends did not come: all that was queued before has been taken.
    fn end_missing(&mut self, reporters: &[Registered]) {
        if let Some((missing, _)) = self.missing.take() {
            self.tracker.end_missing(&missing, reporters);
        }
    }
}

/// The connections of an image, by their ids.
#[derive(Debug, Default)]
struct Listed {
    connections: HashSet<u64>,
}

impl Visitor for Listed {
    fn header(&mut self, _: &Header, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn block(&mut self, block: &Block<'_>) -> io::Result<()> {
        if let Part::Connections(records) = block.part() {
            self.connections.extend(records.map(|connection| connection.id));
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::fs::OpenOptions;
    use std::io::Write;
    use std::sync::Mutex;
    use std::thread;

    use mutex_core::abi::MUTEX_EVENTS_MAGIC;
    use mutex_core::abi::mutex_event;
    use mutex_core::abi::mutex_events_header;
    use mutex_core::wire::Wire;
    use tempfile::TempDir;

    use super::*;
    use crate::Connection;
    use crate::Image;
    use crate::Packet;
    use crate::Traffic;
    use crate::reporter::Guid;
    use crate::reporter::Metering;

    fn bytes_of<T: Wire>(record: &T) -> Vec<u8> {
        let mut bytes = vec![0; T::SIZE];
        let _ = record.put(&mut bytes).expect("there is room");
        bytes
    }

    /// A folder that looks like the kernel's. What is written to a file that stands for the kernel's
    /// is part of it, so the filter has to be stepped over.
    struct Host {
        folder: TempDir,
        sequence: u64,
        lost: u64,
    }

    const FILTER: &str = "kind=start,end,packet";

    impl Host {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("there is room");
            let host = Host { folder, sequence: 0, lost: 0 };
            let header = mutex_events_header {
                magic: MUTEX_EVENTS_MAGIC,
                version: 1,
                header_size: 40,
                ..Default::default()
            };
            let start = [" ".repeat(FILTER.len()).into_bytes(), bytes_of(&header)].concat();
            fs::write(host.folder.path().join("events"), start).expect("there is room");
            host
        }

        fn proc(&self) -> Proc {
            Proc::new(self.folder.path())
        }

        fn event(&mut self, kind: u32, record: &[u8], time_ns: u64) {
            self.sequence += 1;
            let size = u32::try_from(32 + record.len()).expect("it is small");
            let (sequence, lost) = (self.sequence, self.lost);
            let head = mutex_event { size, kind, sequence, lost, time_ns };
            let path = self.folder.path().join("events");
            let mut file = OpenOptions::new().append(true).open(path).expect("it is there");
            file.write_all(&[bytes_of(&head), record.to_vec()].concat()).expect("there is room");
        }

        fn start(&mut self, id: u64) {
            self.event(1, &bytes_of(&connection(id, 0)), u64::MAX);
        }

        fn end(&mut self, id: u64, bytes: u64) {
            self.event(2, &bytes_of(&connection(id, bytes)), u64::MAX);
        }

        fn packet(&mut self, connection: u64, bytes: u64) {
            let Connection { local_address, remote_address, local_port, .. } =
                self::connection(connection, 0);
            let packet = Packet {
                connection,
                family: 6,
                protocol: 17,
                local_address,
                remote_address,
                local_port,
                bytes,
                ..Packet::default()
            };
            self.event(4, &bytes_of(&packet), u64::MAX);
        }

        fn lists(&self, connections: &[u64]) {
            let connections = connections.iter().map(|&id| connection(id, 0)).collect();
            let image = Image { connections, ..Image::default() };
            let file = fs::File::create(self.folder.path().join("snapshot"));
            image.write(file.expect("there is room")).expect("there is room");
        }
    }

    /// From port `id`.
    fn connection(id: u64, bytes: u64) -> Connection {
        Connection {
            id,
            family: 6,
            protocol: 17,
            local_port: u16::try_from(id).expect("it is small"),
            sent: Traffic { bytes, buffers: 1, ..Traffic::ZERO },
            ..Connection::default()
        }
    }

    type Lines = Arc<Mutex<Vec<String>>>;

    fn metering() -> (Arc<Metering>, Lines) {
        let lines = Lines::default();
        let sink = Arc::clone(&lines);
        let metering = Metering::new(move |entry| {
            let port = entry.reading.id.source.address.port();
            let bytes = entry.reading.sent.bytes;
            let line = format!("{port} {} {bytes}", entry.logged.name());
            sink.lock().expect("nobody panics").push(line);
        });
        (Arc::new(metering), lines)
    }

    fn taken(lines: &Lines) -> Vec<String> {
        std::mem::take(&mut *lines.lock().expect("nobody panics"))
    }

    const GUID: Guid = Guid::from_u128(7);
    const NO_TIME: Option<Duration> = Some(Duration::ZERO);

    #[test]
    fn events_become_calls_while_somebody_is_registered() {
        let mut host = Host::new();
        let (metering, lines) = metering();
        let registry = Registry::new();
        let mut feed = Feed::new(host.proc(), &registry, GUID.into(), "").expect("it is right");
        registry.register(Guid::from_u128(8), Arc::clone(&metering) as _).expect("it is free");
        // Older than the monitor: left out.
        host.event(1, &bytes_of(&connection(1, 0)), 5);
        host.start(2);
        assert_eq!(feed.step(NO_TIME).expect("it works"), Progress::default());
        assert!(!feed.is_open(), "who is registered is not selected");

        registry.register(GUID, Arc::clone(&metering) as _).expect("it is free");
        assert_eq!(feed.step(NO_TIME).expect("it works"), Progress { events: 1, lost: 0 });
        assert!(feed.is_open());
        for (bytes, lost) in [(100, 0), (10, 3), (1, 3)] {
            host.lost = lost;
            host.packet(2, bytes);
        }
        // Nothing is to be made up for, since all are listed.
        host.lists(&[2]);
        assert_eq!(feed.step(NO_TIME).expect("it works"), Progress { events: 3, lost: 3 });
        assert_eq!((metering.lost(), metering.readings()[0].sent.bytes), (3, 111));
        host.end(2, 5_000);
        assert_eq!(feed.step(NO_TIME).expect("it works"), Progress { events: 1, lost: 0 });
        assert_eq!(taken(&lines), ["2 started 0", "2 ended 5000"]);

        registry.unregister(GUID).expect("it is there");
        host.packet(2, 100);
        assert_eq!(feed.step(NO_TIME).expect("it works"), Progress::default());
        assert!(!feed.is_open() && taken(&lines).is_empty());
    }

    #[test]
    fn an_end_that_was_lost_is_made_up_for() {
        let mut host = Host::new();
        let (metering, lines) = metering();
        let registry = Registry::new();
        registry.register(GUID, metering as _).expect("it is free");
        let mut feed = Feed::new(host.proc(), &registry, Selection::All, "").expect("it is right");
        for id in [1, 2, 3] {
            host.start(id);
        }
        host.packet(1, 100);
        assert_eq!(feed.step(NO_TIME).expect("it works").events, 4);
        host.lost = 1;
        host.packet(3, 10);
        host.lists(&[3]);
        assert_eq!(feed.step(NO_TIME).expect("it works"), Progress { events: 1, lost: 1 });
        // One of the two was only on its way.
        host.event(2, &bytes_of(&connection(2, 77)), 5);
        while feed.monitor.as_ref().is_some_and(|monitor| monitor.missing.is_some()) {
            let _ = feed.step(NO_TIME).expect("it works");
        }
        let lines = taken(&lines);
        let expected = ["1 started 0", "2 started 0", "3 started 0", "2 ended 77", "1 ended 100"];
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_step_that_waits_is_woken_by_the_registry() {
        // It would wait that long if it were not woken.
        const LONG: Duration = Duration::from_secs(60);

        let folder = tempfile::tempdir().expect("there is room");
        let registry = Registry::new();
        let mut feed = Feed::new(Proc::new(folder.path().join("none")), &registry, GUID.into(), "")
            .expect("it is right");
        let (metering, _) = metering();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| feed.step(Some(LONG)).map(drop));
            registry.register(GUID, metering as _).expect("it is free");
            let error = waiting.join().expect("it does not panic").expect_err("nothing is there");
            assert!(error.to_string().starts_with("MUTEX is not loaded"), "{error}");
        });
        registry.unregister(GUID).expect("it is there");
        assert_eq!(feed.step(NO_TIME).expect("nobody is there"), Progress::default());
    }

    #[test]
    fn filters_are_of_what_packets_have() {
        let text = |terms| filter(terms).map(|filter| filter.to_string());
        let error = |terms| text(terms).expect_err("it is wrong").to_string();
        assert_eq!(text("").expect("it is right"), "kind=start,end,packet");
        assert_eq!(
            text("protocol=udp  remote!=10.0.0.0/8 sample=5 uid=7").expect("it is right"),
            "kind=start,end,packet protocol=udp remote!=10.0.0.0/8 sample=5 uid=7"
        );
        for wrong in ["kind=end", "direction=sent", "drops>=1", "state=established", "pid=1"] {
            let key = wrong.split(['=', '>']).next().unwrap_or_default();
            let error = error(wrong);
            let start = format!("the filter is wrong: \"{key}\" is no key of metered packets");
            assert!(error.starts_with(&start), "{error}");
        }
        assert!(error("uid!=0").contains("takes no \"!=\""), "{}", error("uid!=0"));
        assert!(error("protocol=x").contains("\"x\" is no value of protocol"));
    }
}
