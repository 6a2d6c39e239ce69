// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is recorded is kept, counted, and let go as the settings say.

use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use mutex_stats::Clock;
use mutex_stats::ManualClock;
use mutex_stats::diagnostics::Entry;
use mutex_stats::diagnostics::Error;
use mutex_stats::diagnostics::HealthStatus;
use mutex_stats::diagnostics::Query;
use mutex_stats::diagnostics::Recorder;
use mutex_stats::diagnostics::Settings;
use mutex_stats::diagnostics::Severity;
use mutex_stats::diagnostics::Source;
use mutex_stats::diagnostics::Statistics;
use mutex_stats::diagnostics::Upkeep;
use proptest::prelude::*;

const NOW: u64 = 1_700_000_000_000_000_000;

fn at_noon(settings: Settings) -> (Recorder, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(NOW));
    (Recorder::with_clock(settings, clock.clone()), clock)
}

fn numbers(recorder: &Recorder, query: &Query) -> Vec<u64> {
    let events = recorder.events(query).expect("it is open");
    events.iter().map(|kept| kept.number).collect()
}

fn entry(severity: Severity) -> Entry {
    Entry::custom("test", severity, "something")
}

/// Nothing that was recorded is uncounted.
fn balanced(statistics: &Statistics) -> bool {
    let gone = statistics.evicted + statistics.expired + statistics.cleared;
    statistics.total.events() == statistics.kept.events() + gone
}

#[test]
fn defaults_are_those_that_are_documented() {
    let settings = Settings::default();
    assert_eq!(settings.max_events, 1000);
    assert_eq!(settings.cleanup_interval, Duration::from_secs(300));
    assert_eq!(settings.retention_period, Duration::from_secs(86_400));
    assert_eq!(settings.health_interval, Duration::from_secs(30));
    assert!(settings.enable_metrics && settings.enable_health_check);
    assert_eq!(settings.log_level, Severity::Info);
    assert_eq!(settings.export_format.name(), "json");
    assert_eq!(Recorder::new(7).settings(), &Settings { max_events: 7, ..settings });
    let busy = Settings::production();
    assert_eq!((busy.max_events, busy.log_level), (50_000, Severity::Warning));
    assert_eq!(busy.cleanup_interval, Duration::from_secs(600));
    assert_eq!(busy.retention_period, Duration::from_secs(3 * 86_400));
    assert_eq!(Settings::development().max_events, 100);
}

#[test]
fn the_last_events_at_or_above_a_severity() {
    let (recorder, _) = at_noon(Settings::default());
    for severity in Severity::ALL.into_iter().cycle().take(12) {
        recorder.record(entry(severity)).expect("it is open");
    }
    let at_least = |severity, last| numbers(&recorder, &Query { severity, ..Query::last(last) });
    assert_eq!(at_least(Severity::Debug, 3), [10, 11, 12]);
    assert_eq!(at_least(Severity::Info, 3), [9, 10, 12]);
    assert_eq!(at_least(Severity::Error, 100), [4, 5, 9, 10]);
    assert_eq!(at_least(Severity::Critical, 1), [10]);
    assert_eq!(at_least(Severity::Debug, 0), [0; 0]);
    assert_eq!(numbers(&recorder, &Query { after: 10, ..Query::last(50) }), [11, 12]);

    recorder.record(Entry::peer_connected("alice", "192.0.2.1:1")).expect("it is open");
    recorder.record(Entry::error("bob", "gone", "ping")).expect("it is open");
    let of_kind = Query { kind: Some("error".into()), ..Query::last(9) };
    assert_eq!(numbers(&recorder, &of_kind), [14]);
    let of_peer = Query { peer: Some("alice".into()), ..Query::last(9) };
    assert_eq!(numbers(&recorder, &of_peer), [13]);
}

