// SPDX-License-Identifier: MIT OR Apache-2.0

//! When sessions of a peer start, start again, and end.
//!
//! WireGuard tells of no session; it tells when the last handshake was, and what was moved since the peer was
//! configured. A session lives for [`LIFETIME`] after its last handshake, because WireGuard takes no data under an
//! older key. It starts with the first handshake after it had none; it starts *again* if it had run out before
//! the handshake was made, or if counters fell, since then the peer was configured anew.
//!
//! The time of the handshake is by the clock that people set. It is believed only as far as the clock that
//! nobody sets allows: a handshake that was not there when the kernel was asked last was made since.

use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::Moment;
use crate::clock::nanoseconds;

/// How long a handshake is good for: WireGuard's own `REJECT_AFTER_TIME`.
pub const LIFETIME: Duration = Duration::from_secs(180);

/// The sessions of a peer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// When the last handshake was, in nanoseconds of the Unix epoch; 0 if there was none.
    pub handshake_ns: u64,
    /// When it was, by the clock that nobody sets.
    made_ns: u64,
    /// When the kernel was asked last, by the clock that nobody sets; 0 if never in this boot.
    asked_ns: u64,
    /// When the session that lives began, in nanoseconds of the Unix epoch.
    pub started_ns: Option<u64>,
    /// How many have begun.
    pub sessions: u64,
    /// How many of them in place of another one.
    pub restarts: u64,
}

/// What has become of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionChange {
    /// There was none.
    Started,
    /// Another one has taken its place, since it had run out before.
    RestartedAfterSilence,
    /// Another one has taken its place, since the peer's counters began anew.
    RestartedFromZero,
    /// It has run out, or the peer was configured anew and has had no handshake yet.
    Ended,
}

impl Session {
    /// Sees what the kernel says now. `fell`: counters are below what they were.
    pub fn observe(&mut self, handshake_ns: u64, fell: bool, now: Moment) -> Option<SessionChange> {
        let lifetime = nanoseconds(LIFETIME);
        let lived = self.started_ns.is_some();
        let before_ns = self.made_ns;
        let is_new = handshake_ns != self.handshake_ns;
        if is_new {
            let mut age = now.time_ns.saturating_sub(handshake_ns);
            if self.asked_ns != 0 && handshake_ns != 0 {
                age = age.min(now.uptime_ns.saturating_sub(self.asked_ns));
            }
            self.handshake_ns = handshake_ns;
            self.made_ns = now.uptime_ns.saturating_sub(age);
        }
        self.asked_ns = now.uptime_ns;
        let is_fresh = handshake_ns != 0 && now.uptime_ns < self.made_ns.saturating_add(lifetime);
        let ran_out = is_new && self.made_ns > before_ns.saturating_add(lifetime);
        let change = match (lived, is_fresh) {
            (false, true) => SessionChange::Started,
            (true, false) => SessionChange::Ended,
            (true, true) if fell => SessionChange::RestartedFromZero,
            (true, true) if ran_out => SessionChange::RestartedAfterSilence,
            _ => return None,
        };
        if change == SessionChange::Ended {
            self.started_ns = None;
            return Some(change);
        }
        self.started_ns = Some(handshake_ns);
        self.sessions += 1;
        self.restarts += u64::from(change != SessionChange::Started);
        Some(change)
    }

