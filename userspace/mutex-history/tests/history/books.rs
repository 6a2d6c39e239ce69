// SPDX-License-Identifier: MIT OR Apache-2.0

//! Nothing is lost and nothing counts twice, whatever the host, its clock and its module do.

use std::path::Path;
use std::time::Duration;

use mutex_history::COUNTERS;
use mutex_history::Counters;
use mutex_history::GROUP_COUNTERS;
use mutex_history::GroupCounters;
use mutex_history::GroupOf;
use mutex_history::History;
use mutex_history::Range;
use mutex_history::Reader;
use mutex_history::Settings;
use mutex_history::Snapshot;
use mutex_history::Sums;
use mutex_history::Tier;
use proptest::prelude::*;

use crate::host::BEGIN;
use crate::host::Host;
use crate::host::S;

/// Small enough that rows become full.
pub fn settings() -> Settings {
    let tier =
        |step, keep| Tier { step: Duration::from_secs(step), keep: Duration::from_secs(keep) };
    Settings {
        tiers: vec![tier(0, 600), tier(60, 7200), tier(3600, 90 * 86_400)],
        top: 2,
        ..Settings::default()
    }
}

pub fn every(step: u64) -> Range {
    Range { step: Duration::from_secs(step), ..Range::default() }
}

pub fn total(reader: &Reader, range: &Range) -> Sums {
    let mut total = Sums::default();
    reader.host(range).expect("it can be read").iter().for_each(|row| total.add(&row.sums));
    total
}

fn groups(reader: &Reader, key: &str, range: &Range) -> GroupCounters {
    let mut sum = [0; GROUP_COUNTERS.len()];
    for row in reader.groups(key, range).expect("it can be read") {
        sum.iter_mut().zip(row.counters).for_each(|(sum, more)| *sum += more);
    }
    sum
}

/// The host's counters that groups have, too.
fn of_host(counters: &Counters) -> GroupCounters {
    let place = |name: &str| COUNTERS.iter().position(|other| *other == name);
    GROUP_COUNTERS.map(|name| counters[place(name).expect("the host has all of them")])
}

/// Something that happens.
#[derive(Clone, Debug)]
enum Act {
    Connect {
        command: u8,
        remote: u8,
        forwarded: bool,
    },
    Traffic {
        which: usize,
        sent: u64,
        received: u64,
    },
    /// The connection is copied before the host's totals are.
    Early {
        which: usize,
        sent: u64,
    },
    Unseen {
        sent: u64,
    },
    Close {
        which: usize,
    },
    Latency {
        octave: u32,
        step: usize,
        samples: u64,
    },
    Wait {
        seconds: u64,
    },
    SetClock {
        seconds: i64,
    },
    Reload,
    Reboot,
    /// The program that records ends and is started again.
    Restart,
    Record,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..6u8, 0..9u8, any::<bool>())
            .prop_map(|(command, remote, forwarded)| Act::Connect { command, remote, forwarded }),
        9 => (0..9usize, 0..50_000u64, 0..50_000u64)
            .prop_map(|(which, sent, received)| Act::Traffic { which, sent, received }),
        3 => (0..9usize, 1..5_000u64).prop_map(|(which, sent)| Act::Early { which, sent }),
        2 => (0..9_000u64).prop_map(|sent| Act::Unseen { sent }),
        2 => (0..9usize).prop_map(|which| Act::Close { which }),
        3 => (0..26u32, 0..8usize, 1..99u64)
            .prop_map(|(octave, step, samples)| Act::Latency { octave, step, samples }),
        8 => (1..200u64).prop_map(|seconds| Act::Wait { seconds }),
        1 => (-9_000..9_000i64).prop_map(|seconds| Act::SetClock { seconds }),
        1 => Just(Act::Reload),
        1 => Just(Act::Reboot),
        1 => Just(Act::Restart),
        9 => Just(Act::Record),
    ]
}

/// What should be in the history in the end: what all loads of the module counted after the first
/// look, except what the last look of each load had not seen.
#[derive(Default)]
struct Expected {
    before: Counters,
    looked: Counters,
    sum: Counters,
    duration_ns: u64,
    looks: u64,
    loads: u64,
    latency: u64,
    latency_before: u64,
    boottime: u64,
}