#[test]
fn events_of_a_component_and_of_a_time() {
    let (recorder, clock) = at_noon(Settings::default());
    let began_ns = clock.unix_ns();
    let minute = Duration::from_secs(60);
    let test = |text: &str| Entry::custom("test", Severity::Info, text);
    recorder.record(test("said by nobody in particular")).expect("it is open");
    clock.advance(minute);
    recorder.record(test("said by a part").with("component", "history")).expect("it is open");
    let source = Source::Program { pid: 7, uid: 0 };
    recorder.record_from(source, test("said by a program")).expect("it is open");
    clock.advance(minute);
    let strange = test("whose component is no text").with("component", 5);
    recorder.record_from(Source::Kernel, strange).expect("it is open");
    let of = |component: &str| {
        numbers(&recorder, &Query { component: Some(component.into()), ..Query::last(9) })
    };
    assert_eq!(["own", "history", "program", "kernel"].map(of), [[1], [2], [3], [4]]);
    assert_eq!(of("none"), [0; 0]);
    let between = |since: u64, until: u64| {
        let ns = |minutes: u64| began_ns + minutes * 60_000_000_000;
        let query = Query { since_ns: ns(since), until_ns: ns(until), ..Query::last(9) };
        numbers(&recorder, &query)
    };
    assert_eq!(between(0, 2), [1, 2, 3, 4]);
    assert_eq!(between(1, 1), [2, 3]);
    assert_eq!(between(2, 9), [4]);
    assert_eq!(between(3, 9), [0; 0]);
    assert_eq!(recorder.statistics().expect("it is open").began_ns, began_ns);
}

#[test]
fn the_oldest_goes_for_a_new_one() {
    let (recorder, _) = at_noon(Settings { max_events: 3, ..Settings::default() });
    for _ in 0..5 {
        recorder.record(entry(Severity::Info)).expect("it is open");
    }
    assert_eq!(numbers(&recorder, &Query::last(50)), [3, 4, 5]);
    let statistics = recorder.statistics().expect("it is open");
    assert_eq!((statistics.total.events(), statistics.evicted), (5, 2));

    let (recorder, _) = at_noon(Settings { max_memory: 40_000, ..Settings::default() });
    for _ in 0..20 {
        let long = Entry::custom("test", Severity::Info, "x".repeat(4000));
        recorder.record(long).expect("it is open");
        assert!(recorder.statistics().expect("it is open").memory <= 40_000);
    }
    let kept = numbers(&recorder, &Query::last(50));
    assert!(kept.len() > 4 && kept.ends_with(&[19, 20]), "{kept:?}");

    let (recorder, _) = at_noon(Settings { max_events: 0, ..Settings::default() });
    assert_eq!(recorder.record(entry(Severity::Info)).expect("it is open"), 1);
    assert_eq!(numbers(&recorder, &Query::last(50)), [0; 0]);
}

#[test]
fn what_is_too_old_is_gone_by_a_clock_that_nobody_sets() {
    let day = Duration::from_secs(86_400);
    let (recorder, clock) = at_noon(Settings::default());
    recorder.record(entry(Severity::Info)).expect("it is open");
    clock.advance(day / 2);
    recorder.record(entry(Severity::Info)).expect("it is open");

    // The clock on the wall jumps a year ahead, and two back.
    for year in [NOW + 31_536_000_000_000_000, NOW - 31_536_000_000_000_000] {
        clock.set(year);
        recorder.record(entry(Severity::Info)).expect("it is open");
        assert_eq!(recorder.clean_up().expect("it is open"), 0);
    }
    assert_eq!(numbers(&recorder, &Query::last(50)), [1, 2, 3, 4]);

    clock.advance(day / 2);
    assert_eq!(numbers(&recorder, &Query::last(50)), [1, 2, 3, 4], "not older than a day");
    clock.advance(Duration::from_nanos(1));
    // Nobody sees it, although nothing has cleaned up yet.
    assert_eq!(numbers(&recorder, &Query::last(50)), [2, 3, 4]);
    clock.advance(day);
    assert_eq!(recorder.clean_up().expect("it is open"), 3);
    assert_eq!(recorder.statistics().expect("it is open").expired, 4);
}

#[test]
fn recording_lets_go_what_is_too_old_at_the_interval() {
    let settings = Settings { max_events: 10, ..Settings::default() };
    let (recorder, clock) = at_noon(settings);
    for _ in 0..8 {
        recorder.record(entry(Severity::Info)).expect("it is open");
    }
    clock.advance(Duration::from_secs(86_401));
    recorder.record(entry(Severity::Info)).expect("it is open");
    // Room for two more was there, so that without cleaning the old ones would have been evicted.
    for _ in 0..8 {
        recorder.record(entry(Severity::Info)).expect("it is open");
    }
    let statistics = recorder.statistics().expect("it is open");
    assert_eq!((statistics.expired, statistics.evicted), (8, 0));
}

