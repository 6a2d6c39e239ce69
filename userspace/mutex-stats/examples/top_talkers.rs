// SPDX-License-Identifier: MIT OR Apache-2.0

//! The ten processes that moved the most bytes.
//!
//! `cargo run --example top_talkers [FOLDER]`, as root; the folder is /proc/mutex if none is named.

use mutex_stats::Aggregate;
use mutex_stats::Filter;
use mutex_stats::Holders;
use mutex_stats::Key;
use mutex_stats::Of;
use mutex_stats::Proc;
use mutex_stats::Selection;

fn main() -> Result<(), mutex_stats::Error> {
    let proc = std::env::args().nth(1).map_or_else(Proc::default, Proc::new);
    let holders = Holders::scan(Holders::FOLDER.as_ref());
    let mut selection = Selection::connections(Filter::default(), Some(holders));
    proc.snapshot()?.visit(&mut selection)?;

    let mut aggregate = Aggregate::by(&[Key::Pid, Key::Command]);
    for owned in selection.into_connections(None, None) {
        aggregate.add(&owned);
    }
    for group in aggregate.into_groups().iter().take(10) {
        if let Of::Connections(cells) = &group.of {
            let names: Vec<_> = cells.iter().map(ToString::to_string).collect();
            println!("{:>15} bytes  {}", group.bytes(), names.join(" "));
        }
    }
    Ok(())
}
