// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0

//! Where samples of latency come from.
//!
//! - TCP of a local socket: the socket measures; each of its samples is taken once. With SACK they are
//!   RACK's, without from how the smoothed round trip time changes.
//! - TCP that is forwarded: from a timestamp (RFC 7323) of a packet with payload, or from a SYN, to its
//!   echo, towards either end apart; a sample is the sum of both ways at their latest.
//! - Everything else: from a packet of whoever opened the connection to the first one back. While one
//!   is waited for, further packets are not measured. ICMP echo pairs by its sequence number.

use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::Relaxed;

use crate::counters::Flow;
use crate::latency::Span;
use crate::quality::Sample;

/// What a TCP socket says of its round trips.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpSocket {
    /// Another number for each new sample of RACK (RFC 8985), 0 if it has none: it takes samples on
    /// connections with SACK only.
    pub sample: u32,
    /// Microseconds from the sending of the newest data that is acknowledged to its
    /// acknowledgement, 0 if unknown.
    pub rtt: u32,
    /// The smoothed round trip time in eighths of a microsecond.
    pub srtt: u32,
    /// Its smoothed mean deviation in quarters of a microsecond.
    pub deviation: u32,
}

impl TcpSocket {
    /// Its sample of so many microseconds.
    fn sample_of(&self, microseconds: u32) -> Sample {
        Sample {
            span: Span::from_microseconds(microseconds),
            average: Some(Span::from_microseconds(self.srtt >> 3)),
        }
    }
}

/// The state of TCP's estimator of the round trip time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Estimate {
    srtt: u32,
    deviation: u32,
}

impl Estimate {
    /// The state after a sample of so many microseconds, as `tcp_rtt_estimator()` in Linux's
    /// `net/ipv4/tcp_input.c` computes it (RFC 6298, but for a smaller gain of the deviation when the
    /// round trip time falls). It has been the same from 6.1, and before, to 7.3.
    fn after(self, sample: u32) -> Estimate {
        if self.srtt == 0 {
            return Estimate { srtt: (sample << 3).max(1), deviation: sample << 1 };
        }
        let error = i64::from(sample) - i64::from(self.srtt >> 3);
        let mut change = error.abs() - i64::from(self.deviation >> 2);
        if error < 0 && change > 0 {
            change >>= 3;
        }
        Estimate {
            srtt: self.srtt.wrapping_add(error as u32).max(1),
            deviation: self.deviation.wrapping_add(change as u32),
        }
    }

    /// The one sample that leads from this state to `next`, in microseconds; `None` if none does.
    ///
    /// The smoothed time alone tells the sample exactly, provided there was just one. The deviation
    /// proves that.
    fn sample_before(self, next: Estimate) -> Option<u32> {
        let sample = match self.srtt {
            0 => next.srtt >> 3,
            srtt => next.srtt.wrapping_sub(srtt).wrapping_add(srtt >> 3),
        };
        (self.after(sample) == next).then_some(sample)
    }

    /// A number that hardly two states in a row share.
    fn number(self) -> u32 {
        self.srtt.wrapping_mul(0x9e37_79b1).wrapping_add(self.deviation) | 1
    }
}

/// The longest that an answer is waited for; a packet that is older has none.
const LONGEST: Span = Span(30 * 16_000_000);

/// When a packet passes: nanoseconds since boot, to the tick.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passing<'a> {
    pub(crate) now: u64,
    /// When the packet before it passed in the same direction, 0 if there was none.
    pub(crate) before: u64,
    /// The other direction.
    pub(crate) other: &'a Flow,
}

/// What passed and waits for its answer.
#[derive(Debug, Default)]
struct Asked {
    /// When, as [`Span`] since boot, modulo 2^32 and never 0; 0 if nothing waits.
    at: AtomicU32,
    /// What the answer must name.
    tag: AtomicU32,
}

/// A moment as [`Asked`] keeps it.
#[inline]
fn moment(now: u64) -> u32 {
    // 2 / 125 of a nanosecond count, kept in 64 bits: boot was less than 2^63 ns ago.
    (now.wrapping_mul(2) / 125) as u32 | 1
}

