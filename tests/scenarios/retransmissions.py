# SPDX-License-Identifier: MIT OR Apache-2.0
"""Retransmissions on wires that lose packets: against ss, the kernel's counters, and the wires' own."""

import socket
import threading

from lib import books, check, module, net, pace, ss, traffic, wire

SIZE = pace.sized(400_000, 100_000)
COUNTERS = ("TcpRetransSegs", "TcpExtTCPRetransFail", "TcpExtTCPSynRetrans")


def retransmitted(one):
    """ss's total of a socket: of `retrans:0/5` the 5."""
    return int(str(one.retrans).rpartition("/")[2])


def tells_failed():
    """Whether the kernel tells of retransmissions that it could not send: older ones do not."""
    return not module.lacks("retransmission_errors")


def against_ss(title, image, namespaces, forbidden=None):
    """Each open socket's total; ss counts as well what could not be sent, of the socket `forbidden`."""
    pairs = []
    for host in namespaces:
        for shown in ss.sockets(host, "ESTAB", "SYN-SENT"):
            c = wire.find(image, host, shown.key)
            quality = c.quality
            if shown.key == forbidden and not tells_failed():
                continue
            pairs.append((f"{host.name} {shown.key} segments",
                          quality.retransmitted_packets + quality.retransmissions_failed, retransmitted(shown)))
            if not quality.retransmissions_failed:
                pairs.append((f"{host.name} {shown.key} bytes", quality.retransmitted_bytes, shown.bytes_retrans))
            pairs.append((f"{host.name} {shown.key} payload", c.sent.payload, shown.bytes_sent))
    check.all_equal(f"{title}: open sockets equal ss", pairs)


def kernel(namespaces):
    values = [wire.counters(host) for host in namespaces]
    return {name: sum(one[name] for one in values) for name in COUNTERS}


def against_kernel(title, image, namespaces, before):
    now = kernel(namespaces)
    segments, failed, syn = (now[name] - before[name] for name in COUNTERS)
    quality = image.quality
    check.note(f"{segments} segments, {failed} of them failed, {syn} SYN and SYN-ACK")
    check.equal(f"{title}: the host's equal TcpRetransSegs less those that failed",
                quality.retransmitted_packets, segments - failed)
    # Of these the kernel counts those that came as far as IP.
    if tells_failed():
        check.that(f"{title}: failed ones are at least TCPRetransFail", quality.retransmissions_failed >= failed,
                   f"{quality.retransmissions_failed} >= {failed}")
    else:
        check.equal(f"{title}: failed ones, which this kernel does not tell", quality.retransmissions_failed, 0)
    for field in ("retransmitted_packets", "retransmitted_bytes", "retransmissions_failed"):
        check.equal(f"{title}: the host's {field} are its connections'", getattr(quality, field),
                    sum(getattr(c.quality, field) for c in image.connections))
    return segments, failed, syn


def bulk(a, b):
    """A transfer each way on connections of their own, and one that goes both ways."""
    pairs = []
    listener = traffic.tcp_listener(b, "10.0.1.2")
    for way in ("up", "down", "both"):
        near = traffic.tcp_connect(a, *listener.getsockname(), timeout=30)
        far, _ = listener.accept()
        far.settimeout(30 * pace.LONGER)
        flows = [(near, far)] * (way != "down") + [(far, near)] * (way != "up")
        senders = [threading.Thread(target=source.sendall, args=(bytes(SIZE),)) for source, _ in flows]
        readers = [threading.Thread(target=traffic.receive, args=(sink, SIZE)) for _, sink in flows]
        for thread in senders + readers:
            thread.start()
        for thread in senders + readers:
            thread.join(60)
        pairs.append((near, far))
    listener.close()
    return pairs


def losses(row, namespaces):
    check.part("bulk transfers over wires that lose 7 % each way")
    a, b = row.hosts
    for seed, (host, link) in enumerate(row.wires, 1):
        wire.netem(host, link, "delay", "2ms", "loss", "7%", "seed", seed)
    before = kernel(namespaces)
    wire.load(row)
    held = bulk(a, b)
    image = module.image_at_rest(quiet=1)
    against_ss("with losses", image, (a, b))
    segments, _, _ = against_kernel("with losses", image, namespaces, before)
    check.that("there were some", segments > 20, segments)
    lost = sum(wire.qdisc_drops(host, link) for host, link in row.wires)
    check.that("the wires lost some", lost > 20, lost)
    books.compare_mirrors(image, lost)
    check.equal("drops of the host: those that the wires lost, for the kernel's reason",
                [(drop.name, drop.packets) for drop in image.drops if drop.name == "QDISC_DROP"],
                [("QDISC_DROP", lost)])
    reason, = (drop.reason for drop in image.drops if drop.name == "QDISC_DROP")
    check.equal("and of their connections",
                sum(packets for c in image.connections for one, packets in c.drop_reasons if one == reason), lost)
    # What TCP drops itself has left its device and its route, so it need not name a connection.
    booked = sum(c.quality.drops for c in image.connections)
    check.that("no connection has drops that the host has not", lost <= booked <= image.quality.drops,
               (lost, booked, image.quality.drops))
    module.audit("with losses")
    for pair in held:
        for one in pair:
            one.close()
    module.unload()
    for host, link in row.wires:
        host.sh("tc", "qdisc", "del", "dev", link, "root")


