# SPDX-License-Identifier: MIT OR Apache-2.0
"""Packets that pass a hook again, or one where nobody expects them: IPVS, ipvlan in each mode, macvlan, and a bridge that
shows its packets to netfilter."""
# Only on: stock

import os
import socket
import struct

from lib import check, module, net, ss, traffic

TCP, UDP = 6, 17
DATAGRAMS = 10


def datagrams(namespace, to=None):
    with namespace.inside():
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.settimeout(10)
    if to:
        one.bind(to)
    return one


def echo(near, far, address, number=DATAGRAMS):
    """Datagrams there and back; `far` is a socket at `address`."""
    for _ in range(number):
        near.sendto(bytes(100), address)
        data, sender = far.recvfrom(200)
        far.sendto(data, sender)
        near.recv(200)


def of(image, namespace, protocol=UDP):
    """Its connections, and not those of one that is gone and had the same number."""
    return [c for c in image.connections if c.netns == namespace.inode and c.protocol == protocol
            and "netns-gone" not in c.flags]


class Ipvs:
    """The part of ipvsadm that is needed: a TCP service, and its one server, by masquerading."""

    NEW_SERVICE, NEW_DESTINATION = 1, 5
    SERVICE, DESTINATION = 1 | 0x8000, 2 | 0x8000

    def __init__(self, namespace):
        with namespace.inside():
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16)
        answer = self._ask(16, 3, self._attribute(2, b"IPVS\0"), flags=1)
        at = 20
        while at < len(answer):
            length, kind = struct.unpack_from("HH", answer, at)
            if kind == 1:
                self._family, = struct.unpack_from("H", answer, at + 4)
                return
            at += (length + 3) & ~3
        raise RuntimeError("this kernel has no IPVS")

    @staticmethod
    def _attribute(kind, data):
        return struct.pack("HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)

    def _ask(self, family, command, attributes, flags=5):
        body = struct.pack("BBH", command, 1, 0) + attributes
        self._socket.send(struct.pack("IHHII", 16 + len(body), family, flags, 1, 0) + body)
        answer = self._socket.recv(65536)
        if struct.unpack_from("H", answer, 4)[0] == 2:
            error, = struct.unpack_from("i", answer, 16)
            if error:
                raise OSError(-error, os.strerror(-error))
        return answer

    def service(self, address, port, server, server_port):
        attribute, ip = self._attribute, lambda text: socket.inet_aton(text) + bytes(12)
        number = lambda kind, value: attribute(kind, struct.pack("I", value))
        ends = (attribute(1, struct.pack("H", socket.AF_INET)) + attribute(2, struct.pack("H", TCP))
                + attribute(3, ip(address)) + attribute(4, struct.pack("!H", port)))
        more = attribute(6, b"rr\0") + attribute(7, struct.pack("II", 0, 0xffffffff)) + number(8, 0) + number(9, 0xffffffff)
        to = (attribute(1, ip(server)) + attribute(2, struct.pack("!H", server_port)) + number(3, 0) + number(4, 1)
              + number(5, 0) + number(6, 0))
        self._ask(self._family, self.NEW_SERVICE, attribute(self.SERVICE, ends + more))
        self._ask(self._family, self.NEW_DESTINATION, attribute(self.SERVICE, ends) + attribute(self.DESTINATION, to))


def ipvs():
    check.part("IPVS: a client elsewhere, and one on the balancer")
    for name in ("ip_vs", "ip_vs_rr"):
        net.sh("modprobe", name)
    h, c, s = net.Namespace("h"), net.Namespace("c"), net.Namespace("s")
    for other, prefix in ((c, "10.1.0"), (s, "10.2.0")):
        net.veth(h, f"h{other.name}", other, "eth0")
        net.address(h, f"h{other.name}", f"{prefix}.1/24")
        net.address(other, "eth0", f"{prefix}.2/24")
        net.up(h, f"h{other.name}")
        net.up(other, "eth0")
        other.sh("ip", "route", "add", "default", "via", f"{prefix}.1")
    h.sysctl("ipv4/ip_forward", 1)
    Ipvs(h).service("10.1.0.1", 80, "10.2.0.2", 8080)
    listener = traffic.tcp_listener(s, "10.2.0.2", 8080)

    def transfer(namespace):
        near = traffic.tcp_connect(namespace, "10.1.0.1", 80)
        far, _ = listener.accept()
        near.sendall(bytes(50_000))
        traffic.receive(far, 50_000)
        far.sendall(bytes(20_000))
        traffic.receive(near, 20_000)
        return near, far

    pair = transfer(c)
    image = module.image_at_rest()
    said, = ss.sockets(c, "ESTAB")
    mine = of(image, h, TCP)
    check.equal("a client elsewhere: the balancer has one connection, forwarded, between client and server",
                [(one.forwarded, one.local, one.remote, one.remote_port) for one in mine],
                [(True, "10.1.0.2", "10.2.0.2", 8080)])
    check.equal("and it has what the client's ss says",
                [(one.sent.packets, one.sent.payload, one.received.packets, one.received.payload) for one in mine],
                [(said.segs_out, said.bytes_sent, said.segs_in, said.bytes_received)])
    check.that("its round trips are measured", mine and mine[0].quality.latency_samples > 0)
    for one in pair:
        one.close()

    pair = transfer(h)
    image = module.image_at_rest()
    said, = ss.sockets(h, "ESTAB")
    mine = [one for one in of(image, h, TCP) if not one.forwarded]
    check.equal("a client on the balancer: its own connection, as its ss has it",
                [(one.key, one.sent.packets, one.sent.payload, one.received.packets, one.received.payload) for one in mine],
                [(said.key, said.segs_out, said.bytes_sent, said.segs_in, said.bytes_received)])
    check.equal("and nothing more is forwarded", len([one for one in of(image, h, TCP) if one.forwarded]), 1)
    for one in (*pair, listener):
        one.close()


def ipvlan():
    net.sh("modprobe", "ipvlan")
    for mode in ("l2", "l3", "l3s"):
        check.part(f"ipvlan in mode {mode}")
        h, c, x = (net.Namespace(name + mode) for name in "hcx")
        net.veth(h, "va", x, "vb")
        for namespace in (h, c, x):
            namespace.sysctl("ipv6/conf/all/disable_ipv6", 1)
        net.address(h, "va", "10.0.0.1/24")
        net.address(x, "vb", "10.0.0.2/24")
        net.up(h, "va")
        net.up(x, "vb")
        h.sh("ip", "link", "add", "ip0", "link", "va", "type", "ipvlan", "mode", mode)
        h.sh("ip", "link", "set", "ip0", "netns", c.name)
        net.address(c, "ip0", "10.0.0.3/24" if mode == "l2" else "10.9.0.3/24")
        net.up(c, "ip0")
        if mode != "l2":
            c.sh("ip", "route", "add", "default", "dev", "ip0")
            x.sh("ip", "route", "add", "10.9.0.0/24", "via", "10.0.0.1")
        sink = datagrams(x, ("10.0.0.2", 5000))
        echo(datagrams(c), sink, ("10.0.0.2", 5000))
        # The host's own traffic over the same device is its own.
        echo(datagrams(h), sink, ("10.0.0.2", 5000), 3)
        image = module.image_at_rest()
        check.equal("the container has its datagrams, and an owner",
                    [(one.sent.packets, one.received.packets, one.fd > 0) for one in of(image, c)],
                    [(DATAGRAMS, DATAGRAMS, True)])
        check.equal("the host has its own, and nothing of the container's",
                    [(one.local, one.forwarded, one.sent.packets, one.received.packets) for one in of(image, h)],
                    [("10.0.0.1", False, 3, 3)])
        for namespace in (c, h, x):
            namespace.delete()


def macvlan():
    check.part("macvlan in mode bridge")
    net.sh("modprobe", "macvlan")
    h, one, two = (net.Namespace(name) for name in ("hm", "m1", "m2"))
    h.sh("ip", "link", "add", "d0", "type", "dummy")
    net.up(h, "d0")
    for number, container in enumerate((one, two), 1):
        h.sh("ip", "link", "add", "m0", "link", "d0", "type", "macvlan", "mode", "bridge")
        h.sh("ip", "link", "set", "m0", "netns", container.name)
        net.address(container, "m0", f"10.0.1.{number}/24")
        net.up(container, "m0")
    echo(datagrams(one), datagrams(two, ("10.0.1.2", 5000)), ("10.0.1.2", 5000))
    image = module.image_at_rest()
    check.all_equal("each container has its side, the host nothing",
                    ((name, [(c.sent.packets, c.received.packets) for c in of(image, container)], expected)
                     for name, container, expected in (("one", one, [(DATAGRAMS, DATAGRAMS)]),
                                                       ("two", two, [(DATAGRAMS, DATAGRAMS)]), ("host", h, []))))


def bridge():
    check.part("a bridge with br_netfilter that floods")
    net.sh("modprobe", "br_netfilter")
    h = net.Namespace("hb")
    ports = [net.Namespace(f"p{number}") for number in range(4)]
    h.sh("ip", "link", "add", "br0", "type", "bridge", "ageing_time", 0)
    net.up(h, "br0")
    for number, port in enumerate(ports, 1):
        port.sysctl("ipv6/conf/all/disable_ipv6", 1)
        net.veth(h, f"b{number}", port, "eth0")
        h.sh("ip", "link", "set", f"b{number}", "master", "br0")
        net.address(port, "eth0", f"10.0.2.{number}/24")
        net.up(h, f"b{number}")
        net.up(port, "eth0")
    h.sysctl("bridge/bridge-nf-call-iptables", 1)
    # The bridge forgets at once which port an address is behind (ageing time 0), so it floods every frame.
    near, sink = datagrams(ports[0]), datagrams(ports[1], ("10.0.2.2", 5000))
    echo(near, sink, ("10.0.2.2", 5000), 1)
    net.count(h)
    echo(near, sink, ("10.0.2.2", 5000))
    image, counted = net.rest([h], module.image_at_rest)
    check.that("nft counts a packet once a port: more than there were",
               counted[h].total["forwarded"][0] >= 2 * 2 * DATAGRAMS, counted[h].total)
    check.equal("one forwarded connection, each packet once",
                [(c.forwarded, c.sent.packets, c.received.packets) for c in of(image, h)],
                [(True, 1 + DATAGRAMS, 1 + DATAGRAMS)])


def main():
    module.load(timeout_one_way=600, timeout_two_way=600, timeout_closed=600)
    ipvs()
    ipvlan()
    macvlan()
    bridge()
    module.audit()
    module.unload()
    check.finish()


main()
