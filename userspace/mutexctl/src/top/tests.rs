// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is on the screen of a host that has a bit of everything. `expected/` is for people to
//! review.

#[expect(dead_code, reason = "the tests of the tool as a program need more of it")]
#[path = "../../tests/cli/terminal.rs"]
mod terminal;

use std::process::Command;
use std::thread;

use mutex_stats::Alert;
use mutex_stats::Connection;
use mutex_stats::Direction;
use mutex_stats::Fd;
use mutex_stats::Header;
use mutex_stats::Image;
use mutex_stats::Latency;
use mutex_stats::LatencyBuckets;
use mutex_stats::Quality;
use mutex_stats::Status;
use mutex_stats::Totals;
use mutex_stats::Traffic;
use mutex_stats::visit;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Cell;
use ratatui::crossterm::event::KeyCode;
use ratatui::crossterm::event::KeyEvent;
use ratatui::crossterm::event::KeyModifiers;
use ratatui::style::Color;

use super::draw::draw;
use super::input;
use super::input::Wish;
use super::sample::Sample;
use super::screen::Screen;
use super::state::State;
use super::theme::Theme;
use super::view::Column;
use super::view::View;

const SECOND: u64 = 1_000_000_000;
const NOW: u64 = 1_790_000_000 * SECOND;

fn v4(address: [u8; 4]) -> [u8; 16] {
    let mut mapped = [0; 16];
    mapped[10..12].copy_from_slice(&[0xff, 0xff]);
    mapped[12..].copy_from_slice(&address);
    mapped
}

fn traffic(bytes: u64) -> Traffic {
    Traffic { packets: bytes / 1000 + 1, buffers: bytes / 4000 + 1, bytes, payload: bytes / 2 }
}

fn quality(number: u64) -> Quality {
    Quality {
        latency: Latency {
            samples: number * 10,
            last_ns: number * 1_100_000,
            average_ns: number * 1_200_000,
            min_ns: number * 900_000,
            max_ns: number * 9_000_000,
            p50_ns: number * 1_062_500,
            p95_ns: number * 7_000_000,
            p99_ns: number * 8_000_000,
        },
        retransmitted_packets: number / 3,
        drops: number / 4,
        rate_in: number * number * 10_000,
        rate_out: 2_000_000 / (number + 1),
        peak_in: number * 1_000_000,
        peak_out: 3_000_000,
        ..Quality::default()
    }
}

fn connection(id: u64) -> Connection {
    let last = u8::try_from(id % 200).unwrap_or(0);
    Connection {
        id,
        fd: if id % 5 == 4 { 0 } else { 100 + id },
        first_seen_ns: NOW - id * 100 * SECOND,
        last_seen_ns: NOW - id,
        closed_ns: if id % 6 == 5 { NOW - SECOND } else { 0 },
        local_address: v4([192, 0, 2, 1]),
        remote_address: v4([198, 51, 100, last / 3]),
        local_port: 40_000 + u16::from(last),
        remote_port: if id % 2 == 0 { 443 } else { 53 },
        netns: 4_026_531_840,
        uid: 1000,
        family: 4,
        protocol: if id % 2 == 0 { 6 } else { 17 },
        state: if id % 2 == 0 { 1 } else { 17 },
        flags: u32::from(id == 8),
        sent: traffic(id * 1_000_000),
        received: traffic(id * id * 123_456),
        quality: quality(id),
        ..Connection::default()
    }
}

fn fd(connection: &Connection) -> Fd {
    let mut command = [0; 16];
    let name: &[u8] = if connection.id % 3 == 0 { b"nginx" } else { b"a \x1b[2Jresolver" };
    command[..name.len()].copy_from_slice(name);
    Fd {
        id: connection.fd,
        inode: 5000 + connection.id,
        first_seen_ns: connection.first_seen_ns,
        closed_ns: connection.closed_ns,
        pid: if connection.id % 3 == 0 { 33 } else { 44 },
        uid: 1000,
        netns: connection.netns,
        family: 4,
        protocol: connection.protocol,
        command,
        active_connections: u64::from(connection.closed_ns == 0),
        total_connections: 2,
        sent: connection.sent,
        received: connection.received,
        quality: connection.quality,
        ..Fd::default()
    }
}

