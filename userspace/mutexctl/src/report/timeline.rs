// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a recording says of the host over time.

use std::io::BufReader;

use mutex_stats::Image;
use mutex_stats::Load;
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
    pub losses: Vec<u64>,
    /// For how long each moment's numbers are.
    elapsed: Vec<u64>,
    /// Whether the module was loaded anew since the moment before.
    is_anew: Vec<bool>,
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

    /// Before which moments there is a gap, of which nothing is known or hardly anything: the module
    /// was loaded anew, or no image was taken for several times as long as usual.
    pub fn gaps(&self) -> Vec<bool> {
        let mut sorted = self.elapsed.clone();
        sorted.sort_unstable();
        let usual = sorted.get(sorted.len() / 2).copied().unwrap_or(0);
        let is_long = |elapsed: &u64| *elapsed > usual.saturating_mul(3);
        let each = self.elapsed.iter().zip(&self.is_anew);
        each.map(|(elapsed, is_anew)| *is_anew || is_long(elapsed)).collect()
    }

    fn add(&mut self, before: &Image, now: &Image) {
        let (then, header) = (&before.header, &now.header);
        let load = |image: &Image| Load::of(&image.header, &image.status);
        let is_anew = load(before) != load(now);
        let uptime = now.status.uptime_ns;
        let elapsed = match header.boottime_ns.checked_sub(then.boottime_ns) {
            // What this load has moved it has moved since it began.
            _ if then.boot_id != header.boot_id => uptime,
            Some(elapsed) if is_anew => elapsed.min(uptime),
            Some(elapsed) => elapsed,
            None => 0,
        };
        if elapsed == 0 {
            return;
        }
        let since = |before: u64, now: u64| {
            if is_anew { now } else { now.saturating_sub(before) }
        };
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
        self.losses.push(since(earlier.losses(), later.losses()));
        self.elapsed.push(elapsed);
        self.is_anew.push(is_anew);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    /// An image of a second since boot, after so many seconds of uptime.
    fn image(second: u64, uptime: u64, sent: u64) -> Image {
        let mut image = Image::default();
        image.header.time_ns = second * S;
        image.header.boottime_ns = second * S;
        image.status.uptime_ns = uptime * S;
        image.totals_after.sent.bytes = sent;
        image.quality.drops = sent;
        image
    }

    fn timeline(images: &[Image]) -> Timeline {
        let mut timeline = Timeline::default();
        images.windows(2).for_each(|pair| timeline.add(&pair[0], &pair[1]));
        timeline
    }

    #[test]
    fn a_reload_is_a_gap_though_more_is_counted_than_before() {
        let timeline = timeline(&[
            image(90, 1_000, 0),
            image(100, 1_010, 1_000),
            // Loaded again at 101, and it has moved more already.
            image(160, 59, 5_900),
            image(220, 119, 5_960),
        ]);
        assert_eq!(timeline.sent, [100, 100, 1]);
        assert_eq!(timeline.losses, [1_000, 5_900, 60]);
        assert_eq!(timeline.gaps(), [false, true, false]);
    }

    #[test]
    fn another_boot_and_a_long_break_are_gaps() {
        let mut booted = image(7, 5, 50);
        (booted.header.boot_id, booted.header.time_ns) = ([1; 16], 400 * S);
        let images = [image(100, 10, 0), image(110, 20, 10), image(120, 30, 20), booted];
        let timeline = timeline(&images);
        assert_eq!(
            (&timeline.times[..], &timeline.sent[..]),
            (&[110 * S, 120 * S, 400 * S][..], &[1, 1, 10][..])
        );
        assert_eq!(timeline.gaps(), [false, false, true]);
        let long =
            [0, 10, 20, 30, 3_600, 3_610].map(|second| image(100 + second, 10 + second, second));
        let timeline = super::tests::timeline(&long);
        // Nothing that was moved is missing: the counters went on.
        assert_eq!(timeline.losses.iter().sum::<u64>(), 3_610);
        assert_eq!(timeline.gaps(), [false, false, false, true, false]);
    }
}
