# SPDX-License-Identifier: MIT OR Apache-2.0
"""Starts the fleet, shows what one Prometheus and one NATS know of all of it, and what that costs.

Usage: show.py [--absent PEERS] [--copies N] [--seconds S] [--fast]
"""

import argparse
import os
import sqlite3
import sys
import time

from hosts import FOLDER, HOSTS, MESSAGES, Fleet

QUERIES = [
    ("hosts that answer", 'up{job="mutexd"}'),
    ("bytes that each host sends to its peers, a second", 'sum by (instance) (rate(wg_peer_bytes_total{direction="sent"}[30s]))'),
    ("peers of each host that are connected", "sum by (instance) (wg_peer_connection_state)"),
    ("peers of other hosts that each host knows", "sum by (instance, node) (wg_remote_peers)"),
    ("the worst round trip of each host, in seconds", "max by (instance) (wg_peer_ping_rtt_seconds)"),
    ("the connections of the fleet that move most, in bytes",
     'topk(5, mutex_top_connection_bytes{id!="other", direction="sent"})'),
    ("events that each host has heard of others", "wg_fanout_received_events_total"),
]


def title(text):
    print(f"\n== {text}", flush=True)


def until(what, holds, seconds=300):
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise SystemExit(f"gave up waiting for: {what}")
        time.sleep(0.3)


def shown(fleet, expression):
    for labels, value in sorted(fleet.query(expression), key=lambda one: sorted(one[0].items())):
        words = " ".join(f"{key}={text}" for key, text in sorted(labels.items()) if key != "__name__")
        print(f"  {words:60} {value:.6g}")


def processor_time(process):
    """Seconds that a process has used."""
    with open(f"/proc/{process.pid}/stat") as file:
        words = file.read().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def database(node, name, table):
    """Bytes of the pages in use, and rows of a table."""
    connection = sqlite3.connect(f"file:{FOLDER}/{node}/{name}?mode=ro", uri=True, timeout=60)
    pages, free, size = (connection.execute(f"PRAGMA {one}").fetchone()[0]
                         for one in ("page_count", "freelist_count", "page_size"))
    rows = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    connection.close()
    return (pages - free) * size, rows


def messages(fleet):
    told = fleet.fetch(MESSAGES, "/varz")
    return [told[name] for name in ("in_msgs", "in_bytes", "out_msgs", "out_bytes")]


