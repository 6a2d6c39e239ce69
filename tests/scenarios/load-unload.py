# SPDX-License-Identifier: MIT OR Apache-2.0
"""Loading and unloading under traffic, with readers in the middle, mappings that are being read, a
monitor that nobody reads, and namespaces that come and go.

What the kernel says of it is the judge, and that nothing is left behind.
"""

import errno
import os
import subprocess
import sys
import time

from lib import check, module, net, pace, traffic

ROUNDS = 1100 if pace.IS_LONG else pace.sized(50, 8)
# Where there are so many, memory is compared after some and after all.
WARM = 100
HELD = ("snapshot", "connections", "fds", "stats", "snapshot")
SHORT = """
import socket, sys, time
while True:
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), 10) as one:
        one.sendall(bytes(1000))
        one.recv(10)
    time.sleep(0.02)
"""
PASSING = """
while ip netns add passing; do
    ip -n passing link set lo up
    ip netns exec passing ping -q -c 2 -i 0.01 127.0.0.1 >/dev/null
    ip netns delete passing
    sleep 0.1
done
"""
SERVE = """
import socket, sys
listener = socket.create_server((sys.argv[1], int(sys.argv[2])))
while True:
    one, _ = listener.accept()
    one.recv(1000)
    one.sendall(b"ok")
    one.close()
"""


def twice():
    check.part("twice")
    module.load()
    done = module.insmod()
    check.that("a second insmod is refused", done.returncode and "exists" in done.stderr.lower(), done.stderr.strip())
    check.that("the first one goes on", module.stats()["format"] == 1)
    module.unload()


def under_traffic():
    check.part(f"{ROUNDS} times under traffic")
    a, b = net.Namespace("a"), net.Namespace("b")
    net.veth(a, "va", b, "vb")
    net.address(a, "va", "10.0.0.1/24", "fd00::1/64")
    net.address(b, "vb", "10.0.0.2/24", "fd00::2/64")
    net.up(a, "va")
    net.up(b, "vb")
    net.settle(a, b)
    jobs = [b.start("iperf3", "-s"), b.start(sys.executable, "-c", SERVE, "10.0.0.2", 7000)]
    traffic.wait_for(lambda: traffic.listens(b, 5201) and traffic.listens(b, 7000))
    jobs += [a.start("iperf3", "-c", "10.0.0.2", "-t", "86400", "--bidir", "-b", pace.sized("20M", "2M")),
             a.start(sys.executable, "-c", SHORT, "10.0.0.2", 7000),
             a.start("ping", "-q", "-i", "0.02", "fd00::2"),
             a.start("sh", "-c", PASSING)]
    time.sleep(1)
    before = module.mappings()
    counted, said, audited, mapped, memory = [], set(), [], set(), []
    began = time.monotonic()
    for number in range(ROUNDS):
        if pace.IS_LONG and number % 250 == WARM:
            memory.append(module.memory())
            check.note(f"memory after {number} rounds: {memory[-1]}")
        loaded = module.insmod("timeout_closed=0", "timeout_one_way=1", "max_connections=1000")
        if loaded.returncode:
            check.that(f"round {number}: it loads", False, loaded.stderr + module.kernel_log(3))
            break
        if number % 2:
            # Readers that have begun and not ended.
            held = [os.open(f"{module.PROC}/{name}", os.O_RDONLY) for name in HELD]
            for fd in held:
                os.read(fd, 100)
        else:
            held = []
            audited += module.image().audit()
        reader = None
        # A program takes a while to start where the processor is emulated.
        if pace.IS_NATIVE and number % 2 or number % 8 == 1:
            # One that nobody reads.
            held.append(os.open(f"{module.PROC}/events", os.O_RDWR))
            os.write(held[-1], b"kind=packet,start,end,alert")
            reader = subprocess.Popen(["/work/mapped", "1000"], stdout=subprocess.DEVNULL)
            traffic.wait_for(lambda: "/snapshot" in open(f"/proc/{reader.pid}/maps").read(), 60)
        # Of the traffic something passes soon, however busy the machine is.
        deadline = time.monotonic() + 5 * pace.LONGER
        while not module.stats()["received_packets"] and time.monotonic() < deadline:
            time.sleep(0.01)
        counted.append(module.stats()["received_packets"])
        done = subprocess.run(["rmmod", "mutex"], capture_output=True, text=True)
        for fd in held:
            try:
                said.add(f"{len(os.read(fd, 100))} bytes")
            except OSError as error:
                said.add(errno.errorcode[error.errno])
            os.close(fd)
        if reader:
            mapped.add("reads" if reader.poll() is None else reader.returncode)
            reader.kill()
            reader.wait()
        if done.returncode or os.path.exists(module.PROC):
            check.that(f"round {number}: it unloads", False, done.stderr)
            break
    check.note(f"{(time.monotonic() - began) / ROUNDS:.2f} s a round")
    check.equal("whoever reads on after the unloading is told so", said, {"EIO"})
    check.equal("who has mapped the records reads on", mapped, {"reads"})
    if pace.IS_LONG:
        grown = {name: size - memory[0][name] for name, size in module.memory().items()}
        check.note(f"memory grew in {ROUNDS - WARM} rounds by {grown} KiB")
        # What else comes and goes does not grow with the rounds; a leak is a page in each.
        check.equal("memory that grew by a page a round or more",
                    {name: size for name, size in grown.items() if size >= 4 * (ROUNDS - WARM)}, {})
    check.equal("rounds", len(counted), ROUNDS)
    check.that("it counted in each of them", all(counted), counted)
    check.equal("audits of rounds, under traffic: lines that are off", audited, [])
    check.equal("the traffic never broke off", [job.poll() for job in jobs], [None] * len(jobs))
    check.equal("memory mappings are as before", module.mappings(), before)
    module.nothing_left("after all of it")

    check.part("after all that it counts, and the books balance")
    module.load()
    time.sleep(1)
    for job in jobs:
        job.kill()
        job.wait()
    module.audit()
    module.unload()


twice()
under_traffic()
check.finish()
