# SPDX-License-Identifier: MIT OR Apache-2.0
"""Network namespaces, links, and nft counters where MUTEX counts."""

import contextlib
import ipaddress
import json
import os
import subprocess
import time

from lib.image import DIRECTIONS
from lib.pace import LONGER, sized


def sh(*words, **more):
    """Runs a command that has to succeed, and gives its output."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, **more)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, words))}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


class Namespace:
    """A network namespace; name None is the first one."""

    def __init__(self, name=None, loopback=True):
        self.name = name
        if name:
            sh("ip", "netns", "add", name)
        path = f"/run/netns/{name}" if name else "/proc/self/ns/net"
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.inode = os.fstat(self._file).st_ino
        if name and loopback:
            self.sh("ip", "link", "set", "lo", "up")

    def _enter(self):
        os.setns(self._file, os.CLONE_NEWNET)

    @contextlib.contextmanager
    def inside(self):
        """This thread is in the namespace; sockets made there stay there."""
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._enter()
        try:
            yield self
        finally:
            os.setns(before, os.CLONE_NEWNET)
            os.close(before)

    def sh(self, *words, **more):
        return sh(*words, preexec_fn=self._enter, **more)

    def run(self, *words, **more):
        """Runs a command that may fail."""
        return subprocess.run([str(word) for word in words], capture_output=True, text=True,
                              preexec_fn=self._enter, **more)

    def start(self, *words, **more):
        """Starts a command."""
        more = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL,
                "stderr": subprocess.DEVNULL, **more}
        return subprocess.Popen([str(word) for word in words], preexec_fn=self._enter, **more)

    def sysctl(self, name, value):
        with self.inside(), open(f"/proc/sys/net/{name}", "w") as file:
            file.write(str(value))

    def delete(self):
        os.close(self._file)
        sh("ip", "netns", "delete", self.name)


def veth(left, left_name, right, right_name, mtu=None):
    """A pair of interfaces, one in each namespace, still down."""
    sh("ip", "link", "add", left_name, "netns", left.name, "type", "veth",
       "peer", "name", right_name, "netns", right.name)
    for namespace, name in ((left, left_name), (right, right_name)):
        if mtu:
            namespace.sh("ip", "link", "set", name, "mtu", mtu)


def address(namespace, link, *addresses):
    """Gives an interface addresses, without waiting for duplicates."""
    for one in addresses:
        nodad = ["nodad"] if ":" in one else []
        namespace.sh("ip", "address", "add", one, "dev", link, *nodad)


def up(namespace, *links):
    for link in links:
        namespace.sh("ip", "link", "set", link, "up")


def offloads(namespace, link, **features):
    """For example tso="off"."""
    words = [word for pair in features.items() for word in pair]
    namespace.sh("ethtool", "-K", link, *words)


def settle(*namespaces, patience=10):
    """Waits until no IPv6 address is tentative."""
    deadline = time.monotonic() + patience * LONGER
    for namespace in namespaces:
        while "tentative" in namespace.sh("ip", "-6", "address", "show", "tentative"):
            if time.monotonic() > deadline:
                raise RuntimeError("an address stays tentative")
            time.sleep(0.2)


HOOKS = {"sent": ("output", -500), "received": ("input", 10000), "forwarded": ("forward", 10000)}
# Sets whose elements count, a flow each: what goes in, and its key.
FLOWS = {
    # Fragments after the first have no ports; before Linux 7 nft takes their payload for some.
    "ports4": ("meta l4proto { tcp, udp, sctp, dccp, udplite } ip frag-off & 0x1fff == 0",
               "meta l4proto . ip saddr . th sport . ip daddr . th dport"),
    "ports6": ("meta l4proto { tcp, udp, sctp, dccp, udplite } FRAGMENT",
               "meta l4proto . ip6 saddr . th sport . ip6 daddr . th dport"),
    "echo4": ("icmp type { echo-request, echo-reply }", "icmp type . ip saddr . ip daddr . icmp id"),
    "echo6": ("icmpv6 type { echo-request, echo-reply }",
              "icmpv6 type . ip6 saddr . ip6 daddr . icmpv6 id"),
}

# As many flows as a set takes. nft walks every set's buckets once a second, which is all that a kernel that looks
# for bugs does if there are many.
FLOWS_MOST = sized(65535, 8191)


def count(namespace, kinds=FLOWS):
    """Counts in nft what MUTEX counts there: at each hook in total, and for each flow of those kinds.

    nft counts socket buffers and their bytes: MUTEX's `buffers`, and `bytes` where nothing is
    segmented.
    """
    lines = ["table inet mutex_books {"]
    for hook in HOOKS:
        lines.append(f"counter {hook} {{ packets 0 bytes 0 }}")
        for flow in kinds:
            lines.append(f"set {hook}_{flow} {{ typeof {FLOWS[flow][1]}; flags dynamic; size {FLOWS_MOST}; }}")
    for hook, (chain, priority) in HOOKS.items():
        lines.append(f"chain {chain} {{ type filter hook {chain} priority {priority}; policy accept;")
        lines.append(f"counter name {hook}")
        for flow in kinds:
            match, key = FLOWS[flow]
            family = "ipv4" if flow.endswith("4") else "ipv6"
            for first in ("exthdr frag missing", "frag frag-off 0") if "FRAGMENT" in match else ("",):
                words = match.replace("FRAGMENT", first)
                lines.append(f"meta nfproto {family} {words} add @{hook}_{flow} {{ {key} counter }}")
        lines.append("}")
    lines.append("}")
    namespace.sh("nft", "-f", "-", input="\n".join(lines))


PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17, "dccp": 33, "ipv6-icmp": 58, "icmpv6": 58,
             "sctp": 132, "udplite": 136}


class Counted:
    """What nft has counted in a namespace.

    `total[hook]` is (buffers, bytes); `flows[hook][key]` too, where key is
    (protocol, source, source port, destination, destination port), with an ICMP echo's identifier
    as the port of the side that asked.
    """

    def __init__(self, namespace):
        listing = json.loads(namespace.sh("nft", "-j", "-nn", "list", "table", "inet", "mutex_books"))
        self.total = {}
        self.flows = {hook: {} for hook in HOOKS}
        for item in listing["nftables"]:
            if "counter" in item:
                counter = item["counter"]
                self.total[counter["name"]] = (counter["packets"], counter["bytes"])
            elif "set" in item:
                hook, flow = item["set"]["name"].split("_")
                for element in item["set"].get("elem", []):
                    element = element["elem"]
                    counter = element["counter"]
                    key = self._key(flow, element["val"]["concat"])
                    self.flows[hook][key] = (counter["packets"], counter["bytes"])

    @staticmethod
    def _key(flow, words):
        plain = lambda text: str(ipaddress.ip_address(text))
        if flow.startswith("ports"):
            protocol, source, sport, destination, dport = words
            protocol = PROTOCOLS.get(protocol) or int(protocol)
            return protocol, plain(source), int(sport), plain(destination), int(dport)
        kind, source, destination, identifier = words
        asks = kind in ("echo-request", 8, 128, "8", "128")
        return (1 if flow == "echo4" else 58, plain(source), int(identifier) if asks else 0,
                plain(destination), 0 if asks else int(identifier))


def rest(namespaces, image_at_rest, patience=20):
    """An image at rest and what nft counted, of the same moment."""
    deadline = time.monotonic() + patience * LONGER
    while True:
        before = [Counted(namespace) for namespace in namespaces]
        image = image_at_rest()
        after = [Counted(namespace) for namespace in namespaces]
        if all(a.total == b.total for a, b in zip(before, after)) or time.monotonic() > deadline:
            return image, dict(zip(namespaces, after))


def compare(check, what, image, counted, exact=()):
    """MUTEX against nft: the totals of all the namespaces together, and each flow.

    `exact`: names of the directions in which nothing is segmented, so that packets are buffers and
    bytes are the buffers' bytes in total too. In other flows only buffers compare with nft.
    """
    def hook_sum(hook):
        return tuple(map(sum, zip(*(c.total[hook] for c in counted.values()))))

    pairs = []
    for hook in ("sent", "received"):
        buffers, size = hook_sum(hook)
        mine = image.after[hook]
        pairs.append((f"{hook} buffers", mine.buffers, buffers))
        if hook in exact:
            pairs += [(f"{hook} packets", mine.packets, buffers), (f"{hook} bytes", mine.bytes, size)]
    buffers, size = hook_sum("forwarded")
    mine = image.after["forwarded_sent"] + image.after["forwarded_received"]
    pairs.append(("forwarded buffers", mine.buffers, buffers))
    if "forwarded" in exact:
        pairs += [("forwarded packets", mine.packets, buffers), ("forwarded bytes", mine.bytes, size)]
    check.all_equal(f"{what}: totals equal nft's", pairs)

    pairs = []
    flows = 0
    for namespace, numbers in counted.items():
        found = {}
        for c in image.connections:
            if c.netns != namespace.inode:
                continue
            ends = (c.local, c.local_port), (c.remote, c.remote_port)
            for (near, far), hook, traffic in (
                (ends, "forwarded" if c.forwarded else "sent", c.sent),
                (ends[::-1], "forwarded" if c.forwarded else "received", c.received),
            ):
                if traffic.packets:
                    key = (hook, c.protocol, *near, *far)
                    found[key] = found[key] + traffic if key in found else traffic
        for hook in HOOKS:
            theirs = numbers.flows[hook]
            flows += len(theirs)
            for key, (buffers, size) in theirs.items():
                mine = found.pop((hook, *key), None)
                name = f"{namespace.name} {hook} {key}"
                if mine is None:
                    pairs.append((name, None, (buffers, size)))
                    continue
                pairs.append((f"{name} buffers", mine.buffers, buffers))
                if hook in exact or mine.packets == mine.buffers:
                    pairs.append((f"{name} packets and bytes", (mine.packets, mine.bytes), (buffers, size)))
        # What nft has no flow for must not be one that it would have.
        for (hook, protocol, *ends), traffic in found.items():
            if protocol in (6, 17, 132):
                pairs.append((f"{namespace.name} {hook} {protocol} {ends}", tuple(traffic), None))
    check.all_equal(f"{what}: {flows} flows equal nft's", pairs)


assert list(HOOKS)[:2] == DIRECTIONS[:2]
