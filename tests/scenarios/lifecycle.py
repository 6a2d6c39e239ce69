# SPDX-License-Identifier: MIT OR Apache-2.0
"""How connections open, turn and end: states as ss shows them, resets, refusals, silence, reuse.

The states are made by dropping packets on their way in, before they reach MUTEX's hook. What ends
by itself is seen in a second load of the module, with timeouts of some seconds.
"""

import contextlib
import socket
import struct
import subprocess
import time

from lib import check, module, net, pace, ss, traffic

TCP, UDP, SCTP = 6, 17, 132
TIMEOUTS = {
    "timeout_tcp_opening": 6, "timeout_tcp": 8, "timeout_tcp_closing": 7, "timeout_one_way": 3,
    "timeout_two_way": 5, "timeout_icmp": 4, "timeout_closed": 3, "timeout_fd": 2,
}
# ss's names where they are not MUTEX's in capitals.
NAMES = {"ESTAB": "established", "UNCONN": "closed"}
# Seconds between two sweeps, and what an emulated processor may add.
LATE = 3.0


class World:
    """Two hosts on a veth pair, and every connection that was ever seen in an image."""

    def __init__(self):
        self.a, self.b = net.Namespace("a"), net.Namespace("b")
        net.veth(self.a, "va", self.b, "vb")
        net.address(self.a, "va", "10.0.0.1/24")
        net.address(self.b, "vb", "10.0.0.2/24")
        for host in (self.a, self.b):
            host.sysctl("ipv6/conf/all/disable_ipv6", 1)
            host.sh("nft", "-f", "-", input="""
                table ip drops { chain in { type filter hook prerouting priority raw; };
                }""")
        self.seen = {}

    def image(self):
        image = module.image()
        for c in image.connections:
            self.seen[c.id] = c
        return image

    def find(self, host, key):
        """The connection of that key that was opened last, None if none is there."""
        found = [c for c in self.image().connections if c.netns == host.inode and c.key == key]
        return max(found, key=lambda c: c.id, default=None)

    @contextlib.contextmanager
    def drop(self, host, match="tcp"):
        """`host` loses what comes in."""
        rule = f"add rule ip drops in meta l4proto {match} drop"
        host.sh("nft", "-f", "-", input=rule)
        try:
            yield
        finally:
            host.sh("nft", "-f", "-", input="flush chain ip drops in")


def state_in_ss(host, key):
    """In MUTEX's words; None if there is no such socket."""
    for one in ss.sockets(host):
        if one.key == key:
            return NAMES.get(one.state, one.state.lower())
    return None


def same_state(world, title, key, near, far):
    """Both ends' states, MUTEX's against ss's, and against what they are to be here."""
    for host, one, expected in ((world.a, key, near), (world.b, traffic.mirrored(key), far)):
        if expected is None:
            continue
        traffic.wait_for(lambda: getattr(world.find(host, one), "state", None) == expected, 3)
        c = world.find(host, one)
        shown = state_in_ss(host, one)
        if expected == "closed":
            # ss has no closed sockets.
            check.equal(f"{title}: {host.name} is closed, in ss gone", (c and c.state, shown), ("closed", None))
        else:
            check.equal(f"{title}: {host.name} by MUTEX and by ss", (c and c.state, shown), (expected, expected))


def pair(world, port=0, source=None):
    """A listener in b, and both ends of a connection from a."""
    listener = traffic.tcp_listener(world.b, "10.0.0.2", port)
    with world.a.inside():
        near = socket.socket()
        near.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        near.settimeout(10 * pace.LONGER)
        if source:
            near.bind(("10.0.0.1", source))
        near.connect(listener.getsockname())
    far, _ = listener.accept()
    listener.close()
    return near, far, traffic.ends(near)


def reset(one):
    """Closes a socket by a reset."""
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    one.close()


