# SPDX-License-Identifier: MIT OR Apache-2.0
"""VRFs (l3mdev): a packet counts once, the same addresses in two VRFs are two connections, and a route from one VRF
into another forwards.

What is sent by way of a VRF passes LOCAL_OUT twice, and what is received passes LOCAL_IN with the VRF's device in
place of the interface.
"""
# Only on: stock

import json
import os
import socket

from lib import check, module, net, ss, traffic

TCP, UDP = 6, 17
DATAGRAMS = 10


def datagrams(namespace, family=socket.AF_INET, device=None, to=None):
    """A UDP socket, bound to a device or to an address and port."""
    with namespace.inside():
        one = socket.socket(family, socket.SOCK_DGRAM)
    one.settimeout(10)
    if device:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
    if to:
        one.bind(to)
    return one


def vrf(namespace, name, table, *links):
    namespace.sh("ip", "link", "add", name, "type", "vrf", "table", table)
    net.up(namespace, name)
    for link in links:
        namespace.sh("ip", "link", "set", link, "master", name)


def more(sink):
    try:
        return sink.recv(200)
    except BlockingIOError:
        return None


def of(image, namespace, protocol=UDP, **fields):
    return [c for c in image.connections if c.netns == namespace.inode and c.protocol == protocol
            and all(getattr(c, name) == value for name, value in fields.items())]


def inode_of(image, connection):
    return next((f.inode for f in image.fds if f.id == connection.fd), None)


def once(r, x):
    """What a socket bound to the VRF sends, with the VRF's device as a detour (no qdisc) and in its queue."""
    for detour in ("no qdisc", "a qdisc"):
        if detour == "a qdisc":
            r.sh("tc", "qdisc", "add", "dev", "red", "root", "pfifo")
        for family, to in ((socket.AF_INET, "10.0.0.2"), (socket.AF_INET6, "fd00::2")):
            what = f"the VRF has {detour}, {to}"
            check.part(what)
            sink = datagrams(x, family, to=(to, 5000))
            one = datagrams(r, family, device="red")
            one.sendto(b"x", (to, 5000))    # neighbours are known then
            sink.recv(10)
            for _ in range(DATAGRAMS):
                one.sendto(bytes(100), (to, 5000))
            for _ in range(DATAGRAMS):
                sink.recv(200)
            image = module.image_at_rest()
            sink.setblocking(False)
            check.that(f"{what}: the receiver got no more", not more(sink))
            mine, = of(image, r, remote=to, local_port=one.getsockname()[1])
            check.equal(f"{what}: sent packets and payload", (mine.sent.packets, mine.sent.payload),
                        (1 + DATAGRAMS, 1 + 100 * DATAGRAMS))
            check.equal(f"{what}: the owner is the socket", inode_of(image, mine), os.fstat(one.fileno()).st_ino)
            with r.inside():
                check.equal(f"{what}: the connection names the VRF", mine.scope, socket.if_nametoindex("red"))
            one.close()
            sink.close()
    r.sh("tc", "qdisc", "delete", "dev", "red", "root")

    check.part("TCP in a VRF")
    listener = traffic.tcp_listener(x, "10.0.0.2", 80)
    with r.inside():
        near = socket.socket()
    near.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"red")
    near.connect(("10.0.0.2", 80))
    far, _ = listener.accept()
    near.sendall(bytes(100_000))
    traffic.receive(far, 100_000)
    far.sendall(bytes(30_000))
    traffic.receive(near, 30_000)
    image = module.image_at_rest()
    said, = ss.sockets(r, "ESTAB")
    mine, = of(image, r, TCP)
    check.equal("TCP: packets and payload, sent and received, are ss's",
                (mine.sent.packets, mine.sent.payload, mine.received.packets, mine.received.payload),
                (said.segs_out, said.bytes_sent, said.segs_in, said.bytes_received))
    check.equal("TCP: its state comes from the socket", mine.state, "established")
    check.that("TCP: its round trips are measured", mine.quality.latency_samples > 0)
    near.close()
    far.close()
    listener.close()

    check.part("local traffic inside the VRF")
    sink = datagrams(r, device="red", to=("10.0.0.1", 5001))
    one = datagrams(r, device="red")
    for _ in range(DATAGRAMS):
        one.sendto(bytes(100), ("10.0.0.1", 5001))
        sink.recv(200)
    image = module.image_at_rest()
    sent, = of(image, r, remote_port=5001)
    received, = of(image, r, local_port=5001)
    check.equal("local: sent and received once", (sent.sent.packets, received.received.packets), (DATAGRAMS, DATAGRAMS))
    one.close()
    sink.close()


def link_local(r, x):
    check.part("link-local addresses")
    def address(namespace, link):
        listing = json.loads(namespace.sh("ip", "-6", "-j", "address", "show", "dev", link, "scope", "link"))
        return next(one["local"] for item in listing for one in item.get("addr_info", ()) if "local" in one)

    near, far = address(r, "va"), address(x, "vb")
    with r.inside():
        index = socket.if_nametoindex("va")
    with x.inside():
        other = socket.if_nametoindex("vb")
    sink = datagrams(x, socket.AF_INET6, to=(far, 5002, 0, other))
    # A socket that is bound to nothing would not receive what comes by a VRF.
    one = datagrams(r, socket.AF_INET6, device="va")
    for _ in range(DATAGRAMS):
        one.sendto(bytes(100), (far, 5002, 0, index))
        data, sender = sink.recvfrom(200)
        sink.sendto(data, sender)
        one.recv(200)
    image = module.image_at_rest()
    mine = of(image, r, remote=far, remote_port=5002)
    check.equal(f"one socket between {near} and {far} is one connection",
                [(c.sent.packets, c.received.packets, c.scope) for c in mine], [(DATAGRAMS, DATAGRAMS, index)])
    one.close()
    sink.close()


