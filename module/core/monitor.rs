// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0

//! Monitors: what an open `/proc/mutex/events` is to get, and the queue that it gets it from.
//!
//! Any CPU offers events at any time and never waits; one reader takes them. An event that finds
//! the queue full is lost and counted, and the ones before it stay.
//!
//! A monitor is two things. Its [`Queue`] lives as long as the file is open and holds events and
//! counts. Its [`Filter`] never changes: whoever writes another one makes a new [`Monitor`] on the
//! same queue ([`Monitor::renewed`]), puts it in the old one's place and frees the old one after a
//! grace period. So producers need neither a lock nor a retry to read it, and what is pending,
//! numbered or counted is not touched.

use core::array;
use core::ops::Deref;

use crate::abi::*;
use crate::filter::Filter;
use crate::filter::Subject;
use crate::sync::atomic::AtomicU64;
use crate::sync::atomic::Ordering::AcqRel;
use crate::sync::atomic::Ordering::Acquire;
use crate::sync::atomic::Ordering::Relaxed;
use crate::sync::atomic::Ordering::Release;
use crate::wire::Wire;

/// Bytes of an event's record, at the most.
pub const RECORD_MAX: usize = {
    let mut max = mutex_connection::SIZE;
    if max < mutex_alert::SIZE {
        max = mutex_alert::SIZE;
    }
    if max < mutex_packet::SIZE {
        max = mutex_packet::SIZE;
    }
    max
};

/// Bytes of an event with its record, at the most.
pub const EVENT_MAX: usize = mutex_event::SIZE + RECORD_MAX;

/// Slots of a queue, at the least.
pub const SLOTS_MIN: usize = if cfg!(loom) { 2 } else { 64 };

const WORD: usize = u64::SIZE;
const WORDS: usize = if cfg!(loom) { 1 } else { RECORD_MAX / WORD };
const _: () = assert!(RECORD_MAX % WORD == 0 && mutex_event::SIZE % WORD == 0);

/// Room for one event. All zero is a slot that was never used.
#[repr(C)]
#[derive(Debug)]
pub struct Slot {
    /// Twice the lap of the queue in which it can be written next; one more once it is.
    stamp: AtomicU64,
    /// Kind in the lower half, bytes of the record in the upper.
    shape: AtomicU64,
    time: AtomicU64,
    lost: AtomicU64,
    record: [AtomicU64; WORDS],
}

impl Default for Slot {
    fn default() -> Self {
        Slot {
            stamp: AtomicU64::new(0),
            shape: AtomicU64::new(0),
            time: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            record: array::from_fn(|_| AtomicU64::new(0)),
        }
    }
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offered {
    /// The monitor did not ask for it; it is not counted.
    Unwanted,
    /// It is in the queue: the reader may have to be woken.
    Queued,
    /// The queue was full.
    Lost,
}

/// What came of taking an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// One was written: that many bytes.
    Event(usize),
    /// There is none.
    Nothing,
    /// The next one takes that many bytes, more than there is room for. It stays the next one.
    TooSmall(usize),
}

/// What became of all events that a monitor was to get; `delivered + lost + pending == produced`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events that matched, but for packets that sampling left out.
    pub produced: u64,
    /// Of those: taken by the reader.
    pub delivered: u64,
    /// Of those: they found the queue full.
    pub lost: u64,
    /// Of those: still in the queue.
    pub pending: u64,
}

/// Keeps what producers write and what the reader writes on cache lines of their own.
#[repr(align(64))]
#[derive(Debug, Default)]
struct Line(AtomicU64);

/// A bounded queue of events, from many producers to one reader at a time (Dmitry Vyukov's).
///
/// Positions count up for ever; the slot of a position is its lower bits, the lap the upper ones.
/// A producer reserves the position at `tail` by advancing it, which it can only while the slot is
/// stamped as free for that lap, writes the slot, and stamps it as written. The reader takes the
/// slot at `head` once it is so stamped, and stamps it as free for the next lap.
///
/// Positions are what was queued, so nothing else is counted but losses, and the counts balance by
/// construction: `delivered` is `head`, `pending` is `tail - head`, `produced` is `tail + lost`.
/// Sequence numbers come from the same two: that of an event is its position and the losses before
/// it. A producer reads `tail`, then `lost`, then reserves: so a loss stands after every event that
/// was queued before it and before every event that was offered after it, and what a position says
/// of losses is never less than what the one before it says.
#[derive(Debug)]
pub struct Queue<S> {
    slots: S,
    mask: u64,
    shift: u32,
    tail: Line,
    lost: Line,
    head: Line,
}