def opening(world):
    check.part("opening")
    with world.drop(world.b):
        with world.a.inside():
            one = socket.socket()
        one.setblocking(False)
        one.connect_ex(("10.0.0.2", 9))
        key = (TCP, *one.getsockname(), "10.0.0.2", 9)
        same_state(world, "SYN to a port that drops", key, "syn-sent", None)
        check.equal("the other side has seen nothing", world.find(world.b, traffic.mirrored(key)), None)
        one.close()

    listener = traffic.tcp_listener(world.b, "10.0.0.2")
    with world.drop(world.b, "tcp tcp flags & (syn | ack) == ack"):
        near = traffic.tcp_connect(world.a, *listener.getsockname())
        key = traffic.ends(near)
        same_state(world, "the last ACK of the handshake is lost", key, "established", "syn-recv")
    near.sendall(b"now")
    far, _ = listener.accept()
    far.recv(3)
    same_state(world, "and comes with the first data", key, "established", "established")
    listener.close()
    return near, far, key


def closing(world, near, far, key):
    check.part("closing, step by step")
    near.shutdown(socket.SHUT_WR)
    same_state(world, "one side has finished", key, "fin-wait-2", "close-wait")
    far.sendall(bytes(10000))
    traffic.receive(near, 10000)
    same_state(world, "the other one still sends", key, "fin-wait-2", "close-wait")
    c, d = world.find(world.a, key), world.find(world.b, traffic.mirrored(key))
    check.equal("which is counted", (c.received.payload, d.sent.payload), (10000, 10000))
    with world.drop(world.a):
        far.close()
        same_state(world, "its FIN is lost", key, "fin-wait-2", "last-ack")
    same_state(world, "and comes again", key, "time-wait", "closed")
    c = world.find(world.a, key)
    check.equal("no flags", c.flags, set())
    near.close()

    check.part("closing at once on both sides")
    near, far, key = pair(world)
    with world.drop(world.b):
        with world.drop(world.a):
            near.shutdown(socket.SHUT_WR)
            far.shutdown(socket.SHUT_WR)
            same_state(world, "both FINs are lost", key, "fin-wait-1", "fin-wait-1")
        same_state(world, "one comes again, its ACK is lost", key, "closing", "fin-wait-1")
    same_state(world, "all comes again", key, "time-wait", "time-wait")
    near.close()
    far.close()


def resets(world):
    check.part("resets and refusals")
    near, far, key = pair(world)
    near.sendall(b"x" * 100)
    far.recv(100)
    reset(near)
    same_state(world, "one side resets", key, "closed", "closed")
    for host, one in ((world.a, key), (world.b, traffic.mirrored(key))):
        check.equal(f"{host.name} says so", world.find(host, one).flags, {"reset"})
    far.close()

    with world.a.inside():
        one = socket.socket()
        one.bind(("10.0.0.1", 0))
        key = (TCP, *one.getsockname(), "10.0.0.2", 9)
        refused = one.connect_ex(("10.0.0.2", 9))
    check.equal("connect to a closed port is refused", refused, 111)
    for host, one_key in ((world.a, key), (world.b, traffic.mirrored(key))):
        c = world.find(host, one_key)
        check.equal(f"{host.name}: a packet each way, closed by reset",
                    (c.sent.packets, c.received.packets, c.state, c.flags), (1, 1, "closed", {"reset"}))
    one.close()


def reuse(world):
    check.part("a port used again")
    for title, end in (("reset", reset), ("closed by the other side", None)):
        ids = []
        numbers = []
        for size in (1000, 2000):
            near, far, key = pair(world, port=7000, source=7001)
            near.sendall(bytes(size))
            traffic.receive(far, size)
            c, d = world.find(world.a, key), world.find(world.b, traffic.mirrored(key))
            ids.append((c.id, d.id))
            numbers.append((c.sent.payload, d.received.payload, c.state, d.state))
            if end:
                end(near)
                far.close()
            else:
                # The listening side gets TIME_WAIT, which a new SYN may take over.
                far.shutdown(socket.SHUT_WR)
                near.recv(1)
                near.close()
                traffic.wait_for(lambda: world.find(world.b, traffic.mirrored(key)).state == "time-wait")
                far.close()
                time.sleep(1.1)
        check.that(f"{title}: another id each time, on both sides",
                   ids[0][0] != ids[1][0] and ids[0][1] != ids[1][1], ids)
        check.equal(f"{title}: each with its own numbers", numbers,
                    [(size, size, "established", "established") for size in (1000, 2000)])
        image = world.image()
        old = [c for c in image.connections if c.id in ids[0]]
        check.equal(f"{title}: the first ones keep theirs",
                    sorted(c.sent.payload + c.received.payload for c in old), [1000, 1000])