fn alert(number: u64, of: &Connection) -> Alert {
    Alert {
        number,
        time_ns: NOW - number * SECOND,
        subject: of.id,
        threshold: 20_000_000,
        value: 35_000_000,
        local_address: of.local_address,
        remote_address: of.remote_address,
        local_port: of.local_port,
        remote_port: of.remote_port,
        netns: of.netns,
        pid: 33,
        severity: u8::try_from(number % 4).unwrap_or(0),
        family: 4,
        protocol: of.protocol,
        ..Alert::default()
    }
}

/// An image of so many connections. Its books balance, at rest.
fn image(connections: u64) -> Image {
    let connections: Vec<_> = (1..=connections).map(connection).collect();
    let fds: Vec<_> = connections.iter().filter(|one| one.fd != 0).map(fd).collect();
    let octaves = |one: &Connection| {
        [10, 11, 13].map(|octave| LatencyBuckets {
            id: one.id,
            scope: 0,
            octave,
            samples: [one.id, u64::from(octave), 0, 0, 1, 0, 0, 0],
        })
    };
    let mut image = Image {
        header: Header {
            time_ns: NOW,
            loaded_ns: NOW - 3600 * SECOND,
            netns: 4_026_531_840,
            ..Header::default()
        },
        status: Status {
            connections_active: connections.len() as u64,
            fds_active: fds.len() as u64,
            ..Status::default()
        },
        latency: connections.iter().flat_map(octaves).collect(),
        alerts: connections.iter().take(6).map(|one| alert(one.id, one)).collect(),
        quality: quality(30).into(),
        closed: Totals { sent: traffic(777), received: traffic(8_888), ..Totals::ZERO },
        connections,
        fds,
        ..Image::default()
    };
    *image.untracked[2].totals.of_mut(Direction::Received) = traffic(99);
    image.totals_before = image.sum();
    image.totals_after = image.sum();
    image
}

fn sample(image: Image) -> Sample {
    let mut sample = Sample::default();
    let read = sample.read(|into| {
        *into = image;
        Ok::<(), ()>(())
    });
    read.expect("nothing fails");
    sample
}

/// A screen and who sits before it.
struct Seat {
    state: State,
    terminal: Terminal<TestBackend>,
    theme: Theme,
}

impl Seat {
    fn new(width: u16, height: u16) -> Self {
        let state = State::new(sample(image(12)), View::Connections);
        let terminal = Terminal::new(TestBackend::new(width, height)).expect("it is in memory");
        let mut seat = Seat { state, terminal, theme: Theme { has_colors: false } };
        seat.look();
        seat
    }

    fn press(&mut self, code: KeyCode) -> Wish {
        let wish = input::key(&mut self.state, KeyEvent::new(code, KeyModifiers::NONE));
        self.look();
        wish
    }

    fn typed(&mut self, text: &str) {
        for character in text.chars() {
            self.press(KeyCode::Char(character));
        }
    }

    /// The next image, in which everything has gone on.
    fn next(&mut self) {
        let mut next = image(12);
        next.quality.rate_in *= 2;
        for connection in &mut next.connections {
            connection.quality.rate_in /= 2;
        }
        self.state.take(sample(next));
        self.look();
    }

    /// What is on the screen, without spaces at the ends of lines.
    fn look(&mut self) -> String {
        let frame = self.terminal.draw(|frame| draw(frame, &mut self.state, self.theme));
        let buffer = frame.expect("it is in memory").buffer;
        let width = usize::from(buffer.area.width);
        let mut text = String::new();
        for line in buffer.content.chunks(width) {
            let line: String = line.iter().map(Cell::symbol).collect();
            text.extend([line.trim_end(), "\n"]);
        }
        text
    }

