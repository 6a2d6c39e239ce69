# SPDX-License-Identifier: MIT OR Apache-2.0
"""Tunnels and IPsec: the packet inside belongs to the socket that sent it, the packet around it to nobody, and each
of the two is counted once.

The kernel leaves the inner socket on the outer packet, so that IPIP, sit, GRE, VXLAN, ESP and AH would be its own.
"""
# Only on: stock

import json
import os
import socket
import struct
import time

from lib import check, module, net, ss, traffic
from lib.image import UID_UNKNOWN

TCP, UDP = 6, 17
IPIP, SIT, GRE, ESP, AH, IPCOMP = 4, 41, 47, 50, 51, 108


def sender(namespace, family, to, number, size=100):
    """A socket that sends datagrams and is closed, in a process of its own."""
    child = os.fork()
    if child == 0:
        with namespace.inside():
            one = socket.socket(family, socket.SOCK_DGRAM)
        for _ in range(number):
            one.sendto(bytes(size), to)
            time.sleep(0.002)
        os._exit(0)
    os.waitpid(child, 0)


def receiver(namespace, family, address):
    with namespace.inside():
        sink = socket.socket(family, socket.SOCK_DGRAM)
    sink.bind(address)
    sink.settimeout(10)
    return sink


def of(image, namespace, protocol, **fields):
    return [c for c in image.connections if c.netns == namespace.inode and c.protocol == protocol
            and all(getattr(c, name) == value for name, value in fields.items())]


def transmitted(namespace, link):
    return json.loads(namespace.sh("ip", "-s", "-j", "link", "show", link))[0]["stats64"]["tx"]["packets"]


def users(what, a, b, family, to, outer, link=None):
    """Four sockets in turn, of which the first sends least; `outer` is protocol and port of what is around, `link` the
    tunnel's interface."""
    sink = receiver(b, family, to)
    before = {c.id: c.sent.packets for c in module.image_at_rest().connections}
    before_link = transmitted(a, link) if link else 0
    numbers = (1, 20, 3, 5)
    for number in numbers:
        sender(a, family, to, number)
    for _ in range(sum(numbers)):
        sink.recv(200)
    image = module.image_at_rest()
    inner = sorted(of(image, a, UDP, remote=to[0], remote_port=to[1]), key=lambda c: c.id)
    check.equal(f"{what}: each socket has what it sent", [c.sent.packets for c in inner], list(numbers))
    check.that(f"{what}: and is the owner", all(c.fd for c in inner))
    protocol, port = outer
    around = [c for c in of(image, a, protocol) if c.sent.packets > before.get(c.id, 0)
              and (c.remote_port == port or protocol != UDP)]
    check.that(f"{what}: what is around has no owner", around and
               all((c.fd, c.uid) == (0, UID_UNKNOWN) for c in around), around)
    check.that(f"{what}: it does not end with the sockets", around and not any(c.closed for c in around), around)
    packets = sum(c.sent.packets - before.get(c.id, 0) for c in around)
    # The kernel sends membership reports and ARP through tunnels, too.
    expected = transmitted(a, link) - before_link if link else sum(numbers)
    check.equal(f"{what}: it has a packet for each that went in", packets, expected)
    sink.close()


def tunnels(a, b):
    for name, number in (("ipip", IPIP), ("sit", SIT), ("gre", GRE), ("vxlan", UDP)):
        check.part(name)
        link = f"t{name}"
        for host, mine, other in ((a, 1, 2), (b, 2, 1)):
            words = ["local", f"10.0.0.{mine}", "remote", f"10.0.0.{other}"]
            if name == "vxlan":
                words = ["id", 7, "dstport", 4789, *words]
            host.sh("ip", "link", "add", link, "type", name, *words)
            address = f"fd{number}::{mine}/64" if name == "sit" else f"10.{number}.0.{mine}/24"
            net.address(host, link, address)
            net.up(host, link)
        net.settle(a, b)
        family = socket.AF_INET6 if name == "sit" else socket.AF_INET
        to = (f"fd{number}::2" if name == "sit" else f"10.{number}.0.2", 5000)
        users(name, a, b, family, to, (number, 4789), link)
        for host in (a, b):
            host.sh("ip", "link", "delete", link)


def policy(a, b, kind, near, far):
    """IPsec in transport mode between two addresses."""
    algorithms = {
        "esp": ("auth", "hmac(sha256)", "0x" + "11" * 32, "enc", "cbc(aes)", "0x" + "22" * 16),
        "ah": ("auth", "hmac(sha256)", "0x" + "11" * 32),
        "comp": ("comp", "deflate"),
    }[kind]
    for host, me in ((a, near), (b, far)):
        for number, (source, destination) in enumerate(((near, far), (far, near)), 1):
            spi = f"0x{0x1000 + number:x}" if kind != "comp" else f"0x{0x100 + number:x}"
            host.sh("ip", "xfrm", "state", "add", "src", source, "dst", destination, "proto", kind, "spi", spi,
                    "mode", "transport", *algorithms)
            host.sh("ip", "xfrm", "policy", "add", "src", source, "dst", destination, "dir",
                    "out" if source == me else "in", "tmpl", "src", source, "dst", destination, "proto", kind,
                    "mode", "transport", *(("level", "use") if kind == "comp" and source != me else ()))


