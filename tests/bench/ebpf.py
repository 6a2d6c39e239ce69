#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""What eBPF takes to keep packets, bytes and the last time of each connection, natively.

Runs in the Debian root 'run' on the machine itself; prints one line of JSON a measurement. Nothing
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
    options.add_argument("--packets", type=int, required=True)
    options.add_argument("--cpu", type=int, default=1)
    options.add_argument("objects", nargs="+", help="KIND-FLOWS.o")
    options = options.parse_args()
    os.sched_setaffinity(0, {options.cpu % os.cpu_count()})
    PINS.mkdir()
    subprocess.run(["mount", "-t", "bpf", "bpf", PINS], check=True)
    Path("/tmp/packet").write_bytes(packet())
    for path in map(Path, options.objects):
        kind, flows = path.stem.rsplit("-", 1)
        pins = PINS / path.stem.replace(".", "_")
        bpftool("prog", "loadall", path, pins)

        def time(program, packets):
            return bpftool("prog", "run", "pinned", pins / program, "data_in", "/tmp/packet", "repeat",
                           packets)["duration"]

        # Until each flow has come by.
        time("count", max(int(flows) * 16, 1 << 16))
        for program in "empty", "count":
            print(json.dumps({"kind": kind, "flows": int(flows), "program": program,
                              "ns": time(program, options.packets)}), flush=True)
        for pin in pins.iterdir():
            pin.unlink()
        pins.rmdir()


try:
    main()
except (RuntimeError, subprocess.CalledProcessError, OSError) as error:
    print(f"ebpf: {error}", file=sys.stderr)
    sys.exit(1)
