# SPDX-License-Identifier: MIT OR Apache-2.0
"""What is dropped, refused or wrong: each cause against the counter that caused it.

Each cause comes alone, between two images; all of the host's drops in between are its own, and of
no other reason than the kernel's for it.
"""

import contextlib
import socket
import struct

from lib import check, module, traffic, wire

UDP = 17
FAULTS = ("resets", "icmp_errors", "checksum_errors", "failed_connects")


class Cause:
    """Everything's numbers before and after what is done in the with block."""

    def __init__(self, title, row):
        self.title, self.row = title, row

    def __enter__(self):
        check.part(self.title)
        self.image = module.image_at_rest()
        self.kernel = {host: wire.counters(host) for host in self.row.hosts}
        return self

    def __exit__(self, kind, *unused):
        if kind:
            return
        self.before, self.image = self.image, module.image_at_rest()
        self.after = {host: wire.counters(host) for host in self.row.hosts}

    def counted(self, host, name):
        """By how much the kernel's counter has grown."""
        return self.after[host][name] - self.kernel[host][name]

    def _of(self, host, key):
        now, was = wire.find(self.image, host, key), wire.find(self.before, host, key)
        return now, was if was and now and was.id == now.id else None

    def by_reason(self, kind):
        """What there was of `packets`, `losses` or `discards`."""
        was = {drop.name: getattr(drop, kind) for drop in self.before.drops}
        found = {drop.name: getattr(drop, kind) - was.get(drop.name, 0) for drop in self.image.drops}
        return {name: n for name, n in found.items() if n}

    def drops(self, losses, **discards):
        """The host's losses and discards in between, by reason: the numbers of others."""
        check.equal(f"{self.title}: losses by reason", self.by_reason("losses"),
                    {name: n for name, n in losses.items() if n})
        check.equal(f"{self.title}: discards by reason", self.by_reason("discards"), discards)

    def no_losses(self, *reasons):
        """There are discards for one of these reasons, and no losses."""
        check.equal(f"{self.title}: losses by reason", self.by_reason("losses"), {})
        discards = self.by_reason("discards")
        check.that(f"{self.title}: there are discards, for no other reason", discards and set(discards) <= set(reasons),
                   discards)
        return discards

    def dropped(self, host, key, losses, discards=0):
        """The drops of one connection."""
        now, was = self._of(host, key)
        check.equal(f"{self.title}: losses and discards of {host.name}'s connection",
                    now and (now.losses - (was.losses if was else 0), now.discards - (was.discards if was else 0)),
                    (losses, discards))

    def faults(self, host=None, key=None, **expected):
        """What went wrong, of a connection or of the whole host, and nothing else did."""
        if host:
            now, was = self._of(host, key)
            now, was = now.quality, was and was.quality
        else:
            now, was = self.image.quality, self.before.quality
        found = {name: getattr(now, name) - (getattr(was, name) if was else 0) for name in FAULTS}
        who = f"{host.name}'s connection" if host else "the host"
        check.equal(f"{self.title}: faults of {who}", found, {**dict.fromkeys(FAULTS, 0), **expected})


def knows_reason(name):
    """Whether this kernel has that reason, by what it says of its own tracepoint."""
    with open("/sys/kernel/tracing/events/skb/kfree_skb/format") as file:
        return f'"{name}"' in file.read()


@contextlib.contextmanager
def forbidden(host, hook, match):
    """nft drops and counts there; gives a function that says how many."""
    host.sh("nft", "-f", "-", input=f"""table ip forbidden {{
        chain one {{ type filter hook {hook} priority 0; {match} counter name lost drop; }};
        counter lost {{ }}
        }}""")
    yield lambda: int(host.sh("nft", "list", "counter", "ip", "forbidden", "lost").split("packets ")[1].split()[0])
    host.sh("nft", "delete", "table", "ip", "forbidden")


def udp(host, peer=None, address="0.0.0.0"):
    with host.inside():
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.bind((address, 0))
    if peer:
        one.connect(peer)
    return one


def send(one, number, size=100):
    """Sends so many, whatever the kernel says of it, and returns how many it refused."""
    refused = 0
    while number:
        try:
            one.send(bytes(size))
            number -= 1
        except PermissionError:
            number -= 1
            refused += 1
        except ConnectionRefusedError:
            pass  # Of one that was sent before; this one was not.
    return refused


