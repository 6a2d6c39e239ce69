# SPDX-License-Identifier: MIT OR Apache-2.0
"""/proc/mutex/events: who keeps up gets everything once, who does not is told what it missed.

The judges are the programs that made the traffic, the snapshot, and arithmetic.
"""

import collections
import ctypes
import errno
import mmap
import os
import select
import socket
import sys
import threading
import time

from lib import check, events, module, net, pace, traffic
from lib.events import Monitor
from lib.image import Image, NOTHING

TCP, UDP = 6, 17
# An emulated processor is some 20 times slower.
MANY = 20_000 if pace.IS_NATIVE else pace.sized(2_000, 300)
# Opens and closes connections: TCP with a byte each way, UDP with a datagram of i % 100 bytes.
CLIENT = """
import socket, sys
kind, host, port, number = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
for i in range(number):
    if kind == "tcp":
        with socket.create_connection((host, port)) as one:
            one.sendall(b"x")
            one.recv(1)
            one.recv(1)
    else:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.bind(("10.0.0.1", 2000 + i))
            one.sendto(bytes(i % 100), (host, port))
"""
SERVER = """
import socket, sys
listener = socket.create_server((sys.argv[1], int(sys.argv[2])), backlog=512)
while True:
    one, _ = listener.accept()
    with one:
        one.recv(1)
        one.sendall(b"y")
"""


def error(work):
    """The name of the error of some work, or what it gave."""
    try:
        return work()
    except OSError as failed:
        return errno.errorcode[failed.errno]


class World:
    def __init__(self):
        self.a, self.b = net.Namespace("a"), net.Namespace("b")
        net.veth(self.a, "va", self.b, "vb")
        net.address(self.a, "va", "10.0.0.1/24", "10.0.1.1/24", "fd00::1/64")
        net.address(self.b, "vb", "10.0.0.2/24", "10.0.1.2/24", "fd00::2/64")
        net.up(self.a, "va")
        net.up(self.b, "vb")
        net.settle(self.a, self.b)
        with self.b.inside():
            self.sink = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            self.sink.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            # SO_RCVBUFFORCE
            self.sink.setsockopt(socket.SOL_SOCKET, 33, 1 << 24)
            self.sink.bind(("::", 9000))
            self.sink.settimeout(60)

    def udp(self, source, to=None, size=10, number=1, uid=0):
        """Datagrams from that port to the sink; the socket's key."""
        to = to or ("10.0.0.2", 9000)
        with self.a.inside():
            one = socket.socket(socket.AF_INET6 if ":" in to[0] else socket.AF_INET, socket.SOCK_DGRAM)
        if uid:
            os.fchown(one.fileno(), uid, uid)
        one.bind(("", source))
        one.connect(to)
        for _ in range(number):
            one.send(bytes(size))
        key = traffic.ends(one)
        one.close()
        self.arrived(number)
        return key

    def arrived(self, number):
        """Takes so many datagrams out of the sink: what has come there has been told to every monitor."""
        for _ in range(number):
            self.sink.recv(2048)


def balance(row):
    return row["delivered"] + row["lost"] + row["pending"]