def cost(fleet, options):
    title(f"What it costs, of {options.seconds} s")
    peers = HOSTS - 1 + options.absent
    processes = [node.process for node in fleet.nodes] + [fleet.prometheus, fleet.messages]
    began, before = time.monotonic(), [processor_time(process) for process in processes]
    databases = lambda: (database("host1", "peers.db", "ping"), database("host1", "history.db", "host WHERE step_ns = 0"))
    told, kept = messages(fleet), [databases()]
    time.sleep(options.seconds)
    took = time.monotonic() - began
    used = [now - then for now, then in zip([processor_time(process) for process in processes], before)]
    quiet = [now - then for now, then in zip(messages(fleet), told)]
    kept.append(databases())
    samples, size, seconds = (
        fleet.value(f'avg (avg_over_time(scrape_{name}{{job="mutexd"}}[{options.seconds}s]))')
        for name in ("samples_scraped", "body_size_bytes", "duration_seconds"))
    print(f"  peers of a host                           {peers}")
    print(f"  samples a scrape                          {samples:.0f}")
    print(f"  bytes a scrape                            {size:.0f}")
    print(f"  a scrape takes, as Prometheus sees it     {seconds * 1e3:.1f} ms")
    scrapes = fleet.value(f'avg (rate(mutexd_scrape_duration_seconds_count[{options.seconds}s]))')
    print(f"  scrapes of a host, a second               {scrapes:.2f}")
    print(f"  mutexd, of one processor, each host       {', '.join(f'{one / took:.2%}' for one in used[:HOSTS])}")
    print(f"  Prometheus, of one processor              {used[HOSTS] / took:.2%}")
    print(f"  NATS, of one processor                    {used[HOSTS + 1] / took:.2%}")
    print(f"  NATS while nothing happens, a second      {quiet[0] / took:.2f} messages in, {quiet[2] / took:.2f} out")
    for at, what in ((0, "result of a ping"), (1, "snapshot")):
        grown = [now - then for now, then in zip(kept[1][at], kept[0][at])]
        if options.fast:
            print(f"  database, bytes a {what:24}{grown[0] / grown[1]:.1f}, of {grown[1]}")
    memory = fleet.value('process_resident_memory_bytes{job="prometheus"}')
    series = fleet.value("prometheus_tsdb_head_series")
    chunks, appended = (fleet.value(f"sum (prometheus_tsdb_head_{name})")
                        for name in ("chunks_storage_size_bytes", "samples_appended_total"))
    print(f"  Prometheus, samples a second              {fleet.value(f'sum (rate(prometheus_tsdb_head_samples_appended_total[{options.seconds}s]))'):.0f}")
    print(f"  Prometheus, series                        {series:.0f}")
    print(f"  Prometheus, memory                        {memory / 1e6:.0f} MB, {memory / series:.0f} bytes a series")
    if chunks:
        print(f"  Prometheus, bytes a sample on the disk    {chunks / appended:.2f}")
    resident = fleet.value('avg (process_resident_memory_bytes{job="mutexd"})')
    print(f"  mutexd, memory                            {resident / 1e6:.1f} MB")

    title("What a change of a peer costs the message server")
    changes = 100
    told, of = messages(fleet), fleet.keys[2]
    for number in range(changes):
        fleet.nodes[0].announce(kind="updated", public_key=of, name=f"change {number}")
    until("all know it", lambda: all(node.peer(of)["name"] == f"change {changes - 1}" for node in fleet.nodes[:2]))
    spent = [now - then for now, then in zip(messages(fleet), told)]
    print(f"  {changes} changes: {spent[0]} messages in ({spent[1] / max(spent[0], 1):.0f} bytes each), "
          f"{spent[2]} out; a change {spent[0] / changes:.2f} in and {spent[2] / changes:.2f} out")


def faster(text):
    """Databases grow by more than a page within a minute."""
    text = text.replace('ping_check_interval = "2s"', 'ping_check_interval = "50ms"')
    return text.replace("[history]\nenabled = true", '[history]\nenabled = true\ninterval = "1s"')


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--absent", type=int, default=8)
    options.add_argument("--copies", type=int, default=1)
    options.add_argument("--seconds", type=int, default=60)
    options.add_argument("--fast", action="store_true")
    options = options.parse_args()
    fleet = Fleet(options.absent, options.copies, faster if options.fast else str)
    fleet.start()
    try:
        title(f"{HOSTS} hosts, one Prometheus, one NATS")
        peers = HOSTS - 1 + options.absent
        until("all hosts are scraped", lambda: fleet.value('sum (up{job="mutexd"})') == HOSTS * options.copies)
        until("all know all others", lambda: all(
            len(node.nodes()) == HOSTS - 1 and all(len(known) == peers for known in node.nodes().values())
            for node in fleet.nodes))
        until("all are connected", lambda: all(
            sum(peer["connected"] for peer in node.peers().values()) == HOSTS - 1 for node in fleet.nodes))
        for number, key in enumerate(fleet.keys):
            # Said to one, known to all.
            fleet.nodes[0].announce(kind="updated", public_key=key, name=f"host{number + 1}")
        for number, other, kilobytes in ((0, 1, 2000), (0, 2, 500), (1, 2, 8000)):
            fleet.traffic(number, other, kilobytes)
        # Prometheus sees a rate between scrapes.
        time.sleep(10)
        for what, expression in QUERIES:
            title(f"{what}: {expression}")
            shown(fleet, expression)
        title("What host3 is called, as the others know it: said to host1 alone")
        shown(fleet, f'wg_peer_info{{peer="{fleet.keys[2]}"}}')
        cost(fleet, options)
        statuses = fleet.end()
        if any(statuses):
            raise SystemExit(f"they end with {statuses}")
    finally:
        fleet.kill()


if __name__ == "__main__":
    sys.exit(main())
