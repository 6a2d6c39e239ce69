# SPDX-License-Identifier: MIT OR Apache-2.0
"""Attacks by numbers: keys that would collide in a weak hash, SYN floods, and a table that is full
all along. What was there before, and what comes meanwhile, is counted exactly.
"""

import ipaddress
import json
import subprocess
import time

from lib import check, module, net, pace, ss, traffic, wire

A, B = "10.0.1.1", "10.0.1.2"
ATTACKERS = ipaddress.ip_network("10.128.0.0/9")
FLOOD = "/work/flood"
# A table whose index is as full as it ever gets: four records for each of its buckets.
RECORDS, FLOWS = (32768, 60000) if pace.IS_NATIVE else (2048, 3000)
PATTERNS = ["udp", "high", "xor", "swapped", "six-xor"]
if pace.IS_NATIVE:
    PATTERNS += ["ports", "addresses", "sum", "six-strides", "six-sum", "six-random"]
SIZE = 4096
# An attack that finds room: bursts, and packets in each. Packets a second and seconds of one that does not.
BURSTS, BURST = 12, 100
RATE = 20000 if pace.IS_NATIVE else 1500
SECONDS = 300 if pace.IS_LONG else 20


class World(wire.Row):
    def __init__(self):
        super().__init__("a", "b")
        self.a, self.b = self.hosts
        # Answers to who does not exist end here.
        self.a.sysctl("ipv4/ip_forward", 0)
        self.b.sysctl("ipv4/ip_forward", 0)
        self.b.sysctl("ipv4/tcp_synack_retries", 0)
        self.macs = [json.loads(host.sh("ip", "-j", "link", "show", link))[0]["address"] for host, link in self.wires]
        for host in (*self.hosts, net.Namespace()):
            net.count(host, ())

    def flood(self, pattern, packets, rate, seed, port=7):
        """Starts it."""
        return self.a.start(FLOOD, "right", *self.macs, B, port, pattern, packets, rate, seed,
                            stdout=subprocess.PIPE, text=True)

    def counted(self):
        """What nft counted: of each hook, buffers and bytes."""
        totals = [net.Counted(host).total for host in (*self.hosts, net.Namespace())]
        return {hook: tuple(map(sum, zip(*(total[hook] for total in totals)))) for hook in net.HOOKS}


def collisions(world):
    """Nobody finds keys that fill a bucket: each gets a record until the last one is taken."""
    b = world.b
    b.sysctl("ipv6/conf/left/disable_ipv6", 0)
    b.sysctl("ipv6/conf/left/router_solicitations", 0)
    net.address(b, "left", "fd00::2/64")
    # What is said of the new address is over before.
    time.sleep(3)
    for pattern in PATTERNS:
        module.load(max_connections=RECORDS, timeout_one_way=3600, timeout_closed=3600)
        module.lift_quotas()
        before = world.counted()["received"][0]
        began = time.monotonic()
        sent = int(world.flood(pattern, FLOWS, 0, 1).communicate()[0])
        took = time.monotonic() - began
        traffic.wait_for(lambda: module.stats()["received_packets"] >= sent, 30)
        arrived = world.counted()["received"][0] - before
        said = module.stats()
        check.equal(f"{pattern}: all of them arrive, nobody answers",
                    (arrived, said["received_packets"], said["sent_packets"]), (sent, sent, 0))
        distinct = FLOWS - said["untracked_table_full_packets"] - RECORDS
        check.equal(f"{pattern}: who gets no record found all of them taken",
                    (said["table_used"], said["connections_total"], said["connections_closed"],
                     said["untracked_table_full_packets"]), (RECORDS, RECORDS, 0, FLOWS - RECORDS - distinct))
        # Of random ones some come twice.
        check.that(f"{pattern}: they are different", distinct == 0 or distinct < 20 and pattern == "udp", distinct)
        check.note(f"{FLOWS / took:.0f} packets a second")
        module.unload()
    b.sysctl("ipv6/conf/left/disable_ipv6", 1)


def configure(**timeouts):
    with open(f"{module.PROC}/config", "w") as file:
        file.write("".join(f"timeout_{name} {seconds}\n" for name, seconds in timeouts.items()))


class Held:
    """Connections that work while others attack."""

    def __init__(self, world):
        self.world, self.pairs = world, []
        self.listener = traffic.tcp_listener(world.b, B)
        self.moved = []

    def open(self, listener=None):
        listener = listener or self.listener
        near = traffic.tcp_connect(self.world.a, *listener.getsockname(), timeout=60)
        far, _ = listener.accept()
        far.settimeout(60 * pace.LONGER)
        self.pairs.append((near, far))
        self.moved.append([0, 0])

    def exchange(self, there, back):
        for (near, far), moved in zip(self.pairs, self.moved):
            for source, sink, size, way in ((near, far, there, 0), (far, near, back, 1)):
                source.sendall(bytes(size))
                moved[way] += len(traffic.receive(sink, size))

    def compare(self, title, image):
        """Every one that was opened while there was room, with ss and with what was written."""
        world = self.world
        check.all_equal(f"{title}: what was and came is equal to ss",
                        ss.established(image, world.a, world.b, self.pairs))
        shown = {one.key: one for host in world.hosts for one in ss.sockets(host, "ESTAB")}
        mine = {(c.netns, c.key): c for c in image.connections}
        check.all_equal(f"{title}: and to what was written", (
            (f"{key}", mine[host.inode, key].sent.payload, ss.sent(unique, [shown[key]]))
            for ends, moved in zip(self.pairs, self.moved)
            for host, one, unique in zip(world.hosts, ends, moved) for key in [traffic.ends(one)]))

    def close(self):
        for pair in self.pairs:
            for one in pair:
                one.close()
        self.listener.close()