def all_of_them(world):
    check.part(f"{MANY} connections and a reader that keeps up")
    number = MANY // 2
    # Nothing may end by timeout, nor leave the table, before the clients are done: the sweeper may come between
    # the last FIN and what acknowledges it, which would be another connection then.
    module.load(timeout_one_way=3600, timeout_icmp=3600, timeout_closed=3600, timeout_tcp_closing=3600)
    with open(f"{module.PROC}/config", "w") as file:
        file.write("events_buffer 65536\n")
    server = world.b.start(sys.executable, "-c", SERVER, "10.0.0.2", 7000)
    traffic.wait_for(lambda: traffic.listens(world.b, 7000))
    with Monitor("kind=start,end protocol=tcp,udp") as one:
        clients = [world.a.start(sys.executable, "-c", CLIENT, "tcp", "10.0.0.2", 7000, number),
                   world.a.start(sys.executable, "-c", CLIENT, "udp", "10.0.0.2", 9000, number)]
        while any(client.poll() is None for client in clients):
            one.drain()
            time.sleep(0.02)
        check.equal("the clients end well", [client.returncode for client in clients], [0, 0])
        world.arrived(number)
        module.image_at_rest()
        with open(f"{module.PROC}/config", "w") as file:
            file.write("timeout_one_way 1\ntimeout_tcp_closing 1\ntimeout_closed 0\n")
        one.follow(lambda found: sum(event.kind == "end" for event in found) >= 4 * number, 300)
        check.equal("nothing is lost", (one.lost, one.sequence), (0, len(one.events)))
        starts = collections.Counter((c.protocol, c.netns) for c in one.of("start"))
        ends = collections.Counter((c.protocol, c.netns) for c in one.of("end"))
        expected = {(protocol, host.inode): number for protocol in (TCP, UDP) for host in (world.a, world.b)}
        check.equal("connections started", dict(starts), expected)
        check.equal("connections ended", dict(ends), expected)
        ids = {kind: [c.id for c in one.of(kind)] for kind in ("start", "end")}
        check.that("each once", len(set(ids["start"])) == len(ids["start"])
                   and sorted(ids["start"]) == sorted(ids["end"]), len(ids["start"]))
        check.that("started before it ended", order(one))
        ports = [c.local_port for c in one.of("start") if (c.protocol, c.netns) == (UDP, world.a.inode)]
        check.equal("UDP: the ports that were used", sorted(ports), list(range(2000, 2000 + number)))
        payload = sum(c.sent.payload for c in one.of("end") if (c.protocol, c.netns) == (UDP, world.a.inode))
        check.equal("UDP: the payload of the ENDs", payload, sum(i % 100 for i in range(number)))
        told = [(c.sent.payload, c.received.payload) for c in one.of("end") if c.protocol == TCP]
        check.equal("TCP: a byte each way on each side", collections.Counter(told), {(1, 1): 2 * number})
        check.that("none is left", traffic.wait_for(
            lambda: not [c for c in module.image().connections if c.protocol in (TCP, UDP)], 60, 0.5))
        image = module.image_at_rest()
        sums = {"sent": NOTHING, "received": NOTHING}
        for c in one.of("end"):
            for direction in sums:
                sums[direction] += getattr(c, direction)
        # What is neither TCP nor UDP is not among the events.
        others = [c for c in image.connections if c.protocol not in (TCP, UDP)]
        check.equal("nothing else has been closed", len(others) + 4 * number, image.status["connections_total"])
        check.equal("the ENDs' counters are the closed totals", sums,
                    {direction: image.closed[direction] for direction in sums})
        row, = events.monitors()
        check.equal("monitors says so", (row["produced"], row["delivered"], row["lost"], row["pending"], row["slots"]),
                    (8 * number, 8 * number, 0, 0, 65536))
    server.kill()
    server.wait()
    module.audit("after all of them")
    module.unload()


def by_connection(found):
    """Events connection by connection, whatever their order: two CPUs may tell two monitors of two in another one."""
    return sorted(((event.kind, event.record.key) for event in found), key=lambda pair: (pair[1], pair[0]))


def order(monitor):
    began = set()
    for event in monitor.events:
        if event.kind == "start":
            began.add(event.record.id)
        elif event.record.id not in began:
            return False
    return True


