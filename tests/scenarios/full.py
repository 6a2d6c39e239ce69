# SPDX-License-Identifier: MIT OR Apache-2.0
"""A table of 1000 connections and 5000 flows: nothing is lost, and it says why what is not listed
is not.

Connections that were there before go on being counted exactly; when the others have ended, the
table takes new ones again.
"""

import os
import socket
import sys

from lib import check, module, net, ss, traffic

TCP, UDP = 6, 17
SIZE = 1000
UDP_FLOWS = 4400
TCP_FLOWS = 600
# Sends a datagram from so many ports, or opens so many TCP connections and closes them.
FLOOD = """
import socket, sys
kind, host, port, number, size = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
for i in range(number):
    one = socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
    one.bind(("10.0.0.1", 2000 + i))
    if kind == "tcp":
        one.connect((host, port))
        one.sendall(bytes(size))
        one.shutdown(socket.SHUT_WR)
        while one.recv(4096):
            pass
        one.close()
    else:
        one.sendto(bytes(size), (host, port))
        one.close()
"""


def flood(host, kind, to, number, size):
    host.sh(sys.executable, "-c", FLOOD, kind, *to, number, size)


def main():
    a, b, first = net.Namespace("a"), net.Namespace("b"), net.Namespace()
    net.veth(a, "va", b, "vb")
    net.address(a, "va", "10.0.0.1/24")
    net.address(b, "vb", "10.0.0.2/24")
    for host in (a, b):
        host.sysctl("ipv6/conf/all/disable_ipv6", 1)
    for host in (a, b, first):
        net.count(host)
    module.load(max_connections=SIZE, max_fds=SIZE, timeout_one_way=20, timeout_two_way=3600,
                timeout_closed=3, timeout_fd=2, timeout_tcp_closing=3600)
    module.lift_quotas()
    net.up(a, "va")
    net.up(b, "vb")

    check.part("some connections are there first")
    listener = traffic.tcp_listener(b, "10.0.0.2")
    pairs = []
    for _ in range(10):
        near = traffic.tcp_connect(a, *listener.getsockname())
        far, _ = listener.accept()
        pairs.append((near, far))
    with b.inside():
        sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sink.bind(("10.0.0.2", 0))

    check.part(f"{UDP_FLOWS} UDP flows")
    flood(a, "udp", sink.getsockname(), UDP_FLOWS, 100)
    image = module.image_at_rest()
    full = image.untracked["table_full"]
    check.that("the table was full", image.status["table_high_water"] == SIZE and full["sent"].packets,
               (image.status["table_high_water"], full))
    shown = [c for c in image.connections if c.protocol == UDP]
    headers = 28
    for namespace, direction in ((a, "sent"), (b, "received")):
        listed = sum(getattr(c, direction).packets for c in shown if c.netns == namespace.inode)
        # Each socket is closed at once, and what has ended is collected while records are scarce.
        listed += image.closed[direction].packets
        check.equal(f"{direction}: those listed, those collected and those that found no room",
                    listed + full[direction].packets, UDP_FLOWS)
        check.equal(f"{direction}: bytes of those without room",
                    full[direction].bytes, full[direction].packets * (100 + headers))
        check.equal(f"{direction}: payload of those without room",
                    full[direction].payload, full[direction].packets * 100)
    check.equal("records in use are connections", image.status["table_used"], len(image.connections))

    check.part("connections from before go on")
    for number, (near, far) in enumerate(pairs):
        near.sendall(bytes(10000 * (number + 1)))
        traffic.receive(far, 10000 * (number + 1))
        far.sendall(bytes(100))
        traffic.receive(near, 100)
    image = module.image_at_rest()
    check.all_equal("they equal ss", ss.established(image, a, b, pairs))

    check.part(f"{TCP_FLOWS} TCP connections while it is full")

    def serve():
        for _ in range(TCP_FLOWS):
            one, _ = listener.accept()
            while one.recv(4096):
                pass
            one.sendall(bytes(50))
            one.close()

    # In a process of its own: threads would share this one's processor time with the reader.
    server = os.fork()
    if server == 0:
        status = 1
        try:
            serve()
            status = 0
        finally:
            os._exit(status)
    flood(a, "tcp", listener.getsockname(), TCP_FLOWS, 200)
    check.equal("the server served all", os.waitpid(server, 0)[1], 0)
    image, counted = net.rest([a, b, first], module.image_at_rest)
    check.equal("audit while it is full: lines that are off", image.audit(), [])
    totals = {hook: tuple(map(sum, zip(*(c.total[hook] for c in counted.values())))) for hook in net.HOOKS}
    for hook in ("sent", "received"):
        check.equal(f"nft, all that was {hook}, in buffers", image.after[hook].buffers, totals[hook][0])
    reasons = {reason for reason, numbers in image.untracked.items() if any(map(any, numbers.values()))}
    check.equal("the only reason is the full table", reasons, {"table_full"})
    # Of what was segmented nft counts the headers once; those are the connections that are held.
    held = {(host.inode, traffic.ends(one)) for near, far in pairs for host, one in ((a, near), (b, far))}
    for hook in ("sent", "received"):
        repeated = sum(52 * (c.packets - c.buffers) for c in
                       (getattr(one, hook) for one in image.connections if (one.netns, one.key) in held))
        check.equal(f"nft, all that was {hook}, in bytes", image.sum()[hook].bytes, totals[hook][1] + repeated)

    check.part("who was not answered made room first")
    check.that("some were ended early, and stats says how many",
               traffic.wait_for(lambda: module.stats()["connections_early"], 10), module.stats()["connections_early"])
    states = {(c.netns, c.key): c.state for c in module.image().connections}
    check.equal("none of those that were answered", {states.get(one) for one in held}, {"established"})

    check.part("room again")
    for near, far in pairs:
        near.close()
        far.close()
    traffic.wait_for(lambda: module.stats()["connections_active"] < 30, 60, 0.5)
    traffic.wait_for(lambda: module.stats()["table_used"] < 30, 20, 0.5)
    before = module.image_at_rest()
    flood(a, "udp", sink.getsockname(), 300, 10)
    image = module.image_at_rest()
    check.equal("300 new flows are listed on both sides",
                sum(1 for c in image.connections if c.id > max((o.id for o in before.connections), default=0)), 600)
    check.equal("nothing more is untracked", image.untracked, before.untracked)
    module.audit()
    module.unload()
    check.finish()


main()