def filters(row):
    a, r, b = row.hosts
    server = udp(b, address="10.0.2.2")
    client = udp(a, server.getsockname())
    key = traffic.ends(client)
    client.send(b"first")
    server.recv(100)
    for number, (host, hook) in enumerate(((b, "input"), (a, "output"), (r, "forward"), (b, "prerouting")), 5):
        with forbidden(host, hook, "meta l4proto udp") as lost, Cause(f"nft drops at {hook}", row) as cause:
            refused = send(client, number)
            check.equal("nft says so", lost(), number)
        check.equal("the sender is told of its own only", refused, number if hook == "output" else 0)
        cause.drops({"NETFILTER_DROP": number})
        for one, mine in ((a, key), (r, key), (b, traffic.mirrored(key))):
            cause.dropped(one, mine, number if one is host else 0)
        cause.faults()
    sent = wire.find(cause.image, a, key).sent.packets
    check.equal("what was sent, forbidden or not", sent, 1 + 5 + 6 + 7 + 8)
    through = wire.find(cause.image, r, key)
    check.equal("what was forwarded: neither what was not sent nor what was forbidden here",
                through.sent.packets, 1 + 5 + 8)
    check.equal("what was received", wire.find(cause.image, b, traffic.mirrored(key)).received.packets, 1)

    wire.netem(r, "right", "loss", "30%", "seed", 7)
    with Cause("a wire loses packets", row) as cause:
        send(client, 60)
    lost = wire.qdisc_drops(r, "right")
    r.sh("tc", "qdisc", "del", "dev", "right", "root")
    check.that("it did", 0 < lost < 60, lost)
    cause.drops({"QDISC_DROP": lost})
    cause.dropped(r, key, lost)
    cause.dropped(a, key, 0)
    check.equal("what is left arrives", wire.find(cause.image, b, traffic.mirrored(key)).received.packets, 61 - lost)
    client.close()
    server.close()


def sockets(row):
    a, r, b = row.hosts
    server = udp(b, address="10.0.2.2")
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    client = udp(a, server.getsockname())
    key = traffic.mirrored(traffic.ends(client))
    with Cause("a full UDP socket", row) as cause:
        send(client, 40, 1000)
    full = cause.counted(b, "UdpRcvbufErrors")
    check.that("it was", 0 < full < 40, full)
    cause.drops({"SOCKET_RCVBUFF": full})
    cause.dropped(b, key, 0 if module.lacks("drop_sockets") else full)
    cause.faults()
    with Cause("a UDP socket closes with datagrams unread", row) as cause:
        server.close()
    cause.drops({"NOT_SPECIFIED": 40 - full})

    with Cause("a closed UDP port", row) as cause:
        send(client, 4)
    check.equal("NoPorts", cause.counted(b, "UdpNoPorts"), 4)
    cause.drops({"NO_SOCKET": 4})
    cause.dropped(b, key, 4)
    check.equal("errors that arrived", cause.counted(a, "IcmpInDestUnreachs"), 4)
    # The router sees them pass.
    cause.faults(icmp_errors=8)
    cause.faults(a, traffic.ends(client), icmp_errors=4)
    cause.faults(r, traffic.ends(client), icmp_errors=4)
    cause.faults(b, key)
    client.close()

    with Cause("echoes to a raw socket", row) as cause:
        said = a.sh("ping", "-n", "-c", 3, "-l", 3, "-i", 60, "10.0.2.2")
    check.that("none is lost", "3 received" in said)
    # The answer itself is freed once the socket has its copy of it.
    cause.drops({}, NO_SOCKET=3)


def checksums(row):
    a, r, b = row.hosts
    with a.inside():
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    for title, protocol, body, reason, errors, ports in (
        ("UDP", UDP, struct.pack("!HHHH", 1000, 2000, 12, 0xdead) + b"test", "UDP_CSUM", "UdpInCsumErrors", (1000, 2000)),
        ("TCP", 6, struct.pack("!HHIIBBHHH", 1001, 2001, 1, 0, 0x50, 2, 1000, 0xdead, 0), "TCP_CSUM", "TcpInCsumErrors", (1001, 2001)),
    ):
        with Cause(f"a bad checksum of {title}", row) as cause:
            for _ in range(3):
                raw.sendto(wire.packet("10.0.1.1", "10.0.2.2", protocol, body), ("10.0.2.2", 0))
        key = (protocol, "10.0.2.2", ports[1], "10.0.1.1", ports[0])
        check.equal("the kernel says so", cause.counted(b, errors), 3)
        cause.drops({reason: 3})
        cause.dropped(b, key, 3)
        cause.faults(checksum_errors=3)
        cause.faults(b, key, checksum_errors=3)
    raw.close()

    server = udp(b, address="10.0.2.2")
    with a.inside():
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    port = server.getsockname()[1]
    key = (UDP, "10.0.2.2", port, "10.0.1.1", 1002)
    with Cause("a bad checksum that a UDP socket finds when it is read", row) as cause:
        raw.sendto(wire.packet("10.0.1.1", "10.0.2.2", UDP, struct.pack("!HHHH", 1002, port, 12, 0xdead) + b"test"),
                   ("10.0.2.2", 0))
        module.image_at_rest()
        server.setblocking(False)
        try:
            check.that("there is nothing to be read", False, server.recv(100))
        except BlockingIOError:
            pass
    check.equal("the kernel says so", cause.counted(b, "UdpInCsumErrors"), 1)
    cause.drops({"UDP_CSUM": 1})
    cause.faults(checksum_errors=1)
    server.close()
    raw.close()


