#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""What it takes to read so many connections, and what packets cost meanwhile.

By read and by mmap, by mutexctl into files (on a tmpfs: no disk is measured), and for each entry beside
`conntrack -L` and `ss`, which list their own, into nothing. What a file of that size takes by itself, from one
tmpfs file to another, is measured too.
"""

import argparse
import contextlib
import os
import resource
import subprocess
import time
from pathlib import Path

from lib import bench

HERE = Path("/work/bench")
READER = "/work/reader"


def timed(*command, output=subprocess.DEVNULL):
    """Seconds that a command takes, and the most memory that it had, in bytes."""
    began = time.monotonic()
    process = subprocess.Popen(list(map(str, command)), stdout=output, stderr=subprocess.PIPE)
    error = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    took = time.monotonic() - began
    if status:
        raise RuntimeError(f"{command}: {error.decode()}")
    return took, usage.ru_maxrss * 1024


def mutex(results, number, connections):
    def add(what, seconds, memory=None, size=None):
        results.add(number, "mutex", seconds, "s", what=what, connections=connections)
        results.add(number, "mutex", seconds * 1e9 / connections, "ns an entry", what=what, connections=connections)
        if memory is not None:
            results.add(number, "mutex", memory / (1 << 20), "MiB of memory", what=what, connections=connections)
        if size is not None:
            results.add(number, "mutex", size / 1e6, "MB", what=what, connections=connections)

    with bench.mutex(connections + 1024):
        bench.measure(mode="open", flows=connections, packets=0)
        bench.must_have("mutex", connections)
        for what, how, file in (("text by read", "read", "connections"), ("image by read", "read", "snapshot"),
                                ("records by mmap", "map", "snapshot")):
            ns, size, count = map(int, bench.run(READER, how, f"/proc/mutex/{file}").split())
            if how == "map" and count < connections:
                raise RuntimeError(f"the mapping has {count} of {connections} connections")
            add(what, ns / 1e9, size=size)
        folder = Path("/tmp/export")
        folder.mkdir()
        for what, format, output in (("mutexctl to a binary file", "binary", folder / "image.bin"),
                                     ("mutexctl to CSV", "csv", folder / "csv"),
                                     ("mutexctl to JSON", "json", folder / "image.json")):
            seconds, memory = timed("mutexctl", "export", "--format", format, "-o", output)
            files = list(output.iterdir()) if output.is_dir() else [output]
            add(what, seconds, memory, sum(file.stat().st_size for file in files))
            if format == "binary":
                seconds, _ = timed("cp", output, folder / "copy.bin")
                add("cp of that binary file", seconds)
                files.append(folder / "copy.bin")
            for file in files:
                file.unlink()
        folder.joinpath("csv").rmdir()
        folder.rmdir()
        seconds, memory = timed("mutexctl", "export", "--format", "json")
        add("mutexctl to JSON, into nothing", seconds, memory)


def conntrack(results, number, connections):
    with bench.conntrack():
        bench.measure(mode="open", flows=connections, packets=0)
        bench.must_have("conntrack", connections)
        for what in ("conntrack", "-L"), ("conntrack", "-L", "-o", "xml"):
            seconds, _ = timed(*what)
            results.add(number, "conntrack", seconds * 1e9 / connections, "ns an entry", what=" ".join(what),
                        connections=connections)


def ss(results, number, connections):
    """TCP sockets, which ss lists; as many as a process may have open."""
    import socket

    resource.setrlimit(resource.RLIMIT_NOFILE, (2 * connections + 100, 2 * connections + 100))
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=1000))
        for _ in range(connections):
            stack.enter_context(socket.create_connection(listener.getsockname()))
            stack.enter_context(listener.accept()[0])
        seconds, _ = timed("ss", "-tinH", "state", "established")
        results.add(number, "ss", seconds * 1e9 / (2 * connections), "ns an entry", what="ss -tin",
                    connections=2 * connections)


def disturbed(results, number, connections, packets):
    """What a packet costs on one CPU while all connections are read on the other without pause."""
    with bench.mutex(connections + 1024):
        bench.measure(mode="open", flows=connections, packets=0)
        for reader in None, ("read", "connections"), ("read", "snapshot"), ("map", "snapshot"):
            what = "no reader" if reader is None else f"reader by {reader[0]} of {reader[1]}"
            process = None
            if reader is not None:
                process = subprocess.Popen(["taskset", "-c", "1", READER, "loop", reader[0],
                                            f"/proc/mutex/{reader[1]}"])
                time.sleep(0.2)
            got = bench.measure(flows=connections, packets=packets, spread=1, cpu=0)
            if process is not None:
                if process.poll() is not None:
                    raise RuntimeError(f"the reader ended: {process.returncode}")
                process.kill()
                process.wait()
            for name in "p50", "p99", "p999":
                results.add(number, "mutex", got[f"{name}_ps"] / 1000, "ns", what=name, reader=what,
                            connections=connections)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--most", type=int, default=1_000_000)
    options.add_argument("--packets", type=int, default=bench.MILLION)
    options = options.parse_args()
    results = bench.Results("reading")
    bench.prepare_device()
    sizes = [size for size in (1000, 100_000, 1_000_000) if size <= options.most]
    for number in range(options.rounds):
        for connections in sizes:
            mutex(results, number, connections)
            conntrack(results, number, connections)
        ss(results, number, 2000)
        disturbed(results, number, sizes[-1], options.packets)


main()
