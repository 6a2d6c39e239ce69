# SPDX-License-Identifier: MIT OR Apache-2.0
"""Packets that are not like the others: each is counted once, where nft at the same hook counts it.

a -- r -- b: r forwards. Every step compares what all three counted with nft's counters, and what
it sent itself with what it knows of it.
"""

import contextlib
import json
import random
import socket
import struct

from lib import check, forge, module, net, pace
from lib.forge import tcp
from lib.image import NOTHING, REASONS, Traffic

TCP, UDP, ICMP, ICMPV6 = 6, 17, 1, 58
A4, B4, A6, B6 = "10.0.1.1", "10.0.2.2", "fd01::1", "fd02::2"
UDP_SEGMENT = 103


class World:
    def __init__(self):
        self.a, self.r, self.b = (net.Namespace(name) for name in "arb")
        self.all = (self.a, self.r, self.b, net.Namespace())
        net.veth(self.a, "va", self.r, "ra")
        net.veth(self.r, "rb", self.b, "vb")
        net.address(self.a, "va", f"{A4}/24", f"{A6}/64")
        net.address(self.r, "ra", "10.0.1.2/24", "fd01::2/64")
        net.address(self.r, "rb", "10.0.2.1/24", "fd02::1/64")
        net.address(self.b, "vb", f"{B4}/24", f"{B6}/64")
        self.r.sysctl("ipv4/ip_forward", 1)
        self.r.sysctl("ipv6/conf/all/forwarding", 1)
        for host in self.all:
            host.sysctl("ipv4/icmp_ratelimit", 0)
            host.sysctl("ipv6/icmp/ratelimit", 0)
            net.count(host)
        module.load(timeout_closed=3600, timeout_one_way=3600, timeout_two_way=3600, timeout_icmp=3600)
        for host, links in ((self.a, ["va"]), (self.r, ["ra", "rb"]), (self.b, ["vb"])):
            net.up(host, *links)
        net.settle(self.a, self.r, self.b)
        for host, gateways in ((self.a, ("10.0.1.2", "fd01::2")), (self.b, ("10.0.2.1", "fd02::1"))):
            for gateway in gateways:
                host.sh("ip", "route", "add", "default", "via", gateway)
        for address in (B4, B6):
            self.a.sh("ping", "-c", "1", "-W", "5", address)
        # Neighbours are known from now on, and never asked whether they are still there.
        for host in self.all:
            for one in json.loads(host.sh("ip", "-j", "neighbour", "show")):
                if "lladdr" in one:
                    host.sh("ip", "neighbour", "replace", one["dst"], "lladdr", one["lladdr"],
                            "dev", one["dev"], "nud", "permanent")
        # Of router solicitations there are three, seconds apart.
        for host in (self.a, self.r, self.b):
            host.sysctl("ipv6/conf/all/router_solicitations", 0)
        self.link = {}
        for host, names in ((self.a, ["va"]), (self.r, ["ra", "rb"]), (self.b, ["vb"])):
            for name in names:
                self.link[name] = json.loads(host.sh("ip", "-j", "link", "show", name))[0]

    @contextlib.contextmanager
    def step(self, title, segmented=False):
        """What happens inside; at the end `moved` says what it moved."""
        if not hasattr(self, "_last"):
            self._last = net.rest(self.all, module.image_at_rest)
        self.moved = Moved(self, *self._last)
        yield self.moved
        self.moved.end()
        self._last = self.moved.last
        self.moved.compare(title, segmented)


