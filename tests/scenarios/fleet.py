# SPDX-License-Identifier: MIT OR Apache-2.0
# Only on: stock uml
"""The example fleet: three hosts, one Prometheus, one NATS. What one place says of all hosts is what each says, and wg.

examples/fleet has what is started here.
"""

import subprocess
import sys

sys.path.insert(0, "/work/fleet")

from hosts import FOLDER, HOSTS, Fleet
from lib import check
from lib.daemon import until

ABSENT = 4
PEERS = HOSTS - 1 + ABSENT


def of_hosts(fleet, expression):
    """The values of a query by host."""
    return {labels.get("instance"): value for labels, value in fleet.query(expression)}


def everywhere(value):
    return {f"host{number + 1}": value for number in range(HOSTS)}


def sent_by(host):
    """Bytes that went to its peers, as wg says."""
    return sum(int(line.split()[2]) for line in host.sh("wg", "show", "wg0", "transfer").splitlines())


def sees_all(fleet):
    check.part("one Prometheus")
    until("it scrapes all hosts", lambda: of_hosts(fleet, 'up{job="mutexd"}') == everywhere(1))
    until("each is a peer of each other", lambda: of_hosts(fleet, "sum by (instance) (wg_peer_connection_state)")
          == everywhere(HOSTS - 1))
    until("each knows the peers of the others", lambda: {
        (labels["instance"], labels["node"]): value
        for labels, value in fleet.query("sum by (instance, node) (wg_remote_peers)")} == {
            (host, node): PEERS for host in everywhere(0) for node in everywhere(0) if host != node})
    until("and who is connected there", lambda: of_hosts(
        fleet, 'sum by (instance) (wg_remote_peers{state="connected"})') == everywhere((HOSTS - 1) ** 2))
    rules = subprocess.run(["promtool", "check", "rules", f"{FOLDER}/rules.yml"], capture_output=True, text=True)
    check.that("promtool understands the rules", rules.returncode == 0, rules.stdout + rules.stderr)
    until("the rules add up what the hosts say", lambda: [fleet.value(name) for name in (
        "job:mutexd_up:sum", "job:wg_peers_connected:sum")] == [HOSTS, HOSTS * (HOSTS - 1)])


def counts(fleet):
    check.part("traffic between hosts")
    fleet.traffic(0, 1, 300)
    for host in range(HOSTS):
        # Pings go on; what Prometheus got of a moment in between lies in between.
        before = sent_by(fleet.hosts[host])
        sent = f'sum (wg_peer_bytes_total{{instance="host{host + 1}",direction="sent"}})'
        # None if a scrape took too long, as it may where the machine stands still.
        value = until(f"host{host + 1}: Prometheus has what wg says",
                      lambda: (got := fleet.value(sent)) is not None and got >= before and got)
        after = sent_by(fleet.hosts[host])
        check.that("and no more", value <= after, f"{before} <= {value:.0f} <= {after}")
    until("it moved through the tunnel", lambda: (fleet.value(
        f'wg_peer_bytes_total{{instance="host1",peer="{fleet.keys[1]}",direction="sent"}}') or 0) > 300_000)


def tells(fleet):
    check.part("one NATS")
    name = f'wg_peer_info{{peer="{fleet.keys[2]}",name="third"}}'
    check.that("what is said to one host is kept there",
               fleet.nodes[0].announce(kind="updated", public_key=fleet.keys[2], name="third"))
    until("and shows at all that have that peer", lambda: of_hosts(fleet, name) == {"host1": 1, "host2": 1})
    fleet.stop_serving()
    until("all miss the server", lambda: of_hosts(fleet, "wg_fanout_up") == everywhere(0))
    check.that("what is said meanwhile is kept",
               fleet.nodes[1].announce(kind="updated", public_key=fleet.keys[2], name="later"))
    fleet.serve()
    until("all have it again", lambda: of_hosts(fleet, "wg_fanout_up") == everywhere(1))
    name = name.replace("third", "later")
    until("and know what was said", lambda: of_hosts(fleet, name) == {"host1": 1, "host2": 1})
    until("nobody has lost an event", lambda: of_hosts(fleet, "wg_fanout_lost_events_total") == everywhere(0))


def loses_one(fleet):
    check.part("a host that is gone")
    check.equal("it ends well", fleet.nodes[2].end(), 0)
    until("that is seen", lambda: of_hosts(fleet, 'up{job="mutexd"}') == {**everywhere(1), "host3": 0})
    until("and added up", lambda: fleet.value("job:mutexd_up:sum") == HOSTS - 1)
    fleet.nodes[2].start()
    until("it is back", lambda: of_hosts(fleet, 'up{job="mutexd"}') == everywhere(1))
    until("with all it knew of others", lambda: {node: len(peers) for node, peers in fleet.nodes[2].nodes().items()}
          == {"host1": PEERS, "host2": PEERS})


def main():
    fleet = Fleet(ABSENT)
    try:
        fleet.start()
        for part in (sees_all, counts, tells, loses_one):
            part(fleet)
        check.equal("they end well", fleet.end(), [0] * HOSTS)
    finally:
        fleet.kill()
    check.finish()


main()
