# SPDX-License-Identifier: MIT OR Apache-2.0
"""/proc/mutex/alerts: each kind about each scope, once, with the right numbers; and a storm.

Bursts of known size are sent inside one of MUTEX's seconds, so that rates are known exactly.
"""

import errno
import os
import select
import socket
import subprocess
import sys
import threading
import time

from lib import check, events, module, net, traffic
from lib.image import SCOPES

TCP, UDP = 6, 17
MANY = 100_000 if module.IS_NATIVE else 5_000
RING = 1000
# Each question, from an address of its own, gets an answer.
STORM = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
    server.bind(("127.0.0.1", 0))
    for i in range(int(sys.argv[1])):
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.bind((f"127.1.{i >> 8}.{i & 255}", 0))
        one.connect(server.getsockname())
        one.send(b"question")
        _, source = server.recvfrom(100)
        server.sendto(b"answer", source)
        one.recv(100)
        one.close()
"""


def configure(**values):
    with open(f"{module.PROC}/config", "w") as file:
        file.write("".join(f"{key} {value}\n" for key, value in values.items()))


def rule(scope, kind, threshold, severity="error", hysteresis=10, interval=0):
    name = f"alert_{scope}_{kind}"
    configure(**{name: threshold, f"{name}_severity": severity, f"{name}_hysteresis": hysteresis,
                 f"{name}_interval": interval})


def wait_second(into=0.05):
    """Waits until a second of MUTEX's, which are those since boot, has just begun."""
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    time.sleep((into - now) % 1)


class Reader:
    """Follows the alerts from now on."""

    def __init__(self):
        self.fd = os.open(f"{module.PROC}/alerts", os.O_RDWR)
        self.last, self.missed, self.count, self.columns = 0, 0, 0, None
        self.gaps_only_forward = True
        self.more()

    def more(self):
        """What came since."""
        text = events.alerts(self.fd)
        if self.columns is None:
            first, names, text = text.split("\n", 2)
            assert first == "format 1", first
            self.columns = names.split(" ")
        found = events.rows(text, self.columns)
        for row in found:
            number = int(row["number"])
            self.gaps_only_forward &= number > self.last
            self.missed += number - self.last - 1
            self.last = number
        self.count += len(found)
        return found

    def some(self, patience=4):
        """Waits until something comes, and a little longer."""
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        if poll.poll(patience * 1000):
            time.sleep(0.2)
        return self.more()

    def until(self, subject, patience=5):
        """What comes until there is one about that subject, and a little longer."""
        found, deadline = [], time.monotonic() + patience
        while time.monotonic() < deadline and not any(row["subject"] == str(subject) for row in found):
            found += self.some(1)
        return found + self.during(0.3)

    def during(self, seconds):
        """All that comes in that time."""
        time.sleep(seconds)
        return self.more()

    def close(self):
        os.close(self.fd)


class World:
    def __init__(self):
        self.a, self.b = net.Namespace("a"), net.Namespace("b")
        net.veth(self.a, "va", self.b, "vb")
        net.address(self.a, "va", "10.0.0.1/24")
        net.address(self.b, "vb", "10.0.0.2/24")
        for host, link in ((self.a, "va"), (self.b, "vb")):
            host.sysctl("ipv6/conf/all/disable_ipv6", 1)
            net.up(host, link)
            host.sh("nft", "-f", "-", input="table ip drops { chain in { type filter hook prerouting priority raw; }; }")
        # Else errors about closed ports are sent now and then only.
        self.b.sysctl("ipv4/icmp_ratelimit", 0)
        self.b.sysctl("ipv4/icmp_msgs_per_sec", 100000)
        self.port = 3000
        self.sink = self.socket(self.b, 9000)

    def socket(self, host, port=0):
        with host.inside():
            one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.settimeout(10)
        one.bind(("10.0.0.1" if host is self.a else "10.0.0.2", port))
        return one

    def drop(self, rule):
        self.b.sh("nft", "-f", "-", input=f"add rule ip drops in {rule}")

    def keep(self):
        self.b.sh("nft", "-f", "-", input="flush chain ip drops in")

    def connection(self, key, host=None):
        """The newest connection of that key, on a's side unless another host is named."""
        host = host or self.a
        return max((c for c in module.image().connections if c.netns == host.inode and c.key == key),
                   key=lambda c: c.id)


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
            reader = Reader()
            title = f"{kind} of {scope}"
            threshold, subject, right = make(world, scope, lambda threshold: rule(scope, kind, threshold, severities[scope]))
            found = reader.until(subject)
            one_alert(title, found, scope, kind, subject, threshold, severities[scope], right)
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