#[test]
fn statistics_tell_kinds_severities_peers_and_the_error_rate() {
    let (recorder, _) = at_noon(Settings::default());
    recorder.record(Entry::peer_connected("alice", "192.0.2.1:1")).expect("it is open");
    recorder.record(Entry::peer_connected("bob", "192.0.2.2:1")).expect("it is open");
    recorder.record(Entry::error("bob", "reset", "read")).expect("it is open");
    recorder.record(Entry::peer_disconnected("bob", "192.0.2.2:1", "reset")).expect("it is open");
    let statistics = recorder.statistics().expect("it is open");
    assert_eq!((statistics.total.events(), statistics.active_peers), (4, 1));
    assert_eq!(statistics.total.of_kind("peer_connected"), 2);
    assert_eq!(statistics.total.of_severity(Severity::Info), 3);
    assert!((statistics.error_rate() - 0.25).abs() < 1e-12);

    assert_eq!(recorder.clear().expect("it is open"), 4);
    let statistics = recorder.statistics().expect("it is open");
    assert_eq!((statistics.total.events(), statistics.kept.events()), (4, 0));
    assert_eq!((statistics.cleared, statistics.active_peers, statistics.memory), (4, 1, 0));
    assert_eq!(recorder.record(entry(Severity::Info)).expect("it is open"), 5, "numbers go on");
}

#[test]
fn what_is_refused_is_counted_and_leaves_no_gap() {
    let (recorder, _) = at_noon(Settings::default());
    recorder.record(entry(Severity::Info)).expect("it is as it may be");
    let long = Entry::custom("test", Severity::Info, "x".repeat(5000));
    let error = recorder.record(long.clone()).expect_err("it is too long");
    assert!(matches!(error, Error::TooLong { part: "message", .. }), "{error}");
    let batch = [entry(Severity::Info), long];
    recorder.record_all(Source::Own, batch).expect_err("one of them is too long");
    assert_eq!(recorder.record(entry(Severity::Info)).expect("it is as it may be"), 2);
    assert_eq!(recorder.statistics().expect("it is open").refused, 2);
    let batch = [entry(Severity::Info), entry(Severity::Error)];
    assert_eq!(recorder.record_all(Source::Kernel, batch).expect("they may be"), 3..5);
}

#[test]
fn a_closed_recorder_gives_and_takes_nothing() {
    let (recorder, _) = at_noon(Settings::default());
    recorder.record(entry(Severity::Info)).expect("it is open");
    recorder.close().expect("it is open");
    let closed = |error: Error| assert!(matches!(error, Error::Closed), "{error}");
    closed(recorder.record(entry(Severity::Info)).expect_err("it is closed"));
    closed(recorder.events(&Query::last(1)).expect_err("it is closed"));
    closed(recorder.statistics().expect_err("it is closed"));
    closed(recorder.health().expect_err("it is closed"));
    closed(recorder.clear().expect_err("it is closed"));
    closed(recorder.clean_up().expect_err("it is closed"));
    closed(recorder.export(Vec::new()).expect_err("it is closed"));
    closed(recorder.close().expect_err("it is closed"));
}

#[test]
fn health_looks_at_what_happened_of_late() {
    let (recorder, clock) = at_noon(Settings { max_events: 100, ..Settings::default() });
    let health = || recorder.health().expect("it is open");
    let record = |severity, times| {
        for _ in 0..times {
            recorder.record(entry(severity)).expect("it is open");
        }
    };
    assert_eq!((health().status, &*health().message), (HealthStatus::Healthy, "0 events in 300s"));

    // Few events say nothing.
    record(Severity::Error, 9);
    assert_eq!(health().status, HealthStatus::Healthy);
    record(Severity::Error, 1);
    assert_eq!(health().status, HealthStatus::Unhealthy);
    assert_eq!(health().message, "100.0 % of 10 events in 300s are errors");
    record(Severity::Info, 10);
    assert_eq!(health().status, HealthStatus::Unhealthy, "a half");
    record(Severity::Info, 1);
    assert_eq!(health().status, HealthStatus::Degraded);
    assert_eq!((health().recent_events, health().recent_errors), (21, 10));

    clock.advance(Duration::from_secs(300));
    assert_eq!(health().recent_events, 21);
    clock.advance(Duration::from_nanos(1));
    assert_eq!((health().status, health().recent_events), (HealthStatus::Healthy, 0));
    assert_eq!((health().events, health().max_events, health().total_events), (21, 100, 21));

    record(Severity::Critical, 1);
    assert_eq!((health().status, health().recent_critical), (HealthStatus::Unhealthy, 1));
    assert_eq!(health().message, "1 critical events in 300s");

    // So many that the window does not fit any more.
    record(Severity::Info, 100);
    assert_eq!(health().status, HealthStatus::Degraded);
    assert!(health().message.contains("do not reach back 300s"), "{}", health().message);
    clock.advance(Duration::from_secs(301));
    assert_eq!(health().status, HealthStatus::Healthy);
    recorder.clear().expect("it is open");
    record(Severity::Info, 1);
    assert_eq!(health().status, HealthStatus::Healthy, "what was evicted was too old to be missed");

    let (off, _) = at_noon(Settings { enable_health_check: false, ..Settings::default() });
    assert!(matches!(off.health(), Err(Error::HealthCheckOff)));
}

