# SPDX-License-Identifier: MIT OR Apache-2.0
"""The same traffic on every kernel, whose totals are known beforehand: sent, forwarded by a router, received."""

import socket

from lib import check, module, traffic, wire

DATAGRAMS, SIZE = 1000, 100
ECHOES = 20
RAW, RAW_SIZE, PROTOCOL = 50, 64, 253
ROUNDS, QUESTION, ANSWER = 40, 300, 700


def main():
    row = wire.Row("a", "r", "b")
    a, r, b = row.hosts
    module.load(timeout_closed=600)

    with b.inside():
        sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        raw_sink = socket.socket(socket.AF_INET, socket.SOCK_RAW, PROTOCOL)
    sink.bind(("10.0.2.2", 0))
    sink.settimeout(10)
    with a.inside():
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, PROTOCOL)
    client.connect(sink.getsockname())
    for _ in range(DATAGRAMS):
        client.send(bytes(SIZE))
        sink.recv(SIZE)
    udp = traffic.ends(client)
    for _ in range(RAW):
        raw.sendto(bytes(RAW_SIZE), ("10.0.2.2", 0))
        raw_sink.recv(2000)
    listener = traffic.tcp_listener(b, "10.0.2.2")
    near = traffic.tcp_connect(a, "10.0.2.2", listener.getsockname()[1])
    far, _ = listener.accept()
    for _ in range(ROUNDS):
        near.sendall(bytes(QUESTION))
        traffic.receive(far, QUESTION)
        far.sendall(bytes(ANSWER))
        traffic.receive(near, ANSWER)
    tcp = traffic.ends(near)
    a.sh("ping", "-q", "-n", "-c", ECHOES, "-i", "0.05", "-s", 56, "10.0.2.2")
    image = module.audit()

    for host, mine, direction in (a, udp, "sent"), (r, udp, "sent"), (b, traffic.mirrored(udp), "received"):
        counted = getattr(wire.find(image, host, mine), direction)
        check.equal(f"UDP at {host.name}", tuple(counted),
                    (DATAGRAMS, DATAGRAMS, DATAGRAMS * (SIZE + 28), DATAGRAMS * SIZE))
    for host, direction in (a, "sent"), (r, "sent"), (b, "received"):
        found = [c for c in image.connections if c.netns == host.inode and c.protocol == PROTOCOL]
        check.equal(f"protocol {PROTOCOL} at {host.name}", [tuple(getattr(c, direction)) for c in found],
                    [(RAW, RAW, RAW * (RAW_SIZE + 20), RAW * RAW_SIZE)])
    for host in row.hosts:
        echoes = [c for c in image.connections if c.netns == host.inode and c.protocol == 1]
        check.equal(f"echoes at {host.name}", [(tuple(c.sent), tuple(c.received)) for c in echoes],
                    [((ECHOES, ECHOES, ECHOES * 84, ECHOES * 56),) * 2])
    for host, mine, sent, received in ((a, tcp, QUESTION, ANSWER), (r, tcp, QUESTION, ANSWER),
                                       (b, traffic.mirrored(tcp), ANSWER, QUESTION)):
        found = wire.find(image, host, mine)
        again = wire.find(image, a, tcp).quality, wire.find(image, b, traffic.mirrored(tcp)).quality
        check.equal(f"TCP payload at {host.name}, but for what was sent again",
                    (found.sent.payload + found.received.payload - sum(one.retransmitted_bytes for one in again)),
                    ROUNDS * (sent + received))
    module.unload()
    check.finish()


main()
