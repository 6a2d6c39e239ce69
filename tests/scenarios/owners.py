# SPDX-License-Identifier: MIT OR Apache-2.0
"""Traffic is booked to the socket that has it: with SO_REUSEPORT and a program that selects, with multicast, after a
restart, with a receiver that comes later, in a PID namespace, and after a segment that the kernel answers itself."""
# Only on: stock

import contextlib
import ctypes
import os
import re
import socket
import struct
import time

from lib import check, module, net, traffic

TCP, UDP = 6, 17
SO_ATTACH_REUSEPORT_CBPF = 51
SO_ATTACH_REUSEPORT_EBPF = 52
IP_MULTICAST_ALL, IPV6_MULTICAST_ALL = 49, 29


def datagrams(namespace, family=socket.AF_INET, to=None, **options):
    with namespace.inside():
        one = socket.socket(family, socket.SOCK_DGRAM)
    one.settimeout(10)
    for name in options:
        one.setsockopt(socket.SOL_SOCKET, getattr(socket, name), 1)
    if to:
        one.bind(to)
    return one


def inode(one):
    return os.fstat(one.fileno()).st_ino


def of(image, namespace, protocol=UDP, **fields):
    return [c for c in image.connections if c.netns == namespace.inode and c.protocol == protocol
            and all(getattr(c, name) == value for name, value in fields.items())]


def received(image, namespace, port):
    """Packets received on a port, by the inode of the owner."""
    owners = {f.id: f.inode for f in image.fds}
    found = {}
    for c in of(image, namespace, local_port=port):
        key = owners.get(c.fd)
        found[key] = found.get(key, 0) + c.received.packets
    return {key: number for key, number in found.items() if number}


def drain(one):
    number = 0
    one.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            one.recv(2000)
            number += 1
    return number


def reuseport(a, b):
    check.part("SO_REUSEPORT, with a classic program that selects the second socket")
    sockets = [datagrams(b, to=("10.0.0.2", 4000), SO_REUSEPORT=1) for _ in range(3)]
    # BPF_RET | BPF_K
    code = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 1))
    sockets[0].setsockopt(socket.SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, struct.pack("HP", 1, ctypes.addressof(code)))
    clients = [datagrams(a) for _ in range(30)]
    for one in clients:
        for _ in range(2):
            one.sendto(bytes(10), ("10.0.0.2", 4000))
    image = module.image_at_rest()
    got = {inode(one): drain(one) for one in sockets}
    check.equal("what each socket received", received(image, b, 4000), {key: n for key, n in got.items() if n})
    check.equal("the program decided", [drain(one) for one in sockets] and [got[inode(one)] for one in sockets], [0, 60, 0])
    for one in (*sockets, *clients):
        one.close()

    check.part("SO_REUSEPORT, where the kernel's hash selects")
    sockets = [datagrams(b, to=("10.0.0.2", 4001), SO_REUSEPORT=1) for _ in range(3)]
    clients = [datagrams(a) for _ in range(60)]
    for one in clients:
        one.sendto(bytes(10), ("10.0.0.2", 4001))
    image = module.image_at_rest()
    got = {inode(one): drain(one) for one in sockets}
    check.equal("what each socket received", received(image, b, 4001), {key: n for key, n in got.items() if n})
    check.that("more than one did", sum(n > 0 for n in got.values()) > 1, got)
    for one in (*sockets, *clients):
        one.close()


def multicast(a, b):
    for family, group, port in ((socket.AF_INET, "239.1.1.1", 5353), (socket.AF_INET6, "ff05::1:3", 5354)):
        check.part(f"several sockets on the port, of which some have joined {group}")
        if family == socket.AF_INET:
            for host, link in ((a, "va"), (b, "vb")):
                host.sh("ip", "route", "add", "239.0.0.0/8", "dev", link)
        with b.inside():
            index = socket.if_nametoindex("vb")
        with a.inside():
            out = socket.if_nametoindex("va")
        sockets = {}
        for name, joins in (("early bystander", False), ("member", True), ("other member", True), ("bystander", False)):
            one = datagrams(b, family, SO_REUSEADDR=1)
            if family == socket.AF_INET:
                one.setsockopt(socket.IPPROTO_IP, IP_MULTICAST_ALL, 0)
                one.bind(("", port))
                if joins:
                    one.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                                   socket.inet_aton(group) + socket.inet_aton("10.0.0.2"))
            else:
                one.setsockopt(socket.IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0)
                one.bind(("::", port))
                if joins:
                    one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP,
                                   socket.inet_pton(family, group) + struct.pack("I", index))
            sockets[inode(one)] = name, one
        sender = datagrams(a, family)
        if family == socket.AF_INET:
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("10.0.0.1"))
        else:
            sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, out)
        for _ in range(20):
            sender.sendto(bytes(100), (group, port))
        image = module.image_at_rest()
        got = {name: drain(one) for name, one in sockets.values()}
        check.equal("members got all, others nothing", got,
                    {"early bystander": 0, "member": 20, "other member": 20, "bystander": 0})
        owned = received(image, b, port)
        check.equal("it counts once", sum(owned.values()), 20)
        check.that("for a member", all(sockets.get(key, ("none",))[0].endswith("member") for key in owned), owned)
        for _, one in sockets.values():
            one.close()
        sender.close()