def overrun(world):
    check.part("readers that do not keep up")
    with Monitor("kind=packet local=10.0.0.1 direction=sent") as slow, \
            Monitor("kind=packet local=10.0.0.1 direction=sent") as fast:
        for turn in range(10):
            world.udp(3000, number=1000)
            fast.drain()
            if turn in (5, 7):
                slow.read(events.LARGEST * 100)
        rows = {row["id"]: row for row in events.monitors()}
        mine, other = rows[min(rows)], rows[max(rows)]
        check.equal("produced for each", (mine["produced"], other["produced"]), (10_000, 10_000))
        check.equal("delivered + lost + pending", (balance(mine), balance(other)), (10_000, 10_000))
        check.equal("read by the slow one before", mine["delivered"], len(slow.events))
        check.that("some are lost, and a queue is pending", mine["lost"] > 4000 and mine["pending"] == 4096, mine)
        check.equal("the other one lost nothing", (len(fast.events), fast.lost, other["lost"]), (10_000, 0, 0))
        slow.drain()
        # The last were lost: the next one tells.
        world.udp(3000)
        slow.drain()
        row = events.monitors()[0]
        check.equal("the gaps of its numbers say the same", (slow.sequence, slow.lost, len(slow.events)),
                    (10_001, row["lost"], 10_001 - row["lost"]))
        numbers = [event.sequence for event in slow.events]
        check.equal("none comes twice", len(set(numbers)), len(numbers))
        stats = module.stats()
        check.equal("stats says so, too", (stats["events_lost"], stats["monitors"]), (row["lost"], 2))
    traffic.wait_for(lambda: module.stats()["monitors"] == 0)
    check.equal("closed monitors stay in stats", module.stats()["events_lost"], row["lost"])


def filters(world):
    check.part("filters")
    uid = 4711
    words = {
        "protocol=tcp": lambda c: c.protocol == TCP, "protocol!=tcp": lambda c: c.protocol != TCP,
        "protocol=17": lambda c: c.protocol == UDP, "port=4001": lambda c: 4001 in (c.local_port, c.remote_port),
        "local_port=4000-4003": lambda c: 4000 <= c.local_port <= 4003,
        "remote_port=9000": lambda c: c.remote_port == 9000,
        "address=10.0.1.0/24": lambda c: "10.0.1." in c.local or "10.0.1." in c.remote,
        "local=10.0.1.2": lambda c: c.local == "10.0.1.2", "remote=fd00::/16": lambda c: c.remote.startswith("fd00"),
        f"netns={world.a.inode}": lambda c: c.netns == world.a.inode,
        f"netns!={world.a.inode} protocol=udp": lambda c: c.netns != world.a.inode and c.protocol == UDP,
        f"uid={uid}": lambda c: c.uid == uid, "kind=start": None, "kind=end": None,
        "protocol=udp,tcp port=4001,4002 local=10.0.0.1":
            lambda c: {4001, 4002} & {c.local_port, c.remote_port} and c.local == "10.0.0.1",
    }
    monitors = {word: Monitor(word) for word in words}
    all_ = Monitor("")
    # What came while they were opened one after the other is not the same for all.
    for monitor in (*monitors.values(), all_):
        monitor.drain().clear()
    made = []
    for number, to in enumerate([("10.0.0.2", 9000), ("10.0.1.2", 9000), ("fd00::2", 9000), ("10.0.0.2", 9000),
                                 ("10.0.1.2", 9000), ("fd00::2", 9000)]):
        made.append(world.udp(4000 + number, to, uid=uid if number == 1 else 0))
    listener = traffic.tcp_listener(world.b, "10.0.0.2", 4001)
    near = traffic.tcp_connect(world.a, "10.0.0.2", 4001)
    far, _ = listener.accept()
    made.append(traffic.ends(near))
    far.close()
    near.recv(1)
    near.close()
    listener.close()
    made += [traffic.mirrored(key) for key in made]
    check.that("they all end", all_.follow(lambda found: {c.key for c in all_.of("end")} >= set(made), 30))
    check.that("every connection made has started", {c.key for c in all_.of("start")} >= set(made))
    check.that("one of each side has that uid", sum(c.uid == uid for c in all_.of("end")) >= 1,
               [c.uid for c in all_.of("end")])
    pairs = []
    for word, monitor in monitors.items():
        fits = words[word]
        expected, got = [], []

        def both():
            expected[:] = by_connection(event for event in all_.drain()
                                        if (event.kind == word.partition("=")[2] if fits is None
                                            else fits(event.record)))
            got[:] = by_connection(monitor.drain())
            return got == expected

        # Something may pass between the two, which the other one then has, too.
        traffic.wait_for(both)
        check.that(f"{word}: some fit and some don't", 0 < len(expected) < len(all_.events), len(expected))
        pairs.append((word, got, expected))
        monitor.close()
    check.all_equal("what fits has come, in its order, and nothing else", pairs)
    all_.close()


