# SPDX-License-Identifier: MIT OR Apache-2.0
"""Connections on loopback and whose they are: mirror images, fds with many connections, owners.

Against ss, /proc/PID/fd, the cgroup folders, and nft's counters.
"""

import os
import re
import socket
import subprocess
import sys
import threading

from lib import check, module, net, pace, ss, traffic

TCP, UDP = 6, 17
ALICE = int(subprocess.run(["id", "-u", "alice"], capture_output=True, text=True, check=True).stdout)

# A program of its own: talks as it is told, one line at a time, and says what it did.
TALKER = r"""
import os, socket, sys, time
sockets = {}
for line in sys.stdin:
    verb, *words = line.split()
    if verb == "udp":
        sockets[words[0]] = one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.bind((words[1], 0))
        print(*one.getsockname(), flush=True)
    elif verb == "listen":
        sockets[words[0]] = one = socket.create_server((words[1], 0))
        print(*one.getsockname(), flush=True)
    elif verb == "accept":
        sockets[words[0]], peer = sockets[words[1]].accept()
        print(*peer, flush=True)
    elif verb == "connect":
        sockets[words[0]] = one = socket.create_connection((words[1], int(words[2])))
        print(*one.getsockname(), flush=True)
    elif verb == "send":
        print(sockets[words[0]].send(bytes(int(words[1]))), flush=True)
    elif verb == "sendto":
        print(sockets[words[0]].sendto(bytes(int(words[1])), (words[2], int(words[3]))), flush=True)
    elif verb == "receive":
        print(len(sockets[words[0]].recv(65536)), flush=True)
    elif verb == "dup":
        sockets[words[0]] = sockets[words[1]].dup()
        print("ok", flush=True)
    elif verb == "fork-send":
        if os.fork() == 0:
            sockets[words[0]].send(bytes(int(words[1])))
            os._exit(0)
        os.wait()
        print("ok", flush=True)
    elif verb == "fds":
        print(*(f"{name}={os.fstat(one.fileno()).st_ino}" for name, one in sockets.items()), flush=True)
"""


