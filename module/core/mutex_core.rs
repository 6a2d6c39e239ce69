// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0

//! What MUTEX counts and how: everything that needs neither a kernel nor unsafe code.
//!
//! The kernel module is built from this crate and a thin layer that hands it packets; userspace
//! uses the same records, names and text; tests run all of it as an ordinary program.
//!
//! The way of a packet: [`parse`] → [`key`] → [`engine`] → [`index`] → [`connection`], with
//! [`state`] and [`counters`]; a connection that is over goes through [`ledger`].
//! The way of an alert: [`config`] → [`threshold`] → [`alert`].
//! The way of a read: [`snapshot`] → [`wire`] or [`text`].
//! The way of an event: [`filter`] → [`monitor`] → [`wire`].

// The kernel's build says `no_std` for every crate.
#![cfg_attr(not(MODULE), no_std)]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

#[cfg(any(test, loom))]
#[cfg_attr(test, macro_use)]
extern crate std;

pub mod abi;
pub mod alarm;
pub mod alert;
pub mod arena;
pub mod ascii;
pub mod config;
pub mod connection;
pub mod counters;
pub mod cpu;
pub mod crc;
pub mod drops;
pub mod engine;
pub mod fd;
pub mod filter;
pub mod host;
pub mod index;
pub mod key;
pub mod latency;
pub mod ledger;
mod limit;
pub mod measure;
pub mod monitor;
pub mod names;
pub mod parse;
pub mod quality;
pub mod rate;
pub mod report;
pub mod selftest;
pub mod seqlock;
pub mod shares;
pub mod snapshot;
pub mod state;
pub mod sync;
pub mod text;
pub mod threshold;
pub mod timing;
pub mod wire;

#[cfg(test)]
mod testing;
