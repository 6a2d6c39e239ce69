// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0

//! What processors do to the same words at once, in every order that the language's memory model
//! allows them (up to a few changes from one to another in the midst).
//!
//! Each model is run as it is, and again with a fault that it has to find: an order left out of the
//! real code (see `sync/atomic.rs`), or a rule that callers have to keep and here do not.

#![cfg(all(loom, test))]

use std::any::Any;
use std::collections::BTreeSet;
use std::panic::catch_unwind;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use loom::sync::atomic::fence;
use loom::sync::atomic::AtomicU32 as Flag;
use loom::thread;
use loom::thread::JoinHandle;
use mutex_core::abi::mutex_alert;
use mutex_core::abi::mutex_event;
use mutex_core::abi::MUTEX_EVENT_START;
use mutex_core::alert;
use mutex_core::alert::Alerts;
use mutex_core::alert::Read;
use mutex_core::arena::Arena;
use mutex_core::arena::Linked;
use mutex_core::counters::Flow;
use mutex_core::counters::Traffic;
use mutex_core::cpu::Cpu;
use mutex_core::cpu::Pinned;
use mutex_core::index::Bucket;
use mutex_core::index::Index;
use mutex_core::monitor;
use mutex_core::monitor::Counts;
use mutex_core::monitor::Offered;
use mutex_core::monitor::Queue;
use mutex_core::monitor::Taken;
use mutex_core::monitor::EVENT_MAX;
use mutex_core::seqlock::SeqLock;
use mutex_core::sync::atomic::leave_out;
use mutex_core::sync::atomic::seen;
use mutex_core::sync::atomic::AtomicU32;
use mutex_core::sync::atomic::AtomicU64;
use mutex_core::sync::atomic::Ordering::Acquire;
use mutex_core::sync::atomic::Ordering::Relaxed;
use mutex_core::sync::atomic::Ordering::Release;
use mutex_core::sync::atomic::Ordering::SeqCst;
use mutex_core::sync::atomic::Place;
use mutex_core::wire::Wire;

/// What the library's own files take their locks from.
mod sync {
    pub use loom::sync::Condvar;
    pub use loom::sync::Mutex;
}

// The library is written in a later edition, and styled as it.
#[rustfmt::skip]
#[path = "../../userspace/mutex-stats/src/monitor/latest.rs"]
mod latest;
#[rustfmt::skip]
#[path = "../../userspace/mutex-stats/src/stop.rs"]
mod stop;
#[rustfmt::skip]
#[path = "../../userspace/mutex-stats/src/monitor/tally.rs"]
mod tally;

/// How often one thread may be taken off in favour of another where it need not be. Hardly a fault
/// takes more than two; each one more takes ten times as long.
const PREEMPTIONS: usize = 2;

/// Runs the model in every order, with one place left out; what it fails of, and the places that it
/// came by.
fn explore(model: fn(), left_out: Option<Place>) -> (Result<(), String>, BTreeSet<Place>) {
    let run = move || {
        leave_out(left_out);
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(PREEMPTIONS);
        builder.max_branches = 20_000;
        let outcome = catch_unwind(AssertUnwindSafe(|| builder.check(model)));
        (outcome.map_err(said), seen())
    };
    // What a model leaves behind when it fails is its thread's.
    std::thread::spawn(run).join().expect("panics are caught")
}

fn said(panic: Box<dyn Any + Send>) -> String {
    match (panic.downcast_ref::<String>(), panic.downcast_ref::<&str>()) {
        (Some(said), _) => said.clone(),
        (None, Some(said)) => (*said).to_owned(),
        (None, None) => String::new(),
    }
}

fn file_of(place: &Place) -> &'static str {
    let path = place.at.file();
    path.rsplit('/').next().unwrap_or(path)
}

/// The file and the line of code of a place, and what is asked for.
fn show(place: &Place) -> String {
    let (file, line) = (file_of(place), place.at.line() as usize);
    let source = std::fs::read_to_string(place.at.file()).expect("the sources are here");
    let code = source.lines().nth(line - 1).expect("a file has the lines that it is made of");
    format!("{file}: {}: {:?}", code.trim(), place.what)
}

