# SPDX-License-Identifier: MIT OR Apache-2.0
"""Reads what tcpdump wrote, down to the IP packet."""

import collections
import ipaddress
import re
import signal
import struct
import time

from lib.pace import LONGER, sized

# KiB in which the kernel keeps what tcpdump has not read yet. A kernel that looks for bugs takes long to get them.
BUFFER = sized(65536, 16384)

Packet = collections.namedtuple("Packet", "protocol source sport destination dport bytes payload")

EXTENSIONS = {0, 43, 60}
# Kinds of link, as a capture's header has them.
ETHERNET, RAW = 1, 101


def packets(path):
    """The IP packets of a capture of an Ethernet-like interface, or one without a link layer (snapped
    frames will do)."""
    return (packet for _, packet in timed(path))


def timed(path):
    """The same, each with its Unix time."""
    with open(path, "rb") as file:
        head = file.read(24)
        if len(head) < 24:
            raise ValueError(f"{path} is no capture")
        unit = 1e9 if b"\x3c" in head[:4] else 1e6
        order = "<" if head[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
        link = struct.unpack(order + "I", head[20:])[0] & 0xffff
        if link not in (ETHERNET, RAW):
            raise ValueError(f"{path} has frames of type {link}")
        while record := file.read(16):
            seconds, fraction, captured, length = struct.unpack(order + "4I", record)
            frame = file.read(captured)
            if link == RAW:
                frame = bytes(12) + (b"\x08\x00" if frame[0] >> 4 == 4 else b"\x86\xdd") + frame
            packet = ip(frame)
            if packet:
                yield seconds + fraction / unit, packet
            elif frame[12:14] in (b"\x08\x00", b"\x86\xdd"):
                raise ValueError(f"{path}: an IP packet of {length} bytes that cannot be read")


def ip(frame):
    """The IP packet in an Ethernet frame, with or without a VLAN's tag; None for anything else."""
    if frame[12:14] == b"\x81\x00":
        frame = frame[4:]
    kind, data = frame[12:14], frame[14:]
    if kind == b"\x08\x00":
        header = (data[0] & 15) * 4
        total, = struct.unpack_from("!H", data, 2)
        offset = struct.unpack_from("!H", data, 6)[0] & 0x1fff
        protocol = data[9]
        source, destination = (str(ipaddress.IPv4Address(data[at:at + 4])) for at in (12, 16))
    elif kind == b"\x86\xdd":
        total = struct.unpack_from("!H", data, 4)[0] + 40
        protocol, header, offset = data[6], 40, 0
        while protocol in EXTENSIONS or protocol == 44:
            if protocol == 44:
                offset = struct.unpack_from("!H", data, header + 2)[0] >> 3
                protocol, header = data[header], header + 8
                break
            protocol, header = data[header], header + (data[header + 1] + 1) * 8
        source, destination = (str(ipaddress.IPv6Address(data[at:at + 16])) for at in (8, 24))
    else:
        return None
    sport = dport = 0
    payload = total - header
    if not offset and protocol in (6, 17, 132):
        sport, dport = struct.unpack_from("!HH", data, header)
        if protocol == 6:
            payload -= (data[header + 12] >> 4) * 4
        else:
            payload -= 8 if protocol == 17 else 12
    return Packet(protocol, source, sport, destination, dport, total, payload)


class Capture:
    """tcpdump of what goes out by an interface (on loopback: what comes in, it is the same)."""

    def __init__(self, namespace, link, path):
        self.path = path
        self._errors = open(f"{path}.err", "w+")
        direction = "in" if link == "lo" else "out"
        # Without immediate mode the kernel keeps packets back for a second, and the end of it loses them.
        self._process = namespace.start("tcpdump", "-n", "-i", link, "-Q", direction, "-s", "160",
                                        "-B", str(BUFFER), "--immediate-mode", "-w", path, stderr=self._errors)
        deadline = time.monotonic() + 15 * LONGER
        while "listening on" not in self._said():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"tcpdump: {self._said()}")
            time.sleep(0.05)

    def _said(self):
        self._errors.seek(0)
        return self._errors.read()

    def _stop(self):
        self._process.send_signal(signal.SIGINT)
        self._process.wait()
        if not re.search(r"^0 packets dropped by kernel", self._said(), re.M):
            raise RuntimeError(f"the capture is not complete: {self._said()}")

    def timed(self):
        """Stops it, and gives the packets that it saw with their Unix times."""
        self._stop()
        return list(timed(self.path))

    def end(self):
        """Stops it, and gives for each flow the frames, IP bytes and payload that it saw."""
        self._stop()
        flows = {}
        for packet in packets(self.path):
            key = packet[:5]
            frames, size, payload = flows.get(key, (0, 0, 0))
            flows[key] = frames + 1, size + packet.bytes, payload + packet.payload
        return flows
