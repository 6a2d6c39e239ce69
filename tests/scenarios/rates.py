# SPDX-License-Identifier: MIT OR Apache-2.0
"""Rates and peaks: against what a paced sender sent, and against a capture.

Windows are the seconds since boot. The sender keeps away from their ends, so that what is in each is
known exactly, however late a tick comes.
"""

import socket
import time

from lib import check, module, pcap, traffic, wire

CLIENTS = 10
# Datagrams in each second, of client i so many more bytes.
PLAN = [12, 30, 21, 6]
SIZE = 500
HEADERS = 28
# Seconds: a tick, and what an emulated processor needs between a capture and a hook.
SLACK = 0.03


def boot():
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def within_second():
    """Waits until it is not near a second's end; gives the second."""
    while not 0.1 < boot() % 1 < 0.75:
        time.sleep(0.02)
    return int(boot())


def each(number, client):
    """Bytes of IP that a client sends in a second of so many datagrams."""
    return number * (SIZE + client + HEADERS)


def paced(row):
    check.part("a UDP server with ten clients, so much in each second")
    # On a machine that stands still for a while a sender can't keep to its plan, and there is nothing to compare.
    for _ in range(20):
        if kept := keeps_to_plan(row):
            break
        check.note("the machine stood still; once more")
        module.unload()
        wire.load(row)
    check.that("a sender kept its seconds", kept)


