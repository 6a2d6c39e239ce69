# SPDX-License-Identifier: MIT OR Apache-2.0
"""Namespaces that come and go under traffic, and what is seen from inside of one.

h stays. Round after round x and y are made and torn down while h floods both (y through x, which
forwards) and TCP runs among all three. Nothing is lost from the books, nothing stays behind, and
what h counted is what nft counted there.
"""

import mmap
import os
import pickle
import pwd
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import types

from lib import check, module, net, pace, traffic
from lib.image import DIRECTIONS, Image, NOTHING

TCP, UDP, ICMP, ICMPV6 = 6, 17, 1, 58
X4, Y4, X6, Y6 = "10.0.1.2", "10.0.2.2", "fd01::2", "fd02::2"
ROUNDS = pace.sized(12, 4)
# Everything that h ever did stays visible; what is gone with its namespace goes at once all the same.
TIMEOUTS = {name: 3600 for name in ("timeout_closed", "timeout_one_way", "timeout_two_way", "timeout_icmp",
                                    "timeout_tcp_opening", "timeout_fd")}

# Questions to everybody: echoes, datagrams to closed ports, connections that are refused. Whoever
# is asked answers without any process of its own, so nothing keeps its namespace from going.
FLOOD = """
import select, socket, struct, sys, time
def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xffff) + (total >> 16)
    return ~((total & 0xffff) + (total >> 16)) & 0xffff
def echo(kind, identifier):
    body = bytes(56)
    sum_ = checksum(struct.pack("!BBHHH", kind, 0, 0, identifier, 1) + body)
    return struct.pack("!BBHHH", kind, 0, sum_, identifier, 1) + body
pairs = []
for number, address in enumerate(sys.argv[1:]):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    raw = socket.socket(family, socket.SOCK_RAW, 58 if ":" in address else 1)
    # It listens to nothing.
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)
    udp = socket.socket(family, socket.SOCK_DGRAM)
    udp.setblocking(False)
    pairs.append((address, family, raw, echo(128 if ":" in address else 8, 7000 + number), udp))
turn = 0
while True:
    turn += 1
    for address, family, raw, packet, udp in pairs:
        for _ in range(4):
            try:
                raw.sendto(packet, (address, 0))
            except OSError:
                pass
            try:
                udp.sendto(bytes(turn % 1000), (address, 9))
            except OSError:
                pass
        if turn % 20 == 0:
            with socket.socket(family, socket.SOCK_STREAM) as tcp:
                tcp.setblocking(False)
                tcp.connect_ex((address, 9))
                select.select([], [tcp], [], 0.02)
    time.sleep(0.02)
"""


class Bulk:
    """A TCP connection that is busy both ways until it is stopped; then both its ends are gone at once."""

    def __init__(self, near, far, address):
        listener = traffic.tcp_listener(far, address)
        self.ends = [traffic.tcp_connect(near, *listener.getsockname()[:2])]
        self.ends.append(listener.accept()[0])
        listener.close()
        self.moved = 0
        self._stop = False
        self._threads = [threading.Thread(target=self._run, args=(one, send))
                         for one in self.ends for send in (True, False)]
        for one in self.ends:
            one.settimeout(0.1)
        for one in self._threads:
            one.start()

    def _run(self, one, send):
        data = bytes(20_000)
        while not self._stop:
            try:
                if send:
                    one.send(data)
                    time.sleep(0.02)
                else:
                    got = len(one.recv(1 << 16))
                    self.moved += got
                    if not got:
                        return
            except TimeoutError:
                pass
            except OSError:
                return

    def rest(self):
        """Sends no more."""
        self._stop = True
        for one in self._threads:
            one.join()

    def stop(self):
        self.rest()
        for one in self.ends:
            # By a reset: what waits for acknowledgements would keep its namespace.
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            one.close()


def gone_back(title, was, now):
    """Whatever is less in the later image."""
    return [f"{title} {direction} went from {was[direction]} to {now[direction]}" for direction in DIRECTIONS
            if any(a > b for a, b in zip(was[direction], now[direction]))]


