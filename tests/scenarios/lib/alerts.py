# SPDX-License-Identifier: MIT OR Apache-2.0
"""Two hosts that make bursts of known size, and a reader of /proc/mutex/alerts."""

import contextlib
import os
import select
import socket
import time

from lib import check, events, module, net
from lib.pace import LONGER

UDP = 17
# The clock by which packets are timed, CLOCK_MONOTONIC_COARSE: time since boot, for nobody suspends a virtual
# machine. It goes on with the tick, which a busy emulator can be late to give.
COARSE = 6


class Late(Exception):
    """What had to be done in one of MUTEX's seconds took longer, so nobody knows what its rates are."""


def patiently(attempt, undo, tries=30):
    """What `attempt()` gives once it is not late; `undo()` ends one that is, so that another can begin."""
    for _ in range(tries):
        try:
            return attempt()
        except Late as late:
            check.note(f"again, for this machine is busy: {late}")
            undo()
    raise RuntimeError("this machine is too busy to do anything within a second")


def configure(**values):
    with open(f"{module.PROC}/config", "w") as file:
        file.write("".join(f"{key} {value}\n" for key, value in values.items()))


def rule(scope, kind, threshold, severity="error", hysteresis=10, interval=0):
    name = f"alert_{scope}_{kind}"
    configure(**{name: threshold, f"{name}_severity": severity, f"{name}_hysteresis": hysteresis,
                 f"{name}_interval": interval})


def second():
    """MUTEX's seconds are those since boot."""
    return int(time.clock_gettime(COARSE))


def wait_second():
    """Waits until a second has just begun; gives its number."""
    before = second()
    time.sleep(1 - time.clock_gettime(COARSE) % 1)
    while second() == before:
        time.sleep(0.001)
    # Another processor may be a tick behind.
    time.sleep(0.03)
    return second()


@contextlib.contextmanager
def one_second():
    """What is done inside is done in one of MUTEX's seconds, which has just begun; or else that is Late."""
    began = wait_second()
    yield began
    if second() != began:
        raise Late(f"{second() - began} s")


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
        if poll.poll(patience * LONGER * 1000):
            time.sleep(0.2)
        return self.more()

    def until(self, subject, patience=5):
        """What comes until there is one about that subject, and a little longer."""
        found, deadline = [], time.monotonic() + patience * LONGER
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
        one.settimeout(10 * LONGER)
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


def burst(world, number, size):
    """So many datagrams from one socket inside a second."""
    one = world.socket(world.a)
    key = (UDP, *one.getsockname(), "10.0.0.2", 9000)
    with one_second():
        for _ in range(number):
            one.sendto(bytes(size), ("10.0.0.2", 9000))
        for _ in range(number):
            world.sink.recv(2000)
    return one, key


def quiet(seconds=2):
    """Waits until the host's rates have been zero for a while: nothing from before is still to be judged."""
    since = time.monotonic()
    while time.monotonic() < since + seconds:
        now = module.stats()
        if now["rate_in"] or now["rate_out"]:
            since = time.monotonic()
        time.sleep(0.1)


def shown():
    """Alerts that a new reader sees."""
    return len(module.read("alerts").decode().splitlines()) - 2
