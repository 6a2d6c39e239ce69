# SPDX-License-Identifier: MIT OR Apache-2.0
"""Real programs between two ends, and MUTEX's numbers against everybody else's.

nft's counters, what the programs say they moved, captures of what went over the wire, ss, and the
kernel's statistics: packet for packet and byte for byte.
"""

import json

from lib import check, module, net, pcap, ss, traffic, unread

TCP, UDP = 6, 17


def workload(client, server, address4, address6):
    """Everything once; the claims of the programs, and connections that are still open."""
    claims, held = [], []
    with traffic.Servers(server):
        for address in (address4, address6):
            claims += traffic.iperf_tcp(client, server, address)
            claims += traffic.iperf_udp(client, server, address)
            claims += traffic.download(client, server, address)
            claims += traffic.resolve(client, server, address)
            claims += traffic.ping(client, server, address)
            claims += traffic.short_connections(client, server, address)
            held.append(traffic.Held(client, server, address))
    return claims, held


def compare_ss(image, namespaces, held, gone, dropped=0):
    """Open connections against ss, every packet and every byte of payload; closed ones against
    the payload that ss saw at their end. Of a sender ss does not say what arrived of what it sent,
    if the link dropped some."""
    passive = {traffic.ends(far) for pair in held for _, far in pair.pairs}
    open_now = {}
    for namespace in namespaces:
        for socket in ss.sockets(namespace, "ESTAB"):
            open_now[namespace.inode, socket.key] = socket
    mine = {(c.netns, c.key): c for c in image.connections}
    inode_of = {socket.key: where for where, socket in open_now.items()}
    pairs = [("open connections", len(open_now), 2 * sum(len(pair.pairs) for pair in held))]
    for where, socket in open_now.items():
        c = mine.get(where)
        # Of the side that was connected to, ss does not count the SYN-ACK.
        opening = socket.key in passive
        peer = open_now[inode_of[traffic.mirrored(socket.key)]]
        pairs += [
            (f"{socket.key} state", c.state, "established"),
            (f"{socket.key} payload sent", c.sent.payload, socket.bytes_sent),
            (f"{socket.key} packets sent", c.sent.packets, socket.segs_out + opening),
            (f"{socket.key} packets received", c.received.packets, socket.segs_in),
        ]
        least, most = socket.bytes_received, ss.arrived(socket, peer)
        arrived = c.received.payload
        if dropped and least <= arrived <= most:
            continue
        pairs.append((f"{socket.key} payload received", arrived, most))
    check.all_equal("open connections equal ss -ti", pairs)

    pairs = []
    for c in image.connections:
        if c.protocol == TCP and c.state != "established":
            sockets = gone.get(c.key)
            # A key may have been used twice; then the last one's payload is not to be told apart.
            if sockets and len(sockets) == 1:
                pairs.append((f"{c.key} payload sent", c.sent.payload, sockets[0].bytes_sent))
    check.all_equal("closed connections equal ss -E", pairs)


def compare_capture(image, flows, segmented):
    """What went over the wire, of each flow."""
    pairs = []
    sent, received = {}, {}
    for c in image.connections:
        if c.protocol in (TCP, UDP) and c.sent.packets:
            sent[c.key] = sent[c.key] + c.sent if c.key in sent else c.sent
        received[c.key] = received.get(c.key, 0) + c.received.buffers
    ports = {key: seen for key, seen in flows.items() if key[0] in (TCP, UDP)}
    for key, (frames, size, payload) in ports.items():
        mine = sent.pop(key, None)
        if mine is None:
            pairs.append((f"{key}", None, (frames, size, payload)))
        elif segmented:
            pairs.append((f"{key}", (mine.packets, mine.bytes, mine.payload), (frames, size, payload)))
        else:
            # The frames are super-packets, and arrive as they are.
            theirs = received.get(traffic.mirrored(key))
            pairs.append((f"{key}", (theirs, mine.payload), (frames, payload)))
    pairs += ((f"{key}", tuple(traffic), None) for key, traffic in sent.items())
    check.all_equal("flows equal the captures", pairs)


def compare_mirrors(image, dropped):
    """What one end sent is what the other received, less what the link dropped."""
    by_key = {}
    for c in image.connections:
        by_key.setdefault(c.key, []).append(c)
    pairs, lost = [], 0
    for key, found in by_key.items():
        protocol, _, nport, _, fport = key
        if protocol not in (TCP, UDP) and not nport + fport:
            continue
        theirs = by_key.get(traffic.mirrored(key), [])
        sent = [sum(values) for values in zip(*(c.sent for c in found))]
        received = [sum(values) for values in zip(*(c.received for c in theirs))] or [0] * 4
        lost += sent[0] - received[0]
        if not dropped:
            pairs.append((f"{key}", (received[0], *received[2:]), (sent[0], *sent[2:])))
    if dropped:
        check.equal("packets that were sent and not received: those that the link dropped", lost, dropped)
    else:
        check.all_equal("packets, bytes and payload sent are those received", pairs)