class Watcher:
    """A process that takes images all the time, many while `closely` is set, audits each, and says at
    its end what it saw."""

    def __init__(self):
        self._closely = mmap.mmap(-1, 1)
        reading, writing = os.pipe()
        self._child = os.fork()
        if self._child == 0:
            os.close(reading)
            with open(writing, "wb") as pipe:
                pickle.dump(self._watch(), pipe)
            os._exit(0)
        os.close(writing)
        self._pipe = reading

    def closely(self, yes):
        self._closely[0] = yes

    def _watch(self):
        stop = []
        signal.signal(signal.SIGTERM, lambda *unused: stop.append(1))
        seen = types.SimpleNamespace(images=0, moved=0, wrong=[], gone=set(), with_gone=0)
        last = None
        while not stop:
            try:
                image = module.image()
                seen.images += 1
                seen.moved += image.moved
                seen.wrong += image.audit() + image.contradictions()
                gone = [c for c in image.connections if "netns-gone" in c.flags]
                seen.wrong += [f"{c} is open" for c in gone if not c.closed]
                seen.gone |= {c.id for c in gone}
                seen.with_gone += bool(gone)
                if last:
                    seen.wrong += gone_back("totals", last.after, image.before)
                    seen.wrong += gone_back("closed", last.closed, image.closed)
                last = image
                if not self._closely[0]:
                    time.sleep(0.2)
            except Exception as error:
                seen.wrong.append(repr(error))
                break
        return seen

    def end(self):
        os.kill(self._child, signal.SIGTERM)
        with open(self._pipe, "rb") as pipe:
            seen = pickle.load(pipe)
        os.waitpid(self._child, 0)
        return seen


def batch(lines, namespace=None):
    """Many commands of ip in one process."""
    words = ["ip", *(["-n", namespace.name] if namespace else []), "-batch", "-"]
    net.sh(*words, input="\n".join(lines) + "\n")


def ask_for_neighbours(milliseconds):
    """How long links from now on wait to ask again: the first question is lost while a link comes up."""
    for family in ("ipv4", "ipv6"):
        # Those of the first namespace are the defaults of all.
        net.Namespace().sysctl(f"{family}/neigh/default/retrans_time_ms", milliseconds)


def make(h):
    """x and y: h -- x -- y; everybody is reached already."""
    x, y = net.Namespace("x", loopback=False), net.Namespace("y", loopback=False)
    batch(["link add vh netns h type veth peer name vx netns x", "link add wx netns x type veth peer name vy netns y"])
    batch(["address add 10.0.1.1/24 dev vh", "address add fd01::1/64 dev vh nodad", "link set vh up",
           "route add 10.0.2.0/24 via 10.0.1.2", "route add fd02::/64 via fd01::2"], h)
    for name, value in (("ipv4/ip_forward", 1), ("ipv6/conf/all/forwarding", 1), ("ipv4/icmp_ratelimit", 0),
                        ("ipv6/icmp/ratelimit", 0)):
        x.sysctl(name, value)
    y.sysctl("ipv4/icmp_ratelimit", 0)
    batch([f"address add {X4}/24 dev vx", f"address add {X6}/64 dev vx nodad", "address add 10.0.2.1/24 dev wx",
           "address add fd02::1/64 dev wx nodad", "link set lo up", "link set vx up", "link set wx up"], x)
    batch([f"address add {Y4}/24 dev vy", f"address add {Y6}/64 dev vy nodad", "link set lo up", "link set vy up",
           "route add default via 10.0.2.1", "route add default via fd02::1"], y)
    for host, address in ((h, Y4), (h, Y6), (x, Y4)):
        if not traffic.wait_for(lambda: not host.run("ping", "-c", "1", "-W", "0.3", address).returncode):
            raise RuntimeError(f"{host.name} does not reach {address}")
    return x, y


def remains(*inodes):
    image = module.image()
    return [one for one in image.connections + image.fds if one.netns in inodes]


