// SPDX-License-Identifier: MIT OR Apache-2.0

//! What survives a restart, and what happens while the database cannot be used.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use common::Kernel;
use common::Network;
use common::address;
use common::id;
use common::key;
use common::metrics;
use common::peer;
use common::sample;
use common::start;
use common::until;
use mutex_peers::Announcement;
use mutex_peers::Clock;
use mutex_peers::Moment;
use mutex_peers::PeerSettings;
use mutex_peers::Peers;
use mutex_peers::Settings;
use rusqlite::Connection;
use tempfile::TempDir;

fn settings(path: &Path) -> Settings {
    Settings {
        database: Some(path.to_owned()),
        ping_check_interval: Duration::from_millis(20),
        data_collection_interval: Duration::from_millis(20),
        ..Settings::default()
    }
}

/// A folder, a kernel with a peer that answers, and the path of a database.
fn world() -> (TempDir, PathBuf, Kernel, Network) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("peers.sqlite");
    let kernel = Kernel::with([peer(1)]);
    kernel.change(|peers| peers[0].received_bytes = 100);
    let network = Network::default();
    network.0.lock().unwrap().answers.insert(address(1), Duration::from_micros(10));
    (folder, path, kernel, network)
}

fn tried(peers: &Peers) -> u64 {
    peers.peer(&id(1)).map_or(0, |peer| peer.pings.tried)
}

/// Results in a database that nobody else has open.
fn rows(path: &Path) -> u64 {
    let connection = Connection::open(path).unwrap();
    let rows: i64 =
        connection.query_row("SELECT count(*) FROM ping", [], |row| row.get(0)).unwrap();
    u64::try_from(rows).unwrap()
}

async fn until_tried(peers: &Peers, more: u64) {
    let wanted = tried(peers) + more;
    until("the peer is pinged", || tried(peers) >= wanted).await;
}

#[tokio::test]
async fn nothing_is_lost_by_a_restart() {
    let (_folder, path, kernel, network) = world();
    let peers = start(settings(&path), &kernel, &network);
    until_tried(&peers, 5).await;
    let said = PeerSettings { name: "office".to_owned(), check_alive_address: Some(address(1)) };
    peers
        .announce(Announcement::Updated { public_key: key(1), patch: said.clone().into() })
        .unwrap();
    kernel.change(|peers| peers[0].received_bytes = 150);
    peers.collect();
    peers.shutdown().await.unwrap();
    let before = rows(&path);
    assert!(before >= 5);

    // The kernel's counter goes on meanwhile.
    kernel.change(|peers| peers[0].received_bytes = 250);
    let quiet = Settings { use_ping_checks: false, ..settings(&path) };
    let peers = start(quiet.clone(), &kernel, &network);
    let mut events = peers.subscribe();
    until("the kernel's counter is seen", || {
        peers.peer(&id(1)).is_some_and(|peer| peer.received_bytes.total == 250)
    })
    .await;
    let now = peers.peer(&id(1)).unwrap();
    assert_eq!((now.pings.tried, now.pings.newest().len() as u64), (before, before));
    assert_eq!(now.settings, said);
    assert!(metrics(&peers).contains("address=\"10.0.0.1\""), "it has answered before");
    while let Ok(event) = events.try_recv() {
        let text = format!("{event:?}");
        assert!(!text.contains("PeerCreated"), "{text}");
    }
    peers.shutdown().await.unwrap();

    // A peer that is taken out while nobody looks is gone; its results are still there.
    kernel.change(Vec::clear);
    let peers = start(quiet, &kernel, &network);
    until("the peer is gone", || {
        peers.health().database.unwrap().commits > 0 && peers.peers().is_empty()
    })
    .await;
    peers.shutdown().await.unwrap();
    assert_eq!(rows(&path), before);
}