def connects(row):
    a, r, b = row.hosts
    with a.inside():
        one = socket.socket()
        one.bind(("10.0.1.1", 0))
    with Cause("a refused connect", row) as cause:
        check.equal("it is refused", one.connect_ex(("10.0.2.2", 9)), 111)
        key = (6, *one.getsockname(), "10.0.2.2", 9)
    check.equal("the kernel's: failed attempts here, resets sent there",
                (cause.counted(a, "TcpAttemptFails"), cause.counted(b, "TcpOutRsts")), (1, 1))
    # The SYN found no listener. The router sees the reset, too.
    cause.faults(a, key, failed_connects=1, resets=1)
    cause.faults(r, key, resets=1)
    cause.faults(b, traffic.mirrored(key), resets=1)
    cause.faults(failed_connects=1, resets=3)
    cause.dropped(b, traffic.mirrored(key), 1)
    cause.drops({"NO_SOCKET": 1})
    one.close()

    with a.inside():
        one = socket.socket()
        one.bind(("10.0.1.1", 0))
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1500)
    with forbidden(b, "prerouting", "tcp dport 9") as lost, Cause("a connect that nobody answers", row) as cause:
        check.equal("it times out", one.connect_ex(("10.0.2.2", 9)), 110)
        key = (6, *one.getsockname(), "10.0.2.2", 9)
        number = lost()
    check.equal("failed attempts", cause.counted(a, "TcpAttemptFails"), 1)
    cause.drops({"NETFILTER_DROP": number})
    cause.faults(failed_connects=1)
    cause.faults(a, key, failed_connects=1)
    check.equal("SYNs sent: those that nft dropped", wire.find(cause.image, a, key).sent.packets, number)
    one.close()

    with a.inside():
        one = socket.socket()
        one.bind(("10.0.1.1", 0))
    one.setblocking(False)
    with forbidden(b, "prerouting", "tcp dport 9") as lost, Cause("a connect that is given up", row) as cause:
        one.connect_ex(("10.0.2.2", 9))
        key = (6, *one.getsockname(), "10.0.2.2", 9)
        one.close()
    check.equal("no attempt has failed", cause.counted(a, "TcpAttemptFails"), 0)
    cause.faults()
    check.equal("it is closed", wire.find(cause.image, a, key).state, "closed")

    near = traffic.tcp_connect(a, *(listener := traffic.tcp_listener(b, "10.0.2.2")).getsockname())
    far, _ = listener.accept()
    listener.close()
    key = traffic.ends(near)
    with Cause("a reset", row) as cause:
        near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        near.close()
    check.equal("the kernel's: sent here, ended there",
                (cause.counted(a, "TcpOutRsts"), cause.counted(b, "TcpEstabResets")), (1, 1))
    for host, one in ((a, key), (r, key), (b, traffic.mirrored(key))):
        cause.faults(host, one, resets=1)
    cause.faults(resets=3)
    cause.drops({})
    far.close()


