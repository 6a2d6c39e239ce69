#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""How many TCP connections a second are opened and closed: SYN, SYN-ACK, ACK and RST through the hooks."""

import argparse
import time

from lib import bench


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--connections", type=int, default=500_000)
    options = options.parse_args()
    results = bench.Results("churn")
    bench.prepare_device()
    for number in range(options.rounds):
        for contender in "nothing", "empty hook", "conntrack", "mutex":
            with bench.CONTENDERS[contender]() as words:
                before = bench.stats() if contender == "mutex" else {}
                got = bench.measure(mode="churn", packets=4 * options.connections, **words)
                results.add(number, contender, options.connections * 1e9 / got["cpu_ns"], "connections/s",
                            connections=options.connections)
                if contender == "mutex":
                    after = bench.stats()
                    opened = after["connections_total"] - before["connections_total"]
                    if opened < options.connections:
                        raise RuntimeError(f"MUTEX opened {opened} of {options.connections} connections")
                elif contender == "conntrack":
                    bench.must_have(contender, options.connections)


main()