/// The models hold, and without any of the orders in one of `files` that they come by one of them does
/// not. But for those that are `spare`, for the reason that stands beside each.
fn hold_and_need_each_order(files: &[&str], models: &[fn()], spare: &[&str]) {
    let mut places = BTreeSet::new();
    for (number, model) in models.iter().enumerate() {
        let began = Instant::now();
        let (outcome, seen) = explore(*model, None);
        outcome.unwrap_or_else(|said| panic!("model {number} does not hold: {said}"));
        println!("model {number} holds, seen in {:?}", began.elapsed());
        places.extend(seen.into_iter().filter(|place| files.contains(&file_of(place))));
    }
    for spare in spare {
        assert!(places.iter().any(|place| show(place) == *spare), "{spare}: no model comes by");
    }
    for place in &places {
        let shown = show(place);
        if spare.contains(&shown.as_str()) {
            continue;
        }
        let found = models.iter().find_map(|model| explore(*model, Some(*place)).0.err());
        let said = found.unwrap_or_else(|| panic!("nothing fails without {shown}"));
        let said = said.lines().next().unwrap_or_default();
        assert!(!said.contains("exceeded"), "without {shown} it is not known: {said}");
        println!("without {shown}: {said}");
    }
}

/// The model fails, saying so.
fn fails(saying: &str, model: fn()) {
    let said = explore(model, None).0.expect_err("a fault that the model has to find is not found");
    assert!(said.contains(saying), "it fails for another reason: {said}");
}

fn join<T>(threads: impl IntoIterator<Item = JoinHandle<T>>) -> Vec<T> {
    threads.into_iter().map(|thread| thread.join().expect("no thread panics alone")).collect()
}

fn many<T: Default>(count: usize) -> Vec<T> {
    std::iter::repeat_with(T::default).take(count).collect()
}

/// Every thread of a model is a CPU of its own.
struct OwnCpu;

impl Pinned for OwnCpu {
    fn cpu(&self) -> &Cpu {
        unreachable!("nothing here counts by CPU")
    }
}

mod seqlock {
    use super::*;

    /// Two words that are always the same.
    #[derive(Default)]
    struct Pair {
        lock: SeqLock,
        words: [AtomicU64; 2],
    }

    impl Pair {
        fn add(&self) {
            let writing = self.lock.write();
            for word in &self.words {
                word.store(word.load(Relaxed) + 1, Relaxed);
            }
            drop(writing);
        }

        fn is_whole(&self) -> bool {
            let [one, other] =
                self.lock.read(|| self.words.each_ref().map(|word| word.load(Relaxed)));
            one == other
        }
    }

    fn writers_and_a_reader() {
        let pair = Arc::new(Pair::default());
        let writers = [0; 2].map(|_| {
            let pair = pair.clone();
            thread::spawn(move || pair.add())
        });
        assert!(pair.is_whole(), "torn");
        join(writers);
        assert_eq!(pair.words.each_ref().map(|word| word.load(Relaxed)), [2, 2], "lost");
    }

    /// As [`SeqLock::read`] would be without looking at the version again.
    fn a_reader_that_looks_once() {
        let pair = Arc::new(Pair::default());
        let writer = thread::spawn({
            let pair = pair.clone();
            move || pair.add()
        });
        let [one, other] = pair.words.each_ref().map(|word| word.load(Relaxed));
        assert!(one == other, "torn");
        join([writer]);
    }

    #[test]
    fn a_reader_has_words_of_one_moment_and_no_writer_is_lost() {
        hold_and_need_each_order(&["seqlock.rs"], &[writers_and_a_reader], &[]);
    }

    #[test]
    fn without_looking_again_it_breaks() {
        fails("torn", a_reader_that_looks_once);
    }
}

mod flow {
    use super::*;

    const AMOUNT: Traffic = Traffic { packets: 1, buffers: 2, bytes: 3, payload: 4 };

    fn a_packet_and_a_reader() {
        let flow = Arc::new(Flow::default());
        let packet = thread::spawn({
            let flow = flow.clone();
            move || flow.count(&AMOUNT, 7, 9)
        });
        let copy = flow.copy();
        let none = (Traffic::default(), 0, 0);
        let seen = (copy.traffic, copy.last_seen, copy.interface);
        assert!(seen == none || seen == (AMOUNT, 7, 9), "torn");
        join([packet]);
        assert_eq!(flow.copy().traffic, AMOUNT, "lost");
    }

