# SPDX-License-Identifier: MIT OR Apache-2.0
"""What the kernel says of its sockets decides, not what packets pretend."""

import array
import os
import socket
import struct
import time

from lib import check, module, net, pace, ss, traffic

TCP, UDP = 6, 17


def find(image, namespace, key):
    return next((c for c in image.connections if (c.netns, c.key) == (namespace.inode, key)), None)


def forged(a, b):
    check.part("a reset that the socket does not believe")
    listener = traffic.tcp_listener(b, "10.0.0.2")
    near = traffic.tcp_connect(a, *listener.getsockname())
    far, _ = listener.accept()
    near.sendall(bytes(100))
    traffic.receive(far, 100)
    _, _, port, _, to = traffic.ends(near)
    with b.inside():
        liar = socket.socket(socket.AF_INET, socket.SOCK_RAW, TCP)
    header = struct.pack("!HHIIBBHHH", to, port, 12345, 0, 0x50, 4, 0, 0, 0)
    pseudo = socket.inet_aton("10.0.0.2") + socket.inet_aton("10.0.0.1") + struct.pack("!HH", TCP, len(header))
    total = sum(struct.unpack(f"!{(len(pseudo) + len(header)) // 2}H", pseudo + header))
    total = (total >> 16) + (total & 0xffff)
    header = header[:16] + struct.pack("!H", ~(total + (total >> 16)) & 0xffff) + header[18:]
    liar.sendto(header, ("10.0.0.1", 0))
    time.sleep(0.3)
    image = module.image_at_rest()
    c = find(image, a, traffic.ends(near))
    check.equal("ss still has it", [one.key for one in ss.sockets(a, "ESTAB")], [traffic.ends(near)])
    check.equal("so has MUTEX, and counts the reset", (c.state, c.flags, c.quality.resets),
                ("established", set(), 1))
    near.sendall(bytes(50))
    traffic.receive(far, 50)
    check.equal("and it goes on", find(module.image_at_rest(), a, traffic.ends(near)).sent.payload, 150)
    for one in (near, far, listener, liar):
        one.close()


def closed(a, b):
    check.part("a UDP socket that is closed ends its connections")
    with b.inside():
        sinks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(5)]
    for sink in sinks:
        sink.bind(("10.0.0.2", 0))
    with a.inside():
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for sink in sinks:
        one.sendto(b"hello", sink.getsockname())
    port = one.getsockname()[1]
    mine = lambda: [c for c in module.image().connections
                    if c.netns == a.inode and c.protocol == UDP and c.local_port == port]
    check.equal("it has five", [c.closed for c in mine()], [0] * 5)
    one.close()
    if not pace.IS_UML:
        check.that("they end soon", traffic.wait_for(lambda: all(c.closed for c in mine()), 10, 0.1))
        check.equal("not by a timeout", [c.flags for c in mine()], [set()] * 5)
        check.that("and their fd goes", traffic.wait_for(
            lambda: not [f for f in module.image().fds if f.netns == a.inode and f.protocol == UDP and f.active], 10, 0.1))
    else:
        check.note("User Mode Linux has no kprobes: they end by their timeout")
    for sink in sinks:
        sink.close()


def passed(a, b):
    check.part("a socket that is passed to another process is one fd")
    with b.inside():
        sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sink.bind(("10.0.0.2", 0))
    with a.inside():
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.sendto(bytes(10), sink.getsockname())
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        one.close()
        _, rights, _, _ = theirs.recvmsg(1, socket.CMSG_SPACE(4))
        got = socket.socket(fileno=array.array("i", rights[0][2])[0])
        got.sendto(bytes(20), sink.getsockname())
        os._exit(0)
    ours.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [one.fileno()]))])
    os.waitpid(child, 0)
    image = module.image_at_rest()
    inode = os.fstat(one.fileno()).st_ino
    found = [f for f in image.fds if f.inode == inode]
    check.equal("one fd, of who sent first, with all of it",
                [(f.pid, f.active, f.total, f.sent.payload) for f in found], [(os.getpid(), 1, 1, 30)])
    for sock in (one, sink, ours, theirs):
        sock.close()


def main():
    a, b = net.Namespace("a"), net.Namespace("b")
    net.veth(a, "va", b, "vb")
    net.address(a, "va", "10.0.0.1/24")
    net.address(b, "vb", "10.0.0.2/24")
    module.load(timeout_one_way=600, timeout_closed=600)
    net.up(a, "va")
    net.up(b, "vb")
    forged(a, b)
    closed(a, b)
    passed(a, b)
    module.audit()
    module.unload()
    check.finish()


main()