/// A position that a producer has reserved and owes an event.
struct Reserved<'a> {
    slot: &'a Slot,
    /// The stamp that tells that it is written.
    written: u64,
    /// The losses before it.
    lost: u64,
}

impl Reserved<'_> {
    fn write(self, kind: u32, time_ns: u64, record: &[u8]) {
        let slot = self.slot;
        slot.shape.store(u64::from(kind) | ((record.len() as u64) << 32), Relaxed);
        slot.time.store(time_ns, Relaxed);
        slot.lost.store(self.lost, Relaxed);
        let mut rest = record;
        for word in slot.record.iter().take(record.len() / WORD) {
            let value;
            (value, rest) = u64::take(rest);
            word.store(value, Relaxed);
        }
        slot.stamp.store(self.written, Release);
    }
}

impl<S: Deref<Target = [Slot]>> Queue<S> {
    /// An empty queue. The slots are all zero; they number a power of two from [`SLOTS_MIN`] up,
    /// else there is `None`.
    pub fn new(slots: S) -> Option<Self> {
        let size = slots.len();
        (size >= SLOTS_MIN && size.is_power_of_two()).then(|| Queue {
            mask: (size as u64).wrapping_sub(1),
            shift: size.trailing_zeros(),
            slots,
            tail: Line::default(),
            lost: Line::default(),
            head: Line::default(),
        })
    }

    /// How many events it has room for.
    pub fn size(&self) -> usize {
        self.slots.len()
    }

    /// The slot of a position, and the stamp with which it is free for it.
    #[inline]
    fn slot(&self, position: u64) -> Option<(&Slot, u64)> {
        let slot = self.slots.get((position & self.mask) as usize)?;
        Some((slot, position.wrapping_shr(self.shift).wrapping_mul(2)))
    }

    /// Whether the reader has not yet freed the slot that is next.
    #[inline]
    fn is_full(&self) -> bool {
        self.slot(self.tail.0.load(Acquire))
            .is_none_or(|(slot, free)| slot.stamp.load(Acquire) < free)
    }

