// SPDX-License-Identifier: MIT OR Apache-2.0

//! Whether the books balance.

use std::collections::HashMap;
use std::io;

use crate::Alert;
use crate::Block;
use crate::Connection;
use crate::Direction;
use crate::Error;
use crate::Fd;
use crate::Header;
use crate::Part;
use crate::Totals;
use crate::Traffic;
use crate::Visitor;
use crate::image::directions;
use crate::is_filtered;

/// Directions times counters.
const LINES: usize = Direction::COUNT * 4;

/// Sums that cannot overflow, in the order of the report's lines.
type Sums = [u128; LINES];

/// Takes an image and says whether its books balance: in each direction and for each counter,
///
/// ```text
/// totals before <= connections + closed + untracked <= totals after
/// ```
///
/// without any tolerance. Besides, no connection may be listed twice, no fd may have moved less
/// than its listed connections have, and each alert's number is larger than the one's before it.
/// Numbers may be missing between two: what is overwritten during the copy is.
///
/// Memory: about 10 bytes a connection, and up to 170 an fd that owns a listed connection.
#[derive(Debug, Default)]
pub struct Audit {
    filtered: bool,
    before: Totals,
    after: Totals,
    connections: Sums,
    closed: Sums,
    untracked: Sums,
    ids: Vec<u64>,
    fds: HashMap<u64, [Traffic; 2]>,
    /// Ids of fds that have moved less than their connections.
    short_fds: Vec<u64>,
    /// The last alert's number.
    last_alert: u64,
    /// Numbers of alerts that are not after the one before them.
    misplaced_alerts: Vec<u64>,
}

/// What an audit found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// One line a direction and counter, directions in their order.
    pub lines: [Line; LINES],
    /// Ids of connections that are listed more than once, ascending.
    pub repeated_connections: Vec<u64>,
    /// Ids of fds that have moved less than their listed connections, in the image's order.
    pub short_fds: Vec<u64>,
    /// Numbers of alerts that are not larger than the one before them, in the image's order.
    pub misplaced_alerts: Vec<u64>,
}

/// One direction and counter of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// `sent`, `received`, `forwarded_sent` or `forwarded_received`.
    pub direction: &'static str,
    /// `packets`, `buffers`, `bytes` or `payload`.
    pub counter: &'static str,
    /// The host's, before the copy.
    pub before: u64,
    /// Of the listed connections.
    pub connections: u128,
    /// Of connections that are no longer listed.
    pub closed: u128,
    /// Of packets that belong to no connection.
    pub untracked: u128,
    /// The host's, after the copy.
    pub after: u64,
}

impl Line {
    /// What connections and packets without one account for.
    #[must_use]
    pub fn sum(&self) -> u128 {
        self.connections + self.closed + self.untracked
    }

    /// How much the sum lacks to what the host had counted before, 0 if nothing.
    #[must_use]
    pub fn missing(&self) -> u128 {
        u128::from(self.before).saturating_sub(self.sum())
    }

    /// How much the sum is beyond what the host had counted after, 0 if nothing.
    #[must_use]
    pub fn excess(&self) -> u128 {
        self.sum().saturating_sub(u128::from(self.after))
    }

    /// Whether the sum is between the two.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.missing() == 0 && self.excess() == 0
    }
}

impl Report {
    /// Whether everything holds.
    #[must_use]
    pub fn balanced(&self) -> bool {
        self.lines.iter().all(Line::holds)
            && self.repeated_connections.is_empty()
            && self.short_fds.is_empty()
            && self.misplaced_alerts.is_empty()
    }

    /// Whether nothing passed while the image was taken, so that the books are equal, not just in
    /// order.
    #[must_use]
    pub fn at_rest(&self) -> bool {
        self.lines.iter().all(|line| line.before == line.after)
    }
}

impl Audit {
    /// What was found. To be asked when the image has ended.
    ///
    /// # Errors
    ///
    /// [`Error::Filtered`] where there are no books to balance.
    pub fn report(mut self) -> Result<Report, Error> {
        if self.filtered {
            return Err(Error::Filtered);
        }
        let mut lines = [Line {
            direction: "",
            counter: "",
            before: 0,
            connections: 0,
            closed: 0,
            untracked: 0,
            after: 0,
        }; LINES];
        for (index, line) in lines.iter_mut().enumerate() {
            let (direction, before) = self.before.fields()[index / 4];
            let (_, after) = self.after.fields()[index / 4];
            let (counter, before) = before.fields()[index % 4];
            let (_, after) = after.fields()[index % 4];
            *line = Line {
                direction,
                counter,
                before,
                connections: self.connections[index],
                closed: self.closed[index],
                untracked: self.untracked[index],
                after,
            };
        }
        self.ids.sort_unstable();
        let repeated = self.ids.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]);
        let mut repeated: Vec<u64> = repeated.collect();
        repeated.dedup();
        Ok(Report {
            lines,
            repeated_connections: repeated,
            short_fds: self.short_fds,
            misplaced_alerts: self.misplaced_alerts,
        })
    }

    fn connection(&mut self, connection: &Connection) {
        let [sent, received] = directions(connection);
        add(&mut self.connections, sent, &connection.sent);
        add(&mut self.connections, received, &connection.received);
        self.ids.push(connection.id);
        if connection.fd != 0 {
            let [sent, received] = self.fds.entry(connection.fd).or_default();
            sent.add(&connection.sent);
            received.add(&connection.received);
        }
    }

    fn fd(&mut self, fd: &Fd) {
        let Some([sent, received]) = self.fds.get(&fd.id) else { return };
        if less(&fd.sent, sent) || less(&fd.received, received) {
            self.short_fds.push(fd.id);
        }
    }

    fn alert(&mut self, alert: &Alert) {
        if alert.number <= self.last_alert {
            self.misplaced_alerts.push(alert.number);
        }
        self.last_alert = alert.number;
    }
}

/// Whether any counter of `a` is less than that of `b`.
fn less(a: &Traffic, b: &Traffic) -> bool {
    a.fields().iter().zip(b.fields()).any(|((_, a), (_, b))| *a < b)
}

fn add(sums: &mut Sums, direction: Direction, traffic: &Traffic) {
    let sums = sums.iter_mut().skip(direction as usize * 4);
    for (sum, (_, value)) in sums.zip(traffic.fields()) {
        *sum += u128::from(value);
    }
}

fn add_totals(sums: &mut Sums, totals: &Totals) {
    for direction in Direction::ALL {
        add(sums, direction, totals.of(direction));
    }
}

impl Visitor for Audit {
    fn header(&mut self, header: &Header, _: &[u8]) -> io::Result<()> {
        self.filtered = is_filtered(header);
        Ok(())
    }

    fn block(&mut self, block: &Block<'_>) -> io::Result<()> {
        match block.part() {
            Part::TotalsBefore(totals) => self.before = totals,
            Part::Connections(records) => records.for_each(|record| self.connection(&record)),
            Part::Fds(records) => records.for_each(|record| self.fd(&record)),
            Part::Closed(totals) => add_totals(&mut self.closed, &totals),
            Part::Untracked(records) => {
                records.for_each(|record| add_totals(&mut self.untracked, &record.totals));
            }
            Part::TotalsAfter(totals) => self.after = totals,
            Part::Alerts(records) => records.for_each(|record| self.alert(&record)),
            // What they hold is no part of the books: nothing says what they have to add up to.
            Part::Status(_)
            | Part::Latency(_)
            | Part::Quality(_)
            | Part::Drops(_)
            | Part::End(_)
            | Part::Unknown(_) => {}
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}
