# SPDX-License-Identifier: MIT OR Apache-2.0
"""Traffic that passes through a router: one connection there, with the numbers of both its ends.

With super-packets and without, begun on either side, and where the router drops.
See lib.routers.
"""

import json

from lib import books, check, module, net, ss, traffic
from lib.routers import (C4, C6, EVERY, S4, S6, TCP, UDP, World, compare_links, compare_path, of, no_offloads,
                         statistic, udp)


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
    check.equal(f"{title}: the kernel's statistics of what it forwarded, buffers",
                forwarded.buffers, forwarded_by(r) - before)
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
    check.that(f"{title}: that is forwarded_sent",
               moved.after["forwarded_sent"].payload < moved.after["forwarded_received"].payload,
               (moved.after["forwarded_sent"], moved.after["forwarded_received"]))


def drops(world):
    check.part("a router that drops")
    c, r, s = world.c, world.r, world.s
    rules = """
        add rule inet drops before meta l4proto udp numgen inc mod 3 == 0 counter name before drop
        add rule inet drops before meta l4proto tcp numgen inc mod 10 == 9 counter name before drop
        """
    r.sh("nft", "-f", "-", input="""table inet drops {
        counter before { packets 0 bytes 0 }
        counter after { packets 0 bytes 0 }
        chain before { type filter hook forward priority 0; }
        chain after { type filter hook postrouting priority 0;
            oifname { "ra", "rb" } udp dport 9999 counter name after drop; }
        }""")

    def dropped():
        listing = json.loads(r.sh("nft", "-j", "list", "counters", "table", "inet", "drops"))["nftables"]
        found = {item["counter"]["name"]: item["counter"] for item in listing if "counter" in item}
        return [(found[name]["packets"], found[name]["bytes"]) for name in ("before", "after")]

    for version, near, far in ((4, C4, S4), (6, C6, S6)):
        title = f"IPv{version}: every third datagram"
        sink, one, silent = udp(s, far), udp(c, near), udp(s, far, 9999)
        r.sh("nft", "-f", "-", input=rules)
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
        lost = through - received
        check.equal(f"{title}: what is dropped later is", (lost.packets, lost.bytes), after)
        check.equal(f"{title}: the link carries the rest",
                    (sum(seen[0] for key, seen in flows["rb"].items() if key[0] == UDP), received.packets), (60, 60))

        title = f"IPv{version}: every tenth segment"
        was = dropped()
        flows = world.on_links()
        held = traffic.Held(c, s, far, 1, 40_000)
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
    r.sh("nft", "delete", "table", "inet", "drops")


def main():
    # Enough for some hundred segments each way.
    traffic.Servers.DOWNLOAD = 500_000
    world = World()
    with traffic.Servers(world.s):
        for host, link in world.links[1:3]:
            net.offloads(host, link, gro="on")
        for host, link in (world.links[0], world.links[3]):
            net.offloads(host, link, tso="off")
        plain(world, "segments, merged by the router", exact=False)
        no_offloads(world)
        plain(world, "no offloads", exact=True)
        drops(world)
    module.audit()
    module.unload()
    check.finish()


main()