def silence(world):
    check.part("silence")
    near, far, key = pair(world)
    near.sendall(bytes(500))
    far.recv(500)
    with world.a.inside():
        half = socket.socket(socket.AF_INET, socket.SOCK_RAW, TCP)
        lonely = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with world.b.inside():
        answering = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        answering.bind(("10.0.0.2", 0))
        dumb = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        dumb.bind(("10.0.0.2", 0))
    with world.drop(world.b, "tcp tcp dport 9"):
        # A SYN that no socket sends again, or gives up: 20 bytes of header.
        half.sendto(struct.pack("!HHIIBBHHH", 4711, 9, 1, 0, 0x50, 2, 1024, 0, 0), ("10.0.0.2", 0))
        half_key = (TCP, "10.0.0.1", 4711, "10.0.0.2", 9)
    for one, to in ((lonely, dumb), (asking, answering)):
        one.connect(to.getsockname())
        one.send(b"question")
    data, source = answering.recvfrom(100)
    answering.sendto(b"answer", source)
    asking.recv(100)
    # One that stays open: where there are kprobes, a socket's connections end when it is closed.
    with world.a.inside():
        echo = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    # Type 8, code 0, checksum, identifier 77, sequence 1.
    echo.sendto(struct.pack("!BBHHH", 8, 0, 0xffff - 0x0800 - 77 - 1, 77, 1), ("10.0.0.2", 0))
    closing_near, closing_far, closing_key = pair(world)
    closing_near.shutdown(socket.SHUT_WR)
    same_state(world, "half closed", closing_key, "fin-wait-2", "close-wait")
    ping_key = next(c.key for c in world.image().connections
                    if c.netns == world.a.inode and c.protocol == 1 and c.local_port)

    cases = [
        ("established TCP", key, "timeout_tcp"),
        ("TCP before its handshake", half_key, "timeout_tcp_opening"),
        ("TCP after a FIN", closing_key, "timeout_tcp_closing"),
        ("UDP without an answer", traffic.ends(lonely), "timeout_one_way"),
        ("UDP with an answer", traffic.ends(asking), "timeout_two_way"),
        ("ICMP echo", ping_key, "timeout_icmp"),
    ]
    closed = {}
    deadline = time.monotonic() + 20
    while len(closed) < len(cases) and time.monotonic() < deadline:
        for title, one, timeout in cases:
            c = world.find(world.a, one)
            if c and c.closed:
                closed[title] = c
        time.sleep(0.3)
    for title, one, timeout in cases:
        c = closed.get(title)
        if not check.that(f"{title} ends by its timeout", c and "timed-out" in c.flags, c):
            continue
        silent = (c.closed - c.last_seen) / 1e9
        check.that(f"{title}: after {TIMEOUTS[timeout]} s of silence, no sooner, at the next sweep",
                   TIMEOUTS[timeout] <= silent <= TIMEOUTS[timeout] + LATE, f"{silent:.2f} s")

    check.part("speaking again after the timeout")
    first = world.seen[closed["established TCP"].id]
    near.sendall(bytes(700))
    traffic.receive(far, 700)
    again = world.find(world.a, key)
    shown = next(one for one in ss.sockets(world.a, "ESTAB") if one.key == key)
    check.equal("another connection, adopted", (again.id > first.id, again.state, again.flags),
                (True, "established", {"adopted"}))
    check.equal("both together moved what ss says",
                (first.sent.payload + again.sent.payload, first.sent.packets + again.sent.packets,
                 first.received.packets + again.received.packets),
                (shown.bytes_sent, shown.segs_out, shown.segs_in))
    check.equal("UDP too", asking.send(b"more"), 4)
    check.that("UDP is another connection", world.find(world.a, traffic.ends(asking)).id
               > closed["UDP with an answer"].id)
    for one in (near, far, half, lonely, asking, answering, dumb, closing_near, closing_far, echo):
        one.close()


