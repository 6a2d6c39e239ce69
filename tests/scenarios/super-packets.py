# SPDX-License-Identifier: MIT OR Apache-2.0
"""Packets that stand for several, as a virtual machine's interface hands them to its host: UDP datagrams that are
fragmented later (UFO), UDP segments, TCP of more than 64 KiB (BIG TCP); and headers that are not in one piece.

The witness of what is forwarded is a capture of the link behind the router, which takes one packet at a time.
"""
# Only on: stock

import errno
import fcntl
import os
import socket
import struct

from lib import check, module, net, pcap, ss, traffic

TCP, UDP = 6, 17
TUNSETIFF, IFF_TUN, IFF_NO_PI, IFF_VNET_HDR = 0x400454ca, 1, 0x1000, 0x4000
# virtio_net_hdr.gso_type (virtio 1.2, section 5.1.6).
GSO_NONE, GSO_UDP, GSO_UDP_L4 = 0, 3, 5


class Guest:
    """A virtual machine's end of a TUN interface of that namespace."""

    def __init__(self, namespace, name):
        with namespace.inside():
            self._file = os.open("/dev/net/tun", os.O_RDWR)
            fcntl.ioctl(self._file, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI | IFF_VNET_HDR))

    def send(self, packet, gso, size, headers, checksum):
        """Hands over a packet: parts of `size` bytes, `headers` bytes in one piece, and where the transport header begins
        whose checksum (at 6, UDP's) is to be completed."""
        flags = 1 if checksum else 0
        os.write(self._file, struct.pack("BBHHHH", flags, gso, headers, size, checksum, 6 if checksum else 0) + packet)


def pseudo_sum(*parts):
    data = b"".join(parts)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total


def datagram4(source, destination, port, payload):
    source, destination = socket.inet_aton(source), socket.inet_aton(destination)
    length = 8 + len(payload)
    partial = pseudo_sum(source, destination, struct.pack("!HH", UDP, length))
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + length, 7, 0, 64, UDP, 0, source, destination)
    header = header[:10] + struct.pack("!H", ~pseudo_sum(header) & 0xffff) + header[12:]
    return header + struct.pack("!HHHH", 4000, port, length, partial) + payload


def datagram6(source, destination, port, payload, options=b""):
    source, destination = (socket.inet_pton(socket.AF_INET6, one) for one in (source, destination))
    length = 8 + len(payload)
    partial = pseudo_sum(source, destination, struct.pack("!II", length, UDP))
    header = struct.pack("!IHBB16s16s", 6 << 28, len(options) + length, 60 if options else UDP, 64, source, destination)
    return header + options + struct.pack("!HHHH", 4000, port, length, partial) + payload


def of(image, namespace, port):
    return [c for c in image.connections if c.netns == namespace.inode and c.protocol == UDP
            and port in (c.local_port, c.remote_port)]


def forwarded(r, guest):
    port = 5000
    for family, to, mine in ((4, "10.2.0.2", "10.1.0.2"), (6, "fd02::2", "fd01::2")):
        for gso, name in ((GSO_UDP, "UFO"), (GSO_UDP_L4, "UDP segments")):
            for size, part in ((10_000, 1480), (5916, 1480), (1000, 1480), (8880, 1480), (9000, 1000)):
                port += 1
                if (family, gso) != (4, GSO_UDP):
                    # A multiple of eight, and with all headers no more than the link takes.
                    part = min(part, 1400)
                what = f"{name} over IPv{family}, {size} bytes by {part}"
                packet = (datagram4 if family == 4 else datagram6)(mine, to, port, bytes(size))
                capture = pcap.Capture(r, "va", f"/tmp/{port}.pcap")
                try:
                    guest.send(packet, gso, part, 28 if family == 4 else 48, 20 if family == 4 else 40)
                except OSError as error:
                    if gso != GSO_UDP_L4 or error.errno != errno.EINVAL:
                        raise
                    capture.timed()
                    check.note(f"{what}: this kernel (before 6.2) does not take it")
                    continue
                image = module.image_at_rest()
                link = [one for _, one in capture.timed() if one.protocol == UDP and one.destination == to]
                seen = len(link), sum(one.bytes for one in link)
                check.equal(f"forwarded, {what}: packets and bytes are the link's",
                            [(c.forwarded, c.sent.packets, c.sent.bytes, c.sent.payload) for c in of(image, r, port)],
                            [(True, *seen, size)])


def local(r, guest):
    for size, part, expected in ((10_000, 1480, (7, 10_148)), (5916, 1480, (5, 6024))):
        port = 6000 + size % 1000
        with r.inside():
            sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sink.bind(("10.1.0.1", port))
        sink.settimeout(10)
        guest.send(datagram4("10.1.0.2", "10.1.0.1", port, bytes(size)), GSO_UDP, part, 28, 20)
        got = len(sink.recv(65536))
        image = module.image_at_rest()
        check.equal(f"received, {size} bytes by {part}: as many packets and bytes as its fragments have",
                    [(c.received.packets, c.received.bytes, c.received.payload) for c in of(image, r, port)],
                    [(*expected, got)])
        sink.close()