def come_and_go(h, flood):
    check.part(f"{ROUNDS} rounds")
    watcher = Watcher()
    seen, moved, slow, slow_gone, left = [], [], [], 0, []
    reads = (100, 400, 5000, 30_000)
    number_gone = 0
    for number in range(ROUNDS):
        x, y = make(h)
        bulks = [Bulk(x, y, Y4), Bulk(h, y, Y6)]
        ping = x.start("ping", "-q", "-i", "0.01", Y4)
        inodes = x.inode, y.inode

        def busy():
            there = remains(*inodes)
            kinds = {(one.netns, one.protocol) for one in there if hasattr(one, "forwarded") and one.received.packets}
            return len(kinds) >= 6 and any(getattr(one, "forwarded", False) for one in there)

        if not traffic.wait_for(busy, 20):
            left.append(("not busy", number))
        seen.append(len(remains(*inodes)))
        # An image of which a part was taken before, the rest afterwards.
        image = open(f"{module.PROC}/snapshot", "rb", buffering=0)
        part = image.read(reads[number % len(reads)])
        watcher.closely(True)
        for one in (x, y):
            one.delete()
        # x forwards until its last socket is closed; from then on it is being taken down.
        bulks[0].stop()
        ping.kill()
        ping.wait()
        bulks[1].stop()
        if not traffic.wait_for(lambda: not remains(*inodes), 20):
            left += remains(*inodes)
        watcher.closely(False)
        while more := image.read(1 << 20):
            part += more
        image.close()
        image = Image(part)
        slow += image.audit() + image.contradictions()
        slow_gone += any(c.netns in inodes for c in image.connections)
        moved += [bulk.moved for bulk in bulks]
        if number % 10 == 9:
            flood.send_signal(signal.SIGSTOP)
            rest = module.audit(f"after {number + 1} rounds")
            check.equal(f"after {number + 1} rounds: what is left is h's",
                        {one.netns for one in rest.connections + rest.fds}, {h.inode})
            flood.send_signal(signal.SIGCONT)
    result = watcher.end()
    check.equal("all that was of a namespace went with it", left, [])
    check.that("each round had connections of both namespaces", min(seen) > 8, f"{min(seen)} to {max(seen)}")
    check.that("TCP ran in all of them", min(moved) > 0, f"{min(moved)} to {max(moved)} bytes")
    check.equal(f"{ROUNDS} images taken half before, half after: what is wrong", slow[:5], [])
    check.that("some of them had passed connections that went", slow_gone > 0, slow_gone)
    check.equal(f"{result.images} images taken meanwhile: what is wrong", result.wrong[:5], [])
    check.that("packets passed during some of them", result.moved > 0, result.moved)
    # They are visible for a grace period only, so this is luck.
    check.note(f"{result.with_gone} images saw {len(result.gone)} connections that end as netns-gone")


def compare_stayed(h):
    """All that h counted is in its connections, and is what nft counted there."""
    check.part("what stayed")
    image, counted = net.rest((h,), module.image_at_rest)
    mine = types.SimpleNamespace(connections=[c for c in image.connections if c.netns == h.inode], after={})
    mine.after = {"sent": sum((c.sent for c in mine.connections), NOTHING),
                  "received": sum((c.received for c in mine.connections), NOTHING),
                  "forwarded_sent": NOTHING, "forwarded_received": NOTHING}
    net.compare(check, "h and nft", mine, counted)
    check.that("most of what passed is of namespaces that are gone", all(
        image.closed[direction].packets > 1000 for direction in DIRECTIONS), image.closed)


def at_rest_then_gone(h):
    check.part("a namespace at rest, torn down: to the byte")
    x, y = make(h)
    bulk = Bulk(x, y, Y6)
    h.sh("ping", "-q", "-c", "5", "-i", "0.02", Y4)
    bulk.stop()
    before = module.image_at_rest()
    of_them = [c for c in before.connections if c.netns in (x.inode, y.inode)]
    inodes = x.inode, y.inode
    for one in (x, y):
        one.delete()
    traffic.wait_for(lambda: not remains(*inodes), 20)
    after = module.image_at_rest()
    check.that("they had connections of all kinds", {c.protocol for c in of_them} >= {TCP, ICMP}
               and any(c.forwarded for c in of_them), len(of_them))
    moved = dict.fromkeys(DIRECTIONS, NOTHING)
    for c in of_them:
        moved[("forwarded_" if c.forwarded else "") + "sent"] += c.sent
        moved[("forwarded_" if c.forwarded else "") + "received"] += c.received
    grown = {d: after.closed[d] - before.closed[d] for d in DIRECTIONS}
    # Leaving its multicast groups is said by a namespace as its link goes, by h too.
    late = {d: grown[d] - moved[d] for d in DIRECTIONS}
    check.that("closed has grown by what their connections had moved, and by what they said while they went",
               0 <= late["sent"].packets <= 10 and not any(map(any, (late[d] for d in DIRECTIONS if d != "sent"))), late)
    stayed = {c.id: (c.sent, c.received) for c in before.connections if c not in of_them}
    others = sum((after.after[d] - before.after[d] for d in DIRECTIONS), NOTHING)
    by_h = sum(((c.sent - stayed.get(c.id, (NOTHING,) * 2)[0]) + (c.received - stayed.get(c.id, (NOTHING,) * 2)[1])
                for c in after.connections), NOTHING)
    check.equal("that, and what is in what stayed, is all that passed", by_h + late["sent"], others)
    check.equal("no other connection went", set(stayed) - {c.id for c in after.connections}, set())


