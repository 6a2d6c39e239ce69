// SPDX-License-Identifier: MIT OR Apache-2.0

//! Maps the live records and prints what moved in a second: nothing is copied but what is looked at.
//!
//! `cargo run --example live_rates`, as root.

use std::collections::HashMap;
use std::thread::sleep;
use std::time::Duration;

use mutex_stats::Mapping;
use mutex_stats::Proc;

fn main() -> Result<(), mutex_stats::Error> {
    let mapping = Mapping::open(&Proc::default())?;
    let bytes = || -> HashMap<u64, u64> {
        let live = mapping.connections();
        live.map(|live| (live.id(), live.sent().bytes + live.received().bytes)).collect()
    };
    let before = bytes();
    sleep(Duration::from_secs(1));
    for (id, after) in bytes() {
        let moved = after.saturating_sub(before.get(&id).copied().unwrap_or(0));
        if moved > 0 {
            println!("connection {id}: {moved} bytes in a second");
        }
    }
    Ok(())
}