    /// Reserves the next position, which `position` was when the caller looked; `None` if the
    /// queue is full.
    #[inline]
    fn reserve(&self, mut position: u64) -> Option<Reserved<'_>> {
        // Each turn but the last was lost to another producer, so that running out of them means
        // that a whole queue of events went in meanwhile. It keeps the time bounded.
        for _ in 0..self.slots.len() {
            let lost = self.lost.0.load(Acquire);
            let (slot, free) = self.slot(position)?;
            let stamp = slot.stamp.load(Acquire);
            if stamp < free {
                return None;
            }
            if stamp > free {
                position = self.tail.0.load(Acquire);
                continue;
            }
            // Whoever acquires the new tail reads `lost` after this did.
            match self.tail.0.compare_exchange(position, position.wrapping_add(1), AcqRel, Acquire)
            {
                Ok(_) => return Some(Reserved { slot, written: free.wrapping_add(1), lost }),
                Err(seen) => position = seen,
            }
        }
        None
    }

    fn lose(&self) -> Offered {
        self.lost.0.fetch_add(1, AcqRel);
        Offered::Lost
    }

    /// Queues an event or counts it as lost. `record` writes its record to the start of the bytes
    /// it is given, which are zero, and says how many they are; it is not called for an event that
    /// is lost anyway, and before a slot is reserved, so that the reader never waits for it.
    pub fn push(
        &self,
        kind: u32,
        time_ns: u64,
        record: impl FnOnce(&mut [u8]) -> usize,
    ) -> Offered {
        if self.is_full() {
            return self.lose();
        }
        let mut bytes = [0; RECORD_MAX];
        let words = record(&mut bytes).min(RECORD_MAX).div_ceil(WORD);
        let Some(reserved) = self.reserve(self.tail.0.load(Acquire)) else {
            return self.lose();
        };
        reserved.write(kind, time_ns, bytes.get(..words.wrapping_mul(WORD)).unwrap_or(&[]));
        Offered::Queued
    }

    /// The slot of a position if it is written, and the stamp that frees it.
    fn written(&self, position: u64) -> Option<(&Slot, u64)> {
        let (slot, free) = self.slot(position)?;
        (slot.stamp.load(Acquire) == free.wrapping_add(1)).then(|| (slot, free.wrapping_add(2)))
    }

    /// Whether [`Queue::take`] would find nothing.
    pub fn is_empty(&self) -> bool {
        self.written(self.head.0.load(Acquire)).is_none()
    }

    /// Writes the next event, a `mutex_event` and its record, to the start of `out`.
    ///
    /// For one reader at a time: two would see events twice.
    pub fn take(&self, out: &mut [u8]) -> Taken {
        let head = self.head.0.load(Relaxed);
        let Some((slot, freed)) = self.written(head) else {
            return Taken::Nothing;
        };
        let shape = slot.shape.load(Relaxed);
        let record_size = ((shape >> 32) as usize).min(RECORD_MAX);
        let size = mutex_event::SIZE + record_size;
        let lost = slot.lost.load(Relaxed);
        let event = mutex_event {
            size: size as u32,
            kind: shape as u32,
            sequence: head.wrapping_add(1).wrapping_add(lost),
            lost,
            time_ns: slot.time.load(Relaxed),
        };
        let Some(mut rest) = out.get_mut(..size).and_then(|out| event.put(out)) else {
            return Taken::TooSmall(size);
        };
        for word in slot.record.iter().take(record_size / WORD) {
            match word.load(Relaxed).put(rest) {
                Some(after) => rest = after,
                None => break,
            }
        }
        slot.stamp.store(freed, Release);
        self.head.0.store(head.wrapping_add(1), Release);
        Taken::Event(size)
    }

    /// The counts. They balance at any time, and are those of one moment at rest.
    pub fn counts(&self) -> Counts {
        // In this order: what is delivered was queued before.
        let delivered = self.head.0.load(Acquire);
        let queued = self.tail.0.load(Acquire);
        let lost = self.lost.0.load(Acquire);
        Counts {
            produced: queued.wrapping_add(lost),
            delivered,
            lost,
            pending: queued.wrapping_sub(delivered),
        }
    }
}

/// What a producer sees of an open `/proc/mutex/events`: its filter, and where its queue is.
#[derive(Debug)]
pub struct Monitor<Q> {
    filter: Filter,
    /// Packets that matched.
    packets: AtomicU64,
    queue: Q,
}

impl<S: Deref<Target = [Slot]>, Q: Deref<Target = Queue<S>>> Monitor<Q> {
    /// A monitor with the default filter.
    pub fn new(queue: Q) -> Self {
        Monitor { filter: Filter::EMPTY, packets: AtomicU64::new(0), queue }
    }

    /// The same monitor with another filter, to be put in this one's place. Sampling starts anew;
    /// all else goes on in the queue that both share.
    pub fn renewed(&self, filter: Filter) -> Self
    where
        Q: Clone,
    {
        Monitor { filter, packets: AtomicU64::new(0), queue: self.queue.clone() }
    }

    /// The filter.
    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    /// The queue.
    pub fn queue(&self) -> &Q {
        &self.queue
    }

    /// Offers an event; see [`Queue::push`] for `record`. May be called from any CPU at any time,
    /// and does not wait for anyone.
    #[inline]
    pub fn offer(
        &self,
        subject: &Subject,
        time_ns: u64,
        record: impl FnOnce(&mut [u8]) -> usize,
    ) -> Offered {
        if !self.filter.matches(subject) || !self.is_sampled(subject.kind) {
            return Offered::Unwanted;
        }
        self.queue.push(subject.kind, time_ns, record)
    }

    #[inline]
    fn is_sampled(&self, kind: u32) -> bool {
        let every = u64::from(self.filter.sample());
        if kind != MUTEX_EVENT_PACKET || every <= 1 {
            return true;
        }
        self.packets.fetch_add(1, Relaxed).wrapping_add(1) % every == 0
    }

    /// Takes the next event; see [`Queue::take`].
    pub fn take(&self, out: &mut [u8]) -> Taken {
        self.queue.take(out)
    }

    /// Whether there is none to be taken.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// All counts at once.
    pub fn counts(&self) -> Counts {
        self.queue.counts()
    }

