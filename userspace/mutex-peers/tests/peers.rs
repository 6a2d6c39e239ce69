// SPDX-License-Identifier: MIT OR Apache-2.0

//! What becomes of peers: sessions, events, announcements, metrics.

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use common::Kernel;
use common::Network;
use common::address;
use common::at;
use common::id;
use common::key;
use common::metrics;
use common::peer;
use common::sample;
use common::start;
use mutex_peers::Announcement;
use mutex_peers::Event;
use mutex_peers::Happening;
use mutex_peers::PeerSettings;
use mutex_peers::Peers;
use mutex_peers::SessionChange;
use mutex_peers::Settings;
use mutex_peers::Traffic;
use tokio::sync::broadcast::Receiver;
use tokio::time::sleep;

fn happenings(events: &mut Receiver<Event>) -> Vec<Happening> {
    std::iter::from_fn(|| events.try_recv().ok()).map(|event| event.happening).collect()
}

/// Lets everything that is due happen.
async fn seconds(seconds: u64) {
    sleep(Duration::from_secs(seconds)).await;
}

fn without_pings() -> Settings {
    Settings { use_ping_checks: false, ..Settings::default() }
}

#[tokio::test(start_paused = true)]
async fn sessions_and_connections_are_told_when_they_change() {
    let kernel = Kernel::with([peer(1)]);
    let peers = start(without_pings(), &kernel, &Network::default());
    let mut events = peers.subscribe();
    seconds(1).await;
    let public_key = key(1);
    let created = happenings(&mut events);
    assert_eq!(created[0], Happening::InterfaceAppeared);
    assert!(
        matches!(&created[1], Happening::PeerCreated { public_key, .. } if *public_key == key(1))
    );
    assert_eq!(created.len(), 2);

    kernel.change(|peers| {
        peers[0].handshake_ns = at(50);
        peers[0].received_bytes = 1000;
    });
    seconds(60).await;
    let change = |change| Happening::SessionChanged { public_key, change };
    let connected = |connected| Happening::ConnectionChanged { public_key, connected };
    assert_eq!(happenings(&mut events), [change(SessionChange::Started), connected(true)]);
    seconds(60).await;
    assert_eq!(happenings(&mut events), []);

    // The peer is taken out and put in again between two looks: its counters begin anew.
    kernel.change(|peers| {
        peers[0].handshake_ns = at(170);
        peers[0].received_bytes = 10;
    });
    seconds(60).await;
    assert_eq!(happenings(&mut events), [change(SessionChange::RestartedFromZero)]);
    let text = metrics(&peers);
    let of = |name: &str, more: &str| {
        sample(&text, &format!("{name}{{interface=\"wg0\",peer=\"{public_key}\"{more}")).unwrap()
    };
    assert_eq!(of("wg_peer_bytes_total", ",direction=\"received\""), "1010");
    assert_eq!(of("wg_peer_session_restarts_total", ""), "1");
    assert_eq!(of("wg_peer_connection_state", ""), "1");
    assert_eq!(
        of("wg_peer_last_handshake_timestamp_seconds", ""),
        (at(170) / 1_000_000_000).to_string()
    );

    // Nothing more is heard: it runs out three minutes after its last handshake.
    seconds(240).await;
    assert_eq!(happenings(&mut events), [change(SessionChange::Ended), connected(false)]);
    peers.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_is_connected() {
    let kernel = Kernel::with([peer(1)]);
    let network = Network::default();
    network.0.lock().unwrap().answers.insert(address(1), Duration::from_millis(3));
    let peers = start(Settings::default(), &kernel, &network);
    let mut events = peers.subscribe();
    seconds(2).await;
    let connected = |connected| Happening::ConnectionChanged { public_key: key(1), connected };
    assert!(happenings(&mut events).contains(&connected(true)));
    network.0.lock().unwrap().answers.clear();
    seconds(60).await;
    assert_eq!(happenings(&mut events), [connected(false)]);
    peers.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_address_is_hidden_until_the_first_answer() {
    let kernel = Kernel::with([peer(1)]);
    let network = Network::default();
    let peers = start(Settings::default(), &kernel, &network);
    seconds(90).await;
    let success = |peers: &Peers, address: &str, value: &str| {
        let line = format!(
            "wg_peer_ping_success{{interface=\"wg0\",peer=\"{}\",name=\"\",address=\"{address}\"}} {value}\n",
            key(1)
        );
        assert!(metrics(peers).contains(&line), "{line}{}", metrics(peers));
    };
    success(&peers, "", "0");
    assert!(!metrics(&peers).contains("10.0.0.1"));
    network.0.lock().unwrap().answers.insert(address(1), Duration::from_millis(3));
    seconds(60).await;
    success(&peers, "10.0.0.1", "1");
    // Once it was shown it stays.
    network.0.lock().unwrap().answers.clear();
    seconds(60).await;
    success(&peers, "10.0.0.1", "0");
    peers.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_removed_peer_has_no_metrics_at_the_next_scrape() {
    let kernel = Kernel::with([peer(1), peer(2)]);
    let peers = start(without_pings(), &kernel, &Network::default());
    seconds(1).await;
    let (one, two) = (key(1).to_string(), key(2).to_string());
    let text = metrics(&peers);
    assert!(text.contains(&one) && text.contains(&two));
    peers.ensure_metrics();
    peers.ensure_metrics();
    assert_eq!(metrics(&peers), text, "to ensure them changes nothing");
    kernel.change(|peers| drop(peers.remove(0)));
    let text = metrics(&peers);
    assert!(!text.contains(&one) && text.contains(&two));
    assert_eq!(sample(&text, "wg_peer_cache_peers"), Some("1".to_owned()));
    assert_eq!(sample(&text, "wg_peer_cache_labels"), Some("1".to_owned()));
    peers.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_known_is_shown_while_the_kernel_does_not_tell() {
    let kernel = Kernel::with([peer(1)]);
    let peers = start(without_pings(), &kernel, &Network::default());
    seconds(1).await;
    kernel.0.lock().unwrap().fails = true;
    seconds(120).await;
    let text = metrics(&peers);
    assert!(text.contains(&key(1).to_string()));
    assert_eq!(sample(&text, "wg_kernel_up"), Some("0".to_owned()));
    assert!(peers.health().troubles()[0].contains("no kernel"));
    kernel.0.lock().unwrap().fails = false;
    seconds(60).await;
    assert_eq!(peers.health().kernel, None);
    peers.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_announced_shows_at_once() {
    let kernel = Kernel::with([]);
    let network = Network::default();
    let peers = start(Settings::default(), &kernel, &network);
    let mut events = peers.subscribe();
    seconds(1).await;
    happenings(&mut events);
    let settings = PeerSettings {
        name: "office".to_owned(),
        check_alive_address: Some("192.0.2.9".parse().unwrap()),
    };
    peers
        .announce(Announcement::Created {
            public_key: key(1),
            interface: "wg0".to_owned(),
            patch: settings.clone().into(),
        })
        .unwrap();
    let info = |name: &str| {
        format!(
            "wg_peer_info{{interface=\"wg0\",peer=\"{}\",name=\"{name}\",address=\"\"}} 1\n",
            key(1)
        )
    };
    assert!(metrics(&peers).contains(&info("office")));
    assert!(matches!(&happenings(&mut events)[..], [Happening::PeerCreated { .. }]));

    // The kernel gets it; nothing is created a second time, and what was said of it stays.
    kernel.change(|peers| peers.push(peer(1)));
    seconds(30).await;
    peers.collect();
    assert!(
        !happenings(&mut events).iter().any(|one| matches!(one, Happening::PeerCreated { .. }))
    );
    seconds(60).await;
    assert_eq!(peers.peer(&id(1)).unwrap().settings, settings);
    assert_eq!(network.0.lock().unwrap().pings[0].0.to_string(), "192.0.2.9");

    let renamed = PeerSettings { name: "home".to_owned(), ..settings };
    peers.announce(Announcement::Updated { public_key: key(1), patch: renamed.into() }).unwrap();
    assert!(metrics(&peers).contains(&info("home")));
    assert!(matches!(&happenings(&mut events)[..], [Happening::PeerUpdated { .. }]));

    kernel.change(Vec::clear);
    peers
        .announce(Announcement::Removed { public_key: key(1), interface: "wg0".to_owned() })
        .unwrap();
    assert!(!metrics(&peers).contains(&key(1).to_string()));
    assert!(matches!(&happenings(&mut events)[..], [Happening::PeerRemoved { .. }]));

    // One that is announced and never comes does not stay.
    let settings = PeerSettings::default();
    let interface = "wg0".to_owned();
    peers
        .announce(Announcement::Created { public_key: key(2), interface, patch: settings.into() })
        .unwrap();
    assert_eq!(peers.peers().len(), 1);
    seconds(130).await;
    assert_eq!(peers.peers().len(), 0);
    peers.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_peer_with_another_key_is_the_same_peer() {
    let kernel = Kernel::with([peer(1), peer(2)]);
    let network = Network::default();
    network.0.lock().unwrap().answers.insert(address(1), Duration::from_millis(4));
    let peers = start(Settings::default(), &kernel, &network);
    let mut events = peers.subscribe();
    kernel.change(|peers| peers[0].received_bytes = 500);
    seconds(150).await;
    peers
        .announce(Announcement::Updated {
            public_key: key(1),
            patch: PeerSettings { name: "office".to_owned(), check_alive_address: None }.into(),
        })
        .unwrap();
    happenings(&mut events);
    // As wg does it: the old key is taken out, the new one has the same addresses and counts from zero.
    kernel.change(|peers| {
        peers[0].public_key = key(7);
        peers[0].received_bytes = 600;
    });
    peers.collect();
    let told = happenings(&mut events);
    assert!(
        matches!(&told[..], [Happening::PeerReidentified { before, public_key, .. }]
            if *before == key(1) && *public_key == key(7)),
        "{told:?}"
    );
    let now = peers.peer(&id(7)).unwrap();
    assert_eq!(
        (now.received_bytes.total, now.pings.tried, now.settings.name.as_str()),
        (1100, 3, "office")
    );
    let text = metrics(&peers);
    assert!(text.contains(&key(7).to_string()) && !text.contains(&key(1).to_string()));

    peers
        .announce(Announcement::Reidentified {
            before: key(7),
            public_key: key(8),
            interface: "wg0".to_owned(),
        })
        .unwrap();
    let text = metrics(&peers);
    assert!(text.contains(&key(8).to_string()));
    assert_eq!(peers.peer(&id(8)).unwrap().pings.tried, 3);
    peers.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn counters_of_an_interface_go_on_when_it_is_made_anew() {
    let kernel = Kernel::with([]);
    kernel.change_interface(|one| {
        one.received = Traffic { bytes: 1000, packets: 10, ..one.received }
    });
    let peers = start(without_pings(), &kernel, &Network::default());
    seconds(1).await;
    // Another interface of the same name, that has already moved more.
    kernel.change_interface(|one| {
        one.index = 6;
        one.received = Traffic { bytes: 1500, packets: 12, ..one.received };
    });
    seconds(60).await;
    let text = metrics(&peers);
    let bytes = "wg_interface_bytes_total{interface=\"wg0\",direction=\"received\"}";
    assert_eq!(sample(&text, bytes), Some("2500".to_owned()));
    kernel.0.lock().unwrap().interfaces.clear();
    assert!(!metrics(&peers).contains("wg0"));
    peers.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_not_to_be_collected_is_not() {
    let mut one = peer(1);
    one.handshake_ns = at(0);
    let kernel = Kernel::with([one]);
    let settings = Settings {
        collect_interface_data: false,
        collect_peer_data: false,
        peers: BTreeMap::from([(
            key(1),
            PeerSettings { name: "office".to_owned(), check_alive_address: None },
        )]),
        ..Settings::default()
    };
    let peers = start(settings, &kernel, &Network::default());
    seconds(90).await;
    let text = metrics(&peers);
    let names = common::names(&text);
    for name in ["bytes", "handshake", "session"] {
        assert!(!names.contains(name), "{names}");
    }
    assert!(text.contains("name=\"office\""));
    assert_eq!(peers.peers()[0].pings.tried, 2, "it is pinged all the same");
    peers.shutdown().await.unwrap();
}

#[tokio::test]
async fn settings_that_cannot_be_are_refused() {
    let settings = Settings { ping_check_workers: 0, ..Settings::default() };
    let error = Peers::start(settings).unwrap_err().to_string();
    assert_eq!(error, "ping_check_workers has to be from 1 to 1000");
}
