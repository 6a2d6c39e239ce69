// SPDX-License-Identifier: MIT OR Apache-2.0

//! Prints connections as they end, with what they have moved.
//!
//! `cargo run --example watch_events [FILTER]`, as root: `'protocol=tcp remote_port=443'`.

use mutex_stats::Events;
use mutex_stats::Filter;
use mutex_stats::Filtered;
use mutex_stats::Happening;
use mutex_stats::Proc;

fn main() -> Result<(), mutex_stats::Error> {
    let terms = std::env::args().nth(1).unwrap_or_default();
    let filter = Filter::parse(&format!("kind=end {terms}"), Filtered::Events)?;
    let mut events = Events::open(&Proc::default(), &filter)?;
    let mut lost = 0;
    while let Some(event) = events.next_event(None)? {
        if event.lost > lost {
            eprintln!("{} events were lost", event.lost - lost);
            lost = event.lost;
        }
        if let Happening::End(connection) = event.happening {
            let (sent, received) = (connection.sent.bytes, connection.received.bytes);
            println!("connection {}: sent {sent}, received {received}", connection.id);
        }
    }
    Ok(())
}
