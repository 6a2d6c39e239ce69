#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""The cost of a packet end to end, as a check: pktgen puts UDP packets into the receive path.

They are not for this host: it forwards them to another dummy device, which takes and forgets them. So they
are delivered, and nobody's queue fills or drops. What is measured is the whole way, from allocation to
release, and what each contender adds to it.
"""

import argparse
from pathlib import Path

from lib import bench

DEVICE = Path("/proc/net/pktgen/bench0")


def pace(flows, packets):
    """Nanoseconds a packet, of the time of the CPU that pktgen has."""
    mac = Path("/sys/class/net/bench0/address").read_text().strip()
    for setting in (f"count {packets}", "pkt_size 78", "delay 0", "clone_skb 0", "burst 32", "xmit_mode netif_receive",
                    f"dst_mac {mac}", "src_min 192.0.2.2", "src_max 192.0.2.2", "dst_min 198.51.100.2",
                    "dst_max 198.51.100.2", "udp_dst_min 9", "udp_dst_max 9", "udp_src_min 1024",
                    f"udp_src_max {1024 + flows}", "flag UDPSRC_RND"):
        DEVICE.write_text(setting + "\n")
    before, worked = sent(), bench.cpu_time()[0]
    Path("/proc/net/pktgen/pgctrl").write_text("start\n")
    worked = bench.cpu_time()[0] - worked
    delivered = sent() - before
    if delivered < packets:
        raise RuntimeError(f"{delivered} of {packets} packets were delivered")
    return worked / packets


def sent():
    return int(Path("/sys/class/net/sink0/statistics/tx_packets").read_text())


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--packets", type=int, default=bench.MILLION)
    options = options.parse_args()
    results = bench.Results("pktgen")
    bench.prepare_device()
    bench.run("modprobe", "pktgen")
    bench.run("ip", "link", "add", "sink0", "type", "dummy")
    bench.run("ip", "addr", "add", "198.51.100.1/24", "dev", "sink0")
    bench.run("ip", "link", "set", "sink0", "up")
    bench.run("ip", "neigh", "add", "198.51.100.2", "lladdr", "02:00:00:00:00:02", "dev", "sink0")
    bench.write("/proc/sys/net/ipv4/ip_forward", 1)
    bench.write("/proc/net/pktgen/kpktgend_0", "rem_device_all\n")
    bench.write("/proc/net/pktgen/kpktgend_0", "add_device bench0\n")
    for flows in 1, 256:
        pace(flows, options.packets)
        for number in range(options.rounds):
            for contender in "nothing", "conntrack", "mutex":
                with bench.CONTENDERS[contender]():
                    results.add(number, contender, pace(flows, options.packets), "ns", flows=flows)
                    if contender == "mutex":
                        counted = bench.stats()["forwarded_sent_packets"]
                        if counted < options.packets:
                            raise RuntimeError(f"MUTEX counted {counted} of {options.packets} packets")


main()
