# SPDX-License-Identifier: MIT OR Apache-2.0
# Only on: stock
"""5000 namespaces that come and go beside a full table: their connections go with them, and nobody waits.

Elsewhere the kernel itself takes a minute to take 500 of them down.
"""

import socket
import subprocess
import sys
import threading
import time

from lib import check, module, net, pace, traffic
from lib.pace import LONGER

ROUNDS, EACH = pace.sized((10, 500), (2, 100))
SIZE = pace.sized(1 << 20, 1 << 16)
# Longer than any of this takes, so that only what is gone goes.
TIMEOUTS = {name: 36_000 for name in ("timeout_closed", "timeout_one_way", "timeout_two_way", "timeout_icmp",
                                       "timeout_fd")}

# Makes so many namespaces, in each of which two sockets send a datagram to a closed port, and lets all go at once when it
# is told to.
MANY = """
import fcntl, os, socket, struct, sys
held, inodes = [], []
for _ in range(int(sys.argv[1])):
    os.unshare(os.CLONE_NEWNET)
    held.append(os.open("/proc/self/ns/net", os.O_RDONLY))
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    fcntl.ioctl(sockets[0], 0x8914, struct.pack("16sH14x", b"lo", 1))
    for one in sockets:
        one.sendto(b"x", ("127.0.0.1", 9))
        one.close()
    inodes.append(os.fstat(held[-1]).st_ino)
print(*inodes, flush=True)
sys.stdin.readline()
"""


class Beat:
    """Does something ten times a second; `longest` is how long it took at most."""

    def __init__(self, beat):
        self.beat, self.longest, self.count, self.done = beat, 0, 0, False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.done:
            self.longest = max(self.longest, self.beat())
            self.count += 1
            time.sleep(0.1)

    def reset(self):
        self.longest, self.count = 0, 0

    def stop(self):
        self.done = True
        self.thread.join()


def longest_read():
    """Reads an image, and says how long the longest of its reads took."""
    longest = 0
    with open(f"{module.PROC}/snapshot", "rb", buffering=0) as file:
        while True:
            began = time.monotonic()
            read = file.read(1 << 18)
            longest = max(longest, time.monotonic() - began)
            if not read:
                return longest


def round_trip(one, other):
    began = time.monotonic()
    one.send(b"x")
    other.recv(1)
    other.send(b"x")
    one.recv(1)
    return time.monotonic() - began


def set_config():
    began = time.monotonic()
    with open(f"{module.PROC}/config", "w") as file:
        file.write("timeout_tcp 7440\n")
    return time.monotonic() - began


def switch():
    """What asks nobody for anything: a machine that is busy with other things keeps this waiting, too."""
    began = time.monotonic()
    time.sleep(0.001)
    return time.monotonic() - began


class Filler:
    """Connections that stay: one socket asks many addresses, none of which answers."""

    def __init__(self):
        self.sink, self.one = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        self.sink.bind(("0.0.0.0", 9))
        self.asked = 0

    def fill(self, number):
        """So many more, half of them at either end."""
        for i in range(self.asked, self.asked + number // 2):
            self.one.sendto(b"x", (f"127.{1 + i // 62500}.{i // 250 % 250}.{i % 250 + 1}", 9))
        self.asked += number // 2


def one_round(beats):
    for beat in beats.values():
        beat.reset()
    before = module.stats()["table_used"]
    many = subprocess.Popen([sys.executable, "-c", MANY, str(EACH)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            text=True)
    inodes = {int(word) for word in many.stdout.readline().split()}
    grown = module.stats()["table_used"] - before
    began = time.monotonic()
    many.communicate("\n")
    gone = traffic.wait_for(lambda: module.stats()["table_used"] <= before, 60 * LONGER, 0.05)
    took = time.monotonic() - began
    return len(inodes), grown, gone, took


def main():
    first = net.Namespace()
    module.load(max_connections=SIZE, max_fds=SIZE // 16, **TIMEOUTS)
    filler = Filler()
    filler.fill(SIZE * 3 // 4)
    with first.inside():
        udp, answering = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    for a in (udp, answering):
        a.bind(("127.0.0.1", 0))
        a.settimeout(60)
    udp.connect(answering.getsockname())
    answering.connect(udp.getsockname())
    beats = {"read of an image": Beat(longest_read), "round trip": Beat(lambda: round_trip(udp, answering)),
             "change of the configuration": Beat(set_config), "sleep": Beat(switch)}
    time.sleep(3)
    for name, beat in beats.items():
        check.note(f"without namespaces the longest {name} took {beat.longest * 1000:.0f} ms of {beat.count}")
    longest = dict.fromkeys(beats, 0)
    for full in (False, True):
        check.part("a table that is full" if full else f"{ROUNDS} times {EACH} namespaces at once")
        if full:
            filler.fill(SIZE // 2)
            check.equal("no record is free", module.stats()["table_used"], SIZE)
        for number in range(1 if full else ROUNDS):
            made, grown, gone, took = one_round(beats)
            check.equal(f"round {number + 1}: namespaces", made, EACH)
            if not full:
                # A datagram and the error about it, at both ends.
                check.that("each had connections", grown >= 2 * EACH, grown)
            check.that("all of theirs are gone, and no other", gone, f"after {took:.1f} s")
            if not number:
                # Later ones wait for the kernel, which takes a minute for what else is to be done for as many.
                check.that("within seconds: all are looked for at once", took < 15 * LONGER, f"{took:.1f} s")
            for name, beat in beats.items():
                longest[name] = max(longest[name], beat.longest)
            check.note(f"gone {took:.1f} s after the last process; " + ", ".join(
                f"{name} {beat.longest * 1000:.0f} ms" for name, beat in beats.items()))
    for beat in beats.values():
        beat.stop()
    check.part("nobody waited")
    # Neither of these two waits for any lock of the module.
    still = max(longest["sleep"], longest["round trip"])
    for name in ("read of an image", "change of the configuration"):
        check.that(f"the longest {name} took a second more at most than what needs no lock",
                   longest[name] < 1 * LONGER + still, f"{longest[name] * 1000:.0f} and {still * 1000:.0f} ms")
    # Reading so many records here takes minutes.
    done = subprocess.run(["mutexctl", "audit"], capture_output=True, text=True)
    check.that("the books balance", done.returncode == 0, (done.stdout + done.stderr).strip()[-300:])
    for socket_ in (filler.sink, filler.one, udp, answering):
        socket_.close()
    module.unload()
    check.finish()


main()