class Talker:
    """The program above, as a user, in a cgroup of its own."""

    def __init__(self, name, user=None, wrap=()):
        self.cgroup = f"/sys/fs/cgroup/loopback/{name}"
        os.makedirs(self.cgroup, exist_ok=True)

        def prepare():
            with open(f"{self.cgroup}/cgroup.procs", "w") as file:
                file.write("0")
            if user:
                os.setgid(user)
                os.setuid(user)

        self._process = subprocess.Popen([*wrap, sys.executable, "-c", TALKER], text=True,
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         preexec_fn=prepare)
        self.pid = self._process.pid

    def __call__(self, *words):
        self._process.stdin.write(" ".join(map(str, words)) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline().split()
        if not answer:
            raise RuntimeError(f"the talker died of {words}")
        return answer

    def inode(self, name):
        """As /proc/PID/fd has it."""
        wanted = dict(pair.split("=") for pair in self("fds"))[name]
        for fd in os.listdir(f"/proc/{self.pid}/fd"):
            if os.readlink(f"/proc/{self.pid}/fd/{fd}") == f"socket:[{wanted}]":
                return int(wanted)
        raise RuntimeError(f"{name} is not among the fds of {self.pid}")

    def end(self):
        self._process.stdin.close()
        self._process.wait()


def mirror_images(first):
    check.part("one TCP connection on loopback is two")
    before = module.image_at_rest()
    listener = traffic.tcp_listener(first, "127.0.0.1")
    near = traffic.tcp_connect(first, "127.0.0.1", listener.getsockname()[1])
    far, _ = listener.accept()
    near.sendall(bytes(70000))
    traffic.receive(far, 70000)
    far.sendall(bytes(333))
    traffic.receive(near, 333)
    key = traffic.ends(near)
    shown = {one.key: one for one in ss.sockets(first, "ESTAB")}
    check.equal("ss shows two sockets", sorted(k for k in shown if key[2] in (k[2], k[4])),
                sorted([key, traffic.mirrored(key)]))
    image = module.image_at_rest()
    new = [c for c in image.connections if c.id > max((c.id for c in before.connections), default=0)]
    check.equal("MUTEX shows two connections", sorted(c.key for c in new), sorted([key, traffic.mirrored(key)]))
    one, other = sorted(new, key=lambda c: c.key != key)
    for counter in ("packets", "bytes", "payload"):
        check.equal(f"what one sent the other received, {counter}",
                    (getattr(one.sent, counter), getattr(one.received, counter)),
                    (getattr(other.received, counter), getattr(other.sent, counter)))
    for c, opening in ((one, 0), (other, 1)):
        check.equal(f"{c.key} against ss",
                    (c.sent.payload, c.received.payload, c.sent.packets, c.received.packets),
                    (shown[c.key].bytes_sent,
                     ss.arrived(shown[c.key], shown[traffic.mirrored(c.key)]),
                     shown[c.key].segs_out + opening, shown[c.key].segs_in))
    near.close()
    far.close()
    listener.close()

    check.part("a socket that is connected to itself is one connection")
    with socket.socket() as alone:
        alone.bind(("127.0.0.1", 0))
        alone.connect(alone.getsockname())
        alone.sendall(bytes(5000))
        traffic.receive(alone, 5000)
        key = traffic.ends(alone)
        found = [c for c in module.image_at_rest().connections if c.key == key]
        check.equal("MUTEX shows one connection", len(found), 1)
        shown, = (one for one in ss.sockets(first, "ESTAB") if one.key == key)
        c = found[0]
        check.equal("it received what it sent", c.sent, c.received)
        check.equal("against ss", (c.state, c.sent.payload, c.sent.packets, c.received.packets),
                    ("established", shown.bytes_sent, shown.segs_out, shown.segs_in))


def many_clients(first, answers):
    title = "answers" if answers else "never answers"
    check.part(f"a UDP server with 100 clients that {title}")
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))
    server.settimeout(5 * pace.LONGER)
    at = server.getsockname()
    clients = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(100)]
    for number, client in enumerate(clients):
        for _ in range(3):
            client.sendto(bytes(number), at)
            data, source = server.recvfrom(200)
            if answers:
                server.sendto(data + data, source)
    image, counted = net.rest([first], module.image_at_rest)
    inode = os.fstat(server.fileno()).st_ino
    fds = [fd for fd in image.fds if fd.inode == inode]
    check.equal("fds of the server", len(fds), 1)
    fd, = fds
    check.equal("its connections, active and total", (fd.active, fd.total), (100, 100))
    mine = [c for c in image.connections if c.fd == fd.id]
    check.equal("connections that name it", len(mine), 100)
    check.equal("its clients", {c.remote_port for c in mine}, {c.getsockname()[1] for c in clients})
    payload = 3 * sum(range(100))
    check.equal("received: packets, payload", (fd.received.packets, fd.received.payload), (300, payload))
    check.equal("sent: packets, payload", (fd.sent.packets, fd.sent.payload),
                (300, 2 * payload) if answers else (0, 0))
    check.equal("whose it is", (fd.uid, fd.command, fd.pid),
                (os.getuid(), "python3", os.getpid()) if answers else (os.getuid(), "", 0))
    check.equal("clients have an fd each",
                {fd.inode for fd in image.fds if fd.total == 1 and fd.protocol == UDP}
                >= {os.fstat(one.fileno()).st_ino for one in clients}, True)
    net.compare(check, "nft", image, counted)
    for one in (server, *clients):
        one.close()


def owner(image, key):
    """The connection of that key, and its fd."""
    c = [c for c in image.connections if c.key == key][-1]
    return c, next(fd for fd in image.fds if fd.id == c.fd)


