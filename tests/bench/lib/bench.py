# SPDX-License-Identifier: MIT OR Apache-2.0
"""What all benchmarks in the virtual machine share."""

import contextlib
import ctypes
import json
import os
import select
import signal
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

# Connections that MUTEX and conntrack have room for, whatever is measured: twice a million, and some.
TABLE = 2_228_224
MILLION = 1 << 20

CONTROL = Path("/proc/mutex-bench")


def run(*command, **options):
    """A command's output; one that fails ends the benchmark with what it said."""
    done = subprocess.run(list(map(str, command)), text=True, capture_output=True, **options)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def write(path, text):
    Path(path).write_text(str(text))


class Results:
    """Collects measurements in /out; the same words but for the round are one row of the table."""

    def __init__(self, benchmark):
        self.benchmark = benchmark
        self.began = time.monotonic()
        self.file = open(f"/out/{benchmark}.jsonl", "w")

    def add(self, round, contender, value, unit, **case):
        row = {"benchmark": self.benchmark, "round": round, "contender": contender, **case,
               "value": value, "unit": unit}
        print(json.dumps(row), file=self.file, flush=True)
        words = " ".join(f"{key}={value}" for key, value in case.items())
        print(f"[{time.monotonic() - self.began:5.0f} s] {self.benchmark} {round}: {contender:15} {words}: "
              f"{value:.6g} {unit}", file=sys.stderr, flush=True)


def prepare_device():
    run("modprobe", "dummy")
    run("ip", "link", "add", "bench0", "type", "dummy")
    run("ip", "addr", "add", "192.0.2.1/24", "dev", "bench0")
    run("ip", "addr", "add", "2001:db8::1/64", "dev", "bench0", "nodad")
    run("ip", "link", "set", "bench0", "up")
    run("insmod", "/work/mutex_bench.ko")


def measure(**words):
    """Has the bench module do something; a dict of what it measured."""
    write(CONTROL, " ".join(f"{key}={value}" for key, value in words.items()))
    result = {key: int(value) for key, value in map(str.split, CONTROL.read_text().splitlines())}
    if result["dropped"]:
        raise RuntimeError(f"{result['dropped']} packets were dropped: {words}")
    return result


def cpu_time():
    """Nanoseconds that the kernel's CPUs have worked: of each."""
    return [int(line) for line in Path("/proc/mutex-bench-clock").read_text().split()]


def stats():
    lines = Path("/proc/mutex/stats").read_text().splitlines()
    return {words[0]: int(words[1]) for words in map(str.split, lines) if len(words) == 2 and words[1].isdigit()}


def must_have(contender, connections):
    """Nobody is measured who did not do the work."""
    if contender.startswith("mutex"):
        has = stats()["connections_active"]
    elif contender == "conntrack":
        has = int(Path("/proc/sys/net/netfilter/nf_conntrack_count").read_text())
    elif contender == "bpf-hash":
        has = int(Path("/sys/module/bench_hash/parameters/entries").read_text())
        # It leaves out what IPv6 has.
        connections -= 2 * 256
    else:
        return
    if has < connections:
        raise RuntimeError(f"{contender} has {has} connections instead of {connections}")


# Contenders: each is there inside its `with`, and gone after it.

@contextlib.contextmanager
def nothing():
    yield {}


@contextlib.contextmanager
def empty_hook():
    yield {"hook": 1}


@contextlib.contextmanager
def nft():
    run("nft", "-f", "-", input="""
        table inet bench {
            chain input { type filter hook input priority 0; counter; }
        }""")
    yield {}
    run("nft", "delete", "table", "inet", "bench")


@contextlib.contextmanager
def conntrack():
    """With accounting. It is asked for by a chain that no packet of ours passes, so that no rule costs anything."""
    run("modprobe", "nf_conntrack", f"hashsize={TABLE}")
    base = "/proc/sys/net/netfilter/nf_conntrack_"
    write(base + "max", TABLE)
    write(base + "acct", 1)
    for name in "udp_timeout", "udp_timeout_stream", "tcp_timeout_syn_sent", "tcp_timeout_established":
        write(base + name, 36000)
    run("nft", "-f", "-", input="""
        table inet bench {
            chain forward { type filter hook forward priority 0; ct state new counter; }
        }""")
    yield {}
    run("nft", "delete", "table", "inet", "bench")
    run("modprobe", "-r", "nft_ct", "nf_conntrack_netlink", "nf_conntrack")


@contextlib.contextmanager
def bpf_hash():
    """A BPF hash map at the same hook, filled by a program that was compiled into the kernel: see bench_hash.c."""
    create, hash_map, call = 0, 1, 321
    attributes = struct.pack("IIII", hash_map, 16, 24, TABLE)
    buffer = ctypes.create_string_buffer(attributes, 128)
    libc = ctypes.CDLL(None, use_errno=True)
    table = libc.syscall(call, create, buffer, len(buffer))
    if table < 0:
        raise OSError(ctypes.get_errno(), "bpf() made no map")
    run("insmod", "/work/bench_hash.ko", f"map={table}", pass_fds=[table])
    os.close(table)
    yield {}
    run("rmmod", "bench_hash")


@contextlib.contextmanager
def mutex(table=TABLE, file="/work/mutex.ko"):
    run("insmod", file, f"max_connections={table}", "timeout_one_way=36000", "timeout_two_way=36000")
    # Senders and receivers are in namespaces of their own, and may fill the table.
    with open("/proc/mutex/config", "w") as file:
        file.write("quota_netns 100\nquota_first_netns 0\n")
    yield {}
    run("rmmod", "mutex")


@contextlib.contextmanager
def monitored(reading):
    """With somebody who wants every packet, and reads what comes or has stalled."""
    with mutex():
        monitor = os.open("/proc/mutex/events", os.O_RDWR | os.O_NONBLOCK)
        os.write(monitor, b"kind=packet")
        over = threading.Event()

        def read():
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
        yield {}
        over.set()
        if reading:
            reader.join()
        os.close(monitor)


@contextlib.contextmanager
def metered(stays):
    """With mutexctl meter, which reports every packet, or after it has gone."""
    with mutex():
        meter = subprocess.Popen(["mutexctl", "meter", "--interval", "1h", "-o", "/dev/null"], stderr=subprocess.DEVNULL,
                                 preexec_fn=lambda: os.sched_setaffinity(0, {1}))
        while not stats()["packet_monitors"]:
            if meter.poll() is not None:
                raise RuntimeError("mutexctl meter does not begin")
            time.sleep(0.01)
        if stays:
            yield {}
        meter.send_signal(signal.SIGINT)
        meter.wait()
        if meter.returncode or stats()["packet_monitors"]:
            raise RuntimeError("mutexctl meter does not let go")
        if not stays:
            yield {}


CONTENDERS = {
    "nothing": nothing,
    "empty hook": empty_hook,
    "nft counter": nft,
    "conntrack": conntrack,
    "bpf-hash": bpf_hash,
    "mutex": mutex,
    "mutex, kernel's Rust": lambda: mutex(file="/work/mutex-rust.ko"),
    "mutex, monitor stalls": lambda: monitored(False),
    "mutex, monitor reads": lambda: monitored(True),
    "mutex, metered": lambda: metered(True),
    "mutex, metered before": lambda: metered(False),
}
