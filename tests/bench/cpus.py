#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""What two CPUs do together, on connections of their own and on the same ones, beside what one does.

A round counts if both processors were ours all the time: if they had to be shared with the rest of the
machine, they were not at work at the same time, and nobody stood in anybody's way.
"""

import argparse

from lib import bench

# What the clock may show more than the CPU's own time.
UNDISTURBED = 1.1


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--attempts", type=int, default=12)
    options.add_argument("--packets", type=int, default=bench.MILLION)
    options = options.parse_args()
    results = bench.Results("cpus")
    bench.prepare_device()
    for number in range(options.rounds):
        for contender in "nothing", "nft counter", "conntrack", "mutex":
            with bench.CONTENDERS[contender]() as words:
                for flows in 1, 256:
                    for cpus, shared in (1, 0), (2, 0), (2, 1):
                        for attempt in range(options.attempts):
                            got = bench.measure(packets=options.packets, flows=flows, cpus=cpus, shared=shared,
                                                **words)
                            alone = got["ns"] < got["cpu_ns"] * UNDISTURBED
                            if alone:
                                break
                        results.add(number, contender, got["packets"] * 1000 / got["cpu_ns"], "Mpackets/s",
                                    flows=flows, cpus=cpus, shared=shared, undisturbed=alone)


main()
