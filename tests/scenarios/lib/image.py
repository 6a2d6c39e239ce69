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
LATENCY, QUALITY, DROP, ALERT = range(9, 13)
# Blocks in their order, and those of which there may be any number.
ORDER = [STATUS, TOTALS_BEFORE, CONNECTION, FD, LATENCY, QUALITY, DROP, ALERT, CLOSED, UNTRACKED,
         TOTALS_AFTER, END]
LISTS = (CONNECTION, FD, LATENCY, DROP, ALERT)
REASONS = ["table_full", "allocation", "fragment", "truncated", "invalid_header", "policy", "quota"]
STATES = {
    1: "established", 2: "syn-sent", 3: "syn-recv", 4: "fin-wait-1", 5: "fin-wait-2",
    6: "time-wait", 7: "closed", 8: "close-wait", 9: "last-ack", 11: "closing",
    16: "one-way", 17: "two-way",
}
TCP = 6
FLAGS = {1: "forwarded", 2: "adopted", 4: "reset", 8: "timed-out", 16: "netns-gone"}
# As the text files name them.
PROTOCOLS = {1: "icmp", 2: "igmp", 4: "ipip", 6: "tcp", 17: "udp", 33: "dccp", 41: "ipv6", 47: "gre",
             50: "esp", 51: "ah", 58: "icmpv6", 89: "ospf", 103: "pim", 112: "vrrp", 132: "sctp",
             136: "udplite"}
UID_UNKNOWN = 0xffffffff
SCOPES = ["connection", "fd", "global"]
ALERT_KINDS = ["latency", "error_rate", "retransmission_rate", "drop_rate", "bandwidth_in",
               "bandwidth_out", "table_fill"]
SEVERITIES = ["info", "warning", "error", "critical"]
LATENCY_FIELDS = ["samples", "last_ns", "average_ns", "min_ns", "max_ns", "p50_ns", "p95_ns", "p99_ns"]
QUALITY_FIELDS = [
    *("latency_" + name for name in LATENCY_FIELDS), "retransmitted_packets", "retransmitted_bytes",
    "retransmissions_failed", "resets", "icmp_errors", "checksum_errors", "failed_connects", "drops",
    "rate_in", "rate_out", "peak_in", "peak_out",
]
# What only ever grows, so that the parts' sum is at most the whole's.
ADDITIVE = ["latency_samples", *QUALITY_FIELDS[8:16]]
OCTAVES = 26
DIRECTIONS = ["sent", "received", "forwarded_sent", "forwarded_received"]
COUNTERS = ["packets", "buffers", "bytes", "payload"]

