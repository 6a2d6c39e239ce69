# SPDX-License-Identifier: MIT OR Apache-2.0
# Only on: stock uml
"""Peers of real WireGuard devices: two daemons in namespaces, a message server between them, and a node that speaks for others.

The judges are wg, the kernel's own counters of interfaces, promtool and SQLite. The module has no part in it.
"""

import base64
import json
import os
import random
import re
import socket
import sqlite3
import time

from lib import check, net
from lib.daemon import PATIENCE, Daemon, fill, promtool_reads, rows, until

# A file system of its own, so that it can be full.
FOLDER = "/tmp/peers"
DATABASE = f"{FOLDER}/hub/peers.sqlite"
PEERS = 250
# So many of them have addresses that could be pinged, where nobody answers.
SILENT = 30
# One has more allowed IPs than fit into a message.
WIDE = 600
# The example's configuration of the message server, with these names and what it takes of a message.
SERVER = "/work/fleet/nats-server.conf"
NODES = {"host1": "hub", "host2": "edge", "host3": "rogue"}
MAX_PAYLOAD = 32768
# Where nobody is; a host that is asked to send something there looks for it on the wire.
NOWHERE = "10.0.0.77"


def sample(metrics, family, **labels):
    """The value of the sample of that name with at least these labels, None if there is none."""
    for line in metrics.splitlines():
        found = line.startswith(family) and re.fullmatch(rf"{family}(?:{{(.*)}})? (\S+)", line)
        if found and dict(re.findall(r'(\w+)="([^"]*)"', found[1] or "")).items() >= labels.items():
            return float(found[2])
    return None


def dump(host, link="wg0"):
    """wg's own list of peers."""
    rows = [line.split("\t") for line in host.sh("wg", "show", link, "dump").splitlines()[1:]]
    return {key: {"allowed": sorted(allowed.replace("(none)", "").split(",")), "handshake": int(handshake), "received": int(received),
                  "sent": int(sent)} for key, _, _, allowed, handshake, received, sent, _ in rows}


class World:
    def __init__(self):
        self.hub, self.edge = net.Namespace("hub"), net.Namespace("edge")
        net.veth(self.hub, "vh", self.edge, "ve")
        net.address(self.hub, "vh", "10.0.0.1/24")
        net.address(self.edge, "ve", "10.0.0.2/24")
        net.up(self.hub, "vh")
        net.up(self.edge, "ve")
        for host in (self.hub, self.edge):
            # As systemd has it; it is a namespace's own.
            host.sysctl("ipv4/ping_group_range", "0 2147483647")
        self.keys = {}
        # Nothing has to be UTF-8 here: an alias, as SNMP's ifAlias often is not, and a name.
        self.hub.sh("ip", "link", "set", "vh", "alias", "B\udcfcro")
        self.hub.sh("ip", "link", "add", "wg\udcff", "type", "wireguard")
        for host, link, port in ((self.hub, "wg0", 1000), (self.edge, "wg0", 1001), (self.edge, "wg1", 1002)):
            private = host.sh("wg", "genkey").strip()
            self.keys[host.name, link] = host.sh("wg", "pubkey", input=private).strip()
            host.sh("ip", "link", "add", link, "type", "wireguard")
            host.sh("wg", "set", link, "listen-port", port, "private-key", "/dev/stdin", input=private)
        self.four, self.six = self.keys["edge", "wg0"], self.keys["edge", "wg1"]
        numbers = random.Random(1)
        self.silent = [base64.b64encode(numbers.randbytes(32)).decode() for _ in range(PEERS - 2)]
        lines = []
        for number, key in enumerate(self.silent):
            lines += ["[Peer]", f"PublicKey={key}"]
            if number >= len(self.silent) - SILENT:
                lines.append(f"AllowedIPs=10.9.{number}.1/32")
            if number == len(self.silent) - SILENT:
                lines += [f"AllowedIPs=fd09::{more:x}/128" for more in range(1, WIDE)]
        # Where they are is said later: a first handshake that nobody answers is tried again after five seconds only.
        for key, allowed in ((self.four, "10.8.0.2/32"), (self.six, "fd08::2/128")):
            lines += ["[Peer]", f"PublicKey={key}", f"AllowedIPs={allowed}"]
        self.hub.sh("wg", "addconf", "wg0", "/dev/stdin", input="\n".join(lines) + "\n")
        net.address(self.hub, "wg0", "10.8.0.1/16", "fd08::1/64")
        net.up(self.hub, "wg0")
        for link, inside, address in (("wg0", "10.8.0.1/32", "10.8.0.2/16"), ("wg1", "fd08::1/128", "fd08::2/64")):
            self.edge.sh("wg", "set", link, "peer", self.keys["hub", "wg0"], "allowed-ips", inside)
            net.address(self.edge, link, address)

    def serve(self):
        """The message server."""
        with open(SERVER) as file:
            text = file.read().replace("10.0.0.10", "10.0.0.1")
        passwords = {}
        for example, node in NODES.items():
            text = text.replace(example, node).replace(example.upper(), node.upper())
            passwords[f"{node.upper()}_PASSWORD"] = f"password-{node}"
        with open(f"{FOLDER}/nats-server.conf", "w") as file:
            file.write(f"{text}\nmax_payload: {MAX_PAYLOAD}\n")
        self.server = self.hub.start("nats-server", "-c", f"{FOLDER}/nats-server.conf", env={**os.environ, **passwords})

    def stop_serving(self):
        self.server.terminate()
        self.server.wait(timeout=PATIENCE)


