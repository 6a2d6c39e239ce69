// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is kept, how finely, and for how long.

use std::time::Duration;

use mutex_history::Error;
use mutex_history::FindingKind;
use mutex_history::GroupOf;
use mutex_history::History;
use mutex_history::Range;
use mutex_history::Settings;
use mutex_history::Tier;
use mutex_stats::Key;

use crate::books::every;
use crate::books::settings;
use crate::books::total;
use crate::host::BEGIN;
use crate::host::Host;
use crate::host::S;

fn rows(history: &History, range: &Range) -> Vec<(u64, u64)> {
    let rows = history.reader().expect("it is there").host(range).expect("it can be read");
    rows.iter().map(|row| ((row.start_ns - BEGIN) / S, (row.end_ns - BEGIN) / S)).collect()
}

#[test]
fn what_is_older_comes_in_larger_rows_and_the_sums_stay() {
    let folder = tempfile::tempdir().expect("there is room");
    let mut history =
        History::open(&folder.path().join("h.db"), settings()).expect("there is room");
    let mut host = Host::new();
    history.record(&host.snapshot()).expect("there is room");
    // Three hours, 30 s apart: rows of snapshots stay for 10 minutes, those of minutes for 2 hours.
    for _ in 0..360 {
        host.late(0, 7, 0);
        host.wait(30 * S);
        history.record(&host.snapshot()).expect("there is room");
    }
    let all = rows(&history, &Range::default());
    let of = |seconds: u64| all.iter().filter(|(start, end)| end - start == seconds).count();
    assert_eq!((of(30), of(60), of(3600), all.len()), (20, 110, 1, 131));
    // They follow one another without a gap.
    assert!(all.windows(2).all(|pair| pair[0].1 == pair[1].0), "{all:?}");
    assert_eq!((all[0].0, all[130].1), (0, 10_800));
    let reader = history.reader().expect("it is there");
    for step in [0, 30, 60, 900, 3600] {
        assert_eq!(total(&reader, &every(step)).counter("sent_bytes"), Some(360 * 7), "{step}");
    }
    let last = Range { since_ns: BEGIN + 10_500 * S, ..every(60) };
    assert_eq!(rows(&history, &last).len(), 5);
    // Of a part of an hour there is that part, once.
    assert_eq!(total(&reader, &last).counter("sent_bytes"), Some(10 * 7));
    let until = Range { until_ns: BEGIN + 7260 * S, since_ns: BEGIN + 7000 * S, ..every(60) };
    assert_eq!(
        rows(&history, &until),
        [(6960, 7020), (7020, 7080), (7080, 7140), (7140, 7200), (7200, 7260)]
    );
    assert!(history.state().removed > 300);
    let many = Range { limit: 130, ..Range::default() };
    let error = reader.host(&many).expect_err("it is too much").to_string();
    assert_eq!(error, "the answer has more than 130 rows: ask for less time, or for a longer step");
    assert_eq!(reader.span().expect("it can be read"), Some((BEGIN, BEGIN + 10_800 * S)));
}

#[test]
fn a_clock_that_is_wrong_for_a_while_removes_nothing() {
    let folder = tempfile::tempdir().expect("there is room");
    let mut history =
        History::open(&folder.path().join("h.db"), settings()).expect("there is room");
    let mut host = Host::new();
    history.record(&host.snapshot()).expect("there is room");
    let mut look = |host: &mut Host| {
        host.late(0, 7, 0);
        host.wait(30 * S);
        let findings = history.record(&host.snapshot()).expect("there is room");
        assert_eq!(history.state().removed, 0);
        findings.into_iter().map(|finding| finding.kind).collect::<Vec<_>>()
    };
    assert_eq!(look(&mut host), []);
    let years = 3 * 365 * 86_400 * 1_000_000_000;
    host.set_clock(years);
    assert_eq!(look(&mut host), [FindingKind::ClockSet]);
    assert_eq!(look(&mut host), []);
    host.set_clock(-years);
    assert_eq!(look(&mut host), [FindingKind::ClockSet]);
    let reader = history.reader().expect("it is there");
    assert_eq!(total(&reader, &Range::default()).counter("sent_bytes"), Some(28));
    let said = reader.findings(&Range::default()).expect("it can be read");
    assert_eq!(said[0].reason, "the clock was set back by 94608000.000 s");
    // It stays as it was set: after an hour what is too old goes.
    host.set_clock(years);
    for _ in 0..121 {
        host.wait(30 * S);
        history.record(&host.snapshot()).expect("there is room");
    }
    assert!(history.state().removed > 0);
}