def holes(row, namespaces):
    check.part("a SYN that is lost, a SYN-ACK that is lost, and sending that is forbidden")
    a, b = row.hosts
    for host, rule in ((b, "tcp dport 9"), (a, "tcp sport 10 tcp flags & (syn | ack) == (syn | ack)")):
        host.sh("nft", "-f", "-", input=f"""table ip holes {{
            chain in {{ type filter hook prerouting priority raw; {rule} counter drop; }};
            chain out {{ type filter hook output priority 0; }};
            }}""")
    before = kernel(namespaces)
    wire.load(row)
    with a.inside():
        hole = socket.socket()
        late = socket.socket()
    listener = traffic.tcp_listener(b, "10.0.1.2", 10)
    other = traffic.tcp_listener(b, "10.0.1.2")
    near = traffic.tcp_connect(a, *other.getsockname())
    far, _ = other.accept()
    other.close()
    for one, port in ((hole, 9), (late, 10)):
        one.setblocking(False)
        one.connect_ex(("10.0.1.2", port))
    # What was never sent is not sent again: it has to be lost first.
    b.sh("nft", "-f", "-", input="add rule ip holes in tcp dport != { 9, 10 } counter drop")
    near.send(bytes(1000))
    a.sh("nft", "-f", "-", input="add rule ip holes out tcp dport != { 9, 10 } counter drop")
    name = "TcpExtTCPRetransFail"
    was = wire.counters(a)[name]
    check.that("sending again what was lost is forbidden", traffic.wait_for(lambda: wire.counters(a)[name] > was))
    # At once: between the two a SYN into the hole would be answered.
    b.sh("nft", "-f", "-", input="flush chain ip holes in; add rule ip holes in tcp dport 9 counter drop")
    key = (6, *hole.getsockname(), "10.0.1.2", 9)
    waits = lambda: wire.find(module.image(), a, key).quality.retransmitted_packets >= 2
    check.that("the SYN into the hole is sent again, twice", traffic.wait_for(waits, 20, 0.2))
    a.sh("nft", "flush", "table", "ip", "holes")
    far.recv(1000)
    late.setblocking(True)
    late.settimeout(20 * pace.LONGER)
    listener.settimeout(20 * pace.LONGER)
    check.that("what was late is connected", traffic.wait_for(
        lambda: any(one.key[-1] == 10 for one in ss.sockets(a, "ESTAB")), 20, 0.2))
    accepted, _ = listener.accept()
    listener.close()
    # The one into the hole goes on retransmitting: its socket has to go.
    sent_again = lambda: wire.find(module.image(), a, key).quality.retransmitted_packets
    mine, theirs = sent_again(), None
    while mine != theirs:
        # It may go once more between two readings.
        shown = next(one for one in ss.sockets(a, "SYN-SENT") if one.key == key)
        theirs, before_it = retransmitted(shown), mine
        mine = sent_again()
        if mine == before_it:
            break
    check.equal("the SYN into the hole: as ss says", mine, theirs)
    hole.close()
    image = module.image_at_rest()
    against_ss("afterwards", image, (a, b), forbidden=traffic.ends(near))
    server = wire.find(image, b, traffic.ends(accepted))
    check.that("the SYN-ACK was sent again", server.quality.retransmitted_packets > 0, server.quality)
    segments, failed, syn = against_kernel("afterwards", image, namespaces, before)
    check.that("SYN and SYN-ACK, and what was forbidden", syn >= 3 and failed > 0, (segments, failed, syn))
    quality = wire.find(image, a, traffic.ends(near)).quality
    # A FIN of the part before may have been forbidden, too.
    if tells_failed():
        check.that("retransmissions that were forbidden are failed ones of that connection",
                   0 < quality.retransmissions_failed <= failed, (quality.retransmissions_failed, failed))
    module.audit("afterwards")
    for one in (near, far, late, accepted):
        one.close()
    module.unload()


def main():
    row = wire.Row("a", "b")
    namespaces = (*row.hosts, net.Namespace())
    losses(row, namespaces)
    holes(row, namespaces)
    check.finish()


main()
