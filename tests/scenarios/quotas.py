# SPDX-License-Identifier: MIT OR Apache-2.0
"""An unprivileged user of one network namespace floods the connection table: the namespace gets its
share, the rest of its packets are untracked for that reason, and everybody else stays exact.
"""

import socket
import subprocess
import sys
import time

from lib import check, module, net, traffic

SIZE, EACH, OTHERS = 1000, 500, 750
FLOWS, ROUNDS = 700, 5
# Holds so many questions and answers over loopback, each two connections; with 0 it goes on and on.
FLOOD = """
import socket, sys
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 0))
held, number = [], int(sys.argv[1])
while not number or len(held) < number:
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.connect(server.getsockname())
    one.send(b"x")
    server.sendto(b"y", server.recvfrom(10)[1])
    one.recv(10)
    if number:
        held.append(one)
print(len(held), flush=True)
sys.stdin.read()
"""
PACKET = 29


def flood(namespace, number):
    """Starts it, as nobody in particular."""
    return namespace.start("setpriv", "--reuid=alice", "--regid=alice", "--clear-groups", sys.executable, "-c", FLOOD,
                           number, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def flooded(namespace, number):
    """The same, when it holds them all."""
    process = flood(namespace, number)
    check.equal(f"{namespace.name} has its answers, tracked or not", process.stdout.readline(), f"{number}\n")
    return process


def end(process):
    process.stdin.close()
    process.wait()


class Flows:
    """Questions and answers over loopback that are counted here, too."""

    def __init__(self, namespace, number):
        self.namespace, self.rounds = namespace, 0
        with namespace.inside():
            self.server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.server.bind(("127.0.0.1", 0))
            self.clients = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(number)]
        for client in self.clients:
            client.connect(self.server.getsockname())
            client.settimeout(10)
        self.server.settimeout(10)

    def exchange(self):
        for client in self.clients:
            client.send(b"x")
            self.server.sendto(b"y", self.server.recvfrom(10)[1])
            client.recv(10)
        self.rounds += 1

    def compare(self, title, image):
        """Every connection, both sides, to the byte."""
        mine = {(c.netns, c.key): c for c in image.connections}
        expected = (self.rounds, self.rounds, self.rounds * PACKET, self.rounds)
        check.all_equal(title, (
            (f"{key} {direction}", tuple(getattr(mine[self.namespace.inode, key], direction))
             if (self.namespace.inode, key) in mine else None, expected)
            for client in self.clients
            for key in (traffic.ends(client), traffic.mirrored(traffic.ends(client)))
            for direction in ("sent", "received")))

    def close(self):
        for one in (self.server, *self.clients):
            one.close()


def configure(**settings):
    with open(f"{module.PROC}/config", "w") as file:
        file.write("".join(f"{key} {value}\n" for key, value in settings.items()))


def of(image, namespace):
    return [c for c in image.connections if c.netns == namespace.inode]


def quota(image, direction):
    return image.untracked["quota"][direction]


def main():
    first, x, y, z = net.Namespace(), net.Namespace("x"), net.Namespace("y"), net.Namespace("z")
    first.sh("ip", "link", "set", "lo", "up")
    net.settle(x, y, z)
    # So that what has ended goes for no other reason.
    module.load(max_connections=SIZE, timeout_one_way=3600, timeout_two_way=3600, timeout_closed=3600)
    text = module.read("config").decode()
    check.that("the defaults are half of the table and a quarter for the first namespace",
               "\nquota_netns 50\nquota_first_netns 25\n" in text)

    check.part("one floods")
    before = module.image_at_rest()
    quiet = len(of(before, x))
    attack = flooded(x, FLOWS)
    image = module.image_at_rest()
    check.equal("it has its share of the table", len(of(image, x)), EACH)
    # What it has no room for: each of these flows is two packets each way.
    beyond = 2 * FLOWS - (EACH - quiet)
    for direction in ("sent", "received"):
        check.equal(f"{direction}: the rest is untracked for that reason",
                    (quota(image, direction).packets, quota(image, direction).bytes), (beyond, beyond * PACKET))
    check.equal("it has found no table full", any(map(any, image.untracked["table_full"].values())), False)
    check.equal("stats says so", module.stats()["untracked_quota_packets"], 2 * beyond)

    check.part("and goes on, while others work")
    more = flood(x, 0)
    neighbour, host = Flows(y, 40), Flows(first, 100)
    was = quota(module.image(), "sent").packets
    for _ in range(ROUNDS):
        neighbour.exchange()
        host.exchange()
        image = module.image()
        check.equal("lines of the books that are off", image.audit() + image.contradictions(), [])
        time.sleep(0.1)
    more.kill()
    more.wait()
    image = module.image_at_rest()
    check.that("it went on meanwhile", quota(image, "sent").packets > was + 100, quota(image, "sent").packets - was)
    neighbour.compare("the neighbour is exact", image)
    host.compare("the first namespace is exact", image)
    check.equal("the share of the one that floods is what it was", len(of(image, x)), EACH)

    check.part("whom the alert names")
    found = traffic.wait_for(lambda: [a for a in module.image().alerts if a.kind == "table_fill" and a.netns])
    check.that("there is one", found)
    alerts = [a for a in module.image().alerts if a.kind == "table_fill"]
    check.equal("one alert about the namespace, none about the table",
                [(a.scope, a.netns, a.severity, a.value) for a in alerts], [("global", x.inode, "critical", 10_000)])
    row, = (row for row in module.read("alerts").decode().splitlines() if " table_fill " in row)
    check.that("it says so", f"of network namespace {x.inode} is at or over its threshold" in row, row)

    check.part("all but the first together leave it its part")
    others = flooded(z, FLOWS)
    image = module.image_at_rest()
    check.equal("records of all but the first", sum(len(of(image, one)) for one in (x, y, z)), OTHERS)
    check.that("z has what the others left", 0 < len(of(image, z)) < EACH, len(of(image, z)))
    late = Flows(first, (SIZE - OTHERS) // 2 - len(of(image, first)) // 2 - 1)
    late.exchange()
    image = module.image_at_rest()
    late.compare("the first namespace uses its part", image)
    check.equal("nobody has found the table full", any(map(any, image.untracked["table_full"].values())), False)
    neighbour.exchange()
    neighbour.compare("the neighbour has kept its connections", module.image_at_rest())

    check.part("room again")
    end(attack)
    end(others)
    # Where the kernel does not tell that a socket is closed, silence ends its connections.
    configure(timeout_two_way=1)
    # They would be shown for an hour, but those of a namespace are not while it has less than an eighth left.
    check.that("what has ended is collected until there is room",
               traffic.wait_for(lambda: len(of(module.image(), x)) < EACH - EACH // 8, 30), len(of(module.image(), x)))
    configure(timeout_two_way=3600)
    again = Flows(x, 20)
    again.exchange()
    again.compare("new connections are tracked", module.image_at_rest())
    again.close()

    check.part("other quotas")
    configure(quota_netns=2, quota_first_netns=0)
    w = net.Namespace("w")
    net.settle(w)
    attack = flooded(w, 50)
    check.equal("a share of 2 percent", len(of(module.image_at_rest(), w)), SIZE * 2 // 100)
    end(attack)
    for one in (neighbour, host, late):
        one.close()
    module.audit()
    module.unload()
    check.finish()


main()
