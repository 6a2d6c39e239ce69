# SPDX-License-Identifier: MIT OR Apache-2.0
"""A second opinion: reads /proc/mutex/snapshot by include/mutex.h alone, and audits it.

Shares no code with the module or with mutexctl, on purpose.
"""

import collections
import ipaddress
import struct
import zlib

MAGIC = b"MUTEXSNP"
VERSION = 1
FILTERED = 1

STATUS, TOTALS_BEFORE, CONNECTION, FD, CLOSED, UNTRACKED, TOTALS_AFTER, END = range(1, 9)
REASONS = ["table_full", "allocation", "fragment", "truncated", "invalid_header", "policy"]
STATES = {
    1: "established", 2: "syn-sent", 3: "syn-recv", 4: "fin-wait-1", 5: "fin-wait-2",
    6: "time-wait", 7: "closed", 8: "close-wait", 9: "last-ack", 11: "closing",
    16: "one-way", 17: "two-way",
}
FLAGS = {1: "forwarded", 2: "adopted", 4: "reset", 8: "timed-out", 16: "netns-gone"}
# As the text files name them.
PROTOCOLS = {1: "icmp", 2: "igmp", 4: "ipip", 6: "tcp", 17: "udp", 33: "dccp", 41: "ipv6", 47: "gre",
             50: "esp", 51: "ah", 58: "icmpv6", 89: "ospf", 103: "pim", 112: "vrrp", 132: "sctp",
             136: "udplite"}
UID_UNKNOWN = 0xffffffff
DIRECTIONS = ["sent", "received", "forwarded_sent", "forwarded_received"]
COUNTERS = ["packets", "buffers", "bytes", "payload"]

HEADER = struct.Struct("<8sIIIIQQQ16sII")
BLOCK = struct.Struct("<HHIII")
STATUS_FIELDS = [
    "uptime_ns", "connections_active", "connections_total", "connections_closed", "fds_active",
    "fds_total", "fds_untracked", "cache_hits", "cache_misses", "table_size", "table_used",
    "table_high_water", "fd_table_size", "fd_table_used", "fd_table_high_water", "memory_bytes",
    "connection_bytes",
]
STATUS_RECORD = struct.Struct("<17Q")
TOTALS_RECORD = struct.Struct("<16Q")
CONNECTION_RECORD = struct.Struct("<6Q16s16sHHIIIIIBBBBI8Q")
FD_RECORD = struct.Struct("<5QIIIBBH16sQQ8Q")
UNTRACKED_RECORD = struct.Struct("<II16Q")
END_RECORD = struct.Struct("<QQQ")
RECORDS = {
    STATUS: STATUS_RECORD, TOTALS_BEFORE: TOTALS_RECORD, CONNECTION: CONNECTION_RECORD,
    FD: FD_RECORD, CLOSED: TOTALS_RECORD, UNTRACKED: UNTRACKED_RECORD,
    TOTALS_AFTER: TOTALS_RECORD, END: END_RECORD,
}


class Bad(Exception):
    """The image is not one."""


class Traffic(collections.namedtuple("Traffic", COUNTERS)):
    """One direction's counters."""

    def __add__(self, other):
        return Traffic(*(a + b for a, b in zip(self, other)))

    def __sub__(self, other):
        return Traffic(*(a - b for a, b in zip(self, other)))


NOTHING = Traffic(0, 0, 0, 0)


def _totals(words):
    return {name: Traffic(*words[4 * i:4 * i + 4]) for i, name in enumerate(DIRECTIONS)}