    fn two_packets() {
        let flow = Arc::new(Flow::default());
        let packet = thread::spawn({
            let flow = flow.clone();
            move || flow.count(&AMOUNT, 7, 9)
        });
        flow.count(&AMOUNT, 7, 9);
        join([packet]);
        assert_eq!(flow.copy().traffic.payload, 8, "lost");
    }

    #[test]
    fn a_direction_counts_each_packet_and_shows_one_moment() {
        hold_and_need_each_order(
            &["counters.rs", "seqlock.rs"],
            &[a_packet_and_a_reader, two_packets],
            &[],
        );
    }
}

mod arena {
    use super::*;

    #[derive(Default)]
    struct Record {
        next: AtomicU32,
        owners: AtomicU32,
        /// How often it was taken, counted without any order of its own.
        taken: AtomicU64,
    }

    impl Linked for Record {
        fn next(&self) -> &AtomicU32 {
            &self.next
        }
    }

    fn use_record(arena: &Arena<Vec<Record>>, number: u32) {
        let record = &arena.records()[number as usize];
        assert_eq!(record.owners.fetch_add(1, Relaxed), 0, "two have it");
        record.taken.store(record.taken.load(Relaxed) + 1, Relaxed);
        record.owners.fetch_sub(1, Relaxed);
    }

    fn use_one(arena: &Arena<Vec<Record>>) -> u64 {
        let Some(number) = arena.take() else {
            return 0;
        };
        use_record(arena, number);
        arena.give_back(number);
        1
    }

    fn takers() {
        let arena = Arc::new(Arena::new(many::<Record>(2)));
        // All are on the free list, so that what is taken was given back.
        let all = [arena.take(), arena.take()];
        all.into_iter().flatten().for_each(|number| arena.give_back(number));
        let threads = [0; 2].map(|_| {
            let arena = arena.clone();
            thread::spawn(move || use_one(&arena) + use_one(&arena))
        });
        let taken: u64 = join(threads).into_iter().sum();
        let counted: u64 = arena.records().iter().map(|record| record.taken.load(Relaxed)).sum();
        assert_eq!((taken, counted), (4, 4), "what its last owner wrote is lost");
        assert_eq!((arena.used(), std::iter::from_fn(|| arena.take()).count()), (0, 2));
    }

    /// The record at the head of the list is taken and given back while somebody takes it, and the
    /// one behind it is not in the list any more.
    fn the_same_head_again() {
        let arena = Arc::new(Arena::new(many::<Record>(2)));
        let all = [arena.take(), arena.take()];
        all.into_iter().flatten().for_each(|number| arena.give_back(number));
        let other = thread::spawn({
            let arena = arena.clone();
            move || use_one(&arena) + use_one(&arena)
        });
        let mine = [arena.take(), arena.take()];
        mine[0].into_iter().for_each(|number| arena.give_back(number));
        mine[1].into_iter().for_each(|number| use_record(&arena, number));
        mine[1].into_iter().for_each(|number| arena.give_back(number));
        join([other]);
        assert_eq!((arena.used(), std::iter::from_fn(|| arena.take()).count()), (0, 2));
    }

    /// As if records went back while somebody still knows them.
    fn a_record_used_after_it_was_given_back() {
        let arena = Arc::new(Arena::new(many::<Record>(1)));
        let number = arena.take().expect("one is free");
        let other = thread::spawn({
            let arena = arena.clone();
            move || use_one(&arena)
        });
        arena.give_back(number);
        use_record(&arena, number);
        join([other]);
    }

    #[test]
    fn a_record_has_one_owner_at_a_time_who_sees_what_the_last_one_did() {
        let spare = [
            // A record that was never used has nothing that somebody else wrote.
            "arena.rs: .fetch_update(Release, Relaxed, |fresh| (fresh < self.size).then_some(fresh + 1)): Release",
        ];
        hold_and_need_each_order(&["arena.rs"], &[takers, the_same_head_again], &spare);
    }