    /// Compares the screen with the reviewed one; keeps the one that there is if they differ.
    fn shows(&mut self, name: &str, expected: &str) {
        let screen = self.look();
        if screen != expected {
            let path = std::env::temp_dir().join(format!("mutexctl-top-{name}.txt"));
            std::fs::write(&path, &screen).expect("there is room");
            panic!("{name} is another one, kept as {}:\n{screen}", path.display());
        }
    }
}

#[test]
fn each_view_is_as_reviewed() {
    let mut seat = Seat::new(80, 24);
    seat.next();
    seat.next();
    seat.shows("connections", include_str!("expected/connections.txt"));
    for (key, name, expected) in [
        ('2', "fds", include_str!("expected/fds.txt")),
        ('3', "processes", include_str!("expected/processes.txt")),
        ('4', "remotes", include_str!("expected/remotes.txt")),
        ('5', "alerts", include_str!("expected/alerts.txt")),
    ] {
        seat.press(KeyCode::Char(key));
        seat.shows(name, expected);
    }
    seat.press(KeyCode::Enter);
    seat.shows("alert", include_str!("expected/alert.txt"));
    seat.press(KeyCode::Char('?'));
    seat.shows("help", include_str!("expected/help.txt"));
}

#[test]
fn details_and_filters_are_as_reviewed() {
    let mut seat = Seat::new(80, 24);
    seat.next();
    seat.press(KeyCode::Down);
    seat.press(KeyCode::Enter);
    seat.shows("detail", include_str!("expected/detail.txt"));
    seat.press(KeyCode::Esc);
    seat.typed("/port=443 sent_bytes>=5x");
    seat.shows("wrong-filter", include_str!("expected/wrong-filter.txt"));
    seat.press(KeyCode::Backspace);
    seat.press(KeyCode::Enter);
    seat.typed("cbp");
    seat.shows("filter", include_str!("expected/filter.txt"));

    let mut wide = Seat::new(160, 40);
    wide.next();
    wide.typed("3");
    wide.press(KeyCode::Enter);
    wide.shows("wide", include_str!("expected/wide.txt"));
}

#[test]
fn parts_add_up_whatever_is_listed() {
    let mut seat = Seat::new(80, 24);
    let host = seat.state.sample.image.totals_after;
    for (view, filter) in
        [("1", "port=53"), ("2", "pid=33"), ("3", "command=nginx"), ("4", "uid=7")]
    {
        seat.typed(view);
        for keys in ["", "c", "/", filter] {
            seat.typed(keys);
            let listing = &seat.state.listing;
            let mut sum = listing.listed;
            sum.add(&listing.other);
            sum.add(&listing.untracked);
            sum.add(&seat.state.sample.image.closed);
            assert_eq!(
                sum.fields().map(|(_, t)| t.fields()),
                host.fields().map(|(_, t)| t.fields())
            );
            assert_eq!(seat.state.sample.is_balanced(&listing.sum), Some(true), "{view} {keys}");
        }
        seat.press(KeyCode::Enter);
        seat.typed("c");
    }
    // Of a row's bytes each is listed, and no other.
    seat.typed("1\\/connection=7");
    let seven = connection(7);
    assert_eq!(seat.state.listing.listed.sent.bytes, seven.sent.bytes);
    assert_eq!(seat.state.listing.listed.received.bytes, seven.received.bytes);
    assert_eq!(seat.state.listing.len(), 1);
}

#[test]
fn books_that_do_not_balance_are_shown() {
    let mut seat = Seat::new(80, 24);
    assert!(seat.look().contains(" total = host") && !seat.look().contains("NOT"));
    let mut image = image(12);
    image.closed.sent.payload += 1;
    seat.state.take(sample(image));
    let screen = seat.look();
    assert!(
        screen.contains("NOT BALANCED: see `mutexctl audit`") && screen.contains(" total ≠ host")
    );
    let mut image = self::image(12);
    image.header.flags = 1;
    image.closed.sent.payload += 1;
    seat.state.take(sample(image));
    let screen = seat.look();
    assert!(screen.contains("this namespace's connections only") && !screen.contains("host"));
}