def compare_snmp(image, namespaces, udp_before, left):
    """The kernel's own counts of UDP datagrams. It counts one that is received when it is read, so there are
    besides those that the servers, in the last namespace, `left` unread."""
    pairs = []
    for namespace in namespaces:
        now = udp_counts(namespace)
        was = udp_before[namespace]
        mine = [c for c in image.connections if c.netns == namespace.inode and c.protocol == UDP]
        pairs += [(f"{namespace.name} sent", sum(c.sent.packets for c in mine), now["out"] - was["out"]),
                  (f"{namespace.name} received", sum(c.received.packets for c in mine),
                   now["in"] - was["in"] + (left if namespace is namespaces[-1] else 0))]
    check.all_equal("UDP datagrams equal the kernel's statistics", pairs)


def udp_counts(namespace):
    """Datagrams out and in, delivered or not, of both families."""
    values = {}
    with namespace.inside():
        lines = open("/proc/thread-self/net/snmp").read().splitlines()
        for names, numbers in zip(lines[::2], lines[1::2]):
            prefix, *names = names.split()
            values.update((prefix + name, int(number)) for name, number in zip(names, numbers.split()[1:]))
        for line in open("/proc/thread-self/net/snmp6"):
            name, number = line.split()
            values[name] = int(number)
    return {
        "out": values["Udp:OutDatagrams"] + values["Udp6OutDatagrams"],
        "in": sum(values[name] for name in (
            "Udp:InDatagrams", "Udp:InErrors", "Udp:NoPorts",
            "Udp6InDatagrams", "Udp6InErrors", "Udp6NoPorts")),
    }


def dropped_by(*links):
    """Packets that the links say they dropped."""
    total = 0
    for namespace, link in links:
        statistics = json.loads(namespace.sh("ip", "-s", "-j", "link", "show", link))[0]["stats64"]
        total += statistics["rx"]["dropped"] + statistics["tx"]["dropped"]
    return total


def run(title, looped, segmented, exact, **features):
    """One setting. `segmented`: the captures see wire packets; `exact`: so does nft."""
    check.part(title)
    a = net.Namespace("a", loopback=not looped)
    b = a if looped else net.Namespace("b")
    links = [(a, "lo")] if looped else [(a, "va"), (b, "vb")]
    if not looped:
        net.veth(a, "va", b, "vb")
        net.address(a, "va", "10.0.0.1/24", "fd00::1/64")
        net.address(b, "vb", "10.0.0.2/24", "fd00::2/64")
    for namespace, link in links:
        if features:
            net.offloads(namespace, link, **features)
        if exact:
            # TCP hands down super-packets, and has them segmented by software, whatever ethtool says.
            namespace.sh("ip", "link", "set", link, "gso_max_segs", 1)
    namespaces = list(dict.fromkeys((a, b)))
    first = net.Namespace()
    for namespace in (*namespaces, first):
        net.count(namespace)
    # Everything stays visible until the end.
    module.load(timeout_closed=3600, timeout_one_way=3600, timeout_two_way=3600, timeout_icmp=3600,
                timeout_fd=3600)
    for namespace, link in links:
        net.up(namespace, link)
    net.settle(*namespaces)

    udp_before = {namespace: udp_counts(namespace) for namespace in namespaces}
    captures = [pcap.Capture(namespace, link, f"/tmp/{link}.pcap") for namespace, link in links]
    watchers = [ss.Gone(namespace) for namespace in namespaces]
    left_unread = unread.Watch()
    claims, held = workload(a, b, *(("127.0.0.1", "::1") if looped else ("10.0.0.2", "fd00::2")))
    gone = {}
    for watcher in watchers:
        for key, sockets in watcher.end().items():
            gone.setdefault(key, []).extend(sockets)
    image, counted = net.rest((*namespaces, first), module.image_at_rest)
    flows = {}
    for capture in captures:
        flows.update(capture.end())
    # A socket goes a grace period after it was closed, and each image waits for one.
    left = left_unread.end()

    net.compare(check, "nft", image, counted, exact=("sent", "received") if exact else ())
    retransmitted = sum(one.bytes_retrans for sockets in gone.values() for one in sockets)
    check.note(f"retransmitted: {retransmitted} bytes")
    dropped = 0 if looped else dropped_by(*links)
    check.note(f"dropped by the link: {dropped}")
    traffic.compare(check, "payload", image, claims, gone, dropped)
    compare_ss(image, namespaces, held, gone, dropped)
    compare_capture(image, flows, segmented)
    compare_mirrors(image, dropped)
    check.note(f"datagrams that a server left unread: {left}")
    compare_snmp(image, namespaces, udp_before, left)
    merged = [sum(c.sent.packets - c.sent.buffers for c in image.connections),
              sum(c.received.packets - c.received.buffers for c in image.connections)]
    check.note(f"packets beyond buffers, sent and received: {merged}")
    if exact:
        check.equal("every buffer is a packet", merged, [0, 0])
    elif not looped:
        # The MTU of loopback is as large as a super-packet, so there need not be any.
        check.that("there are super-packets each way", min(merged) > 0, merged)
    check.equal("nothing is untracked", {r: t for r, t in image.untracked.items() if any(map(any, t.values()))}, {})
    for pair in held:
        pair.close()
    module.audit()
    module.unload()
    first.sh("nft", "flush", "ruleset")
    for namespace in namespaces:
        namespace.delete()
