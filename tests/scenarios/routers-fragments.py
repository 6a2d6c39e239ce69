# SPDX-License-Identifier: MIT OR Apache-2.0
"""A router whose links have different MTUs, and fragments that pass through it: see lib.routers."""

import errno
import socket

from lib import check, module, ss, traffic
from lib.image import NOTHING
from lib.routers import (C4, C6, HEADERS, ICMP, ICMPV6, RA4, RA6, RB4, RB6, S4, S6, TCP, UDP, World,
                         compare_links, of, no_offloads, packets, statistic, udp)

MTU = 1500
LESS = 1280
IP_MTU_DISCOVER, IP_PMTUDISC_DO, IP_PMTUDISC_DONT = 10, 2, 0
IPV6_MTU_DISCOVER = 23


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


def main():
    world = World()
    no_offloads(world)
    smaller_mtu(world)
    fragments(world, tracked=False)
    fragments(world, tracked=True)
    module.audit()
    module.unload()
    check.finish()


main()