class Connection:
    """One record of a connection."""

    def __init__(self, fields):
        (self.id, self.fd, self.cgroup, self.first_seen, self.last_seen, self.closed, local, remote,
         self.local_port, self.remote_port, self.netns, self.scope, self.uid, self.in_interface,
         self.out_interface, self.family, self.protocol, state, reserved, flags,
         *counters) = fields
        if reserved:
            raise Bad("padding of a connection is not zero")
        self.local = address(self.family, local)
        self.remote = address(self.family, remote)
        self.state = STATES[state]
        self.flags = {name for bit, name in FLAGS.items() if flags & bit}
        self.sent = Traffic(*counters[:4])
        self.received = Traffic(*counters[4:])
        self.forwarded = "forwarded" in self.flags
        self.protocol_name = PROTOCOLS.get(self.protocol, str(self.protocol))

    @property
    def key(self):
        """What ss would show: protocol, local address and port, remote address and port."""
        return (self.protocol, self.local, self.local_port, self.remote, self.remote_port)

    def __repr__(self):
        return (f"#{self.id} {self.protocol_name} {self.local}:{self.local_port} "
                f"{self.remote}:{self.remote_port} netns {self.netns} {self.state} "
                f"{','.join(sorted(self.flags)) or '-'} fd {self.fd} "
                f"sent {tuple(self.sent)} received {tuple(self.received)}")


class Fd:
    """One record of an fd."""

    def __init__(self, fields):
        (self.id, self.inode, self.cgroup, self.first_seen, self.closed, self.pid, self.uid,
         self.netns, self.family, self.protocol, reserved, command, self.active, self.total,
         *counters) = fields
        if reserved:
            raise Bad("padding of an fd is not zero")
        self.command = command.split(b"\0")[0].decode("ascii", "backslashreplace")
        self.sent = Traffic(*counters[:4])
        self.received = Traffic(*counters[4:])

    def __repr__(self):
        return (f"fd {self.id} inode {self.inode} pid {self.pid} {self.command} uid {self.uid} "
                f"active {self.active} total {self.total} sent {tuple(self.sent)} "
                f"received {tuple(self.received)}")


def address(family, raw):
    """As text; IPv4 must be ::ffff:a.b.c.d."""
    if family == 4:
        if raw[:12] != bytes(10) + b"\xff\xff":
            raise Bad(f"an IPv4 address is {raw.hex()}")
        return str(ipaddress.IPv4Address(raw[12:]))
    if family != 6:
        raise Bad(f"family {family}")
    return str(ipaddress.IPv6Address(raw))


