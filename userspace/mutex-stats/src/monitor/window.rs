// SPDX-License-Identifier: MIT OR Apache-2.0

//! How much something has grown of late.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

/// Remembers what something was, as far back as a window reaches, however often somebody looks.
#[derive(Debug)]
pub(super) struct Window<T>(Mutex<VecDeque<(Duration, T)>>);

/// How far back a rate looks.
const LENGTH: Duration = Duration::from_secs(10);

/// Looks that follow each other faster are not remembered.
const STEP: Duration = Duration::from_millis(500);

impl<T: Copy> Window<T> {
    /// It is `value` at the beginning.
    pub(super) fn new(now: Duration, value: T) -> Self {
        Window(Mutex::new(VecDeque::from([(now, value)])))
    }

    /// It is `value` now; what it was before, and how long ago: a window's length, or longer if
    /// nobody has looked meanwhile, or since the beginning if that is not so long ago.
    pub(super) fn look(&self, now: Duration, value: T) -> (Duration, T) {
        let mut marks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let age = |mark: &(Duration, T)| now.saturating_sub(mark.0);
        while marks.get(1).is_some_and(|mark| age(mark) >= LENGTH) {
            marks.pop_front();
        }
        let (at, then) = marks.front().copied().unwrap_or((now, value));
        if marks.back().is_none_or(|mark| age(mark) >= STEP) {
            marks.push_back((now, value));
        }
        (now.saturating_sub(at), then)
    }
}

impl Window<u64> {
    /// How much it grows in a second; 0 if no time has passed.
    pub(super) fn rate(&self, now: Duration, value: u64) -> f64 {
        let (passed, before) = self.look(now, value);
        if passed.is_zero() {
            return 0.0;
        }
        as_float(value.saturating_sub(before)) / passed.as_secs_f64()
    }
}

/// For shares and rates.
#[expect(clippy::cast_precision_loss, reason = "nobody reads the last digit of a share or a rate")]
pub(super) fn as_float(value: u64) -> f64 {
    value as f64
}

/// 0 of nothing.
pub(super) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { as_float(part) / as_float(whole) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_of_the_last_ten_seconds_however_often_one_looks() {
        let window = Window::new(Duration::ZERO, 0);
        assert!(window.rate(Duration::ZERO, 5).abs() < f64::EPSILON);
        let mut last = 0.0;
        // Ten in a second, looked at every 10 ms; and a hundred in a second from the 20th on.
        for step in 0..4000u64 {
            let count = if step < 2000 { step / 10 } else { 200 + (step - 2000) };
            last = window.rate(Duration::from_millis(step * 10), count);
            if step == 1999 {
                assert!((last - 10.0).abs() < 0.2, "{last}");
            }
        }
        assert!((last - 100.0).abs() < 0.2, "{last}");
        assert!(window.0.lock().expect("nobody panics").len() <= 22);
        // Nobody looks for an hour, in which nothing happens.
        let rate = window.rate(Duration::from_secs(3640), 2200);
        assert!(rate < 1.0, "{rate}");
        assert!(window.rate(Duration::from_secs(3650), 0).abs() < f64::EPSILON, "it began anew");
    }
}
