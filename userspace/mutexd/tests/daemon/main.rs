// SPDX-License-Identifier: MIT OR Apache-2.0

//! The daemon as a program: how it starts, answers and ends, with files that look like the kernel's.

mod access;
mod bounds;
mod diagnostics;
mod history;
mod host;
mod interface;
mod life;
mod metrics;
mod monitor;
mod peers;