#[test]
fn every_column_can_order_its_view() {
    let mut seat = Seat::new(80, 24);
    for (key, view) in ('1'..).zip(View::ALL) {
        seat.press(KeyCode::Char(key));
        let columns = view.columns().iter().filter(|column| column.is_order());
        for _ in columns {
            for _ in 0..2 {
                seat.press(KeyCode::Char('r'));
                let order = seat.state.look().order;
                let rows = (0..seat.state.listing.len())
                    .filter_map(|number| seat.state.listing.row(&seat.state.sample, view, number));
                let keys: Vec<u128> = rows.map(|row| row.key(order.column)).collect();
                let is_descending = order.column.is_quantity() != order.is_reversed;
                let is_sorted =
                    if is_descending { keys.is_sorted_by(|a, b| a >= b) } else { keys.is_sorted() };
                assert!(is_sorted && !keys.is_empty(), "{view:?} by {:?}", order.column);
            }
            seat.press(KeyCode::Right);
        }
        // Once around.
        assert_eq!(seat.state.look().order.column, view.first_order());
    }
}

#[test]
fn the_cursor_stays_on_its_row() {
    let mut seat = Seat::new(80, 24);
    seat.press(KeyCode::Down);
    seat.press(KeyCode::Down);
    let id = seat.state.row().map(|row| row.id());
    seat.press(KeyCode::Char('r'));
    assert_eq!(seat.state.row().map(|row| row.id()), id);
    seat.press(KeyCode::Right);
    assert_eq!(seat.state.row().map(|row| row.id()), id);
    // Unless it goes.
    let mut image = image(12);
    image.connections.retain(|connection| Some(u128::from(connection.id)) != id);
    seat.state.take(sample(image));
    assert_ne!(seat.state.row().map(|row| row.id()), id);
    seat.press(KeyCode::End);
    assert_eq!(seat.state.look().cursor, seat.state.listing.len() - 1);
    seat.press(KeyCode::Home);
    assert_eq!(seat.state.look().cursor, 0);
}

#[test]
fn another_boot_begins_anew() {
    let mut seat = Seat::new(80, 24);
    seat.next();
    assert_eq!(seat.state.histories.host.inward().len(), 2);
    let mut image = image(12);
    // The clock may be set: that is nothing.
    image.header.loaded_ns += SECOND;
    seat.state.take(sample(image.clone()));
    assert_eq!(seat.state.histories.host.inward().len(), 3);
    image.header.boottime_ns += SECOND;
    seat.state.take(sample(image));
    assert_eq!(seat.state.histories.host.inward().len(), 1);
}

#[test]
fn any_size_will_do() {
    for (width, height) in [(1, 1), (39, 24), (80, 9), (40, 10), (41, 11), (80, 24), (300, 90)] {
        let mut seat = Seat::new(width, height);
        for keys in ["1d", "2", "3c", "4b", "5", "?", "x/drops>", "\\"] {
            seat.typed(keys);
            seat.press(KeyCode::PageDown);
        }
        seat.state.take(sample(Image::default()));
        seat.typed("12345");
    }
}

#[test]
fn colors_are_only_where_they_are_wanted() {
    for has_colors in [false, true] {
        let mut seat = Seat::new(80, 24);
        seat.theme = Theme { has_colors };
        seat.typed("5");
        let buffer = seat.terminal.backend().buffer().clone();
        let is_plain =
            buffer.content.iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset);
        assert_eq!(is_plain, !has_colors);
        // The same words are there.
        assert!(seat.look().contains("warning"));
    }
}

