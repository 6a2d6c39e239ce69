// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0

//! Where samples of latency come from.
//!
//! - TCP of a local socket: the socket measures; each of its samples is taken once.
//! - TCP that is forwarded: from a timestamp (RFC 7323) of a packet with payload, or from a SYN, to its
//!   echo, towards either end apart; a sample is the sum of both ways at their latest.
//! - Everything else: from a packet of whoever opened the connection to the first one back. While one
//!   is waited for, further packets are not measured. ICMP echo pairs by its sequence number.

use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::Relaxed;

use crate::latency::Span;
use crate::quality::Sample;

/// What a TCP socket says of its round trips.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpSocket {
    /// Another number for each new sample.
    pub sample: u32,
    /// The last sample in microseconds, 0 if there is none.
    pub rtt: u32,
    /// The smoothed round trip time in microseconds.
    pub srtt: u32,
}

/// The longest that an answer is waited for; a packet that is older has none.
const LONGEST: Span = Span(30 * 16_000_000);

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
    /// Notes a question. `now` is coarse, `clock` exact and asked only if needed.
    #[inline]
    fn ask(&self, tag: u32, now: u64, clock: fn() -> u64) {
        let at = self.at.load(Relaxed);
        if at != 0 && (moment(now).wrapping_sub(at) as i32) < LONGEST.0 as i32 {
            return;
        }
        self.tag.store(tag, Relaxed);
        self.at.store(moment(clock()), Relaxed);
    }

    /// How long ago what this answers was asked, once.
    #[inline]
    fn answer(&self, matches: impl FnOnce(u32) -> bool, clock: fn() -> u64) -> Option<Span> {
        let at = self.at.load(Relaxed);
        if at == 0 || !matches(self.tag.load(Relaxed)) {
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
    /// Of packets sent, and of packets received.
    asked: [Asked; 2],
    /// Of a local socket [`TcpSocket::sample`] of its last sample; of a forwarded connection the
    /// latest spans towards the initiator and, in the higher half, towards the other end, packed.
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
        if socket.rtt == 0 || self.latest.load(Relaxed) == socket.sample {
            return None;
        }
        // Of two processors that see the same sample one counts it.
        if self.latest.swap(socket.sample, Relaxed) == socket.sample {
            return None;
        }
        Some(Sample {
            span: Span::from_microseconds(socket.rtt),
            average: Some(Span::from_microseconds(socket.srtt)),
        })
    }

    /// A packet with a timestamp (or, of a SYN, a number of its own) and an echo of one passes.
    #[inline]
    pub(crate) fn of_timestamps(
        &self,
        sent: bool,
        asks: Option<u32>,
        echo: Option<u32>,
        now: u64,
        clock: fn() -> u64,
    ) -> Option<Sample> {
        let [outward, inward] = &self.asked;
        let (mine, other) = if sent { (outward, inward) } else { (inward, outward) };
        // An echo may be of a later timestamp than the one that is waited for; it wraps.
        let span =
            echo.and_then(|echo| other.answer(|tag| echo.wrapping_sub(tag) as i32 >= 0, clock));
        if let Some(tag) = asks {
            mine.ask(tag, now, clock);
        }
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
        now: u64,
        clock: fn() -> u64,
    ) -> Option<Sample> {
        let [asked, _] = &self.asked;
        if asks {
            asked.ask(tag, now, clock);
            return None;
        }
        let span = asked.answer(|asked| asked == tag, clock)?;
        Some(Sample { span, average: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn the_first_question_is_the_one_that_is_measured() {
        let timing = Timing::default();
        assert_eq!(timing.of_answer(true, 0, 0, || 100 * MS), None);
        assert_eq!(timing.of_answer(true, 0, 110 * MS, || unreachable!("it is not asked")), None);
        let sample = timing.of_answer(false, 0, 130 * MS, || 130 * MS).expect("it was asked");
        assert_eq!(sample.span.nanoseconds() / MS, 30);
        assert_eq!(timing.of_answer(false, 0, 131 * MS, || 131 * MS), None);
    }

    #[test]
    fn what_was_asked_too_long_ago_is_asked_anew() {
        let timing = Timing::default();
        timing.of_answer(true, 0, 0, || 1000 * MS);
        timing.of_answer(true, 0, 40_000 * MS, || 40_000 * MS);
        let sample = timing.of_answer(false, 0, 0, || 40_001 * MS).expect("it was asked");
        assert_eq!(sample.span.nanoseconds() / MS, 1);
    }

    #[test]
    fn only_the_right_answer_counts() {
        let timing = Timing::default();
        timing.of_answer(true, 7, 0, || 100 * MS);
        assert_eq!(timing.of_answer(false, 6, 0, || 101 * MS), None);
        assert!(timing.of_answer(false, 7, 0, || 101 * MS).is_some());
    }

    #[test]
    fn a_forwarded_round_trip_is_both_ways() {
        let timing = Timing::default();
        let at_10: fn() -> u64 = || 10_010 * MS;
        assert_eq!(timing.of_timestamps(true, Some(u32::MAX), None, 0, || 10_000 * MS), None);
        assert_eq!(timing.of_timestamps(false, Some(50), Some(u32::MAX), 0, at_10), None);
        let both = timing.of_timestamps(true, None, Some(50), 0, || 10_013 * MS);
        let micros = both.map(|sample| sample.span.nanoseconds() / 1000);
        assert!(micros.is_some_and(|micros| (12_985..=13_001).contains(&micros)), "{micros:?}");
        // Later the far way alone is measured again.
        assert_eq!(timing.of_timestamps(true, Some(60), Some(50), 0, || 11_000 * MS), None);
        let both = timing.of_timestamps(false, None, Some(61), 0, || 11_020 * MS);
        let micros = both.map(|sample| sample.span.nanoseconds() / 1000);
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
        let socket = TcpSocket { sample: 9, rtt: 250, srtt: 300 };
        let sample = timing.of_socket(&socket).expect("it is new");
        assert_eq!(sample.span.nanoseconds(), 250_000);
        assert_eq!(sample.average.map(Span::nanoseconds), Some(300_000));
        assert_eq!(timing.of_socket(&socket), None);
    }
}