def compare_totals(title, world, image, counted):
    for hook in ("sent", "received"):
        mine = image.after[hook]
        check.equal(f"{title}: nft, all that was {hook}", (mine.packets, mine.buffers, mine.bytes),
                    (counted[hook][0], *counted[hook]))


def at_rest(world):
    """An image, and what nft counted until then."""
    while True:
        before = world.counted()
        image = module.image_at_rest()
        if before == world.counted():
            return image, before


def syn_flood(world, held, cookies, port):
    """SYNs to a port that is listened at, while others come to that port and go on elsewhere."""
    title = f"SYN flood, tcp_syncookies {cookies}"
    check.part(title)
    world.b.sysctl("ipv4/tcp_syncookies", cookies)
    listener = traffic.tcp_listener(world.b, B, port, backlog=16)
    before = wire.counters(world.b)
    for number in range(BURSTS):
        attack = world.flood("syn", BURST, 1000, 100 * port + number, port)
        if number % 3 == 0:
            # Without cookies the backlog is full of the attacker's.
            held.open(listener if cookies else None)
        held.exchange(3000, 500)
        attack.wait()
    after = wire.counters(world.b)
    image, counted = at_rest(world)
    came = {name: after[name] - before[name] for name in ("TcpExtSyncookiesSent", "TcpExtTCPReqQFullDrop")}
    check.that(f"{title}: the kernel took it for one", came["TcpExtSyncookiesSent" if cookies else "TcpExtTCPReqQFullDrop"] > 100,
               came)
    check.equal(f"{title}: each SYN has a record",
                sum(ipaddress.ip_address(c.remote) in ATTACKERS for c in image.connections
                    if c.netns == world.b.inode and c.local_port == port), BURSTS * BURST)
    held.compare(title, image)
    compare_totals(title, world, image, counted)
    listener.close()


def full(world, held):
    check.part(f"the table is full for {SECONDS} s")
    listener = traffic.tcp_listener(world.b, B, backlog=16)
    attacks = [world.flood("syn", 0, RATE, 3, listener.getsockname()[1]), world.flood("udp", 0, RATE, 4)]
    traffic.wait_for(lambda: module.stats()["untracked_table_full_packets"], 60)
    began, samples, wrong, images = time.monotonic(), [], [], 0
    strangers = []
    while time.monotonic() - began < SECONDS:
        held.exchange(2000, 700)
        image = module.image()
        images += 1
        wrong += image.audit() + image.contradictions()
        samples.append((image.status["table_used"], image.untracked["table_full"]["received"].packets))
        if len(strangers) < 10:
            near = traffic.tcp_connect(world.a, *held.listener.getsockname(), timeout=60)
            far, _ = held.listener.accept()
            near.sendall(bytes(1000))
            traffic.receive(far, 1000)
            strangers.append((near, far))
    check.equal("nobody broke it off", [attack.poll() for attack in attacks], [None, None])
    for attack in attacks:
        attack.terminate()
        attack.wait()
    used, refused = zip(*samples)
    check.that("it was full all along, and went on to refuse", min(used) > SIZE - 64
               and all(a < b for a, b in zip(refused, refused[1:])), f"{min(used)} used, {refused[-1]} refused")
    check.equal(f"{images} images under attack, what is wrong", wrong[:5], [])
    image, counted = at_rest(world)
    held.compare("full", image)
    compare_totals("full", world, image, counted)
    reasons = {reason for reason, numbers in image.untracked.items() if any(map(any, numbers.values()))}
    check.equal("the only reason is the full table", reasons, {"table_full"})
    for pair in strangers:
        for one in pair:
            one.close()
    listener.close()


def main():
    world = World()
    # What waits for its processor is not dropped.
    with open("/proc/sys/net/core/netdev_max_backlog", "w") as file:
        file.write("100000")
    check.part("keys that would collide")
    collisions(world)
    world.b.sh("ip", "route", "add", ATTACKERS, "via", A)
    # Nobody makes room.
    module.load(max_connections=SIZE, timeout_closed=2,
                **dict.fromkeys(("timeout_one_way", "timeout_tcp_opening", "timeout_tcp_closing", "timeout_icmp"), 36000))
    module.lift_quotas()
    for host in (*world.hosts, net.Namespace()):
        host.sh("nft", "reset", "counters")
    held = Held(world)
    for _ in range(3):
        held.open()
    held.exchange(100_000, 10_000)
    syn_flood(world, held, 2, 7001)
    syn_flood(world, held, 0, 7002)
    full(world, held)
    check.part("it is over")
    held.close()
    configure(one_way=1, tcp_opening=1, tcp_closing=1, icmp=1)
    check.that("there is room again", traffic.wait_for(lambda: module.stats()["table_used"] < 20, 60, 0.5),
               module.stats()["table_used"])
    module.audit()
    module.unload()
    check.finish()


main()
