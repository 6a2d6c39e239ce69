#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""What mutexd takes with many connections: of a processor without a scrape and with one a second, and how long a scrape
takes, to whoever asks. Every tenth connection moves each second."""

import argparse
import http.client
import os
import subprocess
import time

from lib import bench

FOLDER = "/tmp/mutexd"
PORT = 8787
CASES = {
    "as shipped": "",
    "with the ten largest connections and sockets": "[prometheus]\ntop_connections = 10\ntop_fds = 10\n",
    "with a history": "[history]\nenabled = true\n",
}


def get(path):
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


def start(settings):
    subprocess.run(["rm", "-rf", FOLDER], check=True)
    os.mkdir(FOLDER)
    with open(f"{FOLDER}/mutexd.toml", "w") as file:
        file.write(f'state_folder = "{FOLDER}"\nlog = {{ file = "{FOLDER}/log" }}\n'
                   # Metrics that name connections are asked for here without a token.
                   f'http = {{ allow_everyone = true, socket = "{FOLDER}/http.sock" }}\n{settings}')
    process = subprocess.Popen(["mutexd", "--config", f"{FOLDER}/mutexd.toml", "run"])
    while True:
        try:
            if get("/readyz") == (200, b"healthy\n"):
                return process
        except OSError:
            if process.poll() is not None:
                raise RuntimeError(open(f"{FOLDER}/log").read()) from None
        time.sleep(0.05)


def phase(what, connections, seconds, path=None):
    """Says when it begins and ends, for whoever measures; milliseconds of each answer."""
    took, began = [], time.monotonic()
    print("begin", flush=True)
    for second in range(seconds):
        bench.measure(flows=connections, packets=connections // 10)
        if path:
            asked = time.monotonic()
            status, body = get(path)
            took.append((time.monotonic() - asked) * 1e3)
            if status != 200 or path == "/metrics" and b"mutex_module_loaded 1" not in body:
                raise RuntimeError(f"{status}: {body[:200]}")
        time.sleep(max(0, began + second + 1 - time.monotonic()))
    print(f"end {what}", flush=True)
    return sorted(took)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--connections", type=int, default=100_000)
    options.add_argument("--seconds", type=int, default=20)
    options.add_argument("--rounds", type=int, default=3)
    options = options.parse_args()
    count, seconds = options.connections, options.seconds
    bench.prepare_device()
    bench.run("ip", "link", "set", "lo", "up")
    for number in range(options.rounds):
        print(f"round {number}, {count} connections", flush=True)
        with bench.mutex(count + 1024):
            bench.measure(mode="open", flows=count, packets=0)
            bench.must_have("mutex", count)
            phase("no mutexd", count, seconds)
            for case, settings in CASES.items():
                process = start(settings)
                try:
                    time.sleep(1)
                    phase(f"{case}, not asked", count, seconds)
                    phase(f"{case}, asked for next to nothing each second", count, seconds, "/healthz")
                    took = phase(f"{case}, scraped each second", count, seconds, "/metrics")
                    size = len(get("/metrics")[1])
                finally:
                    process.terminate()
                    process.wait()
                print(f"{case}: a scrape of {size} bytes takes {took[len(took) // 2]:.1f} ms in the median, "
                      f"{took[-1]:.1f} at most", flush=True)


main()
