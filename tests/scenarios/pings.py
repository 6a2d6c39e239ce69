# SPDX-License-Identifier: MIT OR Apache-2.0
# Only when named: it judges times.
"""A thousand peers pinged by twenty workers, with real packets over IPv4 and IPv6 and without any privilege for it.

Every tenth does not answer, which takes a worker all of the second that an answer is waited for. The judges are the
clock and SQLite.
"""

import base64
import os
import random

from lib import check, net
from lib.daemon import Daemon, rows, until

FOLDER = "/tmp/pings"
DATABASE = f"{FOLDER}/peers.sqlite"
PEERS, WORKERS, ROUNDS = 1000, 20, 4
INTERVAL = 20
SECOND = 10**9


def address(number):
    """Even ones have IPv4; every tenth is where nobody answers."""
    there = 2 if is_silent(number) else 1
    return f"fd0{there}::{number + 1:x}" if number % 2 else f"10.{there}.{number // 250}.{number % 250 + 1}"


def is_silent(number):
    return number % 10 in (0, 5) and number % 4 < 2


def world():
    hub, edge = net.Namespace("hub"), net.Namespace("edge")
    net.veth(hub, "vh", edge, "ve")
    net.address(hub, "vh", "10.0.0.1/24", "fd0a::1/64")
    net.address(edge, "ve", "10.0.0.2/24", "fd0a::2/64")
    net.up(hub, "vh")
    net.up(edge, "ve")
    net.settle(hub, edge)
    for words in (("local", "10.1.0.0/16", "dev", "lo"), ("blackhole", "10.2.0.0/16"), ("local", "fd01::/16", "dev", "lo"),
                  ("blackhole", "fd02::/16")):
        edge.sh("ip", *(["-6"] if words[1].startswith("fd") else []), "route", "add", *words)
    hub.sh("ip", "route", "add", "10.0.0.0/8", "via", "10.0.0.2")
    hub.sh("ip", "-6", "route", "add", "fd00::/8", "via", "fd0a::2")
    hub.sh("ip", "link", "add", "wg0", "type", "wireguard")
    numbers = random.Random(1)
    keys = [base64.b64encode(numbers.randbytes(32)).decode() for _ in range(PEERS)]
    hub.sh("wg", "addconf", "wg0", "/dev/stdin", input="".join(f"[Peer]\nPublicKey={key}\n" for key in keys))
    net.up(hub, "wg0")
    return hub, keys


def settings(keys):
    text = f"""
        [peers]
        ping_check_workers = {WORKERS}
        ping_check_interval = "{INTERVAL}s"
        ping_check_timeout = "1s"
        data_collection_interval = "1s"
        event_capacity = 10000
        database = "{DATABASE}"
    """
    for number, key in enumerate(keys):
        text += f'[peers.peers."{key}"]\nname = "{number}"\ncheck_alive_address = "{address(number)}"\n'
    return text


def main():
    os.makedirs(FOLDER)
    hub, keys = world()
    silent = {str(number) for number in range(PEERS) if is_silent(number)}
    check.equal("every tenth is silent, of both kinds", [len(silent), sum(int(one) % 2 for one in silent)], [100, 50])
    hub.sysctl("ipv4/ping_group_range", "1 0")
    # Without CAP_NET_RAW there are only the sockets that everybody may have.
    daemon = Daemon(hub, "pings", settings(keys), FOLDER, before=("setpriv", "--bounding-set=-net_raw"))
    try:
        until("all peers are known", lambda: len(daemon.peers()) == PEERS)
        until("who may not ping says so", lambda: "pings cannot be sent" in daemon.health())
        check.equal("and blames nobody", {peer["pings"]["tried"] for peer in daemon.peers().values()}, {0})
        hub.sysctl("ipv4/ping_group_range", "0 2147483647")
        check.part(f"{ROUNDS} rounds")
        until("all were pinged so often", lambda: rows(DATABASE, "SELECT count(*) FROM ping")[0][0] >= ROUNDS * PEERS)
        times = {}
        for key, time_ns, rtt_ns in rows(DATABASE, "SELECT public_key, time_ns, rtt_ns FROM ping JOIN peer "
                                         "ON peer.id = ping.peer ORDER BY ping.id"):
            times.setdefault(key, []).append((time_ns, rtt_ns))
        peers = daemon.peers()
        metrics = daemon.metrics()
        check.all_equal("the counts of checks", ((what, f'wg_ping_checks_total{{result="{what}"}} 0\n' in metrics, True)
                                                 for what in ("overflowed", "overdue")))
        first = min(all_of[0][0] for all_of in times.values())
        late = []
        fewest = min(map(len, times.values()))
        check.that("each peer was pinged in each round", len(times) == PEERS and fewest >= ROUNDS, fewest)
        for number in range(min(fewest, ROUNDS)):
            took = [all_of[number][0] - first - number * INTERVAL * SECOND for all_of in times.values()]
            late.append(max(took))
            # The first result of all came a moment after its check was due, others of later rounds perhaps sooner.
            check.that(f"round {number}: each peer was pinged in it", -SECOND < min(took) <= max(took)
                       < INTERVAL * SECOND, f"{min(took) / SECOND:.3f} to {max(took) / SECOND:.3f} s after it was due")
        answered = {peers[key]["name"] for key, all_of in times.items()
                    if all(rtt_ns is not None for _, rtt_ns in all_of[:ROUNDS])}
        lost = {peers[key]["name"] for key, all_of in times.items()
                if all(rtt_ns is None for _, rtt_ns in all_of[:ROUNDS])}
        check.equal("who is there has answered each time", len(answered), PEERS - len(silent))
        check.equal("who is not has not", lost, silent)
        kinds = {one % 2 for one in map(int, answered)}
        check.equal("over IPv4 and IPv6", kinds, {0, 1})
        check.equal("it ends well", daemon.end(), 0)
        check.note(f"{PEERS} peers, {WORKERS} workers, an interval of {INTERVAL} s: the last result of a round came "
                   f"{', '.join(f'{one / SECOND:.1f}' for one in late)} s after the first was due")
    finally:
        daemon.process.kill()
    check.finish()


main()