#[test]
fn keys_that_end_and_keys_that_ask() {
    let mut seat = Seat::new(80, 24);
    let control = |seat: &mut Seat, character| {
        let key = KeyEvent::new(KeyCode::Char(character), KeyModifiers::CONTROL);
        input::key(&mut seat.state, key)
    };
    assert_eq!(seat.press(KeyCode::Char('q')), Wish::Quit);
    assert_eq!(control(&mut seat, 'c'), Wish::Quit);
    assert_eq!(control(&mut seat, 'z'), Wish::Suspend);
    assert_eq!(seat.press(KeyCode::Char('u')), Wish::Refresh);
    assert_eq!(seat.press(KeyCode::Char(']')), Wish::Step(1));
    assert_eq!(seat.press(KeyCode::Char('p')), Wish::Nothing);
    assert_eq!(seat.press(KeyCode::Char('p')), Wish::Refresh);
    // While a filter is written they are letters, but for the one that always ends.
    seat.typed("/");
    assert_eq!(seat.press(KeyCode::Char('q')), Wish::Nothing);
    assert_eq!(seat.state.look().filter.text, "q");
    assert_eq!(control(&mut seat, 'c'), Wish::Quit);
}

/// This test's program in a terminal, where it panics.
#[test]
fn a_panic_leaves_the_terminal_whole() {
    for thread in ["the first", "another"] {
        let mut command = Command::new(std::env::current_exe().expect("there is one"));
        command.args(["--exact", "top::tests::panics", "--ignored", "--nocapture"]);
        command.env("PANICKING_THREAD", thread);
        let mut terminal = terminal::Terminal::run(&command);
        let status = terminal.end();
        assert_eq!(status.code(), Some(101), "{}", terminal.text());
        terminal.is_whole();
        assert!(terminal.text().contains("this had to happen"), "{}", terminal.text());
    }
}

/// Not a test of its own.
#[test]
#[ignore = "ends the program that it is in"]
fn panics() {
    let Ok(thread) = std::env::var("PANICKING_THREAD") else { return };
    let mut screen = Screen::take().expect("there is a terminal");
    let mut state = State::new(sample(image(3)), View::Connections);
    screen.draw(&mut state, Theme { has_colors: true }).expect("there is a terminal");
    let panic = || panic!("this had to happen");
    if thread == "another" {
        let _ = thread::spawn(panic).join();
    } else {
        panic();
    }
}

/// What a refresh of a hundred thousand connections costs, each view by itself:
/// `cargo test --release -p mutexctl -- --ignored --nocapture a_refresh_of_many`.
#[test]
#[ignore = "prints a figure, which means something in a release build on a quiet machine"]
fn a_refresh_of_many() {
    let mut bytes = Vec::new();
    image(100_000).write(&mut bytes).expect("a vector takes everything");
    let mut seat = Seat::new(120, 50);
    let cpu = || {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000
            + u64::try_from(time.tv_nsec).unwrap_or(0) / 1000
    };
    let mut spare = Sample::default();
    for (filter, detail) in [("", ""), ("port=443 drops>=1", "d")] {
        seat.typed(detail);
        for view in View::ALL {
            seat.state.show(view);
            if view.filtered() == mutex_stats::Filtered::Connections && !filter.is_empty() {
                seat.typed("\\/");
                seat.typed(filter);
                seat.press(KeyCode::Enter);
            }
            let mut best = [u64::MAX; 3];
            for _ in 0..7 {
                let start = cpu();
                spare.read(|image| visit(bytes.as_slice(), image).map(drop)).expect("it is whole");
                let read = cpu();
                spare = seat.state.take(spare);
                let arranged = cpu();
                seat.look();
                let drawn = cpu();
                for (best, took) in
                    best.iter_mut().zip([read - start, arranged - read, drawn - arranged])
                {
                    *best = took.min(*best);
                }
            }
            println!(
                "{:<12} filter {filter:?} {detail}: read {} us, arranged {} us, drawn {} us, all {} us",
                view.name(),
                best[0],
                best[1],
                best[2],
                best.iter().sum::<u64>()
            );
        }
    }
    assert_eq!(seat.state.look().order.column, Column::Number);
}