def packets(world):
    check.part("packets")
    with Monitor("kind=packet protocol=udp port=5000") as every, \
            Monitor("kind=packet protocol=udp port=5000 sample=10") as tenth, \
            Monitor("kind=packet protocol=udp port=5000 direction=received") as inward, \
            Monitor("kind=packet protocol=tcp port=5001") as tcp, Monitor("protocol=udp port=5000") as unasked:
        with world.a.inside():
            one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.bind(("10.0.0.1", 5000))
        sizes = [(7 * i) % 1400 for i in range(505)]
        # On one CPU there is one order.
        cpus = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(cpus)})
        for size in sizes:
            one.sendto(bytes(size), ("10.0.0.2", 9000))
        world.arrived(len(sizes))
        os.sched_setaffinity(0, cpus)
        listener = traffic.tcp_listener(world.b, "10.0.0.2", 5001)
        near = traffic.tcp_connect(world.a, "10.0.0.2", 5001)
        far, _ = listener.accept()
        sender = threading.Thread(target=near.sendall, args=(bytes(1_000_000),))
        sender.start()
        traffic.receive(far, 1_000_000)
        sender.join()
        image = module.image_at_rest()
        for monitor in (every, tenth, inward, tcp, unasked):
            monitor.drain()
        for direction, host in (("sent", world.a), ("received", world.b)):
            came = [p.payload for p in every.of("packet") if p.direction == direction]
            check.equal(f"UDP {direction}: every datagram in its order", came, sizes)
            check.equal(f"UDP {direction}: its bytes", [p.bytes for p in every.of("packet") if p.direction == direction],
                        [size + 28 for size in sizes])
        check.equal("one who wants what is received", [(p.netns, p.payload) for p in inward.of("packet")],
                    [(world.b.inode, size) for size in sizes])
        whole = [(p.netns, p.direction, p.payload) for p in every.of("packet")]
        check.equal("sample=10 is every tenth", [(p.netns, p.direction, p.payload) for p in tenth.of("packet")],
                    whole[9::10])
        check.equal("who has not asked gets none", [event.kind for event in unasked.events], ["start", "start"])
        check.equal("nothing was lost", [m.lost for m in (every, tenth, inward, tcp)], [0] * 4)
        pairs = []
        for c in image.connections:
            if c.protocol == TCP and 5001 in (c.local_port, c.remote_port):
                for direction in ("sent", "received"):
                    mine = [p for p in tcp.of("packet") if (p.connection, p.direction) == (c.id, direction)]
                    pairs.append((f"{c.netns} {direction}",
                                  (sum(p.packets for p in mine), len(mine), sum(p.bytes for p in mine),
                                   sum(p.payload for p in mine)), tuple(getattr(c, direction))))
                    check.equal(f"each names its connection {c.id}", {p.key for p in mine}, {c.key})
        check.equal("TCP: both sides", len(pairs), 4)
        check.all_equal("TCP: the packets' sums are the connection's counters", pairs)
        payload = sum(p.payload for p in tcp.of("packet") if p.netns == world.b.inode and p.direction == "received")
        check.that("TCP: what was received is what was sent", payload >= 1_000_000, payload)
        for end in (one, near, far, listener):
            end.close()