#[test]
fn the_oldest_of_the_finest_goes_when_there_is_too_much() {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("h.db");
    let keep = Duration::from_secs(400 * 86_400);
    let tier = |step| Tier { step: Duration::from_secs(step), keep };
    let tiers = vec![tier(0), tier(60), tier(3600)];
    let settings = Settings { tiers, max_bytes: 1 << 20, ..Settings::default() };
    let mut history = History::open(&path, settings).expect("there is room");
    let mut host = Host::new();
    let ids: Vec<u64> =
        (0..30).map(|n| host.connect(&format!("program{n}"), n, u16::from(n) + 1, false)).collect();
    history.record(&host.snapshot()).expect("there is room");
    let mut most = 0;
    for round in 0..700 {
        for &id in &ids {
            host.traffic(id, 1000 + id * 100 + round, 77);
        }
        host.wait(10 * S);
        history.record(&host.snapshot()).expect("there is room");
        most = most.max(path.metadata().expect("it is there").len());
    }
    assert!(history.state().removed > 10_000, "{:?}", history.state());
    // What a snapshot adds before the oldest go.
    assert!(most < (1 << 20) + (256 << 10), "{most}");
    let reader = history.reader().expect("it is there");
    reader.check().expect("it is whole");
    let sent =
        (0..700).map(|round| ids.iter().map(|id| 1000 + id * 100 + round).sum::<u64>()).sum();
    for step in [0, 60, 3600] {
        assert_eq!(total(&reader, &every(step)).counter("sent_bytes"), Some(sent), "{step}");
    }
    let finest = rows(&history, &Range::default());
    assert_eq!(finest.last(), Some(&(6990, 7000)));
}

#[test]
fn a_coarse_row_has_no_more_groups_than_four_times_as_many() {
    let folder = tempfile::tempdir().expect("there is room");
    let settings = Settings { keys: vec![Key::Remote], ..settings() };
    let mut history = History::open(&folder.path().join("h.db"), settings).expect("there is room");
    let mut host = Host::new();
    history.record(&host.snapshot()).expect("there is room");
    for remote in 0..50 {
        let id = host.connect("scanner", remote, 80, false);
        host.traffic(id, 100 + u64::from(remote), 0);
        host.wait(S);
        history.record(&host.snapshot()).expect("there is room");
        let reader = history.reader().expect("it is there");
        let rows = reader.groups("remote", &every(60)).expect("it can be read");
        let named = rows.iter().filter(|row| row.of != GroupOf::Other).count();
        assert!(named <= 8, "{named}");
        let sum: u64 = rows.iter().filter_map(|row| row.counter("sent_bytes")).sum();
        assert_eq!(sum, (0..=u64::from(remote)).map(|remote| 100 + remote).sum::<u64>());
    }
    let reader = history.reader().expect("it is there");
    let rows = reader.groups("remote", &every(60)).expect("it can be read");
    assert_eq!(rows[0].of, GroupOf::Named("192.0.2.49".to_owned()));
    assert_eq!(rows.last().map(|row| &row.of), Some(&GroupOf::Other));
}