impl Asked {
    /// The stamp of the question that waits, if there is one that is not too old. One that is too old is
    /// forgotten. `last` is when the latest packet passed that could have asked it.
    ///
    /// Stamps recur every 268 s, so a stamp alone does not tell how old it is. But every packet that may
    /// ask comes by here. If the latest of them was no more than [`LONGEST`] ago, then the question was
    /// not too old for that one, and is at most twice as old now.
    #[inline]
    fn waiting(&self, last: impl FnOnce() -> u64, now: u64) -> Option<u32> {
        let at = self.at.load(Relaxed);
        if at == 0 {
            return None;
        }
        // The clock of the stamp is exact, so it may be ahead of `now`.
        let age = moment(now).wrapping_sub(at) as i32;
        if age <= LONGEST.0 as i32 && now.saturating_sub(last()) <= LONGEST.nanoseconds() {
            return Some(at);
        }
        let _ = self.at.compare_exchange(at, 0, Relaxed, Relaxed);
        None
    }

    /// A packet passes that may ask, and does if it has a tag: notes the question if none waits. `now` is
    /// coarse, `clock` exact and read only if needed.
    #[inline]
    fn ask(&self, tag: Option<u32>, passing: &Passing<'_>, clock: fn() -> u64) {
        if self.waiting(|| passing.before, passing.now).is_some() {
            return;
        }
        if let Some(tag) = tag {
            self.tag.store(tag, Relaxed);
            self.at.store(moment(clock()), Relaxed);
        }
    }

    /// How long ago what this answers was asked, once.
    #[inline]
    fn answer(
        &self,
        matches: impl FnOnce(u32) -> bool,
        passing: &Passing<'_>,
        clock: fn() -> u64,
    ) -> Option<Span> {
        let at = self.waiting(|| passing.other.last_seen(), passing.now)?;
        if !matches(self.tag.load(Relaxed)) {
            return None;
        }
        if self.at.compare_exchange(at, 0, Relaxed, Relaxed).is_err() {
            return None;
        }
        let span = Span(moment(clock()).wrapping_sub(at));
        (span <= LONGEST).then_some(span)
    }
}

/// A span in 16 bits, within a thousandth: eleven bits, and by how many more they are shifted.
fn pack(span: Span) -> u32 {
    let shift = (32 - span.0.leading_zeros()).saturating_sub(11);
    (shift << 11) | (span.0 >> shift)
}

fn unpack(packed: u32) -> Span {
    Span((packed & 0x7ff) << ((packed >> 11) & 0x1f))
}

/// What a connection keeps for its samples.
#[derive(Debug, Default)]
pub(crate) struct Timing {
    /// Of packets sent, and of packets received. Of a local TCP socket the first is its [`Estimate`]
    /// after the last sample that was not RACK's.
    asked: [Asked; 2],
    /// Of a local TCP socket the number of its last sample, [`TcpSocket::sample`] or
    /// [`Estimate::number`]; of a forwarded connection the latest spans towards the initiator and, in
    /// the higher half, towards the other end, packed.
    latest: AtomicU32,
}

impl Timing {
    pub(crate) fn reset(&self) {
        self.latest.store(0, Relaxed);
        for asked in &self.asked {
            asked.at.store(0, Relaxed);
            asked.tag.store(0, Relaxed);
        }
    }

    /// The socket's sample, if it is a new one.
    #[inline]
    pub(crate) fn of_socket(&self, socket: &TcpSocket) -> Option<Sample> {
        if socket.sample == 0 {
            return self.of_estimator(socket);
        }
        if socket.rtt == 0 || self.latest.load(Relaxed) == socket.sample {
            return None;
        }
        self.take(socket.sample).then(|| socket.sample_of(socket.rtt))
    }

    /// The same of a connection without SACK, or of one that has seen no more than its handshake:
    /// every sample changes the state of the estimator, unless the round trip time has been the same to
    /// the microsecond for so long that the deviation has become 0.
    fn of_estimator(&self, socket: &TcpSocket) -> Option<Sample> {
        let [known, _] = &self.asked;
        let before = Estimate { srtt: known.at.load(Relaxed), deviation: known.tag.load(Relaxed) };
        let now = Estimate { srtt: socket.srtt, deviation: socket.deviation };
        if now == before || now.srtt == 0 {
            return None;
        }
        let exact = before.sample_before(now);
        if exact.is_none() && now.srtt == before.srtt {
            // Another processor is about to write the rest of it.
            return None;
        }
        if !self.take(now.number()) {
            return None;
        }
        known.at.store(now.srtt, Relaxed);
        known.tag.store(now.deviation, Relaxed);
        // After several acknowledgements at once, which is what a socket gets that was locked meanwhile,
        // or in a connection that is older than its record, the samples cannot be told apart: the newest
        // data's stands for them, as RACK's does.
        let rtt = exact.unwrap_or(socket.rtt);
        (rtt != 0).then(|| socket.sample_of(rtt))
    }