class Moved:
    """What MUTEX and nft counted between two moments."""

    def __init__(self, world, image, counted):
        self.world, self.image, self.counted = world, image, counted

    def end(self):
        image, counted = self.last = net.rest(self.world.all, module.image_at_rest)
        self.total = {d: image.after[d] - self.image.after[d] for d in image.after}
        self.untracked = {}
        for reason in REASONS:
            moved = sum((image.untracked[reason][d] - self.image.untracked[reason][d] for d in image.after), NOTHING)
            if any(moved):
                self.untracked[reason] = moved
        self.nft = {}
        for hook in net.HOOKS:
            self.nft[hook] = tuple(
                sum(counted[h].total[hook][i] - self.counted[h].total[hook][i] for h in self.world.all)
                for i in (0, 1))
        was = {c.id: c for c in self.image.connections}
        self.connections = []
        for c in image.connections:
            if c.id in was:
                c.sent_before, c.received_before = was[c.id].sent, was[c.id].received
            else:
                c.sent_before = c.received_before = NOTHING
            if c.sent != c.sent_before or c.received != c.received_before:
                self.connections.append(c)

    def compare(self, title, segmented):
        forwarded = self.total["forwarded_sent"] + self.total["forwarded_received"]
        for hook, mine in (("sent", self.total["sent"]), ("received", self.total["received"]), ("forwarded", forwarded)):
            if segmented:
                check.equal(f"{title}: {hook} by nft, buffers", mine.buffers, self.nft[hook][0])
            else:
                check.equal(f"{title}: {hook} by nft, packets, buffers, bytes",
                            (mine.packets, mine.buffers, mine.bytes), (self.nft[hook][0], *self.nft[hook]))

    def of(self, host, **match):
        """What the connections of a host that match moved: sent and received."""
        found = [c for c in self.connections if c.netns == host.inode
                 and all(getattr(c, name) == value for name, value in match.items())]
        return (sum((c.sent - c.sent_before for c in found), NOTHING),
                sum((c.received - c.received_before for c in found), NOTHING))


def udp_socket(host, address=None, port=0, **options):
    family = socket.AF_INET6 if address and ":" in address else socket.AF_INET
    with host.inside():
        one = socket.socket(family, socket.SOCK_DGRAM)
    if address:
        one.bind((address, port))
    one.settimeout(5 * pace.LONGER)
    return one


def alike(packets, size, payload, buffers=None):
    return Traffic(packets, packets if buffers is None else buffers, size, payload)


def options(world):
    check.part("IP options and extension headers")
    a, b = world.a, world.b
    sink = udp_socket(b, B4)
    one = udp_socket(a, A4)
    # Record route, with room for three addresses, and the end.
    one.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, bytes([7, 15, 4] + 12 * [0] + [0]))
    with world.step("IPv4 options") as moved:
        one.sendto(bytes(100), sink.getsockname())
        sink.recv(200)
    expected = alike(1, 20 + 16 + 8 + 100, 100)
    check.equal("IPv4 options: sent, forwarded, received",
                [moved.of(a, protocol=UDP)[0], moved.of(world.r, protocol=UDP, forwarded=True)[0],
                 moved.of(b, protocol=UDP)[1]], [expected] * 3)

    sink = udp_socket(b, B6)
    one = udp_socket(a, A6)
    padding = bytes([0, 0, 1, 4, 0, 0, 0, 0])
    one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_HOPOPTS, padding)
    one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_DSTOPTS, padding)
    with world.step("IPv6 extension headers") as moved:
        one.sendto(bytes(100), sink.getsockname())
        sink.recv(200)
    expected = alike(1, 40 + 8 + 8 + 8 + 100, 100)
    check.equal("IPv6 extension headers: sent, forwarded, received",
                [moved.of(a, protocol=UDP)[0], moved.of(world.r, protocol=UDP, forwarded=True)[0],
                 moved.of(b, protocol=UDP)[1]], [expected] * 3)


