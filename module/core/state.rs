// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0

//! What a packet does to its connection's state.

use crate::abi::*;
use crate::parse::tcp_flag;
use crate::parse::Signal;

/// A connection's state; the numbers are those of `MUTEX_STATE_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum State {
    Established = MUTEX_STATE_ESTABLISHED as u8,
    SynSent = MUTEX_STATE_SYN_SENT as u8,
    SynRecv = MUTEX_STATE_SYN_RECV as u8,
    FinWait1 = MUTEX_STATE_FIN_WAIT1 as u8,
    FinWait2 = MUTEX_STATE_FIN_WAIT2 as u8,
    TimeWait = MUTEX_STATE_TIME_WAIT as u8,
    Closed = MUTEX_STATE_CLOSED as u8,
    CloseWait = MUTEX_STATE_CLOSE_WAIT as u8,
    LastAck = MUTEX_STATE_LAST_ACK as u8,
    Closing = MUTEX_STATE_CLOSING as u8,
    OneWay = MUTEX_STATE_ONE_WAY as u8,
    TwoWay = MUTEX_STATE_TWO_WAY as u8,
}

impl State {
    /// The state of that number; [`State::Closed`] for a number that is none.
    #[inline]
    pub fn from_number(number: u8) -> Self {
        match u32::from(number) {
            MUTEX_STATE_ESTABLISHED => State::Established,
            MUTEX_STATE_SYN_SENT => State::SynSent,
            MUTEX_STATE_SYN_RECV => State::SynRecv,
            MUTEX_STATE_FIN_WAIT1 => State::FinWait1,
            MUTEX_STATE_FIN_WAIT2 => State::FinWait2,
            MUTEX_STATE_TIME_WAIT => State::TimeWait,
            MUTEX_STATE_CLOSE_WAIT => State::CloseWait,
            MUTEX_STATE_LAST_ACK => State::LastAck,
            MUTEX_STATE_CLOSING => State::Closing,
            MUTEX_STATE_ONE_WAY => State::OneWay,
            MUTEX_STATE_TWO_WAY => State::TwoWay,
            _ => State::Closed,
        }
    }

    /// Whether nothing more is to come but stragglers.
    #[inline]
    pub fn is_ended(self) -> bool {
        matches!(self, State::TimeWait | State::Closed)
    }
}

impl State {
    /// Whether the other end has not spoken, or not enough to be believed.
    #[inline]
    pub fn is_unanswered(self) -> bool {
        matches!(self, State::OneWay | State::SynSent | State::SynRecv)
    }
}

/// The state that a connection's first packet gives it, and whether its opening was missed.
pub fn first(signal: Signal, sent: bool) -> (State, bool) {
    match signal {
        Signal::Tcp { flags, .. } => match (flags & (tcp_flag::SYN | tcp_flag::ACK), sent) {
            (tcp_flag::SYN, true) => (State::SynSent, false),
            (tcp_flag::SYN, false) => (State::SynRecv, false),
            _ => {
                // A SYN with ACK answers a SYN that was not seen.
                let from = match (flags & tcp_flag::SYN != 0, sent) {
                    (true, true) => State::SynRecv,
                    (true, false) => State::SynSent,
                    (false, _) => State::Established,
                };
                (next(from, signal, sent, false), true)
            }
        },
        Signal::End { .. } => (State::Closed, true),
        Signal::None => (State::OneWay, false),
    }
}

/// Whether a packet can change anything: most can't.
#[inline(always)]
pub fn may_turn(state: State, signal: Signal) -> bool {
    match signal {
        Signal::Tcp { flags, .. } => state != State::Established || flags & TURNING != 0,
        Signal::End { .. } => true,
        Signal::None => state == State::OneWay,
    }
}

/// TCP flags that an established connection follows.
const TURNING: u8 = tcp_flag::SYN | tcp_flag::FIN | tcp_flag::RST;

/// The state after a packet. `acknowledges_fin`: it acknowledges the other side's FIN.
///
/// TCP's are those of RFC 9293, section 3.3.2, as an observer at the local end (or, of a forwarded
/// connection, in the middle) can tell them from the packets.
#[inline]
pub fn next(state: State, signal: Signal, sent: bool, acknowledges_fin: bool) -> State {
    match signal {
        Signal::Tcp { flags, .. } => tcp(state, flags, sent, acknowledges_fin),
        Signal::End { .. } => State::Closed,
        // Whoever sends the second way is told by the caller, who knows both flows.
        Signal::None => state,
    }
}