class Speaker:
    """A user of the message server that says what it likes."""

    def __init__(self, host, user):
        with host.inside():
            self.socket = socket.create_connection(("10.0.0.1", 4222), timeout=PATIENCE)
        self.lines = self.socket.makefile("rb")
        self.lines.readline()
        self.user, self.number = user, 0
        self.ask("CONNECT " + json.dumps({"verbose": False, "user": user, "pass": f"password-{user}"}))

    def ask(self, text):
        """What the server refuses."""
        self.socket.sendall(f"{text}\r\nPING\r\n".encode())
        refused = []
        while not (line := self.lines.readline().decode()).startswith("PONG"):
            if not line:
                raise RuntimeError(f"the message server hangs up: {refused}")
            if line.startswith("-ERR"):
                refused.append(line)
        return refused

    def publish(self, subject, message):
        text = json.dumps(message)
        return self.ask(f"PUB {subject} {len(text)}\r\n{text}")

    def tell(self, key, node=None, subject=None, **facts):
        """Tells all that a node has a new peer."""
        node = node or self.user
        self.number += 1
        event = {"node": node, "time_ns": time.time_ns(), "interface": "wg0", "kind": "peer_created", "public_key": key,
                 "endpoint": None, "allowed_ips": [], **facts}
        message = {"message": "event", "from": {"node": node, "epoch": 1, "number": self.number}, "event": event}
        return self.publish(subject or f"mutex.peers.{self.user}.all", message)