    /// Whether there is one.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.started_ns.is_some()
    }

    /// What of it changes only when something happens.
    pub(crate) fn marks(&self) -> (u64, Option<u64>, u64) {
        (self.handshake_ns, self.started_ns, self.sessions)
    }

    /// What was known in an earlier boot: its clock that nobody sets says nothing now.
    pub(crate) fn of_another_boot(&mut self) {
        self.made_ns = 0;
        self.asked_ns = 0;
    }

    /// Adds what was known before this was begun.
    pub(crate) fn add_earlier(&mut self, earlier: &Session) {
        let goes_on = earlier.started_ns.is_some() && earlier.started_ns == self.started_ns;
        self.sessions += earlier.sessions - u64::from(goes_on && earlier.sessions > 0);
        self.restarts += earlier.restarts;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    /// The epoch's seconds at boot.
    const BOOT: u64 = 1_700_000_000;

    /// Asked at this second since boot, with a handshake at that one (0: none).
    fn observe(
        session: &mut Session,
        at: u64,
        handshake: u64,
        fell: bool,
    ) -> Option<SessionChange> {
        let now = Moment { time_ns: (BOOT + at) * SECOND, uptime_ns: at * SECOND };
        let handshake_ns = if handshake == 0 { 0 } else { (BOOT + handshake) * SECOND };
        session.observe(handshake_ns, fell, now)
    }

    #[test]
    fn a_session_starts_goes_on_and_ends() {
        let mut session = Session::default();
        assert_eq!(observe(&mut session, 1000, 0, false), None);
        assert_eq!(observe(&mut session, 1060, 1055, false), Some(SessionChange::Started));
        assert_eq!(session.started_ns, Some((BOOT + 1055) * SECOND));
        // Rekeyed after two minutes, as WireGuard does.
        assert_eq!(observe(&mut session, 1120, 1055, false), None);
        assert_eq!(observe(&mut session, 1180, 1175, false), None);
        assert_eq!(observe(&mut session, 1354, 1175, false), None);
        assert_eq!(observe(&mut session, 1355, 1175, false), Some(SessionChange::Ended));
        assert_eq!(observe(&mut session, 1400, 1175, false), None);
        assert!(!session.is_alive());
        assert_eq!(observe(&mut session, 1460, 1455, false), Some(SessionChange::Started));
        assert_eq!((session.sessions, session.restarts), (2, 0));
    }

    #[test]
    fn a_session_that_ran_out_between_two_looks_has_started_again() {
        let mut session = Session::default();
        observe(&mut session, 1000, 990, false);
        // Exactly its lifetime later it could still have gone on.
        assert_eq!(observe(&mut session, 1175, 1170, false), None);
        assert_eq!(
            observe(&mut session, 1360, 1351, false),
            Some(SessionChange::RestartedAfterSilence)
        );
        assert_eq!((session.sessions, session.restarts), (2, 1));
        assert_eq!(session.started_ns, Some((BOOT + 1351) * SECOND));
    }

    #[test]
    fn counters_that_fall_start_it_again() {
        let mut session = Session::default();
        observe(&mut session, 1000, 990, false);
        assert_eq!(observe(&mut session, 1010, 1005, true), Some(SessionChange::RestartedFromZero));
        assert_eq!(observe(&mut session, 1020, 0, true), Some(SessionChange::Ended));
        assert_eq!(observe(&mut session, 1030, 1025, false), Some(SessionChange::Started));
        assert_eq!((session.sessions, session.restarts), (3, 1));
    }

    #[test]
    fn a_clock_that_is_set_ends_and_starts_nothing() {
        let mut session = Session::default();
        observe(&mut session, 1000, 990, false);
        let day = 86_400 * SECOND;
        // The clock is set forward by a day; the handshake is as it was.
        let mut now =
            Moment { time_ns: BOOT * SECOND + 1060 * SECOND + day, uptime_ns: 1060 * SECOND };
        assert_eq!(session.observe((BOOT + 990) * SECOND, false, now), None);
        // The next one has a time of the new clock, and the clock is set back by two days right after it.
        now.uptime_ns = 1120 * SECOND;
        now.time_ns = BOOT * SECOND - day;
        assert_eq!(session.observe(BOOT * SECOND + 1110 * SECOND + day, false, now), None);
        // A handshake that the new clock says is a day old was made since the last look all the same.
        now.uptime_ns = 1180 * SECOND;
        now.time_ns = BOOT * SECOND + 2 * day;
        assert_eq!(session.observe(BOOT * SECOND - day, false, now), None);
        assert_eq!((session.sessions, session.is_alive()), (1, true));
        now.uptime_ns = (1180 + 181) * SECOND;
        assert_eq!(session.observe(BOOT * SECOND - day, false, now), Some(SessionChange::Ended));
    }

    #[test]
    fn an_old_handshake_is_no_session_at_the_first_look() {
        let mut session = Session::default();
        assert_eq!(observe(&mut session, 5000, 1000, false), None);
        assert_eq!(observe(&mut session, 5001, 1000, false), None);
        assert_eq!(session.sessions, 0);
    }

    #[test]
    fn what_was_known_before_is_added_once() {
        let mut earlier = Session::default();
        observe(&mut earlier, 1000, 990, false);
        let mut session = Session::default();
        observe(&mut session, 1010, 990, false);
        session.add_earlier(&earlier);
        assert_eq!(session.sessions, 1, "the session that goes on is the same one");
        let mut other = Session::default();
        observe(&mut other, 2010, 2000, false);
        other.add_earlier(&earlier);
        assert_eq!(other.sessions, 2);
    }
}
