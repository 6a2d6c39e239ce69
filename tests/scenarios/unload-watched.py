# SPDX-License-Identifier: MIT OR Apache-2.0
"""Unloading while events and alerts are open, waited for, and produced.

Whoever waits is woken and told, whoever reads on gets an error, and what the kernel says is the
judge of the rest.
"""

import errno
import os
import select
import subprocess
import sys
import threading
import time

from lib import check, module, net, pace
from lib.events import Monitor

ROUNDS = pace.sized(20, 5)
FLOOD = """
import socket, sys, time
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
port = 2000
while True:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        for to in (one, other):
            for _ in range(20):
                try:
                    to.sendto(bytes(100), ("10.0.0.2", 9000))
                except OSError:
                    pass
    time.sleep(0.002)
"""


def outcome(work):
    """What a call gives: the name of its error, `end` or `data`."""
    try:
        got = work()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "data" if got else "end"


class Waiter(threading.Thread):
    """Waits in a call, again and again until it says that there is no more."""

    def __init__(self, call):
        super().__init__(daemon=True)
        self.call = call
        self.said = None
        self.start()

    def run(self):
        self.said = self.call()


def read_to_the_end(fd):
    while (said := outcome(lambda: os.read(fd, 1 << 16))) == "data":
        pass
    return said


def poll_once(fd):
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(20_000 * pace.LONGER))


def epoll_once(epoll):
    return bool(epoll.poll(20 * pace.LONGER))


def one_round(number):
    """What the waiters said, and how long rmmod took."""
    done = module.insmod("timeout_closed=0", "timeout_one_way=1", "max_connections=1000")
    if done.returncode:
        raise RuntimeError(done.stderr)
    with open(f"{module.PROC}/config", "w") as file:
        file.write("alert_connection_bandwidth_out 1\nalert_global_bandwidth_in 1\n"
                   "alert_connection_bandwidth_out_interval 0\nevents_buffer 1024\nalert_limit 0\n")
    # Nothing matches, so that who waits really waits; what came before the filter is read.
    silent = [Monitor("port=1") for _ in range(3)]
    for monitor in silent:
        monitor.drain()
        os.set_blocking(monitor.fd, True)
    busy = [Monitor("kind=packet,start,end,alert", blocking=True) for _ in range(2)]
    stalled = Monitor("kind=packet")
    alerts = os.open(f"{module.PROC}/alerts", os.O_RDWR)
    os.read(alerts, 4096)
    epoll = select.epoll()
    epoll.register(silent[2].fd, select.EPOLLIN | select.EPOLLET)
    epoll.register(alerts, select.EPOLLIN | select.EPOLLET)
    epoll.poll(0)
    only = select.epoll()
    only.register(silent[2].fd, select.EPOLLIN)
    waiters = {
        "blocked in read": Waiter(lambda: read_to_the_end(silent[0].fd)),
        "in poll": Waiter(lambda: poll_once(silent[1].fd)),
        "in epoll": Waiter(lambda: epoll_once(only)),
        "reading packets": Waiter(lambda: read_to_the_end(busy[0].fd)),
        "reading packets, too": Waiter(lambda: read_to_the_end(busy[1].fd)),
    }
    time.sleep(0.1 + 0.02 * (number % 5))
    early = {name for name, waiter in waiters.items() if not waiter.is_alive()}
    produced = module.stats()["events_produced"]
    began = time.monotonic()
    done = subprocess.run(["rmmod", "mutex"], capture_output=True, text=True)
    took = time.monotonic() - began
    if done.returncode or os.path.exists(module.PROC):
        raise RuntimeError(f"rmmod: {done.stderr}")
    for waiter in waiters.values():
        waiter.join(5 * pace.LONGER)
    said = {name: "still waits" if waiter.is_alive() else waiter.said for name, waiter in waiters.items()}
    late = set()
    for fd in [monitor.fd for monitor in (*silent, *busy, stalled)] + [alerts]:
        late.add(("read", outcome(lambda: os.read(fd, 1 << 16))))
        late.add(("write", outcome(lambda: os.write(fd, b"clear"))))
        poll_once(fd)
        select.epoll().register(fd, select.EPOLLIN)
    # The epoll sets still name files that are gone.
    epoll.poll(0)
    epoll.modify(alerts, select.EPOLLIN)
    epoll.unregister(silent[2].fd)
    for monitor in (*silent, *busy, stalled):
        monitor.close()
    os.close(alerts)
    epoll.close()
    only.close()
    return early, said, late, took, produced


def main():
    a, b = net.Namespace("a"), net.Namespace("b")
    net.veth(a, "va", b, "vb")
    net.address(a, "va", "10.0.0.1/24")
    net.address(b, "vb", "10.0.0.2/24")
    net.up(a, "va")
    net.up(b, "vb")
    jobs = [a.start(sys.executable, "-c", FLOOD) for _ in range(2)]
    jobs.append(a.start("ping", "-q", "-i", "0.02", "10.0.0.2"))
    time.sleep(1)
    before = module.mappings()
    check.part(f"{ROUNDS} times")
    early, said, late, took, produced = set(), {}, set(), [], []
    for number in range(ROUNDS):
        round_early, round_said, round_late, seconds, events = one_round(number)
        early |= round_early
        late |= round_late
        took.append(seconds)
        produced.append(events)
        for name, what in round_said.items():
            said.setdefault(name, set()).add(what)
    check.equal("nobody stops waiting before", early, set())
    ends = {"end", "EIO"}
    for name in ("blocked in read", "reading packets", "reading packets, too"):
        check.that(f"{name}: told each time that it is over", said[name] <= ends, said[name])
    for name in ("in poll", "in epoll"):
        check.equal(f"{name}: woken each time", said[name], {True})
    check.equal("calls afterwards", late, {("read", "EIO"), ("write", "EIO")})
    check.that("there were events in every round", min(produced) > 0, produced)
    check.that("rmmod returns quickly", max(took) < (2 if pace.IS_NATIVE else 10 * pace.LONGER), f"at most {max(took):.2f} s")
    check.equal("the traffic never broke off", [job.poll() for job in jobs], [None] * len(jobs))
    check.equal("memory mappings are as before", module.mappings(), before)
    module.nothing_left("after all of it")

    check.part("it loads again, and counts")
    module.load()
    with Monitor("kind=packet") as one:
        check.that("packets are watched again", one.follow(lambda found: len(found) > 100))
    for job in jobs:
        job.kill()
        job.wait()
    module.audit()
    module.unload()
    check.finish()


main()
