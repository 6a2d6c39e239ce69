// SPDX-License-Identifier: MIT OR Apache-2.0

//! What happened of late, for who asks now and then instead of listening.

use std::collections::VecDeque;

use crate::Event;

/// The newest events, numbered from 1 in the order in which they happened or were heard of.
#[derive(Debug)]
pub(crate) struct Recent {
    capacity: usize,
    events: VecDeque<Event>,
    /// The number of the newest event.
    last: u64,
}

/// Events with their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecentEvents {
    /// The oldest first.
    pub events: Vec<(u64, Event)>,
    /// The number of the oldest event that is kept; one more than the newest one's if none is.
    pub oldest: u64,
    /// The number of the newest event; 0 before the first.
    pub newest: u64,
}

impl Recent {
    pub(crate) fn new(capacity: usize) -> Self {
        Recent { capacity, events: VecDeque::new(), last: 0 }
    }

    /// Another one; the oldest goes if there is no room.
    pub(crate) fn push(&mut self, event: Event) {
        if self.events.len() == self.capacity {
            self.events.pop_front();
        }
        self.events.push_back(event);
        self.last += 1;
    }

    /// The first events after that number, so many at the most.
    pub(crate) fn after(&self, number: u64, most: usize) -> RecentEvents {
        let oldest = self.last + 1 - self.events.len() as u64;
        let first = number.saturating_add(1).max(oldest);
        let skip = usize::try_from(first - oldest).unwrap_or(usize::MAX);
        let events = (first..).zip(self.events.iter().skip(skip).take(most).cloned()).collect();
        RecentEvents { events, oldest, newest: self.last }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Happening;

    fn event(number: u64) -> Event {
        Event {
            node: "a".to_owned(),
            time_ns: number,
            interface: "wg0".to_owned(),
            happening: Happening::InterfaceAppeared,
        }
    }

    #[test]
    fn who_asks_in_time_misses_nothing_and_who_does_not_can_tell() {
        let mut recent = Recent::new(3);
        let none = recent.after(0, 9);
        assert_eq!((none.events.len(), none.oldest, none.newest), (0, 1, 0));
        for number in 1..=5 {
            recent.push(event(number));
        }
        let got = recent.after(0, 9);
        assert_eq!(got.events, [(3, event(3)), (4, event(4)), (5, event(5))]);
        assert_eq!((got.oldest, got.newest), (3, 5));
        assert_eq!(recent.after(3, 1).events, [(4, event(4))]);
        assert_eq!(recent.after(5, 9).events, []);
        assert_eq!(recent.after(u64::MAX, 9).events, []);
    }
}
