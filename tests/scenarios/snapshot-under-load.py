# SPDX-License-Identifier: MIT OR Apache-2.0
"""Images taken while packets pass on all processors and connections come and go.

The bracket holds for each, without tolerance; nothing in an image contradicts the rest of it; and
from one image to the next nothing goes back. Readers are quick, slow, interrupted, and many.
"""

import os
import pickle
import random
import socket
import sys
import threading
import time

from lib import check, module, net, pace, traffic
from lib.image import COUNTERS, DIRECTIONS, Image

SERVE = """
import socket, sys, threading
listener = socket.create_server((sys.argv[1], int(sys.argv[2])), backlog=100)
echo = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
echo.bind((sys.argv[1], int(sys.argv[2])))
def answer():
    while True:
        data, source = echo.recvfrom(2000)
        if data[0] % 2:
            echo.sendto(data, source)
threading.Thread(target=answer, daemon=True).start()
while True:
    one, _ = listener.accept()
    try:
        one.recv(1000)
        one.sendall(b"ok")
    except ConnectionError:
        pass
    one.close()
"""
# Connections that come and go: TCP, and UDP with and without an answer.
CHURN = """
import socket, sys, time
to = (sys.argv[1], int(sys.argv[2]))
number = 0
while True:
    number += 1
    with socket.create_connection(to, 10) as one:
        # The server waits for something.
        one.sendall(bytes(1 + number % 999))
        if number % 3 == 0:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, 0, 0, 0, 0, 0, 0, 0]))
        else:
            one.recv(10)
    for size in (1, 100, 1000):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.sendto(bytes([number % 256]) + bytes(size), to)
    time.sleep(0.01)
"""


def read_slowly(piece=1024, pause=0.004, name="snapshot"):
    """As somebody would who has other things to do."""
    parts = []
    with open(f"{module.PROC}/{name}", "rb", buffering=0) as file:
        while part := file.read(piece):
            parts.append(part)
            time.sleep(pause)
    return b"".join(parts)


def read_with_a_break(seconds):
    """Half of it, then a break in which much of what was read is collected and used again."""
    with open(f"{module.PROC}/snapshot", "rb", buffering=0) as file:
        parts = [file.read(20_000)]
        time.sleep(seconds)
        while part := file.read(1 << 20):
            parts.append(part)
    return b"".join(parts)


def come_and_go(stop, gone):
    """A namespace after the other, with traffic inside, destroyed while it has connections."""
    while not stop.is_set():
        other = net.Namespace("passing")
        with other.inside():
            one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            for length in range(20):
                one.sendto(bytes(length), ("127.0.0.1", 9 + length))
            one.close()
        other.delete()
        gone.append(other.inode)
        time.sleep(0.1)


class Series:
    """Images one after the other, and what is wrong with them."""

    def __init__(self):
        self.number = self.moved = self.connections = 0
        self.wrong = []
        self._last = None

    def take(self, raw):
        image = Image(raw)
        self.number += 1
        self.moved += image.moved
        self.connections += len(image.connections)
        self.wrong += image.audit() + image.contradictions()
        if self._last:
            self.wrong += gone_back(self._last, image)
        self._last = image

    def say(self, title):
        check.equal(f"{title}: {self.number} images of {self.connections} connections, what is wrong", self.wrong[:5], [])
        check.that(f"{title}: packets passed during some of them", self.moved > 0, f"{self.moved} of {self.number}")


def gone_back(old, new):
    """Whatever is less in the later image."""
    found = []
    for direction in DIRECTIONS:
        for title, was, now in (("totals", old.after, new.before), ("closed", old.closed, new.closed)):
            found += (f"{title} {direction} went from {was[direction]} to {now[direction]}"
                      for a, b in zip(was[direction], now[direction]) if a > b)
    for kind in ("connections", "fds"):
        was = {one.id: one for one in getattr(old, kind)}
        for one in getattr(new, kind):
            before = was.get(one.id)
            if before and any(a > b for d in ("sent", "received")
                              for a, b in zip(getattr(before, d), getattr(one, d))):
                found.append(f"{before} became {one}")
    return found


def at_once(number, seconds):
    """So many readers in processes of their own; each takes images for a while."""
    children = []
    for reader in range(number):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            series = Series()
            try:
                random.seed(reader)
                deadline = time.monotonic() + seconds
                while time.monotonic() < deadline:
                    series.take(module.read(size=random.choice((1000, 4096, 65536, 1 << 20))))
            except BaseException as error:
                series.wrong.append(repr(error))
            series._last = None
            with open(writing, "wb") as pipe:
                pickle.dump(series, pipe)
            os._exit(0)
        os.close(writing)
        children.append((child, reading))
    together = Series()
    for child, reading in children:
        with open(reading, "rb") as pipe:
            series = pickle.load(pipe)
        os.waitpid(child, 0)
        for name in ("number", "moved", "connections", "wrong"):
            setattr(together, name, getattr(together, name) + getattr(series, name))
    return together