def no_policy(*hosts):
    for host in hosts:
        host.sh("ip", "xfrm", "policy", "flush")
        host.sh("ip", "xfrm", "state", "flush")


def ipsec(a, b):
    for kind, number in (("esp", ESP), ("ah", AH)):
        for family, near, far in ((socket.AF_INET, "10.0.0.1", "10.0.0.2"), (socket.AF_INET6, "fd00::1", "fd00::2")):
            what = f"{kind} over IPv{4 if family == socket.AF_INET else 6}"
            check.part(what)
            policy(a, b, kind, near, far)
            users(what, a, b, family, (far, 5000 + number), (number, 0))
            listener = traffic.tcp_listener(b, far)
            one = traffic.tcp_connect(a, *listener.getsockname()[:2])
            other, _ = listener.accept()
            one.sendall(bytes(100_000))
            traffic.receive(other, 100_000)
            other.sendall(bytes(30_000))
            traffic.receive(one, 30_000)
            image = module.image_at_rest()
            said, = ss.sockets(a, "ESTAB")
            # What the other end sent: bytes_received leaves out what came twice.
            there, = ss.sockets(b, "ESTAB")
            mine = of(image, a, TCP, local_port=one.getsockname()[1])
            check.equal(f"{what}: TCP's packets and payload, both ways, are ss's",
                        [(c.sent.packets, c.sent.payload, c.received.packets, c.received.payload) for c in mine],
                        [(said.segs_out, said.bytes_sent, said.segs_in, there.bytes_sent)])
            for sock in (one, other, listener):
                sock.close()
            no_policy(a, b)


def ipcomp(a, b):
    for family, near, far in ((socket.AF_INET, "10.0.0.1", "10.0.0.2"), (socket.AF_INET6, "fd00::1", "fd00::2")):
        what = f"IPComp over IPv{4 if family == socket.AF_INET else 6}"
        check.part(what)
        policy(a, b, "comp", near, far)
        sink = receiver(b, family, (far, 5100))
        with a.inside():
            one = socket.socket(family, socket.SOCK_DGRAM)
        for size in (50, 1200):
            for _ in range(10):
                one.sendto(bytes(size), (far, 5100))
                sink.recv(1500)
        image = module.image_at_rest()
        mine = of(image, a, UDP, remote=far, remote_port=5100)
        check.equal(f"{what}: ten that are too small to compress and ten that are not, once",
                    [(c.sent.packets, c.sent.payload) for c in mine], [(20, 10 * (50 + 1200))])
        compressed = of(image, a, IPCOMP, remote=far)
        check.equal(f"{what}: the ten that were compressed passed as such, too",
                    [(c.sent.packets, c.fd) for c in compressed], [(10, 0)])
        received = of(image, b, UDP, local=far, local_port=5100)
        check.equal(f"{what}: and arrived once", [(c.received.packets, c.received.payload) for c in received],
                    [(20, 10 * (50 + 1200))])
        one.close()
        sink.close()
        no_policy(a, b)


def raw(a):
    check.part("raw sockets own what they send, of whatever protocol")
    with a.inside():
        one = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28, 0, 0, 64, 253, 0, socket.inet_aton("10.0.0.1"),
                         socket.inet_aton("10.0.0.2"))
    for _ in range(3):
        one.sendto(header + bytes(8), ("10.0.0.2", 0))
    image = module.image_at_rest()
    inode = os.fstat(one.fileno()).st_ino
    owner = {f.id: f.inode for f in image.fds}
    check.equal("IPPROTO_RAW", [(c.sent.packets, owner.get(c.fd)) for c in of(image, a, 253)], [(3, inode)])
    one.close()


def main():
    module.load(timeout_one_way=600, timeout_two_way=600, timeout_closed=600)
    a, b = net.Namespace("a"), net.Namespace("b")
    net.veth(a, "va", b, "vb")
    for host, link, number in ((a, "va", 1), (b, "vb", 2)):
        host.sysctl("ipv4/conf/all/rp_filter", 0)
        net.address(host, link, f"10.0.0.{number}/24", f"fd00::{number}/64")
        net.up(host, link)
    net.settle(a, b)
    tunnels(a, b)
    ipsec(a, b)
    ipcomp(a, b)
    raw(a)
    module.audit()
    module.unload()
    check.finish()


main()
