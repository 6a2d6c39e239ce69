# SPDX-License-Identifier: MIT OR Apache-2.0
"""Packets byte by byte, right and wrong, and what MUTEX's words say they have to be counted as."""

import socket
import struct

HOP, ICMP, TCP, UDP, DCCP, ROUTE, FRAGMENT, AH, ICMPV6, DESTINATION, SCTP, UDPLITE = (
    0, 1, 6, 17, 33, 43, 44, 51, 58, 60, 132, 136)


def checksum(data):
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total ^ 0xffff


def ipv4(protocol, body, source, destination, ihl=None, fragment=0, options=b"", ttl=64, length=None,
         version=4, identification=7):
    """An IPv4 packet, with whatever is asked for."""
    ihl = 5 + len(options) // 4 if ihl is None else ihl
    length = 20 + len(options) + len(body) if length is None else length
    header = struct.pack("!BBHHHBBH4s4s", version << 4 | ihl, 0, length, identification, fragment, ttl, protocol, 0,
                         socket.inet_aton(source), socket.inet_aton(destination)) + options
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + body


def ipv6(protocol, body, source, destination, length=None, version=6, hops=64):
    return struct.pack("!IHBB16s16s", version << 28, len(body) if length is None else length, protocol, hops,
                       socket.inet_pton(socket.AF_INET6, source), socket.inet_pton(socket.AF_INET6, destination)) + body


def tcp(flags=0x10, offset=5, body=b"", sport=1000, dport=2000, sequence=1):
    return struct.pack("!HHIIBBHHH", sport, dport, sequence, 1, offset << 4, flags, 100, 0, 0) + body


def udp(body=b"", sport=1000, dport=2000, length=None, check=0):
    return struct.pack("!HHHH", sport, dport, 8 + len(body) if length is None else length, check) + body


def transports(version):
    """A right one of each protocol that has a header of its own here: its number and its bytes."""
    return {
        "TCP": (TCP, tcp(body=b"payload")),
        "TCP with options": (TCP, tcp(offset=10, body=bytes([2, 4, 5, 180, 8, 10]) + bytes(8) + bytes([1, 1, 3, 3, 7, 0])
                                      + b"payload")),
        "UDP": (UDP, udp(b"payload")),
        "UDP-Lite": (UDPLITE, udp(b"payload", length=8)),
        "SCTP": (SCTP, struct.pack("!HHII", 1000, 2000, 3, 4) + struct.pack("!BBHIHHII", 1, 0, 20, 1, 1, 1, 1, 1)),
        "DCCP": (DCCP, struct.pack("!HHBBHBBHI", 1000, 2000, 4, 0, 0, 1, 0, 1, 2) + b"payload"),
        "echo": (ICMP if version == 4 else ICMPV6, struct.pack("!BBHHH", 8 if version == 4 else 128, 0, 0, 77, 1) + b"payload"),
    }


def expected(packet):
    """What an IP packet, as it is at a hook, has to be counted as: a reason, or bytes of payload.

    By README.md's words: `truncated` ends inside its headers, an `invalid_header` contradicts itself, a
    `fragment` is not the first of its datagram.
    """
    if packet[0] >> 4 == 4:
        at, protocol = (packet[0] & 15) * 4, packet[9]
        if struct.unpack_from("!H", packet, 6)[0] & 0x1fff:
            return "fragment"
    else:
        at, protocol, headers = 40, packet[6], 0
        while protocol in (HOP, ROUTE, DESTINATION, FRAGMENT):
            if protocol == FRAGMENT:
                if len(packet) < at + 4:
                    return "truncated"
                if struct.unpack_from("!H", packet, at + 2)[0] & 0xfff8:
                    return "fragment"
                size = 8
            elif len(packet) < at + 2:
                return "truncated"
            else:
                size = (packet[at + 1] + 1) * 8
            headers += 1
            if headers > 8:
                return "invalid_header"
            protocol = packet[at]
            at += size
    rest = packet[at:]
    if protocol == TCP:
        if len(rest) < 14:
            return "truncated"
        header, least = (rest[12] >> 4) * 4, 20
    elif protocol == DCCP:
        if len(rest) < 5:
            return "truncated"
        header, least = rest[4] * 4, 12
    else:
        header = least = {UDP: 8, UDPLITE: 8, SCTP: 12, ICMP: 8, ICMPV6: 8}.get(protocol, 0)
    if header < least:
        return "invalid_header"
    # Of a header that is not known nothing has to be there.
    if at + header > len(packet):
        return "truncated"
    return len(packet) - at - header
