# SPDX-License-Identifier: MIT OR Apache-2.0
"""/proc/mutex/alerts: each kind about each scope, once, with the right numbers.

Bursts of known size are sent inside one of MUTEX's seconds, so that rates are known exactly.
"""

import os
import time

from lib import check, events, module, traffic, wire
from lib.alerts import burst, configure, one_second, patiently, quiet, Reader, rule, UDP, wait_second, World
from lib.image import SCOPES


def one_alert(title, found, scope, kind, subject, threshold, severity, right):
    """There is one of that kind, and all of it is right; `right` judges the value."""
    about = [row for row in found if row["subject"] == str(subject)]
    if not check.equal(f"{title}: one alert", len(about), 1):
        check.note(found)
        return
    row, = about
    check.equal(f"{title}: scope, kind, threshold, severity",
                (row["scope"], row["kind"], row["threshold"], row["severity"]), (scope, kind, str(threshold), severity))
    check.that(f"{title}: value", right(int(row["value"])), row["value"])


def kinds(world):
    check.part("each kind about each scope")
    severities = {"connection": "info", "fd": "error", "global": "critical"}
    for kind, make in (("latency", latency), ("bandwidth_out", bandwidth_out), ("bandwidth_in", bandwidth_in),
                       ("error_rate", error_rate), ("drop_rate", drop_rate), ("retransmission_rate", retransmission)):
        for scope in SCOPES:
            one_kind(world, kind, make, scope, severities[scope])


def one_kind(world, kind, make, scope, severity):
    title = f"{kind} of {scope}"
    readers = []

    def attempt():
        readers.append(Reader())
        return make(world, scope, lambda threshold: rule(scope, kind, threshold, severity))

    def undo():
        configure(**{f"alert_{scope}_{kind}": 0})
        readers.pop().close()
        quiet()

    threshold, subject, right = patiently(attempt, undo)
    reader, = readers
    found = reader.until(subject)
    one_alert(title, found, scope, kind, subject, threshold, severity, right)
    wrong = [row for row in found if (row["scope"], row["kind"]) != (scope, kind)]
    check.equal(f"{title}: no others", wrong, [])
    configure(**{f"alert_{scope}_{kind}": 0})
    reader.close()


def subject_of(world, scope, key, host=None):
    c = world.connection(key, host)
    return {"connection": c.id, "fd": c.fd, "global": 0}[scope]


def latency(world, scope, set_rule):
    """An answer after 30 ms of the link's and what the program measured."""
    delay = 0.03
    world.b.sh("tc", "qdisc", "add", "dev", "vb", "root", "netem", "delay", "30ms")
    one = world.socket(world.a)
    one.connect(("10.0.0.2", 9000))
    # The host's is the mean of this sample and of the answering socket's own.
    least, threshold = (delay / 2, 10_000_000) if scope == "global" else (delay, 20_000_000)
    time.sleep(1.2)
    set_rule(threshold)
    began = time.monotonic()
    one.send(b"question")
    while world.sink.recvfrom(2000)[1] != one.getsockname():
        pass
    world.sink.sendto(b"answer", one.getsockname())
    one.recv(100)
    took = time.monotonic() - began
    subject = subject_of(world, scope, traffic.ends(one))
    world.b.sh("tc", "qdisc", "del", "dev", "vb", "root")
    return threshold, subject, lambda value: least * 1e9 * 0.99 <= value <= took * 1e9


def near(total, scope):
    """The host's window is a second of its own: its rate is of that, more or less, or of a part."""
    if scope == "global":
        return lambda value: total * 0.3 <= value <= total * 1.15
    return lambda value: value == total


def bandwidth_out(world, scope, set_rule):
    set_rule(5000)
    one, key = burst(world, 50, 1000)
    return 5000, subject_of(world, scope, key), near(50 * 1028, scope)


def bandwidth_in(world, scope, set_rule):
    if scope == "global":
        set_rule(6000)
        one, key = burst(world, 40, 1200)
        return 6000, 0, near(40 * 1228, scope)
    # Of the answering side, on a socket of its own.
    one, two = world.socket(world.a), world.socket(world.b)
    two.connect(one.getsockname())
    two.send(b"first")
    time.sleep(1.2)
    set_rule(6000)
    with one_second():
        for _ in range(40):
            one.sendto(bytes(1200), two.getsockname())
        for _ in range(40):
            two.recv(2000)
    return 6000, subject_of(world, scope, traffic.ends(two), world.b), near(40 * 1228, scope)


def error_rate(world, scope, set_rule):
    """All datagrams go to a closed port."""
    one = world.socket(world.a)
    key = (UDP, *one.getsockname(), "10.0.0.2", 9999)
    set_rule(100)
    answered = wire.counters(world.a)["IcmpInDestUnreachs"] + 30
    with one_second():
        for _ in range(30):
            one.sendto(b"x", ("10.0.0.2", 9999))
        traffic.wait_for(lambda: wire.counters(world.a)["IcmpInDestUnreachs"] >= answered, every=0.01)
    # Each is answered by an ICMP error. The host has 30 of them for 4 times 30 packets.
    right = (lambda value: 1000 <= value <= 10_000) if scope == "global" else (lambda value: value == 10_000)
    return 100, subject_of(world, scope, key), right