def restarted(a, b):
    check.part("a program with a fixed port that is started again")
    sink = datagrams(b, to=("10.0.0.2", 123))

    def send(number):
        one = datagrams(a, to=("10.0.0.1", 123))
        mine = inode(one)
        for _ in range(number):
            one.sendto(bytes(48), ("10.0.0.2", 123))
        one.close()
        return mine

    inodes = [send(number) for number in (5, 20, 7)]
    image = module.image_at_rest()
    owners = {f.id: f.inode for f in image.fds}
    check.equal("what each socket sent", [(owners.get(c.fd), c.sent.packets) for c in of(image, a, remote_port=123)],
                list(zip(inodes, (5, 20, 7))))
    sink.close()

    check.part("a server that is started again under its clients")
    one = datagrams(a)
    inodes = []
    for number in (5, 20):
        server = datagrams(b, to=("10.0.0.2", 124))
        inodes.append(inode(server))
        for _ in range(number):
            one.sendto(bytes(48), ("10.0.0.2", 124))
            server.recv(100)
        server.close()
    image = module.image_at_rest()
    check.equal("what each server received", received(image, b, 124), dict(zip(inodes, (5, 20))))
    one.close()


def late(a, b):
    check.part("a receiver that comes after the first packet, and never answers")
    one = datagrams(a)
    one.sendto(bytes(10), ("10.0.0.2", 514))
    time.sleep(1.5)
    server = datagrams(b, to=("10.0.0.2", 514))
    for _ in range(5):
        time.sleep(0.5)
        with contextlib.suppress(ConnectionRefusedError):
            one.sendto(bytes(10), ("10.0.0.2", 514))
    image = module.image_at_rest()
    got = drain(server)
    owners = {f.id: f.inode for f in image.fds}
    mine = of(image, b, local_port=514)
    check.that("the receiver got what came later", got >= 4, got)
    check.equal("it is the owner", [owners.get(c.fd) for c in mine], [inode(server)])
    one.close()
    server.close()


def containers(a, b):
    check.part("in a PID namespace")
    script = f'''
import os, socket
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
one.sendto(b"x", ("10.0.0.2", 6000))
lines = open("/proc/mutex/fds").read().splitlines()
columns = lines[1].split()
for line in lines[2:]:
    row = dict(zip(columns, line.split()))
    if int(row["inode"]) == os.fstat(one.fileno()).st_ino:
        print("pid", os.getpid(), row["pid"])
    elif row["pid"] != "0":
        print("other", row["pid"])
'''
    # A process of this namespace, which the container does not see.
    outside = datagrams(a)
    outside.sendto(b"x", ("10.0.0.2", 6001))
    done = a.run("unshare", "--pid", "--fork", "--mount-proc", "python3", "-c", script)
    own = re.findall(r"^pid (\d+) (\S+)$", done.stdout, re.M)
    check.that("a reader sees its own pid as getpid() gives it", len(own) == 1 and own[0][0] == own[0][1],
               done.stdout + done.stderr)
    check.equal("and none of processes that it does not see", re.findall(r"^other (\S+)$", done.stdout, re.M), [])
    mine = [f for f in module.image().fds if f.inode == inode(outside)]
    check.equal("outside it is the pid of this namespace", [f.pid for f in mine], [os.getpid()])
    outside.close()


def forged(a, b):
    check.part("a segment that fits no window, before the connection is accepted")
    listener = traffic.tcp_listener(b, "10.0.0.2", 90)
    with a.inside():
        liar = socket.socket(socket.AF_INET, socket.SOCK_RAW, TCP)
    # The client's ACK is held back, so that the server stays in SYN-RECV.
    a.sh("nft", "add table ip hold; add chain ip hold out { type filter hook output priority 100; }; "
         "add rule ip hold out tcp dport 90 tcp flags & (syn|ack) == ack drop")
    with a.inside():
        one = socket.socket()
    one.bind(("10.0.0.1", 45000))
    one.settimeout(10)
    one.connect(("10.0.0.2", 90))

    def segment(sequence, flags):
        header = struct.pack("!HHIIBBHHH", 45000, 90, sequence, 1, 0x50, flags, 512, 0, 0)
        pseudo = socket.inet_aton("10.0.0.1") + socket.inet_aton("10.0.0.2") + struct.pack("!HH", TCP, len(header))
        total = sum(struct.unpack(f"!{(len(pseudo) + len(header)) // 2}H", pseudo + header))
        total = (total >> 16) + (total & 0xffff)
        return header[:16] + struct.pack("!H", ~(total + (total >> 16)) & 0xffff) + header[18:]

    sent = lambda: sum(c.sent.packets for c in of(module.image(), b, TCP, remote_port=45000))
    before = sent()
    # A SYN out of the window, which no rule holds back, is answered with an ACK by a socket of the kernel's.
    liar.sendto(segment(12345, 2), ("10.0.0.2", 0))
    answered = traffic.wait_for(lambda: sent() > before, 5)
    a.sh("nft", "delete table ip hold")
    one.sendall(bytes(100))
    listener.settimeout(10)
    far, _ = listener.accept()
    traffic.receive(far, 100)
    far.sendall(bytes(50))
    traffic.receive(one, 50)
    image = module.image_at_rest()
    owners = {f.id: f.inode for f in image.fds}
    check.that("the kernel answered it", answered)
    check.equal("the connection has its owner", [owners.get(c.fd) for c in of(image, b, TCP, remote_port=45000)],
                [inode(far)])
    for sock in (one, far, listener, liar):
        sock.close()


def main():
    module.load(timeout_one_way=600, timeout_two_way=600, timeout_closed=600)
    a, b = net.Namespace("a"), net.Namespace("b")
    net.veth(a, "va", b, "vb")
    for host, link, number in ((a, "va", 1), (b, "vb", 2)):
        net.address(host, link, f"10.0.0.{number}/24", f"fd00::{number}/64")
        net.up(host, link)
    net.settle(a, b)
    reuseport(a, b)
    multicast(a, b)
    restarted(a, b)
    late(a, b)
    containers(a, b)
    forged(a, b)
    module.audit()
    module.unload()
    check.finish()


main()
