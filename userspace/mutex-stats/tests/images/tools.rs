// SPDX-License-Identifier: MIT OR Apache-2.0

//! Selecting, adding up and comparing what images hold.

use mutex_stats::Aggregate;
use mutex_stats::Connection;
use mutex_stats::Diff;
use mutex_stats::Direction;
use mutex_stats::Error;
use mutex_stats::Fd;
use mutex_stats::Filter;
use mutex_stats::Filtered;
use mutex_stats::Group;
use mutex_stats::Image;
use mutex_stats::Key;
use mutex_stats::Of;
use mutex_stats::Selection;
use mutex_stats::Sort;
use mutex_stats::Totals;
use mutex_stats::Traffic;
use mutex_stats::visit;
use proptest::prelude::*;

use crate::any::any_image;
use crate::any::balanced;
use crate::any::bytes;

fn select(image: &Image, selection: Selection) -> Selection {
    let mut selection = selection;
    visit(bytes(image).as_slice(), &mut selection).expect("the image is whole");
    selection
}

fn connections(image: &Image, filter: &str) -> Vec<u64> {
    let filter = Filter::parse(filter, Filtered::Connections).expect("it is a filter");
    let selection = select(image, Selection::connections(filter, None));
    selection.into_connections(None, None).iter().map(|owned| owned.connection.id).collect()
}

/// Three connections of two processes, in no order.
fn owned_image() -> Image {
    let connection = |id, fd, bytes| Connection {
        id,
        fd,
        family: 4,
        protocol: 6,
        local_port: 50_000,
        remote_port: 443,
        sent: Traffic { packets: 1, buffers: 1, bytes, payload: bytes - 40 },
        ..Connection::default()
    };
    let fd = |id, pid, name: &[u8]| {
        let mut fd = Fd { id, pid, inode: 100 + id, ..Fd::default() };
        fd.command[..name.len()].copy_from_slice(name);
        fd
    };
    Image {
        connections: vec![connection(3, 7, 100), connection(1, 7, 300), connection(2, 8, 200)],
        fds: vec![fd(8, 20, b"ssh"), fd(7, 10, b"curl"), fd(9, 30, b"idle")],
        ..Image::default()
    }
}

#[test]
fn connections_are_selected_by_themselves_and_by_their_owners() {
    let image = owned_image();
    assert_eq!(connections(&image, ""), [1, 2, 3]);
    assert_eq!(connections(&image, "sent_bytes>=200"), [1, 2]);
    assert_eq!(connections(&image, "command=curl"), [1, 3]);
    assert_eq!(connections(&image, "pid=20 sent_bytes<=200"), [2]);
    assert!(connections(&image, "inode=109").is_empty());

    let sort = Sort::named("sent_bytes").expect("it is a column");
    let selection = select(&image, Selection::connections(Filter::default(), None));
    let top = selection.into_connections(Some(&sort), Some(2));
    let shown = top.iter().map(|owned| (owned.connection.id, owned.owner.as_ref().map(|o| o.pid)));
    assert_eq!(shown.collect::<Vec<_>>(), [(1, Some(10)), (2, Some(20))]);

    // However few are kept on the way, they are the first of all.
    let one = image.connections[0];
    let connections = (1..5_000u64).map(|id| Connection {
        id: (id * 2_654_435_761) % 100_000_007,
        sent: Traffic { bytes: id % 7, ..Traffic::ZERO },
        ..one
    });
    let many = Image { connections: connections.collect(), ..image.clone() };
    for sort in [None, Some(&sort)] {
        let all = || Selection::connections(Filter::default(), None);
        let some = select(&many, all().first(sort, Some(20))).into_connections(sort, Some(20));
        let mut every = select(&many, all()).into_connections(sort, None);
        every.truncate(20);
        assert_eq!(some, every);
    }

    let filter = Filter::parse("pid>=20", Filtered::Fds).expect("it is a filter");
    let fds = select(&image, Selection::fds(filter, None)).into_fds(None, None);
    assert_eq!(fds.iter().map(|held| held.fd.id).collect::<Vec<_>>(), [8, 9]);
}

fn groups(image: &Image, keys: &str) -> (Vec<Group>, Totals) {
    let mut selection = select(image, Selection::connections(Filter::default(), None));
    let mut aggregate = Aggregate::by(&Key::list(keys).expect("they are keys"));
    aggregate.closed(selection.closed(), 0);
    selection.untracked().iter().for_each(|untracked| aggregate.untracked(untracked));
    selection = select(image, Selection::connections(Filter::default(), None));
    selection.into_connections(None, None).iter().for_each(|owned| aggregate.add(owned));
    let sum = aggregate.sum();
    (aggregate.into_groups(), sum)
}

#[test]
fn groups_are_named_and_come_largest_first() {
    let named = |keys: &str| -> Vec<String> {
        let name = |group: &Group| match &group.of {
            Of::Connections(cells) => {
                cells.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
            }
            of => format!("{of:?}"),
        };
        groups(&owned_image(), keys).0.iter().map(name).collect()
    };
    assert_eq!(named("comm,pid"), ["curl 10", "ssh 20", "Closed"]);
    assert_eq!(named("port,protocol"), ["443 tcp", "Closed"]);
    assert_eq!(named("cgroup"), ["-", "Closed"]);
    let error = Key::list("pid,name").expect_err("there is none").to_string();
    assert!(error.starts_with("there is no field `name`; there are pid, command, "), "{error}");
}