    #[test]
    fn without_its_rule_it_breaks() {
        fails("two have it", a_record_used_after_it_was_given_back);
    }
}

/// The index with the arena behind it, as the engine uses them, and RCU around.
mod index {
    use super::*;

    /// Threads that may be in a read side.
    const READERS: usize = 2;

    /// RCU as userspace has it: readers say that they are inside, who waits looks until each was
    /// outside once.
    struct Rcu {
        inside: [Flag; READERS],
    }

    impl Rcu {
        fn new() -> Self {
            Rcu { inside: [0; READERS].map(Flag::new) }
        }

        fn read<T>(&self, me: usize, section: impl FnOnce() -> T) -> T {
            self.inside[me].store(1, Relaxed);
            fence(SeqCst);
            let result = section();
            self.inside[me].store(0, Release);
            result
        }

        fn wait_for_readers(&self) {
            fence(SeqCst);
            for inside in &self.inside {
                while inside.load(Acquire) != 0 {
                    thread::yield_now();
                }
            }
            fence(SeqCst);
        }
    }

    #[derive(Default)]
    struct Record {
        key: AtomicU64,
        packets: AtomicU64,
        next: AtomicU32,
    }

    impl Linked for Record {
        fn next(&self) -> &AtomicU32 {
            &self.next
        }
    }

    struct Table {
        index: Index<Vec<Bucket>>,
        records: Arena<Vec<Record>>,
        rcu: Rcu,
    }

    /// Two connections whose tags are the same.
    const KEYS: [u64; 2] = [5, 6];
    const HASH: u64 = 0;

    impl Table {
        fn new(records: usize) -> Self {
            Table {
                index: Index::new(many(1)).expect("a power of two"),
                records: Arena::new(many(records)),
                rcu: Rcu::new(),
            }
        }

        fn find(&self, key: u64) -> Option<u32> {
            let recognise = |number| {
                let found = self.record(number).key.load(Relaxed);
                assert!(KEYS.contains(&found), "published before it was written");
                (found == key).then_some(number)
            };
            let likely = self.index.likely(HASH).and_then(recognise);
            likely.or_else(|| self.index.find(HASH, recognise))
        }

        fn record(&self, number: u32) -> &Record {
            &self.records.records()[number as usize]
        }

        /// Counts a packet, in a new record if its connection is not known; how many had no place.
        fn count(&self, key: u64) -> u64 {
            let known = self.find(key).or_else(|| self.open(key));
            match known {
                Some(number) => {
                    self.record(number).packets.fetch_add(1, Relaxed);
                    0
                }
                None => 1,
            }
        }

        /// Opens a connection, unless somebody else is quicker.
        fn open(&self, key: u64) -> Option<u32> {
            let number = self.records.take()?;
            let record = self.record(number);
            record.key.store(key, Relaxed);
            record.packets.store(0, Relaxed);
            let locked = self.index.lock(&OwnCpu, HASH).expect("a bucket");
            match self.find(key) {
                None => {
                    assert!(locked.insert(number));
                    Some(number)
                }
                quicker => {
                    drop(locked);
                    self.records.give_back(number);
                    quicker
                }
            }
        }

        /// Another record for a connection, in the place of the one that it had.
        fn reopen(&self, key: u64) {
            let number = self.records.take().expect("there is room");
            self.record(number).key.store(key, Relaxed);
            let locked = self.index.lock(&OwnCpu, HASH).expect("a bucket");
            let old = self.find(key).expect("it was opened");
            assert!(locked.replace(old, number));
        }

        /// Takes a connection out and gives what it counted.
        fn collect(&self, key: u64, wait: bool) -> u64 {
            let Some(number) = self.find(key) else {
                return 0;
            };
            assert!(self.index.lock(&OwnCpu, HASH).expect("a bucket").remove(number));
            if wait {
                self.rcu.wait_for_readers();
            }
            let packets = self.record(number).packets.load(Relaxed);
            self.records.give_back(number);
            packets
        }
    }

