# SPDX-License-Identifier: MIT OR Apache-2.0
"""How alerts come: not in floods, numbered without gaps, to readers that follow or come late."""

import errno
import os
import select
import socket
import subprocess
import sys
import threading
import time

from lib import check, module, pace, traffic
from lib.alerts import burst, configure, Late, one_second, patiently, quiet, Reader, rule, shown, UDP, World

MANY = 100_000 if pace.IS_NATIVE else pace.sized(5_000, 1_500)
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


def wave(one, sizes, before=None):
    """A burst of so many bytes on the wire in each second, from the one after `before` on; gives the last one."""
    for size in sizes:
        with one_second() as now:
            if before not in (None, now - 1):
                raise Late(f"{now - before} s after the one before")
            for _ in range(10):
                one.sendto(bytes(max(size // 10 - 28, 0)), ("10.0.0.2", 9000))
        before = now
    return before


def off(world, reader):
    """The rule is off, and whatever it has raised is over and read; the connection is another one from now on."""
    configure(alert_connection_bandwidth_out=0)
    quiet()
    reader.more()
    return world.socket(world.a)


def hovering(world):
    check.part("hovering at the line")
    reader = Reader()
    sockets = [world.socket(world.a)]

    def undo():
        sockets[:] = [off(world, reader)]

    def alerts(sizes, **limits):
        """What a wave raises by that rule; its last second is judged when the next one begins."""
        def attempt():
            rule("connection", "bandwidth_out", 10_000, **limits)
            wave(sockets[0], [*sizes, 0])
            return reader.during(0.3)
        return patiently(attempt, undo)

    def values(sizes, **limits):
        return [int(row["value"]) for row in alerts(sizes, **limits)]

    check.equal("with 50 percent one alert, and one more after it fell below",
                values([10_000, 9_990, 10_010, 9_000, 11_000, 5_010, 10_000, 4_990, 9_990, 10_020, 10_030],
                       hysteresis=50),
                [10_000, 10_020])
    check.equal("with 0 percent each time", values([9_990, 10_000, 9_990, 10_010, 9_990, 10_030], hysteresis=0),
                [10_000, 10_010, 10_030])
    times = [int(row["time_ns"]) for row in alerts([9_990, 10_010] * 4, hysteresis=0, interval=3)]
    gaps = [(b - a) / 1e9 for a, b in zip(times, times[1:])]
    check.that("never sooner than the interval", len(times) == 2 and min(gaps) >= 3, gaps)

    def turned_off():
        rule("connection", "bandwidth_out", 10_000)
        wave(sockets[0], [12_000, 12_000])
        reader.during(0.3)
        configure(alert_connection_bandwidth_out=0)
        last = wave(sockets[0], [12_000, 12_000])
        meanwhile = reader.during(0.3)
        configure(alert_connection_bandwidth_out=10_000)
        # The first judges the second before, the second this one.
        wave(sockets[0], [12_010, 0], last)
        return meanwhile, [int(row["value"]) for row in reader.during(0.3)]

    meanwhile, again = patiently(turned_off, undo)
    check.equal("a threshold of 0 is off", meanwhile, [])
    check.equal("off and on is armed again", again, [12_000])
    configure(alert_connection_bandwidth_out=0)
    reader.close()


def following(world):
    check.part("following and clearing")
    reader = Reader()
    check.equal("nothing new at the end", reader.more(), [])
    poll = select.poll()
    poll.register(reader.fd, select.POLLIN)
    check.equal("poll: not yet", poll.poll(0), [])

    def wake():
        said = []
        waiter = threading.Thread(target=lambda: said.extend(poll.poll(10_000 * pace.LONGER)))
        waiter.start()
        last = module.stats()["alerts_raised"]
        rule("connection", "bandwidth_out", 1000)
        one, _ = burst(world, 10, 500)
        waiter.join()
        return said, last, one

    said, last, one = patiently(wake, lambda: off(world, reader))
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


    before = shown()
    check.equal("other words are refused", [attempt(words) for words in (b"clean", b"", b"clear all", b"\xff")][::2],
                ["EINVAL", "EINVAL"])
    check.that("and hide nothing", shown() == before > 0, before)
    done = subprocess.run(["setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin", sys.executable, "-c",
                           f"import os; os.write(os.open('{module.PROC}/alerts', os.O_WRONLY), b'clear')"],
                          capture_output=True, text=True)
    check.that("who may not administer the network may not clear",
               "Operation not permitted" in done.stderr and shown() == before, done.stderr.strip()[-40:])
    check.equal("clear", attempt(b"clear\n"), 6)
    image = module.image()
    check.equal("hides all", (shown(), image.alerts, image.status["alerts_raised"], image.status["alerts_overwritten"]),
                (0, [], last + 1, 0))
    one.close()

    def go_on():
        raised = module.stats()["alerts_raised"]
        rule("connection", "bandwidth_out", 1000)
        burst(world, 10, 500)
        return raised + 1

    def undo():
        off(world, reader)
        attempt(b"clear\n")

    number = patiently(go_on, undo)
    check.equal("numbers go on", [int(row["number"]) for row in reader.some()], [number])
    check.equal("a new reader sees that one", shown(), 1)
    check.that("no gap", reader.missed == 0 and reader.gaps_only_forward, reader.missed)
    configure(alert_connection_bandwidth_out=0)
    reader.close()


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


def limited():
    check.part("more in a minute than its limit")
    module.load(timeout_closed=3600, timeout_one_way=3600)
    reader = Reader()
    rule("connection", "bandwidth_out", 1)
    rule("global", "bandwidth_out", 1)
    sink, one = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    sink.bind(("0.0.0.0", 9))

    def burst(first, number):
        """A connection for each address; each of them is alarming once."""
        for last in range(first, first + number):
            one.sendto(b"x", (f"127.0.1.{last}", 9))
        time.sleep(4)
        scopes = [row["scope"] for row in reader.more()]
        status = module.image().status
        return scopes.count("connection"), "global" in scopes, status["alerts_suppressed"]

    # The module's minutes begin when it is loaded, so both are in the first.
    check.equal("of 130 connections 100 have an alert, the host has its own, and 30 are counted", burst(0, 130),
                (100, True, 30))
    check.equal("then none for the rest of the minute, but the host's", burst(130, 20), (0, True, 50))
    check.equal("stats has the same", module.stats()["alerts_suppressed"], 50)
    configure(alert_limit=0)
    check.equal("without a limit each has one", burst(150, 60), (60, True, 50))
    configure(alert_limit=100)
    check.note("until the minute is over")
    time.sleep(max(0, 61 - module.stats()["uptime_ns"] / 1e9))
    check.equal("in the next minute there are new ones", burst(210, 10), (10, True, 50))
    for socket_ in (sink, one):
        socket_.close()
    reader.close()
    module.audit("after too many alerts")
    module.unload()


def storm():
    check.part(f"a storm of {MANY}")
    # A question and an answer are two connections, each with three alerts.
    number = -(-MANY // 6)
    module.load(timeout_closed=3600, timeout_two_way=3600, max_connections=2 * number + 1000, max_alerts=RING)
    configure(alert_global_table_fill=0, alert_limit=0)
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
    configure(alert_limit=0)
    hovering(world)
    following(world)
    module.audit()
    module.unload()
    table_fill()
    limited()
    storm()
    check.finish()


main()
