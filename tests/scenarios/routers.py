# SPDX-License-Identifier: MIT OR Apache-2.0
"""Traffic that passes through a router: one connection there, with the numbers of both its ends.

c -- r -- s: r forwards, without and with NAT, drops, makes fragments and puts them together, sees
WireGuard pass, and has a VLAN on one side. Each step is compared with nft at the same hook, with
captures on both of r's links, with connection tracking where there is some, and with the ends.
"""

import errno
import json
import os
import socket
import threading

from lib import books, check, conntrack, module, net, pcap, ss, traffic
from lib.image import NOTHING, Traffic, UID_UNKNOWN
from lib.steps import Steps

TCP, UDP, ICMP, ICMPV6 = 6, 17, 1, 58
C4, RA4, RB4, S4 = "10.0.1.1", "10.0.1.2", "10.0.2.1", "10.0.2.2"
C6, RA6, RB6, S6 = "fd01::1", "fd01::2", "fd02::1", "fd02::2"
HEADERS = {4: 20, 6: 40}
EVERY = ("sent", "received", "forwarded")
MTU = 1500
# WireGuard's, at both ends.
PORT = 51820
LESS = 1280

IP_MTU_DISCOVER, IP_PMTUDISC_DO, IP_PMTUDISC_DONT = 10, 2, 0
IPV6_MTU_DISCOVER = 23


class World:
    """The three hosts, and what is counted of them step by step."""

    def __init__(self):
        self.c, self.r, self.s = (net.Namespace(name) for name in "crs")
        self.all = (self.c, self.r, self.s, net.Namespace())
        self.links = ((self.c, "va"), (self.r, "ra"), (self.r, "rb"), (self.s, "vb"))
        net.veth(self.c, "va", self.r, "ra")
        net.veth(self.r, "rb", self.s, "vb")
        net.address(self.c, "va", f"{C4}/24", f"{C6}/64")
        net.address(self.r, "ra", f"{RA4}/24", f"{RA6}/64")
        net.address(self.r, "rb", f"{RB4}/24", f"{RB6}/64")
        net.address(self.s, "vb", f"{S4}/24", f"{S6}/64")
        self.r.sysctl("ipv4/ip_forward", 1)
        self.r.sysctl("ipv6/conf/all/forwarding", 1)
        for host in self.all:
            host.sysctl("ipv4/icmp_ratelimit", 0)
            host.sysctl("ipv6/icmp/ratelimit", 0)
            host.sysctl("ipv6/conf/all/router_solicitations", 0)
            host.sysctl("ipv6/conf/default/router_solicitations", 0)
            net.count(host)
        # Everything stays visible until the end.
        module.load(timeout_closed=3600, timeout_one_way=3600, timeout_two_way=3600, timeout_icmp=3600,
                    timeout_fd=3600)
        for host, link in self.links:
            net.up(host, link)
        net.settle(self.c, self.r, self.s)
        self.know_neighbours()
        for host, gateways in ((self.c, (RA4, RA6)), (self.s, (RB4, RB6))):
            for gateway in gateways:
                host.sh("ip", "route", "add", "default", "via", gateway)
        self.where = {C4: self.c, C6: self.c, RA4: self.r, RA6: self.r, RB4: self.r, RB6: self.r,
                      S4: self.s, S6: self.s}
        self.steps = Steps(*self.all)
        self.captures = []

    def know_neighbours(self):
        """So that nobody asks for a neighbour among what is compared."""
        mac = {link: json.loads(host.sh("ip", "-j", "link", "show", link))[0]["address"] for host, link in self.links}
        for (host, link), other, addresses in zip(self.links, ("ra", "va", "vb", "rb"),
                                                  ((RA4, RA6), (C4, C6), (S4, S6), (RB4, RB6))):
            for address in addresses:
                host.sh("ip", "neighbour", "replace", address, "lladdr", mac[other], "dev", link, "nud", "permanent")

    def moved(self, title, exact=EVERY):
        """What moved since, once it equals what nft counted."""
        moved, counted = self.steps.moved()
        for flows, link, capture in self.captures:
            # Routers and neighbours announce themselves when they like.
            flows[link] = {key: seen for key, seen in capture.end().items()
                           if key[0] != ICMPV6 or not key[1].startswith(("fe80:", "::"))}
        self.captures.clear()
        net.compare(check, f"{title}: nft", moved, counted, exact=exact)
        return moved, counted

    def captured(self, *links):
        """Captures of what goes out by those links, until moved() is asked for: then the dictionary that
        this gives has the flows of each."""
        flows = {}
        self.captures += [(flows, link, pcap.Capture(host, link, f"/tmp/{host.name}-{link}.pcap")) for host, link in links]
        return flows

    def on_links(self):
        """Captures of what the router sends by its two links."""
        return self.captured((self.r, "ra"), (self.r, "rb"))


def of(moved, host, forwarded=False, **match):
    """What the connections of a host that match moved: sent and received."""
    found = [c for c in moved.connections if c.netns == host.inode and c.forwarded == forwarded
             and all(getattr(c, name) == value for name, value in match.items())]
    return sum((c.sent for c in found), NOTHING), sum((c.received for c in found), NOTHING)


