// SPDX-License-Identifier: MIT OR Apache-2.0

//! The audit finds what is off by one, and nothing else.

use mutex_stats::Audit;
use mutex_stats::Direction;
use mutex_stats::Error;
use mutex_stats::Image;
use mutex_stats::Report;
use mutex_stats::Totals;
use mutex_stats::Traffic;
use mutex_stats::visit;

use crate::any::balanced;
use crate::any::bytes;

fn audit(image: &Image) -> Report {
    let mut audit = Audit::default();
    visit(bytes(image).as_slice(), &mut audit).expect("the image is whole");
    audit.report().expect("the image is not filtered")
}

fn counter(traffic: &mut Traffic, index: usize) -> &mut u64 {
    let Traffic { packets, buffers, bytes, payload } = traffic;
    [packets, buffers, bytes, payload].into_iter().nth(index).expect("there are four")
}

fn counter_of(totals: &mut Totals, line: usize) -> &mut u64 {
    counter(totals.of_mut(Direction::ALL[line / 4]), line % 4)
}

/// The connection's counter that belongs to a line: the first two lines' are those of connection
/// 3, which an fd owns, the last two those of connection 2, which is forwarded.
fn counter_of_connection(image: &mut Image, line: usize) -> &mut u64 {
    let forwarded = line >= 8;
    let connection = &mut image.connections[if forwarded { 1 } else { 2 }];
    let sent = line / 4 % 2 == 0;
    counter(if sent { &mut connection.sent } else { &mut connection.received }, line % 4)
}

/// The lines that do not hold, with what they miss and what is too much.
fn off(report: &Report) -> Vec<(usize, u128, u128)> {
    let lines = report.lines.iter().enumerate().filter(|(_, line)| !line.holds());
    lines.map(|(index, line)| (index, line.missing(), line.excess())).collect()
}

#[test]
fn books_at_rest_balance() {
    let image = balanced();
    let report = audit(&image);
    assert!(report.balanced() && report.at_rest());
    let names: Vec<_> = report.lines.iter().map(|line| (line.direction, line.counter)).collect();
    assert_eq!(names[0], ("sent", "packets"));
    assert_eq!(names[6], ("received", "bytes"));
    assert_eq!(names[11], ("forwarded_sent", "payload"));
    assert_eq!(names[13], ("forwarded_received", "buffers"));
    for (index, line) in report.lines.iter().enumerate() {
        let mut totals = image.totals_before;
        assert_eq!(line.before, *counter_of(&mut totals, index));
        assert_eq!(line.sum(), u128::from(line.before));
        assert!(line.connections > 0 && line.closed > 0 && line.untracked > 0);
    }
}

#[test]
fn one_too_few_or_too_many_is_found_in_every_line_and_place() {
    type Place = fn(&mut Image, usize) -> &mut u64;
    let places: [Place; 3] = [
        counter_of_connection,
        |image, line| counter_of(&mut image.closed, line),
        |image, line| counter_of(&mut image.untracked[3].totals, line),
    ];
    for line in 0..16 {
        for place in places {
            let mut image = balanced();
            *place(&mut image, line) -= 1;
            let report = audit(&image);
            assert_eq!(off(&report), [(line, 1, 0)]);
            assert!(!report.balanced());

            let mut image = balanced();
            *place(&mut image, line) += 1;
            let report = audit(&image);
            assert_eq!(off(&report), [(line, 0, 1)]);
            assert!(!report.balanced());
        }
        let mut image = balanced();
        *counter_of(&mut image.totals_before, line) += 1;
        assert_eq!(off(&audit(&image)), [(line, 1, 0)]);
        let mut image = balanced();
        *counter_of(&mut image.totals_after, line) -= 1;
        assert_eq!(off(&audit(&image)), [(line, 0, 1)]);
    }
}

#[test]
fn what_passes_during_the_copy_is_between_the_totals() {
    for line in 0..16 {
        let mut image = balanced();
        *counter_of(&mut image.totals_before, line) -= 5;
        *counter_of(&mut image.totals_after, line) += 7;
        let report = audit(&image);
        assert!(report.balanced());
        assert!(!report.at_rest());

        // From one end of the bracket to the other, and one beyond.
        *counter_of(&mut image.closed, line) += 7;
        assert!(audit(&image).balanced());
        *counter_of(&mut image.closed, line) += 1;
        assert_eq!(off(&audit(&image)), [(line, 0, 1)]);
        *counter_of(&mut image.closed, line) -= 13;
        assert!(audit(&image).balanced());
        *counter_of(&mut image.closed, line) -= 1;
        assert_eq!(off(&audit(&image)), [(line, 1, 0)]);
    }
}

#[test]
fn a_packet_in_the_wrong_direction_is_found() {
    let mut image = balanced();
    image.connections[1].flags = 0;
    assert_eq!(off(&audit(&image)).len(), 16);
}

#[test]
fn sums_do_not_wrap_into_place() {
    let mut image = balanced();
    image.closed.sent.bytes = u64::MAX;
    image.untracked[0].totals.sent.bytes += 1 + balanced().closed.sent.bytes;
    assert_eq!(off(&audit(&image)), [(2, 0, 1 << 64)]);
}

#[test]
fn a_connection_is_listed_once() {
    let mut image = balanced();
    // An empty one, so that the sums agree.
    let mut again = image.connections[1];
    (again.sent, again.received) = (Traffic::ZERO, Traffic::ZERO);
    image.connections.extend([again, again]);
    let report = audit(&image);
    assert!(report.lines.iter().all(mutex_stats::Line::holds));
    assert_eq!(report.repeated_connections, [2]);
    assert!(!report.balanced());
}

#[test]
fn alerts_come_one_after_the_other() {
    let mut image = balanced();
    assert!(audit(&image).misplaced_alerts.is_empty());
    image.alerts[1].number = 4;
    assert_eq!(audit(&image).misplaced_alerts, [4]);
    assert!(!audit(&image).balanced());
    image.alerts[1].number = 9;
    assert_eq!(audit(&image).misplaced_alerts, [7]);
    image.alerts[0].number = 0;
    assert_eq!(audit(&image).misplaced_alerts, [0, 7]);
}

#[test]
fn an_fd_has_moved_what_its_connections_have() {
    for index in 0..8 {
        let off_by = |by: i64| {
            let mut image = balanced();
            let fd = &mut image.fds[0];
            let traffic = if index < 4 { &mut fd.sent } else { &mut fd.received };
            let value = counter(traffic, index % 4);
            *value = value.wrapping_add_signed(by);
            audit(&image)
        };
        assert_eq!(off_by(-1).short_fds, [1]);
        assert!(!off_by(-1).balanced());
        // Connections that are no longer listed have moved the rest.
        assert!(off_by(1).balanced());
    }
}

#[test]
fn an_fd_that_is_not_listed_has_nothing_to_answer_for() {
    let mut image = balanced();
    image.fds[0].id = 99;
    assert!(audit(&image).balanced());
}

#[test]
fn a_part_of_the_host_has_no_books() {
    let mut image = balanced();
    image.header.flags = 1;
    let mut audit = Audit::default();
    visit(bytes(&image).as_slice(), &mut audit).expect("the image is whole");
    assert!(matches!(audit.report(), Err(Error::Filtered)));
}
