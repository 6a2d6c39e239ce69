#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""What eBPF takes to keep packets, bytes and the last time of each connection, natively.

Runs in the Debian root 'run' on the machine itself; prints a line of JSON a measurement. Nothing
is attached to anything: `bpftool prog run` leads one packet through the program again and again.
"""

import argparse
import json
import os
import struct
import subprocess
import sys
from pathlib import Path

PINS = Path("/tmp/bpf")


def bpftool(*words):
    done = subprocess.run(["bpftool", "-j", *map(str, words)], text=True, capture_output=True)
    if done.returncode:
        raise RuntimeError(f"bpftool {words[0]} {words[1]}: {(done.stdout + done.stderr).strip()}")
    return json.loads(done.stdout) if done.stdout.strip() else None


def packet():
    """Sixty-four bytes from the IP header on, as in the other benchmarks."""
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 64, 0, 0, 64, 17, 0, bytes([198, 18, 0, 0]), bytes([192, 0, 2, 1]))
    udp = struct.pack("!HHHH", 1024, 4433, 44, 0)
    return bytes(12) + b"\x08\x00" + ip + udp + bytes(36)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--packets", type=int, default=1 << 20)
    options.add_argument("--cpu", type=int, default=1)
    options.add_argument("objects", type=Path, help="a folder with KIND-FLOWS.o in it")
    options = options.parse_args()
    os.sched_setaffinity(0, {options.cpu % os.cpu_count()})
    PINS.mkdir()
    subprocess.run(["mount", "-t", "bpf", "bpf", PINS], check=True)
    Path("/tmp/packet").write_bytes(packet())
    for number in range(options.rounds):
        for path in sorted(options.objects.glob("*.o")):
            measure(number, path, options.packets)


def measure(number, path, packets):
    kind, flows = path.stem.rsplit("-", 1)
    pins = PINS / path.stem
    bpftool("prog", "loadall", path, pins)

    def run(program, packets):
        return bpftool("prog", "run", "pinned", pins / program, "data_in", "/tmp/packet", "repeat",
                       packets)["duration"]

    run("fill", int(flows))
    for program, contender in ("empty", "empty program"), ("count", kind):
        print(json.dumps({"benchmark": "ebpf", "round": number, "contender": contender, "kind": kind,
                          "flows": int(flows), "value": run(program, packets), "unit": "ns"}), flush=True)
    for pin in pins.iterdir():
        pin.unlink()
    pins.rmdir()


try:
    main()
except (RuntimeError, subprocess.CalledProcessError, OSError) as error:
    print(f"ebpf: {error}", file=sys.stderr)
    sys.exit(1)