def burst(world, number, size):
    """So many datagrams from one socket inside a second."""
    one = world.socket(world.a)
    key = (UDP, *one.getsockname(), "10.0.0.2", 9000)
    wait_second()
    for _ in range(number):
        one.sendto(bytes(size), ("10.0.0.2", 9000))
    for _ in range(number):
        world.sink.recv(2000)
    return one, key


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
    wait_second()
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
    wait_second()
    for _ in range(30):
        one.sendto(b"x", ("10.0.0.2", 9999))
    # Each is answered by an ICMP error. The host has 30 of them for 4 times 30 packets.
    right = (lambda value: 1000 <= value <= 10_000) if scope == "global" else (lambda value: value == 10_000)
    return 100, subject_of(world, scope, key), right


def drop_rate(world, scope, set_rule):
    """b loses one of three."""
    one, two = world.socket(world.a), world.socket(world.b)
    two.connect(one.getsockname())
    two.send(b"first")
    one.recv(10)
    time.sleep(1.2)
    world.drop(f"udp dport {two.getsockname()[1]} numgen inc mod 3 1 drop")
    set_rule(50)
    wait_second()
    for _ in range(60):
        one.sendto(b"x", two.getsockname())
    for _ in range(40):
        two.recv(10)
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
    rule("connection", "bandwidth_out", 1000)
    rule("fd", "bandwidth_out", 1000)
    one, key = burst(world, 20, 500)
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
    sockets = [world.socket(world.a) for _ in range(5)]
    for one in sockets:
        one.sendto(b"first", ("10.0.0.2", 9000))
    time.sleep(1.2)
    rule("fd", "bandwidth_in", 20_000)
    rule("connection", "bandwidth_in", 20_000)
    wait_second()
    for one in sockets:
        for _ in range(10):
            one.sendto(bytes(472), ("10.0.0.2", 9000))
    subject = subject_of(world, "fd", (UDP, "10.0.0.2", 9000, *sockets[0].getsockname()), world.b)
    found = reader.until(subject)
    one_alert("its sum is over the line", found, "fd", "bandwidth_in", subject, 20_000, "error", near(25_000, "fd"))
    check.equal("none of its connections is", len(found), 1)
    configure(alert_fd_bandwidth_in=0, alert_connection_bandwidth_in=0)
    reader.close()


def number(word):
    return 0 if word == "-" else int(word)


