// SPDX-License-Identifier: MIT OR Apache-2.0

//! Images that are written, read, converted, audited, damaged.

mod any;
mod audit;
mod damage;
mod events;
mod formats;
mod kernel;
mod later_versions;
mod proc;
mod raw;
mod round_trip;
mod tools;
