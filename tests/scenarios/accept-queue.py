# SPDX-License-Identifier: MIT OR Apache-2.0
"""SYNs that a full accept queue drops are drops of their connections, which ss does not have."""
# Only on: stock

import contextlib
import re
import socket
import time

from lib import check, module, net, ss, traffic

CLIENTS = 8


def counter(namespace, name):
    return int(re.search(rf"{name}\s+(\d+)", namespace.sh("nstat", "-az", name))[1])


def main():
    module.load(timeout_closed=600)
    a, b = net.Namespace("a"), net.Namespace("b")
    net.veth(a, "va", b, "vb")
    for host, link, number in ((a, "va", 1), (b, "vb", 2)):
        net.address(host, link, f"10.0.0.{number}/24", f"fd00::{number}/64")
        net.up(host, link)
    net.settle(a, b)
    for family, address in ((socket.AF_INET, "10.0.0.2"), (socket.AF_INET6, "fd00::2")):
        check.part(f"{CLIENTS} clients and room for two, {address}")
        before = counter(b, "TcpExtListenDrops")
        with b.inside():
            listener = socket.socket(family)
        listener.bind((address, 81))
        listener.listen(1)
        clients = []
        for _ in range(CLIENTS):
            with a.inside():
                one = socket.socket(family)
            one.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                one.connect((address, 81))
            clients.append(one)
        time.sleep(2.5)
        # No SYN is to come while the two are compared.
        a.sh("nft", "add table inet hold; add chain inet hold out { type filter hook output priority 0; policy drop; }")
        mine = lambda: [c for c in module.image().connections
                        if c.netns == b.inode and c.protocol == 6 and c.local == address]
        dropped = counter(b, "TcpExtListenDrops") - before
        check.that("the kernel dropped some", dropped >= 2 * (CLIENTS - 2), dropped)
        traffic.wait_for(lambda: sum(c.quality.drops for c in mine()) >= dropped, 5)
        connections = mine()
        check.equal("their drops are the kernel's ListenDrops", sum(c.quality.drops for c in connections), dropped)
        check.equal("one a SYN, where nothing was answered",
                    [(c.received.packets, c.quality.drops) for c in connections if not c.sent.packets],
                    [(c.received.packets,) * 2 for c in connections if not c.sent.packets])
        known = {one.key for one in ss.sockets(b)}
        check.equal("connections in syn-recv are ss's", {c.key for c in connections if c.state == "syn-recv"},
                    {key for key in known if key in {one.key for one in ss.sockets(b, "SYN-RECV")}})
        check.equal("established, too", {c.key for c in connections if c.state == "established"},
                    {one.key for one in ss.sockets(b, "ESTAB")})
        a.sh("nft", "delete table inet hold")
        check.part("room is made, and they connect")
        accepted = []
        listener.settimeout(20)
        listener.listen(CLIENTS)
        for _ in range(CLIENTS):
            accepted.append(listener.accept()[0])
        image = module.image_at_rest()
        check.equal("all are established", sorted(c.state for c in image.connections if c.netns == b.inode
                                                  and c.protocol == 6 and c.local == address), ["established"] * CLIENTS)
        for one in (*accepted, *clients, listener):
            one.close()
    module.audit()
    module.unload()
    check.finish()


main()
