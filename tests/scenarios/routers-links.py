# SPDX-License-Identifier: MIT OR Apache-2.0
"""Links that carry something else: a VLAN before a router, and WireGuard through it: see lib.routers."""

import socket

from lib import books, check, module, net, ss, traffic
from lib.image import UID_UNKNOWN
from lib.routers import C4, S4, S6, TCP, UDP, World, compare_links, compare_path, has_ends, no_offloads
# WireGuard's, at both ends.
PORT = 51820


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
    claims = []
    for address in (S4, S6):
        held = traffic.Held(c, s, address, 1, 100_000)
        claims += traffic.iperf_udp(c, s, address, 50)
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
    check.all_equal("VLAN: forwarded connections name the interfaces of their initiator and of the other side",
                    ((one.key, (one.in_interface, one.out_interface), (index, other)) for one in moved.connections
                     if one.forwarded and has_ends(one)))
    traffic.compare(check, title, moved, claims, {})
    for host, link in ((c, "va.7"), (r, "ra.7")):
        host.sh("ip", "link", "delete", link)


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
        host.sh("wg", "set", "wg0", "peer", public[other.name], "allowed-ips", f"{four}/32,{six}/128",
                "endpoint", f"{end}:{PORT}")
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
        claims += traffic.download(c, s, address)
        claims += traffic.iperf_udp(c, s, address, 50, 1200)
        claims += traffic.ping(c, s, address, 3)
        held.append(traffic.Held(c, s, address, 1, 100_000))
    gone = {}
    for watcher in watchers:
        for key, sockets in watcher.end().items():
            gone.setdefault(key, []).extend(sockets)
    # Who has received data and sent none sends a keepalive after 10 s, which on a slow machine would come between two
    # of those who count. One sent now takes its place.
    module.image_at_rest()
    for host, other in ((c, s), (s, c)):
        for seconds in (1, 0):
            host.sh("wg", "set", "wg0", "peer", public[other.name], "persistent-keepalive", seconds)
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
    check.all_equal(f"{title}: its payload is what wg says was transferred",
                    ((name, *both) for name, both in said.items()))
    check.equal(f"{title}: it belongs to no process, though processes made it",
                {(one.fd, one.uid) for one in outer.values()}, {(0, UID_UNKNOWN)})

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
    traffic.Servers.DOWNLOAD = 300_000
    world = World()
    no_offloads(world)
    with traffic.Servers(world.s):
        vlan(world)
        wireguard(world)
    module.audit()
    module.unload()
    check.finish()


main()
