// SPDX-License-Identifier: MIT OR Apache-2.0

//! Histories of a host that does what it is told: no test looks at a clock.

mod books;
mod failures;
mod host;
mod keeping;
mod killed;