#[test]
fn what_is_bad_enough_is_logged() {
    let logged = Arc::new(Mutex::new(Vec::new()));
    let log = logged.clone();
    let recorder =
        Recorder::with_settings(Settings { log_level: Severity::Warning, ..Settings::default() })
            .logging(move |kept| log.lock().expect("nobody panics").push(kept.entry.severity));
    for severity in Severity::ALL {
        recorder.record(entry(severity)).expect("it is open");
    }
    let [.., warning, error, critical] = Severity::ALL;
    assert_eq!(*logged.lock().expect("nobody panics"), [warning, error, critical]);
}

#[test]
fn what_is_measured_is_recorded() {
    let (recorder, _) = at_noon(Settings::default());
    assert_eq!(recorder.measure("good", || Ok::<_, ()>(7)), Ok(7));
    assert_eq!(recorder.measure("bad", || Err::<(), _>("why")), Err("why"));
    let events = recorder.events(&Query::last(2)).expect("it is open");
    let success = |place: usize| events[place].entry.metadata["success"].as_bool();
    assert_eq!((success(0), success(1)), (Some(true), Some(false)));
    recorder.close().expect("it is open");
    assert_eq!(recorder.measure("good", || Ok::<_, ()>(7)), Ok(7), "work goes on without it");
}

#[test]
fn upkeep_cleans_up_and_checks_health_until_it_is_dropped() {
    let settings = Settings {
        cleanup_interval: Duration::from_millis(1),
        health_interval: Duration::from_millis(1),
        ..Settings::default()
    };
    let (recorder, clock) = at_noon(settings);
    let recorder = Arc::new(recorder);
    let (sender, findings) = channel();
    let see = move |health| sender.send(health).expect("the test listens");
    let upkeep = Upkeep::start(&recorder, see).expect("threads can be had");
    recorder.record(entry(Severity::Critical)).expect("it is open");
    let is_bad = |status| status == HealthStatus::Unhealthy;
    assert!(findings.iter().any(|health| is_bad(health.status)), "it is seen");
    clock.advance(Duration::from_secs(86_401));
    assert!(findings.iter().any(|health| !is_bad(health.status)), "it is over");
    drop(upkeep);
    findings.try_iter().for_each(drop);
    assert!(findings.recv().is_err(), "nobody looks any more");
}

/// Eight threads, a million events, and the books balance at every look.
#[test]
fn a_million_events_from_eight_threads() {
    const THREADS: u64 = 8;
    const EACH: u64 = 125_000;
    let recorder = Arc::new(Recorder::with_settings(Settings {
        max_events: 10_000,
        max_memory: 8 << 20,
        ..Settings::default()
    }));
    let within = |statistics: &Statistics| {
        assert!(balanced(statistics), "{statistics:?}");
        assert!(statistics.kept.events() <= 10_000, "{statistics:?}");
        assert!(statistics.memory <= 8 << 20, "{statistics:?}");
    };
    let writers: Vec<_> = (0..THREADS)
        .map(|thread| {
            let recorder = recorder.clone();
            thread::spawn(move || {
                let peer = format!("peer{thread}");
                let mut numbers = Vec::new();
                for step in 0..EACH {
                    let entry = match step % 5 {
                        0 => Entry::peer_connected(&*peer, step),
                        1 => Entry::peer_disconnected(&*peer, step - 1, "end"),
                        2 => Entry::message(
                            &*peer,
                            "ping",
                            mutex_stats::diagnostics::Way::Sent,
                            step,
                        ),
                        3 => Entry::error(&*peer, "none", "test"),
                        _ => Entry::custom(format!("kind{thread}"), Severity::Critical, "x"),
                    };
                    numbers.push(recorder.record(entry).expect("it is open"));
                }
                numbers
            })
        })
        .collect();
    while !writers.iter().all(thread::JoinHandle::is_finished) {
        within(&recorder.statistics().expect("it is open"));
        let events = numbers(&recorder, &Query::last(100));
        assert!(events.windows(2).all(|pair| pair[1] == pair[0] + 1), "{events:?}");
        thread::yield_now();
    }
    let mut all = BTreeSet::new();
    for writer in writers {
        let numbers = writer.join().expect("no writer panics");
        assert!(numbers.is_sorted(), "numbers go up in each thread");
        all.extend(numbers);
    }
    assert_eq!(all.len() as u64, THREADS * EACH, "no number comes twice");
    assert_eq!((all.first(), all.last()), (Some(&1), Some(&(THREADS * EACH))), "without a gap");

    let statistics = recorder.statistics().expect("it is open");
    within(&statistics);
    assert_eq!(statistics.total.events(), 1_000_000);
    assert_eq!(statistics.kept.events() + statistics.evicted, 1_000_000);
    for kind in ["peer_connected", "peer_disconnected", "message", "error"] {
        assert_eq!(statistics.total.of_kind(kind), 200_000, "{kind}");
    }
    for thread in 0..THREADS {
        assert_eq!(statistics.total.of_kind(&format!("kind{thread}")), EACH / 5);
    }
    assert_eq!(statistics.total.of_severity(Severity::Critical), 200_000);
    assert_eq!(statistics.active_peers, 0, "each has disconnected");
    let kept = numbers(&recorder, &Query::last(usize::MAX));
    assert_eq!(kept.len() as u64, statistics.kept.events());
    assert!(kept.iter().copied().eq(1_000_001 - kept.len() as u64..1_000_001), "the newest");
}