def views(h):
    check.part("what is seen from inside")
    x, y = make(h)
    bulks = [Bulk(x, y, Y4), Bulk(h, y, Y6)]
    h.sh("ping", "-q", "-c", "3", "-i", "0.02", X4)
    for bulk in bulks:
        bulk.rest()
    all_of_it = module.audit("with connections of three namespaces")
    check.equal("the host's reader sees all three", {c.netns for c in all_of_it.connections},
                {one.inode for one in (h, x, y)})
    check.equal("its image is whole", (all_of_it.filtered, all_of_it.flags), (False, 0))
    as_rows = lambda rows: {int(row["id"]) for row in rows}
    fields = lambda one: {k: v for k, v in vars(one).items() if not k.endswith("_seen") and k != "closed"}
    for host in (h, x, y):
        # Until nothing passes meanwhile: y still announces its link's addresses.
        for _ in range(20):
            all_of_it = module.image()
            with host.inside():
                image, connections, fds = module.image(), module.table("connections"), module.table("fds")
                opened = open(f"{module.PROC}/snapshot", "rb", buffering=0)
            later = Image(b"".join(iter(lambda: opened.read(4096), b"")))
            opened.close()
            if module.shown(module.image()) == module.shown(all_of_it):
                break
        check.equal(f"{host.name}: the image is marked as filtered, and whose it is",
                    (image.filtered, image.flags, image.netns), (True, 1, host.inode))
        expected = [fields(c) for c in all_of_it.connections if c.netns == host.inode]
        check.that(f"{host.name}: there is something to see, and something not to be seen",
                   0 < len(expected) < len(all_of_it.connections), len(expected))
        check.equal(f"{host.name}: its own connections, with the same numbers",
                    [fields(c) for c in image.connections], expected)
        owned = [fields(fd) for fd in all_of_it.fds if fd.netns == host.inode]
        check.equal(f"{host.name}: its own fds, with the same numbers", [fields(fd) for fd in image.fds], owned)
        check.equal(f"{host.name}: connections and fds have the same",
                    (as_rows(connections), {int(row["netns"]) for row in connections}, as_rows(fds),
                     {int(row["netns"]) for row in fds}),
                    ({c["id"] for c in expected}, {host.inode}, {fd["id"] for fd in owned}, {host.inode}))
        check.equal(f"{host.name}: what was opened inside stays so outside",
                    (later.filtered, [c.id for c in later.connections]),
                    (True, [c.id for c in image.connections]))
        check.equal(f"{host.name}: contradictions in its image", image.contradictions(at_rest=True), [])
    with open(f"{module.PROC}/snapshot", "rb", buffering=0) as opened, x.inside():
        image = Image(b"".join(iter(lambda: opened.read(4096), b"")))
    check.equal("what was opened outside stays so inside", (image.filtered, {c.netns for c in image.connections}),
                (False, {one.inode for one in (h, x, y)}))
    done = x.run("mutexctl", "audit")
    check.that("mutexctl audit inside says that it cannot balance what it does not see",
               done.returncode and "cannot be balanced" in done.stderr,
               f"exit status {done.returncode}: {(done.stdout + done.stderr).strip()}")
    for bulk in bulks:
        bulk.stop()
    x.delete()
    y.delete()