def servers(r, x):
    check.part("servers that only receive: bound to the VRF, to its link, and to none")
    r.sysctl("ipv4/udp_l3mdev_accept", 1)
    bound = {port: datagrams(r, device=device, to=("0.0.0.0", port))
             for port, device in ((5011, "red"), (5012, "va"), (5013, None))}
    one = datagrams(x)
    for port, server in bound.items():
        one.sendto(b"x", ("10.0.0.1", port))
        server.recv(10)
    image = module.image_at_rest()
    check.all_equal("the owner is the socket that received",
                    ((port, [inode_of(image, c) for c in of(image, r, local_port=port)],
                      [os.fstat(server.fileno()).st_ino]) for port, server in bound.items()))
    for server in (one, *bound.values()):
        server.close()


def twins():
    check.part("two VRFs with the same addresses and ports")
    r, x, y = net.Namespace("r2"), net.Namespace("x2"), net.Namespace("y2")
    held, expected = [], []
    for other, name, table, size in ((x, "red", 101, 1000), (y, "blue", 102, 50_000)):
        net.veth(r, f"r{name}", other, "eth0")
        vrf(r, name, table, f"r{name}")
        net.address(r, f"r{name}", "10.0.0.1/24")
        net.address(other, "eth0", "10.0.0.2/24")
        net.up(r, f"r{name}")
        net.up(other, "eth0")
        listener = traffic.tcp_listener(other, "10.0.0.2", 80)
        with r.inside():
            one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name.encode())
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind(("10.0.0.1", 40000))
        one.connect(("10.0.0.2", 80))
        far, _ = listener.accept()
        one.sendall(bytes(size))
        traffic.receive(far, size)
        held += [one, far, listener]
        expected.append((size, os.fstat(one.fileno()).st_ino))
    image = module.image_at_rest()
    check.equal("each has its payload and its socket",
                sorted((c.sent.payload, inode_of(image, c)) for c in of(image, r, TCP)), expected)
    for one in held:
        one.close()


def leak():
    check.part("a route from one VRF into another, and into none")
    r, x, y, z = (net.Namespace(name) for name in ("r3", "x3", "y3", "z3"))
    for other, name, table, prefix in ((x, "red", 101, "10.1.0"), (y, "blue", 102, "10.2.0"), (z, None, None, "10.3.0")):
        link = f"r{name or 'plain'}"
        net.veth(r, link, other, "eth0")
        if name:
            vrf(r, name, table, link)
        net.address(r, link, f"{prefix}.1/24")
        net.address(other, "eth0", f"{prefix}.2/24")
        net.up(r, link)
        net.up(other, "eth0")
        other.sh("ip", "route", "add", "default", "via", f"{prefix}.1")
    r.sysctl("ipv4/ip_forward", 1)
    r.sysctl("ipv4/conf/all/rp_filter", 0)
    r.sh("ip", "route", "add", "10.2.0.0/24", "dev", "blue", "table", 101)
    r.sh("ip", "route", "add", "10.1.0.0/24", "dev", "red", "table", 102)
    r.sh("ip", "route", "add", "10.3.0.0/24", "dev", "rplain", "table", 101)
    r.sh("ip", "route", "add", "10.1.0.0/24", "dev", "red")
    one = datagrams(x)
    sinks = [datagrams(other, to=(address, 5000)) for other, address in ((y, "10.2.0.2"), (z, "10.3.0.2"))]
    for sink in sinks:
        for _ in range(DATAGRAMS):
            one.sendto(bytes(100), sink.getsockname())
            data, sender = sink.recvfrom(200)
            sink.sendto(data, sender)
            one.recv(200)
    image = module.image_at_rest()
    for sink in sinks:
        address = sink.getsockname()[0]
        check.equal(f"to {address}: one forwarded connection, each packet once",
                    [(c.forwarded, c.sent.packets, c.received.packets) for c in of(image, r)
                     if address in (c.local, c.remote)], [(True, DATAGRAMS, DATAGRAMS)])
    for sink in (one, *sinks):
        sink.close()


def main():
    module.load(timeout_one_way=600, timeout_two_way=600, timeout_closed=600)
    net.sh("modprobe", "vrf")
    r, x = net.Namespace("r"), net.Namespace("x")
    net.veth(r, "va", x, "vb")
    vrf(r, "red", 101, "va")
    for namespace, link, number in ((r, "va", 1), (x, "vb", 2)):
        net.address(namespace, link, f"10.0.0.{number}/24", f"fd00::{number}/64")
        net.up(namespace, link)
    net.settle(r, x)
    once(r, x)
    link_local(r, x)
    servers(r, x)
    twins()
    leak()
    module.audit()
    module.unload()
    check.finish()


main()