def drop_rate(world, scope, set_rule):
    """b loses one of three."""
    one, two = world.socket(world.a), world.socket(world.b)
    two.connect(one.getsockname())
    two.send(b"first")
    one.recv(10)
    # A direction that falls silent ends its second at a sweep; before, this packet would count, too.
    time.sleep(3.3)
    world.drop(f"udp dport {two.getsockname()[1]} numgen inc mod 3 1 drop")
    set_rule(50)
    try:
        with one_second():
            for _ in range(60):
                one.sendto(b"x", two.getsockname())
            for _ in range(40):
                two.recv(10)
    finally:
        world.keep()
    # 20 dropped, 40 counted; of the host 60 more were sent.
    right = (lambda value: 1000 <= value <= 5000) if scope == "global" else (lambda value: value == 5000)
    return 50, subject_of(world, scope, traffic.ends(two), world.b), right


def retransmission(world, scope, set_rule):
    listener = traffic.tcp_listener(world.b, "10.0.0.2")
    near_end = traffic.tcp_connect(world.a, *listener.getsockname())
    far, _ = listener.accept()
    time.sleep(1.2)
    configure(alert_minimum_packets=1)
    world.drop("meta l4proto tcp drop")
    set_rule(1)
    wait_second()
    near_end.sendall(b"lost")
    time.sleep(1.5)
    world.keep()
    far.recv(10)
    configure(alert_minimum_packets=20)
    subject = subject_of(world, scope, traffic.ends(near_end))
    world.held = [near_end, far, listener]
    # Those lost again and again, of themselves and of few others in that second.
    packets = range(1, 16 if scope == "global" else 3)
    return 1, subject, lambda value: value in {k * 10_000 // (k + n) for k in range(1, 9) for n in (0, *packets)}


def owner(world):
    check.part("whom it names")
    reader = Reader()

    def attempt():
        rule("connection", "bandwidth_out", 1000)
        rule("fd", "bandwidth_out", 1000)
        return burst(world, 20, 500)

    def undo():
        configure(alert_connection_bandwidth_out=0, alert_fd_bandwidth_out=0)
        quiet()
        reader.more()

    _, key = patiently(attempt, undo)
    found = reader.some() + reader.during(1.3)
    c = world.connection(key)
    names = {(row["scope"], row["subject"], row["pid"], row["command"], row["netns"], row["protocol"]) for row in found}
    me = str(os.getpid()), open("/proc/self/comm").read().strip(), str(world.a.inode), "udp"
    check.equal("connection and fd, process, namespace", names, {("connection", str(c.id), *me), ("fd", str(c.fd), *me)})
    ends = [(row["local_address"], row["local_port"], row["remote_address"], row["remote_port"])
            for row in found if row["scope"] == "connection"]
    check.equal("the ends", ends, [tuple(map(str, key[1:]))])
    check.that("the message says whom and how much", all(row["subject"] in row["message"] and "kB/s" in row["message"]
                                                         for row in found), [row["message"] for row in found])
    image = module.image_at_rest()
    with open(f"{module.PROC}/alerts") as file:
        text = events.rows(file.read().split("\n", 2)[2], reader.columns)
    check.equal("the snapshot's alerts are the text's",
                [(a.number, a.time, a.severity, a.kind, a.scope, a.subject, a.netns, a.pid, a.threshold, a.value,
                  a.local or "-", a.local_port, a.remote or "-", a.remote_port) for a in image.alerts],
                [(int(row["number"]), int(row["time_ns"]), row["severity"], row["kind"], row["scope"],
                  int(row["subject"]), number(row["netns"]), number(row["pid"]), int(row["threshold"]),
                  int(row["value"]), row["local_address"], number(row["local_port"]), row["remote_address"],
                  number(row["remote_port"])) for row in text])
    check.that("there are some", len(text) > 10, len(text))
    configure(alert_connection_bandwidth_out=0, alert_fd_bandwidth_out=0)
    reader.close()


def shared(world):
    check.part("an fd of many connections")
    reader = Reader()
    sockets = []

    def attempt():
        sockets[:] = [world.socket(world.a) for _ in range(5)]
        for one in sockets:
            one.sendto(b"first", ("10.0.0.2", 9000))
            world.sink.recv(10)
        time.sleep(1.2)
        rule("fd", "bandwidth_in", 20_000)
        rule("connection", "bandwidth_in", 20_000)
        with one_second():
            for one in sockets:
                for _ in range(10):
                    one.sendto(bytes(472), ("10.0.0.2", 9000))
            for _ in range(10 * len(sockets)):
                world.sink.recv(1000)

    def undo():
        configure(alert_fd_bandwidth_in=0, alert_connection_bandwidth_in=0)
        quiet()
        reader.more()

    patiently(attempt, undo)
    subject = subject_of(world, "fd", (UDP, "10.0.0.2", 9000, *sockets[0].getsockname()), world.b)
    found = reader.until(subject)
    one_alert("its sum is over the line", found, "fd", "bandwidth_in", subject, 20_000, "error", near(25_000, "fd"))
    check.equal("none of its connections is", len(found), 1)
    configure(alert_fd_bandwidth_in=0, alert_connection_bandwidth_in=0)
    reader.close()


def number(word):
    return 0 if word == "-" else int(word)


def main():
    world = World()
    module.load(timeout_closed=3600, timeout_one_way=3600, timeout_two_way=3600)
    # Each alert is to be seen here; the limit has its own part in alert-ring.
    configure(alert_limit=0)
    kinds(world)
    shared(world)
    owner(world)
    module.audit()
    module.unload()
    check.finish()


main()