def scattered(r, guest):
    check.part("IPv6 options of more than 256 bytes, of which few are in one piece")
    with r.inside():
        sink = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    sink.bind(("fd01::1", 7000))
    sink.settimeout(10)
    sizes = (8, 240, 248, 256, 1024, 2048)
    for size in sizes:
        # Destination options of a type that is to be skipped (RFC 8200, section 4.2; 0x1e is for experiments).
        padding, left = b"", size - 2
        while left:
            some = min(left, 257)
            padding += bytes([0x1e, some - 2]) + bytes(some - 2)
            left -= some
        options = bytes([UDP, size // 8 - 1]) + padding
        guest.send(datagram6("fd01::2", "fd01::1", 7000, bytes(5000), options), GSO_NONE, 0, 48, 40 + size)
        check.equal(f"{size} bytes: the program receives it", len(sink.recv(65536)), 5000)
    image = module.image_at_rest()
    check.equal("all of them are its connection's",
                [(c.received.packets, c.received.payload) for c in of(image, r, 7000)], [(len(sizes), 5000 * len(sizes))])
    check.equal("none is untracked", tuple(image.untracked["truncated"]["received"]), (0, 0, 0, 0))
    sink.close()


def big_tcp(a, b):
    check.part("BIG TCP: IPv6 super-packets of more than 64 KiB")
    for host, link in ((a, "ba"), (b, "bb")):
        host.sh("ip", "link", "set", link, "gso_max_size", 180_000, "gro_max_size", 180_000)
    a.sh("nft", "add table inet big; add chain inet big out { type filter hook output priority 0; }; "
         "add rule inet big out meta length > 65575 counter")
    listener = traffic.tcp_listener(b, "fd03::2", 80)
    one = traffic.tcp_connect(a, "fd03::2", 80)
    far, _ = listener.accept()
    size = 30_000_000
    child = os.fork()
    if child == 0:
        traffic.receive(far, size)
        os._exit(0)
    one.sendall(bytes(size))
    os.waitpid(child, 0)
    image = module.image_at_rest()
    said, = ss.sockets(a, "ESTAB")
    mine = [c for c in image.connections if c.netns == a.inode and c.protocol == TCP]
    counted = a.sh("nft", "list", "chain", "inet", "big", "out")
    check.that("there were some", "packets 0 " not in counted, counted)
    # Each segment has 40 bytes of IP and 32 of TCP with timestamps; the SYN's options take 8 more.
    check.equal("packets and payload are ss's, and bytes have no header that was not sent",
                [(c.sent.packets, c.sent.payload, c.sent.bytes) for c in mine],
                [(said.segs_out, said.bytes_sent, said.bytes_sent + 72 * said.segs_out + 8)])
    for sock in (one, far, listener):
        sock.close()


def main():
    module.load(timeout_one_way=600, timeout_closed=600)
    net.sh("modprobe", "tun")
    r, s = net.Namespace("r"), net.Namespace("s")
    guest = Guest(r, "tun0")
    net.veth(r, "va", s, "vb")
    for host, link, *addresses in ((r, "tun0", "10.1.0.1/24", "fd01::1/64"), (r, "va", "10.2.0.1/24", "fd02::1/64"),
                                   (s, "vb", "10.2.0.2/24", "fd02::2/64")):
        net.address(host, link, *addresses)
        net.up(host, link)
    r.sysctl("ipv4/ip_forward", 1)
    r.sysctl("ipv6/conf/all/forwarding", 1)
    s.sh("ip", "route", "add", "10.1.0.0/24", "via", "10.2.0.1")
    s.sh("ip", "route", "add", "fd01::/64", "via", "fd02::1")
    r.sh("ip", "link", "set", "tun0", "mtu", 65535)
    net.offloads(r, "va", tx="off", gso="off", tso="off")
    r.sh("ethtool", "-K", "va", "tx-udp-segmentation", "off")
    net.offloads(s, "vb", gro="off")
    net.settle(r, s)
    check.part("forwarded datagrams")
    forwarded(r, guest)
    check.part("received datagrams")
    local(r, guest)
    scattered(r, guest)
    a, b = net.Namespace("a"), net.Namespace("b")
    net.veth(a, "ba", b, "bb")
    for host, link, number in ((a, "ba", 1), (b, "bb", 2)):
        net.address(host, link, f"fd03::{number}/64")
        net.up(host, link)
    net.settle(a, b)
    big_tcp(a, b)
    module.audit()
    module.unload()
    check.finish()


main()
