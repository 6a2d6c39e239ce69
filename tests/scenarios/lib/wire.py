# SPDX-License-Identifier: MIT OR Apache-2.0
"""Hosts in a row whose wires delay, lose and count packets, and what the kernel counts there."""

import json
import socket
import struct

from lib import check, module, net

STEPS, OCTAVES = 8, 26


class Row:
    """Hosts in a row, each a namespace that routes: its left neighbour is at `left`, its right at `right`.

    Host i has 10.0.i.2 on its left and 10.0.(i+1).1 on its right. Nothing but what a scenario sends
    is on the wires: no IPv6, no ARP. A buffer is a packet, so that everybody counts the same.
    """

    def __init__(self, *names):
        self.hosts = [net.Namespace(name) for name in names]
        for host in self.hosts:
            host.sysctl("ipv6/conf/all/disable_ipv6", 1)
            host.sysctl("ipv4/ip_forward", 1)
        macs = {}
        for i, (left, right) in enumerate(zip(self.hosts, self.hosts[1:]), 1):
            net.veth(left, "right", right, "left")
            for host, link, end in ((left, "right", 1), (right, "left", 2)):
                net.address(host, link, f"10.0.{i}.{end}/24")
                net.offloads(host, link, tso="off", gso="off", gro="off")
                host.sh("ip", "link", "set", link, "gso_max_segs", 1)
                macs[host, link] = json.loads(host.sh("ip", "-j", "link", "show", link))[0]["address"]
        for i, (left, right) in enumerate(zip(self.hosts, self.hosts[1:]), 1):
            net.up(left, "right")
            net.up(right, "left")
            for host, link, end, far in ((left, "right", 2, (right, "left")), (right, "left", 1, (left, "right"))):
                host.sh("ip", "neighbour", "replace", f"10.0.{i}.{end}", "lladdr", macs[far],
                        "dev", link, "nud", "permanent")
        last = len(self.hosts) - 1
        if last > 1:
            self.hosts[0].sh("ip", "route", "add", "10.0.0.0/16", "via", "10.0.1.2")
            self.hosts[last].sh("ip", "route", "add", "10.0.0.0/16", "via", f"10.0.{last}.1")

    @property
    def wires(self):
        """Every end of a wire: host and link."""
        for left, right in zip(self.hosts, self.hosts[1:]):
            yield left, "right"
            yield right, "left"

    def delete(self):
        for host in self.hosts:
            host.delete()


def netem(host, link, *words):
    """What `host` sends on `link` is treated so from now on."""
    host.sh("tc", "qdisc", "replace", "dev", link, "root", "netem", *words)


def qdisc_drops(host, link):
    """Packets that the queue of a link says it dropped."""
    return json.loads(host.sh("tc", "-s", "-j", "qdisc", "show", "dev", link, "root"))[0]["drops"]


def counters(host):
    """The kernel's counters of a namespace: /proc/net/snmp and netstat, as nstat names them."""
    values = {}
    with host.inside():
        for name in ("snmp", "netstat"):
            lines = open(f"/proc/thread-self/net/{name}").read().splitlines()
            for names, numbers in zip(lines[::2], lines[1::2]):
                prefix, *names = names.split()
                values.update((prefix[:-1] + one, int(number))
                              for one, number in zip(names, numbers.split()[1:]))
    return values


def find(image, host, key):
    """The connection of that key that was opened last, None if none is there."""
    found = [c for c in image.connections if c.netns == host.inode and c.key == key]
    return max(found, key=lambda c: c.id, default=None)


def steps(image, scope, subject):
    """A histogram as a list of its steps."""
    octaves = image.latency.get((scope, subject), {})
    return [count for octave in range(OCTAVES) for count in octaves.get(octave, [0] * STEPS)]


def percentile(histogram, percent, low, high):
    """By nearest rank: what include/mutex.h says of a step, between the smallest and the largest."""
    rank = max(1, -(-sum(histogram) * percent // 100))
    seen = 0
    for at, count in enumerate(histogram):
        seen += count
        if seen >= rank:
            # The harmonic mean of the step's ends, 2ab / (a + b).
            first = (1000 << at // STEPS) * (STEPS + at % STEPS) / STEPS
            last = (1000 << at // STEPS) * (STEPS + at % STEPS + 1) / STEPS
            return min(max(int(2 * first * last / (first + last)), low), high)
    return 0


def check_histograms(image):
    """Histograms hold all samples, give the percentiles, and add up to those of fds and the host."""
    fds = {}
    for c in image.connections:
        fds.setdefault(c.fd, []).append(c)
    subjects = [("connection", c.id, c.quality) for c in image.connections]
    subjects.append(("global", 0, image.quality))
    pairs = []
    for fd in image.fds:
        if ("fd", fd.id) in image.latency:
            subjects.append(("fd", fd.id, fd.quality))
            parts = [steps(image, "connection", c.id) for c in fds[fd.id]]
            pairs.append((f"fd {fd.id} of {len(parts)} connections", steps(image, "fd", fd.id),
                          [sum(counts) for counts in zip(*parts)]))
        else:
            # Of its only connection.
            pairs.append((f"fd {fd.id}", fd.quality[:8], fds[fd.id][0].quality[:8]))
    parts = [steps(image, "connection", c.id) for c in image.connections]
    pairs.append(("the host", steps(image, "global", 0), [sum(counts) for counts in zip(*parts)]))
    check.all_equal("histograms of fds and of the host are the sums of their connections'", pairs)
    pairs = []
    for scope, subject, quality in subjects:
        histogram = steps(image, scope, subject)
        pairs.append((f"{scope} {subject} samples", sum(histogram), quality.latency_samples))
        for percent in (50, 95, 99):
            expected = percentile(histogram, percent, quality.latency_min_ns, quality.latency_max_ns)
            pairs.append((f"{scope} {subject} p{percent}", getattr(quality, f"latency_p{percent}_ns"), expected))
    check.all_equal("histograms hold all samples, and give the percentiles", pairs)


def ip_checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def packet(source, destination, protocol, body):
    """An IPv4 packet, for a raw socket."""
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 1, 0, 64, protocol, 0,
                       socket.inet_aton(source), socket.inet_aton(destination))
    return head[:10] + struct.pack("!H", ip_checksum(head)) + head[12:] + body


def load(row, **parameters):
    """Loads the module so that everything stays visible."""
    module.load(**{"timeout_closed": 3600, "timeout_one_way": 3600, "timeout_two_way": 3600,
                   "timeout_icmp": 3600, "timeout_fd": 3600, **parameters})
