// SPDX-License-Identifier: MIT OR Apache-2.0

//! Disks that are full, databases that are damaged, gone, locked or somebody else's.

use std::env;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use mutex_history::Error;
use mutex_history::FindingKind;
use mutex_history::History;
use mutex_history::Range;
use mutex_history::Reader;
use mutex_stats::formats::Exposition;
use mutex_stats::formats::Families;

use crate::books::every;
use crate::books::settings;
use crate::books::total;
use crate::host::Host;
use crate::host::S;

fn look(history: &mut History, host: &mut Host) -> mutex_history::Result<Vec<FindingKind>> {
    host.late(0, 1000, 0);
    host.wait(10 * S);
    let findings = history.record(&host.snapshot())?;
    Ok(findings.into_iter().map(|finding| finding.kind).collect())
}

fn sent(path: &Path) -> Option<u64> {
    total(&Reader::open(path).expect("it is there"), &Range::default()).counter("sent_bytes")
}

#[test]
fn a_damaged_database_is_moved_aside_and_a_new_one_is_begun() {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("h.db");
    fs::write(
        &path,
        "This is not a database, but it is longer than the header of one. ".repeat(40),
    )
    .expect("there is room");
    let mut history = History::open(&path, settings()).expect("a new one is begun");
    let mut host = Host::new();
    let findings = history.record(&host.snapshot()).expect("there is room");
    let [finding] = &findings[..] else { panic!("{findings:?}") };
    assert_eq!(finding.kind, FindingKind::BegunAnew);
    let [name, aside] = [path.display().to_string(), format!("{}.damaged", path.display())];
    assert_eq!(
        finding.reason,
        format!(
            "{name} is damaged (file is not a database): it was moved to {aside}, and a new history is \
             begun"
        )
    );
    assert!(fs::read(&aside).expect("it is there").starts_with(b"This is not"));
    assert_eq!(look(&mut history, &mut host).expect("there is room"), []);
    assert_eq!(history.state().begun_anew, 1);
}

#[test]
fn a_database_that_is_damaged_under_way_loses_nothing_that_comes_after() {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("h.db");
    let mut host = Host::new();
    let mut history = History::open(&path, settings()).expect("there is room");
    history.record(&host.snapshot()).expect("there is room");
    for _ in 0..9 {
        look(&mut history, &mut host).expect("there is room");
    }
    drop(history);
    let mut history = History::open(&path, settings()).expect("it is there");
    look(&mut history, &mut host).expect("there is room");
    // All is in the file, of which every page but the first is damaged; and somebody writes into it, so
    // that nobody may rely on what was read before.
    let other = rusqlite::Connection::open(&path).expect("it is there");
    let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
    let busy = other.query_row(checkpoint, [], |row| row.get::<_, i64>(0));
    assert_eq!(busy, Ok(0));
    let file = fs::OpenOptions::new().write(true).open(&path).expect("it is there");
    let pages = file.metadata().expect("it is there").len() - 4096;
    let nonsense = vec![0x5a; usize::try_from(pages).expect("it is small")];
    file.write_all_at(&nonsense, 4096).expect("there is room");
    other.pragma_update(None, "user_version", 1).expect("there is room");
    let mut begun = 0;
    for _ in 0..3 {
        let kinds = look(&mut history, &mut host).expect("a new one is begun");
        begun += kinds.iter().filter(|&&kind| kind == FindingKind::BegunAnew).count();
    }
    assert_eq!((begun, history.state().begun_anew, history.state().errors), (1, 1, 0));
    // All since the last snapshot of the old one is in the new one.
    assert_eq!(sent(&path), Some(3000));
    Reader::open(&path).expect("it is there").check().expect("it is whole");
    assert!(folder.path().join("h.db.damaged").exists());
}

#[test]
fn a_database_that_is_deleted_under_way_is_begun_anew() {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("h.db");
    let mut host = Host::new();
    let mut history = History::open(&path, settings()).expect("there is room");
    history.record(&host.snapshot()).expect("there is room");
    assert_eq!(look(&mut history, &mut host).expect("there is room"), []);
    fs::remove_file(&path).expect("it is there");
    assert_eq!(look(&mut history, &mut host).expect("there is room"), [FindingKind::BegunAnew]);
    assert_eq!(look(&mut history, &mut host).expect("there is room"), []);
    assert_eq!(sent(&path), Some(2000));
}

#[test]
fn what_is_not_ours_is_left_alone() {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("h.db");
    let connection = rusqlite::Connection::open(&path).expect("there is room");
    connection.execute_batch("CREATE TABLE t (a)").expect("there is room");
    let error =
        |path: &Path| History::open(path, settings()).expect_err("it is not ours").to_string();
    assert_eq!(error(&path), "the file is a database, but no history of MUTEX");
    let read = Reader::open(&path).expect_err("it is not ours").to_string();
    assert_eq!(read, "the file is a database, but no history of MUTEX");
    let count = connection.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0));
    assert_eq!(count, Ok(0));

    let path = folder.path().join("later.db");
    drop(History::open(&path, settings()).expect("there is room"));
    let connection = rusqlite::Connection::open(&path).expect("it is there");
    connection.pragma_update(None, "user_version", 9).expect("there is room");
    assert_eq!(error(&path), "the history has version 9; this program knows version 1");
    let missing = folder.path().join("none.db");
    let read = Reader::open(&missing).expect_err("it is not there").to_string();
    assert_eq!(read, format!("there is no history: {} does not exist", missing.display()));
    assert!(!missing.exists());
    let inside = path.join("inside");
    assert!(matches!(History::open(&inside, settings()), Err(Error::File(_))));
}

