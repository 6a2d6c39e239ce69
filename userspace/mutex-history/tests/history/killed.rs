// SPDX-License-Identifier: MIT OR Apache-2.0

//! A recorder that is killed, at any point, many times.

use std::env;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use mutex_history::History;
use mutex_history::Reader;
use mutex_history::Settings;

use crate::books::every;
use crate::books::settings;
use crate::books::total;
use crate::host::BEGIN;
use crate::host::Host;
use crate::host::S;

/// Where [`recorder`] finds what it is to do.
const PATH: &str = "MUTEX_HISTORY_TEST_PATH";
const FROM: &str = "MUTEX_HISTORY_TEST_FROM";
const KILLS: u64 = 30;

/// Rows go all the time.
fn small() -> Settings {
    Settings { max_alerts: 50, ..settings() }
}

/// The host after so many steps of 7 s. Each moves 1000 bytes more than the one before.
fn at(step: u64) -> Host {
    let mut host = Host::new();
    let ids = [1, 2, 3].map(|n| host.connect(&format!("program{n}"), n, 80, false));
    host.wait(7 * S * step);
    host.traffic(ids[usize::try_from(step % 3).unwrap_or(0)], 1000 * step * (step + 1) / 2, 0);
    host.late(0, step, 0);
    host.latency(5, 3, step);
    host.alert(step);
    host.image.alerts[0].number = step;
    host
}

fn bytes(step: u64) -> u64 {
    1000 * step * (step + 1) / 2 + step
}

#[test]
fn a_killed_recorder_loses_nothing_that_it_confirmed() {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("h.db");
    let (mut confirmed, mut chance) = (0u64, 12345u64);
    for kill in 0..KILLS {
        let mut child = Command::new(env::current_exe().expect("it runs"))
            .args(["--exact", "killed::recorder", "--ignored", "--nocapture"])
            .env(PATH, &path)
            .env(FROM, confirmed.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        chance =
            chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // After one step at least, so that each child gets on.
        let (steps, microseconds) = (1 + (chance >> 33) % 4, (chance >> 40) % 4000);
        let mut said = 0;
        for line in lines.map_while(Result::ok) {
            let Some(step) = line.strip_prefix("confirmed ") else { continue };
            confirmed = step.parse().expect("it is a number");
            said += 1;
            if said == steps {
                thread::sleep(Duration::from_micros(microseconds));
                child.kill().expect("it runs");
            }
        }
        child.wait().expect("it was killed");
        assert!(said >= steps, "the child ended by itself");
        check(&path, kill, confirmed);
    }
    assert!(confirmed >= KILLS);
}

fn check(path: &Path, kill: u64, confirmed: u64) {
    let reader = Reader::open(path).expect("it is there");
    reader.check().expect("it is whole");
    let newest = reader.host(&every(0)).expect("it can be read").last().map(|row| row.end_ns);
    let recorded = newest.map_or(0, |end_ns| (end_ns - BEGIN) / S / 7);
    assert!(recorded >= confirmed, "kill {kill}: {recorded} of {confirmed}");
    for step in [0, 60, 3600] {
        let total = total(&reader, &every(step));
        assert_eq!(total.counter("sent_bytes"), Some(bytes(recorded)), "kill {kill}, tier {step}");
        assert_eq!(total.latency.samples(), recorded, "kill {kill}, tier {step}");
        let groups = reader.groups("command", &every(step)).expect("it can be read");
        let sent: u64 = groups.iter().filter_map(|row| row.counter("sent_bytes")).sum();
        assert_eq!(sent, bytes(recorded), "kill {kill}, tier {step}");
    }
    let alerts = reader.alerts(&every(0)).expect("it can be read");
    assert_eq!(alerts.last().map_or(0, |alert| alert.number), recorded, "kill {kill}");
    assert!(alerts.windows(2).all(|pair| pair[0].number + 1 == pair[1].number), "kill {kill}");
}

#[test]
#[ignore = "is started and killed by another test"]
fn recorder() {
    let path = env::var_os(PATH).expect("it is started by another test");
    let from = env::var(FROM).ok().and_then(|from| from.parse().ok()).expect("it is a number");
    let mut history = History::open(Path::new(&path), small()).expect("there is room");
    let mut output = std::io::stdout().lock();
    for step in from.. {
        history.record(&at(step).snapshot()).expect("there is room");
        // In one write, for a line that is cut off would not be one.
        output.write_all(format!("\nconfirmed {step}\n").as_bytes()).expect("somebody reads");
    }
}
