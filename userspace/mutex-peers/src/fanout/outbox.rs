// SPDX-License-Identifier: MIT OR Apache-2.0

//! What this node has to say.

use std::collections::VecDeque;

use crate::Event;

/// The newest events of this node, numbered from 1: those that the server has, kept for who missed them, and
/// those that it has to get yet.
#[derive(Debug)]
pub(crate) struct Outbox {
    capacity: usize,
    events: VecDeque<Event>,
    /// The number of the newest event.
    last: u64,
    /// The number up to which they were handed to the connection.
    sent: u64,
    /// The number up to which the server has given them back.
    confirmed: u64,
    lost: u64,
}

impl Outbox {
    pub(crate) fn new(capacity: usize) -> Self {
        let events = VecDeque::new();
        Outbox { capacity, events, last: 0, sent: 0, confirmed: 0, lost: 0 }
    }

    /// The number before the oldest event that is kept.
    fn before(&self) -> u64 {
        self.last - self.events.len() as u64
    }

    /// Another event; the oldest goes if there is no room.
    pub(crate) fn push(&mut self, event: Event) {
        if self.events.len() == self.capacity {
            self.events.pop_front();
            self.lost += u64::from(self.last - self.capacity as u64 >= self.confirmed);
        }
        self.events.push_back(event);
        self.last += 1;
    }

    /// The next event for the server, with its number, if no more than so many are under way.
    pub(crate) fn next(&mut self, under_way: u64) -> Option<(u64, Event)> {
        let number = self.sent.max(self.before()) + 1;
        if number > self.last || number > self.confirmed.max(self.before()) + under_way {
            return None;
        }
        let at = usize::try_from(number - self.before() - 1).ok()?;
        self.sent = number;
        self.events.get(at).map(|event| (number, event.clone()))
    }

    /// The server has given this one back.
    pub(crate) fn confirm(&mut self, number: u64) {
        self.confirmed = self.confirmed.max(number.min(self.last));
        self.sent = self.sent.max(self.confirmed);
    }

    /// What was under way may be lost: it goes again.
    pub(crate) fn again(&mut self) {
        self.sent = self.confirmed;
    }

    /// All after this number, `None` if not all of that is kept any more, or there is no such number.
    pub(crate) fn after(&self, number: u64) -> Option<Vec<Event>> {
        let skip = number.checked_sub(self.before()).filter(|_| number <= self.last)?;
        Some(self.events.iter().skip(usize::try_from(skip).ok()?).cloned().collect())
    }

    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// How many the server has not confirmed, of those that are kept.
    pub(crate) fn waiting(&self) -> usize {
        usize::try_from(self.last - self.confirmed.max(self.before())).unwrap_or(usize::MAX)
    }

    pub(crate) fn lost(&self) -> u64 {
        self.lost
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

    fn numbers(events: Option<Vec<Event>>) -> Option<Vec<u64>> {
        Some(events?.iter().map(|event| event.time_ns).collect())
    }

    #[test]
    fn what_is_not_confirmed_goes_again_in_its_order() {
        let mut outbox = Outbox::new(10);
        for number in 1..=4 {
            outbox.push(event(number));
        }
        let mut sent = || outbox.next(3).map(|(number, event)| (number, event.time_ns));
        assert_eq!(
            [sent(), sent(), sent(), sent()],
            [Some((1, 1)), Some((2, 2)), Some((3, 3)), None]
        );
        outbox.confirm(1);
        assert_eq!(outbox.next(3).unwrap().0, 4);
        outbox.confirm(2);
        outbox.again();
        assert_eq!(outbox.next(3).unwrap().0, 3);
        assert_eq!(outbox.waiting(), 2);
        outbox.confirm(4);
        assert_eq!((outbox.next(3), outbox.waiting(), outbox.lost()), (None, 0, 0));
    }

    #[test]
    fn what_finds_no_room_is_counted_unless_the_server_has_it() {
        let mut outbox = Outbox::new(3);
        for number in 1..=3 {
            outbox.push(event(number));
        }
        outbox.confirm(2);
        for number in 4..=6 {
            outbox.push(event(number));
        }
        assert_eq!((outbox.lost(), outbox.waiting()), (1, 3), "the third is lost");
        assert_eq!(outbox.next(3).unwrap(), (4, event(4)));
        assert_eq!(numbers(outbox.after(4)), Some(vec![5, 6]));
        assert_eq!(numbers(outbox.after(3)), Some(vec![4, 5, 6]));
        assert_eq!(numbers(outbox.after(6)), Some(vec![]));
        assert_eq!(outbox.after(2), None);
        assert_eq!(outbox.after(7), None, "who has more than there is was told wrong");
    }
}