    /// Packets of two connections, and a sweeper; room for one of them.
    fn collecting<const WAIT: bool>() {
        let table = Arc::new(Table::new(1));
        let [one, other] = KEYS;
        assert_eq!(table.count(one), 0);
        let packet = thread::spawn({
            let table = table.clone();
            move || table.rcu.read(0, || table.count(one))
        });
        let closed = table.collect(one, WAIT);
        let no_place = table.rcu.read(1, || table.count(other));
        let [untracked] = join([packet])[..] else { unreachable!() };
        let live = table.collect(one, true);
        assert_eq!(closed + live + untracked, 2, "the books of the first do not balance");
        let live = table.collect(other, true);
        assert_eq!(live + no_place, 1, "the books of the second do not balance");
        assert_eq!((table.records.used(), table.find(one), table.find(other)), (0, None, None));
    }

    /// Two packets at once, each the first of its connection as far as it knows.
    fn opening() {
        let table = Arc::new(Table::new(2));
        let [one, _] = KEYS;
        let packet = thread::spawn({
            let table = table.clone();
            move || table.rcu.read(0, || table.count(one))
        });
        let no_place = table.rcu.read(1, || table.count(one));
        let untracked: u64 = no_place + join([packet]).into_iter().sum::<u64>();
        assert_eq!((untracked, table.records.used()), (0, 1), "opened twice");
        assert_eq!((table.collect(one, true), table.find(one)), (2, None), "opened twice");
    }

    /// Who looks up while a connection gets another record finds the one or the other.
    fn replacing() {
        let table = Arc::new(Table::new(2));
        let [one, _] = KEYS;
        assert_eq!(table.open(one), Some(0));
        let other = thread::spawn({
            let table = table.clone();
            move || table.reopen(one)
        });
        assert!(table.find(one).is_some(), "found neither");
        join([other]);
        assert_eq!(table.find(one), Some(1));
    }

    /// A connection that is looked up while others come and go beside it, in a bucket so full that
    /// they stand in the next one.
    fn overflow() {
        let index = Arc::new(Index::new(many::<Bucket>(2)).expect("a power of two"));
        let insert = |number| index.lock(&OwnCpu, HASH).expect("a bucket").insert(number);
        let find = |wanted| index.find(HASH, |number| (number == wanted).then_some(number));
        assert!((0..8).all(insert));
        let thread = thread::spawn({
            let index = index.clone();
            move || {
                assert!(index.lock(&OwnCpu, HASH).expect("a bucket").insert(8));
                let found = index.find(HASH, |number| (number == 8).then_some(number));
                assert_eq!(found, Some(8), "not found");
                assert!(index.lock(&OwnCpu, HASH).expect("a bucket").remove(8));
            }
        });
        assert_eq!(find(7), Some(7), "not found");
        assert!(index.lock(&OwnCpu, HASH).expect("a bucket").remove(3));
        join([thread]);
        assert_eq!((find(7), find(3), find(8)), (Some(7), None, None), "not found");
    }

    #[test]
    fn each_packet_counts_in_its_connection_which_is_opened_once() {
        let spare = [
            // Who did not insert the entry does not mind when it is missed: it looks again under the lock.
            "index.rs: if found.is_some() || home.overflow.load(Acquire) == 0 {: Acquire",
            // Who has missed the entry knows nothing of the record, and who inserts after it has the lock.
            "index.rs: slot.store(0, Release);: Release",
        ];
        let models = [opening, replacing, collecting::<true>, overflow];
        hold_and_need_each_order(&["index.rs"], &models, &spare);
    }

    #[test]
    fn without_a_grace_period_one_counts_in_another() {
        fails("do not balance", collecting::<false>);
    }
}

mod alerts {
    use super::*;

    fn ring() -> Arc<Alerts<Vec<alert::Slot>>> {
        Arc::new(Alerts::new(many(1)).expect("one slot is enough"))
    }

    fn alert(seed: u64) -> mutex_alert {
        mutex_alert { time_ns: seed, subject: seed * 3, ..mutex_alert::default() }
    }

