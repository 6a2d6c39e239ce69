# SPDX-License-Identifier: MIT OR Apache-2.0
"""What connection tracking in a router knows: the ends as each side sees them, and its own counts."""

import collections
import ipaddress

# `asked` and `answered`: (source, port, destination, port) of the first packet and of what it expects
# in return, as both are on the wire; `there` and `back`: (packets, bytes) of each.
Entry = collections.namedtuple("Entry", "protocol asked answered there back")
PROTOCOLS = {"tcp": 6, "udp": 17, "icmp": 1, "icmpv6": 58}
# So that nothing is forgotten while a scenario lasts.
PATIENCE = ("tcp_timeout_close", "tcp_timeout_time_wait", "udp_timeout", "udp_timeout_stream", "icmp_timeout",
            "icmpv6_timeout")


def remember(namespace):
    """Has connections counted from now on, and kept; there must be a rule that needs them tracked."""
    namespace.sysctl("netfilter/nf_conntrack_acct", 1)
    for name in PATIENCE:
        namespace.sysctl(f"netfilter/nf_conntrack_{name}", 3600)
    namespace.sh("conntrack", "-F")


def entries(namespace):
    """All that is tracked there, of the protocols above."""
    found = []
    for family in ("ipv4", "ipv6"):
        for line in namespace.sh("conntrack", "-L", "-f", family).splitlines():
            words = line.split()
            if words[0] in PROTOCOLS:
                found.append(_entry(PROTOCOLS[words[0]], [w.split("=") for w in words if "=" in w]))
    return found


def _entry(protocol, words):
    halves = []
    for name, value in words:
        if name == "src":
            halves.append({})
        halves[-1].setdefault(name, value)
    ends, counts = [], []
    for half in halves:
        plain = [str(ipaddress.ip_address(half[name])) for name in ("src", "dst")]
        if "id" in half:
            # As MUTEX has it: the identifier is the port of who asks.
            identifier = int(half["id"])
            sport, dport = (identifier, 0) if half["type"] in ("8", "128") else (0, identifier)
        else:
            sport, dport = int(half["sport"]), int(half["dport"])
        ends.append((plain[0], sport, plain[1], dport))
        counts.append((int(half["packets"]), int(half["bytes"])))
    return Entry(protocol, *ends, *counts)