def fragments(world):
    check.part("datagrams that do not fit")
    a, r, b = world.a, world.r, world.b
    size = 5000
    for version, near, far, header in ((4, A4, B4, 20), (6, A6, B6, 40)):
        sink = udp_socket(b, far)
        one = udp_socket(a, near)
        with world.step(f"IPv{version}: a datagram of {size} bytes") as moved:
            one.sendto(bytes(size), sink.getsockname())
            sink.recv(size)
        whole = alike(1, header + 8 + size, size)
        check.equal(f"IPv{version}: at its source it is one packet", moved.of(a, protocol=UDP)[0], whole)
        # On an MTU of 1500: fragments of 1480 bytes, or of 1448 behind a fragment header of 8.
        room = 1480 if version == 4 else 1448
        extra = 0 if version == 4 else 8
        number = -(-(size + 8) // room)
        first = alike(1, header + extra + room, room - 8)
        rest_bytes = size + 8 - room + (number - 1) * (header + extra)
        rest = Traffic(number - 1, number - 1, rest_bytes, 0)
        check.equal(f"IPv{version}: on its way it is {number} fragments, the first has ports",
                    moved.of(r, protocol=UDP, forwarded=True)[0], first)
        if version == 4:
            check.equal("IPv4: at its destination it is one packet again", moved.of(b, protocol=UDP)[1], whole)
            check.equal("IPv4: the fragments behind the first, on the way", moved.untracked, {"fragment": rest})
        else:
            # IPv6 puts fragments together behind the hook.
            check.equal("IPv6: at its destination too", moved.of(b, protocol=UDP)[1], first)
            check.equal("IPv6: the fragments behind the first, on the way and there",
                        moved.untracked, {"fragment": rest + rest})

    check.part("the same where connection tracking puts fragments together")
    for host in (r, b):
        host.sh("nft", "-f", "-", input="""table inet tracking { chain in {
            type filter hook prerouting priority 0; ct state new counter; };
        }""")
    for version, near, far, header in ((4, A4, B4, 20), (6, A6, B6, 40)):
        sink = udp_socket(b, far)
        one = udp_socket(a, near)
        with world.step(f"IPv{version}: a datagram of {size} bytes, tracked") as moved:
            one.sendto(bytes(size), sink.getsockname())
            sink.recv(size)
        whole = alike(1, header + 8 + size, size)
        check.equal(f"IPv{version}, tracked: one packet everywhere",
                    [moved.of(a, protocol=UDP)[0], moved.of(r, protocol=UDP)[0], moved.of(b, protocol=UDP)[1]],
                    [whole] * 3)
        check.equal(f"IPv{version}, tracked: nothing untracked", moved.untracked, {})
    for host in (r, b):
        host.sh("nft", "delete", "table", "inet", "tracking")


def segments(world):
    check.part("UDP segmentation offload")
    a, r, b = world.a, world.r, world.b
    sizes = [(12300, 1200), (12000, 1200), (1200, 1200), (1201, 1200), (60000, 1000), (5, 2)]
    for version, near, far, header in ((4, A4, B4, 28), (6, A6, B6, 48)):
        sink = udp_socket(b, far)
        senders = []
        with world.step(f"IPv{version}: datagrams by segments", segmented=True) as moved:
            for size, segment in sizes:
                one = udp_socket(a, near)
                one.setsockopt(socket.SOL_UDP, UDP_SEGMENT, segment)
                one.sendto(bytes(size), sink.getsockname())
                for _ in range(-(-size // segment)):
                    sink.recv(2000)
                senders.append(one)
        for one, (size, segment) in zip(senders, sizes):
            port, number = one.getsockname()[1], -(-size // segment)
            check.equal(f"IPv{version}: {size} bytes by {segment}: {number} packets of one buffer, everywhere",
                        [moved.of(a, protocol=UDP, local_port=port)[0],
                         moved.of(r, protocol=UDP, local_port=port)[0],
                         moved.of(b, protocol=UDP, remote_port=port)[1]],
                        [Traffic(number, 1, size + number * header, size)] * 3)


def errors(world):
    check.part("ICMP errors")
    a, r, b = world.a, world.r, world.b
    for version, near, far, header, protocol in ((4, A4, B4, 20, ICMP), (6, A6, B6, 40, ICMPV6)):
        one = udp_socket(a, near)
        with world.step(f"IPv{version}: to a closed port") as moved:
            one.sendto(bytes(1300), (far, 9))
        # An error quotes as much as fits: 576 bytes in all for IPv4, 1280 for IPv6.
        size = 576 if version == 4 else 1280
        answer = alike(1, size, size - header - 8)
        check.equal(f"IPv{version}: port unreachable: sent, forwarded, received",
                    [moved.of(b, protocol=protocol, remote=near)[0],
                     moved.of(r, protocol=protocol, forwarded=True, local=far)[0],
                     moved.of(a, protocol=protocol, remote=far)[1]], [answer] * 3)
        if version == 4:
            one.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 1)
        else:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 1)
        with world.step(f"IPv{version}: with one hop to go") as moved:
            one.sendto(bytes(10), (far, 9))
        check.equal(f"IPv{version}: time exceeded: nothing is forwarded, the router sends one",
                    (moved.total["forwarded_sent"], moved.total["forwarded_received"],
                     moved.of(r, protocol=protocol, remote=near)[0].packets,
                     moved.of(a, protocol=protocol)[1].packets), (NOTHING, NOTHING, 1, 1))


def many_hear(world):
    check.part("multicast and broadcast")
    a, r = world.a, world.r
    listener = udp_socket(r, "0.0.0.0", 5000)
    group = socket.inet_aton("239.1.1.1")
    with r.inside():
        listener.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group + socket.inet_aton("10.0.1.2"))
    own = udp_socket(a, "0.0.0.0", 5000)
    with a.inside():
        own.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group + socket.inet_aton(A4))
    one = udp_socket(a, A4)
    one.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(A4))
    # What the joining takes is over before.
    with world.step("joining a group"):
        pass
    for loop in (1, 0):
        one.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, loop)
        with world.step(f"IPv4 multicast, loop {loop}") as moved:
            one.sendto(bytes(100), ("239.1.1.1", 5000))
            listener.recv(200)
        one_packet = alike(1, 128, 100)
        check.equal(f"IPv4 multicast, loop {loop}: sent, received by the other, and by itself",
                    (moved.of(a, protocol=UDP)[0], moved.of(r, protocol=UDP)[1], moved.of(a, protocol=UDP)[1]),
                    (one_packet, one_packet, one_packet if loop else NOTHING))
    one.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    with world.step("broadcast") as moved:
        one.sendto(bytes(100), ("10.0.1.255", 5000))
        listener.recv(200)
    check.equal("broadcast: sent, received by the other, and by itself",
                (moved.of(a, protocol=UDP)[0], moved.of(r, protocol=UDP)[1], moved.of(a, protocol=UDP)[1]),
                (one_packet, one_packet, one_packet))
    six = udp_socket(a, A6)
    with a.inside():
        index = socket.if_nametoindex("va")
    six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
    with world.step("IPv6 multicast to all nodes") as moved:
        six.sendto(bytes(100), ("ff02::1", 5001))
    check.equal("IPv6 multicast: sent, received by the other, and by itself",
                (moved.of(a, protocol=UDP)[0], moved.of(r, protocol=UDP)[1], moved.of(a, protocol=UDP)[1]),
                (alike(1, 148, 100),) * 3)