#[tokio::test]
async fn what_comes_up_while_it_is_locked_is_written_afterwards() {
    let (_folder, path, kernel, network) = world();
    let peers = start(settings(&path), &kernel, &network);
    until_tried(&peers, 3).await;
    peers.flush().await.unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    until_tried(&peers, 5).await;
    let error = peers.flush().await.unwrap_err();
    assert!(error.contains("locked"), "{error}");
    let health = peers.health().database.unwrap();
    assert!(health.waiting >= 5 && health.trouble.is_some() && health.lost == 0, "{health:?}");
    assert_eq!(sample(&metrics(&peers), "wg_database_up"), Some("0".to_owned()));
    other.execute_batch("ROLLBACK").unwrap();
    until("it is written again", || peers.health().database.unwrap().trouble.is_none()).await;
    peers.shutdown().await.unwrap();
    let peers = start(Settings { use_ping_checks: false, ..settings(&path) }, &kernel, &network);
    until("it was read", || tried(&peers) > 0).await;
    assert_eq!(tried(&peers), rows(&path));
    peers.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_was_known_is_added_when_it_could_not_be_read_at_the_start() {
    let (_folder, path, kernel, network) = world();
    let peers = start(settings(&path), &kernel, &network);
    until_tried(&peers, 4).await;
    peers.shutdown().await.unwrap();
    let before = rows(&path);
    let other = Connection::open(&path).unwrap();
    other.pragma_update(None, "locking_mode", "EXCLUSIVE").unwrap();
    other.execute_batch("BEGIN EXCLUSIVE; DELETE FROM said;").unwrap();
    kernel.change(|peers| peers[0].received_bytes = 130);
    let peers = start(settings(&path), &kernel, &network);
    until_tried(&peers, 3).await;
    assert!(peers.health().database.unwrap().trouble.is_some());
    drop(other);
    until("it is used again", || peers.health().database.unwrap().trouble.is_none()).await;
    let now = peers.peer(&id(1)).unwrap();
    assert!(now.pings.tried >= before + 3, "{now:?}");
    assert_eq!(now.received_bytes.total, 130, "nothing is counted twice");
    peers.shutdown().await.unwrap();
    assert!(rows(&path) >= before + 3);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_put_aside() {
    let (folder, path, kernel, network) = world();
    fs::write(&path, "this is no database at all ".repeat(1000)).unwrap();
    let peers = start(settings(&path), &kernel, &network);
    until_tried(&peers, 3).await;
    until("a new one is made", || peers.health().database.unwrap().commits > 0).await;
    let health = peers.health().database.unwrap();
    assert_eq!((health.corrupted, health.lost), (1, 0));
    peers.shutdown().await.unwrap();
    assert!(rows(&path) >= 3);
    let names: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(names.iter().any(|name| name.starts_with("peers.sqlite.corrupt-")), "{names:?}");
}

#[tokio::test]
async fn a_database_that_was_damaged_meanwhile_is_put_aside() {
    let (_folder, path, kernel, network) = world();
    let peers = start(settings(&path), &kernel, &network);
    until_tried(&peers, 5).await;
    peers.shutdown().await.unwrap();
    // It begins as it should, and then there is rubbish.
    let mut bytes = fs::read(&path).unwrap();
    bytes[4096..].fill(0x55);
    fs::write(&path, bytes).unwrap();
    let peers = start(settings(&path), &kernel, &network);
    until_tried(&peers, 5).await;
    until("it is put aside", || peers.health().database.unwrap().corrupted == 1).await;
    until("it is used again", || peers.health().database.unwrap().trouble.is_none()).await;
    let tried = tried(&peers);
    peers.shutdown().await.unwrap();
    assert!(rows(&path) >= tried, "what was in memory is in the new one");
}

#[tokio::test]
async fn a_database_that_is_deleted_is_made_again_with_all_it_had() {
    let (_folder, path, kernel, network) = world();
    let few = Settings { ping_check_samples: 2, ..settings(&path) };
    let peers = start(few, &kernel, &network);
    until_tried(&peers, 8).await;
    peers.flush().await.unwrap();
    let before = tried(&peers);
    for suffix in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(path.with_file_name(format!("peers.sqlite{suffix}")));
    }
    until_tried(&peers, 2).await;
    until("it is there again", || path.exists()).await;
    peers.shutdown().await.unwrap();
    assert!(rows(&path) >= before + 2, "what is not in memory any more is there too");
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_waited_for() {
    let (folder, _, kernel, network) = world();
    let path = folder.path().join("later").join("peers.sqlite");
    let peers = start(settings(&path), &kernel, &network);
    until_tried(&peers, 5).await;
    assert!(peers.flush().await.is_err());
    fs::create_dir(path.parent().unwrap()).unwrap();
    until("it is used", || peers.health().database.unwrap().trouble.is_none()).await;
    peers.shutdown().await.unwrap();
    assert!(rows(&path) >= 5);
}

#[tokio::test]
async fn a_folder_that_goes_and_comes_back_loses_nothing() {
    let (folder, _, kernel, network) = world();
    let path = folder.path().join("there").join("peers.sqlite");
    fs::create_dir(path.parent().unwrap()).unwrap();
    let peers = start(settings(&path), &kernel, &network);
    until_tried(&peers, 3).await;
    peers.flush().await.unwrap();
    fs::rename(path.parent().unwrap(), folder.path().join("away")).unwrap();
    until_tried(&peers, 3).await;
    assert!(peers.flush().await.is_err());
    fs::rename(folder.path().join("away"), path.parent().unwrap()).unwrap();
    until("it is used", || peers.health().database.unwrap().trouble.is_none()).await;
    let all = tried(&peers);
    peers.shutdown().await.unwrap();
    assert!(rows(&path) >= all);
}

#[tokio::test]
async fn what_finds_no_room_to_wait_is_counted() {
    let (folder, _, kernel, network) = world();
    let path = folder.path().join("never").join("peers.sqlite");
    let peers = start(Settings { database_backlog: 4, ..settings(&path) }, &kernel, &network);
    until_tried(&peers, 12).await;
    let health = peers.health().database.unwrap();
    assert!(health.lost > 0 && health.waiting <= 8, "{health:?}");
    assert!(peers.shutdown().await.is_err(), "who ends it is told that not all was written");
}

#[tokio::test]
async fn a_database_of_a_newer_program_is_left_alone() {
    let (_folder, path, kernel, network) = world();
    let other = Connection::open(&path).unwrap();
    other.pragma_update(None, "user_version", 99).unwrap();
    let peers = start(settings(&path), &kernel, &network);
    until_tried(&peers, 2).await;
    until("it says so", || peers.health().database.unwrap().trouble.is_some()).await;
    assert!(peers.health().troubles()[0].contains("newer"));
    assert!(peers.shutdown().await.is_err());
    let tables: i64 =
        other.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0)).unwrap();
    assert_eq!(tables, 0);
}