# What a process without rights outside finds: for each file what open says, or which namespaces it
# shows; the first line is its own namespace.
LOOK = """
import os, socket, sys
sys.path.insert(0, sys.argv[1])
from lib import module
FACTS = {"format", "uptime_ns", "table_size", "fd_table_size", "connection_bytes", "restricted"}
os.system("ip link set lo up")
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
one.sendto(b"x", ("127.0.0.1", 9))
found = {"own": os.stat("/proc/self/ns/net").st_ino}
for name in ("connections", "fds", "snapshot", "stats"):
    try:
        if name == "snapshot":
            image = module.image()
            found[name] = image.filtered, image.netns, sorted({c.netns for c in image.connections + image.fds})
        elif name == "stats":
            said = module.stats()
            found[name] = {key for key in said if not key.startswith("kernel_lacks_")} - FACTS
        else:
            found[name] = sorted({int(row["netns"]) for row in module.table(name)})
    except OSError as error:
        found[name] = error.strerror
print(found)
"""


def users(h):
    check.part("user namespaces")
    here = os.path.dirname(os.path.abspath(__file__))
    alice = pwd.getpwnam("alice")

    def look(*words):
        done = subprocess.run([*words, sys.executable, "-c", LOOK, here], capture_output=True, text=True)
        try:
            return eval(done.stdout)
        except SyntaxError:
            return done.stdout + done.stderr

    drop = ["setpriv", f"--reuid={alice.pw_uid}", f"--regid={alice.pw_gid}", "--clear-groups"]
    for title, words in (
        ("alice", drop), ("alice, root in a user namespace", [*drop, "unshare", "--user", "--map-root-user"]),
        ("the same with a network of her own", [*drop, "unshare", "--user", "--map-root-user", "--net"]),
        ("the same with a /proc of her own",
         [*drop, "unshare", "--user", "--map-root-user", "--net", "--pid", "--fork", "--mount-proc"]),
    ):
        found = look(*words)
        found = found if isinstance(found, dict) else {"failed": found}
        found.pop("own", None)
        # In a network of her own, what that uses.
        own = {"netns_records", "netns_records_limit"} if "--net" in words else set()
        check.equal(f"{title} is refused all but the module's own numbers", found,
                    {**dict.fromkeys(("connections", "fds", "snapshot"), "Permission denied"), "stats": own})
    found = look("unshare", "--user", "--map-root-user", "--net")
    own = found["own"] if isinstance(found, dict) else None
    check.equal("root in a user namespace with a network of its own sees that one only", found,
                {"own": own, "connections": [own], "fds": [own], "snapshot": (True, own, [own]),
                 "stats": {"netns_records", "netns_records_limit"}})


def unload_under_traffic(h, flood):
    check.part("unloading while namespaces come and go under traffic")
    h.sh("nft", "flush", "ruleset")
    flood.send_signal(signal.SIGCONT)
    for number in range(4):
        x, y = make(h)
        bulks = [Bulk(x, y, Y6), Bulk(h, y, Y4)]
        time.sleep(0.1)
        if not module.is_loaded():
            module.load()
            traffic.wait_for(lambda: len(remains(x.inode, y.inode)) > 8, 20)
            check.that("loaded again under traffic: it finds what there is", len(remains(x.inode, y.inode)) > 8)
        if number % 2:
            # Both at once: they go while the module does.
            gone = threading.Thread(target=lambda: (x.delete(), y.delete(), bulks[0].stop()))
            gone.start()
            module.unload()
            gone.join()
            bulks[1].stop()
        else:
            module.unload()
            for one in (x, y):
                one.delete()
            for bulk in bulks:
                bulk.stop()
    flood.kill()
    flood.wait()
    module.nothing_left("at the end")


def main():
    h = net.Namespace("h")
    h.sysctl("ipv6/conf/default/router_solicitations", 0)
    ask_for_neighbours(30)
    net.count(h)
    module.load(**TIMEOUTS)
    flood = h.start(sys.executable, "-c", FLOOD, X4, X6, Y4, Y6)
    come_and_go(h, flood)
    flood.send_signal(signal.SIGSTOP)
    compare_stayed(h)
    at_rest_then_gone(h)
    views(h)
    users(h)
    module.audit()
    unload_under_traffic(h, flood)
    ask_for_neighbours(1000)
    check.finish()


main()