/// What is done to a recorder.
#[derive(Clone, Debug)]
enum Step {
    Record(Severity, usize),
    Refused,
    Pass(u64),
    Set(u64),
    Clear,
    CleanUp,
}

fn any_step() -> impl Strategy<Value = Step> {
    let severity = prop::sample::select(Severity::ALL.to_vec());
    prop_oneof![
        8 => (severity, 0..600usize).prop_map(|(severity, size)| Step::Record(severity, size)),
        1 => Just(Step::Refused),
        2 => (0..40u64).prop_map(Step::Pass),
        1 => any::<u64>().prop_map(Step::Set),
        1 => Just(Step::Clear),
        1 => Just(Step::CleanUp),
    ]
}

proptest! {
    /// As a list would do it that is gone through from its beginning each time.
    #[test]
    fn it_does_as_a_simple_one_does(
        steps in prop::collection::vec(any_step(), 0..120),
        max_events in 0..12usize,
        cleanup in 0..50u64,
    ) {
        let retention = Duration::from_secs(100);
        let (recorder, clock) = at_noon(Settings {
            max_events,
            retention_period: retention,
            cleanup_interval: Duration::from_secs(cleanup),
            ..Settings::default()
        });
        let mut simple: VecDeque<(u64, Severity, Duration)> = VecDeque::new();
        let (mut total, mut cleared, mut refused) = (0, 0, 0);
        for step in steps {
            match step {
                Step::Record(severity, size) => {
                    let entry = Entry::custom("test", severity, "x".repeat(size));
                    total += 1;
                    prop_assert_eq!(recorder.record(entry).expect("it is open"), total);
                    simple.push_back((total, severity, clock.monotonic()));
                }
                Step::Refused => {
                    refused += 1;
                    let entry = Entry::custom("no name", Severity::Info, "");
                    prop_assert!(recorder.record(entry).is_err());
                }
                Step::Pass(seconds) => clock.advance(Duration::from_secs(seconds)),
                Step::Set(time) => clock.set(time),
                Step::Clear => {
                    // What is too old but still there is cleared, not expired.
                    cleared += recorder.clear().expect("it is open");
                    simple.clear();
                }
                Step::CleanUp => drop(recorder.clean_up().expect("it is open")),
            }
            simple.retain(|(_, _, at)| clock.monotonic().saturating_sub(*at) <= retention);
            while simple.len() > max_events {
                simple.pop_front();
            }
            for severity in Severity::ALL {
                let expected: Vec<u64> = simple.iter().filter(|one| one.1 >= severity).map(|one| one.0).collect();
                let query = Query { severity, ..Query::last(usize::MAX) };
                prop_assert_eq!(numbers(&recorder, &query), expected);
            }
            let statistics = recorder.statistics().expect("it is open");
            prop_assert!(balanced(&statistics), "{:?}", statistics);
            prop_assert_eq!(statistics.total.events(), total);
            prop_assert_eq!(statistics.kept.events(), simple.len() as u64);
            prop_assert_eq!(statistics.memory == 0, simple.is_empty());
            prop_assert_eq!((statistics.cleared, statistics.refused), (cleared, refused));
        }
    }
}