fn tcp(state: State, flags: u8, sent: bool, acknowledges_fin: bool) -> State {
    let syn = flags & tcp_flag::SYN != 0;
    let fin = flags & tcp_flag::FIN != 0;
    if flags & tcp_flag::RST != 0 {
        return State::Closed;
    }
    match (state, sent) {
        // Its SYN was dropped, and comes again.
        (State::OneWay, _) if syn => State::SynRecv,
        (State::OneWay, _) => tcp(State::SynRecv, flags, sent, acknowledges_fin),
        (State::SynSent, false) if syn && flags & tcp_flag::ACK != 0 => State::Established,
        (State::SynSent, false) if syn => State::SynRecv,
        // The answer took another way, but the initiator goes on.
        (State::SynSent, true) if !syn => tcp(State::Established, flags, sent, acknowledges_fin),
        (State::SynRecv, _) if !syn => tcp(State::Established, flags, sent, acknowledges_fin),
        (State::Established, true) if fin => State::FinWait1,
        (State::Established, false) if fin => State::CloseWait,
        (State::FinWait1, false) => match (fin, acknowledges_fin) {
            (true, true) => State::TimeWait,
            (true, false) => State::Closing,
            (false, true) => State::FinWait2,
            (false, false) => state,
        },
        (State::FinWait2, false) if fin => State::TimeWait,
        (State::Closing, false) if acknowledges_fin => State::TimeWait,
        (State::CloseWait, true) if fin => State::LastAck,
        (State::LastAck, false) if acknowledges_fin => State::Closed,
        _ => state,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYN: u8 = tcp_flag::SYN;
    const ACK: u8 = tcp_flag::ACK;
    const FIN: u8 = tcp_flag::FIN;
    const RST: u8 = tcp_flag::RST;

    fn signal(flags: u8) -> Signal {
        Signal::Tcp { flags, end: 0, ack: 0 }
    }

    /// Follows packets given as (sent, flags, acknowledges the other side's FIN).
    fn follow(packets: &[(bool, u8, bool)]) -> State {
        let (&(sent, flags, _), rest) = packets.split_first().expect("a packet");
        rest.iter().fold(first(signal(flags), sent).0, |state, &(sent, flags, acks)| {
            next(state, signal(flags), sent, acks)
        })
    }

    const OPEN: [(bool, u8, bool); 3] =
        [(true, SYN, false), (false, SYN | ACK, false), (true, ACK, false)];

    fn after_opening(packets: &[(bool, u8, bool)]) -> State {
        follow(&[&OPEN, packets].concat())
    }

    #[test]
    fn handshakes() {
        assert_eq!(follow(&OPEN[..1]), State::SynSent);
        assert_eq!(follow(&OPEN), State::Established);
        let passive = OPEN.map(|(sent, flags, acks)| (!sent, flags, acks));
        assert_eq!(follow(&passive[..2]), State::SynRecv);
        assert_eq!(follow(&passive), State::Established);
        let simultaneous = [(true, SYN, false), (false, SYN, false), (false, ACK, false)];
        assert_eq!(follow(&simultaneous), State::Established);
    }

    #[test]
    fn closing_first_ends_in_time_wait() {
        let fin = (true, FIN | ACK, false);
        assert_eq!(after_opening(&[fin]), State::FinWait1);
        assert_eq!(after_opening(&[fin, (false, ACK, false)]), State::FinWait1);
        assert_eq!(after_opening(&[fin, (false, ACK, true)]), State::FinWait2);
        assert_eq!(
            after_opening(&[fin, (false, ACK, true), (false, FIN | ACK, true)]),
            State::TimeWait
        );
        assert_eq!(after_opening(&[fin, (false, FIN | ACK, true)]), State::TimeWait);
        assert_eq!(after_opening(&[fin, (false, FIN | ACK, false)]), State::Closing);
        assert_eq!(
            after_opening(&[fin, (false, FIN | ACK, false), (false, ACK, true)]),
            State::TimeWait
        );
    }

    #[test]
    fn closing_second_ends_closed() {
        let (fin, ours) = ((false, FIN | ACK, false), (true, FIN | ACK, true));
        assert_eq!(after_opening(&[fin]), State::CloseWait);
        assert_eq!(after_opening(&[fin, ours]), State::LastAck);
        assert_eq!(after_opening(&[fin, ours, (false, ACK, false)]), State::LastAck);
        assert_eq!(after_opening(&[fin, ours, (false, ACK, true)]), State::Closed);
    }

    #[test]
    fn a_reset_ends_at_once() {
        assert_eq!(follow(&[(true, SYN, false), (false, RST | ACK, false)]), State::Closed);
        assert_eq!(after_opening(&[(true, RST, false)]), State::Closed);
        assert_eq!(follow(&[(false, RST, false)]), State::Closed);
    }

    #[test]
    fn joining_in_the_middle() {
        assert_eq!(first(signal(ACK), true), (State::Established, true));
        assert_eq!(first(signal(FIN | ACK), false), (State::CloseWait, true));
        assert_eq!(first(signal(SYN | ACK), false), (State::Established, true));
        assert_eq!(first(signal(SYN | ACK), true), (State::SynRecv, true));
    }

    #[test]
    fn every_state_has_its_number() {
        for number in 0..=u8::MAX {
            let state = State::from_number(number);
            assert!(state as u8 == number || state == State::Closed);
        }
    }
}