def sctp(world):
    check.part("SCTP")
    if subprocess.run(["modprobe", "sctp"]).returncode:
        check.note("this kernel has none")
        return
    for abort in (False, True):
        with world.b.inside():
            listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, SCTP)
            listener.bind(("10.0.0.2", 0))
            listener.listen()
        with world.a.inside():
            near = socket.socket(socket.AF_INET, socket.SOCK_STREAM, SCTP)
            near.connect(listener.getsockname())
        far, _ = listener.accept()
        near.sendall(b"x" * 1000)
        far.recv(1000)
        key = (SCTP, "10.0.0.1", near.getsockname()[1], *listener.getsockname())
        states = [world.find(world.a, key).state, world.find(world.b, traffic.mirrored(key)).state]
        check.equal("an association: both ways on both sides", states, ["two-way", "two-way"])
        listener.close()
        if abort:
            reset(near)
        else:
            near.close()
            far.close()
        for host, one in ((world.a, key), (world.b, traffic.mirrored(key))):
            traffic.wait_for(lambda: world.find(host, one).state == "closed", 5)
            c = world.find(host, one)
            check.equal(f"{'aborted' if abort else 'shut down'}: {host.name}",
                        (c.state, c.flags), ("closed", {"reset"} if abort else set()))
        far.close()


def gone(world):
    check.part("closed connections stay, then go with their numbers")
    near, far, key = pair(world)
    fds_then = {fd.id for fd in world.image().fds}
    reset(near)
    far.close()
    c = world.find(world.a, key)
    shown_until = None
    while world.find(world.a, key):
        shown_until = time.time()
        time.sleep(0.1)
    stayed = shown_until - c.closed / 1e9
    check.that("an ended connection stays visible for timeout_closed",
               TIMEOUTS["timeout_closed"] - 1 <= stayed <= TIMEOUTS["timeout_closed"] + LATE, f"{stayed:.2f} s")
    traffic.wait_for(lambda: not world.image().connections, 30, 0.3)
    image = module.image_at_rest()
    check.equal("no connection is left", len(image.connections), 0)
    total = {"sent": [0] * 4, "received": [0] * 4}
    for one in world.seen.values():
        for direction in total:
            total[direction] = [x + y for x, y in zip(total[direction], getattr(one, direction))]
    for direction in total:
        check.equal(f"closed_{direction} is the sum of all that were ever shown",
                    list(image.closed[direction]), total[direction])
    check.equal("every id was seen, from 1 on", sorted(world.seen), list(range(1, image.status["connections_total"] + 1)))
    traffic.wait_for(lambda: not module.image().fds, 10, 0.3)
    check.equal("no fd is left", module.image().fds, [])
    check.that("there were some", fds_then)


def load(world, **timeouts):
    """Loads the module, and counts in nft from the same moment on."""
    links = ((world.a, "va"), (world.b, "vb"))
    for host, link in links:
        host.sh("ip", "link", "set", link, "down")
    namespaces = [world.a, world.b, net.Namespace()]
    for host in namespaces:
        host.run("nft", "delete", "table", "inet", "mutex_books")
        net.count(host)
    world.seen = {}
    module.load(**timeouts)
    for host, link in links:
        net.up(host, link)
    return namespaces


def compare(title, namespaces):
    image, counted = net.rest(namespaces, module.image_at_rest)
    for hook in ("sent", "received"):
        check.equal(f"{title}: nft, all that was {hook}, in buffers", image.after[hook].buffers,
                    sum(c.total[hook][0] for c in counted.values()))
    return image, counted


def main():
    world = World()
    namespaces = load(world, timeout_closed=3600)
    ends = opening(world)
    closing(world, *ends)
    resets(world)
    reuse(world)
    sctp(world)
    image, counted = compare("while all is visible", namespaces)
    net.compare(check, "nft", image, counted)
    module.audit()
    module.unload()

    namespaces = load(world, **TIMEOUTS)
    silence(world)
    gone(world)
    image, _ = compare("when all is gone", namespaces)
    check.equal("closed is all there is", image.closed, image.after)
    module.audit()
    module.unload()
    check.finish()


main()