def has_ends(c):
    """Whether it can be told apart by ports or an echo's identifier."""
    return c.protocol in (TCP, UDP) or c.protocol in (ICMP, ICMPV6) and c.local_port + c.remote_port > 0


def alike(traffic_, exact):
    return tuple(traffic_) if exact else (traffic_.packets, traffic_.bytes, traffic_.payload)


def compare_path(world, title, moved, initiator, exact):
    """Each connection between the ends is one in the router, seen from its initiator, and its numbers
    are those of the ends."""
    local, passing = {}, {}
    for c in moved.connections:
        if has_ends(c):
            into = passing if c.forwarded else local
            into.setdefault((c.netns, c.key), []).append(c)
    check.equal(f"{title}: none is forwarded but by the router", {netns for netns, _ in passing} - {world.r.inode}, set())
    pairs = []
    ends = {key for netns, key in local if netns == initiator.inode}
    pairs += [(f"{key} through the router", len(passing.get((world.r.inode, key), [])), 1) for key in ends]
    for (_, key), found in passing.items():
        near_host, far_host = world.where[key[1]], world.where[key[3]]
        near = local.get((near_host.inode, key), [])
        far = local.get((far_host.inode, traffic.mirrored(key)), [])
        pairs += [(f"{key} begun by", near_host.name, initiator.name),
                  (f"{key} records", (len(found), len(near), len(far)), (1, 1, 1))]
        if (len(found), len(near), len(far)) == (1, 1, 1):
            there, back = alike(found[0].sent, exact), alike(found[0].received, exact)
            pairs += [(f"{key} sent", (there, there), (alike(near[0].sent, exact), alike(far[0].received, exact))),
                      (f"{key} received", (back, back), (alike(near[0].received, exact), alike(far[0].sent, exact)))]
    check.all_equal(f"{title}: {len(passing)} forwarded connections are what both ends say", pairs)


def compare_links(world, title, moved, flows, initiator, exact):
    """What was forwarded each way is what went out by the router's links."""
    there, back = ("rb", "ra") if initiator is world.c else ("ra", "rb")
    mine = {"ra": {}, "rb": {}}
    for c in moved.connections:
        if c.netns == world.r.inode and c.forwarded and c.protocol in (TCP, UDP):
            for link, key, one in ((there, c.key, c.sent), (back, traffic.mirrored(c.key), c.received)):
                if one.packets:
                    mine[link][key] = (one.packets, one.bytes, one.payload) if exact else (one.buffers, one.payload)
    pairs = []
    for link, expected in flows.items():
        expected = {key: seen if exact else (seen[0], seen[2]) for key, seen in expected.items() if key[0] in (TCP, UDP)}
        pairs += [(f"{link} {key}", mine[link].get(key), expected.get(key)) for key in mine[link].keys() | expected]
    check.all_equal(f"{title}: captures on both of the router's links", pairs)


def passed_on(host):
    """Datagrams that the host's own statistics say it forwarded."""
    with host.inside():
        names, numbers = [line.split() for line in open("/proc/thread-self/net/snmp") if line.startswith("Ip:")]
        six = dict(line.split() for line in open("/proc/thread-self/net/snmp6"))
    return dict(zip(names, numbers)), six


def statistic(host, four, six):
    one, other = passed_on(host)
    return int(one[four]), int(other[six])


def forwarded_by(host):
    return sum(statistic(host, "ForwDatagrams", "Ip6OutForwDatagrams"))


def plain(world, title, exact):
    """All programs, both families, from the client; connections that the server begins, too."""
    check.part(title)
    c, r, s = world.c, world.r, world.s
    everything = EVERY if exact else ()
    watchers = [ss.Gone(host) for host in (c, s)]
    claims, held = [], []
    before = forwarded_by(r)
    flows = world.on_links()
    for address in (S4, S6):
        claims += traffic.iperf_tcp(c, s, address, "1M")
        claims += traffic.iperf_udp(c, s, address, 200)
        claims += traffic.download(c, s, address)
        claims += traffic.resolve(c, s, address, 4)
        claims += traffic.ping(c, s, address)
        claims += traffic.short_connections(c, s, address, 10)
        held.append(traffic.Held(c, s, address, 2, 300_000))
    gone = {}
    for watcher in watchers:
        for key, sockets in watcher.end().items():
            gone.setdefault(key, []).extend(sockets)
    moved, _ = world.moved(title, everything)
    forwarded = moved.after["forwarded_sent"] + moved.after["forwarded_received"]
    check.equal(f"{title}: the kernel's statistics of what it forwarded, buffers", forwarded.buffers, forwarded_by(r) - before)
    if exact:
        check.equal(f"{title}: every buffer is a packet", forwarded.packets, forwarded.buffers)
    else:
        check.that(f"{title}: super-packets are forwarded", forwarded.packets > forwarded.buffers, forwarded)
    compare_path(world, title, moved, c, exact)
    compare_links(world, title, moved, flows, c, exact)
    traffic.compare(check, title, moved, claims, gone)
    books.compare_ss(moved, (c, s), held, gone)
    states = {key: one.state for (one, key) in ((one, one.key) for one in moved.connections if one.forwarded)}
    check.all_equal(f"{title}: in the router, too, open connections are established",
                    ((key, states.get(key), "established") for pair in held
                     for key in (traffic.ends(near) for near, _ in pair.pairs)))
    check.equal(f"{title}: nothing is untracked", moved.untracked, {})
    for pair in held:
        pair.close()
    moved, _ = world.moved(f"{title}, closing", everything)
    compare_path(world, f"{title}, closing", moved, c, exact)

    claims = []
    flows = world.on_links()
    for address in (C4, C6):
        claims += traffic.short_connections(s, c, address, 5)
        claims += traffic.ping(s, c, address, 3)
    title = f"{title}, begun by the server"
    moved, _ = world.moved(title, everything)
    compare_path(world, title, moved, s, exact)
    compare_links(world, title, moved, flows, s, exact)
    check.that(f"{title}: that is forwarded_sent", moved.after["forwarded_sent"].payload < moved.after["forwarded_received"].payload,
               (moved.after["forwarded_sent"], moved.after["forwarded_received"]))


