// SPDX-License-Identifier: MIT OR Apache-2.0

//! When peers are pinged, and what is said when that cannot be kept.

mod common;

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use common::Kernel;
use common::Network;
use common::address;
use common::metrics;
use common::peer;
use common::sample;
use common::start;
use mutex_peers::Settings;
use tokio::time::Instant;
use tokio::time::sleep;

const MINUTE: Duration = Duration::from_secs(60);

/// When each peer was pinged, since the first ping of all.
fn times(network: &Network) -> HashMap<IpAddr, Vec<Duration>> {
    let state = network.0.lock().unwrap();
    let began = state.pings.iter().map(|(_, at)| *at).min().unwrap_or_else(Instant::now);
    let mut times: HashMap<IpAddr, Vec<Duration>> = HashMap::new();
    for (address, at) in &state.pings {
        times.entry(*address).or_default().push(*at - began);
    }
    times
}

async fn thousand_peers_stay_on_schedule(answers: bool) {
    let kernel = Kernel::with((1..=1000).map(peer));
    let network = Network::default();
    if answers {
        // From 1 to 1000 ms.
        let answers =
            (1..=1000).map(|number| (address(number), Duration::from_millis(number.into())));
        network.0.lock().unwrap().answers = answers.collect();
    }
    let settings = Settings { ping_check_workers: 20, ..Settings::default() };
    let peers = start(settings, &kernel, &network);
    sleep(Duration::from_secs(599)).await;
    let times = times(&network);
    assert_eq!(times.len(), 1000);
    for (address, times) in times {
        assert_eq!(times.len(), 10, "{address}");
        for (round, at) in (0..).zip(times) {
            let due = MINUTE * round;
            assert!((due..due + MINUTE).contains(&at), "{address}: {at:?} in round {round}");
        }
    }
    let counts = peers.health().queue;
    assert_eq!((counts.queued, counts.overflowed, counts.overdue), (10_000, 0, 0));
    assert_eq!(network.0.lock().unwrap().most_under_way, 20);
    peers.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_thousand_peers_that_answer_stay_on_schedule() {
    thousand_peers_stay_on_schedule(true).await;
}

#[tokio::test(start_paused = true)]
async fn a_thousand_peers_of_which_none_answers_stay_on_schedule() {
    thousand_peers_stay_on_schedule(false).await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_kept_is_counted() {
    let kernel = Kernel::with((1..=100).map(peer));
    let network = Network::default();
    let settings = Settings {
        ping_check_workers: 1,
        ping_check_queue: 50,
        ping_check_timeout: Duration::from_millis(2100),
        ..Settings::default()
    };
    let peers = start(settings, &kernel, &network);
    sleep(Duration::from_secs(119)).await;
    // In the first round there is room for fifty. After a minute 28 of them were pinged and one is just being; 21 wait,
    // so that there is room for 29 of the 78 that are not there already.
    let counts = peers.health().queue;
    assert_eq!((counts.queued, counts.overflowed, counts.overdue), (50 + 29, 50 + 49, 22));
    let text = metrics(&peers);
    assert_eq!(sample(&text, "wg_ping_checks_total{result=\"overflowed\"}").unwrap(), "99");
    assert_eq!(sample(&text, "wg_ping_checks_total{result=\"overdue\"}").unwrap(), "22");
    assert_eq!(sample(&text, "wg_ping_workers ").unwrap(), "1");
    peers.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn every_result_is_shown() {
    let kernel = Kernel::with([peer(1), peer(2)]);
    let network = Network::default();
    network.0.lock().unwrap().answers.insert(address(1), Duration::from_millis(5));
    let peers = start(Settings::default(), &kernel, &network);
    sleep(Duration::from_secs(119)).await;
    network.0.lock().unwrap().answers.insert(address(1), Duration::from_millis(15));
    sleep(MINUTE).await;
    network.0.lock().unwrap().answers.clear();
    sleep(MINUTE).await;
    let text = metrics(&peers);
    let of = |name: &str, number| {
        let start = format!("{name}{{interface=\"wg0\",peer=\"{}\"", common::key(number));
        sample(&text, &start)
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(of("wg_peer_ping_rtt_min_seconds", 1), some("0.005"));
    assert_eq!(of("wg_peer_ping_rtt_max_seconds", 1), some("0.015"));
    assert_eq!(of("wg_peer_ping_rtt_avg_seconds", 1), some("0.008333333"));
    assert_eq!(of("wg_peer_ping_rtt_p95_seconds", 1), some("0.015"));
    assert_eq!(of("wg_peer_ping_loss_ratio", 1), some("0.25"));
    assert_eq!(of("wg_peer_ping_rtt_seconds", 1), None, "the last one was lost");
    assert_eq!(of("wg_peer_ping_success", 1), some("0"));
    assert_eq!(of("wg_peer_ping_loss_ratio", 2), some("1.0"));
    assert_eq!(of("wg_peer_ping_rtt_min_seconds", 2), None);
    peers.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_may_not_ping_says_so_and_blames_no_peer() {
    let kernel = Kernel::with([peer(1)]);
    let network = Network::default();
    network.0.lock().unwrap().forbidden = true;
    let peers = start(Settings::default(), &kernel, &network);
    sleep(MINUTE * 3).await;
    assert!(peers.health().pings.is_some());
    assert_eq!(peers.health().troubles().len(), 1);
    assert_eq!(peers.peers()[0].pings.tried, 0);
    network.0.lock().unwrap().forbidden = false;
    sleep(MINUTE * 2).await;
    assert_eq!(peers.health().pings, None);
    assert!(peers.peers()[0].pings.tried > 0);
    peers.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn nothing_is_pinged_when_nothing_is_to_be() {
    let kernel = Kernel::with([peer(1)]);
    let network = Network::default();
    let settings = Settings { use_ping_checks: false, ..Settings::default() };
    let peers = start(settings, &kernel, &network);
    sleep(MINUTE * 3).await;
    assert!(network.0.lock().unwrap().pings.is_empty());
    let names = common::names(&metrics(&peers));
    assert!(!names.contains("ping"), "{names}");
    peers.shutdown().await.unwrap();
}
