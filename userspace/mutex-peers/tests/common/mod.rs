// SPDX-License-Identifier: MIT OR Apache-2.0

//! A kernel, a network and clocks that do what they are told.

#![allow(dead_code, reason = "each test program uses some of it")]

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use mutex_peers::AllowedIp;
use mutex_peers::Clock;
use mutex_peers::Devices;
use mutex_peers::InterfaceReading;
use mutex_peers::Moment;
use mutex_peers::PeerId;
use mutex_peers::PeerReading;
use mutex_peers::Peers;
use mutex_peers::Pinger;
use mutex_peers::PublicKey;
use mutex_peers::Settings;
use mutex_peers::Target;
use mutex_stats::formats::Exposition;
use mutex_stats::formats::Families;
use tokio::time::Instant;

/// Seconds of the Unix epoch at boot.
pub const BOOT: u64 = 1_700_000_000;
/// Seconds since boot at the start of a test.
pub const START: u64 = 10_000;

/// The number of a peer as a key.
pub fn key(number: u32) -> PublicKey {
    let mut key = [0; 32];
    key[..4].copy_from_slice(&number.to_be_bytes());
    PublicKey(key)
}

pub fn id(number: u32) -> PeerId {
    PeerId { interface: "wg0".to_owned(), public_key: key(number) }
}

/// A moment, in nanoseconds of the epoch, by the seconds of the test.
pub fn at(seconds: u64) -> u64 {
    (BOOT + START + seconds) * 1_000_000_000
}

/// The address of a peer.
pub fn address(number: u32) -> IpAddr {
    IpAddr::from((0x0a00_0000 + number).to_be_bytes())
}

pub fn peer(number: u32) -> PeerReading {
    PeerReading {
        public_key: key(number),
        endpoint: None,
        handshake_ns: 0,
        received_bytes: 0,
        sent_bytes: 0,
        allowed_ips: vec![AllowedIp { address: address(number), prefix: 32 }],
    }
}

/// Clocks that go with tokio's.
#[derive(Clone)]
pub struct TestClock(Instant);

impl Default for TestClock {
    fn default() -> Self {
        TestClock(Instant::now())
    }
}

impl Clock for TestClock {
    fn now(&self) -> Moment {
        let since = u64::try_from(self.0.elapsed().as_nanos()).unwrap();
        Moment { time_ns: at(0) + since, uptime_ns: START * 1_000_000_000 + since }
    }

    fn boot(&self) -> String {
        "this boot".to_owned()
    }
}

/// One interface with peers, or an error.
#[derive(Clone, Default)]
pub struct Kernel(pub Arc<Mutex<KernelState>>);

#[derive(Default)]
pub struct KernelState {
    pub interfaces: Vec<InterfaceReading>,
    pub fails: bool,
    pub readings: usize,
}

impl Kernel {
    pub fn with(peers: impl IntoIterator<Item = PeerReading>) -> Self {
        let kernel = Kernel::default();
        kernel.0.lock().unwrap().interfaces = vec![InterfaceReading {
            name: "wg0".to_owned(),
            index: 5,
            up: true,
            public_key: Some(key(9999)),
            listen_port: 51820,
            peers: peers.into_iter().collect(),
            ..InterfaceReading::default()
        }];
        kernel
    }

    /// Changes the peers of its first interface.
    pub fn change(&self, change: impl FnOnce(&mut Vec<PeerReading>)) {
        change(&mut self.0.lock().unwrap().interfaces[0].peers);
    }

    pub fn change_interface(&self, change: impl FnOnce(&mut InterfaceReading)) {
        change(&mut self.0.lock().unwrap().interfaces[0]);
    }
}

impl Devices for Kernel {
    fn read(&self) -> io::Result<Vec<InterfaceReading>> {
        let mut state = self.0.lock().unwrap();
        state.readings += 1;
        if state.fails { Err(io::Error::other("no kernel")) } else { Ok(state.interfaces.clone()) }
    }
}

/// Answers after a time, or never, and notes who was pinged when.
#[derive(Clone, Default)]
pub struct Network(pub Arc<Mutex<NetworkState>>);

#[derive(Default)]
pub struct NetworkState {
    /// Round trips; who is not in it never answers.
    pub answers: HashMap<IpAddr, Duration>,
    pub pings: Vec<(IpAddr, Instant)>,
    pub under_way: usize,
    pub most_under_way: usize,
    pub forbidden: bool,
}

impl Pinger for Network {
    fn ping<'a>(
        &'a self,
        target: &'a Target,
        _index: u32,
        patience: Duration,
    ) -> Pin<Box<dyn Future<Output = io::Result<Duration>> + Send + 'a>> {
        Box::pin(async move {
            let answer = {
                let mut state = self.0.lock().unwrap();
                state.pings.push((target.address, Instant::now()));
                state.under_way += 1;
                state.most_under_way = state.most_under_way.max(state.under_way);
                state.answers.get(&target.address).copied()
            };
            let took = answer.filter(|took| *took <= patience);
            tokio::time::sleep(took.unwrap_or(patience)).await;
            self.0.lock().unwrap().under_way -= 1;
            took.ok_or_else(|| io::ErrorKind::TimedOut.into())
        })
    }

    fn check(&self) -> io::Result<()> {
        if self.0.lock().unwrap().forbidden {
            Err(io::ErrorKind::PermissionDenied.into())
        } else {
            Ok(())
        }
    }
}

pub fn start(settings: Settings, kernel: &Kernel, network: &Network) -> Peers {
    Peers::start_with(settings, TestClock::default(), kernel.clone(), network.clone()).unwrap()
}

/// A scrape.
pub fn metrics(peers: &Peers) -> String {
    let mut families = Families::new(Vec::new(), Exposition::Prometheus);
    peers.write_metrics(&mut families).unwrap();
    String::from_utf8(families.finish().unwrap()).unwrap()
}

/// The names of all samples.
pub fn names(metrics: &str) -> String {
    let samples = metrics.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| line.split(['{', ' ']).next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join(" ")
}

/// The value of a sample, by the beginning of its line.
pub fn sample(metrics: &str, name: &str) -> Option<String> {
    let line = metrics.lines().find(|line| line.starts_with(name))?;
    line.rsplit(' ').next().map(str::to_owned)
}

/// Waits, in real time and generously, until something holds.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = std::time::Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(300), "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