#[test]
fn tiers_can_change() {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("h.db");
    let mut host = Host::new();
    let mut look = |settings: Settings, times: u64| {
        let mut history = History::open(&path, settings).expect("it is there");
        for _ in 0..times {
            host.late(0, 7, 0);
            host.wait(60 * S);
            history.record(&host.snapshot()).expect("there is room");
        }
        history
    };
    look(settings(), 11);
    let mut other = settings();
    other.tiers[1].step = Duration::from_secs(600);
    let history = look(other, 60);
    // The rows of minutes are gone; those of 10 minutes begin with the hour after.
    let all = rows(&history, &every(600));
    assert_eq!(all[0], (0, 3600));
    assert_eq!(all[1], (3600, 4200));
    let reader = history.reader().expect("it is there");
    assert_eq!(total(&reader, &every(600)).counter("sent_bytes"), Some(70 * 7));
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let wrong = |change: fn(&mut Settings)| {
        let mut settings = Settings::default();
        change(&mut settings);
        match settings.check() {
            Err(Error::Settings(what)) => what,
            other => panic!("{other:?}"),
        }
    };
    Settings::default().check().expect("these are the defaults");
    assert_eq!(wrong(|settings| settings.tiers.clear()), "there is no tier");
    assert_eq!(
        wrong(|settings| settings.tiers[1].step = Duration::from_secs(7)),
        "the step of a tier is no multiple of that of the tier before it"
    );
    assert_eq!(
        wrong(|settings| settings.tiers[2].keep = Duration::from_secs(7)),
        "a tier keeps for a shorter time than the one before it"
    );
    assert_eq!(wrong(|settings| settings.max_bytes = 5), "the size is below 1 MiB");
    assert_eq!(
        wrong(|settings| settings.unusual.score = f64::NAN),
        "unusual: the score and the floors have to be above 0"
    );
}

#[test]
fn what_is_usual_is_known_again_after_a_restart_and_what_is_not_is_kept() {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("h.db");
    let mut host = Host::new();
    let mut found = Vec::new();
    for run in 0..5 {
        let mut history = History::open(&path, settings()).expect("there is room");
        for _ in 0..9 {
            host.wait(10 * S);
            // The tenth of a second's traffic.
            host.late(0, if run == 4 { 90_000_000 } else { 1_000_000 }, 0);
            found.extend(history.record(&host.snapshot()).expect("there is room"));
        }
        let kept = history.reader().expect("it is there").findings(&Range::default());
        assert_eq!(kept.expect("it can be read"), found);
    }
    let [finding] = &found[..] else { panic!("{found:?}") };
    assert_eq!(
        finding.reason,
        "sent_bytes_per_second is 9000000 bytes/s, far above the usual 100000 bytes/s: 71.2 times the \
         spread of 125000 bytes/s, of 35 values; unusual is from 6.0 on"
    );
    let score = finding.score.as_ref().expect("it has one");
    assert_eq!((score.series.as_str(), score.median), ("sent_bytes_per_second", 100_000.0));
}

#[test]
fn a_database_of_before_losses_were_told_apart_goes_on() {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("h.db");
    let mut host = Host::new();
    let mut history = History::open(&path, settings()).expect("there is room");
    history.record(&host.snapshot()).expect("there is room");
    host.drop_packets(9, 0);
    host.wait(30 * S);
    history.record(&host.snapshot()).expect("there is room");
    drop(history);
    let older = rusqlite::Connection::open(&path).expect("it is there");
    older
        .execute_batch(
            "ALTER TABLE host DROP COLUMN losses;
             UPDATE last SET state = substr(state, 1, length(state) - 8);",
        )
        .expect("it is a history");
    drop(older);
    let count = |name| {
        let reader = mutex_history::Reader::open(&path).expect("it is there");
        total(&reader, &Range::default()).counter(name)
    };
    // Until somebody writes to it, it is read as it is.
    assert_eq!((count("drops"), count("losses")), (Some(9), Some(9)));
    let mut history = History::open(&path, settings()).expect("it can be brought up to date");
    assert_eq!(count("losses"), Some(9));
    host.drop_packets(2, 3);
    host.wait(30 * S);
    let findings = history.record(&host.snapshot()).expect("there is room");
    assert!(findings.is_empty(), "{findings:?}");
    assert_eq!((count("drops"), count("losses")), (Some(14), Some(11)));
}