def calls(world):
    check.part("what the calls say")
    with Monitor("kind=start port=6000") as one:
        check.equal("a read that holds no header", error(lambda: os.read(one.fd, 39)), "EINVAL")
        check.equal("one with room for it alone", (one.read(40), one.header is not None), ([], True))
        check.equal("nothing there", error(lambda: os.read(one.fd, 4096)), "EAGAIN")
        poll = select.poll()
        poll.register(one.fd, select.POLLIN)
        check.equal("poll: not yet", poll.poll(0), [])
        key = world.udp(6000)
        check.equal("poll: now", poll.poll(60_000), [(one.fd, select.POLLIN)])
        check.equal("a buffer too small for the event", error(lambda: os.read(one.fd, events.LARGEST - 1)), "EINVAL")
        check.equal("one for it alone", [event.record.key for event in one.read(events.LARGEST)], [key])
        check.equal("one for one and a half", len(one.read(events.LARGEST * 3 // 2)), 1)
        check.equal("and nothing is lost", (one.lost, one.sequence, one.read()), (0, 2, None))
    with Monitor("port=6001", blocking=True) as one:
        one.read(40)
        found = []
        reader = threading.Thread(target=lambda: found.extend(one.read()))
        reader.start()
        time.sleep(0.3)
        check.equal("a reader waits", (reader.is_alive(), found), (True, []))
        key = world.udp(6001)
        reader.join(60)
        check.equal("and is woken", ([event.record.key for event in found][:1], reader.is_alive()), ([key], False))
    with Monitor("port=6002") as one, select.epoll() as epoll:
        one.read()
        epoll.register(one.fd, select.EPOLLIN | select.EPOLLET)
        first = epoll.poll(0)
        waiter = threading.Thread(target=lambda: first.extend(epoll.poll(60)))
        waiter.start()
        time.sleep(0.2)
        world.udp(6002)
        waiter.join()
        check.equal("epoll, by edge, wakes", first, [(one.fd, select.EPOLLIN)])
    with Monitor("port=6003") as one:
        row = next(row for row in events.monitors() if row["filter"] == "port=6003")
        wrong = []
        for text, word in (("port=0", "0"), ("prot=tcp", "prot"), ("port", "port"), ("kind=begin", "begin"),
                           ("protocol=tpc", "tpc"), ("address=10.0.0.0/33", "10.0.0.0/33"), ("sample=0", "0"),
                           ("port=1 " * 17, "port=1"), ("uid=-1", "-1")):
            for _ in range(20):
                with module.LogWatch() as log:
                    said = error(lambda: one.write(text))
                lines = [line for line in log.lines if "mutex: events:" in line]
                if lines:
                    break
                time.sleep(0.5)
            if said != "EINVAL" or len(lines) != 1 or word not in lines[0]:
                wrong.append((text, said, lines))
        check.equal("bad filters are refused, and a line names the word", wrong, [])
        check.equal("no UTF-8", error(lambda: os.write(one.fd, b"port=\xff")), "EINVAL")
        check.equal("too long", error(lambda: one.write("port=1" + " " * 2100)), "EINVAL")
        after = next(other for other in events.monitors() if other["id"] == row["id"])
        check.equal("the old filter stays", after["filter"], "port=6003")
        world.udp(6004)
        key = world.udp(6003)
        check.equal("and goes on filtering", {event.record.key for event in one.drain()},
                    {key, traffic.mirrored(key)})


def crowd(world):
    check.part("64 monitors at once")
    with open(f"{module.PROC}/config", "w") as file:
        file.write("events_buffer 64\n")
    monitors = [Monitor(f"kind=start port={10_000 + number}") for number in range(64)]
    check.equal("the 65th", error(Monitor), "EBUSY")
    rows = events.monitors()
    check.equal("monitors lists them", [(row["filter"], row["pid"], row["uid"], row["slots"], row["pending"])
                                        for row in rows],
                [(f"kind=start port={10_000 + number}", os.getpid(), 0, 64, 0) for number in range(64)])
    check.equal("ids", len({row["id"] for row in rows}), 64)
    keys = [world.udp(10_000 + number) for number in range(64)]
    check.all_equal("each gets its own", ((number, {event.record.key for event in monitors[number].drain()},
                                            {key, traffic.mirrored(key)}) for number, key in enumerate(keys)))
    monitors.pop().close()
    with Monitor() as again:
        check.equal("one goes, one may come", again.read(40), [])
    for monitor in monitors:
        monitor.close()
    check.equal("none is left", events.monitors(), [])
    with open(f"{module.PROC}/config", "w") as file:
        file.write("events_buffer 4096\n")


def faults(world):
    """Readers whose memory ends before the length that they name."""
    check.part("a buffer that ends too soon")
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    libc.read.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]
    at = libc.mmap(None, 2 * mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_WRITE,
                   mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
    check.equal("the second page is no memory", libc.mprotect(at + mmap.PAGESIZE, mmap.PAGESIZE, 0), 0)

    def read(fd, room):
        got = libc.read(fd, at + mmap.PAGESIZE - room, 1 << 16)
        return ctypes.string_at(at + mmap.PAGESIZE - room, got) if got > 0 else errno.errorcode[ctypes.get_errno()]

    with Monitor("kind=start") as one:
        one.read(40)
        keys = {world.udp(8000 + number) for number in range(10)}
        said = [read(one.fd, events.LARGEST * 3 + 100), read(one.fd, 100), read(one.fd, 1)]
        check.that("what fits is read", isinstance(said[0], bytes) and said[0], len(said[0]))
        check.equal("then nothing does", said[1:], ["EFAULT"] * 2)
        one.take(said[0])
        # The numbers say if one is missing.
        one.drain()
        check.equal("no event is lost", {event.record.key for event in one.events},
                    keys | {traffic.mirrored(key) for key in keys})
        check.equal("nor said to be", one.lost, 0)
    whole = module.read("snapshot")
    with open(f"{module.PROC}/snapshot", "rb", buffering=0) as file:
        image, after = read(file.fileno(), 100), read(file.fileno(), 1)
        check.that("of an image, too, what fits is read", isinstance(image, bytes) and image, len(image))
        check.equal("then nothing is", after, "EFAULT")
        while more := os.read(file.fileno(), 1 << 16):
            image += more
    check.equal("nothing of it is lost", len(image), len(whole))
    check.equal("and it balances", Image(image).audit(), [])


def namespaces(world):
    check.part("a monitor of another namespace")
    with world.b.inside():
        confined = Monitor("")
    free = Monitor("")
    confined.write(f"netns={world.a.inode},{world.b.inode} kind=start,end,packet protocol=udp")
    free.write("kind=start,end,packet protocol=udp")
    for number in range(20):
        world.udp(7000 + number, number=number + 1)
    free.drain()
    confined.drain()
    expected = by_connection(event for event in free.events if event.record.netns == world.b.inode)
    check.equal("sees its own, and all of it", by_connection(confined.events), expected)
    check.that("there was more", 0 < len(expected) < len(free.events), f"{len(expected)} of {len(free.events)}")
    with world.b.inside():
        rows = events.monitors()
    check.equal("and sees itself only", [row["netns"] for row in rows], [world.b.inode])
    check.equal("the first one sees both", len(events.monitors()), 2)
    confined.close()
    free.close()


def main():
    world = World()
    all_of_them(world)
    module.load(timeout_closed=1, timeout_one_way=2, timeout_tcp_closing=2)
    filters(world)
    calls(world)
    module.audit("between")
    module.unload()
    module.load(timeout_closed=3600, timeout_one_way=3600, timeout_two_way=3600)
    overrun(world)
    packets(world)
    crowd(world)
    faults(world)
    namespaces(world)
    module.audit()
    module.unload()
    check.finish()


main()
