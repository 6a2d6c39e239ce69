#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Whole programs with MUTEX and without it: iperf3 over the loopback device, nginx asked by wrk."""

import argparse
import contextlib
import json
import subprocess
import time
from pathlib import Path

from lib import bench

NGINX = """
worker_processes 1;
error_log /tmp/nginx.errors;
pid /tmp/nginx.pid;
events { worker_connections 512; }
http {
    access_log off;
    server { listen 127.0.0.1:8080; location / { return 200 "as it should be"; } }
}
"""


@contextlib.contextmanager
def serving(*command):
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(1)
    yield
    process.terminate()
    process.wait()


def iperf3(seconds):
    report = json.loads(bench.run("iperf3", "-c", "127.0.0.1", "-t", seconds, "-J"))
    return report["end"]["sum_received"]["bits_per_second"] / 1e9


def wrk(seconds):
    report = bench.run("wrk", "-t1", "-c16", f"-d{seconds}s", "http://127.0.0.1:8080/")
    if "Non-2xx" in report or "Socket errors" in report:
        raise RuntimeError(report)
    return float(next(line.split()[1] for line in report.splitlines() if line.startswith("Requests/sec:")))


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=int, default=3)
    options = options.parse_args()
    results = bench.Results("programs")
    bench.prepare_device()
    Path("/tmp/nginx.conf").write_text(NGINX)
    with serving("iperf3", "-s"), serving("nginx", "-c", "/tmp/nginx.conf", "-g", "daemon off;"):
        iperf3(1)
        wrk(1)
        for number in range(options.rounds):
            # Each is first in turn.
            contenders = ["nothing", "conntrack", "mutex"]
            for contender in contenders[number % 3:] + contenders[:number % 3]:
                with bench.CONTENDERS[contender]():
                    for what, program, unit, one in (("iperf3 over loopback", iperf3, "Gbit/s", 1 / 8),
                                                     ("nginx asked by wrk", wrk, "requests/s", 1)):
                        worked = sum(bench.cpu_time())
                        rate = program(options.seconds)
                        worked = sum(bench.cpu_time()) - worked
                        results.add(number, contender, rate, unit, what=what)
                        # Where the machine has other things to do, this is what can be compared.
                        results.add(number, contender, worked / (rate * one * options.seconds),
                                    "ns of the kernel a " + ("GB" if one < 1 else "request"), what=what)


main()
