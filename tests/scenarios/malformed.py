# SPDX-License-Identifier: MIT OR Apache-2.0
"""Malformed packets of every kind, put on a wire: what reaches a hook is counted once, as what it is.

a -- r: each packet has a source of its own, by which nft says at MUTEX's hooks in r whether it arrived
there and with how many bytes. lib.forge says what it then has to be counted as. All of them go to r
itself and, again, through it.
"""

import collections
import json
import random
import socket
import struct
import time

from lib import check, module, net, pace, traffic, wire
from lib.forge import (AH, DCCP, DESTINATION, FRAGMENT, HOP, ICMP, ICMPV6, ROUTE, TCP, UDP, checksum, expected, ipv4, ipv6,
                       tcp, transports, udp)
from lib.image import NOTHING, Traffic
from lib.steps import Steps

SEED = 20261121
RANDOM = 5000 if pace.IS_NATIVE else 250
# Of what has 256 values.
STEP = 1 if pace.IS_NATIVE else 17
# Datagrams that begin and do not go on.
FIRST = 200 if pace.IS_NATIVE else 40
A4, R4, R6 = "10.0.1.1", "10.0.1.2", "fd00::2"
# To r, and through it to where nobody is.
TARGETS = {"received": {4: R4, 6: R6}, "forwarded": {4: "10.20.0.9", 6: "fd20::9"}}
ETHERNET = {4: b"\x08\x00", 6: b"\x86\xdd"}
PADDING = bytes([1, 4, 0, 0, 0, 0])


class World(wire.Row):
    def __init__(self):
        super().__init__("a", "r")
        self.a, self.r = self.hosts
        self.a.sysctl("ipv4/ip_forward", 0)
        r = self.r
        for name, value in (("ipv6/conf/all/disable_ipv6", 0), ("ipv6/conf/left/disable_ipv6", 0),
                            ("ipv6/conf/left/router_solicitations", 0), ("ipv6/conf/all/forwarding", 1),
                            ("ipv4/ipfrag_time", 1), ("ipv6/ip6frag_time", 1), ("ipv4/tcp_synack_retries", 0)):
            r.sysctl(name, value)
        r.sh("ip", "link", "add", "hole", "type", "dummy")
        net.address(r, "left", f"{R6}/64")
        net.address(r, "hole", "10.20.0.1/16", "fd20::1/64")
        net.up(r, "hole")
        r.sh("ip", "route", "add", "10.64.0.0/10", "via", A4)
        macs = [self.mac(host, link) for host, link in self.wires]
        r.sh("ip", "neighbour", "add", "fd00::1", "lladdr", macs[0], "dev", "left", "nud", "permanent")
        r.sh("ip", "route", "add", "fd77::/16", "via", "fd00::1")
        with r.inside():
            self.listeners = [socket.create_server(("::", 2000), family=socket.AF_INET6, dualstack_ipv6=True),
                              socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)]
        self.listeners[1].bind(("::", 2000))
        sets, rules = [], {"input": [], "forward": []}
        for hook, lines in rules.items():
            for name, match, key in (("4", "ip saddr 10.64.0.0/10", "ip saddr"), ("6", "ip6 saddr fd77::/16", "ip6 saddr")):
                sets.append(f"set {hook}{name} {{ typeof {key}; flags dynamic; size 65535; }}")
                lines.append(f"{match} add @{hook}{name} {{ {key} counter }}")
        chains = (f"chain {hook} {{ type filter hook {hook} priority 10000;\n{chr(10).join(lines)}\n}}"
                  for hook, lines in rules.items())
        r.sh("nft", "-f", "-", input="table inet sources {\n" + "\n".join([*sets, *chains]) + "\n}")
        for host in (*self.hosts, net.Namespace()):
            net.count(host, ())
        with self.a.inside():
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
            self.socket.bind(("right", 0))
        self.ethernet = bytes.fromhex((macs[1] + macs[0]).replace(":", ""))
        self.number = 0

    @staticmethod
    def mac(host, link):
        return json.loads(host.sh("ip", "-j", "link", "show", link))[0]["address"]

    def source(self, version):
        """An address that no other packet has."""
        self.number += 1
        number = self.number
        return f"10.{64 + (number >> 16)}.{number >> 8 & 255}.{number & 255}" if version == 4 else f"fd77::1:{number:x}"

    def send(self, version, packet):
        self.socket.send(self.ethernet + ETHERNET[version] + packet)

    def arrived(self, direction):
        """What nft saw at that hook since the last time: packets and bytes of each source."""
        hook = {"received": "input", "forwarded": "forward"}[direction]
        found = {}
        for name in "46":
            listing = json.loads(self.r.sh("nft", "-j", "list", "set", "inet", "sources", hook + name))
            for item in listing["nftables"]:
                for element in item.get("set", {}).get("elem", []):
                    counter = element["elem"]["counter"]
                    found[element["elem"]["val"]] = (counter["packets"], counter["bytes"])
            self.r.sh("nft", "flush", "set", "inet", "sources", hook + name)
        return found


