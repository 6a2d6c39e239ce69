// SPDX-License-Identifier: MIT OR Apache-2.0

//! Prints how this host and an application's requests perform, as Prometheus reads it.
//!
//! `cargo run --example host_metrics`; as root, it knows each peer, too.

use std::io::stdout;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use mutex_stats::Proc;
use mutex_stats::diagnostics::Entry;
use mutex_stats::diagnostics::Recorder;
use mutex_stats::formats::Exposition;
use mutex_stats::formats::Families;
use mutex_stats::monitor::Monitor;
use mutex_stats::monitor::Network;
use mutex_stats::monitor::Requests;
use mutex_stats::monitor::Resource;
use mutex_stats::monitor::Store;
use mutex_stats::monitor::Transport;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let recorder = Recorder::default();
    let monitor = Monitor::new();
    let requests = Arc::new(Requests::new("example"));
    let store = Arc::new(Store::new("example store"));
    let transport = Arc::new(Transport::new("example transport"));
    monitor.register(requests.clone())?;
    monitor.register(store.clone())?;
    monitor.register(transport.clone())?;
    monitor.register(Arc::new(Resource::new("host")))?;
    monitor.register(Arc::new(Network::new("kernel", Proc::default()).with_peers(10)))?;
    monitor.start(Monitor::INTERVAL)?;

    let pending = requests.begin();
    sleep(Duration::from_millis(20));
    pending.succeed();
    store.cache_hit();
    store.read(Duration::from_micros(30));
    transport.peer_latency("192.0.2.1", Duration::from_millis(3));
    recorder.record(Entry::peer_connected("192.0.2.1", "192.0.2.1:443"))?;
    monitor.stop();

    let mut families = Families::new(stdout().lock(), Exposition::Prometheus);
    recorder.write_metrics(&mut families)?;
    monitor.write_metrics(&mut families)?;
    families.finish().map(drop)?;
    Ok(())
}
