# SPDX-License-Identifier: MIT OR Apache-2.0
"""A router that translates addresses: MUTEX against connection tracking's own counts, place by place.

See lib.routers. The router's FORWARD sees the real ends, whatever either of them believes.
"""

import os
import socket
import threading

from lib import check, conntrack, module, pace, ss, traffic
from lib.image import NOTHING
from lib.routers import (C4, C6, RA4, RA6, RB4, RB6, S4, S6, TCP, UDP, World, has_ends, no_offloads)


class Talk:
    """Conversations of c, or whoever, with a listener of s, or whoever, under whatever address; they stay open."""

    def __init__(self, near, far, to, at, up=30_000, down=50_000):
        """`to`: where `near` connects to; `at`: where `far` listens."""
        family = socket.AF_INET6 if ":" in at[0] else socket.AF_INET
        self.listener = traffic.tcp_listener(far, *at)
        self.near = traffic.tcp_connect(near, *to)
        self.far, _ = self.listener.accept()
        for one in (self.near, self.far):
            one.settimeout(20 * pace.LONGER)
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
            one.settimeout(20 * pace.LONGER)
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
    check.equal(f"{title}: each is one connection in FORWARD, and there are no others",
                sum(map(len, passing.values())), forwarded)
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
                {(one.local, one.remote) for one in moved.connections if one.forwarded and has_ends(one)},
                {(C4, S4), (C6, S6)})
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
                [{(one.remote, one.remote_port) for one in moved.connections
                  if one.protocol == TCP and one.netns == host.inode} for host in (c, r)],
                [{(RA4, 8080), (RA6, 8080)}, {(S4, 8081), (S6, 8081)}])
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
    check.equal(f"{title}: nothing is forwarded",
                (moved.after["forwarded_sent"], moved.after["forwarded_received"]), (NOTHING, NOTHING))
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


def main():
    traffic.Servers.DOWNLOAD = 200_000
    world = World()
    no_offloads(world)
    with traffic.Servers(world.s):
        nat(world)
    module.audit()
    module.unload()
    check.finish()


main()