#[tokio::test]
async fn a_folder_that_may_not_be_written_is_said() {
    let (folder, _, kernel, network) = world();
    let locked = folder.path().join("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o555)).unwrap();
    if fs::write(locked.join("probe"), "").is_ok() {
        // Root may write anywhere.
        return;
    }
    let peers = start(settings(&locked.join("peers.sqlite")), &kernel, &network);
    until_tried(&peers, 2).await;
    assert!(peers.flush().await.is_err());
    let _ = peers.shutdown().await;
}

/// Clocks that stand still until they are told: the one that people set, and the other, in seconds.
#[derive(Clone)]
struct Hands(Arc<(AtomicU64, AtomicU64)>);

impl Hands {
    fn set_forward(&self, seconds: u64) {
        self.0.0.fetch_add(seconds, Relaxed);
    }

    fn pass(&self, seconds: u64) {
        self.0.1.fetch_add(seconds, Relaxed);
        self.set_forward(seconds);
    }
}

impl Clock for Hands {
    fn now(&self) -> Moment {
        let nanoseconds = |seconds: &AtomicU64| seconds.load(Relaxed) * 1_000_000_000;
        Moment { time_ns: nanoseconds(&self.0.0), uptime_ns: nanoseconds(&self.0.1) }
    }

    fn boot(&self) -> String {
        "this boot".to_owned()
    }
}

#[tokio::test]
async fn a_clock_that_is_set_forward_and_back_removes_nothing() {
    let (_folder, path, kernel, network) = world();
    let clock = Hands(Arc::new((AtomicU64::new(common::BOOT), AtomicU64::new(common::START))));
    let peers = Peers::start_with(settings(&path), clock.clone(), kernel.clone(), network).unwrap();
    // In seconds of the epoch.
    let oldest = || {
        let connection = Connection::open(&path).unwrap();
        let oldest: i64 =
            connection.query_row("SELECT min(time_ns) FROM ping", [], |row| row.get(0)).unwrap();
        u64::try_from(oldest).unwrap() / 1_000_000_000
    };
    let written = async || {
        until_tried(&peers, 2).await;
        peers.flush().await.unwrap();
        // It was looked for what is too old after the one before was written.
        until_tried(&peers, 2).await;
        peers.flush().await.unwrap();
    };
    written().await;
    clock.pass(2 * 3600);
    written().await;
    clock.set_forward(365 * 86_400);
    for _ in 0..3 {
        clock.pass(70);
        written().await;
        assert_eq!(oldest(), common::BOOT, "the clock may be set right again");
    }
    // It was not.
    clock.pass(2 * 3600);
    written().await;
    assert!(oldest() > common::BOOT + 365 * 86_400);
    peers.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_is_no_text_any_more_is_damage() {
    let (_folder, path, kernel, network) = world();
    let peers = start(settings(&path), &kernel, &network);
    until_tried(&peers, 5).await;
    peers.shutdown().await.unwrap();
    // The file is whole, but for what one of its columns holds.
    let other = Connection::open(&path).unwrap();
    other.execute_batch("UPDATE peer SET state = CAST(x'7bff' AS TEXT)").unwrap();
    drop(other);
    let peers = start(settings(&path), &kernel, &network);
    until("it is put aside", || peers.health().database.unwrap().corrupted == 1).await;
    until("a new one is used", || peers.health().database.unwrap().trouble.is_none()).await;
    peers.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_database_of_version_1_is_taken_over() {
    let (_folder, path, kernel, network) = world();
    let peers = start(settings(&path), &kernel, &network);
    until_tried(&peers, 2).await;
    let said = PeerSettings { name: "office".to_owned(), check_alive_address: None };
    peers
        .announce(Announcement::Updated { public_key: key(1), patch: said.clone().into() })
        .unwrap();
    peers.shutdown().await.unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("ALTER TABLE said DROP COLUMN own; PRAGMA user_version = 1").unwrap();
    drop(other);
    let before = rows(&path);
    let peers = start(settings(&path), &kernel, &network);
    until("it was read", || tried(&peers) >= before).await;
    assert_eq!(peers.peer(&id(1)).unwrap().settings, said);
    peers.shutdown().await.unwrap();
}

#[tokio::test]
async fn all_that_is_too_old_goes_even_behind_results_of_the_future() {
    let (_folder, path, kernel, network) = world();
    let clock = Hands(Arc::new((AtomicU64::new(common::BOOT), AtomicU64::new(common::START))));
    let settings = Settings { use_ping_checks: false, ..settings(&path) };
    let peers = Peers::start_with(settings, clock.clone(), kernel, network).unwrap();
    until("there is a peer", || peers.peer(&id(1)).is_some()).await;
    peers.flush().await.unwrap();
    let other = Connection::open(&path).unwrap();
    other.busy_timeout(Duration::from_secs(60)).unwrap();
    // A clock that was a year ahead, and then more results than are taken out at a time.
    let seconds = |seconds: u64| i64::try_from(seconds * 1_000_000_000).unwrap();
    let insert = |count: u32, time_ns: i64| {
        let sql = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1)
                   INSERT INTO ping (peer, time_ns, rtt_ns) SELECT 1, ?2, 5 FROM n";
        other.execute(sql, (count, time_ns)).unwrap();
    };
    insert(6000, seconds(common::BOOT + 365 * 86_400));
    insert(12_000, seconds(common::BOOT - 8 * 86_400));
    insert(10, seconds(common::BOOT));
    let rows =
        || -> u32 { other.query_row("SELECT count(*) FROM ping", [], |row| row.get(0)).unwrap() };
    assert_eq!(rows(), 18_010);
    clock.pass(2 * 3600);
    // Something to write, so that the database's thread looks at the clock once; the clock stands still from here on.
    let settings = PeerSettings { name: "office".to_owned(), check_alive_address: None };
    peers.announce(Announcement::Updated { public_key: key(1), patch: settings.into() }).unwrap();
    until("what is too old is gone", || rows() == 6010).await;
    peers.shutdown().await.unwrap();
}
