// SPDX-License-Identifier: MIT OR Apache-2.0

//! What can go wrong, each in one sentence.

use std::io;

/// Why something was not recorded, or could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The recorder takes and gives nothing any more.
    #[error("the recorder is closed")]
    Closed,
    /// The settings say that health is not checked.
    #[error("the health check is off")]
    HealthCheckOff,
    /// A part of an event has more than may be.
    #[error("the event's {part} has {size} bytes, more than {limit}")]
    TooLong {
        /// Which.
        part: &'static str,
        /// How much it has.
        size: usize,
        /// How much it may have.
        limit: usize,
    },
    /// A kind is not a name.
    #[error(
        "`{0}` is no kind of event: it has to be letters, digits and the signs `_`, `-`, `.` and `:`"
    )]
    Kind(
        /// What there is.
        String,
    ),
    /// What should go out did not, or what should come in.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// What came over the socket is not of the protocol.
    #[error("the daemon's answer is not of this protocol: {0}")]
    Protocol(
        /// What is wrong with it.
        String,
    ),
    /// The daemon has not recorded it, and says why.
    #[error("the daemon has refused it: {0}")]
    Refused(
        /// What it says.
        String,
    ),
}
