# SPDX-License-Identifier: MIT OR Apache-2.0
"""A second opinion on /proc/mutex/events: decodes the stream by include/mutex.h alone.

Shares no code with the module or with mutexctl, on purpose.
"""

import os
import select
import struct
import time

from lib import module
from lib.image import ALERT_RECORD, Alert, Bad, CONNECTION_RECORD, Connection, DIRECTIONS, address

PATH = f"{module.PROC}/events"
HEADER = struct.Struct("<8sIIQ16s")
EVENT = struct.Struct("<IIQQQ")
PACKET_RECORD = struct.Struct("<Q16s16sHHIIIQQBBB5s")
START, END, ALERT, PACKET = range(1, 5)
KINDS = {START: "start", END: "end", ALERT: "alert", PACKET: "packet"}
RECORDS = {START: CONNECTION_RECORD, END: CONNECTION_RECORD, ALERT: ALERT_RECORD, PACKET: PACKET_RECORD}
# Bytes that hold any event.
LARGEST = EVENT.size + CONNECTION_RECORD.size


class Packet:
    """One record of a packet."""

    def __init__(self, fields):
        (self.connection, local, remote, self.local_port, self.remote_port, self.netns, self.interface,
         self.packets, self.bytes, self.payload, self.family, self.protocol, direction, reserved) = fields
        if any(reserved) or not self.packets or direction >= len(DIRECTIONS):
            raise Bad(f"a packet event cannot be: {fields}")
        self.local = address(self.family, local)
        self.remote = address(self.family, remote)
        self.direction = DIRECTIONS[direction]

    @property
    def key(self):
        return (self.protocol, self.local, self.local_port, self.remote, self.remote_port)


class Event:
    """One event with its record."""

    def __init__(self, kind, sequence, lost, time_ns, record):
        self.kind, self.sequence, self.lost, self.time = KINDS[kind], sequence, lost, time_ns
        self.record = record


class Monitor:
    """An open /proc/mutex/events that checks the stream's form, numbers and losses as it reads."""

    def __init__(self, filter=None, blocking=False):
        self.fd = os.open(PATH, os.O_RDWR | os.O_CLOEXEC | (0 if blocking else os.O_NONBLOCK))
        self.events, self.header = [], None
        self.sequence = self.lost = 0
        if filter is not None:
            self.write(filter)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def close(self):
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None

    def write(self, filter):
        return os.write(self.fd, filter.encode())

    def read(self, size=1 << 16):
        """One read: the events that it gave, None if there are none."""
        try:
            return self.take(os.read(self.fd, size))
        except BlockingIOError:
            return None

    def take(self, raw):
        """The events that a read gave."""
        at = 0
        if self.header is None and raw:
            magic, version, length, self.loaded, boot_id = HEADER.unpack_from(raw)
            if magic != b"MUTEXEVT" or version != 1 or length != HEADER.size:
                raise Bad(f"events begin with {magic}, version {version}, size {length}")
            self.header, at = boot_id.hex(), length
        found = []
        while at < len(raw):
            size, kind, sequence, lost, time_ns = EVENT.unpack_from(raw, at)
            layout = RECORDS[kind]
            if size != EVENT.size + layout.size or at + size > len(raw):
                raise Bad(f"an event of kind {kind} has {size} bytes, {len(raw) - at} are there")
            # The gap in the numbers is what was lost since the event before.
            if sequence - self.sequence - 1 != lost - self.lost:
                raise Bad(f"number {sequence} with {lost} lost after number {self.sequence} with {self.lost}")
            self.sequence, self.lost = sequence, lost
            fields = layout.unpack_from(raw, at + EVENT.size)
            make = {ALERT: Alert, PACKET: Packet}.get(kind, Connection)
            found.append(Event(kind, sequence, lost, time_ns, make(fields)))
            at += size
        self.events += found
        return found

    def drain(self, reads=None):
        """All that there is now, or what so many reads give, because who sends can be faster; what was
        read so far."""
        while reads != 0 and self.read() is not None:
            reads = reads and reads - 1
        return self.events

    def follow(self, enough, patience=20):
        """Reads on until `enough(events)`; whether it came to."""
        deadline = time.monotonic() + patience
        while not enough(self.drain(reads=100)):
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            select.select([self.fd], [], [], min(left, 0.5))
        return True

    def of(self, kind):
        """The records of that kind, of what was read so far."""
        return [event.record for event in self.events if event.kind == kind]


def monitors():
    """/proc/mutex/monitors as a list of dictionaries; the filter, the last column, has spaces."""
    lines = module.read("monitors").decode().splitlines()
    if lines[0] != "format 1":
        raise Bad(f"monitors begins with {lines[0]}")
    columns = lines[1].split(" ")
    rows = [dict(zip(columns, line.split(" ", len(columns) - 1))) for line in lines[2:]]
    return [{key: int(value) if value.isdigit() else value for key, value in row.items()} for row in rows]


def alerts(fd):
    """The rest of an open /proc/mutex/alerts, as text."""
    chunks = []
    while chunk := os.read(fd, 1 << 16):
        chunks.append(chunk)
    return b"".join(chunks).decode()


def rows(text, columns):
    """Lines of /proc/mutex/alerts; the message, the last column, has spaces."""
    return [dict(zip(columns, line.split(" ", len(columns) - 1))) for line in text.splitlines()]
