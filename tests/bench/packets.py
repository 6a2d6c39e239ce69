#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""What a packet costs at the hooks, in turn for everybody who may stand there."""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

TABLE = 2_228_224  # connections that each table has room for: twice a million, and some
CONTROL = Path("/proc/mutex-bench")


def run(*command, **options):
    return subprocess.run(command, check=True, text=True, capture_output=True, **options).stdout


def write(path, text):
    Path(path).write_text(str(text))


@contextlib.contextmanager
def nothing():
    yield


@contextlib.contextmanager
def nft():
    run("nft", "-f", "-", input="""
        table inet bench {
            chain input { type filter hook input priority 0; counter; }
        }""")
    yield
    run("nft", "delete", "table", "inet", "bench")


@contextlib.contextmanager
def conntrack():
    """Accounting on; a chain that no packet of ours passes asks for it, so no rule costs anything."""
    run("modprobe", "nf_conntrack", f"hashsize={TABLE}")
    base = "/proc/sys/net/netfilter/"
    write(base + "nf_conntrack_max", TABLE)
    write(base + "nf_conntrack_acct", 1)
    for name in "udp_timeout", "udp_timeout_stream", "tcp_timeout_syn_sent":
        write(f"{base}nf_conntrack_{name}", 36000)
    run("nft", "-f", "-", input="""
        table inet bench {
            chain forward { type filter hook forward priority 0; ct state new counter; }
        }""")
    yield
    run("nft", "delete", "table", "inet", "bench")
    run("modprobe", "-r", "nft_ct", "nf_conntrack")


@contextlib.contextmanager
def mutex():
    run("insmod", "/work/mutex.ko", f"max_connections={TABLE}", "timeout_one_way=36000",
        "timeout_two_way=36000")
    yield
    run("rmmod", "mutex")


@contextlib.contextmanager
def watched(reading):
    """With somebody who asked for every packet, and reads them or has stalled."""
    with mutex():
        monitor = os.open("/proc/mutex/events", os.O_RDWR | os.O_NONBLOCK)
        os.write(monitor, b"kind=packet")
        over = threading.Event()

        def read():
            import select
            os.sched_setaffinity(0, {1})
            poll = select.poll()
            poll.register(monitor, select.POLLIN)
            while not over.is_set():
                if poll.poll(50):
                    with contextlib.suppress(BlockingIOError):
                        os.read(monitor, 1 << 20)

        reader = threading.Thread(target=read)
        if reading:
            reader.start()
        yield
        over.set()
        if reading:
            reader.join()
        os.close(monitor)


CONTENDERS = {
    "nothing": (nothing, ""),
    "hook": (nothing, "hook=1"),
    "nft": (nft, ""),
    "conntrack": (conntrack, ""),
    "mutex": (mutex, ""),
    "mutex-stalled": (lambda: watched(False), ""),
    "mutex-read": (lambda: watched(True), ""),
}


def measure(words):
    write(CONTROL, words)
    result = dict(line.split() for line in CONTROL.read_text().splitlines())
    return {key: int(value) for key, value in result.items()}


def counted(contender):
    """What the contender says it has, so that nobody is measured who does not work."""
    if contender.startswith("mutex"):
        stats = dict(line.split(maxsplit=1) for line in Path("/proc/mutex/stats").read_text().splitlines())
        return {"counted": int(stats["received_packets"]), "connections": int(stats["connections_active"])}
    if contender == "conntrack":
        return {"connections": int(Path("/proc/sys/net/netfilter/nf_conntrack_count").read_text())}
    return {}


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--packets", type=int, default=1 << 20)
    options.add_argument("--flows", default="1,256,65536,1048576")
    options.add_argument("--contenders", default=",".join(CONTENDERS))
    options.add_argument("--words", default="")
    options = options.parse_args()
    run("modprobe", "dummy")
    run("ip", "link", "add", "bench0", "type", "dummy")
    run("ip", "addr", "add", "192.0.2.1/24", "dev", "bench0")
    run("ip", "link", "set", "bench0", "up")
    run("insmod", "/work/mutex_bench.ko")
    results = []
    for number in range(options.rounds):
        for flows in map(int, options.flows.split(",")):
            for name in options.contenders.split(","):
                around, words = CONTENDERS[name]
                with around():
                    result = measure(f"flows={flows} packets={options.packets} {words} {options.words}")
                    result |= counted(name)
                result |= {"round": number, "flows": flows, "contender": name}
                results.append(result)
                print(f"{number} {flows:8} {name:14} {result['cpu_ns'] / result['packets']:8.1f} ns", result, file=sys.stderr, flush=True)
    write("/out/packets.json", json.dumps(results))
    print(f"{'':14}", *(f"{flows:>16}" for flows in options.flows.split(",")))
    for name in options.contenders.split(","):
        cells = []
        for flows in map(int, options.flows.split(",")):
            of = [result for result in results if (result["flows"], result["contender"]) == (flows, name)]
            each = sorted(result["cpu_ns"] / result["packets"] for result in of)
            batch = sorted(result["batch_p50_ps"] / 1000 for result in of)
            cells.append(f"{batch[0]:5.0f}/{each[0]:5.0f}..{each[len(each) // 2]:5.0f}")
        print(f"{name:14}", *cells)


main()