#[test]
fn a_lock_of_somebody_else_passes() {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("h.db");
    let mut host = Host::new();
    let mut history = History::open(&path, settings()).expect("there is room");
    history.record(&host.snapshot()).expect("there is room");
    let other = rusqlite::Connection::open(&path).expect("it is there");
    other.execute_batch("BEGIN IMMEDIATE").expect("nobody writes");
    let error = look(&mut history, &mut host).expect_err("it is locked");
    assert_eq!(error.to_string(), "the history is locked by another program");
    assert_eq!(
        history.state().trouble.as_deref(),
        Some("the history is locked by another program")
    );
    other.execute_batch("ROLLBACK").expect("it was begun");
    look(&mut history, &mut host).expect("nobody writes");
    assert_eq!((sent(&path), &history.state().trouble), (Some(2000), &None));
}

#[test]
fn readers_read_while_somebody_writes() {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("h.db");
    let mut host = Host::new();
    let mut history = History::open(&path, settings()).expect("there is room");
    history.record(&host.snapshot()).expect("there is room");
    let reader = history.reader().expect("it is there");
    for count in 1..20 {
        look(&mut history, &mut host).expect("nobody else writes");
        assert_eq!(total(&reader, &every(60)).counter("sent_bytes"), Some(1000 * count));
    }
    // And without anybody who writes.
    drop((reader, history));
    assert_eq!(sent(&path), Some(19_000));
}

#[test]
fn how_it_fares_is_told_as_metrics() {
    let folder = tempfile::tempdir().expect("there is room");
    let mut host = Host::new();
    let mut history =
        History::open(&folder.path().join("h.db"), settings()).expect("there is room");
    history.record(&host.snapshot()).expect("there is room");
    host.wait(S / 2);
    history.record(&host.snapshot()).expect("there is room");
    let mut families = Families::new(Vec::new(), Exposition::Prometheus);
    history.state().write_metrics(&mut families).expect("a vector takes everything");
    let text = families.finish().expect("a vector takes everything");
    let text = String::from_utf8(text).expect("it is text");
    for line in [
        "mutex_history_snapshots_recorded_total 2",
        // What the next snapshot is compared with, twice; and the second one in three tiers.
        "mutex_history_rows_written_total 5",
        "mutex_history_errors_total 0",
        "mutex_history_rows{table=\"host\"} 0",
        "# TYPE mutex_history_size_bytes gauge",
    ] {
        assert!(text.lines().any(|other| other == line), "{line}: {text}");
    }
    let seconds = host.image.header.time_ns / S;
    assert!(
        text.contains(&format!("mutex_history_last_write_timestamp_seconds {seconds}.5\n")),
        "{text}"
    );
}

/// Where [`inside_a_small_disk`] finds the disk.
const DISK: &str = "MUTEX_HISTORY_TEST_DISK";

#[test]
fn a_full_disk_is_said_and_nothing_is_lost_when_there_is_room_again() {
    let folder = tempfile::tempdir().expect("there is room");
    let script = "mount -t tmpfs -o size=1m none \"$1\" || exit 99; shift; exec \"$@\"";
    let Ok(ran) = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"])
        .arg(folder.path())
        .arg(env::current_exe().expect("it runs"))
        .args(["--exact", "failures::inside_a_small_disk", "--ignored", "--nocapture"])
        .env(DISK, folder.path())
        .output()
    else {
        return eprintln!("skipped: there is no unshare");
    };
    let [stdout, stderr] = [&ran.stdout, &ran.stderr].map(|text| String::from_utf8_lossy(text));
    if ran.status.code() == Some(99) || stderr.starts_with("unshare:") {
        return eprintln!("skipped: no file system can be made here");
    }
    assert!(ran.status.success(), "{stdout}{stderr}");
    assert!(stdout.contains("1 passed"), "{stdout}{stderr}");
}

#[test]
#[ignore = "is started by another test, on a disk of 1 MiB of its own"]
fn inside_a_small_disk() {
    let disk = env::var_os(DISK).expect("it is started by another test");
    let path = Path::new(&disk).join("h.db");
    let filler = Path::new(&disk).join("filler");
    let mut host = Host::new();
    let mut history = History::open(&path, settings()).expect("there is room");
    history.record(&host.snapshot()).expect("there is room");
    let mut looks = 0u64;
    for round in 0..3 {
        // Somebody fills the disk to its last byte.
        let mut file = fs::File::create(&filler).expect("there is room");
        while std::io::Write::write_all(&mut file, &[1; 512]).is_ok() {}
        drop(file);
        let mut failed = 0;
        while failed < 3 {
            looks += 1;
            assert!(looks < 100_000, "the disk is full");
            let id = host.connect(&format!("program{looks}"), 1, 80, false);
            host.early(id, 0, 0);
            match look(&mut history, &mut host) {
                Ok(_) => assert_eq!(failed, 0, "there is no room"),
                Err(error) => {
                    assert!(matches!(error, Error::Full), "{error:?}");
                    failed += 1;
                }
            }
        }
        assert_eq!(history.state().errors, 3 * (round + 1), "{:?}", history.state());
        assert!(
            history
                .state()
                .trouble
                .as_deref()
                .is_some_and(|what| what.starts_with("there is no room"))
        );
        fs::remove_file(&filler).expect("it is there");
        looks += 1;
        look(&mut history, &mut host).expect("there is room again");
        assert_eq!(sent(&path), Some(looks * 1000));
        assert_eq!(history.state().trouble, None);
    }
    let reader = history.reader().expect("it is there");
    reader.check().expect("it is whole");
    for step in [0, 60, 3600] {
        assert_eq!(total(&reader, &every(step)).counter("sent_bytes"), Some(looks * 1000));
    }
}