def offloads(world, on):
    """Super-packets everywhere, or none anywhere."""
    for host, link in world.links:
        word = "on" if on else "off"
        net.offloads(host, link, tso=word, gso=word, gro="off")
        # TCP hands down super-packets, and has them segmented by software, whatever ethtool says.
        host.sh("ip", "link", "set", link, "gso_max_segs", 65535 if on else 1)


def udp(host, address, port=0):
    with host.inside():
        one = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    one.bind((address, port))
    one.settimeout(5)
    return one


def packets(number, size, payload):
    return Traffic(number, number, size, payload)


def smaller_mtu(world):
    check.part("a smaller MTU behind the router")
    c, r, s = world.c, world.r, world.s
    for host, link in ((r, "rb"), (s, "vb")):
        host.sh("ip", "link", "set", link, "mtu", LESS)

    sink, one = udp(s, S4), udp(c, C4)
    one.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT)
    size = 1400
    flows = world.on_links()
    one.sendto(bytes(size), sink.getsockname())
    sink.recv(2000)
    moved, _ = world.moved("the router makes fragments")
    whole = packets(1, 28 + size, size)
    check.equal("one packet is sent, one forwarded, one received",
                (of(moved, c, protocol=UDP)[0], of(moved, r, True, protocol=UDP)[0], of(moved, s, protocol=UDP)[1]),
                (whole,) * 3)
    first = (UDP, *one.getsockname(), *sink.getsockname())
    room = (LESS - 20) // 8 * 8
    check.equal("two fragments go out, with a header more", flows["rb"],
                {first: (1, 20 + room, room - 8), (UDP, C4, 0, S4, 0): (1, 20 + 8 + size - room, 8 + size - room)})
    check.equal("none is untracked", moved.untracked, {})

    for version, near, far, protocol in ((4, C4, S4, ICMP), (6, C6, S6, ICMPV6)):
        sink, one = udp(s, far), udp(c, near)
        if version == 4:
            one.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)
        else:
            one.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, IP_PMTUDISC_DO)
        one.connect(sink.getsockname())
        size = 1400
        title = f"IPv{version}: a datagram that is not to be fragmented"
        flows = world.on_links()
        one.send(bytes(size))
        told = traffic.wait_for(lambda: one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.EMSGSIZE, 5)
        refused = told and too_long(one, size)
        one.send(bytes(LESS - HEADERS[version] - 8))
        sink.recv(2000)
        check.that(f"{title}: the next one is refused by its own host", refused)
        moved, _ = world.moved(title)
        sent = HEADERS[version] + 8
        check.equal(f"{title}: two are sent, the one that fits is forwarded and received",
                    (of(moved, c, protocol=UDP)[0], of(moved, r, True, protocol=UDP)[0], of(moved, s, protocol=UDP)[1]),
                    (packets(2, sent + size + LESS, size + LESS - sent), packets(1, LESS, LESS - sent),
                     packets(1, LESS, LESS - sent)))
        # An error quotes as much as fits into 576 bytes, or 1280.
        length = 576 if version == 4 else 1280
        error = packets(1, length, length - HEADERS[version] - 8)
        gateway = RA4 if version == 4 else RA6
        check.equal(f"{title}: the router says so, and forwards nothing of that",
                    (of(moved, r, protocol=protocol, remote=near, remote_port=0, local_port=0)[0],
                     of(moved, c, protocol=protocol, remote=gateway, remote_port=0, local_port=0)[1],
                     of(moved, r, True, protocol=protocol)), (error, error, (NOTHING, NOTHING)))
        check.equal(f"{title}: captured", {link: list(seen.values()) for link, seen in flows.items()},
                    {"ra": [(1, length, length - HEADERS[version])], "rb": [(1, LESS, LESS - sent)]})

    check.note("TCP finds out by itself")
    for host in (c, s):
        for version in ("-4", "-6"):
            host.sh("ip", version, "route", "flush", "cache")
    # So that the far end does not say at once what fits.
    for gateway, prefix in ((RB4, "10.0.1.0/24"), (RB6, "fd01::/64")):
        s.sh("ip", "route", "add", prefix, "via", gateway, "advmss", "1400")
    for version, address in ((4, S4), (6, S6)):
        failed = statistic(r, "FragFails", "Ip6FragFails")[version == 6]
        flows = world.on_links()
        held = traffic.Held(c, s, address, 1, 200_000)
        title = f"IPv{version}: TCP finds the MTU"
        moved, _ = world.moved(title)
        too_big = statistic(r, "FragFails", "Ip6FragFails")[version == 6] - failed
        check.that(f"{title}: packets were too big", too_big > 0, too_big)
        sent, received = (of(moved, host, protocol=TCP) for host in (c, s))
        through = of(moved, r, True, protocol=TCP)
        check.equal(f"{title}: what was sent and not forwarded is what the router refused",
                    (sent[0].packets - through[0].packets, sent[1], through[0]), (too_big, through[1], received[1]))
        check.equal(f"{title}: it said so each time",
                    (of(moved, r, protocol=ICMP if version == 4 else ICMPV6)[0].packets), too_big)
        compare_links(world, title, moved, flows, c, True)
        sockets = {one.key: one for host in (c, s) for one in ss.sockets(host, "ESTAB")}
        check.all_equal(f"{title}: payload is what ss says was sent, segment by segment",
                        ((one.key, (one.sent.payload, one.sent.packets),
                          (sockets[one.key].bytes_sent, sockets[one.key].segs_out + (one.netns == s.inode)))
                         for one in moved.connections if one.protocol == TCP and not one.forwarded))
        held.close()
        world.moved(f"{title}, closing")
    for host, link in ((r, "rb"), (s, "vb")):
        host.sh("ip", "link", "set", link, "mtu", MTU)
    for gateway, prefix in ((RB4, "10.0.1.0/24"), (RB6, "fd01::/64")):
        s.sh("ip", "route", "delete", prefix, "via", gateway)
    for version in ("-4", "-6"):
        c.sh("ip", version, "route", "flush", "cache")