impl Expected {
    fn look(&mut self, now: Counters, latency: u64, boottime: u64, uptime: u64) {
        self.looks += 1;
        if self.looks > 1 {
            for (place, sum) in self.sum.iter_mut().enumerate() {
                *sum += now[place] - self.before[place];
            }
            self.latency += latency - self.latency_before;
            self.duration_ns += (boottime - self.boottime).min(uptime);
        }
        (self.before, self.looked, self.boottime) = (now, now, boottime);
        self.latency_before = latency;
    }

    fn anew(&mut self, boottime: u64) {
        self.before = [0; COUNTERS.len()];
        self.latency_before = 0;
        self.loads += 1;
        self.boottime = boottime;
    }
}

/// The counters as they are in the image, each by its name.
fn now(host: &Host) -> Counters {
    let (image, stats) = (&host.image, mutex_stats::Stats::of_image(&host.image));
    COUNTERS.map(|name| match name {
        "untracked_packets" | "untracked_bytes" | "events_lost" => 0,
        "connections_opened" => image.status.connections_total,
        "alerts" => image.status.alerts_raised,
        name => stats.get(name).unwrap_or_else(|| panic!("{name}")),
    })
}

fn play(path: &Path, acts: &[Act]) -> (Expected, History) {
    let mut host = Host::new();
    let mut history = History::open(path, settings()).expect("there is room");
    let mut expected = Expected::default();
    let mut since_look = 1;
    let open = |host: &Host, which: usize| {
        let open = &host.image.connections;
        (!open.is_empty()).then(|| open[which % open.len()].id)
    };
    // What connections have counted that the host has not.
    let mut owed: Vec<(u64, u64)> = Vec::new();
    for act in acts.iter().chain([&Act::Wait { seconds: 1 }, &Act::Record]) {
        match *act {
            Act::Connect { command, remote, forwarded } => {
                host.connect(&format!("program{command}"), remote, 443, forwarded);
            }
            Act::Traffic { which, sent, received } => {
                if let Some(id) = open(&host, which) {
                    host.traffic(id, sent, received);
                }
            }
            Act::Early { which, sent } => {
                if let Some(id) = open(&host, which) {
                    host.early(id, sent, 0);
                    owed.push((id, sent));
                }
            }
            Act::Unseen { sent } => host.late(0, sent, 0),
            Act::Close { which } => {
                if let Some(id) = open(&host, which) {
                    owed.retain(|(other, _)| *other != id);
                    host.close(id);
                }
            }
            Act::Latency { octave, step, samples } => host.latency(octave, step, samples),
            Act::Wait { seconds } => {
                host.wait(seconds * S);
                since_look += 1;
            }
            Act::SetClock { seconds } => host.set_clock(seconds * 1_000_000_000),
            Act::Reload => {
                owed.clear();
                // No module is loaded twice in the same nanosecond.
                host.wait(1);
                since_look += 1;
                host.reload();
                expected.anew(expected.boottime);
            }
            Act::Reboot => {
                owed.clear();
                host.reboot();
                expected.anew(0);
                since_look += 1;
            }
            Act::Restart => {
                drop(history);
                history = History::open(path, settings()).expect("it is there");
            }
            Act::Record => {
                history.record(&host.snapshot()).expect("there is room");
                if since_look > 0 {
                    let latency = host.image.latency.iter().flat_map(|some| some.samples).sum();
                    let boottime = host.image.header.boottime_ns;
                    expected.look(now(&host), latency, boottime, host.image.status.uptime_ns);
                    since_look = 0;
                }
                owed.drain(..).for_each(|(id, sent)| host.late(id, sent, 0));
            }
        }
    }
    (expected, history)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn all_tiers_have_all_that_happened_and_groups_add_up(acts in proptest::collection::vec(act(), 1..120)) {
        let folder = tempfile::tempdir().expect("there is room");
        let (expected, history) = play(&folder.path().join("h.db"), &acts);
        let reader = history.reader().expect("it is there");
        reader.check().expect("it is whole");
        prop_assert_eq!(history.state().errors, 0);
        for step in [0, 1, 7, 60, 90, 600, 3600, 86_400] {
            let total = total(&reader, &every(step));
            prop_assert_eq!(total.counters, expected.sum, "step {}", step);
            prop_assert_eq!(total.latency.samples(), expected.latency, "step {}", step);
            prop_assert_eq!(total.samples, expected.looks - 1, "step {}", step);
            prop_assert_eq!(total.duration_ns, expected.duration_ns, "step {}", step);
            for key in ["command", "remote", "port"] {
                prop_assert_eq!(groups(&reader, key, &every(step)), of_host(&expected.sum), "{} {}", step, key);
            }
        }
        // Row by row, too: no group may have what another time did.
        for step in [0, 60, 3600] {
            let hosts = reader.host(&every(step)).expect("it can be read");
            let groups = reader.groups("command", &every(step)).expect("it can be read");
            for host in &hosts {
                let mut sum = [0; GROUP_COUNTERS.len()];
                for row in groups.iter().filter(|row| row.end_ns == host.end_ns) {
                    sum.iter_mut().zip(row.counters).for_each(|(sum, more)| *sum += more);
                }
                prop_assert_eq!(sum, of_host(&host.sums.counters), "{} {}", step, host.end_ns);
            }
        }
    }
}