HEADER = struct.Struct("<8sIIIIQQQ16sII")
BLOCK = struct.Struct("<HHIII")
STATUS_FIELDS = [
    "uptime_ns", "connections_active", "connections_total", "connections_closed", "fds_active",
    "fds_total", "fds_untracked", "cache_hits", "cache_misses", "table_size", "table_used",
    "table_high_water", "fd_table_size", "fd_table_used", "fd_table_high_water", "memory_bytes",
    "connection_bytes", "connections_early", "under_pressure", "latency_unplaced", "alerts_raised",
    "alerts_overwritten", "monitors", "events_produced", "events_lost", "packet_monitors",
    "alerts_suppressed",
]
STATUS_RECORD = struct.Struct("<27Q")
TOTALS_RECORD = struct.Struct("<16Q")
CONNECTION_RECORD = struct.Struct("<6Q16s16sHHIIIIIBBBBI8Q20Q6IQ")
FD_RECORD = struct.Struct("<5QIIIBBH16sQQ8Q20QQ")
LATENCY_RECORD = struct.Struct("<QII8Q")
QUALITY_RECORD = struct.Struct("<21Q")
DROP_RECORD = struct.Struct("<IIQ32sQ")
ALERT_RECORD = struct.Struct("<5Q16s16sHHII5B7s16s")
UNTRACKED_RECORD = struct.Struct("<II16Q")
END_RECORD = struct.Struct("<QQQ")
RECORDS = {
    STATUS: STATUS_RECORD, TOTALS_BEFORE: TOTALS_RECORD, CONNECTION: CONNECTION_RECORD,
    FD: FD_RECORD, CLOSED: TOTALS_RECORD, UNTRACKED: UNTRACKED_RECORD,
    TOTALS_AFTER: TOTALS_RECORD, END: END_RECORD, LATENCY: LATENCY_RECORD,
    QUALITY: QUALITY_RECORD, DROP: DROP_RECORD, ALERT: ALERT_RECORD,
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


class Quality(collections.namedtuple("Quality", QUALITY_FIELDS)):
    """How well a connection, an fd or the host fares."""

    def contradictions(self, at_rest, unplaced, of_socket=False):
        """What the numbers say against one another; at rest no sample comes in between.

        `of_socket`: the average is a TCP socket's own, which has samples that MUTEX did not see.
        """
        found = []
        if not self.latency_p50_ns <= self.latency_p95_ns <= self.latency_p99_ns:
            found.append("percentiles are not in order")
        if not at_rest:
            return found
        low, high = self.latency_min_ns, self.latency_max_ns
        if not self.latency_samples:
            if any(self[:len(LATENCY_FIELDS)]):
                found.append("there is latency without a sample")
        elif not low <= self.latency_last_ns <= high:
            found.append("the last sample is not between the smallest and the largest")
        elif not of_socket and not low - 8 <= self.latency_average_ns <= high + 8:
            found.append("the average is not between the smallest and the largest")
        elif not self.latency_p99_ns and unplaced:
            pass  # None of its samples was placed.
        # Half a step is a sixteenth. The ends of the histogram hold what is beyond them, too.
        elif self.latency_p50_ns * 16 < min(low, 1000 << OCTAVES) * 15 - 16:
            found.append("half of the samples are smaller than the smallest")
        elif self.latency_p99_ns * 16 > max(high, 1000) * 17 + 16:
            found.append("one of 100 samples is larger than the largest")
        if self.rate_in > self.peak_in or self.rate_out > self.peak_out:
            found.append("a rate is beyond its peak")
        return [f"{what}: {tuple(self)}" for what in found]


class Drop(collections.namedtuple("Drop", ["reason", "name", "packets", "discards"])):
    """One record of a reason why the kernel dropped packets."""

    @property
    def losses(self):
        """The packets that a receiver misses."""
        return self.packets - self.discards

    @property
    def keys(self):
        """Its keys in stats with their values; without one for what is 0."""
        word = "".join(c if c.isalnum() else "_" for c in self.name.lower()) or f"reason_{self.reason}"
        values = {"drop": self.packets, "loss": self.losses, "discard": self.discards}
        return {f"{kind}_{word}": value for kind, value in values.items() if value}


class Alert:
    """One record of an alert."""

    def __init__(self, fields):
        (self.number, self.time, self.subject, self.threshold, self.value, local, remote,
         self.local_port, self.remote_port, self.netns, self.pid, kind, severity, scope, self.family,
         self.protocol, reserved, command) = fields
        if any(reserved):
            raise Bad("padding of an alert is not zero")
        if kind >= len(ALERT_KINDS) or severity >= len(SEVERITIES) or scope >= len(SCOPES):
            raise Bad(f"an alert of kind {kind}, severity {severity}, scope {scope}")
        self.kind = ALERT_KINDS[kind]
        self.severity = SEVERITIES[severity]
        self.scope = SCOPES[scope]
        self.command = command.split(b"\0")[0].decode("ascii", "backslashreplace")
        self.local = self.remote = None
        if self.scope == "connection":
            self.local = address(self.family, local)
            self.remote = address(self.family, remote)
        elif any(local + remote) or self.local_port or self.remote_port:
            raise Bad(f"an alert about {self.scope} has addresses")
        if self.scope == "global" and (self.subject or self.family or self.netns and self.kind != "table_fill"):
            raise Bad(f"an alert about the host names {self.subject}, family {self.family}, netns {self.netns}")
        if self.scope != "global" and (not self.subject or self.kind == "table_fill"):
            raise Bad(f"an alert about {self.scope} {self.subject} of kind {self.kind}")

    def __repr__(self):
        return (f"alert {self.number} {self.severity} {self.kind} {self.scope} {self.subject} "
                f"threshold {self.threshold} value {self.value}")


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
        self.received = Traffic(*counters[4:8])
        self.quality = Quality(*counters[8:28])
        drops = list(zip(counters[28:34:2], counters[29:34:2]))
        self.discards = counters[34]
        self.losses = self.quality.drops - self.discards
        if any(packets and not reason for reason, packets in drops):
            raise Bad("a connection has drops for no reason")
        self.drop_reasons = [drop for drop in drops if drop[0]]
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
        self.received = Traffic(*counters[4:8])
        self.quality = Quality(*counters[8:28])
        self.discards = counters[28]
        self.losses = self.quality.drops - self.discards

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
        self.latency = {}
        self.drops = []
        self.alerts = []
        self.status = self.before = self.after = self.closed = self.quality = None
        end = None
        at = header_size
        last = None
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
            if kind not in RECORDS or reserved or record_size != RECORDS[kind].size:
                raise Bad(f"block of kind {kind} with records of {record_size} bytes")
            if last and (ORDER.index(kind) < ORDER.index(last) or kind == last and kind not in LISTS):
                raise Bad(f"block of kind {kind} after one of kind {last}")
            last = kind
            for fields in RECORDS[kind].iter_unpack(raw[body:stop]):
                if kind == STATUS:
                    self.status = dict(zip(STATUS_FIELDS, fields))
                elif kind == TOTALS_BEFORE:
                    self.before = _totals(fields)
                elif kind == CONNECTION:
                    self.connections.append(Connection(fields))
                elif kind == FD:
                    self.fds.append(Fd(fields))
                elif kind == LATENCY:
                    self._octave(*fields)
                elif kind == QUALITY:
                    self.quality = Quality(*fields[:20])
                    self.discards = fields[20]
                    self.losses = self.quality.drops - self.discards
                elif kind == DROP:
                    self._drop(*fields)
                elif kind == ALERT:
                    self.alerts.append(Alert(fields))
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
        if None in (self.status, self.before, self.quality, self.closed, self.after):
            raise Bad("a block is missing")
        self.filtered = bool(self.flags & FILTERED)

    def _octave(self, subject, scope, octave, *samples):
        if scope >= len(SCOPES) or octave >= OCTAVES or (SCOPES[scope] == "global") != (subject == 0):
            raise Bad(f"octave {octave} of scope {scope}, {subject}")
        octaves = self.latency.setdefault((SCOPES[scope], subject), {})
        if octave in octaves:
            raise Bad(f"octave {octave} of {SCOPES[scope]} {subject} comes twice")
        octaves[octave] = samples

    def _drop(self, reason, reserved, packets, name, discards):
        name, _, rest = name.partition(b"\0")
        if reserved or any(rest) or len(name) == 32 or not packets or discards > packets:
            raise Bad(f"drop reason {reason} {name} of {packets} packets")
        if any(reason == other.reason for other in self.drops):
            raise Bad(f"drop reason {reason} comes twice")
        self.drops.append(Drop(reason, name.decode("ascii"), packets, discards))

    @property
    def qualities(self):
        """Every quality of the image: a name for it, the quality, whether its latency is a TCP socket's."""
        yield "the host", self.quality, False
        for connection in self.connections:
            of_socket = connection.protocol == TCP and not connection.forwarded
            yield f"connection {connection.id}", connection.quality, of_socket
        for fd in self.fds:
            yield f"fd {fd.id}", fd.quality, fd.protocol == TCP

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
        unplaced = self.status["latency_unplaced"]
        for name, quality, of_socket in self.qualities:
            found += (f"{name}: {what}" for what in quality.contradictions(at_rest, unplaced, of_socket))
            if any(value >= 1 << 62 for value in quality):
                found.append(f"the quality of {name} has wrapped: {tuple(quality)}")
        for connection in self.connections:
            reasons = [reason for reason, _ in connection.drop_reasons]
            if len(set(reasons)) != len(reasons):
                found.append(f"connection {connection.id} has a drop reason twice: {reasons}")
        for one, two in zip(self.alerts, self.alerts[1:]):
            # Under load some may be overwritten while they are copied.
            if two.number <= one.number or at_rest and not self.filtered and two.number != one.number + 1:
                found.append(f"alert {two.number} comes after {one.number}")
        return found

    def contradictions_of_quality(self):
        """What must agree of latency, drops and alerts while nothing happens."""
        found = []
        status = self.status
        unplaced = status["latency_unplaced"]
        known = {name: quality for name, quality, _ in self.qualities}
        subjects = {("global", 0): self.quality}
        subjects.update((("connection", c.id), c.quality) for c in self.connections)
        subjects.update((("fd", fd.id), fd.quality) for fd in self.fds)
        placed = {subject: sum(map(sum, octaves.values())) for subject, octaves in self.latency.items()}
        for subject, samples in placed.items():
            if subject not in subjects:
                found.append(f"there is a histogram of {subject}, which is not there")
            elif samples > subjects[subject].latency_samples:
                found.append(f"{subject} has {subjects[subject].latency_samples} samples, {samples} in its histogram")
        missing = {c.id: c.quality.latency_samples - placed.get(("connection", c.id), 0)
                   for c in self.connections}
        if sum(missing.values()) > unplaced:
            lacking = [number for number, samples in missing.items() if samples]
            found.append(f"{sum(missing.values())} samples are in no histogram of a connection, "
                         f"{unplaced} were not placed: connections {lacking[:4]}")

        sums = {}
        for c in self.connections:
            for name in ("the host", f"fd {c.fd}"):
                sums.setdefault(name, dict.fromkeys(ADDITIVE, 0))
                for field in ADDITIVE:
                    sums[name][field] += getattr(c.quality, field)
            if sum(packets for _, packets in c.drop_reasons) > c.quality.drops:
                found.append(f"connection {c.id} has {c.quality.drops} drops, for reasons {c.drop_reasons}")
        for name, fields in sums.items():
            for field, value in fields.items():
                if name in known and getattr(known[name], field) < value:
                    found.append(f"{field} of {name} is {getattr(known[name], field)}, its connections' {value}")
        for name, mine, theirs in (("drops", self.quality.drops, sum(drop.packets for drop in self.drops)),
                                   ("discards", self.discards, sum(drop.discards for drop in self.drops))):
            if mine != theirs:
                found.append(f"the host has {mine} {name}, for reasons {self.drops}")
        for one in (self, *self.connections, *self.fds):
            if one.losses < 0:
                found.append(f"{one} has {one.quality.drops} drops, {one.discards} discards")
        booked = sum(c.discards for c in self.connections)
        if not self.filtered and booked > self.discards:
            found.append(f"connections have {booked} discards, the host {self.discards}")

        if status["under_pressure"] > 1 or status["events_lost"] > status["events_produced"]:
            found.append(f"the status cannot be: {status}")
        if len(self.alerts) + status["alerts_overwritten"] > status["alerts_raised"]:
            found.append(f"{status['alerts_raised']} alerts were raised, {status['alerts_overwritten']} "
                         f"overwritten, {len(self.alerts)} are there")
        if self.alerts and not self.filtered and self.alerts[-1].number != status["alerts_raised"]:
            found.append(f"{status['alerts_raised']} alerts were raised, the last is {self.alerts[-1]}")
        return found

    def contradictions_at_rest(self):
        """What must agree besides while nothing happens."""
        found = self.contradictions(at_rest=True)
        if self.moved:
            found.append("packets passed")
        found += self.contradictions_of_quality()
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