def link_local(world):
    check.part("the same link-local addresses on two links")
    a, r = world.a, world.r
    net.veth(a, "va2", r, "ra2")
    for host, names, address in ((a, ("va", "va2"), "fe80::a"), (r, ("ra", "ra2"), "fe80::b")):
        for name in names:
            net.up(host, name)
            net.address(host, name, f"{address}/64")
    net.settle(a, r)
    scopes = {}
    for near, far, size in (("va", "ra", 100), ("va2", "ra2", 200)):
        with a.inside():
            near_index = socket.if_nametoindex(near)
            one = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            one.bind(("fe80::a", 6000, 0, near_index))
        with r.inside():
            far_index = socket.if_nametoindex(far)
            sink = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            sink.bind(("fe80::b", 6001, 0, far_index))
        sink.settimeout(5 * pace.LONGER)
        with world.step(f"link-local over {near}") as moved:
            one.sendto(bytes(size), ("fe80::b", 6001, 0, near_index))
            sink.recv(1000)
        for host, index, direction in ((a, near_index, 0), (r, far_index, 1)):
            check.equal(f"link-local over {near}: {host.name}",
                        moved.of(host, protocol=UDP, scope=index)[direction], alike(1, 48 + size, size))
        scopes[near] = {c.id for c in moved.connections if c.protocol == UDP}
        one.close()
        sink.close()
    check.equal("they are different connections", scopes["va"] & scopes["va2"], set())
    with world.step("link-local to itself") as moved:
        with a.inside():
            one = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            one.bind(("fe80::a", 6000, 0, socket.if_nametoindex("va")))
            one.sendto(bytes(50), one.getsockname())
            one.settimeout(5 * pace.LONGER)
            one.recv(100)
    check.equal("link-local to itself: one connection, sent and received",
                (len([c for c in moved.connections if c.protocol == UDP]), moved.of(a, protocol=UDP)),
                (1, (alike(1, 98, 50),) * 2))


