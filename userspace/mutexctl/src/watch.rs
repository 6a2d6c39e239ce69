// SPDX-License-Identifier: MIT OR Apache-2.0

//! Doing something again and again.

use std::io;
use std::io::IsTerminal;
use std::io::Write;
use std::thread::sleep;
use std::time::Duration;
use std::time::Instant;

use crate::failure::Failure;
use crate::target::Target;

/// Clears a terminal, from its first line on.
pub const CLEAR: &[u8] = b"\x1b[H\x1b[2J";

/// Calls `show` once, or with an interval until somebody ends it or `count` times. On a terminal each
/// takes the place of the one before, elsewhere there is an empty line between them.
pub fn repeat(
    interval: Option<Duration>,
    count: Option<u64>,
    mut show: impl FnMut() -> Result<(), Failure>,
) -> Result<(), Failure> {
    let Some(interval) = interval else { return show() };
    let is_terminal = io::stdout().is_terminal();
    let separator: &[u8] = if is_terminal { CLEAR } else { b"\n" };
    let mut next = Instant::now();
    let mut shown = 0;
    while count.is_none_or(|count| shown < count) {
        if shown > 0 {
            next += interval;
            sleep(next.saturating_duration_since(Instant::now()));
        }
        if shown > 0 || is_terminal {
            Target::Output.write(|output| {
                let failed = |error| Failure::writing(Target::Output, &error);
                output.write_all(separator).map_err(failed)
            })?;
        }
        show()?;
        shown += 1;
    }
    Ok(())
}
