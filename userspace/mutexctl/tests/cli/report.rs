// SPDX-License-Identifier: MIT OR Apache-2.0

//! The report, read by a parser of XML that forgives nothing.

use mutex_stats::Connection;
use mutex_stats::Direction;
use mutex_stats::Fd;
use mutex_stats::Image;
use mutex_stats::Traffic;
use roxmltree::Document;
use roxmltree::Node;
use roxmltree::ParsingOptions;

use crate::host::Host;
use crate::host::bytes;
use crate::host::failed;
use crate::host::image;

fn parsed(html: &str) -> Document<'_> {
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    Document::parse_with_options(html, options).expect("it is well-formed")
}

fn text(node: Node<'_, '_>) -> String {
    node.descendants().filter_map(|node| node.is_text().then(|| node.text()).flatten()).collect()
}

/// The tables below a heading, each as its rows.
fn tables(document: &Document<'_>, heading: &str) -> Vec<Vec<Vec<String>>> {
    let is_section = |node: &Node<'_, '_>| {
        node.has_tag_name("section")
            && node.children().any(|child| child.has_tag_name("h2") && text(child) == heading)
    };
    let section = document.descendants().find(is_section).expect("there is such a part");
    let rows = |table: Node<'_, '_>| {
        let rows = table.descendants().filter(|node| node.has_tag_name("tr"));
        let cells = |row: Node<'_, '_>| {
            row.children().filter(Node::is_element).map(text).collect::<Vec<_>>()
        };
        rows.map(cells).collect::<Vec<_>>()
    };
    section.descendants().filter(|node| node.has_tag_name("table")).map(rows).collect()
}

/// The numbers in a column of a table.
fn column(table: &[Vec<String>], name: &str) -> Vec<u64> {
    let at = table[0].iter().position(|title| title == name).expect("there is such a column");
    table[1..].iter().map(|row| row[at].parse().expect("it is a number")).collect()
}

/// Many connections of processes that call themselves something else.
fn evil() -> Image {
    let mut image = image();
    let names: [&[u8]; 5] =
        [b"<script>x()", b"</td><b>&amp;", b"\"'><img src=x", b"\xef\xbf\xbe\x00", b"\x1b[31m]]>"];
    for (id, name) in (100..).zip(names) {
        let mut command = [0; 16];
        command[..name.len()].copy_from_slice(name);
        let pid = u32::try_from(id).expect("it is small");
        image.fds.push(Fd { id, pid, command, ..image.fds[1] });
        let connection = Connection { id, fd: id, ..image.connections[1] };
        for each in 0..10 {
            let sent = Traffic { bytes: 1000 + id + each, ..connection.sent };
            image.connections.push(Connection { id: 10 * id + each, sent, ..connection });
        }
    }
    let mut name = [0; 32];
    name[..9].copy_from_slice(b"<script>&");
    image.drops[0].name = name;
    image.alerts[0].command = *b"<script>alert(1)";
    image.totals_before = image.sum();
    image.totals_after = image.sum();
    image
}

#[test]
fn text_is_nothing_but_text() {
    let host = Host::with(&evil());
    let html = host.output(&["report"]);
    let document = parsed(&html);
    let allowed = [
        "html", "head", "meta", "title", "style", "body", "header", "main", "footer", "h1", "h2",
        "p", "section", "div", "span", "strong", "small", "table", "thead", "tbody", "tr", "th",
        "td", "svg", "text", "rect", "line", "polyline",
    ];
    for node in document.descendants().filter(Node::is_element) {
        let name = node.tag_name().name();
        assert!(allowed.contains(&name), "{name}");
        // Nothing is asked of anybody else, and nothing runs.
        for attribute in node.attributes() {
            let name = attribute.name();
            assert!(!name.starts_with("on") && !["src", "href", "style"].contains(&name), "{name}");
        }
    }
    let shown = text(document.root_element());
    for name in ["<script>x()", "</td><b>&amp;", "\"'><img src=x", r"\u{1b}[31m]]>", "<script>&"] {
        assert!(shown.contains(name), "{name}");
    }
    let style =
        document.descendants().find(|node| node.has_tag_name("style")).expect("there is one");
    assert!(!text(style).contains("url(") && !text(style).contains("@import"));
}

