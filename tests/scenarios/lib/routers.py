# SPDX-License-Identifier: MIT OR Apache-2.0
"""c -- r -- s: r forwards what c and s have to say to one another.

What passes is counted step by step, and compared with nft at the same hook, with captures on both
of r's links, and with both ends.
"""

import json
import socket

from lib import check, module, net, pcap, traffic
from lib.image import NOTHING, Traffic
from lib.pace import LONGER
from lib.steps import Steps

TCP, UDP, ICMP, ICMPV6 = 6, 17, 1, 58
C4, RA4, RB4, S4 = "10.0.1.1", "10.0.1.2", "10.0.2.1", "10.0.2.2"
C6, RA6, RB6, S6 = "fd01::1", "fd01::2", "fd02::1", "fd02::2"
HEADERS = {4: 20, 6: 40}
EVERY = ("sent", "received", "forwarded")


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
        self.captures += [(flows, link, pcap.Capture(host, link, f"/tmp/{host.name}-{link}.pcap"))
                          for host, link in links]
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
    check.equal(f"{title}: none is forwarded but by the router", {netns for netns, _ in passing}, {world.r.inode})
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
        expected = {key: seen if exact else (seen[0], seen[2]) for key, seen in expected.items()
                    if key[0] in (TCP, UDP)}
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


def udp(host, address, port=0):
    with host.inside():
        one = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    one.bind((address, port))
    one.settimeout(5 * LONGER)
    return one


def packets(number, size, payload):
    return Traffic(number, number, size, payload)


def no_offloads(world):
    """No super-packets anywhere: every buffer is a packet."""
    for host, link in world.links:
        net.offloads(host, link, tso="off", gso="off", gro="off")
        # TCP hands down super-packets, and has them segmented by software, whatever ethtool says.
        host.sh("ip", "link", "set", link, "gso_max_segs", 1)