def owners(first):
    check.part("whose an fd is")
    server, client = Talker("server", user=ALICE), Talker("client")
    inner = Talker("inner", user=ALICE, wrap=["unshare", "--user", "--map-root-user"])
    host, port = server("listen", "listener", "127.0.0.1")
    mine = client("connect", "one", host, port)
    server("accept", "one", "listener")
    theirs = inner("connect", "one", host, port)
    server("accept", "two", "listener")
    client("send", "one", 100)
    server("receive", "one")
    server("send", "one", 200)
    inner("send", "one", 300)
    server("receive", "two")
    server("send", "two", 1)
    udp = server("udp", "udp", "127.0.0.1")
    client_udp = client("udp", "udp", "127.0.0.1")
    client("sendto", "udp", 50, *udp)
    server("receive", "udp")
    server("sendto", "udp", 60, *client_udp)
    end = lambda pair: (pair[0], int(pair[1]))
    image = module.image_at_rest()
    shown = {(one.key, kind): one for kind in "tu" for one in ss.sockets(first, kind=kind)}
    for title, talker, name, uid, key in (
        ("TCP client", client, "one", 0, (TCP, *end(mine), *end((host, port)))),
        ("TCP server", server, "one", ALICE, (TCP, *end((host, port)), *end(mine))),
        ("TCP client in a user namespace", inner, "one", ALICE, (TCP, *end(theirs), *end((host, port)))),
        ("TCP server of that one", server, "two", ALICE, (TCP, *end((host, port)), *end(theirs))),
        ("UDP server", server, "udp", ALICE, (UDP, *end(udp), *end(client_udp))),
        ("UDP client", client, "udp", 0, (UDP, *end(client_udp), *end(udp))),
    ):
        c, fd = owner(image, key)
        cgroup = os.stat(talker.cgroup).st_ino
        check.equal(f"{title}: inode, pid, command, uid, cgroup, namespace of its fd",
                    (fd.inode, fd.pid, fd.command, fd.uid, fd.cgroup, fd.netns),
                    (talker.inode(name), talker.pid, "python3", uid, cgroup, first.inode))
        check.equal(f"{title}: uid and cgroup of the connection", (c.uid, c.cgroup), (uid, cgroup))
        if key[0] == TCP:
            one = shown[key, "t"]
        else:
            # An unconnected socket has no far end in ss.
            one = next(one for (k, kind), one in shown.items() if kind == "u" and k[1:3] == key[1:3])
        check.equal(f"{title}: inode, uid, command, pid by ss",
                    (fd.inode, fd.uid, fd.command, fd.pid),
                    (one.ino, one.uid, one.users[0][0], int(one.users[0][1])))
        check.equal(f"{title}: cgroup by ss", f"/sys/fs/cgroup{one.values['cgroup']}", talker.cgroup)

    check.part("dup and fork do not count twice")
    fds_before = image.status["fds_total"]
    client("dup", "copy", "one")
    client("send", "copy", 1000)
    server("receive", "one")
    client("fork-send", "one", 2000)
    server("receive", "one")
    image = module.image_at_rest()
    key = (TCP, *end(mine), *end((host, port)))
    c, fd = owner(image, key)
    check.equal("payload sent by all together", (c.sent.payload, fd.sent.payload), (3100, 3100))
    check.equal("fds of that inode", [one.id for one in image.fds if one.inode == fd.inode], [fd.id])
    check.equal("fds in all", image.status["fds_total"], fds_before)
    check.equal("it belongs to who used it first", fd.pid, client.pid)
    for talker in (server, client, inner):
        talker.end()


def main():
    first = net.Namespace()
    net.count(first)
    module.load(timeout_closed=3600, timeout_fd=3600)
    mirror_images(first)
    many_clients(first, answers=True)
    many_clients(first, answers=False)
    owners(first)
    image, counted = net.rest([first], module.image_at_rest)
    net.compare(check, "nft, in the end", image, counted)
    module.audit()
    module.unload()
    check.finish()


main()
