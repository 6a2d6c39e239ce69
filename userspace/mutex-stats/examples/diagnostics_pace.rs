// SPDX-License-Identifier: MIT OR Apache-2.0

//! Says how many events, requests and looks a second there can be, from one thread and from eight.
//!
//! `cargo run --release --example diagnostics_pace`

use std::thread::scope;
use std::time::Duration;
use std::time::Instant;

use mutex_stats::diagnostics::Entry;
use mutex_stats::diagnostics::Query;
use mutex_stats::diagnostics::Recorder;
use mutex_stats::diagnostics::Severity;
use mutex_stats::monitor::Collector;
use mutex_stats::monitor::Requests;

/// Does `work` so many times in each of so many threads, and says how long one took.
fn pace(what: &str, threads: u32, times: u32, work: impl Fn() + Sync) {
    let began = Instant::now();
    scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| (0..times).for_each(|_| work()));
        }
    });
    let each = began.elapsed() / (threads * times);
    println!("{what}, {threads} threads: {each:?} each");
}

fn main() {
    let recorder = Recorder::new(10_000);
    let requests = Requests::new("example");
    for threads in [1, 8] {
        pace("an event is recorded", threads, 200_000 / threads, || {
            let entry = Entry::custom("pace", Severity::Info, "an event like any other");
            recorder.record(entry).expect("the recorder is open");
        });
        pace("statistics are asked for", threads, 20_000 / threads, || {
            recorder.statistics().expect("the recorder is open");
        });
        pace("the last 50 errors are asked for", threads, 2_000 / threads, || {
            let errors = Query { severity: Severity::Error, ..Query::last(50) };
            recorder.events(&errors).expect("the recorder is open");
        });
        pace("a request is counted", threads, 1_000_000 / threads, || {
            requests.request();
            requests.response(Duration::from_millis(1), true);
        });
        pace("requests are collected", threads, 2_000 / threads, || {
            requests.collect().expect("it has something to say");
        });
    }
}