#[test]
fn tables_add_up() {
    let image = evil();
    let host = Host::with(&image);
    for top in ["1", "3", "1000"] {
        let html = host.output(&["report", "--top", top]);
        let document = parsed(&html);
        let totals = &tables(&document, "Totals")[0];
        for (direction, lines) in Direction::ALL.into_iter().zip(totals[1..].chunks(4)) {
            let bytes: Vec<u64> =
                lines.iter().map(|line| line[4].parse().expect("it is a number")).collect();
            assert_eq!(bytes[..3].iter().sum::<u64>(), bytes[3]);
            assert_eq!(bytes[3], image.totals_after.of(direction).bytes);
        }
        let all: u64 = image.connections.iter().map(|connection| connection.sent.bytes).sum();
        for list in ["processes", "remotes", "connections"] {
            let table = &tables(&document, &format!("Top talkers: {list}"))[0];
            assert_eq!(column(table, "sent").iter().sum::<u64>(), all, "{list} {top}");
        }
    }
}

#[test]
fn a_recording_has_a_timeline() {
    let host = Host::new();
    let mut image = image();
    for step in 0..3 {
        image.header.time_ns += 10_000_000_000;
        image.header.boottime_ns += 10_000_000_000;
        image.status.uptime_ns += 10_000_000_000;
        image.closed.sent.bytes += 10 * step * 1024;
        image.quality.drops += step;
        image.totals_before = image.sum();
        image.totals_after = image.sum();
        host.write("proc/snapshot", bytes(&image));
        host.run(&["record", "-o", "recording", "--count", "1"]);
    }
    let html = host.output(&["report", "--from", "recording"]);
    let document = parsed(&html);
    let lines: Vec<_> = document
        .descendants()
        .filter(|node| node.has_tag_name("polyline"))
        .filter_map(|node| node.attribute("points"))
        // The signs beside the names.
        .filter(|&points| points != "1,10 25,10")
        .collect();
    // Received, sent, retransmitted, dropped: at two moments what was between them and those before.
    assert_eq!(
        lines,
        [
            "0.0,150.0 720.0,150.0",
            "0.0,75.0 720.0,0.0",
            "0.0,150.0 720.0,150.0",
            "0.0,75.0 720.0,0.0"
        ]
    );
    assert!(text(document.root_element()).contains("2.0 KiB/s"));
    // A reload is a gap, though everything that is counted is more than before.
    let mut anew = image.clone();
    anew.header.time_ns += 20_000_000_000;
    anew.header.boottime_ns += 20_000_000_000;
    anew.status.uptime_ns = 10_000_000_000;
    host.write("proc/snapshot", bytes(&anew));
    host.run(&["record", "-o", "recording", "--count", "1"]);
    let html = host.output(&["report", "--from", "recording"]);
    let document = parsed(&html);
    let dots = document
        .descendants()
        .filter(|node| node.attribute("class").is_some_and(|class| class.ends_with(" dot")));
    assert_eq!(dots.count(), 4, "{html}");
    let later = host.output(&["report", "--from", "recording", "--since", "2026-09-21T14:14:10Z"]);
    assert!(later.contains("one image only"), "{later}");
    let one = host.output(&["report", "--from", "image.bin"]);
    assert!(!one.contains("Timeline") && one.contains("Latency"));
    let sentence = "--since is for recordings: name one with --from; see `mutexctl --help`";
    assert_eq!(host.run(&["report", "--since", "0"]), failed(2, sentence));
}

#[test]
fn a_host_without_traffic_has_a_report() {
    let host = Host::with(&Image::default());
    let html = host.output(&["report"]);
    assert!(text(parsed(&html).root_element()).contains("Nobody."));
    host.output(&["report", "-o", "report.html"]);
    assert_eq!(host.read("report.html"), html.as_bytes());
}
