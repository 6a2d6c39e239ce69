// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a recording says of the host over time.

use std::io::BufReader;

use mutex_stats::Image;
use mutex_stats::Recording;
use mutex_stats::Summary;
use mutex_stats::visit;

use crate::failure::say;
use crate::human;
use crate::progress::Progress;

/// Moments that a plot has room for.
const MOST: usize = 400;

/// Moments, each with what has happened since the one before.
#[derive(Debug, Default)]
pub struct Timeline {
    pub times: Vec<u64>,
    /// Bytes a second received, between two moments.
    pub received: Vec<u64>,
    pub sent: Vec<u64>,
    /// Segments that were sent again.
    pub retransmitted: Vec<u64>,
    pub drops: Vec<u64>,
}

impl Timeline {
    /// What happened from `since` to `until`. Of many images some are left out; nothing is lost by
    /// that, for all counters go on.
    pub fn read(recording: &Recording, since: u64, until: u64) -> Self {
        let within = |time: u64| (since..=until).contains(&time);
        let images: Vec<_> =
            recording.images().iter().filter(|image| within(image.time_ns)).collect();
        let step = images.len().div_ceil(MOST).max(1);
        let mut timeline = Timeline::default();
        let mut before: Option<Image> = None;
        let mut progress = Progress::passing();
        // So that the last one is among them.
        for (number, image) in images.iter().rev().step_by(step).rev().enumerate() {
            progress.say(format_args!("read {number} of {} images", images.len().div_ceil(step)));
            let mut summary = Summary::default();
            let read = recording.read(**image);
            let read = read.and_then(|input| visit(BufReader::new(input), &mut summary));
            if let Err(error) = read {
                let time = human::moment(image.time_ns);
                progress.clear();
                say(format_args!("the image of {time} is left out: {error}"));
                continue;
            }
            if let Some(before) = &before {
                timeline.add(before, &summary.image);
            }
            before = Some(summary.image);
        }
        timeline
    }

    fn add(&mut self, before: &Image, now: &Image) {
        let (then, header) = (&before.header, &now.header);
        let elapsed = header.boottime_ns.saturating_sub(then.boottime_ns);
        if then.boot_id != header.boot_id || elapsed == 0 {
            return;
        }
        // What went down has begun anew: the module was loaded again.
        let since = |before: u64, now: u64| now.checked_sub(before).unwrap_or(now);
        let rate = |before: u64, now: u64| {
            let rate = u128::from(since(before, now)) * 1_000_000_000 / u128::from(elapsed);
            u64::try_from(rate).unwrap_or(u64::MAX)
        };
        let (earlier, later) = (&before.totals_after, &now.totals_after);
        self.times.push(header.time_ns);
        self.received.push(rate(earlier.received.bytes, later.received.bytes));
        self.sent.push(rate(earlier.sent.bytes, later.sent.bytes));
        let (earlier, later) = (&before.quality, &now.quality);
        self.retransmitted.push(since(earlier.retransmitted_packets, later.retransmitted_packets));
        self.drops.push(since(earlier.drops, later.drops));
    }
}