#[test]
fn traffic_is_whose_it_is() {
    let folder = tempfile::tempdir().expect("there is room");
    let mut history =
        History::open(&folder.path().join("h.db"), settings()).expect("there is room");
    let mut host = Host::new();
    let [web, mail, dns] = [("nginx", 1, 443), ("postfix", 2, 25), ("unbound", 3, 53)].map(
        |(command, remote, port)| {
            let id = host.connect(command, remote, port, false);
            host.traffic(id, 777, 777);
            id
        },
    );
    let transit = host.connect("", 4, 443, true);
    history.record(&host.snapshot()).expect("there is room");
    for (id, bytes) in [(web, 5000), (mail, 300), (dns, 20), (transit, 4000)] {
        host.traffic(id, bytes, bytes / 2);
    }
    host.late(0, 11, 0);
    host.wait(10 * S);
    history.record(&host.snapshot()).expect("there is room");
    let reader = history.reader().expect("it is there");
    let of = |key: &str| -> Vec<(GroupOf, u64, u64)> {
        let rows = reader.groups(key, &Range::default()).expect("it can be read");
        let sent = |row: &mutex_history::GroupRow| {
            (
                row.counter("sent_bytes").unwrap_or(0),
                row.counter("forwarded_sent_bytes").unwrap_or(0),
            )
        };
        rows.into_iter().map(|row| (row.of.clone(), sent(&row).0, sent(&row).1)).collect()
    };
    let named = |name: &str| GroupOf::Named(name.to_owned());
    assert_eq!(
        of("command"),
        [(named("nginx"), 5000, 0), (GroupOf::Unknown, 0, 4000), (GroupOf::Other, 331, 0)]
    );
    assert_eq!(
        of("remote"),
        [(named("192.0.2.1"), 5000, 0), (named("192.0.2.4"), 0, 4000), (GroupOf::Other, 331, 0)]
    );
    assert_eq!(
        of("port"),
        [(named("443"), 5000, 4000), (named("25"), 300, 0), (GroupOf::Other, 31, 0)]
    );
    assert_eq!(reader.keys().expect("it can be read"), ["command", "port", "remote"]);
}

#[test]
fn what_passed_while_nobody_looked_is_nobodys_and_what_comes_then_is_somebodys() {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("h.db");
    let open = || History::open(&path, settings()).expect("there is room");
    let mut host = Host::new();
    let web = host.connect("nginx", 1, 443, false);
    let look = |history: &mut History, host: &mut Host, of_web: u64, of_others: u64| {
        host.traffic(web, of_web, 0);
        host.late(0, of_others, 0);
        host.wait(10 * S);
        history.record(&host.snapshot()).expect("there is room");
    };
    let mut history = open();
    look(&mut history, &mut host, 777, 0);
    look(&mut history, &mut host, 1000, 0);
    drop(history);
    let mut history = open();
    look(&mut history, &mut host, 500, 9000);
    look(&mut history, &mut host, 30, 0);
    let rows = history.reader().and_then(|reader| reader.groups("command", &Range::default()));
    let rows = rows.expect("it can be read");
    let sent = |of: &GroupOf| -> u64 {
        rows.iter().filter(|row| row.of == *of).filter_map(|row| row.counter("sent_bytes")).sum()
    };
    assert_eq!(sent(&GroupOf::Named("nginx".to_owned())), 1030);
    assert_eq!(sent(&GroupOf::Other), 9500);
}

