#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""What a packet costs at the hooks, for everybody who may stand there in turn.

One CPU receives prepared packets (PRE_ROUTING and LOCAL_IN), in random order over so many connections,
each of which was opened and answered before. Times are the CPU's own, so that a machine that does
other things as well disturbs little.
"""

import argparse

from lib import bench


def one(results, contender, number, packets, words, **case):
    got = bench.measure(packets=packets, **words, **case)
    results.add(number, contender, got["cpu_ns"] / got["packets"], "ns", what="mean", **case)
    results.add(number, contender, got["batch_p50_ps"] / 1000, "ns", what="median of batches", **case)


def spread(results, contender, number, packets, words, **case):
    got = bench.measure(packets=packets, spread=1, **words, **case)
    for name in "p50", "p99", "p999":
        results.add(number, contender, got[f"{name}_ps"] / 1000, "ns", what=name, **case)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--packets", type=int, default=bench.MILLION)
    options.add_argument("--most", type=int, default=bench.MILLION, help="the largest number of connections")
    options.add_argument("--contenders", nargs="+", choices=list(bench.CONTENDERS), default=list(bench.CONTENDERS))
    options = options.parse_args()
    sizes = [size for size in (1, 256, 65536, bench.MILLION) if size <= options.most]
    contenders = [name for name in bench.CONTENDERS if name in options.contenders]
    results = bench.Results("packets")
    bench.prepare_device()
    for number in range(options.rounds):
        for contender in contenders:
            with bench.CONTENDERS[contender]() as words:
                arguments = results, contender, number, options.packets, words
                # Small ones first: what they opened is among what the larger ones open.
                for flows in 1, 256:
                    one(*arguments, flows=flows, family=4, protocol="udp")
                spread(*arguments, flows=256, family=4, protocol="udp")
                for family, protocol in (4, "tcp"), (6, "udp"), (6, "tcp"):
                    if family == 6 and contender == "bpf-hash":
                        continue
                    one(*arguments, flows=256, family=family, protocol=protocol)
                for flows in 1, 256:
                    one(*arguments, flows=flows, family=4, protocol="tcp", sockets=1)
                for flows in sizes[2:]:
                    one(*arguments, flows=flows, family=4, protocol="udp")
                spread(*arguments, flows=sizes[-1], family=4, protocol="udp")
                bench.must_have(contender, sizes[-1] + 3 * 256)


main()