class Image:
    """A whole image, decoded and checked for its form."""

    def __init__(self, raw):
        self.size = len(raw)
        if len(raw) < HEADER.size:
            raise Bad(f"{len(raw)} bytes are no image")
        (magic, version, header_size, self.flags, self.netns, self.time, self.boottime,
         self.loaded, boot_id, _, crc) = HEADER.unpack_from(raw)
        if magic != MAGIC or version != VERSION or header_size != HEADER.size:
            raise Bad(f"magic {magic}, version {version}, header size {header_size}")
        self.boot_id = boot_id.hex()
        if zlib.crc32(raw[:HEADER.size - 4] + bytes(4)) != crc:
            raise Bad("CRC of the header")
        self.connections = []
        self.fds = []
        self.untracked = {}
        self.status = self.before = self.after = self.closed = None
        end = None
        at = header_size
        order = 0
        while at < len(raw):
            if end:
                raise Bad("blocks after the end")
            kind, reserved, record_size, count, crc = BLOCK.unpack_from(raw, at)
            body = at + BLOCK.size
            stop = body + record_size * count
            if stop > len(raw):
                raise Bad("truncated")
            if zlib.crc32(raw[at:body - 4] + bytes(4) + raw[body:stop]) != crc:
                raise Bad(f"CRC of a block of kind {kind}")
            # A record may be longer than what is known here of it, never shorter.
            if kind not in RECORDS or reserved or record_size < RECORDS[kind].size:
                raise Bad(f"block of kind {kind} with records of {record_size} bytes")
            if kind < order or (kind == order and kind not in (CONNECTION, FD)):
                raise Bad(f"block of kind {kind} after one of kind {order}")
            order = kind
            for start in range(body, stop, record_size):
                fields = RECORDS[kind].unpack_from(raw, start)
                if kind == STATUS:
                    self.status = dict(zip(STATUS_FIELDS, fields))
                elif kind == TOTALS_BEFORE:
                    self.before = _totals(fields)
                elif kind == CONNECTION:
                    self.connections.append(Connection(fields))
                elif kind == FD:
                    self.fds.append(Fd(fields))
                elif kind == CLOSED:
                    self.closed = _totals(fields)
                elif kind == UNTRACKED:
                    self.untracked[REASONS[fields[0]]] = _totals(fields[2:])
                elif kind == TOTALS_AFTER:
                    self.after = _totals(fields)
                else:
                    end = fields
            at = stop
        if not end:
            raise Bad("no END block")
        if end != (len(self.connections), len(self.fds), len(raw)):
            raise Bad(f"END says {end}, there are {len(self.connections)} connections, "
                      f"{len(self.fds)} fds, {len(raw)} bytes")
        if list(self.untracked) != REASONS:
            raise Bad(f"reasons {list(self.untracked)}")
        self.filtered = bool(self.flags & FILTERED)

    def sum(self):
        """What all the parts of the books moved together."""
        total = dict(self.closed)
        for connection in self.connections:
            prefix = "forwarded_" if connection.forwarded else ""
            total[prefix + "sent"] += connection.sent
            total[prefix + "received"] += connection.received
        for reason in self.untracked.values():
            for direction in DIRECTIONS:
                total[direction] += reason[direction]
        return total

    def audit(self):
        """The lines of the books that are off: empty when they balance."""
        wrong = []
        total = self.sum()
        for direction in DIRECTIONS:
            for counter in COUNTERS:
                low = getattr(self.before[direction], counter)
                value = getattr(total[direction], counter)
                high = getattr(self.after[direction], counter)
                if not low <= value <= high:
                    wrong.append(f"{direction} {counter}: {low} <= {value} <= {high}")
        return wrong

    @property
    def moved(self):
        """Whether a packet passed while the image was taken."""
        return self.before != self.after

    def contradictions(self, at_rest=False):
        """What the parts of the image say against one another, also under load."""
        found = []
        ids = [connection.id for connection in self.connections]
        if len(set(ids)) != len(ids):
            found.append("a connection id appears twice")
        fds = {fd.id: fd for fd in self.fds}
        if len(fds) != len(self.fds):
            found.append("an fd id appears twice")
        sums = {}
        for connection in self.connections:
            if connection.fd:
                sent, received, active = sums.get(connection.fd, (NOTHING, NOTHING, 0))
                sums[connection.fd] = (sent + connection.sent, received + connection.received,
                                       active + (connection.closed == 0))
        for fd_id, (sent, received, _) in sums.items():
            fd = fds.get(fd_id)
            if fd is None:
                # It may have come since the fds were begun to be added up, or gone since.
                if at_rest:
                    found.append(f"fd {fd_id} is named by a connection and is not there")
                continue
            for direction, mine, theirs in (("sent", fd.sent, sent), ("received", fd.received, received)):
                if any(a < b for a, b in zip(mine, theirs)):
                    found.append(f"fd {fd_id} {direction} {tuple(mine)}, its connections {tuple(theirs)}")
        for fd in self.fds:
            if fd.active > fd.total:
                found.append(f"fd {fd.id} has {fd.active} of {fd.total} connections active")
            if any(value >= 1 << 62 for value in fd.sent + fd.received):
                found.append(f"fd {fd.id} has wrapped: {fd}")
        for direction, traffic in self.closed.items():
            if any(value >= 1 << 62 for value in traffic):
                found.append(f"closed {direction} has wrapped: {tuple(traffic)}")
        return found

    def contradictions_at_rest(self):
        """What must agree besides while nothing happens."""
        found = self.contradictions(at_rest=True)
        if self.moved:
            found.append("packets passed")
        active = {}
        for connection in self.connections:
            if connection.fd and not connection.closed:
                active[connection.fd] = active.get(connection.fd, 0) + 1
        for fd in self.fds:
            if fd.active != active.get(fd.id, 0):
                found.append(f"fd {fd.id} says {fd.active} active, there are {active.get(fd.id, 0)}")
        if self.filtered:
            return found
        live = sum(1 for connection in self.connections if not connection.closed)
        status = self.status
        for name, value in (
            ("connections_active", live),
            ("connections_total - connections_closed", live),
            ("table_used", len(self.connections)),
            ("fd_table_used", len(self.fds)),
            ("fds_active", sum(1 for fd in self.fds if fd.active)),
        ):
            said = (status["connections_total"] - status["connections_closed"]
                    if " - " in name else status[name])
            if said != value:
                found.append(f"{name} is {said}, the image shows {value}")
        return found