    /// Of two processors that see the same sample one counts it.
    fn take(&self, number: u32) -> bool {
        self.latest.swap(number, Relaxed) != number
    }

    /// A packet with a timestamp (or, of a SYN, a number of its own) and an echo of one passes.
    #[inline]
    pub(crate) fn of_timestamps(
        &self,
        sent: bool,
        asks: Option<u32>,
        echo: Option<u32>,
        passing: &Passing<'_>,
        clock: fn() -> u64,
    ) -> Option<Sample> {
        let [outward, inward] = &self.asked;
        let (mine, other) = if sent { (outward, inward) } else { (inward, outward) };
        // An echo may be of a later timestamp than the one that is waited for; it wraps.
        let span = echo.and_then(|echo| {
            other.answer(|tag| echo.wrapping_sub(tag) as i32 >= 0, passing, clock)
        });
        mine.ask(asks, passing, clock);
        self.both_ways(sent, span?)
    }

    /// The span of both ways, once both are known.
    fn both_ways(&self, near: bool, span: Span) -> Option<Sample> {
        let (shift, mask) = if near { (0, 0xffff_0000) } else { (16, 0xffff) };
        let replace = |latest| Some((latest & mask) | (pack(span).max(1) << shift));
        let before = self.latest.fetch_update(Relaxed, Relaxed, replace).unwrap_or_default();
        let other = if near { before >> 16 } else { before & 0xffff };
        (other != 0)
            .then(|| Sample { span: Span(span.0.saturating_add(unpack(other).0)), average: None })
    }

