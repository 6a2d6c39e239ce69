// SPDX-License-Identifier: MIT OR Apache-2.0

//! Rates of the last moments, for sparklines.

use std::collections::HashMap;
use std::collections::VecDeque;

use super::row::Row;
use super::view::View;

/// Moments that are remembered.
const LENGTH: usize = 120;

/// The rates of one thing, the oldest first.
#[derive(Clone, Debug, Default)]
pub struct History {
    rates: VecDeque<[u64; 2]>,
    /// The last moment that is in it.
    moment: u64,
}

impl History {
    fn push(&mut self, moment: u64, rates: [u64; 2]) {
        self.moment = moment;
        self.rates.push_back(rates);
        if self.rates.len() > LENGTH {
            self.rates.pop_front();
        }
    }

    /// Bytes a second in, for each moment.
    pub fn inward(&self) -> Vec<u64> {
        self.rates.iter().map(|[inward, _]| *inward).collect()
    }

    /// Bytes a second out, for each moment.
    pub fn outward(&self) -> Vec<u64> {
        self.rates.iter().map(|[_, outward]| *outward).collect()
    }

    /// Both together.
    pub fn both(&self) -> Vec<u64> {
        self.rates.iter().map(|[inward, outward]| inward.saturating_add(*outward)).collect()
    }
}

/// The histories of the host and of what is on the screen: a hundred thousand are not needed to
/// show thirty.
#[derive(Default)]
pub struct Histories {
    pub host: History,
    rows: HashMap<(View, u128), History>,
    moment: u64,
}

impl Histories {
    /// Goes on to the next moment, in which the host has these rates.
    pub fn next(&mut self, host: [u64; 2]) {
        self.moment += 1;
        self.host.push(self.moment, host);
        // What has been off the screen for a while has begun anew when it comes back.
        let moment = self.moment;
        self.rows.retain(|_, history| history.moment + 30 >= moment);
    }

    /// What a row has in this moment.
    pub fn row(&mut self, view: View, row: &Row<'_>) {
        let Some(rates) = row.rates() else { return };
        let history = self.rows.entry((view, row.id())).or_default();
        if history.moment != self.moment {
            history.push(self.moment, rates);
        }
    }

    pub fn of(&self, view: View, id: u128) -> Option<&History> {
        self.rows.get(&(view, id))
    }
}

/// The last `width` of these numbers as bars, the largest as high as a line; nothing is the lowest
/// only if it is not 0.
pub fn sparkline(numbers: &[u64], width: usize) -> String {
    const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

    let last = numbers.get(numbers.len().saturating_sub(width)..).unwrap_or_default();
    let most = u128::from(last.iter().copied().max().unwrap_or(0).max(1));
    let bar = |&number: &u64| {
        let height = (u128::from(number) * 8).div_ceil(most);
        usize::try_from(height).ok().and_then(|height| BARS.get(height)).copied().unwrap_or(' ')
    };
    let bars: String = last.iter().map(bar).collect();
    format!("{bars:>width$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_high_as_numbers_are_large() {
        assert_eq!(sparkline(&[], 3), "   ");
        assert_eq!(sparkline(&[0, 0], 3), "   ");
        assert_eq!(sparkline(&[9, 0, 1, 50, 100], 4), " ▁▄█");
        assert_eq!(sparkline(&[u64::MAX, 1], 4), "  █▁");
    }
}