    fn two_alerts_and_a_reader() {
        let ring = ring();
        let raisers = [10, 20].map(|seed| {
            let ring = ring.clone();
            thread::spawn(move || ring.raise(&OwnCpu, &alert(seed)))
        });
        for number in [1, 2] {
            match ring.read(number) {
                Read::Alert(read) => {
                    let whole = mutex_alert { number, ..alert(read.time_ns) };
                    assert!(read == whole && read.time_ns != 0, "torn");
                }
                Read::Overwritten => assert!(ring.last() > number, "overwritten by nobody"),
                Read::NotYet => {}
                Read::Cleared => unreachable!("nobody clears"),
            }
        }
        let mut numbers = join(raisers);
        numbers.sort_unstable();
        assert_eq!(numbers, [1, 2]);
        assert_eq!((ring.read(1), ring.overwritten()), (Read::Overwritten, 1));
        assert!(matches!(ring.read(2), Read::Alert(_)), "not kept");
    }

    /// What `overwritten` says goes up only, whoever raises and clears.
    fn clearing() {
        let ring = ring();
        ring.raise(&OwnCpu, &alert(1));
        let raiser = thread::spawn({
            let ring = ring.clone();
            move || {
                ring.raise(&OwnCpu, &alert(2));
                ring.raise(&OwnCpu, &alert(3));
            }
        });
        let clearer = thread::spawn({
            let ring = ring.clone();
            move || ring.clear(&OwnCpu)
        });
        let (before, after) = (ring.overwritten(), ring.overwritten());
        join([raiser, clearer]);
        let overwritten = ring.overwritten();
        let said = [before, after, overwritten];
        assert!(said.is_sorted() && overwritten <= 2, "counted twice or taken back");
        let cleared = ring.first_kept() - 1 - overwritten;
        let kept = if ring.read(3) == Read::Cleared { 0 } else { 1 };
        assert_eq!(overwritten + cleared + kept, 3, "counted twice or taken back");
    }

    #[test]
    fn a_reader_has_a_whole_alert_or_knows_better_and_clearing_takes_nothing_back() {
        hold_and_need_each_order(&["alert.rs"], &[two_alerts_and_a_reader, clearing], &[]);
    }
}

mod queue {
    use super::*;

    type Events = Queue<Vec<monitor::Slot>>;

    fn queue() -> Arc<Events> {
        Arc::new(Queue::new(many(2)).expect("two slots are enough"))
    }

    fn push(queue: &Events, body: u64) -> Offered {
        queue.push(MUTEX_EVENT_START, body, |out| {
            body.put(out).expect("a word fits");
            8
        })
    }

    fn take(queue: &Events) -> Option<mutex_event> {
        let mut out = [0; EVENT_MAX];
        match queue.take(&mut out) {
            Taken::Event(size) => {
                let (event, record) = mutex_event::take(&out);
                assert_eq!(size, mutex_event::SIZE + 8, "torn");
                assert!(u64::take(record).0 == event.time_ns && event.time_ns != 0, "torn");
                Some(event)
            }
            Taken::Nothing => None,
            Taken::TooSmall(_) => unreachable!("there is room for any"),
        }
    }

    fn balances(counts: &Counts) -> bool {
        counts.delivered + counts.lost + counts.pending == counts.produced
    }

    fn producers_and_a_reader() {
        let queue = queue();
        let producers = [&[10, 11][..], &[20][..]].map(|bodies| {
            let queue = queue.clone();
            thread::spawn(move || bodies.iter().map(|&body| (body, push(&queue, body))).collect())
        });
        let mut events: Vec<_> = take(&queue).into_iter().collect();
        assert!(balances(&queue.counts()), "the counts do not balance");
        let offered: Vec<(u64, Offered)> =
            join(producers).into_iter().flat_map(|one: Vec<_>| one).collect();
        events.extend(std::iter::from_fn(|| take(&queue)));

        let of =
            |what| offered.iter().filter(move |(_, became)| *became == what).map(|(body, _)| *body);
        let mut delivered: Vec<u64> = events.iter().map(|event| event.time_ns).collect();
        let (queued, lost) =
            (Vec::from_iter(of(Offered::Queued)), of(Offered::Lost).count() as u64);
        let own: Vec<u64> = delivered.iter().copied().filter(|body| *body < 20).collect();
        assert!(own.is_sorted(), "out of order");
        delivered.sort_unstable();
        assert_eq!(delivered, queued, "twice or not at all");
        let counts = Counts { produced: 3, delivered: queued.len() as u64, lost, pending: 0 };
        assert_eq!(queue.counts(), counts, "the counts do not balance");
        are_told_of_losses(&queue, events);
    }