    /// Events that it was to get.
    pub fn produced(&self) -> u64 {
        self.counts().produced
    }

    /// Events that were taken.
    pub fn delivered(&self) -> u64 {
        self.counts().delivered
    }

    /// Events that found the queue full.
    pub fn lost(&self) -> u64 {
        self.counts().lost
    }

    /// Events that wait to be taken.
    pub fn pending(&self) -> u64 {
        self.counts().pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::collections::HashSet;
    use std::collections::VecDeque;
    use std::prelude::v1::*;
    use std::sync::atomic::AtomicBool;
    use std::sync::atomic::AtomicU32;

    fn queue(size: usize) -> Queue<Vec<Slot>> {
        Queue::new(std::iter::repeat_with(Slot::default).take(size).collect())
            .expect("sizes in tests are right")
    }

    fn filter(text: &str) -> Filter {
        Filter::parse(text).expect("filters in tests are right")
    }

    /// Takes one event apart.
    fn take(queue: &Queue<Vec<Slot>>) -> Option<(mutex_event, Vec<u8>)> {
        let mut out = [0xff; EVENT_MAX];
        match queue.take(&mut out) {
            Taken::Event(size) => {
                let (event, _) = mutex_event::take(&out);
                assert_eq!(event.size as usize, size);
                assert!(out[size..].iter().all(|&byte| byte == 0xff));
                Some((event, out[mutex_event::SIZE..size].to_vec()))
            }
            Taken::Nothing => None,
            Taken::TooSmall(size) => std::panic!("{size} bytes do not fit into EVENT_MAX"),
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Push(u32, usize, u8),
        Take(usize),
        Drain,
    }

    fn some_step() -> impl Strategy<Value = Step> {
        prop_oneof![
            8 => (1..=4u32, 0..=RECORD_MAX + 9, any::<u8>())
                .prop_map(|(kind, size, byte)| Step::Push(kind, size, byte)),
            3 => (0..=EVENT_MAX).prop_map(Step::Take),
            1 => Just(Step::Drain),
        ]
    }

    proptest! {
        #[test]
        fn is_a_bounded_queue_that_counts(steps in vec(some_step(), 0..600)) {
            let queue = queue(SLOTS_MIN);
            let mut model = VecDeque::new();
            let (mut sequence, mut lost, mut delivered) = (0u64, 0u64, 0u64);
            for step in steps {
                let mut room = EVENT_MAX;
                let takes = match step {
                    Step::Push(kind, size, byte) => {
                        sequence += 1;
                        let offered = queue.push(kind, sequence * 10, |out| {
                            let size = size.min(out.len());
                            out[..size].fill(byte);
                            size
                        });
                        if model.len() == SLOTS_MIN {
                            lost += 1;
                            prop_assert_eq!(offered, Offered::Lost);
                        } else {
                            prop_assert_eq!(offered, Offered::Queued);
                            let mut record = vec![byte; size.min(RECORD_MAX)];
                            record.resize(record.len().next_multiple_of(8), 0);
                            model.push_back((kind, sequence, lost, record));
                        }
                        0
                    }
                    Step::Take(size) => {
                        room = size;
                        1
                    }
                    Step::Drain => SLOTS_MIN + 1,
                };
                for _ in 0..takes {
                    let mut out = vec![0xff; room];
                    let taken = queue.take(&mut out);
                    let Some((kind, sequence, lost, record)) = model.front().cloned() else {
                        prop_assert_eq!(taken, Taken::Nothing);
                        break;
                    };
                    let size = mutex_event::SIZE + record.len();
                    if room < size {
                        prop_assert_eq!(taken, Taken::TooSmall(size));
                        prop_assert!(out.iter().all(|&byte| byte == 0xff));
                        break;
                    }
                    prop_assert_eq!(taken, Taken::Event(size));
                    let (event, rest) = mutex_event::take(&out);
                    let time_ns = sequence * 10;
                    let size = size as u32;
                    prop_assert_eq!(event, mutex_event { size, kind, sequence, lost, time_ns });
                    prop_assert_eq!(&rest[..record.len()], &record[..]);
                    model.pop_front();
                    delivered += 1;
                }
                let pending = model.len() as u64;
                let counts = Counts { produced: sequence, delivered, lost, pending };
                prop_assert_eq!(queue.counts(), counts);
                prop_assert_eq!(queue.is_empty(), pending == 0);
            }
        }
    }

    #[test]
    fn slots_are_a_power_of_two_and_not_few() {
        for (size, right) in [(0, false), (32, false), (64, true), (96, false), (128, true)] {
            let slots: Vec<_> = std::iter::repeat_with(Slot::default).take(size).collect();
            assert_eq!(Queue::new(slots).is_some(), right, "{size}");
        }
    }

    #[test]
    fn every_nth_packet_and_every_other_event() {
        let queue = queue(64);
        let monitor = Monitor::new(&queue).renewed(filter("kind=start,packet sample=3"));
        let offer = |kind| monitor.offer(&Subject::new(kind), 0, |_| 0);
        let offered: Vec<_> = (0..7).map(|_| offer(MUTEX_EVENT_PACKET)).collect();
        let queued: Vec<_> = (1..=7).filter(|i| offered[i - 1] == Offered::Queued).collect();
        assert_eq!(queued, [3, 6]);
        assert_eq!(offer(MUTEX_EVENT_START), Offered::Queued);
        assert_eq!(offer(MUTEX_EVENT_END), Offered::Unwanted);
        assert_eq!(monitor.produced(), 3);
    }

    #[test]
    fn another_filter_leaves_events_and_counts_alone() {
        let queue = queue(64);
        let before = Monitor::new(&queue);
        let offer = |monitor: &Monitor<_>, kind| monitor.offer(&Subject::new(kind), 0, |_| 0);
        for _ in 0..65 {
            offer(&before, MUTEX_EVENT_START);
        }
        let after = before.renewed(filter("kind=end"));
        assert_eq!(after.counts(), Counts { produced: 65, lost: 1, pending: 64, delivered: 0 });
        assert_eq!(offer(&after, MUTEX_EVENT_START), Offered::Unwanted);
        take(&queue).expect("64 events are pending");
        assert_eq!(offer(&after, MUTEX_EVENT_END), Offered::Queued);
        let (last, _) = std::iter::from_fn(|| take(&queue)).last().expect("64 are pending");
        assert_eq!((last.kind, last.sequence, last.lost), (MUTEX_EVENT_END, 66, 1));
    }

    #[test]
    fn a_reserved_position_holds_back_what_comes_after_it() {
        let queue = queue(64);
        let reserve = |position| queue.reserve(position).expect("the queue is not full");
        (0..62).for_each(|_| assert_eq!(queue.push(1, 0, |_| 0), Offered::Queued));
        let (first, second) = (reserve(62), reserve(63));
        second.write(1, 0, &[]);
        assert_eq!(std::iter::from_fn(|| take(&queue)).count(), 62);
        assert!(queue.is_empty());
        assert_eq!(queue.counts(), Counts { produced: 64, delivered: 62, lost: 0, pending: 2 });
        first.write(1, 0, &[]);
        assert_eq!(std::iter::from_fn(|| take(&queue)).count(), 2);
    }

    #[test]
    fn a_loss_stands_after_what_was_reserved_before_it() {
        let queue = queue(64);
        let reserved: Vec<_> = (0..64).filter_map(|position| queue.reserve(position)).collect();
        // All but the first are written before the loss, and the first after it.
        let mut reserved = reserved.into_iter();
        let first = reserved.next().expect("64 are reserved");
        reserved.for_each(|reserved| reserved.write(1, 0, &[]));
        assert_eq!(queue.push(1, 0, |_| 0), Offered::Lost);
        first.write(1, 0, &[]);
        let told: Vec<_> = std::iter::from_fn(|| take(&queue))
            .map(|(event, _)| (event.sequence, event.lost))
            .collect();
        assert_eq!(told, (1..=64).map(|sequence| (sequence, 0)).collect::<Vec<_>>());
        assert_eq!(queue.push(1, 0, |_| 0), Offered::Queued);
        let (event, _) = take(&queue).expect("one was queued");
        assert_eq!((event.sequence, event.lost), (66, 1));
    }

    #[test]
    fn having_looked_too_early_is_no_loss() {
        let queue = queue(64);
        for position in 0..200 {
            let stale = [0, position / 2, position][position as usize % 3];
            let reserved = queue.reserve(stale).expect("the queue is empty");
            reserved.write(1, position, &[]);
            assert_eq!(take(&queue).map(|(event, _)| event.time_ns), Some(position));
        }
        assert_eq!(queue.counts().lost, 0);
    }

    #[test]
    fn who_is_overtaken_for_ever_gives_up() {
        let queue = queue(64);
        // A tail that nobody may advance from: as if each turn were lost to another producer.
        queue.slots.iter().for_each(|slot| slot.stamp.store(9, Relaxed));
        assert!(queue.reserve(0).is_none());
    }

    /// Producers and what became of each of their events; a reader that is slow at times.
    #[test]
    fn nothing_is_counted_twice_or_not_at_all_under_threads() {
        const PRODUCERS: u64 = 4;
        const EVENTS: u64 = 30_000;
        let queue = queue(64);
        let monitor = Monitor::new(&queue);
        let running = AtomicU32::new(PRODUCERS as u32);
        let balanced = AtomicBool::new(true);
        let body = |producer: u64, number: u64| (producer << 32) | number;
        let (delivered, queued) = std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut events = Vec::new();
                loop {
                    let last_turn = running.load(Acquire) == 0;
                    while let Some((event, record)) = take(&queue) {
                        let (first, _) = u64::take(&record);
                        // Every word of a record is of the same event.
                        for (index, word) in (0..).zip(record.chunks(8)) {
                            assert_eq!(u64::take(word).0, first.wrapping_add(index));
                        }
                        assert_eq!((event.time_ns, record.len() % 16), (first, 8));
                        events.push((event, first));
                        if events.len() % 97 == 0 {
                            std::thread::yield_now();
                        }
                    }
                    if last_turn {
                        break events;
                    }
                    std::thread::yield_now();
                }
            });
            let producers: Vec<_> = (0..PRODUCERS)
                .map(|producer| {
                    let (monitor, running, balanced) = (&monitor, &running, &balanced);
                    scope.spawn(move || {
                        let mut queued = Vec::new();
                        for number in 0..EVENTS {
                            let first = body(producer, number);
                            let words = 1 + 2 * (number % 23);
                            let subject = Subject::new(MUTEX_EVENT_START);
                            let offered = monitor.offer(&subject, first, |out| {
                                for (index, word) in (0..words).zip(out.chunks_mut(8)) {
                                    first.wrapping_add(index).put(word).expect("a word fits");
                                }
                                8 * words as usize
                            });
                            match offered {
                                Offered::Queued => queued.push(first),
                                // Lets the reader have a turn now and then, or next to all would be lost.
                                Offered::Lost if number % 8 == 0 => std::thread::yield_now(),
                                Offered::Lost => {}
                                Offered::Unwanted => std::panic!("the empty filter wants starts"),
                            }
                            let counts = monitor.counts();
                            if counts.delivered + counts.lost + counts.pending != counts.produced {
                                balanced.store(false, Relaxed);
                            }
                        }
                        running.fetch_sub(1, AcqRel);
                        queued
                    })
                })
                .collect();
            let queued: Vec<u64> =
                producers.into_iter().flat_map(|producer| producer.join().unwrap()).collect();
            (reader.join().unwrap(), queued)
        });

        assert!(balanced.load(Relaxed));
        let produced = PRODUCERS * EVENTS;
        let lost = produced - queued.len() as u64;
        let counts = Counts { produced, delivered: queued.len() as u64, lost, pending: 0 };
        assert_eq!(monitor.counts(), counts);
        assert_eq!(delivered.len(), queued.len());
        let firsts: HashSet<u64> = delivered.iter().map(|&(_, first)| first).collect();
        assert_eq!(firsts, queued.iter().copied().collect());

        let mut last_of = [None; PRODUCERS as usize];
        let (mut sequence, mut lost_before) = (0, 0);
        for (event, first) in delivered {
            assert_eq!(event.sequence - sequence - 1, event.lost - lost_before);
            (sequence, lost_before) = (event.sequence, event.lost);
            let (producer, number) = ((first >> 32) as usize, first & 0xffff_ffff);
            // What this producer alone has lost in between is part of the gap.
            let skipped = number - last_of[producer].map_or(0, |(last, _)| last + 1);
            let gap = event.lost - last_of[producer].map_or(0, |(_, lost)| lost);
            assert!(skipped <= gap, "{skipped} lost, {gap} told");
            last_of[producer] = Some((number, event.lost));
        }
    }
}