def too_long(one, size):
    try:
        one.send(bytes(size))
    except OSError as error:
        return error.errno == errno.EMSGSIZE
    return False


def fragments(world, tracked):
    """Datagrams that c has made fragments of already."""
    words = "put together by connection tracking" if tracked else "passed on one by one"
    check.part(f"fragments, {words}")
    c, r, s = world.c, world.r, world.s
    if tracked:
        r.sh("nft", "-f", "-", input="""table inet tracking { chain in {
            type filter hook prerouting priority 0; ct state new counter; }; }""")
    size = 4000
    for version, near, far in ((4, C4, S4), (6, C6, S6)):
        sink, one = udp(s, far), udp(c, near)
        title = f"IPv{version}, {words}"
        flows = world.captured((c, "va"), (r, "rb"))
        one.sendto(bytes(size), sink.getsockname())
        sink.recv(size)
        moved, _ = world.moved(title)
        header, extra = HEADERS[version], 8 * (version == 6)
        room = (MTU - header - extra) // 8 * 8
        number = -(-(size + 8) // room)
        whole = packets(1, header + 8 + size, size)
        first = packets(1, header + extra + room, room - 8)
        rest = packets(number - 1, size + 8 - room + (number - 1) * (header + extra), 0)
        # IPv6 puts fragments together behind the hook.
        arrived = whole if version == 4 else first
        passing = whole if tracked else first
        untracked = rest if version == 6 else NOTHING
        if not tracked:
            untracked += rest
        check.equal(f"{title}: sent, forwarded, received, and by reason `fragment` untracked",
                    (of(moved, c, protocol=UDP)[0], of(moved, r, True, protocol=UDP)[0], of(moved, s, protocol=UDP)[1],
                     moved.untracked.get("fragment", NOTHING)), (whole, passing, arrived, untracked))
        check.equal(f"{title}: there is no other reason", set(moved.untracked) - {"fragment"}, set())
        total = packets(number, first.bytes + rest.bytes, 0)
        check.equal(f"{title}: both links carry {number} fragments",
                    [(sum(seen[0] for seen in flow.values()), sum(seen[1] for seen in flow.values()))
                     for flow in (flows["va"], flows["rb"])], [(total.packets, total.bytes)] * 2)
    if tracked:
        r.sh("nft", "delete", "table", "inet", "tracking")


def drops(world):
    check.part("a router that drops")
    c, r, s = world.c, world.r, world.s
    r.sh("nft", "-f", "-", input="""table inet drops {
        counter before { packets 0 bytes 0 }
        counter after { packets 0 bytes 0 }
        chain before { type filter hook forward priority 0;
            meta l4proto udp numgen inc mod 3 == 0 counter name before drop
            meta l4proto tcp numgen inc mod 10 == 9 counter name before drop; }
        chain after { type filter hook postrouting priority 0; oifname { "ra", "rb" } udp dport 9999 counter name after drop; }
        }""")

    def dropped():
        listing = json.loads(r.sh("nft", "-j", "list", "counters", "table", "inet", "drops"))["nftables"]
        found = {item["counter"]["name"]: item["counter"] for item in listing if "counter" in item}
        return [(found[name]["packets"], found[name]["bytes"]) for name in ("before", "after")]

    for version, near, far in ((4, C4, S4), (6, C6, S6)):
        title = f"IPv{version}: every third datagram"
        sink, one, silent = udp(s, far), udp(c, near), udp(s, far, 9999)
        was = dropped()
        flows = world.on_links()
        for i in range(90):
            one.sendto(bytes(10 * i), sink.getsockname())
        for i in range(30):
            one.sendto(bytes(i), silent.getsockname())
        moved, _ = world.moved(title)
        now = dropped()
        before, after = [(a - x, b - y) for (a, b), (x, y) in zip(now, was)]
        check.equal(f"{title}: dropped before and behind MUTEX's hook", (before[0], after[0]), (40, 20))
        sent, through, received = (of(moved, c, protocol=UDP)[0], of(moved, r, True, protocol=UDP)[0],
                                   of(moved, s, protocol=UDP)[1])
        lost = sent - through
        check.equal(f"{title}: what was dropped is not counted as forwarded", (lost.packets, lost.bytes), before)
        check.equal(f"{title}: what is dropped later is", ((through - received).packets, (through - received).bytes), after)
        check.equal(f"{title}: the link carries the rest",
                    (sum(seen[0] for key, seen in flows["rb"].items() if key[0] == UDP), received.packets), (60, 60))

        title = f"IPv{version}: every tenth segment"
        was = dropped()
        flows = world.on_links()
        held = traffic.Held(c, s, far, 1, 100_000)
        moved, _ = world.moved(title)
        compare_links(world, title, moved, flows, c, True)
        before = [a - b for a, b in zip(dropped()[0], was[0])]
        through = of(moved, r, True, protocol=TCP)
        ends = of(moved, c, protocol=TCP), of(moved, s, protocol=TCP)
        lost = ends[0][0] + ends[1][0] - through[0] - through[1]
        check.that(f"{title}: segments were dropped", before[0] > 0, before)
        check.equal(f"{title}: what was dropped is not counted as forwarded", [lost.packets, lost.bytes], before)
        check.equal(f"{title}: what was forwarded was received", (through[0], through[1]), (ends[1][1], ends[0][1]))
        sockets = {one.key: one for host in (c, s) for one in ss.sockets(host, "ESTAB")}
        check.all_equal(f"{title}: sent, retransmissions included, equals ss",
                        ((one.key, one.sent.payload, sockets[one.key].bytes_sent) for one in moved.connections
                         if one.protocol == TCP and not one.forwarded))
        check.that(f"{title}: there were retransmissions",
                   any(one.sent.payload > one_ss.bytes_acked for one in moved.connections if not one.forwarded
                       and (one_ss := sockets.get(one.key))))
        r.sh("nft", "flush", "chain", "inet", "drops", "before")
        held.close()
        world.moved(f"{title}, closing")
        r.sh("nft", "-f", "-", input="""add rule inet drops before meta l4proto udp numgen inc mod 3 == 0 counter name before drop
            add rule inet drops before meta l4proto tcp numgen inc mod 10 == 9 counter name before drop""")
    r.sh("nft", "delete", "table", "inet", "drops")


def vlan(world):
    check.part("a VLAN between client and router")
    c, r, s = world.c, world.r, world.s
    for host, link, four, six in ((c, "va", "10.0.7.1", "fd07::1"), (r, "ra", "10.0.7.2", "fd07::2")):
        host.sh("ip", "link", "add", "link", link, "name", f"{link}.7", "type", "vlan", "id", "7")
        net.address(host, f"{link}.7", f"{four}/24", f"{six}/64")
        net.up(host, f"{link}.7")
        host.sh("ip", "link", "set", f"{link}.7", "gso_max_segs", 1)
        for one in (four, six):
            world.where[one] = host
    net.settle(c, r)
    for destination, gateway, source in ((S4, "10.0.7.2", "10.0.7.1"), (S6, "fd07::2", "fd07::1")):
        c.sh("ip", "route", "add", destination, "via", gateway, "src", source)
    flows = world.captured((r, "ra"), (r, "ra.7"), (r, "rb"))
    for address in (S4, S6):
        held = traffic.Held(c, s, address, 1, 100_000)
        claims = traffic.iperf_udp(c, s, address, 50)
        claims += traffic.ping(c, s, address, 3)
        held.close()
    title = "VLAN"
    moved, _ = world.moved(title)
    compare_path(world, title, moved, c, True)
    tagged = flows.pop("ra")
    compare_links(world, title, moved, {"ra": flows["ra.7"], "rb": flows["rb"]}, c, True)
    compare_links(world, f"{title}, on the link that has the tags", moved, {"ra": tagged}, c, True)
    with r.inside():
        index, other = (socket.if_nametoindex(name) for name in ("ra.7", "rb"))
    check.all_equal("VLAN: forwarded connections name its interface",
                    ((one.key, {one.in_interface, one.out_interface}, {index, other}) for one in moved.connections
                     if one.forwarded and has_ends(one)))
    for host, link in ((c, "va.7"), (r, "ra.7")):
        host.sh("ip", "link", "delete", link)


class Talk:
    """Conversations of c, or whoever, with a listener of s, or whoever, under whatever address; they stay open."""

    def __init__(self, near, far, to, at, up=30_000, down=50_000):
        """`to`: where `near` connects to; `at`: where `far` listens."""
        family = socket.AF_INET6 if ":" in at[0] else socket.AF_INET
        self.listener = traffic.tcp_listener(far, *at)
        self.near = traffic.tcp_connect(near, *to)
        self.far, _ = self.listener.accept()
        for one in (self.near, self.far):
            one.settimeout(20)
        for source, sink, size in ((self.near, self.far, up), (self.far, self.near, down)):
            sender = threading.Thread(target=source.sendall, args=(bytes(size),))
            sender.start()
            if len(traffic.receive(sink, size)) != size:
                raise RuntimeError("a transfer broke off")
            sender.join()
        with near.inside():
            self.asking = socket.socket(family, socket.SOCK_DGRAM)
        with far.inside():
            self.answering = socket.socket(family, socket.SOCK_DGRAM)
            self.answering.bind(at)
        self.asking.connect(to)
        for one in (self.asking, self.answering):
            one.settimeout(20)
        for i in range(5):
            self.asking.send(bytes(100 * i))
            _, source = self.answering.recvfrom(2000)
            self.answering.sendto(bytes(10 * i), source)
            self.asking.recv(2000)
        self.keys = [traffic.ends(one) for one in (self.near, self.asking)]

    def close(self):
        for one in (self.near, self.far, self.listener, self.asking, self.answering):
            one.close()


def compare_tracked(world, title, moved, at_least, flows=None):
    """Connection tracking's own counts, under the addresses of each place: at the near end what its
    socket sent, in FORWARD the real ends, at the far end what its socket sees."""
    local, passing = {}, {}
    for c in moved.connections:
        if has_ends(c):
            (passing if c.forwarded else local).setdefault((c.netns, c.key), []).append(c)
    pairs, forwarded = [], 0
    on_link = {"ra": {}, "rb": {}}
    found = conntrack.entries(world.r)
    for entry in found:
        (source, sport, to, to_port), (answers, answers_port, back, back_port) = entry.asked, entry.answered
        near, far = world.where[source], world.where[answers]
        places = [("near", local, near, (source, sport, to, to_port), False),
                  ("far", local, far, (answers, answers_port, back, back_port), True)]
        if world.r not in (near, far):
            forwarded += 1
            places.append(("forwarded", passing, world.r, (source, sport, answers, answers_port), False))
        for place, records, host, key, turned in places:
            mine = records.get((host.inode, (entry.protocol, *key)), [])
            numbers = [(one.packets, one.bytes) for c in mine for one in (c.sent, c.received)]
            expected = [entry.there, entry.back]
            pairs.append((f"{place} {key}", numbers, expected[::-1] if turned else expected))
        if entry.protocol in (TCP, UDP):
            link = {world.c: "ra", world.s: "rb"}
            for host, key, seen in ((far, (back, back_port, answers, answers_port), entry.there),
                                    (near, (to, to_port, source, sport), entry.back)):
                if host in link:
                    on_link[link[host]][(entry.protocol, *key)] = seen
    check.all_equal(f"{title}: connection tracking's {len(found)} entries", pairs)
    check.that(f"{title}: there are as many as were made", len(found) >= at_least, len(found))
    check.equal(f"{title}: each is one connection in FORWARD, and there are no others", sum(map(len, passing.values())), forwarded)
    if flows:
        check.all_equal(f"{title}: captures on both of the router's links, under the addresses there",
                        ((f"{link} {key}", on_link[link].get(key), seen and seen[:2])
                         for link in ("ra", "rb")
                         for theirs in [{k: v for k, v in flows[link].items() if k[0] in (TCP, UDP)}]
                         for key in on_link[link].keys() | theirs for seen in [theirs.get(key)]))


def compare_talks(world, title, moved, talks):
    """Payload of each open TCP connection, wherever it is counted, against ss at both ends."""
    mine = {(c.netns, c.forwarded, c.key): c for c in moved.connections}
    sockets = {(host.inode, one.key): one for host in (world.c, world.r, world.s) for one in ss.sockets(host, "ESTAB")}
    pairs = []
    for near_host, far_host, talk in talks:
        near_key, far_key = traffic.ends(talk.near), traffic.ends(talk.far)
        near, far = sockets[near_host.inode, near_key], sockets[far_host.inode, far_key]
        passing = (TCP, *near_key[1:3], *far_key[1:3])
        expected = (near.bytes_sent, far.bytes_sent)
        places = [(near_host, False, near_key, expected), (far_host, False, far_key, expected[::-1])]
        if world.r not in (near_host, far_host):
            places.append((world.r, True, passing, expected))
        for host, forwarded, key, numbers in places:
            c = mine.get((host.inode, forwarded, key))
            pairs.append((f"{host.name} {key}", c and (c.state, c.sent.payload, c.received.payload),
                          ("established", *numbers)))
        c = mine.get((near_host.inode, False, near_key))
        pairs.append((f"{near_key} the far end's own name is another", near_key == traffic.mirrored(far_key), False))
    check.all_equal(f"{title}: open connections equal ss, in all places", pairs)


def nat(world):
    check.part("NAT")
    c, r, s = world.c, world.r, world.s
    virtual4, virtual6 = "192.0.2.80", "2001:db8::80"
    r.sh("ip", "route", "add", "192.0.2.0/24", "via", S4)
    r.sh("ip", "route", "add", "2001:db8::/64", "via", S6)
    r.sh("nft", "-f", "-", input=f"""table inet nat {{
        chain out {{ type nat hook postrouting priority srcnat;
            iifname ra oifname rb meta l4proto {{ tcp, udp }} masquerade to :20000-29999
            iifname ra oifname rb masquerade
        }}
        chain in {{ type nat hook prerouting priority dstnat;
            ip daddr {RA4} meta l4proto {{ tcp, udp }} th dport 8080 dnat ip to {S4}:8081
            ip6 daddr {RA6} meta l4proto {{ tcp, udp }} th dport 8080 dnat ip6 to [{S6}]:8081
            ip daddr {virtual4} meta l4proto {{ tcp, udp }} th dport 81 redirect to :8181
            ip6 daddr {virtual6} meta l4proto {{ tcp, udp }} th dport 81 redirect to :8181
            iifname ra ip daddr {virtual4} icmp type echo-request dnat ip to {S4}
            iifname ra ip6 daddr {virtual6} icmpv6 type echo-request dnat ip6 to {S6}
        }}
        chain local {{ type nat hook output priority dstnat;
            ip daddr {virtual4} meta l4proto {{ tcp, udp }} th dport 82 dnat ip to {S4}:8282
            ip6 daddr {virtual6} meta l4proto {{ tcp, udp }} th dport 82 dnat ip6 to [{S6}]:8282
            ip daddr {virtual4} icmp type echo-request dnat ip to {S4}
            ip6 daddr {virtual6} icmpv6 type echo-request dnat ip6 to {S6}
        }}
        }}""")
    conntrack.remember(r)

    title = "masquerading"
    check.note(title)
    talks = []
    flows = world.on_links()
    for address in (S4, S6):
        traffic.download(c, s, address)
        traffic.resolve(c, s, address, 3)
        traffic.ping(c, s, address, 3)
        talks.append((c, s, Talk(c, s, (address, 9000), (address, 9000))))
    moved, _ = world.moved(title)
    compare_tracked(world, title, moved, 2 * (1 + 1 + 1 + 2), flows)
    compare_talks(world, title, moved, talks)
    remotes = {one.remote for one in moved.connections if one.netns == s.inode and has_ends(one)}
    check.equal(f"{title}: the server sees the router only", remotes, {RB4, RB6})
    check.equal(f"{title}: the router's FORWARD has the real ends only",
                {(one.local, one.remote) for one in moved.connections if one.forwarded and has_ends(one)}, {(C4, S4), (C6, S6)})
    everything = talks
    conntrack_done(world)

    title = "DNAT to a server behind the router"
    check.note(title)
    talks = []
    flows = world.on_links()
    for to, at, virtual in ((RA4, S4, virtual4), (RA6, S6, virtual6)):
        talks.append((c, s, Talk(c, s, (to, 8080), (at, 8081))))
        traffic.ping(c, s, virtual, 3)
    moved, _ = world.moved(title)
    compare_tracked(world, title, moved, 2 * 3, flows)
    compare_talks(world, title, moved, talks)
    check.equal(f"{title}: the client knows the address it asked for, FORWARD the server's",
                ({(one.remote, one.remote_port) for one in moved.connections if one.netns == c.inode and one.protocol == TCP},
                 {(one.remote, one.remote_port) for one in moved.connections if one.forwarded and one.protocol == TCP}),
                ({(RA4, 8080), (RA6, 8080)}, {(S4, 8081), (S6, 8081)}))
    everything += talks
    conntrack_done(world)

    title = "DNAT of what the router sends, and what is redirected to it"
    check.note(title)
    talks = []
    flows = world.on_links()
    for to, at in ((virtual4, S4), (virtual6, S6)):
        talks.append((r, s, Talk(r, s, (to, 82), (at, 8282))))
        traffic.ping(r, s, to, 3)
        # It is told the address that the redirection gives it.
        own = RA4 if at == S4 else RA6
        talks.append((c, r, Talk(c, r, (to, 81), (own, 8181))))
    moved, _ = world.moved(title)
    compare_tracked(world, title, moved, 2 * 5, flows)
    compare_talks(world, title, moved, talks)
    check.equal(f"{title}: nothing is forwarded", (moved.after["forwarded_sent"], moved.after["forwarded_received"]), (NOTHING, NOTHING))
    mine = {one.key: one for one in moved.connections if one.netns == r.inode}
    owners = {one.id: one.pid for one in moved.whole.fds}
    check.all_equal(f"{title}: the router's own connections are what its sockets know, and have their owner",
                    ((key, owners.get(mine[key].fd) if key in mine else None, os.getpid())
                     for near, far, talk in talks for key in (talk.keys if near is r else [traffic.ends(talk.far)])))
    everything += talks
    for _, _, talk in everything:
        talk.close()
    world.moved("closing all of these")
    r.sh("nft", "delete", "table", "inet", "nat")


def conntrack_done(world):
    """Forgets what is closed; what is open comes again with its next packet, and is not compared again."""
    world.r.sh("conntrack", "-F")


def wireguard(world):
    check.part("WireGuard between client and server, through the router")
    c, r, s = world.c, world.r, world.s
    inner = {"c": ("10.8.0.1", "fd08::1"), "s": ("10.8.0.2", "fd08::2")}
    public = {}
    for host in (c, s):
        private = host.sh("wg", "genkey").strip()
        public[host.name] = host.sh("wg", "pubkey", input=private).strip()
        host.sh("ip", "link", "add", "wg0", "type", "wireguard")
        with open(f"/tmp/{host.name}.key", "w") as file:
            file.write(private)
        host.sh("wg", "set", "wg0", "listen-port", PORT, "private-key", f"/tmp/{host.name}.key")
    for host, other, end in ((c, s, S4), (s, c, C4)):
        four, six = inner[other.name]
        host.sh("wg", "set", "wg0", "peer", public[other.name], "allowed-ips", f"{four}/32,{six}/128", "endpoint", f"{end}:{PORT}")
        net.address(host, "wg0", f"{inner[host.name][0]}/24", f"{inner[host.name][1]}/64")
        host.sh("ip", "link", "set", "wg0", "gso_max_segs", 1)
        net.offloads(host, "wg0", gro="off")
        for one in inner[host.name]:
            world.where[one] = host
    title = "WireGuard"
    watchers = [ss.Gone(host) for host in (c, s)]
    claims, held = [], []
    flows = world.captured((c, "va"), (r, "ra"), (r, "rb"), (s, "vb"))
    for host in (c, s):
        net.up(host, "wg0")
    inside = {host: world.captured((host, "wg0")) for host in (c, s)}
    for address in inner["s"]:
        claims += traffic.iperf_tcp(c, s, address, "300K")
        claims += traffic.iperf_udp(c, s, address, 50, 1200)
        claims += traffic.ping(c, s, address, 3)
        held.append(traffic.Held(c, s, address, 1, 100_000))
    gone = {}
    for watcher in watchers:
        for key, sockets in watcher.end().items():
            gone.setdefault(key, []).extend(sockets)
    moved, _ = world.moved(title)

    there = (UDP, C4, PORT, S4, PORT)
    back = traffic.mirrored(there)
    outer = {(host, one.key): one for host in (c, r, s) for one in moved.connections
             if one.netns == host.inode and one.remote_port == PORT}
    check.equal(f"{title}: outside it is one connection at each place", set(outer), {(c, there), (r, there), (s, back)})
    near, passing, far = outer[c, there], outer[r, there], outer[s, back]
    check.equal(f"{title}: the router sees nothing else", [one for one in moved.connections if one.netns == r.inode
                                                          and has_ends(one) and one is not passing], [])
    pairs = []
    for link, key, numbers in (("va", there, (near.sent,)), ("rb", there, (passing.sent, far.received)),
                               ("vb", back, (far.sent,)), ("ra", back, (passing.received, near.received))):
        pairs += [(f"{link} {key}", (one.packets, one.bytes, one.payload), flows[link].get(key)) for one in numbers]
    check.all_equal(f"{title}: the outer connection is what every link carried", pairs)
    said = {}
    for host, one in ((c, near), (s, far)):
        _, received, sent = host.sh("wg", "show", "wg0", "transfer").split()
        said[host.name] = (one.sent.payload, one.received.payload), (int(sent), int(received))
    check.all_equal(f"{title}: its payload is what wg says was transferred", ((name, *both) for name, both in said.items()))
    check.equal(f"{title}: it belongs to no process, though processes made it", {(one.fd, one.uid) for one in outer.values()},
                {(0, UID_UNKNOWN)})

    of_wg = [one for one in moved.connections if one.local in (*inner["c"], *inner["s"]) and has_ends(one)]
    pairs = []
    for host, carried in inside.items():
        mine = {one.key: (one.sent.packets, one.sent.bytes, one.sent.payload) for one in of_wg
                if one.netns == host.inode and one.protocol in (TCP, UDP)}
        theirs = {key: seen for key, seen in carried["wg0"].items() if key[0] in (TCP, UDP)}
        pairs += [(f"{host.name} {key}", mine.get(key), theirs.get(key)) for key in mine.keys() | theirs]
    check.all_equal(f"{title}: inner connections are what went into the tunnel", pairs)
    mine = {one.key: one for one in of_wg}
    check.all_equal(f"{title}: what went in at one end came out at the other",
                    ((one.key, tuple(one.sent), tuple(mine[traffic.mirrored(one.key)].received)) for one in of_wg))
    check.all_equal(f"{title}: inner connections have their owner",
                    ((one.key, one.fd > 0, True) for one in of_wg if one.protocol == TCP))
    traffic.compare(check, title, moved, claims, gone)
    books.compare_ss(moved, (c, s), held, gone)
    for pair in held:
        pair.close()
    world.moved(f"{title}, closing")
    for host in (c, s):
        host.sh("ip", "link", "delete", "wg0")


def main():
    traffic.Servers.DOWNLOAD = 500_000
    world = World()
    with traffic.Servers(world.s):
        for host, link in world.links[1:3]:
            net.offloads(host, link, gro="on")
        for host, link in (world.links[0], world.links[3]):
            net.offloads(host, link, tso="off")
        plain(world, "segments, merged by the router", exact=False)
        offloads(world, False)
        plain(world, "no offloads", exact=True)
        smaller_mtu(world)
        #        fragments(world, tracked=False)
        drops(world)
        vlan(world)
        fragments(world, tracked=True)
        nat(world)
        wireguard(world)
    module.audit()
    module.unload()
    check.finish()


main()