    /// Between two events the numbers say how many are lost, and so does the latter of them.
    fn are_told_of_losses(queue: &Events, events: impl IntoIterator<Item = mutex_event>) {
        let (mut sequence, mut lost) = (0, 0);
        for event in events {
            let (gap, told) =
                (event.sequence.checked_sub(sequence + 1), event.lost.checked_sub(lost));
            assert!(gap.is_some() && gap == told, "a gap that nobody told of");
            (sequence, lost) = (event.sequence, event.lost);
        }
        assert!(lost <= queue.counts().lost, "told of more than are lost");
    }

    /// Events that find the queue full, before and between others that do not.
    fn losses() {
        let queue = queue();
        (1..=2).for_each(|body| assert_eq!(push(&queue, body), Offered::Queued));
        let producers = [&[3, 4][..], &[5]].map(|bodies| {
            let queue = queue.clone();
            thread::spawn(move || bodies.iter().for_each(|&body| _ = push(&queue, body)))
        });
        let mut events = vec![take(&queue), take(&queue)];
        join(producers);
        push(&queue, 6);
        events.extend(std::iter::from_fn(|| Some(take(&queue)).filter(Option::is_some)));
        are_told_of_losses(&queue, events.into_iter().flatten());
    }

    /// Who looks at the counts is neither who produces nor who reads.
    fn counts() {
        let queue = queue();
        let producer = thread::spawn({
            let queue = queue.clone();
            move || push(&queue, 1)
        });
        let reader = thread::spawn({
            let queue = queue.clone();
            move || take(&queue)
        });
        let Counts { produced, delivered, lost, pending } = queue.counts();
        assert!(pending <= 1 && delivered <= 1, "delivered before it was produced");
        assert_eq!(delivered + lost + pending, produced, "the counts do not balance");
        join([producer]);
        join([reader]);
    }

    /// Two readers, where one is allowed: one frees a slot that the other still reads.
    fn a_slot_that_is_used_again_too_early() {
        let queue = queue();
        (1..=2).for_each(|body| assert_eq!(push(&queue, body), Offered::Queued));
        let reader = thread::spawn({
            let queue = queue.clone();
            move || take(&queue).map(|event| event.time_ns)
        });
        let mine = take(&queue).map(|event| event.time_ns);
        push(&queue, 3);
        let [theirs] = join([reader])[..] else { unreachable!() };
        assert_ne!(mine, theirs, "twice or not at all");
    }

    #[test]
    fn each_event_is_delivered_once_and_each_loss_is_told() {
        let spare = [
            // A hint; who reserves a position looks again.
            "monitor.rs: self.slot(self.tail.0.load(Acquire)): Acquire",
            "monitor.rs: .is_none_or(|(slot, free)| slot.stamp.load(Acquire) < free): Acquire",
            // Against stores that others load before they are made, which the model does not have: into
            // a slot that is still being read, and of a loss whose place is not yet there.
            "monitor.rs: let stamp = slot.stamp.load(Acquire);: Acquire",
            "monitor.rs: let lost = self.lost.0.load(Acquire);: Acquire",
            "monitor.rs: self.lost.0.fetch_add(1, AcqRel);: Acquire",
            "monitor.rs: self.lost.0.fetch_add(1, AcqRel);: Release",
            // Who has found a newer stamp has acquired what comes with the newer tail.
            "monitor.rs: position = self.tail.0.load(Acquire);: Acquire",
            // For who compares the counts with something else.
            "monitor.rs: let queued = self.tail.0.load(Acquire);: Acquire",
        ];
        hold_and_need_each_order(
            &["monitor.rs"],
            &[producers_and_a_reader, losses, counts],
            &spare,
        );
    }

    #[test]
    fn with_two_readers_it_breaks() {
        fails("twice or not at all", a_slot_that_is_used_again_too_early);
    }
}