def ipv4(protocol, body, source=A4, destination=B4, **more):
    return forge.ipv4(protocol, body, source, destination, **more)


def ipv6(protocol, body, source=A6, destination=B6):
    return forge.ipv6(protocol, body, source, destination)


# What comes behind the IP header, and as what it has to be counted: a reason, or the payload.
ODD = [
    ("TCP without its second half", TCP, tcp()[:10], "truncated"),
    ("TCP of three bytes", TCP, b"abc", "truncated"),
    ("TCP with a header of 8 bytes", TCP, tcp(offset=2, body=bytes(40)), "invalid_header"),
    ("TCP with a header longer than the packet", TCP, tcp(offset=15, body=bytes(10)), "truncated"),
    ("TCP with all flags", TCP, tcp(flags=0xff, body=bytes(7)), 7),
    ("TCP without any flag", TCP, tcp(flags=0, body=bytes(9)), 9),
    ("UDP of four bytes", UDP, struct.pack("!HH", 1, 2), "truncated"),
    ("UDP that claims to be longer", UDP, struct.pack("!HHHH", 1, 2, 500, 0) + bytes(12), 12),
    ("UDP that claims to be shorter", UDP, struct.pack("!HHHH", 1, 2, 3, 0) + bytes(12), 12),
    ("UDP between ports zero", UDP, struct.pack("!HHHH", 0, 0, 8, 0), 0),
    ("ICMP of three bytes", ICMP, bytes(3), "truncated"),
    ("ICMP of an unknown type", ICMP, bytes([250, 0, 0, 0, 0, 0, 0, 0, 1, 2]), 2),
    ("SCTP of ten bytes", 132, bytes(10), "truncated"),
    ("SCTP without a chunk", 132, struct.pack("!HHII", 1, 2, 3, 4), 0),
    ("DCCP with a header of four bytes", 33, struct.pack("!HHBBHI", 1, 2, 1, 0, 0, 0), "invalid_header"),
    ("a protocol that nobody knows", 200, bytes(33), 33),
    ("a protocol that nobody knows, empty", 201, b"", 0),
    ("ESP", 50, bytes(40), 40),
]
HOP, ROUTE, FRAGMENT, AH, DESTINATION = 0, 43, 44, 51, 60
ODD6 = [
    ("an extension header that goes beyond the packet", DESTINATION, bytes([UDP, 9]) + bytes(6), "truncated"),
    ("half an extension header", DESTINATION, bytes([UDP]), "truncated"),
    ("no next header", 59, bytes(5), 5),
    ("nine extension headers", DESTINATION,
     b"".join(bytes([DESTINATION if i < 8 else UDP, 0, 1, 4, 0, 0, 0, 0]) for i in range(9))
     + struct.pack("!HHHH", 1, 2, 8, 0), "invalid_header"),
    ("eight extension headers", DESTINATION,
     b"".join(bytes([DESTINATION if i < 7 else UDP, 0, 1, 4, 0, 0, 0, 0]) for i in range(8))
     + struct.pack("!HHHH", 1, 2, 8, 0), 0),
    # Its own protocol, as with IPv4: all that follows the IP header is payload.
    ("an authentication header", AH, bytes([UDP, 4]) + bytes(22) + struct.pack("!HHHH", 1, 2, 10, 0) + bytes(2), 34),
    ("a fragment that is not the first", FRAGMENT, bytes([UDP, 0, 1, 1, 0, 0, 0, 1]) + bytes(100), "fragment"),
    ("a fragment that is all", FRAGMENT, bytes([UDP, 0, 0, 0, 0, 0, 0, 2]) + struct.pack("!HHHH", 1, 2, 18, 0) + bytes(10), 10),
    ("half a fragment header", FRAGMENT, bytes([UDP, 0, 0]), "truncated"),
]