def settings(node, pings):
    with open(os.open(f"{FOLDER}/{node}.password", os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        file.write(f"password-{node}\n")
    return f"""
        [peers]
        node = "{node}"
        use_ping_checks = {pings}
        ping_check_workers = 20
        ping_check_interval = "2s"
        ping_check_timeout = "5s"
        data_collection_interval = "1s"
        event_capacity = 10000
        database = "{FOLDER}/{node}/peers.sqlite"
        [peers.fanout]
        enabled = true
        servers = ["nats://10.0.0.1:4222"]
        user = "{node}"
        password_file = "{FOLDER}/{node}.password"
    """


def shows(world, hub):
    check.part(f"{PEERS} peers")
    until("the kernel was asked", lambda: len(hub.peers()) == PEERS)
    mine, theirs = hub.peers(), dump(world.hub)
    check.all_equal("peers and their allowed IPs are those of wg", [("keys", sorted(mine), sorted(theirs))] + [
        (key, sorted(mine[key]["allowed_ips"]) or [""], theirs[key]["allowed"]) for key in theirs])
    metrics = hub.metrics()
    some = hub.ask("/peers", limit=7)
    check.equal("a list says what it leaves out", (len(some["peers"]), some["total"], some["truncated"]), (7, PEERS, True))
    check.equal("a name that is not UTF-8 is shown", sample(metrics, "wg_interface_up", interface=r"wg\\xff"), 0)
    check.equal("nobody has answered, so no address is shown", set(re.findall(r'address="([^"]*)"', metrics)), {""})
    check.equal("nobody is connected", sample(metrics, "wg_interface_peers", state="connected"), 0)


def answers(world, hub):
    check.part("handshakes and pings")
    net.up(world.edge, "wg0", "wg1")
    for key, port in ((world.four, 1001), (world.six, 1002)):
        world.hub.sh("wg", "set", "wg0", "peer", key, "endpoint", f"10.0.0.2:{port}")
    for key, address in ((world.four, "10.8.0.2"), (world.six, "fd08::2")):
        until(f"{address} answers, and is shown from then on", lambda: hub.peer(key)["address"] == address)
        until("its session has started, and it is told", lambda: {"session_changedstarted", "connection_changedTrue"}
              <= set(hub.kinds(key)))
    before = dump(world.hub), traffic_of(world.hub)
    # A scrape asks the kernel; the list shows what it said last.
    metrics, mine = hub.metrics(), hub.peers()
    after = dump(world.hub), traffic_of(world.hub)
    pairs = []
    for key in (world.four, world.six):
        first, last = before[0][key], after[0][key]
        for field, got in (("received", mine[key]["received_bytes"]), ("sent", mine[key]["sent_bytes"]),
                           ("handshake", mine[key]["handshake_ns"] // 10**9)):
            pairs.append((f"{key} {field}", first[field] <= got <= last[field], True))
        address = "10.8.0.2" if key == world.four else "fd08::2"
        pairs.append((f"{key} address", sample(metrics, "wg_peer_info", peer=key, address=address), 1))
        pairs.append((f"{key} state", sample(metrics, "wg_peer_connection_state", peer=key), 1))
    for direction in ("received", "sent"):
        got = sample(metrics, "wg_interface_bytes_total", interface="wg0", direction=direction)
        pairs.append((f"wg0 {direction}", before[1][direction] <= got <= after[1][direction], True))
    check.all_equal("traffic, handshakes and states are those of wg and of the interface", pairs)
    pings = mine[world.four]["pings"]
    check.that("every round trip is kept",
               0 < pings["min_ns"] <= pings["sum_ns"] / (pings["tried"] - pings["lost"]) <= pings["max_ns"], pings)
    promtool_reads(metrics)
    check.equal("of the silent ones none has answered",
                sum(peer["pings"]["tried"] > peer["pings"]["lost"] for peer in mine.values()), 2)


def traffic_of(host):
    stats = json.loads(host.sh("ip", "-s", "-j", "link", "show", "wg0"))[0]["stats64"]
    return {"received": stats["rx"]["bytes"], "sent": stats["tx"]["bytes"]}


def changes(world, hub):
    check.part("a session begins anew, a peer goes, a peer gets another key")
    key = world.four
    total = hub.peer(key)["received_bytes"]
    # Out and in again by one message, so that nobody sees it without.
    world.hub.sh("wg", "set", "wg0", "peer", key, "remove", "peer", key, "allowed-ips", "10.8.0.2/32",
                 "endpoint", "10.0.0.2:1001")
    until("the peer's session has begun again", lambda: hub.peer(key)["sessions"] >= 2 and hub.peer(key)["connected"])
    check.that("its traffic goes on", hub.peer(key)["received_bytes"] > total)
    check.that("the peer was never gone", "peer_removed" not in hub.kinds(key))
    gone = world.silent.pop()
    check.that("a peer is there", gone in hub.metrics())
    world.hub.sh("wg", "set", "wg0", "peer", gone, "remove")
    check.that("a peer that was removed has no metrics at the next scrape", gone not in hub.metrics())
    until("it is told", lambda: "peer_removed" in hub.kinds(gone))
    old, new = world.silent.pop(), base64.b64encode(bytes(range(32))).decode()
    address = f"10.9.{len(world.silent)}.1/32"
    world.hub.sh("wg", "set", "wg0", "peer", old, "remove", "peer", new, "allowed-ips", address)
    metrics = hub.metrics()
    check.that("a peer with another key is shown under that", new in metrics and old not in metrics)
    until("it is told to be the same one", lambda: "peer_reidentified" in hub.kinds(new))
    world.silent.append(new)


def fans_out(world, hub, edge):
    check.part("two nodes, and a message server that goes and comes back")
    all_of = {("wg0", key) for key in dump(world.hub)}
    up = {("wg0", key) for key in (world.four, world.six)}

    def is_known():
        known = edge.nodes().get("hub", {})
        return set(known) == all_of and {one for one in known if known[one]} == up

    until("the other node knows all peers, and who of them is connected", is_known)
    until("and is known itself", lambda: len(hub.nodes().get("edge", {})) == 2)
    names = world.silent[:6]
    # The edge has no such peer, and need not have it.
    check.that("what is announced is kept", edge.announce(kind="updated", public_key=names[0], name="early"))
    until("what one node is told of a peer shows at the other", lambda: hub.peer(names[0])["name"] == "early")
    world.stop_serving()
    until("that the server is gone is said", lambda: all("no message server" in node.health() for node in (hub, edge)))
    kept = [edge.announce(kind="updated", public_key=key, name=f"late-{number}")
            for number, key in enumerate(names[1:])]
    check.equal("what is announced meanwhile is kept, too", kept, [True] * 5)
    world.serve()
    for number, key in enumerate(names[1:]):
        until(f"and arrives: {number}", lambda: hub.peer(key)["name"] == f"late-{number}")
    until("all is well again", lambda: all("are known" in node.health() for node in (hub, edge)))
    check.all_equal("each arrived once", ((key, hub.kinds(key, "edge").count("peer_updated"), 1) for key in names))
    for node in (hub, edge):
        told = [tuple(sorted((key, str(value)) for key, value in event.items() if key != "number"))
                for event in node.happened()]
        check.equal(f"{node.name} was told nothing twice, and did not hear itself",
                    [event for event in set(told) if told.count(event) > 1], [])
    metrics = hub.metrics()
    check.equal("the name is in the metrics", sample(metrics, "wg_peer_info", peer=names[0], name="early"), 1)
    check.equal("no event was lost", [sample(metrics, "wg_fanout_lost_events_total"),
                                      sample(edge.metrics(), "wg_fanout_lost_events_total")], [0, 0])


def distrusts(world, hub, edge):
    check.part("a node that speaks for others, and of others")
    rogue = Speaker(world.edge, "rogue")
    stranger, named = base64.b64encode(bytes(32)).decode(), world.silent[-2]

    def refused(node, family, reason):
        return sample(node.metrics(), f"wg_fanout_refused_{family}_total", reason=reason)

    before = hub.nodes(), edge.nodes()
    denied = rogue.tell(stranger, node="hub", subject="mutex.peers.hub.all")
    check.that("the server lets a node speak below its own subject only", "Permissions Violation" in "".join(denied), denied)
    denied = rogue.ask("SUB mutex.peers.*.to.edge 1")
    check.that("and hear what is for itself only", "Permissions Violation" in "".join(denied), denied)
    rogue.number = 0
    check.equal("the server does not read what a node says", rogue.tell(stranger, node="hub"), [])
    rogue.number = 0
    for node in (hub, edge):
        until(f"{node.name} refuses it", lambda: refused(node, "messages", "other_node") == 1)
    check.equal("nobody believes it", (hub.nodes(), edge.nodes()), before)
    rogue.tell(named, name="for ever", said_ns=2**64 - 1)
    until("a name of the future is refused", lambda: refused(hub, "names", "ahead") == 1)
    check.equal("the name is not changed", hub.peer(named)["name"], "")
    rogue.tell(named, name="rogue", check_alive_address=NOWHERE, said_ns=time.time_ns())
    until("a name of now is taken", lambda: hub.peer(named)["name"] == "rogue")
    tried = hub.peer(named)["pings"]["tried"]
    until("its peer is pinged", lambda: hub.peer(named)["pings"]["tried"] > tried + 1)
    check.equal("but not where another node says", world.hub.sh("ip", "neigh", "show", NOWHERE), "")
    check.that("a host may say where itself", hub.announce(kind="updated", public_key=named, check_alive_address=NOWHERE))
    until("then it is pinged there", lambda: NOWHERE in world.hub.sh("ip", "neigh", "show", NOWHERE))
    check.equal("and keeps its name", hub.peer(named)["name"], "rogue")
    hub.announce(kind="updated", public_key=named, check_alive_address=None)
    check.equal("nothing was larger than the server takes", [sample(node.metrics(), "wg_fanout_unsent_messages_total")
                                                             for node in (hub, edge)], [0, 0])


def keeps(world, hub):
    check.part("a database that is locked, full, and gone")

    def troubled(what):
        until(f"{what}: that is said, and work goes on", lambda: "database" in hub.health())
        tried = hub.peer(world.four)["pings"]["tried"]
        until(f"{what}: peers are still pinged", lambda: hub.peer(world.four)["pings"]["tried"] > tried)

    def well(what):
        until(f"{what}: it is used again", lambda: "database" not in hub.health())

    well("at first")
    other = sqlite3.connect(DATABASE, isolation_level=None, timeout=PATIENCE)
    other.execute("BEGIN IMMEDIATE")
    troubled("locked")
    other.execute("ROLLBACK")
    well("after the lock")
    # Nothing of its log is left that could be written over.
    until("the log is in the database", lambda: not other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0])
    other.close()
    fill(f"{FOLDER}/hub")
    troubled("full")
    os.unlink(f"{FOLDER}/hub/filler")
    well("with room")
    for suffix in ("", "-wal", "-shm"):
        os.unlink(DATABASE + suffix)
    until("gone: it is made again", lambda: os.path.exists(DATABASE) and "database" not in hub.health())
    check.equal("nothing found no room to wait", sample(hub.metrics(), "wg_database_lost_rows_total"), 0)

    check.part("kill -9")
    key = world.four
    before = hub.peers()
    # What was there before is on the disk with it.
    check.that("everything is written", hub.announce(kind="updated", public_key=key, name="kept"))
    world.stop_serving()
    hub.kill()
    with sqlite3.connect(DATABASE) as database:
        check.equal("the database is whole", database.execute("PRAGMA integrity_check").fetchall(), [("ok",)])
    tried, lost = rows(DATABASE, "SELECT count(*), sum(rtt_ns IS NULL) FROM ping JOIN peer ON peer.id = ping.peer "
                       "WHERE public_key = ?", key)[0]
    state = json.loads(rows(DATABASE, "SELECT state FROM peer WHERE public_key = ?", key)[0][0])
    check.equal("every result is in it, and they are what the sums say", (tried, lost),
                (state["pings"]["tried"], state["pings"]["lost"]))
    check.that("none of those that were confirmed is missing", tried >= before[key]["pings"]["tried"])
    hub.start()
    until("it is back", lambda: len(hub.peers()) == len(before))
    after = hub.peers()
    check.equal("what was said is known", after[key]["name"], "kept")
    check.that("the peer's session goes on", after[key]["session_started_ns"] == before[key]["session_started_ns"]
               or after[key]["sessions"] > before[key]["sessions"])
    check.all_equal("nothing has fallen", ((f"{one} {field}", after[one][field] >= before[one][field], True)
                    for one in before for field in ("received_bytes", "sent_bytes", "sessions")))
    check.all_equal("no ping is gone", ((one, after[one]["pings"]["tried"] >= before[one]["pings"]["tried"], True)
                    for one in before))
    check.equal("its address is shown from the start", sample(
        hub.metrics(), "wg_peer_info", peer=key, address="10.8.0.2"), 1)
    check.equal("no peer is new", [event for event in hub.happened() if event["kind"] == "peer_created"
                                   and event["node"] == "hub"], [])


def main():
    for folder in ("edge", "hub"):
        os.makedirs(f"{FOLDER}/{folder}")
    net.sh("mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", f"{FOLDER}/hub")
    world = World()
    world.serve()
    nodes = []
    try:
        hub = Daemon(world.hub, "hub", settings("hub", "true"), FOLDER)
        nodes.append(hub)
        edge = Daemon(world.edge, "edge", settings("edge", "false"), FOLDER)
        nodes.append(edge)
        shows(world, hub)
        answers(world, hub)
        changes(world, hub)
        fans_out(world, hub, edge)
        distrusts(world, hub, edge)
        keeps(world, hub)
        check.equal("they end well", [hub.end(), edge.end()], [0, 0])
    finally:
        for node in nodes:
            node.process.kill()
        world.server.kill()
        net.sh("umount", "-l", f"{FOLDER}/hub")
    check.finish()


main()