#[test]
fn percentiles_gauges_and_rates_of_any_stretch_are_those_of_all_its_samples() {
    let folder = tempfile::tempdir().expect("there is room");
    let mut history =
        History::open(&folder.path().join("h.db"), settings()).expect("there is room");
    let mut host = Host::new();
    history.record(&host.snapshot()).expect("there is room");
    for (samples, octave, used) in [(90, 0, 5), (5, 10, 50), (5, 20, 20)] {
        host.latency(octave, 0, samples);
        host.late(0, used, 0);
        host.wait(10 * S);
        history.record(&host.snapshot()).expect("there is room");
    }
    let reader = history.reader().expect("it is there");
    let [row] = &reader.host(&every(60)).expect("it can be read")[..] else { panic!("one minute") };
    assert_eq!((row.start_ns, row.end_ns), (BEGIN, BEGIN + 60 * S));
    let within = |found: Option<u64>, expected: u64| {
        let found = found.expect("there are samples");
        assert!(found.abs_diff(expected) * 16 <= expected, "{found} {expected}");
    };
    // The first step of an octave begins with it and is an eighth of it.
    within(row.sums.latency.percentile(50), 1_062);
    within(row.sums.latency.percentile(95), 1_062 << 10);
    within(row.sums.latency.percentile(99), 1_062 << 20);
    let gauge = row.sums.gauge("table_used").expect("there is one");
    assert_eq!((gauge.min, gauge.max, gauge.last, gauge.sum, row.sums.samples), (5, 50, 20, 75, 3));
    assert_eq!(row.sums.rate("sent_bytes"), Some(2.5));
    let fine = reader.host(&Range::default()).expect("it can be read");
    let seconds: Vec<u64> = fine.iter().map(|row| (row.end_ns - BEGIN) / S).collect();
    assert_eq!(seconds, [10, 20, 30]);
    assert_eq!(fine[1].start_ns, fine[0].end_ns);
}

#[test]
fn alerts_are_kept_once() {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("h.db");
    let mut history = History::open(&path, settings()).expect("there is room");
    let mut host = Host::new();
    host.alert(11);
    let mut values = |host: &mut Host| {
        host.wait(S);
        history.record(&host.snapshot()).expect("there is room");
        history.record(&host.snapshot()).expect("there is room");
        let alerts = history.reader().expect("it is there").alerts(&Range::default());
        alerts.expect("it can be read").iter().map(|alert| alert.value).collect::<Vec<_>>()
    };
    assert_eq!(values(&mut host), [11]);
    host.alert(12);
    host.alert(13);
    assert_eq!(values(&mut host), [11, 12, 13]);
    // Somebody clears them.
    host.image.alerts.clear();
    assert_eq!(values(&mut host), [11, 12, 13]);
    host.alert(14);
    assert_eq!(values(&mut host), [11, 12, 13, 14]);
    host.reload();
    host.alert(15);
    assert_eq!(values(&mut host), [11, 12, 13, 14, 15]);
    let alerts =
        history.reader().expect("it is there").alerts(&Range::default()).expect("it can be read");
    let last = &alerts[4];
    assert_eq!(
        (last.number, last.severity.as_str(), last.kind.as_str()),
        (1, "error", "bandwidth_in")
    );
    assert!(last.message.contains("15"), "{}", last.message);
    assert_eq!(history.state().stale, 5);
}

#[test]
fn a_summary_has_no_connections_but_its_books_are_the_same() {
    let folder = tempfile::tempdir().expect("there is room");
    let mut history =
        History::open(&folder.path().join("h.db"), settings()).expect("there is room");
    let mut host = Host::new();
    let id = host.connect("curl", 1, 443, false);
    for _ in 0..2 {
        let mut summary = mutex_stats::Summary::default();
        let mut bytes = Vec::new();
        host.image.write(&mut bytes).expect("a vector takes everything");
        mutex_stats::visit(bytes.as_slice(), &mut summary).expect("it is an image");
        history.record(&Snapshot::from(&summary)).expect("there is room");
        host.wait(S);
        host.traffic(id, 500, 100);
    }
    history.record(&Snapshot::from(&host.image)).expect("there is room");
    let reader = history.reader().expect("it is there");
    let rows = reader.groups("command", &Range::default()).expect("it can be read");
    let sent: Vec<_> = rows.iter().map(|row| (row.of.clone(), row.counter("sent_bytes"))).collect();
    assert_eq!(sent, [(GroupOf::Other, Some(500)), (GroupOf::Named("curl".to_owned()), Some(500))]);
}