def systematic(version, make, target, source):
    """Packets that are wrong in one way each: a name and the bytes."""
    def ip(protocol, body, **more):
        return make(protocol, body, source(), target, **more)

    right = transports(version)
    for name, (protocol, body) in right.items():
        yield f"{name}", ip(protocol, body)
        for length in range(len(body)):
            yield f"{name}, {length} bytes of it", ip(protocol, body[:length])
        # The IP header says one thing, and the wire another.
        whole = len(body) + (20 if version == 4 else 0)
        for length in {0, 1, 7, 8, 19, 20, 21, 28, whole - 1, whole + 1, whole + 100, 65535}:
            yield f"{name}, total length {length}", ip(protocol, body, length=length)
        yield f"{name}, with bytes behind it", ip(protocol, body, length=whole) + bytes(13)
        yield f"{name}, ports zero", ip(protocol, bytes(4) + body[4:])
        yield f"{name}, all ones", ip(protocol, b"\xff" * len(body))
        yield f"{name}, all zeros", ip(protocol, bytes(len(body)))
    for offset in range(16):
        yield f"TCP, header of {offset} words", ip(TCP, tcp(offset=offset, body=bytes(30)))
        yield f"TCP, header of {offset} words, without so many", ip(TCP, tcp(offset=offset))
        yield f"version {offset}", ip(UDP, udp(), version=offset)
    for kind in range(0, 256, STEP):
        yield f"TCP, flags {kind:#x}", ip(TCP, tcp(flags=kind, body=bytes(3)))
        yield f"protocol {kind}", ip(kind, bytes(range(40)))
        yield f"ICMP of type {kind}", ip(ICMP if version == 4 else ICMPV6, bytes([kind, 0, 0, 0, 1, 2, 3, 4]) + bytes(30))
        yield f"DCCP, header of {kind} words", ip(DCCP, right["DCCP"][1][:4] + bytes([kind]) + bytes(60))
        yield f"TCP option {kind}", ip(TCP, tcp(offset=6, body=bytes([kind, 0, 255, 1])))
    for length in (0, 1, 7, 9, 500, 65535):
        yield f"UDP, length {length}", ip(UDP, udp(b"payload", length=length))
    yield "UDP, wrong checksum", ip(UDP, udp(b"payload", check=0x1234))
    # Errors about less and less of a packet.
    quoted = make(TCP, tcp(), target, source())
    for kind in (3, 4, 11, 12) if version == 4 else (1, 2, 3, 4):
        for length in range(0, len(quoted), 1 + STEP // 2):
            yield (f"ICMP error {kind} about {length} bytes",
                   ip(ICMP if version == 4 else ICMPV6, bytes([kind, 1, 0, 0, 0, 0, 2, 0]) + quoted[:length]))


def systematic4(target, source):
    def ip(protocol, body, **more):
        return ipv4(protocol, body, source(), target, **more)

    yield from systematic(4, ipv4, target, source)
    for ihl in range(16):
        yield f"IPv4 header of {ihl} words", ip(UDP, udp(bytes(30)), ihl=ihl)
        yield f"IPv4 header of {ihl} words, without so many", ip(UDP, b"", ihl=ihl)
    for length in range(20):
        yield f"{length} bytes of an IPv4 header", ip(UDP, b"")[:length]
    right = ip(UDP, udp())
    yield "IPv4, wrong checksum", right[:10] + bytes([right[10] ^ 1]) + right[11:]
    for kind in range(0, 256, STEP):
        for size in (0, 1, 4, 40):
            yield f"IPv4 option {kind} of {size}", ip(UDP, udp(), options=bytes([kind, size, 4, 0, 0, 0, 0, 0]))
    for ttl in (0, 1, 255):
        yield f"IPv4, TTL {ttl}", ip(UDP, udp(), ttl=ttl)
    for fragment in (0x8000, 0x4000, 0x6000, 0x2000, 1, 0x1fff, 0x3fff):
        yield f"IPv4, fragment word {fragment:#x}", ip(UDP, udp(bytes(16)), fragment=fragment)


def systematic6(target, source):
    def ip(protocol, body, **more):
        return ipv6(protocol, body, source(), target, **more)

    yield from systematic(6, ipv6, target, source)
    for length in range(40):
        yield f"{length} bytes of an IPv6 header", ip(UDP, b"")[:length]
    for hops in (0, 1, 255):
        yield f"IPv6, {hops} hops", ip(UDP, udp(), hops=hops)
    kinds = {"hop-by-hop": HOP, "routing": ROUTE, "fragment": FRAGMENT, "destination": DESTINATION, "AH": AH}
    for name, kind in kinds.items():
        header = bytes([UDP, 1 if kind == AH else 0]) + (bytes(6) if kind in (ROUTE, FRAGMENT) else PADDING)
        header += bytes(4) if kind == AH else b""
        for length in range(len(header) + 8):
            yield f"{name} header, {length} bytes of it and of UDP", ip(kind, (header + udp())[:length])
        for units in range(0, 256, STEP):
            yield f"{name} header that claims {units} units", ip(kind, bytes([UDP, units]) + header[2:] + udp(bytes(40)))
        for option in range(0, 256, STEP):
            yield f"{name} header, first word {option}", ip(kind, bytes([UDP, 0, option, 4, 0, 0, 0, 0]) + udp())
        yield f"{name} header after itself for ever", ip(kind, (bytes([kind]) + header[1:8]) * 30)
        for other, second in kinds.items():
            chain = bytes([second]) + header[1:] + bytes([UDP, 0]) + PADDING + udp()
            yield f"{name} before {other}", ip(kind, chain)
    for number in range(12):
        chain = b"".join(bytes([DESTINATION if i < number - 1 else UDP, 0]) + PADDING for i in range(number))
        yield f"{number} extension headers", ip(DESTINATION if number else UDP, chain + udp())
    jumbo = bytes([UDP, 0, 0xc2, 4]) + struct.pack("!I", 70000)
    yield "a jumbo payload that is not there", ip(HOP, jumbo + udp(), length=0)
    yield "a jumbo payload and a length", ip(HOP, jumbo + udp())
    yield "a hop-by-hop header and no length", ip(HOP, bytes([UDP, 0]) + PADDING + udp(), length=0)


def anything(target, source, chance):
    """Packets that were right, and changed at random."""
    bases = {version: list(transports(version).values()) for version in (4, 6)}
    for number in range(RANDOM):
        version = chance.choice((4, 6))
        protocol, body = chance.choice(bases[version])
        if version == 4:
            options = chance.randbytes(4 * chance.choice((0, 0, 0, 1, 10)))
            packet = bytearray(ipv4(protocol, body, source(4), target[4], options=options))
            kept = slice(12, 20)
        else:
            for _ in range(chance.choice((0, 0, 1, 3))):
                kind = chance.choice((HOP, ROUTE, FRAGMENT, DESTINATION, AH))
                body, protocol = bytes([protocol, 0]) + PADDING + body, kind
            packet = bytearray(ipv6(protocol, body, source(6), target[6]))
            kept = slice(8, 40)
        ends = packet[kept]
        for _ in range(chance.choice((1, 1, 2, 4))):
            what, at = chance.randrange(4), chance.randrange(len(packet))
            if what == 0:
                packet[at] ^= 1 << chance.randrange(8)
            elif what == 1:
                packet[at] = chance.choice((0, 1, 4, 127, 128, 255))
            elif what == 2:
                del packet[max(at, kept.stop):]
            else:
                packet += chance.randbytes(chance.randrange(20))
        packet[kept] = ends
        if version == 4 and chance.random() < 0.9:
            packet[10:12] = bytes(2)
            packet[10:12] = struct.pack("!H", checksum(bytes(packet[:(packet[0] & 15) * 4 or 20])))
        yield version, f"random packet {number}", bytes(packet)


def source_of(version, packet):
    """As nft says it; None if the packet ends before."""
    raw = packet[12:16] if version == 4 else packet[8:24]
    whole = len(raw) == (4 if version == 4 else 16)
    return socket.inet_ntop(socket.AF_INET if version == 4 else socket.AF_INET6, raw) if whole else None


def tracked(moved, world, direction):
    """What the connections of each source moved towards r or through it."""
    found = {}
    for c in moved.connections:
        if c.netns == world.r.inode and c.forwarded == (direction == "forwarded"):
            source, flow = (c.local, c.sent) if c.forwarded else (c.remote, c.received)
            found[source] = found.get(source, NOTHING) + flow
    return found


def compare_totals(title, moved, counted):
    forwarded = moved.after["forwarded_sent"] + moved.after["forwarded_received"]
    for hook, mine in (("sent", moved.after["sent"]), ("received", moved.after["received"]), ("forwarded", forwarded)):
        total = tuple(map(sum, zip(*(numbers.total[hook] for numbers in counted.values()))))
        check.equal(f"{title}: all that was {hook} by nft", (mine.packets, mine.buffers, mine.bytes), (total[0], *total))


def inject(world, steps, packets):
    """Sends (direction, version, name, packet)s, and compares each with nft's word and forge's."""
    for _, version, _, packet in packets:
        world.send(version, packet)
    moved, counted = steps.moved()
    arrived = {direction: world.arrived(direction) for direction in TARGETS}
    mine = {direction: tracked(moved, world, direction) for direction in TARGETS}
    pairs, reasons, kinds = [], {}, collections.Counter()
    for direction, version, name, packet in packets:
        source = source_of(version, packet)
        number, size = arrived[direction].pop(source, (0, 0))
        # The wire may have more than the IP header says.
        as_what = expected(packet[:size]) if number else "nowhere"
        kinds[as_what if isinstance(as_what, str) else "connection"] += 1
        counted_as = NOTHING
        if isinstance(as_what, int):
            counted_as = Traffic(number, number, size, as_what)
        elif number:
            reasons[as_what] = reasons.get(as_what, NOTHING) + Traffic(number, number, size, 0)
        pairs.append((f"IPv{version}, {direction}, {name}: {packet.hex()}", mine[direction].get(source, NOTHING), counted_as))
    check.all_equal("malformed: each is counted as what it is", pairs)
    check.equal("malformed: nft knows no other", arrived, {direction: {} for direction in TARGETS})
    check.equal("malformed: the reasons of the untracked", moved.untracked, reasons)
    compare_totals("malformed", moved, counted)
    check.note(f"{len(packets)} packets: {dict(kinds)}")
    check.that("malformed: there are some of every kind",
               min(kinds[kind] for kind in ("connection", "nowhere", "truncated", "invalid_header", "fragment")) > 5)


def strangers(world, steps):
    """Sources and targets that nobody has, and one's own."""
    for source in (R4, "127.0.0.1", "0.0.0.0", "255.255.255.255", "224.0.0.1", "240.0.0.1", "10.0.1.255", A4):
        for target in (R4, "127.0.0.1", "0.0.0.0", "255.255.255.255", "224.0.0.1", "10.0.1.255", "240.0.0.1"):
            for body in (udp(b"x"), udp(b"x", sport=2000)):
                world.send(4, ipv4(UDP, body, source, target))
            world.send(4, ipv4(TCP, tcp(flags=2, sport=2000), source, target))
    for source in (R6, "::1", "::", "ff02::1", "fe80::1", "::ffff:10.0.1.2", "fd00::1"):
        for target in (R6, "::1", "::", "ff02::1", "ff0e::7", "fe80::1", "::ffff:10.0.1.2"):
            world.send(6, ipv6(UDP, udp(b"x"), source, target))
            world.send(6, ipv6(TCP, tcp(flags=2, sport=2000), source, target))
    moved, counted = steps.moved()
    compare_totals("strange addresses", moved, counted)
    check.equal("strange addresses: none is untracked", moved.untracked, {})


# Pieces of a datagram of 64 bytes: where each begins and ends, and whether more are to follow; and how
# often IPv4 hands the datagram up, if that is certain.
PIECES = {
    "in order": ([(0, 32, 1), (32, 64, 0)], 1),
    "the last one first": ([(32, 64, 0), (0, 32, 1)], 1),
    "eight bytes each": ([(at, at + 8, at < 56) for at in range(0, 64, 8)], 1),
    "a tiny first one": ([(0, 8, 1), (8, 64, 0)], 1),
    "one twice": ([(0, 32, 1), (0, 32, 1), (32, 64, 0)], 1),
    "overlapping": ([(0, 32, 1), (24, 64, 0)], 0),
    "overlapping at the start": ([(16, 48, 1), (0, 24, 1), (48, 64, 0)], 0),
    "around another": ([(16, 24, 1), (0, 48, 1), (48, 64, 0)], 0),
    "inside another": ([(0, 48, 1), (16, 24, 1), (48, 64, 0)], None),
    "without the first": ([(32, 64, 0)], 0),
    "without the middle": ([(0, 16, 1), (32, 64, 0)], 0),
    "without the last": ([(0, 32, 1), (32, 56, 1)], 0),
    "two last ones": ([(0, 32, 1), (32, 56, 0), (32, 64, 0)], None),
    "behind the last": ([(0, 32, 1), (40, 64, 1), (32, 40, 0)], None),
    "of no even length": ([(0, 32, 1), (32, 61, 1), (64, 64, 0)], 0),
    "empty": ([(0, 0, 1), (0, 64, 0)], None),
}

# Connection tracking lets pieces of IPv6 pass that make no sense to it.
PASSED = ("of no even length", "empty")


def piece(version, body, source, target, begin, end, more, identification):
    if version == 4:
        return ipv4(UDP, body[begin:end], source, target, fragment=begin // 8 | more << 13, identification=identification)
    return ipv6(FRAGMENT, struct.pack("!BBHI", UDP, 0, begin | more, identification) + body[begin:end], source, target)


def fragments(world, steps, joined):
    """`joined`: connection tracking puts them together before MUTEX sees them."""
    title = "fragments, joined" if joined else "fragments"
    sent = []
    before = wire.counters(world.r)
    incomplete = 0
    for direction, targets in TARGETS.items():
        for version, target in targets.items():
            for name, (pieces, times) in PIECES.items():
                if joined and name in PASSED:
                    continue
                source = world.source(version)
                packets = [piece(version, udp(bytes(range(56))), source, target, *one, world.number) for one in pieces]
                sent.append((direction, version, name, source, packets, times))
            # Beyond what a datagram can be.
            source = world.source(version)
            far = [piece(version, bytes(65528) + bytes(range(64)), source, target, 65528, 65592, 0, 3)]
            sent.append((direction, version, "beyond 65535", source, far, 0))
            for number in range(FIRST):
                source = world.source(version)
                first = [piece(version, udp(bytes(24)), source, target, 0, 32, 1, 5)]
                sent.append((direction, version, f"a first one, {number}", source, first, 0))
            incomplete += FIRST if version == 4 and (joined or direction == "received") else 0
    for _, version, _, _, packets, _ in sent:
        for packet in packets:
            world.send(version, packet)
    # Whoever sent a first one is told after a second that the rest did not come.
    given_up = lambda: wire.counters(world.r)["IpReasmTimeout"] - before["IpReasmTimeout"]
    check.that(f"{title}: those that are incomplete are given up",
               traffic.wait_for(lambda: given_up() >= incomplete, 120, 0.5), given_up())
    moved, counted = steps.moved()
    arrived = {direction: world.arrived(direction) for direction in TARGETS}
    mine = {direction: tracked(moved, world, direction) for direction in TARGETS}
    pairs, certain, untracked = [], [], {}
    for direction, version, name, source, packets, times in sent:
        number, size = arrived[direction].get(source, (0, 0))
        expect = NOTHING
        if joined or direction == "received" and version == 4:
            certain.append((f"IPv{version}, {direction}, {name}", number, number if times is None else times))
            expect = Traffic(number, number, size, size - (28 if version == 4 else 48) * number)
        else:
            # Each on its own; what cannot be is not forwarded, or dropped before.
            certain.append((f"IPv{version}, {direction}, {name}: all pieces or none", number in (0, len(packets)), True))
            for packet in packets if number else []:
                as_what = expected(packet)
                if isinstance(as_what, str):
                    untracked[as_what] = untracked.get(as_what, NOTHING) + Traffic(1, 1, len(packet), 0)
                else:
                    expect += Traffic(1, 1, len(packet), as_what)
        pairs.append((f"IPv{version}, {direction}, {name}", mine[direction].get(source, NOTHING), expect))
    check.all_equal(f"{title}: each datagram by nft", pairs)
    check.all_equal(f"{title}: what arrives", certain)
    check.equal(f"{title}: the reasons of the untracked", moved.untracked, untracked)
    compare_totals(title, moved, counted)


def begin(world):
    """The module afresh, so that what is looked at is not more than what one step made."""
    if module.is_loaded():
        module.audit()
        module.unload()
    module.load(**dict.fromkeys(("timeout_one_way", "timeout_two_way", "timeout_icmp", "timeout_closed", "timeout_tcp",
                                 "timeout_tcp_opening", "timeout_tcp_closing"), 36000))
    return Steps(*world.hosts, net.Namespace())


def main():
    world = World()
    time.sleep(3)
    steps = begin(world)
    chance = random.Random(SEED)
    packets = []
    for direction, targets in TARGETS.items():
        for version, every in ((4, systematic4), (6, systematic6)):
            some = list(every(targets[version], lambda: world.source(version)))
            # What is parsed at the one hook is at the other.
            some = some if direction == "received" or pace.IS_NATIVE else some[::4]
            packets += ((direction, version, name, packet) for name, packet in some)
        packets += ((direction, *one) for one in anything(targets, world.source, chance))
    check.part(f"{len(packets)} malformed packets")
    inject(world, steps, packets)
    with open(f"{module.PROC}/config", "w") as file:
        file.write("".join(f"timeout_{name} 1\n" for name in ("one_way", "two_way", "icmp", "closed", "tcp",
                                                              "tcp_opening", "tcp_closing")))
    check.that("the connections end", traffic.wait_for(lambda: module.stats()["table_used"] < 50, 120, 0.5),
               module.stats()["table_used"])
    check.part("strange addresses")
    steps = begin(world)
    strangers(world, steps)
    check.part("fragments")
    fragments(world, steps, joined=False)
    check.part("fragments that connection tracking puts together")
    world.r.sh("nft", "-f", "-", input="""table inet tracking { chain in {
        type filter hook prerouting priority 0; ct state new counter; }; }""")
    fragments(world, steps, joined=True)
    module.audit()
    module.unload()
    check.finish()


main()
