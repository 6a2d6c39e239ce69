# SPDX-License-Identifier: MIT OR Apache-2.0
"""What ss says of TCP sockets, open ones and those that have just gone."""

import ipaddress
import os
import pty
import re
import threading
import time

NUMBER = re.compile(r"^\d+$")


class Socket:
    """A line of ss -tinO: `key` as in lib.image, `state`, and its key:value words as attributes.

    What ss leaves out is 0: it leaves out what is zero.
    """

    def __init__(self, line):
        words = line.split()
        self.line = line
        self.state = words[0]
        near, far = words[3:5]
        self.key = (6, *end(near), *end(far))
        self.scope = near.partition("%")[2].partition(":")[0]
        self.users = re.findall(r'\("([^"]*)",pid=(\d+),fd=(\d+)\)', line)
        self.values = dict(word.split(":", 1) for word in words[5:] if ":" in word)

    def __getattr__(self, name):
        value = self.values.get(name, "0")
        return int(value) if NUMBER.match(value) else value


def sent(unique, sockets, mine=None):
    """Payload that went out of sockets which sent `unique` bytes at least once.

    bytes_sent, if it is those bytes and retransmissions: bytes_retrans counts as well what could not
    be handed down, so it says at most how many those were. Where ss shows a socket twice as it goes, or
    only in part, its sum is neither; then it gives `mine` if that lies between.
    """
    went_out = sum(one.bytes_sent for one in sockets)
    most = unique + sum(one.bytes_retrans for one in sockets)
    if len(sockets) == 1 and unique <= went_out <= most:
        return went_out
    return mine if mine is not None and unique <= mine <= most else most


def arrived(one, peer):
    """Payload that arrived at a socket, if nothing was lost: bytes_received leaves out what came twice."""
    return sent(one.bytes_received, [peer])


def end(text):
    """Address and port of ss's `address%interface:port`."""
    host, _, port = text.rpartition(":")
    host = host.partition("%")[0].strip("[]")
    if host == "*":
        host = "::"
    plain = ipaddress.ip_address(host)
    if plain.version == 6 and plain.ipv4_mapped:
        plain = plain.ipv4_mapped
    return str(plain), 0 if port == "*" else int(port)


def sockets(namespace, *states, kind="t"):
    """The sockets that ss shows in one of those states, as ss names them; all if none is named."""
    # With a state asked for, ss would leave out the column.
    lines = namespace.sh("ss", f"-{kind}anieOHp").splitlines()
    return [one for one in map(Socket, lines) if not states or one.state in states]


def established(image, client, server, pairs):
    """Comparisons of open connections, of (socket of the client, socket of the server), with ss: all
    packets and payload. None for one that MUTEX does not list."""
    mine = {(c.netns, c.key): c for c in image.connections}
    shown = {host: {one.key: one for one in sockets(host, "ESTAB")} for host in (client, server)}
    compared = []
    for ends in pairs:
        keys = [(6, *one.getsockname()[:2], *one.getpeername()[:2]) for one in ends]
        for host, key, other, theirs in zip((client, server), keys, (server, client), keys[::-1]):
            one, peer, c = shown[host][key], shown[other][theirs], mine.get((host.inode, key))
            # Of the side that was connected to, ss does not count the SYN-ACK.
            compared.append((f"{host.name} {key}", c and (
                c.state, c.sent.payload, c.received.payload, c.sent.packets, c.received.packets), (
                "established", one.bytes_sent, arrived(one, peer), one.segs_out + (host is server), one.segs_in)))
    return compared


class Gone:
    """Watches TCP sockets go: what ss -E says of each, by key."""

    def __init__(self, namespace):
        ours, theirs = pty.openpty()  # On a pipe ss would keep lines back.
        self._process = namespace.start("ss", "-EtinOHe", stdout=theirs, stderr=theirs)
        os.close(theirs)
        self._output = b""
        self._reader = threading.Thread(target=self._read, args=(ours,), daemon=True)
        self._reader.start()

    def _read(self, ours):
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:
                break
            if not part:
                break
            self._output += part

    def end(self, quiet=0.5):
        """Stops watching, once nothing has come for a while."""
        seen = None
        while seen != len(self._output):
            seen = len(self._output)
            time.sleep(quiet)
        self._process.terminate()
        self._process.wait()
        self._reader.join()
        found = {}
        for line in self._output.decode().splitlines():
            if line.strip():
                socket = Socket(line)
                found.setdefault(socket.key, []).append(socket)
        return found