    /// A packet that asks, or that may answer one that did, passes.
    #[inline]
    pub(crate) fn of_answer(
        &self,
        asks: bool,
        tag: u32,
        passing: &Passing<'_>,
        clock: fn() -> u64,
    ) -> Option<Sample> {
        let [asked, _] = &self.asked;
        if asks {
            asked.ask(Some(tag), passing, clock);
            return None;
        }
        let span = asked.answer(|asked| asked == tag, passing, clock)?;
        Some(Sample { span, average: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::Traffic;
    use proptest::prelude::*;
    use std::cell::Cell;
    use std::prelude::v1::*;
    use std::thread_local;

    const MS: u64 = 1_000_000;
    const SECOND: u64 = 1000 * MS;

    thread_local! {
        static NOW: Cell<u64> = const { Cell::new(0) };
    }

    fn clock() -> u64 {
        NOW.get()
    }

    /// A connection that packets pass: as the engine asks, with a coarse clock that ticks every 4 ms.
    #[derive(Default)]
    struct Passed {
        timing: Timing,
        flows: [Flow; 2],
    }

    impl Passed {
        fn pass<R>(&self, sent: bool, at: u64, look: impl FnOnce(&Passing<'_>) -> R) -> R {
            NOW.set(at);
            let now = at - at % (4 * MS);
            let (flow, other) = (&self.flows[usize::from(sent)], &self.flows[usize::from(!sent)]);
            let before = flow.last_seen();
            flow.count(&Traffic { packets: 1, ..Traffic::ZERO }, now, 0);
            look(&Passing { now, before, other })
        }

        /// Of a connection that this end has opened: nanoseconds of the sample.
        fn answer(&self, sent: bool, tag: u32, at: u64) -> Option<u64> {
            let sample = self.pass(sent, at, |at| self.timing.of_answer(sent, tag, at, clock));
            sample.map(|sample| sample.span.nanoseconds())
        }

        fn timestamps(
            &self,
            sent: bool,
            asks: Option<u32>,
            echo: Option<u32>,
            at: u64,
        ) -> Option<u64> {
            let sample =
                self.pass(sent, at, |at| self.timing.of_timestamps(sent, asks, echo, at, clock));
            sample.map(|sample| sample.span.nanoseconds())
        }
    }

    /// A stamp is exact to two units.
    fn is_about(found: Option<u64>, expected: u64) -> bool {
        found.is_some_and(|found| found.abs_diff(expected) <= 125)
    }

    #[test]
    fn the_first_question_is_the_one_that_is_measured() {
        let passed = Passed::default();
        assert_eq!(passed.answer(true, 0, 100 * MS), None);
        assert_eq!(passed.answer(true, 0, 110 * MS), None);
        assert!(is_about(passed.answer(false, 0, 130 * MS), 30 * MS));
        assert_eq!(passed.answer(false, 0, 131 * MS), None);
    }

    #[test]
    fn what_was_asked_too_long_ago_is_asked_anew() {
        let passed = Passed::default();
        passed.answer(true, 0, SECOND);
        passed.answer(true, 0, 40 * SECOND);
        assert!(is_about(passed.answer(false, 0, 40 * SECOND + MS), MS));
    }

    #[test]
    fn only_the_right_answer_counts() {
        let passed = Passed::default();
        passed.answer(true, 7, 100 * MS);
        assert_eq!(passed.answer(false, 6, 101 * MS), None);
        assert!(passed.answer(false, 7, 101 * MS).is_some());
    }

    /// Stamps recur every 268.4 s.
    fn silences() -> impl Iterator<Item = u64> {
        let seconds = (1..5 * 3600).map(|second| second * SECOND);
        let around = [1 << 31, 1 << 32].into_iter().flat_map(|units: u64| {
            (1..60).flat_map(move |n| {
                let turn = n * units * 125 / 2;
                [turn - 20 * SECOND, turn - 70, turn, turn + 70, turn + 3 * SECOND]
            })
        });
        seconds.chain(around).filter(|silence| *silence > 31 * SECOND)
    }

    #[test]
    fn an_unanswered_question_costs_no_sample_however_long_the_silence() {
        for silence in silences() {
            let passed = Passed::default();
            let start = 77 * SECOND + 5;
            assert_eq!(passed.answer(true, 0, start), None);
            let again = start + silence;
            assert_eq!(passed.answer(true, 0, again), None);
            let found = passed.answer(false, 0, again + 5 * MS);
            assert!(is_about(found, 5 * MS), "{found:?} after {silence} ns");
        }
    }

    #[test]
    fn an_answer_that_comes_too_late_is_no_sample_however_late() {
        for silence in silences() {
            let passed = Passed::default();
            let start = 77 * SECOND + 5;
            assert_eq!(passed.answer(true, 0, start), None);
            assert_eq!(passed.answer(false, 0, start + silence), None, "after {silence} ns");
            // Nor is it one later, when a question is asked that has its own.
            assert_eq!(passed.answer(true, 0, start + silence + SECOND), None);
            let found = passed.answer(false, 0, start + silence + SECOND + 9 * MS);
            assert!(is_about(found, 9 * MS), "{found:?} after {silence} ns");
        }
    }

    #[test]
    fn packets_that_ask_for_hours_are_measured_from_one_of_the_last_30_seconds() {
        for apart in [SECOND, 7 * SECOND, 14 * SECOND, 29 * SECOND] {
            let passed = Passed::default();
            for number in 1..5 * 3600 * SECOND / apart {
                passed.answer(true, 0, number * apart);
                // Now and then one is answered after 100 ms.
                if number % 100 == 0 {
                    let found = passed.answer(false, 0, number * apart + 100 * MS);
                    let is_of_one = found.is_none_or(|found| {
                        found <= LONGEST.nanoseconds() && is_about(Some(found % apart), 100 * MS)
                    });
                    assert!(is_of_one, "{found:?}");
                    assert!(found.is_some() || apart > LONGEST.nanoseconds() / 2, "{number}");
                }
            }
        }
    }

    #[test]
    fn a_forwarded_question_is_forgotten_in_time_too() {
        for silence in silences() {
            let passed = Passed::default();
            let start = 77 * SECOND;
            assert_eq!(passed.timestamps(true, Some(5), None, start), None);
            // An acknowledgement the same way, and the echo right after it.
            let later = start + silence;
            assert_eq!(passed.timestamps(true, None, None, later), None);
            assert_eq!(passed.timestamps(false, Some(9), Some(5), later + MS), None);
            assert_eq!(passed.timestamps(true, None, Some(9), later + 3 * MS), None, "{silence}");
            assert_eq!(passed.timestamps(true, Some(8), None, later + 4 * MS), None);
            let found = passed.timestamps(false, None, Some(8), later + 5 * MS);
            // The near end's 2 ms are packed within a thousandth.
            assert!(found.is_some_and(|found| found.abs_diff(3 * MS) < 10_000), "{found:?}");
        }
    }

    #[test]
    fn a_forwarded_round_trip_is_both_ways() {
        let passed = Passed::default();
        let start = 10_000 * MS;
        assert_eq!(passed.timestamps(true, Some(u32::MAX), None, start), None);
        assert_eq!(passed.timestamps(false, Some(50), Some(u32::MAX), start + 10 * MS), None);
        let both = passed.timestamps(true, None, Some(50), start + 13 * MS);
        let micros = both.map(|nanoseconds| nanoseconds / 1000);
        assert!(micros.is_some_and(|micros| (12_985..=13_001).contains(&micros)), "{micros:?}");
        // Later the far way alone is measured again.
        assert_eq!(passed.timestamps(true, Some(60), Some(50), 11_000 * MS), None);
        let both = passed.timestamps(false, None, Some(61), 11_020 * MS);
        let micros = both.map(|nanoseconds| nanoseconds / 1000);
        assert!(micros.is_some_and(|micros| (22_990..=23_001).contains(&micros)), "{micros:?}");
    }

    #[test]
    fn packing_is_within_a_thousandth() {
        for span in [0, 1, 2047, 2048, 123_456, 480_000_000, u32::MAX] {
            let found = unpack(pack(Span(span))).0;
            assert!(pack(Span(span)) <= 0xffff && span - found <= span / 1000, "{span} {found}");
        }
    }

    #[test]
    fn a_socket_s_sample_is_taken_once() {
        let timing = Timing::default();
        let socket = TcpSocket { sample: 9, rtt: 250, srtt: 300 * 8, deviation: 77 };
        let sample = timing.of_socket(&socket).expect("it is new");
        assert_eq!(sample.span.nanoseconds(), 250_000);
        assert_eq!(sample.average.map(Span::nanoseconds), Some(300_000));
        assert_eq!(timing.of_socket(&socket), None);
        // With SACK other changes of the estimator are no samples.
        let moved = TcpSocket { srtt: 310 * 8, deviation: 80, ..socket };
        assert_eq!(timing.of_socket(&moved), None);
    }

    /// A socket without SACK. Its arithmetic is the kernel's own, word for word.
    #[derive(Clone, Copy, Default)]
    struct Linux {
        srtt_us: u32,
        mdev_us: u32,
        newest: u32,
    }

    impl Linux {
        fn tcp_rtt_estimator(&mut self, mrtt_us: u32) {
            let mut m = i64::from(mrtt_us);
            let mut srtt = self.srtt_us;
            if srtt != 0 {
                m -= i64::from(srtt >> 3);
                srtt = (i64::from(srtt) + m) as u32;
                if m < 0 {
                    m = -m;
                    m -= i64::from(self.mdev_us >> 2);
                    if m > 0 {
                        m >>= 3;
                    }
                } else {
                    m -= i64::from(self.mdev_us >> 2);
                }
                self.mdev_us = (i64::from(self.mdev_us) + m) as u32;
            } else {
                srtt = (m << 3) as u32;
                self.mdev_us = (m << 1) as u32;
            }
            self.srtt_us = srtt.max(1);
            self.newest = mrtt_us;
        }

        fn says(&self) -> TcpSocket {
            let (srtt, deviation) = (self.srtt_us, self.mdev_us);
            TcpSocket { sample: 0, rtt: self.newest, srtt, deviation }
        }
    }

    fn microseconds(sample: Sample) -> (u64, u64) {
        let average = sample.average.expect("the socket has one");
        (sample.span.nanoseconds() / 1000, average.nanoseconds() / 1000)
    }

    proptest! {
        #[test]
        fn without_sack_each_sample_is_found_exactly(
            samples in proptest::collection::vec(
                prop_oneof![1u32..60_000_000, 40_000u32..40_200, Just(40_000u32)],
                1..300,
            ),
        ) {
            let (timing, mut socket) = (Timing::default(), Linux::default());
            for sample in samples {
                let before = socket.says();
                // Newest data with another round trip must not matter.
                socket.tcp_rtt_estimator(sample);
                socket.newest = 3;
                let found = timing.of_socket(&socket.says()).map(microseconds);
                if (before.srtt, before.deviation) != (socket.srtt_us, socket.mdev_us) {
                    prop_assert_eq!(found, Some((sample.into(), u64::from(socket.srtt_us >> 3))));
                }
                prop_assert_eq!(timing.of_socket(&socket.says()), None);
            }
        }

        #[test]
        fn of_several_samples_at_once_the_newest_is_taken(
            first in 1_000u32..1_000_000,
            batches in proptest::collection::vec(
                proptest::collection::vec(1_000u32..1_000_000, 2..6),
                1..40,
            ),
        ) {
            let (timing, mut socket) = (Timing::default(), Linux::default());
            socket.tcp_rtt_estimator(first);
            prop_assert!(timing.of_socket(&socket.says()).is_some());
            for batch in batches {
                let before = Estimate { srtt: socket.srtt_us, deviation: socket.mdev_us };
                batch.iter().for_each(|sample| socket.tcp_rtt_estimator(*sample));
                let newest = u64::from(*batch.last().expect("there are two"));
                let after = Estimate { srtt: socket.srtt_us, deviation: socket.mdev_us };
                let found = timing.of_socket(&socket.says()).map(microseconds);
                if before.sample_before(after).is_some() {
                    // By chance one sample would have had the same effect.
                    continue;
                }
                prop_assert_eq!(found, Some((newest, u64::from(socket.srtt_us >> 3))));
            }
        }
    }

    #[test]
    fn a_steady_round_trip_gives_samples_until_its_deviation_is_gone() {
        let (timing, mut socket) = (Timing::default(), Linux::default());
        let mut found = 0;
        for _ in 0..100 {
            socket.tcp_rtt_estimator(40_000);
            found += usize::from(timing.of_socket(&socket.says()).is_some());
        }
        assert!(found >= 30, "{found}");
    }

    #[test]
    fn what_is_half_written_is_not_taken() {
        let (timing, mut socket) = (Timing::default(), Linux::default());
        socket.tcp_rtt_estimator(40_000);
        assert!(timing.of_socket(&socket.says()).is_some());
        let old = socket.says();
        socket.tcp_rtt_estimator(47_000);
        // The kernel writes the deviation first.
        let half = TcpSocket { srtt: old.srtt, ..socket.says() };
        assert_eq!(timing.of_socket(&half), None);
        let found = timing.of_socket(&socket.says()).map(microseconds);
        assert_eq!(found.map(|found| found.0), Some(47_000));
    }

    #[test]
    fn a_connection_that_is_older_than_its_record_begins_with_its_newest_sample() {
        let (timing, mut socket) = (Timing::default(), Linux::default());
        for sample in [40_000, 41_000, 39_000] {
            socket.tcp_rtt_estimator(sample);
        }
        let found = timing.of_socket(&socket.says()).map(microseconds);
        assert_eq!(found.map(|found| found.0), Some(39_000));
        socket.tcp_rtt_estimator(45_000);
        let found = timing.of_socket(&socket.says()).map(microseconds);
        assert_eq!(found.map(|found| found.0), Some(45_000));
        // Newest data that was sent again has no round trip: then there is no sample.
        socket.tcp_rtt_estimator(45_000);
        socket.tcp_rtt_estimator(42_000);
        socket.newest = 0;
        assert_eq!(timing.of_socket(&socket.says()), None);
    }

    #[test]
    fn after_a_handshake_without_rack_its_samples_go_on() {
        let (timing, mut socket) = (Timing::default(), Linux::default());
        socket.tcp_rtt_estimator(40_000);
        assert!(timing.of_socket(&socket.says()).is_some());
        socket.tcp_rtt_estimator(41_000);
        let with_rack = TcpSocket { sample: 1234, ..socket.says() };
        let found = timing.of_socket(&with_rack).map(microseconds);
        assert_eq!(found.map(|found| found.0), Some(41_000));
        assert_eq!(timing.of_socket(&with_rack), None);
    }
}