def keeps_to_plan(row):
    """Sends by the plan and compares; false if the plan could not be kept."""
    a, b = row.hosts
    with b.inside():
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind(("10.0.1.2", 0))
    clients = []
    for _ in range(CLIENTS):
        with a.inside():
            one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.connect(server.getsockname())
        clients.append(one)
    keys = [traffic.ends(one) for one in clients]
    capture = pcap.Capture(a, "right", "/tmp/right.pcap")
    second = within_second() + 1
    first = second
    shown, late = [], False
    for number in [*PLAN, 0, 0]:
        while boot() < second + 0.15:
            time.sleep(0.01)
        image = module.image()
        late |= image.boottime // 10**9 != second
        before = PLAN[second - first - 1] if 0 < second - first <= len(PLAN) else 0
        so_far = max([0, *PLAN[:second - first]])
        if second > first:
            shown.append((image, keys, before, so_far, f"second {second - first}"))
        for i in range(number):
            for client, one in enumerate(clients):
                one.send(bytes(SIZE + client))
                if i % 3 == 0:
                    server.sendto(b"x" * 72, server.recvfrom(2000)[1])
                else:
                    server.recv(2000)
        late |= boot() > second + 0.95
        second += 1
    image = module.image_at_rest()
    if late:
        capture.timed()
        for one in (*clients, server):
            one.close()
        return False
    for what in [*shown, (image, keys, 0, max(PLAN), "afterwards")]:
        compare(row, *what)
    windows = {}
    for when, packet in capture.timed():
        windows.setdefault(int(when - (image.time - image.boottime) / 1e9), []).append(packet.bytes)
    sums = [sum(windows.get(first + i, [])) for i in range(len(PLAN))]
    check.equal("the capture has the same in each second", sums,
                [sum(each(number, client) for client in range(CLIENTS)) for number in PLAN])
    host = image.quality
    # Its windows begin at any time, and last a second or so: what two seconds hold is the most.
    two = max(x + y for x, y in zip([0, *sums], [*sums, 0]))
    answers = 100 * CLIENTS * sum(-(-number // 3) for number in PLAN)
    for name, peak in (("in", host.peak_in), ("out", host.peak_out)):
        check.that(f"the host's peak {name}", (sum(sums) + answers) / (len(PLAN) + 2) <= peak <= (two + answers) / 0.9,
                   f"{peak}, seconds {sums}")
    for one in (*clients, server):
        one.close()
    return True


def compare(row, image, keys, number, largest, title):
    """The rates of the second before, and the peaks up to it."""
    a, b = row.hosts
    pairs = []
    for client, key in enumerate(keys):
        for host, one, fields in ((a, key, ("rate_out", "rate_in", "peak_out", "peak_in")),
                                  (b, traffic.mirrored(key), ("rate_in", "rate_out", "peak_in", "peak_out"))):
            c = wire.find(image, host, one)
            answers = lambda sent: 100 * -(-sent // 3)
            pairs.append((f"{host.name} client {client}", [getattr(c.quality, field) for field in fields],
                          [each(number, client), answers(number), each(largest, client), answers(largest)]))
            if host is a:
                fd, = (fd for fd in image.fds if fd.id == c.fd)
                pairs.append((f"fd of client {client}", fd.quality[-4:], c.quality[-4:]))
    fd, = (fd for fd in image.fds if fd.id == c.fd)
    total = lambda sent: sum(each(sent, client) for client in range(CLIENTS))
    pairs.append(("the server's fd", list(fd.quality[-4:]),
                  [total(number), 100 * CLIENTS * -(-number // 3), total(largest), 100 * CLIENTS * -(-largest // 3)]))
    check.all_equal(f"{title}: rates of the second before, and peaks", pairs)


def largest_window(packets, offset):
    """The least and the most that the largest window of any second can hold, by a capture whose
    clock is `offset` ahead of boot time."""
    surely, maybe = {}, {}
    for when, packet in packets:
        early, late = int(when - offset - SLACK), int(when - offset + SLACK)
        for second in {early, late}:
            maybe[second] = maybe.get(second, 0) + packet.bytes
        if early == late:
            surely[early] = surely.get(early, 0) + packet.bytes
    return max(surely.values()), max(maybe.values())


def shaped(row):
    check.part("a TCP transfer through a shaped wire")
    a, b = row.hosts
    a.sh("tc", "qdisc", "replace", "dev", "right", "root", "tbf", "rate", "800kbit", "burst", "5000",
         "latency", "400ms")
    listener = traffic.tcp_listener(b, "10.0.1.2")
    near = traffic.tcp_connect(a, *listener.getsockname(), timeout=30)
    far, _ = listener.accept()
    capture = pcap.Capture(a, "right", "/tmp/shaped.pcap")
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 20000)
    near.settimeout(None)
    near.setblocking(False)
    # By the second in which it was shown.
    rest, rates = 300_000, {}
    key = traffic.ends(near)
    far.setblocking(False)
    got = 0
    while got < 300_000:
        for work in (lambda: near.send(bytes(min(rest, 5000))) if rest else 0, lambda: -len(far.recv(65536))):
            try:
                done = work()
                rest -= max(done, 0)
                got -= min(done, 0)
            except BlockingIOError:
                pass
        time.sleep(0.01)
        if int(boot() * 10) % 5 == 0:
            image = module.image()
            rates[image.boottime // 10**9] = wire.find(image, b, traffic.mirrored(key)).quality.rate_in
    image = module.image_at_rest()
    # Two windows of silence end the last one.
    time.sleep(2.5)
    image = module.image_at_rest()
    packets = [(when, packet) for when, packet in capture.timed() if packet[:5] == key]
    low, high = largest_window(packets, (image.time - image.boottime) / 1e9)
    c = wire.find(image, b, traffic.mirrored(key))
    check.that("the receiver's peak is the largest window of the capture, but for a tick",
               low <= c.quality.peak_in <= high, f"{low} <= {c.quality.peak_in} <= {high}")
    check.that("every rate that was shown is at most the peak", max(rates.values()) <= c.quality.peak_in, rates)
    if len(rates) == max(rates) - min(rates) + 1:
        check.equal("and one is it", max(rates.values()), c.quality.peak_in)
    check.that("no second had more than the shaper lets through", c.quality.peak_in <= 100_000 + 5000 + 1500,
               c.quality.peak_in)
    check.equal("at rest rates are nothing", (c.quality.rate_in, c.quality.rate_out), (0, 0))
    for one in (near, far, listener):
        one.close()
    a.sh("tc", "qdisc", "del", "dev", "right", "root")


def main():
    row = wire.Row("a", "b")
    wire.load(row)
    paced(row)
    shaped(row)
    module.audit()
    module.unload()
    check.finish()


main()