def fds_text():
    """What /proc/mutex/fds says, by id; read slowly, so that fds and connections go meanwhile."""
    lines = read_slowly(4096, 0.002, "fds").decode().splitlines()
    columns = lines[1].split(" ")
    rows = [dict(zip(columns, line.split(" "))) for line in lines[2:]]
    return {int(row["id"]): row for row in rows}


def main():
    a, b = net.Namespace("a"), net.Namespace("b")
    net.veth(a, "va", b, "vb")
    net.address(a, "va", "10.0.0.1/24", "fd00::1/64")
    net.address(b, "vb", "10.0.0.2/24", "fd00::2/64")
    module.load(timeout_closed=1, timeout_one_way=1, timeout_two_way=2, timeout_fd=1,
                timeout_tcp_closing=2, timeout_icmp=1)
    net.up(a, "va")
    net.up(b, "vb")
    net.settle(a, b)
    jobs = [b.start("iperf3", "-s"), b.start(sys.executable, "-c", SERVE, "10.0.0.2", 7000)]
    traffic.wait_for(lambda: traffic.listens(b, 5201) and traffic.listens(b, 7000))
    jobs += [a.start("iperf3", "-c", "fd00::2", "-t", "600", "--bidir", "-b", pace.sized("50M", "5M")),
             a.start(sys.executable, "-c", CHURN, "10.0.0.2", 7000),
             a.start("ping", "-q", "-i", "0.01", "10.0.0.2")]
    stop, gone = threading.Event(), []
    passing = threading.Thread(target=come_and_go, args=(stop, gone))
    passing.start()
    traffic.wait_for(lambda: module.stats()["connections_closed"] > 50, 30)

    check.part("one after the other")
    series = Series()
    deadline = time.monotonic() + 12
    while series.number < 10 or time.monotonic() < deadline:
        series.take(module.read())
    series.say("quick reader")

    check.part("slowly")
    series = Series()
    for _ in range(4):
        series.take(read_slowly())
    series.say("1 KiB at a time")
    series = Series()
    for seconds in (1.5, 3, 4.5):
        series.take(read_with_a_break(seconds))
    series.say("a break in the middle")

    check.part("eight readers at once")
    at_once(8, 8).say("eight readers")

    check.part("fds as text")
    wrong, last, number = [], {}, 0
    for _ in range(6):
        now = fds_text()
        number += len(now)
        for one, row in now.items():
            for direction in ("sent", "received"):
                for counter in COUNTERS:
                    name = f"{direction}_{counter}"
                    if int(row[name]) >= 1 << 62 or one in last and int(last[one][name]) > int(row[name]):
                        wrong.append((name, last.get(one), row))
        last = now
    check.equal(f"{number} lines, none went back", wrong[:3], [])

    check.part("a reader that never ends, and 64 of them")
    held = []
    refused = None
    for _ in range(80):
        try:
            held.append(os.open(f"{module.PROC}/snapshot", os.O_RDONLY))
            os.read(held[-1], 1000)
        except OSError as error:
            refused = os.strerror(error.errno)
            break
    check.equal("readers at once, and what the next one is told", (len(held), refused), (64, "Device or resource busy"))
    time.sleep(3)
    status = module.stats()
    check.that("meanwhile connections are opened and collected",
               status["connections_closed"] > 100 and status["table_used"] < 2000,
               f"{status['connections_closed']} closed, {status['table_used']} in use")
    for fd in held:
        os.close(fd)
    # A child that another thread has just forked holds them until it runs its program.
    deadline = time.monotonic() + 10
    room = False
    while not room and time.monotonic() < deadline:
        try:
            module.image()
            room = True
        except OSError as error:
            refused = error
            time.sleep(0.1)
    check.that("afterwards there is room for a reader", room, refused)

    stop.set()
    passing.join()
    check.that("namespaces came and went meanwhile", len(gone) > pace.sized(10, 2), len(gone))
    check.equal("the traffic never broke off", [job.poll() for job in jobs], [None] * len(jobs))
    for job in jobs:
        job.kill()
        job.wait()
    check.part("at rest")
    module.audit()
    module.unload()
    check.finish()


main()