def wave(one, sizes):
    """A burst of so many bytes on the wire in each second."""
    for size in sizes:
        wait_second()
        for _ in range(10):
            one.sendto(bytes(max(size // 10 - 28, 0)), ("10.0.0.2", 9000))


def values(reader, one, sizes):
    """The values of the alerts that a wave raises; its last second is judged when the next one begins."""
    wave(one, [*sizes, 0])
    return [int(row["value"]) for row in reader.during(0.3)]


def hovering(world):
    check.part("hovering at the line")
    one = world.socket(world.a)
    reader = Reader()
    rule("connection", "bandwidth_out", 10_000, hysteresis=50)
    check.equal("with 50 percent one alert, and one more after it fell below",
                values(reader, one, [10_000, 9_990, 10_010, 9_000, 11_000, 5_010, 10_000, 4_990, 9_990, 10_020, 10_030]),
                [10_000, 10_020])
    rule("connection", "bandwidth_out", 10_000, hysteresis=0)
    check.equal("with 0 percent each time", values(reader, one, [9_990, 10_000, 9_990, 10_010, 9_990, 10_030]),
                [10_000, 10_010, 10_030])
    rule("connection", "bandwidth_out", 10_000, hysteresis=0, interval=3)
    wave(one, [9_990, 10_010] * 4 + [0])
    times = [int(row["time_ns"]) for row in reader.during(0.3)]
    gaps = [(b - a) / 1e9 for a, b in zip(times, times[1:])]
    check.that("never sooner than the interval", len(times) == 2 and min(gaps) >= 3, gaps)

    rule("connection", "bandwidth_out", 10_000)
    wave(one, [12_000, 12_000])
    reader.during(0.3)
    configure(alert_connection_bandwidth_out=0)
    wave(one, [12_000, 12_000])
    check.equal("a threshold of 0 is off", reader.during(0.3), [])
    configure(alert_connection_bandwidth_out=10_000)
    # The first judges the second before, the second this one.
    check.equal("off and on is armed again", values(reader, one, [12_010]), [12_000])
    configure(alert_connection_bandwidth_out=0)
    reader.close()


def following(world):
    check.part("following and clearing")
    reader = Reader()
    check.equal("nothing new at the end", reader.more(), [])
    poll = select.poll()
    poll.register(reader.fd, select.POLLIN)
    check.equal("poll: not yet", poll.poll(0), [])
    said = []
    waiter = threading.Thread(target=lambda: said.extend(poll.poll(10_000)))
    waiter.start()
    last = module.stats()["alerts_raised"]
    rule("connection", "bandwidth_out", 1000)
    one, key = burst(world, 10, 500)
    waiter.join(10)
    check.equal("poll wakes", said, [(reader.fd, select.POLLIN)])
    found = reader.more()
    check.equal("and only the new one comes", [int(row["number"]) for row in found], [last + 1])
    check.equal("poll: no more", poll.poll(0), [])

    def attempt(words):
        fd = os.open(f"{module.PROC}/alerts", os.O_WRONLY)
        try:
            return os.write(fd, words)
        except OSError as error:
            return errno.errorcode[error.errno]
        finally:
            os.close(fd)

    fresh = shown
    before = fresh()
    check.equal("other words are refused", [attempt(words) for words in (b"clean", b"", b"clear all", b"\xff")][::2],
                ["EINVAL", "EINVAL"])
    check.that("and hide nothing", fresh() == before > 0, before)
    done = subprocess.run(["setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin", sys.executable, "-c",
                           f"import os; os.write(os.open('{module.PROC}/alerts', os.O_WRONLY), b'clear')"],
                          capture_output=True, text=True)
    check.that("who may not administer the network may not clear",
               "Operation not permitted" in done.stderr and fresh() == before, done.stderr.strip()[-40:])
    check.equal("clear", attempt(b"clear\n"), 6)
    image = module.image()
    check.equal("hides all", (fresh(), image.alerts, image.status["alerts_raised"], image.status["alerts_overwritten"]),
                (0, [], last + 1, 0))
    one.close()
    one, key = burst(world, 10, 500)
    check.equal("numbers go on", [int(row["number"]) for row in reader.some()], [last + 2])
    check.equal("a new reader sees that one", fresh(), 1)
    check.that("no gap", reader.missed == 0 and reader.gaps_only_forward, reader.missed)
    configure(alert_connection_bandwidth_out=0)
    reader.close()


def shown():
    """Alerts that a new reader sees."""
    return len(module.read("alerts").decode().splitlines()) - 2


def table_fill():
    check.part("the table fills")
    module.load(max_connections=100, timeout_one_way=3600, timeout_closed=0)
    reader = Reader()
    with open(f"{module.PROC}/config") as file:
        text = file.read()
    check.that("by itself from 90 percent on, critical",
               "alert_global_table_fill 9000\n" in text and "alert_global_table_fill_severity critical\n" in text)
    sockets = []

    def fill(number):
        for _ in range(number):
            one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            one.sendto(b"x", ("127.0.0.1", 9))
            sockets.append(one)

    # One that is refused is two connections, and the errors are more.
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.bind(("127.0.0.1", 9))
    fill(40)
    found = reader.during(2.5)
    used = module.stats()["table_used"]
    check.equal("at 80 percent nothing", (found, used), ([], 80))
    fill(5)
    found = reader.some() + reader.during(2.3)
    used = module.stats()["table_used"]
    check.equal("at 90 percent one", [(row["kind"], row["scope"], row["subject"], row["severity"], row["threshold"],
                                       row["value"]) for row in found],
                [("table_fill", "global", "0", "critical", "9000", str(used * 100))])
    check.equal("as many as were made", used, 90)
    for one in (*sockets, listener):
        one.close()
    reader.close()
    module.audit("of a full table")
    module.unload()


def storm():
    check.part(f"a storm of {MANY}")
    # A question and an answer are two connections, each with three alerts.
    number = -(-MANY // 6)
    module.load(timeout_closed=3600, timeout_two_way=3600, max_connections=2 * number + 1000, max_alerts=RING)
    configure(alert_global_table_fill=0)
    slow, reader = Reader(), Reader()
    for kind in ("latency", "bandwidth_in", "bandwidth_out"):
        rule("connection", kind, 1, hysteresis=0)
    done = threading.Event()

    def follow():
        while not done.is_set():
            reader.more()
            time.sleep(0.01)

    follower = threading.Thread(target=follow)
    follower.start()
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", STORM, str(number)], check=True)
    check.note(f"{number} questions took {time.monotonic() - began:.0f} s")
    traffic.wait_for(lambda: module.stats()["alerts_raised"] >= 6 * number, 20, 0.5)
    time.sleep(1.5)
    done.set()
    follower.join()
    reader.more()
    check.note(f"the last alert came at the latest {time.monotonic() - began:.0f} s after the first question")
    image = module.image()
    status = image.status
    # What the kernel itself sent meanwhile.
    raised = 6 * number + sum(bool(c.sent.packets) + bool(c.received.packets) + bool(c.quality.latency_samples)
                              for c in image.connections if c.protocol != UDP)
    check.that("hardly any else", raised <= 6 * number + 20, raised - 6 * number)
    check.equal("raised: three a connection", status["alerts_raised"], raised)
    check.equal("overwritten: all but the ring", status["alerts_overwritten"], raised - RING)
    check.equal("the follower: seen + missed", reader.count + reader.missed, raised)
    check.that("it saw some and numbers only grow", reader.count > RING and reader.gaps_only_forward,
               f"{reader.count} seen, {reader.missed} missed")
    slow.more()
    check.equal("one who comes late: the ring, and what it missed", (slow.count, slow.missed),
                (RING, raised - RING))
    check.equal("the snapshot: the last, without a gap", [alert.number for alert in image.alerts],
                list(range(raised - RING + 1, raised + 1)))
    slow.close()
    reader.close()
    configure(timeout_closed=0, timeout_fd=0, timeout_two_way=1)
    traffic.wait_for(lambda: module.stats()["table_used"] < 10, 60, 0.5)
    module.audit("after the storm")
    module.unload()


def main():
    world = World()
    module.load(timeout_closed=3600, timeout_one_way=3600, timeout_two_way=3600)
    kinds(world)
    shared(world)
    owner(world)
    hovering(world)
    following(world)
    module.audit()
    module.unload()
    table_fill()
    storm()
    check.finish()


main()