def routes(row):
    a, r, b = row.hosts
    with a.inside():
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with Cause("no route from here", row) as cause:
        for _ in range(3):
            try:
                one.sendto(b"x", ("203.0.113.1", 9))
            except OSError as error:
                check.equal("it is refused", error.errno, 101)
    check.equal("OutNoRoutes", cause.counted(a, "IpOutNoRoutes"), 3)
    cause.drops({})
    cause.faults()
    one.close()

    a.sh("ip", "route", "add", "203.0.113.0/24", "via", "10.0.1.2")
    one = udp(a, ("203.0.113.1", 9))
    with Cause("no route from the router", row) as cause:
        sent = 0
        while sent < 3:
            try:
                one.send(b"x")
                sent += 1
            except OSError as error:
                check.equal("the sender is told", error.errno, 101)
    # With forwarding on the kernel does not count these as InNoRoutes.
    check.equal("errors that arrived", cause.counted(a, "IcmpInDestUnreachs"), 3)
    cause.drops({"IP_INNOROUTES": 3})
    cause.faults(icmp_errors=3)
    cause.faults(a, traffic.ends(one), icmp_errors=3)
    check.equal("what had no route was not forwarded", cause.image.after["forwarded_sent"],
                cause.before.after["forwarded_sent"])
    one.close()

    with a.inside():
        one = socket.socket()
        one.bind(("10.0.1.1", 0))
    with Cause("a connect to where the router has no route to", row) as cause:
        check.equal("it is unreachable", one.connect_ex(("203.0.113.1", 9)), 101)
        key = (6, *one.getsockname(), "203.0.113.1", 9)
    check.equal("failed attempts", cause.counted(a, "TcpAttemptFails"), 1)
    # While the socket is in use an error passes it by, and the next SYN brings another one.
    errors = cause.counted(a, "IcmpInDestUnreachs")
    check.equal("an error for each SYN", wire.find(cause.image, a, key).sent.packets, errors)
    cause.drops({"IP_INNOROUTES": errors})
    cause.faults(icmp_errors=errors, failed_connects=1)
    cause.faults(a, key, icmp_errors=errors, failed_connects=1)
    with Cause("its socket closes", row) as cause:
        one.close()
    # It had kept a copy of each error for who might ask.
    if knows_reason("QUEUE_PURGE"):
        cause.drops({}, QUEUE_PURGE=errors)
    else:
        cause.drops({"NOT_SPECIFIED": errors})


def duplicates(row):
    """TCP gets everything twice and everybody gets all of it once: nothing is lost."""
    a, r, b = row.hosts
    listener = traffic.tcp_listener(b, "10.0.2.2")
    near = traffic.tcp_connect(a, *listener.getsockname())
    far, _ = listener.accept()
    key = traffic.mirrored(traffic.ends(near))
    wire.netem(r, "right", "duplicate", "100%")
    with Cause("a wire that duplicates", row) as cause:
        for _ in range(20):
            near.sendall(bytes(1000))
            check.equal("it arrives", len(traffic.receive(far, 1000)), 1000)
    r.sh("tc", "qdisc", "del", "dev", "right", "root")
    if knows_reason("TCP_OLD_SEQUENCE"):
        discards = cause.no_losses("TCP_OLD_DATA", "TCP_OLD_SEQUENCE", "TCP_OFOMERGE", "TCP_RFC7323_PAWS_ACK")
        check.equal("of each segment with data one", sum(discards.values()), 20)
        cause.dropped(b, key, 0, sum(discards.values()))
        cause.faults()
    near.close()
    far.close()
    listener.close()
    # The last packets of both ends.
    module.image_at_rest()


def time_wait(row):
    """The kernel frees without a reason what a TIME_WAIT socket has answered."""
    a, r, b = row.hosts
    listener = traffic.tcp_listener(b, "10.0.2.2")
    near = traffic.tcp_connect(a, *listener.getsockname())
    far, _ = listener.accept()
    key = traffic.ends(near)
    near.close()
    module.image_at_rest()
    with Cause("a FIN for a TIME_WAIT socket", row) as cause:
        far.close()
    cause.drops({}, NOT_SPECIFIED=1)
    cause.dropped(a, key, 0, 1)
    cause.dropped(r, key, 0)
    listener.close()


def lossless(row):
    """Programs that get everything, and close what they have opened."""
    a, _, b = row.hosts
    with Cause("a transfer without losses", row) as cause, traffic.Servers(b):
        for work in (traffic.iperf_tcp, traffic.download, traffic.short_connections):
            work(a, b, "10.0.2.2")
    check.note(cause.by_reason("discards"))
    check.equal(f"{cause.title}: losses by reason", cause.by_reason("losses"), {})
    check.equal(f"{cause.title}: connections with losses", [c for c in cause.image.connections if c.losses], [])


def main():
    row = wire.Row("a", "r", "b")
    for host in row.hosts:
        host.sysctl("ipv4/icmp_ratelimit", 0)
    # Of its own, for all namespaces: how often a host is told that there is no route to another.
    with open("/proc/sys/net/ipv4/route/error_cost", "w") as setting:
        setting.write("0")
    wire.load(row)
    lossless(row)
    filters(row)
    sockets(row)
    checksums(row)
    connects(row)
    routes(row)
    duplicates(row)
    time_wait(row)
    check.part("in the end")
    image = module.audit()
    check.equal("the host's drops are those of the reasons", (image.quality.drops, image.losses),
                (sum(drop.packets for drop in image.drops), sum(drop.losses for drop in image.drops)))
    check.note({drop.name: (drop.losses, drop.discards) for drop in image.drops})
    module.unload()
    check.finish()


main()
