// SPDX-License-Identifier: MIT OR Apache-2.0

//! `mutexctl replay`.

use std::io::BufReader;

use anyhow::anyhow;
use mutex_stats::Cell;
use mutex_stats::Error;
use mutex_stats::Recorded;
use mutex_stats::Recording;
use mutex_stats::Summary;
use mutex_stats::formats::RowNames;
use mutex_stats::visit;

use crate::cells::Cells;
use crate::cli::ReplayArgs;
use crate::failure::Failure;
use crate::failure::say;
use crate::human;
use crate::progress::Progress;
use crate::source::warn_of_cuts;
use crate::target::Target;

const COLUMNS: [&str; 13] = [
    "time",
    "time_ns",
    "connections",
    "opened",
    "ended",
    "sent_bytes",
    "received_bytes",
    "sent_bytes_per_second",
    "received_bytes_per_second",
    "retransmitted_packets",
    "drops",
    "alerts",
    "losses",
];

pub fn run(args: &ReplayArgs) -> Result<(), Failure> {
    let failed = |error: Error| -> Failure { anyhow!("{}: {error}", args.path.display()).into() };
    let recording = Recording::open(&args.path).map_err(failed)?;
    warn_of_cuts(&recording);
    let (since, until) = (args.since.unwrap_or(0), args.until.unwrap_or(u64::MAX));
    let mut rows = Vec::new();
    let mut before: Option<Summary> = None;
    let mut progress = Progress::passing();
    let all = recording.images().len();
    for (number, &image) in recording.images().iter().enumerate() {
        progress.say(format_args!("read {number} of {all} images"));
        let Recorded { time_ns, .. } = image;
        if time_ns > until {
            continue;
        }
        let mut summary = Summary::default();
        let input = recording.read(image).map_err(failed)?;
        if let Err(error) = visit(BufReader::with_capacity(1 << 17, input), &mut summary) {
            let (name, time) = (args.path.display(), human::moment(time_ns));
            progress.clear();
            say(format_args!("{name}: the image of {time} is left out: {error}"));
            continue;
        }
        if time_ns >= since {
            rows.push(row(&summary, before.as_ref()));
        }
        before = Some(summary);
    }
    drop(progress);
    let cells = Cells {
        names: RowNames { list: "images", one: "image" },
        columns: COLUMNS.map(String::from).to_vec(),
        rows,
    };
    cells.write(args.format, &Target::new(args.output.output.as_deref()))
}

/// An image by its totals; what has happened since the one before it, if that is of the same load of
/// the module.
fn row(now: &Summary, before: Option<&Summary>) -> Vec<Cell> {
    let Summary { image, .. } = now;
    let loaded = |of: &Summary| {
        let image = &of.image;
        (image.header.boot_id, image.header.boottime_ns.wrapping_sub(image.status.uptime_ns))
    };
    let before = before.filter(|before| loaded(before) == loaded(now)).map(|before| &before.image);
    let elapsed = before.map_or(0, |b| image.header.boottime_ns - b.header.boottime_ns);
    let rate = |now: u64, then: Option<u64>| match then.and_then(|then| now.checked_sub(then)) {
        Some(bytes) if elapsed > 0 => {
            let rate = u128::from(bytes) * 1_000_000_000 / u128::from(elapsed);
            u64::try_from(rate).map_or(Cell::Unknown, Cell::Integer)
        }
        _ => Cell::Unknown,
    };
    let since = |now: u64, then: Option<u64>| {
        then.and_then(|then| now.checked_sub(then)).map_or(Cell::Unknown, Cell::Integer)
    };
    let (totals, status) = (&image.totals_after, &image.status);
    let then = before.map(|before| (&before.totals_after, &before.status));
    let (sent, received) = (totals.sent.bytes, totals.received.bytes);
    vec![
        Cell::Text(human::moment(image.header.time_ns)),
        Cell::Integer(image.header.time_ns),
        Cell::Integer(now.connections),
        since(status.connections_total, then.map(|(_, status)| status.connections_total)),
        since(status.connections_closed, then.map(|(_, status)| status.connections_closed)),
        Cell::Integer(sent),
        Cell::Integer(received),
        rate(sent, then.map(|(totals, _)| totals.sent.bytes)),
        rate(received, then.map(|(totals, _)| totals.received.bytes)),
        Cell::Integer(image.quality.retransmitted_packets),
        Cell::Integer(image.quality.drops),
        Cell::Integer(status.alerts_raised),
        Cell::Integer(image.quality.losses()),
    ]
}