def raw_sockets(world):
    check.part("malformed packets from raw sockets")
    # They go out by an interface behind which there is nobody.
    a = world.a
    a.sh("ip", "link", "add", "hole", "type", "dummy")
    net.address(a, "hole", "10.9.9.1/24", "fd09::1/64")
    net.up(a, "hole")
    net.settle(a)
    with a.inside():
        four = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        six = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
        six.setsockopt(socket.IPPROTO_IPV6, 36, 1)  # IPV6_HDRINCL
    packets = [(f"IPv4: {title}", four, protocol, body, 0, expected) for title, protocol, body, expected in ODD]
    first = struct.pack("!HHHH", 1, 2, 800, 0) + bytes(16)
    packets += [("IPv4: a fragment that is not the first", four, UDP, bytes(24), 3, "fragment"),
                ("IPv4: a first fragment", four, UDP, first, 0x2000, 16)]
    packets += [(f"IPv6: {title}", six, protocol if protocol != ICMP else ICMPV6, body, 0, expected)
                for title, protocol, body, expected in ODD + ODD6]
    reasons = {}
    sent = []
    with world.step("malformed packets") as moved:
        for number, (title, one, protocol, body, fragment, expected) in enumerate(packets):
            # Each to an address of its own, so that they can be told apart.
            if one is four:
                to = f"10.9.9.{10 + number}"
                packet = ipv4(protocol, body, destination=to, fragment=fragment)
            else:
                to = f"fd09::{10 + number:x}"
                packet = ipv6(protocol, body, destination=to)
            one.sendto(packet, (to, 0))
            mine = alike(1, len(packet), 0 if isinstance(expected, str) else expected)
            if isinstance(expected, str):
                reasons[expected] = reasons.get(expected, NOTHING) + mine
                mine = NOTHING
            sent.append((f"{title}: {expected}", to, mine))
    for title, to, mine in sent:
        check.equal(title, moved.of(a, remote=to)[0], mine)
    check.equal("the reasons of the others", moved.untracked, reasons)
    a.sh("ip", "link", "delete", "hole")


def packet_sockets(world):
    check.part("a thousand packets of random content, forwarded and received")
    a, r = world.a, world.r
    with a.inside():
        one = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        one.bind(("va", 0))
    macs = bytes.fromhex((world.link["ra"]["address"] + world.link["va"]["address"]).replace(":", ""))
    chance = random.Random(7)
    protocols = [0, 1, 2, 4, TCP, UDP, 33, 41, 43, 44, 47, 50, 51, 58, 59, 60, 132, 136, 255]

    def anything():
        protocol, body = chance.choice(protocols), chance.randbytes(chance.choice((0, 1, 4, 8, 12, 20, 24, 40, 100, 1000)))
        if chance.random() < 0.5:
            destination = chance.choice((B4, "10.0.1.2"))
            fragment = chance.choice((0, 0, 0, 0x2000, 1, 0x2001, 100))
            return b"\x08\x00" + ipv4(protocol, body, f"10.0.1.{chance.randrange(3, 250)}", destination, fragment=fragment)
        destination = chance.choice((B6, "fd01::2"))
        # Extension headers that hold together, sometimes.
        for _ in range(chance.choice((0, 0, 1, 2))):
            body = bytes([protocol, 0, 1, 4, 0, 0, 0, 0]) + body
            protocol = chance.choice((HOP, DESTINATION))
        return b"\x86\xdd" + ipv6(protocol, body, f"fd01::{chance.randrange(3, 0xffff):x}", destination)

    # Whatever it is answered with is counted too, by both.
    with world.step("random packets") as moved:
        for _ in range(1000):
            one.send(macs + anything())
    check.that("many were forwarded and many received",
               moved.total["forwarded_sent"].packets > 200 and moved.total["received"].packets > 200,
               f"{moved.total} untracked {moved.untracked}")


def main():
    world = World()
    for part in (options, fragments, segments, errors, many_hear, link_local, raw_sockets, packet_sockets):
        part(world)
    module.audit()
    module.unload()
    check.finish()


main()