mod monitoring {
    use super::*;
    use crate::latest::Latest;
    use crate::stop::Stop;
    use crate::tally::Tally;
    use std::time::Duration;

    /// What somebody who looks while requests come and go sees.
    fn requests_and_a_reader() {
        let tally = Arc::new(Tally::default());
        let working = tally.clone();
        let request = thread::spawn(move || {
            working.begin();
            working.end(true);
        });
        let seen = tally.copy();
        assert!(seen.done <= seen.begun, "done before it has begun");
        assert!(seen.failed <= seen.done, "failed before it is done");
        join([request]);
        let seen = tally.copy();
        assert_eq!((seen.begun, seen.done, seen.failed), (1, 1, 1), "lost");
    }

    /// One that begins in one thread and ends in another, beside one that does well.
    fn requests_that_are_handed_on() {
        let tally = Arc::new(Tally::default());
        tally.begin();
        let ending = tally.clone();
        let failing = thread::spawn(move || ending.end(true));
        let working = tally.clone();
        let request = thread::spawn(move || {
            working.begin();
            working.end(false);
        });
        let seen = tally.copy();
        assert!(seen.done <= seen.begun, "done before it has begun");
        assert!(seen.failed <= seen.done, "failed before it is done");
        join([failing, request]);
        let seen = tally.copy();
        assert_eq!((seen.begun, seen.done, seen.failed), (2, 2, 1), "lost");
    }

    #[test]
    fn nobody_sees_more_done_than_begun() {
        hold_and_need_each_order(
            &["tally.rs"],
            &[requests_and_a_reader, requests_that_are_handed_on],
            &[],
        );
    }

    fn collections_at_once() {
        let latest = Arc::new(Latest::default());
        let threads = [1, 2].map(|number| {
            let latest = latest.clone();
            thread::spawn(move || latest.put(number, Arc::new(number)))
        });
        let seen = [latest.get(), latest.get()].map(|seen| seen.map_or(0, |seen| *seen));
        assert!(seen[0] <= seen[1], "it went back");
        join(threads);
        assert_eq!(latest.get().as_deref(), Some(&2), "not the newest");
    }

    /// As [`Latest::put`] would be if it looked first and put it in later.
    fn looked_at_and_put_in_apart() {
        let latest = Arc::new(loom::sync::Mutex::new(0));
        let threads = [1, 2].map(|number| {
            let latest = latest.clone();
            thread::spawn(move || {
                let is_newer = *latest.lock().expect("nobody panics") < number;
                if is_newer {
                    *latest.lock().expect("nobody panics") = number;
                }
            })
        });
        join(threads);
        assert_eq!(*latest.lock().expect("nobody panics"), 2, "not the newest");
    }

    #[test]
    fn the_newest_collection_stays_whichever_comes_last() {
        hold_and_need_each_order(&["latest.rs"], &[collections_at_once], &[]);
        fails("not the newest", looked_at_and_put_in_apart);
    }

    /// The model's clock stands still: who waits is woken, or waits for ever.
    fn a_thread_that_is_stopped() {
        let stop = Arc::new(Stop::default());
        let waiting = stop.clone();
        let ticker = thread::spawn(move || while !waiting.wait(Duration::MAX) {});
        stop.set();
        join([ticker]);
        assert!(stop.wait(Duration::MAX), "it is set for good");
    }

    /// As [`Stop`] would be if it looked at the flag first and slept later.
    fn looked_at_and_slept_apart() {
        let stop = Arc::new((loom::sync::Mutex::new(false), loom::sync::Condvar::new()));
        let waiting = stop.clone();
        let ticker = thread::spawn(move || {
            let (flag, changed) = &*waiting;
            let is_set = *flag.lock().expect("nobody panics");
            if !is_set {
                let guard = flag.lock().expect("nobody panics");
                drop(changed.wait(guard));
            }
        });
        *stop.0.lock().expect("nobody panics") = true;
        stop.1.notify_all();
        join([ticker]);
    }

    #[test]
    fn a_thread_that_waits_is_always_stopped() {
        hold_and_need_each_order(&["stop.rs"], &[a_thread_that_is_stopped], &[]);
        fails("deadlock", looked_at_and_slept_apart);
    }
}