proptest! {
    #[test]
    fn groups_add_up_to_the_image_whatever_the_keys(
        image in any_image(),
        keys in proptest::sample::subsequence(Key::ALL.to_vec(), 0..4),
    ) {
        let keys: Vec<_> = keys.into_iter().map(Key::name).collect();
        let keys = if keys.is_empty() { "pid".to_owned() } else { keys.join(",") };
        // Rates and counters of any bytes at all overflow; sums of traffic wrap as the image's do.
        let mut image = image;
        for connection in &mut image.connections {
            connection.quality = mutex_stats::Quality::default();
        }
        let (groups, sum) = groups(&image, &keys);
        prop_assert_eq!(sum, image.sum());
        let listed = groups.iter().filter(|group| matches!(group.of, Of::Connections(_)));
        let count: u64 = listed.map(|group| group.connections).sum();
        prop_assert_eq!(count, image.connections.len() as u64);
    }
}

/// What the host moved between the two, from totals alone.
fn moved(before: &Image, after: &Image) -> Totals {
    let mut moved = after.totals_after;
    moved.subtract(&before.totals_after);
    moved
}

/// An image, and a later one: the first connection goes on, the second has closed, one is new, and
/// one was new and has closed.
fn two_images() -> [Image; 2] {
    let before = Image {
        header: mutex_stats::Header { boottime_ns: 50_000_000_000, ..Default::default() },
        status: mutex_stats::Status { uptime_ns: 40_000_000_000, ..Default::default() },
        ..balanced()
    };
    let mut after = before.clone();
    after.header.boottime_ns += 2_000_000_000;
    after.status.uptime_ns += 2_000_000_000;
    after.status.connections_total += 2;
    after.status.connections_closed += 2;
    let gone = after.connections.remove(1);
    let one = Traffic { packets: 1, buffers: 1, bytes: 100, payload: 60 };
    let mut both_ways = |sent: Direction, received: Direction, was: &Connection| {
        for (direction, traffic) in [(sent, &was.sent), (received, &was.received)] {
            after.closed.of_mut(direction).add(traffic);
            after.closed.of_mut(direction).add(&one);
        }
    };
    both_ways(Direction::ForwardedSent, Direction::ForwardedReceived, &gone);
    both_ways(Direction::Sent, Direction::Received, &Connection::default());
    after.connections[0].sent.add(&one);
    after.connections.push(Connection { id: 90, received: one, ..Connection::default() });
    after.untracked[0].totals.of_mut(Direction::Sent).add(&one);
    after.totals_before = after.sum();
    after.totals_after = after.sum();
    [before, after]
}

#[test]
fn a_difference_is_what_the_host_moved() {
    let [before, after] = two_images();
    let diff = Diff::between(&before, &after).expect("they can be compared");
    assert_eq!(diff.elapsed_ns, 2_000_000_000);
    assert_eq!(diff.totals, moved(&before, &after));
    let mut sum = diff.closed;
    sum.add(&diff.untracked);
    for change in &diff.connections {
        let [sent, received] = if change.connection.flags & 1 == 0 {
            [Direction::Sent, Direction::Received]
        } else {
            [Direction::ForwardedSent, Direction::ForwardedReceived]
        };
        sum.of_mut(sent).add(&change.sent);
        sum.of_mut(received).add(&change.received);
    }
    assert_eq!(sum, diff.totals);
    assert_eq!((diff.connections_opened, diff.connections_ended, diff.gone), (2, 2, 1));
    let shown = diff.connections.iter().map(|c| (c.connection.id, c.is_new, c.sent.bytes));
    assert_eq!(shown.collect::<Vec<_>>(), [(1, false, 100), (3, false, 0), (90, true, 0)]);
    assert_eq!(diff.closed.of(Direction::ForwardedSent).bytes, 100);
    assert_eq!(diff.rate(diff.totals.of(Direction::Sent).bytes), 150);
}

#[test]
fn what_cannot_be_compared_is_said() {
    let error = |change: fn(&mut [Image; 2])| {
        let mut images = two_images();
        change(&mut images);
        let error = Diff::between(&images[0], &images[1]).expect_err("they cannot");
        assert!(matches!(error, Error::Incomparable(_)));
        error.to_string()
    };
    let reload = "the module was loaded anew in between";
    assert!(error(|[_, after]| after.header.boot_id[0] ^= 1).contains("of two boots"));
    assert!(error(|[_, after]| after.status.uptime_ns = 5).ends_with(reload));
    assert!(
        error(|images| images.reverse()).ends_with("the first one is not older than the second")
    );
    assert!(error(|[before, after]| *after = before.clone()).contains("not older"));
    assert_eq!(
        error(|[_, after]| after.connections[0].sent.bytes = 1),
        "the two cannot be compared: less is counted in the later one: sent of connection 1"
    );
    assert!(error(|[_, after]| after.closed.sent.bytes = 1).ends_with("closed"));
}
